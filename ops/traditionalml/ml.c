/* SPDX-License-Identifier: Apache-2.0
 * Rows, labels and scores. Where the specification is silent (one score for two classes, one class), the rules are
 * those that models in use were made with. */
#include "ops/traditionalml/ml.h"
#include "runtime/base/half.h"
#include <math.h>
#include <string.h>

int64_t sdx_ml_rows(int rank, const int64_t *dim) { return rank == 1 ? 1 : dim[0]; }
int64_t sdx_ml_columns(int rank, const int64_t *dim) { return rank == 1 ? dim[0] : dim[1]; }

sdx_status sdx_ml_infer_rows(sdx_infer *infer, int64_t columns, int64_t *rows) {
    const sdx_type *x = infer->in[0];
    *rows = -1;
    if (x->rank < 0) return SDX_OK;
    if (x->rank != 1 && x->rank != 2)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be 1 or 2", x->rank);
    const int64_t found = sdx_ml_columns(x->rank, x->dim);
    if (columns >= 0 && found >= 0 && found != columns)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has %lld columns; it must have %lld", (long long)found,
                        (long long)columns);
    *rows = sdx_ml_rows(x->rank, x->dim);
    return SDX_OK;
}

/* ---- workspace --------------------------------------------------------------------------------------------------- */

void sdx_ml_reserve(size_t *total, int64_t a, int64_t b, size_t size) {
    size_t bytes = 0;
    if (*total == SIZE_MAX) return;
    if (a < 0 || b < 0 || !sdx_size_mul((size_t)a, (size_t)b, &bytes) || !sdx_size_mul(bytes, size, &bytes) ||
        !sdx_size_add(bytes, SDX_ALIGNMENT - 1, &bytes) ||
        !sdx_size_add(*total, bytes / SDX_ALIGNMENT * SDX_ALIGNMENT, total))
        *total = SIZE_MAX;
}

void *sdx_ml_take(char **room, int64_t a, int64_t b, size_t size) {
    void *piece = *room;
    size_t bytes = 0;
    sdx_ml_reserve(&bytes, a, b, size);
    *room += bytes;
    return piece;
}

typedef struct convert_job {
    const struct sdx_kernels *kernels;
    const sdx_tensor *x;
    sdx_dtype to;
    char *y;
} convert_job;

static void convert_chunk(void *argument, int64_t begin, int64_t end, int worker) {
    const convert_job *job = argument;
    (void)worker;
    sdx_convert(job->kernels, job->x->dtype, (const char *)job->x->data + (size_t)begin * sdx_dtype_size(job->x->dtype),
                job->to, job->y + (size_t)begin * sdx_dtype_size(job->to), end - begin);
}

const void *sdx_ml_elements(sdx_compute *compute, const sdx_tensor *x, sdx_dtype dtype, char **room) {
    if (x->dtype == dtype) return x->data;
    convert_job job = {compute->kernels, x, dtype, sdx_ml_take(room, x->count, 1, sdx_dtype_size(dtype))};
    if (sdx_for(compute, x->count, SDX_GRAIN_CHEAP, convert_chunk, &job) != SDX_OK) return NULL;
    return job.y;
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

sdx_ml_list sdx_ml_bind_list(sdx_bind *bind, const char *ints, const char *strings) {
    sdx_ints numbers = sdx_bind_ints(bind, ints);
    size_t n = 0;
    const sdx_string *texts = sdx_bind_strings(bind, strings, &n);
    if ((numbers.n == 0) == (n == 0))
        sdx_bind_fail(bind, SDX_VALUE, "attributes '%s' and '%s' have %zu and %zu entries; one of them must have some",
                      ints, strings, numbers.n, n);
    return (sdx_ml_list){.text = n > 0, .n = (int64_t)(n ? n : numbers.n), .ints = numbers.data, .strings = texts};
}

void sdx_ml_put_label(const sdx_tensor *out, int64_t i, const sdx_ml_list *labels, int64_t k) {
    static const sdx_string said[2] = {{"0", 1}, {"1", 1}};
    if (!out) return;
    const bool one = labels->n == 1;
    if (labels->text)
        ((sdx_string *)out->data)[i] = one ? said[k > 0] : labels->strings[k];
    else
        ((int64_t *)out->data)[i] = one ? k > 0 : labels->ints[k];
}

sdx_status sdx_ml_infer_classes(sdx_infer *infer, const sdx_ml_list *labels, int64_t columns, int64_t scores) {
    int64_t rows = 0;
    SDX_TRY(sdx_ml_infer_rows(infer, columns, &rows));
    infer->out[0] = sdx_type_make(sdx_ml_list_dtype(labels), 1);
    infer->out[0].dim[0] = rows;
    if (infer->n_out < 2) return SDX_OK;
    infer->out[1] = sdx_type_make(SDX_F32, 2);
    infer->out[1].dim[0] = rows;
    infer->out[1].dim[1] = scores;
    return SDX_OK;
}

sdx_status sdx_ml_class_outputs(sdx_compute *compute, int64_t scores, const sdx_tensor **y, const sdx_tensor **z) {
    const sdx_tensor *x = compute->in[0], **out[2] = {y, z};
    const int64_t dims[2] = {sdx_ml_rows(x->rank, x->dim), scores};
    for (int k = 0; k < 2; k++) {
        *out[k] = NULL;
        if (k >= compute->n_out || !compute->wanted[k]) continue;
        *out[k] = sdx_compute_output(compute, k, k + 1, dims);
        if (!*out[k]) return compute->error->status;
    }
    return SDX_OK;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

sdx_ml_post sdx_ml_bind_post(sdx_bind *bind) {
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    return (sdx_ml_post)sdx_bind_choice(bind, "post_transform", names, 5);
}

double sdx_ml_logistic(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* The approximation of erf's inverse by S. Winitzki with a = 0.147, which models of this kind assume. */
static double probit(double p) {
    const double x = 2 * p - 1, a = 0.147, log_term = log((1 - x) * (1 + x));
    const double v = 2 / (3.14159265358979323846 * a) + 0.5 * log_term;
    return copysign(1.41421356237309504880 * sqrt(sqrt(v * v - log_term / a) - v), x);
}

/* SOFTMAX_ZERO: scores that are zero stay so and do not count. */
static void softmax(int64_t n, double *scores, bool keep_zero) {
    double most = -INFINITY, sum = 0;
    for (int64_t k = 0; k < n; k++) most = scores[k] > most ? scores[k] : most;
    for (int64_t k = 0; k < n; k++) {
        if (keep_zero && fabs(scores[k]) <= 1e-7)
            scores[k] *= exp(-most);
        else
            sum += scores[k] = exp(scores[k] - most);
    }
    for (int64_t k = 0; k < n && sum != 0; k++) scores[k] /= sum;
}

void sdx_ml_transform(sdx_ml_post post, int64_t n, double *scores) {
    if (post == SDX_POST_NONE || (n == 1 && post != SDX_POST_PROBIT)) return;
    if (post == SDX_POST_SOFTMAX || post == SDX_POST_SOFTMAX_ZERO) {
        softmax(n, scores, post == SDX_POST_SOFTMAX_ZERO);
        return;
    }
    for (int64_t k = 0; k < n; k++)
        scores[k] = post == SDX_POST_LOGISTIC ? sdx_ml_logistic(scores[k]) : probit(scores[k]);
}

void sdx_ml_pair(sdx_ml_post post, bool signed_, double score, double pair[2]) {
    const bool whole = signed_ && post != SDX_POST_PROBIT;
    pair[0] = whole || post == SDX_POST_LOGISTIC ? -score : 1 - score;
    pair[1] = score;
    if (post == SDX_POST_LOGISTIC || post == SDX_POST_PROBIT) sdx_ml_transform(post, 2, pair);
}

int64_t sdx_ml_greatest(int64_t n, const double *scores) {
    int64_t best = 0;
    for (int64_t k = 1; k < n; k++)
        if (scores[k] > scores[best]) best = k;
    return best;
}

void sdx_ml_put_row(const sdx_tensor *out, int64_t i, int64_t n, const double *scores) {
    if (!out) return;
    if (out->dtype == SDX_F32) {
        float *y = (float *)out->data + i * n;
        for (int64_t k = 0; k < n; k++) y[k] = (float)scores[k];
    } else if (out->dtype == SDX_F64) {
        memcpy((double *)out->data + i * n, scores, (size_t)n * sizeof *scores);
    } else {
        uint16_t *y = (uint16_t *)out->data + i * n;
        for (int64_t k = 0; k < n; k++) y[k] = sdx_f16_from_f32((float)scores[k]);
    }
}
