/* SPDX-License-Identifier: Apache-2.0
 * What the files that instantiate gemm_tile.tmpl.h share: rows of a tile, and vectors of whole numbers. */
#ifndef SDX_KERNELS_GEMM_PARTS_H
#define SDX_KERNELS_GEMM_PARTS_H
#include "ops/kernels/simd.h"

#if SDX_LEVEL_AVX512
#define MR 14
#elif SDX_LEVEL_AVX2
#define MR 6
#else
#define MR 4
#endif
#define CHAIN    128
#define PREFETCH 32 /* steps of k that give time to fetch C */
#if defined(__clang__)
#define SDX_UNROLL _Pragma("unroll")
#else
#define SDX_UNROLL _Pragma("GCC unroll 16")
#endif

/* Integer vectors as wide as vf; wrap-around is unsigned arithmetic. */
typedef uint32_t vu32 __attribute__((vector_size(sizeof(vf))));
typedef uint64_t vu64 __attribute__((vector_size(sizeof(vf))));
#define INTEGER_ACCESS(v, type)                                                                                        \
    static inline v v##_set(type a) { return a - (v){0}; }                                                             \
    static inline v v##_load(const type *p) { return (v)vi_load(p); }                                                  \
    static inline void v##_store(type *p, v a) { vi_store(p, (vi)a); }                                                 \
    static inline v v##_load_n(const type *p, int64_t n) { return (v)vi_load_n(p, n * (int64_t)sizeof(type) / 4); }    \
    static inline void v##_store_n(type *p, v a, int64_t n) { vi_store_n(p, (vi)a, n *(int64_t)sizeof(type) / 4); }
INTEGER_ACCESS(vu32, uint32_t)
INTEGER_ACCESS(vu64, uint64_t)

#define KEEP(a, t) (a)

#endif
