/* SPDX-License-Identifier: Apache-2.0
 * The look over untrusted bytes that comes before protobuf-c: iterative, no allocation, one pass. What passes is
 * shallow, whole, has each field in its own wire form, and unfolds to a known number of bytes. */
#ifndef SDX_PROTO_WIRE_H
#define SDX_PROTO_WIRE_H
#include "runtime/base/status.h"
#include <protobuf-c/protobuf-c.h>

enum {
    SDX_WIRE_DEPTH = 100,     /* messages inside the outermost one */
    SDX_WIRE_FACTOR = 16,     /* bytes in memory allowed for one byte of a file ... */
    SDX_WIRE_FREE = 64 << 20, /* ... beyond these */
    SDX_POOL_LARGE = 1024,    /* blocks from this size on are separate allocations, see message.h */
    SDX_POOL_HEADER = 256     /* most that a separate allocation takes beside its payload */
};

/* Checks `bytes` as one message of `type`. *need: about what unpacking them will take. MALFORMED says what was found
 * at which byte; LIMIT when more is needed than the bytes earn. */
sdx_status sdx_wire_check(const ProtobufCMessageDescriptor *type, const unsigned char *bytes, size_t size, size_t *need,
                          sdx_error *error);

#endif
