/* SPDX-License-Identifier: Apache-2.0
 * The gradient of a sequence is a sequence of the gradients of its items. */
#include "ops/sequence/sequence_grad.h"

/* ---- item by item --------------------------------------------------------------------------------------------------
 */

typedef sdx_id (*item_fn)(sdx_patch *body, const sdx_id *in, int64_t parameter);

static sdx_dtype item_dtype(const sdx_patch *patch, sdx_id sequence) {
    const sdx_type *type = sdx_grad_type(patch, sequence);
    return type->kind == SDX_SEQUENCE && type->elem ? type->elem->dtype : SDX_UNDEFINED;
}

static sdx_status make_body(sdx_patch *patch, int n, const sdx_id *sequences, item_fn fn, int64_t parameter,
                            sdx_graph **out) {
    sdx_graph *body = *out = sdx_graph_create(patch->graph->arena, "items", patch->graph, patch->error);
    sdx_patch inner;
    sdx_id in[2];
    if (!body) return SDX_OUT_OF_MEMORY;
    for (int k = 0; k < n; k++) {
        const sdx_type item = sdx_type_make(item_dtype(patch, sequences[k]), -1);
        in[k] = sdx_graph_add_value(body, NULL, &item, patch->error);
        if (in[k] == SDX_NONE || sdx_graph_add_input(body, in[k], patch->error)) return SDX_OUT_OF_MEMORY;
    }
    sdx_patch_begin(&inner, body, patch->error);
    const sdx_id result = fn(&inner, in, parameter);
    SDX_TRY(inner.status);
    SDX_TRY(sdx_graph_add_output(body, result, patch->error));
    return sdx_patch_commit(&inner);
}

/* One or two sequences, walked together. */
static sdx_id map_items(sdx_patch *patch, int n, const sdx_id *sequences, item_fn fn, int64_t parameter) {
    sdx_graph *body = NULL;
    if (patch->status != SDX_OK) return SDX_NONE;
    patch->status = make_body(patch, n, sequences, fn, parameter, &body);
    sdx_node *node = sdx_patch_node(patch, "", "SequenceMap", n, sequences, 1);
    sdx_patch_attr(patch, node, &(sdx_attr){.name = "body", .type = SDX_ATTR_GRAPH, .n = 1, .graph = body});
    return node->out[0];
}

static sdx_id zero_item(sdx_patch *body, const sdx_id *in, int64_t parameter) {
    (void)parameter;
    return sdx_grad_filled(body, in[0], 0);
}

static sdx_id add_items(sdx_patch *body, const sdx_id *in, int64_t parameter) {
    (void)parameter;
    return sdx_emit2(body, "Add", in[0], in[1]);
}

static sdx_id extent_of_item(sdx_patch *body, const sdx_id *in, int64_t axis) {
    return sdx_emit2(body, "Gather", sdx_emit1(body, "Shape", in[0]), sdx_patch_i64s(body, &axis, 1));
}

sdx_id sdx_grad_zeros(sdx_patch *patch, sdx_id like) {
    const bool sequence = patch->status == SDX_OK && sdx_grad_type(patch, like)->kind == SDX_SEQUENCE;
    return sequence ? map_items(patch, 1, &like, zero_item, 0) : sdx_grad_filled(patch, like, 0);
}

sdx_id sdx_grad_sum(sdx_patch *patch, sdx_id a, sdx_id b) {
    const bool sequence = patch->status == SDX_OK && sdx_grad_type(patch, a)->kind == SDX_SEQUENCE;
    return sequence ? map_items(patch, 2, (sdx_id[]){a, b}, add_items, 0) : sdx_emit2(patch, "Add", a, b);
}

/* ---- positions -----------------------------------------------------------------------------------------------------
 */

static sdx_id length_of(sdx_patch *patch, sdx_id sequence) { return sdx_emit1(patch, "SequenceLength", sequence); }

/* Position `k` of the node from the front, where its input 0 has the items that positions count; `more` is added to
 * their number where the position is absent. */
static sdx_id position(sdx_grad *grad, int k, int64_t more) {
    sdx_patch *patch = grad->patch;
    const sdx_id given = sdx_grad_in(grad, k), length = length_of(patch, grad->node->in[0]);
    if (given == SDX_NONE) return sdx_emit2(patch, "Add", length, sdx_patch_scalar(patch, SDX_I64, (double)more));
    const sdx_id wide = sdx_emit_int(patch, "Cast", given, SDX_NONE, "to", SDX_I64);
    const sdx_id at = sdx_emit2(patch, "Reshape", wide, sdx_patch_i64s(patch, NULL, 0));
    const sdx_id from_end = sdx_emit2(patch, "Less", at, sdx_patch_scalar(patch, SDX_I64, 0));
    return sdx_emit3(patch, "Where", from_end, sdx_emit2(patch, "Add", at, length), at);
}

/* ---- gradients -----------------------------------------------------------------------------------------------------
 */

static sdx_status done(sdx_grad *grad) {
    grad->exact = true;
    return grad->patch->status;
}

sdx_status sdx_handed_on_grad(sdx_grad *grad, const void *params) {
    (void)params;
    if (grad->node->n_in > 0) grad->dX[0] = grad->dY[0];
    return done(grad);
}

sdx_status sdx_sequence_construct_grad(sdx_grad *grad, const void *params) {
    (void)params;
    for (int k = 0; k < grad->node->n_in; k++)
        if (grad->needed[k])
            grad->dX[k] =
                sdx_emit2(grad->patch, "SequenceAt", grad->dY[0], sdx_patch_scalar(grad->patch, SDX_I64, (double)k));
    return done(grad);
}

sdx_status sdx_sequence_at_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_id at = position(grad, 1, 0);
    const sdx_id others = sdx_emit2(grad->patch, "SequenceErase", sdx_grad_zeros(grad->patch, grad->node->in[0]), at);
    grad->dX[0] = sdx_emit3(grad->patch, "SequenceInsert", others, grad->dY[0], at);
    return done(grad);
}

sdx_status sdx_sequence_insert_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_id at = position(grad, 2, 0);
    if (grad->needed[0]) grad->dX[0] = sdx_emit2(grad->patch, "SequenceErase", grad->dY[0], at);
    if (grad->needed[1]) grad->dX[1] = sdx_emit2(grad->patch, "SequenceAt", grad->dY[0], at);
    return done(grad);
}

sdx_status sdx_sequence_erase_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_id at = position(grad, 1, -1);
    const sdx_id erased = sdx_emit2(grad->patch, "SequenceAt", sdx_grad_zeros(grad->patch, grad->node->in[0]), at);
    grad->dX[0] = sdx_emit3(grad->patch, "SequenceInsert", grad->dY[0], erased, at);
    return done(grad);
}

static sdx_node *concat(sdx_patch *patch, sdx_id sequence, int64_t axis, bool stack) {
    sdx_node *node = sdx_patch_node(patch, "", "ConcatFromSequence", 1, &sequence, 1);
    sdx_patch_int(patch, node, "axis", axis);
    sdx_patch_int(patch, node, "new_axis", stack);
    return node;
}

sdx_status sdx_split_to_sequence_back(sdx_grad *grad, int64_t axis, bool drops_axis) {
    grad->dX[0] = concat(grad->patch, grad->dY[0], axis, drops_axis)->out[0];
    return done(grad);
}

sdx_status sdx_concat_from_sequence_back(sdx_grad *grad, int64_t axis, bool stack) {
    sdx_patch *patch = grad->patch;
    sdx_id in[2] = {grad->dY[0], SDX_NONE};
    if (!stack) in[1] = concat(patch, map_items(patch, 1, grad->node->in, extent_of_item, axis), 0, false)->out[0];
    sdx_node *node = sdx_patch_node(patch, "", "SplitToSequence", 2, in, 1);
    sdx_patch_int(patch, node, "axis", axis);
    sdx_patch_int(patch, node, "keepdims", !stack);
    grad->dX[0] = node->out[0];
    return done(grad);
}

/* The sum of the items. */
static sdx_id sum_of_items(sdx_patch *patch, sdx_id sequence) {
    const sdx_id in[2] = {concat(patch, sequence, 0, true)->out[0], sdx_patch_i64s(patch, (int64_t[]){0}, 1)};
    return sdx_emit_int(patch, "ReduceSum", in[0], in[1], "keepdims", 0);
}

/* A SequenceMap over the same items and the gradients of what was made of them. Tensors that every item met gather the
 * gradients of all items. */
sdx_status sdx_sequence_map_back(sdx_grad *grad, int body) {
    const sdx_node *node = grad->node;
    sdx_patch *patch = grad->patch;
    const sdx_graph *forward = node->bodies[body];
    sdx_body_grad b;
    int n = node->n_in, n_out = 0;
    SDX_TRY(sdx_body_grad_begin(&b, grad, forward));
    sdx_id *in = SDX_NEW_ARRAY(patch->graph->arena, sdx_id, n + node->n_out, grad->error);
    if (!in) return grad->error->status;
    for (int k = 0; k < n; k++) {
        in[k] = node->in[k];
        SDX_TRY(sdx_graph_add_input(b.body, forward->inputs[k], grad->error));
        if (grad->needed[k]) sdx_body_grad_x(&b, forward->inputs[k]);
    }
    for (int k = 0; k < node->n_out; k++) {
        if (grad->dY[k] == SDX_NONE) continue;
        in[n++] = grad->dY[k];
        const sdx_id y = forward->outputs[k];
        sdx_body_grad_y(&b, y, sdx_body_grad_input(&b, &forward->values[y].type));
    }
    for (int k = 0; k < grad->n_captured; k++) sdx_body_grad_x(&b, sdx_body_grad_capture(&b, grad->captured[k]));
    SDX_TRY(sdx_body_grad_walk(&b));
    for (int k = 0; k < b.n_xs; k++) sdx_body_grad_output(&b, b.dxs[k], b.xs[k]);
    sdx_node *back = sdx_patch_node(patch, "", "SequenceMap", n, in, b.n_xs);
    SDX_TRY(sdx_body_grad_end(&b, back, "body"));
    for (int k = 0; k < node->n_in; k++) {
        if (!grad->needed[k]) continue;
        const sdx_id d = back->out[n_out++];
        grad->dX[k] = sdx_grad_type(patch, node->in[k])->kind == SDX_SEQUENCE ? d : sum_of_items(patch, d);
    }
    for (int k = 0; k < grad->n_captured; k++) grad->dC[k] = sum_of_items(patch, back->out[n_out++]);
    return done(grad);
}
