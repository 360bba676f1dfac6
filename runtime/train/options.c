/* SPDX-License-Identifier: Apache-2.0
 * The trainer's own copy of its options: strings and arrays may be gone after the call that gave them. */
#include "runtime/train/trainer.h"
#include <math.h>
#include <string.h>

/* The one place where a failure is kept while the members are copied one after the other. */
typedef struct copier {
    sdx_arena *arena;
    sdx_error *error;
    bool failed;
} copier;

static const void *copy_array(copier *c, const void *from, size_t n, size_t size) {
    if (!from || n == 0) return NULL;
    void *to = sdx_arena_alloc_array(c->arena, n, size, c->error);
    if (!to) return c->failed = true, NULL;
    return memcpy(to, from, n * size);
}

static const char *copy_text(copier *c, const char *from) {
    if (!from) return NULL;
    const char *to = sdx_arena_copy(c->arena, from, strlen(from), c->error);
    c->failed |= !to;
    return to;
}

static const char *const *copy_texts(copier *c, const char *const *from, size_t n) {
    if (!from || n == 0) return NULL;
    const char **to = SDX_NEW_ARRAY(c->arena, const char *, n, c->error);
    if (!to) return c->failed = true, NULL;
    for (size_t k = 0; k < n; k++) to[k] = copy_text(c, from[k]);
    return to;
}

static sdx_patterns copy_patterns(copier *c, sdx_patterns from) {
    return (sdx_patterns){copy_texts(c, from.items, from.n), from.n};
}

static void copy_loss(copier *c, sdx_loss_options *loss) {
    for (int k = 0; k < 3; k++) loss->output[k] = copy_text(c, loss->output[k]);
    loss->label = copy_text(c, loss->label);
    loss->class_weights = copy_array(c, loss->class_weights, loss->n_class_weights, sizeof *loss->class_weights);
}

/* A copy of an array of structs whose member `match` is a string to copy too. */
#define COPY_MATCHED(c, type, array, n, match, otherwise)                                                              \
    do {                                                                                                               \
        const type *from_ = (array);                                                                                   \
        type *to_ = from_ ? SDX_NEW_ARRAY((c)->arena, type, (n), (c)->error) : NULL;                                   \
        (c)->failed |= from_ && !to_;                                                                                  \
        for (size_t k_ = 0; to_ && k_ < (n); k_++) {                                                                   \
            to_[k_] = from_[k_];                                                                                       \
            to_[k_].match = copy_text((c), from_[k_].match ? from_[k_].match : (otherwise));                           \
        }                                                                                                              \
        (array) = to_;                                                                                                 \
    } while (0)

static void copy_members(copier *c, sdx_train_options *o) {
    if (!o->loss.kind) o->loss.kind = SDX_LOSS_CROSS_ENTROPY;
    copy_loss(c, &o->loss);
    o->trainable = copy_patterns(c, o->trainable);
    o->freeze = copy_patterns(c, o->freeze);
    COPY_MATCHED(c, sdx_norm_options, o->norms, o->n_norms, match, NULL);
    COPY_MATCHED(c, sdx_insert_options, o->inserts, o->n_inserts, after, NULL);
    COPY_MATCHED(c, sdx_penalty_options, o->penalties, o->n_penalties, match, "*");
    o->optimizer.no_decay = copy_patterns(c, o->optimizer.no_decay);
    COPY_MATCHED(c, sdx_group_options, o->optimizer.groups, o->optimizer.n_groups, match, NULL);
    o->schedule.milestones =
        copy_array(c, o->schedule.milestones, o->schedule.n_milestones, sizeof *o->schedule.milestones);
    COPY_MATCHED(c, sdx_constraint_options, o->constraints, o->n_constraints, match, "*");
    o->input_gradients = copy_texts(c, o->input_gradients, o->n_input_gradients);
    o->metrics = copy_texts(c, o->metrics, o->n_metrics);
    o->early_stop = copy_text(c, o->early_stop);
}

/* ---- Checks ---------------------------------------------------------------------------------------------------- */

static sdx_status check_list(const void *items, size_t n, const char *what, sdx_error *error) {
    if (n == 0 || items) return SDX_OK;
    return sdx_fail(error, SDX_ARGUMENT, "'%s' is NULL, and there are to be %zu of it", what, n);
}

static sdx_status check_lists(const sdx_train_options *o, sdx_error *error) {
    SDX_TRY(check_list(o->loss.class_weights, o->loss.n_class_weights, "loss.class_weights", error));
    SDX_TRY(check_list(o->trainable.items, o->trainable.n, "trainable.items", error));
    SDX_TRY(check_list(o->freeze.items, o->freeze.n, "freeze.items", error));
    SDX_TRY(check_list(o->inserts, o->n_inserts, "inserts", error));
    SDX_TRY(check_list(o->penalties, o->n_penalties, "penalties", error));
    SDX_TRY(check_list(o->optimizer.no_decay.items, o->optimizer.no_decay.n, "optimizer.no_decay.items", error));
    SDX_TRY(check_list(o->optimizer.groups, o->optimizer.n_groups, "optimizer.groups", error));
    SDX_TRY(check_list(o->schedule.milestones, o->schedule.n_milestones, "schedule.milestones", error));
    SDX_TRY(check_list(o->constraints, o->n_constraints, "constraints", error));
    SDX_TRY(check_list(o->input_gradients, o->n_input_gradients, "input_gradients", error));
    return check_list(o->metrics, o->n_metrics, "metrics", error);
}

static sdx_status check_least(double value, double least, const char *what, sdx_error *error) {
    if (isfinite(value) && value >= least) return SDX_OK;
    return sdx_fail(error, SDX_VALUE, "'%s' is %g; it must be finite and >= %g", what, value, least);
}

static sdx_status check_values(const sdx_train_options *o, sdx_error *error) {
    SDX_TRY(check_least(o->clip_norm, 0, "clip_norm", error));
    SDX_TRY(check_least(o->clip_value, 0, "clip_value", error));
    SDX_TRY(check_least(o->accumulate, 0, "accumulate", error));
    SDX_TRY(check_least(o->threads, 0, "threads", error));
    SDX_TRY(check_least((double)o->epochs, 0, "epochs", error));
    SDX_TRY(check_least((double)o->batch, 0, "batch", error));
    SDX_TRY(check_least((double)o->early_stop_patience, 0, "early_stop_patience", error));
    if (!(o->ema >= 0 && o->ema < 1)) return sdx_fail(error, SDX_VALUE, "'ema' is %g; it must be in [0, 1)", o->ema);
    if (o->bad_step != SDX_BAD_STEP_STOP && o->bad_step != SDX_BAD_STEP_SKIP)
        return sdx_fail(error, SDX_VALUE, "'bad_step' is %d; it must be 0 or 1", (int)o->bad_step);
    if (o->loss.kind < 0 || o->loss.kind > SDX_LOSS_OUTPUT)
        return sdx_fail(error, SDX_VALUE, "'loss.kind' is %d; it must be in [0, %d]", (int)o->loss.kind,
                        (int)SDX_LOSS_OUTPUT);
    for (size_t k = 0; k < o->optimizer.n_groups; k++)
        if (!o->optimizer.groups[k].match)
            return sdx_fail(error, SDX_ARGUMENT, "group %zu of the optimizer has no 'match'", k);
    return SDX_OK;
}

sdx_status sdx_train_options_copy(const sdx_train_options *from, sdx_arena *arena, sdx_error *error,
                                  sdx_train_options *to) {
    copier c = {arena, error, false};
    SDX_TRY(check_lists(from, error));
    SDX_TRY(check_values(from, error));
    *to = *from;
    copy_members(&c, to);
    if (to->accumulate == 0) to->accumulate = 1;
    if (to->epochs == 0) to->epochs = 1;
    if (to->early_stop_patience == 0) to->early_stop_patience = 5;
    return c.failed ? error->status : SDX_OK;
}
