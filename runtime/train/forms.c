/* SPDX-License-Identifier: Apache-2.0
 * From the edited model to its training form: variables become inputs, the loss finds what it reads. */
#include "runtime/train/prepare.h"
#include <string.h>

/* ---- what the loss reads ---- */

static sdx_id find_value(const sdx_graph *graph, const char *name) {
    for (sdx_id id = 0; id < graph->n_values; id++)
        if (strcmp(graph->values[id].name, name) == 0 &&
            (graph->values[id].producer >= 0 || graph->values[id].is_input))
            return id;
    return SDX_NONE;
}

sdx_status sdx_prepare_find_output(sdx_preparation *p, const sdx_graph *graph, int k, sdx_id *out) {
    const char *name = p->options->loss.output[k];
    if (!name && k >= graph->n_outputs)
        return sdx_fail(p->error, SDX_VALUE, "the loss takes %d outputs; the model has %d", k + 1, graph->n_outputs);
    *out = name ? find_value(graph, name) : graph->outputs[k];
    if (*out != SDX_NONE) return SDX_OK;
    const char **names = SDX_NEW_ARRAY(p->arena, const char *, graph->n_values, p->error);
    if (!names) return sdx_prepare_failed(p);
    int n = 0;
    for (sdx_id id = 0; id < graph->n_values; id++)
        if (graph->values[id].producer >= 0) names[n++] = graph->values[id].name;
    return sdx_prepare_no_match(p, "output of the loss", name, names, n);
}

/* ---- the final activation ---- */

/* Values that are y itself: behind Identity and Dropout that does not drop. */
static sdx_id unwrapped(const sdx_graph *graph, sdx_id y) {
    for (int steps = 0; steps < 8; steps++) {
        const sdx_node *node = sdx_prepare_producer(graph, y);
        if (!node || !sdx_node_is(node, "Identity")) return y;
        y = node->in[0];
    }
    return y;
}

/* Softmax before opset 13 is Flatten, Softmax, Reshape: the node in the middle. */
static const sdx_node *flat_softmax(const sdx_graph *graph, const sdx_node *reshape, sdx_id *x) {
    const sdx_node *softmax = sdx_node_is(reshape, "Reshape") ? sdx_prepare_producer(graph, reshape->in[0]) : NULL;
    const sdx_node *flatten = softmax && softmax->n_in > 0 ? sdx_prepare_producer(graph, softmax->in[0]) : NULL;
    const sdx_node *shape = reshape->n_in > 1 ? sdx_prepare_producer(graph, reshape->in[1]) : NULL;
    if (!flatten || !shape || !sdx_node_is(flatten, "Flatten") || !sdx_node_is(shape, "Shape")) return NULL;
    const sdx_attr *axis = sdx_node_attr(flatten, "axis");
    *x = flatten->in[0];
    const sdx_type *type = &graph->values[*x].type;
    bool over_classes = (!axis || axis->i == 1) && type->rank >= 2 && shape->in[0] == *x;
    for (int d = 2; d < type->rank; d++) over_classes &= type->dim[d] == 1;
    return over_classes ? softmax : NULL;
}

/* The classes are axis 1. */
static bool over_classes(const sdx_graph *graph, const sdx_node *softmax) {
    const sdx_attr *axis = sdx_node_attr(softmax, "axis");
    int rank = graph->values[softmax->in[0]].type.rank;
    int64_t at = axis ? axis->i : -1;
    return at == 1 || (rank > 0 && at + rank == 1);
}

static bool takes_logits(sdx_loss_kind kind, const sdx_node *node) {
    if (kind == SDX_LOSS_CROSS_ENTROPY) return sdx_node_is(node, "Softmax") || sdx_node_is(node, "LogSoftmax");
    return kind == SDX_LOSS_BCE_WITH_LOGITS && sdx_node_is(node, "Sigmoid");
}

static sdx_status bypass(sdx_preparation *p, const sdx_graph *graph, sdx_id *y) {
    sdx_id inner = unwrapped(graph, *y), x = SDX_NONE;
    const sdx_node *node = sdx_prepare_producer(graph, inner);
    if (!node || node->n_in == 0) return SDX_OK;
    const sdx_node *flat = flat_softmax(graph, node, &x);
    if (!flat) x = node->in[0];
    const sdx_node *activation = flat ? flat : node;
    if (!takes_logits(p->options->loss.kind, activation)) return SDX_OK;
    if (!flat && !sdx_node_is(activation, "Sigmoid") && !over_classes(graph, activation)) return SDX_OK;
    *y = x;
    char name[96];
    const char *text = sdx_prepare_node_name(graph, activation);
    return sdx_prepare_note(p,
                            "final %s '%s' is bypassed in training: the loss takes logits; it stays in the exported "
                            "model",
                            activation->op_type, sdx_escape(name, sizeof name, text, strlen(text)));
}

/* Ids are the same in both forms until one of them is patched. */
static sdx_status find_outputs(sdx_preparation *p) {
    int n = sdx_loss_outputs(p->options->loss.kind);
    for (int k = 0; k < n; k++) {
        sdx_id id = SDX_NONE;
        SDX_TRY(sdx_prepare_find_output(p, p->graph, k, &id));
        SDX_TRY(bypass(p, p->graph, &id));
        p->out->outputs[k] = p->out->evaluated[k] = id;
    }
    return SDX_OK;
}

void sdx_prepare_follow(const sdx_patch *patch, sdx_id ids[3]) {
    for (int k = 0; k < 3; k++)
        if (ids[k] != SDX_NONE && ids[k] < patch->n_replaced && patch->replaced[ids[k]] != SDX_NONE)
            ids[k] = patch->replaced[ids[k]];
}

/* ---- variables ---- */

static sdx_status variables_to_inputs(sdx_preparation *p) {
    sdx_graph *graph = p->out->training->graph;
    for (int k = 0; k < p->out->n_variables; k++) {
        sdx_id id = p->out->variables[k].id;
        sdx_graph_set_constant(graph, id, NULL);
        SDX_TRY(sdx_graph_add_input(graph, id, p->error));
    }
    return SDX_OK;
}

sdx_status sdx_prepare_describe(sdx_preparation *p, sdx_model *model) {
    const sdx_graph *graph = model->graph;
    sdx_type *types = SDX_NEW_ARRAY(&model->arena, sdx_type, graph->n_outputs, p->error);
    if (!types) return sdx_prepare_failed(p);
    for (int k = 0; k < graph->n_outputs; k++) types[k] = graph->values[graph->outputs[k]].type;
    return sdx_load_describe(model, types, p->error);
}

sdx_status sdx_prepare_training(sdx_preparation *p) {
    sdx_prepared *out = p->out;
    SDX_TRY(sdx_prepare_norm_export(p));
    SDX_TRY(sdx_settle_graph(p->graph, p->error));
    SDX_TRY(find_outputs(p));
    SDX_TRY(sdx_model_copy(out->inference, p->error, &out->training));
    SDX_TRY(variables_to_inputs(p));
    SDX_TRY(sdx_prepare_dropout(p));
    SDX_TRY(sdx_prepare_norm(p));
    SDX_TRY(sdx_settle_graph(out->training->graph, p->error));
    SDX_TRY(sdx_prepare_describe(p, out->training));
    SDX_TRY(sdx_prepare_dropout_export(p));
    return sdx_settle_graph(p->graph, p->error);
}
