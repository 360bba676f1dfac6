/* SPDX-License-Identifier: Apache-2.0
 * The table of element types: numbers of TensorProto.DataType, names, sizes, classes. */
#include "runtime/base/dtype.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void rows_agree(void **state) {
    (void)state;
    for (int i = 1; i < SDX_DTYPE_COUNT; i++) {
        sdx_dtype d = (sdx_dtype)i;
        const char *name = sdx_dtype_name(d);
        assert_true(sdx_dtype_valid(i));
        assert_int_equal(sdx_dtype_parse(name, strlen(name)), d);
        assert_true(strlen(sdx_dtype_onnx_name(d)) >= 4);
        assert_int_not_equal(sdx_dtype_class(d), SDX_CLASS_NONE);
        int bits = sdx_dtype_bits(d);
        if (d == SDX_STRING)
            assert_int_equal(bits, 0);
        else
            assert_int_equal(sdx_dtype_size(d), bits < 8 ? 1 : bits / 8);
        for (int k = 1; k < i; k++) {
            assert_string_not_equal(name, sdx_dtype_name((sdx_dtype)k));
            assert_string_not_equal(sdx_dtype_onnx_name(d), sdx_dtype_onnx_name((sdx_dtype)k));
        }
    }
}

static void numbers_out_of_range(void **state) {
    (void)state;
    static const int64_t bad[] = {0, -1, SDX_DTYPE_COUNT, 1000, INT64_MIN, INT64_MAX, (INT64_C(1) << 32) + 1};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(sdx_dtype_valid(bad[i]));
    assert_string_equal(sdx_dtype_name((sdx_dtype)-5), "undefined");
    assert_int_equal(sdx_dtype_size((sdx_dtype)99), 0);
    assert_int_equal(sdx_dtype_parse("f3", 2), SDX_UNDEFINED);
    assert_int_equal(sdx_dtype_parse("f32x", 3), SDX_F32);
    assert_int_equal(sdx_dtype_parse("undefined", 9), SDX_UNDEFINED);
    assert_int_equal(sdx_dtype_parse("", 0), SDX_UNDEFINED);
}

static void numbers_of_onnx(void **state) {
    (void)state;
    static const char *const names[] = {
        "float",      "uint8",      "int8",         "uint16",         "int16",      "int32",          "int64",
        "string",     "bool",       "float16",      "double",         "uint32",     "uint64",         "complex64",
        "complex128", "bfloat16",   "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4",
        "int4",       "float4e2m1", "float8e8m0",   "uint2",          "int2",       "float6e2m3",     "float6e3m2"};
    for (int i = 1; i < SDX_DTYPE_COUNT; i++) assert_string_equal(sdx_dtype_onnx_name((sdx_dtype)i), names[i - 1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_agree), cmocka_unit_test(numbers_out_of_range),
                                       cmocka_unit_test(numbers_of_onnx)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
