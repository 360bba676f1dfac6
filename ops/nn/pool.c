/* SPDX-License-Identifier: Apache-2.0
 * Maxima and means of f32 are made a row of outputs (the last dimension) at a time by the kernel table. In the other
 * pools a row takes one place of the window after another, so inner loops run over neighbouring outputs and padding is
 * cut off by ranges. 16-bit floats are widened plane by plane and rounded once. In a maximum NaN wins; of equal
 * elements the first one gives the index. */
#include "ops/nn/pool.h"
#include "ops/kernels/elementwise.h"
#include "ops/loop.h"
#include "runtime/base/half.h"
#include <math.h>
#include <string.h>

enum { MOST_TAPS = 4096 }; /* rows the table takes at once */

static size_t align(size_t bytes) { return bytes / SDX_ALIGNMENT * SDX_ALIGNMENT + SDX_ALIGNMENT; }

/* Room for the table's rows; a line that is nearly all padding, or a window of very many rows, is not for them. */
static void measure_table(sdx_pool_job *job) {
    const sdx_window *w = &job->trimmed.window;
    const int inner = w->rank - 1;
    const sdx_dtype dtype = job->trimmed.dtype;
    const int64_t line = (job->row - 1) * w->stride[inner] + sdx_window_extent(w, inner);
    const bool floats = dtype == SDX_F32 || sdx_pool_is_narrow(dtype);
    job->table = floats && job->trimmed.kind != SDX_POOL_LP && w->kernel[inner] > 0 && job->outer_taps <= MOST_TAPS &&
                 line / 4 <= w->in[inner] + job->row + MOST_TAPS;
    if (!job->table) return;
    job->places = align((size_t)job->outer_taps * sizeof(int64_t));
    job->line = align((size_t)(line + SDX_POOL_ROOM) * sizeof(float));
    job->shared = align((size_t)job->row * sizeof(float));
}

bool sdx_pool_set_up(const sdx_pooling *pooling, sdx_pool_job *job) {
    const sdx_window *w = &pooling->window;
    const int inner = w->rank - 1;
    *job = (sdx_pool_job){.pooling = &job->trimmed, .trimmed = *pooling};
    job->in_plane = sdx_window_product(w->in, w->rank);
    job->out_plane = sdx_window_product(w->out, w->rank);
    job->row = w->out[inner];
    job->rows = sdx_window_product(w->out, inner);
    int64_t step = 1, column = 1;
    for (int d = inner; d >= 0; d--) job->step[d] = step, step *= w->in[d];
    for (int d = 0; d <= inner; d++) job->column_step[d] = column, column *= w->in[d];
    job->count = (double)sdx_window_product(w->kernel, w->rank);
    for (int d = 0; d <= inner; d++) {
        const int64_t needs = (w->out[d] - 1) * w->stride[d] + sdx_window_extent(w, d);
        const bool cut = !pooling->count_pad && (w->begin[d] > 0 || needs > w->in[d]);
        if (cut || needs > w->in[d] + w->begin[d] + w->end[d]) job->count = 0;
    }
    for (int d = 0; d <= inner; d++) {
        const int64_t reach = (w->in[d] - 1 + w->begin[d]) / w->dilation[d] + 1;
        job->kernel[d] = w->kernel[d];
        if (reach < w->kernel[d]) job->trimmed.window.kernel[d] = reach > 0 ? reach : 0;
    }
    w = &job->trimmed.window;
    job->outer_taps = sdx_window_product(w->kernel, inner);
    for (int64_t k = 0; k < w->kernel[inner] && k < SDX_POOL_INNER; k++)
        sdx_window_inside(w, inner, k, &job->first[k], &job->last[k]);
    measure_table(job);
    if (!sdx_pool_is_narrow(pooling->dtype)) return true;
    size_t x = 0, y = 0;
    if (!sdx_size_mul((size_t)job->in_plane, sizeof(float), &x) ||
        !sdx_size_mul((size_t)job->out_plane, sizeof(float), &y))
        return false;
    job->wide_x = align(x);
    job->wide_y = align(y);
    return true;
}

static size_t worker_bytes(const sdx_pool_job *job) { return job->wide_x + job->wide_y + job->places + job->line; }

size_t sdx_pooling_scratch(const sdx_pooling *pooling, int threads) {
    sdx_pool_job job;
    size_t bytes = 0;
    if (!sdx_pool_set_up(pooling, &job) || !sdx_size_mul(worker_bytes(&job), (size_t)threads, &bytes)) return SIZE_MAX;
    return bytes > SIZE_MAX - job.shared ? SIZE_MAX : bytes + job.shared;
}

sdx_pool_place sdx_pool_place_of(const sdx_pool_job *job, int64_t row, int64_t tap) {
    const sdx_window *w = &job->pooling->window;
    sdx_pool_place p = {.inside = true, .padded = true};
    for (int d = w->rank - 2; d >= 0; d--) {
        int64_t at = row % w->out[d] * w->stride[d] - w->begin[d] + tap % w->kernel[d] * w->dilation[d];
        row /= w->out[d], tap /= w->kernel[d];
        p.inside = p.inside && at >= 0 && at < w->in[d];
        p.padded = p.padded && at < w->in[d] + w->end[d];
        p.offset += at * job->step[d];
        p.column += at * job->column_step[d];
    }
    return p;
}

void sdx_pool_range_of(const sdx_pool_job *job, int64_t k, int64_t *first, int64_t *last) {
    const sdx_window *w = &job->pooling->window;
    if (k < SDX_POOL_INNER)
        *first = job->first[k], *last = job->last[k];
    else
        sdx_window_inside(w, w->rank - 1, k, first, last);
}

#define ROWS(T, LOWEST, IS_NAN)                                                                                        \
    static void max_row_##T(const sdx_pool_job *job, int64_t row, const T *x, T *y) {                                  \
        const sdx_window *w = &job->pooling->window;                                                                   \
        const int inner = w->rank - 1;                                                                                 \
        const int64_t step = w->stride[inner];                                                                         \
        for (int64_t o = 0; o < job->row; o++) y[o] = LOWEST;                                                          \
        SDX_POOL_EACH_PLACE(for (int64_t o = first; o < last; o++) {                                                   \
            const T v = x[base + o * step];                                                                            \
            if (v > y[o] || IS_NAN(v)) y[o] = v;                                                                       \
        })                                                                                                             \
    }                                                                                                                  \
    static void index_row_##T(const sdx_pool_job *job, int64_t row, const T *x, T *y, int64_t *index, int64_t start) { \
        const sdx_window *w = &job->pooling->window;                                                                   \
        const int inner = w->rank - 1;                                                                                 \
        const int64_t step = w->stride[inner];                                                                         \
        const bool column_major = job->pooling->column_major;                                                          \
        for (int64_t o = 0; o < job->row; o++) y[o] = LOWEST, index[o] = -1;                                           \
        SDX_POOL_EACH_PLACE(for (int64_t o = first; o < last; o++) {                                                   \
            const T v = x[base + o * step];                                                                            \
            if (index[o] >= 0 && !(v > y[o] || (IS_NAN(v) && !IS_NAN(y[o])))) continue;                                \
            const int64_t last_place = k * w->dilation[inner] - w->begin[inner] + o * step;                            \
            y[o] = v;                                                                                                  \
            index[o] = start + (column_major ? at.column + last_place * job->column_step[inner] : base + o * step);    \
        })                                                                                                             \
    }
#define NEVER_NAN(v) false
ROWS(float, -INFINITY, isnan)
ROWS(double, -(double)INFINITY, isnan)
ROWS(int8_t, INT8_MIN, NEVER_NAN)
ROWS(uint8_t, 0, NEVER_NAN)

/* How many places of dimension d count for output `out`. */
static double count_along(const sdx_pool_job *job, int d, int64_t out) {
    const sdx_window *w = &job->pooling->window;
    const bool pad = job->pooling->count_pad;
    const int64_t bound = w->in[d] + (pad ? w->end[d] : 0);
    const int64_t start = out * w->stride[d] - w->begin[d], step = w->dilation[d];
    const int64_t first = pad || start >= 0 ? 0 : (step - 1 - start) / step;
    int64_t last = bound > start ? (bound - start + step - 1) / step : 0;
    if (last > job->kernel[d]) last = job->kernel[d];
    return last > first ? (double)(last - first) : 0;
}

/* The same for a row, without the last dimension. */
static double count_of_row(const sdx_pool_job *job, int64_t row) {
    const sdx_window *w = &job->pooling->window;
    double count = 1;
    for (int d = w->rank - 2; d >= 0; row /= w->out[d], d--) count *= count_along(job, d, row % w->out[d]);
    return count;
}

double sdx_pool_count_of(const sdx_pool_job *job, int64_t row, int64_t o) {
    return count_of_row(job, row) * count_along(job, job->pooling->window.rank - 1, o);
}

#define SUM_ROW(T)                                                                                                     \
    static void sum_row_##T(const sdx_pool_job *job, int64_t row, const T *x, T *y) {                                  \
        const sdx_window *w = &job->pooling->window;                                                                   \
        const int inner = w->rank - 1;                                                                                 \
        const int64_t step = w->stride[inner];                                                                         \
        for (int64_t o = 0; o < job->row; o++) y[o] = 0;                                                               \
        SDX_POOL_EACH_PLACE(for (int64_t o = first; o < last; o++) y[o] += x[base + o * step];)                        \
        const double count = job->count > 0 ? job->count : count_of_row(job, row);                                     \
        for (int64_t o = 0; o < job->row; o++)                                                                         \
            y[o] = (T)((double)y[o] / (job->count > 0 ? count : count * count_along(job, inner, o)));                  \
    }                                                                                                                  \
    static void power_row_##T(const sdx_pool_job *job, int64_t row, const T *x, T *y) {                                \
        const sdx_window *w = &job->pooling->window;                                                                   \
        const int inner = w->rank - 1;                                                                                 \
        const int64_t step = w->stride[inner];                                                                         \
        const double p = job->pooling->p;                                                                              \
        for (int64_t o = 0; o < job->row; o++) y[o] = 0;                                                               \
        SDX_POOL_EACH_PLACE(for (int64_t o = first; o < last;                                                          \
                                 o++) { y[o] = (T)((double)y[o] + power(fabs((double)x[base + o * step]), p)); })      \
        for (int64_t o = 0; o < job->row; o++) y[o] = (T)root((double)y[o], p);                                        \
    }
static double power(double v, double p) { return p == 1 ? v : p == 2 ? v * v : pow(v, p); }
static double root(double v, double p) { return p == 1 ? v : p == 2 ? sqrt(v) : pow(v, 1 / p); }
SUM_ROW(float)
SUM_ROW(double)

/* Where the rows of the windows of the row of outputs at `out` begin; returns how many there are. */
static int64_t places_of(const sdx_pool_job *job, const int64_t *out, int64_t *places) {
    const sdx_window *w = &job->pooling->window;
    int64_t at[SDX_MAX_SPATIAL] = {0}, begin[SDX_MAX_SPATIAL], tap[SDX_MAX_SPATIAL] = {0}, n = 0;
    const int outer = w->rank - 1;
    for (int d = 0; d < outer; d++) at[d] = begin[d] = out[d] * w->stride[d] - w->begin[d];
    for (int64_t left = job->outer_taps; left > 0; left--) {
        int64_t offset = 0;
        bool inside = true;
        for (int d = 0; d < outer; d++) {
            inside = inside && at[d] >= 0 && at[d] < w->in[d];
            offset += at[d] * job->step[d];
        }
        if (inside) places[n++] = offset;
        for (int d = outer - 1; d >= 0; d--) {
            at[d] += w->dilation[d];
            if (++tap[d] < w->kernel[d]) break;
            at[d] = begin[d], tap[d] = 0;
        }
    }
    return n;
}

/* Whether all rows of those windows are in the input; *base: where the first begins. */
static bool whole_places(const sdx_pool_job *job, const int64_t *out, int64_t *base) {
    const sdx_window *w = &job->pooling->window;
    *base = 0;
    for (int d = 0; d < w->rank - 1; d++) {
        const int64_t at = out[d] * w->stride[d] - w->begin[d];
        if (at < 0 || at + (w->kernel[d] - 1) * w->dilation[d] >= w->in[d]) return false;
        *base += at * job->step[d];
    }
    return true;
}

/* A plane by the rows of the table; `own` holds a worker's offsets and line. */
static void table_plane(const sdx_pool_job *job, const float *x, float *y, char *own) {
    const sdx_window *w = &job->pooling->window;
    const int inner = w->rank - 1;
    const bool average = job->pooling->kind == SDX_POOL_AVERAGE;
    const sdx_binary_fn divide = job->kernels->binary(SDX_BINARY_Div, SDX_F32);
    const sdx_binary_fn times = job->kernels->binary(SDX_BINARY_Mul, SDX_F32);
    int64_t *places = (int64_t *)(void *)own;
    sdx_pool_row r = {.x = x,
                      .rows = places,
                      .in = w->in[inner],
                      .begin = w->begin[inner],
                      .taps = w->kernel[inner],
                      .stride = w->stride[inner],
                      .dilation = w->dilation[inner],
                      .n = job->row,
                      .line = (float *)(void *)(own + job->places)};
    int64_t out[SDX_MAX_SPATIAL] = {0}; /* where the row lies in the output */
    int64_t base = 0, first = -1;       /* of a whole window; of the one that `places` are for, or -1 */
    for (int64_t row = 0; row < job->rows; row++, y += job->row) {
        const bool whole = whole_places(job, out, &base);
        if (!whole || first < 0) {
            r.n_rows = places_of(job, out, places);
            first = whole ? base : -1;
        }
        r.x = whole ? x + (base - first) : x;
        for (int d = inner - 1; d >= 0 && ++out[d] == w->out[d]; d--) out[d] = 0;
        r.y = y;
        (average ? job->kernels->pool_sum_row_f32 : job->kernels->pool_max_row_f32)(&r);
        if (!average) continue;
        const float count = (float)(job->count > 0 ? job->count : count_of_row(job, row));
        if (job->count > 0) {
            divide(y, 1, &count, 0, y, job->row);
            continue;
        }
        times(job->counts, 1, &count, 0, r.line, job->row);
        divide(y, 1, r.line, 1, y, job->row);
    }
}

#define PLANE(T)                                                                                                       \
    static void plane_##T(const sdx_pool_job *job, const T *x, T *y, int64_t *index, int64_t start) {                  \
        for (int64_t row = 0; row < job->rows; row++, y += job->row, index += index ? job->row : 0) {                  \
            if (job->pooling->kind == SDX_POOL_AVERAGE)                                                                \
                sum_row_##T(job, row, x, y);                                                                           \
            else if (job->pooling->kind == SDX_POOL_LP)                                                                \
                power_row_##T(job, row, x, y);                                                                         \
            else if (index)                                                                                            \
                index_row_##T(job, row, x, y, index, start);                                                           \
            else                                                                                                       \
                max_row_##T(job, row, x, y);                                                                           \
        }                                                                                                              \
    }
#define PLANE_INTEGER(T)                                                                                               \
    static void plane_##T(const sdx_pool_job *job, const T *x, T *y, int64_t *index, int64_t start) {                  \
        for (int64_t row = 0; row < job->rows; row++, y += job->row, index += index ? job->row : 0) {                  \
            if (index)                                                                                                 \
                index_row_##T(job, row, x, y, index, start);                                                           \
            else                                                                                                       \
                max_row_##T(job, row, x, y);                                                                           \
        }                                                                                                              \
    }
PLANE(float)
PLANE(double)
PLANE_INTEGER(int8_t)
PLANE_INTEGER(uint8_t)

bool sdx_pool_halves(const sdx_pool_job *job) {
    const sdx_window *w = &job->trimmed.window;
    for (int d = 0; d < w->rank; d++)
        if (w->kernel[d] != 2 || w->stride[d] != 2 || w->dilation[d] != 1 || w->begin[d] != 0 ||
            w->out[d] > w->in[d] / 2)
            return false;
    return w->rank == 2;
}

static float larger(float a, float b) { return a > b ? a : b; }
static float first_nan(float a, float b) { return a != a || a > b ? a : b; }

enum { SHORT_ROW = 32 }; /* longer ones are faster by vectors */

/* In the order of the rows of the table: the same zeros, the same NaN. */
static void halve_plane(const sdx_pool_job *job, const float *x, float *y) {
    const int64_t pitch = job->trimmed.window.in[1];
    for (int64_t row = 0; row < job->rows; row++, x += 2 * pitch, y += job->row)
        for (int64_t o = 0; o < job->row; o++) {
            const float a = x[2 * o], b = x[2 * o + 1], c = x[pitch + 2 * o], d = x[pitch + 2 * o + 1];
            y[o] = larger(larger(a, c), larger(b, d));
            if (__builtin_isunordered(a, b) || __builtin_isunordered(c, d))
                y[o] = first_nan(first_nan(a, c), first_nan(b, d));
        }
}

static void f32_plane(const sdx_pool_job *job, const float *x, float *y, int64_t *index, int64_t start, char *own) {
    if (job->halves && !index)
        halve_plane(job, x, y);
    else if (job->table && !index)
        table_plane(job, x, y, own + job->wide_x + job->wide_y);
    else
        plane_float(job, x, y, index, start);
}

static void narrow_plane(const sdx_pool_job *job, const uint16_t *x, uint16_t *y, int64_t *index, int64_t start,
                         char *own) {
    const bool f16 = job->pooling->dtype == SDX_F16;
    float *wide_x = (float *)(void *)own, *wide_y = (float *)(void *)(own + job->wide_x);
    (f16 ? job->kernels->f32_from_f16 : job->kernels->f32_from_bf16)(x, wide_x, job->in_plane);
    f32_plane(job, wide_x, wide_y, index, start, own);
    (f16 ? job->kernels->f16_from_f32 : job->kernels->bf16_from_f32)(wide_y, y, job->out_plane);
}

static void run_planes(void *argument, int64_t begin, int64_t end, int worker) {
    const sdx_pool_job *job = argument;
    const sdx_pooling *pooling = job->pooling;
    const int64_t size = (int64_t)sdx_dtype_size(pooling->dtype);
    char *own = job->scratch + job->shared + (size_t)worker * worker_bytes(job);
    for (int64_t plane = begin; plane < end; plane++) {
        const int64_t start = plane * job->in_plane;
        const void *x = (const char *)pooling->x + start * size;
        void *y = (char *)pooling->y + plane * job->out_plane * size;
        int64_t *index = pooling->indices ? pooling->indices + plane * job->out_plane : NULL;
        if (sdx_pool_is_narrow(pooling->dtype))
            narrow_plane(job, x, y, index, start, own);
        else if (pooling->dtype == SDX_F32)
            f32_plane(job, x, y, index, start, own);
        else if (pooling->dtype == SDX_F64)
            plane_double(job, x, y, index, start);
        else if (pooling->dtype == SDX_I8)
            plane_int8_t(job, x, y, index, start);
        else
            plane_uint8_t(job, x, y, index, start);
    }
}

sdx_status sdx_pooling_run(sdx_compute *compute, const sdx_pooling *pooling, void *scratch) {
    sdx_pool_job job;
    if (!sdx_pool_set_up(pooling, &job)) return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "planes of a pool");
    job.kernels = compute->kernels;
    job.scratch = scratch;
    job.counts = scratch;
    job.halves = pooling->kind == SDX_POOL_MAX && job.row <= SHORT_ROW && sdx_pool_halves(&job);
    if (job.table && pooling->kind == SDX_POOL_AVERAGE)
        for (int64_t o = 0; o < job.row; o++) job.counts[o] = (float)count_along(&job, pooling->window.rank - 1, o);
    const int64_t cost = job.out_plane * job.outer_taps * job.trimmed.window.kernel[pooling->window.rank - 1];
    return sdx_for(compute, pooling->planes, cost ? 65536 / cost + 1 : 1, run_planes, &job);
}

/* ---- all of a plane at once -----------------------------------------------------------------------------------------
 */

sdx_status sdx_pool_infer_global(sdx_infer *infer) {
    const sdx_type *x = infer->in[0];
    sdx_type *y = &infer->out[0];
    if (x->rank < 0) return SDX_OK;
    if (x->rank < 2) return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be 2 or more", x->rank);
    y->rank = x->rank;
    for (int d = 0; d < x->rank; d++) y->dim[d] = d < 2 ? x->dim[d] : 1;
    return SDX_OK;
}

typedef struct global_job {
    const sdx_kernels *kernels;
    sdx_pool_kind kind;
    double p;
    sdx_dtype dtype;
    int64_t n;
    const void *x;
    void *y;
} global_job;

static double get(sdx_dtype dtype, const void *x, int64_t k) {
    if (dtype == SDX_F64) return ((const double *)x)[k];
    if (dtype == SDX_F32) return (double)((const float *)x)[k];
    uint16_t bits = ((const uint16_t *)x)[k];
    return (double)(dtype == SDX_F16 ? sdx_f32_from_f16(bits) : sdx_f32_from_bf16(bits));
}
static void put(sdx_dtype dtype, void *y, int64_t k, double v) {
    if (dtype == SDX_F64)
        ((double *)y)[k] = v;
    else if (dtype == SDX_F32)
        ((float *)y)[k] = (float)v;
    else
        ((uint16_t *)y)[k] = dtype == SDX_F16 ? sdx_f16_from_f64(v) : sdx_bf16_from_f64(v);
}

/* The reducer whose result root() finishes; COUNT: powers that none of them takes. */
static sdx_reducer_id reducer_of(const global_job *job) {
    if (job->kind == SDX_POOL_MAX) return SDX_REDUCER_MAX;
    if (job->kind == SDX_POOL_AVERAGE) return SDX_REDUCER_SUM;
    return job->p == 1 ? SDX_REDUCER_SUM_ABS : job->p == 2 ? SDX_REDUCER_SUM_SQUARE : SDX_REDUCER_COUNT;
}

static double reduce_plane(const global_job *job, int64_t plane) {
    enum { PIECE = 256 };
    const int64_t start = plane * job->n;
    const sdx_dtype work = sdx_work_dtype(job->dtype);
    const size_t size = sdx_dtype_size(job->dtype);
    const sdx_reducer_id id = reducer_of(job);
    double total = id == SDX_REDUCER_MAX ? -(double)INFINITY : 0;
    if (id == SDX_REDUCER_COUNT) {
        for (int64_t k = 0; k < job->n; k++) total += power(fabs(get(job->dtype, job->x, start + k)), job->p);
    } else if (work == job->dtype) {
        const void *x = (const char *)job->x + (size_t)start * size;
        job->kernels->reducer(id, work)->rows(x, job->n, 1, job->n, &total, NULL);
    } else {
        float piece[PIECE];
        for (int64_t k = 0; k < job->n; k += PIECE) {
            const int64_t n = job->n - k < PIECE ? job->n - k : PIECE;
            sdx_convert(job->kernels, job->dtype, (const char *)job->x + (size_t)(start + k) * size, SDX_F32, piece, n);
            job->kernels->reducer(id, SDX_F32)->rows(piece, n, 1, n, &total, NULL);
        }
    }
    if (job->kind == SDX_POOL_MAX) return total;
    return job->kind == SDX_POOL_LP ? root(total, job->p) : total / (double)job->n;
}

static void reduce_planes(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const global_job *job = argument;
    for (int64_t plane = begin; plane < end; plane++) put(job->dtype, job->y, plane, reduce_plane(job, plane));
}

sdx_status sdx_pool_run_global(sdx_compute *compute, sdx_pool_kind kind, double p) {
    const sdx_tensor *x = compute->in[0];
    global_job job = {.kernels = compute->kernels, .kind = kind, .p = p, .dtype = x->dtype, .x = x->data};
    job.y = compute->out[0]->data;
    job.n = sdx_window_product(x->dim + 2, x->rank - 2);
    return sdx_for(compute, compute->out[0]->count, 16384 / (job.n + 1) + 1, reduce_planes, &job);
}
