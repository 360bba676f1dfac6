/* SPDX-License-Identifier: Apache-2.0
 * RoiAlignGrad(X, rois, batch_indices, dY): each bin gives its dY to the elements that its samples read, with their
 * weights; in mode max to the element of the greatest product, with its weight. Regions have no gradient. A worker has
 * whole channels of an image, and takes the regions in order. */
#include "ops/grad.h"
#include "ops/lines.h"
#include "ops/move.h"
#include "ops/object_detection/roi_align.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { X, ROIS, BATCH, DY };
enum { TOGETHER = 8 }; /* channels that share the tables of a region */

static sdx_status back_bind(sdx_bind *bind, void *params) {
    static const char *const shifts[] = {"half_pixel", "output_half_pixel"};
    sdx_roi_params *p = params;
    SDX_TRY(sdx_roi_bind(bind, params));
    p->half_pixel = sdx_bind_choice(bind, "coordinate_transformation_mode", shifts, 2) == 0; /* whatever the version */
    return bind->status;
}

static sdx_status back_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, X);
    SDX_TRY(sdx_infer_rank(infer, X, "X", 4));
    SDX_TRY(sdx_infer_rank(infer, ROIS, "rois", 2));
    SDX_TRY(sdx_infer_rank(infer, BATCH, "batch_indices", 1));
    return sdx_infer_rank(infer, DY, "dY", 4);
}

typedef struct back_job {
    const sdx_roi_params *p;
    const sdx_kernels *kernels;
    const sdx_tensor *x, *rois, *batch, *dy;
    sdx_tensor *dx;
    sdx_dtype work;
    int64_t channels, height, width, together, blocks;
    size_t row_bytes, column_bytes, dense_bytes, line_bytes, plane_bytes, dy_bytes, each; /* parts of a worker's room */
    char *room;
} back_job;

/* False when it is too large. */
static bool measure(back_job *job, const sdx_roi_params *p, sdx_dtype dtype, const int64_t *dims) {
    job->p = p;
    job->work = sdx_resample_work(dtype);
    job->channels = dims[1], job->height = dims[2], job->width = dims[3];
    const bool narrow = dtype != job->work;
    const size_t wide = sdx_dtype_size(job->work);
    const int64_t longest = job->height > job->width ? job->height : job->width;
    size_t plane = 0, bins = 0;
    job->together = narrow ? 1 : TOGETHER;
    job->blocks = (job->channels + job->together - 1) / job->together;
    job->row_bytes = sdx_bands_size(p->height, job->height, job->work, false);
    job->column_bytes = sdx_bands_size(p->width, job->width, job->work, false);
    if (job->row_bytes > SIZE_MAX / 8 || job->column_bytes > SIZE_MAX / 8 || longest > INT32_MAX ||
        !sdx_size_mul((size_t)(job->height * job->width), wide, &plane) ||
        !sdx_size_mul((size_t)(p->height * p->width), wide, &bins) || plane > SIZE_MAX / 8 || bins > SIZE_MAX / 8)
        return false;
    job->row_bytes = sdx_align(job->row_bytes), job->column_bytes = sdx_align(job->column_bytes);
    job->dense_bytes = sdx_align((size_t)longest * sizeof(double));
    job->line_bytes = sdx_align((size_t)job->width * wide);
    job->plane_bytes = narrow ? sdx_align(plane) : 0;
    job->dy_bytes = narrow ? sdx_align(bins) : 0;
    job->each =
        job->row_bytes + job->column_bytes + job->dense_bytes + job->line_bytes + 2 * job->plane_bytes + job->dy_bytes;
    return true;
}

static size_t back_scratch(const sdx_infer *infer, const void *params) {
    back_job job = {.p = NULL};
    size_t size = 0;
    if (!measure(&job, params, infer->in[X]->dtype, infer->in[X]->dim)) return SIZE_MAX;
    return sdx_size_mul(job.each, (size_t)infer->threads, &size) ? size : SIZE_MAX;
}

/* The greatest product of a bin: where, and its weight; place -1: nothing is above a zero. */
typedef struct winner {
    int64_t place;
    double value, weight;
} winner;

#define BACK(T)                                                                                                        \
    static void spread_##T(const back_job *job, const sdx_bands *v, const sdx_bands *h, const T *dy, T *line, T *to) { \
        const int64_t width = job->width;                                                                              \
        for (int64_t i = 0; i < v->out; i++, dy += h->out) {                                                           \
            int64_t from = width, end = 0;                                                                             \
            for (int64_t j = 0; j < h->out; j++) {                                                                     \
                if (h->count[j] == 0) continue;                                                                        \
                from = h->first[j] < from ? h->first[j] : from;                                                        \
                end = h->first[j] + h->count[j] > end ? h->first[j] + h->count[j] : end;                               \
            }                                                                                                          \
            for (int64_t k = from; k < end; k++) line[k] = 0;                                                          \
            for (int64_t j = 0; j < h->out; j++)                                                                       \
                for (int64_t k = 0; k < h->count[j]; k++)                                                              \
                    line[h->first[j] + k] += ((const T *)h->weight)[j * h->most + k] * dy[j];                          \
            for (int64_t r = 0; r < v->count[i]; r++) {                                                                \
                const T weight = ((const T *)v->weight)[i * v->most + r];                                              \
                T *row = to + (v->first[i] + r) * width;                                                               \
                for (int64_t k = from; k < end; k++) row[k] += weight * line[k];                                       \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static winner find_##T(const back_job *job, const sdx_roi_axis *rows, const sdx_roi_axis *columns, int64_t bin,    \
                           const T *x) {                                                                               \
        int64_t top = 0, bottom = 0, left = 0, right = 0, at[4] = {0};                                                 \
        double y = 0, z = 0;                                                                                           \
        winner best = {-1, -(double)INFINITY, 0};                                                                      \
        if (rows->samples < 1 || columns->samples < 1) return best;                                                    \
        sdx_roi_find_samples(rows, bin / job->p->width, &top, &bottom);                                                \
        sdx_roi_find_samples(columns, bin % job->p->width, &left, &right);                                             \
        bool zero = bottom - top < rows->samples || right - left < columns->samples;                                   \
        for (int64_t i = top; i < bottom; i++) {                                                                       \
            const bool inside = sdx_roi_place_sample(rows, bin / job->p->width, i, &at[0], &at[1], &y);                \
            zero = zero || !inside;                                                                                    \
            for (int64_t j = left; j < right && inside; j++) {                                                         \
                const bool there = sdx_roi_place_sample(columns, bin % job->p->width, j, &at[2], &at[3], &z);          \
                zero = zero || !there;                                                                                 \
                for (int k = 0; k < 4 && there; k++) {                                                                 \
                    const double weight = (k / 2 ? y : 1 - y) * (k % 2 ? z : 1 - z);                                   \
                    const int64_t place = at[k / 2] * job->width + at[2 + k % 2];                                      \
                    const double value = (double)x[place] * weight;                                                    \
                    zero = zero || weight == 0;                                                                        \
                    if (weight != 0 && value > best.value) best = (winner){place, value, weight};                      \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        if (zero && best.value < 0) best.place = -1;                                                                   \
        return best;                                                                                                   \
    }                                                                                                                  \
    static void give_##T(const back_job *job, const sdx_roi_axis *rows, const sdx_roi_axis *columns, const T *x,       \
                         const T *dy, T *to) {                                                                         \
        for (int64_t bin = 0; bin < job->p->height * job->p->width; bin++) {                                           \
            const winner best = find_##T(job, rows, columns, bin, x);                                                  \
            if (best.place >= 0) to[best.place] += (T)(best.weight * (double)dy[bin]);                                 \
        }                                                                                                              \
    }
BACK(float)
BACK(double)

/* The planes of one block of channels; x and sums: in the work's dtype. */
typedef struct planes {
    int64_t batch, from, to;
    const char *x;
    char *sums, *room;
} planes;

static const void *load_dy(const back_job *job, int64_t region, int64_t c, char *room) {
    const int64_t bins = job->p->height * job->p->width;
    const char *dy =
        (const char *)job->dy->data + (size_t)((region * job->channels + c) * bins) * sdx_dtype_size(job->dy->dtype);
    if (job->dy->dtype == job->work) return dy;
    sdx_convert(job->kernels, job->dy->dtype, dy, job->work, room, bins);
    return room;
}

static void one_region(const back_job *job, const planes *b, int64_t region) {
    double box[4];
    const sdx_dtype dtype = job->x->dtype;
    const size_t plane = (size_t)(job->height * job->width) * sdx_dtype_size(job->work);
    sdx_convert(job->kernels, dtype, (const char *)job->rois->data + (size_t)(4 * region) * sdx_dtype_size(dtype),
                SDX_F64, box, 4);
    const sdx_roi_axis columns = sdx_roi_axis_of(job->p, dtype, box[0], box[2], job->p->width, job->width);
    const sdx_roi_axis rows = sdx_roi_axis_of(job->p, dtype, box[1], box[3], job->p->height, job->height);
    char *dense = b->room + job->row_bytes + job->column_bytes, *line = dense + job->dense_bytes;
    char *dy_room = line + job->line_bytes;
    sdx_bands v, h;
    if (!job->p->max) {
        sdx_roi_make_bands(&rows, job->p->height, job->work, false, (void *)dense, b->room, &v);
        sdx_roi_make_bands(&columns, job->p->width, job->work, false, (void *)dense, b->room + job->row_bytes, &h);
    }
    for (int64_t c = b->from; c < b->to; c++) {
        const void *dy = load_dy(job, region, c, dy_room), *x = b->x + (size_t)(c - b->from) * plane;
        void *to = b->sums + (size_t)(c - b->from) * plane;
        if (job->p->max && job->work == SDX_F64)
            give_double(job, &rows, &columns, x, dy, to);
        else if (job->p->max)
            give_float(job, &rows, &columns, x, dy, to);
        else if (job->work == SDX_F64)
            spread_double(job, &v, &h, dy, (void *)line, to);
        else
            spread_float(job, &v, &h, dy, (void *)line, to);
    }
}

static void run_blocks(void *argument, int64_t begin, int64_t end, int worker) {
    const back_job *job = argument;
    const int64_t plane = job->height * job->width;
    const size_t size = sdx_dtype_size(job->x->dtype);
    for (int64_t t = begin; t < end; t++) {
        planes b = {.batch = t / job->blocks, .from = t % job->blocks * job->together};
        b.to = b.from + job->together < job->channels ? b.from + job->together : job->channels;
        const size_t at = (size_t)((b.batch * job->channels + b.from) * plane) * size;
        const int64_t n = (b.to - b.from) * plane;
        b.room = job->room + (size_t)worker * job->each;
        b.x = (const char *)job->x->data + at;
        b.sums = (char *)job->dx->data + at;
        if (job->plane_bytes) {
            char *wide = b.room + job->each - 2 * job->plane_bytes;
            sdx_convert(job->kernels, job->x->dtype, b.x, job->work, wide, n);
            b.x = wide, b.sums = wide + job->plane_bytes;
        }
        memset(b.sums, 0, (size_t)n * sdx_dtype_size(job->work));
        for (int64_t k = 0; k < job->rois->dim[0]; k++)
            if (sdx_index_at(job->batch, k) == b.batch) one_region(job, &b, k);
        if (job->plane_bytes)
            sdx_convert(job->kernels, job->work, b.sums, job->x->dtype, (char *)job->dx->data + at, n);
    }
}

static sdx_status back_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[X];
    back_job job = {.kernels = compute->kernels,
                    .x = x,
                    .rois = compute->in[ROIS],
                    .batch = compute->in[BATCH],
                    .dy = compute->in[DY],
                    .dx = compute->out[0],
                    .room = compute->scratch};
    if (!measure(&job, params, x->dtype, x->dim))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "work space of the gradient of RoiAlign");
    return sdx_for(compute, x->dim[0] * job.blocks, 1, run_blocks, &job);
}

const sdx_op sdx_op_RoiAlignGrad = {.domain = "sdx",
                                    .name = "RoiAlignGrad",
                                    .versions =
                                        (const sdx_op_version[]){{1, "X:T1 rois:T1 batch_indices:T2 dY:T1 -> dX:T1",
                                                                  "T1=" SDX_T_FLOAT_BF " T2=i64", SDX_ROI_16},
                                                                 {0, NULL, NULL, NULL}},
                                    .params_size = sizeof(sdx_roi_params),
                                    .bind = back_bind,
                                    .infer = back_infer,
                                    .scratch = back_scratch,
                                    .compute = back_compute,
                                    .flags = SDX_OP_INTERNAL};

sdx_status sdx_roi_grad(sdx_grad *grad, const void *params) {
    const sdx_roi_params *p = params;
    const sdx_node *node = grad->node;
    sdx_patch *patch = grad->patch;
    if (!grad->needed[0]) return SDX_OK;
    const sdx_id in[4] = {node->in[0], node->in[1], node->in[2], grad->dY[0]};
    sdx_node *back = sdx_patch_node(patch, "sdx", "RoiAlignGrad", 4, in, 1);
    sdx_patch_string(patch, back, "coordinate_transformation_mode", p->half_pixel ? "half_pixel" : "output_half_pixel");
    sdx_patch_string(patch, back, "mode", p->max ? "max" : "avg");
    sdx_patch_int(patch, back, "output_height", p->height);
    sdx_patch_int(patch, back, "output_width", p->width);
    sdx_patch_int(patch, back, "sampling_ratio", p->samples);
    sdx_patch_float(patch, back, "spatial_scale", (float)p->scale);
    grad->dX[0] = back->out[0];
    grad->exact = true;
    return patch->status;
}
