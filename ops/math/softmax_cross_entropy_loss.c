/* SPDX-License-Identifier: Apache-2.0
 * SoftmaxCrossEntropyLoss: log_prob = scores - max - log sum exp(scores - max) over the classes, and the weighted
 * -log_prob of the labels, reduced. One pass: a line of scores gives both. */
#include "ops/kernels/kernels.h"
#include "ops/math/loss.h"
#include <math.h>

static const sdx_loss_names names = {"scores", "labels", "weights"};

static sdx_status sce_infer(sdx_infer *infer, const void *params) {
    if (infer->n_out > 1) sdx_infer_same(infer, 1, 0);
    return sdx_loss_infer(infer, params, &names);
}

static size_t sce_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0];
    sdx_lines lines;
    sdx_lines_between(&lines, x->rank, x->dim, 1, 2);
    bool probabilities = infer->n_out > 1 && infer->wanted[1];
    size_t size = sdx_lines_scratch(&lines, infer->threads, x->dtype, sdx_work_dtype(x->dtype),
                                    probabilities ? x->dtype : SDX_UNDEFINED);
    return sdx_size_add(size, sdx_loss_scratch(infer->in[1]), &size) ? size : SIZE_MAX;
}

typedef struct sce_job {
    sdx_loss loss;
    sdx_dtype work;
} sce_job;

static double log_sum_exp(const double *x, int64_t n, double *max) {
    double sum = 0;
    *max = -INFINITY;
    for (int64_t k = 0; k < n; k++) *max = x[k] > *max ? x[k] : *max;
    for (int64_t k = 0; k < n; k++) sum += exp(x[k] - *max);
    return log(sum);
}

/* A label has its log-probability before it is rounded to the type of the output. */
static void sce_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    const sce_job *job = context;
    const int64_t class = sdx_loss_class(&job->loss, line);
    double value = 0;
    if (job->work == SDX_F64) {
        const double *from = x;
        double *to = y, max, log_sum = log_sum_exp(from, n, &max);
        for (int64_t k = 0; k < n; k++) to[k] = (from[k] - max) - log_sum;
        if (class >= 0) value = to[class];
    } else {
        job->loss.kernels->log_softmax_f32(x, y, n);
        if (class >= 0) value = (double)((const float *)y)[class];
    }
    sdx_loss_put(&job->loss, line, class, value);
}

static sdx_status sce_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    char *room = compute->scratch;
    sce_job job = {.work = sdx_work_dtype(x->dtype)};
    sdx_lines lines;
    sdx_lines_between(&lines, x->rank, x->dim, 1, 2);
    SDX_TRY(sdx_loss_begin(compute, params, &names, &room, &job.loss));
    const sdx_tensor *log_prob = compute->n_out > 1 ? compute->out[1] : NULL;
    SDX_TRY(sdx_lines_run(compute, &lines, job.work, x, log_prob, room, 8, sce_line, &job));
    return sdx_loss_finish(compute, &job.loss, compute->out[0]);
}

static sdx_status sce_grad(sdx_grad *grad, const void *params) { return sdx_loss_grad(grad, params, true); }

#define ROW(since, types)                                                                                              \
    {                                                                                                                  \
        since, "scores:T labels:Tind weights:T? -> output:T log_prob:T?", "T=" types " Tind=i32|i64",                  \
            "ignore_index:int reduction:string=mean"                                                                   \
    }
const sdx_op sdx_op_SoftmaxCrossEntropyLoss = {
    .domain = "",
    .name = "SoftmaxCrossEntropyLoss",
    .versions = (const sdx_op_version[]){ROW(12, SDX_T_FLOAT), ROW(13, SDX_T_FLOAT_BF), {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_loss_params),
    .bind = sdx_loss_bind,
    .infer = sce_infer,
    .scratch = sce_scratch,
    .compute = sce_compute,
    .grad = sce_grad,
};
