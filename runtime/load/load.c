/* SPDX-License-Identifier: Apache-2.0
 * The stages in their order. Each returns a finished object or an error; the stage and the model are named here. */
#include "proto/proto.h"
#include "runtime/load/internal.h"
#include "runtime/pass/pass.h"
#include "runtime/train/autodiff.h"
#include <string.h>

static sdx_status in_stage(const sdx_model *model, const char *stage, sdx_status status, sdx_error *error) {
    char name[160];
    if (status == SDX_OK || error->status == SDX_OK) return status;
    return sdx_error_context(error, "%s '%s'", stage, sdx_escape(name, sizeof name, model->name, strlen(model->name)));
}

static sdx_status import_source(const sdx_source *source, const sdx_model_options *options, sdx_model *model,
                                sdx_error *error) {
    sdx_proto_options where = {options->base_folder, options->allow_links};
    sdx_proto *proto = NULL;
    sdx_status status = sdx_proto_decode(source, &where, model->memory, error, &proto);
    if (status == SDX_OK) status = sdx_load_import(proto, model, error);
    sdx_proto_free(proto);
    return in_stage(model, "reading", status, error);
}

static sdx_type *declared_outputs(sdx_model *model, sdx_error *error) {
    sdx_graph *graph = model->graph;
    sdx_type *types = SDX_NEW_ARRAY(&model->arena, sdx_type, graph->n_outputs, error);
    for (int k = 0; types && k < graph->n_outputs; k++) types[k] = graph->values[graph->outputs[k]].type;
    return types;
}

static sdx_status check_graph(sdx_model *model, sdx_error *error) {
    SDX_TRY(sdx_load_resolve(model, error));
    SDX_TRY(sdx_load_upgrade(model->graph, error));
    return sdx_load_bind_graph(model->graph, error);
}

static sdx_status optimise(sdx_model *model, const sdx_model_options *options, const sdx_type *declared,
                           sdx_error *error) {
    sdx_optimise level = options->optimise; /* training information refers to tensors of the graph by name */
    if (model->training_info && level == SDX_OPTIMISE_PORTABLE) level = SDX_OPTIMISE_NONE;
    SDX_TRY(in_stage(model, "optimising", sdx_pass_run_all(model, level, options->threads, error), error));
    model->optimise = options->optimise;
    return sdx_load_describe(model, declared, error);
}

static sdx_status finish(sdx_model *model, const sdx_model_options *options, sdx_error *error) {
    const sdx_type *declared = declared_outputs(model, error);
    if (!declared) return SDX_OUT_OF_MEMORY;
    SDX_TRY(in_stage(model, "checking", check_graph(model, error), error));
    SDX_TRY(in_stage(model, "shape inference of", sdx_infer_graph(model->graph, error), error));
    SDX_TRY(in_stage(model, "differentiation in", sdx_autodiff_expand(model->graph, error), error));
    SDX_TRY(in_stage(model, "differentiation in", sdx_settle_graph(model->graph, error), error));
    return optimise(model, options, declared, error);
}

static const sdx_model_options defaults = {.size = sizeof defaults};

sdx_status sdx_load_finish(sdx_model *model, const sdx_model_options *options, sdx_error *error) {
    sdx_error own = {0};
    if (!error) error = &own;
    sdx_status status = finish(model, options ? options : &defaults, error);
    return error->status != SDX_OK ? error->status : status;
}

sdx_status sdx_load_emitted(sdx_model *model, const sdx_model_options *options, sdx_error *error) {
    SDX_TRY(sdx_settle_graph(model->graph, error));
    const sdx_type *declared = declared_outputs(model, error);
    return declared ? optimise(model, options, declared, error) : SDX_OUT_OF_MEMORY;
}

sdx_status sdx_load_source(const sdx_source *source, const char *name, const sdx_model_options *options,
                           sdx_error *error, sdx_model **out) {
    sdx_error own = {0};
    sdx_model *model = NULL;
    *out = NULL;
    if (!error) error = &own;
    if (!options) options = &defaults;
    SDX_TRY(sdx_model_create(name, options->memory_limit, error, &model));
    sdx_status status = import_source(source, options, model, error);
    if (status == SDX_OK) status = sdx_load_finish(model, options, error);
    if (status != SDX_OK) {
        sdx_model_close(model);
        return error->status != SDX_OK ? error->status : status;
    }
    *out = model;
    return SDX_OK;
}
