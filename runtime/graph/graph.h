/* SPDX-License-Identifier: Apache-2.0
 * The graph: values and nodes, in arrays owned by one arena. graph.c builds, patch.c rewrites; nobody else mutates. */
#ifndef SDX_GRAPH_GRAPH_H
#define SDX_GRAPH_GRAPH_H
#include "runtime/base/value.h"

typedef int32_t sdx_id; /* a value of its graph */
enum { SDX_NONE = -1 }; /* an absent optional input or output */

/* Numbers are those of AttributeProto.AttributeType. */
typedef enum sdx_attr_type {
    SDX_ATTR_FLOAT = 1,
    SDX_ATTR_INT = 2,
    SDX_ATTR_STRING = 3,
    SDX_ATTR_TENSOR = 4,
    SDX_ATTR_GRAPH = 5,
    SDX_ATTR_FLOATS = 6,
    SDX_ATTR_INTS = 7,
    SDX_ATTR_STRINGS = 8,
    SDX_ATTR_TENSORS = 9,
    SDX_ATTR_GRAPHS = 10,
    SDX_ATTR_SPARSE_TENSOR = 11,
    SDX_ATTR_SPARSE_TENSORS = 12,
    SDX_ATTR_TYPE = 13,
    SDX_ATTR_TYPES = 14
} sdx_attr_type;

typedef struct sdx_graph sdx_graph;

typedef struct sdx_attr {
    const char *name;
    sdx_attr_type type;
    size_t n; /* entries of the plural forms, else 1 */
    union {
        float f;
        int64_t i;
        sdx_string s;
        sdx_value *value; /* TENSOR, SPARSE_TENSOR: retained by the graph */
        sdx_graph *graph;
        const sdx_type *type_proto;
        const float *floats;
        const int64_t *ints;
        const sdx_string *strings;
        sdx_value *const *values;
        sdx_graph *const *graphs;
        const sdx_type *types;
    };
} sdx_attr;

struct sdx_op;
struct sdx_op_version;
struct sdx_row;

typedef struct sdx_pair {
    const char *key, *value;
} sdx_pair;

typedef struct sdx_node {
    const char *name, *domain, *op_type; /* never NULL; name may be "" ; domain "" is ai.onnx */
    const struct sdx_op *op;             /* NULL until resolved (and in a graph that is only being exported) */
    const struct sdx_op_version *version;
    int since;                 /* of `version`; 0 before it is resolved */
    const struct sdx_row *row; /* `version` parsed; shared by all its nodes; NULL until bound */
    int n_in, n_out;           /* trailing absent ones are cut */
    sdx_id *in, *out;          /* SDX_NONE where absent */
    int n_attrs;
    sdx_attr *attrs;
    int n_bodies;
    sdx_graph **bodies; /* every graph attribute, in the order of attrs */
    void *params;       /* op->params_size bytes once bound */
    int n_metadata;
    const sdx_pair *metadata; /* metadata_props: PyTorch module paths live here */
    const char *doc;
} sdx_node;

typedef struct sdx_graph_value {
    const char *name;    /* unique in its graph; never NULL */
    sdx_type type;       /* as declared, then as inferred */
    int32_t producer;    /* index into nodes[]; -1: input, constant or capture */
    sdx_value *constant; /* initializer or folded result: retained; NULL otherwise */
    bool is_input;       /* listed in inputs[]; with a constant: the overridable default */
    int n_metadata;
    const sdx_pair *metadata; /* of its value_info: exporters say there what is a parameter */
} sdx_graph_value;

/* A body reads `outer` of the enclosing graph as its own value `inner`. */
typedef struct sdx_capture {
    sdx_id outer, inner;
} sdx_capture;

struct sdx_graph {
    sdx_arena *arena;
    const char *name;
    sdx_graph *parent; /* NULL for the main graph */
    int n_values, n_nodes, n_inputs, n_outputs, n_captures;
    int values_capacity, nodes_capacity;
    sdx_graph_value *values;
    sdx_node **nodes; /* topological order */
    sdx_id *inputs, *outputs;
    sdx_capture *captures;
    int n_symbols;
    const char **symbols; /* dim -2-k is named symbols[k]; shared by bodies through the main graph */
    const char *doc;
    int references;                /* nodes that carry it as a body */
    struct sdx_graph_index *index; /* private to graph.c: captures by outer id; symbols and rows of the main graph */
    int fresh;                     /* main graph: number of the next made-up name */
};

/* ---- Building ------------------------------------------------------------------------------------------------ */

/* The graph and all below it live in `arena`; retained constants are released by sdx_graph_release. */
sdx_graph *sdx_graph_create(sdx_arena *arena, const char *name, sdx_graph *parent, sdx_error *error);
void sdx_graph_release(sdx_graph *graph); /* drops retained values of the graph and its bodies; NULL-safe */

/* name NULL: a fresh one is made. Names are not checked for uniqueness here (import does). */
sdx_id sdx_graph_add_value(sdx_graph *graph, const char *name, const sdx_type *type, sdx_error *error);
sdx_status sdx_graph_forget_name(sdx_graph *graph, sdx_id id, sdx_error *error); /* a fresh one in its place */
sdx_status sdx_graph_add_input(sdx_graph *graph, sdx_id id, sdx_error *error);
void sdx_graph_drop_input(sdx_graph *graph, sdx_id id); /* a default becomes a constant */
sdx_status sdx_graph_add_output(sdx_graph *graph, sdx_id id, sdx_error *error);
/* Forgets them; their values stay. */
void sdx_graph_clear_outputs(sdx_graph *graph);
void sdx_graph_clear_inputs(sdx_graph *graph);
/* A constant becomes an input without a default: behind the others, where it was none. */
sdx_status sdx_graph_make_input(sdx_graph *graph, sdx_id id, sdx_error *error);
void sdx_graph_set_constant(sdx_graph *graph, sdx_id id, sdx_value *constant); /* retained; type is set from it */
sdx_id sdx_graph_capture(sdx_graph *body, sdx_id outer, sdx_error *error);     /* the inner id; found or added */
/* The same for a value that the body has already and that nothing makes. */
sdx_status sdx_graph_add_capture(sdx_graph *body, sdx_id outer, sdx_id inner, sdx_error *error);

/* Everything in `from`, with the same ids, into the empty main graph `to`: operators are taken over, not yet bound;
 * constants are shared. */
sdx_status sdx_graph_copy(const sdx_graph *from, sdx_graph *to, sdx_error *error);
/* The same for a body: a graph in `parent`, whose ids its captures keep naming; NULL on failure. */
sdx_graph *sdx_graph_copy_body(const sdx_graph *body, sdx_graph *parent, sdx_error *error);

/* Appends; strings and arrays are copied. */
sdx_node *sdx_graph_add_node(sdx_graph *graph, const char *domain, const char *op_type, const char *name, int n_in,
                             const sdx_id *in, int n_out, const sdx_id *out, sdx_error *error);
/* Copies the attribute (payload arrays and strings too); a graph attribute also joins bodies[]. */
sdx_status sdx_node_set_attr(sdx_graph *graph, sdx_node *node, const sdx_attr *attr, sdx_error *error);
/* Rewiring where a patch would move too much: one read of one node; output k under a fresh value, which is returned, so
 * that another node can make the old one. sdx_graph_sort comes after. */
void sdx_node_set_input(sdx_graph *graph, const sdx_node *node, int k, sdx_id id);
sdx_id sdx_node_move_output(sdx_graph *graph, const sdx_node *node, int k, sdx_error *error);
const sdx_attr *sdx_node_attr(const sdx_node *node, const char *name); /* NULL when absent */
int64_t sdx_node_int(const sdx_node *node, const char *name, int64_t otherwise);
bool sdx_node_is(const sdx_node *node, const char *op_type);           /* of the default domain; NULL is nothing */
const sdx_node *sdx_graph_producer(const sdx_graph *graph, sdx_id id); /* NULL: none */
/* The contents of a constant that no caller can replace; NULL when it is none, or no tensor. */
const sdx_tensor *sdx_graph_tensor(const sdx_graph *graph, sdx_id id);

/* Parsed rows, kept once per main graph; get is NULL when `version` was not put yet. */
const struct sdx_row *sdx_graph_get_row(const sdx_graph *graph, const struct sdx_op_version *version);
sdx_status sdx_graph_put_row(sdx_graph *graph, const struct sdx_op_version *version, const struct sdx_row *row,
                             sdx_error *error);

sdx_graph *sdx_graph_main(const sdx_graph *graph); /* the outermost one */
int sdx_graph_depth(const sdx_graph *graph); /* 0 for the main graph; bodies nest at most SDX_MAX_BODY_DEPTH deep */
enum { SDX_MAX_BODY_DEPTH = 64 };
/* An exact copy whose elem types lie in `arena`. */
sdx_status sdx_type_copy(sdx_arena *arena, const sdx_type *from, sdx_error *error, sdx_type *to);
/* A name that a file uses will not be made up later. Called for every name before the first fresh one is made. */
void sdx_graph_reserve_name(sdx_graph *graph, const char *name);
/* For patch.c: drops what the removed node retained; lets captures follow replaced outer values. */
void sdx_node_release(sdx_node *node);
void sdx_graph_remap_captures(sdx_graph *body, const sdx_id *replaced, int n_replaced);

/* Drops the captures that nothing in the body reads any more. */
void sdx_graph_drop_captures(sdx_graph *body, const int32_t *uses);

/* Sorts nodes so that producers come first (stable), sets producers; MALFORMED names a node on a cycle. */
sdx_status sdx_graph_sort(sdx_graph *graph, sdx_error *error);
/* uses[id]: how many node inputs, captures of bodies and graph outputs read each value. `uses` has n_values entries. */
void sdx_graph_count_uses(const sdx_graph *graph, int32_t *uses);
/* The symbol's dim value (<= -2), added when new. */
int64_t sdx_graph_symbol(sdx_graph *graph, const char *name, sdx_error *error);

/* Checks every invariant above; for tests and after each pass in debug builds. */
sdx_status sdx_graph_check(const sdx_graph *graph, sdx_error *error);
/* Text form, as `sardonyx info --after=STAGE` shows it, through a callback per line. */
void sdx_graph_print(const sdx_graph *graph, void (*line)(void *context, const char *text), void *context);

/* "node 'probs' (Softmax, opset 13)"; an unnamed node is called by its first output. Returns out. */
const char *sdx_node_place(const sdx_graph *graph, const sdx_node *node, char *out, size_t capacity);

#endif
