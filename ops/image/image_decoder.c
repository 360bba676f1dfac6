/* SPDX-License-Identifier: Apache-2.0
 * ImageDecoder: the bytes of a picture file become [height, width, channels] of u8. The format is told from the first
 * bytes. Alpha is dropped, 16 bits become 8. As the specification has it, what cannot be decoded is an empty picture.
 */
#include "ops/image/decode.h"
#include <inttypes.h>
#include <string.h>

enum { FORMAT_RGB, FORMAT_BGR, FORMAT_GRAYSCALE, GRAIN = 1 << 16 };

typedef struct image_decoder_params {
    int format;
} image_decoder_params;

static sdx_status image_decoder_bind(sdx_bind *bind, void *params) {
    static const char *const formats[] = {"RGB", "BGR", "Grayscale"};
    ((image_decoder_params *)params)->format = sdx_bind_choice(bind, "pixel_format", formats, 3);
    return bind->status;
}

static sdx_status image_decoder_infer(sdx_infer *infer, const void *params) {
    const image_decoder_params *p = params;
    SDX_TRY(sdx_infer_rank(infer, 0, "encoded_stream", 1));
    infer->out[0] = sdx_type_make(SDX_U8, 3);
    infer->out[0].dim[0] = infer->out[0].dim[1] = -1;
    infer->out[0].dim[2] = p->format == FORMAT_GRAYSCALE ? 1 : 3;
    return SDX_OK;
}

bool sdx_picture_begin(sdx_picture *picture, int64_t width, int64_t height) {
    if (width <= 0 || height <= 0) return false;
    if (width > SDX_PICTURE_MOST_SIDE || height > SDX_PICTURE_MOST_SIDE || width * height > SDX_PICTURE_MOST_PIXELS) {
        sdx_fail(picture->compute->error, SDX_LIMIT,
                 "the picture is %" PRId64 " x %" PRId64 "; a side of %" PRId64 " and %" PRId64 " pixels are allowed",
                 width, height, SDX_PICTURE_MOST_SIDE, SDX_PICTURE_MOST_PIXELS);
        return false;
    }
    picture->width = width;
    picture->height = height;
    picture->rgb = picture->compute->services->alloc(picture->compute, (size_t)(width * height) * 3);
    return picture->rgb != NULL;
}

static sdx_picture_reader *reader_of(const sdx_picture *picture) {
    static const struct {
        size_t at, size;
        const char *bytes;
        sdx_picture_reader *read;
    } signs[] = {
        {0, 3, "\xff\xd8\xff", sdx_picture_read_jpeg},
        {0, 8, "\x89PNG\r\n\x1a\n", sdx_picture_read_png},
        {0, 2, "BM", sdx_picture_read_bmp},
        {8, 4, "WEBP", sdx_picture_read_webp},
        {0, 4, "II*\0", sdx_picture_read_tiff},
        {0, 4, "MM\0*", sdx_picture_read_tiff},
        {0, 4, "II+\0", sdx_picture_read_tiff},
        {0, 4, "MM\0+", sdx_picture_read_tiff},
        {0, 8, "\0\0\0\x0cjP  ", sdx_picture_read_jpeg2000},
        {0, 4, "\xff\x4f\xff\x51", sdx_picture_read_jpeg2000},
        {0, 1, "P", sdx_picture_read_pnm},
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (picture->size >= signs[i].at + signs[i].size &&
            memcmp(picture->bytes + signs[i].at, signs[i].bytes, signs[i].size) == 0)
            return signs[i].read;
    return NULL;
}

typedef struct image_decoder_job {
    const uint8_t *rgb;
    uint8_t *out;
    int format;
} image_decoder_job;

/* The luminance of ITU-R BT.601 in 16 bits of fraction. */
static void finish(void *argument, int64_t begin, int64_t end, int worker) {
    const image_decoder_job *job = argument;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const uint8_t *p = job->rgb + 3 * i;
        if (job->format == FORMAT_GRAYSCALE) {
            job->out[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
            continue;
        }
        bool swap = job->format == FORMAT_BGR;
        job->out[3 * i] = p[swap ? 2 : 0];
        job->out[3 * i + 1] = p[1];
        job->out[3 * i + 2] = p[swap ? 0 : 2];
    }
}

static sdx_status image_decoder_compute(sdx_compute *compute, const void *params) {
    const image_decoder_params *p = params;
    const sdx_tensor *in = compute->in[0];
    sdx_picture picture = {.compute = compute, .bytes = in->data, .size = (size_t)in->count};
    sdx_picture_reader *read = reader_of(&picture);
    bool good = read && read(&picture);
    if (compute->error->status) return compute->error->status;
    const int64_t dims[3] = {good ? picture.height : 0, good ? picture.width : 0,
                             p->format == FORMAT_GRAYSCALE ? 1 : 3};
    sdx_tensor *out = sdx_compute_output(compute, 0, 3, dims);
    if (!out) return compute->error->status;
    image_decoder_job job = {picture.rgb, out->data, p->format};
    return sdx_for(compute, dims[0] * dims[1], GRAIN, finish, &job);
}

const sdx_op sdx_op_ImageDecoder = {
    .domain = "",
    .name = "ImageDecoder",
    .versions =
        (const sdx_op_version[]){
            {20, "encoded_stream:T1 -> image:T2", "T1=u8 T2=u8", "pixel_format:string=RGB"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(image_decoder_params),
    .bind = image_decoder_bind,
    .infer = image_decoder_infer,
    .compute = image_decoder_compute,
    .grad = sdx_no_gradient,
};
