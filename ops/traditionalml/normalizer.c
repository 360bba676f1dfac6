/* SPDX-License-Identifier: Apache-2.0
 * Normalizer: rows divided by their greatest element (MAX), the sum of their absolute values (L1) or their length (L2);
 * a divisor of zero changes nothing. */
#include "ops/traditionalml/ml.h"
#include <math.h>

typedef struct normalizer_params {
    int norm;
} normalizer_params;

enum { NORM_MAX, NORM_L1, NORM_L2 };

static sdx_status normalizer_bind(sdx_bind *bind, void *params) {
    static const char *const names[] = {"MAX", "L1", "L2"};
    ((normalizer_params *)params)->norm = sdx_bind_choice(bind, "norm", names, 3);
    return bind->status;
}

static sdx_status normalizer_infer(sdx_infer *infer, const void *params) {
    int64_t rows = 0;
    (void)params;
    SDX_TRY(sdx_ml_infer_rows(infer, -1, &rows));
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dtype = SDX_F32;
    return SDX_OK;
}

static size_t normalizer_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0];
    size_t total = 0;
    (void)params;
    if (x->dtype != SDX_F32)
        sdx_ml_reserve(&total, sdx_ml_rows(x->rank, x->dim), sdx_ml_columns(x->rank, x->dim), sizeof(double));
    return total;
}

typedef struct job {
    const struct sdx_kernels *kernels;
    int norm;
    int64_t columns;
    const void *x;
    float *y;
} job;

static double divisor(double norm) { return norm == 0 ? 1 : norm; }

static void normalize_f32(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const int64_t n = j->columns;
    const double none = -INFINITY;
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        const float *x = (const float *)j->x + row * n;
        float *y = j->y + row * n;
        double norm = none;
        if (j->norm == NORM_L1)
            norm = j->kernels->abs_sum_f32(x, n);
        else if (j->norm == NORM_L2)
            norm = sqrt(j->kernels->square_sum_f32(x, n, 0));
        else
            j->kernels->reducer(SDX_REDUCER_MAX, SDX_F32)->rows(x, n, 1, 0, &norm, NULL);
        norm = divisor(norm);
        for (int64_t c = 0; c < n; c++) y[c] = (float)((double)x[c] / norm);
    }
}

static void normalize_f64(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const int64_t n = j->columns;
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        const double *x = (const double *)j->x + row * n;
        float *y = j->y + row * n;
        double norm = -INFINITY;
        if (j->norm == NORM_L1)
            norm = j->kernels->abs_sum_f64(x, n);
        else if (j->norm == NORM_L2)
            norm = sqrt(j->kernels->square_sum_f64(x, n, 0));
        else
            j->kernels->reducer(SDX_REDUCER_MAX, SDX_F64)->rows(x, n, 1, 0, &norm, NULL);
        norm = divisor(norm);
        for (int64_t c = 0; c < n; c++) y[c] = (float)(x[c] / norm);
    }
}

static sdx_status normalizer_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    const sdx_dtype work = x->dtype == SDX_F32 ? SDX_F32 : SDX_F64;
    const int64_t columns = sdx_ml_columns(x->rank, x->dim);
    char *room = compute->scratch;
    if (x->count == 0) return SDX_OK;
    job j = {compute->kernels, ((const normalizer_params *)params)->norm, columns,
             sdx_ml_elements(compute, x, work, &room), compute->out[0]->data};
    if (!j.x) return compute->error->status;
    return sdx_for(compute, x->count / columns, sdx_grain(4 * columns), work == SDX_F32 ? normalize_f32 : normalize_f64,
                   &j);
}

const sdx_op sdx_op_Normalizer = {
    .domain = SDX_ML,
    .name = "Normalizer",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:f32", "T=" SDX_T_ML, "norm:string=MAX"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(normalizer_params),
    .bind = normalizer_bind,
    .infer = normalizer_infer,
    .scratch = normalizer_scratch,
    .compute = normalizer_compute,
    .grad = sdx_no_gradient,
};
