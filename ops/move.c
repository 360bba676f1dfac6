/* SPDX-License-Identifier: Apache-2.0
 * A box is first simplified: dimensions of one are dropped, neighbours that lie in one line in both places become one,
 * and a dense innermost run becomes one wide element. What remains is copied line by line, or, where source and target
 * are dense along different dimensions, tile by tile. */
#include "ops/move.h"
#include "ops/kernels/kernels.h"
#include <inttypes.h>

enum {
    TILE = 32,             /* elements */
    WIDE = 256,            /* the same where there are few across */
    LINE_BYTES = 64 << 10, /* a long line */
    LINE = 64,             /* a cache line */
    WAYS = 8,              /* lines that may fall on each other */
    FOLD = 2048            /* half an L1 way */
};

/* Strides in bytes from here on; `size` is that of a run. */
typedef struct job {
    sdx_move box;
    int64_t step, blocks; /* the innermost dimension is cut into `blocks` pieces of `step` */
    int across;           /* tiles: the dimension along which the source is dense; else -1 */
    int64_t across_step, across_blocks;
    bool words, folds; /* tiles of aligned elements of four bytes; target lines that fall on each other in the cache */
    const sdx_kernels *kernels;
} job;

static void merge(sdx_move *box) {
    int kept = 0;
    for (int d = 0; d < box->rank; d++) {
        if (box->dim[d] == 1) continue;
        int last = kept - 1;
        if (kept && box->from[last] == box->from[d] * box->dim[d] && box->to[last] == box->to[d] * box->dim[d]) {
            box->dim[last] *= box->dim[d];
            box->from[last] = box->from[d];
            box->to[last] = box->to[d];
            continue;
        }
        box->dim[kept] = box->dim[d];
        box->from[kept] = box->from[d];
        box->to[kept++] = box->to[d];
    }
    box->rank = kept;
}

static void widen(sdx_move *box) {
    for (int d = 0; d < box->rank; d++) {
        box->from[d] *= (int64_t)box->size;
        box->to[d] *= (int64_t)box->size;
    }
    int last = box->rank - 1;
    if (last < 0 || box->from[last] != (int64_t)box->size || box->to[last] != (int64_t)box->size) return;
    int64_t run = box->dim[last] * (int64_t)box->size;
    if (run > LINE_BYTES && last == 0) return; /* one long run: left as a dimension so that threads share it */
    box->size = (size_t)run;
    box->rank--;
}

static bool is_element(size_t size) { return size == 1 || size == 2 || size == 4 || size == 8 || size == 16; }

#define COPY_LINE(bytes)                                                                                               \
    case bytes:                                                                                                        \
        for (int64_t i = 0; i < n; i++, to += to_step, from += from_step) memcpy(to, from, bytes);                     \
        return

static void copy_line(size_t size, int64_t n, unsigned char *to, int64_t to_step, const unsigned char *from,
                      int64_t from_step) {
    if (from_step == (int64_t)size && to_step == (int64_t)size) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    if (size == 1 && from_step == 0 && to_step == 1) {
        memset(to, *from, (size_t)n);
        return;
    }
    switch (size) {
        COPY_LINE(1);
        COPY_LINE(2);
        COPY_LINE(4);
        COPY_LINE(8);
        COPY_LINE(16);
    default:
        for (int64_t i = 0; i < n; i++, to += to_step, from += from_step) memcpy(to, from, size);
    }
}

/* rows x columns elements: the source is dense along columns, the target along rows. */
static void copy_direct(const job *j, int64_t rows, int64_t columns, unsigned char *to, int64_t to_step,
                        const unsigned char *from, int64_t from_step) {
    const int64_t width = (int64_t)j->box.size;
    if (j->words) {
        j->kernels->turn_32(from, from_step / width, rows, columns, to, to_step / width);
        return;
    }
    for (int64_t c = 0; c < columns; c++)
        copy_line(j->box.size, rows, to + c * to_step, width, from + c * width, from_step);
}

/* Where the lines of the target fall on each other in the cache, they are put together elsewhere and written whole. */
static void copy_staged(const job *j, int64_t rows, int64_t columns, unsigned char *to, int64_t to_step,
                        const unsigned char *from, int64_t from_step) {
    unsigned char staged[LINE * TILE] __attribute__((uninitialized)); /* every byte that is read is written before */
    int64_t width = (int64_t)j->box.size, side = LINE / width < TILE ? LINE / width : TILE;
    for (int64_t r = 0; r < rows; r += side)
        for (int64_t c = 0; c < columns; c += side) {
            int64_t high = rows - r < side ? rows - r : side, wide = columns - c < side ? columns - c : side;
            copy_direct(j, high, wide, staged, LINE, from + r * from_step + c * width, from_step);
            const bool whole = high * width == LINE;
            for (int64_t k = 0; k < wide; k++) {
                unsigned char *line = to + (c + k) * to_step + r * width;
                if (whole)
                    memcpy(line, staged + k * LINE, LINE);
                else
                    memcpy(line, staged + k * LINE, (size_t)(high * width));
            }
        }
}

/* Steps through all dimensions but the innermost and `skip`. */
typedef struct walk {
    int64_t at[SDX_MOVE_RANK];
    const unsigned char *from;
    unsigned char *to;
} walk;

static void walk_seek(const job *j, int64_t index, walk *w) {
    const sdx_move *box = &j->box;
    w->from = box->source;
    w->to = box->target;
    for (int d = box->rank - 2; d >= 0; d--) {
        w->at[d] = 0;
        if (d == j->across) continue;
        w->at[d] = index % box->dim[d];
        index /= box->dim[d];
        w->from += w->at[d] * box->from[d];
        w->to += w->at[d] * box->to[d];
    }
}

static void walk_next(const job *j, walk *w) {
    const sdx_move *box = &j->box;
    for (int d = box->rank - 2; d >= 0; d--) {
        if (d == j->across) continue;
        w->from += box->from[d];
        w->to += box->to[d];
        if (++w->at[d] < box->dim[d]) return;
        w->from -= box->from[d] * box->dim[d];
        w->to -= box->to[d] * box->dim[d];
        w->at[d] = 0;
    }
}

static void run_lines(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const job *j = argument;
    int inner = j->box.rank - 1;
    int64_t n = j->box.dim[inner], from_step = j->box.from[inner], to_step = j->box.to[inner];
    int64_t block = begin % j->blocks;
    walk w;
    walk_seek(j, begin / j->blocks, &w);
    for (int64_t i = begin; i < end; i++) {
        int64_t start = block * j->step, count = n - start < j->step ? n - start : j->step;
        copy_line(j->box.size, count, w.to + start * to_step, to_step, w.from + start * from_step, from_step);
        if (++block < j->blocks) continue;
        block = 0;
        walk_next(j, &w);
    }
}

static void run_tiles(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const job *j = argument;
    const sdx_move *box = &j->box;
    int inner = box->rank - 1, across = j->across;
    int64_t per_box = j->blocks * j->across_blocks;
    walk w;
    walk_seek(j, begin / per_box, &w);
    for (int64_t i = begin; i < end; i++) {
        int64_t row = i % j->blocks * j->step, column = i % per_box / j->blocks * j->across_step;
        int64_t rows = box->dim[inner] - row < j->step ? box->dim[inner] - row : j->step;
        int64_t left = box->dim[across] - column, columns = left < j->across_step ? left : j->across_step;
        (j->folds ? copy_staged : copy_direct)(
            j, rows, columns, w.to + column * box->to[across] + row * box->to[inner], box->to[across],
            w.from + row * box->from[inner] + column * box->from[across], box->from[inner]);
        if ((i + 1) % per_box == 0) walk_next(j, &w);
    }
}

/* The dimension along which the source is dense, when tiles are worth it. */
static int find_across(const sdx_move *box) {
    int inner = box->rank - 1;
    if (box->rank < 2 || !is_element(box->size) || box->dim[inner] < 4) return -1;
    if (box->to[inner] != (int64_t)box->size || box->from[inner] <= (int64_t)box->size) return -1;
    for (int d = 0; d < inner; d++)
        if (box->from[d] == (int64_t)box->size && box->dim[d] >= 4) return d;
    return -1;
}

/* The table's kernel reads and writes elements in their places. */
static bool is_words(const job *j) {
    const sdx_move *box = &j->box;
    return box->size == 4 && (uintptr_t)box->source % 4 == 0 && (uintptr_t)box->target % 4 == 0;
}

sdx_status sdx_move_run(sdx_compute *compute, const sdx_move *move) {
    job j = {.box = *move, .across = -1, .across_blocks = 1};
    sdx_move *box = &j.box;
    for (int d = 0; d < box->rank; d++)
        if (box->dim[d] == 0) return SDX_OK;
    merge(box);
    widen(box);
    if (box->rank == 0) {
        memcpy(box->target, box->source, box->size);
        return SDX_OK;
    }
    int inner = box->rank - 1;
    int64_t width = (int64_t)box->size, outer = sdx_dims_product(box->dim, 0, inner);
    j.across = find_across(box);
    if (j.across >= 0) {
        j.kernels = compute->kernels;
        j.words = is_words(&j);
        j.folds = box->to[j.across] % FOLD == 0 && box->size <= 8 && box->dim[j.across] > WAYS;
        j.step = box->dim[j.across] <= TILE ? WIDE : TILE;
        j.blocks = (box->dim[inner] + j.step - 1) / j.step;
        j.across_step = box->dim[inner] <= TILE ? WIDE : TILE;
        j.across_blocks = (box->dim[j.across] + j.across_step - 1) / j.across_step;
        int64_t tile = (j.step < box->dim[inner] ? j.step : box->dim[inner]) *
                       (j.across_step < box->dim[j.across] ? j.across_step : box->dim[j.across]);
        int64_t tiles = outer / box->dim[j.across] * j.blocks * j.across_blocks;
        return sdx_for(compute, tiles, sdx_grain(tile * width), run_tiles, &j);
    }
    j.step = LINE_BYTES / width > 1 ? LINE_BYTES / width : 1;
    if (j.step > box->dim[inner]) j.step = box->dim[inner];
    j.blocks = (box->dim[inner] + j.step - 1) / j.step;
    return sdx_for(compute, outer * j.blocks, sdx_grain(j.step * width), run_lines, &j);
}

sdx_status sdx_copy_strided(sdx_compute *compute, int rank, const int64_t *dims, size_t size, void *to,
                            const int64_t *to_strides, const void *from, const int64_t *from_strides) {
    sdx_move move = {.size = size, .rank = rank, .source = from, .target = to};
    memcpy(move.dim, dims, (size_t)rank * sizeof *dims);
    memcpy(move.to, to_strides, (size_t)rank * sizeof *dims);
    memcpy(move.from, from_strides, (size_t)rank * sizeof *dims);
    return sdx_move_run(compute, &move);
}

void sdx_move_into(sdx_move *move, const sdx_tensor *from, const sdx_tensor *to) {
    move->size = sdx_dtype_size(to->dtype);
    move->rank = to->rank;
    move->source = from->data;
    move->target = to->data;
    memcpy(move->dim, to->dim, (size_t)to->rank * sizeof *to->dim);
    sdx_strides(to->rank, to->dim, move->to);
}

sdx_status sdx_move_all(sdx_compute *compute, const sdx_tensor *from, const sdx_tensor *to) {
    if (from->data == to->data) return SDX_OK;
    sdx_move move = {.size = sdx_dtype_size(to->dtype),
                     .rank = 1,
                     .dim = {to->count},
                     .from = {1},
                     .to = {1},
                     .source = from->data,
                     .target = to->data};
    return sdx_move_run(compute, &move);
}

/* All in [-size, size), without a branch for each. */
#define FIT(name, T)                                                                                                   \
    static bool name(const T *index, int64_t n, int64_t size) {                                                        \
        uint64_t outside = 0;                                                                                          \
        for (int64_t i = 0; i < n; i++) outside |= (uint64_t)(int64_t)index[i] + (uint64_t)size >= 2 * (uint64_t)size; \
        return !outside;                                                                                               \
    }
FIT(fit_i32, int32_t)
FIT(fit_i64, int64_t)

static bool indices_fit(const sdx_tensor *indices, int64_t size) {
    if (size > INT32_MAX) return false;
    if (indices->dtype == SDX_I32) return fit_i32(indices->data, indices->count, size);
    return indices->dtype == SDX_I64 && fit_i64(indices->data, indices->count, size);
}

sdx_status sdx_check_indices(sdx_error *error, const char *name, const sdx_tensor *indices, int64_t size) {
    if (indices_fit(indices, size)) return SDX_OK;
    for (int64_t i = 0; i < indices->count; i++) {
        int64_t index = sdx_index_at(indices, i);
        if (index < -size || index >= size)
            return sdx_fail(error, SDX_VALUE,
                            "entry %" PRId64 " of input '%s' is %" PRId64 "; it must be in [%" PRId64 ", %" PRId64 "]",
                            i, name, index, -size, size - 1);
    }
    return SDX_OK;
}

sdx_status sdx_read_i64s(sdx_error *error, const char *name, const sdx_tensor *tensor, int64_t *values, int most,
                         int *n) {
    if (tensor->count > most)
        return sdx_fail(error, SDX_SHAPE, "input '%s' has %" PRId64 " entries; at most %d are allowed", name,
                        tensor->count, most);
    for (int64_t i = 0; i < tensor->count; i++) values[i] = sdx_index_at(tensor, i);
    *n = (int)tensor->count;
    return SDX_OK;
}

sdx_status sdx_check_axes(sdx_error *error, const char *name, int64_t *axes, int n, int rank) {
    uint64_t seen = 0;
    for (int i = 0; i < n; i++) {
        if (axes[i] < -rank || axes[i] >= rank)
            return sdx_fail(error, SDX_SHAPE, "entry %d of '%s' is %" PRId64 "; it must be in [%d, %d] for rank %d", i,
                            name, axes[i], -rank, rank - 1, rank);
        if (axes[i] < 0) axes[i] += rank;
        if (seen >> axes[i] & 1) return sdx_fail(error, SDX_VALUE, "'%s' names axis %" PRId64 " twice", name, axes[i]);
        seen |= (uint64_t)1 << axes[i];
    }
    return SDX_OK;
}
