/* SPDX-License-Identifier: Apache-2.0
 * From bytes to a model that can be planned: decode, import, upgrade, bind, infer, passes. */
#ifndef SDX_LOAD_LOAD_H
#define SDX_LOAD_LOAD_H
#include "ops/op.h"
#include "runtime/base/io.h"
#include "runtime/graph/model.h"

/* The whole way. `name` is the file's name for messages. */
sdx_status sdx_load_source(const sdx_source *source, const char *name, const sdx_model_options *options,
                           sdx_error *error, sdx_model **out);
/* For a model whose graph was built in memory: resolve operators, upgrade, bind, infer, run passes, describe inputs
 * and outputs. opsets must be set. */
sdx_status sdx_load_finish(sdx_model *model, const sdx_model_options *options, sdx_error *error);
/* The same for a graph that patches emitted into and whose other nodes are bound and inferred: what was emitted is
 * settled, passes run, inputs and outputs are described. `error` must not be NULL. */
sdx_status sdx_load_emitted(sdx_model *model, const sdx_model_options *options, sdx_error *error);
/* Resolves and binds one node that a pass or a gradient emitted (newest form). */
sdx_status sdx_bind_node(sdx_graph *graph, sdx_node *node, sdx_error *error);

/* Types of one node's outputs, from the types (and, where known, contents) of its inputs. Arity, type variables and
 * the row's types are checked here, then op->infer runs. `arena` receives elem types. Used at load, and by plan with
 * concrete shapes. Errors carry the node's place. */
sdx_status sdx_infer_node(const sdx_graph *graph, const sdx_node *node, const sdx_type *const *in,
                          const sdx_tensor *const *value, const bool *wanted, int threads, sdx_arena *arena,
                          sdx_error *error, sdx_type *out);
/* Every value of the graph and its bodies, in order; writes value.type. */
sdx_status sdx_infer_graph(sdx_graph *graph, sdx_error *error);

/* One node of the main graph again, because more is known of its inputs; writes the types of its outputs. */
sdx_status sdx_infer_again(sdx_graph *graph, const sdx_node *node, sdx_arena *scratch, sdx_error *error);

/* Binds what a patch emitted, bodies included, and finds the types of its outputs. */
sdx_status sdx_settle_graph(sdx_graph *graph, sdx_error *error);
/* The same for one node whose inputs are settled. */
sdx_status sdx_settle_node(sdx_graph *graph, sdx_node *node, sdx_error *error);

/* The model as a ModelProto tree in `arena`, for the encoder. */
struct Onnx__ModelProto;
sdx_status sdx_export_model(const sdx_model *model, sdx_arena *arena, sdx_error *error, struct Onnx__ModelProto **out);
/* What sdx_model_save promises. */
sdx_status sdx_load_save(const sdx_model *model, const char *path, const char *external_data, sdx_error *error);
/* Export, encode, write crash-safely. external_data as for sdx_model_save: a file name, or NULL. */
sdx_status sdx_save_model(const sdx_model *model, const char *path, const char *external_data, sdx_error *error);

#endif
