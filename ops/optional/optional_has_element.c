/* SPDX-License-Identifier: Apache-2.0
 * OptionalHasElement: whether an optional holds something; since 18 a tensor or sequence does, an absent input does
 * not. */
#include "ops/op.h"

static sdx_status optional_has_element_infer(sdx_infer *infer, const void *params) {
    (void)params;
    infer->out[0] = sdx_type_make(SDX_BOOL, 0);
    return SDX_OK;
}

static sdx_status optional_has_element_compute(sdx_compute *compute, const void *params) {
    (void)params;
    bool present = compute->node->n_in > 0 && compute->node->in[0] != SDX_NONE;
    const sdx_value *value = present ? compute->in_value[0] : NULL;
    sdx_tensor *out = sdx_compute_output(compute, 0, 0, NULL);
    if (!out) return compute->error->status;
    *(uint8_t *)out->data = present && !(value && value->kind == SDX_OPTIONAL && value->n_items == 0);
    return SDX_OK;
}

const sdx_op sdx_op_OptionalHasElement = {
    .domain = "",
    .name = "OptionalHasElement",
    .versions =
        (const sdx_op_version[]){
            {15, "input:O -> output:B", "O=opt(" SDX_T_ALL "|seq(" SDX_T_ALL ")) B=bool", ""},
            {18, "input:O? -> output:B",
             "O=" SDX_T_ALL "|seq(" SDX_T_ALL ")|opt(" SDX_T_ALL "|seq(" SDX_T_ALL ")) B=bool", ""},
            {28, "input:O? -> output:B",
             "O=" SDX_T_ALL_IR14 "|seq(" SDX_T_ALL_IR14 ")|opt(" SDX_T_ALL_IR14 "|seq(" SDX_T_ALL_IR14 ")) B=bool", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = optional_has_element_infer,
    .compute = optional_has_element_compute,
    .grad = sdx_no_gradient,
};
