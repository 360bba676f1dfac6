/* SPDX-License-Identifier: Apache-2.0
 * ScatterElements: a copy of data with output[indices[i][j][k]][j][k] = (or += ...) updates[i][j][k] for axis 0, and so
 * on, in the order of updates. Scatter is its deprecated name. */
#include "ops/move.h"
#include "ops/tensor/combine.h"
#include "ops/tensor/elements.h"
#include "ops/tensor/scatter_grad.h"

static sdx_status scatter_upgrade(sdx_patch *patch, const sdx_node *node) {
    sdx_node *newest = sdx_patch_node(patch, "", "ScatterElements", node->n_in, node->in, 1);
    sdx_patch_attrs_of(patch, newest, node, NULL, 0);
    sdx_patch_replace(patch, node->out[0], newest->out[0]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_status scatter_elements_bind(sdx_bind *bind, void *params) {
    sdx_elements_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->reduction = sdx_bind_reduction(bind);
    return bind->status;
}

static sdx_status scatter_elements_infer(sdx_infer *infer, const void *params) {
    const sdx_elements_params *p = params;
    SDX_TRY(sdx_elements_check(infer, p->axis, 2));
    SDX_TRY(sdx_combine_check(infer->error, infer->in[0]->dtype, p->reduction));
    sdx_infer_same(infer, 0, 0);
    return SDX_OK;
}

static sdx_status scatter_elements_compute(sdx_compute *compute, const void *params) {
    const sdx_elements_params *p = params;
    const sdx_tensor *data = compute->in[0], *indices = compute->in[1], *updates = compute->in[2];
    size_t size = sdx_dtype_size(data->dtype);
    sdx_combine_fn combine = sdx_combine_of(data->dtype, p->reduction);
    sdx_elements e;
    sdx_elements_begin(&e, p->axis, data, indices);
    SDX_TRY(sdx_check_indices(compute->error, "indices", indices, e.n));
    sdx_tensor *out = sdx_compute_output(compute, 0, data->rank, data->dim);
    if (!out) return compute->error->status;
    SDX_TRY(sdx_move_all(compute, data, out));
    if (indices->count == 0) return SDX_OK;
    for (int64_t line = 0; line < indices->count / e.length; line++) {
        int64_t base = sdx_elements_line(&e, line), first = line * e.length;
        for (int64_t i = 0; i < e.length; i++) {
            char *to = (char *)out->data + (size_t)(base + sdx_elements_at(&e, first + i) + i * e.step) * size;
            const char *from = (const char *)updates->data + (size_t)(first + i) * size;
            if (combine)
                combine(to, from, 1);
            else
                sdx_copy_run(to, from, size);
        }
        if (line % 1024 == 0) SDX_TRY(sdx_stop_check(compute->stop, compute->error));
    }
    return SDX_OK;
}

static sdx_status scatter_elements_grad(sdx_grad *grad, const void *params) {
    const sdx_elements_params *p = params;
    return sdx_scatter_gradient(
        &(sdx_scatter_grad){grad, "ScatterElements", "GatherElements", true, p->axis, p->reduction});
}

const sdx_op sdx_op_ScatterElements = {
    .domain = "",
    .name = "ScatterElements",
    .versions =
        (const sdx_op_version[]){
            {11, "data:T indices:Tind updates:T -> output:T", "T=" SDX_T_ALL " Tind=i32|i64", "axis:int=0"},
            {13, "data:T indices:Tind updates:T -> output:T", "T=" SDX_T_ALL_BF " Tind=i32|i64", "axis:int=0"},
            {16, "data:T indices:Tind updates:T -> output:T", "T=" SDX_T_ALL_BF " Tind=i32|i64",
             "axis:int=0 reduction:string=none"},
            {18, "data:T indices:Tind updates:T -> output:T", "T=" SDX_T_ALL_BF " Tind=i32|i64",
             "axis:int=0 reduction:string=none"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_elements_params),
    .bind = scatter_elements_bind,
    .infer = scatter_elements_infer,
    .compute = scatter_elements_compute,
    .grad = scatter_elements_grad,
};

const sdx_op sdx_op_Scatter = {
    .domain = "",
    .name = "Scatter",
    .versions =
        (const sdx_op_version[]){
            {9, "data:T indices:Tind updates:T -> output:T", "T=" SDX_T_ALL " Tind=i32|i64", "axis:int=0"},
            {11, "data:T indices:Tind updates:T -> output:T", "T=" SDX_T_ALL " Tind=i32|i64", "axis:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_elements_params),
    .upgrade = scatter_upgrade,
    .bind = scatter_elements_bind,
    .infer = scatter_elements_infer,
    .compute = scatter_elements_compute,
    .grad = scatter_elements_grad,
};
