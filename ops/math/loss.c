/* SPDX-License-Identifier: Apache-2.0
 * The mean divides by the sum of the weights of what is not ignored: 0 / 0 is NaN when everything is. */
#include "ops/math/loss.h"
#include "ops/kernels/kernels.h"
#include "ops/move.h"
#include <inttypes.h>

sdx_status sdx_loss_bind(sdx_bind *bind, void *params) {
    static const char *const reductions[] = {"none", "sum", "mean"};
    sdx_loss_params *p = params;
    p->reduction = (sdx_reduction)sdx_bind_choice(bind, "reduction", reductions, 3);
    p->ignores = sdx_bind_has(bind, "ignore_index");
    p->ignore_index = sdx_bind_int(bind, "ignore_index");
    return bind->status;
}

sdx_status sdx_loss_infer(sdx_infer *infer, const sdx_loss_params *p, const sdx_loss_names *names) {
    const int scores = sdx_infer_rank_of(infer, 0), labels = sdx_infer_rank_of(infer, 1);
    sdx_type *out = &infer->out[0];
    SDX_TRY(sdx_infer_rank(infer, 2, names->weights, 1));
    if (scores >= 0 && scores < 2)
        return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank %d; it must be 2 or more", names->scores, scores);
    if (scores >= 0 && labels >= 0 && labels != scores - 1)
        return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank %d; it must be %d, one less than that of '%s'",
                        names->labels, labels, scores - 1, names->scores);
    if (scores >= 0 && sdx_infer_rank_of(infer, 2) == 1)
        SDX_TRY(sdx_infer_merge_dim(infer, "the number of classes and of weights", infer->in[0]->dim[1],
                                    infer->in[2]->dim[0], NULL));
    const int rank = labels >= 0 ? labels : scores - 1;
    if (p->reduction != SDX_LOSS_NONE)
        out->rank = 0;
    else if (rank >= 0)
        out->rank = rank;
    for (int d = 0; d < rank; d++) {
        int64_t of_scores = scores >= 0 ? infer->in[0]->dim[d ? d + 1 : 0] : -1;
        int64_t dim = labels >= 0 ? infer->in[1]->dim[d] : -1;
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of scores and labels", of_scores, dim, &dim));
        if (p->reduction == SDX_LOSS_NONE) out->dim[d] = dim;
    }
    return SDX_OK;
}

static bool array_bytes(const sdx_type *labels, size_t *bytes) {
    int64_t count = sizeof(double);
    for (int d = 0; d < labels->rank; d++)
        if (!sdx_dim_mul(count, labels->dim[d], &count)) return false;
    if (count > INT64_MAX / 4) return false;
    *bytes = sdx_align((size_t)count);
    return true;
}

size_t sdx_loss_scratch(const sdx_type *labels) {
    size_t bytes;
    return array_bytes(labels, &bytes) ? 2 * bytes : SIZE_MAX;
}

sdx_status sdx_loss_begin(sdx_compute *compute, const sdx_loss_params *p, const sdx_loss_names *names, char **room,
                          sdx_loss *loss) {
    const sdx_tensor *labels = compute->in[1];
    const int64_t classes = compute->in[0]->dim[1];
    const size_t bytes = sdx_align((size_t)labels->count * sizeof(double));
    *loss = (sdx_loss){.params = p, .kernels = compute->kernels, .labels = labels};
    if (compute->n_in > 2) loss->weights = compute->in[2];
    loss->value = (double *)(void *)*room;
    loss->weight = (double *)(void *)(*room + bytes);
    *room += 2 * bytes;
    for (int64_t k = 0; k < labels->count; k++) {
        int64_t label = sdx_index_at(labels, k);
        if ((label >= 0 && label < classes) || (p->ignores && label == p->ignore_index)) continue;
        return sdx_fail(compute->error, SDX_VALUE,
                        "label %" PRId64 " at position %" PRId64 " of input '%s'; it must be in [0, %" PRId64 ")%s",
                        label, k, names->labels, classes, p->ignores ? " or 'ignore_index'" : "");
    }
    return SDX_OK;
}

int64_t sdx_loss_class(const sdx_loss *loss, int64_t k) {
    int64_t label = sdx_index_at(loss->labels, k);
    return loss->params->ignores && label == loss->params->ignore_index ? -1 : label;
}

void sdx_loss_put(const sdx_loss *loss, int64_t k, int64_t class, double log_probability) {
    double weight = class < 0 ? 0 : 1;
    if (class >= 0 && loss->weights)
        sdx_convert(loss->kernels, loss->weights->dtype,
                    (const char *)loss->weights->data + (size_t) class * sdx_dtype_size(loss->weights->dtype), SDX_F64,
                    &weight, 1);
    loss->weight[k] = weight;
    loss->value[k] = class < 0 ? 0 : -log_probability * weight;
}

sdx_status sdx_loss_finish(sdx_compute *compute, const sdx_loss *loss, const sdx_tensor *out) {
    const int64_t n = loss->labels->count;
    if (!out) return SDX_OK;
    if (loss->params->reduction == SDX_LOSS_NONE) {
        sdx_convert(compute->kernels, SDX_F64, loss->value, out->dtype, out->data, n);
        return SDX_OK;
    }
    double sum = compute->kernels->wide_sum_f64(loss->value, n);
    if (loss->params->reduction == SDX_LOSS_MEAN) sum /= compute->kernels->wide_sum_f64(loss->weight, n);
    sdx_convert(compute->kernels, SDX_F64, &sum, out->dtype, out->data, 1);
    return SDX_OK;
}
