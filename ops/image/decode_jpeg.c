/* SPDX-License-Identifier: Apache-2.0
 * JPEG through libjpeg-turbo: slow integer DCT and smooth chroma upsampling, its defaults. CMYK follows Adobe, whose
 * files hold 255 - ink. A file that ends early is no picture, nor is one with more scans than anybody makes. */
#include "ops/image/decode.h"
#include <setjmp.h>
#include <stdio.h>
/* These want stdio.h before them. */
#include <jerror.h>
#include <jpeglib.h>

enum { MOST_SCANS = 500 };

typedef struct jpeg_job {
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct jpeg;
    jmp_buf back;
    sdx_picture *picture;
} jpeg_job;

static void give_up(j_common_ptr jpeg) { longjmp(((jpeg_job *)jpeg->client_data)->back, 1); }

static void print_nothing(j_common_ptr jpeg) { (void)jpeg; }

static void hear(j_common_ptr jpeg, int level) {
    int what = jpeg->err->msg_code;
    if (level < 0 && (what == JWRN_JPEG_EOF || what == JWRN_HIT_MARKER)) give_up(jpeg);
}

/* Called now and then during work. */
static void watch(j_common_ptr jpeg) {
    jpeg_job *job = jpeg->client_data;
    sdx_compute *compute = job->picture->compute;
    if (job->jpeg.input_scan_number > MOST_SCANS || sdx_stop_check(compute->stop, compute->error) != SDX_OK)
        give_up(jpeg);
}

/* 255 - ink of four inks, in place. */
static void to_rgb(uint8_t *row, const uint8_t *inks, int64_t width) {
    for (int64_t x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) row[3 * x + c] = sdx_picture_mul(inks[4 * x + c], inks[4 * x + 3]);
}

static bool read_rows(jpeg_job *job) {
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    sdx_picture *picture = job->picture;
    jpeg_mem_src(jpeg, picture->bytes, picture->size);
    if (jpeg_read_header(jpeg, TRUE) != JPEG_HEADER_OK) return false;
    if (!sdx_picture_begin(picture, jpeg->image_width, jpeg->image_height)) return false;
    bool inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = inks ? JCS_CMYK : JCS_RGB;
    jpeg->mem->max_memory_to_use = (long)(picture->width * picture->height * 16 + (1 << 22));
    uint8_t *four = inks ? picture->compute->services->alloc(picture->compute, (size_t)picture->width * 4) : NULL;
    if (inks && !four) return false;
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = picture->rgb + (int64_t)jpeg->output_scanline * picture->width * 3, *into = inks ? four : row;
        jpeg_read_scanlines(jpeg, &into, 1);
        if (inks) to_rgb(row, four, picture->width);
    }
    return jpeg_finish_decompress(jpeg) != FALSE;
}

bool sdx_picture_read_jpeg(sdx_picture *picture) {
    jpeg_job job = {.picture = picture};
    job.jpeg.err = jpeg_std_error(&job.errors);
    job.errors.error_exit = give_up;
    job.errors.output_message = print_nothing;
    job.errors.emit_message = hear;
    job.progress.progress_monitor = watch;
    job.jpeg.client_data = &job;
    volatile bool good = false;
    if (setjmp(job.back) == 0) {
        jpeg_create_decompress(&job.jpeg);
        job.jpeg.progress = &job.progress;
        good = read_rows(&job);
    }
    jpeg_destroy_decompress(&job.jpeg);
    return good;
}
