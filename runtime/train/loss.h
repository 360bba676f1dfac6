/* SPDX-License-Identifier: Apache-2.0
 * What the files of losses share. */
#ifndef SDX_TRAIN_LOSS_H
#define SDX_TRAIN_LOSS_H
#include "runtime/train/train.h"

typedef struct loss_maker {
    sdx_patch *patch;
    const sdx_loss_options *options;
    const sdx_id *outputs;
    sdx_id label;
    sdx_dtype dtype; /* of the loss: f32, or f64 where output 0 is */
} loss_maker;

sdx_id sdx_loss_output(loss_maker *m, int k); /* in the dtype of the loss */
sdx_id sdx_loss_label(loss_maker *m);         /* likewise */
sdx_id sdx_loss_weights(loss_maker *m, sdx_dtype dtype);

/* One loss for each element. */
sdx_id sdx_loss_cosine(loss_maker *m);
sdx_id sdx_loss_triplet(loss_maker *m);
/* CROSS_ENTROPY and NLL. */
sdx_status sdx_loss_classes(loss_maker *m, sdx_loss_parts *parts);

#endif
