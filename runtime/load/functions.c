/* SPDX-License-Identifier: Apache-2.0
 * Model-local functions are inlined as they are met. Before that, what every function grows to is computed, so that
 * recursion, deep chains and doubling are refused without expanding anything. */
#include "runtime/load/import.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the table ---- */

static const char *make_key(sdx_arena *arena, const char *domain, const char *name, const char *overload,
                            sdx_error *error) {
    const char *parts[3] = {sdx_import_domain(domain), sdx_import_text(name), sdx_import_text(overload)};
    size_t length = strlen(parts[0]) + strlen(parts[1]) + strlen(parts[2]) + 3;
    char *key = sdx_arena_alloc(arena, length, error);
    if (key) snprintf(key, length, "%s\x1f%s\x1f%s", parts[0], parts[1], parts[2]);
    return key;
}

int sdx_import_find_function(const importer *imp, const Onnx__NodeProto *node) {
    char key[512];
    if (!imp->functions.n) return -1;
    int n = snprintf(key, sizeof key, "%s\x1f%s\x1f%s", sdx_import_domain(node->domain), sdx_import_text(node->op_type),
                     sdx_import_text(node->overload));
    return n > 0 && (size_t)n < sizeof key ? sdx_names_get(&imp->functions.names, key, -1) : -1;
}

static sdx_status check_function(const importer *imp, const Onnx__FunctionProto *f) {
    char name[96];
    if (!f->name || !*f->name) return sdx_fail(imp->error, SDX_MALFORMED, "a function has no name");
    sdx_import_quote(f->name, name, sizeof name);
    if (f->n_input + f->n_output > 10000)
        return sdx_fail(imp->error, SDX_MALFORMED, "function '%s' has too many inputs and outputs", name);
    if (f->n_attribute + f->n_attribute_proto > MOST_ATTRIBUTES)
        return sdx_fail(imp->error, SDX_MALFORMED, "function '%s' has more than %d attributes", name, MOST_ATTRIBUTES);
    return SDX_OK;
}

static sdx_status add_functions(importer *imp, const Onnx__ModelProto *model) {
    function_table *table = &imp->functions;
    char name[96];
    if (model->n_functions > MOST_FUNCTIONS)
        return sdx_fail(imp->error, SDX_MALFORMED, "%zu functions; at most %d are allowed", model->n_functions,
                        MOST_FUNCTIONS);
    for (size_t k = 0; k < model->n_functions; k++) {
        const Onnx__FunctionProto *f = model->functions[k];
        SDX_TRY(check_function(imp, f));
        const char *key = make_key(imp->scratch, f->domain, f->name, f->overload, imp->error);
        if (!key) return sdx_import_status(imp);
        if (sdx_names_get(&table->names, key, -1) >= 0)
            return sdx_fail(imp->error, SDX_MALFORMED, "function '%s' is defined twice",
                            sdx_import_quote(f->name, name, sizeof name));
        SDX_TRY(sdx_names_put(&table->names, key, (int32_t)k, imp->error));
    }
    table->n = (int)model->n_functions;
    table->functions = model->functions;
    return SDX_OK;
}

/* ---- cost ---- */

static int64_t attribute_cost(const Onnx__AttributeProto *a) {
    return (int64_t)((a->n_floats + a->n_ints + a->n_strings + (a->has_s ? a->s.len : 0) / 16) / 32);
}

/* In nodes: one for itself, and what its lists hold. */
int64_t sdx_import_node_cost(const Onnx__NodeProto *node) {
    int64_t cost = 1 + (int64_t)((node->n_input + node->n_output + node->n_attribute) / 8);
    for (size_t k = 0; k < node->n_attribute; k++) cost += attribute_cost(node->attribute[k]);
    return cost;
}

typedef struct calls {
    int *callees; /* every call, in all functions; function f's are [first[f], first[f + 1]) */
    int *first;
    int n, capacity;
    int64_t *own; /* cost of the function's nodes that are no calls */
} calls;

static sdx_status add_call(importer *imp, calls *c, int callee) {
    if (c->n == c->capacity) {
        int capacity = c->capacity ? c->capacity * 2 : 64;
        int *callees = SDX_NEW_ARRAY(imp->scratch, int, capacity, imp->error);
        if (!callees) return sdx_import_status(imp);
        if (c->n) memcpy(callees, c->callees, (size_t)c->n * sizeof *callees);
        c->callees = callees;
        c->capacity = capacity;
    }
    c->callees[c->n++] = callee;
    return SDX_OK;
}

/* Bodies nest no deeper than messages may. */
static sdx_status collect(importer *imp, calls *c, size_t n, Onnx__NodeProto **nodes, int64_t *own) {
    for (size_t k = 0; k < n; k++) {
        int callee = sdx_import_find_function(imp, nodes[k]);
        *own += sdx_import_node_cost(nodes[k]);
        if (callee >= 0) SDX_TRY(add_call(imp, c, callee));
        for (size_t a = 0; a < nodes[k]->n_attribute; a++) {
            const Onnx__AttributeProto *attribute = nodes[k]->attribute[a];
            if (attribute->g) SDX_TRY(collect(imp, c, attribute->g->n_node, attribute->g->node, own));
            for (size_t g = 0; g < attribute->n_graphs; g++)
                SDX_TRY(collect(imp, c, attribute->graphs[g]->n_node, attribute->graphs[g]->node, own));
        }
    }
    return SDX_OK;
}

enum { WAITING, OPEN, DONE };
static const int64_t ENDLESS = INT64_MAX / 4;

typedef struct walk {
    const calls *calls;
    unsigned char *state;
    int *stack, *next, *depth;
    int64_t *cost;
} walk;

static sdx_status too_deep(const importer *imp, int function, const char *what) {
    char name[96];
    return sdx_fail(imp->error, SDX_MALFORMED, "function '%s' %s",
                    sdx_import_quote(imp->functions.functions[function]->name, name, sizeof name), what);
}

static void finish(walk *w, int f) {
    int64_t cost = w->calls->own[f];
    for (int e = w->calls->first[f]; e < w->calls->first[f + 1]; e++) {
        int callee = w->calls->callees[e];
        cost = cost > ENDLESS - w->cost[callee] ? ENDLESS : cost + w->cost[callee];
        if (w->depth[callee] + 1 > w->depth[f]) w->depth[f] = w->depth[callee] + 1;
    }
    w->cost[f] = cost;
    w->state[f] = DONE;
}

static sdx_status visit(importer *imp, walk *w, int start) {
    int depth = 0;
    w->stack[depth++] = start;
    w->state[start] = OPEN;
    while (depth) {
        int f = w->stack[depth - 1];
        if (w->calls->first[f] + w->next[f] == w->calls->first[f + 1]) {
            finish(w, f);
            if (w->depth[f] >= MOST_CALL_DEPTH) return too_deep(imp, f, "calls others more than 100 deep");
            depth--;
            continue;
        }
        int callee = w->calls->callees[w->calls->first[f] + w->next[f]++];
        if (w->state[callee] == OPEN) return too_deep(imp, callee, "calls itself, directly or through others");
        if (w->state[callee] == DONE) continue;
        w->state[callee] = OPEN;
        w->stack[depth++] = callee;
    }
    return SDX_OK;
}

static sdx_status compute_costs(importer *imp, const calls *c) {
    size_t n = (size_t)imp->functions.n;
    walk w = {.calls = c};
    w.state = SDX_NEW_ARRAY(imp->scratch, unsigned char, n, imp->error);
    w.stack = SDX_NEW_ARRAY(imp->scratch, int, n, imp->error);
    w.next = SDX_NEW_ARRAY(imp->scratch, int, n, imp->error);
    w.depth = SDX_NEW_ARRAY(imp->scratch, int, n, imp->error);
    w.cost = imp->functions.cost = SDX_NEW_ARRAY(imp->scratch, int64_t, n, imp->error);
    if (!w.state || !w.stack || !w.next || !w.depth || !w.cost) return sdx_import_status(imp);
    for (int f = 0; f < imp->functions.n; f++)
        if (w.state[f] == WAITING) SDX_TRY(visit(imp, &w, f));
    return SDX_OK;
}

/* What the main graph grows to, against a budget that goes with the size of the file. */
static sdx_status set_budget(importer *imp, const Onnx__ModelProto *model, int64_t written) {
    calls c = {.n = 0};
    int64_t cost = 0;
    SDX_TRY(collect(imp, &c, model->graph->n_node, model->graph->node, &cost));
    imp->budget = 20000 + 64 * (written + cost);
    if (imp->budget > 1000000 + cost) imp->budget = 1000000 + cost;
    for (int e = 0; e < c.n; e++)
        cost = cost > ENDLESS - imp->functions.cost[c.callees[e]] ? ENDLESS : cost + imp->functions.cost[c.callees[e]];
    if (cost <= imp->budget) return SDX_OK;
    return sdx_fail(imp->error, SDX_LIMIT, "inlining its functions would make more than %" PRId64 " nodes",
                    imp->budget);
}

sdx_status sdx_import_functions(importer *imp, const Onnx__ModelProto *model) {
    SDX_TRY(add_functions(imp, model));
    size_t n = model->n_functions;
    calls c = {.n = 0};
    c.first = SDX_NEW_ARRAY(imp->scratch, int, n + 1, imp->error);
    c.own = SDX_NEW_ARRAY(imp->scratch, int64_t, n, imp->error);
    if (!c.first || !c.own) return sdx_import_status(imp);
    int64_t written = 0;
    for (size_t f = 0; f < n; f++) {
        c.first[f] = c.n;
        SDX_TRY(collect(imp, &c, model->functions[f]->n_node, model->functions[f]->node, &c.own[f]));
        written += c.own[f];
    }
    c.first[n] = c.n;
    SDX_TRY(compute_costs(imp, &c));
    return set_budget(imp, model, written);
}

/* ---- one call ---- */

static sdx_status check_call(const importer *imp, const Onnx__NodeProto *node, const Onnx__FunctionProto *f) {
    char name[96];
    if (node->n_input > f->n_input)
        return sdx_fail(imp->error, SDX_MALFORMED, "has %zu inputs; the function has %zu", node->n_input, f->n_input);
    if (node->n_output > f->n_output)
        return sdx_fail(imp->error, SDX_MALFORMED, "has %zu outputs; the function has %zu", node->n_output,
                        f->n_output);
    for (size_t k = 0; k < node->n_attribute; k++) {
        bool known = false;
        for (size_t a = 0; a < f->n_attribute; a++) known |= strcmp(f->attribute[a], node->attribute[k]->name) == 0;
        for (size_t a = 0; a < f->n_attribute_proto; a++)
            known |= strcmp(sdx_import_text(f->attribute_proto[a]->name), node->attribute[k]->name) == 0;
        if (!known)
            return sdx_fail(imp->error, SDX_MALFORMED, "attribute '%s' does not exist in the function",
                            sdx_import_quote(node->attribute[k]->name, name, sizeof name));
    }
    return SDX_OK;
}

static sdx_status pass_inputs(importer *imp, const scope *caller, scope *inner, const Onnx__NodeProto *node,
                              const Onnx__FunctionProto *f) {
    char name[96];
    for (size_t k = 0; k < f->n_input; k++) {
        sdx_id id = ABSENT;
        if (sdx_names_get(&inner->names, f->input[k], UNDEFINED) != UNDEFINED)
            return sdx_fail(imp->error, SDX_MALFORMED, "the function has two inputs '%s'",
                            sdx_import_quote(f->input[k], name, sizeof name));
        if (k < node->n_input) SDX_TRY(sdx_import_lookup(imp, caller, node->input[k], &id));
        SDX_TRY(sdx_names_put(&inner->names, f->input[k], id, imp->error));
    }
    return SDX_OK;
}

/* The caller's output takes the place of the formal one; a formal output that is an input is passed through. */
static sdx_status pass_outputs(importer *imp, const scope *caller, scope *inner, const Onnx__NodeProto *node,
                               const Onnx__FunctionProto *f) {
    char name[96];
    for (size_t k = 0; k < node->n_output; k++) {
        if (!*node->output[k]) continue;
        sdx_id out = sdx_names_get(&caller->names, node->output[k], UNDEFINED);
        sdx_id input = sdx_names_get(&inner->names, f->output[k], UNDEFINED);
        sdx_import_quote(f->output[k], name, sizeof name);
        if (input == ABSENT)
            return sdx_fail(imp->error, SDX_MALFORMED, "output '%s' of the function is an input that is not given",
                            name);
        if (sdx_names_get(&inner->results, f->output[k], UNDEFINED) != UNDEFINED)
            return sdx_fail(imp->error, SDX_MALFORMED, "the function has two outputs '%s'", name);
        if (input == UNDEFINED)
            SDX_TRY(sdx_names_put(&inner->results, f->output[k], out, imp->error));
        else if (!sdx_graph_add_node(inner->graph, "", "Identity", node->name, 1, &input, 1, &out, imp->error))
            return sdx_import_status(imp);
    }
    return SDX_OK;
}

static sdx_status check_outputs(const importer *imp, const scope *inner, const Onnx__NodeProto *node,
                                const Onnx__FunctionProto *f) {
    char name[96];
    for (size_t k = 0; k < node->n_output; k++)
        if (*node->output[k] && sdx_names_get(&inner->names, f->output[k], UNDEFINED) == UNDEFINED)
            return sdx_fail(imp->error, SDX_MALFORMED, "output '%s' of the function is never made",
                            sdx_import_quote(f->output[k], name, sizeof name));
    return SDX_OK;
}

static const char *call_prefix(importer *imp, const scope *s, const Onnx__NodeProto *node) {
    const char *outer = s->frame ? s->frame->prefix : "";
    const char *own = node->name && *node->name ? node->name : sdx_import_text(node->op_type);
    size_t length = strlen(outer) + strlen(own) + 2;
    char *prefix = sdx_arena_alloc(imp->scratch, length, imp->error);
    if (prefix) snprintf(prefix, length, "%s%s/", outer, own);
    return prefix;
}

sdx_status sdx_import_call(importer *imp, scope *s, const Onnx__NodeProto *node, int function) {
    const Onnx__FunctionProto *f = imp->functions.functions[function];
    frame call = {.function = f, .call = node, .caller = s, .depth = s->frame ? s->frame->depth + 1 : 1};
    call.prefix = call_prefix(imp, s, node);
    if (!call.prefix) return sdx_import_status(imp);
    if (call.depth > MOST_CALL_DEPTH || strlen(call.prefix) > 4096)
        return sdx_fail(imp->error, SDX_MALFORMED, "functions call others more than %d deep", MOST_CALL_DEPTH);
    scope inner = {.graph = s->graph, .frame = &call};
    sdx_names_init(&inner.names, imp->scratch);
    sdx_names_init(&inner.results, imp->scratch);
    SDX_TRY(check_call(imp, node, f));
    SDX_TRY(pass_inputs(imp, s, &inner, node, f));
    SDX_TRY(pass_outputs(imp, s, &inner, node, f));
    SDX_TRY(sdx_import_declare(imp, &inner, f->n_node, f->node));
    SDX_TRY(sdx_import_nodes(imp, &inner, f->n_node, f->node));
    return check_outputs(imp, &inner, node, f);
}
