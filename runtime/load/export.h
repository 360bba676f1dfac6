/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_LOAD_EXPORT_H
#define SDX_LOAD_EXPORT_H
#include "proto/onnx.pb-c.h"
#include "proto/proto.h"
#include "runtime/load/internal.h"

typedef struct exporter {
    const sdx_model *model;
    sdx_arena *arena; /* of the message tree */
    sdx_error *error;
    int n_opsets;
    sdx_opset *opsets;
    int fresh; /* number of the next made-up name */
} exporter;

/* export_opset.c */
sdx_status sdx_export_opsets(exporter *e);
int sdx_export_opset_of(const exporter *e, const char *domain); /* 0: not imported */
int64_t sdx_export_ir_version(const exporter *e);

/* export.c */
Onnx__GraphProto *sdx_export_graph(exporter *e, const sdx_graph *graph);
sdx_status sdx_export_type(exporter *e, const sdx_type *type, Onnx__TypeProto **out);
char *sdx_export_text(exporter *e, const char *text); /* NULL: out of memory, recorded */

/* export_node.c */
sdx_status sdx_export_node(exporter *e, const sdx_graph *graph, const sdx_node *node, Onnx__NodeProto **out);
sdx_status sdx_export_pairs(exporter *e, int n, const sdx_pair *pairs, size_t *n_out,
                            Onnx__StringStringEntryProto ***out);
const char *sdx_export_name(const sdx_graph *graph, sdx_id id); /* captures have their outer value's name */

#endif
