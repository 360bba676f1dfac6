/* SPDX-License-Identifier: Apache-2.0
 * DynamicQuantizeLinear: the range [min(x, 0), max(x, 0)] is spread over u8; scale = (max - min) / 255, zero point =
 * round(-min / scale). A tensor of zeros has scale 1 / 255. */
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include "ops/reduction/reduce.h"

static sdx_status dynamic_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    for (int k = 1; k < infer->n_out; k++) infer->out[k].rank = 0;
    return SDX_OK;
}

typedef struct dynamic_job {
    const sdx_kernels *kernels;
    const float *x;
    uint8_t *y;
    float scale, zero;
} dynamic_job;

static void dynamic_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const dynamic_job *job = argument;
    job->kernels->quantize_f32(job->x + begin, &job->scale, &job->zero, 0, 0, 255, 1, job->y + begin, end - begin);
}

static sdx_status dynamic_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *x = compute->in[0];
    bool all[SDX_MAX_RANK];
    float least = 0, most = 0;
    for (int d = 0; d < x->rank; d++) all[d] = true;
    if (x->count) {
        sdx_tensor low = {.dtype = SDX_F32, .count = 1, .data = &least},
                   high = {.dtype = SDX_F32, .count = 1, .data = &most};
        SDX_TRY(sdx_reduce_run(compute, SDX_REDUCE_MIN, x, all, &low));
        SDX_TRY(sdx_reduce_run(compute, SDX_REDUCE_MAX, x, all, &high));
        least = least < 0 ? least : 0;
        most = most > 0 ? most : 0;
    }
    const float scale = (most == least ? 1 : most - least) / 255, zero = 0;
    const float lowest = -least;
    uint8_t zero_point = 0;
    compute->kernels->quantize_f32(&lowest, &scale, &zero, 0, 0, 255, 1, &zero_point, 1);
    if (compute->n_out > 1 && compute->out[1]) *(float *)compute->out[1]->data = scale;
    if (compute->n_out > 2 && compute->out[2]) *(uint8_t *)compute->out[2]->data = zero_point;
    if (!compute->out[0]) return SDX_OK;
    dynamic_job job = {compute->kernels, x->data, compute->out[0]->data, scale, (float)zero_point};
    return sdx_for(compute, x->count, SDX_GRAIN_CHEAP, dynamic_range, &job);
}

const sdx_op sdx_op_DynamicQuantizeLinear = {
    .domain = "",
    .name = "DynamicQuantizeLinear",
    .versions =
        (const sdx_op_version[]){
            {11, "x:T1 -> y:T2 y_scale:f32 y_zero_point:T2", "T1=f32 T2=u8", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = dynamic_infer,
    .compute = dynamic_compute,
    .grad = sdx_no_gradient,
};
