/* SPDX-License-Identifier: Apache-2.0
 * GlobalAveragePool, GlobalMaxPool, GlobalLpPool: one number for each plane, computed in f64 and rounded once. */
#include "ops/nn/pool.h"

static sdx_status global_infer(sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_pool_infer_global(infer);
}

static sdx_status average_compute(sdx_compute *compute, const void *params) {
    (void)params;
    return sdx_pool_run_global(compute, SDX_POOL_AVERAGE, 0);
}

const sdx_op sdx_op_GlobalAveragePool = {.domain = "",
                                         .name = "GlobalAveragePool",
                                         .versions =
                                             (const sdx_op_version[]){{1, "X:T -> Y:T", "T=" SDX_T_FLOAT, ""},
                                                                      {22, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, ""},
                                                                      {0}},
                                         .infer = global_infer,
                                         .compute = average_compute};

static sdx_status max_compute(sdx_compute *compute, const void *params) {
    (void)params;
    return sdx_pool_run_global(compute, SDX_POOL_MAX, 0);
}

const sdx_op sdx_op_GlobalMaxPool = {.domain = "",
                                     .name = "GlobalMaxPool",
                                     .versions = (const sdx_op_version[]){{1, "X:T -> Y:T", "T=" SDX_T_FLOAT, ""},
                                                                          {22, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, ""},
                                                                          {0}},
                                     .infer = global_infer,
                                     .compute = max_compute};

typedef struct global_lp_params {
    double p;
} global_lp_params;

static sdx_status lp_bind(sdx_bind *bind, void *params) {
    global_lp_params *p = params;
    p->p = bind->since < 2 ? (double)sdx_bind_float(bind, "p") : (double)sdx_bind_int(bind, "p");
    if (!(p->p > 0)) return sdx_bind_fail(bind, SDX_VALUE, "attribute 'p' is %g; it must be above 0", p->p);
    return SDX_OK;
}

static sdx_status lp_compute(sdx_compute *compute, const void *params) {
    const global_lp_params *p = params;
    return sdx_pool_run_global(compute, SDX_POOL_LP, p->p);
}

const sdx_op sdx_op_GlobalLpPool = {.domain = "",
                                    .name = "GlobalLpPool",
                                    .versions =
                                        (const sdx_op_version[]){{1, "X:T -> Y:T", "T=" SDX_T_FLOAT, "p:float=2"},
                                                                 {2, "X:T -> Y:T", "T=" SDX_T_FLOAT, "p:int=2"},
                                                                 {22, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, "p:int=2"},
                                                                 {0}},
                                    .params_size = sizeof(global_lp_params),
                                    .bind = lp_bind,
                                    .infer = global_infer,
                                    .compute = lp_compute};
