/* SPDX-License-Identifier: Apache-2.0
 * The gradient of Loop: a Loop over the trips in reverse. The forward Loop gives the values that came into each trip,
 * stacked; a trip back takes its own, walks the body again and back, and carries the gradients of the carried values
 * and the sums of those of the captured ones. */
#include "ops/controlflow/body_grad.h"
#include "ops/controlflow/loop.h"

typedef struct loop_grad {
    sdx_grad *grad;
    sdx_graph *forward;
    int n_carried, n_out; /* of the node, before stacks are added */
    bool *need;           /* per carried value: it needs a gradient */
    bool *depends;        /* per value of the body */
    int32_t *uses;
    sdx_id *saved; /* per input of the body: its stack; SDX_NONE where nobody reads it */
    sdx_id trips;  /* how many there were, a scalar */
} loop_grad;

static sdx_status check_kinds(const loop_grad *g) {
    for (int k = 0; k < g->forward->n_inputs; k++) {
        const sdx_type *type = &g->forward->values[g->forward->inputs[k]].type;
        const bool plain = type->kind == SDX_TENSOR || type->kind == 0;
        if (plain || (!g->uses[g->forward->inputs[k]] && !(k >= 2 && g->need[k - 2]))) continue;
        return sdx_fail(g->grad->error, SDX_UNSUPPORTED,
                        "carried value %d is no tensor; there is no gradient through a loop that carries such", k - 2);
    }
    return SDX_OK;
}

static sdx_status prepare(loop_grad *g, sdx_grad *grad, sdx_graph *forward) {
    sdx_arena *arena = grad->patch->graph->arena;
    *g = (loop_grad){.grad = grad, .forward = forward};
    g->n_out = grad->node->n_out;
    g->n_carried = grad->node->n_in > 2 ? grad->node->n_in - 2 : 0;
    g->need = SDX_NEW_ARRAY(arena, bool, g->n_carried + 1, grad->error);
    g->uses = SDX_NEW_ARRAY(arena, int32_t, forward->n_values + 1, grad->error);
    g->saved = SDX_NEW_ARRAY(arena, sdx_id, forward->n_inputs + 1, grad->error);
    if (!g->need || !g->uses || !g->saved) return grad->error->status;
    SDX_TRY(sdx_carried_need(grad, forward, g->n_carried, 0, 2, 1, grad->needed + 2, g->need, &g->depends));
    sdx_graph_count_uses(forward, g->uses);
    return check_kinds(g);
}

/* The stack of the trip numbers says how many trips there were. */
static void save_inputs(loop_grad *g) {
    sdx_patch *patch = g->grad->patch;
    for (int k = 1; k < g->forward->n_inputs; k++) {
        const sdx_id id = g->forward->inputs[k];
        const bool wanted = g->uses[id] || (k >= 2 && g->need[k - 2]);
        g->saved[k] = wanted ? sdx_grad_save(g->grad, g->forward, 1, id) : SDX_NONE;
    }
    sdx_node *count = sdx_patch_node(patch, "", "Shape", 1,
                                     (sdx_id[]){sdx_grad_save(g->grad, g->forward, 1, g->forward->inputs[0])}, 1);
    sdx_patch_int(patch, count, "end", 1);
    g->trips = sdx_emit1(patch, "Squeeze", count->out[0]);
}

/* Element `t` of a stack outside. */
static sdx_id at_trip(sdx_body_grad *b, sdx_id stack, sdx_id t) {
    return sdx_emit_int(&b->patch, "Gather", sdx_body_grad_capture(b, stack), t, "axis", 0);
}

static void feed_inputs(const loop_grad *g, sdx_body_grad *b, sdx_id t) {
    sdx_id trip = t;
    if (g->forward->values[g->forward->inputs[0]].type.rank == 1)
        trip = sdx_emit2(&b->patch, "Reshape", t, sdx_patch_i64s(&b->patch, (int64_t[]){1}, 1));
    sdx_patch_replace(&b->patch, g->forward->inputs[0], trip);
    for (int k = 1; k < g->forward->n_inputs; k++)
        if (g->saved[k] != SDX_NONE) sdx_patch_replace(&b->patch, g->forward->inputs[k], at_trip(b, g->saved[k], t));
}

static sdx_status make_body(const loop_grad *g, sdx_body_grad *b, sdx_node *node) {
    const sdx_type counter = sdx_type_make(SDX_I64, 0), flag = sdx_type_make(SDX_BOOL, 0);
    sdx_patch *patch = &b->patch;
    sdx_id *sums = NULL;
    const sdx_id i = sdx_body_grad_input(b, &counter), go_on = sdx_body_grad_input(b, &flag);
    const sdx_id last =
        sdx_emit2(patch, "Sub", sdx_body_grad_capture(b, g->trips), sdx_patch_scalar(patch, SDX_I64, 1));
    const sdx_id t = sdx_emit2(patch, "Sub", last, i);
    feed_inputs(g, b, t);
    for (int k = 0; k < g->n_carried; k++) {
        const sdx_id x = g->forward->inputs[2 + k];
        if (!g->need[k]) continue;
        sdx_body_grad_y(b, g->forward->outputs[1 + k], sdx_body_grad_input(b, &g->forward->values[x].type));
        sdx_body_grad_x(b, x);
    }
    for (int k = g->n_carried; k < g->n_out; k++)
        if (g->grad->dY[k] != SDX_NONE) sdx_body_grad_y(b, g->forward->outputs[1 + k], at_trip(b, g->grad->dY[k], t));
    SDX_TRY(sdx_captured_inputs(b, &sums));
    SDX_TRY(sdx_body_grad_walk(b));
    sdx_body_grad_output(b, go_on, SDX_NONE);
    for (int k = 0, j = 0; k < g->n_carried; k++)
        if (g->need[k]) sdx_body_grad_output(b, b->dxs[j++], g->forward->inputs[2 + k]);
    sdx_captured_outputs(b, sums);
    return sdx_body_grad_end(b, node, "body");
}

sdx_status sdx_loop_grad(sdx_grad *grad, const void *params) {
    const sdx_loop_params *p = params;
    sdx_graph *forward = grad->node->bodies[p->body];
    loop_grad g;
    sdx_body_grad b;
    int n = 2, n_out = 0;
    SDX_TRY(prepare(&g, grad, forward));
    SDX_TRY(sdx_body_grad_begin(&b, grad, forward));
    sdx_id *in = SDX_NEW_ARRAY(grad->patch->graph->arena, sdx_id, g.n_carried + grad->n_captured + 2, grad->error);
    if (!in) return grad->error->status;
    save_inputs(&g);
    in[0] = g.trips, in[1] = SDX_NONE;
    for (int k = 0; k < g.n_carried; k++)
        if (g.need[k]) in[n++] = sdx_grad_of_final(grad, k, &forward->values[forward->outputs[1 + k]].type);
    for (int k = 0; k < grad->n_captured; k++) in[n++] = sdx_grad_filled(grad->patch, grad->captured[k], 0);
    sdx_node *node = sdx_patch_node(grad->patch, "", "Loop", n, in, n - 2);
    SDX_TRY(make_body(&g, &b, node));
    for (int k = 0; k < g.n_carried; k++)
        if (g.need[k] && grad->needed[2 + k])
            grad->dX[2 + k] = node->out[n_out++];
        else
            n_out += g.need[k];
    for (int k = 0; k < grad->n_captured; k++) grad->dC[k] = node->out[n_out++];
    grad->exact = true;
    return grad->patch->status;
}
