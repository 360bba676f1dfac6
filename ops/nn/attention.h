/* SPDX-License-Identifier: Apache-2.0
 * What the operator Attention and its gradient share. */
#ifndef SDX_OPS_NN_ATTENTION_H
#define SDX_OPS_NN_ATTENTION_H
#include "ops/nn/attend.h"

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, NONPAD, INPUTS };

typedef struct sdx_attention_params {
    int64_t q_heads, kv_heads; /* of inputs of rank 3; 0: not given */
    int64_t left, right;
    double scale, softcap;
    bool causal, has_scale, wide; /* wide: softmax in f64 */
    bool strict_heads;            /* the attributes are refused for rank 4 */
    sdx_attend_scores mode;
} sdx_attention_params;

sdx_status sdx_attention_grad(sdx_grad *grad, const void *params);

#endif
