/* SPDX-License-Identifier: Apache-2.0
 * TensorProto and SparseTensorProto to values: every storage form, every rule, moved payloads, and any bytes at all:
 * cut, flipped, or with an allocation failing. */
#include "tests/unit/proto_model.h"
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h> /* after what it needs */

static void put_raw(bytes *b, const void *data, size_t size) { put_blob(b, RAW, data, size); }

/* The tensor must decode to exactly these bytes, and everything be released. */
static void expect_bytes(bytes *tensor, const void *data, size_t size, const char *what) {
    sdx_memory memory;
    sdx_error error = {0};
    sdx_value *value = NULL;
    sdx_memory_init(&memory, 0);
    if (take_initializer(tensor, NULL, &memory, &error, &value)) fail_msg("%s refused: %s", what, error.message);
    if (sdx_tensor_bytes(&value->tensor) != size) fail_msg("%s: %zu bytes", what, sdx_tensor_bytes(&value->tensor));
    for (size_t i = 0; i < size; i++)
        if (((unsigned char *)value->tensor.data)[i] != ((const unsigned char *)data)[i])
            fail_msg("%s: byte %zu is %02x; wanted %02x", what, i, ((unsigned char *)value->tensor.data)[i],
                     ((const unsigned char *)data)[i]);
    sdx_value_release(value);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static void expect_refusal(bytes *tensor, sdx_status status, const char *words) {
    sdx_memory memory;
    sdx_error error = {0};
    sdx_value *value = NULL;
    sdx_memory_init(&memory, 0);
    sdx_status got = take_initializer(tensor, NULL, &memory, &error, &value);
    if (got != status || !strstr(error.message, words) || value)
        fail_msg("%s: '%s'; wanted %s and '%s'", sdx_status_text(got), error.message, sdx_status_text(status), words);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static void raw_data_of_every_dtype(void **state) {
    (void)state;
    unsigned char data[64];
    for (unsigned i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 7 + 1);
    for (int d = 1; d < SDX_DTYPE_COUNT; d++) {
        if (d == SDX_STRING || d == SDX_BOOL || sdx_dtype_bits((sdx_dtype)d) < 8) continue;
        bytes b = {0};
        put_head(&b, d, SHAPE(2, 2));
        put_raw(&b, data, 4 * sdx_dtype_size((sdx_dtype)d));
        expect_bytes(&b, data, 4 * sdx_dtype_size((sdx_dtype)d), sdx_dtype_name((sdx_dtype)d));
    }
    bytes b = {0};
    put_head(&b, SDX_F32, scalar_shape);
    put_raw(&b, data, 4);
    expect_bytes(&b, data, 4, "scalar");
}

static void packed_elements(void **state) {
    (void)state;
    bytes b = {0};
    static const int int4_dtypes[] = {SDX_U4, SDX_F4E2M1};
    for (int i = 0; i < 2; i++) {
        put_head(&b, int4_dtypes[i], SHAPE(5)), put_raw(&b, "\x21\xf3\x0e", 3);
        expect_bytes(&b, "\x01\x02\x03\x0f\x0e", 5, "4 bits, raw");
        put_head(&b, int4_dtypes[i], SHAPE(5)), put_varints(&b, INT32S, 3, (int64_t[]){0x21, 0xf3, 0x0e});
        expect_bytes(&b, "\x01\x02\x03\x0f\x0e", 5, "4 bits, int32_data");
    }
    put_head(&b, SDX_I4, SHAPE(5)), put_raw(&b, "\x21\xf3\x08", 3);
    expect_bytes(&b, "\x01\x02\x03\xff\xf8", 5, "i4");
    put_head(&b, SDX_U2, SHAPE(5)), put_raw(&b, "\xe4\x02", 2);
    expect_bytes(&b, "\0\1\2\3\2", 5, "u2");
    put_head(&b, SDX_I2, SHAPE(5)), put_varints(&b, INT32S, 2, (int64_t[]){0xe4, 2});
    expect_bytes(&b, "\0\1\xfe\xff\xfe", 5, "i2");
    /* elements 1, 62, 3, 63, 33: byte0 = 1 | 62<<6, byte1 = 62>>2 | 3<<4, byte2 = 3>>4 | 63<<2, byte3 = 33 */
    put_head(&b, SDX_F6E2M3, SHAPE(5)), put_raw(&b, "\x81\x3f\xfc\x21", 4);
    expect_bytes(&b, "\x01\x3e\x03\x3f\x21", 5, "f6e2m3");
    put_head(&b, SDX_F6E3M2, SHAPE(5)), put_varints(&b, INT32S, 5, (int64_t[]){1, 62, 3, 63, 33});
    expect_bytes(&b, "\x01\x3e\x03\x3f\x21", 5, "f6e3m2, int32_data");
    put_head(&b, SDX_F6E2M3, SHAPE(1)), put_raw(&b, "\x7f", 1);
    expect_refusal(&b, SDX_MALFORMED, "padding bits");
    put_head(&b, SDX_U4, SHAPE(5)), put_raw(&b, "\x21\xf3", 2);
    expect_refusal(&b, SDX_MALFORMED, "raw_data has 2 bytes; u4[5] takes 3");
    put_head(&b, SDX_U4, SHAPE(5)), put_varints(&b, INT32S, 5, (int64_t[]){1, 2, 3, 15, 14});
    expect_refusal(&b, SDX_MALFORMED, "int32_data has 5 entries; u4[5] takes 3");
    put_head(&b, SDX_U4, SHAPE(2)), put_varints(&b, INT32S, 1, (int64_t[]){256});
    expect_refusal(&b, SDX_MALFORMED, "entry 0 of int32_data is 256; u4 takes 0 to 255");
}

static void typed_fields(void **state) {
    (void)state;
    bytes b = {0};
    const float floats[] = {1.5f, -2, FLT_MAX, 0};
    const double doubles[] = {1.5, -2, DBL_MAX, 0};
    const uint64_t longs[] = {1, UINT64_MAX};
    put_head(&b, SDX_F32, SHAPE(4)), put_blob(&b, FLOATS, floats, sizeof floats);
    expect_bytes(&b, floats, sizeof floats, "float_data");
    put_head(&b, SDX_F32, SHAPE(1)), put_tag(&b, FLOATS, 5), put(&b, floats, 4);
    expect_bytes(&b, floats, 4, "float_data, not packed");
    put_head(&b, SDX_C64, SHAPE(2)), put_blob(&b, FLOATS, floats, sizeof floats);
    expect_bytes(&b, floats, sizeof floats, "complex64");
    put_head(&b, SDX_F64, SHAPE(4)), put_blob(&b, DOUBLES, doubles, sizeof doubles);
    expect_bytes(&b, doubles, sizeof doubles, "double_data");
    put_head(&b, SDX_C128, SHAPE(2)), put_blob(&b, DOUBLES, doubles, sizeof doubles);
    expect_bytes(&b, doubles, sizeof doubles, "complex128");
    put_head(&b, SDX_I64, SHAPE(2)), put_varints(&b, INT64S, 2, (int64_t[]){-1, INT64_MAX});
    expect_bytes(&b, (int64_t[]){-1, INT64_MAX}, 16, "int64_data");
    put_head(&b, SDX_I32, SHAPE(2)), put_varints(&b, INT32S, 2, (int64_t[]){INT32_MIN, 7});
    expect_bytes(&b, (int32_t[]){INT32_MIN, 7}, 8, "int32_data");
    put_head(&b, SDX_U64, SHAPE(2)), put_varints(&b, UINT64S, 2, (int64_t[]){1, -1});
    expect_bytes(&b, longs, sizeof longs, "uint64_data");
    put_head(&b, SDX_U32, SHAPE(2)), put_varints(&b, UINT64S, 2, (int64_t[]){1, UINT32_MAX});
    expect_bytes(&b, (uint32_t[]){1, UINT32_MAX}, 8, "uint32 in uint64_data");
    put_head(&b, SDX_U32, SHAPE(1)), put_varints(&b, UINT64S, 1, (int64_t[]){(int64_t)UINT32_MAX + 1});
    expect_refusal(&b, SDX_MALFORMED, "element 0 is 4294967296; u32 holds 0 to 4294967295");
    put_head(&b, SDX_F32, SHAPE(4)), put_blob(&b, FLOATS, floats, 12);
    expect_refusal(&b, SDX_MALFORMED, "float_data has 3 entries; f32[4] takes 4");
    put_head(&b, SDX_C64, SHAPE(2)), put_blob(&b, FLOATS, floats, 8);
    expect_refusal(&b, SDX_MALFORMED, "float_data has 2 entries; c64[2] takes 4");
}

static void narrow_int32_data(void **state) {
    (void)state;
    static const struct {
        int dtype;
        int64_t low, high;
    } rows[] = {{SDX_U8, 0, 255},         {SDX_I8, -128, 127},  {SDX_U16, 0, 65535},      {SDX_I16, -32768, 32767},
                {SDX_BOOL, 0, 1},         {SDX_F16, 0, 65535},  {SDX_BF16, 0, 65535},     {SDX_F8E4M3FN, 0, 255},
                {SDX_F8E4M3FNUZ, 0, 255}, {SDX_F8E5M2, 0, 255}, {SDX_F8E5M2FNUZ, 0, 255}, {SDX_F8E8M0, 0, 255},
                {SDX_F6E2M3, 0, 63},      {SDX_F6E3M2, 0, 63}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t width = sdx_dtype_size((sdx_dtype)rows[i].dtype);
        unsigned char wanted[4];
        memcpy(wanted, &rows[i].low, width);
        memcpy(wanted + width, &rows[i].high, width);
        bytes b = {0};
        put_head(&b, rows[i].dtype, SHAPE(2)), put_varints(&b, INT32S, 2, (int64_t[]){rows[i].low, rows[i].high});
        expect_bytes(&b, wanted, 2 * width, sdx_dtype_name((sdx_dtype)rows[i].dtype));
        put_head(&b, rows[i].dtype, SHAPE(1)), put_varints(&b, INT32S, 1, (int64_t[]){rows[i].high + 1});
        expect_refusal(&b, SDX_MALFORMED, "entry 0 of int32_data is");
        put_head(&b, rows[i].dtype, SHAPE(1)), put_varints(&b, INT32S, 1, (int64_t[]){rows[i].low - 1});
        expect_refusal(&b, SDX_MALFORMED, "entry 0 of int32_data is");
    }
}

static void strings(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_error error = {0};
    sdx_value *value = NULL;
    bytes b = {0};
    sdx_memory_init(&memory, 0);
    put_head(&b, SDX_STRING, SHAPE(3));
    put_text(&b, STRINGS, "one"), put_text(&b, STRINGS, ""), put_blob(&b, STRINGS, "t\0o\xff", 4);
    assert_int_equal(take_initializer(&b, NULL, &memory, &error, &value), SDX_OK);
    const sdx_string *got = value->tensor.data;
    assert_int_equal(got[0].size, 3), assert_memory_equal(got[0].data, "one", 3);
    assert_int_equal(got[1].size, 0), assert_non_null(got[1].data);
    assert_int_equal(got[2].size, 4), assert_memory_equal(got[2].data, "t\0o\xff", 4);
    sdx_value_release(value);
    assert_int_equal(sdx_memory_used(&memory), 0);
    put_head(&b, SDX_STRING, SHAPE(1)), put_raw(&b, "one", 3);
    expect_refusal(&b, SDX_MALFORMED, "strings are in raw_data; they must be in string_data");
    put_head(&b, SDX_STRING, SHAPE(2)), put_text(&b, STRINGS, "one");
    expect_refusal(&b, SDX_MALFORMED, "string_data has 1 entries; string[2] takes 2");
    put_head(&b, SDX_F32, SHAPE(1)), put_text(&b, STRINGS, "one");
    expect_refusal(&b, SDX_MALFORMED, "elements of f32[1] are in string_data; they must be in float_data or raw_data");
}

static void empty_tensors(void **state) {
    (void)state;
    bytes b = {0};
    put_head(&b, SDX_F32, SHAPE(3, 0));
    expect_bytes(&b, "", 0, "no elements, no field");
    put_head(&b, SDX_F32, SHAPE(3, 0)), put_raw(&b, "", 0);
    expect_bytes(&b, "", 0, "no elements, empty raw_data");
    put_head(&b, SDX_STRING, SHAPE(0));
    expect_bytes(&b, "", 0, "no strings");
    put_head(&b, SDX_F32, SHAPE(3, 0)), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_MALFORMED, "f32[3,0] has no elements and raw_data is set");
    put_head(&b, SDX_F32, SHAPE(2));
    expect_refusal(&b, SDX_MALFORMED, "no value field is set; f32[2] needs one");
}

static void broken_heads(void **state) {
    (void)state;
    bytes b = {0};
    put_int(&b, DIMS, 1), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_MALFORMED, "data_type is not given");
    put_head(&b, 0, SHAPE(1)), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_MALFORMED, "data_type is not given");
    put_head(&b, 99, SHAPE(1)), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_TYPE, "element type 99 does not exist");
    put_head(&b, -1, SHAPE(1)), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_TYPE, "element type -1 does not exist");
    put_int(&b, DIMS, -5), put_head(&b, SDX_F32, scalar_shape), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_SHAPE, "dimension 0 is -5");
    put_head(&b, SDX_F32, SHAPE(1LL << 32, 1LL << 32)), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_SHAPE, "product of the dimensions overflows");
    put_head(&b, SDX_F32, SHAPE(1LL << 32, 1LL << 32, 0));
    expect_refusal(&b, SDX_SHAPE, "product of the dimensions overflows");
    put_head(&b, SDX_F32, SHAPE(1LL << 61)), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_SHAPE, "overflows");
    put_head(&b, SDX_F32, SHAPE(1LL << 40)), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_MALFORMED, "raw_data has 4 bytes; f32[1099511627776] takes 4398046511104");
    for (int i = 0; i < 1000; i++) put_int(&b, DIMS, 1);
    put_head(&b, SDX_F32, scalar_shape), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_UNSUPPORTED, "rank is 1000");
    put_head(&b, SDX_F32, SHAPE(1)), put_text(&b, SEGMENT, ""), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_UNSUPPORTED, "segment");
    put_head(&b, SDX_F32, SHAPE(1)), put_int(&b, LOCATION, 2), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_MALFORMED, "data_location is 2");
}

static void fields_and_sizes(void **state) {
    (void)state;
    bytes b = {0};
    put_head(&b, SDX_F32, SHAPE(1)), put_raw(&b, "abcd", 4), put_blob(&b, FLOATS, "abcd", 4);
    expect_refusal(&b, SDX_MALFORMED, "2 value fields are set");
    put_head(&b, SDX_F32, SHAPE(2, 2)), put_raw(&b, "abcdefghijklmno", 15);
    expect_refusal(&b, SDX_MALFORMED, "raw_data has 15 bytes; f32[2,2] takes 16");
    put_head(&b, SDX_F32, SHAPE(2, 2)), put_raw(&b, "abcdefghijklmnopq", 17);
    expect_refusal(&b, SDX_MALFORMED, "raw_data has 17 bytes; f32[2,2] takes 16");
    put_head(&b, SDX_I64, SHAPE(1)), put_varints(&b, INT32S, 1, (int64_t[]){1});
    expect_refusal(&b, SDX_MALFORMED, "elements of i64[1] are in int32_data; they must be in int64_data");
    put_head(&b, SDX_BOOL, SHAPE(3)), put_raw(&b, "\0\1\2", 3);
    expect_refusal(&b, SDX_MALFORMED, "element 2 is 2; a bool must be 0 or 1");
    put_head(&b, SDX_F32, SHAPE(1)), put_int(&b, LOCATION, 1), put_raw(&b, "abcd", 4);
    expect_refusal(&b, SDX_MALFORMED, "its data is external and raw_data is set too");
    put_head(&b, SDX_STRING, SHAPE(1)), put_int(&b, LOCATION, 1);
    expect_refusal(&b, SDX_MALFORMED, "strings are in an external file");
}

/* A megabyte of weights must not be copied on its way out of the message. */
static void large_payloads_move(void **state) {
    (void)state;
    enum { COUNT = 1 << 18 };
    float *weights = malloc(COUNT * sizeof *weights);
    assert_non_null(weights);
    for (int i = 0; i < COUNT; i++) weights[i] = (float)i;
    static const struct {
        unsigned field;
        int dtype;
        int64_t count;
    } forms[] = {
        {RAW, SDX_F32, COUNT}, {FLOATS, SDX_F32, COUNT}, {DOUBLES, SDX_F64, COUNT / 2}, {RAW, SDX_I64, COUNT / 2}};
    for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++) {
        sdx_memory memory;
        sdx_error error = {0};
        sdx_proto *proto = NULL;
        sdx_value *value = NULL;
        bytes b = {0};
        sdx_memory_init(&memory, 0);
        put_head(&b, forms[k].dtype, SHAPE(forms[k].count));
        put_blob(&b, forms[k].field, weights, COUNT * sizeof *weights);
        assert_int_equal(decode_part(&b, GRAPH_INITIALIZER, NULL, &memory, &error, &proto), SDX_OK);
        Onnx__TensorProto *tensor = sdx_proto_model(proto)->graph->initializer[0];
        const void *payload = forms[k].field == RAW      ? (void *)tensor->raw_data.data
                              : forms[k].field == FLOATS ? (void *)tensor->float_data
                                                         : (void *)tensor->double_data;
        size_t used = sdx_memory_used(&memory);
        assert_int_equal(sdx_proto_take_tensor(proto, tensor, &error, &value), SDX_OK);
        assert_ptr_equal(value->tensor.data, payload);
        assert_in_range(sdx_memory_used(&memory) - used, 0, 1024);
        assert_false(tensor->has_raw_data || tensor->n_float_data || tensor->n_double_data);
        sdx_value *again = NULL;
        assert_int_equal(sdx_proto_take_tensor(proto, tensor, &error, &again), SDX_MALFORMED);
        sdx_proto_free(proto);
        assert_memory_equal(value->tensor.data, weights, COUNT * sizeof *weights);
        sdx_value_release(value);
        assert_int_equal(sdx_memory_used(&memory), 0);
        assert_in_range(sdx_memory_peak(&memory), 1, COUNT * sizeof *weights + (1 << 18));
    }
    free(weights);
}

static void memory_limit_holds(void **state) {
    (void)state;
    unsigned char *weights = calloc(1, 1 << 20);
    sdx_memory memory;
    sdx_error error = {0};
    sdx_proto *proto = NULL;
    bytes b = {0};
    sdx_memory_init(&memory, 1 << 19);
    put_head(&b, SDX_U8, SHAPE(1 << 20)), put_raw(&b, weights, 1 << 20);
    assert_int_equal(decode_part(&b, GRAPH_INITIALIZER, NULL, &memory, &error, &proto), SDX_LIMIT);
    assert_non_null(strstr(error.message, "the limit is 524288"));
    assert_int_equal(sdx_memory_peak(&memory) <= 1 << 19, 1);
    assert_int_equal(sdx_memory_used(&memory), 0);
    free(weights);
}

/* The same for numbers that are varints in the file. */
static void large_varints_move(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    static int64_t numbers[COUNT];
    static const struct {
        unsigned field;
        int dtype;
        int64_t factor;
    } forms[] = {{INT32S, SDX_I32, -1000003}, {INT64S, SDX_I64, -(1LL << 50)}, {UINT64S, SDX_U64, 1LL << 50}};
    for (size_t k = 0; k < 3; k++) {
        int32_t narrow[COUNT];
        bytes b = {0};
        for (int i = 0; i < COUNT; i++) narrow[i] = (int32_t)(numbers[i] = i * forms[k].factor);
        put_head(&b, forms[k].dtype, SHAPE(COUNT)), put_varints(&b, forms[k].field, COUNT, numbers);
        if (k == 0)
            expect_bytes(&b, narrow, sizeof narrow, "int32_data");
        else
            expect_bytes(&b, numbers, sizeof numbers, "64-bit numbers");
    }
}

/* A file is refused by its size before it is read. */
static void refuses_huge_files(void **state) {
    (void)state;
    char path[] = "/tmp/sardonyx-decode-XXXXXX";
    sdx_memory memory;
    sdx_error error = {0};
    sdx_source source;
    sdx_proto *proto = NULL;
    int fd = mkstemp(path);
    sdx_memory_init(&memory, 0);
    assert_true(fd >= 0);
    if (ftruncate(fd, 1LL << 31)) skip();
    close(fd);
    assert_int_equal(sdx_source_open(path, &error, &source), SDX_OK);
    unlink(path);
    assert_int_equal(sdx_proto_decode(&source, NULL, &memory, &error, &proto), SDX_MALFORMED);
    assert_non_null(strstr(error.message, "2147483648 bytes; protobuf allows 2147483647"));
    assert_in_range(sdx_memory_peak(&memory), 0, 8192);
    sdx_source_close(&source);
}

/* values f32[n], indices i64[dims of `index_dims`], dense `dims` */
static void put_sparse(bytes *b, size_t n, size_t n_index, const int64_t *indices, const int64_t *index_dims,
                       const int64_t *dims) {
    static const float ones[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    bytes values = {0}, at = {0};
    put_head(&values, SDX_F32, SHAPE((int64_t)n));
    if (n) put_blob(&values, RAW, ones, n * sizeof *ones);
    put_message(b, 1, &values);
    put_head(&at, SDX_I64, index_dims);
    if (n_index) put_varints(&at, INT64S, n_index, indices);
    put_message(b, 2, &at);
    for (; *dims != -1; dims++) put_int(b, 3, *dims);
}

static void expect_sparse(bytes *b, sdx_status status, const char *words) {
    sdx_memory memory;
    sdx_error error = {0};
    sdx_value *value = NULL;
    sdx_memory_init(&memory, 0);
    sdx_status got = take_sparse_initializer(b, &memory, &error, &value);
    if (got != status || !strstr(error.message, words))
        fail_msg("%s: '%s'; wanted %s and '%s'", sdx_status_text(got), error.message, sdx_status_text(status), words);
    if (!got) {
        assert_int_equal(value->kind, SDX_SPARSE_TENSOR);
        assert_int_equal(value->tensor.rank, 2);
        assert_int_equal(value->n_items, 2);
    }
    sdx_value_release(value);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static void sparse_tensors(void **state) {
    (void)state;
    bytes b = {0};
    put_sparse(&b, 2, 2, (int64_t[]){1, 5}, SHAPE(2), SHAPE(2, 3));
    expect_sparse(&b, SDX_OK, "");
    put_sparse(&b, 2, 4, (int64_t[]){0, 2, 1, 0}, SHAPE(2, 2), SHAPE(2, 3));
    expect_sparse(&b, SDX_OK, "");
    put_sparse(&b, 0, 0, NULL, SHAPE(0), SHAPE(2, 3));
    expect_sparse(&b, SDX_OK, "");
    put_sparse(&b, 2, 2, (int64_t[]){1, 6}, SHAPE(2), SHAPE(2, 3));
    expect_sparse(&b, SDX_VALUE, "must ascend from 1 and be below 6");
    put_sparse(&b, 2, 2, (int64_t[]){-1, 5}, SHAPE(2), SHAPE(2, 3));
    expect_sparse(&b, SDX_VALUE, "linear index -1");
    put_sparse(&b, 2, 2, (int64_t[]){5, 1}, SHAPE(2), SHAPE(2, 3));
    expect_sparse(&b, SDX_VALUE, "must ascend from 5");
    put_sparse(&b, 2, 2, (int64_t[]){5, 5}, SHAPE(2), SHAPE(2, 3));
    expect_sparse(&b, SDX_VALUE, "must ascend");
    put_sparse(&b, 1, 2, (int64_t[]){0, 3}, SHAPE(1, 2), SHAPE(2, 3));
    expect_sparse(&b, SDX_VALUE, "index 3 of value 0 is outside dimension 1 of 3");
    put_sparse(&b, 2, 1, (int64_t[]){1}, SHAPE(1), SHAPE(2, 3));
    expect_sparse(&b, SDX_SHAPE, "indices must be [2] or [2,2]");
    put_sparse(&b, 1, 1, (int64_t[]){1}, SHAPE(1), SHAPE(1LL << 40, 1LL << 40));
    expect_sparse(&b, SDX_SHAPE, "overflows");
    put_sparse(&b, 1, 1, (int64_t[]){1}, SHAPE(1), scalar_shape);
    expect_sparse(&b, SDX_UNSUPPORTED, "dense rank is 0");
    put_sparse(&b, 2, 3, (int64_t[]){0, 2, 1}, SHAPE(2, 2), SHAPE(2, 3));
    expect_sparse(&b, SDX_MALFORMED, "indices of the sparse tensor: int64_data has 3 entries; i64[2,2] takes 4");
    put_int(&b, 3, 2);
    expect_sparse(&b, SDX_MALFORMED, "the values are missing");
    for (int64_t n = 0; n < 2; n++) { /* only without values may the indices be missing */
        bytes values = {0};
        put_head(&values, SDX_F32, SHAPE(n));
        if (n) put_blob(&values, RAW, "abcd", 4);
        put_message(&b, 1, &values);
        put_int(&b, 3, 2), put_int(&b, 3, 3);
        expect_sparse(&b, n ? SDX_MALFORMED : SDX_OK, n ? "the indices of its values are missing" : "");
    }
}

/* A model with a bit of everything: nodes, attributes, a body, types, functions, tensors in four forms. */
static void put_model(bytes *b) {
    bytes graph = {0}, node = {0}, attribute = {0}, tensor = {0}, type = {0}, shape = {0}, dim = {0}, info = {0};
    put_text(&node, 1, "X"), put_text(&node, 2, "Y"), put_text(&node, 4, "Relu");
    put_text(&attribute, 1, "alpha"), put_int(&attribute, 20, 7), put_int(&attribute, 8, 3), put_int(&attribute, 8, -1);
    put_message(&node, 5, &attribute);
    put_text(&attribute, 1, "body"), put_text(&attribute, 6, "");
    put_message(&node, 5, &attribute);
    put_message(&graph, 1, &node);
    put_head(&tensor, SDX_F32, SHAPE(2)), put_blob(&tensor, RAW, "abcdefgh", 8);
    put_message(&graph, GRAPH_INITIALIZER, &tensor);
    put_head(&tensor, SDX_U4, SHAPE(3)), put_varints(&tensor, INT32S, 2, (int64_t[]){0x21, 3});
    put_message(&graph, GRAPH_INITIALIZER, &tensor);
    put_head(&tensor, SDX_STRING, SHAPE(2)), put_text(&tensor, STRINGS, "a"), put_text(&tensor, STRINGS, "bc");
    put_message(&graph, GRAPH_INITIALIZER, &tensor);
    unsigned char wide[2048] = {0};
    put_head(&tensor, SDX_F16, SHAPE(1024)), put_blob(&tensor, RAW, wide, sizeof wide);
    put_message(&graph, GRAPH_INITIALIZER, &tensor);
    put_text(&dim, 2, "N");
    put_message(&shape, 1, &dim);
    put_int(&type, 1, 1), put_message(&type, 2, &shape);
    wrap(&type, 1);
    put_text(&info, 1, "X"), put_message(&info, 2, &type);
    put_message(&graph, 11, &info);
    put_sparse(&tensor, 2, 2, (int64_t[]){1, 5}, SHAPE(2), SHAPE(2, 3));
    put_message(&graph, GRAPH_SPARSE, &tensor);
    put_int(b, 1, 8), put_text(b, 2, "test"), put_message(b, MODEL_GRAPH, &graph);
    put_text(b, 8, "\x10\x11");
}

/* Decodes and takes every tensor; what comes out must only be a status. */
static sdx_status load(const unsigned char *data, size_t size, sdx_memory *memory) {
    sdx_error error = {0};
    sdx_source source;
    sdx_proto *proto = NULL;
    sdx_source_from_memory(data, size, &source);
    sdx_status status = sdx_proto_decode(&source, NULL, memory, &error, &proto);
    const Onnx__GraphProto *graph = status ? NULL : sdx_proto_model(proto)->graph;
    for (size_t i = 0; graph && i < graph->n_initializer + graph->n_sparse_initializer; i++) {
        sdx_value *value = NULL;
        sdx_error own = {0};
        sdx_status got =
            i < graph->n_initializer
                ? sdx_proto_take_tensor(proto, graph->initializer[i], &own, &value)
                : sdx_proto_take_sparse(proto, graph->sparse_initializer[i - graph->n_initializer], &own, &value);
        assert_true((got == SDX_OK) == (value != NULL) && (got == SDX_OK) == (own.message[0] == '\0'));
        sdx_value_release(value);
        if (got) status = got;
    }
    sdx_proto_free(proto);
    assert_int_equal(sdx_memory_used(memory), 0);
    return status;
}

static void every_prefix(void **state) {
    (void)state;
    bytes b = {0};
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    put_model(&b);
    assert_int_equal(load(b.data, b.size, &memory), SDX_OK);
    size_t refused = 0;
    for (size_t size = 0; size < b.size; size++) {
        unsigned char *exact = malloc(size ? size : 1); /* so that reading past the end is seen */
        memcpy(exact, b.data, size);
        refused += load(exact, size, &memory) != SDX_OK;
        free(exact);
    }
    assert_in_range(refused, b.size - 16, b.size);
    drop(&b);
}

static void every_bit(void **state) {
    (void)state;
    bytes b = {0};
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    put_model(&b);
    for (size_t bit = 0; bit < b.size * 8; bit++) {
        b.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        load(b.data, b.size, &memory);
        b.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_int_equal(load(b.data, b.size, &memory), SDX_OK);
    drop(&b);
}

static void every_allocation(void **state) {
    (void)state;
    bytes b = {0};
    sdx_memory memory;
    put_model(&b);
    int64_t n = 1;
    for (sdx_status status = SDX_OUT_OF_MEMORY; status != SDX_OK; n++) {
        sdx_memory_init(&memory, 0);
        atomic_store(&memory.fail_after, n);
        status = load(b.data, b.size, &memory);
        if (status != SDX_OK && status != SDX_OUT_OF_MEMORY)
            fail_msg("allocation %d: %s", (int)n, sdx_status_text(status));
        assert_true(n < 1000);
    }
    assert_true(n > 10);
    drop(&b);
}

static void not_protobuf(void **state) {
    (void)state;
    static const char *const texts[] = {"{\"graph\": {\"node\": []}}", "PK\x03\x04", "\x89PNG\r\n", "\x1f\x8b\x08"};
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(load((const unsigned char *)texts[i], strlen(texts[i]), &memory), SDX_MALFORMED);
    assert_int_equal(load((const unsigned char *)"", 0, &memory),
                     SDX_OK); /* an empty message; the loader misses a graph */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_data_of_every_dtype),
        cmocka_unit_test(packed_elements),
        cmocka_unit_test(typed_fields),
        cmocka_unit_test(narrow_int32_data),
        cmocka_unit_test(strings),
        cmocka_unit_test(empty_tensors),
        cmocka_unit_test(broken_heads),
        cmocka_unit_test(fields_and_sizes),
        cmocka_unit_test(large_payloads_move),
        cmocka_unit_test(memory_limit_holds),
        cmocka_unit_test(large_varints_move),
        cmocka_unit_test(refuses_huge_files),
        cmocka_unit_test(sparse_tensors),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(every_bit),
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(not_protobuf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
