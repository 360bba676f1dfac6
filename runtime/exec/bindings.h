/* SPDX-License-Identifier: Apache-2.0
 * What callers give by name against what a model declares. */
#ifndef SDX_EXEC_BINDINGS_H
#define SDX_EXEC_BINDINGS_H
#include "runtime/exec/exec.h"

/* inputs[k]: the value given for infos[k], borrowed; stays NULL where the default is meant. Every name and type is
 * checked. */
sdx_status sdx_match_inputs(const sdx_value_info *infos, size_t n, const sdx_binding *in, size_t n_in,
                            sdx_value **inputs, sdx_error *error);
/* wanted[k]: some binding asks for output k. */
sdx_status sdx_match_outputs(const sdx_value_info *infos, size_t n, const sdx_binding *out, size_t n_out, bool *wanted,
                             sdx_error *error);
/* results[k] into the binding that asked for output k. */
void sdx_give_outputs(const sdx_value_info *infos, size_t n, sdx_value *const *results, sdx_binding *out, size_t n_out);

#endif
