/* SPDX-License-Identifier: Apache-2.0
 * The error record: first error wins, places are put in front, names are escaped, nothing overruns. */
#include "runtime/base/status.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void first_error_wins(void **state) {
    (void)state;
    sdx_error error = {0};
    assert_int_equal(sdx_fail(&error, SDX_SHAPE, "rank %d", 3), SDX_SHAPE);
    assert_int_equal(sdx_fail(&error, SDX_TYPE, "later"), SDX_TYPE);
    assert_int_equal(error.status, SDX_SHAPE);
    assert_string_equal(error.message, "rank 3");
    assert_int_equal(sdx_fail(NULL, SDX_VALUE, "nowhere"), SDX_VALUE);
}

static void places_nest(void **state) {
    (void)state;
    sdx_error error = {0};
    sdx_fail(&error, SDX_SHAPE, "rank is 3");
    assert_int_equal(sdx_error_context(&error, "node '%s'", "a"), SDX_SHAPE);
    assert_int_equal(sdx_error_context(&error, "model '%s'", "m"), SDX_SHAPE);
    assert_string_equal(error.message, "model 'm': node 'a': rank is 3");
    assert_int_equal(sdx_error_context(NULL, "nowhere"), SDX_OK);
}

static void long_texts_are_cut(void **state) {
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (size_t place = 0; place < sizeof text; place += 1) {
        if (place > 3 && place < 1000) place = 1000;
        if (place > 1040) break;
        sdx_error error = {0};
        sdx_fail(&error, SDX_IO, "%s", text);
        assert_int_equal(strlen(error.message), sizeof error.message - 1);
        sdx_error_context(&error, "%s", text + sizeof text - 1 - place);
        size_t length = strlen(error.message);
        if (length >= sizeof error.message || length < 1000) fail_msg("place of %zu bytes: length %zu", place, length);
    }
}

static void every_status_has_a_text(void **state) {
    (void)state;
    for (int s = 0; s < SDX_STATUS_COUNT; s++) {
        assert_true(strlen(sdx_status_text((sdx_status)s)) > 3);
        for (int t = 0; t < s; t++)
            assert_string_not_equal(sdx_status_text((sdx_status)s), sdx_status_text((sdx_status)t));
    }
    assert_string_equal(sdx_status_text((sdx_status)-1), "unknown status");
    assert_string_equal(sdx_status_text(SDX_STATUS_COUNT), "unknown status");
}

static void names_are_escaped(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"conv1.weight", "conv1.weight"},
        {"a\nb\x7f", "a\\x0ab\\x7f"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc0\x80", "\\xc0\\x80"},                   /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\xc3", "\\xc3"},
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(sdx_escape(out, sizeof out, cases[i].in, strlen(cases[i].in)), cases[i].out);
    assert_string_equal(sdx_escape(out, sizeof out, "", 0), "");
}

static void escape_stays_inside(void **state) {
    (void)state;
    const char text[] = "ab\n\xc3\xa9zz\xf0\x9f\x98\x80\x01\x02";
    for (size_t capacity = 4; capacity < 48; capacity++) {
        char out[64];
        memset(out, '#', sizeof out);
        sdx_escape(out, capacity, text, sizeof text - 1);
        assert_true(memchr(out, '\0', capacity) != NULL);
        for (size_t i = capacity; i < sizeof out; i++) assert_int_equal(out[i], '#');
        size_t length = strlen(out);
        if (capacity < 20) assert_memory_equal(out + length - 3, "...", 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_error_wins),   cmocka_unit_test(places_nest),
        cmocka_unit_test(long_texts_are_cut), cmocka_unit_test(every_status_has_a_text),
        cmocka_unit_test(names_are_escaped),  cmocka_unit_test(escape_stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
