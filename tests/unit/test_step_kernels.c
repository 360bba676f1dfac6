/* SPDX-License-Identifier: Apache-2.0
 * The kernels of training steps at every level this machine has: the same bits as the generic ones, in place and not,
 * for every length up to a few vectors. (What they compute, test_train_optimizer says.) */
#include "ops/kernels/kernels.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

enum { MOST = 70, ARRAYS = 5, KINDS = 7 };

typedef void (*step_fn)(const sdx_training_step *, int64_t);
static const char *const names[KINDS] = {"sgd", "adam", "adagrad", "rmsprop", "lion", "lamb", "apply"};

static step_fn function_of(const sdx_kernels *k, int kind, bool wide) {
    const step_fn f32[KINDS] = {k->step_sgd_f32,  k->step_adam_f32, k->step_adagrad_f32, k->step_rmsprop_f32,
                                k->step_lion_f32, k->step_lamb_f32, k->step_apply_f32};
    const step_fn f64[KINDS] = {k->step_sgd_f64,  k->step_adam_f64, k->step_adagrad_f64, k->step_rmsprop_f64,
                                k->step_lion_f64, k->step_lamb_f64, k->step_apply_f64};
    return wide ? f64[kind] : f32[kind];
}

typedef struct arrays {
    double in[ARRAYS][MOST], out[ARRAYS][MOST], metric[MOST]; /* w g s0 s1 s2 */
} arrays;

static void fill(arrays *a, bool wide) {
    memset(a, 0, sizeof *a);
    for (int i = 0; i < ARRAYS; i++)
        for (int k = 0; k < MOST; k++) {
            const double x = sin(i * 7 + 3.0 * k) + (i >= 2 ? 1.5 : 0);
            if (wide)
                a->in[i][k] = x;
            else
                ((float *)a->in[i])[k] = (float)x;
        }
    if (wide)
        a->in[1][3] = NAN, a->in[0][5] = -INFINITY;
    else
        ((float *)a->in[1])[3] = NAN, ((float *)a->in[0])[5] = -INFINITY;
}

/* `how` picks the settings. */
static void run(arrays *a, step_fn fn, int kind, int how, int64_t n, bool wide, bool in_place) {
    sdx_training_step step = {.rate = .125, .decay = .01, .keep = .99, .beta1 = .9, .beta2 = .75, .momentum = .5};
    step.gain = .75, step.root = .625, step.eps = 1e-3, step.l1 = .05, step.l2 = .25;
    step.prox = (how & 4) != 0;
    fill(a, wide);
    step.w = a->in[0], step.g = a->in[1];
    step.w_new = in_place ? a->in[0] : a->out[0];
    if (how == 7) step.metric = a->metric;
    for (int s = 0; s < 3; s++) step.s[s] = a->in[2 + s], step.s_new[s] = in_place ? a->in[2 + s] : a->out[2 + s];
    step.nesterov = step.centered = step.amsgrad = (how & 1) != 0;
    if (kind == 0 && !(how & 2)) step.s[0] = NULL;
    if (kind == 3 && !(how & 2)) step.s[2] = NULL;
    if (kind == 6 && !(how & 2)) step.s[0] = NULL;
    fn(&step, n);
    if (in_place) memcpy(a->out, a->in, sizeof a->out);
}

static void test_levels(void **unused) {
    (void)unused;
    static arrays want, got;
    sdx_kernels generic, kernels;
    assert_true(sdx_kernels_at((sdx_isa)0, &generic));
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        if (!sdx_kernels_at((sdx_isa)isa, &kernels)) continue;
        for (int all = 0; all < KINDS * 8 * 4; all++) {
            const int kind = all / 32, how = all / 4 % 8;
            const bool wide = all & 1, in_place = all & 2;
            for (int64_t n = 0; n <= MOST; n += n < 40 ? 1 : 10) {
                run(&want, function_of(&generic, kind, wide), kind, how, n, wide, in_place);
                run(&got, function_of(&kernels, kind, wide), kind, how, n, wide, in_place);
                const size_t size = wide ? sizeof(double) : sizeof(float);
                for (int i = 0; i < ARRAYS; i++)
                    for (int64_t k = 0; k < n; k++) {
                        const char *x = (const char *)want.out[i] + (size_t)k * size;
                        const char *y = (const char *)got.out[i] + (size_t)k * size;
                        const double xv =
                            wide ? ((const double *)want.out[i])[k] : (double)((const float *)want.out[i])[k];
                        const double yv =
                            wide ? ((const double *)got.out[i])[k] : (double)((const float *)got.out[i])[k];
                        if (memcmp(x, y, size) != 0 && !(isnan(xv) && isnan(yv)))
                            fail_msg("%s, settings %d, %s, n = %lld: array %d differs at %lld: %.17g and %.17g",
                                     names[kind], how, sdx_isa_name((sdx_isa)isa), (long long)n, i, (long long)k, xv,
                                     yv);
                    }
            }
        }
    }
}

static double near_of(bool wide, const void *x, int64_t k) {
    return wide ? ((const double *)x)[k] : (double)((const float *)x)[k];
}

/* The group kernel of every level against its formula. */
static void test_group(void **unused) {
    (void)unused;
    static arrays a;
    const double extra = .25, c = .5, s = 1.75;
    sdx_kernels kernels;
    for (int all = 0; all < SDX_ISA_COUNT * 4; all++) {
        const bool wide = all & 1, with_metric = all & 2;
        if (!sdx_kernels_at((sdx_isa)(all / 4), &kernels)) continue;
        for (int64_t n = 0; n <= MOST; n++) {
            double squares[MOST], slopes[MOST];
            fill(&a, wide);
            sdx_group_step step = {.w = a.in[2], .extra = extra, .c = c, .s = s, .squares = squares, .slopes = slopes};
            if (with_metric) step.metric = a.in[3];
            (wide ? kernels.step_group_f64 : kernels.step_group_f32)(&step, n);
            step.w_new = a.out[0];
            (wide ? kernels.step_group_f64 : kernels.step_group_f32)(&step, n);
            for (int64_t k = 0; k < n; k++) {
                const double d = (with_metric ? near_of(wide, a.in[3], k) : 1) + extra, below = d * s + c;
                const double v = d * near_of(wide, a.in[2], k) / below, moved = near_of(wide, a.out[0], k);
                if (!(fabs(squares[k] - v * v) <= 1e-15 * (1 + v * v)) ||
                    !(fabs(slopes[k] - v * v * d / below) <= 1e-15 * (1 + v * v)) ||
                    !(fabs(moved - v * s) <= (wide ? 1e-15 : 1e-7) * (1 + fabs(v * s))))
                    fail_msg("group, %s, n = %d: element %d is %.17g, %.17g, %.17g", sdx_isa_name((sdx_isa)(all / 4)),
                             (int)n, (int)k, squares[k], slopes[k], moved);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels), cmocka_unit_test(test_group)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
