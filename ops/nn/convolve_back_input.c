/* SPDX-License-Identifier: Apache-2.0
 * With stride s, dX falls into s phases per dimension: the places p, p + s, p + 2s ... get the same taps k, those for
 * which s divides p + begin - k dilation. Each phase is a convolution of stride 1 of dY with these taps, the other way
 * round, whose dilation is dilation / gcd(s, dilation). */
#include "ops/lines.h"
#include "ops/nn/convolve_back.h"
#include <string.h>

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* The taps of one phase: count[d] of them, last[d] the highest, each step[d] below the one before. */
typedef struct phase {
    sdx_convolution conv; /* of dY, into the places of this phase */
    int64_t place[SDX_MAX_SPATIAL], last[SDX_MAX_SPATIAL], step[SDX_MAX_SPATIAL];
    bool places, taps; /* there are any */
} phase;

static void find_taps(const sdx_window *w, int d, phase *p) {
    const int64_t s = w->stride[d], dilation = w->dilation[d], at = p->place[d] + w->begin[d];
    sdx_window *to = &p->conv.window;
    int64_t first = 0;
    p->step[d] = s / sdx_common_divisor(s, dilation);
    const int64_t most = p->step[d] < w->kernel[d] ? p->step[d] : w->kernel[d];
    while (first < most && (at - first * dilation) % s != 0) first++;
    to->kernel[d] = first < most ? (w->kernel[d] - 1 - first) / p->step[d] + 1 : 0;
    to->in[d] = w->out[d];
    to->out[d] = w->in[d] > p->place[d] ? ceil_div(w->in[d] - p->place[d], s) : 0;
    to->stride[d] = 1;
    to->dilation[d] = dilation * p->step[d] / s;
    p->taps = p->taps && to->kernel[d] > 0;
    p->places = p->places && to->out[d] > 0;
    if (to->kernel[d] == 0) return;
    p->last[d] = first + (to->kernel[d] - 1) * p->step[d];
    to->begin[d] = (p->last[d] * dilation - at) / s;
    to->end[d] = to->out[d] - 1 + sdx_window_extent(to, d) - to->in[d] - to->begin[d];
}

static int64_t phases_along(const sdx_window *w, int d) { return w->stride[d] < w->in[d] ? w->stride[d] : w->in[d]; }

static int64_t count_phases(const sdx_convolution *forward) {
    int64_t n = 1;
    for (int d = 0; d < forward->window.rank; d++) n *= phases_along(&forward->window, d);
    return n;
}

static phase make_phase(const sdx_convolution *forward, int64_t index) {
    phase p = {.conv = {.dtype = forward->dtype,
                        .batch = forward->batch,
                        .channels = forward->maps,
                        .maps = forward->channels,
                        .group = forward->group},
               .places = true,
               .taps = true};
    p.conv.window.rank = forward->window.rank;
    for (int d = forward->window.rank - 1; d >= 0; d--) {
        const int64_t phases = phases_along(&forward->window, d);
        p.place[d] = index % phases;
        index /= phases;
        find_taps(&forward->window, d, &p);
    }
    return p;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

enum { CHANNELS = 16 }; /* moved together: their weights lie side by side */

typedef struct turn_job {
    const sdx_convolution *forward;
    const phase *phase;
    char *to;
    int64_t channels, maps, taps; /* of a group; taps of the phase */
} turn_job;

/* Where a tap of the phase is among the taps of the window. */
static int64_t tap_of(const turn_job *job, int64_t tap) {
    const sdx_window *all = &job->forward->window, *some = &job->phase->conv.window;
    int64_t index = 0, scale = 1;
    for (int d = all->rank - 1; d >= 0; scale *= all->kernel[d], d--) {
        index += (job->phase->last[d] - tap % some->kernel[d] * job->phase->step[d]) * scale;
        tap /= some->kernel[d];
    }
    return index;
}

/* W[m][c][tap] of a group to [c][m][tap of the phase]. */
static void turn_weights(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const turn_job *job = argument;
    const size_t size = sdx_dtype_size(job->forward->dtype);
    const int64_t blocks = ceil_div(job->channels, CHANNELS);
    const int64_t all = sdx_window_product(job->forward->window.kernel, job->forward->window.rank);
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t group = unit / blocks, first = unit % blocks * CHANNELS;
        const int64_t n = job->channels - first < CHANNELS ? job->channels - first : CHANNELS;
        for (int64_t tap = 0; tap < job->taps; tap++) {
            const int64_t place = tap_of(job, tap);
            for (int64_t m = 0; m < job->maps; m++)
                for (int64_t c = first; c < first + n; c++) {
                    const char *from = (const char *)job->forward->weight +
                                       (size_t)(((group * job->maps + m) * job->channels + c) * all + place) * size;
                    char *to =
                        job->to + (size_t)(((group * job->channels + c) * job->maps + m) * job->taps + tap) * size;
                    if (size == 4)
                        memcpy(to, from, 4);
                    else if (size == 8)
                        memcpy(to, from, 8);
                    else
                        memcpy(to, from, 2);
                }
        }
    }
}

static sdx_status turn(sdx_compute *compute, const sdx_convolution *forward, const phase *p, char *to) {
    turn_job job = {.forward = forward, .phase = p, .to = to};
    job.channels = forward->channels / forward->group, job.maps = forward->maps / forward->group;
    job.taps = sdx_window_product(p->conv.window.kernel, p->conv.window.rank);
    return sdx_for(compute, forward->group * ceil_div(job.channels, CHANNELS),
                   sdx_grain(CHANNELS * job.maps * job.taps), turn_weights, &job);
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

typedef struct place_job {
    const sdx_convolution *forward;
    const phase *phase;
    const char *from; /* NULL: zeros, or the bias */
    char *to;
    size_t size;
} place_job;

static void place_row(const char *from, const char *fill, char *to, int64_t n, int64_t step, size_t size) {
    const size_t by = (size_t)step * size, next = from ? size : 0;
    if (!from) from = fill;
    if (size == 4)
        for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * by, from + (size_t)i * next, 4);
    else if (size == 8)
        for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * by, from + (size_t)i * next, 8);
    else
        for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * by, from + (size_t)i * next, 2);
}

/* Planes of a phase go to every s-th place of planes of dX. */
static void place_planes(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const place_job *job = argument;
    const sdx_window *w = &job->forward->window, *p = &job->phase->conv.window;
    const int last = w->rank - 1;
    const int64_t inputs = sdx_window_product(w->in, w->rank), rows = sdx_window_product(p->out, last);
    const char zero[8] = {0};
    for (int64_t plane = begin; plane < end; plane++) {
        const char *bias = job->forward->bias, *fill = zero;
        if (bias) fill = bias + (size_t)(plane % job->forward->channels) * job->size;
        for (int64_t row = 0; row < rows; row++) {
            int64_t at = job->phase->place[last], scale = w->in[last], rest = row;
            for (int d = last - 1; d >= 0; scale *= w->in[d], d--) {
                at += (rest % p->out[d] * w->stride[d] + job->phase->place[d]) * scale;
                rest /= p->out[d];
            }
            const char *from = job->from;
            if (from) from += (size_t)((plane * rows + row) * p->out[last]) * job->size;
            place_row(from, fill, job->to + (size_t)(plane * inputs + at) * job->size, p->out[last], w->stride[last],
                      job->size);
        }
    }
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

/* Bytes of weights, of results before they are placed, of the convolutions. */
static bool sizes(const sdx_convolution *forward, int threads, size_t *weights, size_t *results, size_t *work) {
    const size_t size = sdx_dtype_size(forward->dtype);
    const int64_t phases = count_phases(forward);
    *weights = *results = *work = 0;
    for (int64_t k = 0; k < phases; k++) {
        const phase p = make_phase(forward, k);
        if (!p.places || !p.taps) continue;
        const int64_t taps = sdx_window_product(p.conv.window.kernel, p.conv.window.rank);
        const int64_t places = sdx_window_product(p.conv.window.out, p.conv.window.rank);
        const size_t w = (size_t)(forward->maps * (forward->channels / forward->group) * taps) * size;
        const size_t r = phases > 1 ? (size_t)(forward->batch * forward->channels * places) * size : 0;
        const size_t bytes = sdx_convolution_scratch(&p.conv, threads);
        if (bytes == SIZE_MAX) return false;
        *weights = w > *weights ? w : *weights;
        *results = r > *results ? r : *results;
        *work = bytes > *work ? bytes : *work;
    }
    *weights = sdx_align(*weights), *results = sdx_align(*results);
    return true;
}

size_t sdx_convolution_back_input_scratch(const sdx_convolution *forward, int threads) {
    size_t weights = 0, results = 0, work = 0, sum = 0;
    const bool fits = sizes(forward, threads, &weights, &results, &work) && sdx_size_add(weights, results, &sum) &&
                      sdx_size_add(sum, work, &sum);
    return fits ? sum : SIZE_MAX;
}

static sdx_status run_phase(sdx_compute *compute, const sdx_convolution *forward, phase *p, const void *dY, void *dX,
                            char *weights, char *results, char *work) {
    const bool direct = count_phases(forward) == 1;
    place_job job = {.forward = forward, .phase = p, .from = results, .to = dX, .size = sdx_dtype_size(forward->dtype)};
    if (!p->places) return SDX_OK;
    if (p->taps && forward->maps) {
        SDX_TRY(turn(compute, forward, p, weights));
        p->conv.x = dY, p->conv.weight = weights, p->conv.bias = forward->bias;
        p->conv.y = direct ? dX : results;
        SDX_TRY(sdx_convolution_run(compute, &p->conv, work));
        if (direct) return SDX_OK;
    } else
        job.from = NULL;
    const int64_t each = sdx_window_product(p->conv.window.out, p->conv.window.rank);
    return sdx_for(compute, forward->batch * forward->channels, sdx_grain(2 * each), place_planes, &job);
}

sdx_status sdx_convolution_back_input(sdx_compute *compute, const sdx_convolution *forward, const void *dY, void *dX,
                                      void *scratch) {
    const int64_t phases = count_phases(forward);
    size_t weights = 0, results = 0, work = 0;
    if (!sizes(forward, sdx_pool_threads(compute->pool), &weights, &results, &work))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "work space of the gradient of a convolution");
    for (int64_t k = 0; k < phases; k++) {
        phase p = make_phase(forward, k);
        char *room = scratch;
        SDX_TRY(run_phase(compute, forward, &p, dY, dX, room, room + weights, room + weights + results));
    }
    return SDX_OK;
}
