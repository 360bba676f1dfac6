/* SPDX-License-Identifier: Apache-2.0
 * Old forms to newest ones, all of one graph through one patch. Constant nodes go first, so that an upgrade finds the
 * contents of its inputs in graph->values[].constant. */
#include "runtime/load/internal.h"
#include <string.h>

static bool is_constant(const sdx_node *node) {
    return strcmp(node->op_type, "Constant") == 0 && *node->domain == '\0';
}

static bool wants_upgrade(const sdx_node *node, bool constants) {
    if (!node->op || !node->op->upgrade || is_constant(node) != constants) return false;
    return constants || node->version != sdx_op_newest(node->op);
}

static sdx_status upgrade_nodes(sdx_graph *graph, bool constants, sdx_error *error) {
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, error);
    int n = graph->n_nodes;
    for (int k = 0; k < n; k++) {
        sdx_node *node = graph->nodes[k];
        if (!wants_upgrade(node, constants)) continue;
        SDX_TRY(sdx_load_row(graph, node, error));
        SDX_TRY(sdx_load_check_node(graph, node, error));
        patch.origin = node;
        sdx_status status = node->op->upgrade(&patch, node);
        if (status == SDX_OK) status = patch.status;
        if (status != SDX_OK) return sdx_load_at_node(graph, node, status, error);
    }
    patch.origin = NULL;
    return sdx_patch_commit(&patch);
}

sdx_status sdx_load_upgrade(sdx_graph *graph, sdx_error *error) {
    SDX_TRY(upgrade_nodes(graph, true, error));
    SDX_TRY(upgrade_nodes(graph, false, error));
    for (int k = 0; k < graph->n_nodes; k++)
        for (int b = 0; b < graph->nodes[k]->n_bodies; b++)
            SDX_TRY(sdx_load_upgrade(graph->nodes[k]->bodies[b], error));
    return SDX_OK;
}
