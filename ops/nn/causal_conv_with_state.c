/* SPDX-License-Identifier: Apache-2.0
 * CausalConvWithState: every channel convolved with a kernel of its own that sees the present and the past alone, then
 * Swish if asked for. The k - 1 elements before the input are past_state, else zeros; present_state is what the next
 * step needs as its past_state, bit for bit. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/move.h"
#include "ops/nn/convolve.h"
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

static sdx_status check_past(sdx_infer *infer, int64_t batch, int64_t channels, int64_t taps) {
    const sdx_type *past = sdx_infer_in(infer, 3);
    if (!past) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, 3, "past_state", 3));
    if (past->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of 'input' and 'past_state'", batch, past->dim[0], NULL));
    SDX_TRY(sdx_infer_merge_dim(infer, "channels of 'input' and 'past_state'", channels, past->dim[1], NULL));
    return sdx_infer_merge_dim(infer, "length of 'past_state' and k - 1", taps < 0 ? -1 : taps - 1, past->dim[2], NULL);
}

static sdx_status causal_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0], *w = infer->in[1], *bias = sdx_infer_in(infer, 2);
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

static sdx_id slice(sdx_patch *patch, sdx_id x, sdx_id from, sdx_id to) {
    const int64_t axis = 2;
    return sdx_patch_node(patch, "", "Slice", 4, (sdx_id[]){x, from, to, sdx_patch_i64s(patch, &axis, 1)}, 1)->out[0];
}

/* Past and input together; the past is zeros where none is given. */
static sdx_id whole_input(sdx_grad *grad, int64_t channels, int64_t before) {
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0];
    sdx_id past = sdx_grad_in(grad, 3);
    if (past == SDX_NONE) {
        sdx_node *batch = sdx_patch_node(patch, "", "Shape", 1, &X, 1);
        sdx_patch_int(patch, batch, "end", 1);
        const int64_t rest[2] = {channels, before};
        const sdx_id shape = sdx_emit_int(patch, "Concat", batch->out[0], sdx_patch_i64s(patch, rest, 2), "axis", 0);
        past = sdx_emit2(patch, "Expand", sdx_grad_scalar(patch, X, 0), shape);
    }
    return sdx_emit_int(patch, "Concat", past, X, "axis", 2);
}

/* dY before the activation: with s the sigmoid of a = Conv(z), swish'(a) = s (1 + a (1 - s)). */
static sdx_id before_swish(sdx_grad *grad, sdx_id z, int64_t channels) {
    sdx_patch *patch = grad->patch;
    const sdx_id W = grad->node->in[1], bias = sdx_grad_in(grad, 2), one = sdx_grad_scalar(patch, W, 1);
    sdx_node *conv = sdx_patch_node(patch, "", "Conv", bias == SDX_NONE ? 2 : 3, (sdx_id[]){z, W, bias}, 1);
    sdx_patch_int(patch, conv, "group", channels);
    const sdx_id a = conv->out[0], s = sdx_emit1(patch, "Sigmoid", a);
    const sdx_id rest = sdx_emit2(patch, "Mul", a, sdx_emit2(patch, "Sub", one, s));
    const sdx_id slope = sdx_emit2(patch, "Mul", s, sdx_emit2(patch, "Add", one, rest));
    return sdx_emit2(patch, "Mul", grad->dY[0], slope);
}

/* What the k - 1 last elements of past and input get, in the shape of both. */
static sdx_id from_state(sdx_grad *grad, sdx_id z) {
    sdx_patch *patch = grad->patch;
    const sdx_id dS = grad->dY[1], two = sdx_patch_i64s(patch, (int64_t[]){2}, 1),
                 none = sdx_patch_i64s(patch, (int64_t[]){0}, 1);
    const sdx_id more = sdx_emit2(patch, "Sub", sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", z), two),
                                  sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", dS), two));
    const sdx_id pads = sdx_emit_int(patch, "Concat", more, none, "axis", 0);
    const sdx_id in[4] = {dS, pads, SDX_NONE, two};
    return sdx_patch_node(patch, "", "Pad", 4, in, 1)->out[0];
}

static sdx_status causal_grad(sdx_grad *grad, const void *params) {
    const causal_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id W = grad->node->in[1], dS = grad->node->n_out > 1 ? grad->dY[1] : SDX_NONE;
    const sdx_type *w = sdx_grad_type(patch, W);
    if (w->rank != 3 || w->dim[0] < 0 || w->dim[2] < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "the shape of 'weight' must be known to differentiate");
    const int64_t channels = w->dim[0], before = w->dim[2] - 1, zero = 0, end = INT64_MAX;
    const sdx_id z = whole_input(grad, channels, before), cut = sdx_patch_i64s(patch, &before, 1);
    sdx_id dz = SDX_NONE;
    if (grad->dY[0] != SDX_NONE) {
        const sdx_id da = p->swish ? before_swish(grad, z, channels) : grad->dY[0];
        const sdx_id in[3] = {da, W, sdx_emit1(patch, "Shape", z)};
        sdx_node *back = sdx_patch_node(patch, "sdx", "ConvGradInput", 3, in, 1);
        sdx_node *weights = sdx_conv_grad_weight(patch, z, da, W);
        sdx_patch_int(patch, back, "group", channels);
        sdx_patch_int(patch, weights, "group", channels);
        dz = back->out[0];
        if (grad->needed[1]) grad->dX[1] = weights->out[0];
        if (sdx_grad_in(grad, 2) != SDX_NONE && grad->needed[2]) grad->dX[2] = sdx_conv_grad_bias(patch, da, 3);
    }
    if (dS != SDX_NONE) dz = dz == SDX_NONE ? from_state(grad, z) : sdx_emit2(patch, "Add", dz, from_state(grad, z));
    if (grad->needed[0]) grad->dX[0] = slice(patch, dz, cut, sdx_patch_i64s(patch, &end, 1));
    if (sdx_grad_in(grad, 3) != SDX_NONE && grad->needed[3])
        grad->dX[3] = slice(patch, dz, sdx_patch_i64s(patch, &zero, 1), cut);
    grad->exact = true;
    return patch->status;
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
    .grad = causal_grad,
};
