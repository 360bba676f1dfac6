/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/math/dot_matmul.h"
#include "ops/math/matmul.h"

static int64_t elements(const sdx_type *type) {
    int64_t count = 1;
    for (int d = 0; d < type->rank; d++) count *= type->dim[d];
    return count;
}

sdx_status sdx_dot_lines_check(sdx_error *error, const char *name, const sdx_type *lines, const sdx_type *matrix,
                               bool is_b) {
    if (!sdx_type_concrete(lines) || !sdx_type_concrete(matrix) || (lines->rank <= 1 && elements(lines) == 1))
        return SDX_OK;
    const int k = is_b ? matrix->rank - 2 : matrix->rank - 1, line = is_b ? matrix->rank - 1 : matrix->rank - 2;
    bool fits = matrix->rank >= 2 && lines->rank == 1 && lines->dim[0] == matrix->dim[line];
    if (matrix->rank >= 2 && lines->rank == matrix->rank) {
        fits = true;
        for (int d = 0; d < matrix->rank; d++) fits = fits && lines->dim[d] == (d == k ? 1 : matrix->dim[d]);
    }
    if (fits) return SDX_OK;
    char is[128], of[128];
    return sdx_fail(error, SDX_SHAPE,
                    "input '%s' is %s; for a matrix %s it must be a scalar, or have one element for each %s", name,
                    sdx_type_text(lines, is, sizeof is), sdx_type_text(matrix, of, sizeof of), is_b ? "column" : "row");
}

static bool is_vector(const sdx_type *lines) { return lines && lines->rank == 1 && lines->dim[0] != 1; }

static void set_lines(sdx_dot_factor *factor, const sdx_type *lines, int batch_rank, int64_t count) {
    if (!lines || elements(lines) == 1) return;
    factor->zero_step = 1;
    if (lines->rank > 2 && batch_rank > 0) {
        sdx_matmul_side side = {lines->rank, lines->dim};
        sdx_matmul_steps(&side, batch_rank, count, factor->zero_batch_step);
    }
}

void sdx_dot_matmul(sdx_dot *dot, const sdx_type *a, const sdx_type *b, const sdx_type *lines_a,
                    const sdx_type *lines_b) {
    sdx_matmul_side side_a = {a->rank, a->dim}, side_b = {b->rank, b->dim};
    sdx_product product = {.dtype = SDX_I8};
    if (is_vector(lines_a) && a->rank > 2)
        sdx_matmul_batches(&product, &side_a, &side_b); /* rows of every matrix have the same zero points */
    else
        sdx_matmul_describe(&product, &side_a, &side_b);
    dot->m = product.m, dot->n = product.n, dot->k = product.k, dot->batch_rank = product.batch_rank;
    dot->a.line_step = product.a.line_step, dot->a.k_step = product.a.k_step;
    dot->b.line_step = product.b.line_step, dot->b.k_step = product.b.k_step;
    for (int d = 0; d < product.batch_rank; d++) {
        dot->batch_dim[d] = product.batch_dim[d];
        dot->a.batch_step[d] = product.a.batch_step[d];
        dot->b.batch_step[d] = product.b.batch_step[d];
    }
    set_lines(&dot->a, lines_a, dot->batch_rank, dot->m);
    set_lines(&dot->b, lines_b, dot->batch_rank, dot->n);
}

size_t sdx_dot_matmul_scratch(const sdx_type *a, const sdx_type *b, int threads) {
    size_t most = 0;
    for (int joined = 0; joined < 2; joined++) {
        sdx_matmul_side side_a = {a->rank, a->dim}, side_b = {b->rank, b->dim};
        sdx_product product = {.dtype = SDX_I8};
        int64_t batch = 1;
        if (joined)
            sdx_matmul_describe(&product, &side_a, &side_b);
        else
            sdx_matmul_batches(&product, &side_a, &side_b);
        for (int d = 0; d < product.batch_rank; d++) batch *= product.batch_dim[d];
        size_t bytes = sdx_dot_scratch(batch, product.m, product.n, product.k, threads);
        if (bytes > most) most = bytes;
    }
    return most;
}
