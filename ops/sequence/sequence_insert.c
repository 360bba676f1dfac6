/* SPDX-License-Identifier: Apache-2.0
 * SequenceInsert: the sequence with 'tensor' put in front of 'position', at the end without one. */
#include "ops/sequence/sequence.h"
#include "ops/sequence/sequence_grad.h"

static sdx_status sequence_insert_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_dtype items = sdx_infer_item_dtype(infer, 0), tensor = infer->in[1]->dtype;
    if (items != SDX_UNDEFINED && tensor != SDX_UNDEFINED && items != tensor)
        return sdx_fail(infer->error, SDX_TYPE, "input 'tensor' is %s; the items of 'input_sequence' are %s",
                        sdx_dtype_name(tensor), sdx_dtype_name(items));
    return sdx_infer_sequence(infer, 0, items != SDX_UNDEFINED ? items : tensor);
}

static sdx_status sequence_insert_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_value *sequence = NULL;
    size_t at = 0;
    SDX_TRY(sdx_sequence_input(compute, 0, &sequence));
    size_t n = sequence->n_items;
    SDX_TRY(sdx_sequence_position(compute, 2, (int64_t)n, (int64_t)n, (int64_t)n, &at));
    sdx_value **items = sdx_sequence_room(compute, n + 1);
    if (!items) return compute->error->status;
    for (size_t i = 0; i <= n; i++)
        items[i] = i == at ? compute->services->share_input(compute, 1)
                           : sdx_value_retain(sequence->items[i < at ? i : i - 1]);
    return sdx_sequence_output(compute, 0, items, n + 1, compute->in[1]->dtype);
}

const sdx_op sdx_op_SequenceInsert = {
    .domain = "",
    .name = "SequenceInsert",
    .versions =
        (const sdx_op_version[]){
            {11, "input_sequence:S tensor:T position:I? -> output_sequence:S",
             "T=" SDX_T_ALL " S=seq(" SDX_T_ALL ") I=i32|i64", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = sequence_insert_infer,
    .compute = sequence_insert_compute,
    .grad = sdx_sequence_insert_grad,
};
