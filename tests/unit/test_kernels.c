/* SPDX-License-Identifier: Apache-2.0
 * The table: every row is filled at every level, and a level may only be lower than the machine's. Data movement and
 * depthwise kernels at each level against plain loops, for lengths around the vector sizes. */
#include "ops/kernels/kernels.h"
#include "runtime/base/half.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void each_level(void (*fn)(const sdx_kernels *)) {
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++)
        if (sdx_kernels_at((sdx_isa)isa, &kernels)) fn(&kernels);
}

static void filled_at(const sdx_kernels *kernels) {
    for (int k = 0; k < SDX_KERNEL_ROWS; k++) {
        assert_non_null(kernels->origin[k]);
        assert_true(strlen(sdx_kernels_row_name(k)) > 0);
        if (kernels->cpu.isa == SDX_ISA_GENERIC) assert_string_equal(kernels->origin[k], "generic");
    }
#define SDX_KERNEL(levels, result, name, ...) assert_true(kernels->name != NULL);
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL
}
static void filled(void **unused) {
    (void)unused;
    each_level(filled_at);
    sdx_kernels above;
    sdx_cpu cpu = sdx_cpu_detect();
    for (int isa = (int)cpu.isa + 1; isa < SDX_ISA_COUNT; isa++) assert_false(sdx_kernels_at((sdx_isa)isa, &above));
    assert_int_equal(sdx_kernels_get()->cpu.isa, cpu.isa);
}

/* Every 16-bit float there and back, and the rounding of values between them. */
static void conversions_at(const sdx_kernels *kernels) {
    enum { ALL = 65536 };
    uint16_t *bits = malloc(ALL * sizeof *bits), *back = malloc(ALL * sizeof *back);
    float *wide = malloc(ALL * sizeof *wide);
    assert_true(bits && back && wide);
    for (int k = 0; k < ALL; k++) bits[k] = (uint16_t)k;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        (bf16 ? kernels->f32_from_bf16 : kernels->f32_from_f16)(bits, wide, ALL);
        for (int k = 0; k < ALL; k++) {
            float want = bf16 ? sdx_f32_from_bf16(bits[k]) : sdx_f32_from_f16(bits[k]);
            if (!(isnan(want) ? isnan(wide[k]) : wide[k] == want)) fail_msg("%04x becomes %g", k, (double)wide[k]);
        }
        for (int k = 0; k < ALL - 1; k++) wide[k] = wide[k] * 0.5f + wide[k + 1] * 0.5f;
        (bf16 ? kernels->bf16_from_f32 : kernels->f16_from_f32)(wide, back, ALL - 3);
        for (int k = 0; k < ALL - 3; k++) {
            uint16_t want = bf16 ? sdx_bf16_from_f32(wide[k]) : sdx_f16_from_f32(wide[k]);
            if (!isnan(wide[k]) && back[k] != want)
                fail_msg("%a becomes %04x, not %04x", (double)wide[k], back[k], want);
        }
    }
    double many[37];
    for (int k = 0; k < 37; k++) many[k] = (k - 18) * 1e38 / 3 + 1e-9 * k;
    kernels->f32_from_f64(many, wide, 37);
    for (int k = 0; k < 37; k++) assert_true(wide[k] == (float)many[k]);
    kernels->f64_from_f32(wide, many, 35);
    for (int k = 0; k < 35; k++) assert_true(many[k] == (double)wide[k]);
    free(bits), free(back), free(wide);
}
static void conversions(void **unused) {
    (void)unused;
    each_level(conversions_at);
}

enum { ROOM = 4096 };

static void packing_at(const sdx_kernels *kernels) {
    uint32_t x[ROOM], y[ROOM];
    for (uint32_t k = 0; k < ROOM; k++) x[k] = k + 1;
    for (int width = 4; width <= 32; width += 7)
        for (int64_t rows = 1; rows < 40; rows += 3)
            for (int64_t depth = 1; depth < 40; depth += 6)
                for (int turn = 0; turn < 2; turn++) {
                    int64_t rs = turn ? 1 : depth + 2, ks = turn ? rows + 1 : 1, panel = depth * width;
                    if ((rows / width + 1) * panel > ROOM) continue;
                    memset(y, 0xff, sizeof y);
                    kernels->pack_32(x, rs, ks, rows, depth, width, panel, y);
                    for (int64_t r = 0; r < (rows + width - 1) / width * width; r++)
                        for (int64_t q = 0; q < depth; q++) {
                            uint32_t got = y[r / width * panel + q * width + r % width];
                            assert_int_equal(got, r < rows ? x[r * rs + q * ks] : 0);
                        }
                    assert_int_equal(y[(rows + width - 1) / width * panel], UINT32_MAX);
                }
}
static void packing(void **unused) {
    (void)unused;
    each_level(packing_at);
}

static void turning_at(const sdx_kernels *kernels) {
    enum { MOST = 27, WIDE = 40 };
    uint32_t x[MOST * WIDE], y[MOST * WIDE];
    for (uint32_t k = 0; k < MOST * WIDE; k++) x[k] = k + 1;
    for (int64_t rows = 0; rows < MOST; rows++)
        for (int64_t columns = 0; columns < MOST; columns++) {
            memset(y, 0xff, sizeof y);
            kernels->turn_32(x, WIDE, rows, columns, y, WIDE);
            for (int64_t c = 0; c < MOST; c++)
                for (int64_t r = 0; r < WIDE; r++)
                    assert_int_equal(y[c * WIDE + r], r < rows && c < columns ? x[r * WIDE + c] : UINT32_MAX);
        }
}
static void turning(void **unused) {
    (void)unused;
    each_level(turning_at);
}

static void gathering_at(const sdx_kernels *kernels) {
    float x[ROOM], y[ROOM];
    uint16_t narrow[ROOM];
    for (int k = 0; k < ROOM; k++) x[k] = (float)(k % 200), narrow[k] = sdx_bf16_from_f32(x[k]);
    for (int64_t step = 1; step < 4; step++)
        for (int64_t n = 0; n < 40; n++)
            for (int bf16 = 0; bf16 < 2; bf16++) {
                const int64_t left = n % 3, right = n % 5, row = left + n + right + 2;
                for (int k = 0; k < ROOM; k++) y[k] = -1;
                (bf16 ? kernels->gather_bf16 : kernels->gather_32)(bf16 ? (const void *)narrow : x, step, 130, 3, left,
                                                                   n, right, y, row);
                for (int64_t r = 0; r < 3; r++)
                    for (int64_t k = 0; k < row; k++) {
                        bool inside = k >= left && k < left + n;
                        float want = inside ? x[r * 130 + (k - left) * step] : k < left + n + right ? 0 : -1;
                        if (y[r * row + k] != want)
                            fail_msg("%s step %d n %d: (%d, %d) is %g, not %g", kernels->origin[SDX_ROW_gather_32],
                                     (int)step, (int)n, (int)r, (int)k, (double)y[r * row + k], (double)want);
                    }
            }
}
static void gathering(void **unused) {
    (void)unused;
    each_level(gathering_at);
}

static void check_depthwise(const sdx_kernels *kernels, int64_t size, int64_t stride, int64_t dilation,
                            int64_t columns) {
    enum { ROWS = 7 };
    float w[49], y[ROWS * 64];
    const int64_t extent = (size - 1) * dilation + 1, pitch = (columns - 1) * stride + extent;
    const int64_t lines = (ROWS - 1) * stride + extent;
    float *x = calloc((size_t)(lines * pitch) + 64, sizeof *x);
    assert_non_null(x);
    for (int64_t k = 0; k < lines * pitch; k++) x[k] = (float)((k * 7 + 3) % 23) - 11;
    for (int64_t k = 0; k < size * size; k++) w[k] = (float)((k * 5) % 13) - 6;
    sdx_depthwise p = {.x = x,
                       .w = w,
                       .y = y,
                       .x_pitch = pitch,
                       .y_pitch = columns,
                       .rows = ROWS,
                       .columns = columns,
                       .kernel = {size, size},
                       .stride = {stride, stride},
                       .dilation = {dilation, dilation},
                       .bias = 2,
                       .clamp = true,
                       .low = -150,
                       .high = 170};
    kernels->depthwise_f32(&p);
    for (int64_t k = 0; k < ROWS * columns; k++) {
        double want = 2;
        for (int64_t u = 0; u < size; u++)
            for (int64_t v = 0; v < size; v++)
                want += (double)w[u * size + v] *
                        (double)x[(k / columns * stride + u * dilation) * pitch + k % columns * stride + v * dilation];
        want = want < -150 ? -150 : want > 170 ? 170 : want;
        if ((double)y[k] != want)
            fail_msg("%s %d x %d / %d, dilation %d, %d columns: element %d is %g, not %g",
                     kernels->origin[SDX_ROW_depthwise_f32], (int)size, (int)size, (int)stride, (int)dilation,
                     (int)columns, (int)k, (double)y[k], want);
    }
    free(x);
}
static void depthwise_at(const sdx_kernels *kernels) {
    for (int64_t size = 1; size <= 7; size++)
        for (int64_t stride = 1; stride <= 3; stride++)
            for (int64_t dilation = 1; dilation <= 2; dilation++)
                for (int64_t columns = 1; columns < 40; columns += 5)
                    check_depthwise(kernels, size, stride, dilation, columns);
}
static void depthwise(void **unused) {
    (void)unused;
    each_level(depthwise_at);
}

/* One row of outputs against the definition: windows over two rows of three, padded on both sides, with NaN in x. */
static void pool_row_case(const sdx_kernels *kernels, sdx_pool_row row, int64_t in) {
    float line[256 + SDX_POOL_ROOM], most[64], total[64];
    row.in = in, row.line = line;
    row.y = most, kernels->pool_max_row_f32(&row);
    row.y = total, kernels->pool_sum_row_f32(&row);
    for (int64_t o = 0; o < row.n; o++) {
        float max = -INFINITY, sum = 0;
        for (int64_t r = 0; r < row.n_rows; r++)
            for (int64_t k = 0; k < row.taps; k++) {
                const int64_t at = o * row.stride + k * row.dilation - row.begin;
                if (at < 0 || at >= in) continue;
                const float v = row.x[row.rows[r] + at];
                sum += v;
                if (v > max || isnan(v) || isnan(max)) max = isnan(max) ? max : v;
            }
        if (!(isnan(max) ? isnan(most[o]) : most[o] == max) || !(isnan(sum) ? isnan(total[o]) : total[o] == sum))
            fail_msg("stride %d, output %d of %d: %g and %g, not %g and %g", (int)row.stride, (int)o, (int)row.n,
                     (double)most[o], (double)total[o], (double)max, (double)sum);
    }
}

static void pooling_at(const sdx_kernels *kernels) {
    float x[300], y[64];
    for (int k = 0; k < 300; k++) x[k] = k % 59 == 5 ? NAN : (float)((k * 37) % 101) - 60;
    const int64_t rows[] = {0, 100, 203};
    sdx_pool_row row = {.x = x, .rows = rows};
    for (row.n_rows = 0; row.n_rows < 4; row.n_rows++)
        for (row.stride = 1; row.stride < 4; row.stride++)
            for (row.n = 1; row.n < 36; row.n++)
                for (row.begin = 0; row.begin < 4; row.begin++) {
                    row.taps = 1 + (row.n + row.begin) % 5, row.dilation = 1 + row.n % 2;
                    const int64_t spans = (row.n - 1) * row.stride + (row.taps - 1) * row.dilation + 1;
                    for (int64_t end = 0; end < 3; end++) {
                        const int64_t in = spans - row.begin - end;
                        if (in >= 0 && in <= 97) pool_row_case(kernels, row, in);
                    }
                }
    for (int64_t n = 0; n < 60; n++) {
        for (int k = 0; k < 64; k++) y[k] = k % 7 == 3 ? NAN : 5;
        kernels->pool_max_f32(x, n, y);
        for (int64_t k = 0; k < 64; k++) {
            const float before = k % 7 == 3 ? NAN : 5, v = k < n ? x[k] : -INFINITY;
            assert_true(isnan(before) || isnan(v) ? isnan(y[k]) : y[k] == (v > before ? v : before));
        }
    }
}
static void pooling(void **unused) {
    (void)unused;
    each_level(pooling_at);
}

/* sample: places anywhere, -1 among them; blend: rows with a step. For f32 and f64, against sums in f64. */
static void resampling_at(const sdx_kernels *kernels) {
    enum { N = 41, TAPS = 3, X = 97 };
    float x[X], w[TAPS * N], y[N];
    double x64[X], w64[TAPS * N], y64[N];
    int32_t place[TAPS * N];
    for (int k = 0; k < X; k++) x64[k] = (double)(x[k] = (float)(k * 37 % 101) - 50);
    for (int k = 0; k < TAPS * N; k++) {
        w64[k] = (double)(w[k] = (float)(k * 29 % 17) / 8);
        place[k] = k * 53 % (X + 1) - 1;
    }
    for (int64_t n = 0; n <= N; n++) {
        kernels->sample_f32(x, place, w, TAPS, N, n, y);
        kernels->sample_f64(x64, place, w64, TAPS, N, n, y64);
        for (int64_t i = 0; i < n; i++) {
            double want = 0;
            for (int64_t k = 0; k < TAPS; k++)
                want += place[k * N + i] < 0 ? 0 : w64[k * N + i] * x64[place[k * N + i]];
            if ((double)y[i] != want || y64[i] != want)
                fail_msg("sample of %d: result %d is %g and %g, not %g", (int)n, (int)i, (double)y[i], y64[i], want);
        }
        for (int add = 0; add < 2; add++) {
            for (int64_t i = 0; i < n; i++) y64[i] = (double)(y[i] = 7);
            kernels->blend_f32(x, 25, w, TAPS, n, add, y);
            kernels->blend_f64(x64, 25, w64, TAPS, n, add, y64);
            for (int64_t i = 0; i < n; i++) {
                double want = add ? 7 : 0;
                for (int64_t k = 0; k < TAPS; k++) want += w64[k] * x64[k * 25 + i];
                if ((double)y[i] != want || y64[i] != want)
                    fail_msg("blend of %d: result %d is %g and %g, not %g", (int)n, (int)i, (double)y[i], y64[i], want);
            }
        }
    }
}
static void resampling(void **unused) {
    (void)unused;
    each_level(resampling_at);
}

static void vectors_at(const sdx_kernels *kernels) {
    enum { K = 37, N = 83 };
    float x[K], b[K * N], turned[N * K], y[N], z[N];
    for (int k = 0; k < K; k++) x[k] = (float)(k % 5) - 2;
    for (int k = 0; k < K * N; k++) b[k] = (float)(k % 11) - 5, turned[k % N * K + k / N] = b[k];
    for (int64_t n = 1; n <= N; n += 9)
        for (int64_t k = 1; k <= K; k += 3) {
            kernels->gemv_rows_f32(x, b, N, k, n, y);
            kernels->gemv_columns_f32(x, turned, K, k, n, z);
            for (int64_t j = 0; j < n; j++) {
                float want = 0;
                for (int64_t q = 0; q < k; q++) want += x[q] * b[q * N + j];
                assert_true(y[j] == want && z[j] == want);
            }
        }
}
static void vectors(void **unused) {
    (void)unused;
    each_level(vectors_at);
}

static void pool_match(void **state) {
    (void)state;
    enum { N = 70 };
    float x[3 * N], y[N];
    int32_t where[N];
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        sdx_kernels kernels;
        if (!sdx_kernels_at((sdx_isa)isa, &kernels)) continue;
        for (int64_t step = 1; step <= 3; step++)
            for (int64_t n = 0; n < N; n++) {
                for (int64_t k = 0; k < n * step; k++) x[k] = (float)(k % 5);
                for (int64_t k = 0; k < n; k++) {
                    y[k] = k % 3 ? x[k * step] : x[k * step] + 1;
                    where[k] = -7;
                    if (k % 11 == 4) x[k * step] = NAN;
                    if (k % 11 == 4 || k % 11 == 5) y[k] = NAN;
                }
                kernels.pool_match_f32(x, step, n, y, 42, where);
                for (int64_t k = 0; k < n; k++) {
                    const int32_t want = isnan(x[k * step]) || x[k * step] == y[k] ? 42 : -7;
                    if (where[k] != want)
                        fail_msg("%s step %d n %d: element %d is %d, not %d", sdx_isa_name((sdx_isa)isa), (int)step,
                                 (int)n, (int)k, (int)where[k], (int)want);
                }
            }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pool_match),  cmocka_unit_test(filled),
                                       cmocka_unit_test(conversions), cmocka_unit_test(packing),
                                       cmocka_unit_test(turning),     cmocka_unit_test(gathering),
                                       cmocka_unit_test(depthwise),   cmocka_unit_test(pooling),
                                       cmocka_unit_test(resampling),  cmocka_unit_test(vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
