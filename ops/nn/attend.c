/* SPDX-License-Identifier: Apache-2.0
 * What a query sees and what is added to its scores; the choice between the two ways to run. */
#include "ops/nn/attend.h"
#include <math.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Padding, the causal frontier and the window are all bounds on the key, so what they leave is one interval. */
sdx_attend_row sdx_attend_row_of(const sdx_attend *a, int64_t batch, int64_t kv_head, int64_t row) {
    sdx_attend_row r = {.batch = batch, .head = kv_head * (a->heads / a->kv_heads) + row / a->queries};
    r.query = row % a->queries;
    const int64_t valid = a->nonpad ? a->nonpad[batch] : a->keys;
    const int64_t position = r.query + (a->nonpad ? valid - a->queries : a->offset);
    r.high = least(valid, a->keys);
    if (a->causal) r.high = least(r.high, position + 1);
    if (a->right >= 0 && a->right < a->keys + a->queries) r.high = least(r.high, position + a->right + 1);
    if (a->left >= 0 && position > a->left) r.low = position - a->left;
    if (r.high < r.low) r.low = r.high = 0;
    return r;
}

int64_t sdx_attend_run_of_keys(const sdx_attend *a, bool values, int64_t batch, int64_t head, int64_t key, int64_t end,
                               sdx_attend_view *run) {
    const bool past = key < a->past;
    *run = values ? past ? a->past_v : a->v : past ? a->past_k : a->k;
    run->data = sdx_attend_at(run, batch, head, past ? key : key - a->past);
    return (past ? least(end, a->past) : end) - key;
}

void sdx_attend_load_query(const sdx_attend *a, const sdx_kernels *kernels, const sdx_attend_row *row, void *to) {
    float narrow = (float)a->scale;
    sdx_convert(kernels, a->q.dtype, sdx_attend_at(&a->q, row->batch, row->head, row->query), a->work, to, a->size);
    const void *by = a->work == SDX_F64 ? (const void *)&a->scale : &narrow;
    kernels->binary(SDX_BINARY_Mul, a->work)(to, 1, by, 0, to, a->size);
}

#define LOAD_BIAS(T)                                                                                                   \
    T *bias = to;                                                                                                      \
    for (int64_t k = 0; is_bool && k < m; k++) bias[k] = masked[k] == a->mask_hides ? (T)-INFINITY : 0;                \
    for (int64_t k = 1; a->mask_column && k < n; k++) bias[k] = bias[0];                                               \
    for (int64_t k = m; !a->mask_column && k < n; k++) bias[k] = (T)-INFINITY;

void sdx_attend_load_bias(const sdx_attend *a, const sdx_kernels *kernels, const sdx_attend_row *row, int64_t key,
                          int64_t n, void *to) {
    const int64_t m = a->mask_column ? 1 : least(n, key < a->mask_keys ? a->mask_keys - key : 0);
    const char *from = sdx_attend_at(&a->mask, row->batch, row->head, row->query);
    if (!a->mask_column) from += key * (int64_t)sdx_dtype_size(a->mask.dtype);
    const bool is_bool = a->mask.dtype == SDX_BOOL, *masked = (const void *)from;
    if (!is_bool && m > 0) sdx_convert(kernels, a->mask.dtype, from, a->work, to, m);
    if (a->work == SDX_F64) {
        LOAD_BIAS(double)
    } else {
        LOAD_BIAS(float)
    }
}

#define FILL(T)                                                                                                        \
    T *score = scores;                                                                                                 \
    const T fill = (T)a->fill;                                                                                         \
    for (int64_t k = 0; k < n; k++) score[k] = score[k] == (T)-INFINITY ? fill : score[k];

void sdx_attend_fill(const sdx_attend *a, void *scores, int64_t n) {
    if (a->work == SDX_F64) {
        FILL(double)
    } else {
        FILL(float)
    }
}

double sdx_attend_factor(const sdx_attend *a, double sum, bool *empty) {
    *empty = a->empty == SDX_EMPTY_NAN ? a->keys == 0 : sum == 0 || (a->empty == SDX_EMPTY_ZERO_OR_NAN && isnan(sum));
    return *empty ? 0 : sum == 0 ? (double)NAN : 1 / sum;
}

void sdx_attend_cap(const sdx_attend *a, const sdx_kernels *kernels, void *x, int64_t n) {
    const double wide[2] = {1 / a->softcap, a->softcap};
    const float narrow[2] = {(float)wide[0], (float)wide[1]};
    const bool f64 = a->work == SDX_F64;
    sdx_binary_fn multiply = kernels->binary(SDX_BINARY_Mul, a->work);
    multiply(x, 1, f64 ? (const void *)&wide[0] : &narrow[0], 0, x, n);
    kernels->unary(SDX_UNARY_Tanh, a->work)(x, x, n, NULL);
    multiply(x, 1, f64 ? (const void *)&wide[1] : &narrow[1], 0, x, n);
}

size_t sdx_attend_scratch(const sdx_attend *a, int threads) {
    if (a->batch == 0 || sdx_attend_rows(a) == 0) return 0;
    return sdx_attend_rows_fit(a) ? sdx_attend_rows_scratch(a, threads) : sdx_attend_tiles_scratch(a, threads);
}

sdx_status sdx_attend_run(sdx_compute *compute, const sdx_attend *a, void *scratch) {
    if (a->batch == 0 || sdx_attend_rows(a) == 0) return SDX_OK;
    return sdx_attend_rows_fit(a) ? sdx_attend_rows_run(compute, a, scratch)
                                  : sdx_attend_tiles_run(compute, a, scratch);
}
