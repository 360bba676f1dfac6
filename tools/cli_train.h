/* SPDX-License-Identifier: Apache-2.0
 * What the training commands share: data sets from .npz files, configurations, the progress line, the report. */
#ifndef SDX_TOOLS_CLI_TRAIN_H
#define SDX_TOOLS_CLI_TRAIN_H
#include "tools/cli.h"
#include <sardonyx_train.h>

/* ---- data (cli_dataset.c) ---- */

/* The arrays of an .npz file that are inputs of the model or the label; the first axis is the sample. */
typedef struct cli_dataset {
    sdx_binding *arrays; /* names are from malloc */
    size_t n;
    int64_t samples;
} cli_dataset;

/* Numbers of another type than the model's input become that type, with a line to `say` (NULL: none). Refused, with
 * file, array and position: arrays that are missing or of unequal length, NaN and infinities. label NULL: none wanted.
 */
sdx_status cli_dataset_load(const char *path, const sdx_model *model, const char *label, FILE *say, sdx_error *error,
                            cli_dataset *out);
/* `count` samples from `first` on, as views that borrow the data set. */
sdx_status cli_dataset_batch(const cli_dataset *data, int64_t first, int64_t count, sdx_error *error, cli_dataset *out);
void cli_dataset_free(cli_dataset *data);

/* ---- a trainer from files (cli_trainer.c) ---- */

typedef struct cli_trainer {
    sdx_train_config *config; /* NULL: all defaults */
    sdx_train_options options;
    sdx_model *model;
    sdx_trainer *trainer;
    size_t noted; /* notes that were shown */
} cli_trainer;

/* config NULL: defaults. --seed, --threads, --memory-limit override the configuration. Makes no trainer yet. */
sdx_status cli_trainer_read(cli_trainer *t, const char *model, const char *config, const cli_common *common,
                            sdx_error *error);
sdx_status cli_trainer_create(cli_trainer *t, FILE *notes, sdx_error *error);
void cli_trainer_notes(cli_trainer *t, FILE *notes); /* those that are new; notes: NULL for none */
void cli_trainer_close(cli_trainer *t);
const char *cli_trainer_label(const cli_trainer *t); /* NULL: the loss wants none */
const char *cli_penalty_name(const sdx_penalty_options *penalty, char *out, size_t capacity);

/* ---- progress (cli_progress.c) ---- */

/* A bar that is redrawn on a terminal; elsewhere a line at the end of each epoch. */
typedef struct cli_progress {
    FILE *file; /* NULL: silent */
    bool terminal;
    double drawn_ms; /* when the bar was last drawn */
    const sdx_train_options *options;
} cli_progress;
cli_progress cli_progress_start(FILE *file, const sdx_train_options *options);
void cli_progress_show(cli_progress *bar, const sdx_progress *now);
void cli_progress_end(cli_progress *bar); /* leaves a fresh line */

/* ---- the report (cli_curves.c, cli_page.c) ---- */

typedef struct cli_point {
    int64_t epoch, step;
    double loss, penalty, lr, gradient_norm, valid_loss, seconds; /* valid_loss: NaN between epochs */
    double *metrics;                                              /* at the end of an epoch; else NULL */
} cli_point;

/* What happened, thinned so that it stays small: every epoch's end, and steps between. */
typedef struct cli_curves {
    cli_point *points;
    size_t n, capacity;
    int64_t every; /* steps between points */
    double start_ms;
    const sdx_train_options *options;
    bool failed; /* out of memory: curves end early */
} cli_curves;
void cli_curves_start(cli_curves *curves, const sdx_train_options *options);
void cli_curves_add(cli_curves *curves, const sdx_progress *now);
void cli_curves_free(cli_curves *curves);
/* DIR/curves.csv, DIR/sparsity.csv and DIR/index.html, which needs nothing beside itself. The folder is made. */
sdx_status cli_report_write(const char *folder, const char *title, const cli_curves *curves, const sdx_trainer *trainer,
                            sdx_error *error);

/* Text that grows; out of memory is remembered and reported once. */
typedef struct cli_text {
    char *bytes;
    size_t size, capacity;
    bool failed;
} cli_text;
SDX_PRINTF(2, 3) void cli_text_add(cli_text *text, const char *format, ...);
sdx_status cli_text_write(cli_text *text, const char *path, sdx_error *error); /* frees it */
void cli_page(cli_text *page, const char *title, const cli_curves *curves, const sdx_trainer *trainer);

#endif
