/* SPDX-License-Identifier: Apache-2.0
 * SequenceAt: the item at 'position'. */
#include "ops/sequence/sequence.h"
#include "ops/sequence/sequence_grad.h"

static sdx_status sequence_at_infer(sdx_infer *infer, const void *params) {
    (void)params;
    infer->out[0] = sdx_type_make(sdx_infer_item_dtype(infer, 0), -1);
    return SDX_OK;
}

static sdx_status sequence_at_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_value *sequence = NULL;
    size_t at = 0;
    SDX_TRY(sdx_sequence_input(compute, 0, &sequence));
    int64_t n = (int64_t)sequence->n_items;
    if (n == 0) return sdx_fail(compute->error, SDX_VALUE, "input 'input_sequence' is empty; it has no item to take");
    SDX_TRY(sdx_sequence_position(compute, 1, n, n - 1, 0, &at));
    compute->services->set_output(compute, 0, sdx_value_retain(sequence->items[at]));
    return SDX_OK;
}

const sdx_op sdx_op_SequenceAt = {
    .domain = "",
    .name = "SequenceAt",
    .versions =
        (const sdx_op_version[]){
            {11, "input_sequence:S position:I -> tensor:T", "S=seq(" SDX_T_ALL ") T=" SDX_T_ALL " I=i32|i64", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = sequence_at_infer,
    .compute = sequence_at_compute,
    .grad = sdx_sequence_at_grad,
};
