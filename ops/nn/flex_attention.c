/* SPDX-License-Identifier: Apache-2.0
 * FlexAttention: Y = prob_mod(softmax(score_mod(scale Q K^T))) V, heads of K and V shared as in Attention. Without the
 * two graphs it is Attention, in tiles. They are given the whole matrix of scores, so with one of them it exists. Their
 * element type is softmax_precision, by default f32, or f64 for f64. */
#include "ops/math/product.h"
#include "ops/nn/attention.h"
#include "runtime/base/value.h"
#include <inttypes.h>
#include <math.h>

typedef struct flex_params {
    int score_mod, prob_mod; /* bodies; -1: none */
    bool has_scale;
    double scale;
    sdx_dtype precision; /* UNDEFINED: the default */
} flex_params;

static sdx_status flex_bind(sdx_bind *bind, void *params) {
    flex_params *p = params;
    p->score_mod = sdx_bind_body(bind, "score_mod");
    p->prob_mod = sdx_bind_body(bind, "prob_mod");
    p->has_scale = sdx_bind_has(bind, "scale");
    p->scale = (double)sdx_bind_float(bind, "scale");
    if (!sdx_bind_has(bind, "softmax_precision")) return bind->status;
    int64_t precision = sdx_bind_int(bind, "softmax_precision");
    if (precision != SDX_F32 && precision != SDX_F16 && precision != SDX_F64 && precision != SDX_BF16)
        return sdx_bind_fail(bind, SDX_VALUE,
                             "attribute 'softmax_precision' is %" PRId64 "; it must be 1 (float), 10 "
                             "(float16), 11 (double) or 16 (bfloat16)",
                             precision);
    p->precision = (sdx_dtype)precision;
    return bind->status;
}

static sdx_dtype precision_of(const flex_params *p, sdx_dtype dtype) {
    return p->precision ? p->precision : dtype == SDX_F64 ? SDX_F64 : SDX_F32;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static sdx_status merge(sdx_error *error, const char *what, int64_t a, int64_t b, int64_t *merged) {
    if (a >= 0 && b >= 0 && a != b)
        return sdx_fail(error, SDX_SHAPE, "%s differ: %" PRId64 " and %" PRId64, what, a, b);
    *merged = a >= 0 ? a : b;
    return SDX_OK;
}

/* batch, heads, kv_heads, queries, keys, size, value_size of the inputs; -1 where not known. */
static sdx_status read_shapes(sdx_error *error, const sdx_type *const *in, sdx_attend *a) {
    static const char *const names[] = {"Q", "K", "V"};
    static const int64_t unknown[4] = {-1, -1, -1, -1};
    const int64_t *dim[3] = {unknown, unknown, unknown};
    for (int k = Q; k <= V; k++) {
        if (in[k]->rank >= 0 && in[k]->rank != 4)
            return sdx_fail(error, SDX_SHAPE, "input '%s' has rank %d; it must be 4", names[k], in[k]->rank);
        if (in[k]->rank == 4) dim[k] = in[k]->dim;
    }
    SDX_TRY(merge(error, "batch sizes of 'Q' and 'K'", dim[Q][0], dim[K][0], &a->batch));
    SDX_TRY(merge(error, "batch sizes of 'Q' and 'V'", a->batch, dim[V][0], &a->batch));
    SDX_TRY(merge(error, "heads of 'K' and 'V'", dim[K][1], dim[V][1], &a->kv_heads));
    SDX_TRY(merge(error, "lengths of 'K' and 'V'", dim[K][2], dim[V][2], &a->keys));
    SDX_TRY(merge(error, "head sizes of 'Q' and 'K'", dim[Q][3], dim[K][3], &a->size));
    a->heads = dim[Q][1], a->queries = dim[Q][2], a->value_size = dim[V][3];
    if (a->heads >= 0 && a->kv_heads >= 0 && (a->kv_heads == 0 ? a->heads != 0 : a->heads % a->kv_heads != 0))
        return sdx_fail(error, SDX_SHAPE,
                        "'Q' has %" PRId64 " heads; it must have a multiple of the %" PRId64 " of 'K'", a->heads,
                        a->kv_heads);
    return SDX_OK;
}

static sdx_status infer_mod(sdx_infer *infer, int body, const char *name, const sdx_type *scores) {
    if (body < 0) return SDX_OK;
    const sdx_graph *graph = infer->node->bodies[body];
    char is[128], must[128];
    sdx_type out = {0};
    if (graph->n_inputs != 1 || graph->n_outputs != 1)
        return sdx_fail(infer->error, SDX_MALFORMED, "'%s' has %d inputs and %d outputs; it must have one of each",
                        name, graph->n_inputs, graph->n_outputs);
    SDX_TRY(infer->infer_body(infer, body, 1, scores, &out));
    bool same = (out.kind == 0 || out.kind == SDX_TENSOR) && (!out.dtype || out.dtype == scores->dtype);
    bool fits = same && (out.kind == 0 || out.rank < 0 || out.rank == 4);
    for (int d = 0; fits && out.kind && d < out.rank; d++)
        fits = out.dim[d] < 0 || scores->dim[d] < 0 || out.dim[d] == scores->dim[d];
    if (fits) return SDX_OK;
    return sdx_fail(infer->error, same ? SDX_SHAPE : SDX_TYPE, "'%s' gives %s; it must keep %s", name,
                    sdx_type_text(&out, is, sizeof is), sdx_type_text(scores, must, sizeof must));
}

static sdx_status flex_infer(sdx_infer *infer, const void *params) {
    const flex_params *p = params;
    sdx_attend a = {0};
    SDX_TRY(read_shapes(infer->error, infer->in, &a));
    sdx_type *y = &infer->out[0];
    *y = sdx_type_make(infer->in[Q]->dtype, 4);
    y->dim[0] = a.batch, y->dim[1] = a.heads, y->dim[2] = a.queries, y->dim[3] = a.value_size;
    sdx_type scores = sdx_type_make(precision_of(p, infer->in[Q]->dtype), 4);
    scores.dim[0] = a.batch, scores.dim[1] = a.heads, scores.dim[2] = a.queries, scores.dim[3] = a.keys;
    SDX_TRY(infer_mod(infer, p->score_mod, "score_mod", &scores));
    return infer_mod(infer, p->prob_mod, "prob_mod", &scores);
}

/* ---- without graphs ---------------------------------------------------------------------------------------------- */

static sdx_attend_view dense(sdx_dtype dtype, int64_t heads, int64_t rows, int64_t size) {
    return (sdx_attend_view){.dtype = dtype, .batch = heads * rows * size, .head = rows * size, .row = size};
}

static void describe(const flex_params *p, sdx_dtype dtype, sdx_attend *a) {
    a->work = dtype == SDX_F64 || p->precision == SDX_F64 ? SDX_F64 : SDX_F32;
    a->scale = p->has_scale ? p->scale : 1 / sqrt((double)a->size);
    a->left = a->right = -1;
    a->q = dense(dtype, a->heads, a->queries, a->size);
    a->k = dense(dtype, a->kv_heads, a->keys, a->size);
    a->v = dense(dtype, a->kv_heads, a->keys, a->value_size);
    a->y = dense(dtype, a->heads, a->queries, a->value_size);
}

static bool is_plain(const flex_params *p) { return p->score_mod < 0 && p->prob_mod < 0; }

static size_t flex_scratch(const sdx_infer *infer, const void *params) {
    sdx_attend a = {0};
    if (!is_plain(params) || read_shapes(NULL, infer->in, &a)) return 0;
    describe(params, infer->in[Q]->dtype, &a);
    return sdx_attend_scratch(&a, infer->threads);
}

/* ---- with graphs ------------------------------------------------------------------------------------------------- */

static sdx_status run_product(sdx_compute *compute, const sdx_product *product) {
    const int64_t batch = product->batch_dim[0] * product->batch_dim[1] * product->batch_dim[2];
    size_t size = sdx_product_scratch(product->dtype, batch, product->m, product->n, product->k, false, false,
                                      sdx_pool_threads(compute->pool));
    if (size > PTRDIFF_MAX)
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the size of the workspace of a product overflows");
    char *scratch = compute->services->alloc(compute, size + SDX_ALIGNMENT);
    if (!scratch) return compute->error->status;
    scratch += (SDX_ALIGNMENT - (uintptr_t)scratch % SDX_ALIGNMENT) % SDX_ALIGNMENT;
    return sdx_product_run(compute, product, scratch);
}

/* Batches are [batch, kv_heads, heads of Q for one of K]. */
static sdx_product batched(const sdx_attend *a, sdx_dtype dtype) {
    return (sdx_product){.dtype = dtype,
                         .m = a->queries,
                         .batch_rank = 3,
                         .alpha = 1,
                         .beta = 1,
                         .batch_dim = {a->batch, a->kv_heads, a->kv_heads ? a->heads / a->kv_heads : 0}};
}

static void set_steps(const sdx_product *product, sdx_factor *factor, int64_t head, bool shared) {
    factor->batch_step[2] = shared ? 0 : head;
    factor->batch_step[1] = shared ? head : head * product->batch_dim[2];
    factor->batch_step[0] = factor->batch_step[1] * product->batch_dim[1];
}

/* A tensor of another dtype with the same elements. */
static void convert_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const sdx_tensor *const *pair = argument, *from = pair[0], *to = pair[1];
    sdx_convert(sdx_kernels_get(), from->dtype, (const char *)from->data + (size_t)begin * sdx_dtype_size(from->dtype),
                to->dtype, (char *)to->data + (size_t)begin * sdx_dtype_size(to->dtype), end - begin);
}
static sdx_status convert(sdx_compute *compute, const sdx_tensor *from, const sdx_tensor *to) {
    const sdx_tensor *pair[2] = {from, to};
    return sdx_for(compute, from->count, SDX_GRAIN_CHEAP, convert_range, (void *)pair);
}

/* A temporary tensor of these dims, until the step ends. */
static sdx_status temporary(sdx_compute *compute, sdx_dtype dtype, int rank, const int64_t *dims, sdx_tensor *out) {
    SDX_TRY(sdx_tensor_make(out, dtype, rank, dims, NULL, compute->error));
    out->data = compute->services->alloc(compute, sdx_tensor_bytes(out) + 1);
    return out->data ? SDX_OK : compute->error->status;
}

/* scale Q K^T in the precision of the scores. */
static sdx_status make_scores(sdx_compute *compute, const sdx_attend *a, const sdx_tensor *scores) {
    const sdx_tensor *q = compute->in[Q], *k = compute->in[K];
    const sdx_dtype wide = sdx_work_dtype(q->dtype);
    sdx_tensor raw = *scores;
    if (scores->dtype != wide) SDX_TRY(temporary(compute, wide, scores->rank, scores->dim, &raw));
    sdx_product product = batched(a, q->dtype);
    product.n = a->keys, product.k = a->size;
    product.a = (sdx_factor){.data = q->data, .line_step = a->size, .k_step = 1};
    product.b = (sdx_factor){.data = k->data, .line_step = a->size, .k_step = 1};
    set_steps(&product, &product.a, a->queries * a->size, false);
    set_steps(&product, &product.b, a->keys * a->size, true);
    product.c = raw.data;
    product.wide = wide != q->dtype;
    product.alpha = a->scale;
    SDX_TRY(run_product(compute, &product));
    return scores->dtype == wide ? SDX_OK : convert(compute, &raw, scores);
}

/* Replaces *value by what the graph makes of it. */
static sdx_status run_mod(sdx_compute *compute, int body, const char *name, sdx_value **value) {
    if (body < 0) return SDX_OK;
    sdx_value *out = NULL;
    const sdx_tensor must = (*value)->tensor;
    SDX_TRY(compute->services->run_body(compute, body, 1, value, 1, &out));
    sdx_value_release(*value);
    *value = out;
    bool fits = out->kind == SDX_TENSOR && out->tensor.dtype == must.dtype && out->tensor.rank == must.rank;
    for (int d = 0; fits && d < must.rank; d++) fits = out->tensor.dim[d] == must.dim[d];
    if (fits) return SDX_OK;
    char is[128], text[128];
    return sdx_fail(compute->error, SDX_SHAPE, "'%s' gives %s; it must keep %s", name,
                    out->kind == SDX_TENSOR ? sdx_tensor_text(&out->tensor, is, sizeof is) : "no tensor",
                    sdx_tensor_text(&must, text, sizeof text));
}

typedef struct softmax_job {
    const sdx_kernels *kernels;
    const sdx_tensor *x, *y;
    double *rooms; /* a line for each worker */
} softmax_job;

static void softmax_f64(double *x, int64_t n) {
    double max = -INFINITY, sum = 0;
    for (int64_t k = 0; k < n; k++) max = x[k] > max ? x[k] : max;
    for (int64_t k = 0; k < n; k++) sum += x[k] = exp(x[k] - max);
    for (int64_t k = 0; k < n; k++) x[k] /= sum;
}

static void softmax_rows(void *argument, int64_t begin, int64_t end, int worker) {
    const softmax_job *job = argument;
    const sdx_dtype dtype = job->x->dtype, work = dtype == SDX_F64 ? SDX_F64 : SDX_F32;
    const int64_t n = job->x->dim[3], size = (int64_t)sdx_dtype_size(dtype);
    double *line = job->rooms + worker * n;
    for (int64_t row = begin; row < end; row++) {
        sdx_convert(job->kernels, dtype, (const char *)job->x->data + row * n * size, work, line, n);
        if (work == SDX_F64)
            softmax_f64(line, n);
        else
            job->kernels->softmax_f32((const void *)line, (void *)line, n);
        sdx_convert(job->kernels, work, line, dtype, (char *)job->y->data + row * n * size, n);
    }
}

/* *value becomes its softmax along the last axis. */
static sdx_status run_softmax(sdx_compute *compute, sdx_value **value) {
    const sdx_tensor *x = &(*value)->tensor;
    sdx_value *probs = sdx_value_new_tensor(compute->memory, x->dtype, x->rank, x->dim, compute->error);
    if (!probs) return compute->error->status;
    sdx_status status = SDX_OK;
    size_t bytes = 0;
    if (x->count && (!sdx_size_mul((size_t)x->dim[3], sizeof(double), &bytes) ||
                     !sdx_size_mul(bytes, (size_t)sdx_pool_threads(compute->pool), &bytes)))
        status = sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the size of the workspace overflows");
    softmax_job job = {.kernels = compute->kernels, .x = x, .y = &probs->tensor};
    if (!status && !(job.rooms = compute->services->alloc(compute, bytes + 1))) status = compute->error->status;
    if (!status && x->count)
        status = sdx_for(compute, x->count / x->dim[3], sdx_grain(x->dim[3] * 4), softmax_rows, &job);
    sdx_value_release(*value);
    *value = probs;
    return status;
}

/* The product in the precision of the probabilities, rounded to Y's dtype once. */
static sdx_status weigh_values(sdx_compute *compute, const sdx_attend *a, const sdx_tensor *probs,
                               const sdx_tensor *y) {
    const sdx_tensor *given = compute->in[V];
    sdx_tensor v = *given, out = *y;
    sdx_product product = batched(a, probs->dtype);
    const sdx_dtype wide = sdx_work_dtype(probs->dtype);
    if (v.dtype != probs->dtype) {
        SDX_TRY(temporary(compute, probs->dtype, given->rank, given->dim, &v));
        SDX_TRY(convert(compute, given, &v));
    }
    product.wide = probs->dtype != wide && y->dtype != probs->dtype;
    const sdx_dtype made = product.wide ? wide : probs->dtype;
    if (y->dtype != made) SDX_TRY(temporary(compute, made, y->rank, y->dim, &out));
    product.n = a->value_size, product.k = a->keys;
    product.a = (sdx_factor){.data = probs->data, .line_step = a->keys, .k_step = 1};
    product.b = (sdx_factor){.data = v.data, .line_step = 1, .k_step = a->value_size};
    set_steps(&product, &product.a, a->queries * a->keys, false);
    set_steps(&product, &product.b, a->keys * a->value_size, true);
    product.c = out.data;
    SDX_TRY(run_product(compute, &product));
    return out.data == y->data ? SDX_OK : convert(compute, &out, y);
}

static sdx_status run_whole(sdx_compute *compute, const flex_params *p, const sdx_attend *a, const sdx_tensor *y) {
    const int64_t dims[4] = {a->batch, a->heads, a->queries, a->keys};
    sdx_value *value = sdx_value_new_tensor(compute->memory, precision_of(p, y->dtype), 4, dims, compute->error);
    if (!value) return compute->error->status;
    sdx_status status = make_scores(compute, a, &value->tensor);
    if (!status) status = run_mod(compute, p->score_mod, "score_mod", &value);
    if (!status) status = run_softmax(compute, &value);
    if (!status) status = run_mod(compute, p->prob_mod, "prob_mod", &value);
    if (!status) status = weigh_values(compute, a, &value->tensor, y);
    sdx_value_release(value);
    return status;
}

static sdx_status flex_compute(sdx_compute *compute, const void *params) {
    const flex_params *p = params;
    sdx_type types[3];
    const sdx_type *in[3];
    sdx_attend a = {0};
    for (int k = Q; k <= V; k++) types[k] = sdx_type_of_tensor(compute->in[k]), in[k] = &types[k];
    SDX_TRY(read_shapes(compute->error, in, &a));
    describe(p, compute->in[Q]->dtype, &a);
    a.q.data = compute->in[Q]->data, a.k.data = compute->in[K]->data, a.v.data = compute->in[V]->data;
    if (is_plain(p)) {
        a.y.data = compute->out[0]->data;
        return sdx_attend_run(compute, &a, compute->scratch);
    }
    if (compute->out[0]) return run_whole(compute, p, &a, compute->out[0]);
    /* A node with bodies whose shapes no plan knew. */
    const int64_t dims[4] = {a.batch, a.heads, a.queries, a.value_size};
    sdx_value *y = sdx_value_new_tensor(compute->memory, compute->in[Q]->dtype, 4, dims, compute->error);
    if (!y) return compute->error->status;
    sdx_status status = run_whole(compute, p, &a, &y->tensor);
    if (status)
        sdx_value_release(y);
    else
        compute->services->set_output(compute, 0, y);
    return status;
}

/* Without graphs it is Attention, whose gradient serves. */
static sdx_status flex_grad(sdx_grad *grad, const void *params) {
    const flex_params *p = params;
    if (!is_plain(p))
        return sdx_fail(grad->error, SDX_UNSUPPORTED,
                        "'score_mod' or 'prob_mod' is given; the gradient is that of FlexAttention without them");
    const sdx_attention_params same = {
        .left = -1, .right = -1, .has_scale = p->has_scale, .scale = p->scale, .wide = p->precision == SDX_F64};
    sdx_node *plain = sdx_patch_node(grad->patch, "", "Attention", 3, grad->node->in, 1);
    if (p->has_scale) sdx_patch_float(grad->patch, plain, "scale", (float)p->scale);
    if (p->precision) sdx_patch_int(grad->patch, plain, "softmax_precision", p->precision);
    SDX_TRY(grad->patch->status);
    sdx_grad as_attention = *grad;
    as_attention.node = plain;
    const sdx_status status = sdx_attention_grad(&as_attention, &same);
    grad->exact = as_attention.exact;
    return status;
}

const sdx_op sdx_op_FlexAttention = {
    .domain = "ai.onnx.preview",
    .name = "FlexAttention",
    .versions = (const sdx_op_version[]){{1, "Q:T1 K:T1 V:T1 -> Y:T1", "T1=" SDX_T_FLOAT_BF,
                                          "prob_mod:graph scale:float score_mod:graph softmax_precision:int"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(flex_params),
    .bind = flex_bind,
    .infer = flex_infer,
    .scratch = flex_scratch,
    .compute = flex_compute,
    .grad = flex_grad,
};
