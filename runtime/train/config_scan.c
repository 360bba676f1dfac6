/* SPDX-License-Identifier: Apache-2.0
 * One look at the text before the JSON reader sees it, at what that would let pass. */
#include "runtime/train/config.h"
#include <stdio.h>
#include <string.h>

const char *sdx_config_place(const char *text, const char *at, char *out, size_t capacity) {
    size_t line = 1, column = 1;
    for (; text < at; text++) {
        column++;
        if (*text == '\n') line++, column = 1;
    }
    snprintf(out, capacity, "line %zu, column %zu", line, column);
    return out;
}

static sdx_status bad(const char *text, const char *at, sdx_error *error, const char *what) {
    char place[64];
    return sdx_fail(error, SDX_MALFORMED, "%s: %s", sdx_config_place(text, at, place, sizeof place), what);
}

static const char *digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at;
}

/* The end of a number as JSON has them; NULL: it is none. */
static const char *number_end(const char *at, const char *end) {
    if (at < end && *at == '-') at++;
    const char *whole = at;
    at = digits(at, end);
    if (at == whole || (*whole == '0' && at - whole > 1)) return NULL;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = digits(at, end);
        if (at == fraction) return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        const char *exponent = at;
        at = digits(at, end);
        if (at == exponent) return NULL;
    }
    return at;
}

/* The end of a text that begins behind `at`, its quote. */
static sdx_status text_end(const char *text, const char **at, const char *end, sdx_error *error) {
    const char *p = *at + 1;
    for (; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20) return bad(text, p, error, "control characters are not allowed in text");
        if (*p == '\\' && ++p < end && end - p > 4 && memcmp(p, "u0000", 5) == 0)
            return bad(text, p, error, "\\u0000 is not allowed in text");
    }
    if (p >= end) return bad(text, *at, error, "this text does not end");
    *at = p + 1;
    return SDX_OK;
}

sdx_status sdx_config_scan(const char *text, size_t size, sdx_error *error) {
    const char *at = text, *end = text + size;
    int depth = 0;
    if (size > SDX_CONFIG_SIZE)
        return sdx_fail(error, SDX_MALFORMED, "the configuration has %zu bytes; at most %d are allowed", size,
                        (int)SDX_CONFIG_SIZE);
    while (at < end) {
        const char c = *at;
        if (c == '"') {
            SDX_TRY(text_end(text, &at, end, error));
        } else if (c == '-' || c == '+' || c == '.' || (c >= '0' && c <= '9')) {
            const char *next = number_end(at, end);
            if (!next || (next < end && strchr("+-.eE", *next) && *next))
                return bad(text, at, error, "this is no number");
            at = next;
        } else {
            if (c == '{' || c == '[') depth++;
            if (c == '}' || c == ']') depth--;
            if (depth > SDX_CONFIG_DEPTH) return bad(text, at, error, "objects and lists are nested too deeply");
            if (c == '\0') return bad(text, at, error, "a zero byte is not allowed");
            at++;
        }
    }
    return SDX_OK;
}
