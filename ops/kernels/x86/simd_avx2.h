/* SPDX-License-Identifier: Apache-2.0
 * simd.h for AVX2, FMA, F16C. Included by simd.h only. */
#include <immintrin.h>

#define SDX_LANES   8
#define SDX_LANES64 4
typedef __m256 vf;
typedef __m256d vd;
typedef int32_t vi __attribute__((vector_size(32)));
typedef __m256 vm;

static inline __m256i lanes8(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline __m256i lanes4(int64_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}

static inline vf vf_set(float a) { return _mm256_set1_ps(a); }
static inline vi vi_set(int32_t a) { return (vi)_mm256_set1_epi32(a); }
static inline vd vd_set(double a) { return _mm256_set1_pd(a); }

static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline vf vf_load_n(const float *p, int64_t n) { return _mm256_maskload_ps(p, lanes8(n)); }
static inline void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
static inline void vf_store_n(float *p, vf a, int64_t n) { _mm256_maskstore_ps(p, lanes8(n), a); }
static inline vi vi_load(const void *p) { return (vi)_mm256_loadu_si256(p); }
static inline vi vi_load_n(const void *p, int64_t n) { return (vi)_mm256_maskload_epi32(p, lanes8(n)); }
static inline void vi_store(void *p, vi a) { _mm256_storeu_si256(p, (__m256i)a); }
static inline void vi_store_n(void *p, vi a, int64_t n) { _mm256_maskstore_epi32(p, lanes8(n), (__m256i)a); }
static inline vd vd_load(const double *p) { return _mm256_loadu_pd(p); }
static inline vd vd_load_f32(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
static inline vd vd_load_f32_n(const float *p, int64_t n) {
    return _mm256_cvtps_pd(_mm_maskload_ps(p, _mm256_castsi256_si128(lanes8(n))));
}
static inline vd vd_load_n(const double *p, int64_t n) { return _mm256_maskload_pd(p, lanes4(n)); }
static inline void vd_store(double *p, vd a) { _mm256_storeu_pd(p, a); }
static inline void vd_store_n(double *p, vd a, int64_t n) { _mm256_maskstore_pd(p, lanes4(n), a); }

/* x[at], 0 where at < 0 */
static inline vf vf_gather(const float *x, vi at) {
    return _mm256_mask_i32gather_ps(_mm256_setzero_ps(), x, (__m256i)at, (vf)~at, 4);
}

static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vd vd_fma(vd a, vd b, vd c) { return _mm256_fmadd_pd(a, b, c); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vd vd_min(vd a, vd b) { return _mm256_min_pd(a, b); }
static inline vd vd_max(vd a, vd b) { return _mm256_max_pd(a, b); }
/* a where it is NaN, else b; the first n lanes of a, then `rest`. */
static inline vd vd_nan_or(vd a, vd b) { return _mm256_blendv_pd(b, a, _mm256_cmp_pd(a, a, _CMP_UNORD_Q)); }
static inline vd vd_keep(vd a, int64_t n, double rest) {
    return _mm256_blendv_pd(vd_set(rest), a, _mm256_castsi256_pd(lanes4(n)));
}
static inline vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static inline vf vf_round(vf a) { return _mm256_round_ps(a, 8); }
static inline vf vf_floor(vf a) { return _mm256_round_ps(a, 9); }
static inline vf vf_ceil(vf a) { return _mm256_round_ps(a, 10); }
static inline vi vf_to_i(vf a) { return (vi)_mm256_cvtps_epi32(a); }
static inline vf vi_to_f(vi a) { return _mm256_cvtepi32_ps((__m256i)a); }
static inline vi vi_shr(vi a, int n) { return (vi)_mm256_srl_epi32((__m256i)a, _mm_cvtsi32_si128(n)); }

static inline vm vf_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vm vf_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
static inline vm vf_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static inline vm vf_nan(vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
static inline vf vf_select(vm mask, vf yes, vf no) { return _mm256_blendv_ps(no, yes, mask); }
static inline vi vi_select(vm mask, vi yes, vi no) { return (vi)_mm256_blendv_ps((vf)no, (vf)yes, mask); }

/* Lanes 0, 2, 4 ... of a followed by b. */
static inline vf vf_even(vf a, vf b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14); }

/* There is no masked 16-bit access: the last lanes go through a small buffer. */
static inline __m128i load16_n(const uint16_t *p, int64_t n) {
    uint16_t lane[8] = {0};
    memcpy(lane, p, (size_t)n * sizeof *lane);
    return _mm_loadu_si128((const void *)lane);
}
static inline void store16_n(uint16_t *p, __m128i a, int64_t n) {
    uint16_t lane[8];
    _mm_storeu_si128((void *)lane, a);
    memcpy(p, lane, (size_t)n * sizeof *lane);
}
static inline vf vf_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p)); }
static inline vf vf_load_f16_n(const uint16_t *p, int64_t n) { return _mm256_cvtph_ps(load16_n(p, n)); }
static inline void vf_store_f16(uint16_t *p, vf a) { _mm_storeu_si128((void *)p, _mm256_cvtps_ph(a, 8)); }
static inline void vf_store_f16_n(uint16_t *p, vf a, int64_t n) { store16_n(p, _mm256_cvtps_ph(a, 8), n); }
static inline vf vf_from_bf16(__m128i a) { return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(a), 16); }
/* Nearest, ties to even; NaN keeps its sign and becomes quiet. */
static inline __m128i vf_to_bf16(vf a) {
    __m256i bits = (__m256i)a;
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i high = _mm256_srli_epi32((__m256i)_mm256_blendv_ps((vf)rounded, (vf)quiet, vf_nan(a)), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
}
static inline vf vf_load_bf16(const uint16_t *p) { return vf_from_bf16(_mm_loadu_si128((const void *)p)); }
static inline vf vf_load_bf16_n(const uint16_t *p, int64_t n) { return vf_from_bf16(load16_n(p, n)); }
static inline void vf_store_bf16(uint16_t *p, vf a) { _mm_storeu_si128((void *)p, vf_to_bf16(a)); }
static inline void vf_store_bf16_n(uint16_t *p, vf a, int64_t n) { store16_n(p, vf_to_bf16(a), n); }
