/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/pass/shape_entry.h"
#include <string.h>

enum { MOST_STEPS = 64 };

static const sdx_tensor *integers(const sdx_graph *graph, sdx_id id) {
    const sdx_graph_value *value = &graph->values[id];
    if (!value->constant || value->is_input || value->constant->kind != SDX_TENSOR) return NULL;
    const sdx_tensor *tensor = &value->constant->tensor;
    return tensor->rank <= 1 && (tensor->dtype == SDX_I64 || tensor->dtype == SDX_I32) ? tensor : NULL;
}

static bool number_at(const sdx_graph *graph, sdx_id id, int64_t k, int64_t *out) {
    const sdx_tensor *tensor = integers(graph, id);
    if (!tensor || k < 0 || k >= tensor->count) return false;
    *out = tensor->dtype == SDX_I64 ? ((const int64_t *)tensor->data)[k] : ((const int32_t *)tensor->data)[k];
    return true;
}

/* The length of a vector, or 1 for a scalar; -1 when it is not known. */
static int64_t length_of(const sdx_graph *graph, sdx_id id) {
    const sdx_type *type = &graph->values[id].type;
    return type->rank == 0 ? 1 : type->rank == 1 && type->dim[0] >= 0 ? type->dim[0] : -1;
}

static bool in_concat(const sdx_graph *graph, const sdx_node *node, sdx_id *id, int64_t *k) {
    for (int i = 0; i < node->n_in; i++) {
        const int64_t length = length_of(graph, node->in[i]);
        if (length < 0) return false;
        *id = node->in[i];
        if (*k < length) return true;
        *k -= length;
    }
    return false;
}

static bool given(const sdx_node *node, int k) { return k < node->n_in && node->in[k] != SDX_NONE; }

/* Of one axis, forward, by steps of 1. */
static bool in_slice(const sdx_graph *graph, const sdx_node *node, sdx_id *id, int64_t *k) {
    int64_t start = 0, axis = 0, step = 1;
    const int64_t length = length_of(graph, node->in[0]);
    if (node->since < 10 || length_of(graph, node->in[1]) != 1 || !number_at(graph, node->in[1], 0, &start))
        return false;
    if (given(node, 3) && !number_at(graph, node->in[3], 0, &axis)) return false;
    if (given(node, 4) && !number_at(graph, node->in[4], 0, &step)) return false;
    if (length < 0 || (axis != 0 && axis != -1) || step != 1) return false;
    if (start < 0) start += length;
    *id = node->in[0];
    *k += start < 0 ? 0 : start;
    return *k < length;
}

static bool in_gather(const sdx_graph *graph, const sdx_node *node, sdx_id *id, int64_t *k) {
    const int64_t length = length_of(graph, node->in[0]);
    int64_t at = 0;
    if (sdx_node_int(node, "axis", 0) != 0 || length < 0 || !number_at(graph, node->in[1], *k, &at)) return false;
    *id = node->in[0];
    *k = at < 0 ? at + length : at;
    return *k >= 0 && *k < length;
}

/* Shape: the answer. */
static bool in_shape(const sdx_graph *graph, const sdx_node *node, int64_t k, sdx_shape_entry *out) {
    const sdx_type *type = &graph->values[node->in[0]].type;
    int64_t start = sdx_node_int(node, "start", 0);
    if (type->kind != SDX_TENSOR || type->rank < 0) return false;
    if (start < 0) start += type->rank;
    if (start < 0) start = 0;
    if (start + k >= type->rank) return false;
    *out = (sdx_shape_entry){node->in[0], start + k};
    if (type->dim[out->n] >= 0) *out = (sdx_shape_entry){SDX_NONE, type->dim[out->n]};
    return true;
}

bool sdx_shape_entry_of(const sdx_graph *graph, sdx_id id, int64_t k, sdx_shape_entry *out) {
    for (int step = 0; step < MOST_STEPS; step++) {
        *out = (sdx_shape_entry){SDX_NONE, 0};
        if (integers(graph, id)) return number_at(graph, id, k, &out->n);
        const int at = graph->values[id].producer;
        const sdx_node *node = at < 0 ? NULL : graph->nodes[at];
        if (!node || *node->domain) return false;
        const char *name = node->op_type;
        if (strcmp(name, "Shape") == 0) return in_shape(graph, node, k, out);
        if (strcmp(name, "Concat") == 0) {
            if (!in_concat(graph, node, &id, &k)) return false;
        } else if (strcmp(name, "Slice") == 0) {
            if (!in_slice(graph, node, &id, &k)) return false;
        } else if (strcmp(name, "Gather") == 0) {
            if (!in_gather(graph, node, &id, &k)) return false;
        } else if (strcmp(name, "Unsqueeze") == 0 || strcmp(name, "Squeeze") == 0 || strcmp(name, "Reshape") == 0) {
            id = node->in[0];
            if (length_of(graph, id) != 1 || k != 0) return false;
        } else
            return false;
    }
    return false;
}

bool sdx_shape_entry_is(const sdx_graph *graph, const sdx_shape_entry *entry, sdx_id x, int d) {
    const int64_t dim = graph->values[x].type.dim[d];
    return entry->of == SDX_NONE ? dim > 0 && entry->n == dim : entry->of == x && entry->n == d;
}
