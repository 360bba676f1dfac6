/* SPDX-License-Identifier: Apache-2.0
 * StringConcat: Z = X followed by Y, with numpy broadcasting. */
#include "ops/loop.h"
#include <string.h>

static sdx_status string_concat_infer(sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_infer_broadcast(infer, 0, 0, 1);
}

static sdx_status join(sdx_compute *compute, sdx_string x, sdx_string y, sdx_string *out) {
    size_t size = 0;
    if (!sdx_size_add(x.size, y.size, &size) || size == SIZE_MAX)
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "a string of %zu and %zu bytes is too long", x.size, y.size);
    char *text = compute->services->alloc(compute, size + 1);
    if (!text) return compute->error->status;
    if (x.size) memcpy(text, x.data, x.size);
    if (y.size) memcpy(text + x.size, y.data, y.size);
    *out = (sdx_string){text, size};
    return SDX_OK;
}

static sdx_status string_concat_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *x = compute->in[0], *y = compute->in[1];
    int rank = x->rank > y->rank ? x->rank : y->rank;
    int64_t dims[SDX_MAX_RANK];
    for (int d = 0; d < rank; d++) {
        int64_t a = d < rank - x->rank ? 1 : x->dim[d - (rank - x->rank)];
        int64_t b = d < rank - y->rank ? 1 : y->dim[d - (rank - y->rank)];
        dims[d] = a == 1 ? b : a;
    }
    sdx_tensor *out = sdx_compute_output(compute, 0, rank, dims);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    sdx_walk walk;
    sdx_cursor at;
    sdx_walk_begin(&walk, rank, dims);
    sdx_walk_add_dense(&walk, x->rank, x->dim);
    sdx_walk_add_dense(&walk, y->rank, y->dim);
    sdx_walk_collapse(&walk);
    sdx_cursor_seek(&walk, 0, &at);
    for (int64_t i = 0; i < out->count; i++, sdx_cursor_move(&walk, &at, 1)) {
        SDX_TRY(join(compute, ((const sdx_string *)x->data)[at.offset[0]], ((const sdx_string *)y->data)[at.offset[1]],
                     (sdx_string *)out->data + i));
        if (i % 4096 == 0) SDX_TRY(sdx_stop_check(compute->stop, compute->error));
    }
    return SDX_OK;
}

const sdx_op sdx_op_StringConcat = {
    .domain = "",
    .name = "StringConcat",
    .versions =
        (const sdx_op_version[]){
            {20, "X:T Y:T -> Z:T", "T=string", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = string_concat_infer,
    .compute = string_concat_compute,
    .grad = sdx_no_gradient,
};
