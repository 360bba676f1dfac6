/* SPDX-License-Identifier: Apache-2.0
 * ModelProto -> graph: names become values, subgraphs become bodies that capture, function calls are inlined. Names
 * are unique in their graph and shadow nothing outside it; inside functions they are made anew. */
#include "runtime/load/import.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *sdx_import_text(const char *text) { return text ? text : ""; }

const char *sdx_import_domain(const char *domain) { return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain; }

const char *sdx_import_quote(const char *name, char *out, size_t capacity) {
    name = sdx_import_text(name);
    return sdx_escape(out, capacity, name, strlen(name));
}

sdx_status sdx_import_status(const importer *imp) { return sdx_failure(imp->error); }

const char *sdx_import_place(const Onnx__NodeProto *node, char *out, size_t capacity) {
    char title[160], type[96];
    const char *name = sdx_import_text(node->name), *domain = sdx_import_domain(node->domain);
    for (size_t k = 0; !*name && k < node->n_output; k++) name = node->output[k];
    sdx_import_quote(name, title, sizeof title);
    sdx_import_quote(node->op_type, type, sizeof type);
    snprintf(out, capacity, "node '%s' (%.64s%s%s)", title, domain, *domain ? "." : "", type);
    return out;
}

/* ---- names ---- */

static sdx_status capture_down(importer *imp, sdx_graph *to, const sdx_graph *from, sdx_id id, sdx_id *out) {
    sdx_graph *path[SDX_MAX_BODY_DEPTH + 1];
    int n = 0;
    for (; to != from; to = to->parent) path[n++] = to;
    while (n && id != SDX_NONE) id = sdx_graph_capture(path[--n], id, imp->error);
    *out = id;
    return id == SDX_NONE ? sdx_import_status(imp) : SDX_OK;
}

sdx_status sdx_import_lookup(importer *imp, const scope *s, const char *name, sdx_id *out) {
    char text[96];
    *out = ABSENT;
    if (!*name) return SDX_OK;
    for (const scope *t = s; t; t = t->parent) {
        sdx_id id = sdx_names_get(&t->names, name, UNDEFINED);
        if (id == ABSENT) return SDX_OK;
        if (id != UNDEFINED) return capture_down(imp, s->graph, t->graph, id, out);
    }
    return sdx_fail(imp->error, SDX_MALFORMED, "input '%s' is not defined: nothing of that name is in the graph",
                    sdx_import_quote(name, text, sizeof text));
}

/* A value of that name, which must be new here and in the enclosing graphs. */
static sdx_status declare(importer *imp, scope *s, const char *name, const sdx_type *type, sdx_id *out) {
    char text[96];
    *out = SDX_NONE;
    if (!name || !*name) return sdx_fail(imp->error, SDX_MALFORMED, "an input or initializer has no name");
    sdx_import_quote(name, text, sizeof text);
    for (const scope *t = s; t; t = t->parent)
        if (sdx_names_get(&t->names, name, UNDEFINED) != UNDEFINED)
            return sdx_fail(imp->error, SDX_MALFORMED, "'%s' is defined twice%s; names must be unique", text,
                            t == s ? "" : ", here and in an enclosing graph");
    sdx_id id = s->frame ? sdx_names_get(&s->results, name, UNDEFINED) : UNDEFINED;
    if (id == UNDEFINED) id = sdx_graph_add_value(s->graph, s->frame ? NULL : name, type, imp->error);
    if (id == SDX_NONE) return sdx_import_status(imp);
    *out = id;
    return sdx_names_put(&s->names, name, id, imp->error);
}

static void reserve_names(importer *imp, const Onnx__GraphProto *graph) {
    sdx_graph *top = imp->model->graph;
    for (size_t k = 0; k < graph->n_input; k++) sdx_graph_reserve_name(top, sdx_import_text(graph->input[k]->name));
    for (size_t k = 0; k < graph->n_initializer; k++)
        sdx_graph_reserve_name(top, sdx_import_text(graph->initializer[k]->name));
    for (size_t k = 0; k < graph->n_node; k++) {
        const Onnx__NodeProto *node = graph->node[k];
        for (size_t o = 0; o < node->n_output; o++) sdx_graph_reserve_name(top, node->output[o]);
        for (size_t a = 0; a < node->n_attribute; a++) {
            if (node->attribute[a]->g) reserve_names(imp, node->attribute[a]->g);
            for (size_t g = 0; g < node->attribute[a]->n_graphs; g++) reserve_names(imp, node->attribute[a]->graphs[g]);
        }
    }
}

/* ---- nodes ---- */

static sdx_status at_node(importer *imp, const Onnx__NodeProto *node, sdx_status status) {
    char place[320];
    if (status == SDX_OK || imp->error->status == SDX_OK) return status;
    if (strlen(imp->error->message) > sizeof imp->error->message / 2) return status;
    return sdx_error_context(imp->error, "%s", sdx_import_place(node, place, sizeof place));
}

static sdx_status declare_outputs(importer *imp, scope *s, const Onnx__NodeProto *node) {
    for (size_t k = 0; k < node->n_output; k++) {
        sdx_id id = SDX_NONE;
        if (*node->output[k]) SDX_TRY(declare(imp, s, node->output[k], NULL, &id));
    }
    return SDX_OK;
}

sdx_status sdx_import_declare(importer *imp, scope *s, size_t n, Onnx__NodeProto **nodes) {
    for (size_t k = 0; k < n; k++) {
        sdx_status status = declare_outputs(imp, s, nodes[k]);
        if (status != SDX_OK) return at_node(imp, nodes[k], status);
    }
    return SDX_OK;
}

sdx_status sdx_import_pairs(importer *imp, size_t n, Onnx__StringStringEntryProto **from, int *n_out,
                            const sdx_pair **out) {
    sdx_arena *arena = &imp->model->arena;
    if (!n) return SDX_OK;
    sdx_pair *pairs = SDX_NEW_ARRAY(arena, sdx_pair, n, imp->error);
    if (!pairs) return sdx_import_status(imp);
    for (size_t k = 0; k < n; k++) {
        const char *key = sdx_import_text(from[k]->key), *value = sdx_import_text(from[k]->value);
        pairs[k].key = sdx_arena_copy(arena, key, strlen(key), imp->error);
        pairs[k].value = sdx_arena_copy(arena, value, strlen(value), imp->error);
        if (!pairs[k].key || !pairs[k].value) return sdx_import_status(imp);
    }
    *n_out = (int)n;
    *out = pairs;
    return SDX_OK;
}

static sdx_status copy_text(importer *imp, const char *text, const char **out) {
    if (!text || !*text) return SDX_OK;
    *out = sdx_arena_copy(&imp->model->arena, text, strlen(text), imp->error);
    return *out ? SDX_OK : sdx_import_status(imp);
}

static int node_opset(const scope *s, const char *domain) {
    const Onnx__FunctionProto *f = s->frame ? s->frame->function : NULL;
    for (size_t k = 0; f && k < f->n_opset_import; k++)
        if (strcmp(sdx_import_domain(f->opset_import[k]->domain), domain) == 0) return (int)f->opset_import[k]->version;
    return 0;
}

static const char *node_name(importer *imp, const scope *s, const Onnx__NodeProto *node) {
    const char *own = sdx_import_text(node->name);
    if (!s->frame) return own;
    size_t length = strlen(s->frame->prefix) + strlen(own) + 1;
    char *name = sdx_arena_alloc(imp->scratch, length, imp->error);
    if (name) snprintf(name, length, "%s%s", s->frame->prefix, own);
    return name;
}

static sdx_node *add_node(importer *imp, scope *s, const Onnx__NodeProto *node) {
    sdx_id *in = SDX_NEW_ARRAY(imp->scratch, sdx_id, node->n_input, imp->error);
    sdx_id *out = SDX_NEW_ARRAY(imp->scratch, sdx_id, node->n_output, imp->error);
    const char *domain = sdx_import_domain(node->domain), *name = node_name(imp, s, node);
    if (!in || !out || !name) return NULL;
    for (size_t k = 0; k < node->n_input; k++)
        if (sdx_import_lookup(imp, s, node->input[k], &in[k]) != SDX_OK) return NULL;
    for (size_t k = 0; k < node->n_output; k++)
        out[k] = *node->output[k] ? sdx_names_get(&s->names, node->output[k], SDX_NONE) : SDX_NONE;
    sdx_node *added = sdx_graph_add_node(s->graph, domain, node->op_type, name, (int)node->n_input, in,
                                         (int)node->n_output, out, imp->error);
    if (added) added->since = node_opset(s, domain);
    return added;
}

/* Gradient names tensors in attributes. Values are renamed where functions are inlined and replaced where nodes are
 * upgraded, so these become further inputs: xs, zs, y. A name that nothing has is left to be reported later. */
static sdx_status append_named(importer *imp, const scope *s, sdx_node *node) {
    static const char *const by[] = {"xs", "zs", "y"};
    int n = node->n_in, most = n;
    for (size_t b = 0; b < sizeof by / sizeof by[0]; b++)
        most += sdx_node_attr(node, by[b]) ? (int)sdx_node_attr(node, by[b])->n : 0;
    sdx_id *in = SDX_NEW_ARRAY(s->graph->arena, sdx_id, most + 1, imp->error);
    if (!in) return sdx_import_status(imp);
    if (n) memcpy(in, node->in, (size_t)n * sizeof *in);
    for (size_t b = 0; b < sizeof by / sizeof by[0]; b++) {
        const sdx_attr *attr = sdx_node_attr(node, by[b]);
        for (size_t k = 0; attr && k < attr->n; k++) {
            const char *name = attr->type == SDX_ATTR_STRING ? attr->s.data : attr->strings[k].data;
            bool known = false;
            for (const scope *t = s; t; t = t->parent) known |= sdx_names_get(&t->names, name, UNDEFINED) >= 0;
            if (!known) return SDX_OK;
            SDX_TRY(sdx_import_lookup(imp, s, name, &in[n++]));
        }
    }
    node->in = in;
    node->n_in = n;
    return SDX_OK;
}

static bool is_gradient(const sdx_node *node) {
    return strcmp(node->op_type, "Gradient") == 0 && strcmp(node->domain, "ai.onnx.preview.training") == 0;
}

static sdx_status import_node(importer *imp, scope *s, const Onnx__NodeProto *node) {
    if (!node->op_type || !*node->op_type) return sdx_fail(imp->error, SDX_MALFORMED, "op_type is empty");
    SDX_TRY(sdx_import_check_attributes(imp, node));
    imp->budget -= sdx_import_node_cost(node);
    if (imp->budget < 0) return sdx_fail(imp->error, SDX_LIMIT, "inlining the functions makes too many nodes");
    int function = sdx_import_find_function(imp, node);
    if (function >= 0) return sdx_import_call(imp, s, node, function);
    sdx_node *added = add_node(imp, s, node);
    if (!added) return sdx_import_status(imp);
    for (size_t k = 0; k < node->n_attribute; k++) SDX_TRY(sdx_import_attribute(imp, s, added, node->attribute[k]));
    if (is_gradient(added)) SDX_TRY(append_named(imp, s, added));
    SDX_TRY(copy_text(imp, node->doc_string, &added->doc));
    return sdx_import_pairs(imp, node->n_metadata_props, node->metadata_props, &added->n_metadata, &added->metadata);
}

sdx_status sdx_import_nodes(importer *imp, scope *s, size_t n, Onnx__NodeProto **nodes) {
    for (size_t k = 0; k < n; k++) {
        sdx_status status = import_node(imp, s, nodes[k]);
        if (status != SDX_OK) return at_node(imp, nodes[k], status);
    }
    return SDX_OK;
}

/* ---- graphs ---- */

static sdx_status at_value(importer *imp, const char *what, const char *name, sdx_status status) {
    char text[96];
    if (status == SDX_OK || imp->error->status == SDX_OK) return status;
    return sdx_error_context(imp->error, "%s '%s'", what, sdx_import_quote(name, text, sizeof text));
}

/* Before IR version 4 every initializer had to be listed as an input; those are constants, not inputs. */
static sdx_status import_inputs(importer *imp, scope *s, const Onnx__GraphProto *graph) {
    bool main_graph = !s->graph->parent;
    sdx_names initialized;
    sdx_names_init(&initialized, imp->scratch);
    for (size_t k = 0; main_graph && imp->model->ir_version < 4 && k < graph->n_initializer; k++)
        SDX_TRY(sdx_names_put(&initialized, sdx_import_text(graph->initializer[k]->name), 1, imp->error));
    for (size_t k = 0; k < graph->n_input; k++) {
        const Onnx__ValueInfoProto *input = graph->input[k];
        sdx_type type;
        sdx_id id = SDX_NONE;
        SDX_TRY(at_value(imp, "input", input->name, sdx_import_type(imp, input->type, &type)));
        if (main_graph && !type.kind)
            return at_value(imp, "input", input->name, sdx_fail(imp->error, SDX_MALFORMED, "no type is given"));
        SDX_TRY(declare(imp, s, input->name, &type, &id));
        if (sdx_names_get(&initialized, input->name, 0)) continue;
        SDX_TRY(sdx_graph_add_input(s->graph, id, imp->error));
    }
    return SDX_OK;
}

/* The constant under the name; a declared input of that name keeps its declared type. */
static sdx_status set_initializer(importer *imp, scope *s, const char *name, sdx_value *constant) {
    sdx_id id = sdx_names_get(&s->names, sdx_import_text(name), UNDEFINED);
    if (id < 0 || s->graph->values[id].constant) SDX_TRY(declare(imp, s, name, NULL, &id));
    sdx_graph_value *value = &s->graph->values[id];
    sdx_type declared = value->type, merged;
    char want[160], have[160];
    sdx_graph_set_constant(s->graph, id, constant);
    if (!sdx_load_merge_types(&declared, &value->type, true, &merged))
        return sdx_fail(imp->error, SDX_MALFORMED, "the input is declared %s; the initializer is %s",
                        sdx_type_text(&declared, want, sizeof want), sdx_type_text(&value->type, have, sizeof have));
    if (value->is_input) value->type = declared;
    return SDX_OK;
}

static sdx_status import_initializers(importer *imp, scope *s, const Onnx__GraphProto *graph) {
    for (size_t k = 0; k < graph->n_initializer; k++) {
        const char *name = graph->initializer[k]->name;
        sdx_value *constant = sdx_import_tensor(imp, graph->initializer[k]);
        sdx_status status = constant ? set_initializer(imp, s, name, constant) : sdx_import_status(imp);
        sdx_value_release(constant);
        if (status != SDX_OK) return at_value(imp, "initializer", name, status);
    }
    return SDX_OK;
}

/* A sparse initializer is what a Constant with sparse_value makes. */
static sdx_status import_sparse(importer *imp, scope *s, Onnx__SparseTensorProto *sparse) {
    sdx_id id = SDX_NONE;
    SDX_TRY(declare(imp, s, sparse->values ? sparse->values->name : NULL, NULL, &id));
    sdx_value *value = sdx_import_sparse(imp, sparse);
    if (!value) return sdx_import_status(imp);
    sdx_node *node = sdx_graph_add_node(s->graph, "", "Constant", "", 0, NULL, 1, &id, imp->error);
    sdx_status status = node ? SDX_OK : sdx_import_status(imp);
    sdx_attr attr = {.name = "sparse_value", .type = SDX_ATTR_SPARSE_TENSOR, .n = 1, .value = value};
    if (node) {
        status = sdx_node_set_attr(s->graph, node, &attr, imp->error);
        node->op = sdx_op_find("", "Constant");
        node->version = node->op ? sdx_op_newest(node->op) : NULL;
        node->since = node->version ? node->version->since : 0;
    }
    sdx_value_release(value);
    return status;
}

static sdx_status import_value_types(importer *imp, scope *s, size_t n, Onnx__ValueInfoProto **infos) {
    for (size_t k = 0; k < n; k++) {
        sdx_id id = sdx_names_get(&s->names, sdx_import_text(infos[k]->name), UNDEFINED);
        sdx_type type;
        if (id < 0) continue;
        sdx_graph_value *value = &s->graph->values[id];
        SDX_TRY(sdx_import_pairs(imp, infos[k]->n_metadata_props, infos[k]->metadata_props, &value->n_metadata,
                                 &value->metadata));
        if (value->constant || value->is_input) continue;
        SDX_TRY(at_value(imp, "value", infos[k]->name, sdx_import_type(imp, infos[k]->type, &type)));
        if (type.kind) SDX_TRY(sdx_type_copy(s->graph->arena, &type, imp->error, &value->type));
    }
    return SDX_OK;
}

static sdx_status import_outputs(importer *imp, scope *s, const Onnx__GraphProto *graph) {
    sdx_names seen;
    sdx_names_init(&seen, imp->scratch);
    for (size_t k = 0; k < graph->n_output; k++) {
        const char *name = sdx_import_text(graph->output[k]->name);
        sdx_id id = UNDEFINED;
        if (!*name) return sdx_fail(imp->error, SDX_MALFORMED, "output %zu has no name", k);
        if (sdx_names_get(&seen, name, 0))
            return at_value(imp, "output", name, sdx_fail(imp->error, SDX_MALFORMED, "it is listed twice"));
        SDX_TRY(sdx_names_put(&seen, name, 1, imp->error));
        if (s->graph->parent)
            SDX_TRY(at_value(imp, "output", name, sdx_import_lookup(imp, s, name, &id)));
        else
            id = sdx_names_get(&s->names, name, UNDEFINED);
        if (id < 0)
            return at_value(imp, "output", name,
                            sdx_fail(imp->error, SDX_MALFORMED, "no node, input or initializer makes it"));
        SDX_TRY(sdx_graph_add_output(s->graph, id, imp->error));
    }
    return SDX_OK;
}

static sdx_status import_graph(importer *imp, scope *s, const Onnx__GraphProto *graph) {
    SDX_TRY(import_inputs(imp, s, graph));
    SDX_TRY(import_initializers(imp, s, graph));
    for (size_t k = 0; k < graph->n_sparse_initializer; k++)
        SDX_TRY(at_value(imp, "sparse initializer",
                         graph->sparse_initializer[k]->values ? graph->sparse_initializer[k]->values->name : "",
                         import_sparse(imp, s, graph->sparse_initializer[k])));
    SDX_TRY(sdx_import_declare(imp, s, graph->n_node, graph->node));
    SDX_TRY(import_value_types(imp, s, graph->n_value_info, graph->value_info));
    SDX_TRY(import_value_types(imp, s, graph->n_output, graph->output));
    SDX_TRY(sdx_import_nodes(imp, s, graph->n_node, graph->node));
    SDX_TRY(import_outputs(imp, s, graph));
    SDX_TRY(copy_text(imp, graph->doc_string, &s->graph->doc));
    return sdx_graph_sort(s->graph, imp->error);
}

sdx_graph *sdx_import_body(importer *imp, const scope *outer, sdx_graph *parent, const Onnx__GraphProto *graph,
                           const frame *call) {
    sdx_graph *body = sdx_graph_create(parent->arena, graph->name, parent, imp->error);
    if (!body) return NULL;
    scope s = {.graph = body, .parent = outer, .frame = call};
    sdx_names_init(&s.names, imp->scratch);
    sdx_names_init(&s.results, imp->scratch);
    if (import_graph(imp, &s, graph) == SDX_OK) return body;
    sdx_graph_release(body);
    return NULL;
}

/* ---- the model ---- */

/* Newest opset of each domain whose operators are known. */
static const sdx_opset newest[] = {
    {"", 28}, {"ai.onnx.ml", 5}, {"ai.onnx.preview", 28}, {"ai.onnx.preview.training", 1}, {"ai.onnx.training", 1},
};
enum { NEWEST_IR = 14, MOST_OPSETS = 256 };

static sdx_status check_opset(const importer *imp, const char *domain, int64_t version) {
    char name[96];
    sdx_import_quote(*domain ? domain : "ai.onnx", name, sizeof name);
    if (version < 1 || version > INT32_MAX)
        return sdx_fail(imp->error, SDX_MALFORMED, "opset %" PRId64 " of domain '%s' does not exist", version, name);
    for (size_t k = 0; k < sizeof newest / sizeof newest[0]; k++)
        if (strcmp(newest[k].domain, domain) == 0 && version > newest[k].version)
            return sdx_fail(imp->error, SDX_UNSUPPORTED,
                            "opset %" PRId64 " of domain '%s'; the newest known is %" PRId64, version, name,
                            newest[k].version);
    return SDX_OK;
}

/* The first import of the domain of import k. */
static size_t first_import(Onnx__OperatorSetIdProto **imports, size_t k) {
    size_t j = 0;
    while (strcmp(sdx_import_domain(imports[j]->domain), sdx_import_domain(imports[k]->domain)) != 0) j++;
    return j;
}

/* Some exporters import a domain twice; that does no harm where the versions are equal. */
static sdx_status check_opsets(const importer *imp, size_t n, Onnx__OperatorSetIdProto **imports) {
    char name[96];
    if (n > MOST_OPSETS)
        return sdx_fail(imp->error, SDX_MALFORMED, "%zu opsets are imported; at most %d are allowed", n, MOST_OPSETS);
    for (size_t k = 0; k < n; k++) {
        const char *domain = sdx_import_domain(imports[k]->domain);
        SDX_TRY(check_opset(imp, domain, imports[k]->has_version ? imports[k]->version : 0));
        const Onnx__OperatorSetIdProto *first = imports[first_import(imports, k)];
        if (first->version != imports[k]->version)
            return sdx_fail(
                imp->error, SDX_MALFORMED, "domain '%s' is imported twice, as opset %" PRId64 " and as %" PRId64,
                sdx_import_quote(*domain ? domain : "ai.onnx", name, sizeof name), first->version, imports[k]->version);
    }
    return SDX_OK;
}

static sdx_status import_opsets(importer *imp, const Onnx__ModelProto *model) {
    size_t n = model->n_opset_import;
    sdx_model *to = imp->model;
    SDX_TRY(check_opsets(imp, n, model->opset_import));
    if (n == 0 && model->ir_version >= 3)
        return sdx_fail(imp->error, SDX_MALFORMED, "no opset is imported; from IR version 3 on it must be");
    to->opsets = SDX_NEW_ARRAY(&to->arena, sdx_opset, n + 1, imp->error);
    if (!to->opsets) return sdx_import_status(imp);
    if (n == 0) to->opsets[to->n_opsets++] = (sdx_opset){"", 1};
    for (size_t k = 0; k < n; k++) {
        sdx_opset *opset = &to->opsets[to->n_opsets];
        if (first_import(model->opset_import, k) != k) continue;
        opset->domain = "";
        SDX_TRY(copy_text(imp, sdx_import_domain(model->opset_import[k]->domain), &opset->domain));
        opset->version = model->opset_import[k]->version;
        to->n_opsets++;
    }
    for (size_t k = 0; k < model->n_functions; k++)
        SDX_TRY(check_opsets(imp, model->functions[k]->n_opset_import, model->functions[k]->opset_import));
    return SDX_OK;
}

static sdx_status import_head(importer *imp, const Onnx__ModelProto *model) {
    sdx_model *to = imp->model;
    if (!model->has_ir_version || model->ir_version < 1)
        return sdx_fail(imp->error, SDX_MALFORMED, "ir_version is missing or not positive");
    if (model->ir_version > NEWEST_IR)
        return sdx_fail(imp->error, SDX_UNSUPPORTED, "ir_version is %" PRId64 "; the newest known is %d",
                        model->ir_version, NEWEST_IR);
    if (!model->graph) return sdx_fail(imp->error, SDX_MALFORMED, "the model has no graph");
    to->ir_version = model->ir_version;
    to->model_version = model->has_model_version ? model->model_version : 0;
    SDX_TRY(copy_text(imp, model->producer_name, &to->producer_name));
    SDX_TRY(copy_text(imp, model->producer_version, &to->producer_version));
    SDX_TRY(copy_text(imp, model->domain, &to->domain));
    SDX_TRY(copy_text(imp, model->doc_string, &to->doc));
    SDX_TRY(copy_text(imp, model->graph->name, &to->graph->name));
    SDX_TRY(import_opsets(imp, model));
    return sdx_import_pairs(imp, model->n_metadata_props, model->metadata_props, &to->n_metadata, &to->metadata);
}

/* Training information is kept as it is: nothing of it is needed to run the model. */
static sdx_status keep_training(importer *imp, Onnx__ModelProto *model) {
    Onnx__ModelProto kept = ONNX__MODEL_PROTO__INIT;
    if (!model->n_training_info) return SDX_OK;
    kept.n_training_info = model->n_training_info;
    kept.training_info = model->training_info;
    kept.n_functions = model->n_functions;
    kept.functions = model->functions;
    const size_t size = onnx__model_proto__get_packed_size(&kept);
    uint8_t *bytes = sdx_arena_alloc(&imp->model->arena, size, imp->error);
    if (!bytes) return sdx_import_status(imp);
    imp->model->training_info_size = onnx__model_proto__pack(&kept, bytes);
    imp->model->training_info = bytes;
    return SDX_OK;
}

static sdx_status import_model(importer *imp, Onnx__ModelProto *model) {
    SDX_TRY(import_head(imp, model));
    SDX_TRY(keep_training(imp, model));
    reserve_names(imp, model->graph);
    SDX_TRY(sdx_import_functions(imp, model));
    scope s = {.graph = imp->model->graph};
    sdx_names_init(&s.names, imp->scratch);
    sdx_names_init(&s.results, imp->scratch);
    return import_graph(imp, &s, model->graph);
}

sdx_status sdx_load_import(sdx_proto *proto, sdx_model *model, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, model->memory);
    importer imp = {.proto = proto, .model = model, .error = error, .scratch = &scratch};
    sdx_names_init(&imp.functions.names, &scratch);
    sdx_names_init(&imp.taken, &scratch);
    sdx_status status = import_model(&imp, sdx_proto_model(proto));
    for (int k = 0; k < imp.n_values; k++) sdx_value_release(imp.values[k]);
    sdx_arena_release(&scratch);
    return status;
}
