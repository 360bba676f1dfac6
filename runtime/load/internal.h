/* SPDX-License-Identifier: Apache-2.0
 * The stages of loading, in the order load.c runs them, and what they share. */
#ifndef SDX_LOAD_INTERNAL_H
#define SDX_LOAD_INTERNAL_H
#include "ops/registry.h"
#include "runtime/load/load.h"

/* ---- import.c ---- */

struct sdx_proto;
/* The decoded model into `model`: everything but operators and types of intermediate values. */
sdx_status sdx_load_import(struct sdx_proto *proto, sdx_model *model, sdx_error *error);

/* ---- resolve.c, bind.c: operators, rows, params ---- */

/* Finds the operator and row of every node, bodies included, under the model's opsets. Everything unknown is listed in
 * one UNSUPPORTED error. */
sdx_status sdx_load_resolve(const sdx_model *model, sdx_error *error);
/* The parsed row of node->version, from the main graph's cache. */
sdx_status sdx_load_row(sdx_graph *graph, sdx_node *node, sdx_error *error);
/* Arity and attributes against the row. Errors carry the node's place. */
sdx_status sdx_load_check_node(const sdx_graph *graph, const sdx_node *node, sdx_error *error);
/* Resolves what upgrades emitted, then binds every node, bodies included. */
sdx_status sdx_load_bind_graph(sdx_graph *graph, sdx_error *error);
/* Puts the node's place before the recorded error; returns its status. */
sdx_status sdx_load_at_node(const sdx_graph *graph, const sdx_node *node, sdx_status status, sdx_error *error);
/* The row's argument for input or output k: the last one again for the rest of a variadic. NULL beyond. */
const sdx_row_arg *sdx_load_arg(const sdx_row_arg *args, int n, int k);

/* ---- upgrade.c ---- */
sdx_status sdx_load_upgrade(sdx_graph *graph, sdx_error *error);

/* ---- types.c: types against rows ---- */

/* Checks in[] against the row and presets kind and dtype of out[n_out]. heterogeneous members stay unknown. */
sdx_status sdx_load_unify(const sdx_row *row, int n_in, const sdx_type *const *in, int n_out, sdx_type *out,
                          sdx_arena *arena, sdx_error *error);
/* The inferred outputs against the row. */
sdx_status sdx_load_check_outputs(const sdx_row *row, int n_out, const sdx_type *out, sdx_error *error);
/* declared and inferred: one that holds all that is known of both. False when they contradict: in dims too when `dims`
 * is set. elem types are borrowed from either. */
bool sdx_load_merge_types(const sdx_type *declared, const sdx_type *inferred, bool dims, sdx_type *merged);

/* ---- describe.c ---- */
sdx_status sdx_load_describe(sdx_model *model, const sdx_type *declared_outputs, sdx_error *error);

#endif
