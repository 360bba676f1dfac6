/* SPDX-License-Identifier: Apache-2.0
 * Gradients of the normalisations: one fused operator (norm_back.c), and the same in standard operators, in f32 or
 * f64. With x̂ = (x - mean) r and dx̂ = dY scale: dX = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)), dscale = sum(dY x̂),
 * dB = sum(dY). */
#ifndef SDX_OPS_NN_NORM_GRAD_H
#define SDX_OPS_NN_NORM_GRAD_H
#include "ops/op.h"

typedef enum sdx_norm_statistics { SDX_NORM_ROWS, SDX_NORM_GROUPS, SDX_NORM_BATCH, SDX_NORM_GIVEN } sdx_norm_statistics;

/* The attributes of NormGrad; norm_back.c says what they mean. */
typedef struct sdx_norm_kind {
    sdx_norm_statistics statistics;
    int64_t axis, groups;
    bool centred;
    double epsilon;
} sdx_norm_kind;

/* NormGrad(X, scale, dY, mean, var), the last two SDX_NONE unless they are given. */
const sdx_node *sdx_norm_back_emit(sdx_patch *patch, const sdx_norm_kind *kind, const sdx_id in[5]);
sdx_status sdx_norm_back_expand(sdx_patch *patch, const sdx_node *node, const void *params);

/* UNSUPPORTED when the rank of X is unknown or something flows through outputs beside Y. */
sdx_status sdx_norm_grad_check(const sdx_grad *grad);
/* The gradients of inputs 0, 1, 2 of a node that normalises X, scale, bias. */
sdx_status sdx_norm_grad_fused(sdx_grad *grad, const sdx_norm_kind *kind);
/* The same for rows whose scale and bias are broadcast to X. */
sdx_status sdx_norm_grad_rows(sdx_grad *grad, int axis, double epsilon, bool centred);

/* ---- as standard operators --------------------------------------------------------------------------------------- */

typedef struct sdx_norm_grad {
    sdx_grad *grad;
    sdx_patch *patch;
    sdx_dtype work;
    int rank;
    sdx_id X, dY; /* in the work's dtype */
} sdx_norm_grad;

sdx_status sdx_norm_grad_begin(sdx_norm_grad *g, sdx_grad *grad);
/* dX[k] = x in the dtype of input k; nothing when it is not needed. */
void sdx_norm_grad_set(sdx_norm_grad *g, int k, sdx_id x);

sdx_id sdx_norm_grad_sum(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n, bool keep); /* n 0: x */

/* x̂ over the axes, and r = 1 / sqrt(variance + epsilon), or 1 / (sqrt(variance) + outside) when `outside` is not 0.
 * Not `centred`: the mean is taken as 0. */
typedef struct sdx_norm_hat {
    sdx_id hat, r;
} sdx_norm_hat;
sdx_norm_hat sdx_norm_grad_hat(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n, double epsilon, double outside,
                               bool centred);
sdx_id sdx_norm_grad_back(sdx_norm_grad *g, sdx_norm_hat hat, sdx_id dx_hat, const int64_t *axes, int n, bool centred);

#endif
