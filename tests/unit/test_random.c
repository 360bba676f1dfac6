/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/generator/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above */
#include <cmocka.h>

/* Known answers of the authors' own test file for philox4x32-10, at every level. */
static void philox_known_answers(void **state) {
    (void)state;
    sdx_kernels kernels;
    uint32_t r[4 * 70], other[4];
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        if (!sdx_kernels_at((sdx_isa)isa, &kernels)) continue;
        kernels.random_bits(0, 0, 70, r);
        assert_int_equal(r[0], 0x6627e8d5u);
        assert_int_equal(r[1], 0xe169c58du);
        assert_int_equal(r[2], 0xbc57ac4cu);
        assert_int_equal(r[3], 0x9b00dbd8u);
        kernels.random_bits(0, 67, 1, other);
        for (int j = 0; j < 4; j++) assert_int_equal(other[j], r[4 * 67 + j]);
    }
}

/* The numbers are those of their counters wherever a draw begins; levels differ by rounding; few bits are the top ones.
 */
static void draws_are_cut_anywhere(void **state) {
    (void)state;
    enum { N = 300 };
    sdx_kernels kernels;
    uint32_t r[4 * N];
    double all[N], some[N];
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        if (!sdx_kernels_at((sdx_isa)isa, &kernels)) continue;
        kernels.random_bits(7, 0, N, r);
        for (int normal = 0; normal < 2; normal++) {
            sdx_draw draw = {7, normal, 53, 0.5, 2};
            sdx_random(&kernels, &draw, 0, N, all);
            for (int64_t first = 0; first < 5; first++)
                for (int64_t n = 0; n < 140; n += 1 + n % 7) {
                    sdx_random(&kernels, &draw, (uint64_t)first, n, some);
                    for (int64_t k = 0; k < n; k++) assert_true(some[k] == all[first + k]);
                }
            for (int k = 0; k < N; k += 2) {
                double u[2];
                for (int j = 0; j < 2; j++)
                    u[j] = (double)(((uint64_t)(r[2 * k + 2 * j] >> 5) << 26) + (r[2 * k + 2 * j + 1] >> 6)) * 0x1p-53;
                const double radius = sqrt(-2 * log1p(-u[0])), angle = 6.283185307179586476925 * u[1];
                const double want[2] = {0.5 + 2 * (normal ? radius * cos(angle) : u[0]),
                                        0.5 + 2 * (normal ? radius * sin(angle) : u[1])};
                for (int j = 0; j < 2; j++)
                    if (!(normal ? fabs(all[k + j] - want[j]) < 1e-11 : all[k + j] == want[j]))
                        fail_msg("number %d is %.17g, not %.17g", k + j, all[k + j], want[j]);
            }
        }
        const sdx_draw whole = {7, false, 53, 0, 1};
        sdx_random(&kernels, &whole, 0, N, all);
        for (int bits = 1; bits < 53; bits++) {
            const sdx_draw draw = {7, false, bits, 0, 1};
            sdx_random(&kernels, &draw, 0, N, some);
            for (int k = 0; k < N; k++) assert_true(some[k] == ldexp(floor(ldexp(all[k], bits)), -bits));
        }
    }
}

static void twister_is_numpys(void **state) {
    (void)state;
    sdx_mt19937 twister;
    sdx_mt19937_seed(&twister, 12345);
    assert_int_equal(sdx_mt19937_next(&twister), 3992670690u);
    assert_int_equal(sdx_mt19937_next(&twister), 3823185381u);
    assert_int_equal(sdx_mt19937_next(&twister), 1358822685u);
    sdx_mt19937_seed(&twister, 0);
    assert_true(sdx_mt19937_uniform(&twister) == 0.5488135039273248);
    assert_true(sdx_mt19937_uniform(&twister) == 0.7151893663724195);
    for (int k = 0; k < 10000; k++) {
        double u = sdx_mt19937_uniform(&twister);
        assert_true(u >= 0 && u < 1);
    }
}

/* How often |z| is beyond 1, 2, 3, 4 and 4.5, within five standard errors of the law. */
static void tails(void **state) {
    (void)state;
    enum { N = 1 << 12, DRAWS = 1 << 9 };
    static const double bound[] = {1, 2, 3, 4, 4.5};
    static double z[N];
    int64_t beyond[5] = {0};
    const sdx_draw draw = {11, true, 0, 0, 1};
    for (uint64_t d = 0; d < DRAWS; d++) {
        sdx_random(sdx_kernels_get(), &draw, d * N, N, z);
        for (int k = 0; k < N; k++)
            for (int b = 0; b < 5; b++) beyond[b] += fabs(z[k]) > bound[b];
    }
    for (int b = 0; b < 5; b++) {
        const double p = erfc(bound[b] / sqrt(2)), n = (double)N * DRAWS;
        if (fabs((double)beyond[b] - n * p) > 5 * sqrt(n * p))
            fail_msg("%lld beyond %g; %g expected", (long long)beyond[b], bound[b], n * p);
    }
}

/* Mean and variance within five standard errors; neighbours and keys are uncorrelated. */
static void moments(void **state) {
    (void)state;
    enum { N = 40000 };
    double sum = 0, squares = 0, cross = 0, normal = 0, normal_squares = 0, before = 0;
    static double uniform[N], gauss[N];
    const sdx_draw draw = {3, false, 53, 0, 1}, other = {4, true, 0, 0, 1};
    sdx_random(sdx_kernels_get(), &draw, 0, N, uniform);
    sdx_random(sdx_kernels_get(), &other, 0, N, gauss);
    for (int k = 0; k < N; k++) {
        double u = uniform[k] - 0.5, z = gauss[k];
        assert_true(u >= -0.5 && u < 0.5);
        sum += u, squares += u * u, cross += u * before, before = u;
        normal += z, normal_squares += z * z;
    }
    assert_true(fabs(sum / N) < 5 * 0.2887 / sqrt(N));
    assert_true(fabs(squares / N - 1.0 / 12) < 5 * 0.0745 / sqrt(N));
    assert_true(fabs(cross / N) < 5.0 / 12 / sqrt(N));
    assert_true(fabs(normal / N) < 5 / sqrt(N));
    assert_true(fabs(normal_squares / N - 1) < 5 * 1.4142 / sqrt(N));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(philox_known_answers), cmocka_unit_test(twister_is_numpys),
                                       cmocka_unit_test(moments), cmocka_unit_test(draws_are_cut_anywhere),
                                       cmocka_unit_test(tails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
