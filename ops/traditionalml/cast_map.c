/* SPDX-License-Identifier: Apache-2.0
 * CastMap: the values of a map as a tensor [1,n], in the order of the keys; or, SPARSE, each at the place its key says,
 * with 0 (as a string: "0.f") where there is none. Numbers become strings with six digits behind the point. */
#include "ops/tensor/cast_convert.h"
#include "ops/traditionalml/map.h"
#include "ops/traditionalml/ml.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cast_params {
    sdx_dtype to;
    bool sparse;
    int64_t length;
} cast_params;

sdx_status sdx_map_input(sdx_compute *compute, const sdx_tensor **keys, const sdx_tensor **values) {
    const sdx_value *map = compute->in_value[0];
    if (!map || map->kind != SDX_MAP || map->items[1]->kind != SDX_TENSOR)
        return sdx_fail(compute->error, SDX_TYPE, "input 'X' must be a map whose values are numbers or strings");
    *keys = &map->items[0]->tensor;
    *values = &map->items[1]->tensor;
    return SDX_OK;
}

static sdx_status cast_bind(sdx_bind *bind, void *params) {
    static const char *const casts[] = {"TO_FLOAT", "TO_STRING", "TO_INT64"}, *const forms[] = {"DENSE", "SPARSE"};
    static const sdx_dtype dtypes[] = {SDX_F32, SDX_STRING, SDX_I64};
    cast_params *p = params;
    const int to = sdx_bind_choice(bind, "cast_to", casts, 3);
    p->sparse = sdx_bind_choice(bind, "map_form", forms, 2) == 1;
    p->length = sdx_bind_int(bind, "max_map");
    if (p->sparse && p->length < 1)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'max_map' is %lld; it must be 1 or more", (long long)p->length);
    p->to = dtypes[to < 0 ? 0 : to];
    return bind->status;
}

static sdx_status cast_infer(sdx_infer *infer, const void *params) {
    const cast_params *p = params;
    infer->out[0] = sdx_type_make(p->to, 2);
    infer->out[0].dim[0] = 1;
    infer->out[0].dim[1] = p->sparse ? p->length : -1;
    return SDX_OK;
}

/* Element i of `values` to place k of y. */
static sdx_status cast_one(sdx_compute *compute, const sdx_tensor *values, int64_t i, const sdx_tensor *y, int64_t k) {
    double number = 0;
    int64_t whole = 0;
    if (values->dtype == SDX_STRING) {
        const sdx_string word = ((const sdx_string *)values->data)[i];
        if (y->dtype == SDX_STRING) {
            ((sdx_string *)y->data)[k] = word;
            return SDX_OK;
        }
        sdx_string text = sdx_compute_string(compute, word.data, word.size);
        if (!text.data) return compute->error->status;
        char *end = NULL;
        if (y->dtype == SDX_I64)
            whole = strtoll(text.data, &end, 10);
        else
            number = strtod(text.data, &end);
        char found[64];
        if (end == text.data || *end)
            return sdx_fail(compute->error, SDX_VALUE, "value %lld of input 'X' is '%s'; it must be a number",
                            (long long)i, sdx_escape(found, sizeof found, word.data, word.size));
    } else {
        number = (double)((const float *)values->data)[i];
        sdx_convert(compute->kernels, SDX_F64, &number, SDX_I64, &whole, 1);
    }
    if (y->dtype == SDX_F32)
        ((float *)y->data)[k] = (float)number;
    else if (y->dtype == SDX_I64)
        ((int64_t *)y->data)[k] = whole;
    else {
        char text[400];
        const int size = snprintf(text, sizeof text, "%f", number);
        ((sdx_string *)y->data)[k] = sdx_compute_string(compute, text, (size_t)size);
        if (!((sdx_string *)y->data)[k].data) return compute->error->status;
    }
    return SDX_OK;
}

static void sink(const int64_t *keys, int64_t *order, int64_t at, int64_t n) {
    for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && keys[order[child + 1]] > keys[order[child]]) child++;
        if (keys[order[at]] >= keys[order[child]]) return;
        const int64_t swap = order[at];
        order[at] = order[child], order[child] = swap;
        at = child;
    }
}

/* Positions of the keys, ascending; NULL where they ascend already, or on failure. */
static int64_t *order_of(sdx_compute *compute, const sdx_tensor *keys) {
    const int64_t *key = keys->data, n = keys->count;
    int64_t sorted = 1;
    while (sorted < n && key[sorted - 1] < key[sorted]) sorted++;
    if (sorted >= n) return NULL;
    int64_t *order = compute->services->alloc(compute, (size_t)n * sizeof *order);
    if (!order) return NULL;
    for (int64_t k = 0; k < n; k++) order[k] = k;
    for (int64_t k = n / 2; k-- > 0;) sink(key, order, k, n);
    for (int64_t end = n; end-- > 1;) {
        const int64_t swap = order[0];
        order[0] = order[end], order[end] = swap;
        sink(key, order, 0, end);
    }
    return order;
}

static sdx_status cast_all(sdx_compute *compute, const cast_params *p, const sdx_tensor *keys,
                           const sdx_tensor *values) {
    sdx_tensor *y = sdx_compute_output(compute, 0, 2, (int64_t[2]){1, p->sparse ? p->length : keys->count});
    if (!y) return compute->error->status;
    if (!p->sparse) {
        const int64_t *order = order_of(compute, keys);
        if (compute->error->status != SDX_OK) return compute->error->status;
        for (int64_t k = 0; k < keys->count; k++) SDX_TRY(cast_one(compute, values, order ? order[k] : k, y, k));
        return SDX_OK;
    }
    if (p->to == SDX_STRING)
        for (int64_t k = 0; k < p->length; k++) ((sdx_string *)y->data)[k] = (sdx_string){"0.f", 3};
    else
        memset(y->data, 0, sdx_tensor_bytes(y));
    for (int64_t k = 0; k < keys->count; k++) {
        const int64_t at = ((const int64_t *)keys->data)[k];
        if (at < 0 || at >= p->length)
            return sdx_fail(compute->error, SDX_VALUE, "key %lld of input 'X' is %lld; it must be in [0, %lld)",
                            (long long)k, (long long)at, (long long)p->length);
        SDX_TRY(cast_one(compute, values, k, y, at));
    }
    return SDX_OK;
}

static sdx_status cast_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *keys = NULL, *values = NULL;
    SDX_TRY(sdx_map_input(compute, &keys, &values));
    locale_t before = (locale_t)0, plain = sdx_c_locale_enter(&before, compute->error);
    if (!plain) return compute->error->status;
    sdx_status status = cast_all(compute, params, keys, values);
    sdx_c_locale_leave(plain, before);
    return status;
}

const sdx_op sdx_op_CastMap = {
    .domain = SDX_ML,
    .name = "CastMap",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T1 -> Y:T2", "T1=map(i64,f32)|map(i64,string) T2=f32|i64|string",
             "cast_to:string=TO_FLOAT map_form:string=DENSE max_map:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(cast_params),
    .bind = cast_bind,
    .infer = cast_infer,
    .compute = cast_compute,
    .grad = sdx_no_gradient,
};
