/* SPDX-License-Identifier: Apache-2.0
 * Gradient: the partial derivatives of the tensor `y` with respect to those named in `xs`. It has no kernel: loading
 * replaces the node by what the gradients of the operators between `xs` and `y` emit. */
#include "ops/op.h"

static sdx_status gradient_infer(sdx_infer *infer, const void *params) {
    (void)params;
    for (int k = 0; k < infer->n_out && k < infer->n_in; k++)
        if (infer->in[k]) infer->out[k] = *infer->in[k];
    return SDX_OK;
}

const sdx_op sdx_op_Gradient = {
    .domain = "ai.onnx.preview.training",
    .name = "Gradient",
    .versions =
        (const sdx_op_version[]){
            {1, "Inputs:T1** -> Outputs:T2**", "T1=" SDX_T_ALL " T2=" SDX_T_FLOAT, "xs:strings! y:string! zs:strings"},
            {0, NULL, NULL, NULL},
        },
    .infer = gradient_infer,
};
