/* SPDX-License-Identifier: Apache-2.0
 * DeformConv: a convolution whose kernel places are moved by `offset` (and weighed by `mask`), with linear
 * interpolation between the inputs there and zeros outside. For one image at a time: a table of places and weights,
 * shared by the channels of an offset group, then the matrix product of Conv, whose panels are sampled by the table
 * when they are needed. */
#include "ops/grad.h"
#include "ops/lines.h"
#include "ops/nn/convolve.h"
#include "ops/resample.h"
#include <inttypes.h>
#include <string.h>

typedef struct deform_params {
    sdx_window_attrs window;
    int64_t group, offset_group;
} deform_params;

static sdx_status deform_bind(sdx_bind *bind, void *params) {
    deform_params *p = params;
    p->group = sdx_bind_int(bind, "group");
    p->offset_group = sdx_bind_int(bind, "offset_group");
    p->window.kernel_shape = sdx_bind_ints(bind, "kernel_shape");
    p->window.strides = sdx_bind_ints(bind, "strides");
    p->window.dilations = sdx_bind_ints(bind, "dilations");
    p->window.pads = sdx_bind_ints(bind, "pads");
    return bind->status;
}

/* `type` must be [N, channels, lengths of y]; unknown parts (< 0) agree with everything. */
static sdx_status check_moves(sdx_error *error, const char *name, const sdx_type *type, const sdx_type *y,
                              int64_t channels) {
    if (!type || type->rank < 0 || y->rank < 0) return SDX_OK;
    if (type->rank != y->rank)
        return sdx_fail(error, SDX_SHAPE, "input '%s' has rank %d; it must be %d", name, type->rank, y->rank);
    for (int d = 0; d < y->rank; d++) {
        const int64_t needed = d == 1 ? channels : y->dim[d];
        if (type->dim[d] >= 0 && needed >= 0 && type->dim[d] != needed)
            return sdx_fail(error, SDX_SHAPE, "dimension %d of input '%s' is %" PRId64 "; it must be %" PRId64, d, name,
                            type->dim[d], needed);
    }
    return SDX_OK;
}

static sdx_status deform_resolve(sdx_error *error, const deform_params *p, int n_in, const sdx_type *const *in,
                                 sdx_type *y, sdx_convolution *conv, bool *known) {
    const sdx_type *w = in[1];
    SDX_TRY(sdx_convolution_infer(error, &p->window, p->group, in[0], w, n_in > 3 ? in[3] : NULL, y, conv, known));
    if (p->offset_group < 1 || (in[0]->rank > 1 && in[0]->dim[1] >= 0 && in[0]->dim[1] % p->offset_group))
        return sdx_fail(error, SDX_VALUE,
                        "attribute 'offset_group' is %" PRId64 "; it must divide the channels of input 'X'",
                        p->offset_group);
    int64_t taps = w->rank > 2 ? p->offset_group : -1, moves = -1;
    for (int d = 2; d < w->rank && taps >= 0; d++) {
        if (w->dim[d] < 0)
            taps = -1;
        else if (!sdx_dim_mul(taps, w->dim[d], &taps))
            return sdx_fail(error, SDX_SHAPE, "the kernel of input 'W' is too large");
    }
    if (taps >= 0 && !sdx_dim_mul(taps, w->rank - 2, &moves))
        return sdx_fail(error, SDX_SHAPE, "the kernel of input 'W' is too large");
    SDX_TRY(check_moves(error, "offset", in[2], y, moves));
    return check_moves(error, "mask", n_in > 4 ? in[4] : NULL, y, taps);
}

static sdx_status deform_infer(sdx_infer *infer, const void *params) {
    sdx_convolution conv = {0};
    bool known = false;
    return deform_resolve(infer->error, params, infer->n_in, infer->in, &infer->out[0], &conv, &known);
}

typedef struct deform_job {
    const sdx_kernels *kernels;
    sdx_convolution conv;
    int64_t offset_group, taps, corners; /* kernel places; inputs around one */
    int64_t outputs, plane;
    sdx_dtype work;
    size_t place_bytes, weight_bytes;
    int32_t *place;
    void *weight; /* [offset group][tap][corner][output] */
    const sdx_tensor *offset, *mask;
    int64_t image;
} deform_job;

/* False when the table is too large. */
static bool measure(deform_job *job, int64_t offset_group) {
    const sdx_window *w = &job->conv.window;
    job->offset_group = offset_group;
    job->taps = sdx_window_product(w->kernel, w->rank);
    job->corners = (int64_t)1 << w->rank;
    job->outputs = sdx_window_product(w->out, w->rank);
    job->plane = sdx_window_product(w->in, w->rank);
    job->work = sdx_resample_work(job->conv.dtype);
    size_t cells = 0;
    if (!sdx_size_mul((size_t)(job->offset_group * job->taps * job->corners), (size_t)job->outputs, &cells) ||
        cells > SIZE_MAX / 64)
        return false;
    job->place_bytes = sdx_align(cells * sizeof(int32_t));
    job->weight_bytes = sdx_align(cells * sdx_dtype_size(job->work));
    return true;
}

static size_t product_scratch(const deform_job *job, int threads) {
    const sdx_convolution *c = &job->conv;
    return sdx_product_scratch(c->dtype, c->group, c->maps / c->group, job->outputs, c->channels / c->group * job->taps,
                               false, false, threads);
}

static size_t deform_scratch(const sdx_infer *infer, const void *params) {
    const deform_params *p = params;
    deform_job job = {.image = 0};
    sdx_type y = sdx_type_make(infer->in[0]->dtype, -1);
    bool known = false;
    size_t size = 0;
    if (deform_resolve(NULL, p, infer->n_in, infer->in, &y, &job.conv, &known) != SDX_OK || !known) return SIZE_MAX;
    if (!measure(&job, p->offset_group)) return SIZE_MAX;
    size = product_scratch(&job, infer->threads);
    return sdx_size_add(size, job.place_bytes + job.weight_bytes, &size) ? size : SIZE_MAX;
}

enum { TILE = 128 }; /* outputs whose offsets are widened together */

/* The table of tile `tile` for one kernel place of one offset group. */
static void fill_tile(const deform_job *job, int64_t place, int64_t first, int64_t n) {
    const sdx_window *w = &job->conv.window;
    const size_t size = sdx_dtype_size(job->offset->dtype), wide = sdx_dtype_size(job->work);
    const int64_t from = (job->image * job->offset_group * job->taps + place) * job->outputs + first;
    double offset[SDX_MAX_SPATIAL][TILE], mask[TILE];
    int64_t tap = place % job->taps, at[SDX_MAX_SPATIAL];
    for (int d = w->rank - 1; d >= 0; d--)
        at[d] = tap % w->kernel[d] * w->dilation[d] - w->begin[d], tap /= w->kernel[d];
    for (int d = 0; d < w->rank; d++) {
        const int64_t row = (job->image * job->offset_group * job->taps + place) * w->rank + d;
        sdx_convert(job->kernels, job->offset->dtype,
                    (const char *)job->offset->data + (size_t)(row * job->outputs + first) * size, SDX_F64, offset[d],
                    n);
    }
    if (job->mask)
        sdx_convert(job->kernels, job->mask->dtype, (const char *)job->mask->data + (size_t)from * size, SDX_F64, mask,
                    n);
    for (int64_t i = 0; i < n; i++) {
        sdx_tap_axis axes[SDX_MAX_SPATIAL];
        int64_t rest = first + i;
        for (int d = w->rank - 1; d >= 0; d--) {
            sdx_taps_linear((double)(rest % w->out[d] * w->stride[d] + at[d]) + offset[d][i], w->in[d], &axes[d]);
            rest /= w->out[d];
        }
        for (int k = 0; k < 2 && job->mask; k++) axes[0].weight[k] *= mask[i];
        const int64_t to = place * job->corners * job->outputs + first + i;
        sdx_taps_cross(w->rank, w->in, 2, axes, job->outputs, job->work, job->place + to,
                       (char *)job->weight + (size_t)to * wide);
    }
}

static void fill_tiles(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const deform_job *job = argument;
    const int64_t tiles = (job->outputs + TILE - 1) / TILE;
    for (int64_t t = begin; t < end; t++) {
        const int64_t first = t % tiles * TILE;
        fill_tile(job, t / tiles, first, job->outputs - first < TILE ? job->outputs - first : TILE);
    }
}

/* Panels of the columns: row (channel, tap), column output. `batch` is a group. */
static void fill_panels(const void *context, int64_t batch, int64_t k, int64_t depth, int64_t n, int64_t count,
                        int width, int64_t panel, void *to) {
    const deform_job *job = context;
    const sdx_convolution *conv = &job->conv;
    const int64_t channels = conv->channels / conv->group, shared = conv->channels / job->offset_group;
    const size_t wide = sdx_dtype_size(job->work);
    for (int64_t q = 0; q < depth; q++) {
        const int64_t channel = batch * channels + (k + q) / job->taps, tap = (k + q) % job->taps;
        const int64_t row = (channel / shared * job->taps + tap) * job->corners * job->outputs + n;
        const char *x = (const char *)conv->x +
                        (size_t)((job->image * conv->channels + channel) * job->plane) * sdx_dtype_size(conv->dtype);
        for (int64_t j = 0; j < count; j += width) {
            const int64_t columns = count - j < width ? count - j : width;
            char *y = (char *)to + (size_t)(j / width * panel + q * width) * wide;
            sdx_sample(job->kernels, conv->dtype, x, job->place + row + j,
                       (const char *)job->weight + (size_t)(row + j) * wide, job->corners, job->outputs, columns, y);
            memset(y + (size_t)columns * wide, 0, (size_t)(width - columns) * wide);
        }
    }
}

static sdx_status deform_image(sdx_compute *compute, deform_job *job, char *scratch) {
    const sdx_convolution *conv = &job->conv;
    const int64_t tiles = (job->outputs + TILE - 1) / TILE;
    SDX_TRY(
        sdx_for(compute, job->offset_group * job->taps * tiles, sdx_grain(TILE * job->corners * 8), fill_tiles, job));
    sdx_product p = {.dtype = conv->dtype, .alpha = 1, .beta = 1, .batch_rank = 1, .batch_dim = {conv->group}};
    p.m = conv->maps / conv->group, p.n = job->outputs, p.k = conv->channels / conv->group * job->taps;
    p.c = (char *)conv->y + (size_t)(job->image * conv->maps * job->outputs) * sdx_dtype_size(conv->dtype);
    p.row_bias = conv->bias, p.row_bias_step = p.m, p.row_bias_period = conv->group;
    p.a = (sdx_factor){.data = conv->weight, .line_step = p.k, .k_step = 1, .batch_step = {p.m * p.k}};
    p.b = (sdx_factor){.fill = fill_panels, .context = job, .batch_step = {1}}; /* not one matrix for all groups */
    return sdx_product_run(compute, &p, scratch);
}

static sdx_status deform_compute(sdx_compute *compute, const void *params) {
    const deform_params *p = params;
    sdx_type types[5], y = sdx_type_make(compute->in[0]->dtype, -1);
    const sdx_type *in[5] = {NULL};
    deform_job job = {.kernels = compute->kernels, .offset = compute->in[2]};
    bool known = false;
    for (int k = 0; k < compute->n_in; k++) {
        if (!compute->in[k]) continue;
        types[k] = sdx_type_of_tensor(compute->in[k]);
        in[k] = &types[k];
    }
    SDX_TRY(deform_resolve(compute->error, p, compute->n_in, in, &y, &job.conv, &known));
    sdx_tensor *out = sdx_compute_output(compute, 0, y.rank, y.dim);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    if (!measure(&job, p->offset_group) || job.plane > INT32_MAX)
        return sdx_fail(compute->error, SDX_UNSUPPORTED,
                        "a plane of input 'X' has %" PRId64 " elements; at most %d are supported", job.plane,
                        (int)INT32_MAX);
    job.mask = compute->n_in > 4 ? compute->in[4] : NULL;
    job.conv.x = compute->in[0]->data, job.conv.weight = compute->in[1]->data, job.conv.y = out->data;
    job.conv.bias = compute->n_in > 3 && compute->in[3] ? compute->in[3]->data : NULL;
    job.place = compute->scratch;
    job.weight = (char *)compute->scratch + job.place_bytes;
    char *rest = (char *)job.weight + job.weight_bytes;
    for (job.image = 0; job.image < job.conv.batch; job.image++) SDX_TRY(deform_image(compute, &job, rest));
    return SDX_OK;
}

/* ---- gradient ----------------------------------------------------------------------------------------------------
 * Columns are what GridSample reads of the channels of an offset group, times the mask; the rest is a product. */

typedef struct deform_back {
    sdx_grad *grad;
    sdx_patch *patch;
    const deform_params *p;
    sdx_convolution conv;
    int64_t taps, outputs, shared, columns; /* channels of an offset group; rows of the columns of a group */
    int rank;
    sdx_dtype work;
} deform_back;

enum { IN_X, IN_W, IN_OFFSET, IN_B, IN_MASK };

static sdx_id reshape(const deform_back *b, sdx_id x, int n, const int64_t *dims) {
    return sdx_emit2(b->patch, "Reshape", x, sdx_patch_i64s(b->patch, dims, (size_t)n));
}
static sdx_id transpose(const deform_back *b, sdx_id x, int n, const int64_t *perm) {
    sdx_node *node = sdx_patch_node(b->patch, "", "Transpose", 1, &x, 1);
    sdx_patch_ints(b->patch, node, "perm", perm, (size_t)n);
    return node->out[0];
}
static sdx_id backwards(const deform_back *b, sdx_id x) {
    int64_t order[SDX_MAX_SPATIAL];
    for (int d = 0; d < b->rank; d++) order[d] = b->rank - 1 - d;
    return sdx_emit_int(b->patch, "Gather", x, sdx_patch_i64s(b->patch, order, (size_t)b->rank), "axis", 3);
}

static sdx_id constant(const deform_back *b, const int64_t *dims, int rank, double *values) {
    sdx_tensor tensor;
    if (sdx_tensor_make(&tensor, SDX_F64, rank, dims, values, b->patch->error)) {
        b->patch->status = b->patch->error->status;
        return SDX_NONE;
    }
    const sdx_id wide = sdx_patch_tensor(b->patch, &tensor);
    return b->work == SDX_F64 ? wide : sdx_emit_int(b->patch, "Cast", wide, SDX_NONE, "to", b->work);
}

/* Places [offset group of image, tap, output, coordinate], innermost dimension first. */
static sdx_id places(const deform_back *b) {
    const sdx_window *w = &b->conv.window;
    const int64_t dims[4] = {1, b->taps, b->rank, b->outputs}, moved[4] = {-1, b->taps, b->rank, b->outputs};
    double *values = SDX_NEW_ARRAY(b->patch->graph->arena, double, b->taps * b->rank * b->outputs + 1, b->patch->error);
    if (!values) return b->patch->status = b->patch->error->status, SDX_NONE;
    for (int64_t k = 0; k < b->taps * b->outputs; k++) {
        int64_t tap = k / b->outputs, o = k % b->outputs;
        const int64_t at = tap * b->rank * b->outputs + o;
        for (int d = b->rank - 1; d >= 0; d--) {
            values[at + d * b->outputs] =
                (double)(o % w->out[d] * w->stride[d] + tap % w->kernel[d] * w->dilation[d] - w->begin[d]);
            o /= w->out[d], tap /= w->kernel[d];
        }
    }
    sdx_id offset = b->grad->node->in[IN_OFFSET];
    if (b->work != b->conv.dtype) offset = sdx_emit_int(b->patch, "Cast", offset, SDX_NONE, "to", b->work);
    const sdx_id at = sdx_emit2(b->patch, "Add", reshape(b, offset, 4, moved), constant(b, dims, 4, values));
    return backwards(b, transpose(b, at, 4, (const int64_t[]){0, 1, 3, 2}));
}

/* Of lists of points: the dimensions that GridSample wants, with `first` and `last` around them. */
static sdx_id as_grid(const deform_back *b, sdx_id x, int64_t middle, int64_t last) {
    int64_t dims[SDX_MAX_RANK] = {-1};
    int n = 1;
    if (middle) dims[n++] = middle;
    dims[n++] = b->rank == 1 ? b->taps * b->outputs : b->taps;
    if (b->rank > 1) dims[n++] = b->outputs;
    for (int d = 2; d < b->rank; d++) dims[n++] = 1;
    if (last) dims[n++] = last;
    return reshape(b, x, n, dims);
}

/* X at the places, [offset group of image, channel, tap, output]. GridSample counts from -1 to 1. */
static sdx_id sampled(const deform_back *b, sdx_id x, sdx_id grid) {
    const int64_t one = b->rank, dims[4] = {-1, b->shared, b->taps, b->outputs};
    double scale[SDX_MAX_SPATIAL], shift[SDX_MAX_SPATIAL];
    for (int d = 0; d < b->rank; d++) {
        const double length = (double)b->conv.window.in[b->rank - 1 - d];
        scale[d] = 2 / length, shift[d] = 1 / length - 1;
    }
    const sdx_id to = sdx_emit2(b->patch, "Add", sdx_emit2(b->patch, "Mul", grid, constant(b, &one, 1, scale)),
                                constant(b, &one, 1, shift));
    return reshape(b, sdx_emit2(b->patch, "GridSample", x, to), 4, dims);
}

static sdx_id like_input(const deform_back *b, sdx_id x, int k) {
    const sdx_id in = b->grad->node->in[k];
    if (k == IN_OFFSET && b->work != b->conv.dtype) x = sdx_grad_cast(b->patch, x, in);
    return sdx_grad_reshape(b->patch, x, in);
}

static void deform_emit(deform_back *b) {
    sdx_grad *grad = b->grad;
    sdx_patch *patch = b->patch;
    const sdx_node *node = grad->node;
    const int64_t group = b->conv.group, maps = b->conv.maps / group, last = 2;
    const int64_t lists[4] = {-1, b->shared, b->taps, b->outputs}, by_group[4] = {-1, group, b->columns, b->outputs},
                  weights[3] = {group, maps, b->columns}, results[4] = {-1, group, maps, b->outputs};
    int64_t images[SDX_MAX_RANK] = {-1, b->shared};
    for (int d = 0; d < b->rank; d++) images[d + 2] = b->conv.window.in[d];
    const sdx_id x = reshape(b, node->in[IN_X], b->rank + 2, images), grid = as_grid(b, places(b), 0, b->rank);
    const sdx_id read = sampled(b, x, grid), dY = reshape(b, grad->dY[0], 4, results);
    const sdx_id W = reshape(b, node->in[IN_W], 3, weights);
    const sdx_id turned = transpose(b, W, 3, (const int64_t[]){0, 2, 1});
    const sdx_id columns = reshape(b, sdx_emit2(patch, "MatMul", turned, dY), 4, lists); /* their gradient */
    sdx_id mask = sdx_grad_in(grad, IN_MASK), seen = read, back = columns;
    if (mask != SDX_NONE) {
        mask = reshape(b, mask, 4, (const int64_t[]){-1, 1, b->taps, b->outputs});
        seen = sdx_emit2(patch, "Mul", read, mask), back = sdx_emit2(patch, "Mul", columns, mask);
        const sdx_id one = sdx_patch_i64s(patch, (const int64_t[]){1}, 1);
        const sdx_id sum = sdx_emit_int(patch, "ReduceSum", sdx_emit2(patch, "Mul", columns, read), one, "keepdims", 0);
        if (grad->needed[IN_MASK]) grad->dX[IN_MASK] = like_input(b, sum, IN_MASK);
    }
    const sdx_id in[3] = {x, grid, as_grid(b, back, b->shared, 0)};
    sdx_node *scattered = sdx_patch_node(patch, "sdx", "GridSampleGrad", 3, in, 2);
    sdx_patch_int(patch, scattered, "pixels", 1);
    if (grad->needed[IN_X]) grad->dX[IN_X] = like_input(b, scattered->out[0], IN_X);
    const sdx_id moves =
        backwards(b, reshape(b, scattered->out[1], 4, (const int64_t[]){-1, b->taps, b->outputs, b->rank}));
    if (grad->needed[IN_OFFSET])
        grad->dX[IN_OFFSET] = like_input(b, transpose(b, moves, 4, (const int64_t[]){0, 1, 3, 2}), IN_OFFSET);
    const sdx_id rows = transpose(b, reshape(b, seen, 4, by_group), 4, (const int64_t[]){0, 1, 3, 2});
    const sdx_id each = sdx_emit2(patch, "MatMul", dY, rows);
    const sdx_id images_axis = sdx_patch_i64s(patch, (const int64_t[]){0}, 1);
    if (grad->needed[IN_W])
        grad->dX[IN_W] = like_input(b, sdx_emit_int(patch, "ReduceSum", each, images_axis, "keepdims", 0), IN_W);
    if (sdx_grad_in(grad, IN_B) != SDX_NONE && grad->needed[IN_B])
        grad->dX[IN_B] = sdx_conv_grad_bias(patch, grad->dY[0], b->rank + (int)last);
}

static sdx_status deform_grad(sdx_grad *grad, const void *params) {
    const deform_params *p = params;
    deform_back b = {.grad = grad, .patch = grad->patch, .p = p};
    const sdx_type *in[5] = {NULL}, *x = sdx_grad_type(grad->patch, grad->node->in[IN_X]);
    sdx_type y = sdx_type_make(x->dtype, -1);
    bool known = false;
    for (int k = 0; k < grad->node->n_in; k++)
        if (grad->node->in[k] != SDX_NONE) in[k] = sdx_grad_type(grad->patch, grad->node->in[k]);
    SDX_TRY(deform_resolve(grad->error, p, grad->node->n_in, in, &y, &b.conv, &known));
    bool lengths = in[IN_W]->rank > 2 && sdx_type_concrete(in[IN_W]) && x->rank > 2;
    for (int d = 1; d < x->rank; d++) lengths = lengths && x->dim[d] > 0;
    if (!lengths)
        return sdx_fail(grad->error, SDX_UNSUPPORTED,
                        "all dimensions of 'X' and 'W' but the batch must be known to differentiate");
    b.rank = b.conv.window.rank;
    b.taps = sdx_window_product(b.conv.window.kernel, b.rank);
    b.outputs = sdx_window_product(b.conv.window.out, b.rank);
    b.shared = x->dim[1] / p->offset_group, b.columns = x->dim[1] / p->group * b.taps;
    b.work = sdx_work_dtype(x->dtype);
    deform_emit(&b);
    grad->exact = true;
    return grad->patch->status;
}

#define DEFORM_INPUTS     "X:T W:T offset:T B:T? mask:T? -> Y:T"
#define DEFORM_ATTRIBUTES "dilations:ints group:int=1 kernel_shape:ints offset_group:int=1 pads:ints strides:ints"

const sdx_op sdx_op_DeformConv = {
    .domain = "",
    .name = "DeformConv",
    .versions = (const sdx_op_version[]){{19, DEFORM_INPUTS, "T=" SDX_T_FLOAT, DEFORM_ATTRIBUTES},
                                         {22, DEFORM_INPUTS, "T=" SDX_T_FLOAT_BF, DEFORM_ATTRIBUTES},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(deform_params),
    .bind = deform_bind,
    .infer = deform_infer,
    .scratch = deform_scratch,
    .compute = deform_compute,
    .grad = deform_grad,
};
