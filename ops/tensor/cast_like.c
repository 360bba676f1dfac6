/* SPDX-License-Identifier: Apache-2.0
 * CastLike: Cast to the element type of a second tensor, whose contents do not matter. */
#include "ops/grad.h"
#include "ops/tensor/cast_convert.h"

static sdx_status cast_like_bind(sdx_bind *bind, void *params) {
    sdx_cast *p = params;
    p->saturate = bind->since < 19 || sdx_bind_int(bind, "saturate") != 0;
    p->mode = sdx_bind_round_mode(bind, bind->since >= 24);
    return bind->status;
}

static sdx_status cast_like_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dtype = infer->in[1]->dtype;
    return SDX_OK;
}

static sdx_status cast_like_compute(sdx_compute *compute, const void *params) {
    sdx_cast cast = *(const sdx_cast *)params;
    cast.to = compute->in[1]->dtype;
    return sdx_cast_compute(compute, &cast);
}

/* Rounding is taken for the identity. */
static sdx_status cast_like_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->exact = true;
    grad->dX[0] = sdx_grad_cast(grad->patch, grad->dY[0], grad->node->in[0]);
    return grad->patch->status;
}

const sdx_op sdx_op_CastLike = {
    .domain = "",
    .name = "CastLike",
    .versions =
        (const sdx_op_version[]){
            {15, "input:T1 target_type:T2 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF "|bool|string T2=" SDX_T_NUMERIC_BF "|bool|string", ""},
            {19, "input:T1 target_type:T2 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|string T2=" SDX_T_NUMERIC_BF
             "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|string",
             "saturate:int=1"},
            {21, "input:T1 target_type:T2 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|string|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|string|u4",
             "saturate:int=1"},
            {23, "input:T1 target_type:T2 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|string|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|string|u4",
             "saturate:int=1"},
            {24, "input:T1 target_type:T2 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i4|string|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i4|string|u4",
             "round_mode:string=up saturate:int=1"},
            {25, "input:T1 target_type:T2 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|string|u2|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|string|u2|u4",
             "round_mode:string=up saturate:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_cast),
    .bind = cast_like_bind,
    .infer = cast_like_infer,
    .compute = cast_like_compute,
    .grad = cast_like_grad,
};
