/* SPDX-License-Identifier: Apache-2.0
 * Adagrad, Adam, Momentum: one step of many parameters. The inputs after R (rate) and T (step) are grouped by role: all
 * X, then all gradients G, then the states; the outputs likewise without G. The gradient of norm_coefficient |X|^2 / 2
 * joins G. Adam's epsilon is added after the root. */
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { FIXED = 2, PIECE = 1024 };

typedef void (*update_fn)(const sdx_preview_step *update, int64_t n);

typedef struct optimizer {
    int roles, states; /* inputs and outputs per parameter */
    double alpha, beta, epsilon, norm, post, decay;
    bool adam, nesterov;
} optimizer;

static sdx_status optimizer_infer(sdx_infer *infer, const void *params) {
    const optimizer *p = params;
    const int given = infer->n_in - FIXED, count = given / p->roles;
    if (given % p->roles != 0)
        return sdx_fail(infer->error, SDX_SHAPE, "there are %d inputs after 'T'; their number must be a multiple of %d",
                        given, p->roles);
    if (infer->n_out != count * p->states)
        return sdx_fail(infer->error, SDX_SHAPE, "there are %d outputs; %d inputs after 'T' give %d", infer->n_out,
                        given, count * p->states);
    static const char *const scalars[] = {"R", "T"};
    for (int k = 0; k < FIXED; k++) {
        const sdx_type *type = infer->in[k];
        if (type->rank > 1 || (type->rank == 1 && type->dim[0] > 1))
            return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank %d; it must be a scalar", scalars[k],
                            type->rank);
    }
    for (int i = 0; i < count; i++) {
        sdx_type shape = *infer->in[FIXED + i];
        for (int r = 1; r < p->roles; r++) {
            const int k = FIXED + r * count + i;
            const sdx_type *type = infer->in[k];
            if (type->dtype != shape.dtype)
                return sdx_fail(infer->error, SDX_TYPE, "input %d is %s; it must be %s as input %d", k,
                                sdx_dtype_name(type->dtype), sdx_dtype_name(shape.dtype), FIXED + i);
            if (type->rank < 0 || shape.rank < 0) continue;
            if (type->rank != shape.rank)
                return sdx_fail(infer->error, SDX_SHAPE, "input %d has rank %d; it must be %d as input %d", k,
                                type->rank, shape.rank, FIXED + i);
            for (int d = 0; d < shape.rank; d++)
                SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of a parameter, its gradient and its state",
                                            shape.dim[d], type->dim[d], &shape.dim[d]));
        }
        for (int s = 0; s < p->states; s++) infer->out[s * count + i] = shape;
    }
    return SDX_OK;
}

typedef struct update_job {
    update_fn fn;
    sdx_preview_step update;
    size_t size;
} update_job;

static const void *at(const void *data, int64_t k, size_t size) {
    return data ? (const char *)data + (size_t)k * size : NULL;
}

/* What nobody reads goes to a buffer. */
static void *target(void *data, int64_t k, size_t size, double *unread) {
    return data ? (char *)data + (size_t)k * size : (char *)unread;
}

static void update_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const update_job *job = argument;
    double unread[3][PIECE];
    for (int64_t k = begin, n; k < end; k += n) {
        n = end - k < PIECE ? end - k : PIECE;
        sdx_preview_step u = job->update;
        u.x = at(u.x, k, job->size), u.g = at(u.g, k, job->size);
        u.v = at(u.v, k, job->size), u.h = at(u.h, k, job->size);
        u.x_new = target(u.x_new, k, job->size, unread[0]);
        u.v_new = target(u.v_new, k, job->size, unread[1]);
        u.h_new = target(u.h_new, k, job->size, unread[2]);
        job->fn(&u, n);
    }
}

static void *output(const sdx_compute *compute, int k) { return compute->out[k] ? compute->out[k]->data : NULL; }

/* The functions of f32 and f64; v: the state of Momentum and the first of Adam, h: the second, and that of Adagrad. */
static sdx_status run(sdx_compute *compute, const optimizer *p, update_fn f32, update_fn f64, sdx_preview_step base) {
    const int count = (compute->n_in - FIXED) / p->roles;
    const bool has_v = f32 != compute->kernels->adagrad_f32, has_h = p->adam || !has_v;
    base.norm = p->norm, base.epsilon = p->epsilon, base.alpha = p->alpha;
    for (int i = 0; i < count; i++) {
        const sdx_tensor *const *in = compute->in + FIXED + i;
        update_job job = {.update = base, .size = sdx_dtype_size(in[0]->dtype)};
        job.fn = in[0]->dtype == SDX_F64 ? f64 : f32;
        job.update.x = in[0]->data;
        job.update.g = in[count]->data;
        job.update.x_new = output(compute, i);
        if (has_v) job.update.v = in[2 * count]->data, job.update.v_new = output(compute, count + i);
        if (has_h) job.update.h = in[(p->roles - 1) * count]->data;
        if (has_h) job.update.h_new = output(compute, (p->states - 1) * count + i);
        SDX_TRY(sdx_for(compute, in[0]->count, SDX_GRAIN_MATH, update_range, &job));
    }
    return SDX_OK;
}

static sdx_status read_scalars(sdx_compute *compute, double *rate, int64_t *step) {
    const sdx_tensor *r = compute->in[0], *t = compute->in[1];
    if (r->count != 1 || t->count != 1)
        return sdx_fail(compute->error, SDX_SHAPE, "input '%s' has %" PRId64 " elements; it must have one",
                        r->count != 1 ? "R" : "T", r->count != 1 ? r->count : t->count);
    *rate = r->dtype == SDX_F64 ? *(const double *)r->data : (double)*(const float *)r->data;
    *step = *(const int64_t *)t->data;
    return SDX_OK;
}

/* ---- Adagrad ---- */

static sdx_status adagrad_bind(sdx_bind *bind, void *params) {
    optimizer *p = params;
    p->roles = 3, p->states = 2;
    p->decay = (double)sdx_bind_float(bind, "decay_factor");
    p->epsilon = (double)sdx_bind_float(bind, "epsilon");
    p->norm = (double)sdx_bind_float(bind, "norm_coefficient");
    return bind->status;
}

static sdx_status adagrad_compute(sdx_compute *compute, const void *params) {
    const optimizer *p = params;
    sdx_preview_step base = {0};
    int64_t step = 0;
    SDX_TRY(read_scalars(compute, &base.rate, &step));
    base.rate /= 1 + (double)step * p->decay;
    return run(compute, p, compute->kernels->adagrad_f32, compute->kernels->adagrad_f64, base);
}

/* ---- Adam ---- */

static sdx_status adam_bind(sdx_bind *bind, void *params) {
    optimizer *p = params;
    p->roles = 4, p->states = 3, p->adam = true;
    p->alpha = (double)sdx_bind_float(bind, "alpha");
    p->beta = (double)sdx_bind_float(bind, "beta");
    p->epsilon = (double)sdx_bind_float(bind, "epsilon");
    p->norm = (double)sdx_bind_float(bind, "norm_coefficient");
    p->post = (double)sdx_bind_float(bind, "norm_coefficient_post");
    return bind->status;
}

static sdx_status adam_compute(sdx_compute *compute, const void *params) {
    const optimizer *p = params;
    sdx_preview_step base = {.beta = p->beta, .keep = 1 - p->post};
    int64_t step = 0;
    SDX_TRY(read_scalars(compute, &base.rate, &step));
    if (step > 0) base.rate *= sqrt(1 - pow(p->beta, (double)step)) / (1 - pow(p->alpha, (double)step));
    return run(compute, p, compute->kernels->adam_f32, compute->kernels->adam_f64, base);
}

/* ---- Momentum ---- */

static sdx_status momentum_bind(sdx_bind *bind, void *params) {
    static const char *const modes[] = {"standard", "nesterov"};
    optimizer *p = params;
    p->roles = 3, p->states = 2;
    p->alpha = (double)sdx_bind_float(bind, "alpha");
    p->beta = (double)sdx_bind_float(bind, "beta");
    p->norm = (double)sdx_bind_float(bind, "norm_coefficient");
    p->nesterov = sdx_bind_choice(bind, "mode", modes, 2) == 1;
    return bind->status;
}

static sdx_status momentum_compute(sdx_compute *compute, const void *params) {
    const optimizer *p = params;
    const sdx_kernels *kernels = compute->kernels;
    sdx_preview_step base = {0};
    int64_t step = 0;
    SDX_TRY(read_scalars(compute, &base.rate, &step));
    base.beta = step > 0 ? p->beta : 1; /* nothing is remembered before the first step */
    if (p->nesterov) return run(compute, p, kernels->nesterov_f32, kernels->nesterov_f64, base);
    return run(compute, p, kernels->momentum_f32, kernels->momentum_f64, base);
}

#define OPTIMIZER(op, prefix, attributes)                                                                              \
    const sdx_op sdx_op_##op = {                                                                                       \
        .domain = "ai.onnx.preview.training",                                                                          \
        .name = #op,                                                                                                   \
        .versions = (const sdx_op_version[]){{1, "R:T1 T:T2 inputs:T3** -> outputs:T3**",                              \
                                              "T1=f32|f64 T2=i64 T3=f32|f64", attributes},                             \
                                             {0, NULL, NULL, NULL}},                                                   \
        .params_size = sizeof(optimizer),                                                                              \
        .bind = prefix##_bind,                                                                                         \
        .infer = optimizer_infer,                                                                                      \
        .compute = prefix##_compute,                                                                                   \
        .grad = sdx_no_gradient,                                                                                       \
    };
OPTIMIZER(Adagrad, adagrad, "decay_factor:float=0 epsilon:float=1e-06 norm_coefficient:float=0")
OPTIMIZER(Adam, adam,
          "alpha:float=0.9 beta:float=0.999 epsilon:float=1e-06 norm_coefficient:float=0 norm_coefficient_post:float=0")
OPTIMIZER(Momentum, momentum, "alpha:float! beta:float! mode:string! norm_coefficient:float!")
