/* SPDX-License-Identifier: Apache-2.0
 * A model of one initializer around the bytes of a TensorProto, decoded. */
#ifndef SDX_TESTS_PROTO_MODEL_H
#define SDX_TESTS_PROTO_MODEL_H
#include "proto/onnx.pb-c.h"
#include "proto/proto.h"
#include "tests/unit/wire_bytes.h"

enum { GRAPH_INITIALIZER = 5, GRAPH_SPARSE = 15, MODEL_GRAPH = 7 };
enum {
    DIMS = 1,
    DATA_TYPE = 2,
    SEGMENT = 3,
    FLOATS = 4,
    INT32S = 5,
    STRINGS = 6,
    INT64S = 7,
    NAME = 8,
    RAW = 9,
    DOUBLES = 10,
    UINT64S = 11,
    EXTERNAL = 13,
    LOCATION = 14
};

/* "W" of the type and dims (ended by -1). */
static inline void put_head(bytes *b, int64_t dtype, const int64_t *dims) {
    for (; *dims >= 0; dims++) put_int(b, DIMS, *dims);
    put_int(b, DATA_TYPE, dtype);
    put_text(b, NAME, "W");
}

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__, -1})
static const int64_t scalar_shape[] = {-1};

static inline void put_varints(bytes *b, unsigned field, size_t n, const int64_t *values) {
    bytes packed = {0};
    for (size_t i = 0; i < n; i++) put_varint(&packed, (uint64_t)values[i]);
    put_message(b, field, &packed);
}

static inline void put_entry(bytes *b, unsigned field, const char *key, const char *value) {
    bytes entry = {0};
    if (key) put_text(&entry, 1, key);
    if (value) put_text(&entry, 2, value);
    put_message(b, field, &entry);
}

/* Frees `part`. */
static inline sdx_status decode_part(bytes *part, unsigned field, const sdx_proto_options *options, sdx_memory *memory,
                                     sdx_error *error, sdx_proto **out) {
    sdx_source source;
    wrap(part, field);
    wrap(part, MODEL_GRAPH);
    sdx_source_from_memory(part->data, part->size, &source);
    sdx_status status = sdx_proto_decode(&source, options, memory, error, out);
    drop(part);
    return status;
}

/* Decode, take the tensor, let the message go. Frees `tensor`. */
static inline sdx_status take_initializer(bytes *tensor, const sdx_proto_options *options, sdx_memory *memory,
                                          sdx_error *error, sdx_value **out) {
    sdx_proto *proto = NULL;
    *out = NULL;
    sdx_status status = decode_part(tensor, GRAPH_INITIALIZER, options, memory, error, &proto);
    if (!status) status = sdx_proto_take_tensor(proto, sdx_proto_model(proto)->graph->initializer[0], error, out);
    sdx_proto_free(proto);
    return status;
}

static inline sdx_status take_sparse_initializer(bytes *sparse, sdx_memory *memory, sdx_error *error, sdx_value **out) {
    sdx_proto *proto = NULL;
    *out = NULL;
    sdx_status status = decode_part(sparse, GRAPH_SPARSE, NULL, memory, error, &proto);
    if (!status)
        status = sdx_proto_take_sparse(proto, sdx_proto_model(proto)->graph->sparse_initializer[0], error, out);
    sdx_proto_free(proto);
    return status;
}

#endif
