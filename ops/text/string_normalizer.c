/* SPDX-License-Identifier: Apache-2.0
 * StringNormalizer: drops the elements that are stop words (compared in lower case unless is_case_sensitive), then
 * changes case. Nothing left becomes one empty string. Case follows Unicode alone: `locale` has no effect. */
#include "ops/text/text.h"

enum { ACTION_NONE, ACTION_LOWER, ACTION_UPPER };

typedef struct string_normalizer_params {
    int action;
    bool case_sensitive;
    const sdx_string *stopwords;
    size_t n;
} string_normalizer_params;

static sdx_status string_normalizer_bind(sdx_bind *bind, void *params) {
    static const char *const actions[] = {"NONE", "LOWER", "UPPER"};
    string_normalizer_params *p = params;
    p->action = sdx_bind_choice(bind, "case_change_action", actions, 3);
    p->case_sensitive = sdx_bind_int(bind, "is_case_sensitive") != 0;
    p->stopwords = sdx_bind_strings(bind, "stopwords", &p->n);
    return bind->status;
}

static sdx_status string_normalizer_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int rank = sdx_infer_rank_of(infer, 0);
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dtype = SDX_STRING;
    if (rank < 0) return SDX_OK;
    if (rank < 1 || rank > 2)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be 1 or 2", rank);
    if (rank == 2) SDX_TRY(sdx_infer_merge_dim(infer, "dimension 0 of input 'X'", infer->in[0]->dim[0], 1, NULL));
    infer->out[0].dim[rank - 1] = -1;
    return SDX_OK;
}

/* The stop words as they are compared; NULL on failure. */
static sdx_string *stop_list(sdx_compute *compute, const string_normalizer_params *p) {
    sdx_string *words = compute->services->alloc(compute, (p->n + 1) * sizeof *words);
    for (size_t i = 0; words && i < p->n; i++) {
        words[i] = p->case_sensitive ? p->stopwords[i] : sdx_text_case(compute, p->stopwords[i], false);
        if (!words[i].data && p->stopwords[i].size) return NULL;
    }
    return words;
}

static sdx_status string_normalizer_compute(sdx_compute *compute, const void *params) {
    const string_normalizer_params *p = params;
    const sdx_tensor *in = compute->in[0];
    const sdx_string *x = in->data;
    sdx_string *words = stop_list(compute, p);
    sdx_string *kept = compute->services->alloc(compute, ((size_t)in->count + 1) * sizeof *kept);
    if (!words || !kept) return compute->error->status;
    int64_t n = 0;
    for (int64_t i = 0; i < in->count; i++) {
        sdx_string key = p->case_sensitive || p->n == 0 ? x[i] : sdx_text_case(compute, x[i], false);
        if (!key.data && x[i].size) return compute->error->status;
        bool stop = false;
        for (size_t w = 0; w < p->n && !stop; w++) stop = sdx_text_equal(key, words[w]);
        if (stop) continue;
        kept[n] = p->action == ACTION_NONE ? x[i] : sdx_text_case(compute, x[i], p->action == ACTION_UPPER);
        if (!kept[n].data && x[i].size) return compute->error->status;
        n++;
        if (i % 4096 == 0) SDX_TRY(sdx_stop_check(compute->stop, compute->error));
    }
    if (n == 0) kept[n++] = (sdx_string){NULL, 0};
    const int64_t dims[2] = {in->rank == 2 ? 1 : n, n};
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, dims);
    if (!out) return compute->error->status;
    for (int64_t i = 0; i < n; i++) ((sdx_string *)out->data)[i] = kept[i];
    return SDX_OK;
}

const sdx_op sdx_op_StringNormalizer = {
    .domain = "",
    .name = "StringNormalizer",
    .versions =
        (const sdx_op_version[]){
            {10, "X:string -> Y:string", "",
             "case_change_action:string=NONE is_case_sensitive:int=0 locale:string stopwords:strings"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(string_normalizer_params),
    .bind = string_normalizer_bind,
    .infer = string_normalizer_infer,
    .compute = string_normalizer_compute,
    .grad = sdx_no_gradient,
};
