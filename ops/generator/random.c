/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/generator/random.h"
#include <math.h>

void sdx_philox(uint64_t key, uint64_t counter, uint32_t out[4]) {
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t c1 = c[1], c3 = c[3];
        c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c[1] = (uint32_t)p1;
        c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int j = 0; j < 4; j++) out[j] = c[j];
}

static double unit(uint32_t high, uint32_t low) {
    return ((double)(high >> 5) * 67108864.0 + (double)(low >> 6)) * 0x1p-53;
}

double sdx_random_uniform(uint64_t key, uint64_t index) {
    uint32_t r[4];
    sdx_philox(key, index >> 1, r);
    return index & 1 ? unit(r[2], r[3]) : unit(r[0], r[1]);
}

/* Box and Muller (1958): a block gives one pair. */
double sdx_random_normal(uint64_t key, uint64_t index) {
    uint32_t r[4];
    sdx_philox(key, index >> 1, r);
    double radius = sqrt(-2 * log1p(-unit(r[0], r[1]))), angle = 6.283185307179586476925 * unit(r[2], r[3]);
    return radius * (index & 1 ? sin(angle) : cos(angle));
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
