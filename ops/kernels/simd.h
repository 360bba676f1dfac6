/* SPDX-License-Identifier: Apache-2.0
 * One vector vocabulary for three levels, so that a kernel is written once as NAME.inc and compiled as
 * generic/NAME_generic.c, x86/NAME_avx2.c and x86/NAME_avx512.c. vf, vi, vd are compiler vectors: + - * / & | ^ << >>
 * work on them as they are, per lane. Loads and stores need no alignment; the _n forms touch the first n lanes only
 * (0 <= n <= lanes; other lanes read as 0). */
#ifndef SDX_KERNELS_SIMD_H
#define SDX_KERNELS_SIMD_H
#include "ops/kernels/kernels.h"
#include "runtime/base/half.h"
#include <string.h>

#if defined(SDX_LEVEL_VNNI)
#define SDX_LEVEL        vnni
#define SDX_LEVEL_AVX512 1
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define SDX_LEVEL        avx512
#define SDX_LEVEL_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define SDX_LEVEL      avx2
#define SDX_LEVEL_AVX2 1
#else
#define SDX_LEVEL         generic
#define SDX_LEVEL_GENERIC 1
#endif

#define SDX_PASTE_(a, b) sdx_k_##a##_##b
#define SDX_PASTE(a, b)  SDX_PASTE_(a, b)
/* The name of this level's function for a row of kernels.def. */
#define SDX_K(name) SDX_PASTE(name, SDX_LEVEL)

/* Prototypes of every row at this level. */
#define SDX_KERNEL(levels, result, name, ...) result SDX_K(name)(__VA_ARGS__);
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL

#if SDX_LEVEL_AVX512
#include "ops/kernels/x86/simd_avx512.h"
#elif SDX_LEVEL_AVX2
#include "ops/kernels/x86/simd_avx2.h"
#else
#include "ops/kernels/generic/simd_generic.h"
#endif

/* Of an array: not cleared first, whatever the flags say; every element that is read is written before. */
#define RAW __attribute__((uninitialized))

/* What lies at a pointer, 16-bit floats by the vector's conversion. */
#define READ(p)      (*(p))
#define READ_F16(p)  (vf_load_f16_n(p, 1)[0])
#define READ_BF16(p) (vf_load_bf16_n(p, 1)[0])

/* ---- The same at every level ----------------------------------------------------------------------------------- */

static inline vf vf_from_bits(vi a) { return (vf)a; }
static inline vi vf_bits(vf a) { return (vi)a; }
typedef uint32_t vu __attribute__((vector_size(sizeof(vi)))); /* arithmetic that wraps */
#if !SDX_LEVEL_AVX512
/* a 2^n for integral n in [-252, 254], in two steps so that a denormal result is rounded once. */
static inline vf vf_ldexp(vf a, vf n) {
    vi whole = vf_to_i(n), part = whole >> 1;
    vf low = (vf)((vu)(part + vi_set(127)) << 23), high = (vf)((vu)(whole - part + vi_set(127)) << 23);
    return a * low * high;
}
#endif
static inline vf vf_abs(vf a) { return (vf)((vi)a & vi_set(0x7fffffff)); }
static inline vf vf_neg(vf a) { return (vf)((vi)a ^ vi_set(INT32_MIN)); }
/* a where both are numbers: vf_min(a, b) = a < b ? a : b, so b when either is NaN. */
static inline vf vf_clamp(vf a, float low, float high) { return vf_min(vf_set(high), vf_max(vf_set(low), a)); }

/* Sums, maxima and minima over lanes, always by the same tree: halves are added until one lane is left. */
#if SDX_LEVEL_AVX512 || SDX_LEVEL_AVX2
static inline float vf_sum(vf a) {
#if SDX_LEVEL_AVX512
    __m256 b = _mm512_castps512_ps256(a) + _mm512_extractf32x8_ps(a, 1);
#else
    __m256 b = a;
#endif
    __m128 c = _mm256_castps256_ps128(b) + _mm256_extractf128_ps(b, 1);
    c = c + _mm_movehl_ps(c, c);
    return c[0] + c[1];
}
#else
static inline float vf_sum(vf a) { return (a[0] + a[2]) + (a[1] + a[3]); }
#endif
/* Lane k is lane k + n of a; the last n are of no use. n: 1, and 2 and 4 where there are more lanes than that. */
static inline vd vd_lanes_from(vd a, int n) {
#if SDX_LANES64 == 8
    if (n == 4) return __builtin_shufflevector(a, a, 4, 5, 6, 7, 4, 5, 6, 7);
    if (n == 2) return __builtin_shufflevector(a, a, 2, 3, 2, 3, 6, 7, 6, 7);
    return __builtin_shufflevector(a, a, 1, 1, 3, 3, 5, 5, 7, 7);
#elif SDX_LANES64 == 4
    if (n == 2) return __builtin_shufflevector(a, a, 2, 3, 2, 3);
    return __builtin_shufflevector(a, a, 1, 1, 3, 3);
#else
    (void)n;
    return __builtin_shufflevector(a, a, 1, 1);
#endif
}
static inline float vf_max_lane(vf a) {
    float lane[SDX_LANES];
    vf_store(lane, a);
    float most = lane[0];
    for (int k = 1; k < SDX_LANES; k++) most = lane[k] > most ? lane[k] : most;
    return most;
}
static inline float vf_min_lane(vf a) {
    float lane[SDX_LANES];
    vf_store(lane, a);
    float least = lane[0];
    for (int k = 1; k < SDX_LANES; k++) least = lane[k] < least ? lane[k] : least;
    return least;
}

#endif
