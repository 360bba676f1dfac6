/* SPDX-License-Identifier: Apache-2.0
 * The gradient of Scan: a Scan the other way round over the same elements, over the states that came into each step and
 * over the gradients of what was scanned. It carries the gradients of the states and the sums of those of captured
 * values, and scans the gradients of the elements. */
#include "ops/controlflow/body_grad.h"
#include "ops/controlflow/scan.h"

typedef struct scan_grad {
    sdx_grad *grad;
    const sdx_scan_params *p;
    sdx_graph *forward;
    int n_states, n_out; /* of the node, before stacks are added */
    bool *need, *depends;
    int32_t *uses;
    /* The backward node: inputs, axes and directions of those that are scanned, and of its scanned outputs. */
    sdx_id *in;
    int n_in, n_scanned, n_given;
    int64_t *in_axes, *in_directions, *out_axes, *out_directions;
} scan_grad;

static int64_t entry(const sdx_ints *list, int k) { return (size_t)k < list->n ? list->data[k] : 0; }

static sdx_status prepare(scan_grad *g, sdx_grad *grad, const sdx_scan_params *p) {
    sdx_arena *arena = grad->patch->graph->arena;
    sdx_graph *forward = grad->node->bodies[p->body];
    *g = (scan_grad){.grad = grad, .p = p, .forward = forward, .n_out = grad->node->n_out};
    if (grad->node->since < 9)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "the gradient is that of opset 9 and later");
    g->n_states = grad->node->n_in - p->n_elements;
    const int room = forward->n_inputs + forward->n_outputs + grad->n_captured + 1;
    g->need = SDX_NEW_ARRAY(arena, bool, room, grad->error);
    g->in = SDX_NEW_ARRAY(arena, sdx_id, room, grad->error);
    g->uses = SDX_NEW_ARRAY(arena, int32_t, forward->n_values + 1, grad->error);
    int64_t **lists[] = {&g->in_axes, &g->in_directions, &g->out_axes, &g->out_directions};
    for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++) {
        *lists[k] = SDX_NEW_ARRAY(arena, int64_t, room, grad->error);
        if (!*lists[k]) return grad->error->status;
    }
    if (!g->need || !g->in || !g->uses) return grad->error->status;
    SDX_TRY(sdx_carried_need(grad, forward, g->n_states, p->n_elements, 0, 0, grad->needed, g->need, &g->depends));
    sdx_graph_count_uses(forward, g->uses);
    return SDX_OK;
}

static void scan_over(scan_grad *g, sdx_id outer, int64_t axis, int64_t direction) {
    g->in_axes[g->n_scanned] = axis;
    g->in_directions[g->n_scanned++] = direction;
    g->in[g->n_in++] = outer;
}

/* The stacks of states are further scanned outputs of the forward node, along axis 0 and forwards. */
static void lengthen(scan_grad *g, const char *name, const sdx_ints *list, int n) {
    sdx_patch *patch = g->grad->patch;
    if (!list->n || patch->status != SDX_OK) return;
    int64_t *longer = SDX_NEW_ARRAY(patch->graph->arena, int64_t, n, patch->error);
    if (!longer) {
        patch->status = SDX_OUT_OF_MEMORY;
        return;
    }
    for (int k = 0; k < n; k++) longer[k] = entry(list, k);
    sdx_patch_change_ints(patch, g->grad->node, name, longer, (size_t)n);
}

static bool wanted(const scan_grad *g, int k) { return g->need[k] || g->uses[g->forward->inputs[k]]; }

static void gather_inputs(scan_grad *g) {
    const sdx_node *node = g->grad->node;
    for (int k = 0; k < g->n_states; k++)
        if (g->need[k])
            g->in[g->n_in++] = sdx_grad_of_final(g->grad, k, &g->forward->values[g->forward->outputs[k]].type);
    for (int k = 0; k < g->grad->n_captured; k++)
        g->in[g->n_in++] = sdx_grad_filled(g->grad->patch, g->grad->captured[k], 0);
    for (int k = 0; k < g->n_states; k++)
        if (wanted(g, k)) scan_over(g, sdx_grad_save(g->grad, g->forward, 0, g->forward->inputs[k]), 0, 1);
    for (int j = 0; j < g->p->n_elements; j++)
        if (wanted(g, g->n_states + j))
            scan_over(g, node->in[g->n_states + j], entry(&g->p->in_axes, j), 1 - entry(&g->p->in_directions, j));
    for (int k = g->n_states; k < g->n_out; k++)
        if (g->grad->dY[k] != SDX_NONE)
            scan_over(g, g->grad->dY[k], entry(&g->p->out_axes, k - g->n_states),
                      1 - entry(&g->p->out_directions, k - g->n_states));
    const int n = g->forward->n_outputs - g->n_states;
    lengthen(g, "scan_output_axes", &g->p->out_axes, n);
    lengthen(g, "scan_output_directions", &g->p->out_directions, n);
}

/* Gradients of a scanned output's slabs lie as the slabs do: without its axis. */
static sdx_id slab_input(const scan_grad *g, sdx_body_grad *b, int k) {
    return sdx_body_grad_input(b, &g->forward->values[g->forward->outputs[k]].type);
}

static void again_input(sdx_body_grad *b, sdx_id id) {
    if (b->patch.status == SDX_OK) b->patch.status = sdx_graph_add_input(b->body, id, b->patch.error);
}

static sdx_status make_body(scan_grad *g, sdx_body_grad *b, sdx_node *node) {
    const sdx_id *inputs = g->forward->inputs;
    sdx_id *sums = NULL;
    int j = 0;
    for (int k = 0; k < g->n_states; k++) {
        if (!g->need[k]) continue;
        sdx_body_grad_y(b, g->forward->outputs[k], sdx_body_grad_input(b, &g->forward->values[inputs[k]].type));
        sdx_body_grad_x(b, inputs[k]);
    }
    for (int k = g->n_states; k < g->grad->node->n_in; k++)
        if (g->need[k]) sdx_body_grad_x(b, inputs[k]);
    SDX_TRY(sdx_captured_inputs(b, &sums));
    for (int k = 0; k < g->grad->node->n_in; k++)
        if (wanted(g, k)) again_input(b, inputs[k]);
    for (int k = g->n_states; k < g->n_out; k++)
        if (g->grad->dY[k] != SDX_NONE) sdx_body_grad_y(b, g->forward->outputs[k], slab_input(g, b, k));
    SDX_TRY(sdx_body_grad_walk(b));
    for (int k = 0; k < g->n_states; k++)
        if (g->need[k]) sdx_body_grad_output(b, b->dxs[j++], inputs[k]);
    sdx_captured_outputs(b, sums);
    for (int k = g->n_states; k < g->grad->node->n_in; k++)
        if (g->need[k]) sdx_body_grad_output(b, b->dxs[j++], inputs[k]);
    return sdx_body_grad_end(b, node, "body");
}

static void give(scan_grad *g, const sdx_node *node) {
    int n = 0;
    for (int k = 0; k < g->n_states; k++) {
        if (g->need[k] && g->grad->needed[k]) g->grad->dX[k] = node->out[n];
        n += g->need[k];
    }
    for (int k = 0; k < g->grad->n_captured; k++) g->grad->dC[k] = node->out[n++];
    for (int k = g->n_states; k < g->grad->node->n_in; k++)
        if (g->need[k]) g->grad->dX[k] = node->out[n++];
    g->grad->exact = true;
}

sdx_status sdx_scan_grad(sdx_grad *grad, const void *params) {
    sdx_patch *patch = grad->patch;
    scan_grad g;
    sdx_body_grad b;
    SDX_TRY(prepare(&g, grad, params));
    SDX_TRY(sdx_body_grad_begin(&b, grad, g.forward));
    gather_inputs(&g);
    for (int k = g.n_states; k < grad->node->n_in; k++) {
        if (!g.need[k]) continue;
        g.out_axes[g.n_given] = entry(&g.p->in_axes, k - g.n_states);
        g.out_directions[g.n_given++] = 1 - entry(&g.p->in_directions, k - g.n_states);
    }
    sdx_node *node = sdx_patch_node(patch, "", "Scan", g.n_in, g.in, g.n_in - g.n_scanned + g.n_given);
    sdx_patch_int(patch, node, "num_scan_inputs", g.n_scanned);
    sdx_patch_ints(patch, node, "scan_input_axes", g.in_axes, (size_t)g.n_scanned);
    sdx_patch_ints(patch, node, "scan_input_directions", g.in_directions, (size_t)g.n_scanned);
    if (g.n_given) sdx_patch_ints(patch, node, "scan_output_axes", g.out_axes, (size_t)g.n_given);
    if (g.n_given) sdx_patch_ints(patch, node, "scan_output_directions", g.out_directions, (size_t)g.n_given);
    SDX_TRY(make_body(&g, &b, node));
    give(&g, node);
    return patch->status;
}
