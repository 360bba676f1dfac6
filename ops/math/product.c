/* SPDX-License-Identifier: Apache-2.0
 * The work is a grid of blocks of C. A block keeps its slice of A in the second-level cache and one panel of B in the
 * first. A factor that several blocks of the grid read is packed once before (shared), one that a single row or
 * column of blocks reads is packed by the block itself (local). Cuts depend on the shape alone. */
#include "ops/kernels/blas.h"
#include "ops/math/product_plan.h"
#include "runtime/base/half.h"
#include <math.h>
#include <string.h>

typedef sdx_product_plan plan;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

void sdx_product_add(sdx_product *product, const void *d, int64_t d_row, int64_t d_column) {
    const bool plain = product->alpha == 1 && product->beta == 1;
    if (plain && d_row == 0 && d_column == 1)
        product->column_bias = d;
    else if (plain && d_row == product->n && d_column == 1)
        product->residual = d;
    else
        product->d = d, product->d_row = d_row, product->d_column = d_column;
}

/* ---- packing ---------------------------------------------------------------------------------------------------- */

typedef void (*pack_fn)(const void *x, int64_t rs, int64_t ks, int64_t rows, int64_t k, int width, int64_t panel,
                        void *y);

static pack_fn pack_of(const sdx_kernels *kernels, sdx_dtype dtype) {
    if (dtype == SDX_F16) return kernels->pack_f16;
    if (dtype == SDX_BF16) return kernels->pack_bf16;
    return sdx_dtype_size(dtype) == 8 ? kernels->pack_64 : kernels->pack_32;
}

/* ---- one run ---------------------------------------------------------------------------------------------------- */

typedef struct product_job {
    const sdx_product *product;
    const sdx_kernels *kernels;
    plan plan;
    char *shared_a, *shared_b, *workers;
    void (*tile)(const sdx_gemm_tile *tile);
} product_job;

static int64_t batch_offset(const sdx_product *product, const sdx_factor *factor, int64_t batch) {
    int64_t offset = 0;
    for (int d = product->batch_rank - 1; d >= 0; d--) {
        offset += batch % product->batch_dim[d] * factor->batch_step[d];
        batch /= product->batch_dim[d];
    }
    return offset;
}

bool sdx_factor_is_one(const sdx_product *product, const sdx_factor *factor) {
    for (int d = 0; d < product->batch_rank; d++)
        if (factor->batch_step[d] != 0 && product->batch_dim[d] > 1) return false;
    return true;
}

static void pack_block(const product_job *job, bool is_b, int64_t batch, int64_t line, int64_t lines, int64_t k,
                       int64_t depth, int64_t panel, void *to) {
    const sdx_product *product = job->product;
    const sdx_factor *factor = is_b ? &product->b : &product->a;
    const int width = is_b ? job->plan.nr : job->plan.mr;
    if (factor->fill) {
        factor->fill(factor->context, batch, k, depth, line, lines, width, panel, to);
        return;
    }
    int64_t at = batch_offset(product, factor, batch) + line * factor->line_step + k * factor->k_step;
    pack_of(job->kernels, product->dtype)((const char *)factor->data + at * (int64_t)sdx_dtype_size(product->dtype),
                                          factor->line_step, factor->k_step, lines, depth, width, panel, to);
}

enum { SHARED_PANELS = 4 };

static void pack_shared(const product_job *job, bool is_b, int64_t begin, int64_t end) {
    const plan *p = &job->plan;
    const int width = is_b ? p->nr : p->mr;
    const int64_t lines = is_b ? p->n : p->m, chunk = SHARED_PANELS * width, chunks = ceil_div(lines, chunk);
    const int64_t matrix = round_up(lines, width) * p->k;
    for (int64_t t = begin; t < end; t++) {
        int64_t batch = t / chunks, line = t % chunks * chunk;
        char *to = (is_b ? job->shared_b : job->shared_a) + (size_t)(batch * matrix + line * p->k) * p->element;
        pack_block(job, is_b, batch, line, least(chunk, lines - line), 0, p->k, p->k * width, to);
    }
}
static void pack_shared_a(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    pack_shared(argument, false, begin, end);
}
static void pack_shared_b(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    pack_shared(argument, true, begin, end);
}

/* Panels of one factor for one pass over k. */
typedef struct panels {
    const char *at; /* of the block's first panel */
    size_t step;    /* bytes to the next */
    int64_t row;    /* no panels: elements from one row to the next; else 0 */
} panels;

/* The rows of A themselves. */
static panels rows_of(const product_job *job, int64_t batch, int64_t line, int64_t lines, int64_t k, int64_t depth,
                      char *local) {
    const plan *p = &job->plan;
    const sdx_product *product = job->product;
    const int64_t at = batch_offset(product, &product->a, batch) + line * product->a.line_step + k;
    const char *from = (const char *)product->a.data + at * (int64_t)sdx_dtype_size(product->dtype);
    int64_t row = product->a.line_step;
    if (p->narrow) {
        const uint16_t *x = (const void *)from;
        const int64_t together = row == depth ? lines : 1;
        row = depth;
        for (int64_t i = 0; i < lines; i += together)
            (product->dtype == SDX_F16 ? job->kernels->f32_from_f16 : job->kernels->f32_from_bf16)(
                x + i * product->a.line_step, (float *)(void *)local + i * depth, together * depth);
        from = local;
    }
    return (panels){from, (size_t)(row * p->mr) * p->element, row};
}

static panels panels_of(const product_job *job, bool is_b, int64_t batch, int64_t line, int64_t lines, int64_t k,
                        int64_t depth, char *local) {
    const plan *p = &job->plan;
    const sdx_product *product = job->product;
    const sdx_factor *factor = is_b ? &product->b : &product->a;
    const int width = is_b ? p->nr : p->mr;
    const char *base = factor->packed;
    int64_t matrix = 0;
    if (p->direct_b && is_b) {
        const int64_t at = batch_offset(product, factor, batch) + line + k * factor->k_step;
        return (panels){(const char *)factor->data + (size_t)at * p->element, (size_t)p->nr * p->element,
                        factor->k_step};
    }
    if (p->direct_a && !is_b) return rows_of(job, batch, line, lines, k, depth, local);
    if (is_b ? p->local_b : p->local_a) {
        pack_block(job, is_b, batch, line, lines, k, depth, depth * width, local);
        return (panels){local, (size_t)(depth * width) * p->element, 0};
    }
    if (base)
        matrix = batch_offset(product, factor, batch);
    else {
        base = is_b ? job->shared_b : job->shared_a;
        matrix = (is_b ? p->matrices_b : p->matrices_a) > 1 ? batch : 0;
    }
    int64_t at = matrix * round_up(is_b ? p->n : p->m, width) * p->k + line * p->k + k * width;
    return (panels){base + (size_t)at * p->element, (size_t)(p->k * width) * p->element, 0};
}

/* Where a block of C is built, and with what. */
typedef struct block {
    int64_t batch, m, n, rows, columns;
    char *c;
    int64_t ldc;
    const char *row_bias, *column_bias, *residual; /* of the block's corner, in panel elements */
} block;

static void run_tiles(const product_job *job, const block *b, panels pa, panels pb, int64_t depth, bool first,
                      bool last) {
    const plan *p = &job->plan;
    const sdx_product *product = job->product;
    const int64_t element = (int64_t)p->element;
    const bool affine = product->d || product->alpha != 1;
    const int64_t across = ceil_div(b->columns, p->nr), down = ceil_div(b->rows, p->mr);
    const bool rows_first = b->rows > b->columns; /* the longer side is walked once, the shorter one stays near */
    for (int64_t t = 0; t < across * down; t++) {
        const int64_t i = (rows_first ? t / across : t % down) * p->mr,
                      j = (rows_first ? t % across : t / down) * p->nr;
        sdx_gemm_tile tile = {.k = depth,
                              .a = pa.at + (size_t)(i / p->mr) * pa.step,
                              .a_row = pa.row,
                              .a_step = 1,
                              .b_step = pb.row,
                              .b = pb.at + (size_t)(j / p->nr) * pb.step,
                              .c = b->c + (i * b->ldc + j) * element,
                              .ldc = b->ldc,
                              .m = (int)least(p->mr, b->rows - i),
                              .n = (int)least(p->nr, b->columns - j),
                              .accumulate = !first};
        if (last && b->row_bias) tile.row_bias = b->row_bias + i * element;
        if (last && b->column_bias) tile.column_bias = b->column_bias + j * element;
        if (last && !p->narrow) {
            if (b->residual) tile.residual = b->residual + (i * b->ldc + j) * element;
            tile.clamp = product->clamp && !affine;
            tile.low = product->low, tile.high = product->high;
        }
        job->tile(&tile);
    }
}

static double clamped(const sdx_product *product, double v) {
    if (!product->clamp) return v;
    v = product->low > v ? product->low : v;
    return product->high < v ? product->high : v;
}

/* c = alpha c + beta d in the panels' type, where `c` is a block of it. */
#define AFFINE(T, GET)                                                                                                 \
    for (int64_t i = 0; i < b->rows; i++) {                                                                            \
        T *row = (T *)(void *)b->c + i * b->ldc;                                                                       \
        for (int64_t j = 0; j < b->columns; j++) {                                                                     \
            int64_t at = (b->m + i) * product->d_row + (b->n + j) * product->d_column;                                 \
            double add = product->d ? product->beta * (double)GET(at) : 0;                                             \
            row[j] = (T)clamped(product, product->alpha * (double)row[j] + add);                                       \
        }                                                                                                              \
    }
/* Integers: exact where alpha and beta are whole numbers, else computed in f64 and cut. */
#define AFFINE_INTEGER(T, U)                                                                                           \
    for (int64_t i = 0; i < b->rows; i++) {                                                                            \
        T *row = (T *)(void *)b->c + i * b->ldc;                                                                       \
        for (int64_t j = 0; j < b->columns; j++) {                                                                     \
            int64_t at = (b->m + i) * product->d_row + (b->n + j) * product->d_column;                                 \
            if (exact)                                                                                                 \
                row[j] = (T)((U)row[j] * (U)alpha + (d ? (U)((const T *)d)[at] * (U)beta : 0));                        \
            else                                                                                                       \
                row[j] = (T)(product->alpha * (double)row[j] + (d ? product->beta * (double)((const T *)d)[at] : 0));  \
        }                                                                                                              \
    }

static void affine(const product_job *job, const block *b) {
    const sdx_product *product = job->product;
    const void *d = product->d;
    const bool exact =
        product->alpha == (double)(int32_t)product->alpha && product->beta == (double)(int32_t)product->beta;
    const int64_t alpha = exact ? (int64_t)product->alpha : 0, beta = exact ? (int64_t)product->beta : 0;
#define F32(at)  ((const float *)d)[at]
#define F64(at)  ((const double *)d)[at]
#define F16(at)  sdx_f32_from_f16(((const uint16_t *)d)[at])
#define BF16(at) sdx_f32_from_bf16(((const uint16_t *)d)[at])
    if (product->dtype == SDX_F32)
        AFFINE(float, F32)
    else if (product->dtype == SDX_F64)
        AFFINE(double, F64)
    else if (product->dtype == SDX_F16)
        AFFINE(float, F16)
    else if (product->dtype == SDX_BF16)
        AFFINE(float, BF16)
    else if (product->dtype == SDX_I32)
        AFFINE_INTEGER(int32_t, uint32_t)
    else if (product->dtype == SDX_U32)
        AFFINE_INTEGER(uint32_t, uint32_t)
    else if (product->dtype == SDX_I64)
        AFFINE_INTEGER(int64_t, uint64_t)
    else
        AFFINE_INTEGER(uint64_t, uint64_t)
}

/* Rounds a finished f32 block into the 16-bit C; residual and clamp come before the rounding. */
static void round_block(const product_job *job, const block *b) {
    const sdx_product *product = job->product;
    const bool f16 = product->dtype == SDX_F16;
    const int64_t corner = (b->batch * product->m + b->m) * product->n + b->n;
    const uint16_t *residual = product->residual;
    for (int64_t i = 0; i < b->rows; i++) {
        float *row = (float *)(void *)b->c + i * b->ldc;
        int64_t at = corner + i * product->n;
        for (int64_t j = 0; residual && j < b->columns; j++)
            row[j] += f16 ? sdx_f32_from_f16(residual[at + j]) : sdx_f32_from_bf16(residual[at + j]);
        for (int64_t j = 0; product->clamp && j < b->columns; j++) row[j] = (float)clamped(product, (double)row[j]);
        (f16 ? job->kernels->f16_from_f32 : job->kernels->bf16_from_f32)(row, (uint16_t *)product->c + at, b->columns);
    }
}

/* The bias of a block in panel elements: in place, or widened into `room`. */
static const char *bias_of(const product_job *job, const void *bias, int64_t at, int64_t n, char *room) {
    if (!bias) return NULL;
    const char *from = (const char *)bias + (size_t)at * sdx_dtype_size(job->product->dtype);
    if (!job->plan.narrow) return from;
    (job->product->dtype == SDX_F16 ? job->kernels->f32_from_f16
                                    : job->kernels->f32_from_bf16)((const void *)from, (float *)(void *)room, n);
    return room;
}

static void run_block(const product_job *job, block *b, char *local) {
    const plan *p = &job->plan;
    const sdx_product *product = job->product;
    const size_t element = p->element;
    char *local_b = local + p->local_a_bytes, *room = local_b + p->local_b_bytes;
    const int64_t corner = (b->batch * p->m + b->m) * p->n + b->n;
    int64_t period = product->row_bias_period ? b->batch % product->row_bias_period : b->batch;
    b->row_bias = bias_of(job, product->row_bias, period * product->row_bias_step + b->m, b->rows, room);
    room += p->narrow ? (size_t)p->block_m * element : 0;
    b->column_bias = bias_of(job, product->column_bias, b->n, b->columns, room);
    room += p->narrow ? (size_t)p->block_n * element : 0;
    const bool round = p->narrow && !product->wide;
    b->c = round ? room : (char *)product->c + (size_t)corner * element;
    b->ldc = round ? p->block_n : p->n;
    if (product->residual && !p->narrow) b->residual = (const char *)product->residual + (size_t)corner * element;
    for (int64_t q = 0; q < p->blocks_k; q++) {
        int64_t k = q * p->depth, depth = least(p->depth, p->k - k);
        panels pa = panels_of(job, false, b->batch, b->m, b->rows, k, depth, local);
        panels pb = panels_of(job, true, b->batch, b->n, b->columns, k, depth, local_b);
        run_tiles(job, b, pa, pb, depth, q == 0, q + 1 == p->blocks_k);
    }
    if (product->d || product->alpha != 1) affine(job, b);
    if (product->finish) {
        sdx_block done = {b->batch, b->m, b->n, b->rows, b->columns, b->c, b->ldc};
        product->finish(product->finish_context, &done);
    } else if (round)
        round_block(job, b);
}

static block block_at(const plan *p, int64_t t) {
    const int64_t fast = p->columns_slow ? p->blocks_m : p->blocks_n, i = t / (p->batch * fast), j = t % fast;
    block b = {.batch = t / fast % p->batch};
    b.m = (p->columns_slow ? j : i) * p->block_m;
    b.n = (p->columns_slow ? i : j) * p->block_n;
    b.rows = least(p->block_m, p->m - b.m);
    b.columns = least(p->block_n, p->n - b.n);
    return b;
}

static void run_blocks(void *argument, int64_t begin, int64_t end, int worker) {
    const product_job *job = argument;
    for (int64_t t = begin; t < end; t++) {
        block b = block_at(&job->plan, t);
        run_block(job, &b, job->workers + (size_t)worker * job->plan.worker_bytes);
    }
}

/* ---- one row times a matrix that is not packed: packing would cost more than the product ---------------------- */

static bool is_vector_product(const sdx_product *product) {
    const sdx_factor *a = &product->a, *b = &product->b;
    return product->dtype == SDX_F32 && product->m == 1 && product->k > 0 && a->data && b->data && a->k_step == 1 &&
           (b->line_step == 1 || b->k_step == 1) && !product->d && product->alpha == 1;
}

static int64_t vector_chunk(const sdx_product *product) { return least(1024, round_up(ceil_div(product->n, 8), 64)); }

static void run_vectors(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const product_job *job = argument;
    const sdx_product *product = job->product;
    const int64_t chunk = vector_chunk(product), chunks = ceil_div(product->n, chunk);
    for (int64_t t = begin; t < end; t++) {
        int64_t batch = t / chunks, j = t % chunks * chunk, n = least(chunk, product->n - j);
        const float *x = (const float *)product->a.data + batch_offset(product, &product->a, batch);
        const float *b = (const float *)product->b.data + batch_offset(product, &product->b, batch);
        float *y = (float *)product->c + batch * product->n + j;
        if (product->b.line_step == 1)
            job->kernels->gemv_rows_f32(x, b + j, product->b.k_step, product->k, n, y);
        else
            job->kernels->gemv_columns_f32(x, b + j * product->b.line_step, product->b.line_step, product->k, n, y);
        int64_t period = product->row_bias_period ? batch % product->row_bias_period : batch;
        const float *row = product->row_bias, *column = product->column_bias, *residual = product->residual;
        if (row)
            for (int64_t i = 0; i < n; i++) y[i] += row[period * product->row_bias_step];
        if (column)
            for (int64_t i = 0; i < n; i++) y[i] += column[j + i];
        if (residual)
            for (int64_t i = 0; i < n; i++) y[i] += residual[batch * product->n + j + i];
        if (product->clamp)
            for (int64_t i = 0; i < n; i++) y[i] = (float)clamped(product, (double)y[i]);
    }
}

/* ---- blocks by OpenBLAS -------------------------------------------------------------------------------------------
 */

/* A factor as BLAS takes it: rows of `lead` elements, turned or not. False when neither step is 1. */
static bool blas_layout(int64_t along, int64_t across, int64_t least_along, int64_t least_across, int *turn,
                        int *lead) {
    const bool keep = along == 1 && across >= least_along, turned_round = across == 1 && along >= least_across;
    if (!keep && !turned_round) return false;
    const int64_t step = keep ? across : along;
    *turn = keep ? SDX_BLAS_KEEP : SDX_BLAS_TURN;
    *lead = step <= INT32_MAX ? (int)step : 0;
    return step <= INT32_MAX && step > 0;
}

static bool layouts(const sdx_product *product, int *turn_a, int *lead_a, int *turn_b, int *lead_b) {
    const sdx_factor *a = &product->a, *b = &product->b;
    return blas_layout(a->k_step, a->line_step, product->k, product->m, turn_a, lead_a) &&
           blas_layout(b->line_step, b->k_step, product->n, product->k, turn_b, lead_b);
}

static bool is_blas_product(const sdx_kernels *kernels, const sdx_product *product) {
    int turn_a = 0, lead_a = 0, turn_b = 0, lead_b = 0;
    return kernels->blas && (product->dtype == SDX_F32 || product->dtype == SDX_F64) && product->a.data &&
           product->b.data && product->k > 0 && product->k <= INT32_MAX && product->n <= INT32_MAX &&
           layouts(product, &turn_a, &lead_a, &turn_b, &lead_b);
}

/* Biases are there before the product is added; residual and clamp follow. */
#define BLAS_BLOCK(T, gemm)                                                                                            \
    static void blas_block_##T(const product_job *job, block *b) {                                                     \
        const sdx_product *product = job->product;                                                                     \
        int turn_a = 0, lead_a = 0, turn_b = 0, lead_b = 0;                                                            \
        const T *pa =                                                                                                  \
            (const T *)product->a.data + batch_offset(product, &product->a, b->batch) + b->m * product->a.line_step;   \
        const T *pb =                                                                                                  \
            (const T *)product->b.data + batch_offset(product, &product->b, b->batch) + b->n * product->b.line_step;   \
        const T *row = product->row_bias, *column = product->column_bias;                                              \
        T *c = (T *)product->c + (b->batch * product->m + b->m) * product->n + b->n;                                   \
        const int64_t period = product->row_bias_period ? b->batch % product->row_bias_period : b->batch;              \
        for (int64_t i = 0; i < b->rows; i++)                                                                          \
            for (int64_t j = 0; j < b->columns; j++)                                                                   \
                c[i * product->n + j] = row      ? row[period * product->row_bias_step + b->m + i]                     \
                                        : column ? column[b->n + j]                                                    \
                                                 : 0;                                                                  \
        layouts(product, &turn_a, &lead_a, &turn_b, &lead_b);                                                          \
        job->kernels->blas->gemm(SDX_BLAS_ROW_MAJOR, turn_a, turn_b, (int)b->rows, (int)b->columns, (int)product->k,   \
                                 1, pa, lead_a, pb, lead_b, 1, c, (int)product->n);                                    \
        b->c = (char *)c, b->ldc = product->n;                                                                         \
        const bool scaled = product->d || product->alpha != 1;                                                         \
        if (scaled) affine(job, b);                                                                                    \
        const T *residual = product->residual ? (const T *)product->residual + (c - (T *)product->c) : NULL;           \
        for (int64_t i = 0; !scaled && (residual || product->clamp) && i < b->rows; i++)                               \
            for (int64_t j = i * product->n; j < i * product->n + b->columns; j++)                                     \
                c[j] = (T)clamped(product, (double)(residual ? c[j] + residual[j] : c[j]));                            \
    }
BLAS_BLOCK(float, sgemm)
BLAS_BLOCK(double, dgemm)

static void run_blas_blocks(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const product_job *job = argument;
    for (int64_t t = begin; t < end; t++) {
        block b = block_at(&job->plan, t);
        if (job->product->dtype == SDX_F32)
            blas_block_float(job, &b);
        else
            blas_block_double(job, &b);
    }
}

/* C with one column is the row of the product turned round. */
static sdx_product turned(const sdx_product *product) {
    sdx_product t = *product;
    t.m = 1, t.n = product->m;
    t.a = product->b, t.b = product->a;
    t.row_bias = product->column_bias, t.row_bias_step = 0, t.row_bias_period = 0;
    t.column_bias = product->row_bias;
    t.d_row = product->d_column, t.d_column = product->d_row;
    return t;
}

static bool can_turn(const sdx_product *product) {
    return product->n == 1 && product->m > 1 && product->a.data && product->b.data && product->row_bias_step == 0;
}

static sdx_status share(sdx_compute *compute, product_job *job, bool is_b) {
    const plan *p = &job->plan;
    int64_t matrices = is_b ? p->matrices_b : p->matrices_a;
    int64_t chunks = is_b ? ceil_div(p->n, SHARED_PANELS * p->nr) : ceil_div(p->m, SHARED_PANELS * p->mr);
    return sdx_for(compute, matrices * chunks, 1, is_b ? pack_shared_b : pack_shared_a, job);
}

sdx_status sdx_product_run(sdx_compute *compute, const sdx_product *given, void *scratch) {
    const sdx_product product = can_turn(given) ? turned(given) : *given;
    product_job job = {.product = &product, .kernels = compute->kernels};
    plan *p = &job.plan;
    p->batch = 1, p->m = product.m, p->n = product.n, p->k = product.k;
    for (int d = 0; d < product.batch_rank; d++) p->batch *= product.batch_dim[d];
    if (p->batch == 0 || p->m == 0 || p->n == 0) return SDX_OK;
    if (is_vector_product(&product))
        return sdx_for(compute, p->batch * ceil_div(p->n, vector_chunk(&product)), 1, run_vectors, &job);
    if (!sdx_product_plan_make(p, job.kernels, &product))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "panels of a product of %lld x %lld x %lld", (long long)p->m,
                        (long long)p->n, (long long)p->k);
    if (is_blas_product(job.kernels, &product))
        return sdx_for(compute, p->batch * p->blocks_m * p->blocks_n, 1, run_blas_blocks, &job);
    job.shared_a = scratch;
    job.shared_b = job.shared_a + p->shared_a_bytes;
    job.workers = job.shared_b + p->shared_b_bytes;
    bool whole = p->element == 8;
    if (product.dtype == SDX_F64)
        job.tile = job.kernels->gemm_tile_f64;
    else if (product.dtype == SDX_I8)
        job.tile = job.kernels->gemm_tile_dot;
    else if (sdx_dtype_class(product.dtype) == SDX_CLASS_FLOAT)
        job.tile = job.kernels->gemm_tile_f32;
    else
        job.tile = whole ? job.kernels->gemm_tile_u64 : job.kernels->gemm_tile_u32;
    if (p->shared_a) SDX_TRY(share(compute, &job, false));
    if (p->shared_b) SDX_TRY(share(compute, &job, true));
    return sdx_for(compute, p->batch * p->blocks_m * p->blocks_n, 1, run_blocks, &job);
}
