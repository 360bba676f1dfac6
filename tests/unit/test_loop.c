/* SPDX-License-Identifier: Apache-2.0
 * Walks, conversions and elementwise loops: positions against a plain odometer, every chunking, both step kinds. */
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include "runtime/base/half.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_collapse(void **state) {
    (void)state;
    const int64_t dims[5] = {2, 1, 3, 4, 1}, row[2] = {4, 1};
    sdx_walk walk;
    sdx_walk_begin(&walk, 5, dims);
    sdx_walk_add_dense(&walk, 5, dims);
    sdx_walk_collapse(&walk);
    assert_int_equal(walk.rank, 1);
    assert_int_equal(walk.dim[0], 24);
    sdx_walk_begin(&walk, 5, dims);
    sdx_walk_add_dense(&walk, 5, dims);
    sdx_walk_add_dense(&walk, 2, row);
    sdx_walk_collapse(&walk);
    assert_int_equal(walk.rank, 2);
    assert_int_equal(walk.dim[0], 6);
    assert_int_equal(walk.dim[1], 4);
    assert_int_equal(walk.stride[1][0], 0);
    sdx_walk_begin(&walk, 0, dims);
    sdx_walk_add_dense(&walk, 0, dims);
    sdx_walk_collapse(&walk);
    assert_int_equal(walk.rank, 1);
    assert_int_equal(walk.count, 1);
}

/* Offsets of every element, for runs from every start, against indices taken apart by hand. */
static void test_cursor(void **state) {
    (void)state;
    const int64_t dims[3] = {3, 4, 5}, strides[3] = {7, -2, 0};
    sdx_walk walk;
    sdx_walk_begin(&walk, 3, dims);
    sdx_walk_add(&walk, strides);
    sdx_walk_add_dense(&walk, 3, dims);
    sdx_walk_collapse(&walk);
    for (int64_t begin = 0; begin < walk.count; begin++) {
        sdx_cursor at;
        sdx_cursor_seek(&walk, begin, &at);
        for (int64_t k = begin, n; k < walk.count; k += n, sdx_cursor_move(&walk, &at, n)) {
            n = sdx_cursor_run(&walk, &at, 2);
            assert_in_range(n, 1, 2);
            assert_int_equal(at.offset[0], k / 20 * 7 - k / 5 % 4 * 2);
            assert_int_equal(at.offset[1], k);
        }
    }
}

static void test_axis_view(void **state) {
    (void)state;
    const int64_t dims[4] = {2, 3, 5, 7};
    sdx_axis_view view = sdx_view_axis(4, dims, 2);
    assert_int_equal(view.outer, 6);
    assert_int_equal(view.n, 5);
    assert_int_equal(view.inner, 7);
    assert_int_equal(sdx_grain(1), SDX_GRAIN_CHEAP);
    assert_int_equal(sdx_grain(1LL << 40), 1);
}

static void test_convert(void **state) {
    (void)state;
    const sdx_kernels *kernels = sdx_kernels_get();
    const double wide[6] = {1e30, -1e30, NAN, 2.9, -2.9, 255.5};
    int8_t narrow[6];
    uint8_t bytes[6];
    sdx_convert(kernels, SDX_F64, wide, SDX_I8, narrow, 6);
    assert_memory_equal(narrow, ((int8_t[]){127, -128, 0, 2, -2, 127}), 6);
    sdx_convert(kernels, SDX_F64, wide, SDX_U8, bytes, 6);
    assert_memory_equal(bytes, ((uint8_t[]){255, 0, 0, 2, 0, 255}), 6);
    const int64_t whole[3] = {-1, 257, INT64_MIN};
    sdx_convert(kernels, SDX_I64, whole, SDX_U8, bytes, 3);
    assert_memory_equal(bytes, ((uint8_t[]){255, 1, 0}), 3);
    uint16_t half[1000], back[1000];
    float single[1000];
    for (int k = 0; k < 1000; k++) half[k] = (uint16_t)(k * 31);
    sdx_convert(kernels, SDX_F16, half, SDX_F32, single, 1000);
    for (int k = 0; k < 1000; k++) assert_true(single[k] == sdx_f32_from_f16(half[k]));
    sdx_convert(kernels, SDX_F32, single, SDX_F16, back, 1000);
    assert_memory_equal(half, back, sizeof half);
}

static void add_piece(const void *context, int64_t n, void *const *at, const int64_t *step) {
    (void)context;
    const float *a = at[1], *b = at[2];
    float *y = at[0];
    for (int64_t i = 0; i < n; i++) y[i] = a[i * step[1]] + 100 * b[i * step[2]];
}

/* y[i][j][k] = a[i][j][k] + 100 b[..]: every way of spreading b over [6][5][width], dtypes f32 and f16. */
static void check_loop(int64_t width, const int64_t *b_dims, sdx_dtype dtype) {
    static float a[6 * 5 * 70], b[6 * 5 * 70], y[6 * 5 * 70], unpacked[6 * 5 * 70];
    static uint16_t a16[6 * 5 * 70], b16[6 * 5 * 70], y16[6 * 5 * 70];
    const sdx_kernels *kernels = sdx_kernels_get();
    const int64_t dims[3] = {6, 5, width};
    sdx_error error = {0};
    sdx_tensor ta, tb, ty;
    bool narrow = dtype == SDX_F16;
    assert_int_equal(sdx_tensor_make(&ta, dtype, 3, dims, narrow ? (void *)a16 : a, &error), SDX_OK);
    assert_int_equal(sdx_tensor_make(&tb, dtype, 3, b_dims, narrow ? (void *)b16 : b, &error), SDX_OK);
    assert_int_equal(sdx_tensor_make(&ty, dtype, 3, dims, narrow ? (void *)y16 : y, &error), SDX_OK);
    for (int64_t k = 0; k < ta.count; k++) a[k] = (float)(k % 13);
    for (int64_t k = 0; k < tb.count; k++) b[k] = (float)(k % 7);
    sdx_convert(kernels, SDX_F32, a, SDX_F16, a16, ta.count);
    sdx_convert(kernels, SDX_F32, b, SDX_F16, b16, tb.count);
    sdx_compute compute = {.error = &error, .kernels = kernels};
    sdx_loop loop;
    sdx_loop_begin(&loop, &ty, SDX_F32);
    sdx_loop_add(&loop, &ta, SDX_F32);
    sdx_loop_add(&loop, &tb, SDX_F32);
    assert_int_equal(sdx_loop_run(&compute, &loop, 37, add_piece, NULL), SDX_OK);
    sdx_convert(kernels, SDX_F16, y16, SDX_F32, unpacked, ty.count);
    const float *result = narrow ? unpacked : y;
    for (int64_t k = 0; k < ty.count; k++) {
        int64_t i = k / (5 * width), j = k / width % 5, l = k % width;
        int64_t from =
            ((b_dims[0] > 1 ? i : 0) * b_dims[1] + (b_dims[1] > 1 ? j : 0)) * b_dims[2] + (b_dims[2] > 1 ? l : 0);
        float wanted = a[k] + 100 * b[from];
        if (result[k] != wanted)
            fail_msg("width %d, b [%d,%d,%d], %s: element %d is %g, wanted %g", (int)width, (int)b_dims[0],
                     (int)b_dims[1], (int)b_dims[2], sdx_dtype_name(dtype), (int)k, (double)result[k], (double)wanted);
    }
}

static void test_broadcast(void **state) {
    (void)state;
    static const int64_t widths[] = {1, 3, 31, 32, 70};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
        for (int spread = 0; spread < 8; spread++) {
            const int64_t b_dims[3] = {spread & 1 ? 1 : 6, spread & 2 ? 1 : 5, spread & 4 ? 1 : widths[w]};
            check_loop(widths[w], b_dims, SDX_F32);
            check_loop(widths[w], b_dims, SDX_F16);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_collapse), cmocka_unit_test(test_cursor),
                                       cmocka_unit_test(test_axis_view), cmocka_unit_test(test_convert),
                                       cmocka_unit_test(test_broadcast)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
