/* SPDX-License-Identifier: Apache-2.0
 * The course of a training as CSV files and a page. */
#include "tools/cli_train.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_POINTS = 1500 };

/* ---- Text ---- */

void cli_text_add(cli_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    size_t needed = text->size + (size_t)(n > 0 ? n : 0) + 1;
    if (!text->failed && needed > text->capacity) {
        size_t capacity = needed * 2;
        char *bytes = realloc(text->bytes, capacity);
        text->failed = !bytes;
        if (bytes) text->bytes = bytes, text->capacity = capacity;
    }
    if (!text->failed && n >= 0) vsnprintf(text->bytes + text->size, text->capacity - text->size, format, again);
    if (!text->failed && n > 0) text->size += (size_t)n;
    va_end(again);
}

sdx_status cli_text_write(cli_text *text, const char *path, sdx_error *error) {
    sdx_status status = text->failed ? sdx_fail(error, SDX_OUT_OF_MEMORY, "the report cannot be held")
                                     : cli_write_text(text->bytes ? text->bytes : "", text->size, path, error);
    free(text->bytes);
    *text = (cli_text){0};
    return status;
}

/* ---- Points ---- */

void cli_curves_start(cli_curves *curves, const sdx_train_options *options) {
    *curves = (cli_curves){.every = 1, .options = options, .start_ms = cli_milliseconds()};
}

/* Every second point between the ends of epochs goes. */
static void thin(cli_curves *curves) {
    size_t kept = 0, between = 0;
    for (size_t k = 0; k < curves->n; k++) {
        bool end = curves->points[k].metrics || !isnan(curves->points[k].valid_loss);
        if (!end && between++ % 2) continue;
        curves->points[kept++] = curves->points[k];
    }
    curves->n = kept;
    curves->every *= 2;
}

static bool make_room(cli_curves *curves) {
    if (curves->n >= MOST_POINTS && curves->every < INT64_MAX / 2) thin(curves);
    if (curves->n < curves->capacity) return true;
    size_t capacity = curves->capacity ? curves->capacity * 2 : 256;
    cli_point *points = realloc(curves->points, capacity * sizeof *points);
    if (!points) return !(curves->failed = true);
    curves->points = points;
    curves->capacity = capacity;
    return true;
}

void cli_curves_add(cli_curves *curves, const sdx_progress *now) {
    if (curves->failed || (!now->epoch_ends && now->last.step % curves->every)) return;
    if (!make_room(curves)) return;
    cli_point point = {.epoch = now->epoch,
                       .step = now->last.step,
                       .loss = now->epoch_ends ? now->loss : now->last.loss,
                       .lr = now->last.lr,
                       .gradient_norm = now->last.gradient_norm,
                       .valid_loss = now->epoch_ends ? now->valid_loss : NAN,
                       .seconds = (cli_milliseconds() - curves->start_ms) / 1000};
    for (size_t k = 0; k < now->last.n_penalties; k++) point.penalty += now->last.penalties[k];
    if (now->epoch_ends && now->n_metrics) {
        point.metrics = malloc(now->n_metrics * sizeof *point.metrics);
        if (point.metrics) memcpy(point.metrics, now->metrics, now->n_metrics * sizeof *point.metrics);
    }
    curves->points[curves->n++] = point;
}

void cli_curves_free(cli_curves *curves) {
    for (size_t k = 0; k < curves->n; k++) free(curves->points[k].metrics);
    free(curves->points);
    *curves = (cli_curves){0};
}

/* ---- Files ---- */

static void add_number(cli_text *csv, double value) {
    if (isnan(value))
        cli_text_add(csv, ",");
    else
        cli_text_add(csv, ",%.9g", value);
}

static sdx_status write_curves(const char *path, const cli_curves *curves, sdx_error *error) {
    cli_text csv = {0};
    const sdx_train_options *options = curves->options;
    cli_text_add(&csv, "epoch,step,loss,penalty,lr,gradient_norm,seconds,valid_loss");
    for (size_t m = 0; m < options->n_metrics; m++) cli_text_add(&csv, ",%s", options->metrics[m]);
    cli_text_add(&csv, "\n");
    for (size_t k = 0; k < curves->n; k++) {
        const cli_point *p = &curves->points[k];
        cli_text_add(&csv, "%" PRId64 ",%" PRId64, p->epoch, p->step);
        const double numbers[] = {p->loss, p->penalty, p->lr, p->gradient_norm, p->seconds, p->valid_loss};
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) add_number(&csv, numbers[i]);
        for (size_t m = 0; m < options->n_metrics; m++) add_number(&csv, p->metrics ? p->metrics[m] : NAN);
        cli_text_add(&csv, "\n");
    }
    return cli_text_write(&csv, path, error);
}

static sdx_status write_sparsity(const char *path, const sdx_trainer *trainer, sdx_error *error) {
    cli_text csv = {0};
    cli_text_add(&csv, "parameter,path,elements,zeros,below_1e-3,zero_inputs\n");
    for (size_t k = 0; k < sdx_trainer_parameter_count(trainer); k++) {
        const sdx_parameter_info *info = sdx_trainer_parameter(trainer, k);
        sdx_sparsity s = {0};
        if (info->role == SDX_ROLE_STATE || sdx_trainer_sparsity(trainer, info->name, 1e-3, NULL, &s)) continue;
        cli_text_add(&csv, "\"%s\",\"%s\",%" PRId64 ",%" PRId64 ",%" PRId64 ",\"", cli_escaped(info->name),
                     cli_escaped(info->path), s.count, s.zeros, s.small);
        for (size_t i = 0; i < s.n_zero_inputs; i++) cli_text_add(&csv, "%s%" PRId64, i ? " " : "", s.zero_inputs[i]);
        cli_text_add(&csv, "\"\n");
        sdx_free(s.zero_inputs);
    }
    return cli_text_write(&csv, path, error);
}

sdx_status cli_report_write(const char *folder, const char *title, const cli_curves *curves, const sdx_trainer *trainer,
                            sdx_error *error) {
    char path[4200];
    cli_text page = {0};
    if (strlen(folder) > 4000) return sdx_fail(error, SDX_IO, "the folder's name is too long");
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return sdx_fail(error, SDX_IO, "'%s': %s", cli_escaped(folder), strerror(errno));
    snprintf(path, sizeof path, "%s/curves.csv", folder);
    SDX_TRY(write_curves(path, curves, error));
    snprintf(path, sizeof path, "%s/sparsity.csv", folder);
    SDX_TRY(write_sparsity(path, trainer, error));
    snprintf(path, sizeof path, "%s/index.html", folder);
    cli_page(&page, title, curves, trainer);
    return cli_text_write(&page, path, error);
}
