/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/train/portable.h"
#include "runtime/load/load.h"

sdx_status sdx_make_portable(sdx_graph *graph, bool undifferentiable, sdx_error *error) {
    for (bool again = true; again;) {
        sdx_patch patch;
        const int n = graph->n_nodes;
        again = false;
        sdx_patch_begin(&patch, graph, error);
        for (int i = 0; i < n; i++) {
            const sdx_node *node = graph->nodes[i];
            if (!node->op || !node->op->expand || (undifferentiable && node->op->grad)) continue;
            patch.origin = node;
            again = true;
            SDX_TRY(node->op->expand(&patch, node, node->params));
        }
        if (!again) return SDX_OK;
        SDX_TRY(sdx_patch_commit(&patch));
        SDX_TRY(sdx_settle_graph(graph, error));
    }
    return SDX_OK;
}
