/* SPDX-License-Identifier: Apache-2.0
 * A copy of a graph in another arena. Ids are those of the original, so that what is known of one holds for the other.
 */
#include "runtime/graph/graph.h"
#include <string.h>

static const sdx_pair *copy_pairs(const sdx_pair *from, int n, sdx_arena *arena, sdx_error *error) {
    sdx_pair *pairs = SDX_NEW_ARRAY(arena, sdx_pair, n, error);
    for (int k = 0; pairs && k < n; k++) {
        pairs[k].key = sdx_arena_copy(arena, from[k].key, strlen(from[k].key), error);
        pairs[k].value = sdx_arena_copy(arena, from[k].value, strlen(from[k].value), error);
        if (!pairs[k].key || !pairs[k].value) return NULL;
    }
    return pairs;
}

static sdx_status copy_values(const sdx_graph *from, sdx_graph *to, sdx_error *error) {
    for (sdx_id id = 0; id < from->n_values; id++) {
        const sdx_graph_value *value = &from->values[id];
        if (sdx_graph_add_value(to, value->name, &value->type, error) != id) return sdx_failure(error);
        if (value->constant) sdx_graph_set_constant(to, id, value->constant);
        sdx_graph_value *copy = &to->values[id];
        copy->n_metadata = value->n_metadata;
        copy->metadata = copy_pairs(value->metadata, value->n_metadata, to->arena, error);
        if (!copy->metadata) return sdx_failure(error);
    }
    for (int k = 0; k < from->n_inputs; k++) SDX_TRY(sdx_graph_add_input(to, from->inputs[k], error));
    for (int k = 0; k < from->n_outputs; k++) SDX_TRY(sdx_graph_add_output(to, from->outputs[k], error));
    for (int k = 0; k < from->n_captures; k++)
        SDX_TRY(sdx_graph_add_capture(to, from->captures[k].outer, from->captures[k].inner, error));
    return SDX_OK;
}

static sdx_status copy_into(const sdx_graph *from, sdx_graph *to, sdx_error *error);

sdx_graph *sdx_graph_copy_body(const sdx_graph *body, sdx_graph *parent, sdx_error *error) {
    sdx_graph *to = sdx_graph_create(parent->arena, body->name, parent, error);
    if (!to || copy_into(body, to, error) == SDX_OK) return to;
    sdx_graph_release(to);
    return NULL;
}

/* The attribute with bodies of the copy in place of the original's. */
static sdx_status copy_graphs(sdx_graph *graph, sdx_node *node, const sdx_attr *from, sdx_error *error) {
    bool one = from->type == SDX_ATTR_GRAPH;
    size_t n = one ? 1 : from->n;
    sdx_attr attr = *from;
    sdx_graph **bodies = SDX_NEW_ARRAY(graph->arena, sdx_graph *, n, error);
    sdx_status status = bodies ? SDX_OK : sdx_failure(error);
    for (size_t k = 0; k < n && status == SDX_OK; k++) {
        bodies[k] = sdx_graph_copy_body(one ? from->graph : from->graphs[k], graph, error);
        if (!bodies[k]) status = sdx_failure(error);
    }
    if (one && bodies)
        attr.graph = bodies[0];
    else
        attr.graphs = bodies;
    if (status == SDX_OK) status = sdx_node_set_attr(graph, node, &attr, error);
    for (size_t k = 0; bodies && status != SDX_OK && k < n; k++)
        if (bodies[k] && bodies[k]->references == 0) sdx_graph_release(bodies[k]);
    return status;
}

static sdx_status copy_node(const sdx_node *from, sdx_graph *graph, sdx_error *error) {
    sdx_node *node = sdx_graph_add_node(graph, from->domain, from->op_type, from->name, from->n_in, from->in,
                                        from->n_out, from->out, error);
    if (!node) return sdx_failure(error);
    node->op = from->op;
    node->version = from->version;
    node->since = from->since;
    node->n_metadata = from->n_metadata;
    node->metadata = copy_pairs(from->metadata, from->n_metadata, graph->arena, error);
    node->doc = sdx_arena_copy(graph->arena, from->doc, strlen(from->doc), error);
    if (!node->metadata || !node->doc) return sdx_failure(error);
    for (int k = 0; k < from->n_attrs; k++) {
        const sdx_attr *attr = &from->attrs[k];
        bool graphs = attr->type == SDX_ATTR_GRAPH || attr->type == SDX_ATTR_GRAPHS;
        SDX_TRY(graphs ? copy_graphs(graph, node, attr, error) : sdx_node_set_attr(graph, node, attr, error));
    }
    return SDX_OK;
}

/* Bodies nest at most SDX_MAX_BODY_DEPTH deep. */
static sdx_status copy_into(const sdx_graph *from, sdx_graph *to, sdx_error *error) {
    to->doc = sdx_arena_copy(to->arena, from->doc, strlen(from->doc), error);
    if (!to->doc) return sdx_failure(error);
    for (int k = 0; !from->parent && k < from->n_symbols; k++)
        if (sdx_graph_symbol(to, from->symbols[k], error) != -2 - (int64_t)k) return sdx_failure(error);
    SDX_TRY(copy_values(from, to, error));
    for (int k = 0; k < from->n_nodes; k++) SDX_TRY(copy_node(from->nodes[k], to, error));
    return SDX_OK;
}

sdx_status sdx_graph_copy(const sdx_graph *from, sdx_graph *to, sdx_error *error) {
    to->fresh = from->fresh;
    return copy_into(from, to, error);
}
