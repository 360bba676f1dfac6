/* SPDX-License-Identifier: Apache-2.0
 * What gradients share: short forms of emission, and three rules of their own: the adjoint of a movement, the product
 * of the others, ties. */
#ifndef SDX_OPS_GRAD_H
#define SDX_OPS_GRAD_H
#include "ops/op.h"

sdx_id sdx_emit3(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b, sdx_id c);
/* A node of one input or two (b may be SDX_NONE) with an integer attribute. */
sdx_id sdx_emit_int(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b, const char *name, int64_t value);

static inline const sdx_type *sdx_grad_type(const sdx_patch *patch, sdx_id id) {
    return &patch->graph->values[id].type;
}
/* Input k of the node; SDX_NONE when it is absent. */
static inline sdx_id sdx_grad_in(const sdx_grad *grad, int k) {
    return k < grad->node->n_in ? grad->node->in[k] : SDX_NONE;
}
/* `value` in the dtype of the forward value `like`. */
sdx_id sdx_grad_scalar(sdx_patch *patch, sdx_id like, double value);
/* A tensor of the shape and dtype of `like`. */
sdx_id sdx_grad_filled(sdx_patch *patch, sdx_id like, double value);
/* Zeros like a tensor, or like the items of a sequence. */
sdx_id sdx_grad_zeros(sdx_patch *patch, sdx_id like);
/* x under the shape of `like`; x in the dtype of `like`. */
sdx_id sdx_grad_reshape(sdx_patch *patch, sdx_id x, sdx_id like);
sdx_id sdx_grad_cast(sdx_patch *patch, sdx_id x, sdx_id like);
/* Of the dtype of `like`: 1 where op(a, b), else 0. */
sdx_id sdx_grad_mask(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b, sdx_id like);

/* Whatever moves elements moves numbers too: `places` holds, for a tensor of this shape, where each element lies; after
 * the same move, `put` adds the gradients of the result where its elements came from. */
sdx_id sdx_grad_places(sdx_patch *patch, sdx_id shape);
sdx_id sdx_grad_put(sdx_patch *patch, sdx_id shape, sdx_dtype dtype, sdx_id places, sdx_id dY);

/* The product of all factors but x itself, where `zeros` counts the zeros among all and `product` is that of those
 * which are not zero. */
sdx_id sdx_grad_others(sdx_patch *patch, sdx_id x, sdx_id zeros, sdx_id product);
/* x with its zeros replaced by ones; 1 where x is 0, else 0. */
sdx_id sdx_grad_nonzero(sdx_patch *patch, sdx_id x, sdx_id like);
sdx_id sdx_grad_is_zero(sdx_patch *patch, sdx_id x, sdx_id like);

/* The type of a value whose shape is `shape`: that of the tensor it was taken from, else `otherwise`. */
const sdx_type *sdx_grad_shaped(const sdx_patch *patch, sdx_id shape, const sdx_type *otherwise);

/* Functions that are constant between their jumps: nothing flows. */
sdx_status sdx_flat_gradient(sdx_grad *grad, const void *params);
/* Input 0 under another shape. */
sdx_status sdx_reshape_gradient(sdx_grad *grad, const void *params);

#endif
