/* SPDX-License-Identifier: Apache-2.0
 * Imputer: elements that equal the replaced value (or are NaN, where that is what is replaced) become the imputed one,
 * of which there is one for all or one for each position along the last dimension. */
#include "ops/traditionalml/ml.h"
#include <math.h>

typedef struct imputer_params {
    size_t n_floats, n_ints;
    const float *floats;
    const int64_t *ints;
    float old_float;
    int64_t old_int;
} imputer_params;

static sdx_status imputer_bind(sdx_bind *bind, void *params) {
    imputer_params *p = params;
    sdx_ints ints = sdx_bind_ints(bind, "imputed_value_int64s");
    p->floats = sdx_bind_floats(bind, "imputed_value_floats", &p->n_floats);
    p->ints = ints.data;
    p->n_ints = ints.n;
    p->old_float = sdx_bind_float(bind, "replaced_value_float");
    p->old_int = sdx_bind_int(bind, "replaced_value_int64");
    return bind->status;
}

static bool is_float(sdx_dtype dtype) { return sdx_dtype_class(dtype) == SDX_CLASS_FLOAT; }

static sdx_status imputer_infer(sdx_infer *infer, const void *params) {
    const imputer_params *p = params;
    const sdx_type *x = infer->in[0];
    const char *name = is_float(x->dtype) ? "imputed_value_floats" : "imputed_value_int64s";
    const size_t n = is_float(x->dtype) ? p->n_floats : p->n_ints;
    sdx_infer_same(infer, 0, 0);
    if (x->dtype == SDX_UNDEFINED) return SDX_OK;
    if (n == 0)
        return sdx_fail(infer->error, SDX_VALUE, "attribute '%s' has no entries; input 'X' of %s needs some", name,
                        sdx_dtype_name(x->dtype));
    for (size_t k = 0; k < n && x->dtype == SDX_I32; k++)
        if (p->ints[k] < INT32_MIN || p->ints[k] > INT32_MAX)
            return sdx_fail(infer->error, SDX_VALUE, "attribute '%s' has %lld at %zu; it must fit i32", name,
                            (long long)p->ints[k], k);
    if (x->rank == 0 && n > 1)
        return sdx_fail(infer->error, SDX_SHAPE, "attribute '%s' has %zu entries; input 'X' has rank 0", name, n);
    if (x->rank > 0 && n > 1 && x->dim[x->rank - 1] >= 0 && (uint64_t)x->dim[x->rank - 1] != n)
        return sdx_fail(infer->error, SDX_SHAPE, "attribute '%s' has %zu entries; it must have 1 or %lld", name, n,
                        (long long)x->dim[x->rank - 1]);
    return SDX_OK;
}

typedef struct job {
    const imputer_params *params;
    const sdx_tensor *x, *y;
    int64_t columns;
} job;

#define IMPUTE(suffix, T, new_values, n_values, is_old)                                                                \
    static void impute_##suffix(void *argument, int64_t begin, int64_t end, int worker) {                              \
        const job *j = argument;                                                                                       \
        const imputer_params *p = j->params;                                                                           \
        const int64_t step = p->n_values > 1, columns = j->columns;                                                    \
        (void)worker;                                                                                                  \
        for (int64_t row = begin; row < end; row++) {                                                                  \
            const T *x = (const T *)j->x->data + row * columns;                                                        \
            T *y = (T *)j->y->data + row * columns;                                                                    \
            for (int64_t c = 0; c < columns; c++) {                                                                    \
                const T v = x[c];                                                                                      \
                y[c] = (is_old) ? (T)p->new_values[c * step] : v;                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
IMPUTE(f32, float, floats, n_floats, v == p->old_float)
IMPUTE(f64, double, floats, n_floats, v == (double)p->old_float)
IMPUTE(nan_f32, float, floats, n_floats, v != v)
IMPUTE(nan_f64, double, floats, n_floats, v != v)
IMPUTE(i32, int32_t, ints, n_ints, v == p->old_int)
IMPUTE(i64, int64_t, ints, n_ints, v == p->old_int)

static sdx_status imputer_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    job j = {params, x, compute->out[0], x->rank ? x->dim[x->rank - 1] : 1};
    const bool nan = isnan(j.params->old_float), wide = x->dtype == SDX_F64;
    sdx_range_fn fn = x->dtype == SDX_I64 ? impute_i64 : impute_i32;
    if (is_float(x->dtype)) fn = nan ? (wide ? impute_nan_f64 : impute_nan_f32) : wide ? impute_f64 : impute_f32;
    if (x->count == 0) return SDX_OK;
    return sdx_for(compute, x->count / j.columns, sdx_grain(j.columns), fn, &j);
}

const sdx_op sdx_op_Imputer = {
    .domain = SDX_ML,
    .name = "Imputer",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:T", "T=" SDX_T_ML,
             "imputed_value_floats:floats imputed_value_int64s:ints replaced_value_float:float=0 "
             "replaced_value_int64:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(imputer_params),
    .bind = imputer_bind,
    .infer = imputer_infer,
    .compute = imputer_compute,
    .grad = sdx_no_gradient,
    .flags = SDX_OP_INPLACE,
};
