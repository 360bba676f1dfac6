/* SPDX-License-Identifier: Apache-2.0
 * Small steps: rows of the batch are independent, so a task takes some of them through all steps (apart). Large steps:
 * a task takes a block of rows and units through one step, and R stays spread over the caches of all cores. Few rows:
 * dot products with the lines of R as they lie; else register tiles from panels. All cuts follow from the shape. */
#include "ops/rnn/steps.h"
#include "ops/lines.h"
#include <math.h>
#include <string.h>

enum {
    MOST_ROWS = 84,       /* of a block: whole panels of 4, 6 and 14 rows */
    NEAR_BYTES = 1 << 20, /* of R that stays in the second-level cache of every core */
    LINES_BYTES = 16384,  /* of R that all rows use before the next */
    FEW_STEPS = 4,        /* too few to pay for the panels of R */
    DEPTH = 512,          /* steps of a product per pass over the panels */
    TOGETHER = 1 << 18,   /* multiply-adds of a step from which its tasks meet after each */
    LEAST_TASK = 1 << 17,
    MOST_TASKS = 16,
    GATES = 1 << 20, /* elements of the gates made at once */
    LEAST_GATE_ROWS = 128
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/* a b, or something very large. */
static int64_t times(int64_t a, int64_t b) {
    int64_t product;
    return sdx_dim_mul(a, b, &product) ? product : INT64_MAX / 4;
}

static void cut_units(sdx_recurrence *q, int64_t unit_cost) {
    const int64_t blocks = q->p->directions * ceil_div(q->batch, q->row_block);
    int64_t units = ceil_div(q->hidden, most(1, MOST_TASKS / blocks));
    units = most(units, ceil_div(LEAST_TASK, most(1, times(unit_cost, q->row_block))));
    q->unit_block = least(round_up(units, q->nr), round_up(q->hidden, q->nr));
    if (blocks * ceil_div(q->hidden, q->unit_block) == 1) q->apart = true;
}

void sdx_steps_cut(sdx_recurrence *q) {
    const int64_t unit_cost = times(q->p->cell->gates, q->hidden), row_cost = times(unit_cost, q->hidden);
    q->math.kernels->gemm_shape(q->size, &q->mr, &q->nr);
    q->chunk = most(GATES / most(1, times(q->batch, q->width)), ceil_div(LEAST_GATE_ROWS, most(1, q->batch)));
    q->chunk = most(1, least(q->chunk, q->steps));
    q->vectors = q->math.work == SDX_F32 && (q->batch == 1 || (q->batch <= q->mr / 2 && q->steps <= FEW_STEPS));
    const int64_t panels = ceil_div(LEAST_TASK / 4, most(1, times(row_cost, q->mr)));
    q->unit_block = q->hidden;
    q->row_block = q->vectors ? 1 : least(MOST_ROWS, panels * q->mr);
    const int64_t tasks = q->p->directions * ceil_div(q->batch, q->row_block);
    q->apart = times(times(row_cost, q->batch), q->p->directions) < TOGETHER ||
               (tasks > 1 && times(row_cost, (int64_t)q->size) <= NEAR_BYTES);
    if (!q->apart) {
        q->row_block = least(MOST_ROWS, most(1, q->batch));
        cut_units(q, unit_cost);
    }
    q->row_block = most(1, ceil_div(q->batch, most(1, ceil_div(q->batch, q->row_block))));
}

static int64_t row_blocks(const sdx_recurrence *q) { return ceil_div(q->batch, q->row_block); }
static int64_t unit_blocks(const sdx_recurrence *q) { return ceil_div(q->hidden, q->unit_block); }

int64_t sdx_steps_lines(const sdx_recurrence *q) { return round_up(q->hidden, q->nr); }
int64_t sdx_steps_rows(const sdx_recurrence *q) { return row_blocks(q) * round_up(q->row_block, q->mr); }

/* ---- products with R -------------------------------------------------------------------------------------------- */

static void pack_gates(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const sdx_recurrence *q = argument;
    const int64_t lines = sdx_steps_lines(q), blocks = lines / q->nr;
    for (int64_t k = begin; k < end; k++) { /* one panel */
        const int64_t gate = k / blocks, line = k % blocks * q->nr, panel = q->nr * q->hidden;
        const char *from = q->r + (size_t)((gate * q->hidden + line) * q->hidden) * q->size;
        char *to = q->panels + (size_t)(gate * lines * q->hidden + line * q->hidden) * q->size;
        (q->size == 8 ? q->math.kernels->pack_64 : q->math.kernels->pack_32)(
            from, q->hidden, 1, least(q->nr, q->hidden - line), q->hidden, q->nr, panel, to);
    }
}

/* Where the panels hold unit 0 of a row of the batch; its units lie mr elements apart. */
static char *row_in_panels(const sdx_recurrence *q, char *panels, int64_t direction, int64_t row) {
    const int64_t block = row / q->row_block, r = row % q->row_block;
    const int64_t rows = (direction * row_blocks(q) + block) * round_up(q->row_block, q->mr) + r / q->mr * q->mr;
    return panels + (size_t)(rows * q->hidden + r % q->mr) * q->size;
}

/* n units of a row, from `unit` on, go into the panels too. */
static void put_in_panels(const sdx_recurrence *q, char *panels, int64_t direction, int64_t row, int64_t unit,
                          const void *h, int64_t n) {
    char *to = row_in_panels(q, panels, direction, row) + (size_t)(unit * q->mr) * q->size;
    const int64_t step = q->mr;
    if (q->size == 8)
        for (int64_t j = 0; j < n; j++) ((double *)(void *)to)[j * step] = ((const double *)h)[j];
    else
        for (int64_t j = 0; j < n; j++) ((float *)(void *)to)[j * step] = ((const float *)h)[j];
}

sdx_status sdx_steps_pack(sdx_compute *compute, sdx_recurrence *q) {
    if (q->vectors) return SDX_OK;
    const size_t bytes = (size_t)(q->p->directions * sdx_steps_rows(q) * q->hidden) * q->size;
    for (int k = 0; k < 2; k++) memset(q->h_panels[k], 0, bytes);
    if (q->extra_panels) memset(q->extra_panels, 0, bytes);
    for (int64_t k = 0; k < q->p->directions * q->batch; k++)
        put_in_panels(q, q->h_panels[0], k / q->batch, k % q->batch, 0, q->h[0] + (size_t)(k * q->hidden) * q->size,
                      q->hidden);
    const int64_t panels = q->p->directions * q->p->cell->gates * ceil_div(q->hidden, q->nr);
    return sdx_for(compute, panels, sdx_grain(q->nr * q->hidden), pack_gates, q);
}

/* What one task of one step is about. */
typedef struct part {
    int direction;
    int64_t step, row, rows, unit, units;
    char *room;
} part;

static char *state(const sdx_recurrence *q, char *base, const part *t, int64_t row) {
    return base + (size_t)((t->direction * q->batch + row) * q->hidden) * q->size;
}

/* Position of X and Y at this step. */
static int64_t time_of(const sdx_recurrence *q, const part *t) {
    return sdx_steps_backward(q, t->direction) ? q->steps - 1 - t->step : t->step;
}

static char *gates(const sdx_recurrence *q, const part *t, int64_t row) {
    int64_t line = (time_of(q, t) - q->time[t->direction]) * q->batch + row;
    return q->gate[t->direction] + (size_t)(line * q->width) * q->size;
}

/* c, rows ldc elements apart, gets (or takes in) the product of the state `h` with the lines of R of this gate. h: rows
 * for dot products, else panels. */
typedef struct target {
    int gate;
    const char *h;
    char *c;
    int64_t ldc;
    bool accumulate;
    const char *bias;
} target;

static void multiply_vectors(const sdx_recurrence *q, const part *t, const target *to) {
    const int64_t line = (t->direction * q->p->cell->gates + to->gate) * q->hidden + t->unit;
    const float *lines = (const float *)(const void *)q->r + line * q->hidden;
    float *sum = (float *)(void *)t->room;
    const int64_t reused = most(8, LINES_BYTES / (4 * q->hidden));
    for (int64_t j = 0; j < t->units; j += reused)
        for (int64_t row = 0; row < t->rows; row++) {
            const float *h = (const float *)(const void *)to->h + row * q->hidden;
            float *c = (float *)(void *)to->c + row * to->ldc + j;
            const void *onto = to->accumulate ? (const void *)c : to->bias + (size_t)j * q->size;
            const int64_t n = least(reused, t->units - j);
            q->math.kernels->gemv_columns_f32(h, lines + j * q->hidden, q->hidden, q->hidden, n, sum);
            q->math.add(sum, 1, onto, 1, c, n);
        }
}

static void multiply_tiles(const sdx_recurrence *q, const part *t, const target *to) {
    const int64_t gate = t->direction * q->p->cell->gates + to->gate, hidden = q->hidden;
    const int64_t size = (int64_t)q->size, lines = sdx_steps_lines(q);
    const char *b = q->panels + (gate * lines + t->unit) * hidden * size;
    for (int64_t k = 0; k < hidden; k += DEPTH)
        for (int64_t j = 0; j < t->units; j += q->nr)
            for (int64_t i = 0; i < t->rows; i += q->mr) {
                sdx_gemm_tile tile = {.k = least(DEPTH, hidden - k),
                                      .a = to->h + (i * hidden + k * q->mr) * size,
                                      .b = b + (j * hidden + k * q->nr) * size,
                                      .c = to->c + (i * to->ldc + j) * size,
                                      .ldc = to->ldc,
                                      .m = (int)least(q->mr, t->rows - i),
                                      .n = (int)least(q->nr, t->units - j),
                                      .accumulate = to->accumulate || k > 0};
                if (!tile.accumulate) tile.column_bias = to->bias + j * size;
                (size == 8 ? q->math.kernels->gemm_tile_f64 : q->math.kernels->gemm_tile_f32)(&tile);
            }
}

static void multiply(const sdx_recurrence *q, const part *t, const target *to) {
    if (q->vectors)
        multiply_vectors(q, t, to);
    else
        multiply_tiles(q, t, to);
}

/* The products that come before update `phase`. A second one is that of the last gate with `extra`. */
static void products(const sdx_recurrence *q, const part *t, int phase) {
    const int last = q->p->cell->gates - 1, before = q->phases > 1 || q->p->linear_before_reset ? last : last + 1;
    const char *h =
        q->vectors ? state(q, phase == 0 ? q->h[t->step % 2] : q->extra, t, t->row)
                   : row_in_panels(q, phase == 0 ? q->h_panels[t->step % 2] : q->extra_panels, t->direction, t->row);
    char *line = gates(q, t, t->row);
    for (int g = phase == 0 ? 0 : last; g < (phase == 0 ? before : last + 1); g++) {
        char *c = line + (size_t)(g * q->hidden + t->unit) * q->size;
        multiply(q, t, &(target){.gate = g, .h = h, .c = c, .ldc = q->width, .accumulate = true});
    }
    if (!q->p->linear_before_reset) return;
    const int64_t bias = t->direction * q->hidden + t->unit;
    multiply(q, t,
             &(target){.gate = last,
                       .h = h,
                       .c = state(q, q->extra, t, t->row) + (size_t)t->unit * q->size,
                       .ldc = q->hidden,
                       .bias = q->r_bias + (size_t)bias * q->size});
}

/* ---- updates ---------------------------------------------------------------------------------------------------- */

void sdx_cell_activate(const sdx_cell_math *math, const sdx_activation *f, void *x, int64_t n) {
    if (math->params->clips) {
        const float most_f32 = math->params->clip, least_f32 = -most_f32;
        const double most_f64 = (double)most_f32, least_f64 = -most_f64;
        const bool wide = math->work == SDX_F64;
        math->min(x, 1, wide ? (const void *)&most_f64 : &most_f32, 0, x, n);
        math->max(x, 1, wide ? (const void *)&least_f64 : &least_f32, 0, x, n);
    }
    sdx_activate(math->kernels, f, math->work, x, n);
}

void sdx_cell_activate_back(const sdx_cell_math *math, const sdx_activation *f, const void *y, void *d, void *x,
                            int64_t n) {
    const float clip = math->params->clip;
    if (math->params->clips && math->work == SDX_F64) {
        for (int64_t k = 0; k < n; k++)
            if (fabs(((const double *)x)[k]) > (double)clip) ((double *)d)[k] = 0;
    } else if (math->params->clips) {
        for (int64_t k = 0; k < n; k++)
            if (fabsf(((const float *)x)[k]) > clip) ((float *)d)[k] = 0;
    }
    sdx_activate_back(math->kernels, f, math->work, y, d, x, n);
}

/* Y at this step gets the units of h; zeros where the sequence is over (h NULL). */
static void give(const sdx_recurrence *q, const part *t, int64_t row, const char *h) {
    if (!q->y) return;
    const int64_t time = time_of(q, t), directions = q->p->directions;
    int64_t line = q->p->batch_first ? (row * q->steps + time) * directions + t->direction
                                     : (time * directions + t->direction) * q->batch + row;
    size_t size = sdx_dtype_size(q->y->dtype);
    char *y = (char *)q->y->data + (size_t)(line * q->hidden + t->unit) * size;
    if (h)
        sdx_convert(q->math.kernels, q->math.work, h, q->y->dtype, y, t->units);
    else
        memset(y, 0, (size_t)t->units * size);
}

/* The part's units of a row are in `base`; the panels beside it get them too. */
static void share(const sdx_recurrence *q, const part *t, int64_t row, char *base, char *panels) {
    if (q->vectors) return;
    const char *h = state(q, base, t, row) + (size_t)t->unit * q->size;
    put_in_panels(q, panels, t->direction, row, t->unit, h, t->units);
}

static void update_row(const sdx_recurrence *q, const part *t, int64_t row, int phase) {
    const sdx_recurrent_params *p = q->p;
    const size_t at = (size_t)t->unit * q->size, line = (size_t)q->hidden * q->size;
    const bool final = phase == q->phases - 1;
    const int64_t next = (t->step + 1) % 2;
    const char *h = state(q, q->h[t->step % 2], t, row) + at;
    char *h_new = state(q, q->h[next], t, row) + at;
    const bool over = q->lengths && time_of(q, t) >= q->lengths[row];
    if (over && final) {
        memcpy(h_new, h, (size_t)t->units * q->size);
    } else if (!over) {
        sdx_cell_row cell = {.h = h, .h_new = h_new, .n = t->units};
        for (int g = 0; g < p->cell->gates; g++) cell.gate[g] = gates(q, t, row) + (size_t)g * line + at;
        if (q->c) cell.c = state(q, q->c, t, row) + at;
        if (q->extra) cell.extra = state(q, q->extra, t, row) + at;
        for (int k = 0; q->peepholes && k < 3; k++)
            cell.peephole[k] = q->peepholes + (size_t)(t->direction * 3 + k) * line + at;
        cell.f = p->activation + t->direction * p->cell->functions;
        cell.room = t->room;
        p->cell->update(&q->math, &cell, phase);
        if (!final) share(q, t, row, q->extra, q->extra_panels);
    }
    if (!final) return;
    share(q, t, row, q->h[next], q->h_panels[next]);
    give(q, t, row, over ? NULL : h_new);
}

static void run_part(const sdx_recurrence *q, const part *t, int phase) {
    products(q, t, phase);
    for (int64_t row = t->row; row < t->row + t->rows; row++) update_row(q, t, row, phase);
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

typedef struct step_job {
    const sdx_recurrence *q;
    int64_t step;
    int phase;
} step_job;

static part part_of(const sdx_recurrence *q, int64_t task, int worker) {
    const int64_t rows = row_blocks(q), units = unit_blocks(q);
    part t = {.direction = (int)(task / (rows * units)),
              .room = q->rooms + (size_t)worker * sdx_align((size_t)q->hidden * q->size)};
    t.row = task / units % rows * q->row_block;
    t.rows = least(q->row_block, q->batch - t.row);
    t.unit = task % units * q->unit_block;
    t.units = least(q->unit_block, q->hidden - t.unit);
    return t;
}

static void whole_sequences(void *argument, int64_t begin, int64_t end, int worker) {
    const sdx_recurrence *q = argument;
    for (int64_t k = begin; k < end; k++) {
        part t = part_of(q, k, worker);
        for (t.step = q->first; t.step < q->last; t.step++)
            for (int phase = 0; phase < q->phases; phase++) run_part(q, &t, phase);
    }
}

static void one_step(void *argument, int64_t begin, int64_t end, int worker) {
    const step_job *job = argument;
    for (int64_t k = begin; k < end; k++) {
        part t = part_of(job->q, k, worker);
        t.step = job->step;
        run_part(job->q, &t, job->phase);
    }
}

sdx_status sdx_steps_run(sdx_compute *compute, sdx_recurrence *q) {
    const int64_t tasks = q->p->directions * row_blocks(q) * unit_blocks(q);
    if (q->apart) return sdx_for(compute, tasks, 1, whole_sequences, q);
    step_job job = {.q = q};
    for (job.step = q->first; job.step < q->last; job.step++)
        for (job.phase = 0; job.phase < q->phases; job.phase++) SDX_TRY(sdx_for(compute, tasks, 1, one_step, &job));
    return SDX_OK;
}
