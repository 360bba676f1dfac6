/* SPDX-License-Identifier: Apache-2.0
 * Nothing here walks the tree: releasing it releases the arena and the list of large blocks. */
#include "proto/message.h"
#include <string.h>

/* In front of a large payload. */
struct sdx_block {
    _Alignas(SDX_ALIGNMENT) sdx_block *next;
    sdx_block *previous;
    size_t size;
};
_Static_assert(sizeof(sdx_block) == SDX_ALIGNMENT, "the payload must stay on the boundary");

enum { PIECE = 1 << 16, STEP = 16 };

static bool is_large(const void *payload) { return (uintptr_t)payload % SDX_ALIGNMENT == 0; }

static bool account(sdx_pool_memory *pool, size_t size) {
    if (size <= pool->limit - pool->used) {
        pool->used += size;
        return true;
    }
    sdx_fail(pool->error, SDX_LIMIT, "the message needs more than the %zu bytes its size allows", pool->limit);
    return false;
}

static void *large_alloc(sdx_pool_memory *pool, size_t size) {
    size_t total = 0;
    if (!sdx_size_add(size, sizeof(sdx_block), &total) || !account(pool, total)) return NULL;
    sdx_block *block = sdx_memory_alloc(pool->arena.memory, total, pool->error);
    if (!block) return NULL;
    *block = (sdx_block){.next = pool->large, .size = total};
    if (pool->large) pool->large->previous = block;
    pool->large = block;
    return block + 1;
}

static void unlink_block(sdx_pool_memory *pool, sdx_block *block) {
    if (block->previous)
        block->previous->next = block->next;
    else
        pool->large = block->next;
    if (block->next) block->next->previous = block->previous;
    pool->used -= block->size;
}

static void *small_alloc(sdx_pool_memory *pool, size_t size) {
    size = (size + STEP - 1) / STEP * STEP;
    size_t skip = pool->next && is_large(pool->next) ? STEP : 0;
    if (!pool->next || size + skip > (size_t)(pool->end - pool->next)) {
        if (!account(pool, PIECE)) return NULL;
        pool->next = sdx_arena_alloc(&pool->arena, PIECE, pool->error);
        if (!pool->next) return NULL;
        pool->end = pool->next + PIECE;
        skip = is_large(pool->next) ? STEP : 0;
    }
    void *payload = pool->next + skip;
    pool->next += skip + size;
    return payload;
}

static void *pool_alloc(void *data, size_t size) {
    return size >= SDX_POOL_LARGE ? large_alloc(data, size) : small_alloc(data, size ? size : 1);
}

static void pool_free(void *data, void *payload) {
    if (!payload || !is_large(payload)) return;
    sdx_block *block = (sdx_block *)payload - 1;
    sdx_pool_memory *pool = data;
    unlink_block(pool, block);
    sdx_memory_free(pool->arena.memory, block);
}

void *sdx_message_take(sdx_message *message, void *payload) {
    if (!payload || !is_large(payload)) return NULL;
    sdx_block *block = (sdx_block *)payload - 1;
    unlink_block(&message->pool, block);
    return block;
}

void sdx_message_release(sdx_message *message) {
    sdx_pool_memory *pool = &message->pool;
    while (pool->large) {
        sdx_block *next = pool->large->next;
        sdx_memory_free(pool->arena.memory, pool->large);
        pool->large = next;
    }
    sdx_arena_release(&pool->arena);
    message->root = NULL;
}

sdx_status sdx_message_decode(sdx_message *message, const ProtobufCMessageDescriptor *type, const unsigned char *bytes,
                              size_t size, sdx_memory *memory, sdx_error *error) {
    sdx_error own = {0}; /* protobuf-c's callbacks report here: the caller's may be NULL */
    size_t need = 0;
    memset(message, 0, sizeof *message);
    SDX_TRY(sdx_wire_check(type, bytes, size, &need, error));
    sdx_pool_memory *pool = &message->pool;
    sdx_arena_init(&pool->arena, memory);
    pool->limit = size * SDX_WIRE_FACTOR + SDX_WIRE_FREE;
    pool->error = &own;
    pool->allocator = (ProtobufCAllocator){pool_alloc, pool_free, pool};
    if (memory->limit && need > memory->limit)
        return sdx_fail(error, SDX_LIMIT, "%s of %zu bytes unfolds to %zu; the limit is %zu", type->short_name, size,
                        need, memory->limit);
    message->root = protobuf_c_message_unpack(type, &pool->allocator, size, bytes);
    pool->error = NULL;
    if (message->root) return SDX_OK;
    sdx_message_release(message);
    if (own.status) return sdx_fail(error, own.status, "%s", own.message);
    return sdx_fail(error, SDX_MALFORMED, "the %zu bytes are no %s", size, type->short_name);
}
