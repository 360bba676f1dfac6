/* SPDX-License-Identifier: Apache-2.0
 * ConcatFromSequence: the items joined along `axis`, or stacked along a new one. */
#include "ops/move.h"
#include "ops/sequence/sequence.h"
#include "ops/sequence/sequence_grad.h"
#include <inttypes.h>

typedef struct concat_from_sequence_params {
    int64_t axis;
    bool stack;
} concat_from_sequence_params;

static sdx_status concat_from_sequence_bind(sdx_bind *bind, void *params) {
    concat_from_sequence_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->stack = sdx_bind_int(bind, "new_axis") != 0;
    return bind->status;
}

static sdx_status concat_from_sequence_infer(sdx_infer *infer, const void *params) {
    (void)params;
    infer->out[0] = sdx_type_make(sdx_infer_item_dtype(infer, 0), -1);
    return SDX_OK;
}

static sdx_status check_items(sdx_compute *compute, const sdx_value *sequence, int axis, bool stack, int64_t *total) {
    const sdx_tensor *first = &sequence->items[0]->tensor;
    *total = 0;
    for (size_t i = 0; i < sequence->n_items; i++) {
        const sdx_tensor *item = &sequence->items[i]->tensor;
        if (item->rank != first->rank)
            return sdx_fail(compute->error, SDX_SHAPE, "item %zu of 'input_sequence' has rank %d; item 0 has rank %d",
                            i, item->rank, first->rank);
        for (int d = 0; d < first->rank; d++)
            if ((stack || d != axis) && item->dim[d] != first->dim[d])
                return sdx_fail(compute->error, SDX_SHAPE,
                                "dimension %d of item %zu of 'input_sequence' is %" PRId64
                                "; that of item 0 is %" PRId64,
                                d, i, item->dim[d], first->dim[d]);
        if (__builtin_add_overflow(*total, stack ? 1 : item->dim[axis], total))
            return sdx_fail(compute->error, SDX_SHAPE, "the sum of the dimensions overflows");
    }
    return SDX_OK;
}

static sdx_status concat_from_sequence_compute(sdx_compute *compute, const void *params) {
    const concat_from_sequence_params *p = params;
    const sdx_value *sequence = NULL;
    SDX_TRY(sdx_sequence_input(compute, 0, &sequence));
    if (sequence->n_items == 0)
        return sdx_fail(compute->error, SDX_VALUE, "input 'input_sequence' is empty; there is nothing to join");
    const sdx_tensor *first = &sequence->items[0]->tensor;
    int rank = first->rank + (p->stack ? 1 : 0), axis = sdx_axis_of(p->axis, rank);
    int64_t dims[SDX_MAX_RANK + 1], total = 0, at = 0;
    if (p->axis < -rank || p->axis >= rank)
        return sdx_fail(compute->error, SDX_SHAPE, "attribute 'axis' is %" PRId64 "; it must be in [%d, %d]", p->axis,
                        -rank, rank - 1);
    SDX_TRY(check_items(compute, sequence, axis, p->stack, &total));
    for (int d = 0; d < rank; d++) dims[d] = d == axis ? total : first->dim[p->stack && d > axis ? d - 1 : d];
    sdx_tensor *out = sdx_compute_output(compute, 0, rank, dims);
    if (!out) return compute->error->status;
    int64_t outer = sdx_dims_product(dims, 0, axis), inner = sdx_dims_product(dims, axis + 1, rank);
    size_t size = sdx_dtype_size(out->dtype);
    for (size_t i = 0; i < sequence->n_items; i++) {
        const sdx_tensor *item = &sequence->items[i]->tensor;
        int64_t length = p->stack ? 1 : item->dim[axis];
        sdx_move move = {.size = size,
                         .rank = 2,
                         .dim = {outer, length * inner},
                         .from = {length * inner, 1},
                         .to = {total * inner, 1},
                         .source = item->data,
                         .target = (char *)out->data + (size_t)(at * inner) * size};
        SDX_TRY(sdx_move_run(compute, &move));
        at += length;
    }
    return SDX_OK;
}

static sdx_status concat_from_sequence_grad(sdx_grad *grad, const void *params) {
    const concat_from_sequence_params *p = params;
    return sdx_concat_from_sequence_back(grad, p->axis, p->stack);
}

const sdx_op sdx_op_ConcatFromSequence = {
    .domain = "",
    .name = "ConcatFromSequence",
    .versions =
        (const sdx_op_version[]){
            {11, "input_sequence:S -> concat_result:T", "S=seq(" SDX_T_ALL ") T=" SDX_T_ALL,
             "axis:int! new_axis:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(concat_from_sequence_params),
    .bind = concat_from_sequence_bind,
    .infer = concat_from_sequence_infer,
    .compute = concat_from_sequence_compute,
    .grad = concat_from_sequence_grad,
};
