/* SPDX-License-Identifier: Apache-2.0
 * Nodes and attributes as messages. A default that differs between the node's row and the one it is written under is
 * written out. */
#include "runtime/load/export.h"
#include <string.h>

const char *sdx_export_name(const sdx_graph *graph, sdx_id id) {
    while (graph->parent) {
        int k = 0;
        while (k < graph->n_captures && graph->captures[k].inner != id) k++;
        if (k == graph->n_captures) break;
        id = graph->captures[k].outer;
        graph = graph->parent;
    }
    return graph->values[id].name;
}

sdx_status sdx_export_pairs(exporter *e, int n, const sdx_pair *pairs, size_t *n_out,
                            Onnx__StringStringEntryProto ***out) {
    Onnx__StringStringEntryProto **list = SDX_NEW_ARRAY(e->arena, Onnx__StringStringEntryProto *, n, e->error);
    if (!list) return sdx_failure(e->error);
    for (int k = 0; k < n; k++) {
        list[k] = SDX_NEW(e->arena, Onnx__StringStringEntryProto, e->error);
        if (!list[k]) return sdx_failure(e->error);
        onnx__string_string_entry_proto__init(list[k]);
        list[k]->key = sdx_export_text(e, pairs[k].key);
        list[k]->value = sdx_export_text(e, pairs[k].value);
        if (!list[k]->key || !list[k]->value) return sdx_failure(e->error);
    }
    *n_out = (size_t)n;
    *out = list;
    return SDX_OK;
}

/* ---- attributes ---- */

static sdx_status put_bytes(exporter *e, const sdx_string *s, ProtobufCBinaryData *out) {
    out->len = s->size;
    out->data = (uint8_t *)sdx_arena_copy(e->arena, s->data, s->size, e->error);
    return out->data ? SDX_OK : sdx_failure(e->error);
}

static sdx_status put_sparse(exporter *e, const sdx_value *value, Onnx__SparseTensorProto **out) {
    Onnx__SparseTensorProto *to = SDX_NEW(e->arena, Onnx__SparseTensorProto, e->error);
    size_t rank = (size_t)value->tensor.rank;
    if (!to) return sdx_failure(e->error);
    onnx__sparse_tensor_proto__init(to);
    SDX_TRY(sdx_proto_put_tensor(value->items[0], NULL, e->arena, e->error, &to->values));
    SDX_TRY(sdx_proto_put_tensor(value->items[1], NULL, e->arena, e->error, &to->indices));
    to->dims = SDX_NEW_ARRAY(e->arena, int64_t, rank, e->error);
    if (!to->dims) return sdx_failure(e->error);
    memcpy(to->dims, value->tensor.dim, rank * sizeof *to->dims);
    to->n_dims = rank;
    *out = to;
    return SDX_OK;
}

/* A copy: messages are not const. */
static void *duplicate(exporter *e, const void *from, size_t n, size_t size) {
    void *copy = sdx_arena_alloc_array(e->arena, n, size, e->error);
    if (copy && n) memcpy(copy, from, n * size);
    return copy;
}

static sdx_status put_strings(exporter *e, const sdx_attr *attr, Onnx__AttributeProto *to) {
    to->strings = SDX_NEW_ARRAY(e->arena, ProtobufCBinaryData, attr->n, e->error);
    if (!to->strings) return sdx_failure(e->error);
    for (size_t k = 0; k < attr->n; k++) SDX_TRY(put_bytes(e, &attr->strings[k], &to->strings[k]));
    to->n_strings = attr->n;
    return SDX_OK;
}

static sdx_status put_tensors(exporter *e, const sdx_attr *attr, Onnx__AttributeProto *to) {
    to->tensors = SDX_NEW_ARRAY(e->arena, Onnx__TensorProto *, attr->n, e->error);
    if (!to->tensors) return sdx_failure(e->error);
    for (size_t k = 0; k < attr->n; k++)
        SDX_TRY(sdx_proto_put_tensor(attr->values[k], NULL, e->arena, e->error, &to->tensors[k]));
    to->n_tensors = attr->n;
    return SDX_OK;
}

static sdx_status put_sparse_tensors(exporter *e, const sdx_attr *attr, Onnx__AttributeProto *to) {
    to->sparse_tensors = SDX_NEW_ARRAY(e->arena, Onnx__SparseTensorProto *, attr->n, e->error);
    if (!to->sparse_tensors) return sdx_failure(e->error);
    for (size_t k = 0; k < attr->n; k++) SDX_TRY(put_sparse(e, attr->values[k], &to->sparse_tensors[k]));
    to->n_sparse_tensors = attr->n;
    return SDX_OK;
}

static sdx_status put_graphs(exporter *e, const sdx_attr *attr, Onnx__AttributeProto *to) {
    to->graphs = SDX_NEW_ARRAY(e->arena, Onnx__GraphProto *, attr->n, e->error);
    if (!to->graphs) return sdx_failure(e->error);
    for (size_t k = 0; k < attr->n; k++) {
        to->graphs[k] = sdx_export_graph(e, attr->graphs[k]);
        if (!to->graphs[k]) return sdx_failure(e->error);
    }
    to->n_graphs = attr->n;
    return SDX_OK;
}

static sdx_status put_types(exporter *e, const sdx_attr *attr, Onnx__AttributeProto *to) {
    to->type_protos = SDX_NEW_ARRAY(e->arena, Onnx__TypeProto *, attr->n, e->error);
    if (!to->type_protos) return sdx_failure(e->error);
    for (size_t k = 0; k < attr->n; k++) SDX_TRY(sdx_export_type(e, &attr->types[k], &to->type_protos[k]));
    to->n_type_protos = attr->n;
    return SDX_OK;
}

static sdx_status put_value(exporter *e, const sdx_attr *attr, Onnx__AttributeProto *to) {
    switch (attr->type) {
    case SDX_ATTR_FLOAT: to->has_f = 1, to->f = attr->f; return SDX_OK;
    case SDX_ATTR_INT: to->has_i = 1, to->i = attr->i; return SDX_OK;
    case SDX_ATTR_STRING: to->has_s = 1; return put_bytes(e, &attr->s, &to->s);
    case SDX_ATTR_TENSOR: return sdx_proto_put_tensor(attr->value, NULL, e->arena, e->error, &to->t);
    case SDX_ATTR_SPARSE_TENSOR: return put_sparse(e, attr->value, &to->sparse_tensor);
    case SDX_ATTR_GRAPH: to->g = sdx_export_graph(e, attr->graph); return to->g ? SDX_OK : sdx_failure(e->error);
    case SDX_ATTR_TYPE: return sdx_export_type(e, attr->type_proto, &to->tp);
    case SDX_ATTR_FLOATS:
        to->n_floats = attr->n;
        to->floats = duplicate(e, attr->floats, attr->n, sizeof(float));
        return to->floats ? SDX_OK : sdx_failure(e->error);
    case SDX_ATTR_INTS:
        to->n_ints = attr->n;
        to->ints = duplicate(e, attr->ints, attr->n, sizeof(int64_t));
        return to->ints ? SDX_OK : sdx_failure(e->error);
    case SDX_ATTR_STRINGS: return put_strings(e, attr, to);
    case SDX_ATTR_TENSORS: return put_tensors(e, attr, to);
    case SDX_ATTR_GRAPHS: return put_graphs(e, attr, to);
    case SDX_ATTR_SPARSE_TENSORS: return put_sparse_tensors(e, attr, to);
    case SDX_ATTR_TYPES: return put_types(e, attr, to);
    }
    return sdx_fail(e->error, SDX_MALFORMED, "attribute '%s' has no type", attr->name);
}

static sdx_status put_attribute(exporter *e, const sdx_attr *attr, Onnx__AttributeProto **out) {
    Onnx__AttributeProto *to = SDX_NEW(e->arena, Onnx__AttributeProto, e->error);
    if (!to) return sdx_failure(e->error);
    onnx__attribute_proto__init(to);
    to->name = sdx_export_text(e, attr->name);
    if (!to->name) return sdx_failure(e->error);
    to->has_type = 1;
    to->type = (Onnx__AttributeProto__AttributeType)attr->type;
    SDX_TRY(put_value(e, attr, to));
    *out = to;
    return SDX_OK;
}

static bool same_scalar(const sdx_attr *a, const sdx_attr *b) {
    if (a->type != b->type) return false;
    if (a->type == SDX_ATTR_INT) return a->i == b->i;
    if (a->type == SDX_ATTR_FLOAT) return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    return a->type == SDX_ATTR_STRING && a->s.size == b->s.size && memcmp(a->s.data, b->s.data, a->s.size) == 0;
}

/* The node's own attributes, and the defaults of its row that read otherwise in the row it is written under. */
static sdx_status put_attributes(exporter *e, const sdx_node *node, const sdx_row *target, Onnx__NodeProto *to) {
    int n_row = target ? node->row->n_attrs : 0;
    to->attribute = SDX_NEW_ARRAY(e->arena, Onnx__AttributeProto *, node->n_attrs + n_row, e->error);
    if (!to->attribute) return sdx_failure(e->error);
    for (int k = 0; k < node->n_attrs; k++) {
        if (target && !sdx_row_attr_of(target, node->attrs[k].name))
            return sdx_fail(e->error, SDX_UNSUPPORTED,
                            "attribute '%s' does not exist in opset %d, under which the "
                            "other nodes must be written",
                            node->attrs[k].name, target->since);
        SDX_TRY(put_attribute(e, &node->attrs[k], &to->attribute[to->n_attribute++]));
    }
    for (int k = 0; k < n_row; k++) {
        const sdx_row_attr *own = &node->row->attrs[k], *there = sdx_row_attr_of(target, own->attr.name);
        if (!own->has_default || !there || sdx_node_attr(node, own->attr.name)) continue;
        if (there->has_default && same_scalar(&own->attr, &there->attr)) continue;
        SDX_TRY(put_attribute(e, &own->attr, &to->attribute[to->n_attribute++]));
    }
    return SDX_OK;
}

/* ---- nodes ---- */

static sdx_status put_names(exporter *e, const sdx_graph *graph, int n, const sdx_id *ids, char ***out) {
    char **names = SDX_NEW_ARRAY(e->arena, char *, n, e->error);
    if (!names) return sdx_failure(e->error);
    for (int k = 0; k < n; k++) {
        names[k] = sdx_export_text(e, ids[k] == SDX_NONE ? "" : sdx_export_name(graph, ids[k]));
        if (!names[k]) return sdx_failure(e->error);
    }
    *out = names;
    return SDX_OK;
}

/* NULL in *row when the node is written under its own row. */
static sdx_status target_row(exporter *e, const sdx_node *node, const sdx_row **row) {
    int opset = sdx_export_opset_of(e, node->domain);
    const sdx_op_version *version = node->op ? sdx_op_version_at(node->op, opset) : NULL;
    *row = NULL;
    if (!node->op || version == node->version) return SDX_OK;
    if (!version) return sdx_fail(e->error, SDX_UNSUPPORTED, "it does not exist in opset %d", opset);
    return sdx_row_parse(version, e->arena, e->error, row);
}

static sdx_status fill_node(exporter *e, const sdx_graph *graph, const sdx_node *node, Onnx__NodeProto *to) {
    const sdx_row *target = NULL;
    if (node->op && (node->op->flags & SDX_OP_INTERNAL))
        return sdx_fail(e->error, SDX_UNSUPPORTED, "an operator of this machine cannot be written to a file");
    SDX_TRY(target_row(e, node, &target));
    if (target && !node->row) return sdx_fail(e->error, SDX_ARGUMENT, "the node is not bound");
    to->name = sdx_export_text(e, node->name);
    to->op_type = sdx_export_text(e, node->op_type);
    to->domain = sdx_export_text(e, node->domain);
    if (!to->name || !to->op_type || !to->domain) return sdx_failure(e->error);
    if (*node->doc && !(to->doc_string = sdx_export_text(e, node->doc))) return sdx_failure(e->error);
    to->n_input = (size_t)node->n_in;
    to->n_output = (size_t)node->n_out;
    SDX_TRY(put_names(e, graph, node->n_in, node->in, &to->input));
    SDX_TRY(put_names(e, graph, node->n_out, node->out, &to->output));
    SDX_TRY(put_attributes(e, node, target, to));
    return sdx_export_pairs(e, node->n_metadata, node->metadata, &to->n_metadata_props, &to->metadata_props);
}

sdx_status sdx_export_node(exporter *e, const sdx_graph *graph, const sdx_node *node, Onnx__NodeProto **out) {
    Onnx__NodeProto *to = SDX_NEW(e->arena, Onnx__NodeProto, e->error);
    if (!to) return sdx_failure(e->error);
    onnx__node_proto__init(to);
    sdx_status status = fill_node(e, graph, node, to);
    if (status != SDX_OK) return sdx_load_at_node(graph, node, status, e->error);
    *out = to;
    return SDX_OK;
}
