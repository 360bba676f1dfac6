/* SPDX-License-Identifier: Apache-2.0
 * Weights that lie inside the bodies of If, Loop and Scan move to the main graph, where training can reach them; the
 * bodies capture them. */
#include "runtime/train/prepare.h"
#include <string.h>

typedef struct hoister {
    sdx_preparation *p;
    int moved;
} hoister;

static bool is_weight(const sdx_graph *body, sdx_id id) {
    for (int k = 0; k < body->n_nodes; k++)
        for (int i = 0; i < body->nodes[k]->n_in; i++)
            if (body->nodes[k]->in[i] == id && sdx_use_role(NULL, &(sdx_use){body, body->nodes[k], i}) != SDX_USE_NONE)
                return true;
    return false;
}

/* The value of `graph` that is the main graph's `outer`: captured through every level between. */
static sdx_id captured(sdx_graph *graph, sdx_id outer, sdx_error *error) {
    if (!graph->parent) return outer;
    sdx_id above = captured(graph->parent, outer, error);
    return above == SDX_NONE ? SDX_NONE : sdx_graph_capture(graph, above, error);
}

static sdx_status rewire(sdx_preparation *p, sdx_graph *body, sdx_id old, sdx_id by) {
    sdx_id *replaced = SDX_NEW_ARRAY(p->arena, sdx_id, old + 1, p->error);
    if (!replaced) return sdx_prepare_failed(p);
    for (sdx_id id = 0; id <= old; id++) replaced[id] = id == old ? by : SDX_NONE;
    for (int k = 0; k < body->n_nodes; k++) {
        const sdx_node *node = body->nodes[k];
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] == old) sdx_node_set_input(body, node, i, by);
        for (int b = 0; b < node->n_bodies; b++) sdx_graph_remap_captures(node->bodies[b], replaced, old + 1);
    }
    return SDX_OK;
}

static sdx_status move(hoister *h, sdx_graph *body, sdx_id id) {
    sdx_preparation *p = h->p;
    const char *name = sdx_prepare_free_name(p, body->values[id].name);
    sdx_id outer = name ? sdx_graph_add_value(p->graph, name, NULL, p->error) : SDX_NONE;
    if (outer == SDX_NONE) return sdx_prepare_failed(p);
    sdx_graph_set_constant(p->graph, outer, body->values[id].constant);
    p->graph->values[outer].n_metadata = body->values[id].n_metadata;
    p->graph->values[outer].metadata = body->values[id].metadata;
    SDX_TRY(sdx_graph_forget_name(body, id, p->error)); /* the captured one has it now */
    sdx_id inner = captured(body, outer, p->error);
    if (inner == SDX_NONE) return sdx_prepare_failed(p);
    h->moved++;
    return rewire(p, body, id, inner);
}

/* Bodies nest at most SDX_MAX_BODY_DEPTH deep. */
static sdx_status visit(hoister *h, sdx_graph *body) {
    int n = body->n_values;
    for (sdx_id id = 0; body->parent && id < n; id++) {
        bool worth = sdx_prepare_candidate(body, id) && body->values[id].constant->tensor.count > 1;
        if (worth && is_weight(body, id)) SDX_TRY(move(h, body, id));
    }
    for (int k = 0; k < body->n_nodes; k++)
        for (int b = 0; b < body->nodes[k]->n_bodies; b++) SDX_TRY(visit(h, body->nodes[k]->bodies[b]));
    return SDX_OK;
}

sdx_status sdx_prepare_hoist(sdx_preparation *p) {
    hoister h = {.p = p};
    SDX_TRY(visit(&h, p->graph));
    if (!h.moved) return SDX_OK;
    return sdx_prepare_note(p, "%d tensor%s moved out of bodies into the main graph", h.moved,
                            h.moved > 1 ? "s are" : " is");
}
