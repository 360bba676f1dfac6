/* SPDX-License-Identifier: Apache-2.0
 * The elementwise kernels by operation and element type. The table's rows `unary`, `binary` and `select` look a
 * function up; NULL: there is none for that type. f16, bf16 and f8 have none: widen to f32 (sdx_work_dtype). */
#ifndef SDX_KERNELS_ELEMENTWISE_H
#define SDX_KERNELS_ELEMENTWISE_H
#include "sardonyx.h"

/* f32 and f64; those from Abs on (some) integers or bool too. y has the dtype of x, but bool for the last two.
 * A Slope is the derivative; at a kink, what PyTorch takes.
 * p[0], p[1] are alpha, gamma | alpha, beta | bias, lambd | detect_negative, detect_positive. */
// clang-format off
#define SDX_UNARY_MAP(X) \
    X(Floor) X(Ceil) X(Round) X(Sqrt) X(Reciprocal) X(Exp) X(Log) X(Sin) X(Cos) X(Tan) X(Asin) X(Acos) X(Atan) \
    X(Sinh) X(Cosh) X(Tanh) X(Asinh) X(Acosh) X(Atanh) X(Sigmoid) X(LeakyRelu) X(Elu) X(Selu) X(Celu) \
    X(ThresholdedRelu) X(Softplus) X(Softsign) X(HardSigmoid) X(HardSwish) X(Swish) X(Mish) X(Gelu) X(GeluTanh) \
    X(EluSlope) X(SeluSlope) X(CeluSlope) X(HardSwishSlope) X(SwishSlope) X(MishSlope) X(GeluSlope) \
    X(GeluTanhSlope) X(ErfSlope) \
    X(Abs) X(Neg) X(Sign) X(Relu) X(Shrink) X(Erf) X(Not) X(BitwiseNot) X(IsNaN) X(IsInf)
// clang-format on
typedef enum sdx_unary_id {
#define X(name) SDX_UNARY_##name,
    SDX_UNARY_MAP(X)
#undef X
        SDX_UNARY_COUNT
} sdx_unary_id;
typedef void (*sdx_unary_fn)(const void *x, void *y, int64_t n, const float *p); /* y may be x */

/* Pow of integers: both i64. Shl, Shr by a negative amount or the width and more: as far as it goes (0, or -1 for a
 * negative number shifted right). Integer Div, Mod and Fmod: the caller has refused zeros in b. */
// clang-format off
#define SDX_BINARY_MAP(X) \
    X(Add) X(Sub) X(Mul) X(Div) X(Mod) X(Fmod) X(Pow) X(Max) X(Min) X(PRelu) X(And) X(Or) X(Xor) X(BitwiseAnd) \
    X(BitwiseOr) X(BitwiseXor) X(Shl) X(Shr) X(Equal) X(Greater) X(GreaterOrEqual) /* y is bool from here on */
// clang-format on
typedef enum sdx_binary_id {
#define X(name) SDX_BINARY_##name,
    SDX_BINARY_MAP(X)
#undef X
        SDX_BINARY_COUNT
} sdx_binary_id;
/* Steps are 0 (one value) or 1. y may be an input of step 1. */
typedef void (*sdx_binary_fn)(const void *a, int64_t a_step, const void *b, int64_t b_step, void *y, int64_t n);

/* y = c ? a : b, for elements of 1, 2, 4, 8 or 16 bytes. */
typedef void (*sdx_select_fn)(const uint8_t *c, int64_t c_step, const void *a, int64_t a_step, const void *b,
                              int64_t b_step, void *y, int64_t n);

/* Reductions of f32, f64 (into double), i64 (into int64_t, wrapping) and u64 (into uint64_t). acc holds what was
 * reduced before, at first the identity. SumExp, of floats alone: e^(x - shift). */
typedef enum sdx_reducer_id {
    SDX_REDUCER_SUM,
    SDX_REDUCER_SUM_ABS,
    SDX_REDUCER_SUM_SQUARE,
    SDX_REDUCER_PROD,
    SDX_REDUCER_MAX,
    SDX_REDUCER_MIN,
    SDX_REDUCER_SUM_EXP,
    SDX_REDUCER_COUNT
} sdx_reducer_id;
typedef struct sdx_reducer {
    /* acc[r] takes x[i + r stride] in, for i in 0 .. n and r in 0 .. rows */
    void (*rows)(const void *x, int64_t n, int64_t rows, int64_t stride, void *acc, const double *shift);
    /* acc[i] takes x[i + r stride] in, for i in 0 .. n and r in 0 .. rows */
    void (*columns)(const void *x, int64_t n, int64_t rows, int64_t stride, void *acc, const double *shift);
} sdx_reducer;

/* ArgMax, ArgMin of n columns, over rows numbered first, first + 1 ..., `stride` elements apart; best and at hold what
 * the rows before gave, and are set by row 0. Of f32, f64, i64, u64. */
typedef void (*sdx_arg_fn)(const void *x, int64_t n, int64_t rows, int64_t stride, int64_t first, bool last, void *best,
                           int64_t *at);

#endif
