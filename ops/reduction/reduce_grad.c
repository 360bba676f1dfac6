/* SPDX-License-Identifier: Apache-2.0
 * Gradients of the reductions: dY spread over what was reduced, times the derivative by the element. */
#include "ops/grad.h"
#include "ops/reduction/reduce.h"

typedef struct reduced {
    sdx_grad *grad;
    sdx_patch *patch;
    const sdx_reduce_params *p;
    sdx_id X, Y, dY; /* Y and dY with the reduced axes as ones, where they broadcast to X */
    sdx_id axes;     /* SDX_NONE: all */
} reduced;

static sdx_id keep(const reduced *r, sdx_id y) {
    if (r->p->keepdims || r->axes == SDX_NONE) return y;
    return sdx_emit2(r->patch, "Unsqueeze", y, r->axes);
}

static reduced reduced_of(sdx_grad *grad, const sdx_reduce_params *p) {
    reduced r = {.grad = grad, .patch = grad->patch, .p = p, .X = grad->node->in[0], .axes = sdx_grad_in(grad, 1)};
    if (p->axes.n) r.axes = sdx_patch_i64s(grad->patch, p->axes.data, p->axes.n);
    r.Y = keep(&r, grad->node->out[0]);
    r.dY = keep(&r, grad->dY[0]);
    return r;
}

static sdx_id mul(const reduced *r, sdx_id a, sdx_id b) { return sdx_emit2(r->patch, "Mul", a, b); }
static sdx_id divided(const reduced *r, sdx_id a, sdx_id b) { return sdx_emit2(r->patch, "Div", a, b); }
static sdx_id spread(const reduced *r, sdx_id y) {
    return sdx_emit2(r->patch, "Expand", y, sdx_emit1(r->patch, "Shape", r->X));
}

/* Another reduction over the same axes, which stay as ones. */
static sdx_id again(const reduced *r, const char *op_type, sdx_id x) {
    sdx_node *node = sdx_patch_node(r->patch, "", op_type, r->axes == SDX_NONE ? 1 : 2, (sdx_id[]){x, r->axes}, 1);
    sdx_patch_int(r->patch, node, "noop_with_empty_axes", r->p->noop);
    return node->out[0];
}

/* How many were averaged is counted in i64 and divided by in f32 at least: a narrow float may not hold it. */
static sdx_id of_mean(const reduced *r) {
    sdx_patch *patch = r->patch;
    sdx_id whole = sdx_emit1(patch, "Size", r->X), means = sdx_emit1(patch, "Size", r->Y);
    means = sdx_emit2(patch, "Max", means, sdx_patch_scalar(patch, SDX_I64, 1));
    sdx_id n = sdx_emit2(patch, "Div", whole, means);
    const bool narrow = sdx_dtype_size(sdx_grad_type(patch, r->X)->dtype) < sizeof(float);
    if (!narrow) return spread(r, divided(r, r->dY, sdx_grad_cast(patch, n, r->X)));
    n = sdx_emit_int(patch, "Cast", n, SDX_NONE, "to", SDX_F32);
    sdx_id share = divided(r, sdx_emit_int(patch, "Cast", r->dY, SDX_NONE, "to", SDX_F32), n);
    return spread(r, sdx_grad_cast(patch, share, r->X));
}

/* Ties share evenly. */
static sdx_id of_extreme(const reduced *r) {
    sdx_id chosen = sdx_grad_mask(r->patch, "Equal", r->X, r->Y, r->X);
    return mul(r, chosen, divided(r, r->dY, again(r, "ReduceSum", chosen)));
}

static sdx_id of_product(const reduced *r) {
    sdx_id zeros = again(r, "ReduceSum", sdx_grad_is_zero(r->patch, r->X, r->X));
    sdx_id product = again(r, "ReduceProd", sdx_grad_nonzero(r->patch, r->X, r->X));
    return mul(r, r->dY, sdx_grad_others(r->patch, r->X, zeros, product));
}

/* dY X / Y, 0 where the norm is 0 */
static sdx_id of_norm(const reduced *r) {
    sdx_id zero = sdx_grad_scalar(r->patch, r->X, 0), none = sdx_emit2(r->patch, "Equal", r->Y, zero);
    return mul(r, r->X, sdx_emit3(r->patch, "Where", none, zero, divided(r, r->dY, r->Y)));
}

sdx_status sdx_reduce_gradient(sdx_grad *grad, const void *params) {
    const reduced made = reduced_of(grad, params), *r = &made;
    sdx_patch *patch = r->patch;
    sdx_id dX = SDX_NONE;
    switch (r->p->kind) {
    case SDX_REDUCE_SUM: dX = spread(r, r->dY); break;
    case SDX_REDUCE_MEAN: dX = of_mean(r); break;
    case SDX_REDUCE_MAX:
    case SDX_REDUCE_MIN: dX = of_extreme(r); break;
    case SDX_REDUCE_PROD: dX = of_product(r); break;
    case SDX_REDUCE_L1: dX = mul(r, r->dY, sdx_emit1(patch, "Sign", r->X)); break;
    case SDX_REDUCE_L2: dX = of_norm(r); break;
    case SDX_REDUCE_LOG_SUM: dX = spread(r, divided(r, r->dY, again(r, "ReduceSum", r->X))); break;
    case SDX_REDUCE_LOG_SUM_EXP:
        dX = mul(r, r->dY, sdx_emit1(patch, "Exp", sdx_emit2(patch, "Sub", r->X, r->Y)));
        break;
    case SDX_REDUCE_SUM_SQUARE: dX = mul(r, mul(r, r->dY, sdx_grad_scalar(patch, r->X, 2)), r->X); break;
    }
    grad->exact = true;
    grad->dX[0] = dX;
    return patch->status;
}
