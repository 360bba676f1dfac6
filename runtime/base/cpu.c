/* SPDX-License-Identifier: Apache-2.0
 * An instruction set counts only when the system saves its registers too: XCR0 bits 1, 2 (ymm) and 5, 6, 7 (zmm). */
#include "runtime/base/cpu.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

static const char *const names[SDX_ISA_COUNT] = {"generic", "avx2", "avx512"};

const char *sdx_isa_name(sdx_isa isa) { return (unsigned)isa < SDX_ISA_COUNT ? names[isa] : "unknown"; }

static size_t cache_size(int name) {
    long size = sysconf(name);
    return size > 0 ? (size_t)size : 0;
}

#if defined(__x86_64__) || defined(__i386__)
enum { YMM_STATE = 0x06, ZMM_STATE = 0xe6 };

static bool has(unsigned reg, unsigned bits) { return (reg & bits) == bits; }

static unsigned enabled_state(void) {
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static void detect(sdx_cpu *cpu) {
    unsigned a = 0, b = 0, c = 0, d = 0, features = 0, top = 0;
    if (!__get_cpuid(1, &a, &b, &features, &d)) return;
    if (!has(features, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C)) return;
    unsigned state = enabled_state();
    if (!has(state, YMM_STATE) || !__get_cpuid_count(7, 0, &top, &b, &c, &d) || !has(b, bit_AVX2)) return;
    cpu->isa = SDX_ISA_AVX2;
    if (!has(state, ZMM_STATE) || !has(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL)) return;
    cpu->isa = SDX_ISA_AVX512;
    cpu->vnni = has(c, bit_AVX512VNNI);
    cpu->bf16 = top >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && has(a, bit_AVX512BF16);
}
#else
static void detect(sdx_cpu *cpu) { cpu->isa = SDX_ISA_GENERIC; }
#endif

/* SARDONYX_CPU can only lower the level; a word that is none of the names changes nothing. */
static void lower(sdx_cpu *cpu, const char *wanted) {
    for (int isa = 0; wanted && isa < SDX_ISA_COUNT; isa++)
        if (strcmp(wanted, names[isa]) == 0 && isa < (int)cpu->isa) cpu->isa = (sdx_isa)isa;
    if (cpu->isa != SDX_ISA_AVX512) cpu->vnni = cpu->bf16 = false;
}

sdx_cpu sdx_cpu_detect(void) {
    sdx_cpu cpu = {.isa = SDX_ISA_GENERIC};
    detect(&cpu);
    lower(&cpu, getenv("SARDONYX_CPU"));
#ifdef _SC_LEVEL1_DCACHE_SIZE
    cpu.l1 = cache_size(_SC_LEVEL1_DCACHE_SIZE);
    cpu.l2 = cache_size(_SC_LEVEL2_CACHE_SIZE);
    cpu.l3 = cache_size(_SC_LEVEL3_CACHE_SIZE);
#endif
    return cpu;
}
