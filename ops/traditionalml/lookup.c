/* SPDX-License-Identifier: Apache-2.0
 * Categories to positions: open addressing in the model's memory, hashed with a random key so that a file cannot choose
 * categories that collide. */
#include "ops/traditionalml/ml.h"
#include <math.h>
#include <string.h>

static uint64_t hash_number(const sdx_ml_lookup *l, uint64_t number) {
    return sdx_hash_bytes(l->seed, &number, sizeof number);
}
static uint64_t hash_string(const sdx_ml_lookup *l, sdx_string s) { return sdx_hash_bytes(l->seed, s.data, s.size); }

static bool same(const sdx_ml_lookup *l, uint32_t k, uint64_t number, sdx_string string) {
    if (!l->text) return l->numbers[k] == number;
    return l->strings[k].size == string.size && memcmp(l->strings[k].data, string.data, string.size) == 0;
}

static uint32_t *slot_of(const sdx_ml_lookup *l, uint64_t number, sdx_string string) {
    size_t at = (l->text ? hash_string(l, string) : hash_number(l, number)) & l->mask;
    while (l->slot[at] && !same(l, l->slot[at] - 1, number, string)) at = (at + 1) & l->mask;
    return &l->slot[at];
}

static void build(sdx_bind *bind, sdx_ml_lookup *l) {
    size_t capacity = 4;
    if (bind->status != SDX_OK) return;
    if (l->n > UINT32_MAX / 4) {
        sdx_bind_fail(bind, SDX_LIMIT, "%zu categories are too many", l->n);
        return;
    }
    while (capacity < 2 * l->n) capacity *= 2;
    l->mask = capacity - 1;
    l->slot = SDX_NEW_ARRAY(bind->arena, uint32_t, capacity, bind->error);
    if (!l->slot) {
        bind->status = SDX_OUT_OF_MEMORY;
        l->n = 0;
        return;
    }
    sdx_hash_key(l->seed);
    for (size_t k = 0; k < l->n; k++)
        *slot_of(l, l->text ? 0 : l->numbers[k], l->text ? l->strings[k] : (sdx_string){"", 0}) = (uint32_t)k + 1;
}

void sdx_ml_lookup_numbers(sdx_bind *bind, const uint64_t *numbers, size_t n, sdx_ml_lookup *out) {
    *out = (sdx_ml_lookup){.n = n, .numbers = numbers};
    build(bind, out);
}

void sdx_ml_lookup_strings(sdx_bind *bind, const sdx_string *strings, size_t n, sdx_ml_lookup *out) {
    *out = (sdx_ml_lookup){.n = n, .text = true, .strings = strings};
    build(bind, out);
}

void sdx_ml_lookup_list(sdx_bind *bind, const sdx_ml_list *list, sdx_ml_lookup *out) {
    if (list->text)
        sdx_ml_lookup_strings(bind, list->strings, (size_t)list->n, out);
    else
        sdx_ml_lookup_numbers(bind, (const uint64_t *)list->ints, (size_t)list->n, out);
}

int64_t sdx_ml_find_number(const sdx_ml_lookup *lookup, uint64_t number) {
    return lookup->n ? (int64_t)*slot_of(lookup, number, (sdx_string){"", 0}) - 1 : -1;
}

int64_t sdx_ml_find_string(const sdx_ml_lookup *lookup, sdx_string string) {
    return lookup->n ? (int64_t)*slot_of(lookup, 0, string) - 1 : -1;
}

uint64_t sdx_ml_float_key(double value) {
    uint64_t bits = 0;
    if (isnan(value)) return UINT64_MAX;
    value = value == 0 ? 0 : value;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
