/* SPDX-License-Identifier: Apache-2.0
 * The skeleton of reductions: a tensor over some of its axes, in pieces of outputs, with a fixed order of summation. */
#ifndef SDX_OPS_REDUCTION_REDUCE_H
#define SDX_OPS_REDUCTION_REDUCE_H
#include "ops/kernels/kernels.h"
#include "ops/loop.h"

typedef enum sdx_reduce_kind {
    SDX_REDUCE_SUM,
    SDX_REDUCE_MEAN,
    SDX_REDUCE_MAX,
    SDX_REDUCE_MIN,
    SDX_REDUCE_PROD,
    SDX_REDUCE_L1,
    SDX_REDUCE_L2,
    SDX_REDUCE_LOG_SUM,
    SDX_REDUCE_LOG_SUM_EXP,
    SDX_REDUCE_SUM_SQUARE
} sdx_reduce_kind;

/* y = the reduction of x over the axes where reduced[d]; y has as many elements as the other axes give. */
sdx_status sdx_reduce_run(sdx_compute *compute, sdx_reduce_kind kind, const sdx_tensor *x, const bool *reduced,
                          const sdx_tensor *y);

typedef struct sdx_reduce_params {
    sdx_reduce_kind kind;
    bool keepdims, noop;
    sdx_ints axes; /* of the old form */
} sdx_reduce_params;

/* .grad of all of them */
sdx_status sdx_reduce_gradient(sdx_grad *grad, const void *params);

#endif
