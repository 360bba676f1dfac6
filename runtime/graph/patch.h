/* SPDX-License-Identifier: Apache-2.0
 * Rewriting: upgrades, passes and gradients emit nodes and replace values through a patch. Errors are sticky: emit
 * freely, check once. Emitted nodes are in the newest form of their operator. */
#ifndef SDX_GRAPH_PATCH_H
#define SDX_GRAPH_PATCH_H
#include "runtime/graph/graph.h"

typedef struct sdx_patch {
    sdx_graph *graph;
    sdx_error *error;
    sdx_status status;      /* sticky */
    const sdx_node *origin; /* whose name, metadata and doc the emitted nodes carry; may be NULL */
    sdx_node failed;        /* handed out after an error so that emitting code needs no checks */
    sdx_id failed_out[16];
    sdx_id *replaced; /* replaced[id]: the value that takes id's place, SDX_NONE when kept */
    int n_replaced;
    bool *removed; /* per node index */
    int n_removed;
    bool changed;
} sdx_patch;

void sdx_patch_begin(sdx_patch *patch, sdx_graph *graph, sdx_error *error);

/* A new node with n_out fresh output values (node->out[k]); inputs may be SDX_NONE. */
sdx_node *sdx_patch_node(sdx_patch *patch, const char *domain, const char *op_type, int n_in, const sdx_id *in,
                         int n_out);
/* Output k of a node that is there: the value, which is made, of this type, where nobody asked for it. */
sdx_id sdx_patch_output(sdx_patch *patch, const sdx_node *node, int k, const sdx_type *type);
/* An attribute of a node that is there; it is bound again when the graph is settled. */
void sdx_patch_change_ints(sdx_patch *patch, const sdx_node *node, const char *name, const int64_t *values, size_t n);
/* Short forms of the above for the default domain: the first output's id. */
sdx_id sdx_emit1(sdx_patch *patch, const char *op_type, sdx_id a);
sdx_id sdx_emit2(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b);
/* x, of dtype `from`, as `to`; x itself where they are the same. */
sdx_id sdx_emit_cast(sdx_patch *patch, sdx_id x, sdx_dtype from, sdx_dtype to);
void sdx_patch_int(sdx_patch *patch, sdx_node *node, const char *name, int64_t value);
void sdx_patch_ints(sdx_patch *patch, sdx_node *node, const char *name, const int64_t *values, size_t n);
void sdx_patch_float(sdx_patch *patch, sdx_node *node, const char *name, float value);
void sdx_patch_string(sdx_patch *patch, sdx_node *node, const char *name, const char *value);
void sdx_patch_attr(sdx_patch *patch, sdx_node *node, const sdx_attr *attr); /* copied */
void sdx_patch_attrs_of(sdx_patch *patch, sdx_node *node, const sdx_node *from, const char *const *except, size_t n);

/* Constants: a copy of the tensor; an i64 vector [n]; a scalar of a floating or integer dtype. */
sdx_id sdx_patch_tensor(sdx_patch *patch, const sdx_tensor *tensor);
sdx_id sdx_patch_i64s(sdx_patch *patch, const int64_t *values, size_t n);
sdx_id sdx_patch_scalar(sdx_patch *patch, sdx_dtype dtype, double value);
sdx_id sdx_patch_constant(sdx_patch *patch, sdx_value *value); /* retained */

/* All readers of `old` read `by` instead (graph outputs keep their name: the name moves to `by`). */
void sdx_patch_replace(sdx_patch *patch, sdx_id old, sdx_id by);
void sdx_patch_remove(sdx_patch *patch, const sdx_node *node);

/* Applies replacements and removals, sorts. The graph is unchanged in meaning or the sticky error is returned. */
sdx_status sdx_patch_commit(sdx_patch *patch);

#endif
