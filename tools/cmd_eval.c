/* SPDX-License-Identifier: Apache-2.0
 * sardonyx eval: loss and metrics of a model on data. */
#include "tools/cli_train.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    cli_list files;
    const char *config, *data;
    bool json;
} options;

enum { MOST_METRICS = 32 };

/* Nothing is trained, so nothing needs a gradient; without metrics in the configuration, those that fit the loss. */
static void only_measure(cli_trainer *t) {
    static const char *const classes[] = {"accuracy"}, *const numbers[] = {"mse", "mae"};
    t->options.evaluate_only = true;
    t->options.n_inserts = 0;
    t->options.head.replace = false;
    t->options.n_penalties = 0;
    if (t->options.n_metrics) return;
    bool whole = t->options.loss.kind == SDX_LOSS_CROSS_ENTROPY || t->options.loss.kind == SDX_LOSS_NLL;
    t->options.metrics = whole ? classes : numbers;
    t->options.n_metrics = whole ? 1 : 2;
    if (!cli_trainer_label(t)) t->options.n_metrics = 0;
}

static sdx_status show(const options *o, const cli_trainer *t, const cli_dataset *data, double loss,
                       const double *metrics, sdx_error *error) {
    cJSON *json = cJSON_CreateObject(), *list = NULL;
    cJSON_AddNumberToObject(json, "samples", (double)data->samples);
    cli_add_finite(json, "loss", loss);
    list = cJSON_AddObjectToObject(json, "metrics");
    if (!o->json) printf("%-12s %lld\n%-12s %.7g\n", "samples", (long long)data->samples, "loss", loss);
    for (size_t k = 0; k < t->options.n_metrics; k++) {
        cli_add_finite(list, t->options.metrics[k], metrics[k]);
        if (!o->json) printf("%-12s %.7g\n", t->options.metrics[k], metrics[k]);
    }
    if (o->json) return cli_write_json(json, NULL, error);
    cJSON_Delete(json);
    return SDX_OK;
}

static sdx_status evaluate(const options *o, cli_trainer *t, cli_dataset *data, sdx_error *error) {
    double loss = NAN, metrics[MOST_METRICS] = {0};
    FILE *say = o->common.quiet ? NULL : stderr;
    SDX_TRY(cli_trainer_read(t, o->files.items[0], o->config, &o->common, error));
    SDX_TRY(cli_dataset_load(o->data, t->model, cli_trainer_label(t), say, error, data));
    only_measure(t);
    if (t->options.n_metrics > MOST_METRICS)
        return sdx_fail(error, SDX_VALUE, "%zu metrics are asked for; at most %d can be", t->options.n_metrics,
                        MOST_METRICS);
    SDX_TRY(cli_trainer_create(t, say, error));
    SDX_TRY(sdx_trainer_score(t->trainer, data->arrays, data->n, &loss, metrics, error));
    cli_trainer_notes(t, say);
    return show(o, t, data, loss, metrics, error);
}

int cmd_eval(const cli_command *self, int argc, char **argv) {
    options o = {0};
    const cli_option rows[] = {
        {"config", 'c', CLI_TEXT, &o.config, "CONFIG.json", "loss and metrics, as for training"},
        {"data", 0, CLI_TEXT, &o.data, "FILE.npz", "arrays named as the inputs and the label"},
        {"json", 0, CLI_FLAG, &o.json, NULL, "one JSON object on standard output"},
    };
    int status = CLI_DONE;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.files, &status)) {
        if (o.files.n != 1) {
            status = cli_usage(self, "one MODEL is wanted, %d are given", o.files.n);
        } else if (!o.data) {
            status = cli_usage(self, "--data FILE.npz is wanted");
        } else {
            sdx_error error = {0};
            cli_trainer t = {0};
            cli_dataset data = {0};
            status = evaluate(&o, &t, &data, &error) ? cli_report(&error) : CLI_DONE;
            cli_dataset_free(&data);
            cli_trainer_close(&t);
        }
    }
    free(o.files.items);
    return status;
}
