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

static void uniform_pair(uint64_t key, uint64_t block, double pair[2]) {
    uint32_t r[4];
    sdx_philox(key, block, r);
    pair[0] = unit(r[0], r[1]);
    pair[1] = unit(r[2], r[3]);
}

/* Box and Muller (1958). */
static void normal_pair(uint64_t key, uint64_t block, double pair[2]) {
    uniform_pair(key, block, pair);
    const double radius = sqrt(-2 * log1p(-pair[0])), angle = 6.283185307179586476925 * pair[1];
    pair[0] = radius * cos(angle);
    pair[1] = radius * sin(angle);
}

double sdx_random_uniform(uint64_t key, uint64_t index) {
    double pair[2];
    uniform_pair(key, index >> 1, pair);
    return pair[index & 1];
}

double sdx_random_normal(uint64_t key, uint64_t index) {
    double pair[2];
    normal_pair(key, index >> 1, pair);
    return pair[index & 1];
}

#define IN_PAIRS(name, draw)                                                                                           \
    void name(uint64_t key, uint64_t first, int64_t n, double *to) {                                                   \
        double pair[2];                                                                                                \
        for (int64_t k = 0; k < n; k++) {                                                                              \
            const uint64_t index = first + (uint64_t)k;                                                                \
            if (k == 0 || !(index & 1)) draw(key, index >> 1, pair);                                                   \
            to[k] = pair[index & 1];                                                                                   \
        }                                                                                                              \
    }
IN_PAIRS(sdx_random_uniforms, uniform_pair)
IN_PAIRS(sdx_random_normals, normal_pair)

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
