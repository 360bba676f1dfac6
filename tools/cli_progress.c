/* SPDX-License-Identifier: Apache-2.0
 * One line of progress: a bar redrawn in place on a terminal, plain lines elsewhere. */
#include "tools/cli_train.h"
#include <inttypes.h>
#include <math.h>
#include <unistd.h>

enum { BAR = 24, REDRAW_MS = 100 };

cli_progress cli_progress_start(FILE *file, const sdx_train_options *options) {
    return (cli_progress){.file = file, .terminal = file && isatty(fileno(file)), .options = options};
}

static void show_seconds(FILE *file, double seconds) {
    if (seconds < 60)
        fprintf(file, "%.1f s", seconds);
    else if (seconds < 3600)
        fprintf(file, "%d min %02d s", (int)seconds / 60, (int)seconds % 60);
    else
        fprintf(file, "%d h %02d min", (int)(seconds / 3600), (int)fmod(seconds / 60, 60));
}

static void show_figures(const cli_progress *bar, const sdx_progress *now) {
    double penalty = 0;
    for (size_t k = 0; k < now->last.n_penalties; k++) penalty += now->last.penalties[k];
    fprintf(bar->file, "loss %.5f", now->loss);
    if (now->last.n_penalties) fprintf(bar->file, "  penalties %.5f", penalty);
    if (now->epoch_ends && !isnan(now->valid_loss)) {
        fprintf(bar->file, "  valid_loss %.5f", now->valid_loss);
        for (size_t k = 0; k < now->n_metrics; k++)
            fprintf(bar->file, "  %s %.4f", bar->options->metrics[k], now->metrics[k]);
    }
    fprintf(bar->file, "  %.0f samples/s", now->samples_per_second);
}

static void draw_bar(const cli_progress *bar, const sdx_progress *now) {
    int filled = now->steps > 0 ? (int)(BAR * now->step / now->steps) : BAR;
    fprintf(bar->file, "\r\033[Kepoch %" PRId64 "/%" PRId64 " [", now->epoch, now->epochs);
    for (int k = 0; k < BAR; k++) fputc(k < filled ? '=' : ' ', bar->file);
    fputs("] ", bar->file);
    show_figures(bar, now);
    fputs("  left ", bar->file);
    show_seconds(bar->file, now->seconds_left);
}

void cli_progress_show(cli_progress *bar, const sdx_progress *now) {
    if (!bar->file) return;
    if (bar->terminal) {
        double ms = cli_milliseconds();
        if (!now->epoch_ends && ms - bar->drawn_ms < REDRAW_MS) return;
        bar->drawn_ms = ms;
        draw_bar(bar, now);
        if (now->epoch_ends) fputc('\n', bar->file);
    } else if (now->epoch_ends) {
        fprintf(bar->file, "epoch %" PRId64 "/%" PRId64 "  ", now->epoch, now->epochs);
        show_figures(bar, now);
        fputc('\n', bar->file);
    }
    fflush(bar->file);
}

void cli_progress_end(cli_progress *bar) {
    if (bar->file && bar->terminal) fputs("\r\033[K", bar->file);
    bar->file = NULL;
}
