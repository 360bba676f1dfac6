/* SPDX-License-Identifier: Apache-2.0
 * Add, Sub, Mul, Div, and what every operator of two broadcast inputs shares. Integer Div truncates. */
#include "ops/math/binary.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

sdx_status sdx_binary_bind(sdx_bind *bind, sdx_binary_params *params, sdx_binary_id id, bool swap) {
    *params = (sdx_binary_params){.id = id, .swap = swap, .legacy = bind->since < 7};
    if (!params->legacy) return bind->status;
    params->spread = sdx_bind_int(bind, "broadcast") != 0;
    params->has_axis = sdx_bind_has(bind, "axis");
    params->axis = params->has_axis ? sdx_bind_int(bind, "axis") : 0;
    return bind->status;
}

/* ---- The old form ---- */

static bool single(const sdx_type *type) {
    for (int d = 0; d < type->rank; d++)
        if (type->dim[d] != 1) return false;
    return true;
}

/* `b` as numpy would need it: followed by ones, so that its dimensions stand where the old rule puts them. */
static sdx_status legacy_type(sdx_error *error, const sdx_binary_params *p, const sdx_type *a, const sdx_type *b,
                              sdx_type *out) {
    *out = *b;
    if (p->spread && single(b)) {
        out->rank = 0;
        return SDX_OK;
    }
    if (!p->spread && a->rank != b->rank)
        return sdx_fail(error, SDX_SHAPE,
                        "inputs have ranks %d and %d; without attribute 'broadcast' they must be equal", a->rank,
                        b->rank);
    int64_t axis = !p->spread ? 0 : p->has_axis ? p->axis : a->rank - b->rank;
    axis += axis < 0 && p->has_axis ? a->rank : 0;
    if (axis < 0 || axis > a->rank - b->rank)
        return sdx_fail(error, SDX_SHAPE, "attribute 'axis' is %" PRId64 "; the first input has rank %d, the second %d",
                        p->axis, a->rank, b->rank);
    out->rank = a->rank - (int)axis;
    for (int d = b->rank; d < out->rank; d++) out->dim[d] = 1;
    for (int d = 0; d < b->rank; d++) {
        int64_t wanted = a->dim[(int)axis + d];
        if (wanted >= 0 && b->dim[d] >= 0 && wanted != b->dim[d])
            return sdx_fail(error, SDX_SHAPE,
                            "dimension %d of the second input is %" PRId64 "; it must be %" PRId64
                            ", dimension %d of the first",
                            d, b->dim[d], wanted, (int)axis + d);
    }
    return SDX_OK;
}

sdx_status sdx_binary_upgrade(sdx_patch *patch, const sdx_node *node) {
    if (node->version->since >= 7 || node->n_in != 2) return SDX_OK;
    const sdx_attr *axis = sdx_node_attr(node, "axis"), *spread = sdx_node_attr(node, "broadcast");
    sdx_id in[2] = {node->in[0], node->in[1]};
    if (axis && spread && spread->i) {
        int a = patch->graph->values[in[0]].type.rank, b = patch->graph->values[in[1]].type.rank;
        if (a < 0 || b < 0 || a > SDX_MAX_RANK) return SDX_OK;
        int64_t axes[SDX_MAX_RANK], first = axis->i < 0 ? axis->i + a : axis->i;
        int n = 0;
        if (first < 0 || first > a - b) return SDX_OK;
        for (int64_t d = first + b; d < a; d++) axes[n++] = d - first;
        sdx_id unsqueeze[2] = {in[1], sdx_patch_i64s(patch, axes, (size_t)n)};
        if (n) in[1] = sdx_patch_node(patch, "", "Unsqueeze", 2, unsqueeze, 1)->out[0];
    }
    sdx_node *newest = sdx_patch_node(patch, "", node->op_type, 2, in, 1);
    sdx_patch_replace(patch, node->out[0], newest->out[0]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

/* ---- Shapes ---- */

sdx_status sdx_binary_infer(sdx_infer *infer, const void *params) {
    const sdx_binary_params *p = params;
    if (!p->legacy) return sdx_infer_broadcast(infer, 0, 0, 1);
    sdx_type b;
    sdx_infer_same(infer, 0, 0);
    if (sdx_infer_rank_of(infer, 0) < 0 || sdx_infer_rank_of(infer, 1) < 0) return SDX_OK;
    return legacy_type(infer->error, p, infer->in[0], infer->in[1], &b);
}

/* Dims of the output, and of b as it is to be broadcast. */
static sdx_status resolve(sdx_compute *compute, const sdx_binary_params *p, sdx_tensor *b, int *rank, int64_t *dims) {
    const sdx_tensor *a = compute->in[0];
    *b = *compute->in[1];
    if (!p->legacy) return sdx_broadcast_dims(compute, 0, 1, rank, dims);
    sdx_type a_type = sdx_type_of_tensor(a), b_type = sdx_type_of_tensor(b), placed;
    SDX_TRY(legacy_type(compute->error, p, &a_type, &b_type, &placed));
    b->rank = placed.rank;
    memcpy(b->dim, placed.dim, sizeof b->dim);
    *rank = a->rank;
    memcpy(dims, a->dim, sizeof a->dim);
    return SDX_OK;
}

/* ---- Zero divisors ---- */

/* Index of the first zero among n integers, n when there is none. */
static int64_t find_zero(const void *data, size_t size, int64_t n) {
    static const char zero[8] = {0};
    for (int64_t i = 0; i < n; i++)
        if (memcmp((const char *)data + (size_t)i * size, zero, size) == 0) return i;
    return n;
}

static sdx_status refuse_zero(sdx_compute *compute, const sdx_tensor *b) {
    int64_t at = find_zero(b->data, sdx_dtype_size(b->dtype), b->count);
    char name[64], place[256] = "";
    if (at == b->count) return SDX_OK;
    int64_t stride = b->count;
    for (int d = 0, used = 0; d < b->rank; d++) {
        stride /= b->dim[d];
        used += snprintf(place + used, sizeof place - (size_t)used, "%s%" PRId64, d ? "," : "", at / stride);
        at %= stride;
        if ((size_t)used >= sizeof place - 24) break;
    }
    return sdx_fail(compute->error, SDX_VALUE, "input '%s' is 0 at [%s]; an integer divisor must not be",
                    sdx_op_input_name(compute->node, 1, name, sizeof name), place);
}

static bool divides(sdx_binary_id id) { return id == SDX_BINARY_Div || id == SDX_BINARY_Mod || id == SDX_BINARY_Fmod; }

/* ---- Compute ---- */

static void equal_strings(const void *context, int64_t n, void *const *at, const int64_t *step) {
    (void)context;
    const sdx_string *a = at[1], *b = at[2];
    uint8_t *y = at[0];
    for (int64_t i = 0; i < n; i++, a += step[1], b += step[2])
        y[i] = a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static sdx_status compare_strings(sdx_compute *compute, const sdx_tensor *b, const sdx_tensor *y) {
    sdx_loop loop;
    sdx_loop_begin(&loop, y, SDX_BOOL);
    sdx_loop_add(&loop, compute->in[0], SDX_STRING);
    sdx_loop_add(&loop, b, SDX_STRING);
    return sdx_loop_run(compute, &loop, SDX_GRAIN_HEAVY, equal_strings, NULL);
}

sdx_status sdx_binary_compute(sdx_compute *compute, const void *params) {
    const sdx_binary_params *p = params;
    const sdx_tensor *a = compute->in[0];
    sdx_tensor b;
    int rank = 0;
    int64_t dims[SDX_MAX_RANK];
    SDX_TRY(resolve(compute, p, &b, &rank, dims));
    sdx_tensor *y = sdx_compute_output(compute, 0, rank, dims);
    if (!y) return compute->error->status;
    int class = sdx_dtype_class(a->dtype);
    if (class == SDX_CLASS_STRING) return compare_strings(compute, &b, y);
    if (divides(p->id) && class != SDX_CLASS_FLOAT && y->count) SDX_TRY(refuse_zero(compute, &b));
    sdx_binary_work work = sdx_binary_work_of(a, y);
    return p->swap ? sdx_binary_run(compute, p->id, &b, a, y, work) : sdx_binary_run(compute, p->id, a, &b, y, work);
}

/* ---- Add, Sub, Mul, Div ---- */

sdx_status sdx_binary_refuse_old(const sdx_grad *grad, const sdx_binary_params *params) {
    if (!params->legacy || !params->spread) return SDX_OK;
    return sdx_fail(grad->error, SDX_UNSUPPORTED,
                    "attribute 'broadcast' is set; the ranks of both inputs must be known for the gradient");
}

static sdx_status add_grad(sdx_grad *grad, const void *params) {
    SDX_TRY(sdx_binary_refuse_old(grad, params));
    grad->dX[0] = grad->dX[1] = grad->dY[0];
    return grad->patch->status;
}

static sdx_status sub_grad(sdx_grad *grad, const void *params) {
    SDX_TRY(sdx_binary_refuse_old(grad, params));
    grad->dX[0] = grad->dY[0];
    if (grad->needed[1]) grad->dX[1] = sdx_emit1(grad->patch, "Neg", grad->dY[0]);
    return grad->patch->status;
}

static sdx_status mul_grad(sdx_grad *grad, const void *params) {
    SDX_TRY(sdx_binary_refuse_old(grad, params));
    for (int k = 0; k < 2; k++)
        if (grad->needed[k]) grad->dX[k] = sdx_emit2(grad->patch, "Mul", grad->dY[0], grad->node->in[1 - k]);
    return grad->patch->status;
}

/* dA = dY / B, dB = -dA C */
static sdx_status div_grad(sdx_grad *grad, const void *params) {
    SDX_TRY(sdx_binary_refuse_old(grad, params));
    sdx_id dA = sdx_emit2(grad->patch, "Div", grad->dY[0], grad->node->in[1]);
    grad->dX[0] = dA;
    if (grad->needed[1])
        grad->dX[1] = sdx_emit1(grad->patch, "Neg", sdx_emit2(grad->patch, "Mul", dA, grad->node->out[0]));
    return grad->patch->status;
}

#define WIDE_INTEGERS "|i32|i64|u32|u64"
#define ABC           "A:T B:T -> C:T"
#define ARITHMETIC(op, gradient)                                                                                       \
    SDX_BINARY_OP(op, op, false, sdx_binary_upgrade, gradient, SDX_OP_INPLACE,                                         \
                  SDX_V(1, ABC, SDX_T_FLOAT, SDX_BROADCAST_OLD " " SDX_CONSUMED),                                      \
                  SDX_V(6, ABC, SDX_T_FLOAT WIDE_INTEGERS, SDX_BROADCAST_OLD),                                         \
                  SDX_V(7, ABC, SDX_T_FLOAT WIDE_INTEGERS, ""), SDX_V(13, ABC, SDX_T_FLOAT_BF WIDE_INTEGERS, ""),      \
                  SDX_V(14, ABC, SDX_T_NUMERIC_BF, ""))
ARITHMETIC(Add, add_grad)
ARITHMETIC(Sub, sub_grad)
ARITHMETIC(Mul, mul_grad)
ARITHMETIC(Div, div_grad)
