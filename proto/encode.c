/* SPDX-License-Identifier: Apache-2.0
 * protobuf-c hands out the bytes piece by piece; a payload goes to the sink as it lies in memory. Fields are written
 * in the order of their numbers, present or absent as the tree says; unknown ones follow. */
#include "proto/encode.h"
#include "proto/packing.h"
#include "proto/proto.h"
#include <limits.h>
#include <string.h>

typedef struct stream {
    ProtobufCBuffer buffer; /* first: protobuf-c passes this one back */
    sdx_sink *sink;
    sdx_error *error;
    sdx_status status;
} stream;

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *bytes) {
    stream *s = (stream *)buffer;
    if (s->status == SDX_OK) s->status = sdx_sink_write(s->sink, bytes, size, s->error);
}

sdx_status sdx_message_encode(const ProtobufCMessage *message, sdx_sink *sink, sdx_error *error) {
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > INT_MAX)
        return sdx_fail(error, SDX_UNSUPPORTED,
                        "%s takes %zu bytes; protobuf allows %d: large tensors must go to external data",
                        message->descriptor->short_name, size, INT_MAX);
    stream s = {.buffer = {append}, .sink = sink, .error = error};
    protobuf_c_message_pack_to_buffer(message, &s.buffer);
    return s.status;
}

sdx_status sdx_proto_encode(const Onnx__ModelProto *model, sdx_sink *sink, sdx_memory *memory, sdx_error *error) {
    (void)memory; /* nothing is buffered */
    return sdx_message_encode(&model->base, sink, error);
}

static sdx_status put_strings(const sdx_tensor *tensor, sdx_arena *arena, sdx_error *error, Onnx__TensorProto *to) {
    const sdx_string *strings = tensor->data;
    size_t count = (size_t)tensor->count;
    if (count == 0) return SDX_OK;
    to->string_data = SDX_NEW_ARRAY(arena, ProtobufCBinaryData, count, error);
    if (!to->string_data) return error->status;
    for (size_t i = 0; i < count; i++) {
        union {
            const char *text;
            uint8_t *data;
        } bytes = {strings[i].data};
        to->string_data[i] = (ProtobufCBinaryData){strings[i].size, bytes.data};
    }
    to->n_string_data = count;
    return SDX_OK;
}

static sdx_status put_raw(const sdx_tensor *tensor, sdx_arena *arena, sdx_error *error, Onnx__TensorProto *to) {
    if (tensor->count == 0) return SDX_OK; /* a value field is not allowed */
    to->has_raw_data = 1;
    to->raw_data = (ProtobufCBinaryData){sdx_tensor_bytes(tensor), tensor->data};
    if (sdx_dtype_bits(tensor->dtype) >= 8) return SDX_OK;
    to->raw_data.len = sdx_packed_size(tensor->dtype, tensor->count);
    to->raw_data.data = sdx_arena_alloc(arena, to->raw_data.len, error);
    if (!to->raw_data.data) return error->status;
    sdx_pack(tensor->dtype, tensor->data, tensor->count, to->raw_data.data);
    return SDX_OK;
}

static sdx_status put(const sdx_tensor *tensor, const char *name, sdx_arena *arena, sdx_error *error,
                      Onnx__TensorProto *to) {
    onnx__tensor_proto__init(to);
    if (name && !(to->name = sdx_arena_copy(arena, name, strlen(name), error))) return error->status;
    to->has_data_type = 1;
    to->data_type = (int32_t)tensor->dtype;
    if (tensor->rank) {
        to->dims = SDX_NEW_ARRAY(arena, int64_t, tensor->rank, error);
        if (!to->dims) return error->status;
        memcpy(to->dims, tensor->dim, (size_t)tensor->rank * sizeof *to->dims);
        to->n_dims = (size_t)tensor->rank;
    }
    return tensor->dtype == SDX_STRING ? put_strings(tensor, arena, error, to) : put_raw(tensor, arena, error, to);
}

sdx_status sdx_proto_put_tensor(const sdx_value *value, const char *name, sdx_arena *arena, sdx_error *error,
                                Onnx__TensorProto **out) {
    sdx_error own = {0};
    if (!error) error = &own;
    *out = NULL;
    if (value->kind != SDX_TENSOR) return sdx_fail(error, SDX_TYPE, "the value is no tensor");
    Onnx__TensorProto *to = SDX_NEW(arena, Onnx__TensorProto, error);
    if (!to) return error->status;
    SDX_TRY(put(&value->tensor, name, arena, error, to));
    *out = to;
    return SDX_OK;
}
