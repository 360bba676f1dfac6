/* SPDX-License-Identifier: Apache-2.0
 * Optional: holds its input, or nothing of the type that attribute 'type' names. */
#include "ops/sequence/sequence_grad.h"

typedef struct optional_params {
    const sdx_type *type; /* NULL: the input's */
} optional_params;

static sdx_status optional_bind(sdx_bind *bind, void *params) {
    optional_params *p = params;
    p->type = sdx_bind_type(bind, "type");
    bool given = bind->node->n_in > 0 && bind->node->in[0] != SDX_NONE;
    if (bind->status == SDX_OK && !given && !p->type)
        return sdx_bind_fail(bind, SDX_TYPE, "an Optional without input needs attribute 'type'");
    if (p->type && p->type->kind == SDX_OPTIONAL && p->type->elem) p->type = p->type->elem;
    return bind->status;
}

static sdx_status optional_infer(sdx_infer *infer, const void *params) {
    const optional_params *p = params;
    const sdx_type *held = infer->n_in > 0 && infer->in[0] ? infer->in[0] : p->type;
    sdx_type *elem = SDX_NEW(infer->arena, sdx_type, infer->error);
    if (!elem) return infer->error->status;
    *elem = *held;
    infer->out[0] = (sdx_type){.kind = SDX_OPTIONAL, .rank = -1, .elem = elem};
    return SDX_OK;
}

static sdx_status optional_compute(sdx_compute *compute, const void *params) {
    const optional_params *p = params;
    bool given = compute->node->n_in > 0 && compute->node->in[0] != SDX_NONE;
    sdx_value *item = given ? compute->services->share_input(compute, 0) : NULL;
    if (given && !item) return compute->error->status;
    sdx_type held = {.rank = -1};
    if (!item)
        held = *p->type;
    else if (item->kind == SDX_TENSOR)
        held = sdx_type_make(item->tensor.dtype, -1);
    else
        held = (sdx_type){.kind = item->kind, .rank = -1, .elem = &item->item_type};
    sdx_value *optional =
        sdx_value_new_items(compute->memory, SDX_OPTIONAL, &item, given ? 1 : 0, &held, compute->error);
    sdx_value_release(item);
    if (!optional) return compute->error->status;
    compute->services->set_output(compute, 0, optional);
    return SDX_OK;
}

const sdx_op sdx_op_Optional = {
    .domain = "",
    .name = "Optional",
    .versions =
        (const sdx_op_version[]){
            {15, "input:V? -> output:O", "V=" SDX_T_ALL "|seq(" SDX_T_ALL ") O=opt(" SDX_T_ALL "|seq(" SDX_T_ALL "))",
             "type:type"},
            {28, "input:V? -> output:O",
             "V=" SDX_T_ALL_IR14 "|seq(" SDX_T_ALL_IR14 ") O=opt(" SDX_T_ALL_IR14 "|seq(" SDX_T_ALL_IR14 "))",
             "type:type"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(optional_params),
    .bind = optional_bind,
    .infer = optional_infer,
    .compute = optional_compute,
    .grad = sdx_handed_on_grad,
};
