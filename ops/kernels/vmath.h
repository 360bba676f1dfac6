/* SPDX-License-Identifier: Apache-2.0
 * Functions of f32 vectors, inline, for kernels that fuse them (softmax, activations at the store of a tile).
 * Polynomials are least-squares fits of our own, reweighted towards equal ripple. NaN in gives NaN out everywhere.
 * Largest errors against f64 libm over the whole range are in tests/unit/test_elementwise.c. */
#ifndef SDX_KERNELS_VMATH_H
#define SDX_KERNELS_VMATH_H
#include "ops/kernels/simd.h"
#include <math.h>

/* c[0] + c[1] x + ... */
static inline vf vf_polynomial(vf x, const float *c, int n) {
    vf sum = vf_set(c[n - 1]);
    for (int k = n - 2; k >= 0; k--) sum = vf_fma(sum, x, vf_set(c[k]));
    return sum;
}
#define SDX_POLYNOMIAL(x, ...)                                                                                         \
    vf_polynomial(x, (const float[]){__VA_ARGS__}, (int)(sizeof((const float[]){__VA_ARGS__}) / sizeof(float)))

static inline vf vf_copysign(vf size, vf sign) {
    return vf_from_bits((vf_bits(size) & vi_set(INT32_MAX)) | (vf_bits(sign) & vi_set(INT32_MIN)));
}

/* 2^n e^r with x = n ln 2 + r */
static inline vf vf_exp(vf x) {
    vf limited = vf_clamp(x, -104.0F, 89.0F);
    vf n = vf_round(limited * vf_set(1.44269504F));
    vf r = vf_fma(n, vf_set(-0.693359375F), limited);
    r = vf_fma(n, vf_set(2.12194440e-4F), r);
    vf p = SDX_POLYNOMIAL(r, 5.00000007e-1F, 1.66666659e-1F, 4.16662921e-2F, 8.33349817e-3F, 1.39448704e-3F,
                          1.97902347e-4F);
    p = vf_fma(r * r, p, r) + vf_set(1.0F);
    return vf_ldexp(p, n);
}

/* e^x - 1 */
static inline vf vf_expm1(vf x) {
    vf p = SDX_POLYNOMIAL(x, 1.66666634e-1F, 4.1665871e-2F, 8.33370574e-3F, 1.39812265e-3F, 1.98059634e-4F);
    vf near = vf_fma(x * x, vf_fma(x, p, vf_set(0.5F)), x);
    return vf_select(vf_lt(vf_abs(x), vf_set(0.5F)), near, vf_exp(x) - vf_set(1.0F));
}

static inline vf vf_log(vf x) {
    vm small = vf_lt(x, vf_set(0x1p-126F));
    vf scaled = vf_select(small, x * vf_set(0x1p23F), x);
    vu bits = (vu)vf_bits(scaled);
    vi exponent = (vi)(bits - (vu)vi_set(0x3f3504f3)) >> 23;
    vf f = vf_from_bits((vi)(bits - ((vu)exponent << 23))) - vf_set(1.0F);
    vf e = vi_to_f(exponent) - vf_select(small, vf_set(23.0F), vf_set(0.0F));
    vf p = SDX_POLYNOMIAL(f, 3.33333126e-1F, -2.50000096e-1F, 2.0002119e-1F, -1.6667995e-1F, 1.4219545e-1F,
                          -1.24055996e-1F, 1.18882272e-1F, -1.16756149e-1F, 6.7464538e-2F);
    vf square = f * f;
    vf low = vf_fma(e, vf_set(-2.12194440e-4F), square * f * p);
    low = vf_fma(square, vf_set(-0.5F), low);
    vf y = vf_fma(e, vf_set(0.693359375F), f + low);
    y = vf_select(vf_lt(x, vf_set(INFINITY)), y, x);
    y = vf_select(vf_eq(x, vf_set(0.0F)), vf_set(-INFINITY), y);
    return vf_select(vf_lt(x, vf_set(0.0F)), vf_set(NAN), y);
}

/* ln(1 + u) for 0 <= u <= 1: 2 artanh(u / (2 + u)) */
static inline vf vf_log1p_unit(vf u) {
    vf s = u / (vf_set(2.0F) + u), z = s * s;
    vf p = SDX_POLYNOMIAL(z, 6.66666756e-1F, 3.99988777e-1F, 2.86168852e-1F, 2.14276543e-1F, 2.43009451e-1F);
    return vf_fma(s * z, p, s + s);
}

static inline vf vf_tanh(vf x) {
    vf a = vf_abs(x), z = x * x;
    vf p = SDX_POLYNOMIAL(z, -3.33333308e-1F, 1.33332058e-1F, -5.39467414e-2F, 2.17005973e-2F, -8.17716022e-3F,
                          2.14276103e-3F);
    vf near = vf_fma(x * z, p, x);
    vf far = vf_set(1.0F) - vf_set(2.0F) / (vf_exp(a + a) + vf_set(1.0F));
    return vf_select(vf_lt(a, vf_set(0.625F)), near, vf_copysign(far, x));
}

static inline vf vf_sigmoid(vf x) {
    vf e = vf_exp(vf_neg(vf_abs(x))), r = vf_set(1.0F) / (vf_set(1.0F) + e);
    return vf_select(vf_le(vf_set(0.0F), x), r, e * r);
}

/* ln(1 + e^x) */
static inline vf vf_softplus(vf x) { return vf_max(vf_set(0.0F), x) + vf_log1p_unit(vf_exp(vf_neg(vf_abs(x)))); }

/* erf(x) / x for |x| <= 1, z = x^2 */
static inline vf vf_erf_near(vf z) {
    return SDX_POLYNOMIAL(z, 1.12837917F, -3.76126384e-1F, 1.1283782e-1F, -2.68654e-2F, 5.22094541e-3F, -8.48282857e-4F,
                          1.12569461e-4F, -9.64151141e-6F);
}
/* 1 - erf(a) for a >= 1: e^(-a^2) t Q(t), t = 2 / (2 + a); the rounding of a^2 is put back. */
static inline vf vf_erfc_far(vf a) {
    vf t = vf_set(2.0F) / (vf_set(2.0F) + a), square = a * a;
    vf q = SDX_POLYNOMIAL(t, 2.82099158e-1F, 2.8202404e-1F, 2.47096615e-1F, 1.78173888e-1F, 6.26058736e-2F,
                          8.00046349e-2F, -2.24235961e-1F, 9.27942584e-2F);
    vf lost = vf_clamp(vf_fma(a, a, vf_neg(square)), -1.0F, 1.0F);
    vf e = vf_exp(vf_neg(square));
    return vf_fma(vf_neg(e), lost, e) * (t * q);
}
static inline vf vf_erf(vf x) {
    vf a = vf_abs(x);
    vf far = vf_copysign(vf_set(1.0F) - vf_erfc_far(vf_clamp(a, 0.0F, 11.0F)), x);
    return vf_select(vf_lt(a, vf_set(1.0F)), x * vf_erf_near(x * x), far);
}

/* x/2 (1 + erf(x / sqrt 2)) without cancellation in the negative tail */
static inline vf vf_gelu(vf x) {
    vf u = x * vf_set(0.707106781F), a = vf_clamp(vf_abs(u), 0.0F, 11.0F), h = x * vf_set(0.5F);
    vf near = vf_fma(h * u, vf_erf_near(u * u), h);
    vf tail = vf_min(vf_set(0x1p127F), h) * vf_erfc_far(a);
    vf far = vf_select(vf_lt(x, vf_set(0.0F)), tail, x - tail);
    return vf_select(vf_lt(a, vf_set(1.0F)), near, far);
}

/* x/2 (1 + tanh u) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static inline vf vf_gelu_tanh(vf x) {
    vf u = vf_fma(x * x, vf_set(0.0713548163F), vf_set(1.59576912F)) * x;
    return x * vf_sigmoid(u);
}

/* x tanh(softplus x) = x m / (m + 2), m = e^x (e^x + 2) */
static inline vf vf_mish(vf x) {
    vf e = vf_exp(vf_min(vf_set(20.0F), x)), m = e * (e + vf_set(2.0F));
    return x * (m / (m + vf_set(2.0F)));
}

/* ---- Derivatives; the clamps keep infinity times zero out ---- */

/* of z sigmoid(z) */
static inline vf vf_swish_slope(vf z) {
    vf x = vf_clamp(z, -104.0F, 104.0F), one = vf_set(1.0F);
    return vf_sigmoid(x) * vf_fma(x, vf_sigmoid(vf_neg(x)), one);
}

/* t + x sigmoid(x) (1 - t^2), t = m / (m + 2) as above */
static inline vf vf_mish_slope(vf v) {
    vf x = vf_clamp(v, -104.0F, 20.0F), two = vf_set(2.0F);
    vf e = vf_exp(x), m = e * (e + two), r = vf_set(1.0F) / (m + two);
    vf bend = vf_set(4.0F) * (m + vf_set(1.0F)) * r * r;
    return vf_fma(x * vf_sigmoid(x), bend, m * r);
}

static inline vf vf_gelu_slope(vf x) {
    vf half = vf_set(0.5F), density = vf_exp(vf_neg(x * x * half)) * vf_set(0.39894228F);
    return vf_fma(x, density, vf_fma(vf_erf(x * vf_set(0.707106781F)), half, half));
}

static inline vf vf_gelu_tanh_slope(vf v) {
    vf x = vf_clamp(v, -20.0F, 20.0F), z = x * x, one = vf_set(1.0F);
    vf u = vf_fma(z, vf_set(0.0713548163F), vf_set(1.59576912F)) * x;
    vf slope = vf_fma(z, vf_set(0.214064449F), vf_set(1.59576912F));
    return vf_sigmoid(u) * vf_fma(x * slope, vf_sigmoid(vf_neg(u)), one);
}

#endif
