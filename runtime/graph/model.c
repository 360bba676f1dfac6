/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/graph/model.h"
#include <stdlib.h>
#include <string.h>

sdx_status sdx_model_create(const char *name, size_t memory_limit, sdx_error *error, sdx_model **out) {
    *out = NULL;
    sdx_model *model = calloc(1, sizeof *model);
    if (!model) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", sizeof *model);
    atomic_init(&model->references, 1);
    sdx_memory_init(&model->memory, memory_limit);
    sdx_arena_init(&model->arena, &model->memory);
    model->producer_name = model->producer_version = model->domain = model->doc = "";
    model->name = sdx_arena_copy(&model->arena, name, strlen(name), error);
    model->graph = model->name ? sdx_graph_create(&model->arena, name, NULL, error) : NULL;
    if (!model->graph) {
        sdx_model_close(model);
        return error && error->status ? error->status : SDX_OUT_OF_MEMORY;
    }
    *out = model;
    return SDX_OK;
}

sdx_model *sdx_model_retain(sdx_model *model) {
    if (model) atomic_fetch_add(&model->references, 1);
    return model;
}

void sdx_model_close(sdx_model *model) {
    if (!model || atomic_fetch_sub(&model->references, 1) != 1) return;
    sdx_graph_release(model->graph);
    sdx_arena_release(&model->arena);
    free(model);
}
