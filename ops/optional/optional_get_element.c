/* SPDX-License-Identifier: Apache-2.0
 * OptionalGetElement: what an optional holds; since 18 a tensor or sequence counts as one that holds itself. */
#include "ops/sequence/sequence_grad.h"

static sdx_status optional_get_element_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *in = infer->in[0];
    if (in->kind != SDX_OPTIONAL)
        infer->out[0] = *in;
    else if (in->elem)
        infer->out[0] = *in->elem;
    return SDX_OK;
}

static sdx_status optional_get_element_compute(sdx_compute *compute, const void *params) {
    (void)params;
    sdx_value *value = compute->in_value[0];
    if (value && value->kind == SDX_OPTIONAL) {
        if (value->n_items == 0) return sdx_fail(compute->error, SDX_VALUE, "input 'input' holds nothing");
        value = sdx_value_retain(value->items[0]);
    } else {
        value = compute->services->share_input(compute, 0);
    }
    if (!value) return compute->error->status;
    compute->services->set_output(compute, 0, value);
    return SDX_OK;
}

const sdx_op sdx_op_OptionalGetElement = {
    .domain = "",
    .name = "OptionalGetElement",
    .versions =
        (const sdx_op_version[]){
            {15, "input:O -> output:V", "O=opt(" SDX_T_ALL "|seq(" SDX_T_ALL ")) V=" SDX_T_ALL "|seq(" SDX_T_ALL ")",
             ""},
            {18, "input:O -> output:V",
             "O=" SDX_T_ALL "|seq(" SDX_T_ALL ")|opt(" SDX_T_ALL "|seq(" SDX_T_ALL ")) V=" SDX_T_ALL "|seq(" SDX_T_ALL
             ")",
             ""},
            {28, "input:O -> output:V",
             "O=" SDX_T_ALL_IR14 "|seq(" SDX_T_ALL_IR14 ")|opt(" SDX_T_ALL_IR14 "|seq(" SDX_T_ALL_IR14
             ")) V=" SDX_T_ALL_IR14 "|seq(" SDX_T_ALL_IR14 ")",
             ""},
            {0, NULL, NULL, NULL},
        },
    .infer = optional_get_element_infer,
    .compute = optional_get_element_compute,
    .grad = sdx_handed_on_grad,
};
