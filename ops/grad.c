/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/grad.h"
#include <string.h>

sdx_id sdx_emit3(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b, sdx_id c) {
    return sdx_patch_node(patch, "", op_type, 3, (sdx_id[]){a, b, c}, 1)->out[0];
}

sdx_id sdx_emit_int(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b, const char *name, int64_t value) {
    sdx_node *node = sdx_patch_node(patch, "", op_type, b == SDX_NONE ? 1 : 2, (sdx_id[]){a, b}, 1);
    sdx_patch_int(patch, node, name, value);
    return node->out[0];
}

sdx_id sdx_grad_scalar(sdx_patch *patch, sdx_id like, double value) {
    return sdx_patch_scalar(patch, sdx_grad_type(patch, like)->dtype, value);
}

sdx_id sdx_grad_filled(sdx_patch *patch, sdx_id like, double value) {
    return sdx_emit2(patch, "Expand", sdx_grad_scalar(patch, like, value), sdx_emit1(patch, "Shape", like));
}

sdx_id sdx_grad_reshape(sdx_patch *patch, sdx_id x, sdx_id like) {
    return sdx_emit_int(patch, "Reshape", x, sdx_emit1(patch, "Shape", like), "allowzero", 1);
}

sdx_id sdx_grad_cast(sdx_patch *patch, sdx_id x, sdx_id like) {
    return sdx_emit_int(patch, "Cast", x, SDX_NONE, "to", sdx_grad_type(patch, like)->dtype);
}

sdx_id sdx_grad_mask(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b, sdx_id like) {
    return sdx_grad_cast(patch, sdx_emit2(patch, op_type, a, b), like);
}

static sdx_id flat(sdx_patch *patch, sdx_id x) {
    return sdx_emit2(patch, "Reshape", x, sdx_patch_i64s(patch, (int64_t[]){-1}, 1));
}

sdx_id sdx_grad_places(sdx_patch *patch, sdx_id shape) {
    sdx_id zero = sdx_patch_scalar(patch, SDX_I64, 0), one = sdx_patch_scalar(patch, SDX_I64, 1);
    sdx_id count = sdx_emit_int(patch, "ReduceProd", shape, SDX_NONE, "keepdims", 0);
    return sdx_emit_int(patch, "Reshape", sdx_emit3(patch, "Range", zero, count, one), shape, "allowzero", 1);
}

sdx_id sdx_grad_put(sdx_patch *patch, sdx_id shape, sdx_dtype dtype, sdx_id places, sdx_id dY) {
    sdx_id zeros = sdx_emit2(patch, "Expand", sdx_patch_scalar(patch, dtype, 0), shape);
    sdx_id in[3] = {flat(patch, zeros), flat(patch, places), flat(patch, dY)};
    sdx_node *sums = sdx_patch_node(patch, "", "ScatterElements", 3, in, 1);
    sdx_patch_string(patch, sums, "reduction", "add");
    return sdx_emit_int(patch, "Reshape", sums->out[0], shape, "allowzero", 1);
}

sdx_id sdx_grad_is_zero(sdx_patch *patch, sdx_id x, sdx_id like) {
    return sdx_grad_mask(patch, "Equal", x, sdx_grad_scalar(patch, like, 0), like);
}

sdx_id sdx_grad_nonzero(sdx_patch *patch, sdx_id x, sdx_id like) {
    sdx_id zero = sdx_emit2(patch, "Equal", x, sdx_grad_scalar(patch, like, 0));
    return sdx_emit3(patch, "Where", zero, sdx_grad_scalar(patch, like, 1), x);
}

sdx_id sdx_grad_others(sdx_patch *patch, sdx_id x, sdx_id zeros, sdx_id product) {
    sdx_id zero = sdx_grad_scalar(patch, x, 0), one = sdx_grad_scalar(patch, x, 1);
    sdx_id of_zero = sdx_emit3(patch, "Where", sdx_emit2(patch, "Equal", zeros, one), product, zero);
    sdx_id of_rest = sdx_emit3(patch, "Where", sdx_emit2(patch, "Equal", zeros, zero), product, zero);
    sdx_id rest = sdx_emit2(patch, "Div", of_rest, sdx_grad_nonzero(patch, x, x));
    return sdx_emit3(patch, "Where", sdx_emit2(patch, "Equal", x, zero), of_zero, rest);
}

sdx_status sdx_flat_gradient(sdx_grad *grad, const void *params) {
    (void)params;
    return grad->patch->status;
}

sdx_status sdx_reshape_gradient(sdx_grad *grad, const void *params) {
    (void)params;
    grad->exact = true;
    grad->dX[0] = sdx_grad_reshape(grad->patch, grad->dY[0], grad->node->in[0]);
    return grad->patch->status;
}

const sdx_type *sdx_grad_shaped(const sdx_patch *patch, sdx_id shape, const sdx_type *otherwise) {
    const int producer = patch->graph->values[shape].producer;
    if (producer < 0 || sdx_type_concrete(otherwise)) return otherwise;
    const sdx_node *node = patch->graph->nodes[producer];
    return strcmp(node->op_type, "Shape") == 0 && node->n_attrs == 0 ? sdx_grad_type(patch, node->in[0]) : otherwise;
}
