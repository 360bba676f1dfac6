/* SPDX-License-Identifier: Apache-2.0
 * CausalConvWithState: every channel convolved with a kernel of its own that sees the present and the past alone, then
 * Swish if asked for. The k - 1 elements before the input are past_state, else zeros; present_state is what the next
 * step needs as its past_state, bit for bit. */
#include "ops/kernels/kernels.h"
#include "ops/move.h"
#include <inttypes.h>

enum { MARGIN = 64 }; /* elements the depthwise kernel may read past the end of its input */

typedef struct causal_params {
    bool swish;
} causal_params;

static sdx_status causal_bind(sdx_bind *bind, void *params) {
    static const char *const activations[] = {"none", "silu", "swish"};
    causal_params *p = params;
    p->swish = sdx_bind_choice(bind, "activation", activations, 3) > 0;
    return bind->status;
}

static const sdx_type *given(const sdx_infer *infer, int k) { return k < infer->n_in ? infer->in[k] : NULL; }

static sdx_status check_past(sdx_infer *infer, int64_t batch, int64_t channels, int64_t taps) {
    const sdx_type *past = given(infer, 3);
    if (!past) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, 3, "past_state", 3));
    if (past->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of 'input' and 'past_state'", batch, past->dim[0], NULL));
    SDX_TRY(sdx_infer_merge_dim(infer, "channels of 'input' and 'past_state'", channels, past->dim[1], NULL));
    return sdx_infer_merge_dim(infer, "length of 'past_state' and k - 1", taps < 0 ? -1 : taps - 1, past->dim[2], NULL);
}

static sdx_status causal_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0], *w = infer->in[1], *bias = given(infer, 2);
    int64_t channels = -1, taps = -1;
    SDX_TRY(sdx_infer_rank(infer, 0, "input", 3));
    SDX_TRY(sdx_infer_rank(infer, 1, "weight", 3));
    sdx_infer_same(infer, 0, 0);
    if (x->rank == 3) channels = x->dim[1];
    if (w->rank == 3) {
        SDX_TRY(sdx_infer_merge_dim(infer, "channels of 'input' and 'weight'", channels, w->dim[0], &channels));
        SDX_TRY(sdx_infer_merge_dim(infer, "dimension 1 of 'weight' and 1", 1, w->dim[1], NULL));
        taps = w->dim[2];
        if (taps == 0)
            return sdx_fail(infer->error, SDX_SHAPE, "dimension 2 of input 'weight' is 0; it must be 1 or more");
    }
    if (bias) SDX_TRY(sdx_infer_rank(infer, 2, "bias", 1));
    if (bias && bias->rank == 1)
        SDX_TRY(sdx_infer_merge_dim(infer, "channels of 'input' and 'bias'", channels, bias->dim[0], NULL));
    SDX_TRY(check_past(infer, x->rank == 3 ? x->dim[0] : -1, channels, taps));
    if (infer->n_out < 2) return SDX_OK;
    infer->out[1].rank = 3;
    infer->out[1].dim[0] = x->rank == 3 ? x->dim[0] : -1;
    infer->out[1].dim[1] = channels;
    infer->out[1].dim[2] = taps < 0 ? -1 : taps - 1;
    return SDX_OK;
}

/* Floats of a worker's room: the input behind its past, the result, the kernel. False when too large. */
static bool room_size(int64_t length, int64_t taps, size_t *floats) {
    size_t padded = 0, both = 0;
    return sdx_size_add((size_t)length, (size_t)taps + MARGIN, &padded) &&
           sdx_size_add(padded, (size_t)length, &both) && sdx_size_add(both, (size_t)taps + 3 * MARGIN, floats);
}

static size_t causal_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    size_t bytes = 0;
    bool fits = room_size(infer->in[0]->dim[2], infer->in[1]->dim[2], &bytes) &&
                sdx_size_mul(bytes, sizeof(float) * (size_t)infer->threads, &bytes);
    return fits ? bytes : SIZE_MAX;
}

typedef struct causal_job {
    const sdx_kernels *kernels;
    sdx_dtype dtype;
    int64_t channels, length, taps;
    const char *x, *w, *bias, *past; /* bias, past: NULL when absent */
    char *y, *present;               /* NULL when nobody reads it */
    sdx_unary_fn swish;              /* NULL: none */
    float *rooms;
    size_t room;
} causal_job;

/* The last `before` elements of past and input together. */
static void keep_state(const causal_job *job, int64_t row) {
    const int64_t before = job->taps - 1, size = (int64_t)sdx_dtype_size(job->dtype);
    const int64_t new = job->length < before ? job->length : before, old = before - new;
    char *to = job->present + row * before * size;
    if (job->past)
        memcpy(to, job->past + (row * before + new) * size, (size_t)(old * size));
    else
        memset(to, 0, (size_t)(old * size));
    memcpy(to + old * size, job->x + ((row + 1) * job->length - new) * size, (size_t)(new *size));
}

static void convolve(const causal_job *job, int64_t row, float *room) {
    const int64_t before = job->taps - 1, size = (int64_t)sdx_dtype_size(job->dtype), n = job->length;
    float *y = room + before + n + MARGIN, *w = y + n, bias = 0;
    if (job->past)
        sdx_convert(job->kernels, job->dtype, job->past + row * before * size, SDX_F32, room, before);
    else
        memset(room, 0, (size_t)before * sizeof *room);
    sdx_convert(job->kernels, job->dtype, job->x + row * n * size, SDX_F32, room + before, n);
    memset(room + before + n, 0, MARGIN * sizeof *room);
    sdx_convert(job->kernels, job->dtype, job->w + row % job->channels * job->taps * size, SDX_F32, w, job->taps);
    if (job->bias) sdx_convert(job->kernels, job->dtype, job->bias + row % job->channels * size, SDX_F32, &bias, 1);
    const sdx_depthwise plane = {.x = room,
                                 .w = w,
                                 .y = y,
                                 .x_pitch = n + before,
                                 .y_pitch = n,
                                 .rows = 1,
                                 .columns = n,
                                 .kernel = {1, job->taps},
                                 .stride = {1, 1},
                                 .dilation = {1, 1},
                                 .bias = bias};
    job->kernels->depthwise_f32(&plane);
    const float alpha = 1;
    if (job->swish) job->swish(y, y, n, &alpha);
    sdx_convert(job->kernels, SDX_F32, y, job->dtype, job->y + row * n * size, n);
}

/* Rows are channels of batches. */
static void run_rows(void *argument, int64_t begin, int64_t end, int worker) {
    const causal_job *job = argument;
    for (int64_t row = begin; row < end; row++) {
        if (job->present && job->taps > 1) keep_state(job, row);
        if (job->y && job->length) convolve(job, row, job->rooms + (size_t)worker * job->room);
    }
}

static sdx_status causal_compute(sdx_compute *compute, const void *params) {
    const causal_params *p = params;
    const sdx_tensor *x = compute->in[0], *w = compute->in[1];
    const sdx_tensor *bias = compute->n_in > 2 ? compute->in[2] : NULL,
                     *past = compute->n_in > 3 ? compute->in[3] : NULL;
    const sdx_tensor *y = compute->out[0], *present = compute->n_out > 1 ? compute->out[1] : NULL;
    causal_job job = {.kernels = compute->kernels,
                      .dtype = x->dtype,
                      .channels = x->dim[1],
                      .length = x->dim[2],
                      .taps = w->dim[2],
                      .x = x->data,
                      .w = w->data,
                      .rooms = compute->scratch};
    if (bias) job.bias = bias->data;
    if (past) job.past = past->data;
    if (y) job.y = y->data;
    if (present) job.present = present->data;
    if (p->swish) job.swish = compute->kernels->unary(SDX_UNARY_Swish, SDX_F32);
    if (!room_size(job.length, job.taps, &job.room))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "room for %" PRId64 " elements", job.length);
    return sdx_for(compute, x->dim[0] * x->dim[1], sdx_grain((job.length + 16) * job.taps), run_rows, &job);
}

const sdx_op sdx_op_CausalConvWithState = {
    .domain = "",
    .name = "CausalConvWithState",
    .versions = (const sdx_op_version[]){{27, "input:T weight:T bias:T? past_state:T? -> output:T present_state:T",
                                          "T=bf16|f16|f32", "activation:string=none"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(causal_params),
    .bind = causal_bind,
    .infer = causal_infer,
    .scratch = causal_scratch,
    .compute = causal_compute,
};
