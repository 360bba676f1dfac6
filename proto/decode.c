/* SPDX-License-Identifier: Apache-2.0
 * A file is read whole and freed as soon as its tree stands: protobuf-c copies every payload once, and from then on
 * the copy is the only one. */
#include "proto/decode.h"
#include "runtime/base/value.h"
#include <limits.h>
#include <string.h>

static sdx_status decode_bytes(sdx_proto *proto, const ProtobufCMessageDescriptor *type, const sdx_source *source,
                               sdx_error *error) {
    if (source->fd < 0)
        return sdx_message_decode(&proto->message, type, source->bytes, source->size, proto->memory, error);
    if (source->size > INT_MAX)
        return sdx_fail(error, SDX_MALFORMED, "%s has %zu bytes; protobuf allows %d", type->short_name, source->size,
                        INT_MAX);
    unsigned char *bytes = sdx_memory_alloc(proto->memory, source->size, error);
    if (!bytes) return error->status;
    sdx_status status = sdx_source_read(source, 0, bytes, source->size, error);
    if (!status) status = sdx_message_decode(&proto->message, type, bytes, source->size, proto->memory, error);
    sdx_memory_free(proto->memory, bytes);
    return status;
}

sdx_status sdx_proto_decode_as(const ProtobufCMessageDescriptor *type, const sdx_source *source,
                               const sdx_proto_options *options, sdx_memory *memory, sdx_error *error,
                               sdx_proto **out) {
    sdx_error own = {0};
    if (!error) error = &own;
    *out = NULL;
    sdx_proto *proto = sdx_memory_alloc_zero(memory, sizeof *proto, error);
    if (!proto) return error->status;
    proto->memory = memory;
    sdx_external_init(&proto->external, NULL, options && options->allow_links);
    sdx_status status = decode_bytes(proto, type, source, error);
    if (!status && options && options->base_folder) {
        const char *folder = options->base_folder;
        proto->external.base_folder = sdx_arena_copy(&proto->message.pool.arena, folder, strlen(folder), error);
        if (!proto->external.base_folder) status = error->status;
    }
    if (status)
        sdx_proto_free(proto);
    else
        *out = proto;
    return status;
}

sdx_status sdx_proto_decode(const sdx_source *source, const sdx_proto_options *options, sdx_memory *memory,
                            sdx_error *error, sdx_proto **out) {
    return sdx_proto_decode_as(&onnx__model_proto__descriptor, source, options, memory, error, out);
}

void sdx_proto_free(sdx_proto *proto) {
    if (!proto) return;
    sdx_external_close(&proto->external);
    if (proto->message.pool.arena.memory) sdx_message_release(&proto->message);
    sdx_memory_free(proto->memory, proto);
}

Onnx__ModelProto *sdx_proto_model(const sdx_proto *proto) { return (Onnx__ModelProto *)proto->message.root; }
