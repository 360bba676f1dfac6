/* SPDX-License-Identifier: Apache-2.0
 * What the framework checks so that no operator has to: arity, names and types of attributes; then op->bind. */
#include "runtime/load/internal.h"
#include <stdio.h>
#include <string.h>

sdx_status sdx_load_at_node(const sdx_graph *graph, const sdx_node *node, sdx_status status, sdx_error *error) {
    char place[320];
    /* In deep nests the innermost places are the ones that help; the cause must not be pushed out of the record. */
    if (!error || error->status == SDX_OK || strlen(error->message) > sizeof error->message / 2) return status;
    return sdx_error_context(error, "%s", sdx_node_place(graph, node, place, sizeof place));
}

sdx_status sdx_load_row(sdx_graph *graph, sdx_node *node, sdx_error *error) {
    node->row = sdx_graph_get_row(graph, node->version);
    if (node->row) return SDX_OK;
    const sdx_row *row = NULL;
    SDX_TRY(sdx_row_parse(node->version, sdx_graph_main(graph)->arena, error, &row));
    SDX_TRY(sdx_graph_put_row(graph, node->version, row, error));
    node->row = row;
    return SDX_OK;
}

/* ---- arity ---- */

static int most_args(const sdx_row_arg *args, int n) { return n && args[n - 1].variadic ? INT32_MAX : n; }

static sdx_status check_inputs(const sdx_row *row, const sdx_node *node, sdx_error *error) {
    if (node->n_in > most_args(row->in, row->n_in))
        return sdx_fail(error, SDX_MALFORMED, "has %d inputs; at most %d are allowed", node->n_in, row->n_in);
    for (int k = 0; k < row->n_in; k++) {
        const sdx_row_arg *arg = &row->in[k];
        if (arg->optional || (arg->variadic && arg->least == 0)) continue;
        if (k >= node->n_in || node->in[k] == SDX_NONE)
            return sdx_fail(error, SDX_MALFORMED, "input '%s' is missing; it is required", arg->name);
    }
    return SDX_OK;
}

static sdx_status check_arity(const sdx_row *row, const sdx_node *node, sdx_error *error) {
    SDX_TRY(check_inputs(row, node, error));
    if (node->n_out > most_args(row->out, row->n_out))
        return sdx_fail(error, SDX_MALFORMED, "has %d outputs; at most %d are allowed", node->n_out, row->n_out);
    return SDX_OK;
}

/* ---- attributes ---- */

static const char *attr_type_name(sdx_attr_type type) {
    static const char *const names[] = {"undefined", "a float",         "an int",         "a string", "a tensor",
                                        "a graph",   "floats",          "ints",           "strings",  "tensors",
                                        "graphs",    "a sparse tensor", "sparse tensors", "a type",   "types"};
    return (unsigned)type < sizeof names / sizeof names[0] ? names[type] : names[0];
}

static sdx_status unknown_attr(const sdx_row *row, const char *name, sdx_error *error) {
    char found[96], known[400];
    size_t used = 0;
    snprintf(known, sizeof known, "it has none");
    for (int k = 0; k < row->n_attrs && used < sizeof known; k++) {
        int n = snprintf(known + used, sizeof known - used, "%s%s", k ? ", " : "it has ", row->attrs[k].attr.name);
        used += n > 0 ? (size_t)n : 0;
    }
    return sdx_fail(error, SDX_MALFORMED, "attribute '%s' does not exist in this version; %s",
                    sdx_escape(found, sizeof found, name, strlen(name)), known);
}

static sdx_status check_attrs(const sdx_row *row, const sdx_node *node, sdx_error *error) {
    for (int k = 0; k < node->n_attrs; k++) {
        const sdx_attr *attr = &node->attrs[k];
        const sdx_row_attr *want = sdx_row_attr_of(row, attr->name);
        if (!want) return unknown_attr(row, attr->name, error);
        if (want->attr.type != attr->type)
            return sdx_fail(error, SDX_MALFORMED, "attribute '%s' is %s; it must be %s", attr->name,
                            attr_type_name(attr->type), attr_type_name(want->attr.type));
    }
    for (int k = 0; k < row->n_attrs; k++)
        if (row->attrs[k].required && !sdx_node_attr(node, row->attrs[k].attr.name))
            return sdx_fail(error, SDX_MALFORMED, "attribute '%s' is missing; it is required", row->attrs[k].attr.name);
    return SDX_OK;
}

sdx_status sdx_load_check_node(const sdx_graph *graph, const sdx_node *node, sdx_error *error) {
    sdx_status status = check_arity(node->row, node, error);
    if (status == SDX_OK) status = check_attrs(node->row, node, error);
    return status == SDX_OK ? status : sdx_load_at_node(graph, node, status, error);
}

/* ---- params ---- */

static sdx_status bind_params(sdx_graph *graph, sdx_node *node, sdx_error *error) {
    void *params = NULL;
    if (node->op->params_size) {
        params = sdx_arena_alloc(graph->arena, node->op->params_size, error);
        if (!params) return SDX_OUT_OF_MEMORY;
    }
    if (node->op->bind) {
        sdx_bind bind = {.error = error, .node = node, .since = node->since, .arena = graph->arena};
        sdx_status status = node->op->bind(&bind, params);
        if (bind.status != SDX_OK) return bind.status;
        SDX_TRY(status);
    }
    node->params = params;
    return SDX_OK;
}

sdx_status sdx_bind_node(sdx_graph *graph, sdx_node *node, sdx_error *error) {
    if (!node->op) {
        node->op = sdx_op_find(node->domain, node->op_type);
        node->version = node->op ? sdx_op_newest(node->op) : NULL;
        if (!node->version)
            return sdx_load_at_node(graph, node, sdx_fail(error, SDX_UNSUPPORTED, "this operator is not implemented"),
                                    error);
        node->since = node->version->since;
    }
    if (!node->row) SDX_TRY(sdx_load_row(graph, node, error));
    SDX_TRY(sdx_load_check_node(graph, node, error));
    sdx_status status = bind_params(graph, node, error);
    return status == SDX_OK ? status : sdx_load_at_node(graph, node, status, error);
}

sdx_status sdx_load_bind_graph(sdx_graph *graph, sdx_error *error) {
    for (int k = 0; k < graph->n_nodes; k++) {
        sdx_node *node = graph->nodes[k];
        SDX_TRY(sdx_bind_node(graph, node, error));
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(sdx_load_bind_graph(node->bodies[b], error));
    }
    return SDX_OK;
}
