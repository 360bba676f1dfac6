/* SPDX-License-Identifier: Apache-2.0
 * What the files of the safetensors format share. */
#ifndef SDX_TRAIN_SAFETENSORS_H
#define SDX_TRAIN_SAFETENSORS_H
#include "runtime/base/io.h"
#include "runtime/base/names.h"
#include "runtime/train/train.h"

typedef struct sdx_safetensors_entry {
    const char *name;
    sdx_tensor shape; /* data NULL; as long as the range says */
    uint64_t begin, end;
} sdx_safetensors_entry;

typedef struct sdx_safetensors_header {
    int n_entries, n_metadata;
    sdx_safetensors_entry *entries;
    sdx_pair *metadata;
    sdx_names names, texts; /* indices into entries and metadata */
} sdx_safetensors_header;

const char *sdx_safetensors_dtype_name(sdx_dtype dtype); /* NULL: the format has none */
sdx_dtype sdx_safetensors_dtype(const char *name);       /* SDX_UNDEFINED: unknown */

/* Strict JSON: {"name": {"dtype": ..., "shape": [...], "data_offsets": [a, b]}, "__metadata__": {text: text}}, then
 * spaces. MALFORMED says what is wrong and where. Everything in `out` lies in `arena`. */
sdx_status sdx_safetensors_parse(const char *text, size_t size, sdx_arena *arena, sdx_error *error,
                                 sdx_safetensors_header *out);

/* sdx_safetensors_read, from anywhere. */
sdx_status sdx_safetensors_load(const sdx_source *source, sdx_memory *memory, sdx_error *error, sdx_safetensors **out);

#endif
