/* SPDX-License-Identifier: Apache-2.0
 * The factor on the learning rate as a closed form of how many steps or epochs are done; the values are those of
 * torch.optim.lr_scheduler. Warming up takes the first steps, and a schedule that counts steps begins behind it. */
#include "runtime/train/train.h"
#include <math.h>

static const double pi = 3.14159265358979323846;

static int64_t count(int64_t value, int64_t otherwise) { return value > 0 ? value : otherwise; }

void sdx_schedule_start(sdx_schedule_state *state) { *state = (sdx_schedule_state){.best = INFINITY, .factor = 1}; }

static double between(double from, double to, double part) { return to + (from - to) / 2 * (1 + cos(pi * part)); }

/* lr / div_factor -> max_lr -> lr / div_factor / final_div_factor; the last step is number total - 1. */
static double one_cycle(const sdx_schedule_options *s, double lr, double t, double total) {
    const double most = sdx_given(s->max_lr, 10 * lr), first = most / sdx_given(s->div_factor, 25);
    const double last = first / sdx_given(s->final_div_factor, 1e4);
    const double top = sdx_given(s->pct_start, .3) * total - 1, end = total - 1;
    if (t >= end) return last / lr;
    if (t <= top) return between(first, most, t / top) / lr;
    return between(most, last, (t - top) / (end - top)) / lr;
}

static double main_factor(const sdx_schedule_options *s, const sdx_schedule_state *state, double lr, double t,
                          double total) {
    const double gamma = sdx_given(s->gamma, s->kind == SDX_SCHEDULE_EXPONENTIAL ? .95 : .1);
    const double least = sdx_given(s->min_lr, 0) / lr;
    double passed = 0;
    switch (s->kind) {
    case SDX_SCHEDULE_STEP: return pow(gamma, floor(t / (double)count(s->every, 30)));
    case SDX_SCHEDULE_MULTISTEP:
        for (size_t k = 0; k < s->n_milestones; k++) passed += t >= (double)s->milestones[k];
        return pow(gamma, passed);
    case SDX_SCHEDULE_EXPONENTIAL: return pow(gamma, t);
    case SDX_SCHEDULE_COSINE: return total > 0 ? between(1, least, t / total) : 1;
    case SDX_SCHEDULE_LINEAR: {
        const double start = sdx_given(s->start_factor, 1), end = sdx_given(s->end_factor, 0);
        return total > 0 ? start + (end - start) * (t < total ? t / total : 1) : end;
    }
    case SDX_SCHEDULE_ONE_CYCLE: return one_cycle(s, lr, t, total);
    case SDX_SCHEDULE_PLATEAU: return state->factor > least ? state->factor : least < 1 ? least : 1;
    case SDX_SCHEDULE_CONSTANT: break;
    }
    return 1;
}

double sdx_schedule_factor(const sdx_schedule_options *s, const sdx_schedule_state *state, double lr,
                           int64_t total_steps, int64_t total_epochs) {
    const int64_t warmup = count(s->warmup, 0), after = state->step > warmup ? state->step - warmup : 0;
    const bool steps = s->per_step || s->kind == SDX_SCHEDULE_ONE_CYCLE;
    const int64_t length = count(s->total, steps ? total_steps - warmup : total_epochs);
    const double factor =
        lr > 0 ? main_factor(s, state, lr, (double)(steps ? after : state->epoch), (double)length) : 1;
    if (state->step >= warmup) return factor;
    const double start = sdx_given(s->warmup_start, 0);
    return factor * (start + (1 - start) * (double)state->step / (double)warmup);
}

void sdx_schedule_end_epoch(const sdx_schedule_options *s, sdx_schedule_state *state, double metric) {
    state->epoch++;
    if (s->kind != SDX_SCHEDULE_PLATEAU) return;
    const bool better = metric < state->best - sdx_given(s->threshold, 1e-4) * fabs(state->best);
    if (better || (isinf(state->best) && metric < state->best)) {
        state->best = metric;
        state->bad_epochs = 0;
    } else if (++state->bad_epochs > count(s->patience, 10)) {
        state->factor *= sdx_given(s->gamma, .1);
        state->bad_epochs = 0;
    }
}
