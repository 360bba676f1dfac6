/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/nn/norm_grad.h"

static const sdx_type *type_of(const sdx_norm_grad *g, sdx_id id) { return &g->patch->graph->values[id].type; }

static sdx_id cast(sdx_norm_grad *g, sdx_id x, sdx_dtype from, sdx_dtype to) {
    if (from == to) return x;
    sdx_node *node = sdx_patch_node(g->patch, "", "Cast", 1, &x, 1);
    sdx_patch_int(g->patch, node, "to", to);
    return node->out[0];
}

sdx_status sdx_norm_grad_begin(sdx_norm_grad *g, sdx_grad *grad) {
    const sdx_node *node = grad->node;
    *g = (sdx_norm_grad){.grad = grad, .patch = grad->patch, .work = SDX_F32};
    for (int k = 1; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && grad->dY[k] != SDX_NONE)
            return sdx_fail(grad->error, SDX_UNSUPPORTED, "a gradient flows through output %d; only 'Y' has one", k);
    g->rank = type_of(g, node->in[0])->rank;
    if (g->rank < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of input 'X' must be known for its gradient");
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && type_of(g, node->in[k])->dtype == SDX_F64) g->work = SDX_F64;
    g->X = sdx_norm_grad_input(g, 0);
    g->dY = cast(g, grad->dY[0], type_of(g, node->out[0])->dtype, g->work);
    return SDX_OK;
}

sdx_id sdx_norm_grad_input(sdx_norm_grad *g, int k) {
    const sdx_node *node = g->grad->node;
    if (k >= node->n_in || node->in[k] == SDX_NONE) return SDX_NONE;
    return cast(g, node->in[k], type_of(g, node->in[k])->dtype, g->work);
}

void sdx_norm_grad_set(sdx_norm_grad *g, int k, sdx_id x) {
    const sdx_node *node = g->grad->node;
    if (k >= node->n_in || node->in[k] == SDX_NONE || !g->grad->needed[k]) return;
    g->grad->dX[k] = cast(g, x, g->work, type_of(g, node->in[k])->dtype);
}

static sdx_id reduce(sdx_norm_grad *g, const char *op, sdx_id x, const int64_t *axes, int n, bool keep) {
    if (n == 0) return x;
    sdx_id in[2] = {x, sdx_patch_i64s(g->patch, axes, (size_t)n)};
    sdx_node *node = sdx_patch_node(g->patch, "", op, 2, in, 1);
    sdx_patch_int(g->patch, node, "keepdims", keep);
    return node->out[0];
}

sdx_id sdx_norm_grad_mean(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n) {
    return reduce(g, "ReduceMean", x, axes, n, true);
}

sdx_id sdx_norm_grad_sum(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n, bool keep) {
    return reduce(g, "ReduceSum", x, axes, n, keep);
}

sdx_norm_hat sdx_norm_grad_hat(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n, double epsilon, double outside,
                               bool centred) {
    sdx_patch *patch = g->patch;
    if (centred) x = sdx_emit2(patch, "Sub", x, sdx_norm_grad_mean(g, x, axes, n));
    sdx_id variance = sdx_norm_grad_mean(g, sdx_emit2(patch, "Mul", x, x), axes, n);
    if (outside == 0) variance = sdx_emit2(patch, "Add", variance, sdx_patch_scalar(patch, g->work, epsilon));
    sdx_id deviation = sdx_emit1(patch, "Sqrt", variance);
    if (outside != 0) deviation = sdx_emit2(patch, "Add", deviation, sdx_patch_scalar(patch, g->work, outside));
    sdx_id r = sdx_emit1(patch, "Reciprocal", deviation);
    return (sdx_norm_hat){sdx_emit2(patch, "Mul", x, r), r};
}

sdx_id sdx_norm_grad_back(sdx_norm_grad *g, sdx_norm_hat hat, sdx_id dx_hat, const int64_t *axes, int n, bool centred) {
    sdx_patch *patch = g->patch;
    sdx_id along = sdx_norm_grad_mean(g, sdx_emit2(patch, "Mul", dx_hat, hat.hat), axes, n);
    sdx_id rest = sdx_emit2(patch, "Sub", dx_hat, sdx_emit2(patch, "Mul", hat.hat, along));
    if (centred) rest = sdx_emit2(patch, "Sub", rest, sdx_norm_grad_mean(g, dx_hat, axes, n));
    return sdx_emit2(patch, "Mul", hat.r, rest);
}

sdx_id sdx_norm_grad_channels(sdx_norm_grad *g, sdx_id x) {
    int64_t axes[SDX_MAX_RANK];
    int n = 0;
    for (int d = 2; d < g->rank; d++) axes[n++] = d - 1;
    return n ? sdx_emit2(g->patch, "Unsqueeze", x, sdx_patch_i64s(g->patch, axes, (size_t)n)) : x;
}

int sdx_norm_grad_all_but_channels(const sdx_norm_grad *g, int64_t *axes) {
    int n = 0;
    for (int d = 0; d < g->rank; d++)
        if (d != 1) axes[n++] = d;
    return n;
}
