/* SPDX-License-Identifier: Apache-2.0
 * Reverse-mode differentiation on the graph: gradients are emitted as ordinary nodes. */
#ifndef SDX_TRAIN_AUTODIFF_H
#define SDX_TRAIN_AUTODIFF_H
#include "ops/op.h"

/* Emits d(sum of y)/d(xs[k]) into out[k] for a bound, inferred graph; new nodes are bound and inferred too. An x on
 * which y does not depend gets zeros. UNSUPPORTED names a node on the way that has no gradient. */
sdx_status sdx_autodiff(sdx_patch *patch, sdx_id y, const sdx_id *xs, int n, sdx_id *out);

/* The same, where nothing flows on beyond the n_cut values of `cut`: they are held as if they were given. */
sdx_status sdx_autodiff_between(sdx_patch *patch, sdx_id y, const sdx_id *xs, int n, const sdx_id *cut, int n_cut,
                                sdx_id *out);

/* Replaces every ai.onnx.preview.training Gradient node of the graph by what it stands for. Bodies are searched too. */
sdx_status sdx_autodiff_expand(sdx_graph *graph, sdx_error *error);

#endif
