/* SPDX-License-Identifier: Apache-2.0
 * A tensor seen as lines along some of its dimensions, each handed to a function as neighbouring f32 or f64 elements:
 * what softmax, norms and normalisations share. Lines that lie scattered, or in another dtype, pass through a buffer;
 * lines side by side are moved together. */
#ifndef SDX_OPS_LINES_H
#define SDX_OPS_LINES_H
#include "ops/loop.h"

typedef struct sdx_lines {
    int64_t count, length; /* lines; elements of each */
    sdx_walk kept, along;  /* where lines begin; where their elements lie from there */
    int64_t tile;          /* lines moved together */
    bool dense;            /* the elements of a line are neighbours */
} sdx_lines;

/* Lines along the dimensions where along[d]; the order of lines and of their elements is row-major. */
void sdx_lines_make(sdx_lines *lines, int rank, const int64_t *dims, const bool *along);
/* Along the dimensions [first, last). */
void sdx_lines_between(sdx_lines *lines, int rank, const int64_t *dims, int first, int last);

/* f64 when one of these is f64, else f32. UNDEFINED counts as f32. */
sdx_dtype sdx_lines_work(sdx_dtype a, sdx_dtype b, sdx_dtype c);

/* Bytes that sdx_lines_run needs; SIZE_MAX when too large. */
size_t sdx_lines_scratch(const sdx_lines *lines, int threads, sdx_dtype from, sdx_dtype work, sdx_dtype to);

/* y may be x (never overlap it otherwise). Called from several threads, on different lines. */
typedef void (*sdx_line_fn)(const void *context, int64_t line, const void *x, void *y, int64_t n);

/* y NULL (`to` UNDEFINED in the call above): results are dropped, statistics alone are wanted. `cost`: of one element,
 * in cheap operations. */
sdx_status sdx_lines_run(sdx_compute *compute, const sdx_lines *lines, sdx_dtype work, const sdx_tensor *x,
                         const sdx_tensor *y, void *scratch, int64_t cost, sdx_line_fn fn, const void *context);

static inline size_t sdx_align(size_t size) { return (size + SDX_ALIGNMENT - 1) / SDX_ALIGNMENT * SDX_ALIGNMENT; }

#endif
