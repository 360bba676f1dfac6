/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/nn/norm_grad.h"
#include "ops/grad.h"

/* ---- fused ------------------------------------------------------------------------------------------------------- */

sdx_status sdx_norm_grad_check(const sdx_grad *grad) {
    const sdx_node *node = grad->node;
    for (int k = 1; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && grad->dY[k] != SDX_NONE)
            return sdx_fail(grad->error, SDX_UNSUPPORTED, "a gradient flows through output %d; only 'Y' has one", k);
    if (sdx_grad_type(grad->patch, node->in[0])->rank < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of input 'X' must be known for its gradient");
    return SDX_OK;
}

const sdx_node *sdx_norm_back_emit(sdx_patch *patch, const sdx_norm_kind *kind, const sdx_id in[5]) {
    static const char *const names[] = {"rows", "groups", "batch", "given"};
    sdx_node *node = sdx_patch_node(patch, "sdx", "NormGrad", in[3] == SDX_NONE ? 3 : 5, in, 3);
    sdx_patch_int(patch, node, "axis", kind->axis);
    sdx_patch_int(patch, node, "centred", kind->centred);
    sdx_patch_float(patch, node, "epsilon", (float)kind->epsilon);
    sdx_patch_int(patch, node, "groups", kind->groups);
    sdx_patch_string(patch, node, "statistics", names[kind->statistics]);
    return node;
}

sdx_status sdx_norm_grad_fused(sdx_grad *grad, const sdx_norm_kind *kind) {
    const sdx_node *node = grad->node;
    const sdx_id in[5] = {node->in[0], node->in[1], grad->dY[0], SDX_NONE, SDX_NONE};
    SDX_TRY(sdx_norm_grad_check(grad));
    const sdx_node *back = sdx_norm_back_emit(grad->patch, kind, in);
    for (int k = 0; k < 3 && k < node->n_in; k++)
        if (grad->needed[k]) grad->dX[k] = back->out[k];
    grad->exact = true;
    return grad->patch->status;
}

/* Scale, and bias where there is one, have the shape of what is normalised. */
static bool plain_rows(const sdx_grad *grad, int axis) {
    const sdx_node *node = grad->node;
    const sdx_type *x = sdx_grad_type(grad->patch, node->in[0]);
    for (int k = 1; k < 3; k++) {
        if (sdx_grad_in(grad, k) == SDX_NONE) continue;
        const sdx_type *type = sdx_grad_type(grad->patch, node->in[k]);
        if (type->rank != x->rank - axis) return false;
        for (int d = 0; d < type->rank; d++)
            if (type->dim[d] < 0 || type->dim[d] != x->dim[axis + d]) return false;
    }
    return true;
}

sdx_status sdx_norm_grad_rows(sdx_grad *grad, int axis, double epsilon, bool centred) {
    const sdx_norm_kind kind = {.statistics = SDX_NORM_ROWS, .axis = axis, .centred = centred, .epsilon = epsilon};
    sdx_norm_grad g;
    SDX_TRY(sdx_norm_grad_begin(&g, grad));
    if (plain_rows(grad, axis)) return sdx_norm_grad_fused(grad, &kind);
    int64_t axes[SDX_MAX_RANK];
    int n = 0;
    for (int d = axis; d < g.rank; d++) axes[n++] = d;
    const sdx_id scale =
        sdx_emit_cast(g.patch, grad->node->in[1], sdx_grad_type(g.patch, grad->node->in[1])->dtype, g.work);
    const sdx_norm_hat hat = sdx_norm_grad_hat(&g, g.X, axes, n, epsilon, 0, centred);
    const sdx_id dx_hat = sdx_emit2(g.patch, "Mul", g.dY, scale);
    sdx_norm_grad_set(&g, 0, sdx_norm_grad_back(&g, hat, dx_hat, axes, n, centred));
    sdx_norm_grad_set(&g, 1, sdx_emit2(g.patch, "Mul", g.dY, hat.hat));
    sdx_norm_grad_set(&g, 2, g.dY);
    return g.patch->status;
}

/* ---- as standard operators --------------------------------------------------------------------------------------- */

sdx_status sdx_norm_grad_begin(sdx_norm_grad *g, sdx_grad *grad) {
    const sdx_node *node = grad->node;
    *g = (sdx_norm_grad){.grad = grad, .patch = grad->patch, .work = SDX_F32};
    SDX_TRY(sdx_norm_grad_check(grad));
    g->rank = sdx_grad_type(g->patch, node->in[0])->rank;
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && sdx_grad_type(g->patch, node->in[k])->dtype == SDX_F64) g->work = SDX_F64;
    g->X = sdx_emit_cast(g->patch, node->in[0], sdx_grad_type(g->patch, node->in[0])->dtype, g->work);
    g->dY = sdx_emit_cast(g->patch, grad->dY[0], sdx_grad_type(g->patch, node->out[0])->dtype, g->work);
    return SDX_OK;
}

void sdx_norm_grad_set(sdx_norm_grad *g, int k, sdx_id x) {
    if (sdx_grad_in(g->grad, k) == SDX_NONE || !g->grad->needed[k]) return;
    g->grad->dX[k] = sdx_emit_cast(g->patch, x, g->work, sdx_grad_type(g->patch, g->grad->node->in[k])->dtype);
}

static sdx_id reduce(sdx_norm_grad *g, const char *op, sdx_id x, const int64_t *axes, int n, bool keep) {
    if (n == 0) return x;
    return sdx_emit_int(g->patch, op, x, sdx_patch_i64s(g->patch, axes, (size_t)n), "keepdims", keep);
}

sdx_id sdx_norm_grad_sum(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n, bool keep) {
    return reduce(g, "ReduceSum", x, axes, n, keep);
}

sdx_norm_hat sdx_norm_grad_hat(sdx_norm_grad *g, sdx_id x, const int64_t *axes, int n, double epsilon, double outside,
                               bool centred) {
    sdx_patch *patch = g->patch;
    if (centred) x = sdx_emit2(patch, "Sub", x, reduce(g, "ReduceMean", x, axes, n, true));
    sdx_id variance = reduce(g, "ReduceMean", sdx_emit2(patch, "Mul", x, x), axes, n, true);
    if (outside == 0) variance = sdx_emit2(patch, "Add", variance, sdx_patch_scalar(patch, g->work, epsilon));
    sdx_id deviation = sdx_emit1(patch, "Sqrt", variance);
    if (outside != 0) deviation = sdx_emit2(patch, "Add", deviation, sdx_patch_scalar(patch, g->work, outside));
    sdx_id r = sdx_emit1(patch, "Reciprocal", deviation);
    return (sdx_norm_hat){sdx_emit2(patch, "Mul", x, r), r};
}

sdx_id sdx_norm_grad_back(sdx_norm_grad *g, sdx_norm_hat hat, sdx_id dx_hat, const int64_t *axes, int n, bool centred) {
    sdx_patch *patch = g->patch;
    sdx_id along = reduce(g, "ReduceMean", sdx_emit2(patch, "Mul", dx_hat, hat.hat), axes, n, true);
    sdx_id rest = sdx_emit2(patch, "Sub", dx_hat, sdx_emit2(patch, "Mul", hat.hat, along));
    if (centred) rest = sdx_emit2(patch, "Sub", rest, reduce(g, "ReduceMean", dx_hat, axes, n, true));
    return sdx_emit2(patch, "Mul", hat.r, rest);
}

/* [C] as [C, 1, 1 ...], to be multiplied with X [N, C, ...]. */
static sdx_id per_channel(sdx_norm_grad *g, sdx_id x) {
    int64_t axes[SDX_MAX_RANK];
    int n = 0;
    for (int d = 2; d < g->rank; d++) axes[n++] = d - 1;
    return n ? sdx_emit2(g->patch, "Unsqueeze", x, sdx_patch_i64s(g->patch, axes, (size_t)n)) : x;
}

/* dX from x̂ and dx̂, whatever the statistics are made over. */
static sdx_id back_of(sdx_norm_grad *g, const sdx_norm_kind *kind, const sdx_id *given, sdx_id scale, sdx_id *hat_out) {
    sdx_patch *patch = g->patch;
    const sdx_id dx_hat = sdx_emit2(patch, "Mul", g->dY, scale);
    int64_t axes[SDX_MAX_RANK];
    int n = 0;
    if (kind->statistics == SDX_NORM_GIVEN) {
        const sdx_id epsilon = sdx_patch_scalar(patch, g->work, kind->epsilon);
        const sdx_id deviation = sdx_emit1(patch, "Sqrt", sdx_emit2(patch, "Add", given[1], epsilon));
        const sdx_id r = sdx_emit1(patch, "Reciprocal", deviation);
        *hat_out = sdx_emit2(patch, "Mul", sdx_emit2(patch, "Sub", g->X, given[0]), r);
        return sdx_emit2(patch, "Mul", dx_hat, r);
    }
    if (kind->statistics == SDX_NORM_GROUPS && kind->groups) {
        const int64_t last = 2;
        const sdx_id grouped = sdx_patch_i64s(patch, (const int64_t[]){0, kind->groups, -1}, 3),
                     shape = sdx_emit1(patch, "Shape", g->X);
        const sdx_norm_hat hat =
            sdx_norm_grad_hat(g, sdx_emit2(patch, "Reshape", g->X, grouped), &last, 1, kind->epsilon, 0, kind->centred);
        *hat_out = sdx_emit2(patch, "Reshape", hat.hat, shape);
        const sdx_id dx =
            sdx_norm_grad_back(g, hat, sdx_emit2(patch, "Reshape", dx_hat, grouped), &last, 1, kind->centred);
        return sdx_emit2(patch, "Reshape", dx, shape);
    }
    for (int d = 0; d < g->rank; d++)
        if (kind->statistics == SDX_NORM_ROWS ? d >= kind->axis : kind->statistics == SDX_NORM_BATCH ? d != 1 : d > 1)
            axes[n++] = d;
    const sdx_norm_hat hat = sdx_norm_grad_hat(g, g->X, axes, n, kind->epsilon, 0, kind->centred);
    *hat_out = hat.hat;
    return sdx_norm_grad_back(g, hat, dx_hat, axes, n, kind->centred);
}

sdx_status sdx_norm_back_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const sdx_norm_kind *kind = params;
    const bool rows = kind->statistics == SDX_NORM_ROWS;
    sdx_norm_grad g = {.patch = patch, .work = SDX_F32, .rank = sdx_grad_type(patch, node->in[0])->rank};
    if (g.rank < 0) return sdx_fail(patch->error, SDX_UNSUPPORTED, "the rank of input 'X' must be known");
    for (int k = 0; k < 3; k++)
        if (sdx_grad_type(patch, node->in[k])->dtype == SDX_F64) g.work = SDX_F64;
    sdx_id in[5], given[2] = {SDX_NONE, SDX_NONE}, hat = SDX_NONE, out[3];
    for (int k = 0; k < node->n_in; k++) {
        in[k] = sdx_emit_cast(patch, node->in[k], sdx_grad_type(patch, node->in[k])->dtype, g.work);
        if (k > 2) given[k - 3] = per_channel(&g, in[k]);
    }
    g.X = in[0], g.dY = in[2];
    int64_t axes[SDX_MAX_RANK];
    int n = 0;
    for (int d = 0; d < g.rank; d++)
        if (rows ? d < kind->axis : d != 1) axes[n++] = d;
    out[0] = back_of(&g, kind, given, rows ? in[1] : per_channel(&g, in[1]), &hat);
    const bool keep = !rows && g.rank == 1; /* one channel: its scale has shape [1] */
    out[1] = sdx_norm_grad_sum(&g, sdx_emit2(patch, "Mul", g.dY, hat), axes, n, keep);
    out[2] = sdx_norm_grad_sum(&g, g.dY, axes, n, keep);
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] == SDX_NONE) continue;
        const sdx_dtype to = sdx_grad_type(patch, node->in[k ? 1 : 0])->dtype;
        sdx_patch_replace(patch, node->out[k], sdx_emit_cast(patch, out[k], g.work, to));
    }
    sdx_patch_remove(patch, node);
    return patch->status;
}
