/* SPDX-License-Identifier: Apache-2.0
 * Y[n, m] = B[m] + W[m] X'[n], where column o of X' holds the inputs under the window of output o: a matrix product
 * for each image and group, whose panels of X' are gathered when they are needed. Depthwise ones (one input channel per
 * group, one or two spatial dimensions) run plane by plane instead: there is too little to multiply. */
#include "ops/nn/convolve.h"
#include "runtime/base/half.h"
#include <string.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

enum { NARROW_TAPS = 128 }; /* 16-bit weights of a depthwise plane are widened on the stack */

bool sdx_convolution_is_depthwise(const sdx_convolution *conv) {
    for (int d = 0; d < conv->window.rank; d++)
        if (conv->window.begin[d] < 0 || conv->window.end[d] < 0) return false; /* of a gradient: parts are not read */
    return conv->group > 1 && conv->channels == conv->group && conv->window.rank <= 2 && conv->dtype != SDX_F64 &&
           (conv->dtype == SDX_F32 || sdx_window_product(conv->window.kernel, conv->window.rank) <= NARROW_TAPS);
}

/* ---- depthwise ----------------------------------------------------------------------------------------------------
 */

enum { BAND_BYTES = 32768, SLACK = 64 };

/* A plane is cut into bands of output rows whose padded input fits in the first-level cache. */
typedef struct bands {
    int64_t in_rows, in_columns, out_rows, out_columns; /* of a plane; rows are 1 for one spatial dimension */
    int64_t pitch, height, count;                       /* padded row; output rows of a band; bands of a plane */
    size_t x_bytes, y_bytes;                            /* f32 scratch of one worker */
    sdx_depthwise shape;
    int64_t begin[2];
} bands;

static bands cut_bands(const sdx_convolution *conv) {
    const sdx_window *w = &conv->window;
    const int last = w->rank - 1, first = w->rank - 2;
    bands b = {.in_rows = first < 0 ? 1 : w->in[first], .out_rows = first < 0 ? 1 : w->out[first]};
    b.in_columns = w->in[last], b.out_columns = w->out[last];
    b.pitch = w->in[last] + w->begin[last] + w->end[last];
    for (int d = 0; d < 2; d++) {
        const int from = d ? last : first;
        b.shape.kernel[d] = from < 0 ? 1 : w->kernel[from];
        b.shape.stride[d] = from < 0 ? 1 : w->stride[from];
        b.shape.dilation[d] = from < 0 ? 1 : w->dilation[from];
        b.begin[d] = from < 0 ? 0 : w->begin[from];
    }
    const int64_t extent = (b.shape.kernel[0] - 1) * b.shape.dilation[0] + 1;
    const int64_t rows = BAND_BYTES / (int64_t)sizeof(float) / (b.pitch ? b.pitch : 1);
    int64_t height = rows > extent ? (rows - extent) / b.shape.stride[0] + 1 : 1;
    if (height > b.out_rows) height = b.out_rows;
    b.count = height ? ceil_div(b.out_rows, height) : 0;
    b.height = b.count ? ceil_div(b.out_rows, b.count) : 0;
    size_t x_rows = (size_t)((b.height - 1) * b.shape.stride[0] + extent), bytes = 0;
    if (!sdx_size_mul(x_rows, (size_t)b.pitch, &bytes) || !sdx_size_mul(bytes + SLACK, sizeof(float), &b.x_bytes) ||
        !sdx_size_mul((size_t)(b.height * b.out_columns) + SLACK, sizeof(float), &b.y_bytes))
        b.x_bytes = b.y_bytes = SIZE_MAX / 4;
    b.x_bytes = b.x_bytes / SDX_ALIGNMENT * SDX_ALIGNMENT + SDX_ALIGNMENT;
    b.y_bytes = conv->dtype == SDX_F32 ? 0 : b.y_bytes / SDX_ALIGNMENT * SDX_ALIGNMENT + SDX_ALIGNMENT;
    return b;
}

typedef void (*gather_fn)(const void *x, int64_t step, int64_t x_row, int64_t rows, int64_t left, int64_t n,
                          int64_t right, void *y, int64_t y_row);

static gather_fn gather_of(const sdx_kernels *kernels, sdx_dtype dtype) {
    if (dtype == SDX_F16) return kernels->gather_f16;
    if (dtype == SDX_BF16) return kernels->gather_bf16;
    return dtype == SDX_F64 ? kernels->gather_64 : kernels->gather_32;
}

static float to_f32(sdx_dtype dtype, const void *data, int64_t k) {
    if (dtype == SDX_F32) return ((const float *)data)[k];
    uint16_t bits = ((const uint16_t *)data)[k];
    return dtype == SDX_F16 ? sdx_f32_from_f16(bits) : sdx_f32_from_bf16(bits);
}

typedef struct depthwise_job {
    const sdx_convolution *conv;
    const sdx_kernels *kernels;
    bands bands;
    char *scratch;
} depthwise_job;

/* Input rows of the band, padded, as f32. */
static void pad_band(const depthwise_job *job, const void *plane, int64_t row, int64_t rows, float *to) {
    const bands *b = &job->bands;
    const sdx_convolution *conv = job->conv;
    const int64_t left = b->begin[1], right = b->pitch - left - b->in_columns;
    const int64_t top = row * b->shape.stride[0] - b->begin[0];
    const int64_t first = top < 0 ? least(-top, rows) : 0;
    int64_t inside = least(b->in_rows - (top + first), rows - first);
    if (inside < 0) inside = 0;
    memset(to, 0, (size_t)(first * b->pitch) * sizeof *to);
    const char *from = (const char *)plane + (size_t)((top + first) * b->in_columns) * sdx_dtype_size(conv->dtype);
    if (inside)
        gather_of(job->kernels, conv->dtype)(from, 1, b->in_columns, inside, left, b->in_columns, right,
                                             to + first * b->pitch, b->pitch);
    float *rest = to + (first + inside) * b->pitch;
    memset(rest, 0, (size_t)((rows - first - inside) * b->pitch + SLACK) * sizeof *rest);
}

/* Residual, clamp and rounding of finished rows that the kernel left as f32. */
static void finish_rows(const depthwise_job *job, float *rows, int64_t at, int64_t n) {
    const sdx_convolution *conv = job->conv;
    for (int64_t k = 0; conv->residual && k < n; k++) {
        rows[k] += to_f32(conv->dtype, conv->residual, at + k);
        if (!conv->clamp) continue;
        rows[k] = (float)conv->low > rows[k] ? (float)conv->low : rows[k];
        rows[k] = (float)conv->high < rows[k] ? (float)conv->high : rows[k];
    }
    if (conv->dtype == SDX_F16) job->kernels->f16_from_f32(rows, (uint16_t *)conv->y + at, n);
    if (conv->dtype == SDX_BF16) job->kernels->bf16_from_f32(rows, (uint16_t *)conv->y + at, n);
}

static void run_band(const depthwise_job *job, int64_t plane, int64_t band, char *scratch) {
    const sdx_convolution *conv = job->conv;
    const bands *b = &job->bands;
    const size_t size = sdx_dtype_size(conv->dtype);
    const int64_t map = plane % conv->maps, image = plane / conv->maps, channel = map / (conv->maps / conv->channels);
    const int64_t row = band * b->height, rows = least(b->height, b->out_rows - row);
    const int64_t taps = b->shape.kernel[0] * b->shape.kernel[1];
    const int64_t in_rows = (rows - 1) * b->shape.stride[0] + (b->shape.kernel[0] - 1) * b->shape.dilation[0] + 1;
    const int64_t at = (plane * b->out_rows + row) * b->out_columns;
    float *x = (float *)(void *)scratch, w[NARROW_TAPS];
    const char *source =
        (const char *)conv->x + (size_t)((image * conv->channels + channel) * b->in_rows * b->in_columns) * size;
    pad_band(job, source, row, in_rows, x);
    sdx_depthwise p = b->shape;
    p.x = x, p.x_pitch = b->pitch;
    p.y = conv->dtype == SDX_F32 ? (float *)conv->y + at : (float *)(void *)(scratch + b->x_bytes);
    p.y_pitch = p.columns = b->out_columns, p.rows = rows;
    p.bias = conv->bias ? to_f32(conv->dtype, conv->bias, map) : 0;
    p.clamp = conv->clamp && !conv->residual, p.low = (float)conv->low, p.high = (float)conv->high;
    if (conv->dtype == SDX_F32)
        p.w = (const float *)conv->weight + map * taps;
    else {
        for (int64_t k = 0; k < taps; k++) w[k] = to_f32(conv->dtype, conv->weight, map * taps + k);
        p.w = w;
    }
    job->kernels->depthwise_f32(&p);
    if (conv->residual || conv->dtype != SDX_F32) finish_rows(job, p.y, at, rows * b->out_columns);
}

static void run_bands(void *argument, int64_t begin, int64_t end, int worker) {
    const depthwise_job *job = argument;
    const size_t own = job->bands.x_bytes + job->bands.y_bytes;
    for (int64_t t = begin; t < end; t++)
        run_band(job, t / job->bands.count, t % job->bands.count, job->scratch + (size_t)worker * own);
}

static sdx_status run_depthwise(sdx_compute *compute, const sdx_convolution *conv, void *scratch) {
    depthwise_job job = {.conv = conv, .kernels = compute->kernels, .bands = cut_bands(conv), .scratch = scratch};
    const int64_t cost =
        job.bands.height * job.bands.out_columns * (job.bands.shape.kernel[0] * job.bands.shape.kernel[1] + 4);
    const int64_t grain = cost ? 65536 / cost + 1 : 1;
    return sdx_for(compute, conv->batch * conv->maps * job.bands.count, grain, run_bands, &job);
}

/* ---- gathered product ---------------------------------------------------------------------------------------------
 */

typedef struct gather_context {
    const sdx_convolution *conv;
    gather_fn gather;
    size_t in_size, out_size; /* of an element of x, of a panel */
    int64_t plane, outputs, taps, group_channels;
} gather_context;

/* One panel: rows k .. k + depth of X', row (c, tap) = c * taps + tap. */
static void fill_panel(const gather_context *g, const char *x, int64_t k, int64_t depth, int64_t n, int64_t columns,
                       int width, char *to) {
    const sdx_window *w = &g->conv->window;
    sdx_run runs[64];
    const int count = sdx_runs_find(w, n, columns, runs);
    const int64_t step = w->stride[w->rank - 1];
    for (int64_t tap = 0; tap < g->taps; tap++) {
        const int64_t first = k > tap ? ceil_div(k - tap, g->taps) : 0, last = ceil_div(k + depth - tap, g->taps);
        if (k + depth <= tap || last <= first) continue;
        char *row = to + (size_t)((first * g->taps + tap - k) * width) * g->out_size;
        for (int q = 0; q < count; q++) {
            int64_t left = 0, inside = 0, offset = sdx_run_place(w, &runs[q], tap, &left, &inside);
            const int64_t right = runs[q].n - left - inside, pad = q + 1 == count ? width - columns : 0;
            g->gather(x + (size_t)(first * g->plane + offset) * g->in_size, step, g->plane, last - first, left, inside,
                      right + pad, row + (size_t)runs[q].column * g->out_size, g->taps * width);
        }
    }
}

static void fill_panels(const void *context, int64_t batch, int64_t k, int64_t depth, int64_t n, int64_t count,
                        int width, int64_t panel, void *to) {
    const gather_context *g = context;
    const char *x = (const char *)g->conv->x + (size_t)(batch * g->group_channels * g->plane) * g->in_size;
    for (int64_t j = 0; j < count; j += width)
        fill_panel(g, x, k, depth, n + j, least(width, count - j), width,
                   (char *)to + (size_t)(j / width * panel) * g->out_size);
}

static sdx_product describe(const sdx_convolution *conv) {
    const int64_t taps = sdx_window_product(conv->window.kernel, conv->window.rank);
    sdx_product p = {.dtype = conv->dtype, .alpha = 1, .beta = 1, .batch_rank = 2};
    p.m = conv->maps / conv->group;
    p.n = sdx_window_product(conv->window.out, conv->window.rank);
    p.k = conv->channels / conv->group * taps;
    p.batch_dim[0] = conv->batch, p.batch_dim[1] = conv->group;
    return p;
}

size_t sdx_convolution_scratch(const sdx_convolution *conv, int threads) {
    if (sdx_convolution_is_depthwise(conv)) {
        bands b = cut_bands(conv);
        size_t bytes = 0;
        return sdx_size_mul(b.x_bytes + b.y_bytes, (size_t)threads, &bytes) ? bytes : SIZE_MAX;
    }
    sdx_product p = describe(conv);
    return sdx_product_scratch(conv->dtype, conv->batch * conv->group, p.m, p.n, p.k, conv->packed != NULL, false,
                               threads);
}

static sdx_status run_product(sdx_compute *compute, const sdx_convolution *conv, void *scratch) {
    sdx_product p = describe(conv);
    const int64_t group_channels = conv->channels / conv->group;
    const int64_t plane = sdx_window_product(conv->window.in, conv->window.rank);
    p.c = conv->y;
    p.row_bias = conv->bias, p.row_bias_step = p.m, p.row_bias_period = conv->group;
    p.residual = conv->residual;
    p.clamp = conv->clamp, p.low = conv->low, p.high = conv->high;
    p.a = (sdx_factor){.data = conv->weight, .line_step = p.k, .k_step = 1, .packed = conv->packed};
    p.a.batch_step[1] = conv->packed ? 1 : p.m * p.k;
    p.b = (sdx_factor){.data = conv->x, .line_step = 1, .k_step = plane};
    p.b.batch_step[0] = conv->channels * plane;
    p.b.batch_step[1] = group_channels * plane;
    gather_context g = {.conv = conv,
                        .gather = gather_of(compute->kernels, conv->dtype),
                        .in_size = sdx_dtype_size(conv->dtype),
                        .out_size = conv->dtype == SDX_F64 ? sizeof(double) : sizeof(float),
                        .plane = plane,
                        .outputs = p.n,
                        .taps = sdx_window_product(conv->window.kernel, conv->window.rank),
                        .group_channels = group_channels};
    if (!sdx_window_is_pointwise(&conv->window)) {
        p.b.data = NULL;
        p.b.fill = fill_panels;
        p.b.context = &g;
    }
    return sdx_product_run(compute, &p, scratch);
}

sdx_status sdx_convolution_run(sdx_compute *compute, const sdx_convolution *conv, void *scratch) {
    if (conv->batch == 0 || conv->maps == 0) return SDX_OK;
    return sdx_convolution_is_depthwise(conv) ? run_depthwise(compute, conv, scratch)
                                              : run_product(compute, conv, scratch);
}
