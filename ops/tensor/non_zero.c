/* SPDX-License-Identifier: Apache-2.0
 * NonZero: the indices of elements that are not zero (NaN is not; a string that is not empty is not), in row-major
 * order, one column each: [rank, count]. Counted first, in parts, then written. */
#include "ops/move.h"

enum { PART = 16384 };

static sdx_status nonzero_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int rank = sdx_infer_rank_of(infer, 0);
    sdx_type *y = &infer->out[0];
    y->rank = 2;
    y->dim[0] = rank;
    y->dim[1] = -1;
    return SDX_OK;
}

/* Bits of an element of `size` bytes, or half of a complex one, that make it non-zero: all but the sign of floats. */
#define MARK(T, mask)                                                                                                  \
    do {                                                                                                               \
        const T *bits = x;                                                                                             \
        for (int64_t k = 0; k < n; k++) marks[k] = (uint8_t)((bits[k] & (T)(mask)) != 0);                              \
    } while (0)
#define MARK_PAIR(T, mask)                                                                                             \
    do {                                                                                                               \
        const T *bits = x;                                                                                             \
        for (int64_t k = 0; k < n; k++) marks[k] = (uint8_t)(((bits[2 * k] | bits[2 * k + 1]) & (T)(mask)) != 0);      \
    } while (0)

static void mark(sdx_dtype dtype, const void *x, int64_t n, uint8_t *marks) {
    const int class = sdx_dtype_class(dtype);
    if (class == SDX_CLASS_STRING) {
        for (int64_t k = 0; k < n; k++) marks[k] = ((const sdx_string *)x)[k].size != 0;
    } else if (class == SDX_CLASS_COMPLEX) {
        if (dtype == SDX_C64)
            MARK_PAIR(uint32_t, INT32_MAX);
        else
            MARK_PAIR(uint64_t, INT64_MAX);
    } else if (class == SDX_CLASS_FLOAT) {
        if (dtype == SDX_F64)
            MARK(uint64_t, INT64_MAX);
        else if (dtype == SDX_F32)
            MARK(uint32_t, INT32_MAX);
        else
            MARK(uint16_t, INT16_MAX);
    } else {
        switch (sdx_dtype_size(dtype)) {
        case 1: MARK(uint8_t, UINT8_MAX); break;
        case 2: MARK(uint16_t, UINT16_MAX); break;
        case 4: MARK(uint32_t, UINT32_MAX); break;
        default: MARK(uint64_t, UINT64_MAX); break;
        }
    }
}

typedef struct nonzero_job {
    const sdx_tensor *x;
    int64_t *first; /* of each part: its count, then the column where it begins */
    int64_t *y, total;
} nonzero_job;

enum { TILE = 512 };

static int64_t mark_tile(const nonzero_job *job, int64_t at, int64_t end, uint8_t *marks) {
    int64_t n = end - at < TILE ? end - at : TILE;
    mark(job->x->dtype, (const char *)job->x->data + (size_t)at * sdx_dtype_size(job->x->dtype), n, marks);
    return n;
}

static int64_t end_of(const nonzero_job *job, int64_t part) {
    return job->x->count - part * PART < PART ? job->x->count : (part + 1) * PART;
}

static void count_parts(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const nonzero_job *job = argument;
    uint8_t marks[TILE];
    for (int64_t p = begin; p < end; p++) {
        int64_t count = 0;
        for (int64_t at = p * PART, n; at < end_of(job, p); at += n) {
            n = mark_tile(job, at, end_of(job, p), marks);
            for (int64_t k = 0; k < n; k++) count += marks[k];
        }
        job->first[p] = count;
    }
}

static void write_parts(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const nonzero_job *job = argument;
    const sdx_tensor *x = job->x;
    uint8_t marks[TILE];
    for (int64_t p = begin; p < end; p++) {
        int64_t index[SDX_MAX_RANK], column = job->first[p], rest = p * PART, known = rest;
        for (int d = x->rank - 1; d >= 0; rest /= x->dim[d--]) index[d] = rest % x->dim[d];
        for (int64_t at = p * PART, n; at < end_of(job, p); at += n) {
            n = mark_tile(job, at, end_of(job, p), marks);
            for (int64_t k = 0; k < n; k++) {
                if (!marks[k]) continue;
                index[x->rank - 1] += at + k - known; /* index is that of element `known`, moved on when needed */
                known = at + k;
                for (int d = x->rank - 1; d > 0 && index[d] >= x->dim[d]; d--) {
                    index[d - 1] += index[d] / x->dim[d];
                    index[d] %= x->dim[d];
                }
                for (int d = 0; d < x->rank; d++) job->y[d * job->total + column] = index[d];
                column++;
            }
        }
    }
}

static sdx_status nonzero_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *x = compute->in[0];
    const int64_t parts = x->count / PART + (x->count % PART != 0);
    nonzero_job job = {.x = x};
    job.first = compute->services->alloc(compute, (size_t)(parts + 1) * sizeof(int64_t));
    if (!job.first) return compute->error->status;
    SDX_TRY(sdx_for(compute, parts, 1, count_parts, &job));
    for (int64_t p = 0; p < parts; p++) {
        int64_t count = job.first[p];
        job.first[p] = job.total;
        job.total += count;
    }
    const int64_t dims[2] = {x->rank, job.total};
    sdx_tensor *y = sdx_compute_output(compute, 0, 2, dims);
    if (!y) return compute->error->status;
    job.y = y->data;
    return y->count ? sdx_for(compute, parts, 1, write_parts, &job) : SDX_OK;
}

const sdx_op sdx_op_NonZero = {
    .domain = "",
    .name = "NonZero",
    .versions = (const sdx_op_version[]){{9, "X:T -> Y:i64", "T=" SDX_T_ALL, ""},
                                         {13, "X:T -> Y:i64", "T=" SDX_T_ALL_BF, ""},
                                         {0, NULL, NULL, NULL}},
    .infer = nonzero_infer,
    .compute = nonzero_compute,
    .grad = sdx_no_gradient,
};
