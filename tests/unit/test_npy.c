/* SPDX-License-Identifier: Apache-2.0
 * .npy and .npz: round trips of every element type, what numpy writes, and damaged files by name. */
#include "tools/cli.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DIMS(...)                                                                                                      \
    (const int64_t[]) { __VA_ARGS__ }

/* A .npy file with this dict and these elements. */
static size_t build(char *out, const char *dict, const void *data, size_t size) {
    size_t length = strlen(dict);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)(length & 255);
    out[9] = (char)(length >> 8);
    memcpy(out + 10, dict, length);
    if (size) memcpy(out + 10 + length, data, size);
    return 10 + length + size;
}

static sdx_value *parse(const char *dict, const void *data, size_t size, sdx_dtype wanted) {
    char bytes[1024];
    sdx_error error = {0};
    sdx_value *value = NULL;
    if (cli_npy_parse((unsigned char *)bytes, build(bytes, dict, data, size), wanted, &error, &value))
        fail_msg("%s: %s", dict, error.message);
    return value;
}

static void refused(sdx_status status, const char *word, const char *dict, size_t size) {
    char bytes[1024], zeros[256] = {0};
    sdx_error error = {0};
    sdx_value *value = (void *)bytes;
    size_t whole = build(bytes, dict, zeros, size);
    sdx_status found = cli_npy_parse((unsigned char *)bytes, whole, SDX_UNDEFINED, &error, &value);
    if (found != status || !strstr(error.message, word))
        fail_msg("%s: status %d, '%s'; expected %d, '%s'", dict, (int)found, error.message, (int)status, word);
    assert_null(value);
}

static void every_type_comes_back(void **state) {
    (void)state;
    for (int d = 1; d < SDX_DTYPE_COUNT; d++) {
        if (d == SDX_STRING) continue;
        sdx_value *value = NULL, *back = NULL;
        sdx_error error = {0};
        assert_int_equal(sdx_value_create((sdx_dtype)d, 3, DIMS(2, 1, 3), &error, &value), SDX_OK);
        unsigned char *bytes = sdx_value_data(value), *file = NULL;
        size_t n = sdx_tensor_bytes(&value->tensor), size = 0;
        for (size_t i = 0; i < n; i++) bytes[i] = sdx_dtype_bits((sdx_dtype)d) < 8 ? i & 1 : (unsigned char)(i * 37);
        if (d == SDX_BOOL)
            for (size_t i = 0; i < n; i++) bytes[i] &= 1;
        assert_int_equal(cli_npy_format(&value->tensor, &error, &file, &size), SDX_OK);
        assert_int_equal((size - n) % 64, 0);
        if (cli_npy_parse(file, size, (sdx_dtype)d, &error, &back)) fail_msg("%s", error.message);
        assert_int_equal(sdx_value_dtype(back), d);
        assert_int_equal(sdx_value_rank(back), 3);
        assert_int_equal(sdx_value_dims(back)[2], 3);
        if (memcmp(sdx_value_data(back), bytes, n) != 0) fail_msg("%s differs", sdx_dtype_name((sdx_dtype)d));
        sdx_memory_free(cli_memory(), file);
        sdx_value_release(back);
        sdx_value_release(value);
    }
}

static void headers_as_numpy_writes_them(void **state) {
    (void)state;
    static const struct {
        sdx_dtype dtype;
        int rank;
        const char *text;
    } cases[] = {
        {SDX_F32, 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"},
        {SDX_BF16, 1, "{'descr': '<V2', 'fortran_order': False, 'shape': (2,), }"},
        {SDX_F8E5M2, 1, "{'descr': '<V1', 'fortran_order': False, 'shape': (2,), }"},
        {SDX_I4, 1, "{'descr': '<V1', 'fortran_order': False, 'shape': (2,), }"},
        {SDX_BOOL, 0, "{'descr': '|b1', 'fortran_order': False, 'shape': (), }"},
        {SDX_U8, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }"},
        {SDX_C64, 1, "{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sdx_value *value = NULL;
        sdx_error error = {0};
        unsigned char *file = NULL;
        size_t size = 0;
        assert_int_equal(sdx_value_create(cases[i].dtype, cases[i].rank, DIMS(2, 3), &error, &value), SDX_OK);
        assert_int_equal(cli_npy_format(&value->tensor, &error, &file, &size), SDX_OK);
        assert_memory_equal(file, "\x93NUMPY\x01\x00", 8);
        if (memcmp(file + 10, cases[i].text, strlen(cases[i].text)) != 0)
            fail_msg("'%.70s'; expected '%s'", (char *)file + 10, cases[i].text);
        assert_int_equal(file[127], '\n');
        sdx_memory_free(cli_memory(), file);
        sdx_value_release(value);
    }
}

static void strings_come_back(void **state) {
    (void)state;
    static const struct {
        sdx_string in[4];
        char kind;
    } cases[] = {
        {{{"abc", 3}, {"", 0}, {"caf\xc3\xa9", 5}, {"\xf0\x9f\x98\x80z", 5}}, 'U'},
        {{{"\xff\xfe", 2}, {"x", 1}, {"", 0}, {"yz", 2}}, 'S'},
        {{{"", 0}, {"", 0}, {"", 0}, {"", 0}}, 'U'},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sdx_value *value = NULL, *back = NULL;
        sdx_error error = {0};
        unsigned char *file = NULL;
        size_t size = 0;
        assert_int_equal(sdx_value_from_strings(2, DIMS(2, 2), cases[i].in, &error, &value), SDX_OK);
        assert_int_equal(cli_npy_format(&value->tensor, &error, &file, &size), SDX_OK);
        assert_int_equal(file[22], cases[i].kind);
        assert_int_equal(cli_npy_parse(file, size, SDX_STRING, &error, &back), SDX_OK);
        const sdx_string *out = sdx_value_data(back);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(out[k].size, cases[i].in[k].size);
            if (out[k].size) assert_memory_equal(out[k].data, cases[i].in[k].data, out[k].size);
        }
        sdx_memory_free(cli_memory(), file);
        sdx_value_release(value);
        sdx_value_release(back);
    }
}

static void forms_that_others_write(void **state) {
    (void)state;
    static const int32_t column[] = {1, 4, 2, 5, 3, 6};
    sdx_value *v = parse("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3)}\n", column, 24, SDX_UNDEFINED);
    for (int i = 0; i < 6; i++) assert_int_equal(((int32_t *)sdx_value_data(v))[i], i + 1);
    sdx_value_release(v);
    v = parse("{ \"shape\" : (2L,) ,'fortran_order':False,'descr':'>i2',}   ", "\x01\x02\xff\xfe", 4, SDX_UNDEFINED);
    assert_int_equal(((int16_t *)sdx_value_data(v))[0], 0x0102);
    assert_int_equal(((int16_t *)sdx_value_data(v))[1], -2);
    sdx_value_release(v);
    v = parse("{'descr': '>c8', 'fortran_order': False, 'shape': ()}", "\x3f\x80\0\0\x40\0\0\0", 8, SDX_UNDEFINED);
    assert_true(((float *)sdx_value_data(v))[0] == 1 && ((float *)sdx_value_data(v))[1] == 2);
    sdx_value_release(v);
    v = parse("{'descr': '>U1', 'fortran_order': False, 'shape': (1,)}", "\0\0\0\xe9", 4, SDX_UNDEFINED);
    assert_memory_equal(((sdx_string *)sdx_value_data(v))->data, "\xc3\xa9", 2);
    sdx_value_release(v);
    v = parse("{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", "\x00\x01\x07", 3, SDX_UNDEFINED);
    assert_memory_equal(sdx_value_data(v), "\0\1\1", 3);
    sdx_value_release(v);
    v = parse("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 0, 2)}", "", 0, SDX_UNDEFINED);
    assert_int_equal(sdx_value_count(v), 0);
    sdx_value_release(v);
}

static void wishes_decide_only_the_nameless(void **state) {
    (void)state;
    sdx_value *v = parse("{'descr': '<u2', 'fortran_order': False, 'shape': (1,)}", "\x80\x3f", 2, SDX_BF16);
    assert_int_equal(sdx_value_dtype(v), SDX_BF16);
    sdx_value_release(v);
    v = parse("{'descr': '|V1', 'fortran_order': False, 'shape': (2,)}", "\xfe\x07", 2, SDX_I4);
    assert_memory_equal(sdx_value_data(v), "\xfe\x07", 2);
    sdx_value_release(v);
    v = parse("{'descr': '|V1', 'fortran_order': False, 'shape': (2,)}", "\x0e\xf7", 2, SDX_U4);
    assert_memory_equal(sdx_value_data(v), "\x0e\x07", 2);
    sdx_value_release(v);
    static const sdx_dtype others[] = {SDX_F16, SDX_I16, SDX_BOOL, SDX_F32, SDX_U4};
    for (int i = 0; i < 5; i++) { /* a named type stays what it says it is */
        v = parse("{'descr': '<u2', 'fortran_order': False, 'shape': (1,)}", "\x80\x3f", 2, others[i]);
        assert_int_equal(sdx_value_dtype(v), SDX_U16);
        sdx_value_release(v);
    }
}

static void damage_is_named(void **state) {
    (void)state;
#define GOOD "'fortran_order': False, 'shape': (2,)}"
    refused(SDX_MALFORMED, "7 bytes follow", "{'descr': '<f4', " GOOD, 7);
    refused(SDX_MALFORMED, "2 elements", "{'descr': '<f4', " GOOD, 9);
    refused(SDX_TYPE, "'<f16'", "{'descr': '<f16', " GOOD, 32);
    refused(SDX_TYPE, "'|O'", "{'descr': '|O', " GOOD, 16);
    refused(SDX_TYPE, "'<M8[ns]'", "{'descr': '<M8[ns]', " GOOD, 16);
    refused(SDX_TYPE, "records", "{'descr': [('a', '<f4')], " GOOD, 8);
    refused(SDX_TYPE, "raw 2-byte", "{'descr': '<V2', " GOOD, 4);
    refused(SDX_TYPE, "''", "{'descr': '', " GOOD, 4);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', 'fortran_order': False}", 0);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', 'descr': '<f4', " GOOD, 8);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', 'x': 1, " GOOD, 8);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', " GOOD " junk", 8);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}", 8);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}", 8);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8);
    refused(SDX_MALFORMED, "header", "{'descr': '<f4', 'fortran_order': False, 'shape': (2", 8);
    refused(SDX_MALFORMED, "header",
            "{'descr': '<f4', 'fortran_order': False, 'shape': "
            "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}",
            4);
    refused(SDX_MALFORMED, "header", "", 0);
    refused(SDX_SHAPE, "overflows", "{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000, 9000000000)}", 8);
    refused(SDX_MALFORMED, "elements", "{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000,)}", 8);
    char bytes[300];
    size_t size = build(bytes, "{'descr': '<f4', " GOOD, "\0\0\0\0\0\0\0\0", 8);
    for (size_t n = 0; n < size; n++) { /* every prefix */
        sdx_value *value = NULL;
        sdx_error error = {0};
        unsigned char *copy = malloc(n + 1);
        memcpy(copy, bytes, n);
        assert_int_equal(cli_npy_parse(copy, n, SDX_UNDEFINED, &error, &value), SDX_MALFORMED);
        free(copy);
    }
    sdx_value *value = NULL;
    sdx_error error = {0};
    size = build(bytes, "{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", "\0\xd8\0\0", 4);
    assert_int_equal(cli_npy_parse((unsigned char *)bytes, size, SDX_STRING, &error, &value), SDX_MALFORMED);
    bytes[6] = 9;
    error = (sdx_error){0};
    assert_int_equal(cli_npy_parse((unsigned char *)bytes, size, SDX_STRING, &error, &value), SDX_UNSUPPORTED);
}

static void archives(void **state) {
    (void)state;
    char path[] = "/tmp/sardonyx-npz-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    float data[] = {1, 2, 3};
    sdx_error error = {0};
    sdx_value *a = NULL, *back = NULL;
    assert_int_equal(sdx_value_borrow(SDX_F32, 1, DIMS(3), data, &error, &a), SDX_OK);
    cli_array arrays[] = {{(char[]){"x"}, a}, {(char[]){"b/c.weight"}, a}, {(char[]){"caf\xc3\xa9"}, a}};
    cli_npz *npz = NULL;
    if (cli_npz_write(path, arrays, 3, &error)) fail_msg("%s", error.message);
    if (cli_npz_open(path, &error, &npz)) fail_msg("%s", error.message);
    assert_int_equal(cli_npz_count(npz), 3);
    for (int i = 0; i < 3; i++) {
        assert_true(cli_npz_has(npz, arrays[i].name));
        assert_int_equal(cli_npz_read(npz, arrays[i].name, SDX_UNDEFINED, &error, &back), SDX_OK);
        assert_memory_equal(sdx_value_data(back), data, sizeof data);
        sdx_value_release(back);
    }
    assert_int_equal(cli_npz_read(npz, "y", SDX_F32, &error, &back), SDX_VALUE);
    assert_non_null(strstr(error.message, "no array named 'y'; it holds 'x', 'b/c.weight'"));
    cli_npz_close(npz);
    error = (sdx_error){0};
    assert_int_equal(cli_npz_write(path, NULL, 0, &error), SDX_OK);
    assert_int_equal(cli_npz_open(path, &error, &npz), SDX_OK);
    assert_int_equal(cli_npz_count(npz), 0);
    cli_npz_close(npz);
    sdx_value_release(a);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(cli_npz_open(path, &error, &npz), SDX_MALFORMED);
    assert_null(npz);
    unlink(path);
    error = (sdx_error){0};
    assert_int_equal(cli_npz_open(path, &error, &npz), SDX_IO);
    assert_int_equal(sdx_memory_used(cli_memory()), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(headers_as_numpy_writes_them),
        cmocka_unit_test(strings_come_back),
        cmocka_unit_test(forms_that_others_write),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(archives),
        cmocka_unit_test(wishes_decide_only_the_nameless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
