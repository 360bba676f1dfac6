/* SPDX-License-Identifier: Apache-2.0
 * The report as one HTML page with its pictures inside: loss, metrics, learning rate, then tables. */
#include "tools/cli_train.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 720, HEIGHT = 240, LEFT = 64, BOTTOM = 28, TOP = 14 };

typedef double (*reading)(const cli_point *point, size_t which);

static double read_loss(const cli_point *p, size_t which) {
    (void)which;
    return p->loss;
}
static double read_valid(const cli_point *p, size_t which) {
    (void)which;
    return p->valid_loss;
}
static double read_penalty(const cli_point *p, size_t which) {
    (void)which;
    return p->penalty;
}
static double read_lr(const cli_point *p, size_t which) {
    (void)which;
    return p->lr;
}
static double read_metric(const cli_point *p, size_t which) { return p->metrics ? p->metrics[which] : NAN; }

typedef struct curve {
    const char *name, *colour;
    reading read;
    size_t which;
} curve;

static void escape(cli_text *page, const char *text) {
    for (; *text; text++) {
        if (*text == '<' || *text == '>' || *text == '&' || *text == '"')
            cli_text_add(page, "&#%d;", *text);
        else
            cli_text_add(page, "%c", *text);
    }
}

static bool range_of(const cli_curves *curves, const curve *lines, size_t n, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t k = 0; k < curves->n; k++)
        for (size_t c = 0; c < n; c++) {
            double v = lines[c].read(&curves->points[k], lines[c].which);
            if (isfinite(v)) *low = fmin(*low, v), *high = fmax(*high, v);
        }
    if (*low > *high) return false;
    if (*low == *high) *low -= fabs(*low) * .1 + 1e-9, *high += fabs(*high) * .1 + 1e-9;
    return true;
}

static void add_axes(cli_text *page, double low, double high, int64_t last_step) {
    for (int k = 0; k <= 4; k++) {
        double y = TOP + (HEIGHT - TOP - BOTTOM) * k / 4.0;
        cli_text_add(page,
                     "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' class='g'/><text x='%d' y='%.1f' "
                     "text-anchor='end'>%.4g</text>",
                     LEFT, WIDTH, y, y, LEFT - 6, y + 4, high - (high - low) * k / 4);
    }
    cli_text_add(page, "<text x='%d' y='%d'>step 0</text><text x='%d' y='%d' text-anchor='end'>%" PRId64 "</text>",
                 LEFT, HEIGHT - 8, WIDTH, HEIGHT - 8, last_step);
}

static void add_chart(cli_text *page, const char *title, const cli_curves *curves, const curve *lines, size_t n) {
    double low = 0, high = 1;
    if (!curves->n || !range_of(curves, lines, n, &low, &high)) return;
    int64_t last = curves->points[curves->n - 1].step;
    cli_text_add(page, "<h2>%s</h2><p>", title);
    for (size_t c = 0; c < n; c++) cli_text_add(page, "<b style='color:%s'>%s</b> ", lines[c].colour, lines[c].name);
    cli_text_add(page, "</p><svg viewBox='0 0 %d %d' role='img'>", WIDTH + 8, HEIGHT);
    add_axes(page, low, high, last);
    for (size_t c = 0; c < n; c++) {
        cli_text_add(page, "<polyline fill='none' stroke='%s' stroke-width='1.6' points='", lines[c].colour);
        for (size_t k = 0; k < curves->n; k++) {
            double v = lines[c].read(&curves->points[k], lines[c].which);
            if (!isfinite(v)) continue;
            double x = LEFT + (WIDTH - LEFT) * (last ? (double)curves->points[k].step / (double)last : 1);
            cli_text_add(page, "%.1f,%.1f ", x, TOP + (HEIGHT - TOP - BOTTOM) * (high - v) / (high - low));
        }
        cli_text_add(page, "'/>");
    }
    cli_text_add(page, "</svg>\n");
}

static void add_epochs(cli_text *page, const cli_curves *curves) {
    const sdx_train_options *o = curves->options;
    cli_text_add(page, "<h2>Epochs</h2><table><tr><th>epoch<th>step<th>loss<th>penalties<th>valid_loss");
    for (size_t m = 0; m < o->n_metrics; m++) cli_text_add(page, "<th>%s", o->metrics[m]);
    cli_text_add(page, "<th>lr<th>seconds</tr>\n");
    for (size_t k = 0; k < curves->n; k++) {
        const cli_point *p = &curves->points[k];
        if (k + 1 < curves->n && curves->points[k + 1].epoch == p->epoch) continue; /* the last of each epoch */
        cli_text_add(page, "<tr><td>%" PRId64 "<td>%" PRId64 "<td>%.6g<td>%.6g<td>%.6g", p->epoch, p->step, p->loss,
                     p->penalty, p->valid_loss);
        for (size_t m = 0; m < o->n_metrics; m++) cli_text_add(page, "<td>%.6g", read_metric(p, m));
        cli_text_add(page, "<td>%.4g<td>%.1f</tr>\n", p->lr, p->seconds);
    }
    cli_text_add(page, "</table>");
}

static void add_sparsity(cli_text *page, const sdx_trainer *trainer) {
    cli_text_add(page, "<h2>Sparsity</h2><table><tr><th>parameter<th>elements<th>exact zeros<th>below 1e-3<th>inputs "
                       "with all weights 0</tr>\n");
    for (size_t k = 0; k < sdx_trainer_parameter_count(trainer); k++) {
        const sdx_parameter_info *info = sdx_trainer_parameter(trainer, k);
        sdx_sparsity s = {0};
        if (info->role == SDX_ROLE_STATE || sdx_trainer_sparsity(trainer, info->name, 1e-3, NULL, &s)) continue;
        cli_text_add(page, "<tr><td>");
        escape(page, info->path);
        cli_text_add(page, "<td>%" PRId64 "<td>%" PRId64 " (%.1f %%)<td>%" PRId64 "<td>%zu", s.count, s.zeros,
                     s.count ? 100.0 * (double)s.zeros / (double)s.count : 0, s.small, s.n_zero_inputs);
        for (size_t i = 0; i < s.n_zero_inputs && i < 32; i++)
            cli_text_add(page, "%s%" PRId64, i ? ", " : ": ", s.zero_inputs[i]);
        cli_text_add(page, "%s</tr>\n", s.n_zero_inputs > 32 ? ", ..." : "");
        sdx_free(s.zero_inputs);
    }
    cli_text_add(page, "</table>");
}

void cli_page(cli_text *page, const char *title, const cli_curves *curves, const sdx_trainer *trainer) {
    static const char *const colours[] = {"#1b6ca8", "#c1440e", "#2e7d32", "#7b3fa0", "#8d6e00", "#00838f"};
    const curve losses[] = {{"loss", colours[0], read_loss, 0},
                            {"valid_loss", colours[1], read_valid, 0},
                            {"penalties", colours[2], read_penalty, 0}};
    const curve lr = {"lr", colours[3], read_lr, 0};
    cli_text_add(page, "<!doctype html><html lang='en'><meta charset='utf-8'><title>");
    escape(page, title);
    cli_text_add(page, "</title><style>body{font:15px/1.5 sans-serif;max-width:760px;margin:2em auto;padding:0 1em;"
                       "color:#222}svg{width:100%%;height:auto}text{font-size:11px;fill:#555}.g{stroke:#e4e4e4}"
                       "table{border-collapse:collapse}td,th{padding:.15em .7em;text-align:right;border-bottom:1px "
                       "solid #e4e4e4}td:first-child,th:first-child{text-align:left}</style><h1>");
    escape(page, title);
    cli_text_add(page, "</h1>\n");
    bool penalised = curves->options->n_penalties > 0;
    add_chart(page, "Loss", curves, losses, penalised ? 3 : 2);
    for (size_t m = 0; m < curves->options->n_metrics; m++) {
        const curve metric = {curves->options->metrics[m], colours[m % 6], read_metric, m};
        add_chart(page, curves->options->metrics[m], curves, &metric, 1);
    }
    add_chart(page, "Learning rate", curves, &lr, 1);
    add_epochs(page, curves);
    add_sparsity(page, trainer);
    cli_text_add(page, "</html>\n");
}
