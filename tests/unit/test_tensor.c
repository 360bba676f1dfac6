/* SPDX-License-Identifier: Apache-2.0
 * Checks of shapes against overflow, and the texts of tensors and types. */
#include "runtime/base/tensor.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...)                                                                                                      \
    (const int64_t[]) { __VA_ARGS__ }

static void good_shapes(void **state) {
    (void)state;
    sdx_tensor t;
    assert_int_equal(sdx_tensor_make(&t, SDX_F32, 0, NULL, NULL, NULL), SDX_OK);
    assert_int_equal(t.count, 1);
    assert_int_equal(sdx_tensor_bytes(&t), 4);
    assert_int_equal(sdx_tensor_make(&t, SDX_F16, 3, DIMS(2, 3, 5), NULL, NULL), SDX_OK);
    assert_int_equal(t.count, 30);
    assert_int_equal(sdx_tensor_bytes(&t), 60);
    assert_int_equal(sdx_tensor_make(&t, SDX_I64, 3, DIMS(7, 0, 5), NULL, NULL), SDX_OK);
    assert_int_equal(t.count, 0);
    assert_int_equal(t.dim[0], 7);
    assert_int_equal(sdx_tensor_make(&t, SDX_U8, 1, DIMS(INT64_MAX), NULL, NULL), SDX_OK);
    assert_int_equal(t.count, INT64_MAX);
}

static void refused(sdx_status status, const char *word, sdx_dtype dtype, int rank, const int64_t *dims) {
    sdx_tensor t;
    sdx_error error = {0};
    char text[200];
    assert_int_equal(sdx_tensor_make(&t, dtype, rank, dims, NULL, &error), status);
    assert_int_equal(error.status, status);
    if (!strstr(error.message, word)) fail_msg("'%s' lacks '%s'", error.message, word);
    sdx_tensor_text(&t, text, sizeof text); /* a refused tensor can still be printed */
}

static void bad_shapes(void **state) {
    (void)state;
    refused(SDX_TYPE, "type 0", SDX_UNDEFINED, 1, DIMS(1));
    refused(SDX_TYPE, "type 29", SDX_DTYPE_COUNT, 1, DIMS(1));
    refused(SDX_UNSUPPORTED, "rank is 17", SDX_F32, 17, (const int64_t[17]){0});
    refused(SDX_UNSUPPORTED, "rank is -1", SDX_F32, -1, NULL);
    refused(SDX_SHAPE, "dimension 1 is -2", SDX_F32, 2, DIMS(3, -2));
    refused(SDX_SHAPE, "overflows", SDX_F32, 2, DIMS(INT64_MAX, 2));
    refused(SDX_SHAPE, "overflows", SDX_F32, 1, DIMS(INT64_MAX / 2));
    refused(SDX_SHAPE, "overflows", SDX_U8, 3, DIMS(INT64_C(1) << 40, INT64_C(1) << 40, 0));
}

static void tensor_texts(void **state) {
    (void)state;
    sdx_tensor t;
    char text[64];
    sdx_tensor_make(&t, SDX_F32, 4, DIMS(1, 3, 224, 224), NULL, NULL);
    assert_string_equal(sdx_tensor_text(&t, text, sizeof text), "f32[1,3,224,224]");
    sdx_tensor_make(&t, SDX_BF16, 0, NULL, NULL, NULL);
    assert_string_equal(sdx_tensor_text(&t, text, sizeof text), "bf16[]");
    sdx_tensor_make(&t, SDX_F32, 4, DIMS(1, 3, 224, 224), NULL, NULL);
    for (size_t capacity = 1; capacity < 20; capacity++) {
        memset(text, '#', sizeof text);
        sdx_tensor_text(&t, text, capacity);
        assert_int_equal(strlen(text), capacity - 1 < 16 ? capacity - 1 : 16);
        assert_int_equal(text[capacity], '#');
    }
}

static void type_texts(void **state) {
    (void)state;
    char text[64];
    sdx_type tensor = sdx_type_make(SDX_F32, 2), any = sdx_type_make(SDX_I64, -1), none = {0};
    tensor.dim[0] = -1;
    tensor.dim[1] = 4;
    sdx_type seq = {.kind = SDX_SEQUENCE, .elem = &any}, opt = {.kind = SDX_OPTIONAL, .elem = &seq};
    sdx_type map = {.kind = SDX_MAP, .key = SDX_I64, .dtype = SDX_F32, .rank = -1};
    sdx_type maps = {.kind = SDX_SEQUENCE, .elem = &map};
    sdx_type sparse = {.kind = SDX_SPARSE_TENSOR, .dtype = SDX_F32};
    assert_string_equal(sdx_type_text(&tensor, text, sizeof text), "f32[?,4]");
    assert_string_equal(sdx_type_text(&any, text, sizeof text), "i64");
    assert_string_equal(sdx_type_text(&none, text, sizeof text), "unknown");
    assert_string_equal(sdx_type_text(&seq, text, sizeof text), "seq(i64)");
    assert_string_equal(sdx_type_text(&opt, text, sizeof text), "opt(seq(i64))");
    assert_string_equal(sdx_type_text(&map, text, sizeof text), "map(i64,f32)");
    assert_string_equal(sdx_type_text(&maps, text, sizeof text), "seq(map(i64,f32))");
    assert_string_equal(sdx_type_text(&sparse, text, sizeof text), "sparse(f32)");
}

static void concrete_types(void **state) {
    (void)state;
    sdx_tensor t;
    sdx_tensor_make(&t, SDX_F32, 2, DIMS(3, 0), NULL, NULL);
    sdx_type type = sdx_type_of_tensor(&t);
    assert_true(sdx_type_concrete(&type));
    type.dim[1] = -2;
    assert_false(sdx_type_concrete(&type));
    type = sdx_type_make(SDX_F32, -1);
    assert_false(sdx_type_concrete(&type));
    type = sdx_type_make(SDX_UNDEFINED, 0);
    assert_false(sdx_type_concrete(&type));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_shapes), cmocka_unit_test(bad_shapes),
                                       cmocka_unit_test(tensor_texts), cmocka_unit_test(type_texts),
                                       cmocka_unit_test(concrete_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
