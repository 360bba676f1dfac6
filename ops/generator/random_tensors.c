/* SPDX-License-Identifier: Apache-2.0
 * RandomUniform: low + u (high - low); RandomNormal: mean + z scale; and both in the shape of an input (...Like). u has
 * as many bits as the output type, so that it stays below 1 when it is rounded. */
#include "ops/generator/draw.h"
#include "ops/generator/random.h"
#include "ops/loop.h"
#include <inttypes.h>

enum { BLOCK = 256, GRAIN = 8192 };

typedef struct random_params {
    double base, width; /* low and high - low, or mean and scale */
    sdx_seed seed;
    sdx_dtype dtype;
    sdx_ints shape;
} random_params;

static sdx_status random_bind(sdx_bind *bind, random_params *p, bool normal, bool like) {
    p->base = (double)sdx_bind_float(bind, normal ? "mean" : "low");
    p->width = (double)sdx_bind_float(bind, normal ? "scale" : "high");
    if (!normal) p->width -= p->base;
    p->seed = sdx_bind_seed(bind);
    p->dtype = sdx_bind_dtype(bind, "dtype");
    if (!like) p->shape = sdx_bind_ints(bind, "shape");
    if (p->shape.n > SDX_MAX_RANK)
        sdx_bind_fail(bind, SDX_SHAPE, "attribute 'shape' has %zu entries; it may have %d", p->shape.n, SDX_MAX_RANK);
    for (size_t d = 0; d < p->shape.n; d++)
        if (p->shape.data[d] < 0)
            return sdx_bind_fail(bind, SDX_VALUE, "attribute 'shape' holds %" PRId64 " at %zu; it must be 0 or more",
                                 p->shape.data[d], d);
    return bind->status;
}

static sdx_status random_infer(sdx_infer *infer, const void *params) {
    const random_params *p = params;
    sdx_type *y = &infer->out[0];
    const bool like = infer->n_in > 0;
    y->dtype = p->dtype ? p->dtype : like ? infer->in[0]->dtype : SDX_F32;
    const bool fits = y->dtype == SDX_F32 || y->dtype == SDX_F64 || y->dtype == SDX_F16 ||
                      (y->dtype == SDX_BF16 && infer->since >= 22) || y->dtype == SDX_UNDEFINED;
    if (!fits)
        return sdx_fail(infer->error, SDX_TYPE, "the output would be %s; %s", sdx_dtype_name(y->dtype),
                        p->dtype ? "attribute 'dtype' must name a floating type"
                                 : "attribute 'dtype' must be given for an input like this");
    if (like) {
        sdx_infer_same(infer, 0, 0);
        return SDX_OK;
    }
    y->rank = (int)p->shape.n;
    for (int d = 0; d < y->rank; d++) y->dim[d] = p->shape.data[d];
    return SDX_OK;
}

typedef struct random_job {
    const sdx_kernels *kernels;
    sdx_tensor *y;
    sdx_draw draw;
} random_job;

static void random_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const random_job *job = argument;
    const size_t size = sdx_dtype_size(job->y->dtype);
    double drawn[BLOCK];
    for (int64_t k = begin; k < end; k += BLOCK) {
        const int64_t n = end - k < BLOCK ? end - k : BLOCK;
        sdx_random(job->kernels, &job->draw, (uint64_t)k, n, drawn);
        sdx_convert(job->kernels, SDX_F64, drawn, job->y->dtype, (char *)job->y->data + (size_t)k * size, n);
    }
}

static sdx_status random_compute(sdx_compute *compute, const random_params *p, bool normal) {
    const sdx_tensor *like = compute->n_in ? compute->in[0] : NULL;
    random_job job = {.kernels = compute->kernels, .y = compute->out[0]};
    if (!job.y)
        job.y = sdx_compute_output(compute, 0, like ? like->rank : (int)p->shape.n, like ? like->dim : p->shape.data);
    if (!job.y) return compute->error->status;
    job.draw = (sdx_draw){sdx_seed_key(compute, p->seed), normal, 53, p->base, p->width};
    const sdx_dtype dtype = job.y->dtype;
    if (dtype != SDX_F64) job.draw.bits = dtype == SDX_F32 ? 24 : dtype == SDX_F16 ? 11 : 8;
    return sdx_for(compute, job.y->count, GRAIN, random_range, &job);
}

#define RANDOM(Name, normal, like, ...)                                                                                \
    static sdx_status Name##_bind(sdx_bind *bind, void *params) { return random_bind(bind, params, normal, like); }    \
    static sdx_status Name##_compute(sdx_compute *compute, const void *params) {                                       \
        return random_compute(compute, params, normal);                                                                \
    }                                                                                                                  \
    const sdx_op sdx_op_##Name = {.domain = "",                                                                        \
                                  .name = #Name,                                                                       \
                                  .versions = (const sdx_op_version[]){__VA_ARGS__, {0, NULL, NULL, NULL}},            \
                                  .params_size = sizeof(random_params),                                                \
                                  .bind = Name##_bind,                                                                 \
                                  .infer = random_infer,                                                               \
                                  .compute = Name##_compute,                                                           \
                                  .grad = sdx_no_gradient,                                                             \
                                  .flags = SDX_OP_RANDOM}

#define UNIFORM "high:float=1 low:float=0 seed:float"
#define NORMAL  "mean:float=0 scale:float=1 seed:float"

RANDOM(RandomNormal, true, false, {1, "-> output:T", "T=" SDX_T_FLOAT, "dtype:int=1 " NORMAL " shape:ints!"},
       {22, "-> output:T", "T=" SDX_T_FLOAT_BF, "dtype:int=1 " NORMAL " shape:ints!"});
RANDOM(RandomUniform, false, false, {1, "-> output:T", "T=" SDX_T_FLOAT, "dtype:int=1 " UNIFORM " shape:ints!"},
       {22, "-> output:T", "T=" SDX_T_FLOAT_BF, "dtype:int=1 " UNIFORM " shape:ints!"});
RANDOM(RandomNormalLike, true, true,
       {1, "input:T1 -> output:T2", "T1=" SDX_T_ALL " T2=" SDX_T_FLOAT, "dtype:int " NORMAL},
       {22, "input:T1 -> output:T2", "T1=" SDX_T_ALL_BF " T2=" SDX_T_FLOAT_BF, "dtype:int " NORMAL});
RANDOM(RandomUniformLike, false, true,
       {1, "input:T1 -> output:T2", "T1=" SDX_T_ALL " T2=" SDX_T_FLOAT, "dtype:int " UNIFORM},
       {22, "input:T1 -> output:T2", "T1=" SDX_T_ALL_BF " T2=" SDX_T_FLOAT_BF, "dtype:int " UNIFORM});
