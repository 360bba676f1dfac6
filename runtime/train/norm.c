/* SPDX-License-Identifier: Apache-2.0
 * Modes of BatchNormalization in the training form: batch statistics with running ones that follow, or running ones. */
#include "runtime/train/prepare.h"
#include <string.h>

static sdx_variable *variable_of(sdx_preparation *p, sdx_id id) {
    for (int k = 0; k < p->out->n_variables; k++)
        if (p->out->variables[k].id == id) return &p->out->variables[k];
    return NULL;
}

static sdx_norm_mode mode_of(sdx_preparation *p, const sdx_node *node) {
    sdx_norm_mode mode = p->options->norm_mode;
    const sdx_variable *scale = variable_of(p, node->in[1]), *shift = variable_of(p, node->in[2]);
    if (mode != SDX_NORM_AUTO) return mode;
    return (scale && scale->trained) || (shift && shift->trained) ? SDX_NORM_BATCH_UPDATE : SDX_NORM_FROZEN;
}

static sdx_status set_mode(sdx_preparation *p, sdx_patch *patch, const sdx_node *node) {
    sdx_norm_mode mode = mode_of(p, node);
    if (mode != SDX_NORM_BATCH_UPDATE && mode != SDX_NORM_BATCH) return SDX_OK;
    patch->origin = node;
    static const char *const dropped[] = {"training_mode"};
    sdx_node *batch = sdx_patch_node(patch, "", "BatchNormalization", node->n_in, node->in, 3);
    sdx_patch_attrs_of(patch, batch, node, dropped, 1);
    sdx_patch_int(patch, batch, "training_mode", 1);
    sdx_patch_replace(patch, node->out[0], batch->out[0]);
    sdx_patch_remove(patch, node);
    patch->origin = NULL;
    for (int k = 0; k < 2 && mode == SDX_NORM_BATCH_UPDATE; k++) {
        sdx_variable *state = variable_of(p, node->in[3 + k]);
        if (state) state->next = batch->out[1 + k];
    }
    return patch->status;
}

sdx_status sdx_prepare_norm(sdx_preparation *p) {
    sdx_graph *graph = p->out->training->graph;
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, p->error);
    int n = graph->n_nodes;
    for (int k = 0; k < n; k++)
        if (sdx_node_is(graph->nodes[k], "BatchNormalization")) SDX_TRY(set_mode(p, &patch, graph->nodes[k]));
    return sdx_patch_commit(&patch);
}
