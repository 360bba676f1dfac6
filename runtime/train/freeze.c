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

/* ---- The list -------------------------------------------------------------------------------------------------- */

typedef struct survey {
    const sdx_graph *graph;
    sdx_arena *arena;
    sdx_error *error;
    bool *reached; /* a gradient may come back from a y */
    bool *depends; /* a derivative may come from an x */
    bool *blocked; /* leads to a node without gradient on the way */
    bool *linked;  /* an y depends on it in whatever way */
    bool *cut;     /* comes from an x that is linked, but not reached */
    int capacity;
    sdx_coverage *out;
} survey;

static sdx_status add_node(survey *s, const sdx_graph *graph, const sdx_node *node, bool never) {
    sdx_coverage *out = s->out;
    if (out->n_nodes == s->capacity) {
        int capacity = s->capacity ? s->capacity * 2 : 16;
        sdx_uncovered *more = SDX_NEW_ARRAY(s->arena, sdx_uncovered, capacity, s->error);
        if (!more) return sdx_failure(s->error);
        if (out->n_nodes) memcpy(more, out->nodes, (size_t)out->n_nodes * sizeof *more);
        out->nodes = more;
        s->capacity = capacity;
    }
    out->nodes[out->n_nodes++] = (sdx_uncovered){graph, node, never};
    return SDX_OK;
}

/* Nodes of a body count as well: the gradient of the node that runs it needs theirs. */
static sdx_status list_body(survey *s, const sdx_graph *body) {
    for (int i = 0; i < body->n_nodes; i++) {
        const sdx_node *node = body->nodes[i];
        bool floats = false;
        for (int k = 0; k < node->n_in; k++) floats |= flows(body, node->in[k]);
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(list_body(s, node->bodies[b]));
        if (node->op->grad || !floats || node->n_out == 0 || !flows(body, node->out[0])) continue;
        SDX_TRY(add_node(s, body, node, false));
    }
    return SDX_OK;
}

static sdx_status list_absent(survey *s) {
    for (int i = 0; i < s->graph->n_nodes; i++) {
        const sdx_node *node = s->graph->nodes[i];
        int before = s->out->n_nodes;
        if (!any_out(s->graph, node, s->reached) || !any_in(s->graph, node, s->depends)) continue;
        if (!node->op->grad) SDX_TRY(add_node(s, s->graph, node, false));
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(list_body(s, node->bodies[b]));
        if (s->out->n_nodes > before) mark_inputs(s->graph, node, s->blocked);
    }
    spread_back(s->graph, s->blocked);
    return SDX_OK;
}

/* Whether node k has a mark among its inputs (captures too) or outputs, whatever their types. */
static bool touches(const sdx_node *node, const bool *marked, bool inputs) {
    for (int k = 0; k < (inputs ? node->n_in : node->n_out); k++) {
        sdx_id id = inputs ? node->in[k] : node->out[k];
        if (id != SDX_NONE && marked[id]) return true;
    }
    for (int b = 0; inputs && b < node->n_bodies; b++)
        for (int c = 0; c < node->bodies[b]->n_captures; c++)
            if (marked[node->bodies[b]->captures[c].outer]) return true;
    return false;
}

static void mark_links(survey *s, const sdx_id *ys, int n_ys) {
    for (int k = 0; k < n_ys; k++) s->linked[ys[k]] = true;
    for (int i = s->graph->n_nodes - 1; i >= 0; i--) {
        const sdx_node *node = s->graph->nodes[i];
        if (!touches(node, s->linked, false)) continue;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] != SDX_NONE) s->linked[node->in[k]] = true;
        for (int b = 0; b < node->n_bodies; b++)
            for (int c = 0; c < node->bodies[b]->n_captures; c++) s->linked[node->bodies[b]->captures[c].outer] = true;
    }
}

/* Nodes whose gradient is zero by nature and that nothing leads around, for some x. */
static sdx_status list_never(survey *s) {
    for (int i = 0; i < s->graph->n_nodes; i++) {
        const sdx_node *node = s->graph->nodes[i];
        if (!touches(node, s->cut, true)) continue;
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] != SDX_NONE) s->cut[node->out[k]] = true;
        if (!conducts(node) && touches(node, s->linked, false)) SDX_TRY(add_node(s, s->graph, node, true));
    }
    return SDX_OK;
}

static sdx_status survey_of(survey *s, const sdx_id *ys, int n_ys, const sdx_id *xs, int n_xs) {
    bool **marks[] = {&s->reached, &s->depends, &s->blocked, &s->linked, &s->cut};
    for (size_t k = 0; k < sizeof marks / sizeof marks[0]; k++)
        if (!(*marks[k] = SDX_NEW_ARRAY(s->arena, bool, s->graph->n_values, s->error))) return sdx_failure(s->error);
    s->out->freeze = SDX_NEW_ARRAY(s->arena, int, n_xs, s->error);
    s->out->unused = SDX_NEW_ARRAY(s->arena, int, n_xs, s->error);
    if (!s->out->freeze || !s->out->unused) return sdx_failure(s->error);
    for (int k = 0; k < n_xs; k++) s->depends[xs[k]] = true;
    spread_on(s->graph, s->depends);
    sdx_mark_reached(s->graph, ys, n_ys, s->reached);
    mark_links(s, ys, n_ys);
    SDX_TRY(list_absent(s));
    for (int k = 0; k < n_xs; k++) {
        bool cut = s->linked[xs[k]] && !s->reached[xs[k]];
        s->cut[xs[k]] = cut;
        if (!s->linked[xs[k]]) s->out->unused[s->out->n_unused++] = k;
        if (cut || s->blocked[xs[k]]) s->out->freeze[s->out->n_freeze++] = k;
    }
    return list_never(s);
}

sdx_status sdx_coverage_find(const sdx_graph *graph, const sdx_id *ys, int n_ys, const sdx_id *xs, int n_xs,
                             sdx_arena *arena, sdx_error *error, sdx_coverage *out) {
    survey s = {.graph = graph, .arena = arena, .error = error, .out = out};
    *out = (sdx_coverage){0};
    return survey_of(&s, ys, n_ys, xs, n_xs);
}

/* ---- The message ----------------------------------------------------------------------------------------------- */

static void append(char *text, size_t capacity, const char *item, int position) {
    size_t used = strlen(text);
    if (used + strlen(item) + 16 < capacity)
        snprintf(text + used, capacity - used, "%s%s", position ? ", " : "", item);
    else if (used < 3 || strcmp(text + used - 3, "...") != 0)
        snprintf(text + used, capacity - used, ", ...");
}

sdx_status sdx_gradients_exist(const sdx_graph *graph, const sdx_id *ys, int n_ys, const sdx_id *xs, int n_xs,
                               sdx_error *error) {
    char nodes[640] = "", names[256] = "", text[192], quoted[200];
    int n_nodes = 0, n_names = 0;
    sdx_coverage found;
    SDX_TRY(sdx_coverage_find(graph, ys, n_ys, xs, n_xs, graph->arena, error, &found));
    for (int k = 0; k < found.n_nodes; k++) {
        const sdx_uncovered *at = &found.nodes[k];
        if (!at->never) append(nodes, sizeof nodes, sdx_node_place(at->graph, at->node, text, sizeof text), n_nodes++);
    }
    if (n_nodes == 0) return SDX_OK;
    for (int k = 0; k < found.n_freeze; k++) {
        const char *own = graph->values[xs[found.freeze[k]]].name;
        snprintf(quoted, sizeof quoted, "'%s'", sdx_escape(text, sizeof text, own, strlen(own)));
        append(names, sizeof names, quoted, n_names++);
    }
    if (n_names == n_xs)
        return sdx_fail(error, SDX_UNSUPPORTED, "without gradient, on the way from the loss to every parameter: %s",
                        nodes);
    return sdx_fail(error, SDX_UNSUPPORTED,
                    "without gradient, on the way from the loss to trained parameters: %s; the others can be trained "
                    "when these are frozen: %s",
                    nodes, names);
}
