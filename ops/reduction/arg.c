/* SPDX-License-Identifier: Apache-2.0
 * ArgMax, ArgMin: where along the axis the extreme lies; the first of equals, or with select_last_index the last. NaN is
 * more extreme than any number, as in numpy. */
#include "ops/kernels/kernels.h"
#include "ops/loop.h"

enum { PIECE = 256 };

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
        return sdx_fail(infer->error, SDX_SHAPE, "dimension %d of input 'data' is 0; there is no extreme of nothing", axis);
    return SDX_OK;
}

/* columns: best[i], at[i] take element k of n neighbouring lines in. line: best[0], at[0] take the elements k, k + 1 ...
 * of one line in, n of them. */
typedef void (*arg_fn)(const void *x, int64_t k, int64_t n, bool last, void *best, int64_t *at);
typedef struct arg_kernel {
    arg_fn columns, line;
} arg_kernel;

#define TAKE(name, T, beats)                                                                              \
    static inline void name##_take(T v, int64_t k, bool last, T *best, int64_t *at) {                     \
        T b = *best;                                                                                      \
        bool equal = v == b || (v != v && b != b);                                                        \
        bool better = k == 0 || (b == b && (v != v || beats)) || (last && equal);                         \
        *best = better ? v : b;                                                                           \
        *at = better ? k : *at;                                                                           \
    }                                                                                                     \
    static void name##_columns(const void *x_, int64_t k, int64_t n, bool last, void *best_, int64_t *at) { \
        const T *x = x_;                                                                                  \
        T *best = best_;                                                                                  \
        for (int64_t i = 0; i < n; i++) name##_take(x[i], k, last, &best[i], &at[i]);                     \
    }                                                                                                     \
    static void name##_line(const void *x_, int64_t k, int64_t n, bool last, void *best_, int64_t *at) {  \
        const T *x = x_;                                                                                  \
        T best = *(T *)best_;                                                                             \
        int64_t found = *at;                                                                              \
        for (int64_t i = 0; i < n; i++) name##_take(x[i], k + i, last, &best, &found);                    \
        *(T *)best_ = best;                                                                               \
        *at = found;                                                                                      \
    }                                                                                                     \
    static const arg_kernel name = {name##_columns, name##_line};
#define TAKES(suffix, T)             \
    TAKE(most_##suffix, T, v > b)    \
    TAKE(least_##suffix, T, v < b)
TAKES(f32, float)
TAKES(f64, double)
TAKES(i64, int64_t)
TAKES(u64, uint64_t)

static arg_kernel kernel_of(sdx_dtype work, bool least) {
    if (work == SDX_F32) return least ? least_f32 : most_f32;
    if (work == SDX_F64) return least ? least_f64 : most_f64;
    if (work == SDX_U64) return least ? least_u64 : most_u64;
    return least ? least_i64 : most_i64;
}

typedef struct arg_task {
    const sdx_tensor *x;
    int64_t *y;
    const sdx_kernels *kernels;
    sdx_axis_view view;
    sdx_dtype work;
    bool last;
    arg_kernel kernel;
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

static void arg_lines(const arg_task *task, int64_t begin, int64_t end, arg_buffers *b) {
    for (int64_t o = begin; o < end; o++)
        for (int64_t k = 0, n; k < task->view.n; k += n) {
            n = task->view.n - k < PIECE ? task->view.n - k : PIECE;
            task->kernel.line(elements(task, o * task->view.n + k, n, b), k, n, task->last, b->best, &task->y[o]);
        }
}

/* n neighbouring outputs of one outer index, from element `base` on. */
static void arg_columns(const arg_task *task, int64_t base, int64_t n, int64_t *y, arg_buffers *b) {
    for (int64_t k = 0; k < task->view.n; k++)
        task->kernel.columns(elements(task, base + k * task->view.inner, n, b), k, n, task->last, b->best, y);
}

static void arg_chunk(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const arg_task *task = argument;
    int64_t inner = task->view.inner;
    arg_buffers b;
    if (inner == 1) {
        arg_lines(task, begin, end, &b);
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
    int axis = (int)(p->axis < 0 ? p->axis + x->rank : p->axis);
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
        return sdx_fail(compute->error, SDX_SHAPE, "dimension %d of input 'data' is 0; there is no extreme of nothing", axis);
    task.work = is_float ? sdx_work_dtype(x->dtype) : x->dtype == SDX_U64 ? SDX_U64 : SDX_I64;
    task.kernel = kernel_of(task.work, p->least);
    return sdx_for(compute, y->count, sdx_grain(task.view.n), arg_chunk, &task);
}

#define DATA "data:T -> reduced:i64"
#define BASIC "axis:int=0 keepdims:int=1"
#define ARG(op, is_least)                                                                                         \
    static sdx_status op##_bind(sdx_bind *bind, void *params) { return arg_bind(bind, params, is_least); }        \
    const sdx_op sdx_op_##op = {                                                                                  \
        .domain = "",                                                                                             \
        .name = #op,                                                                                              \
        .versions = (const sdx_op_version[]){{1, DATA, "T=" SDX_T_NUMERIC, BASIC},                                \
                                             {11, DATA, "T=" SDX_T_NUMERIC, BASIC},                               \
                                             {12, DATA, "T=" SDX_T_NUMERIC, BASIC " select_last_index:int=0"},    \
                                             {13, DATA, "T=" SDX_T_NUMERIC_BF, BASIC " select_last_index:int=0"}, \
                                             {0, NULL, NULL, NULL}},                                              \
        .params_size = sizeof(arg_params),                                                                        \
        .bind = op##_bind,                                                                                        \
        .infer = arg_infer,                                                                                       \
        .compute = arg_compute,                                                                                   \
        .grad = sdx_no_gradient,                                                                                  \
    };
ARG(ArgMax, false)
ARG(ArgMin, true)
