/* SPDX-License-Identifier: Apache-2.0
 * What the losses over classes share: labels, class weights, ignore_index, reduction. */
#ifndef SDX_OPS_MATH_LOSS_H
#define SDX_OPS_MATH_LOSS_H
#include "ops/lines.h"

typedef enum sdx_reduction { SDX_LOSS_NONE, SDX_LOSS_SUM, SDX_LOSS_MEAN } sdx_reduction;

typedef struct sdx_loss_params {
    sdx_reduction reduction;
    bool ignores;
    int64_t ignore_index;
} sdx_loss_params;
sdx_status sdx_loss_bind(sdx_bind *bind, void *params);

/* Names of the operator's inputs: scores by class, labels, weights of classes. */
typedef struct sdx_loss_names {
    const char *scores, *labels, *weights;
} sdx_loss_names;
/* Checks [N, C, d...], [N, d...], [C] and sets out[0]. */
sdx_status sdx_loss_infer(sdx_infer *infer, const sdx_loss_params *p, const sdx_loss_names *names);

/* One loss per label, and the weight it has; in the work dtype of the scores until they are reduced. */
typedef struct sdx_loss {
    const sdx_loss_params *params;
    const struct sdx_kernels *kernels;
    const sdx_tensor *labels, *weights;
    double *value, *weight; /* [labels->count] */
} sdx_loss;
size_t sdx_loss_scratch(const sdx_type *labels); /* SIZE_MAX: too large */
/* Labels are checked: a VALUE error names the first that is out of range. Advances *room. */
sdx_status sdx_loss_begin(sdx_compute *compute, const sdx_loss_params *p, const sdx_loss_names *names, char **room,
                          sdx_loss *loss);
/* The class of label k; -1: ignored. */
int64_t sdx_loss_class(const sdx_loss *loss, int64_t k);
/* The loss of label k whose class has this logarithm of a probability. */
void sdx_loss_put(const sdx_loss *loss, int64_t k, int64_t class, double log_probability);
sdx_status sdx_loss_finish(sdx_compute *compute, const sdx_loss *loss, const sdx_tensor *out);

/* softmax: the scores go through it first, as output 1 says. */
sdx_status sdx_loss_grad(sdx_grad *grad, const sdx_loss_params *p, bool softmax);

#endif
