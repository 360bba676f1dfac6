/* SPDX-License-Identifier: Apache-2.0
 * x (1 + erf(x / sqrt 2)) / 2, as exporters write it out, becomes Gelu, whatever the order of the factors. What others
 * read of it stays. Training takes it too: the gradient of Gelu keeps x alone, that of its parts five values. */
#include "ops/op.h"
#include "runtime/graph/patch.h"
#include "runtime/pass/pass.h"
#include <math.h>
#include <string.h>

typedef struct finder {
    sdx_graph *graph;
    sdx_patch patch;
    int32_t *uses, *last; /* of each value: how many read it; the last node that does, -1 */
} finder;

static const double half = .5, root = 0x1.6a09e667f3bcdp+0;

static const sdx_node *producer(const finder *f, sdx_id id) { return sdx_graph_producer(f->graph, id); }

static const sdx_node *only_reader(const finder *f, sdx_id id) {
    return f->uses[id] == 1 && f->last[id] >= 0 ? f->graph->nodes[f->last[id]] : NULL;
}

/* A constant of one element that is `want` as exactly as its type, or f32, can say it, and widens no `like`. */
static bool is_number(const finder *f, sdx_id id, double want, sdx_id like) {
    const sdx_type *type = &f->graph->values[id].type, *x = &f->graph->values[like].type;
    double have = 0;
    if (!sdx_pass_number(f->graph, id, &have) || (type->rank > 0 && type->rank > x->rank)) return false;
    const double slack = type->dtype == SDX_F16 ? 0x1p-11 : type->dtype == SDX_BF16 ? 0x1p-8 : 0x1p-23;
    return fabs(have - want) <= slack * want;
}

/* The operand of a product with `by`, or of a quotient by 1 / by; SDX_NONE when the node is neither. */
static sdx_id scaled(const finder *f, const sdx_node *node, double by) {
    if (!node || node->since < 7) return SDX_NONE;
    if (sdx_node_is(node, "Div")) return is_number(f, node->in[1], 1 / by, node->in[0]) ? node->in[0] : SDX_NONE;
    if (!sdx_node_is(node, "Mul")) return SDX_NONE;
    if (is_number(f, node->in[1], by, node->in[0])) return node->in[0];
    return is_number(f, node->in[0], by, node->in[1]) ? node->in[1] : SDX_NONE;
}

static bool is_one_more(const finder *f, const sdx_node *node, sdx_id than) {
    if (!sdx_node_is(node, "Add") || node->since < 7) return false;
    return is_number(f, node->in[node->in[0] == than], 1, than);
}

/* The other factor of a product with `of`; SDX_NONE when the node is none. */
static sdx_id factor(const sdx_node *node, sdx_id of) {
    return sdx_node_is(node, "Mul") && node->since >= 7 ? node->in[node->in[0] == of] : SDX_NONE;
}

/* The value that is Gelu of x, whose error function is read by `sum`. */
static sdx_id find_end(const finder *f, sdx_id x, const sdx_node *sum) {
    const sdx_id one_more = sum->out[0];
    const sdx_node *next = only_reader(f, one_more);
    const sdx_id by = factor(next, one_more);
    if (by != SDX_NONE && by != x && scaled(f, producer(f, by), half) == x) return next->out[0];
    const sdx_node *last = next ? only_reader(f, next->out[0]) : NULL;
    const bool x_first = by == x && scaled(f, last, half) == next->out[0];
    const bool half_first = scaled(f, next, half) == one_more && factor(last, next->out[0]) == x;
    return x_first || half_first ? last->out[0] : SDX_NONE;
}

static void join_from(finder *f, const sdx_node *erf) {
    const sdx_id x = scaled(f, producer(f, erf->in[0]), 1 / root);
    const sdx_node *sum = only_reader(f, erf->out[0]);
    if (x == SDX_NONE || !is_one_more(f, sum, erf->out[0])) return;
    const sdx_dtype dtype = f->graph->values[x].type.dtype;
    const sdx_id end = find_end(f, x, sum);
    if (end == SDX_NONE || sdx_dtype_class(dtype) != SDX_CLASS_FLOAT) return;
    f->patch.origin = erf;
    sdx_patch_replace(&f->patch, end, sdx_emit1(&f->patch, "Gelu", x));
}

static void note_readers(finder *f) {
    sdx_graph_count_uses(f->graph, f->uses);
    for (int id = 0; id < f->graph->n_values; id++) f->last[id] = -1;
    for (int k = 0; k < f->graph->n_nodes; k++)
        for (int i = 0; i < f->graph->nodes[k]->n_in; i++)
            if (f->graph->nodes[k]->in[i] != SDX_NONE) f->last[f->graph->nodes[k]->in[i]] = k;
}

static sdx_status join_graph(sdx_graph *graph, sdx_error *error);

static sdx_status join_nodes(finder *f, sdx_error *error) {
    const int nodes = f->graph->n_nodes;
    note_readers(f);
    sdx_patch_begin(&f->patch, f->graph, error);
    for (int k = 0; k < nodes && f->patch.status == SDX_OK; k++) {
        const sdx_node *node = f->graph->nodes[k];
        if (sdx_node_is(node, "Erf")) join_from(f, node);
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(join_graph(node->bodies[b], error));
    }
    return sdx_patch_commit(&f->patch);
}

static sdx_status join_graph(sdx_graph *graph, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    finder f = {.graph = graph};
    f.uses = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values, error);
    f.last = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values, error);
    sdx_status status = f.uses && f.last ? join_nodes(&f, error) : SDX_OUT_OF_MEMORY;
    sdx_arena_release(&scratch);
    return status;
}

sdx_status sdx_pass_gelu(sdx_model *model, sdx_error *error) { return join_graph(model->graph, error); }
