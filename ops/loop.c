/* SPDX-License-Identifier: Apache-2.0
 * Walks, strided copies and elementwise loops; see loop.h. */
#include "ops/loop.h"
#include <string.h>

enum {
    TILE_BYTES = 4096, /* per operand */
    SHORT_RUN = 32     /* inner runs below this are gathered into tiles: a call per run would cost more */
};

int64_t sdx_grain(int64_t each) { return each >= SDX_GRAIN_CHEAP ? 1 : SDX_GRAIN_CHEAP / (each < 1 ? 1 : each); }

sdx_axis_view sdx_view_axis(int rank, const int64_t *dims, int axis) {
    sdx_axis_view view = {1, rank ? dims[axis] : 1, 1};
    for (int d = 0; d < axis; d++) view.outer *= dims[d];
    for (int d = axis + 1; d < rank; d++) view.inner *= dims[d];
    return view;
}

void sdx_strides(int rank, const int64_t *dims, int64_t *strides) {
    int64_t stride = 1;
    for (int d = rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= dims[d];
    }
}

/* ---- Walks ---- */

void sdx_walk_begin(sdx_walk *walk, int rank, const int64_t *dims) {
    walk->n = 0;
    walk->rank = rank;
    walk->count = 1;
    for (int d = 0; d < rank; d++) {
        walk->dim[d] = dims[d];
        walk->count *= dims[d];
    }
}

void sdx_walk_add(sdx_walk *walk, const int64_t *strides) {
    int64_t *to = walk->stride[walk->n++];
    for (int d = 0; d < walk->rank; d++) to[d] = strides[d];
}

void sdx_walk_add_dense(sdx_walk *walk, int rank, const int64_t *dims) {
    int64_t *to = walk->stride[walk->n++], stride = 1;
    for (int d = walk->rank - 1, s = rank - 1; d >= 0; d--, s--) {
        bool spread = s < 0 || dims[s] == 1;
        to[d] = spread ? 0 : stride;
        if (s >= 0) stride *= dims[s];
    }
}

static bool mergeable(const sdx_walk *walk, int outer, int inner) {
    for (int k = 0; k < walk->n; k++)
        if (walk->stride[k][outer] != walk->stride[k][inner] * walk->dim[inner]) return false;
    return true;
}

static void walk_place(sdx_walk *walk, int to, int from, int64_t dim) {
    walk->dim[to] = dim;
    for (int k = 0; k < walk->n; k++) walk->stride[k][to] = walk->stride[k][from];
}

void sdx_walk_collapse(sdx_walk *walk) {
    int rank = 0;
    for (int d = 0; d < walk->rank; d++) {
        if (walk->dim[d] == 1) continue;
        if (rank && mergeable(walk, rank - 1, d))
            walk_place(walk, rank - 1, d, walk->dim[rank - 1] * walk->dim[d]);
        else
            walk_place(walk, rank++, d, walk->dim[d]);
    }
    if (rank == 0) {
        walk->dim[0] = 1;
        for (int k = 0; k < walk->n; k++) walk->stride[k][0] = 0;
        rank = 1;
    }
    walk->rank = rank;
}

void sdx_cursor_seek(const sdx_walk *walk, int64_t flat, sdx_cursor *at) {
    for (int k = 0; k < walk->n; k++) at->offset[k] = 0;
    for (int d = walk->rank - 1; d >= 0; d--) {
        at->index[d] = d ? flat % walk->dim[d] : flat;
        flat /= walk->dim[d];
        for (int k = 0; k < walk->n; k++) at->offset[k] += at->index[d] * walk->stride[k][d];
    }
}

void sdx_cursor_move(const sdx_walk *walk, sdx_cursor *at, int64_t n) {
    int d = walk->rank - 1;
    at->index[d] += n;
    for (int k = 0; k < walk->n; k++) at->offset[k] += n * walk->stride[k][d];
    while (d > 0 && at->index[d] == walk->dim[d]) {
        for (int k = 0; k < walk->n; k++) at->offset[k] += walk->stride[k][d - 1] - walk->dim[d] * walk->stride[k][d];
        at->index[d] = 0;
        at->index[--d]++;
    }
}

/* ---- Runs with steps ---- */

typedef struct bytes16 {
    uint64_t part[2];
} bytes16;

/* to[i * to_step] = from[i * from_step] */
#define COPY_RUN(name, type)                                                                                           \
    static void name(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n) {                      \
        type *t = (type *)(void *)to;                                                                                  \
        const type *f = (const type *)(const void *)from;                                                              \
        if (to_step == 1 && from_step == 1) {                                                                          \
            memcpy(t, f, (size_t)n * sizeof(type));                                                                    \
        } else if (to_step == 1 && from_step == 0) {                                                                   \
            for (int64_t i = 0; i < n; i++) t[i] = f[0];                                                               \
        } else {                                                                                                       \
            for (int64_t i = 0; i < n; i++) t[i * to_step] = f[i * from_step];                                         \
        }                                                                                                              \
    }
COPY_RUN(copy_run_1, uint8_t)
COPY_RUN(copy_run_2, uint16_t)
COPY_RUN(copy_run_4, uint32_t)
COPY_RUN(copy_run_8, uint64_t)
COPY_RUN(copy_run_16, bytes16)

typedef void (*copy_run_fn)(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n);

static copy_run_fn copy_run_of(size_t size) {
    switch (size) {
    case 1: return copy_run_1;
    case 2: return copy_run_2;
    case 4: return copy_run_4;
    case 8: return copy_run_8;
    default: return copy_run_16;
    }
}

/* ---- Elementwise loops ---- */

void sdx_loop_begin(sdx_loop *loop, const sdx_tensor *out, sdx_dtype work) {
    sdx_walk_begin(&loop->walk, out->rank, out->dim);
    sdx_loop_add(loop, out, work);
}

void sdx_loop_add(sdx_loop *loop, const sdx_tensor *in, sdx_dtype work) {
    int k = loop->walk.n;
    loop->stored[k] = in->dtype;
    loop->work[k] = work;
    loop->data[k] = in->data;
    loop->constant[k] = in->count == 1;
    loop->linear[k] = in->count == loop->walk.count;
    sdx_walk_add_dense(&loop->walk, in->rank, in->dim);
}

/* Fills buffers[k] with n elements of operand k in its work dtype, from `at` on. */
static void gather(const sdx_loop *loop, int k, sdx_cursor at, int64_t n, char *buffer, char *raw) {
    const sdx_walk *walk = &loop->walk;
    int64_t size = (int64_t)sdx_dtype_size(loop->stored[k]), step = walk->stride[k][walk->rank - 1];
    bool same = loop->stored[k] == loop->work[k];
    copy_run_fn copy_run = copy_run_of((size_t)size);
    char *to = same ? buffer : raw;
    for (int64_t done = 0, run; done < n; done += run, sdx_cursor_move(walk, &at, run)) {
        run = sdx_cursor_run(walk, &at, n - done);
        copy_run(to + done * size, 1, loop->data[k] + at.offset[k] * size, step, run);
    }
    if (!same) sdx_convert(loop->kernels, loop->stored[k], raw, loop->work[k], buffer, n);
}

typedef struct tiles {
    _Alignas(64) char operand[SDX_LOOP_OPERANDS][TILE_BYTES];
    _Alignas(64) char raw[TILE_BYTES]; /* as stored, before conversion */
} tiles;

static int64_t tile_elements(const sdx_loop *loop) {
    size_t size = 1;
    for (int k = 0; k < loop->walk.n; k++) {
        if (sdx_dtype_size(loop->work[k]) > size) size = sdx_dtype_size(loop->work[k]);
        if (sdx_dtype_size(loop->stored[k]) > size) size = sdx_dtype_size(loop->stored[k]);
    }
    return TILE_BYTES / (int64_t)size;
}

/* A short row that is repeated over and over: one tile of it serves for all, when tiles are whole numbers of rows. */
static bool repeats(const sdx_walk *walk, int k) {
    return walk->rank == 2 && walk->stride[k][0] == 0 && walk->stride[k][1] == 1;
}

/* Any mix of operands: what is not already a run of work dtype goes through a tile. */
static __attribute__((noinline)) void tiled_chunk(const sdx_loop *loop, int64_t begin, int64_t end) {
    tiles t;
    const sdx_walk *walk = &loop->walk;
    void *at[SDX_LOOP_OPERANDS];
    int64_t step[SDX_LOOP_OPERANDS], most = tile_elements(loop);
    sdx_cursor cursor;
    for (int k = 0; k < walk->n; k++) {
        step[k] = k && loop->constant[k] ? 0 : 1;
        if (step[k] == 0) sdx_convert(loop->kernels, loop->stored[k], loop->data[k], loop->work[k], t.operand[k], 1);
        at[k] = t.operand[k];
    }
    if (walk->rank == 2 && walk->dim[1] < most) most -= most % walk->dim[1];
    for (int64_t f = begin, n; f < end; f += n) {
        n = end - f < most ? end - f : most;
        sdx_cursor_seek(walk, f, &cursor);
        for (int k = 0; k < walk->n; k++) {
            char *linear = loop->data[k] + f * (int64_t)sdx_dtype_size(loop->stored[k]);
            if (step[k] == 0 || (f > begin && repeats(walk, k) && most % walk->dim[1] == 0)) continue;
            if (loop->linear[k] && loop->stored[k] == loop->work[k])
                at[k] = linear;
            else if (loop->linear[k] && k)
                sdx_convert(loop->kernels, loop->stored[k], linear, loop->work[k], at[k], n);
            else if (k)
                gather(loop, k, cursor, n, t.operand[k], t.raw);
        }
        loop->fn(loop->context, n, at, step);
        if (loop->stored[0] != loop->work[0])
            sdx_convert(loop->kernels, loop->work[0], at[0], loop->stored[0],
                        loop->data[0] + f * (int64_t)sdx_dtype_size(loop->stored[0]), n);
    }
}

/* Every operand is a run of its work dtype: the body works in place, one inner run at a time. */
static void direct_chunk(const sdx_loop *loop, int64_t begin, int64_t end) {
    const sdx_walk *walk = &loop->walk;
    void *at[SDX_LOOP_OPERANDS];
    int64_t step[SDX_LOOP_OPERANDS];
    sdx_cursor cursor;
    for (int k = 0; k < walk->n; k++) step[k] = walk->stride[k][walk->rank - 1];
    step[0] = 1;
    sdx_cursor_seek(walk, begin, &cursor);
    for (int64_t f = begin, n; f < end; f += n, sdx_cursor_move(walk, &cursor, n)) {
        n = sdx_cursor_run(walk, &cursor, end - f);
        for (int k = 0; k < walk->n; k++)
            at[k] = loop->data[k] + cursor.offset[k] * (int64_t)sdx_dtype_size(loop->stored[k]);
        loop->fn(loop->context, n, at, step);
    }
}

static void loop_chunk(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const sdx_loop *loop = argument;
    bool direct = loop->walk.rank == 1 || loop->walk.dim[loop->walk.rank - 1] >= SHORT_RUN;
    for (int k = 0; k < loop->walk.n; k++) direct = direct && loop->stored[k] == loop->work[k];
    if (direct)
        direct_chunk(loop, begin, end);
    else
        tiled_chunk(loop, begin, end);
}

sdx_status sdx_loop_run(sdx_compute *compute, sdx_loop *loop, int64_t grain, sdx_loop_fn fn, const void *context) {
    sdx_walk_collapse(&loop->walk);
    loop->fn = fn;
    loop->context = context;
    loop->kernels = compute->kernels;
    return sdx_for(compute, loop->walk.count, grain, loop_chunk, loop);
}
