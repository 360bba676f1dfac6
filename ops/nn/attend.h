/* SPDX-License-Identifier: Apache-2.0
 * Scaled dot-product attention Y = softmax(cap(scale Q K^T) + bias) V that Attention and FlexAttention share. Keys are
 * taken a tile at a time with a running softmax; the score matrix never exists, unless it is asked for. Computed in f32
 * or f64 and rounded once. */
#ifndef SDX_OPS_NN_ATTEND_H
#define SDX_OPS_NN_ATTEND_H
#include "ops/kernels/kernels.h"
#include "ops/loop.h"

/* Element e of row r of head h of batch b lies at data[b * batch + h * head + r * row + e]. */
typedef struct sdx_attend_view {
    void *data;
    sdx_dtype dtype;
    int64_t batch, head, row;
} sdx_attend_view;

typedef enum sdx_attend_scores {
    SDX_SCORES_RAW,
    SDX_SCORES_CAPPED,
    SDX_SCORES_BIASED,
    SDX_SCORES_SOFTMAX
} sdx_attend_scores;

/* What a query gives that has no softmax. */
typedef enum sdx_attend_empty {
    SDX_EMPTY_ZERO,       /* 0 when it sees no key */
    SDX_EMPTY_NAN,        /* NaN when it sees none of the keys there are, as exp(-inf + inf) */
    SDX_EMPTY_ZERO_OR_NAN /* 0 for that and for NaN */
} sdx_attend_empty;

typedef struct sdx_attend {
    int64_t batch, heads, kv_heads, queries, keys, size, value_size; /* keys: the past ones included */
    sdx_attend_view q, k, v, y;
    sdx_attend_view past_k, past_v; /* of keys [0, past) */
    int64_t past;
    sdx_dtype work;        /* f32 or f64 */
    double scale, softcap; /* softcap 0: none */
    sdx_attend_view mask;  /* data NULL: none; bool, or added to the scores; strides 0 where it broadcasts */
    int64_t mask_keys;     /* keys beyond are masked */
    bool mask_column;      /* one element of the mask serves all keys of a row */
    bool mask_hides;       /* bool: true masks; else false does */
    double fill;           /* bool: what masked scores become when `filled`; else -inf */
    bool filled;
    sdx_attend_empty empty;
    const int64_t *nonpad; /* valid keys of each batch; NULL: all */
    int64_t offset;        /* position of the first query; with nonpad: that batch's nonpad - queries */
    bool causal;
    int64_t left, right;    /* window, keys to either side of the query's position; -1: no bound */
    sdx_attend_view scores; /* data NULL: not wanted; [batch, heads, queries, keys] */
    sdx_attend_scores mode;
} sdx_attend;

/* Bytes of scratch; SIZE_MAX when too large. Reads no data, but whether data of scores is NULL. */
size_t sdx_attend_scratch(const sdx_attend *attend, int threads);
sdx_status sdx_attend_run(sdx_compute *compute, const sdx_attend *attend, void *scratch);

/* ---- shared by the two ways to run it (attend_tiles.c, attend_rows.c) ------------------------------------------- */

/* All queries of the heads that one head of K and V serves. */
static inline int64_t sdx_attend_rows(const sdx_attend *a) {
    return a->kv_heads ? a->heads / a->kv_heads * a->queries : 0;
}

/* One query; it may see keys [low, high), which is empty when high <= low. */
typedef struct sdx_attend_row {
    int64_t batch, head, query, low, high;
} sdx_attend_row;
sdx_attend_row sdx_attend_row_of(const sdx_attend *a, int64_t batch, int64_t kv_head, int64_t row);

static inline char *sdx_attend_at(const sdx_attend_view *view, int64_t batch, int64_t head, int64_t row) {
    int64_t at = batch * view->batch + head * view->head + row * view->row;
    return (char *)view->data + at * (int64_t)sdx_dtype_size(view->dtype);
}
/* The longest run of keys from `key` on, below `end`, that lie in one tensor: its view, with data at that key. */
int64_t sdx_attend_run_of_keys(const sdx_attend *a, bool values, int64_t batch, int64_t head, int64_t key, int64_t end,
                               sdx_attend_view *run);
/* The query times scale, in the work dtype. */
void sdx_attend_load_query(const sdx_attend *a, const sdx_kernels *kernels, const sdx_attend_row *row, void *to);
/* What the mask adds to the scores of keys [key, key + n), in the work dtype. */
void sdx_attend_load_bias(const sdx_attend *a, const sdx_kernels *kernels, const sdx_attend_row *row, int64_t key,
                          int64_t n, void *to);
/* Scores that the mask made -inf become `fill`. */
void sdx_attend_fill(const sdx_attend *a, void *scores, int64_t n);
/* The factor of a query whose exponentials have this sum; *empty: it gives 0 instead. */
double sdx_attend_factor(const sdx_attend *a, double sum, bool *empty);
/* x = cap tanh(x / cap) */
void sdx_attend_cap(const sdx_attend *a, const sdx_kernels *kernels, void *x, int64_t n);

size_t sdx_attend_tiles_scratch(const sdx_attend *attend, int threads);
sdx_status sdx_attend_tiles_run(sdx_compute *compute, const sdx_attend *attend, void *scratch);
bool sdx_attend_rows_fit(const sdx_attend *attend);
size_t sdx_attend_rows_scratch(const sdx_attend *attend, int threads);
sdx_status sdx_attend_rows_run(sdx_compute *compute, const sdx_attend *attend, void *scratch);

#endif
