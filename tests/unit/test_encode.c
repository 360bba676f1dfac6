/* SPDX-License-Identifier: Apache-2.0
 * What is written is what was read: models byte for byte, tensors of every type, and data files of every kind. */
#include "proto/decode.h"
#include "proto/encode.h"
#include "proto/onnx_data.pb-c.h"
#include "tests/unit/proto_model.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* after what it needs */

static char folder[] = "/tmp/sardonyx-encode-XXXXXX";
static char path[64];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(const bytes *b) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    if (b->size) assert_int_equal(fwrite(b->data, 1, b->size, file), b->size);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(const bytes *wanted, const char *what) {
    sdx_memory memory;
    sdx_error error = {0};
    unsigned char *got = NULL;
    size_t size = 0;
    sdx_memory_init(&memory, 0);
    assert_int_equal(sdx_file_read(path, &memory, &error, &got, &size), SDX_OK);
    if (size != wanted->size) fail_msg("%s: %zu bytes; wanted %zu", what, size, wanted->size);
    for (size_t i = 0; i < size; i++)
        if (got[i] != wanted->data[i]) fail_msg("%s: byte %zu is %02x; wanted %02x", what, i, got[i], wanted->data[i]);
    sdx_memory_free(&memory, got);
}

/* Decodes `b` and encodes it to the file; frees nothing. */
static sdx_status copy_model(const bytes *b, sdx_memory *memory, sdx_error *error) {
    sdx_source source;
    sdx_proto *proto = NULL;
    sdx_sink *sink = NULL;
    sdx_source_from_memory(b->data, b->size, &source);
    sdx_status status = sdx_proto_decode(&source, NULL, memory, error, &proto);
    if (!status) status = sdx_sink_create(path, memory, error, &sink);
    if (!status) status = sdx_proto_encode(sdx_proto_model(proto), sink, memory, error);
    if (!status)
        status = sdx_sink_commit(sink, error);
    else
        sdx_sink_discard(sink);
    sdx_proto_free(proto);
    return status;
}

/* Fields in order, as writers put them: then the copy has the same bytes. */
static void put_ordered_model(bytes *b) {
    bytes graph = {0}, node = {0}, attribute = {0}, tensor = {0}, type = {0}, info = {0}, shape = {0}, dim = {0};
    put_text(&node, 1, "X"), put_text(&node, 1, ""), put_text(&node, 2, "Y"), put_text(&node, 3, "");
    put_text(&node, 4, "Relu");
    put_text(&attribute, 1, "a"), put_tag(&attribute, 2, 5), put(&attribute, "\0\0\0\0", 4), put_int(&attribute, 3, 0);
    put_blob(&attribute, 4, "", 0), put_tag(&attribute, 7, 5), put(&attribute, "abcd", 4);
    put_int(&attribute, 8, -5), put_blob(&attribute, 9, "\0\xff", 2), put_int(&attribute, 20, 0);
    put_message(&node, 5, &attribute);
    put_text(&node, 7, "");
    put_message(&graph, 1, &node);
    put_int(&tensor, DIMS, 2), put_int(&tensor, DIMS, 0), put_int(&tensor, DATA_TYPE, 1);
    put_varints(&tensor, INT32S, 3, (int64_t[]){-1, 0, 1}), put_blob(&tensor, STRINGS, "", 0);
    put_varints(&tensor, INT64S, 2, (int64_t[]){INT64_MIN, 300}), put_blob(&tensor, RAW, "", 0);
    put_blob(&tensor, DOUBLES, "abcdefgh", 8), put_varints(&tensor, UINT64S, 1, (int64_t[]){-1});
    put_entry(&tensor, EXTERNAL, "location", "w.bin"), put_entry(&tensor, EXTERNAL, NULL, "");
    put_int(&tensor, LOCATION, 0);
    put_message(&graph, GRAPH_INITIALIZER, &tensor);
    put_int(&dim, 1, 0), put_text(&dim, 3, "");
    put_message(&shape, 1, &dim);
    put_text(&dim, 2, "");
    put_message(&shape, 1, &dim);
    put_message(&shape, 1, &dim); /* nothing known */
    put_int(&type, 1, 1), put_message(&type, 2, &shape);
    wrap(&type, 1), wrap(&type, 1), wrap(&type, 4), put_text(&type, 6, ""); /* tensor in a sequence */
    put_text(&info, 1, "X"), put_message(&info, 2, &type);
    put_message(&graph, 11, &info);
    put_int(b, 1, 14), put_int(b, 5, 0), put_text(b, 6, "\xff"), put_message(b, MODEL_GRAPH, &graph);
    put_text(b, 8, "");
    put_int(b, 400, 77), put_text(b, 401, "kept"); /* unknown fields stay */
}

static void models_come_back(void **state) {
    (void)state;
    bytes b = {0};
    sdx_memory memory;
    sdx_error error = {0};
    sdx_memory_init(&memory, 0);
    put_ordered_model(&b);
    if (copy_model(&b, &memory, &error)) fail_msg("%s", error.message);
    expect_file(&b, "the model");
    assert_int_equal(sdx_memory_used(&memory), 0);
    drop(&b);
}

static void large_payloads_stream(void **state) {
    (void)state;
    enum { SIZE = 3 << 20 };
    unsigned char *data = malloc(SIZE);
    bytes b = {0}, tensor = {0};
    sdx_memory memory;
    sdx_error error = {0};
    for (size_t i = 0; i < SIZE; i++) data[i] = (unsigned char)(i * 31 >> 3);
    sdx_memory_init(&memory, 0);
    put_int(&tensor, DIMS, SIZE), put_int(&tensor, DATA_TYPE, SDX_U8), put_blob(&tensor, RAW, data, SIZE);
    put_message(&b, GRAPH_INITIALIZER, &tensor);
    wrap(&b, MODEL_GRAPH);
    assert_int_equal(copy_model(&b, &memory, &error), SDX_OK);
    expect_file(&b, "the model");
    assert_in_range(sdx_memory_peak(&memory), SIZE, SIZE + (1 << 18)); /* one copy, and a buffer */
    drop(&b);
    free(data);
}

static void failed_writes_report(void **state) {
    (void)state;
    bytes b = {0};
    sdx_memory memory;
    put_ordered_model(&b);
    int64_t n = 1;
    for (sdx_status status = SDX_OUT_OF_MEMORY; status != SDX_OK; n++) {
        sdx_error error = {0};
        sdx_memory_init(&memory, 0);
        atomic_store(&memory.fail_after, n);
        status = copy_model(&b, &memory, &error);
        assert_true(status == SDX_OK || status == SDX_OUT_OF_MEMORY);
        assert_int_equal(sdx_memory_used(&memory), 0);
        assert_true(n < 100);
    }
    assert_true(n > 3);
    drop(&b);
}

/* protobuf has no more than 2 GiB; the tree may: its payloads are only pointers. */
static void refuses_two_gigabytes(void **state) {
    (void)state;
    static uint8_t some[16];
    sdx_error error = {0};
    Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT;
    tensor.has_raw_data = 1;
    tensor.raw_data = (ProtobufCBinaryData){(size_t)INT_MAX, some};
    assert_int_equal(sdx_message_encode(&tensor.base, NULL, &error), SDX_UNSUPPORTED);
    assert_non_null(strstr(error.message, "protobuf allows 2147483647"));
}

static void leaves_no_file_behind(void **state) {
    (void)state;
    static uint8_t some[16];
    sdx_memory memory;
    sdx_error error = {0};
    sdx_value *value = NULL;
    sdx_memory_init(&memory, 0);
    unlink(path);
    assert_int_equal(sdx_value_borrow(SDX_U8, 1, (int64_t[]){INT_MAX}, some, &error, &value), SDX_OK);
    assert_int_equal(sdx_proto_write_value(path, NULL, value, &memory, &error), SDX_UNSUPPORTED);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(rmdir(folder), 0); /* nor a temporary one */
    assert_int_equal(mkdir(folder, 0700), 0);
    sdx_value_release(value);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

/* ---- values */

static void expect_equal(const sdx_value *a, const sdx_value *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->n_items, b->n_items);
    for (size_t i = 0; i < a->n_items; i++) expect_equal(a->items[i], b->items[i]);
    if (a->kind != SDX_TENSOR && a->kind != SDX_SPARSE_TENSOR) return;
    assert_int_equal(a->tensor.dtype, b->tensor.dtype);
    assert_int_equal(a->tensor.rank, b->tensor.rank);
    for (int d = 0; d < a->tensor.rank; d++) assert_int_equal(a->tensor.dim[d], b->tensor.dim[d]);
    if (a->kind == SDX_SPARSE_TENSOR || a->tensor.count == 0) return;
    if (a->tensor.dtype != SDX_STRING) {
        assert_memory_equal(a->tensor.data, b->tensor.data, sdx_tensor_bytes(&a->tensor));
        return;
    }
    const sdx_string *x = a->tensor.data, *y = b->tensor.data;
    for (int64_t i = 0; i < a->tensor.count; i++) {
        assert_int_equal(x[i].size, y[i].size);
        assert_memory_equal(x[i].data, y[i].data, x[i].size);
    }
}

/* Writes and reads the value, with every allocation failing once on the way. Releases it. */
static void expect_round_trip(sdx_value *value) {
    sdx_memory memory;
    sdx_value *back = NULL;
    assert_non_null(value);
    int64_t n = 1;
    for (sdx_status status = SDX_OUT_OF_MEMORY; status != SDX_OK; n++) {
        sdx_error error = {0};
        sdx_memory_init(&memory, 0);
        atomic_store(&memory.fail_after, n);
        status = sdx_proto_write_value(path, "name", value, &memory, &error);
        if (!status) status = sdx_proto_read_value(path, value->kind, &memory, &error, &back);
        if (status && status != SDX_OUT_OF_MEMORY) fail_msg("%s", error.message);
        if (status) assert_int_equal(sdx_memory_used(&memory), 0);
        assert_true(n < 1000);
    }
    expect_equal(value, back);
    sdx_value_release(back);
    assert_int_equal(sdx_memory_used(&memory), 0);
    sdx_value_release(value);
}

/* Elements that the type can hold, at most 6 bits wide and sign-extended. */
static sdx_value *sample(sdx_dtype dtype, int rank, const int64_t *dims) {
    sdx_value *value = sdx_value_new_tensor(NULL, dtype, rank, dims, NULL);
    assert_non_null(value);
    unsigned char *data = value->tensor.data;
    int bits = sdx_dtype_bits(dtype), class = sdx_dtype_class(dtype);
    size_t size = sdx_tensor_bytes(&value->tensor);
    for (size_t i = 0; i < size && class != SDX_CLASS_STRING; i++) {
        unsigned byte = (unsigned)(i * 37 + 11);
        if (class == SDX_CLASS_BOOL)
            byte &= 1;
        else if (bits < 8)
            byte &= (1u << bits) - 1;
        if (class == SDX_CLASS_SIGNED && bits < 8 && byte >> (bits - 1)) byte |= ~0u << bits;
        data[i] = (unsigned char)byte;
    }
    return value;
}

static sdx_value *words(size_t n) {
    static const sdx_string all[] = {{"one", 3}, {"", 0}, {"t\0o", 3}, {"\xff", 1}};
    sdx_value *value = NULL;
    assert_int_equal(sdx_value_from_strings(1, (int64_t[]){(int64_t)n}, all, NULL, &value), SDX_OK);
    return value;
}

static void tensors_of_every_dtype(void **state) {
    (void)state;
    for (int d = 1; d < SDX_DTYPE_COUNT; d++) {
        sdx_dtype dtype = (sdx_dtype)d;
        if (dtype == SDX_STRING) continue;
        for (int64_t n = 1; n < 10; n++) expect_round_trip(sample(dtype, 1, &n));
        expect_round_trip(sample(dtype, 0, NULL));
        expect_round_trip(sample(dtype, 3, (int64_t[]){2, 0, 3}));
        expect_round_trip(sample(dtype, 2, (int64_t[]){30, 41}));
    }
    expect_round_trip(words(4));
    expect_round_trip(words(0));
}

static sdx_value *list(sdx_value *a, sdx_value *b) {
    sdx_value *items[] = {a, b}, *value = NULL;
    sdx_error error = {0};
    if (sdx_value_sequence(items, b ? 2 : a ? 1 : 0, SDX_F32, &error, &value)) fail_msg("%s", error.message);
    sdx_value_release(a);
    sdx_value_release(b);
    return value;
}

static sdx_value *maybe(sdx_value *item) {
    sdx_value *value = NULL;
    assert_int_equal(sdx_value_optional(item, SDX_F32, NULL, &value), SDX_OK);
    sdx_value_release(item);
    return value;
}

static sdx_value *map(sdx_value *keys, sdx_value *values) {
    sdx_value *value = NULL;
    sdx_error error = {0};
    if (sdx_value_map(keys, values, &error, &value)) fail_msg("%s", error.message);
    sdx_value_release(keys);
    sdx_value_release(values);
    return value;
}

#define DIMS1(n)                                                                                                       \
    1, (int64_t[]) { n }

static void sequences_and_optionals(void **state) {
    (void)state;
    expect_round_trip(list(NULL, NULL));
    expect_round_trip(list(sample(SDX_F32, DIMS1(3)), sample(SDX_F32, DIMS1(1))));
    expect_round_trip(list(words(2), NULL));
    expect_round_trip(list(list(sample(SDX_I64, DIMS1(3)), NULL), list(sample(SDX_I64, 0, NULL), NULL)));
    expect_round_trip(maybe(NULL));
    expect_round_trip(maybe(sample(SDX_I4, DIMS1(3))));
    expect_round_trip(maybe(list(sample(SDX_BF16, DIMS1(3)), NULL)));
    expect_round_trip(maybe(maybe(sample(SDX_F16, DIMS1(2)))));
    expect_round_trip(list(maybe(sample(SDX_F16, DIMS1(2))), NULL));
}

static void maps_and_sparse_tensors(void **state) {
    (void)state;
    static const sdx_dtype keys[] = {SDX_I8, SDX_U8, SDX_I16, SDX_U16, SDX_I32, SDX_U32, SDX_I64};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        expect_round_trip(map(sample(keys[i], DIMS1(5)), sample(SDX_F32, DIMS1(5))));
    expect_round_trip(map(words(4), words(4)));
    expect_round_trip(map(words(2), list(sample(SDX_F32, DIMS1(3)), sample(SDX_F32, DIMS1(1)))));
    expect_round_trip(maybe(map(words(2), sample(SDX_I64, DIMS1(2)))));
    expect_round_trip(list(map(words(1), sample(SDX_F64, DIMS1(1))), map(words(2), sample(SDX_F64, DIMS1(2)))));
    sdx_value *values = sample(SDX_F32, DIMS1(2)), *indices = sample(SDX_I64, DIMS1(2)), *sparse = NULL;
    ((int64_t *)indices->tensor.data)[0] = 1;
    ((int64_t *)indices->tensor.data)[1] = 5;
    assert_int_equal(sdx_value_sparse(values, indices, 2, (int64_t[]){2, 3}, NULL, &sparse), SDX_OK);
    sdx_value_release(values);
    sdx_value_release(indices);
    expect_round_trip(list(sdx_value_retain(sparse), NULL));
    expect_round_trip(maybe(sdx_value_retain(sparse)));
    expect_round_trip(sparse);
}

static void expect_unreadable(bytes *b, sdx_kind kind, sdx_status status, const char *text) {
    sdx_memory memory;
    sdx_error error = {0};
    sdx_value *value = NULL;
    sdx_memory_init(&memory, 0);
    write_file(b);
    sdx_status got = sdx_proto_read_value(path, kind, &memory, &error, &value);
    if (got != status || !strstr(error.message, text))
        fail_msg("%s: '%s'; wanted %s and '%s'", sdx_status_text(got), error.message, sdx_status_text(status), text);
    assert_true((value == NULL) == (status != SDX_OK));
    sdx_value_release(value);
    assert_int_equal(sdx_memory_used(&memory), 0);
    drop(b);
}

static bytes tensor_bytes(int dtype) {
    bytes b = {0};
    put_head(&b, dtype, SHAPE(1)), put_blob(&b, RAW, "\1\0\0\0\0\0\0\0", sdx_dtype_size((sdx_dtype)dtype));
    return b;
}

/* keys [1, 2], values two scalars; key_type given */
static bytes map_bytes(int64_t key_type, size_t n_keys) {
    bytes b = {0}, sequence = {0};
    put_int(&b, 2, key_type);
    for (size_t i = 0; i < n_keys; i++) put_int(&b, 3, (int64_t)i * 300);
    put_int(&sequence, 2, 1);
    for (int i = 0; i < 2; i++) {
        bytes tensor = tensor_bytes(SDX_F32);
        put_message(&sequence, 3, &tensor);
    }
    put_message(&b, 5, &sequence);
    return b;
}

static void refuses_broken_data_files(void **state) {
    (void)state;
    bytes b = {(unsigned char *)strdup(""), 0, 0}, inner = {0};
    expect_unreadable(&b, SDX_TENSOR, SDX_MALFORMED, "data_type is not given");
    put(&b, "", 0);
    expect_unreadable(&b, SDX_OPTIONAL, SDX_OK, ""); /* no bytes: an optional without a value */
    put_int(&b, 2, 1);
    expect_unreadable(&b, SDX_OPTIONAL, SDX_OK, "");
    put_text(&b, 1, "name");
    expect_unreadable(&b, SDX_SEQUENCE, SDX_MALFORMED, "a sequence has no elem_type");
    put_int(&b, 2, 6);
    expect_unreadable(&b, SDX_SEQUENCE, SDX_MALFORMED, "elem_type 6; it must be 0 to 5");
    put_int(&b, 2, -1);
    expect_unreadable(&b, SDX_OPTIONAL, SDX_MALFORMED, "elem_type -1");
    inner = tensor_bytes(SDX_F32), put_int(&b, 2, 3), put_message(&b, 3, &inner);
    expect_unreadable(&b, SDX_SEQUENCE, SDX_MALFORMED, "elem_type sequence and a tensor in it");
    inner = tensor_bytes(SDX_F32), put_message(&b, 3, &inner);
    expect_unreadable(&b, SDX_OPTIONAL, SDX_MALFORMED, "elem_type undefined and a tensor in it");
    inner = tensor_bytes(SDX_F32), put_int(&b, 2, 1), put_message(&b, 3, &inner);
    inner = tensor_bytes(SDX_I64), put_message(&b, 3, &inner);
    expect_unreadable(&b, SDX_SEQUENCE, SDX_MALFORMED, "item 1 of a sequence is of i64; item 0 is of f32");
    for (int i = 0; i < 20; i++) {
        inner = (bytes){0};
        put_int(&inner, 2, 3), put(&inner, b.data, b.size);
        drop(&b);
        put_message(&b, 5, &inner);
    }
    put_int(&b, 2, 3);
    expect_unreadable(&b, SDX_SEQUENCE, SDX_UNSUPPORTED, "nest deeper");
    b = map_bytes(SDX_F32, 2);
    expect_unreadable(&b, SDX_MAP, SDX_MALFORMED, "key_type 1; it must be string or an integer type");
    b = map_bytes(SDX_U4, 2);
    expect_unreadable(&b, SDX_MAP, SDX_MALFORMED, "key_type 21");
    b = map_bytes(SDX_U8, 2);
    expect_unreadable(&b, SDX_MAP, SDX_MALFORMED, "key 300 of a map does not fit u8");
    b = map_bytes(SDX_I64, 3);
    expect_unreadable(&b, SDX_MAP, SDX_MALFORMED, "3 keys and 2 values");
    b = map_bytes(SDX_STRING, 2);
    expect_unreadable(&b, SDX_MAP, SDX_MALFORMED, "keys of string in keys");
    put_int(&b, 2, SDX_I64), put_int(&b, 3, 4);
    expect_unreadable(&b, SDX_MAP, SDX_MALFORMED, "a map has no values");
    put_text(&b, 1, "x"), put_byte(&b, 0x1a);
    expect_unreadable(&b, SDX_MAP, SDX_MALFORMED, "cut off");
    sdx_error error = {0};
    sdx_value *value = NULL;
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    assert_int_equal(sdx_proto_read_value(folder, SDX_TENSOR, &memory, &error, &value), SDX_IO);
    assert_int_equal(sdx_proto_read_value(path, (sdx_kind)9, &memory, NULL, &value), SDX_ARGUMENT);
}

/* Keys are int64 in the file. */
static void refuses_large_keys(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_error error = {0};
    sdx_memory_init(&memory, 0);
    for (uint64_t top_bit = 0; top_bit < 2; top_bit++) {
        sdx_value *keys = sample(SDX_U64, 1, (int64_t[]){1}), *pairs;
        *(uint64_t *)keys->tensor.data = 5 | top_bit << 63;
        pairs = map(keys, sample(SDX_F32, 1, (int64_t[]){1}));
        sdx_status status = sdx_proto_write_value(path, "m", pairs, &memory, &error);
        assert_int_equal(status, top_bit ? SDX_UNSUPPORTED : SDX_OK);
        sdx_value_release(pairs);
    }
    assert_non_null(strstr(error.message, "key 9223372036854775813 of a map"));
}

/* The name goes where a reader looks for it, and large data is borrowed. */
static void put_tensor_borrows(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_arena arena;
    sdx_error error = {0};
    Onnx__TensorProto *tensor = NULL;
    sdx_memory_init(&memory, 0);
    sdx_arena_init(&arena, &memory);
    sdx_value *value = sample(SDX_F32, 2, (int64_t[]){3, 1000}), *optional = maybe(NULL);
    assert_int_equal(sdx_proto_put_tensor(value, "W", &arena, &error, &tensor), SDX_OK);
    assert_string_equal(tensor->name, "W");
    assert_ptr_equal(tensor->raw_data.data, value->tensor.data);
    assert_int_equal(tensor->raw_data.len, 12000);
    assert_int_equal(sdx_proto_put_tensor(optional, "W", &arena, &error, &tensor), SDX_TYPE);
    assert_null(tensor);
    sdx_value_release(value);
    sdx_value_release(optional);
    sdx_arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_come_back),        cmocka_unit_test(large_payloads_stream),
        cmocka_unit_test(failed_writes_report),    cmocka_unit_test(refuses_two_gigabytes),
        cmocka_unit_test(tensors_of_every_dtype),  cmocka_unit_test(sequences_and_optionals),
        cmocka_unit_test(maps_and_sparse_tensors), cmocka_unit_test(refuses_broken_data_files),
        cmocka_unit_test(put_tensor_borrows),      cmocka_unit_test(leaves_no_file_behind),
        cmocka_unit_test(refuses_large_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
