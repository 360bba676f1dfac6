/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_KERNELS_TURN_H
#define SDX_KERNELS_TURN_H
#include "ops/kernels/simd.h"

/* Four rows of four elements, the other way round. */
typedef uint32_t vu4 __attribute__((vector_size(16)));
static inline void turn_32(const uint32_t *x, int64_t rs, uint32_t *y, int width) {
    vu4 row[4];
    for (int r = 0; r < 4; r++) memcpy(&row[r], x + r * rs, sizeof row[r]);
    const vu4 low0 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
    const vu4 low1 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    const vu4 high0 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
    const vu4 high1 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    row[0] = __builtin_shufflevector(low0, low1, 0, 1, 4, 5);
    row[1] = __builtin_shufflevector(low0, low1, 2, 3, 6, 7);
    row[2] = __builtin_shufflevector(high0, high1, 0, 1, 4, 5);
    row[3] = __builtin_shufflevector(high0, high1, 2, 3, 6, 7);
    for (int r = 0; r < 4; r++) memcpy(y + r * width, &row[r], sizeof row[r]);
}

#endif
