/* SPDX-License-Identifier: Apache-2.0
 * Reading safetensors: u64 length, JSON header, data. Everything the header says is checked before a byte of data is
 * read: names once each, ranges that follow one another without holes from 0 to the end of the file, and each as long
 * as its type and shape say. safetensors_header.c reads the text. */
#include "runtime/train/safetensors.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_HEADER = 100000000 };

static const struct {
    const char *name;
    sdx_dtype dtype;
} dtypes[] = {{"F32", SDX_F32},   {"F64", SDX_F64},          {"F16", SDX_F16},        {"BF16", SDX_BF16},
              {"I64", SDX_I64},   {"I32", SDX_I32},          {"I16", SDX_I16},        {"I8", SDX_I8},
              {"U64", SDX_U64},   {"U32", SDX_U32},          {"U16", SDX_U16},        {"U8", SDX_U8},
              {"BOOL", SDX_BOOL}, {"F8_E4M3", SDX_F8E4M3FN}, {"F8_E5M2", SDX_F8E5M2}, {"F8_E8M0", SDX_F8E8M0},
              {"C64", SDX_C64}};

const char *sdx_safetensors_dtype_name(sdx_dtype dtype) {
    for (size_t k = 0; k < sizeof dtypes / sizeof dtypes[0]; k++)
        if (dtypes[k].dtype == dtype) return dtypes[k].name;
    return NULL;
}

sdx_dtype sdx_safetensors_dtype(const char *name) {
    for (size_t k = 0; k < sizeof dtypes / sizeof dtypes[0]; k++)
        if (strcmp(dtypes[k].name, name) == 0) return dtypes[k].dtype;
    return SDX_UNDEFINED;
}

struct sdx_safetensors {
    sdx_memory *memory;
    sdx_arena arena;
    sdx_safetensors_header header;
    sdx_value **values; /* of header.entries */
};

static int by_range(const void *a, const void *b) {
    const sdx_safetensors_entry *const *x = a, *const *y = b;
    if ((*x)->begin != (*y)->begin) return (*x)->begin < (*y)->begin ? -1 : 1;
    return ((*x)->end > (*y)->end) - ((*x)->end < (*y)->end);
}

static sdx_status check_ranges(sdx_safetensors *file, uint64_t size, sdx_error *error) {
    const int n = file->header.n_entries;
    const sdx_safetensors_entry **sorted = SDX_NEW_ARRAY(&file->arena, const sdx_safetensors_entry *, n + 1, error);
    if (!sorted) return error->status;
    for (int k = 0; k < n; k++) sorted[k] = &file->header.entries[k];
    qsort(sorted, (size_t)n, sizeof *sorted, by_range);
    uint64_t end = 0;
    char name[128];
    for (int k = 0; k < n; k++) {
        const sdx_safetensors_entry *e = sorted[k];
        if (e->begin != end)
            return sdx_fail(error, SDX_MALFORMED,
                            "tensor '%s' begins at %" PRIu64 "; it must begin at %" PRIu64
                            ", where the one before ends",
                            sdx_escape(name, sizeof name, e->name, strlen(e->name)), e->begin, end);
        end = e->end;
    }
    if (end != size)
        return sdx_fail(error, SDX_MALFORMED, "tensors end at %" PRIu64 "; there are %" PRIu64 " bytes of data", end,
                        size);
    return SDX_OK;
}

static sdx_status check_bools(const sdx_value *value, const char *name, sdx_error *error) {
    const unsigned char *bytes = value->tensor.data;
    char text[128];
    for (int64_t k = 0; value->tensor.dtype == SDX_BOOL && k < value->tensor.count; k++)
        if (bytes[k] > 1)
            return sdx_fail(error, SDX_MALFORMED, "element %" PRId64 " of tensor '%s' is %u; a BOOL must be 0 or 1", k,
                            sdx_escape(text, sizeof text, name, strlen(name)), (unsigned)bytes[k]);
    return SDX_OK;
}

static sdx_status read_data(sdx_safetensors *file, const sdx_source *source, size_t start, sdx_error *error) {
    file->values = SDX_NEW_ARRAY(&file->arena, sdx_value *, file->header.n_entries + 1, error);
    if (!file->values) return error->status;
    for (int k = 0; k < file->header.n_entries; k++) {
        const sdx_safetensors_entry *e = &file->header.entries[k];
        sdx_value *value = sdx_value_new_tensor(file->memory, e->shape.dtype, e->shape.rank, e->shape.dim, error);
        if (!value) return error->status;
        file->values[k] = value;
        SDX_TRY(
            sdx_source_read(source, start + (size_t)e->begin, value->tensor.data, (size_t)(e->end - e->begin), error));
        SDX_TRY(check_bools(value, e->name, error));
    }
    return SDX_OK;
}

static sdx_status read_source(sdx_safetensors *file, const sdx_source *source, sdx_error *error) {
    unsigned char length[8];
    uint64_t size = 0;
    if (source->size < sizeof length)
        return sdx_fail(error, SDX_MALFORMED, "the file has %zu bytes; a header needs 8", source->size);
    SDX_TRY(sdx_source_read(source, 0, length, sizeof length, error));
    for (int k = 7; k >= 0; k--) size = size << 8 | length[k];
    if (size > MOST_HEADER)
        return sdx_fail(error, SDX_MALFORMED, "the header is said to have %" PRIu64 " bytes; at most %d are allowed",
                        size, (int)MOST_HEADER);
    if (size > source->size - sizeof length)
        return sdx_fail(error, SDX_MALFORMED, "the header is said to have %" PRIu64 " bytes; %zu are left in the file",
                        size, source->size - sizeof length);
    char *text = sdx_memory_alloc(file->memory, (size_t)size + 1, error);
    if (!text) return error->status;
    sdx_status status = sdx_source_read(source, sizeof length, text, (size_t)size, error);
    if (!status) status = sdx_safetensors_parse(text, (size_t)size, &file->arena, error, &file->header);
    sdx_memory_free(file->memory, text);
    const size_t start = sizeof length + (size_t)size;
    if (!status) status = check_ranges(file, source->size - start, error);
    return status ? status : read_data(file, source, start, error);
}

sdx_status sdx_safetensors_load(const sdx_source *source, sdx_memory *memory, sdx_error *error, sdx_safetensors **out) {
    *out = NULL;
    sdx_safetensors *file = sdx_memory_alloc_zero(memory, sizeof *file, error);
    if (!file) return error->status;
    file->memory = memory;
    sdx_arena_init(&file->arena, memory);
    const sdx_status status = read_source(file, source, error);
    if (status)
        sdx_safetensors_free(file);
    else
        *out = file;
    return status;
}

sdx_status sdx_safetensors_read(const char *path, sdx_memory *memory, sdx_error *error, sdx_safetensors **out) {
    sdx_error own = {0};
    sdx_source source;
    char name[256];
    *out = NULL;
    if (!error) error = &own;
    SDX_TRY(sdx_source_open(path, error, &source));
    const sdx_status status = sdx_safetensors_load(&source, memory, error, out);
    sdx_source_close(&source);
    if (status) return sdx_error_context(error, "'%s'", sdx_escape(name, sizeof name, path, strlen(path)));
    return SDX_OK;
}

const char *sdx_safetensors_text(const sdx_safetensors *file, const char *key) {
    const int32_t k = sdx_names_get(&file->header.texts, key, -1);
    return k < 0 ? NULL : file->header.metadata[k].value;
}

sdx_value *sdx_safetensors_tensor(const sdx_safetensors *file, const char *name) {
    const int32_t k = sdx_names_get(&file->header.names, name, -1);
    return k < 0 ? NULL : file->values[k];
}

size_t sdx_safetensors_count(const sdx_safetensors *file) { return (size_t)file->header.n_entries; }

void sdx_safetensors_free(sdx_safetensors *file) {
    if (!file) return;
    for (int k = 0; file->values && k < file->header.n_entries; k++) sdx_value_release(file->values[k]);
    sdx_arena_release(&file->arena);
    sdx_memory_free(file->memory, file);
}
