/* SPDX-License-Identifier: Apache-2.0
 * CategoryMapper: strings to integers or integers to strings, by two lists of equal length. */
#include "ops/traditionalml/ml.h"

typedef struct mapper_params {
    sdx_ints numbers;
    const sdx_string *strings;
    sdx_ml_lookup of_numbers, of_strings;
    int64_t other_number;
    sdx_string other_string;
} mapper_params;

static sdx_status mapper_bind(sdx_bind *bind, void *params) {
    mapper_params *p = params;
    size_t n = 0;
    p->numbers = sdx_bind_ints(bind, "cats_int64s");
    p->strings = sdx_bind_strings(bind, "cats_strings", &n);
    p->other_number = sdx_bind_int(bind, "default_int64");
    p->other_string = sdx_bind_string(bind, "default_string");
    if (n != p->numbers.n)
        sdx_bind_fail(bind, SDX_VALUE,
                      "attributes 'cats_int64s' and 'cats_strings' have %zu and %zu entries; they must have "
                      "as many",
                      p->numbers.n, n);
    sdx_ml_lookup_strings(bind, p->strings, n, &p->of_strings);
    sdx_ml_lookup_numbers(bind, (const uint64_t *)p->numbers.data, n, &p->of_numbers);
    return bind->status;
}

static sdx_status mapper_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    const sdx_dtype from = infer->in[0]->dtype;
    if (from != SDX_UNDEFINED) infer->out[0].dtype = from == SDX_STRING ? SDX_I64 : SDX_STRING;
    return SDX_OK;
}

typedef struct job {
    const mapper_params *params;
    const sdx_tensor *x;
    void *y;
} job;

static void map(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const mapper_params *p = j->params;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        if (j->x->dtype == SDX_STRING) {
            const int64_t k = sdx_ml_find_string(&p->of_strings, ((const sdx_string *)j->x->data)[i]);
            ((int64_t *)j->y)[i] = k < 0 ? p->other_number : p->numbers.data[k];
        } else {
            const int64_t k = sdx_ml_find_number(&p->of_numbers, ((const uint64_t *)j->x->data)[i]);
            ((sdx_string *)j->y)[i] = k < 0 ? p->other_string : p->strings[k];
        }
    }
}

static sdx_status mapper_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0], *y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!y) return compute->error->status;
    job j = {params, x, y->data};
    return sdx_for(compute, x->count, sdx_grain(16), map, &j);
}

const sdx_op sdx_op_CategoryMapper = {
    .domain = SDX_ML,
    .name = "CategoryMapper",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T1 -> Y:T2", "T1=i64|string T2=i64|string",
             "cats_int64s:ints cats_strings:strings default_int64:int=-1 default_string:string=_Unused"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(mapper_params),
    .bind = mapper_bind,
    .infer = mapper_infer,
    .compute = mapper_compute,
    .grad = sdx_no_gradient,
};
