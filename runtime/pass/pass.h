/* SPDX-License-Identifier: Apache-2.0
 * Rewrites of a bound, inferred graph. Portable passes keep it standard ONNX; machine passes may put internal
 * operators (domain "sdx") in place. Each pass is one function: graph in, patches applied, graph still inferred. */
#ifndef SDX_PASS_PASS_H
#define SDX_PASS_PASS_H
#include "runtime/graph/model.h"

sdx_status sdx_pass_run_all(sdx_model *model, sdx_optimise level, int threads, sdx_error *error);

sdx_status sdx_pass_fold(sdx_model *model, sdx_error *error);   /* constant nodes become constants, under a budget */
sdx_status sdx_pass_prune(sdx_model *model, sdx_error *error);  /* identities and what no output needs */
sdx_status sdx_pass_share(sdx_model *model, sdx_error *error);  /* equal constants and equal pure nodes become one */
sdx_status sdx_pass_gelu(sdx_model *model, sdx_error *error);   /* machine: Gelu written out becomes one */
sdx_status sdx_pass_attend(sdx_model *model, sdx_error *error); /* machine: attention written out into one operator */
sdx_status sdx_pass_pack(sdx_model *model, sdx_error *error);   /* machine: constant weights into kernel layout */
sdx_status sdx_pass_fuse(sdx_model *model, sdx_error *error);   /* machine: bias, sum, activation into packed nodes */

/* A floating constant of one element. */
bool sdx_pass_number(const sdx_graph *graph, sdx_id id, double *out);

#endif
