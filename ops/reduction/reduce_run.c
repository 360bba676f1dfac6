/* SPDX-License-Identifier: Apache-2.0
 * Floats are reduced in f64, integers in 64 bits. Outputs are cut into pieces; when there are few of them and much to
 * reduce, what is reduced is cut into parts too, which are joined in order: by shape, never by threads. */
#include "ops/kernels/elementwise.h"
#include "ops/reduction/reduce.h"
#include <math.h>
#include <string.h>

enum {
    PIECE = 256,   /* outputs, and elements converted, at a time */
    PART = 65536,  /* elements of a part, at least */
    FEW_ROWS = 16, /* below this, rows alone do not occupy the threads */
    MOST_PARTS = 64
};

/* What a reduction is kept in; the dtype says which: F64, I64 or U64. */
typedef union accumulator {
    double f;
    int64_t i;
    uint64_t u;
} accumulator;

typedef struct reduction {
    sdx_reduce_kind kind;
    const sdx_kernels *kernels;
    const sdx_tensor *x, *y;
    sdx_dtype work, sum;     /* of elements as the kernel reads them; of accumulators */
    int64_t size;            /* of an element of x */
    sdx_walk kept, along;    /* output rows (all outputs, where rows are reduced); what is reduced */
    int64_t width;           /* outputs side by side in x; 1 where rows are reduced */
    bool rows;               /* the innermost dimension is reduced */
    int64_t outputs, length; /* how many; elements reduced into each */
    int64_t parts, part;
    accumulator *partial; /* [parts][outputs], when parts > 1 */
    double *shift;        /* [outputs], of LogSumExp with parts > 1 */
} reduction;

/* ---- Shape ---- */

static void plan_shape(reduction *r, const bool *reduced) {
    const sdx_tensor *x = r->x;
    int64_t stride[SDX_MAX_RANK], dim[2][SDX_MAX_RANK], step[2][SDX_MAX_RANK];
    int n[2] = {0, 0}, last = x->rank - 1;
    sdx_strides(x->rank, x->dim, stride);
    while (last >= 0 && x->dim[last] == 1) last--;
    r->rows = last >= 0 && reduced[last];
    r->width = 1;
    for (; !r->rows && last >= 0 && !reduced[last]; last--) r->width *= x->dim[last];
    for (int d = 0; d <= last; d++) {
        dim[reduced[d]][n[reduced[d]]] = x->dim[d];
        step[reduced[d]][n[reduced[d]]++] = stride[d];
    }
    for (int k = 0; k < 2; k++) {
        sdx_walk *walk = k ? &r->along : &r->kept;
        sdx_walk_begin(walk, n[k], dim[k]);
        sdx_walk_add(walk, step[k]);
        sdx_walk_collapse(walk);
    }
    r->outputs = r->kept.count * r->width;
    r->length = r->along.count;
}

/* ---- Accumulating ---- */

static sdx_reducer_id reducer_of(sdx_reduce_kind kind) {
    switch (kind) {
    case SDX_REDUCE_MAX: return SDX_REDUCER_MAX;
    case SDX_REDUCE_MIN: return SDX_REDUCER_MIN;
    case SDX_REDUCE_PROD: return SDX_REDUCER_PROD;
    case SDX_REDUCE_L1: return SDX_REDUCER_SUM_ABS;
    case SDX_REDUCE_L2:
    case SDX_REDUCE_SUM_SQUARE: return SDX_REDUCER_SUM_SQUARE;
    case SDX_REDUCE_LOG_SUM_EXP: return SDX_REDUCER_SUM_EXP;
    case SDX_REDUCE_SUM:
    case SDX_REDUCE_MEAN:
    case SDX_REDUCE_LOG_SUM: return SDX_REDUCER_SUM;
    }
    return SDX_REDUCER_SUM;
}

/* The value that reducing nothing gives: of maxima and minima the end of the dtype's range. */
static accumulator identity(const reduction *r, sdx_reducer_id id) {
    accumulator a = {.u = 0};
    int class = sdx_dtype_class(r->x->dtype), bits = 8 * (int)r->size;
    bool most = id == SDX_REDUCER_MAX;
    if (id == SDX_REDUCER_PROD && r->sum == SDX_F64)
        a.f = 1;
    else if (id == SDX_REDUCER_PROD)
        a.i = 1;
    if (id != SDX_REDUCER_MAX && id != SDX_REDUCER_MIN) return a;
    if (r->sum == SDX_F64)
        a.f = most ? -HUGE_VAL : HUGE_VAL;
    else if (class == SDX_CLASS_BOOL)
        a.i = !most;
    else if (class == SDX_CLASS_SIGNED)
        a.i = most ? INT64_MIN >> (64 - bits) : INT64_MAX >> (64 - bits);
    else if (!most)
        a.u = UINT64_MAX >> (64 - bits);
    return a;
}

/* n elements at x + offset, as the kernel reads them. */
static const void *elements(const reduction *r, int64_t offset, int64_t n, double *buffer) {
    const char *x = (const char *)r->x->data + offset * r->size;
    if (r->x->dtype == r->work) return x;
    sdx_convert(r->kernels, r->x->dtype, x, r->work, buffer, n);
    return buffer;
}

/* Elements [begin, end) of the row at x + base. */
static void reduce_row(const reduction *r, const sdx_reducer *kernel, int64_t base, int64_t begin, int64_t end,
                       accumulator *acc, const double *shift, double *buffer) {
    int64_t most = r->x->dtype == r->work ? INT64_MAX : PIECE;
    sdx_cursor at;
    sdx_cursor_seek(&r->along, begin, &at);
    for (int64_t k = begin, n; k < end; k += n, sdx_cursor_move(&r->along, &at, n)) {
        n = sdx_cursor_run(&r->along, &at, end - k < most ? end - k : most);
        kernel->rows(elements(r, base + at.offset[0], n, buffer), n, 1, 0, acc, shift);
    }
}

/* Rows that lie as the kernel reads them, as many at once as are a stride apart. */
static void reduce_dense_rows(const reduction *r, const sdx_reducer *kernel, sdx_cursor *at, int64_t n, int64_t begin,
                              int64_t end, accumulator *acc, const double *shift) {
    const int64_t stride = r->kept.stride[0][r->kept.rank - 1];
    for (int64_t k = 0, rows; k < n; k += rows, sdx_cursor_move(&r->kept, at, rows)) {
        rows = sdx_cursor_run(&r->kept, at, n - k);
        kernel->rows(elements(r, at->offset[0] + begin, end - begin, NULL), end - begin, rows, stride, &acc[k],
                     shift ? &shift[k] : NULL);
    }
}

static void reduce_columns(const reduction *r, const sdx_reducer *kernel, int64_t base, int64_t columns, int64_t begin,
                           int64_t end, accumulator *acc, const double *shift, double *buffer) {
    const int64_t stride = r->along.stride[0][r->along.rank - 1];
    /* Rows that follow each other are converted together. */
    const int64_t most = r->x->dtype == r->work ? INT64_MAX : stride == columns ? PIECE / columns : 1;
    sdx_cursor at;
    sdx_cursor_seek(&r->along, begin, &at);
    for (int64_t k = begin, rows; k < end; k += rows, sdx_cursor_move(&r->along, &at, rows)) {
        rows = sdx_cursor_run(&r->along, &at, end - k < most ? end - k : most);
        kernel->columns(elements(r, base + at.offset[0], columns * rows, buffer), columns, rows, stride, acc, shift);
    }
}

/* acc[0 .. n) of the outputs from `first` on, over the reduced elements [begin, end); n as piece_length says. */
static void reduce_piece(const reduction *r, sdx_reducer_id id, int64_t first, int64_t n, int64_t begin, int64_t end,
                         accumulator *acc, const double *shift, double *buffer) {
    const sdx_reducer *kernel = r->kernels->reducer(id, r->work);
    sdx_cursor at;
    accumulator start = identity(r, id);
    if (start.u == 0)
        memset(acc, 0, (size_t)n * sizeof *acc);
    else
        for (int64_t k = 0; k < n; k++) acc[k] = start;
    if (begin == end) return;
    sdx_cursor_seek(&r->kept, first / r->width, &at);
    if (!r->rows) {
        reduce_columns(r, kernel, at.offset[0] + first % r->width, n, begin, end, acc, shift, buffer);
        return;
    }
    if (r->x->dtype == r->work && r->along.rank == 1) {
        reduce_dense_rows(r, kernel, &at, n, begin, end, acc, shift);
        return;
    }
    for (int64_t k = 0; k < n; k++, sdx_cursor_move(&r->kept, &at, 1))
        reduce_row(r, kernel, at.offset[0], begin, end, &acc[k], shift ? &shift[k] : NULL, buffer);
}

/* How many of the outputs [first, end) are computed together: of one stretch of columns, or rows. */
static int64_t piece_length(const reduction *r, int64_t first, int64_t end) {
    int64_t left = r->rows ? PIECE : r->width - first % r->width;
    if (left > PIECE) left = PIECE;
    return left < end - first ? left : end - first;
}

/* ---- Finishing ---- */

/* Maxima that are infinite are no shift: e^(x - shift) would be NaN. */
static void finite_shift(const accumulator *most, int64_t n, double *shift) {
    for (int64_t k = 0; k < n; k++) shift[k] = isinf(most[k].f) ? 0 : most[k].f;
}

static double as_f64(const reduction *r, accumulator a) {
    return r->sum == SDX_F64 ? a.f : r->sum == SDX_U64 ? (double)a.u : (double)a.i;
}

/* Mean of integers truncates; of none of them, it is 0. */
static void means(const reduction *r, accumulator *acc, int64_t n) {
    const int64_t count = r->length;
    const double divisor = (double)count;
    if (r->sum == SDX_F64)
        r->kernels->binary(SDX_BINARY_Div, SDX_F64)(acc, 1, &divisor, 0, acc, n);
    else if (r->sum == SDX_U64)
        for (int64_t k = 0; k < n; k++) acc[k].u = count ? acc[k].u / (uint64_t)count : 0;
    else
        for (int64_t k = 0; k < n; k++) acc[k].i = count ? acc[k].i / count : 0;
}

static double log_sum_exp(double sum, double shift, double most) { return isinf(most) ? most : log(sum) + shift; }

/* y[first ...] from n accumulators, which are used up. most: of LogSumExp. */
static void finish(const reduction *r, int64_t first, int64_t n, accumulator *acc, const double *most) {
    const size_t size = sdx_dtype_size(r->y->dtype);
    sdx_dtype dtype = r->sum;
    if (r->kind == SDX_REDUCE_MEAN)
        means(r, acc, n);
    else if (r->kind == SDX_REDUCE_L2)
        for (int64_t k = 0; k < n; k++) acc[k].f = sqrt(as_f64(r, acc[k]));
    else if (r->kind == SDX_REDUCE_LOG_SUM)
        for (int64_t k = 0; k < n; k++) acc[k].f = log(as_f64(r, acc[k]));
    else if (r->kind == SDX_REDUCE_LOG_SUM_EXP)
        for (int64_t k = 0; k < n; k++) acc[k].f = log_sum_exp(acc[k].f, isinf(most[k]) ? 0 : most[k], most[k]);
    if (r->kind == SDX_REDUCE_L2 || r->kind == SDX_REDUCE_LOG_SUM) dtype = SDX_F64;
    sdx_convert(r->kernels, dtype, acc, r->y->dtype, (char *)r->y->data + (size_t)first * size, n);
}

/* ---- Whole outputs at once ---- */

static void whole_log_sum_exp(const reduction *r, int64_t first, int64_t n) {
    accumulator acc[PIECE];
    double most[PIECE], shift[PIECE], buffer[PIECE];
    reduce_piece(r, SDX_REDUCER_MAX, first, n, 0, r->length, acc, NULL, buffer);
    for (int64_t k = 0; k < n; k++) most[k] = acc[k].f;
    finite_shift(acc, n, shift);
    reduce_piece(r, SDX_REDUCER_SUM_EXP, first, n, 0, r->length, acc, shift, buffer);
    finish(r, first, n, acc, most);
}

static void whole_piece(const reduction *r, int64_t first, int64_t n) {
    accumulator acc[PIECE];
    double buffer[PIECE];
    reduce_piece(r, reducer_of(r->kind), first, n, 0, r->length, acc, NULL, buffer);
    finish(r, first, n, acc, NULL);
}

static void whole_chunk(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const reduction *r = argument;
    for (int64_t first = begin, n; first < end; first += n) {
        n = piece_length(r, first, end);
        (r->kind == SDX_REDUCE_LOG_SUM_EXP ? whole_log_sum_exp : whole_piece)(r, first, n);
    }
}

/* ---- In parts ---- */

static void part_chunk(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const reduction *r = argument;
    double buffer[PIECE];
    sdx_reducer_id id = r->kind == SDX_REDUCE_LOG_SUM_EXP && !r->shift ? SDX_REDUCER_MAX : reducer_of(r->kind);
    for (int64_t p = begin; p < end; p++) {
        int64_t from = p * r->part, to = r->length - from < r->part ? r->length : from + r->part;
        for (int64_t first = 0, n; first < r->outputs; first += n) {
            n = piece_length(r, first, r->outputs);
            reduce_piece(r, id, first, n, from, to, &r->partial[p * r->outputs + first],
                         r->shift ? &r->shift[first] : NULL, buffer);
        }
    }
}

/* partial[0] takes the other parts in. */
static void join_parts(const reduction *r, sdx_reducer_id id) {
    sdx_reducer_id join =
        id == SDX_REDUCER_MAX || id == SDX_REDUCER_MIN || id == SDX_REDUCER_PROD ? id : SDX_REDUCER_SUM;
    const sdx_reducer *kernel = r->kernels->reducer(join, r->sum);
    kernel->columns(&r->partial[r->outputs], r->outputs, r->parts - 1, r->outputs, r->partial, NULL);
}

static sdx_status run_parts(sdx_compute *compute, reduction *r) {
    size_t bytes = (size_t)(r->parts * r->outputs) * sizeof(accumulator);
    double most[PIECE] = {0};
    r->partial = compute->services->alloc(compute, bytes);
    if (!r->partial) return compute->error->status;
    if (r->kind == SDX_REDUCE_LOG_SUM_EXP) {
        SDX_TRY(sdx_for(compute, r->parts, 1, part_chunk, r));
        join_parts(r, SDX_REDUCER_MAX);
        for (int64_t k = 0; k < r->outputs; k++) most[k] = r->partial[k].f;
        r->shift = compute->services->alloc(compute, (size_t)r->outputs * sizeof(double));
        if (!r->shift) return compute->error->status;
        finite_shift(r->partial, r->outputs, r->shift);
    }
    SDX_TRY(sdx_for(compute, r->parts, 1, part_chunk, r));
    join_parts(r, reducer_of(r->kind));
    finish(r, 0, r->outputs, r->partial, most);
    return SDX_OK;
}

sdx_status sdx_reduce_run(sdx_compute *compute, sdx_reduce_kind kind, const sdx_tensor *x, const bool *reduced,
                          const sdx_tensor *y) {
    reduction r = {.kind = kind, .kernels = compute->kernels, .x = x, .y = y, .parts = 1};
    bool is_float = sdx_dtype_class(x->dtype) == SDX_CLASS_FLOAT;
    r.work = is_float ? sdx_work_dtype(x->dtype) : x->dtype == SDX_U64 ? SDX_U64 : SDX_I64;
    r.sum = is_float ? SDX_F64 : r.work;
    if (!is_float && kind == SDX_REDUCE_LOG_SUM_EXP) r.work = r.sum = SDX_F64;
    r.size = (int64_t)sdx_dtype_size(x->dtype);
    plan_shape(&r, reduced);
    bool few = r.outputs > 0 && r.outputs <= (r.rows ? FEW_ROWS : PIECE);
    if (few && r.length / 2 >= PART / r.outputs) {
        r.parts = r.length / (PART / r.outputs);
        r.parts = r.parts > MOST_PARTS ? MOST_PARTS : r.parts;
        r.part = (r.length + r.parts - 1) / r.parts;
        r.parts = (r.length + r.part - 1) / r.part;
    }
    if (r.parts > 1) return run_parts(compute, &r);
    int64_t grain = sdx_grain(r.length); /* of columns, at least a few cache lines side by side */
    return sdx_for(compute, r.outputs, !r.rows && grain < PIECE / 4 ? PIECE / 4 : grain, whole_chunk, &r);
}
