/* SPDX-License-Identifier: Apache-2.0
 * RoiAlign: each region is cut into bins, each bin holds a grid of samples, interpolated between the four elements
 * around them and averaged. That is separable: one band of rows for each row of bins, one of columns for each column.
 * Mode max takes the greatest of the four products of element and weight, over all samples. A sample more than one
 * element outside counts as 0; a region that is not finite has no samples, and gives 0. */
#include "ops/object_detection/roi_align.h"
#include "ops/lines.h"
#include "ops/move.h"
#include <inttypes.h>
#include <math.h>

enum { MOST_SAMPLES = 32768, CHUNK = 1024 /* products taken together */ };

static int64_t bind_size(sdx_bind *bind, const char *name) {
    const int64_t size = sdx_bind_int(bind, name);
    if (size < 1 || size > INT32_MAX)
        sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' is %" PRId64 "; it must be in [1, %d]", name, size,
                      (int)INT32_MAX);
    return size;
}

sdx_status sdx_roi_bind(sdx_bind *bind, void *params) {
    static const char *const modes[] = {"avg", "max"}, *const shifts[] = {"half_pixel", "output_half_pixel"};
    sdx_roi_params *p = params;
    p->max = sdx_bind_choice(bind, "mode", modes, 2) == 1;
    p->half_pixel = bind->since >= 16 && sdx_bind_choice(bind, "coordinate_transformation_mode", shifts, 2) == 0;
    p->height = bind_size(bind, "output_height");
    p->width = bind_size(bind, "output_width");
    p->samples = sdx_bind_int(bind, "sampling_ratio");
    p->scale = (double)sdx_bind_float(bind, "spatial_scale");
    if (p->samples < 0 || p->samples > MOST_SAMPLES)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'sampling_ratio' is %" PRId64 "; it must be in [0, %d]", p->samples,
                      (int)MOST_SAMPLES);
    return bind->status;
}

static sdx_status roi_infer(sdx_infer *infer, const void *params) {
    const sdx_roi_params *p = params;
    const sdx_type *x = infer->in[0], *rois = infer->in[1], *batch = infer->in[2];
    sdx_type *y = &infer->out[0];
    SDX_TRY(sdx_infer_rank(infer, 0, "X", 4));
    SDX_TRY(sdx_infer_rank(infer, 1, "rois", 2));
    SDX_TRY(sdx_infer_rank(infer, 2, "batch_indices", 1));
    if (rois->rank == 2) SDX_TRY(sdx_infer_merge_dim(infer, "columns of 'rois'", rois->dim[1], 4, NULL));
    y->rank = 4;
    y->dim[0] = rois->rank == 2 ? rois->dim[0] : -1;
    if (batch->rank == 1)
        SDX_TRY(
            sdx_infer_merge_dim(infer, "lengths of 'rois' and 'batch_indices'", y->dim[0], batch->dim[0], &y->dim[0]));
    y->dim[1] = x->rank == 4 ? x->dim[1] : -1;
    y->dim[2] = p->height, y->dim[3] = p->width;
    return SDX_OK;
}

sdx_roi_axis sdx_roi_axis_of(const sdx_roi_params *p, sdx_dtype dtype, double from, double to, int64_t bins,
                             int64_t in) {
    const double shift = p->half_pixel ? 0.5 : 0;
    const bool narrow = dtype != SDX_F64;
    const float first = (float)from * (float)p->scale - (float)shift, last = (float)to * (float)p->scale - (float)shift;
    sdx_roi_axis a = {.start = narrow ? (double)first : from * p->scale - shift, .in = in};
    double size = narrow ? (double)(last - first) : to * p->scale - shift - a.start;
    if (!p->half_pixel && size < 1) size = 1;
    a.bin = narrow ? (double)((float)size / (float)bins) : size / (double)bins;
    const double samples = p->samples > 0 ? (double)p->samples : ceil(a.bin);
    if (!isfinite(a.start) || !isfinite(a.bin) || !(samples >= 1) || samples > 0x1p53 || in == 0) return a;
    a.samples = (int64_t)samples;
    a.step = a.bin / samples;
    return a;
}

void sdx_roi_find_samples(const sdx_roi_axis *a, int64_t bin, int64_t *first, int64_t *end) {
    const double start = a->start + (double)bin * a->bin;
    *first = 0, *end = a->samples;
    if (a->step <= 0) return;
    const double low = floor((-1 - start) / a->step) - 2, high = ceil(((double)a->in - start) / a->step) + 2;
    if (low > 0) *first = low < (double)a->samples ? (int64_t)low : a->samples;
    if (high < (double)a->samples) *end = high > (double)*first ? (int64_t)high : *first;
}

bool sdx_roi_place_sample(const sdx_roi_axis *a, int64_t bin, int64_t sample, int64_t *low, int64_t *high,
                          double *ratio) {
    double at = a->start + (double)bin * a->bin + ((double)sample + 0.5) * a->step;
    if (!(at >= -1 && at <= (double)a->in)) return false;
    if (at < 0) at = 0;
    *low = (int64_t)at;
    if (*low >= a->in - 1) return *low = *high = a->in - 1, *ratio = 0, true;
    *high = *low + 1;
    *ratio = at - (double)*low;
    return true;
}

void sdx_roi_make_bands(const sdx_roi_axis *a, int64_t bins, sdx_dtype work, bool lanes, double *dense, char *room,
                        sdx_bands *bands) {
    sdx_bands_init(bands, bins, a->in, work, lanes, &room);
    for (int64_t bin = 0; bin < bins; bin++) {
        int64_t first = 0, end = 0, from = 1, to = 0, low = 0, high = 0; /* from > to: none yet */
        double ratio = 0;
        sdx_roi_find_samples(a, bin, &first, &end);
        for (int64_t s = first; s < end; s++) {
            if (!sdx_roi_place_sample(a, bin, s, &low, &high, &ratio)) continue;
            if (from > to) from = low, to = low - 1;
            while (from > low) dense[--from] = 0;
            while (to < high) dense[++to] = 0;
            dense[low] += (1 - ratio) / (double)a->samples;
            dense[high] += ratio / (double)a->samples;
        }
        sdx_bands_set(bands, bin, from, from > to ? 0 : to - from + 1, dense + (from > to ? 0 : from));
    }
    sdx_bands_finish(bands);
}

typedef struct roi_job {
    const sdx_roi_params *p;
    const sdx_kernels *kernels;
    const sdx_tensor *x, *rois, *batch;
    sdx_tensor *y;
    sdx_dtype dtype, work;
    int64_t channels, height, width;
    size_t row_bytes, column_bytes, dense_bytes, most_bytes, each; /* parts of a worker's room */
    char *room;
} roi_job;

static sdx_resample shape_of(const roi_job *job, const sdx_bands *v, const sdx_bands *h) {
    return (sdx_resample){.from = job->dtype,
                          .to = job->dtype,
                          .work = job->work,
                          .v = v,
                          .h = h,
                          .outer = 1,
                          .v_in = job->height,
                          .mid = 1,
                          .columns = job->width,
                          .inner = 1,
                          .pitch = job->width};
}

/* False when it is too large. */
static bool measure(roi_job *job, const sdx_roi_params *p, sdx_dtype dtype, const int64_t *dims) {
    job->p = p;
    job->dtype = dtype;
    job->work = sdx_resample_work(dtype);
    job->channels = dims[1], job->height = dims[2], job->width = dims[3];
    const size_t longest = (size_t)(job->height > job->width ? job->height : job->width);
    if (longest > INT32_MAX || (size_t)job->channels > INT32_MAX) return false;
    job->row_bytes = sdx_bands_size(p->height, job->height, job->work, false);
    job->column_bytes = sdx_bands_size(p->width, job->width, job->work, true);
    job->dense_bytes = sdx_align(longest * sizeof(double));
    if (job->row_bytes > SIZE_MAX / 8 || job->column_bytes > SIZE_MAX / 8) return false;
    job->row_bytes = sdx_align(job->row_bytes), job->column_bytes = sdx_align(job->column_bytes);
    const sdx_bands v = {.out = p->height}, h = {.out = p->width};
    const sdx_resample r = shape_of(job, &v, &h);
    size_t most = 0;
    if (!sdx_size_mul((size_t)(p->height * p->width), (size_t)job->channels, &most) || most > SIZE_MAX / 64)
        return false;
    job->most_bytes = p->max ? sdx_align(most * sdx_dtype_size(job->work)) : sdx_resample_room(&r);
    job->each = job->row_bytes + job->column_bytes + job->dense_bytes + job->most_bytes;
    return true;
}

static size_t roi_scratch(const sdx_infer *infer, const void *params) {
    roi_job job = {.p = NULL};
    size_t size = 0;
    if (!measure(&job, params, infer->in[0]->dtype, infer->in[0]->dim)) return SIZE_MAX;
    return sdx_size_mul(job.each, (size_t)infer->threads, &size) ? size : SIZE_MAX;
}

/* The columns that the bands read: [*left, *right). The bands count from *left on then. */
static void crop_columns(sdx_bands *bands, int64_t *left, int64_t *right) {
    *left = INT64_MAX, *right = 0;
    for (int64_t i = 0; i < bands->out; i++) {
        if (bands->count[i] == 0) continue;
        if (bands->first[i] < *left) *left = bands->first[i];
        if (bands->first[i] + bands->count[i] > *right) *right = bands->first[i] + bands->count[i];
    }
    if (*right == 0) *left = 0;
    for (int64_t k = 0; k < bands->taps * bands->out; k++)
        if (bands->place[k] >= 0) bands->place[k] -= (int32_t)*left;
}

static void average(const roi_job *job, const sdx_roi_axis *rows, const sdx_roi_axis *columns, const char *x, char *y,
                    char *room) {
    sdx_bands v, h;
    double *dense = (void *)(room + job->row_bytes + job->column_bytes);
    int64_t left = 0, right = 0;
    sdx_roi_make_bands(rows, job->p->height, job->work, false, dense, room, &v);
    sdx_roi_make_bands(columns, job->p->width, job->work, true, dense, room + job->row_bytes, &h);
    crop_columns(&h, &left, &right);
    sdx_resample r = shape_of(job, &v, &h);
    r.columns = right - left;
    const size_t size = sdx_dtype_size(job->dtype);
    const int64_t plane = job->height * job->width, bins = job->p->height * job->p->width;
    for (int64_t c = 0; c < job->channels; c++) {
        r.x = x + (size_t)(c * plane + left) * size;
        r.y = y + (size_t)(c * bins) * size;
        sdx_resample_some(job->kernels, &r, 0, sdx_resample_pieces(&r), (char *)dense + job->dense_bytes);
    }
}

/* Products of one element and its weight, those of a bin together: place and weight of each, and the bin. A product
 * whose weight is 0 only raises the bin to 0. */
typedef struct products {
    int64_t n;
    int32_t place[CHUNK], bin[CHUNK];
    float weight[CHUNK];
    double wide[CHUNK];
} products;

#define TAKE(T, v)                                                                                                     \
    for (int64_t k = 0; k < s->n;) {                                                                                   \
        const int32_t bin = s->bin[k];                                                                                 \
        T *to = (T *)most + c * bins + bin, greatest = *to;                                                            \
        int unordered = 0;                                                                                             \
        for (; k < s->n && s->bin[k] == bin; k++) {                                                                    \
            greatest = (v)[k] > greatest ? (v)[k] : greatest;                                                          \
            unordered |= (v)[k] != (v)[k];                                                                             \
        }                                                                                                              \
        *to = unordered ? (T)NAN : greatest;                                                                           \
    }

/* most: one of the work type for each channel and bin */
static void take_products(const roi_job *job, products *s, const char *x, void *most) {
    const size_t size = sdx_dtype_size(job->dtype);
    const int64_t bins = job->p->height * job->p->width;
    double made[CHUNK];
    for (int64_t c = 0; c < job->channels && s->n; c++) {
        const void *plane = x + (size_t)(c * job->height * job->width) * size;
        sdx_sample(job->kernels, job->dtype, plane, s->place,
                   job->work == SDX_F64 ? (const void *)s->wide : (const void *)s->weight, 1, s->n, s->n, made);
        if (job->work == SDX_F64) {
            TAKE(double, made)
        } else {
            TAKE(float, (const float *)(const void *)made)
        }
    }
    s->n = 0;
}

/* The four products around a sample; false: one of them is 0 whatever the element is. */
static bool add_sample(products *s, int64_t bin, const int64_t *at, double y, double x, int64_t width) {
    const double weight[4] = {(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x};
    bool all = true;
    for (int k = 0; k < 4; k++) {
        all = all && weight[k] != 0;
        if (weight[k] == 0) continue;
        s->place[s->n] = (int32_t)(at[k / 2] * width + at[2 + k % 2]);
        s->weight[s->n] = (float)weight[k];
        s->wide[s->n] = weight[k];
        s->bin[s->n++] = (int32_t)bin;
    }
    return all;
}

/* True when a product of this bin is 0, or there is none. */
static bool gather_bin(const roi_job *job, const sdx_roi_axis *rows, const sdx_roi_axis *columns, int64_t bin,
                       const char *x, products *s, void *most) {
    int64_t rows_from = 0, rows_to = 0, from = 0, to = 0, at[4] = {0};
    double y = 0, z = 0;
    sdx_roi_find_samples(rows, bin / job->p->width, &rows_from, &rows_to);
    sdx_roi_find_samples(columns, bin % job->p->width, &from, &to);
    bool zero = rows_to - rows_from < rows->samples || to - from < columns->samples;
    if (rows->samples < 1 || columns->samples < 1) return true;
    for (int64_t i = rows_from; i < rows_to; i++) {
        const bool inside = sdx_roi_place_sample(rows, bin / job->p->width, i, &at[0], &at[1], &y);
        zero = zero || !inside;
        for (int64_t j = from; j < to && inside; j++) {
            if (!sdx_roi_place_sample(columns, bin % job->p->width, j, &at[2], &at[3], &z)) {
                zero = true;
                continue;
            }
            if (s->n + 4 > CHUNK) take_products(job, s, x, most);
            if (!add_sample(s, bin, at, y, z, job->width)) zero = true;
        }
    }
    return zero;
}

static void set_all(const roi_job *job, void *most, int64_t n, double value) {
    for (int64_t k = 0; k < n; k++) {
        if (job->work == SDX_F64)
            ((double *)most)[k] = value;
        else
            ((float *)most)[k] = (float)value;
    }
}

static void greatest_of_all(const roi_job *job, const sdx_roi_axis *rows, const sdx_roi_axis *columns, const char *x,
                            char *y, char *room) {
    const int64_t bins = job->p->height * job->p->width, all = job->channels * bins;
    void *most = room + job->row_bytes + job->column_bytes + job->dense_bytes;
    products s = {.n = 0};
    set_all(job, most, all, -(double)INFINITY);
    for (int64_t bin = 0; bin < bins; bin++) {
        if (!gather_bin(job, rows, columns, bin, x, &s, most)) continue;
        for (int64_t c = 0; c < job->channels; c++) { /* a zero takes part: those that follow are compared with it */
            const int64_t k = c * bins + bin;
            if (job->work == SDX_F64 && ((double *)most)[k] < 0) ((double *)most)[k] = 0;
            if (job->work == SDX_F32 && ((float *)most)[k] < 0) ((float *)most)[k] = 0;
        }
    }
    take_products(job, &s, x, most);
    sdx_convert(job->kernels, job->work, most, job->dtype, y, all);
}

static void run_regions(void *argument, int64_t begin, int64_t end, int worker) {
    const roi_job *job = argument;
    const size_t size = sdx_dtype_size(job->dtype);
    const int64_t image = job->channels * job->height * job->width,
                  out = job->channels * job->p->height * job->p->width;
    char *room = job->room + (size_t)worker * job->each;
    for (int64_t k = begin; k < end; k++) {
        double box[4];
        sdx_convert(job->kernels, job->dtype, (const char *)job->rois->data + (size_t)(4 * k) * size, SDX_F64, box, 4);
        const sdx_roi_axis columns = sdx_roi_axis_of(job->p, job->dtype, box[0], box[2], job->p->width, job->width);
        const sdx_roi_axis rows = sdx_roi_axis_of(job->p, job->dtype, box[1], box[3], job->p->height, job->height);
        const char *x = (const char *)job->x->data + (size_t)(sdx_index_at(job->batch, k) * image) * size;
        char *y = (char *)job->y->data + (size_t)(k * out) * size;
        if (job->p->max)
            greatest_of_all(job, &rows, &columns, x, y, room);
        else
            average(job, &rows, &columns, x, y, room);
    }
}

static sdx_status roi_compute(sdx_compute *compute, const void *params) {
    const sdx_roi_params *p = params;
    const sdx_tensor *x = compute->in[0];
    roi_job job = {
        .kernels = compute->kernels, .x = x, .rois = compute->in[1], .batch = compute->in[2], .room = compute->scratch};
    for (int64_t k = 0; k < job.batch->count; k++) {
        const int64_t index = sdx_index_at(job.batch, k);
        if (index < 0 || index >= x->dim[0])
            return sdx_fail(compute->error, SDX_VALUE,
                            "entry %" PRId64 " of input 'batch_indices' is %" PRId64 "; it must be in [0, %" PRId64 "]",
                            k, index, x->dim[0] - 1);
    }
    job.y = sdx_compute_output(compute, 0, 4, (int64_t[]){job.rois->dim[0], x->dim[1], p->height, p->width});
    if (!job.y) return compute->error->status;
    if (job.y->count == 0) return SDX_OK;
    if (!measure(&job, p, x->dtype, x->dim) || x->dim[2] * x->dim[3] > INT32_MAX)
        return sdx_fail(compute->error, SDX_UNSUPPORTED,
                        "a plane of input 'X' has %" PRId64 " elements; at most %d are supported",
                        x->dim[2] * x->dim[3], (int)INT32_MAX);
    return sdx_for(compute, job.rois->dim[0], 1, run_regions, &job);
}

#define ROI_INPUTS "X:T1 rois:T1 batch_indices:T2 -> Y:T1"
const sdx_op sdx_op_RoiAlign = {
    .domain = "",
    .name = "RoiAlign",
    .versions = (const sdx_op_version[]){{10, ROI_INPUTS, "T1=" SDX_T_FLOAT " T2=i64", SDX_ROI_10},
                                         {16, ROI_INPUTS, "T1=" SDX_T_FLOAT " T2=i64", SDX_ROI_16},
                                         {22, ROI_INPUTS, "T1=" SDX_T_FLOAT_BF " T2=i64", SDX_ROI_16},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_roi_params),
    .bind = sdx_roi_bind,
    .infer = roi_infer,
    .scratch = roi_scratch,
    .compute = roi_compute,
    .grad = sdx_roi_grad,
};
