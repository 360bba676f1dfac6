/* SPDX-License-Identifier: Apache-2.0
 * The public functions of sardonyx.h on models and sessions: check arguments, then one call down. Those on values are
 * in base/value.c, closing and destroying where models and sessions are made. */
#include "runtime/exec/exec.h"
#include "runtime/load/load.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Options -------------------------------------------------------------------------------------------------- */

/* Callers compiled against an older header give fewer members; those they lack keep their defaults. */
static sdx_status read_options(const void *given, const char *what, size_t known, void *into, sdx_error *error) {
    if (!given) return SDX_OK;
    size_t size = 0;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > known)
        return sdx_fail(error, SDX_ARGUMENT, "size of %s is %zu; this library takes up to %zu", what, size, known);
    memcpy(into, given, size);
    return SDX_OK;
}

static sdx_status need(const void *pointer, const char *name, sdx_error *error) {
    return pointer ? SDX_OK : sdx_fail(error, SDX_ARGUMENT, "'%s' is NULL", name);
}

/* ---- Models --------------------------------------------------------------------------------------------------- */

static sdx_status model_options(const sdx_model_options *given, sdx_model_options *options, sdx_error *error) {
    *options = (sdx_model_options){.size = sizeof *options};
    SDX_TRY(read_options(given, "sdx_model_options", sizeof *options, options, error));
    if (options->optimise != SDX_OPTIMISE_ALL && options->optimise != SDX_OPTIMISE_PORTABLE &&
        options->optimise != SDX_OPTIMISE_NONE)
        return sdx_fail(error, SDX_ARGUMENT, "'optimise' is %d; it must be 0, 1 or 2", (int)options->optimise);
    if (options->threads < 0)
        return sdx_fail(error, SDX_ARGUMENT, "'threads' is %d; it must be >= 0", options->threads);
    return SDX_OK;
}

/* The folder of `path`: where external data lies when the caller names none. To free. */
static char *folder_of(const char *path, sdx_error *error) {
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
    SDX_TRY(need(out, "out", error));
    *out = NULL;
    SDX_TRY(need(path, "path", error));
    SDX_TRY(model_options(given, &options, error));
    char *folder = options.base_folder ? NULL : folder_of(path, error);
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
    SDX_TRY(need(out, "out", error));
    *out = NULL;
    SDX_TRY(need(bytes, "bytes", error));
    SDX_TRY(model_options(given, &options, error));
    sdx_source_from_memory(bytes, size, &source);
    return sdx_load_source(&source, "model", &options, error, out);
}

sdx_status sdx_model_save(const sdx_model *model, const char *path, const char *external_data, sdx_error *error) {
    SDX_TRY(need(model, "model", error));
    SDX_TRY(need(path, "path", error));
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
    SDX_TRY(need(out, "out", error));
    *out = NULL;
    SDX_TRY(need(model, "model", error));
    SDX_TRY(read_options(given, "sdx_session_options", sizeof options, &options, error));
    if (options.threads < 0) return sdx_fail(error, SDX_ARGUMENT, "'threads' is %d; it must be >= 0", options.threads);
    SDX_TRY(sdx_memory_create(options.memory_limit, error, &memory));
    union {
        const sdx_model *given;
        sdx_model *shared; /* immutable but for its count of references */
    } owner = {model};
    return sdx_session_make(owner.shared, &options, memory, error, out);
}

/* "'a', 'b', 'c'" of at most as many names as there is room for. */
static const char *list_names(const sdx_value_info *infos, size_t n, char *out, size_t capacity) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        char name[64];
        sdx_escape(name, sizeof name, infos[i].name, strlen(infos[i].name));
        size_t length = strlen(name);
        if (used + length + 16 > capacity) {
            memcpy(out + used, ", ...", 6);
            break;
        }
        memcpy(out + used, i ? ", '" : "'", i ? 4 : 2);
        used += i ? 3 : 1;
        memcpy(out + used, name, length);
        used += length;
        memcpy(out + used, "'", 2);
        used++;
    }
    return n ? out : "none";
}

/* Index of the binding's name among `infos`; -1 with the error set. */
static int64_t find_name(const char *what, const sdx_binding *binding, size_t position, const sdx_value_info *infos,
                         size_t n, sdx_error *error) {
    if (!binding->name) return sdx_fail(error, SDX_ARGUMENT, "%s binding %zu has no name", what, position), -1;
    for (size_t k = 0; k < n; k++)
        if (strcmp(infos[k].name, binding->name) == 0) return (int64_t)k;
    char name[128], names[512];
    sdx_fail(error, SDX_ARGUMENT, "there is no %s '%s'; the model has %s", what,
             sdx_escape(name, sizeof name, binding->name, strlen(binding->name)),
             list_names(infos, n, names, sizeof names));
    return -1;
}

static bool same_type(const sdx_value_info *info, const sdx_value *value) {
    sdx_dtype dtype = sdx_value_dtype(value);
    bool untyped = dtype == SDX_UNDEFINED && value->n_items == 0; /* an empty sequence from a file does not say */
    if (info->kind != value->kind || (info->dtype != dtype && !untyped)) return false;
    if (value->kind != SDX_TENSOR || info->rank < 0) return true;
    if (info->rank != value->tensor.rank) return false;
    for (int d = 0; d < info->rank; d++)
        if (info->dims[d] >= 0 && info->dims[d] != value->tensor.dim[d]) return false;
    return true;
}

static sdx_type text_type(sdx_kind kind, sdx_dtype dtype, int rank, const int64_t *dims, sdx_type *elem) {
    sdx_type type = {.kind = kind, .dtype = dtype, .rank = rank};
    if (rank > 0) memcpy(type.dim, dims, (size_t)rank * sizeof dims[0]);
    if (kind != SDX_SEQUENCE && kind != SDX_OPTIONAL) return type;
    *elem = sdx_type_make(dtype, -1);
    type.elem = elem;
    return type;
}

static sdx_status check_type(const sdx_value_info *info, const sdx_value *value, sdx_error *error) {
    if (same_type(info, value)) return SDX_OK;
    sdx_type in_elem, model_elem;
    sdx_type in = text_type(value->kind, sdx_value_dtype(value), value->tensor.rank, value->tensor.dim, &in_elem);
    sdx_type takes = text_type(info->kind, info->dtype, info->rank, info->dims, &model_elem);
    bool shape = info->kind == value->kind && info->dtype == sdx_value_dtype(value);
    char name[128], is[256], wants[256];
    return sdx_fail(error, shape ? SDX_SHAPE : SDX_TYPE, "input '%s' is %s; the model takes %s",
                    sdx_escape(name, sizeof name, info->name, strlen(info->name)), sdx_type_text(&in, is, sizeof is),
                    sdx_type_text(&takes, wants, sizeof wants));
}

static sdx_status match_inputs(const sdx_model *model, const sdx_binding *in, size_t n_in, sdx_value **inputs,
                               sdx_error *error) {
    for (size_t i = 0; i < n_in; i++) {
        int64_t k = find_name("input", &in[i], i, model->inputs, model->n_inputs, error);
        if (k < 0) return SDX_ARGUMENT;
        if (!in[i].value) return sdx_fail(error, SDX_ARGUMENT, "the value of input '%s' is NULL", in[i].name);
        if (inputs[k]) return sdx_fail(error, SDX_ARGUMENT, "input '%s' is given twice", in[i].name);
        SDX_TRY(check_type(&model->inputs[k], in[i].value, error));
        inputs[k] = in[i].value;
    }
    for (size_t k = 0; k < model->n_inputs; k++) {
        const sdx_value_info *info = &model->inputs[k];
        sdx_type elem, takes = text_type(info->kind, info->dtype, info->rank, info->dims, &elem);
        char name[128], wants[256];
        if (!inputs[k] && !info->has_default)
            return sdx_fail(error, SDX_ARGUMENT, "input '%s' is not given; the model takes %s",
                            sdx_escape(name, sizeof name, info->name, strlen(info->name)),
                            sdx_type_text(&takes, wants, sizeof wants));
    }
    return SDX_OK;
}

/* wanted[k]: some binding asks for output k. */
static sdx_status match_outputs(const sdx_model *model, const sdx_binding *out, size_t n_out, bool *wanted,
                                sdx_error *error) {
    for (size_t i = 0; i < n_out; i++) {
        int64_t k = find_name("output", &out[i], i, model->outputs, model->n_outputs, error);
        if (k < 0) return SDX_ARGUMENT;
        if (wanted[k]) return sdx_fail(error, SDX_ARGUMENT, "output '%s' is asked for twice", out[i].name);
        wanted[k] = true;
    }
    return SDX_OK;
}

static void give_outputs(const sdx_model *model, sdx_value *const *results, sdx_binding *out, size_t n_out) {
    for (size_t i = 0; i < n_out; i++) {
        int64_t k = find_name("output", &out[i], i, model->outputs, model->n_outputs, NULL);
        out[i].value = results[k];
    }
}

static sdx_status run_options(const sdx_run_options *given, sdx_run_options *options, sdx_error *error) {
    *options = (sdx_run_options){.size = sizeof *options};
    SDX_TRY(read_options(given, "sdx_run_options", sizeof *options, options, error));
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
    SDX_TRY(need(session, "session", error));
    if (n_in) SDX_TRY(need(in, "in", error));
    if (n_out) SDX_TRY(need(out, "out", error));
    SDX_TRY(run_options(given, &options, error));
    const sdx_model *model = sdx_session_model(session);
    size_t n = model->n_inputs > model->n_outputs ? model->n_inputs : model->n_outputs;
    void *many = n > FEW ? calloc(n, 2 * sizeof(sdx_value *) + sizeof(bool)) : NULL;
    if (n > FEW && !many) return sdx_fail(error, SDX_OUT_OF_MEMORY, "room for %zu values asked for", n);
    sdx_value **inputs = many ? many : few.inputs, **results = many ? inputs + n : few.results;
    bool *wanted = many ? (bool *)(results + n) : few.wanted;
    sdx_status status = match_inputs(model, in, n_in, inputs, error);
    if (!status) status = match_outputs(model, out, n_out, wanted, error);
    if (!status) status = sdx_session_execute(session, &options, inputs, wanted, results, error);
    if (!status) give_outputs(model, results, out, n_out);
    free(many);
    return status;
}

sdx_status sdx_session_run(sdx_session *session, const sdx_binding *in, size_t n_in, sdx_binding *out, size_t n_out,
                           sdx_error *error) {
    return sdx_session_run_with(session, NULL, in, n_in, out, n_out, error);
}

sdx_status sdx_session_profile(const sdx_session *session, sdx_error *error, sdx_profile_row **rows, size_t *n) {
    SDX_TRY(need(rows, "rows", error));
    SDX_TRY(need(n, "n", error));
    *rows = NULL;
    *n = 0;
    SDX_TRY(need(session, "session", error));
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
