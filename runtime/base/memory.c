/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/memory.h"
#include <stdlib.h>
#include <string.h>

/* In front of every block, so that free knows the size; keeps the payload on a cache line. */
typedef union header {
    size_t size;
    unsigned char line[SDX_ALIGNMENT];
} header;

void sdx_memory_init(sdx_memory *memory, size_t limit) {
    atomic_init(&memory->used, 0);
    atomic_init(&memory->peak, 0);
    atomic_init(&memory->fail_after, 0);
    memory->limit = limit;
}

static bool fault_injected(sdx_memory *memory) {
    if (atomic_load_explicit(&memory->fail_after, memory_order_relaxed) == 0) return false;
    return atomic_fetch_sub(&memory->fail_after, 1) == 1;
}

static bool reserve(sdx_memory *memory, size_t size, size_t *in_use) {
    size_t used = atomic_load(&memory->used), next = 0;
    do {
        *in_use = used;
        if (!sdx_size_add(used, size, &next) || (memory->limit && next > memory->limit)) return false;
    } while (!atomic_compare_exchange_weak(&memory->used, &used, next));
    size_t peak = atomic_load(&memory->peak);
    while (next > peak && !atomic_compare_exchange_weak(&memory->peak, &peak, next)) continue;
    return true;
}

void *sdx_memory_alloc(sdx_memory *memory, size_t size, sdx_error *error) {
    size_t total = 0, in_use = 0;
    if (!sdx_size_add(size, sizeof(header) + SDX_ALIGNMENT, &total) || total > PTRDIFF_MAX)
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    total = (sizeof(header) + size + SDX_ALIGNMENT - 1) / SDX_ALIGNMENT * SDX_ALIGNMENT;
    if (fault_injected(memory)) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    if (!reserve(memory, total, &in_use))
        return sdx_fail(error, SDX_LIMIT, "%zu bytes asked for; %zu of the limit of %zu are in use", size, in_use,
                        memory->limit),
               NULL;
    header *block = aligned_alloc(SDX_ALIGNMENT, total);
    if (!block) {
        atomic_fetch_sub(&memory->used, total);
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    }
    block->size = total;
    return block + 1;
}

void *sdx_memory_alloc_zero(sdx_memory *memory, size_t size, sdx_error *error) {
    void *pointer = sdx_memory_alloc(memory, size, error);
    if (pointer) memset(pointer, 0, size);
    return pointer;
}

void sdx_memory_free(sdx_memory *memory, void *pointer) {
    if (!pointer) return;
    header *block = (header *)pointer - 1;
    atomic_fetch_sub(&memory->used, block->size);
    free(block);
}

struct sdx_arena_block {
    sdx_arena_block *next;
    size_t used, capacity;
};

enum { ARENA_ALIGN = 16, ARENA_FIRST = 4096, ARENA_MOST = 1 << 20 };
#define BLOCK_HEAD ((sizeof(sdx_arena_block) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN)

void sdx_arena_init(sdx_arena *arena, sdx_memory *memory) {
    arena->memory = memory;
    arena->head = NULL;
}

static sdx_arena_block *arena_grow(sdx_arena *arena, size_t size, sdx_error *error) {
    size_t capacity = arena->head ? arena->head->capacity * 2 : ARENA_FIRST, total = 0;
    if (capacity > ARENA_MOST) capacity = ARENA_MOST;
    if (capacity < size) capacity = size;
    if (!sdx_size_add(capacity, BLOCK_HEAD, &total))
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    sdx_arena_block *block = sdx_memory_alloc(arena->memory, total, error);
    if (!block) return NULL;
    *block = (sdx_arena_block){arena->head, 0, capacity};
    arena->head = block;
    return block;
}

void *sdx_arena_alloc(sdx_arena *arena, size_t size, sdx_error *error) {
    size_t rounded = 0;
    if (!sdx_size_add(size, ARENA_ALIGN - 1, &rounded))
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    rounded = rounded / ARENA_ALIGN * ARENA_ALIGN;
    sdx_arena_block *block = arena->head;
    if (!block || rounded > block->capacity - block->used) block = arena_grow(arena, rounded, error);
    if (!block) return NULL;
    void *pointer = (unsigned char *)block + BLOCK_HEAD + block->used;
    block->used += rounded;
    return memset(pointer, 0, rounded);
}

void *sdx_arena_alloc_array(sdx_arena *arena, size_t count, size_t size, sdx_error *error) {
    size_t total = 0;
    if (!sdx_size_mul(count, size, &total))
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu times %zu bytes asked for", count, size), NULL;
    return sdx_arena_alloc(arena, total, error);
}

char *sdx_arena_copy(sdx_arena *arena, const void *bytes, size_t size, sdx_error *error) {
    size_t total = 0;
    if (!sdx_size_add(size, 1, &total)) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    char *copy = sdx_arena_alloc(arena, total, error);
    if (copy && size) memcpy(copy, bytes, size);
    return copy;
}

void sdx_arena_release(sdx_arena *arena) {
    while (arena->head) {
        sdx_arena_block *next = arena->head->next;
        sdx_memory_free(arena->memory, arena->head);
        arena->head = next;
    }
}
