/* SPDX-License-Identifier: Apache-2.0
 * WebP through libwebp: still pictures, lossy and lossless. */
#include "ops/image/decode.h"
#include <webp/decode.h>

bool sdx_picture_read_webp(sdx_picture *picture) {
    WebPBitstreamFeatures found;
    if (WebPGetFeatures(picture->bytes, picture->size, &found) != VP8_STATUS_OK || found.has_animation) return false;
    if (!sdx_picture_begin(picture, found.width, found.height)) return false;
    size_t row = (size_t)picture->width * 3;
    return WebPDecodeRGBInto(picture->bytes, picture->size, picture->rgb, row * (size_t)picture->height, (int)row);
}
