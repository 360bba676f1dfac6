/* SPDX-License-Identifier: Apache-2.0
 * LinearAttentionGrad: the recurrence backwards. With D = exp(g) S' the state before token t and u = v - D^T k:
 *   dS += scale q dY^T, dq = scale S dY;  dk = dS v', dv' = dS^T k;
 *   delta rule: dbeta = u dv', dv = beta dv', dk -= D dv, dS -= k dv^T;  else dv = dv';
 *   decay: dg = sum over columns of dS D, dS = exp(g) dS.
 * States are made again: one is kept every sqrt(length) tokens, those between are kept for the stretch under way. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/lines.h"
#include "ops/nn/linear_attention.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { DY = SDX_LINEAR_INPUTS, DSTATE, ALL };

/* What has no input has no elements. */
static sdx_status back_infer(sdx_infer *infer, const void *params) {
    (void)params;
    for (int k = 0; k < infer->n_out && k < SDX_LINEAR_INPUTS; k++) {
        if (infer->in[k]) {
            sdx_infer_same(infer, k, k);
            continue;
        }
        infer->out[k] = sdx_type_make(infer->in[SDX_LINEAR_QUERY]->dtype, 1);
        infer->out[k].dim[0] = 0;
    }
    return SDX_OK;
}

typedef struct back_job {
    const sdx_linear_params *params;
    const sdx_kernels *kernels;
    const sdx_tensor *in[ALL], *out[SDX_LINEAR_INPUTS];
    int64_t batch, length, keys, values, stretch, stretches;
    float scale;
    char *room;
    size_t each;
} back_job;

/* Floats of a worker. */
typedef struct room {
    float *kept, *states, *gradient, *decayed; /* of stretches; of the tokens of one; dS; D */
    float *key, *decay, *query, *dkey;         /* of keys */
    float *value, *error, *dy, *dvalue;        /* of values: v', u */
    float beta;
} room;

static bool measure(back_job *job, int64_t length, int64_t keys, int64_t values) {
    size_t state = 0, floats = 0, lines = 0;
    job->length = length, job->keys = keys, job->values = values;
    job->stretch = (int64_t)ceil(sqrt((double)length));
    if (job->stretch < 1) job->stretch = 1;
    job->stretches = (length + job->stretch - 1) / job->stretch;
    if (!sdx_size_mul((size_t)keys, (size_t)values, &state) ||
        !sdx_size_mul(state, (size_t)(job->stretches + job->stretch + 3), &floats) ||
        !sdx_size_mul((size_t)(keys + values), 4, &lines) || !sdx_size_add(floats, lines, &floats) ||
        !sdx_size_mul(floats, sizeof(float), &job->each) || job->each > PTRDIFF_MAX)
        return false;
    job->each = sdx_align(job->each);
    return true;
}

static room room_of(const back_job *job, int worker) {
    const int64_t state = job->keys * job->values;
    room r = {.kept = (float *)(void *)(job->room + (size_t)worker * job->each)};
    r.states = r.kept + job->stretches * state;
    r.gradient = r.states + (job->stretch + 1) * state;
    r.decayed = r.gradient + state;
    r.key = r.decayed + state, r.decay = r.key + job->keys, r.query = r.decay + job->keys;
    r.dkey = r.query + job->keys;
    r.value = r.dkey + job->keys, r.error = r.value + job->values, r.dy = r.error + job->values;
    r.dvalue = r.dy + job->values;
    return r;
}

static void load(const back_job *job, int k, int64_t at, int64_t n, float *to) {
    const sdx_tensor *x = job->in[k];
    sdx_convert(job->kernels, x->dtype, (const char *)x->data + (size_t)at * sdx_dtype_size(x->dtype), SDX_F32, to, n);
}
static void store(const back_job *job, int k, int64_t at, int64_t n, const float *from) {
    const sdx_tensor *y = job->out[k];
    if (y)
        sdx_convert(job->kernels, SDX_F32, from, y->dtype, (char *)y->data + (size_t)at * sdx_dtype_size(y->dtype), n);
}

static bool one_decay(const back_job *job) { return job->in[SDX_LINEAR_DECAY]->dim[2] == job->params->kv_heads; }

/* D, u and v' of a token from the state before it. */
static void enter(const back_job *job, room *r, int64_t token, int64_t head, const float *before) {
    const int64_t keys = job->keys, values = job->values, at = token * job->params->kv_heads + head;
    load(job, SDX_LINEAR_KEY, at * keys, keys, r->key);
    load(job, SDX_LINEAR_VALUE, at * values, values, r->error);
    for (int64_t i = 0; i < keys; i++) r->decay[i] = 1;
    r->beta = 1;
    if (job->params->gated) {
        if (one_decay(job))
            load(job, SDX_LINEAR_DECAY, at, 1, r->decay);
        else
            load(job, SDX_LINEAR_DECAY, at * keys, keys, r->decay);
        for (int64_t i = keys - 1; i >= 0; i--) r->decay[i] = expf(r->decay[one_decay(job) ? 0 : i]);
    }
    for (int64_t i = 0; i < keys; i++)
        for (int64_t j = 0; j < values; j++) r->decayed[i * values + j] = r->decay[i] * before[i * values + j];
    if (job->params->delta) {
        load(job, SDX_LINEAR_BETA, at, 1, &r->beta);
        for (int64_t i = 0; i < keys; i++)
            for (int64_t j = 0; j < values; j++) r->error[j] -= r->decayed[i * values + j] * r->key[i];
    }
    for (int64_t j = 0; j < values; j++) r->value[j] = r->beta * r->error[j];
}

/* The state after it. */
static void advance(const back_job *job, room *r, int64_t token, int64_t head, const float *before, float *after) {
    enter(job, r, token, head, before);
    for (int64_t i = 0; i < job->keys; i++)
        for (int64_t j = 0; j < job->values; j++)
            after[i * job->values + j] = r->decayed[i * job->values + j] + r->key[i] * r->value[j];
}

/* What the outputs of the token give: dq, and their share of dS. */
static void through_outputs(const back_job *job, room *r, int64_t token, int64_t head, const float *after) {
    const int64_t keys = job->keys, values = job->values, group = job->params->q_heads / job->params->kv_heads;
    for (int64_t g = 0; g < group; g++) {
        const int64_t row = token * job->params->q_heads + head * group + g;
        memset(r->dy, 0, (size_t)values * sizeof(float));
        if (job->in[DY]) load(job, DY, row * values, values, r->dy);
        load(job, SDX_LINEAR_QUERY, row * keys, keys, r->query);
        for (int64_t i = 0; i < keys; i++) {
            const float q = job->scale * r->query[i];
            float sum = 0;
            for (int64_t j = 0; j < values; j++) {
                sum += after[i * values + j] * r->dy[j];
                r->gradient[i * values + j] += q * r->dy[j];
            }
            r->query[i] = job->scale * sum;
        }
        store(job, SDX_LINEAR_QUERY, row * keys, keys, r->query);
    }
}

/* The rest of the token: r holds D, u, v' of it; dS becomes that of the state before. */
static void leave(const back_job *job, room *r, int64_t token, int64_t head) {
    const int64_t keys = job->keys, values = job->values, at = token * job->params->kv_heads + head;
    float dbeta = 0, together = 0;
    memset(r->dvalue, 0, (size_t)values * sizeof(float));
    for (int64_t i = 0; i < keys; i++) {
        float sum = 0;
        for (int64_t j = 0; j < values; j++) {
            sum += r->gradient[i * values + j] * r->value[j];
            r->dvalue[j] += r->gradient[i * values + j] * r->key[i];
        }
        r->dkey[i] = sum;
    }
    for (int64_t j = 0; j < values && job->params->delta; j++) {
        dbeta += r->error[j] * r->dvalue[j];
        r->dvalue[j] *= r->beta;
    }
    for (int64_t i = 0; i < keys; i++) {
        float sum = 0, back = 0;
        for (int64_t j = 0; j < values; j++) {
            const int64_t k = i * values + j;
            if (job->params->delta) {
                back += r->decayed[k] * r->dvalue[j];
                r->gradient[k] -= r->key[i] * r->dvalue[j];
            }
            sum += r->gradient[k] * r->decayed[k];
            r->gradient[k] *= r->decay[i];
        }
        r->dkey[i] -= back;
        r->decay[i] = sum;
        together += sum;
    }
    store(job, SDX_LINEAR_KEY, at * keys, keys, r->dkey);
    store(job, SDX_LINEAR_VALUE, at * values, values, r->dvalue);
    if (job->params->delta) store(job, SDX_LINEAR_BETA, at, 1, &dbeta);
    if (!job->params->gated) return;
    if (one_decay(job))
        store(job, SDX_LINEAR_DECAY, at, 1, &together);
    else
        store(job, SDX_LINEAR_DECAY, at * keys, keys, r->decay);
}

static void run_head(const back_job *job, room *r, int64_t batch, int64_t head) {
    const int64_t state = job->keys * job->values, all = batch * job->params->kv_heads + head,
                  first = batch * job->length;
    const size_t bytes = (size_t)state * sizeof(float);
    float *now = r->states, *next = r->states + state;
    memset(now, 0, bytes);
    if (job->in[SDX_LINEAR_PAST]) load(job, SDX_LINEAR_PAST, all * state, state, now);
    for (int64_t t = 0; t < job->length; t++) {
        if (t % job->stretch == 0) memcpy(r->kept + t / job->stretch * state, now, bytes);
        advance(job, r, first + t, head, now, next);
        memcpy(now, next, bytes);
    }
    memset(r->gradient, 0, bytes);
    if (job->in[DSTATE]) load(job, DSTATE, all * state, state, r->gradient);
    for (int64_t s = job->stretches - 1; s >= 0; s--) {
        const int64_t from = s * job->stretch, left = job->length - from;
        const int64_t n = left < job->stretch ? left : job->stretch;
        memcpy(r->states, r->kept + s * state, bytes);
        for (int64_t t = 0; t < n; t++)
            advance(job, r, first + from + t, head, r->states + t * state, r->states + (t + 1) * state);
        for (int64_t t = n - 1; t >= 0; t--) {
            through_outputs(job, r, first + from + t, head, r->states + (t + 1) * state);
            enter(job, r, first + from + t, head, r->states + t * state);
            leave(job, r, first + from + t, head);
        }
    }
    store(job, SDX_LINEAR_PAST, all * state, state, r->gradient);
}

static void run_heads(void *argument, int64_t begin, int64_t end, int worker) {
    const back_job *job = argument;
    room r = room_of(job, worker);
    for (int64_t t = begin; t < end; t++) run_head(job, &r, t / job->params->kv_heads, t % job->params->kv_heads);
}

static size_t back_scratch(const sdx_infer *infer, const void *params) {
    const sdx_linear_params *p = params;
    const sdx_type *key = infer->in[SDX_LINEAR_KEY], *value = infer->in[SDX_LINEAR_VALUE];
    back_job job = {.params = p};
    size_t size = 0;
    if (!measure(&job, key->dim[1], key->dim[2] / p->kv_heads, value->dim[2] / p->kv_heads)) return SIZE_MAX;
    return sdx_size_mul(job.each, (size_t)infer->threads, &size) ? size : SIZE_MAX;
}

static sdx_status back_compute(sdx_compute *compute, const void *params) {
    const sdx_linear_params *p = params;
    const sdx_tensor *key = compute->in[SDX_LINEAR_KEY], *value = compute->in[SDX_LINEAR_VALUE];
    back_job job = {.params = p, .kernels = compute->kernels, .room = compute->scratch, .batch = key->dim[0]};
    for (int k = 0; k < compute->n_in; k++) job.in[k] = compute->in[k];
    for (int k = 0; k < compute->n_out; k++) job.out[k] = job.in[k] ? compute->out[k] : NULL;
    if (!measure(&job, key->dim[1], key->dim[2] / p->kv_heads, value->dim[2] / p->kv_heads))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the states of %" PRId64 " tokens", key->dim[1]);
    job.scale = (float)(p->scale != 0 ? p->scale : 1 / sqrt((double)job.keys));
    return sdx_for(compute, job.batch * p->kv_heads, 1, run_heads, &job);
}

const sdx_op sdx_op_LinearAttentionGrad = {
    .domain = "sdx",
    .name = "LinearAttentionGrad",
    .versions =
        (const sdx_op_version[]){
            {1,
             "query:T key:T value:T past_state:S? decay:T? beta:T? dY:T? dState:V? -> dQuery:T? dKey:T? dValue:T? "
             "dPast:S? dDecay:T? dBeta:T?",
             "T=bf16|f16|f32 S=bf16|f16|f32 V=bf16|f16|f32",
             "chunk_size:int=64 kv_num_heads:int! q_num_heads:int! scale:float=0 update_rule:string=gated_delta"},
            {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_linear_params),
    .bind = sdx_linear_bind,
    .infer = back_infer,
    .scratch = back_scratch,
    .compute = back_compute,
    .flags = SDX_OP_INTERNAL};

sdx_status sdx_linear_grad(sdx_grad *grad, const void *params) {
    const sdx_linear_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    sdx_id in[ALL];
    int outputs = SDX_LINEAR_INPUTS;
    for (int k = 0; k < SDX_LINEAR_INPUTS; k++) in[k] = sdx_grad_in(grad, k);
    in[DY] = grad->dY[0], in[DSTATE] = node->n_out > 1 ? grad->dY[1] : SDX_NONE;
    bool shared = false; /* one beta for all heads */
    if (p->delta && p->kv_heads > 1) {
        const sdx_type *beta = sdx_grad_type(patch, in[SDX_LINEAR_BETA]);
        if (beta->rank != 3 || beta->dim[2] < 0)
            return sdx_fail(grad->error, SDX_UNSUPPORTED, "dimension 2 of 'beta' must be known to differentiate");
        shared = beta->dim[2] == 1;
        const int64_t heads[3] = {1, 1, p->kv_heads};
        if (shared)
            in[SDX_LINEAR_BETA] = sdx_emit2(patch, "Expand", in[SDX_LINEAR_BETA], sdx_patch_i64s(patch, heads, 3));
    }
    sdx_node *back = sdx_patch_node(patch, "sdx", "LinearAttentionGrad", ALL, in, outputs);
    sdx_patch_attrs_of(patch, back, node, NULL, 0);
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && grad->needed[k]) grad->dX[k] = back->out[k];
    if (shared && grad->needed[SDX_LINEAR_BETA])
        grad->dX[SDX_LINEAR_BETA] = sdx_emit_int(patch, "ReduceSum", back->out[SDX_LINEAR_BETA],
                                                 sdx_patch_i64s(patch, (const int64_t[]){2}, 1), "keepdims", 1);
    grad->exact = true;
    return patch->status;
}
