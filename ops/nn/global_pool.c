/* SPDX-License-Identifier: Apache-2.0
 * GlobalAveragePool, GlobalMaxPool, GlobalLpPool: one number for each plane, computed in f64 and rounded once. */
#include "ops/grad.h"
#include "ops/nn/pool.h"

static sdx_status global_infer(sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_pool_infer_global(infer);
}

static sdx_status average_compute(sdx_compute *compute, const void *params) {
    (void)params;
    return sdx_pool_run_global(compute, SDX_POOL_AVERAGE, 0);
}

/* Each place gets dY / n. */
static sdx_status average_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0];
    sdx_node *space = sdx_patch_node(patch, "", "Shape", 1, &X, 1);
    sdx_patch_int(patch, space, "start", 2);
    const sdx_id n = sdx_emit_int(patch, "ReduceProd", space->out[0], SDX_NONE, "keepdims", 0);
    const sdx_id share = sdx_emit2(patch, "Div", grad->dY[0], sdx_grad_cast(patch, n, X));
    grad->dX[0] = sdx_emit2(patch, "Expand", share, sdx_emit1(patch, "Shape", X));
    grad->exact = true;
    return patch->status;
}

const sdx_op sdx_op_GlobalAveragePool = {.domain = "",
                                         .name = "GlobalAveragePool",
                                         .versions =
                                             (const sdx_op_version[]){{1, "X:T -> Y:T", "T=" SDX_T_FLOAT, ""},
                                                                      {22, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, ""},
                                                                      {0}},
                                         .infer = global_infer,
                                         .compute = average_compute,
                                         .grad = average_grad};

static sdx_status max_compute(sdx_compute *compute, const void *params) {
    (void)params;
    return sdx_pool_run_global(compute, SDX_POOL_MAX, 0);
}

/* The first maximum of a plane gets dY. */
static sdx_status max_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    const int64_t planes[3] = {0, 0, -1};
    const sdx_id X = grad->node->in[0], flat = sdx_patch_i64s(patch, planes, 3);
    const sdx_id x = sdx_emit2(patch, "Reshape", X, flat);
    const sdx_id first = sdx_emit_int(patch, "ArgMax", x, SDX_NONE, "axis", 2);
    const sdx_id in[3] = {sdx_emit2(patch, "Reshape", sdx_grad_filled(patch, X, 0), flat), first,
                          sdx_emit2(patch, "Reshape", grad->dY[0], flat)};
    sdx_node *put = sdx_patch_node(patch, "", "ScatterElements", 3, in, 1);
    sdx_patch_int(patch, put, "axis", 2);
    grad->dX[0] = sdx_grad_reshape(patch, put->out[0], X);
    grad->exact = true;
    return patch->status;
}

const sdx_op sdx_op_GlobalMaxPool = {.domain = "",
                                     .name = "GlobalMaxPool",
                                     .versions = (const sdx_op_version[]){{1, "X:T -> Y:T", "T=" SDX_T_FLOAT, ""},
                                                                          {22, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, ""},
                                                                          {0}},
                                     .infer = global_infer,
                                     .compute = max_compute,
                                     .grad = max_grad};

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

/* |X|^(p-1) sign(X) dY / Y^(p-1) */
static sdx_status lp_grad(sdx_grad *grad, const void *params) {
    const global_lp_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0], share = sdx_pool_grad_root(patch, grad->dY[0], grad->node->out[0], p->p);
    grad->dX[0] = sdx_emit2(patch, "Mul", sdx_pool_grad_power(patch, X, p->p), share);
    grad->exact = true;
    return patch->status;
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
                                    .compute = lp_compute,
                                    .grad = lp_grad};
