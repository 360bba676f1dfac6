/* SPDX-License-Identifier: Apache-2.0
 * LayerNormalization: Y = (X - Mean) / sqrt(Var + epsilon) * Scale + B over the dimensions from `axis` on. Computed in
 * f32 or f64 whatever stash_type says; Mean and InvStdDev are rounded to it once. */
#include "ops/kernels/kernels.h"
#include "ops/nn/norm.h"
#include "ops/nn/norm_grad.h"
#include <math.h>

typedef struct ln_params {
    int64_t axis;
    double epsilon;
    sdx_dtype stash;
} ln_params;

static sdx_status ln_bind(sdx_bind *bind, void *params) {
    ln_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->epsilon = (double)sdx_bind_float(bind, "epsilon");
    p->stash = sdx_norm_bind_stash(bind, true);
    return bind->status;
}

static sdx_status ln_infer(sdx_infer *infer, const void *params) {
    const ln_params *p = params;
    const sdx_type *x = infer->in[0];
    int axis = 0;
    sdx_infer_same(infer, 0, 0);
    if (x->rank >= 0) SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, x->rank, &axis));
    SDX_TRY(sdx_norm_check_spread(infer, 1, "Scale"));
    SDX_TRY(sdx_norm_check_spread(infer, 2, "B"));
    for (int k = 1; k < infer->n_out; k++) {
        infer->out[k] = sdx_type_make(p->stash, x->rank);
        for (int d = 0; d < x->rank; d++) infer->out[k].dim[d] = d < axis ? x->dim[d] : 1;
    }
    return SDX_OK;
}

static size_t ln_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0];
    int axis = sdx_axis_of(((const ln_params *)params)->axis, x->rank);
    sdx_dtype work = sdx_work_dtype(x->dtype);
    sdx_lines lines;
    sdx_lines_between(&lines, x->rank, x->dim, axis, x->rank);
    sdx_dtype to = infer->wanted[0] ? x->dtype : SDX_UNDEFINED;
    size_t size = sdx_lines_scratch(&lines, infer->threads, x->dtype, work, to);
    if (size > SIZE_MAX / 4) return SIZE_MAX;
    for (int k = 1; k < 3; k++)
        if (!sdx_size_add(size, sdx_norm_spread_size(x, axis, sdx_infer_in(infer, k), work), &size)) return SIZE_MAX;
    return size;
}

typedef struct ln_job {
    const struct sdx_kernels *kernels;
    sdx_dtype work;
    double epsilon;
    sdx_norm_spread scale, bias;
    const sdx_tensor *mean, *inv_std_dev;
} ln_job;

static void ln_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    const ln_job *job = context;
    double mean, variance;
    sdx_norm_moments(job->kernels, job->work, x, n, &mean, &variance);
    double r = 1 / sqrt(variance + job->epsilon);
    sdx_norm_put(job->kernels, job->mean, line, mean);
    sdx_norm_put(job->kernels, job->inv_std_dev, line, r);
    sdx_normalize_row(job->kernels, job->work, x, y, n, mean, r,
                      sdx_norm_at(job->work, job->scale.data, job->scale.repeats ? 0 : line * n),
                      sdx_norm_at(job->work, job->bias.data, job->bias.repeats ? 0 : line * n));
}

enum { NARROW = 128, ROWS = 64 }; /* elements of lines that are taken together; lines at a time */

typedef struct ln_rows_job {
    const ln_job *line;
    const float *x;
    float *y;
    int64_t n;
} ln_rows_job;

static void ln_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const ln_rows_job *job = argument;
    const ln_job *line = job->line;
    double mean[ROWS], r[ROWS];
    for (int64_t k = begin; k < end; k += ROWS) {
        const int64_t rows = end - k < ROWS ? end - k : ROWS;
        line->kernels->normalize_rows_f32(job->x + k * job->n, job->y + k * job->n, job->n, rows, line->epsilon,
                                          line->scale.data, line->bias.data, mean, r);
        for (int64_t i = 0; (line->mean || line->inv_std_dev) && i < rows; i++) {
            sdx_norm_put(line->kernels, line->mean, k + i, mean[i]);
            sdx_norm_put(line->kernels, line->inv_std_dev, k + i, r[i]);
        }
    }
}

static sdx_status ln_compute(sdx_compute *compute, const void *params) {
    const ln_params *p = params;
    const sdx_tensor *x = compute->in[0], *bias = compute->n_in > 2 ? compute->in[2] : NULL;
    int axis = sdx_axis_of(p->axis, x->rank);
    sdx_dtype work = sdx_work_dtype(x->dtype);
    char *room = compute->scratch;
    ln_job job = {.kernels = compute->kernels, .work = work, .epsilon = p->epsilon};
    job.scale = sdx_norm_spread_load(compute, x, axis, compute->in[1], work, &room);
    job.bias = sdx_norm_spread_load(compute, x, axis, bias, work, &room);
    job.mean = compute->n_out > 1 ? compute->out[1] : NULL;
    job.inv_std_dev = compute->n_out > 2 ? compute->out[2] : NULL;
    sdx_lines lines;
    sdx_lines_between(&lines, x->rank, x->dim, axis, x->rank);
    if (x->dtype == SDX_F32 && compute->out[0] && lines.length > 0 && lines.length <= NARROW && job.scale.repeats &&
        job.bias.repeats) {
        ln_rows_job rows = {&job, x->data, compute->out[0]->data, lines.length};
        return sdx_for(compute, lines.count, sdx_grain(lines.length * 3), ln_rows, &rows);
    }
    return sdx_lines_run(compute, &lines, work, x, compute->out[0], room, 3, ln_line, &job);
}

static sdx_status ln_grad(sdx_grad *grad, const void *params) {
    const ln_params *p = params;
    const int rank = grad->patch->graph->values[grad->node->in[0]].type.rank;
    return sdx_norm_grad_rows(grad, sdx_axis_of(p->axis, rank), p->epsilon, true);
}

const sdx_op sdx_op_LayerNormalization = {
    .domain = "",
    .name = "LayerNormalization",
    .versions =
        (const sdx_op_version[]){{17, "X:T Scale:T B:T? -> Y:T Mean:U? InvStdDev:U?", "T=" SDX_T_FLOAT_BF " U=bf16|f32",
                                  "axis:int=-1 epsilon:float=1e-05 stash_type:int=1"},
                                 {0, NULL, NULL, NULL}},
    .params_size = sizeof(ln_params),
    .bind = ln_bind,
    .infer = ln_infer,
    .scratch = ln_scratch,
    .compute = ln_compute,
    .grad = ln_grad,
    .flags = SDX_OP_INPLACE};
