/* SPDX-License-Identifier: Apache-2.0
 * The graph as messages. Inlined functions stay inlined; captures are written by name. */
#include "runtime/load/export.h"
#include "runtime/base/names.h"
#include <stdio.h>
#include <string.h>

char *sdx_export_text(exporter *e, const char *text) { return sdx_arena_copy(e->arena, text, strlen(text), e->error); }

/* ---- types ---- */

static sdx_status put_dim(exporter *e, int64_t dim, Onnx__TensorShapeProto__Dimension *to) {
    const sdx_graph *graph = e->model->graph;
    if (dim >= 0) {
        to->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        to->dim_value = dim;
    } else if (dim <= -2 && -2 - dim < graph->n_symbols) {
        to->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        to->dim_param = sdx_export_text(e, graph->symbols[-2 - dim]);
        if (!to->dim_param) return sdx_failure(e->error);
    }
    return SDX_OK;
}

static sdx_status put_shape(exporter *e, const sdx_type *type, Onnx__TensorShapeProto **out) {
    if (type->rank < 0) return SDX_OK;
    Onnx__TensorShapeProto *shape = SDX_NEW(e->arena, Onnx__TensorShapeProto, e->error);
    if (!shape) return sdx_failure(e->error);
    onnx__tensor_shape_proto__init(shape);
    shape->n_dim = (size_t)type->rank;
    shape->dim = SDX_NEW_ARRAY(e->arena, Onnx__TensorShapeProto__Dimension *, type->rank, e->error);
    if (!shape->dim) return sdx_failure(e->error);
    for (int d = 0; d < type->rank; d++) {
        shape->dim[d] = SDX_NEW(e->arena, Onnx__TensorShapeProto__Dimension, e->error);
        if (!shape->dim[d]) return sdx_failure(e->error);
        onnx__tensor_shape_proto__dimension__init(shape->dim[d]);
        SDX_TRY(put_dim(e, type->dim[d], shape->dim[d]));
    }
    *out = shape;
    return SDX_OK;
}

#define NEW_MESSAGE(e, type, init, out)                                                                                \
    do {                                                                                                               \
        (out) = SDX_NEW((e)->arena, type, (e)->error);                                                                 \
        if (!(out)) return sdx_failure((e)->error);                                                                    \
        init(out);                                                                                                     \
    } while (0)

static sdx_status put_tensor_type(exporter *e, const sdx_type *type, Onnx__TypeProto *to) {
    to->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    NEW_MESSAGE(e, Onnx__TypeProto__Tensor, onnx__type_proto__tensor__init, to->tensor_type);
    to->tensor_type->has_elem_type = 1;
    to->tensor_type->elem_type = (int32_t)type->dtype;
    return put_shape(e, type, &to->tensor_type->shape);
}

static sdx_status put_sparse_type(exporter *e, const sdx_type *type, Onnx__TypeProto *to) {
    to->value_case = ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE;
    NEW_MESSAGE(e, Onnx__TypeProto__SparseTensor, onnx__type_proto__sparse_tensor__init, to->sparse_tensor_type);
    to->sparse_tensor_type->has_elem_type = 1;
    to->sparse_tensor_type->elem_type = (int32_t)type->dtype;
    return put_shape(e, type, &to->sparse_tensor_type->shape);
}

static sdx_status put_map_type(exporter *e, const sdx_type *type, Onnx__TypeProto *to) {
    sdx_type value = {.kind = SDX_TENSOR, .dtype = type->dtype, .rank = -1};
    to->value_case = ONNX__TYPE_PROTO__VALUE_MAP_TYPE;
    NEW_MESSAGE(e, Onnx__TypeProto__Map, onnx__type_proto__map__init, to->map_type);
    to->map_type->has_key_type = 1;
    to->map_type->key_type = (int32_t)type->key;
    return sdx_export_type(e, &value, &to->map_type->value_type);
}

/* elem types nest a few levels only: import and rows see to that. */
sdx_status sdx_export_type(exporter *e, const sdx_type *type, Onnx__TypeProto **out) {
    static const sdx_type unknown = {.rank = -1};
    const sdx_type *elem = type->elem ? type->elem : &unknown;
    NEW_MESSAGE(e, Onnx__TypeProto, onnx__type_proto__init, *out);
    switch ((int)type->kind) {
    case SDX_TENSOR: return put_tensor_type(e, type, *out);
    case SDX_SPARSE_TENSOR: return put_sparse_type(e, type, *out);
    case SDX_MAP: return put_map_type(e, type, *out);
    case SDX_SEQUENCE:
        (*out)->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
        NEW_MESSAGE(e, Onnx__TypeProto__Sequence, onnx__type_proto__sequence__init, (*out)->sequence_type);
        return sdx_export_type(e, elem, &(*out)->sequence_type->elem_type);
    case SDX_OPTIONAL:
        (*out)->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
        NEW_MESSAGE(e, Onnx__TypeProto__Optional, onnx__type_proto__optional__init, (*out)->optional_type);
        return sdx_export_type(e, elem, &(*out)->optional_type->elem_type);
    default: return SDX_OK;
    }
}

static sdx_status put_value_info(exporter *e, const char *name, const sdx_type *type, Onnx__ValueInfoProto **out) {
    NEW_MESSAGE(e, Onnx__ValueInfoProto, onnx__value_info_proto__init, *out);
    (*out)->name = sdx_export_text(e, name);
    if (!(*out)->name) return sdx_failure(e->error);
    return type->kind ? sdx_export_type(e, type, &(*out)->type) : SDX_OK;
}

/* ---- graphs ---- */

static sdx_status put_inputs(exporter *e, const sdx_graph *graph, Onnx__GraphProto *to) {
    to->input = SDX_NEW_ARRAY(e->arena, Onnx__ValueInfoProto *, graph->n_inputs, e->error);
    if (!to->input) return sdx_failure(e->error);
    for (int k = 0; k < graph->n_inputs; k++) {
        const sdx_graph_value *value = &graph->values[graph->inputs[k]];
        SDX_TRY(put_value_info(e, value->name, &value->type, &to->input[to->n_input++]));
    }
    return SDX_OK;
}

/* What the file declared of a main output and inference could not prove is in its description. */
static sdx_type output_type(const exporter *e, const sdx_graph *graph, int k) {
    sdx_type type = graph->values[graph->outputs[k]].type;
    if (graph->parent || type.kind != SDX_TENSOR || (size_t)k >= e->model->n_outputs) return type;
    const sdx_value_info *info = &e->model->outputs[k];
    if (type.rank < 0 && info->rank >= 0 && info->rank <= SDX_MAX_RANK) {
        type.rank = info->rank;
        for (int d = 0; d < type.rank; d++) type.dim[d] = -1;
    }
    for (int d = 0; type.rank == info->rank && d < type.rank; d++)
        if (type.dim[d] < 0 && info->dims[d] >= 0) type.dim[d] = info->dims[d];
    return type;
}

/* A body's output that is a value of the enclosing graph is passed through an Identity: files know no other way. */
static sdx_status put_output(exporter *e, const sdx_graph *graph, int k, Onnx__GraphProto *to) {
    sdx_id id = graph->outputs[k];
    const char *name = sdx_export_name(graph, id);
    sdx_type type = output_type(e, graph, k);
    if (name != graph->values[id].name) {
        char fresh[32];
        snprintf(fresh, sizeof fresh, "sdx_v%d", e->fresh++);
        Onnx__NodeProto *identity = NULL;
        NEW_MESSAGE(e, Onnx__NodeProto, onnx__node_proto__init, identity);
        identity->op_type = sdx_export_text(e, "Identity");
        identity->input = SDX_NEW_ARRAY(e->arena, char *, 1, e->error);
        identity->output = SDX_NEW_ARRAY(e->arena, char *, 1, e->error);
        if (!identity->op_type || !identity->input || !identity->output) return sdx_failure(e->error);
        identity->n_input = identity->n_output = 1;
        identity->input[0] = sdx_export_text(e, name);
        identity->output[0] = sdx_export_text(e, fresh);
        if (!identity->input[0] || !identity->output[0]) return sdx_failure(e->error);
        to->node[to->n_node++] = identity;
        name = identity->output[0];
    }
    return put_value_info(e, name, &type, &to->output[to->n_output++]);
}

/* What exporters say of a weight stays with it: a later training asks. */
static sdx_status put_metadata(exporter *e, const sdx_graph_value *value, Onnx__GraphProto *to) {
    if (!value->n_metadata) return SDX_OK;
    Onnx__ValueInfoProto *info = NULL;
    SDX_TRY(put_value_info(e, value->name, &value->type, &info));
    SDX_TRY(sdx_export_pairs(e, value->n_metadata, value->metadata, &info->n_metadata_props, &info->metadata_props));
    to->value_info[to->n_value_info++] = info;
    return SDX_OK;
}

static sdx_status put_constants(exporter *e, const sdx_graph *graph, const int32_t *uses, Onnx__GraphProto *to) {
    int n = 0;
    for (int id = 0; id < graph->n_values; id++) n += graph->values[id].constant != NULL;
    to->initializer = SDX_NEW_ARRAY(e->arena, Onnx__TensorProto *, n, e->error);
    to->value_info = SDX_NEW_ARRAY(e->arena, Onnx__ValueInfoProto *, n, e->error);
    if (!to->initializer || !to->value_info) return sdx_failure(e->error);
    for (int id = 0; id < graph->n_values; id++) {
        const sdx_graph_value *value = &graph->values[id];
        if (!value->constant || (!value->is_input && !uses[id])) continue;
        SDX_TRY(sdx_proto_put_tensor(value->constant, value->name, e->arena, e->error,
                                     &to->initializer[to->n_initializer]));
        to->n_initializer++;
        if (!value->is_input) SDX_TRY(put_metadata(e, value, to));
    }
    return SDX_OK;
}

/* Nodes that an upgrade or a gradient made carry the name of the node they stand for; some runtimes want each once. */
static sdx_status set_apart(exporter *e, sdx_names *taken, Onnx__NodeProto *node) {
    char text[320];
    const char *name = node->name;
    if (!*name) return SDX_OK;
    for (int32_t k = sdx_names_get(taken, node->name, 1); sdx_names_get(taken, name, 0); name = text, k++) {
        snprintf(text, sizeof text, "%.300s.%d", node->name, (int)k + 1);
        SDX_TRY(sdx_names_put(taken, node->name, k + 1, e->error));
    }
    if (name == text && !(node->name = sdx_export_text(e, text))) return sdx_failure(e->error);
    return sdx_names_put(taken, node->name, 1, e->error);
}

static sdx_status fill_graph(exporter *e, const sdx_graph *graph, Onnx__GraphProto *to) {
    int32_t *uses = SDX_NEW_ARRAY(e->arena, int32_t, graph->n_values, e->error);
    to->node = SDX_NEW_ARRAY(e->arena, Onnx__NodeProto *, graph->n_nodes + graph->n_outputs, e->error);
    to->output = SDX_NEW_ARRAY(e->arena, Onnx__ValueInfoProto *, graph->n_outputs, e->error);
    to->name = sdx_export_text(e, *graph->name ? graph->name : "graph");
    if (!uses || !to->node || !to->output || !to->name) return sdx_failure(e->error);
    if (*graph->doc && !(to->doc_string = sdx_export_text(e, graph->doc))) return sdx_failure(e->error);
    sdx_graph_count_uses(graph, uses);
    SDX_TRY(put_inputs(e, graph, to));
    SDX_TRY(put_constants(e, graph, uses, to));
    sdx_names taken;
    sdx_names_init(&taken, e->arena);
    for (int k = 0; k < graph->n_nodes; k++) {
        SDX_TRY(sdx_export_node(e, graph, graph->nodes[k], &to->node[to->n_node++]));
        SDX_TRY(set_apart(e, &taken, to->node[to->n_node - 1]));
    }
    for (int k = 0; k < graph->n_outputs; k++) SDX_TRY(put_output(e, graph, k, to));
    return SDX_OK;
}

Onnx__GraphProto *sdx_export_graph(exporter *e, const sdx_graph *graph) {
    Onnx__GraphProto *to = SDX_NEW(e->arena, Onnx__GraphProto, e->error);
    if (!to) return NULL;
    onnx__graph_proto__init(to);
    return fill_graph(e, graph, to) == SDX_OK ? to : NULL;
}

/* ---- the model ---- */

static sdx_status put_opsets(exporter *e, Onnx__ModelProto *to) {
    SDX_TRY(sdx_export_opsets(e));
    to->opset_import = SDX_NEW_ARRAY(e->arena, Onnx__OperatorSetIdProto *, e->n_opsets, e->error);
    if (!to->opset_import) return sdx_failure(e->error);
    for (int k = 0; k < e->n_opsets; k++) {
        NEW_MESSAGE(e, Onnx__OperatorSetIdProto, onnx__operator_set_id_proto__init, to->opset_import[k]);
        to->opset_import[k]->domain = sdx_export_text(e, e->opsets[k].domain);
        if (!to->opset_import[k]->domain) return sdx_failure(e->error);
        to->opset_import[k]->has_version = 1;
        to->opset_import[k]->version = e->opsets[k].version;
        to->n_opset_import++;
    }
    return SDX_OK;
}

static void *take_from_arena(void *arena, size_t size) { return sdx_arena_alloc(arena, size, NULL); }
static void leave_to_arena(void *arena, void *pointer) { (void)arena, (void)pointer; }

/* As it was read. Its operators are of the opsets that were imported then, so the model must still be. */
static sdx_status put_training(exporter *e, Onnx__ModelProto *to) {
    const sdx_model *model = e->model;
    if (!model->training_info) return SDX_OK;
    for (int k = 0; k < model->n_opsets; k++)
        if (model->opsets[k].version != sdx_export_opset_of(e, model->opsets[k].domain))
            return sdx_fail(e->error, SDX_UNSUPPORTED,
                            "the graph needs opset %d of domain '%s'; its training information is written for opset %d",
                            sdx_export_opset_of(e, model->opsets[k].domain),
                            *model->opsets[k].domain ? model->opsets[k].domain : "ai.onnx",
                            (int)model->opsets[k].version);
    ProtobufCAllocator allocator = {take_from_arena, leave_to_arena, e->arena};
    Onnx__ModelProto *kept = onnx__model_proto__unpack(&allocator, model->training_info_size, model->training_info);
    if (!kept) return sdx_fail(e->error, SDX_OUT_OF_MEMORY, "no memory for the training information");
    to->n_training_info = kept->n_training_info;
    to->training_info = kept->training_info;
    to->n_functions = kept->n_functions;
    to->functions = kept->functions;
    return SDX_OK;
}

static sdx_status fill_model(exporter *e, Onnx__ModelProto *to) {
    const sdx_model *model = e->model;
    SDX_TRY(put_opsets(e, to));
    to->has_ir_version = 1;
    to->ir_version = sdx_export_ir_version(e);
    to->has_model_version = model->model_version != 0;
    to->model_version = model->model_version;
    to->producer_name = sdx_export_text(e, model->producer_name);
    to->producer_version = sdx_export_text(e, model->producer_version);
    to->domain = sdx_export_text(e, model->domain);
    to->doc_string = sdx_export_text(e, model->doc);
    if (!to->producer_name || !to->producer_version || !to->domain || !to->doc_string) return sdx_failure(e->error);
    SDX_TRY(sdx_export_pairs(e, model->n_metadata, model->metadata, &to->n_metadata_props, &to->metadata_props));
    to->graph = sdx_export_graph(e, model->graph);
    return to->graph ? put_training(e, to) : sdx_failure(e->error);
}

sdx_status sdx_export_model(const sdx_model *model, sdx_arena *arena, sdx_error *error, Onnx__ModelProto **out) {
    sdx_error own = {0};
    exporter e = {.model = model, .arena = arena, .error = error ? error : &own, .fresh = model->graph->fresh};
    Onnx__ModelProto *to = NULL;
    *out = NULL;
    NEW_MESSAGE(&e, Onnx__ModelProto, onnx__model_proto__init, to);
    sdx_status status = fill_model(&e, to);
    if (status != SDX_OK) return e.error->status ? sdx_error_context(e.error, "writing '%s'", model->name) : status;
    *out = to;
    return SDX_OK;
}
