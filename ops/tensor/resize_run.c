/* SPDX-License-Identifier: Apache-2.0
 * Resize at work. Nearest moves elements of any type row by row: a row that repeats is copied from the one before it.
 * Linear and cubic run along two axes at a time (ops/resample.h), with what lies between two steps in f32 or f64. */
#include "ops/lines.h"
#include "ops/move.h"
#include "ops/resample.h"
#include "ops/tensor/resize_shape.h"
#include <inttypes.h>

/* ---- nearest ------------------------------------------------------------------------------------------------------
 */

typedef struct nearest_job {
    const sdx_resize_axis *axis;
    int last;    /* the last dimension that changes: rows lie along it, in runs of what follows */
    size_t size; /* bytes of such a run */
    size_t element;
    const int64_t *table[SDX_MAX_RANK]; /* by place of the result; NULL: the same place */
    char fill[16];
    const char *x;
    char *y;
} nearest_job;

#define PICK(T)                                                                                                        \
    do {                                                                                                               \
        const T *from = (const void *)x;                                                                               \
        T *to = (void *)y, fill;                                                                                       \
        memcpy(&fill, job->fill, sizeof fill);                                                                         \
        for (int64_t i = 0; i < n; i++) to[i] = table[i] < 0 ? fill : from[table[i]];                                  \
        return;                                                                                                        \
    } while (0)

static void fill_run(const nearest_job *job, char *to, size_t size) {
    for (size_t at = 0; at < size; at += job->element) sdx_copy_run(to + at, job->fill, job->element);
}

static void pick_row(const nearest_job *job, const char *x, char *y, int64_t n) {
    const int64_t *table = job->table[job->last];
    if (job->size == job->element) {
        switch (job->size) {
        case 1: PICK(uint8_t);
        case 2: PICK(uint16_t);
        case 4: PICK(uint32_t);
        case 8: PICK(uint64_t);
        default: break;
        }
    }
    for (int64_t i = 0; i < n; i++, y += job->size) {
        if (table[i] < 0)
            fill_run(job, y, job->size);
        else
            sdx_copy_run(y, x + (size_t)table[i] * job->size, job->size);
    }
}

/* Where row `row` of the result comes from: a row of the input; -1: the fill value. */
static int64_t row_source(const nearest_job *job, int64_t row) {
    int64_t source = 0, step = 1;
    for (int d = job->last - 1; d >= 0; d--) {
        int64_t at = row % job->axis[d].out;
        row /= job->axis[d].out;
        if (job->table[d]) at = job->table[d][at];
        if (at < 0) return -1;
        source += at * step;
        step *= job->axis[d].in;
    }
    return source;
}

static void nearest_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const nearest_job *job = argument;
    const sdx_resize_axis *last = &job->axis[job->last];
    const size_t bytes = (size_t)last->out * job->size;
    int64_t before = -2;
    for (int64_t row = begin; row < end; row++) {
        const int64_t source = row_source(job, row);
        char *y = job->y + (size_t)row * bytes;
        if (source == before)
            memcpy(y, y - bytes, bytes);
        else if (source < 0)
            fill_run(job, y, bytes);
        else
            pick_row(job, job->x + (size_t)(source * last->in) * job->size, y, last->out);
        before = source;
    }
}

static void set_fill(float value, sdx_dtype dtype, char *fill) {
    const bool pair = sdx_dtype_class(dtype) == SDX_CLASS_COMPLEX;
    if (dtype == SDX_STRING) return;
    sdx_convert(NULL, SDX_F32, &value, dtype == SDX_C64 ? SDX_F32 : pair ? SDX_F64 : dtype, fill, 1);
}

static sdx_status run_nearest(sdx_compute *compute, const sdx_resize_params *p, const sdx_resize_axis *axis, int last,
                              sdx_tensor *y) {
    const sdx_tensor *x = compute->in[0];
    nearest_job job = {.axis = axis, .last = last, .element = sdx_dtype_size(x->dtype), .x = x->data, .y = y->data};
    int64_t entries = 0;
    for (int d = 0; d <= last; d++) entries += axis[d].same ? 0 : axis[d].out;
    int64_t *room = compute->services->alloc(compute, (size_t)entries * sizeof *room);
    if (!room) return SDX_OUT_OF_MEMORY;
    for (int d = 0; d <= last; d++) {
        if (axis[d].same) continue;
        job.table[d] = room;
        for (int64_t k = 0; k < axis[d].out; k++) *room++ = sdx_resize_nearest_place(p, &axis[d], k);
    }
    set_fill(p->fill, x->dtype, job.fill);
    job.size = (size_t)sdx_dims_product(x->dim, last + 1, x->rank) * job.element;
    const int64_t bytes = axis[last].out * (int64_t)job.size;
    return sdx_for(compute, sdx_dims_product(y->dim, 0, last), sdx_grain(bytes / 2 + 8), nearest_rows, &job);
}

/* ---- linear, cubic ------------------------------------------------------------------------------------------------
 */

enum { MOST_STEPS = (SDX_MAX_RANK + 1) / 2 };

typedef struct blend_plan {
    const sdx_resize_axis *axis;
    const sdx_resize_spans *turned;
    int64_t length[SDX_MAX_RANK], most[SDX_MAX_RANK]; /* of the result; weights of one place */
    int rank, n_steps;
    int64_t dim[SDX_MAX_RANK]; /* as far as the steps have come */
    sdx_resample step[MOST_STEPS];
    sdx_bands bands[2 * MOST_STEPS];
    size_t table_bytes, room_bytes, between; /* between: of the larger of what lies between two steps */
    int v[MOST_STEPS], h[MOST_STEPS];        /* axes; -1: none */
} blend_plan;

/* Pairs of axes that change, the odd one first. */
static void pair_axes(blend_plan *plan) {
    int changed[SDX_MAX_RANK], n = 0;
    for (int d = 0; d < plan->rank; d++)
        if (!plan->axis[d].same) changed[n++] = d;
    for (int k = 0; k < n; plan->n_steps++) {
        const bool alone = (n - k) % 2 == 1, along = alone && changed[k] == plan->rank - 1;
        plan->v[plan->n_steps] = along ? -1 : changed[k];
        plan->h[plan->n_steps] = along ? changed[k] : alone ? -1 : changed[k + 1];
        k += alone ? 1 : 2;
    }
}

/* The shape of one step; its bands come later. */
static void shape_step(blend_plan *plan, int s, const sdx_tensor *x, int64_t parts) {
    sdx_resample *r = &plan->step[s];
    const int v = plan->v[s], h = plan->h[s], rank = plan->rank;
    const sdx_dtype work = sdx_resample_work(x->dtype), part = parts == 2 ? work : x->dtype;
    const int class = sdx_dtype_class(x->dtype);
    *r = (sdx_resample){.from = s ? work : part, .to = s + 1 < plan->n_steps ? work : part, .work = work};
    r->pairs = parts == 2;
    r->rounds = r->to != work && (class == SDX_CLASS_SIGNED || class == SDX_CLASS_UNSIGNED);
    r->outer = v < 0 ? 1 : sdx_dims_product(plan->dim, 0, v);
    r->v_in = v < 0 ? sdx_dims_product(plan->dim, 0, h) : plan->dim[v];
    r->mid = v < 0 || h < 0 ? 1 : sdx_dims_product(plan->dim, v + 1, h);
    r->columns = h < 0 ? sdx_dims_product(plan->dim, v + 1, rank) : plan->dim[h];
    r->inner = (h < 0 ? 1 : sdx_dims_product(plan->dim, h + 1, rank)) * parts;
    r->pitch = r->columns * r->inner;
    if (v >= 0) plan->dim[v] = plan->length[v];
    if (h >= 0) plan->dim[h] = plan->length[h];
    if (s + 1 == plan->n_steps) return;
    const size_t bytes = (size_t)(sdx_dims_product(plan->dim, 0, rank) * parts) * sdx_dtype_size(work);
    if (bytes > plan->between) plan->between = sdx_align(bytes);
}

static bool add_size(size_t *total, size_t size) { return size < SIZE_MAX / 4 && sdx_size_add(*total, size, total); }

static void make_bands(const sdx_resize_params *p, const blend_plan *plan, int d, bool lanes, double *weight,
                       char **room, sdx_bands *bands) {
    sdx_bands_init(bands, plan->length[d], plan->most[d], bands->work, lanes, room);
    for (int64_t k = 0; k < plan->length[d]; k++) {
        int64_t first = 0, count = 0;
        if (plan->turned)
            sdx_resize_readers(p, &plan->axis[d], &plan->turned[d], k, &first, &count, weight);
        else
            sdx_resize_neighbours(p, &plan->axis[d], k, &first, &count, weight);
        if (first < 0)
            sdx_bands_fill(bands, k);
        else
            sdx_bands_set(bands, k, first, count, weight);
    }
    sdx_bands_finish(bands);
}

/* Bands of all steps in `room`, behind `weight` which has space for the most neighbours of any. */
static void fill_tables(const sdx_resize_params *p, blend_plan *plan, double *weight, char *room) {
    for (int s = 0; s < plan->n_steps; s++) {
        sdx_resample *r = &plan->step[s];
        const int axes[] = {plan->v[s], plan->h[s]};
        const sdx_bands **to[] = {&r->v, &r->h};
        for (int k = 0; k < 2; k++) {
            if (axes[k] < 0) continue;
            sdx_bands *bands = &plan->bands[2 * s + k];
            bands->work = r->work;
            make_bands(p, plan, axes[k], k == 1 && r->inner == 1, weight, &room, bands);
            *to[k] = bands;
        }
        r->fill = (double)p->fill;
    }
}

/* Bytes of the tables, and the weights of the place with the most neighbours. */
static sdx_status measure(sdx_compute *compute, blend_plan *plan, size_t *weights) {
    for (int s = 0; s < plan->n_steps; s++) {
        const sdx_resample *r = &plan->step[s];
        const int axes[] = {plan->v[s], plan->h[s]};
        for (int k = 0; k < 2; k++) {
            if (axes[k] < 0) continue;
            const sdx_resize_axis *axis = &plan->axis[axes[k]];
            const int64_t most = plan->most[axes[k]], from = plan->turned ? axis->out : axis->in;
            const size_t own = (size_t)(most + (plan->turned ? plan->turned[axes[k]].taps : 0));
            if (own * sizeof(double) > *weights) *weights = own * sizeof(double);
            if (from > INT32_MAX)
                return sdx_fail(compute->error, SDX_UNSUPPORTED,
                                "dimension %d of the input is %" PRId64 "; at most %d is supported", axes[k], from,
                                (int)INT32_MAX);
            if (!add_size(&plan->table_bytes,
                          sdx_bands_size(plan->length[axes[k]], most, r->work, k == 1 && r->inner == 1)))
                return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the tables of dimension %d", axes[k]);
        }
    }
    *weights = sdx_align(*weights);
    return SDX_OK;
}

sdx_status sdx_resize_blend(sdx_compute *compute, const sdx_resize_params *p, const sdx_resize_axis *axis,
                            const sdx_resize_spans *turned, const sdx_tensor *x, sdx_tensor *y) {
    const int64_t parts = sdx_dtype_class(x->dtype) == SDX_CLASS_COMPLEX ? 2 : 1;
    blend_plan plan = {.axis = axis, .turned = turned, .rank = x->rank};
    size_t weights = 0, total = 0, rooms = 0;
    memcpy(plan.dim, x->dim, sizeof plan.dim);
    for (int d = 0; d < x->rank; d++) {
        plan.length[d] = turned ? axis[d].in : axis[d].out;
        plan.most[d] = axis[d].same ? 0 : turned ? turned[d].most : sdx_resize_most(p, &axis[d]);
    }
    pair_axes(&plan);
    for (int s = 0; s < plan.n_steps; s++) shape_step(&plan, s, x, parts);
    SDX_TRY(measure(compute, &plan, &weights));
    for (int s = 0; s < plan.n_steps; s++) {
        sdx_resample r = plan.step[s];
        sdx_bands h = {.out = plan.h[s] < 0 ? 0 : plan.length[plan.h[s]]};
        r.h = plan.h[s] < 0 ? NULL : &h;
        const size_t room = sdx_resample_room(&r);
        if (room > plan.room_bytes) plan.room_bytes = room;
    }
    const size_t threads = (size_t)sdx_pool_threads(compute->pool);
    const size_t between = plan.n_steps > 1 ? plan.between : 0;
    if (!add_size(&total, weights) || !add_size(&total, plan.table_bytes) || !add_size(&total, between) ||
        !add_size(&total, plan.n_steps > 2 ? between : 0) || !sdx_size_mul(plan.room_bytes, threads, &rooms) ||
        !add_size(&total, rooms))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the workspace of a resize");
    char *block = compute->services->alloc(compute, total + SDX_ALIGNMENT);
    if (!block) return SDX_OUT_OF_MEMORY;
    char *tables = block + weights, *room = tables + plan.table_bytes, *halves = room + rooms;
    fill_tables(p, &plan, (double *)(void *)block, tables);
    const void *from = x->data;
    for (int s = 0; s < plan.n_steps; s++) {
        sdx_resample *r = &plan.step[s];
        r->x = from;
        r->y = s + 1 == plan.n_steps ? y->data : (void *)(halves + (s % 2 ? between : 0));
        SDX_TRY(sdx_resample_run(compute, r, room));
        from = r->y;
    }
    return SDX_OK;
}

sdx_status sdx_resize_compute(sdx_compute *compute, const void *params) {
    const sdx_resize_params *p = params;
    const sdx_tensor *x = compute->in[0];
    sdx_resize_inputs in;
    sdx_resize_axis axis[SDX_MAX_RANK];
    int64_t dims[SDX_MAX_RANK];
    int last = -1;
    SDX_TRY(sdx_resize_read(compute->error, p, compute->n_in, compute->in, &in));
    SDX_TRY(sdx_resize_resolve(compute->error, p, &in, x->rank, x->dim, axis));
    for (int d = 0; d < x->rank; d++) {
        dims[d] = axis[d].out;
        if (!axis[d].same) last = d;
    }
    sdx_tensor *y = sdx_compute_output(compute, 0, x->rank, dims);
    if (!y) return compute->error->status;
    if (y->count == 0) return SDX_OK;
    if (last < 0) return sdx_move_all(compute, x, y);
    return p->mode == SDX_RESIZE_NEAREST ? run_nearest(compute, p, axis, last, y)
                                         : sdx_resize_blend(compute, p, axis, NULL, x, y);
}
