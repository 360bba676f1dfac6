/* SPDX-License-Identifier: Apache-2.0
 * The loop: epochs of shuffled batches, validation, schedule, early stop, checkpoints. All that the loop depends on
 * lies in the trainer, so that one that was saved in the middle of an epoch goes on there, bit for bit. */
#include "runtime/train/trainer.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct loop {
    sdx_trainer *t;
    const sdx_fit_options *options;
    sdx_data data, valid;
    bool has_valid;
    sdx_progress progress;
    double *metrics;
    int64_t per_epoch; /* samples of one epoch that are used */
    int64_t every;     /* steps between checkpoints; 0: each epoch */
    int keep;
    int64_t saved_step; /* of the file that stands; 0: none of this loop */
    int64_t began, samples;
    sdx_error *error;
} loop;

static int64_t batches_of(const loop *l) { return (l->per_epoch + l->data.batch - 1) / l->data.batch; }

/* ---- What is watched ------------------------------------------------------------------------------------------- */

static bool less_is_better(const char *metric) {
    return strstr(metric, "loss") || strcmp(metric, "mse") == 0 || strcmp(metric, "mae") == 0;
}

/* "valid_loss", "loss", or a metric with or without "valid_". */
static sdx_status watch(const loop *l, const char *name, double *out) {
    const sdx_train_options *options = &l->t->options;
    const char *plain = strncmp(name, "valid_", 6) == 0 ? name + 6 : name;
    if (strcmp(plain, "loss") == 0) {
        *out = plain == name ? l->progress.loss : l->progress.valid_loss;
        if (plain == name || l->has_valid) return SDX_OK;
    }
    for (size_t k = 0; k < options->n_metrics && l->has_valid; k++)
        if (strcmp(options->metrics[k], plain) == 0) {
            *out = less_is_better(plain) ? l->metrics[k] : -l->metrics[k];
            return SDX_OK;
        }
    char text[64];
    return sdx_fail(l->error, SDX_VALUE,
                    "early_stop watches '%s', which is not known: it must be loss, or with validation data valid_loss "
                    "or one of the metrics",
                    sdx_escape(text, sizeof text, name, strlen(name)));
}

static const char *watched(const loop *l) {
    return l->t->options.early_stop ? l->t->options.early_stop : l->has_valid ? "valid_loss" : "loss";
}

/* ---- Progress and checkpoints ---------------------------------------------------------------------------------- */

static void report(loop *l) {
    sdx_fit_state *fit = &l->t->fit;
    double seconds = (double)(sdx_clock_ns() - l->began) * 1e-9;
    double left = (double)(l->per_epoch * (l->progress.epochs - fit->epoch) - fit->position);
    l->progress.samples_per_second = seconds > 0 ? (double)l->samples / seconds : 0;
    l->progress.seconds_left = l->samples > 0 ? seconds / (double)l->samples * left : 0;
    if (l->options->progress) l->options->progress(l->options->context, &l->progress);
}

static sdx_status save(loop *l) {
    int64_t step = l->t->schedule.step;
    if (!l->options->checkpoint) return SDX_OK;
    SDX_TRY(sdx_checkpoint_rotate(l->t, l->options->checkpoint, l->saved_step == step ? 0 : l->saved_step, l->keep,
                                  l->error));
    l->saved_step = step;
    return SDX_OK;
}

/* ---- Steps ----------------------------------------------------------------------------------------------------- */

static sdx_status one_batch(loop *l) {
    sdx_trainer *t = l->t;
    sdx_fit_state *fit = &t->fit;
    const sdx_stop stop = {.cancel = l->options->cancel};
    int64_t rest = l->per_epoch - fit->position, n = rest < l->data.batch ? rest : l->data.batch;
    SDX_TRY(sdx_stop_check(&stop, l->error));
    SDX_TRY(sdx_data_take(&l->data, fit->position, n, l->error));
    SDX_TRY(sdx_trainer_take_step(t, l->options->cancel, &l->progress.last, l->error));
    if (!l->progress.last.skipped) {
        fit->numerator += t->figures[SDX_FIGURE_NUMERATOR];
        fit->denominator += t->figures[SDX_FIGURE_DENOMINATOR];
    }
    fit->position += n;
    l->samples += n;
    l->progress.epoch = fit->epoch + 1;
    l->progress.step = (fit->position + l->data.batch - 1) / l->data.batch;
    l->progress.loss = fit->numerator / fit->denominator;
    l->progress.epoch_ends = fit->position == l->per_epoch;
    if (l->progress.epoch_ends) return SDX_OK;
    report(l);
    bool due = l->every > 0 && l->progress.last.updated && t->schedule.step % l->every == 0;
    return due ? save(l) : SDX_OK;
}

static sdx_status validate(loop *l) {
    l->progress.valid_loss = (double)NAN;
    for (size_t k = 0; k < l->t->options.n_metrics; k++) l->metrics[k] = (double)NAN;
    if (!l->has_valid) return SDX_OK;
    return sdx_trainer_score_data(l->t, &l->valid, l->options->cancel, &l->progress.valid_loss, l->metrics, l->error);
}

/* True when it has not become better for long enough. */
static bool patience_ends(loop *l, double value) {
    sdx_fit_state *fit = &l->t->fit;
    if (!l->t->options.early_stop) return false;
    if (value < fit->best) {
        fit->best = value;
        fit->bad_epochs = 0;
        return false;
    }
    return ++fit->bad_epochs >= l->t->options.early_stop_patience;
}

static sdx_status end_epoch(loop *l, bool *stops) {
    sdx_trainer *t = l->t;
    double value = 0;
    SDX_TRY(validate(l));
    SDX_TRY(watch(l, watched(l), &value));
    sdx_schedule_end_epoch(&t->options.schedule, &t->schedule, value);
    *stops = patience_ends(l, value);
    t->fit.epoch++;
    t->fit.position = 0;
    t->fit.numerator = t->fit.denominator = 0;
    report(l);
    if (*stops) t->fit.epoch = l->progress.epochs;
    return save(l);
}

static sdx_status run(loop *l) {
    sdx_fit_state *fit = &l->t->fit;
    if (fit->position > l->per_epoch)
        return sdx_fail(l->error, SDX_VALUE,
                        "the checkpoint stands behind sample %" PRId64 " of an epoch; the data has %" PRId64,
                        fit->position, l->per_epoch);
    for (bool stops = false; fit->epoch < l->progress.epochs && !stops;) {
        sdx_data_shuffle(&l->data, fit->epoch);
        do SDX_TRY(one_batch(l));
        while (fit->position < l->per_epoch);
        SDX_TRY(end_epoch(l, &stops));
    }
    return SDX_OK;
}

/* ---- Around it ------------------------------------------------------------------------------------------------- */

static sdx_status begin(loop *l) {
    sdx_trainer *t = l->t;
    const sdx_fit_options *o = l->options;
    double unused;
    SDX_TRY(sdx_data_open(t, "data", o->data, o->n_data, &l->data, l->error));
    if (l->has_valid) SDX_TRY(sdx_data_open(t, "validation data", o->valid, o->n_valid, &l->valid, l->error));
    if (l->has_valid) SDX_TRY(sdx_data_whole(&l->valid, l->error));
    l->per_epoch = l->data.n_used;
    l->progress.epochs = t->options.epochs;
    l->progress.steps = batches_of(l);
    l->progress.n_metrics = t->options.n_metrics;
    l->progress.metrics = l->metrics = calloc(t->options.n_metrics + 1, sizeof *l->metrics);
    if (!l->metrics) return sdx_fail(l->error, SDX_OUT_OF_MEMORY, "room for metrics asked for");
    SDX_TRY(watch(l, watched(l), &unused));
    t->steps_expected = l->progress.epochs * l->progress.steps / t->options.accumulate;
    if (o->resume && o->checkpoint) {
        SDX_TRY(sdx_trainer_read_checkpoint(t, o->checkpoint, l->error));
        l->saved_step = t->schedule.step;
    } else {
        t->fit = (sdx_fit_state){.best = INFINITY};
    }
    return SDX_OK;
}

sdx_status sdx_trainer_fit_data(sdx_trainer *t, const sdx_fit_options *options, sdx_error *error) {
    sdx_error own = {0};
    int64_t every = options->checkpoint_every ? options->checkpoint_every : t->options.checkpoint_every;
    int keep = options->checkpoint_keep ? options->checkpoint_keep : t->options.checkpoint_keep;
    loop l = {.t = t,
              .options = options,
              .data = {.trainer = t},
              .valid = {.trainer = t},
              .has_valid = options->n_valid > 0,
              .every = every,
              .keep = keep > 0 ? keep : 1,
              .began = sdx_clock_ns(),
              .error = error ? error : &own};
    sdx_status status = begin(&l);
    if (!status) status = run(&l);
    free(l.metrics);
    sdx_data_close(&l.data);
    sdx_data_close(&l.valid);
    return status;
}
