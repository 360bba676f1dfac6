/* SPDX-License-Identifier: Apache-2.0
 * One reader for each format of picture files. */
#ifndef SDX_OPS_IMAGE_DECODE_H
#define SDX_OPS_IMAGE_DECODE_H
#include "ops/op.h"

/* No side is longer and no picture larger; what a reader allocates is a small multiple of the pixels. */
#define SDX_PICTURE_MOST_PIXELS (INT64_C(1) << 27)
#define SDX_PICTURE_MOST_SIDE   (INT64_C(1) << 20)

typedef struct sdx_picture {
    sdx_compute *compute;
    const uint8_t *bytes; /* the file */
    size_t size;
    int64_t width, height;
    uint8_t *rgb; /* [height][width][3], rows from top to bottom */
} sdx_picture;

/* Sets the size and gives rgb, zeroed. False when a side is 0 (no picture), or with compute->error set. */
bool sdx_picture_begin(sdx_picture *picture, int64_t width, int64_t height);

/* Each returns true with rgb complete; false when the bytes are no picture it can read, or with compute->error set. */
typedef bool sdx_picture_reader(sdx_picture *picture);
sdx_picture_reader sdx_picture_read_bmp, sdx_picture_read_jpeg, sdx_picture_read_jpeg2000, sdx_picture_read_png,
    sdx_picture_read_pnm, sdx_picture_read_tiff, sdx_picture_read_webp;

/* (a b + 127) / 255, rounded. */
static inline uint8_t sdx_picture_mul(unsigned a, unsigned b) {
    unsigned product = a * b + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}
static inline unsigned sdx_le16(const uint8_t *b) { return (unsigned)b[0] | (unsigned)b[1] << 8; }
static inline uint32_t sdx_le32(const uint8_t *b) { return sdx_le16(b) | (uint32_t)sdx_le16(b + 2) << 16; }
static inline uint8_t sdx_picture_clip(int v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

#endif
