/* SPDX-License-Identifier: Apache-2.0
 * What metric.c and metric_auc.c share. */
#ifndef SDX_TRAIN_METRIC_H
#define SDX_TRAIN_METRIC_H
#include "runtime/train/train.h"

typedef enum metric_id {
    METRIC_ACCURACY,
    METRIC_TOP5,
    METRIC_MSE,
    METRIC_MAE,
    METRIC_R2,
    METRIC_PRECISION,
    METRIC_RECALL,
    METRIC_F1,
    METRIC_AUC,
    SDX_METRICS
} metric_id;

typedef enum metric_task { TASK_CLASSES, TASK_BINARY, TASK_NUMBERS } metric_task;

/* A class, or a column of the output. */
typedef struct metric_column {
    int64_t present, predicted, hits, n;
    double mean, total, residual; /* of labels: mean and squares around it; squares of errors */
} metric_column;

struct sdx_metric_sums {
    metric_task task;
    bool log_probabilities, has_ignore_index, scores;
    int64_t ignore_index;
    int64_t columns, count, right, top5;
    double squared, absolute;
    metric_column *column;
    int64_t n_rows, rows_capacity; /* for auc */
    float *score;                  /* [n_rows, columns] */
    int32_t *truth;                /* classes: [n_rows]; binary: [n_rows, columns] */
    size_t n;
    metric_id id[];
};

double sdx_metric_number(const sdx_tensor *x, int64_t k);
double sdx_metric_auc(const sdx_metric_sums *m); /* NaN where memory is short, too */

#endif
