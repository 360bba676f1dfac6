/* SPDX-License-Identifier: Apache-2.0
 * Messages written byte by byte, for tests of the decoder. */
#ifndef SDX_TESTS_WIRE_BYTES_H
#define SDX_TESTS_WIRE_BYTES_H
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct bytes {
    unsigned char *data;
    size_t size, capacity;
} bytes;

static inline void put(bytes *b, const void *data, size_t size) {
    if (b->size + size > b->capacity) {
        b->capacity = (b->size + size) * 2 + 64;
        b->data = realloc(b->data, b->capacity);
        assert(b->data);
    }
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
}

static inline void put_byte(bytes *b, unsigned value) { put(b, &(unsigned char){(unsigned char)value}, 1); }

static inline void put_varint(bytes *b, uint64_t value) {
    for (; value >= 0x80; value >>= 7) put_byte(b, (unsigned)(value & 0x7f) | 0x80);
    put_byte(b, (unsigned)value);
}

static inline void put_tag(bytes *b, unsigned field, unsigned wire) { put_varint(b, (uint64_t)field << 3 | wire); }

static inline void put_int(bytes *b, unsigned field, int64_t value) {
    put_tag(b, field, 0);
    put_varint(b, (uint64_t)value);
}

static inline void put_blob(bytes *b, unsigned field, const void *data, size_t size) {
    put_tag(b, field, 2);
    put_varint(b, size);
    put(b, data, size);
}

static inline void put_text(bytes *b, unsigned field, const char *text) { put_blob(b, field, text, strlen(text)); }

/* Puts `inner` as a message and frees it. */
static inline void put_message(bytes *b, unsigned field, bytes *inner) {
    put_blob(b, field, inner->data, inner->size);
    free(inner->data);
    *inner = (bytes){0};
}

/* Wraps what is there into `field` of an outer message. */
static inline void wrap(bytes *b, unsigned field) {
    bytes outer = {0};
    put_message(&outer, field, b);
    *b = outer;
}

static inline void drop(bytes *b) {
    free(b->data);
    *b = (bytes){0};
}

#endif
