/* SPDX-License-Identifier: Apache-2.0
 * One reverse walk: each node on a path from an x to y turns the gradients of its outputs into those of its inputs;
 * gradients that meet at a value are added, and broadcasting is undone by summing. */
#include "runtime/train/autodiff.h"
#include "runtime/load/load.h"
#include <string.h>

typedef struct walk {
    sdx_patch *patch;
    sdx_graph *graph;
    sdx_error *error;
    bool *depends;    /* per value that existed before: some x reaches it */
    sdx_id *gradient; /* per value that existed before; SDX_NONE: nothing has flowed here */
    int n_before;     /* nodes and values below these counts are the forward graph */
    int values_before;
    const sdx_id *cut; /* values beyond which nothing flows */
    int n_cut;
    int settled; /* nodes below this index are bound and inferred */
} walk;

/* Binds and infers what has been emitted since the last call, so that types can be asked for. */
static sdx_status settle(walk *w) {
    SDX_TRY(w->patch->status);
    for (; w->settled < w->graph->n_nodes; w->settled++)
        SDX_TRY(sdx_settle_node(w->graph, w->graph->nodes[w->settled], w->error));
    return SDX_OK;
}

static const sdx_type *type_of(const walk *w, sdx_id id) { return &w->graph->values[id].type; }

/* Integers, bools and strings have no derivative. */
static bool carries(const sdx_graph *graph, sdx_id id) {
    const sdx_type *type = &graph->values[id].type;
    int class = sdx_dtype_class(type->dtype);
    return type->kind != SDX_TENSOR || type->dtype == SDX_UNDEFINED || class == SDX_CLASS_FLOAT ||
           class == SDX_CLASS_COMPLEX;
}

static bool same_dims(const sdx_type *a, const sdx_type *b) {
    if (a->rank < 0 || a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dim[d] != b->dim[d] || a->dim[d] == -1) return false;
    return true;
}

/* A tensor like `like` filled with `value`. */
static sdx_id filled_like(walk *w, sdx_id like, double value) {
    sdx_id scalar = sdx_patch_scalar(w->patch, type_of(w, like)->dtype, value);
    return type_of(w, like)->rank == 0 ? scalar
                                       : sdx_emit2(w->patch, "Expand", scalar, sdx_emit1(w->patch, "Shape", like));
}

/* Axis d of the gradient: summed, kept, or not to be told before the dims are known. */
typedef enum fate { KEPT, SUMMED, OPEN } fate;

static fate fate_of(const sdx_type *want, const sdx_type *have, int d) {
    int own = d - (have->rank - want->rank);
    if (own < 0) return SUMMED;
    int64_t small = want->dim[own], large = have->dim[d];
    if (small == 1) return large == 1 ? KEPT : SUMMED;
    return small >= 0 || (small == large && small < -1) ? KEPT : OPEN;
}

/* ReduceSum over the axes of the broadcast; SumTo at run time where they cannot be told. */
static sdx_id sum_back(walk *w, sdx_id input, sdx_id gradient) {
    const sdx_type *want = type_of(w, input), *have = type_of(w, gradient);
    sdx_patch *patch = w->patch;
    int64_t axes[SDX_MAX_RANK];
    size_t n = 0;
    bool open = want->rank < 0 || have->rank < want->rank, inner = false;
    for (int d = 0; !open && d < have->rank; d++) {
        fate f = fate_of(want, have, d);
        open = f == OPEN;
        if (f == SUMMED) axes[n++] = d;
        inner = inner || (f == SUMMED && d >= have->rank - want->rank);
    }
    if (open)
        return sdx_patch_node(patch, "sdx", "SumTo", 2, (sdx_id[]){gradient, sdx_emit1(patch, "Shape", input)}, 1)
            ->out[0];
    if (n == 0) return gradient;
    bool reshape = inner && have->rank > want->rank;
    sdx_node *sum = sdx_patch_node(patch, "", "ReduceSum", 2, (sdx_id[]){gradient, sdx_patch_i64s(patch, axes, n)}, 1);
    sdx_patch_int(patch, sum, "keepdims", inner);
    if (!reshape) return sum->out[0];
    sdx_node *shaped =
        sdx_patch_node(patch, "", "Reshape", 2, (sdx_id[]){sum->out[0], sdx_emit1(patch, "Shape", input)}, 1);
    sdx_patch_int(patch, shaped, "allowzero", 1);
    return shaped->out[0];
}

/* Undoes broadcasting, after which the gradient has the input's dims, known or not. */
static sdx_status undo_broadcast(walk *w, sdx_id input, sdx_id *gradient, bool exact) {
    SDX_TRY(settle(w));
    if (type_of(w, input)->kind != SDX_TENSOR || same_dims(type_of(w, input), type_of(w, *gradient))) return SDX_OK;
    if (!exact) *gradient = sum_back(w, input, *gradient);
    SDX_TRY(settle(w));
    const sdx_type *want = type_of(w, input);
    sdx_type *have = &w->graph->values[*gradient].type;
    if (want->rank < 0) return SDX_OK;
    have->rank = want->rank;
    for (int d = 0; d < want->rank; d++)
        if (want->dim[d] != -1) have->dim[d] = want->dim[d];
    return SDX_OK;
}

static sdx_status accumulate(walk *w, sdx_id input, sdx_id gradient, bool exact) {
    SDX_TRY(undo_broadcast(w, input, &gradient, exact));
    sdx_id *total = &w->gradient[input];
    *total = *total == SDX_NONE ? gradient : sdx_grad_sum(w->patch, *total, gradient);
    return settle(w);
}

/* Values of the graph that bodies of the node read, each once. */
static sdx_status find_captured(walk *w, const sdx_node *node, int *n, sdx_id **out) {
    int most = 0;
    *n = 0;
    for (int b = 0; b < node->n_bodies; b++) most += node->bodies[b]->n_captures;
    *out = SDX_NEW_ARRAY(w->graph->arena, sdx_id, most + 1, w->error);
    if (!*out) return w->error->status;
    for (int b = 0; b < node->n_bodies; b++)
        for (int k = 0; k < node->bodies[b]->n_captures; k++) {
            const sdx_id outer = node->bodies[b]->captures[k].outer;
            bool seen = outer >= w->values_before || !w->depends[outer];
            for (int j = 0; j < *n; j++) seen |= (*out)[j] == outer;
            if (!seen) (*out)[(*n)++] = outer;
        }
    return SDX_OK;
}

static sdx_status reach(const sdx_grad *grad, const sdx_graph *body, bool *depends);
static sdx_status walk_body(const sdx_grad *grad, sdx_patch *body, int n_ys, const sdx_id *ys, const sdx_id *dys,
                            int n_xs, const sdx_id *xs, sdx_id *dxs);

static sdx_status call_gradient(walk *w, const sdx_node *node, const sdx_id *dY, sdx_id *dX, const bool *needed,
                                int n_captured, const sdx_id *captured) {
    char place[256];
    sdx_id *dC = SDX_NEW_ARRAY(w->graph->arena, sdx_id, n_captured + 1, w->error);
    if (!dC) return w->error->status;
    if (!node->op->grad)
        return sdx_fail(w->error, SDX_UNSUPPORTED, "%s: this operator has no gradient",
                        sdx_node_place(w->graph, node, place, sizeof place));
    for (int k = 0; k < n_captured; k++) dC[k] = SDX_NONE;
    w->patch->origin = node;
    sdx_grad grad = {.patch = w->patch,
                     .node = node,
                     .dY = dY,
                     .dX = dX,
                     .needed = needed,
                     .error = w->error,
                     .n_captured = n_captured,
                     .captured = captured,
                     .dC = dC,
                     .reach = reach,
                     .walk = walk_body};
    SDX_TRY(node->op->grad(&grad, node->params));
    SDX_TRY(settle(w));
    for (int k = 0; k < node->n_in; k++)
        if (needed[k] && dX[k] != SDX_NONE) SDX_TRY(accumulate(w, node->in[k], dX[k], grad.exact));
    for (int k = 0; k < n_captured; k++)
        if (dC[k] != SDX_NONE) SDX_TRY(accumulate(w, captured[k], dC[k], grad.exact));
    return SDX_OK;
}

static bool is_cut(const walk *w, sdx_id id) {
    for (int k = 0; k < w->n_cut; k++)
        if (w->cut[k] == id) return true;
    return false;
}

static sdx_status step_back(walk *w, const sdx_node *node) {
    int n = node->n_in > node->n_out ? node->n_in : node->n_out, n_captured = 0;
    sdx_id *dY = SDX_NEW_ARRAY(w->graph->arena, sdx_id, n + 1, w->error), *captured = NULL;
    sdx_id *dX = SDX_NEW_ARRAY(w->graph->arena, sdx_id, n + 1, w->error);
    bool *needed = SDX_NEW_ARRAY(w->graph->arena, bool, n + 1, w->error);
    if (!dY || !dX || !needed) return w->error->status;
    bool flows = false, any = false;
    for (int k = 0; k <= n; k++) dY[k] = SDX_NONE; /* a gradient may add outputs */
    for (int k = 0; k < node->n_out; k++) {
        const sdx_id id = node->out[k];
        dY[k] = id == SDX_NONE || id >= w->values_before || is_cut(w, id) ? SDX_NONE : w->gradient[id];
        flows |= dY[k] != SDX_NONE;
    }
    for (int k = 0; k < node->n_in; k++) {
        dX[k] = SDX_NONE;
        needed[k] = node->in[k] != SDX_NONE && w->depends[node->in[k]];
        any |= needed[k];
    }
    if (!flows) return SDX_OK;
    SDX_TRY(find_captured(w, node, &n_captured, &captured));
    if (!any && !n_captured) return SDX_OK;
    return call_gradient(w, node, dY, dX, needed, n_captured, captured);
}

static bool reads_any(const sdx_node *node, const bool *depends) {
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && depends[node->in[k]]) return true;
    for (int b = 0; b < node->n_bodies; b++)
        for (int k = 0; k < node->bodies[b]->n_captures; k++)
            if (depends[node->bodies[b]->captures[k].outer]) return true;
    return false;
}

static void mark_dependent(const sdx_graph *graph, bool *depends) {
    for (int id = 0; id < graph->n_values; id++) depends[id] = depends[id] && carries(graph, id);
    for (int i = 0; i < graph->n_nodes; i++) {
        const sdx_node *node = graph->nodes[i];
        if (!reads_any(node, depends)) continue;
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] != SDX_NONE) depends[node->out[k]] = carries(graph, node->out[k]);
    }
}

static sdx_status reach(const sdx_grad *grad, const sdx_graph *body, bool *depends) {
    (void)grad;
    mark_dependent(body, depends);
    return SDX_OK;
}

static sdx_status begin(walk *w, sdx_patch *patch, const sdx_id *xs, int n) {
    sdx_graph *graph = patch->graph;
    *w = (walk){.patch = patch, .graph = graph, .error = patch->error, .n_before = graph->n_nodes};
    w->values_before = graph->n_values;
    w->settled = graph->n_nodes;
    w->depends = SDX_NEW_ARRAY(graph->arena, bool, w->values_before, w->error);
    w->gradient = SDX_NEW_ARRAY(graph->arena, sdx_id, w->values_before, w->error);
    if (!w->depends || !w->gradient) return w->error->status;
    for (int v = 0; v < w->values_before; v++) w->gradient[v] = SDX_NONE;
    for (int k = 0; k < n; k++) w->depends[xs[k]] = true;
    mark_dependent(graph, w->depends);
    return SDX_OK;
}

static sdx_status walk_back(walk *w) {
    const sdx_node *origin = w->patch->origin;
    SDX_TRY(settle(w));
    for (int i = w->n_before - 1; i >= 0; i--) SDX_TRY(step_back(w, w->graph->nodes[i]));
    w->patch->origin = origin;
    return SDX_OK;
}

/* Nested as deep as bodies are. */
static sdx_status walk_body(const sdx_grad *grad, sdx_patch *body, int n_ys, const sdx_id *ys, const sdx_id *dys,
                            int n_xs, const sdx_id *xs, sdx_id *dxs) {
    walk w;
    (void)grad;
    SDX_TRY(body->status);
    SDX_TRY(sdx_settle_graph(body->graph, body->error));
    SDX_TRY(begin(&w, body, xs, n_xs));
    for (int k = 0; k < n_ys; k++)
        if (w.depends[ys[k]]) SDX_TRY(accumulate(&w, ys[k], dys[k], true));
    SDX_TRY(walk_back(&w));
    for (int k = 0; k < n_xs; k++) dxs[k] = w.gradient[xs[k]];
    return SDX_OK;
}

sdx_status sdx_autodiff(sdx_patch *patch, sdx_id y, const sdx_id *xs, int n, sdx_id *out) {
    return sdx_autodiff_between(patch, y, xs, n, NULL, 0, out);
}

sdx_status sdx_autodiff_between(sdx_patch *patch, sdx_id y, const sdx_id *xs, int n, const sdx_id *cut, int n_cut,
                                sdx_id *out) {
    walk w;
    SDX_TRY(begin(&w, patch, xs, n));
    w.cut = cut;
    w.n_cut = n_cut;
    SDX_TRY(accumulate(&w, y, filled_like(&w, y, 1), true));
    SDX_TRY(walk_back(&w));
    for (int k = 0; k < n; k++) out[k] = w.gradient[xs[k]] == SDX_NONE ? filled_like(&w, xs[k], 0) : w.gradient[xs[k]];
    return settle(&w);
}
