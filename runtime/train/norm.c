/* SPDX-License-Identifier: Apache-2.0
 * Modes of BatchNormalization. The exported form uses running statistics. In the training form a node takes the
 * batch's, with momentum 0 so that it hands them out as they are, and RunningStatistic makes the new running ones:
 * PyTorch's running variance is unbiased, the operator's is not. A node without running statistics of its own
 * (track_running_stats=False) stays as the file has it. */
#include "runtime/train/prepare.h"
#include <inttypes.h>
#include <string.h>

static sdx_variable *variable_of(sdx_preparation *p, sdx_id id) {
    for (int k = 0; k < p->out->n_variables; k++)
        if (p->out->variables[k].id == id) return &p->out->variables[k];
    return NULL;
}

/* Running statistics are variables, and nobody else reads what the node makes of them. */
static bool is_tracked(sdx_preparation *p, const int32_t *uses, const sdx_node *node) {
    if (!sdx_node_is(node, "BatchNormalization") || node->n_in < 5) return false;
    for (int k = 1; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && uses[node->out[k]]) return false;
    const sdx_variable *mean = variable_of(p, node->in[3]), *var = variable_of(p, node->in[4]);
    return mean && var && mean->role == SDX_ROLE_STATE && var->role == SDX_ROLE_STATE;
}

/* ---- modes ---- */

static bool matches(sdx_preparation *p, const sdx_graph *graph, const sdx_node *node, const char *pattern) {
    if (sdx_node_matches(graph, node, pattern)) return true;
    for (int k = 1; k < node->n_in; k++) {
        const sdx_variable *variable = variable_of(p, node->in[k]);
        if (variable && sdx_variable_matches(variable, pattern)) return true;
    }
    return false;
}

/* What the options say of the node; AUTO where they leave it open. */
static sdx_norm_mode wanted_mode(sdx_preparation *p, const sdx_graph *graph, const sdx_node *node) {
    sdx_norm_mode mode = p->options->norm_mode;
    for (size_t k = 0; k < p->options->n_norms; k++)
        if (matches(p, graph, node, p->options->norms[k].match)) mode = p->options->norms[k].mode;
    return mode;
}

static sdx_status check_rule(sdx_preparation *p, const sdx_norm_options *rule) {
    const char **names = SDX_NEW_ARRAY(p->arena, const char *, p->graph->n_nodes, p->error);
    int n = 0;
    if (!names) return sdx_prepare_failed(p);
    if (!rule->match) return sdx_fail(p->error, SDX_ARGUMENT, "'match' of a normalization's mode is NULL");
    for (int k = 0; k < p->graph->n_nodes; k++) {
        const sdx_node *node = p->graph->nodes[k];
        if (!sdx_node_is(node, "BatchNormalization")) continue;
        if (matches(p, p->graph, node, rule->match)) return SDX_OK;
        names[n++] = sdx_prepare_node_name(p->graph, node);
    }
    return sdx_prepare_no_match(p, "pattern of 'normalization'", rule->match, names, n);
}

sdx_status sdx_prepare_frozen_norms(sdx_preparation *p) {
    for (size_t k = 0; k < p->options->n_norms; k++) SDX_TRY(check_rule(p, &p->options->norms[k]));
    for (int k = 0; k < p->graph->n_nodes; k++) {
        const sdx_node *node = p->graph->nodes[k];
        if (!sdx_node_is(node, "BatchNormalization") || wanted_mode(p, p->graph, node) != SDX_NORM_FROZEN) continue;
        for (int i = 1; i < 3; i++) {
            sdx_variable *variable = variable_of(p, node->in[i]);
            if (variable) variable->trained = false;
        }
    }
    return SDX_OK;
}

/* ---- the exported form ---- */

static bool trains(const sdx_node *node) {
    const sdx_attr *mode = sdx_node_attr(node, "training_mode");
    return mode && mode->i;
}

static int32_t *count_uses(sdx_preparation *p, const sdx_graph *graph) {
    int32_t *uses = SDX_NEW_ARRAY(p->arena, int32_t, graph->n_values, p->error);
    if (uses) sdx_graph_count_uses(graph, uses);
    return uses;
}

/* The same node with other outputs and momentum; its Y takes the place of the old one's. */
static sdx_node *replacement(sdx_patch *patch, const sdx_node *node, bool batch) {
    static const char *const dropped[] = {"training_mode", "momentum"};
    patch->origin = node;
    sdx_node *next = sdx_patch_node(patch, "", "BatchNormalization", 5, node->in, batch ? 3 : 1);
    sdx_patch_attrs_of(patch, next, node, dropped, batch ? 2 : 1);
    if (batch) sdx_patch_int(patch, next, "training_mode", 1);
    if (batch) sdx_patch_float(patch, next, "momentum", 0);
    sdx_patch_replace(patch, node->out[0], next->out[0]);
    sdx_patch_remove(patch, node);
    return next;
}

sdx_status sdx_prepare_norm_export(sdx_preparation *p) {
    sdx_patch patch;
    int changed = 0, n = p->graph->n_nodes;
    const int32_t *uses = count_uses(p, p->graph);
    if (!uses) return sdx_prepare_failed(p);
    sdx_patch_begin(&patch, p->graph, p->error);
    for (int k = 0; k < n; k++) {
        const sdx_node *node = p->graph->nodes[k];
        if (!is_tracked(p, uses, node) || !trains(node)) continue;
        replacement(&patch, node, false);
        changed++;
    }
    patch.origin = NULL;
    SDX_TRY(sdx_patch_commit(&patch));
    if (!changed) return SDX_OK;
    return sdx_prepare_note(p,
                            "%d BatchNormalization node%s written in training form; the exported model uses running "
                            "statistics",
                            changed, changed > 1 ? "s were" : " was");
}

/* ---- the training form ---- */

static double momentum_of(const sdx_node *node) {
    const sdx_attr *attr = sdx_node_attr(node, "momentum");
    return attr ? (double)attr->f : (double)0.9f;
}

static bool frozen_by_name(const sdx_preparation *p, const sdx_variable *state) {
    for (size_t k = 0; k < p->options->freeze.n; k++)
        if (sdx_variable_matches(state, p->options->freeze.items[k])) return true;
    return false;
}

/* AUTO: a node whose scale and bias are both frozen keeps its statistics too, else a frozen backbone would drift. One
 * that has neither (affine=False) goes by the names of its statistics. */
static sdx_norm_mode mode_of(sdx_preparation *p, const sdx_graph *graph, const sdx_node *node) {
    sdx_norm_mode wanted = wanted_mode(p, graph, node);
    if (wanted != SDX_NORM_AUTO) return wanted;
    const sdx_variable *scale = variable_of(p, node->in[1]), *shift = variable_of(p, node->in[2]);
    if (!scale && !shift)
        return frozen_by_name(p, variable_of(p, node->in[3])) ? SDX_NORM_FROZEN : SDX_NORM_BATCH_UPDATE;
    return (scale && scale->trained) || (shift && shift->trained) ? SDX_NORM_BATCH_UPDATE : SDX_NORM_FROZEN;
}

static bool is_unbiased(const sdx_preparation *p) {
    return p->options->running_var == SDX_RUNNING_VAR_UNBIASED ||
           (p->options->running_var == SDX_RUNNING_VAR_AUTO && p->torch);
}

/* A module that is called twice updates its statistics twice, one after the other. */
static void follow(sdx_preparation *p, sdx_patch *patch, const sdx_node *old, const sdx_node *batch, int k) {
    sdx_variable *state = variable_of(p, old->in[3 + k]);
    sdx_id before = state->next == SDX_NONE ? state->id : state->next;
    sdx_id in[3] = {old->in[0], before, batch->out[1 + k]};
    sdx_node *next = sdx_patch_node(patch, "sdx", "RunningStatistic", 3, in, 1);
    sdx_patch_float(patch, next, "momentum", (float)momentum_of(old));
    sdx_patch_int(patch, next, "unbiased", k == 1 && is_unbiased(p));
    state->next = next->out[0];
}

/* Known before any batch is: one value per channel. */
static sdx_status check_values(sdx_preparation *p, const sdx_graph *graph, const sdx_node *node) {
    const sdx_type *type = &graph->values[node->in[0]].type;
    int64_t m = 1;
    for (int d = 0; d < type->rank; d++)
        if (d != 1) m = type->dim[d] == 1 ? m : -1;
    if (type->rank < 0 || m != 1) return SDX_OK;
    char place[320], text[128];
    return sdx_fail(p->error, SDX_SHAPE,
                    "%s: the batch is %s; statistics of a batch need more than one value per channel",
                    sdx_node_place(graph, node, place, sizeof place), sdx_type_text(type, text, sizeof text));
}

/* One place per channel and sample: the result would be the bias alone, whatever the input. */
static sdx_status check_instance(sdx_preparation *p, const sdx_graph *graph, const sdx_node *node) {
    const sdx_type *type = &graph->values[node->in[0]].type;
    bool one = type->rank >= 2;
    for (int d = 2; d < type->rank; d++) one &= type->dim[d] == 1;
    if (!one || !sdx_node_is(node, "InstanceNormalization")) return SDX_OK;
    char place[320], text[128];
    return sdx_fail(p->error, SDX_SHAPE, "%s: its input is %s; training needs more than one place per channel",
                    sdx_node_place(graph, node, place, sizeof place), sdx_type_text(type, text, sizeof text));
}

static sdx_status set_mode(sdx_preparation *p, sdx_patch *patch, const sdx_node *node, int counts[2]) {
    sdx_norm_mode mode = mode_of(p, patch->graph, node);
    bool batch = mode == SDX_NORM_BATCH_UPDATE || mode == SDX_NORM_BATCH;
    counts[batch]++;
    if (!batch) return SDX_OK;
    SDX_TRY(check_values(p, patch->graph, node));
    const sdx_node *next = replacement(patch, node, true);
    for (int k = 0; k < 2 && mode == SDX_NORM_BATCH_UPDATE; k++) follow(p, patch, node, next, k);
    return patch->status;
}

sdx_status sdx_prepare_norm(sdx_preparation *p) {
    sdx_graph *graph = p->out->training->graph;
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, p->error);
    int n = graph->n_nodes, counts[2] = {0, 0};
    const int32_t *uses = count_uses(p, graph);
    if (!uses) return sdx_prepare_failed(p);
    for (int k = 0; k < n; k++) {
        SDX_TRY(check_instance(p, graph, graph->nodes[k]));
        if (is_tracked(p, uses, graph->nodes[k])) SDX_TRY(set_mode(p, &patch, graph->nodes[k], counts));
    }
    patch.origin = NULL;
    SDX_TRY(sdx_patch_commit(&patch));
    sdx_prepare_follow(&patch, p->out->outputs);
    if (counts[1])
        SDX_TRY(sdx_prepare_note(p, "%d BatchNormalization node%s the statistics of the batch%s", counts[1],
                                 counts[1] > 1 ? "s use" : " uses",
                                 is_unbiased(p) ? "; running variances are unbiased" : ""));
    if (counts[0])
        SDX_TRY(sdx_prepare_note(p, "%d BatchNormalization node%s running statistics, which stay", counts[0],
                                 counts[0] > 1 ? "s use" : " uses"));
    return SDX_OK;
}
