/* SPDX-License-Identifier: Apache-2.0
 * ZipMap: a sequence of maps, one for each row of X, from the class labels to the row's elements. All share the keys.
 */
#include "ops/traditionalml/map.h"
#include "ops/traditionalml/ml.h"
#include <string.h>

typedef struct zip_params {
    sdx_ml_list labels;
} zip_params;

static sdx_status zip_bind(sdx_bind *bind, void *params) {
    ((zip_params *)params)->labels = sdx_ml_bind_list(bind, "classlabels_int64s", "classlabels_strings");
    return bind->status;
}

static sdx_type map_type(const zip_params *p) {
    return (sdx_type){.kind = SDX_MAP, .dtype = SDX_F32, .key = sdx_ml_list_dtype(&p->labels), .rank = -1};
}

static sdx_status zip_infer(sdx_infer *infer, const void *params) {
    const zip_params *p = params;
    int64_t rows = 0;
    SDX_TRY(sdx_ml_infer_rows(infer, p->labels.n, &rows));
    sdx_type *elem = SDX_NEW(infer->arena, sdx_type, infer->error);
    if (!elem) return infer->error->status;
    *elem = map_type(p);
    infer->out[0] = (sdx_type){.kind = SDX_SEQUENCE, .rank = -1, .elem = elem};
    return SDX_OK;
}

static sdx_value *make_keys(sdx_compute *compute, const sdx_ml_list *labels) {
    union {
        const void *given;
        void *data;
    } bytes = {labels->text ? (const void *)labels->strings : labels->ints};
    sdx_tensor tensor;
    if (sdx_tensor_make(&tensor, sdx_ml_list_dtype(labels), 1, &labels->n, bytes.data, compute->error) != SDX_OK)
        return NULL;
    return sdx_value_copy_tensor(compute->memory, &tensor, compute->error);
}

static sdx_value *make_map(sdx_compute *compute, sdx_value *keys, const float *row, int64_t n, const sdx_type *none) {
    sdx_value *values = sdx_value_new_tensor(compute->memory, SDX_F32, 1, &n, compute->error);
    if (!values) return NULL;
    memcpy(values->tensor.data, row, (size_t)n * sizeof *row);
    sdx_value *map =
        sdx_value_new_items(compute->memory, SDX_MAP, (sdx_value *[]){keys, values}, 2, none, compute->error);
    sdx_value_release(values);
    return map;
}

static sdx_status zip_compute(sdx_compute *compute, const void *params) {
    const zip_params *p = params;
    const sdx_tensor *x = compute->in[0];
    const int64_t rows = sdx_ml_rows(x->rank, x->dim), n = p->labels.n;
    const sdx_type item = map_type(p), none = {0};
    sdx_value **maps = compute->services->alloc(compute, (size_t)(rows + 1) * sizeof(sdx_value *));
    sdx_value *keys = maps ? make_keys(compute, &p->labels) : NULL, *sequence = NULL;
    int64_t made = 0;
    if (!keys) return compute->error->status;
    for (; made < rows; made++) {
        maps[made] = make_map(compute, keys, (const float *)x->data + made * n, n, &none);
        if (!maps[made] || (made % 4096 == 0 && sdx_stop_check(compute->stop, compute->error) != SDX_OK)) break;
    }
    if (made == rows)
        sequence = sdx_value_new_items(compute->memory, SDX_SEQUENCE, maps, (size_t)rows, &item, compute->error);
    for (int64_t k = 0; k <= made; k++) sdx_value_release(maps[k]);
    sdx_value_release(keys);
    if (!sequence) return compute->error->status;
    compute->services->set_output(compute, 0, sequence);
    return SDX_OK;
}

const sdx_op sdx_op_ZipMap = {
    .domain = SDX_ML,
    .name = "ZipMap",
    .versions =
        (const sdx_op_version[]){
            {1, "X:f32 -> Z:T", "T=seq(map(i64,f32))|seq(map(string,f32))",
             "classlabels_int64s:ints classlabels_strings:strings"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(zip_params),
    .bind = zip_bind,
    .infer = zip_infer,
    .compute = zip_compute,
    .grad = sdx_no_gradient,
};
