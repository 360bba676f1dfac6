/* SPDX-License-Identifier: Apache-2.0
 * Area under the ROC curve from ranks: (sum of ranks of the positive - p (p + 1) / 2) / (p n), ties at the mean rank.
 */
#include "runtime/train/metric.h"
#include <math.h>
#include <stdlib.h>

typedef struct scored {
    float score;
    bool truth;
} scored;

static int by_score(const void *a, const void *b) {
    const float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x > y) - (x < y);
}

/* NaN where one kind is missing. */
static double area(scored *rows, int64_t n) {
    double ranks = 0, positive = 0;
    qsort(rows, (size_t)n, sizeof *rows, by_score);
    for (int64_t first = 0, last; first < n; first = last) {
        last = first;
        while (last < n && rows[last].score == rows[first].score) last++;
        if (last == first) return NAN; /* a score that is NaN */
        for (int64_t k = first; k < last; k++) {
            if (!rows[k].truth) continue;
            ranks += (double)(first + last + 1) / 2;
            positive++;
        }
    }
    const double negative = (double)n - positive;
    return positive > 0 && negative > 0 ? (ranks - positive * (positive + 1) / 2) / (positive * negative) : NAN;
}

double sdx_metric_auc(const sdx_metric_sums *m) {
    const bool classes = m->task == TASK_CLASSES, two = classes && m->columns == 2;
    scored *rows = malloc(((size_t)m->n_rows + 1) * sizeof *rows);
    double sum = 0;
    int64_t n = 0;
    for (int64_t c = two ? 1 : 0; rows && c < m->columns; c++) {
        for (int64_t k = 0; k < m->n_rows; k++) {
            rows[k].score = m->score[k * m->columns + c];
            rows[k].truth = classes ? m->truth[k] == (int32_t)c : m->truth[k * m->columns + c] != 0;
        }
        sum += area(rows, m->n_rows);
        n++;
    }
    free(rows);
    return n > 0 ? sum / (double)n : NAN;
}
