/* SPDX-License-Identifier: Apache-2.0
 * Expand: numpy broadcasting of the input with 'shape', both ways. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

static sdx_status expand_resolve(sdx_error *error, const sdx_type *in, int n, const int64_t *shape, sdx_type *out) {
    int rank = n > in->rank ? n : in->rank;
    for (int d = 0; d < rank; d++) {
        int64_t want = d < rank - n ? 1 : shape[d - (rank - n)];
        int64_t have = d < rank - in->rank ? 1 : in->dim[d - (rank - in->rank)];
        if (want < 0)
            return sdx_fail(error, SDX_VALUE, "entry %d of input 'shape' is %" PRId64 "; it must be >= 0",
                            d - (rank - n), want);
        if (have >= 0 && have != 1 && want != 1 && have != want)
            return sdx_fail(error, SDX_SHAPE,
                            "dimension %d of input 'input' is %" PRId64 "; input 'shape' asks for %" PRId64 " there",
                            d - (rank - in->rank), have, want);
        out->dim[d] = want == 1 ? have : have < 0 || have == 1 ? want : have;
    }
    out->rank = rank;
    return SDX_OK;
}

static sdx_status expand_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int64_t shape[SDX_MAX_RANK];
    int n = -1, rank = sdx_infer_rank_of(infer, 0);
    sdx_type *out = &infer->out[0];
    SDX_TRY(sdx_infer_rank(infer, 1, "shape", 1));
    SDX_TRY(sdx_infer_i64s(infer, 1, "shape", shape, SDX_MAX_RANK, &n));
    if (rank < 0) return SDX_OK;
    if (n >= 0) return expand_resolve(infer->error, infer->in[0], n, shape, out);
    int64_t asked = sdx_infer_rank_of(infer, 1) == 1 ? infer->in[1]->dim[0] : -1;
    if (asked < 0) return SDX_OK;
    out->rank = asked > rank ? (int)asked : rank;
    for (int d = 0; d < out->rank; d++) out->dim[d] = -1;
    return SDX_OK;
}

static sdx_status expand_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *in = compute->in[0];
    int64_t shape[SDX_MAX_RANK], stride[SDX_MAX_RANK];
    int n = 0;
    sdx_type type = sdx_type_of_tensor(in), result;
    sdx_move move;
    SDX_TRY(sdx_read_i64s(compute->error, "shape", compute->in[1], shape, SDX_MAX_RANK, &n));
    SDX_TRY(expand_resolve(compute->error, &type, n, shape, &result));
    sdx_tensor *out = sdx_compute_output(compute, 0, result.rank, result.dim);
    if (!out) return compute->error->status;
    sdx_strides(in->rank, in->dim, stride);
    for (int d = 0; d < out->rank; d++) {
        int own = d - (out->rank - in->rank);
        move.from[d] = own < 0 || in->dim[own] == 1 ? 0 : stride[own];
    }
    sdx_move_into(&move, in, out);
    return sdx_move_run(compute, &move);
}

/* The broadcast is undone by who asks. */
static sdx_status expand_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->dX[0] = grad->dY[0];
    return SDX_OK;
}

const sdx_op sdx_op_Expand = {
    .domain = "",
    .name = "Expand",
    .versions =
        (const sdx_op_version[]){
            {8, "input:T shape:i64 -> output:T", "T=" SDX_T_ALL, ""},
            {13, "input:T shape:i64 -> output:T", "T=" SDX_T_ALL_BF, ""},
            {0, NULL, NULL, NULL},
        },
    .infer = expand_infer,
    .compute = expand_compute,
    .grad = expand_grad,
};
