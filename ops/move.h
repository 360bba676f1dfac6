/* SPDX-License-Identifier: Apache-2.0
 * The one engine of data movement: copies an n-dimensional box between two strided places, whatever the element type.
 * Operators say where the elements lie; runs, tiles, threads and element sizes are decided here. */
#ifndef SDX_OPS_MOVE_H
#define SDX_OPS_MOVE_H
#include "ops/loop.h"
#include <string.h>

enum { SDX_MOVE_RANK = 2 * SDX_MAX_RANK };

/* Strides count elements; they may be zero (repeat) or negative, `to` only positive. source and target point at the
 * element of index 0. */
typedef struct sdx_move {
    size_t size; /* bytes of one element */
    int rank;
    int64_t dim[SDX_MOVE_RANK], from[SDX_MOVE_RANK], to[SDX_MOVE_RANK];
    const void *source;
    void *target;
} sdx_move;

sdx_status sdx_move_run(sdx_compute *compute, const sdx_move *move);

/* All elements, in order; nothing when source and target are the same. */
sdx_status sdx_move_all(sdx_compute *compute, const sdx_tensor *from, const sdx_tensor *to);

/* A move of the whole of `to`, dense, from a source whose strides the caller sets. */
void sdx_move_into(sdx_move *move, const sdx_tensor *from, const sdx_tensor *to);

static inline int64_t sdx_dims_product(const int64_t *dim, int first, int end) {
    int64_t product = 1;
    for (int d = first; d < end; d++) product *= dim[d];
    return product;
}

/* memcpy of a short run whose length is often that of one element. */
static inline void sdx_copy_run(void *to, const void *from, size_t size) {
    switch (size) {
    case 1: memcpy(to, from, 1); break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    case 16: memcpy(to, from, 16); break;
    default: memcpy(to, from, size);
    }
}

/* Element i of an i64 or i32 tensor. */
static inline int64_t sdx_index_at(const sdx_tensor *tensor, int64_t i) {
    return tensor->dtype == SDX_I32 ? ((const int32_t *)tensor->data)[i] : ((const int64_t *)tensor->data)[i];
}

/* Every entry must be in [-size, size): a VALUE error names the value, its place and the range. `name` is the input's.
 */
sdx_status sdx_check_indices(sdx_error *error, const char *name, const sdx_tensor *indices, int64_t size);

/* Contents of an i64 or i32 vector or scalar at run time; a SHAPE error when there are more than `most`. */
sdx_status sdx_read_i64s(sdx_error *error, const char *name, const sdx_tensor *tensor, int64_t *values, int most,
                         int *n);

/* axes[] in [-rank, rank) -> [0, rank), each at most once. `name` is that of the input or attribute. */
sdx_status sdx_check_axes(sdx_error *error, const char *name, int64_t *axes, int n, int rank);

#endif
