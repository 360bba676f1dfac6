/* SPDX-License-Identifier: Apache-2.0
 * One allocation holds the struct, its item pointers and the chain of item types, or the elements of a tensor, behind
 * which lie the bytes of its strings. `owned` may also be a block of its own. */
#include "runtime/base/value.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void *allocate(sdx_memory *memory, size_t size, sdx_error *error) {
    if (memory) return sdx_memory_alloc(memory, size, error);
    size_t total = 0;
    void *pointer = NULL;
    if (sdx_size_add(size, SDX_ALIGNMENT, &total) && total <= PTRDIFF_MAX)
        pointer = aligned_alloc(SDX_ALIGNMENT, total / SDX_ALIGNMENT * SDX_ALIGNMENT);
    if (!pointer) sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size);
    return pointer;
}

static void release_bytes(sdx_memory *memory, void *pointer) {
    if (memory)
        sdx_memory_free(memory, pointer);
    else
        free(pointer);
}

/* Where elements lie in the allocation of their value: on a cache line. */
enum { HEAD = (sizeof(sdx_value) + SDX_ALIGNMENT - 1) / SDX_ALIGNMENT * SDX_ALIGNMENT };

static void *inside(sdx_value *value) { return (unsigned char *)value + HEAD; }

static void init_value(sdx_value *value, sdx_memory *memory, sdx_kind kind) {
    atomic_init(&value->references, 1);
    value->kind = kind;
    value->memory = memory;
}

static sdx_value *new_value(sdx_memory *memory, sdx_kind kind, size_t extra, sdx_error *error) {
    size_t size = 0;
    if (!sdx_size_add(sizeof(sdx_value), extra, &size))
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", extra), NULL;
    sdx_value *value = allocate(memory, size, error);
    if (!value) return NULL;
    memset(value, 0, size);
    init_value(value, memory, kind);
    return value;
}

/* A tensor with `extra` owned bytes behind its elements. */
static sdx_value *new_owner(sdx_memory *memory, const sdx_tensor *like, size_t extra, sdx_error *error) {
    size_t size = 0;
    if (!sdx_size_add(sdx_tensor_bytes(like), extra, &size) || !sdx_size_add(size, HEAD, &size))
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", extra), NULL;
    sdx_value *value = allocate(memory, size, error);
    if (!value) return NULL;
    memset(value, 0, sizeof *value);
    init_value(value, memory, SDX_TENSOR);
    value->tensor = *like;
    value->tensor.data = value->owned = inside(value);
    return value;
}

sdx_value *sdx_value_new_tensor(sdx_memory *memory, sdx_dtype dtype, int rank, const int64_t *dims, sdx_error *error) {
    sdx_tensor tensor;
    if (sdx_tensor_make(&tensor, dtype, rank, dims, NULL, error)) return NULL;
    sdx_value *value = new_owner(memory, &tensor, 0, error);
    if (value && dtype == SDX_STRING) {
        sdx_string *strings = value->owned;
        for (int64_t i = 0; i < tensor.count; i++) strings[i] = (sdx_string){"", 0};
    }
    return value;
}

sdx_value *sdx_value_new_view(sdx_memory *memory, const sdx_tensor *tensor, sdx_value *base, sdx_error *error) {
    sdx_value *value = new_value(memory, SDX_TENSOR, 0, error);
    if (!value) return NULL;
    value->tensor = *tensor;
    value->base = sdx_value_retain(base);
    return value;
}

sdx_value *sdx_value_new_adopted(sdx_memory *memory, const sdx_tensor *tensor, void *block, sdx_error *error) {
    sdx_value *value = new_value(memory, SDX_TENSOR, 0, error);
    if (!value) {
        release_bytes(memory, block);
        return NULL;
    }
    value->tensor = *tensor;
    value->owned = block;
    return value;
}

static sdx_value *copy_strings(sdx_memory *memory, const sdx_tensor *tensor, sdx_error *error) {
    const sdx_string *from = tensor->data;
    size_t total = 1; /* so that empty strings point into the allocation too */
    for (int64_t i = 0; i < tensor->count; i++)
        if (!sdx_size_add(total, from[i].size, &total))
            return sdx_fail(error, SDX_OUT_OF_MEMORY, "the sizes of the strings overflow"), NULL;
    sdx_value *value = new_owner(memory, tensor, total, error);
    if (!value) return NULL;
    sdx_string *to = value->owned;
    char *bytes = (char *)value->owned + sdx_tensor_bytes(tensor);
    for (int64_t i = 0; i < tensor->count; i++) {
        if (from[i].size) memcpy(bytes, from[i].data, from[i].size);
        to[i] = (sdx_string){bytes, from[i].size};
        bytes += from[i].size;
    }
    *bytes = '\0';
    return value;
}

sdx_value *sdx_value_copy_tensor(sdx_memory *memory, const sdx_tensor *tensor, sdx_error *error) {
    if (tensor->dtype == SDX_STRING) return copy_strings(memory, tensor, error);
    sdx_value *value = new_owner(memory, tensor, 0, error);
    if (value && tensor->count) memcpy(value->owned, tensor->data, sdx_tensor_bytes(tensor));
    return value;
}

/* The type of a value; `elem` points into the value. */
static sdx_type type_of(const sdx_value *value) {
    sdx_type type = {.kind = value->kind, .rank = -1};
    switch (value->kind) {
    case SDX_TENSOR: return sdx_type_of_tensor(&value->tensor);
    case SDX_SEQUENCE:
    case SDX_OPTIONAL: type.elem = &value->item_type; break;
    case SDX_SPARSE_TENSOR:
        type = sdx_type_of_tensor(&value->tensor);
        type.kind = SDX_SPARSE_TENSOR;
        break;
    case SDX_MAP:
        type.key = value->items[0]->tensor.dtype;
        type.dtype = sdx_value_dtype(value->items[1]);
        break;
    }
    return type;
}

static bool same_type(const sdx_type *a, const sdx_type *b) {
    while (a && b) {
        if (a->kind != b->kind || a->dtype != b->dtype || a->key != b->key) return false;
        a = a->elem;
        b = b->elem;
    }
    return a == b;
}

/* Length of the chain of element types; 0 for none. */
static size_t chain_length(const sdx_type *type) {
    size_t n = 0;
    for (; type && n <= SDX_MAX_NESTING; type = type->elem) n++;
    return n;
}

static void copy_chain(sdx_type *to, const sdx_type *elem, sdx_type *room) {
    for (; elem; elem = elem->elem) {
        *room = *elem;
        to->elem = room;
        to = room++;
    }
}

/* Items of a sequence may differ in shape: what they share is the element type. */
static sdx_type item_type_of(const sdx_value *item) {
    sdx_type type = type_of(item);
    type.rank = -1;
    return type;
}

sdx_value *sdx_value_new_items(sdx_memory *memory, sdx_kind kind, sdx_value *const *items, size_t n,
                               const sdx_type *item_type, sdx_error *error) {
    sdx_type type = item_type ? *item_type : n ? item_type_of(items[0]) : (sdx_type){0};
    size_t depth = chain_length(type.elem), pointers = 0;
    if (depth >= SDX_MAX_NESTING)
        return sdx_fail(error, SDX_UNSUPPORTED, "types nest deeper than %d", SDX_MAX_NESTING), NULL;
    if (!sdx_size_mul(n, sizeof(void *), &pointers) || pointers > PTRDIFF_MAX)
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu items asked for", n), NULL;
    sdx_value *value = new_value(memory, kind, pointers + depth * sizeof(sdx_type), error);
    if (!value) return NULL;
    sdx_type *chain = (void *)(value + 1);
    value->items = (void *)(chain + depth);
    value->n_items = n;
    for (size_t i = 0; i < n; i++) value->items[i] = sdx_value_retain(items[i]);
    if (kind == SDX_SPARSE_TENSOR) {
        if (sdx_tensor_make(&value->tensor, type.dtype, type.rank, type.dim, NULL, error)) {
            sdx_value_release(value);
            return NULL;
        }
    } else if (kind != SDX_MAP) {
        value->item_type = type;
        copy_chain(&value->item_type, type.elem, chain);
    }
    return value;
}

sdx_value *sdx_value_copy(sdx_memory *memory, const sdx_value *value, sdx_error *error) {
    if (value->kind == SDX_TENSOR) return sdx_value_copy_tensor(memory, &value->tensor, error);
    sdx_type type = value->kind == SDX_SPARSE_TENSOR ? sdx_type_of_tensor(&value->tensor) : value->item_type;
    sdx_value *copy = sdx_value_new_items(memory, value->kind, NULL, 0, &type, error);
    size_t n = value->n_items, size = 0;
    if (!copy || n == 0) return copy;
    if (!sdx_size_mul(n, sizeof(void *), &size) || !(copy->owned = allocate(memory, size, error))) {
        sdx_value_release(copy);
        return NULL;
    }
    copy->items = copy->owned;
    for (; copy->n_items < n; copy->n_items++) {
        copy->items[copy->n_items] = sdx_value_copy(memory, value->items[copy->n_items], error);
        if (copy->items[copy->n_items]) continue;
        sdx_value_release(copy);
        return NULL;
    }
    return copy;
}

sdx_status sdx_value_type(const sdx_value *value, sdx_arena *arena, sdx_type *out, sdx_error *error) {
    *out = type_of(value);
    size_t depth = chain_length(out->elem);
    if (depth == 0) return SDX_OK;
    sdx_type *room = SDX_NEW_ARRAY(arena, sdx_type, depth, error);
    if (!room) return error ? error->status : SDX_OUT_OF_MEMORY;
    copy_chain(out, out->elem, room);
    return SDX_OK;
}

/* ---- the public functions */

static sdx_status give(sdx_value *value, sdx_error *error, sdx_value **out) {
    *out = value;
    if (value) return SDX_OK;
    return error && error->status ? error->status : SDX_OUT_OF_MEMORY;
}

static sdx_status check_dims(int rank, const int64_t *dims, sdx_error *error, sdx_value **out) {
    if (!out) return sdx_fail(error, SDX_ARGUMENT, "'out' is NULL");
    *out = NULL;
    return rank > 0 && !dims ? sdx_fail(error, SDX_ARGUMENT, "'dims' is NULL and the rank is %d", rank) : SDX_OK;
}

static sdx_status check_data(const sdx_tensor *tensor, sdx_error *error) {
    if (tensor->count == 0) return SDX_OK;
    if (!tensor->data)
        return sdx_fail(error, SDX_ARGUMENT, "'data' is NULL; %" PRId64 " elements are wanted", tensor->count);
    size_t align = tensor->dtype == SDX_STRING ? _Alignof(sdx_string) : sdx_dtype_size(tensor->dtype);
    if (align > 8) align = 8;
    if ((uintptr_t)tensor->data % align)
        return sdx_fail(error, SDX_ARGUMENT, "'data' is not aligned to the %zu bytes of %s", align,
                        sdx_dtype_name(tensor->dtype));
    return SDX_OK;
}

sdx_status sdx_value_borrow(sdx_dtype dtype, int rank, const int64_t *dims, void *data, sdx_error *error,
                            sdx_value **out) {
    sdx_tensor tensor;
    SDX_TRY(check_dims(rank, dims, error, out));
    SDX_TRY(sdx_tensor_make(&tensor, dtype, rank, dims, data, error));
    SDX_TRY(check_data(&tensor, error));
    return give(sdx_value_new_view(NULL, &tensor, NULL, error), error, out);
}

sdx_status sdx_value_create(sdx_dtype dtype, int rank, const int64_t *dims, sdx_error *error, sdx_value **out) {
    sdx_tensor tensor;
    SDX_TRY(check_dims(rank, dims, error, out));
    SDX_TRY(sdx_tensor_make(&tensor, dtype, rank, dims, NULL, error));
    sdx_value *value = sdx_value_new_tensor(NULL, dtype, rank, dims, error);
    if (value && dtype != SDX_STRING) memset(value->owned, 0, sdx_tensor_bytes(&tensor));
    return give(value, error, out);
}

sdx_status sdx_value_from_strings(int rank, const int64_t *dims, const sdx_string *strings, sdx_error *error,
                                  sdx_value **out) {
    union {
        const sdx_string *in;
        void *data;
    } borrowed = {strings};
    sdx_tensor tensor;
    SDX_TRY(check_dims(rank, dims, error, out));
    SDX_TRY(sdx_tensor_make(&tensor, SDX_STRING, rank, dims, borrowed.data, error));
    SDX_TRY(check_data(&tensor, error));
    for (int64_t i = 0; i < tensor.count; i++)
        if (strings[i].size && !strings[i].data)
            return sdx_fail(error, SDX_ARGUMENT, "string %" PRId64 " has %zu bytes and no data", i, strings[i].size);
    return give(sdx_value_copy_tensor(NULL, &tensor, error), error, out);
}

sdx_status sdx_value_sequence(sdx_value *const *items, size_t n, sdx_dtype dtype, sdx_error *error, sdx_value **out) {
    SDX_TRY(check_dims(0, NULL, error, out));
    if (n == 0 && !sdx_dtype_valid(dtype))
        return sdx_fail(error, SDX_TYPE, "element type %d does not exist", (int)dtype);
    if (n && !items) return sdx_fail(error, SDX_ARGUMENT, "'items' is NULL and 'n' is %zu", n);
    sdx_type first = sdx_type_make(dtype, -1);
    for (size_t i = 0; i < n; i++) {
        if (!items[i]) return sdx_fail(error, SDX_ARGUMENT, "item %zu is NULL", i);
        sdx_type type = item_type_of(items[i]);
        if (i == 0) first = type;
        char a[128], b[128];
        if (!same_type(&first, &type))
            return sdx_fail(error, SDX_TYPE, "item %zu is %s; item 0 is %s", i, sdx_type_text(&type, a, sizeof a),
                            sdx_type_text(&first, b, sizeof b));
    }
    return give(sdx_value_new_items(NULL, SDX_SEQUENCE, items, n, &first, error), error, out);
}

sdx_status sdx_value_optional(sdx_value *item, sdx_dtype dtype, sdx_error *error, sdx_value **out) {
    SDX_TRY(check_dims(0, NULL, error, out));
    if (!item && !sdx_dtype_valid(dtype))
        return sdx_fail(error, SDX_TYPE, "element type %d does not exist", (int)dtype);
    sdx_type type = item ? item_type_of(item) : sdx_type_make(dtype, -1);
    return give(sdx_value_new_items(NULL, SDX_OPTIONAL, &item, item ? 1 : 0, &type, error), error, out);
}

sdx_status sdx_value_map(sdx_value *keys, sdx_value *values, sdx_error *error, sdx_value **out) {
    SDX_TRY(check_dims(0, NULL, error, out));
    if (!keys || !values) return sdx_fail(error, SDX_ARGUMENT, "'%s' is NULL", keys ? "values" : "keys");
    int class = sdx_dtype_class(keys->tensor.dtype);
    if (keys->kind != SDX_TENSOR || keys->tensor.rank != 1 ||
        (class != SDX_CLASS_STRING && class != SDX_CLASS_SIGNED && class != SDX_CLASS_UNSIGNED))
        return sdx_fail(error, SDX_TYPE, "keys must be a tensor of rank 1, of strings or integers");
    if (values->kind != SDX_SEQUENCE && (values->kind != SDX_TENSOR || values->tensor.rank != 1))
        return sdx_fail(error, SDX_TYPE, "values must be a tensor of rank 1 or a sequence");
    int64_t n = values->kind == SDX_TENSOR ? values->tensor.count : (int64_t)values->n_items;
    if (n != keys->tensor.count)
        return sdx_fail(error, SDX_SHAPE, "there are %" PRId64 " keys and %" PRId64 " values", keys->tensor.count, n);
    sdx_type none = {0};
    sdx_value *items[] = {keys, values};
    return give(sdx_value_new_items(NULL, SDX_MAP, items, 2, &none, error), error, out);
}

/* Every index inside the dense shape, in strictly ascending row-major order. */
static sdx_status check_indices(const sdx_tensor *indices, const sdx_tensor *dense, sdx_error *error) {
    const int64_t *index = indices->data;
    int64_t previous = -1, nnz = indices->dim[0];
    for (int64_t i = 0; i < nnz; i++) {
        int64_t linear = indices->rank == 1 ? index[i] : 0;
        for (int d = 0; indices->rank == 2 && d < dense->rank; d++) {
            int64_t at = index[i * dense->rank + d];
            if (at < 0 || at >= dense->dim[d])
                return sdx_fail(error, SDX_VALUE,
                                "index %" PRId64 " of value %" PRId64 " is outside dimension %d of %" PRId64, at, i, d,
                                dense->dim[d]);
            linear = linear * dense->dim[d] + at;
        }
        if (linear <= previous || linear >= dense->count)
            return sdx_fail(error, SDX_VALUE,
                            "value %" PRId64 " has linear index %" PRId64 "; it must ascend from %" PRId64
                            " and be below %" PRId64,
                            i, linear, previous, dense->count);
        previous = linear;
    }
    return SDX_OK;
}

sdx_status sdx_value_sparse(sdx_value *values, sdx_value *indices, int rank, const int64_t *dims, sdx_error *error,
                            sdx_value **out) {
    return sdx_value_new_sparse(NULL, values, indices, rank, dims, error, out);
}

sdx_status sdx_value_new_sparse(sdx_memory *memory, sdx_value *values, sdx_value *indices, int rank,
                                const int64_t *dims, sdx_error *error, sdx_value **out) {
    SDX_TRY(check_dims(rank, dims, error, out));
    if (!values || !indices) return sdx_fail(error, SDX_ARGUMENT, "'%s' is NULL", values ? "indices" : "values");
    sdx_tensor dense;
    SDX_TRY(sdx_tensor_make(&dense, sdx_value_dtype(values), rank, dims, NULL, error));
    const sdx_tensor *v = &values->tensor, *at = &indices->tensor;
    if (values->kind != SDX_TENSOR || v->rank != 1)
        return sdx_fail(error, SDX_SHAPE, "values must be a tensor of rank 1");
    if (indices->kind != SDX_TENSOR || at->dtype != SDX_I64)
        return sdx_fail(error, SDX_TYPE, "indices must be a tensor of i64");
    if ((at->rank != 1 && (at->rank != 2 || at->dim[1] != rank)) || at->dim[0] != v->count)
        return sdx_fail(error, SDX_SHAPE, "indices must be [%" PRId64 "] or [%" PRId64 ",%d]", v->count, v->count,
                        rank);
    SDX_TRY(check_indices(at, &dense, error));
    sdx_type type = sdx_type_of_tensor(&dense);
    sdx_value *items[] = {values, indices};
    return give(sdx_value_new_items(memory, SDX_SPARSE_TENSOR, items, 2, &type, error), error, out);
}

sdx_value *sdx_value_retain(sdx_value *value) {
    if (value) atomic_fetch_add_explicit(&value->references, 1, memory_order_relaxed);
    return value;
}

/* Drops one reference, and those of the chain of bases that die with it; what died is put in front of `dead`, linked
 * through `base`. */
static sdx_value *drop(sdx_value *value, sdx_value *dead) {
    while (value && atomic_fetch_sub_explicit(&value->references, 1, memory_order_acq_rel) == 1) {
        sdx_value *base = value->base;
        value->base = dead;
        dead = value;
        value = base;
    }
    return dead;
}

void sdx_value_release(sdx_value *value) {
    for (sdx_value *dead = drop(value, NULL); dead;) {
        sdx_value *last = dead;
        dead = last->base;
        for (size_t i = 0; i < last->n_items; i++) dead = drop(last->items[i], dead);
        if (last->owned != inside(last)) release_bytes(last->memory, last->owned);
        release_bytes(last->memory, last);
    }
}

sdx_kind sdx_value_kind(const sdx_value *value) { return value ? value->kind : (sdx_kind)0; }

sdx_dtype sdx_value_dtype(const sdx_value *value) {
    if (!value) return SDX_UNDEFINED;
    sdx_type type = type_of(value);
    const sdx_type *leaf = &type;
    while (leaf->elem) leaf = leaf->elem;
    return leaf->dtype;
}

int sdx_value_rank(const sdx_value *value) { return value ? value->tensor.rank : 0; }
const int64_t *sdx_value_dims(const sdx_value *value) { return value ? value->tensor.dim : NULL; }
int64_t sdx_value_count(const sdx_value *value) { return value ? value->tensor.count : 0; }
void *sdx_value_data(const sdx_value *value) { return value ? value->tensor.data : NULL; }
size_t sdx_value_item_count(const sdx_value *value) { return value ? value->n_items : 0; }

sdx_value *sdx_value_item(const sdx_value *value, size_t index) {
    return value && index < value->n_items ? value->items[index] : NULL;
}
