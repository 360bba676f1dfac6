/* SPDX-License-Identifier: Apache-2.0
 * Building graphs. Arrays double inside the arena; what they leave behind is at most as much again. */
#include "runtime/graph/graph.h"
#include "runtime/base/names.h"
#include <stdio.h>
#include <string.h>

struct capture_slot {
    sdx_id outer, inner; /* inner SDX_NONE: free */
};

struct row_entry {
    const struct sdx_op_version *version;
    const struct sdx_row *row;
};

struct sdx_graph_index {
    uint64_t key[2];
    struct capture_slot *captures;
    int captures_capacity;
    sdx_names symbols;
    struct row_entry *rows;
    int n_rows;
};

sdx_graph *sdx_graph_main(const sdx_graph *graph) {
    while (graph->parent) graph = graph->parent;
    return (sdx_graph *)(uintptr_t)graph;
}

int sdx_graph_depth(const sdx_graph *graph) {
    int depth = 0;
    for (; graph->parent; graph = graph->parent) depth++;
    return depth;
}

sdx_graph *sdx_graph_create(sdx_arena *arena, const char *name, sdx_graph *parent, sdx_error *error) {
    if (parent && sdx_graph_depth(parent) >= SDX_MAX_BODY_DEPTH)
        return sdx_fail(error, SDX_UNSUPPORTED, "subgraphs are nested more than %d deep", SDX_MAX_BODY_DEPTH), NULL;
    sdx_graph *graph = SDX_NEW(arena, sdx_graph, error);
    if (!graph) return NULL;
    graph->arena = arena;
    graph->parent = parent;
    graph->name = sdx_arena_copy(arena, name ? name : "", name ? strlen(name) : 0, error);
    graph->doc = "";
    graph->index = SDX_NEW(arena, struct sdx_graph_index, error);
    if (!graph->name || !graph->index) return NULL;
    sdx_hash_key(graph->index->key);
    sdx_names_init(&graph->index->symbols, arena);
    return graph;
}

/* ---- release ---- */

static void release_attr(const sdx_attr *attr) {
    if (attr->type == SDX_ATTR_TENSOR || attr->type == SDX_ATTR_SPARSE_TENSOR) sdx_value_release(attr->value);
    if (attr->type == SDX_ATTR_TENSORS || attr->type == SDX_ATTR_SPARSE_TENSORS)
        for (size_t k = 0; k < attr->n; k++) sdx_value_release(attr->values[k]);
}

void sdx_node_release(sdx_node *node) {
    for (int k = 0; k < node->n_attrs; k++) release_attr(&node->attrs[k]);
    for (int k = 0; k < node->n_bodies; k++)
        if (--node->bodies[k]->references == 0) sdx_graph_release(node->bodies[k]);
    node->n_attrs = node->n_bodies = 0;
}

void sdx_graph_release(sdx_graph *graph) {
    if (!graph) return;
    for (int k = 0; k < graph->n_nodes; k++) sdx_node_release(graph->nodes[k]);
    for (int k = 0; k < graph->n_values; k++) {
        sdx_value_release(graph->values[k].constant);
        graph->values[k].constant = NULL;
    }
    graph->n_nodes = 0;
}

/* ---- values ---- */

/* Room for one more of n entries: grows at 0 and at powers of two, so that no capacity need be stored. */
static sdx_status grow(sdx_arena *arena, void *array, int n, size_t size, sdx_error *error) {
    if (n >= INT32_MAX / 2) return sdx_fail(error, SDX_LIMIT, "more than %d entries in a graph", n);
    if (n & (n - 1)) return SDX_OK;
    void *old = NULL;
    memcpy(&old, array, sizeof old);
    void *next = sdx_arena_alloc_array(arena, n ? (size_t)n * 2 : 1, size, error);
    if (!next) return SDX_OUT_OF_MEMORY;
    if (n) memcpy(next, old, (size_t)n * size);
    memcpy(array, &next, sizeof next);
    return SDX_OK;
}

sdx_status sdx_type_copy(sdx_arena *arena, const sdx_type *from, sdx_error *error, sdx_type *to) {
    *to = *from;
    while (to->elem) {
        sdx_type *elem = SDX_NEW(arena, sdx_type, error);
        if (!elem) return SDX_OUT_OF_MEMORY;
        *elem = *to->elem;
        to->elem = elem;
        to = elem;
    }
    return SDX_OK;
}

static const char fresh_prefix[] = "sdx_v";

void sdx_graph_reserve_name(sdx_graph *graph, const char *name) {
    size_t length = sizeof fresh_prefix - 1;
    if (strncmp(name, fresh_prefix, length) != 0) return;
    int number = 0;
    const char *digit = name + length;
    for (; *digit >= '0' && *digit <= '9' && number < 100000000; digit++) number = number * 10 + (*digit - '0');
    sdx_graph *top = sdx_graph_main(graph);
    if (!*digit && number >= top->fresh) top->fresh = number + 1;
}

static char *value_name(sdx_graph *graph, const char *name, sdx_error *error) {
    char text[32];
    if (!name) snprintf(text, sizeof text, "%s%d", fresh_prefix, sdx_graph_main(graph)->fresh++);
    const char *chosen = name ? name : text;
    return sdx_arena_copy(graph->arena, chosen, strlen(chosen), error);
}

sdx_id sdx_graph_add_value(sdx_graph *graph, const char *name, const sdx_type *type, sdx_error *error) {
    sdx_graph_value value = {.producer = -1, .type = {.rank = -1}};
    value.name = value_name(graph, name, error);
    if (!value.name || grow(graph->arena, &graph->values, graph->n_values, sizeof value, error)) return SDX_NONE;
    if (type && sdx_type_copy(graph->arena, type, error, &value.type)) return SDX_NONE;
    graph->values[graph->n_values] = value;
    return graph->n_values++;
}

sdx_status sdx_graph_forget_name(sdx_graph *graph, sdx_id id, sdx_error *error) {
    const char *name = value_name(graph, NULL, error);
    if (!name) return SDX_OUT_OF_MEMORY;
    graph->values[id].name = name;
    return SDX_OK;
}

static sdx_status add_id(sdx_graph *graph, sdx_id **ids, int *n, sdx_id id, sdx_error *error) {
    SDX_TRY(grow(graph->arena, ids, *n, sizeof(sdx_id), error));
    (*ids)[(*n)++] = id;
    return SDX_OK;
}

sdx_status sdx_graph_add_input(sdx_graph *graph, sdx_id id, sdx_error *error) {
    SDX_TRY(add_id(graph, &graph->inputs, &graph->n_inputs, id, error));
    graph->values[id].is_input = true;
    return SDX_OK;
}

void sdx_graph_drop_input(sdx_graph *graph, sdx_id id) {
    int kept = 0;
    for (int k = 0; k < graph->n_inputs; k++)
        if (graph->inputs[k] != id) graph->inputs[kept++] = graph->inputs[k];
    graph->n_inputs = kept;
    graph->values[id].is_input = false;
}

sdx_status sdx_graph_add_output(sdx_graph *graph, sdx_id id, sdx_error *error) {
    return add_id(graph, &graph->outputs, &graph->n_outputs, id, error);
}

void sdx_graph_set_constant(sdx_graph *graph, sdx_id id, sdx_value *constant) {
    sdx_graph_value *value = &graph->values[id];
    sdx_value *before = value->constant;
    value->constant = constant ? sdx_value_retain(constant) : NULL;
    sdx_value_release(before);
    sdx_type type = {.rank = -1};
    if (constant && sdx_value_type(constant, graph->arena, &type, NULL) == SDX_OK) value->type = type;
}

void sdx_graph_clear_outputs(sdx_graph *graph) { graph->n_outputs = 0; }

void sdx_graph_clear_inputs(sdx_graph *graph) {
    for (int k = 0; k < graph->n_inputs; k++) graph->values[graph->inputs[k]].is_input = false;
    graph->n_inputs = 0;
}

sdx_status sdx_graph_make_input(sdx_graph *graph, sdx_id id, sdx_error *error) {
    if (!graph->values[id].is_input) SDX_TRY(sdx_graph_add_input(graph, id, error));
    sdx_graph_set_constant(graph, id, NULL);
    return SDX_OK;
}

/* ---- captures ---- */

static struct capture_slot *capture_slot(const struct sdx_graph_index *index, sdx_id outer) {
    unsigned mask = (unsigned)index->captures_capacity - 1;
    for (unsigned i = (unsigned)sdx_hash_bytes(index->key, &outer, sizeof outer) & mask;; i = (i + 1) & mask)
        if (index->captures[i].inner == SDX_NONE || index->captures[i].outer == outer) return &index->captures[i];
}

static sdx_status index_captures(sdx_graph *body, int capacity, sdx_error *error) {
    struct sdx_graph_index *index = body->index;
    struct capture_slot *slots = SDX_NEW_ARRAY(body->arena, struct capture_slot, capacity, error);
    if (!slots) return SDX_OUT_OF_MEMORY;
    for (int k = 0; k < capacity; k++) slots[k].inner = SDX_NONE;
    index->captures = slots;
    index->captures_capacity = capacity;
    for (int k = 0; k < body->n_captures; k++)
        *capture_slot(index, body->captures[k].outer) =
            (struct capture_slot){body->captures[k].outer, body->captures[k].inner};
    return SDX_OK;
}

sdx_id sdx_graph_capture(sdx_graph *body, sdx_id outer, sdx_error *error) {
    int need = 16;
    while (need < 2 * (body->n_captures + 1)) need *= 2;
    if (body->index->captures_capacity < need && index_captures(body, need, error)) return SDX_NONE;
    struct capture_slot *slot = capture_slot(body->index, outer);
    if (slot->inner != SDX_NONE) return slot->inner;
    const sdx_graph_value *from = &body->parent->values[outer];
    sdx_id inner = sdx_graph_add_value(body, from->name, &from->type, error);
    if (inner == SDX_NONE || grow(body->arena, &body->captures, body->n_captures, sizeof(sdx_capture), error))
        return SDX_NONE;
    body->captures[body->n_captures++] = (sdx_capture){outer, inner};
    *slot = (struct capture_slot){outer, inner};
    return inner;
}

sdx_status sdx_graph_add_capture(sdx_graph *body, sdx_id outer, sdx_id inner, sdx_error *error) {
    SDX_TRY(grow(body->arena, &body->captures, body->n_captures, sizeof(sdx_capture), error));
    body->captures[body->n_captures++] = (sdx_capture){outer, inner};
    body->index->captures_capacity = 0; /* found again at the next capture */
    return SDX_OK;
}

void sdx_graph_remap_captures(sdx_graph *body, const sdx_id *replaced, int n_replaced) {
    for (int k = 0; k < body->n_captures; k++) {
        sdx_id *outer = &body->captures[k].outer;
        if (*outer < n_replaced && replaced[*outer] != SDX_NONE) *outer = replaced[*outer];
    }
    body->index->captures_capacity = 0; /* found again at the next capture */
}

void sdx_graph_drop_captures(sdx_graph *body, const int32_t *uses) {
    int kept = 0;
    for (int k = 0; k < body->n_captures; k++)
        if (uses[body->captures[k].inner]) body->captures[kept++] = body->captures[k];
    body->n_captures = kept;
    body->index->captures_capacity = 0;
}

/* ---- nodes ---- */

static sdx_id *copy_ids(sdx_graph *graph, int *n, const sdx_id *ids, bool cut, sdx_error *error) {
    while (cut && *n > 0 && ids[*n - 1] == SDX_NONE) (*n)--;
    sdx_id *copy = SDX_NEW_ARRAY(graph->arena, sdx_id, *n, error);
    if (copy && *n) memcpy(copy, ids, (size_t)*n * sizeof *ids);
    return copy;
}

sdx_node *sdx_graph_add_node(sdx_graph *graph, const char *domain, const char *op_type, const char *name, int n_in,
                             const sdx_id *in, int n_out, const sdx_id *out, sdx_error *error) {
    sdx_node *node = SDX_NEW(graph->arena, sdx_node, error);
    if (!node || grow(graph->arena, &graph->nodes, graph->n_nodes, sizeof node, error)) return NULL;
    node->name = sdx_arena_copy(graph->arena, name ? name : "", name ? strlen(name) : 0, error);
    node->domain = sdx_arena_copy(graph->arena, domain, strlen(domain), error);
    node->op_type = sdx_arena_copy(graph->arena, op_type, strlen(op_type), error);
    node->in = copy_ids(graph, &n_in, in, true, error);
    node->out = copy_ids(graph, &n_out, out, true, error);
    node->doc = "";
    if (!node->name || !node->domain || !node->op_type || !node->in || !node->out) return NULL;
    node->n_in = n_in;
    node->n_out = n_out;
    for (int k = 0; k < n_out; k++)
        if (out[k] != SDX_NONE) graph->values[out[k]].producer = graph->n_nodes;
    graph->nodes[graph->n_nodes++] = node;
    return node;
}

const sdx_attr *sdx_node_attr(const sdx_node *node, const char *name) {
    for (int k = 0; k < node->n_attrs; k++)
        if (strcmp(node->attrs[k].name, name) == 0) return &node->attrs[k];
    return NULL;
}

int64_t sdx_node_int(const sdx_node *node, const char *name, int64_t otherwise) {
    const sdx_attr *attr = sdx_node_attr(node, name);
    return attr ? attr->i : otherwise;
}

bool sdx_node_is(const sdx_node *node, const char *op_type) {
    return node && *node->domain == '\0' && strcmp(node->op_type, op_type) == 0;
}

const sdx_node *sdx_graph_producer(const sdx_graph *graph, sdx_id id) {
    const int32_t producer = id == SDX_NONE ? -1 : graph->values[id].producer;
    return producer < 0 ? NULL : graph->nodes[producer];
}

const sdx_tensor *sdx_graph_tensor(const sdx_graph *graph, sdx_id id) {
    if (id == SDX_NONE) return NULL;
    const sdx_graph_value *value = &graph->values[id];
    return value->constant && !value->is_input && value->constant->kind == SDX_TENSOR ? &value->constant->tensor : NULL;
}

static sdx_status copy_strings(sdx_arena *arena, const sdx_string *from, size_t n, sdx_error *error,
                               const sdx_string **out) {
    sdx_string *copy = SDX_NEW_ARRAY(arena, sdx_string, n, error);
    if (!copy) return SDX_OUT_OF_MEMORY;
    for (size_t k = 0; k < n; k++) {
        copy[k] = (sdx_string){sdx_arena_copy(arena, from[k].data, from[k].size, error), from[k].size};
        if (!copy[k].data) return SDX_OUT_OF_MEMORY;
    }
    *out = copy;
    return SDX_OK;
}

static sdx_status copy_types(sdx_arena *arena, const sdx_type *from, size_t n, sdx_error *error, const sdx_type **out) {
    sdx_type *copy = SDX_NEW_ARRAY(arena, sdx_type, n, error);
    if (!copy) return SDX_OUT_OF_MEMORY;
    for (size_t k = 0; k < n; k++) SDX_TRY(sdx_type_copy(arena, &from[k], error, &copy[k]));
    *out = copy;
    return SDX_OK;
}

static const void *copy_array(sdx_arena *arena, const void *from, size_t n, size_t size, sdx_error *error) {
    void *copy = sdx_arena_alloc_array(arena, n, size, error);
    if (copy && n) memcpy(copy, from, n * size);
    return copy;
}

static sdx_status copy_attr(sdx_arena *arena, const sdx_attr *from, sdx_error *error, sdx_attr *to) {
    *to = *from;
    to->name = sdx_arena_copy(arena, from->name, strlen(from->name), error);
    if (!to->name) return SDX_OUT_OF_MEMORY;
    switch (from->type) {
    case SDX_ATTR_FLOAT:
    case SDX_ATTR_INT:
    case SDX_ATTR_TENSOR:
    case SDX_ATTR_SPARSE_TENSOR:
    case SDX_ATTR_GRAPH: return SDX_OK;
    case SDX_ATTR_STRING:
        to->s.data = sdx_arena_copy(arena, from->s.data, from->s.size, error);
        return to->s.data ? SDX_OK : SDX_OUT_OF_MEMORY;
    case SDX_ATTR_FLOATS: to->floats = copy_array(arena, from->floats, from->n, sizeof *from->floats, error); break;
    case SDX_ATTR_INTS: to->ints = copy_array(arena, from->ints, from->n, sizeof *from->ints, error); break;
    case SDX_ATTR_TENSORS:
    case SDX_ATTR_SPARSE_TENSORS:
        to->values = copy_array(arena, from->values, from->n, sizeof *from->values, error);
        break;
    case SDX_ATTR_GRAPHS: to->graphs = copy_array(arena, from->graphs, from->n, sizeof *from->graphs, error); break;
    case SDX_ATTR_STRINGS: return copy_strings(arena, from->strings, from->n, error, &to->strings);
    case SDX_ATTR_TYPE: return copy_types(arena, from->type_proto, 1, error, &to->type_proto);
    case SDX_ATTR_TYPES: return copy_types(arena, from->types, from->n, error, &to->types);
    }
    return to->ints ? SDX_OK : SDX_OUT_OF_MEMORY; /* any of the pointers of the union */
}

/* Room first, then the attribute: after a failure nothing is half there. */
static sdx_status add_bodies(sdx_graph *graph, sdx_node *node, sdx_graph *const *bodies, size_t n, sdx_error *error) {
    for (size_t k = 0; k < n; k++) {
        SDX_TRY(grow(graph->arena, &node->bodies, node->n_bodies, sizeof(sdx_graph *), error));
        node->bodies[node->n_bodies++] = bodies[k];
        bodies[k]->references++;
    }
    return SDX_OK;
}

static void retain_attr(const sdx_attr *attr) {
    if (attr->type == SDX_ATTR_TENSOR || attr->type == SDX_ATTR_SPARSE_TENSOR) sdx_value_retain(attr->value);
    if (attr->type == SDX_ATTR_TENSORS || attr->type == SDX_ATTR_SPARSE_TENSORS)
        for (size_t k = 0; k < attr->n; k++) sdx_value_retain(attr->values[k]);
}

sdx_status sdx_node_set_attr(sdx_graph *graph, sdx_node *node, const sdx_attr *attr, sdx_error *error) {
    sdx_attr copy;
    sdx_attr *old = (sdx_attr *)(uintptr_t)sdx_node_attr(node, attr->name);
    SDX_TRY(copy_attr(graph->arena, attr, error, &copy));
    if (!old) SDX_TRY(grow(graph->arena, &node->attrs, node->n_attrs, sizeof copy, error));
    if (attr->type == SDX_ATTR_GRAPH) SDX_TRY(add_bodies(graph, node, &attr->graph, 1, error));
    if (attr->type == SDX_ATTR_GRAPHS) SDX_TRY(add_bodies(graph, node, attr->graphs, attr->n, error));
    retain_attr(&copy);
    if (old) {
        release_attr(old);
        *old = copy;
    } else {
        node->attrs[node->n_attrs++] = copy;
    }
    return SDX_OK;
}

void sdx_node_set_input(sdx_graph *graph, const sdx_node *node, int k, sdx_id id) {
    (void)graph;
    node->in[k] = id;
}

sdx_id sdx_node_move_output(sdx_graph *graph, const sdx_node *node, int k, sdx_error *error) {
    sdx_id old = node->out[k], fresh = sdx_graph_add_value(graph, NULL, &graph->values[old].type, error);
    if (fresh == SDX_NONE) return SDX_NONE;
    graph->values[fresh].producer = graph->values[old].producer;
    graph->values[old].producer = -1;
    node->out[k] = fresh;
    return fresh;
}

/* ---- symbols and rows of the main graph ---- */

int64_t sdx_graph_symbol(sdx_graph *graph, const char *name, sdx_error *error) {
    graph = sdx_graph_main(graph);
    int32_t k = sdx_names_get(&graph->index->symbols, name, -1);
    if (k >= 0) return -2 - (int64_t)k;
    char *copy = sdx_arena_copy(graph->arena, name, strlen(name), error);
    if (!copy || grow(graph->arena, &graph->symbols, graph->n_symbols, sizeof copy, error) ||
        sdx_names_put(&graph->index->symbols, copy, graph->n_symbols, error))
        return -1;
    graph->symbols[graph->n_symbols++] = copy;
    return -1 - (int64_t)graph->n_symbols;
}

const struct sdx_row *sdx_graph_get_row(const sdx_graph *graph, const struct sdx_op_version *version) {
    const struct sdx_graph_index *index = sdx_graph_main(graph)->index;
    for (int k = 0; k < index->n_rows; k++)
        if (index->rows[k].version == version) return index->rows[k].row;
    return NULL;
}

sdx_status sdx_graph_put_row(sdx_graph *graph, const struct sdx_op_version *version, const struct sdx_row *row,
                             sdx_error *error) {
    graph = sdx_graph_main(graph);
    struct sdx_graph_index *index = graph->index;
    SDX_TRY(grow(graph->arena, &index->rows, index->n_rows, sizeof *index->rows, error));
    index->rows[index->n_rows++] = (struct row_entry){version, row};
    return SDX_OK;
}
