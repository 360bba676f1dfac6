/* SPDX-License-Identifier: Apache-2.0
 * Integers wrap; max and min pass NaN on; f16 and bf16 are rounded after each step. */
#include "ops/tensor/combine.h"
#include "runtime/base/half.h"

#define SELF(v)    (v)
#define F16(v)     sdx_f32_from_f16(v)
#define TO_F16(v)  sdx_f16_from_f32(v)
#define BF16(v)    sdx_f32_from_bf16(v)
#define TO_BF16(v) sdx_bf16_from_f32(v)

#define COMBINE(name, stored, work, load, store, expression)                                                           \
    static void name(void *to, const void *from, int64_t n) {                                                          \
        stored *t = to;                                                                                                \
        const stored *f = from;                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            work a = (work)load(t[i]), b = (work)load(f[i]);                                                           \
            t[i] = (stored)store(expression);                                                                          \
        }                                                                                                              \
    }

/* wide: an unsigned type that multiplies without overflow traps */
#define INTEGER(suffix, type, wide)                                                                                    \
    COMBINE(add_##suffix, type, type, SELF, SELF, (wide)a + (wide)b)                                                   \
    COMBINE(mul_##suffix, type, type, SELF, SELF, (wide)a *(wide)b)                                                    \
    COMBINE(max_##suffix, type, type, SELF, SELF, a > b ? a : b)                                                       \
    COMBINE(min_##suffix, type, type, SELF, SELF, a < b ? a : b)
INTEGER(i8, int8_t, uint32_t)
INTEGER(i16, int16_t, uint32_t)
INTEGER(i32, int32_t, uint32_t)
INTEGER(i64, int64_t, uint64_t)
INTEGER(u8, uint8_t, uint32_t)
INTEGER(u16, uint16_t, uint32_t)
INTEGER(u32, uint32_t, uint32_t)
INTEGER(u64, uint64_t, uint64_t)

#define FLOATING(suffix, stored, work, load, store)                                                                    \
    COMBINE(add_##suffix, stored, work, load, store, a + b)                                                            \
    COMBINE(mul_##suffix, stored, work, load, store, a *b)                                                             \
    COMBINE(max_##suffix, stored, work, load, store, a > b || a != a ? a : b)                                          \
    COMBINE(min_##suffix, stored, work, load, store, a < b || a != a ? a : b)
FLOATING(f32, float, float, SELF, SELF)
FLOATING(f64, double, double, SELF, SELF)
FLOATING(f16, uint16_t, float, F16, TO_F16)
FLOATING(bf16, uint16_t, float, BF16, TO_BF16)

COMBINE(or_bool, uint8_t, uint8_t, SELF, SELF, (a | b) != 0)
COMBINE(and_bool, uint8_t, uint8_t, SELF, SELF, a &&b)

#define COMPLEX(suffix, type)                                                                                          \
    static void add_##suffix(void *to, const void *from, int64_t n) {                                                  \
        type *t = to;                                                                                                  \
        const type *f = from;                                                                                          \
        for (int64_t i = 0; i < 2 * n; i++) t[i] += f[i];                                                              \
    }                                                                                                                  \
    static void mul_##suffix(void *to, const void *from, int64_t n) {                                                  \
        type *t = to;                                                                                                  \
        const type *f = from;                                                                                          \
        for (int64_t i = 0; i < 2 * n; i += 2) {                                                                       \
            type real = t[i] * f[i] - t[i + 1] * f[i + 1];                                                             \
            t[i + 1] = t[i] * f[i + 1] + t[i + 1] * f[i];                                                              \
            t[i] = real;                                                                                               \
        }                                                                                                              \
    }
COMPLEX(c64, float)
COMPLEX(c128, double)

#define ROW(id, suffix) [SDX_##id] = {NULL, add_##suffix, mul_##suffix, max_##suffix, min_##suffix}

sdx_combine_fn sdx_combine_of(sdx_dtype dtype, int reduction) {
    static const sdx_combine_fn rows[SDX_DTYPE_COUNT][5] = {
        ROW(I8, i8),
        ROW(I16, i16),
        ROW(I32, i32),
        ROW(I64, i64),
        ROW(U8, u8),
        ROW(U16, u16),
        ROW(U32, u32),
        ROW(U64, u64),
        ROW(F32, f32),
        ROW(F64, f64),
        ROW(F16, f16),
        ROW(BF16, bf16),
        [SDX_BOOL] = {NULL, or_bool, and_bool, or_bool, and_bool},
        [SDX_C64] = {NULL, add_c64, mul_c64, NULL, NULL},
        [SDX_C128] = {NULL, add_c128, mul_c128, NULL, NULL},
    };
    return rows[dtype][reduction];
}

sdx_status sdx_combine_check(sdx_error *error, sdx_dtype dtype, int reduction) {
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    if (dtype == SDX_UNDEFINED || reduction == SDX_COMBINE_NONE || sdx_combine_of(dtype, reduction)) return SDX_OK;
    return sdx_fail(error, SDX_TYPE, "reduction '%s' has no meaning for %s", names[reduction], sdx_dtype_name(dtype));
}

int sdx_bind_reduction(sdx_bind *bind) {
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    if (bind->since < 16) return SDX_COMBINE_NONE;
    return sdx_bind_choice(bind, "reduction", names, bind->since >= 18 ? 5 : 3);
}
