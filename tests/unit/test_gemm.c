/* SPDX-License-Identifier: Apache-2.0
 * sdx_product at every level of this CPU against a plain triple loop: odd sizes, tails, both orders of both factors,
 * packed factors, batches, biases, residual, clamp, alpha and beta; the same bits from 1 and 3 threads. */
#include "ops/kernels/blas.h"
#include "ops/math/product.h"
#include "runtime/base/half.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct setup {
    sdx_dtype dtype;
    int64_t batch, m, n, k;
    bool turn_a, turn_b, pack_a, pack_b, row_bias, column_bias, residual, clamp, affine, same_b;
} setup;

static uint64_t state = 1;
static double next_value(sdx_dtype dtype) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double unit = (double)(state >> 11) * 0x1p-53;
    return sdx_dtype_class(dtype) == SDX_CLASS_FLOAT ? (float)(unit * 2 - 1) : (double)(int)(unit * 2000);
}
static void put(sdx_dtype dtype, void *data, int64_t k, double v) {
    switch ((int)dtype) {
    case SDX_F32: ((float *)data)[k] = (float)v; return;
    case SDX_F64: ((double *)data)[k] = v; return;
    case SDX_F16: ((uint16_t *)data)[k] = sdx_f16_from_f32((float)v); return;
    case SDX_BF16: ((uint16_t *)data)[k] = sdx_bf16_from_f32((float)v); return;
    case SDX_I32: ((int32_t *)data)[k] = (int32_t)v; return;
    case SDX_U32: ((uint32_t *)data)[k] = (uint32_t)v; return;
    default: ((int64_t *)data)[k] = (int64_t)v; return;
    }
}
static double get(sdx_dtype dtype, const void *data, int64_t k) {
    switch ((int)dtype) {
    case SDX_F32: return (double)((const float *)data)[k];
    case SDX_F64: return ((const double *)data)[k];
    case SDX_F16: return (double)sdx_f32_from_f16(((const uint16_t *)data)[k]);
    case SDX_BF16: return (double)sdx_f32_from_bf16(((const uint16_t *)data)[k]);
    case SDX_I32: return ((const int32_t *)data)[k];
    case SDX_U32: return ((const uint32_t *)data)[k];
    default: return (double)((const int64_t *)data)[k];
    }
}
static void *values(sdx_dtype dtype, int64_t n) {
    char *data = calloc((size_t)n + 1, 8);
    assert_non_null(data);
    for (int64_t k = 0; k < n; k++) put(dtype, data, k, next_value(dtype));
    return data;
}

typedef struct arrays {
    void *a, *b, *row, *column, *residual, *d, *packed_a, *packed_b;
} arrays;

static double expected(const setup *s, const arrays *x, int64_t batch, int64_t i, int64_t j) {
    double sum = 0;
    int64_t b0 = s->same_b ? 0 : batch * s->k * s->n, a0 = batch * s->m * s->k;
    for (int64_t q = 0; q < s->k; q++)
        sum += get(s->dtype, x->a, a0 + (s->turn_a ? q * s->m + i : i * s->k + q)) *
               get(s->dtype, x->b, b0 + (s->turn_b ? j * s->k + q : q * s->n + j));
    if (s->row_bias) sum += get(s->dtype, x->row, i);
    if (s->column_bias) sum += get(s->dtype, x->column, j);
    if (s->residual) sum += get(s->dtype, x->residual, (batch * s->m + i) * s->n + j);
    if (s->affine) sum = 2 * sum + 3 * get(s->dtype, x->d, j);
    if (s->clamp) sum = sum < -0.5 ? -0.5 : sum > 0.75 ? 0.75 : sum;
    return sum;
}

static double tolerance(sdx_dtype dtype, double want) {
    if (dtype == SDX_F32) return 1e-4 + 1e-5 * fabs(want);
    if (dtype == SDX_F64) return 1e-12 + 1e-13 * fabs(want);
    if (dtype == SDX_F16) return 1e-4 + 0x1p-10 * fabs(want);
    if (dtype == SDX_BF16) return 1e-4 + 0x1p-7 * fabs(want);
    return 0;
}

static sdx_product describe(const setup *s, const arrays *x, void *c) {
    sdx_product p = {.dtype = s->dtype,
                     .m = s->m,
                     .n = s->n,
                     .k = s->k,
                     .c = c,
                     .alpha = 1,
                     .beta = 1,
                     .batch_rank = 1,
                     .batch_dim = {s->batch}};
    p.a = (sdx_factor){
        .data = x->a, .line_step = s->turn_a ? 1 : s->k, .k_step = s->turn_a ? s->m : 1, .batch_step = {s->m * s->k}};
    p.b = (sdx_factor){.data = x->b,
                       .line_step = s->turn_b ? s->k : 1,
                       .k_step = s->turn_b ? 1 : s->n,
                       .batch_step = {s->same_b ? 0 : s->k * s->n}};
    if (s->pack_a) p.a.data = NULL, p.a.packed = x->packed_a, p.a.batch_step[0] = 1;
    if (s->pack_b) p.b.data = NULL, p.b.packed = x->packed_b, p.b.batch_step[0] = !s->same_b;
    p.row_bias = s->row_bias ? x->row : NULL;
    p.column_bias = s->column_bias ? x->column : NULL;
    p.residual = s->residual ? x->residual : NULL;
    p.clamp = s->clamp, p.low = -0.5, p.high = 0.75;
    if (s->affine) p.alpha = 2, p.beta = 3, p.d = x->d, p.d_column = 1, p.batch_rank = 0;
    return p;
}

static void *pack(const sdx_kernels *kernels, const setup *s, bool is_b, const void *data) {
    int64_t batch = is_b && s->same_b ? 1 : s->batch, lines = is_b ? s->n : s->m;
    size_t bytes = sdx_product_packed_bytes(kernels, s->dtype, is_b, batch, lines, s->k);
    void *to = aligned_alloc(64, bytes ? bytes : 64);
    bool along_k = is_b ? s->turn_b : !s->turn_a;
    sdx_product_pack(kernels, s->dtype, is_b, batch, lines, s->k, data, along_k ? s->k : 1, along_k ? 1 : lines, to);
    return to;
}

static void run(const sdx_kernels *kernels, const setup *s, const arrays *x, int threads, void *c) {
    sdx_memory memory;
    sdx_pool *pool = NULL;
    sdx_error error = {0};
    sdx_memory_init(&memory, 0);
    assert_int_equal(sdx_pool_create(threads, &memory, &error, &pool), SDX_OK);
    sdx_compute compute = {.error = &error, .kernels = kernels, .pool = pool};
    sdx_product product = describe(s, x, c);
    size_t bytes =
        sdx_product_scratch(s->dtype, s->affine ? 1 : s->batch, s->m, s->n, s->k, s->pack_a, s->pack_b, threads);
    void *scratch = sdx_memory_alloc(&memory, bytes, &error);
    assert_int_equal(sdx_product_run(&compute, &product, scratch), SDX_OK);
    sdx_memory_free(&memory, scratch);
    sdx_pool_destroy(pool);
}

static void check(const sdx_kernels *kernels, const setup *s) {
    arrays x = {values(s->dtype, s->batch * s->m * s->k),
                values(s->dtype, s->batch * s->k * s->n),
                values(s->dtype, s->m),
                values(s->dtype, s->n),
                values(s->dtype, s->batch * s->m * s->n),
                values(s->dtype, s->n),
                NULL,
                NULL};
    int64_t count = s->batch * s->m * s->n;
    x.packed_a = pack(kernels, s, false, x.a);
    x.packed_b = pack(kernels, s, true, x.b);
    void *one = values(s->dtype, count), *three = values(s->dtype, count);
    run(kernels, s, &x, 1, one);
    run(kernels, s, &x, 3, three);
    if (memcmp(one, three, (size_t)count * sdx_dtype_size(s->dtype)))
        fail_msg("%s: 1 and 3 threads differ, %s %lldx%lldx%lld", kernels->origin[SDX_ROW_gemm_tile_f32],
                 sdx_dtype_name(s->dtype), (long long)s->m, (long long)s->n, (long long)s->k);
    for (int64_t q = 0; q < count; q++) {
        double want = expected(s, &x, q / (s->m * s->n), q / s->n % s->m, q % s->n), got = get(s->dtype, one, q);
        if (fabs(want - got) > tolerance(s->dtype, want))
            fail_msg("%s: %s %lld of %lldx%lldx%lld turn %d%d pack %d%d: element %lld is %.9g, not %.9g",
                     kernels->origin[SDX_ROW_gemm_tile_f32], sdx_dtype_name(s->dtype), (long long)s->batch,
                     (long long)s->m, (long long)s->n, (long long)s->k, s->turn_a, s->turn_b, s->pack_a, s->pack_b,
                     (long long)q, got, want);
    }
    free(x.a), free(x.b), free(x.row), free(x.column), free(x.residual), free(x.d), free(x.packed_a), free(x.packed_b);
    free(one), free(three);
}

static void each_level(void (*fn)(const sdx_kernels *)) {
    sdx_kernels kernels;
    for (int isa = 0; isa < SDX_ISA_COUNT; isa++)
        if (sdx_kernels_at((sdx_isa)isa, &kernels)) fn(&kernels);
}

/* The same blocks by OpenBLAS, where there is one. */
static void blas(void **unused) {
    (void)unused;
    sdx_kernels kernels;
    assert_true(sdx_kernels_at(SDX_ISA_GENERIC, &kernels));
    kernels.blas = sdx_blas_get();
    if (!kernels.blas) skip();
    for (unsigned f = 0; f < 128; f++) {
        setup s = {f & 64 ? SDX_F64 : SDX_F32,
                   f & 32 ? 3 : 1,
                   29,
                   83,
                   57,
                   .turn_a = f & 1,
                   .turn_b = f & 2,
                   .row_bias = (f & 12) == 4,
                   .column_bias = (f & 12) == 8,
                   .residual = (f & 12) == 12,
                   .clamp = f & 16,
                   .affine = (f & 44) == 0};
        check(&kernels, &s);
        s.m = 1;
        check(&kernels, &s);
    }
}

static const sdx_dtype dtypes[] = {SDX_F32, SDX_F64, SDX_F16, SDX_BF16, SDX_I32, SDX_U32, SDX_I64, SDX_U64};

static void sizes_at(const sdx_kernels *kernels) {
    static const int64_t shape[][4] = {{1, 1, 1, 1},     {1, 14, 32, 8},  {1, 15, 33, 7},   {2, 3, 5, 0},
                                       {3, 1, 70, 9},    {1, 29, 1, 31},  {2, 17, 49, 300}, {1, 130, 67, 65},
                                       {1, 1, 1100, 21}, {9, 6, 16, 20},  {5, 13, 64, 21},  {1, 20, 48, 700},
                                       {2, 100, 64, 8},  {1, 40, 264, 33}};
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (size_t q = 0; q < sizeof shape / sizeof *shape; q++)
            for (unsigned f = 0; f < 16; f++) {
                setup s = {
                    dtypes[d],       shape[q][0],     shape[q][1],     shape[q][2],     shape[q][3],
                    .turn_a = f & 1, .turn_b = f & 2, .pack_a = f & 4, .pack_b = f & 8, .same_b = f == 5 || f == 9};
                check(kernels, &s);
            }
}
static void sizes(void **unused) {
    (void)unused;
    each_level(sizes_at);
}

static void large_at(const sdx_kernels *kernels) {
    check(kernels, &(setup){SDX_F32, 1, 350, 310, 520, .turn_a = false});
    check(kernels, &(setup){SDX_F32, 2, 64, 520, 300, .pack_a = true, .same_b = true});
    check(kernels, &(setup){SDX_BF16, 1, 300, 400, 257, .turn_a = true});
    check(kernels, &(setup){SDX_F64, 1, 260, 270, 300, .turn_b = true});
}
static void large(void **unused) {
    (void)unused;
    each_level(large_at);
}

static void epilogues_at(const sdx_kernels *kernels) {
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (unsigned f = 0; f < 16; f++) {
            bool real = sdx_dtype_class(dtypes[d]) == SDX_CLASS_FLOAT;
            setup s = {dtypes[d],
                       1,
                       19,
                       41,
                       290,
                       .row_bias = (f & 3) == 1,
                       .column_bias = (f & 3) == 2,
                       .residual = f & 4,
                       .clamp = real && (f & 8),
                       .affine = (f & 3) == 3 && !(f & 4)};
            check(kernels, &s);
            s.m = 1;
            check(kernels, &s);
            s.m = 40, s.n = 1;
            check(kernels, &s);
        }
}
static void epilogues(void **unused) {
    (void)unused;
    each_level(epilogues_at);
}

/* NaN and infinity pass through a clamp as max(low, min(high, x)) would let them: NaN stays. */
static void nan_stays(void **unused) {
    (void)unused;
    float a[4] = {NAN, INFINITY, -INFINITY, 1}, b[1] = {1}, c[4];
    arrays x = {.a = a, .b = b};
    run(sdx_kernels_get(), &(setup){SDX_F32, 1, 4, 1, 1, .clamp = true}, &x, 1, c);
    assert_true(isnan(c[0]));
    assert_true(c[1] == 0.75f && c[2] == -0.5f && c[3] == 0.75f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(large), cmocka_unit_test(epilogues),
                                       cmocka_unit_test(nan_stays), cmocka_unit_test(blas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
