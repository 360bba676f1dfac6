/* SPDX-License-Identifier: Apache-2.0
 * Col2Im: column l of the input holds the elements of block l; blocks slide over the padded image and what falls on one
 * place is added up. bool adds as `or`; f16 and bf16 are added in f32 and rounded once. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/lines.h"
#include "ops/move.h"
#include "ops/nn/window.h"
#include <inttypes.h>

typedef struct col_params {
    sdx_window_attrs window;
} col_params;

static sdx_status col_bind(sdx_bind *bind, void *params) {
    col_params *p = params;
    p->window.strides = sdx_bind_ints(bind, "strides");
    p->window.dilations = sdx_bind_ints(bind, "dilations");
    p->window.pads = sdx_bind_ints(bind, "pads");
    return bind->status;
}

/* The window over the image and the shape of the result. */
static sdx_status col_resolve(sdx_error *error, const col_params *p, const sdx_type *x, const int64_t *image,
                              int n_image, const int64_t *block, int n_block, sdx_window *w, int64_t *dims) {
    int64_t taps = 1, columns = 1;
    if (n_image != n_block)
        return sdx_fail(error, SDX_SHAPE, "input 'image_shape' has %d entries; input 'block_shape' has %d", n_image,
                        n_block);
    for (int d = 0; d < n_image; d++)
        if (image[d] < 0)
            return sdx_fail(error, SDX_VALUE, "entry %d of input 'image_shape' is %" PRId64 "; it must not be negative",
                            d, image[d]);
    for (int d = 0; d < n_block; d++)
        if (block[d] < 1 || !sdx_dim_mul(taps, block[d], &taps))
            return sdx_fail(error, SDX_VALUE,
                            "entry %d of input 'block_shape' is %" PRId64
                            "; it must be 1 or more, and the block smaller",
                            d, block[d]);
    SDX_TRY(sdx_window_make(error, &p->window, n_image, image, block, false, w));
    for (int d = 0; d < n_image; d++)
        if (!sdx_dim_mul(columns, w->out[d], &columns))
            return sdx_fail(error, SDX_VALUE, "input 'image_shape' is too large");
    dims[0] = dims[1] = -1;
    for (int d = 0; d < n_image; d++) dims[d + 2] = image[d];
    if (x->rank != 3) return SDX_OK;
    dims[0] = x->dim[0];
    if (x->dim[1] >= 0) {
        if (x->dim[1] % taps)
            return sdx_fail(error, SDX_SHAPE,
                            "dimension 1 of input 'input' is %" PRId64 "; the block has %" PRId64
                            " places and must divide it",
                            x->dim[1], taps);
        dims[1] = x->dim[1] / taps;
    }
    if (x->dim[2] >= 0 && x->dim[2] != columns)
        return sdx_fail(error, SDX_SHAPE,
                        "dimension 2 of input 'input' is %" PRId64 "; the image has room for %" PRId64 " blocks",
                        x->dim[2], columns);
    return SDX_OK;
}

static sdx_status col_infer(sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0];
    sdx_type *y = &infer->out[0];
    int64_t image[SDX_MAX_RANK], block[SDX_MAX_RANK];
    int n_image = -1, n_block = -1;
    sdx_window w;
    if (x->dtype == SDX_STRING)
        return sdx_fail(infer->error, SDX_TYPE, "input 'input' is string; strings cannot be added");
    SDX_TRY(sdx_infer_rank(infer, 0, "input", 3));
    SDX_TRY(sdx_infer_i64s(infer, 1, "image_shape", image, SDX_MAX_SPATIAL, &n_image));
    SDX_TRY(sdx_infer_i64s(infer, 2, "block_shape", block, SDX_MAX_SPATIAL, &n_block));
    if (n_image >= 0 && n_block >= 0) {
        SDX_TRY(col_resolve(infer->error, params, x, image, n_image, block, n_block, &w, y->dim));
        y->rank = n_image + 2;
    } else if (n_image >= 0) {
        y->rank = n_image + 2;
        y->dim[0] = x->rank == 3 ? x->dim[0] : -1;
        y->dim[1] = -1;
        for (int d = 0; d < n_image; d++) y->dim[d + 2] = image[d];
    }
    return SDX_OK;
}

typedef struct col_job {
    const sdx_kernels *kernels;
    sdx_window w;
    sdx_dtype dtype, work; /* complex numbers are two elements of their part */
    int64_t parts, taps, columns, plane;
    const char *x;
    char *y, *room;
    size_t sum_bytes, each; /* 16-bit floats: the plane, then a line, in f32 */
} col_job;

#define ADD(T)                                                                                                         \
    for (int64_t i = 0; i < n; i++)                                                                                    \
        for (int64_t k = 0; k < parts; k++) {                                                                          \
            T *to = (T *)y + i * step * parts + k;                                                                     \
            *to = (T)(*to + ((const T *)x)[i * parts + k]);                                                            \
        }                                                                                                              \
    break

/* y[i step] += x[i], for n numbers of `parts` elements. */
static void add_line(const col_job *job, const void *x, int64_t n, int64_t step, void *y) {
    const int64_t parts = job->parts;
    if (step == 1) {
        const sdx_binary_id id = job->work == SDX_BOOL ? SDX_BINARY_Or : SDX_BINARY_Add;
        job->kernels->binary(id, job->work)(y, 1, x, 1, y, n * parts);
        return;
    }
    switch ((int)job->work) {
    case SDX_F32: ADD(float);
    case SDX_F64: ADD(double);
    case SDX_BOOL:
        for (int64_t i = 0; i < n; i++) ((uint8_t *)y)[i * step] |= ((const uint8_t *)x)[i];
        break;
    case SDX_I8:
    case SDX_U8: ADD(uint8_t);
    case SDX_I16:
    case SDX_U16: ADD(uint16_t);
    case SDX_I32:
    case SDX_U32: ADD(uint32_t);
    default: ADD(uint64_t);
    }
}

/* All blocks' elements of place `tap`; x is a line of the input, y the plane. */
static void add_tap(const col_job *job, int64_t tap, const char *x, char *y) {
    const sdx_window *w = &job->w;
    const int last = w->rank - 1;
    const size_t size = sdx_dtype_size(job->work) * (size_t)job->parts;
    int64_t at[SDX_MAX_SPATIAL], first = 0, end = 0;
    for (int d = last; d >= 0; d--) {
        at[d] = tap % w->kernel[d];
        tap /= w->kernel[d];
    }
    sdx_window_inside(w, last, at[last], &first, &end);
    if (first >= end) return;
    const int64_t lines = job->columns / w->out[last];
    for (int64_t line = 0; line < lines; line++) {
        int64_t rest = line, place = 0, step = w->in[last];
        bool inside = true;
        for (int d = last - 1; d >= 0; d--) {
            const int64_t to = rest % w->out[d] * w->stride[d] + at[d] * w->dilation[d] - w->begin[d];
            rest /= w->out[d];
            inside = inside && to >= 0 && to < w->in[d];
            place += to * step;
            step *= w->in[d];
        }
        if (!inside) continue;
        place += first * w->stride[last] + at[last] * w->dilation[last] - w->begin[last];
        add_line(job, x + (size_t)(line * w->out[last] + first) * size, end - first, w->stride[last],
                 y + (size_t)place * size);
    }
}

static void add_planes(void *argument, int64_t begin, int64_t end, int worker) {
    const col_job *job = argument;
    const bool narrow = job->work != job->dtype;
    const size_t in = sdx_dtype_size(job->dtype) * (size_t)job->parts,
                 wide = sdx_dtype_size(job->work) * (size_t)job->parts;
    char *own = job->room + (size_t)worker * job->each;
    for (int64_t plane = begin; plane < end; plane++) {
        char *y = job->y + (size_t)(plane * job->plane) * in, *sum = narrow ? own : y;
        memset(sum, 0, (size_t)job->plane * wide);
        for (int64_t tap = 0; tap < job->taps; tap++) {
            const char *x = job->x + (size_t)((plane * job->taps + tap) * job->columns) * in;
            if (narrow) sdx_convert(job->kernels, job->dtype, x, job->work, own + job->sum_bytes, job->columns);
            add_tap(job, tap, narrow ? own + job->sum_bytes : x, sum);
        }
        if (narrow) sdx_convert(job->kernels, job->work, sum, job->dtype, y, job->plane);
    }
}

static sdx_status col_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    const sdx_type type = sdx_type_of_tensor(x);
    int64_t image[SDX_MAX_RANK], block[SDX_MAX_RANK], dims[SDX_MAX_RANK];
    int n_image = 0, n_block = 0;
    col_job job = {.kernels = compute->kernels, .dtype = x->dtype, .work = sdx_work_dtype(x->dtype), .parts = 1};
    SDX_TRY(sdx_read_i64s(compute->error, "image_shape", compute->in[1], image, SDX_MAX_SPATIAL, &n_image));
    SDX_TRY(sdx_read_i64s(compute->error, "block_shape", compute->in[2], block, SDX_MAX_SPATIAL, &n_block));
    SDX_TRY(col_resolve(compute->error, params, &type, image, n_image, block, n_block, &job.w, dims));
    sdx_tensor *y = sdx_compute_output(compute, 0, n_image + 2, dims);
    if (!y) return compute->error->status;
    if (y->count == 0) return SDX_OK;
    if (sdx_dtype_class(x->dtype) == SDX_CLASS_COMPLEX) {
        job.dtype = job.work = x->dtype == SDX_C64 ? SDX_F32 : SDX_F64;
        job.parts = 2;
    }
    job.x = x->data, job.y = y->data;
    job.taps = sdx_dims_product(block, 0, n_block);
    job.columns = x->dim[2];
    job.plane = sdx_dims_product(image, 0, n_image);
    if (job.work != job.dtype) {
        const size_t threads = (size_t)sdx_pool_threads(compute->pool);
        job.sum_bytes = sdx_align((size_t)job.plane * sizeof(float));
        job.each = job.sum_bytes + sdx_align((size_t)job.columns * sizeof(float));
        size_t total = 0;
        if (!sdx_size_mul(job.each, threads, &total))
            return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "planes of an image");
        job.room = compute->services->alloc(compute, total);
        if (!job.room) return compute->error->status;
    }
    return sdx_for(compute, dims[0] * dims[1], sdx_grain(job.taps * job.columns + job.plane), add_planes, &job);
}

/* Blocks of dY as columns: a convolution whose map k takes place k of the block. Each channel is an image of its own.
 */
static sdx_status col_grad(sdx_grad *grad, const void *params) {
    const col_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id input = grad->node->in[0], block = grad->node->in[2], one = sdx_patch_i64s(patch, (int64_t[]){1}, 1);
    const sdx_type *image = sdx_grad_type(patch, grad->node->in[1]);
    if (image->rank != 1 || image->dim[0] < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "the length of 'image_shape' must be known to differentiate");
    const sdx_id taps = sdx_emit_int(patch, "ReduceProd", block, SDX_NONE, "keepdims", 1);
    const sdx_id square = sdx_emit_int(patch, "Concat", taps, taps, "axis", 0);
    sdx_id shape = sdx_emit2(patch, "Expand", sdx_grad_scalar(patch, input, 0), square);
    const sdx_id eye = sdx_patch_node(patch, "", "EyeLike", 1, &shape, 1)->out[0];
    sdx_node *kernel = sdx_patch_node(patch, "", "Concat", 3, (sdx_id[]){taps, one, block}, 1);
    sdx_patch_int(patch, kernel, "axis", 0);
    const sdx_id W = sdx_emit2(patch, "Reshape", eye, kernel->out[0]);
    const sdx_id any = sdx_patch_i64s(patch, (int64_t[]){-1}, 1);
    sdx_node *planes = sdx_patch_node(patch, "", "Concat", 3, (sdx_id[]){any, one, grad->node->in[1]}, 1);
    sdx_patch_int(patch, planes, "axis", 0);
    const sdx_id images = sdx_emit2(patch, "Reshape", grad->dY[0], planes->out[0]);
    sdx_node *conv = sdx_patch_node(patch, "", "Conv", 2, (sdx_id[]){images, W}, 1);
    if (p->window.strides.n) sdx_patch_ints(patch, conv, "strides", p->window.strides.data, p->window.strides.n);
    if (p->window.dilations.n)
        sdx_patch_ints(patch, conv, "dilations", p->window.dilations.data, p->window.dilations.n);
    if (p->window.pads.n) sdx_patch_ints(patch, conv, "pads", p->window.pads.data, p->window.pads.n);
    grad->dX[0] = sdx_grad_reshape(patch, conv->out[0], input);
    grad->exact = true;
    return patch->status;
}

const sdx_op sdx_op_Col2Im = {
    .domain = "",
    .name = "Col2Im",
    .versions = (const sdx_op_version[]){{18, "input:T image_shape:i64 block_shape:i64 -> output:T", "T=" SDX_T_ALL_BF,
                                          "dilations:ints pads:ints strides:ints"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(col_params),
    .bind = col_bind,
    .infer = col_infer,
    .compute = col_compute,
    .grad = col_grad,
};
