/* SPDX-License-Identifier: Apache-2.0
 * SequenceLength: how many items, as a scalar. */
#include "ops/sequence/sequence.h"

static sdx_status sequence_length_infer(sdx_infer *infer, const void *params) {
    (void)params;
    infer->out[0] = sdx_type_make(SDX_I64, 0);
    return SDX_OK;
}

static sdx_status sequence_length_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_value *sequence = NULL;
    SDX_TRY(sdx_sequence_input(compute, 0, &sequence));
    sdx_tensor *out = sdx_compute_output(compute, 0, 0, NULL);
    if (!out) return compute->error->status;
    *(int64_t *)out->data = (int64_t)sequence->n_items;
    return SDX_OK;
}

const sdx_op sdx_op_SequenceLength = {
    .domain = "",
    .name = "SequenceLength",
    .versions =
        (const sdx_op_version[]){
            {11, "input_sequence:S -> length:I", "S=seq(" SDX_T_ALL ") I=i64", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = sequence_length_infer,
    .compute = sequence_length_compute,
    .grad = sdx_no_gradient,
};
