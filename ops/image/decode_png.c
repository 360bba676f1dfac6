/* SPDX-License-Identifier: Apache-2.0
 * PNG through libpng. Its memory is the step's, so that a jump out of it loses nothing. Colour profiles and gamma are
 * not applied. */
#include "ops/image/decode.h"
#include <png.h>
#include <string.h>

typedef struct png_job {
    sdx_picture *picture;
    size_t at;
    png_structp png;
    png_infop info;
    png_bytep *rows;
} png_job;

static void give_up(png_structp png, png_const_charp why) {
    (void)why;
    png_longjmp(png, 1);
}

static void hear(png_structp png, png_const_charp what) {
    (void)png;
    (void)what;
}

static png_voidp take(png_structp png, png_alloc_size_t size) {
    png_job *job = png_get_mem_ptr(png);
    return job->picture->compute->services->alloc(job->picture->compute, size);
}

static void give_nothing_back(png_structp png, png_voidp block) {
    (void)png;
    (void)block;
}

static void feed(png_structp png, png_bytep to, size_t size) {
    png_job *job = png_get_io_ptr(png);
    if (size > job->picture->size - job->at) png_error(png, "the end");
    memcpy(to, job->picture->bytes + job->at, size);
    job->at += size;
}

static bool read_rows(png_job *job) {
    sdx_picture *picture = job->picture;
    png_structp png = job->png;
    png_set_read_fn(png, job, feed);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* nothing but pixels, palette, transparency */
    png_set_user_limits(png, SDX_PICTURE_MOST_SIDE, SDX_PICTURE_MOST_SIDE);
    png_read_info(png, job->info);
    if (!sdx_picture_begin(picture, png_get_image_width(png, job->info), png_get_image_height(png, job->info)))
        return false;
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, job->info);
    if (png_get_rowbytes(png, job->info) != (size_t)picture->width * 3) return false;
    job->rows = picture->compute->services->alloc(picture->compute, (size_t)picture->height * sizeof *job->rows);
    if (!job->rows) return false;
    for (int64_t y = 0; y < picture->height; y++) job->rows[y] = picture->rgb + y * picture->width * 3;
    png_read_image(png, job->rows);
    return true;
}

bool sdx_picture_read_png(sdx_picture *picture) {
    png_job job = {.picture = picture};
    job.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, NULL, give_up, hear, &job, take, give_nothing_back);
    if (!job.png) return false;
    volatile bool good = false;
    if (setjmp(png_jmpbuf(job.png)) == 0) {
        job.info = png_create_info_struct(job.png);
        good = job.info && read_rows(&job);
    }
    png_destroy_read_struct(&job.png, &job.info, NULL);
    return good;
}
