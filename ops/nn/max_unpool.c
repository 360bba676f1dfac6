/* SPDX-License-Identifier: Apache-2.0
 * MaxUnpool: each element of X goes to the place that I gives, all else is zero; where places repeat, the last wins.
 * Places count over the shape that X, kernel_shape, strides and pads imply, which lies in the first corner of
 * output_shape; where it does not fit there, padding is implied and places count over output_shape itself. */
#include "ops/grad.h"
#include "ops/move.h"
#include "ops/nn/window.h"
#include <inttypes.h>

typedef struct unpool_params {
    sdx_window_attrs window;
} unpool_params;

static sdx_status unpool_bind(sdx_bind *bind, void *params) {
    unpool_params *p = params;
    p->window.kernel_shape = sdx_bind_ints(bind, "kernel_shape");
    p->window.strides = sdx_bind_ints(bind, "strides");
    p->window.pads = sdx_bind_ints(bind, "pads");
    return bind->status;
}

/* implied[]: what X and the attributes say; unknown lengths stay unknown. */
static sdx_status imply(sdx_error *error, const unpool_params *p, const sdx_type *x, int64_t *implied) {
    sdx_window w;
    const int rank = x->rank - 2;
    if (rank < 1) return sdx_fail(error, SDX_SHAPE, "input 'X' has rank %d; it must be 3 or more", x->rank);
    if (p->window.kernel_shape.n != (size_t)rank)
        return sdx_fail(error, SDX_SHAPE, "attribute 'kernel_shape' has %zu entries; it must have %d",
                        p->window.kernel_shape.n, rank);
    SDX_TRY(sdx_window_steps(error, &p->window, rank, p->window.kernel_shape.data, &w));
    SDX_TRY(sdx_window_pads(error, &p->window, &w));
    for (int d = 0; d < x->rank; d++) {
        implied[d] = x->dim[d];
        if (d < 2 || x->dim[d] < 0) continue;
        const int s = d - 2;
        if (x->dim[d] > INT32_MAX)
            return sdx_fail(error, SDX_SHAPE, "dimension %d of input 'X' is %" PRId64 "; at most %d is supported", d,
                            x->dim[d], (int)INT32_MAX);
        implied[d] = (x->dim[d] - 1) * w.stride[s] + w.kernel[s] - w.begin[s] - w.end[s];
        if (implied[d] < 0 || x->dim[d] == 0) implied[d] = 0;
    }
    return SDX_OK;
}

static sdx_status check_shape(sdx_error *error, const sdx_type *x, const int64_t *shape, int n) {
    if (n != x->rank)
        return sdx_fail(error, SDX_SHAPE, "input 'output_shape' has %d entries; input 'X' has rank %d", n, x->rank);
    for (int d = 0; d < n; d++) {
        if (shape[d] < 0)
            return sdx_fail(error, SDX_VALUE,
                            "entry %d of input 'output_shape' is %" PRId64 "; it must not be negative", d, shape[d]);
        if (d < 2 && x->dim[d] >= 0 && shape[d] != x->dim[d])
            return sdx_fail(error, SDX_VALUE,
                            "entry %d of input 'output_shape' is %" PRId64 "; dimension %d of input 'X' is %" PRId64, d,
                            shape[d], d, x->dim[d]);
    }
    return SDX_OK;
}

static sdx_status unpool_infer(sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0], *indices = infer->in[1];
    sdx_type *y = &infer->out[0];
    int64_t shape[SDX_MAX_RANK];
    const bool given = infer->n_in > 2 && infer->in[2];
    int n = -1;
    if (given) SDX_TRY(sdx_infer_i64s(infer, 2, "output_shape", shape, SDX_MAX_RANK, &n));
    if (x->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, 1, "I", x->rank));
    for (int d = 0; d < x->rank && indices->rank >= 0; d++)
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of inputs 'X' and 'I'", x->dim[d], indices->dim[d], NULL));
    SDX_TRY(imply(infer->error, params, x, y->dim));
    y->rank = x->rank;
    if (!given) return SDX_OK;
    if (n >= 0) SDX_TRY(check_shape(infer->error, x, shape, n));
    for (int d = 0; d < x->rank; d++) y->dim[d] = n >= 0 ? shape[d] : d < 2 ? x->dim[d] : -1;
    return SDX_OK;
}

typedef struct unpool_job {
    const sdx_tensor *x, *indices;
    sdx_tensor *y;
    int64_t from[SDX_MAX_RANK]; /* the shape that places count over */
    int64_t plane, places;      /* elements of X and places of one channel */
    bool same;                  /* places are positions in Y */
} unpool_job;

/* Where place `at` lies in Y. */
static int64_t position(const unpool_job *job, int64_t at) {
    int64_t to = 0, step = 1;
    for (int d = job->y->rank - 1; d >= 0; d--) {
        to += at % job->from[d] * step;
        at /= job->from[d];
        step *= job->y->dim[d];
    }
    return to;
}

#define SCATTER(T)                                                                                                     \
    do {                                                                                                               \
        const T *x = job->x->data;                                                                                     \
        T *y = job->y->data;                                                                                           \
        if (job->same)                                                                                                 \
            for (int64_t k = first; k < last; k++) y[at[k]] = x[k];                                                    \
        else                                                                                                           \
            for (int64_t k = first; k < last; k++) y[position(job, at[k])] = x[k];                                     \
    } while (0)

static void scatter(const unpool_job *job, int64_t first, int64_t last) {
    const int64_t *at = job->indices->data;
    switch (sdx_dtype_size(job->x->dtype)) {
    case 2: SCATTER(uint16_t); break;
    case 4: SCATTER(uint32_t); break;
    default: SCATTER(uint64_t);
    }
}

/* Channels, whose places are their own. */
static void scatter_planes(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const unpool_job *job = argument;
    const size_t bytes = sdx_tensor_bytes(job->y) / (size_t)(job->y->dim[0] * job->y->dim[1]);
    memset((char *)job->y->data + (size_t)begin * bytes, 0, (size_t)(end - begin) * bytes);
    scatter(job, begin * job->plane, end * job->plane);
}

/* *own: every place lies in the channel of its element. */
static sdx_status check_places(sdx_error *error, const unpool_job *job, bool *own) {
    const int64_t *at = job->indices->data, limit = job->places * job->y->dim[0] * job->y->dim[1];
    *own = true;
    for (int64_t first = 0, start = 0; first < job->x->count; first += job->plane, start += job->places) {
        int64_t low = INT64_MAX, high = INT64_MIN;
        for (int64_t k = first; k < first + job->plane; k++) {
            low = at[k] < low ? at[k] : low;
            high = at[k] > high ? at[k] : high;
        }
        *own = *own && low >= start && high - start < job->places;
        if (low >= 0 && high < limit) continue;
        for (int64_t k = first; k < first + job->plane; k++)
            if (at[k] < 0 || at[k] >= limit)
                return sdx_fail(error, SDX_VALUE,
                                "element %" PRId64 " of input 'I' is %" PRId64 "; it must be in [0, %" PRId64 "]", k,
                                at[k], limit - 1);
    }
    return SDX_OK;
}

static sdx_status unpool_compute(sdx_compute *compute, const void *params) {
    unpool_job job = {.x = compute->in[0], .indices = compute->in[1]};
    const sdx_tensor *given = compute->n_in > 2 ? compute->in[2] : NULL;
    const sdx_type type = sdx_type_of_tensor(job.x);
    int64_t shape[SDX_MAX_RANK];
    int n = 0;
    bool own = true;
    SDX_TRY(imply(compute->error, params, &type, job.from));
    memcpy(shape, job.from, sizeof shape);
    if (given) {
        SDX_TRY(sdx_read_i64s(compute->error, "output_shape", given, shape, SDX_MAX_RANK, &n));
        SDX_TRY(check_shape(compute->error, &type, shape, n));
        bool fits = true;
        for (int d = 0; d < n; d++) fits = fits && job.from[d] <= shape[d];
        if (!fits) memcpy(job.from, shape, sizeof shape);
    }
    job.y = sdx_compute_output(compute, 0, job.x->rank, shape);
    if (!job.y) return compute->error->status;
    job.same = memcmp(job.from, job.y->dim, (size_t)job.x->rank * sizeof shape[0]) == 0;
    job.plane = sdx_dims_product(job.x->dim, 2, job.x->rank);
    job.places = sdx_dims_product(job.from, 2, job.x->rank);
    SDX_TRY(check_places(compute->error, &job, &own));
    if (job.y->count == 0) return SDX_OK;
    const int64_t planes = job.y->dim[0] * job.y->dim[1];
    if (own) return sdx_for(compute, planes, sdx_grain(job.y->count / planes + 4 * job.plane), scatter_planes, &job);
    memset(job.y->data, 0, sdx_tensor_bytes(job.y));
    scatter(&job, 0, job.x->count);
    return SDX_OK;
}

/* dY at the places, which may count over a corner of it. */
static sdx_status unpool_grad(sdx_grad *grad, const void *params) {
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    const sdx_type *x = sdx_grad_type(patch, node->in[0]);
    const int64_t all = -1;
    sdx_id dY = grad->dY[0];
    if (node->n_in > 2 && node->in[2] != SDX_NONE) {
        const sdx_type *y = sdx_grad_type(patch, node->out[0]);
        int64_t implied[SDX_MAX_RANK], zeros[SDX_MAX_RANK] = {0};
        bool fits = true, same = true;
        if (!sdx_type_concrete(x) || !sdx_type_concrete(y))
            return sdx_fail(grad->error, SDX_UNSUPPORTED, "the shapes must be known where 'output_shape' is given");
        SDX_TRY(imply(grad->error, params, x, implied));
        for (int d = 0; d < x->rank; d++) {
            fits = fits && implied[d] <= y->dim[d];
            same = same && implied[d] == y->dim[d];
        }
        const size_t rank = (size_t)x->rank;
        if (fits && !same)
            dY =
                sdx_emit3(patch, "Slice", dY, sdx_patch_i64s(patch, zeros, rank), sdx_patch_i64s(patch, implied, rank));
    }
    const sdx_id flat = sdx_emit2(patch, "Reshape", dY, sdx_patch_i64s(patch, &all, 1));
    grad->dX[0] = sdx_emit2(patch, "Gather", flat, node->in[1]);
    grad->exact = true;
    return patch->status;
}

#define UNPOOL_INPUTS     "X:T1 I:T2 output_shape:T2? -> output:T1"
#define UNPOOL_ATTRIBUTES "kernel_shape:ints! pads:ints strides:ints"

const sdx_op sdx_op_MaxUnpool = {
    .domain = "",
    .name = "MaxUnpool",
    .versions = (const sdx_op_version[]){{9, UNPOOL_INPUTS, "T1=" SDX_T_FLOAT " T2=i64", UNPOOL_ATTRIBUTES},
                                         {11, UNPOOL_INPUTS, "T1=" SDX_T_FLOAT " T2=i64", UNPOOL_ATTRIBUTES},
                                         {22, UNPOOL_INPUTS, "T1=" SDX_T_FLOAT_BF " T2=i64", UNPOOL_ATTRIBUTES},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(unpool_params),
    .bind = unpool_bind,
    .infer = unpool_infer,
    .compute = unpool_compute,
    .grad = unpool_grad,
};
