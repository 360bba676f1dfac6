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

enum { MOST_VIEWS = 8 };

/* Nodes between an activation and the output that only look at it otherwise; output first. */
typedef struct views {
    const sdx_node *node[MOST_VIEWS];
    int n;
} views;

static bool is_view(const sdx_node *node) {
    static const char *const names[] = {"Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Cast"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        if (sdx_node_is(node, names[k])) return true;
    return false;
}

/* The same views of `x`. */
static sdx_status view_again(sdx_preparation *p, const views *v, sdx_id *x) {
    sdx_patch patch;
    sdx_patch_begin(&patch, p->graph, p->error);
    for (int k = v->n - 1; k >= 0; k--) {
        const sdx_node *view = v->node[k];
        if (sdx_node_is(view, "Identity")) continue;
        sdx_id in[2] = {*x, view->n_in > 1 ? view->in[1] : SDX_NONE};
        patch.origin = view;
        sdx_node *node = sdx_patch_node(&patch, "", view->op_type, view->n_in, in, 1);
        sdx_patch_attrs_of(&patch, node, view, NULL, 0);
        *x = node->out[0];
    }
    patch.origin = NULL;
    SDX_TRY(sdx_patch_commit(&patch));
    return sdx_settle_graph(p->graph, p->error);
}

/* Softmax before opset 13 is Flatten, Softmax, Reshape: the node in the middle. */
static const sdx_node *flat_softmax(const sdx_graph *graph, const sdx_node *reshape, sdx_id *x) {
    const sdx_node *softmax = sdx_node_is(reshape, "Reshape") ? sdx_graph_producer(graph, reshape->in[0]) : NULL;
    const sdx_node *flatten = softmax && softmax->n_in > 0 ? sdx_graph_producer(graph, softmax->in[0]) : NULL;
    const sdx_node *shape = reshape->n_in > 1 ? sdx_graph_producer(graph, reshape->in[1]) : NULL;
    if (!flatten || !shape || !sdx_node_is(flatten, "Flatten") || !sdx_node_is(shape, "Shape")) return NULL;
    const sdx_attr *axis = sdx_node_attr(flatten, "axis");
    *x = flatten->in[0];
    const sdx_type *type = &graph->values[*x].type;
    bool over_classes = (!axis || axis->i == 1) && type->rank >= 2 && shape->in[0] == *x;
    for (int d = 2; d < type->rank; d++) over_classes &= type->dim[d] == 1;
    return over_classes ? softmax : NULL;
}

/* The classes are axis 1, of the softmax and of what the loss reads. */
static bool over_classes(const sdx_graph *graph, const sdx_node *softmax, const views *v, sdx_id y) {
    const sdx_attr *axis = sdx_node_attr(softmax, "axis");
    const sdx_type *x = &graph->values[softmax->in[0]].type, *seen = &graph->values[y].type;
    int64_t at = axis ? axis->i : -1;
    bool classes = at == 1 || (x->rank > 0 && at + x->rank == 1), plain = true;
    for (int k = 0; k < v->n; k++) plain &= sdx_node_is(v->node[k], "Identity") || sdx_node_is(v->node[k], "Cast");
    if (!classes || plain) return classes;
    bool same = x->rank >= 2 && seen->rank >= 2 && x->dim[1] == seen->dim[1] && x->dim[1] != -1;
    for (int d = 2; d < x->rank; d++) same &= x->dim[d] == 1;
    for (int d = 2; d < seen->rank; d++) same &= seen->dim[d] == 1;
    return same;
}

static bool takes_logits(sdx_loss_kind kind, const sdx_node *node) {
    if (kind == SDX_LOSS_CROSS_ENTROPY) return sdx_node_is(node, "Softmax") || sdx_node_is(node, "LogSoftmax");
    return kind == SDX_LOSS_BCE_WITH_LOGITS && sdx_node_is(node, "Sigmoid");
}

/* The activation that makes y, behind views; x: what it reads. NULL: y comes from something else. */
static const sdx_node *find_activation(const sdx_graph *graph, sdx_loss_kind kind, sdx_id y, views *v, sdx_id *x) {
    v->n = 0;
    for (const sdx_node *node = sdx_graph_producer(graph, y); node && node->n_in > 0;
         node = sdx_graph_producer(graph, node->in[0])) {
        const sdx_node *flat = flat_softmax(graph, node, x);
        if (!flat) *x = node->in[0];
        if (takes_logits(kind, flat ? flat : node)) return flat ? flat : node;
        if (!is_view(node) || v->n == MOST_VIEWS) return NULL;
        v->node[v->n++] = node;
    }
    return NULL;
}

static sdx_status bypass(sdx_preparation *p, sdx_id *y) {
    views v;
    sdx_id x = SDX_NONE;
    char name[96];
    const sdx_node *activation = find_activation(p->graph, p->options->loss.kind, *y, &v, &x);
    if (!activation) return SDX_OK;
    const char *text = sdx_prepare_node_name(p->graph, activation);
    sdx_escape(name, sizeof name, text, strlen(text));
    bool flat = x != activation->in[0], sigmoid = sdx_node_is(activation, "Sigmoid");
    if (flat ? v.n > 0 : !sigmoid && !over_classes(p->graph, activation, &v, *y))
        return sdx_prepare_note(p,
                                "final %s '%s' is not over the axis of the classes, which is 1: it stays in training",
                                activation->op_type, name);
    SDX_TRY(sdx_prepare_note(p,
                             "final %s '%s' is bypassed in training: the loss takes logits; it stays in the exported "
                             "model",
                             activation->op_type, name));
    SDX_TRY(view_again(p, &v, &x));
    *y = x;
    return SDX_OK;
}

/* Ids are the same in both forms until one of them is patched. */
static sdx_status find_outputs(sdx_preparation *p) {
    int n = sdx_loss_outputs(p->options->loss.kind);
    for (int k = 0; k < n; k++) {
        sdx_id id = SDX_NONE;
        SDX_TRY(sdx_prepare_find_output(p, p->graph, k, &id));
        SDX_TRY(bypass(p, &id));
        p->out->outputs[k] = p->out->evaluated[k] = id;
    }
    return SDX_OK;
}

void sdx_prepare_follow(const sdx_patch *patch, sdx_id ids[3]) {
    for (int k = 0; k < 3; k++)
        if (ids[k] != SDX_NONE && ids[k] < patch->n_replaced && patch->replaced[ids[k]] != SDX_NONE)
            ids[k] = patch->replaced[ids[k]];
}

sdx_status sdx_drop_dead(sdx_graph *graph, const sdx_id *keep, int n_keep, sdx_error *error) {
    sdx_patch patch;
    int32_t *uses = SDX_NEW_ARRAY(graph->arena, int32_t, graph->n_values, error);
    if (!uses) return SDX_OUT_OF_MEMORY;
    sdx_graph_count_uses(graph, uses);
    for (int k = 0; k < n_keep; k++)
        if (keep[k] != SDX_NONE) uses[keep[k]]++;
    sdx_patch_begin(&patch, graph, error);
    for (int k = graph->n_nodes - 1; k >= 0; k--) {
        const sdx_node *node = graph->nodes[k];
        bool dead = true;
        for (int i = 0; i < node->n_out; i++) dead &= node->out[i] == SDX_NONE || !uses[node->out[i]];
        if (!dead) continue;
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] != SDX_NONE) uses[node->in[i]]--;
        for (int b = 0; b < node->n_bodies; b++)
            for (int c = 0; c < node->bodies[b]->n_captures; c++) uses[node->bodies[b]->captures[c].outer]--;
        sdx_patch_remove(&patch, node);
    }
    return sdx_patch_commit(&patch);
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
