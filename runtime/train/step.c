/* SPDX-License-Identifier: Apache-2.0
 * Running programs: a step, gradients, an evaluation. Nothing that lasts is written before everything has succeeded.
 * The seed of a run depends on the trainer's seed, the step and the micro-batch alone. */
#include "runtime/base/half.h"
#include "runtime/base/mix.h"
#include "runtime/exec/bindings.h"
#include "runtime/train/trainer.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- The batch ------------------------------------------------------------------------------------------------- */

/* Everything but the label, which has a place of its own. */
static sdx_status take_label(sdx_trainer *t, const sdx_binding *bindings, size_t n, sdx_binding *rest, size_t *n_rest,
                             sdx_error *error) {
    const char *name = sdx_trainer_label_name(t);
    bool beside = sdx_loss_has_label(t->options.loss.kind) && t->label_input < 0;
    *n_rest = 0;
    t->batch.label = NULL;
    for (size_t k = 0; k < n; k++) {
        if (!beside || !bindings[k].name || strcmp(bindings[k].name, name) != 0) {
            rest[(*n_rest)++] = bindings[k];
            continue;
        }
        if (t->batch.label) return sdx_fail(error, SDX_ARGUMENT, "label '%s' is given twice", name);
        if (!bindings[k].value) return sdx_fail(error, SDX_ARGUMENT, "the value of label '%s' is NULL", name);
        if (bindings[k].value->kind != SDX_TENSOR) return sdx_fail(error, SDX_TYPE, "label '%s' is no tensor", name);
        t->batch.label = bindings[k].value;
    }
    return SDX_OK;
}

sdx_status sdx_batch_match(sdx_trainer *t, const sdx_binding *bindings, size_t n, bool need_label, sdx_error *error) {
    sdx_binding few[16], *rest = few;
    size_t n_rest = 0;
    if (n > sizeof few / sizeof few[0]) rest = sdx_memory_alloc(t->memory, n * sizeof *rest, error);
    if (!rest) return error ? error->status : SDX_OUT_OF_MEMORY;
    for (int k = 0; k < t->n_batch; k++) t->batch.inputs[k] = NULL;
    sdx_status status = take_label(t, bindings, n, rest, &n_rest, error);
    if (!status) status = sdx_match_inputs(t->batch_infos, (size_t)t->n_batch, rest, n_rest, t->batch.inputs, error);
    if (!status && need_label && !t->batch.label && t->label_input < 0 && sdx_loss_has_label(t->options.loss.kind))
        status = sdx_fail(error, SDX_ARGUMENT, "the label '%s' is not given", sdx_trainer_label_name(t));
    if (rest != few) sdx_memory_free(t->memory, rest);
    return status;
}

/* ---- Programs -------------------------------------------------------------------------------------------------- */

static bool label_fits(const sdx_program *program, const sdx_value *label) {
    if (!program->model) return false;
    return !program->labelled || !label ||
           (program->label_dtype == label->tensor.dtype && program->label_rank == label->tensor.rank);
}

sdx_status sdx_trainer_program(sdx_trainer *t, sdx_form form, const sdx_value *label, sdx_error *error,
                               sdx_program **out) {
    sdx_type type = {.kind = 0};
    *out = &t->programs[form];
    if (label_fits(*out, label)) return SDX_OK;
    if (sdx_loss_has_label(t->options.loss.kind)) {
        sdx_trainer_label_type(t, &type);
        if (label && label->tensor.rank != type.rank) {
            const sdx_graph *graph = t->prepared->training->graph;
            const sdx_type *output = &graph->values[t->prepared->outputs[0]].type;
            type.rank = label->tensor.rank;
            for (int d = 0; d < type.rank; d++) type.dim[d] = output->rank == type.rank ? output->dim[d] : -1;
        }
        if (label) type.dtype = label->tensor.dtype;
    }
    if (form == SDX_FORM_TRAIN || form == SDX_FORM_MEAN) return sdx_gradient_build(t, form, &type, error);
    return sdx_evaluate_build(t, form, &type, error);
}

/* ---- Runs ------------------------------------------------------------------------------------------------------ */

/* The update reads the sums that this step's gradient graph has just written. */
static sdx_value *value_in(sdx_trainer *t, const sdx_batch *batch, sdx_port port, bool updating) {
    if (port.kind == SDX_PORT_BATCH) return batch->inputs[port.index];
    if (port.kind == SDX_PORT_LABEL) return batch->label;
    if (port.kind == SDX_PORT_DIAL) return t->dials[port.index * SDX_DIAL_FORMS + port.part];
    const sdx_cell *cell = sdx_trainer_cell(t, port);
    int w = t->averaged && port.kind == SDX_PORT_VARIABLE ? sdx_trainer_weight_of(t, port.index) : -1;
    if (w >= 0) return t->weights[w].ema.now;
    return port.kind == SDX_PORT_SUM && updating ? cell->next : cell->now;
}

/* Gradients are written where they are read; all else beside. */
static sdx_value **place_out(sdx_trainer *t, sdx_port port) {
    sdx_cell *cell = sdx_trainer_cell(t, port);
    if (!cell) return NULL;
    return port.kind == SDX_PORT_GRADIENT || port.kind == SDX_PORT_INPUT_GRADIENT ? &cell->now : &cell->next;
}

static double number(const sdx_tensor *tensor) {
    if (tensor->dtype == SDX_F32) return (double)*(const float *)tensor->data;
    if (tensor->dtype == SDX_F64) return *(const double *)tensor->data;
    uint16_t bits = *(const uint16_t *)tensor->data;
    return (double)(tensor->dtype == SDX_F16 ? sdx_f32_from_f16(bits) : sdx_f32_from_bf16(bits));
}

static void receive(sdx_trainer *t, sdx_port port, sdx_value *result, sdx_value **outputs) {
    sdx_value **place = place_out(t, port);
    if (port.kind == SDX_PORT_OUTPUT) {
        outputs[port.index] = result;
    } else if (port.kind == SDX_PORT_FIGURE) {
        t->figures[port.index] = number(&result->tensor);
        sdx_value_release(result);
    } else {
        sdx_value_release(*place);
        *place = result;
    }
}

uint64_t sdx_trainer_run_seed(const sdx_trainer *t) {
    uint64_t seed = sdx_mix64(t->options.seed + 0x9e3779b97f4a7c15u);
    seed = sdx_mix64(seed ^ ((uint64_t)t->schedule.step + 1));
    seed = sdx_mix64(seed ^ ((uint64_t)t->micro + 1));
    return seed ? seed : 1;
}

sdx_status sdx_program_run(sdx_trainer *t, sdx_program *program, const sdx_batch *batch, const volatile int *cancel,
                           const bool *wanted, sdx_value **outputs, sdx_error *error) {
    const sdx_run_options options = {.size = sizeof options, .cancel = cancel, .seed = sdx_trainer_run_seed(t)};
    bool updating = program == &t->programs[SDX_FORM_UPDATE];
    for (int k = 0; k < program->n_in; k++) program->inputs[k] = value_in(t, batch, program->in[k], updating);
    for (int j = 0; j < program->n_out; j++) {
        sdx_value **place = place_out(t, program->out[j]);
        program->given[j] = place ? *place : NULL;
        program->wanted[j] = program->out[j].kind != SDX_PORT_OUTPUT || (wanted && wanted[program->out[j].index]);
    }
    SDX_TRY(sdx_session_execute_into(program->session, &options, program->inputs, program->given, program->wanted,
                                     program->results, error));
    for (int j = 0; j < program->n_out; j++)
        if (program->wanted[j]) receive(t, program->out[j], program->results[j], outputs);
    return SDX_OK;
}

static void set_dial(sdx_trainer *t, size_t dial, double value) {
    sdx_value **forms = &t->dials[dial * SDX_DIAL_FORMS];
    *(float *)forms[0]->tensor.data = (float)value;
    *(double *)forms[1]->tensor.data = value;
    *(uint16_t *)forms[2]->tensor.data = sdx_f16_from_f64(value);
    *(uint16_t *)forms[3]->tensor.data = sdx_bf16_from_f64(value);
}

/* ---- Finite ---------------------------------------------------------------------------------------------------- */

/* No exponent is all ones. The loops have no early exit, so that they are vectorised. */
static bool all_finite(const sdx_tensor *tensor) {
    unsigned bad = 0;
    if (tensor->dtype == SDX_F32) {
        const uint32_t *bits = tensor->data;
        for (int64_t i = 0; i < tensor->count; i++) bad |= (bits[i] & 0x7f800000u) == 0x7f800000u;
    } else if (tensor->dtype == SDX_F64) {
        const uint64_t *bits = tensor->data, mask = 0x7ff0000000000000u;
        for (int64_t i = 0; i < tensor->count; i++) bad |= (bits[i] & mask) == mask;
    } else {
        const uint16_t *bits = tensor->data, mask = tensor->dtype == SDX_BF16 ? 0x7f80u : 0x7c00u;
        for (int64_t i = 0; i < tensor->count; i++) bad |= (bits[i] & mask) == mask;
    }
    return !bad;
}

enum { WHAT = 192 };

/* Figures, gradients and sums of gradients that the program has just written. what: the first that is not finite. */
static bool finite_outputs(sdx_trainer *t, const sdx_program *program, char what[WHAT]) {
    for (int j = 0; j < program->n_out; j++) {
        sdx_port port = program->out[j];
        if (port.kind == SDX_PORT_FIGURE && !isfinite(t->figures[port.index])) {
            const char *name = port.index == SDX_FIGURE_NORM      ? "norm of the gradients"
                               : port.index >= SDX_FIGURE_PENALTY ? "value of a penalty"
                                                                  : "loss";
            snprintf(what, WHAT, "%s", name);
            return false;
        }
        if (port.kind != SDX_PORT_GRADIENT && port.kind != SDX_PORT_SUM) continue;
        if (all_finite(&(*place_out(t, port))->tensor)) continue;
        const char *own = t->infos[t->weights[port.index].variable].name;
        char name[128];
        snprintf(what, WHAT, "gradient of '%s'", sdx_escape(name, sizeof name, own, strlen(own)));
        return false;
    }
    return true;
}

static sdx_status bad_step(const sdx_trainer *t, const char *what, sdx_step_result *result, sdx_error *error) {
    result->step = t->schedule.step;
    result->skipped = true;
    result->updated = false;
    if (t->options.bad_step == SDX_BAD_STEP_SKIP) return SDX_OK;
    return sdx_fail(error, SDX_VALUE, "step %" PRId64 ": the %s is not finite; nothing has changed",
                    t->schedule.step + 1, what);
}

/* ---- A step ---------------------------------------------------------------------------------------------------- */

static void describe(sdx_trainer *t, sdx_step_result *result) {
    for (size_t k = 0; k < t->options.n_penalties; k++) t->penalties[k] = t->figures[SDX_FIGURE_PENALTY + k];
    *result = (sdx_step_result){.step = t->schedule.step,
                                .loss = t->figures[SDX_FIGURE_LOSS],
                                .n_penalties = t->options.n_penalties,
                                .penalties = t->penalties};
}

static double group_lr(const sdx_trainer *t, size_t group) {
    const sdx_optimizer_options *optimizer = &t->options.optimizer;
    return group > 0 && optimizer->groups[group - 1].has_lr ? optimizer->groups[group - 1].lr : t->base_lr;
}

/* Sets lr, step and the sums' divisors; returns the factor on every lr. */
static double set_dials(sdx_trainer *t, double denominator, double samples) {
    double factor =
        sdx_schedule_factor(&t->options.schedule, &t->schedule, t->base_lr, t->steps_expected, t->epochs_expected);
    set_dial(t, SDX_DIAL_STEP, (double)(t->schedule.step + 1));
    set_dial(t, SDX_DIAL_DENOMINATOR, denominator);
    set_dial(t, SDX_DIAL_SAMPLES, samples);
    for (size_t g = 0; g <= t->options.optimizer.n_groups; g++) set_dial(t, SDX_DIAL_LR + g, group_lr(t, g) * factor);
    return factor;
}

/* Moves in what the program has left in `next`. */
static void advance(sdx_trainer *t, const sdx_program *program) {
    for (int j = 0; j < program->n_out; j++) {
        sdx_value **place = place_out(t, program->out[j]);
        sdx_cell *cell = sdx_trainer_cell(t, program->out[j]);
        if (place && place == &cell->next) sdx_cell_advance(cell, t->memory);
    }
}

void sdx_trainer_clear_sums(sdx_trainer *t) {
    for (int w = 0; w < t->n_weights; w++)
        for (int p = 0; p < SDX_PARTS; p++) {
            const sdx_value *sum = t->weights[w].sum[p].now;
            if (sum) memset(sum->tensor.data, 0, sdx_tensor_bytes(&sum->tensor));
        }
}

/* Sums over the micro-batches up to this one. */
typedef struct totals {
    double numerator, denominator, samples;
} totals;

static sdx_status update(sdx_trainer *t, const totals *sums, const volatile int *cancel, sdx_step_result *result,
                         sdx_error *error) {
    double factor = set_dials(t, sums->denominator, sums->samples);
    t->figures[SDX_FIGURE_NORM] = 0;
    SDX_TRY(sdx_program_run(t, &t->programs[SDX_FORM_UPDATE], &t->batch, cancel, NULL, NULL, error));
    result->gradient_norm = t->figures[SDX_FIGURE_NORM];
    result->lr = group_lr(t, 0) * factor;
    result->updated = true;
    return SDX_OK;
}

/* Nothing can fail here. */
static void settle(sdx_trainer *t, const sdx_program *gradient, const totals *sums, sdx_step_result *result) {
    advance(t, gradient);
    if (result->updated) {
        advance(t, &t->programs[SDX_FORM_UPDATE]);
        sdx_trainer_clear_sums(t);
        t->numerator = t->denominator = t->samples = 0;
        t->micro = 0;
        t->schedule.step++;
    } else {
        t->numerator = sums->numerator;
        t->denominator = sums->denominator;
        t->samples = sums->samples;
        t->micro++;
    }
    t->has_gradients |= result->updated;
    result->step = t->schedule.step;
}

/* The first sample of the first batch, or the whole of it where the model fixes the size; without room for it, none. */
static void keep_sample(sdx_trainer *t) {
    if (t->has_sample) return;
    for (int k = 0; k < t->n_batch; k++) {
        const sdx_value *value = t->batch.inputs[k];
        if (!value || value->kind != SDX_TENSOR) continue;
        sdx_tensor part = value->tensor;
        if (part.rank > 0 && part.dim[0] > 0 && t->batch_infos[k].rank > 0 && t->batch_infos[k].dims[0] < 0) {
            part.count /= part.dim[0];
            part.dim[0] = 1;
        }
        sdx_value_release(t->sample[k]);
        t->sample[k] = sdx_value_copy_tensor(t->memory, &part, NULL);
        if (!t->sample[k]) return;
    }
    t->has_sample = true;
}

/* A schedule over a length that nobody has said would be a wrong one. */
static sdx_status check_length(const sdx_trainer *t, sdx_error *error) {
    const sdx_schedule_options *s = &t->options.schedule;
    bool shaped = s->kind == SDX_SCHEDULE_COSINE || s->kind == SDX_SCHEDULE_LINEAR;
    bool needs = s->kind == SDX_SCHEDULE_ONE_CYCLE || (shaped && s->per_step);
    if (!needs || s->total > 0 || t->steps_expected > 0) return SDX_OK;
    return sdx_fail(
        error, SDX_VALUE,
        "the schedule must know how many steps there will be: 'schedule.total' says it, or sdx_trainer_fit");
}

static sdx_status check_trains(const sdx_trainer *t, sdx_error *error) {
    if (!t->options.evaluate_only) return SDX_OK;
    return sdx_fail(error, SDX_ARGUMENT, "the trainer was made with evaluate_only: nothing is trained");
}

sdx_status sdx_trainer_take_step(sdx_trainer *t, const volatile int *cancel, sdx_step_result *result,
                                 sdx_error *error) {
    sdx_program *program = NULL;
    char what[WHAT];
    SDX_TRY(check_trains(t, error));
    SDX_TRY(check_length(t, error));
    t->has_gradients = false;
    SDX_TRY(sdx_trainer_program(t, SDX_FORM_TRAIN, t->batch.label, error, &program));
    SDX_TRY(sdx_program_run(t, program, &t->batch, cancel, NULL, NULL, error));
    describe(t, result);
    if (!finite_outputs(t, program, what)) return bad_step(t, what, result, error);
    totals sums = {t->numerator + t->figures[SDX_FIGURE_NUMERATOR], t->denominator + t->figures[SDX_FIGURE_DENOMINATOR],
                   t->samples + t->figures[SDX_FIGURE_SAMPLES]};
    if (t->options.accumulate > 1) result->loss = sums.numerator / sums.denominator;
    if (t->micro + 1 >= t->options.accumulate) {
        SDX_TRY(update(t, &sums, cancel, result, error));
        if (!finite_outputs(t, &t->programs[SDX_FORM_UPDATE], what)) return bad_step(t, what, result, error);
    }
    settle(t, program, &sums, result);
    keep_sample(t);
    return SDX_OK;
}

sdx_status sdx_trainer_take_gradients(sdx_trainer *t, sdx_step_result *result, sdx_error *error) {
    sdx_program *program = NULL;
    sdx_form form = t->options.accumulate > 1 ? SDX_FORM_MEAN : SDX_FORM_TRAIN;
    SDX_TRY(check_trains(t, error));
    t->has_gradients = false;
    SDX_TRY(sdx_trainer_program(t, form, t->batch.label, error, &program));
    SDX_TRY(sdx_program_run(t, program, &t->batch, NULL, NULL, NULL, error));
    describe(t, result);
    t->has_gradients = true;
    return SDX_OK;
}

sdx_status sdx_trainer_take_evaluation(sdx_trainer *t, const volatile int *cancel, sdx_step_result *result,
                                       const bool *wanted, sdx_value **outputs, sdx_error *error) {
    sdx_program *program = NULL;
    bool labelled = t->batch.label || t->label_input >= 0 || !sdx_loss_has_label(t->options.loss.kind);
    SDX_TRY(sdx_trainer_program(t, labelled ? SDX_FORM_EVALUATE : SDX_FORM_PREDICT, t->batch.label, error, &program));
    SDX_TRY(sdx_program_run(t, program, &t->batch, cancel, wanted, outputs, error));
    describe(t, result);
    if (labelled) return SDX_OK;
    result->loss = (double)NAN;
    for (size_t k = 0; k < t->options.n_penalties; k++) t->penalties[k] = (double)NAN;
    return SDX_OK;
}

sdx_status sdx_trainer_take_prediction(sdx_trainer *t, const bool *wanted, sdx_value **outputs, sdx_error *error) {
    sdx_program *program = NULL;
    SDX_TRY(sdx_trainer_program(t, SDX_FORM_PREDICT, NULL, error, &program));
    return sdx_program_run(t, program, &t->batch, NULL, wanted, outputs, error);
}
