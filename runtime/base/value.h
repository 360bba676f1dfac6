/* SPDX-License-Identifier: Apache-2.0
 * The run-time value behind the public sdx_value. Immutable once shared; the count is atomic. */
#ifndef SDX_BASE_VALUE_H
#define SDX_BASE_VALUE_H
#include "runtime/base/tensor.h"

struct sdx_value {
    atomic_int references;
    sdx_kind kind;
    sdx_memory *memory;     /* of this struct and of what it owns; NULL: malloc (made by the caller of the API) */
    sdx_tensor tensor;      /* TENSOR: the data. SPARSE_TENSOR: dense dims and dtype, data NULL */
    void *owned;            /* freed with the value: tensor data (and string bytes); NULL when borrowed */
    struct sdx_value *base; /* retained: whose bytes a borrowed tensor shows; may be NULL */
    sdx_type item_type;     /* SEQUENCE, OPTIONAL: of the items (known even when there are none) */
    size_t n_items;         /* MAP: 2 (keys, values). SPARSE_TENSOR: 2 (values, indices) */
    struct sdx_value **items;
};

/* Sequences and optionals nest at most this deep, so that walking a value may recurse. */
enum { SDX_MAX_NESTING = 8 };

/* All return a value with one reference, or NULL with the error set. memory NULL: plain malloc. */

/* Not cleared; strings start empty. */
sdx_value *sdx_value_new_tensor(sdx_memory *memory, sdx_dtype dtype, int rank, const int64_t *dims, sdx_error *error);
/* `bytes` borrowed; `base` (may be NULL) is retained to keep them alive. */
sdx_value *sdx_value_new_view(sdx_memory *memory, const sdx_tensor *tensor, sdx_value *base, sdx_error *error);
/* Deep copy of a tensor, string bytes included, in one allocation. */
sdx_value *sdx_value_copy_tensor(sdx_memory *memory, const sdx_tensor *tensor, sdx_error *error);
/* The tensor's bytes lie in `block`, an allocation of `memory` that now belongs to the value; freed on failure too. */
sdx_value *sdx_value_new_adopted(sdx_memory *memory, const sdx_tensor *tensor, void *block, sdx_error *error);
/* Checked as sdx_value_sparse does; values and indices are retained. */
sdx_status sdx_value_new_sparse(sdx_memory *memory, sdx_value *values, sdx_value *indices, int rank,
                                const int64_t *dims, sdx_error *error, sdx_value **out);
/* SEQUENCE, OPTIONAL, MAP, SPARSE_TENSOR: items are retained. item_type (copied) may be NULL when there are items. For
 * a sparse tensor it is required: its dtype and dims are the dense ones. */
sdx_value *sdx_value_new_items(sdx_memory *memory, sdx_kind kind, sdx_value *const *items, size_t n,
                               const sdx_type *item_type, sdx_error *error);
/* Deep copy into `memory`, so that nothing refers to another session's memory. */
sdx_value *sdx_value_copy(sdx_memory *memory, const sdx_value *value, sdx_error *error);
/* The type as inference sees it; elem types are placed in `arena`. */
sdx_status sdx_value_type(const sdx_value *value, sdx_arena *arena, sdx_type *out, sdx_error *error);

#endif
