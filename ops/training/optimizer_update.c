/* SPDX-License-Identifier: Apache-2.0
 * OptimizerUpdate: one step of one parameter, for every optimizer of training; the formulas stand in
 * ops/kernels/step.inc. `settings` are numbers in f64, in the order of sdx_update_params: beta1 (RMSprop: none), beta2
 * (RMSprop's alpha), momentum, dampening, eps, lr_decay, weight_decay, l1, l2, l2norm.
 * The proximal step's length is what multiplies a gradient that stays the same for long: lr / (1 - momentum) for SGD.
 */
#include "ops/training/optimizer_update.h"
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <math.h>

enum { SETTINGS = 10, PIECE = 512, OPERANDS = 2 + SDX_UPDATE_STATES };

typedef void (*step_fn)(const sdx_training_step *step, int64_t n);

static sdx_status update_bind(sdx_bind *bind, void *params) {
    static const char *const kinds[] = {"sgd", "adam", "adagrad", "rmsprop", "lion", "lamb"};
    sdx_update_params *p = params;
    p->kind = (sdx_update_kind)sdx_bind_choice(bind, "kind", kinds, 6);
    p->nesterov = sdx_bind_int(bind, "nesterov") != 0;
    p->centered = sdx_bind_int(bind, "centered") != 0;
    p->amsgrad = sdx_bind_int(bind, "amsgrad") != 0;
    p->decoupled = sdx_bind_int(bind, "decoupled") != 0;
    const sdx_value *settings = sdx_bind_value(bind, "settings");
    if (bind->status) return bind->status;
    if (settings->tensor.dtype != SDX_F64 || settings->tensor.count != SETTINGS)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'settings' must be f64[%d]", (int)SETTINGS);
    const double *s = settings->tensor.data;
    p->beta1 = s[0], p->beta2 = s[1], p->momentum = s[2], p->dampening = s[3], p->eps = s[4], p->lr_decay = s[5];
    p->weight_decay = s[6], p->l1 = s[7], p->l2 = s[8], p->l2norm = s[9];
    return SDX_OK;
}

int sdx_update_states(const sdx_update_params *p, int slots[SDX_UPDATE_STATES]) {
    int n = 0;
    switch (p->kind) {
    case SDX_UPDATE_SGD:
        if (p->momentum != 0) slots[n++] = 0;
        break;
    case SDX_UPDATE_ADAM:
        slots[n++] = 0, slots[n++] = 1;
        if (p->amsgrad) slots[n++] = 2;
        break;
    case SDX_UPDATE_RMSPROP:
        slots[n++] = 0;
        if (p->centered) slots[n++] = 1;
        if (p->momentum != 0) slots[n++] = 2;
        break;
    case SDX_UPDATE_LAMB: slots[n++] = 0, slots[n++] = 1; break;
    case SDX_UPDATE_ADAGRAD:
    case SDX_UPDATE_LION: slots[n++] = 0; break;
    }
    return n;
}

static sdx_status update_infer(sdx_infer *infer, const void *params) {
    int slots[SDX_UPDATE_STATES];
    const int states = sdx_update_states(params, slots);
    if (infer->n_in != SDX_UPDATE_STATE + states || infer->n_out > 1 + states)
        return sdx_fail(infer->error, SDX_SHAPE, "there are %d states; this optimizer keeps %d",
                        infer->n_in - SDX_UPDATE_STATE, states);
    sdx_type shape = *infer->in[SDX_UPDATE_W];
    for (int k = 1; k < infer->n_in; k++) {
        const sdx_type *type = infer->in[k];
        const bool scalar = k == SDX_UPDATE_LR || k == SDX_UPDATE_STEP;
        const int rank = scalar ? 0 : shape.rank;
        if (type->rank >= 0 && rank >= 0 && type->rank != rank)
            return sdx_fail(infer->error, SDX_SHAPE, "input %d has rank %d; it must be %d", k, type->rank, rank);
        for (int d = 0; !scalar && type->rank >= 0 && d < shape.rank; d++)
            SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of a parameter, its gradient and its state", shape.dim[d],
                                        type->dim[d], &shape.dim[d]));
    }
    for (int k = 0; k < infer->n_out; k++) infer->out[k] = shape;
    return SDX_OK;
}

static bool proximal(const sdx_update_params *p) { return p->l1 > 0 || p->l2 > 0; }

/* What is kept between passes over the parameter: the metric, LAMB's direction, partial sums. */
typedef struct layout {
    size_t metric, direction, partial, size;
} layout;

static bool layout_of(const sdx_update_params *p, int64_t count, sdx_dtype dtype, layout *l) {
    const bool lamb = p->kind == SDX_UPDATE_LAMB, group = p->l2norm > 0;
    const size_t each = sdx_work_dtype(dtype) == SDX_F64 ? 8 : 4;
    const bool metric = (group && p->kind != SDX_UPDATE_SGD) || (lamb && proximal(p));
    size_t array = 0;
    if (!sdx_size_mul((size_t)count + SDX_ALIGNMENT, each, &array)) return false;
    array = array / SDX_ALIGNMENT * SDX_ALIGNMENT;
    const size_t sums = ((size_t)count / SDX_UPDATE_CHUNK + 1) * 2 * sizeof(double);
    *l = (layout){.direction = metric ? array : 0};
    return sdx_size_add(l->direction, lamb ? array : 0, &l->partial) &&
           sdx_size_add(l->partial, lamb || group ? sums : 0, &l->size);
}

static size_t update_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *w = infer->in[SDX_UPDATE_W];
    int64_t count = 1;
    layout l;
    for (int d = 0; d < w->rank; d++)
        if (w->dim[d] < 0 || !sdx_dim_mul(count, w->dim[d], &count)) return SIZE_MAX;
    return layout_of(params, count, w->dtype, &l) ? l.size : SIZE_MAX;
}

/* ---- One pass over the parameter ---- */

typedef struct pass {
    const sdx_kernels *kernels;
    step_fn fn;
    sdx_training_step step;
    sdx_dtype from[OPERANDS], to[OPERANDS]; /* of w g states, as stored; UNDEFINED: as `work` */
    sdx_dtype work;
    size_t size; /* of one element of `work` */
} pass;

static const void *read_at(const pass *job, int k, const void *data, int64_t at, int64_t n, double *room) {
    const sdx_dtype from = job->from[k];
    if (!data) return NULL;
    if (from == SDX_UNDEFINED || from == job->work) return (const char *)data + (size_t)at * job->size;
    sdx_convert(job->kernels, from, (const char *)data + (size_t)at * sdx_dtype_size(from), job->work, room, n);
    return room;
}

/* What nobody reads, and what is stored in another type, goes to the room first. */
static void *write_at(const pass *job, int k, void *data, int64_t at, double *room) {
    const bool direct = data && (job->to[k] == SDX_UNDEFINED || job->to[k] == job->work);
    return direct ? (char *)data + (size_t)at * job->size : (char *)room;
}

static void store(const pass *job, int k, void *data, int64_t at, int64_t n, const double *room) {
    const sdx_dtype to = job->to[k];
    if (!data || to == SDX_UNDEFINED || to == job->work) return;
    sdx_convert(job->kernels, job->work, room, to, (char *)data + (size_t)at * sdx_dtype_size(to), n);
}

static void pass_range(void *argument, int64_t begin, int64_t end, int worker) {
    const pass *job = argument;
    double in[OPERANDS][PIECE], out[OPERANDS][PIECE];
    (void)worker;
    for (int64_t at = begin, n; at < end; at += n) {
        n = end - at < PIECE ? end - at : PIECE;
        const sdx_training_step *all = &job->step;
        sdx_training_step step = *all;
        step.w = read_at(job, 0, all->w, at, n, in[0]);
        step.g = read_at(job, 1, all->g, at, n, in[1]);
        step.w_new = write_at(job, 0, all->w_new, at, out[0]);
        if (all->metric) step.metric = (char *)all->metric + (size_t)at * job->size;
        for (int s = 0; s < SDX_UPDATE_STATES; s++) {
            step.s[s] = read_at(job, 2 + s, all->s[s], at, n, in[2 + s]);
            step.s_new[s] = write_at(job, 2 + s, all->s_new[s], at, out[2 + s]);
        }
        job->fn(&step, n);
        store(job, 0, all->w_new, at, n, out[0]);
        for (int s = 0; s < SDX_UPDATE_STATES; s++) store(job, 2 + s, all->s_new[s], at, n, out[2 + s]);
    }
}

/* ---- Norms for LAMB ---- */

typedef struct norm_job {
    const sdx_kernels *kernels;
    sdx_dtype dtype;
    const char *x;
    int64_t count;
    double *partial;
} norm_job;

static void norm_range(void *argument, int64_t begin, int64_t end, int worker) {
    const norm_job *job = argument;
    const size_t size = sdx_dtype_size(job->dtype);
    (void)worker;
    for (int64_t c = begin; c < end; c++) {
        const int64_t first = c * SDX_UPDATE_CHUNK, left = job->count - first;
        const int64_t n = left < SDX_UPDATE_CHUNK ? left : SDX_UPDATE_CHUNK;
        const void *x = job->x + (size_t)first * size;
        double sum = 0;
        if (job->dtype == SDX_F64) {
            sum = job->kernels->square_sum_f64(x, n, 0);
        } else if (job->dtype == SDX_F32) {
            sum = job->kernels->square_sum_f32(x, n, 0);
        } else {
            float wide[PIECE];
            for (int64_t k = 0, m; k < n; k += m) {
                m = n - k < PIECE ? n - k : PIECE;
                sdx_convert(job->kernels, job->dtype, (const char *)x + (size_t)k * size, SDX_F32, wide, m);
                sum += job->kernels->square_sum_f32(wide, m, 0);
            }
        }
        job->partial[c] = sum;
    }
}

static sdx_status norm_of(sdx_compute *compute, sdx_dtype dtype, const void *x, int64_t count, double *partial,
                          double *norm) {
    norm_job job = {compute->kernels, dtype, x, count, partial};
    const int64_t chunks = (count + SDX_UPDATE_CHUNK - 1) / SDX_UPDATE_CHUNK;
    double sum = 0;
    SDX_TRY(sdx_for(compute, chunks, 1, norm_range, &job));
    for (int64_t c = 0; c < chunks; c++) sum += partial[c];
    *norm = sqrt(sum);
    return SDX_OK;
}

/* ---- The operator ---- */

static double scalar_of(const sdx_tensor *t) {
    if (t->dtype == SDX_F64) return *(const double *)t->data;
    return t->dtype == SDX_I64 ? (double)*(const int64_t *)t->data : (double)*(const float *)t->data;
}

/* Fills in the numbers of the step; *reach is the length of the proximal step. */
static void numbers(const sdx_update_params *p, double lr, double t, sdx_training_step *s, double *reach) {
    s->rate = lr, s->keep = 1, s->eps = p->eps, s->nesterov = p->nesterov;
    s->centered = p->centered, s->amsgrad = p->amsgrad;
    s->beta1 = p->beta1, s->beta2 = p->beta2, s->momentum = p->momentum;
    if (p->decoupled)
        s->keep = 1 - lr * p->weight_decay;
    else
        s->decay = p->weight_decay;
    *reach = lr;
    switch (p->kind) {
    case SDX_UPDATE_SGD:
        s->gain = t <= 1 ? 1 : 1 - p->dampening;
        *reach = lr * (1 - p->dampening) / (1 - p->momentum);
        if (p->nesterov) *reach = lr * (1 + p->momentum / (1 - p->momentum));
        break;
    case SDX_UPDATE_ADAM:
        s->rate = lr / (1 - pow(p->beta1, t));
        s->root = sqrt(1 - pow(p->beta2, t));
        break;
    case SDX_UPDATE_ADAGRAD: s->rate = *reach = lr / (1 + (t - 1) * p->lr_decay); break;
    case SDX_UPDATE_RMSPROP: *reach = lr / (1 - p->momentum); break;
    case SDX_UPDATE_LAMB:
        s->gain = 1 - pow(p->beta1, t);
        s->root = sqrt(1 - pow(p->beta2, t));
        s->keep = p->weight_decay;
        s->decay = 0;
        break;
    case SDX_UPDATE_LION: break;
    }
    s->prox = proximal(p);
    s->l1 = *reach * p->l1;
    s->l2 = 2 * *reach * p->l2;
}

static step_fn function_of(const sdx_kernels *k, sdx_update_kind kind, bool wide) {
    switch (kind) {
    case SDX_UPDATE_ADAM: return wide ? k->step_adam_f64 : k->step_adam_f32;
    case SDX_UPDATE_ADAGRAD: return wide ? k->step_adagrad_f64 : k->step_adagrad_f32;
    case SDX_UPDATE_RMSPROP: return wide ? k->step_rmsprop_f64 : k->step_rmsprop_f32;
    case SDX_UPDATE_LION: return wide ? k->step_lion_f64 : k->step_lion_f32;
    case SDX_UPDATE_LAMB: return wide ? k->step_lamb_f64 : k->step_lamb_f32;
    case SDX_UPDATE_SGD: break;
    }
    return wide ? k->step_sgd_f64 : k->step_sgd_f32;
}

/* The first pass has left the direction r; the rate is lr ||w|| / ||r||, or lr where a norm is 0. */
static sdx_status lamb_move(sdx_compute *compute, pass *job, void *direction, void *metric, double *partial,
                            double *reach) {
    const sdx_tensor *w = compute->in[SDX_UPDATE_W];
    double of_w = 0, of_r = 0;
    SDX_TRY(norm_of(compute, w->dtype, w->data, w->count, partial, &of_w));
    SDX_TRY(norm_of(compute, job->work, direction, w->count, partial, &of_r));
    const double trust = of_w > 0 && of_r > 0 ? of_w / of_r : 1, l1 = job->step.l1, l2 = job->step.l2;
    *reach *= trust;
    job->fn = job->work == SDX_F64 ? compute->kernels->step_apply_f64 : compute->kernels->step_apply_f32;
    job->from[1] = job->from[2] = SDX_UNDEFINED;
    job->step = (sdx_training_step){
        .w = w->data, .g = direction, .keep = 1, .rate = *reach, .l1 = l1 * trust, .l2 = l2 * trust};
    job->step.prox = l1 > 0 || l2 > 0;
    job->step.s[0] = metric;
    job->step.w_new = compute->out[0] ? compute->out[0]->data : NULL;
    return sdx_for(compute, w->count, SDX_GRAIN_MATH, pass_range, job);
}

static sdx_status update_compute(sdx_compute *compute, const void *params) {
    const sdx_update_params *p = params;
    const sdx_tensor *w = compute->in[SDX_UPDATE_W], *out = compute->out[0];
    const sdx_dtype work = sdx_work_dtype(w->dtype);
    pass job = {.kernels = compute->kernels, .work = work, .size = sdx_dtype_size(work)};
    layout l = {0};
    if (!layout_of(p, w->count, w->dtype, &l)) return sdx_fail(compute->error, SDX_LIMIT, "the parameter is too large");
    char *room = compute->scratch;
    const bool lamb = p->kind == SDX_UPDATE_LAMB;
    void *metric = l.direction ? room : NULL, *direction = lamb ? room + l.direction : NULL;
    double *partial = l.size > l.partial ? (double *)(void *)(room + l.partial) : NULL, reach = 0;
    numbers(p, scalar_of(compute->in[SDX_UPDATE_LR]), scalar_of(compute->in[SDX_UPDATE_STEP]), &job.step, &reach);
    for (int k = 0; k < OPERANDS; k++) job.from[k] = job.to[k] = w->dtype;
    job.fn = function_of(compute->kernels, p->kind, work == SDX_F64);
    job.step.w = w->data, job.step.g = compute->in[SDX_UPDATE_G]->data, job.step.metric = metric;
    job.step.w_new = lamb ? direction : out ? out->data : NULL;
    if (lamb) job.to[0] = SDX_UNDEFINED;
    int slots[SDX_UPDATE_STATES];
    const int states = sdx_update_states(p, slots);
    for (int k = 0; k < states; k++) {
        job.step.s[slots[k]] = compute->in[SDX_UPDATE_STATE + k]->data;
        if (1 + k < compute->n_out && compute->out[1 + k]) job.step.s_new[slots[k]] = compute->out[1 + k]->data;
    }
    const double l1 = job.step.l1, l2 = job.step.l2;
    if (lamb) job.step.prox = false, job.step.l1 = job.step.l2 = 0;
    SDX_TRY(sdx_for(compute, w->count, SDX_GRAIN_MATH, pass_range, &job));
    if (lamb) {
        job.step.l1 = l1, job.step.l2 = l2, job.to[0] = w->dtype;
        SDX_TRY(lamb_move(compute, &job, direction, metric, partial, &reach));
    }
    if (p->l2norm <= 0 || !out) return SDX_OK;
    return sdx_update_shrink_group(compute, out, metric, 2 * reach * p->l2, reach * p->l2norm, partial);
}

const sdx_op sdx_op_OptimizerUpdate = {
    .domain = "sdx",
    .name = "OptimizerUpdate",
    .versions = (const sdx_op_version[]){{1, "w:T g:T lr:S step:N state:T*0 -> new_w:T new_state:T*0",
                                          "T=" SDX_T_FLOAT_BF " S=f32|f64 N=f32|f64|i64",
                                          "amsgrad:int=0 centered:int=0 decoupled:int=0 kind:string! nesterov:int=0 "
                                          "settings:tensor!"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_update_params),
    .bind = update_bind,
    .infer = update_infer,
    .scratch = update_scratch,
    .compute = update_compute,
    .grad = sdx_no_gradient,
    .expand = sdx_update_expand,
    .flags = SDX_OP_INTERNAL | SDX_OP_INPLACE,
};
