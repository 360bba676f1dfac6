/* SPDX-License-Identifier: Apache-2.0
 * Constant: exactly one attribute holds the value. Loading turns all forms but sparse_value into constants of the graph
 * (upgrade is called for every row of this operator); sparse_value is written out densely. */
#include "ops/op.h"
#include <inttypes.h>
#include <string.h>

#define VALUES                                                                                                         \
    "sparse_value:sparse value:tensor value_float:float value_floats:floats value_int:int value_ints:ints "            \
    "value_string:string value_strings:strings"

static const sdx_op_version versions[] = {
    {1, "-> output:T", "T=" SDX_T_FLOAT, "value:tensor!"},
    {9, "-> output:T", "T=" SDX_T_ALL, "value:tensor!"},
    {11, "-> output:T", "T=" SDX_T_ALL, "sparse_value:sparse value:tensor"},
    {12, "-> output:T", "T=" SDX_T_ALL, VALUES},
    {13, "-> output:T", "T=" SDX_T_ALL_BF, VALUES},
    {19, "-> output:T", "T=" SDX_T_ALL_IR9, VALUES},
    {21, "-> output:T", "T=" SDX_T_ALL_IR10, VALUES},
    {23, "-> output:T", "T=" SDX_T_ALL_IR11, VALUES},
    {24, "-> output:T", "T=" SDX_T_ALL_IR12, VALUES},
    {25, "-> output:T", "T=" SDX_T_ALL_IR13, VALUES},
    {0},
};

typedef struct held {
    sdx_tensor tensor; /* a view of the attribute's bytes; of sparse_value the dense dims, without data */
    const sdx_value *sparse;
} held;

static sdx_tensor view(sdx_dtype dtype, int rank, size_t n, const void *data) {
    union {
        const void *in;
        void *data;
    } bytes = {data};
    return (sdx_tensor){.dtype = dtype, .rank = rank, .dim = {(int64_t)n}, .count = (int64_t)n, .data = bytes.data};
}

static sdx_status read_value(const sdx_node *node, sdx_error *error, held *out) {
    *out = (held){.sparse = NULL};
    if (node->n_attrs != 1)
        return sdx_fail(error, SDX_MALFORMED, "has %d attributes; exactly one must give the value", node->n_attrs);
    const sdx_attr *attr = &node->attrs[0];
    switch (attr->type) {
    case SDX_ATTR_TENSOR: out->tensor = attr->value->tensor; return SDX_OK;
    case SDX_ATTR_SPARSE_TENSOR:
        out->sparse = attr->value;
        out->tensor = attr->value->tensor;
        return SDX_OK;
    case SDX_ATTR_FLOAT: out->tensor = view(SDX_F32, 0, 1, &attr->f); return SDX_OK;
    case SDX_ATTR_FLOATS: out->tensor = view(SDX_F32, 1, attr->n, attr->floats); return SDX_OK;
    case SDX_ATTR_INT: out->tensor = view(SDX_I64, 0, 1, &attr->i); return SDX_OK;
    case SDX_ATTR_INTS: out->tensor = view(SDX_I64, 1, attr->n, attr->ints); return SDX_OK;
    case SDX_ATTR_STRING: out->tensor = view(SDX_STRING, 0, 1, &attr->s); return SDX_OK;
    case SDX_ATTR_STRINGS: out->tensor = view(SDX_STRING, 1, attr->n, attr->strings); return SDX_OK;
    case SDX_ATTR_GRAPH:
    case SDX_ATTR_TENSORS:
    case SDX_ATTR_GRAPHS:
    case SDX_ATTR_SPARSE_TENSORS:
    case SDX_ATTR_TYPE:
    case SDX_ATTR_TYPES: break;
    }
    return sdx_fail(error, SDX_MALFORMED, "attribute '%s' cannot give the value", attr->name);
}

static sdx_status upgrade(sdx_patch *patch, const sdx_node *node) {
    held value;
    SDX_TRY(read_value(node, patch->error, &value));
    if (value.sparse || node->n_out != 1) return SDX_OK;
    const sdx_attr *attr = &node->attrs[0];
    sdx_id id =
        attr->type == SDX_ATTR_TENSOR ? sdx_patch_constant(patch, attr->value) : sdx_patch_tensor(patch, &value.tensor);
    sdx_patch_replace(patch, node->out[0], id);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_status bind(sdx_bind *bind, void *params) { return read_value(bind->node, bind->error, params); }

static sdx_status infer(sdx_infer *infer, const void *arguments) {
    const held *p = arguments;
    infer->out[0] = sdx_type_of_tensor(&p->tensor);
    return SDX_OK;
}

/* Where entry k goes: indices are linear, or one row of coordinates per entry. They were checked when read. */
static int64_t place_of(const sdx_tensor *indices, const sdx_tensor *dense, int64_t k) {
    const int64_t *index = indices->data;
    if (indices->rank == 1) return index[k];
    int64_t at = 0;
    for (int d = 0; d < dense->rank; d++) at = at * dense->dim[d] + index[k * dense->rank + d];
    return at;
}

static sdx_status fill_sparse(sdx_compute *compute, const held *p, sdx_tensor *y) {
    const sdx_tensor *values = &p->sparse->items[0]->tensor, *indices = &p->sparse->items[1]->tensor;
    size_t size = sdx_dtype_size(y->dtype);
    memset(y->data, 0, sdx_tensor_bytes(y));
    for (int64_t k = 0; k < values->count; k++) {
        int64_t at = place_of(indices, y, k);
        if (at < 0 || at >= y->count)
            return sdx_fail(compute->error, SDX_VALUE, "index %" PRId64 " of 'sparse_value' is outside its dims", at);
        memcpy((char *)y->data + (size_t)at * size, (const char *)values->data + (size_t)k * size, size);
    }
    return SDX_OK;
}

static sdx_status compute(sdx_compute *compute, const void *arguments) {
    const held *p = arguments;
    sdx_tensor *y = sdx_compute_output(compute, 0, p->tensor.rank, p->tensor.dim);
    if (!y) return SDX_OUT_OF_MEMORY;
    if (p->sparse) return y->count ? fill_sparse(compute, p, y) : SDX_OK;
    if (y->count) memcpy(y->data, p->tensor.data, sdx_tensor_bytes(y));
    return SDX_OK;
}

const sdx_op sdx_op_Constant = {
    .domain = "",
    .name = "Constant",
    .versions = versions,
    .params_size = sizeof(held),
    .upgrade = upgrade,
    .bind = bind,
    .infer = infer,
    .compute = compute,
    .grad = sdx_no_gradient,
};
