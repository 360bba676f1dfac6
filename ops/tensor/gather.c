/* SPDX-License-Identifier: Apache-2.0
 * Gather: output = data[..., indices[...], ...] along `axis`; negative indices count from the end. */
#include "ops/move.h"

typedef struct gather_params {
    int64_t axis;
} gather_params;

static sdx_status gather_bind(sdx_bind *bind, void *params) {
    gather_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    return bind->status;
}

static sdx_status gather_shape(sdx_error *error, int axis, const sdx_type *data, const sdx_type *indices,
                               sdx_type *out) {
    int rank = data->rank - 1 + indices->rank;
    if (rank > SDX_MAX_RANK)
        return sdx_fail(error, SDX_UNSUPPORTED, "the result has rank %d; at most %d is supported", rank, SDX_MAX_RANK);
    out->rank = rank;
    for (int d = 0; d < axis; d++) out->dim[d] = data->dim[d];
    for (int d = 0; d < indices->rank; d++) out->dim[axis + d] = indices->dim[d];
    for (int d = axis + 1; d < data->rank; d++) out->dim[indices->rank + d - 1] = data->dim[d];
    return SDX_OK;
}

static sdx_status gather_infer(sdx_infer *infer, const void *params) {
    const gather_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    if (rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank, &axis));
    if (sdx_infer_rank_of(infer, 1) < 0) return SDX_OK;
    return gather_shape(infer->error, axis, infer->in[0], infer->in[1], &infer->out[0]);
}

typedef struct gather_job {
    const sdx_tensor *indices;
    const char *data;
    char *out;
    int64_t n, run; /* length of the axis; bytes of one entry along it */
} gather_job;

static void gather_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const gather_job *job = argument;
    int64_t count = job->indices->count, outer = begin / count, at = begin % count;
    for (int64_t i = begin; i < end; i++) {
        int64_t index = sdx_index_at(job->indices, at);
        if (index < 0) index += job->n;
        sdx_copy_run(job->out + i * job->run, job->data + (outer * job->n + index) * job->run, (size_t)job->run);
        if (++at < count) continue;
        at = 0;
        outer++;
    }
}

static sdx_status gather_compute(sdx_compute *compute, const void *params) {
    const gather_params *p = params;
    const sdx_tensor *data = compute->in[0], *indices = compute->in[1];
    int axis = (int)(p->axis < 0 ? p->axis + data->rank : p->axis);
    sdx_type data_type = sdx_type_of_tensor(data), index_type = sdx_type_of_tensor(indices), shape;
    SDX_TRY(gather_shape(compute->error, axis, &data_type, &index_type, &shape));
    SDX_TRY(sdx_check_indices(compute->error, "indices", indices, data->dim[axis]));
    sdx_tensor *out = sdx_compute_output(compute, 0, shape.rank, shape.dim);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    gather_job job = {.indices = indices, .data = data->data, .out = out->data, .n = data->dim[axis]};
    job.run = sdx_dims_product(data->dim, axis + 1, data->rank) * (int64_t)sdx_dtype_size(data->dtype);
    int64_t entries = sdx_dims_product(data->dim, 0, axis) * indices->count;
    return sdx_for(compute, entries, sdx_grain(job.run + 8), gather_rows, &job);
}

const sdx_op sdx_op_Gather = {
    .domain = "",
    .name = "Gather",
    .versions =
        (const sdx_op_version[]){
            {1, "data:T indices:Tind -> output:T", "T=" SDX_T_ALL " Tind=i32|i64", "axis:int=0"},
            {11, "data:T indices:Tind -> output:T", "T=" SDX_T_ALL " Tind=i32|i64", "axis:int=0"},
            {13, "data:T indices:Tind -> output:T", "T=" SDX_T_ALL_BF " Tind=i32|i64", "axis:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(gather_params),
    .bind = gather_bind,
    .infer = gather_infer,
    .compute = gather_compute,
};
