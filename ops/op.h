/* SPDX-License-Identifier: Apache-2.0
 * The contract between one operator and the runtime. */
#ifndef SDX_OPS_OP_H
#define SDX_OPS_OP_H
#include "runtime/base/pool.h"
#include "runtime/base/tensor.h"
#include "runtime/graph/patch.h"

struct sdx_kernels; /* ops/kernels/kernels.h */

/* One row per ONNX version, oldest first; since == 0 ends the list. All text; tests hold it equal to the schema.
 *   signature   "X:T scale:T1? xs:T* ys:V** -> Y:T mask:T2?"   ? optional, * variadic (>= 1), ** variadic whose
 *               members may differ in type; *0 or **0 where none is allowed too. After ':' stands a type variable
 *               (capital first), or a type: i64, seq(f32), opt(T)...
 *   types       "T=f16|f32|f64 T1=i64|seq(f32)|opt(seq(f32))|map(i64,f32)"
 *   attributes  "epsilon:float=1e-5 axis:int pads:ints to:int! body:graph! mode:string=linear"   ! required */
typedef struct sdx_op_version {
    int since;
    const char *signature, *types, *attributes;
} sdx_op_version;

/* Shorthands for the type lists of rows. */
#define SDX_T_FLOAT      "f16|f32|f64"
#define SDX_T_FLOAT_BF   "bf16|f16|f32|f64"
#define SDX_T_INT        "i8|i16|i32|i64|u8|u16|u32|u64"
#define SDX_T_NUMERIC    "u8|u16|u32|u64|i8|i16|i32|i64|f16|f32|f64"
#define SDX_T_NUMERIC_BF SDX_T_NUMERIC "|bf16"
#define SDX_T_ALL        SDX_T_NUMERIC "|string|bool|c64|c128"
#define SDX_T_ALL_BF     SDX_T_ALL "|bf16"
#define SDX_T_ALL_IR9    SDX_T_ALL_BF "|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz"
#define SDX_T_ALL_IR10   SDX_T_ALL_IR9 "|u4|i4"
#define SDX_T_ALL_IR11   SDX_T_ALL_IR10 "|f4e2m1"
#define SDX_T_ALL_IR12   SDX_T_ALL_IR11 "|f8e8m0"
#define SDX_T_ALL_IR13   SDX_T_ALL_IR12 "|u2|i2"
#define SDX_T_ALL_IR14   SDX_T_ALL_IR13 "|f6e2m3|f6e3m2"

/* ---- bind: attributes -> typed params, once ------------------------------------------------------------------ */

typedef struct sdx_ints {
    const int64_t *data;
    size_t n;
} sdx_ints;

typedef struct sdx_bind {
    sdx_error *error;
    const sdx_node *node;
    int since;         /* of the row in force */
    sdx_arena *arena;  /* for what params point to; lives as long as the model */
    sdx_status status; /* sticky: the getters need no checks, sdx_bind_done returns it */
} sdx_bind;

/* The node's value, else the row's default, else 0 / empty / NULL. Asking for a name the row lacks is a bug. */
int64_t sdx_bind_int(sdx_bind *bind, const char *name);
float sdx_bind_float(sdx_bind *bind, const char *name);
sdx_string sdx_bind_string(sdx_bind *bind, const char *name);
sdx_ints sdx_bind_ints(sdx_bind *bind, const char *name);
const float *sdx_bind_floats(sdx_bind *bind, const char *name, size_t *n);
const sdx_string *sdx_bind_strings(sdx_bind *bind, const char *name, size_t *n);
sdx_value *sdx_bind_value(sdx_bind *bind, const char *name);     /* tensor or sparse tensor; borrowed */
const sdx_type *sdx_bind_type(sdx_bind *bind, const char *name); /* type_proto */
int sdx_bind_body(sdx_bind *bind, const char *name);             /* index into node->bodies; -1 when absent */
bool sdx_bind_has(const sdx_bind *bind, const char *name);       /* given on the node itself */
/* Index of the attribute's string in `allowed`, or a VALUE error that lists what is allowed. */
int sdx_bind_choice(sdx_bind *bind, const char *name, const char *const *allowed, int n);
SDX_PRINTF(3, 4) sdx_status sdx_bind_fail(sdx_bind *bind, sdx_status status, const char *format, ...);

/* ---- infer: types of the outputs; every semantic check --------------------------------------------------------- */

typedef struct sdx_infer sdx_infer;
struct sdx_infer {
    sdx_error *error;
    const sdx_node *node;
    int since;   /* of the row in force */
    int threads; /* how many workers compute may see; for scratch */
    int n_in, n_out;
    const sdx_type *const *in;      /* NULL: absent */
    const sdx_tensor *const *value; /* contents of in[k] where they are known by now; else NULL */
    sdx_type *out;                  /* kind and dtype are set from the row where it determines them; rank is -1 */
    const bool *wanted;             /* per output: somebody reads it */
    sdx_arena *arena;               /* for elem types */
    /* Infers node->bodies[body] with these input types; `out` has the body's n_outputs entries. */
    sdx_status (*infer_body)(sdx_infer *infer, int body, int n_in, const sdx_type *in, sdx_type *out);
    void *context; /* the framework's */
};

/* Shared rules (ops/shape_rules.c). All tolerate unknown ranks and dims. */
void sdx_infer_same(sdx_infer *infer, int out, int in); /* shape of out[out] = shape of in[in] */
/* Numpy broadcasting of inputs first..last into out[out]. */
sdx_status sdx_infer_broadcast(sdx_infer *infer, int out, int first, int last);
/* axis in [-rank, rank) -> [0, rank); a SHAPE error that names attribute `name`, what was found and the range. */
sdx_status sdx_infer_axis(sdx_infer *infer, const char *name, int64_t axis, int rank, int *out);
/* The type of input k; NULL when it is absent. */
static inline const sdx_type *sdx_infer_in(const sdx_infer *infer, int k) {
    return k < infer->n_in ? infer->in[k] : NULL;
}
/* An axis that was checked, from the front. */
static inline int sdx_axis_of(int64_t axis, int rank) { return (int)(axis < 0 ? axis + rank : axis); }
/* Rank of input k; -1 when it is unknown, absent or no tensor. */
static inline int sdx_infer_rank_of(const sdx_infer *infer, int k) {
    const sdx_type *type = sdx_infer_in(infer, k);
    return type && type->kind == SDX_TENSOR ? type->rank : -1;
}
/* Input k must have this rank (or unknown). `name` is the spec's name of the input. */
sdx_status sdx_infer_rank(sdx_infer *infer, int k, const char *name, int rank);
/* dims must agree where both are known; the known one is written to *merged (may be NULL). */
sdx_status sdx_infer_merge_dim(sdx_infer *infer, const char *what, int64_t a, int64_t b, int64_t *merged);
/* Contents of an i64/i32 vector (or scalar) input as int64, when known: *n = -1 when not. At most `most` entries. */
sdx_status sdx_infer_i64s(sdx_infer *infer, int k, const char *name, int64_t *values, int most, int *n);
/* The spec's name of input k, from the row in force; for messages. Returns out. */
const char *sdx_op_input_name(const sdx_node *node, int k, char *out, size_t capacity);

/* ---- compute ---------------------------------------------------------------------------------------------------- */

typedef struct sdx_compute sdx_compute;

/* What exec offers to operators whose results are not plain planned tensors. */
typedef struct sdx_services {
    /* Output k gets this shape and fresh memory (its planned shape was not fully known). */
    sdx_tensor *(*alloc_output)(sdx_compute *compute, int k, int rank, const int64_t *dims);
    /* Output k becomes `value`; the reference is taken over. For sequences, optionals, maps; and tensors handed on. */
    void (*set_output)(sdx_compute *compute, int k, sdx_value *value);
    /* Memory until the step ends, for strings and data-dependent work (strings of outputs are copied out of it then).
     * Zeroed; NULL on failure. */
    void *(*alloc)(sdx_compute *compute, size_t size);
    /* A value of its own (one reference) with the contents of input k, without copying where it can be shared. */
    sdx_value *(*share_input)(sdx_compute *compute, int k);
    /* Runs node->bodies[body]; in[] borrowed, out[] receive one reference each. */
    sdx_status (*run_body)(sdx_compute *compute, int body, int n_in, sdx_value *const *in, int n_out, sdx_value **out);
} sdx_services;

struct sdx_compute {
    sdx_error *error;
    const sdx_node *node;
    int since;
    int n_in, n_out;
    const sdx_tensor *const *in; /* NULL: absent or not a tensor */
    sdx_value *const *in_value;  /* sequences, optionals, maps, sparse; NULL for tensors that are planned */
    sdx_tensor *const *out;      /* NULL: nobody reads it, not a tensor, or alloc_output must be called first */
    const bool *wanted;
    void *scratch; /* as many bytes as op->scratch said, 64-byte aligned, not cleared */
    const struct sdx_kernels *kernels;
    sdx_pool *pool;
    const sdx_stop *stop;
    uint64_t random_key; /* differs by node and run; from the seed alone, so results can be repeated */
    sdx_memory *memory;  /* the session's */
    const sdx_services *services;
    void *context; /* the framework's */
};

/* Chunks [0, count) on the pool; stops early on cancel or deadline. See pool.h. */
static inline sdx_status sdx_for(sdx_compute *compute, int64_t count, int64_t grain, sdx_range_fn fn, void *argument) {
    return sdx_pool_run(compute->pool, count, grain, fn, argument, compute->stop, compute->error);
}
/* out[k] when it is planned, else fresh memory of this shape. NULL with the error set on failure. */
sdx_tensor *sdx_compute_output(sdx_compute *compute, int k, int rank, const int64_t *dims);
/* A NUL-terminated copy for string tensors, from services->alloc. data NULL on failure. */
sdx_string sdx_compute_string(sdx_compute *compute, const char *data, size_t size);

/* ---- grad: emits nodes ------------------------------------------------------------------------------------------ */

typedef struct sdx_grad sdx_grad;
struct sdx_grad {
    sdx_patch *patch;
    const sdx_node *node;
    const sdx_id *dY;   /* gradient of each output; SDX_NONE where nothing flows */
    sdx_id *dX;         /* to set: gradient of each input; SDX_NONE where there is none. Broadcast is undone after */
    const bool *needed; /* per input */
    sdx_error *error;
    bool exact; /* to set: each dX has the shape of its input already, there is no broadcast to undo */
    /* What bodies of the node capture and what needs a gradient; dC is to be set as dX is. */
    int n_captured;
    const sdx_id *captured;
    sdx_id *dC;
    /* For bodies. reach: sets depends[] of the values of `body` that those set already reach. walk: emits, into the
     * patch of a body, the gradients of xs for given gradients of ys; SDX_NONE where nothing flows. Values of the body
     * have types; its nodes may be new. */
    sdx_status (*reach)(const sdx_grad *grad, const sdx_graph *body, bool *depends);
    sdx_status (*walk)(const sdx_grad *grad, sdx_patch *body, int n_ys, const sdx_id *ys, const sdx_id *dys, int n_xs,
                       const sdx_id *xs, sdx_id *dxs);
};

/* ---- the operator ----------------------------------------------------------------------------------------------- */

enum {
    SDX_OP_INPLACE = 1 << 0,  /* out[0] may be the bytes of any input of the same dtype and shape */
    SDX_OP_VIEW = 1 << 1,     /* out[0] is the bytes of in[0] under another shape; compute copies if they differ */
    SDX_OP_RANDOM = 1 << 2,   /* not folded, not shared */
    SDX_OP_INTERNAL = 1 << 3, /* of domain "sdx": no schema to compare with, refused in files */
    SDX_OP_DIMS = 1 << 4      /* compute reads the dims of its inputs, never their contents: known once shapes are */
};

/* The newest form of a node whose integer list moved from attribute `name` to an input: a constant appended to its
 * inputs; other attributes are kept. A node without the attribute stays as it is. For use in .upgrade. */
sdx_status sdx_upgrade_ints(sdx_patch *patch, const sdx_node *node, const char *name);

typedef struct sdx_op {
    const char *domain, *name;
    const sdx_op_version *versions;
    size_t params_size;
    sdx_status (*upgrade)(sdx_patch *patch, const sdx_node *node); /* old form -> newest form; optional. A node it does
                                                                      not replace stays as it is, under its own row */
    sdx_status (*bind)(sdx_bind *bind, void *params);              /* optional: no params */
    sdx_status (*infer)(sdx_infer *infer, const void *params);
    size_t (*scratch)(const sdx_infer *infer, const void *params); /* optional; SIZE_MAX: too large */
    sdx_status (*compute)(sdx_compute *compute, const void *params);
    sdx_status (*grad)(sdx_grad *grad, const void *params); /* NULL: not written */
    /* Internal operators that standard ones can stand in for: emits those and replaces the node's outputs, so that a
     * graph can be written as portable ONNX. NULL: none can. */
    sdx_status (*expand)(sdx_patch *patch, const sdx_node *node, const void *params);
    unsigned flags;
} sdx_op;

/* Of gradients: tensors, or sequences item by item. */
sdx_id sdx_grad_sum(sdx_patch *patch, sdx_id a, sdx_id b);
sdx_status sdx_no_gradient(sdx_grad *grad, const void *params); /* the state "never" of .grad */

#endif
