/* SPDX-License-Identifier: Apache-2.0
 * The public functions of sardonyx.h on models and sessions: check arguments, then one call down. Those on values are
 * in base/value.c, closing and destroying where models and sessions are made. */
#include "runtime/api.h"
#include "runtime/exec/bindings.h"
#include "runtime/load/load.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Options -------------------------------------------------------------------------------------------------- */

sdx_status sdx_read_options(const void *given, const char *what, size_t known, void *into, sdx_error *error) {
    if (!given) return SDX_OK;
    size_t size = 0;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > known)
        return sdx_fail(error, SDX_ARGUMENT, "size of %s is %zu; this library takes up to %zu", what, size, known);
    memcpy(into, given, size);
    return SDX_OK;
}

sdx_status sdx_need(const void *pointer, const char *name, sdx_error *error) {
    return pointer ? SDX_OK : sdx_fail(error, SDX_ARGUMENT, "'%s' is NULL", name);
}

/* ---- Models --------------------------------------------------------------------------------------------------- */

static sdx_status model_options(const sdx_model_options *given, sdx_model_options *options, sdx_error *error) {
    *options = (sdx_model_options){.size = sizeof *options};
    SDX_TRY(sdx_read_options(given, "sdx_model_options", sizeof *options, options, error));
    if (options->optimise != SDX_OPTIMISE_ALL && options->optimise != SDX_OPTIMISE_PORTABLE &&
        options->optimise != SDX_OPTIMISE_NONE)
        return sdx_fail(error, SDX_ARGUMENT, "'optimise' is %d; it must be 0, 1 or 2", (int)options->optimise);
    if (options->threads < 0)
        return sdx_fail(error, SDX_ARGUMENT, "'threads' is %d; it must be >= 0", options->threads);
    return SDX_OK;
}

/* The folder of `path`: where external data lies when the caller names none. To free. */
char *sdx_folder_of(const char *path, sdx_error *error) {
    const char *slash = strrchr(path, '/');
    size_t size = slash ? slash == path ? 1 : (size_t)(slash - path) : 1;
    char *folder = malloc(size + 1);
    if (!folder) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size + 1), NULL;
    memcpy(folder, slash ? path : ".", size);
    folder[size] = '\0';
    return folder;
}

sdx_status sdx_model_open(const char *path, const sdx_model_options *given, sdx_error *error, sdx_model **out) {
    sdx_model_options options;
    sdx_source source;
    SDX_TRY(sdx_need(out, "out", error));
    *out = NULL;
    SDX_TRY(sdx_need(path, "path", error));
    SDX_TRY(model_options(given, &options, error));
    char *folder = options.base_folder ? NULL : sdx_folder_of(path, error);
    if (folder) options.base_folder = folder;
    sdx_status status = options.base_folder ? sdx_source_open(path, error, &source) : SDX_OUT_OF_MEMORY;
    if (status == SDX_OK) {
        const char *slash = strrchr(path, '/');
        status = sdx_load_source(&source, slash ? slash + 1 : path, &options, error, out);
        sdx_source_close(&source);
    }
    free(folder);
    return status;
}

sdx_status sdx_model_from_memory(const void *bytes, size_t size, const sdx_model_options *given, sdx_error *error,
                                 sdx_model **out) {
    sdx_model_options options;
    sdx_source source;
    SDX_TRY(sdx_need(out, "out", error));
    *out = NULL;
    SDX_TRY(sdx_need(bytes, "bytes", error));
    SDX_TRY(model_options(given, &options, error));
    sdx_source_from_memory(bytes, size, &source);
    return sdx_load_source(&source, "model", &options, error, out);
}

sdx_status sdx_model_save(const sdx_model *model, const char *path, const char *external_data, sdx_error *error) {
    SDX_TRY(sdx_need(model, "model", error));
    SDX_TRY(sdx_need(path, "path", error));
    return sdx_load_save(model, path, external_data, error);
}

size_t sdx_model_input_count(const sdx_model *model) { return model ? model->n_inputs : 0; }
size_t sdx_model_output_count(const sdx_model *model) { return model ? model->n_outputs : 0; }

const sdx_value_info *sdx_model_input(const sdx_model *model, size_t index) {
    return model && index < model->n_inputs ? &model->inputs[index] : NULL;
}

const sdx_value_info *sdx_model_output(const sdx_model *model, size_t index) {
    return model && index < model->n_outputs ? &model->outputs[index] : NULL;
}

/* ---- Sessions ------------------------------------------------------------------------------------------------- */

sdx_status sdx_session_create(const sdx_model *model, const sdx_session_options *given, sdx_error *error,
                              sdx_session **out) {
    sdx_session_options options = {.size = sizeof options};
    sdx_memory *memory = NULL;
    SDX_TRY(sdx_need(out, "out", error));
    *out = NULL;
    SDX_TRY(sdx_need(model, "model", error));
    SDX_TRY(sdx_read_options(given, "sdx_session_options", sizeof options, &options, error));
    if (options.threads < 0) return sdx_fail(error, SDX_ARGUMENT, "'threads' is %d; it must be >= 0", options.threads);
    SDX_TRY(sdx_memory_create(options.memory_limit, error, &memory));
    union {
        const sdx_model *given;
        sdx_model *shared; /* immutable but for its count of references */
    } owner = {model};
    return sdx_session_make(owner.shared, &options, memory, error, out);
}

static sdx_status run_options(const sdx_run_options *given, sdx_run_options *options, sdx_error *error) {
    *options = (sdx_run_options){.size = sizeof *options};
    SDX_TRY(sdx_read_options(given, "sdx_run_options", sizeof *options, options, error));
    if (!isfinite(options->deadline) || options->deadline < 0)
        return sdx_fail(error, SDX_ARGUMENT, "'deadline' is %g; it must be finite and >= 0", options->deadline);
    return SDX_OK;
}

sdx_status sdx_session_run_with(sdx_session *session, const sdx_run_options *given, const sdx_binding *in, size_t n_in,
                                sdx_binding *out, size_t n_out, sdx_error *error) {
    enum { FEW = 32 };
    struct {
        sdx_value *inputs[FEW], *results[FEW];
        bool wanted[FEW];
    } few = {{NULL}, {NULL}, {false}};
    sdx_run_options options;
    SDX_TRY(sdx_need(session, "session", error));
    if (n_in) SDX_TRY(sdx_need(in, "in", error));
    if (n_out) SDX_TRY(sdx_need(out, "out", error));
    SDX_TRY(run_options(given, &options, error));
    const sdx_model *model = sdx_session_model(session);
    size_t n = model->n_inputs > model->n_outputs ? model->n_inputs : model->n_outputs;
    void *many = n > FEW ? calloc(n, 2 * sizeof(sdx_value *) + sizeof(bool)) : NULL;
    if (n > FEW && !many) return sdx_fail(error, SDX_OUT_OF_MEMORY, "room for %zu values asked for", n);
    sdx_value **inputs = many ? many : few.inputs, **results = many ? inputs + n : few.results;
    bool *wanted = many ? (bool *)(results + n) : few.wanted;
    sdx_status status = sdx_match_inputs(model->inputs, model->n_inputs, in, n_in, inputs, error);
    if (!status) status = sdx_match_outputs(model->outputs, model->n_outputs, out, n_out, wanted, error);
    if (!status) status = sdx_session_execute(session, &options, inputs, wanted, results, error);
    if (!status) sdx_give_outputs(model->outputs, model->n_outputs, results, out, n_out);
    free(many);
    return status;
}

sdx_status sdx_session_run(sdx_session *session, const sdx_binding *in, size_t n_in, sdx_binding *out, size_t n_out,
                           sdx_error *error) {
    return sdx_session_run_with(session, NULL, in, n_in, out, n_out, error);
}

sdx_status sdx_session_profile(const sdx_session *session, sdx_error *error, sdx_profile_row **rows, size_t *n) {
    SDX_TRY(sdx_need(rows, "rows", error));
    SDX_TRY(sdx_need(n, "n", error));
    *rows = NULL;
    *n = 0;
    SDX_TRY(sdx_need(session, "session", error));
    if (!sdx_session_profiles(session))
        return sdx_fail(error, SDX_ARGUMENT, "the session was created without 'profile'");
    return sdx_session_rows(session, error, rows, n);
}

void sdx_session_memory(const sdx_session *session, size_t *used, size_t *peak) {
    size_t now = 0, most = 0;
    if (session) sdx_session_bytes(session, &now, &most);
    if (used) *used = now;
    if (peak) *peak = most;
}
