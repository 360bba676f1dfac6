/* SPDX-License-Identifier: Apache-2.0
 * Dropout drops in the training form and is taken out of the exported one. Masks come from the trainer's seed, step and
 * node: a seed in the file would give every step the same mask. */
#include "runtime/train/prepare.h"
#include <string.h>

/* The probability of dropping: the file's ratio, or what is left of it when the file means the probability of keeping.
 */
static sdx_id ratio_of(sdx_preparation *p, sdx_patch *patch, const sdx_node *node) {
    const sdx_attr *attr = sdx_node_attr(node, "ratio");
    sdx_id ratio = node->since >= 12 && node->n_in > 1 ? node->in[1] : SDX_NONE;
    if (ratio == SDX_NONE) ratio = sdx_patch_scalar(patch, SDX_F32, node->since < 12 && attr ? (double)attr->f : 0.5);
    if (!p->options->classic_dropout) return ratio;
    sdx_dtype dtype = patch->graph->values[ratio].type.dtype;
    return sdx_emit2(patch, "Sub", sdx_patch_scalar(patch, dtype, 1), ratio);
}

/* The mask as the old node gave it: of the data's type in versions 1 to 7. */
static sdx_id mask_like(sdx_patch *patch, const sdx_node *node, sdx_id mask) {
    if (node->since >= 10) return mask;
    sdx_node *cast = sdx_patch_node(patch, "", "Cast", 1, &mask, 1);
    sdx_patch_int(patch, cast, "to", (int64_t)patch->graph->values[node->out[0]].type.dtype);
    return cast->out[0];
}

static sdx_status turn_on(sdx_preparation *p, sdx_patch *patch, const sdx_node *node) {
    bool yes = true;
    sdx_tensor scalar;
    SDX_TRY(sdx_tensor_make(&scalar, SDX_BOOL, 0, NULL, &yes, p->error));
    bool masked = node->n_out > 1 && node->out[1] != SDX_NONE;
    sdx_id in[3] = {node->in[0], ratio_of(p, patch, node), sdx_patch_tensor(patch, &scalar)};
    patch->origin = node;
    sdx_node *drop = sdx_patch_node(patch, "", "Dropout", 3, in, masked ? 2 : 1);
    sdx_patch_replace(patch, node->out[0], drop->out[0]);
    if (masked) sdx_patch_replace(patch, node->out[1], mask_like(patch, node, drop->out[1]));
    sdx_patch_remove(patch, node);
    patch->origin = NULL;
    return patch->status;
}

sdx_status sdx_prepare_dropout(sdx_preparation *p) {
    sdx_graph *graph = p->out->training->graph;
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, p->error);
    int n = graph->n_nodes, active = 0;
    for (int k = 0; k < n; k++) {
        const sdx_node *node = graph->nodes[k];
        if (!sdx_node_is(node, "Dropout") || node->out[0] == SDX_NONE) continue;
        SDX_TRY(turn_on(p, &patch, node));
        active++;
    }
    SDX_TRY(sdx_patch_commit(&patch));
    if (active)
        SDX_TRY(sdx_prepare_note(p, "%d Dropout node%s drop%s in training", active, active > 1 ? "s" : "",
                                 active > 1 ? "" : "s"));
    return SDX_OK;
}
