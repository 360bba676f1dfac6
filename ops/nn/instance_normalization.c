/* SPDX-License-Identifier: Apache-2.0
 * InstanceNormalization: y = scale * (x - mean) / sqrt(variance + epsilon) + B, the statistics over the space of each
 * channel of each sample. */
#include "ops/nn/norm.h"
#include "ops/nn/norm_grad.h"
#include <math.h>

typedef struct in_params {
    double epsilon;
} in_params;

static sdx_status in_bind(sdx_bind *bind, void *params) {
    in_params *p = params;
    p->epsilon = (double)sdx_bind_float(bind, "epsilon");
    return bind->status;
}

static sdx_status in_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0];
    sdx_infer_same(infer, 0, 0);
    if (x->rank >= 0 && x->rank < 2)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'input' has rank %d; it must be at least 2 (N x C x ...)",
                        x->rank);
    for (int k = 1; k < 3; k++) {
        const char *name = k == 1 ? "scale" : "B";
        SDX_TRY(sdx_infer_rank(infer, k, name, 1));
        if (x->rank < 0 || infer->in[k]->rank < 0) continue;
        SDX_TRY(sdx_infer_merge_dim(
            infer, k == 1 ? "channels of 'input' and length of 'scale'" : "channels of 'input' and length of 'B'",
            x->dim[1], infer->in[k]->dim[0], NULL));
    }
    return SDX_OK;
}

static size_t in_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0];
    sdx_dtype work = sdx_work_dtype(x->dtype);
    sdx_lines lines;
    sdx_lines_between(&lines, x->rank, x->dim, 2, x->rank);
    size_t size = sdx_lines_scratch(&lines, infer->threads, x->dtype, work, x->dtype);
    bool fits = sdx_size_add(size, 2 * sdx_norm_param_size(infer->in[1], work), &size);
    return fits ? size : SIZE_MAX;
}

typedef struct in_job {
    const struct sdx_kernels *kernels;
    sdx_dtype work;
    double epsilon;
    int64_t channels;
    const void *scale, *bias;
} in_job;

static void in_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    const in_job *job = context;
    double mean, variance;
    sdx_norm_moments(job->kernels, job->work, x, n, &mean, &variance);
    int64_t c = line % job->channels;
    double a = sdx_norm_get(job->work, job->scale, c) / sqrt(variance + job->epsilon);
    sdx_normalize(job->kernels, job->work, x, y, n, mean, a, sdx_norm_get(job->work, job->bias, c));
}

static sdx_status in_compute(sdx_compute *compute, const void *params) {
    const in_params *p = params;
    const sdx_tensor *x = compute->in[0];
    sdx_dtype work = sdx_work_dtype(x->dtype);
    char *room = compute->scratch;
    in_job job = {.kernels = compute->kernels, .work = work, .epsilon = p->epsilon, .channels = x->dim[1]};
    job.scale = sdx_norm_param(compute, compute->in[1], work, &room);
    job.bias = sdx_norm_param(compute, compute->in[2], work, &room);
    sdx_lines lines;
    sdx_lines_between(&lines, x->rank, x->dim, 2, x->rank);
    return sdx_lines_run(compute, &lines, work, x, compute->out[0], room, 3, in_line, &job);
}

static sdx_status in_grad(sdx_grad *grad, const void *params) {
    const in_params *p = params;
    return sdx_norm_grad_fused(grad,
                               &(sdx_norm_kind){.statistics = SDX_NORM_GROUPS, .centred = true, .epsilon = p->epsilon});
}

const sdx_op sdx_op_InstanceNormalization = {
    .domain = "",
    .name = "InstanceNormalization",
    .versions =
        (const sdx_op_version[]){
            {1, "input:T scale:T B:T -> output:T", "T=" SDX_T_FLOAT, "consumed_inputs:ints epsilon:float=1e-05"},
            {6, "input:T scale:T B:T -> output:T", "T=" SDX_T_FLOAT, "epsilon:float=1e-05"},
            {22, "input:T scale:T B:T -> output:T", "T=" SDX_T_FLOAT_BF, "epsilon:float=1e-05"},
            {0, NULL, NULL, NULL}},
    .params_size = sizeof(in_params),
    .bind = in_bind,
    .infer = in_infer,
    .scratch = in_scratch,
    .compute = in_compute,
    .grad = in_grad,
    .flags = SDX_OP_INPLACE};
