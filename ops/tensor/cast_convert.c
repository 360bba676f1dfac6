/* SPDX-License-Identifier: Apache-2.0
 * A block is loaded as i64, f32 or f64, whichever holds its type exactly (u64 stays u64), and stored from there, so
 * that types add up instead of multiplying. Floating to integer is defined for every value: the integer part, limited
 * to i32 for types below 32 bits and to i64 above, low bits kept; i32 and i64 saturate; NaN gives 0. */
#include "ops/tensor/cast_convert.h"
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include <string.h>

enum { BLOCK = 512 };

static inline int64_t whole64(double v) {
    if (!(v > -0x1p63)) return v <= -0x1p63 ? INT64_MIN : 0;
    return v >= 0x1p63 ? INT64_MAX : (int64_t)v;
}

static inline int32_t whole32(double v) {
    if (!(v > -0x1p31)) return v <= -0x1p31 ? INT32_MIN : 0;
    return v >= 0x1p31 ? INT32_MAX : (int32_t)v;
}

static inline uint64_t whole_u64(double v) {
    if (v >= 0x1p63) return v >= 0x1p64 ? UINT64_MAX : (uint64_t)v;
    return (uint64_t)whole64(v);
}

static inline uint8_t low_bits(int64_t v, int bits, bool is_signed) {
    unsigned mask = (1u << bits) - 1, low = (unsigned)((uint64_t)v & mask);
    return (uint8_t)(is_signed && low >> (bits - 1) ? low | (0xffu & ~mask) : low);
}

/* To the nearest f32, but an inexact result gets an odd last bit, so that rounding again rounds once. */
static float odd_f32(double v) {
    float f = (float)v;
    double back = (double)f;
    if (back == v || v != v) return f;
    uint32_t bits = sdx_f32_bits(f);
    if ((bits & 0x7fffffff) == 0x7f800000) return sdx_f32_from_bits(bits - 1);
    if (bits & 1) return f;
    bool inward = v < 0 ? back < v : back > v;
    return sdx_f32_from_bits(inward ? bits - 1 : bits + 1);
}

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

static void load_i64(sdx_dtype from, const void *x, int64_t *y, int64_t n) {
    switch ((int)from) {
    case SDX_I8:
    case SDX_I4:
    case SDX_I2: EACH(int64_t, int8_t, v);
    case SDX_I16: EACH(int64_t, int16_t, v);
    case SDX_I32: EACH(int64_t, int32_t, v);
    case SDX_U16: EACH(int64_t, uint16_t, v);
    case SDX_U32: EACH(int64_t, uint32_t, v);
    case SDX_BOOL: EACH(int64_t, uint8_t, v != 0);
    default: EACH(int64_t, uint8_t, v);
    }
}

static void load_f32(const sdx_kernels *kernels, sdx_dtype from, const void *x, float *y, int64_t n) {
    if (from == SDX_F16)
        kernels->f32_from_f16(x, y, n);
    else if (from == SDX_BF16)
        kernels->f32_from_bf16(x, y, n);
    else
        EACH(float, uint8_t, sdx_f32_from_f8(from, v));
}

static void store_f8(const sdx_cast *cast, const float *x, uint8_t *y, int64_t n) {
    if (cast->to == SDX_F8E8M0) EACH(uint8_t, float, sdx_f8e8m0_from_f32(v, cast->saturate, cast->mode));
    EACH(uint8_t, float, sdx_f8_from_f32(cast->to, v, cast->saturate));
}

/* From i64 and from u64 in the same bits: only floating results differ. */
#define STORE_INTEGER(name, type)                                                                                      \
    static void name(const sdx_cast *cast, const void *x, void *y, int64_t n) {                                        \
        float single[BLOCK];                                                                                           \
        switch ((int)cast->to) {                                                                                       \
        case SDX_BOOL: EACH(uint8_t, type, v != 0);                                                                    \
        case SDX_I8:                                                                                                   \
        case SDX_U8: EACH(uint8_t, type, v);                                                                           \
        case SDX_I16:                                                                                                  \
        case SDX_U16: EACH(uint16_t, type, v);                                                                         \
        case SDX_I32:                                                                                                  \
        case SDX_U32: EACH(uint32_t, type, v);                                                                         \
        case SDX_I64:                                                                                                  \
        case SDX_U64: EACH(uint64_t, type, v);                                                                         \
        case SDX_U4: EACH(uint8_t, type, low_bits((int64_t)v, 4, false));                                              \
        case SDX_I4: EACH(uint8_t, type, low_bits((int64_t)v, 4, true));                                               \
        case SDX_U2: EACH(uint8_t, type, low_bits((int64_t)v, 2, false));                                              \
        case SDX_I2: EACH(uint8_t, type, low_bits((int64_t)v, 2, true));                                               \
        case SDX_F32: EACH(float, type, v);                                                                            \
        case SDX_F64: EACH(double, type, v);                                                                           \
        case SDX_F16: EACH(uint16_t, type, sdx_f16_from_f64((double)v));                                               \
        case SDX_BF16: EACH(uint16_t, type, sdx_bf16_from_f64((double)v));                                             \
        default: break;                                                                                                \
        }                                                                                                              \
        for (int64_t i = 0; i < n; i++) single[i] = odd_f32((double)((const type *)x)[i]);                             \
        store_f8(cast, single, y, n);                                                                                  \
    }
STORE_INTEGER(store_i64, int64_t)
STORE_INTEGER(store_u64, uint64_t)

/* All of a magnitude whose bits are below `bound`: NaN and infinities never are. */
static bool all_below(const float *x, int64_t n, int32_t bound) {
    int32_t outside = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits = 0;
        memcpy(&bits, x + i, sizeof bits);
        outside |= (bits & INT32_MAX) >= bound;
    }
    return !outside;
}

/* The bits of the f32 from which on a conversion has to saturate; 0: the plain one is not for this type. */
static int32_t bound_of(sdx_dtype to) {
    const bool small = to == SDX_I8 || to == SDX_U8 || to == SDX_I16 || to == SDX_U16 || to == SDX_I32;
    return small ? 0x4f000000 /* 2^31 */ : to == SDX_I64 ? 0x5f000000 /* 2^63 */ : 0;
}

/* Integers from f32 below that bound, where the plain conversion is defined. */
static void plain_from_f32(sdx_dtype to, const float *x, void *y, int64_t n) {
    switch ((int)to) {
    case SDX_I8:
    case SDX_U8: EACH(uint8_t, float, (uint32_t)(int32_t)v);
    case SDX_I16:
    case SDX_U16: EACH(uint16_t, float, (uint32_t)(int32_t)v);
    case SDX_I32: EACH(int32_t, float, v);
    default: EACH(int64_t, float, v);
    }
}

/* f32 from integers whose every value it holds. */
static bool holds(sdx_dtype from) { return from == SDX_BOOL || from == SDX_I8 || from == SDX_U8; }

static void f32_from_bytes(sdx_dtype from, const void *x, float *y, int64_t n) {
    switch ((int)from) {
    case SDX_BOOL: EACH(float, uint8_t, v != 0);
    case SDX_I8: EACH(float, int8_t, v);
    default: EACH(float, uint8_t, v);
    }
}

/* Results of integer kind from f32 or f64; false: another kind. */
#define STORE_WHOLE(name, type)                                                                                        \
    static void name(const sdx_cast *cast, const type *x, void *y, int64_t n) {                                        \
        switch ((int)cast->to) {                                                                                       \
        case SDX_BOOL: EACH(uint8_t, type, v != 0);                                                                    \
        case SDX_I8:                                                                                                   \
        case SDX_U8: EACH(uint8_t, type, (uint32_t)whole32((double)v));                                                \
        case SDX_I16:                                                                                                  \
        case SDX_U16: EACH(uint16_t, type, (uint32_t)whole32((double)v));                                              \
        case SDX_I32: EACH(int32_t, type, whole32((double)v));                                                         \
        case SDX_U32: EACH(uint32_t, type, (uint64_t)whole64((double)v));                                              \
        case SDX_I64: EACH(int64_t, type, whole64((double)v));                                                         \
        case SDX_U64: EACH(uint64_t, type, whole_u64((double)v));                                                      \
        case SDX_U4: EACH(uint8_t, type, low_bits(whole32((double)v), 4, false));                                      \
        case SDX_I4: EACH(uint8_t, type, low_bits(whole32((double)v), 4, true));                                       \
        case SDX_U2: EACH(uint8_t, type, low_bits(whole32((double)v), 2, false));                                      \
        default: EACH(uint8_t, type, low_bits(whole32((double)v), 2, true));                                           \
        }                                                                                                              \
    }
STORE_WHOLE(whole_from_f32, float)
STORE_WHOLE(whole_from_f64, double)

static void store_f32(const sdx_kernels *kernels, const sdx_cast *cast, const float *x, void *y, int64_t n) {
    const int32_t bound = bound_of(cast->to);
    if (bound && all_below(x, n, bound))
        plain_from_f32(cast->to, x, y, n);
    else if (sdx_dtype_class(cast->to) != SDX_CLASS_FLOAT)
        whole_from_f32(cast, x, y, n);
    else if (cast->to == SDX_F64)
        EACH(double, float, v);
    else if (cast->to == SDX_F32)
        memcpy(y, x, (size_t)n * sizeof *x);
    else if (cast->to == SDX_F16)
        kernels->f16_from_f32(x, y, n);
    else if (cast->to == SDX_BF16)
        kernels->bf16_from_f32(x, y, n);
    else
        store_f8(cast, x, y, n);
}

static void store_f64(const sdx_cast *cast, const double *x, void *y, int64_t n) {
    float single[BLOCK];
    if (sdx_dtype_class(cast->to) != SDX_CLASS_FLOAT) {
        whole_from_f64(cast, x, y, n);
        return;
    }
    if (cast->to == SDX_F64) EACH(double, double, v);
    if (cast->to == SDX_F32) EACH(float, double, v);
    if (cast->to == SDX_F16) EACH(uint16_t, double, sdx_f16_from_f64(v));
    if (cast->to == SDX_BF16) EACH(uint16_t, double, sdx_bf16_from_f64(v));
    for (int64_t i = 0; i < n; i++) {
        bool infinite = x[i] - x[i] != 0;
        single[i] = infinite ? (float)x[i] : odd_f32(x[i]);
    }
    store_f8(cast, single, y, n);
}

static void cast_block(const sdx_kernels *kernels, const sdx_cast *cast, sdx_dtype from, const void *x, void *y,
                       int64_t n) {
    union {
        int64_t whole[BLOCK];
        float single[BLOCK];
    } wide;
    if (from == SDX_F64)
        store_f64(cast, x, y, n);
    else if (from == SDX_F32)
        store_f32(kernels, cast, x, y, n);
    else if (cast->to == SDX_F32 && holds(from))
        f32_from_bytes(from, x, y, n);
    else if (from == SDX_U64)
        store_u64(cast, x, y, n);
    else if (from == SDX_I64)
        store_i64(cast, x, y, n);
    else if (sdx_dtype_class(from) == SDX_CLASS_FLOAT) {
        load_f32(kernels, from, x, wide.single, n);
        store_f32(kernels, cast, wide.single, y, n);
    } else {
        load_i64(from, x, wide.whole, n);
        store_i64(cast, wide.whole, y, n);
    }
}

void sdx_cast_numbers(const sdx_kernels *kernels, const sdx_cast *cast, sdx_dtype from, const void *x, void *y,
                      int64_t n) {
    size_t x_size = sdx_dtype_size(from), y_size = sdx_dtype_size(cast->to);
    if (from == cast->to) {
        if (x != y) memcpy(y, x, (size_t)n * x_size);
        return;
    }
    for (int64_t k = 0; k < n; k += BLOCK)
        cast_block(kernels, cast, from, (const char *)x + (size_t)k * x_size, (char *)y + (size_t)k * y_size,
                   n - k < BLOCK ? n - k : BLOCK);
}

typedef struct cast_job {
    const sdx_kernels *kernels;
    const sdx_cast *cast;
    const sdx_tensor *x;
    sdx_tensor *y;
} cast_job;

static void cast_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const cast_job *job = argument;
    const char *x = job->x->data;
    char *y = job->y->data;
    sdx_cast_numbers(job->kernels, job->cast, job->x->dtype, x + (size_t)begin * sdx_dtype_size(job->x->dtype),
                     y + (size_t)begin * sdx_dtype_size(job->y->dtype), end - begin);
}

sdx_status sdx_cast_compute(sdx_compute *compute, const sdx_cast *cast) {
    const sdx_tensor *x = compute->in[0];
    sdx_tensor *y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!y) return compute->error->status;
    if (x->dtype == SDX_STRING && cast->to != SDX_STRING) return sdx_cast_from_text(compute, cast, x, y);
    if (cast->to == SDX_STRING && x->dtype != SDX_STRING) return sdx_cast_to_text(compute, x, y);
    cast_job job = {compute->kernels, cast, x, y};
    return sdx_for(compute, x->count, SDX_GRAIN_MATH, cast_range, &job);
}

sdx_round_mode sdx_bind_round_mode(sdx_bind *bind, bool present) {
    static const char *const modes[] = {"up", "down", "nearest"};
    return present ? (sdx_round_mode)sdx_bind_choice(bind, "round_mode", modes, 3) : SDX_ROUND_UP;
}
