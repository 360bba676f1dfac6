/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_KERNELS_TURN_H
#define SDX_KERNELS_TURN_H
#include "ops/kernels/simd.h"

/* Four rows of four elements, the other way round. */
typedef uint32_t vu4 __attribute__((vector_size(16)));
static inline void turn_32(const uint32_t *x, int64_t rs, uint32_t *y, int64_t width) {
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

#if SDX_LANES >= 8
/* Eight rows of eight: halves of rows r and r + 4 side by side, then both halves like the four by four. */
typedef uint32_t vu8 __attribute__((vector_size(32)));
static inline void turn_wide_32(const uint32_t *x, int64_t rs, uint32_t *y, int64_t width) {
    vu8 row[8], part[8];
    for (int r = 0; r < 4; r++) {
        memcpy(&row[r], x + r * rs, sizeof(vu4));
        memcpy((char *)&row[r] + sizeof(vu4), x + (r + 4) * rs, sizeof(vu4));
        memcpy(&row[r + 4], x + r * rs + 4, sizeof(vu4));
        memcpy((char *)&row[r + 4] + sizeof(vu4), x + (r + 4) * rs + 4, sizeof(vu4));
    }
    for (int h = 0; h < 8; h += 4)
        for (int r = 0; r < 4; r += 2) {
            part[h + r] = __builtin_shufflevector(row[h + r], row[h + r + 1], 0, 8, 1, 9, 4, 12, 5, 13);
            part[h + r + 1] = __builtin_shufflevector(row[h + r], row[h + r + 1], 2, 10, 3, 11, 6, 14, 7, 15);
        }
    for (int h = 0; h < 8; h += 4)
        for (int r = 0; r < 2; r++) {
            row[h + 2 * r] = __builtin_shufflevector(part[h + r], part[h + r + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            row[h + 2 * r + 1] = __builtin_shufflevector(part[h + r], part[h + r + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int r = 0; r < 8; r++) memcpy(y + r * width, &row[r], sizeof row[r]);
}
#endif

#endif
