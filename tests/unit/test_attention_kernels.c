/* SPDX-License-Identifier: Apache-2.0
 * Kernels of attention.inc, and attend_row_f32, at every level this machine has, against plain double precision. */
#include "ops/kernels/kernels.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants setjmp.h to stdint.h */
#include <cmocka.h>

enum { PITCH = 32, ROWS = 67, MOST = 200 };

static void near(const char *what, const sdx_kernels *kernels, int64_t k, double got, double wanted) {
    if (got == wanted || fabs(got - wanted) <= 2e-6 * fmax(1, fabs(wanted))) return;
    printf("%s at %s, element %lld: %.9g; wanted %.9g\n", what, sdx_isa_name(kernels->cpu.isa), (long long)k, got,
           wanted);
    fail();
}

/* -inf now and then. */
static float score(int64_t k) { return k % 5 == 3 ? -INFINITY : (float)(sin((double)k * 1.3) * 9); }

static void at_every_level(void (*check)(const sdx_kernels *kernels)) {
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++)
        if (sdx_kernels_at((sdx_isa)isa, &kernels)) check(&kernels);
}

/* Two tiles one after the other are the softmax of both; lane 1 sees nothing, lane 2 nothing in the first. */
static void check_lanes(const sdx_kernels *kernels) {
    int mr, nr;
    kernels->gemm_shape(sizeof(float), &mr, &nr);
    for (int lanes = nr / 2; lanes <= nr; lanes += nr / 2) {
        static float tile[2][ROWS * PITCH], before[2][ROWS * PITCH];
        float max[PITCH], sum[PITCH] = {0}, carry[2][PITCH];
        for (int j = 0; j < PITCH; j++) max[j] = -INFINITY;
        for (int t = 0; t < 2; t++)
            for (int64_t k = 0; k < ROWS * PITCH; k++) {
                int lane = (int)(k % PITCH);
                tile[t][k] = lane == 1 || (lane == 2 && t == 0) ? -INFINITY : score(k + t * 1000);
            }
        memcpy(before, tile, sizeof tile);
        for (int t = 0; t < 2; t++) kernels->attend_lanes_f32(tile[t], ROWS, PITCH, lanes, max, sum, carry[t]);
        for (int j = 0; j < lanes; j++) {
            double most = -INFINITY, total = 0;
            for (int64_t k = 0; k < 2 * ROWS; k++) most = fmax(most, (double)before[k / ROWS][k % ROWS * PITCH + j]);
            double shift = most == -INFINITY ? 0 : most;
            for (int64_t k = 0; k < 2 * ROWS; k++) total += exp((double)before[k / ROWS][k % ROWS * PITCH + j] - shift);
            near("the maximum", kernels, j, (double)max[j], most);
            near("the sum", kernels, j, (double)sum[j], total);
            for (int64_t k = 0; k < 2 * ROWS; k++) {
                double e = (double)tile[k / ROWS][k % ROWS * PITCH + j] * (k < ROWS ? (double)carry[1][j] : 1);
                near("an exponential", kernels, k, e, exp((double)before[k / ROWS][k % ROWS * PITCH + j] - shift));
            }
        }
    }
}

static void check_carry(const sdx_kernels *kernels) {
    float s[2 * PITCH], max[PITCH], sum[PITCH], carry[PITCH], y[3 * PITCH];
    for (int j = 0; j < PITCH; j++) s[j] = s[PITCH + j] = 1, max[j] = 2, sum[j] = 1;
    assert_false(kernels->attend_lanes_f32(s, 2, PITCH, PITCH, max, sum, carry));
    for (int j = 0; j < PITCH; j++) s[j] = j == 5 ? 3 : 1, s[PITCH + j] = 1;
    assert_true(kernels->attend_lanes_f32(s, 2, PITCH, PITCH, max, sum, carry));
    for (int k = 0; k < 3 * PITCH; k++) y[k] = (float)k;
    kernels->scale_lanes_f32(y, 3, PITCH, PITCH, carry);
    for (int k = 0; k < 3 * PITCH; k++)
        near("scale_lanes_f32", kernels, k, (double)y[k], k * (k % PITCH == 5 ? exp(-1) : 1));
    s[0] = NAN;
    kernels->attend_lanes_f32(s, 2, PITCH, PITCH, max, sum, carry);
    assert_true(isnan(sum[0]) && !isnan(sum[1]));
}

static void check_row(const sdx_kernels *kernels) {
    for (int64_t n = 0; n < MOST; n += n < 70 ? 1 : 57) {
        float s[MOST], max, sum;
        double most = -INFINITY, total = 0;
        for (int64_t k = 0; k < n; k++) s[k] = score(k), most = fmax(most, (double)s[k]);
        for (int64_t k = 0; k < n; k++) total += exp((double)s[k] - most);
        kernels->attend_row_f32(s, n, &max, &sum);
        near("the maximum of a row", kernels, n, (double)max, most);
        near("the sum of a row", kernels, n, (double)sum, total);
        for (int64_t k = 0; k < n; k++) near("a row", kernels, k, (double)s[k], exp((double)score(k) - most));
        for (int64_t k = 0; k < n; k++) s[k] = -INFINITY;
        kernels->attend_row_f32(s, n, &max, &sum);
        assert_true(sum == 0 && max == -INFINITY);
    }
}

static void check_bias(const sdx_kernels *kernels) {
    for (int64_t n = 0; n < 40; n++) {
        float s[40] = {0}, bias[40] = {0};
        for (int64_t k = 0; k < n; k++) {
            s[k] = k % 7 == 3 ? NAN : k % 7 == 1 ? INFINITY : (float)k;
            bias[k] = k % 7 == 3 || k % 7 == 1 || k % 7 == 5 ? -INFINITY : 0.5F;
        }
        kernels->add_bias_f32(s, bias, n);
        for (int64_t k = 0; k < n; k++)
            near("add_bias_f32", kernels, k, (double)s[k], bias[k] == -INFINITY ? -INFINITY : (double)k + 0.5);
    }
}

static void check_state(const sdx_kernels *kernels) {
    enum { R = 5, WIDE = 150 };
    static float s[R * WIDE];
    float decay[R], k[R], q[R], v[WIDE], y[WIDE], again[WIDE];
    for (int r = 0; r < R; r++) decay[r] = 0.5F + (float)r, k[r] = (float)cos(r), q[r] = (float)sin(r + 1);
    for (int j = 0; j < WIDE; j++) v[j] = (float)j / 9;
    for (int64_t n = 1; n < WIDE; n += n < 40 ? 1 : 13)
        for (int with = 0; with < 2; with++) {
            for (int i = 0; i < R * WIDE; i++) s[i] = (float)sin(i);
            kernels->state_step_f32(s, R, n, WIDE, with ? decay : NULL, k, v, with ? q : NULL, with ? y : NULL);
            for (int i = 0; i < R * WIDE; i++) {
                double was = (double)(float)sin(i), keep = with ? (double)decay[i / WIDE] : 1;
                double want = i % WIDE < n ? keep * was + (double)k[i / WIDE] * (double)v[i % WIDE] : was;
                near("state_step_f32", kernels, i, (double)s[i], want);
            }
            kernels->state_read_f32(s, R, n, WIDE, q, again);
            for (int64_t j = 0; j < n; j++) {
                double want = 0;
                for (int r = 0; r < R; r++) want += (double)q[r] * (double)s[r * WIDE + j];
                near("state_read_f32", kernels, j, (double)again[j], want);
                if (with) near("what state_step_f32 reads", kernels, j, (double)y[j], want);
            }
        }
}

static void check_rotate(const sdx_kernels *kernels) {
    for (int64_t half = 1; half < 40; half++)
        for (int together = 0; together < 2; together++) {
            float x[80], y[80], c[40], s[40];
            for (int64_t k = 0; k < 2 * half; k++) x[k] = (float)sin((double)k);
            for (int64_t k = 0; k < half; k++) c[k] = (float)cos((double)k * 2), s[k] = (float)sin((double)k * 2);
            kernels->rotate_f32(x, c, s, y, half, together);
            for (int64_t k = 0; k < half; k++) {
                int64_t a = together ? 2 * k : k, b = together ? 2 * k + 1 : k + half;
                double u = (double)x[a], v = (double)x[b], cosine = (double)c[k], sine = (double)s[k];
                near("rotate_f32", kernels, a, (double)y[a], cosine * u - sine * v);
                near("rotate_f32", kernels, b, (double)y[b], sine * u + cosine * v);
            }
            kernels->rotate_f32(x, c, s, x, half, together);
            assert_memory_equal(x, y, (size_t)(2 * half) * sizeof *x);
        }
}

static void lanes(void **state) { (void)state, at_every_level(check_lanes), at_every_level(check_carry); }
static void rows(void **state) { (void)state, at_every_level(check_row), at_every_level(check_bias); }
static void states(void **state) { (void)state, at_every_level(check_state); }
static void rotations(void **state) { (void)state, at_every_level(check_rotate); }

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lanes), cmocka_unit_test(rows), cmocka_unit_test(states),
                                       cmocka_unit_test(rotations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
