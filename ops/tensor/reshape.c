/* SPDX-License-Identifier: Apache-2.0
 * Reshape: -1 is what is left over; 0 copies the input's dimension at that place unless allowzero. Version 1 took the
 * shape as an attribute. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct reshape_params {
    bool allowzero;
} reshape_params;

static sdx_status reshape_upgrade(sdx_patch *patch, const sdx_node *node) {
    if (node->version->since >= 5) return SDX_OK;
    const sdx_attr *shape = sdx_node_attr(node, "shape");
    sdx_id in[2] = {node->in[0], sdx_patch_i64s(patch, shape ? shape->ints : NULL, shape ? shape->n : 0)};
    sdx_node *newest = sdx_patch_node(patch, "", "Reshape", 2, in, 1);
    sdx_patch_replace(patch, node->out[0], newest->out[0]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_status reshape_bind(sdx_bind *bind, void *params) {
    reshape_params *p = params;
    p->allowzero = bind->since >= 14 && sdx_bind_int(bind, "allowzero") != 0;
    return bind->status;
}

/* What the dimension of -1 must be: products of what both sides have beside copied dimensions. -1 when unknown. */
typedef struct balance {
    int64_t in, out;
    int unknown;    /* dimensions of the input that are not known */
    int64_t symbol; /* the last of them */
} balance;

static void balance_input(balance *b, const sdx_type *in, const bool *copied) {
    for (int d = 0; d < in->rank; d++) {
        if (copied[d]) continue;
        if (in->dim[d] < 0)
            b->unknown++, b->symbol = in->dim[d];
        else
            b->in *= in->dim[d];
    }
}

static sdx_status read_dims(sdx_error *error, const reshape_params *p, const sdx_type *in, int n, int64_t *dims,
                            bool *copied, int *open, balance *b) {
    bool zero = false;
    for (int d = 0; d < n; d++) {
        if (dims[d] < -1)
            return sdx_fail(error, SDX_VALUE, "entry %d of input 'shape' is %" PRId64 "; it must be >= -1", d, dims[d]);
        if (dims[d] == -1) {
            if (*open >= 0)
                return sdx_fail(error, SDX_VALUE, "entries %d and %d of input 'shape' are -1; one may be", *open, d);
            *open = d;
        } else if (dims[d] == 0 && !p->allowzero) {
            if (in->rank < 0) {
                dims[d] = -1;
                b->unknown++;
                continue;
            }
            if (d >= in->rank)
                return sdx_fail(error, SDX_SHAPE, "entry %d of input 'shape' is 0; input 'data' has rank %d", d,
                                in->rank);
            dims[d] = in->dim[d];
            copied[d] = true;
        } else {
            zero = zero || dims[d] == 0;
            if (!sdx_dim_mul(b->out, dims[d], &b->out))
                return sdx_fail(error, SDX_SHAPE, "the product of input 'shape' overflows");
        }
    }
    if (zero && *open >= 0)
        return sdx_fail(error, SDX_VALUE, "input 'shape' has both 0 and -1, which allowzero does not permit");
    return SDX_OK;
}

/* dims: the contents of 'shape'; becomes the result, with negative entries where it is unknown. */
static sdx_status reshape_resolve(sdx_error *error, const reshape_params *p, const sdx_type *in, int n, int64_t *dims) {
    bool copied[SDX_MAX_RANK] = {false};
    int open = -1;
    balance b = {.in = 1, .out = 1, .symbol = -1};
    SDX_TRY(read_dims(error, p, in, n, dims, copied, &open, &b));
    if (in->rank < 0) return SDX_OK;
    balance_input(&b, in, copied);
    if (b.unknown == 1 && open >= 0 && b.in == b.out) dims[open] = b.symbol;
    if (b.unknown) return SDX_OK;
    if (open >= 0 && b.out && b.in % b.out == 0) {
        dims[open] = b.in / b.out;
        return SDX_OK;
    }
    if (open < 0 && b.in == b.out) return SDX_OK;
    char found[128], asked[128];
    sdx_type wanted = sdx_type_make(in->dtype, n);
    memcpy(wanted.dim, dims, (size_t)n * sizeof *dims);
    return sdx_fail(error, SDX_SHAPE, "input 'data' is %s; its elements do not fill %s",
                    sdx_type_text(in, found, sizeof found), sdx_type_text(&wanted, asked, sizeof asked));
}

static sdx_status reshape_infer(sdx_infer *infer, const void *params) {
    static const sdx_type unknown = {.kind = SDX_TENSOR, .rank = -1};
    sdx_type *out = &infer->out[0];
    int64_t dims[SDX_MAX_RANK];
    int n = -1;
    SDX_TRY(sdx_infer_rank(infer, 1, "shape", 1));
    SDX_TRY(sdx_infer_i64s(infer, 1, "shape", dims, SDX_MAX_RANK, &n));
    if (n < 0) {
        if (sdx_infer_rank_of(infer, 1) != 1 || infer->in[1]->dim[0] < 0) return SDX_OK;
        out->rank = (int)infer->in[1]->dim[0];
        for (int d = 0; d < out->rank; d++) out->dim[d] = -1;
        return SDX_OK;
    }
    const sdx_type *in = sdx_infer_rank_of(infer, 0) < 0 ? &unknown : infer->in[0];
    SDX_TRY(reshape_resolve(infer->error, params, in, n, dims));
    out->rank = n;
    memcpy(out->dim, dims, (size_t)n * sizeof *dims);
    return SDX_OK;
}

static sdx_status reshape_compute(sdx_compute *compute, const void *params) {
    int64_t dims[SDX_MAX_RANK];
    int n = 0;
    sdx_type in = sdx_type_of_tensor(compute->in[0]);
    SDX_TRY(sdx_read_i64s(compute->error, "shape", compute->in[1], dims, SDX_MAX_RANK, &n));
    SDX_TRY(reshape_resolve(compute->error, params, &in, n, dims));
    sdx_tensor *out = sdx_compute_output(compute, 0, n, dims);
    return out ? sdx_move_all(compute, compute->in[0], out) : compute->error->status;
}

const sdx_op sdx_op_Reshape = {
    .domain = "",
    .name = "Reshape",
    .versions =
        (const sdx_op_version[]){
            {1, "data:T -> reshaped:T", "T=" SDX_T_FLOAT, "consumed_inputs:ints shape:ints"},
            {5, "data:T shape:i64 -> reshaped:T", "T=" SDX_T_ALL, ""},
            {13, "data:T shape:i64 -> reshaped:T", "T=" SDX_T_ALL_BF, ""},
            {14, "data:T shape:i64 -> reshaped:T", "T=" SDX_T_ALL_BF, "allowzero:int=0"},
            {19, "data:T shape:i64 -> reshaped:T", "T=" SDX_T_ALL_IR9, "allowzero:int=0"},
            {21, "data:T shape:i64 -> reshaped:T", "T=" SDX_T_ALL_IR10, "allowzero:int=0"},
            {23, "data:T shape:i64 -> reshaped:T", "T=" SDX_T_ALL_IR11, "allowzero:int=0"},
            {24, "data:T shape:i64 -> reshaped:T", "T=" SDX_T_ALL_IR12, "allowzero:int=0"},
            {25, "data:T shape:i64 -> reshaped:T", "T=" SDX_T_ALL_IR13, "allowzero:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(reshape_params),
    .upgrade = reshape_upgrade,
    .bind = reshape_bind,
    .infer = reshape_infer,
    .compute = reshape_compute,
    .grad = sdx_reshape_gradient,
    .flags = SDX_OP_VIEW,
};
