/* SPDX-License-Identifier: Apache-2.0
 * Driven by protobuf-c's own descriptors, so that every message type is held to its fields. The cost of a message
 * follows protobuf-c's decoder: its struct, its strings, its arrays and, while it is read, a 32-byte record for each
 * of its fields. Source of the wire format: Protocol Buffers encoding, proto2. */
#include "proto/wire.h"
#include <limits.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, GROUP_START = 3, GROUP_END = 4, FIXED32 = 5 };
enum { SHORT = 5, LONG = 10 }; /* bytes of a varint */
enum { RECORD = 32, RECORDS_FREE = 16, UNKNOWN = 32 };

typedef struct frame {
    const ProtobufCMessageDescriptor *type;
    size_t end;        /* of the message's bytes */
    size_t fields;     /* read so far */
    size_t inner;      /* most that records of the messages inside take at one time */
    uint64_t seen;     /* fields, by index in the descriptor */
    unsigned union_id; /* field that set the oneof; 0: none */
} frame;

typedef struct scan {
    const unsigned char *bytes;
    size_t at, need;
    int depth;
    sdx_error *error;
    frame frames[SDX_WIRE_DEPTH + 1];
} scan;

/* One field as it stands in the bytes. `place` is its tag's offset. */
typedef struct item {
    const ProtobufCFieldDescriptor *field; /* NULL: unknown */
    unsigned id, wire;
    size_t place, size; /* of the payload, which begins at scan.at */
} item;

static size_t block_cost(size_t size) {
    size_t rounded = (size + 15) / 16 * 16;
    if (rounded >= SDX_POOL_LARGE) return rounded + SDX_POOL_HEADER;
    return rounded + (rounded < 48 ? rounded / 3 + 1 : 16);
}

/* The first 16 records are on protobuf-c's stack; then come slabs of 32, 64, ... */
static size_t records_cost(size_t fields) {
    size_t capacity = RECORDS_FREE, cost = 0;
    for (size_t slab = RECORDS_FREE * 2; capacity < fields; slab *= 2) {
        capacity += slab;
        cost += block_cost(slab * RECORD);
    }
    return cost;
}

static const char *wire_name(unsigned wire) {
    static const char *const names[] = {"varint", "64-bit", "length-delimited", "group start", "group end", "32-bit"};
    return wire <= FIXED32 ? names[wire] : "undefined";
}

static unsigned wire_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return FIXED32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return LENGTH;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM: return VARINT;
    }
    return LENGTH;
}

static size_t element_size(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM: return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    }
    return sizeof(ProtobufCBinaryData);
}

/* Bytes of the varint at `at`; 0 when it is cut off by `end` or longer than `most`. */
static size_t varint_read(const unsigned char *bytes, size_t at, size_t end, size_t most, uint64_t *value) {
    *value = 0;
    for (size_t n = 0; n < most && at + n < end; n++) {
        unsigned char byte = bytes[at + n];
        if (n == 9 && byte > 1) return 0;
        *value |= (uint64_t)(byte & 0x7f) << (7 * n);
        if (byte < 0x80) return n + 1;
    }
    return 0;
}

static frame *top(scan *s) { return &s->frames[s->depth]; }

static sdx_status read_varint(scan *s, const char *what, size_t most, uint64_t *value) {
    size_t n = varint_read(s->bytes, s->at, top(s)->end, most, value);
    if (n == 0)
        return sdx_fail(s->error, SDX_MALFORMED, "%s at byte %zu of %s is cut off or longer than %zu bytes", what,
                        s->at, top(s)->type->short_name, most);
    s->at += n;
    return SDX_OK;
}

/* Bytes of the UTF-8 character at `s`, 0 when it is none (RFC 3629: shortest form, no surrogates). */
static size_t utf8_size(const unsigned char *s, size_t left) {
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return n;
}

/* Strings become C strings: a NUL would hide what follows it. Documentation is read by nobody here, and old writers
 * put other encodings in it. */
static sdx_status check_string(const scan *s, const item *it) {
    const unsigned char *text = s->bytes + s->at;
    const char *owner = s->frames[s->depth].type->short_name;
    if (memchr(text, 0, it->size))
        return sdx_fail(s->error, SDX_MALFORMED, "field '%s' of %s at byte %zu contains a NUL", it->field->name, owner,
                        it->place);
    if (strcmp(it->field->name, "doc_string") == 0) return SDX_OK;
    for (size_t i = 0, n; i < it->size; i += n) {
        n = utf8_size(text + i, it->size - i);
        if (n == 0)
            return sdx_fail(s->error, SDX_MALFORMED, "field '%s' of %s is not UTF-8 at byte %zu", it->field->name,
                            owner, s->at + i);
    }
    return SDX_OK;
}

static sdx_status read_length(scan *s, const char *name, item *it) {
    uint64_t length = 0;
    SDX_TRY(read_varint(s, "the length", SHORT, &length));
    size_t left = top(s)->end - s->at;
    if (length > left)
        return sdx_fail(s->error, SDX_MALFORMED,
                        "field '%s' of %s at byte %zu is %llu bytes long; %zu are left in its message", name,
                        top(s)->type->short_name, it->place, (unsigned long long)length, left);
    it->size = (size_t)length;
    return SDX_OK;
}

/* Elements of a packed field; their payload must be whole. */
static sdx_status count_packed(scan *s, const item *it, size_t *count) {
    unsigned wire = wire_of(it->field->type);
    size_t end = s->at + it->size, width = wire == FIXED32 ? 4 : 8;
    uint64_t value;
    *count = wire == VARINT ? 0 : it->size / width;
    if (wire != VARINT && it->size % width)
        return sdx_fail(s->error, SDX_MALFORMED, "field '%s' of %s at byte %zu has %zu bytes; elements take %zu",
                        it->field->name, top(s)->type->short_name, it->place, it->size, width);
    for (size_t at = s->at, n; wire == VARINT && at < end; at += n, ++*count) {
        n = varint_read(s->bytes, at, end, LONG, &value);
        if (n == 0)
            return sdx_fail(s->error, SDX_MALFORMED,
                            "the element of '%s' at byte %zu is cut off or longer than 10 bytes", it->field->name, at);
    }
    return SDX_OK;
}

static sdx_status read_tag(scan *s, item *it) {
    uint64_t tag = 0;
    it->place = s->at;
    SDX_TRY(read_varint(s, "the field tag", SHORT, &tag));
    it->wire = (unsigned)(tag & 7);
    uint64_t id = tag >> 3;
    if (id == 0 || id > 0x1fffffff)
        return sdx_fail(s->error, SDX_MALFORMED, "field number %llu at byte %zu of %s; it must be 1 to 536870911",
                        (unsigned long long)id, it->place, top(s)->type->short_name);
    it->id = (unsigned)id;
    if (it->wire == GROUP_START || it->wire == GROUP_END || it->wire > FIXED32)
        return sdx_fail(s->error, SDX_MALFORMED,
                        "field %u of %s at byte %zu has wire type %u (%s), which ONNX never has", it->id,
                        top(s)->type->short_name, it->place, it->wire, wire_name(it->wire));
    it->field = protobuf_c_message_descriptor_get_field(top(s)->type, it->id);
    return SDX_OK;
}

/* Finds the payload's size: of a length-delimited field behind its length. */
static sdx_status read_extent(scan *s, item *it) {
    const char *name = it->field ? it->field->name : "unknown";
    uint64_t value;
    if (it->wire == LENGTH) return read_length(s, name, it);
    it->size = it->wire == FIXED32 ? 4 : 8;
    if (it->wire == VARINT) {
        size_t begin = s->at;
        SDX_TRY(read_varint(s, "the number", LONG, &value));
        it->size = s->at - begin;
        s->at = begin;
    } else if (it->size > top(s)->end - s->at) {
        return sdx_fail(s->error, SDX_MALFORMED, "field '%s' of %s at byte %zu is cut off", name,
                        top(s)->type->short_name, it->place);
    }
    return SDX_OK;
}

/* Repeating a singular message makes decoders merge, which costs the square of the repetitions. */
static sdx_status check_once(scan *s, const item *it, bool first) {
    frame *f = top(s);
    if (it->field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        if (f->union_id && (f->union_id != it->id || it->field->type == PROTOBUF_C_TYPE_MESSAGE))
            return sdx_fail(s->error, SDX_MALFORMED,
                            "field '%s' of %s at byte %zu: one of its alternatives is set already", it->field->name,
                            f->type->short_name, it->place);
        f->union_id = it->id;
    }
    if (!first && it->field->type == PROTOBUF_C_TYPE_MESSAGE && it->field->label != PROTOBUF_C_LABEL_REPEATED)
        return sdx_fail(s->error, SDX_MALFORMED, "field '%s' of %s is given again at byte %zu; it may occur once",
                        it->field->name, f->type->short_name, it->place);
    return SDX_OK;
}

static sdx_status enter(scan *s, const item *it) {
    if (s->depth == SDX_WIRE_DEPTH)
        return sdx_fail(s->error, SDX_MALFORMED, "field '%s' at byte %zu nests deeper than %d messages",
                        it->field->name, it->place, SDX_WIRE_DEPTH);
    const ProtobufCMessageDescriptor *type = it->field->descriptor;
    s->need += block_cost(type->sizeof_message);
    s->frames[++s->depth] = (frame){.type = type, .end = s->at + it->size};
    return SDX_OK;
}

static void leave(scan *s) {
    const frame *f = top(s);
    size_t open = records_cost(f->fields) + f->inner;
    if (s->depth-- == 0)
        s->need += open;
    else if (top(s)->inner < open)
        top(s)->inner = open;
}

static sdx_status known_field(scan *s, item *it) {
    const ProtobufCFieldDescriptor *field = it->field;
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    unsigned wire = wire_of(field->type);
    bool packed = repeated && wire != LENGTH && it->wire == LENGTH;
    uint64_t bit = 1ULL << (field - top(s)->type->fields);
    bool first = !(top(s)->seen & bit);
    if (it->wire != wire && !packed)
        return sdx_fail(s->error, SDX_MALFORMED, "field '%s' of %s at byte %zu is %s; it must be %s", field->name,
                        top(s)->type->short_name, it->place, wire_name(it->wire), wire_name(wire));
    SDX_TRY(check_once(s, it, first));
    top(s)->seen |= bit;
    size_t count = 1;
    if (packed) SDX_TRY(count_packed(s, it, &count));
    if (repeated) s->need += count * element_size(field->type) + (first ? SDX_POOL_HEADER / 8 : 0);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) return enter(s, it);
    if (field->type == PROTOBUF_C_TYPE_STRING) SDX_TRY(check_string(s, it));
    if (wire == LENGTH) s->need += block_cost(it->size + (field->type == PROTOBUF_C_TYPE_STRING));
    s->at += it->size;
    return SDX_OK;
}

static sdx_status one_field(scan *s) {
    item it = {0};
    SDX_TRY(read_tag(s, &it));
    SDX_TRY(read_extent(s, &it));
    top(s)->fields++;
    if (it.field) return known_field(s, &it);
    s->need += UNKNOWN + block_cost(it.size + 10);
    s->at += it.size;
    return SDX_OK;
}

sdx_status sdx_wire_check(const ProtobufCMessageDescriptor *type, const unsigned char *bytes, size_t size, size_t *need,
                          sdx_error *error) {
    scan s = {.bytes = bytes, .error = error, .need = block_cost(type->sizeof_message)};
    *need = 0;
    if (size > INT_MAX)
        return sdx_fail(error, SDX_MALFORMED, "%s has %zu bytes; protobuf allows %d", type->short_name, size, INT_MAX);
    s.frames[0] = (frame){.type = type, .end = size};
    while (s.depth >= 0) {
        if (s.at < top(&s)->end)
            SDX_TRY(one_field(&s));
        else
            leave(&s);
    }
    *need = s.need;
    size_t allowed = size * SDX_WIRE_FACTOR + SDX_WIRE_FREE;
    if (s.need > allowed)
        return sdx_fail(error, SDX_LIMIT, "%s has %zu bytes that unfold to %zu; at most %zu are allowed",
                        type->short_name, size, s.need, allowed);
    return SDX_OK;
}
