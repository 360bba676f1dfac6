/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/math/dot.h"
#include <string.h>

enum { WIDEST = 32, STAGE = 4096, PIECE = 256 }; /* columns of a panel; bytes filled in, columns finished at a time */

typedef struct dot_job {
    const sdx_dot *dot;
    const sdx_kernels *kernels;
    int group;
    bool one_a, one_b;
    int32_t *sums_a, *sums_b; /* by batch and line; NULL: not needed, or packed */
} dot_job;

/* One side of the job, as the context of its panels. */
typedef struct side {
    const dot_job *job;
    bool is_b;
} side;

int64_t sdx_dot_offset(const sdx_dot *dot, const int64_t *batch_step, int64_t batch) {
    int64_t offset = 0;
    for (int d = dot->batch_rank - 1; d >= 0; d--) {
        offset += batch % dot->batch_dim[d] * batch_step[d];
        batch /= dot->batch_dim[d];
    }
    return offset;
}

static const sdx_dot_factor *factor_of(const dot_job *job, bool is_b) { return is_b ? &job->dot->b : &job->dot->a; }

/* What the bytes of a panel stand above those of the model: A' = A - shift, B' = B - shift. */
static int32_t shift_of(const dot_job *job, bool is_b) {
    const bool is_signed = factor_of(job, is_b)->dtype == SDX_I8;
    if (job->group != 4 || is_signed != is_b) return 0;
    return is_b ? -128 : 128;
}

/* Zero points of n lines as the kernels count them. True: some are not 0. */
static bool zeros_of(const dot_job *job, bool is_b, int64_t batch, int64_t line, int64_t n, int32_t *zero) {
    const sdx_dot_factor *factor = factor_of(job, is_b);
    const int32_t shift = shift_of(job, is_b);
    const int64_t at = sdx_dot_offset(job->dot, factor->zero_batch_step, batch) + line * factor->zero_step;
    int32_t any = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = at + i * factor->zero_step;
        zero[i] = -shift;
        if (factor->zero && factor->dtype == SDX_I8) zero[i] += ((const int8_t *)factor->zero)[k];
        if (factor->zero && factor->dtype == SDX_U8) zero[i] += ((const uint8_t *)factor->zero)[k];
        any |= zero[i];
    }
    return any != 0;
}

/* Steps [k, k + depth) of at most one panel of lines. */
static void pack_panel(const dot_job *job, bool is_b, int64_t batch, int64_t k, int64_t depth, int64_t line,
                       int64_t lines, int width, void *to) {
    const sdx_dot_factor *factor = factor_of(job, is_b);
    int32_t zero[WIDEST], *sums = is_b ? job->sums_b : job->sums_a;
    uint8_t bytes[STAGE];
    sdx_dot_pack pack = {
        .lines = lines, .k = depth, .width = width, .is_signed = factor->dtype == SDX_I8, .is_b = is_b};
    pack.line_step = factor->line_step, pack.k_step = factor->k_step, pack.zero = zero, pack.to = to;
    if (job->group == 2) zeros_of(job, is_b, batch, line, lines, zero);
    if (sums) pack.sums = sums + batch * (is_b ? job->dot->n : job->dot->m) + line;
    if (pack.sums && k == 0) memset(pack.sums, 0, (size_t)lines * sizeof *sums);
    if (!factor->fill) {
        pack.x = (const uint8_t *)factor->data + sdx_dot_offset(job->dot, factor->batch_step, batch) +
                 line * factor->line_step + k * factor->k_step;
        job->kernels->pack_dot(&pack);
        return;
    }
    pack.x = bytes, pack.line_step = 1, pack.k_step = width;
    const int64_t most = STAGE / width / 4 * 4;
    for (int64_t q = 0; q < depth; q += most) {
        pack.k = depth - q < most ? depth - q : most;
        pack.to = (uint32_t *)to + q / job->group * width;
        factor->fill(factor->context, batch, k + q, pack.k, line, lines, width, bytes);
        job->kernels->pack_dot(&pack);
    }
}

static void fill_panels(const void *context, int64_t batch, int64_t group, int64_t groups, int64_t line, int64_t lines,
                        int width, int64_t panel, void *to) {
    const side *s = context;
    const int64_t k = group * s->job->group, end = (group + groups) * s->job->group;
    const int64_t depth = (end < s->job->dot->k ? end : s->job->dot->k) - k;
    for (int64_t j = 0; j < lines; j += width)
        pack_panel(s->job, s->is_b, batch, k, depth, line + j, lines - j < width ? lines - j : width, width,
                   (uint32_t *)to + j / width * panel);
}

/* Sums of a batch's lines. */
static const int32_t *sums_of(const dot_job *job, bool is_b, int64_t batch) {
    const sdx_dot_factor *factor = factor_of(job, is_b);
    const int64_t lines = is_b ? job->dot->n : job->dot->m;
    if (factor->packed) return factor->sums + sdx_dot_offset(job->dot, factor->matrix_step, batch) * lines;
    if (is_b ? job->one_b : job->one_a) batch = 0;
    return (is_b ? job->sums_b : job->sums_a) + batch * lines;
}

/* The zero points of one row and a piece of columns. */
static void correct(const dot_job *job, const sdx_block *block, int64_t row, int32_t zero_a, const int32_t *zero_b,
                    bool any_b, int64_t column, int64_t n, int32_t *c) {
    const sdx_dot *dot = job->dot;
    if (zero_a) job->kernels->add_scaled(c, sums_of(job, true, block->batch) + column, -zero_a, 0, n);
    if (!any_b) return;
    const uint32_t sum = (uint32_t)sums_of(job, false, block->batch)[row] - (uint32_t)dot->k * (uint32_t)zero_a;
    job->kernels->add_scaled(c, zero_b, (int32_t)(0 - sum), 0, n);
}

static void finish_block(const void *context, const sdx_block *block) {
    const dot_job *job = context;
    const sdx_dot *dot = job->dot;
    int32_t zero_a = 0, zero_b[PIECE];
    for (int64_t j = 0; j < block->columns; j += PIECE) {
        const int64_t n = block->columns - j < PIECE ? block->columns - j : PIECE;
        const bool any_b = job->group == 4 && zeros_of(job, true, block->batch, block->n + j, n, zero_b);
        for (int64_t i = 0; i < block->rows; i++) {
            int32_t *c = (int32_t *)block->c + i * block->ldc + j;
            const int64_t row = block->m + i;
            if (job->group == 4) {
                zeros_of(job, false, block->batch, row, 1, &zero_a);
                correct(job, block, row, zero_a, zero_b, any_b, block->n + j, n, c);
            }
            if (dot->row_bias)
                job->kernels->add_scaled(c, c, 0, dot->row_bias[block->batch % dot->row_bias_period * dot->m + row], n);
        }
    }
    if (dot->finish) dot->finish(dot->finish_context, block);
}

static size_t sums_bytes(int64_t batch, int64_t m, int64_t n) {
    size_t lines = 0, bytes = 0;
    if (!sdx_size_add((size_t)m, (size_t)n, &lines) || !sdx_size_mul(lines, (size_t)batch, &bytes) ||
        !sdx_size_mul(bytes, sizeof(int32_t), &bytes) || !sdx_size_add(bytes, SDX_ALIGNMENT, &bytes))
        return SIZE_MAX;
    return bytes / SDX_ALIGNMENT * SDX_ALIGNMENT;
}

/* Tables differ in the group: fewer steps of k may mean other cuts. */
size_t sdx_dot_scratch(int64_t batch, int64_t m, int64_t n, int64_t k, int threads) {
    size_t most = 0, sums = sums_bytes(batch, m, n), all = 0;
    for (int64_t group = 2; group <= 4; group += 2) {
        size_t bytes = sdx_product_scratch(SDX_I8, batch, m, n, (k + group - 1) / group, false, false, threads);
        if (bytes > most) most = bytes;
    }
    return sdx_size_add(most, sums, &all) ? all : SIZE_MAX;
}

static int64_t batches(const sdx_dot *dot) {
    int64_t n = 1;
    for (int d = 0; d < dot->batch_rank; d++) n *= dot->batch_dim[d];
    return n;
}

/* Zero points that differ by batch make matrices differ, too. */
static sdx_factor panels_of(const sdx_dot_factor *factor, const side *s) {
    sdx_factor out = {.fill = fill_panels, .context = s};
    if (factor->packed) out = (sdx_factor){.packed = factor->packed};
    for (int d = 0; d < SDX_MAX_RANK; d++)
        out.batch_step[d] =
            factor->packed ? factor->matrix_step[d] : factor->batch_step[d] != 0 || factor->zero_batch_step[d] != 0;
    return out;
}

sdx_status sdx_dot_run(sdx_compute *compute, const sdx_dot *dot, void *scratch) {
    dot_job job = {.dot = dot, .kernels = compute->kernels, .group = compute->kernels->dot_group()};
    side a = {&job, false}, b = {&job, true};
    sdx_product product = {.dtype = SDX_I8, .m = dot->m, .n = dot->n, .alpha = 1, .beta = 1};
    product.k = (dot->k + job.group - 1) / job.group;
    product.batch_rank = dot->batch_rank;
    for (int d = 0; d < dot->batch_rank; d++) product.batch_dim[d] = dot->batch_dim[d];
    product.a = panels_of(&dot->a, &a), product.b = panels_of(&dot->b, &b);
    product.c = dot->c, product.wide = dot->c != NULL;
    product.finish = finish_block, product.finish_context = &job;
    job.one_a = sdx_factor_is_one(&product, &product.a), job.one_b = sdx_factor_is_one(&product, &product.b);
    if (job.group == 4) {
        const int64_t count = batches(dot);
        job.sums_a = scratch;
        job.sums_b = job.sums_a + dot->m * count;
        scratch = (char *)scratch + sums_bytes(count, dot->m, dot->n);
    }
    return sdx_product_run(compute, &product, scratch);
}
