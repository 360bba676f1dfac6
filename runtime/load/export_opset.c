/* SPDX-License-Identifier: Apache-2.0
 * Which opset a graph can be written under. Nodes stand under rows of different ages: read ones under the file's opset,
 * upgraded and emitted ones under the newest. A node may be written under an opset whose row reads the same and
 * allows its types; the lowest one from the model's own opset on that fits all nodes is taken, so that other runtimes
 * can read the file. */
#include "runtime/load/export.h"
#include <string.h>

static bool types_fit(const exporter *e, const sdx_graph *graph, const sdx_node *node, const sdx_op_version *version) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, e->model->memory);
    const sdx_row *row = NULL;
    const sdx_type **in = SDX_NEW_ARRAY(&scratch, const sdx_type *, node->n_in, NULL);
    sdx_type *out = SDX_NEW_ARRAY(&scratch, sdx_type, node->n_out, NULL);
    bool fits = in && out && sdx_row_parse(version, &scratch, NULL, &row) == SDX_OK;
    for (int k = 0; fits && k < node->n_in; k++)
        in[k] = node->in[k] == SDX_NONE ? NULL : &graph->values[node->in[k]].type;
    fits = fits && sdx_load_unify(row, node->n_in, in, node->n_out, out, &scratch, NULL) == SDX_OK;
    for (int k = 0; fits && k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) out[k] = graph->values[node->out[k]].type;
    fits = fits && sdx_load_check_outputs(row, node->n_out, out, NULL) == SDX_OK;
    sdx_arena_release(&scratch);
    return fits;
}

static bool node_fits(const exporter *e, const sdx_graph *graph, const sdx_node *node, int opset) {
    const sdx_op_version *version = sdx_op_version_at(node->op, opset);
    if (!version || version == node->version) return version != NULL;
    if (strcmp(version->signature, node->version->signature) != 0) return false;
    if (strcmp(version->attributes, node->version->attributes) != 0) return false;
    return strcmp(version->types, node->version->types) == 0 || types_fit(e, graph, node, version);
}

static bool graph_fits(const exporter *e, const sdx_graph *graph, const char *domain, int opset) {
    for (int k = 0; k < graph->n_nodes; k++) {
        const sdx_node *node = graph->nodes[k];
        if (node->op && strcmp(node->domain, domain) == 0 && !node_fits(e, graph, node, opset)) return false;
        for (int b = 0; b < node->n_bodies; b++)
            if (!graph_fits(e, node->bodies[b], domain, opset)) return false;
    }
    return true;
}

/* The newest row any operator of the domain has. */
static int newest_opset(const char *domain) {
    int newest = 1;
    for (size_t k = 0; k < sdx_ops_count; k++) {
        const sdx_op_version *version = sdx_op_newest(sdx_ops[k]);
        if (strcmp(sdx_ops[k]->domain, domain) == 0 && version && version->since > newest) newest = version->since;
    }
    return newest;
}

static int choose_opset(const exporter *e, const char *domain) {
    int64_t declared = sdx_model_imports(e->model, domain);
    int newest = newest_opset(domain), first = declared > 0 ? (int)declared : 1;
    if (first > newest) newest = first;
    for (int opset = first; opset <= newest; opset++)
        if (graph_fits(e, e->model->graph, domain, opset)) return opset;
    return newest;
}

static bool uses_domain(const sdx_graph *graph, const char *domain) {
    for (int k = 0; k < graph->n_nodes; k++) {
        if (strcmp(graph->nodes[k]->domain, domain) == 0) return true;
        for (int b = 0; b < graph->nodes[k]->n_bodies; b++)
            if (uses_domain(graph->nodes[k]->bodies[b], domain)) return true;
    }
    return false;
}

static sdx_status add_opset(exporter *e, const char *domain) {
    sdx_opset *opset = &e->opsets[e->n_opsets];
    *opset = (sdx_opset){domain, choose_opset(e, domain)};
    e->n_opsets++;
    return SDX_OK;
}

/* The model's domains, and those that passes or functions brought in. */
sdx_status sdx_export_opsets(exporter *e) {
    static const char *const known[] = {"", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training"};
    const sdx_model *model = e->model;
    e->opsets = SDX_NEW_ARRAY(e->arena, sdx_opset, model->n_opsets + 4, e->error);
    if (!e->opsets) return SDX_OUT_OF_MEMORY;
    for (int k = 0; k < model->n_opsets; k++) SDX_TRY(add_opset(e, model->opsets[k].domain));
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
        if (!sdx_model_imports(model, known[k]) && uses_domain(model->graph, known[k])) SDX_TRY(add_opset(e, known[k]));
    return SDX_OK;
}

int sdx_export_opset_of(const exporter *e, const char *domain) {
    for (int k = 0; k < e->n_opsets; k++)
        if (strcmp(e->opsets[k].domain, domain) == 0) return (int)e->opsets[k].version;
    return 0;
}

/* The IR version that came with an opset of the default domain. Weights that are no inputs need 4. */
int64_t sdx_export_ir_version(const exporter *e) {
    static const struct {
        int opset, ir;
    } steps[] = {{9, 4}, {10, 5}, {11, 6}, {12, 7}, {15, 8}, {19, 9}, {21, 10}, {23, 11}, {24, 12}, {25, 13}, {28, 14}};
    int64_t ir = e->model->ir_version > 4 ? e->model->ir_version : 4;
    int opset = sdx_export_opset_of(e, "");
    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++)
        if (opset >= steps[k].opset && steps[k].ir > ir) ir = steps[k].ir;
    return ir;
}
