/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_BASE_MIX_H
#define SDX_BASE_MIX_H
#include <stdint.h>

/* The finaliser of splitmix64: every bit of the result depends on every bit of x. */
static inline uint64_t sdx_mix64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
