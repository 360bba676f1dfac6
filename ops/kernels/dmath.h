/* SPDX-License-Identifier: Apache-2.0
 * Functions in f64 to some 1e-10, without branches so that loops over them vectorise: for f32 functions that are rarely
 * hot, whose results they give to within half an ulp and a little. Series are Taylor's unless noted. */
#ifndef SDX_KERNELS_DMATH_H
#define SDX_KERNELS_DMATH_H
#include <math.h>
#include <stdint.h>
#include <string.h>

/* SDX_EACH: no element's result is read by a later one; y may still be x itself. (clang decides at run time.) */
#if defined(__clang__)
#define SDX_UNROLL
#define SDX_EACH
#else
#define SDX_UNROLL _Pragma("GCC unroll 16")
#define SDX_EACH   _Pragma("GCC ivdep")
#endif

static inline double d_polynomial(double x, const double *c, int n) {
    double sum = c[n - 1];
    SDX_UNROLL
    for (int k = n - 2; k >= 0; k--) sum = sum * x + c[k];
    return sum;
}
#define D_POLYNOMIAL(x, ...)                                                                                           \
    d_polynomial(x, (const double[]){__VA_ARGS__}, (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)))

/* Nearest integer for |x| < 2^51. */
static inline double d_round(double x) { return (x + 0x1.8p52) - 0x1.8p52; }
static inline double d_bits(int64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline int64_t d_to_bits(double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Arguments of f32 size: the result is limited to e^(+-600). */
static inline double d_exp(double x) {
    double limited = x > 600 ? 600 : x;
    limited = limited < -600 ? -600 : limited;
    double shifted = limited * 1.4426950408889634 + 0x1.8p52, n = shifted - 0x1.8p52;
    double r = limited - n * 0.693147180369123816490 - n * 1.90821492927058770002e-10;
    double p = D_POLYNOMIAL(r, 1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                            1.0 / 362880);
    return p * d_bits((int64_t)((uint64_t)(d_to_bits(shifted) + 1023) << 52));
}

/* x > 0, normal; infinity for infinity. m in [sqrt 1/2, sqrt 2); the odd series of artanh, fitted. */
static inline double d_log(double x) {
    uint64_t bits = (uint64_t)d_to_bits(x), exponent = (bits - 0x3fe6a09e667f3bcdULL) & ~0xfffffffffffffULL;
    double m = d_bits((int64_t)(bits - exponent));
    /* exponent / 2^52 as a double, without a 64-bit conversion that older vector units lack */
    double e = d_bits((int64_t)((exponent >> 52 ^ 0x800) | 0x4330000000000000ULL)) - (0x1p52 + 0x800);
    double s = (m - 1) / (m + 1), z = s * s;
    double p = D_POLYNOMIAL(z, 6.6666666666584276e-1, 4.0000000053845753e-1, 2.8571416857682424e-1,
                            2.2223392080547413e-1, 1.812295366791241e-1, 1.6828419402839105e-1);
    double y = e * 0.6931471805599453 + (s + s + s * z * p);
    return x < HUGE_VAL ? y : x;
}
/* ln(1 + x), x >= 0 (or slightly below): the rounding of 1 + x is put back. */
static inline double d_log1p(double x) {
    double u = 1 + x, lost = x - (u - 1), safe = u < HUGE_VAL ? u : 1;
    return d_log(u) + (u < HUGE_VAL ? lost / safe : 0);
}

/* x = k pi/2 + r with |r| <= pi/4, for |x| <= 1e5: parts of pi/2 of 33 bits. */
#define D_TRIG_LIMIT 1e5
static inline double d_reduce(double x, double *k) {
    *k = d_round(x * 0.63661977236758134308);
    return ((x - *k * 1.57079632673412561417) - *k * 6.07710050630396597660e-11) - *k * 2.02226624879595063154e-21;
}
static inline double d_sin_near(double r) {
    double z = r * r;
    return r +
           r * z * D_POLYNOMIAL(z, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800);
}
static inline double d_cos_near(double r) {
    double z = r * r;
    return D_POLYNOMIAL(z, 1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600);
}
/* sin of a quarter-turn count k (+ 1 for cos) and rest r */
static inline double d_turn(double k, double r) {
    double quarter = k - 4 * d_round(k * 0.25); /* -2 .. 2 */
    double odd = fabs(quarter) == 1 ? d_cos_near(r) : d_sin_near(r);
    return quarter == -1 || fabs(quarter) == 2 ? -odd : odd;
}
static inline double d_sin(double x) {
    double k, r = d_reduce(x, &k);
    return d_turn(k, r);
}
static inline double d_cos(double x) {
    double k, r = d_reduce(x, &k);
    return d_turn(k + 1, r);
}
static inline double d_tan(double x) {
    double k, r = d_reduce(x, &k), s = d_sin_near(r), c = d_cos_near(r);
    return k * 0.5 != d_round(k * 0.5) ? -c / s : s / c;
}

/* artanh-like odd function: asin for |x| <= 1/2, fitted */
static inline double d_asin_near(double x) {
    double z = x * x;
    return x + x * z *
                   D_POLYNOMIAL(z, 1.6666666666437e-1, 7.5000000436513e-2, 4.4642828448511e-2, 3.0382875666787e-2,
                                2.2354876340219e-2, 1.7549679337448e-2, 1.2547922941323e-2, 1.7944716447866e-2,
                                -7.3658576813768e-3, 3.1558432810287e-2);
}
static inline double d_asin(double x) {
    double a = fabs(x), far = 1.5707963267948966 - 2 * d_asin_near(sqrt((1 - a) * 0.5));
    return a <= 0.5 ? d_asin_near(x) : copysign(far, x);
}
static inline double d_acos(double x) {
    double a = fabs(x), root = 2 * d_asin_near(sqrt((1 - a) * 0.5));
    double far = x < 0 ? 3.141592653589793 - root : root;
    return a <= 0.5 ? 1.5707963267948966 - d_asin_near(x) : far;
}
/* Reduced to |z| <= tan(pi/8) by atan a = pi/2 - atan(1/a) and atan a = pi/4 + atan((a - 1) / (a + 1)). */
static inline double d_atan(double x) {
    double a = fabs(x), b = a > 1 ? 1 / a : a;
    double t = b > 0.41421356237309503 ? (b - 1) / (b + 1) : b, z = t * t;
    double p = t + t * z *
                       D_POLYNOMIAL(z, -1.0 / 3, 1.0 / 5, -1.0 / 7, 1.0 / 9, -1.0 / 11, 1.0 / 13, -1.0 / 15, 1.0 / 17,
                                    -1.0 / 19, 1.0 / 21, -1.0 / 23, 1.0 / 25);
    p = b > 0.41421356237309503 ? 0.78539816339744831 + p : p;
    return copysign(a > 1 ? 1.5707963267948966 - p : p, x);
}

static inline double d_sinh(double x) {
    double a = fabs(x), e = d_exp(a), near = a + a * a * a / 6;
    return copysign(a < 1e-3 ? near : (e - 1 / e) * 0.5, x);
}
static inline double d_cosh(double x) {
    double e = d_exp(fabs(x));
    return (e + 1 / e) * 0.5;
}
static inline double d_asinh(double x) {
    double a = fabs(x), square = a * a;
    return copysign(a < HUGE_VAL ? d_log1p(a + square / (1 + sqrt(square + 1))) : a, x);
}
static inline double d_acosh(double x) {
    double t = x - 1, y = d_log1p(t + sqrt(t * (t + 2)));
    y = x < HUGE_VAL ? y : x;
    return x < 1 ? NAN : y;
}
static inline double d_atanh(double x) {
    double a = fabs(x), y = 0.5 * d_log1p(2 * a / (1 - a));
    y = a > 1 ? NAN : y;
    return copysign(a == 1 ? HUGE_VAL : y, x);
}

/* x^y for finite x > 0: e^(y ln x), y ln x limited to what f32 needs; 1e-16 * 104 of relative error */
static inline double d_pow(double x, double y) { return d_exp(y * d_log(x)); }

#endif
