/* SPDX-License-Identifier: Apache-2.0
 * RotaryEmbedding: the first rotary_embedding_dim elements of every head are pairs (x1, x2), half apart or neighbours,
 * turned by an angle of their position: (cos x1 - sin x2, sin x1 + cos x2). The rest is copied. Caches of one batch
 * serve every batch: PyTorch's exporter writes them so. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct rotary_params {
    int64_t heads, dim; /* heads: of inputs of rank 3; dim 0: the whole head */
    bool interleaved;
} rotary_params;

static sdx_status rotary_bind(sdx_bind *bind, void *params) {
    rotary_params *p = params;
    p->heads = sdx_bind_int(bind, "num_heads");
    p->dim = sdx_bind_int(bind, "rotary_embedding_dim");
    p->interleaved = sdx_bind_int(bind, "interleaved") != 0;
    if (p->heads < 0)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'num_heads' is %" PRId64 "; it must be 1 or more", p->heads);
    if (p->dim < 0 || p->dim % 2)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'rotary_embedding_dim' is %" PRId64 "; it must be even and 0 or more",
                      p->dim);
    return bind->status;
}

/* Where things lie; -1 for what is not known. */
typedef struct rotary_shape {
    int64_t batch, heads, length, size, half;
    int64_t batch_step, head_step, row_step; /* of X, in elements */
} rotary_shape;

static sdx_status read_shape(sdx_error *error, const rotary_params *p, const sdx_type *x, rotary_shape *s) {
    const int64_t *dim = x->dim;
    if (x->rank == 4)
        *s = (rotary_shape){.batch = dim[0], .heads = dim[1], .length = dim[2], .size = dim[3]};
    else
        *s = (rotary_shape){.batch = dim[0], .heads = p->heads, .length = dim[1], .size = -1};
    if (x->rank == 3 && p->heads == 0)
        return sdx_fail(error, SDX_VALUE, "attribute 'num_heads' is 0; it must be given when input 'X' has rank 3");
    if (x->rank == 3 && dim[2] >= 0 && dim[2] % p->heads)
        return sdx_fail(error, SDX_SHAPE,
                        "dimension 2 of input 'X' is %" PRId64 "; it must be a multiple of 'num_heads', %" PRId64,
                        dim[2], p->heads);
    if (x->rank == 3 && dim[2] >= 0) s->size = dim[2] / p->heads;
    if (s->size >= 0 && p->dim > s->size)
        return sdx_fail(error, SDX_VALUE, "attribute 'rotary_embedding_dim' is %" PRId64 "; the head size is %" PRId64,
                        p->dim, s->size);
    if (s->size >= 0 && p->dim == 0 && s->size % 2)
        return sdx_fail(error, SDX_SHAPE, "the head size is %" PRId64 "; it must be even", s->size);
    s->half = p->dim ? p->dim / 2 : s->size < 0 ? -1 : s->size / 2;
    s->row_step = x->rank == 4 ? s->size : dim[2];
    s->head_step = x->rank == 4 ? s->length * s->size : s->size;
    s->batch_step = s->length * s->heads * s->size;
    return SDX_OK;
}

static sdx_status check_cache(sdx_infer *infer, int k, const char *name, const rotary_shape *s, bool by_position) {
    const sdx_type *type = infer->in[k];
    SDX_TRY(sdx_infer_rank(infer, k, name, by_position ? 2 : 3));
    if (type->rank < 0) return SDX_OK;
    int64_t most = -1;
    if (by_position)
        SDX_TRY(sdx_infer_merge_dim(infer, "positions of 'cos_cache' and 'sin_cache'",
                                    infer->in[1]->rank == 2 ? infer->in[1]->dim[0] : -1, type->dim[0], &most));
    else if (type->dim[0] != 1)
        SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of 'X' and the caches", s->batch, type->dim[0], NULL));
    if (!by_position)
        SDX_TRY(sdx_infer_merge_dim(infer, "lengths of 'X' and the caches", s->length, type->dim[1], NULL));
    return sdx_infer_merge_dim(infer, "half of the rotated dimensions and the last dimension of the caches", s->half,
                               type->dim[type->rank - 1], NULL);
}

static sdx_status rotary_infer(sdx_infer *infer, const void *params) {
    const sdx_type *x = infer->in[0], *ids = infer->n_in > 3 ? infer->in[3] : NULL;
    rotary_shape s;
    sdx_infer_same(infer, 0, 0);
    if (x->rank < 0) return SDX_OK;
    if (x->rank != 3 && x->rank != 4)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be 3 or 4", x->rank);
    SDX_TRY(read_shape(infer->error, params, x, &s));
    SDX_TRY(check_cache(infer, 1, "cos_cache", &s, ids != NULL));
    SDX_TRY(check_cache(infer, 2, "sin_cache", &s, ids != NULL));
    if (!ids) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, 3, "position_ids", 2));
    if (ids->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of 'X' and 'position_ids'", s.batch, ids->dim[0], NULL));
    return sdx_infer_merge_dim(infer, "lengths of 'X' and 'position_ids'", s.length, ids->dim[1], NULL);
}

static int64_t whole_lines(int64_t n) { return (n + 15) / 16 * 16; }

/* A head, its cosines and its sines in f32; nothing for f32. */
static int64_t buffer_length(const rotary_shape *s) { return whole_lines(2 * s->half) + 2 * whole_lines(s->half); }

static size_t rotary_scratch(const sdx_infer *infer, const void *params) {
    rotary_shape s;
    size_t bytes = 0;
    if (infer->in[0]->dtype == SDX_F32 || read_shape(NULL, params, infer->in[0], &s)) return 0;
    return sdx_size_mul((size_t)buffer_length(&s) * sizeof(float), (size_t)infer->threads, &bytes) ? bytes : SIZE_MAX;
}

typedef struct rotary_job {
    const sdx_kernels *kernels;
    rotary_shape shape;
    sdx_dtype dtype;
    const char *x, *cosine, *sine;
    char *y;
    const int64_t *ids; /* rows of the caches; NULL: one for each position */
    int64_t cache_rows;
    int64_t c_period, s_period; /* positions after which a cache begins again, where there are no ids */
    float *buffers;
    bool interleaved;
} rotary_job;

static void turn_head(const rotary_job *job, const char *x, const float *c, const float *s, char *y, float *buffer) {
    const rotary_shape *shape = &job->shape;
    const int64_t n = 2 * shape->half;
    const size_t element = sdx_dtype_size(job->dtype), turned = (size_t)n * element;
    if (job->dtype == SDX_F32) {
        job->kernels->rotate_f32((const void *)x, c, s, (void *)y, shape->half, job->interleaved);
    } else {
        sdx_convert(job->kernels, job->dtype, x, SDX_F32, buffer, n);
        job->kernels->rotate_f32(buffer, c, s, buffer, shape->half, job->interleaved);
        sdx_convert(job->kernels, SDX_F32, buffer, job->dtype, y, n);
    }
    if (y != x) memcpy(y + turned, x + turned, (size_t)(shape->size - n) * element);
}

/* All heads of positions [begin, end) of batch * length. */
static void turn_positions(void *argument, int64_t begin, int64_t end, int worker) {
    const rotary_job *job = argument;
    const rotary_shape *s = &job->shape;
    const int64_t element = (int64_t)sdx_dtype_size(job->dtype);
    float *buffer = job->buffers + worker * buffer_length(s), *wide_c = buffer + whole_lines(2 * s->half);
    float *wide_s = wide_c + whole_lines(s->half);
    for (int64_t t = begin; t < end; t++) {
        int64_t row = job->ids ? job->ids[t] : 0;
        if (row < 0) row += job->cache_rows;
        const int64_t c_row = job->ids ? row : t % job->c_period, s_row = job->ids ? row : t % job->s_period;
        const void *c = job->cosine + c_row * s->half * element, *sine = job->sine + s_row * s->half * element;
        if (job->dtype != SDX_F32) {
            sdx_convert(job->kernels, job->dtype, c, SDX_F32, wide_c, s->half);
            sdx_convert(job->kernels, job->dtype, sine, SDX_F32, wide_s, s->half);
            c = wide_c, sine = wide_s;
        }
        int64_t at = (t / s->length * s->batch_step + t % s->length * s->row_step) * element;
        for (int64_t h = 0; h < s->heads; h++, at += s->head_step * element)
            turn_head(job, job->x + at, c, sine, job->y + at, buffer);
    }
}

static sdx_status rotary_compute(sdx_compute *compute, const void *params) {
    const rotary_params *p = params;
    const sdx_tensor *x = compute->in[0], *ids = compute->n_in > 3 ? compute->in[3] : NULL;
    const sdx_type type = sdx_type_of_tensor(x);
    rotary_job job = {.kernels = compute->kernels,
                      .dtype = x->dtype,
                      .x = x->data,
                      .y = compute->out[0]->data,
                      .cosine = compute->in[1]->data,
                      .sine = compute->in[2]->data,
                      .buffers = compute->scratch,
                      .interleaved = p->interleaved,
                      .cache_rows = compute->in[1]->dim[0]};
    SDX_TRY(read_shape(compute->error, p, &type, &job.shape));
    job.c_period = compute->in[1]->dim[0] * job.shape.length;
    job.s_period = compute->in[2]->dim[0] * job.shape.length;
    if (ids) {
        SDX_TRY(sdx_check_indices(compute->error, "position_ids", ids, job.cache_rows));
        job.ids = ids->data;
    }
    if (x->count == 0) return SDX_OK;
    return sdx_for(compute, job.shape.batch * job.shape.length, sdx_grain(job.shape.heads * job.shape.size),
                   turn_positions, &job);
}

/* The halves x1 and x2 of the pairs of every head, in f32. */
static void pairs_of(sdx_patch *patch, const rotary_params *p, const sdx_type *type, sdx_id x, sdx_id *halves) {
    sdx_id last = sdx_patch_i64s(patch, (int64_t[]){-1}, 1);
    x = sdx_emit_cast(patch, x, type->dtype, SDX_F32);
    if (type->rank == 3) {
        const int64_t dims[4] = {0, 0, p->heads, type->dim[2] < 0 ? -1 : type->dim[2] / p->heads};
        x = sdx_emit2(patch, "Reshape", x, sdx_patch_i64s(patch, dims, 4));
    }
    if (p->dim > 0) {
        const sdx_id in[4] = {x, sdx_patch_i64s(patch, (int64_t[]){0}, 1), sdx_patch_i64s(patch, &p->dim, 1), last};
        x = sdx_patch_node(patch, "", "Slice", 4, in, 1)->out[0];
    }
    for (int64_t k = 0; p->interleaved && k < 2; k++) {
        const sdx_id in[5] = {x, sdx_patch_i64s(patch, &k, 1), sdx_patch_i64s(patch, (int64_t[]){INT64_MAX}, 1), last,
                              sdx_patch_i64s(patch, (int64_t[]){2}, 1)};
        halves[k] = sdx_patch_node(patch, "", "Slice", 5, in, 1)->out[0];
    }
    if (p->interleaved) return;
    sdx_node *node = sdx_patch_node(patch, "", "Split", 1, &x, 2);
    sdx_patch_int(patch, node, "axis", -1);
    sdx_patch_int(patch, node, "num_outputs", 2);
    halves[0] = node->out[0], halves[1] = node->out[1];
}

/* Of what a cache gave to each position and every head of it: summed over the heads, then where it came from. */
static sdx_id of_cache(sdx_grad *grad, const sdx_type *x, int k, const char *op, sdx_id a, sdx_id b) {
    sdx_patch *patch = grad->patch;
    const sdx_id cache = grad->node->in[k], heads = sdx_patch_i64s(patch, (int64_t[]){x->rank == 3 ? 2 : 1}, 1);
    sdx_id d = sdx_emit_int(patch, "ReduceSum", sdx_emit2(patch, op, a, b), heads, "keepdims", 0);
    if (sdx_grad_in(grad, 3) != SDX_NONE) {
        const sdx_id ids = sdx_emit2(patch, "Unsqueeze", grad->node->in[3], sdx_patch_i64s(patch, (int64_t[]){-1}, 1));
        const sdx_id zeros =
            sdx_emit2(patch, "Expand", sdx_patch_scalar(patch, SDX_F32, 0), sdx_emit1(patch, "Shape", cache));
        sdx_node *sums = sdx_patch_node(patch, "", "ScatterND", 3, (sdx_id[]){zeros, ids, d}, 1);
        sdx_patch_string(patch, sums, "reduction", "add");
        d = sums->out[0];
    }
    return sdx_emit_cast(patch, d, SDX_F32, x->dtype);
}

/* d cos = d1 x1 + d2 x2, d sin = d2 x1 - d1 x2 */
static sdx_status caches_grad(sdx_grad *grad, const rotary_params *p) {
    sdx_patch *patch = grad->patch;
    const sdx_type x_type = *sdx_grad_type(patch, grad->node->in[0]);
    sdx_id x[2], d[2];
    if (x_type.rank < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED,
                        "the rank of input 'X' must be known for a gradient of its caches");
    pairs_of(patch, p, &x_type, grad->node->in[0], x);
    pairs_of(patch, p, &x_type, grad->dY[0], d);
    if (grad->needed[1])
        grad->dX[1] =
            of_cache(grad, &x_type, 1, "Add", sdx_emit2(patch, "Mul", d[0], x[0]), sdx_emit2(patch, "Mul", d[1], x[1]));
    if (grad->needed[2])
        grad->dX[2] =
            of_cache(grad, &x_type, 2, "Sub", sdx_emit2(patch, "Mul", d[1], x[0]), sdx_emit2(patch, "Mul", d[0], x[1]));
    return patch->status;
}

/* X: turned back by the same angles. */
static sdx_status rotary_grad(sdx_grad *grad, const void *params) {
    const rotary_params *p = params;
    const sdx_node *node = grad->node;
    sdx_patch *patch = grad->patch;
    if (grad->needed[1] || grad->needed[2]) SDX_TRY(caches_grad(grad, p));
    if (!grad->needed[0]) return patch->status;
    sdx_id in[4] = {grad->dY[0], node->in[1], sdx_emit1(patch, "Neg", node->in[2]), SDX_NONE};
    if (node->n_in > 3) in[3] = node->in[3];
    sdx_node *back = sdx_patch_node(patch, "", "RotaryEmbedding", node->n_in, in, 1);
    sdx_patch_int(patch, back, "num_heads", p->heads);
    sdx_patch_int(patch, back, "rotary_embedding_dim", p->dim);
    sdx_patch_int(patch, back, "interleaved", p->interleaved);
    grad->dX[0] = back->out[0];
    return patch->status;
}

const sdx_op sdx_op_RotaryEmbedding = {
    .domain = "",
    .name = "RotaryEmbedding",
    .versions =
        (const sdx_op_version[]){{23, "X:T cos_cache:T sin_cache:T position_ids:M? -> Y:T", "T=bf16|f16|f32 M=i64",
                                  "interleaved:int=0 num_heads:int rotary_embedding_dim:int=0"},
                                 {0, NULL, NULL, NULL}},
    .params_size = sizeof(rotary_params),
    .bind = rotary_bind,
    .infer = rotary_infer,
    .scratch = rotary_scratch,
    .compute = rotary_compute,
    .grad = rotary_grad,
    .flags = SDX_OP_INPLACE,
};
