/* SPDX-License-Identifier: Apache-2.0
 * The gradient of Attention, as nodes. With P the probabilities and S the scores before the softmax:
 *   dV = P^T dY;  dP = dY V^T;  dS = P (dP - sum(dP P));  past the cap dS (1 - (S / cap)^2);
 *   dQ = scale dS K;  dK = scale dS^T Q.
 * P and the capped scores come from Attention itself, computed again; heads of K and V that several heads of Q share
 * are repeated before and summed after. */
#include "ops/grad.h"
#include "ops/nn/attention.h"
#include <math.h>

typedef struct gradient {
    sdx_grad *grad;
    sdx_patch *patch;
    const sdx_attention_params *params;
    int rank; /* of Q */
    int64_t heads, kv_heads, group;
    sdx_dtype t1, t2;
    double scale;
} gradient;

static const sdx_type *type_of(const gradient *g, int input) {
    return &g->patch->graph->values[g->grad->node->in[input]].type;
}

static bool given(const gradient *g, int input) {
    return input < g->grad->node->n_in && g->grad->node->in[input] != SDX_NONE;
}

static sdx_id transpose(const gradient *g, sdx_id x, const int64_t *perm) {
    sdx_node *node = sdx_patch_node(g->patch, "", "Transpose", 1, &x, 1);
    sdx_patch_ints(g->patch, node, "perm", perm, 4);
    return node->out[0];
}
static sdx_id turn_rows(const gradient *g, sdx_id x) { return transpose(g, x, (const int64_t[]){0, 1, 3, 2}); }
static sdx_id swap_heads(const gradient *g, sdx_id x) { return transpose(g, x, (const int64_t[]){0, 2, 1, 3}); }

/* [batch, length, heads * size] as [batch, heads, length, size], and back. */
static sdx_id part_heads(const gradient *g, sdx_id x, int64_t heads) {
    if (g->rank == 4) return x;
    const int64_t shape[4] = {0, 0, heads, -1};
    return swap_heads(g, sdx_emit2(g->patch, "Reshape", x, sdx_patch_i64s(g->patch, shape, 4)));
}
static sdx_id join_heads(const gradient *g, sdx_id x) {
    if (g->rank == 4) return x;
    const int64_t shape[3] = {0, 0, -1};
    return sdx_emit2(g->patch, "Reshape", swap_heads(g, x), sdx_patch_i64s(g->patch, shape, 3));
}

/* Head kv_first + n * step for n in [0, count), along axis 1; each `times` times. */
static sdx_id gather_heads(const gradient *g, sdx_id x, int64_t count, int64_t times, int64_t first, int64_t step) {
    sdx_node *node = NULL;
    sdx_tensor indices;
    const int64_t n = count * times;
    int64_t *list = SDX_NEW_ARRAY(g->patch->graph->arena, int64_t, n, g->patch->error);
    if (!list || sdx_tensor_make(&indices, SDX_I64, 1, &n, list, g->patch->error)) {
        g->patch->status = g->patch->error->status;
        return SDX_NONE;
    }
    for (int64_t k = 0; k < n; k++) list[k] = first + k / times * step;
    node = sdx_patch_node(g->patch, "", "Gather", 2, (sdx_id[]){x, sdx_patch_tensor(g->patch, &indices)}, 1);
    sdx_patch_int(g->patch, node, "axis", 1);
    return node->out[0];
}
static sdx_id repeat_heads(const gradient *g, sdx_id x) {
    return g->group == 1 ? x : gather_heads(g, x, g->kv_heads, g->group, 0, 1);
}
static sdx_id sum_heads(const gradient *g, sdx_id x) {
    if (g->group == 1) return x;
    sdx_id sum = gather_heads(g, x, g->kv_heads, 1, 0, g->group);
    for (int64_t k = 1; k < g->group; k++)
        sum = sdx_emit2(g->patch, "Add", sum, gather_heads(g, x, g->kv_heads, 1, k, g->group));
    return sum;
}

static sdx_id times(const gradient *g, sdx_id x, double factor) {
    return sdx_emit2(g->patch, "Mul", x, sdx_patch_scalar(g->patch, g->t1, factor));
}

/* The node once more, with the scores in another state as its fourth output. */
static const sdx_node *again(const gradient *g, sdx_attend_scores mode) {
    static const char *const heads[] = {"qk_matmul_output_mode", "q_num_heads", "kv_num_heads"};
    const sdx_node *node = g->grad->node;
    sdx_node *copy = sdx_patch_node(g->patch, "", "Attention", node->n_in, node->in, 4);
    sdx_patch_attrs_of(g->patch, copy, node, heads, g->rank == 4 ? 3 : 1);
    sdx_patch_int(g->patch, copy, "qk_matmul_output_mode", mode);
    return copy;
}

/* Elements [from, to) of an axis; SDX_NONE: from the first, to the last. */
static sdx_id slice(const gradient *g, sdx_id x, sdx_id from, sdx_id to, int64_t axis) {
    const int64_t zero = 0, end = INT64_MAX;
    sdx_id in[4] = {x, from, to, sdx_patch_i64s(g->patch, &axis, 1)};
    if (from == SDX_NONE) in[1] = sdx_patch_i64s(g->patch, &zero, 1);
    if (to == SDX_NONE) in[2] = sdx_patch_i64s(g->patch, &end, 1);
    return sdx_patch_node(g->patch, "", "Slice", 4, in, 1)->out[0];
}

/* One dimension of an input, as a vector of one entry. */
static sdx_id extent(const gradient *g, int input, int64_t axis) {
    sdx_node *node = sdx_patch_node(g->patch, "", "Shape", 1, &g->grad->node->in[input], 1);
    sdx_patch_int(g->patch, node, "start", axis);
    if (axis != -1) sdx_patch_int(g->patch, node, "end", axis + 1);
    return node->out[0];
}

/* The gradient of past and new keys (or values) together goes to the two inputs. */
static void hand_out(const gradient *g, sdx_id whole, int new, int past) {
    sdx_grad *grad = g->grad;
    if (whole == SDX_NONE) return;
    sdx_id fresh = whole;
    if (given(g, past)) {
        sdx_id length = extent(g, past, 2);
        if (grad->needed[past]) grad->dX[past] = slice(g, whole, SDX_NONE, length, 2);
        fresh = slice(g, whole, length, SDX_NONE, 2);
    }
    if (grad->needed[new]) grad->dX[new] = join_heads(g, fresh);
}

static sdx_id add(const gradient *g, sdx_id a, sdx_id b) {
    if (a == SDX_NONE || b == SDX_NONE) return a == SDX_NONE ? b : a;
    return sdx_emit2(g->patch, "Add", a, b);
}

/* dS, behind the cap and the mask. */
static sdx_id score_gradient(const gradient *g, sdx_id p, sdx_id dY, sdx_id values) {
    const int64_t last = -1;
    sdx_id weighed = sdx_emit2(g->patch, "Mul", p, sdx_emit2(g->patch, "MatMul", dY, turn_rows(g, values)));
    sdx_id in[2] = {weighed, sdx_patch_i64s(g->patch, &last, 1)};
    sdx_id sum = sdx_patch_node(g->patch, "", "ReduceSum", 2, in, 1)->out[0];
    return sdx_emit2(g->patch, "Sub", weighed, sdx_emit2(g->patch, "Mul", p, sum));
}

static sdx_status emit(gradient *g) {
    sdx_grad *grad = g->grad;
    sdx_patch *patch = g->patch;
    const int outputs = grad->node->n_out;
    sdx_id dK = outputs > 1 ? grad->dY[1] : SDX_NONE, dV = outputs > 2 ? grad->dY[2] : SDX_NONE;
    if (grad->dY[0] != SDX_NONE) {
        const sdx_node *shown = again(g, SDX_SCORES_SOFTMAX);
        const sdx_id p = shown->out[3], dY = part_heads(g, grad->dY[0], g->heads);
        const sdx_id keys = repeat_heads(g, shown->out[1]);
        const sdx_id values = sdx_emit_cast(g->patch, repeat_heads(g, shown->out[2]), g->t2, g->t1);
        sdx_id dS = score_gradient(g, p, dY, values);
        dV = add(g, dV,
                 sdx_emit_cast(g->patch, sum_heads(g, sdx_emit2(patch, "MatMul", turn_rows(g, p), dY)), g->t1, g->t2));
        if (given(g, MASK) && grad->needed[MASK])
            grad->dX[MASK] =
                sdx_emit_cast(g->patch, slice(g, dS, SDX_NONE, extent(g, MASK, -1), 3), g->t1, type_of(g, MASK)->dtype);
        if (g->params->softcap > 0) {
            sdx_id ratio = times(g, again(g, SDX_SCORES_CAPPED)->out[3], 1 / g->params->softcap);
            sdx_id bend = sdx_emit2(patch, "Mul", dS, sdx_emit2(patch, "Mul", ratio, ratio));
            dS = sdx_emit2(patch, "Sub", dS, bend);
        }
        dS = times(g, dS, g->scale);
        sdx_id q = part_heads(g, grad->node->in[Q], g->heads);
        if (grad->needed[Q]) grad->dX[Q] = join_heads(g, sdx_emit2(patch, "MatMul", dS, keys));
        dK = add(g, dK, sum_heads(g, sdx_emit2(patch, "MatMul", turn_rows(g, dS), q)));
    }
    hand_out(g, dK, K, PAST_KEY);
    hand_out(g, dV, V, PAST_VALUE);
    return patch->status;
}

sdx_status sdx_attention_grad(sdx_grad *grad, const void *params) {
    gradient g = {.grad = grad, .patch = grad->patch, .params = params};
    const sdx_type *q = type_of(&g, Q), *k = type_of(&g, K);
    g.rank = q->rank, g.t1 = q->dtype, g.t2 = type_of(&g, V)->dtype;
    if (grad->node->n_out > 3 && grad->dY[3] != SDX_NONE)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "a gradient flows from output 'qk_matmul_output'; it has none");
    g.heads = g.rank == 3 ? g.params->q_heads : g.rank == 4 ? q->dim[1] : -1;
    g.kv_heads = g.rank == 3 ? g.params->kv_heads : k->rank == 4 ? k->dim[1] : -1;
    int64_t size = g.rank < 0 ? -1 : q->dim[g.rank - 1];
    if (g.heads <= 0 || g.kv_heads <= 0 || (size < 0 && !g.params->has_scale))
        return sdx_fail(grad->error, SDX_UNSUPPORTED,
                        "heads and head size of 'Q' and 'K' must be known to differentiate");
    if (g.rank == 3) size /= g.heads;
    g.group = g.heads / g.kv_heads;
    g.scale = g.params->has_scale ? g.params->scale : 1 / sqrt((double)size);
    return emit(&g);
}
