/* SPDX-License-Identifier: Apache-2.0
 * Takes out what does nothing (Identity, Dropout that does not train, Cast and CastLike to the same type) and what no
 * output needs: nodes, captures, constants. */
#include "ops/op.h"
#include "runtime/graph/patch.h"
#include "runtime/pass/pass.h"
#include <string.h>

typedef struct pruner {
    sdx_graph *graph;
    sdx_patch patch;
    int32_t *uses;
    bool *is_output;
} pruner;

static sdx_dtype dtype_of(const pruner *p, sdx_id id) {
    const sdx_type *type = &p->graph->values[id].type;
    return type->kind == SDX_TENSOR ? type->dtype : SDX_UNDEFINED;
}

static bool known_false(const pruner *p, sdx_id id) {
    const sdx_graph_value *value = &p->graph->values[id];
    if (!value->constant || value->is_input || value->constant->kind != SDX_TENSOR) return false;
    const sdx_tensor *tensor = &value->constant->tensor;
    return tensor->dtype == SDX_BOOL && tensor->count == 1 && !*(const bool *)tensor->data;
}

/* In its newest form, Dropout trains only when training_mode is given and true. */
static bool idle_dropout(const pruner *p, const sdx_node *node) {
    if (node->since < 12) return false;
    if (node->n_out > 1 && node->out[1] != SDX_NONE && p->uses[node->out[1]]) return false;
    return node->n_in < 3 || node->in[2] == SDX_NONE || known_false(p, node->in[2]);
}

static bool does_nothing(const pruner *p, const sdx_node *node) {
    if (node->n_in == 0 || node->in[0] == SDX_NONE || node->n_out == 0 || node->out[0] == SDX_NONE) return false;
    if (sdx_node_is(node, "Identity")) return true;
    if (sdx_node_is(node, "Dropout")) return idle_dropout(p, node);
    sdx_dtype from = dtype_of(p, node->in[0]);
    if (from == SDX_UNDEFINED) return false;
    if (sdx_node_is(node, "CastLike"))
        return node->n_in > 1 && node->in[1] != SDX_NONE && dtype_of(p, node->in[1]) == from;
    const sdx_attr *to = sdx_node_is(node, "Cast") ? sdx_node_attr(node, "to") : NULL;
    return to && to->type == SDX_ATTR_INT && to->i == (int64_t)from;
}

/* An output must keep a value of its own: its node stays when the input cannot take the output's name. */
static bool may_replace(const pruner *p, const sdx_node *node) {
    if (!p->is_output[node->out[0]]) return true;
    const sdx_graph_value *by = &p->graph->values[node->in[0]];
    return by->producer >= 0 && !p->is_output[node->in[0]];
}

static void bypass_nodes(pruner *p) {
    for (int k = 0; k < p->graph->n_nodes; k++) {
        const sdx_node *node = p->graph->nodes[k];
        if (!does_nothing(p, node) || !may_replace(p, node)) continue;
        if (p->is_output[node->out[0]]) p->is_output[node->in[0]] = true;
        sdx_patch_replace(&p->patch, node->out[0], node->in[0]);
        sdx_patch_remove(&p->patch, node);
    }
}

static bool is_dead(const pruner *p, const sdx_node *node) {
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && p->uses[node->out[k]]) return false;
    return true;
}

static void forget_reads(pruner *p, const sdx_node *node) {
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE) p->uses[node->in[k]]--;
    for (int b = 0; b < node->n_bodies; b++)
        for (int k = 0; k < node->bodies[b]->n_captures; k++) p->uses[node->bodies[b]->captures[k].outer]--;
}

static void remove_dead(pruner *p) {
    for (int k = p->graph->n_nodes - 1; k >= 0; k--) {
        const sdx_node *node = p->graph->nodes[k];
        if (!is_dead(p, node)) continue;
        forget_reads(p, node);
        sdx_patch_remove(&p->patch, node);
    }
}

static void drop_constants(pruner *p) {
    for (int id = 0; id < p->graph->n_values; id++)
        if (p->graph->values[id].constant && !p->graph->values[id].is_input && !p->uses[id])
            sdx_graph_set_constant(p->graph, id, NULL);
}

static sdx_status prune_graph(sdx_graph *graph, sdx_error *error);

static sdx_status prune_nodes(pruner *p, sdx_error *error) {
    sdx_graph_count_uses(p->graph, p->uses);
    for (int k = 0; k < p->graph->n_outputs; k++) p->is_output[p->graph->outputs[k]] = true;
    bypass_nodes(p);
    SDX_TRY(sdx_patch_commit(&p->patch));
    for (int k = 0; k < p->graph->n_nodes; k++)
        for (int b = 0; b < p->graph->nodes[k]->n_bodies; b++)
            SDX_TRY(prune_graph(p->graph->nodes[k]->bodies[b], error));
    sdx_graph_count_uses(p->graph, p->uses);
    sdx_patch_begin(&p->patch, p->graph, error);
    remove_dead(p);
    SDX_TRY(sdx_patch_commit(&p->patch));
    drop_constants(p);
    if (p->graph->parent) sdx_graph_drop_captures(p->graph, p->uses);
    return SDX_OK;
}

static sdx_status prune_graph(sdx_graph *graph, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    pruner p = {.graph = graph};
    /* Room for the values that commit may add: one for each output. */
    p.uses = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values + graph->n_outputs, error);
    p.is_output = SDX_NEW_ARRAY(&scratch, bool, graph->n_values + graph->n_outputs, error);
    sdx_patch_begin(&p.patch, graph, error);
    sdx_status status = p.uses && p.is_output ? prune_nodes(&p, error) : SDX_OUT_OF_MEMORY;
    sdx_arena_release(&scratch);
    return status;
}

sdx_status sdx_pass_prune(sdx_model *model, sdx_error *error) { return prune_graph(model->graph, error); }
