/* SPDX-License-Identifier: Apache-2.0
 * BatchNormalization in evaluation form goes into the weights before it: with a = scale / sqrt(var + epsilon), W' = W a
 * and B' = (B - mean) a + bias per output channel of a Conv, ConvTranspose or Gemm that nobody else reads. */
#include "runtime/load/load.h"
#include "runtime/train/fill.h"
#include "runtime/train/prepare.h"
#include <math.h>
#include <string.h>

typedef struct folder {
    sdx_graph *graph;
    sdx_patch patch;
    sdx_memory *memory;
    int32_t *uses;
    int n;
} folder;

static double float_attr(const sdx_node *node, const char *name, double otherwise) {
    const sdx_attr *attr = sdx_node_attr(node, name);
    return attr ? (double)attr->f : otherwise;
}

/* The axis of the weights that counts output channels; -1: nothing to fold into. */
static int channel_axis(const folder *f, const sdx_node *node) {
    const sdx_tensor *w = node->n_in > 1 ? sdx_graph_tensor(f->graph, node->in[1]) : NULL;
    bool bias = node->n_in < 3 || node->in[2] == SDX_NONE || sdx_graph_tensor(f->graph, node->in[2]);
    if (!w || !bias || w->rank < 2) return -1;
    if (sdx_node_is(node, "Conv")) return 0;
    if (sdx_node_is(node, "ConvTranspose")) return sdx_node_int(node, "group", 1) == 1 ? 1 : -1;
    bool plain = float_attr(node, "alpha", 1) == 1 && float_attr(node, "beta", 1) == 1;
    return sdx_node_is(node, "Gemm") && plain ? sdx_node_int(node, "transB", 0) ? 0 : 1 : -1;
}

/* A bias that has one entry for each channel, or one for all. */
static bool fits(const sdx_tensor *bias, int64_t channels) {
    bool line =
        bias->count == 1 || (bias->rank > 0 && bias->dim[bias->rank - 1] == channels && bias->count == channels);
    return line && !isnan(sdx_tensor_element(bias, 0));
}

static const sdx_node *foldable(const folder *f, const sdx_node *norm, int *axis) {
    if (!sdx_node_is(norm, "BatchNormalization") || sdx_node_int(norm, "training_mode", 0) || norm->n_out != 1)
        return NULL;
    for (int k = 1; k < 5; k++)
        if (!sdx_graph_tensor(f->graph, norm->in[k])) return NULL;
    const sdx_node *node = sdx_graph_producer(f->graph, norm->in[0]);
    if (!node || f->uses[norm->in[0]] != 1) return NULL;
    *axis = channel_axis(f, node);
    if (*axis < 0) return NULL;
    const sdx_tensor *bias = node->n_in > 2 ? sdx_graph_tensor(f->graph, node->in[2]) : NULL;
    int64_t channels = sdx_graph_tensor(f->graph, norm->in[1])->count;
    if (sdx_graph_tensor(f->graph, node->in[1])->dim[*axis] != channels) return NULL;
    return !bias || fits(bias, channels) ? node : NULL;
}

static sdx_id keep(folder *f, sdx_value *value) {
    sdx_id id = value ? sdx_patch_constant(&f->patch, value) : SDX_NONE;
    if (!value && f->patch.status == SDX_OK) f->patch.status = SDX_OUT_OF_MEMORY;
    sdx_value_release(value);
    return id;
}

static sdx_id new_weight(folder *f, const sdx_tensor *w, int axis, const double *a) {
    sdx_value *value = sdx_value_new_tensor(f->memory, w->dtype, w->rank, w->dim, f->patch.error);
    int64_t inner = 1;
    for (int d = axis + 1; d < w->rank; d++) inner *= w->dim[d];
    for (int64_t k = 0; value && k < w->count; k++)
        sdx_tensor_put(&value->tensor, k, sdx_tensor_element(w, k) * a[k / inner % w->dim[axis]]);
    return keep(f, value);
}

static sdx_id new_bias(folder *f, const sdx_tensor *old, sdx_dtype dtype, int64_t channels, const double *a,
                       const double *b) {
    sdx_value *value = sdx_value_new_tensor(f->memory, dtype, 1, &channels, f->patch.error);
    for (int64_t c = 0; value && c < channels; c++) {
        double was = old ? sdx_tensor_element(old, old->count == 1 ? 0 : c) : 0;
        sdx_tensor_put(&value->tensor, c, was * a[c] + b[c]);
    }
    return keep(f, value);
}

static sdx_status fold(folder *f, const sdx_node *norm, const sdx_node *node, int axis) {
    const sdx_tensor *in[5] = {NULL};
    for (int k = 1; k < 5; k++) in[k] = sdx_graph_tensor(f->graph, norm->in[k]);
    const sdx_tensor *w = sdx_graph_tensor(f->graph, node->in[1]);
    const sdx_tensor *old = node->n_in > 2 ? sdx_graph_tensor(f->graph, node->in[2]) : NULL;
    int64_t channels = in[1]->count;
    double epsilon = float_attr(norm, "epsilon", 1e-5),
           *a = SDX_NEW_ARRAY(f->graph->arena, double, 2 * channels, f->patch.error);
    if (!a) return SDX_OUT_OF_MEMORY;
    for (int64_t c = 0; c < channels; c++) {
        a[c] = sdx_tensor_element(in[1], c) / sqrt(sdx_tensor_element(in[4], c) + epsilon);
        a[channels + c] = sdx_tensor_element(in[2], c) - sdx_tensor_element(in[3], c) * a[c];
    }
    sdx_id inputs[3] = {node->in[0], new_weight(f, w, axis, a), new_bias(f, old, w->dtype, channels, a, a + channels)};
    f->patch.origin = node;
    sdx_node *folded = sdx_patch_node(&f->patch, "", node->op_type, 3, inputs, 1);
    sdx_patch_attrs_of(&f->patch, folded, node, NULL, 0);
    sdx_patch_replace(&f->patch, norm->out[0], folded->out[0]);
    sdx_patch_remove(&f->patch, norm);
    sdx_patch_remove(&f->patch, node);
    f->patch.origin = NULL;
    f->n++;
    return f->patch.status;
}

/* A chain of several goes one after the other: each round may make room for the next. */
static sdx_status fold_round(folder *f, sdx_error *error) {
    int n = f->graph->n_nodes, axis = -1;
    f->uses = SDX_NEW_ARRAY(f->graph->arena, int32_t, f->graph->n_values, error);
    if (!f->uses) return SDX_OUT_OF_MEMORY;
    sdx_graph_count_uses(f->graph, f->uses);
    sdx_patch_begin(&f->patch, f->graph, error);
    for (int k = 0; k < n; k++) {
        const sdx_node *norm = f->graph->nodes[k], *node = foldable(f, norm, &axis);
        if (node) SDX_TRY(fold(f, norm, node, axis));
    }
    SDX_TRY(sdx_patch_commit(&f->patch));
    return sdx_settle_graph(f->graph, error);
}

sdx_status sdx_fold_norms(sdx_model *model, sdx_error *error, int *folded) {
    *folded = 0;
    folder f = {.graph = model->graph, .memory = model->memory};
    int before;
    do {
        before = f.n;
        SDX_TRY(fold_round(&f, error));
    } while (f.n > before);
    *folded = f.n;
    return SDX_OK;
}
