/* SPDX-License-Identifier: Apache-2.0
 * Fills the kernel table: generic first, then each level the CPU has writes its rows over it. */
#include "ops/kernels/blas.h"
#include <pthread.h>
#include <stdlib.h>

#define SDX_KERNEL(levels, result, name, ...)                                                                          \
    result sdx_k_##name##_generic(__VA_ARGS__);                                                                        \
    result sdx_k_##name##_avx2(__VA_ARGS__);                                                                           \
    result sdx_k_##name##_avx512(__VA_ARGS__);                                                                         \
    result sdx_k_##name##_vnni(__VA_ARGS__);
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL

#define SET(name, level) (k->name = sdx_k_##name##_##level, k->origin[SDX_ROW_##name] = #level);

static void fill_generic(sdx_kernels *k) {
#define SDX_KERNEL(levels, result, name, ...) SET(name, generic)
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL
}

#if defined(__x86_64__)
#define AVX2_IN_SIMD(name) SET(name, avx2)
#define AVX2_IN_AVX2(name) SET(name, avx2)
#define AVX2_IN_AVX512(name)
#define AVX2_IN_GENERIC(name)
#define AVX2_IN_VNNI(name)   SET(name, avx2)
#define AVX512_IN_SIMD(name) SET(name, avx512)
#define AVX512_IN_AVX2(name)
#define AVX512_IN_AVX512(name) SET(name, avx512)
#define AVX512_IN_GENERIC(name)
#define AVX512_IN_VNNI(name) SET(name, avx512)
#define VNNI_IN_SIMD(name)
#define VNNI_IN_AVX2(name)
#define VNNI_IN_AVX512(name)
#define VNNI_IN_GENERIC(name)
#define VNNI_IN_VNNI(name) SET(name, vnni)

static void overlay(sdx_kernels *k, sdx_cpu cpu) {
    if (cpu.isa >= SDX_ISA_AVX2) {
#define SDX_KERNEL(levels, result, name, ...) AVX2_IN_##levels(name)
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL
    }
    if (cpu.isa >= SDX_ISA_AVX512) {
#define SDX_KERNEL(levels, result, name, ...) AVX512_IN_##levels(name)
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL
    }
    if (cpu.isa >= SDX_ISA_AVX512 && cpu.vnni) {
#define SDX_KERNEL(levels, result, name, ...) VNNI_IN_##levels(name)
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL
    }
}
#else
static void overlay(sdx_kernels *k, sdx_cpu cpu) { (void)k, (void)cpu; }
#endif

static void fill(sdx_kernels *k, sdx_cpu cpu) {
    k->cpu = cpu;
    k->blas = NULL;
    fill_generic(k);
    overlay(k, cpu);
}

bool sdx_kernels_at(sdx_isa isa, sdx_kernels *out) {
    sdx_cpu cpu = sdx_cpu_detect();
    if (isa > cpu.isa) return false;
    cpu.isa = isa;
    fill(out, cpu);
    return true;
}

static sdx_kernels chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

/* Measured on AVX2 and AVX-512: our tiles with packed constants are level with OpenBLAS or ahead. Below that they are
 * not. A level that was asked for stays ours alone, so that it can be tested. */
static void choose(void) {
    fill(&chosen, sdx_cpu_detect());
    if (chosen.cpu.isa == SDX_ISA_GENERIC && !getenv("SARDONYX_CPU")) chosen.blas = sdx_blas_get();
}

const sdx_kernels *sdx_kernels_get(void) {
    pthread_once(&chosen_once, choose);
    return &chosen;
}

const char *sdx_kernels_row_name(int k) {
    static const char *const names[] = {
#define SDX_KERNEL(levels, result, name, ...) #name,
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL
    };
    return names[k];
}
