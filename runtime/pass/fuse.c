/* SPDX-License-Identifier: Apache-2.0
 * PackedConv and PackedMatMul take over what follows them alone: Add of a bias per column or of a value of the same
 * shape, then Relu or Clip to constants. They apply both while they store, so the values in between are never written.
 */
#include "ops/op.h"
#include "runtime/base/half.h"
#include "runtime/graph/patch.h"
#include "runtime/pass/pass.h"
#include <math.h>
#include <string.h>

typedef struct fuser {
    sdx_graph *graph;
    sdx_patch patch;
    int32_t *uses;
    int32_t *reader; /* of each value: the last node that reads it, -1 */
    bool *taken;     /* nodes that have joined another */
} fuser;

/* What one packed node has taken over. */
typedef struct chain {
    const sdx_node *node;
    bool conv;
    sdx_id bias, sum, end; /* end: the value that the fused node makes */
    bool clamp;
    float low, high;
} chain;

static bool is(const sdx_node *node, const char *domain, const char *op_type) {
    return strcmp(node->domain, domain) == 0 && strcmp(node->op_type, op_type) == 0;
}

static bool same_shape(const sdx_type *a, const sdx_type *b) {
    if (a->rank < 0 || a->rank != b->rank || a->dtype != b->dtype) return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dim[d] != b->dim[d] || a->dim[d] == -1) return false;
    return true;
}

/* A bound of Clip: absent, or a constant scalar. */
static bool bound_of(const fuser *f, const sdx_node *node, int k, float *out) {
    if (k >= node->n_in || node->in[k] == SDX_NONE) return true;
    const sdx_tensor *tensor = sdx_graph_tensor(f->graph, node->in[k]);
    if (!tensor || tensor->count != 1) return false;
    if (tensor->dtype == SDX_F32)
        *out = *(const float *)tensor->data;
    else if (tensor->dtype == SDX_F16)
        *out = sdx_f32_from_f16(*(const uint16_t *)tensor->data);
    else if (tensor->dtype == SDX_BF16)
        *out = sdx_f32_from_bf16(*(const uint16_t *)tensor->data);
    else
        return false;
    return !isnan(*out);
}

static bool take_activation(const fuser *f, chain *c, const sdx_node *next) {
    const sdx_dtype dtype = f->graph->values[c->end].type.dtype;
    if (c->clamp || (dtype != SDX_F32 && dtype != SDX_F16 && dtype != SDX_BF16)) return false;
    c->low = -INFINITY, c->high = INFINITY;
    if (is(next, "", "Relu"))
        c->low = 0;
    else if (!is(next, "", "Clip") || next->since < 11 || !bound_of(f, next, 1, &c->low) ||
             !bound_of(f, next, 2, &c->high))
        return false;
    return c->clamp = true;
}

static bool is_row(const sdx_type *type, const sdx_type *y) {
    return type->rank >= 1 && type->rank <= 2 && y->rank >= type->rank && type->dtype == y->dtype &&
           type->dim[type->rank - 1] == y->dim[y->rank - 1] && (type->rank == 1 || type->dim[0] == 1);
}

static bool unit_scale(const sdx_node *node) {
    const sdx_attr *alpha = sdx_node_attr(node, "alpha"), *beta = sdx_node_attr(node, "beta");
    return (!alpha || alpha->f == 1.0f) && (!beta || beta->f == 1.0f);
}

static bool take_add(const fuser *f, chain *c, const sdx_node *next) {
    if (!is(next, "", "Add") || next->since < 7 || c->clamp || c->sum != SDX_NONE || next->in[0] == next->in[1])
        return false;
    const sdx_id other = next->in[0] == c->end ? next->in[1] : next->in[0];
    const sdx_type *y = &f->graph->values[c->end].type, *type = &f->graph->values[other].type;
    const sdx_type *bias = c->bias == SDX_NONE ? NULL : &f->graph->values[c->bias].type;
    if (y->rank < 0 || y->dim[y->rank - 1] < 1) return false;
    if (!c->conv && c->bias == SDX_NONE && unit_scale(c->node) && y->dim[y->rank - 1] > 1 && is_row(type, y) &&
        sdx_graph_tensor(f->graph, other)) {
        c->bias = other;
        return true;
    }
    if (!c->conv && (!unit_scale(c->node) || (bias && (!is_row(bias, y) || y->dim[y->rank - 1] == 1)))) return false;
    if (!same_shape(type, y)) return false;
    c->sum = other;
    return true;
}

/* The one node that reads `id`, or NULL. */
static const sdx_node *only_reader(const fuser *f, sdx_id id) {
    if (f->uses[id] != 1 || f->reader[id] < 0 || f->taken[f->reader[id]]) return NULL;
    return f->graph->nodes[f->reader[id]];
}

static void fuse_from(fuser *f, const sdx_node *node) {
    chain c = {.node = node, .conv = is(node, "sdx", "PackedConv"), .end = node->out[0], .sum = SDX_NONE};
    c.bias = node->n_in > 2 ? node->in[2] : SDX_NONE;
    for (const sdx_node *next = only_reader(f, c.end); next; next = only_reader(f, c.end)) {
        if (!take_add(f, &c, next) && !take_activation(f, &c, next)) break;
        f->taken[f->reader[c.end]] = true;
        sdx_patch_remove(&f->patch, next);
        c.end = next->out[0];
    }
    if (c.end == node->out[0]) return;
    f->patch.origin = node;
    const sdx_id in[] = {node->in[0], node->in[1], c.bias, c.sum};
    static const char *const except[] = {"clamp", "low", "high"};
    sdx_node *by = sdx_patch_node(&f->patch, "sdx", node->op_type, 4, in, 1);
    sdx_patch_attrs_of(&f->patch, by, node, except, 3);
    sdx_patch_int(&f->patch, by, "clamp", c.clamp);
    if (c.clamp) {
        sdx_patch_float(&f->patch, by, "low", c.low);
        sdx_patch_float(&f->patch, by, "high", c.high);
    }
    sdx_patch_replace(&f->patch, c.end, by->out[0]);
    sdx_patch_remove(&f->patch, node);
}

static void note_readers(fuser *f) {
    for (int id = 0; id < f->graph->n_values; id++) f->reader[id] = -1;
    for (int k = 0; k < f->graph->n_nodes; k++)
        for (int i = 0; i < f->graph->nodes[k]->n_in; i++)
            if (f->graph->nodes[k]->in[i] != SDX_NONE) f->reader[f->graph->nodes[k]->in[i]] = k;
}

static sdx_status fuse_graph(sdx_graph *graph, sdx_error *error);

static sdx_status fuse_nodes(fuser *f, sdx_error *error) {
    const int nodes = f->graph->n_nodes;
    sdx_graph_count_uses(f->graph, f->uses);
    note_readers(f);
    sdx_patch_begin(&f->patch, f->graph, error);
    for (int k = 0; k < nodes && f->patch.status == SDX_OK; k++) {
        const sdx_node *node = f->graph->nodes[k];
        if (strcmp(node->domain, "sdx") == 0 && node->n_in < 4 &&
            (is(node, "sdx", "PackedConv") || is(node, "sdx", "PackedMatMul")))
            fuse_from(f, node);
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(fuse_graph(node->bodies[b], error));
    }
    return sdx_patch_commit(&f->patch);
}

static sdx_status fuse_graph(sdx_graph *graph, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    fuser f = {.graph = graph};
    f.uses = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values, error);
    f.reader = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values, error);
    f.taken = SDX_NEW_ARRAY(&scratch, bool, graph->n_nodes, error);
    sdx_status status = f.uses && f.reader && f.taken ? fuse_nodes(&f, error) : SDX_OUT_OF_MEMORY;
    sdx_arena_release(&scratch);
    return status;
}

sdx_status sdx_pass_fuse(sdx_model *model, sdx_error *error) { return fuse_graph(model->graph, error); }
