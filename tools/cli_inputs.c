/* SPDX-License-Identifier: Apache-2.0
 * The inputs of a model: from files, or made up from the seed; and all that a run needs around them. */
#include "runtime/base/half.h"
#include "tools/cli.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Splits "NAME=REST"; the last '=' would not do, as file names may hold one, and model names rarely do. */
static const char *rest_of(const char *text, const char *name) {
    size_t length = strlen(name);
    return strncmp(text, name, length) == 0 && text[length] == '=' ? text + length + 1 : NULL;
}

static const char *find(const cli_list *list, const char *name) {
    for (int i = 0; i < list->n; i++) {
        const char *rest = rest_of(list->items[i], name);
        if (rest) return rest;
    }
    return NULL;
}

/* Every NAME=... must name an input, once. */
static sdx_status check_names(const sdx_model *model, const cli_list *list, const char *option, sdx_error *error) {
    for (int i = 0; i < list->n; i++) {
        char shown[200], all[600] = "";
        size_t used = 0;
        bool known = false;
        for (size_t k = 0; k < sdx_model_input_count(model); k++) {
            const char *name = sdx_model_input(model, k)->name;
            known = known || rest_of(list->items[i], name);
            if (used < 400)
                used += (size_t)snprintf(all + used, sizeof all - used, "%s'%.60s'", k ? ", " : "", cli_escaped(name));
        }
        sdx_escape(shown, sizeof shown, list->items[i], strlen(list->items[i]));
        if (!known)
            return sdx_fail(error, SDX_ARGUMENT, "%s '%s' is not NAME=... of an input of the model; these are %s",
                            option, shown, used ? all : "none");
        for (int k = 0; k < i; k++) {
            size_t length = strcspn(list->items[i], "=") + 1;
            if (strncmp(list->items[i], list->items[k], length) == 0)
                return sdx_fail(error, SDX_ARGUMENT, "%s gives input '%.*s' twice", option, (int)length - 1, shown);
        }
    }
    return SDX_OK;
}

/* "1x3x224x224"; "" or "scalar" is rank 0. */
static sdx_status read_shape(const char *text, const char *name, int *rank, int64_t *dims, sdx_error *error) {
    *rank = 0;
    const char *at = strcmp(text, "scalar") == 0 ? "" : text;
    while (*at) {
        char *end = NULL;
        long long dim = *at >= '0' && *at <= '9' ? strtoll(at, &end, 10) : -1;
        if (dim < 0 || dim > INT32_MAX || *rank == SDX_MAX_RANK || (*end && *end != 'x' && *end != ',') ||
            (*end && !end[1]))
            return sdx_fail(error, SDX_ARGUMENT, "--shape of input '%s' is '%s'; it must be like 1x3x224x224",
                            cli_escaped(name), text);
        dims[(*rank)++] = dim;
        at = *end ? end + 1 : end;
    }
    return SDX_OK;
}

static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Floats in [0, 1), integers and bools 0 or 1: small enough to be indices and lengths. */
static void fill(sdx_tensor *t, uint64_t seed, const char *name) {
    seed = next_random(&seed); /* else seeds and names that differ in the same bits would cancel out */
    for (; *name; name++) seed = (seed ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    size_t size = sdx_dtype_size(t->dtype);
    int class = sdx_dtype_class(t->dtype);
    for (int64_t i = 0; i < t->count && class != SDX_CLASS_STRING; i++) {
        uint64_t random = next_random(&seed);
        double real = (double)(random >> 40) * 0x1p-24;
        unsigned char *at = (unsigned char *)t->data + (size_t)i * size;
        union {
            float f32[2];
            double f64[2];
            uint16_t u16;
            uint64_t u64;
            uint8_t u8;
        } element = {.u64 = random >> 63};
        if (t->dtype == SDX_F32 || t->dtype == SDX_C64)
            element.f32[0] = (float)real, element.f32[1] = 0;
        else if (t->dtype == SDX_F64 || t->dtype == SDX_C128)
            element.f64[0] = real, element.f64[1] = 0;
        else if (t->dtype == SDX_F16)
            element.u16 = sdx_f16_from_f64(real);
        else if (t->dtype == SDX_BF16)
            element.u16 = sdx_bf16_from_f64(real);
        else if (class == SDX_CLASS_FLOAT)
            element.u8 = sdx_f8_from_f32(t->dtype, (float)real, true);
        memcpy(at, &element, size);
    }
}

static sdx_status make_up(const sdx_value_info *info, const char *shape, uint64_t seed, FILE *say, sdx_error *error,
                          sdx_value **out) {
    int rank = info->rank;
    int64_t dims[SDX_MAX_RANK] = {0};
    char text[300];
    if (info->kind != SDX_TENSOR)
        return sdx_fail(error, SDX_ARGUMENT, "input '%s' is %s and cannot be made up; give it with -i",
                        cli_escaped(info->name), cli_info_text(info, text, sizeof text));
    for (int d = 0; d < rank; d++) dims[d] = info->dims[d] < 0 ? 1 : info->dims[d];
    if (shape) SDX_TRY(read_shape(shape, info->name, &rank, dims, error));
    if (rank < 0)
        return sdx_fail(error, SDX_ARGUMENT, "input '%s' has no rank in the model; give it with -i or --shape %s=...",
                        cli_escaped(info->name), cli_escaped(info->name));
    SDX_TRY(sdx_value_create(info->dtype, rank, dims, error, out));
    fill(&(*out)->tensor, seed, info->name);
    if (say)
        fprintf(say, "input '%s' is not given: %s filled from seed %" PRIu64 "\n", cli_escaped(info->name),
                sdx_tensor_text(&(*out)->tensor, text, sizeof text), seed);
    return SDX_OK;
}

sdx_status cli_inputs_load(const sdx_model *model, const cli_list *files, const cli_list *shapes, uint64_t seed,
                           FILE *say, sdx_error *error, cli_inputs *out) {
    SDX_TRY(check_names(model, files, "-i", error));
    SDX_TRY(check_names(model, shapes, "--shape", error));
    size_t n = sdx_model_input_count(model);
    out->bindings = calloc(n ? n : 1, sizeof *out->bindings);
    if (!out->bindings) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu inputs", n);
    for (size_t k = 0; k < n; k++) {
        const sdx_value_info *info = sdx_model_input(model, k);
        const char *file = find(files, info->name), *shape = find(shapes, info->name);
        sdx_value *value = NULL;
        if (file) {
            if (cli_load_value(file, info->name, info, error, &value))
                return sdx_error_context(error, "input '%s'", cli_escaped(info->name));
        } else if (info->has_default && !shape) {
            continue;
        } else {
            SDX_TRY(make_up(info, shape, seed, say, error, &value));
        }
        out->bindings[out->n++] = (sdx_binding){info->name, value};
    }
    return SDX_OK;
}

void cli_inputs_free(cli_inputs *inputs) {
    for (size_t i = 0; i < inputs->n; i++) sdx_value_release(inputs->bindings[i].value);
    free(inputs->bindings);
    *inputs = (cli_inputs){0};
}

sdx_status cli_run_open(const char *path, const cli_common *common, bool profile, sdx_error *error, cli_run *run) {
    *run = (cli_run){0};
    sdx_model_options model = {.size = sizeof model, .memory_limit = common->memory_limit, .threads = common->threads};
    sdx_session_options session = {.size = sizeof session,
                                   .threads = common->threads,
                                   .memory_limit = common->memory_limit,
                                   .seed = common->seed,
                                   .profile = profile};
    double start = cli_milliseconds();
    SDX_TRY(sdx_model_open(path, &model, error, &run->model));
    double opened = cli_milliseconds();
    run->open_ms = opened - start;
    SDX_TRY(sdx_session_create(run->model, &session, error, &run->session));
    run->session_ms = cli_milliseconds() - opened;
    run->n_outputs = sdx_model_output_count(run->model);
    run->outputs = calloc(run->n_outputs ? run->n_outputs : 1, sizeof *run->outputs);
    if (!run->outputs) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu outputs", run->n_outputs);
    for (size_t i = 0; i < run->n_outputs; i++) run->outputs[i].name = sdx_model_output(run->model, i)->name;
    return SDX_OK;
}

static void drop_outputs(cli_run *run) {
    for (size_t i = 0; run->outputs && i < run->n_outputs; i++) {
        sdx_value_release(run->outputs[i].value);
        run->outputs[i].value = NULL;
    }
}

sdx_status cli_run_once(cli_run *run, const cli_common *common, sdx_error *error) {
    drop_outputs(run);
    sdx_run_options options = {.size = sizeof options, .deadline = common->deadline, .cancel = cli_interrupt()};
    return sdx_session_run_with(run->session, &options, run->inputs.bindings, run->inputs.n, run->outputs,
                                run->n_outputs, error);
}

void cli_run_close(cli_run *run) {
    drop_outputs(run);
    free(run->outputs);
    cli_inputs_free(&run->inputs);
    sdx_session_destroy(run->session);
    sdx_model_close(run->model);
    *run = (cli_run){0};
}

sdx_status cli_write_profile(const sdx_session *session, const char *path, sdx_error *error) {
    sdx_profile_row *rows = NULL;
    size_t n = 0;
    SDX_TRY(sdx_session_profile(session, error, &rows, &n));
    sdx_status status = cli_write_rows(rows, n, path, error);
    sdx_free(rows);
    return status;
}

sdx_status cli_write_rows(const sdx_profile_row *rows, size_t n, const char *path, sdx_error *error) {
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "nodes");
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "node", rows[i].node);
        cJSON_AddStringToObject(row, "op_type", rows[i].op_type);
        cJSON_AddStringToObject(row, "domain", rows[i].domain);
        cJSON_AddNumberToObject(row, "calls", (double)rows[i].calls);
        cli_add_ms(row, "total_ms", 1e-6 * (double)rows[i].nanoseconds);
        cJSON_AddItemToArray(list, row);
        cli_add_ms(row, "least_ms", 1e-6 * (double)rows[i].least);
        total += 1e-6 * (double)rows[i].nanoseconds;
    }
    cli_add_ms(json, "total_ms", total);
    return cli_write_json(json, path, error);
}
