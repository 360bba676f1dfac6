/* SPDX-License-Identifier: Apache-2.0
 * As convolve.c: one product for each image and group, whose columns are gathered; padding is x's zero point. */
#include "ops/nn/integer_convolve.h"
#include <inttypes.h>
#include <string.h>

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

sdx_status sdx_integer_conv_bind(sdx_bind *bind, void *params) {
    sdx_integer_conv *p = params;
    p->group = sdx_bind_int(bind, "group");
    return sdx_window_bind(bind, SDX_WINDOW_DILATIONS, &p->window);
}

sdx_status sdx_integer_conv_infer(sdx_infer *infer, const sdx_integer_conv *p, int x, int w, int bias) {
    sdx_convolution conv = {0};
    bool known = false;
    const sdx_type *b = bias >= 0 && bias < infer->n_in ? infer->in[bias] : NULL;
    return sdx_convolution_infer(infer->error, &p->window, p->group, infer->in[x], infer->in[w], b, &infer->out[0],
                                 &conv, &known);
}

sdx_status sdx_integer_conv_maps(const sdx_infer *infer, int k, const char *name, int w) {
    const sdx_type *type = k < infer->n_in ? infer->in[k] : NULL;
    const int64_t maps = infer->in[w]->rank > 0 ? infer->in[w]->dim[0] : -1;
    if (!type || !sdx_type_concrete(type) || maps < 0) return SDX_OK;
    if (type->rank == 0 || (type->rank == 1 && (type->dim[0] == 1 || type->dim[0] == maps))) return SDX_OK;
    char text[128];
    return sdx_fail(infer->error, SDX_SHAPE,
                    "input '%s' is %s; it must be a scalar, or have one element for each of %" PRId64 " maps", name,
                    sdx_type_text(type, text, sizeof text), maps);
}

size_t sdx_integer_conv_scratch(const sdx_infer *infer, const sdx_integer_conv *p, int x, int w) {
    sdx_convolution conv = {0};
    sdx_type y = sdx_type_make(SDX_I32, -1);
    bool known = false;
    sdx_status status =
        sdx_convolution_infer(NULL, &p->window, p->group, infer->in[x], infer->in[w], NULL, &y, &conv, &known);
    if (status != SDX_OK || !known) return SIZE_MAX;
    const int64_t taps = sdx_window_product(conv.window.kernel, conv.window.rank);
    return sdx_dot_scratch(conv.batch * conv.group, conv.maps / conv.group,
                           sdx_window_product(conv.window.out, conv.window.rank), conv.channels / conv.group * taps,
                           infer->threads);
}

typedef struct gather {
    const sdx_window *window;
    const uint8_t *x;
    int64_t plane, taps, channels; /* of a group */
    uint8_t padding;
} gather;

static void gather_run(const gather *g, const uint8_t *from, int64_t left, int64_t inside, int64_t n, uint8_t *to) {
    const int64_t stride = g->window->stride[g->window->rank - 1];
    memset(to, g->padding, (size_t)left);
    if (stride == 1)
        memcpy(to + left, from, (size_t)inside);
    else
        for (int64_t i = 0; i < inside; i++) to[left + i] = from[i * stride];
    memset(to + left + inside, g->padding, (size_t)(n - left - inside));
}

/* Rows k .. k + depth of X', where row (c, tap) is number c * taps + tap. */
static void fill(const void *context, int64_t batch, int64_t k, int64_t depth, int64_t line, int64_t lines,
                 int64_t pitch, uint8_t *to) {
    const gather *g = context;
    const uint8_t *x = g->x + batch * g->channels * g->plane;
    sdx_run runs[64];
    const int count = sdx_runs_find(g->window, line, lines, runs);
    for (int64_t tap = 0; tap < g->taps; tap++) {
        const int64_t first = k > tap ? ceil_div(k - tap, g->taps) : 0, last = ceil_div(k + depth - tap, g->taps);
        if (k + depth <= tap || last <= first) continue;
        for (int q = 0; q < count; q++) {
            int64_t left = 0, inside = 0;
            const uint8_t *from = x + sdx_run_place(g->window, &runs[q], tap, &left, &inside);
            for (int64_t c = first; c < last; c++)
                gather_run(g, from + c * g->plane, left, inside, runs[q].n,
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
    dot->a = (sdx_dot_factor){.dtype = run->w->dtype, .data = run->w->data, .line_step = dot->k, .k_step = 1};
    dot->a.batch_step[1] = dot->m * dot->k;
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
