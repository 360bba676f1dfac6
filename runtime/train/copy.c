/* SPDX-License-Identifier: Apache-2.0
 * A model of its own to edit: the graph and all that a file says beside it. */
#include "runtime/load/internal.h"
#include "runtime/train/train.h"
#include <string.h>

typedef struct copier {
    sdx_arena *arena;
    sdx_error *error;
    bool failed;
} copier;

static const char *text(copier *c, const char *from) {
    const char *copy = from ? sdx_arena_copy(c->arena, from, strlen(from), c->error) : NULL;
    c->failed |= from && !copy;
    return copy;
}

static const sdx_pair *pairs(copier *c, const sdx_pair *from, int n) {
    sdx_pair *copy = SDX_NEW_ARRAY(c->arena, sdx_pair, n, c->error);
    c->failed |= !copy;
    for (int k = 0; copy && k < n; k++) copy[k] = (sdx_pair){text(c, from[k].key), text(c, from[k].value)};
    return copy;
}

static sdx_opset *opsets(copier *c, const sdx_opset *from, int n) {
    sdx_opset *copy = SDX_NEW_ARRAY(c->arena, sdx_opset, n, c->error);
    c->failed |= !copy;
    for (int k = 0; copy && k < n; k++) copy[k] = (sdx_opset){text(c, from[k].domain), from[k].version};
    return copy;
}

static void info_dims(copier *c, sdx_value_info *info) {
    int64_t *dims = SDX_NEW_ARRAY(c->arena, int64_t, info->rank, c->error);
    const char **names = SDX_NEW_ARRAY(c->arena, const char *, info->rank, c->error);
    c->failed |= !dims || !names;
    for (int d = 0; dims && names && d < info->rank; d++) {
        dims[d] = info->dims[d];
        names[d] = text(c, info->dim_names[d]);
    }
    info->dims = dims;
    info->dim_names = names;
}

static sdx_value_info *infos(copier *c, const sdx_value_info *from, size_t n) {
    sdx_value_info *copy = SDX_NEW_ARRAY(c->arena, sdx_value_info, n, c->error);
    c->failed |= !copy;
    for (size_t k = 0; copy && k < n; k++) {
        copy[k] = from[k];
        copy[k].name = text(c, from[k].name);
        if (from[k].rank >= 0 && from[k].dims) info_dims(c, &copy[k]);
    }
    return copy;
}

static sdx_status copy_model(const sdx_model *from, sdx_model *to, sdx_error *error) {
    copier c = {&to->arena, error, false};
    to->optimise = from->optimise;
    to->ir_version = from->ir_version;
    to->n_opsets = from->n_opsets;
    to->opsets = opsets(&c, from->opsets, from->n_opsets);
    to->producer_name = text(&c, from->producer_name);
    to->producer_version = text(&c, from->producer_version);
    to->domain = text(&c, from->domain);
    to->doc = text(&c, from->doc);
    to->model_version = from->model_version;
    to->n_metadata = from->n_metadata;
    to->metadata = pairs(&c, from->metadata, from->n_metadata);
    to->n_inputs = from->n_inputs;
    to->n_outputs = from->n_outputs;
    to->inputs = infos(&c, from->inputs, from->n_inputs);
    to->outputs = infos(&c, from->outputs, from->n_outputs);
    if (c.failed) return sdx_failure(error);
    SDX_TRY(sdx_graph_copy(from->graph, to->graph, error));
    return sdx_load_bind_graph(to->graph, error);
}

sdx_status sdx_model_copy(const sdx_model *model, sdx_error *error, sdx_model **out) {
    sdx_error own = {0};
    sdx_model *copy = NULL;
    *out = NULL;
    if (!error) error = &own;
    SDX_TRY(sdx_model_create(model->name, model->memory->limit, error, &copy));
    sdx_status status = copy_model(model, copy, error);
    if (status == SDX_OK)
        *out = copy;
    else
        sdx_model_close(copy);
    return status != SDX_OK && error->status != SDX_OK ? error->status : status;
}
