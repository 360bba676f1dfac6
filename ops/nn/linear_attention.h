/* SPDX-License-Identifier: Apache-2.0
 * What LinearAttention and its gradient share. */
#ifndef SDX_OPS_NN_LINEAR_ATTENTION_H
#define SDX_OPS_NN_LINEAR_ATTENTION_H
#include "ops/op.h"

enum {
    SDX_LINEAR_QUERY,
    SDX_LINEAR_KEY,
    SDX_LINEAR_VALUE,
    SDX_LINEAR_PAST,
    SDX_LINEAR_DECAY,
    SDX_LINEAR_BETA,
    SDX_LINEAR_INPUTS
};

typedef struct sdx_linear_params {
    int64_t q_heads, kv_heads;
    double scale; /* 0: 1 / sqrt(d_k) */
    bool gated, delta;
} sdx_linear_params;

sdx_status sdx_linear_bind(sdx_bind *bind, void *params);
sdx_status sdx_linear_grad(sdx_grad *grad, const void *params);

#endif
