/* SPDX-License-Identifier: Apache-2.0
 * TIFF through libtiff, the first picture of the file: every layout it can turn into RGBA. */
#include "ops/image/decode.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

typedef struct tiff_file {
    const uint8_t *bytes;
    uint64_t size, at;
} tiff_file;

static tmsize_t file_read(thandle_t handle, void *to, tmsize_t size) {
    tiff_file *file = handle;
    uint64_t left = file->at < file->size ? file->size - file->at : 0;
    uint64_t n = size < 0 ? 0 : (uint64_t)size < left ? (uint64_t)size : left;
    if (n) memcpy(to, file->bytes + file->at, n);
    file->at += n;
    return (tmsize_t)n;
}

static tmsize_t file_write(thandle_t handle, void *from, tmsize_t size) {
    (void)handle;
    (void)from;
    (void)size;
    return -1;
}

static toff_t file_seek(thandle_t handle, toff_t offset, int whence) {
    tiff_file *file = handle;
    file->at = offset + (whence == SEEK_CUR ? file->at : whence == SEEK_END ? file->size : 0);
    return file->at;
}

static int file_close(thandle_t handle) {
    (void)handle;
    return 0;
}

static toff_t file_size(thandle_t handle) { return ((tiff_file *)handle)->size; }

static int hear(TIFF *tiff, void *data, const char *module, const char *format, va_list arguments) {
    (void)tiff;
    (void)data;
    (void)module;
    (void)format;
    (void)arguments;
    return 1; /* heard: nothing is printed */
}

/* Alpha is to be dropped: libtiff would multiply it in unless told that it has been. */
static void leave_colours(TIFF *tiff) {
    uint16_t n = 0, kinds[8];
    const uint16_t *found = NULL;
    if (!TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &n, &found) || n == 0 || n > 8) return;
    for (uint16_t i = 0; i < n; i++) kinds[i] = found[i] == EXTRASAMPLE_UNASSALPHA ? EXTRASAMPLE_ASSOCALPHA : found[i];
    TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, n, kinds);
}

static bool read_raster(sdx_picture *picture, TIFF *tiff) {
    uint32_t width = 0, height = 0;
    char why[1024];
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height))
        return false;
    leave_colours(tiff);
    if (!TIFFRGBAImageOK(tiff, why) || !sdx_picture_begin(picture, width, height)) return false;
    int64_t pixels = picture->width * picture->height;
    uint32_t *raster = picture->compute->services->alloc(picture->compute, (size_t)pixels * sizeof *raster);
    if (!raster || !TIFFReadRGBAImageOriented(tiff, width, height, raster, ORIENTATION_TOPLEFT, 1)) return false;
    for (int64_t i = 0; i < pixels; i++) {
        picture->rgb[3 * i] = (uint8_t)TIFFGetR(raster[i]);
        picture->rgb[3 * i + 1] = (uint8_t)TIFFGetG(raster[i]);
        picture->rgb[3 * i + 2] = (uint8_t)TIFFGetB(raster[i]);
    }
    return true;
}

bool sdx_picture_read_tiff(sdx_picture *picture) {
    tiff_file file = {picture->bytes, picture->size, 0};
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) return false;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)(4 * SDX_PICTURE_MOST_PIXELS));
    TIFFOpenOptionsSetErrorHandlerExtR(options, hear, NULL);
    TIFFOpenOptionsSetWarningHandlerExtR(options, hear, NULL);
    TIFF *tiff = TIFFClientOpenExt("encoded_stream", "rm", &file, file_read, file_write, file_seek, file_close,
                                   file_size, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    if (!tiff) return false;
    bool good = read_raster(picture, tiff);
    TIFFClose(tiff);
    return good;
}
