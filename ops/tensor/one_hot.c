/* SPDX-License-Identifier: Apache-2.0
 * OneHot: a new dimension of length 'depth' at `axis`, values[1] where it equals the index, else values[0]. Indices
 * outside [-depth, depth) match nothing. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct one_hot_params {
    int64_t axis;
} one_hot_params;

static sdx_status one_hot_bind(sdx_bind *bind, void *params) {
    one_hot_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    return bind->status;
}

static sdx_status read_depth(sdx_error *error, const sdx_tensor *depth, int64_t *out) {
    if (depth->count != 1)
        return sdx_fail(error, SDX_SHAPE, "input 'depth' has %" PRId64 " elements; it must have one", depth->count);
    sdx_convert(NULL, depth->dtype, depth->data, SDX_I64, out, 1);
    if (*out < 1) return sdx_fail(error, SDX_VALUE, "input 'depth' is %" PRId64 "; it must be >= 1", *out);
    return SDX_OK;
}

static sdx_status one_hot_infer(sdx_infer *infer, const void *params) {
    const one_hot_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    sdx_type *out = &infer->out[0];
    int64_t depth = -1;
    SDX_TRY(sdx_infer_rank(infer, 2, "values", 1));
    if (sdx_infer_rank_of(infer, 2) == 1)
        SDX_TRY(sdx_infer_merge_dim(infer, "length of input 'values'", infer->in[2]->dim[0], 2, NULL));
    if (infer->value[1]) SDX_TRY(read_depth(infer->error, infer->value[1], &depth));
    if (rank < 0) return SDX_OK;
    if (rank == SDX_MAX_RANK)
        return sdx_fail(infer->error, SDX_UNSUPPORTED, "the result has rank %d; at most %d is supported", rank + 1,
                        SDX_MAX_RANK);
    SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank + 1, &axis));
    out->rank = rank + 1;
    for (int d = 0; d <= rank; d++) out->dim[d] = d == axis ? depth : infer->in[0]->dim[d < axis ? d : d - 1];
    return SDX_OK;
}

typedef struct one_hot_job {
    const sdx_tensor *indices;
    int64_t depth, inner;
    size_t size;
    const char *values;
    char *out;
} one_hot_job;

/* n times the same element. */
static void fill(char *to, const char *value, size_t size, int64_t n) {
    const size_t bytes = (size_t)n * size;
    memcpy(to, value, size);
    for (size_t done = size; done < bytes; done *= 2) memcpy(to + done, to, done < bytes - done ? done : bytes - done);
}

/* Along the last dimension: entries are indices, a row of `depth` elements each. */
static void one_hot_lines(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const one_hot_job *job = argument;
    const size_t index_size = sdx_dtype_size(job->indices->dtype);
    for (int64_t row = begin; row < end; row++) {
        char *to = job->out + (size_t)(row * job->depth) * job->size;
        int64_t index = 0;
        sdx_convert(NULL, job->indices->dtype, (const char *)job->indices->data + (size_t)row * index_size, SDX_I64,
                    &index, 1);
        fill(to, job->values, job->size, job->depth);
        if (index < 0) index += job->depth;
        if (index >= 0 && index < job->depth)
            memcpy(to + (size_t)index * job->size, job->values + job->size, job->size);
    }
}

/* Entries are (outer, depth) pairs: a row of `inner` elements each. */
static void one_hot_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const one_hot_job *job = argument;
    size_t index_size = sdx_dtype_size(job->indices->dtype);
    for (int64_t row = begin; row < end; row++) {
        int64_t outer = row / job->depth, level = row % job->depth;
        char *to = job->out + (size_t)(row * job->inner) * job->size;
        const char *from = (const char *)job->indices->data + (size_t)(outer * job->inner) * index_size;
        for (int64_t i = 0; i < job->inner; i++) {
            int64_t index = 0;
            sdx_convert(NULL, job->indices->dtype, from + (size_t)i * index_size, SDX_I64, &index, 1);
            bool on = index == level || (index < 0 && index + job->depth == level);
            sdx_copy_run(to + (size_t)i * job->size, job->values + (on ? job->size : 0), job->size);
        }
    }
}

static sdx_status one_hot_compute(sdx_compute *compute, const void *params) {
    const one_hot_params *p = params;
    const sdx_tensor *indices = compute->in[0], *values = compute->in[2];
    int rank = indices->rank, axis = sdx_axis_of(p->axis, rank + 1);
    one_hot_job job = {.indices = indices, .size = sdx_dtype_size(values->dtype), .values = values->data};
    int64_t dims[SDX_MAX_RANK];
    SDX_TRY(read_depth(compute->error, compute->in[1], &job.depth));
    for (int d = 0; d <= rank; d++) dims[d] = d == axis ? job.depth : indices->dim[d < axis ? d : d - 1];
    sdx_tensor *out = sdx_compute_output(compute, 0, rank + 1, dims);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    job.inner = sdx_dims_product(indices->dim, axis, rank);
    job.out = out->data;
    if (job.inner == 1)
        return sdx_for(compute, out->count / job.depth, sdx_grain(job.depth * (int64_t)job.size), one_hot_lines, &job);
    return sdx_for(compute, out->count / job.inner, sdx_grain(job.inner * 8), one_hot_rows, &job);
}

/* values[1] gets what flows where they are on, values[0] the rest. */
static sdx_status one_hot_grad(sdx_grad *grad, const void *params) {
    const one_hot_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    const sdx_id one[1] = {sdx_patch_i64s(patch, (int64_t[]){1}, 1)}, dY = grad->dY[0],
                 zero = sdx_grad_scalar(patch, node->in[2], 0);
    sdx_node *on = sdx_patch_node(patch, "", "OneHot", 3,
                                  (sdx_id[]){node->in[0], node->in[1], sdx_patch_i64s(patch, (int64_t[]){0, 1}, 2)}, 1);
    sdx_patch_int(patch, on, "axis", p->axis);
    sdx_id is_on = sdx_emit_int(patch, "Cast", on->out[0], SDX_NONE, "to", SDX_BOOL), sums[2];
    sums[0] = sdx_emit1(patch, "ReduceSum", sdx_emit3(patch, "Where", is_on, zero, dY));
    sums[1] = sdx_emit1(patch, "ReduceSum", sdx_emit3(patch, "Where", is_on, dY, zero));
    for (int k = 0; k < 2; k++) sums[k] = sdx_emit2(patch, "Reshape", sums[k], one[0]);
    grad->exact = true;
    grad->dX[2] = sdx_emit_int(patch, "Concat", sums[0], sums[1], "axis", 0);
    return patch->status;
}

const sdx_op sdx_op_OneHot = {
    .domain = "",
    .name = "OneHot",
    .versions =
        (const sdx_op_version[]){
            {9, "indices:T1 depth:T2 values:T3 -> output:T3", "T1=" SDX_T_NUMERIC " T2=" SDX_T_NUMERIC " T3=" SDX_T_ALL,
             "axis:int=-1"},
            {11, "indices:T1 depth:T2 values:T3 -> output:T3",
             "T1=" SDX_T_NUMERIC " T2=" SDX_T_NUMERIC " T3=" SDX_T_ALL, "axis:int=-1"},
            {28, "indices:T1 depth:T2 values:T3 -> output:T3",
             "T1=" SDX_T_NUMERIC " T2=" SDX_T_NUMERIC " T3=" SDX_T_ALL_BF, "axis:int=-1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(one_hot_params),
    .bind = one_hot_bind,
    .infer = one_hot_infer,
    .compute = one_hot_compute,
    .grad = one_hot_grad,
};
