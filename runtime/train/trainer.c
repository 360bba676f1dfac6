/* SPDX-License-Identifier: Apache-2.0
 * Making and destroying a trainer; cells and notes. */
#include "runtime/train/trainer.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Cells ----------------------------------------------------------------------------------------------------- */

void sdx_cell_clear(sdx_cell *cell) {
    sdx_value_release(cell->now);
    sdx_value_release(cell->next);
    *cell = (sdx_cell){NULL, NULL};
}

void sdx_cell_advance(sdx_cell *cell, const sdx_memory *memory) {
    sdx_value *old = cell->now;
    if (!cell->next) return;
    cell->now = cell->next;
    cell->next = NULL;
    if (old && old->memory == memory && old->owned && atomic_load(&old->references) == 1)
        cell->next = old;
    else
        sdx_value_release(old);
}

sdx_cell *sdx_trainer_cell(sdx_trainer *t, sdx_port port) {
    sdx_weight *weight = &t->weights[port.index];
    switch (port.kind) {
    case SDX_PORT_VARIABLE: return &t->variables[port.index];
    case SDX_PORT_SLOT: return &weight->slot[port.part];
    case SDX_PORT_EMA: return &weight->ema;
    case SDX_PORT_SUM: return &weight->sum[port.part];
    case SDX_PORT_GRADIENT: return &weight->gradient;
    case SDX_PORT_INPUT_GRADIENT: return &t->input_gradients[port.index];
    case SDX_PORT_BATCH:
    case SDX_PORT_LABEL:
    case SDX_PORT_DIAL:
    case SDX_PORT_FIGURE:
    case SDX_PORT_OUTPUT: break;
    }
    return NULL;
}

/* ---- Notes ----------------------------------------------------------------------------------------------------- */

static sdx_status keep_note(sdx_trainer *t, const char *text, sdx_error *error) {
    if (t->n_notes == t->notes_capacity) {
        size_t capacity = t->notes_capacity ? 2 * t->notes_capacity : 8;
        const char **more = SDX_NEW_ARRAY(&t->arena, const char *, capacity, error);
        if (!more) return error->status;
        if (t->n_notes) memcpy(more, t->notes, t->n_notes * sizeof *more);
        t->notes = more;
        t->notes_capacity = capacity;
    }
    t->notes[t->n_notes] = sdx_arena_copy(&t->arena, text, strlen(text), error);
    if (!t->notes[t->n_notes]) return error->status;
    t->n_notes++;
    return SDX_OK;
}

sdx_status sdx_trainer_add_note(sdx_trainer *t, sdx_error *error, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return keep_note(t, text, error);
}

/* ---- Labels ---------------------------------------------------------------------------------------------------- */

const char *sdx_trainer_label_name(const sdx_trainer *t) { return t->options.loss.label ? t->options.loss.label : "y"; }

void sdx_trainer_label_type(const sdx_trainer *t, sdx_type *type) {
    const sdx_graph *graph = t->prepared->training->graph;
    const sdx_type *output = &graph->values[t->prepared->outputs[0]].type;
    sdx_loss_kind kind = t->options.loss.kind;
    *type = *output;
    if (kind == SDX_LOSS_COSINE_EMBEDDING && output->rank > 1) type->rank = 1;
    if (kind != SDX_LOSS_CROSS_ENTROPY && kind != SDX_LOSS_NLL) return;
    type->dtype = SDX_I64;
    if (output->rank < 2) return;
    type->rank--;
    for (int d = 1; d < type->rank; d++) type->dim[d] = output->dim[d + 1];
}

/* ---- Making ---------------------------------------------------------------------------------------------------- */

static const sdx_value_info *find_info(const sdx_model *model, const char *name) {
    for (size_t k = 0; k < model->n_inputs; k++)
        if (strcmp(model->inputs[k].name, name) == 0) return &model->inputs[k];
    return NULL;
}

static bool is_variable(const sdx_trainer *t, sdx_id id) {
    for (int v = 0; v < t->prepared->n_variables; v++)
        if (t->prepared->variables[v].id == id) return true;
    return false;
}

static sdx_status list_batch(sdx_trainer *t, sdx_error *error) {
    const sdx_graph *graph = t->prepared->training->graph;
    t->batch_infos = SDX_NEW_ARRAY(&t->arena, sdx_value_info, graph->n_inputs, error);
    t->batch.inputs = SDX_NEW_ARRAY(&t->arena, sdx_value *, graph->n_inputs, error);
    t->sample = SDX_NEW_ARRAY(&t->arena, sdx_value *, graph->n_inputs, error);
    t->label_input = -1;
    if (!t->batch_infos || !t->batch.inputs || !t->sample) return error->status;
    for (int k = 0; k < graph->n_inputs; k++) {
        if (is_variable(t, graph->inputs[k])) continue;
        const char *name = graph->values[graph->inputs[k]].name;
        const sdx_value_info *info = find_info(t->prepared->inference, name);
        if (!info) return sdx_fail(error, SDX_ARGUMENT, "'%s' is no input of the model in inference form", name);
        if (sdx_loss_has_label(t->options.loss.kind) && strcmp(name, sdx_trainer_label_name(t)) == 0)
            t->label_input = t->n_batch;
        t->batch_infos[t->n_batch++] = *info;
    }
    return SDX_OK;
}

static void describe_variable(const sdx_variable *variable, sdx_parameter_info *info) {
    const sdx_tensor *tensor = &variable->value->tensor;
    *info = (sdx_parameter_info){.name = variable->name,
                                 .path = variable->path,
                                 .node = variable->node,
                                 .role = variable->role,
                                 .trained = variable->trained,
                                 .dtype = tensor->dtype,
                                 .rank = tensor->rank,
                                 .dims = tensor->dim};
}

static sdx_status list_variables(sdx_trainer *t, sdx_error *error) {
    int n = t->prepared->n_variables;
    t->infos = SDX_NEW_ARRAY(&t->arena, sdx_parameter_info, n, error);
    t->variables = SDX_NEW_ARRAY(&t->arena, sdx_cell, n, error);
    if (!t->infos || !t->variables) return error->status;
    for (int v = 0; v < n; v++) {
        describe_variable(&t->prepared->variables[v], &t->infos[v]);
        t->variables[v].now = sdx_value_retain(t->prepared->variables[v].value);
    }
    for (int k = 0; k < t->prepared->n_notes; k++) SDX_TRY(keep_note(t, t->prepared->notes[k], error));
    return SDX_OK;
}

static sdx_status make_dials(sdx_trainer *t, sdx_error *error) {
    static const sdx_dtype forms[SDX_DIAL_FORMS] = {SDX_F32, SDX_F64, SDX_F16, SDX_BF16};
    t->n_dials = SDX_DIAL_LR + 1 + t->options.optimizer.n_groups;
    t->dials = SDX_NEW_ARRAY(&t->arena, sdx_value *, t->n_dials * SDX_DIAL_FORMS, error);
    if (!t->dials) return error->status;
    for (size_t k = 0; k < t->n_dials * SDX_DIAL_FORMS; k++) {
        t->dials[k] = sdx_value_new_tensor(t->memory, forms[k % SDX_DIAL_FORMS], 0, NULL, error);
        if (!t->dials[k]) return error->status;
    }
    return SDX_OK;
}

static sdx_status make_figures(sdx_trainer *t, sdx_error *error) {
    t->n_figures = SDX_FIGURE_PENALTY + t->options.n_penalties;
    t->figures = SDX_NEW_ARRAY(&t->arena, double, t->n_figures, error);
    t->penalties = SDX_NEW_ARRAY(&t->arena, double, t->options.n_penalties, error);
    t->input_gradients = SDX_NEW_ARRAY(&t->arena, sdx_cell, t->options.n_input_gradients, error);
    return t->figures && t->penalties && t->input_gradients ? SDX_OK : error->status;
}

static sdx_status build_programs(sdx_trainer *t, sdx_error *error) {
    sdx_type label = {.kind = 0};
    if (t->options.evaluate_only) return SDX_OK;
    if (sdx_loss_has_label(t->options.loss.kind)) sdx_trainer_label_type(t, &label);
    SDX_TRY(sdx_gradient_build(t, SDX_FORM_TRAIN, &label, error));
    return sdx_update_build(t, error);
}

static sdx_status set_up(sdx_trainer *t, const sdx_model *model, const sdx_train_options *options, sdx_error *error) {
    SDX_TRY(sdx_train_options_copy(options, &t->arena, error, &t->options));
    SDX_TRY(sdx_optimizer_base(&t->options.optimizer, &t->base_lr, &t->base_decay, error));
    int threads = t->options.threads > 0 ? t->options.threads : sdx_machine_threads();
    if (threads > 1) SDX_TRY(sdx_pool_create(threads, t->memory, error, &t->pool));
    SDX_TRY(sdx_prepare(model, &t->options, error, &t->prepared));
    SDX_TRY(sdx_trainer_fit_limit(t, error));
    SDX_TRY(list_batch(t, error));
    SDX_TRY(list_variables(t, error));
    SDX_TRY(sdx_penalties_check(t, error));
    SDX_TRY(make_dials(t, error));
    SDX_TRY(make_figures(t, error));
    t->n_slots = sdx_optimizer_slots(&t->options.optimizer, t->slot_names, t->slot_fill);
    sdx_schedule_start(&t->schedule);
    t->fit.best = INFINITY;
    t->epochs_expected = t->options.epochs;
    return build_programs(t, error);
}

sdx_status sdx_trainer_make(const sdx_model *model, const sdx_train_options *options, sdx_error *error,
                            sdx_trainer **out) {
    sdx_error own = {0};
    sdx_memory *memory = NULL;
    sdx_arena arena;
    if (!error) error = &own;
    *out = NULL;
    SDX_TRY(sdx_memory_create(options->memory_limit, error, &memory));
    sdx_arena_init(&arena, memory);
    sdx_trainer *t = SDX_NEW(&arena, sdx_trainer, error);
    if (!t) {
        sdx_memory_drop(memory);
        return error->status;
    }
    t->memory = memory;
    t->arena = arena;
    sdx_status status = set_up(t, model, options, error);
    if (status == SDX_OK)
        *out = t;
    else
        sdx_trainer_destroy(t);
    return status;
}

static void clear_weight(sdx_weight *weight) {
    for (int s = 0; s < SDX_MOST_SLOTS; s++) sdx_cell_clear(&weight->slot[s]);
    for (int p = 0; p < SDX_PARTS; p++) sdx_cell_clear(&weight->sum[p]);
    sdx_cell_clear(&weight->ema);
    sdx_cell_clear(&weight->gradient);
}

void sdx_trainer_destroy(sdx_trainer *t) {
    if (!t) return;
    for (int f = 0; f < SDX_FORMS; f++) sdx_program_clear(&t->programs[f]);
    for (int v = 0; t->variables && v < t->prepared->n_variables; v++) sdx_cell_clear(&t->variables[v]);
    for (int w = 0; w < t->n_weights; w++) clear_weight(&t->weights[w]);
    for (size_t k = 0; t->input_gradients && k < t->options.n_input_gradients; k++)
        sdx_cell_clear(&t->input_gradients[k]);
    for (int k = 0; k < t->n_batch; k++) sdx_value_release(t->sample[k]);
    for (size_t k = 0; t->dials && k < t->n_dials * SDX_DIAL_FORMS; k++) sdx_value_release(t->dials[k]);
    sdx_prepared_free(t->prepared);
    sdx_pool_destroy(t->pool);
    sdx_memory *memory = t->memory;
    sdx_arena arena = t->arena;
    sdx_arena_release(&arena);
    sdx_memory_drop(memory);
}

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

/* Models have memory of their own; the trainer's holds the rest. */
static void add_model(const sdx_model *model, size_t *used, size_t *peak) {
    if (!model) return;
    *used += sdx_memory_used(model->memory);
    *peak += sdx_memory_peak(model->memory);
}

sdx_status sdx_trainer_rows(const sdx_trainer *t, sdx_error *error, sdx_profile_row **rows, size_t *n) {
    static const sdx_form forms[] = {SDX_FORM_TRAIN, SDX_FORM_UPDATE};
    sdx_profile_row *part[2] = {NULL, NULL};
    size_t count[2] = {0, 0};
    sdx_status status = SDX_OK;
    for (int k = 0; k < 2 && !status; k++) {
        const sdx_session *session = t->programs[forms[k]].session;
        if (session) status = sdx_session_rows(session, error, &part[k], &count[k]);
    }
    size_t all = count[0] + count[1];
    sdx_profile_row *joined = status ? NULL : malloc((all ? all : 1) * sizeof *joined);
    if (!status && !joined) status = sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu rows asked for", all);
    if (count[0] && joined) memcpy(joined, part[0], count[0] * sizeof *joined);
    if (count[1] && joined) memcpy(joined + count[0], part[1], count[1] * sizeof *joined);
    free(part[0]);
    free(part[1]);
    *rows = joined;
    *n = status ? 0 : all;
    return status;
}

void sdx_trainer_bytes(const sdx_trainer *t, size_t *used, size_t *peak) {
    *used = sdx_memory_used(t->memory);
    *peak = sdx_memory_peak(t->memory);
    if (t->prepared) {
        add_model(t->prepared->inference, used, peak);
        add_model(t->prepared->training, used, peak);
    }
    for (int f = 0; f < SDX_FORMS; f++) add_model(t->programs[f].model, used, peak);
}

sdx_status sdx_trainer_fit_limit(sdx_trainer *t, sdx_error *error) {
    size_t limit = t->options.memory_limit, used = 0, peak = 0;
    if (limit == 0) return SDX_OK;
    sdx_trainer_bytes(t, &used, &peak);
    if (used > limit) return sdx_fail(error, SDX_LIMIT, "the trainer holds %zu bytes; the limit is %zu", used, limit);
    t->memory->limit = limit - (used - sdx_memory_used(t->memory));
    return SDX_OK;
}
