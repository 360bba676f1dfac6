/* SPDX-License-Identifier: Apache-2.0
 * GridSampleGrad: dX adds dY to the places that a point read, with the weights it read them with; dgrid is dY times the
 * sum over the neighbours of X and the slopes of their weights. A worker has whole channels of dX, or whole points of
 * dgrid, so every sum has one order. */
#include "ops/grad.h"
#include "ops/lines.h"
#include "ops/tensor/grid_sample.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { X, GRID, DY };
enum { TOGETHER = 8 }; /* channels that share a table */

typedef struct back_job {
    sdx_grid_job shape;
    const sdx_tensor *x, *dy, *dx, *dgrid;
    int64_t channels, together, blocks;
    size_t plane_bytes, each; /* of a worker: the table, dY, then a plane of 16-bit floats */
    char *room;
} back_job;

static sdx_status back_bind(sdx_bind *bind, void *params) {
    sdx_grid_params *p = params;
    p->pixels = sdx_bind_int(bind, "pixels") != 0;
    return sdx_grid_bind(bind, params);
}

static sdx_status back_infer(sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[X], *grid = infer->in[GRID], *dy = infer->in[DY];
    (void)params;
    sdx_infer_same(infer, 0, X);
    if (infer->n_out > 1) sdx_infer_same(infer, 1, GRID);
    if (x->rank >= 0) SDX_TRY(sdx_infer_rank(infer, GRID, "grid", x->rank));
    if (x->rank >= 0) SDX_TRY(sdx_infer_rank(infer, DY, "dY", x->rank));
    for (int d = 0; d < dy->rank; d++) {
        const int64_t want = d < 2 && x->rank >= 0 ? x->dim[d] : d >= 2 && grid->rank >= 0 ? grid->dim[d - 1] : -1;
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of 'dY' and of the inputs", dy->dim[d], want, NULL));
    }
    return SDX_OK;
}

static void measure(back_job *job, const sdx_grid_params *p, const sdx_type *x, const sdx_type *grid) {
    sdx_grid_cut(&job->shape, p, x, grid);
    const bool narrow = x->dtype != job->shape.work;
    job->channels = x->dim[1];
    job->together = narrow ? 1 : TOGETHER;
    job->blocks = (job->channels + job->together - 1) / job->together;
    job->plane_bytes = narrow ? sdx_align((size_t)job->shape.plane * sdx_dtype_size(job->shape.work)) : 0;
    job->each = job->shape.each + sdx_align((size_t)job->shape.tile * 2 * sizeof(double)) + job->plane_bytes;
}

static size_t back_scratch(const sdx_infer *infer, const void *params) {
    back_job job = {.x = NULL};
    size_t size = 0;
    measure(&job, params, infer->in[X], infer->in[GRID]);
    return sdx_size_mul(job.each, (size_t)infer->threads, &size) ? size : SIZE_MAX;
}

/* Neighbours, with the derivatives of their weights. */
static void slopes(const sdx_grid_params *p, double x, int64_t n, sdx_tap_axis *out) {
    const double last = (double)n - 1, edge = p->corners ? 0 : 0.5, a = -0.75;
    const double scale = p->pixels ? 1 : p->corners ? last / 2 : (double)n / 2;
    double sign = 1;
    *out = (sdx_tap_axis){{-1, -1, -1, -1}, {0}};
    if (isnan(x) || isinf(x)) return;
    if (p->padding == SDX_GRID_REFLECTION) {
        const double low = -edge, high = last + edge, span = high - low;
        const double past = x < low ? low - x : x > high ? x - high : 0;
        if (!(span > 0)) return;
        if (past > 0) sign = fmod(past, 2 * span) <= span ? -1 : 1;
        x = sdx_grid_reflect(x, low, high);
    }
    if (x < -8 || x > last + 8) return;
    const double base = floor(x), r = x - base, s = 1 - r;
    const int taps = p->mode == SDX_GRID_LINEAR ? 2 : 4;
    for (int k = 0; k < taps; k++) out->at[k] = sdx_grid_neighbour(p, base + k - (taps == 4), n);
    if (taps == 2) {
        out->weight[0] = -1, out->weight[1] = 1;
    } else {
        out->weight[0] = a * (s * s - 2 * r * s);
        out->weight[1] = (3 * (a + 2) * r - 2 * (a + 3)) * r;
        out->weight[2] = -(3 * (a + 2) * s - 2 * (a + 3)) * s;
        out->weight[3] = a * (2 * r * s - r * r);
    }
    for (int k = 0; k < taps; k++) out->weight[k] *= sign * scale;
}

/* Places and weights of `n` points; along axis `sloped` the slopes in place of the weights (-1: none). */
static void fill_table(const back_job *job, int64_t batch, int64_t first, int64_t n, int sloped, int32_t *place,
                       void *weight) {
    const sdx_grid_job *g = &job->shape;
    const int64_t *dims = job->x->dim + 2;
    const size_t wide = sdx_dtype_size(g->work);
    const int along = g->p->mode == SDX_GRID_NEAREST ? 1 : g->p->mode == SDX_GRID_LINEAR ? 2 : 4;
    sdx_tap_axis axes[SDX_MAX_RANK];
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = (batch * g->points + first + i) * g->rank;
        for (int d = 0; d < g->rank; d++) {
            const double x = sdx_grid_place(g, at + g->rank - 1 - d, dims[d]);
            if (d == sloped)
                slopes(g->p, x, dims[d], &axes[d]);
            else
                sdx_grid_neighbours(g->p, x, dims[d], &axes[d]);
        }
        sdx_taps_cross(g->rank, dims, along, axes, n, g->work, place + i, (char *)weight + (size_t)i * wide);
    }
}

/* dY of one channel in the work's dtype. */
static const void *load(const back_job *job, int64_t channel, int64_t first, int64_t n, void *room) {
    const size_t size = sdx_dtype_size(job->dy->dtype);
    const char *from = (const char *)job->dy->data + (size_t)(channel * job->shape.points + first) * size;
    if (job->dy->dtype == job->shape.work) return from;
    sdx_convert(job->shape.kernels, job->dy->dtype, from, job->shape.work, room, n);
    return room;
}

#define SCATTER(T)                                                                                                     \
    for (int64_t k = 0; k < taps; k++)                                                                                 \
        for (int64_t i = 0; i < n; i++)                                                                                \
            if (place[k * n + i] >= 0)                                                                                 \
                ((T *)to)[place[k * n + i]] += ((const T *)weight)[k * n + i] * ((const T *)dy)[i];

static void scatter(sdx_dtype work, const int32_t *place, const void *weight, const void *dy, int64_t taps, int64_t n,
                    void *to) {
    if (work == SDX_F64) {
        SCATTER(double)
    } else {
        SCATTER(float)
    }
}

/* Blocks of channels of dX. */
static void input_blocks(void *argument, int64_t begin, int64_t end, int worker) {
    const back_job *job = argument;
    const sdx_grid_job *g = &job->shape;
    const size_t size = sdx_dtype_size(job->dx->dtype), wide = sdx_dtype_size(g->work);
    char *room = job->room + (size_t)worker * job->each, *own = room + job->each - job->plane_bytes;
    int32_t *place = (void *)room;
    void *weight = room + g->place_bytes, *buffer = room + g->each;
    for (int64_t t = begin; t < end; t++) {
        const int64_t batch = t / job->blocks, from = t % job->blocks * job->together;
        const int64_t to = from + job->together < job->channels ? from + job->together : job->channels;
        char *planes = (char *)job->dx->data + (size_t)((batch * job->channels + from) * g->plane) * size;
        char *sums = job->plane_bytes ? own : planes;
        memset(sums, 0, (size_t)((to - from) * g->plane) * wide);
        for (int64_t first = 0; first < g->points; first += g->tile) {
            const int64_t n = g->points - first < g->tile ? g->points - first : g->tile;
            fill_table(job, batch, first, n, -1, place, weight);
            for (int64_t c = from; c < to; c++)
                scatter(g->work, place, weight, load(job, batch * job->channels + c, first, n, buffer), g->taps, n,
                        sums + (size_t)((c - from) * g->plane) * wide);
        }
        if (job->plane_bytes) sdx_convert(g->kernels, g->work, sums, job->dx->dtype, planes, (to - from) * g->plane);
    }
}

/* Tiles of points of dgrid. */
static void grid_tiles(void *argument, int64_t begin, int64_t end, int worker) {
    const back_job *job = argument;
    const sdx_grid_job *g = &job->shape;
    const size_t size = sdx_dtype_size(job->x->dtype);
    char *room = job->room + (size_t)worker * job->each;
    int32_t *place = (void *)room;
    void *weight = room + g->place_bytes, *made = room + g->place_bytes + g->weight_bytes, *buffer = room + g->each;
    double sum[SDX_GRID_MOST_POINTS];
    for (int64_t t = begin; t < end; t++) {
        const int64_t batch = t / g->tiles, first = t % g->tiles * g->tile;
        const int64_t n = g->points - first < g->tile ? g->points - first : g->tile;
        for (int d = 0; d < g->rank; d++) {
            memset(sum, 0, sizeof sum);
            const bool flat = g->p->mode == SDX_GRID_NEAREST;
            if (!flat) fill_table(job, batch, first, n, d, place, weight);
            for (int64_t c = batch * job->channels; c < (batch + 1) * job->channels && !flat; c++) {
                const char *x = (const char *)job->x->data + (size_t)(c * g->plane) * size;
                const void *dy = load(job, c, first, n, buffer);
                sdx_sample(g->kernels, job->x->dtype, x, place, weight, g->taps, n, n, made);
                if (g->work == SDX_F64)
                    for (int64_t i = 0; i < n; i++) sum[i] += ((const double *)made)[i] * ((const double *)dy)[i];
                else
                    for (int64_t i = 0; i < n; i++)
                        sum[i] += (double)((const float *)made)[i] * (double)((const float *)dy)[i];
            }
            const size_t own = sdx_dtype_size(job->dgrid->dtype);
            for (int64_t i = 0; i < n; i++) {
                const int64_t at = (batch * g->points + first + i) * g->rank + g->rank - 1 - d;
                sdx_convert(g->kernels, SDX_F64, &sum[i], job->dgrid->dtype,
                            (char *)job->dgrid->data + (size_t)at * own, 1);
            }
        }
    }
}

static sdx_status back_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[X], *grid = compute->in[GRID];
    const sdx_type x_type = sdx_type_of_tensor(x), grid_type = sdx_type_of_tensor(grid);
    back_job job = {.x = x, .dy = compute->in[DY], .room = compute->scratch};
    job.dx = compute->out[0], job.dgrid = compute->n_out > 1 ? compute->out[1] : NULL;
    measure(&job, params, &x_type, &grid_type);
    job.shape.kernels = compute->kernels;
    job.shape.x = x, job.shape.grid = grid;
    if (job.shape.plane > INT32_MAX)
        return sdx_fail(compute->error, SDX_UNSUPPORTED,
                        "a plane of input 'X' has %" PRId64 " elements; at most %d are supported", job.shape.plane,
                        (int)INT32_MAX);
    const int64_t cost = job.shape.taps * 4;
    if (job.dx)
        SDX_TRY(sdx_for(compute, x->dim[0] * job.blocks,
                        sdx_grain(job.shape.points * cost * job.together + job.shape.plane), input_blocks, &job));
    if (!job.dgrid || job.shape.points == 0) return SDX_OK;
    return sdx_for(compute, x->dim[0] * job.shape.tiles, sdx_grain(job.shape.tile * cost * (job.channels + 8)),
                   grid_tiles, &job);
}

const sdx_op sdx_op_GridSampleGrad = {
    .domain = "sdx",
    .name = "GridSampleGrad",
    .versions =
        (const sdx_op_version[]){{1, "X:T grid:U dY:T -> dX:T? dgrid:U?", "T=" SDX_T_FLOAT_BF " U=" SDX_T_FLOAT_BF,
                                  "align_corners:int=0 mode:string=bilinear padding_mode:string=zeros pixels:int=0"},
                                 {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_grid_params),
    .bind = back_bind,
    .infer = back_infer,
    .scratch = back_scratch,
    .compute = back_compute,
    .flags = SDX_OP_INTERNAL};

sdx_status sdx_grid_grad(sdx_grad *grad, const void *params) {
    static const char *const modes[] = {"nearest", "bilinear", "bicubic"}, *const paddings[] = {"zeros", "border",
                                                                                                "reflection"};
    const sdx_grid_params *p = params;
    const sdx_node *node = grad->node;
    const sdx_id in[3] = {node->in[0], node->in[1], grad->dY[0]};
    sdx_node *back = sdx_patch_node(grad->patch, "sdx", "GridSampleGrad", 3, in, 2);
    sdx_patch_int(grad->patch, back, "align_corners", p->corners);
    sdx_patch_string(grad->patch, back, "mode", modes[p->mode]);
    sdx_patch_string(grad->patch, back, "padding_mode", paddings[p->padding]);
    for (int k = 0; k < 2; k++)
        if (grad->needed[k]) grad->dX[k] = back->out[k];
    grad->exact = true;
    return grad->patch->status;
}
