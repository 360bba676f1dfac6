/* SPDX-License-Identifier: Apache-2.0
 * SequenceEmpty: a sequence without items, of tensors of `dtype` (f32). */
#include "ops/sequence/sequence.h"
#include <inttypes.h>

typedef struct sequence_empty_params {
    sdx_dtype dtype;
} sequence_empty_params;

static sdx_status sequence_empty_bind(sdx_bind *bind, void *params) {
    sequence_empty_params *p = params;
    int64_t dtype = sdx_bind_has(bind, "dtype") ? sdx_bind_int(bind, "dtype") : SDX_F32;
    if (!sdx_dtype_valid(dtype))
        return sdx_bind_fail(bind, SDX_TYPE, "attribute 'dtype' is %" PRId64 ", which is no element type", dtype);
    p->dtype = (sdx_dtype)dtype;
    return bind->status;
}

static sdx_status sequence_empty_infer(sdx_infer *infer, const void *params) {
    return sdx_infer_sequence(infer, 0, ((const sequence_empty_params *)params)->dtype);
}

static sdx_status sequence_empty_compute(sdx_compute *compute, const void *params) {
    return sdx_sequence_output(compute, 0, NULL, 0, ((const sequence_empty_params *)params)->dtype);
}

const sdx_op sdx_op_SequenceEmpty = {
    .domain = "",
    .name = "SequenceEmpty",
    .versions =
        (const sdx_op_version[]){
            {11, "-> output:S", "S=seq(" SDX_T_ALL ")", "dtype:int"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sequence_empty_params),
    .bind = sequence_empty_bind,
    .infer = sequence_empty_infer,
    .compute = sequence_empty_compute,
    .grad = sdx_no_gradient,
};
