/* SPDX-License-Identifier: Apache-2.0
 * Types of values, node by node. At load the results are written to the graph; for a plan they live in arrays beside
 * it, because a loaded graph is shared between threads. Inference proves shapes: a declared one may contradict it but
 * adds nothing to it, since files lie (only kind and element type are taken over where inference knows none). */
#include "runtime/load/internal.h"
#include <string.h>

/* One graph under inference. */
typedef struct scope {
    const sdx_graph *graph;
    sdx_type *types;            /* of its values; NULL: graph->values[] have them */
    bool record;                /* write to graph->values[] */
    const sdx_tensor **known;   /* beside types: contents that cannot change, captured ones too */
    const struct scope *parent; /* of the enclosing graph; NULL when its values have the types */
    int threads;
    int64_t *budget; /* nodes that may still be inferred: bodies of nested loops multiply */
} scope;

static const sdx_type *type_of(const scope *s, sdx_id id) {
    return s->types ? &s->types[id] : &s->graph->values[id].type;
}

static const sdx_type *outer_type(const scope *s, sdx_id outer) {
    return s->parent ? type_of(s->parent, outer) : &s->graph->parent->values[outer].type;
}

/* The value's contents where they cannot change: constants that no caller may override, here or in outer graphs. */
static const sdx_tensor *known_tensor(const sdx_graph *graph, sdx_id id) {
    const sdx_graph_value *value = &graph->values[id];
    if (value->is_input || !value->constant || value->constant->kind != SDX_TENSOR) return NULL;
    return &value->constant->tensor;
}

static const sdx_tensor *known_in(const scope *s, sdx_id id) {
    return s->known ? s->known[id] : known_tensor(s->graph, id);
}

/* ---- bodies ---- */

static sdx_status run_nodes(scope *s, sdx_arena *arena, sdx_error *error);

static sdx_status set_body_input(scope *s, int k, const sdx_type *given, sdx_error *error) {
    const sdx_graph_value *value = &s->graph->values[s->graph->inputs[k]];
    char name[96], have[128], want[128];
    if (!sdx_load_merge_types(&value->type, given, false, &s->types[s->graph->inputs[k]]))
        return sdx_fail(error, SDX_TYPE, "input '%s' of body '%s' is declared %s; it receives %s",
                        sdx_escape(name, sizeof name, value->name, strlen(value->name)), s->graph->name,
                        sdx_type_text(&value->type, want, sizeof want), sdx_type_text(given, have, sizeof have));
    if (given->kind == SDX_TENSOR) s->types[s->graph->inputs[k]].rank = given->rank;
    if (given->kind == SDX_TENSOR) memcpy(s->types[s->graph->inputs[k]].dim, given->dim, sizeof given->dim);
    return SDX_OK;
}

static sdx_status record_types(const scope *s, sdx_error *error) {
    for (int id = 0; id < s->graph->n_values; id++)
        SDX_TRY(sdx_type_copy(s->graph->arena, &s->types[id], error, &s->graph->values[id].type));
    return SDX_OK;
}

static sdx_status infer_body_graph(scope *s, int n_in, const sdx_type *in, sdx_type *out, sdx_arena *arena,
                                   sdx_error *error) {
    const sdx_graph *body = s->graph;
    if (n_in != body->n_inputs)
        return sdx_fail(error, SDX_MALFORMED, "body '%s' has %d inputs; this node gives it %d", body->name,
                        body->n_inputs, n_in);
    s->types = SDX_NEW_ARRAY(arena, sdx_type, body->n_values, error);
    s->known = SDX_NEW_ARRAY(arena, const sdx_tensor *, body->n_values, error);
    if (!s->types || !s->known) return SDX_OUT_OF_MEMORY;
    for (int id = 0; id < body->n_values; id++) {
        s->types[id] = body->values[id].type;
        s->known[id] = known_tensor(body, id);
    }
    for (int k = 0; k < body->n_captures; k++) {
        sdx_id outer = body->captures[k].outer, inner = body->captures[k].inner;
        s->types[inner] = *outer_type(s, outer);
        s->known[inner] = s->parent ? known_in(s->parent, outer) : known_tensor(body->parent, outer);
    }
    for (int k = 0; k < n_in; k++) SDX_TRY(set_body_input(s, k, &in[k], error));
    SDX_TRY(run_nodes(s, arena, error));
    for (int k = 0; k < body->n_outputs; k++) out[k] = s->types[body->outputs[k]];
    return s->record ? record_types(s, error) : SDX_OK;
}

static sdx_status infer_body(sdx_infer *infer, int body, int n_in, const sdx_type *in, sdx_type *out) {
    const scope *outer = infer->context;
    scope s = *outer;
    s.graph = infer->node->bodies[body];
    s.types = NULL;
    s.known = NULL;
    s.parent = outer->types ? outer : NULL;
    return infer_body_graph(&s, n_in, in, out, infer->arena, infer->error);
}

/* ---- one node ---- */

static const void *none_of(sdx_arena *arena, int n, size_t size, sdx_error *error) {
    return sdx_arena_alloc_array(arena, (size_t)n, size, error);
}

static const bool *all_wanted(const sdx_node *node, sdx_arena *arena, sdx_error *error) {
    bool *wanted = SDX_NEW_ARRAY(arena, bool, node->n_out, error);
    for (int k = 0; wanted && k < node->n_out; k++) wanted[k] = node->out[k] != SDX_NONE;
    return wanted;
}

static sdx_status infer_outputs(const scope *s, const sdx_node *node, const sdx_type *const *in,
                                const sdx_tensor *const *value, const bool *wanted, sdx_arena *arena, sdx_error *error,
                                sdx_type *out) {
    const sdx_row *row = node->row;
    if (!row) SDX_TRY(sdx_row_parse(node->version, arena, error, &row));
    SDX_TRY(sdx_load_unify(row, node->n_in, in, node->n_out, out, arena, error));
    if (!value) value = none_of(arena, node->n_in, sizeof *value, error);
    if (!wanted) wanted = all_wanted(node, arena, error);
    if (!value || !wanted) return SDX_OUT_OF_MEMORY;
    scope here = *s;
    sdx_infer infer = {.error = error,
                       .node = node,
                       .since = node->since,
                       .threads = s->threads,
                       .n_in = node->n_in,
                       .n_out = node->n_out,
                       .in = in,
                       .value = value,
                       .out = out,
                       .wanted = wanted,
                       .arena = arena,
                       .infer_body = infer_body,
                       .context = &here};
    SDX_TRY(node->op->infer(&infer, node->params));
    return sdx_load_check_outputs(row, node->n_out, out, error);
}

static sdx_status infer_one(const scope *s, const sdx_node *node, const sdx_type *const *in,
                            const sdx_tensor *const *value, const bool *wanted, sdx_arena *arena, sdx_error *error,
                            sdx_type *out) {
    sdx_status status = SDX_OK;
    if (--*s->budget < 0)
        status = sdx_fail(error, SDX_LIMIT, "nested bodies need too many steps of shape inference");
    else
        status = infer_outputs(s, node, in, value, wanted, arena, error, out);
    return status == SDX_OK ? status : sdx_load_at_node(s->graph, node, status, error);
}

sdx_status sdx_infer_node(const sdx_graph *graph, const sdx_node *node, const sdx_type *const *in,
                          const sdx_tensor *const *value, const bool *wanted, int threads, sdx_arena *arena,
                          sdx_error *error, sdx_type *out) {
    int64_t budget = 1000000;
    scope s = {.graph = graph, .threads = threads, .budget = &budget};
    return infer_one(&s, node, in, value, wanted, arena, error, out);
}

/* ---- whole graphs ---- */

static sdx_status contradiction(const sdx_graph *graph, const sdx_node *node, const sdx_graph_value *value,
                                const sdx_type *inferred, sdx_error *error) {
    char name[96], have[160], want[160];
    bool shape = value->type.kind == inferred->kind && value->type.dtype == inferred->dtype;
    sdx_status status =
        sdx_fail(error, shape ? SDX_SHAPE : SDX_TYPE, "output '%s' is declared %s; it is %s",
                 sdx_escape(name, sizeof name, value->name, strlen(value->name)),
                 sdx_type_text(&value->type, want, sizeof want), sdx_type_text(inferred, have, sizeof have));
    return sdx_load_at_node(graph, node, status, error);
}

/* Takes the inferred type of one output over. Dims are held against the declaration in the main graph only: bodies run
 * with other shapes in every trip, and files declare the first one's. */
static sdx_status store(const scope *s, const sdx_node *node, int k, const sdx_type *inferred, sdx_error *error) {
    sdx_id id = node->out[k];
    const sdx_graph_value *value = &s->graph->values[id];
    sdx_type merged;
    bool main_graph = !s->graph->parent;
    if (!sdx_load_merge_types(&value->type, inferred, main_graph, &merged))
        return contradiction(s->graph, node, value, inferred, error);
    if (merged.kind == SDX_TENSOR) {
        merged.rank = inferred->kind ? inferred->rank : -1;
        memcpy(merged.dim, inferred->dim, sizeof merged.dim);
    }
    if (s->types) {
        s->types[id] = merged;
        return SDX_OK;
    }
    return sdx_type_copy(s->graph->arena, &merged, error, &s->graph->values[id].type);
}

static sdx_status infer_and_store(const scope *s, const sdx_node *node, sdx_arena *arena, sdx_error *error) {
    const sdx_type **in = SDX_NEW_ARRAY(arena, const sdx_type *, node->n_in, error);
    const sdx_tensor **value = SDX_NEW_ARRAY(arena, const sdx_tensor *, node->n_in, error);
    sdx_type *out = SDX_NEW_ARRAY(arena, sdx_type, node->n_out, error);
    if (!in || !value || !out) return SDX_OUT_OF_MEMORY;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] == SDX_NONE) continue;
        in[k] = type_of(s, node->in[k]);
        value[k] = known_in(s, node->in[k]);
    }
    SDX_TRY(infer_one(s, node, in, value, NULL, arena, error, out));
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) SDX_TRY(store(s, node, k, &out[k], error));
    return SDX_OK;
}

/* The main graph's nodes need their scratch only for themselves; a body's types live in the arena until it is done. */
static sdx_status run_nodes(scope *s, sdx_arena *arena, sdx_error *error) {
    for (int k = 0; k < s->graph->n_nodes; k++) {
        SDX_TRY(infer_and_store(s, s->graph->nodes[k], arena, error));
        if (!s->types) sdx_arena_reset(arena);
    }
    return SDX_OK;
}

static int64_t count_nodes(const sdx_graph *graph) {
    int64_t n = graph->n_nodes;
    for (int k = 0; k < graph->n_nodes; k++)
        for (int b = 0; b < graph->nodes[k]->n_bodies; b++) n += count_nodes(graph->nodes[k]->bodies[b]);
    return n;
}

sdx_status sdx_infer_graph(sdx_graph *graph, sdx_error *error) {
    int64_t budget = 200000 + 16 * count_nodes(graph);
    scope s = {.graph = graph, .record = true, .threads = 1, .budget = &budget};
    sdx_arena arena;
    sdx_arena_init(&arena, graph->arena->memory);
    sdx_status status = run_nodes(&s, &arena, error);
    sdx_arena_release(&arena);
    return status;
}

sdx_status sdx_infer_again(sdx_graph *graph, const sdx_node *node, sdx_arena *scratch, sdx_error *error) {
    int64_t budget = 1000000;
    scope s = {.graph = graph, .record = true, .threads = 1, .budget = &budget};
    return infer_and_store(&s, node, scratch, error);
}

static sdx_status bind_new(sdx_graph *graph, sdx_error *error) {
    for (int k = 0; k < graph->n_nodes; k++) {
        sdx_node *node = graph->nodes[k];
        if (!node->row) SDX_TRY(sdx_bind_node(graph, node, error));
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(bind_new(node->bodies[b], error));
    }
    return SDX_OK;
}

static sdx_status settle(sdx_graph *graph, sdx_arena *scratch, sdx_error *error);

/* A new node's bodies are inferred with it; in those of others there may be new ones. */
static sdx_status settle_one(sdx_graph *graph, sdx_node *node, sdx_arena *scratch, sdx_error *error) {
    if (node->row) {
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(settle(node->bodies[b], scratch, error));
        return SDX_OK;
    }
    SDX_TRY(sdx_bind_node(graph, node, error));
    for (int b = 0; b < node->n_bodies; b++) SDX_TRY(bind_new(node->bodies[b], error));
    sdx_status status = sdx_infer_again(graph, node, scratch, error);
    sdx_arena_reset(scratch);
    return status;
}

static sdx_status settle(sdx_graph *graph, sdx_arena *scratch, sdx_error *error) {
    for (int k = 0; k < graph->n_nodes; k++) SDX_TRY(settle_one(graph, graph->nodes[k], scratch, error));
    return SDX_OK;
}

sdx_status sdx_settle_node(sdx_graph *graph, sdx_node *node, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    sdx_status status = settle_one(graph, node, &scratch, error);
    sdx_arena_release(&scratch);
    return status;
}

sdx_status sdx_settle_graph(sdx_graph *graph, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    sdx_status status = settle(graph, &scratch, error);
    sdx_arena_release(&scratch);
    return status;
}
