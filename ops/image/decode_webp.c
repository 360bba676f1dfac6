/* SPDX-License-Identifier: Apache-2.0
 * WebP through libwebp, lossy and lossless; of an animation the first frame. */
#include "ops/image/decode.h"
#include <webp/decode.h>
#include <webp/demux.h>

static bool read_first_frame(sdx_picture *picture) {
    WebPAnimDecoderOptions options;
    const WebPData data = {picture->bytes, picture->size};
    uint8_t *frame = NULL;
    int end = 0;
    if (!WebPAnimDecoderOptionsInit(&options)) return false;
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
    bool good = decoder && WebPAnimDecoderGetNext(decoder, &frame, &end);
    for (int64_t i = 0; good && i < picture->width * picture->height; i++)
        for (int c = 0; c < 3; c++) picture->rgb[3 * i + c] = frame[4 * i + c];
    WebPAnimDecoderDelete(decoder);
    return good;
}

bool sdx_picture_read_webp(sdx_picture *picture) {
    WebPBitstreamFeatures found;
    if (WebPGetFeatures(picture->bytes, picture->size, &found) != VP8_STATUS_OK) return false;
    if (!sdx_picture_begin(picture, found.width, found.height)) return false;
    if (found.has_animation) return read_first_frame(picture);
    size_t row = (size_t)picture->width * 3;
    return WebPDecodeRGBInto(picture->bytes, picture->size, picture->rgb, row * (size_t)picture->height, (int)row);
}
