/* SPDX-License-Identifier: Apache-2.0
 * StringSplit: Y has one more dimension, padded with empty strings to the longest; Z counts. Without a delimiter, runs
 * of white space separate and those at the ends are dropped. */
#include "ops/text/text.h"
#include <string.h>

typedef struct string_split_params {
    sdx_string delimiter;
    int64_t most; /* splits */
} string_split_params;

static sdx_status string_split_bind(sdx_bind *bind, void *params) {
    string_split_params *p = params;
    p->delimiter = sdx_bind_string(bind, "delimiter");
    p->most = sdx_bind_has(bind, "maxsplit") ? sdx_bind_int(bind, "maxsplit") : -1;
    if (p->most < 0) p->most = INT64_MAX;
    return bind->status;
}

static sdx_status string_split_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int rank = sdx_infer_rank_of(infer, 0);
    infer->out[0].dtype = SDX_STRING;
    if (infer->n_out > 1) {
        sdx_infer_same(infer, 1, 0);
        infer->out[1].dtype = SDX_I64;
    }
    if (rank < 0) return SDX_OK;
    if (rank == SDX_MAX_RANK)
        return sdx_fail(infer->error, SDX_UNSUPPORTED, "the result has rank %d; at most %d is supported", rank + 1,
                        SDX_MAX_RANK);
    sdx_infer_same(infer, 0, 0);
    infer->out[0].rank = rank + 1;
    infer->out[0].dim[rank] = -1;
    return SDX_OK;
}

static sdx_string skip_spaces(sdx_string text) {
    size_t length = 0;
    while (text.size && sdx_text_is_space(sdx_utf8_decode(text.data, text.size, &length))) {
        text.data += length;
        text.size -= length;
    }
    return text;
}

/* Cuts the next piece off `rest`; false when there is none. `last`: no more splits are allowed. */
static bool next_word(sdx_string *rest, bool last, sdx_string *piece) {
    *rest = skip_spaces(*rest);
    if (rest->size == 0) return false;
    size_t end = last ? rest->size : 0, length = 0;
    while (end < rest->size && !sdx_text_is_space(sdx_utf8_decode(rest->data + end, rest->size - end, &length)))
        end += length;
    *piece = (sdx_string){rest->data, end};
    *rest = (sdx_string){rest->data + end, rest->size - end};
    return true;
}

static bool next_field(sdx_string *rest, sdx_string delimiter, bool last, bool *done, sdx_string *piece) {
    if (*done) return false;
    const char *at = last || rest->size == 0 ? NULL : memmem(rest->data, rest->size, delimiter.data, delimiter.size);
    *piece = *rest;
    *done = !at;
    if (!at) return true;
    piece->size = (size_t)(at - rest->data);
    *rest = (sdx_string){at + delimiter.size, rest->size - piece->size - delimiter.size};
    return true;
}

/* Pieces of one string; written to out when it is not NULL. */
static int64_t split(const string_split_params *p, sdx_string text, sdx_string *out) {
    int64_t n = 0;
    bool done = false;
    sdx_string piece;
    while (p->delimiter.size ? next_field(&text, p->delimiter, n >= p->most, &done, &piece)
                             : next_word(&text, n >= p->most, &piece)) {
        if (out) out[n] = piece;
        n++;
    }
    return n;
}

static sdx_status string_split_compute(sdx_compute *compute, const void *params) {
    const string_split_params *p = params;
    const sdx_tensor *in = compute->in[0];
    const sdx_string *x = in->data;
    int64_t dims[SDX_MAX_RANK], width = 0;
    memcpy(dims, in->dim, sizeof dims);
    for (int64_t i = 0; i < in->count; i++) {
        int64_t n = split(p, x[i], NULL);
        width = n > width ? n : width;
    }
    if (compute->wanted[0]) {
        dims[in->rank] = width;
        sdx_tensor *out = sdx_compute_output(compute, 0, in->rank + 1, dims);
        if (!out) return compute->error->status;
        if (out->count) memset(out->data, 0, sdx_tensor_bytes(out));
        for (int64_t i = 0; i < in->count && width; i++) split(p, x[i], (sdx_string *)out->data + i * width);
    }
    if (compute->n_out < 2 || !compute->wanted[1]) return SDX_OK;
    sdx_tensor *counts = sdx_compute_output(compute, 1, in->rank, in->dim);
    if (!counts) return compute->error->status;
    for (int64_t i = 0; i < in->count; i++) ((int64_t *)counts->data)[i] = split(p, x[i], NULL);
    return SDX_OK;
}

const sdx_op sdx_op_StringSplit = {
    .domain = "",
    .name = "StringSplit",
    .versions =
        (const sdx_op_version[]){
            {20, "X:T1 -> Y:T2 Z:T3", "T1=string T2=string T3=i64", "delimiter:string maxsplit:int"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(string_split_params),
    .bind = string_split_bind,
    .infer = string_split_infer,
    .compute = string_split_compute,
    .grad = sdx_no_gradient,
};
