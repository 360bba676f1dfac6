/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/memory.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, HUGE = 2 * HUGE_PAGE };
enum { KEEP_LEAST = 128 << 10, KEEP_MOST = 512 << 20 }; /* bytes of a block that is kept; of all of them */

/* In front of every block, so that free knows the size; keeps the payload on a cache line. Blocks are aligned here:
 * malloc answers from a cache of its own for each thread, aligned_alloc does not. */
typedef union header {
    struct {
        size_t size;
        void *raw; /* what malloc gave */
    };
    unsigned char line[SDX_ALIGNMENT];
} header;

/* Blocks count in multiples of SDX_ALIGNMENT, so the lowest bit of `used` is free to say that the owner of a record
 * on the heap still holds it: whoever brings `used` to 0 frees the record. */
enum { OWNED = 1 };

void sdx_memory_init(sdx_memory *memory, size_t limit) {
    atomic_init(&memory->used, 0);
    atomic_init(&memory->peak, 0);
    atomic_init(&memory->fail_after, 0);
    memory->limit = limit;
    memory->on_heap = memory->keeps = false;
    memory->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    memory->n_kept = 0;
    atomic_init(&memory->kept, 0);
}

sdx_status sdx_memory_create(size_t limit, sdx_error *error, sdx_memory **out) {
    *out = NULL;
    sdx_memory *memory = malloc(sizeof *memory);
    if (!memory) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", sizeof *memory);
    sdx_memory_init(memory, limit);
    atomic_init(&memory->used, OWNED);
    memory->on_heap = true;
    *out = memory;
    return SDX_OK;
}

static void give_back(sdx_memory *memory, size_t size) {
    bool on_heap = memory->on_heap;
    if (atomic_fetch_sub(&memory->used, size) == size && on_heap) free(memory);
}

/* ---- Kept blocks ---- */

void sdx_memory_keep(sdx_memory *memory) { memory->keeps = memory->on_heap; }

/* The k-th block leaves the list. Under the lock. */
static header *remove_kept(sdx_memory *memory, int k) {
    header *block = memory->block[k];
    memory->n_kept--;
    memmove(&memory->block[k], &memory->block[k + 1], (size_t)(memory->n_kept - k) * sizeof *memory->block);
    atomic_fetch_sub(&memory->kept, block->size);
    return block;
}

/* The smallest kept block of `size` bytes or little more; NULL: there is none. */
static header *take_kept(sdx_memory *memory, size_t size) {
    if (size < KEEP_LEAST || atomic_load(&memory->kept) < size) return NULL;
    int best = -1;
    size_t least = size + size / 8;
    pthread_mutex_lock(&memory->lock);
    for (int k = 0; k < memory->n_kept; k++) {
        const size_t has = ((const header *)memory->block[k])->size;
        if (has >= size && has <= least) best = k, least = has;
    }
    header *block = best < 0 ? NULL : remove_kept(memory, best);
    pthread_mutex_unlock(&memory->lock);
    return block;
}

static bool release_oldest(sdx_memory *memory) {
    if (atomic_load(&memory->kept) == 0) return false;
    pthread_mutex_lock(&memory->lock);
    header *block = memory->n_kept ? remove_kept(memory, 0) : NULL;
    pthread_mutex_unlock(&memory->lock);
    if (!block) return false;
    const size_t size = block->size;
    free(block->raw);
    give_back(memory, size);
    return true;
}

/* False: it must be freed. The record may be gone as soon as the lock is open. */
static bool keep(sdx_memory *memory, header *block) {
    if (block->size < KEEP_LEAST || block->size > KEEP_MOST) return false;
    header *old[SDX_MEMORY_KEPT];
    int n_old = 0;
    size_t old_size = 0;
    pthread_mutex_lock(&memory->lock);
    const bool keeps = memory->keeps;
    while (keeps && (memory->n_kept == SDX_MEMORY_KEPT || atomic_load(&memory->kept) > KEEP_MOST - block->size))
        old_size += (old[n_old++] = remove_kept(memory, 0))->size;
    if (keeps) {
        memory->block[memory->n_kept++] = block;
        atomic_fetch_add(&memory->kept, block->size);
    }
    atomic_fetch_sub(&memory->used, old_size);
    pthread_mutex_unlock(&memory->lock);
    for (int k = 0; k < n_old; k++) free(old[k]->raw);
    return keeps;
}

void sdx_memory_drop(sdx_memory *memory) {
    if (!memory) return;
    pthread_mutex_lock(&memory->lock);
    memory->keeps = false;
    pthread_mutex_unlock(&memory->lock);
    while (release_oldest(memory)) continue;
    give_back(memory, OWNED);
}

size_t sdx_memory_used(const sdx_memory *memory) {
    const size_t kept = atomic_load(&memory->kept), used = atomic_load(&memory->used) & ~(size_t)OWNED;
    return used > kept ? used - kept : 0;
}
size_t sdx_memory_peak(const sdx_memory *memory) { return atomic_load(&memory->peak) & ~(size_t)OWNED; }

static bool fault_injected(sdx_memory *memory) {
    if (atomic_load_explicit(&memory->fail_after, memory_order_relaxed) == 0) return false;
    return atomic_fetch_sub(&memory->fail_after, 1) == 1;
}

static bool reserve(sdx_memory *memory, size_t size, size_t *in_use) {
    size_t used = atomic_load(&memory->used), next = 0;
    do {
        *in_use = used & ~(size_t)OWNED;
        if (!sdx_size_add(used, size, &next)) return false;
        if (memory->limit && (next & ~(size_t)OWNED) > memory->limit) return false;
    } while (!atomic_compare_exchange_weak(&memory->used, &used, next));
    size_t peak = atomic_load(&memory->peak);
    while (next > peak && !atomic_compare_exchange_weak(&memory->peak, &peak, next)) continue;
    return true;
}

static bool grows(const sdx_memory *memory, size_t size) {
    const size_t used = atomic_load(&memory->used), peak = atomic_load(&memory->peak);
    return used > peak || size > peak - used || (memory->limit && used + size > memory->limit);
}

/* Large pages for what lies between their boundaries: no memory is added, and a page fault less for every 4 KiB. */
static void use_huge_pages(void *block, size_t size) {
    uintptr_t begin = ((uintptr_t)block + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uintptr_t end = ((uintptr_t)block + size) / HUGE_PAGE * HUGE_PAGE;
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

void *sdx_memory_alloc(sdx_memory *memory, size_t size, sdx_error *error) {
    size_t total = 0, in_use = 0;
    if (!sdx_size_add(size, sizeof(header) + 2 * SDX_ALIGNMENT, &total) || total > PTRDIFF_MAX)
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    total = total / SDX_ALIGNMENT * SDX_ALIGNMENT;
    if (fault_injected(memory)) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    header *kept = take_kept(memory, total);
    if (kept) return kept + 1;
    while (grows(memory, total) && release_oldest(memory)) continue;
    if (!reserve(memory, total, &in_use))
        return sdx_fail(error, SDX_LIMIT, "%zu bytes asked for; %zu of the limit of %zu are in use", size, in_use,
                        memory->limit),
               NULL;
    void *raw = malloc(total);
    while (!raw && release_oldest(memory)) raw = malloc(total);
    if (!raw) {
        give_back(memory, total);
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    }
    header *block = (header *)(((uintptr_t)raw + SDX_ALIGNMENT - 1) / SDX_ALIGNMENT * SDX_ALIGNMENT);
    block->size = total;
    block->raw = raw;
    if (total >= HUGE) use_huge_pages(raw, total);
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
    size_t size = block->size;
    if (memory->on_heap && keep(memory, block)) return;
    free(block->raw);
    give_back(memory, size);
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

void sdx_arena_reset(sdx_arena *arena) {
    sdx_arena_block *kept = arena->head;
    if (!kept) return;
    arena->head = kept->next;
    sdx_arena_release(arena);
    *kept = (sdx_arena_block){NULL, 0, kept->capacity};
    arena->head = kept;
}
