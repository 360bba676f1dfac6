/* SPDX-License-Identifier: Apache-2.0
 * Safetensors: what is written is read back; every broken file is refused by name, and truncation at any byte too. */
#include "runtime/base/io.h"
#include "runtime/train/train.h"
#include "tests/unit/support.h"
#include <stdlib.h>
#include <unistd.h>

static char path[128];

static sdx_memory memory;

static void write_bytes(const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* Header text and `data` bytes of zeros, as a file. */
static size_t make(unsigned char *to, const char *header, size_t data) {
    const size_t length = strlen(header);
    for (int k = 0; k < 8; k++) to[k] = (unsigned char)((uint64_t)length >> (8 * k));
    memcpy(to + 8, header, length);
    memset(to + 8 + length, 0, data);
    return 8 + length + data;
}

static sdx_status read_back(sdx_safetensors **out) {
    test_error = (sdx_error){0};
    return sdx_safetensors_read(path, &memory, &test_error, out);
}

static void refuses(const char *header, size_t data, const char *words) {
    unsigned char bytes[4096];
    sdx_safetensors *file = NULL;
    write_bytes(bytes, make(bytes, header, data));
    if (read_back(&file) == SDX_OK) fail_msg("accepted: %s", header);
    if (test_error.status != SDX_MALFORMED || !strstr(test_error.message, words))
        fail_msg("%s: the message is '%s'; it must hold '%s'", header, test_error.message, words);
    assert_null(file);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static void accepts(const char *header, size_t data, size_t count) {
    unsigned char bytes[4096];
    sdx_safetensors *file = NULL;
    write_bytes(bytes, make(bytes, header, data));
    OK(read_back(&file));
    assert_int_equal(sdx_safetensors_count(file), count);
    sdx_safetensors_free(file);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static void test_roundtrip(void **unused) {
    (void)unused;
    const float w[6] = {1, -2, 3.5f, 0, 1e-30f, -0.0f};
    const double big[2] = {1e300, -1};
    const uint16_t half[3] = {0x3c00, 0xffff, 1};
    const int64_t step = 77;
    const unsigned char flags[3] = {1, 0, 1};
    sdx_named_value tensors[] = {
        {"flags", new_tensor(SDX_BOOL, DIMS(3), flags)}, {"w/\"\xc3\xa4\\\n", new_tensor(SDX_F32, DIMS(2, 3), w)},
        {"half", new_tensor(SDX_BF16, DIMS(3), half)},   {"big", new_tensor(SDX_F64, DIMS(2), big)},
        {"step", new_tensor(SDX_I64, SCALAR, &step)},    {"none", new_tensor(SDX_F16, DIMS(0, 4), NULL)}};
    enum { N = sizeof tensors / sizeof tensors[0] };
    const sdx_pair metadata[] = {{"config", "{\"a\": \"b\\n\"}\t\x01"}, {"", ""}};
    test_error = (sdx_error){0};
    OK(sdx_safetensors_write(path, tensors, N, metadata, 2, &test_error));
    sdx_safetensors *file = NULL;
    OK(read_back(&file));
    assert_int_equal(sdx_safetensors_count(file), N);
    for (size_t k = 0; k < N; k++) {
        const sdx_tensor *want = &tensors[k].value->tensor;
        const sdx_value *got = sdx_safetensors_tensor(file, tensors[k].name);
        if (!got) fail_msg("'%s' is lost", tensors[k].name);
        assert_int_equal(got->tensor.dtype, want->dtype);
        assert_int_equal(got->tensor.rank, want->rank);
        assert_memory_equal(got->tensor.dim, want->dim, sizeof want->dim);
        if (want->count) assert_memory_equal(got->tensor.data, want->data, sdx_tensor_bytes(want));
    }
    assert_string_equal(sdx_safetensors_text(file, "config"), metadata[0].value);
    assert_string_equal(sdx_safetensors_text(file, ""), "");
    assert_null(sdx_safetensors_text(file, "other"));
    assert_null(sdx_safetensors_tensor(file, "other"));
    sdx_safetensors_free(file);
    assert_int_equal(sdx_memory_used(&memory), 0);

    unsigned char *bytes = NULL, *copy;
    size_t size = 0;
    OK(sdx_file_read(path, &memory, &test_error, &bytes, &size));
    copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    sdx_memory_free(&memory, bytes);
    for (size_t cut = 0; cut < size; cut++) { /* no shorter file is accepted */
        write_bytes(copy, cut);
        if (read_back(&file) == SDX_OK) fail_msg("accepted when cut to %zu of %zu bytes", cut, size);
    }
    srand(1);
    for (int trial = 0; trial < 3000; trial++) { /* any bytes: accepted or refused, nothing else */
        const size_t at = (size_t)rand() % size;
        const unsigned char old = copy[at];
        copy[at] = (unsigned char)rand();
        write_bytes(copy, size);
        if (read_back(&file) == SDX_OK) sdx_safetensors_free(file);
        assert_int_equal(sdx_memory_used(&memory), 0);
        copy[at] = old;
    }
    free(copy);
    for (size_t k = 0; k < N; k++) sdx_value_release(tensors[k].value);
}

#define ENTRY(dtype, shape, range) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" range "}"

static void test_hostile(void **unused) {
    (void)unused;
    accepts("{}", 0, 0);
    accepts("{}   ", 0, 0);
    accepts("{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 8, 1);
    accepts("{ \"a\" : {\"data_offsets\":[ 4,6 ],\"shape\":[],\"dtype\":\"BF16\"} ,\n\"b\":" ENTRY("I32", "[1]",
                                                                                                   "[0,4]") "}",
            6, 2);
    accepts("{\"\\u00e9\\ud83d\\ude00\":" ENTRY("F32", "[0]", "[0,0]") "}", 0, 1);
    refuses("", 0, "'{'");
    refuses(" {}", 0, "'{'");
    refuses("{", 0, "'\"'");
    refuses("[]", 0, "'{'");
    refuses("{}x", 0, "only spaces");
    refuses("{}\n", 0, "only spaces");
    refuses("{}", 1, "tensors end at 0; there are 1");
    refuses("{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 7, "tensors end at 8");
    refuses("{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 9, "tensors end at 8");
    refuses("{\"a\":" ENTRY("F32", "[2]", "[0,4]") "}", 4, "do not fit");
    refuses("{\"a\":" ENTRY("F32", "[2]", "[8,0]") "}", 8, "do not fit");
    refuses("{\"a\":" ENTRY("F32", "[2]", "[4,12]") "}", 12, "begins at 4");
    refuses("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[0,4]") "}", 4, "begins at 0");
    refuses("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[5,9]") "}", 9, "begins at 5");
    refuses("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 8, "twice");
    refuses("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"\\u0061\":" ENTRY("F32", "[1]", "[4,8]") "}", 8, "twice");
    refuses("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "twice");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "must be given");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "must be given");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "key must be");
    refuses("{\"a\":" ENTRY("F31", "[1]", "[0,4]") "}", 4, "dtype is unknown");
    refuses("{\"a\":" ENTRY("F32", "[-1]", "[0,4]") "}", 4, "unsigned integer");
    refuses("{\"a\":" ENTRY("F32", "[1.0]", "[0,4]") "}", 4, "unsigned integer");
    refuses("{\"a\":" ENTRY("F32", "[1e0]", "[0,4]") "}", 4, "unsigned integer");
    refuses("{\"a\":" ENTRY("F32", "[01]", "[0,4]") "}", 4, "unsigned integer");
    refuses("{\"a\":" ENTRY("F32", "[1,]", "[0,4]") "}", 4, "unsigned integer");
    refuses("{\"a\":" ENTRY("F32", "[18446744073709551616]", "[0,4]") "}", 4, "too large");
    refuses("{\"a\":" ENTRY("F32", "[18446744073709551615]", "[0,4]") "}", 4, "too large");
    refuses("{\"a\":" ENTRY("F32", "[9223372036854775807,9223372036854775807]", "[0,4]") "}", 4, "too large");
    refuses("{\"a\":" ENTRY("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "too long");
    refuses("{\"a\":1}", 0, "'{'");
    refuses("{\"a\":null}", 0, "'{'");
    refuses("{\"a", 0, "does not end");
    refuses("{\"a\\\"", 0, "does not end");
    refuses("{\"a\n\":1}", 0, "control");
    refuses("{\"\xff\":1}", 0, "UTF-8");
    refuses("{\"\xc0\x80\":1}", 0, "UTF-8");
    refuses("{\"\xed\xa0\x80\":1}", 0, "UTF-8");
    refuses("{\"\\ud800\":1}", 0, "escape");
    refuses("{\"\\u0000\":1}", 0, "escape");
    refuses("{\"\\x\":1}", 0, "escape");
    refuses("{\"__metadata__\":{\"a\":1}}", 0, "'\"'");
    refuses("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "twice");
    refuses("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice");
    refuses("{\"__metadata__\":{\"a\":\"1\"}", 0, "'}'");
    unsigned char huge[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    sdx_safetensors *file = NULL;
    write_bytes(huge, sizeof huge);
    assert_int_equal(read_back(&file), SDX_MALFORMED);
    CONTAINS(test_error.message, "at most 100000000");
    write_bytes("\4\0\0\0\0\0\0\0{}", 10);
    assert_int_equal(read_back(&file), SDX_MALFORMED);
    CONTAINS(test_error.message, "2 are left");
    const char boolean[] = "{\"a\":" ENTRY("BOOL", "[1]", "[0,1]") "}";
    unsigned char bytes[256];
    const size_t size = make(bytes, boolean, 1);
    bytes[size - 1] = 2;
    write_bytes(bytes, size);
    assert_int_equal(read_back(&file), SDX_MALFORMED);
    CONTAINS(test_error.message, "a BOOL must be 0 or 1");
}

/* The n-th allocation fails, for all n. */
static void test_memory(void **unused) {
    (void)unused;
    unsigned char bytes[512];
    write_bytes(bytes, make(bytes, "{\"__metadata__\":{\"a\":\"b\"},\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 8));
    for (int64_t n = 1; n < 50; n++) {
        sdx_safetensors *file = NULL;
        atomic_store(&memory.fail_after, n);
        const sdx_status status = read_back(&file);
        atomic_store(&memory.fail_after, 0);
        if (status == SDX_OK) {
            sdx_safetensors_free(file);
            assert_true(n > 2);
            return;
        }
        assert_int_equal(status, SDX_OUT_OF_MEMORY);
        assert_int_equal(sdx_memory_used(&memory), 0);
    }
    fail_msg("reading never succeeds");
}

static void test_refused_writes(void **unused) {
    (void)unused;
    sdx_named_value twice[2] = {{"a", new_tensor(SDX_F32, DIMS(1), NULL)}, {"a", NULL}};
    twice[1].value = twice[0].value;
    test_error = (sdx_error){0};
    assert_int_equal(sdx_safetensors_write(path, twice, 2, NULL, 0, &test_error), SDX_VALUE);
    sdx_named_value text = {"t", new_tensor(SDX_STRING, DIMS(1), NULL)};
    test_error = (sdx_error){0};
    assert_int_equal(sdx_safetensors_write(path, &text, 1, NULL, 0, &test_error), SDX_TYPE);
    test_error = (sdx_error){0};
    assert_int_equal(sdx_safetensors_write("/nowhere/x", twice, 1, NULL, 0, &test_error), SDX_IO);
    sdx_value_release(twice[0].value);
    sdx_value_release(text.value);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_roundtrip), cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_memory), cmocka_unit_test(test_refused_writes)};
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/sdx_safetensors_%ld", folder ? folder : "/tmp", (long)getpid());
    sdx_memory_init(&memory, 0);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
