/* SPDX-License-Identifier: Apache-2.0
 * SequenceConstruct: the inputs as a sequence. */
#include "ops/sequence/sequence.h"
#include "ops/sequence/sequence_grad.h"

static sdx_status sequence_construct_infer(sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_infer_sequence(infer, 0, infer->in[0]->dtype);
}

static sdx_status sequence_construct_compute(sdx_compute *compute, const void *params) {
    (void)params;
    size_t n = (size_t)compute->n_in;
    sdx_value **items = sdx_sequence_room(compute, n);
    if (!items) return compute->error->status;
    for (size_t i = 0; i < n; i++) items[i] = compute->services->share_input(compute, (int)i);
    return sdx_sequence_output(compute, 0, items, n, compute->in[0]->dtype);
}

const sdx_op sdx_op_SequenceConstruct = {
    .domain = "",
    .name = "SequenceConstruct",
    .versions =
        (const sdx_op_version[]){
            {11, "inputs:T* -> output_sequence:S", "T=" SDX_T_ALL " S=seq(" SDX_T_ALL ")", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = sequence_construct_infer,
    .compute = sequence_construct_compute,
    .grad = sdx_sequence_construct_grad,
};
