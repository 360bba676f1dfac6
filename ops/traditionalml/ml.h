/* SPDX-License-Identifier: Apache-2.0
 * What the operators of ai.onnx.ml share: rows of X, labels of classes, transforms of scores, lookup of categories. */
#ifndef SDX_OPS_ML_H
#define SDX_OPS_ML_H
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include "runtime/base/names.h"

#define SDX_ML   "ai.onnx.ml"
#define SDX_T_ML "f32|f64|i32|i64" /* what most of them take */

/* ---- rows: X is [N,C], or [C], which is one row ------------------------------------------------------------------ */

/* X must have rank 1 or 2 (or unknown), and `columns` columns; -1: any number. *rows: -1 where it is not known. */
sdx_status sdx_ml_infer_rows(sdx_infer *infer, int64_t columns, int64_t *rows);
int64_t sdx_ml_rows(int rank, const int64_t *dim);
int64_t sdx_ml_columns(int rank, const int64_t *dim);

/* ---- workspace laid out piece by piece --------------------------------------------------------------------------- */

/* Adds room for a * b elements of `size` bytes, to whole cache lines; SIZE_MAX stays. */
void sdx_ml_reserve(size_t *total, int64_t a, int64_t b, size_t size);
void *sdx_ml_take(char **room, int64_t a, int64_t b, size_t size);
/* The elements of x as f32 or f64: its own bytes, or converted into room, which must have been reserved then. */
const void *sdx_ml_elements(sdx_compute *compute, const sdx_tensor *x, sdx_dtype dtype, char **room);

/* ---- labels ------------------------------------------------------------------------------------------------------ */

/* A list of strings or of integers given by one of two attributes. */
typedef struct sdx_ml_list {
    bool text;
    int64_t n;
    const int64_t *ints;
    const sdx_string *strings;
} sdx_ml_list;

/* Exactly one of the two must be there and not be empty. */
sdx_ml_list sdx_ml_bind_list(sdx_bind *bind, const char *ints, const char *strings);
static inline sdx_dtype sdx_ml_list_dtype(const sdx_ml_list *list) { return list->text ? SDX_STRING : SDX_I64; }
/* out[i] = entry k; or, where there is but one label, 1 (k > 0) and 0. out may be NULL. */
void sdx_ml_put_label(const sdx_tensor *out, int64_t i, const sdx_ml_list *labels, int64_t k);

/* Types of the outputs of a classifier: labels [N] and scores [N,`scores`]. */
sdx_status sdx_ml_infer_classes(sdx_infer *infer, const sdx_ml_list *labels, int64_t columns, int64_t scores);

/* The outputs of a classifier; NULL where nobody reads them. */
sdx_status sdx_ml_class_outputs(sdx_compute *compute, int64_t scores, const sdx_tensor **y, const sdx_tensor **z);

/* ---- scores ------------------------------------------------------------------------------------------------------ */

typedef enum sdx_ml_post { /* numbered as in TreeEnsemble */
                           SDX_POST_NONE,
                           SDX_POST_SOFTMAX,
                           SDX_POST_LOGISTIC,
                           SDX_POST_SOFTMAX_ZERO,
                           SDX_POST_PROBIT
} sdx_ml_post;

sdx_ml_post sdx_ml_bind_post(sdx_bind *bind);
double sdx_ml_logistic(double x);
/* n scores of one row, in place. A single score is only ever changed by PROBIT: that is what models are made for. */
void sdx_ml_transform(sdx_ml_post post, int64_t n, double *scores);
/* Both scores of a row from the one of the second class: (1 - s, s), or (-s, s) when `signed_`; LOGISTIC makes both
 * probabilities, SOFTMAX and SOFTMAX_ZERO change nothing. */
void sdx_ml_pair(sdx_ml_post post, bool signed_, double score, double pair[2]);
int64_t sdx_ml_greatest(int64_t n, const double *scores);
/* Row i of an f32, f16 or f64 tensor with n columns; nothing when out is NULL. */
void sdx_ml_put_row(const sdx_tensor *out, int64_t i, int64_t n, const double *scores);

/* ---- lookup ------------------------------------------------------------------------------------------------------ */

/* Positions by key: strings, or 64-bit numbers. Of equal keys the last counts. */
typedef struct sdx_ml_lookup {
    uint64_t seed[2];
    bool text;
    size_t n, mask;
    const uint64_t *numbers;
    const sdx_string *strings;
    uint32_t *slot; /* position + 1; 0: free */
} sdx_ml_lookup;

/* The keys are borrowed. */
void sdx_ml_lookup_numbers(sdx_bind *bind, const uint64_t *numbers, size_t n, sdx_ml_lookup *out);
void sdx_ml_lookup_strings(sdx_bind *bind, const sdx_string *strings, size_t n, sdx_ml_lookup *out);
void sdx_ml_lookup_list(sdx_bind *bind, const sdx_ml_list *list, sdx_ml_lookup *out);
/* -1: not there. */
int64_t sdx_ml_find_number(const sdx_ml_lookup *lookup, uint64_t number);
int64_t sdx_ml_find_string(const sdx_ml_lookup *lookup, sdx_string string);
/* The key under which a float is looked up: NaN is NaN whatever its bits, -0 is 0. */
uint64_t sdx_ml_float_key(double value);

/* ---- linear models ----------------------------------------------------------------------------------------------- */

/* scores = X coefficients' + intercepts, for `targets` rows of coefficients. In f32 when X is f32, else in f64. */
typedef struct sdx_ml_linear {
    int64_t targets, columns;
    const float *weight, *bias;
    const double *wide_weight, *wide_bias;
} sdx_ml_linear;

void sdx_ml_linear_bind(sdx_bind *bind, int64_t targets, sdx_ml_linear *linear);
size_t sdx_ml_linear_scratch(const sdx_infer *infer, const sdx_ml_linear *linear);
/* One row, its scores as numbers that may be written to; `worker` as in sdx_for. */
typedef void (*sdx_ml_row_fn)(const void *context, int64_t row, double *scores);
sdx_status sdx_ml_linear_run(sdx_compute *compute, const sdx_ml_linear *linear, sdx_ml_row_fn fn, const void *context);

#endif
