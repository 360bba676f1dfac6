/* SPDX-License-Identifier: Apache-2.0
 * TensorProto to value. The elements stand in one of seven fields or in an external file; where their form there is
 * their form in memory, and the block is large, the block itself becomes the value's. Source: TensorProto's
 * documentation in onnx.proto, and the rules of onnx.checker (sizes here are exact: no surplus bytes). */
#include "proto/decode.h"
#include "proto/packing.h"
#include <inttypes.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw_data is little endian and is used as it stands");

typedef enum storage { RAW, FLOATS, INT32S, STRINGS, INT64S, DOUBLES, UINT64S, STORAGES } storage;

static const char *const storage_names[STORAGES] = {"raw_data",   "float_data",  "int32_data", "string_data",
                                                    "int64_data", "double_data", "uint64_data"};

/* A value field as it was found. */
typedef struct field {
    storage storage;
    void *data;
    size_t count; /* of entries; raw_data: bytes */
} field;

typedef struct take {
    sdx_proto *proto;
    Onnx__TensorProto *from;
    sdx_tensor tensor; /* dtype and dims; data not set */
    size_t n_fields;   /* that hold something */
    field field;       /* the last of them */
    sdx_error *error;
} take;

static storage storage_of(sdx_dtype dtype) {
    if (dtype == SDX_F32 || dtype == SDX_C64) return FLOATS;
    if (dtype == SDX_F64 || dtype == SDX_C128) return DOUBLES;
    if (dtype == SDX_I64) return INT64S;
    if (dtype == SDX_U32 || dtype == SDX_U64) return UINT64S;
    return dtype == SDX_STRING ? STRINGS : INT32S;
}

/* Entries of the typed field for `count` elements. */
static size_t entries_for(sdx_dtype dtype, int64_t count) {
    int bits = sdx_dtype_bits(dtype);
    if (bits == 2 || bits == 4) return sdx_packed_size(dtype, count);
    return (size_t)count * (sdx_dtype_class(dtype) == SDX_CLASS_COMPLEX ? 2 : 1);
}

static void found(take *t, storage where, void *data, size_t count) {
    if (count == 0) return;
    t->n_fields++;
    t->field = (field){where, data, count};
}

static void look_at_fields(take *t) {
    Onnx__TensorProto *from = t->from;
    if (from->has_raw_data) found(t, RAW, from->raw_data.data, from->raw_data.len);
    found(t, FLOATS, from->float_data, from->n_float_data);
    found(t, INT32S, from->int32_data, from->n_int32_data);
    found(t, STRINGS, from->string_data, from->n_string_data);
    found(t, INT64S, from->int64_data, from->n_int64_data);
    found(t, DOUBLES, from->double_data, from->n_double_data);
    found(t, UINT64S, from->uint64_data, from->n_uint64_data);
}

/* The payload has left the message, or was changed in place. */
static void empty_field(take *t) {
    Onnx__TensorProto *from = t->from;
    switch (t->field.storage) {
    case RAW: from->has_raw_data = 0, from->raw_data = (ProtobufCBinaryData){0}; break;
    case FLOATS: from->n_float_data = 0, from->float_data = NULL; break;
    case INT32S: from->n_int32_data = 0, from->int32_data = NULL; break;
    case STRINGS: from->n_string_data = 0, from->string_data = NULL; break;
    case INT64S: from->n_int64_data = 0, from->int64_data = NULL; break;
    case DOUBLES: from->n_double_data = 0, from->double_data = NULL; break;
    case UINT64S: from->n_uint64_data = 0, from->uint64_data = NULL; break;
    case STORAGES: break;
    }
}

static const char *text_of(const take *t, char *out, size_t capacity) {
    return sdx_tensor_text(&t->tensor, out, capacity);
}

static sdx_status check_head(take *t) {
    const Onnx__TensorProto *from = t->from;
    if (!from->has_data_type || from->data_type == SDX_UNDEFINED)
        return sdx_fail(t->error, SDX_MALFORMED, "data_type is not given");
    if (from->segment) return sdx_fail(t->error, SDX_UNSUPPORTED, "it is a segment of a tensor");
    if (from->n_dims > SDX_MAX_RANK)
        return sdx_fail(t->error, SDX_UNSUPPORTED, "rank is %zu; at most %d is supported", from->n_dims, SDX_MAX_RANK);
    if (from->has_data_location && from->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT &&
        from->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return sdx_fail(t->error, SDX_MALFORMED, "data_location is %d; it must be 0 or 1", (int)from->data_location);
    return sdx_tensor_make(&t->tensor, (sdx_dtype)from->data_type, (int)from->n_dims, from->dims, NULL, t->error);
}

static sdx_status check_fields(take *t, bool external) {
    char text[128];
    look_at_fields(t);
    const char *name = t->n_fields ? storage_names[t->field.storage] : "";
    if (t->n_fields > 1)
        return sdx_fail(t->error, SDX_MALFORMED, "%zu value fields are set, one of them %s; one is allowed",
                        t->n_fields, name);
    if (external && t->n_fields)
        return sdx_fail(t->error, SDX_MALFORMED, "its data is external and %s is set too", name);
    if (t->tensor.count == 0 && t->n_fields)
        return sdx_fail(t->error, SDX_MALFORMED, "%s has no elements and %s is set", text_of(t, text, sizeof text),
                        name);
    if (t->tensor.count && !external && t->n_fields == 0)
        return sdx_fail(t->error, SDX_MALFORMED, "no value field is set; %s needs one", text_of(t, text, sizeof text));
    if (t->tensor.dtype == SDX_STRING && (external || (t->n_fields && t->field.storage == RAW)))
        return sdx_fail(t->error, SDX_MALFORMED, "strings are in %s; they must be in string_data",
                        external ? "an external file" : "raw_data");
    return SDX_OK;
}

/* Held equal to the shape, so that nothing behind reads past the payload. */
static sdx_status check_size(take *t) {
    char text[128];
    storage wanted = storage_of(t->tensor.dtype);
    const field *f = &t->field;
    if (f->storage == RAW) {
        size_t size = sdx_packed_size(t->tensor.dtype, t->tensor.count);
        if (f->count == size) return SDX_OK;
        return sdx_fail(t->error, SDX_MALFORMED, "raw_data has %zu bytes; %s takes %zu", f->count,
                        text_of(t, text, sizeof text), size);
    }
    if (f->storage != wanted)
        return sdx_fail(t->error, SDX_MALFORMED, "elements of %s are in %s; they must be in %s or raw_data",
                        text_of(t, text, sizeof text), storage_names[f->storage], storage_names[wanted]);
    size_t entries = entries_for(t->tensor.dtype, t->tensor.count);
    if (f->count == entries) return SDX_OK;
    return sdx_fail(t->error, SDX_MALFORMED, "%s has %zu entries; %s takes %zu", storage_names[wanted], f->count,
                    text_of(t, text, sizeof text), entries);
}

static sdx_status give(const take *t, sdx_value *value, sdx_value **out) {
    *out = value;
    return value ? SDX_OK : t->error->status;
}

static sdx_status new_value(take *t, sdx_value **out) {
    const sdx_tensor *like = &t->tensor;
    return give(t, sdx_value_new_tensor(t->proto->memory, like->dtype, like->rank, like->dim, t->error), out);
}

/* A bool is 0 or 1 in memory, so that kernels may use it as a number. */
static sdx_status check_bools(const uint8_t *bytes, int64_t count, sdx_error *error) {
    for (int64_t i = 0; i < count; i++)
        if (bytes[i] > 1)
            return sdx_fail(error, SDX_MALFORMED, "element %" PRId64 " is %d; a bool must be 0 or 1", i, bytes[i]);
    return SDX_OK;
}

static sdx_status check_padding(const take *t, const uint8_t *packed) {
    size_t used = (size_t)t->tensor.count % 4 * 6 % 8, size = sdx_packed_size(t->tensor.dtype, t->tensor.count);
    if (used && packed[size - 1] >> used)
        return sdx_fail(t->error, SDX_MALFORMED, "the padding bits behind the last element are not zero");
    return SDX_OK;
}

/* File form (payload or external bytes) of sub-byte types to memory form. */
static sdx_status from_packed(take *t, const uint8_t *packed, sdx_value **out) {
    if (sdx_dtype_bits(t->tensor.dtype) == 6) SDX_TRY(check_padding(t, packed));
    SDX_TRY(new_value(t, out));
    sdx_unpack(t->tensor.dtype, packed, t->tensor.count, (*out)->tensor.data);
    return SDX_OK;
}

/* The payload is the tensor: moved when it is a block of its own, else copied. */
static sdx_status from_same_form(take *t, sdx_value **out) {
    sdx_tensor tensor = t->tensor;
    tensor.data = t->field.data;
    if (tensor.dtype == SDX_BOOL) SDX_TRY(check_bools(tensor.data, tensor.count, t->error));
    void *block = sdx_message_take(&t->proto->message, tensor.data);
    if (!block) return give(t, sdx_value_copy_tensor(t->proto->memory, &tensor, t->error), out);
    empty_field(t);
    return give(t, sdx_value_new_adopted(t->proto->memory, &tensor, block, t->error), out);
}

static sdx_status from_uint64s(take *t, sdx_value **out) {
    const uint64_t *in = t->field.data;
    for (int64_t i = 0; i < t->tensor.count; i++)
        if (in[i] > UINT32_MAX)
            return sdx_fail(t->error, SDX_MALFORMED, "element %" PRId64 " is %" PRIu64 "; u32 holds 0 to 4294967295", i,
                            in[i]);
    SDX_TRY(new_value(t, out));
    uint32_t *to = (*out)->tensor.data;
    for (int64_t i = 0; i < t->tensor.count; i++) to[i] = (uint32_t)in[i];
    return SDX_OK;
}

/* What an int32_data entry of the type may be. Packed types: a byte of several elements. */
static void entry_range(sdx_dtype dtype, int32_t *low, int32_t *high) {
    int bits = sdx_dtype_bits(dtype), class = sdx_dtype_class(dtype);
    if (bits == 2 || bits == 4) bits = 8, class = SDX_CLASS_UNSIGNED;
    *low = class == SDX_CLASS_SIGNED ? -(1 << (bits - 1)) : 0;
    *high = class == SDX_CLASS_BOOL ? 1 : class == SDX_CLASS_SIGNED ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
}

/* Types narrower than 32 bits. The entries shrink in place (the message gives them up), then are used as raw bytes. */
static sdx_status from_int32s(take *t, sdx_value **out) {
    const int32_t *in = t->field.data;
    size_t width = sdx_dtype_size(t->tensor.dtype);
    int32_t low, high;
    entry_range(t->tensor.dtype, &low, &high);
    for (size_t i = 0; i < t->field.count; i++)
        if (in[i] < low || in[i] > high)
            return sdx_fail(t->error, SDX_MALFORMED, "entry %zu of int32_data is %d; %s takes %d to %d", i, in[i],
                            sdx_dtype_name(t->tensor.dtype), low, high);
    uint8_t *bytes = t->field.data;
    uint16_t *halves = t->field.data;
    for (size_t i = 0; i < t->field.count; i++) {
        if (width == 2)
            halves[i] = (uint16_t)in[i];
        else
            bytes[i] = (uint8_t)in[i];
    }
    empty_field(t);
    int bits = sdx_dtype_bits(t->tensor.dtype);
    if (bits == 2 || bits == 4) return from_packed(t, bytes, out);
    sdx_tensor tensor = t->tensor;
    tensor.data = bytes;
    return give(t, sdx_value_copy_tensor(t->proto->memory, &tensor, t->error), out);
}

static sdx_status from_strings(take *t, sdx_value **out) {
    const ProtobufCBinaryData *in = t->field.data;
    size_t count = t->field.count; /* no overflow: the message holds as many entries of this size */
    sdx_string *strings = sdx_memory_alloc(t->proto->memory, count * sizeof *strings, t->error);
    if (!strings) return t->error->status;
    for (size_t i = 0; i < count; i++) strings[i] = (sdx_string){in[i].len ? (const char *)in[i].data : "", in[i].len};
    sdx_tensor tensor = t->tensor;
    tensor.data = strings;
    *out = sdx_value_copy_tensor(t->proto->memory, &tensor, t->error);
    sdx_memory_free(t->proto->memory, strings);
    return *out ? SDX_OK : t->error->status;
}

static sdx_status from_field(take *t, sdx_value **out) {
    sdx_dtype dtype = t->tensor.dtype;
    SDX_TRY(check_size(t));
    if (t->field.storage == RAW && sdx_dtype_bits(dtype) < 8) return from_packed(t, t->field.data, out);
    if (t->field.storage == STRINGS) return from_strings(t, out);
    if (t->field.storage == INT32S && dtype != SDX_I32) return from_int32s(t, out);
    if (t->field.storage == UINT64S && dtype == SDX_U32) return from_uint64s(t, out);
    return from_same_form(t, out);
}

/* The bytes are read to their final place; of sub-byte types, to a buffer first. */
static sdx_status read_external(take *t, const sdx_source *source, size_t offset, size_t size, sdx_value **out) {
    sdx_memory *memory = t->proto->memory;
    if (sdx_dtype_bits(t->tensor.dtype) < 8) {
        uint8_t *packed = sdx_memory_alloc(memory, size, t->error);
        if (!packed) return t->error->status;
        sdx_status status = sdx_source_read(source, offset, packed, size, t->error);
        if (!status) status = from_packed(t, packed, out);
        sdx_memory_free(memory, packed);
        return status;
    }
    SDX_TRY(new_value(t, out));
    SDX_TRY(sdx_source_read(source, offset, (*out)->tensor.data, size, t->error));
    return t->tensor.dtype == SDX_BOOL ? check_bools((*out)->tensor.data, t->tensor.count, t->error) : SDX_OK;
}

static sdx_status from_external(take *t, sdx_value **out) {
    sdx_external_range range;
    const sdx_source *source = NULL;
    size_t size = sdx_packed_size(t->tensor.dtype, t->tensor.count);
    SDX_TRY(sdx_external_parse(t->from, &range, t->error));
    SDX_TRY(sdx_external_open(&t->proto->external, &range, size, t->error, &source));
    return read_external(t, source, (size_t)range.offset, size, out);
}

static sdx_status take_value(take *t, sdx_value **out) {
    SDX_TRY(check_head(t));
    bool external = t->from->has_data_location && t->from->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    SDX_TRY(check_fields(t, external));
    if (external) return from_external(t, out);
    return t->tensor.count ? from_field(t, out) : new_value(t, out);
}

/* The place (initializer, node, item) is the caller's to add. */
sdx_status sdx_proto_take_tensor(sdx_proto *proto, Onnx__TensorProto *tensor, sdx_error *error, sdx_value **out) {
    sdx_error own = {0};
    if (!error) error = &own;
    *out = NULL;
    take t = {.proto = proto, .from = tensor, .error = error};
    sdx_status status = take_value(&t, out);
    if (status == SDX_OK) return SDX_OK;
    sdx_value_release(*out);
    *out = NULL;
    return status;
}

static sdx_status take_part(sdx_proto *proto, Onnx__TensorProto *part, const char *name, sdx_error *error,
                            sdx_value **out) {
    if (sdx_proto_take_tensor(proto, part, error, out) == SDX_OK) return SDX_OK;
    return sdx_error_context(error, "%s of the sparse tensor", name);
}

/* Without non-zero values the indices may be left out. */
static sdx_status take_indices(sdx_proto *proto, Onnx__SparseTensorProto *sparse, const sdx_value *values,
                               sdx_error *error, sdx_value **out) {
    if (sparse->indices) return take_part(proto, sparse->indices, "indices", error, out);
    if (values->tensor.count) return sdx_fail(error, SDX_MALFORMED, "the indices of its values are missing");
    *out = sdx_value_new_tensor(proto->memory, SDX_I64, 1, (int64_t[]){0}, error);
    return *out ? SDX_OK : error->status;
}

static sdx_status take_parts(sdx_proto *proto, Onnx__SparseTensorProto *sparse, sdx_error *error, sdx_value *parts[2],
                             sdx_value **out) {
    if (!sparse->values) return sdx_fail(error, SDX_MALFORMED, "the values are missing");
    if (sparse->n_dims == 0 || sparse->n_dims > SDX_MAX_RANK)
        return sdx_fail(error, SDX_UNSUPPORTED, "dense rank is %zu; it must be 1 to %d", sparse->n_dims, SDX_MAX_RANK);
    SDX_TRY(take_part(proto, sparse->values, "values", error, &parts[0]));
    SDX_TRY(take_indices(proto, sparse, parts[0], error, &parts[1]));
    return sdx_value_new_sparse(proto->memory, parts[0], parts[1], (int)sparse->n_dims, sparse->dims, error, out);
}

sdx_status sdx_proto_take_sparse(sdx_proto *proto, Onnx__SparseTensorProto *sparse, sdx_error *error, sdx_value **out) {
    sdx_error own = {0};
    sdx_value *parts[2] = {NULL, NULL};
    if (!error) error = &own;
    *out = NULL;
    sdx_status status = take_parts(proto, sparse, error, parts, out);
    sdx_value_release(parts[0]);
    sdx_value_release(parts[1]);
    return status;
}
