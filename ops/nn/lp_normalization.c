/* SPDX-License-Identifier: Apache-2.0
 * LpNormalization: output = input / (sum |input|^p)^(1/p) along one axis; 0 where the norm is 0. */
#include "ops/kernels/kernels.h"
#include "ops/nn/norm.h"
#include "ops/nn/norm_grad.h"
#include <inttypes.h>
#include <math.h>

typedef struct lp_params {
    int64_t axis, p;
} lp_params;

static sdx_status lp_bind(sdx_bind *bind, void *params) {
    lp_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->p = sdx_bind_int(bind, "p");
    if (p->p != 1 && p->p != 2) sdx_bind_fail(bind, SDX_VALUE, "attribute 'p' is %" PRId64 "; it must be 1 or 2", p->p);
    return bind->status;
}

static sdx_status lp_infer(sdx_infer *infer, const void *params) {
    const lp_params *p = params;
    int axis;
    sdx_infer_same(infer, 0, 0);
    return infer->in[0]->rank < 0 ? SDX_OK : sdx_infer_axis(infer, "axis", p->axis, infer->in[0]->rank, &axis);
}

static void lp_lines(const lp_params *p, int rank, const int64_t *dim, sdx_lines *lines) {
    int axis = sdx_axis_of(p->axis, rank);
    sdx_lines_between(lines, rank, dim, axis, axis + 1);
}

static size_t lp_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0];
    sdx_lines lines;
    lp_lines(params, x->rank, x->dim, &lines);
    return sdx_lines_scratch(&lines, infer->threads, x->dtype, sdx_work_dtype(x->dtype), x->dtype);
}

typedef struct lp_job {
    const struct sdx_kernels *kernels;
    sdx_dtype work;
    int64_t p;
} lp_job;

static double lp_norm(const lp_job *job, const void *x, int64_t n) {
    const sdx_kernels *kernels = job->kernels;
    bool wide = job->work == SDX_F64;
    if (job->p == 1) return wide ? kernels->abs_sum_f64(x, n) : kernels->abs_sum_f32(x, n);
    return sqrt(wide ? kernels->square_sum_f64(x, n, 0) : kernels->square_sum_f32(x, n, 0));
}

static void lp_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    (void)line;
    const lp_job *job = context;
    double norm = lp_norm(job, x, n), up = 1;
    if (job->work == SDX_F32 && norm > 0 && norm < 0x1p-100) { /* 1 / norm would overflow f32 */
        up = 0x1p100;
        sdx_normalize(job->kernels, job->work, x, y, n, 0, up, 0);
        x = y;
    }
    sdx_normalize(job->kernels, job->work, x, y, n, 0, norm == 0 ? 0 : 1 / (norm * up), 0);
}

static sdx_status lp_compute(sdx_compute *compute, const void *params) {
    const lp_params *p = params;
    const sdx_tensor *x = compute->in[0];
    lp_job job = {compute->kernels, sdx_work_dtype(x->dtype), p->p};
    sdx_lines lines;
    lp_lines(p, x->rank, x->dim, &lines);
    return sdx_lines_run(compute, &lines, job.work, x, compute->out[0], compute->scratch, 2, lp_line, &job);
}

/* dX = (dY - slope sum(dY Y)) / norm with slope = Y (p = 2) or sign X (p = 1); 0 where the norm is 0. */
static sdx_status lp_grad(sdx_grad *grad, const void *params) {
    const lp_params *p = params;
    sdx_norm_grad g;
    SDX_TRY(sdx_norm_grad_begin(&g, grad));
    sdx_patch *patch = g.patch;
    sdx_id in[2] = {g.X, sdx_patch_i64s(patch, &p->axis, 1)}, zero = sdx_patch_scalar(patch, g.work, 0);
    sdx_id norm = sdx_patch_node(patch, "", p->p == 1 ? "ReduceL1" : "ReduceL2", 2, in, 1)->out[0];
    sdx_id choice[3] = {sdx_emit2(patch, "Equal", norm, zero), zero, sdx_emit1(patch, "Reciprocal", norm)};
    sdx_id r = sdx_patch_node(patch, "", "Where", 3, choice, 1)->out[0];
    sdx_id Y = sdx_emit2(patch, "Mul", g.X, r), slope = p->p == 1 ? sdx_emit1(patch, "Sign", g.X) : Y;
    sdx_id sum = sdx_norm_grad_sum(&g, sdx_emit2(patch, "Mul", g.dY, Y), &p->axis, 1, true);
    sdx_id rest = sdx_emit2(patch, "Sub", g.dY, sdx_emit2(patch, "Mul", slope, sum));
    sdx_norm_grad_set(&g, 0, sdx_emit2(patch, "Mul", rest, r));
    return patch->status;
}

const sdx_op sdx_op_LpNormalization = {
    .domain = "",
    .name = "LpNormalization",
    .versions = (const sdx_op_version[]){{1, "input:T -> output:T", "T=" SDX_T_FLOAT, "axis:int=-1 p:int=2"},
                                         {22, "input:T -> output:T", "T=" SDX_T_FLOAT_BF, "axis:int=-1 p:int=2"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(lp_params),
    .bind = lp_bind,
    .infer = lp_infer,
    .scratch = lp_scratch,
    .compute = lp_compute,
    .grad = lp_grad,
    .flags = SDX_OP_INPLACE};
