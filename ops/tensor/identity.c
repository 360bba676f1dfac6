/* SPDX-License-Identifier: Apache-2.0
 * Identity: output = input, of any type. */
#include "ops/op.h"
#include <string.h>

#define NESTED "seq(" SDX_T_ALL ")|opt(" SDX_T_ALL "|seq(" SDX_T_ALL "))"

static const sdx_op_version versions[] = {
    {1, "input:T -> output:T", "T=" SDX_T_ALL, ""},
    {13, "input:T -> output:T", "T=" SDX_T_ALL_BF, ""},
    {14, "input:V -> output:V", "V=" SDX_T_ALL_BF "|seq(" SDX_T_ALL ")", ""},
    {16, "input:V -> output:V", "V=" SDX_T_ALL_BF "|" NESTED, ""},
    {19, "input:V -> output:V", "V=" SDX_T_ALL_IR9 "|" NESTED, ""},
    {21, "input:V -> output:V", "V=" SDX_T_ALL_IR10 "|" NESTED, ""},
    {23, "input:V -> output:V", "V=" SDX_T_ALL_IR11 "|" NESTED, ""},
    {24, "input:V -> output:V", "V=" SDX_T_ALL_IR12 "|" NESTED, ""},
    {25, "input:V -> output:V", "V=" SDX_T_ALL_IR13 "|" NESTED, ""},
    {0},
};

static sdx_status infer(sdx_infer *infer, const void *params) {
    (void)params;
    if (infer->in[0]->kind) infer->out[0] = *infer->in[0];
    return SDX_OK;
}

static sdx_status compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *x = compute->in[0];
    if (!x) {
        sdx_value *value = compute->services->share_input(compute, 0);
        if (!value) return SDX_OUT_OF_MEMORY;
        compute->services->set_output(compute, 0, value);
        return SDX_OK;
    }
    sdx_tensor *y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!y) return SDX_OUT_OF_MEMORY;
    if (y->data != x->data && x->count) memcpy(y->data, x->data, sdx_tensor_bytes(x));
    return SDX_OK;
}

static sdx_status grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->dX[0] = grad->dY[0];
    return SDX_OK;
}

const sdx_op sdx_op_Identity = {
    .domain = "",
    .name = "Identity",
    .versions = versions,
    .infer = infer,
    .compute = compute,
    .grad = grad,
    .flags = SDX_OP_INPLACE | SDX_OP_VIEW,
};
