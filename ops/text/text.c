/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/text/text.h"
#include <string.h>

/* Every `step`-th point of [first, last] maps to itself plus delta. */
typedef struct case_run {
    uint32_t first, last;
    int32_t step, delta;
} case_run;

typedef struct case_long {
    uint32_t point, to[3];
} case_long;

#include "ops/text/unicode_case.inc"

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

uint32_t sdx_utf8_decode(const char *text, size_t size, size_t *length) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)text[0];
    size_t n = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    uint32_t point = n == 1 ? lead : n ? lead & (0x7fu >> n) : 0;
    *length = 1;
    if (n == 0 || n > size) return UINT32_MAX;
    for (size_t i = 1; i < n; i++) {
        unsigned char next = (unsigned char)text[i];
        if (next >> 6 != 2) return UINT32_MAX;
        point = point << 6 | (next & 0x3f);
    }
    if (point < least[n] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return UINT32_MAX;
    *length = n;
    return point;
}

size_t sdx_utf8_encode(uint32_t point, char *out) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, point >>= 6) out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(point | (n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0));
    return n;
}

static uint32_t map_point(const case_run *runs, size_t n, uint32_t point) {
    size_t low = 0, high = n; /* the last run that starts at or before the point is runs[low - 1] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (runs[middle].first <= point)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return point;
    const case_run *run = &runs[low - 1];
    if (point > run->last || (point - run->first) % (uint32_t)run->step) return point;
    return (uint32_t)((int64_t)point + run->delta);
}

/* Writes what `point` becomes; at most 12 bytes. */
static size_t put_case(uint32_t point, bool upper, char *out) {
    const case_long *rows = upper ? upper_long : lower_long;
    size_t n = upper ? COUNT(upper_long) : COUNT(lower_long), used = 0;
    for (size_t i = 0; i < n && rows[i].point <= point; i++) {
        if (rows[i].point != point) continue;
        for (int k = 0; k < 3 && rows[i].to[k]; k++) used += sdx_utf8_encode(rows[i].to[k], out + used);
        return used;
    }
    point = upper ? map_point(upper_runs, COUNT(upper_runs), point) : map_point(lower_runs, COUNT(lower_runs), point);
    return sdx_utf8_encode(point, out);
}

/* With out NULL, only counts. */
static size_t change_case(sdx_string text, bool upper, char *out) {
    size_t used = 0, length = 0;
    for (size_t i = 0; i < text.size; i += length) {
        char piece[12];
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
