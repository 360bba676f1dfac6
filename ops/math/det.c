/* SPDX-License-Identifier: Apache-2.0
 * Det: determinants of the matrices in the last two dimensions, by LU with partial pivoting in f64: the product of the
 * pivots, negated for every exchange of rows. Small matrices are shared out among the threads, of a large one its rows.
 */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/lines.h"
#include <math.h>
#include <string.h>

enum { LARGE = 256 };

static sdx_status det_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0];
    if (x->rank < 0) return SDX_OK;
    if (x->rank < 2) return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be 2 or more", x->rank);
    SDX_TRY(sdx_infer_merge_dim(infer, "the last two dimensions of input 'X'", x->dim[x->rank - 2], x->dim[x->rank - 1],
                                NULL));
    infer->out[0].rank = x->rank - 2;
    memcpy(infer->out[0].dim, x->dim, (size_t)(x->rank - 2) * sizeof x->dim[0]);
    return SDX_OK;
}

static size_t matrix_bytes(int64_t n) {
    size_t bytes;
    return sdx_size_mul((size_t)n, (size_t)n, &bytes) && sdx_size_mul(bytes, sizeof(double), &bytes) &&
                   bytes <= SIZE_MAX / 2
               ? sdx_align(bytes)
               : SIZE_MAX;
}

static size_t det_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0];
    size_t bytes = matrix_bytes(x->dim[x->rank - 1]);
    if (bytes == SIZE_MAX || x->dim[x->rank - 1] >= LARGE) return bytes;
    return sdx_size_mul(bytes, (size_t)infer->threads, &bytes) ? bytes : SIZE_MAX;
}

typedef struct det_job {
    const sdx_kernels *kernels;
    const sdx_tensor *x, *y;
    int64_t n;
    char *room;
    double *a; /* the matrix in work, of which `step` columns are done */
    int64_t step;
} det_job;

/* Rows step + 1 + [begin, end) lose their multiple of row `step`. */
static void eliminate(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const det_job *job = argument;
    const int64_t n = job->n, k = job->step;
    const double *pivot = job->a + k * n;
    for (int64_t i = k + 1 + begin; i < k + 1 + end; i++) {
        double *row = job->a + i * n, factor = row[k] / pivot[k];
        if (factor == 0) continue;
        for (int64_t j = k + 1; j < n; j++) row[j] -= factor * pivot[j];
    }
}

/* Brings the largest element of column `step` to the diagonal; false when the column is all zero. */
static bool choose_pivot(const det_job *job, double *det) {
    const int64_t n = job->n, k = job->step;
    int64_t best = k;
    for (int64_t i = k + 1; i < n; i++)
        if (fabs(job->a[i * n + k]) > fabs(job->a[best * n + k]) || isnan(job->a[i * n + k])) best = i;
    if (best != k) {
        *det = -*det;
        for (int64_t j = k; j < n; j++) {
            double other = job->a[k * n + j];
            job->a[k * n + j] = job->a[best * n + j];
            job->a[best * n + j] = other;
        }
    }
    return job->a[k * n + k] != 0;
}

/* compute NULL: this thread alone. */
static sdx_status determinant(sdx_compute *compute, det_job *job, int64_t matrix) {
    const int64_t n = job->n;
    double det = 1;
    const char *x = (const char *)job->x->data + (size_t)(matrix * n * n) * sdx_dtype_size(job->x->dtype);
    sdx_convert(job->kernels, job->x->dtype, x, SDX_F64, job->a, n * n);
    for (job->step = 0; job->step < n && det != 0; job->step++) {
        if (!choose_pivot(job, &det)) det = 0;
        det *= job->a[job->step * (n + 1)];
        const int64_t rows = n - job->step - 1;
        if (det == 0) break;
        if (compute)
            SDX_TRY(sdx_for(compute, rows, sdx_grain(n - job->step), eliminate, job));
        else
            eliminate(job, 0, rows, 0);
    }
    sdx_convert(job->kernels, SDX_F64, &det, job->y->dtype,
                (char *)job->y->data + (size_t)matrix * sdx_dtype_size(job->y->dtype), 1);
    return SDX_OK;
}

static void small_matrices(void *argument, int64_t begin, int64_t end, int worker) {
    det_job job = *(const det_job *)argument;
    job.a = (double *)(void *)(job.room + (size_t)worker * matrix_bytes(job.n));
    for (int64_t m = begin; m < end; m++) determinant(NULL, &job, m);
}

static sdx_status det_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *x = compute->in[0], *y = compute->out[0];
    det_job job = {.kernels = compute->kernels, .x = x, .y = y, .n = x->dim[x->rank - 1], .room = compute->scratch};
    if (job.n < LARGE) return sdx_for(compute, y->count, sdx_grain(job.n * job.n * job.n), small_matrices, &job);
    job.a = (double *)(void *)job.room;
    for (int64_t m = 0; m < y->count; m++) SDX_TRY(determinant(compute, &job, m));
    return SDX_OK;
}

static sdx_status det_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0], last = sdx_patch_i64s(patch, (int64_t[]){-2, -1}, 2);
    sdx_id cofactors = sdx_patch_node(patch, "sdx", "Cofactors", 1, &X, 1)->out[0];
    grad->exact = true;
    grad->dX[0] = sdx_emit2(patch, "Mul", sdx_emit2(patch, "Unsqueeze", grad->dY[0], last), cofactors);
    return patch->status;
}

const sdx_op sdx_op_Det = {
    .domain = "",
    .name = "Det",
    .versions = (const sdx_op_version[]){{11, "X:T -> Y:T", "T=" SDX_T_FLOAT, ""},
                                         {22, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, ""},
                                         {0, NULL, NULL, NULL}},
    .infer = det_infer,
    .scratch = det_scratch,
    .compute = det_compute,
    .grad = det_grad,
};
