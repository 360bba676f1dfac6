/* SPDX-License-Identifier: Apache-2.0
 * HannWindow, HammingWindow, BlackmanWindow: a - b cos(2 pi n / N) + c cos(4 pi n / N), where N is `size`, or size - 1
 * when it is not periodic. A symmetric window of one element is 1. */
#include "ops/generator/draw.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <math.h>

enum { BLOCK = 256 };

typedef struct window_params {
    sdx_dtype dtype;
    bool periodic;
} window_params;

static sdx_status window_bind(sdx_bind *bind, void *params) {
    window_params *p = params;
    p->dtype = sdx_bind_number_dtype(bind, "output_datatype");
    p->periodic = sdx_bind_int(bind, "periodic") != 0;
    return bind->status;
}

static sdx_status size_of(sdx_error *error, const sdx_tensor *tensor, int64_t *size) {
    if (tensor->count != 1)
        return sdx_fail(error, SDX_SHAPE, "input 'size' has %" PRId64 " elements; it must be a scalar", tensor->count);
    sdx_convert(NULL, tensor->dtype, tensor->data, SDX_I64, size, 1);
    if (*size >= 0) return SDX_OK;
    return sdx_fail(error, SDX_VALUE, "input 'size' is %" PRId64 "; it must be 0 or more", *size);
}

static sdx_status window_infer(sdx_infer *infer, const void *params) {
    const window_params *p = params;
    sdx_type *y = &infer->out[0];
    y->dtype = p->dtype;
    y->rank = 1;
    y->dim[0] = -1;
    return infer->value[0] ? size_of(infer->error, infer->value[0], &y->dim[0]) : SDX_OK;
}

typedef struct window_job {
    const double *weight; /* a, b, c */
    double period;
    sdx_tensor *y;
} window_job;

static void window_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const window_job *job = argument;
    const size_t size = sdx_dtype_size(job->y->dtype);
    const bool whole = sdx_dtype_class(job->y->dtype) != SDX_CLASS_FLOAT;
    double v[BLOCK];
    for (int64_t k = begin; k < end; k += BLOCK) {
        const int64_t n = end - k < BLOCK ? end - k : BLOCK;
        for (int64_t i = 0; i < n; i++) {
            const double angle = 6.283185307179586476925 * (double)(k + i) / job->period;
            v[i] = job->weight[0] - job->weight[1] * cos(angle);
            if (job->weight[2] != 0) v[i] += job->weight[2] * cos(2 * angle);
            if (job->period == 0) v[i] = 1;
            /* The specification casts from f32: a peak is 1, not a little less. */
            if (whole) v[i] = (double)(float)v[i];
        }
        sdx_convert(NULL, SDX_F64, v, job->y->dtype, (char *)job->y->data + (size_t)k * size, n);
    }
}

static sdx_status window_compute(sdx_compute *compute, const window_params *p, const double *weight) {
    int64_t size = 0;
    SDX_TRY(size_of(compute->error, compute->in[0], &size));
    window_job job = {.weight = weight, .period = (double)(p->periodic ? size : size - 1)};
    job.y = sdx_compute_output(compute, 0, 1, &size);
    if (!job.y) return compute->error->status;
    return sdx_for(compute, size, SDX_GRAIN_HEAVY, window_range, &job);
}

#define WINDOW(Name, ...)                                                                                              \
    static sdx_status Name##_compute(sdx_compute *compute, const void *params) {                                       \
        static const double weight[3] = {__VA_ARGS__};                                                                 \
        return window_compute(compute, params, weight);                                                                \
    }                                                                                                                  \
    const sdx_op sdx_op_##Name = {                                                                                     \
        .domain = "",                                                                                                  \
        .name = #Name,                                                                                                 \
        .versions = (const sdx_op_version[]){{17, "size:T1 -> output:T2", "T1=i32|i64 T2=" SDX_T_NUMERIC_BF,           \
                                              "output_datatype:int=1 periodic:int=1"},                                 \
                                             {0, NULL, NULL, NULL}},                                                   \
        .params_size = sizeof(window_params),                                                                          \
        .bind = window_bind,                                                                                           \
        .infer = window_infer,                                                                                         \
        .compute = Name##_compute,                                                                                     \
        .grad = sdx_no_gradient}

WINDOW(HannWindow, 0.5, 0.5, 0);
WINDOW(HammingWindow, 25.0 / 46, 21.0 / 46, 0);
WINDOW(BlackmanWindow, 0.42, 0.5, 0.08);
