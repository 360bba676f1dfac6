/* SPDX-License-Identifier: Apache-2.0
 * GradientNorm: the norm of all its inputs together, summed in f64 over pieces of fixed size, so that it does not
 * depend on the number of threads. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include <math.h>

enum { CHUNK = 16384, PIECE = 512 };

static sdx_status norm_infer(sdx_infer *infer, const void *params) {
    (void)params;
    infer->out[0].rank = 0;
    return SDX_OK;
}

static size_t norm_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    size_t chunks = 1;
    for (int i = 0; i < infer->n_in; i++) {
        int64_t count = 1;
        for (int d = 0; d < infer->in[i]->rank; d++)
            if (infer->in[i]->dim[d] < 0 || !sdx_dim_mul(count, infer->in[i]->dim[d], &count)) return SIZE_MAX;
        const size_t own = (size_t)count / CHUNK + 1;
        chunks = own > chunks ? own : chunks;
    }
    return chunks * sizeof(double);
}

typedef struct norm_job {
    const sdx_kernels *kernels;
    const sdx_tensor *x;
    double *partial;
} norm_job;

static double piece_sum(const norm_job *job, int64_t first, int64_t n) {
    const sdx_tensor *x = job->x;
    const char *at = (const char *)x->data + (size_t)first * sdx_dtype_size(x->dtype);
    float wide[PIECE];
    double sum = 0;
    if (x->dtype == SDX_F64) return job->kernels->square_sum_f64((const double *)(const void *)at, n, 0);
    if (x->dtype == SDX_F32) return job->kernels->square_sum_f32((const float *)(const void *)at, n, 0);
    for (int64_t k = 0, m; k < n; k += m) {
        m = n - k < PIECE ? n - k : PIECE;
        sdx_convert(job->kernels, x->dtype, at + (size_t)k * sdx_dtype_size(x->dtype), SDX_F32, wide, m);
        sum += job->kernels->square_sum_f32(wide, m, 0);
    }
    return sum;
}

static void norm_range(void *argument, int64_t begin, int64_t end, int worker) {
    const norm_job *job = argument;
    (void)worker;
    for (int64_t c = begin; c < end; c++) {
        const int64_t first = c * CHUNK, left = job->x->count - first;
        job->partial[c] = piece_sum(job, first, left < CHUNK ? left : CHUNK);
    }
}

static sdx_status norm_compute(sdx_compute *compute, const void *params) {
    (void)params;
    norm_job job = {.kernels = compute->kernels, .partial = compute->scratch};
    double sum = 0;
    for (int i = 0; i < compute->n_in; i++) {
        job.x = compute->in[i];
        const int64_t chunks = (job.x->count + CHUNK - 1) / CHUNK;
        SDX_TRY(sdx_for(compute, chunks, 1, norm_range, &job));
        for (int64_t c = 0; c < chunks; c++) sum += job.partial[c];
    }
    const double norm = sqrt(sum);
    if (compute->out[0])
        sdx_convert(compute->kernels, SDX_F64, &norm, compute->out[0]->dtype, compute->out[0]->data, 1);
    return SDX_OK;
}

static sdx_id cast(sdx_patch *patch, sdx_id x, sdx_dtype to) {
    return sdx_emit_int(patch, "Cast", x, SDX_NONE, "to", to);
}

static sdx_status norm_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    sdx_id total = SDX_NONE;
    (void)params;
    for (int i = 0; i < node->n_in; i++) {
        const sdx_id x = cast(patch, node->in[i], SDX_F64);
        sdx_node *sum = sdx_patch_node(patch, "", "ReduceSumSquare", 1, &x, 1);
        sdx_patch_int(patch, sum, "keepdims", 0);
        total = i == 0 ? sum->out[0] : sdx_emit2(patch, "Add", total, sum->out[0]);
    }
    const sdx_dtype to = patch->graph->values[node->out[0]].type.dtype;
    sdx_patch_replace(patch, node->out[0], cast(patch, sdx_emit1(patch, "Sqrt", total), to));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_GradientNorm = {
    .domain = "sdx",
    .name = "GradientNorm",
    .versions = (const sdx_op_version[]){{1, "inputs:T** -> norm:f64", "T=" SDX_T_FLOAT_BF, ""}, {0, NULL, NULL, NULL}},
    .infer = norm_infer,
    .scratch = norm_scratch,
    .compute = norm_compute,
    .grad = sdx_no_gradient,
    .expand = norm_expand,
    .flags = SDX_OP_INTERNAL,
};
