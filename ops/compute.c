/* SPDX-License-Identifier: Apache-2.0
 * What operators call to obtain outputs and strings. A planned output whose shape differs from what compute found
 * would overrun its place in the arena, so that disagreement is an error here. */
#include "ops/op.h"
#include <string.h>

static bool same_shape(const sdx_tensor *tensor, int rank, const int64_t *dims) {
    return tensor->rank == rank && (rank == 0 || memcmp(tensor->dim, dims, (size_t)rank * sizeof dims[0]) == 0);
}

sdx_tensor *sdx_compute_output(sdx_compute *compute, int k, int rank, const int64_t *dims) {
    sdx_tensor *planned = compute->out[k];
    if (!planned) return compute->services->alloc_output(compute, k, rank, dims);
    if (same_shape(planned, rank, dims)) return planned;
    char was[256], is[256];
    sdx_tensor found;
    if (sdx_tensor_make(&found, planned->dtype, rank, dims, NULL, compute->error) != SDX_OK) return NULL;
    sdx_fail(compute->error, SDX_SHAPE, "output %d is %s; inference said %s", k, sdx_tensor_text(&found, is, sizeof is),
             sdx_tensor_text(planned, was, sizeof was));
    return NULL;
}

sdx_string sdx_compute_string(sdx_compute *compute, const char *data, size_t size) {
    size_t total = 0;
    if (!sdx_size_add(size, 1, &total)) {
        sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size);
        return (sdx_string){NULL, 0};
    }
    char *copy = compute->services->alloc(compute, total);
    if (!copy) return (sdx_string){NULL, 0};
    if (size) memcpy(copy, data, size);
    return (sdx_string){copy, size};
}
