/* SPDX-License-Identifier: Apache-2.0
 * Reads a handwritten digit: digit MODEL PICTURE.pgm. The model is mnist-8 of tests/models; the picture is a binary
 * greyscale PGM of 28 by 28 pixels. Prints the picture, the answer with its probability, and the time it took. */
#include <math.h>
#include <sardonyx.h>
#include <stdio.h>
#include <time.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, DIGITS = 10 };

static bool read_picture(const char *path, float pixels[PIXELS]) {
    unsigned char bytes[PIXELS];
    int width = 0, height = 0, most = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    bool good = fscanf(file, "P5 %d %d %d", &width, &height, &most) == 3 && width == SIDE && height == SIDE &&
                most == 255 && fgetc(file) != EOF && fread(bytes, 1, PIXELS, file) == PIXELS;
    fclose(file);
    for (int i = 0; good && i < PIXELS; i++) pixels[i] = bytes[i];
    return good;
}

static void print_picture(const float pixels[PIXELS]) {
    for (int row = 4; row < SIDE - 2; row++) {
        fputs("    ", stdout);
        for (int column = 0; column < SIDE; column++) putchar(" .:-=+*#%@"[(int)pixels[row * SIDE + column] * 9 / 255]);
        putchar('\n');
    }
}

static double milliseconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static void print_answer(const float scores[DIGITS], double load_ms, double run_ms) {
    int best = 0;
    double sum = 0;
    for (int d = 1; d < DIGITS; d++)
        if (scores[d] > scores[best]) best = d;
    for (int d = 0; d < DIGITS; d++) sum += exp((double)scores[d] - (double)scores[best]);
    printf("This is a %d (probability %.1f %%). Loading took %.1f ms, reading it %.2f ms.\n", best, 100 / sum, load_ms,
           run_ms);
}

int main(int argc, char **argv) {
    float pixels[PIXELS];
    if (argc != 3) return fprintf(stderr, "usage: digit MODEL PICTURE.pgm\n"), 2;
    if (!read_picture(argv[2], pixels))
        return fprintf(stderr, "digit: %s is not a greyscale PGM picture of 28 by 28 pixels\n", argv[2]), 3;
    sdx_error error = {0};
    sdx_model *model = NULL;
    sdx_session *session = NULL;
    sdx_binding in = {NULL, NULL}, out = {NULL, NULL};
    double start = milliseconds(), loaded = start;
    sdx_status status = sdx_model_open(argv[1], NULL, &error, &model);
    if (!status) {
        in.name = sdx_model_input(model, 0)->name;
        out.name = sdx_model_output(model, 0)->name;
        status = sdx_session_create(model, NULL, &error, &session);
    }
    if (!status) status = sdx_value_borrow(SDX_F32, 4, (int64_t[]){1, 1, SIDE, SIDE}, pixels, &error, &in.value);
    if (!status) {
        loaded = milliseconds();
        status = sdx_session_run(session, &in, 1, &out, 1, &error);
    }
    if (!status) {
        double done = milliseconds();
        print_picture(pixels);
        print_answer(sdx_value_data(out.value), loaded - start, done - loaded);
    } else {
        fprintf(stderr, "digit: %s\n", error.message);
    }
    sdx_value_release(in.value);
    sdx_value_release(out.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
    return status ? 3 : 0;
}
