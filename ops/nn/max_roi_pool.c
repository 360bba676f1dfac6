/* SPDX-License-Identifier: Apache-2.0
 * MaxRoiPool: the greatest element of each bin of a region whose corners are rounded to whole elements, both included.
 * Bins may overlap by one element; an empty one gives 0, as do regions with a NaN. NaN elements win. */
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

/* Elements [*from, *to) of bin `bin` of `bins`. */
static void bin_range(double first, double last, int64_t bins, int64_t bin, int64_t n, int64_t *from, int64_t *to) {
    const double size = fmax(last - first + 1, 1) / (double)bins;
    const double low = first + floor((double)bin * size), high = first + ceil((double)(bin + 1) * size);
    *from = (int64_t)fmin(fmax(low, 0), (double)n);
    *to = (int64_t)fmin(fmax(high, 0), (double)n);
}

typedef struct roi_pool_job {
    const roi_pool_params *p;
    const sdx_kernels *kernels;
    const sdx_tensor *x, *rois;
    sdx_tensor *y;
    char *room;
    size_t each;
} roi_pool_job;

static size_t room_of(const roi_pool_params *p, sdx_dtype dtype, const int64_t *dims) {
    const size_t widest = (size_t)(dims[3] > p->width ? dims[3] : p->width);
    return widest > SIZE_MAX / 64 ? SIZE_MAX / 2 : 2 * sdx_align(widest * sdx_dtype_size(sdx_work_dtype(dtype)));
}

static size_t roi_pool_scratch(const sdx_infer *infer, const void *params) {
    size_t size = 0;
    const bool fits =
        sdx_size_mul(room_of(params, infer->in[0]->dtype, infer->in[0]->dim), (size_t)infer->threads, &size);
    return fits ? size : SIZE_MAX;
}

/* The rows [top, bottom) of a plane, each element the greatest of its column, then the greatest of each bin. */
#define POOL_ROW(T)                                                                                                    \
    static void pool_row_##T(const roi_pool_job *job, const char *plane, int64_t top, int64_t bottom,                  \
                             const double *box, char *row, T *most, T *out) {                                          \
        const sdx_dtype dtype = job->x->dtype;                                                                         \
        const int64_t width = job->x->dim[3];                                                                          \
        int64_t from, to, left, right;                                                                                 \
        bin_range(box[1], box[3], job->p->width, 0, width, &left, &to);                                                \
        bin_range(box[1], box[3], job->p->width, job->p->width - 1, width, &from, &right);                             \
        for (int64_t i = left; i < right; i++) most[i] = -(T)INFINITY;                                                 \
        for (int64_t r = top; r < bottom && left < right; r++) {                                                       \
            const void *x = plane + (size_t)(r * width + left) * sdx_dtype_size(dtype);                                \
            if (dtype != SDX_F32 && dtype != SDX_F64) {                                                                \
                sdx_convert(job->kernels, dtype, x, SDX_F32, row, right - left);                                       \
                x = row;                                                                                               \
            }                                                                                                          \
            const T *v = x;                                                                                            \
            for (int64_t i = left; i < right; i++)                                                                     \
                most[i] = v[i - left] > most[i] || v[i - left] != v[i - left] ? v[i - left] : most[i];                 \
        }                                                                                                              \
        for (int64_t b = 0; b < job->p->width; b++) {                                                                  \
            bin_range(box[1], box[3], job->p->width, b, width, &from, &to);                                            \
            T v = top < bottom && from < to ? -(T)INFINITY : 0;                                                        \
            for (int64_t i = from; i < to && top < bottom && v == v; i++)                                              \
                if (most[i] > v || most[i] != most[i]) v = most[i];                                                    \
            out[b] = v;                                                                                                \
        }                                                                                                              \
    }
POOL_ROW(float)
POOL_ROW(double)

static void pool_planes(void *argument, int64_t begin, int64_t end, int worker) {
    const roi_pool_job *job = argument;
    const int64_t channels = job->x->dim[1], plane = job->x->dim[2] * job->x->dim[3], width = job->p->width;
    const sdx_dtype dtype = job->x->dtype;
    const size_t size = sdx_dtype_size(dtype);
    char *row = job->room + (size_t)worker * 2 * job->each, *most = row + job->each;
    for (int64_t k = begin; k < end; k++) {
        double box[5];
        bool whole = true;
        sdx_convert(job->kernels, dtype, (const char *)job->rois->data + (size_t)(k / channels * 5) * size, SDX_F64,
                    box, 5);
        for (int c = 1; c < 5; c++) {
            whole = whole && !isnan(box[c]);
            const float single = (float)box[c] * (float)job->p->scale; /* ties as the numbers of the model mean them */
            box[c] = round(dtype == SDX_F64 ? box[c] * job->p->scale : (double)single);
            box[c] = fmin(fmax(box[c], -0x1p40), 0x1p40);
        }
        const char *x =
            (const char *)job->x->data + (size_t)(((int64_t)box[0] * channels + k % channels) * plane) * size;
        char *y = (char *)job->y->data + (size_t)(k * job->p->height * width) * size;
        for (int64_t h = 0; h < job->p->height; h++, y += (size_t)width * size) {
            int64_t top = 0, bottom = 0;
            if (whole) bin_range(box[2], box[4], job->p->height, h, job->x->dim[2], &top, &bottom);
            if (dtype == SDX_F64) {
                pool_row_double(job, x, top, bottom, box, row, (void *)most, (void *)y);
            } else if (dtype == SDX_F32) {
                pool_row_float(job, x, top, bottom, box, row, (void *)most, (void *)y);
            } else {
                pool_row_float(job, x, top, bottom, box, row, (void *)most, (void *)row);
                sdx_convert(job->kernels, SDX_F32, row, dtype, y, width);
            }
        }
    }
}

static sdx_status roi_pool_compute(sdx_compute *compute, const void *params) {
    const roi_pool_params *p = params;
    const sdx_tensor *x = compute->in[0], *rois = compute->in[1];
    roi_pool_job job = {.p = p, .kernels = compute->kernels, .x = x, .rois = rois, .room = compute->scratch};
    job.each = room_of(p, x->dtype, x->dim) / 2;
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
    return sdx_for(compute, rois->dim[0] * x->dim[1], 1, pool_planes, &job);
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
};
