/* SPDX-License-Identifier: Apache-2.0
 * LRN: Y = X / (bias + alpha / size * square_sum)^beta, square_sum over the channels from c - floor((size - 1) / 2) to
 * c + ceil((size - 1) / 2) that exist. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 256 }; /* elements of space at a time */

typedef struct lrn_params {
    double alpha, beta, bias;
    int64_t size;
} lrn_params;

static sdx_status lrn_bind(sdx_bind *bind, void *params) {
    lrn_params *p = params;
    p->alpha = (double)sdx_bind_float(bind, "alpha");
    p->beta = (double)sdx_bind_float(bind, "beta");
    p->bias = (double)sdx_bind_float(bind, "bias");
    p->size = sdx_bind_int(bind, "size");
    if (p->size < 1) sdx_bind_fail(bind, SDX_VALUE, "attribute 'size' is %" PRId64 "; it must be at least 1", p->size);
    return bind->status;
}

static sdx_status lrn_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int rank = infer->in[0]->rank;
    sdx_infer_same(infer, 0, 0);
    if (rank >= 0 && rank < 2)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be at least 2 (N x C x ...)", rank);
    return SDX_OK;
}

typedef struct lrn_job {
    const lrn_params *params;
    const struct sdx_kernels *kernels;
    const sdx_tensor *x, *y;
    int64_t channels, space, blocks; /* blocks: of one plane */
} lrn_job;

static void add_squares_f64(const double *x, double *sum, int64_t n) {
    for (int64_t k = 0; k < n; k++) sum[k] += x[k] * x[k];
}

static void scale_f64(const double *x, const double *sum, double *y, int64_t n, double bias, double a, double beta) {
    for (int64_t k = 0; k < n; k++) y[k] = x[k] * pow(bias + a * sum[k], -beta);
}

/* One channel of one block: sum of squares over the window, then its result. */
static void channel(const lrn_job *job, int64_t plane, int64_t c, int64_t at, int64_t n) {
    union {
        float f[BLOCK];
        double d[BLOCK];
    } row, sum = {{0}};
    const lrn_params *p = job->params;
    bool wide = job->x->dtype == SDX_F64;
    sdx_dtype work = wide ? SDX_F64 : SDX_F32;
    size_t size = sdx_dtype_size(job->x->dtype);
    int64_t below = (p->size - 1) / 2, above = p->size - 1 - below, base = plane * job->channels;
    int64_t first = c < below ? 0 : c - below, last = above >= job->channels - c ? job->channels - 1 : c + above;
    if (wide) memset(sum.d, 0, (size_t)n * sizeof sum.d[0]);
    for (int64_t k = first; k <= last; k++) {
        const char *from = (const char *)job->x->data + (size_t)((base + k) * job->space + at) * size;
        sdx_convert(job->kernels, job->x->dtype, from, work, &row, n);
        if (wide)
            add_squares_f64(row.d, sum.d, n);
        else
            job->kernels->add_squares_f32(row.f, sum.f, n);
    }
    size_t offset = (size_t)((base + c) * job->space + at) * size;
    double a = p->alpha / (double)p->size;
    sdx_convert(job->kernels, job->x->dtype, (const char *)job->x->data + offset, work, &row, n);
    if (wide)
        scale_f64(row.d, sum.d, row.d, n, p->bias, a, p->beta);
    else
        job->kernels->lrn_scale_f32(row.f, sum.f, row.f, n, p->bias, a, p->beta);
    sdx_convert(job->kernels, work, &row, job->x->dtype, (char *)job->y->data + offset, n);
}

static void lrn_blocks(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const lrn_job *job = argument;
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t plane = unit / job->blocks, at = unit % job->blocks * BLOCK;
        int64_t n = job->space - at < BLOCK ? job->space - at : BLOCK;
        for (int64_t c = 0; c < job->channels; c++) channel(job, plane, c, at, n);
    }
}

static sdx_status lrn_compute(sdx_compute *compute, const void *params) {
    const lrn_params *p = params;
    const sdx_tensor *x = compute->in[0];
    lrn_job job = {.params = p, .kernels = compute->kernels, .x = x, .y = compute->out[0], .channels = x->dim[1]};
    job.space = 1;
    for (int d = 2; d < x->rank; d++) job.space *= x->dim[d];
    job.blocks = (job.space + BLOCK - 1) / BLOCK;
    if (x->count == 0) return SDX_OK;
    int64_t window = p->size < job.channels ? p->size : job.channels;
    int64_t each = job.channels * (job.space < BLOCK ? job.space : BLOCK);
    return sdx_for(compute, x->dim[0] * job.blocks, sdx_grain(each * (window + 8)), lrn_blocks, &job);
}

/* The mean over `size` channels, `below` of them before; missing channels are zeros. x: [N, 1, C, space]. */
static sdx_id channel_mean(sdx_patch *patch, sdx_id x, int64_t size, int64_t below) {
    const int64_t kernel[2] = {size, 1}, pads[4] = {below, 0, size - 1 - below, 0};
    sdx_node *pool = sdx_patch_node(patch, "", "AveragePool", 1, &x, 1);
    sdx_patch_ints(patch, pool, "kernel_shape", kernel, 2);
    sdx_patch_ints(patch, pool, "pads", pads, 4);
    sdx_patch_int(patch, pool, "count_include_pad", 1);
    return pool->out[0];
}

/* With s = bias + alpha mean(X^2): dX = dY s^-beta - 2 alpha beta X mean'(dY X s^(-beta-1)), where mean' is over the
 * channels whose windows hold this one. */
static sdx_status lrn_grad(sdx_grad *grad, const void *params) {
    const lrn_params *p = params;
    sdx_patch *patch = grad->patch;
    const int64_t below = (p->size - 1) / 2, kept[4] = {0, 0, 0, -1}, one = 1;
    const sdx_id X = grad->node->in[0], front = sdx_patch_i64s(patch, &one, 1), flat = sdx_patch_i64s(patch, kept, 4);
    const sdx_id x = sdx_emit2(patch, "Reshape", sdx_emit2(patch, "Unsqueeze", X, front), flat);
    const sdx_id dy = sdx_emit2(patch, "Reshape", sdx_emit2(patch, "Unsqueeze", grad->dY[0], front), flat);
    const sdx_id square = channel_mean(patch, sdx_emit2(patch, "Mul", x, x), p->size, below);
    const sdx_id s = sdx_emit2(patch, "Add", sdx_emit2(patch, "Mul", square, sdx_grad_scalar(patch, X, p->alpha)),
                               sdx_grad_scalar(patch, X, p->bias));
    const sdx_id direct = sdx_emit2(patch, "Mul", dy, sdx_emit2(patch, "Pow", s, sdx_grad_scalar(patch, X, -p->beta)));
    const sdx_id ratio = sdx_emit2(patch, "Div", sdx_emit2(patch, "Mul", direct, x), s);
    const sdx_id others = sdx_emit2(patch, "Mul", channel_mean(patch, ratio, p->size, p->size - 1 - below),
                                    sdx_grad_scalar(patch, X, 2 * p->alpha * p->beta));
    grad->dX[0] = sdx_grad_reshape(patch, sdx_emit2(patch, "Sub", direct, sdx_emit2(patch, "Mul", x, others)), X);
    grad->exact = true;
    return patch->status;
}

const sdx_op sdx_op_LRN = {
    .domain = "",
    .name = "LRN",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:T", "T=" SDX_T_FLOAT, "alpha:float=0.0001 beta:float=0.75 bias:float=1 size:int!"},
            {13, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, "alpha:float=0.0001 beta:float=0.75 bias:float=1 size:int!"},
            {0, NULL, NULL, NULL}},
    .params_size = sizeof(lrn_params),
    .bind = lrn_bind,
    .infer = lrn_infer,
    .compute = lrn_compute,
    .grad = lrn_grad};
