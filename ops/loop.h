/* SPDX-License-Identifier: Apache-2.0
 * The loops that operators share, so that no operator writes its own odometer:
 *   sdx_axis_view    a tensor seen as [outer][n][inner] around one axis
 *   sdx_walk         N operands stepping through one shape with strides of their own (0 where broadcast), collapsed
 *   sdx_copy_strided a copy between two strided layouts, in parallel (Transpose, Slice, Expand, Concat, Pad, ...)
 *   sdx_loop         elementwise work on broadcast tensors: pieces with contiguous or scalar operands, f16 and bf16
 *                    widened to f32 tiles and rounded once, split over threads by shape */
#ifndef SDX_OPS_LOOP_H
#define SDX_OPS_LOOP_H
#include "ops/op.h"

enum { SDX_LOOP_OPERANDS = 4 }; /* of one walk or loop, the output included */

/* Elements per task of sdx_for, so that a task lasts some 5 to 20 microseconds. */
enum { SDX_GRAIN_CHEAP = 32768, SDX_GRAIN_MATH = 8192, SDX_GRAIN_HEAVY = 1024 };
/* The grain for items that cost `each` cheap elements (rows, for example): >= 1. */
int64_t sdx_grain(int64_t each);

/* ---- One axis --------------------------------------------------------------------------------------------------- */

typedef struct sdx_axis_view {
    int64_t outer, n, inner; /* element (o, k, i) lies at (o * n + k) * inner + i */
} sdx_axis_view;
sdx_axis_view sdx_view_axis(int rank, const int64_t *dims, int axis);

/* Row-major strides in elements. */
void sdx_strides(int rank, const int64_t *dims, int64_t *strides);

/* ---- Strided walks ---------------------------------------------------------------------------------------------- */

typedef struct sdx_walk {
    int n, rank;   /* operands; dimensions: >= 1 after sdx_walk_collapse */
    int64_t count; /* elements of the shape */
    int64_t dim[SDX_MAX_RANK];
    int64_t stride[SDX_LOOP_OPERANDS][SDX_MAX_RANK]; /* in elements; 0 and negative ones are fine */
} sdx_walk;

void sdx_walk_begin(sdx_walk *walk, int rank, const int64_t *dims);
void sdx_walk_add(sdx_walk *walk, const int64_t *strides); /* one more operand: `rank` strides */
/* One more operand: a dense tensor of these dims, broadcast to the walk's shape as numpy does. */
void sdx_walk_add_dense(sdx_walk *walk, int rank, const int64_t *dims);
/* Drops dimensions of extent 1 and merges neighbours that every operand walks alike. Call it after the last add. */
void sdx_walk_collapse(sdx_walk *walk);

/* A position in a walk. Typical use, for elements [begin, end) of the row-major order:
 *     sdx_cursor_seek(walk, begin, &at);
 *     for (int64_t k = begin, n; k < end; k += n, sdx_cursor_move(walk, &at, n)) {
 *         n = sdx_cursor_run(walk, &at, end - k);       -- as far as the inner dimension goes
 *         ... n elements from at.offset[j], stride[j][rank - 1] apart ...
 *     } */
typedef struct sdx_cursor {
    int64_t index[SDX_MAX_RANK], offset[SDX_LOOP_OPERANDS];
} sdx_cursor;
void sdx_cursor_seek(const sdx_walk *walk, int64_t flat, sdx_cursor *at);
void sdx_cursor_move(const sdx_walk *walk, sdx_cursor *at, int64_t n); /* n <= the run */
static inline int64_t sdx_cursor_run(const sdx_walk *walk, const sdx_cursor *at, int64_t most) {
    int64_t left = walk->dim[walk->rank - 1] - at->index[walk->rank - 1];
    return left < most ? left : most;
}

/* to[...] = from[...] over the shape, for elements of `size` bytes (1, 2, 4, 8 or 16). Strides in elements. The two
 * must not overlap, and no two places of `to` may coincide. */
sdx_status sdx_copy_strided(sdx_compute *compute, int rank, const int64_t *dims, size_t size, void *to,
                            const int64_t *to_strides, const void *from, const int64_t *from_strides);

/* ---- Conversions ------------------------------------------------------------------------------------------------ */

/* f32 where the tensor holds f16, bf16 or an f8 type; else the dtype itself: what arithmetic is done in. */
sdx_dtype sdx_work_dtype(sdx_dtype dtype);
/* n elements, any numeric or bool dtype to f32, f64 or i64, and back. To f16, bf16: round to nearest even, once. From
 * a float to an integer: truncated, saturated, NaN gives 0. From i64: wraps. Equal dtypes: a copy. kernels may be NULL
 * where inference converts a few scalars. */
void sdx_convert(const struct sdx_kernels *kernels, sdx_dtype from, const void *x, sdx_dtype to, void *y, int64_t n);

/* ---- Elementwise loops ------------------------------------------------------------------------------------------ */

/* One piece: n elements. at[0] is the output (step[0] is 1), at[k] the inputs in the order of sdx_loop_add; step[k] is
 * 1 or, for a scalar, 0. The output may be the very bytes of an input with step 1. Called from several threads. */
typedef void (*sdx_loop_fn)(const void *context, int64_t n, void *const *at, const int64_t *step);

typedef struct sdx_loop {
    sdx_walk walk;
    sdx_dtype stored[SDX_LOOP_OPERANDS], work[SDX_LOOP_OPERANDS];
    char *data[SDX_LOOP_OPERANDS];
    bool linear[SDX_LOOP_OPERANDS], constant[SDX_LOOP_OPERANDS]; /* dense over the whole shape; one element */
    sdx_loop_fn fn;
    const void *context;
    const struct sdx_kernels *kernels;
} sdx_loop;

/* `work` is the dtype the body sees: the tensor's own, or another that sdx_convert knows. */
void sdx_loop_begin(sdx_loop *loop, const sdx_tensor *out, sdx_dtype work);
void sdx_loop_add(sdx_loop *loop, const sdx_tensor *in, sdx_dtype work);
sdx_status sdx_loop_run(sdx_compute *compute, sdx_loop *loop, int64_t grain, sdx_loop_fn fn, const void *context);

#endif
