/* SPDX-License-Identifier: Apache-2.0
 * Kernels of norm.inc and softmax.inc at every level this machine has, against plain double precision. */
#include "ops/kernels/kernels.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants the four above */
#include <cmocka.h>

enum { MOST = 300 };

static float x[MOST], y[MOST], scale[MOST], bias[MOST];
static double want[MOST];

static void near(const char *what, sdx_isa isa, int64_t n, double got, double wanted, double tolerance) {
    if (fabs(got - wanted) <= tolerance * fmax(1, fabs(wanted))) return;
    printf("%s at %s, n = %lld: %.9g; wanted %.9g\n", what, sdx_isa_name(isa), (long long)n, got, wanted);
    fail();
}

static void make(int64_t n, double middle) {
    for (int64_t k = 0; k < n; k++) {
        x[k] = (float)(middle + sin((double)k * 1.7) * 3);
        scale[k] = (float)cos((double)k);
        bias[k] = (float)(k % 7) - 3;
    }
}

static void sums(const sdx_kernels *kernels, int64_t n) {
    double sum = 0, absolute = 0, squares = 0;
    for (int64_t k = 0; k < n; k++) {
        sum += (double)x[k], absolute += fabs((double)x[k]);
        squares += ((double)x[k] - 0.5) * ((double)x[k] - 0.5);
    }
    near("wide_sum_f32", kernels->cpu.isa, n, kernels->wide_sum_f32(x, n), sum, 1e-12);
    near("abs_sum_f32", kernels->cpu.isa, n, kernels->abs_sum_f32(x, n), absolute, 1e-12);
    near("square_sum_f32", kernels->cpu.isa, n, kernels->square_sum_f32(x, n, 0.5), squares, 1e-12);
}

static void rows(const sdx_kernels *kernels, int64_t n, double middle) {
    kernels->normalize_f32(x, y, n, middle + 0.01, 0.5, 2);
    for (int64_t k = 0; k < n; k++)
        near("normalize_f32", kernels->cpu.isa, n, (double)y[k], ((double)x[k] - middle - 0.01) * 0.5 + 2, 1e-6);
    kernels->normalize_row_f32(x, y, n, middle - 0.01, 0.5, scale, bias);
    for (int64_t k = 0; k < n; k++)
        near("normalize_row_f32", kernels->cpu.isa, n, (double)y[k],
             ((double)x[k] - middle + 0.01) * 0.5 * (double)scale[k] + (double)bias[k], 1e-6);
    kernels->normalize_row_f32(x, y, n, middle, 0.5, scale, NULL);
    for (int64_t k = 0; k < n; k++)
        near("normalize_row_f32 without bias", kernels->cpu.isa, n, (double)y[k],
             ((double)x[k] - middle) * 0.5 * (double)scale[k], 1e-6);
}

/* Two lines, x and as much of x as is left: each by its own mean and variance. */
static void own_rows(const sdx_kernels *kernels, int64_t n) {
    const int64_t each = n / 2;
    double mean[2], r[2];
    if (each == 0) return;
    kernels->normalize_rows_f32(x, y, each, 2, 1e-3, scale, bias, mean, r);
    for (int64_t line = 0; line < 2; line++) {
        const float *from = x + line * each;
        double sum = 0, squares = 0;
        for (int64_t k = 0; k < each; k++) sum += (double)from[k] / (double)each;
        for (int64_t k = 0; k < each; k++) squares += ((double)from[k] - sum) * ((double)from[k] - sum);
        const double by = 1 / sqrt(squares / (double)each + 1e-3);
        near("normalize_rows_f32: mean", kernels->cpu.isa, each, mean[line], sum, 1e-12);
        near("normalize_rows_f32: r", kernels->cpu.isa, each, r[line], by, 1e-9);
        for (int64_t k = 0; k < each; k++)
            near("normalize_rows_f32", kernels->cpu.isa, each, (double)y[line * each + k],
                 ((double)from[k] - sum) * by * (double)scale[k] + (double)bias[k], 1e-5);
    }
}

/* g is y here. */
static void back(const sdx_kernels *kernels, int64_t n, double middle) {
    double sum = 0, dot = 0, got[2] = {1, 2};
    static float to[MOST], total[MOST];
    for (int64_t k = 0; k < n; k++) {
        y[k] = (float)sin((double)k * 0.9);
        total[k] = to[k] = 1;
        sum += (double)y[k] * (double)scale[k];
        dot += (double)y[k] * (double)scale[k] * ((double)x[k] - middle);
    }
    kernels->norm_sums_f32(y, scale, x, n, middle, got);
    near("norm_sums_f32, sum", kernels->cpu.isa, n, got[0], 1 + sum, 1e-6);
    near("norm_sums_f32, dot", kernels->cpu.isa, n, got[1], 2 + dot, 1e-5);
    kernels->norm_collect_f32(y, x, n, middle, 0.5, to, total);
    for (int64_t k = 0; k < n; k++) {
        near("norm_collect_f32, scale", kernels->cpu.isa, n, (double)to[k],
             1 + (double)y[k] * ((double)x[k] - middle) * 0.5, 1e-6);
        near("norm_collect_f32, bias", kernels->cpu.isa, n, (double)total[k], 1 + (double)y[k], 1e-6);
    }
    kernels->norm_back_f32(y, NULL, x, to, n, middle, 2, 3, 4);
    for (int64_t k = 0; k < n; k++)
        near("norm_back_f32 without s", kernels->cpu.isa, n, (double)to[k],
             2 * (double)y[k] + 3 * ((double)x[k] - middle) + 4, 1e-6);
    kernels->norm_back_f32(y, scale, x, to, n, middle, 2, 3, 4);
    for (int64_t k = 0; k < n; k++)
        near("norm_back_f32", kernels->cpu.isa, n, (double)to[k],
             2 * (double)y[k] * (double)scale[k] + 3 * ((double)x[k] - middle) + 4, 1e-6);
}

static void lines(const sdx_kernels *kernels, int64_t n) {
    double sum = 0, most = -INFINITY;
    for (int64_t k = 0; k < n; k++) most = fmax(most, (double)x[k]);
    for (int64_t k = 0; k < n; k++) sum += want[k] = exp((double)x[k] - most);
    kernels->softmax_f32(x, y, n);
    for (int64_t k = 0; k < n; k++) near("softmax_f32", kernels->cpu.isa, n, (double)y[k], want[k] / sum, 1e-6);
    kernels->log_softmax_f32(x, y, n);
    for (int64_t k = 0; k < n; k++)
        near("log_softmax_f32", kernels->cpu.isa, n, (double)y[k], (double)x[k] - most - log(sum), 1e-6);
}

static void every_length(void **state) {
    (void)state;
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        if (!sdx_kernels_at((sdx_isa)isa, &kernels)) continue;
        for (int64_t n = 0; n < MOST; n += n < 70 ? 1 : 57) {
            make(n, 0);
            sums(&kernels, n);
            rows(&kernels, n, 0);
            own_rows(&kernels, n);
            back(&kernels, n, 0.25);
            lines(&kernels, n);
            make(n, 1e6);
            rows(&kernels, n, 1e6);
            back(&kernels, n, 1e6);
        }
    }
}

/* y may be x. */
static void in_place(void **state) {
    (void)state;
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        if (!sdx_kernels_at((sdx_isa)isa, &kernels)) continue;
        make(131, 0);
        kernels.softmax_f32(x, y, 131);
        kernels.softmax_f32(x, x, 131);
        assert_memory_equal(x, y, 131 * sizeof x[0]);
        make(131, 0);
        kernels.log_softmax_f32(x, y, 131);
        kernels.log_softmax_f32(x, x, 131);
        assert_memory_equal(x, y, 131 * sizeof x[0]);
    }
}

static void extremes(void **state) {
    (void)state;
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        if (!sdx_kernels_at((sdx_isa)isa, &kernels)) continue;
        for (int64_t n = 1; n < 40; n++) {
            for (int64_t k = 0; k < n; k++) x[k] = -INFINITY;
            kernels.softmax_f32(x, y, n);
            for (int64_t k = 0; k < n; k++) assert_true(isnan(y[k]));
            for (int64_t k = 0; k < n; k++) x[k] = k % 2 ? -1e4F : 1e4F;
            kernels.softmax_f32(x, y, n);
            for (int64_t k = 0; k < n; k++)
                near("softmax_f32 of 1e4", kernels.cpu.isa, n, (double)y[k], k % 2 ? 0 : 1 / ceil((double)n / 2), 1e-6);
            x[n - 1] = NAN;
            kernels.softmax_f32(x, y, n);
            for (int64_t k = 0; k < n; k++) assert_true(isnan(y[k]));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_length), cmocka_unit_test(in_place),
                                       cmocka_unit_test(extremes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
