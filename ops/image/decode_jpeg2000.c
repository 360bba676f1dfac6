/* SPDX-License-Identifier: Apache-2.0
 * JPEG 2000 through OpenJPEG: code streams and JP2 files of one to four components; subsampled ones are repeated. */
#include "ops/image/decode.h"
#include <openjpeg.h>
#include <string.h>

typedef struct jpeg2000_file {
    const uint8_t *bytes;
    size_t size, at;
} jpeg2000_file;

static OPJ_SIZE_T file_read(void *to, OPJ_SIZE_T size, void *data) {
    jpeg2000_file *file = data;
    size_t left = file->size - file->at, n = size < left ? size : left;
    if (n == 0) return (OPJ_SIZE_T)-1;
    memcpy(to, file->bytes + file->at, n);
    file->at += n;
    return n;
}

static OPJ_OFF_T file_skip(OPJ_OFF_T by, void *data) {
    jpeg2000_file *file = data;
    if (by < 0 || (size_t)by > file->size - file->at) return -1;
    file->at += (size_t)by;
    return by;
}

static OPJ_BOOL file_seek(OPJ_OFF_T to, void *data) {
    jpeg2000_file *file = data;
    if (to < 0 || (size_t)to > file->size) return OPJ_FALSE;
    file->at = (size_t)to;
    return OPJ_TRUE;
}

static opj_stream_t *open_stream(jpeg2000_file *file) {
    opj_stream_t *stream = opj_stream_create(OPJ_J2K_STREAM_CHUNK_SIZE, OPJ_TRUE);
    if (!stream) return NULL;
    opj_stream_set_user_data(stream, file, NULL);
    opj_stream_set_user_data_length(stream, file->size);
    opj_stream_set_read_function(stream, file_read);
    opj_stream_set_skip_function(stream, file_skip);
    opj_stream_set_seek_function(stream, file_seek);
    return stream;
}

/* One sample as 0 .. 255. */
static int sample(const opj_image_t *image, unsigned c, int64_t x, int64_t y) {
    const opj_image_comp_t *comp = &image->comps[c];
    int64_t cx = x / comp->dx, cy = y / comp->dy;
    if (cx >= comp->w) cx = comp->w - 1;
    if (cy >= comp->h) cy = comp->h - 1;
    int64_t most = (INT64_C(1) << comp->prec) - 1;
    int64_t v = (int64_t)comp->data[cy * comp->w + cx] + (comp->sgnd ? INT64_C(1) << (comp->prec - 1) : 0);
    v = v < 0 ? 0 : v > most ? most : v;
    return (int)(comp->prec > 8 ? v >> (comp->prec - 8) : (v * 255 + most / 2) / most);
}

static void put_pixel(const opj_image_t *image, int64_t x, int64_t y, uint8_t *rgb) {
    int v[4];
    for (unsigned c = 0; c < image->numcomps; c++) v[c] = sample(image, c, x, y);
    if (image->numcomps < 3) {
        rgb[0] = rgb[1] = rgb[2] = (uint8_t)v[0];
    } else if (image->color_space == OPJ_CLRSPC_SYCC) {
        double cb = v[1] - 128, cr = v[2] - 128;
        rgb[0] = sdx_picture_clip((int)(v[0] + 1.402 * cr + 0.5));
        rgb[1] = sdx_picture_clip((int)(v[0] - 0.344136 * cb - 0.714136 * cr + 0.5));
        rgb[2] = sdx_picture_clip((int)(v[0] + 1.772 * cb + 0.5));
    } else if (image->color_space == OPJ_CLRSPC_CMYK && image->numcomps == 4) {
        for (int c = 0; c < 3; c++) rgb[c] = sdx_picture_mul(255u - (unsigned)v[c], 255u - (unsigned)v[3]);
    } else {
        for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)v[c];
    }
}

static bool good_image(const opj_image_t *image) {
    if (image->numcomps < 1 || image->numcomps > 4 || image->x1 <= image->x0 || image->y1 <= image->y0) return false;
    for (unsigned c = 0; c < image->numcomps; c++) {
        const opj_image_comp_t *comp = &image->comps[c];
        if (comp->prec < 1 || comp->prec > 31 || comp->dx == 0 || comp->dy == 0) return false;
    }
    return true;
}

static bool decode(sdx_picture *picture, opj_codec_t *codec, opj_stream_t *stream, opj_image_t **image) {
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    if (!opj_setup_decoder(codec, &parameters) || !opj_read_header(stream, codec, image) || !good_image(*image))
        return false;
    if (!sdx_picture_begin(picture, (int64_t)(*image)->x1 - (*image)->x0, (int64_t)(*image)->y1 - (*image)->y0))
        return false;
    if (!opj_decode(codec, stream, *image) || !opj_end_decompress(codec, stream) || !good_image(*image)) return false;
    for (unsigned c = 0; c < (*image)->numcomps; c++)
        if (!(*image)->comps[c].data || !(*image)->comps[c].w || !(*image)->comps[c].h) return false;
    for (int64_t y = 0; y < picture->height; y++)
        for (int64_t x = 0; x < picture->width; x++)
            put_pixel(*image, x, y, picture->rgb + (y * picture->width + x) * 3);
    return true;
}

bool sdx_picture_read_jpeg2000(sdx_picture *picture) {
    jpeg2000_file file = {picture->bytes, picture->size, 0};
    opj_stream_t *stream = open_stream(&file);
    opj_codec_t *codec = opj_create_decompress(picture->bytes[0] == 0xff ? OPJ_CODEC_J2K : OPJ_CODEC_JP2);
    opj_image_t *image = NULL;
    bool good = stream && codec && decode(picture, codec, stream, &image);
    opj_image_destroy(image);
    if (codec) opj_destroy_codec(codec);
    if (stream) opj_stream_destroy(stream);
    return good;
}
