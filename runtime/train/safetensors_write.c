/* SPDX-License-Identifier: Apache-2.0
 * Writing safetensors. Tensors with larger elements come first, so that without holes each is aligned for its type. */
#include "runtime/train/safetensors.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A header under construction. */
typedef struct text {
    sdx_memory *memory;
    sdx_error *error;
    char *data;
    size_t size, capacity;
    sdx_status status;
} text;

static void put(text *t, const char *bytes, size_t size) {
    if (t->status) return;
    if (size > t->capacity - t->size) {
        const size_t capacity = 2 * (t->capacity + size) + 1024;
        char *data = sdx_memory_alloc(t->memory, capacity, t->error);
        if (!data) {
            t->status = SDX_OUT_OF_MEMORY;
            return;
        }
        if (t->size) memcpy(data, t->data, t->size);
        sdx_memory_free(t->memory, t->data);
        t->data = data, t->capacity = capacity;
    }
    memcpy(t->data + t->size, bytes, size);
    t->size += size;
}

static void put_plain(text *t, const char *plain) { put(t, plain, strlen(plain)); }

static void put_quoted(text *t, const char *plain) {
    put_plain(t, "\"");
    for (; *plain; plain++) {
        const unsigned char c = (unsigned char)*plain;
        char escape[8];
        if (c == '"' || c == '\\') {
            put(t, (const char[]){'\\', *plain}, 2);
        } else if (c < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
            put_plain(t, escape);
        } else {
            put(t, plain, 1);
        }
    }
    put_plain(t, "\"");
}

static void put_number(text *t, uint64_t number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    put_plain(t, digits);
}

static void put_tensor(text *t, const sdx_named_value *named, uint64_t begin, uint64_t end) {
    const sdx_tensor *x = &named->value->tensor;
    put_quoted(t, named->name);
    put_plain(t, ":{\"dtype\":");
    put_quoted(t, sdx_safetensors_dtype_name(x->dtype));
    put_plain(t, ",\"shape\":[");
    for (int d = 0; d < x->rank; d++) {
        if (d) put_plain(t, ",");
        put_number(t, (uint64_t)x->dim[d]);
    }
    put_plain(t, "],\"data_offsets\":[");
    put_number(t, begin);
    put_plain(t, ",");
    put_number(t, end);
    put_plain(t, "]}");
}

static int by_size(const void *a, const void *b) {
    const sdx_named_value *const *x = a, *const *y = b;
    const size_t left = sdx_dtype_size((*x)->value->tensor.dtype), right = sdx_dtype_size((*y)->value->tensor.dtype);
    if (left != right) return left < right ? 1 : -1;
    return strcmp((*x)->name, (*y)->name);
}

static sdx_status check(const sdx_named_value *named, sdx_names *seen, sdx_error *error) {
    char name[128];
    sdx_escape(name, sizeof name, named->name, strlen(named->name));
    if (named->value->kind != SDX_TENSOR || !sdx_safetensors_dtype_name(named->value->tensor.dtype))
        return sdx_fail(error, SDX_TYPE, "'%s' is %s; safetensors files cannot hold it", name,
                        named->value->kind == SDX_TENSOR ? sdx_dtype_name(named->value->tensor.dtype) : "no tensor");
    if (strcmp(named->name, "__metadata__") == 0 || sdx_names_get(seen, named->name, -1) >= 0)
        return sdx_fail(error, SDX_VALUE, "two tensors are called '%s', or the name is reserved", name);
    return sdx_names_put(seen, named->name, 0, error);
}

static void put_header(text *t, const sdx_named_value *const *sorted, size_t n, const sdx_pair *metadata,
                       size_t n_metadata) {
    static const char spaces[8] = "        ";
    uint64_t at = 0;
    put_plain(t, "{");
    if (n_metadata) put_plain(t, "\"__metadata__\":{");
    for (size_t k = 0; k < n_metadata; k++) {
        if (k) put_plain(t, ",");
        put_quoted(t, metadata[k].key);
        put_plain(t, ":");
        put_quoted(t, metadata[k].value);
    }
    if (n_metadata) put_plain(t, n ? "}," : "}");
    for (size_t k = 0; k < n; k++) {
        const uint64_t end = at + sdx_tensor_bytes(&sorted[k]->value->tensor);
        if (k) put_plain(t, ",");
        put_tensor(t, sorted[k], at, end);
        at = end;
    }
    put_plain(t, "}");
    put(t, spaces, (8 - t->size % 8) % 8);
}

static sdx_status write_all(sdx_sink *sink, const text *t, const sdx_named_value *const *sorted, size_t n,
                            sdx_error *error) {
    unsigned char length[8];
    for (int k = 0; k < 8; k++) length[k] = (unsigned char)((uint64_t)t->size >> (8 * k));
    SDX_TRY(sdx_sink_write(sink, length, sizeof length, error));
    SDX_TRY(sdx_sink_write(sink, t->data, t->size, error));
    for (size_t k = 0; k < n; k++)
        SDX_TRY(
            sdx_sink_write(sink, sorted[k]->value->tensor.data, sdx_tensor_bytes(&sorted[k]->value->tensor), error));
    return SDX_OK;
}

static sdx_status write_file(const char *path, const sdx_named_value *tensors, size_t n, const sdx_pair *metadata,
                             size_t n_metadata, sdx_arena *arena, sdx_error *error) {
    text t = {.memory = arena->memory, .error = error};
    sdx_sink *sink = NULL;
    sdx_names seen;
    sdx_names_init(&seen, arena);
    const sdx_named_value **sorted = SDX_NEW_ARRAY(arena, const sdx_named_value *, n + 1, error);
    if (!sorted) return error->status;
    for (size_t k = 0; k < n; k++) {
        SDX_TRY(check(&tensors[k], &seen, error));
        sorted[k] = &tensors[k];
    }
    qsort(sorted, n, sizeof *sorted, by_size);
    put_header(&t, sorted, n, metadata, n_metadata);
    sdx_status status = t.status ? t.status : sdx_sink_create(path, arena->memory, error, &sink);
    if (!status) status = write_all(sink, &t, sorted, n, error);
    if (!status)
        status = sdx_sink_commit(sink, error);
    else
        sdx_sink_discard(sink);
    sdx_memory_free(arena->memory, t.data);
    return status;
}

sdx_status sdx_safetensors_write(const char *path, const sdx_named_value *tensors, size_t n, const sdx_pair *metadata,
                                 size_t n_metadata, sdx_error *error) {
    sdx_error own = {0};
    sdx_memory memory;
    sdx_arena arena;
    if (!error) error = &own;
    sdx_memory_init(&memory, 0);
    sdx_arena_init(&arena, &memory);
    const sdx_status status = write_file(path, tensors, n, metadata, n_metadata, &arena, error);
    sdx_arena_release(&arena);
    return status;
}
