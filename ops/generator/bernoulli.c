/* SPDX-License-Identifier: Apache-2.0
 * Bernoulli: 1 with the probability that the input holds, else 0. */
#include "ops/generator/draw.h"
#include "ops/generator/random.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <stdatomic.h>

enum { BLOCK = 256, GRAIN = 8192 };

typedef struct bernoulli_params {
    sdx_dtype dtype;
    sdx_seed seed;
} bernoulli_params;

static sdx_status bernoulli_bind(sdx_bind *bind, void *params) {
    bernoulli_params *p = params;
    p->dtype = sdx_bind_dtype(bind, "dtype");
    p->seed = sdx_bind_seed(bind);
    return bind->status;
}

static sdx_status bernoulli_infer(sdx_infer *infer, const void *params) {
    const bernoulli_params *p = params;
    sdx_infer_same(infer, 0, 0);
    sdx_dtype dtype = p->dtype ? p->dtype : infer->in[0]->dtype;
    infer->out[0].dtype = dtype;
    const int kind = sdx_dtype_class(dtype);
    const bool small = sdx_dtype_bits(dtype) < 8 || (kind == SDX_CLASS_FLOAT && sdx_dtype_bits(dtype) < 16);
    if (dtype && (small || kind == SDX_CLASS_STRING || kind == SDX_CLASS_COMPLEX))
        return sdx_fail(infer->error, SDX_TYPE,
                        "attribute 'dtype' is %s; it must be bool, a whole or a floating type of 8 bits and more, "
                        "16 for floating ones",
                        sdx_dtype_name(dtype));
    return SDX_OK;
}

typedef struct bernoulli_job {
    const struct sdx_kernels *kernels;
    const sdx_tensor *x;
    sdx_tensor *y;
    sdx_draw draw;
    _Atomic int64_t bad; /* the first position that holds no probability */
} bernoulli_job;

static void note(_Atomic int64_t *first, int64_t k) {
    int64_t seen = atomic_load(first);
    while (k < seen && !atomic_compare_exchange_weak(first, &seen, k)) {
    }
}

static void bernoulli_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    bernoulli_job *job = argument;
    const size_t x_size = sdx_dtype_size(job->x->dtype), y_size = sdx_dtype_size(job->y->dtype);
    double probability[BLOCK], drawn[BLOCK];
    uint8_t one[BLOCK];
    for (int64_t k = begin; k < end; k += BLOCK) {
        const int64_t n = end - k < BLOCK ? end - k : BLOCK;
        sdx_convert(job->kernels, job->x->dtype, (const char *)job->x->data + (size_t)k * x_size, SDX_F64, probability,
                    n);
        sdx_random(job->kernels, &job->draw, (uint64_t)k, n, drawn);
        for (int64_t i = 0; i < n; i++) {
            if (!(probability[i] >= 0 && probability[i] <= 1)) note(&job->bad, k + i);
            one[i] = drawn[i] < probability[i];
        }
        sdx_convert(job->kernels, SDX_BOOL, one, job->y->dtype, (char *)job->y->data + (size_t)k * y_size, n);
    }
}

static sdx_status bernoulli_compute(sdx_compute *compute, const void *params) {
    const bernoulli_params *p = params;
    const sdx_tensor *x = compute->in[0];
    bernoulli_job job = {.kernels = compute->kernels, .x = x};
    job.draw = (sdx_draw){.key = sdx_seed_key(compute, p->seed), .bits = 53, .width = 1};
    job.y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!job.y) return compute->error->status;
    atomic_init(&job.bad, INT64_MAX);
    SDX_TRY(sdx_for(compute, x->count, GRAIN, bernoulli_range, &job));
    const int64_t bad = atomic_load(&job.bad);
    if (bad == INT64_MAX) return SDX_OK;
    double value = 0;
    sdx_convert(NULL, x->dtype, (const char *)x->data + (size_t)bad * sdx_dtype_size(x->dtype), SDX_F64, &value, 1);
    return sdx_fail(compute->error, SDX_VALUE, "input 'input' holds %g at element %" PRId64 "; it must be in [0, 1]",
                    value, bad);
}

#define OUTPUTS "bool|f16|f32|f64|i16|i32|i64|i8|u16|u32|u64|u8|bf16"

const sdx_op sdx_op_Bernoulli = {
    .domain = "",
    .name = "Bernoulli",
    .versions =
        (const sdx_op_version[]){
            {15, "input:T1 -> output:T2", "T1=" SDX_T_FLOAT " T2=" OUTPUTS, "dtype:int seed:float"},
            {22, "input:T1 -> output:T2", "T1=" SDX_T_FLOAT_BF " T2=" OUTPUTS, "dtype:int seed:float"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(bernoulli_params),
    .bind = bernoulli_bind,
    .infer = bernoulli_infer,
    .compute = bernoulli_compute,
    .grad = sdx_no_gradient,
    .flags = SDX_OP_RANDOM,
};
