/* SPDX-License-Identifier: Apache-2.0
 * Equal constants become one, then equal nodes: the same operator, attributes and inputs give the same outputs, unless
 * it draws random numbers. Constants are found by a hash of their ends and compared in full. */
#include "ops/op.h"
#include "runtime/base/names.h"
#include "runtime/pass/pass.h"
#include <string.h>

/* Hash -> chain of items; items are value ids or node indices. */
typedef struct table {
    uint64_t key[2], *hash;
    int *first, *next;
    unsigned mask;
} table;

typedef struct sharer {
    sdx_graph *graph;
    sdx_patch patch;
    sdx_id *same;    /* per value: the one that stands for it */
    bool *is_output; /* per value: it must keep a value of its own */
    table table;
} sharer;

static bool table_init(table *t, sdx_arena *arena, int n, sdx_error *error) {
    unsigned capacity = 16;
    while (capacity < (unsigned)n) capacity *= 2;
    t->mask = capacity - 1;
    t->hash = SDX_NEW_ARRAY(arena, uint64_t, n, error);
    t->next = SDX_NEW_ARRAY(arena, int, n, error);
    t->first = SDX_NEW_ARRAY(arena, int, capacity, error);
    sdx_hash_key(t->key);
    return t->hash && t->next && t->first;
}

static void table_clear(table *t) { memset(t->first, 0, (t->mask + 1) * sizeof *t->first); }

/* Items are kept as item + 1, so that 0 ends a chain. */
static void table_add(table *t, int item, uint64_t hash) {
    int *head = &t->first[hash & t->mask];
    t->hash[item] = hash;
    t->next[item] = *head;
    *head = item + 1;
}

static uint64_t mix(const table *t, uint64_t hash, const void *bytes, size_t size) {
    uint64_t both[2] = {hash, size ? sdx_hash_bytes(t->key, bytes, size) : 0};
    return sdx_hash_bytes(t->key, both, sizeof both);
}

/* ---- constants ---- */

enum { SAMPLE = 2048 };

static uint64_t hash_tensor(const table *t, const sdx_tensor *tensor) {
    size_t size = sdx_tensor_bytes(tensor), sample = size < SAMPLE ? size : SAMPLE;
    uint64_t hash = mix(t, (uint64_t)tensor->dtype, tensor->dim, (size_t)tensor->rank * sizeof(int64_t));
    hash = mix(t, hash, tensor->data, sample);
    return sample == size ? hash : mix(t, hash, (const char *)tensor->data + size - sample, sample);
}

static bool equal_tensors(const sdx_tensor *a, const sdx_tensor *b) {
    if (a->dtype != b->dtype || a->rank != b->rank) return false;
    if (a->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(int64_t)) != 0) return false;
    return a->data == b->data || a->count == 0 || memcmp(a->data, b->data, sdx_tensor_bytes(a)) == 0;
}

static const sdx_tensor *shareable(const sdx_graph *graph, sdx_id id) {
    const sdx_graph_value *value = &graph->values[id];
    if (!value->constant || value->is_input || value->constant->kind != SDX_TENSOR) return NULL;
    return value->constant->tensor.dtype == SDX_STRING ? NULL : &value->constant->tensor;
}

static void share_constants(sharer *s) {
    table_clear(&s->table);
    for (sdx_id id = 0; id < s->graph->n_values; id++) {
        const sdx_tensor *tensor = shareable(s->graph, id);
        if (!tensor) continue;
        uint64_t hash = hash_tensor(&s->table, tensor);
        int other = s->table.first[hash & s->table.mask];
        while (other && (s->table.hash[other - 1] != hash || !equal_tensors(tensor, shareable(s->graph, other - 1))))
            other = s->table.next[other - 1];
        if (!other)
            table_add(&s->table, id, hash);
        else if (!s->is_output[id]) {
            s->same[id] = other - 1;
            sdx_patch_replace(&s->patch, id, other - 1);
        }
    }
}

/* ---- nodes ---- */

static uint64_t hash_strings(const table *t, uint64_t hash, const sdx_string *strings, size_t n) {
    for (size_t k = 0; k < n; k++) hash = mix(t, hash, strings[k].data, strings[k].size);
    return hash;
}

/* Whatever equal_attrs compares, so that unequal nodes seldom meet. */
static uint64_t hash_attr(const table *t, uint64_t hash, const sdx_attr *attr) {
    hash = mix(t, hash ^ (uint64_t)attr->type, attr->name, strlen(attr->name));
    switch (attr->type) {
    case SDX_ATTR_INT: return mix(t, hash, &attr->i, sizeof attr->i);
    case SDX_ATTR_FLOAT: return mix(t, hash, &attr->f, sizeof attr->f);
    case SDX_ATTR_STRING: return hash_strings(t, hash, &attr->s, 1);
    case SDX_ATTR_INTS: return mix(t, hash, attr->ints, attr->n * sizeof *attr->ints);
    case SDX_ATTR_FLOATS: return mix(t, hash, attr->floats, attr->n * sizeof *attr->floats);
    case SDX_ATTR_STRINGS: return hash_strings(t, hash, attr->strings, attr->n);
    case SDX_ATTR_TENSOR:
    case SDX_ATTR_SPARSE_TENSOR: return mix(t, hash, &attr->value, sizeof(sdx_value *));
    case SDX_ATTR_GRAPH:
    case SDX_ATTR_TENSORS:
    case SDX_ATTR_GRAPHS:
    case SDX_ATTR_SPARSE_TENSORS:
    case SDX_ATTR_TYPE:
    case SDX_ATTR_TYPES: return mix(t, hash, &attr, sizeof attr);
    }
    return hash;
}

static bool equal_strings(const sdx_string *a, const sdx_string *b, size_t n) {
    for (size_t k = 0; k < n; k++)
        if (a[k].size != b[k].size || (a[k].size && memcmp(a[k].data, b[k].data, a[k].size) != 0)) return false;
    return true;
}

static bool equal_attrs(const sdx_attr *a, const sdx_attr *b) {
    if (a->type != b->type || a->n != b->n || strcmp(a->name, b->name) != 0) return false;
    switch (a->type) {
    case SDX_ATTR_INT: return a->i == b->i;
    case SDX_ATTR_FLOAT: return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case SDX_ATTR_STRING: return equal_strings(&a->s, &b->s, 1);
    case SDX_ATTR_INTS: return !a->n || memcmp(a->ints, b->ints, a->n * sizeof *a->ints) == 0;
    case SDX_ATTR_FLOATS: return !a->n || memcmp(a->floats, b->floats, a->n * sizeof *a->floats) == 0;
    case SDX_ATTR_STRINGS: return equal_strings(a->strings, b->strings, a->n);
    case SDX_ATTR_TENSOR:
    case SDX_ATTR_SPARSE_TENSOR: return a->value == b->value;
    case SDX_ATTR_GRAPH:
    case SDX_ATTR_TENSORS:
    case SDX_ATTR_GRAPHS:
    case SDX_ATTR_SPARSE_TENSORS:
    case SDX_ATTR_TYPE:
    case SDX_ATTR_TYPES: return false;
    }
    return false;
}

static sdx_id stand_in(const sharer *s, sdx_id id) { return id == SDX_NONE ? id : s->same[id]; }

static uint64_t hash_node(const sharer *s, const sdx_node *node) {
    uint64_t hash = mix(&s->table, (uint64_t)node->n_in, &node->version, sizeof node->version);
    for (int k = 0; k < node->n_in; k++) {
        sdx_id id = stand_in(s, node->in[k]);
        hash = mix(&s->table, hash, &id, sizeof id);
    }
    for (int k = 0; k < node->n_out; k++) {
        bool present = node->out[k] != SDX_NONE;
        hash = mix(&s->table, hash, &present, sizeof present);
    }
    for (int k = 0; k < node->n_attrs; k++) hash = hash_attr(&s->table, hash, &node->attrs[k]);
    return hash;
}

static bool equal_nodes(const sharer *s, const sdx_node *a, const sdx_node *b) {
    if (a->version != b->version || a->n_in != b->n_in || a->n_attrs != b->n_attrs || a->n_out != b->n_out)
        return false;
    for (int k = 0; k < a->n_in; k++)
        if (stand_in(s, a->in[k]) != stand_in(s, b->in[k])) return false;
    for (int k = 0; k < a->n_out; k++)
        if ((a->out[k] == SDX_NONE) != (b->out[k] == SDX_NONE)) return false;
    for (int k = 0; k < a->n_attrs; k++)
        if (!equal_attrs(&a->attrs[k], &b->attrs[k])) return false;
    return true;
}

static bool pure(const sdx_node *node) {
    return node->op && !(node->op->flags & SDX_OP_RANDOM) && !node->n_bodies && node->n_in > 0;
}

static bool makes_output(const sharer *s, const sdx_node *node) {
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && s->is_output[node->out[k]]) return true;
    return false;
}

static void share_nodes(sharer *s) {
    table_clear(&s->table);
    for (int k = 0; k < s->graph->n_nodes; k++) {
        const sdx_node *node = s->graph->nodes[k];
        if (!pure(node)) continue;
        uint64_t hash = hash_node(s, node);
        int other = s->table.first[hash & s->table.mask];
        while (other && (s->table.hash[other - 1] != hash || !equal_nodes(s, node, s->graph->nodes[other - 1])))
            other = s->table.next[other - 1];
        if (!other) {
            table_add(&s->table, k, hash);
            continue;
        }
        if (makes_output(s, node)) continue;
        for (int o = 0; o < node->n_out; o++) {
            if (node->out[o] == SDX_NONE) continue;
            s->same[node->out[o]] = s->graph->nodes[other - 1]->out[o];
            sdx_patch_replace(&s->patch, node->out[o], s->graph->nodes[other - 1]->out[o]);
        }
        sdx_patch_remove(&s->patch, node);
    }
}

static sdx_status share_graph(sdx_graph *graph, sdx_error *error);

static sdx_status share(sharer *s, sdx_arena *scratch, sdx_error *error) {
    int n = s->graph->n_values > s->graph->n_nodes ? s->graph->n_values : s->graph->n_nodes;
    s->same = SDX_NEW_ARRAY(scratch, sdx_id, s->graph->n_values, error);
    s->is_output = SDX_NEW_ARRAY(scratch, bool, s->graph->n_values, error);
    if (!s->same || !s->is_output || !table_init(&s->table, scratch, n, error)) return SDX_OUT_OF_MEMORY;
    for (sdx_id id = 0; id < s->graph->n_values; id++) s->same[id] = id;
    for (int k = 0; k < s->graph->n_outputs; k++) s->is_output[s->graph->outputs[k]] = true;
    share_constants(s);
    share_nodes(s);
    SDX_TRY(sdx_patch_commit(&s->patch));
    for (int k = 0; k < s->graph->n_nodes; k++)
        for (int b = 0; b < s->graph->nodes[k]->n_bodies; b++)
            SDX_TRY(share_graph(s->graph->nodes[k]->bodies[b], error));
    return SDX_OK;
}

static sdx_status share_graph(sdx_graph *graph, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    sharer s = {.graph = graph};
    sdx_patch_begin(&s.patch, graph, error);
    sdx_status status = share(&s, &scratch, error);
    sdx_arena_release(&scratch);
    return status;
}

sdx_status sdx_pass_share(sdx_model *model, sdx_error *error) { return share_graph(model->graph, error); }
