/* SPDX-License-Identifier: Apache-2.0
 * Size: the number of elements, as an i64 scalar. */
#include "ops/op.h"

static const sdx_op_version versions[] = {
    {1, "data:T -> size:T1", "T=" SDX_T_ALL " T1=i64", ""},
    {13, "data:T -> size:T1", "T=" SDX_T_ALL_BF " T1=i64", ""},
    {19, "data:T -> size:T1", "T=" SDX_T_ALL_IR9 " T1=i64", ""},
    {21, "data:T -> size:T1", "T=" SDX_T_ALL_IR10 " T1=i64", ""},
    {23, "data:T -> size:T1", "T=" SDX_T_ALL_IR11 " T1=i64", ""},
    {24, "data:T -> size:T1", "T=" SDX_T_ALL_IR12 " T1=i64", ""},
    {25, "data:T -> size:T1", "T=" SDX_T_ALL_IR13 " T1=i64", ""},
    {0, NULL, NULL, NULL},
};

static sdx_status size_infer(sdx_infer *infer, const void *params) {
    (void)params;
    infer->out[0].rank = 0;
    return SDX_OK;
}

static sdx_status size_compute(sdx_compute *compute, const void *params) {
    (void)params;
    sdx_tensor *size = sdx_compute_output(compute, 0, 0, NULL);
    if (!size) return SDX_OUT_OF_MEMORY;
    *(int64_t *)size->data = compute->in[0]->count;
    return SDX_OK;
}

const sdx_op sdx_op_Size = {
    .domain = "",
    .name = "Size",
    .versions = versions,
    .infer = size_infer,
    .compute = size_compute,
    .grad = sdx_no_gradient,
    .flags = SDX_OP_DIMS,
};
