/* SPDX-License-Identifier: Apache-2.0
 * Flatten: a matrix of the dimensions before `axis` by those from `axis` on; axis may be the rank itself. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct flatten_params {
    int64_t axis;
} flatten_params;

static sdx_status flatten_bind(sdx_bind *bind, void *params) {
    flatten_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    return bind->status;
}

/* -1 when a dimension is unknown; one symbol among ones stays that symbol. */
static int64_t fold_dims(const sdx_type *in, int first, int end) {
    int64_t product = 1, symbol = 1;
    int unknown = 0;
    for (int d = first; d < end; d++) {
        if (in->dim[d] == 0) return 0;
        if (in->dim[d] < 0)
            unknown++, symbol = in->dim[d];
        else
            product *= in->dim[d];
    }
    return unknown == 0 ? product : unknown == 1 && product == 1 ? symbol : -1;
}

static sdx_status flatten_resolve(sdx_error *error, const flatten_params *p, const sdx_type *in, int64_t *dims) {
    if (p->axis < -in->rank || p->axis > in->rank)
        return sdx_fail(error, SDX_SHAPE, "attribute 'axis' is %" PRId64 "; it must be in [%d, %d] for rank %d",
                        p->axis, -in->rank, in->rank, in->rank);
    int axis = sdx_axis_of(p->axis, in->rank);
    dims[0] = fold_dims(in, 0, axis);
    dims[1] = fold_dims(in, axis, in->rank);
    return SDX_OK;
}

static sdx_status flatten_infer(sdx_infer *infer, const void *params) {
    sdx_type *out = &infer->out[0];
    out->rank = 2;
    out->dim[0] = out->dim[1] = -1;
    if (sdx_infer_rank_of(infer, 0) < 0) return SDX_OK;
    return flatten_resolve(infer->error, params, infer->in[0], out->dim);
}

static sdx_status flatten_compute(sdx_compute *compute, const void *params) {
    int64_t dims[2];
    sdx_type in = sdx_type_of_tensor(compute->in[0]);
    SDX_TRY(flatten_resolve(compute->error, params, &in, dims));
    sdx_tensor *out = sdx_compute_output(compute, 0, 2, dims);
    return out ? sdx_move_all(compute, compute->in[0], out) : compute->error->status;
}

const sdx_op sdx_op_Flatten = {
    .domain = "",
    .name = "Flatten",
    .versions =
        (const sdx_op_version[]){
            {1, "input:T -> output:T", "T=" SDX_T_FLOAT, "axis:int=1"},
            {9, "input:T -> output:T", "T=" SDX_T_ALL, "axis:int=1"},
            {11, "input:T -> output:T", "T=" SDX_T_ALL, "axis:int=1"},
            {13, "input:T -> output:T", "T=" SDX_T_ALL_BF, "axis:int=1"},
            {21, "input:T -> output:T", "T=" SDX_T_ALL_IR10, "axis:int=1"},
            {23, "input:T -> output:T", "T=" SDX_T_ALL_IR11, "axis:int=1"},
            {24, "input:T -> output:T", "T=" SDX_T_ALL_IR12, "axis:int=1"},
            {25, "input:T -> output:T", "T=" SDX_T_ALL_IR13, "axis:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(flatten_params),
    .bind = flatten_bind,
    .infer = flatten_infer,
    .compute = flatten_compute,
    .grad = sdx_reshape_gradient,
    .flags = SDX_OP_VIEW,
};
