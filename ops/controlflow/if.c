/* SPDX-License-Identifier: Apache-2.0
 * If: runs one of two bodies without inputs, by a condition of one element. */
#include "ops/controlflow/body.h"
#include "ops/controlflow/body_grad.h"

typedef struct if_params {
    int then_branch, else_branch;
} if_params;

#define SIGNATURE  "cond:B -> outputs:V**"
#define ATTRIBUTES "else_branch:graph! then_branch:graph!"
static const sdx_op_version versions[] = {
    {1, SIGNATURE, "V=" SDX_T_ALL " B=bool", ATTRIBUTES},
    {11, SIGNATURE, "V=" SDX_T_ALL " B=bool", ATTRIBUTES},
    {13, SIGNATURE, "V=" SDX_T_SEQ(SDX_T_ALL) " B=bool", ATTRIBUTES},
    {16, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_BF) " B=bool", ATTRIBUTES},
    {19, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR9) " B=bool", ATTRIBUTES},
    {21, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR10) " B=bool", ATTRIBUTES},
    {23, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR11) " B=bool", ATTRIBUTES},
    {24, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR12) " B=bool", ATTRIBUTES},
    {25, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR13) " B=bool", ATTRIBUTES},
    {0, NULL, NULL, NULL},
};

static sdx_status if_bind(sdx_bind *bind, void *params) {
    if_params *p = params;
    p->then_branch = sdx_bind_body(bind, "then_branch");
    p->else_branch = sdx_bind_body(bind, "else_branch");
    return bind->status;
}

static sdx_status infer_branch(sdx_infer *infer, int body, const char *name, sdx_type **out) {
    const sdx_graph *graph = infer->node->bodies[body];
    if (graph->n_inputs)
        return sdx_fail(infer->error, SDX_MALFORMED, "%s has %d inputs; it must have none", name, graph->n_inputs);
    if (graph->n_outputs < infer->n_out)
        return sdx_fail(infer->error, SDX_MALFORMED, "%s has %d outputs; the node has %d", name, graph->n_outputs,
                        infer->n_out);
    *out = SDX_NEW_ARRAY(infer->arena, sdx_type, graph->n_outputs, infer->error);
    if (!*out) return SDX_OUT_OF_MEMORY;
    return infer->infer_body(infer, body, 0, NULL, *out);
}

/* A condition that is known decides: the other branch may not even fit the shapes at hand. */
static sdx_status if_infer(sdx_infer *infer, const void *params) {
    const if_params *p = params;
    const sdx_type *cond = infer->in[0];
    const sdx_tensor *known = infer->value[0];
    sdx_type *then_out = NULL, *else_out = NULL;
    char is[128];
    for (int d = 0; d < cond->rank; d++)
        if (cond->dim[d] >= 0 && cond->dim[d] != 1)
            return sdx_fail(infer->error, SDX_SHAPE, "input 'cond' is %s; it must have one element",
                            sdx_type_text(cond, is, sizeof is));
    bool decided = known && known->count == 1, taken = decided && *(const bool *)known->data;
    if (!decided || taken) SDX_TRY(infer_branch(infer, p->then_branch, "then_branch", &then_out));
    if (!decided || !taken) SDX_TRY(infer_branch(infer, p->else_branch, "else_branch", &else_out));
    for (int k = 0; k < infer->n_out; k++) {
        infer->out[k] = then_out ? then_out[k] : else_out[k];
        if (then_out && else_out)
            SDX_TRY(sdx_join_types(infer, &infer->out[k], &else_out[k], "output", k, "then_branch", "else_branch"));
    }
    return SDX_OK;
}

static sdx_status if_compute(sdx_compute *compute, const void *params) {
    const if_params *p = params;
    bool cond = false;
    SDX_TRY(sdx_read_condition(compute, compute->in[0], "input 'cond'", &cond));
    int body = cond ? p->then_branch : p->else_branch, n = compute->node->bodies[body]->n_outputs;
    sdx_value **out = sdx_value_array(compute, n);
    if (!out) return SDX_OUT_OF_MEMORY;
    SDX_TRY(compute->services->run_body(compute, body, 0, NULL, n, out));
    for (int k = 0; k < compute->n_out; k++) {
        if (!compute->wanted[k]) continue;
        compute->services->set_output(compute, k, out[k]);
        out[k] = NULL;
    }
    sdx_release_values(out, n);
    return SDX_OK;
}

/* A branch that walks its own way again and then back, and gives a gradient for each captured value. */
static sdx_status branch_back(sdx_grad *grad, const sdx_graph *branch, sdx_node *node, const char *name) {
    sdx_body_grad b;
    SDX_TRY(sdx_body_grad_begin(&b, grad, branch));
    for (int k = 0; k < grad->node->n_out; k++)
        if (grad->dY[k] != SDX_NONE) sdx_body_grad_y(&b, branch->outputs[k], sdx_body_grad_capture(&b, grad->dY[k]));
    for (int k = 0; k < grad->n_captured; k++) sdx_body_grad_x(&b, sdx_body_grad_capture(&b, grad->captured[k]));
    SDX_TRY(sdx_body_grad_walk(&b));
    for (int k = 0; k < grad->n_captured; k++) sdx_body_grad_output(&b, b.dxs[k], b.xs[k]);
    return sdx_body_grad_end(&b, node, name);
}

/* If by the same condition. Where that is known, the other branch may not fit: the one that is taken stands for both.
 */
static sdx_status if_grad(sdx_grad *grad, const void *params) {
    const if_params *p = params;
    const sdx_value *known = grad->patch->graph->values[grad->node->in[0]].constant;
    const bool decided = known && known->kind == SDX_TENSOR && known->tensor.count == 1;
    const bool taken = decided && *(const bool *)known->tensor.data;
    sdx_graph *const *bodies = grad->node->bodies;
    sdx_node *node = sdx_patch_node(grad->patch, "", "If", 1, grad->node->in, grad->n_captured);
    SDX_TRY(branch_back(grad, bodies[decided && !taken ? p->else_branch : p->then_branch], node, "then_branch"));
    SDX_TRY(branch_back(grad, bodies[decided && taken ? p->then_branch : p->else_branch], node, "else_branch"));
    for (int k = 0; k < grad->n_captured; k++) grad->dC[k] = node->out[k];
    grad->exact = true;
    return grad->patch->status;
}

const sdx_op sdx_op_If = {
    .domain = "",
    .name = "If",
    .versions = versions,
    .params_size = sizeof(if_params),
    .bind = if_bind,
    .infer = if_infer,
    .compute = if_compute,
    .grad = if_grad,
};
