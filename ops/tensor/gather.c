/* SPDX-License-Identifier: Apache-2.0
 * Gather: output = data[..., indices[...], ...] along `axis`; negative indices count from the end. */
#include "ops/grad.h"
#include "ops/move.h"
#include "ops/tensor/combine.h"

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
    int axis = sdx_axis_of(p->axis, data->rank);
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

static sdx_status gather_grad(sdx_grad *grad, const void *params) {
    const gather_params *p = params;
    sdx_patch *patch = grad->patch;
    sdx_id in[3] = {grad->dY[0], grad->node->in[1], sdx_emit1(patch, "Shape", grad->node->in[0])};
    sdx_node *back = sdx_patch_node(patch, "sdx", "GatherGrad", 3, in, 1);
    sdx_patch_int(patch, back, "axis", p->axis);
    grad->exact = true;
    grad->dX[0] = back->out[0];
    return patch->status;
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
    .grad = gather_grad,
};

/* ---- GatherGrad: dX, of this shape, is the sum of what was gathered from each place ---- */

static sdx_status gather_grad_infer(sdx_infer *infer, const void *params) {
    const gather_params *p = params;
    int64_t shape[SDX_MAX_RANK];
    int n = -1, axis = 0;
    sdx_type *out = &infer->out[0];
    SDX_TRY(sdx_infer_rank(infer, 2, "shape", 1));
    SDX_TRY(sdx_infer_i64s(infer, 2, "shape", shape, SDX_MAX_RANK, &n));
    out->rank = n >= 0 ? n : sdx_infer_rank_of(infer, 2) == 1 ? (int)infer->in[2]->dim[0] : -1;
    for (int d = 0; d < out->rank; d++) out->dim[d] = n >= 0 ? shape[d] : -1;
    return out->rank < 0 ? SDX_OK : sdx_infer_axis(infer, "axis", p->axis, out->rank, &axis);
}

enum { COLUMNS = 256 }; /* of one task */

typedef struct gather_grad_job {
    const sdx_tensor *indices, *dY, *dX;
    sdx_axis_view view; /* of dX */
    sdx_combine_fn add;
    int64_t blocks; /* of columns */
} gather_grad_job;

/* A task has some columns of one outer entry to itself, and takes the indices in their order. */
static void gather_grad_tasks(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const gather_grad_job *job = argument;
    const int64_t n = job->view.n, inner = job->view.inner, count = job->indices->count;
    const int64_t size = (int64_t)sdx_dtype_size(job->dX->dtype);
    for (int64_t task = begin; task < end; task++) {
        int64_t outer = task / job->blocks, first = task % job->blocks * COLUMNS;
        int64_t width = inner - first < COLUMNS ? inner - first : COLUMNS;
        char *to = (char *)job->dX->data + (outer * n * inner + first) * size;
        const char *from = (const char *)job->dY->data + (outer * count * inner + first) * size;
        for (int64_t i = 0; i < n; i++) memset(to + i * inner * size, 0, (size_t)(width * size));
        for (int64_t j = 0; j < count; j++) {
            int64_t index = sdx_index_at(job->indices, j);
            job->add(to + (index < 0 ? index + n : index) * inner * size, from + j * inner * size, width);
        }
    }
}

static sdx_status gather_grad_compute(sdx_compute *compute, const void *params) {
    const gather_params *p = params;
    int64_t shape[SDX_MAX_RANK];
    int rank = 0;
    SDX_TRY(sdx_read_i64s(compute->error, "shape", compute->in[2], shape, SDX_MAX_RANK, &rank));
    sdx_tensor *dX = sdx_compute_output(compute, 0, rank, shape);
    if (!dX) return compute->error->status;
    gather_grad_job job = {.dY = compute->in[0], .indices = compute->in[1], .dX = dX};
    job.view = sdx_view_axis(rank, shape, sdx_axis_of(p->axis, rank));
    job.add = sdx_combine_of(dX->dtype, SDX_COMBINE_ADD);
    if (job.dY->count != job.view.outer * job.indices->count * job.view.inner)
        return sdx_fail(compute->error, SDX_SHAPE, "inputs 'dY' and 'shape' do not go together");
    SDX_TRY(sdx_check_indices(compute->error, "indices", job.indices, job.view.n));
    if (dX->count == 0) return SDX_OK;
    job.blocks = (job.view.inner + COLUMNS - 1) / COLUMNS;
    int64_t width = job.view.inner < COLUMNS ? job.view.inner : COLUMNS;
    int64_t each = (job.view.n + job.indices->count) * (width + 8);
    return sdx_for(compute, job.view.outer * job.blocks, sdx_grain(each), gather_grad_tasks, &job);
}

static sdx_status gather_grad_grad(sdx_grad *grad, const void *params) {
    const gather_params *p = params;
    grad->exact = true;
    grad->dX[0] = sdx_emit_int(grad->patch, "Gather", grad->dY[0], grad->node->in[1], "axis", p->axis);
    return grad->patch->status;
}

static sdx_status gather_grad_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const gather_params *p = params;
    const sdx_id dY = node->in[0], indices = node->in[1], shape = node->in[2];
    sdx_id places = sdx_emit_int(patch, "Gather", sdx_grad_places(patch, shape), indices, "axis", p->axis);
    sdx_patch_replace(patch, node->out[0], sdx_grad_put(patch, shape, sdx_grad_type(patch, dY)->dtype, places, dY));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_GatherGrad = {
    .domain = "sdx",
    .name = "GatherGrad",
    .versions = (const sdx_op_version[]){{1, "dY:T indices:Tind shape:i64 -> dX:T",
                                          "T=" SDX_T_FLOAT_BF "|c64|c128 Tind=i32|i64", "axis:int=0"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(gather_params),
    .bind = gather_bind,
    .infer = gather_grad_infer,
    .compute = gather_grad_compute,
    .grad = gather_grad_grad,
    .expand = gather_grad_expand,
    .flags = SDX_OP_INTERNAL,
};
