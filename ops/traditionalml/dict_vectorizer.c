/* SPDX-License-Identifier: Apache-2.0
 * DictVectorizer: Y[0, k] = the value that a map has for word k of the vocabulary, 0 (or "") where it has none; keys
 * outside the vocabulary are passed over. The result is one row, as the models that follow expect. */
#include "ops/move.h"
#include "ops/traditionalml/map.h"
#include "ops/traditionalml/ml.h"

typedef struct vectorizer_params {
    sdx_ml_list words;
    sdx_ml_lookup lookup;
} vectorizer_params;

static sdx_status vectorizer_bind(sdx_bind *bind, void *params) {
    vectorizer_params *p = params;
    p->words = sdx_ml_bind_list(bind, "int64_vocabulary", "string_vocabulary");
    sdx_ml_lookup_list(bind, &p->words, &p->lookup);
    return bind->status;
}

static sdx_status vectorizer_infer(sdx_infer *infer, const void *params) {
    const vectorizer_params *p = params;
    const sdx_type *x = infer->in[0];
    if (x->kind == SDX_MAP && x->key != SDX_UNDEFINED && (x->key == SDX_STRING) != p->words.text)
        return sdx_fail(infer->error, SDX_TYPE, "input 'X' has keys of %s; the vocabulary is in '%s'",
                        sdx_dtype_name(x->key), p->words.text ? "string_vocabulary" : "int64_vocabulary");
    infer->out[0] = sdx_type_make(x->kind == SDX_MAP ? x->dtype : SDX_UNDEFINED, 2);
    infer->out[0].dim[0] = 1;
    infer->out[0].dim[1] = p->words.n;
    return SDX_OK;
}

/* The place of element i of a list of keys in the vocabulary. */
static int64_t place_of(const sdx_ml_lookup *lookup, const void *keys, int64_t i) {
    return lookup->text ? sdx_ml_find_string(lookup, ((const sdx_string *)keys)[i])
                        : sdx_ml_find_number(lookup, ((const uint64_t *)keys)[i]);
}

static sdx_status vectorizer_compute(sdx_compute *compute, const void *params) {
    const vectorizer_params *p = params;
    const sdx_tensor *keys = NULL, *values = NULL;
    SDX_TRY(sdx_map_input(compute, &keys, &values));
    sdx_tensor *y = sdx_compute_output(compute, 0, 2, (int64_t[2]){1, p->words.n});
    if (!y) return compute->error->status;
    const size_t size = sdx_dtype_size(y->dtype);
    char *to = y->data;
    memset(to, 0, sdx_tensor_bytes(y));
    if (y->dtype == SDX_STRING)
        for (int64_t k = 0; k < y->count; k++) ((sdx_string *)y->data)[k] = (sdx_string){"", 0};
    for (int64_t i = 0; i < keys->count; i++) {
        const int64_t k = place_of(&p->lookup, keys->data, i);
        if (k >= 0) sdx_copy_run(to + (size_t)k * size, (const char *)values->data + (size_t)i * size, size);
    }
    /* A word that is there twice was found at its last place. */
    for (int64_t k = 0; k < p->words.n; k++) {
        const int64_t from = place_of(&p->lookup, p->words.text ? (const void *)p->words.strings : p->words.ints, k);
        if (from != k) sdx_copy_run(to + (size_t)k * size, to + (size_t)from * size, size);
    }
    return SDX_OK;
}

const sdx_op sdx_op_DictVectorizer = {
    .domain = SDX_ML,
    .name = "DictVectorizer",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T1 -> Y:T2",
             "T1=map(i64,f32)|map(i64,f64)|map(i64,string)|map(string,f32)|map(string,f64)|map(string,i64) "
             "T2=f32|f64|i64|string",
             "int64_vocabulary:ints string_vocabulary:strings"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(vectorizer_params),
    .bind = vectorizer_bind,
    .infer = vectorizer_infer,
    .compute = vectorizer_compute,
    .grad = sdx_no_gradient,
};
