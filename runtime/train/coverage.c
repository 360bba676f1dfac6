/* SPDX-License-Identifier: Apache-2.0
 * What stands between trained parameters and the loss and has no gradient, all at once. Every trained parameter that
 * reaches such a node has to be frozen to do without its gradient, and no other: the smallest set is unique. */
#include "ops/op.h"
#include "runtime/train/train.h"
#include <stdio.h>
#include <string.h>

typedef struct survey {
    const sdx_prepared *prepared;
    const sdx_graph *graph;
    bool *depends; /* per value: a trained parameter reaches it */
    bool *reaches; /* per value: it reaches the loss */
    bool *flows;   /* per value: a gradient comes back to it from the loss */
    bool *stuck;   /* per value: it reaches a node without gradient that is on the way */
} survey;

typedef enum state { GRADIENT, ABSENT, NEVER } state;

static state state_of(const sdx_node *node) {
    if (!node->op || !node->op->grad) return ABSENT;
    return node->op->grad == sdx_no_gradient ? NEVER : GRADIENT;
}

static bool any_in(const sdx_node *node, const bool *marks) {
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && marks[node->in[k]]) return true;
    for (int b = 0; b < node->n_bodies; b++)
        for (int c = 0; c < node->bodies[b]->n_captures; c++)
            if (marks[node->bodies[b]->captures[c].outer]) return true;
    return false;
}

static bool any_out(const sdx_node *node, const bool *marks) {
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && marks[node->out[k]]) return true;
    return false;
}

static void mark_in(const sdx_node *node, bool *marks) {
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE) marks[node->in[k]] = true;
    for (int b = 0; b < node->n_bodies; b++)
        for (int c = 0; c < node->bodies[b]->n_captures; c++) marks[node->bodies[b]->captures[c].outer] = true;
}

static void mark_out(const sdx_node *node, bool *marks) {
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) marks[node->out[k]] = true;
}

static bool on_the_way(const survey *s, const sdx_node *node) {
    return any_in(node, s->depends) && any_out(node, s->reaches);
}

static void spread(survey *s) {
    const sdx_graph *g = s->graph;
    for (int k = 0; k < s->prepared->n_variables; k++)
        if (s->prepared->variables[k].trained) s->depends[s->prepared->variables[k].id] = true;
    for (int k = 0; k < 3; k++)
        if (s->prepared->outputs[k] != SDX_NONE)
            s->reaches[s->prepared->outputs[k]] = s->flows[s->prepared->outputs[k]] = true;
    for (int k = 0; k < g->n_nodes; k++)
        if (any_in(g->nodes[k], s->depends)) mark_out(g->nodes[k], s->depends);
    for (int k = g->n_nodes - 1; k >= 0; k--) {
        const sdx_node *node = g->nodes[k];
        bool way = on_the_way(s, node);
        if (any_out(node, s->reaches)) mark_in(node, s->reaches);
        if (any_out(node, s->flows) && state_of(node) == GRADIENT) mark_in(node, s->flows);
        if (any_out(node, s->stuck) || (way && state_of(node) == ABSENT)) mark_in(node, s->stuck);
    }
}

/* A parameter that reaches the loss, but only through nodes that never have a gradient. */
static bool cut_off(const survey *s, sdx_id id) { return s->reaches[id] && !s->flows[id] && !s->stuck[id]; }

static void collect_nodes(survey *s, bool *from_cut, sdx_coverage *out) {
    for (int k = 0; k < s->prepared->n_variables; k++) {
        const sdx_variable *variable = &s->prepared->variables[k];
        from_cut[variable->id] = variable->trained && cut_off(s, variable->id);
    }
    for (int k = 0; k < s->graph->n_nodes; k++) {
        const sdx_node *node = s->graph->nodes[k];
        bool cut = any_in(node, from_cut);
        if (cut) mark_out(node, from_cut);
        if (!on_the_way(s, node)) continue;
        if (state_of(node) == ABSENT || (state_of(node) == NEVER && cut))
            out->nodes[out->n_nodes++] = (sdx_uncovered){node, state_of(node) == NEVER};
    }
}

sdx_status sdx_coverage_find(const sdx_prepared *prepared, sdx_arena *arena, sdx_error *error, sdx_coverage *out) {
    const sdx_graph *graph = prepared->training->graph;
    survey s = {.prepared = prepared, .graph = graph};
    *out = (sdx_coverage){0};
    s.depends = SDX_NEW_ARRAY(arena, bool, graph->n_values, error);
    s.reaches = SDX_NEW_ARRAY(arena, bool, graph->n_values, error);
    s.flows = SDX_NEW_ARRAY(arena, bool, graph->n_values, error);
    s.stuck = SDX_NEW_ARRAY(arena, bool, graph->n_values, error);
    bool *from_cut = SDX_NEW_ARRAY(arena, bool, graph->n_values, error);
    out->nodes = SDX_NEW_ARRAY(arena, sdx_uncovered, graph->n_nodes, error);
    out->freeze = SDX_NEW_ARRAY(arena, int, prepared->n_variables, error);
    out->unused = SDX_NEW_ARRAY(arena, int, prepared->n_variables, error);
    if (!s.depends || !s.reaches || !s.flows || !s.stuck || !from_cut || !out->nodes || !out->freeze || !out->unused)
        return error && error->status ? error->status : SDX_OUT_OF_MEMORY;
    spread(&s);
    collect_nodes(&s, from_cut, out);
    for (int k = 0; k < prepared->n_variables; k++) {
        sdx_id id = prepared->variables[k].id;
        if (!prepared->variables[k].trained) continue;
        if (!s.reaches[id])
            out->unused[out->n_unused++] = k;
        else if (s.stuck[id] || cut_off(&s, id))
            out->freeze[out->n_freeze++] = k;
    }
    return SDX_OK;
}

/* ---- as an error ---- */

typedef struct list {
    char *text;
    size_t used, capacity;
    int n, left;
} list;

static void add(list *l, const char *text) {
    if (l->left || l->used + strlen(text) + 24 > l->capacity) {
        l->left++;
        return;
    }
    l->used += (size_t)snprintf(l->text + l->used, l->capacity - l->used, "%s%s", l->n++ ? ", " : "", text);
}

static void close_list(list *l) {
    if (l->left) snprintf(l->text + l->used, l->capacity - l->used, " and %d more", l->left);
}

sdx_status sdx_coverage_check(const sdx_prepared *prepared, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, prepared->training->memory);
    sdx_coverage found;
    sdx_status status = sdx_coverage_find(prepared, &scratch, error, &found);
    if (status == SDX_OK && found.n_nodes) {
        char nodes[500] = "", names[300] = "", text[320];
        list l = {.text = nodes, .capacity = sizeof nodes}, f = {.text = names, .capacity = sizeof names};
        for (int k = 0; k < found.n_nodes; k++)
            add(&l, sdx_node_place(prepared->training->graph, found.nodes[k].node, text, sizeof text));
        for (int k = 0; k < found.n_freeze; k++) {
            const char *path = prepared->variables[found.freeze[k]].path;
            add(&f, sdx_escape(text, sizeof text, path, strlen(path)));
        }
        close_list(&l);
        close_list(&f);
        status =
            sdx_fail(error, SDX_UNSUPPORTED,
                     "no gradient comes through %s; to train the rest, freeze what stands before: %s", nodes, names);
    }
    sdx_arena_release(&scratch);
    return status;
}
