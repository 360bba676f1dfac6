/* SPDX-License-Identifier: Apache-2.0
 * Interpolation along two axes at a time, row by row: the rows of the first axis are blended into one line that stays
 * in the cache, then the line is sampled along the second axis. */
#include "ops/resample.h"
#include "ops/lines.h"
#include "ops/move.h"
#include <math.h>

enum { PIECE = 4096 }; /* elements of a row handled at a time where no second axis follows */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

sdx_dtype sdx_resample_work(sdx_dtype dtype) {
    if (dtype == SDX_C64) return SDX_F32;
    return sdx_work_dtype(dtype) == SDX_F32 ? SDX_F32 : SDX_F64;
}

/* ---- bands --------------------------------------------------------------------------------------------------------
 */

size_t sdx_bands_size(int64_t out, int64_t most, sdx_dtype work, bool lanes) {
    size_t cells = 0, each = sdx_dtype_size(work) + (lanes ? sizeof(int32_t) + sdx_dtype_size(work) : 0), bytes = 0;
    if (!sdx_size_mul((size_t)out, (size_t)most, &cells) || !sdx_size_mul(cells, each, &bytes)) return SIZE_MAX;
    if (!sdx_size_mul((size_t)out, 2 * sizeof(int64_t), &cells) || !sdx_size_add(bytes, cells, &bytes)) return SIZE_MAX;
    return sdx_size_add(bytes, 6 * SDX_ALIGNMENT, &bytes) ? sdx_align(bytes - SDX_ALIGNMENT) : SIZE_MAX;
}

static void *take(char **room, size_t size) {
    char *at = *room;
    *room += sdx_align(size);
    return at;
}

void sdx_bands_init(sdx_bands *bands, int64_t out, int64_t most, sdx_dtype work, bool lanes, char **room) {
    const size_t cells = (size_t)out * (size_t)most, wide = sdx_dtype_size(work);
    *bands = (sdx_bands){.out = out, .most = most, .work = work};
    bands->first = take(room, (size_t)out * sizeof(int64_t));
    bands->count = take(room, (size_t)out * sizeof(int64_t));
    bands->weight = take(room, cells * wide);
    if (!lanes) return;
    bands->place = take(room, cells * sizeof(int32_t));
    bands->lane = take(room, cells * wide);
}

void sdx_bands_set(sdx_bands *bands, int64_t i, int64_t first, int64_t count, const double *weight) {
    while (count > 0 && weight[0] == 0) first++, weight++, count--;
    while (count > 0 && weight[count - 1] == 0) count--;
    bands->first[i] = count ? first : 0;
    bands->count[i] = count;
    if (count > bands->taps) bands->taps = count;
    if (bands->work == SDX_F64)
        for (int64_t k = 0; k < count; k++) ((double *)bands->weight)[i * bands->most + k] = weight[k];
    else
        for (int64_t k = 0; k < count; k++) ((float *)bands->weight)[i * bands->most + k] = (float)weight[k];
}

void sdx_bands_fill(sdx_bands *bands, int64_t i) {
    bands->first[i] = -1;
    bands->count[i] = 0;
    bands->fills = true;
}

#define LANES(T)                                                                                                       \
    for (int64_t k = 0; k < bands->taps; k++)                                                                          \
        for (int64_t i = 0; i < bands->out; i++) {                                                                     \
            const bool there = k < bands->count[i];                                                                    \
            bands->place[k * bands->out + i] = there ? (int32_t)(bands->first[i] + k) : -1;                            \
            ((T *)bands->lane)[k * bands->out + i] = there ? ((const T *)bands->weight)[i * bands->most + k] : 0;      \
        }

void sdx_bands_finish(sdx_bands *bands) {
    if (!bands->place) return;
    if (bands->work == SDX_F64) {
        LANES(double)
    } else {
        LANES(float)
    }
}

/* ---- rows ---------------------------------------------------------------------------------------------------------
 */

typedef struct geometry {
    int64_t line, result, piece, pieces, v_out; /* of a row: elements read, elements made; how it is cut */
    size_t from, to, wide;
} geometry;

static geometry measure(const sdx_resample *r) {
    geometry g = {.line = r->columns * r->inner, .v_out = r->v ? r->v->out : r->v_in};
    g.result = (r->h ? r->h->out : r->columns) * r->inner;
    g.piece = r->h ? g.result : PIECE;
    g.pieces = r->h ? g.result > 0 : (g.result + PIECE - 1) / PIECE;
    g.from = sdx_dtype_size(r->from), g.to = sdx_dtype_size(r->to), g.wide = sdx_dtype_size(r->work);
    return g;
}

static int64_t line_room(const sdx_resample *r, const geometry *g) { return r->h ? g->line : least(g->line, PIECE); }
static int64_t result_room(const sdx_resample *r, const geometry *g) {
    return r->h ? g->result : least(g->result, PIECE);
}

size_t sdx_resample_room(const sdx_resample *r) {
    const geometry g = measure(r);
    return 2 * sdx_align((size_t)line_room(r, &g) * g.wide) + sdx_align((size_t)result_room(r, &g) * g.wide);
}

int64_t sdx_resample_pieces(const sdx_resample *r) {
    const geometry g = measure(r);
    return r->outer * g.v_out * r->mid * g.pieces;
}

int64_t sdx_resample_cost(const sdx_resample *r) {
    const geometry g = measure(r);
    return line_room(r, &g) * (r->v ? r->v->taps : 1) + result_room(r, &g) * (r->h ? 2 * r->h->taps : 1);
}

static void put_fill(const sdx_resample *r, void *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const double v = r->pairs && i % 2 ? 0 : r->fill;
        if (r->work == SDX_F64)
            ((double *)y)[i] = v;
        else
            ((float *)y)[i] = (float)v;
    }
}

static void blend(const sdx_kernels *kernels, sdx_dtype work, const void *x, int64_t step, const void *weight,
                  int64_t taps, int64_t n, bool add, void *y) {
    if (work == SDX_F64)
        kernels->blend_f64(x, step, weight, taps, n, add, y);
    else
        kernels->blend_f32(x, step, weight, taps, n, add, y);
}

static bool is_one(sdx_dtype work, const void *weight) {
    return work == SDX_F64 ? *(const double *)weight == 1 : *(const float *)weight == 1;
}

/* n elements of result i along v, from x on; in `y`, or where they lie. */
static const void *blend_rows(const sdx_kernels *kernels, const sdx_resample *r, const char *x, int64_t i, int64_t n,
                              char *buffer, void *y) {
    const size_t from = sdx_dtype_size(r->from), wide = sdx_dtype_size(r->work);
    const int64_t step = r->mid * r->pitch, count = r->v ? r->v->count[i] : 1;
    const char *weight = r->v ? (const char *)r->v->weight + (size_t)(i * r->v->most) * wide : NULL;
    if (count == 1 && (!weight || is_one(r->work, weight))) {
        if (r->from == r->work) return x;
        sdx_convert(kernels, r->from, x, r->work, y, n);
        return y;
    }
    if (r->from == r->work || count == 0) {
        blend(kernels, r->work, x, step, weight, count, n, false, y);
        return y;
    }
    for (int64_t k = 0; k < count; k++) {
        sdx_convert(kernels, r->from, x + (size_t)(k * step) * from, r->work, buffer, n);
        blend(kernels, r->work, buffer, 0, weight + (size_t)k * wide, 1, n, k > 0, y);
    }
    return y;
}

/* One row of results along h. */
static void sample_line(const sdx_kernels *kernels, const sdx_resample *r, const char *line, char *y) {
    const sdx_bands *h = r->h;
    const size_t wide = sdx_dtype_size(r->work), cell = (size_t)r->inner * wide;
    if (h->place && r->work == SDX_F64)
        kernels->sample_f64((const void *)line, h->place, h->lane, h->taps, h->out, h->out, (void *)y);
    else if (h->place)
        kernels->sample_f32((const void *)line, h->place, h->lane, h->taps, h->out, h->out, (void *)y);
    if (h->place && !h->fills) return;
    for (int64_t i = 0; i < h->out; i++) {
        if (h->first[i] < 0)
            put_fill(r, y + (size_t)i * cell, r->inner);
        else if (!h->place)
            blend(kernels, r->work, line + (size_t)h->first[i] * cell, r->inner,
                  (const char *)h->weight + (size_t)(i * h->most) * wide, h->count[i], r->inner, false,
                  y + (size_t)i * cell);
    }
}

static void run_piece(const sdx_kernels *kernels, const sdx_resample *r, const geometry *g, int64_t task, char *room) {
    const int64_t piece = task % g->pieces, row = task / g->pieces;
    const int64_t m = row % r->mid, i = row / r->mid % g->v_out, o = row / r->mid / g->v_out;
    const int64_t start = piece * g->piece, n = least(g->piece, g->result - start);
    const int64_t first = r->v ? r->v->first[i] : i;
    char *buffer = room, *line = buffer + sdx_align((size_t)line_room(r, g) * g->wide);
    char *target = (char *)r->y + (size_t)(row * g->result + start) * g->to;
    char *made = r->to == r->work && !r->rounds ? target : line + sdx_align((size_t)line_room(r, g) * g->wide);
    if (first < 0) {
        put_fill(r, made, n);
    } else {
        const char *x =
            (const char *)r->x + (size_t)(((o * r->v_in + first) * r->mid + m) * r->pitch + start) * g->from;
        const void *from = blend_rows(kernels, r, x, i, r->h ? g->line : n, buffer, r->h ? line : made);
        if (r->h)
            sample_line(kernels, r, from, made);
        else if (from != made)
            memcpy(made, from, (size_t)n * g->wide);
    }
    if (r->rounds) kernels->unary(SDX_UNARY_Round, r->work)(made, made, n, NULL);
    if (made != target) sdx_convert(kernels, r->work, made, r->to, target, n);
}

void sdx_resample_some(const sdx_kernels *kernels, const sdx_resample *r, int64_t begin, int64_t end, char *room) {
    const geometry g = measure(r);
    for (int64_t task = begin; task < end; task++) run_piece(kernels, r, &g, task, room);
}

typedef struct resample_job {
    const sdx_kernels *kernels;
    const sdx_resample *r;
    char *room;
    size_t each;
} resample_job;

static void run_some(void *argument, int64_t begin, int64_t end, int worker) {
    const resample_job *job = argument;
    sdx_resample_some(job->kernels, job->r, begin, end, job->room + (size_t)worker * job->each);
}

sdx_status sdx_resample_run(sdx_compute *compute, const sdx_resample *r, char *room) {
    resample_job job = {compute->kernels, r, room, sdx_resample_room(r)};
    return sdx_for(compute, sdx_resample_pieces(r), sdx_grain(sdx_resample_cost(r)), run_some, &job);
}

/* ---- scattered places ---------------------------------------------------------------------------------------------
 */

#define FETCH(T)                                                                                                       \
    do {                                                                                                               \
        const T *from = x;                                                                                             \
        T *to = y;                                                                                                     \
        for (int64_t i = 0; i < n; i++) to[i] = place[i] < 0 ? (T)0 : from[place[i]];                                  \
    } while (0)

void sdx_fetch(size_t size, const void *x, const int32_t *place, int64_t n, void *y) {
    switch (size) {
    case 1: FETCH(uint8_t); break;
    case 2: FETCH(uint16_t); break;
    case 4: FETCH(uint32_t); break;
    case 8: FETCH(uint64_t); break;
    default:
        for (int64_t i = 0; i < n; i++) {
            if (place[i] < 0)
                memset((char *)y + 16 * i, 0, 16);
            else
                memcpy((char *)y + 16 * i, (const char *)x + 16 * (int64_t)place[i], 16);
        }
    }
}

#define GATHER_SUM(T)                                                                                                  \
    do {                                                                                                               \
        const T *w = (const T *)weight + k * pitch + at, *v = (const T *)(const void *)wide;                           \
        T *to = (T *)y + at * parts;                                                                                   \
        for (int64_t i = 0; i < m * parts; i++) to[i] += w[parts == 2 ? i / 2 : i] * v[i];                             \
    } while (0)

void sdx_sample(const sdx_kernels *kernels, sdx_dtype dtype, const void *x, const int32_t *place, const void *weight,
                int64_t taps, int64_t pitch, int64_t n, void *y) {
    enum { BLOCK = 64 };
    if (dtype == SDX_F32) {
        kernels->sample_f32(x, place, weight, taps, pitch, n, y);
        return;
    }
    if (dtype == SDX_F64) {
        kernels->sample_f64(x, place, weight, taps, pitch, n, y);
        return;
    }
    const bool pairs = sdx_dtype_class(dtype) == SDX_CLASS_COMPLEX;
    const sdx_dtype work = sdx_resample_work(dtype), part = pairs ? work : dtype;
    const int64_t parts = pairs ? 2 : 1;
    double raw[2 * BLOCK], wide[2 * BLOCK];
    memset(y, 0, (size_t)(n * parts) * sdx_dtype_size(work));
    for (int64_t at = 0; at < n; at += BLOCK) {
        const int64_t m = least(BLOCK, n - at);
        for (int64_t k = 0; k < taps; k++) {
            sdx_fetch(sdx_dtype_size(dtype), x, place + k * pitch + at, m, raw);
            sdx_convert(kernels, part, raw, work, wide, m * parts);
            if (work == SDX_F64)
                GATHER_SUM(double);
            else
                GATHER_SUM(float);
        }
    }
}

void sdx_taps_linear(double x, int64_t n, sdx_tap_axis *out) {
    *out = (sdx_tap_axis){{-1, -1, -1, -1}, {0}};
    if (!(x > -1 && x < (double)n)) return;
    const double base = floor(x), ratio = x - base;
    const int64_t at = (int64_t)base;
    out->weight[0] = 1 - ratio, out->weight[1] = ratio;
    if (at >= 0) out->at[0] = at;
    if (at + 1 < n && ratio > 0) out->at[1] = at + 1;
}

/* The same for a plane, where most of them are wanted. */
static void cross_plane(int64_t width, int n, const sdx_tap_axis *axes, int64_t pitch, sdx_dtype work, int32_t *place,
                        void *weight) {
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) {
            const int64_t k = (r * n + c) * pitch, row = axes[0].at[r], column = axes[1].at[c];
            const double w = axes[0].weight[r] * axes[1].weight[c];
            place[k] = row < 0 || column < 0 ? -1 : (int32_t)(row * width + column);
            if (work == SDX_F64)
                ((double *)weight)[k] = w;
            else
                ((float *)weight)[k] = (float)w;
        }
}

void sdx_taps_cross(int rank, const int64_t *dims, int n, const sdx_tap_axis *axes, int64_t pitch, sdx_dtype work,
                    int32_t *place, void *weight) {
    int digit[SDX_MAX_RANK] = {0};
    if (rank == 2) {
        cross_plane(dims[1], n, axes, pitch, work, place, weight);
        return;
    }
    for (int64_t k = 0;; k++) {
        int64_t at = 0;
        double w = 1;
        for (int d = 0; d < rank; d++) {
            const int64_t step = axes[d].at[digit[d]];
            at = at < 0 || step < 0 ? -1 : at * dims[d] + step;
            w *= axes[d].weight[digit[d]];
        }
        place[k * pitch] = (int32_t)at;
        if (work == SDX_F64)
            ((double *)weight)[k * pitch] = w;
        else
            ((float *)weight)[k * pitch] = (float)w;
        int d = rank - 1;
        while (d >= 0 && ++digit[d] == n) digit[d--] = 0;
        if (d < 0) return;
    }
}
