/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/lines.h"
#include <string.h>

enum { TILE = 16, LONG = 16384 }; /* longer lines are moved fewer at a time, so that a tile stays in the cache */

void sdx_lines_make(sdx_lines *lines, int rank, const int64_t *dims, const bool *along) {
    int64_t stride[SDX_MAX_RANK + 1], dim[2][SDX_MAX_RANK], step[2][SDX_MAX_RANK];
    int n[2] = {0, 0};
    sdx_strides(rank, dims, stride);
    for (int d = 0; d < rank; d++) {
        int which = along[d] ? 1 : 0;
        dim[which][n[which]] = dims[d];
        step[which][n[which]++] = stride[d];
    }
    sdx_walk *walks[2] = {&lines->kept, &lines->along};
    for (int k = 0; k < 2; k++) {
        sdx_walk_begin(walks[k], n[k], dim[k]);
        sdx_walk_add(walks[k], step[k]);
        sdx_walk_collapse(walks[k]);
    }
    const sdx_walk *kept = &lines->kept, *inside = &lines->along;
    lines->count = kept->count;
    lines->length = inside->count;
    lines->dense = inside->rank == 1 && (inside->dim[0] <= 1 || inside->stride[0][0] == 1);
    int64_t side = kept->dim[kept->rank - 1], tile = lines->length > LONG ? 4 : TILE;
    bool adjacent = !lines->dense && kept->stride[0][kept->rank - 1] == 1 && side > 1;
    lines->tile = !adjacent ? 1 : side < tile ? side : tile;
}

void sdx_lines_between(sdx_lines *lines, int rank, const int64_t *dims, int first, int last) {
    bool along[SDX_MAX_RANK] = {false};
    for (int d = first; d < last; d++) along[d] = true;
    sdx_lines_make(lines, rank, dims, along);
}

sdx_dtype sdx_lines_work(sdx_dtype a, sdx_dtype b, sdx_dtype c) {
    return a == SDX_F64 || b == SDX_F64 || c == SDX_F64 ? SDX_F64 : SDX_F32;
}

static bool direct(const sdx_lines *lines, sdx_dtype from, sdx_dtype work, sdx_dtype to) {
    return lines->dense && from == work && to == work;
}

static size_t buffer_size(const sdx_lines *lines, sdx_dtype work) {
    return sdx_align((size_t)(lines->tile * lines->length) * sdx_dtype_size(work));
}

size_t sdx_lines_scratch(const sdx_lines *lines, int threads, sdx_dtype from, sdx_dtype work, sdx_dtype to) {
    int64_t elements, bytes;
    if (direct(lines, from, work, to)) return 0;
    if (!sdx_dim_mul(lines->tile, lines->length, &elements) || elements > INT64_MAX / 16 ||
        !sdx_dim_mul((int64_t)buffer_size(lines, work), threads, &bytes))
        return SIZE_MAX;
    return (size_t)bytes;
}

typedef struct line_job {
    const sdx_lines *lines;
    const struct sdx_kernels *kernels;
    sdx_dtype from, work, to;
    const char *x;
    char *y, *buffers;
    sdx_line_fn fn;
    const void *context;
} line_job;

/* m neighbours of the tensor go to places `apart` elements apart in the buffer, or come from there. */
static void spread(sdx_dtype work, const void *from, void *to, int64_t m, int64_t apart) {
    if (work == SDX_F32)
        for (int64_t t = 0; t < m; t++) ((float *)to)[t * apart] = ((const float *)from)[t];
    else
        for (int64_t t = 0; t < m; t++) ((double *)to)[t * apart] = ((const double *)from)[t];
}

static void collect(sdx_dtype work, const void *from, void *to, int64_t m, int64_t apart) {
    if (work == SDX_F32)
        for (int64_t t = 0; t < m; t++) ((float *)to)[t] = ((const float *)from)[t * apart];
    else
        for (int64_t t = 0; t < m; t++) ((double *)to)[t] = ((const double *)from)[t * apart];
}

/* Moves m lines whose first elements are neighbours at `base` between the tensor and the buffer. */
static void move(const line_job *job, int64_t base, int64_t m, char *buffer, bool in) {
    const sdx_walk *along = &job->lines->along;
    int64_t length = job->lines->length, step = along->stride[0][along->rank - 1];
    size_t stored = sdx_dtype_size(in ? job->from : job->to), size = sdx_dtype_size(job->work);
    double place[TILE];
    sdx_cursor at;
    sdx_cursor_seek(along, 0, &at);
    for (int64_t k = 0, run; k < length; k += run, sdx_cursor_move(along, &at, run)) {
        run = sdx_cursor_run(along, &at, length - k);
        size_t offset = (size_t)(base + at.offset[0]) * stored;
        if (m == 1 && step == 1) {
            char *line = buffer + (size_t)k * size;
            if (in)
                sdx_convert(job->kernels, job->from, job->x + offset, job->work, line, run);
            else
                sdx_convert(job->kernels, job->work, line, job->to, job->y + offset, run);
            continue;
        }
        for (int64_t j = 0; j < run; j++, offset += (size_t)step * stored) {
            char *column = buffer + (size_t)(k + j) * size;
            if (in && job->from == job->work) {
                spread(job->work, job->x + offset, column, m, length);
            } else if (in) {
                sdx_convert(job->kernels, job->from, job->x + offset, job->work, place, m);
                spread(job->work, place, column, m, length);
            } else if (job->to == job->work) {
                collect(job->work, column, job->y + offset, m, length);
            } else {
                collect(job->work, column, place, m, length);
                sdx_convert(job->kernels, job->work, place, job->to, job->y + offset, m);
            }
        }
    }
}

static void scattered(const line_job *job, int64_t line, int64_t base, int64_t m, char *buffer) {
    int64_t length = job->lines->length;
    move(job, base, m, buffer, true);
    for (int64_t t = 0; t < m; t++) {
        char *at = buffer + (size_t)(t * length) * sdx_dtype_size(job->work);
        job->fn(job->context, line + t, at, at, length);
    }
    if (job->y) move(job, base, m, buffer, false);
}

static void dense(const line_job *job, int64_t line, int64_t base, char *buffer) {
    int64_t length = job->lines->length;
    const char *x = job->x + (size_t)base * sdx_dtype_size(job->from);
    char *y = job->y ? job->y + (size_t)base * sdx_dtype_size(job->to) : NULL;
    char *result = y && job->to == job->work ? y : buffer;
    if (job->from != job->work) {
        sdx_convert(job->kernels, job->from, x, job->work, buffer, length);
        x = buffer;
    }
    job->fn(job->context, line, x, result, length);
    if (y && result != y) sdx_convert(job->kernels, job->work, result, job->to, y, length);
}

/* A unit is one tile: `tile` lines, fewer at the end of the kept inner dimension. */
static int64_t tiles_of_side(const sdx_lines *lines) {
    int64_t side = lines->kept.dim[lines->kept.rank - 1];
    return (side + lines->tile - 1) / lines->tile;
}

static void run_dense(const line_job *job, int64_t begin, int64_t end, char *buffer) {
    const sdx_walk *kept = &job->lines->kept;
    sdx_cursor at;
    sdx_cursor_seek(kept, begin, &at);
    for (int64_t line = begin, run; line < end; line += run, sdx_cursor_move(kept, &at, run)) {
        run = sdx_cursor_run(kept, &at, end - line);
        const int64_t step = kept->stride[0][kept->rank - 1];
        for (int64_t k = 0; k < run; k++) dense(job, line + k, at.offset[0] + k * step, buffer);
    }
}

static void run_units(void *argument, int64_t begin, int64_t end, int worker) {
    const line_job *job = argument;
    const sdx_lines *lines = job->lines;
    char *buffer = job->buffers ? job->buffers + (size_t)worker * buffer_size(lines, job->work) : NULL;
    if (lines->dense) {
        run_dense(job, begin, end, buffer);
        return;
    }
    int64_t side = lines->kept.dim[lines->kept.rank - 1], tiles = lines->tile > 1 ? tiles_of_side(lines) : side;
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t within = unit % tiles * lines->tile, line = unit / tiles * side + within;
        int64_t m = side - within < lines->tile ? side - within : lines->tile;
        sdx_cursor at;
        sdx_cursor_seek(&lines->kept, line, &at);
        scattered(job, line, at.offset[0], m, buffer);
    }
}

sdx_status sdx_lines_run(sdx_compute *compute, const sdx_lines *lines, sdx_dtype work, const sdx_tensor *x,
                         const sdx_tensor *y, void *scratch, int64_t cost, sdx_line_fn fn, const void *context) {
    if (lines->count == 0) return SDX_OK;
    sdx_dtype to = y ? y->dtype : work;
    line_job job = {.lines = lines,
                    .kernels = compute->kernels,
                    .from = x->dtype,
                    .work = work,
                    .to = to,
                    .x = x->data,
                    .y = y ? y->data : NULL,
                    .buffers = direct(lines, x->dtype, work, to) && y ? NULL : scratch,
                    .fn = fn,
                    .context = context};
    int64_t side = lines->kept.dim[lines->kept.rank - 1];
    int64_t units = lines->tile > 1 ? lines->count / side * tiles_of_side(lines) : lines->count;
    int64_t each = lines->tile * (lines->length + 1);
    return sdx_for(compute, units, sdx_grain(each > INT64_MAX / cost ? INT64_MAX : each * cost), run_units, &job);
}
