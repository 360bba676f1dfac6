/* SPDX-License-Identifier: Apache-2.0
 * Attention that a model writes out becomes one FusedAttention: MatMul, factors of one element, tanh cap, mask by Add
 * or Where, Softmax along the last axis, MatMul, with the Transposes around them and what keeps masked rows from NaN.
 * Scores and probabilities must have no other reader; what was in front of Q, K and V may. */
#include "ops/op.h"
#include "runtime/graph/patch.h"
#include "runtime/pass/pass.h"
#include "runtime/pass/shape_entry.h"
#include <math.h>
#include <string.h>

enum { Q, K, V, Y, OPERANDS, MOST_SCALES = 6, MOST_STEPS = 16, MOST_BRANCHES = 4 };
enum { EMPTY_NAN = 1, EMPTY_ZERO = 0, EMPTY_ZERO_OR_NAN = 2 }; /* the attribute `empty` */

typedef struct finder {
    sdx_graph *graph;
    sdx_patch patch;
    int32_t *uses, *first, *last; /* of each value: how many read it; the first and last node that do, -1 */
} finder;

typedef struct match {
    const sdx_node *scores, *product; /* the two products */
    sdx_id in[OPERANDS - 1], end;     /* Q, K, V as they lie; the value that goes */
    int64_t perm[OPERANDS][SDX_MAX_RANK];
    int rank[OPERANDS]; /* entries of perm; 0: none */
    sdx_id mask, second, fill, scale[MOST_SCALES];
    int64_t divide[MOST_SCALES];
    int scales, empty;
    bool hides;
    float softcap;
} match;

static const sdx_type *type_of(const finder *f, sdx_id id) { return &f->graph->values[id].type; }

static const sdx_node *producer(const finder *f, sdx_id id) { return sdx_graph_producer(f->graph, id); }

static const sdx_node *only_reader(const finder *f, sdx_id id) {
    return f->uses[id] == 1 && f->last[id] >= 0 ? f->graph->nodes[f->last[id]] : NULL;
}

static bool is_float(const sdx_type *type) {
    return type->kind == SDX_TENSOR &&
           (type->dtype == SDX_F32 || type->dtype == SDX_F16 || type->dtype == SDX_BF16 || type->dtype == SDX_F64);
}

/* One element, and no more dimensions than a matrix. */
static bool is_scalar(const finder *f, sdx_id id) {
    const sdx_type *type = type_of(f, id);
    if (!is_float(type) || type->rank < 0 || type->rank > 2) return false;
    for (int d = 0; d < type->rank; d++)
        if (type->dim[d] != 1) return false;
    return true;
}

/* A Cast between floats that f32 holds. */
static bool is_cast(const finder *f, const sdx_node *node) {
    if (!sdx_node_is(node, "Cast")) return false;
    const sdx_type *from = type_of(f, node->in[0]), *to = type_of(f, node->out[0]);
    return is_float(from) && is_float(to) && from->dtype != SDX_F64 && to->dtype != SDX_F64;
}

/* The operand of a Mul or Div by one element that is not the element, SDX_NONE when it is no such node. */
static sdx_id scaled(const finder *f, const sdx_node *node, sdx_id *by) {
    if (!node || node->since < 7 || !(sdx_node_is(node, "Mul") || sdx_node_is(node, "Div"))) return SDX_NONE;
    const bool second = is_scalar(f, node->in[1]);
    if (!second && (sdx_node_is(node, "Div") || !is_scalar(f, node->in[0]))) return SDX_NONE;
    *by = node->in[second];
    return node->in[!second];
}

static bool take_scale(const finder *f, match *m, sdx_id *id) {
    const sdx_node *node = producer(f, *id);
    sdx_id by = SDX_NONE, of = scaled(f, node, &by);
    if (of == SDX_NONE || m->scales == MOST_SCALES) return false;
    m->divide[m->scales] = sdx_node_is(node, "Div");
    m->scale[m->scales++] = by;
    *id = of;
    return true;
}

/* A constant of one element, through casts of it. */
static bool number_of(const finder *f, sdx_id id, double *out) {
    for (int k = 0; k < 4 && (sdx_node_is(producer(f, id), "Cast") || sdx_node_is(producer(f, id), "CastLike")); k++)
        id = producer(f, id)->in[0];
    return sdx_pass_number(f->graph, id, out);
}

/* ---- from Softmax up to the first product ----------------------------------------------------------------------- */

/* Whether values that nobody else reads lead from `id` up to a MatMul. */
static bool leads_to_product(const finder *f, sdx_id id, int branches) {
    for (int k = 0; k < MOST_STEPS; k++) {
        const sdx_node *node = producer(f, id);
        sdx_id by = SDX_NONE, of = SDX_NONE;
        if (!node || f->uses[id] != 1) return false;
        if (sdx_node_is(node, "MatMul")) return true;
        if (sdx_node_is(node, "Tanh") || is_cast(f, node))
            of = node->in[0];
        else if (sdx_node_is(node, "Where"))
            of = node->in[is_scalar(f, node->in[1]) ? 2 : 1];
        else if (sdx_node_is(node, "Add") && branches > 0)
            of = node->in[!leads_to_product(f, node->in[0], branches - 1)];
        else
            of = scaled(f, node, &by);
        if (of == SDX_NONE) return false;
        id = of;
    }
    return false;
}

static bool take_add(const finder *f, match *m, const sdx_node *node, sdx_id *id) {
    if (!sdx_node_is(node, "Add") || node->since < 7 || m->fill != SDX_NONE || m->second != SDX_NONE) return false;
    const bool second = !leads_to_product(f, node->in[0], MOST_BRANCHES);
    const sdx_id mask = node->in[!second];
    if (!is_float(type_of(f, mask)) || node->in[0] == node->in[1]) return false;
    if (m->mask != SDX_NONE && type_of(f, m->mask)->dtype != type_of(f, mask)->dtype) return false;
    *(m->mask == SDX_NONE ? &m->mask : &m->second) = mask;
    *id = node->in[second];
    return true;
}

static bool take_where(const finder *f, match *m, const sdx_node *node, sdx_id *id) {
    if (!sdx_node_is(node, "Where") || m->mask != SDX_NONE) return false;
    m->hides = is_scalar(f, node->in[1]);
    if (!m->hides && !is_scalar(f, node->in[2])) return false;
    m->mask = node->in[0];
    m->fill = node->in[m->hides ? 1 : 2];
    *id = node->in[m->hides ? 2 : 1];
    return true;
}

/* c tanh(x / c) */
static bool take_cap(const finder *f, match *m, sdx_id *id) {
    sdx_id outside = SDX_NONE, inside = SDX_NONE;
    const sdx_id bent = scaled(f, producer(f, *id), &outside);
    const sdx_node *tanh = bent == SDX_NONE ? NULL : producer(f, bent);
    if (!sdx_node_is(tanh, "Tanh") || f->uses[bent] != 1 || !sdx_node_is(producer(f, *id), "Mul")) return false;
    const sdx_node *node = producer(f, tanh->in[0]);
    const sdx_id of = scaled(f, node, &inside);
    double cap = 0, by = 0;
    if (of == SDX_NONE || f->uses[tanh->in[0]] != 1 || !number_of(f, outside, &cap) || !number_of(f, inside, &by))
        return false;
    const bool fits = sdx_node_is(node, "Div") ? by == cap : by * cap == 1;
    if (!fits || !(cap > 0) || (double)(float)cap != cap) return false;
    m->softcap = (float)cap;
    *id = of;
    return true;
}

static bool find_scores(const finder *f, match *m, sdx_id id) {
    bool masks = true, cap = true;
    for (int k = 0; k < MOST_STEPS; k++) {
        const sdx_node *node = producer(f, id);
        if (!node || f->uses[id] != 1) return false;
        if (sdx_node_is(node, "MatMul")) {
            m->scores = node;
            return true;
        }
        if (is_cast(f, node)) {
            id = node->in[0];
            continue;
        }
        if (masks && (take_add(f, m, node, &id) || take_where(f, m, node, &id))) continue;
        masks = false;
        if (cap && take_cap(f, m, &id)) {
            cap = false;
            continue;
        }
        cap = false;
        if (!take_scale(f, m, &id)) return false;
    }
    return false;
}

/* ---- from Softmax down to the second product -------------------------------------------------------------------- */

static bool is_lowest(const sdx_tensor *tensor, int64_t k) {
    if (tensor->dtype == SDX_F32) return ((const float *)tensor->data)[k] == -INFINITY;
    if (tensor->dtype == SDX_F64) return ((const double *)tensor->data)[k] == -(double)INFINITY;
    return ((const uint16_t *)tensor->data)[k] == (tensor->dtype == SDX_F16 ? 0xfc00 : 0xff80);
}

/* A folded guard: true exactly for the rows of a constant mask that are -inf throughout. */
static bool guards_constant(const sdx_tensor *rows, const sdx_tensor *mask) {
    if (!rows || !mask || rows->dtype != SDX_BOOL || rows->rank != mask->rank || mask->rank < 1) return false;
    const int64_t keys = mask->dim[mask->rank - 1];
    for (int d = 0; d < mask->rank; d++)
        if (rows->dim[d] != (d == mask->rank - 1 ? 1 : mask->dim[d])) return false;
    for (int64_t r = 0; r < rows->count; r++) {
        bool all = true;
        for (int64_t k = 0; k < keys; k++) all = all && is_lowest(mask, r * keys + k);
        if (((const bool *)rows->data)[r] != all) return false;
    }
    return true;
}

/* ReduceMax(mask, last axis) == -inf */
static bool guards_rows(const finder *f, const match *m, sdx_id condition) {
    if (m->mask == SDX_NONE || m->second != SDX_NONE || m->fill != SDX_NONE) return false;
    if (guards_constant(sdx_graph_tensor(f->graph, condition), sdx_graph_tensor(f->graph, m->mask))) return true;
    const sdx_node *equal = producer(f, condition);
    if (!sdx_node_is(equal, "Equal")) return false;
    for (int k = 0; k < 2; k++) {
        const sdx_node *most = producer(f, equal->in[k]);
        const sdx_attr *keep = most ? sdx_node_attr(most, "keepdims") : NULL;
        double lowest = 0;
        sdx_shape_entry axis;
        if (sdx_node_is(most, "ReduceMax") && most->n_in == 2 && most->in[0] == m->mask && (!keep || keep->i == 1) &&
            number_of(f, equal->in[!k], &lowest) && lowest == -(double)INFINITY && most->in[1] != SDX_NONE &&
            type_of(f, most->in[1])->rank == 1 && type_of(f, most->in[1])->dim[0] == 1 &&
            sdx_shape_entry_of(f->graph, most->in[1], 0, &axis) && axis.of == SDX_NONE &&
            (axis.n == -1 || axis.n == type_of(f, m->mask)->rank - 1))
            return true;
    }
    return false;
}

/* Where(IsNaN(P), 0, P) of a value with those two readers. */
static const sdx_node *nan_guard(const finder *f, sdx_id id) {
    double zero = 1;
    if (f->uses[id] != 2 || f->first[id] < 0 || f->first[id] == f->last[id]) return NULL;
    const sdx_node *test = f->graph->nodes[f->first[id]], *where = f->graph->nodes[f->last[id]];
    const bool fits = sdx_node_is(test, "IsNaN") && sdx_node_is(where, "Where") &&
                      only_reader(f, test->out[0]) == where && where->in[0] == test->out[0] && where->in[2] == id &&
                      number_of(f, where->in[1], &zero);
    return fits && zero == 0 && is_scalar(f, where->in[1]) ? where : NULL;
}

static bool find_product(const finder *f, match *m, sdx_id id) {
    bool guarded = false;
    m->empty = EMPTY_NAN;
    for (int k = 0; k < MOST_STEPS; k++) {
        const sdx_node *node = only_reader(f, id), *guard = guarded ? NULL : nan_guard(f, id);
        double zero = 1;
        if (guard) {
            m->empty = EMPTY_ZERO_OR_NAN;
            node = guard;
        } else if (sdx_node_is(node, "MatMul") && node->in[0] == id && node->in[1] != id) {
            m->product = node;
            return true;
        } else if (!guarded && sdx_node_is(node, "Where") && node->in[2] == id && is_scalar(f, node->in[1]) &&
                   number_of(f, node->in[1], &zero) && zero == 0 && guards_rows(f, m, node->in[0])) {
            m->empty = EMPTY_ZERO;
        } else if (!is_cast(f, node)) {
            return false;
        }
        guarded = guarded || !is_cast(f, node);
        id = node->out[0];
    }
    return false;
}

/* ---- Q, K, V, Y ------------------------------------------------------------------------------------------------- */

/* Looks through Transposes, while elements of a row stay neighbours, and through factors. */
static void look_through(const finder *f, match *m, int k, bool factors) {
    sdx_id *id = &m->in[k];
    for (int step = 0; step < MOST_STEPS; step++) {
        const sdx_node *node = producer(f, *id);
        const int rank = type_of(f, *id)->rank;
        const sdx_attr *perm = sdx_node_is(node, "Transpose") ? sdx_node_attr(node, "perm") : NULL;
        if (factors && take_scale(f, m, id)) continue;
        if (!perm || rank < 2 || perm->n != (size_t)rank) return;
        int64_t both[SDX_MAX_RANK];
        for (int d = 0; d < rank; d++) both[d] = perm->ints[m->rank[k] ? m->perm[k][d] : d];
        if (both[rank - 1] != rank - 1) return;
        memcpy(m->perm[k], both, sizeof both);
        m->rank[k] = rank;
        *id = node->in[0];
    }
}

/* K behind Reshape to three dimensions, Transpose of the last two, Reshape back. */
static sdx_id behind_reshapes(const finder *f, sdx_id id) {
    const sdx_node *back = producer(f, id), *turn = sdx_node_is(back, "Reshape") ? producer(f, back->in[0]) : NULL;
    const sdx_attr *perm = sdx_node_is(turn, "Transpose") ? sdx_node_attr(turn, "perm") : NULL;
    const sdx_node *flat = turn ? producer(f, turn->in[0]) : NULL;
    if (!perm || perm->n != 3 || perm->ints[0] != 0 || perm->ints[1] != 2 || !sdx_node_is(flat, "Reshape"))
        return SDX_NONE;
    const sdx_id x = flat->in[0];
    const int rank = type_of(f, x)->rank;
    sdx_shape_entry entry;
    if (rank < 3 || type_of(f, back->in[1])->rank != 1 || type_of(f, back->in[1])->dim[0] != rank ||
        type_of(f, flat->in[1])->rank != 1 || type_of(f, flat->in[1])->dim[0] != 3)
        return SDX_NONE;
    for (int d = 1; d < 3; d++)
        if (!sdx_shape_entry_of(f->graph, flat->in[1], d, &entry) ||
            !sdx_shape_entry_is(f->graph, &entry, x, rank - 3 + d))
            return SDX_NONE;
    for (int d = 0; d < rank; d++)
        if (!sdx_shape_entry_of(f->graph, back->in[1], d, &entry) ||
            !sdx_shape_entry_is(f->graph, &entry, x, d < rank - 2 ? d : 2 * rank - 3 - d))
            return SDX_NONE;
    return x;
}

/* K from its transpose. */
static void turn_keys(finder *f, match *m) {
    sdx_id *id = &m->in[K];
    while (take_scale(f, m, id)) {
    }
    const sdx_node *node = producer(f, *id);
    const sdx_attr *perm = sdx_node_is(node, "Transpose") ? sdx_node_attr(node, "perm") : NULL;
    const int rank = type_of(f, *id)->rank;
    const sdx_id through = behind_reshapes(f, *id);
    int64_t swap[SDX_MAX_RANK];
    for (int d = 0; d < rank; d++) swap[d] = d;
    swap[rank - 1] = rank - 2, swap[rank - 2] = rank - 1;
    if (through != SDX_NONE) {
        *id = through;
    } else if (perm && perm->n == (size_t)rank && perm->ints[rank - 2] == rank - 1) {
        for (int d = 0; d < rank; d++) m->perm[K][d] = perm->ints[swap[d]];
        m->rank[K] = rank;
        *id = node->in[0];
    } else {
        sdx_node *turn = sdx_patch_node(&f->patch, "", "Transpose", 1, id, 1);
        sdx_patch_ints(&f->patch, turn, "perm", swap, (size_t)rank);
        *id = turn->out[0];
        return;
    }
    look_through(f, m, K, true);
}

static bool shapes_fit(const finder *f, const match *m) {
    const sdx_type *y = type_of(f, m->product->out[0]);
    for (int k = Q; k <= V; k++) {
        const sdx_type *type = type_of(f, m->in[k]);
        if (!is_float(type) || type->rank < 2 || type->dtype != y->dtype) return false;
    }
    return true;
}

/* The product, or the Transpose that alone reads it. */
static void find_end(const finder *f, match *m) {
    m->end = m->product->out[0];
    const sdx_node *next = only_reader(f, m->end);
    const sdx_attr *perm = sdx_node_is(next, "Transpose") ? sdx_node_attr(next, "perm") : NULL;
    const int rank = type_of(f, m->end)->rank;
    if (!perm || rank < 2 || perm->n != (size_t)rank || perm->ints[rank - 1] != rank - 1) return;
    memcpy(m->perm[Y], perm->ints, (size_t)rank * sizeof *perm->ints);
    m->rank[Y] = rank;
    m->end = next->out[0];
}

static void emit(finder *f, match *m) {
    static const char *const names[OPERANDS] = {"perm_q", "perm_k", "perm_v", "perm_y"};
    sdx_id mask = m->mask, in[5 + MOST_SCALES] = {m->in[Q], m->in[K], m->in[V]};
    if (m->second != SDX_NONE) mask = sdx_emit2(&f->patch, "Add", m->second, m->mask);
    in[3] = mask, in[4] = m->fill;
    for (int k = 0; k < m->scales; k++) in[5 + k] = m->scale[k];
    sdx_node *by = sdx_patch_node(&f->patch, "sdx", "FusedAttention", 5 + m->scales, in, 1);
    for (int k = 0; k < OPERANDS; k++)
        if (m->rank[k]) sdx_patch_ints(&f->patch, by, names[k], m->perm[k], (size_t)m->rank[k]);
    if (m->scales) sdx_patch_ints(&f->patch, by, "divide", m->divide, (size_t)m->scales);
    sdx_patch_int(&f->patch, by, "empty", m->empty);
    if (m->hides) sdx_patch_int(&f->patch, by, "hides", 1);
    if (m->softcap > 0) sdx_patch_float(&f->patch, by, "softcap", m->softcap);
    sdx_patch_replace(&f->patch, m->end, by->out[0]);
    sdx_patch_remove(&f->patch, producer(f, m->end));
}

static void fuse_from(finder *f, const sdx_node *softmax) {
    match m = {.mask = SDX_NONE, .second = SDX_NONE, .fill = SDX_NONE};
    const sdx_attr *axis = sdx_node_attr(softmax, "axis");
    const int rank = type_of(f, softmax->in[0])->rank;
    if (softmax->since < 13 || (axis && axis->i != -1 && (rank < 0 || axis->i != rank - 1))) return;
    if (!find_scores(f, &m, softmax->in[0]) || !find_product(f, &m, softmax->out[0])) return;
    m.in[Q] = m.scores->in[0], m.in[K] = m.scores->in[1], m.in[V] = m.product->in[1];
    if (!shapes_fit(f, &m)) return;
    f->patch.origin = softmax;
    look_through(f, &m, Q, true);
    turn_keys(f, &m);
    look_through(f, &m, V, false);
    find_end(f, &m);
    emit(f, &m);
}

/* ---- the graph -------------------------------------------------------------------------------------------------- */

static void note_readers(finder *f) {
    for (int id = 0; id < f->graph->n_values; id++) f->first[id] = f->last[id] = -1;
    for (int k = 0; k < f->graph->n_nodes; k++)
        for (int i = 0; i < f->graph->nodes[k]->n_in; i++) {
            const sdx_id id = f->graph->nodes[k]->in[i];
            if (id == SDX_NONE) continue;
            if (f->first[id] < 0) f->first[id] = k;
            f->last[id] = k;
        }
}

static sdx_status attend_graph(sdx_graph *graph, sdx_error *error);

static sdx_status attend_nodes(finder *f, sdx_error *error) {
    const int nodes = f->graph->n_nodes;
    sdx_graph_count_uses(f->graph, f->uses);
    note_readers(f);
    sdx_patch_begin(&f->patch, f->graph, error);
    for (int k = 0; k < nodes && f->patch.status == SDX_OK; k++) {
        const sdx_node *node = f->graph->nodes[k];
        if (sdx_node_is(node, "Softmax")) fuse_from(f, node);
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(attend_graph(node->bodies[b], error));
    }
    return sdx_patch_commit(&f->patch);
}

static sdx_status attend_graph(sdx_graph *graph, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    finder f = {.graph = graph};
    f.uses = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values, error);
    f.first = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values, error);
    f.last = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values, error);
    sdx_status status = f.uses && f.first && f.last ? attend_nodes(&f, error) : SDX_OUT_OF_MEMORY;
    sdx_arena_release(&scratch);
    return status;
}

sdx_status sdx_pass_attend(sdx_model *model, sdx_error *error) { return attend_graph(model->graph, error); }
