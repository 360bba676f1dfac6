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
    {"fold", sdx_pass_fold, SDX_OPTIMISE_PORTABLE},   {"prune", sdx_pass_prune, SDX_OPTIMISE_PORTABLE},
    {"share", sdx_pass_share, SDX_OPTIMISE_PORTABLE}, {"prune", sdx_pass_prune, SDX_OPTIMISE_PORTABLE},
    {"gelu", sdx_pass_gelu, SDX_OPTIMISE_ALL},        {"attend", sdx_pass_attend, SDX_OPTIMISE_ALL},
    {"prune", sdx_pass_prune, SDX_OPTIMISE_ALL},      {"pack", sdx_pass_pack, SDX_OPTIMISE_ALL},
    {"fuse", sdx_pass_fuse, SDX_OPTIMISE_ALL},        {"prune", sdx_pass_prune, SDX_OPTIMISE_ALL},
};

static sdx_status run_pass(const pass *p, sdx_model *model, sdx_error *error) {
    sdx_status status = p->run(model, error);
    if (status == SDX_OK) status = sdx_settle_graph(model->graph, error);
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
