/* SPDX-License-Identifier: Apache-2.0
 * Conversions between stored dtypes and those that arithmetic is done in; see loop.h. */
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include "runtime/base/half.h"
#include <string.h>

enum { BLOCK = 256 }; /* elements converted at a time where f32 stands in between */

sdx_dtype sdx_work_dtype(sdx_dtype dtype) {
    bool narrow = sdx_dtype_class(dtype) == SDX_CLASS_FLOAT && sdx_dtype_size(dtype) < 4;
    return narrow ? SDX_F32 : dtype;
}

/* Truncation that is defined for every value: saturated, NaN gives 0. The bounds are exact in f64: `top` is the
 * largest value plus one, a power of two. */
#define SATURATE(name, type, low, top, most)                                                                           \
    static inline type name(double v) {                                                                                \
        if (!(v > (low))) return v <= (low) ? (type)(low) : (type)0;                                                   \
        return v >= (top) ? (most) : (type)v;                                                                          \
    }
SATURATE(to_i8, int8_t, -128.0, 128.0, INT8_MAX)
SATURATE(to_i16, int16_t, -32768.0, 32768.0, INT16_MAX)
SATURATE(to_i32, int32_t, -2147483648.0, 2147483648.0, INT32_MAX)
SATURATE(to_i64, int64_t, -9223372036854775808.0, 9223372036854775808.0, INT64_MAX)
SATURATE(to_u8, uint8_t, 0.0, 256.0, UINT8_MAX)
SATURATE(to_u16, uint16_t, 0.0, 65536.0, UINT16_MAX)
SATURATE(to_u32, uint32_t, 0.0, 4294967296.0, UINT32_MAX)
SATURATE(to_u64, uint64_t, 0.0, 18446744073709551616.0, UINT64_MAX)

#define EACH(to_type, from_type, expression)                                                                           \
    do {                                                                                                               \
        const from_type *from_ = x;                                                                                    \
        to_type *to_ = y;                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            from_type v = from_[i];                                                                                    \
            to_[i] = (to_type)(expression);                                                                            \
        }                                                                                                              \
        return;                                                                                                        \
    } while (0)

/* Every dtype but the narrow floats; `floats` is applied to floating values. */
#define WIDEN(name, to_type, floats)                                                                                   \
    static void name(sdx_dtype from, const void *x, void *y, int64_t n) {                                              \
        switch ((int)from) {                                                                                           \
        case SDX_F32: EACH(to_type, float, floats((double)v));                                                         \
        case SDX_F64: EACH(to_type, double, floats(v));                                                                \
        case SDX_I2:                                                                                                   \
        case SDX_I4:                                                                                                   \
        case SDX_I8: EACH(to_type, int8_t, v);                                                                         \
        case SDX_I16: EACH(to_type, int16_t, v);                                                                       \
        case SDX_I32: EACH(to_type, int32_t, v);                                                                       \
        case SDX_I64: EACH(to_type, int64_t, v);                                                                       \
        case SDX_U16: EACH(to_type, uint16_t, v);                                                                      \
        case SDX_U32: EACH(to_type, uint32_t, v);                                                                      \
        case SDX_U64: EACH(to_type, uint64_t, v);                                                                      \
        default: EACH(to_type, uint8_t, v);                                                                            \
        }                                                                                                              \
    }
WIDEN(widen_f32, float, )
WIDEN(widen_f64, double, )
WIDEN(widen_i64, int64_t, to_i64)

static void narrow_f64(const double *x, sdx_dtype to, void *y, int64_t n) {
    switch ((int)to) {
    case SDX_F32: EACH(float, double, v);
    case SDX_F16: EACH(uint16_t, double, sdx_f16_from_f64(v));
    case SDX_BF16: EACH(uint16_t, double, sdx_bf16_from_f64(v));
    case SDX_BOOL: EACH(uint8_t, double, v != 0);
    case SDX_I8: EACH(int8_t, double, to_i8(v));
    case SDX_I16: EACH(int16_t, double, to_i16(v));
    case SDX_I32: EACH(int32_t, double, to_i32(v));
    case SDX_I64: EACH(int64_t, double, to_i64(v));
    case SDX_U8: EACH(uint8_t, double, to_u8(v));
    case SDX_U16: EACH(uint16_t, double, to_u16(v));
    case SDX_U32: EACH(uint32_t, double, to_u32(v));
    default: EACH(uint64_t, double, to_u64(v));
    }
}

static void narrow_i64(const int64_t *x, sdx_dtype to, void *y, int64_t n) {
    switch ((int)to) {
    case SDX_F32: EACH(float, int64_t, v);
    case SDX_F64: EACH(double, int64_t, v);
    case SDX_BOOL: EACH(uint8_t, int64_t, v != 0);
    case SDX_I8: EACH(int8_t, int64_t, v);
    case SDX_I16: EACH(int16_t, int64_t, v);
    case SDX_I32: EACH(int32_t, int64_t, v);
    case SDX_U8: EACH(uint8_t, int64_t, v);
    case SDX_U16: EACH(uint16_t, int64_t, v);
    case SDX_U32: EACH(uint32_t, int64_t, v);
    default: EACH(uint64_t, int64_t, v);
    }
}

/* f16, bf16, f8 -> f32 and back. */
static void f32_from_narrow(const sdx_kernels *kernels, sdx_dtype from, const void *x, float *y, int64_t n) {
    if (from == SDX_F16 && kernels)
        kernels->f32_from_f16(x, y, n);
    else if (from == SDX_BF16 && kernels)
        kernels->f32_from_bf16(x, y, n);
    else if (from == SDX_F16)
        EACH(float, uint16_t, sdx_f32_from_f16(v));
    else if (from == SDX_BF16)
        EACH(float, uint16_t, sdx_f32_from_bf16(v));
    else
        EACH(float, uint8_t, sdx_f32_from_f8(from, v));
}

static void narrow_from_f32(const sdx_kernels *kernels, const float *x, sdx_dtype to, void *y, int64_t n) {
    if (to == SDX_F16 && kernels)
        kernels->f16_from_f32(x, y, n);
    else if (to == SDX_BF16 && kernels)
        kernels->bf16_from_f32(x, y, n);
    else if (to == SDX_F16)
        EACH(uint16_t, float, sdx_f16_from_f32(v));
    else if (to == SDX_BF16)
        EACH(uint16_t, float, sdx_bf16_from_f32(v));
    else
        EACH(uint8_t, float, sdx_f8_from_f32(to, v, true));
}

static bool is_narrow(sdx_dtype dtype) { return sdx_work_dtype(dtype) != dtype; }

/* One block through f32 or f64 in between. */
static void convert_block(const sdx_kernels *kernels, sdx_dtype from, const void *x, sdx_dtype to, void *y, int64_t n) {
    float single[BLOCK];
    double wide[BLOCK];
    if (is_narrow(from)) {
        f32_from_narrow(kernels, from, x, single, n);
        x = single;
        from = SDX_F32;
    } else if (from == SDX_I64 && is_narrow(to)) {
        widen_f64(from, x, wide, n);
        x = wide;
        from = SDX_F64;
    }
    if (from == to)
        memcpy(y, x, (size_t)n * sdx_dtype_size(to));
    else if (from == SDX_I64)
        narrow_i64(x, to, y, n);
    else if (to == SDX_F32)
        widen_f32(from, x, y, n);
    else if (to == SDX_I64)
        widen_i64(from, x, y, n);
    else if (to == SDX_F64)
        widen_f64(from, x, y, n);
    else {
        widen_f64(from, x, wide, n);
        narrow_f64(wide, to, y, n);
    }
}

void sdx_convert(const struct sdx_kernels *kernels, sdx_dtype from, const void *x, sdx_dtype to, void *y, int64_t n) {
    if (from == to) {
        memcpy(y, x, (size_t)n * sdx_dtype_size(to));
        return;
    }
    if (is_narrow(from) && to == SDX_F32) {
        f32_from_narrow(kernels, from, x, y, n);
        return;
    }
    if (from == SDX_F32 && is_narrow(to)) {
        narrow_from_f32(kernels, x, to, y, n);
        return;
    }
    if (from == SDX_F64 && to == SDX_F32 && kernels) {
        kernels->f32_from_f64(x, y, n);
        return;
    }
    if (from == SDX_F32 && to == SDX_F64 && kernels) {
        kernels->f64_from_f32(x, y, n);
        return;
    }
    int64_t x_size = (int64_t)sdx_dtype_size(from), y_size = (int64_t)sdx_dtype_size(to);
    for (int64_t k = 0; k < n; k += BLOCK)
        convert_block(kernels, from, (const char *)x + k * x_size, to, (char *)y + k * y_size,
                      n - k < BLOCK ? n - k : BLOCK);
}
