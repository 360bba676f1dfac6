/* SPDX-License-Identifier: Apache-2.0
 * bench_kernels: matrix products, the convolutions of ResNet-50 and the depthwise ones of MobileNetV2 in GFLOP/s on one
 * thread, each product beside OpenBLAS in the same run (its kernels fixed, see ops/kernels/blas.c). Processor time, so
 * that neighbours on the machine disturb less; the best of many runs. usage: bench_kernels [SECONDS_PER_ROW] */
#include "ops/kernels/blas.h"
#include "ops/nn/convolve.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds = 0.3;

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best_of(void (*run)(void *), void *argument) {
    double best = 1e9, stop = now(CLOCK_PROCESS_CPUTIME_ID) + seconds;
    for (int k = 0; k < 3 || now(CLOCK_PROCESS_CPUTIME_ID) < stop; k++) {
        double begin = now(CLOCK_PROCESS_CPUTIME_ID);
        run(argument);
        double took = now(CLOCK_PROCESS_CPUTIME_ID) - begin;
        if (took < best) best = took;
    }
    return best;
}

static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p) exit(1);
    for (size_t k = 0; k < bytes / sizeof(float); k++) ((float *)p)[k] = (float)(k % 17) * 0.1f - 0.8f;
    return p;
}

typedef struct gemm_case {
    const char *name;
    int64_t m, n, k;
    bool turn_b, pack_a, pack_b;
} gemm_case;

typedef struct gemm_run {
    const gemm_case *shape;
    sdx_compute compute;
    sdx_product product;
    void *scratch;
    float *a, *b, *c;
} gemm_run;

static void run_ours(void *argument) {
    gemm_run *run = argument;
    if (sdx_product_run(&run->compute, &run->product, run->scratch) != SDX_OK) exit(1);
}

static void run_blas(void *argument) {
    const gemm_run *run = argument;
    const gemm_case *s = run->shape;
    sdx_blas_get()->sgemm(SDX_BLAS_ROW_MAJOR, SDX_BLAS_KEEP, s->turn_b ? SDX_BLAS_TURN : SDX_BLAS_KEEP, (int)s->m,
                          (int)s->n, (int)s->k, 1, run->a, (int)s->k, run->b, (int)(s->turn_b ? s->k : s->n), 0, run->c,
                          (int)s->n);
}

static void bench_gemm(const gemm_case *s) {
    const sdx_kernels *kernels = sdx_kernels_get();
    gemm_run run = {.shape = s, .compute = {.kernels = kernels}};
    run.a = room((size_t)(s->m * s->k) * sizeof(float));
    run.b = room((size_t)(s->k * s->n) * sizeof(float));
    run.c = room((size_t)(s->m * s->n) * sizeof(float));
    run.scratch = room(sdx_product_scratch(SDX_F32, 1, s->m, s->n, s->k, s->pack_a, s->pack_b, 1));
    run.product = (sdx_product){.dtype = SDX_F32, .m = s->m, .n = s->n, .k = s->k, .c = run.c, .alpha = 1, .beta = 1};
    run.product.a = (sdx_factor){.data = run.a, .line_step = s->k, .k_step = 1};
    run.product.b = (sdx_factor){.data = run.b, .line_step = s->turn_b ? s->k : 1, .k_step = s->turn_b ? 1 : s->n};
    void *packed = NULL;
    if (s->pack_a || s->pack_b) {
        sdx_factor *f = s->pack_a ? &run.product.a : &run.product.b;
        const int64_t lines = s->pack_a ? s->m : s->n;
        packed = room(sdx_product_packed_bytes(kernels, SDX_F32, s->pack_b, 1, lines, s->k));
        sdx_product_pack(kernels, SDX_F32, s->pack_b, 1, lines, s->k, f->data, f->line_step, f->k_step, packed);
        *f = (sdx_factor){.packed = packed};
    }
    const double work = 2e-9 * (double)s->m * (double)s->n * (double)s->k;
    const double ours = work / best_of(run_ours, &run);
    const double blas = sdx_blas_get() ? work / best_of(run_blas, &run) : 0;
    printf("%-28s %6.1f", s->name, ours);
    if (blas > 0) printf("  OpenBLAS %6.1f  ratio %.2f", blas, ours / blas);
    printf("\n");
    free(run.a), free(run.b), free(run.c), free(run.scratch), free(packed);
}

typedef struct conv_case {
    const char *name;
    int64_t channels, maps, size, kernel, stride, group;
} conv_case;

typedef struct conv_run {
    sdx_compute compute;
    sdx_convolution conv;
    void *scratch;
} conv_run;

static void run_conv(void *argument) {
    conv_run *run = argument;
    if (sdx_convolution_run(&run->compute, &run->conv, run->scratch) != SDX_OK) exit(1);
}

static void bench_conv(const conv_case *s) {
    const sdx_kernels *kernels = sdx_kernels_get();
    const int64_t dims[] = {s->size, s->size}, kernel[] = {s->kernel, s->kernel}, strides[] = {s->stride, s->stride};
    const int64_t pads[] = {s->kernel / 2, s->kernel / 2, s->kernel / 2, s->kernel / 2};
    const sdx_window_attrs attrs = {.strides = {strides, 2}, .pads = {pads, 4}};
    conv_run run = {.compute = {.kernels = kernels}};
    sdx_convolution *c = &run.conv;
    *c = (sdx_convolution){.dtype = SDX_F32, .batch = 1, .channels = s->channels, .maps = s->maps, .group = s->group};
    if (sdx_window_make(NULL, &attrs, 2, dims, kernel, false, &c->window) != SDX_OK) exit(1);
    const int64_t taps = s->channels / s->group * s->kernel * s->kernel;
    const int64_t outputs = sdx_window_product(c->window.out, 2);
    void *x = room((size_t)(s->channels * s->size * s->size) * sizeof(float));
    void *w = room((size_t)(s->maps * taps) * sizeof(float));
    void *packed = room(sdx_product_packed_bytes(kernels, SDX_F32, false, s->group, s->maps / s->group, taps));
    void *y = room((size_t)(s->maps * outputs) * sizeof(float));
    c->x = x, c->weight = w, c->y = y, c->bias = w;
    if (!sdx_convolution_is_depthwise(c)) {
        sdx_product_pack(kernels, SDX_F32, false, s->group, s->maps / s->group, taps, w, taps, 1, packed);
        c->packed = packed;
    }
    run.scratch = room(sdx_convolution_scratch(c, 1));
    const double work = 2e-9 * (double)(s->maps * outputs) * (double)taps, took = best_of(run_conv, &run);
    printf("%-28s %6.1f  %8.3f ms\n", s->name, work / took, took * 1e3);
    free(x), free(w), free(packed), free(y), free(run.scratch);
}

int main(int count, char **words) {
    static const gemm_case gemms[] = {{"1024 x 1024 x 1024", 1024, 1024, 1024, 0, 0, 0},
                                      {"same, B packed", 1024, 1024, 1024, 0, 0, 1},
                                      {"64 x 3136 x 576", 64, 3136, 576, 0, 0, 0},
                                      {"same, A packed", 64, 3136, 576, 0, 1, 0},
                                      {"1 x 4096 x 4096", 1, 4096, 4096, 0, 0, 0},
                                      {"same, B transposed", 1, 4096, 4096, 1, 0, 0},
                                      {"same, B packed", 1, 4096, 4096, 0, 0, 1},
                                      {"128 x 768 x 768, B packed", 128, 768, 768, 0, 0, 1},
                                      {"128 x 3072 x 768, B packed", 128, 3072, 768, 0, 0, 1},
                                      {"128 x 768 x 3072, B packed", 128, 768, 3072, 0, 0, 1},
                                      {"128 x 128 x 64, B transposed", 128, 128, 64, 1, 0, 0},
                                      {"4 x 4096 x 4096, B packed", 4, 4096, 4096, 0, 0, 1}};
    static const conv_case convs[] = {
        {"7x7/2 3 -> 64, 224", 3, 64, 224, 7, 2, 1},     {"1x1 64 -> 64, 56", 64, 64, 56, 1, 1, 1},
        {"3x3 64 -> 64, 56", 64, 64, 56, 3, 1, 1},       {"1x1 64 -> 256, 56", 64, 256, 56, 1, 1, 1},
        {"1x1 256 -> 64, 56", 256, 64, 56, 1, 1, 1},     {"3x3/2 128 -> 128, 56", 128, 128, 56, 3, 2, 1},
        {"3x3 128 -> 128, 28", 128, 128, 28, 3, 1, 1},   {"1x1 512 -> 128, 28", 512, 128, 28, 1, 1, 1},
        {"1x1/2 256 -> 512, 56", 256, 512, 56, 1, 2, 1}, {"3x3 256 -> 256, 14", 256, 256, 14, 3, 1, 1},
        {"1x1 1024 -> 256, 14", 1024, 256, 14, 1, 1, 1}, {"3x3 512 -> 512, 7", 512, 512, 7, 3, 1, 1},
        {"1x1 512 -> 2048, 7", 512, 2048, 7, 1, 1, 1},   {"depthwise 32, 112", 32, 32, 112, 3, 1, 32},
        {"depthwise/2 96, 112", 96, 96, 112, 3, 2, 96},  {"depthwise 144, 56", 144, 144, 56, 3, 1, 144},
        {"depthwise 192, 28", 192, 192, 28, 3, 1, 192},  {"depthwise 384, 14", 384, 384, 14, 3, 1, 384},
        {"depthwise 960, 7", 960, 960, 7, 3, 1, 960}};
    if (count > 1) seconds = strtod(words[1], NULL);
    printf("level %s; GFLOP/s of one thread\n", sdx_isa_name(sdx_kernels_get()->cpu.isa));
    for (size_t k = 0; k < sizeof gemms / sizeof *gemms; k++) bench_gemm(&gemms[k]);
    for (size_t k = 0; k < sizeof convs / sizeof *convs; k++) bench_conv(&convs[k]);
    return 0;
}
