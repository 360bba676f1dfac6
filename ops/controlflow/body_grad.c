/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/controlflow/body_grad.h"
#include <string.h>

/* ---- the backward body ------------------------------------------------------------------------------------------- */

sdx_status sdx_body_grad_begin(sdx_body_grad *b, sdx_grad *grad, const sdx_graph *forward) {
    sdx_patch *patch = grad->patch;
    const size_t room = (size_t)forward->n_values + (size_t)grad->n_captured + 1;
    SDX_TRY(patch->status);
    *b = (sdx_body_grad){.grad = grad, .forward = forward};
    b->body = sdx_graph_copy_body(forward, patch->graph, grad->error);
    if (!b->body) return grad->error->status;
    sdx_graph_clear_inputs(b->body);
    sdx_graph_clear_outputs(b->body);
    sdx_patch_begin(&b->patch, b->body, grad->error);
    b->patch.origin = grad->node;
    sdx_id **lists[] = {&b->ys, &b->dys, &b->xs, &b->dxs};
    for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++) {
        *lists[k] = SDX_NEW_ARRAY(patch->graph->arena, sdx_id, room, grad->error);
        if (!*lists[k]) return grad->error->status;
    }
    return SDX_OK;
}

static sdx_id checked(sdx_body_grad *b, sdx_id id) {
    if (id == SDX_NONE && b->patch.status == SDX_OK) b->patch.status = SDX_OUT_OF_MEMORY;
    return id;
}

sdx_id sdx_body_grad_capture(sdx_body_grad *b, sdx_id outer) {
    if (b->patch.status != SDX_OK || outer == SDX_NONE) return SDX_NONE;
    return checked(b, sdx_graph_capture(b->body, outer, b->patch.error));
}

sdx_id sdx_body_grad_input(sdx_body_grad *b, const sdx_type *type) {
    if (b->patch.status != SDX_OK) return SDX_NONE;
    const sdx_id id = checked(b, sdx_graph_add_value(b->body, NULL, type, b->patch.error));
    if (id != SDX_NONE && sdx_graph_add_input(b->body, id, b->patch.error) != SDX_OK) checked(b, SDX_NONE);
    return id;
}

/* An output is a value of its own: not an input, not captured, not listed before. */
void sdx_body_grad_output(sdx_body_grad *b, sdx_id value, sdx_id like) {
    const sdx_id own = value == SDX_NONE ? sdx_grad_zeros(&b->patch, like) : sdx_emit1(&b->patch, "Identity", value);
    if (b->patch.status == SDX_OK) b->patch.status = sdx_graph_add_output(b->body, own, b->patch.error);
}

void sdx_body_grad_y(sdx_body_grad *b, sdx_id y, sdx_id dy) {
    b->ys[b->n_ys] = y;
    b->dys[b->n_ys++] = dy;
}

int sdx_body_grad_x(sdx_body_grad *b, sdx_id x) {
    b->xs[b->n_xs] = x;
    return b->n_xs++;
}

sdx_status sdx_body_grad_walk(sdx_body_grad *b) {
    return b->grad->walk(b->grad, &b->patch, b->n_ys, b->ys, b->dys, b->n_xs, b->xs, b->dxs);
}

sdx_status sdx_body_grad_end(sdx_body_grad *b, sdx_node *node, const char *attribute) {
    const sdx_attr attr = {.name = attribute, .type = SDX_ATTR_GRAPH, .n = 1, .graph = b->body};
    SDX_TRY(sdx_patch_commit(&b->patch));
    sdx_patch_attr(b->grad->patch, node, &attr);
    return b->grad->patch->status;
}

/* ---- what is captured ----------------------------------------------------------------------------------------------
 */

sdx_status sdx_captured_inputs(sdx_body_grad *b, sdx_id **sums) {
    const sdx_grad *grad = b->grad;
    *sums = SDX_NEW_ARRAY(grad->patch->graph->arena, sdx_id, grad->n_captured + 1, grad->error);
    if (!*sums) return grad->error->status;
    for (int k = 0; k < grad->n_captured; k++) {
        (*sums)[k] = sdx_body_grad_input(b, sdx_grad_type(grad->patch, grad->captured[k]));
        sdx_body_grad_x(b, sdx_body_grad_capture(b, grad->captured[k]));
    }
    return b->patch.status;
}

void sdx_captured_outputs(sdx_body_grad *b, const sdx_id *sums) {
    const int first = b->n_xs - b->grad->n_captured;
    for (int k = 0; k < b->grad->n_captured; k++) {
        const sdx_id part = b->dxs[first + k];
        sdx_body_grad_output(b, part == SDX_NONE ? sums[k] : sdx_emit2(&b->patch, "Add", sums[k], part), SDX_NONE);
    }
}

/* ---- the forward node ----------------------------------------------------------------------------------------------
 */

sdx_id sdx_grad_of_final(sdx_grad *grad, int k, const sdx_type *type) {
    if (k < grad->node->n_out && grad->dY[k] != SDX_NONE) return grad->dY[k];
    return sdx_grad_filled(grad->patch, sdx_patch_output(grad->patch, grad->node, k, type), 0);
}

sdx_id sdx_grad_save(sdx_grad *grad, sdx_graph *body, int first, sdx_id id) {
    sdx_patch patch;
    sdx_patch_begin(&patch, body, grad->error);
    const sdx_id copy = sdx_emit1(&patch, "Identity", id);
    if (patch.status == SDX_OK) patch.status = sdx_graph_add_output(body, copy, grad->error);
    if (patch.status != SDX_OK) {
        if (grad->patch->status == SDX_OK) grad->patch->status = patch.status;
        return SDX_NONE;
    }
    body->values[copy].type = body->values[id].type;
    sdx_type stack = body->values[id].type;
    memmove(stack.dim + 1, stack.dim, (size_t)(stack.rank < 0 ? 0 : stack.rank) * sizeof stack.dim[0]);
    stack.dim[0] = -1;
    stack.rank = stack.rank < 0 ? -1 : stack.rank + 1;
    return sdx_patch_output(grad->patch, grad->node, body->n_outputs - 1 - first, &stack);
}

sdx_status sdx_carried_need(sdx_grad *grad, const sdx_graph *body, int n, int n_more, int first_in, int first_out,
                            const bool *needed, bool *need, bool **depends) {
    *depends = SDX_NEW_ARRAY(grad->patch->graph->arena, bool, body->n_values + 1, grad->error);
    if (!*depends) return grad->error->status;
    for (int k = 0; k < n + n_more; k++) need[k] = needed[k];
    for (int k = 0; k < body->n_captures; k++)
        for (int j = 0; j < grad->n_captured; j++)
            if (body->captures[k].outer == grad->captured[j]) (*depends)[body->captures[k].inner] = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (int k = 0; k < n + n_more; k++) (*depends)[body->inputs[first_in + k]] |= need[k];
        SDX_TRY(grad->reach(grad, body, *depends));
        for (int k = 0; k < n; k++) {
            if (need[k] || !(*depends)[body->outputs[first_out + k]]) continue;
            need[k] = changed = true;
        }
    }
    return SDX_OK;
}
