/* SPDX-License-Identifier: Apache-2.0
 * Range: start + i * delta for i < max(ceil((limit - start) / delta), 0). f16 and bf16 are computed in the
 * precision of stash_type, f32 in f64; each rounds once. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <math.h>

typedef struct range_params {
    bool f64; /* stash_type asks for it */
} range_params;

static sdx_status range_bind(sdx_bind *bind, void *params) {
    range_params *p = params;
    int64_t stash = bind->since >= 27 ? sdx_bind_int(bind, "stash_type") : SDX_F32;
    p->f64 = stash == SDX_F64;
    if (stash != SDX_F32 && stash != SDX_F64)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'stash_type' is %" PRId64 "; it must be 1 (f32) or 11 (f64)",
                             stash);
    return bind->status;
}

/* The three scalars in the type the work is done in. */
typedef struct range_scalars {
    bool whole;
    int64_t i[3];
    double f[3];
    int64_t count;
} range_scalars;

static double real_of(const sdx_tensor *tensor) {
    float single = 0;
    if (tensor->dtype == SDX_F64) return *(const double *)tensor->data;
    sdx_convert(NULL, tensor->dtype, tensor->data, SDX_F32, &single, 1);
    return (double)single;
}

static int64_t whole_of(const sdx_tensor *tensor) {
    int64_t value = 0;
    sdx_convert(NULL, tensor->dtype, tensor->data, SDX_I64, &value, 1);
    return value;
}

static sdx_status count_whole(sdx_error *error, range_scalars *s) {
    bool up = s->i[2] > 0;
    if (s->i[2] == 0) return sdx_fail(error, SDX_VALUE, "input 'delta' is 0");
    if (up ? s->i[0] >= s->i[1] : s->i[0] <= s->i[1]) return SDX_OK;
    uint64_t span = up ? (uint64_t)s->i[1] - (uint64_t)s->i[0] : (uint64_t)s->i[0] - (uint64_t)s->i[1];
    uint64_t step = up ? (uint64_t)s->i[2] : 0 - (uint64_t)s->i[2], count = (span - 1) / step + 1;
    if (count > INT64_MAX) return sdx_fail(error, SDX_VALUE, "the range has too many elements");
    s->count = (int64_t)count;
    return SDX_OK;
}

static sdx_status read_scalars(sdx_error *error, const sdx_tensor *const *in, range_scalars *s) {
    static const char *const names[] = {"start", "limit", "delta"};
    *s = (range_scalars){.whole = sdx_dtype_class(in[0]->dtype) != SDX_CLASS_FLOAT};
    for (int k = 0; k < 3; k++) {
        if (in[k]->count != 1)
            return sdx_fail(error, SDX_SHAPE, "input '%s' has %" PRId64 " elements; it must be a scalar", names[k],
                            in[k]->count);
        if (s->whole)
            s->i[k] = whole_of(in[k]);
        else
            s->f[k] = real_of(in[k]);
    }
    if (s->whole) return count_whole(error, s);
    double count = ceil((s->f[1] - s->f[0]) / s->f[2]);
    if (s->f[2] == 0 || !isfinite(s->f[0]) || !isfinite(s->f[1]) || isnan(s->f[2]))
        return sdx_fail(error, SDX_VALUE, "start %g, limit %g and delta %g give no range", s->f[0], s->f[1], s->f[2]);
    if (count > 0x1p62) return sdx_fail(error, SDX_VALUE, "the range has too many elements");
    s->count = count > 0 ? (int64_t)count : 0;
    return SDX_OK;
}

static sdx_status range_infer(sdx_infer *infer, const void *params) {
    (void)params;
    range_scalars s;
    infer->out[0].rank = 1;
    infer->out[0].dim[0] = -1;
    if (!infer->value[0] || !infer->value[1] || !infer->value[2]) return SDX_OK;
    SDX_TRY(read_scalars(infer->error, infer->value, &s));
    infer->out[0].dim[0] = s.count;
    return SDX_OK;
}

typedef struct range_job {
    const range_scalars *s;
    bool f64;
    sdx_tensor *out;
} range_job;

enum { BLOCK = 256 };

static void range_block(const range_job *job, int64_t first, int64_t n, void *out) {
    const range_scalars *s = job->s;
    union {
        int64_t whole[BLOCK];
        double wide[BLOCK];
        float single[BLOCK];
    } v;
    if (s->whole) {
        for (int64_t i = 0; i < n; i++)
            v.whole[i] = (int64_t)((uint64_t)s->i[0] + (uint64_t)(first + i) * (uint64_t)s->i[2]);
        sdx_convert(NULL, SDX_I64, v.whole, job->out->dtype, out, n);
    } else if (job->f64) {
        for (int64_t i = 0; i < n; i++) v.wide[i] = s->f[0] + (double)(first + i) * s->f[2];
        sdx_convert(NULL, SDX_F64, v.wide, job->out->dtype, out, n);
    } else {
        for (int64_t i = 0; i < n; i++) v.single[i] = (float)s->f[0] + (float)(first + i) * (float)s->f[2];
        sdx_convert(NULL, SDX_F32, v.single, job->out->dtype, out, n);
    }
}

static void range_fill(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const range_job *job = argument;
    size_t size = sdx_dtype_size(job->out->dtype);
    for (int64_t i = begin; i < end; i += BLOCK)
        range_block(job, i, end - i < BLOCK ? end - i : BLOCK, (char *)job->out->data + (size_t)i * size);
}

static sdx_status range_compute(sdx_compute *compute, const void *params) {
    const range_params *p = params;
    range_scalars s;
    SDX_TRY(read_scalars(compute->error, compute->in, &s));
    sdx_tensor *out = sdx_compute_output(compute, 0, 1, &s.count);
    if (!out) return compute->error->status;
    range_job job = {&s, p->f64 || out->dtype == SDX_F64 || out->dtype == SDX_F32, out};
    return sdx_for(compute, s.count, SDX_GRAIN_MATH, range_fill, &job);
}

/* Element i is start + i delta; the limit only counts them. */
static sdx_status range_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    const sdx_id start = grad->node->in[0], delta = grad->node->in[2], dY = grad->dY[0];
    sdx_id whole = sdx_emit_int(patch, "ReduceSum", dY, SDX_NONE, "keepdims", 0);
    if (grad->needed[0]) grad->dX[0] = sdx_grad_reshape(patch, whole, start);
    grad->exact = true;
    if (!grad->needed[2]) return patch->status;
    sdx_id zero = sdx_patch_scalar(patch, SDX_I64, 0), one = sdx_patch_scalar(patch, SDX_I64, 1);
    sdx_id i = sdx_grad_cast(patch, sdx_emit3(patch, "Range", zero, sdx_emit1(patch, "Size", dY), one), start);
    sdx_id sum = sdx_emit_int(patch, "ReduceSum", sdx_emit2(patch, "Mul", dY, i), SDX_NONE, "keepdims", 0);
    grad->dX[2] = sdx_grad_reshape(patch, sum, delta);
    return patch->status;
}

const sdx_op sdx_op_Range = {
    .domain = "",
    .name = "Range",
    .versions =
        (const sdx_op_version[]){
            {11, "start:T limit:T delta:T -> output:T", "T=f32|f64|i16|i32|i64", ""},
            {27, "start:T limit:T delta:T -> output:T", "T=" SDX_T_FLOAT_BF "|i16|i32|i64", "stash_type:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(range_params),
    .bind = range_bind,
    .infer = range_infer,
    .compute = range_compute,
    .grad = range_grad,
};
