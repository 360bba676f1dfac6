/* SPDX-License-Identifier: Apache-2.0
 * How a recurrence, forward or backward, lays out its scratch. */
#ifndef SDX_OPS_RNN_PIECES_H
#define SDX_OPS_RNN_PIECES_H
#include "ops/lines.h"

/* Pieces of the scratch; without a base they are only counted. */
typedef struct sdx_pieces {
    char *base;
    size_t used;
    bool too_large;
} sdx_pieces;

static inline char *sdx_take(sdx_pieces *room, size_t size, const int64_t *dims, int n) {
    int64_t bytes = (int64_t)size;
    for (int d = 0; d < n; d++) room->too_large |= !sdx_dim_mul(bytes, dims[d], &bytes);
    room->too_large |= bytes < 0 || bytes > INT64_MAX / 4;
    if (room->too_large) return NULL;
    char *at = room->base ? room->base + room->used : NULL;
    room->too_large |= !sdx_size_add(room->used, sdx_align((size_t)bytes), &room->used);
    return at;
}
#define SDX_TAKE(room, size, ...)                                                                                      \
    sdx_take(room, size, (const int64_t[]){__VA_ARGS__},                                                               \
             (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

#endif
