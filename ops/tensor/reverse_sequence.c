/* SPDX-License-Identifier: Apache-2.0
 * ReverseSequence: of each batch entry, the first sequence_lens steps in reverse, the rest as they are. */
#include "ops/move.h"
#include <inttypes.h>

typedef struct reverse_sequence_params {
    int64_t batch_axis, time_axis;
} reverse_sequence_params;

static sdx_status reverse_sequence_bind(sdx_bind *bind, void *params) {
    reverse_sequence_params *p = params;
    p->batch_axis = sdx_bind_int(bind, "batch_axis");
    p->time_axis = sdx_bind_int(bind, "time_axis");
    if (p->batch_axis < 0 || p->batch_axis > 1 || p->time_axis != 1 - p->batch_axis)
        return sdx_bind_fail(bind, SDX_VALUE,
                             "batch_axis is %" PRId64 " and time_axis is %" PRId64 "; one must be 0, the other 1",
                             p->batch_axis, p->time_axis);
    return bind->status;
}

static sdx_status reverse_sequence_infer(sdx_infer *infer, const void *params) {
    const reverse_sequence_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0);
    sdx_infer_same(infer, 0, 0);
    SDX_TRY(sdx_infer_rank(infer, 1, "sequence_lens", 1));
    if (rank < 0) return SDX_OK;
    if (rank < 2) return sdx_fail(infer->error, SDX_SHAPE, "input 'input' has rank %d; it must be >= 2", rank);
    if (sdx_infer_rank_of(infer, 1) < 0) return SDX_OK;
    return sdx_infer_merge_dim(infer, "batch size of 'input' and 'sequence_lens'", infer->in[0]->dim[p->batch_axis],
                               infer->in[1]->dim[0], NULL);
}

typedef struct reverse_job {
    const reverse_sequence_params *p;
    const sdx_tensor *in, *lengths;
    char *out;
    size_t run;
} reverse_job;

static void reverse_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const reverse_job *job = argument;
    int64_t columns = job->in->dim[1];
    for (int64_t row = begin; row < end; row++) {
        bool time_first = job->p->time_axis == 0;
        int64_t step = time_first ? row / columns : row % columns, entry = time_first ? row % columns : row / columns;
        int64_t length = sdx_index_at(job->lengths, entry), from = step < length ? length - 1 - step : step;
        int64_t source = time_first ? from * columns + entry : entry * columns + from;
        sdx_copy_run(job->out + (size_t)row * job->run, (const char *)job->in->data + (size_t)source * job->run,
                     job->run);
    }
}

static sdx_status reverse_sequence_compute(sdx_compute *compute, const void *params) {
    const reverse_sequence_params *p = params;
    const sdx_tensor *in = compute->in[0], *lengths = compute->in[1];
    for (int64_t i = 0; i < lengths->count; i++) {
        int64_t length = sdx_index_at(lengths, i), n = in->dim[p->time_axis];
        if (length < 0 || length > n)
            return sdx_fail(compute->error, SDX_VALUE,
                            "entry %" PRId64 " of input 'sequence_lens' is %" PRId64 "; it must be in [0, %" PRId64 "]",
                            i, length, n);
    }
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, in->dim);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    reverse_job job = {p, in, lengths, out->data,
                       (size_t)sdx_dims_product(in->dim, 2, in->rank) * sdx_dtype_size(in->dtype)};
    return sdx_for(compute, in->dim[0] * in->dim[1], sdx_grain((int64_t)job.run), reverse_rows, &job);
}

/* Reversed once more. */
static sdx_status reverse_sequence_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_node *node =
        sdx_patch_node(grad->patch, "", "ReverseSequence", 2, (sdx_id[]){grad->dY[0], grad->node->in[1]}, 1);
    sdx_patch_attrs_of(grad->patch, node, grad->node, NULL, 0);
    grad->dX[0] = node->out[0];
    grad->exact = true;
    return grad->patch->status;
}

const sdx_op sdx_op_ReverseSequence = {
    .domain = "",
    .name = "ReverseSequence",
    .versions =
        (const sdx_op_version[]){
            {10, "input:T sequence_lens:i64 -> Y:T", "T=" SDX_T_ALL, "batch_axis:int=1 time_axis:int=0"},
            {28, "input:T sequence_lens:i64 -> Y:T", "T=" SDX_T_ALL_BF, "batch_axis:int=1 time_axis:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(reverse_sequence_params),
    .bind = reverse_sequence_bind,
    .infer = reverse_sequence_infer,
    .compute = reverse_sequence_compute,
    .grad = reverse_sequence_grad,
};
