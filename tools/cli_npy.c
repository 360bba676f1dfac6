/* SPDX-License-Identifier: Apache-2.0
 * The .npy format: magic, version, length, a Python dict in ASCII ('descr', 'fortran_order', 'shape'), elements.
 * numpy has no name for bf16, f8, f6, f4 and the 4- and 2-bit integers: ml_dtypes writes them as raw '<V2', '<V1'. */
#include "tools/cli.h"
#include <inttypes.h>
#include <string.h>

typedef struct header {
    char kind;   /* b i u f c U S V */
    size_t item; /* bytes */
    bool swapped, fortran;
    int rank;
    int64_t dims[SDX_MAX_RANK];
} header;

/* A cursor over the dict's text; `bad` is sticky. */
typedef struct cursor {
    const char *at, *end;
    bool bad;
} cursor;

static void skip_spaces(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t')) c->at++;
}

static bool accept(cursor *c, char wanted) {
    skip_spaces(c);
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

static void expect(cursor *c, char wanted) {
    if (!accept(c, wanted)) c->bad = true;
}

/* A quoted word without escapes. */
static sdx_string quoted(cursor *c) {
    skip_spaces(c);
    char quote = c->at < c->end ? *c->at : 0;
    if (quote != '\'' && quote != '"') {
        c->bad = true;
        return (sdx_string){"", 0};
    }
    const char *begin = ++c->at;
    while (c->at < c->end && *c->at != quote && *c->at != '\\') c->at++;
    sdx_string word = {begin, (size_t)(c->at - begin)};
    expect(c, quote);
    return word;
}

static bool is(sdx_string word, const char *text) {
    return word.size == strlen(text) && memcmp(word.data, text, word.size) == 0;
}

static int64_t number(cursor *c) {
    skip_spaces(c);
    int64_t value = 0;
    const char *begin = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (!sdx_dim_mul(value, 10, &value) || __builtin_add_overflow(value, *c->at - '0', &value)) c->bad = true;
    if (c->at == begin) c->bad = true;
    return value;
}

static void read_shape(cursor *c, header *h) {
    expect(c, '(');
    while (!c->bad && !accept(c, ')')) {
        if (h->rank == SDX_MAX_RANK) {
            c->bad = true;
            return;
        }
        h->dims[h->rank++] = number(c);
        accept(c, 'L'); /* Python 2 wrote it */
        if (!accept(c, ',')) {
            expect(c, ')');
            if (h->rank == 1) c->bad = true; /* (3) is a number, (3,) a tuple */
            return;
        }
    }
}

static void read_order(cursor *c, header *h) {
    skip_spaces(c);
    size_t left = (size_t)(c->end - c->at);
    if (left >= 4 && memcmp(c->at, "True", 4) == 0) {
        h->fortran = true;
        c->at += 4;
    } else if (left >= 5 && memcmp(c->at, "False", 5) == 0) {
        c->at += 5;
    } else {
        c->bad = true;
    }
}

static sdx_status read_descr(sdx_string descr, header *h, sdx_error *error) {
    char text[64];
    cursor c = {descr.data, descr.data + descr.size, false};
    char order = descr.size && strchr("<>|=", descr.data[0]) ? *c.at++ : '|';
    h->kind = c.at < c.end ? *c.at++ : 0;
    int64_t size = number(&c);
    h->swapped = order == '>';
    h->item = h->kind == 'U' ? 4 * (size_t)size : (size_t)size;
    bool known = h->kind == 'b'                     ? size == 1
                 : h->kind == 'i' || h->kind == 'u' ? size == 1 || size == 2 || size == 4 || size == 8
                 : h->kind == 'f'                   ? size == 2 || size == 4 || size == 8
                 : h->kind == 'c'                   ? size == 8 || size == 16
                 : h->kind == 'V'                   ? size == 1 || size == 2
                                                    : h->kind == 'U' || h->kind == 'S';
    if (c.bad || c.at != c.end || !known || size > INT32_MAX)
        return sdx_fail(error, SDX_TYPE, "array of type '%s'; numbers, bool, '<U' and '|S' are allowed",
                        sdx_escape(text, sizeof text, descr.data, descr.size));
    return SDX_OK;
}

static sdx_status read_dict(cursor *c, header *h, sdx_error *error) {
    enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
    int seen = 0;
    sdx_string descr = {"", 0};
    expect(c, '{');
    while (!c->bad && !accept(c, '}')) {
        sdx_string key = quoted(c);
        int which = is(key, "descr") ? DESCR : is(key, "fortran_order") ? ORDER : is(key, "shape") ? SHAPE : 0;
        if (!which || (seen & which)) c->bad = true;
        seen |= which;
        expect(c, ':');
        if (which == DESCR) {
            skip_spaces(c);
            if (c->at < c->end && *c->at == '[')
                return sdx_fail(error, SDX_TYPE, "array of records; plain arrays are allowed");
            descr = quoted(c);
        }
        if (which == ORDER) read_order(c, h);
        if (which == SHAPE) read_shape(c, h);
        if (!accept(c, ',')) {
            expect(c, '}');
            break;
        }
    }
    skip_spaces(c);
    if (c->bad || c->at != c->end || seen != (DESCR | ORDER | SHAPE))
        return sdx_fail(error, SDX_MALFORMED, "the header of the .npy data is damaged");
    return read_descr(descr, h, error);
}

/* Fills the header; *at is where the elements begin. */
static sdx_status read_header(const unsigned char *bytes, size_t size, header *h, size_t *at, sdx_error *error) {
    static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    if (size < 10 || memcmp(bytes, magic, sizeof magic) != 0)
        return sdx_fail(error, SDX_MALFORMED, "not .npy data: it does not begin with \\x93NUMPY");
    unsigned version = bytes[6];
    if (version < 1 || version > 3)
        return sdx_fail(error, SDX_UNSUPPORTED, ".npy version %u; 1 to 3 are supported", version);
    size_t begin = version == 1 ? 10 : 12, length = bytes[8] | (size_t)bytes[9] << 8;
    if (begin == 12 && size >= 12) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (size < begin || length > size - begin)
        return sdx_fail(error, SDX_MALFORMED, "the .npy data ends inside its header");
    *at = begin + length;
    cursor c = {(const char *)bytes + begin, (const char *)bytes + *at, false};
    return read_dict(&c, h, error);
}

/* The element type in memory. Raw and unsigned elements may be what numpy has no name for. */
static sdx_dtype dtype_of(const header *h, sdx_dtype wanted) {
    int class = sdx_dtype_class(wanted);
    bool nameless =
        wanted == SDX_BF16 || sdx_dtype_bits(wanted) < 8 || (class == SDX_CLASS_FLOAT && sdx_dtype_bits(wanted) == 8);
    if (class != SDX_CLASS_NONE && class != SDX_CLASS_STRING && nameless && h->item == sdx_dtype_size(wanted) &&
        (h->kind == 'V' || h->kind == 'u' || (h->kind == 'i' && class == SDX_CLASS_SIGNED)))
        return wanted;
    static const struct {
        char kind;
        size_t item;
        sdx_dtype dtype;
    } rows[] = {{'b', 1, SDX_BOOL}, {'i', 1, SDX_I8},  {'i', 2, SDX_I16}, {'i', 4, SDX_I32},  {'i', 8, SDX_I64},
                {'u', 1, SDX_U8},   {'u', 2, SDX_U16}, {'u', 4, SDX_U32}, {'u', 8, SDX_U64},  {'f', 2, SDX_F16},
                {'f', 4, SDX_F32},  {'f', 8, SDX_F64}, {'c', 8, SDX_C64}, {'c', 16, SDX_C128}};
    if (h->kind == 'U' || h->kind == 'S') return SDX_STRING;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].kind == h->kind && rows[i].item == h->item) return rows[i].dtype;
    return SDX_UNDEFINED;
}

static void swap(unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size / 2; i++) {
        unsigned char byte = bytes[i];
        bytes[i] = bytes[size - 1 - i];
        bytes[size - 1 - i] = byte;
    }
}

/* Puts an element into the form that values have in memory: bools 0 or 1, narrow types without foreign bits. */
static void normalise(unsigned char *element, sdx_dtype dtype) {
    int bits = sdx_dtype_bits(dtype);
    if (dtype == SDX_BOOL) {
        *element = *element != 0;
    } else if (bits < 8) {
        unsigned value = *element & ((1U << bits) - 1);
        bool negative = sdx_dtype_class(dtype) == SDX_CLASS_SIGNED && value >> (bits - 1);
        *element = (unsigned char)(negative ? value | (0xffU << bits) : value);
    }
}

/* Where element i of the row-major order lies in the file, counted in elements. */
static int64_t position(const header *h, int64_t i) {
    if (!h->fortran) return i;
    int64_t at = 0;
    for (int d = h->rank - 1; d >= 0; d--) {
        int64_t stride = 1;
        for (int k = 0; k < d; k++) stride *= h->dims[k];
        at += i % h->dims[d] * stride;
        i /= h->dims[d];
    }
    return at;
}

static void copy_elements(const header *h, const unsigned char *from, sdx_tensor *tensor) {
    size_t item = h->item, part = h->kind == 'c' ? item / 2 : item;
    unsigned char *to = tensor->data;
    bool plain = !h->fortran && !h->swapped;
    if (plain && tensor->count) memcpy(to, from, (size_t)tensor->count * item);
    for (int64_t i = 0; i < tensor->count && !plain; i++) {
        memcpy(to + (size_t)i * item, from + (size_t)position(h, i) * item, item);
        for (size_t k = 0; h->swapped && k < item; k += part) swap(to + (size_t)i * item + k, part);
    }
    if (tensor->dtype == SDX_BOOL || sdx_dtype_bits(tensor->dtype) < 8)
        for (int64_t i = 0; i < tensor->count; i++) normalise(to + i, tensor->dtype);
}

static size_t put_utf8(uint32_t code, char *out) {
    if (code < 0x80) return out[0] = (char)code, 1;
    if (code < 0x800) return out[0] = (char)(0xc0 | code >> 6), out[1] = (char)(0x80 | (code & 63)), 2;
    if (code < 0x10000)
        return out[0] = (char)(0xe0 | code >> 12), out[1] = (char)(0x80 | (code >> 6 & 63)),
               out[2] = (char)(0x80 | (code & 63)), 3;
    return out[0] = (char)(0xf0 | code >> 18), out[1] = (char)(0x80 | (code >> 12 & 63)),
           out[2] = (char)(0x80 | (code >> 6 & 63)), out[3] = (char)(0x80 | (code & 63)), 4;
}

static uint32_t get_u32(const unsigned char *from, bool swapped) {
    unsigned char b[4];
    memcpy(b, from, 4);
    if (swapped) swap(b, 4);
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* One element as UTF-8 into `out` (h->item bytes are enough); NULs at its end are padding. False: not Unicode. */
static bool get_string(const header *h, const unsigned char *from, char *out, size_t *size) {
    size_t unit = h->kind == 'U' ? 4 : 1, n = h->item / unit;
    *size = 0;
    while (n && (unit == 4 ? get_u32(from + 4 * (n - 1), false) == 0 : from[n - 1] == 0)) n--;
    for (size_t i = 0; i < n; i++) {
        uint32_t code = unit == 4 ? get_u32(from + 4 * i, h->swapped) : 0;
        if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
        if (unit == 4)
            *size += put_utf8(code, out + *size);
        else
            out[(*size)++] = (char)from[i];
    }
    return true;
}

static sdx_status read_strings(const header *h, const unsigned char *from, const sdx_tensor *shape, sdx_error *error,
                               sdx_value **out) {
    sdx_arena arena;
    sdx_arena_init(&arena, cli_memory());
    sdx_tensor tensor = *shape;
    sdx_status status = SDX_OK;
    sdx_string *strings = tensor.data = SDX_NEW_ARRAY(&arena, sdx_string, shape->count, error);
    char *bytes = strings ? sdx_arena_alloc_array(&arena, (size_t)shape->count, h->item, error) : NULL;
    if (!bytes) status = error->status;
    for (int64_t i = 0; !status && i < shape->count; i++) {
        size_t at = (size_t)position(h, i) * h->item;
        strings[i].data = bytes + at;
        if (!get_string(h, from + at, bytes + at, &strings[i].size))
            status = sdx_fail(error, SDX_MALFORMED, "string %" PRId64 " holds a number that is no character", i);
    }
    if (!status) *out = sdx_value_copy_tensor(NULL, &tensor, error);
    sdx_arena_release(&arena);
    return status ? status : *out ? SDX_OK : error->status;
}

sdx_status cli_npy_parse(const unsigned char *bytes, size_t size, sdx_dtype wanted, sdx_error *error, sdx_value **out) {
    *out = NULL;
    header h = {0};
    size_t at = 0, all = 0;
    SDX_TRY(read_header(bytes, size, &h, &at, error));
    sdx_dtype dtype = dtype_of(&h, wanted);
    if (dtype == SDX_UNDEFINED)
        return sdx_fail(error, SDX_TYPE, "array of raw %zu-byte elements where %s is wanted", h.item,
                        wanted ? sdx_dtype_name(wanted) : "a type that numpy has a name for");
    sdx_tensor shape;
    SDX_TRY(sdx_tensor_make(&shape, dtype, h.rank, h.dims, NULL, error));
    if (!sdx_size_mul((size_t)shape.count, h.item, &all) || all != size - at)
        return sdx_fail(error, SDX_MALFORMED,
                        "the shape in the header wants %" PRId64 " elements of %zu bytes; %zu bytes follow",
                        shape.count, h.item, size - at);
    if (dtype == SDX_STRING) return read_strings(&h, bytes + at, &shape, error, out);
    *out = sdx_value_new_tensor(NULL, dtype, h.rank, h.dims, error);
    if (!*out) return error->status;
    copy_elements(&h, bytes + at, &(*out)->tensor);
    return SDX_OK;
}
