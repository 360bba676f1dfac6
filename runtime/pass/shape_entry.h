/* SPDX-License-Identifier: Apache-2.0
 * What one entry of an integer vector is, when that can be told without running: a number, or a dim of a value. */
#ifndef SDX_PASS_SHAPE_ENTRY_H
#define SDX_PASS_SHAPE_ENTRY_H
#include "runtime/graph/graph.h"

typedef struct sdx_shape_entry {
    sdx_id of; /* SDX_NONE: the number n; else dim n of that value */
    int64_t n;
} sdx_shape_entry;

/* Entry k of value `id`, through Shape, Concat, Slice, Gather and changes of rank. */
bool sdx_shape_entry_of(const sdx_graph *graph, sdx_id id, int64_t k, sdx_shape_entry *out);
/* Whether the entry is dim d of value x. */
bool sdx_shape_entry_is(const sdx_graph *graph, const sdx_shape_entry *entry, sdx_id x, int d);

#endif
