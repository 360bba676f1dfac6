/* SPDX-License-Identifier: Apache-2.0
 * Elements of 2, 4 or 6 bits: a stream of bits in files, first element in the lowest bits; one byte each in memory. */
#ifndef SDX_PROTO_PACKING_H
#define SDX_PROTO_PACKING_H
#include "runtime/base/dtype.h"

/* Bytes that `count` elements take in a file. */
size_t sdx_packed_size(sdx_dtype dtype, int64_t count);
void sdx_unpack(sdx_dtype dtype, const uint8_t *packed, int64_t count, uint8_t *out);
void sdx_pack(sdx_dtype dtype, const uint8_t *elements, int64_t count, uint8_t *packed);

#endif
