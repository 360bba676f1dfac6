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
    int settled; /* nodes below this index are bound and inferred */
} walk;

/* Binds and infers what has been emitted since the last call, so that types can be asked for. */
static sdx_status settle(walk *w) {
    SDX_TRY(w->patch->status);
    sdx_graph *graph = w->graph;
    for (; w->settled < graph->n_nodes; w->settled++) {
        sdx_node *node = graph->nodes[w->settled];
        SDX_TRY(sdx_bind_node(graph, node, w->error));
        const sdx_type **in = SDX_NEW_ARRAY(graph->arena, const sdx_type *, node->n_in + 1, w->error);
        const sdx_tensor **value = SDX_NEW_ARRAY(graph->arena, const sdx_tensor *, node->n_in + 1, w->error);
        bool *wanted = SDX_NEW_ARRAY(graph->arena, bool, node->n_out + 1, w->error);
        sdx_type *out = SDX_NEW_ARRAY(graph->arena, sdx_type, node->n_out + 1, w->error);
        if (!in || !value || !wanted || !out) return w->error->status;
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] == SDX_NONE) continue;
            const sdx_graph_value *v = &graph->values[node->in[k]];
            in[k] = &v->type;
            if (v->constant && v->constant->kind == SDX_TENSOR) value[k] = &v->constant->tensor;
        }
        for (int k = 0; k < node->n_out; k++) wanted[k] = node->out[k] != SDX_NONE;
        SDX_TRY(sdx_infer_node(graph, node, in, value, wanted, 1, graph->arena, w->error, out));
        for (int k = 0; k < node->n_out; k++)
            if (wanted[k]) graph->values[node->out[k]].type = out[k];
    }
    return SDX_OK;
}

static const sdx_type *type_of(const walk *w, sdx_id id) { return &w->graph->values[id].type; }

/* Integers, bools and strings have no derivative. */
static bool carries(const walk *w, sdx_id id) {
    const sdx_type *type = type_of(w, id);
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
    *total = *total == SDX_NONE ? gradient : sdx_emit2(w->patch, "Add", *total, gradient);
    return settle(w);
}

static sdx_status step_back(walk *w, const sdx_node *node) {
    int n = node->n_in > node->n_out ? node->n_in : node->n_out;
    sdx_id *dY = SDX_NEW_ARRAY(w->graph->arena, sdx_id, n + 1, w->error);
    sdx_id *dX = SDX_NEW_ARRAY(w->graph->arena, sdx_id, n + 1, w->error);
    bool *needed = SDX_NEW_ARRAY(w->graph->arena, bool, n + 1, w->error);
    if (!dY || !dX || !needed) return w->error->status;
    bool flows = false, any = false;
    for (int k = 0; k < node->n_out; k++) {
        dY[k] = node->out[k] == SDX_NONE ? SDX_NONE : w->gradient[node->out[k]];
        flows |= dY[k] != SDX_NONE;
    }
    for (int k = 0; k < node->n_in; k++) {
        dX[k] = SDX_NONE;
        needed[k] = node->in[k] != SDX_NONE && w->depends[node->in[k]];
        any |= needed[k];
    }
    if (!flows || !any) return SDX_OK;
    char place[256];
    if (!node->op->grad)
        return sdx_fail(w->error, SDX_UNSUPPORTED, "%s: this operator has no gradient",
                        sdx_node_place(w->graph, node, place, sizeof place));
    w->patch->origin = node;
    sdx_grad grad = {w->patch, node, dY, dX, needed, w->error, false};
    SDX_TRY(node->op->grad(&grad, node->params));
    SDX_TRY(settle(w));
    for (int k = 0; k < node->n_in; k++)
        if (needed[k] && dX[k] != SDX_NONE) SDX_TRY(accumulate(w, node->in[k], dX[k], grad.exact));
    return SDX_OK;
}

static void mark_dependent(walk *w, const sdx_id *xs, int n) {
    for (int k = 0; k < n; k++) w->depends[xs[k]] = carries(w, xs[k]);
    for (int i = 0; i < w->n_before; i++) {
        const sdx_node *node = w->graph->nodes[i];
        bool from_x = false;
        for (int k = 0; k < node->n_in; k++) from_x |= node->in[k] != SDX_NONE && w->depends[node->in[k]];
        for (int k = 0; from_x && k < node->n_out; k++)
            if (node->out[k] != SDX_NONE) w->depends[node->out[k]] = carries(w, node->out[k]);
    }
}

sdx_status sdx_autodiff(sdx_patch *patch, sdx_id y, const sdx_id *xs, int n, sdx_id *out) {
    sdx_graph *graph = patch->graph;
    walk w = {.patch = patch,
              .graph = graph,
              .error = patch->error,
              .n_before = graph->n_nodes,
              .values_before = graph->n_values,
              .settled = graph->n_nodes};
    w.depends = SDX_NEW_ARRAY(graph->arena, bool, w.values_before, w.error);
    w.gradient = SDX_NEW_ARRAY(graph->arena, sdx_id, w.values_before, w.error);
    if (!w.depends || !w.gradient) return w.error->status;
    for (int v = 0; v < w.values_before; v++) w.gradient[v] = SDX_NONE;
    mark_dependent(&w, xs, n);
    w.gradient[y] = filled_like(&w, y, 1);
    SDX_TRY(settle(&w));
    for (int i = w.n_before - 1; i >= 0; i--) SDX_TRY(step_back(&w, graph->nodes[i]));
    for (int k = 0; k < n; k++) out[k] = w.gradient[xs[k]] == SDX_NONE ? filled_like(&w, xs[k], 0) : w.gradient[xs[k]];
    return settle(&w);
}
