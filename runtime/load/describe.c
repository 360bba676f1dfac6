/* SPDX-License-Identifier: Apache-2.0
 * The public descriptions of inputs and outputs. */
#include "runtime/load/internal.h"
#include <string.h>

static sdx_status describe_dims(sdx_model *model, const sdx_type *type, sdx_value_info *info, sdx_error *error) {
    int64_t *dims = SDX_NEW_ARRAY(&model->arena, int64_t, type->rank, error);
    const char **names = SDX_NEW_ARRAY(&model->arena, const char *, type->rank, error);
    if (!dims || !names) return SDX_OUT_OF_MEMORY;
    for (int d = 0; d < type->rank; d++) {
        dims[d] = type->dim[d] < 0 ? -1 : type->dim[d];
        if (type->dim[d] <= -2) names[d] = model->graph->symbols[-2 - type->dim[d]];
    }
    info->dims = dims;
    info->dim_names = names;
    return SDX_OK;
}

static sdx_status describe(sdx_model *model, sdx_id id, const sdx_type *type, sdx_value_info *info, sdx_error *error) {
    const sdx_graph_value *value = &model->graph->values[id];
    const sdx_type *leaf = type;
    while (leaf->elem) leaf = leaf->elem;
    *info = (sdx_value_info){.name = value->name,
                             .kind = type->kind,
                             .dtype = leaf->dtype,
                             .rank = leaf->kind == SDX_TENSOR || leaf->kind == SDX_SPARSE_TENSOR ? leaf->rank : -1,
                             .has_default = value->is_input && value->constant};
    return info->rank >= 0 ? describe_dims(model, leaf, info, error) : SDX_OK;
}

/* declared_outputs[k] adds to what inference found. */
sdx_status sdx_load_describe(sdx_model *model, const sdx_type *declared_outputs, sdx_error *error) {
    const sdx_graph *graph = model->graph;
    model->inputs = SDX_NEW_ARRAY(&model->arena, sdx_value_info, graph->n_inputs, error);
    model->outputs = SDX_NEW_ARRAY(&model->arena, sdx_value_info, graph->n_outputs, error);
    if (!model->inputs || !model->outputs) return SDX_OUT_OF_MEMORY;
    for (int k = 0; k < graph->n_inputs; k++)
        SDX_TRY(describe(model, graph->inputs[k], &graph->values[graph->inputs[k]].type, &model->inputs[k], error));
    for (int k = 0; k < graph->n_outputs; k++) {
        sdx_type type = graph->values[graph->outputs[k]].type, merged;
        if (sdx_load_merge_types(&declared_outputs[k], &type, false, &merged)) type = merged;
        SDX_TRY(describe(model, graph->outputs[k], &type, &model->outputs[k], error));
    }
    model->n_inputs = (size_t)graph->n_inputs;
    model->n_outputs = (size_t)graph->n_outputs;
    return SDX_OK;
}
