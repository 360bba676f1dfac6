/* SPDX-License-Identifier: Apache-2.0
 * Gradients of the normalisations, emitted as standard operators in f32 or f64. With x̂ = (x - mean) r and
 * dx̂ = dY scale: dX = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)), dscale = sum(dY x̂), dB = sum(dY). */
#ifndef SDX_OPS_NN_NORM_GRAD_H
#define SDX_OPS_NN_NORM_GRAD_H
#include "ops/op.h"

typedef struct sdx_norm_grad {
    sdx_grad *grad;
    sdx_patch *patch;
    sdx_dtype work;
    int rank;
    sdx_id X, dY; /* in the work's dtype */
} sdx_norm_grad;

/* UNSUPPORTED when the rank of X is unknown or something flows through outputs beside Y. */
sdx_status sdx_norm_grad_begin(sdx_norm_grad *g, sdx_grad *grad);
sdx_id sdx_norm_grad_input(sdx_norm_grad *g, int k); /* in the work's dtype; SDX_NONE when absent */
/* dX[k] = x in the dtype of input k; nothing when it is not needed. */
void sdx_norm_grad_set(sdx_norm_grad *g, int k, sdx_id x);

/* Reductions over axes [n]; over none they are the identity. */
sdx_id sdx_norm_grad_mean(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n);
sdx_id sdx_norm_grad_sum(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n, bool keep);

/* x̂ over the axes, and r = 1 / sqrt(variance + epsilon), or 1 / (sqrt(variance) + outside) when `outside` is not 0.
 * Not `centred`: the mean is taken as 0. */
typedef struct sdx_norm_hat {
    sdx_id hat, r;
} sdx_norm_hat;
sdx_norm_hat sdx_norm_grad_hat(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n, double epsilon, double outside,
                               bool centred);
sdx_id sdx_norm_grad_back(sdx_norm_grad *g, sdx_norm_hat hat, sdx_id dx_hat, const int64_t *axes, int n, bool centred);

/* [C] as [C,1,1...], to be multiplied with X [N,C,...]; axes 0, 2, 3 ... and how many. */
sdx_id sdx_norm_grad_channels(sdx_norm_grad *g, sdx_id x);
int sdx_norm_grad_all_but_channels(const sdx_norm_grad *g, int64_t *axes);

#endif
