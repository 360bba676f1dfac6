/* SPDX-License-Identifier: Apache-2.0
 * simd.h for AVX-512 F, BW, DQ, VL. Included by simd.h only. */
#include <immintrin.h>

#define SDX_LANES   16
#define SDX_LANES64 8
typedef __m512 vf;
typedef __m512d vd;
typedef int32_t vi __attribute__((vector_size(64)));
typedef __mmask16 vm;
typedef __mmask8 vmd;

static inline __mmask16 lanes16(int64_t n) { return (__mmask16)((1u << n) - 1u); }
static inline __mmask8 lanes8(int64_t n) { return (__mmask8)((1u << n) - 1u); }

static inline vf vf_set(float a) { return _mm512_set1_ps(a); }
static inline vi vi_set(int32_t a) { return (vi)_mm512_set1_epi32(a); }
static inline vd vd_set(double a) { return _mm512_set1_pd(a); }

static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline vf vf_load_n(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(lanes16(n), p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
static inline void vf_store_n(float *p, vf a, int64_t n) { _mm512_mask_storeu_ps(p, lanes16(n), a); }
static inline vi vi_load(const void *p) { return (vi)_mm512_loadu_si512(p); }
static inline vi vi_load_n(const void *p, int64_t n) { return (vi)_mm512_maskz_loadu_epi32(lanes16(n), p); }
static inline void vi_store(void *p, vi a) { _mm512_storeu_si512(p, (__m512i)a); }
static inline void vi_store_n(void *p, vi a, int64_t n) { _mm512_mask_storeu_epi32(p, lanes16(n), (__m512i)a); }
static inline vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
static inline vd vd_load_f32(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
static inline vd vd_load_f32_n(const float *p, int64_t n) {
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(lanes8(n), p));
}
static inline vd vd_load_n(const double *p, int64_t n) { return _mm512_maskz_loadu_pd(lanes8(n), p); }
static inline void vd_store(double *p, vd a) { _mm512_storeu_pd(p, a); }
static inline void vd_store_n(double *p, vd a, int64_t n) { _mm512_mask_storeu_pd(p, lanes8(n), a); }

/* x[at], 0 where at < 0. In halves with vector masks: the form with a mask register is far slower on some machines. */
static inline vf vf_gather(const float *x, vi at) {
    const __m256i low = _mm512_castsi512_si256((__m512i)at), high = _mm512_extracti64x4_epi64((__m512i)at, 1);
    const __m256 zero = _mm256_setzero_ps(), ones = (__m256)_mm256_set1_epi32(-1);
    const __m256 a = _mm256_mask_i32gather_ps(zero, x, low, _mm256_andnot_ps((__m256)low, ones), 4);
    const __m256 b = _mm256_mask_i32gather_ps(zero, x, high, _mm256_andnot_ps((__m256)high, ones), 4);
    return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1);
}

static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vd vd_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vd vd_min(vd a, vd b) { return _mm512_min_pd(a, b); }
static inline vd vd_max(vd a, vd b) { return _mm512_max_pd(a, b); }
/* a where it is NaN, else b; the first n lanes of a, then `rest`. */
static inline vd vd_nan_or(vd a, vd b) { return _mm512_mask_mov_pd(b, _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q), a); }
static inline vd vd_keep(vd a, int64_t n, double rest) { return _mm512_mask_mov_pd(vd_set(rest), lanes8(n), a); }
static inline vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, 8); }
static inline vf vf_floor(vf a) { return _mm512_roundscale_ps(a, 9); }
static inline vf vf_ceil(vf a) { return _mm512_roundscale_ps(a, 10); }
static inline vi vf_to_i(vf a) { return (vi)_mm512_cvtps_epi32(a); }
static inline vf vi_to_f(vi a) { return _mm512_cvtepi32_ps((__m512i)a); }
static inline vf vf_ldexp(vf a, vf n) { return _mm512_scalef_ps(a, n); }
static inline vi vi_shr(vi a, int n) { return (vi)_mm512_srli_epi32((__m512i)a, (unsigned)n); }

static inline vm vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vm vf_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static inline vm vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline vm vf_nan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
static inline vf vf_select(vm mask, vf yes, vf no) { return _mm512_mask_blend_ps(mask, no, yes); }
static inline vi vi_select(vm mask, vi yes, vi no) {
    return (vi)_mm512_mask_blend_epi32(mask, (__m512i)no, (__m512i)yes);
}

/* Lanes 0, 2, 4 ... of a followed by b. */
static inline vf vf_even(vf a, vf b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

static inline vf vf_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }
static inline vf vf_load_f16_n(const uint16_t *p, int64_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes16(n), p));
}
static inline void vf_store_f16(uint16_t *p, vf a) { _mm256_storeu_si256((void *)p, _mm512_cvtps_ph(a, 8)); }
static inline void vf_store_f16_n(uint16_t *p, vf a, int64_t n) {
    _mm256_mask_storeu_epi16(p, lanes16(n), _mm512_cvtps_ph(a, 8));
}
static inline vf vf_from_bf16(__m256i a) { return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(a), 16); }
/* Nearest, ties to even; NaN keeps its sign and becomes quiet. */
static inline __m256i vf_to_bf16(vf a) {
    __m512i bits = (__m512i)a;
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_blend_epi32(vf_nan(a), rounded, quiet), 16));
}
static inline vf vf_load_bf16(const uint16_t *p) { return vf_from_bf16(_mm256_loadu_si256((const void *)p)); }
static inline vf vf_load_bf16_n(const uint16_t *p, int64_t n) {
    return vf_from_bf16(_mm256_maskz_loadu_epi16(lanes16(n), p));
}
static inline void vf_store_bf16(uint16_t *p, vf a) { _mm256_storeu_si256((void *)p, vf_to_bf16(a)); }
static inline void vf_store_bf16_n(uint16_t *p, vf a, int64_t n) {
    _mm256_mask_storeu_epi16(p, lanes16(n), vf_to_bf16(a));
}
