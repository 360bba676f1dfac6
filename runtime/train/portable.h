/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_TRAIN_PORTABLE_H
#define SDX_TRAIN_PORTABLE_H
#include "ops/op.h"

/* Puts standard operators in place of internal ones that say how: all of them, or with `undifferentiable` only those
 * that have no gradient. What was emitted is bound and inferred. Bodies are left as they are. */
sdx_status sdx_make_portable(sdx_graph *graph, bool undifferentiable, sdx_error *error);

#endif
