/* SPDX-License-Identifier: Apache-2.0
 * dW as products on the gemm tiles: k runs over the outputs of an image, dY is packed once, [m panel][k][mr], and X
 * [phase][k][nr channels] so that each tap reads it at its own shift. For that, output o lies at k = sum o[d] pitch[d]
 * with gaps of zeros in dY between rows, wide enough that a shifted row of X meets its padding there; a stride s parts
 * X into s phases per dimension. Few channels: the columns are pairs (channel, tap), gathered, and nothing is shifted.
 * One channel and few maps: each tap is a scalar product of planes. Parts of the batch are summed apart, then added. */
#include "ops/lines.h"
#include "ops/nn/convolve_back.h"
#include <string.h>

enum { DEPTH = 512, GATHER = 64, UNITS = 16, FEW_CHANNELS = 12, FEW_MAPS = 4 };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

typedef enum layout { SHIFTED, GATHERED, PLANES } layout;

typedef struct weight_plan {
    const sdx_convolution *conv;
    layout layout;
    size_t element; /* of panels and sums */
    int mr, nr;
    int64_t channels, maps, taps, outputs, plane; /* channels and maps of a group */
    int64_t phases[SDX_MAX_SPATIAL], pitch[SDX_MAX_SPATIAL];
    int64_t steps, base, volume;            /* of k; place of input 0 in a phase of X; elements of a phase */
    int64_t columns, blocks, shifts, parts; /* per group; blocks of nr columns; taps that are shifts; of the batch */
    size_t dy_bytes, buffer_bytes, worker_bytes, sum_bytes; /* a worker has its buffer, then its rows */
} weight_plan;

/* What tap place k of dimension d reads at output o: place o + shift of this phase. */
static int64_t shift_of(const sdx_window *w, int d, int64_t k) {
    return floor_div(k * w->dilation[d] - w->begin[d], w->stride[d]);
}
/* The input that is place 0 of the phase of tap place k. */
static int64_t origin_of(const sdx_window *w, int d, int64_t k) {
    return k * w->dilation[d] - w->begin[d] - shift_of(w, d, k) * w->stride[d];
}
static int64_t places_of(const sdx_window *w, int d, int64_t k) {
    const int64_t origin = origin_of(w, d, k);
    return w->in[d] > origin ? ceil_div(w->in[d] - origin, w->stride[d]) : 0;
}

/* Lengths of rows, planes ... of k, and what a phase of X needs around them. */
static bool lay_out(weight_plan *p) {
    const sdx_window *w = &p->conv->window;
    int64_t scale = 1, before = 0, after = 0, last = 0, data = 0, part = 0;
    for (int d = w->rank - 1; d >= 0; d--) {
        int64_t low = 0, high = 0, places = 1;
        p->phases[d] = 1;
        if (p->layout != GATHERED) {
            p->phases[d] = least(w->kernel[d], w->stride[d] / sdx_common_divisor(w->stride[d], w->dilation[d]));
            low = least(shift_of(w, d, 0), 0), high = most(shift_of(w, d, w->kernel[d] - 1), 0);
            for (int64_t k = 0; k < p->phases[d]; k++) places = most(places, places_of(w, d, k));
        }
        p->pitch[d] = scale;
        if (!sdx_dim_mul(-low, scale, &part) || __builtin_add_overflow(before, part, &before) ||
            !sdx_dim_mul(high, scale, &part) || __builtin_add_overflow(after, part, &after) ||
            !sdx_dim_mul(places - 1, scale, &part) || __builtin_add_overflow(data, part, &data) ||
            !sdx_dim_mul(w->out[d] - 1, scale, &part) || __builtin_add_overflow(last, part, &last) ||
            !sdx_dim_mul(scale, most(most(places - low, w->out[d] + high), w->out[d]), &scale))
            return false;
    }
    p->steps = last + 1;
    p->base = before;
    return !__builtin_add_overflow(before, most(last + after, data) + 1, &p->volume);
}

static bool bytes_of(size_t *out, int64_t a, int64_t b, int64_t c, size_t element) {
    size_t n = 0;
    if (!sdx_size_mul((size_t)a, (size_t)b, &n) || !sdx_size_mul(n, (size_t)c, &n) || !sdx_size_mul(n, element, &n) ||
        !sdx_size_add(n, SDX_ALIGNMENT, &n))
        return false;
    *out = n / SDX_ALIGNMENT * SDX_ALIGNMENT;
    return true;
}

/* mr and nr: of the kernel table. */
static bool make_plan(const sdx_convolution *conv, int mr, int nr, int threads, weight_plan *p) {
    const sdx_window *w = &conv->window;
    *p = (weight_plan){.conv = conv, .element = sdx_panel_element(conv->dtype), .mr = mr, .nr = nr, .parts = 1};
    p->channels = conv->channels / conv->group, p->maps = conv->maps / conv->group;
    p->taps = sdx_window_product(w->kernel, w->rank);
    p->outputs = sdx_window_product(w->out, w->rank), p->plane = sdx_window_product(w->in, w->rank);
    p->layout = p->channels == 1 && p->maps <= FEW_MAPS      ? PLANES
                : p->channels <= FEW_CHANNELS && p->taps > 1 ? GATHERED
                                                             : SHIFTED;
    if (p->layout == PLANES) p->mr = p->nr = 1;
    if (p->outputs == 0) return true;
    if (!lay_out(p)) return false;
    p->columns = p->layout == GATHERED ? p->channels * p->taps : p->channels;
    p->shifts = p->layout == GATHERED ? 1 : p->taps;
    p->blocks = ceil_div(p->columns, p->nr);
    const int64_t units = conv->group * p->blocks, panels = ceil_div(p->maps, p->mr);
    if (units && conv->batch) p->parts = least(conv->batch, ceil_div(UNITS, units));
    const int64_t phases = p->layout == GATHERED ? 1 : sdx_window_product(p->phases, w->rank);
    const int64_t x = p->layout == GATHERED ? DEPTH : p->volume;
    size_t rows = 0, all = 0;
    if (!bytes_of(&p->dy_bytes, conv->batch * conv->group * panels, p->mr, p->steps, p->element) ||
        !bytes_of(&p->buffer_bytes, phases, x, p->nr, p->element) ||
        !bytes_of(&p->sum_bytes, p->parts * units * p->nr, p->shifts, p->maps, p->element) ||
        !bytes_of(&rows, 1, most(p->channels * p->taps, GATHER * p->nr), 1, p->element) ||
        !sdx_size_add(p->buffer_bytes, rows, &p->worker_bytes))
        return false;
    return sdx_size_mul(p->worker_bytes, (size_t)threads, &all);
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

typedef void (*pack_fn)(const void *x, int64_t rs, int64_t ks, int64_t rows, int64_t k, int width, int64_t panel,
                        void *y);
typedef void (*gather_fn)(const void *x, int64_t step, int64_t x_row, int64_t rows, int64_t left, int64_t n,
                          int64_t right, void *y, int64_t y_row);

typedef struct weight_job {
    weight_plan plan;
    const sdx_kernels *kernels;
    pack_fn pack;
    gather_fn gather;
    void (*tile)(const sdx_gemm_tile *tile);
    const char *x, *dY;
    char *dy, *sums, *workers, *dW;
} weight_job;

/* `rows` planes of `plane` elements, side by side in panels of `width`: the elements first, first + step ... of every
 * row of their last dimension. */
static void pack_rows(const weight_job *job, const char *from, int64_t plane, int64_t step, int64_t rows, int64_t n,
                      int width, char *to) {
    if (width == 1)
        job->gather(from, step, 0, 1, 0, n, 0, to, 0);
    else
        job->pack(from, plane, step, rows, n, width, 0, to);
}

/* Panels of dY, zeros in the gaps. */
static void pack_dy(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const weight_job *job = argument;
    const weight_plan *p = &job->plan;
    const sdx_window *w = &p->conv->window;
    const size_t size = sdx_dtype_size(p->conv->dtype);
    const int last = w->rank - 1;
    const int64_t panels = ceil_div(p->maps, p->mr), panel = p->steps * p->mr;
    const bool dense = p->steps == p->outputs;
    const int64_t length = dense ? p->outputs : w->out[last], rows = p->outputs / length;
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t i = unit % panels * p->mr, group = unit / panels;
        const char *from = job->dY + (size_t)((group * p->maps + i) * p->outputs) * size;
        char *to = job->dy + (size_t)(unit * panel) * p->element;
        if (!dense) memset(to, 0, (size_t)panel * p->element);
        for (int64_t row = 0; row < rows; row++) {
            int64_t at = 0, rest = row;
            for (int d = last - 1; d >= 0 && !dense; d--) {
                at += rest % w->out[d] * p->pitch[d];
                rest /= w->out[d];
            }
            pack_rows(job, from + (size_t)(row * length) * size, p->outputs, 1, least(p->mr, p->maps - i), length,
                      p->mr, to + (size_t)(at * p->mr) * p->element);
        }
    }
}

/* One phase of `channels` planes of X. `k` is its first tap place in each dimension. */
static void pack_phase(const weight_job *job, const char *x, int64_t channels, const int64_t *k, char *to) {
    const weight_plan *p = &job->plan;
    const sdx_window *w = &p->conv->window;
    const size_t size = sdx_dtype_size(p->conv->dtype);
    const int last = w->rank - 1;
    int64_t rows = 1, count[SDX_MAX_SPATIAL] = {0}, origin[SDX_MAX_SPATIAL] = {0};
    for (int d = 0; d <= last; d++) {
        count[d] = places_of(w, d, k[d]), origin[d] = origin_of(w, d, k[d]);
        if (d < last) rows *= count[d];
    }
    if (count[last] == 0) return;
    for (int64_t row = 0; row < rows; row++) {
        int64_t at = p->base, place = origin[last], scale = w->in[last], rest = row;
        for (int d = last - 1; d >= 0; scale *= w->in[d], d--) {
            at += rest % count[d] * p->pitch[d];
            place += (rest % count[d] * w->stride[d] + origin[d]) * scale;
            rest /= count[d];
        }
        pack_rows(job, x + (size_t)place * size, p->plane, w->stride[last], channels, count[last], p->nr,
                  to + (size_t)(at * p->nr) * p->element);
    }
}

static void pack_phases(const weight_job *job, const char *x, int64_t channels, char *to) {
    const weight_plan *p = &job->plan;
    const int rank = p->conv->window.rank;
    const int64_t phases = sdx_window_product(p->phases, rank);
    for (int64_t f = 0; f < phases; f++) {
        int64_t k[SDX_MAX_SPATIAL], rest = f;
        for (int d = rank - 1; d >= 0; d--) {
            k[d] = rest % p->phases[d];
            rest /= p->phases[d];
        }
        pack_phase(job, x, channels, k, to + (size_t)(f * p->volume * p->nr) * p->element);
    }
}

/* First element of X that tap `shift` meets at k = 0. */
static int64_t shifted(const weight_plan *p, int64_t tap) {
    const sdx_window *w = &p->conv->window;
    int64_t phase = 0, scale = 1, at = p->base;
    if (p->layout == GATHERED) return 0;
    for (int d = w->rank - 1; d >= 0; scale *= p->phases[d], d--) {
        const int64_t k = tap % w->kernel[d];
        tap /= w->kernel[d];
        phase += k % p->phases[d] * scale;
        at += shift_of(w, d, k) * p->pitch[d];
    }
    return (phase * p->volume + at) * p->nr;
}

/* Columns (channel, tap) of outputs [first, first + n): gathered along outputs, then turned. */
static void gather_columns(const weight_job *job, const char *x, int64_t column, int64_t columns, int64_t first,
                           int64_t n, char *rows, char *to) {
    const weight_plan *p = &job->plan;
    const sdx_window *w = &p->conv->window;
    const size_t size = sdx_dtype_size(p->conv->dtype);
    const pack_fn turn = p->element == 8 ? job->kernels->pack_64 : job->kernels->pack_32;
    sdx_run runs[GATHER];
    for (int64_t j = 0; j < n; j += GATHER) {
        const int64_t width = least(GATHER, n - j);
        const int count = sdx_runs_find(w, first + j, width, runs);
        for (int64_t c = 0; c < columns; c++) {
            const int64_t channel = (column + c) / p->taps, tap = (column + c) % p->taps;
            for (int q = 0; q < count; q++) {
                int64_t left = 0, inside = 0, offset = sdx_run_place(w, &runs[q], tap, &left, &inside);
                job->gather(x + (size_t)(channel * p->plane + offset) * size, w->stride[w->rank - 1], 0, 1, left,
                            inside, runs[q].n - left - inside,
                            rows + (size_t)(c * GATHER + runs[q].column) * p->element, 0);
            }
        }
        turn(rows, GATHER, 1, columns, width, p->nr, 0, to + (size_t)(j * p->nr) * p->element);
    }
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

typedef struct unit {
    int64_t part, group, block, columns;
    char *sums, *room; /* [shift][map][nr] */
} unit;

static void run_tiles(const weight_job *job, const unit *u, const char *dy, const char *x, int64_t depth, bool first) {
    const weight_plan *p = &job->plan;
    for (int64_t i = 0; i < p->maps; i += p->mr)
        for (int64_t tap = 0; tap < p->shifts; tap++) {
            sdx_gemm_tile tile = {.k = depth,
                                  .a = dy + (size_t)(i * p->steps) * p->element,
                                  .b = x + (size_t)shifted(p, tap) * p->element,
                                  .c = u->sums + (size_t)((tap * p->maps + i) * p->nr) * p->element,
                                  .ldc = p->nr,
                                  .m = (int)least(p->mr, p->maps - i),
                                  .n = p->nr,
                                  .accumulate = !first};
            job->tile(&tile);
        }
}

#define DOT(T)                                                                                                         \
    for (int64_t k = 0; k < n; k++)                                                                                    \
        sum += (double)((const T *)(const void *)a)[k] * (double)((const T *)(const void *)b)[k];

static void add_planes(const weight_job *job, const unit *u, const char *dy, const char *x, bool first) {
    const weight_plan *p = &job->plan;
    const int64_t n = p->steps;
    for (int64_t i = 0; i < p->maps; i++)
        for (int64_t tap = 0; tap < p->taps; tap++) {
            const char *a = dy + (size_t)(i * n) * p->element, *b = x + (size_t)shifted(p, tap) * p->element;
            const int64_t at = tap * p->maps + i;
            if (p->element == 8) {
                double sum = 0, *to = (double *)(void *)u->sums + at;
                DOT(double)
                *to = first ? sum : *to + sum;
            } else {
                float sum = 0, *to = (float *)(void *)u->sums + at;
                job->kernels->gemv_columns_f32((const void *)a, (const void *)b, n, n, 1, &sum);
                *to = first ? sum : *to + sum;
            }
        }
}

static void run_image(const weight_job *job, const unit *u, int64_t image, bool first) {
    const weight_plan *p = &job->plan;
    const sdx_convolution *conv = p->conv;
    const int64_t panels = ceil_div(p->maps, p->mr), column = u->block * p->nr;
    const size_t size = sdx_dtype_size(conv->dtype);
    const char *x = job->x + (size_t)((image * conv->channels + u->group * p->channels) * p->plane) * size;
    const char *dy = job->dy + (size_t)((image * conv->group + u->group) * panels * p->steps * p->mr) * p->element;
    char *rows = u->room + p->buffer_bytes;
    if (p->layout != GATHERED) pack_phases(job, x + (size_t)(column * p->plane) * size, u->columns, u->room);
    if (p->layout == PLANES) {
        add_planes(job, u, dy, u->room, first);
        return;
    }
    for (int64_t k = 0; k < p->steps; k += DEPTH) {
        const int64_t depth = least(DEPTH, p->steps - k), ahead = p->layout == GATHERED ? 0 : k * p->nr;
        if (p->layout == GATHERED) gather_columns(job, x, column, u->columns, k, depth, rows, u->room);
        run_tiles(job, u, dy + (size_t)(k * p->mr) * p->element, u->room + (size_t)ahead * p->element, depth,
                  first && k == 0);
    }
}

/* A block of columns of a group, over a part of the batch. */
static void run_units(void *argument, int64_t begin, int64_t end, int worker) {
    const weight_job *job = argument;
    const weight_plan *p = &job->plan;
    const size_t own = (size_t)(p->shifts * p->maps * p->nr) * p->element;
    for (int64_t t = begin; t < end; t++) {
        unit u = {.part = t % p->parts, .block = t / p->parts % p->blocks, .group = t / p->parts / p->blocks};
        u.columns = least(p->nr, p->columns - u.block * p->nr);
        u.room = job->workers + (size_t)worker * p->worker_bytes;
        u.sums = job->sums + (size_t)t * own;
        if (p->layout != GATHERED) memset(u.room, 0, p->worker_bytes);
        const int64_t first = p->conv->batch * u.part / p->parts, last = p->conv->batch * (u.part + 1) / p->parts;
        for (int64_t image = first; image < last; image++) run_image(job, &u, image, image == first);
    }
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* One row of dW from the sums of all parts. */
#define COLLECT(name, T)                                                                                               \
    static void name(const weight_job *job, int64_t group, int64_t m, T *to) {                                         \
        const weight_plan *p = &job->plan;                                                                             \
        const int64_t own = p->shifts * p->maps * p->nr;                                                               \
        for (int64_t block = 0; block < p->blocks; block++)                                                            \
            for (int64_t tap = 0; tap < p->shifts; tap++) {                                                            \
                const T *from = (const T *)(const void *)job->sums + (group * p->blocks + block) * p->parts * own +    \
                                (tap * p->maps + m) * p->nr;                                                           \
                const int64_t n = least(p->nr, p->columns - block * p->nr);                                            \
                for (int64_t c = 0; c < n; c++) {                                                                      \
                    T sum = from[c];                                                                                   \
                    for (int64_t part = 1; part < p->parts; part++) sum += from[part * own + c];                       \
                    to[(block * p->nr + c) * p->shifts + tap] = sum;                                                   \
                }                                                                                                      \
            }                                                                                                          \
    }
COLLECT(collect_f32, float)
COLLECT(collect_f64, double)

static void collect(void *argument, int64_t begin, int64_t end, int worker) {
    const weight_job *job = argument;
    const weight_plan *p = &job->plan;
    const sdx_dtype dtype = p->conv->dtype;
    const int64_t row = p->channels * p->taps;
    for (int64_t map = begin; map < end; map++) {
        char *to = job->dW + (size_t)(map * row) * sdx_dtype_size(dtype);
        const int64_t group = map / p->maps, m = map % p->maps;
        float *room = (float *)(void *)(job->workers + (size_t)worker * p->worker_bytes);
        if (dtype == SDX_F64)
            collect_f64(job, group, m, (double *)(void *)to);
        else if (dtype == SDX_F32)
            collect_f32(job, group, m, (float *)(void *)to);
        else {
            collect_f32(job, group, m, room);
            (dtype == SDX_F16 ? job->kernels->f16_from_f32 : job->kernels->bf16_from_f32)(room, (void *)to, row);
        }
    }
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static const int shapes[][2] = {{4, 8}, {6, 16}, {14, 32}}; /* of every kernel table, for 4-byte elements */

size_t sdx_convolution_back_weight_scratch(const sdx_convolution *forward, int threads) {
    size_t largest = 0;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        weight_plan p;
        const int nr = shapes[s][1] * 4 / (int)sdx_panel_element(forward->dtype);
        if (!make_plan(forward, shapes[s][0], nr, threads, &p)) return SIZE_MAX;
        size_t bytes = p.worker_bytes * (size_t)threads;
        if (!sdx_size_add(bytes, p.dy_bytes, &bytes) || !sdx_size_add(bytes, p.sum_bytes, &bytes)) return SIZE_MAX;
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

sdx_status sdx_convolution_back_weight(sdx_compute *compute, const sdx_convolution *forward, const void *dY, void *dW,
                                       void *scratch) {
    const sdx_kernels *kernels = compute->kernels;
    const sdx_dtype dtype = forward->dtype;
    weight_job job = {.kernels = kernels, .x = forward->x, .dY = dY, .dW = dW};
    weight_plan *p = &job.plan;
    int mr = 0, nr = 0;
    kernels->gemm_shape(sdx_panel_element(dtype), &mr, &nr);
    if (!make_plan(forward, mr, nr, sdx_pool_threads(compute->pool), p))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "work space of the gradient of a convolution");
    const size_t bytes = (size_t)(forward->maps * p->channels * p->taps) * sdx_dtype_size(dtype);
    if (bytes == 0) return SDX_OK;
    if (forward->batch == 0 || p->outputs == 0) return memset(dW, 0, bytes), SDX_OK;
    const bool f16 = dtype == SDX_F16, bf16 = dtype == SDX_BF16, wide = dtype == SDX_F64;
    job.pack = f16 ? kernels->pack_f16 : bf16 ? kernels->pack_bf16 : wide ? kernels->pack_64 : kernels->pack_32;
    job.gather = f16    ? kernels->gather_f16
                 : bf16 ? kernels->gather_bf16
                 : wide ? kernels->gather_64
                        : kernels->gather_32;
    job.tile = wide ? kernels->gemm_tile_f64 : kernels->gemm_tile_f32;
    job.dy = scratch, job.sums = job.dy + p->dy_bytes, job.workers = job.sums + p->sum_bytes;
    const int64_t panels = ceil_div(p->maps, p->mr);
    SDX_TRY(sdx_for(compute, forward->batch * forward->group * panels, sdx_grain(p->steps * p->mr), pack_dy, &job));
    SDX_TRY(sdx_for(compute, forward->group * p->blocks * p->parts, 1, run_units, &job));
    return sdx_for(compute, forward->maps, sdx_grain(p->channels * p->taps), collect, &job);
}
