/* SPDX-License-Identifier: Apache-2.0
 * Data files: the kind comes from the graph, because the bytes do not tell it. Functions call each other as values
 * nest, which is at most SDX_MAX_NESTING deep. A map of scalars is held as one tensor of values. */
#include "proto/decode.h"
#include "proto/encode.h"
#include "proto/onnx_data.pb-c.h"
#include <inttypes.h>
#include <string.h>

/* SequenceProto.DataType and OptionalProto.DataType are one list. */
enum { ELEM_UNDEFINED, ELEM_TENSOR, ELEM_SPARSE, ELEM_SEQUENCE, ELEM_MAP, ELEM_OPTIONAL, ELEM_COUNT };

static const sdx_kind kind_of_elem[ELEM_COUNT] = {0,       SDX_TENSOR,  SDX_SPARSE_TENSOR, SDX_SEQUENCE,
                                                  SDX_MAP, SDX_OPTIONAL};
static const char *const elem_names[ELEM_COUNT] = {"undefined", "tensor", "sparse tensor",
                                                   "sequence",  "map",    "optional"};

static int elem_of_kind(sdx_kind kind) {
    int elem = ELEM_COUNT - 1;
    while (elem && kind_of_elem[elem] != kind) elem--;
    return elem;
}

typedef struct io {
    sdx_proto *proto; /* reading */
    sdx_arena *arena; /* writing */
    sdx_memory *memory;
    sdx_error *error;
    int depth;
} io;

/* Owned values under construction. */
typedef struct items {
    sdx_value **value;
    size_t n;
} items;

static sdx_status make_items(io *c, size_t n, items *out) {
    size_t size = n * sizeof *out->value; /* no overflow: n entries of this size exist */
    out->value = sdx_memory_alloc_zero(c->memory, size, c->error);
    out->n = n;
    return out->value ? SDX_OK : c->error->status;
}

static void free_items(io *c, items *list) {
    for (size_t i = 0; list->value && i < list->n; i++) sdx_value_release(list->value[i]);
    sdx_memory_free(c->memory, list->value);
}

/* ---- reading */

static sdx_status read_sequence(io *c, Onnx__SequenceProto *from, sdx_value **out);
static sdx_status read_map(io *c, Onnx__MapProto *from, sdx_value **out);
static sdx_status read_optional(io *c, Onnx__OptionalProto *from, sdx_value **out);

static sdx_status descend(io *c) {
    if (c->depth < SDX_MAX_NESTING) return c->depth++, SDX_OK;
    return sdx_fail(c->error, SDX_UNSUPPORTED, "values nest deeper than %d", SDX_MAX_NESTING);
}

static sdx_status give(const io *c, sdx_value *value, sdx_value **out) {
    *out = value;
    return value ? SDX_OK : c->error->status;
}

static sdx_type unknown_item(int elem) { return (sdx_type){.kind = kind_of_elem[elem], .rank = -1}; }

static sdx_status read_item(io *c, int elem, void *from, sdx_value **out) {
    switch (elem) {
    case ELEM_TENSOR: return sdx_proto_take_tensor(c->proto, from, c->error, out);
    case ELEM_SPARSE: return sdx_proto_take_sparse(c->proto, from, c->error, out);
    case ELEM_SEQUENCE: return read_sequence(c, from, out);
    case ELEM_MAP: return read_map(c, from, out);
    default: return read_optional(c, from, out);
    }
}

/* elem_type, and that no list but its own holds anything. lists: by elem_type. */
static sdx_status check_elem(io *c, const char *what, int elem, const size_t counts[ELEM_COUNT]) {
    if (elem < 0 || elem >= ELEM_COUNT)
        return sdx_fail(c->error, SDX_MALFORMED, "%s has elem_type %d; it must be 0 to %d", what, elem, ELEM_COUNT - 1);
    for (int other = 1; other < ELEM_COUNT; other++)
        if (other != elem && counts[other])
            return sdx_fail(c->error, SDX_MALFORMED, "%s has elem_type %s and a %s in it", what, elem_names[elem],
                            elem_names[other]);
    return SDX_OK;
}

static sdx_status check_same(io *c, const items *list) {
    for (size_t i = 1; i < list->n; i++) {
        sdx_dtype first = sdx_value_dtype(list->value[0]), other = sdx_value_dtype(list->value[i]);
        if (first != other && first != SDX_UNDEFINED && other != SDX_UNDEFINED)
            return sdx_fail(c->error, SDX_MALFORMED, "item %zu of a sequence is of %s; item 0 is of %s", i,
                            sdx_dtype_name(other), sdx_dtype_name(first));
    }
    return SDX_OK;
}

static sdx_status read_items(io *c, int elem, void *const *from, items *list) {
    for (size_t i = 0; i < list->n; i++) {
        if (read_item(c, elem, from[i], &list->value[i]) == SDX_OK) continue;
        return sdx_error_context(c->error, "item %zu", i);
    }
    return check_same(c, list);
}

static sdx_status read_sequence(io *c, Onnx__SequenceProto *from, sdx_value **out) {
    int elem = from->has_elem_type ? from->elem_type : ELEM_UNDEFINED;
    const size_t counts[ELEM_COUNT] = {0,
                                       from->n_tensor_values,
                                       from->n_sparse_tensor_values,
                                       from->n_sequence_values,
                                       from->n_map_values,
                                       from->n_optional_values};
    void *const lists[ELEM_COUNT] = {NULL,
                                     from->tensor_values,
                                     from->sparse_tensor_values,
                                     from->sequence_values,
                                     from->map_values,
                                     from->optional_values};
    SDX_TRY(check_elem(c, "a sequence", elem, counts));
    if (elem == ELEM_UNDEFINED) return sdx_fail(c->error, SDX_MALFORMED, "a sequence has no elem_type");
    SDX_TRY(descend(c));
    items list = {0};
    sdx_type none = unknown_item(elem);
    sdx_status status = make_items(c, counts[elem], &list);
    if (!status) status = read_items(c, elem, lists[elem], &list);
    if (!status)
        status = give(
            c, sdx_value_new_items(c->memory, SDX_SEQUENCE, list.value, list.n, list.n ? NULL : &none, c->error), out);
    free_items(c, &list);
    c->depth--;
    return status;
}

static sdx_status read_optional(io *c, Onnx__OptionalProto *from, sdx_value **out) {
    int elem = from->has_elem_type ? from->elem_type : ELEM_UNDEFINED;
    void *const found[ELEM_COUNT] = {NULL,
                                     from->tensor_value,
                                     from->sparse_tensor_value,
                                     from->sequence_value,
                                     from->map_value,
                                     from->optional_value};
    size_t counts[ELEM_COUNT];
    for (int i = 0; i < ELEM_COUNT; i++) counts[i] = found[i] != NULL;
    SDX_TRY(check_elem(c, "an optional", elem, counts));
    sdx_type none = unknown_item(elem);
    if (!counts[elem]) return give(c, sdx_value_new_items(c->memory, SDX_OPTIONAL, NULL, 0, &none, c->error), out);
    SDX_TRY(descend(c));
    sdx_value *item = NULL;
    sdx_status status = read_item(c, elem, found[elem], &item);
    if (!status) status = give(c, sdx_value_new_items(c->memory, SDX_OPTIONAL, &item, 1, NULL, c->error), out);
    sdx_value_release(item);
    c->depth--;
    return status;
}

static bool is_key_type(int32_t dtype) {
    if (!sdx_dtype_valid(dtype)) return false;
    int class = sdx_dtype_class((sdx_dtype)dtype);
    return class == SDX_CLASS_STRING ||
           ((class == SDX_CLASS_SIGNED || class == SDX_CLASS_UNSIGNED) && sdx_dtype_bits((sdx_dtype)dtype) >= 8);
}

/* Integers of any width; machines are little endian, see tensor_data.c. */
static int64_t key_at(const sdx_tensor *keys, size_t i) {
    size_t width = sdx_dtype_size(keys->dtype);
    unsigned spare = (unsigned)(64 - 8 * width);
    uint64_t bits = 0;
    memcpy(&bits, (const char *)keys->data + i * width, width);
    if (sdx_dtype_class(keys->dtype) == SDX_CLASS_SIGNED && spare && bits >> (63 - spare))
        bits |= ~0ULL << (64 - spare);
    return (int64_t)bits;
}

static sdx_status read_integers(io *c, const Onnx__MapProto *from, sdx_tensor *keys) {
    size_t width = sdx_dtype_size(keys->dtype);
    for (size_t i = 0; i < from->n_keys; i++) {
        memcpy((char *)keys->data + i * width, &from->keys[i], width);
        bool negative = sdx_dtype_class(keys->dtype) == SDX_CLASS_UNSIGNED && from->keys[i] < 0;
        if (negative || key_at(keys, i) != from->keys[i])
            return sdx_fail(c->error, SDX_MALFORMED, "key %" PRId64 " of a map does not fit %s", from->keys[i],
                            sdx_dtype_name(keys->dtype));
    }
    return SDX_OK;
}

static sdx_status read_strings(io *c, const Onnx__MapProto *from, int64_t count, sdx_value **out) {
    sdx_string *strings = sdx_memory_alloc(c->memory, from->n_string_keys * sizeof *strings, c->error);
    if (!strings) return c->error->status;
    for (size_t i = 0; i < from->n_string_keys; i++)
        strings[i] = (sdx_string){(const char *)from->string_keys[i].data, from->string_keys[i].len};
    sdx_tensor tensor = {.dtype = SDX_STRING, .rank = 1, .dim = {count}, .count = count, .data = strings};
    sdx_status status = give(c, sdx_value_copy_tensor(c->memory, &tensor, c->error), out);
    sdx_memory_free(c->memory, strings);
    return status;
}

static sdx_status read_keys(io *c, const Onnx__MapProto *from, sdx_value **out) {
    if (!from->has_key_type || !is_key_type(from->key_type))
        return sdx_fail(c->error, SDX_MALFORMED, "a map has key_type %d; it must be string or an integer type",
                        (int)from->key_type);
    sdx_dtype dtype = (sdx_dtype)from->key_type;
    bool strings = dtype == SDX_STRING;
    if (strings ? from->n_keys : from->n_string_keys)
        return sdx_fail(c->error, SDX_MALFORMED, "a map has keys of %s in %s", sdx_dtype_name(dtype),
                        strings ? "keys" : "string_keys");
    int64_t count = (int64_t)(strings ? from->n_string_keys : from->n_keys);
    if (strings) return read_strings(c, from, count, out);
    SDX_TRY(give(c, sdx_value_new_tensor(c->memory, dtype, 1, &count, c->error), out));
    return read_integers(c, from, &(*out)->tensor);
}

/* A sequence of scalars as one tensor; left alone when its items are anything else. */
static sdx_status merge_scalars(io *c, sdx_value **values) {
    const sdx_value *from = *values;
    if (from->n_items == 0) return SDX_OK;
    sdx_tensor all = from->items[0]->tensor;
    for (size_t i = 0; i < from->n_items; i++)
        if (from->items[i]->kind != SDX_TENSOR || from->items[i]->tensor.rank != 0) return SDX_OK;
    size_t width = sdx_dtype_size(all.dtype);
    char *data = sdx_memory_alloc(c->memory, from->n_items * width, c->error);
    if (!data) return c->error->status;
    for (size_t i = 0; i < from->n_items; i++) memcpy(data + i * width, from->items[i]->tensor.data, width);
    all.rank = 1;
    all.dim[0] = all.count = (int64_t)from->n_items;
    all.data = data;
    sdx_value *merged = sdx_value_copy_tensor(c->memory, &all, c->error);
    sdx_memory_free(c->memory, data);
    if (!merged) return c->error->status;
    sdx_value_release(*values);
    *values = merged;
    return SDX_OK;
}

static sdx_status read_pairs(io *c, Onnx__MapProto *from, sdx_value *pair[2]) {
    SDX_TRY(read_keys(c, from, &pair[0]));
    if (!from->values) return sdx_fail(c->error, SDX_MALFORMED, "a map has no values");
    SDX_TRY(read_sequence(c, from->values, &pair[1]));
    if ((size_t)pair[0]->tensor.count != pair[1]->n_items)
        return sdx_fail(c->error, SDX_MALFORMED, "a map has %" PRId64 " keys and %zu values", pair[0]->tensor.count,
                        pair[1]->n_items);
    return merge_scalars(c, &pair[1]);
}

static sdx_status read_map(io *c, Onnx__MapProto *from, sdx_value **out) {
    sdx_value *pair[2] = {NULL, NULL};
    sdx_type none = {0};
    SDX_TRY(descend(c));
    sdx_status status = read_pairs(c, from, pair);
    if (!status) status = give(c, sdx_value_new_items(c->memory, SDX_MAP, pair, 2, &none, c->error), out);
    sdx_value_release(pair[0]);
    sdx_value_release(pair[1]);
    c->depth--;
    return status;
}

static const ProtobufCMessageDescriptor *descriptor_of(sdx_kind kind) {
    switch (kind) {
    case SDX_TENSOR: return &onnx__tensor_proto__descriptor;
    case SDX_SEQUENCE: return &onnx__sequence_proto__descriptor;
    case SDX_OPTIONAL: return &onnx__optional_proto__descriptor;
    case SDX_MAP: return &onnx__map_proto__descriptor;
    case SDX_SPARSE_TENSOR: return &onnx__sparse_tensor_proto__descriptor;
    }
    return NULL;
}

sdx_status sdx_proto_read_value(const char *path, sdx_kind kind, sdx_memory *memory, sdx_error *error,
                                sdx_value **out) {
    sdx_error own = {0};
    sdx_source source;
    if (!error) error = &own;
    *out = NULL;
    io c = {.memory = memory, .error = error};
    const ProtobufCMessageDescriptor *type = descriptor_of(kind);
    if (!type) return sdx_fail(error, SDX_ARGUMENT, "kind %d does not exist", (int)kind);
    SDX_TRY(sdx_source_open(path, error, &source));
    sdx_status status = sdx_proto_decode_as(type, &source, NULL, memory, error, &c.proto);
    sdx_source_close(&source);
    if (!status) status = read_item(&c, elem_of_kind(kind), c.proto->message.root, out);
    sdx_proto_free(c.proto);
    return status;
}

/* ---- writing */

static sdx_status put_value(io *c, const sdx_value *value, ProtobufCMessage **out);

static void *put_new(io *c, sdx_kind kind) {
    const ProtobufCMessageDescriptor *type = descriptor_of(kind);
    ProtobufCMessage *message = sdx_arena_alloc(c->arena, type->sizeof_message, c->error);
    if (message) protobuf_c_message_init(type, message);
    return message;
}

static sdx_status put_list(io *c, sdx_value *const *values, size_t n, void ***out) {
    ProtobufCMessage **list = SDX_NEW_ARRAY(c->arena, ProtobufCMessage *, n, c->error);
    if (!list) return c->error->status;
    for (size_t i = 0; i < n; i++) SDX_TRY(put_value(c, values[i], &list[i]));
    *out = (void **)list;
    return SDX_OK;
}

static sdx_status put_sequence(io *c, const sdx_value *value, Onnx__SequenceProto *to) {
    void **list = NULL;
    int elem = elem_of_kind(value->n_items ? value->items[0]->kind : value->item_type.kind);
    size_t n = value->n_items;
    SDX_TRY(put_list(c, value->items, n, &list));
    to->has_elem_type = 1;
    to->elem_type = elem ? elem : ELEM_TENSOR;
    switch (elem) {
    case ELEM_SPARSE: to->sparse_tensor_values = (void *)list, to->n_sparse_tensor_values = n; break;
    case ELEM_SEQUENCE: to->sequence_values = (void *)list, to->n_sequence_values = n; break;
    case ELEM_MAP: to->map_values = (void *)list, to->n_map_values = n; break;
    case ELEM_OPTIONAL: to->optional_values = (void *)list, to->n_optional_values = n; break;
    default: to->tensor_values = (void *)list, to->n_tensor_values = n; break;
    }
    return SDX_OK;
}

/* Nothing inside: elem_type stays undefined, as readers of ONNX expect. */
static sdx_status put_optional(io *c, const sdx_value *value, Onnx__OptionalProto *to) {
    ProtobufCMessage *item = NULL;
    to->has_elem_type = 1;
    if (value->n_items == 0) return SDX_OK;
    SDX_TRY(put_value(c, value->items[0], &item));
    to->elem_type = elem_of_kind(value->items[0]->kind);
    switch (to->elem_type) {
    case ELEM_TENSOR: to->tensor_value = (void *)item; break;
    case ELEM_SPARSE: to->sparse_tensor_value = (void *)item; break;
    case ELEM_SEQUENCE: to->sequence_value = (void *)item; break;
    case ELEM_MAP: to->map_value = (void *)item; break;
    default: to->optional_value = (void *)item; break;
    }
    return SDX_OK;
}

static sdx_status put_keys(io *c, const sdx_tensor *keys, Onnx__MapProto *to) {
    size_t n = (size_t)keys->count;
    to->has_key_type = 1;
    to->key_type = (int32_t)keys->dtype;
    if (keys->dtype == SDX_STRING) {
        const sdx_string *strings = keys->data;
        to->string_keys = SDX_NEW_ARRAY(c->arena, ProtobufCBinaryData, n, c->error);
        if (!to->string_keys) return c->error->status;
        for (size_t i = 0; i < n; i++) {
            union {
                const char *text;
                uint8_t *data;
            } bytes = {strings[i].data};
            to->string_keys[i] = (ProtobufCBinaryData){strings[i].size, bytes.data};
        }
        to->n_string_keys = n;
        return SDX_OK;
    }
    to->keys = SDX_NEW_ARRAY(c->arena, int64_t, n, c->error);
    if (!to->keys) return c->error->status;
    for (size_t i = 0; i < n; i++) {
        to->keys[i] = key_at(keys, i);
        if (keys->dtype == SDX_U64 && to->keys[i] < 0)
            return sdx_fail(c->error, SDX_UNSUPPORTED, "key %" PRIu64 " of a map does not fit a data file's 63 bits",
                            (uint64_t)to->keys[i]);
    }
    to->n_keys = n;
    return SDX_OK;
}

/* A tensor of values as a sequence of scalars. */
static sdx_status put_scalars(io *c, const sdx_tensor *values, Onnx__SequenceProto *to) {
    size_t n = (size_t)values->count, width = sdx_dtype_size(values->dtype);
    to->has_elem_type = 1;
    to->elem_type = ELEM_TENSOR;
    to->tensor_values = SDX_NEW_ARRAY(c->arena, Onnx__TensorProto *, n, c->error);
    if (!to->tensor_values) return c->error->status;
    for (size_t i = 0; i < n; i++) {
        sdx_value one = {.kind = SDX_TENSOR};
        one.tensor = (sdx_tensor){.dtype = values->dtype, .count = 1, .data = (char *)values->data + i * width};
        SDX_TRY(sdx_proto_put_tensor(&one, NULL, c->arena, c->error, &to->tensor_values[i]));
    }
    to->n_tensor_values = n;
    return SDX_OK;
}

static sdx_status put_map(io *c, const sdx_value *value, Onnx__MapProto *to) {
    const sdx_value *values = value->items[1];
    SDX_TRY(put_keys(c, &value->items[0]->tensor, to));
    to->values = put_new(c, SDX_SEQUENCE);
    if (!to->values) return c->error->status;
    return values->kind == SDX_TENSOR ? put_scalars(c, &values->tensor, to->values)
                                      : put_sequence(c, values, to->values);
}

static sdx_status put_sparse(io *c, const sdx_value *value, Onnx__SparseTensorProto *to) {
    size_t rank = (size_t)value->tensor.rank;
    SDX_TRY(sdx_proto_put_tensor(value->items[0], NULL, c->arena, c->error, &to->values));
    SDX_TRY(sdx_proto_put_tensor(value->items[1], NULL, c->arena, c->error, &to->indices));
    to->dims = SDX_NEW_ARRAY(c->arena, int64_t, rank, c->error);
    if (!to->dims) return c->error->status;
    memcpy(to->dims, value->tensor.dim, rank * sizeof *to->dims);
    to->n_dims = rank;
    return SDX_OK;
}

static sdx_status put_into(io *c, const sdx_value *value, void *to) {
    switch (value->kind) {
    case SDX_SEQUENCE: return put_sequence(c, value, to);
    case SDX_OPTIONAL: return put_optional(c, value, to);
    case SDX_MAP: return put_map(c, value, to);
    case SDX_SPARSE_TENSOR: return put_sparse(c, value, to);
    case SDX_TENSOR: break;
    }
    return sdx_fail(c->error, SDX_ARGUMENT, "kind %d does not exist", (int)value->kind);
}

static sdx_status put_value(io *c, const sdx_value *value, ProtobufCMessage **out) {
    if (value->kind == SDX_TENSOR) {
        Onnx__TensorProto *tensor = NULL;
        SDX_TRY(sdx_proto_put_tensor(value, NULL, c->arena, c->error, &tensor));
        *out = &tensor->base;
        return SDX_OK;
    }
    *out = put_new(c, value->kind);
    if (!*out) return c->error->status;
    SDX_TRY(descend(c));
    sdx_status status = put_into(c, value, *out);
    c->depth--;
    return status;
}

/* The name goes to the outermost message; a sparse tensor's name is that of its values. */
static sdx_status put_name(io *c, const char *name, sdx_kind kind, ProtobufCMessage *message) {
    char *copy = sdx_arena_copy(c->arena, name, strlen(name), c->error);
    if (!copy) return c->error->status;
    switch (kind) {
    case SDX_TENSOR: ((Onnx__TensorProto *)message)->name = copy; break;
    case SDX_SEQUENCE: ((Onnx__SequenceProto *)message)->name = copy; break;
    case SDX_OPTIONAL: ((Onnx__OptionalProto *)message)->name = copy; break;
    case SDX_MAP: ((Onnx__MapProto *)message)->name = copy; break;
    case SDX_SPARSE_TENSOR: ((Onnx__SparseTensorProto *)message)->values->name = copy; break;
    }
    return SDX_OK;
}

static sdx_status write_message(io *c, const char *path, const char *name, const sdx_value *value) {
    ProtobufCMessage *message = NULL;
    sdx_sink *sink = NULL;
    SDX_TRY(put_value(c, value, &message));
    if (name) SDX_TRY(put_name(c, name, value->kind, message));
    SDX_TRY(sdx_sink_create(path, c->memory, c->error, &sink));
    sdx_status status = sdx_message_encode(message, sink, c->error);
    if (!status) return sdx_sink_commit(sink, c->error);
    sdx_sink_discard(sink);
    return status;
}

sdx_status sdx_proto_write_value(const char *path, const char *name, const sdx_value *value, sdx_memory *memory,
                                 sdx_error *error) {
    sdx_error own = {0};
    sdx_arena arena;
    sdx_arena_init(&arena, memory);
    io c = {.arena = &arena, .memory = memory, .error = error ? error : &own};
    sdx_status status = write_message(&c, path, name, value);
    sdx_arena_release(&arena);
    return status;
}
