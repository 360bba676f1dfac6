/* SPDX-License-Identifier: Apache-2.0
 * NormGrad: the gradients of every normalisation that scales. With x^ = (x - mean) r over the elements of a statistic
 * and dx^ = dY scale: dX = r (dx^ - mean(dx^) - x^ mean(dx^ x^)), dScale = sum(dY x^), dBias = sum(dY). `statistics`:
 *   rows    over the dimensions from `axis` on; scale has their shape
 *   groups  over `groups` groups of channels (0: each its own) of each sample, and space; scale per channel
 *   batch   of each channel over samples and space; scale per channel
 *   given   as inputs, per channel; they are constants here: dX = dY scale r
 * Not `centred`: the mean counts as 0. Statistics are made again from X, in f64. */
#include "ops/kernels/kernels.h"
#include "ops/nn/norm.h"
#include "ops/nn/norm_grad.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { X, SCALE, DY, MEAN, VAR }; /* inputs */
enum { SHORT = 16, CHUNKS = 64, LEAST_ROWS = 16 };

static sdx_status back_bind(sdx_bind *bind, void *params) {
    sdx_norm_kind *p = params;
    static const char *const kinds[] = {"rows", "groups", "batch", "given"};
    const int which = sdx_bind_choice(bind, "statistics", kinds, 4);
    p->statistics = which < 0 ? SDX_NORM_ROWS : (sdx_norm_statistics)which;
    p->axis = sdx_bind_int(bind, "axis");
    p->groups = sdx_bind_int(bind, "groups");
    p->centred = sdx_bind_int(bind, "centred") != 0;
    p->epsilon = (double)sdx_bind_float(bind, "epsilon");
    return bind->status;
}

static sdx_status check_channels(sdx_infer *infer, int k, const char *name, int64_t channels) {
    SDX_TRY(sdx_infer_rank(infer, k, name, 1));
    const int64_t length = infer->in[k]->rank < 0 ? -1 : infer->in[k]->dim[0];
    if (length >= 0 && channels >= 0 && length != channels)
        return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has length %" PRId64 "; it must be %" PRId64, name, length,
                        channels);
    return SDX_OK;
}

static sdx_status check_rows(sdx_infer *infer, int64_t axis) {
    const sdx_type *x = infer->in[X], *scale = infer->in[SCALE];
    if (axis < 0 || axis > x->rank)
        return sdx_fail(infer->error, SDX_SHAPE, "attribute 'axis' is %" PRId64 "; it must be in [0, %d]", axis,
                        x->rank);
    SDX_TRY(sdx_infer_rank(infer, SCALE, "scale", x->rank - (int)axis));
    for (int d = 0; d < scale->rank; d++)
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of 'X' and 'scale'", x->dim[axis + d], scale->dim[d], NULL));
    return SDX_OK;
}

/* One value per statistic of InstanceNormalization: its output is B alone whatever X is, so nothing could be learned.
 */
static sdx_status check_space(sdx_infer *infer, const sdx_type *x) {
    char text[128];
    for (int d = 2; d < x->rank; d++)
        if (x->dim[d] != 1) return SDX_OK;
    return sdx_fail(infer->error, SDX_SHAPE, "input 'X' is %s; training needs more than one place per channel",
                    sdx_type_text(x, text, sizeof text));
}

static sdx_status back_infer(sdx_infer *infer, const void *params) {
    const sdx_norm_kind *p = params;
    const sdx_type *x = infer->in[X], *dy = infer->in[DY];
    const bool given = p->statistics == SDX_NORM_GIVEN;
    sdx_infer_same(infer, 0, X);
    for (int k = 1; k < infer->n_out; k++) sdx_infer_same(infer, k, SCALE);
    if (given && (infer->n_in < 5 || !infer->in[MEAN] || !infer->in[VAR]))
        return sdx_fail(infer->error, SDX_SHAPE, "inputs 'mean' and 'var' are absent; 'statistics' is given");
    if (x->rank < 0) return SDX_OK;
    if (x->rank == 0) return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank 0; it must be 1 or more");
    SDX_TRY(sdx_infer_rank(infer, DY, "dY", x->rank));
    for (int d = 0; d < x->rank && dy->rank >= 0; d++)
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of 'X' and 'dY'", x->dim[d], dy->dim[d], NULL));
    if (p->statistics == SDX_NORM_ROWS) return check_rows(infer, p->axis);
    const int64_t channels = x->rank > 1 ? x->dim[1] : 1;
    if (p->statistics == SDX_NORM_GROUPS && (p->groups < 0 || (p->groups && channels >= 0 && channels % p->groups)))
        return sdx_fail(infer->error, SDX_SHAPE,
                        "attribute 'groups' is %" PRId64 "; it must divide %" PRId64 " channels", p->groups, channels);
    if (p->statistics == SDX_NORM_GROUPS && !p->groups) SDX_TRY(check_space(infer, x));
    SDX_TRY(check_channels(infer, SCALE, "scale", channels));
    if (given) SDX_TRY(check_channels(infer, MEAN, "mean", channels));
    return given ? check_channels(infer, VAR, "var", channels) : SDX_OK;
}

/* ---- layout ------------------------------------------------------------------------------------------------------ */

/* A unit has one statistic; its elements are `segments` of `segment` neighbours, `step` apart. */
typedef struct layout {
    const sdx_norm_kind *kind;
    sdx_dtype work;
    int64_t batch, channels, per_unit; /* channels of a unit */
    int64_t units, segments, segment, step;
    int64_t chunk, chunks;                                     /* of rows that are summed together */
    bool buffered;                                             /* units pass through buffers */
    size_t scale_bytes, table_bytes, part_bytes, buffer_bytes; /* buffers: of x and dY, each, for a worker */
} layout;

static bool times(size_t *out, int64_t a, int64_t b, size_t size) {
    size_t n = 0;
    if (!sdx_size_mul((size_t)a, (size_t)b, &n) || !sdx_size_mul(n, size, &n) || n > PTRDIFF_MAX) return false;
    *out = sdx_align(n);
    return true;
}

static bool lay_out(const sdx_norm_kind *kind, const sdx_type *x, const sdx_type *scale, const sdx_type *dy,
                    layout *l) {
    const bool rows = kind->statistics == SDX_NORM_ROWS, groups = kind->statistics == SDX_NORM_GROUPS;
    *l = (layout){.kind = kind, .work = sdx_lines_work(x->dtype, scale->dtype, dy->dtype), .batch = x->dim[0]};
    int64_t space = 1, before = 1;
    for (int d = rows ? (int)kind->axis : 2; d < x->rank; d++) space *= x->dim[d];
    for (int d = 0; rows && d < kind->axis; d++) before *= x->dim[d];
    l->channels = x->rank > 1 ? x->dim[1] : 1;
    l->segment = space;
    l->per_unit = groups && kind->groups ? l->channels / kind->groups : 1;
    l->units = rows ? before : groups ? l->batch * (l->per_unit ? l->channels / l->per_unit : 0) : l->channels;
    l->segments = rows ? 1 : groups ? l->per_unit : l->batch;
    l->step = groups || rows ? space : l->channels * space;
    l->chunk = l->units / CHUNKS > LEAST_ROWS ? (l->units + CHUNKS - 1) / CHUNKS : LEAST_ROWS;
    l->chunks = (l->units + l->chunk - 1) / l->chunk;
    l->buffered = x->dtype != l->work || dy->dtype != l->work || (l->segments > 1 && space < SHORT && !groups);
    const size_t size = sdx_dtype_size(l->work);
    const bool fits = rows ? times(&l->scale_bytes, space, 1, size) && times(&l->part_bytes, l->chunks * 2, space, size)
                           : times(&l->table_bytes, l->channels, 3, sizeof(double)) &&
                                 (!groups || times(&l->part_bytes, l->batch * l->channels, 2, sizeof(double)));
    return fits && (!l->buffered || times(&l->buffer_bytes, l->segments, space, size));
}

static size_t back_scratch(const sdx_infer *infer, const void *params) {
    layout l;
    size_t buffers = 0;
    if (!lay_out(params, infer->in[X], infer->in[SCALE], infer->in[DY], &l) ||
        !sdx_size_mul(2 * l.buffer_bytes, (size_t)infer->threads, &buffers) ||
        !sdx_size_add(buffers, l.scale_bytes + l.table_bytes + l.part_bytes, &buffers))
        return SIZE_MAX;
    return buffers;
}

/* ---- one unit ---------------------------------------------------------------------------------------------------- */

typedef struct back_job {
    layout l;
    const sdx_kernels *kernels;
    const sdx_tensor *x, *dy, *dx, *dscale, *dbias; /* NULL: not wanted */
    const void *row_scale;                          /* rows: in the work's dtype */
    double *scale, *mean, *var;                     /* per channel */
    char *parts, *buffers;
} back_job;

/* The elements of a unit as the kernels see them. */
typedef struct unit {
    const char *x, *g;
    char *to;
    int64_t step; /* elements between segments */
} unit;

static double sum_of(const back_job *job, const void *x, int64_t n) {
    return job->l.work == SDX_F64 ? job->kernels->wide_sum_f64(x, n) : job->kernels->wide_sum_f32(x, n);
}
static double squares_of(const back_job *job, const void *x, int64_t n, double mean) {
    return job->l.work == SDX_F64 ? job->kernels->square_sum_f64(x, n, mean) : job->kernels->square_sum_f32(x, n, mean);
}
static void add_sums(const back_job *job, const void *g, const void *s, const void *x, int64_t n, double mean,
                     double *sums) {
    if (job->l.work == SDX_F64)
        job->kernels->norm_sums_f64(g, s, x, n, mean, sums);
    else
        job->kernels->norm_sums_f32(g, s, x, n, mean, sums);
}
static void go_back(const back_job *job, const void *g, const void *s, const void *x, void *y, int64_t n, double mean,
                    double a, double b, double c) {
    if (job->l.work == SDX_F64)
        job->kernels->norm_back_f64(g, s, x, y, n, mean, a, b, c);
    else
        job->kernels->norm_back_f32(g, s, x, y, n, mean, a, b, c);
}

static int64_t start_of(const layout *l, int64_t index) {
    return index * l->segment * (l->kind->statistics == SDX_NORM_GROUPS ? l->per_unit : 1);
}

/* Elements of a tensor, one by one where segments are short. */
static void load(const back_job *job, const sdx_tensor *from, int64_t start, char *to) {
    const layout *l = &job->l;
    const size_t size = sdx_dtype_size(from->dtype), wide = sdx_dtype_size(l->work);
    for (int64_t s = 0; s < l->segments; s++)
        sdx_convert(job->kernels, from->dtype, (const char *)from->data + (size_t)(start + s * l->step) * size, l->work,
                    to + (size_t)(s * l->segment) * wide, l->segment);
}
static void store(const back_job *job, const char *from, const sdx_tensor *to, int64_t start) {
    const layout *l = &job->l;
    const size_t size = sdx_dtype_size(to->dtype), wide = sdx_dtype_size(l->work);
    for (int64_t s = 0; s < l->segments; s++)
        sdx_convert(job->kernels, l->work, from + (size_t)(s * l->segment) * wide, to->dtype,
                    (char *)to->data + (size_t)(start + s * l->step) * size, l->segment);
}

static unit open_unit(const back_job *job, int64_t index, int worker) {
    const layout *l = &job->l;
    const int64_t start = start_of(l, index);
    const size_t at = (size_t)start * sdx_dtype_size(l->work);
    if (!l->buffered)
        return (unit){(const char *)job->x->data + at, (const char *)job->dy->data + at,
                      job->dx ? (char *)job->dx->data + at : NULL, l->step};
    char *x = job->buffers + (size_t)worker * 2 * l->buffer_bytes, *g = x + l->buffer_bytes;
    load(job, job->x, start, x);
    load(job, job->dy, start, g);
    return (unit){x, g, job->dx ? g : NULL, l->segment};
}

static void close_unit(const back_job *job, int64_t index, const unit *u) {
    if (job->l.buffered && u->to) store(job, u->to, job->dx, start_of(&job->l, index));
}

/* Mean and 1 / sqrt(variance + epsilon). */
static double statistics_of(const back_job *job, const unit *u, double *mean) {
    const layout *l = &job->l;
    const size_t size = sdx_dtype_size(l->work);
    const bool one = u->step == l->segment;
    const int64_t parts = one ? 1 : l->segments, n = one ? l->segments * l->segment : l->segment;
    double sum = 0, squares = 0;
    for (int64_t s = 0; l->kind->centred && s < parts; s++) sum += sum_of(job, u->x + (size_t)(s * u->step) * size, n);
    *mean = sum / (double)(n * parts);
    for (int64_t s = 0; s < parts; s++) squares += squares_of(job, u->x + (size_t)(s * u->step) * size, n, *mean);
    return 1 / sqrt(squares / (double)(n * parts) + l->kind->epsilon);
}

static void run_unit(const back_job *job, int64_t index, int worker) {
    const layout *l = &job->l;
    const bool groups = l->kind->statistics == SDX_NORM_GROUPS, given = l->kind->statistics == SDX_NORM_GIVEN;
    const size_t size = sdx_dtype_size(l->work);
    const int64_t first = groups ? index * l->per_unit : index; /* channel, of all samples under groups */
    const unit u = open_unit(job, index, worker);
    double mean = 0, r = 0, plain = 0, by_x = 0, sums[2] = {0};
    if (given)
        mean = job->mean[index], r = 1 / sqrt(job->var[index] + l->kind->epsilon);
    else
        r = statistics_of(job, &u, &mean);
    if (l->segments * l->segment == 0) mean = r = 0;
    for (int64_t s = 0; s < l->segments; s++) {
        const size_t at = (size_t)(s * u.step) * size;
        add_sums(job, u.g + at, NULL, u.x + at, l->segment, mean, sums);
        if (!groups) continue;
        const double scale = job->scale[(first + s) % l->channels];
        double *part = (double *)(void *)job->parts + 2 * (first + s);
        part[0] = r * sums[1], part[1] = sums[0];
        plain += scale * sums[0], by_x += scale * sums[1];
        sums[0] = sums[1] = 0;
    }
    if (!groups) {
        plain = job->scale[index] * sums[0], by_x = job->scale[index] * sums[1];
        sdx_norm_put(job->kernels, job->dscale, index, r * sums[1]);
        sdx_norm_put(job->kernels, job->dbias, index, sums[0]);
    }
    const double n = (double)(l->segments * l->segment), b = given ? 0 : -r * r * r * by_x / n,
                 c = given || !l->kind->centred ? 0 : -r * plain / n;
    for (int64_t s = 0; u.to && s < l->segments; s++) {
        const size_t at = (size_t)(s * u.step) * size;
        const double scale = job->scale[groups ? (first + s) % l->channels : index];
        go_back(job, u.g + at, NULL, u.x + at, u.to + at, l->segment, mean, r * scale, b, c);
    }
    close_unit(job, index, &u);
}

static void run_units(void *argument, int64_t begin, int64_t end, int worker) {
    for (int64_t index = begin; index < end; index++) run_unit(argument, index, worker);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void run_row(const back_job *job, int64_t row, int worker, char *parts) {
    const layout *l = &job->l;
    const int64_t n = l->segment;
    const unit u = open_unit(job, row, worker);
    double mean = 0, sums[2] = {0};
    const double r = statistics_of(job, &u, &mean);
    add_sums(job, u.g, job->row_scale, u.x, n, mean, sums);
    char *bias = parts + (size_t)n * sdx_dtype_size(l->work);
    if ((job->dscale || job->dbias) && l->work == SDX_F64)
        job->kernels->norm_collect_f64((const void *)u.g, (const void *)u.x, n, mean, r, (void *)parts, (void *)bias);
    else if (job->dscale || job->dbias)
        job->kernels->norm_collect_f32((const void *)u.g, (const void *)u.x, n, mean, r, (void *)parts, (void *)bias);
    if (u.to)
        go_back(job, u.g, job->row_scale, u.x, u.to, n, mean, r, -r * r * r * sums[1] / (double)n,
                l->kind->centred ? -r * sums[0] / (double)n : 0);
    close_unit(job, row, &u);
}

static void run_chunks(void *argument, int64_t begin, int64_t end, int worker) {
    const back_job *job = argument;
    const layout *l = &job->l;
    const size_t bytes = (size_t)(2 * l->segment) * sdx_dtype_size(l->work);
    for (int64_t chunk = begin; chunk < end; chunk++) {
        char *parts = job->parts + (size_t)chunk * bytes;
        memset(parts, 0, bytes);
        for (int64_t row = chunk * l->chunk; row < l->units && row < (chunk + 1) * l->chunk; row++)
            run_row(job, row, worker, parts);
    }
}

/* ---- sums of parts ----------------------------------------------------------------------------------------------- */

static void join_parts(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const back_job *job = argument;
    const layout *l = &job->l;
    const bool rows = l->kind->statistics == SDX_NORM_ROWS;
    for (int64_t k = begin; k < end; k++) {
        double scale = 0, bias = 0;
        for (int64_t part = 0; part < (rows ? l->chunks : l->batch); part++) {
            const int64_t at = rows ? part * 2 * l->segment + k : 2 * (part * l->channels + k);
            scale += sdx_norm_get(rows ? l->work : SDX_F64, job->parts, at);
            bias += sdx_norm_get(rows ? l->work : SDX_F64, job->parts, rows ? at + l->segment : at + 1);
        }
        sdx_norm_put(job->kernels, job->dscale, k, scale);
        sdx_norm_put(job->kernels, job->dbias, k, bias);
    }
}

static const sdx_tensor *output(const sdx_compute *compute, int k) {
    return k < compute->n_out ? compute->out[k] : NULL;
}

static sdx_status back_compute(sdx_compute *compute, const void *params) {
    const sdx_norm_kind *p = params;
    const sdx_type x = sdx_type_of_tensor(compute->in[X]), scale = sdx_type_of_tensor(compute->in[SCALE]),
                   dy = sdx_type_of_tensor(compute->in[DY]);
    back_job job = {.kernels = compute->kernels, .x = compute->in[X], .dy = compute->in[DY]};
    job.dx = output(compute, 0), job.dscale = output(compute, 1), job.dbias = output(compute, 2);
    if (!lay_out(p, &x, &scale, &dy, &job.l))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "work space of the gradient of a normalisation");
    const layout *l = &job.l;
    char *room = compute->scratch;
    const int64_t cost = 8 * l->segments * l->segment;
    job.parts = room + l->scale_bytes + l->table_bytes;
    job.buffers = job.parts + l->part_bytes;
    if (p->statistics == SDX_NORM_ROWS) {
        job.row_scale = sdx_norm_param(compute, compute->in[SCALE], l->work, &room);
        SDX_TRY(sdx_for(compute, l->chunks, sdx_grain(cost * l->chunk), run_chunks, &job));
        return sdx_for(compute, l->segment, sdx_grain(4 * l->chunks), join_parts, &job);
    }
    job.scale = (double *)(void *)room, job.mean = job.scale + l->channels, job.var = job.mean + l->channels;
    double *tables[] = {job.scale, job.mean, job.var};
    static const int inputs[] = {SCALE, MEAN, VAR};
    for (int k = 0; k < (p->statistics == SDX_NORM_GIVEN ? 3 : 1); k++) {
        const sdx_tensor *from = compute->in[inputs[k]];
        sdx_convert(compute->kernels, from->dtype, from->data, SDX_F64, tables[k], l->channels);
    }
    SDX_TRY(sdx_for(compute, l->units, sdx_grain(cost), run_units, &job));
    if (p->statistics != SDX_NORM_GROUPS || (!job.dscale && !job.dbias)) return SDX_OK;
    return sdx_for(compute, l->channels, sdx_grain(4 * l->batch), join_parts, &job);
}

const sdx_op sdx_op_NormGrad = {
    .domain = "sdx",
    .name = "NormGrad",
    .versions =
        (const sdx_op_version[]){{1, "X:T scale:V dY:W mean:U? var:U? -> dX:T dScale:V? dBias:V?",
                                  "T=" SDX_T_FLOAT_BF " V=" SDX_T_FLOAT_BF " W=" SDX_T_FLOAT_BF " U=" SDX_T_FLOAT_BF,
                                  "axis:int=0 centred:int=1 epsilon:float=1e-05 groups:int=0 statistics:string=rows"},
                                 {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_norm_kind),
    .bind = back_bind,
    .infer = back_infer,
    .scratch = back_scratch,
    .compute = back_compute,
    .expand = sdx_norm_back_expand,
    .flags = SDX_OP_INTERNAL};
