/* SPDX-License-Identifier: Apache-2.0
 * LinearAttention: a state S of d_k rows and d_v columns per head of K and V, taken through the tokens:
 *   S = exp(g) S;  v' = v, or beta (v - S^T k) with the delta rule;  S = S + k v'^T;  o = scale S^T q.
 * Columns of S do not meet, so the work is cut into blocks of them that stay in the first-level cache. In f32. */
#include "ops/nn/linear_attention.h"
#include "ops/kernels/kernels.h"
#include "ops/move.h"
#include <inttypes.h>
#include <math.h>

enum { COLUMNS = 64 };

static int64_t bind_heads(sdx_bind *bind, const char *name) {
    int64_t heads = sdx_bind_int(bind, name);
    if (heads < 1) sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' is %" PRId64 "; it must be 1 or more", name, heads);
    return heads;
}

sdx_status sdx_linear_bind(sdx_bind *bind, void *params) {
    static const char *const rules[] = {"linear", "gated", "delta", "gated_delta"};
    sdx_linear_params *p = params;
    int rule = sdx_bind_choice(bind, "update_rule", rules, 4);
    p->q_heads = bind_heads(bind, "q_num_heads");
    p->kv_heads = bind_heads(bind, "kv_num_heads");
    p->scale = (double)sdx_bind_float(bind, "scale");
    p->gated = rule == 1 || rule == 3;
    p->delta = rule == 2 || rule == 3;
    int64_t chunk = sdx_bind_int(bind, "chunk_size"); /* a hint for other ways to compute this */
    if (chunk < 1) sdx_bind_fail(bind, SDX_VALUE, "attribute 'chunk_size' is %" PRId64 "; it must be 1 or more", chunk);
    if (bind->status == SDX_OK && p->q_heads % p->kv_heads)
        sdx_bind_fail(bind, SDX_VALUE,
                      "attribute 'q_num_heads' is %" PRId64 "; it must be a multiple of 'kv_num_heads', %" PRId64,
                      p->q_heads, p->kv_heads);
    return bind->status;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* -1 where not known. */
typedef struct linear_shape {
    int64_t batch, length, keys, values; /* keys, values: d_k, d_v */
} linear_shape;

/* Rank 3, batch and length of the query; *last is the third dimension, -1 when it is not known. */
static sdx_status check_packed(sdx_infer *infer, int k, const char *name, linear_shape *s, int64_t *last) {
    const sdx_type *type = infer->in[k];
    *last = -1;
    SDX_TRY(sdx_infer_rank(infer, k, name, 3));
    if (type->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of the inputs", s->batch, type->dim[0], &s->batch));
    SDX_TRY(sdx_infer_merge_dim(infer, "lengths of the inputs", s->length, type->dim[1], &s->length));
    *last = type->dim[2];
    return SDX_OK;
}

static sdx_status split(const sdx_infer *infer, const char *name, int64_t hidden, int64_t heads, int64_t *size) {
    *size = hidden < 0 ? -1 : hidden / heads;
    if (hidden < 0 || hidden % heads == 0) return SDX_OK;
    return sdx_fail(infer->error, SDX_SHAPE,
                    "dimension 2 of input '%s' is %" PRId64 "; it must be a multiple of its %" PRId64 " heads", name,
                    hidden, heads);
}

static sdx_status check_gate(sdx_infer *infer, int k, const char *name, bool wanted, linear_shape *s, int64_t heads,
                             int64_t other) {
    int64_t last = -1;
    if (!sdx_infer_in(infer, k) && wanted)
        return sdx_fail(infer->error, SDX_MALFORMED, "input '%s' is absent; this 'update_rule' needs it", name);
    if (!sdx_infer_in(infer, k)) return SDX_OK;
    if (!wanted)
        return sdx_fail(infer->error, SDX_MALFORMED, "input '%s' is given; this 'update_rule' must not have it", name);
    SDX_TRY(check_packed(infer, k, name, s, &last));
    if (last < 0 || last == heads || other < 0 || last == other) return SDX_OK;
    return sdx_fail(infer->error, SDX_SHAPE,
                    "dimension 2 of input '%s' is %" PRId64 "; it must be %" PRId64 " or %" PRId64, name, last, heads,
                    other);
}

static sdx_status check_past(sdx_infer *infer, const sdx_linear_params *p, linear_shape *s) {
    const sdx_type *past = sdx_infer_in(infer, SDX_LINEAR_PAST);
    if (!past) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, SDX_LINEAR_PAST, "past_state", 4));
    if (past->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of 'query' and 'past_state'", s->batch, past->dim[0], &s->batch));
    SDX_TRY(
        sdx_infer_merge_dim(infer, "'kv_num_heads' and the heads of 'past_state'", p->kv_heads, past->dim[1], NULL));
    SDX_TRY(sdx_infer_merge_dim(infer, "d_k of 'key' and 'past_state'", s->keys, past->dim[2], &s->keys));
    return sdx_infer_merge_dim(infer, "d_v of 'value' and 'past_state'", s->values, past->dim[3], &s->values);
}

static sdx_status linear_infer(sdx_infer *infer, const void *params) {
    const sdx_linear_params *p = params;
    linear_shape s = {-1, -1, -1, -1};
    int64_t query = -1, key = -1, value = -1, key_size = -1;
    SDX_TRY(check_packed(infer, SDX_LINEAR_QUERY, "query", &s, &query));
    SDX_TRY(check_packed(infer, SDX_LINEAR_KEY, "key", &s, &key));
    SDX_TRY(check_packed(infer, SDX_LINEAR_VALUE, "value", &s, &value));
    SDX_TRY(split(infer, "query", query, p->q_heads, &s.keys));
    SDX_TRY(split(infer, "key", key, p->kv_heads, &key_size));
    SDX_TRY(split(infer, "value", value, p->kv_heads, &s.values));
    SDX_TRY(sdx_infer_merge_dim(infer, "head sizes of 'query' and 'key'", s.keys, key_size, &s.keys));
    SDX_TRY(check_past(infer, p, &s));
    SDX_TRY(check_gate(infer, SDX_LINEAR_DECAY, "decay", p->gated, &s, p->kv_heads,
                       s.keys < 0 ? -1 : s.keys * p->kv_heads));
    SDX_TRY(check_gate(infer, SDX_LINEAR_BETA, "beta", p->delta, &s, p->kv_heads, 1));
    infer->out[0].rank = 3;
    infer->out[0].dim[0] = s.batch, infer->out[0].dim[1] = s.length;
    infer->out[0].dim[2] = s.values < 0 ? -1 : s.values * p->q_heads;
    if (infer->n_out < 2) return SDX_OK;
    /* Without past_state nothing else says which dtype the state has. */
    sdx_type *present = &infer->out[1];
    *present = sdx_type_make(sdx_infer_in(infer, SDX_LINEAR_PAST) ? infer->in[SDX_LINEAR_PAST]->dtype
                                                                  : infer->in[SDX_LINEAR_QUERY]->dtype,
                             4);
    present->dim[0] = s.batch, present->dim[1] = p->kv_heads, present->dim[2] = s.keys, present->dim[3] = s.values;
    return SDX_OK;
}

/* ---- run --------------------------------------------------------------------------------------------------------- */

static int64_t whole_lines(int64_t n) { return (n + 15) / 16 * 16; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* Floats of a worker's room: the block of S, then one token: key, decay, their product, query; value, what S holds of
 * it. */
static bool room_size(int64_t keys, size_t *floats) {
    size_t state = 0, lines = 0;
    if (keys > INT64_MAX / 64) return false;
    return sdx_size_mul((size_t)keys, COLUMNS, &state) && sdx_size_mul((size_t)whole_lines(keys), 4, &lines) &&
           sdx_size_add(state, lines + 3 * COLUMNS, floats);
}

static size_t linear_scratch(const sdx_infer *infer, const void *params) {
    const sdx_linear_params *p = params;
    size_t bytes = 0;
    bool fits = room_size(infer->in[SDX_LINEAR_KEY]->dim[2] / p->kv_heads, &bytes) &&
                sdx_size_mul(bytes, sizeof(float) * (size_t)infer->threads, &bytes);
    return fits ? bytes : SIZE_MAX;
}

typedef struct linear_job {
    const sdx_linear_params *params;
    const sdx_kernels *kernels;
    sdx_unary_fn exponential;
    sdx_binary_fn multiply, subtract;
    linear_shape shape;
    float scale;
    const sdx_tensor *in[SDX_LINEAR_INPUTS], *out[2];
    int64_t blocks; /* of columns */
    float *rooms;
    size_t room;
} linear_job;

typedef struct linear_room {
    float *state, *key, *decay, *kept, *query, *value, *found, *out;
} linear_room;

static linear_room room_of(const linear_job *job, int worker) {
    const int64_t keys = job->shape.keys, line = whole_lines(keys);
    linear_room r = {.state = job->rooms + (size_t)worker * job->room};
    r.key = r.state + keys * COLUMNS;
    r.decay = r.key + line, r.kept = r.decay + line, r.query = r.kept + line;
    r.value = r.query + line, r.found = r.value + COLUMNS, r.out = r.found + COLUMNS;
    return r;
}

static void load(const linear_job *job, int k, int64_t at, int64_t n, float *to) {
    const sdx_tensor *x = job->in[k];
    sdx_convert(job->kernels, x->dtype, (const char *)x->data + at * (int64_t)sdx_dtype_size(x->dtype), SDX_F32, to, n);
}
static void store(const linear_job *job, int k, int64_t at, int64_t n, const float *from) {
    const sdx_tensor *y = job->out[k];
    sdx_convert(job->kernels, SDX_F32, from, y->dtype, (char *)y->data + at * (int64_t)sdx_dtype_size(y->dtype), n);
}

/* A token's rows lie far from the last one's: no hardware sees them coming. */
static void fetch(const linear_job *job, int k, int64_t at, int64_t n) {
    const sdx_tensor *x = job->in[k];
    const int64_t size = (int64_t)sdx_dtype_size(x->dtype);
    const char *from = (const char *)x->data + at * size;
    for (int64_t i = 0; i < n * size; i += SDX_ALIGNMENT) __builtin_prefetch(from + i);
}

/* exp(decay) for each row of S. */
static void load_decay(const linear_job *job, const linear_room *r, int64_t token, int64_t head) {
    const int64_t keys = job->shape.keys, heads = job->params->kv_heads, last = job->in[SDX_LINEAR_DECAY]->dim[2];
    if (last == heads) { /* one for the head; also where d_k is 1 */
        float g;
        load(job, SDX_LINEAR_DECAY, token * last + head, 1, &g);
        g = expf(g);
        for (int64_t k = 0; k < keys; k++) r->decay[k] = g;
    } else {
        load(job, SDX_LINEAR_DECAY, token * last + head * keys, keys, r->decay);
        job->exponential(r->decay, r->decay, keys, NULL);
    }
}

/* v becomes beta (v - S^T k), S as it is after its decay. */
static void correct(const linear_job *job, const linear_room *r, int64_t token, int64_t head, int64_t n) {
    const int64_t keys = job->shape.keys, last = job->in[SDX_LINEAR_BETA]->dim[2];
    const float *kept = r->key;
    float beta;
    load(job, SDX_LINEAR_BETA, token * last + (last == 1 ? 0 : head), 1, &beta);
    if (job->params->gated) {
        job->multiply(r->key, 1, r->decay, 1, r->kept, keys);
        kept = r->kept;
    }
    job->kernels->state_read_f32(r->state, keys, n, COLUMNS, kept, r->found);
    job->subtract(r->value, 1, r->found, 1, r->value, n);
    job->multiply(r->value, 1, &beta, 0, r->value, n);
}

/* One token of a head: columns [first, first + n) of S, v and the outputs. The first query reads S as it is written. */
static void step(const linear_job *job, const linear_room *r, int64_t token, int64_t head, int64_t first, int64_t n) {
    const sdx_linear_params *p = job->params;
    const linear_shape *s = &job->shape;
    const int64_t group = p->q_heads / p->kv_heads, row = token * p->q_heads + head * group;
    load(job, SDX_LINEAR_KEY, (token * p->kv_heads + head) * s->keys, s->keys, r->key);
    load(job, SDX_LINEAR_VALUE, (token * p->kv_heads + head) * s->values + first, n, r->value);
    if (job->out[0]) load(job, SDX_LINEAR_QUERY, row * s->keys, s->keys, r->query);
    if (token + 1 < s->batch * s->length) {
        fetch(job, SDX_LINEAR_KEY, ((token + 1) * p->kv_heads + head) * s->keys, s->keys);
        fetch(job, SDX_LINEAR_VALUE, ((token + 1) * p->kv_heads + head) * s->values + first, n);
        fetch(job, SDX_LINEAR_QUERY, (row + p->q_heads) * s->keys, s->keys);
        if (p->gated) { /* one for the head, or d_k */
            const int64_t n_decay = job->in[SDX_LINEAR_DECAY]->dim[2] / p->kv_heads;
            fetch(job, SDX_LINEAR_DECAY, ((token + 1) * p->kv_heads + head) * n_decay, n_decay);
        }
        if (p->delta && job->in[SDX_LINEAR_BETA]->dim[2] > 1)
            fetch(job, SDX_LINEAR_BETA, (token + 1) * p->kv_heads + head, 1);
    }
    if (p->gated) load_decay(job, r, token, head);
    if (p->delta) correct(job, r, token, head, n);
    job->kernels->state_step_f32(r->state, s->keys, n, COLUMNS, p->gated ? r->decay : NULL, r->key, r->value,
                                 job->out[0] ? r->query : NULL, r->out);
    for (int64_t g = 0; job->out[0] && g < group; g++) {
        if (g) {
            load(job, SDX_LINEAR_QUERY, (row + g) * s->keys, s->keys, r->query);
            job->kernels->state_read_f32(r->state, s->keys, n, COLUMNS, r->query, r->out);
        }
        job->multiply(r->out, 1, &job->scale, 0, r->out, n);
        store(job, 0, (row + g) * s->values + first, n, r->out);
    }
}

static void run_columns(void *argument, int64_t begin, int64_t end, int worker) {
    const linear_job *job = argument;
    const linear_shape *s = &job->shape;
    const linear_room r = room_of(job, worker);
    for (int64_t t = begin; t < end; t++) {
        const int64_t all = t / job->blocks, batch = all / job->params->kv_heads, head = all % job->params->kv_heads;
        const int64_t first = t % job->blocks * COLUMNS, n = s->values - first < COLUMNS ? s->values - first : COLUMNS;
        const int64_t at = all * s->keys * s->values + first;
        memset(r.state, 0, (size_t)(s->keys * COLUMNS) * sizeof *r.state);
        for (int64_t k = 0; job->in[SDX_LINEAR_PAST] && k < s->keys; k++)
            load(job, SDX_LINEAR_PAST, at + k * s->values, n, r.state + k * COLUMNS);
        for (int64_t i = 0; i < s->length; i++) step(job, &r, batch * s->length + i, head, first, n);
        for (int64_t k = 0; job->out[1] && k < s->keys; k++)
            store(job, 1, at + k * s->values, n, r.state + k * COLUMNS);
    }
}

static sdx_status linear_compute(sdx_compute *compute, const void *params) {
    const sdx_linear_params *p = params;
    const sdx_tensor *query = compute->in[SDX_LINEAR_QUERY], *value = compute->in[SDX_LINEAR_VALUE];
    linear_job job = {.params = p, .kernels = compute->kernels, .rooms = compute->scratch};
    for (int k = 0; k < SDX_LINEAR_INPUTS && k < compute->n_in; k++) job.in[k] = compute->in[k];
    for (int k = 0; k < 2 && k < compute->n_out; k++) job.out[k] = compute->out[k];
    job.shape = (linear_shape){query->dim[0], query->dim[1], query->dim[2] / p->q_heads, value->dim[2] / p->kv_heads};
    job.scale = (float)(p->scale != 0 ? p->scale : 1 / sqrt((double)job.shape.keys));
    job.exponential = compute->kernels->unary(SDX_UNARY_Exp, SDX_F32);
    job.multiply = compute->kernels->binary(SDX_BINARY_Mul, SDX_F32);
    job.subtract = compute->kernels->binary(SDX_BINARY_Sub, SDX_F32);
    job.blocks = ceil_div(job.shape.values, COLUMNS);
    if (!room_size(job.shape.keys, &job.room))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "room for a state of %" PRId64 " rows", job.shape.keys);
    const int64_t work = (job.shape.length + 1) * job.shape.keys * COLUMNS / 4;
    return sdx_for(compute, job.shape.batch * p->kv_heads * job.blocks, sdx_grain(work), run_columns, &job);
}

const sdx_op sdx_op_LinearAttention = {
    .domain = "",
    .name = "LinearAttention",
    .versions =
        (const sdx_op_version[]){
            {27, "query:T key:T value:T past_state:S? decay:T? beta:T? -> output:T present_state:S",
             "T=bf16|f16|f32 S=bf16|f16|f32",
             "chunk_size:int=64 kv_num_heads:int! q_num_heads:int! scale:float=0 update_rule:string=gated_delta"},
            {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_linear_params),
    .bind = sdx_linear_bind,
    .infer = linear_infer,
    .scratch = linear_scratch,
    .compute = linear_compute,
    .grad = sdx_linear_grad,
};
