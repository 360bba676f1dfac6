/* SPDX-License-Identifier: Apache-2.0
 * ArgMax, ArgMin: where along the axis the extreme lies; the first of equals, or with select_last_index the last. NaN
 * is more extreme than any number, as in numpy. */
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include <string.h>

enum { PIECE = 256, LANES = 16 };

typedef struct arg_params {
    int64_t axis;
    bool keepdims, last, least;
} arg_params;

static sdx_status arg_bind(sdx_bind *bind, arg_params *p, bool least) {
    p->axis = sdx_bind_int(bind, "axis");
    p->keepdims = sdx_bind_int(bind, "keepdims") != 0;
    p->last = bind->since >= 12 && sdx_bind_int(bind, "select_last_index") != 0;
    p->least = least;
    return bind->status;
}

static int shape_of(const arg_params *p, int rank, const int64_t *dims, int axis, int64_t *out) {
    int n = 0;
    for (int d = 0; d < rank; d++)
        if (d != axis || p->keepdims) out[n++] = d == axis ? 1 : dims[d];
    return n;
}

static sdx_status arg_infer(sdx_infer *infer, const void *params) {
    const arg_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    if (rank < 0) return SDX_OK;
    if (rank > 0) SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank, &axis));
    infer->out[0].rank = shape_of(p, rank, infer->in[0]->dim, axis, infer->out[0].dim);
    if (rank > 0 && infer->in[0]->dim[axis] == 0)
        return sdx_fail(infer->error, SDX_SHAPE, "dimension %d of input 'data' is 0; there is no extreme of nothing",
                        axis);
    return SDX_OK;
}

typedef struct arg_task {
    const sdx_tensor *x;
    int64_t *y;
    const sdx_kernels *kernels;
    sdx_axis_view view;
    sdx_dtype work;
    bool last;
    sdx_arg_fn kernel;
} arg_task;

typedef struct arg_buffers {
    uint64_t best[PIECE], element[PIECE];
} arg_buffers;

/* n elements from index `at` on, in the work dtype. */
static const void *elements(const arg_task *task, int64_t at, int64_t n, arg_buffers *b) {
    const char *x = (const char *)task->x->data + at * (int64_t)sdx_dtype_size(task->x->dtype);
    if (task->x->dtype == task->work) return x;
    sdx_convert(task->kernels, task->x->dtype, x, task->work, b->element, n);
    return b->element;
}

/* A line is taken as LANES columns, and what is left as columns of one more row; then their extremes are compared. */
static int64_t arg_line(const arg_task *task, int64_t base, arg_buffers *b) {
    int64_t at[LANES], best = 0, length = task->view.n, rows = length / LANES,
                       size = (int64_t)sdx_dtype_size(task->work);
    for (int64_t r = 0, n; r < rows; r += n) {
        n = rows - r < PIECE / LANES ? rows - r : PIECE / LANES;
        const void *x = elements(task, base + r * LANES, n * LANES, b);
        task->kernel(x, LANES, n, LANES, r, task->last, b->best, at);
    }
    int64_t rest = length - rows * LANES, lanes = rows ? LANES : rest;
    if (rest) task->kernel(elements(task, base + rows * LANES, rest, b), rest, 1, rest, rows, task->last, b->best, at);
    for (int64_t k = 0; k < lanes; k++) at[k] = at[k] * LANES + k;
    for (int64_t k = 1; k < lanes; k++) {
        /* equals are settled by the index, whichever lane they come from */
        char pair[2 * sizeof(uint64_t)], extreme[sizeof(uint64_t)];
        int64_t winner[1], earlier = at[k] < at[best] ? k : best, later = earlier == k ? best : k;
        memcpy(pair, (char *)b->best + earlier * size, (size_t)size);
        memcpy(pair + size, (char *)b->best + later * size, (size_t)size);
        task->kernel(pair, 1, 2, 1, 0, task->last, extreme, winner);
        best = winner[0] ? later : earlier;
    }
    return at[best];
}

/* n neighbouring outputs of one outer index, from element `base` on. */
static void arg_columns(const arg_task *task, int64_t base, int64_t n, int64_t *y, arg_buffers *b) {
    int64_t step = task->x->dtype == task->work ? task->view.n : 1;
    for (int64_t k = 0; k < task->view.n; k += step)
        task->kernel(elements(task, base + k * task->view.inner, n, b), n, step, task->view.inner, k, task->last,
                     b->best, y);
}

static void arg_chunk(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const arg_task *task = argument;
    int64_t inner = task->view.inner;
    arg_buffers b;
    if (inner == 1) {
        for (int64_t o = begin; o < end; o++) task->y[o] = arg_line(task, o * task->view.n, &b);
        return;
    }
    for (int64_t first = begin, n; first < end; first += n) {
        n = inner - first % inner;
        n = n > PIECE ? PIECE : n;
        n = n > end - first ? end - first : n;
        arg_columns(task, first / inner * task->view.n * inner + first % inner, n, task->y + first, &b);
    }
}

static sdx_status arg_compute(sdx_compute *compute, const void *params) {
    const arg_params *p = params;
    const sdx_tensor *x = compute->in[0];
    int64_t dims[SDX_MAX_RANK];
    int axis = sdx_axis_of(p->axis, x->rank);
    if (x->rank && (axis < 0 || axis >= x->rank))
        return sdx_fail(compute->error, SDX_SHAPE, "attribute 'axis' is %lld; input 'data' has rank %d",
                        (long long)p->axis, x->rank);
    int rank = shape_of(p, x->rank, x->dim, axis, dims);
    sdx_tensor *y = sdx_compute_output(compute, 0, rank, dims);
    if (!y) return compute->error->status;
    bool is_float = sdx_dtype_class(x->dtype) == SDX_CLASS_FLOAT;
    arg_task task = {.x = x, .y = y->data, .kernels = compute->kernels, .last = p->last};
    task.view = sdx_view_axis(x->rank, x->dim, x->rank ? axis : 0);
    if (task.view.n == 0 && y->count)
        return sdx_fail(compute->error, SDX_SHAPE, "dimension %d of input 'data' is 0; there is no extreme of nothing",
                        axis);
    task.work = is_float ? sdx_work_dtype(x->dtype) : x->dtype == SDX_U64 ? SDX_U64 : SDX_I64;
    task.kernel = compute->kernels->arg(p->least, task.work);
    return sdx_for(compute, y->count, sdx_grain(task.view.n), arg_chunk, &task);
}

#define DATA  "data:T -> reduced:i64"
#define BASIC "axis:int=0 keepdims:int=1"
#define ARG(op, is_least)                                                                                              \
    static sdx_status op##_bind(sdx_bind *bind, void *params) { return arg_bind(bind, params, is_least); }             \
    const sdx_op sdx_op_##op = {                                                                                       \
        .domain = "",                                                                                                  \
        .name = #op,                                                                                                   \
        .versions = (const sdx_op_version[]){{1, DATA, "T=" SDX_T_NUMERIC, BASIC},                                     \
                                             {11, DATA, "T=" SDX_T_NUMERIC, BASIC},                                    \
                                             {12, DATA, "T=" SDX_T_NUMERIC, BASIC " select_last_index:int=0"},         \
                                             {13, DATA, "T=" SDX_T_NUMERIC_BF, BASIC " select_last_index:int=0"},      \
                                             {0, NULL, NULL, NULL}},                                                   \
        .params_size = sizeof(arg_params),                                                                             \
        .bind = op##_bind,                                                                                             \
        .infer = arg_infer,                                                                                            \
        .compute = arg_compute,                                                                                        \
        .grad = sdx_no_gradient,                                                                                       \
    };
ARG(ArgMax, false)
ARG(ArgMin, true)
