/* SPDX-License-Identifier: Apache-2.0
 * FeatureVectorizer: rows of the inputs one after the other, each cut or filled with zeros to its entry of
 * inputdimensions (without it: as they are). An input of rank 1 is one row. */
#include "ops/traditionalml/ml.h"
#include <string.h>

typedef struct vectorizer_params {
    sdx_ints widths;
} vectorizer_params;

static sdx_status vectorizer_bind(sdx_bind *bind, void *params) {
    vectorizer_params *p = params;
    p->widths = sdx_bind_ints(bind, "inputdimensions");
    for (size_t k = 0; k < p->widths.n; k++)
        if (p->widths.data[k] < 0 || p->widths.data[k] > INT32_MAX)
            sdx_bind_fail(bind, SDX_VALUE, "attribute 'inputdimensions' has %lld at %zu; it must be 0 or more",
                          (long long)p->widths.data[k], k);
    if (p->widths.n && p->widths.n != (size_t)bind->node->n_in)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'inputdimensions' has %zu entries; there are %d inputs", p->widths.n,
                      bind->node->n_in);
    return bind->status;
}

/* Columns of input k in the output, given the dims of the input; -1: not known. */
static int64_t width_of(const vectorizer_params *p, int k, int rank, const int64_t *dim) {
    if (p->widths.n) return p->widths.data[k];
    return rank < 0 ? -1 : sdx_ml_columns(rank, dim);
}

static sdx_status vectorizer_infer(sdx_infer *infer, const void *params) {
    const vectorizer_params *p = params;
    int64_t rows = -1, columns = 0;
    for (int k = 0; k < infer->n_in; k++) {
        const sdx_type *x = infer->in[k];
        if (x->rank == 0 || x->rank > 2)
            return sdx_fail(infer->error, SDX_SHAPE, "input %d has rank %d; it must be 1 or 2", k, x->rank);
        if (x->rank > 0)
            SDX_TRY(sdx_infer_merge_dim(infer, "numbers of rows", rows, sdx_ml_rows(x->rank, x->dim), &rows));
        const int64_t width = width_of(p, k, x->rank, x->dim);
        columns = columns < 0 || width < 0 ? -1 : columns + width;
    }
    infer->out[0] = sdx_type_make(SDX_F32, 2);
    infer->out[0].dim[0] = rows;
    infer->out[0].dim[1] = columns;
    return SDX_OK;
}

typedef struct job {
    const vectorizer_params *params;
    const sdx_compute *compute;
    const sdx_tensor *y;
} job;

static void join_rows(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        float *y = (float *)j->y->data + row * j->y->dim[1];
        for (int k = 0; k < j->compute->n_in; k++) {
            const sdx_tensor *x = j->compute->in[k];
            const int64_t have = sdx_ml_columns(x->rank, x->dim), want = width_of(j->params, k, x->rank, x->dim);
            const int64_t n = have < want ? have : want;
            const char *from = (const char *)x->data + (size_t)(row * have) * sdx_dtype_size(x->dtype);
            if (n) sdx_convert(j->compute->kernels, x->dtype, from, SDX_F32, y, n);
            if (want > n) memset(y + n, 0, (size_t)(want - n) * sizeof *y);
            y += want;
        }
    }
}

static sdx_status vectorizer_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *first = compute->in[0];
    int64_t dims[2] = {sdx_ml_rows(first->rank, first->dim), 0};
    for (int k = 0; k < compute->n_in; k++) dims[1] += width_of(params, k, compute->in[k]->rank, compute->in[k]->dim);
    job j = {params, compute, sdx_compute_output(compute, 0, 2, dims)};
    if (!j.y) return compute->error->status;
    if (j.y->count == 0) return SDX_OK;
    return sdx_for(compute, dims[0], sdx_grain(2 * dims[1]), join_rows, &j);
}

const sdx_op sdx_op_FeatureVectorizer = {
    .domain = SDX_ML,
    .name = "FeatureVectorizer",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T1* -> Y:f32", "T1=" SDX_T_ML, "inputdimensions:ints"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(vectorizer_params),
    .bind = vectorizer_bind,
    .infer = vectorizer_infer,
    .compute = vectorizer_compute,
    .grad = sdx_no_gradient,
};
