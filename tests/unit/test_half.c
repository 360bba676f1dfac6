/* SPDX-License-Identifier: Apache-2.0
 * Narrow floats against a slow reference: the value of a code by its definition, and rounding by searching the two
 * neighbours of a number among all codes. */
#include "runtime/base/half.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct narrow {
    sdx_dtype dtype;
    int bits, exponent, bias;
    bool finite_only; /* f6, f4 */
    bool fnuz;
    bool infinities;
} narrow;

static const narrow kinds[] = {
    {SDX_F8E4M3FN, 8, 4, 7, false, false, false}, {SDX_F8E4M3FNUZ, 8, 4, 8, false, true, false},
    {SDX_F8E5M2, 8, 5, 15, false, false, true},   {SDX_F8E5M2FNUZ, 8, 5, 16, false, true, false},
    {SDX_F6E2M3, 6, 2, 1, true, false, false},    {SDX_F6E3M2, 6, 3, 3, true, false, false},
    {SDX_F4E2M1, 4, 2, 1, true, false, false},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };
static const narrow f16_kind = {SDX_F16, 16, 5, 15, false, false, true};
static const narrow bf16_kind = {SDX_BF16, 16, 8, 127, false, false, true};

static double value_of(const narrow *k, unsigned code) {
    int fraction_bits = k->bits - 1 - k->exponent;
    unsigned sign = code >> (k->bits - 1), magnitude = code & ((1u << (k->bits - 1)) - 1);
    unsigned e = magnitude >> fraction_bits, f = magnitude & ((1u << fraction_bits) - 1), top = (1u << k->exponent) - 1;
    if (k->fnuz && sign && magnitude == 0) return (double)NAN;
    if (k->infinities && e == top) return f ? (double)NAN : sign ? -(double)INFINITY : (double)INFINITY;
    if (k->dtype == SDX_F8E4M3FN && magnitude == 0x7f) return (double)NAN;
    double value = e ? ldexp(1 + ldexp(f, -fraction_bits), (int)e - k->bias) : ldexp(f, 1 - k->bias - fraction_bits);
    return sign ? -value : value;
}

/* Codes 0..n-1 are the finite non-negative numbers in ascending order. */
static unsigned finite_codes(const narrow *k) {
    unsigned n = 0;
    while (n < 1u << (k->bits - 1) && isfinite(value_of(k, n))) n++;
    return n;
}

/* The code of |x|, or n (one past the finite ones) when it rounds beyond them. */
static unsigned nearest(const narrow *k, unsigned n, double x) {
    unsigned low = 0, high = n; /* value(low) <= x < value(high) */
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (value_of(k, middle) <= x)
            low = middle;
        else
            high = middle;
    }
    double here = value_of(k, low), next = here + (here - (low ? value_of(k, low - 1) : -value_of(k, 1)));
    next = low + 1 < n ? value_of(k, low + 1) : next; /* beyond the largest: as if the grid went on */
    double below = x - here, above = next - x;
    return below < above || (below == above && low % 2 == 0) ? low : low + 1;
}

static bool same(double a, double b) { return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b)); }

static void check_f8(const narrow *k, unsigned n, float x) {
    for (int saturate = 0; saturate < 2; saturate++) {
        uint8_t code = sdx_f8_from_f32(k->dtype, x, saturate);
        double found = value_of(k, code), expected = 0;
        unsigned magnitude = isnan(x) ? 0 : isinf(x) ? n : nearest(k, n, fabs((double)x));
        if (isnan(x))
            expected = k->finite_only ? 0 : (double)NAN;
        else if (magnitude < n)
            expected = value_of(k, magnitude);
        else if (saturate || k->finite_only)
            expected = value_of(k, n - 1);
        else
            expected = k->infinities ? (double)INFINITY : (double)NAN;
        if (signbit(x) && !(k->fnuz && expected == 0)) expected = -expected;
        if (isnan(x) && k->finite_only ? found != 0 : !same(found, expected))
            fail_msg("%s, saturate %d: %a became %g, expected %g", sdx_dtype_name(k->dtype), saturate, (double)x, found,
                     expected);
    }
}

static void f8_values(void **state) {
    (void)state;
    for (int i = 0; i < KINDS; i++)
        for (unsigned code = 0; code < 1u << kinds[i].bits; code++) {
            double found = (double)sdx_f32_from_f8(kinds[i].dtype, (uint8_t)code), expected = value_of(&kinds[i], code);
            if (!same(found, expected))
                fail_msg("%s 0x%02x is %g, expected %g", sdx_dtype_name(kinds[i].dtype), code, found, expected);
        }
}

static void f8_rounding(void **state) {
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        unsigned n = finite_codes(&kinds[i]);
        for (uint32_t bits = 0; bits < 0x80000000; bits += 0x7fff1) { /* 8192 numbers of every size */
            check_f8(&kinds[i], n, sdx_f32_from_bits(bits));
            check_f8(&kinds[i], n, sdx_f32_from_bits(bits | 0x80000000));
        }
        for (unsigned code = 0; code + 1 <= n; code++) { /* around every midpoint */
            double next = code + 1 < n ? value_of(&kinds[i], code + 1)
                                       : 2 * value_of(&kinds[i], code) - value_of(&kinds[i], code - 1);
            float middle = (float)((value_of(&kinds[i], code) + next) / 2);
            check_f8(&kinds[i], n, middle);
            check_f8(&kinds[i], n, nextafterf(middle, 0));
            check_f8(&kinds[i], n, nextafterf(middle, INFINITY));
            check_f8(&kinds[i], n, -middle);
        }
        check_f8(&kinds[i], n, INFINITY);
        check_f8(&kinds[i], n, -INFINITY);
        check_f8(&kinds[i], n, NAN);
        check_f8(&kinds[i], n, -NAN);
    }
}

static void check_16(const narrow *k, unsigned n, double x) {
    bool half = k->dtype == SDX_F16;
    unsigned code = nearest(k, n, fabs(x));
    double expected = code < n ? value_of(k, code) : (double)INFINITY;
    if (signbit(x)) expected = -expected;
    double wide = value_of(k, half ? sdx_f16_from_f64(x) : sdx_bf16_from_f64(x));
    if (!same(wide, expected)) fail_msg("%s from f64 %a: %g, expected %g", sdx_dtype_name(k->dtype), x, wide, expected);
    float f = (float)x;
    if ((double)f != x) return;
    double narrowed = value_of(k, half ? sdx_f16_from_f32(f) : sdx_bf16_from_f32(f));
    if (!same(narrowed, expected))
        fail_msg("%s from f32 %a: %g, expected %g", sdx_dtype_name(k->dtype), x, narrowed, expected);
}

static void check_16_all(const narrow *k) {
    unsigned n = finite_codes(k);
    for (unsigned code = 0; code < n; code++) {
        double here = value_of(k, code);
        double next = code + 1 < n ? value_of(k, code + 1) : 2 * here - value_of(k, code - 1),
               middle = (here + next) / 2;
        double wide =
            k->dtype == SDX_F16 ? (double)sdx_f32_from_f16((uint16_t)code) : (double)sdx_f32_from_bf16((uint16_t)code);
        if (wide != here) fail_msg("%s 0x%04x is %g, expected %g", sdx_dtype_name(k->dtype), code, wide, here);
        check_16(k, n, here);
        check_16(k, n, middle);
        check_16(k, n, -middle);
        check_16(k, n, nextafter(middle, 0)); /* twice rounded (through f32), these two would go wrong */
        check_16(k, n, nextafter(middle, 1e300));
        check_16(k, n, (double)nextafterf((float)middle, 0));
    }
    check_16(k, n, (double)INFINITY);
    check_16(k, n, -0.0);
    check_16(k, n, 1e300);
    check_16(k, n, -5e-324);
}

static void f16_all(void **state) {
    (void)state;
    check_16_all(&f16_kind);
}

static void bf16_all(void **state) {
    (void)state;
    check_16_all(&bf16_kind);
}

static void nan_keeps_its_payload(void **state) {
    (void)state;
    assert_int_equal(sdx_f16_from_f32(sdx_f32_from_bits(0x7f800001)), 0x7e00); /* payload lost, still NaN */
    assert_int_equal(sdx_f16_from_f32(sdx_f32_from_bits(0xffc42000)), 0xfe21);
    assert_int_equal(sdx_bf16_from_f32(sdx_f32_from_bits(0x7f800001)), 0x7fc0);
    assert_int_equal(sdx_bf16_from_f32(sdx_f32_from_bits(0xff810000)), 0xffc1);
    assert_int_equal(sdx_f32_bits(sdx_f32_from_f16(0x7c01)), 0x7fc02000);
    assert_int_equal(sdx_f32_bits(sdx_f32_from_f16(0xfe00)), 0xffc00000);
    assert_int_equal(sdx_f16_from_f64((double)NAN) & 0x7e00, 0x7e00);
    assert_int_equal(sdx_bf16_from_f64(-(double)NAN) & 0xffc0, 0xffc0);
}

static void powers_of_two(void **state) {
    (void)state;
    static const struct {
        float x;
        int saturate[3], strict[3]; /* up, down, nearest */
    } cases[] = {
        {1.0f, {127, 127, 127}, {127, 127, 127}},
        {1.25f, {128, 127, 127}, {128, 127, 127}},
        {1.5f, {128, 127, 128}, {128, 127, 128}},
        {1.75f, {128, 127, 128}, {128, 127, 128}},
        {-3.0f, {129, 128, 129}, {129, 128, 129}},
        {0x1p-127f, {0, 0, 0}, {0, 0, 0}},
        {0x1.4p-127f, {1, 0, 0}, {1, 0, 0}},
        {0x1.8p-127f, {1, 0, 1}, {1, 0, 1}},
        {0x1p-126f, {1, 1, 1}, {1, 1, 1}},
        {0x1p-128f, {0, 0, 0}, {255, 255, 255}},
        {0.0f, {0, 0, 0}, {255, 255, 255}},
        {0x1p127f, {254, 254, 254}, {254, 254, 254}},
        {0x1.8p127f, {254, 254, 254}, {255, 255, 255}},
        {INFINITY, {254, 254, 254}, {255, 255, 255}},
        {NAN, {255, 255, 255}, {255, 255, 255}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int mode = 0; mode < 3; mode++) {
            int a = sdx_f8e8m0_from_f32(cases[i].x, true, (sdx_round_mode)mode);
            int b = sdx_f8e8m0_from_f32(cases[i].x, false, (sdx_round_mode)mode);
            if (a != cases[i].saturate[mode] || b != cases[i].strict[mode])
                fail_msg("%a, mode %d: %d and %d", (double)cases[i].x, mode, a, b);
        }
    for (unsigned code = 0; code < 255; code++) {
        double value = (double)sdx_f32_from_f8(SDX_F8E8M0, (uint8_t)code);
        assert_true(value == ldexp(1, (int)code - 127));
        assert_int_equal(sdx_f8_from_f32(SDX_F8E8M0, (float)value, true), code);
    }
    assert_true(isnan(sdx_f32_from_f8(SDX_F8E8M0, 255)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f8_values), cmocka_unit_test(f8_rounding),           cmocka_unit_test(f16_all),
        cmocka_unit_test(bf16_all),  cmocka_unit_test(nan_keeps_its_payload), cmocka_unit_test(powers_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
