/* SPDX-License-Identifier: Apache-2.0
 * The prescan: every rule of it refuses what breaks it, names what it found, and lets its good neighbour pass. */
#include "proto/onnx.pb-c.h"
#include "proto/wire.h"
#include "tests/unit/wire_bytes.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h> /* after what it needs */

enum { MODEL_GRAPH = 7, MODEL_DOC = 6, GRAPH_NODE = 1, NODE_ATTRIBUTE = 5, ATTRIBUTE_GRAPH = 6, GRAPH_NAME = 2 };

static const ProtobufCMessageDescriptor *const model = &onnx__model_proto__descriptor;

static sdx_status check(const ProtobufCMessageDescriptor *type, const bytes *b, sdx_error *error) {
    size_t need;
    *error = (sdx_error){0};
    return sdx_wire_check(type, b->data ? b->data : (const unsigned char *)"", b->size, &need, error);
}

static void expect_good(const ProtobufCMessageDescriptor *type, bytes *b) {
    sdx_error error;
    if (check(type, b, &error)) fail_msg("refused: %s", error.message);
    drop(b);
}

static void expect(const ProtobufCMessageDescriptor *type, bytes *b, sdx_status status, const char *words) {
    sdx_error error;
    sdx_status got = check(type, b, &error);
    if (got != status || !strstr(error.message, words))
        fail_msg("%s: '%s'; wanted %s and the words '%s'", sdx_status_text(got), error.message, sdx_status_text(status),
                 words);
    drop(b);
}

static void expect_malformed(bytes *b, const char *words) { expect(model, b, SDX_MALFORMED, words); }

static void accepts_empty_and_small(void **state) {
    (void)state;
    bytes b = {0};
    expect_good(model, &b);
    put_int(&b, 1, 14);
    put_text(&b, 2, "writer");
    expect_good(model, &b);
}

static void accepts_unknown_fields(void **state) {
    (void)state;
    bytes b = {0};
    put_int(&b, 500, -1);
    put_text(&b, 501, "x");
    put_tag(&b, 502, 5), put(&b, "abcd", 4);
    put_tag(&b, 503, 1), put(&b, "abcdefgh", 8);
    expect_good(model, &b);
}

static void refuses_too_many_bytes(void **state) {
    (void)state;
    size_t need;
    sdx_error error = {0};
    assert_int_equal(sdx_wire_check(model, (const unsigned char *)"", (size_t)INT_MAX + 1, &need, &error),
                     SDX_MALFORMED);
    assert_non_null(strstr(error.message, "2147483648 bytes"));
}

static void refuses_field_numbers(void **state) {
    (void)state;
    bytes b = {0};
    put_int(&b, 1, 8);
    put_int(&b, 0, 1);
    expect_malformed(&b, "field number 0 at byte 2 of ModelProto");
    put_tag(&b, 0x1fffffff, 0), put_varint(&b, 1);
    expect_good(model, &b);
    put_varint(&b, (uint64_t)0x20000000 << 3), put_varint(&b, 1);
    expect_malformed(&b, "field number 536870912");
}

static void refuses_wire_types(void **state) {
    (void)state;
    static const char *const words[] = {"wire type 3 (group start)", "wire type 4 (group end)", "wire type 6",
                                        "wire type 7"};
    static const unsigned wires[] = {3, 4, 6, 7};
    for (int i = 0; i < 4; i++) {
        bytes b = {0};
        put_tag(&b, MODEL_GRAPH, wires[i]);
        expect_malformed(&b, words[i]);
    }
    bytes b = {0};
    put_int(&b, MODEL_GRAPH, 3);
    expect_malformed(&b, "field 'graph' of ModelProto at byte 0 is varint; it must be length-delimited");
    put_text(&b, 1, "text");
    expect_malformed(&b, "field 'ir_version' of ModelProto at byte 0 is length-delimited; it must be varint");
    put_tag(&b, 1, 5), put(&b, "abcd", 4);
    expect_malformed(&b, "is 32-bit; it must be varint");
    put_tag(&b, 2, 1), put(&b, "abcdefgh", 8);
    expect_malformed(&b, "is 64-bit; it must be length-delimited");
}

static void refuses_varints(void **state) {
    (void)state;
    bytes b = {0};
    put_byte(&b, 0x08); /* ir_version, no value */
    expect_malformed(&b, "the number at byte 1 of ModelProto is cut off");
    put_byte(&b, 0x08), put(&b, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    expect_good(model, &b);
    put_byte(&b, 0x08), put(&b, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    expect_malformed(&b, "longer than 10 bytes");
    put_byte(&b, 0x08), put(&b, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    expect_malformed(&b, "longer than 10 bytes");
    put(&b, "\x88\x80\x80\x80\x80\x00\x01", 7);
    expect_malformed(&b, "the field tag at byte 0 of ModelProto is cut off or longer than 5 bytes");
    put_byte(&b, 0x12), put(&b, "\x81\x80\x80\x80\x80\x00x", 7);
    expect_malformed(&b, "the length at byte 1");
}

static void refuses_lengths(void **state) {
    (void)state;
    bytes b = {0}, graph = {0};
    put_tag(&b, MODEL_GRAPH, 2), put_varint(&b, 5), put(&b, "abcd", 4);
    expect_malformed(&b, "field 'graph' of ModelProto at byte 0 is 5 bytes long; 4 are left in its message");
    put_tag(&b, 2, 2), put_varint(&b, 0xffffffff);
    expect_malformed(&b, "4294967295 bytes long; 0 are left");
    put_tag(&graph, GRAPH_NAME, 2), put_varint(&graph, 3); /* past the graph, inside the model */
    put_message(&b, MODEL_GRAPH, &graph);
    put_text(&b, 2, "abcdef");
    expect_malformed(&b, "field 'name' of GraphProto at byte 2 is 3 bytes long; 0 are left");
    put_tag(&b, 600, 5), put(&b, "abc", 3);
    expect_malformed(&b, "field 'unknown' of ModelProto at byte 0 is cut off");
}

static void refuses_repeated_messages(void **state) {
    (void)state;
    bytes b = {0};
    put_text(&b, MODEL_GRAPH, "");
    expect_good(model, &b);
    put_text(&b, MODEL_GRAPH, "");
    put_text(&b, MODEL_GRAPH, "");
    expect_malformed(&b, "field 'graph' of ModelProto is given again at byte 2");
    put_int(&b, 1, 3), put_int(&b, 1, 4); /* scalars: the last one counts */
    put_text(&b, 8, ""), put_text(&b, 8, "");
    expect_good(model, &b);
    put_text(&b, 1, ""), put_text(&b, 4, "");
    expect(&onnx__type_proto__descriptor, &b, SDX_MALFORMED, "one of its alternatives is set already");
    put_text(&b, 1, ""), put_text(&b, 1, "");
    expect(&onnx__type_proto__descriptor, &b, SDX_MALFORMED, "one of its alternatives is set already");
    put_int(&b, 1, 3), put_text(&b, 2, "N");
    expect(&onnx__tensor_shape_proto__dimension__descriptor, &b, SDX_MALFORMED, "alternatives");
    put_int(&b, 1, 3), put_int(&b, 1, 4);
    expect_good(&onnx__tensor_shape_proto__dimension__descriptor, &b);
}

/* sequence_type.elem_type.sequence_type...: two messages for each level */
static void nest(bytes *b, int messages) {
    for (int i = 0; i < messages; i++) wrap(b, (messages - i) % 2 ? 4 : 1);
}

static void refuses_depth(void **state) {
    (void)state;
    bytes b = {0};
    nest(&b, 100);
    expect_good(&onnx__type_proto__descriptor, &b);
    nest(&b, 101);
    expect(&onnx__type_proto__descriptor, &b, SDX_MALFORMED, "nests deeper than 100 messages");
    nest(&b, 10000);
    expect(&onnx__type_proto__descriptor, &b, SDX_MALFORMED, "nests deeper than 100 messages");
}

static void refuses_text(void **state) {
    (void)state;
    static const char *const bad[] = {
        "\xff", "a\xc3",    "\xc0\x80", "\xe0\x80\x80",        "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x80\x80\x80",
        "\x80", "\xe2\x82", "\xc3(",    "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bytes b = {0};
        put_text(&b, 2, bad[i]);
        expect_malformed(&b, "field 'producer_name' of ModelProto is not UTF-8 at byte");
        put_text(&b, MODEL_DOC, bad[i]);
        expect_good(model, &b);
    }
    bytes b = {0};
    put_text(&b, 2, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf");
    expect_good(model, &b);
    put_blob(&b, 2, "a\0b", 3);
    expect_malformed(&b, "field 'producer_name' of ModelProto at byte 0 contains a NUL");
    put_blob(&b, MODEL_DOC, "a\0b", 3);
    expect_malformed(&b, "contains a NUL");
}

static void checks_packed_fields(void **state) {
    (void)state;
    const ProtobufCMessageDescriptor *tensor = &onnx__tensor_proto__descriptor;
    bytes b = {0};
    put_blob(&b, 4, "abcdefgh", 8), put_blob(&b, 1, "\x01\xff\x01", 3), put_int(&b, 1, 3);
    expect_good(tensor, &b);
    put_blob(&b, 4, "abcdefg", 7);
    expect(tensor, &b, SDX_MALFORMED, "field 'float_data' of TensorProto at byte 0 has 7 bytes; elements take 4");
    put_blob(&b, 10, "abcdefghi", 9);
    expect(tensor, &b, SDX_MALFORMED, "elements take 8");
    put_blob(&b, 7, "\x01\xff", 2);
    expect(tensor, &b, SDX_MALFORMED, "the element of 'int64_data' at byte 3 is cut off");
    put_blob(&b, 5, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    expect(tensor, &b, SDX_MALFORMED, "longer than 10 bytes");
}

/* 16 bytes of memory for each byte of the file and 64 MiB are the most a file may ask for. */
static void refuses_bombs(void **state) {
    (void)state;
    bytes node = {0}, b = {0};
    for (int i = 0; i < 1 << 19; i++) put_text(&node, NODE_ATTRIBUTE, "");
    put_message(&b, GRAPH_NODE, &node);
    wrap(&b, MODEL_GRAPH);
    expect(model, &b, SDX_LIMIT, "at most 83886");
    for (int i = 0; i < 1000; i++) put_text(&node, NODE_ATTRIBUTE, "");
    put_message(&b, GRAPH_NODE, &node);
    wrap(&b, MODEL_GRAPH);
    expect_good(model, &b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_empty_and_small), cmocka_unit_test(accepts_unknown_fields),
        cmocka_unit_test(refuses_too_many_bytes),  cmocka_unit_test(refuses_field_numbers),
        cmocka_unit_test(refuses_wire_types),      cmocka_unit_test(refuses_varints),
        cmocka_unit_test(refuses_lengths),         cmocka_unit_test(refuses_repeated_messages),
        cmocka_unit_test(refuses_depth),           cmocka_unit_test(refuses_text),
        cmocka_unit_test(checks_packed_fields),    cmocka_unit_test(refuses_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
