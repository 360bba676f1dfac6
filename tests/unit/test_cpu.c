/* SPDX-License-Identifier: Apache-2.0
 * SARDONYX_CPU lowers the level and never raises it. */
#include "runtime/base/cpu.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void override_only_lowers(void **state) {
    (void)state;
    unsetenv("SARDONYX_CPU");
    sdx_cpu best = sdx_cpu_detect();
    assert_in_range(best.isa, 0, SDX_ISA_COUNT - 1);
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++) {
        setenv("SARDONYX_CPU", sdx_isa_name((sdx_isa)isa), 1);
        sdx_cpu cpu = sdx_cpu_detect();
        assert_int_equal(cpu.isa, isa < (int)best.isa ? isa : (int)best.isa);
        if (cpu.isa < SDX_ISA_AVX512) assert_false(cpu.vnni || cpu.bf16);
        assert_int_equal(cpu.l1, best.l1);
    }
    static const char *const others[] = {"", "AVX2", "sse", "avx5120"};
    for (int i = 0; i < 4; i++) {
        setenv("SARDONYX_CPU", others[i], 1);
        assert_int_equal(sdx_cpu_detect().isa, best.isa);
    }
    unsetenv("SARDONYX_CPU");
}

static void agrees_with_the_compiler_runtime(void **state) {
    (void)state;
#if defined(__x86_64__)
    __builtin_cpu_init();
    sdx_cpu cpu = sdx_cpu_detect();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    assert_int_equal(cpu.isa >= SDX_ISA_AVX2, avx2);
    assert_int_equal(cpu.isa >= SDX_ISA_AVX512, avx2 && __builtin_cpu_supports("avx512bw") &&
                                                    __builtin_cpu_supports("avx512dq") &&
                                                    __builtin_cpu_supports("avx512vl"));
#else
    assert_int_equal(sdx_cpu_detect().isa, SDX_ISA_GENERIC);
#endif
}

static void levels_have_names(void **state) {
    (void)state;
    assert_string_equal(sdx_isa_name(SDX_ISA_GENERIC), "generic");
    assert_string_equal(sdx_isa_name(SDX_ISA_AVX512), "avx512");
    assert_string_equal(sdx_isa_name(SDX_ISA_COUNT), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(override_only_lowers),
                                       cmocka_unit_test(agrees_with_the_compiler_runtime),
                                       cmocka_unit_test(levels_have_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
