/* SPDX-License-Identifier: Apache-2.0
 * BatchNormalization: Y = scale * (X - mean) / sqrt(var + epsilon) + B per channel. In training mode mean and
 * (population) variance are the batch's, and running = running * momentum + batch * (1 - momentum). Training mode is
 * is_test = 0 in versions 1 and 6, more than one output in 7 and 9, training_mode from 14 on. spatial = 0 (1 to 7):
 * each activation is a channel of its own. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/nn/norm.h"
#include "ops/nn/norm_grad.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct bn_params {
    double epsilon, momentum;
    bool training, spatial;
} bn_params;

static bool is_training(sdx_bind *bind) {
    if (bind->since >= 14) return sdx_bind_int(bind, "training_mode") != 0;
    return bind->since >= 7 ? bind->node->n_out > 1 : sdx_bind_int(bind, "is_test") == 0;
}

static sdx_status bn_bind(sdx_bind *bind, void *params) {
    bn_params *p = params;
    p->epsilon = (double)sdx_bind_float(bind, "epsilon");
    p->momentum = (double)sdx_bind_float(bind, "momentum");
    p->spatial = bind->since >= 9 || sdx_bind_int(bind, "spatial") != 0;
    p->training = is_training(bind);
    return bind->status;
}

/* Versions 1 to 9 say with other words what 14 and later say; saved_mean and saved_var exist there only. */
static sdx_status bn_upgrade(sdx_patch *patch, const sdx_node *node) {
    const sdx_attr *spatial = sdx_node_attr(node, "spatial"), *is_test = sdx_node_attr(node, "is_test");
    int since = node->version->since;
    if (since >= 14 || (spatial && spatial->i == 0 && since < 9) || node->n_out > 3) return SDX_OK;
    bool training = since >= 7 ? node->n_out > 1 : !is_test || is_test->i == 0;
    static const char *const dropped[] = {"spatial", "is_test", "consumed_inputs"};
    sdx_node *newest = sdx_patch_node(patch, "", "BatchNormalization", node->n_in, node->in, node->n_out);
    sdx_patch_attrs_of(patch, newest, node, dropped, 3);
    if (training) sdx_patch_int(patch, newest, "training_mode", 1);
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) sdx_patch_replace(patch, node->out[k], newest->out[k]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

/* X as [batch][channels][space] */
typedef struct bn_view {
    int64_t dim[3];
} bn_view;

static bn_view bn_view_of(const bn_params *p, int rank, const int64_t *dim) {
    bn_view view = {{dim[0], rank > 1 ? dim[1] : 1, 1}};
    for (int d = 2; d < rank; d++) view.dim[p->spatial ? 2 : 1] *= dim[d];
    return view;
}

/* The statistics and parameters have the shape of one sample. */
static sdx_status check_activation(sdx_infer *infer, int k, const char *name) {
    const sdx_type *x = infer->in[0], *type = infer->in[k];
    SDX_TRY(sdx_infer_rank(infer, k, name, x->rank - 1));
    for (int d = 1; type->rank >= 0 && d < x->rank; d++)
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of 'X' and of a parameter", x->dim[d], type->dim[d - 1], NULL));
    return SDX_OK;
}

static sdx_status bn_infer(sdx_infer *infer, const void *params) {
    const bn_params *p = params;
    const sdx_type *x = infer->in[0];
    bool old = infer->since < 14;
    const char *const names[] = {"X", "scale", "B", old ? "mean" : "input_mean", old ? "var" : "input_var"};
    sdx_infer_same(infer, 0, 0);
    if (x->rank == 0)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank 0; it must be at least 1 (N x C x ...)");
    int64_t channels = x->rank < 0 ? -1 : x->rank == 1 ? 1 : x->dim[1];
    for (int k = 1; k < 5; k++) {
        if (!p->spatial && x->rank > 1) {
            SDX_TRY(check_activation(infer, k, names[k]));
            continue;
        }
        SDX_TRY(sdx_infer_rank(infer, k, names[k], 1));
        int64_t length = infer->in[k]->rank < 0 ? -1 : infer->in[k]->dim[0];
        if (length >= 0 && channels >= 0 && length != channels)
            return sdx_fail(infer->error, SDX_SHAPE,
                            "input '%s' has length %" PRId64 "; it must be %" PRId64 ", the channels of input 'X'",
                            names[k], length, channels);
    }
    for (int k = 1; k < infer->n_out; k++) sdx_infer_same(infer, k, k % 2 ? 3 : 4);
    return SDX_OK;
}

static sdx_dtype bn_work(sdx_dtype x, sdx_dtype scale, sdx_dtype mean) { return sdx_lines_work(x, scale, mean); }

static void bn_lines(const bn_params *p, bn_view view, sdx_lines *lines) {
    if (p->training)
        sdx_lines_make(lines, 3, view.dim, (const bool[]){true, false, true});
    else if (view.dim[2] == 1)
        sdx_lines_between(lines, 2, view.dim, 1, 2);
    else
        sdx_lines_between(lines, 3, view.dim, 2, 3);
}

/* mean, a, b of each channel: in f64, and again in the work's dtype where lines run across channels */
static size_t bn_table_size(int64_t channels) {
    int64_t bytes;
    return sdx_dim_mul(channels, 6 * (int64_t)sizeof(double), &bytes) ? sdx_align((size_t)bytes) : SIZE_MAX;
}

static size_t bn_scratch(const sdx_infer *infer, const void *params) {
    const bn_params *p = params;
    const sdx_type *x = infer->in[0];
    bn_view view = bn_view_of(p, x->rank, x->dim);
    sdx_dtype work = bn_work(x->dtype, infer->in[1]->dtype, infer->in[3]->dtype);
    sdx_lines lines;
    bn_lines(p, view, &lines);
    sdx_dtype to = infer->wanted[0] ? x->dtype : SDX_UNDEFINED;
    size_t size = sdx_lines_scratch(&lines, infer->threads, x->dtype, work, to);
    return sdx_size_add(size, bn_table_size(view.dim[1]), &size) ? size : SIZE_MAX;
}

typedef struct bn_job {
    const struct sdx_kernels *kernels;
    sdx_dtype work;
    const bn_params *params;
    int64_t channels;
    double *mean, *a, *b; /* inference: y = (x - mean) a + b; training: mean, scale, B */
    double *variance;
    const void *mean_work, *a_work, *b_work; /* inference without space: the same as arrays of the work's dtype */
    const sdx_tensor *out[5];
} bn_job;

static void train_line(const void *context, int64_t c, const void *x, void *y, int64_t n) {
    const bn_job *job = context;
    double mean, variance, momentum = job->params->momentum;
    sdx_norm_moments(job->kernels, job->work, x, n, &mean, &variance);
    sdx_norm_put(job->kernels, job->out[1], c, job->mean[c] * momentum + mean * (1 - momentum));
    sdx_norm_put(job->kernels, job->out[2], c, job->variance[c] * momentum + variance * (1 - momentum));
    sdx_norm_put(job->kernels, job->out[3], c, mean);
    sdx_norm_put(job->kernels, job->out[4], c, variance);
    double a = job->a[c] / sqrt(variance + job->params->epsilon);
    sdx_normalize(job->kernels, job->work, x, y, n, mean, a, job->b[c]);
}

static void plane_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    const bn_job *job = context;
    int64_t c = line % job->channels;
    sdx_normalize(job->kernels, job->work, x, y, n, job->mean[c], job->a[c], job->b[c]);
}

static void each_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    (void)line;
    const bn_job *job = context;
    if (job->work == SDX_F64)
        job->kernels->normalize_each_f64(x, y, n, job->mean_work, job->a_work, job->b_work);
    else
        job->kernels->normalize_each_f32(x, y, n, job->mean_work, job->a_work, job->b_work);
}

/* Reads the parameters into the table at the front of the scratch. */
static void load_table(const sdx_compute *compute, bn_job *job) {
    int64_t n = job->channels;
    double *table = compute->scratch;
    job->a = table, job->b = table + n, job->mean = table + 2 * n, job->variance = table + 3 * n;
    for (int k = 0; k < 4; k++) {
        const sdx_tensor *tensor = compute->in[k + 1];
        sdx_convert(job->kernels, tensor->dtype, tensor->data, SDX_F64, table + k * n, n);
    }
    if (job->params->training) return;
    for (int64_t c = 0; c < n; c++) job->a[c] /= sqrt(job->variance[c] + job->params->epsilon);
    char *to = (char *)(table + 3 * n);
    size_t size = (size_t)n * sizeof(double);
    sdx_convert(job->kernels, SDX_F64, job->mean, job->work, to, n);
    sdx_convert(job->kernels, SDX_F64, job->a, job->work, to + size, n);
    sdx_convert(job->kernels, SDX_F64, job->b, job->work, to + 2 * size, n);
    job->mean_work = to, job->a_work = to + size, job->b_work = to + 2 * size;
}

/* Statistics are asked for and not in training: they are the inputs'. */
static void copy_statistics(const sdx_compute *compute) {
    for (int k = 1; k < compute->n_out; k++) {
        const sdx_tensor *from = compute->in[k % 2 ? 3 : 4], *to = compute->out[k];
        if (to && to->count) memcpy(to->data, from->data, sdx_tensor_bytes(from));
    }
}

static sdx_status bn_compute(sdx_compute *compute, const void *params) {
    const bn_params *p = params;
    const sdx_tensor *x = compute->in[0];
    bn_view view = bn_view_of(p, x->rank, x->dim);
    sdx_lines lines;
    bn_job job = {.kernels = compute->kernels, .params = p, .channels = view.dim[1]};
    job.work = bn_work(x->dtype, compute->in[1]->dtype, compute->in[3]->dtype);
    load_table(compute, &job);
    if (!p->training) copy_statistics(compute);
    for (int k = 0; k < compute->n_out; k++) job.out[k] = compute->out[k];
    if (!p->training && !job.out[0]) return SDX_OK;
    bn_lines(p, view, &lines);
    sdx_line_fn fn = p->training ? train_line : view.dim[2] == 1 ? each_line : plane_line;
    char *room = (char *)compute->scratch + bn_table_size(view.dim[1]);
    return sdx_lines_run(compute, &lines, job.work, x, job.out[0], room, p->training ? 3 : 1, fn, &job);
}

/* Where each activation is a channel, samples become rows of channels. */
static sdx_id as_rows(sdx_patch *patch, sdx_id x, bool spatial, int64_t first) {
    const int64_t shape[2] = {0, -1};
    return spatial ? x : sdx_emit2(patch, "Reshape", x, sdx_patch_i64s(patch, shape + first, (size_t)(2 - first)));
}

/* Statistics that are inputs: dmean = -sum(dx̂) r = -dB scale r, dvar = -sum(dx̂ x̂) r^2 / 2 = -dscale scale r^2 / 2. */
static void statistics_grad(sdx_grad *grad, const bn_params *p, sdx_id dscale, sdx_id dB) {
    sdx_patch *patch = grad->patch;
    const sdx_id scale = grad->node->in[1], var = grad->node->in[4];
    const sdx_id like = sdx_emit2(patch, "Add", var, sdx_grad_scalar(patch, var, p->epsilon));
    const sdx_id r = sdx_grad_cast(patch, sdx_emit1(patch, "Reciprocal", sdx_emit1(patch, "Sqrt", like)), scale);
    const sdx_id by = sdx_emit2(patch, "Mul", scale, r), half = sdx_grad_scalar(patch, scale, -0.5);
    const sdx_id dmean = sdx_emit1(patch, "Neg", sdx_emit2(patch, "Mul", dB, by));
    const sdx_id dvar = sdx_emit2(patch, "Mul", half, sdx_emit2(patch, "Mul", dscale, sdx_emit2(patch, "Mul", by, r)));
    if (grad->needed[3]) grad->dX[3] = sdx_grad_cast(patch, dmean, var);
    if (grad->needed[4]) grad->dX[4] = sdx_grad_cast(patch, dvar, var);
}

static sdx_id add(sdx_patch *patch, sdx_id a, sdx_id b) { return a == SDX_NONE ? b : sdx_emit2(patch, "Add", a, b); }

/* Through output k, running = input momentum + batch (1 - momentum): the mean gives each element 1 / n of what flows
 * back, the variance 2 (x - mean) / n. */
static void running_grad(sdx_grad *grad, const bn_params *p, int k) {
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0], in = grad->node->in[k + 2], dY = grad->dY[k];
    const int rank = sdx_grad_type(patch, X)->rank;
    int64_t axes[SDX_MAX_RANK] = {0}, behind[SDX_MAX_RANK];
    for (int d = 2; d < rank; d++) axes[d - 1] = d, behind[d - 2] = d - 1;
    const size_t n = rank > 1 ? (size_t)rank - 1 : 1;
    if (grad->needed[k + 2]) grad->dX[k + 2] = sdx_emit2(patch, "Mul", dY, sdx_grad_scalar(patch, in, p->momentum));
    if (!grad->needed[0]) return;
    const sdx_id shape = sdx_emit1(patch, "Shape", X), along = sdx_patch_i64s(patch, axes, n);
    const sdx_id counts = sdx_emit2(patch, "Gather", shape, along);
    const sdx_id count = sdx_grad_cast(patch, sdx_emit_int(patch, "ReduceProd", counts, SDX_NONE, "keepdims", 0), X);
    sdx_id share = sdx_emit2(patch, "Mul", sdx_grad_cast(patch, dY, X), sdx_grad_scalar(patch, X, 1 - p->momentum));
    share = sdx_emit2(patch, "Div", share, count);
    if (rank > 2) share = sdx_emit2(patch, "Unsqueeze", share, sdx_patch_i64s(patch, behind, (size_t)rank - 2));
    const sdx_id mean = sdx_emit_int(patch, "ReduceMean", X, along, "keepdims", 1);
    const sdx_id from = k == 1
                            ? sdx_grad_filled(patch, X, 1)
                            : sdx_emit2(patch, "Mul", sdx_emit2(patch, "Sub", X, mean), sdx_grad_scalar(patch, X, 2));
    grad->dX[0] = add(patch, grad->dX[0], sdx_emit2(patch, "Mul", from, share));
}

static sdx_status bn_grad(sdx_grad *grad, const void *params) {
    const bn_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    const sdx_norm_kind kind = {
        .statistics = p->training ? SDX_NORM_BATCH : SDX_NORM_GIVEN, .centred = true, .epsilon = p->epsilon};
    const bool updates = p->training && node->n_out <= 3 && p->spatial; /* statistics that go out depend on X */
    if (updates && sdx_grad_type(patch, node->in[0])->rank >= 0) {
        for (int k = 1; k < node->n_out; k++)
            if (grad->dY[k] != SDX_NONE) running_grad(grad, p, k);
        grad->exact = true;
        if (grad->dY[0] == SDX_NONE) return patch->status;
    } else
        SDX_TRY(sdx_norm_grad_check(grad));
    sdx_id in[5] = {as_rows(patch, node->in[0], p->spatial, 0), as_rows(patch, node->in[1], p->spatial, 1),
                    as_rows(patch, grad->dY[0], p->spatial, 0), SDX_NONE, SDX_NONE};
    for (int k = 3; k < 5 && !p->training; k++) in[k] = as_rows(patch, node->in[k], p->spatial, 1);
    const sdx_node *back = sdx_norm_back_emit(patch, &kind, in);
    sdx_id out[3];
    for (int k = 0; k < 3; k++) {
        out[k] = p->spatial ? back->out[k] : sdx_grad_reshape(patch, back->out[k], node->in[k]);
        if (grad->needed[k]) grad->dX[k] = add(patch, grad->dX[k], out[k]);
    }
    if (!p->training && (grad->needed[3] || grad->needed[4])) statistics_grad(grad, p, out[1], out[2]);
    grad->exact = true;
    return patch->status;
}

#define OLD_SIGNATURE "X:T scale:T B:T mean:T var:T -> Y:T mean:T? var:T? saved_mean:T? saved_var:T?"

const sdx_op sdx_op_BatchNormalization = {
    .domain = "",
    .name = "BatchNormalization",
    .versions =
        (const sdx_op_version[]){
            {1, OLD_SIGNATURE, "T=" SDX_T_FLOAT,
             "consumed_inputs:ints! epsilon:float=1e-05 is_test:int=0 momentum:float=0.9 spatial:int=1"},
            {6, OLD_SIGNATURE, "T=" SDX_T_FLOAT, "epsilon:float=1e-05 is_test:int=0 momentum:float=0.9 spatial:int=1"},
            {7, OLD_SIGNATURE, "T=" SDX_T_FLOAT, "epsilon:float=1e-05 momentum:float=0.9 spatial:int=1"},
            {9, OLD_SIGNATURE, "T=" SDX_T_FLOAT, "epsilon:float=1e-05 momentum:float=0.9"},
            {14, "X:T scale:T B:T input_mean:U input_var:U -> Y:T running_mean:U? running_var:U?",
             "T=" SDX_T_FLOAT_BF " U=" SDX_T_FLOAT_BF, "epsilon:float=1e-05 momentum:float=0.9 training_mode:int=0"},
            {15, "X:T scale:T1 B:T1 input_mean:T2 input_var:T2 -> Y:T running_mean:T2? running_var:T2?",
             "T=" SDX_T_FLOAT_BF " T1=" SDX_T_FLOAT_BF " T2=" SDX_T_FLOAT_BF,
             "epsilon:float=1e-05 momentum:float=0.9 training_mode:int=0"},
            {0, NULL, NULL, NULL}},
    .params_size = sizeof(bn_params),
    .upgrade = bn_upgrade,
    .bind = bn_bind,
    .infer = bn_infer,
    .scratch = bn_scratch,
    .compute = bn_compute,
    .grad = bn_grad,
    .flags = SDX_OP_INPLACE};
