/* SPDX-License-Identifier: Apache-2.0
 * A narrow format is a row of numbers. Encoding rounds the significand to the format's grid as an integer; carries run
 * from the fraction into the exponent by themselves, so overflow is one comparison with the largest finite code. */
#include "runtime/base/half.h"

typedef struct format {
    int fraction; /* bits */
    int bias;
    unsigned sign;     /* the sign bit; all below it is the magnitude */
    unsigned max;      /* magnitude of the largest finite number */
    unsigned overflow; /* magnitude of what lies beyond, when not saturating */
    unsigned nan;      /* magnitude */
    bool fnuz;         /* the code of -0 is the only NaN */
} format;

static const format f16_format = {10, 15, 0x8000, 0x7bff, 0x7c00, 0x7e00, false};
static const format bf16_format = {7, 127, 0x8000, 0x7f7f, 0x7f80, 0x7fc0, false};

static const format *format_of(sdx_dtype dtype) {
    static const format rows[SDX_DTYPE_COUNT] = {
        [SDX_F8E4M3FN] = {3, 7, 0x80, 0x7e, 0x7f, 0x7f, false},
        [SDX_F8E4M3FNUZ] = {3, 8, 0x80, 0x7f, 0x80, 0x80, true},
        [SDX_F8E5M2] = {2, 15, 0x80, 0x7b, 0x7c, 0x7e, false},
        [SDX_F8E5M2FNUZ] = {2, 16, 0x80, 0x7f, 0x80, 0x80, true},
        [SDX_F6E2M3] = {3, 1, 0x20, 0x1f, 0x1f, 0, false},
        [SDX_F6E3M2] = {2, 3, 0x20, 0x1f, 0x1f, 0, false},
        [SDX_F4E2M1] = {1, 1, 0x08, 0x07, 0x07, 0, false},
    };
    return &rows[(unsigned)dtype < SDX_DTYPE_COUNT ? dtype : SDX_UNDEFINED];
}

/* The magnitude nearest to m * 2^e, ties to even; beyond f->max when it overflows. */
static inline unsigned encode(const format *f, uint64_t m, int e) {
    if (m == 0) return 0;
    int exponent = 63 - __builtin_clzll(m) + e, least = 1 - f->bias;
    if (exponent < least) exponent = least;
    int shift = exponent - f->fraction - e; /* > 0: m always has more digits than the format */
    if (shift > 60) return 0;
    uint64_t half = UINT64_C(1) << (shift - 1), rest = m & (2 * half - 1), kept = m >> shift;
    kept += rest > half || (rest == half && (kept & 1));
    return ((unsigned)(exponent - least) << f->fraction) + (unsigned)kept;
}

static inline unsigned encode_f32(const format *f, uint32_t magnitude) {
    uint32_t exponent = magnitude >> 23, fraction = magnitude & 0x7fffff;
    return exponent ? encode(f, fraction | 0x800000, (int)exponent - 150) : encode(f, fraction, -149);
}

static inline unsigned encode_f64(const format *f, uint64_t magnitude) {
    uint64_t exponent = magnitude >> 52, fraction = magnitude & UINT64_C(0xfffffffffffff);
    return exponent ? encode(f, fraction | UINT64_C(1) << 52, (int)exponent - 1075) : encode(f, fraction, -1074);
}

static uint64_t f64_bits(double value) {
    union {
        double f;
        uint64_t u;
    } v = {value};
    return v.u;
}

/* f16 or bf16 from f64: NaN keeps the leading bits of its payload and becomes quiet. */
static uint16_t narrow_f64(const format *f, double value) {
    uint64_t bits = f64_bits(value), magnitude = bits & (UINT64_MAX >> 1), infinity = UINT64_C(0x7ff) << 52;
    unsigned sign = bits >> 63 ? f->sign : 0;
    if (magnitude > infinity) {
        unsigned payload = (unsigned)(magnitude >> (52 - f->fraction)) & ((1U << f->fraction) - 1);
        return (uint16_t)(sign | f->nan | payload);
    }
    unsigned code = magnitude == infinity ? f->overflow : encode_f64(f, magnitude);
    return (uint16_t)(sign | (code > f->max ? f->overflow : code));
}

float sdx_f32_from_f16(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
    if (magnitude > 0x7c00) return sdx_f32_from_bits(sign | 0x7fc00000 | magnitude << 13);
    if (magnitude == 0x7c00) return sdx_f32_from_bits(sign | 0x7f800000);
    if (magnitude >= 0x0400) return sdx_f32_from_bits(sign | ((magnitude << 13) + (112U << 23)));
    float subnormal = (float)magnitude * 0x1p-24f;
    return sign ? -subnormal : subnormal;
}

uint16_t sdx_f16_from_f32(float value) {
    uint32_t bits = sdx_f32_bits(value), magnitude = bits & 0x7fffffff;
    unsigned sign = bits >> 16 & 0x8000;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x47800000) return (uint16_t)(sign | 0x7c00); /* 65536 and more */
    return (uint16_t)(sign | encode_f32(&f16_format, magnitude));
}

uint16_t sdx_f16_from_f64(double value) { return narrow_f64(&f16_format, value); }

uint16_t sdx_bf16_from_f32(float value) {
    uint32_t bits = sdx_f32_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t sdx_bf16_from_f64(double value) { return narrow_f64(&bf16_format, value); }

static float f32_from_e8m0(uint8_t bits) {
    if (bits == 0xff) return sdx_f32_from_bits(0x7fc00000);
    return sdx_f32_from_bits(bits ? (uint32_t)bits << 23 : 0x400000); /* 2^-127 is subnormal in f32 */
}

float sdx_f32_from_f8(sdx_dtype dtype, uint8_t bits) {
    if (dtype == SDX_F8E8M0) return f32_from_e8m0(bits);
    const format *f = format_of(dtype);
    uint32_t sign = bits & f->sign ? 0x80000000 : 0;
    unsigned magnitude = bits & (f->sign - 1);
    if (f->fnuz && sign && magnitude == 0) return sdx_f32_from_bits(0x7fc00000);
    if (magnitude > f->max)
        return sdx_f32_from_bits(sign | (magnitude == f->overflow && f->overflow != f->nan ? 0x7f800000 : 0x7fc00000));
    unsigned exponent = magnitude >> f->fraction, fraction = magnitude & ((1U << f->fraction) - 1);
    if (exponent) fraction |= 1U << f->fraction;
    int power = (exponent ? (int)exponent : 1) - f->bias - f->fraction;
    float value = (float)fraction * sdx_f32_from_bits((uint32_t)(power + 127) << 23);
    return sdx_f32_from_bits(sdx_f32_bits(value) | sign);
}

uint8_t sdx_f8_from_f32(sdx_dtype dtype, float value, bool saturate) {
    if (dtype == SDX_F8E8M0) return sdx_f8e8m0_from_f32(value, saturate, SDX_ROUND_UP);
    const format *f = format_of(dtype);
    uint32_t bits = sdx_f32_bits(value), magnitude = bits & 0x7fffffff;
    unsigned sign = bits >> 31 ? f->sign : 0, code = 0;
    if (magnitude > 0x7f800000) {
        if (f->nan == 0) sign ^= f->sign; /* no NaN: zero, with the sign that ml_dtypes and so ONNX's reference give */
        return (uint8_t)(sign | f->nan);
    }
    code = magnitude == 0x7f800000 ? f->max + 1 : encode_f32(f, magnitude);
    if (code > f->max) code = saturate ? f->max : f->overflow;
    return (uint8_t)(f->fnuz && code == 0 ? 0 : sign | code);
}

/* The table of ONNX Cast: outside [2^-127, 2^127] is the nearer end when saturating, else NaN. The sign, for which
 * the result is unspecified, is ignored as in ONNX's reference. Ties of "nearest" go up. */
uint8_t sdx_f8e8m0_from_f32(float value, bool saturate, sdx_round_mode mode) {
    uint32_t magnitude = sdx_f32_bits(value) & 0x7fffffff, least = 0x400000, most = 254U << 23;
    if (magnitude > 0x7f800000) return 0xff;
    if (magnitude < least) return saturate ? 0 : 0xff;
    if (magnitude > most) return saturate ? 254 : 0xff;
    unsigned exponent = magnitude >> 23;
    uint32_t fraction = magnitude & 0x7fffff;
    if (exponent == 0) fraction = (fraction - least) << 1; /* between 2^-127 and 2^-126 */
    bool up = mode == SDX_ROUND_UP ? fraction > 0 : mode == SDX_ROUND_NEAREST && fraction >= 0x400000;
    return (uint8_t)(exponent + up);
}
