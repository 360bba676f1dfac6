/* SPDX-License-Identifier: Apache-2.0
 * A map from names to small integers, in an arena. Keyed by SipHash-1-3 with a random key, so that a file cannot
 * choose names that collide. */
#ifndef SDX_BASE_NAMES_H
#define SDX_BASE_NAMES_H
#include "runtime/base/memory.h"

typedef struct sdx_names {
    sdx_arena *arena;
    uint64_t key[2];
    struct sdx_names_slot *slots;
    size_t capacity, n;
} sdx_names;

void sdx_names_init(sdx_names *names, sdx_arena *arena);
/* Adds or overwrites; the key is borrowed and must outlive the map. */
sdx_status sdx_names_put(sdx_names *names, const char *name, int32_t value, sdx_error *error);
/* The value, or `absent`. */
int32_t sdx_names_get(const sdx_names *names, const char *name, int32_t absent);

/* SipHash-1-3, for other seeded tables. */
uint64_t sdx_hash_bytes(const uint64_t key[2], const void *bytes, size_t size);
void sdx_hash_key(uint64_t key[2]); /* random */

#endif
