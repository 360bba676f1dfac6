/* SPDX-License-Identifier: Apache-2.0
 * Multinomial: outcomes with probabilities in proportion to e^input, found in the running sums of a row. */
#include "ops/generator/draw.h"
#include "ops/generator/random.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>

enum { BLOCK = 128 }; /* numbers drawn at a time */

typedef struct multinomial_params {
    sdx_dtype dtype;
    sdx_seed seed;
    int64_t samples;
} multinomial_params;

static sdx_status multinomial_bind(sdx_bind *bind, void *params) {
    multinomial_params *p = params;
    p->dtype = sdx_bind_dtype(bind, "dtype");
    p->seed = sdx_bind_seed(bind);
    p->samples = sdx_bind_int(bind, "sample_size");
    if (p->samples < 1)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'sample_size' is %" PRId64 "; it must be 1 or more", p->samples);
    if (bind->status == SDX_OK && p->dtype != SDX_I32 && p->dtype != SDX_I64)
        sdx_bind_fail(bind, SDX_TYPE, "attribute 'dtype' is %s; it must be i32 or i64", sdx_dtype_name(p->dtype));
    return bind->status;
}

static sdx_status multinomial_infer(sdx_infer *infer, const void *params) {
    const multinomial_params *p = params;
    const sdx_type *x = infer->in[0];
    sdx_type *y = &infer->out[0];
    SDX_TRY(sdx_infer_rank(infer, 0, "input", 2));
    y->dtype = p->dtype;
    y->rank = 2;
    y->dim[0] = x->rank == 2 ? x->dim[0] : -1;
    y->dim[1] = p->samples;
    if (x->rank == 2 && x->dim[1] == 0)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'input' has no classes; there must be 1 or more");
    return SDX_OK;
}

static size_t multinomial_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    size_t count = 0, bytes = 0;
    const sdx_type *x = infer->in[0];
    if (!sdx_size_mul((size_t)x->dim[0], (size_t)x->dim[1], &count) || !sdx_size_mul(count, sizeof(double), &bytes))
        return SIZE_MAX;
    return bytes;
}

typedef struct multinomial_job {
    const struct sdx_kernels *kernels;
    const sdx_tensor *x, *y;
    double *sums; /* running sums of each row */
    int64_t classes, samples;
    sdx_draw draw;
    _Atomic int64_t bad; /* the first row without probabilities */
} multinomial_job;

static void sum_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    multinomial_job *job = argument;
    const int64_t n = job->classes;
    for (int64_t r = begin; r < end; r++) {
        double *row = job->sums + r * n, most = -INFINITY, sum = 0;
        bool bad = false;
        sdx_convert(job->kernels, job->x->dtype,
                    (const char *)job->x->data + (size_t)(r * n) * sdx_dtype_size(job->x->dtype), SDX_F64, row, n);
        for (int64_t k = 0; k < n; k++) {
            bad = bad || isnan(row[k]) || row[k] == INFINITY;
            most = row[k] > most ? row[k] : most;
        }
        for (int64_t k = 0; k < n; k++) row[k] = sum += exp(row[k] - most);
        if (!bad && most > -INFINITY) continue;
        int64_t seen = atomic_load(&job->bad);
        while (r < seen && !atomic_compare_exchange_weak(&job->bad, &seen, r)) {
        }
    }
}

static void pick(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const multinomial_job *job = argument;
    double drawn[BLOCK];
    for (int64_t t = begin; t < end; t++) {
        const double *row = job->sums + t / job->samples * job->classes;
        if ((t - begin) % BLOCK == 0)
            sdx_random(job->kernels, &job->draw, (uint64_t)t, end - t < BLOCK ? end - t : BLOCK, drawn);
        const double at = drawn[(t - begin) % BLOCK] * row[job->classes - 1];
        int64_t low = 0, high = job->classes - 1; /* the first sum above `at` */
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (row[middle] > at)
                high = middle;
            else
                low = middle + 1;
        }
        if (job->y->dtype == SDX_I32)
            ((int32_t *)job->y->data)[t] = (int32_t)low;
        else
            ((int64_t *)job->y->data)[t] = low;
    }
}

static sdx_status multinomial_compute(sdx_compute *compute, const void *params) {
    const multinomial_params *p = params;
    const sdx_tensor *x = compute->in[0];
    multinomial_job job = {.kernels = compute->kernels, .x = x, .sums = compute->scratch};
    job.classes = x->dim[1], job.samples = p->samples;
    job.draw = (sdx_draw){.key = sdx_seed_key(compute, p->seed), .bits = 53, .width = 1};
    job.y = sdx_compute_output(compute, 0, 2, (const int64_t[]){x->dim[0], p->samples});
    if (!job.y) return compute->error->status;
    atomic_init(&job.bad, INT64_MAX);
    SDX_TRY(sdx_for(compute, x->dim[0], sdx_grain(job.classes * 16), sum_rows, &job));
    const int64_t bad = atomic_load(&job.bad);
    if (bad != INT64_MAX)
        return sdx_fail(compute->error, SDX_VALUE,
                        "row %" PRId64 " of input 'input' holds NaN, +infinity or nothing but -infinity; it must hold "
                        "logarithms of probabilities",
                        bad);
    return sdx_for(compute, x->dim[0] * p->samples, SDX_GRAIN_HEAVY, pick, &job);
}

const sdx_op sdx_op_Multinomial = {
    .domain = "",
    .name = "Multinomial",
    .versions =
        (const sdx_op_version[]){
            {7, "input:T1 -> output:T2", "T1=" SDX_T_FLOAT " T2=i32|i64", "dtype:int=6 sample_size:int=1 seed:float"},
            {22, "input:T1 -> output:T2", "T1=" SDX_T_FLOAT_BF " T2=i32|i64",
             "dtype:int=6 sample_size:int=1 seed:float"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(multinomial_params),
    .bind = multinomial_bind,
    .infer = multinomial_infer,
    .scratch = multinomial_scratch,
    .compute = multinomial_compute,
    .grad = sdx_no_gradient,
    .flags = SDX_OP_RANDOM,
};
