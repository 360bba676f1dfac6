/* SPDX-License-Identifier: Apache-2.0
 * simd.h for any machine: 16-byte compiler vectors. fma rounds twice here. Included by simd.h only. */
#include <math.h>

#define SDX_LANES   4
#define SDX_LANES64 2
typedef float vf __attribute__((vector_size(16)));
typedef double vd __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef vi vm;

static inline vf vf_set(float a) { return (vf){a, a, a, a}; }
static inline vi vi_set(int32_t a) { return (vi){a, a, a, a}; }
static inline vd vd_set(double a) { return (vd){a, a}; }

#define SDX_ACCESS(v, name, T, P)                                                                                      \
    static inline v name##_load(const P *p) {                                                                          \
        v a;                                                                                                           \
        memcpy(&a, p, sizeof a);                                                                                       \
        return a;                                                                                                      \
    }                                                                                                                  \
    static inline v name##_load_n(const P *p, int64_t n) {                                                             \
        v a = {0};                                                                                                     \
        memcpy(&a, p, (size_t)n * sizeof(T));                                                                          \
        return a;                                                                                                      \
    }                                                                                                                  \
    static inline void name##_store(P *p, v a) { memcpy(p, &a, sizeof a); }                                            \
    static inline void name##_store_n(P *p, v a, int64_t n) { memcpy(p, &a, (size_t)n * sizeof(T)); }
SDX_ACCESS(vf, vf, float, float)
SDX_ACCESS(vi, vi, int32_t, void)
SDX_ACCESS(vd, vd, double, double)
#undef SDX_ACCESS
static inline vd vd_load_f32(const float *p) { return (vd){(double)p[0], (double)p[1]}; }
static inline vd vd_load_f32_n(const float *p, int64_t n) {
    return (vd){n > 0 ? (double)p[0] : 0, n > 1 ? (double)p[1] : 0};
}

/* x[at], 0 where at < 0 */
static inline vf vf_gather(const float *x, vi at) {
    vf a;
    for (int k = 0; k < SDX_LANES; k++) a[k] = at[k] < 0 ? 0 : x[at[k]];
    return a;
}

static inline vi vi_select(vm mask, vi yes, vi no) { return (mask & yes) | (~mask & no); }
static inline vf vf_select(vm mask, vf yes, vf no) { return (vf)vi_select(mask, (vi)yes, (vi)no); }
static inline vm vf_lt(vf a, vf b) { return (vm)(a < b); }
static inline vm vf_le(vf a, vf b) { return (vm)(a <= b); }
static inline vm vf_eq(vf a, vf b) { return (vm)(a == b); }
static inline vm vf_nan(vf a) { return (vm)(a != a); }
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vd vd_fma(vd a, vd b, vd c) { return a * b + c; }
static inline vf vf_min(vf a, vf b) { return vf_select(vf_lt(a, b), a, b); }
static inline vf vf_max(vf a, vf b) { return vf_select(vf_lt(b, a), a, b); }
static inline vd vd_min(vd a, vd b) { return (vd){a[0] < b[0] ? a[0] : b[0], a[1] < b[1] ? a[1] : b[1]}; }
static inline vd vd_max(vd a, vd b) { return (vd){a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]}; }

/* a where it is NaN, else b; the first n lanes of a, then `rest`. */
static inline vd vd_nan_or(vd a, vd b) { return (vd){a[0] != a[0] ? a[0] : b[0], a[1] != a[1] ? a[1] : b[1]}; }
static inline vd vd_keep(vd a, int64_t n, double rest) { return (vd){n > 0 ? a[0] : rest, n > 1 ? a[1] : rest}; }

#define SDX_PER_LANE(name, fn)                                                                                         \
    static inline vf name(vf a) { return (vf){fn(a[0]), fn(a[1]), fn(a[2]), fn(a[3])}; }
SDX_PER_LANE(vf_sqrt, sqrtf)
SDX_PER_LANE(vf_round, rintf)
SDX_PER_LANE(vf_floor, floorf)
SDX_PER_LANE(vf_ceil, ceilf)
#undef SDX_PER_LANE

/* What does not fit gives INT32_MIN, as on x86. */
static inline int32_t to_i32(float a) { return a >= -0x1p31f && a < 0x1p31f ? (int32_t)rintf(a) : INT32_MIN; }
static inline vi vf_to_i(vf a) { return (vi){to_i32(a[0]), to_i32(a[1]), to_i32(a[2]), to_i32(a[3])}; }
static inline vf vi_to_f(vi a) { return (vf){(float)a[0], (float)a[1], (float)a[2], (float)a[3]}; }
static inline vi vi_shr(vi a, int n) {
    typedef uint32_t vu __attribute__((vector_size(16)));
    return (vi)((vu)a >> (unsigned)n);
}

/* Lanes 0, 2, 4 ... of a followed by b. */
static inline vf vf_even(vf a, vf b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6); }

#define SDX_NARROW(type)                                                                                               \
    static inline vf vf_load_##type##_n(const uint16_t *p, int64_t n) {                                                \
        vf a = {0};                                                                                                    \
        for (int64_t k = 0; k < n; k++) a[k] = sdx_f32_from_##type(p[k]);                                              \
        return a;                                                                                                      \
    }                                                                                                                  \
    static inline void vf_store_##type##_n(uint16_t *p, vf a, int64_t n) {                                             \
        for (int64_t k = 0; k < n; k++) p[k] = sdx_##type##_from_f32(a[k]);                                            \
    }                                                                                                                  \
    static inline vf vf_load_##type(const uint16_t *p) { return vf_load_##type##_n(p, SDX_LANES); }                    \
    static inline void vf_store_##type(uint16_t *p, vf a) { vf_store_##type##_n(p, a, SDX_LANES); }
SDX_NARROW(f16)
SDX_NARROW(bf16)
#undef SDX_NARROW
