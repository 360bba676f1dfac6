/* SPDX-License-Identifier: Apache-2.0
 * Constraints after the step, with Keras' formulas: norms are taken over all that feeds one output of the layer (Keras'
 * axis 0 of a Dense kernel, which is [in, out]), so that each unit's incoming weights are held together. Where the
 * output's axis is depends on who reads the weight:
 *     Conv [out, in, k...]   ConvTranspose [in, out / group, k...]   Gemm B [in, out], or [out, in] with transB
 *     MatMul right [..., in, out], left [..., out, in]   recurrent W, R [directions, gates, in]   Gather: each row
 * A tensor of rank 0 or 1, and one that other nodes read, has one norm. */
#include "runtime/train/emit.h"
#include <string.h>

enum { MOST_STEPS = 8 };

/* Axes of `w` that are kept apart; the norm goes over the others. */
typedef struct kept {
    bool axis[SDX_MAX_RANK];
} kept;

static bool named(const sdx_node *node, const char *const *names) {
    for (; *names; names++)
        if (strcmp(node->op_type, *names) == 0) return true;
    return false;
}

static int64_t attribute(const sdx_node *node, const char *name) {
    const sdx_attr *attr = sdx_node_attr(node, name);
    return attr ? attr->i : 0;
}

/* What `node` makes of its input k, of this rank. */
static bool kept_by(const sdx_node *node, int k, int rank, kept *out) {
    static const char *const recurrent[] = {"LSTM", "GRU", "RNN", NULL};
    int axis = -1;
    if (strcmp(node->op_type, "Conv") == 0 && k == 1) axis = 0;
    if (strcmp(node->op_type, "ConvTranspose") == 0 && k == 1) axis = 1;
    if (strcmp(node->op_type, "Gemm") == 0 && k == 1) axis = attribute(node, "transB") ? 0 : 1;
    if (strcmp(node->op_type, "Gemm") == 0 && k == 0) axis = attribute(node, "transA") ? 1 : 0;
    if (strcmp(node->op_type, "Gather") == 0 && k == 0) axis = 0;
    if (strcmp(node->op_type, "MatMul") == 0) axis = k == 1 ? rank - 1 : rank - 2;
    if (named(node, recurrent) && (k == 1 || k == 2)) out->axis[0] = true, axis = 1;
    if (axis < 0 || axis >= rank) return false;
    out->axis[axis] = true;
    if (strcmp(node->op_type, "MatMul") == 0)
        for (int d = 0; d < rank - 2; d++) out->axis[d] = true;
    return true;
}

/* The axes of `x` before a Transpose, from those behind it. */
static void through_transpose(const sdx_node *node, int rank, kept *axes) {
    const sdx_attr *perm = sdx_node_attr(node, "perm");
    kept before = {{false}};
    for (int d = 0; d < rank; d++) {
        const int64_t from = perm && (size_t)d < perm->n ? perm->ints[d] : rank - 1 - d;
        if (from >= 0 && from < rank && axes->axis[d]) before.axis[from] = true;
    }
    *axes = before;
}

/* Follows views of `id` to the first node that is a layer. */
static bool find_layer(const sdx_graph *graph, sdx_id id, int rank, kept *out) {
    static const char *const views[] = {"Identity", "Cast", "CastLike", "Transpose", NULL};
    const sdx_node *transposed[MOST_STEPS];
    int n_transposed = 0;
    for (int step = 0; step < MOST_STEPS; step++) {
        const sdx_node *view = NULL;
        for (int i = 0; i < graph->n_nodes; i++) {
            const sdx_node *node = graph->nodes[i];
            for (int k = 0; k < node->n_in; k++) {
                if (node->in[k] != id) continue;
                if (kept_by(node, k, rank, out)) {
                    while (n_transposed) through_transpose(transposed[--n_transposed], rank, out);
                    return true;
                }
                if (!view && k == 0 && named(node, views)) view = node;
            }
        }
        if (!view) return false;
        if (strcmp(view->op_type, "Transpose") == 0) transposed[n_transposed++] = view;
        id = view->out[0];
    }
    return false;
}

static sdx_id norms_of(sdx_patch *patch, const sdx_graph *training, sdx_id variable, int rank, sdx_id w) {
    kept axes = {{false}};
    int64_t over[SDX_MAX_RANK];
    int n = 0;
    if (rank > 1) find_layer(training, variable, rank, &axes);
    for (int d = 0; d < rank; d++)
        if (!axes.axis[d]) over[n++] = d;
    const sdx_id squares = sdx_emit2(patch, "Mul", w, w);
    if (n == 0) return sdx_emit1(patch, "Sqrt", squares);
    return sdx_emit1(patch, "Sqrt", sdx_emit_sum_along(patch, squares, over, n, true));
}

static sdx_id clamp(sdx_patch *patch, sdx_id x, sdx_dtype dtype, double low, double high) {
    const sdx_id in[3] = {x, sdx_patch_scalar(patch, dtype, low), sdx_patch_scalar(patch, dtype, high)};
    return sdx_patch_node(patch, "", "Clip", 3, in, 1)->out[0];
}

/* w wanted / (1e-7 + norm) */
static sdx_id scaled(sdx_patch *patch, sdx_dtype dtype, sdx_id w, sdx_id wanted, sdx_id norms) {
    const sdx_id below = sdx_emit2(patch, "Add", norms, sdx_patch_scalar(patch, dtype, 1e-7));
    if (wanted == SDX_NONE) return sdx_emit2(patch, "Div", w, below);
    return sdx_emit2(patch, "Mul", w, sdx_emit2(patch, "Div", wanted, below));
}

sdx_status sdx_constraint_emit(sdx_patch *patch, const sdx_constraint_options *c, const sdx_graph *training,
                               const sdx_variable *variable, sdx_id *w) {
    const sdx_tensor *shape = &variable->value->tensor;
    const sdx_dtype stored = shape->dtype, dtype = stored == SDX_F64 ? SDX_F64 : SDX_F32;
    const double low = sdx_given(c->min, 0), high = sdx_given(c->max, c->kind == SDX_CONSTRAINT_MIN_MAX_NORM ? 1 : 2);
    const double rate = sdx_given(c->rate, 1);
    if (!(low >= 0) || !(high >= low) || !(rate >= 0 && rate <= 1))
        return sdx_fail(patch->error, SDX_VALUE,
                        "constraint: min is %g, max is %g and rate is %g; they must be 0 <= min <= max, 0 <= rate <= 1",
                        low, high, rate);
    const sdx_id x = sdx_emit_cast(patch, *w, stored, dtype);
    sdx_id y = SDX_NONE;
    if (c->kind == SDX_CONSTRAINT_NON_NEG) {
        y = sdx_emit1(patch, "Relu", x);
    } else {
        const sdx_id norms = norms_of(patch, training, variable->id, shape->rank, x);
        sdx_id wanted = SDX_NONE;
        if (c->kind == SDX_CONSTRAINT_MAX_NORM) wanted = clamp(patch, norms, dtype, 0, high);
        if (c->kind == SDX_CONSTRAINT_MIN_MAX_NORM) {
            const sdx_id part = sdx_patch_scalar(patch, dtype, rate), rest = sdx_patch_scalar(patch, dtype, 1 - rate);
            wanted = sdx_emit2(patch, "Add", sdx_emit2(patch, "Mul", part, clamp(patch, norms, dtype, low, high)),
                               sdx_emit2(patch, "Mul", rest, norms));
        }
        y = scaled(patch, dtype, x, wanted, norms);
    }
    *w = sdx_emit_cast(patch, y, dtype, stored);
    return patch->status;
}
