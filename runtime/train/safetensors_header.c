/* SPDX-License-Identifier: Apache-2.0
 * The header of a safetensors file. The text comes from anywhere, so it is read by hand: what a lenient JSON reader
 * lets pass (twice the same key, 1e3 for a number, something behind the end) is refused, and nothing recurses. */
#include "runtime/train/safetensors.h"
#include <string.h>

typedef struct scan {
    const char *begin, *at, *end;
    sdx_arena *arena;
    sdx_error *error;
} scan;

static sdx_status bad(const scan *s, const char *what) {
    return sdx_fail(s->error, SDX_MALFORMED, "header, byte %zu: %s", (size_t)(s->at - s->begin), what);
}

static void skip_space(scan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r')) s->at++;
}

static bool next_is(scan *s, char c) {
    skip_space(s);
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static sdx_status expect(scan *s, char c) {
    char what[24] = "there must be ' '";
    what[15] = c;
    return next_is(s, c) ? SDX_OK : bad(s, what);
}

/* ---- text ---- */

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hexadecimal digits; -1 when they are not. */
static int32_t code_unit(scan *s) {
    int32_t code = 0;
    if (s->end - s->at < 4) return -1;
    for (int k = 0; k < 4; k++) {
        const int digit = hex(*s->at++);
        if (digit < 0) return -1;
        code = code * 16 + digit;
    }
    return code;
}

static char *put_utf8(char *to, int32_t code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        if (code >= 0x10000) *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(code >= 0x10000 ? 0x80 | (code >> 12 & 0x3f) : 0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static sdx_status read_escape(scan *s, char **to) {
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (s->at == s->end) return bad(s, "the text does not end");
    const char c = *s->at++;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        *(*to)++ = into[known - from];
        return SDX_OK;
    }
    int32_t code = c == 'u' ? code_unit(s) : -1;
    if (code >= 0xd800 && code < 0xdc00 && s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u') {
        s->at += 2;
        const int32_t low = code_unit(s);
        code = low >= 0xdc00 && low < 0xe000 ? 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00) : -1;
    }
    if (code <= 0 || (code >= 0xd800 && code < 0xe000)) return bad(s, "this escape is not allowed");
    *to = put_utf8(*to, code);
    return SDX_OK;
}

/* Length of the UTF-8 character at `at`; 0 where there is none. */
static int utf8_length(const scan *s) {
    const unsigned char *p = (const unsigned char *)s->at;
    const int n = p[0] < 0x80                   ? 1
                  : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                  : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                  : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                : 0;
    if (n == 0 || s->end - s->at < n) return 0;
    for (int k = 1; k < n; k++)
        if ((p[k] & 0xc0) != 0x80) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
    return n;
}

/* Unescaped text in the arena. It is never longer than it was in quotes. */
static sdx_status read_text(scan *s, const char **out) {
    SDX_TRY(expect(s, '"'));
    const char *close = s->at;
    while (close < s->end && *close != '"') close += *close == '\\' && s->end - close > 1 ? 2 : 1;
    if (close >= s->end) return bad(s, "the text does not end");
    char *text = sdx_arena_alloc(s->arena, (size_t)(close - s->at) + 1, s->error), *to = text;
    if (!text) return s->error->status;
    while (s->at < close) {
        if ((unsigned char)*s->at < 0x20) return bad(s, "control characters are not allowed in text");
        if (*s->at == '\\') {
            s->at++;
            SDX_TRY(read_escape(s, &to));
            continue;
        }
        const int n = utf8_length(s);
        if (n == 0) return bad(s, "the text is not UTF-8");
        memcpy(to, s->at, (size_t)n);
        to += n, s->at += n;
    }
    s->at = close + 1;
    *out = text;
    return SDX_OK;
}

/* ---- numbers ---- */

static sdx_status read_count(scan *s, uint64_t *out) {
    skip_space(s);
    const char *first = s->at;
    *out = 0;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, (uint64_t)(*s->at - '0'), out))
            return bad(s, "the number is too large");
    if (s->at == first || (*first == '0' && s->at - first > 1)) return bad(s, "there must be an unsigned integer");
    if (s->at < s->end && strchr(".eE+-", *s->at) && *s->at) return bad(s, "there must be an unsigned integer");
    return SDX_OK;
}

/* At most `most` numbers in brackets. */
static sdx_status read_counts(scan *s, uint64_t *counts, int most, int *n) {
    *n = 0;
    SDX_TRY(expect(s, '['));
    if (next_is(s, ']')) return SDX_OK;
    do {
        if (*n == most) return bad(s, "the list is too long");
        SDX_TRY(read_count(s, &counts[(*n)++]));
    } while (next_is(s, ','));
    return expect(s, ']');
}

/* ---- entries ---- */

typedef struct fields {
    const char *dtype;
    uint64_t shape[SDX_MAX_RANK], range[2];
    int rank, n_range;
    bool has_shape;
} fields;

static sdx_status read_field(scan *s, const char *key, fields *f) {
    if (strcmp(key, "dtype") == 0) return f->dtype ? bad(s, "'dtype' stands twice") : read_text(s, &f->dtype);
    if (strcmp(key, "shape") == 0) {
        if (f->has_shape) return bad(s, "'shape' stands twice");
        f->has_shape = true;
        return read_counts(s, f->shape, SDX_MAX_RANK, &f->rank);
    }
    if (strcmp(key, "data_offsets") == 0)
        return f->n_range ? bad(s, "'data_offsets' stands twice") : read_counts(s, f->range, 2, &f->n_range);
    return bad(s, "the key must be dtype, shape or data_offsets");
}

static sdx_status read_entry(scan *s, sdx_safetensors_entry *entry) {
    fields f = {0};
    int64_t dims[SDX_MAX_RANK];
    SDX_TRY(expect(s, '{'));
    do {
        const char *key = NULL;
        SDX_TRY(read_text(s, &key));
        SDX_TRY(expect(s, ':'));
        SDX_TRY(read_field(s, key, &f));
    } while (next_is(s, ','));
    SDX_TRY(expect(s, '}'));
    if (!f.dtype || !f.has_shape || f.n_range != 2) return bad(s, "dtype, shape and two data_offsets must be given");
    const sdx_dtype dtype = sdx_safetensors_dtype(f.dtype);
    if (dtype == SDX_UNDEFINED) return bad(s, "the dtype is unknown");
    for (int d = 0; d < f.rank; d++) {
        if (f.shape[d] > INT64_MAX) return bad(s, "a dimension is too large");
        dims[d] = (int64_t)f.shape[d];
    }
    if (sdx_tensor_make(&entry->shape, dtype, f.rank, dims, NULL, NULL)) return bad(s, "the tensor is too large");
    entry->begin = f.range[0], entry->end = f.range[1];
    if (entry->end < entry->begin || entry->end - entry->begin != sdx_tensor_bytes(&entry->shape))
        return bad(s, "data_offsets do not fit dtype and shape");
    return SDX_OK;
}

/* Twice the room, in the arena. */
static sdx_status grow(scan *s, void *array, int n, size_t size, int *capacity, void **out) {
    if (n > INT32_MAX / 4) return bad(s, "there are too many entries");
    const int more = *capacity ? *capacity * 2 : 16;
    void *next = sdx_arena_alloc_array(s->arena, (size_t)more, size, s->error);
    if (!next) return s->error->status;
    if (n) memcpy(next, array, (size_t)n * size);
    *capacity = more;
    *out = next;
    return SDX_OK;
}

static sdx_status put_name(scan *s, sdx_names *names, const char *name, int index) {
    if (sdx_names_get(names, name, -1) >= 0) return bad(s, "a name stands twice");
    return sdx_names_put(names, name, index, s->error);
}

static sdx_status read_metadata(scan *s, sdx_safetensors_header *out) {
    int capacity = 0;
    SDX_TRY(expect(s, '{'));
    if (next_is(s, '}')) return SDX_OK;
    do {
        void *grown = NULL;
        sdx_pair pair = {NULL, NULL};
        SDX_TRY(read_text(s, &pair.key));
        SDX_TRY(put_name(s, &out->texts, pair.key, out->n_metadata));
        SDX_TRY(expect(s, ':'));
        SDX_TRY(read_text(s, &pair.value));
        if (out->n_metadata == capacity) {
            SDX_TRY(grow(s, out->metadata, out->n_metadata, sizeof pair, &capacity, &grown));
            out->metadata = grown;
        }
        out->metadata[out->n_metadata++] = pair;
    } while (next_is(s, ','));
    return expect(s, '}');
}

static sdx_status read_members(scan *s, sdx_safetensors_header *out) {
    int capacity = 0;
    bool has_metadata = false;
    do {
        void *grown = NULL;
        const char *name = NULL;
        SDX_TRY(read_text(s, &name));
        SDX_TRY(expect(s, ':'));
        if (strcmp(name, "__metadata__") == 0) {
            if (has_metadata) return bad(s, "a name stands twice");
            has_metadata = true;
            SDX_TRY(read_metadata(s, out));
            continue;
        }
        SDX_TRY(put_name(s, &out->names, name, out->n_entries));
        if (out->n_entries == capacity) {
            SDX_TRY(grow(s, out->entries, out->n_entries, sizeof *out->entries, &capacity, &grown));
            out->entries = grown;
        }
        sdx_safetensors_entry *entry = &out->entries[out->n_entries++];
        entry->name = name;
        SDX_TRY(read_entry(s, entry));
    } while (next_is(s, ','));
    return SDX_OK;
}

sdx_status sdx_safetensors_parse(const char *text, size_t size, sdx_arena *arena, sdx_error *error,
                                 sdx_safetensors_header *out) {
    scan s = {text, text, text + size, arena, error};
    *out = (sdx_safetensors_header){0};
    sdx_names_init(&out->names, arena);
    sdx_names_init(&out->texts, arena);
    if (size == 0 || *text != '{') return bad(&s, "the first byte must be '{'");
    s.at++;
    if (!next_is(&s, '}')) {
        SDX_TRY(read_members(&s, out));
        SDX_TRY(expect(&s, '}'));
    }
    while (s.at < s.end && *s.at == ' ') s.at++;
    return s.at == s.end ? SDX_OK : bad(&s, "only spaces may follow the end");
}
