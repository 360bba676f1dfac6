/* SPDX-License-Identifier: Apache-2.0
 * GatherElements: output[i][j][k] = data[indices[i][j][k]][j][k] for axis 0, and so on. */
#include "ops/grad.h"
#include "ops/move.h"
#include "ops/tensor/elements.h"

static sdx_status gather_elements_bind(sdx_bind *bind, void *params) {
    sdx_elements_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    return bind->status;
}

static sdx_status gather_elements_infer(sdx_infer *infer, const void *params) {
    const sdx_elements_params *p = params;
    SDX_TRY(sdx_elements_check(infer, p->axis, -1));
    sdx_infer_same(infer, 0, 1);
    return SDX_OK;
}

typedef struct gather_elements_job {
    sdx_elements e;
    const char *data;
    char *out;
    size_t size;
} gather_elements_job;

/* A line whose elements are 4 or 8 bytes; indices are in range. */
#define GATHER_LINE(name, T, I)                                                                                        \
    static void name(const gather_elements_job *job, int64_t base, int64_t first) {                                    \
        const T *data = (const T *)(const void *)job->data + base;                                                     \
        const I *index = (const I *)job->e.indices->data + first;                                                      \
        T *out = (T *)(void *)job->out + first;                                                                        \
        const int64_t n = job->e.n, stride = job->e.axis_stride, step = job->e.step;                                   \
        for (int64_t i = 0; i < job->e.length; i++) {                                                                  \
            const int64_t k = index[i];                                                                                \
            out[i] = data[(k < 0 ? k + n : k) * stride + i * step];                                                    \
        }                                                                                                              \
    }
GATHER_LINE(line_4_i32, uint32_t, int32_t)
GATHER_LINE(line_4_i64, uint32_t, int64_t)
GATHER_LINE(line_8_i32, uint64_t, int32_t)
GATHER_LINE(line_8_i64, uint64_t, int64_t)

static void gather_lines(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const gather_elements_job *job = argument;
    for (int64_t line = begin; line < end; line++) {
        int64_t base = sdx_elements_line(&job->e, line), first = line * job->e.length;
        if (job->size == 4 || job->size == 8) {
            if (job->e.indices->dtype == SDX_I32)
                (job->size == 4 ? line_4_i32 : line_8_i32)(job, base, first);
            else
                (job->size == 4 ? line_4_i64 : line_8_i64)(job, base, first);
            continue;
        }
        for (int64_t i = 0; i < job->e.length; i++) {
            int64_t from = base + sdx_elements_at(&job->e, first + i) + i * job->e.step;
            sdx_copy_run(job->out + (size_t)(first + i) * job->size, job->data + (size_t)from * job->size, job->size);
        }
    }
}

static sdx_status gather_elements_compute(sdx_compute *compute, const void *params) {
    const sdx_elements_params *p = params;
    const sdx_tensor *data = compute->in[0], *indices = compute->in[1];
    gather_elements_job job = {.data = data->data, .size = sdx_dtype_size(data->dtype)};
    sdx_elements_begin(&job.e, p->axis, data, indices);
    SDX_TRY(sdx_check_indices(compute->error, "indices", indices, job.e.n));
    sdx_tensor *out = sdx_compute_output(compute, 0, indices->rank, indices->dim);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    job.out = out->data;
    return sdx_for(compute, out->count / job.e.length, sdx_grain(job.e.length * 8), gather_lines, &job);
}

static sdx_status gather_elements_grad(sdx_grad *grad, const void *params) {
    const sdx_elements_params *p = params;
    sdx_patch *patch = grad->patch;
    sdx_id in[3] = {sdx_grad_filled(patch, grad->node->in[0], 0), grad->node->in[1], grad->dY[0]};
    sdx_node *back = sdx_patch_node(patch, "", "ScatterElements", 3, in, 1);
    sdx_patch_int(patch, back, "axis", p->axis);
    sdx_patch_string(patch, back, "reduction", "add");
    grad->exact = true;
    grad->dX[0] = back->out[0];
    return patch->status;
}

const sdx_op sdx_op_GatherElements = {
    .domain = "",
    .name = "GatherElements",
    .versions =
        (const sdx_op_version[]){
            {11, "data:T indices:Tind -> output:T", "T=" SDX_T_ALL " Tind=i32|i64", "axis:int=0"},
            {13, "data:T indices:Tind -> output:T", "T=" SDX_T_ALL_BF " Tind=i32|i64", "axis:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_elements_params),
    .bind = gather_elements_bind,
    .infer = gather_elements_infer,
    .compute = gather_elements_compute,
    .grad = gather_elements_grad,
};
