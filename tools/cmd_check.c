/* SPDX-License-Identifier: Apache-2.0
 * sardonyx check: everything that would stop a run or a training, all at once, and the bytes it needs. */
#include "runtime/base/pool.h"
#include "runtime/train/train.h"
#include "tools/cli_train.h"
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    cli_list files, shapes, trainable, freeze;
    const char *output, *config;
    bool train, json;
} options;

typedef struct check {
    const options *o;
    const char *path;
    cJSON *json;
    bool text;
    int problems;
    sdx_error error; /* of what was refused first: it decides how the command ends */
} check;

static void problem(check *c, const char *what, const sdx_error *error) {
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "what", what);
    cJSON_AddStringToObject(row, "status", sdx_status_text(error->status));
    cJSON_AddStringToObject(row, "message", error->message);
    cJSON_AddItemToArray(cJSON_GetObjectItem(c->json, "problems"), row);
    if (c->text) printf("%s: no: %s: %s\n", what, sdx_status_text(error->status), error->message);
    if (!c->problems++) c->error = *error;
}

static void add_bytes(check *c, const char *key, const char *words, size_t bytes) {
    char size[32];
    cJSON_AddNumberToObject(c->json, key, (double)bytes);
    if (c->text) printf("  %-52s %s\n", words, cli_size_text(bytes, size, sizeof size));
}

static size_t constant_bytes(const sdx_graph *graph) {
    size_t bytes = 0;
    for (int i = 0; i < graph->n_values; i++) {
        const sdx_value *constant = graph->values[i].constant;
        if (constant && constant->kind == SDX_TENSOR) bytes += sdx_tensor_bytes(&constant->tensor);
    }
    for (int i = 0; i < graph->n_nodes; i++)
        for (int b = 0; b < graph->nodes[i]->n_bodies; b++) bytes += constant_bytes(graph->nodes[i]->bodies[b]);
    return bytes;
}

static sdx_status open_model(const check *c, sdx_optimise level, sdx_error *error, sdx_model **out) {
    sdx_model_options how = {.size = sizeof how,
                             .optimise = level,
                             .memory_limit = c->o->common.memory_limit,
                             .threads = c->o->common.threads};
    return sdx_model_open(c->path, &how, error, out);
}

static int threads_of(const check *c) { return c->o->common.threads ? c->o->common.threads : sdx_machine_threads(); }

/* ---- shapes ---- */

static bool is_given(const cli_list *shapes, const char *name) {
    size_t size = strlen(name);
    for (int k = 0; k < shapes->n; k++)
        if (strncmp(shapes->items[k], name, size) == 0 && shapes->items[k][size] == '=') return true;
    return false;
}

static bool has_free_dims(const sdx_value_info *info) {
    for (int d = 0; d < info->rank; d++)
        if (info->dims[d] < 0) return true;
    return false;
}

/* "NAME=2x3x32x32": unknown dims are `first` in front and `other` behind. From malloc. */
static char *shape_text(const sdx_value_info *info, int first, int other) {
    size_t size = strlen(info->name) + 2 + 21 * (size_t)info->rank, used = 0;
    char *text = malloc(size);
    if (text) used = (size_t)snprintf(text, size, "%s=", info->name);
    for (int d = 0; text && d < info->rank; d++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", d ? "x" : "",
                                 (long long)(info->dims[d] >= 0 ? info->dims[d]
                                             : d                ? other
                                                                : first));
    return text;
}

static sdx_status made_up(const check *c, const sdx_model *model, int first, int other, sdx_error *error,
                          cli_inputs *inputs) {
    const cli_list none = {0}, *given = &c->o->shapes;
    size_t n = sdx_model_input_count(model);
    cli_list shapes = {calloc((size_t)given->n + n + 1, sizeof *shapes.items), 0};
    sdx_status status = shapes.items ? SDX_OK : sdx_fail(error, SDX_OUT_OF_MEMORY, "no room for a list of shapes");
    for (int k = 0; !status && k < given->n; k++) shapes.items[shapes.n++] = given->items[k];
    for (size_t k = 0; !status && k < n; k++) {
        const sdx_value_info *info = sdx_model_input(model, k);
        if (info->kind != SDX_TENSOR || !has_free_dims(info) || is_given(given, info->name)) continue;
        if ((shapes.items[shapes.n] = shape_text(info, first, other))) shapes.n++;
    }
    if (!status) status = cli_inputs_load(model, &none, &shapes, c->o->common.seed, NULL, error, inputs);
    for (int k = given->n; k < shapes.n; k++) free((void *)(uintptr_t)shapes.items[k]);
    free(shapes.items);
    return status;
}

/* Sizes for dims that the model leaves open, from small to large: pictures need more than a window. */
static const int sizes[] = {1, 8, 32, 224};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static sdx_status plan_run(const check *c, const sdx_model *model, int size, sdx_error *error, cli_plan_size *out) {
    cli_inputs inputs = {0};
    sdx_status status = made_up(c, model, 1, size, error, &inputs);
    if (!status) status = cli_measure_plan(model, &inputs, threads_of(c), error, out);
    cli_inputs_free(&inputs);
    return status;
}

/* ---- a run ---- */

static void check_run(check *c) {
    sdx_error error = {0};
    sdx_model *model = NULL;
    cli_plan_size size = {0};
    sdx_status status = open_model(c, SDX_OPTIMISE_ALL, &error, &model);
    for (int k = 0; model && k < SIZES; k++) {
        error = (sdx_error){0};
        status = plan_run(c, model, sizes[k], &error, &size);
        if (!status) break;
    }
    if (status) {
        problem(c, "runs", &error);
    } else {
        if (c->text) puts("runs: yes");
        add_bytes(c, "weight_bytes", "weights", constant_bytes(model->graph));
        add_bytes(c, "working_bytes", "working memory of a run", size.working);
        if (size.unknown && c->text) printf("  and %d results whose sizes depend on data\n", size.unknown);
    }
    cJSON_AddBoolToObject(c->json, "runs", !status);
    sdx_model_close(model);
}

/* ---- a training ---- */

static const char *role_name(sdx_role role) {
    static const char *const names[] = {"",      "kernel",    "recurrent", "bias", "scale",
                                        "shift", "embedding", "other",     "state"};
    return (size_t)role < sizeof names / sizeof names[0] ? names[role] : "";
}

static void show_variable(check *c, cJSON *rows, const sdx_variable *variable) {
    const sdx_tensor *tensor = &variable->value->tensor;
    char text[200];
    cJSON *row = cJSON_CreateObject(), *shape = NULL;
    cJSON_AddStringToObject(row, "name", variable->name);
    cJSON_AddStringToObject(row, "path", variable->path);
    cJSON_AddStringToObject(row, "node", variable->node);
    cJSON_AddStringToObject(row, "role", role_name(variable->role));
    cJSON_AddBoolToObject(row, "trained", variable->trained);
    cJSON_AddStringToObject(row, "dtype", sdx_dtype_name(tensor->dtype));
    shape = cJSON_AddArrayToObject(row, "shape");
    for (int d = 0; d < tensor->rank; d++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)tensor->dim[d]));
    cJSON_AddItemToArray(rows, row);
    if (!c->text) return;
    printf("  %-9s %-7s %s %s, read by %s\n", role_name(variable->role),
           variable->trained                  ? "trained"
           : variable->role == SDX_ROLE_STATE ? "follows"
                                              : "frozen",
           cli_escaped(variable->path), sdx_tensor_text(tensor, text, sizeof text), cli_escaped(variable->node));
}

static void show_variables(check *c, const sdx_prepared *p, const sdx_optimizer_options *optimizer) {
    size_t bytes = 0, trained = 0;
    cJSON *rows = cJSON_AddArrayToObject(c->json, "parameters");
    if (c->text) puts("parameters");
    for (int k = 0; k < p->n_variables; k++) {
        show_variable(c, rows, &p->variables[k]);
        bytes += sdx_tensor_bytes(&p->variables[k].value->tensor);
        if (p->variables[k].trained) trained += sdx_tensor_bytes(&p->variables[k].value->tensor);
    }
    cJSON *notes = cJSON_AddArrayToObject(c->json, "notes");
    if (c->text && p->n_notes) puts("notes");
    for (int k = 0; k < p->n_notes; k++) {
        cJSON_AddItemToArray(notes, cJSON_CreateString(p->notes[k]));
        if (c->text) printf("  %s\n", p->notes[k]);
    }
    if (c->text) puts("bytes");
    add_bytes(c, "parameter_bytes", "parameters and running statistics", bytes);
    add_bytes(c, "gradient_bytes", "gradients", trained);
    const char *names[SDX_MOST_SLOTS];
    double fill[SDX_MOST_SLOTS];
    add_bytes(c, "optimizer_bytes", "state of the optimizer",
              trained * (size_t)sdx_optimizer_slots(optimizer, names, fill));
}

static sdx_status plan_training(const check *c, const sdx_prepared *p, int other, sdx_error *error,
                                cli_plan_size *size) {
    cli_inputs own = {0}, all = {0};
    sdx_status status = made_up(c, p->inference, 2, other, error, &own);
    if (!status) {
        all.bindings = calloc(own.n + (size_t)p->n_variables + 1, sizeof *all.bindings);
        if (!all.bindings) status = sdx_fail(error, SDX_OUT_OF_MEMORY, "no room for a list of inputs");
    }
    for (size_t k = 0; !status && k < own.n; k++) all.bindings[all.n++] = own.bindings[k];
    for (int k = 0; !status && k < p->n_variables; k++)
        all.bindings[all.n++] = (sdx_binding){p->variables[k].name, p->variables[k].value};
    if (!status) status = cli_measure_plan(p->training, &all, threads_of(c), error, size);
    free(all.bindings);
    cli_inputs_free(&own);
    return status;
}

/* The training form at the given shapes: its plan fails where a batch would. */
static void check_plan(check *c, const sdx_prepared *p) {
    sdx_error error = {0};
    cli_plan_size size = {0};
    for (int k = 0; k < SIZES; k++) {
        error = (sdx_error){0};
        if (plan_training(c, p, sizes[k], &error, &size) == SDX_OK) break;
    }
    if (error.status)
        problem(c, "trains", &error);
    else
        add_bytes(c, "activation_bytes", "activations of a step, at most", size.results);
}

static void list_names(check *c, const char *key, const char *words, const sdx_prepared *p, const int *of,
                       const int *which, int n) {
    cJSON *names = cJSON_AddArrayToObject(c->json, key);
    if (c->text && n) printf("%s\n", words);
    for (int k = 0; k < n; k++) {
        const char *path = p->variables[of[which[k]]].path;
        cJSON_AddItemToArray(names, cJSON_CreateString(path));
        if (c->text) printf("  %s\n", cli_escaped(path));
    }
}

static void list_nodes(check *c, const sdx_coverage *found) {
    cJSON *rows = cJSON_AddArrayToObject(c->json, "no_gradient");
    if (c->text && found->n_nodes) puts("no gradient comes through");
    for (int k = 0; k < found->n_nodes; k++) {
        const sdx_uncovered *at = &found->nodes[k];
        char place[320];
        cJSON *row = cJSON_CreateObject();
        const char *name = *at->node->name ? at->node->name : at->graph->values[at->node->out[0]].name;
        cJSON_AddStringToObject(row, "node", name);
        cJSON_AddStringToObject(row, "operator", at->node->op_type);
        cJSON_AddStringToObject(row, "reason", at->never ? "zero everywhere" : "not implemented");
        cJSON_AddItemToArray(rows, row);
        if (c->text)
            printf("  %s: %s\n", sdx_node_place(at->graph, at->node, place, sizeof place),
                   at->never ? "its gradient is zero everywhere" : "its gradient is not implemented");
    }
}

static void check_coverage(check *c, const sdx_prepared *p, sdx_loss_kind loss) {
    sdx_error error = {0};
    sdx_arena arena;
    sdx_coverage found;
    sdx_arena_init(&arena, cli_memory());
    sdx_id *xs = SDX_NEW_ARRAY(&arena, sdx_id, p->n_variables + 1, &error);
    int *of = SDX_NEW_ARRAY(&arena, int, p->n_variables + 1, &error), n = 0;
    sdx_status status = xs && of ? SDX_OK : SDX_OUT_OF_MEMORY;
    for (int k = 0; !status && k < p->n_variables; k++)
        if (p->variables[k].trained) xs[n] = p->variables[k].id, of[n++] = k;
    if (!status)
        status =
            sdx_coverage_find(p->training->graph, p->outputs, sdx_loss_outputs(loss), xs, n, &arena, &error, &found);
    if (!status) {
        list_nodes(c, &found);
        list_names(c, "freeze", "freeze these to train the others", p, of, found.freeze, found.n_freeze);
        list_names(c, "unused", "the output does not depend on", p, of, found.unused, found.n_unused);
        if (found.n_nodes)
            sdx_fail(&error, SDX_UNSUPPORTED, "no gradient comes through %d node%s", found.n_nodes,
                     found.n_nodes > 1 ? "s" : "");
    }
    if (error.status) problem(c, "trains", &error);
    sdx_arena_release(&arena);
}

/* Options of the configuration, if there is one; else the loss is the output itself. */
static sdx_status read_training(check *c, cli_trainer *t, sdx_error *error) {
    const options *o = c->o;
    SDX_TRY(cli_trainer_read(t, c->path, o->config, &o->common, error));
    if (!o->config) t->options.loss = (sdx_loss_options){.kind = SDX_LOSS_OUTPUT};
    if (o->output) t->options.loss.output[0] = o->output;
    if (o->trainable.n) t->options.trainable = (sdx_patterns){o->trainable.items, (size_t)o->trainable.n};
    if (o->freeze.n) t->options.freeze = (sdx_patterns){o->freeze.items, (size_t)o->freeze.n};
    return SDX_OK;
}

static void check_training(check *c) {
    sdx_error error = {0};
    cli_trainer t = {0};
    sdx_prepared *prepared = NULL;
    int before = c->problems;
    sdx_status status = read_training(c, &t, &error);
    if (!status) status = sdx_prepare(t.model, &t.options, &error, &prepared);
    if (!status) {
        show_variables(c, prepared, &t.options.optimizer);
        check_plan(c, prepared);
        check_coverage(c, prepared, t.options.loss.kind);
        if (c->problems == before) status = cli_trainer_create(&t, NULL, &error);
    }
    if (status) problem(c, "trains", &error);
    cJSON_AddBoolToObject(c->json, "trains", c->problems == before);
    if (c->text && c->problems == before) puts("trains: yes");
    sdx_prepared_free(prepared);
    cli_trainer_close(&t);
}

/* A model that cannot be read at all is refused as everywhere; what was found in one that can is a failed check. */
static int finish(check *c) {
    sdx_error error = {0}, readable = {0};
    sdx_model *model = NULL;
    bool refused = c->problems && open_model(c, SDX_OPTIMISE_NONE, &readable, &model) != SDX_OK;
    sdx_model_close(model);
    if (c->o->json && cli_write_json(c->json, NULL, &error)) return cli_report(&error);
    if (!c->o->json) cJSON_Delete(c->json);
    if (refused) return cli_report(&readable);
    return c->problems ? CLI_DIFFERS : CLI_DONE;
}

static int check_model(const options *o) {
    check c = {.o = o, .path = o->files.items[0], .json = cJSON_CreateObject(), .text = !o->json};
    cJSON_AddStringToObject(c.json, "model", c.path);
    cJSON_AddArrayToObject(c.json, "problems");
    check_run(&c);
    if (o->train) check_training(&c);
    return finish(&c);
}

int cmd_check(const cli_command *self, int argc, char **argv) {
    options o = {0};
    const cli_option rows[] = {
        {"train", 0, CLI_FLAG, &o.train, NULL, "would it train: parameters, gradients, bytes"},
        {"json", 0, CLI_FLAG, &o.json, NULL, "one JSON object on standard output"},
        {"shape", 0, CLI_LIST, &o.shapes, "NAME=1x3", "of an input"},
        {"config", 'c', CLI_TEXT, &o.config, "CONFIG.json", "of the training; without one the loss is the output"},
        {"trainable", 0, CLI_LIST, &o.trainable, "PATTERN", "what is trained; everything when not given"},
        {"freeze", 0, CLI_LIST, &o.freeze, "PATTERN", "what is not"},
        {"output", 0, CLI_TEXT, &o.output, "NAME", "what the loss reads; the first output when not given"},
    };
    int status = CLI_DONE;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.files, &status)) {
        bool training = o.trainable.n || o.freeze.n || o.output || o.config;
        if (o.files.n != 1)
            status = cli_usage(self, "one MODEL is wanted, %d are given", o.files.n);
        else if (training && !o.train)
            status = cli_usage(self, "-c, --trainable, --freeze and --output go with --train");
        else
            status = check_model(&o);
    }
    free(o.files.items);
    free(o.shapes.items);
    free(o.trainable.items);
    free(o.freeze.items);
    return status;
}
