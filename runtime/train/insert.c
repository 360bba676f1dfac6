/* SPDX-License-Identifier: Apache-2.0
 * Dropout and BatchNormalization behind nodes that a pattern names. The new node takes the old output's name, so
 * readers need not change. */
#include "runtime/train/fill.h"
#include "runtime/train/prepare.h"
#include <math.h>
#include <string.h>

/* The value `name` over `dims` of one number. */
static sdx_id constant(sdx_preparation *p, const char *name, sdx_dtype dtype, int rank, int64_t length, double number) {
    sdx_value *value = sdx_value_new_tensor(p->arena->memory, dtype, rank, &length, p->error);
    sdx_id id = value ? sdx_graph_add_value(p->graph, name, NULL, p->error) : SDX_NONE;
    if (value) sdx_fill_all(&value->tensor, number);
    if (id != SDX_NONE) sdx_graph_set_constant(p->graph, id, value);
    sdx_value_release(value);
    return id;
}

static sdx_id named(sdx_preparation *p, const char *base, const char *leaf, sdx_dtype dtype, int64_t n, double number) {
    const char *name = sdx_prepare_joined(p, base, ".", leaf);
    name = name ? sdx_prepare_free_name(p, name) : NULL;
    return name ? constant(p, name, dtype, 1, n, number) : SDX_NONE;
}

static sdx_status insert_dropout(sdx_preparation *p, const sdx_insert_options *o, sdx_id in, sdx_id out,
                                 const char *name) {
    double ratio = o->ratio == 0 ? 0.5 : o->ratio > 0 ? o->ratio : 0;
    if (!(o->ratio >= 0 || o->ratio == SDX_ZERO) || ratio >= 1)
        return sdx_fail(p->error, SDX_VALUE, "'dropout' behind '%s' is %g; it must be in [0, 1)", o->after, o->ratio);
    /* The file's ratios may mean keeping; the options' never do. */
    if (p->options->classic_dropout) ratio = 1 - ratio;
    sdx_id ids[2] = {in, constant(p, NULL, SDX_F32, 0, 0, ratio)};
    const char *node_name = sdx_prepare_joined(p, name, ".", "dropout");
    if (ids[1] == SDX_NONE || !node_name) return sdx_prepare_failed(p);
    return sdx_graph_add_node(p->graph, "", "Dropout", node_name, 2, ids, 1, &out, p->error) ? SDX_OK
                                                                                             : sdx_prepare_failed(p);
}

static sdx_status float_attr(sdx_preparation *p, sdx_node *node, const char *name, double value) {
    sdx_attr attr = {.name = name, .type = SDX_ATTR_FLOAT, .n = 1, .f = (float)value};
    return sdx_node_set_attr(p->graph, node, &attr, p->error);
}

static sdx_status remember(sdx_preparation *p, sdx_id input, const sdx_id ids[5], double epsilon) {
    sdx_prepared *out = p->out;
    sdx_inserted_norm *more = SDX_NEW_ARRAY(p->arena, sdx_inserted_norm, out->n_inserted + 1, p->error);
    if (!more) return sdx_prepare_failed(p);
    if (out->n_inserted) memcpy(more, out->inserted, (size_t)out->n_inserted * sizeof *more);
    more[out->n_inserted++] = (sdx_inserted_norm){input, ids[1], ids[2], ids[3], ids[4], epsilon};
    out->inserted = more;
    return SDX_OK;
}

static sdx_status insert_norm(sdx_preparation *p, const sdx_insert_options *o, sdx_id in, sdx_id out,
                              const char *name) {
    const sdx_type type = p->graph->values[in].type;
    double epsilon = o->epsilon == 0 ? 1e-5 : o->epsilon > 0 ? o->epsilon : 0;
    double momentum = o->momentum == 0 ? 0.9 : o->momentum > 0 ? o->momentum : 0;
    int64_t channels = type.rank == 1 ? 1 : type.rank > 1 ? type.dim[1] : -1;
    char text[128];
    if (channels < 0)
        return sdx_fail(p->error, SDX_SHAPE,
                        "a BatchNormalization behind '%s' needs a known number of channels; it is %s", name,
                        sdx_type_text(&type, text, sizeof text));
    if (o->epsilon < 0 && o->epsilon != SDX_ZERO)
        return sdx_fail(p->error, SDX_VALUE, "'epsilon' behind '%s' is %g; it must be >= 0", o->after, o->epsilon);
    if (momentum > 1) return sdx_fail(p->error, SDX_VALUE, "'momentum' is %g; it must be in [0, 1]", momentum);
    epsilon = (double)(float)epsilon;
    const char *base = sdx_prepare_joined(p, name, ".", "bn");
    if (!base) return sdx_prepare_failed(p);
    sdx_id ids[5] = {in, named(p, base, "weight", type.dtype, channels, sqrt(1 + epsilon)),
                     named(p, base, "bias", type.dtype, channels, 0),
                     named(p, base, "running_mean", type.dtype, channels, 0),
                     named(p, base, "running_var", type.dtype, channels, 1)};
    for (int k = 1; k < 5; k++)
        if (ids[k] == SDX_NONE) return sdx_prepare_failed(p);
    sdx_node *node = sdx_graph_add_node(p->graph, "", "BatchNormalization", base, 5, ids, 1, &out, p->error);
    if (!node) return sdx_prepare_failed(p);
    SDX_TRY(float_attr(p, node, "epsilon", epsilon));
    SDX_TRY(float_attr(p, node, "momentum", momentum));
    return remember(p, in, ids, epsilon);
}

static bool is_floating(const sdx_type *type) {
    return type->kind == SDX_TENSOR &&
           (type->dtype == SDX_F32 || type->dtype == SDX_F64 || type->dtype == SDX_F16 || type->dtype == SDX_BF16);
}

static sdx_status insert_behind(sdx_preparation *p, const sdx_insert_options *o, const sdx_node *node) {
    sdx_id out = node->out[0], in = sdx_node_move_output(p->graph, node, 0, p->error);
    const char *name = sdx_prepare_node_name(p->graph, node);
    if (!*node->name) name = p->graph->values[out].name;
    if (in == SDX_NONE) return sdx_prepare_failed(p);
    if (o->kind == SDX_INSERT_DROPOUT) return insert_dropout(p, o, in, out, name);
    if (o->kind == SDX_INSERT_BATCH_NORM) return insert_norm(p, o, in, out, name);
    return sdx_fail(p->error, SDX_ARGUMENT, "kind of an insert is %d; it must be 1 or 2", (int)o->kind);
}

static sdx_status no_node(sdx_preparation *p, const sdx_insert_options *o) {
    const char **names = SDX_NEW_ARRAY(p->arena, const char *, p->graph->n_nodes, p->error);
    if (!names) return sdx_prepare_failed(p);
    for (int k = 0; k < p->graph->n_nodes; k++) names[k] = sdx_prepare_node_name(p->graph, p->graph->nodes[k]);
    return sdx_prepare_no_match(p, "pattern of 'insert'", o->after, names, p->graph->n_nodes);
}

static sdx_status insert(sdx_preparation *p, const sdx_insert_options *o, int n_nodes) {
    int n = 0;
    if (!o->after) return sdx_fail(p->error, SDX_ARGUMENT, "'after' of an insert is NULL");
    for (int k = 0; k < n_nodes; k++) {
        const sdx_node *node = p->graph->nodes[k];
        if (node->n_out == 0 || node->out[0] == SDX_NONE || !sdx_node_matches(p->graph, node, o->after)) continue;
        if (!is_floating(&p->graph->values[node->out[0]].type)) continue;
        SDX_TRY(insert_behind(p, o, node));
        n++;
    }
    if (!n) return no_node(p, o);
    return sdx_prepare_note(p, "%d %s node%s inserted behind '%s'", n,
                            o->kind == SDX_INSERT_DROPOUT ? "Dropout" : "BatchNormalization", n > 1 ? "s are" : " is",
                            o->after);
}

/* The last one first: each goes right behind its node, so that they end up in the order they are listed. */
sdx_status sdx_prepare_inserts(sdx_preparation *p) {
    int n_nodes = p->graph->n_nodes;
    if (!p->options->n_inserts) return SDX_OK;
    for (size_t k = p->options->n_inserts; k-- > 0;) SDX_TRY(insert(p, &p->options->inserts[k], n_nodes));
    SDX_TRY(sdx_graph_sort(p->graph, p->error));
    return sdx_settle_graph(p->graph, p->error);
}

static int variable_index(const sdx_prepared *out, int id) {
    for (int k = 0; k < out->n_variables; k++)
        if (out->variables[k].id == id) return k;
    return -1;
}

/* Ids of tensors become indices of variables, now that these are known; in the order of the graph. */
void sdx_prepare_inserted(sdx_preparation *p) {
    sdx_prepared *out = p->out;
    for (int k = 0; k < out->n_inserted; k++) {
        sdx_inserted_norm *norm = &out->inserted[k];
        norm->scale = variable_index(out, norm->scale);
        norm->bias = variable_index(out, norm->bias);
        norm->mean = variable_index(out, norm->mean);
        norm->var = variable_index(out, norm->var);
    }
    for (int k = 1; k < out->n_inserted; k++)
        for (int i = k; i > 0; i--) {
            sdx_inserted_norm *a = &out->inserted[i - 1], *b = &out->inserted[i], t = *a;
            if (p->graph->values[a->input].producer <= p->graph->values[b->input].producer) break;
            *a = *b;
            *b = t;
        }
}
