/* SPDX-License-Identifier: Apache-2.0
 * ScatterND: a copy of data in which the slices that the tuples of indices name become (or are combined with) those of
 * updates, in the order of updates. */
#include "ops/move.h"
#include "ops/tensor/combine.h"
#include "ops/tensor/nd.h"
#include "ops/tensor/scatter_grad.h"
#include <inttypes.h>

typedef struct scatter_nd_params {
    int reduction;
} scatter_nd_params;

static sdx_status scatter_nd_bind(sdx_bind *bind, void *params) {
    scatter_nd_params *p = params;
    p->reduction = sdx_bind_reduction(bind);
    return bind->status;
}

/* updates: indices.shape[:-1] + data.shape[k:] */
static sdx_status check_updates(sdx_infer *infer, const sdx_type *data, const sdx_type *indices, int64_t k) {
    int q = indices->rank, rank = q - 1 + data->rank - (int)k;
    SDX_TRY(sdx_infer_rank(infer, 2, "updates", rank));
    if (sdx_infer_rank_of(infer, 2) < 0) return SDX_OK;
    for (int d = 0; d < rank; d++) {
        int64_t expected = d < q - 1 ? indices->dim[d] : data->dim[d - (q - 1) + (int)k], found = infer->in[2]->dim[d];
        if (expected >= 0 && found >= 0 && expected != found)
            return sdx_fail(infer->error, SDX_SHAPE,
                            "dimension %d of input 'updates' is %" PRId64 "; it must be %" PRId64, d, found, expected);
    }
    return SDX_OK;
}

static sdx_status scatter_nd_infer(sdx_infer *infer, const void *params) {
    const scatter_nd_params *p = params;
    sdx_infer_same(infer, 0, 0);
    SDX_TRY(sdx_combine_check(infer->error, infer->in[0]->dtype, p->reduction));
    int r = sdx_infer_rank_of(infer, 0), q = sdx_infer_rank_of(infer, 1);
    if (r < 0 || q < 0) return SDX_OK;
    if (r < 1 || q < 1)
        return sdx_fail(infer->error, SDX_SHAPE, "inputs have ranks %d and %d; they must be >= 1", r, q);
    int64_t k = infer->in[1]->dim[q - 1];
    if (k < 0) return SDX_OK;
    if (k > r)
        return sdx_fail(infer->error, SDX_SHAPE,
                        "the last dimension of input 'indices' is %" PRId64 "; input 'data' has rank %d", k, r);
    return check_updates(infer, infer->in[0], infer->in[1], k);
}

static sdx_status scatter_nd_compute(sdx_compute *compute, const void *params) {
    const scatter_nd_params *p = params;
    const sdx_tensor *data = compute->in[0], *indices = compute->in[1], *updates = compute->in[2];
    size_t size = sdx_dtype_size(data->dtype);
    sdx_combine_fn combine = sdx_combine_of(data->dtype, p->reduction);
    sdx_nd nd;
    sdx_nd_begin(&nd, 0, data, indices);
    SDX_TRY(sdx_nd_check(&nd, compute->error));
    sdx_tensor *out = sdx_compute_output(compute, 0, data->rank, data->dim);
    if (!out) return compute->error->status;
    SDX_TRY(sdx_move_all(compute, data, out));
    for (int64_t t = 0; t < nd.tuples && nd.run; t++) {
        char *to = (char *)out->data + (size_t)sdx_nd_offset(&nd, t) * size;
        const char *from = (const char *)updates->data + (size_t)(t * nd.run) * size;
        if (combine)
            combine(to, from, nd.run);
        else
            sdx_copy_run(to, from, (size_t)nd.run * size);
        if (t % 1024 == 0) SDX_TRY(sdx_stop_check(compute->stop, compute->error));
    }
    return SDX_OK;
}

static sdx_status scatter_nd_grad(sdx_grad *grad, const void *params) {
    const scatter_nd_params *p = params;
    return sdx_scatter_gradient(&(sdx_scatter_grad){grad, "ScatterND", "GatherND", false, 0, p->reduction});
}

const sdx_op sdx_op_ScatterND = {
    .domain = "",
    .name = "ScatterND",
    .versions =
        (const sdx_op_version[]){
            {11, "data:T indices:i64 updates:T -> output:T", "T=" SDX_T_ALL, ""},
            {13, "data:T indices:i64 updates:T -> output:T", "T=" SDX_T_ALL_BF, ""},
            {16, "data:T indices:i64 updates:T -> output:T", "T=" SDX_T_ALL_BF, "reduction:string=none"},
            {18, "data:T indices:i64 updates:T -> output:T", "T=" SDX_T_ALL_BF, "reduction:string=none"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(scatter_nd_params),
    .bind = scatter_nd_bind,
    .infer = scatter_nd_infer,
    .compute = scatter_nd_compute,
    .grad = scatter_nd_grad,
};
