/* SPDX-License-Identifier: Apache-2.0
 * Random numbers. Counter-based by default: number `index` of stream `key`, so that results depend neither on
 * threads nor on order. Where a case of the suite fixes the numbers, the Mersenne Twister as numpy's RandomState(seed)
 * runs it. */
#ifndef SDX_OPS_GENERATOR_RANDOM_H
#define SDX_OPS_GENERATOR_RANDOM_H
#include "ops/kernels/kernels.h"

/* Uniform, base + u width with u in [0, 1) of so many bits (<= 53); or normal, base + z width. */
typedef struct sdx_draw {
    uint64_t key;
    bool normal;
    int bits; /* of a uniform number */
    double base, width;
} sdx_draw;
/* Numbers first .. first + n of the stream. */
void sdx_random(const sdx_kernels *kernels, const sdx_draw *draw, uint64_t first, int64_t n, double *to);

/* MT19937 of Matsumoto and Nishimura (1998). */
typedef struct sdx_mt19937 {
    uint32_t state[624];
    int at;
} sdx_mt19937;
void sdx_mt19937_seed(sdx_mt19937 *twister, uint64_t seed); /* the low 32 bits, as RandomState(seed) does with them */
uint32_t sdx_mt19937_next(sdx_mt19937 *twister);
double sdx_mt19937_uniform(sdx_mt19937 *twister); /* [0, 1), 53 bits: numpy's random_sample */

#endif
