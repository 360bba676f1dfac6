/* SPDX-License-Identifier: Apache-2.0
 * The elementwise kernels of every level this machine has, against libm in f64: a sweep over the bit patterns of f32.
 */
#include "ops/kernels/kernels.h"
#include "runtime/base/half.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK = 4099, STRIDE = 9973 };

static const char *const names[] = {
#define X(name) #name,
    SDX_UNARY_MAP(X)
#undef X
};

/* Largest error allowed, in units of the last place of f32; measured: a little less. Gelu loses some places where
 * 1 + erf cancels. Errors below `absolute` are forgiven, for functions with tails. */
typedef struct bound {
    sdx_unary_id id;
    float p[2];
    double ulp, absolute;
} bound;

static const bound bounds[] = {
    {SDX_UNARY_Floor, {0, 0}, 0, 0},
    {SDX_UNARY_Ceil, {0, 0}, 0, 0},
    {SDX_UNARY_Round, {0, 0}, 0, 0},
    {SDX_UNARY_Sqrt, {0, 0}, 0.5, 0},
    {SDX_UNARY_Reciprocal, {0, 0}, 0.5, 0},
    {SDX_UNARY_Abs, {0, 0}, 0, 0},
    {SDX_UNARY_Neg, {0, 0}, 0, 0},
    {SDX_UNARY_Sign, {0, 0}, 0, 0},
    {SDX_UNARY_Relu, {0, 0}, 0, 0},
    {SDX_UNARY_LeakyRelu, {0.01F, 0}, 0.5, 0},
    {SDX_UNARY_Softsign, {0, 0}, 1.5, 0},
    {SDX_UNARY_ThresholdedRelu, {1, 0}, 0, 0},
    {SDX_UNARY_Exp, {0, 0}, 1.2, 0},
    {SDX_UNARY_Log, {0, 0}, 1.2, 0},
    {SDX_UNARY_Tanh, {0, 0}, 2, 0},
    {SDX_UNARY_Sigmoid, {0, 0}, 2.5, 0},
    {SDX_UNARY_Softplus, {0, 0}, 2.5, 0},
    {SDX_UNARY_Erf, {0, 0}, 2.5, 0},
    {SDX_UNARY_Elu, {1, 0}, 2, 0},
    {SDX_UNARY_Selu, {1.6732632F, 1.050701F}, 3, 0},
    {SDX_UNARY_Celu, {2, 0}, 3, 0},
    {SDX_UNARY_Swish, {1, 0}, 3, 1e-42},
    {SDX_UNARY_Mish, {0, 0}, 4, 1e-42},
    {SDX_UNARY_Gelu, {0, 0}, 16, 1e-9},
    {SDX_UNARY_GeluTanh, {0, 0}, 10, 1e-9},
    {SDX_UNARY_HardSigmoid, {0.2F, 0.5F}, 2, 6e-8},
    {SDX_UNARY_HardSwish, {0, 0}, 2, 2e-7},
    {SDX_UNARY_Shrink, {0.5F, 1}, 0.5, 0},
    {SDX_UNARY_Sin, {0, 0}, 0.51, 0},
    {SDX_UNARY_Cos, {0, 0}, 0.51, 0},
    {SDX_UNARY_Tan, {0, 0}, 0.51, 0},
    {SDX_UNARY_Asin, {0, 0}, 0.51, 0},
    {SDX_UNARY_Acos, {0, 0}, 0.51, 0},
    {SDX_UNARY_Atan, {0, 0}, 0.51, 0},
    {SDX_UNARY_Sinh, {0, 0}, 0.51, 0},
    {SDX_UNARY_Cosh, {0, 0}, 0.51, 0},
    {SDX_UNARY_Asinh, {0, 0}, 0.51, 0},
    {SDX_UNARY_Acosh, {0, 0}, 0.51, 0},
    {SDX_UNARY_Atanh, {0, 0}, 0.51, 0},
    {SDX_UNARY_EluSlope, {1, 0}, 1.2, 0},
    {SDX_UNARY_SeluSlope, {1.6732632F, 1.050701F}, 3, 0},
    {SDX_UNARY_CeluSlope, {2, 0}, 2, 0},
    {SDX_UNARY_HardSwishSlope, {0, 0}, 2, 1e-7},
    {SDX_UNARY_SwishSlope, {1, 0}, 6, 1e-7},
    {SDX_UNARY_MishSlope, {0, 0}, 8, 1e-7},
    {SDX_UNARY_GeluSlope, {0, 0}, 8, 1e-7},
    {SDX_UNARY_GeluTanhSlope, {0, 0}, 8, 3e-7},
    {SDX_UNARY_ErfSlope, {0, 0}, 3, 1e-7},
};

/* Distance in units of the last place of the exact value, as f32 would have it there. */
static double ulps(float got, double exact) {
    if (isnan(exact)) return isnan(got) ? 0 : INFINITY;
    float rounded = (float)exact;
    if (isinf(rounded) || isnan(got)) return got == rounded || (double)fabsf(got) >= 3.4028234e38 ? 0 : INFINITY;
    if (got == rounded && (double)rounded == exact) return 0;
    int exponent = 0;
    frexp(exact, &exponent);
    if (exponent < -125) exponent = -125;
    return fabs((double)got - exact) / ldexp(1, exponent - 24);
}

typedef struct worst {
    double ulp, exact;
    float x, got;
} worst;

static void compare(const bound *b, sdx_unary_fn f32, sdx_unary_fn f64, uint32_t start, worst *w) {
    float x[BLOCK], y[BLOCK];
    double wide[BLOCK], exact[BLOCK];
    for (uint32_t k = 0; k < BLOCK; k++) {
        x[k] = sdx_f32_from_bits(start + k * (uint32_t)STRIDE);
        wide[k] = (double)x[k];
    }
    f32(x, y, BLOCK, b->p);
    f64(wide, exact, BLOCK, b->p);
    for (int k = 0; k < BLOCK; k++) {
        double error = ulps(y[k], exact[k]);
        if (fabs((double)y[k] - exact[k]) <= b->absolute) continue;
        if (error > w->ulp) *w = (worst){error, exact[k], x[k], y[k]};
    }
}

static void check_level(sdx_isa isa) {
    sdx_kernels kernels;
    int failed = 0;
    if (!sdx_kernels_at(isa, &kernels)) return;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const bound *b = &bounds[i];
        worst w = {0, 0, 0, 0};
        for (uint64_t start = 0; start < 1ULL << 32; start += (uint64_t)BLOCK * STRIDE)
            compare(b, kernels.unary(b->id, SDX_F32), kernels.unary(b->id, SDX_F64), (uint32_t)start, &w);
        if (w.ulp <= b->ulp) continue;
        print_error("%s %s(%.9g) = %.9g, exact %.17g: %.3g ulp, allowed %.3g\n", sdx_isa_name(isa), names[b->id],
                    (double)w.x, (double)w.got, w.exact, w.ulp, b->ulp);
        failed++;
    }
    assert_int_equal(failed, 0);
}

/* A binary kernel's result does not depend on how its operands are spread, nor on y being an input. */
static void check_steps(const sdx_kernels *kernels, sdx_binary_id id) {
    float a[77], b[77], c[77], spread[77], y[77];
    for (int k = 0; k < 77; k++) {
        a[k] = (float)(k % 19) - 8.25F;
        b[k] = (float)(k % 7) - 2.5F;
        c[k] = 0.5F; /* b[3] */
    }
    sdx_binary_fn fn = kernels->binary(id, SDX_F32);
    memset(y, 0, sizeof y);
    memset(spread, 0, sizeof spread);
    fn(a, 1, c, 1, y, 77);
    fn(a, 1, b + 3, 0, spread, 77);
    assert_memory_equal(y, spread, sizeof y);
    fn(c, 1, a, 1, y, 77);
    fn(b + 3, 0, a, 1, spread, 77);
    assert_memory_equal(y, spread, sizeof y);
    if (id >= SDX_BINARY_Equal) return;
    fn(a, 1, b, 1, y, 77);
    fn(a, 1, b, 1, a, 77);
    assert_memory_equal(y, a, sizeof y);
}

static void test_binary(void **state) {
    (void)state;
    static const sdx_binary_id ids[] = {SDX_BINARY_Add, SDX_BINARY_Sub,   SDX_BINARY_Mul,   SDX_BINARY_Div,
                                        SDX_BINARY_Mod, SDX_BINARY_Fmod,  SDX_BINARY_Pow,   SDX_BINARY_Max,
                                        SDX_BINARY_Min, SDX_BINARY_PRelu, SDX_BINARY_Equal, SDX_BINARY_Greater};
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT && sdx_kernels_at((sdx_isa)isa, &kernels); isa++)
        for (size_t k = 0; k < sizeof ids / sizeof ids[0]; k++) check_steps(&kernels, ids[k]);
}

/* x^y over a grid of bit patterns: half a unit in the last place and a little. */
static void test_pow(void **state) {
    (void)state;
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT && sdx_kernels_at((sdx_isa)isa, &kernels); isa++) {
        for (uint64_t bits = 0; bits < 1ULL << 32; bits += 1299709) {
            float a[9], b[9], y[9];
            for (uint32_t k = 0; k < 9; k++) {
                a[k] = sdx_f32_from_bits((uint32_t)bits + k);
                b[k] = ((float)k - 4) * 0.75F;
            }
            kernels.binary(SDX_BINARY_Pow, SDX_F32)(a, 1, b, 1, y, 9);
            for (int k = 0; k < 9; k++) {
                double exact = pow((double)a[k], (double)b[k]), error = ulps(y[k], exact);
                if (error <= 0.51) continue;
                fail_msg("%s: %.9g ^ %g = %.9g, exact %.17g: %g ulp", sdx_isa_name((sdx_isa)isa), (double)a[k],
                         (double)b[k], (double)y[k], exact, error);
            }
        }
    }
}

/* One exponent for all: whole ones and those with a path of their own, of every kind of number and either sign. */
static void test_pow_of_one_exponent(void **state) {
    (void)state;
    static const float exponents[] = {2, 3, -1, 0.5F, -0.5F, 0, 1, 4, 5, -2, -3, 7, 1.5F, 0x1p25F, INFINITY, NAN};
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT && sdx_kernels_at((sdx_isa)isa, &kernels); isa++)
        for (size_t e = 0; e < sizeof exponents / sizeof exponents[0]; e++)
            for (int special = 0; special < 2; special++) {
                enum { N = 300 };
                float a[N], y[N], b = exponents[e];
                static const float odd[] = {0, -0.0F, INFINITY, -INFINITY, NAN, 1e-40F, -1e-40F, 1, -1, 3e38F, -3e38F};
                for (int k = 0; k < N; k++) a[k] = (float)(k - 150) * 0.037F + 0.001F;
                for (int k = 0; special && k < 11; k++) a[k * 20] = odd[k];
                kernels.binary(SDX_BINARY_Pow, SDX_F32)(a, 1, &b, 0, y, N);
                for (int k = 0; k < N; k++) {
                    double exact = pow((double)a[k], (double)b);
                    float want = (float)exact;
                    if (isnan(want) ? isnan(y[k]) : want == y[k] && signbit(want) == signbit(y[k])) continue;
                    if (!isnan(y[k]) && !isinf(want) && !isinf(y[k]) && ulps(y[k], exact) <= 0.51) continue;
                    fail_msg("%s: %.9g ^ %g = %.9g, not %.9g", sdx_isa_name((sdx_isa)isa), (double)a[k], (double)b,
                             (double)y[k], (double)want);
                }
            }
}

static void test_generic(void **state) {
    (void)state;
    check_level(SDX_ISA_GENERIC);
}
static void test_avx2(void **state) {
    (void)state;
    check_level(SDX_ISA_AVX2);
}
static void test_avx512(void **state) {
    (void)state;
    check_level(SDX_ISA_AVX512);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_generic), cmocka_unit_test(test_avx2),
                                       cmocka_unit_test(test_avx512),  cmocka_unit_test(test_binary),
                                       cmocka_unit_test(test_pow),     cmocka_unit_test(test_pow_of_one_exponent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
