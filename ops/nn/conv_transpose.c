/* SPDX-License-Identifier: Apache-2.0
 * The gradient of Conv with respect to its input, as an operator: every input element adds W, scaled by it, to the
 * output window it stands for. As a product: T[m, tap] = sum over c of W[c, m, tap] X[c], then T is added into place;
 * each output plane is summed by one worker in a fixed order. 16-bit floats are summed in f32. */
#include "ops/nn/convolve.h"
#include "runtime/base/half.h"
#include <inttypes.h>
#include <string.h>

typedef struct transpose_params {
    sdx_window_attrs window;
    sdx_ints output_padding, output_shape;
    int64_t group;
} transpose_params;

static sdx_status transpose_bind(sdx_bind *bind, void *params) {
    transpose_params *p = params;
    p->group = sdx_bind_int(bind, "group");
    p->output_padding = sdx_bind_ints(bind, "output_padding");
    p->output_shape = sdx_bind_ints(bind, "output_shape");
    return sdx_window_bind(bind, SDX_WINDOW_DILATIONS, &p->window);
}

/* Splits the padding that leads to a wanted output length: the odd one at the end under SAME_UPPER, else at the
 * beginning. A negative total is none. */
static void split_padding(sdx_window *w, int d, int64_t total, bool upper) {
    if (total < 0) total = 0;
    w->begin[d] = upper ? total / 2 : total - total / 2;
    w->end[d] = total - w->begin[d];
}

static sdx_status size_of(sdx_error *error, const transpose_params *p, int d, sdx_window *w) {
    const sdx_auto_pad mode = p->window.auto_pad;
    const int64_t extra = p->output_padding.n ? p->output_padding.data[d] : 0;
    int64_t full = 0;
    if (__builtin_mul_overflow(w->in[d] - 1, w->stride[d], &full) ||
        __builtin_add_overflow(full, sdx_window_extent(w, d) + extra, &full))
        return sdx_fail(error, SDX_SHAPE, "spatial dimension %d has length %" PRId64, d, w->in[d]);
    if (p->output_shape.n) {
        w->out[d] = p->output_shape.data[(size_t)d + (p->output_shape.n - (size_t)w->rank)];
        split_padding(w, d, full - w->out[d], mode == SDX_PAD_SAME_UPPER);
    } else if (mode == SDX_PAD_SAME_UPPER || mode == SDX_PAD_SAME_LOWER) {
        if (!sdx_dim_mul(w->in[d], w->stride[d], &w->out[d])) w->out[d] = -1;
        split_padding(w, d, full - w->out[d], mode == SDX_PAD_SAME_UPPER);
    } else
        w->out[d] = full - w->begin[d] - w->end[d];
    if (w->out[d] < 1)
        return sdx_fail(error, SDX_SHAPE, "spatial dimension %d of the output would have length %" PRId64, d,
                        w->out[d]);
    return SDX_OK;
}

/* The window read backwards: `in` are X's lengths, `out` those of Y. */
static sdx_status make_window(sdx_error *error, const transpose_params *p, int rank, const int64_t *in,
                              const int64_t *kernel, sdx_window *w) {
    SDX_TRY(sdx_window_steps(error, &p->window, rank, kernel, w));
    SDX_TRY(sdx_window_count(error, "output_padding", p->output_padding, rank));
    if (p->output_shape.n && p->output_shape.n != (size_t)rank && p->output_shape.n != (size_t)rank + 2)
        return sdx_fail(error, SDX_SHAPE, "attribute 'output_shape' has %zu entries; it must have %d",
                        p->output_shape.n, rank);
    if (p->window.auto_pad == SDX_PAD_NOTSET) SDX_TRY(sdx_window_pads(error, &p->window, w));
    for (int d = 0; d < rank; d++) {
        if (p->output_padding.n && (p->output_padding.data[d] < 0 || p->output_padding.data[d] > INT32_MAX))
            return sdx_fail(error, SDX_VALUE, "attribute 'output_padding' holds %" PRId64 "; it must be in [0, %d]",
                            p->output_padding.data[d], INT32_MAX);
        w->in[d] = in[d];
        w->out[d] = -1;
        if (in[d] == 0) return sdx_fail(error, SDX_SHAPE, "spatial dimension %d of input 'X' is empty", d);
        if (in[d] > 0) SDX_TRY(size_of(error, p, d, w));
    }
    return SDX_OK;
}

static sdx_status check_inputs(sdx_error *error, const transpose_params *p, const sdx_type *x, const sdx_type *w,
                               const sdx_type *b) {
    const int64_t group = p->group;
    if (group < 1) return sdx_fail(error, SDX_VALUE, "attribute 'group' is %" PRId64 "; it must be 1 or more", group);
    if (x->rank < 0 || w->rank < 0) return SDX_OK;
    if (x->rank < 3 || x->rank != w->rank)
        return sdx_fail(error, SDX_SHAPE,
                        "input 'X' has rank %d and input 'W' rank %d; both must be 3 or more and equal", x->rank,
                        w->rank);
    if (x->dim[1] >= 0 && w->dim[0] >= 0 && x->dim[1] != w->dim[0])
        return sdx_fail(error, SDX_SHAPE, "input 'X' has %" PRId64 " channels; input 'W' is for %" PRId64, x->dim[1],
                        w->dim[0]);
    if (w->dim[0] >= 0 && w->dim[0] % group)
        return sdx_fail(error, SDX_SHAPE,
                        "dimension 0 of input 'W' is %" PRId64 "; attribute 'group' is %" PRId64 " and must divide it",
                        w->dim[0], group);
    if (b && b->rank >= 0 && (b->rank != 1 || (b->dim[0] >= 0 && w->dim[1] >= 0 && b->dim[0] / group != w->dim[1])))
        return sdx_fail(error, SDX_SHAPE,
                        "input 'B' must be a vector with one element for each of the %" PRId64 " maps",
                        w->dim[1] * group);
    SDX_TRY(sdx_window_count(error, "kernel_shape", p->window.kernel_shape, w->rank - 2));
    for (size_t d = 0; d < p->window.kernel_shape.n; d++)
        if (w->dim[d + 2] >= 0 && p->window.kernel_shape.data[d] != w->dim[d + 2])
            return sdx_fail(error, SDX_SHAPE, "attribute 'kernel_shape' has %" PRId64 " at %zu; input 'W' has %" PRId64,
                            p->window.kernel_shape.data[d], d, w->dim[d + 2]);
    return SDX_OK;
}

static sdx_status transpose_infer(sdx_infer *infer, const void *params) {
    const transpose_params *p = params;
    const sdx_type *x = infer->in[0], *w = infer->in[1];
    sdx_type *y = &infer->out[0];
    sdx_window window;
    SDX_TRY(check_inputs(infer->error, p, x, w, infer->n_in > 2 ? infer->in[2] : NULL));
    if (x->rank < 0 || w->rank < 0) return SDX_OK;
    y->rank = x->rank;
    y->dim[0] = x->dim[0];
    y->dim[1] = -1;
    if (w->dim[1] >= 0 && !sdx_dim_mul(w->dim[1], p->group, &y->dim[1]))
        return sdx_fail(infer->error, SDX_SHAPE, "attribute 'group' is %" PRId64, p->group);
    for (int d = 2; d < y->rank; d++) y->dim[d] = -1;
    for (int d = 2; d < w->rank; d++)
        if (w->dim[d] < 0) return SDX_OK;
    SDX_TRY(make_window(infer->error, p, x->rank - 2, x->dim + 2, w->dim + 2, &window));
    for (int d = 0; d < window.rank; d++) y->dim[d + 2] = window.out[d];
    return SDX_OK;
}

typedef struct transpose_job {
    sdx_window window;
    int64_t batch, channels, maps, group;
    int64_t taps, inputs, outputs; /* places of the kernel, of X, of Y */
    sdx_dtype dtype;
    size_t element;      /* of sums: 4 or 8 */
    const char *columns; /* T of one image: [maps][taps][inputs] */
    char *y, *planes;    /* of this image; f32 planes of workers for 16-bit floats */
    const void *bias;
    const sdx_kernels *kernels;
} transpose_job;

static sdx_status make_job(sdx_error *error, const transpose_params *p, sdx_dtype dtype, const int64_t *x,
                           const int64_t *w, int rank, transpose_job *job) {
    *job = (transpose_job){.batch = x[0], .channels = x[1], .maps = w[1] * p->group, .group = p->group, .dtype = dtype};
    SDX_TRY(make_window(error, p, rank - 2, x + 2, w + 2, &job->window));
    job->taps = sdx_window_product(job->window.kernel, job->window.rank);
    job->inputs = sdx_window_product(job->window.in, job->window.rank);
    job->outputs = sdx_window_product(job->window.out, job->window.rank);
    job->element = dtype == SDX_F64 ? sizeof(double) : sizeof(float);
    return SDX_OK;
}

static sdx_product describe(const transpose_job *job) {
    sdx_product p = {.dtype = job->dtype, .alpha = 1, .beta = 1, .batch_rank = 1, .wide = true};
    p.batch_dim[0] = job->group;
    p.m = job->maps / job->group * job->taps;
    p.k = job->channels / job->group;
    p.n = job->inputs;
    p.a = (sdx_factor){.line_step = 1, .k_step = p.m, .batch_step = {p.m * p.k}};
    p.b = (sdx_factor){.line_step = 1, .k_step = p.n, .batch_step = {p.k * p.n}};
    return p;
}

/* Bytes of T, of the workers' planes, of the product, each to whole cache lines. */
static bool sizes(const transpose_job *job, int threads, size_t *columns, size_t *planes, size_t *product) {
    sdx_product p = describe(job);
    size_t n = 0;
    if (!sdx_size_mul((size_t)(job->maps * job->taps), (size_t)job->inputs, &n) || !sdx_size_mul(n, job->element, &n) ||
        !sdx_size_add(n, SDX_ALIGNMENT, &n))
        return false;
    *columns = n / SDX_ALIGNMENT * SDX_ALIGNMENT;
    n = 0;
    if (sdx_dtype_size(job->dtype) == 2 && !sdx_size_mul((size_t)job->outputs * sizeof(float), (size_t)threads, &n))
        return false;
    if (!sdx_size_add(n, SDX_ALIGNMENT, &n)) return false;
    *planes = n / SDX_ALIGNMENT * SDX_ALIGNMENT;
    *product = sdx_product_scratch(job->dtype, job->group, p.m, p.n, p.k, false, false, threads);
    return *product != SIZE_MAX;
}

static size_t transpose_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0], *w = infer->in[1];
    transpose_job job;
    size_t columns = 0, planes = 0, product = 0, sum = 0;
    if (make_job(NULL, params, x->dtype, x->dim, w->dim, x->rank, &job) != SDX_OK ||
        !sizes(&job, infer->threads, &columns, &planes, &product) || !sdx_size_add(columns, planes, &sum) ||
        !sdx_size_add(sum, product, &sum))
        return SIZE_MAX;
    return sum;
}

/* Adds T[m, tap] along the last dimension into y, for the row of X at `in` (flat, without the last dimension). */
#define ADD_ROW(T)                                                                                                     \
    for (int64_t i = first; i < last; i++)                                                                             \
        ((T *)(void *)y)[base + i * step + shift] += ((const T *)(const void *)t)[row * length + i];

static void add_tap(const transpose_job *job, int64_t tap, const char *t, char *y) {
    const sdx_window *w = &job->window;
    const int inner = w->rank - 1;
    const int64_t length = w->in[inner], step = w->stride[inner], rows = job->inputs / length;
    int64_t place[SDX_MAX_SPATIAL], rest = tap;
    for (int d = inner; d >= 0; d--) {
        place[d] = rest % w->kernel[d] * w->dilation[d] - w->begin[d];
        rest /= w->kernel[d];
    }
    const int64_t shift = place[inner];
    int64_t first = shift < 0 ? (-shift + step - 1) / step : 0;
    int64_t last = w->out[inner] > shift ? (w->out[inner] - shift - 1) / step + 1 : 0;
    if (last > length) last = length;
    for (int64_t row = 0; row < rows; row++) {
        int64_t base = 0, scale = w->out[inner], left = row;
        bool inside = true;
        for (int d = inner - 1; d >= 0; d--) {
            int64_t at = left % w->in[d] * w->stride[d] + place[d];
            left /= w->in[d];
            inside = inside && at >= 0 && at < w->out[d];
            base += at * scale;
            scale *= w->out[d];
        }
        if (!inside) continue;
        if (job->dtype == SDX_F64)
            ADD_ROW(double)
        else
            ADD_ROW(float)
    }
}

static double bias_of(const transpose_job *job, int64_t map) {
    if (!job->bias) return 0;
    if (job->dtype == SDX_F64) return ((const double *)job->bias)[map];
    if (job->dtype == SDX_F32) return (double)((const float *)job->bias)[map];
    uint16_t bits = ((const uint16_t *)job->bias)[map];
    return (double)(job->dtype == SDX_F16 ? sdx_f32_from_f16(bits) : sdx_f32_from_bf16(bits));
}

static void sum_planes(void *argument, int64_t begin, int64_t end, int worker) {
    const transpose_job *job = argument;
    const bool narrow = sdx_dtype_size(job->dtype) == 2;
    for (int64_t map = begin; map < end; map++) {
        char *y = narrow ? job->planes + (size_t)(worker * job->outputs) * sizeof(float)
                         : job->y + (size_t)(map * job->outputs) * job->element;
        const double start = bias_of(job, map);
        for (int64_t k = 0; k < job->outputs; k++) {
            if (job->dtype == SDX_F64)
                ((double *)(void *)y)[k] = start;
            else
                ((float *)(void *)y)[k] = (float)start;
        }
        for (int64_t tap = 0; tap < job->taps; tap++)
            add_tap(job, tap, job->columns + (size_t)((map * job->taps + tap) * job->inputs) * job->element, y);
        if (narrow)
            (job->dtype == SDX_F16 ? job->kernels->f16_from_f32 : job->kernels->bf16_from_f32)(
                (const float *)(void *)y, (uint16_t *)(void *)job->y + map * job->outputs, job->outputs);
    }
}

static sdx_status transpose_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0], *w = compute->in[1], *b = compute->n_in > 2 ? compute->in[2] : NULL;
    const size_t size = sdx_dtype_size(x->dtype);
    transpose_job job;
    size_t columns = 0, planes = 0, product = 0;
    SDX_TRY(make_job(compute->error, params, x->dtype, x->dim, w->dim, x->rank, &job));
    if (!sizes(&job, sdx_pool_threads(compute->pool), &columns, &planes, &product))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "work space of a transposed convolution");
    char *scratch = compute->scratch;
    job.columns = scratch;
    job.planes = scratch + columns;
    job.bias = b ? b->data : NULL;
    job.kernels = compute->kernels;
    for (int64_t image = 0; image < job.batch; image++) {
        sdx_product p = describe(&job);
        p.a.data = w->data;
        p.b.data = (const char *)x->data + (size_t)(image * job.channels * job.inputs) * size;
        p.c = scratch;
        job.y = (char *)compute->out[0]->data + (size_t)(image * job.maps * job.outputs) * size;
        if (job.channels)
            SDX_TRY(sdx_product_run(compute, &p, scratch + columns + planes));
        else
            memset(scratch, 0, columns);
        SDX_TRY(sdx_for(compute, job.maps, 1, sum_planes, &job));
    }
    return SDX_OK;
}

/* The window of Conv from Y to X, in numbers; *cut: such a Conv would go past X. */
static sdx_status reverse(sdx_grad *grad, const transpose_params *p, sdx_window *w, bool *cut) {
    const sdx_graph_value *values = grad->patch->graph->values;
    const sdx_type *x = &values[grad->node->in[0]].type, *weight = &values[grad->node->in[1]].type;
    const int rank = x->rank >= 0 ? x->rank : weight->rank;
    int64_t in[SDX_MAX_SPATIAL], kernel[SDX_MAX_SPATIAL];
    bool known = x->rank >= 0 && weight->rank >= 0;
    *cut = false;
    if (rank < 3) return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of 'X' must be known to differentiate");
    for (int d = 0; d < rank - 2; d++) {
        in[d] = x->rank >= 0 ? x->dim[d + 2] : -1;
        kernel[d] = weight->rank >= 0 && weight->dim[d + 2] > 0 ? weight->dim[d + 2] : 1;
        known = known && in[d] > 0 && weight->dim[d + 2] > 0;
    }
    if (!known &&
        (p->output_shape.n || p->window.auto_pad == SDX_PAD_SAME_UPPER || p->window.auto_pad == SDX_PAD_SAME_LOWER))
        return sdx_fail(grad->error, SDX_UNSUPPORTED,
                        "the spatial dimensions of 'X' and 'W' must be known where they decide the padding");
    if (!known) memset(in, -1, sizeof in);
    SDX_TRY(make_window(grad->error, p, rank - 2, in, kernel, w));
    for (int d = 0; d < w->rank; d++) {
        const int64_t extra = known                 ? w->out[d] + w->begin[d] + w->end[d] - sdx_window_extent(w, d)
                              : p->output_padding.n ? p->output_padding.data[d]
                                                    : 0;
        *cut = *cut || (known ? extra / w->stride[d] >= w->in[d] : extra >= w->stride[d]);
    }
    return SDX_OK;
}

static sdx_id with_window(sdx_patch *patch, sdx_node *node, const sdx_window *w, int64_t group) {
    const size_t rank = (size_t)w->rank;
    int64_t pads[2 * SDX_MAX_SPATIAL];
    memcpy(pads, w->begin, rank * sizeof *pads);
    memcpy(pads + rank, w->end, rank * sizeof *pads);
    sdx_patch_ints(patch, node, "dilations", w->dilation, rank);
    sdx_patch_int(patch, node, "group", group);
    sdx_patch_ints(patch, node, "pads", pads, 2 * rank);
    sdx_patch_ints(patch, node, "strides", w->stride, rank);
    return node->out[0];
}

/* dX = Conv(dY, W), and dW is that Conv's, with dY as its input and X as what its output is multiplied with. */
static sdx_status transpose_grad(sdx_grad *grad, const void *params) {
    const transpose_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0], W = grad->node->in[1], dY = grad->dY[0], in[2] = {dY, W};
    sdx_window w;
    bool cut = false;
    SDX_TRY(reverse(grad, p, &w, &cut));
    if (grad->needed[0]) {
        grad->dX[0] = with_window(patch, sdx_patch_node(patch, "", "Conv", 2, in, 1), &w, p->group);
        if (cut) grad->dX[0] = sdx_conv_grad_trim(patch, grad->dX[0], X, w.rank + 2);
    }
    if (grad->needed[1]) grad->dX[1] = with_window(patch, sdx_conv_grad_weight(patch, dY, X, W), &w, p->group);
    if (grad->node->n_in > 2 && grad->needed[2]) grad->dX[2] = sdx_conv_grad_bias(patch, dY, w.rank + 2);
    grad->exact = true;
    return patch->status;
}

#define TRANSPOSE_ATTRIBUTES                                                                                           \
    "auto_pad:string=NOTSET dilations:ints group:int=1 kernel_shape:ints output_padding:ints output_shape:ints "       \
    "pads:ints strides:ints"

const sdx_op sdx_op_ConvTranspose = {
    .domain = "",
    .name = "ConvTranspose",
    .versions = (const sdx_op_version[]){{1, "X:T W:T B:T? -> Y:T", "T=" SDX_T_FLOAT, TRANSPOSE_ATTRIBUTES},
                                         {11, "X:T W:T B:T? -> Y:T", "T=" SDX_T_FLOAT, TRANSPOSE_ATTRIBUTES},
                                         {22, "X:T W:T B:T? -> Y:T", "T=" SDX_T_FLOAT_BF, TRANSPOSE_ATTRIBUTES},
                                         {0}},
    .params_size = sizeof(transpose_params),
    .bind = transpose_bind,
    .infer = transpose_infer,
    .scratch = transpose_scratch,
    .compute = transpose_compute,
    .grad = transpose_grad};
