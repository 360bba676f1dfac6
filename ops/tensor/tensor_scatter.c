/* SPDX-License-Identifier: Apache-2.0
 * TensorScatter: past_cache with `update` written along `axis` from write_indices[batch] on; "circular" wraps. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct tensor_scatter_params {
    int64_t axis;
    bool circular;
} tensor_scatter_params;

static sdx_status tensor_scatter_bind(sdx_bind *bind, void *params) {
    static const char *const modes[] = {"linear", "circular"};
    tensor_scatter_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->circular = sdx_bind_choice(bind, "mode", modes, 2) == 1;
    return bind->status;
}

static sdx_status tensor_scatter_infer(sdx_infer *infer, const void *params) {
    const tensor_scatter_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    sdx_infer_same(infer, 0, 0);
    if (rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank, &axis));
    if (axis == 0)
        return sdx_fail(infer->error, SDX_VALUE, "attribute 'axis' is %" PRId64 ", the batch dimension", p->axis);
    SDX_TRY(sdx_infer_rank(infer, 1, "update", rank));
    const sdx_type *cache = infer->in[0], *update = infer->in[1];
    for (int d = 0; d < rank && sdx_infer_rank_of(infer, 1) == rank; d++) {
        int64_t have = cache->dim[d], new = update->dim[d];
        if (d != axis)
            SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of 'past_cache' and 'update'", have, new, NULL));
        else if (have >= 0 && new > have)
            return sdx_fail(infer->error, SDX_SHAPE,
                            "dimension %d of input 'update' is %" PRId64 "; that of 'past_cache' is %" PRId64, d, new,
                            have);
    }
    if (infer->n_in < 3 || !infer->in[2]) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, 2, "write_indices", 1));
    if (sdx_infer_rank_of(infer, 2) < 0) return SDX_OK;
    return sdx_infer_merge_dim(infer, "batch size of 'past_cache' and 'write_indices'", cache->dim[0],
                               infer->in[2]->dim[0], NULL);
}

typedef struct tensor_scatter_job {
    const sdx_tensor *update, *indices;
    char *out;
    int64_t n, length, per_batch; /* steps of the cache and of the update; slices in a batch entry */
    size_t run;
} tensor_scatter_job;

static void write_steps(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const tensor_scatter_job *job = argument;
    const char *update = job->update->data;
    for (int64_t row = begin; row < end; row++) {
        int64_t slice = row / job->length;
        int64_t first = job->indices ? sdx_index_at(job->indices, slice / job->per_batch) : 0;
        int64_t step = (first % job->n + row % job->length) % job->n;
        sdx_copy_run(job->out + (size_t)(slice * job->n + step) * job->run, update + (size_t)row * job->run, job->run);
    }
}

static sdx_status tensor_scatter_compute(sdx_compute *compute, const void *params) {
    const tensor_scatter_params *p = params;
    const sdx_tensor *cache = compute->in[0], *update = compute->in[1];
    const sdx_tensor *indices = compute->n_in > 2 ? compute->in[2] : NULL;
    int axis = sdx_axis_of(p->axis, cache->rank);
    int64_t n = cache->dim[axis], length = update->dim[axis];
    for (int64_t i = 0; indices && i < indices->count; i++) {
        int64_t first = sdx_index_at(indices, i);
        if (first < 0 || (!p->circular && first > n - length))
            return sdx_fail(compute->error, SDX_VALUE,
                            "entry %" PRId64 " of input 'write_indices' is %" PRId64 "; it must be in [0, %" PRId64 "]",
                            i, first, p->circular ? INT64_MAX : n - length);
    }
    sdx_tensor *out = sdx_compute_output(compute, 0, cache->rank, cache->dim);
    if (!out) return compute->error->status;
    SDX_TRY(sdx_move_all(compute, cache, out));
    if (update->count == 0) return SDX_OK;
    tensor_scatter_job job = {.update = update, .indices = indices, .out = out->data, .n = n, .length = length};
    job.per_batch = sdx_dims_product(cache->dim, 1, axis);
    job.run = (size_t)sdx_dims_product(cache->dim, axis + 1, cache->rank) * sdx_dtype_size(cache->dtype);
    int64_t rows = sdx_dims_product(cache->dim, 0, axis) * length;
    return sdx_for(compute, rows, sdx_grain((int64_t)job.run), write_steps, &job);
}

/* Where each element of the update was written, along the axis: first + 0, 1, 2 ..., around the end. */
static sdx_id written_places(sdx_grad *grad, const tensor_scatter_params *p, int rank) {
    sdx_patch *patch = grad->patch;
    const sdx_id update = grad->node->in[1], write = sdx_grad_in(grad, 2);
    const int64_t axis = p->axis < 0 ? p->axis + rank : p->axis;
    int64_t behind[SDX_MAX_RANK], after[SDX_MAX_RANK];
    for (int d = 0; d < rank; d++) behind[d] = d + 1, after[d] = d + 1;
    const sdx_id at = sdx_patch_i64s(patch, &axis, 1), shape = sdx_emit1(patch, "Shape", update);
    sdx_id length =
        sdx_emit2(patch, "Squeeze", sdx_emit2(patch, "Gather", shape, at), sdx_patch_i64s(patch, (int64_t[]){0}, 1));
    sdx_id steps =
        sdx_emit3(patch, "Range", sdx_patch_scalar(patch, SDX_I64, 0), length, sdx_patch_scalar(patch, SDX_I64, 1));
    if (axis < rank - 1)
        steps = sdx_emit2(patch, "Unsqueeze", steps, sdx_patch_i64s(patch, after, (size_t)(rank - 1 - axis)));
    if (write != SDX_NONE) {
        sdx_id first = sdx_emit2(patch, "Unsqueeze", write, sdx_patch_i64s(patch, behind, (size_t)rank - 1));
        sdx_id n = sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", grad->node->in[0]), at);
        steps = sdx_emit2(patch, "Mod", sdx_emit2(patch, "Add", steps, first), n);
    }
    return sdx_emit2(patch, "Expand", steps, shape);
}

static sdx_status tensor_scatter_grad(sdx_grad *grad, const void *params) {
    const tensor_scatter_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    const int rank = sdx_grad_type(patch, node->in[1])->rank;
    grad->exact = true;
    if (grad->needed[0]) {
        sdx_id in[3] = {grad->dY[0], sdx_grad_filled(patch, node->in[1], 0), sdx_grad_in(grad, 2)};
        sdx_node *rest = sdx_patch_node(patch, "", "TensorScatter", in[2] == SDX_NONE ? 2 : 3, in, 1);
        sdx_patch_attrs_of(patch, rest, node, NULL, 0);
        grad->dX[0] = rest->out[0];
    }
    if (!grad->needed[1]) return patch->status;
    if (rank < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of input 'update' must be known for its gradient");
    sdx_id places = written_places(grad, p, rank);
    grad->dX[1] = sdx_emit_int(patch, "GatherElements", grad->dY[0], places, "axis", p->axis);
    return patch->status;
}

const sdx_op sdx_op_TensorScatter = {
    .domain = "",
    .name = "TensorScatter",
    .versions =
        (const sdx_op_version[]){
            {24, "past_cache:T update:T write_indices:i64? -> present_cache:T", "T=" SDX_T_ALL_IR12,
             "axis:int=-2 mode:string=linear"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(tensor_scatter_params),
    .bind = tensor_scatter_bind,
    .infer = tensor_scatter_infer,
    .compute = tensor_scatter_compute,
    .grad = tensor_scatter_grad,
};
