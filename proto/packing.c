/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/packing.h"
#include <string.h>

size_t sdx_packed_size(sdx_dtype dtype, int64_t count) {
    size_t bits = (size_t)sdx_dtype_bits(dtype), n = (size_t)count;
    if (bits >= 8) return n * (bits / 8);
    return n / 8 * bits + (n % 8 * bits + 7) / 8;
}

void sdx_unpack(sdx_dtype dtype, const uint8_t *packed, int64_t count, uint8_t *out) {
    unsigned bits = (unsigned)sdx_dtype_bits(dtype), mask = (1u << bits) - 1;
    unsigned sign = sdx_dtype_class(dtype) == SDX_CLASS_SIGNED ? 1u << (bits - 1) : 0;
    size_t at = 0; /* in bits */
    for (int64_t i = 0; i < count; i++, at += bits) {
        unsigned word = packed[at / 8], shift = (unsigned)(at % 8);
        if (shift + bits > 8) word |= (unsigned)packed[at / 8 + 1] << 8;
        unsigned value = (word >> shift) & mask;
        out[i] = (uint8_t)(value & sign ? value | ~mask : value);
    }
}

void sdx_pack(sdx_dtype dtype, const uint8_t *elements, int64_t count, uint8_t *packed) {
    unsigned bits = (unsigned)sdx_dtype_bits(dtype), mask = (1u << bits) - 1;
    size_t at = 0;
    memset(packed, 0, sdx_packed_size(dtype, count));
    for (int64_t i = 0; i < count; i++, at += bits) {
        unsigned word = (elements[i] & mask) << (at % 8);
        packed[at / 8] |= (uint8_t)word;
        if (word >> 8) packed[at / 8 + 1] |= (uint8_t)(word >> 8);
    }
}
