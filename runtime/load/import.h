/* SPDX-License-Identifier: Apache-2.0
 * What the files of the importer share: scopes of names, frames of function calls, attributes. */
#ifndef SDX_LOAD_IMPORT_H
#define SDX_LOAD_IMPORT_H
#include "proto/onnx.pb-c.h"
#include "proto/proto.h"
#include "runtime/base/names.h"
#include "runtime/load/internal.h"

typedef struct function_table {
    int n;
    Onnx__FunctionProto **functions;
    int64_t *cost;   /* nodes after inlining, what they hold included */
    sdx_names names; /* "domain\x1fname\x1foverload" -> index */
} function_table;

typedef struct importer {
    sdx_proto *proto;
    sdx_model *model;
    sdx_error *error;
    sdx_arena *scratch;
    function_table functions;
    int64_t budget;     /* cost that nodes may still have */
    sdx_names taken;    /* with functions: address of a tensor message -> index into values */
    sdx_value **values; /* retained until the end: a function's tensor serves all its calls */
    int n_values, values_capacity;
} importer;

/* A function call that is being inlined. */
typedef struct frame {
    const Onnx__FunctionProto *function;
    const Onnx__NodeProto *call;
    const struct scope *caller;
    const char *prefix; /* of the names of its nodes */
    int depth;
} frame;

/* Names of one graph, or of one function body within a graph. */
typedef struct scope {
    sdx_graph *graph;
    const struct scope *parent; /* whose names can be read too; NULL for the main graph and for functions */
    const frame *frame;         /* the call that the nodes belong to; NULL outside functions */
    sdx_names names;            /* name -> value of `graph`; ABSENT: a function's input that was not given */
    sdx_names results;          /* a function's formal output -> the caller's value, until a node makes it */
} scope;

enum { ABSENT = -1, UNDEFINED = -2, MOST_ATTRIBUTES = 1024, MOST_CALL_DEPTH = 100, MOST_FUNCTIONS = 10000 };

/* import.c */
/* Names of all outputs first, then the nodes, in any order. */
sdx_status sdx_import_declare(importer *imp, scope *s, size_t n, Onnx__NodeProto **nodes);
sdx_status sdx_import_nodes(importer *imp, scope *s, size_t n, Onnx__NodeProto **nodes);
sdx_graph *sdx_import_body(importer *imp, const scope *outer, sdx_graph *parent, const Onnx__GraphProto *graph,
                           const frame *call);
/* The value of s->graph, captured from outer graphs where need be. ABSENT: "" or a function's input that is not given.
 * An undefined name is MALFORMED. */
sdx_status sdx_import_lookup(importer *imp, const scope *s, const char *name, sdx_id *out);
const char *sdx_import_place(const Onnx__NodeProto *node, char *out, size_t capacity);
sdx_status sdx_import_status(const importer *imp); /* what was recorded, or OUT_OF_MEMORY */
const char *sdx_import_text(const char *text);     /* "" for NULL */
const char *sdx_import_domain(const char *domain); /* "" for NULL and "ai.onnx" */
/* Escaped for messages. */
const char *sdx_import_quote(const char *name, char *out, size_t capacity);

/* functions.c */
sdx_status sdx_import_functions(importer *imp, const Onnx__ModelProto *model);
int sdx_import_find_function(const importer *imp, const Onnx__NodeProto *node); /* -1: none */
sdx_status sdx_import_call(importer *imp, scope *s, const Onnx__NodeProto *node, int function);
int64_t sdx_import_node_cost(const Onnx__NodeProto *node);

/* attributes.c, types.c of the importer */
sdx_status sdx_import_attribute(importer *imp, const scope *s, sdx_node *node, const Onnx__AttributeProto *attribute);
/* Attributes are given once, and are not too many. */
sdx_status sdx_import_check_attributes(const importer *imp, const Onnx__NodeProto *node);
sdx_value *sdx_import_tensor(importer *imp, Onnx__TensorProto *tensor);
sdx_value *sdx_import_sparse(importer *imp, Onnx__SparseTensorProto *sparse);
sdx_status sdx_import_type(importer *imp, const Onnx__TypeProto *from, sdx_type *to);
sdx_status sdx_import_pairs(importer *imp, size_t n, Onnx__StringStringEntryProto **from, int *n_out,
                            const sdx_pair **out);

#endif
