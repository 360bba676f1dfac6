/* SPDX-License-Identifier: Apache-2.0
 * scores = X coefficients' + intercepts, on the gemm tiles. */
#include "ops/math/product.h"
#include "ops/traditionalml/ml.h"

static double *widen(sdx_bind *bind, const float *x, size_t n) {
    double *y = SDX_NEW_ARRAY(bind->arena, double, n ? n : 1, bind->error);
    if (!y && bind->status == SDX_OK) bind->status = bind->error->status;
    for (size_t k = 0; y && k < n; k++) y[k] = (double)x[k];
    return y;
}

void sdx_ml_linear_bind(sdx_bind *bind, int64_t targets, sdx_ml_linear *linear) {
    size_t n = 0, n_bias = 0;
    linear->weight = sdx_bind_floats(bind, "coefficients", &n);
    linear->bias = sdx_bind_floats(bind, "intercepts", &n_bias);
    linear->targets = targets;
    if (bind->status != SDX_OK) return;
    if (targets < 1 || n == 0 || n % (size_t)targets) {
        sdx_bind_fail(bind, SDX_VALUE,
                      "attribute 'coefficients' has %zu entries; it must have some, for each of %lld scores", n,
                      (long long)targets);
        return;
    }
    if (n_bias && n_bias != (size_t)targets) {
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'intercepts' has %zu entries; it must have 0 or %lld", n_bias,
                      (long long)targets);
        return;
    }
    linear->columns = (int64_t)(n / (size_t)targets);
    linear->wide_weight = widen(bind, linear->weight, n);
    linear->wide_bias = n_bias ? widen(bind, linear->bias, n_bias) : NULL;
    if (!n_bias) linear->bias = NULL;
}

static sdx_dtype work_of(sdx_dtype dtype) { return dtype == SDX_F32 ? SDX_F32 : SDX_F64; }

size_t sdx_ml_linear_scratch(const sdx_infer *infer, const sdx_ml_linear *linear) {
    const sdx_type *x = infer->in[0];
    const int64_t rows = sdx_ml_rows(x->rank, x->dim), pair = linear->targets > 2 ? linear->targets : 2;
    const sdx_dtype work = work_of(x->dtype);
    size_t total = 0;
    size_t product = sdx_product_scratch(work, 1, rows, linear->targets, linear->columns, false, false, infer->threads);
    if (product == SIZE_MAX) return SIZE_MAX;
    if (work != x->dtype) sdx_ml_reserve(&total, rows, linear->columns, sdx_dtype_size(work));
    sdx_ml_reserve(&total, rows, linear->targets, sdx_dtype_size(work));
    sdx_ml_reserve(&total, infer->threads, pair, sizeof(double));
    sdx_ml_reserve(&total, (int64_t)product, 1, 1);
    return total;
}

typedef struct job {
    const sdx_ml_linear *linear;
    sdx_dtype work;
    const void *scores;
    double *spare;
    sdx_ml_row_fn fn;
    const void *context;
} job;

static void finish(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const int64_t n = j->linear->targets;
    double *row = j->spare + worker * (n > 2 ? n : 2);
    for (int64_t r = begin; r < end; r++) {
        for (int64_t c = 0; c < n; c++)
            row[c] = j->work == SDX_F32 ? (double)((const float *)j->scores)[r * n + c]
                                        : ((const double *)j->scores)[r * n + c];
        j->fn(j->context, r, row);
    }
}

sdx_status sdx_ml_linear_run(sdx_compute *compute, const sdx_ml_linear *linear, sdx_ml_row_fn fn, const void *context) {
    const sdx_tensor *x = compute->in[0];
    const int64_t rows = sdx_ml_rows(x->rank, x->dim), n = linear->targets;
    job j = {.linear = linear, .work = work_of(x->dtype), .fn = fn, .context = context};
    const bool narrow = j.work == SDX_F32;
    char *room = compute->scratch;
    if (rows == 0) return SDX_OK;
    const void *data = sdx_ml_elements(compute, x, j.work, &room);
    if (!data) return compute->error->status;
    void *scores = sdx_ml_take(&room, rows, n, sdx_dtype_size(j.work));
    j.scores = scores;
    j.spare = sdx_ml_take(&room, sdx_pool_threads(compute->pool), n > 2 ? n : 2, sizeof(double));
    sdx_product product = {
        .dtype = j.work, .m = rows, .n = n, .k = linear->columns, .alpha = 1, .beta = 1, .c = scores};
    product.a = (sdx_factor){.data = data, .line_step = linear->columns, .k_step = 1};
    product.b = (sdx_factor){
        .data = narrow ? (const void *)linear->weight : linear->wide_weight, .line_step = linear->columns, .k_step = 1};
    product.column_bias = narrow ? (const void *)linear->bias : linear->wide_bias;
    SDX_TRY(sdx_product_run(compute, &product, room));
    return sdx_for(compute, rows, sdx_grain(16 * n), finish, &j);
}
