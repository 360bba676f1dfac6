/* SPDX-License-Identifier: Apache-2.0
 * STFT: frames of the signal, frame_step apart, times the window, through the DFT; onesided: the first half of it. */
#include "ops/loop.h"
#include "ops/math/spectrum.h"
#include <inttypes.h>

enum { SIGNAL, STEP, WINDOW, LENGTH };

typedef struct stft_params {
    bool onesided;
} stft_params;

static sdx_status stft_bind(sdx_bind *bind, void *params) {
    stft_params *p = params;
    p->onesided = sdx_bind_int(bind, "onesided") != 0;
    return bind->status;
}

static sdx_status check_parts(sdx_error *error, const stft_params *p, int64_t parts) {
    if (parts != 1 && parts != 2)
        return sdx_fail(error, SDX_SHAPE, "the last dimension of input 'signal' is %" PRId64 "; it must be 1 or 2",
                        parts);
    if (p->onesided && parts == 2)
        return sdx_fail(error, SDX_SHAPE, "input 'signal' is complex; attribute 'onesided' must then be 0");
    return SDX_OK;
}

/* How many frames, from known lengths. */
static sdx_status count_frames(sdx_error *error, int64_t signal, int64_t length, int64_t step, int64_t *frames) {
    if (step < 1) return sdx_fail(error, SDX_VALUE, "input 'frame_step' is %" PRId64 "; it must be 1 or more", step);
    if (length < 1 || length > signal || sdx_fft_table_bytes(length) == SIZE_MAX)
        return sdx_fail(error, SDX_VALUE,
                        "frames would have length %" PRId64 "; it must be in [1, %" PRId64 "], the signal's length",
                        length, signal);
    *frames = (signal - length) / step + 1;
    return SDX_OK;
}

static sdx_status check_window(sdx_error *error, int64_t window, int64_t length) {
    if (window == length) return SDX_OK;
    return sdx_fail(error, SDX_SHAPE, "input 'window' has %" PRId64 " elements; input 'frame_length' is %" PRId64,
                    window, length);
}

static sdx_status stft_infer(sdx_infer *infer, const void *params) {
    const stft_params *p = params;
    const sdx_type *x = infer->in[SIGNAL];
    const sdx_type *window = infer->n_in > WINDOW ? infer->in[WINDOW] : NULL;
    sdx_type *y = &infer->out[0];
    int64_t step = 0, length = -1;
    bool step_known = false, length_known = false;
    SDX_TRY(sdx_infer_rank(infer, SIGNAL, "signal", 3));
    if (window) SDX_TRY(sdx_infer_rank(infer, WINDOW, "window", 1));
    if (x->rank == 3 && x->dim[2] >= 0) SDX_TRY(check_parts(infer->error, p, x->dim[2]));
    SDX_TRY(sdx_infer_scalar(infer, STEP, "frame_step", &step, &step_known));
    SDX_TRY(sdx_infer_scalar(infer, LENGTH, "frame_length", &length, &length_known));
    const bool has_length = infer->n_in > LENGTH && infer->in[LENGTH];
    const int64_t width = window && window->rank == 1 ? window->dim[0] : -1;
    if (length_known && width >= 0) SDX_TRY(check_window(infer->error, width, length));
    if (!has_length) length = window ? width : x->rank == 3 ? x->dim[1] : -1;
    y->rank = 4;
    y->dim[0] = x->rank == 3 ? x->dim[0] : -1;
    y->dim[1] = -1;
    y->dim[2] = length < 0 ? -1 : p->onesided ? length / 2 + 1 : length;
    y->dim[3] = 2;
    if (length < 0 || !step_known || x->rank != 3 || x->dim[1] < 0) return SDX_OK;
    return count_frames(infer->error, x->dim[1], length, step, &y->dim[1]);
}

typedef struct stft_job {
    sdx_spectrum spectrum;
    int64_t frames, step, signal;
} stft_job;

static void stft_frames(void *argument, int64_t begin, int64_t end, int worker) {
    const stft_job *job = argument;
    const sdx_spectrum *s = &job->spectrum;
    for (int64_t t = begin; t < end; t++) {
        const int64_t batch = t / job->frames, frame = t % job->frames;
        sdx_spectrum_line(s, (batch * job->signal + frame * job->step) * s->x_parts, s->x_parts, t * s->y_n * 2, 2,
                          worker);
    }
}

static sdx_status stft_compute(sdx_compute *compute, const void *params) {
    const stft_params *p = params;
    const sdx_tensor *x = compute->in[SIGNAL], *window = compute->n_in > WINDOW ? compute->in[WINDOW] : NULL;
    stft_job job = {.signal = x->dim[1]};
    int64_t length = 0;
    SDX_TRY(check_parts(compute->error, p, x->dim[2]));
    SDX_TRY(sdx_compute_scalar(compute, STEP, "frame_step", 0, &job.step));
    SDX_TRY(sdx_compute_scalar(compute, LENGTH, "frame_length", window ? window->dim[0] : x->dim[1], &length));
    if (window) SDX_TRY(check_window(compute->error, window->dim[0], length));
    SDX_TRY(count_frames(compute->error, x->dim[1], length, job.step, &job.frames));
    const int64_t dims[4] = {x->dim[0], job.frames, p->onesided ? length / 2 + 1 : length, 2};
    sdx_tensor *y = sdx_compute_output(compute, 0, 4, dims);
    if (!y) return compute->error->status;
    if (y->count == 0) return SDX_OK;
    sdx_spectrum *s = &job.spectrum;
    *s = (sdx_spectrum){.dtype = x->dtype, .x = x->data, .y = y->data, .x_parts = (int)x->dim[2], .y_parts = 2};
    s->n = s->given = length, s->y_n = dims[2];
    const size_t bytes = sdx_spectrum_bytes(length, sdx_pool_threads(compute->pool));
    char *memory = compute->services->alloc(compute, bytes + (size_t)length * sizeof(double));
    if (!memory) return compute->error->status;
    double *weights = (double *)(void *)(memory + bytes);
    if (window) {
        sdx_convert(compute->kernels, window->dtype, window->data, SDX_F64, weights, length);
        s->window = weights;
    }
    sdx_spectrum_begin(s, compute, memory);
    return sdx_for(compute, x->dim[0] * job.frames, sdx_spectrum_grain(length), stft_frames, &job);
}

static sdx_status stft_grad(sdx_grad *grad, const void *params) {
    (void)params;
    return sdx_stft_gradient(grad);
}

const sdx_op sdx_op_STFT = {
    .domain = "",
    .name = "STFT",
    .versions =
        (const sdx_op_version[]){
            {17, "signal:T1 frame_step:T2 window:T1? frame_length:T2? -> output:T1", "T1=" SDX_T_FLOAT_BF " T2=i32|i64",
             "onesided:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(stft_params),
    .bind = stft_bind,
    .infer = stft_infer,
    .compute = stft_compute,
    .grad = stft_grad,
};
