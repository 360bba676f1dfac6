/* SPDX-License-Identifier: Apache-2.0
 * Every invariant that graph.h states. What it finds is a bug of a pass, or of whoever built the graph. */
#include "runtime/base/names.h"
#include "runtime/graph/graph.h"
#include <string.h>

typedef struct checker {
    const sdx_graph *graph;
    sdx_error *error;
    sdx_arena *scratch;
    unsigned char *ready; /* per value: an input, constant or capture, or an output of a node before this one */
} checker;

static const char *quoted(const checker *c, sdx_id id, char out[128]) {
    const char *name = c->graph->values[id].name;
    return sdx_escape(out, 128, name, strlen(name));
}

static sdx_status broken_node(const checker *c, const sdx_node *node, const char *what) {
    char place[256];
    return sdx_fail(c->error, SDX_MALFORMED, "%s: %s", sdx_node_place(c->graph, node, place, sizeof place), what);
}

static bool in_range(const checker *c, sdx_id id) { return id >= 0 && id < c->graph->n_values; }

static sdx_status check_names(const checker *c) {
    sdx_names names;
    char name[128];
    sdx_names_init(&names, c->scratch);
    for (sdx_id id = 0; id < c->graph->n_values; id++) {
        const char *text = c->graph->values[id].name;
        if (!text) return sdx_fail(c->error, SDX_MALFORMED, "value %d has no name", id);
        if (sdx_names_get(&names, text, -1) >= 0)
            return sdx_fail(c->error, SDX_MALFORMED, "two values are called '%s'", quoted(c, id, name));
        SDX_TRY(sdx_names_put(&names, text, id, c->error));
    }
    return SDX_OK;
}

static sdx_status check_interface(const checker *c) {
    const sdx_graph *graph = c->graph;
    char name[128];
    for (sdx_id id = 0; id < graph->n_values; id++) c->ready[id] = graph->values[id].constant != NULL;
    for (int k = 0; k < graph->n_inputs; k++) {
        if (!in_range(c, graph->inputs[k])) return sdx_fail(c->error, SDX_MALFORMED, "input %d does not exist", k);
        if (!graph->values[graph->inputs[k]].is_input)
            return sdx_fail(c->error, SDX_MALFORMED, "input '%s' is not marked", quoted(c, graph->inputs[k], name));
        c->ready[graph->inputs[k]] = true;
    }
    for (int k = 0; k < graph->n_captures; k++) {
        const sdx_capture *capture = &graph->captures[k];
        if (!graph->parent || capture->outer < 0 || capture->outer >= graph->parent->n_values ||
            !in_range(c, capture->inner))
            return sdx_fail(c->error, SDX_MALFORMED, "capture %d is out of range", k);
        c->ready[capture->inner] = true;
    }
    return SDX_OK;
}

static sdx_status check_node(checker *c, int index) {
    const sdx_node *node = c->graph->nodes[index];
    char name[128], place[256];
    sdx_node_place(c->graph, node, place, sizeof place);
    for (int k = 0; k < node->n_in; k++) {
        sdx_id id = node->in[k];
        if (id == SDX_NONE) continue;
        if (!in_range(c, id)) return broken_node(c, node, "an input does not exist");
        if (!c->ready[id])
            return sdx_fail(c->error, SDX_MALFORMED, "%s: input '%s' is read before it is made", place,
                            quoted(c, id, name));
    }
    if (node->n_in && node->in[node->n_in - 1] == SDX_NONE) return broken_node(c, node, "a trailing input is absent");
    for (int b = 0; b < node->n_bodies; b++) {
        const sdx_graph *body = node->bodies[b];
        if (body->parent != c->graph) return broken_node(c, node, "a body has another parent");
        for (int k = 0; k < body->n_captures; k++) {
            sdx_id outer = body->captures[k].outer;
            if (!in_range(c, outer) || !c->ready[outer]) return broken_node(c, node, "a capture is not made before");
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        sdx_id id = node->out[k];
        if (id == SDX_NONE) continue;
        if (!in_range(c, id)) return broken_node(c, node, "an output does not exist");
        if (c->ready[id]) return broken_node(c, node, "an output is made twice");
        if (c->graph->values[id].producer != index) return broken_node(c, node, "the producer of an output is wrong");
        c->ready[id] = true;
    }
    return SDX_OK;
}

static sdx_status check_graph(const sdx_graph *graph, sdx_arena *scratch, sdx_error *error) {
    checker c = {graph, error, scratch, SDX_NEW_ARRAY(scratch, unsigned char, graph->n_values, error)};
    char name[128];
    if (!c.ready) return SDX_OUT_OF_MEMORY;
    SDX_TRY(check_names(&c));
    SDX_TRY(check_interface(&c));
    for (int k = 0; k < graph->n_nodes; k++) SDX_TRY(check_node(&c, k));
    for (int k = 0; k < graph->n_outputs; k++) {
        sdx_id id = graph->outputs[k];
        if (!in_range(&c, id)) return sdx_fail(error, SDX_MALFORMED, "output %d does not exist", k);
        if (!c.ready[id]) return sdx_fail(error, SDX_MALFORMED, "output '%s' is never made", quoted(&c, id, name));
    }
    for (int k = 0; k < graph->n_nodes; k++)
        for (int b = 0; b < graph->nodes[k]->n_bodies; b++)
            SDX_TRY(check_graph(graph->nodes[k]->bodies[b], scratch, error));
    return SDX_OK;
}

sdx_status sdx_graph_check(const sdx_graph *graph, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    sdx_status status = check_graph(graph, &scratch, error);
    sdx_arena_release(&scratch);
    return status;
}
