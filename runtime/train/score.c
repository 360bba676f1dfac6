/* SPDX-License-Identifier: Apache-2.0
 * Loss and metrics of whole arrays, in inference form: sums over batches, so that the size of batches does not matter.
 */
#include "runtime/train/trainer.h"
#include <math.h>
#include <stdlib.h>

static sdx_status add_batch(sdx_trainer *t, sdx_metric_sums *sums, const volatile int *cancel, const bool *wanted,
                            sdx_value **outputs, sdx_error *error) {
    size_t read = t->prepared->inference->n_outputs; /* see SDX_PORT_OUTPUT */
    sdx_step_result result;
    SDX_TRY(sdx_trainer_take_evaluation(t, cancel, &result, wanted, outputs, error));
    const sdx_value *label = t->label_input >= 0 ? t->batch.inputs[t->label_input] : t->batch.label;
    sdx_status status = SDX_OK;
    if (wanted[read]) {
        if (label)
            status = sdx_metrics_add(sums, &outputs[read]->tensor, &label->tensor, error);
        else
            status = sdx_fail(error, SDX_VALUE, "metrics compare with labels; this loss takes none");
        sdx_value_release(outputs[read]);
    }
    return status;
}

static sdx_status add_all(sdx_trainer *t, sdx_data *data, sdx_metric_sums *sums, const volatile int *cancel,
                          double *loss, sdx_error *error) {
    size_t n_outputs = t->prepared->inference->n_outputs;
    double numerator = 0, denominator = 0;
    sdx_value **outputs = calloc(n_outputs + 1, sizeof *outputs + sizeof(bool));
    if (!outputs) return sdx_fail(error, SDX_OUT_OF_MEMORY, "room for %zu outputs asked for", n_outputs);
    bool *wanted = (bool *)(outputs + n_outputs + 1);
    wanted[n_outputs] = t->options.n_metrics > 0;
    sdx_status status = SDX_OK;
    for (int64_t at = 0; at < data->n_samples && !status; at += data->batch) {
        int64_t rest = data->n_samples - at;
        status = sdx_data_take(data, at, rest < data->batch ? rest : data->batch, error);
        if (!status) status = add_batch(t, sums, cancel, wanted, outputs, error);
        numerator += t->figures[SDX_FIGURE_NUMERATOR];
        denominator += t->figures[SDX_FIGURE_DENOMINATOR];
    }
    free(outputs);
    /* a sum has the denominator 1, batch after batch */
    *loss = t->options.loss.reduction == SDX_REDUCTION_SUM ? numerator : numerator / denominator;
    return status;
}

sdx_status sdx_trainer_score_data(sdx_trainer *t, sdx_data *data, const volatile int *cancel, double *loss,
                                  double *metrics, sdx_error *error) {
    sdx_metric_sums *sums = NULL;
    SDX_TRY(sdx_metrics_create(t->options.metrics, t->options.n_metrics, &t->options.loss, error, &sums));
    sdx_status status = add_all(t, data, sums, cancel, loss, error);
    if (!status) sdx_metrics_value(sums, metrics);
    sdx_metrics_free(sums);
    return status;
}
