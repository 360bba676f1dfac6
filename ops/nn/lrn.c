/* SPDX-License-Identifier: Apache-2.0
 * LRN: Y = X / (bias + alpha / size * square_sum)^beta, square_sum over the channels from c - floor((size - 1) / 2) to
 * c + ceil((size - 1) / 2) that exist. */
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
    .compute = lrn_compute};
