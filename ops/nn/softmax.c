/* SPDX-License-Identifier: Apache-2.0
 * Softmax: exp(x - max) / sum exp(x - max) along one axis; LogSoftmax: its logarithm; Hardmax: 1 at the first
 * maximum, else 0. Before opset 13 the input is flattened to two dimensions at `axis`: upgrade says so with Flatten and
 * Reshape. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/nn/norm.h"
#include <inttypes.h>
#include <math.h>

typedef struct softmax_params {
    int64_t axis;
} softmax_params;

static sdx_status softmax_bind(sdx_bind *bind, void *params) {
    softmax_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    return bind->status;
}

static sdx_status softmax_infer(sdx_infer *infer, const void *params) {
    const softmax_params *p = params;
    int axis, rank = infer->in[0]->rank;
    sdx_infer_same(infer, 0, 0);
    return rank < 0 ? SDX_OK : sdx_infer_axis(infer, "axis", p->axis, rank, &axis);
}

/* Flatten(axis), the operator along the last axis, Reshape to the input's shape. */
static sdx_status softmax_upgrade(sdx_patch *patch, const sdx_node *node) {
    if (node->version->since >= 13) return SDX_OK;
    const sdx_attr *attr = sdx_node_attr(node, "axis");
    int64_t axis = attr ? attr->i : 1;
    int rank = patch->graph->values[node->in[0]].type.rank;
    if (rank >= 0 && (axis < -rank || axis >= rank))
        return sdx_fail(patch->error, SDX_SHAPE, "attribute 'axis' is %" PRId64 "; it must be in [%d, %d]", axis, -rank,
                        rank - 1);
    bool last = axis == -1 || (rank >= 0 && axis == rank - 1);
    sdx_id x = node->in[0];
    if (!last) {
        sdx_node *flatten = sdx_patch_node(patch, "", "Flatten", 1, &x, 1);
        sdx_patch_int(patch, flatten, "axis", axis);
        x = flatten->out[0];
    }
    sdx_node *newest = sdx_patch_node(patch, "", node->op_type, 1, &x, 1);
    sdx_patch_int(patch, newest, "axis", -1);
    sdx_id y = newest->out[0];
    if (!last) {
        sdx_id in[2] = {y, sdx_emit1(patch, "Shape", node->in[0])};
        sdx_node *reshape = sdx_patch_node(patch, "", "Reshape", 2, in, 1);
        sdx_patch_int(patch, reshape, "allowzero", 1);
        y = reshape->out[0];
    }
    sdx_patch_replace(patch, node->out[0], y);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static void softmax_lines(const softmax_params *p, int rank, const int64_t *dim, sdx_lines *lines) {
    int axis = sdx_axis_of(p->axis, rank);
    sdx_lines_between(lines, rank, dim, axis, axis + 1);
}

static size_t softmax_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0];
    sdx_lines lines;
    softmax_lines(params, x->rank, x->dim, &lines);
    return sdx_lines_scratch(&lines, infer->threads, x->dtype, sdx_work_dtype(x->dtype), x->dtype);
}

static double max_f64(const double *x, int64_t n) {
    double max = -INFINITY;
    for (int64_t k = 0; k < n; k++) max = x[k] > max ? x[k] : max;
    return max;
}

static void softmax_f64(const double *x, double *y, int64_t n) {
    double max = max_f64(x, n), sum = 0;
    for (int64_t k = 0; k < n; k++) sum += y[k] = exp(x[k] - max);
    for (int64_t k = 0; k < n; k++) y[k] /= sum;
}

static void log_softmax_f64(const double *x, double *y, int64_t n) {
    double max = max_f64(x, n), sum = 0;
    for (int64_t k = 0; k < n; k++) sum += exp(x[k] - max);
    for (int64_t k = 0; k < n; k++) y[k] = (x[k] - max) - log(sum);
}

/* The first NaN counts as the maximum, as in numpy's argmax. */
#define HARDMAX(name, T)                                                                                               \
    static void name(const T *x, T *y, int64_t n) {                                                                    \
        int64_t best = 0;                                                                                              \
        for (int64_t k = 1; k < n && !isnan(x[best]); k++)                                                             \
            if (x[k] > x[best] || isnan(x[k])) best = k;                                                               \
        for (int64_t k = 0; k < n; k++) y[k] = (T)(k == best);                                                         \
    }
HARDMAX(hardmax_f32, float)
HARDMAX(hardmax_f64, double)

typedef struct softmax_job {
    void (*f32)(const float *x, float *y, int64_t n);
    void (*f64)(const double *x, double *y, int64_t n);
    sdx_dtype work;
} softmax_job;

static void softmax_line(const void *context, int64_t line, const void *x, void *y, int64_t n) {
    (void)line;
    const softmax_job *job = context;
    if (job->work == SDX_F64)
        job->f64(x, y, n);
    else
        job->f32(x, y, n);
}

enum { COLUMNS = 64, LONG = 4096 }; /* lines side by side in one unit; longer lines are summed in f64, one by one */

typedef struct columns_job {
    const sdx_kernels *kernels;
    const float *x;
    float *y;
    sdx_axis_view view;
    int64_t blocks; /* of COLUMNS lines, per outer index */
    bool logarithm;
} columns_job;

static void run_columns(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const columns_job *job = argument;
    int64_t n = job->view.n, inner = job->view.inner;
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t first = unit % job->blocks * COLUMNS, at = unit / job->blocks * n * inner + first;
        int64_t width = inner - first < COLUMNS ? inner - first : COLUMNS;
        job->kernels->softmax_columns_f32(job->x + at, job->y + at, n, inner, width, job->logarithm);
    }
}

/* f32 lines that lie side by side */
static bool side_by_side(const sdx_tensor *x, sdx_axis_view view) {
    return x->dtype == SDX_F32 && view.inner > 1 && view.n > 1 && view.n <= LONG;
}

static sdx_status run(sdx_compute *compute, const softmax_params *p, softmax_job job, int64_t cost) {
    const sdx_tensor *x = compute->in[0];
    sdx_lines lines;
    job.work = sdx_work_dtype(x->dtype);
    softmax_lines(p, x->rank, x->dim, &lines);
    return sdx_lines_run(compute, &lines, job.work, x, compute->out[0], compute->scratch, cost, softmax_line, &job);
}

static sdx_status run_exponentials(sdx_compute *compute, const softmax_params *p, softmax_job job, bool logarithm) {
    const sdx_tensor *x = compute->in[0];
    sdx_axis_view view = sdx_view_axis(x->rank, x->dim, sdx_axis_of(p->axis, x->rank));
    if (!side_by_side(x, view)) return run(compute, p, job, 4);
    columns_job columns = {.kernels = compute->kernels,
                           .x = x->data,
                           .y = compute->out[0]->data,
                           .view = view,
                           .blocks = (view.inner + COLUMNS - 1) / COLUMNS,
                           .logarithm = logarithm};
    int64_t each = view.n * (view.inner < COLUMNS ? view.inner : COLUMNS);
    return sdx_for(compute, view.outer * columns.blocks, sdx_grain(each * 4), run_columns, &columns);
}

static sdx_status softmax_compute(sdx_compute *compute, const void *params) {
    softmax_job job = {.f32 = compute->kernels->softmax_f32, .f64 = softmax_f64};
    return run_exponentials(compute, params, job, false);
}

static sdx_status log_softmax_compute(sdx_compute *compute, const void *params) {
    softmax_job job = {.f32 = compute->kernels->log_softmax_f32, .f64 = log_softmax_f64};
    return run_exponentials(compute, params, job, true);
}

static sdx_status hardmax_compute(sdx_compute *compute, const void *params) {
    return run(compute, params, (softmax_job){.f32 = hardmax_f32, .f64 = hardmax_f64}, 2);
}

/* ---- SoftmaxGrad(Y, dY): Y (dY - sum(dY Y)), or of the logarithm dY - exp(Y) sum(dY) -------------------------------
 */

typedef struct back_params {
    int64_t axis;
    bool logarithm;
} back_params;

static sdx_status back_bind(sdx_bind *bind, void *params) {
    back_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->logarithm = sdx_bind_int(bind, "logarithm") != 0;
    return bind->status;
}

static sdx_status back_infer(sdx_infer *infer, const void *params) {
    const back_params *p = params;
    const sdx_type *y = infer->in[0], *dy = infer->in[1];
    int axis;
    sdx_infer_same(infer, 0, 0);
    if (y->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, 1, "dY", y->rank));
    for (int d = 0; d < y->rank && dy->rank >= 0; d++)
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of 'Y' and 'dY'", y->dim[d], dy->dim[d], NULL));
    return sdx_infer_axis(infer, "axis", p->axis, y->rank, &axis);
}

typedef struct back_job {
    const sdx_kernels *kernels;
    const sdx_tensor *y, *dy, *dx;
    sdx_dtype work;
    sdx_axis_view view;
    int64_t blocks, width; /* of lines side by side, per outer index */
    bool logarithm;
    sdx_unary_fn exponential;
} back_job;

enum { PIECE = 512 }; /* elements handled together; a line alone passes through in pieces */

/* Kept by the caller: clearing them costs more than a piece. */
typedef struct back_room {
    double dy[PIECE], y[PIECE], made[PIECE], sum[PIECE]; /* sum[0]: of a line alone; else of lines side by side */
} back_room;

/* n elements from `at` on in the work's dtype: where they lie, or converted into `room`. */
static const void *piece(const back_job *job, const sdx_tensor *from, int64_t at, int64_t n, void *room) {
    const void *data = (const char *)from->data + (size_t)at * sdx_dtype_size(from->dtype);
    if (from->dtype == job->work) return data;
    sdx_convert(job->kernels, from->dtype, data, job->work, room, n);
    return room;
}

#define COLUMNS_BACK(T)                                                                                                \
    for (int64_t k = 0; k < n; k++) {                                                                                  \
        const T g = ((const T *)dy)[k], x = ((const T *)y)[k];                                                         \
        ((T *)result)[k] = (s ? g * x : g) - (T)sum[k] * x;                                                            \
    }

static void add_piece(const back_job *job, int64_t at, int64_t n, back_room *r) {
    double both[2] = {0};
    const void *dy = piece(job, job->dy, at, n, r->dy);
    const void *y = job->logarithm ? NULL : piece(job, job->y, at, n, r->y);
    if (job->view.inner > 1) {
        for (int64_t k = 0; k < n; k++)
            r->sum[k] += sdx_norm_get(job->work, dy, k) * (y ? sdx_norm_get(job->work, y, k) : 1);
        return;
    }
    if (job->work == SDX_F64)
        job->kernels->norm_sums_f64(dy, y, dy, n, 0, both);
    else
        job->kernels->norm_sums_f32(dy, y, dy, n, 0, both);
    r->sum[0] += both[0];
}

/* dY y - sum y, or dY - sum exp(y) */
static void put_piece(const back_job *job, int64_t at, int64_t n, back_room *r) {
    const double *sum = r->sum;
    const void *dy = piece(job, job->dy, at, n, r->dy), *y = piece(job, job->y, at, n, r->y), *s = y;
    char *to = (char *)job->dx->data + (size_t)at * sdx_dtype_size(job->dx->dtype);
    void *result = job->dx->dtype == job->work ? (void *)to : r->made;
    if (job->logarithm) {
        job->exponential(y, r->y, n, NULL);
        y = r->y, s = NULL;
    }
    if (job->view.inner == 1 && job->work == SDX_F64) {
        job->kernels->norm_back_f64(dy, s, y, result, n, 0, 1, -*sum, 0);
    } else if (job->view.inner == 1) {
        job->kernels->norm_back_f32(dy, s, y, result, n, 0, 1, -*sum, 0);
    } else if (job->work == SDX_F64) {
        COLUMNS_BACK(double)
    } else {
        COLUMNS_BACK(float)
    }
    if (result == r->made) sdx_convert(job->kernels, job->work, r->made, job->dx->dtype, to, n);
}

static void run_back(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const back_job *job = argument;
    const sdx_axis_view *v = &job->view;
    back_room room;
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t first = unit % job->blocks * job->width, start = unit / job->blocks * v->n * v->inner + first;
        const bool alone = v->inner == 1;
        const int64_t width = alone ? PIECE : v->inner - first < job->width ? v->inner - first : job->width;
        const int64_t all = alone ? v->n : v->n * v->inner, step = alone ? PIECE : v->inner;
        for (int64_t k = 0; k < (alone ? 1 : width); k++) room.sum[k] = 0;
        for (int64_t k = 0; k < all; k += step)
            add_piece(job, start + k, alone && all - k < PIECE ? all - k : width, &room);
        for (int64_t k = 0; k < all; k += step)
            put_piece(job, start + k, alone && all - k < PIECE ? all - k : width, &room);
    }
}

static sdx_status back_compute(sdx_compute *compute, const void *params) {
    const back_params *p = params;
    const sdx_tensor *y = compute->in[0];
    back_job job = {.kernels = compute->kernels,
                    .y = y,
                    .dy = compute->in[1],
                    .dx = compute->out[0],
                    .work = sdx_work_dtype(y->dtype),
                    .view = sdx_view_axis(y->rank, y->dim, sdx_axis_of(p->axis, y->rank)),
                    .logarithm = p->logarithm};
    if (y->count == 0) return SDX_OK;
    job.exponential = compute->kernels->unary(SDX_UNARY_Exp, job.work);
    job.width = job.view.inner < COLUMNS ? job.view.inner : COLUMNS;
    job.blocks = (job.view.inner + job.width - 1) / job.width;
    return sdx_for(compute, job.view.outer * job.blocks, sdx_grain(job.view.n * job.width * 4), run_back, &job);
}

static sdx_status back_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const back_params *p = params;
    const sdx_id Y = node->in[0], dY = node->in[1], axis = sdx_patch_i64s(patch, &p->axis, 1);
    const sdx_id share = p->logarithm ? sdx_emit1(patch, "Exp", Y) : Y;
    const sdx_id weighed = p->logarithm ? dY : sdx_emit2(patch, "Mul", dY, Y);
    const sdx_id sum = sdx_emit_int(patch, "ReduceSum", weighed, axis, "keepdims", 1);
    sdx_patch_replace(patch, node->out[0], sdx_emit2(patch, "Sub", weighed, sdx_emit2(patch, "Mul", share, sum)));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_SoftmaxGrad = {
    .domain = "sdx",
    .name = "SoftmaxGrad",
    .versions = (const sdx_op_version[]){{1, "Y:T dY:T -> dX:T", "T=" SDX_T_FLOAT_BF, "axis:int=-1 logarithm:int=0"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(back_params),
    .bind = back_bind,
    .infer = back_infer,
    .compute = back_compute,
    .expand = back_expand,
    .flags = SDX_OP_INTERNAL | SDX_OP_INPLACE};

static sdx_status emit_back(sdx_grad *grad, const softmax_params *p, bool logarithm) {
    const sdx_id in[2] = {grad->node->out[0], grad->dY[0]};
    sdx_node *back = sdx_patch_node(grad->patch, "sdx", "SoftmaxGrad", 2, in, 1);
    sdx_patch_int(grad->patch, back, "axis", p->axis);
    sdx_patch_int(grad->patch, back, "logarithm", logarithm);
    grad->dX[0] = back->out[0];
    grad->exact = true;
    return grad->patch->status;
}

static sdx_status softmax_grad(sdx_grad *grad, const void *params) { return emit_back(grad, params, false); }
static sdx_status log_softmax_grad(sdx_grad *grad, const void *params) { return emit_back(grad, params, true); }

static const sdx_op_version versions[] = {{1, "input:T -> output:T", "T=" SDX_T_FLOAT, "axis:int=1"},
                                          {11, "input:T -> output:T", "T=" SDX_T_FLOAT, "axis:int=1"},
                                          {13, "input:T -> output:T", "T=" SDX_T_FLOAT_BF, "axis:int=-1"},
                                          {0, NULL, NULL, NULL}};

#define LINE_OP(op, compute_fn, gradient)                                                                              \
    const sdx_op sdx_op_##op = {.domain = "",                                                                          \
                                .name = #op,                                                                           \
                                .versions = versions,                                                                  \
                                .params_size = sizeof(softmax_params),                                                 \
                                .upgrade = softmax_upgrade,                                                            \
                                .bind = softmax_bind,                                                                  \
                                .infer = softmax_infer,                                                                \
                                .scratch = softmax_scratch,                                                            \
                                .compute = compute_fn,                                                                 \
                                .grad = gradient,                                                                      \
                                .flags = SDX_OP_INPLACE};
LINE_OP(Softmax, softmax_compute, softmax_grad)
LINE_OP(LogSoftmax, log_softmax_compute, log_softmax_grad)
LINE_OP(Hardmax, hardmax_compute, sdx_no_gradient)
