/* SPDX-License-Identifier: Apache-2.0
 * Products of bytes at every level of this CPU, AVX-512 with and without VNNI, against a plain triple loop: both signs,
 * zero points by line, tails, long k; the same bits from 1 and 3 threads. */
#include "ops/math/dot.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above */
#include <cmocka.h>

typedef struct setup {
    int64_t m, n, k;
    bool signed_a, signed_b, zeros, turn_b;
} setup;

enum { MOST = 300 * 700 };
static uint8_t a[MOST], b[MOST], zero_a[700], zero_b[700];
static int32_t c[2][MOST];

static uint32_t state = 1;
static void draw(uint8_t *to, size_t n) {
    for (size_t k = 0; k < n; k++) to[k] = (uint8_t)((state = state * 1664525u + 1013904223u) >> 24);
}

static int32_t value(bool is_signed, uint8_t byte) { return is_signed ? (int8_t)byte : byte; }

static void run(const sdx_kernels *kernels, const setup *s, int threads, int32_t *to) {
    sdx_memory memory;
    sdx_pool *pool = NULL;
    sdx_error error = {0};
    sdx_memory_init(&memory, 0);
    assert_int_equal(sdx_pool_create(threads, &memory, &error, &pool), SDX_OK);
    sdx_compute compute = {.error = &error, .kernels = kernels, .pool = pool};
    sdx_dot dot = {.m = s->m, .n = s->n, .k = s->k, .c = to};
    dot.a = (sdx_dot_factor){.dtype = s->signed_a ? SDX_I8 : SDX_U8, .data = a, .line_step = s->k, .k_step = 1};
    dot.b = (sdx_dot_factor){.dtype = s->signed_b ? SDX_I8 : SDX_U8, .data = b, .line_step = 1, .k_step = s->n};
    if (s->turn_b) dot.b.line_step = s->k, dot.b.k_step = 1;
    if (s->zeros) dot.a.zero = zero_a, dot.a.zero_step = 1, dot.b.zero = zero_b, dot.b.zero_step = 1;
    void *scratch = sdx_memory_alloc(&memory, sdx_dot_scratch(1, s->m, s->n, s->k, threads), &error);
    assert_int_equal(sdx_dot_run(&compute, &dot, scratch), SDX_OK);
    sdx_memory_free(&memory, scratch);
    sdx_pool_destroy(pool);
}

static void check(const sdx_kernels *kernels, const setup *s) {
    draw(a, (size_t)(s->m * s->k)), draw(b, (size_t)(s->n * s->k)), draw(zero_a, 700), draw(zero_b, 700);
    run(kernels, s, 1, c[0]);
    run(kernels, s, 3, c[1]);
    assert_memory_equal(c[0], c[1], (size_t)(s->m * s->n) * sizeof **c);
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j++) {
            int32_t sum = 0;
            for (int64_t q = 0; q < s->k; q++)
                sum += (value(s->signed_a, a[i * s->k + q]) - (s->zeros ? value(s->signed_a, zero_a[i]) : 0)) *
                       (value(s->signed_b, b[s->turn_b ? j * s->k + q : q * s->n + j]) -
                        (s->zeros ? value(s->signed_b, zero_b[j]) : 0));
            if (c[0][i * s->n + j] != sum)
                fail_msg("%s: %lldx%lldx%lld signed %d%d zeros %d turn %d: (%lld, %lld) is %d, not %d",
                         kernels->origin[SDX_ROW_gemm_tile_dot], (long long)s->m, (long long)s->n, (long long)s->k,
                         s->signed_a, s->signed_b, s->zeros, s->turn_b, (long long)i, (long long)j, c[0][i * s->n + j],
                         sum);
        }
}

static void check_table(const sdx_kernels *kernels) {
    static const int64_t shape[][3] = {{1, 1, 1},   {14, 32, 8},   {15, 33, 7},   {3, 5, 0},      {1, 70, 9},
                                       {29, 1, 31}, {17, 49, 300}, {130, 67, 65}, {20, 40, 4100}, {300, 600, 20}};
    for (size_t q = 0; q < sizeof shape / sizeof *shape; q++)
        for (unsigned f = 0; f < 16; f++)
            check(kernels, &(setup){shape[q][0], shape[q][1], shape[q][2], f & 1, f & 2, f & 4, f & 8});
}

static void every_level(void **unused) {
    (void)unused;
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++)
        if (sdx_kernels_at((sdx_isa)isa, &kernels)) check_table(&kernels);
}

#if defined(__x86_64__)
int sdx_k_dot_group_avx512(void);
void sdx_k_pack_dot_avx512(const sdx_dot_pack *pack);
void sdx_k_gemm_tile_dot_avx512(const sdx_gemm_tile *tile);

static void without_vnni(void **unused) {
    (void)unused;
    sdx_kernels kernels;
    if (!sdx_kernels_at(SDX_ISA_AVX512, &kernels)) skip();
    kernels.dot_group = sdx_k_dot_group_avx512;
    kernels.pack_dot = sdx_k_pack_dot_avx512;
    kernels.gemm_tile_dot = sdx_k_gemm_tile_dot_avx512;
    kernels.origin[SDX_ROW_gemm_tile_dot] = "avx512";
    check_table(&kernels);
}
#else
static void without_vnni(void **unused) { (void)unused; }
#endif

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_level), cmocka_unit_test(without_vnni)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
