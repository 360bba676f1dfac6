/* SPDX-License-Identifier: Apache-2.0
 * Attention, FlexAttention without graphs, RotaryEmbedding. */
#include "tests/ops/case.h"
#include <math.h>
#include <stdlib.h>

/* Heads of rank 3 or 4: [batch, heads, length, size]. */
typedef struct heads {
    const sdx_ref *ref;
    int64_t batch, heads, length, size;
} heads;

static heads heads_of(const sdx_ref *ref, int64_t n) {
    if (ref->rank == 4) return (heads){ref, ref->dim[0], ref->dim[1], ref->dim[2], ref->dim[3]};
    return (heads){ref, ref->dim[0], n, ref->dim[1], ref->dim[2] / n};
}

static int64_t place(const heads *h, int64_t b, int64_t n, int64_t i, int64_t e) {
    if (h->ref->rank == 4) return ((b * h->heads + n) * h->length + i) * h->size + e;
    return ((b * h->length + i) * h->heads + n) * h->size + e;
}

static bool given(const sdx_case_run *run, int k) { return k < run->n_in && run->in[k].present; }

/* Element of past and present together. */
static double cached(const sdx_case_run *run, int past, const heads *now, int64_t b, int64_t n, int64_t j, int64_t e) {
    int64_t before = given(run, past) ? run->in[past].dim[2] : 0;
    if (j >= before) return now->ref->v[place(now, b, n, j - before, e)];
    return run->in[past].v[((b * now->heads + n) * before + j) * now->size + e];
}

static double mask_at(const sdx_ref *mask, const int64_t *index) {
    int64_t at = 0;
    for (int d = 0; d < mask->rank; d++) {
        int64_t i = index[4 - mask->rank + d];
        bool last = d == mask->rank - 1;
        if (last && i >= mask->dim[d]) return -INFINITY;
        at = at * mask->dim[d] + (!last && mask->dim[d] == 1 ? 0 : i);
    }
    if (mask->dtype == SDX_BOOL) return mask->v[at] != 0 ? 0 : -INFINITY;
    return mask->v[at];
}

typedef struct sizes {
    heads q, k, v;
    int64_t past, keys, group;
} sizes;

/* One row of scores in every stage; false when no key is seen. */
static bool score_row(const sdx_case_run *run, const sizes *s, int64_t b, int64_t h, int64_t i, double *stage[4]) {
    const bool causal = sdx_case_int(run, "is_causal", 0) != 0;
    const int64_t left = sdx_case_int(run, "left_window_size", -1), right = sdx_case_int(run, "right_window_size", -1);
    const double cap = sdx_case_float(run, "softcap", 0), set = sdx_case_float(run, "scale", 0);
    const double scale = set != 0 ? set : 1 / sqrt((double)s->q.size);
    const int64_t valid = given(run, 6) ? (int64_t)run->in[6].v[b] : s->keys;
    const int64_t p = i + (given(run, 6) ? valid - s->q.length : s->past);
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < s->keys; j++) {
        const int64_t index[4] = {b, h, i, j};
        double dot = 0;
        for (int64_t e = 0; e < s->q.size; e++)
            dot += s->q.ref->v[place(&s->q, b, h, i, e)] * cached(run, 4, &s->k, b, h / s->group, j, e);
        stage[0][j] = dot * scale;
        stage[1][j] = cap > 0 ? cap * tanh(stage[0][j] / cap) : stage[0][j];
        stage[2][j] = stage[1][j] + (given(run, 3) ? mask_at(&run->in[3], index) : 0);
        bool hidden = j >= valid || (causal && j > p) || (left >= 0 && j < p - left) || (right >= 0 && j > p + right);
        if (hidden) stage[2][j] = -INFINITY;
        max = fmax(max, stage[2][j]);
    }
    for (int64_t j = 0; j < s->keys; j++) sum += stage[3][j] = max == -INFINITY ? 0 : exp(stage[2][j] - max);
    for (int64_t j = 0; j < s->keys && sum > 0; j++) stage[3][j] /= sum;
    return sum > 0;
}

static void write_present(sdx_case_run *run, int out, int past, const heads *now, int64_t keys) {
    const int64_t dims[4] = {now->batch, now->heads, keys, now->size};
    double *y = sdx_case_output(run, out, 4, dims);
    for (int64_t t = 0; t < now->batch * now->heads * keys * now->size; t++)
        y[t] = cached(run, past, now, t / now->size / keys / now->heads, t / now->size / keys % now->heads,
                      t / now->size % keys, t % now->size);
}

static void attention(sdx_case_run *run) {
    const int64_t q_heads = sdx_case_int(run, "q_num_heads", 0), kv_heads = sdx_case_int(run, "kv_num_heads", 0);
    sizes s = {
        heads_of(&run->in[0], q_heads), heads_of(&run->in[1], kv_heads), heads_of(&run->in[2], kv_heads), 0, 0, 1};
    s.past = given(run, 4) ? run->in[4].dim[2] : 0;
    s.keys = s.past + s.k.length;
    if (s.k.heads) s.group = s.q.heads / s.k.heads;
    const int64_t apart[4] = {s.q.batch, s.q.heads, s.q.length, s.v.size};
    const int64_t flat[3] = {s.q.batch, s.q.length, s.q.heads * s.v.size};
    const int64_t full[4] = {s.q.batch, s.q.heads, s.q.length, s.keys};
    sdx_case_output(run, 0, s.q.ref->rank, s.q.ref->rank == 4 ? apart : flat);
    heads y = heads_of(&run->out[0], q_heads);
    double *shown = sdx_case_output(run, 3, 4, full), *stage[4];
    for (int k = 0; k < 4; k++) stage[k] = calloc((size_t)s.keys + 1, sizeof(double));
    for (int64_t b = 0; b < s.q.batch; b++)
        for (int64_t h = 0; h < s.q.heads; h++)
            for (int64_t i = 0; i < s.q.length; i++) {
                bool seen = score_row(run, &s, b, h, i, stage);
                for (int64_t j = 0; j < s.keys; j++)
                    shown[((b * s.q.heads + h) * s.q.length + i) * s.keys + j] =
                        stage[sdx_case_int(run, "qk_matmul_output_mode", 0)][j];
                for (int64_t e = 0; seen && e < s.v.size; e++) {
                    double sum = 0;
                    for (int64_t j = 0; j < s.keys; j++)
                        sum += stage[3][j] * cached(run, 5, &s.v, b, h / s.group, j, e);
                    run->out[0].v[place(&y, b, h, i, e)] = sum;
                }
            }
    for (int k = 0; k < 4; k++) free(stage[k]);
    write_present(run, 1, 4, &s.k, s.keys);
    write_present(run, 2, 5, &s.v, s.keys);
}

static void rotary(sdx_case_run *run) {
    const sdx_ref *c = &run->in[1], *s = &run->in[2];
    sdx_case_output_like(run, 0, 0);
    heads x = heads_of(&run->in[0], sdx_case_int(run, "num_heads", 1)), y = x;
    y.ref = &run->out[0];
    const int64_t dim = sdx_case_int(run, "rotary_embedding_dim", 0), half = (dim ? dim : x.size) / 2;
    const bool neighbours = sdx_case_int(run, "interleaved", 0) != 0;
    for (int64_t t = 0; t < x.batch * x.heads * x.length; t++) {
        int64_t b = t / x.heads / x.length, h = t / x.length % x.heads, i = t % x.length, row = b * x.length + i;
        if (given(run, 3)) row = (int64_t)run->in[3].v[row];
        if (row < 0) row += c->dim[0];
        for (int64_t e = 0; e < x.size; e++) y.ref->v[place(&y, b, h, i, e)] = x.ref->v[place(&x, b, h, i, e)];
        for (int64_t e = 0; e < half; e++) {
            int64_t first = place(&x, b, h, i, neighbours ? 2 * e : e), second = first + (neighbours ? 1 : half);
            double u = x.ref->v[first], v = x.ref->v[second], cosine = c->v[(row * half + e) % c->count],
                   sine = s->v[(row * half + e) % s->count];
            y.ref->v[first] = cosine * u - sine * v;
            y.ref->v[second] = sine * u + cosine * v;
        }
    }
}

#define ATT(suffix, version, ...)                                                                                      \
    { .name = "attention_" suffix, .op = "Attention", .opset = version, __VA_ARGS__ }
#define FLEX(suffix, ...)                                                                                              \
    { .name = "flex_attention_" suffix, .domain = "ai.onnx.preview", .op = "FlexAttention", .opset = 1, __VA_ARGS__ }
#define ROPE(suffix, ...)                                                                                              \
    { .name = "rotary_embedding_" suffix, .op = "RotaryEmbedding", .opset = 23, __VA_ARGS__ }
#define QKV    "T1[2,3,L,8]=normal T1[2,3,S,8]=normal T2[2,3,S,E]=normal"
#define FLOATS "T1=f32|f16|f64 T2=f32|f64"

const sdx_case sdx_cases[] = {
    ATT("plain", 23, .inputs = QKV, .dims = "L=0..5 S=1..9 E=1..40", .reference = attention),
    ATT("no_keys", 23, .inputs = "T1[1,2,3,4]=normal T1[1,2,0,4]=normal T2[1,2,0,5]=normal", .reference = attention),
    ATT("no_heads", 23, .inputs = "T1[1,0,3,4]=normal T1[1,0,2,4]=normal T2[1,0,2,5]=normal", .types = "T1=f32 T2=f32",
        .outputs = "Y present_key present_value qk", .reference = attention),
    ATT("no_batch", 23, .attributes = "q_num_heads:int=2 kv_num_heads:int=1", .types = "T1=f32 T2=f32",
        .inputs = "T1[0,3,8]=normal T1[0,2,4]=normal T2[0,2,5]=normal", .reference = attention),
    ATT("many_queries", 23, .inputs = QKV, .dims = "L=9..150 S=1..300 E=1..20", .types = FLOATS,
        .reference = attention),
    ATT("wide_mix", 23, .inputs = "T1[1,2,20,6]=normal T1[1,2,11,6]=normal T2[1,2,11,9]=normal",
        .reference = attention),
    ATT("decode", 23, .inputs = "T1[2,4,1,16]=normal T1[2,2,S,16]=normal T2[2,2,S,24]=normal", .dims = "S=1..1300",
        .types = "T1=f32|bf16 T2=f32|f16", .reference = attention, .atol = 1e-5),
    ATT("scaled_capped", 23, .attributes = "scale:float=0.2 softcap:float=1.5", .inputs = QKV,
        .dims = "L=1..12 S=1..9 E=1..9", .reference = attention),
    ATT("causal", 23, .attributes = "is_causal:int=1", .inputs = QKV, .dims = "L=1..40 S=1..40 E=1..9", .types = FLOATS,
        .reference = attention),
    ATT("flat", 23, .attributes = "q_num_heads:int=4 kv_num_heads:int=2 is_causal:int=1",
        .inputs = "T1[2,L,20]=normal T1[2,S,10]=normal T2[2,S,2*E]=normal", .dims = "L=1..20 S=1..9 E=1..9",
        .reference = attention),
    ATT("flat_decode", 23, .attributes = "q_num_heads:int=6 kv_num_heads:int=2",
        .inputs = "T1[2,1,30]=normal T1[2,S,10]=normal T2[2,S,14]=normal", .dims = "S=1..600",
        .types = "T1=f32|f16 T2=f32|bf16", .reference = attention),
    ATT("mask", 23, .inputs = "T1[2,3,L,4]=normal T1[2,3,5,4]=normal T2[2,3,5,6]=normal U[2,3,L,5]=ints(0,4)",
        .dims = "L=1..12", .reference = attention),
    ATT("mask_row", 23, .inputs = "T1[2,3,4,4]=normal T1[2,3,5,4]=normal T2[2,3,5,6]=normal U[5]=normal",
        .types = "T1=f32|f64 T2=f32 U=f32|bool|f64|i8", .reference = attention),
    ATT("mask_heads", 23, .inputs = "T1[2,3,9,4]=normal T1[2,3,5,4]=normal T2[2,3,5,6]=normal U[3,1,5]=normal",
        .types = "T1=f32|f64 T2=f32|f64 U=f32|bool|f64", .reference = attention),
    ATT("mask_short", 24, .inputs = "T1[2,3,4,4]=normal T1[2,3,5,4]=normal T2[2,3,5,6]=normal U[2,1,4,3]=normal",
        .types = "T1=f32|f64 T2=f32|f64 U=f32|bool|f64", .reference = attention),
    ATT("mask_one_key", 23, .inputs = "T1[1,2,9,4]=normal T1[1,2,5,4]=normal T2[1,2,5,6]=normal U[9,1]=normal",
        .types = "T1=f32|f64 T2=f32|f64 U=f32|f64", .reference = attention),
    ATT("nothing_seen", 23,
        .inputs = "T1[1,1,2,2]=normal T1[1,1,3,2]=normal T2[1,1,3,2]={1 2 3 4 5 6} bool[2,3]={0 0 0 0 1 0}",
        .types = "T1=f32|f16|f64 T2=f32", .outputs = "Y", .expect = "T1[1,1,2,2]={0,0,3,4}"),
    ATT("infinite_mask", 23,
        .inputs = "f32[1,1,9,2]=normal f32[1,1,3,2]=normal f32[1,1,3,2]=normal f32[1,3]={-inf 0 -inf}",
        .reference = attention),
    ATT("past", 23, .attributes = "is_causal:int=1",
        .inputs = "T1[2,4,L,6]=normal T1[2,2,L,6]=normal T2[2,2,L,5]=normal - T1[2,2,P,6]=normal T2[2,2,P,5]=normal",
        .outputs = "Y present_key present_value", .dims = "L=1..20 P=0..30", .types = "T1=f32|f16|f64 T2=f32|f64",
        .reference = attention),
    ATT("past_only_read", 23,
        .inputs = "T1[1,2,L,6]=normal T1[1,2,7,6]=normal T2[1,2,7,5]=normal - T1[1,2,P,6]=normal "
                  "T2[1,2,P,5]=normal",
        .dims = "L=1..30 P=0..300", .types = FLOATS, .reference = attention),
    ATT("past_decode", 23, .attributes = "q_num_heads:int=4 kv_num_heads:int=2",
        .inputs = "T1[2,1,24]=normal T1[2,1,12]=normal "
                  "T2[2,1,10]=normal U[2,1,1,P+1]=normal T1[2,2,P,6]=normal T2[2,2,P,5]=normal",
        .outputs = "Y present_key present_value", .dims = "P=0..700", .types = "T1=f32|bf16|f64 T2=f32 U=f32|bool",
        .reference = attention),
    ATT("present_alone", 23, .inputs = "T1[1,2,3,4]=normal T1[1,2,5,4]=normal T2[1,2,5,6]=normal",
        .outputs = "- present_key present_value", .types = FLOATS, .reference = attention),
    ATT("scores_raw", 23, .attributes = "softcap:float=2", .inputs = QKV, .outputs = "Y - - qk",
        .dims = "L=1..20 S=1..300 E=1..5", .types = "T1=f32|f16|f64 T2=f32", .reference = attention),
    ATT("scores_capped", 23, .attributes = "softcap:float=2 qk_matmul_output_mode:int=1", .inputs = QKV,
        .outputs = "Y - - qk", .dims = "L=1..20 S=1..9 E=1..5", .types = FLOATS, .reference = attention),
    ATT("scores_biased", 23, .attributes = "is_causal:int=1 qk_matmul_output_mode:int=2",
        .inputs = QKV " T1[L,S]=normal", .outputs = "Y - - qk", .dims = "L=1..20 S=1..150 E=1..5", .types = FLOATS,
        .reference = attention),
    ATT("scores_softmax", 23, .attributes = "is_causal:int=1 qk_matmul_output_mode:int=3 softmax_precision:int=11",
        .inputs = QKV " bool[L,S]=bool", .outputs = "Y - - qk", .dims = "L=1..20 S=1..150 E=1..5",
        .types = "T1=f32|f16|f64 T2=f32", .reference = attention),
    ATT("precision", 25, .attributes = "softmax_precision:int=10",
        .inputs = "T1[1,2,9,4]=normal T1[1,2,5,4]=normal T2[1,2,5,6]=normal", .types = FLOATS, .reference = attention),
    ATT("nonpad", 24, .attributes = "is_causal:int=1",
        .inputs = "T1[3,4,L,6]=normal T1[3,2,9,6]=normal T2[3,2,9,5]=normal - - - "
                  "i64[3]={0 4 9}",
        .dims = "L=1..12", .types = FLOATS, .reference = attention),
    ATT("nonpad_mask", 24,
        .inputs = "T1[2,4,3,6]=normal T1[2,2,200,6]=normal T2[2,2,200,5]=normal U[2,1,3,150]=normal - - "
                  "i64[2]={140 3}",
        .types = "T1=f32|f16|f64 T2=f32 U=f32|bool|f64", .reference = attention),
    ATT("window", 25, .attributes = "left_window_size:int=7 right_window_size:int=3", .inputs = QKV,
        .dims = "L=1..40 S=1..300 E=1..5", .types = FLOATS, .reference = attention),
    ATT("window_causal_past", 25, .attributes = "left_window_size:int=2 is_causal:int=1",
        .inputs = "T1[1,2,L,6]=normal T1[1,2,L,6]=normal T2[1,2,L,5]=normal - T1[1,2,9,6]=normal T2[1,2,9,5]=normal",
        .dims = "L=1..40", .types = FLOATS, .reference = attention),
    ATT("window_nonpad", 25, .attributes = "left_window_size:int=0 right_window_size:int=1",
        .inputs = "T1[2,2,3,6]=normal T1[2,1,9,6]=normal T2[2,1,9,5]=normal - - - i64[2]={2 9}", .types = FLOATS,
        .reference = attention),
    ATT("bad_heads", 23, .inputs = "T1[1,3,2,4]=normal T1[1,2,2,4]=normal T2[1,2,2,4]=normal", .types = FLOATS,
        .fails = SDX_SHAPE, .says = "'Q' has 3 heads"),
    ATT("bad_flat", 23, .inputs = "T1[1,3,8]=normal T1[1,2,8]=normal T2[1,2,8]=normal", .types = FLOATS,
        .fails = SDX_VALUE, .says = "'q_num_heads' is missing"),
    ATT("bad_hidden", 23, .attributes = "q_num_heads:int=3 kv_num_heads:int=1", .types = FLOATS,
        .inputs = "T1[1,3,8]=normal T1[1,2,8]=normal T2[1,2,8]=normal", .fails = SDX_SHAPE, .says = "input 'Q' is 8"),
    ATT("bad_size", 23, .inputs = "T1[1,2,2,4]=normal T1[1,2,2,5]=normal T2[1,2,2,4]=normal", .types = FLOATS,
        .fails = SDX_SHAPE, .says = "head sizes"),
    ATT("bad_mask", 23, .inputs = "T1[1,2,2,4]=normal T1[1,2,2,4]=normal T2[1,2,2,4]=normal f32[3,2]=normal",
        .types = FLOATS, .fails = SDX_SHAPE, .says = "dimension 0 of input 'attn_mask' is 3"),
    ATT("bad_past", 23, .inputs = "T1[1,2,2,4]=normal T1[1,2,2,4]=normal T2[1,2,2,4]=normal - T1[1,2,1,4]=normal",
        .types = FLOATS, .fails = SDX_MALFORMED, .says = "'past_value' is absent"),
    ATT("bad_nonpad", 24, .inputs = "T1[1,2,2,4]=normal T1[1,2,2,4]=normal T2[1,2,2,4]=normal - - - i64[1]={3}",
        .types = FLOATS, .fails = SDX_VALUE, .says = "'nonpad_kv_seqlen' is 3"),
    ATT("bad_mode", 23, .attributes = "qk_matmul_output_mode:int=4",
        .inputs = "T1[1,2,2,4]=normal T1[1,2,2,4]=normal T2[1,2,2,4]=normal", .types = FLOATS, .fails = SDX_VALUE,
        .says = "'qk_matmul_output_mode' is 4"),
    ATT("bad_window", 25, .attributes = "left_window_size:int=-2",
        .inputs = "T1[1,2,2,4]=normal T1[1,2,2,4]=normal T2[1,2,2,4]=normal", .types = FLOATS, .fails = SDX_VALUE,
        .says = "'left_window_size' is -2"),
    ATT("bad_attribute", 25, .attributes = "q_num_heads:int=2",
        .inputs = "T1[1,2,2,4]=normal T1[1,2,2,4]=normal T2[1,2,2,4]=normal", .types = FLOATS, .fails = SDX_VALUE,
        .says = "'q_num_heads' is given"),

    FLEX("plain", .inputs = "T1[2,4,L,6]=normal T1[2,2,S,6]=normal T1[2,2,S,5]=normal", .dims = "L=1..20 S=1..150",
         .reference = attention),
    FLEX("scaled", .attributes = "scale:float=0.1 softmax_precision:int=11",
         .inputs = "T1[1,2,3,4]=normal T1[1,1,5,4]=normal T1[1,1,5,6]=normal", .reference = attention),
    FLEX("bad_rank", .inputs = "T1[2,3,4]=normal T1[2,3,4]=normal T1[2,3,4]=normal", .fails = SDX_SHAPE,
         .says = "input 'Q' has rank 3"),
    FLEX("bad_precision", .attributes = "softmax_precision:int=7",
         .inputs = "T1[1,1,3,4]=normal T1[1,1,3,4]=normal T1[1,1,3,4]=normal", .fails = SDX_VALUE,
         .says = "'softmax_precision' is 7"),

    ROPE("halves", .inputs = "T[2,3,L,2*H]=normal T[2,L,H]=normal T[2,L,H]=normal", .dims = "L=0..6 H=1..40",
         .reference = rotary),
    ROPE("neighbours", .attributes = "interleaved:int=1",
         .inputs = "T[2,3,L,2*H]=normal T[2,L,H]=normal T[2,L,H]=normal", .dims = "L=1..6 H=1..40",
         .reference = rotary),
    ROPE("flat", .attributes = "num_heads:int=3", .inputs = "T[2,4,6*H]=normal T[2,4,H]=normal T[2,4,H]=normal",
         .dims = "H=1..20", .reference = rotary),
    ROPE("one_cache", .inputs = "T[3,2,L,2*H]=normal T[1,L,H]=normal T[1,L,H]=normal", .dims = "L=0..6 H=1..20",
         .reference = rotary),
    ROPE("one_sine", .inputs = "T[3,2,4,6]=normal T[3,4,3]=normal T[1,4,3]=normal", .reference = rotary),
    ROPE("part", .attributes = "rotary_embedding_dim:int=6",
         .inputs = "T[2,2,4,9]=normal T[7,3]=normal T[7,3]=normal "
                   "i64[2,4]={0 6 1 2 3 3 -1 -7}",
         .reference = rotary),
    ROPE("flat_part", .attributes = "rotary_embedding_dim:int=4 num_heads:int=2 interleaved:int=1",
         .inputs = "T[1,4,14]=normal T[5,2]=normal T[5,2]=normal i64[1,4]={4 3 2 0}", .reference = rotary),
    ROPE("bad_position", .inputs = "T[1,1,2,4]=normal T[3,2]=normal T[3,2]=normal i64[1,2]={0 3}", .fails = SDX_VALUE,
         .says = "'position_ids'"),
    ROPE("bad_size", .inputs = "T[1,1,2,5]=normal T[1,2,2]=normal T[1,2,2]=normal", .fails = SDX_SHAPE,
         .says = "must be even"),
    ROPE("bad_heads", .inputs = "T[1,2,4]=normal T[1,2,2]=normal T[1,2,2]=normal", .fails = SDX_VALUE,
         .says = "'num_heads' is 0"),
    ROPE("bad_cache", .inputs = "T[1,1,2,4]=normal T[1,2,3]=normal T[1,2,3]=normal", .fails = SDX_SHAPE,
         .says = "last dimension of"),
};
SDX_CASES_END
