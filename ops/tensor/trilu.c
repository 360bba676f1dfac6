/* SPDX-License-Identifier: Apache-2.0
 * Trilu: the triangle above (upper) or below diagonal k of each matrix; the rest is zero. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct trilu_params {
    bool upper;
} trilu_params;

static sdx_status trilu_bind(sdx_bind *bind, void *params) {
    trilu_params *p = params;
    p->upper = sdx_bind_int(bind, "upper") != 0;
    return bind->status;
}

static sdx_status trilu_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int rank = sdx_infer_rank_of(infer, 0);
    sdx_infer_same(infer, 0, 0);
    if (rank == 0 || rank == 1)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'input' has rank %d; it must be >= 2", rank);
    return SDX_OK;
}

typedef struct trilu_job {
    bool upper;
    int64_t rows, columns, k;
    size_t size;
    const char *in;
    char *out;
} trilu_job;

static void trilu_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const trilu_job *job = argument;
    for (int64_t row = begin; row < end; row++) {
        /* the diagonal's column, as far as it lies inside; the upper triangle begins there, the lower ends with it */
        int64_t at = row % job->rows + job->k + (job->upper ? 0 : 1);
        at = at < 0 ? 0 : at > job->columns ? job->columns : at;
        int64_t first = job->upper ? at : 0, last = job->upper ? job->columns : at;
        char *to = job->out + (size_t)(row * job->columns) * job->size;
        const char *from = job->in + (size_t)(row * job->columns) * job->size;
        memset(to, 0, (size_t)first * job->size);
        memmove(to + (size_t)first * job->size, from + (size_t)first * job->size, (size_t)(last - first) * job->size);
        memset(to + (size_t)last * job->size, 0, (size_t)(job->columns - last) * job->size);
    }
}

static sdx_status trilu_compute(sdx_compute *compute, const void *params) {
    const trilu_params *p = params;
    const sdx_tensor *in = compute->in[0], *k = compute->n_in > 1 ? compute->in[1] : NULL;
    if (k && k->count != 1)
        return sdx_fail(compute->error, SDX_SHAPE, "input 'k' has %" PRId64 " elements; it must have one", k->count);
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, in->dim);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    trilu_job job = {.upper = p->upper,
                     .rows = in->dim[in->rank - 2],
                     .columns = in->dim[in->rank - 1],
                     .size = sdx_dtype_size(in->dtype),
                     .in = in->data,
                     .out = out->data};
    int64_t asked = k ? sdx_index_at(k, 0) : 0; /* beyond the matrix, all diagonals are alike */
    job.k = asked < -job.rows ? -job.rows : asked > job.columns ? job.columns : asked;
    return sdx_for(compute, out->count / job.columns, sdx_grain(job.columns * (int64_t)job.size), trilu_rows, &job);
}

/* The same triangle of dY. */
static sdx_status trilu_grad(sdx_grad *grad, const void *params) {
    const trilu_params *p = params;
    grad->exact = true;
    grad->dX[0] = sdx_emit_int(grad->patch, "Trilu", grad->dY[0], sdx_grad_in(grad, 1), "upper", p->upper);
    return grad->patch->status;
}

const sdx_op sdx_op_Trilu = {
    .domain = "",
    .name = "Trilu",
    .versions =
        (const sdx_op_version[]){
            {14, "input:T k:i64? -> output:T", "T=" SDX_T_ALL_BF, "upper:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(trilu_params),
    .bind = trilu_bind,
    .infer = trilu_infer,
    .compute = trilu_compute,
    .grad = trilu_grad,
    .flags = SDX_OP_INPLACE,
};
