/* SPDX-License-Identifier: Apache-2.0
 * GroupNormalization: the statistics over each group of channels of each sample. scale and bias hold one element per
 * group in version 18 (deprecated for that) and one per channel from 21 on. */
#include "ops/grad.h"
#include "ops/nn/norm.h"
#include "ops/nn/norm_grad.h"
#include <inttypes.h>
#include <math.h>

typedef struct gn_params {
    int64_t groups;
    double epsilon;
    bool by_group;
} gn_params;

static sdx_status gn_bind(sdx_bind *bind, void *params) {
    gn_params *p = params;
    p->groups = sdx_bind_int(bind, "num_groups");
    p->epsilon = (double)sdx_bind_float(bind, "epsilon");
    p->by_group = bind->since < 21;
    if (!p->by_group) sdx_norm_bind_stash(bind, false);
    if (p->groups < 1)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'num_groups' is %" PRId64 "; it must be at least 1", p->groups);
    return bind->status;
}

static sdx_status gn_infer(sdx_infer *infer, const void *params) {
    const gn_params *p = params;
    const sdx_type *x = infer->in[0];
    sdx_infer_same(infer, 0, 0);
    if (x->rank >= 0 && x->rank < 2)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be at least 2 (N x C x ...)", x->rank);
    int64_t channels = x->rank < 0 ? -1 : x->dim[1];
    if (channels >= 0 && channels % p->groups)
        return sdx_fail(infer->error, SDX_SHAPE,
                        "attribute 'num_groups' is %" PRId64 "; it must divide the %" PRId64 " channels of input 'X'",
                        p->groups, channels);
    for (int k = 1; k < 3; k++) {
        SDX_TRY(sdx_infer_rank(infer, k, k == 1 ? "scale" : "bias", 1));
        if (infer->in[k]->rank < 0) continue;
        const char *what = p->by_group ? k == 1 ? "attribute 'num_groups' and length of 'scale'"
                                                : "attribute 'num_groups' and length of 'bias'"
                           : k == 1    ? "channels of 'X' and length of 'scale'"
                                       : "channels of 'X' and length of 'bias'";
        SDX_TRY(sdx_infer_merge_dim(infer, what, p->by_group ? p->groups : channels, infer->in[k]->dim[0], NULL));
    }
    return SDX_OK;
}

/* X as [N][groups][the rest] */
static void gn_lines(const gn_params *p, const int64_t *dim, int rank, sdx_lines *lines) {
    int64_t rest = dim[1] / p->groups;
    for (int d = 2; d < rank; d++) rest *= dim[d];
    sdx_lines_between(lines, 3, (const int64_t[]){dim[0], p->groups, rest}, 2, 3);
}

static size_t gn_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0];
    sdx_dtype work = sdx_work_dtype(x->dtype);
    sdx_lines lines;
    gn_lines(params, x->dim, x->rank, &lines);
    size_t size = sdx_lines_scratch(&lines, infer->threads, x->dtype, work, x->dtype);
    bool fits = sdx_size_add(size, 2 * sdx_norm_param_size(infer->in[1], work), &size);
    return fits ? size : SIZE_MAX;
}

typedef struct gn_job {
    const struct sdx_kernels *kernels;
    sdx_dtype work;
    double epsilon;
    int64_t groups, channels; /* channels of one group */
    bool by_group;
    const void *scale, *bias;
} gn_job;

static void gn_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    const gn_job *job = context;
    const struct sdx_kernels *kernels = job->kernels;
    double mean, variance;
    sdx_norm_moments(kernels, job->work, x, n, &mean, &variance);
    double r = 1 / sqrt(variance + job->epsilon);
    int64_t g = line % job->groups, c = g * job->channels;
    if (job->by_group) {
        sdx_normalize(kernels, job->work, x, y, n, mean, r * sdx_norm_get(job->work, job->scale, g),
                      sdx_norm_get(job->work, job->bias, g));
        return;
    }
    if (n == job->channels) { /* no space: one element per channel */
        sdx_normalize_row(kernels, job->work, x, y, n, mean, r, sdx_norm_at(job->work, job->scale, c),
                          sdx_norm_at(job->work, job->bias, c));
        return;
    }
    size_t step = (size_t)(n / job->channels) * sdx_dtype_size(job->work);
    for (int64_t k = 0; k < job->channels; k++)
        sdx_normalize(kernels, job->work, (const char *)x + (size_t)k * step, (char *)y + (size_t)k * step,
                      n / job->channels, mean, r * sdx_norm_get(job->work, job->scale, c + k),
                      sdx_norm_get(job->work, job->bias, c + k));
}

static sdx_status gn_compute(sdx_compute *compute, const void *params) {
    const gn_params *p = params;
    const sdx_tensor *x = compute->in[0];
    if (x->count == 0) return SDX_OK;
    sdx_dtype work = sdx_work_dtype(x->dtype);
    char *room = compute->scratch;
    gn_job job = {.kernels = compute->kernels,
                  .work = work,
                  .epsilon = p->epsilon,
                  .groups = p->groups,
                  .channels = x->dim[1] / p->groups,
                  .by_group = p->by_group};
    job.scale = sdx_norm_param(compute, compute->in[1], work, &room);
    job.bias = sdx_norm_param(compute, compute->in[2], work, &room);
    sdx_lines lines;
    gn_lines(p, x->dim, x->rank, &lines);
    return sdx_lines_run(compute, &lines, work, x, compute->out[0], room, 3, gn_line, &job);
}

/* One number per group, each as often as the group has channels. */
static sdx_id each_channel(sdx_patch *patch, sdx_id x, int64_t groups, sdx_id like) {
    sdx_node *channels = sdx_patch_node(patch, "", "Shape", 1, &like, 1);
    sdx_patch_int(patch, channels, "start", 1);
    sdx_patch_int(patch, channels, "end", 2);
    const sdx_id n = sdx_patch_i64s(patch, &groups, 1), one = sdx_patch_i64s(patch, (const int64_t[]){1}, 1);
    sdx_node *shape =
        sdx_patch_node(patch, "", "Concat", 2, (const sdx_id[]){n, sdx_emit2(patch, "Div", channels->out[0], n)}, 1);
    sdx_patch_int(patch, shape, "axis", 0);
    const sdx_id table = sdx_emit2(patch, "Expand", sdx_emit2(patch, "Unsqueeze", x, one), shape->out[0]);
    return sdx_emit2(patch, "Reshape", table, sdx_patch_i64s(patch, (const int64_t[]){-1}, 1));
}

static sdx_id group_sum(sdx_patch *patch, sdx_id x, int64_t groups) {
    const sdx_id table = sdx_emit2(patch, "Reshape", x, sdx_patch_i64s(patch, (const int64_t[]){groups, -1}, 2));
    return sdx_emit_int(patch, "ReduceSum", table, sdx_patch_i64s(patch, (const int64_t[]){1}, 1), "keepdims", 0);
}

static sdx_status gn_grad(sdx_grad *grad, const void *params) {
    const gn_params *p = params;
    const sdx_norm_kind kind = {
        .statistics = SDX_NORM_GROUPS, .groups = p->groups, .centred = true, .epsilon = p->epsilon};
    if (!p->by_group) return sdx_norm_grad_fused(grad, &kind);
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    SDX_TRY(sdx_norm_grad_check(grad));
    const sdx_id scale = each_channel(patch, node->in[1], p->groups, node->in[0]);
    const sdx_node *back =
        sdx_norm_back_emit(patch, &kind, (const sdx_id[5]){node->in[0], scale, grad->dY[0], SDX_NONE, SDX_NONE});
    grad->dX[0] = back->out[0];
    for (int k = 1; k < 3; k++)
        if (grad->needed[k]) grad->dX[k] = group_sum(patch, back->out[k], p->groups);
    grad->exact = true;
    return patch->status;
}

const sdx_op sdx_op_GroupNormalization = {
    .domain = "",
    .name = "GroupNormalization",
    .versions = (const sdx_op_version[]){{18, "X:T scale:T bias:T -> Y:T", "T=" SDX_T_FLOAT_BF,
                                          "epsilon:float=1e-05 num_groups:int!"},
                                         {21, "X:T scale:T bias:T -> Y:T", "T=" SDX_T_FLOAT_BF,
                                          "epsilon:float=1e-05 num_groups:int! stash_type:int=1"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(gn_params),
    .bind = gn_bind,
    .infer = gn_infer,
    .scratch = gn_scratch,
    .compute = gn_compute,
    .grad = gn_grad,
    .flags = SDX_OP_INPLACE};
