/* SPDX-License-Identifier: Apache-2.0
 * Graphs whose inputs and outputs have ports, and the programs they become. */
#include "runtime/train/trainer.h"
#include <stdio.h>
#include <string.h>

static sdx_status sticky(sdx_builder *b, sdx_status status) {
    if (b->patch.status == SDX_OK) b->patch.status = status;
    return b->patch.status;
}

sdx_status sdx_builder_begin(sdx_builder *b, sdx_trainer *trainer, const sdx_model *base, const char *name,
                             sdx_error *error) {
    *b = (sdx_builder){.trainer = trainer, .error = error};
    SDX_TRY(base ? sdx_model_copy(base, error, &b->model) : sdx_model_create(name, 0, error, &b->model));
    b->graph = b->model->graph;
    sdx_graph_clear_outputs(b->graph);
    sdx_patch_begin(&b->patch, b->graph, error);
    for (int k = 0; k < b->graph->n_inputs; k++) sdx_builder_tie(b, k, (sdx_port){SDX_PORT_BATCH, k, 0});
    return b->patch.status;
}

void sdx_builder_drop(sdx_builder *b) {
    sdx_model_close(b->model);
    b->model = NULL;
}

sdx_status sdx_builder_settle(sdx_builder *b) {
    SDX_TRY(sdx_patch_commit(&b->patch));
    SDX_TRY(sticky(b, sdx_settle_graph(b->graph, b->error)));
    sdx_patch_begin(&b->patch, b->graph, b->error);
    return SDX_OK;
}

/* ---- Ports ----------------------------------------------------------------------------------------------------- */

/* ports[k] = port; arrays double. */
static void put(sdx_builder *b, sdx_port **ports, int *n, int k, sdx_port port) {
    if (b->patch.status) return;
    if (k >= *n && (*n & (*n - 1)) == 0) {
        sdx_port *more = SDX_NEW_ARRAY(&b->model->arena, sdx_port, *n ? 2 * *n : 1, b->error);
        if (!more) return (void)sticky(b, b->error->status);
        if (*n) memcpy(more, *ports, (size_t)*n * sizeof *more);
        *ports = more;
    }
    if (k >= *n) *n = k + 1;
    (*ports)[k] = port;
}

void sdx_builder_tie(sdx_builder *b, int k, sdx_port port) { put(b, &b->in, &b->n_in, k, port); }

static bool name_is_taken(const sdx_graph *graph, const char *name) {
    for (int id = 0; id < graph->n_values; id++)
        if (strcmp(graph->values[id].name, name) == 0) return true;
    return false;
}

/* Inputs of the graph are variables, in the ids of the training form or the exported one, or the batch's in order. */
static void tie_inputs(sdx_builder *b, bool training) {
    const sdx_prepared *prepared = b->trainer->prepared;
    for (int k = 0, n_batch = 0; k < b->graph->n_inputs; k++) {
        int found = -1;
        for (int v = 0; v < prepared->n_variables && found < 0; v++) {
            const sdx_variable *variable = &prepared->variables[v];
            if ((training ? variable->id : variable->exported) == b->graph->inputs[k]) found = v;
        }
        sdx_builder_tie(b, k,
                        found >= 0 ? (sdx_port){SDX_PORT_VARIABLE, found, 0} : (sdx_port){SDX_PORT_BATCH, n_batch, 0});
        n_batch += found < 0;
    }
}

sdx_status sdx_builder_tie_training(sdx_builder *b) {
    tie_inputs(b, true);
    return b->patch.status;
}

sdx_status sdx_builder_free_variables(sdx_builder *b, sdx_id *ids) {
    const sdx_prepared *prepared = b->trainer->prepared;
    for (int v = 0; v < prepared->n_variables; v++) {
        if (ids) ids[v] = prepared->variables[v].exported;
        SDX_TRY(sticky(b, sdx_graph_make_input(b->graph, prepared->variables[v].exported, b->error)));
    }
    tie_inputs(b, false);
    return b->patch.status;
}

/* A value of that name, or of one with a number behind it when it is taken; NULL: any name. */
static sdx_id named_value(sdx_builder *b, const char *name, const sdx_type *type) {
    char text[256];
    if (b->patch.status) return SDX_NONE;
    if (name) {
        snprintf(text, sizeof text, "%s", name);
        for (int k = 2; name_is_taken(b->graph, text); k++) snprintf(text, sizeof text, "%.230s.%d", name, k);
    }
    sdx_id id = sdx_graph_add_value(b->graph, name ? text : NULL, type, b->error);
    if (id == SDX_NONE) sticky(b, b->error->status);
    return id;
}

sdx_id sdx_builder_input(sdx_builder *b, sdx_port port, const sdx_type *type, const char *name) {
    sdx_id id = named_value(b, name, type);
    if (id == SDX_NONE || sticky(b, sdx_graph_add_input(b->graph, id, b->error))) return SDX_NONE;
    sdx_builder_tie(b, b->graph->n_inputs - 1, port);
    return id;
}

void sdx_builder_output(sdx_builder *b, sdx_port port, sdx_id id, const char *name) {
    if (b->named) {
        sdx_id out = named_value(b, name, NULL);
        if (out == SDX_NONE) return;
        if (!sdx_graph_add_node(b->graph, "", "Identity", "", 1, &id, 1, &out, b->error))
            return (void)sticky(b, b->error->status);
        b->patch.changed = true;
        id = out;
    }
    if (b->patch.status || sticky(b, sdx_graph_add_output(b->graph, id, b->error))) return;
    put(b, &b->out, &b->n_out, b->graph->n_outputs - 1, port);
}

sdx_id sdx_builder_dial(sdx_builder *b, int dial, sdx_dtype dtype) {
    static const char *const names[] = {"step", "denominator", "samples", "lr"};
    static const sdx_dtype forms[SDX_DIAL_FORMS] = {SDX_F32, SDX_F64, SDX_F16, SDX_BF16};
    char name[64];
    int form = 0;
    while (form < SDX_DIAL_FORMS - 1 && forms[form] != dtype) form++;
    for (int k = 0; k < b->n_in; k++)
        if (b->in[k].kind == SDX_PORT_DIAL && b->in[k].index == dial && b->in[k].part == form)
            return b->graph->inputs[k];
    if (dial > SDX_DIAL_LR)
        snprintf(name, sizeof name, "lr.%d", dial - SDX_DIAL_LR);
    else
        snprintf(name, sizeof name, "%s", names[dial]);
    sdx_type type = sdx_type_make(forms[form], 0);
    return sdx_builder_input(b, (sdx_port){SDX_PORT_DIAL, dial, form}, &type, name);
}

/* ---- Programs -------------------------------------------------------------------------------------------------- */

static sdx_status make_program(sdx_builder *b, sdx_program *program) {
    const sdx_model_options options = {.size = sizeof options, .threads = 1};
    const sdx_session_options session = {.size = sizeof session, .profile = b->trainer->options.profile};
    sdx_arena *arena = &b->model->arena;
    SDX_TRY(sdx_patch_commit(&b->patch));
    SDX_TRY(sdx_load_emitted(b->model, &options, b->error));
    size_t n_in = (size_t)b->n_in, n_out = (size_t)b->n_out;
    *program = (sdx_program){.model = b->model, .n_in = b->n_in, .n_out = b->n_out, .in = b->in, .out = b->out};
    program->inputs = SDX_NEW_ARRAY(arena, sdx_value *, n_in, b->error);
    program->given = SDX_NEW_ARRAY(arena, sdx_value *, n_out, b->error);
    program->results = SDX_NEW_ARRAY(arena, sdx_value *, n_out, b->error);
    program->wanted = SDX_NEW_ARRAY(arena, bool, n_out, b->error);
    if (!program->inputs || !program->given || !program->results || !program->wanted) return b->error->status;
    return sdx_session_join(b->model, &session, b->trainer->memory, b->trainer->pool, b->error, &program->session);
}

sdx_status sdx_builder_finish(sdx_builder *b, sdx_program *out) {
    sdx_program program = {.model = NULL};
    sdx_status status = make_program(b, &program);
    if (status == SDX_OK) {
        sdx_program_clear(out);
        *out = program;
        b->model = NULL;
        status = sdx_trainer_fit_limit(b->trainer, b->error);
    }
    return status;
}

void sdx_program_clear(sdx_program *program) {
    sdx_session_destroy(program->session);
    sdx_model_close(program->model);
    *program = (sdx_program){.model = NULL};
}
