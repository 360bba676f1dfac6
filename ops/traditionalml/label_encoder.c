/* SPDX-License-Identifier: Apache-2.0
 * LabelEncoder: Y = the value at the position where X is among the keys, else the default. NaN keys match any NaN, and
 * of equal keys the last counts. Version 1 knows one list of strings alone, and the position in it. */
#include "ops/move.h"
#include "ops/traditionalml/ml.h"
#include "runtime/base/value.h"

/* Entries of one element type: keys or values. */
typedef struct column {
    sdx_dtype dtype;
    size_t n;
    const void *data;
} column;

typedef struct encoder_params {
    column keys, values;
    sdx_ml_lookup lookup;
    const void *otherwise;
    column classes; /* version 1 */
    float default_float;
    int64_t default_int;
    sdx_string default_string;
} encoder_params;

static void add(sdx_bind *bind, column *to, const char *side, sdx_dtype dtype, size_t n, const void *data) {
    if (n == 0) return;
    if (to->n)
        sdx_bind_fail(bind, SDX_VALUE, "%s are given as %s and as %s; they must be given once", side,
                      sdx_dtype_name(to->dtype), sdx_dtype_name(dtype));
    *to = (column){dtype, n, data};
}

static void add_tensor(sdx_bind *bind, column *to, const char *side, const char *name) {
    if (!sdx_bind_has(bind, name)) return; /* version 2 has no such attribute */
    const sdx_value *value = sdx_bind_value(bind, name);
    if (!value) return;
    static const sdx_dtype allowed[] = {SDX_F32, SDX_F64, SDX_I16, SDX_I32, SDX_I64, SDX_STRING};
    for (size_t k = 0; k < sizeof allowed / sizeof *allowed; k++)
        if (value->tensor.dtype == allowed[k]) {
            add(bind, to, side, allowed[k], (size_t)value->tensor.count, value->tensor.data);
            return;
        }
    sdx_bind_fail(bind, SDX_TYPE, "attribute '%s' is a tensor of %s; it must be of f32, f64, i16, i32, i64 or string",
                  name, sdx_dtype_name(value->tensor.dtype));
}

static void bind_column(sdx_bind *bind, column *to, const char *side, const char *floats, const char *ints,
                        const char *strings, const char *tensor) {
    size_t n = 0;
    const float *f = sdx_bind_floats(bind, floats, &n);
    add(bind, to, side, SDX_F32, n, f);
    const sdx_ints i = sdx_bind_ints(bind, ints);
    add(bind, to, side, SDX_I64, i.n, i.data);
    const sdx_string *s = sdx_bind_strings(bind, strings, &n);
    add(bind, to, side, SDX_STRING, n, s);
    add_tensor(bind, to, side, tensor);
}

/* The key under which element i of a numeric column is found. */
static inline uint64_t key_of(sdx_dtype dtype, const void *data, int64_t i) {
    switch ((int)dtype) {
    case SDX_F32: return sdx_ml_float_key((double)((const float *)data)[i]);
    case SDX_F64: return sdx_ml_float_key(((const double *)data)[i]);
    case SDX_I16: return (uint64_t)((const int16_t *)data)[i];
    case SDX_I32: return (uint64_t)((const int32_t *)data)[i];
    default: return ((const uint64_t *)data)[i];
    }
}

static void bind_lookup(sdx_bind *bind, encoder_params *p) {
    if (p->keys.dtype == SDX_STRING) {
        sdx_ml_lookup_strings(bind, p->keys.data, p->keys.n, &p->lookup);
        return;
    }
    uint64_t *numbers = SDX_NEW_ARRAY(bind->arena, uint64_t, p->keys.n ? p->keys.n : 1, bind->error);
    if (!numbers) {
        if (bind->status == SDX_OK) bind->status = bind->error->status;
        return;
    }
    for (size_t k = 0; k < p->keys.n; k++) numbers[k] = key_of(p->keys.dtype, p->keys.data, (int64_t)k);
    sdx_ml_lookup_numbers(bind, numbers, p->keys.n, &p->lookup);
}

/* One element of the type of the values. */
static void bind_default(sdx_bind *bind, encoder_params *p) {
    static const double minus_zero = -0.0;
    static const int16_t minus_one_16 = -1;
    static const int32_t minus_one_32 = -1;
    const sdx_dtype dtype = p->values.dtype;
    const sdx_value *tensor = sdx_bind_has(bind, "default_tensor") ? sdx_bind_value(bind, "default_tensor") : NULL;
    if (tensor) {
        if (tensor->tensor.dtype != dtype || tensor->tensor.count != 1)
            sdx_bind_fail(bind, SDX_VALUE, "attribute 'default_tensor' has %lld elements of %s; it must have 1 of %s",
                          (long long)tensor->tensor.count, sdx_dtype_name(tensor->tensor.dtype), sdx_dtype_name(dtype));
        p->otherwise = tensor->tensor.data;
    } else if (dtype == SDX_F32) {
        p->default_float = sdx_bind_float(bind, "default_float");
        p->otherwise = &p->default_float;
    } else if (dtype == SDX_STRING)
        p->otherwise = &p->default_string;
    else if (dtype == SDX_I64)
        p->otherwise = &p->default_int;
    else
        p->otherwise = dtype == SDX_F64   ? (const void *)&minus_zero
                       : dtype == SDX_I16 ? (const void *)&minus_one_16
                                          : &minus_one_32;
}

static sdx_status encoder_bind(sdx_bind *bind, void *params) {
    encoder_params *p = params;
    p->default_int = sdx_bind_int(bind, "default_int64");
    p->default_string = sdx_bind_string(bind, "default_string");
    if (bind->since == 1) {
        p->classes.dtype = SDX_STRING;
        p->classes.data = sdx_bind_strings(bind, "classes_strings", &p->classes.n);
        sdx_ml_lookup_strings(bind, p->classes.data, p->classes.n, &p->lookup);
        return bind->status;
    }
    bind_column(bind, &p->keys, "keys", "keys_floats", "keys_int64s", "keys_strings", "keys_tensor");
    bind_column(bind, &p->values, "values", "values_floats", "values_int64s", "values_strings", "values_tensor");
    if (p->keys.n == 0 || p->keys.n != p->values.n)
        sdx_bind_fail(bind, SDX_VALUE, "there are %zu keys and %zu values; they must be as many, and some", p->keys.n,
                      p->values.n);
    if (bind->status != SDX_OK) return bind->status;
    bind_lookup(bind, p);
    bind_default(bind, p);
    return bind->status;
}

static sdx_status encoder_infer(sdx_infer *infer, const void *params) {
    const encoder_params *p = params;
    const sdx_dtype from = infer->in[0]->dtype;
    sdx_infer_same(infer, 0, 0);
    if (infer->since == 1) {
        if (from != SDX_UNDEFINED) infer->out[0].dtype = from == SDX_STRING ? SDX_I64 : SDX_STRING;
        return SDX_OK;
    }
    infer->out[0].dtype = p->values.dtype;
    if (from != SDX_UNDEFINED && from != p->keys.dtype)
        return sdx_fail(infer->error, SDX_TYPE, "input 'X' is of %s; the keys are of %s", sdx_dtype_name(from),
                        sdx_dtype_name(p->keys.dtype));
    return SDX_OK;
}

typedef struct job {
    const encoder_params *params;
    const sdx_tensor *x;
    char *y;
    size_t size;
} job;

static void encode(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const encoder_params *p = j->params;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t k = j->x->dtype == SDX_STRING
                              ? sdx_ml_find_string(&p->lookup, ((const sdx_string *)j->x->data)[i])
                              : sdx_ml_find_number(&p->lookup, key_of(j->x->dtype, j->x->data, i));
        sdx_copy_run(j->y + (size_t)i * j->size,
                     k < 0 ? p->otherwise : (const char *)p->values.data + (size_t)k * j->size, j->size);
    }
}

static void encode_first_version(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const encoder_params *p = j->params;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        if (j->x->dtype == SDX_STRING) {
            const int64_t k = sdx_ml_find_string(&p->lookup, ((const sdx_string *)j->x->data)[i]);
            ((int64_t *)(void *)j->y)[i] = k < 0 ? p->default_int : k;
        } else {
            const uint64_t k = ((const uint64_t *)j->x->data)[i];
            ((sdx_string *)(void *)j->y)[i] =
                k < p->classes.n ? ((const sdx_string *)p->classes.data)[k] : p->default_string;
        }
    }
}

static sdx_status encoder_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0], *y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!y) return compute->error->status;
    job j = {.params = params, .x = x, .y = y->data, .size = sdx_dtype_size(y->dtype)};
    return sdx_for(compute, x->count, sdx_grain(16), compute->since == 1 ? encode_first_version : encode, &j);
}

#define V2_ATTRIBUTES                                                                                                  \
    "default_float:float=-0 default_int64:int=-1 default_string:string=_Unused keys_floats:floats keys_int64s:ints "   \
    "keys_strings:strings values_floats:floats values_int64s:ints values_strings:strings"

const sdx_op sdx_op_LabelEncoder = {
    .domain = SDX_ML,
    .name = "LabelEncoder",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T1 -> Y:T2", "T1=i64|string T2=i64|string",
             "classes_strings:strings default_int64:int=-1 default_string:string=_Unused"},
            {2, "X:T1 -> Y:T2", "T1=f32|i64|string T2=f32|i64|string", V2_ATTRIBUTES},
            {4, "X:T1 -> Y:T2", "T1=f32|f64|i16|i32|i64|string T2=f32|f64|i16|i32|i64|string",
             V2_ATTRIBUTES " default_tensor:tensor keys_tensor:tensor values_tensor:tensor"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(encoder_params),
    .bind = encoder_bind,
    .infer = encoder_infer,
    .compute = encoder_compute,
    .grad = sdx_no_gradient,
};
