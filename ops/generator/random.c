/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/generator/random.h"

static double unit(uint32_t high, uint32_t low) {
    return ((double)(high >> 5) * 67108864.0 + (double)(low >> 6)) * 0x1p-53;
}

/* The numbers of n counters. */
static void fill(const sdx_kernels *kernels, const sdx_draw *draw, uint64_t counter, int64_t n, double *to) {
    if (draw->normal)
        kernels->random_normal(draw->key, counter, n, draw->base, draw->width, to);
    else
        kernels->random_uniform(draw->key, counter, n, draw->bits, draw->base, draw->width, to);
}

void sdx_random(const sdx_kernels *kernels, const sdx_draw *draw, uint64_t first, int64_t n, double *to) {
    double pair[2];
    int64_t k = 0;
    if (n > 0 && first & 1) {
        fill(kernels, draw, first >> 1, 1, pair);
        to[k++] = pair[1];
    }
    const int64_t whole = (n - k) / 2;
    fill(kernels, draw, (first + (uint64_t)k) >> 1, whole, to + k);
    k += 2 * whole;
    if (k == n) return;
    fill(kernels, draw, (first + (uint64_t)k) >> 1, 1, pair);
    to[k] = pair[0];
}

void sdx_mt19937_seed(sdx_mt19937 *twister, uint64_t seed) {
    uint32_t s = (uint32_t)seed;
    for (uint32_t k = 0; k < 624; k++) {
        twister->state[k] = s;
        s = 1812433253u * (s ^ (s >> 30)) + k + 1;
    }
    twister->at = 624;
}

static void twist(uint32_t *state) {
    for (int k = 0; k < 624; k++) {
        uint32_t y = (state[k] & 0x80000000u) | (state[(k + 1) % 624] & 0x7fffffffu);
        state[k] = state[(k + 397) % 624] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
}

uint32_t sdx_mt19937_next(sdx_mt19937 *twister) {
    if (twister->at == 624) {
        twist(twister->state);
        twister->at = 0;
    }
    uint32_t y = twister->state[twister->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

double sdx_mt19937_uniform(sdx_mt19937 *twister) {
    uint32_t high = sdx_mt19937_next(twister);
    return unit(high, sdx_mt19937_next(twister));
}
