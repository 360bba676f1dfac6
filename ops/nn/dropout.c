/* SPDX-License-Identifier: Apache-2.0
 * Dropout: in training output = data * mask / (1 - ratio), mask true with probability 1 - ratio; else the identity
 * and a mask that is all true. With attribute 'seed' the mask is numpy's RandomState(seed).uniform(shape) >= ratio,
 * else it is counter-based. Training is is_test = 0 in versions 1 and 6 and input training_mode from 12 on; 7 and 10
 * have none. */
#include "ops/generator/random.h"
#include "ops/loop.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 256, GRAIN = 16384 }; /* multiples of 4: a Philox block makes four elements */

typedef struct dropout_params {
    double ratio;
    int64_t seed;
    bool has_seed, training, by_input;
} dropout_params;

static sdx_status dropout_bind(sdx_bind *bind, void *params) {
    dropout_params *p = params;
    p->by_input = bind->since >= 12;
    p->ratio = p->by_input ? 0.5 : (double)sdx_bind_float(bind, "ratio");
    p->training = bind->since < 7 && sdx_bind_int(bind, "is_test") == 0;
    p->has_seed = p->by_input && sdx_bind_has(bind, "seed");
    if (p->has_seed) p->seed = sdx_bind_int(bind, "seed");
    if (!(p->ratio >= 0 && p->ratio <= 1))
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'ratio' is %g; it must be in [0, 1]", p->ratio);
    return bind->status;
}

/* Attribute ratio -> input. A mask of the data's dtype (versions 1 to 7) has no newer form. */
static sdx_status dropout_upgrade(sdx_patch *patch, const sdx_node *node) {
    int since = node->version->since;
    if (since >= 12 || (since < 10 && node->n_out > 1)) return SDX_OK;
    const sdx_attr *ratio = sdx_node_attr(node, "ratio"), *is_test = sdx_node_attr(node, "is_test");
    sdx_id in[3] = {node->in[0], sdx_patch_scalar(patch, SDX_F32, ratio ? (double)ratio->f : 0.5), SDX_NONE};
    bool training = since < 7 && (!is_test || is_test->i == 0), yes = true;
    if (training) {
        sdx_tensor scalar;
        SDX_TRY(sdx_tensor_make(&scalar, SDX_BOOL, 0, NULL, &yes, patch->error));
        in[2] = sdx_patch_tensor(patch, &scalar);
    }
    sdx_node *newest = sdx_patch_node(patch, "", "Dropout", training ? 3 : 2, in, node->n_out);
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) sdx_patch_replace(patch, node->out[k], newest->out[k]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_status dropout_infer(sdx_infer *infer, const void *params) {
    (void)params;
    for (int k = 0; k < infer->n_out; k++) sdx_infer_same(infer, k, 0);
    for (int k = 1; k < infer->n_in; k++) {
        const sdx_type *type = infer->in[k];
        if (!type || type->rank < 1 || (type->rank == 1 && (type->dim[0] == 1 || type->dim[0] < 0))) continue;
        char text[96];
        return sdx_fail(infer->error, SDX_SHAPE, "input '%s' is %s; it must be a scalar",
                        k == 1 ? "ratio" : "training_mode", sdx_type_text(type, text, sizeof text));
    }
    return SDX_OK;
}

static size_t dropout_scratch(const sdx_infer *infer, const void *params) {
    const dropout_params *p = params;
    const sdx_type *x = infer->in[0];
    size_t count = p->has_seed ? 1 : 0;
    for (int d = 0; d < x->rank; d++)
        if (!sdx_size_mul(count, (size_t)x->dim[d], &count)) return SIZE_MAX;
    return count;
}

typedef struct dropout_job {
    const struct sdx_kernels *kernels;
    const sdx_tensor *x, *y, *mask; /* y, mask: NULL when nobody asks */
    const uint8_t *given;           /* the mask, when it was drawn beforehand */
    uint64_t key, threshold;        /* kept when 32 random bits are >= threshold */
    double scale;
} dropout_job;

static void draw(const dropout_job *job, int64_t begin, int64_t n, uint8_t *keep) {
    uint32_t r[BLOCK];
    job->kernels->random_bits(job->key, (uint64_t)begin / 4, (n + 3) / 4, r);
    for (int64_t k = 0; k < n; k++) keep[k] = r[k] >= job->threshold;
}

static char *at(const sdx_tensor *tensor, int64_t k) {
    return (char *)tensor->data + (size_t)k * sdx_dtype_size(tensor->dtype);
}

static void dropout_block(const dropout_job *job, int64_t begin, int64_t n) {
    uint8_t drawn[BLOCK];
    const uint8_t *keep = job->given ? job->given + begin : drawn;
    if (!job->given) draw(job, begin, n, drawn);
    if (job->y && job->x->dtype == SDX_F64) {
        const double *x = (const double *)job->x->data + begin;
        double *y = (double *)job->y->data + begin;
        for (int64_t k = 0; k < n; k++) y[k] = keep[k] ? x[k] * job->scale : 0;
    } else if (job->y) {
        float v[BLOCK], scale = (float)job->scale;
        sdx_convert(job->kernels, job->x->dtype, at(job->x, begin), SDX_F32, v, n);
        for (int64_t k = 0; k < n; k++) v[k] = keep[k] ? v[k] * scale : 0;
        sdx_convert(job->kernels, SDX_F32, v, job->y->dtype, at(job->y, begin), n);
    }
    if (job->mask) sdx_convert(job->kernels, SDX_BOOL, keep, job->mask->dtype, at(job->mask, begin), n);
}

static void dropout_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    for (int64_t k = begin; k < end; k += BLOCK) dropout_block(argument, k, end - k < BLOCK ? end - k : BLOCK);
}

static void identity(const sdx_compute *compute, const sdx_tensor *mask) {
    const sdx_tensor *x = compute->in[0], *y = compute->out[0];
    if (y && y->data != x->data && y->count) memcpy(y->data, x->data, sdx_tensor_bytes(x));
    uint8_t yes[BLOCK];
    memset(yes, 1, sizeof yes);
    for (int64_t k = 0; mask && k < mask->count; k += BLOCK)
        sdx_convert(compute->kernels, SDX_BOOL, yes, mask->dtype, at(mask, k),
                    mask->count - k < BLOCK ? mask->count - k : BLOCK);
}

static const sdx_tensor *optional(const sdx_compute *compute, int k) {
    return k < compute->n_in ? compute->in[k] : NULL;
}

static sdx_status dropout_compute(sdx_compute *compute, const void *params) {
    const dropout_params *p = params;
    const sdx_tensor *x = compute->in[0], *ratio_in = optional(compute, 1), *mode = optional(compute, 2);
    const sdx_tensor *mask = compute->n_out > 1 ? compute->out[1] : NULL;
    double ratio = p->ratio;
    if (ratio_in) sdx_convert(compute->kernels, ratio_in->dtype, ratio_in->data, SDX_F64, &ratio, 1);
    if (!(ratio >= 0 && ratio <= 1))
        return sdx_fail(compute->error, SDX_VALUE, "input 'ratio' is %g; it must be in [0, 1]", ratio);
    bool training = p->training || (mode && *(const uint8_t *)mode->data);
    if (!training || ratio == 0) return identity(compute, mask), SDX_OK;
    dropout_job job = {.kernels = compute->kernels, .x = x, .y = compute->out[0], .mask = mask};
    job.key = compute->random_key;
    job.threshold = (uint64_t)ceil(ratio * 0x1p32);
    job.scale = ratio < 1 ? 1 / (1 - ratio) : 0;
    if (p->has_seed) {
        sdx_mt19937 twister;
        sdx_mt19937_seed(&twister, (uint64_t)p->seed);
        uint8_t *drawn = compute->scratch;
        for (int64_t k = 0; k < x->count; k++) drawn[k] = sdx_mt19937_uniform(&twister) >= ratio;
        job.given = drawn;
    }
    return sdx_for(compute, x->count, GRAIN, dropout_range, &job);
}

/* The mask that was drawn. A node that does not give it away is replaced by its like that does. */
static sdx_id grad_mask(sdx_grad *grad) {
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    if (node->n_out > 1 && node->out[1] != SDX_NONE) return node->out[1];
    sdx_node *with_mask = sdx_patch_node(patch, "", "Dropout", node->n_in, node->in, 2);
    sdx_patch_attrs_of(patch, with_mask, node, NULL, 0);
    sdx_patch_replace(patch, node->out[0], with_mask->out[0]);
    sdx_patch_remove(patch, node);
    return with_mask->out[1];
}

/* dX = mask ? dY / (1 - ratio) : 0 in training, else dY. */
static sdx_status dropout_grad(sdx_grad *grad, const void *params) {
    const dropout_params *p = params;
    const sdx_node *node = grad->node;
    sdx_patch *patch = grad->patch;
    if (!p->by_input && p->training)
        return sdx_fail(grad->error, SDX_UNSUPPORTED,
                        "a mask that is no bool has no gradient; opset 12 has bool masks");
    grad->dX[0] = grad->dY[0];
    if (node->n_in < 3 || node->in[2] == SDX_NONE) return SDX_OK;
    sdx_dtype dtype = patch->graph->values[node->out[0]].type.dtype;
    sdx_id one = sdx_patch_scalar(patch, dtype, 1), zero = sdx_patch_scalar(patch, dtype, 0), ratio = node->in[1];
    if (ratio == SDX_NONE) {
        ratio = sdx_patch_scalar(patch, dtype, 0.5);
    } else {
        sdx_node *cast = sdx_patch_node(patch, "", "Cast", 1, &ratio, 1);
        sdx_patch_int(patch, cast, "to", dtype);
        ratio = cast->out[0];
    }
    sdx_id scaled[3] = {node->in[2], sdx_emit1(patch, "Reciprocal", sdx_emit2(patch, "Sub", one, ratio)), one};
    sdx_id scale = sdx_patch_node(patch, "", "Where", 3, scaled, 1)->out[0];
    sdx_id kept[3] = {grad_mask(grad), sdx_emit2(patch, "Mul", grad->dY[0], scale), zero};
    grad->dX[0] = sdx_patch_node(patch, "", "Where", 3, kept, 1)->out[0];
    return patch->status;
}

#define T_22 SDX_T_FLOAT_BF "|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz"

const sdx_op sdx_op_Dropout = {
    .domain = "",
    .name = "Dropout",
    .versions =
        (const sdx_op_version[]){
            {1, "data:T -> output:T mask:T?", "T=" SDX_T_FLOAT, "consumed_inputs:ints is_test:int=0 ratio:float=0.5"},
            {6, "data:T -> output:T mask:T?", "T=" SDX_T_FLOAT, "is_test:int=0 ratio:float=0.5"},
            {7, "data:T -> output:T mask:T?", "T=" SDX_T_FLOAT, "ratio:float=0.5"},
            {10, "data:T -> output:T mask:T1?", "T=" SDX_T_FLOAT " T1=bool", "ratio:float=0.5"},
            {12, "data:T ratio:T1? training_mode:T2? -> output:T mask:T2?",
             "T=" SDX_T_FLOAT " T1=" SDX_T_FLOAT " T2=bool", "seed:int"},
            {13, "data:T ratio:T1? training_mode:T2? -> output:T mask:T2?",
             "T=" SDX_T_FLOAT_BF " T1=" SDX_T_FLOAT " T2=bool", "seed:int"},
            {22, "data:T ratio:T1? training_mode:T2? -> output:T mask:T2?", "T=" T_22 " T1=" T_22 " T2=bool",
             "seed:int"},
            {0, NULL, NULL, NULL}},
    .params_size = sizeof(dropout_params),
    .upgrade = dropout_upgrade,
    .bind = dropout_bind,
    .infer = dropout_infer,
    .scratch = dropout_scratch,
    .compute = dropout_compute,
    .grad = dropout_grad,
    .flags = SDX_OP_INPLACE | SDX_OP_RANDOM};
