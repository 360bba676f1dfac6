/* SPDX-License-Identifier: Apache-2.0
 * Operators and rows for every node. A user of a model with unknown operators wants the whole list at once. */
#include "runtime/base/names.h"
#include "runtime/load/internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct unknown {
    const char *text; /* "Foo", "com.acme.Foo", "Gelu (needs opset 20, the model imports 17)" */
    int count;
} unknown;

typedef struct resolver {
    const sdx_model *model;
    sdx_arena *scratch;
    sdx_error *error;
    sdx_names seen;
    unknown *list;
    int n, capacity, nodes;
} resolver;

static sdx_status add_unknown(resolver *r, const char *text) {
    int at = sdx_names_get(&r->seen, text, -1);
    r->nodes++;
    if (at >= 0) {
        r->list[at].count++;
        return SDX_OK;
    }
    if (r->n == r->capacity) {
        int capacity = r->capacity ? r->capacity * 2 : 16;
        unknown *list = SDX_NEW_ARRAY(r->scratch, unknown, capacity, r->error);
        if (!list) return SDX_OUT_OF_MEMORY;
        if (r->n) memcpy(list, r->list, (size_t)r->n * sizeof *list);
        r->list = list;
        r->capacity = capacity;
    }
    char *copy = sdx_arena_copy(r->scratch, text, strlen(text), r->error);
    if (!copy) return SDX_OUT_OF_MEMORY;
    r->list[r->n] = (unknown){copy, 1};
    return sdx_names_put(&r->seen, copy, r->n++, r->error);
}

static sdx_status unknown_operator(resolver *r, const sdx_node *node, const sdx_op *op, int64_t opset) {
    char domain[64], type[64], text[256];
    sdx_escape(domain, sizeof domain, node->domain, strlen(node->domain));
    sdx_escape(type, sizeof type, node->op_type, strlen(node->op_type));
    const char *dot = *domain ? "." : "";
    if (op)
        snprintf(text, sizeof text, "%s%s%s (exists from opset %d, the model imports %" PRId64 ")", domain, dot, type,
                 op->versions[0].since, opset);
    else
        snprintf(text, sizeof text, "%s%s%s", domain, dot, type);
    return add_unknown(r, text);
}

static sdx_status resolve_node(resolver *r, const sdx_graph *graph, sdx_node *node) {
    int64_t opset = node->since ? node->since : sdx_model_imports(r->model, node->domain);
    const sdx_op *op = sdx_op_find(node->domain, node->op_type);
    if (op && (op->flags & SDX_OP_INTERNAL)) op = NULL;
    if (op && !opset)
        return sdx_load_at_node(graph, node,
                                sdx_fail(r->error, SDX_MALFORMED, "the model imports no opset of domain '%s'",
                                         *node->domain ? node->domain : "ai.onnx"),
                                r->error);
    const sdx_op_version *version = op ? sdx_op_version_at(op, (int)opset) : NULL;
    if (!version) return unknown_operator(r, node, op, opset);
    node->op = op;
    node->version = version;
    node->since = version->since;
    return SDX_OK;
}

static sdx_status resolve_graph(resolver *r, const sdx_graph *graph) {
    for (int k = 0; k < graph->n_nodes; k++) {
        sdx_node *node = graph->nodes[k];
        if (!node->op) SDX_TRY(resolve_node(r, graph, node));
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(resolve_graph(r, node->bodies[b]));
    }
    return SDX_OK;
}

static sdx_status report(const resolver *r) {
    char text[800];
    int used = 0, k = 0;
    for (; k < r->n && used < 680; k++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%s (%d node%s)", k ? ", " : "", r->list[k].text,
                         r->list[k].count, r->list[k].count == 1 ? "" : "s");
    if (k < r->n) snprintf(text + used, sizeof text - (size_t)used, ", and %d more", r->n - k);
    return sdx_fail(r->error, SDX_UNSUPPORTED, "%d operator%s not implemented: %s", r->n, r->n == 1 ? " is" : "s are",
                    text);
}

sdx_status sdx_load_resolve(const sdx_model *model, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, model->memory);
    resolver r = {.model = model, .scratch = &scratch, .error = error};
    sdx_names_init(&r.seen, &scratch);
    sdx_status status = resolve_graph(&r, model->graph);
    if (status == SDX_OK && r.n) status = report(&r);
    sdx_arena_release(&scratch);
    return status;
}
