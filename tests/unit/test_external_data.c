/* SPDX-License-Identifier: Apache-2.0
 * External data in a folder of its own: what may be read, and everything that must not be. */
#include "proto/decode.h"
#include "tests/unit/proto_model.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* after what it needs */

/* TOP/outside.bin and TOP/model/: the base folder. */
static char top[] = "/tmp/sardonyx-external-XXXXXX";
static char base[64];

enum { SIZE = 64 };

static void in_top(char *out, size_t capacity, const char *name) { snprintf(out, capacity, "%s/%s", top, name); }

static void make_file(const char *name, size_t size) {
    char path[256];
    in_top(path, sizeof path, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++) fputc((int)(i & 0xff), file);
    assert_int_equal(fclose(file), 0);
}

static void make_link(const char *target, const char *name) {
    char path[256];
    in_top(path, sizeof path, name);
    assert_int_equal(symlink(target, path), 0);
}

static int set_up(void **state) {
    (void)state;
    char path[256], other[256];
    if (!mkdtemp(top)) return -1;
    snprintf(base, sizeof base, "%s/model", top);
    mkdir(base, 0700);
    in_top(path, sizeof path, "model/folder"), mkdir(path, 0700);
    in_top(path, sizeof path, "elsewhere"), mkdir(path, 0700);
    in_top(path, sizeof path, "model/*"), mkdir(path, 0700);
    in_top(path, sizeof path, "model/*/_ORT_MEM_ADDR_"), mkdir(path, 0700);
    make_file("outside.bin", SIZE);
    make_file("elsewhere/w.bin", SIZE);
    make_file("model/w.bin", SIZE);
    make_file("model/folder/w.bin", SIZE);
    make_file("model/...", SIZE);
    make_file("model/..w", SIZE);
    make_file("model/*/_ORT_MEM_ADDR_/*", SIZE);
    make_file("model/twin", SIZE);
    in_top(path, sizeof path, "model/twin"), in_top(other, sizeof other, "model/hard");
    if (link(path, other)) return -1;
    make_link("w.bin", "model/inner");
    make_link("../outside.bin", "model/outer");
    make_link("folder", "model/inner_folder");
    make_link("../elsewhere", "model/outer_folder");
    make_link("loop", "model/loop");
    make_link("nowhere", "model/dangling");
    in_top(path, sizeof path, "model/pipe");
    return mkfifo(path, 0600);
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command);
}

/* u8[count] with the entries given (NULL: left out). */
static bytes external(int64_t count, const char *location, const char *offset, const char *length) {
    bytes b = {0};
    put_head(&b, SDX_U8, SHAPE(count));
    put_int(&b, LOCATION, 1);
    if (location) put_entry(&b, EXTERNAL, "location", location);
    if (offset) put_entry(&b, EXTERNAL, "offset", offset);
    if (length) put_entry(&b, EXTERNAL, "length", length);
    return b;
}

typedef struct way {
    bool allow_links, portable;
} way;

static sdx_status take_from(bytes *tensor, way how, sdx_error *error, sdx_value **out, sdx_memory *memory) {
    sdx_proto_options options = {base, how.allow_links};
    sdx_proto *proto = NULL;
    sdx_status status = decode_part(tensor, GRAPH_INITIALIZER, &options, memory, error, &proto);
    if (status) return status;
    proto->external.portable = how.portable;
    status = sdx_proto_take_tensor(proto, sdx_proto_model(proto)->graph->initializer[0], error, out);
    sdx_proto_free(proto);
    return status;
}

/* first: value of the first byte wanted; -1: a refusal with these words. Both ways of opening must agree. */
static void expect_way(bytes tensor, bool allow_links, int first, sdx_status wanted, const char *words) {
    for (int portable = 0; portable < 2; portable++) {
        bytes copy = {0};
        sdx_memory memory;
        sdx_error error = {0};
        sdx_value *value = NULL;
        sdx_memory_init(&memory, 0);
        put(&copy, tensor.data, tensor.size);
        sdx_status got = take_from(&copy, (way){allow_links, portable}, &error, &value, &memory);
        if (got != wanted || !strstr(error.message, words))
            fail_msg("%s %s: '%s'; wanted %s and '%s'", portable ? "portable" : "openat2", sdx_status_text(got),
                     error.message, sdx_status_text(wanted), words);
        if (first >= 0) {
            for (int64_t i = 0; i < value->tensor.count; i++)
                assert_int_equal(((uint8_t *)value->tensor.data)[i], first + i);
        }
        sdx_value_release(value);
        assert_int_equal(sdx_memory_used(&memory), 0);
    }
    drop(&tensor);
}

static void expect_read(bytes tensor, int first) { expect_way(tensor, false, first, SDX_OK, ""); }
static void expect_refused(bytes tensor, sdx_status status, const char *words) {
    expect_way(tensor, false, -1, status, words);
}

static void reads_ranges(void **state) {
    (void)state;
    expect_read(external(SIZE, "w.bin", NULL, NULL), 0);
    expect_read(external(4, "w.bin", "8", "4"), 8);
    expect_read(external(4, "w.bin", "60", NULL), 60);
    expect_read(external(4, "w.bin", "007", "0004"), 7);
    expect_read(external(4, "folder/w.bin", "1", NULL), 1);
    expect_read(external(4, "./folder//w.bin", "1", NULL), 1);
    expect_read(external(0, "w.bin", "64", "0"), 0);
    expect_read(external(4, "...", NULL, NULL), 0);
    expect_read(external(4, "..w", NULL, NULL), 0);
    expect_read(external(4, "*/_ORT_MEM_ADDR_/*", "2", NULL), 2); /* a path like any other */
}

static void refuses_ranges(void **state) {
    (void)state;
    expect_refused(external(4, "w.bin", "61", NULL), SDX_MALFORMED,
                   "4 bytes at offset 61 pass the end of its 64 bytes");
    expect_refused(external(4, "w.bin", "65", NULL), SDX_MALFORMED, "pass the end");
    expect_refused(external(4, "w.bin", "9223372036854775807", NULL), SDX_MALFORMED, "pass the end");
    expect_refused(external(1LL << 40, "w.bin", NULL, NULL), SDX_MALFORMED, "1099511627776 bytes at offset 0 pass");
    expect_refused(external(4, "w.bin", NULL, "5"), SDX_MALFORMED, "length is 5; the tensor takes 4 bytes");
    expect_refused(external(4, "w.bin", NULL, "3"), SDX_MALFORMED, "length is 3");
    static const char *const bad[] = {"-1",
                                      "+1",
                                      "",
                                      " 1",
                                      "1 ",
                                      "1x",
                                      "0x10",
                                      "1.0",
                                      "1e3",
                                      "9223372036854775808",
                                      "18446744073709551616",
                                      "99999999999999999999999",
                                      "\xd9\xa1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_refused(external(4, "w.bin", bad[i], NULL), SDX_MALFORMED, "must be a decimal number of bytes");
        expect_refused(external(4, "w.bin", NULL, bad[i]), SDX_MALFORMED, "must be a decimal number of bytes");
    }
}

static void refuses_locations(void **state) {
    (void)state;
    expect_refused(external(4, NULL, NULL, NULL), SDX_MALFORMED, "external data has no location");
    expect_refused(external(4, "", NULL, NULL), SDX_MALFORMED, "location '' is empty");
    expect_refused(external(4, "/etc/passwd", NULL, NULL), SDX_MALFORMED, "location '/etc/passwd' is absolute");
    static const char *const climbing[] = {"..",
                                           "../outside.bin",
                                           "folder/../../outside.bin",
                                           "folder/..",
                                           "folder/../w.bin",
                                           "./../outside.bin",
                                           "folder//../w.bin"};
    for (size_t i = 0; i < sizeof climbing / sizeof climbing[0]; i++)
        expect_refused(external(4, climbing[i], NULL, NULL), SDX_MALFORMED, "contains '..'");
    expect_refused(external(4, "missing.bin", NULL, NULL), SDX_IO, "'missing.bin' cannot be read: No such file");
    expect_refused(external(4, "folder", NULL, NULL), SDX_IO, "is a folder");
    expect_refused(external(4, ".", NULL, NULL), SDX_IO, "is a folder");
    expect_refused(external(4, "folder/", NULL, NULL), SDX_IO, "is a folder");
    expect_refused(external(4, "w.bin/", NULL, NULL), SDX_IO, "no folder");
    expect_refused(external(4, "w.bin/x", NULL, NULL), SDX_IO, "no folder");
    expect_refused(external(4, "pipe", NULL, NULL), SDX_IO, "is not a regular file");
    char name[400];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    expect_refused(external(4, name, NULL, NULL), SDX_IO, "cannot be read");
    bytes b = external(4, NULL, NULL, NULL), entry = {0};
    put_text(&entry, 1, "location"), put_blob(&entry, 2, "w.bin\0x", 7);
    put_message(&b, EXTERNAL, &entry);
    expect_refused(b, SDX_MALFORMED, "contains a NUL");
    b = external(4, "w.bin", NULL, NULL);
    put_entry(&b, EXTERNAL, "location", "folder/w.bin");
    expect_refused(b, SDX_MALFORMED, "location is given twice");
    b = external(4, "w.bin", "0", NULL);
    put_entry(&b, EXTERNAL, "offset", "4");
    expect_refused(b, SDX_MALFORMED, "offset is given twice");
    b = external(4, "w.bin", NULL, NULL);
    put_entry(&b, EXTERNAL, "length", NULL);
    expect_refused(b, SDX_MALFORMED, "entry 1 has no key or no value");
    b = external(4, "w.bin", NULL, NULL);
    put_entry(&b, EXTERNAL, "checksum", "abc");
    expect_read(b, 0);
}

static void refuses_links(void **state) {
    (void)state;
    static const char *const links[] = {"inner", "outer",   "inner_folder/w.bin", "outer_folder/w.bin",
                                        "loop",  "dangling"};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        expect_refused(external(4, links[i], NULL, NULL), SDX_IO, "cannot be read");
    expect_refused(external(4, "inner", NULL, NULL), SDX_IO, "is a link or lies behind one");
    expect_refused(external(4, "hard", NULL, NULL), SDX_IO, "more than one name (a hard link)");
    expect_refused(external(4, "twin", NULL, NULL), SDX_IO, "hard link");
}

static void allows_links_inside(void **state) {
    (void)state;
    expect_way(external(4, "inner", "3", NULL), true, 3, SDX_OK, "");
    expect_way(external(4, "inner_folder/w.bin", "3", NULL), true, 3, SDX_OK, "");
    expect_way(external(4, "hard", NULL, NULL), true, 0, SDX_OK, "");
    expect_way(external(4, "w.bin", NULL, NULL), true, 0, SDX_OK, "");
    expect_way(external(4, "outer", NULL, NULL), true, -1, SDX_IO, "leads out of the folder");
    expect_way(external(4, "outer_folder/w.bin", NULL, NULL), true, -1, SDX_IO, "leads out of the folder");
    expect_way(external(4, "loop", NULL, NULL), true, -1, SDX_IO, "cannot be read");
    expect_way(external(4, "dangling", NULL, NULL), true, -1, SDX_IO, "No such file");
    expect_way(external(4, "pipe", NULL, NULL), true, -1, SDX_IO, "is not a regular file");
    expect_way(external(4, "folder", NULL, NULL), true, -1, SDX_IO, "is a folder");
}

static void needs_a_folder(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_error error = {0};
    sdx_value *value = NULL;
    bytes b = external(4, "w.bin", NULL, NULL);
    sdx_memory_init(&memory, 0);
    assert_int_equal(take_initializer(&b, NULL, &memory, &error, &value), SDX_IO);
    assert_non_null(strstr(error.message, "there is no base folder"));
    error = (sdx_error){0};
    b = external(4, "w.bin", NULL, NULL);
    assert_int_equal(take_initializer(&b, &(sdx_proto_options){"/nonexistent/x", false}, &memory, &error, &value),
                     SDX_IO);
    assert_non_null(strstr(error.message, "base folder cannot be opened"));
}

static void unpacks_elements(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_error error = {0};
    sdx_value *value = NULL;
    bytes b = {0};
    sdx_memory_init(&memory, 0);
    put_head(&b, SDX_U4, SHAPE(3)), put_int(&b, LOCATION, 1);
    put_entry(&b, EXTERNAL, "location", "w.bin"), put_entry(&b, EXTERNAL, "offset", "33");
    put_entry(&b, EXTERNAL, "length", "2");
    assert_int_equal(take_from(&b, (way){0}, &error, &value, &memory), SDX_OK);
    assert_memory_equal(value->tensor.data, "\x01\x02\x02", 3); /* bytes 0x21 0x22 */
    sdx_value_release(value);
    assert_int_equal(sdx_memory_used(&memory), 0);
    error = (sdx_error){0};
    put_head(&b, SDX_BOOL, SHAPE(3)), put_int(&b, LOCATION, 1), put_entry(&b, EXTERNAL, "location", "w.bin");
    assert_int_equal(take_from(&b, (way){0}, &error, &value, &memory), SDX_MALFORMED);
    assert_non_null(strstr(error.message, "element 2 is 2; a bool must be 0 or 1"));
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static size_t open_descriptors(void) {
    size_t n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Many tensors over more files than are kept open; every descriptor is closed at the end. */
static void many_files(void **state) {
    (void)state;
    enum { FILES = SDX_EXTERNAL_OPEN * 2 + 3 };
    bytes graph = {0};
    char name[32];
    sdx_memory memory;
    sdx_error error = {0};
    sdx_source source;
    sdx_proto *proto = NULL;
    size_t before = open_descriptors();
    for (int i = 0; i < 3 * FILES; i++) {
        snprintf(name, sizeof name, "model/m%d", i % FILES);
        if (i < FILES) make_file(name, SIZE);
        bytes tensor = external(4, name + 6, "5", NULL);
        put_message(&graph, GRAPH_INITIALIZER, &tensor);
    }
    wrap(&graph, MODEL_GRAPH);
    sdx_memory_init(&memory, 0);
    sdx_source_from_memory(graph.data, graph.size, &source);
    assert_int_equal(sdx_proto_decode(&source, &(sdx_proto_options){base, false}, &memory, &error, &proto), SDX_OK);
    for (int i = 0; i < 3 * FILES; i++) {
        sdx_value *value = NULL;
        if (sdx_proto_take_tensor(proto, sdx_proto_model(proto)->graph->initializer[i], &error, &value))
            fail_msg("%s", error.message);
        assert_memory_equal(value->tensor.data, "\5\6\7\10", 4);
        sdx_value_release(value);
        assert_true(open_descriptors() <= before + 1 + SDX_EXTERNAL_OPEN);
    }
    sdx_proto_free(proto);
    assert_int_equal(open_descriptors(), before);
    drop(&graph);
}

/* A file that shrinks after it was opened: an error, no signal. */
static void shrinking_file(void **state) {
    (void)state;
    bytes b = external(4, "shrink", "8", NULL);
    char path[256];
    sdx_memory memory;
    sdx_error error = {0};
    sdx_proto *proto = NULL;
    sdx_value *value = NULL;
    make_file("model/shrink", SIZE);
    sdx_memory_init(&memory, 0);
    assert_int_equal(decode_part(&b, GRAPH_INITIALIZER, &(sdx_proto_options){base, false}, &memory, &error, &proto),
                     SDX_OK);
    Onnx__TensorProto *tensor = sdx_proto_model(proto)->graph->initializer[0];
    assert_int_equal(sdx_proto_take_tensor(proto, tensor, &error, &value), SDX_OK);
    sdx_value_release(value);
    in_top(path, sizeof path, "model/shrink");
    assert_int_equal(truncate(path, 9), 0);
    assert_int_equal(sdx_proto_take_tensor(proto, tensor, &error, &value), SDX_IO);
    assert_non_null(strstr(error.message, "has become shorter"));
    sdx_proto_free(proto);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_ranges),     cmocka_unit_test(refuses_ranges),      cmocka_unit_test(refuses_locations),
        cmocka_unit_test(refuses_links),    cmocka_unit_test(allows_links_inside), cmocka_unit_test(needs_a_folder),
        cmocka_unit_test(unpacks_elements), cmocka_unit_test(many_files),          cmocka_unit_test(shrinking_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
