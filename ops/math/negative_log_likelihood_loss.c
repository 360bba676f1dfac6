/* SPDX-License-Identifier: Apache-2.0
 * NegativeLogLikelihoodLoss: -input[n, target[n, d...], d...] * weight[target], reduced. */
#include "ops/math/loss.h"

static const sdx_loss_names names = {"input", "target", "weight"};

static sdx_status nll_infer(sdx_infer *infer, const void *params) { return sdx_loss_infer(infer, params, &names); }

static size_t nll_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_loss_scratch(infer->in[1]);
}

typedef struct nll_job {
    sdx_loss loss;
    const sdx_tensor *x;
    int64_t classes, space;
} nll_job;

static void nll_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const nll_job *job = argument;
    const size_t size = sdx_dtype_size(job->x->dtype);
    for (int64_t k = begin; k < end; k++) {
        int64_t class = sdx_loss_class(&job->loss, k);
        double value = 0;
        if (class >= 0) {
            int64_t at = (k / job->space * job->classes + class) * job->space + k % job->space;
            sdx_convert(job->loss.kernels, job->x->dtype, (const char *)job->x->data + (size_t)at * size, SDX_F64,
                        &value, 1);
        }
        sdx_loss_put(&job->loss, k, class, value);
    }
}

static sdx_status nll_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    char *room = compute->scratch;
    nll_job job = {.x = x, .classes = x->dim[1], .space = 1};
    for (int d = 2; d < x->rank; d++) job.space *= x->dim[d];
    SDX_TRY(sdx_loss_begin(compute, params, &names, &room, &job.loss));
    SDX_TRY(sdx_for(compute, compute->in[1]->count, SDX_GRAIN_HEAVY, nll_range, &job));
    return sdx_loss_finish(compute, &job.loss, compute->out[0]);
}

static sdx_status nll_grad(sdx_grad *grad, const void *params) { return sdx_loss_grad(grad, params, false); }

#define ROW(since, types)                                                                                              \
    {                                                                                                                  \
        since, "input:T target:Tind weight:T? -> loss:T", "T=" types " Tind=i32|i64",                                  \
            "ignore_index:int reduction:string=mean"                                                                   \
    }
const sdx_op sdx_op_NegativeLogLikelihoodLoss = {
    .domain = "",
    .name = "NegativeLogLikelihoodLoss",
    .versions =
        (const sdx_op_version[]){
            ROW(12, SDX_T_FLOAT), ROW(13, SDX_T_FLOAT), ROW(22, SDX_T_FLOAT_BF), {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_loss_params),
    .bind = sdx_loss_bind,
    .infer = nll_infer,
    .scratch = nll_scratch,
    .compute = nll_compute,
    .grad = nll_grad,
};
