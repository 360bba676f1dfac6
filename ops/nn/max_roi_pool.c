/* SPDX-License-Identifier: Apache-2.0
 * MaxRoiPool: the greatest element of each bin of a region whose corners are rounded to whole elements, both included.
 * Bins may overlap by one element; an empty one gives 0, as do regions with a NaN. NaN elements win. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/lines.h"
#include "ops/move.h"
#include "runtime/base/half.h"
#include <inttypes.h>
#include <math.h>

typedef struct roi_pool_params {
    int64_t height, width;
    double scale;
} roi_pool_params;

static sdx_status roi_pool_bind(sdx_bind *bind, void *params) {
    roi_pool_params *p = params;
    const sdx_ints shape = sdx_bind_ints(bind, "pooled_shape");
    p->scale = (double)sdx_bind_float(bind, "spatial_scale");
    if (bind->status) return bind->status;
    if (shape.n != 2)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'pooled_shape' has %zu entries; it must have 2", shape.n);
    for (int d = 0; d < 2; d++)
        if (shape.data[d] < 1 || shape.data[d] > INT32_MAX)
            return sdx_bind_fail(bind, SDX_VALUE, "attribute 'pooled_shape' holds %" PRId64 "; it must be in [1, %d]",
                                 shape.data[d], (int)INT32_MAX);
    p->height = shape.data[0], p->width = shape.data[1];
    return SDX_OK;
}

static sdx_status roi_pool_infer(sdx_infer *infer, const void *params) {
    const roi_pool_params *p = params;
    const sdx_type *x = infer->in[0], *rois = infer->in[1];
    sdx_type *y = &infer->out[0];
    SDX_TRY(sdx_infer_rank(infer, 0, "X", 4));
    SDX_TRY(sdx_infer_rank(infer, 1, "rois", 2));
    if (rois->rank == 2) SDX_TRY(sdx_infer_merge_dim(infer, "columns of 'rois'", rois->dim[1], 5, NULL));
    y->rank = 4;
    y->dim[0] = rois->rank == 2 ? rois->dim[0] : -1;
    y->dim[1] = x->rank == 4 ? x->dim[1] : -1;
    y->dim[2] = p->height, y->dim[3] = p->width;
    return SDX_OK;
}

typedef struct roi_pool_job {
    const roi_pool_params *p;
    const sdx_kernels *kernels;
    const sdx_tensor *x, *rois;
    sdx_tensor *y;
    const char *dy; /* backwards: dY; y is dX then */
    char *room;
    size_t row_bytes, each; /* of a worker: two rows, then the ranges of the bins */
} roi_pool_job;

/* False when it is too large. */
static bool measure(roi_pool_job *job, const roi_pool_params *p, sdx_dtype dtype, const int64_t *dims) {
    const size_t widest = (size_t)(dims[3] > p->width ? dims[3] : p->width);
    if (widest > SIZE_MAX / 64) return false;
    job->p = p;
    job->row_bytes = sdx_align(widest * sdx_dtype_size(sdx_work_dtype(dtype)));
    job->each = 2 * job->row_bytes + sdx_align((size_t)(p->height + p->width) * 2 * sizeof(int64_t));
    return true;
}

static size_t roi_pool_scratch(const sdx_infer *infer, const void *params) {
    roi_pool_job job = {.p = NULL};
    size_t size = 0;
    if (!measure(&job, params, infer->in[0]->dtype, infer->in[0]->dim)) return SIZE_MAX;
    return sdx_size_mul(job.each, (size_t)infer->threads, &size) ? size : SIZE_MAX;
}

/* Elements [range[2b], range[2b + 1]) of each bin b along an axis of n; none where the region has a NaN. */
static void find_bins(double from, double to, bool whole, int64_t bins, int64_t n, int64_t *range) {
    const int64_t first = (int64_t)from, last = (int64_t)to, length = last >= first ? last - first + 1 : 1;
    for (int64_t b = 0; b < bins; b++) {
        const int64_t ends[2] = {first + b * length / bins, first + ((b + 1) * length + bins - 1) / bins};
        for (int k = 0; k < 2; k++) range[2 * b + k] = !whole || ends[k] < 0 ? 0 : ends[k] < n ? ends[k] : n;
    }
}

/* One row of bins: the rows [top, bottom) of a plane, each element the greatest of its column, then of each bin. */
#define POOL_ROW(T, max_rows)                                                                                          \
    static void pool_row_##T(const roi_pool_job *job, const char *plane, int64_t top, int64_t bottom,                  \
                             const int64_t *bins, char *row, T *most, T *out) {                                        \
        const sdx_dtype dtype = job->x->dtype;                                                                         \
        const int64_t width = job->x->dim[3], left = bins[0], right = bins[2 * job->p->width - 1];                     \
        for (int64_t i = left; i < right; i++) most[i] = -(T)INFINITY;                                                 \
        for (int64_t r = top; r < bottom && left < right; r++) {                                                       \
            const void *x = plane + (size_t)(r * width + left) * sdx_dtype_size(dtype);                                \
            if (dtype != SDX_F32 && dtype != SDX_F64) {                                                                \
                sdx_convert(job->kernels, dtype, x, SDX_F32, row, right - left);                                       \
                x = row;                                                                                               \
            }                                                                                                          \
            max_rows(job->kernels, x, right - left, most + left);                                                      \
        }                                                                                                              \
        for (int64_t b = 0; b < job->p->width; b++) {                                                                  \
            const int64_t from = bins[2 * b], to = bins[2 * b + 1];                                                    \
            T v = top < bottom && from < to ? -(T)INFINITY : 0;                                                        \
            for (int64_t i = from; i < to && top < bottom && v == v; i++)                                              \
                if (most[i] > v || most[i] != most[i]) v = most[i];                                                    \
            out[b] = v;                                                                                                \
        }                                                                                                              \
    }
static void max_f32(const sdx_kernels *kernels, const void *x, int64_t n, float *y) { kernels->pool_max_f32(x, n, y); }
static void max_f64(const sdx_kernels *kernels, const void *x, int64_t n, double *y) {
    const double *v = x;
    (void)kernels;
    for (int64_t i = 0; i < n; i++) y[i] = v[i] > y[i] || v[i] != v[i] ? v[i] : y[i];
}
POOL_ROW(float, max_f32)
POOL_ROW(double, max_f64)

static void pool_plane(const roi_pool_job *job, const char *x, char *y, const int64_t *rows, const int64_t *columns,
                       char *row) {
    const sdx_dtype dtype = job->x->dtype;
    void *most = row + job->row_bytes;
    for (int64_t h = 0; h < job->p->height; h++, y += (size_t)job->p->width * sdx_dtype_size(dtype)) {
        const int64_t top = rows[2 * h], bottom = rows[2 * h + 1];
        if (dtype == SDX_F64) {
            pool_row_double(job, x, top, bottom, columns, row, most, (void *)y);
        } else if (dtype == SDX_F32) {
            pool_row_float(job, x, top, bottom, columns, row, most, (void *)y);
        } else {
            pool_row_float(job, x, top, bottom, columns, row, most, (void *)row);
            sdx_convert(job->kernels, SDX_F32, row, dtype, y, job->p->width);
        }
    }
}

/* The bins of region k; its image is returned. */
static int64_t find_region(const roi_pool_job *job, int64_t k, int64_t *rows, int64_t *columns) {
    const sdx_dtype dtype = job->x->dtype;
    double box[5];
    bool whole = true;
    sdx_convert(job->kernels, dtype, (const char *)job->rois->data + (size_t)(5 * k) * sdx_dtype_size(dtype), SDX_F64,
                box, 5);
    for (int c = 1; c < 5; c++) {
        const float single = (float)box[c] * (float)job->p->scale; /* ties as the numbers of the model mean them */
        whole = whole && !isnan(box[c]);
        box[c] = round(dtype == SDX_F64 ? box[c] * job->p->scale : (double)single);
        box[c] = fmin(fmax(box[c], -0x1p30), 0x1p30);
    }
    find_bins(box[2], box[4], whole, job->p->height, job->x->dim[2], rows);
    find_bins(box[1], box[3], whole, job->p->width, job->x->dim[3], columns);
    return (int64_t)box[0];
}

static void pool_regions(void *argument, int64_t begin, int64_t end, int worker) {
    const roi_pool_job *job = argument;
    const int64_t *dims = job->x->dim, channels = dims[1], plane = dims[2] * dims[3];
    const int64_t bins = job->p->height * job->p->width;
    const size_t size = sdx_dtype_size(job->x->dtype);
    char *row = job->room + (size_t)worker * job->each;
    int64_t *rows = (void *)(row + 2 * job->row_bytes), *columns = rows + 2 * job->p->height;
    for (int64_t k = begin; k < end; k++) {
        const int64_t image = find_region(job, k, rows, columns) * channels;
        for (int64_t c = 0; c < channels; c++)
            pool_plane(job, (const char *)job->x->data + (size_t)((image + c) * plane) * size,
                       (char *)job->y->data + (size_t)((k * channels + c) * bins) * size, rows, columns, row);
    }
}

static sdx_status roi_pool_compute(sdx_compute *compute, const void *params) {
    const roi_pool_params *p = params;
    const sdx_tensor *x = compute->in[0], *rois = compute->in[1];
    roi_pool_job job = {.p = p, .kernels = compute->kernels, .x = x, .rois = rois, .room = compute->scratch};
    if (!measure(&job, p, x->dtype, x->dim)) return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "rows of bins");
    for (int64_t k = 0; k < rois->dim[0]; k++) {
        double batch = 0;
        sdx_convert(compute->kernels, rois->dtype,
                    (const char *)rois->data + (size_t)(5 * k) * sdx_dtype_size(rois->dtype), SDX_F64, &batch, 1);
        if (!(batch >= 0 && batch < (double)x->dim[0]))
            return sdx_fail(compute->error, SDX_VALUE,
                            "row %" PRId64 " of input 'rois' names batch %g; it must be in [0, %" PRId64 "]", k, batch,
                            x->dim[0] - 1);
    }
    job.y = sdx_compute_output(compute, 0, 4, (int64_t[]){rois->dim[0], x->dim[1], p->height, p->width});
    if (!job.y) return compute->error->status;
    return sdx_for(compute, rois->dim[0], 1, pool_regions, &job);
}

/* ---- MaxRoiPoolGrad(X, rois, dY): each bin gives its dY to its first greatest element ---------------------------- */

static sdx_status back_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    SDX_TRY(sdx_infer_rank(infer, 0, "X", 4));
    SDX_TRY(sdx_infer_rank(infer, 1, "rois", 2));
    return sdx_infer_rank(infer, 2, "dY", 4);
}

/* Of a worker: the ranges of bins, then x, dx and dY of one plane in the dtype of the work. */
static bool measure_back(roi_pool_job *job, const roi_pool_params *p, sdx_dtype dtype, const int64_t *dims) {
    const size_t wide = sdx_dtype_size(sdx_work_dtype(dtype));
    size_t plane = 0, bins = 0;
    job->p = p;
    if (!sdx_size_mul((size_t)(dims[2] * dims[3]), 2 * wide, &plane) ||
        !sdx_size_mul((size_t)(p->height * p->width), wide, &bins) || plane > SIZE_MAX / 8 || bins > SIZE_MAX / 8)
        return false;
    job->row_bytes = sdx_align((size_t)(p->height + p->width) * 2 * sizeof(int64_t));
    job->each = job->row_bytes + sdx_align(plane) + sdx_align(bins);
    return true;
}

static size_t back_scratch(const sdx_infer *infer, const void *params) {
    roi_pool_job job = {.p = NULL};
    size_t size = 0;
    if (!measure_back(&job, params, infer->in[0]->dtype, infer->in[0]->dim)) return SIZE_MAX;
    return sdx_size_mul(job.each, (size_t)infer->threads, &size) ? size : SIZE_MAX;
}

#define GIVE(T)                                                                                                        \
    static void give_##T(const roi_pool_job *job, const int64_t *rows, const int64_t *columns, const T *x,             \
                         const T *dy, T *to) {                                                                         \
        const int64_t width = job->x->dim[3];                                                                          \
        for (int64_t bin = 0; bin < job->p->height * job->p->width; bin++) {                                           \
            const int64_t *down = rows + 2 * (bin / job->p->width), *across = columns + 2 * (bin % job->p->width);     \
            int64_t best = -1;                                                                                         \
            for (int64_t r = down[0]; r < down[1]; r++)                                                                \
                for (int64_t k = r * width + across[0]; k < r * width + across[1]; k++)                                \
                    if (best < 0 || x[k] > x[best] || (x[k] != x[k] && x[best] == x[best])) best = k;                  \
            if (best >= 0) to[best] += dy[bin];                                                                        \
        }                                                                                                              \
    }
GIVE(float)
GIVE(double)

static void give_planes(void *argument, int64_t begin, int64_t end, int worker) {
    const roi_pool_job *job = argument;
    const sdx_dtype dtype = job->x->dtype, work = sdx_work_dtype(dtype);
    const int64_t channels = job->x->dim[1], n = job->x->dim[2] * job->x->dim[3], bins = job->p->height * job->p->width;
    const size_t size = sdx_dtype_size(dtype), wide = sdx_dtype_size(work);
    char *room = job->room + (size_t)worker * job->each;
    int64_t *rows = (void *)room, *columns = rows + 2 * job->p->height;
    char *x = room + job->row_bytes, *to = x + (size_t)n * wide, *dy = to + (size_t)n * wide;
    for (int64_t plane = begin; plane < end; plane++) {
        sdx_convert(job->kernels, dtype, (const char *)job->x->data + (size_t)(plane * n) * size, work, x, n);
        memset(to, 0, (size_t)n * wide);
        for (int64_t k = 0; k < job->rois->dim[0]; k++) {
            if (find_region(job, k, rows, columns) != plane / channels) continue;
            const char *from = job->dy + (size_t)((k * channels + plane % channels) * bins) * size;
            sdx_convert(job->kernels, dtype, from, work, dy, bins);
            if (work == SDX_F64)
                give_double(job, rows, columns, (const void *)x, (const void *)dy, (void *)to);
            else
                give_float(job, rows, columns, (const void *)x, (const void *)dy, (void *)to);
        }
        sdx_convert(job->kernels, work, to, dtype, (char *)job->y->data + (size_t)(plane * n) * size, n);
    }
}

static sdx_status back_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    roi_pool_job job = {.kernels = compute->kernels, .x = x, .rois = compute->in[1], .y = compute->out[0]};
    job.room = compute->scratch;
    job.dy = compute->in[2]->data;
    if (!measure_back(&job, params, x->dtype, x->dim))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "planes of an image");
    return sdx_for(compute, x->dim[0] * x->dim[1], 1, give_planes, &job);
}

const sdx_op sdx_op_MaxRoiPoolGrad = {.domain = "sdx",
                                      .name = "MaxRoiPoolGrad",
                                      .versions =
                                          (const sdx_op_version[]){{1, "X:T rois:T dY:T -> dX:T", "T=" SDX_T_FLOAT_BF,
                                                                    "pooled_shape:ints! spatial_scale:float=1"},
                                                                   {0, NULL, NULL, NULL}},
                                      .params_size = sizeof(roi_pool_params),
                                      .bind = roi_pool_bind,
                                      .infer = back_infer,
                                      .scratch = back_scratch,
                                      .compute = back_compute,
                                      .flags = SDX_OP_INTERNAL};

static sdx_status roi_pool_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_id in[3] = {grad->node->in[0], grad->node->in[1], grad->dY[0]};
    sdx_node *back = sdx_patch_node(grad->patch, "sdx", "MaxRoiPoolGrad", 3, in, 1);
    sdx_patch_attrs_of(grad->patch, back, grad->node, NULL, 0);
    grad->dX[0] = back->out[0];
    grad->exact = true;
    return grad->patch->status;
}

const sdx_op sdx_op_MaxRoiPool = {
    .domain = "",
    .name = "MaxRoiPool",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T rois:T -> Y:T", "T=" SDX_T_FLOAT, "pooled_shape:ints! spatial_scale:float=1"},
            {22, "X:T rois:T -> Y:T", "T=" SDX_T_FLOAT_BF, "pooled_shape:ints! spatial_scale:float=1"},
            {0, NULL, NULL, NULL}},
    .params_size = sizeof(roi_pool_params),
    .bind = roi_pool_bind,
    .infer = roi_pool_infer,
    .scratch = roi_pool_scratch,
    .compute = roi_pool_compute,
    .grad = roi_pool_grad,
};
