/* SPDX-License-Identifier: Apache-2.0
 * Accounted allocation. Every byte the library holds belongs to an sdx_memory with a limit; every allocation can be
 * made to fail on purpose. Thread-safe. */
#ifndef SDX_BASE_MEMORY_H
#define SDX_BASE_MEMORY_H
#include "runtime/base/status.h"
#include <pthread.h>
#include <stdatomic.h>

#define SDX_ALIGNMENT 64

enum { SDX_MEMORY_KEPT = 64 }; /* blocks */

typedef struct sdx_memory {
    atomic_size_t used, peak;       /* kept blocks count */
    size_t limit;                   /* 0: none */
    atomic_int_fast64_t fail_after; /* tests: the n-th allocation from now fails (1 = the next); 0 = never */
    bool on_heap;                   /* made by sdx_memory_create */
    /* Large blocks that were freed, the oldest first, under the lock. */
    pthread_mutex_t lock;
    bool keeps;
    int n_kept;
    atomic_size_t kept; /* their bytes */
    void *block[SDX_MEMORY_KEPT];
} sdx_memory;

void sdx_memory_init(sdx_memory *memory, size_t limit);

/* A record on the heap. It lives until its owner has dropped it and the last of its blocks is freed, so that values
 * may outlive the session that made them. */
sdx_status sdx_memory_create(size_t limit, sdx_error *error, sdx_memory **out);
void sdx_memory_drop(sdx_memory *memory); /* NULL-safe; the owner may not use it any more */

/* From now on a record on the heap keeps large blocks that are freed (outputs of a run, say) for the next allocation
 * of about that size, whose pages need not be made again. What is kept never takes the record past the peak or the
 * limit: it makes room first. It goes when the owner drops the record. */
void sdx_memory_keep(sdx_memory *memory);

/* Without what is kept. */
size_t sdx_memory_used(const sdx_memory *memory);
size_t sdx_memory_peak(const sdx_memory *memory);

/* 64-byte aligned, not cleared. NULL with OUT_OF_MEMORY or LIMIT in `error`. size 0 gives a valid pointer. */
void *sdx_memory_alloc(sdx_memory *memory, size_t size, sdx_error *error);
void *sdx_memory_alloc_zero(sdx_memory *memory, size_t size, sdx_error *error);
void sdx_memory_free(sdx_memory *memory, void *pointer);

/* Checked sizes: false on overflow. */
static inline bool sdx_size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool sdx_size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool sdx_dim_mul(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* A bump allocator: freed all at once. Not thread-safe. Memory comes zeroed. */
typedef struct sdx_arena_block sdx_arena_block;
typedef struct sdx_arena {
    sdx_memory *memory;
    sdx_arena_block *head;
} sdx_arena;

void sdx_arena_init(sdx_arena *arena, sdx_memory *memory);
void *sdx_arena_alloc(sdx_arena *arena, size_t size, sdx_error *error); /* 16-byte aligned, zeroed */
void *sdx_arena_alloc_array(sdx_arena *arena, size_t count, size_t size, sdx_error *error);
char *sdx_arena_copy(sdx_arena *arena, const void *bytes, size_t size, sdx_error *error); /* NUL added */
void sdx_arena_release(sdx_arena *arena);
void sdx_arena_reset(sdx_arena *arena); /* empty again; the newest block is kept for what comes next */

#define SDX_NEW(arena, type, error) ((type *)sdx_arena_alloc((arena), sizeof(type), (error)))
#define SDX_NEW_ARRAY(arena, type, count, error)                                                                       \
    ((type *)sdx_arena_alloc_array((arena), (size_t)(count), sizeof(type), (error)))

#endif
