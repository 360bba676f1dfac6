/* SPDX-License-Identifier: Apache-2.0
 * MeanVarianceNormalization: Y = (X - mean) / (sqrt(variance) + 1e-9) over `axes`. The schema's body takes the variance
 * as E[X^2] - E[X]^2; here it is taken about the mean, which is the same number without the cancellation. */
#include "ops/nn/norm.h"
#include "ops/nn/norm_grad.h"
#include <inttypes.h>
#include <math.h>

typedef struct mvn_params {
    sdx_ints axes;
} mvn_params;

static sdx_status mvn_bind(sdx_bind *bind, void *params) {
    mvn_params *p = params;
    p->axes = sdx_bind_ints(bind, "axes");
    return bind->status;
}

static sdx_status mvn_infer(sdx_infer *infer, const void *params) {
    const mvn_params *p = params;
    bool seen[SDX_MAX_RANK] = {false};
    int rank = infer->in[0]->rank;
    sdx_infer_same(infer, 0, 0);
    for (size_t k = 0; rank >= 0 && k < p->axes.n; k++) {
        int axis = 0;
        SDX_TRY(sdx_infer_axis(infer, "axes", p->axes.data[k], rank, &axis));
        if (seen[axis])
            return sdx_fail(infer->error, SDX_VALUE, "attribute 'axes' names dimension %" PRId64 " twice",
                            p->axes.data[k]);
        seen[axis] = true;
    }
    return SDX_OK;
}

static void mvn_lines(const mvn_params *p, int rank, const int64_t *dim, sdx_lines *lines) {
    bool along[SDX_MAX_RANK] = {false};
    for (size_t k = 0; k < p->axes.n; k++) along[p->axes.data[k] + (p->axes.data[k] < 0 ? rank : 0)] = true;
    for (int d = 0; d < rank && p->axes.n == 0; d++) along[d] = true; /* as the reductions of the body do */
    sdx_lines_make(lines, rank, dim, along);
}

static size_t mvn_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0];
    sdx_lines lines;
    mvn_lines(params, x->rank, x->dim, &lines);
    return sdx_lines_scratch(&lines, infer->threads, x->dtype, sdx_work_dtype(x->dtype), x->dtype);
}

typedef struct mvn_job {
    const struct sdx_kernels *kernels;
    sdx_dtype work;
} mvn_job;

static void mvn_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    (void)line;
    const mvn_job *job = context;
    double mean, variance;
    sdx_norm_moments(job->kernels, job->work, x, n, &mean, &variance);
    sdx_normalize(job->kernels, job->work, x, y, n, mean, 1 / (sqrt(variance) + 1e-9), 0);
}

static sdx_status mvn_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    mvn_job job = {compute->kernels, sdx_work_dtype(x->dtype)};
    sdx_lines lines;
    mvn_lines(params, x->rank, x->dim, &lines);
    return sdx_lines_run(compute, &lines, job.work, x, compute->out[0], compute->scratch, 3, mvn_line, &job);
}

static sdx_status mvn_grad(sdx_grad *grad, const void *params) {
    const mvn_params *p = params;
    sdx_norm_grad g;
    SDX_TRY(sdx_norm_grad_begin(&g, grad));
    int64_t axes[SDX_MAX_RANK];
    int n = 0;
    for (; n < (int)p->axes.n; n++) axes[n] = p->axes.data[n];
    for (; p->axes.n == 0 && n < g.rank; n++) axes[n] = n;
    sdx_norm_hat hat = sdx_norm_grad_hat(&g, g.X, axes, n, 0, 1e-9, true);
    sdx_norm_grad_set(&g, 0, sdx_norm_grad_back(&g, hat, g.dY, axes, n, true));
    return g.patch->status;
}

const sdx_op sdx_op_MeanVarianceNormalization = {
    .domain = "",
    .name = "MeanVarianceNormalization",
    .versions = (const sdx_op_version[]){{9, "X:T -> Y:T", "T=" SDX_T_FLOAT, "axes:ints=[0,2,3]"},
                                         {13, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, "axes:ints=[0,2,3]"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(mvn_params),
    .bind = mvn_bind,
    .infer = mvn_infer,
    .scratch = mvn_scratch,
    .compute = mvn_compute,
    .grad = mvn_grad,
    .flags = SDX_OP_INPLACE};
