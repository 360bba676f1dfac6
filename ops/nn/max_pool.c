/* SPDX-License-Identifier: Apache-2.0
 * Maximum over sliding windows. Indices count elements of the whole of X, in row-major order or, within a plane, with
 * the first spatial dimension fastest (storage_order 1). */
#include "ops/nn/pool.h"

typedef struct max_pool_params {
    sdx_window_attrs window;
    bool column_major;
} max_pool_params;

static sdx_status max_pool_bind(sdx_bind *bind, void *params) {
    max_pool_params *p = params;
    if (bind->since >= 8) {
        int64_t order = sdx_bind_int(bind, "storage_order");
        if (order != 0 && order != 1)
            return sdx_bind_fail(bind, SDX_VALUE, "attribute 'storage_order' is %lld; it must be 0 or 1",
                                 (long long)order);
        p->column_major = order == 1;
    }
    return sdx_window_bind(bind, bind->since >= 10 ? SDX_WINDOW_DILATIONS | SDX_WINDOW_CEIL : 0, &p->window);
}

static sdx_status max_pool_infer(sdx_infer *infer, const void *params) {
    const max_pool_params *p = params;
    SDX_TRY(sdx_window_infer_pool(infer, &p->window));
    if (infer->n_out < 2) return SDX_OK;
    infer->out[1].rank = infer->out[0].rank;
    for (int d = 0; d < infer->out[0].rank; d++) infer->out[1].dim[d] = infer->out[0].dim[d];
    return SDX_OK;
}

static size_t max_pool_scratch(const sdx_infer *infer, const void *params) {
    const max_pool_params *p = params;
    const sdx_type *x = infer->in[0];
    sdx_pooling pooling = {.kind = SDX_POOL_MAX, .dtype = x->dtype};
    if (sdx_window_make(NULL, &p->window, x->rank - 2, x->dim + 2, p->window.kernel_shape.data, true, &pooling.window))
        return SIZE_MAX;
    return sdx_pooling_scratch(&pooling, infer->threads);
}

/* Room for Y when only Indices are read. */
static void *unread_values(sdx_compute *compute, const sdx_pooling *pooling) {
    size_t n = (size_t)(pooling->planes * sdx_window_product(pooling->window.out, pooling->window.rank));
    return compute->services->alloc(compute, n * sdx_dtype_size(pooling->dtype));
}

static sdx_status max_pool_compute(sdx_compute *compute, const void *params) {
    const max_pool_params *p = params;
    const sdx_tensor *x = compute->in[0];
    sdx_pooling pooling = {.kind = SDX_POOL_MAX, .dtype = x->dtype, .column_major = p->column_major};
    SDX_TRY(sdx_window_of_pool(compute->error, &p->window, x, &pooling.window));
    pooling.planes = x->dim[0] * x->dim[1];
    pooling.x = x->data;
    pooling.y = compute->out[0] ? compute->out[0]->data : unread_values(compute, &pooling);
    if (!pooling.y) return compute->error->status;
    pooling.indices = compute->n_out > 1 && compute->out[1] ? compute->out[1]->data : NULL;
    return sdx_pooling_run(compute, &pooling, compute->scratch);
}

#define MAX_POOL_8 "auto_pad:string=NOTSET kernel_shape:ints! pads:ints storage_order:int=0 strides:ints"
#define MAX_POOL_10                                                                                                    \
    "auto_pad:string=NOTSET ceil_mode:int=0 dilations:ints kernel_shape:ints! pads:ints storage_order:int=0 "          \
    "strides:ints"

const sdx_op sdx_op_MaxPool = {
    .domain = "",
    .name = "MaxPool",
    .versions = (const sdx_op_version[]){{1, "X:T -> Y:T", "T=" SDX_T_FLOAT,
                                          "auto_pad:string=NOTSET kernel_shape:ints! pads:ints strides:ints"},
                                         {8, "X:T -> Y:T Indices:I?", "T=" SDX_T_FLOAT " I=i64", MAX_POOL_8},
                                         {10, "X:T -> Y:T Indices:I?", "T=" SDX_T_FLOAT " I=i64", MAX_POOL_10},
                                         {11, "X:T -> Y:T Indices:I?", "T=" SDX_T_FLOAT " I=i64", MAX_POOL_10},
                                         {12, "X:T -> Y:T Indices:I?", "T=" SDX_T_FLOAT "|i8|u8 I=i64", MAX_POOL_10},
                                         {22, "X:T -> Y:T Indices:I?", "T=" SDX_T_FLOAT_BF "|i8|u8 I=i64", MAX_POOL_10},
                                         {0}},
    .params_size = sizeof(max_pool_params),
    .bind = max_pool_bind,
    .infer = max_pool_infer,
    .scratch = max_pool_scratch,
    .compute = max_pool_compute,
    .grad = sdx_max_pool_grad};
