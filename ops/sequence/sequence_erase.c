/* SPDX-License-Identifier: Apache-2.0
 * SequenceErase: the sequence without the item at 'position', the last one by default. */
#include "ops/sequence/sequence.h"
#include "ops/sequence/sequence_grad.h"

static sdx_status sequence_erase_infer(sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_infer_sequence(infer, 0, sdx_infer_item_dtype(infer, 0));
}

static sdx_status sequence_erase_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_value *sequence = NULL;
    size_t at = 0;
    SDX_TRY(sdx_sequence_input(compute, 0, &sequence));
    size_t n = sequence->n_items;
    if (n == 0) return sdx_fail(compute->error, SDX_VALUE, "input 'input_sequence' is empty: nothing to erase");
    SDX_TRY(sdx_sequence_position(compute, 1, (int64_t)n, (int64_t)n - 1, -1, &at));
    sdx_value **items = sdx_sequence_room(compute, n);
    if (!items) return compute->error->status;
    for (size_t i = 0; i + 1 < n; i++) items[i] = sdx_value_retain(sequence->items[i < at ? i : i + 1]);
    return sdx_sequence_output(compute, 0, items, n - 1, sequence->item_type.dtype);
}

const sdx_op sdx_op_SequenceErase = {
    .domain = "",
    .name = "SequenceErase",
    .versions =
        (const sdx_op_version[]){
            {11, "input_sequence:S position:I? -> output_sequence:S", "S=seq(" SDX_T_ALL ") I=i32|i64", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = sequence_erase_infer,
    .compute = sequence_erase_compute,
    .grad = sdx_sequence_erase_grad,
};
