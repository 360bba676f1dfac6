/* SPDX-License-Identifier: Apache-2.0
 * Open addressing, linear probing, at most half full. SipHash: Aumasson and Bernstein, 2012. */
#include "runtime/base/names.h"
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct sdx_names_slot {
    const char *name; /* NULL: free */
    uint64_t hash;
    int32_t value;
};

void sdx_hash_key(uint64_t key[2]) {
    if (getrandom(key, 16, GRND_NONBLOCK) == 16) return;
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    key[0] = (uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)key;
    key[1] = (uint64_t)now.tv_sec * 0x9e3779b97f4a7c15u ^ key[0];
}

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

uint64_t sdx_hash_bytes(const uint64_t key[2], const void *bytes, size_t size) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    const unsigned char *p = bytes;
    size_t left = size;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word = 0;
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)size << 56;
    for (size_t i = 0; i < left; i++) last |= (uint64_t)p[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void sdx_names_init(sdx_names *names, sdx_arena *arena) {
    *names = (sdx_names){.arena = arena};
    sdx_hash_key(names->key);
}

static struct sdx_names_slot *slot_of(const sdx_names *names, const char *name, uint64_t hash) {
    size_t mask = names->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct sdx_names_slot *slot = &names->slots[i];
        if (!slot->name || (slot->hash == hash && strcmp(slot->name, name) == 0)) return slot;
    }
}

static sdx_status grow(sdx_names *names, sdx_error *error) {
    sdx_names next = *names;
    next.capacity = names->capacity ? names->capacity * 2 : 32;
    next.slots = SDX_NEW_ARRAY(names->arena, struct sdx_names_slot, next.capacity, error);
    if (!next.slots) return SDX_OUT_OF_MEMORY;
    for (size_t i = 0; i < names->capacity; i++)
        if (names->slots[i].name) *slot_of(&next, names->slots[i].name, names->slots[i].hash) = names->slots[i];
    *names = next;
    return SDX_OK;
}

sdx_status sdx_names_put(sdx_names *names, const char *name, int32_t value, sdx_error *error) {
    if (names->n * 2 >= names->capacity) SDX_TRY(grow(names, error));
    uint64_t hash = sdx_hash_bytes(names->key, name, strlen(name));
    struct sdx_names_slot *slot = slot_of(names, name, hash);
    if (!slot->name) names->n++;
    *slot = (struct sdx_names_slot){name, hash, value};
    return SDX_OK;
}

int32_t sdx_names_get(const sdx_names *names, const char *name, int32_t absent) {
    if (!names->capacity) return absent;
    const struct sdx_names_slot *slot = slot_of(names, name, sdx_hash_bytes(names->key, name, strlen(name)));
    return slot->name ? slot->value : absent;
}
