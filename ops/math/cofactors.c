/* SPDX-License-Identifier: Apache-2.0
 * Cofactors: the derivative of each determinant by its matrix A, singular or not. With complete pivoting B A Q = U, B
 * unit lower triangular up to the exchanges of rows; then adj(A) = s Q adj(U) B, and for U = [R u; 0 d]
 * adj(U) = det R [d R^-1, -R^-1 u; 0, 1], which never divides by the last pivot. If R is singular too, all are 0. */
#include "ops/kernels/kernels.h"
#include "ops/lines.h"
#include <math.h>
#include <string.h>

static sdx_status cofactors_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    return SDX_OK;
}

/* The matrix, B, and the order of the columns. */
static size_t room_bytes(int64_t n) {
    size_t square, bytes;
    return sdx_size_mul((size_t)n, (size_t)n, &square) && sdx_size_mul(square, 2 * sizeof(double), &bytes) &&
                   sdx_size_add(bytes, (size_t)n * sizeof(int64_t), &bytes) && bytes <= SIZE_MAX / 2
               ? sdx_align(bytes)
               : SIZE_MAX;
}

static size_t cofactors_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0];
    size_t bytes = room_bytes(x->dim[x->rank - 1]);
    return bytes != SIZE_MAX && sdx_size_mul(bytes, (size_t)infer->threads, &bytes) ? bytes : SIZE_MAX;
}

typedef struct cofactors_job {
    const sdx_kernels *kernels;
    const sdx_tensor *x, *y;
    int64_t n;
    char *room;
} cofactors_job;

typedef struct matrix {
    int64_t n;
    double *u, *b, sign;
    int64_t *column; /* of A, that stands at place k */
} matrix;

static void exchange(double *a, double *b, int64_t n, int64_t step) {
    for (int64_t k = 0; k < n; k++, a += step, b += step) {
        double kept = *a;
        *a = *b;
        *b = kept;
    }
}

/* Brings the largest of what is left to place k of the diagonal. */
static void pivot(matrix *m, int64_t k) {
    const int64_t n = m->n;
    int64_t row = k, column = k;
    for (int64_t i = k; i < n; i++)
        for (int64_t j = k; j < n; j++)
            if (fabs(m->u[i * n + j]) > fabs(m->u[row * n + column])) row = i, column = j;
    if (row != k) {
        exchange(m->u + k * n, m->u + row * n, n, 1);
        exchange(m->b + k * n, m->b + row * n, n, 1);
        m->sign = -m->sign;
    }
    if (column != k) {
        exchange(m->u + k, m->u + column, n, n);
        int64_t kept = m->column[k];
        m->column[k] = m->column[column], m->column[column] = kept;
        m->sign = -m->sign;
    }
}

/* A becomes U and the identity B; false: the rank is below n - 1. */
static bool eliminate(matrix *m) {
    const int64_t n = m->n;
    for (int64_t k = 0; k < n - 1; k++) {
        pivot(m, k);
        const double head = m->u[k * n + k];
        if (head == 0) return false;
        for (int64_t i = k + 1; i < n; i++) {
            const double factor = m->u[i * n + k] / head;
            for (int64_t j = k; j < n; j++) m->u[i * n + j] -= factor * m->u[k * n + j];
            for (int64_t j = 0; j < n; j++) m->b[i * n + j] -= factor * m->b[k * n + j];
        }
    }
    return true;
}

/* B becomes adj(U) B: its last row times det R, the others R^-1 (d B - u b) det R from below. */
static void multiply(matrix *m) {
    const int64_t n = m->n, last = n - 1;
    double det = m->sign;
    for (int64_t k = 0; k < last; k++) det *= m->u[k * n + k];
    const double d = m->u[last * n + last], *bottom = m->b + last * n;
    for (int64_t i = last - 1; i >= 0; i--) {
        double *row = m->b + i * n;
        for (int64_t j = 0; j < n; j++) row[j] = d * row[j] - m->u[i * n + last] * bottom[j];
        for (int64_t k = i + 1; k < last; k++)
            for (int64_t j = 0; j < n; j++) row[j] -= m->u[i * n + k] * m->b[k * n + j];
        for (int64_t j = 0; j < n; j++) row[j] /= m->u[i * n + i];
    }
    for (int64_t i = 0; i < n * n; i++) m->b[i] *= det;
}

/* Row k of Q^T adj(A) is row column[k] of adj(A), which is transposed on the way. */
static void cofactors(matrix *m, const cofactors_job *job, int64_t at) {
    const int64_t n = m->n;
    const size_t size = sdx_dtype_size(job->x->dtype);
    m->sign = 1;
    memset(m->b, 0, (size_t)(n * n) * sizeof *m->b);
    for (int64_t k = 0; k < n; k++) m->b[k * n + k] = 1, m->column[k] = k;
    sdx_convert(job->kernels, job->x->dtype, (const char *)job->x->data + (size_t)(at * n * n) * size, SDX_F64, m->u,
                n * n);
    if (eliminate(m))
        multiply(m);
    else
        memset(m->b, 0, (size_t)(n * n) * sizeof *m->b);
    for (int64_t k = 0; k < n; k++)
        for (int64_t j = 0; j < n; j++) m->u[j * n + m->column[k]] = m->b[k * n + j];
    sdx_convert(job->kernels, SDX_F64, m->u, job->y->dtype, (char *)job->y->data + (size_t)(at * n * n) * size, n * n);
}

static void cofactors_chunk(void *argument, int64_t begin, int64_t end, int worker) {
    const cofactors_job *job = argument;
    const int64_t n = job->n;
    char *room = job->room + (size_t)worker * room_bytes(n);
    matrix m = {.n = n, .u = (double *)(void *)room};
    m.b = m.u + n * n;
    m.column = (int64_t *)(void *)(m.b + n * n);
    for (int64_t at = begin; at < end; at++) cofactors(&m, job, at);
}

static sdx_status cofactors_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *x = compute->in[0], *y = compute->out[0];
    cofactors_job job = {
        .kernels = compute->kernels, .x = x, .y = y, .n = x->dim[x->rank - 1], .room = compute->scratch};
    if (x->count == 0) return SDX_OK;
    const int64_t each = job.n < 1024 ? 4 * job.n * job.n * job.n : INT64_MAX / 2;
    return sdx_for(compute, x->count / (job.n * job.n), sdx_grain(each), cofactors_chunk, &job);
}

const sdx_op sdx_op_Cofactors = {
    .domain = "sdx",
    .name = "Cofactors",
    .versions = (const sdx_op_version[]){{1, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, ""}, {0, NULL, NULL, NULL}},
    .infer = cofactors_infer,
    .scratch = cofactors_scratch,
    .compute = cofactors_compute,
    .flags = SDX_OP_INTERNAL,
};
