/* SPDX-License-Identifier: Apache-2.0
 * Tensors as .npy data, as numpy and ml_dtypes write them: version 1, header padded to 64 bytes. Strings become '<U',
 * or '|S' when one of them is not UTF-8. */
#include "tools/cli.h"
#include <inttypes.h>
#include <string.h>

/* Characters of UTF-8 text, written as 4 bytes each to `out` when it is not NULL. SIZE_MAX: not UTF-8. */
static size_t decode_utf8(sdx_string s, unsigned char *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.size; n++) {
        const unsigned char *p = (const unsigned char *)s.data + i;
        size_t length = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
        if ((length == 4 && (p[0] & 0xf8) != 0xf0) || length > s.size - i) return SIZE_MAX;
        uint32_t code = length == 1 ? p[0] : p[0] & (0x7fU >> length);
        for (size_t k = 1; k < length; k++) {
            if ((p[k] & 0xc0) != 0x80) return SIZE_MAX;
            code = code << 6 | (p[k] & 0x3f);
        }
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return SIZE_MAX;
        for (int k = 0; out && k < 4; k++) out[4 * n + (size_t)k] = (unsigned char)(code >> 8 * k);
        i += length;
    }
    return n;
}

/* Bytes of one element in the file, and its descr. */
static size_t describe(const sdx_tensor *t, char *descr, size_t capacity) {
    size_t size = sdx_dtype_size(t->dtype), longest = 1;
    int class = sdx_dtype_class(t->dtype);
    if (class == SDX_CLASS_STRING) {
        const sdx_string *strings = t->data;
        bool text = true;
        for (int64_t i = 0; i < t->count && text; i++) {
            size_t n = decode_utf8(strings[i], NULL);
            text = n != SIZE_MAX;
            if (text && n > longest) longest = n;
        }
        for (int64_t i = 0; i < t->count && !text; i++)
            if (strings[i].size > longest) longest = strings[i].size;
        snprintf(descr, capacity, "%s%zu", text ? "<U" : "|S", longest);
        return text ? 4 * longest : longest;
    }
    bool named = class != SDX_CLASS_FLOAT ? sdx_dtype_bits(t->dtype) >= 8
                                          : t->dtype == SDX_F16 || t->dtype == SDX_F32 || t->dtype == SDX_F64;
    char kind = !named                        ? 'V'
                : class == SDX_CLASS_FLOAT    ? 'f'
                : class == SDX_CLASS_SIGNED   ? 'i'
                : class == SDX_CLASS_UNSIGNED ? 'u'
                : class == SDX_CLASS_BOOL     ? 'b'
                                              : 'c';
    snprintf(descr, capacity, "%c%c%zu", size == 1 && named ? '|' : '<', kind, size);
    return size;
}

static size_t put_header(const sdx_tensor *t, const char *descr, char *out, size_t capacity) {
    char dims[SDX_MAX_RANK * 24] = "";
    size_t used = 0;
    for (int d = 0; d < t->rank; d++)
        used += (size_t)snprintf(dims + used, sizeof dims - used, "%s%" PRId64 "%s", d ? " " : "", t->dim[d],
                                 d + 1 < t->rank || d == 0 ? "," : "");
    int n = snprintf(out, capacity, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, dims);
    size_t length = (size_t)n, whole = (10 + length + 1 + 63) / 64 * 64 - 10;
    memset(out + length, ' ', whole - length - 1);
    out[whole - 1] = '\n';
    return whole;
}

static void put_strings(const sdx_tensor *t, size_t item, bool text, unsigned char *out) {
    const sdx_string *strings = t->data;
    memset(out, 0, (size_t)t->count * item);
    for (int64_t i = 0; i < t->count; i++, out += item) {
        if (text)
            decode_utf8(strings[i], out);
        else if (strings[i].size)
            memcpy(out, strings[i].data, strings[i].size);
    }
}

sdx_status cli_npy_format(const sdx_tensor *t, sdx_error *error, unsigned char **bytes, size_t *size) {
    char descr[32], text[1024];
    size_t item = describe(t, descr, sizeof descr), length = put_header(t, descr, text, sizeof text), data = 0;
    *bytes = NULL;
    if (!sdx_size_mul((size_t)t->count, item, &data) || !sdx_size_add(data, 10 + length, size))
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "an array of %" PRId64 " strings of %zu bytes", t->count, item);
    unsigned char *out = sdx_memory_alloc(cli_memory(), *size, error);
    if (!out) return error->status;
    memcpy(out, "\x93NUMPY\x01", 7);
    out[7] = 0;
    out[8] = (unsigned char)(length & 255);
    out[9] = (unsigned char)(length >> 8);
    memcpy(out + 10, text, length);
    if (t->dtype == SDX_STRING)
        put_strings(t, item, descr[1] == 'U', out + 10 + length);
    else if (data)
        memcpy(out + 10 + length, t->data, data);
    *bytes = out;
    return SDX_OK;
}
