/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a model: decoded, every tensor taken. What the decoder accepts must come back from the encoder: the
 * packed tree decodes again, and packs to the same bytes. The corpus is models; nothing is read beside the input. */
#include "proto/message.h"
#include "proto/onnx.pb-c.h"
#include "proto/proto.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_all(const uint8_t *data, size_t size, sdx_memory *memory) {
    sdx_source source;
    sdx_proto *proto = NULL;
    sdx_source_from_memory(data, size, &source);
    if (sdx_proto_decode(&source, &(sdx_proto_options){"/nonexistent", false}, memory, NULL, &proto)) return;
    Onnx__GraphProto *graph = sdx_proto_model(proto)->graph;
    for (size_t i = 0; graph && i < graph->n_initializer; i++) {
        sdx_value *value = NULL;
        sdx_proto_take_tensor(proto, graph->initializer[i], NULL, &value);
        sdx_value_release(value);
    }
    for (size_t i = 0; graph && i < graph->n_sparse_initializer; i++) {
        sdx_value *value = NULL;
        sdx_proto_take_sparse(proto, graph->sparse_initializer[i], NULL, &value);
        sdx_value_release(value);
    }
    sdx_proto_free(proto);
}

/* NULL when the bytes are refused. The result is from malloc. */
static uint8_t *recode(const uint8_t *data, size_t size, sdx_memory *memory, size_t *packed_size) {
    sdx_message message;
    if (sdx_message_decode(&message, &onnx__model_proto__descriptor, data, size, memory, NULL)) return NULL;
    *packed_size = protobuf_c_message_get_packed_size(message.root);
    uint8_t *packed = malloc(*packed_size + 1);
    if (packed) protobuf_c_message_pack(message.root, packed);
    sdx_message_release(&message);
    return packed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sdx_memory memory;
    size_t first_size = 0, second_size = 0;
    sdx_memory_init(&memory, (size_t)256 << 20);
    take_all(data, size, &memory);
    uint8_t *first = recode(data, size, &memory, &first_size), *second = NULL;
    if (first) {
        second = recode(first, first_size, &memory, &second_size);
        if (!second || second_size != first_size || memcmp(first, second, first_size) != 0) abort();
    }
    free(first);
    free(second);
    if (sdx_memory_used(&memory)) abort();
    return 0;
}
