/* SPDX-License-Identifier: Apache-2.0
 * What the operators on sequences share. */
#ifndef SDX_OPS_SEQUENCE_H
#define SDX_OPS_SEQUENCE_H
#include "ops/op.h"

/* out[k] is a sequence of tensors of this dtype (UNDEFINED: not known), whose shapes may differ. */
sdx_status sdx_infer_sequence(sdx_infer *infer, int k, sdx_dtype dtype);
/* Element type of the sequence in[k]; UNDEFINED when it is not known. */
sdx_dtype sdx_infer_item_dtype(const sdx_infer *infer, int k);

/* The sequence given as input k; an ARGUMENT error when it is none. */
sdx_status sdx_sequence_input(sdx_compute *compute, int k, const sdx_value **out);
/* Room for n references. */
sdx_value **sdx_sequence_room(sdx_compute *compute, size_t n);
/* Output k becomes the sequence of these n items; the references are taken over, also on failure. */
sdx_status sdx_sequence_output(sdx_compute *compute, int k, sdx_value **items, size_t n, sdx_dtype dtype);
/* The position in input k (negative: from the end) in [0, most]; `fallback` when the input is absent. */
sdx_status sdx_sequence_position(sdx_compute *compute, int k, int64_t n, int64_t most, int64_t fallback, size_t *out);

#endif
