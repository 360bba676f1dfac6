/* SPDX-License-Identifier: Apache-2.0
 * sardonyx info: what a model takes, gives and is made of, at any stage; what this build can do. */
#include "ops/kernels/kernels.h"
#include "ops/registry.h"
#include "runtime/base/pool.h"
#include "runtime/graph/model.h"
#include "tools/cli.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    cli_list files, shapes;
    const char *after;
    bool json, ops, kernels, version;
} options;

/* Nodes of one operator, in the model and all its bodies. */
typedef struct tally {
    const char *domain, *op_type;
    int n;
} tally;

typedef struct census {
    tally *rows;
    int n_rows, n_nodes;
    int64_t parameters;
    size_t bytes;
} census;

static const char *domain_text(const char *domain) { return *domain ? domain : "ai.onnx"; }

static void count_node(census *c, const sdx_node *node) {
    c->n_nodes++;
    for (int i = 0; i < c->n_rows; i++)
        if (strcmp(c->rows[i].op_type, node->op_type) == 0 && strcmp(c->rows[i].domain, node->domain) == 0) {
            c->rows[i].n++;
            return;
        }
    tally *grown = realloc(c->rows, ((size_t)c->n_rows + 1) * sizeof *grown);
    if (!grown) return;
    c->rows = grown;
    c->rows[c->n_rows++] = (tally){node->domain, node->op_type, 1};
}

/* Bodies nest at most SDX_MAX_BODY_DEPTH deep. */
static void count_graph(census *c, const sdx_graph *graph) {
    for (int i = 0; i < graph->n_values; i++) {
        const sdx_value *constant = graph->values[i].constant;
        if (!constant || sdx_value_kind(constant) != SDX_TENSOR) continue;
        c->parameters += sdx_value_count(constant);
        c->bytes += sdx_tensor_bytes(&constant->tensor);
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        count_node(c, graph->nodes[i]);
        for (int b = 0; b < graph->nodes[i]->n_bodies; b++) count_graph(c, graph->nodes[i]->bodies[b]);
    }
}

static int by_count(const void *a, const void *b) {
    const tally *x = a, *y = b;
    return x->n != y->n ? y->n - x->n : strcmp(x->op_type, y->op_type);
}

static cJSON *infos_json(const sdx_model *model, size_t n, const sdx_value_info *(*get)(const sdx_model *, size_t)) {
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++) {
        const sdx_value_info *info = get(model, i);
        char text[700];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", info->name);
        cJSON_AddStringToObject(row, "type", cli_info_text(info, text, sizeof text));
        cJSON_AddStringToObject(row, "dtype", sdx_dtype_name(info->dtype));
        cJSON *shape = info->kind == SDX_TENSOR && info->rank >= 0 ? cJSON_AddArrayToObject(row, "shape") : NULL;
        for (int d = 0; shape && d < info->rank; d++) {
            const char *name = info->dim_names ? info->dim_names[d] : NULL;
            if (info->dims[d] >= 0)
                cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)info->dims[d]));
            else
                cJSON_AddItemToArray(shape, name ? cJSON_CreateString(name) : cJSON_CreateNull());
        }
        cJSON_AddBoolToObject(row, "has_default", info->has_default);
        cJSON_AddItemToArray(list, row);
    }
    return list;
}

static sdx_status show_json(const sdx_model *model, const census *c, const char *path, sdx_error *error) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "model", path);
    cJSON_AddNumberToObject(json, "ir_version", (double)model->ir_version);
    cJSON_AddStringToObject(json, "producer_name", model->producer_name ? model->producer_name : "");
    cJSON_AddStringToObject(json, "producer_version", model->producer_version ? model->producer_version : "");
    cJSON *opsets = cJSON_AddObjectToObject(json, "opsets");
    for (int i = 0; i < model->n_opsets; i++)
        cJSON_AddNumberToObject(opsets, domain_text(model->opsets[i].domain), (double)model->opsets[i].version);
    cJSON_AddItemToObject(json, "inputs", infos_json(model, sdx_model_input_count(model), sdx_model_input));
    cJSON_AddItemToObject(json, "outputs", infos_json(model, sdx_model_output_count(model), sdx_model_output));
    cJSON_AddNumberToObject(json, "nodes", c->n_nodes);
    cJSON_AddNumberToObject(json, "parameters", (double)c->parameters);
    cJSON_AddNumberToObject(json, "parameter_bytes", (double)c->bytes);
    cJSON *operators = cJSON_AddObjectToObject(json, "operators");
    for (int i = 0; i < c->n_rows; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s%s%s", c->rows[i].domain, *c->rows[i].domain ? "." : "", c->rows[i].op_type);
        cJSON_AddNumberToObject(operators, name, c->rows[i].n);
    }
    return cli_write_json(json, NULL, error);
}

/* Old exporters list every weight as an input with a default: those are counted, not listed, unless `all`. */
static void show_infos(const char *title, const sdx_model *model, size_t n, bool all,
                       const sdx_value_info *(*get)(const sdx_model *, size_t)) {
    size_t hidden = 0;
    printf("%s\n", title);
    for (size_t i = 0; i < n; i++) {
        const sdx_value_info *info = get(model, i);
        char type[700];
        hidden += info->has_default && !all;
        if (info->has_default && !all) continue;
        printf("  %s: %s%s\n", cli_escaped(info->name), cli_info_text(info, type, sizeof type),
               info->has_default ? " (has a default)" : "");
    }
    if (hidden) printf("  and %zu with a default; -v lists them\n", hidden);
}

static void show_text(const sdx_model *model, const census *c, const char *path, bool all) {
    char size[32];
    printf("%s: IR %" PRId64, path, model->ir_version);
    for (int i = 0; i < model->n_opsets; i++)
        printf(", opset %s %" PRId64, cli_escaped(domain_text(model->opsets[i].domain)), model->opsets[i].version);
    if (model->producer_name && *model->producer_name)
        printf(", made by %s %s", cli_escaped(model->producer_name),
               cli_escaped(model->producer_version ? model->producer_version : ""));
    putchar('\n');
    show_infos("inputs", model, sdx_model_input_count(model), all, sdx_model_input);
    show_infos("outputs", model, sdx_model_output_count(model), true, sdx_model_output);
    printf("%" PRId64 " parameters, %s\n%d nodes\n", c->parameters, cli_size_text(c->bytes, size, sizeof size),
           c->n_nodes);
    for (int i = 0; i < c->n_rows; i++)
        printf("  %5d %s%s%s\n", c->rows[i].n, cli_escaped(c->rows[i].domain), *c->rows[i].domain ? "." : "",
               cli_escaped(c->rows[i].op_type));
}

static void print_line(void *context, const char *text) { fprintf(context, "%s\n", text); }

static sdx_status show_stage(const options *o, const sdx_model *model, sdx_error *error) {
    if (strcmp(o->after, "plan") != 0) {
        sdx_graph_print(model->graph, print_line, stdout);
        return SDX_OK;
    }
    cli_inputs inputs = {0};
    const cli_list none = {0};
    int threads = o->common.threads ? o->common.threads : sdx_machine_threads();
    sdx_status status = cli_inputs_load(model, &none, &o->shapes, o->common.seed, stderr, error, &inputs);
    if (!status) status = cli_print_plan(stdout, model, &inputs, threads, error);
    cli_inputs_free(&inputs);
    return status;
}

static int show_model(const options *o) {
    sdx_error error = {0};
    sdx_model *model = NULL;
    bool passes = o->after && strcmp(o->after, "load") != 0;
    sdx_model_options how = {.size = sizeof how,
                             .optimise = passes ? SDX_OPTIMISE_ALL : SDX_OPTIMISE_NONE,
                             .memory_limit = o->common.memory_limit,
                             .threads = o->common.threads};
    sdx_status status = sdx_model_open(o->files.items[0], &how, &error, &model);
    if (!status && o->after) {
        status = show_stage(o, model, &error);
    } else if (!status) {
        census c = {0};
        count_graph(&c, model->graph);
        if (c.n_rows) qsort(c.rows, (size_t)c.n_rows, sizeof *c.rows, by_count);
        if (o->json)
            status = show_json(model, &c, o->files.items[0], &error);
        else
            show_text(model, &c, o->files.items[0], o->common.verbose);
        free(c.rows);
    }
    sdx_model_close(model);
    return status ? cli_report(&error) : CLI_DONE;
}

static const char *gradient_text(const sdx_op *op) {
    return op->grad == NULL ? "absent" : op->grad == sdx_no_gradient ? "never" : "yes";
}

static cJSON *op_json(const sdx_op *op) {
    cJSON *row = cJSON_CreateObject(), *versions = NULL;
    cJSON_AddStringToObject(row, "domain", op->domain);
    cJSON_AddStringToObject(row, "name", op->name);
    cJSON_AddStringToObject(row, "gradient", gradient_text(op));
    versions = cJSON_AddArrayToObject(row, "versions");
    for (const sdx_op_version *v = op->versions; v->since; v++) {
        cJSON *version = cJSON_CreateObject();
        cJSON_AddNumberToObject(version, "since", v->since);
        cJSON_AddStringToObject(version, "signature", v->signature);
        cJSON_AddStringToObject(version, "types", v->types);
        cJSON_AddStringToObject(version, "attributes", v->attributes);
        cJSON_AddItemToArray(versions, version);
    }
    return row;
}

static int show_ops(bool as_json) {
    sdx_error error = {0};
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "operators");
    for (size_t i = 0; i < sdx_ops_count; i++) {
        const sdx_op *op = sdx_ops[i];
        cJSON_AddItemToArray(list, op_json(op));
        if (as_json) continue;
        printf("%-32s %-24s gradient %-6s versions", op->name, domain_text(op->domain), gradient_text(op));
        for (const sdx_op_version *v = op->versions; v->since; v++) printf(" %d", v->since);
        printf("  types %s\n", sdx_op_newest(op)->types);
    }
    if (as_json) return cli_write_json(json, NULL, &error) ? cli_report(&error) : CLI_DONE;
    cJSON_Delete(json);
    return CLI_DONE;
}

static int show_kernels(bool as_json) {
    const sdx_kernels *kernels = sdx_kernels_get();
    sdx_error error = {0};
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "cpu", sdx_isa_name(kernels->cpu.isa));
    cJSON *rows = cJSON_AddObjectToObject(json, "kernels");
    if (!as_json) printf("cpu: %s\n", sdx_isa_name(kernels->cpu.isa));
    for (int k = 0; k < SDX_KERNEL_ROWS; k++) {
        cJSON_AddStringToObject(rows, sdx_kernels_row_name(k), kernels->origin[k]);
        if (!as_json) printf("%-32s %s\n", sdx_kernels_row_name(k), kernels->origin[k]);
    }
    if (as_json) return cli_write_json(json, NULL, &error) ? cli_report(&error) : CLI_DONE;
    cJSON_Delete(json);
    return CLI_DONE;
}

static int info(const cli_command *self, const options *o) {
    int wanted = o->ops + o->kernels + o->version + (o->files.n > 0);
    if (wanted != 1 || o->files.n > 1) return cli_usage(self, "one of MODEL, --ops, --kernels, --version is wanted");
    if (o->ops) return show_ops(o->json);
    if (o->kernels) return show_kernels(o->json);
    if (o->version) {
        puts(sdx_version());
        return CLI_DONE;
    }
    if (o->after && strcmp(o->after, "load") != 0 && strcmp(o->after, "pass") != 0 && strcmp(o->after, "plan") != 0)
        return cli_usage(self, "--after is '%s'; it must be load, pass or plan", o->after);
    return show_model(o);
}

int cmd_info(const cli_command *self, int argc, char **argv) {
    options o = {0};
    const cli_option rows[] = {
        {"json", 0, CLI_FLAG, &o.json, NULL, "one JSON object on standard output"},
        {"after", 0, CLI_TEXT, &o.after, "STAGE", "the graph as text after load or pass; the steps after plan"},
        {"shape", 0, CLI_LIST, &o.shapes, "NAME=1x3", "of an input, for the plan"},
        {"ops", 0, CLI_FLAG, &o.ops, NULL, "the operators of this build"},
        {"kernels", 0, CLI_FLAG, &o.kernels, NULL, "the kernels chosen for this machine"},
        {"version", 0, CLI_FLAG, &o.version, NULL, "the version"},
    };
    int status = CLI_DONE;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.files, &status))
        status = info(self, &o);
    free(o.files.items);
    free(o.shapes.items);
    return status;
}
