/* SPDX-License-Identifier: Apache-2.0
 * AttributeProto, TensorProto and TypeProto -> the graph's own. A function's attribute that refers to one of the call
 * (ref_attr_name) is looked up through the calls. */
#include "runtime/load/import.h"
#include <stdio.h>
#include <string.h>

/* ---- tensors ---- */

/* Payloads move out of their message, so with functions about, one message gives one value to all that ask. */
static sdx_value *taken_before(importer *imp, const void *message) {
    char key[32];
    if (!imp->functions.n) return NULL;
    snprintf(key, sizeof key, "%p", message);
    int at = sdx_names_get(&imp->taken, key, -1);
    return at < 0 ? NULL : sdx_value_retain(imp->values[at]);
}

static sdx_status remember(importer *imp, const void *message, sdx_value *value) {
    char key[32];
    if (!imp->functions.n) return SDX_OK;
    snprintf(key, sizeof key, "%p", message);
    char *name = sdx_arena_copy(imp->scratch, key, strlen(key), imp->error);
    if (!name) return sdx_import_status(imp);
    if (imp->n_values == imp->values_capacity) {
        int capacity = imp->values_capacity ? imp->values_capacity * 2 : 64;
        sdx_value **values = SDX_NEW_ARRAY(imp->scratch, sdx_value *, capacity, imp->error);
        if (!values) return sdx_import_status(imp);
        if (imp->n_values) memcpy(values, imp->values, (size_t)imp->n_values * sizeof *values);
        imp->values = values;
        imp->values_capacity = capacity;
    }
    SDX_TRY(sdx_names_put(&imp->taken, name, imp->n_values, imp->error));
    imp->values[imp->n_values++] = sdx_value_retain(value);
    return SDX_OK;
}

static sdx_value *remembered(importer *imp, const void *message, sdx_status status, sdx_value *value) {
    if (status == SDX_OK) status = remember(imp, message, value);
    if (status == SDX_OK) return value;
    sdx_value_release(value);
    return NULL;
}

sdx_value *sdx_import_tensor(importer *imp, Onnx__TensorProto *tensor) {
    sdx_value *value = taken_before(imp, tensor);
    if (value) return value;
    sdx_status status = sdx_proto_take_tensor(imp->proto, tensor, imp->error, &value);
    return remembered(imp, tensor, status, value);
}

sdx_value *sdx_import_sparse(importer *imp, Onnx__SparseTensorProto *sparse) {
    sdx_value *value = taken_before(imp, sparse);
    if (value) return value;
    sdx_status status = sdx_proto_take_sparse(imp->proto, sparse, imp->error, &value);
    return remembered(imp, sparse, status, value);
}

/* ---- types ---- */

enum { MOST_TYPE_DEPTH = 8 };

static sdx_status import_dims(importer *imp, const Onnx__TensorShapeProto *shape, sdx_type *to) {
    to->rank = -1;
    if (!shape) return SDX_OK;
    if (shape->n_dim > SDX_MAX_RANK)
        return sdx_fail(imp->error, SDX_UNSUPPORTED, "rank is %zu; at most %d is supported", shape->n_dim,
                        SDX_MAX_RANK);
    to->rank = (int)shape->n_dim;
    for (size_t d = 0; d < shape->n_dim; d++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[d];
        to->dim[d] = -1;
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value >= 0)
            to->dim[d] = dim->dim_value;
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && dim->dim_param &&
            *dim->dim_param) {
            to->dim[d] = sdx_graph_symbol(imp->model->graph, dim->dim_param, imp->error);
            if (to->dim[d] == -1) return sdx_import_status(imp);
        }
    }
    return SDX_OK;
}

static sdx_status import_dtype(importer *imp, int32_t dtype, sdx_dtype *out) {
    if (dtype == SDX_UNDEFINED) return sdx_fail(imp->error, SDX_MALFORMED, "the element type is UNDEFINED");
    if (!sdx_dtype_valid(dtype))
        return sdx_fail(imp->error, SDX_MALFORMED, "element type %d does not exist", (int)dtype);
    *out = (sdx_dtype)dtype;
    return SDX_OK;
}

static sdx_status import_type(importer *imp, const Onnx__TypeProto *from, int depth, sdx_type *to);

static sdx_status import_elem(importer *imp, const Onnx__TypeProto *from, int depth, sdx_type *to) {
    sdx_type *elem = SDX_NEW(imp->scratch, sdx_type, imp->error);
    if (!elem) return sdx_import_status(imp);
    to->elem = elem;
    return import_type(imp, from, depth + 1, elem);
}

static sdx_status import_map(importer *imp, const Onnx__TypeProto__Map *from, sdx_type *to) {
    SDX_TRY(import_dtype(imp, from->key_type, &to->key));
    if (!from->value_type) return sdx_fail(imp->error, SDX_MALFORMED, "a map type has no value type");
    if (from->value_type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return sdx_fail(imp->error, SDX_UNSUPPORTED, "the values of a map are not tensors");
    return import_dtype(imp, from->value_type->tensor_type->elem_type, &to->dtype);
}

static sdx_status import_type(importer *imp, const Onnx__TypeProto *from, int depth, sdx_type *to) {
    *to = (sdx_type){.rank = -1};
    if (depth > MOST_TYPE_DEPTH)
        return sdx_fail(imp->error, SDX_UNSUPPORTED, "a type is nested more than %d deep", MOST_TYPE_DEPTH);
    if (!from) return SDX_OK;
    switch ((int)from->value_case) { /* the generated enum has a member that only fixes its size */
    case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        to->kind = SDX_TENSOR;
        SDX_TRY(import_dtype(imp, from->tensor_type->elem_type, &to->dtype));
        return import_dims(imp, from->tensor_type->shape, to);
    case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
        to->kind = SDX_SPARSE_TENSOR;
        SDX_TRY(import_dtype(imp, from->sparse_tensor_type->elem_type, &to->dtype));
        return import_dims(imp, from->sparse_tensor_type->shape, to);
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        to->kind = SDX_SEQUENCE;
        return import_elem(imp, from->sequence_type->elem_type, depth, to);
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        to->kind = SDX_OPTIONAL;
        return import_elem(imp, from->optional_type->elem_type, depth, to);
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE: to->kind = SDX_MAP; return import_map(imp, from->map_type, to);
    case ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE: return sdx_fail(imp->error, SDX_UNSUPPORTED, "an opaque type");
    default: return SDX_OK;
    }
}

sdx_status sdx_import_type(importer *imp, const Onnx__TypeProto *from, sdx_type *to) {
    return import_type(imp, from, 0, to);
}

/* ---- attributes ---- */

static bool holds(const Onnx__AttributeProto *a, sdx_attr_type type) {
    switch (type) {
    case SDX_ATTR_FLOAT: return a->has_f;
    case SDX_ATTR_INT: return a->has_i;
    case SDX_ATTR_STRING: return a->has_s;
    case SDX_ATTR_TENSOR: return a->t != NULL;
    case SDX_ATTR_GRAPH: return a->g != NULL;
    case SDX_ATTR_FLOATS: return a->n_floats > 0;
    case SDX_ATTR_INTS: return a->n_ints > 0;
    case SDX_ATTR_STRINGS: return a->n_strings > 0;
    case SDX_ATTR_TENSORS: return a->n_tensors > 0;
    case SDX_ATTR_GRAPHS: return a->n_graphs > 0;
    case SDX_ATTR_SPARSE_TENSOR: return a->sparse_tensor != NULL;
    case SDX_ATTR_SPARSE_TENSORS: return a->n_sparse_tensors > 0;
    case SDX_ATTR_TYPE: return a->tp != NULL;
    case SDX_ATTR_TYPES: return a->n_type_protos > 0;
    }
    return false;
}

/* The type that is declared; before IR version 2 it was told by the field in use. */
static sdx_status attribute_type(const importer *imp, const Onnx__AttributeProto *a, sdx_attr_type *out) {
    char name[96];
    int used = 0, type = a->has_type ? (int)a->type : 0;
    for (int t = SDX_ATTR_FLOAT; t <= SDX_ATTR_TYPES; t++) {
        if (!holds(a, (sdx_attr_type)t)) continue;
        used++;
        if (!type) type = t;
        if (t != type)
            return sdx_fail(imp->error, SDX_MALFORMED, "attribute '%s' has a value that is not of its declared type",
                            sdx_import_quote(a->name, name, sizeof name));
    }
    bool object =
        type == SDX_ATTR_TENSOR || type == SDX_ATTR_GRAPH || type == SDX_ATTR_SPARSE_TENSOR || type == SDX_ATTR_TYPE;
    if (type < SDX_ATTR_FLOAT || type > SDX_ATTR_TYPES || (object && !used))
        return sdx_fail(imp->error, SDX_MALFORMED, "attribute '%s' has no %s",
                        sdx_import_quote(a->name, name, sizeof name), object ? "value" : "type");
    *out = (sdx_attr_type)type;
    return SDX_OK;
}

static sdx_status copy_strings(importer *imp, const Onnx__AttributeProto *a, sdx_attr *attr) {
    sdx_string *strings = SDX_NEW_ARRAY(imp->scratch, sdx_string, a->n_strings, imp->error);
    if (!strings) return sdx_import_status(imp);
    for (size_t k = 0; k < a->n_strings; k++)
        strings[k] = (sdx_string){(const char *)a->strings[k].data, a->strings[k].len};
    attr->n = a->n_strings;
    attr->strings = strings;
    return SDX_OK;
}

static sdx_status copy_types(importer *imp, const Onnx__AttributeProto *a, sdx_attr *attr) {
    bool one = attr->type == SDX_ATTR_TYPE;
    size_t n = one ? 1 : a->n_type_protos;
    sdx_type *types = SDX_NEW_ARRAY(imp->scratch, sdx_type, n, imp->error);
    if (!types) return sdx_import_status(imp);
    for (size_t k = 0; k < n; k++) SDX_TRY(sdx_import_type(imp, one ? a->tp : a->type_protos[k], &types[k]));
    attr->n = n;
    if (one)
        attr->type_proto = types;
    else
        attr->types = types;
    return SDX_OK;
}

/* Values of tensors and sparse tensors; the node retains them, so ours are released after. */
static sdx_status set_values(importer *imp, sdx_graph *graph, sdx_node *node, const Onnx__AttributeProto *a,
                             sdx_attr *attr) {
    bool one = attr->type == SDX_ATTR_TENSOR || attr->type == SDX_ATTR_SPARSE_TENSOR;
    bool sparse = attr->type == SDX_ATTR_SPARSE_TENSOR || attr->type == SDX_ATTR_SPARSE_TENSORS;
    size_t n = one ? 1 : sparse ? a->n_sparse_tensors : a->n_tensors, made = 0;
    sdx_value **values = SDX_NEW_ARRAY(imp->scratch, sdx_value *, n, imp->error);
    if (!values) return sdx_import_status(imp);
    sdx_status status = SDX_OK;
    for (; made < n && status == SDX_OK; made++) {
        if (sparse)
            values[made] = sdx_import_sparse(imp, one ? a->sparse_tensor : a->sparse_tensors[made]);
        else
            values[made] = sdx_import_tensor(imp, one ? a->t : a->tensors[made]);
        if (!values[made]) status = sdx_import_status(imp);
    }
    attr->n = n;
    if (one)
        attr->value = values[0];
    else
        attr->values = values;
    if (status == SDX_OK) status = sdx_node_set_attr(graph, node, attr, imp->error);
    while (made--) sdx_value_release(values[made]);
    return status;
}

static sdx_status set_graphs(importer *imp, const scope *names, const frame *call, sdx_graph *graph, sdx_node *node,
                             const Onnx__AttributeProto *a, sdx_attr *attr) {
    bool one = attr->type == SDX_ATTR_GRAPH;
    size_t n = one ? 1 : a->n_graphs, made = 0;
    sdx_graph **graphs = SDX_NEW_ARRAY(imp->scratch, sdx_graph *, n, imp->error);
    if (!graphs) return sdx_import_status(imp);
    sdx_status status = SDX_OK;
    for (; made < n && status == SDX_OK; made++) {
        graphs[made] = sdx_import_body(imp, names, graph, one ? a->g : a->graphs[made], call);
        if (!graphs[made]) status = sdx_import_status(imp);
    }
    attr->n = n;
    if (one)
        attr->graph = graphs[0];
    else
        attr->graphs = graphs;
    if (status == SDX_OK) status = sdx_node_set_attr(graph, node, attr, imp->error);
    while (status != SDX_OK && made--)
        if (graphs[made] && !graphs[made]->references) sdx_graph_release(graphs[made]);
    return status;
}

static const Onnx__AttributeProto *find_attribute(size_t n, Onnx__AttributeProto **list, const char *name) {
    for (size_t k = 0; k < n; k++)
        if (list[k]->name && strcmp(list[k]->name, name) == 0) return list[k];
    return NULL;
}

static bool declares(const Onnx__FunctionProto *function, const char *name) {
    for (size_t k = 0; k < function->n_attribute; k++)
        if (strcmp(function->attribute[k], name) == 0) return true;
    return find_attribute(function->n_attribute_proto, function->attribute_proto, name) != NULL;
}

/* Follows ref_attr_name outwards. *attribute becomes NULL when the call leaves the attribute out. */
static sdx_status dereference(const importer *imp, const scope **where, const Onnx__AttributeProto **attribute) {
    char name[96];
    while ((*attribute)->ref_attr_name && *(*attribute)->ref_attr_name) {
        const char *wanted = (*attribute)->ref_attr_name;
        const frame *call = (*where)->frame;
        if (!call || !declares(call->function, wanted))
            return sdx_fail(imp->error, SDX_MALFORMED, "attribute '%s' refers to '%s', which %s",
                            sdx_import_text((*attribute)->name), sdx_import_quote(wanted, name, sizeof name),
                            call ? "the function does not declare" : "exists in functions only");
        const Onnx__AttributeProto *given = find_attribute(call->call->n_attribute, call->call->attribute, wanted);
        if (!given) {
            *attribute = find_attribute(call->function->n_attribute_proto, call->function->attribute_proto, wanted);
            return SDX_OK;
        }
        *attribute = given;
        *where = call->caller;
    }
    return SDX_OK;
}

sdx_status sdx_import_attribute(importer *imp, const scope *s, sdx_node *node, const Onnx__AttributeProto *given) {
    const Onnx__AttributeProto *a = given;
    const scope *where = s;
    SDX_TRY(dereference(imp, &where, &a));
    if (!a) return SDX_OK;
    sdx_attr attr = {.name = given->name, .n = 1};
    SDX_TRY(attribute_type(imp, a, &attr.type));
    switch (attr.type) {
    case SDX_ATTR_FLOAT: attr.f = a->has_f ? a->f : 0; break;
    case SDX_ATTR_INT: attr.i = a->has_i ? a->i : 0; break;
    case SDX_ATTR_STRING:
        attr.s = a->has_s ? (sdx_string){(const char *)a->s.data, a->s.len} : (sdx_string){"", 0};
        break;
    case SDX_ATTR_FLOATS: attr.n = a->n_floats, attr.floats = a->floats; break;
    case SDX_ATTR_INTS: attr.n = a->n_ints, attr.ints = a->ints; break;
    case SDX_ATTR_STRINGS: SDX_TRY(copy_strings(imp, a, &attr)); break;
    case SDX_ATTR_TYPE:
    case SDX_ATTR_TYPES: SDX_TRY(copy_types(imp, a, &attr)); break;
    case SDX_ATTR_TENSOR:
    case SDX_ATTR_TENSORS:
    case SDX_ATTR_SPARSE_TENSOR:
    case SDX_ATTR_SPARSE_TENSORS: return set_values(imp, s->graph, node, a, &attr);
    case SDX_ATTR_GRAPH:
    case SDX_ATTR_GRAPHS: return set_graphs(imp, where, where->frame, s->graph, node, a, &attr);
    }
    return sdx_node_set_attr(s->graph, node, &attr, imp->error);
}

sdx_status sdx_import_check_attributes(const importer *imp, const Onnx__NodeProto *node) {
    char name[96];
    if (node->n_attribute > MOST_ATTRIBUTES)
        return sdx_fail(imp->error, SDX_MALFORMED, "has %zu attributes; at most %d are allowed", node->n_attribute,
                        MOST_ATTRIBUTES);
    for (size_t k = 0; k < node->n_attribute; k++) {
        const char *text = node->attribute[k]->name;
        if (!text || !*text) return sdx_fail(imp->error, SDX_MALFORMED, "an attribute has no name");
        if (find_attribute(k, node->attribute, text))
            return sdx_fail(imp->error, SDX_MALFORMED, "attribute '%s' is given twice",
                            sdx_import_quote(text, name, sizeof name));
    }
    return SDX_OK;
}
