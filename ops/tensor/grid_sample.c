/* SPDX-License-Identifier: Apache-2.0
 * GridSample: Y at the places that `grid` names, whose last dimension lists coordinates in [-1, 1] from the innermost
 * dimension of X outwards. Coordinates are reflected first, then each neighbour is reflected or clamped. A NaN
 * coordinate lies outside: zero, or the first place; an infinite one under reflection too. */
#include "ops/tensor/grid_sample.h"
#include "ops/lines.h"
#include "ops/move.h"
#include "runtime/base/half.h"
#include <inttypes.h>
#include <math.h>

sdx_status sdx_grid_bind(sdx_bind *bind, void *params) {
    static const char *const old[] = {"nearest", "bilinear", "bicubic"}, *const newer[] = {"nearest", "linear",
                                                                                           "cubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    sdx_grid_params *p = params;
    p->mode = sdx_bind_choice(bind, "mode", bind->since < 20 ? old : newer, 3);
    p->padding = sdx_bind_choice(bind, "padding_mode", paddings, 3);
    p->corners = sdx_bind_int(bind, "align_corners") != 0;
    return bind->status;
}

static int64_t taps_of(const sdx_grid_params *p, int rank) {
    int64_t taps = 1;
    for (int d = 0; d < rank && p->mode != SDX_GRID_NEAREST; d++) taps *= p->mode == SDX_GRID_LINEAR ? 2 : 4;
    return taps;
}

static sdx_status grid_infer(sdx_infer *infer, const void *params) {
    const sdx_grid_params *p = params;
    const sdx_type *x = infer->in[0], *grid = infer->in[1];
    sdx_type *y = &infer->out[0];
    if (x->dtype == SDX_STRING && p->mode != SDX_GRID_NEAREST)
        return sdx_fail(infer->error, SDX_TYPE, "input 'X' is string; that takes attribute 'mode' nearest");
    if (infer->since < 20) {
        SDX_TRY(sdx_infer_rank(infer, 0, "X", 4));
        SDX_TRY(sdx_infer_rank(infer, 1, "grid", 4));
    }
    if (x->rank >= 0 && x->rank < 3)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be 3 or more", x->rank);
    if (x->rank >= 0) SDX_TRY(sdx_infer_rank(infer, 1, "grid", x->rank));
    const int rank = x->rank >= 0 ? x->rank : grid->rank;
    if (rank < 3) return SDX_OK;
    if (taps_of(p, rank - 2) > SDX_GRID_MOST_ENTRIES / 4)
        return sdx_fail(infer->error, SDX_UNSUPPORTED, "%d spatial dimensions are too many for this 'mode'", rank - 2);
    y->rank = rank;
    for (int d = 0; d < rank; d++) y->dim[d] = -1;
    y->dim[1] = x->rank >= 0 ? x->dim[1] : -1;
    if (x->rank >= 0) y->dim[0] = x->dim[0];
    if (grid->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_merge_dim(infer, "batches of 'X' and 'grid'", y->dim[0], grid->dim[0], &y->dim[0]));
    SDX_TRY(sdx_infer_merge_dim(infer, "the last dimension of 'grid' and the spatial dimensions of 'X'",
                                grid->dim[rank - 1], rank - 2, NULL));
    for (int d = 1; d < rank - 1; d++) y->dim[d + 1] = grid->dim[d];
    return SDX_OK;
}

void sdx_grid_cut(sdx_grid_job *job, const sdx_grid_params *p, const sdx_type *x, const sdx_type *grid) {
    job->p = p;
    job->rank = x->rank - 2;
    job->plane = sdx_dims_product(x->dim, 2, x->rank);
    job->points = sdx_dims_product(grid->dim, 1, grid->rank - 1);
    job->taps = taps_of(p, job->rank);
    job->tile = SDX_GRID_MOST_ENTRIES / job->taps < SDX_GRID_MOST_POINTS ? SDX_GRID_MOST_ENTRIES / job->taps
                                                                         : SDX_GRID_MOST_POINTS;
    job->tiles = (job->points + job->tile - 1) / job->tile;
    job->work = sdx_resample_work(x->dtype);
    job->place_bytes = sdx_align((size_t)(job->tile * job->taps) * sizeof(int32_t));
    job->weight_bytes = sdx_align((size_t)(job->tile * job->taps) * sizeof(double));
    job->each = job->place_bytes + job->weight_bytes + sdx_align((size_t)job->tile * 2 * sizeof(double));
}

static size_t grid_scratch(const sdx_infer *infer, const void *params) {
    sdx_grid_job job = {.p = NULL};
    size_t size = 0;
    sdx_grid_cut(&job, params, infer->in[0], infer->in[1]);
    return sdx_size_mul(job.each, (size_t)infer->threads, &size) ? size : SIZE_MAX;
}

double sdx_grid_place(const sdx_grid_job *job, int64_t k, int64_t n) {
    const bool corners = job->p->corners;
    const void *data = job->grid->data;
    float single = 0;
    double v = 0;
    if (job->grid->dtype == SDX_F64)
        v = ((const double *)data)[k];
    else if (job->grid->dtype == SDX_F32)
        v = (double)(single = ((const float *)data)[k]);
    else if (job->grid->dtype == SDX_F16)
        v = (double)(single = sdx_f32_from_f16(((const uint16_t *)data)[k]));
    else
        v = (double)(single = sdx_f32_from_bf16(((const uint16_t *)data)[k]));
    if (job->p->pixels) return v;
    if (job->p->mode == SDX_GRID_NEAREST && job->grid->dtype != SDX_F64) {
        const float length = (float)n;
        return (double)(corners ? (single + 1) / 2 * (length - 1) : ((single + 1) * length - 1) / 2);
    }
    const double length = (double)n;
    return corners ? (v + 1) / 2 * (length - 1) : ((v + 1) * length - 1) / 2;
}

double sdx_grid_reflect(double x, double low, double high) {
    const double span = high - low;
    if (!(span > 0)) return 0;
    if (x >= low && x <= high) return x;
    const double rest = fmod(x < low ? low - x : x - high, 2 * span);
    const double in = rest <= span ? rest : 2 * span - rest;
    return x < low ? low + in : high - in;
}

static double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

int64_t sdx_grid_neighbour(const sdx_grid_params *p, double i, int64_t n) {
    const double last = (double)n - 1, edge = p->corners ? 0 : 0.5;
    if (n == 0) return -1;
    if (i >= 0 && i <= last) return (int64_t)i;
    if (p->padding == SDX_GRID_ZEROS) return -1;
    if (p->padding == SDX_GRID_REFLECTION) i = sdx_grid_reflect(i, -edge, last + edge);
    return (int64_t)clamp(i, 0, last);
}

void sdx_grid_neighbours(const sdx_grid_params *p, double x, int64_t n, sdx_tap_axis *out) {
    const double last = (double)n - 1, edge = p->corners ? 0 : 0.5;
    if (p->mode == SDX_GRID_LINEAR && x >= 0 && x < last) { /* inside: nothing to decide */
        const int64_t at = (int64_t)x;
        const double ratio = x - (double)at;
        *out = (sdx_tap_axis){{at, ratio > 0 ? at + 1 : -1}, {1 - ratio, ratio}};
        return;
    }
    if (isnan(x) || (isinf(x) && p->padding == SDX_GRID_REFLECTION)) x = p->padding == SDX_GRID_ZEROS ? -8 : 0;
    x = p->padding == SDX_GRID_REFLECTION ? x : clamp(x, -8, last + 8);
    if (p->mode == SDX_GRID_NEAREST) x = rint(x);
    if (p->padding == SDX_GRID_REFLECTION) x = sdx_grid_reflect(x, -edge, last + edge);
    const double base = floor(x), r = x - base, a = -0.75;
    if (p->mode == SDX_GRID_NEAREST) {
        *out = (sdx_tap_axis){{sdx_grid_neighbour(p, base, n)}, {1}};
    } else if (p->mode == SDX_GRID_LINEAR) {
        *out = (sdx_tap_axis){{sdx_grid_neighbour(p, base, n), r > 0 ? sdx_grid_neighbour(p, base + 1, n) : -1},
                              {1 - r, r}};
    } else {
        for (int k = 0; k < 4; k++) out->at[k] = sdx_grid_neighbour(p, base + k - 1, n);
        const double s = 1 - r;
        out->weight[0] = a * r * s * s;
        out->weight[1] = ((a + 2) * r - (a + 3)) * r * r + 1;
        out->weight[2] = ((a + 2) * s - (a + 3)) * s * s + 1;
        out->weight[3] = a * s * r * r;
        for (int k = 0; k < 4; k++)
            if (out->weight[k] == 0) out->at[k] = -1;
    }
}

/* Places and weights of `n` points from point `first` of a batch on. */
static void fill_table(const sdx_grid_job *job, int64_t batch, int64_t first, int64_t n, int32_t *place, void *weight) {
    const int64_t *dims = job->x->dim + 2;
    const size_t wide = sdx_dtype_size(job->work);
    const int along = job->p->mode == SDX_GRID_NEAREST ? 1 : job->p->mode == SDX_GRID_LINEAR ? 2 : 4;
    sdx_tap_axis axes[SDX_MAX_RANK];
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = (batch * job->points + first + i) * job->rank;
        for (int d = 0; d < job->rank; d++)
            sdx_grid_neighbours(job->p, sdx_grid_place(job, at + job->rank - 1 - d, dims[d]), dims[d], &axes[d]);
        sdx_taps_cross(job->rank, dims, along, axes, n, job->work, place + i, (char *)weight + (size_t)i * wide);
    }
}

static void sample_channel(const sdx_grid_job *job, const char *x, const int32_t *place, const void *weight, int64_t n,
                           void *made, char *y) {
    const sdx_dtype dtype = job->x->dtype;
    const bool pairs = sdx_dtype_class(dtype) == SDX_CLASS_COMPLEX;
    if (job->p->mode == SDX_GRID_NEAREST) {
        sdx_fetch(sdx_dtype_size(dtype), x, place, n, y);
    } else if (dtype == job->work || pairs) {
        sdx_sample(job->kernels, dtype, x, place, weight, job->taps, n, n, y);
    } else {
        sdx_sample(job->kernels, dtype, x, place, weight, job->taps, n, n, made);
        sdx_convert(job->kernels, job->work, made, dtype, y, n);
    }
}

static void sample_tiles(void *argument, int64_t begin, int64_t end, int worker) {
    const sdx_grid_job *job = argument;
    const size_t size = sdx_dtype_size(job->x->dtype);
    char *room = job->room + (size_t)worker * job->each;
    int32_t *place = (void *)room;
    void *weight = room + job->place_bytes, *made = room + job->place_bytes + job->weight_bytes;
    const int64_t channels = job->x->dim[1];
    for (int64_t t = begin; t < end; t++) {
        const int64_t batch = t / job->tiles, first = t % job->tiles * job->tile;
        const int64_t n = job->points - first < job->tile ? job->points - first : job->tile;
        fill_table(job, batch, first, n, place, weight);
        for (int64_t c = batch * channels; c < (batch + 1) * channels; c++)
            sample_channel(job, (const char *)job->x->data + (size_t)(c * job->plane) * size, place, weight, n, made,
                           (char *)job->y->data + (size_t)(c * job->points + first) * size);
    }
}

static sdx_status grid_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0], *grid = compute->in[1];
    const sdx_type x_type = sdx_type_of_tensor(x), grid_type = sdx_type_of_tensor(grid);
    sdx_grid_job job = {.kernels = compute->kernels, .x = x, .grid = grid, .room = compute->scratch};
    sdx_grid_cut(&job, params, &x_type, &grid_type);
    int64_t dims[SDX_MAX_RANK] = {x->dim[0], x->dim[1]};
    for (int d = 0; d < job.rank; d++) dims[d + 2] = grid->dim[d + 1];
    job.y = sdx_compute_output(compute, 0, x->rank, dims);
    if (!job.y) return compute->error->status;
    if (job.y->count == 0) return SDX_OK;
    if (job.plane > INT32_MAX)
        return sdx_fail(compute->error, SDX_UNSUPPORTED,
                        "a plane of input 'X' has %" PRId64 " elements; at most %d are supported", job.plane,
                        (int)INT32_MAX);
    return sdx_for(compute, x->dim[0] * job.tiles, sdx_grain(job.tile * job.taps * (x->dim[1] * 2 + 16)), sample_tiles,
                   &job);
}

const sdx_op sdx_op_GridSample = {
    .domain = "",
    .name = "GridSample",
    .versions =
        (const sdx_op_version[]){
            {16, "X:T1 grid:T2 -> Y:T1", "T1=" SDX_T_ALL " T2=" SDX_T_FLOAT,
             "align_corners:int=0 mode:string=bilinear padding_mode:string=zeros"},
            {20, "X:T1 grid:T2 -> Y:T1", "T1=" SDX_T_ALL " T2=" SDX_T_FLOAT,
             "align_corners:int=0 mode:string=linear padding_mode:string=zeros"},
            {22, "X:T1 grid:T2 -> Y:T1", "T1=" SDX_T_ALL_BF " T2=" SDX_T_FLOAT_BF,
             "align_corners:int=0 mode:string=linear padding_mode:string=zeros"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_grid_params),
    .bind = sdx_grid_bind,
    .infer = grid_infer,
    .scratch = grid_scratch,
    .compute = grid_compute,
    .grad = sdx_grid_grad,
};
