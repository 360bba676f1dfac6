/* SPDX-License-Identifier: Apache-2.0
 * sardonyx convert: ONNX in, ONNX out. */
#include "runtime/train/train.h"
#include "tools/cli.h"
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    cli_list files;
    const char *output, *external_data;
    bool optimise, fold_norms;
} options;

static sdx_status convert(const options *o, sdx_error *error) {
    sdx_model_options how = {.size = sizeof how,
                             .optimise = o->optimise ? SDX_OPTIMISE_PORTABLE : SDX_OPTIMISE_NONE,
                             .memory_limit = o->common.memory_limit,
                             .threads = o->common.threads};
    sdx_model *model = NULL;
    SDX_TRY(sdx_model_open(o->files.items[0], &how, error, &model));
    int folded = 0;
    sdx_status status = o->fold_norms ? sdx_fold_norms(model, error, &folded) : SDX_OK;
    if (!status) status = sdx_model_save(model, o->output, o->external_data, error);
    sdx_model_close(model);
    if (!status && o->common.verbose && o->fold_norms)
        fprintf(stderr, "%d BatchNormalization nodes are folded\n", folded);
    if (!status && o->common.verbose) fprintf(stderr, "'%s' is written\n", o->output);
    return status;
}

int cmd_convert(const cli_command *self, int argc, char **argv) {
    options o = {0};
    const cli_option rows[] = {
        {"output", 'o', CLI_TEXT, &o.output, "OUT.onnx", "the file to write"},
        {"optimise", 0, CLI_FLAG, &o.optimise, NULL, "fold and prune, within standard ONNX"},
        {"fold-norms", 0, CLI_FLAG, &o.fold_norms, NULL, "put BatchNormalization into the weights before it"},
        {"external-data", 0, CLI_TEXT, &o.external_data, "FILE", "weights go to this file in OUT's folder"},
    };
    int status = CLI_DONE;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.files, &status)) {
        sdx_error error = {0};
        if (o.files.n != 1)
            status = cli_usage(self, "one MODEL is wanted, %d are given", o.files.n);
        else if (!o.output)
            status = cli_usage(self, "-o OUT.onnx is wanted");
        else if (o.external_data && strchr(o.external_data, '/'))
            status =
                cli_usage(self, "--external-data is '%s'; it must be a file name without a folder", o.external_data);
        else
            status = convert(&o, &error) ? cli_report(&error) : CLI_DONE;
    }
    free(o.files.items);
    return status;
}
