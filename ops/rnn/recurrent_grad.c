/* SPDX-License-Identifier: Apache-2.0
 * Backward of RNN, GRU and LSTM, one direction after the other. Y holds every state, so the gates of all steps are made
 * again by two products and one walk of the cells. Then back in time: a cell turns the gradient of its state into those
 * of its gates, and their product with R reaches the state before. Gradients of weights are one product over all steps.
 * Steps past the end of a sequence have gates, states and gradients of 0. */
#include "ops/math/product.h"
#include "ops/rnn/pieces.h"
#include "ops/rnn/recurrent.h"
#include <string.h>

enum { X, W, R, B, LENS, H0, C0, P, Y, DY, DY_H, DY_C, INPUTS };
enum { DX, DW, DR, DB, DH0, DC0, DP, OUTPUTS };
enum { PEEPHOLES = 3, COLUMNS = 64 };

/* Everything in the work dtype. "rows" are those of (step, sequence). */
typedef struct backward {
    const sdx_recurrent_params *p;
    sdx_cell_math math;
    size_t size;
    int64_t steps, batch, rows, input, hidden, width, joined; /* joined: columns whose Wb and Rb come as a sum */
    int phases;
    bool apart; /* of GRU: the last gate meets R by a product of its own */
    const sdx_tensor *in[INPUTS], *dx_out;
    const int32_t *lengths;
    int direction;
    bool reverse;                 /* this direction */
    int64_t step;                 /* position of X and Y in hand */
    int phase;                    /* of the cell */
    char *x, *w, *r;              /* [rows, input], [width, input], [width, hidden] */
    char *bias, *r_bias;          /* [width] */
    char *peepholes;              /* [3, hidden] */
    char *gates, *active;         /* [rows, width]; gates become their gradients */
    char *h_before, *c_new;       /* [rows, hidden] */
    char *extra, *d_extra;        /* [rows, hidden], [batch, hidden] */
    char *second;                 /* [rows, hidden]: extra times R */
    char *h0, *c0, *dh, *dc;      /* [batch, hidden] */
    char *past, *half;            /* [batch, hidden]: what goes past the gates; the sum of that and one product */
    char *dx[2], *dw, *dr, *db;   /* as x, twice; as w; as r; [2, width] */
    char *dp;                     /* [3, hidden] */
    char *packed_r, *packed_last; /* R as a right factor, by gates */
    char *rooms, *product_room;   /* two rows for each worker */
} backward;

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static void describe(backward *q, const sdx_recurrent_params *p, const struct sdx_kernels *kernels, sdx_dtype dtype,
                     const int64_t *x, int64_t hidden) {
    *q = (backward){.p = p, .input = x[2], .hidden = hidden, .size = sdx_dtype_size(sdx_work_dtype(dtype))};
    q->steps = x[p->batch_first ? 1 : 0];
    q->batch = x[p->batch_first ? 0 : 1];
    q->width = p->cell->gates * hidden;
    q->phases = p->cell->phases ? p->cell->phases(p) : 1;
    q->apart = p->cell->has_extra;
    q->joined = p->linear_before_reset ? q->width - hidden : q->width;
    q->math = sdx_cell_math_make(kernels, p, dtype);
    if (!sdx_dim_mul(q->steps, q->batch, &q->rows)) q->rows = INT64_MAX;
}

/* Rows of R that are one factor: all, or all but those of the last gate. */
static int64_t first_width(const backward *q) { return q->apart ? q->width - q->hidden : q->width; }

static size_t packed_bytes(const backward *q, int64_t width) {
    return sdx_product_packed_bytes(q->math.kernels, q->math.work, true, 1, q->hidden, width);
}

static size_t product_bytes(const backward *q, int threads) {
    const int64_t shapes[][4] = {
        {q->rows, q->width, q->input, 0},    {q->rows, q->width, q->hidden, 0},
        {q->rows, q->hidden, q->hidden, 0},  {q->batch, q->hidden, first_width(q), 1},
        {q->batch, q->hidden, q->hidden, 1}, {q->rows, q->input, q->width, 0},
        {q->width, q->input, q->rows, 0},    {first_width(q), q->hidden, q->rows, 0},
        {q->hidden, q->hidden, q->rows, 0},
    };
    size_t most = 0;
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        const int64_t *s = shapes[k];
        size_t bytes = sdx_product_scratch(q->math.work, 1, s[0], s[1], s[2], false, s[3], threads);
        if (bytes > most) most = bytes;
    }
    return most;
}

static char *take_bytes(sdx_pieces *room, size_t bytes) {
    return SDX_TAKE(room, 1, bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes);
}

static void place(backward *q, sdx_pieces *room, int threads) {
    const sdx_cell *cell = q->p->cell;
    q->x = SDX_TAKE(room, q->size, q->rows, q->input);
    for (int k = 0; k < 2; k++) q->dx[k] = SDX_TAKE(room, q->size, q->rows, q->input);
    q->w = SDX_TAKE(room, q->size, q->width, q->input);
    q->dw = SDX_TAKE(room, q->size, q->width, q->input);
    q->r = SDX_TAKE(room, q->size, q->width, q->hidden);
    q->dr = SDX_TAKE(room, q->size, q->width, q->hidden);
    q->bias = SDX_TAKE(room, q->size, q->width);
    q->r_bias = SDX_TAKE(room, q->size, q->width);
    q->db = SDX_TAKE(room, q->size, 2, q->width);
    q->gates = SDX_TAKE(room, q->size, q->rows, q->width);
    q->active = SDX_TAKE(room, q->size, q->rows, q->width);
    q->h_before = SDX_TAKE(room, q->size, q->rows, q->hidden);
    char **states[] = {&q->h0, &q->c0, &q->dh, &q->dc, &q->past, &q->half, &q->d_extra};
    for (size_t k = 0; k < sizeof states / sizeof states[0]; k++)
        *states[k] = SDX_TAKE(room, q->size, q->batch, q->hidden);
    if (cell->has_c) {
        q->c_new = SDX_TAKE(room, q->size, q->rows, q->hidden);
        q->peepholes = SDX_TAKE(room, q->size, PEEPHOLES, q->hidden);
        q->dp = SDX_TAKE(room, q->size, PEEPHOLES, q->hidden);
    }
    q->packed_r = take_bytes(room, packed_bytes(q, first_width(q)));
    if (q->apart) {
        q->extra = SDX_TAKE(room, q->size, q->rows, q->hidden);
        q->second = SDX_TAKE(room, q->size, q->rows, q->hidden);
        q->packed_last = take_bytes(room, packed_bytes(q, q->hidden));
    }
    q->rooms = SDX_TAKE(room, 2 * sdx_align((size_t)q->hidden * q->size), threads);
    q->product_room = take_bytes(room, product_bytes(q, threads));
}

size_t sdx_recurrent_grad_scratch(const sdx_infer *infer, const void *params) {
    backward q;
    sdx_pieces room = {0};
    describe(&q, params, sdx_kernels_get(), infer->in[X]->dtype, infer->in[X]->dim,
             sdx_recurrent_hidden(infer, params));
    place(&q, &room, infer->threads);
    return room.too_large ? SIZE_MAX : room.used;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static char *at(const backward *q, char *base, int64_t element) { return base + (size_t)element * q->size; }

static int64_t x_row(const backward *q, int64_t t, int64_t b) {
    return q->p->batch_first ? b * q->steps + t : t * q->batch + b;
}

static int64_t y_row(const backward *q, int64_t t, int64_t b) {
    return q->p->batch_first ? (b * q->steps + t) * q->p->directions + q->direction
                             : (t * q->p->directions + q->direction) * q->batch + b;
}

static int64_t state_row(const backward *q, int64_t b) {
    return q->p->batch_first ? b * q->p->directions + q->direction : q->direction * q->batch + b;
}

static int64_t length_of(const backward *q, int64_t b) { return q->lengths ? q->lengths[b] : q->steps; }

/* The position whose state comes in at position t; -1: the initial state. */
static int64_t before(const backward *q, int64_t t, int64_t b) {
    if (!q->reverse) return t - 1;
    return t + 1 < length_of(q, b) ? t + 1 : -1;
}

static void write_elements(const backward *q, const void *from, const sdx_tensor *to, int64_t element, int64_t n) {
    char *bytes = (char *)to->data + (size_t)element * sdx_dtype_size(to->dtype);
    sdx_convert(q->math.kernels, q->math.work, from, to->dtype, bytes, n);
}

static void read_state(const backward *q, const sdx_tensor *from, char *to) {
    for (int64_t b = 0; b < q->batch; b++)
        if (from)
            sdx_cell_read(&q->math, from, state_row(q, b) * q->hidden, at(q, to, b * q->hidden), q->hidden);
        else
            memset(at(q, to, b * q->hidden), 0, (size_t)q->hidden * q->size);
}

static void write_state(const backward *q, char *from, const sdx_tensor *to) {
    for (int64_t b = 0; to && b < q->batch; b++)
        write_elements(q, at(q, from, b * q->hidden), to, state_row(q, b) * q->hidden, q->hidden);
}

/* ---- the direction's inputs -------------------------------------------------------------------------------------- */

static void read_x(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const backward *q = argument;
    for (int64_t k = begin; k < end; k++)
        sdx_cell_read(&q->math, q->in[X], x_row(q, k / q->batch, k % q->batch) * q->input, at(q, q->x, k * q->input),
                      q->input);
}

static void read_h_before(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const backward *q = argument;
    for (int64_t k = begin; k < end; k++) {
        const int64_t t = k / q->batch, b = k % q->batch, from = before(q, t, b);
        char *to = at(q, q->h_before, k * q->hidden);
        if (t >= length_of(q, b))
            memset(to, 0, (size_t)q->hidden * q->size);
        else if (from < 0)
            memcpy(to, at(q, q->h0, b * q->hidden), (size_t)q->hidden * q->size);
        else
            sdx_cell_read(&q->math, q->in[Y], y_row(q, from, b) * q->hidden, to, q->hidden);
    }
}

/* Wb + Rb goes with X; of the last gate of a GRU whose reset comes after the product, Rb goes with the state. */
static void read_bias(const backward *q) {
    const int64_t from = q->direction * 2 * q->width;
    memset(q->bias, 0, (size_t)q->width * q->size);
    memset(q->r_bias, 0, (size_t)q->width * q->size);
    if (!q->in[B]) return;
    sdx_cell_read(&q->math, q->in[B], from, q->bias, q->width);
    sdx_cell_read(&q->math, q->in[B], from + q->width, q->r_bias, q->width);
    q->math.add(q->bias, 1, q->r_bias, 1, q->bias, q->joined);
    memset(q->r_bias, 0, (size_t)q->joined * q->size);
}

static sdx_status read_direction(sdx_compute *compute, backward *q) {
    const int64_t d = q->direction, in_w = q->width * q->input, in_r = q->width * q->hidden;
    const int64_t first = first_width(q);
    sdx_cell_read(&q->math, q->in[W], d * in_w, q->w, in_w);
    sdx_cell_read(&q->math, q->in[R], d * in_r, q->r, in_r);
    read_bias(q);
    if (q->in[P]) sdx_cell_read(&q->math, q->in[P], d * PEEPHOLES * q->hidden, q->peepholes, PEEPHOLES * q->hidden);
    read_state(q, q->in[H0], q->h0);
    read_state(q, q->in[C0], q->c0);
    read_state(q, q->in[DY_H], q->dh);
    read_state(q, q->in[DY_C], q->dc);
    sdx_product_pack(q->math.kernels, q->math.work, true, 1, q->hidden, first, q->r, 1, q->hidden, q->packed_r);
    if (q->apart)
        sdx_product_pack(q->math.kernels, q->math.work, true, 1, q->hidden, q->hidden, at(q, q->r, first * q->hidden),
                         1, q->hidden, q->packed_last);
    return sdx_for(compute, q->rows, sdx_grain(q->hidden), read_h_before, q);
}

/* ---- the cells --------------------------------------------------------------------------------------------------- */

static sdx_status multiply(sdx_compute *compute, const backward *q, sdx_product product) {
    product.dtype = q->math.work;
    product.alpha = product.beta = 1;
    return sdx_product_run(compute, &product, q->product_room);
}

static sdx_cell_back cell_at(const backward *q, int64_t t, int64_t b, int worker) {
    const int64_t row = t * q->batch + b, hidden = q->hidden, from = before(q, t, b);
    const size_t room = sdx_align((size_t)hidden * q->size);
    sdx_cell_back cell = {.n = hidden};
    for (int g = 0; g < q->p->cell->gates; g++) {
        cell.x[g] = at(q, q->gates, row * q->width + g * hidden);
        cell.a[g] = at(q, q->active, row * q->width + g * hidden);
    }
    cell.h = at(q, q->h_before, row * hidden);
    cell.dh = at(q, q->past, b * hidden);
    if (q->c_new) {
        cell.c = from < 0 ? at(q, q->c0, b * hidden) : at(q, q->c_new, (from * q->batch + b) * hidden);
        cell.c_new = at(q, q->c_new, row * hidden);
        cell.dc = at(q, q->dc, b * hidden);
    }
    if (q->apart) cell.extra = at(q, q->extra, row * hidden);
    cell.d_extra = at(q, q->d_extra, b * hidden);
    for (int k = 0; q->in[P] && k < PEEPHOLES; k++) cell.peephole[k] = at(q, q->peepholes, k * hidden);
    cell.f = q->p->activation + q->direction * q->p->cell->functions;
    cell.room = q->rooms + (size_t)(2 * worker) * room;
    cell.other_room = q->rooms + (size_t)(2 * worker + 1) * room;
    return cell;
}

/* Before phase 0 the gates are those of X, and `active` holds the products of the states; before phase 1 `second` holds
 * that of r h. */
static void cell_again(const backward *q, int64_t t, int64_t b, int worker) {
    const int64_t row = t * q->batch + b, last = q->width - q->hidden;
    const sdx_cell_back cell = cell_at(q, t, b, worker);
    char *x = at(q, q->gates, row * q->width), *from_h = at(q, q->active, row * q->width);
    if (q->phase == 0) {
        q->math.add(x, 1, from_h, 1, x, first_width(q));
        if (q->p->linear_before_reset) memcpy(cell.extra, at(q, from_h, last), (size_t)q->hidden * q->size);
    } else {
        void *gate = at(q, x, last);
        q->math.add(gate, 1, at(q, q->second, row * q->hidden), 1, gate, q->hidden);
    }
    q->p->cell->again(&q->math, &cell, q->phase);
}

static void clear_cell(const backward *q, int64_t row) {
    memset(at(q, q->gates, row * q->width), 0, (size_t)q->width * q->size);
    if (q->c_new) memset(at(q, q->c_new, row * q->hidden), 0, (size_t)q->hidden * q->size);
    if (q->apart) memset(at(q, q->extra, row * q->hidden), 0, (size_t)q->hidden * q->size);
}

static void sequences_again(void *argument, int64_t begin, int64_t end, int worker) {
    const backward *q = argument;
    for (int64_t b = begin; b < end; b++) {
        const int64_t length = length_of(q, b);
        for (int64_t s = 0; s < length; s++) cell_again(q, q->reverse ? length - 1 - s : s, b, worker);
        for (int64_t t = length; t < q->steps; t++) clear_cell(q, t * q->batch + b);
    }
}

/* Gates and states of all steps, as the forward operator had them. */
static sdx_status gates_again(sdx_compute *compute, backward *q) {
    const int64_t rows = q->rows, width = q->width, hidden = q->hidden, last = width - hidden;
    const int64_t grain = sdx_grain(16 * q->steps * width);
    const sdx_factor h = {.data = q->h_before, .line_step = hidden, .k_step = 1};
    SDX_TRY(multiply(compute, q,
                     (sdx_product){.m = rows,
                                   .n = width,
                                   .k = q->input,
                                   .column_bias = q->bias,
                                   .c = q->gates,
                                   .a = {.data = q->x, .line_step = q->input, .k_step = 1},
                                   .b = {.data = q->w, .line_step = q->input, .k_step = 1}}));
    SDX_TRY(multiply(compute, q,
                     (sdx_product){.m = rows,
                                   .n = width,
                                   .k = hidden,
                                   .column_bias = q->r_bias,
                                   .c = q->active,
                                   .a = h,
                                   .b = {.data = q->r, .line_step = hidden, .k_step = 1}}));
    q->phase = 0;
    SDX_TRY(sdx_for(compute, q->batch, grain, sequences_again, q));
    if (q->phases == 1) return SDX_OK;
    SDX_TRY(multiply(compute, q,
                     (sdx_product){.m = rows,
                                   .n = hidden,
                                   .k = hidden,
                                   .c = q->second,
                                   .a = {.data = q->extra, .line_step = hidden, .k_step = 1},
                                   .b = {.data = at(q, q->r, last * hidden), .line_step = hidden, .k_step = 1}}));
    q->phase = 1;
    return sdx_for(compute, q->batch, grain, sequences_again, q);
}

/* ---- back in time ------------------------------------------------------------------------------------------------ */

/* A sequence that is over at this position hands the gradient of its state on. */
static void step_back(void *argument, int64_t begin, int64_t end, int worker) {
    const backward *q = argument;
    const int64_t hidden = q->hidden;
    for (int64_t b = begin; b < end; b++) {
        const sdx_cell_back cell = cell_at(q, q->step, b, worker);
        if (q->phase == 0) {
            memcpy(cell.dh, at(q, q->dh, b * hidden), (size_t)hidden * q->size);
            if (q->apart) memset(cell.d_extra, 0, (size_t)hidden * q->size);
        }
        if (q->step >= length_of(q, b)) continue;
        if (q->phase == 0 && q->in[DY]) {
            sdx_cell_read(&q->math, q->in[DY], y_row(q, q->step, b) * hidden, cell.room, hidden);
            q->math.add(cell.dh, 1, cell.room, 1, cell.dh, hidden);
        }
        q->p->cell->back(&q->math, &cell, q->phase);
    }
}

/* c = a times R (rows of the gates a is about, packed) plus residual, for one step. */
static sdx_status through_r(sdx_compute *compute, const backward *q, const char *a, int64_t a_step, int64_t k,
                            const char *packed, const char *residual, char *c) {
    return multiply(compute, q,
                    (sdx_product){.m = q->batch,
                                  .n = q->hidden,
                                  .k = k,
                                  .c = c,
                                  .residual = residual,
                                  .a = {.data = a, .line_step = a_step, .k_step = 1},
                                  .b = {.packed = packed}});
}

static sdx_status one_step(sdx_compute *compute, backward *q) {
    const int64_t row = q->step * q->batch, first = first_width(q), grain = sdx_grain(8 * q->width);
    const char *gates = at(q, q->gates, row * q->width), *last = at(q, q->gates, row * q->width + first);
    q->phase = 0;
    SDX_TRY(sdx_for(compute, q->batch, grain, step_back, q));
    if (q->phases > 1) {
        SDX_TRY(through_r(compute, q, last, q->width, q->hidden, q->packed_last, NULL, q->d_extra));
        q->phase = 1;
        SDX_TRY(sdx_for(compute, q->batch, grain, step_back, q));
    }
    const bool linear = q->p->linear_before_reset;
    SDX_TRY(through_r(compute, q, gates, q->width, first, q->packed_r, q->past, linear ? q->half : q->dh));
    if (!linear) return SDX_OK;
    return through_r(compute, q, at(q, q->extra, row * q->hidden), q->hidden, q->hidden, q->packed_last, q->half,
                     q->dh);
}

/* ---- what the gradients of the gates give ------------------------------------------------------------------------ */

/* sums[j] = sum over rows of x[row][j] */
typedef struct column_sums {
    const backward *q;
    const char *x;
    int64_t pitch, n;
    char *sums;
} column_sums;

#define SUM_COLUMNS(T)                                                                                                 \
    do {                                                                                                               \
        const T *x = (const T *)(const void *)job->x + from;                                                           \
        for (int64_t row = 0; row < job->q->rows; row++, x += job->pitch)                                              \
            for (int64_t j = 0; j < n; j++) sum[j] += (double)x[j];                                                    \
        for (int64_t j = 0; j < n; j++) ((T *)(void *)job->sums)[from + j] = (T)sum[j];                                \
    } while (0)

static void sum_columns(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const column_sums *job = argument;
    for (int64_t k = begin; k < end; k++) {
        const int64_t from = k * COLUMNS, n = job->n - from < COLUMNS ? job->n - from : COLUMNS;
        double sum[COLUMNS] = {0};
        if (job->q->size == sizeof(double))
            SUM_COLUMNS(double);
        else
            SUM_COLUMNS(float);
    }
}

static sdx_status sum_into(sdx_compute *compute, const backward *q, const char *x, int64_t pitch, int64_t n,
                           char *sums) {
    column_sums job = {q, x, pitch, n, sums};
    return sdx_for(compute, (n + COLUMNS - 1) / COLUMNS, sdx_grain(q->rows * COLUMNS), sum_columns, &job);
}

static sdx_status give_bias(sdx_compute *compute, const backward *q, const sdx_tensor *out) {
    char *of_r = at(q, q->db, q->width);
    SDX_TRY(sum_into(compute, q, q->gates, q->width, q->width, q->db));
    memcpy(of_r, q->db, (size_t)q->width * q->size);
    if (q->joined < q->width) SDX_TRY(sum_into(compute, q, q->extra, q->hidden, q->hidden, at(q, of_r, q->joined)));
    write_elements(q, q->db, out, q->direction * 2 * q->width, 2 * q->width);
    return SDX_OK;
}

/* dP: of i and f with the cell state before, of o with the one after. */
#define PEEPHOLE_SUM(T)                                                                                                \
    do {                                                                                                               \
        for (int64_t t = 0; t < q->steps; t++)                                                                         \
            for (int64_t b = 0; b < q->batch; b++) {                                                                   \
                if (t >= length_of(q, b)) continue;                                                                    \
                const sdx_cell_back cell = cell_at(q, t, b, 0);                                                        \
                const T *state = (const T *)(gate == 1 ? cell.c_new : cell.c) + from, *x = (const T *)cell.x[gate];    \
                for (int64_t j = 0; j < n; j++) sum[j] += (double)state[j] * (double)x[from + j];                      \
            }                                                                                                          \
        for (int64_t j = 0; j < n; j++) ((T *)(void *)q->dp)[gate * q->hidden + from + j] = (T)sum[j];                 \
    } while (0)

static void sum_peepholes(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const backward *q = argument;
    const int64_t blocks = (q->hidden + COLUMNS - 1) / COLUMNS;
    for (int64_t k = begin; k < end; k++) {
        const int64_t gate = k / blocks, from = k % blocks * COLUMNS;
        const int64_t n = q->hidden - from < COLUMNS ? q->hidden - from : COLUMNS;
        double sum[COLUMNS] = {0};
        if (q->size == sizeof(double))
            PEEPHOLE_SUM(double);
        else
            PEEPHOLE_SUM(float);
    }
}

static sdx_status give_peepholes(sdx_compute *compute, const backward *q, const sdx_tensor *out) {
    const int64_t blocks = (q->hidden + COLUMNS - 1) / COLUMNS, n = PEEPHOLES * q->hidden;
    SDX_TRY(sdx_for(compute, PEEPHOLES * blocks, sdx_grain(q->rows * COLUMNS), sum_peepholes, (void *)(uintptr_t)q));
    write_elements(q, q->dp, out, q->direction * n, n);
    return SDX_OK;
}

/* to[lines of gates, n] = gates^T with; the gates' rows lie `pitch` apart. */
static sdx_status weights(sdx_compute *compute, const backward *q, const char *gates, int64_t pitch, int64_t lines,
                          const char *with, int64_t n, char *to) {
    return multiply(compute, q,
                    (sdx_product){.m = lines,
                                  .n = n,
                                  .k = q->rows,
                                  .c = to,
                                  .a = {.data = gates, .line_step = 1, .k_step = pitch},
                                  .b = {.data = with, .line_step = 1, .k_step = n}});
}

static sdx_status give_r(sdx_compute *compute, const backward *q, const sdx_tensor *out) {
    const int64_t first = first_width(q), hidden = q->hidden;
    const bool linear = q->p->linear_before_reset;
    SDX_TRY(weights(compute, q, q->gates, q->width, first, q->h_before, hidden, q->dr));
    if (q->apart) {
        const char *gate = linear ? q->extra : at(q, q->gates, first), *state = linear ? q->h_before : q->extra;
        SDX_TRY(
            weights(compute, q, gate, linear ? hidden : q->width, hidden, state, hidden, at(q, q->dr, first * hidden)));
    }
    write_elements(q, q->dr, out, q->direction * q->width * hidden, q->width * hidden);
    return SDX_OK;
}

static void write_dx(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const backward *q = argument;
    for (int64_t k = begin; k < end; k++)
        write_elements(q, at(q, q->dx[q->p->directions - 1], k * q->input), q->dx_out,
                       x_row(q, k / q->batch, k % q->batch) * q->input, q->input);
}

static sdx_status give(sdx_compute *compute, const backward *q, const sdx_tensor *const *out) {
    const int64_t in_w = q->width * q->input;
    if (out[DX])
        SDX_TRY(multiply(compute, q,
                         (sdx_product){.m = q->rows,
                                       .n = q->input,
                                       .k = q->width,
                                       .c = q->dx[q->direction],
                                       .residual = q->direction ? q->dx[0] : NULL,
                                       .a = {.data = q->gates, .line_step = q->width, .k_step = 1},
                                       .b = {.data = q->w, .line_step = 1, .k_step = q->input}}));
    if (out[DW]) {
        SDX_TRY(weights(compute, q, q->gates, q->width, q->width, q->x, q->input, q->dw));
        write_elements(q, q->dw, out[DW], q->direction * in_w, in_w);
    }
    if (out[DR]) SDX_TRY(give_r(compute, q, out[DR]));
    if (out[DB]) SDX_TRY(give_bias(compute, q, out[DB]));
    if (out[DP]) SDX_TRY(give_peepholes(compute, q, out[DP]));
    write_state(q, q->dh, out[DH0]);
    write_state(q, q->dc, out[DC0]);
    return SDX_OK;
}

sdx_status sdx_recurrent_grad_compute(sdx_compute *compute, const void *params) {
    const sdx_recurrent_params *p = params;
    const sdx_tensor *x = compute->in[X], *out[OUTPUTS] = {NULL};
    backward q;
    sdx_pieces room = {.base = compute->scratch};
    describe(&q, p, compute->kernels, x->dtype, x->dim, compute->in[R]->dim[2]);
    place(&q, &room, sdx_pool_threads(compute->pool));
    for (int k = 0; k < compute->n_in && k < INPUTS; k++) q.in[k] = compute->in[k];
    for (int k = 0; k < compute->n_out && k < OUTPUTS; k++)
        if (sdx_recurrent_gradient_of[k] < compute->n_in && compute->in[sdx_recurrent_gradient_of[k]])
            out[k] = compute->out[k];
    SDX_TRY(sdx_recurrent_check_lengths(compute->error, q.in[LENS], q.steps));
    q.lengths = q.in[LENS] ? q.in[LENS]->data : NULL;
    SDX_TRY(sdx_for(compute, q.rows, sdx_grain(q.input), read_x, &q));
    for (q.direction = 0; q.direction < p->directions; q.direction++) {
        q.reverse = q.direction == 1 || p->reverse;
        SDX_TRY(read_direction(compute, &q));
        SDX_TRY(gates_again(compute, &q));
        for (int64_t s = q.steps - 1; s >= 0; s--) {
            q.step = q.reverse ? q.steps - 1 - s : s;
            SDX_TRY(one_step(compute, &q));
        }
        SDX_TRY(give(compute, &q, out));
    }
    q.dx_out = out[DX];
    return out[DX] ? sdx_for(compute, q.rows, sdx_grain(q.input), write_dx, &q) : SDX_OK;
}
