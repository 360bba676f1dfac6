/* SPDX-License-Identifier: Apache-2.0
 * The optimizers' kernels at every level this machine has, in place and not, against plain double precision. */
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

enum { MOST = 70 };
static const double rate = 0.1, alpha = 0.75, beta = 0.5, epsilon = 0.01, norm = 0.125, keep = 0.875;

typedef struct wanted {
    double x, v, h;
} wanted;

static wanted adagrad(double x, double g, double v, double h) {
    h += g * g;
    return (wanted){x - rate * g / (sqrt(h) + epsilon), v, h};
}
static wanted adam(double x, double g, double v, double h) {
    v = alpha * v + (1 - alpha) * g;
    h = beta * h + (1 - beta) * g * g;
    return (wanted){keep * (x - rate * v / (sqrt(h) + epsilon)), v, h};
}
static wanted momentum(double x, double g, double v, double h) {
    v = alpha * v + beta * g;
    return (wanted){x - rate * v, v, h};
}
static wanted nesterov(double x, double g, double v, double h) {
    v = alpha * v + beta * g;
    return (wanted){x - rate * (g + alpha * v), v, h};
}

static double get(const void *array, int64_t k, bool wide) {
    return wide ? ((const double *)array)[k] : (double)((const float *)array)[k];
}

static void put(void *array, int64_t k, bool wide, double value) {
    if (wide)
        ((double *)array)[k] = value;
    else
        ((float *)array)[k] = (float)value;
}

static void near(const char *what, const char *field, sdx_isa isa, int64_t n, int64_t k, double got, double want,
                 bool wide) {
    if (fabs(got - want) <= (wide ? 1e-14 : 1e-6) * fmax(1, fabs(want))) return;
    printf("%s at %s, %s, n = %lld: %s[%lld] is %.17g; wanted %.17g\n", what, sdx_isa_name(isa), wide ? "f64" : "f32",
           (long long)n, field, (long long)k, got, want);
    fail();
}

static void check(const char *what, sdx_isa isa, void (*kernel)(const sdx_preview_step *, int64_t),
                  wanted (*reference)(double, double, double, double), int64_t n, bool wide, bool in_place) {
    double x[MOST], g[MOST], v[MOST], h[MOST], x_new[MOST] = {0}, v_new[MOST] = {0}, h_new[MOST] = {0};
    wanted want[MOST];
    for (int64_t k = 0; k < n; k++) {
        put(x, k, wide, sin((double)k)), put(g, k, wide, cos(3 * (double)k) * 2);
        put(v, k, wide, sin(5 * (double)k)), put(h, k, wide, 1.5 + cos((double)k));
        const double xk = get(x, k, wide);
        want[k] = reference(xk, get(g, k, wide) + norm * xk, get(v, k, wide), get(h, k, wide));
    }
    sdx_preview_step update = {x, g, v, h, x_new, v_new, h_new, rate, alpha, beta, epsilon, norm, keep};
    if (in_place) update.x_new = x, update.v_new = v, update.h_new = h;
    kernel(&update, n);
    for (int64_t k = 0; k < n; k++) {
        near(what, "x", isa, n, k, get(update.x_new, k, wide), want[k].x, wide);
        if (reference != adagrad) near(what, "v", isa, n, k, get(update.v_new, k, wide), want[k].v, wide);
        if (reference == adagrad || reference == adam)
            near(what, "h", isa, n, k, get(update.h_new, k, wide), want[k].h, wide);
    }
}

static void updates(void **unused) {
    (void)unused;
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        if (!sdx_kernels_at((sdx_isa)isa, &kernels)) continue;
        for (int64_t n = 0; n < MOST; n++)
            for (int in_place = 0; in_place < 2; in_place++) {
#define BOTH(name)                                                                                                     \
    check(#name, (sdx_isa)isa, kernels.name##_f32, name, n, false, in_place);                                          \
    check(#name, (sdx_isa)isa, kernels.name##_f64, name, n, true, in_place)
                BOTH(adagrad);
                BOTH(adam);
                BOTH(momentum);
                BOTH(nesterov);
            }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(updates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
