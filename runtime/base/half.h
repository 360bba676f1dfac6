/* SPDX-License-Identifier: Apache-2.0
 * Scalar conversions between f32 and the narrow floating types. Bits travel as unsigned integers of the type's
 * width. All round to nearest, ties to even. Sources: IEEE 754; OCP 8-bit floating point (OFP8) and Microscaling (MX)
 * specifications; ONNX technical notes on float8, float4 and float6. */
#ifndef SDX_BASE_HALF_H
#define SDX_BASE_HALF_H
#include "sardonyx.h"

static inline float sdx_f32_from_bits(uint32_t bits) {
    union {
        uint32_t u;
        float f;
    } v = {bits};
    return v.f;
}
static inline uint32_t sdx_f32_bits(float value) {
    union {
        float f;
        uint32_t u;
    } v = {value};
    return v.u;
}

float sdx_f32_from_f16(uint16_t bits);
uint16_t sdx_f16_from_f32(float value);
uint16_t sdx_f16_from_f64(double value); /* one rounding */
static inline float sdx_f32_from_bf16(uint16_t bits) { return sdx_f32_from_bits((uint32_t)bits << 16); }
uint16_t sdx_bf16_from_f32(float value);
uint16_t sdx_bf16_from_f64(double value);

/* f8, f6 and f4 types. saturate: values beyond the largest finite become it (else NaN, or infinity for e5m2); see the
 * tables of ONNX Cast. Types without NaN or infinity (f6, f4) always saturate. */
float sdx_f32_from_f8(sdx_dtype dtype, uint8_t bits);
uint8_t sdx_f8_from_f32(sdx_dtype dtype, float value, bool saturate);

/* f8e8m0 holds powers of two: `mode` is Cast's round_mode. */
typedef enum sdx_round_mode { SDX_ROUND_UP, SDX_ROUND_DOWN, SDX_ROUND_NEAREST } sdx_round_mode;
uint8_t sdx_f8e8m0_from_f32(float value, bool saturate, sdx_round_mode mode);

#endif
