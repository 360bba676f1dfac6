/* SPDX-License-Identifier: Apache-2.0
 * LinearAttention, CausalConvWithState. */
#include "tests/ops/case.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool given(const sdx_case_run *run, int k) { return k < run->n_in && run->in[k].present; }

static void linear_attention(sdx_case_run *run) {
    const sdx_ref *q = &run->in[0], *k = &run->in[1], *v = &run->in[2], *decay = &run->in[4], *beta = &run->in[5];
    const int64_t q_heads = sdx_case_int(run, "q_num_heads", 1), heads = sdx_case_int(run, "kv_num_heads", 1);
    const int64_t batch = q->dim[0], length = q->dim[1], d = q->dim[2] / q_heads, e = v->dim[2] / heads;
    const double given_scale = sdx_case_float(run, "scale", 0),
                 scale = given_scale != 0 ? given_scale : 1 / sqrt((double)d);
    const int64_t dims[3] = {batch, length, q_heads * e}, state_dims[4] = {batch, heads, d, e};
    double *y = sdx_case_output(run, 0, 3, dims), *state = sdx_case_output(run, 1, 4, state_dims);
    if (given(run, 3)) memcpy(state, run->in[3].v, (size_t)run->in[3].count * sizeof *state);
    for (int64_t t = 0; t < batch * heads * length; t++) {
        int64_t b = t / length / heads, h = t / length % heads, token = b * length + t % length;
        double *s = state + (b * heads + h) * d * e;
        const double *key = k->v + (token * heads + h) * d;
        for (int64_t i = 0; given(run, 4) && i < d * e; i++) {
            bool one = decay->dim[2] == heads;
            s[i] *= exp(decay->v[one ? token * heads + h : (token * heads + h) * d + i / e]);
        }
        for (int64_t j = 0; j < e; j++) {
            double value = v->v[(token * heads + h) * e + j], found = 0;
            for (int64_t i = 0; i < d; i++) found += s[i * e + j] * key[i];
            if (given(run, 5)) value = (value - found) * beta->v[beta->dim[2] == 1 ? token : token * heads + h];
            for (int64_t i = 0; i < d; i++) s[i * e + j] += key[i] * value;
        }
        for (int64_t g = 0; g < q_heads / heads; g++) {
            int64_t row = token * q_heads + h * (q_heads / heads) + g;
            for (int64_t i = 0; i < d * e; i++) y[row * e + i % e] += scale * q->v[row * d + i / e] * s[i];
        }
    }
}

static void causal_conv(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *w = &run->in[1];
    const int64_t channels = x->dim[1], n = x->dim[2], taps = w->dim[2], before = taps - 1;
    const int64_t state_dims[3] = {x->dim[0], channels, before};
    double *y = sdx_case_output_like(run, 0, 0), *state = sdx_case_output(run, 1, 3, state_dims);
    double *padded = calloc((size_t)(n + before) + 1, sizeof *padded);
    for (int64_t row = 0; row < x->dim[0] * channels; row++) {
        for (int64_t i = 0; i < before; i++) padded[i] = given(run, 3) ? run->in[3].v[row * before + i] : 0;
        for (int64_t i = 0; i < n; i++) padded[before + i] = x->v[row * n + i];
        for (int64_t i = 0; i < before; i++) state[row * before + i] = padded[n + i];
        for (int64_t i = 0; i < n; i++) {
            double sum = given(run, 2) ? run->in[2].v[row % channels] : 0;
            for (int64_t t = 0; t < taps; t++) sum += padded[i + t] * w->v[row % channels * taps + t];
            if (sdx_case_string(run, "activation", "none")[0] == 's') sum /= 1 + exp(-sum);
            y[row * n + i] = sum;
        }
    }
    free(padded);
}

#define LINEAR(suffix, ...)                                                                                            \
    { .name = "linear_attention_" suffix, .op = "LinearAttention", .opset = 27, __VA_ARGS__ }
#define CAUSAL(suffix, ...)                                                                                            \
    { .name = "causal_conv_" suffix, .op = "CausalConvWithState", .opset = 27, __VA_ARGS__ }
#define HEADS "q_num_heads:int=4 kv_num_heads:int=2 update_rule:string="
#define QKV   "T[2,L,4*D]=uniform(-0.5,0.5) T[2,L,2*D]=uniform(-0.5,0.5) T[2,L,2*E]=normal "
#define PAST  "S[2,2,D,E]=normal "
#define SIZES                                                                                                          \
    .dims = "L=1..6 D=1..20 E=1..150", .outputs = "output present_state", .reference = linear_attention, .atol = 1e-5

const sdx_case sdx_cases[] = {
    LINEAR("linear", .attributes = HEADS "linear", .inputs = QKV, .types = "T=f32|f16|bf16", SIZES),
    LINEAR("linear_past", .attributes = HEADS "linear scale:float=0.3", .inputs = QKV PAST, SIZES),
    LINEAR("gated", .attributes = HEADS "gated", .inputs = QKV "- T[2,L,2*D]=uniform(-2,0)", SIZES),
    LINEAR("gated_heads", .attributes = HEADS "gated", .inputs = QKV PAST "T[2,L,2]=uniform(-2,0)", SIZES),
    LINEAR("delta", .attributes = HEADS "delta", .inputs = QKV PAST "- T[2,L,2]=uniform(0,1)", SIZES),
    LINEAR("gated_delta", .attributes = HEADS "gated_delta chunk_size:int=16",
           .inputs = QKV PAST "T[2,L,2*D]=uniform(-2,0) T[2,L,1]=uniform(0,1)", SIZES),
    LINEAR("gated_delta_state_alone", .attributes = HEADS "gated_delta", .dims = "L=1..6 D=1..20 E=1..150",
           .inputs = QKV PAST "T[2,L,2]=uniform(-2,0) T[2,L,2]=uniform(0,1)", .outputs = "- present_state",
           .reference = linear_attention, .atol = 1e-5),
    LINEAR("no_tokens", .attributes = HEADS "linear",
           .inputs = "T[2,0,12]=normal T[2,0,6]=normal T[2,0,8]=normal S[2,2,3,4]=normal",
           .outputs = "output present_state", .reference = linear_attention),
    LINEAR("bad_heads", .attributes = "q_num_heads:int=3 kv_num_heads:int=2",
           .inputs = "T[1,1,6]=normal T[1,1,4]=normal T[1,1,4]=normal", .fails = SDX_VALUE,
           .says = "'q_num_heads' is 3"),
    LINEAR("bad_rule", .attributes = HEADS "other", .inputs = "T[1,1,4]=normal T[1,1,2]=normal T[1,1,2]=normal",
           .fails = SDX_VALUE, .says = "update_rule"),
    LINEAR("no_decay", .attributes = HEADS "gated", .inputs = "T[1,1,4]=normal T[1,1,2]=normal T[1,1,2]=normal",
           .fails = SDX_MALFORMED, .says = "'decay' is absent"),
    LINEAR("extra_beta", .attributes = HEADS "linear",
           .inputs = "T[1,1,4]=normal T[1,1,2]=normal T[1,1,2]=normal - - T[1,1,2]=normal", .fails = SDX_MALFORMED,
           .says = "'beta' is given"),
    LINEAR("bad_state", .attributes = HEADS "linear",
           .inputs = "T[1,1,8]=normal T[1,1,4]=normal T[1,1,4]=normal S[1,2,3,2]=normal", .fails = SDX_SHAPE,
           .says = "d_k"),
    LINEAR("bad_decay", .attributes = HEADS "gated",
           .inputs = "T[1,1,8]=normal T[1,1,4]=normal T[1,1,4]=normal - T[1,1,3]=normal", .fails = SDX_SHAPE,
           .says = "input 'decay' is 3"),

    CAUSAL("plain", .inputs = "T[2,3,L]=normal T[3,1,K]=normal", .outputs = "output present_state",
           .dims = "L=0..40 K=1..6", .reference = causal_conv),
    CAUSAL("bias_past", .inputs = "T[2,C,L]=normal T[C,1,4]=normal T[C]=normal T[2,C,3]=normal",
           .dims = "C=1..9 L=1..40", .outputs = "output present_state", .reference = causal_conv),
    CAUSAL("silu", .attributes = "activation:string=silu",
           .inputs = "T[1,C,L]=normal T[C,1,3]=normal - T[1,C,2]=normal", .dims = "C=1..9 L=1..5",
           .outputs = "output present_state", .reference = causal_conv),
    CAUSAL("swish", .attributes = "activation:string=swish", .inputs = "T[1,2,9]=normal T[2,1,1]=normal T[2]=normal",
           .outputs = "output present_state", .reference = causal_conv),
    CAUSAL("state_alone", .inputs = "T[1,2,2]=normal T[2,1,5]=normal - T[1,2,4]=normal", .outputs = "- present_state",
           .reference = causal_conv),
    CAUSAL("bad_past", .inputs = "T[1,2,9]=normal T[2,1,3]=normal - T[1,2,3]=normal", .fails = SDX_SHAPE,
           .says = "k - 1"),
    CAUSAL("bad_channels", .inputs = "T[1,2,9]=normal T[3,1,3]=normal", .fails = SDX_SHAPE, .says = "channels"),
    CAUSAL("bad_activation", .attributes = "activation:string=relu", .inputs = "T[1,2,9]=normal T[2,1,3]=normal",
           .fails = SDX_VALUE, .says = "activation"),
};
SDX_CASES_END
