/* SPDX-License-Identifier: Apache-2.0
 * What the quantization operators share: which scale and zero point serve an element, and the ranges of types. */
#ifndef SDX_OPS_QUANTIZE_H
#define SDX_OPS_QUANTIZE_H
#include "ops/op.h"

/* Attributes of QuantizeLinear and DequantizeLinear. */
typedef struct sdx_quantize_params {
    int64_t axis, block_size;
    bool by_axis; /* the row has an axis */
    bool saturate;
    sdx_dtype output, precision; /* UNDEFINED: not given */
} sdx_quantize_params;
sdx_status sdx_quantize_bind(sdx_bind *bind, void *params);

/* A tensor around the axis of quantization. One scale for all: n is 1. A scale for each place of the axis: block is 1.
 * Blocks: `blocks` times inner scales for each outer index. */
typedef struct sdx_granules {
    int64_t outer, n, inner, block, blocks;
    bool blocked;
} sdx_granules;

/* Shapes of X, its scale and (unless NULL) its zero point; `prefix` is that of the inputs' names: "x" or "y". Known
 * shapes only. */
sdx_status sdx_granules_make(sdx_error *error, const sdx_quantize_params *p, char prefix, const sdx_type *x,
                             const sdx_type *scale, const sdx_type *zero, sdx_granules *out);
/* A run of elements from a position: they share the scale at `place` (step 0), or have one each from there (step 1). */
typedef struct sdx_granule {
    int64_t i, k, o; /* the position: inner, axis, outer */
    int64_t place, step, run;
} sdx_granule;
void sdx_granule_seek(const sdx_granules *g, int64_t flat, sdx_granule *at);
/* n elements further, n <= run. */
void sdx_granule_move(const sdx_granules *g, sdx_granule *at, int64_t n);
/* The checks that inference makes, once the shapes are known; the shape of the output. */
sdx_status sdx_granules_infer(sdx_infer *infer, const sdx_quantize_params *p, char prefix);

/* ---- The loop of both -------------------------------------------------------------------------------------------- */

enum { SDX_QUANTIZE_TILE = 512 };

typedef struct sdx_quantize_job {
    const struct sdx_kernels *kernels;
    const sdx_tensor *x, *scale, *zero, *y;
    sdx_granules granules;
    bool direct; /* elements need no room on the way: a run with one scale is not cut */
} sdx_quantize_job;
/* Inputs, granules and the output, which is made. */
sdx_status sdx_quantize_begin(sdx_compute *compute, const sdx_quantize_params *p, char prefix, sdx_quantize_job *job);

/* n elements from `flat` on; their scales and zero points lie at `place`: one for all (step 0) or one each (step 1). */
typedef void (*sdx_quantize_tile)(const void *context, int64_t flat, int64_t place, int64_t step, int64_t n,
                                  void *room);
void sdx_quantize_tiles(const sdx_quantize_job *job, int64_t begin, int64_t end, sdx_quantize_tile tile,
                        const void *context, void *room);

static inline const void *sdx_quantize_at(const sdx_tensor *tensor, int64_t k) {
    return (const char *)tensor->data + (size_t)k * sdx_dtype_size(tensor->dtype);
}
/* n elements from k on in another type: where they are, or converted into `room`. */
const void *sdx_quantize_as(const sdx_quantize_job *job, const sdx_tensor *tensor, int64_t k, int64_t n, sdx_dtype type,
                            void *room);

bool sdx_is_quantized_integer(sdx_dtype dtype);
/* The least and the largest value of an integer dtype of at most 16 bits. */
void sdx_quantized_range(sdx_dtype dtype, float *low, float *high);

#endif
