/* SPDX-License-Identifier: Apache-2.0
 * Pools backwards. MaxPoolGrad(X, Y, dY): each output gives its dY to the first place of its window that equals it.
 * WindowSpread(X): Y[i] = sum of X[o], by the number of places of o if it is the mean, over the windows o that hold i.
 * Rows of outputs take one place of the window after another, as the pools do; a plane is summed by one worker. */
#include "ops/grad.h"
#include "ops/lines.h"
#include "ops/nn/pool.h"
#include "runtime/base/half.h"
#include <math.h>
#include <string.h>

typedef struct back_params {
    sdx_window_attrs window;
    bool count_pad, mean;
} back_params;

static sdx_status max_bind(sdx_bind *bind, void *params) {
    back_params *p = params;
    return sdx_window_bind(bind, SDX_WINDOW_DILATIONS | SDX_WINDOW_CEIL, &p->window);
}

static sdx_status spread_bind(sdx_bind *bind, void *params) {
    back_params *p = params;
    p->count_pad = sdx_bind_int(bind, "count_include_pad") != 0;
    p->mean = sdx_bind_int(bind, "mean") != 0;
    return sdx_window_bind(bind, SDX_WINDOW_DILATIONS | SDX_WINDOW_CEIL, &p->window);
}

/* `y` against the outputs of the window over `x`. */
static sdx_status relate(sdx_error *error, const back_params *p, const sdx_type *x, const sdx_type *y, const char *name,
                         sdx_pooling *pooling) {
    *pooling = (sdx_pooling){.kind = SDX_POOL_AVERAGE, .dtype = x->dtype, .count_pad = p->count_pad};
    if (x->rank < 0) return SDX_OK;
    if (x->rank < 3) return sdx_fail(error, SDX_SHAPE, "%d dimensions; there must be 3 or more", x->rank);
    SDX_TRY(sdx_window_count(error, "kernel_shape", p->window.kernel_shape, x->rank - 2));
    SDX_TRY(sdx_window_make(error, &p->window, x->rank - 2, x->dim + 2, p->window.kernel_shape.data, true,
                            &pooling->window));
    for (int d = 0; d < x->rank && y->rank >= 0; d++) {
        const int64_t want = d < 2 ? x->dim[d] : pooling->window.out[d - 2];
        if (y->rank != x->rank || (want >= 0 && y->dim[d] >= 0 && want != y->dim[d]))
            return sdx_fail(error, SDX_SHAPE, "input '%s' does not have the shape that the window gives", name);
    }
    pooling->planes = x->dim[0] * x->dim[1];
    return SDX_OK;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* x and y: of the pool; v: what is handed back, or room for it; to: in x's shape. */
typedef struct rows_of {
    const void *x, *y, *v;
    void *to;
} rows_of;

/* Of equal elements the first one gets it: later places of the window are looked at before earlier ones. */
static void give_row_float(const sdx_pool_job *job, int64_t row, const float *x, const float *y, const float *v,
                           float *to, void *room) {
    const sdx_window *w = &job->pooling->window;
    const int inner = w->rank - 1;
    const int64_t step = w->stride[inner];
    int32_t *where = room;
    for (int64_t o = 0; o < job->row; o++) where[o] = INT32_MIN;
    for (int64_t tap = job->outer_taps - 1; tap >= 0; tap--) {
        const sdx_pool_place at = sdx_pool_place_of(job, row, tap);
        for (int64_t k = w->kernel[inner] - 1; at.inside && k >= 0; k--) {
            int64_t first = 0, last = 0;
            sdx_pool_range_of(job, k, &first, &last);
            const int64_t base = at.offset + k * w->dilation[inner] - w->begin[inner];
            if (first < last)
                job->kernels->pool_match_f32(x + base + first * step, step, last - first, y + first, (int32_t)base,
                                             where + first);
        }
    }
    for (int64_t o = 0; o < job->row; o++)
        if (where[o] != INT32_MIN) to[where[o] + o * step] += v[o];
}

static void give_row_double(const sdx_pool_job *job, int64_t row, const double *x, const double *y, const double *v,
                            double *to, void *room) {
    const sdx_window *w = &job->pooling->window;
    const int inner = w->rank - 1;
    const int64_t step = w->stride[inner];
    bool *given = room;
    memset(given, 0, (size_t)job->row);
    SDX_POOL_EACH_PLACE(for (int64_t o = first; o < last; o++) {
        const double have = x[base + o * step];
        const bool gets = (!given[o]) & ((have == y[o]) | (have != have));
        to[base + o * step] += gets ? v[o] : 0;
        given[o] |= gets;
    })
}

/* All of two rows of X is written, nothing is added up. A sum with 0, as elsewhere, so that -0 comes out the same. */
static void give_halves(const sdx_pool_job *job, const float *x, const float *y, const float *v, uint32_t *to) {
    const int64_t pitch = job->trimmed.window.in[1], columns = job->row;
    for (int64_t row = 0; row < job->rows; row++, x += 2 * pitch, to += 2 * pitch, y += columns, v += columns)
        for (int64_t o = 0; o < columns; o++) {
            const float a = x[2 * o], b = x[2 * o + 1], c = x[pitch + 2 * o], d = x[pitch + 2 * o + 1], most = y[o];
            const uint32_t first = 0u - (uint32_t)((a == most) | (a != a));
            const uint32_t second = ~first & (0u - (uint32_t)((b == most) | (b != b)));
            const uint32_t third = ~(first | second) & (0u - (uint32_t)((c == most) | (c != c)));
            const uint32_t fourth = ~(first | second | third) & (0u - (uint32_t)((d == most) | (d != d)));
            const uint32_t all = sdx_f32_bits(v[o] + 0);
            to[2 * o] = all & first, to[2 * o + 1] = all & second;
            to[pitch + 2 * o] = all & third, to[pitch + 2 * o + 1] = all & fourth;
        }
}

#define BACK(T, DTYPE)                                                                                                 \
    static void spread_row_##T(const sdx_pool_job *job, int64_t row, const T *v, T *to) {                              \
        const sdx_window *w = &job->pooling->window;                                                                   \
        const int inner = w->rank - 1;                                                                                 \
        const int64_t step = w->stride[inner];                                                                         \
        const sdx_binary_fn add = job->kernels->binary(SDX_BINARY_Add, DTYPE);                                         \
        if (step == 1)                                                                                                 \
            SDX_POOL_EACH_PLACE(if (first < last)                                                                      \
                                    add(to + base + first, 1, v + first, 1, to + base + first, last - first);)         \
        else                                                                                                           \
            SDX_POOL_EACH_PLACE(for (int64_t o = first; o < last; o++) to[base + o * step] += v[o];)                   \
    }                                                                                                                  \
    static void plane_##T(const sdx_pool_job *job, const rows_of *r, bool mean, void *room) {                          \
        memset(r->to, 0, (size_t)job->in_plane * sizeof(T));                                                           \
        for (int64_t row = 0; row < job->rows; row++) {                                                                \
            const T *v = (const T *)r->v + row * job->row;                                                             \
            T *part = room;                                                                                            \
            if (r->x) {                                                                                                \
                give_row_##T(job, row, r->x, (const T *)r->y + row * job->row, v, r->to, room);                        \
                continue;                                                                                              \
            }                                                                                                          \
            for (int64_t o = 0; mean && o < job->row; o++)                                                             \
                part[o] = (T)((double)v[o] / (job->count > 0 ? job->count : sdx_pool_count_of(job, row, o)));          \
            spread_row_##T(job, row, mean ? part : v, r->to);                                                          \
        }                                                                                                              \
    }
BACK(float, SDX_F32)
BACK(double, SDX_F64)

/* ---- planes ------------------------------------------------------------------------------------------------------ */

typedef struct back_job {
    sdx_pool_job walk;
    rows_of all;
    bool mean, halves, uncovered; /* windows of give_halves; places that none of them holds */
    char *scratch;
    size_t in_bytes, out_bytes, row_bytes, own; /* of a worker: f32 planes of 16-bit floats, two each; a row; all */
} back_job;

static bool size_up(const sdx_pooling *pooling, back_job *job) {
    const size_t element = pooling->dtype == SDX_F64 ? sizeof(double) : sizeof(float);
    if (!sdx_pool_set_up(pooling, &job->walk)) return false;
    job->in_bytes = job->walk.wide_x, job->out_bytes = job->walk.wide_y;
    size_t row = 0, planes = 0;
    if (!sdx_size_mul((size_t)job->walk.row, element, &row) || row > PTRDIFF_MAX) return false;
    job->row_bytes = sdx_align(row);
    return sdx_size_add(job->in_bytes, job->out_bytes, &planes) && sdx_size_mul(planes, 2, &planes) &&
           sdx_size_add(planes, job->row_bytes, &job->own);
}

static const void *plane_of(const void *all, int64_t plane, int64_t n, size_t size) {
    return all ? (const char *)all + (size_t)(plane * n) * size : NULL;
}

static void run_planes(void *argument, int64_t begin, int64_t end, int worker) {
    const back_job *job = argument;
    const sdx_pool_job *walk = &job->walk;
    const sdx_dtype dtype = walk->pooling->dtype, work = dtype == SDX_F64 ? SDX_F64 : SDX_F32;
    const size_t size = sdx_dtype_size(dtype);
    char *room = job->scratch + (size_t)worker * job->own;
    char *wide_x = room + job->row_bytes, *wide_y = wide_x + 2 * job->in_bytes, *wide_v = wide_y + job->out_bytes;
    const int64_t in = walk->in_plane, out = walk->out_plane;
    for (int64_t plane = begin; plane < end; plane++) {
        rows_of r = {plane_of(job->all.x, plane, in, size), plane_of(job->all.y, plane, out, size),
                     plane_of(job->all.v, plane, out, size), (char *)job->all.to + (size_t)(plane * in) * size};
        if (dtype == SDX_F64) {
            plane_double(walk, &r, job->mean, room);
            continue;
        }
        void *to = r.to;
        if (dtype != work) {
            if (r.x) sdx_convert(walk->kernels, dtype, r.x, work, wide_x, in);
            if (r.x) sdx_convert(walk->kernels, dtype, r.y, work, wide_y, out);
            sdx_convert(walk->kernels, dtype, r.v, work, wide_v, out);
            r = (rows_of){r.x ? wide_x : NULL, wide_y, wide_v, wide_x + job->in_bytes};
        }
        if (r.x && job->halves) {
            if (job->uncovered) memset(r.to, 0, (size_t)in * sizeof(float));
            give_halves(walk, r.x, r.y, r.v, r.to);
        } else {
            plane_float(walk, &r, job->mean, room);
        }
        if (dtype != work) sdx_convert(walk->kernels, work, r.to, dtype, to, in);
    }
}

static size_t scratch_of(const sdx_pooling *pooling, int threads) {
    back_job job;
    size_t bytes = 0;
    return size_up(pooling, &job) && sdx_size_mul(job.own, (size_t)threads, &bytes) ? bytes : SIZE_MAX;
}

static sdx_status run(sdx_compute *compute, const sdx_pooling *pooling, back_job *job) {
    if (!size_up(pooling, job)) return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "planes of a pool");
    job->walk.kernels = compute->kernels;
    job->all.to = compute->out[0]->data;
    job->scratch = compute->scratch;
    const sdx_window *w = &job->walk.trimmed.window;
    job->halves = sdx_pool_halves(&job->walk);
    job->uncovered = job->walk.in_plane != 4 * job->walk.out_plane;
    const int64_t cost = job->walk.in_plane + 2 * job->walk.out_plane * sdx_window_product(w->kernel, w->rank);
    return sdx_for(compute, pooling->planes, sdx_grain(cost), run_planes, job);
}

/* ---- MaxPoolGrad ------------------------------------------------------------------------------------------------- */

static sdx_status max_infer(sdx_infer *infer, const void *params) {
    sdx_pooling pooling;
    sdx_infer_same(infer, 0, 0);
    SDX_TRY(relate(infer->error, params, infer->in[0], infer->in[1], "Y", &pooling));
    return relate(infer->error, params, infer->in[0], infer->in[2], "dY", &pooling);
}

static size_t max_scratch(const sdx_infer *infer, const void *params) {
    sdx_pooling pooling;
    if (relate(NULL, params, infer->in[0], infer->in[1], "Y", &pooling)) return SIZE_MAX;
    return scratch_of(&pooling, infer->threads);
}

static sdx_status max_compute(sdx_compute *compute, const void *params) {
    const sdx_type x = sdx_type_of_tensor(compute->in[0]), y = sdx_type_of_tensor(compute->in[1]);
    sdx_pooling pooling;
    SDX_TRY(relate(compute->error, params, &x, &y, "Y", &pooling));
    const sdx_window *w = &pooling.window;
    if (sdx_window_product(w->in, w->rank) > INT32_MAX / 2 || /* places are counted in 32 bits */
        (w->out[w->rank - 1] > 0 && w->stride[w->rank - 1] > INT32_MAX / 2 / w->out[w->rank - 1]))
        return sdx_fail(compute->error, SDX_UNSUPPORTED, "a plane of input 'X' has more than %d places", INT32_MAX / 2);
    back_job job = {.all = {compute->in[0]->data, compute->in[1]->data, compute->in[2]->data, NULL}};
    return run(compute, &pooling, &job);
}

/* The winners as MaxPool counts them, where dY is added up. */
static sdx_status max_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    (void)params;
    sdx_node *again = sdx_patch_node(patch, "", "MaxPool", 1, node->in, 2);
    sdx_patch_attrs_of(patch, again, node, NULL, 0);
    sdx_patch_replace(patch, node->out[0],
                      sdx_grad_put(patch, sdx_emit1(patch, "Shape", node->in[0]),
                                   sdx_grad_type(patch, node->in[0])->dtype, again->out[1], node->in[2]));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_MaxPoolGrad = {
    .domain = "sdx",
    .name = "MaxPoolGrad",
    .versions = (const sdx_op_version[]){{1, "X:T Y:T dY:T -> dX:T", "T=" SDX_T_FLOAT_BF,
                                          "auto_pad:string=NOTSET ceil_mode:int=0 dilations:ints kernel_shape:ints! "
                                          "pads:ints strides:ints"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(back_params),
    .bind = max_bind,
    .infer = max_infer,
    .scratch = max_scratch,
    .compute = max_compute,
    .expand = max_expand,
    .flags = SDX_OP_INTERNAL};

sdx_status sdx_max_pool_grad(sdx_grad *grad, const void *params) {
    (void)params;
    static const char *const dropped[] = {"storage_order"};
    const sdx_node *node = grad->node;
    const sdx_id in[3] = {node->in[0], node->out[0], grad->dY[0]};
    if (grad->dY[0] == SDX_NONE) return SDX_OK;
    sdx_node *back = sdx_patch_node(grad->patch, "sdx", "MaxPoolGrad", 3, in, 1);
    sdx_patch_attrs_of(grad->patch, back, node, dropped, 1);
    grad->dX[0] = back->out[0];
    grad->exact = true;
    return grad->patch->status;
}

/* ---- WindowSpread ------------------------------------------------------------------------------------------------ */

static sdx_status spread_infer(sdx_infer *infer, const void *params) {
    int64_t dims[SDX_MAX_RANK];
    sdx_type *y = &infer->out[0];
    sdx_pooling pooling;
    int n = -1;
    SDX_TRY(sdx_infer_i64s(infer, 1, "shape", dims, SDX_MAX_RANK, &n));
    y->rank = n >= 0 ? n : infer->in[0]->rank;
    for (int d = 0; d < y->rank; d++) y->dim[d] = n >= 0 ? dims[d] : -1;
    return relate(infer->error, params, y, infer->in[0], "X", &pooling);
}

static size_t spread_scratch(const sdx_infer *infer, const void *params) {
    sdx_pooling pooling;
    if (relate(NULL, params, &infer->out[0], infer->in[0], "X", &pooling)) return SIZE_MAX;
    return scratch_of(&pooling, infer->threads);
}

static sdx_status spread_compute(sdx_compute *compute, const void *params) {
    const back_params *p = params;
    const sdx_type x = sdx_type_of_tensor(compute->in[0]), y = sdx_type_of_tensor(compute->out[0]);
    sdx_pooling pooling;
    SDX_TRY(relate(compute->error, p, &y, &x, "X", &pooling));
    back_job job = {.all = {.v = compute->in[0]->data}, .mean = p->mean};
    return run(compute, &pooling, &job);
}

/* Every channel becomes an image; ones are pooled to find how many places count; then ConvTranspose with ones. */
static sdx_status spread_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    static const char *const mean_only[] = {"mean"}, *const sums[] = {"mean", "count_include_pad"};
    const back_params *p = params;
    const sdx_type *y = sdx_grad_shaped(patch, node->in[1], sdx_grad_type(patch, node->out[0]));
    sdx_pooling pooling;
    int64_t one_plane[SDX_MAX_RANK] = {-1, 1}, extra[SDX_MAX_SPATIAL];
    SDX_TRY(relate(patch->error, p, y, sdx_grad_type(patch, node->in[0]), "X", &pooling));
    if (!sdx_type_concrete(y) || y->rank < 3)
        return sdx_fail(patch->error, SDX_UNSUPPORTED, "the shape must be known to write this with standard operators");
    const sdx_window *w = &pooling.window;
    const size_t rank = (size_t)w->rank;
    sdx_id x = node->in[0];
    if (p->mean) {
        sdx_id ones = sdx_emit2(patch, "Expand", sdx_patch_scalar(patch, y->dtype, 1), node->in[1]);
        sdx_node *share = sdx_patch_node(patch, "", "AveragePool", 1, &ones, 1);
        sdx_node *inside = sdx_patch_node(patch, "", "LpPool", 1, &ones, 1);
        sdx_patch_attrs_of(patch, share, node, mean_only, 1);
        sdx_patch_attrs_of(patch, inside, node, sums, 2);
        sdx_patch_int(patch, inside, "p", 1);
        x = sdx_emit2(patch, "Mul", x, sdx_emit2(patch, "Div", share->out[0], inside->out[0]));
    }
    memcpy(one_plane + 2, w->out, rank * sizeof *one_plane);
    x = sdx_emit2(patch, "Reshape", x, sdx_patch_i64s(patch, one_plane, rank + 2));
    one_plane[0] = 1;
    memcpy(one_plane + 2, w->kernel, rank * sizeof *one_plane);
    sdx_id ones =
        sdx_emit2(patch, "Expand", sdx_patch_scalar(patch, y->dtype, 1), sdx_patch_i64s(patch, one_plane, rank + 2));
    sdx_node *whole = sdx_patch_node(patch, "", "ConvTranspose", 2, (const sdx_id[]){x, ones}, 1);
    int64_t to[SDX_MAX_SPATIAL], axes[SDX_MAX_SPATIAL];
    for (int d = 0; d < w->rank; d++) {
        extra[d] = w->stride[d] - 1;
        to[d] = w->begin[d] + w->in[d];
        axes[d] = d + 2;
    }
    sdx_patch_ints(patch, whole, "strides", w->stride, rank);
    sdx_patch_ints(patch, whole, "dilations", w->dilation, rank);
    sdx_patch_ints(patch, whole, "output_padding", extra, rank);
    const sdx_id cut[4] = {whole->out[0], sdx_patch_i64s(patch, w->begin, rank), sdx_patch_i64s(patch, to, rank),
                           sdx_patch_i64s(patch, axes, rank)};
    sdx_id part = sdx_patch_node(patch, "", "Slice", 4, cut, 1)->out[0];
    sdx_patch_replace(patch, node->out[0], sdx_emit2(patch, "Reshape", part, node->in[1]));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_WindowSpread = {
    .domain = "sdx",
    .name = "WindowSpread",
    .versions = (const sdx_op_version[]){{1, "X:T shape:i64 -> Y:T", "T=" SDX_T_FLOAT_BF,
                                          "auto_pad:string=NOTSET ceil_mode:int=0 count_include_pad:int=0 "
                                          "dilations:ints kernel_shape:ints! mean:int=0 pads:ints strides:ints"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(back_params),
    .bind = spread_bind,
    .infer = spread_infer,
    .scratch = spread_scratch,
    .compute = spread_compute,
    .expand = spread_expand,
    .flags = SDX_OP_INTERNAL};

sdx_id sdx_pool_grad_spread(sdx_grad *grad, sdx_id v, bool mean) {
    static const char *const dropped[] = {"p"};
    const sdx_id in[2] = {v, sdx_emit1(grad->patch, "Shape", grad->node->in[0])};
    sdx_node *spread = sdx_patch_node(grad->patch, "sdx", "WindowSpread", 2, in, 1);
    sdx_patch_attrs_of(grad->patch, spread, grad->node, dropped, 1);
    if (mean) sdx_patch_int(grad->patch, spread, "mean", 1);
    return spread->out[0];
}

sdx_id sdx_pool_grad_power(sdx_patch *patch, sdx_id x, double p) {
    if (p == 2) return x;
    const sdx_id sign = sdx_emit1(patch, "Sign", x);
    if (p == 1) return sign;
    return sdx_emit2(patch, "Mul", sign,
                     sdx_emit2(patch, "Pow", sdx_emit1(patch, "Abs", x), sdx_grad_scalar(patch, x, p - 1)));
}

sdx_id sdx_pool_grad_root(sdx_patch *patch, sdx_id v, sdx_id y, double p) {
    if (p == 1) return v;
    const sdx_id zero = sdx_grad_scalar(patch, y, 0), none = sdx_emit2(patch, "Equal", y, zero);
    const sdx_id by = p == 2 ? y : sdx_emit2(patch, "Pow", y, sdx_grad_scalar(patch, y, p - 1));
    return sdx_emit3(patch, "Where", none, zero, sdx_emit2(patch, "Div", v, by));
}
