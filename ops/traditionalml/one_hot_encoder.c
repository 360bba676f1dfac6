/* SPDX-License-Identifier: Apache-2.0
 * OneHotEncoder: Y[..., k] = 1 where X is category k. Numbers of other types are cut to integers first. With zeros = 0
 * an element of no category is an error. */
#include "ops/traditionalml/ml.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef struct encoder_params {
    sdx_ml_list categories;
    sdx_ml_lookup lookup;
    bool zeros;
} encoder_params;

static sdx_status encoder_bind(sdx_bind *bind, void *params) {
    encoder_params *p = params;
    p->zeros = sdx_bind_int(bind, "zeros") != 0;
    p->categories = sdx_ml_bind_list(bind, "cats_int64s", "cats_strings");
    sdx_ml_lookup_list(bind, &p->categories, &p->lookup);
    return bind->status;
}

static sdx_status encoder_infer(sdx_infer *infer, const void *params) {
    const encoder_params *p = params;
    const sdx_type *x = infer->in[0];
    infer->out[0].dtype = SDX_F32;
    if (x->dtype != SDX_UNDEFINED && (x->dtype == SDX_STRING) != p->categories.text)
        return sdx_fail(infer->error, SDX_TYPE, "input 'X' is of %s; the categories are in '%s'",
                        sdx_dtype_name(x->dtype), p->categories.text ? "cats_strings" : "cats_int64s");
    if (x->rank < 0) return SDX_OK;
    if (x->rank == SDX_MAX_RANK)
        return sdx_fail(infer->error, SDX_UNSUPPORTED, "the result has rank %d; at most %d is supported", x->rank + 1,
                        SDX_MAX_RANK);
    sdx_infer_same(infer, 0, 0);
    infer->out[0].rank = x->rank + 1;
    infer->out[0].dim[x->rank] = p->categories.n;
    return SDX_OK;
}

typedef struct job {
    const encoder_params *params;
    const sdx_tensor *x;
    float *y;
    _Atomic int64_t unknown; /* the first one */
} job;

static int64_t find(const job *j, int64_t i) {
    const sdx_ml_lookup *lookup = &j->params->lookup;
    const void *data = j->x->data;
    int64_t number = 0;
    double real = 0;
    switch ((int)j->x->dtype) {
    case SDX_STRING: return sdx_ml_find_string(lookup, ((const sdx_string *)data)[i]);
    case SDX_I64: number = ((const int64_t *)data)[i]; break;
    case SDX_I32: number = ((const int32_t *)data)[i]; break;
    case SDX_F32: real = (double)((const float *)data)[i]; break;
    default: real = ((const double *)data)[i];
    }
    if (j->x->dtype == SDX_F32 || j->x->dtype == SDX_F64) {
        if (!(fabs(real) < 0x1p63)) return -1;
        number = (int64_t)real;
    }
    return sdx_ml_find_number(lookup, (uint64_t)number);
}

static void encode(void *argument, int64_t begin, int64_t end, int worker) {
    job *j = argument;
    const int64_t n = j->params->categories.n;
    (void)worker;
    memset(j->y + begin * n, 0, (size_t)((end - begin) * n) * sizeof *j->y);
    for (int64_t i = begin; i < end; i++) {
        const int64_t k = find(j, i);
        if (k >= 0) {
            j->y[i * n + k] = 1;
            continue;
        }
        int64_t first = atomic_load(&j->unknown);
        while (i < first && !atomic_compare_exchange_weak(&j->unknown, &first, i)) continue;
    }
}

static const char *element_text(const sdx_tensor *x, int64_t i, char *out, size_t capacity) {
    if (x->dtype == SDX_STRING) {
        const sdx_string word = ((const sdx_string *)x->data)[i];
        return sdx_escape(out, capacity, word.data, word.size);
    }
    double number = 0;
    sdx_convert(NULL, x->dtype, (const char *)x->data + (size_t)i * sdx_dtype_size(x->dtype), SDX_F64, &number, 1);
    snprintf(out, capacity, "%.15g", number);
    return out;
}

static sdx_status encoder_compute(sdx_compute *compute, const void *params) {
    job j = {.params = params, .x = compute->in[0]};
    const int64_t n = j.params->categories.n;
    atomic_init(&j.unknown, INT64_MAX);
    sdx_tensor *y = compute->out[0];
    if (!y) {
        int64_t dims[SDX_MAX_RANK];
        for (int d = 0; d < j.x->rank; d++) dims[d] = j.x->dim[d];
        dims[j.x->rank] = n;
        y = sdx_compute_output(compute, 0, j.x->rank + 1, dims);
        if (!y) return compute->error->status;
    }
    j.y = y->data;
    SDX_TRY(sdx_for(compute, j.x->count, sdx_grain(16 + n), encode, &j));
    const int64_t unknown = atomic_load(&j.unknown);
    if (j.params->zeros || unknown == INT64_MAX) return SDX_OK;
    char found[96];
    return sdx_fail(compute->error, SDX_VALUE,
                    "element %lld of input 'X' is %s; with 'zeros' = 0 it must be one of the %lld categories",
                    (long long)unknown, element_text(j.x, unknown, found, sizeof found), (long long)n);
}

const sdx_op sdx_op_OneHotEncoder = {
    .domain = SDX_ML,
    .name = "OneHotEncoder",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:f32", "T=" SDX_T_ML "|string", "cats_int64s:ints cats_strings:strings zeros:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(encoder_params),
    .bind = encoder_bind,
    .infer = encoder_infer,
    .compute = encoder_compute,
    .grad = sdx_no_gradient,
};
