/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_TRAIN_EXPAND_INTERNAL_H
#define SDX_TRAIN_EXPAND_INTERNAL_H
#include "ops/op.h"

/* Writes out every internal operator of a bound, inferred graph and of its bodies until standard ones remain.
 * UNSUPPORTED lists all that have no standard form. */
sdx_status sdx_expand_internal(sdx_graph *graph, sdx_error *error);
/* The same of those alone that have no gradient and say what they stand for, so that they can be differentiated. */
sdx_status sdx_expand_undifferentiable(sdx_graph *graph, sdx_error *error);

#endif
