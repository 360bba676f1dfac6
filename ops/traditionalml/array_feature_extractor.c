/* SPDX-License-Identifier: Apache-2.0
 * ArrayFeatureExtractor: Z[..., k] = X[..., Y[k]], whatever the shape of Y. X of rank 1 counts as one row, and Z is
 * [1,n] then. */
#include "ops/move.h"
#include "ops/traditionalml/ml.h"

static sdx_status extractor_infer(sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0], *y = infer->in[1];
    (void)params;
    if (x->rank == 0) return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank 0; it must have 1 or more");
    if (x->rank < 0) return SDX_OK;
    int64_t n = y->rank < 0 ? -1 : 1;
    for (int d = 0; d < y->rank && n >= 0; d++)
        if (y->dim[d] < 0 || !sdx_dim_mul(n, y->dim[d], &n)) n = -1;
    sdx_infer_same(infer, 0, 0);
    if (x->rank == 1) {
        infer->out[0].rank = 2;
        infer->out[0].dim[0] = 1;
    }
    infer->out[0].dim[infer->out[0].rank - 1] = n;
    return SDX_OK;
}

typedef struct job {
    size_t size;
    int64_t n, columns;
    const int64_t *index;
    const char *x;
    char *z;
} job;

static void extract(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        const char *from = j->x + (size_t)(row * j->columns) * j->size;
        char *to = j->z + (size_t)(row * j->n) * j->size;
        for (int64_t k = 0; k < j->n; k++)
            sdx_copy_run(to + (size_t)k * j->size, from + (size_t)j->index[k] * j->size, j->size);
    }
}

static sdx_status extractor_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0], *y = compute->in[1];
    (void)params;
    job j = {.size = sdx_dtype_size(x->dtype), .n = y->count, .columns = x->dim[x->rank - 1], .index = y->data};
    for (int64_t k = 0; k < j.n; k++)
        if (j.index[k] < 0 || j.index[k] >= j.columns)
            return sdx_fail(compute->error, SDX_VALUE, "input 'Y' has %lld at position %lld; it must be in [0, %lld)",
                            (long long)j.index[k], (long long)k, (long long)j.columns);
    sdx_tensor *z = compute->out[0];
    if (!z) {
        int64_t dims[SDX_MAX_RANK] = {1};
        const int rank = x->rank == 1 ? 2 : x->rank;
        for (int d = 0; d < x->rank - 1; d++) dims[d] = x->dim[d];
        dims[rank - 1] = j.n;
        z = sdx_compute_output(compute, 0, rank, dims);
        if (!z) return compute->error->status;
    }
    if (z->count == 0) return SDX_OK;
    j.x = x->data;
    j.z = z->data;
    return sdx_for(compute, z->count / j.n, sdx_grain(j.n), extract, &j);
}

const sdx_op sdx_op_ArrayFeatureExtractor = {
    .domain = SDX_ML,
    .name = "ArrayFeatureExtractor",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T Y:i64 -> Z:T", "T=" SDX_T_ML "|string", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = extractor_infer,
    .compute = extractor_compute,
    .grad = sdx_no_gradient,
};
