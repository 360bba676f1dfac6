/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/train/expand_internal.h"
#include "runtime/load/load.h"
#include <stdio.h>
#include <string.h>

static bool is_internal(const sdx_node *node) { return node->op && (node->op->flags & SDX_OP_INTERNAL); }

static void list_stuck(const sdx_graph *graph, char *text, size_t capacity) {
    for (int i = 0; i < graph->n_nodes; i++) {
        const sdx_node *node = graph->nodes[i];
        char place[192];
        size_t used = strlen(text);
        if (is_internal(node) && !node->op->expand && used + 220 < capacity)
            snprintf(text + used, capacity - used, "%s%s", used ? ", " : "",
                     sdx_node_place(graph, node, place, sizeof place));
        for (int b = 0; b < node->n_bodies; b++) list_stuck(node->bodies[b], text, capacity);
    }
}

/* One sweep; what an operator is written out as may be internal itself. */
static sdx_status sweep(sdx_graph *graph, bool all, bool *changed, sdx_error *error) {
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, error);
    for (int i = 0, n = graph->n_nodes; i < n; i++) {
        const sdx_node *node = graph->nodes[i];
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(sweep(node->bodies[b], all, changed, error));
        if (!is_internal(node) || (!all && (node->op->grad || !node->op->expand))) continue;
        char place[192];
        patch.origin = node;
        if (node->op->expand(&patch, node, node->params) || patch.status)
            return sdx_error_context(error, "writing out %s", sdx_node_place(graph, node, place, sizeof place));
        sdx_patch_remove(&patch, node);
        *changed = true;
    }
    SDX_TRY(sdx_patch_commit(&patch));
    return SDX_OK;
}

sdx_status sdx_expand_internal(sdx_graph *graph, sdx_error *error) {
    for (bool changed = true; changed;) {
        char stuck[900] = "";
        list_stuck(graph, stuck, sizeof stuck);
        if (*stuck) return sdx_fail(error, SDX_UNSUPPORTED, "standard operators cannot express %s", stuck);
        changed = false;
        SDX_TRY(sweep(graph, true, &changed, error));
        SDX_TRY(sdx_settle_graph(graph, error));
    }
    return SDX_OK;
}

sdx_status sdx_expand_undifferentiable(sdx_graph *graph, sdx_error *error) {
    for (bool changed = true; changed;) {
        changed = false;
        SDX_TRY(sweep(graph, false, &changed, error));
        if (changed) SDX_TRY(sdx_settle_graph(graph, error));
    }
    return SDX_OK;
}
