/* SPDX-License-Identifier: Apache-2.0
 * A trainer from a model file and a configuration file. */
#include "tools/cli_train.h"
#include <stdlib.h>
#include <string.h>

static const sdx_train_options defaults = {.size = sizeof defaults, .loss = {.kind = SDX_LOSS_CROSS_ENTROPY}};

static sdx_status read_config(cli_trainer *t, const char *path, sdx_error *error) {
    unsigned char *text = NULL;
    size_t size = 0;
    SDX_TRY(sdx_file_read(path, cli_memory(), error, &text, &size));
    sdx_status status = sdx_train_config_parse((const char *)text, size, error, &t->config);
    sdx_memory_free(cli_memory(), text);
    if (status) return sdx_error_context(error, "configuration '%s'", cli_escaped(path));
    t->options = *sdx_train_config_options(t->config);
    return SDX_OK;
}

sdx_status cli_trainer_read(cli_trainer *t, const char *model, const char *config, const cli_common *common,
                            sdx_error *error) {
    *t = (cli_trainer){.options = defaults};
    sdx_model_options plain = {.size = sizeof plain,
                               .optimise = SDX_OPTIMISE_NONE,
                               .memory_limit = common->memory_limit,
                               .threads = common->threads};
    if (config) SDX_TRY(read_config(t, config, error));
    if (common->seed) t->options.seed = common->seed;
    if (common->threads) t->options.threads = common->threads;
    if (common->memory_limit) t->options.memory_limit = common->memory_limit;
    return sdx_model_open(model, &plain, error, &t->model);
}

sdx_status cli_trainer_create(cli_trainer *t, FILE *notes, sdx_error *error) {
    SDX_TRY(sdx_trainer_create(t->model, &t->options, error, &t->trainer));
    cli_trainer_notes(t, notes);
    return SDX_OK;
}

void cli_trainer_notes(cli_trainer *t, FILE *notes) {
    const char *note = NULL;
    for (; notes && t->trainer && (note = sdx_trainer_note(t->trainer, t->noted)) != NULL; t->noted++)
        fprintf(notes, "%s\n", note);
}

void cli_trainer_close(cli_trainer *t) {
    sdx_trainer_destroy(t->trainer);
    sdx_model_close(t->model);
    sdx_train_config_free(t->config);
    *t = (cli_trainer){0};
}

const char *cli_trainer_label(const cli_trainer *t) {
    const sdx_loss_options *loss = &t->options.loss;
    if (loss->kind == SDX_LOSS_TRIPLET || loss->kind == SDX_LOSS_OUTPUT) return NULL;
    return loss->label ? loss->label : "y";
}

const char *cli_penalty_name(const sdx_penalty_options *penalty, char *out, size_t capacity) {
    static const char *const kinds[] = {"?", "l1", "l2", "l1_l2", "l2norm"};
    static const char *const targets[] = {"kernel", "recurrent", "bias", "activity", "all"};
    snprintf(out, capacity, "%s of %s %s", kinds[penalty->kind], targets[penalty->target],
             penalty->match ? cli_escaped(penalty->match) : "*");
    return out;
}
