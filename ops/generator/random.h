/* SPDX-License-Identifier: Apache-2.0
 * Random numbers. Counter-based by default: number `index` of stream `key`, so that results depend neither on
 * threads nor on order. Where a case of the suite fixes the numbers, the Mersenne Twister as numpy's RandomState(seed)
 * runs it. */
#ifndef SDX_OPS_GENERATOR_RANDOM_H
#define SDX_OPS_GENERATOR_RANDOM_H
#include <stdint.h>

/* Philox 4x32-10 of Salmon, Moraes, Dror and Shaw (2011): 128 bits for each counter. */
void sdx_philox(uint64_t key, uint64_t counter, uint32_t out[4]);
/* Uniform in [0, 1) with 53 bits; normal with mean 0 and variance 1. */
double sdx_random_uniform(uint64_t key, uint64_t index);
double sdx_random_normal(uint64_t key, uint64_t index);
/* The same numbers, first .. first + n. */
void sdx_random_uniforms(uint64_t key, uint64_t first, int64_t n, double *to);
void sdx_random_normals(uint64_t key, uint64_t first, int64_t n, double *to);

/* MT19937 of Matsumoto and Nishimura (1998). */
typedef struct sdx_mt19937 {
    uint32_t state[624];
    int at;
} sdx_mt19937;
void sdx_mt19937_seed(sdx_mt19937 *twister, uint64_t seed); /* the low 32 bits, as RandomState(seed) does with them */
uint32_t sdx_mt19937_next(sdx_mt19937 *twister);
double sdx_mt19937_uniform(sdx_mt19937 *twister); /* [0, 1), 53 bits: numpy's random_sample */

#endif
