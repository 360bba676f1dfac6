/* SPDX-License-Identifier: Apache-2.0
 * What the files of OptimizerUpdate share. */
#ifndef SDX_OPS_TRAINING_OPTIMIZER_UPDATE_H
#define SDX_OPS_TRAINING_OPTIMIZER_UPDATE_H
#include "ops/op.h"

enum { SDX_UPDATE_W, SDX_UPDATE_G, SDX_UPDATE_LR, SDX_UPDATE_STEP, SDX_UPDATE_STATE, SDX_UPDATE_STATES = 3 };

typedef enum sdx_update_kind {
    SDX_UPDATE_SGD,
    SDX_UPDATE_ADAM,
    SDX_UPDATE_ADAGRAD,
    SDX_UPDATE_RMSPROP,
    SDX_UPDATE_LION,
    SDX_UPDATE_LAMB
} sdx_update_kind;

typedef struct sdx_update_params {
    sdx_update_kind kind;
    bool nesterov, centered, amsgrad, decoupled;
    double beta1, beta2, momentum, dampening, eps, lr_decay, weight_decay;
    double l1, l2, l2norm; /* the proximal term: l1 sum |w| + l2 sum w^2 + l2norm ||w|| */
} sdx_update_params;

/* State i of the node belongs to kernel slot *slot; false: there are fewer. */
int sdx_update_states(const sdx_update_params *p, int slots[SDX_UPDATE_STATES]);

sdx_status sdx_update_expand(sdx_patch *patch, const sdx_node *node, const void *params);

/* The prox of c ||w|| in the metric D = metric + extra (metric NULL: 1), applied to w in place. partial: two doubles
 * for each SDX_UPDATE_CHUNK elements. metric is f64 where w is, else f32. */
enum { SDX_UPDATE_CHUNK = 16384 };
sdx_status sdx_update_shrink_group(sdx_compute *compute, const sdx_tensor *w, const void *metric, double extra,
                                   double c, double *partial);

#endif
