/* SPDX-License-Identifier: Apache-2.0
 * CumSum, CumProd: running sums and products along an axis; exclusive leaves the element itself out, reverse runs from
 * the end. Floats run in f64 and are rounded at each element, integers wrap. */
#include "ops/grad.h"
#include "ops/kernels/elementwise.h"
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include "ops/move.h"

enum { PIECE = 256 };

typedef struct cumulate_params {
    bool product, exclusive, reverse;
} cumulate_params;

static sdx_status cumulate_bind(sdx_bind *bind, cumulate_params *p, bool product) {
    p->product = product;
    p->exclusive = sdx_bind_int(bind, "exclusive") != 0;
    p->reverse = sdx_bind_int(bind, "reverse") != 0;
    return bind->status;
}

static sdx_status cumulate_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int64_t axis = 0;
    int n = 0, found = 0, rank = sdx_infer_rank_of(infer, 0);
    sdx_infer_same(infer, 0, 0);
    SDX_TRY(sdx_infer_i64s(infer, 1, "axis", &axis, 1, &n));
    return n == 1 && rank >= 0 ? sdx_infer_axis(infer, "axis", axis, rank, &found) : SDX_OK;
}

typedef struct cumulate_task {
    const cumulate_params *params;
    const sdx_tensor *x, *y;
    const sdx_kernels *kernels;
    sdx_axis_view view;
    sdx_dtype work; /* F64 or I64 (for u64 too: the arithmetic is the same) */
} cumulate_task;

/* The elements of one line, in either direction. */
#define CUMULATE(name, T)                                                                                              \
    static inline T name##_step(const cumulate_params *p, T x, T *sum) {                                               \
        T before = *sum;                                                                                               \
        *sum = p->product ? before * x : before + x;                                                                   \
        return p->exclusive ? before : *sum;                                                                           \
    }                                                                                                                  \
    static void name##_line(const cumulate_params *p, const T *x, T *sum, T *y, int64_t n) {                           \
        T running = *sum;                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            int64_t k = p->reverse ? n - 1 - i : i;                                                                    \
            y[k] = name##_step(p, x[k], &running);                                                                     \
        }                                                                                                              \
        *sum = running;                                                                                                \
    }
CUMULATE(f64, double)
CUMULATE(i64, uint64_t)

typedef union cells {
    double f[PIECE];
    uint64_t i[PIECE];
} cells;

static void start(const cumulate_task *task, cells *sum, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (task->work == SDX_F64)
            sum->f[i] = task->params->product;
        else
            sum->i[i] = task->params->product;
    }
}

static void read_cells(const cumulate_task *task, int64_t at, int64_t n, cells *x) {
    const char *from = (const char *)task->x->data + at * (int64_t)sdx_dtype_size(task->x->dtype);
    sdx_convert(task->kernels, task->x->dtype == SDX_U64 ? SDX_I64 : task->x->dtype, from, task->work, x, n);
}

static void write_cells(const cumulate_task *task, int64_t at, int64_t n, const cells *y) {
    char *to = (char *)task->y->data + at * (int64_t)sdx_dtype_size(task->y->dtype);
    sdx_convert(task->kernels, task->work, y, task->y->dtype == SDX_U64 ? SDX_I64 : task->y->dtype, to, n);
}

/* One line of neighbours, converted a piece at a time. */
static void cumulate_line(const cumulate_task *task, int64_t base) {
    cells x, y, sum;
    int64_t length = task->view.n;
    start(task, &sum, 1);
    for (int64_t done = 0, n; done < length; done += n) {
        n = length - done < PIECE ? length - done : PIECE;
        int64_t first = base + (task->params->reverse ? length - done - n : done);
        read_cells(task, first, n, &x);
        if (task->work == SDX_F64)
            f64_line(task->params, x.f, sum.f, y.f, n);
        else
            i64_line(task->params, x.i, sum.i, y.i, n);
        write_cells(task, first, n, &y);
    }
}

/* n neighbouring lines, from element `base` on. */
static void cumulate_columns(const cumulate_task *task, int64_t base, int64_t n) {
    cells x, sum;
    const bool exclusive = task->params->exclusive;
    const sdx_binary_fn step =
        task->kernels->binary(task->params->product ? SDX_BINARY_Mul : SDX_BINARY_Add, task->work);
    start(task, &sum, n);
    for (int64_t j = 0; j < task->view.n; j++) {
        const int64_t k = task->params->reverse ? task->view.n - 1 - j : j, at = base + k * task->view.inner;
        if (exclusive) write_cells(task, at, n, &sum);
        if (exclusive && j + 1 == task->view.n) return;
        read_cells(task, at, n, &x);
        step(&sum, 1, &x, 1, &sum, n);
        if (!exclusive) write_cells(task, at, n, &sum);
    }
}

static void cumulate_chunk(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const cumulate_task *task = argument;
    int64_t inner = task->view.inner;
    for (int64_t first = begin, n; first < end; first += n) {
        n = inner - first % inner;
        n = n > PIECE ? PIECE : n;
        n = n > end - first ? end - first : n;
        if (inner == 1)
            cumulate_line(task, first * task->view.n);
        else
            cumulate_columns(task, first / inner * task->view.n * inner + first % inner, n);
    }
}

static sdx_status cumulate_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    int64_t axis[1] = {0};
    int n = 0;
    SDX_TRY(sdx_read_i64s(compute->error, "axis", compute->in[1], axis, 1, &n));
    if (n != 1) return sdx_fail(compute->error, SDX_SHAPE, "input 'axis' is empty; it must be one axis");
    SDX_TRY(sdx_check_axes(compute->error, "axis", axis, 1, x->rank));
    sdx_tensor *y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!y) return compute->error->status;
    cumulate_task task = {.params = params, .x = x, .y = y, .kernels = compute->kernels};
    task.view = sdx_view_axis(x->rank, x->dim, (int)axis[0]);
    task.work = sdx_dtype_class(x->dtype) == SDX_CLASS_FLOAT ? SDX_F64 : SDX_I64;
    if (x->count == 0) return SDX_OK;
    return sdx_for(compute, task.view.outer * task.view.inner, sdx_grain(2 * task.view.n), cumulate_chunk, &task);
}

/* A running sum or product along the node's axis. */
static sdx_id run_along(sdx_grad *grad, const char *op_type, sdx_id x, bool exclusive, bool reverse) {
    sdx_id in[2] = {x, grad->node->in[1]};
    sdx_node *node = sdx_patch_node(grad->patch, "", op_type, 2, in, 1);
    sdx_patch_int(grad->patch, node, "exclusive", exclusive);
    sdx_patch_int(grad->patch, node, "reverse", reverse);
    return node->out[0];
}

static sdx_status cum_sum_grad(sdx_grad *grad, const void *params) {
    const cumulate_params *p = params;
    grad->exact = true;
    grad->dX[0] = run_along(grad, "CumSum", grad->dY[0], p->exclusive, !p->reverse);
    return grad->patch->status;
}

/* Before the first zero dX = rest(dY Y) / X, with rest the sum from here on; at the zero itself rest(dY Y') where Y' is
 * the product with that zero left out; 0 behind it. */
static sdx_status cum_prod_grad(sdx_grad *grad, const void *params) {
    const cumulate_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0], dY = grad->dY[0];
    sdx_id zero = sdx_grad_scalar(patch, X, 0), one = sdx_grad_scalar(patch, X, 1);
    sdx_id is_zero = sdx_emit2(patch, "Equal", X, zero);
    sdx_id met = run_along(grad, "CumSum", sdx_grad_cast(patch, is_zero, X), false, p->reverse);
    sdx_id first = sdx_emit2(patch, "And", is_zero, sdx_emit2(patch, "Equal", met, one));
    sdx_id without = run_along(grad, "CumProd", sdx_emit3(patch, "Where", first, one, X), p->exclusive, p->reverse);
    sdx_id before = sdx_emit2(patch, "Mul", dY, grad->node->out[0]), at = sdx_emit2(patch, "Mul", dY, without);
    before = run_along(grad, "CumSum", before, p->exclusive, !p->reverse);
    before = sdx_emit2(patch, "Div", before, sdx_grad_nonzero(patch, X, X));
    at = run_along(grad, "CumSum", at, p->exclusive, !p->reverse);
    grad->exact = true;
    sdx_id none = sdx_emit2(patch, "Equal", met, zero);
    grad->dX[0] = sdx_emit3(patch, "Where", none, before, sdx_emit3(patch, "Where", first, at, zero));
    return patch->status;
}

#define WIDE  "|i32|i64|u32|u64"
#define XY    "x:T axis:T2 -> y:T"
#define AXES  " T2=i32|i64"
#define FLAGS "exclusive:int=0 reverse:int=0"

static sdx_status cum_sum_bind(sdx_bind *bind, void *params) { return cumulate_bind(bind, params, false); }
static sdx_status cum_prod_bind(sdx_bind *bind, void *params) { return cumulate_bind(bind, params, true); }

const sdx_op sdx_op_CumSum = {
    .domain = "",
    .name = "CumSum",
    .versions = (const sdx_op_version[]){{11, XY, "T=f32|f64" WIDE AXES, FLAGS},
                                         {14, XY, "T=" SDX_T_FLOAT_BF WIDE AXES, FLAGS},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(cumulate_params),
    .bind = cum_sum_bind,
    .infer = cumulate_infer,
    .compute = cumulate_compute,
    .grad = cum_sum_grad,
};

const sdx_op sdx_op_CumProd = {
    .domain = "",
    .name = "CumProd",
    .versions = (const sdx_op_version[]){{26, XY, "T=" SDX_T_FLOAT_BF WIDE AXES, FLAGS}, {0, NULL, NULL, NULL}},
    .params_size = sizeof(cumulate_params),
    .bind = cum_prod_bind,
    .infer = cumulate_infer,
    .compute = cumulate_compute,
    .grad = cum_prod_grad,
};
