/* SPDX-License-Identifier: Apache-2.0
 * Dropout drops in the training form and is taken out of the exported one. Masks come from the trainer's seed, step and
 * node: a seed in the file would give every step the same mask. */
#include "runtime/train/fill.h"
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
    const sdx_tensor *known = sdx_graph_tensor(patch->graph, ratio);
    if (known && known->count == 1) return sdx_patch_scalar(patch, dtype, 1 - sdx_tensor_element(known, 0));
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
    sdx_prepare_follow(&patch, p->out->outputs);
    if (!active) return SDX_OK;
    return sdx_prepare_note(p, "%d Dropout node%s in training%s; the exported model has none", active,
                            active > 1 ? "s drop" : " drops",
                            p->options->classic_dropout ? " with the file's ratio as probability of keeping" : "");
}

/* ---- dropout written out ---- */

/* Dropout of whole channels is exported as Cast(RandomUniformLike(..) < keep): 1 where a channel stays. */
static bool is_mask(const sdx_graph *graph, sdx_id id) {
    const sdx_node *node = sdx_graph_producer(graph, id);
    if (node && sdx_node_is(node, "Cast")) node = sdx_graph_producer(graph, node->in[0]);
    if (!node || !sdx_node_is(node, "Less")) return false;
    node = sdx_graph_producer(graph, node->in[0]);
    return node && sdx_node_is(node, "RandomUniformLike");
}

/* The operand that is not the given kind of value. */
static sdx_id beside(const sdx_graph *graph, const sdx_node *node, bool (*is)(const sdx_graph *, sdx_id)) {
    if (node->n_in != 2) return SDX_NONE;
    return is(graph, node->in[1]) ? node->in[0] : is(graph, node->in[0]) ? node->in[1] : SDX_NONE;
}

/* mask / keep */
static bool is_scaled_mask(const sdx_graph *graph, sdx_id id) {
    const sdx_node *node = sdx_graph_producer(graph, id);
    return node && sdx_node_is(node, "Div") && is_mask(graph, node->in[0]);
}

/* mask * a */
static bool is_alpha_scale(const sdx_graph *graph, sdx_id id) {
    const sdx_node *node = sdx_graph_producer(graph, id);
    return node && sdx_node_is(node, "Mul") && sdx_graph_tensor(graph, beside(graph, node, is_mask));
}

/* (mask - 1) * b + c */
static bool is_alpha_shift(const sdx_graph *graph, sdx_id id) {
    const sdx_node *node = sdx_graph_producer(graph, id);
    for (int steps = 0; node && steps < 3 && node->n_in == 2; steps++) {
        if (!sdx_node_is(node, "Add") && !sdx_node_is(node, "Mul")) return false;
        if (sdx_graph_tensor(graph, beside(graph, node, is_mask))) return true;
        bool first = sdx_graph_tensor(graph, node->in[0]) != NULL;
        if (!first && !sdx_graph_tensor(graph, node->in[1])) return false;
        node = sdx_graph_producer(graph, node->in[first]);
    }
    return false;
}

/* What such a dropout is applied to: x of x * (mask / keep), or of x * (mask * a) + ((mask - 1) * b + c). */
static sdx_id written_out(const sdx_graph *graph, const sdx_node *node) {
    if (sdx_node_is(node, "Mul")) return beside(graph, node, is_scaled_mask);
    if (!sdx_node_is(node, "Add")) return SDX_NONE;
    const sdx_node *scaled = sdx_graph_producer(graph, beside(graph, node, is_alpha_shift));
    return scaled && sdx_node_is(scaled, "Mul") ? beside(graph, scaled, is_alpha_scale) : SDX_NONE;
}

/* ---- the exported form ---- */

/* The mask is read: the node stays and does nothing. */
static void turn_off(sdx_patch *patch, const sdx_node *node) {
    sdx_id in[2] = {node->in[0], node->since >= 12 && node->n_in > 1 ? node->in[1] : SDX_NONE};
    sdx_node *off = sdx_patch_node(patch, "", "Dropout", in[1] == SDX_NONE ? 1 : 2, in, 2);
    sdx_patch_replace(patch, node->out[0], off->out[0]);
    sdx_patch_replace(patch, node->out[1], mask_like(patch, node, off->out[1]));
    sdx_patch_remove(patch, node);
}

static void take_out(sdx_patch *patch, const sdx_node *node, const int32_t *uses, int counts[2]) {
    const sdx_graph *graph = patch->graph;
    sdx_id x = sdx_node_is(node, "Dropout") ? node->in[0] : written_out(graph, node);
    if (x == SDX_NONE || node->out[0] == SDX_NONE) return;
    patch->origin = node;
    counts[!sdx_node_is(node, "Dropout")]++;
    if (node->n_out > 1 && node->out[1] != SDX_NONE && uses[node->out[1]]) {
        turn_off(patch, node);
        return;
    }
    sdx_patch_replace(patch, node->out[0], x);
    sdx_patch_remove(patch, node);
}

sdx_status sdx_prepare_dropout_export(sdx_preparation *p) {
    sdx_prepared *out = p->out;
    sdx_patch patch;
    int n = p->graph->n_nodes, counts[2] = {0, 0};
    int32_t *uses = SDX_NEW_ARRAY(p->arena, int32_t, p->graph->n_values, p->error);
    if (!uses) return sdx_prepare_failed(p);
    sdx_graph_count_uses(p->graph, uses);
    sdx_patch_begin(&patch, p->graph, p->error);
    for (int k = 0; k < n; k++) take_out(&patch, p->graph->nodes[k], uses, counts);
    patch.origin = NULL;
    SDX_TRY(sdx_patch_commit(&patch));
    sdx_prepare_follow(&patch, out->evaluated);
    for (int k = 0; k < out->n_inserted; k++) {
        sdx_id input[3] = {out->inserted[k].input, SDX_NONE, SDX_NONE};
        sdx_prepare_follow(&patch, input);
        out->inserted[k].input = input[0];
    }
    if (!counts[1]) return SDX_OK;
    /* What drew the masks goes; what the loss reads stays, whether it is an output or not. */
    SDX_TRY(sdx_drop_dead(p->graph, out->evaluated, 3, p->error));
    return sdx_prepare_note(p,
                            "%d dropout%s drawn by RandomUniformLike drop%s in training; the exported model has none",
                            counts[1], counts[1] > 1 ? "s" : "", counts[1] > 1 ? "" : "s");
}
