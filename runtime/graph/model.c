/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/graph/model.h"
#include <stdlib.h>
#include <string.h>

static sdx_status set_up(sdx_model *model, const char *name, size_t memory_limit, sdx_error *error) {
    SDX_TRY(sdx_memory_create(memory_limit, error, &model->memory));
    sdx_arena_init(&model->arena, model->memory);
    model->name = sdx_arena_copy(&model->arena, name, strlen(name), error);
    model->graph = model->name ? sdx_graph_create(&model->arena, name, NULL, error) : NULL;
    return model->graph ? SDX_OK : sdx_failure(error);
}

sdx_status sdx_model_create(const char *name, size_t memory_limit, sdx_error *error, sdx_model **out) {
    *out = NULL;
    sdx_model *model = calloc(1, sizeof *model);
    if (!model) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", sizeof *model);
    atomic_init(&model->references, 1);
    model->producer_name = model->producer_version = model->domain = model->doc = "";
    sdx_status status = set_up(model, name, memory_limit, error);
    if (status == SDX_OK)
        *out = model;
    else
        sdx_model_close(model);
    return status;
}

sdx_model *sdx_model_retain(sdx_model *model) {
    if (model) atomic_fetch_add(&model->references, 1);
    return model;
}

void sdx_model_close(sdx_model *model) {
    if (!model || atomic_fetch_sub(&model->references, 1) != 1) return;
    sdx_graph_release(model->graph);
    if (model->memory) sdx_arena_release(&model->arena);
    sdx_memory_drop(model->memory);
    free(model);
}

int64_t sdx_model_imports(const sdx_model *model, const char *domain) {
    for (int k = 0; k < model->n_opsets; k++)
        if (strcmp(model->opsets[k].domain, domain) == 0) return model->opsets[k].version;
    return 0;
}
