/* SPDX-License-Identifier: Apache-2.0
 * Before anything is differentiated: every node on the way that has no gradient, all at once, and what to freeze so
 * that none is met. Derivatives flow through floating tensors only, and end at operators whose gradient is zero. */
#include "runtime/train/trainer.h"
#include <stdio.h>
#include <string.h>

static bool flows(const sdx_graph *graph, sdx_id id) {
    if (id == SDX_NONE) return false;
    const sdx_type *type = &graph->values[id].type;
    while (type->elem) type = type->elem;
    return type->dtype == SDX_UNDEFINED || sdx_dtype_class(type->dtype) == SDX_CLASS_FLOAT ||
           sdx_dtype_class(type->dtype) == SDX_CLASS_COMPLEX;
}

static bool conducts(const sdx_node *node) { return node->op->grad != sdx_no_gradient; }

static bool any_out(const sdx_graph *graph, const sdx_node *node, const bool *marked) {
    for (int k = 0; k < node->n_out; k++)
        if (flows(graph, node->out[k]) && marked[node->out[k]]) return true;
    return false;
}

/* Reads a marked value itself or through a body. */
static bool any_in(const sdx_graph *graph, const sdx_node *node, const bool *marked) {
    for (int k = 0; k < node->n_in; k++)
        if (flows(graph, node->in[k]) && marked[node->in[k]]) return true;
    for (int b = 0; b < node->n_bodies; b++)
        for (int c = 0; c < node->bodies[b]->n_captures; c++)
            if (flows(graph, node->bodies[b]->captures[c].outer) && marked[node->bodies[b]->captures[c].outer])
                return true;
    return false;
}

static void mark_inputs(const sdx_graph *graph, const sdx_node *node, bool *marked) {
    for (int k = 0; k < node->n_in; k++)
        if (flows(graph, node->in[k])) marked[node->in[k]] = true;
    for (int b = 0; b < node->n_bodies; b++)
        for (int c = 0; c < node->bodies[b]->n_captures; c++) marked[node->bodies[b]->captures[c].outer] = true;
}

static void spread_back(const sdx_graph *graph, bool *marked) {
    for (int i = graph->n_nodes - 1; i >= 0; i--)
        if (conducts(graph->nodes[i]) && any_out(graph, graph->nodes[i], marked))
            mark_inputs(graph, graph->nodes[i], marked);
}

static void spread_on(const sdx_graph *graph, bool *marked) {
    for (int i = 0; i < graph->n_nodes; i++) {
        const sdx_node *node = graph->nodes[i];
        if (!conducts(node) || !any_in(graph, node, marked)) continue;
        for (int k = 0; k < node->n_out; k++)
            if (flows(graph, node->out[k])) marked[node->out[k]] = true;
    }
}

void sdx_mark_reached(const sdx_graph *graph, const sdx_id *ys, int n_ys, bool *reached) {
    memset(reached, 0, (size_t)graph->n_values * sizeof *reached);
    for (int k = 0; k < n_ys; k++) reached[ys[k]] = true;
    spread_back(graph, reached);
}

/* ---- The message ----------------------------------------------------------------------------------------------- */

typedef struct report {
    char nodes[640], names[256];
    int n_nodes, n_names;
} report;

static void append(char *text, size_t capacity, const char *item, int position) {
    size_t used = strlen(text);
    if (used + strlen(item) + 16 < capacity)
        snprintf(text + used, capacity - used, "%s%s", position ? ", " : "", item);
    else if (used < 3 || strcmp(text + used - 3, "...") != 0)
        snprintf(text + used, capacity - used, ", ...");
}

/* Nodes of a body count as well: the gradient of the node that runs it needs theirs. */
static void list_body(const sdx_graph *body, report *r) {
    for (int i = 0; i < body->n_nodes; i++) {
        const sdx_node *node = body->nodes[i];
        char place[192];
        bool floats = false;
        for (int k = 0; k < node->n_in; k++) floats |= flows(body, node->in[k]);
        for (int b = 0; b < node->n_bodies; b++) list_body(node->bodies[b], r);
        if (node->op->grad || !floats || node->n_out == 0 || !flows(body, node->out[0])) continue;
        append(r->nodes, sizeof r->nodes, sdx_node_place(body, node, place, sizeof place), r->n_nodes++);
    }
}

static void list_nodes(const sdx_graph *graph, const bool *reached, const bool *depends, bool *blocked, report *r) {
    for (int i = 0; i < graph->n_nodes; i++) {
        const sdx_node *node = graph->nodes[i];
        char place[192];
        int before = r->n_nodes;
        if (!any_out(graph, node, reached) || !any_in(graph, node, depends)) continue;
        if (!node->op->grad)
            append(r->nodes, sizeof r->nodes, sdx_node_place(graph, node, place, sizeof place), r->n_nodes++);
        for (int b = 0; b < node->n_bodies; b++) list_body(node->bodies[b], r);
        if (r->n_nodes > before) mark_inputs(graph, node, blocked);
    }
}

sdx_status sdx_gradients_exist(const sdx_graph *graph, const sdx_id *ys, int n_ys, const sdx_id *xs, int n_xs,
                               sdx_error *error) {
    report r = {.n_nodes = 0};
    bool *reached = SDX_NEW_ARRAY(graph->arena, bool, graph->n_values, error);
    bool *depends = SDX_NEW_ARRAY(graph->arena, bool, graph->n_values, error);
    bool *blocked = SDX_NEW_ARRAY(graph->arena, bool, graph->n_values, error);
    if (!reached || !depends || !blocked) return error->status;
    for (int k = 0; k < n_xs; k++) depends[xs[k]] = true;
    spread_on(graph, depends);
    sdx_mark_reached(graph, ys, n_ys, reached);
    list_nodes(graph, reached, depends, blocked, &r);
    if (r.n_nodes == 0) return SDX_OK;
    spread_back(graph, blocked);
    for (int k = 0; k < n_xs; k++) {
        char name[96], quoted[100];
        if (!blocked[xs[k]]) continue;
        const char *own = graph->values[xs[k]].name;
        snprintf(quoted, sizeof quoted, "'%s'", sdx_escape(name, sizeof name, own, strlen(own)));
        append(r.names, sizeof r.names, quoted, r.n_names++);
    }
    if (r.n_names == n_xs)
        return sdx_fail(error, SDX_UNSUPPORTED, "without gradient, on the way from the loss to every parameter: %s",
                        r.nodes);
    return sdx_fail(error, SDX_UNSUPPORTED,
                    "without gradient, on the way from the loss to trained parameters: %s; the others can be trained "
                    "when these are frozen: %s",
                    r.nodes, r.names);
}
