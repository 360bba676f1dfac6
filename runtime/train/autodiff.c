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

/* Sums `gradient` over the axes along which `input` was broadcast. The axes follow from the ranks and the dims of size
 * 1, which must be known unless the shapes are the same. */
static sdx_status undo_broadcast(walk *w, sdx_id input, sdx_id *gradient) {
    SDX_TRY(settle(w));
    const sdx_type *want = type_of(w, input), *have = type_of(w, *gradient);
    if (same_dims(want, have)) return SDX_OK;
    if (want->rank < 0 || have->rank < want->rank)
        return sdx_fail(w->error, SDX_UNSUPPORTED, "the rank of '%s' must be known to differentiate",
                        w->graph->values[input].name);
    int64_t axes[SDX_MAX_RANK];
    size_t n = 0;
    int extra = have->rank - want->rank;
    for (int d = 0; d < have->rank; d++) {
        int64_t small = d < extra ? 1 : want->dim[d - extra], large = have->dim[d];
        if (d >= extra && small < 0 && small != large)
            return sdx_fail(w->error, SDX_UNSUPPORTED, "dimension %d of '%s' must be known to differentiate", d - extra,
                            w->graph->values[input].name);
        if (d < extra || (small == 1 && large != 1)) axes[n++] = d;
    }
    if (n == 0) return SDX_OK;
    sdx_node *sum =
        sdx_patch_node(w->patch, "", "ReduceSum", 2, (sdx_id[]){*gradient, sdx_patch_i64s(w->patch, axes, n)}, 1);
    sdx_patch_int(w->patch, sum, "keepdims", 1);
    *gradient = sum->out[0];
    if (extra) *gradient = sdx_emit2(w->patch, "Reshape", *gradient, sdx_emit1(w->patch, "Shape", input));
    return settle(w);
}

static sdx_status accumulate(walk *w, sdx_id input, sdx_id gradient) {
    SDX_TRY(undo_broadcast(w, input, &gradient));
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
    SDX_TRY(node->op->grad(&(sdx_grad){w->patch, node, dY, dX, needed, w->error}, node->params));
    SDX_TRY(settle(w));
    for (int k = 0; k < node->n_in; k++)
        if (needed[k] && dX[k] != SDX_NONE) SDX_TRY(accumulate(w, node->in[k], dX[k]));
    return SDX_OK;
}

static void mark_dependent(walk *w, const sdx_id *xs, int n) {
    for (int k = 0; k < n; k++) w->depends[xs[k]] = true;
    for (int i = 0; i < w->n_before; i++) {
        const sdx_node *node = w->graph->nodes[i];
        bool from_x = false;
        for (int k = 0; k < node->n_in; k++) from_x |= node->in[k] != SDX_NONE && w->depends[node->in[k]];
        for (int k = 0; from_x && k < node->n_out; k++)
            if (node->out[k] != SDX_NONE) w->depends[node->out[k]] = true;
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
