/* SPDX-License-Identifier: Apache-2.0
 * Bytes <-> plain structs. Decoding is: prescan the wire bytes (iterative, bounded), protobuf-c into bounded memory,
 * then tensors become values whose bytes exist once. Every byte of a file is untrusted. */
#ifndef SDX_PROTO_PROTO_H
#define SDX_PROTO_PROTO_H
#include "runtime/base/io.h"
#include "runtime/base/value.h"

struct Onnx__ModelProto; /* generated: proto/onnx.pb-c.h */
struct Onnx__TensorProto;
struct Onnx__SparseTensorProto;
struct Onnx__TypeProto;

/* A decoded model and where its external data may lie. */
typedef struct sdx_proto sdx_proto;

typedef struct sdx_proto_options {
    const char *base_folder; /* of external data; NULL: external data is refused */
    bool allow_links;
} sdx_proto_options;

/* All memory, the message tree's too, comes from `memory`, which must outlive the result. */
sdx_status sdx_proto_decode(const sdx_source *source, const sdx_proto_options *options, sdx_memory *memory,
                            sdx_error *error, sdx_proto **out);
void sdx_proto_free(sdx_proto *proto); /* NULL-safe; values made from it stay valid */
struct Onnx__ModelProto *sdx_proto_model(const sdx_proto *proto);

/* The tensor as a value (checked: dtype, storage, sizes; external data read). The payload is moved, not copied,
 * where its form allows; the TensorProto is left without it. */
sdx_status sdx_proto_take_tensor(sdx_proto *proto, struct Onnx__TensorProto *tensor, sdx_error *error, sdx_value **out);
sdx_status sdx_proto_take_sparse(sdx_proto *proto, struct Onnx__SparseTensorProto *sparse, sdx_error *error,
                                 sdx_value **out);

/* The whole model as bytes. External payloads that were decoded are written as they were referenced. The identity
 * after decode holds message by message: decode(encode(m)) equals m. */
sdx_status sdx_proto_encode(const struct Onnx__ModelProto *model, sdx_sink *sink, sdx_memory *memory, sdx_error *error);

/* Fills a TensorProto (raw_data; string_data for strings) from a tensor value. Its strings and arrays come from
 * `arena`; large raw data is borrowed from the value. */
sdx_status sdx_proto_put_tensor(const sdx_value *value, const char *name, sdx_arena *arena, sdx_error *error,
                                struct Onnx__TensorProto **out);

/* A .pb data file: TensorProto, SequenceProto, OptionalProto or MapProto by `kind` (of the graph input it is for). */
sdx_status sdx_proto_read_value(const char *path, sdx_kind kind, sdx_memory *memory, sdx_error *error, sdx_value **out);
sdx_status sdx_proto_write_value(const char *path, const char *name, const sdx_value *value, sdx_memory *memory,
                                 sdx_error *error);

#endif
