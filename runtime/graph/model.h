/* SPDX-License-Identifier: Apache-2.0
 * What a loaded model is: the graph, its memory, and what a file says beside the graph. Immutable once loaded. */
#ifndef SDX_GRAPH_MODEL_H
#define SDX_GRAPH_MODEL_H
#include "runtime/graph/graph.h"

typedef struct sdx_opset {
    const char *domain; /* "" for ai.onnx */
    int64_t version;
} sdx_opset;

struct sdx_model {
    atomic_int references; /* the caller's, and one per session */
    sdx_memory *memory;    /* weights, graph, params; its blocks may outlive the model in values */
    sdx_arena arena;
    sdx_graph *graph;
    const char *name;      /* file name for messages; "model" when it came from memory */
    sdx_optimise optimise; /* how far it was taken */
    int64_t ir_version;
    int n_opsets;
    sdx_opset *opsets;
    const char *producer_name, *producer_version, *domain, *doc;
    int64_t model_version;
    int n_metadata;
    const sdx_pair *metadata;
    const void *training_info; /* that of the file and its functions, as bytes of a ModelProto; NULL: it has none */
    size_t training_info_size;
    size_t n_inputs, n_outputs;
    sdx_value_info *inputs, *outputs; /* public descriptions */
};

/* One reference, empty graph of that name. */
sdx_status sdx_model_create(const char *name, size_t memory_limit, sdx_error *error, sdx_model **out);
/* The version of a domain that the model imports; 0: none. */
int64_t sdx_model_imports(const sdx_model *model, const char *domain);
sdx_model *sdx_model_retain(sdx_model *model); /* sdx_model_close drops a reference */

#endif
