/* SPDX-License-Identifier: Apache-2.0
 * Shape: the dimensions from start to end as an i64 vector; both count from the end when negative and are clamped. */
#include "ops/op.h"
#include <string.h>

typedef struct shape_params {
    int64_t start, end;
} shape_params;

static const sdx_op_version versions[] = {
    {1, "data:T -> shape:T1", "T=" SDX_T_ALL " T1=i64", ""},
    {13, "data:T -> shape:T1", "T=" SDX_T_ALL_BF " T1=i64", ""},
    {15, "data:T -> shape:T1", "T=" SDX_T_ALL_BF " T1=i64", "end:int start:int=0"},
    {19, "data:T -> shape:T1", "T=" SDX_T_ALL_IR9 " T1=i64", "end:int start:int=0"},
    {21, "data:T -> shape:T1", "T=" SDX_T_ALL_IR10 " T1=i64", "end:int start:int=0"},
    {23, "data:T -> shape:T1", "T=" SDX_T_ALL_IR11 " T1=i64", "end:int start:int=0"},
    {24, "data:T -> shape:T1", "T=" SDX_T_ALL_IR12 " T1=i64", "end:int start:int=0"},
    {25, "data:T -> shape:T1", "T=" SDX_T_ALL_IR13 " T1=i64", "end:int start:int=0"},
    {0, NULL, NULL, NULL},
};

static sdx_status shape_bind(sdx_bind *bind, void *params) {
    shape_params *p = params;
    *p = (shape_params){0, INT64_MAX};
    if (bind->since < 15) return SDX_OK;
    p->start = sdx_bind_int(bind, "start");
    if (sdx_bind_has(bind, "end")) p->end = sdx_bind_int(bind, "end");
    return bind->status;
}

static int64_t clamp_axis(int64_t axis, int rank) {
    if (axis < 0) axis += rank;
    return axis < 0 ? 0 : axis > rank ? rank : axis;
}

/* The dimensions [*begin, *begin + n) are what is asked for; returns n. */
static int64_t range_of(const shape_params *p, int rank, int64_t *begin) {
    int64_t end = clamp_axis(p->end, rank);
    *begin = clamp_axis(p->start, rank);
    return end > *begin ? end - *begin : 0;
}

static sdx_status shape_infer(sdx_infer *infer, const void *params) {
    int64_t begin = 0;
    infer->out[0].rank = 1;
    infer->out[0].dim[0] = infer->in[0]->rank < 0 ? -1 : range_of(params, infer->in[0]->rank, &begin);
    return SDX_OK;
}

static sdx_status shape_compute(sdx_compute *compute, const void *params) {
    int64_t begin = 0, n = range_of(params, compute->in[0]->rank, &begin);
    sdx_tensor *shape = sdx_compute_output(compute, 0, 1, &n);
    if (!shape) return SDX_OUT_OF_MEMORY;
    if (n) memcpy(shape->data, compute->in[0]->dim + begin, (size_t)n * sizeof(int64_t));
    return SDX_OK;
}

const sdx_op sdx_op_Shape = {
    .domain = "",
    .name = "Shape",
    .versions = versions,
    .params_size = sizeof(shape_params),
    .bind = shape_bind,
    .infer = shape_infer,
    .compute = shape_compute,
    .grad = sdx_no_gradient,
    .flags = SDX_OP_DIMS,
};
