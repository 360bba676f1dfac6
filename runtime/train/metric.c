/* SPDX-License-Identifier: Apache-2.0
 * Metrics of a whole data set from batches. What the loss reads decides what a prediction is:
 *     classes   CROSS_ENTROPY, NLL: the largest score along axis 1
 *     yes or no BCE_WITH_LOGITS: a logit above 0, one question per column
 *     numbers   anything else
 * accuracy, top5: of what is not ignored. precision, recall, f1: of class 1 where there are two classes or one column,
 * else the mean over the classes that occur as label or prediction (or over columns); 0 where nothing was predicted or
 * is there. auc: area under the ROC curve, ties count half; of more classes the mean of one against the rest. r2: mean
 * over columns of 1 - residual / total, as scikit-learn. What cannot be told is NaN. */
#include "runtime/train/metric.h"
#include "ops/loop.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[SDX_METRICS] = {
    [METRIC_ACCURACY] = "accuracy", [METRIC_TOP5] = "top5", [METRIC_MSE] = "mse",
    [METRIC_MAE] = "mae",           [METRIC_R2] = "r2",     [METRIC_PRECISION] = "precision",
    [METRIC_RECALL] = "recall",     [METRIC_F1] = "f1",     [METRIC_AUC] = "auc"};

static metric_task task_of(sdx_loss_kind kind) {
    if (kind == SDX_LOSS_CROSS_ENTROPY || kind == SDX_LOSS_NLL) return TASK_CLASSES;
    return kind == SDX_LOSS_BCE_WITH_LOGITS ? TASK_BINARY : TASK_NUMBERS;
}

static bool allowed(metric_id id, metric_task task) {
    const bool numeric = id == METRIC_MSE || id == METRIC_MAE || id == METRIC_R2;
    if (id == METRIC_TOP5) return task == TASK_CLASSES;
    return numeric == (task == TASK_NUMBERS);
}

static sdx_status find(const char *name, metric_task task, sdx_error *error, metric_id *id) {
    static const char *const needs[SDX_METRICS] = {"classes",
                                                   "classes",
                                                   "a loss over numbers, such as mse",
                                                   "a loss over numbers, such as mse",
                                                   "a loss over numbers, such as mse",
                                                   "classes",
                                                   "classes",
                                                   "classes",
                                                   "classes"};
    for (int k = 0; k < SDX_METRICS; k++) {
        if (strcmp(name, names[k]) != 0) continue;
        *id = (metric_id)k;
        if (allowed(*id, task)) return SDX_OK;
        return sdx_fail(error, SDX_VALUE, "metric '%s' needs %s%s", name, needs[k],
                        k == METRIC_TOP5 && task == TASK_BINARY ? " (cross_entropy or nll)" : "");
    }
    char text[64];
    return sdx_fail(error, SDX_VALUE,
                    "metric '%s' does not exist; it must be accuracy, top5, mse, mae, r2, precision, recall, f1 or auc",
                    sdx_escape(text, sizeof text, name, strlen(name)));
}

sdx_status sdx_metrics_create(const char *const *wanted, size_t n, const sdx_loss_options *loss, sdx_error *error,
                              sdx_metric_sums **out) {
    *out = NULL;
    const metric_task task = task_of(loss->kind);
    if (n && (!sdx_loss_has_label(loss->kind) || sdx_loss_outputs(loss->kind) > 1))
        return sdx_fail(error, SDX_VALUE, "metric '%s' compares one output with a label; this loss has no such pair",
                        wanted[0]);
    sdx_metric_sums *sums = calloc(1, sizeof *sums + n * sizeof(metric_id));
    if (!sums) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", sizeof *sums);
    sums->n = n, sums->task = task;
    sums->log_probabilities = loss->kind == SDX_LOSS_NLL;
    sums->has_ignore_index = loss->has_ignore_index, sums->ignore_index = loss->ignore_index;
    for (size_t k = 0; k < n; k++) {
        const sdx_status status = find(wanted[k], task, error, &sums->id[k]);
        if (status) return sdx_metrics_free(sums), status;
        sums->scores |= sums->id[k] == METRIC_AUC;
    }
    *out = sums;
    return SDX_OK;
}

void sdx_metrics_free(sdx_metric_sums *sums) {
    if (!sums) return;
    free(sums->column);
    free(sums->score);
    free(sums->truth);
    free(sums);
}

/* ---- adding ---- */

static sdx_status no_memory(sdx_error *error) { return sdx_fail(error, SDX_OUT_OF_MEMORY, "no memory for metrics"); }

static sdx_status columns_are(sdx_metric_sums *m, int64_t columns, sdx_error *error) {
    if (m->column && m->columns == columns) return SDX_OK;
    if (m->column)
        return sdx_fail(error, SDX_SHAPE, "metrics: an output has %lld columns; it had %lld before", (long long)columns,
                        (long long)m->columns);
    m->column = columns > 0 ? calloc((size_t)columns, sizeof *m->column) : NULL;
    if (!m->column) return columns > 0 ? no_memory(error) : sdx_fail(error, SDX_SHAPE, "metrics: an output is empty");
    m->columns = columns;
    return SDX_OK;
}

/* Room for `more` rows of scores and their labels. */
static sdx_status room_for(sdx_metric_sums *m, int64_t more, sdx_error *error) {
    if (!m->scores || m->n_rows + more <= m->rows_capacity) return SDX_OK;
    const int64_t capacity = 2 * (m->n_rows + more);
    const size_t size = (size_t)capacity * (size_t)m->columns,
                 labels = m->task == TASK_CLASSES ? (size_t)capacity : size;
    float *score = realloc(m->score, size * sizeof *score);
    if (score) m->score = score;
    int32_t *truth = score ? realloc(m->truth, labels * sizeof *truth) : NULL;
    if (!truth) return no_memory(error);
    m->truth = truth;
    m->rows_capacity = capacity;
    return SDX_OK;
}

static void add_class(sdx_metric_sums *m, const double *scores, int64_t label) {
    const int64_t classes = m->columns;
    int64_t best = 0, above = 0;
    double sum = 0;
    for (int64_t k = 1; k < classes; k++)
        if (scores[k] > scores[best] || (isnan(scores[k]) && !isnan(scores[best]))) best = k;
    for (int64_t k = 0; k < classes; k++) {
        above += scores[k] > scores[label] || (k < label && scores[k] == scores[label]);
        sum += exp(scores[k] - scores[best]);
    }
    m->count++;
    m->right += best == label;
    m->top5 += above < 5 && !isnan(scores[label]);
    m->column[label].present++;
    m->column[best].predicted++;
    m->column[best].hits += best == label;
    if (!m->scores) return;
    for (int64_t k = 0; k < classes; k++) {
        double p = m->log_probabilities ? scores[k] : exp(scores[k] - scores[best]) / sum;
        if (classes == 2 && !m->log_probabilities) p = k ? scores[1] - scores[0] : scores[0] - scores[1];
        m->score[m->n_rows * classes + k] = (float)p;
    }
    m->truth[m->n_rows++] = (int32_t)label;
}

/* The class with the most probability, or the number given. */
static sdx_status label_of(const sdx_metric_sums *m, const sdx_tensor *label, bool dense, const double *shares,
                           int64_t at, sdx_error *error, int64_t *class) {
    *class = 0;
    if (dense) {
        for (int64_t k = 1; k < m->columns; k++)
            if (shares[k] > shares[*class]) *class = k;
        return SDX_OK;
    }
    *class = label->dtype == SDX_I32 ? ((const int32_t *)label->data)[at] : ((const int64_t *)label->data)[at];
    if (m->has_ignore_index && *class == m->ignore_index) {
        *class = -1;
        return SDX_OK;
    }
    if (*class >= 0 && *class < m->columns) return SDX_OK;
    return sdx_fail(error, SDX_VALUE, "label %lld at position %lld; it must be in [0, %lld)", (long long)*class,
                    (long long)at, (long long)m->columns);
}

static sdx_status add_classes(sdx_metric_sums *m, const sdx_tensor *x, const sdx_tensor *y, sdx_error *error) {
    const bool dense = sdx_dtype_class(y->dtype) == SDX_CLASS_FLOAT;
    if (x->rank < 2 || y->rank != x->rank - !dense || (!dense && y->dtype != SDX_I32 && y->dtype != SDX_I64))
        return sdx_fail(error, SDX_SHAPE, "metrics: labels of rank %d do not fit an output of rank %d", y->rank,
                        x->rank);
    if (x->count == 0) return SDX_OK;
    const int64_t inner = x->count / x->dim[0] / x->dim[1], n = x->dim[0] * inner;
    if (y->count != (dense ? x->count : n))
        return sdx_fail(error, SDX_SHAPE, "metrics: there are %lld labels; there must be %lld", (long long)y->count,
                        (long long)(dense ? x->count : n));
    SDX_TRY(columns_are(m, x->dim[1], error));
    SDX_TRY(room_for(m, n, error));
    double *line = malloc((size_t)m->columns * 2 * sizeof *line);
    if (!line) return no_memory(error);
    sdx_status status = SDX_OK;
    for (int64_t i = 0; i < n && status == SDX_OK; i++) {
        const int64_t first = i / inner * m->columns * inner + i % inner;
        int64_t class = 0;
        for (int64_t k = 0; k < m->columns; k++) {
            line[k] = sdx_metric_number(x, first + k * inner);
            if (dense) line[m->columns + k] = sdx_metric_number(y, first + k * inner);
        }
        status = label_of(m, y, dense, line + m->columns, i, error, &class);
        if (status == SDX_OK && class >= 0) add_class(m, line, class);
    }
    free(line);
    return status;
}

static sdx_status add_each(sdx_metric_sums *m, const sdx_tensor *x, const sdx_tensor *y, sdx_error *error) {
    if (x->count != y->count)
        return sdx_fail(error, SDX_SHAPE, "metrics: there are %lld labels; the output has %lld elements",
                        (long long)y->count, (long long)x->count);
    if (x->count == 0) return SDX_OK;
    SDX_TRY(columns_are(m, x->rank > 1 ? x->count / x->dim[0] : 1, error));
    SDX_TRY(room_for(m, x->count / m->columns, error));
    for (int64_t i = 0; i < x->count; i++) {
        const double p = sdx_metric_number(x, i), t = sdx_metric_number(y, i), d = p - t;
        metric_column *c = &m->column[i % m->columns];
        m->count++;
        if (m->task == TASK_BINARY) {
            const bool yes = p > 0, truth = t > .5;
            m->right += yes == truth;
            c->present += truth;
            c->predicted += yes;
            c->hits += yes && truth;
            if (m->scores)
                m->score[m->n_rows * m->columns + i] = (float)p, m->truth[m->n_rows * m->columns + i] = truth;
        } else { /* Welford's mean and sum of squares of the labels */
            c->n++;
            const double from = t - c->mean;
            c->mean += from / (double)c->n;
            c->total += from * (t - c->mean);
            c->residual += d * d;
            m->absolute += fabs(d);
            m->squared += d * d;
        }
    }
    m->n_rows += x->count / m->columns;
    return SDX_OK;
}

double sdx_metric_number(const sdx_tensor *x, int64_t k) {
    double value = 0;
    sdx_convert(NULL, x->dtype, (const char *)x->data + (size_t)k * sdx_dtype_size(x->dtype), SDX_F64, &value, 1);
    return value;
}

sdx_status sdx_metrics_add(sdx_metric_sums *m, const sdx_tensor *output, const sdx_tensor *label, sdx_error *error) {
    if (m->n == 0) return SDX_OK;
    return m->task == TASK_CLASSES ? add_classes(m, output, label, error) : add_each(m, output, label, error);
}

/* ---- values ---- */

static double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

static double of_column(const metric_column *c, metric_id id) {
    const double precision = share((double)c->hits, (double)c->predicted),
                 recall = share((double)c->hits, (double)c->present);
    if (id == METRIC_PRECISION) return precision;
    return id == METRIC_RECALL ? recall : share(2 * (double)c->hits, (double)(c->predicted + c->present));
}

static double mean_of_columns(const sdx_metric_sums *m, metric_id id) {
    double sum = 0, n = 0;
    if (m->task == TASK_CLASSES && m->columns == 2) return of_column(&m->column[1], id);
    for (int64_t k = 0; k < m->columns; k++) {
        if (m->task == TASK_CLASSES && !m->column[k].present && !m->column[k].predicted) continue;
        sum += of_column(&m->column[k], id);
        n++;
    }
    return n > 0 ? sum / n : NAN;
}

static double r2(const sdx_metric_sums *m) {
    double sum = 0;
    for (int64_t k = 0; k < m->columns; k++) {
        const metric_column *c = &m->column[k];
        sum += c->total > 0 ? 1 - c->residual / c->total : c->residual > 0 ? 0 : 1;
    }
    return sum / (double)m->columns;
}

static double value_of(const sdx_metric_sums *m, metric_id id) {
    const double n = (double)m->count;
    if (m->count == 0) return NAN;
    switch (id) {
    case METRIC_ACCURACY: return (double)m->right / n;
    case METRIC_TOP5: return (double)m->top5 / n;
    case METRIC_MSE: return m->squared / n;
    case METRIC_MAE: return m->absolute / n;
    case METRIC_R2: return r2(m);
    case METRIC_AUC: return sdx_metric_auc(m);
    case METRIC_PRECISION:
    case METRIC_RECALL:
    case METRIC_F1:
    case SDX_METRICS: break;
    }
    return mean_of_columns(m, id);
}

void sdx_metrics_value(const sdx_metric_sums *m, double *values) {
    for (size_t k = 0; k < m->n; k++) values[k] = value_of(m, m->id[k]);
}
