/* SPDX-License-Identifier: Apache-2.0
 * The plan for given inputs as text: the steps in order, and where each result lies. */
#include "runtime/plan/plan.h"
#include "tools/cli.h"
#include <inttypes.h>
#include <string.h>

static sdx_value *given(const cli_inputs *inputs, const char *name) {
    for (size_t i = 0; i < inputs->n; i++)
        if (strcmp(inputs->bindings[i].name, name) == 0) return inputs->bindings[i].value;
    return NULL;
}

static sdx_status take_arguments(const sdx_graph *graph, const cli_inputs *inputs, sdx_argument **out,
                                 sdx_error *error) {
    *out = sdx_memory_alloc_zero(cli_memory(), (size_t)graph->n_inputs * sizeof **out, error);
    if (!*out) return error->status;
    for (int k = 0; k < graph->n_inputs; k++) {
        const sdx_graph_value *input = &graph->values[graph->inputs[k]];
        sdx_value *own = given(inputs, input->name), *value = own ? own : input->constant;
        bool tensor = sdx_value_kind(value) == SDX_TENSOR;
        (*out)[k] = (sdx_argument){tensor ? &value->tensor : NULL, value, !own};
    }
    return SDX_OK;
}

static void print_result(FILE *file, const sdx_plan *plan, sdx_id id) {
    const sdx_slot *slot = &plan->slots[id];
    const char *name = plan->graph->values[id].name;
    char type[300];
    fprintf(file, "      %s: ", cli_escaped(name));
    fputs(slot->shaped ? sdx_tensor_text(&slot->tensor, type, sizeof type)
                       : sdx_type_text(&plan->graph->values[id].type, type, sizeof type),
          file);
    switch (slot->place) {
    case SDX_AT_NOWHERE: fputs(", not computed\n", file); break;
    case SDX_AT_CONSTANT: fputs(", constant\n", file); break;
    case SDX_AT_ARGUMENT: fprintf(file, ", in the bytes of input %d\n", slot->index); break;
    case SDX_AT_ARENA: fprintf(file, ", at %zu\n", slot->offset); break;
    case SDX_AT_OUTPUT: fprintf(file, ", in output %d\n", slot->index); break;
    case SDX_AT_RUNTIME: fputs(", made when it runs\n", file); break;
    }
}

static void print_plan(FILE *file, const sdx_plan *plan) {
    char text[300];
    fprintf(file, "%d steps for %d nodes; %zu bytes of working memory", plan->n_steps, plan->graph->n_nodes,
            plan->working_size);
    if (plan->largest)
        fprintf(file, ", most of it at %s", sdx_node_place(plan->graph, plan->largest, text, sizeof text));
    fputc('\n', file);
    for (int s = 0; s < plan->n_steps; s++) {
        const sdx_step *step = &plan->steps[s];
        fprintf(file, "%5d %s", s, sdx_node_place(plan->graph, step->node, text, sizeof text));
        if (step->scratch) fprintf(file, ", scratch %zu at %zu", step->scratch, step->scratch_at);
        fputc('\n', file);
        for (int k = 0; k < step->node->n_out; k++)
            if (step->node->out[k] != SDX_NONE) print_result(file, plan, step->node->out[k]);
    }
}

/* What a plan costs: the working memory of a run, and the bytes of all results together. */
static void measure(const sdx_plan *plan, cli_plan_size *out) {
    *out = (cli_plan_size){.working = plan->working_size};
    for (sdx_id id = 0; id < plan->graph->n_values; id++) {
        const sdx_slot *slot = &plan->slots[id];
        if (slot->place != SDX_AT_ARENA && slot->place != SDX_AT_OUTPUT && slot->place != SDX_AT_RUNTIME) continue;
        if (slot->shaped)
            out->results += sdx_tensor_bytes(&slot->tensor);
        else
            out->unknown++;
    }
}

static sdx_status with_plan(const sdx_model *model, const cli_inputs *inputs, int threads, sdx_error *error, FILE *file,
                            cli_plan_size *size) {
    sdx_plans *plans = NULL;
    sdx_plan_set *set = NULL;
    sdx_plan *plan = NULL;
    sdx_argument *arguments = NULL;
    sdx_status status = sdx_plans_create(cli_memory(), threads, false, error, &plans);
    if (!status) status = sdx_plans_set(plans, model->graph, error, &set);
    if (!status) status = take_arguments(model->graph, inputs, &arguments, error);
    sdx_run run = {.memory = cli_memory(), .error = error, .model = model->name, .plans = plans};
    if (!status) status = sdx_plan_build(plans, set, arguments, model->graph->n_inputs, &run, &plan);
    if (status) sdx_error_context(error, "planning '%s'", model->name);
    if (!status && file) print_plan(file, plan);
    if (!status && size) measure(plan, size);
    sdx_plan_release(plan);
    sdx_plans_destroy(plans);
    sdx_memory_free(cli_memory(), arguments);
    return status;
}

sdx_status cli_print_plan(FILE *file, const sdx_model *model, const cli_inputs *inputs, int threads, sdx_error *error) {
    return with_plan(model, inputs, threads, error, file, NULL);
}

sdx_status cli_measure_plan(const sdx_model *model, const cli_inputs *inputs, int threads, sdx_error *error,
                            cli_plan_size *out) {
    return with_plan(model, inputs, threads, error, NULL, out);
}
