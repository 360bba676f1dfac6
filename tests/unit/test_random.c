/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/generator/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above */
#include <cmocka.h>

/* Known answers of the authors' own test file for philox4x32-10. */
static void philox_known_answers(void **state) {
    (void)state;
    uint32_t r[4];
    sdx_philox(0, 0, r);
    assert_int_equal(r[0], 0x6627e8d5u);
    assert_int_equal(r[1], 0xe169c58du);
    assert_int_equal(r[2], 0xbc57ac4cu);
    assert_int_equal(r[3], 0x9b00dbd8u);
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

/* Mean and variance within five standard errors; neighbours and keys are uncorrelated. */
static void moments(void **state) {
    (void)state;
    enum { N = 40000 };
    double sum = 0, squares = 0, cross = 0, normal = 0, normal_squares = 0, before = 0;
    for (uint64_t k = 0; k < N; k++) {
        double u = sdx_random_uniform(3, k) - 0.5, z = sdx_random_normal(4, k);
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
                                       cmocka_unit_test(moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
