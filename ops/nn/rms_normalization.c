/* SPDX-License-Identifier: Apache-2.0
 * RMSNormalization: Y = X / sqrt(mean(X^2) + epsilon) * scale over the dimensions from `axis` on. Y has scale's dtype,
 * which may differ from X's; computed in f32 or f64 whatever stash_type says, and rounded once. */
#include "ops/kernels/kernels.h"
#include "ops/nn/norm.h"
#include "ops/nn/norm_grad.h"
#include <math.h>

typedef struct rms_params {
    int64_t axis;
    double epsilon;
} rms_params;

static sdx_status rms_bind(sdx_bind *bind, void *params) {
    rms_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->epsilon = (double)sdx_bind_float(bind, "epsilon");
    sdx_norm_bind_stash(bind, false);
    return bind->status;
}

static sdx_status rms_infer(sdx_infer *infer, const void *params) {
    const rms_params *p = params;
    int axis;
    sdx_infer_same(infer, 0, 0);
    if (infer->in[0]->rank >= 0) SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, infer->in[0]->rank, &axis));
    return sdx_norm_check_spread(infer, 1, "scale");
}

static size_t rms_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0], *scale = infer->in[1];
    int axis = sdx_axis_of(((const rms_params *)params)->axis, x->rank);
    sdx_dtype work = sdx_lines_work(x->dtype, scale->dtype, SDX_UNDEFINED);
    sdx_lines lines;
    sdx_lines_between(&lines, x->rank, x->dim, axis, x->rank);
    size_t size = sdx_lines_scratch(&lines, infer->threads, x->dtype, work, scale->dtype);
    bool fits = sdx_size_add(size, sdx_norm_spread_size(x, axis, scale, work), &size);
    return fits ? size : SIZE_MAX;
}

typedef struct rms_job {
    const struct sdx_kernels *kernels;
    sdx_dtype work;
    double epsilon;
    sdx_norm_spread scale;
} rms_job;

static void rms_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    const rms_job *job = context;
    const sdx_kernels *kernels = job->kernels;
    double sum = job->work == SDX_F64 ? kernels->square_sum_f64(x, n, 0) : kernels->square_sum_f32(x, n, 0);
    double r = 1 / sqrt(sum / (double)n + job->epsilon);
    sdx_normalize_row(kernels, job->work, x, y, n, 0, r,
                      sdx_norm_at(job->work, job->scale.data, job->scale.repeats ? 0 : line * n), NULL);
}

static sdx_status rms_compute(sdx_compute *compute, const void *params) {
    const rms_params *p = params;
    const sdx_tensor *x = compute->in[0], *scale = compute->in[1];
    int axis = sdx_axis_of(p->axis, x->rank);
    sdx_dtype work = sdx_lines_work(x->dtype, scale->dtype, SDX_UNDEFINED);
    char *room = compute->scratch;
    rms_job job = {.kernels = compute->kernels, .work = work, .epsilon = p->epsilon};
    job.scale = sdx_norm_spread_load(compute, x, axis, scale, work, &room);
    sdx_lines lines;
    sdx_lines_between(&lines, x->rank, x->dim, axis, x->rank);
    return sdx_lines_run(compute, &lines, work, x, compute->out[0], room, 2, rms_line, &job);
}

static sdx_status rms_grad(sdx_grad *grad, const void *params) {
    const rms_params *p = params;
    const int rank = grad->patch->graph->values[grad->node->in[0]].type.rank;
    return sdx_norm_grad_rows(grad, sdx_axis_of(p->axis, rank), p->epsilon, false);
}

const sdx_op sdx_op_RMSNormalization = {
    .domain = "",
    .name = "RMSNormalization",
    .versions = (const sdx_op_version[]){{23, "X:T scale:V -> Y:V", "T=" SDX_T_FLOAT_BF " V=" SDX_T_FLOAT_BF,
                                          "axis:int=-1 epsilon:float=1e-05 stash_type:int=1"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(rms_params),
    .bind = rms_bind,
    .infer = rms_infer,
    .scratch = rms_scratch,
    .compute = rms_compute,
    .grad = rms_grad,
    .flags = SDX_OP_INPLACE};
