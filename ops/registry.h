/* SPDX-License-Identifier: Apache-2.0
 * The table of operators, and their version rows in parsed form. */
#ifndef SDX_OPS_REGISTRY_H
#define SDX_OPS_REGISTRY_H
#include "ops/op.h"

extern const sdx_op *const sdx_ops[]; /* sorted by name, then domain */
extern const size_t sdx_ops_count;

/* domain "" and "ai.onnx" are the same. NULL when there is none. */
const sdx_op *sdx_op_find(const char *domain, const char *name);
/* The row in force at `opset`; NULL when the operator is younger. */
const sdx_op_version *sdx_op_version_at(const sdx_op *op, int opset);
const sdx_op_version *sdx_op_newest(const sdx_op *op);

/* One alternative of a type list. kind TENSOR, SEQUENCE, OPTIONAL, MAP or SPARSE_TENSOR. */
typedef struct sdx_row_type {
    sdx_kind kind;
    sdx_dtype dtype;  /* innermost tensor element, map value */
    sdx_dtype key;    /* map */
    bool of_sequence; /* opt(seq(..)), seq(map(..)) is of_map */
    bool of_map;
} sdx_row_type;

typedef struct sdx_row_arg {
    const char *name;
    bool optional, variadic, heterogeneous;
    int least;    /* variadic: how many at least */
    int variable; /* index into variables; -1: `type` is fixed */
    sdx_row_type type;
    sdx_kind wrap; /* with a variable: seq(T), opt(T); else 0 */
} sdx_row_arg;

typedef struct sdx_row_variable {
    const char *name;
    int n_types;
    const sdx_row_type *types;
} sdx_row_variable;

typedef struct sdx_row_attr {
    sdx_attr attr; /* name, type and, with has_default, the default */
    bool required, has_default;
} sdx_row_attr;

typedef struct sdx_row {
    const sdx_op_version *version; /* what was parsed */
    int since;
    int n_in, n_out, n_variables, n_attrs;
    const sdx_row_arg *in, *out;
    const sdx_row_variable *variables;
    const sdx_row_attr *attrs;
} sdx_row;

/* Parses the row into `arena`. A row that cannot be parsed is a bug of ours, reported as MALFORMED. */
sdx_status sdx_row_parse(const sdx_op_version *version, sdx_arena *arena, sdx_error *error, const sdx_row **out);
/* The row's attribute of that name; NULL when there is none. */
const sdx_row_attr *sdx_row_attr_of(const sdx_row *row, const char *name);

#endif
