/* SPDX-License-Identifier: Apache-2.0
 * The passes in their order; README.md says why in this one. */
#include "runtime/pass/pass.h"
#include "runtime/load/load.h"

typedef struct pass {
    const char *name;
    sdx_status (*run)(sdx_model *model, sdx_error *error);
    sdx_optimise from; /* the least demanding level that runs it */
} pass;

static const pass passes[] = {
    {"fold", sdx_pass_fold, SDX_OPTIMISE_PORTABLE},
    {"prune", sdx_pass_prune, SDX_OPTIMISE_PORTABLE},
    {"share", sdx_pass_share, SDX_OPTIMISE_PORTABLE},
    {"prune", sdx_pass_prune, SDX_OPTIMISE_PORTABLE},
};

/* Binds what a pass emitted and finds its types. */
static sdx_status settle(sdx_graph *graph, sdx_arena *scratch, sdx_error *error) {
    for (int k = 0; k < graph->n_nodes; k++) {
        sdx_node *node = graph->nodes[k];
        if (!node->op) {
            SDX_TRY(sdx_bind_node(graph, node, error));
            SDX_TRY(sdx_infer_again(graph, node, scratch, error));
            sdx_arena_reset(scratch);
        }
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(settle(node->bodies[b], scratch, error));
    }
    return SDX_OK;
}

static sdx_status run_pass(const pass *p, sdx_model *model, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, model->memory);
    sdx_status status = p->run(model, error);
    if (status == SDX_OK) status = settle(model->graph, &scratch, error);
    sdx_arena_release(&scratch);
#ifndef __OPTIMIZE__
    if (status == SDX_OK) status = sdx_graph_check(model->graph, error);
#endif
    if (status != SDX_OK && error && error->status != SDX_OK) return sdx_error_context(error, "pass %s", p->name);
    return status;
}

sdx_status sdx_pass_run_all(sdx_model *model, sdx_optimise level, int threads, sdx_error *error) {
    (void)threads;
    for (size_t k = 0; k < sizeof passes / sizeof passes[0]; k++)
        if (level <= passes[k].from) SDX_TRY(run_pass(&passes[k], model, error));
    return SDX_OK;
}
