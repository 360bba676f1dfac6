/* SPDX-License-Identifier: Apache-2.0
 * A model to its files. The data file is complete before the model that refers to it takes its name. */
#include "proto/onnx.pb-c.h"
#include "proto/proto.h"
#include "runtime/load/load.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LEAST_EXTERNAL = 1024, ALIGNMENT = 64 };

typedef struct data_file {
    sdx_sink *sink;
    const char *location;
    uint64_t size;
    sdx_arena *arena;
    sdx_error *error;
} data_file;

static sdx_status put_entry(data_file *f, const char *key, const char *value, Onnx__StringStringEntryProto **out) {
    Onnx__StringStringEntryProto *entry = SDX_NEW(f->arena, Onnx__StringStringEntryProto, f->error);
    if (!entry) return f->error->status;
    onnx__string_string_entry_proto__init(entry);
    entry->key = sdx_arena_copy(f->arena, key, strlen(key), f->error);
    entry->value = sdx_arena_copy(f->arena, value, strlen(value), f->error);
    *out = entry;
    return entry->key && entry->value ? SDX_OK : f->error->status;
}

static sdx_status move_out(data_file *f, Onnx__TensorProto *tensor) {
    static const unsigned char zeros[ALIGNMENT] = {0};
    char offset[32], length[32];
    uint64_t pad = (ALIGNMENT - f->size % ALIGNMENT) % ALIGNMENT;
    SDX_TRY(sdx_sink_write(f->sink, zeros, (size_t)pad, f->error));
    SDX_TRY(sdx_sink_write(f->sink, tensor->raw_data.data, tensor->raw_data.len, f->error));
    snprintf(offset, sizeof offset, "%" PRIu64, f->size + pad);
    snprintf(length, sizeof length, "%zu", tensor->raw_data.len);
    tensor->external_data = SDX_NEW_ARRAY(f->arena, Onnx__StringStringEntryProto *, 3, f->error);
    if (!tensor->external_data) return f->error->status;
    SDX_TRY(put_entry(f, "location", f->location, &tensor->external_data[0]));
    SDX_TRY(put_entry(f, "offset", offset, &tensor->external_data[1]));
    SDX_TRY(put_entry(f, "length", length, &tensor->external_data[2]));
    tensor->n_external_data = 3;
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    f->size += pad + tensor->raw_data.len;
    tensor->has_raw_data = 0;
    tensor->raw_data = (ProtobufCBinaryData){0};
    return SDX_OK;
}

/* "folder/of/path/name" */
static const char *beside(sdx_arena *arena, const char *path, const char *name, sdx_error *error) {
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0, size = folder + strlen(name) + 1;
    char *out = sdx_arena_alloc(arena, size, error);
    if (!out) return NULL;
    memcpy(out, path, folder);
    memcpy(out + folder, name, size - folder);
    return out;
}

static sdx_status write_data(Onnx__ModelProto *proto, const char *path, const char *name, sdx_arena *arena,
                             sdx_error *error) {
    data_file f = {.location = name, .arena = arena, .error = error};
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return sdx_fail(error, SDX_ARGUMENT, "'external_data' must be a file name without a folder");
    const char *file = beside(arena, path, name, error);
    if (!file) return error->status;
    SDX_TRY(sdx_sink_create(file, arena->memory, error, &f.sink));
    sdx_status status = SDX_OK;
    for (size_t k = 0; k < proto->graph->n_initializer && status == SDX_OK; k++) {
        Onnx__TensorProto *tensor = proto->graph->initializer[k];
        if (tensor->has_raw_data && tensor->raw_data.len >= LEAST_EXTERNAL) status = move_out(&f, tensor);
    }
    if (status == SDX_OK) return sdx_sink_commit(f.sink, error);
    sdx_sink_discard(f.sink);
    return status;
}

static sdx_status write_model(const sdx_model *model, const char *path, const char *external_data, sdx_arena *arena,
                              sdx_error *error) {
    Onnx__ModelProto *proto = NULL;
    sdx_sink *sink = NULL;
    SDX_TRY(sdx_export_model(model, arena, error, &proto));
    if (external_data) SDX_TRY(write_data(proto, path, external_data, arena, error));
    SDX_TRY(sdx_sink_create(path, arena->memory, error, &sink));
    sdx_status status = sdx_proto_encode(proto, sink, arena->memory, error);
    if (status == SDX_OK) return sdx_sink_commit(sink, error);
    sdx_sink_discard(sink);
    return status;
}

sdx_status sdx_load_save(const sdx_model *model, const char *path, const char *external_data, sdx_error *error) {
    sdx_error own = {0};
    sdx_memory memory;
    sdx_arena arena;
    if (!error) error = &own;
    if (model->optimise == SDX_OPTIMISE_ALL)
        return sdx_fail(error, SDX_ARGUMENT,
                        "the model was opened with SDX_OPTIMISE_ALL and may hold nodes of this machine; open it with "
                        "SDX_OPTIMISE_PORTABLE or SDX_OPTIMISE_NONE to save it");
    sdx_memory_init(&memory, 0);
    sdx_arena_init(&arena, &memory);
    sdx_status status = write_model(model, path, external_data, &arena, error);
    sdx_arena_release(&arena);
    return error->status != SDX_OK ? error->status : status;
}
