/* SPDX-License-Identifier: Apache-2.0
 * What If, Loop and Scan share: type lists, types that survive a body, slabs of tensors along an axis. */
#ifndef SDX_CONTROLFLOW_BODY_H
#define SDX_CONTROLFLOW_BODY_H
#include "ops/op.h"

/* Tensors of these types, sequences and optionals of them, and optional sequences (of fewer types). */
#define SDX_T_SEQ(types)     types "|seq(" types ")"
#define SDX_T_SEQ_OPT(types) SDX_T_SEQ(types) "|opt(" types ")|opt(seq(" SDX_T_ALL_BF "))"

/* What is known of a value that is either `a` or `b`; into `a`. A TYPE error ("output 2 is f32[3] in ...") when no
 * value can be both; `what`, `where_a`, `where_b` name it. */
sdx_status sdx_join_types(sdx_infer *infer, sdx_type *a, const sdx_type *b, const char *what, int index,
                          const char *where_a, const char *where_b);
/* Infers a body whose outputs first_out.. become its inputs first_in.. in the next trip, n of them: in[] is widened
 * until it holds for every trip. */
sdx_status sdx_infer_trips(sdx_infer *infer, int body, int n_in, sdx_type *in, int first_in, int first_out, int n,
                           sdx_type *out);
/* A carried optional, where the body gives the item without the optional around it. */
bool sdx_is_wrapped(const sdx_type *in, const sdx_type *out);
/* The type with one more dimension at `axis`; and with that dimension removed. */
sdx_type sdx_type_with_axis(const sdx_type *type, int axis, int64_t dim);
sdx_type sdx_type_without_axis(const sdx_type *type, int axis);

/* ---- compute ---- */

/* n zeroed pointers until the step ends; NULL on failure. */
sdx_value **sdx_value_array(sdx_compute *compute, int64_t n);
void sdx_release_values(sdx_value **values, int64_t n);
/* A value of the slab [.., index, ..] of `tensor` along `axis`, that dimension removed. */
sdx_value *sdx_slab_of(sdx_compute *compute, const sdx_tensor *tensor, int axis, int64_t index);
/* Writes `slab` to `tensor` [.., index, ..] along `axis`. Their shapes must agree; a SHAPE error otherwise. */
sdx_status sdx_slab_into(sdx_compute *compute, const sdx_tensor *tensor, int axis, int64_t index,
                         const sdx_tensor *slab);
/* A zeroed tensor of the slab's dtype and shape with `extent` inserted at `axis`. */
sdx_value *sdx_stack_for(sdx_compute *compute, sdx_dtype dtype, int rank, const int64_t *dims, int axis,
                         int64_t extent);
/* The same when no trip gave a slab: dims that the body's type leaves open are 0. */
sdx_value *sdx_stack_empty(sdx_compute *compute, const sdx_type *slab, int axis, int64_t extent);
/* The single element of a bool tensor. */
sdx_status sdx_read_condition(sdx_compute *compute, const sdx_tensor *tensor, const char *name, bool *out);

#endif
