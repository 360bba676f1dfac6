/* SPDX-License-Identifier: Apache-2.0
 * GatherND: the tuples along the last dimension of indices name slices of data; the first batch_dims dimensions of
 * both go together. */
#include "ops/grad.h"
#include "ops/move.h"
#include "ops/tensor/nd.h"
#include <inttypes.h>

typedef struct gather_nd_params {
    int64_t batch_dims;
} gather_nd_params;

static sdx_status gather_nd_bind(sdx_bind *bind, void *params) {
    gather_nd_params *p = params;
    p->batch_dims = bind->since >= 12 ? sdx_bind_int(bind, "batch_dims") : 0;
    return bind->status;
}

/* out->rank stays -1 when it cannot be known yet. */
static sdx_status gather_nd_shape(sdx_error *error, int64_t batch, const sdx_type *data, const sdx_type *indices,
                                  sdx_type *out) {
    int q = indices->rank, r = data->rank;
    if (r < 1 || q < 1) return sdx_fail(error, SDX_SHAPE, "inputs have ranks %d and %d; they must be >= 1", r, q);
    if (batch < 0 || batch >= (q < r ? q : r))
        return sdx_fail(error, SDX_VALUE, "attribute 'batch_dims' is %" PRId64 "; it must be in [0, %d]", batch,
                        (q < r ? q : r) - 1);
    for (int d = 0; d < batch; d++)
        if (data->dim[d] >= 0 && indices->dim[d] >= 0 && data->dim[d] != indices->dim[d])
            return sdx_fail(error, SDX_SHAPE,
                            "batch dimension %d is %" PRId64 " in 'data' and %" PRId64 " in 'indices'", d, data->dim[d],
                            indices->dim[d]);
    int64_t k = indices->dim[q - 1];
    if (k < 0) return SDX_OK;
    if (k < 1 || k > r - batch)
        return sdx_fail(error, SDX_SHAPE, "the last dimension of input 'indices' is %" PRId64 "; it must be in [1, %d]",
                        k, r - (int)batch);
    int rank = q - 1 + r - (int)batch - (int)k;
    if (rank > SDX_MAX_RANK)
        return sdx_fail(error, SDX_UNSUPPORTED, "the result has rank %d; at most %d is supported", rank, SDX_MAX_RANK);
    out->rank = rank;
    for (int d = 0; d < q - 1; d++) out->dim[d] = indices->dim[d];
    for (int d = q - 1; d < rank; d++) out->dim[d] = data->dim[d - (q - 1) + (int)batch + (int)k];
    return SDX_OK;
}

static sdx_status gather_nd_infer(sdx_infer *infer, const void *params) {
    const gather_nd_params *p = params;
    if (sdx_infer_rank_of(infer, 0) < 0 || sdx_infer_rank_of(infer, 1) < 0) return SDX_OK;
    return gather_nd_shape(infer->error, p->batch_dims, infer->in[0], infer->in[1], &infer->out[0]);
}

typedef struct gather_nd_job {
    sdx_nd nd;
    size_t bytes;
    const char *data;
    char *out;
} gather_nd_job;

static void gather_tuples(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const gather_nd_job *job = argument;
    size_t size = sdx_dtype_size(job->nd.data->dtype);
    for (int64_t t = begin; t < end; t++)
        sdx_copy_run(job->out + (size_t)t * job->bytes, job->data + (size_t)sdx_nd_offset(&job->nd, t) * size,
                     job->bytes);
}

static sdx_status gather_nd_compute(sdx_compute *compute, const void *params) {
    const gather_nd_params *p = params;
    const sdx_tensor *data = compute->in[0], *indices = compute->in[1];
    sdx_type data_type = sdx_type_of_tensor(data), index_type = sdx_type_of_tensor(indices), shape;
    SDX_TRY(gather_nd_shape(compute->error, p->batch_dims, &data_type, &index_type, &shape));
    gather_nd_job job = {.data = data->data};
    sdx_nd_begin(&job.nd, (int)p->batch_dims, data, indices);
    SDX_TRY(sdx_nd_check(&job.nd, compute->error));
    sdx_tensor *out = sdx_compute_output(compute, 0, shape.rank, shape.dim);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    job.out = out->data;
    job.bytes = (size_t)job.nd.run * sdx_dtype_size(data->dtype);
    return sdx_for(compute, job.nd.tuples, sdx_grain((int64_t)job.bytes + 16), gather_tuples, &job);
}

/* ScatterND knows no batch: then every element goes back by its number. */
static sdx_status gather_nd_grad(sdx_grad *grad, const void *params) {
    const gather_nd_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id data = grad->node->in[0], indices = grad->node->in[1];
    grad->exact = true;
    if (p->batch_dims == 0) {
        sdx_id in[3] = {sdx_grad_filled(patch, data, 0), indices, grad->dY[0]};
        sdx_node *back = sdx_patch_node(patch, "", "ScatterND", 3, in, 1);
        sdx_patch_string(patch, back, "reduction", "add");
        grad->dX[0] = back->out[0];
        return patch->status;
    }
    sdx_id shape = sdx_emit1(patch, "Shape", data);
    sdx_id places =
        sdx_emit_int(patch, "GatherND", sdx_grad_places(patch, shape), indices, "batch_dims", p->batch_dims);
    grad->dX[0] = sdx_grad_put(patch, shape, sdx_grad_type(patch, data)->dtype, places, grad->dY[0]);
    return patch->status;
}

const sdx_op sdx_op_GatherND = {
    .domain = "",
    .name = "GatherND",
    .versions =
        (const sdx_op_version[]){
            {11, "data:T indices:i64 -> output:T", "T=" SDX_T_ALL, ""},
            {12, "data:T indices:i64 -> output:T", "T=" SDX_T_ALL, "batch_dims:int=0"},
            {13, "data:T indices:i64 -> output:T", "T=" SDX_T_ALL_BF, "batch_dims:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(gather_nd_params),
    .bind = gather_nd_bind,
    .infer = gather_nd_infer,
    .compute = gather_nd_compute,
    .grad = gather_nd_grad,
};
