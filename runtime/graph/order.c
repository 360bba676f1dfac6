/* SPDX-License-Identifier: Apache-2.0
 * Topological order and use counts. The sort is a depth-first walk with a stack of its own that starts nodes in their
 * present order, so a graph that is in order stays as it is. */
#include "runtime/graph/graph.h"
#include <stdio.h>
#include <string.h>

enum { WAITING, OPEN, DONE };

typedef struct frame {
    int node;
    int next; /* dependency to look at next: inputs, then the captures of the bodies */
    int body, capture;
} frame;

typedef struct walk {
    const sdx_graph *graph;
    unsigned char *state;
    frame *stack;
    int depth, n_sorted;
    sdx_node **sorted;
} walk;

static sdx_status set_producers(sdx_graph *graph, sdx_error *error) {
    for (int v = 0; v < graph->n_values; v++) graph->values[v].producer = -1;
    for (int k = 0; k < graph->n_nodes; k++)
        for (int o = 0; o < graph->nodes[k]->n_out; o++) {
            sdx_id id = graph->nodes[k]->out[o];
            if (id == SDX_NONE) continue;
            if (graph->values[id].producer >= 0) {
                char name[128];
                return sdx_fail(error, SDX_MALFORMED, "value '%s' is the output of more than one node",
                                sdx_escape(name, sizeof name, graph->values[id].name, strlen(graph->values[id].name)));
            }
            graph->values[id].producer = k;
        }
    return SDX_OK;
}

/* The next value that the node of this frame reads; SDX_NONE at the end or for an absent input. */
static bool next_read(const sdx_node *node, frame *f, sdx_id *id) {
    if (f->next < node->n_in) {
        *id = node->in[f->next++];
        return true;
    }
    for (; f->body < node->n_bodies; f->body++, f->capture = 0)
        if (f->capture < node->bodies[f->body]->n_captures) {
            *id = node->bodies[f->body]->captures[f->capture++].outer;
            return true;
        }
    return false;
}

static bool in_order(const sdx_graph *graph) {
    for (int k = 0; k < graph->n_nodes; k++) {
        frame f = {.node = k};
        sdx_id id = SDX_NONE;
        while (next_read(graph->nodes[k], &f, &id))
            if (id != SDX_NONE && graph->values[id].producer >= k) return false;
    }
    return true;
}

static sdx_status visit(walk *w, int start, sdx_error *error) {
    w->stack[w->depth++] = (frame){.node = start};
    w->state[start] = OPEN;
    while (w->depth) {
        frame *top = &w->stack[w->depth - 1];
        sdx_id id = SDX_NONE;
        if (!next_read(w->graph->nodes[top->node], top, &id)) {
            w->state[top->node] = DONE;
            w->sorted[w->n_sorted++] = w->graph->nodes[top->node];
            w->depth--;
            continue;
        }
        int producer = id == SDX_NONE ? -1 : w->graph->values[id].producer;
        if (producer < 0 || w->state[producer] == DONE) continue;
        if (w->state[producer] == OPEN) {
            char place[256];
            return sdx_fail(error, SDX_MALFORMED, "%s is on a cycle: it needs its own output",
                            sdx_node_place(w->graph, w->graph->nodes[producer], place, sizeof place));
        }
        w->state[producer] = OPEN;
        w->stack[w->depth++] = (frame){.node = producer};
    }
    return SDX_OK;
}

static sdx_status reorder(sdx_graph *graph, sdx_arena *scratch, sdx_error *error) {
    walk w = {.graph = graph};
    w.state = SDX_NEW_ARRAY(scratch, unsigned char, graph->n_nodes, error);
    w.stack = SDX_NEW_ARRAY(scratch, frame, graph->n_nodes, error);
    w.sorted = SDX_NEW_ARRAY(scratch, sdx_node *, graph->n_nodes, error);
    if (!w.state || !w.stack || !w.sorted) return SDX_OUT_OF_MEMORY;
    for (int k = 0; k < graph->n_nodes; k++)
        if (w.state[k] == WAITING) SDX_TRY(visit(&w, k, error));
    memcpy(graph->nodes, w.sorted, (size_t)graph->n_nodes * sizeof *graph->nodes);
    return set_producers(graph, error);
}

sdx_status sdx_graph_sort(sdx_graph *graph, sdx_error *error) {
    SDX_TRY(set_producers(graph, error));
    if (in_order(graph)) return SDX_OK;
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    sdx_status status = reorder(graph, &scratch, error);
    sdx_arena_release(&scratch);
    return status;
}

void sdx_graph_count_uses(const sdx_graph *graph, int32_t *uses) {
    memset(uses, 0, (size_t)graph->n_values * sizeof *uses);
    for (int k = 0; k < graph->n_nodes; k++) {
        frame f = {.node = k};
        sdx_id id = SDX_NONE;
        while (next_read(graph->nodes[k], &f, &id))
            if (id != SDX_NONE) uses[id]++;
    }
    for (int k = 0; k < graph->n_outputs; k++) uses[graph->outputs[k]]++;
}
