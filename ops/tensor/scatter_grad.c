/* SPDX-License-Identifier: Apache-2.0
 * none: what was overwritten gets nothing. add: both get dY. mul: dY times the product of the others, zeros or not.
 * max, min: all that equal the result share. */
#include "ops/tensor/scatter_grad.h"
#include "ops/tensor/combine.h"

static sdx_id scatter(const sdx_scatter_grad *s, sdx_id data, sdx_id updates, const char *reduction) {
    sdx_id in[3] = {data, s->grad->node->in[1], updates};
    sdx_node *node = sdx_patch_node(s->grad->patch, "", s->scatter, 3, in, 1);
    if (s->has_axis) sdx_patch_int(s->grad->patch, node, "axis", s->axis);
    if (reduction) sdx_patch_string(s->grad->patch, node, "reduction", reduction);
    return node->out[0];
}

static sdx_id gather(const sdx_scatter_grad *s, sdx_id data) {
    sdx_node *node = sdx_patch_node(s->grad->patch, "", s->gather, 2, (sdx_id[]){data, s->grad->node->in[1]}, 1);
    if (s->has_axis) sdx_patch_int(s->grad->patch, node, "axis", s->axis);
    return node->out[0];
}

static void of_product(const sdx_scatter_grad *s) {
    sdx_grad *grad = s->grad;
    sdx_patch *patch = grad->patch;
    const sdx_id data = grad->node->in[0], updates = grad->node->in[2], dY = grad->dY[0];
    sdx_id zeros = scatter(s, sdx_grad_is_zero(patch, data, data), sdx_grad_is_zero(patch, updates, data), "add");
    sdx_id product = scatter(s, sdx_grad_nonzero(patch, data, data), sdx_grad_nonzero(patch, updates, data), "mul");
    if (grad->needed[0]) grad->dX[0] = sdx_emit2(patch, "Mul", dY, sdx_grad_others(patch, data, zeros, product));
    if (!grad->needed[2]) return;
    sdx_id others = sdx_grad_others(patch, updates, gather(s, zeros), gather(s, product));
    grad->dX[2] = sdx_emit2(patch, "Mul", gather(s, dY), others);
}

static void of_extreme(const sdx_scatter_grad *s) {
    sdx_grad *grad = s->grad;
    sdx_patch *patch = grad->patch;
    const sdx_id data = grad->node->in[0], updates = grad->node->in[2], Y = grad->node->out[0];
    sdx_id chosen = sdx_grad_mask(patch, "Equal", data, Y, data);
    sdx_id updated = sdx_grad_mask(patch, "Equal", updates, gather(s, Y), data);
    sdx_id n = scatter(s, chosen, updated, "add");
    sdx_id share = sdx_emit2(patch, "Div", grad->dY[0], n);
    if (grad->needed[0])
        grad->dX[0] =
            sdx_emit3(patch, "Where", sdx_emit2(patch, "Equal", data, Y), share, sdx_grad_scalar(patch, data, 0));
    if (grad->needed[2]) grad->dX[2] = sdx_emit2(patch, "Mul", updated, gather(s, share));
}

sdx_status sdx_scatter_gradient(const sdx_scatter_grad *s) {
    sdx_grad *grad = s->grad;
    grad->exact = true;
    if (s->reduction == SDX_COMBINE_MUL) {
        of_product(s);
    } else if (s->reduction != SDX_COMBINE_NONE && s->reduction != SDX_COMBINE_ADD) {
        of_extreme(s);
    } else {
        sdx_id zeros = s->reduction == SDX_COMBINE_NONE ? sdx_grad_filled(grad->patch, grad->node->in[2], 0) : SDX_NONE;
        grad->dX[0] = zeros == SDX_NONE ? grad->dY[0] : scatter(s, grad->dY[0], zeros, NULL);
        if (grad->needed[2]) grad->dX[2] = gather(s, grad->dY[0]);
    }
    return grad->patch->status;
}
