/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/text/text.h"
#include <string.h>
#include <utf8proc.h>

uint32_t sdx_utf8_decode(const char *text, size_t size, size_t *length) {
    utf8proc_int32_t point = -1;
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, size > 4 ? 4 : (utf8proc_ssize_t)size, &point);
    *length = n > 0 ? (size_t)n : 1;
    return n > 0 ? (uint32_t)point : UINT32_MAX;
}

/* Writes what `point` becomes; at most 4 bytes. */
static size_t put_case(uint32_t point, bool upper, char *out) {
    utf8proc_int32_t from = (utf8proc_int32_t)point, to = upper ? utf8proc_toupper(from) : utf8proc_tolower(from);
    return (size_t)utf8proc_encode_char(to, (utf8proc_uint8_t *)out);
}

/* With out NULL, only counts. */
static size_t change_case(sdx_string text, bool upper, char *out) {
    size_t used = 0, length = 0;
    for (size_t i = 0; i < text.size; i += length) {
        char piece[4];
        uint32_t point = sdx_utf8_decode(text.data + i, text.size - i, &length);
        size_t n = 1;
        if (point == UINT32_MAX)
            piece[0] = text.data[i];
        else
            n = put_case(point, upper, piece);
        if (out) memcpy(out + used, piece, n);
        used += n;
    }
    return used;
}

sdx_string sdx_text_case(sdx_compute *compute, sdx_string text, bool upper) {
    size_t size = change_case(text, upper, NULL);
    char *out = compute->services->alloc(compute, size + 1);
    if (!out) return (sdx_string){NULL, 0};
    change_case(text, upper, out);
    return (sdx_string){out, size};
}

bool sdx_text_is_space(uint32_t p) {
    return (p >= 0x09 && p <= 0x0d) || (p >= 0x1c && p <= 0x20) || p == 0x85 || p == 0xa0 || p == 0x1680 ||
           (p >= 0x2000 && p <= 0x200a) || p == 0x2028 || p == 0x2029 || p == 0x202f || p == 0x205f || p == 0x3000;
}

bool sdx_text_equal(sdx_string a, sdx_string b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
