/* SPDX-License-Identifier: Apache-2.0
 * What operators see: tensors (typed views), and the types that inference works on. */
#ifndef SDX_BASE_TENSOR_H
#define SDX_BASE_TENSOR_H
#include "runtime/base/dtype.h"
#include "runtime/base/memory.h"

/* A dense row-major view. `count` is the product of dim[]. The bytes belong to somebody else. */
typedef struct sdx_tensor {
    sdx_dtype dtype;
    int rank;
    int64_t dim[SDX_MAX_RANK];
    int64_t count;
    void *data;
} sdx_tensor;

/* The one constructor: checks dtype, rank, negative dims and overflow of count and bytes. */
sdx_status sdx_tensor_make(sdx_tensor *tensor, sdx_dtype dtype, int rank, const int64_t *dims, void *data,
                           sdx_error *error);
size_t sdx_tensor_bytes(const sdx_tensor *tensor);

/* "f32[1,3,224,224]" into `out` of `capacity` bytes; returns out. */
const char *sdx_tensor_text(const sdx_tensor *tensor, char *out, size_t capacity);

/* A type that inference knows in part. rank -1: unknown rank; dim < 0: unknown, where -1 is anonymous and
 * equal values <= -2 are the same symbol. dtype UNDEFINED: unknown. */
typedef struct sdx_type {
    sdx_kind kind;   /* 0: nothing known */
    sdx_dtype dtype; /* tensor and sparse: element; map: of a tensor-element value */
    sdx_dtype key;   /* map */
    int rank;
    int64_t dim[SDX_MAX_RANK];
    const struct sdx_type *elem; /* sequence, optional */
} sdx_type;

sdx_type sdx_type_of_tensor(const sdx_tensor *tensor);
static inline sdx_type sdx_type_make(sdx_dtype dtype, int rank) {
    return (sdx_type){.kind = SDX_TENSOR, .dtype = dtype, .rank = rank};
}
/* rank and all dims known */
bool sdx_type_concrete(const sdx_type *type);
const char *sdx_type_text(const sdx_type *type, char *out, size_t capacity);

#endif
