/* SPDX-License-Identifier: Apache-2.0
 * Elementwise functions of one tensor and their gradients, which unary.def names. */
#ifndef SDX_OPS_MATH_UNARY_H
#define SDX_OPS_MATH_UNARY_H
#include "ops/grad.h"
#include "ops/math/elementwise.h"

typedef struct sdx_unary_params {
    sdx_unary_id id;
    float p[2];
} sdx_unary_params;

sdx_status sdx_unary_infer(sdx_infer *infer, const void *params);
sdx_status sdx_unary_compute(sdx_compute *compute, const void *params);

/* sdx_Exp_gradient and so on; params are sdx_unary_params. */
// clang-format off
#define SDX_UNARY_GRADIENTS(X) \
    X(Abs) X(Acos) X(Acosh) X(Asin) X(Asinh) X(Atan) X(Atanh) X(Celu) X(Cos) X(Cosh) X(Elu) X(Erf) X(Exp) X(Gelu) \
    X(HardSigmoid) X(HardSwish) X(LeakyRelu) X(Log) X(Mish) X(Neg) X(Reciprocal) X(Relu) X(Selu) X(Shrink) \
    X(Sigmoid) X(Sin) X(Sinh) X(Softplus) X(Softsign) X(Sqrt) X(Swish) X(Tan) X(Tanh) X(ThresholdedRelu)
// clang-format on
#define X(name) sdx_status sdx_##name##_gradient(sdx_grad *grad, const void *params);
SDX_UNARY_GRADIENTS(X)
#undef X

#endif
