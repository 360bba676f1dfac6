/* SPDX-License-Identifier: Apache-2.0
 * Any message of ours from bytes, through the prescan and protobuf-c, into accounted memory. */
#ifndef SDX_PROTO_MESSAGE_H
#define SDX_PROTO_MESSAGE_H
#include "proto/wire.h"
#include "runtime/base/memory.h"

/* Memory of one message tree. Small blocks come from an arena and live as long as it does; a large one is an
 * allocation of its own, so that a tensor's payload can leave the tree without a copy. Large payloads lie on a 64-byte
 * boundary and small ones never do: that tells them apart. */
typedef struct sdx_block sdx_block;
typedef struct sdx_pool_memory {
    sdx_arena arena;
    unsigned char *next, *end; /* of the arena's piece that small blocks are cut from */
    sdx_block *large;
    size_t used, limit;
    sdx_error *error;
    ProtobufCAllocator allocator;
} sdx_pool_memory;

typedef struct sdx_message {
    sdx_pool_memory pool;
    ProtobufCMessage *root;
} sdx_message;

/* `message` must not move afterwards. On failure nothing is left to release. */
sdx_status sdx_message_decode(sdx_message *message, const ProtobufCMessageDescriptor *type, const unsigned char *bytes,
                              size_t size, sdx_memory *memory, sdx_error *error);
void sdx_message_release(sdx_message *message);

/* The allocation behind a large payload, which now belongs to the caller (sdx_memory_free); NULL for a small one. */
void *sdx_message_take(sdx_message *message, void *payload);

#endif
