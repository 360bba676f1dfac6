/* SPDX-License-Identifier: Apache-2.0
 * Small models built in memory: messages are put together in one arena, packed to bytes and loaded as a file would be.
 */
#ifndef SDX_TESTS_MODEL_BUILDER_H
#define SDX_TESTS_MODEL_BUILDER_H
#include "proto/onnx.pb-c.h"
#include "runtime/load/load.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNUSED_OK __attribute__((unused))

typedef struct builder {
    sdx_memory memory;
    sdx_arena arena;
    Onnx__ModelProto *model;
    Onnx__GraphProto *graph;
} builder;

UNUSED_OK static void *take(builder *b, size_t size) {
    void *p = sdx_arena_alloc(&b->arena, size, NULL);
    assert_non_null(p);
    return p;
}

UNUSED_OK static char *text(builder *b, const char *s) {
    char *copy = sdx_arena_copy(&b->arena, s, strlen(s), NULL);
    assert_non_null(copy);
    return copy;
}

/* array[n++] = item; arrays double. */
UNUSED_OK static void push(builder *b, void *array, size_t *n, void *item) {
    void **old = NULL;
    memcpy(&old, array, sizeof old);
    if ((*n & (*n - 1)) == 0) {
        void **next = take(b, (*n ? *n * 2 : 1) * sizeof *next);
        if (*n) memcpy(next, old, *n * sizeof *next);
        memcpy(array, &next, sizeof next);
        old = next;
    }
    old[(*n)++] = item;
}

UNUSED_OK static Onnx__GraphProto *new_graph(builder *b, const char *name) {
    Onnx__GraphProto *graph = take(b, sizeof *graph);
    onnx__graph_proto__init(graph);
    graph->name = text(b, name);
    return graph;
}

UNUSED_OK static void import_opset(builder *b, const char *domain, int64_t version) {
    Onnx__OperatorSetIdProto *opset = take(b, sizeof *opset);
    onnx__operator_set_id_proto__init(opset);
    opset->domain = text(b, domain);
    opset->has_version = 1;
    opset->version = version;
    push(b, &b->model->opset_import, &b->model->n_opset_import, opset);
}

/* A model of IR version 8 with an empty graph and the given opset (0: none imported). */
UNUSED_OK static void begin(builder *b, int64_t opset) {
    sdx_memory_init(&b->memory, 0);
    sdx_arena_init(&b->arena, &b->memory);
    b->model = take(b, sizeof *b->model);
    onnx__model_proto__init(b->model);
    b->model->has_ir_version = 1;
    b->model->ir_version = 8;
    b->graph = b->model->graph = new_graph(b, "test");
    if (opset) import_opset(b, "", opset);
}

UNUSED_OK static void end(builder *b) { sdx_arena_release(&b->arena); }

/* dims: "3,N,?" ; "" is rank 0; NULL: no shape. */
UNUSED_OK static Onnx__TypeProto *tensor_type(builder *b, int dtype, const char *dims) {
    Onnx__TypeProto *type = take(b, sizeof *type);
    onnx__type_proto__init(type);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = take(b, sizeof *type->tensor_type);
    onnx__type_proto__tensor__init(type->tensor_type);
    type->tensor_type->has_elem_type = 1;
    type->tensor_type->elem_type = dtype;
    if (!dims) return type;
    Onnx__TensorShapeProto *shape = type->tensor_type->shape = take(b, sizeof *shape);
    onnx__tensor_shape_proto__init(shape);
    while (*dims) {
        size_t length = strcspn(dims, ",");
        Onnx__TensorShapeProto__Dimension *dim = take(b, sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        char *word = take(b, length + 1);
        memcpy(word, dims, length);
        if (*word != '?') {
            bool number = (*word >= '0' && *word <= '9') || *word == '-';
            dim->value_case = number ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                                     : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            if (number)
                dim->dim_value = strtoll(word, NULL, 10);
            else
                dim->dim_param = word;
        }
        push(b, &shape->dim, &shape->n_dim, dim);
        dims += length + (dims[length] == ',');
    }
    return type;
}

UNUSED_OK static Onnx__ValueInfoProto *value_info(builder *b, const char *name, int dtype, const char *dims) {
    Onnx__ValueInfoProto *info = take(b, sizeof *info);
    onnx__value_info_proto__init(info);
    info->name = text(b, name);
    if (dtype >= 0) info->type = tensor_type(b, dtype, dims);
    return info;
}

/* dtype -1: no type at all. */
UNUSED_OK static void add_input(builder *b, Onnx__GraphProto *graph, const char *name, int dtype, const char *dims) {
    push(b, &graph->input, &graph->n_input, value_info(b, name, dtype, dims));
}

UNUSED_OK static void add_output(builder *b, Onnx__GraphProto *graph, const char *name, int dtype, const char *dims) {
    push(b, &graph->output, &graph->n_output, value_info(b, name, dtype, dims));
}

UNUSED_OK static Onnx__TensorProto *raw_tensor(builder *b, const char *name, int dtype, size_t rank,
                                               const int64_t *dims, const void *bytes, size_t size) {
    Onnx__TensorProto *tensor = take(b, sizeof *tensor);
    onnx__tensor_proto__init(tensor);
    tensor->name = text(b, name);
    tensor->has_data_type = 1;
    tensor->data_type = dtype;
    tensor->n_dims = rank;
    tensor->dims = take(b, rank * sizeof *dims + 1);
    if (rank) memcpy(tensor->dims, dims, rank * sizeof *dims);
    tensor->has_raw_data = 1;
    tensor->raw_data.len = size;
    tensor->raw_data.data = take(b, size + 1);
    if (size) memcpy(tensor->raw_data.data, bytes, size);
    return tensor;
}

UNUSED_OK static void add_initializer(builder *b, Onnx__GraphProto *graph, Onnx__TensorProto *tensor) {
    push(b, &graph->initializer, &graph->n_initializer, tensor);
}

UNUSED_OK static void init_f32(builder *b, Onnx__GraphProto *graph, const char *name, int64_t n, float value) {
    float *values = take(b, (size_t)n * sizeof *values + 1);
    for (int64_t k = 0; k < n; k++) values[k] = value;
    add_initializer(b, graph, raw_tensor(b, name, SDX_F32, 1, &n, values, (size_t)n * sizeof *values));
}

UNUSED_OK static void init_i64(builder *b, Onnx__GraphProto *graph, const char *name, int64_t n,
                               const int64_t *values) {
    add_initializer(b, graph, raw_tensor(b, name, SDX_I64, 1, &n, values, (size_t)n * sizeof *values));
}

/* "a b - c": names between spaces; "-" is an absent one. */
UNUSED_OK static void split(builder *b, const char *names, char ***list, size_t *n) {
    for (names += strspn(names, " "); *names; names += strspn(names, " ")) {
        size_t length = strcspn(names, " ");
        char *name = take(b, length + 1);
        if (!(length == 1 && *names == '-')) memcpy(name, names, length);
        push(b, list, n, name);
        names += length;
    }
}

UNUSED_OK static Onnx__NodeProto *new_node(builder *b, const char *op_type, const char *in, const char *out) {
    Onnx__NodeProto *node = take(b, sizeof *node);
    onnx__node_proto__init(node);
    node->op_type = text(b, op_type);
    node->name = text(b, "");
    split(b, in, &node->input, &node->n_input);
    split(b, out, &node->output, &node->n_output);
    return node;
}

UNUSED_OK static Onnx__NodeProto *add_node(builder *b, Onnx__GraphProto *graph, const char *op_type, const char *in,
                                           const char *out) {
    Onnx__NodeProto *node = new_node(b, op_type, in, out);
    push(b, &graph->node, &graph->n_node, node);
    return node;
}

UNUSED_OK static Onnx__AttributeProto *add_attribute(builder *b, Onnx__NodeProto *node, const char *name, int type) {
    Onnx__AttributeProto *attribute = take(b, sizeof *attribute);
    onnx__attribute_proto__init(attribute);
    attribute->name = text(b, name);
    attribute->has_type = 1;
    attribute->type = (Onnx__AttributeProto__AttributeType)type;
    push(b, &node->attribute, &node->n_attribute, attribute);
    return attribute;
}

UNUSED_OK static void attr_int(builder *b, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *attribute = add_attribute(b, node, name, SDX_ATTR_INT);
    attribute->has_i = 1;
    attribute->i = value;
}

UNUSED_OK static void attr_float(builder *b, Onnx__NodeProto *node, const char *name, float value) {
    Onnx__AttributeProto *attribute = add_attribute(b, node, name, SDX_ATTR_FLOAT);
    attribute->has_f = 1;
    attribute->f = value;
}

UNUSED_OK static void attr_graph(builder *b, Onnx__NodeProto *node, const char *name, Onnx__GraphProto *graph) {
    add_attribute(b, node, name, SDX_ATTR_GRAPH)->g = graph;
}

UNUSED_OK static void attr_tensor(builder *b, Onnx__NodeProto *node, const char *name, Onnx__TensorProto *tensor) {
    add_attribute(b, node, name, SDX_ATTR_TENSOR)->t = tensor;
}

UNUSED_OK static void attr_ref(builder *b, Onnx__NodeProto *node, const char *name, int type, const char *of) {
    add_attribute(b, node, name, type)->ref_attr_name = text(b, of);
}

/* A function of domain "f" over opset 17. */
UNUSED_OK static Onnx__FunctionProto *add_function(builder *b, const char *name, const char *in, const char *out) {
    Onnx__FunctionProto *function = take(b, sizeof *function);
    onnx__function_proto__init(function);
    function->name = text(b, name);
    function->domain = text(b, "f");
    split(b, in, &function->input, &function->n_input);
    split(b, out, &function->output, &function->n_output);
    Onnx__OperatorSetIdProto *opset = take(b, sizeof *opset);
    onnx__operator_set_id_proto__init(opset);
    opset->domain = text(b, "");
    opset->has_version = 1;
    opset->version = 17;
    push(b, &function->opset_import, &function->n_opset_import, opset);
    push(b, &b->model->functions, &b->model->n_functions, function);
    return function;
}

UNUSED_OK static Onnx__NodeProto *function_node(builder *b, Onnx__FunctionProto *function, const char *op_type,
                                                const char *in, const char *out) {
    Onnx__NodeProto *node = new_node(b, op_type, in, out);
    push(b, &function->node, &function->n_node, node);
    return node;
}

UNUSED_OK static Onnx__NodeProto *call(builder *b, Onnx__NodeProto *node) {
    node->domain = text(b, "f");
    return node;
}

UNUSED_OK static unsigned char *pack(const builder *b, size_t *size) {
    *size = onnx__model_proto__get_packed_size(b->model);
    unsigned char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    onnx__model_proto__pack(b->model, bytes);
    return bytes;
}

UNUSED_OK static sdx_status load_at(const builder *b, sdx_optimise level, sdx_error *error, sdx_model **out) {
    sdx_model_options options = {.size = sizeof options, .optimise = level};
    sdx_source source;
    size_t size = 0;
    unsigned char *bytes = pack(b, &size);
    sdx_source_from_memory(bytes, size, &source);
    *error = (sdx_error){0};
    sdx_status status = sdx_load_source(&source, "model.onnx", &options, error, out);
    free(bytes);
    return status;
}

/* Loads and checks the graph's invariants. */
UNUSED_OK static sdx_model *must_load(const builder *b, sdx_optimise level) {
    sdx_error error = {0};
    sdx_model *model = NULL;
    if (load_at(b, level, &error, &model) != SDX_OK) fail_msg("refused: %s", error.message);
    if (sdx_graph_check(model->graph, &error) != SDX_OK) fail_msg("invariant: %s", error.message);
    return model;
}

/* Loading is refused with this status, and the message holds the words (separated by '|'). */
UNUSED_OK static void must_refuse(const builder *b, sdx_status status, const char *words) {
    sdx_error error = {0};
    sdx_model *model = NULL;
    sdx_status got = load_at(b, SDX_OPTIMISE_ALL, &error, &model);
    if (got == SDX_OK) fail_msg("accepted; it must be refused: %s", words);
    if (got != status)
        fail_msg("status '%s', not '%s': %s", sdx_status_text(got), sdx_status_text(status), error.message);
    assert_null(model);
    char word[128];
    while (*words) {
        size_t length = strcspn(words, "|");
        snprintf(word, sizeof word, "%.*s", (int)length, words);
        if (!strstr(error.message, word)) fail_msg("'%s' is not in: %s", word, error.message);
        words += length + (words[length] == '|');
    }
}

UNUSED_OK static int count_nodes(const sdx_graph *graph, const char *op_type) {
    int n = 0;
    for (int k = 0; k < graph->n_nodes; k++) n += !op_type || strcmp(graph->nodes[k]->op_type, op_type) == 0;
    return n;
}

UNUSED_OK static const sdx_graph_value *find_value(const sdx_graph *graph, const char *name) {
    for (int k = 0; k < graph->n_values; k++)
        if (strcmp(graph->values[k].name, name) == 0) return &graph->values[k];
    fail_msg("there is no value '%s'", name);
    return NULL;
}

#endif
