/* SPDX-License-Identifier: Apache-2.0
 * The operator Gradient (ai.onnx.preview.training): `xs`, `zs` and `y` name tensors that bound a piece of the graph;
 * the node's inputs are the point at which dy/dxs is taken. The piece is copied with that point put in, and
 * differentiated; where the inputs are the named tensors themselves, as is usual, the original serves. */
#include "runtime/load/load.h"
#include "runtime/train/autodiff.h"
#include "runtime/train/expand_internal.h"
#include <string.h>

typedef struct piece {
    sdx_patch *patch;
    sdx_graph *graph;
    sdx_error *error;
    const sdx_node *gradient;
    int n_point;  /* tensors that xs and zs name, inputs of the node that say where */
    bool moved;   /* some of these are others than those named */
    int n_values; /* that were there before */
    sdx_id *copy; /* per such value: what stands for it in the copy; SDX_NONE: itself */
} piece;

static sdx_id find_value(const sdx_graph *graph, sdx_string name) {
    for (sdx_id id = 0; id < graph->n_values; id++)
        if (strlen(graph->values[id].name) == name.size && memcmp(graph->values[id].name, name.data, name.size) == 0)
            return id;
    return SDX_NONE;
}

static int count_of(const sdx_node *node, const char *attribute) {
    const sdx_attr *attr = sdx_node_attr(node, attribute);
    return attr ? (int)attr->n : 0;
}

/* The `index`-th of all tensors that the attributes name: an input behind those of the point, where import knew it. */
static sdx_status named(const piece *p, const char *attribute, sdx_string name, int index, sdx_id *out) {
    char text[128];
    const bool as_input = p->gradient->n_in > p->n_point;
    *out = as_input ? p->gradient->in[p->n_point + index] : find_value(p->graph, name);
    if (*out != SDX_NONE) return SDX_OK;
    return sdx_fail(p->error, SDX_MALFORMED, "attribute '%s' names '%s', which is no tensor of this graph", attribute,
                    sdx_escape(text, sizeof text, name.data, name.size));
}

/* Maps the tensors an attribute names to the node's inputs from `first` on. */
static sdx_status bound_by(piece *p, const char *attribute, int first) {
    const sdx_attr *names = sdx_node_attr(p->gradient, attribute);
    for (int k = 0; names && k < (int)names->n; k++) {
        sdx_id id = SDX_NONE;
        SDX_TRY(named(p, attribute, names->strings[k], first + k, &id));
        if (first + k >= p->gradient->n_in || p->gradient->in[first + k] == SDX_NONE)
            return sdx_fail(p->error, SDX_MALFORMED, "attributes 'xs' and 'zs' name %d tensors; the node has %d inputs",
                            p->n_point, p->gradient->n_in);
        p->copy[id] = p->gradient->in[first + k];
        p->moved = p->moved || id != p->gradient->in[first + k];
    }
    return SDX_OK;
}

/* Does the node, or a body of it, read something that is mapped? */
static bool reads_copy(const piece *p, const sdx_node *node) {
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && p->copy[node->in[k]] != SDX_NONE) return true;
    for (int b = 0; b < node->n_bodies; b++)
        for (int k = 0; k < node->bodies[b]->n_captures; k++)
            if (p->copy[node->bodies[b]->captures[k].outer] != SDX_NONE) return true;
    return false;
}

/* Attributes of the twin: bodies are copies that capture what is mapped. */
static sdx_status copy_attributes(piece *p, sdx_node *twin, const sdx_node *node) {
    for (int k = 0; k < node->n_attrs; k++) {
        sdx_attr attr = node->attrs[k];
        if (attr.type == SDX_ATTR_GRAPH) {
            attr.graph = sdx_graph_copy_body(attr.graph, p->graph, p->error);
            if (!attr.graph) return p->error->status;
            sdx_graph_remap_captures(attr.graph, p->copy, p->n_values);
        }
        sdx_patch_attr(p->patch, twin, &attr);
    }
    return p->patch->status;
}

static sdx_status copy_node(piece *p, const sdx_node *node) {
    sdx_id *in = SDX_NEW_ARRAY(p->graph->arena, sdx_id, node->n_in + 1, p->error);
    if (!in) return p->error->status;
    for (int k = 0; k < node->n_in; k++)
        in[k] = node->in[k] == SDX_NONE || p->copy[node->in[k]] == SDX_NONE ? node->in[k] : p->copy[node->in[k]];
    sdx_node *twin = sdx_patch_node(p->patch, node->domain, node->op_type, node->n_in, in, node->n_out);
    SDX_TRY(copy_attributes(p, twin, node));
    twin->op = node->op;
    twin->version = node->version;
    twin->since = node->since;
    SDX_TRY(sdx_settle_node(p->graph, twin, p->error));
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && p->copy[node->out[k]] == SDX_NONE) p->copy[node->out[k]] = twin->out[k];
    return SDX_OK;
}

/* Copies, in order, every node that reads something already mapped, up to the producer of y. */
static sdx_status copy_nodes(piece *p, int n_nodes, sdx_id y) {
    for (int i = 0; i < n_nodes && p->copy[y] == SDX_NONE; i++) {
        const sdx_node *node = p->graph->nodes[i];
        if (node != p->gradient && reads_copy(p, node)) SDX_TRY(copy_node(p, node));
    }
    return SDX_OK;
}

/* Two outputs may be one value, or an input: each gets a value of its own. */
static void give(piece *p, const sdx_id *gradients, int n) {
    for (int k = 0; k < n && k < p->gradient->n_out; k++)
        if (p->gradient->out[k] != SDX_NONE)
            sdx_patch_replace(p->patch, p->gradient->out[k], sdx_emit1(p->patch, "Identity", gradients[k]));
    sdx_patch_remove(p->patch, p->gradient);
}

static sdx_status expand_node(sdx_graph *graph, const sdx_node *node, sdx_error *error) {
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, error);
    const int n_xs = count_of(node, "xs"), n_point = n_xs + count_of(node, "zs");
    piece p = {.patch = &patch, .graph = graph, .error = error, .gradient = node, .n_point = n_point};
    p.n_values = graph->n_values;
    p.copy = SDX_NEW_ARRAY(graph->arena, sdx_id, p.n_values, error);
    sdx_id *gradients = SDX_NEW_ARRAY(graph->arena, sdx_id, n_xs + 1, error), y = SDX_NONE;
    if (!p.copy || !gradients) return error->status;
    for (sdx_id id = 0; id < p.n_values; id++) p.copy[id] = SDX_NONE;
    SDX_TRY(bound_by(&p, "xs", 0));
    SDX_TRY(bound_by(&p, "zs", n_xs));
    SDX_TRY(named(&p, "y", sdx_node_attr(node, "y")->s, n_point, &y));
    if (p.moved) {
        SDX_TRY(copy_nodes(&p, graph->n_nodes, y));
        y = p.copy[y] == SDX_NONE ? y : p.copy[y];
    }
    SDX_TRY(sdx_autodiff_between(&patch, y, node->in, n_xs, node->in, n_point, gradients));
    give(&p, gradients, n_xs);
    SDX_TRY(sdx_patch_commit(&patch));
    return sdx_settle_graph(graph, error);
}

static const sdx_node *find_gradient(const sdx_graph *graph) {
    for (int i = 0; i < graph->n_nodes; i++)
        if (strcmp(graph->nodes[i]->op_type, "Gradient") == 0 &&
            strcmp(graph->nodes[i]->domain, "ai.onnx.preview.training") == 0)
            return graph->nodes[i];
    return NULL;
}

/* Bodies first: what surrounds them may be differentiated through them. */
sdx_status sdx_autodiff_expand(sdx_graph *graph, sdx_error *error) {
    for (int i = 0; i < graph->n_nodes; i++)
        for (int b = 0; b < graph->nodes[i]->n_bodies; b++)
            SDX_TRY(sdx_autodiff_expand(graph->nodes[i]->bodies[b], error));
    for (const sdx_node *node; (node = find_gradient(graph)) != NULL;) {
        char place[256];
        sdx_node_place(graph, node, place, sizeof place);
        if (expand_node(graph, node, error)) return sdx_error_context(error, "%s", place);
        if (find_gradient(graph))
            SDX_TRY(sdx_expand_undifferentiable(graph, error)); /* it may be of what was emitted */
    }
    return SDX_OK;
}
