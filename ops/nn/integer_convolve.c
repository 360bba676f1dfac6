/* SPDX-License-Identifier: Apache-2.0
 * As convolve.c: one product for each image and group, whose columns are gathered; padding is x's zero point. Depthwise
 * ones run in f32, where sums of up to 256 products of 9-bit numbers are exact. */
#include "ops/nn/integer_convolve.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <string.h>

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

sdx_status sdx_integer_conv_bind(sdx_bind *bind, void *params) {
    sdx_integer_conv *p = params;
    p->group = sdx_bind_int(bind, "group");
    return sdx_window_bind(bind, SDX_WINDOW_DILATIONS, &p->window);
}

sdx_status sdx_integer_conv_bind_packed(sdx_bind *bind, void *params) {
    sdx_integer_conv *p = params;
    SDX_TRY(sdx_packed_weight_bind(bind, &p->weight));
    return sdx_integer_conv_bind(bind, params);
}

sdx_status sdx_integer_conv_infer(sdx_infer *infer, const sdx_integer_conv *p, int x, int w, int bias) {
    sdx_convolution conv = {0};
    bool known = false;
    const sdx_type *b = bias >= 0 && bias < infer->n_in ? infer->in[bias] : NULL;
    return sdx_convolution_infer(infer->error, &p->window, p->group, infer->in[x], infer->in[w], b, &infer->out[0],
                                 &conv, &known);
}

sdx_status sdx_integer_conv_maps(const sdx_infer *infer, int k, const char *name, int w) {
    const sdx_type *type = sdx_infer_in(infer, k);
    const int64_t maps = infer->in[w]->rank > 0 ? infer->in[w]->dim[0] : -1;
    if (!type || !sdx_type_concrete(type) || maps < 0) return SDX_OK;
    if (type->rank == 0 || (type->rank == 1 && (type->dim[0] == 1 || type->dim[0] == maps))) return SDX_OK;
    char text[128];
    return sdx_fail(infer->error, SDX_SHAPE,
                    "input '%s' is %s; it must be a scalar, or have one element for each of %" PRId64 " maps", name,
                    sdx_type_text(type, text, sizeof text), maps);
}

enum { EXACT_TAPS = 256 };

static sdx_convolution as_f32(const sdx_convolution *conv) {
    sdx_convolution floats = *conv;
    floats.dtype = SDX_F32;
    return floats;
}

static bool in_floats(const sdx_convolution *conv) {
    const sdx_convolution floats = as_f32(conv);
    return sdx_convolution_is_depthwise(&floats) &&
           sdx_window_product(conv->window.kernel, conv->window.rank) <= EXACT_TAPS;
}

/* Scratch of the way in f32: x, w and y, then the convolution's. */
typedef struct layout {
    int64_t x_count, w_count, y_count;
    size_t w, y, conv, bytes; /* where they begin; SIZE_MAX: too large */
} layout;

static layout lay_out(const sdx_convolution *conv, int threads) {
    const sdx_convolution floats = as_f32(conv);
    const sdx_window *window = &conv->window;
    layout l = {.x_count = conv->batch * conv->channels * sdx_window_product(window->in, window->rank),
                .w_count = conv->maps * sdx_window_product(window->kernel, window->rank),
                .y_count = conv->batch * conv->maps * sdx_window_product(window->out, window->rank)};
    const int64_t counts[3] = {l.x_count, l.w_count, l.y_count};
    size_t *const ends[3] = {&l.w, &l.y, &l.conv}, at = 0;
    for (int k = 0; k < 3; k++) {
        size_t bytes = 0;
        if (!sdx_size_mul((size_t)counts[k], sizeof(float), &bytes) || !sdx_size_add(at, bytes, &at) ||
            !sdx_size_add(at, SDX_ALIGNMENT, &at))
            return (layout){.bytes = SIZE_MAX};
        *ends[k] = at = at / SDX_ALIGNMENT * SDX_ALIGNMENT;
    }
    if (!sdx_size_add(at, sdx_convolution_scratch(&floats, threads), &l.bytes)) l.bytes = SIZE_MAX;
    return l;
}

size_t sdx_integer_conv_scratch(const sdx_infer *infer, const sdx_integer_conv *p, int x, int w) {
    sdx_convolution conv = {0};
    sdx_type y = sdx_type_make(SDX_I32, -1);
    bool known = false;
    sdx_status status =
        sdx_convolution_infer(NULL, &p->window, p->group, infer->in[x], infer->in[w], NULL, &y, &conv, &known);
    if (status != SDX_OK || !known) return SIZE_MAX;
    if (p->weight.shape.n == 0 && in_floats(&conv)) return lay_out(&conv, infer->threads).bytes;
    const int64_t taps = sdx_window_product(conv.window.kernel, conv.window.rank);
    return sdx_dot_scratch(conv.batch * conv.group, conv.maps / conv.group,
                           sdx_window_product(conv.window.out, conv.window.rank), conv.channels / conv.group * taps,
                           infer->threads);
}

/* ---- in f32 ---------------------------------------------------------------------------------------------------------
 */

typedef struct float_job {
    const sdx_kernels *kernels;
    const sdx_integer_conv_run *run;
    float *x, *y;
    float zero; /* of x */
} float_job;

static void widen_x(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const float_job *job = argument;
    const float one = 1;
    const uint8_t *x = job->run->x->data;
    job->kernels->dequantize(job->run->x->dtype, x + begin, &one, &job->zero, 0, job->x + begin, end - begin);
}

/* Zero point k as a number; none: 0. */
static float zero_of(const sdx_tensor *zero, int64_t k) {
    if (!zero) return 0;
    if (zero->count == 1) k = 0;
    return zero->dtype == SDX_I8 ? (float)((const int8_t *)zero->data)[k] : (float)((const uint8_t *)zero->data)[k];
}

/* Planes of y, which hold whole numbers, as i32 in their place; then whatever comes after a product. */
static void finish_planes(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const float_job *job = argument;
    const sdx_integer_conv_run *run = job->run;
    const sdx_dot *dot = run->dot;
    for (int64_t r = begin; r < end; r++) {
        const int64_t batch = r / dot->m, row = r % dot->m, map = batch % dot->batch_dim[1] * dot->m + row;
        const float *from = job->y + r * dot->n;
        int32_t *to = run->y ? run->y + r * dot->n : (int32_t *)(void *)(job->y + r * dot->n);
        const uint32_t bias = run->bias ? (uint32_t)run->bias[map] : 0;
        for (int64_t i = 0; i < dot->n; i++) to[i] = (int32_t)((uint32_t)(int32_t)from[i] + bias);
        sdx_block block = {batch, row, 0, 1, dot->n, to, dot->n};
        if (run->finish) run->finish(run->finish_context, &block);
    }
}

static sdx_status run_floats(sdx_compute *compute, const sdx_convolution *conv, const sdx_integer_conv_run *run) {
    const layout l = lay_out(conv, 1);
    char *scratch = compute->scratch;
    sdx_convolution floats = as_f32(conv);
    float_job job = {.kernels = compute->kernels, .run = run, .zero = zero_of(run->x_zero, 0)};
    job.x = (float *)(void *)scratch, job.y = (float *)(void *)(scratch + l.y);
    SDX_TRY(sdx_for(compute, l.x_count, SDX_GRAIN_CHEAP, widen_x, &job));
    const int64_t taps = l.w_count / conv->maps;
    float *w = (float *)(void *)(scratch + l.w);
    for (int64_t m = 0; m < conv->maps; m++) {
        const float one = 1, zero = zero_of(run->w_zero, m);
        const uint8_t *from = run->w->data;
        compute->kernels->dequantize(run->w->dtype, from + m * taps, &one, &zero, 0, w + m * taps, taps);
    }
    floats.x = job.x, floats.weight = w, floats.y = job.y;
    SDX_TRY(sdx_convolution_run(compute, &floats, scratch + l.conv));
    return sdx_for(compute, conv->batch * conv->maps, sdx_grain(run->dot->n * 4), finish_planes, &job);
}

/* ---- as products ----------------------------------------------------------------------------------------------------
 */

typedef struct gather {
    const sdx_window *window;
    const uint8_t *x;
    int64_t plane, taps, channels; /* of a group */
    uint8_t padding;
} gather;

/* n bytes, few as a rule: two overlapping words of the largest size that fits, instead of a call. */
static inline void copy_few(uint8_t *to, const uint8_t *from, int64_t n) {
#define OVERLAP(size)                                                                                                  \
    if (n >= size) {                                                                                                   \
        uint8_t first[size], last[size];                                                                               \
        memcpy(first, from, size), memcpy(last, from + n - size, size);                                                \
        memcpy(to, first, size), memcpy(to + n - size, last, size);                                                    \
        return;                                                                                                        \
    }
    if (n > 32)
        memcpy(to, from, (size_t)n);
    else {
        OVERLAP(16)
        OVERLAP(8)
        OVERLAP(4)
        for (int64_t i = 0; i < n; i++) to[i] = from[i];
    }
#undef OVERLAP
}

static inline void gather_run(const gather *g, const uint8_t *from, int64_t left, int64_t inside, int64_t n,
                              int64_t stride, uint8_t *to) {
    for (int64_t i = 0; i < left; i++) to[i] = g->padding;
    if (stride == 1)
        copy_few(to + left, from, inside);
    else
        for (int64_t i = 0; i < inside; i++) to[left + i] = from[i * stride];
    for (int64_t i = left + inside; i < n; i++) to[i] = g->padding;
}

/* Rows k .. k + depth of X', where row (c, tap) is number c * taps + tap. */
static void fill(const void *context, int64_t batch, int64_t k, int64_t depth, int64_t line, int64_t lines,
                 int64_t pitch, uint8_t *to) {
    const gather *g = context;
    const uint8_t *x = g->x + batch * g->channels * g->plane;
    sdx_run runs[64];
    const int count = sdx_runs_find(g->window, line, lines, runs);
    const int64_t stride = g->window->stride[g->window->rank - 1];
    for (int64_t tap = 0; tap < g->taps; tap++) {
        const int64_t first = k > tap ? ceil_div(k - tap, g->taps) : 0, last = ceil_div(k + depth - tap, g->taps);
        if (k + depth <= tap || last <= first) continue;
        for (int q = 0; q < count; q++) {
            int64_t left = 0, inside = 0;
            const uint8_t *from = x + sdx_run_place(g->window, &runs[q], tap, &left, &inside);
            for (int64_t c = first; c < last; c++)
                gather_run(g, from + c * g->plane, left, inside, runs[q].n, stride,
                           to + (c * g->taps + tap - k) * pitch + runs[q].column);
        }
    }
}

sdx_status sdx_integer_conv_compute(sdx_compute *compute, const sdx_integer_conv *p, sdx_integer_conv_run *run) {
    sdx_convolution conv = {0};
    sdx_type x = sdx_type_of_tensor(run->x), w = sdx_type_of_tensor(run->w), y = sdx_type_make(SDX_I32, -1);
    bool known = false;
    SDX_TRY(sdx_convolution_infer(compute->error, &p->window, p->group, &x, &w, NULL, &y, &conv, &known));
    if (conv.batch == 0 || conv.maps == 0) return SDX_OK;
    sdx_dot *dot = run->dot;
    gather g = {.window = &conv.window, .x = run->x->data};
    g.plane = sdx_window_product(conv.window.in, conv.window.rank);
    g.taps = sdx_window_product(conv.window.kernel, conv.window.rank);
    g.channels = conv.channels / conv.group;
    g.padding = run->x_zero ? *(const uint8_t *)run->x_zero->data : 0;
    dot->m = conv.maps / conv.group, dot->k = g.channels * g.taps;
    dot->n = sdx_window_product(conv.window.out, conv.window.rank);
    dot->batch_rank = 2, dot->batch_dim[0] = conv.batch, dot->batch_dim[1] = conv.group;
    if (!run->packed && in_floats(&conv)) return run_floats(compute, &conv, run);
    dot->a = (sdx_dot_factor){.dtype = run->w->dtype, .data = run->w->data, .line_step = dot->k, .k_step = 1};
    dot->a.batch_step[1] = dot->m * dot->k;
    dot->a.matrix_step[1] = 1;
    if (run->packed) sdx_unpack_factor(compute->kernels, run->packed, false, conv.group, dot->m, dot->k, &dot->a);
    dot->a.zero = run->w_zero ? run->w_zero->data : NULL;
    if (run->w_zero && run->w_zero->count > 1) dot->a.zero_step = 1, dot->a.zero_batch_step[1] = dot->m;
    dot->b = (sdx_dot_factor){.dtype = run->x->dtype, .line_step = 1, .k_step = g.plane, .data = run->x->data};
    dot->b.batch_step[0] = conv.channels * g.plane, dot->b.batch_step[1] = g.channels * g.plane;
    dot->b.zero = run->x_zero ? run->x_zero->data : NULL;
    if (!sdx_window_is_pointwise(&conv.window)) dot->b.fill = fill, dot->b.context = &g;
    dot->row_bias = run->bias, dot->row_bias_period = conv.group;
    dot->c = run->y, dot->finish = run->finish, dot->finish_context = run->finish_context;
    return sdx_dot_run(compute, dot, compute->scratch);
}
