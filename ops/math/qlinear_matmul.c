/* SPDX-License-Identifier: Apache-2.0
 * QLinearMatMul: the product of quantized matrices, quantized again. 8-bit integers are multiplied as they are,
 * exactly; with a matrix of 8-bit floats both become f32. */
#include "ops/loop.h"
#include "ops/math/dot_matmul.h"
#include "ops/math/matmul.h"
#include "ops/quantization/requantize.h"

enum { A, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, Y_SCALE, Y_ZERO };

static sdx_status check_pair(sdx_error *error, const char *name, const sdx_type *scale, const sdx_type *zero) {
    if (!sdx_type_concrete(scale) || !sdx_type_concrete(zero)) return SDX_OK;
    int64_t scales = 1, zeros = 1;
    for (int d = 0; d < scale->rank; d++) scales *= scale->dim[d];
    for (int d = 0; d < zero->rank; d++) zeros *= zero->dim[d];
    bool same = scale->rank == zero->rank || (scales == 1 && zeros == 1);
    for (int d = 0; same && d < scale->rank && d < zero->rank; d++) same = scale->dim[d] == zero->dim[d];
    if (same) return SDX_OK;
    char is[128], other[128];
    return sdx_fail(error, SDX_SHAPE, "input '%s_scale' is %s and '%s_zero_point' %s; they must have one shape", name,
                    sdx_type_text(scale, is, sizeof is), name, sdx_type_text(zero, other, sizeof other));
}

static sdx_status qlinear_infer(sdx_infer *infer, const void *params) {
    sdx_unpacked unpacked;
    infer = sdx_unpack_types(infer, params, B, &unpacked);
    SDX_TRY(sdx_matmul_infer(infer, A, B));
    SDX_TRY(check_pair(infer->error, "a", infer->in[A_SCALE], infer->in[A_ZERO]));
    SDX_TRY(check_pair(infer->error, "b", infer->in[B_SCALE], infer->in[B_ZERO]));
    SDX_TRY(sdx_dot_lines_check(infer->error, "a_scale", infer->in[A_SCALE], infer->in[A], false));
    SDX_TRY(sdx_dot_lines_check(infer->error, "b_scale", infer->in[B_SCALE], infer->in[B], true));
    SDX_TRY(sdx_infer_single(infer, Y_SCALE, "y_scale"));
    return sdx_infer_single(infer, Y_ZERO, "y_zero_point");
}

static bool is_float(sdx_dtype dtype) { return sdx_dtype_class(dtype) == SDX_CLASS_FLOAT; }

/* Scratch of the floating way: A, B and C as f32, then the product's. */
typedef struct layout {
    size_t a, b, c, product; /* where they begin */
    size_t bytes;            /* SIZE_MAX: too large */
} layout;

static layout lay_out(const sdx_type *a, const sdx_type *b, const sdx_dot *dot, int threads) {
    layout l = {0};
    int64_t counts[3] = {1, 1, dot->m * dot->n}, batch = 1;
    size_t *const ends[3] = {&l.b, &l.c, &l.product}, product = 0;
    for (int d = 0; d < a->rank; d++) counts[0] *= a->dim[d];
    for (int d = 0; d < b->rank; d++) counts[1] *= b->dim[d];
    for (int d = 0; d < dot->batch_rank; d++) batch *= dot->batch_dim[d];
    counts[2] *= batch;
    size_t at = 0;
    for (int k = 0; k < 3; k++) {
        size_t bytes = 0;
        if (!sdx_size_mul((size_t)counts[k], sizeof(float), &bytes) || !sdx_size_add(at, bytes, &at) ||
            !sdx_size_add(at, SDX_ALIGNMENT, &at))
            return (layout){.bytes = SIZE_MAX};
        at = at / SDX_ALIGNMENT * SDX_ALIGNMENT;
        *ends[k] = at;
    }
    product = sdx_product_scratch(SDX_F32, batch, dot->m, dot->n, dot->k, false, false, threads);
    if (!sdx_size_add(at, product, &l.bytes)) l.bytes = SIZE_MAX;
    return l;
}

static size_t qlinear_scratch(const sdx_infer *infer, const void *params) {
    sdx_unpacked unpacked;
    sdx_infer inner = *infer;
    infer = sdx_unpack_types(&inner, params, B, &unpacked);
    const sdx_type *a = infer->in[A], *b = infer->in[B];
    if (!is_float(a->dtype) && !is_float(b->dtype)) return sdx_dot_matmul_scratch(a, b, infer->threads);
    sdx_dot dot = {0};
    sdx_dot_matmul(&dot, a, b, infer->in[A_SCALE], infer->in[B_SCALE]);
    return lay_out(a, b, &dot, infer->threads).bytes;
}

/* One factor as f32 without its zero points; all matrices of it lie behind each other. */
typedef struct widen_job {
    const struct sdx_kernels *kernels;
    const sdx_tensor *x, *zero;
    int64_t lines, k; /* of a matrix */
    bool is_b;
    float *to;
} widen_job;

static void widen_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const widen_job *job = argument;
    const int64_t columns = job->is_b ? job->lines : job->k, rows = job->is_b ? job->k : job->lines;
    const bool single = job->zero->count == 1, each = job->zero->rank > 1;
    for (int64_t r = begin; r < end; r++) {
        const int64_t matrix = r / rows, first = each ? matrix * job->lines : 0;
        float *to = job->to + r * columns, zero = 0;
        sdx_convert(job->kernels, job->x->dtype, (const char *)job->x->data + r * columns, SDX_F32, to, columns);
        for (int64_t i = 0; i < columns; i++) {
            const int64_t line = job->is_b ? i : r % rows;
            if (i == 0 || (job->is_b && !single))
                sdx_convert(job->kernels, job->zero->dtype, (const char *)job->zero->data + (single ? 0 : first + line),
                            SDX_F32, &zero, 1);
            to[i] -= zero;
        }
    }
}

static sdx_status widen(sdx_compute *compute, const sdx_dot *dot, bool is_b, float *to) {
    widen_job job = {.kernels = compute->kernels, .x = compute->in[is_b ? B : A], .is_b = is_b, .to = to};
    const int rank = job.x->rank;
    job.zero = compute->in[is_b ? B_ZERO : A_ZERO];
    job.k = dot->k;
    job.lines = rank < 2 ? 1 : job.x->dim[is_b ? rank - 1 : rank - 2];
    const int64_t columns = is_b ? job.lines : job.k;
    return sdx_for(compute, columns ? job.x->count / columns : 0, sdx_grain(columns * 4), widen_rows, &job);
}

static void finish_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const sdx_requantize *const *job = argument;
    const sdx_dot *dot = (*job)->dot;
    for (int64_t r = begin; r < end; r++) {
        float *row = (float *)(void *)dot->c + r * dot->n;
        sdx_block block = {r / dot->m, r % dot->m, 0, 1, dot->n, row, dot->n};
        sdx_requantize_block(*job, &block);
    }
}

static sdx_status run_floats(sdx_compute *compute, sdx_dot *dot, sdx_requantize *end) {
    sdx_type a = sdx_type_of_tensor(compute->in[A]), b = sdx_type_of_tensor(compute->in[B]);
    const layout l = lay_out(&a, &b, dot, 1);
    char *scratch = compute->scratch;
    sdx_product product = {.dtype = SDX_F32, .m = dot->m, .n = dot->n, .k = dot->k, .alpha = 1, .beta = 1};
    product.batch_rank = dot->batch_rank;
    product.a = (sdx_factor){.data = scratch + l.a, .line_step = dot->a.line_step, .k_step = dot->a.k_step};
    product.b = (sdx_factor){.data = scratch + l.b, .line_step = dot->b.line_step, .k_step = dot->b.k_step};
    int64_t rows = dot->m;
    for (int d = 0; d < dot->batch_rank; d++) {
        rows *= product.batch_dim[d] = dot->batch_dim[d];
        product.a.batch_step[d] = dot->a.batch_step[d];
        product.b.batch_step[d] = dot->b.batch_step[d];
    }
    product.c = scratch + l.c;
    dot->c = product.c;
    end->from_f32 = true;
    SDX_TRY(widen(compute, dot, false, (float *)(void *)(scratch + l.a)));
    SDX_TRY(widen(compute, dot, true, (float *)(void *)(scratch + l.b)));
    SDX_TRY(sdx_product_run(compute, &product, scratch + l.product));
    const sdx_requantize *job = end;
    return sdx_for(compute, rows, sdx_grain(dot->n * 4), finish_rows, &job);
}

static sdx_line_scales scales_of(const sdx_dot_factor *factor, const sdx_tensor *tensor) {
    sdx_line_scales scales = {.tensor = tensor, .step = factor->zero_step};
    for (int d = 0; d < SDX_MAX_RANK; d++) scales.batch_step[d] = factor->zero_batch_step[d];
    return scales;
}

static sdx_status qlinear_compute(sdx_compute *compute, const void *params) {
    const sdx_packed_weight *weight = params;
    sdx_unpacked unpacked;
    const sdx_tensor *const *in = sdx_unpack_inputs(compute, weight, B, &unpacked), *a = in[A], *b = in[B];
    sdx_type type_a = sdx_type_of_tensor(a), type_b = sdx_type_of_tensor(b);
    sdx_type lines_a = sdx_type_of_tensor(in[A_SCALE]), lines_b = sdx_type_of_tensor(in[B_SCALE]);
    sdx_dot dot = {0};
    sdx_dot_matmul(&dot, &type_a, &type_b, &lines_a, &lines_b);
    sdx_requantize end = {.kernels = compute->kernels, .dot = &dot, .y = compute->out[0]->data};
    end.dtype = compute->out[0]->dtype;
    end.row = scales_of(&dot.a, in[A_SCALE]), end.column = scales_of(&dot.b, in[B_SCALE]);
    end.scale = sdx_scalar_f32(in[Y_SCALE]), end.zero = sdx_scalar_f32(in[Y_ZERO]);
    if (is_float(a->dtype) || is_float(b->dtype)) return run_floats(compute, &dot, &end);
    dot.a.data = a->data, dot.a.dtype = a->dtype, dot.a.zero = in[A_ZERO]->data;
    dot.b.data = b->data, dot.b.dtype = b->dtype, dot.b.zero = in[B_ZERO]->data;
    if (weight->shape.n) sdx_unpack_factor(compute->kernels, compute->in[B]->data, true, 1, dot.n, dot.k, &dot.b);
    dot.finish = sdx_requantize_block, dot.finish_context = &end;
    return sdx_dot_run(compute, &dot, compute->scratch);
}

#define SIGNATURE(scale)                                                                                               \
    "a:T1 a_scale:" scale " a_zero_point:T1 b:T2 b_scale:" scale " b_zero_point:T2 y_scale:" scale                     \
    " y_zero_point:T3 -> y:T3"
#define F8 "f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i8|u8"

static sdx_status packed_bind(sdx_bind *bind, void *params) { return sdx_packed_weight_bind(bind, params); }

const sdx_op sdx_op_QLinearMatMul = {
    .domain = "",
    .name = "QLinearMatMul",
    .versions =
        (const sdx_op_version[]){
            {10, SIGNATURE("f32"), "T1=i8|u8 T2=i8|u8 T3=i8|u8", ""},
            {21, SIGNATURE("TS"), "TS=bf16|f16|f32 T1=" F8 " T2=" F8 " T3=" F8, ""},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_packed_weight), /* none */
    .infer = qlinear_infer,
    .scratch = qlinear_scratch,
    .compute = qlinear_compute,
    .grad = sdx_no_gradient,
};

const sdx_op sdx_op_PackedQLinearMatMul = {
    .domain = "sdx",
    .name = "PackedQLinearMatMul",
    .versions =
        (const sdx_op_version[]){
            {1, "a:T1 a_scale:TS a_zero_point:T1 b:V b_scale:TS b_zero_point:T2 y_scale:TS y_zero_point:T3 -> y:T3",
             "TS=bf16|f16|f32 T1=i8|u8 T2=i8|u8 T3=" F8 " V=u8", SDX_PACKED_WEIGHT},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_packed_weight),
    .bind = packed_bind,
    .infer = qlinear_infer,
    .scratch = qlinear_scratch,
    .compute = qlinear_compute,
    .flags = SDX_OP_INTERNAL,
};
