/* SPDX-License-Identifier: Apache-2.0
 * The graph of a training step is the model's graph and the algorithm's one after the other, as the specification says.
 * Each algorithm and each initialization becomes a program: the file is decoded anew for it, and state that programs
 * share by name is taken out of the initializers and given as inputs. */
#include "runtime/train/training_info.h"
#include "proto/onnx.pb-c.h"
#include "proto/proto.h"
#include "runtime/load/internal.h"
#include <stdlib.h>
#include <string.h>

typedef struct update {
    int state;  /* which one */
    int output; /* of the program's model: its next value */
} update;

typedef struct program {
    sdx_model *model;
    sdx_session *session;
    int *state; /* per input of the model: the state it reads; -1: given by the caller */
    int n_updates;
    update *updates;
} program;

struct sdx_training {
    sdx_memory *memory;
    sdx_arena arena;
    sdx_session_options options;
    const char *path, *folder;
    int n_state;
    const char **names;
    sdx_value **now, **next; /* per state; next: NULL outside a step */
    int n_infos;
    program *starts, *steps; /* starts[k].session NULL: without initialization */
};

static const char *text_of(const char *text) { return text ? text : ""; }

static int find_state(const sdx_training *t, const char *name) {
    for (int k = 0; k < t->n_state; k++)
        if (strcmp(t->names[k], name) == 0) return k;
    return -1;
}

/* ---- the file ------------------------------------------------------------------------------------------------------
 */

static sdx_status read_file(const sdx_training *t, sdx_error *error, sdx_proto **out) {
    const sdx_proto_options where = {t->folder, false};
    sdx_source source;
    SDX_TRY(sdx_source_open(t->path, error, &source));
    sdx_status status = sdx_proto_decode(&source, &where, t->memory, error, out);
    sdx_source_close(&source);
    return status;
}

static sdx_status add_names(sdx_training *t, size_t n, Onnx__StringStringEntryProto **bindings, sdx_error *error) {
    for (size_t k = 0; k < n; k++) {
        const char *key = text_of(bindings[k]->key);
        if (find_state(t, key) >= 0) continue;
        t->names[t->n_state] = sdx_arena_copy(&t->arena, key, strlen(key), error);
        if (!t->names[t->n_state]) return SDX_OUT_OF_MEMORY;
        t->n_state++;
    }
    return SDX_OK;
}

/* The values that one list of initializers has for the state. */
static sdx_status take_values(sdx_training *t, sdx_proto *proto, const Onnx__GraphProto *graph, sdx_error *error) {
    for (size_t k = 0; graph && k < graph->n_initializer; k++) {
        const int at = find_state(t, text_of(graph->initializer[k]->name));
        if (at < 0 || t->now[at]) continue;
        SDX_TRY(sdx_proto_take_tensor(proto, graph->initializer[k], error, &t->now[at]));
    }
    return SDX_OK;
}

static sdx_status find_all_state(sdx_training *t, sdx_proto *proto, sdx_error *error) {
    Onnx__ModelProto *model = sdx_proto_model(proto);
    size_t room = 1;
    for (size_t k = 0; k < model->n_training_info; k++)
        room += model->training_info[k]->n_initialization_binding + model->training_info[k]->n_update_binding;
    t->names = SDX_NEW_ARRAY(&t->arena, const char *, room, error);
    t->now = SDX_NEW_ARRAY(&t->arena, sdx_value *, room, error);
    t->next = SDX_NEW_ARRAY(&t->arena, sdx_value *, room, error);
    if (!t->names || !t->now || !t->next) return SDX_OUT_OF_MEMORY;
    for (size_t k = 0; k < model->n_training_info; k++) {
        const Onnx__TrainingInfoProto *info = model->training_info[k];
        SDX_TRY(add_names(t, info->n_initialization_binding, info->initialization_binding, error));
        SDX_TRY(add_names(t, info->n_update_binding, info->update_binding, error));
    }
    SDX_TRY(take_values(t, proto, model->graph, error));
    for (size_t k = 0; k < model->n_training_info; k++)
        SDX_TRY(take_values(t, proto, model->training_info[k]->algorithm, error));
    for (int k = 0; k < t->n_state; k++) {
        char name[96];
        if (!t->now[k])
            return sdx_fail(error, SDX_MALFORMED, "a binding names '%s', which is no initializer of the model",
                            sdx_escape(name, sizeof name, t->names[k], strlen(t->names[k])));
    }
    return SDX_OK;
}

/* ---- combining graphs ----------------------------------------------------------------------------------------------
 */

typedef struct combiner {
    const sdx_training *t;
    sdx_arena *arena;
    sdx_error *error;
} combiner;

/* to and from as one array; the element type is a pointer in all of them. */
static sdx_status join(combiner *c, void *to, size_t *n_to, void *const *from, size_t n) {
    void **old = NULL, **all = SDX_NEW_ARRAY(c->arena, void *, *n_to + n + 1, c->error);
    if (!all) return SDX_OUT_OF_MEMORY;
    memcpy(&old, to, sizeof old);
    if (*n_to) memcpy(all, old, *n_to * sizeof *all);
    if (n) memcpy(all + *n_to, from, n * sizeof *all);
    memcpy(to, &all, sizeof all);
    *n_to += n;
    return SDX_OK;
}
#define JOIN(c, to, from, list) join(c, &(to)->list, &(to)->n_##list, (void *const *)(from)->list, (from)->n_##list)

static sdx_status append(combiner *c, Onnx__GraphProto *to, const Onnx__GraphProto *from) {
    SDX_TRY(JOIN(c, to, from, node));
    SDX_TRY(JOIN(c, to, from, initializer));
    SDX_TRY(JOIN(c, to, from, sparse_initializer));
    SDX_TRY(JOIN(c, to, from, input));
    SDX_TRY(JOIN(c, to, from, output));
    return JOIN(c, to, from, value_info);
}

static bool is_listed(size_t n, Onnx__ValueInfoProto *const *infos, const char *name) {
    for (size_t k = 0; k < n; k++)
        if (strcmp(text_of(infos[k]->name), name) == 0) return true;
    return false;
}

static Onnx__ValueInfoProto *new_info(combiner *c, const char *name) {
    Onnx__ValueInfoProto *info = SDX_NEW(c->arena, Onnx__ValueInfoProto, c->error);
    if (!info) return NULL;
    onnx__value_info_proto__init(info);
    info->name = sdx_arena_copy(c->arena, name, strlen(name), c->error);
    return info->name ? info : NULL;
}

/* The type of the initializer: its dtype and shape. */
static sdx_status give_type(combiner *c, const Onnx__TensorProto *tensor, Onnx__ValueInfoProto *info) {
    Onnx__TypeProto *type = SDX_NEW(c->arena, Onnx__TypeProto, c->error);
    Onnx__TypeProto__Tensor *of = SDX_NEW(c->arena, Onnx__TypeProto__Tensor, c->error);
    Onnx__TensorShapeProto *shape = SDX_NEW(c->arena, Onnx__TensorShapeProto, c->error);
    if (!type || !of || !shape) return SDX_OUT_OF_MEMORY;
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(of);
    onnx__tensor_shape_proto__init(shape);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = of;
    of->has_elem_type = 1;
    of->elem_type = tensor->data_type;
    of->shape = shape;
    shape->dim = SDX_NEW_ARRAY(c->arena, Onnx__TensorShapeProto__Dimension *, tensor->n_dims + 1, c->error);
    if (!shape->dim) return SDX_OUT_OF_MEMORY;
    for (size_t d = 0; d < tensor->n_dims; d++) {
        Onnx__TensorShapeProto__Dimension *dim = SDX_NEW(c->arena, Onnx__TensorShapeProto__Dimension, c->error);
        if (!dim) return SDX_OUT_OF_MEMORY;
        onnx__tensor_shape_proto__dimension__init(dim);
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = tensor->dims[d];
        shape->dim[shape->n_dim++] = dim;
    }
    info->type = type;
    return SDX_OK;
}

/* State leaves the initializers; it is an input where the graph did not list it as one. */
static sdx_status free_state(combiner *c, Onnx__GraphProto *graph) {
    size_t kept = 0;
    for (size_t k = 0; k < graph->n_initializer; k++) {
        Onnx__TensorProto *tensor = graph->initializer[k];
        if (find_state(c->t, text_of(tensor->name)) < 0) {
            graph->initializer[kept++] = tensor;
            continue;
        }
        if (is_listed(graph->n_input, graph->input, tensor->name)) continue;
        Onnx__ValueInfoProto *info = new_info(c, tensor->name);
        if (!info) return SDX_OUT_OF_MEMORY;
        SDX_TRY(give_type(c, tensor, info));
        SDX_TRY(join(c, &graph->input, &graph->n_input, (void *const *)&info, 1));
    }
    graph->n_initializer = kept;
    return SDX_OK;
}

static sdx_status list_outputs(combiner *c, Onnx__GraphProto *graph, size_t n,
                               Onnx__StringStringEntryProto **bindings) {
    for (size_t k = 0; k < n; k++) {
        const char *name = text_of(bindings[k]->value);
        if (is_listed(graph->n_output, graph->output, name)) continue;
        Onnx__ValueInfoProto *info = new_info(c, name);
        if (!info) return SDX_OUT_OF_MEMORY;
        SDX_TRY(join(c, &graph->output, &graph->n_output, (void *const *)&info, 1));
    }
    return SDX_OK;
}

/* ---- programs ------------------------------------------------------------------------------------------------------
 */

static sdx_status find_updates(sdx_training *t, program *p, size_t n, Onnx__StringStringEntryProto **bindings,
                               sdx_error *error) {
    const sdx_model *model = p->model;
    p->state = SDX_NEW_ARRAY(&t->arena, int, model->n_inputs + 1, error);
    p->updates = SDX_NEW_ARRAY(&t->arena, update, n + 1, error);
    if (!p->state || !p->updates) return SDX_OUT_OF_MEMORY;
    for (size_t k = 0; k < model->n_inputs; k++) p->state[k] = find_state(t, model->inputs[k].name);
    for (size_t k = 0; k < n; k++)
        for (size_t j = 0; j < model->n_outputs; j++)
            if (strcmp(model->outputs[j].name, text_of(bindings[k]->value)) == 0)
                p->updates[p->n_updates++] = (update){find_state(t, text_of(bindings[k]->key)), (int)j};
    return SDX_OK;
}

static sdx_status load(sdx_training *t, sdx_proto *proto, program *p, sdx_error *error) {
    const sdx_model_options options = {.size = sizeof options, .threads = t->options.threads};
    sdx_memory *memory = NULL;
    const char *slash = strrchr(t->path, '/');
    SDX_TRY(sdx_model_create(slash ? slash + 1 : t->path, t->options.memory_limit, error, &p->model));
    SDX_TRY(sdx_load_import(proto, p->model, error));
    SDX_TRY(sdx_load_finish(p->model, &options, error));
    SDX_TRY(sdx_memory_create(t->options.memory_limit, error, &memory));
    return sdx_session_make(p->model, &t->options, memory, error, &p->session);
}

/* Initialization k on its own, or algorithm k behind the model's graph. */
static sdx_status make_program(sdx_training *t, int k, bool start, program *p, sdx_error *error) {
    sdx_proto *proto = NULL;
    sdx_arena arena;
    SDX_TRY(read_file(t, error, &proto));
    sdx_arena_init(&arena, t->memory);
    Onnx__ModelProto *model = sdx_proto_model(proto);
    Onnx__TrainingInfoProto *info = model->training_info[k];
    Onnx__GraphProto *inference = model->graph, *other = start ? info->initialization : info->algorithm;
    const size_t n = start ? info->n_initialization_binding : info->n_update_binding;
    Onnx__StringStringEntryProto **bindings = start ? info->initialization_binding : info->update_binding;
    Onnx__GraphProto whole = start ? (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT : *inference;
    const size_t n_infos = model->n_training_info;
    combiner c = {t, &arena, error};
    sdx_status status = SDX_OK;
    if (start) whole.name = inference->name;
    model->graph = &whole;
    model->n_training_info = 0;
    if (other) status = append(&c, &whole, other);
    if (!status) status = free_state(&c, &whole);
    if (!status) status = list_outputs(&c, &whole, n, bindings);
    if (!status) status = load(t, proto, p, error);
    if (!status) status = find_updates(t, p, n, bindings, error);
    model->graph = inference;
    model->n_training_info = n_infos;
    sdx_proto_free(proto);
    sdx_arena_release(&arena);
    return status;
}

static sdx_status make_all(sdx_training *t, sdx_error *error) {
    sdx_proto *proto = NULL;
    SDX_TRY(read_file(t, error, &proto));
    const Onnx__ModelProto *model = sdx_proto_model(proto);
    sdx_status status = SDX_OK;
    if (!model->n_training_info || !model->graph)
        status = sdx_fail(error, SDX_ARGUMENT, "the model has no training information");
    t->n_infos = (int)model->n_training_info;
    t->starts = SDX_NEW_ARRAY(&t->arena, program, t->n_infos + 1, error);
    t->steps = SDX_NEW_ARRAY(&t->arena, program, t->n_infos + 1, error);
    bool *starts = SDX_NEW_ARRAY(&t->arena, bool, t->n_infos + 1, error);
    if (!t->starts || !t->steps || !starts) status = SDX_OUT_OF_MEMORY;
    for (int k = 0; !status && k < t->n_infos; k++) starts[k] = model->training_info[k]->initialization != NULL;
    if (!status) status = find_all_state(t, proto, error);
    sdx_proto_free(proto);
    for (int k = 0; !status && k < t->n_infos; k++) {
        status = make_program(t, k, false, &t->steps[k], error);
        if (!status && starts[k]) status = make_program(t, k, true, &t->starts[k], error);
    }
    return status;
}

sdx_status sdx_training_make(const char *path, const char *folder, const sdx_session_options *options, sdx_error *error,
                             sdx_training **out) {
    sdx_training *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", sizeof *t);
    t->options = *options;
    sdx_status status = sdx_memory_create(options->memory_limit, error, &t->memory);
    if (!status) {
        sdx_arena_init(&t->arena, t->memory);
        t->path = sdx_arena_copy(&t->arena, path, strlen(path), error);
        t->folder = sdx_arena_copy(&t->arena, folder, strlen(folder), error);
        status = t->path && t->folder ? make_all(t, error) : SDX_OUT_OF_MEMORY;
    }
    if (status)
        sdx_training_destroy(t);
    else
        *out = t;
    return status;
}

void sdx_training_destroy(sdx_training *training) {
    if (!training) return;
    for (int k = 0; k < training->n_infos; k++) {
        program *both[] = {training->starts ? &training->starts[k] : NULL,
                           training->steps ? &training->steps[k] : NULL};
        for (size_t b = 0; b < 2; b++) {
            sdx_session_destroy(both[b] ? both[b]->session : NULL);
            sdx_model_close(both[b] ? both[b]->model : NULL);
        }
    }
    for (int k = 0; training->now && k < training->n_state; k++) sdx_value_release(training->now[k]);
    if (training->memory) sdx_arena_release(&training->arena);
    sdx_memory_drop(training->memory);
    free(training);
}

/* ---- running -------------------------------------------------------------------------------------------------------
 */

static sdx_status find_input(const sdx_training *t, const program *p, size_t k, const sdx_binding *in, size_t n_in,
                             sdx_error *error, sdx_value **out) {
    const int state = p->state[k];
    const sdx_graph *graph = p->model->graph;
    const char *name = p->model->inputs[k].name;
    char text[96];
    *out = NULL;
    if (state >= 0) *out = t->next[state] ? t->next[state] : t->now[state];
    for (size_t j = 0; state < 0 && j < n_in; j++)
        if (strcmp(in[j].name, name) == 0) *out = in[j].value;
    if (*out || graph->values[graph->inputs[k]].constant) return SDX_OK;
    return sdx_fail(error, SDX_ARGUMENT, "input '%s' of the training step is not given",
                    sdx_escape(text, sizeof text, name, strlen(name)));
}

/* Updates go to next[]; results that the caller asks for are handed over once. */
static sdx_status run_program(sdx_training *t, const program *p, const sdx_binding *in, size_t n_in, sdx_binding *out,
                              size_t n_out, sdx_error *error) {
    const size_t n = p->model->n_outputs;
    const sdx_run_options plain = {.size = sizeof plain};
    sdx_value **inputs = calloc(p->model->n_inputs + 1, sizeof *inputs);
    sdx_value **results = calloc(n + 1, sizeof *results + sizeof(bool));
    bool *wanted = results ? (bool *)(results + n + 1) : NULL;
    sdx_status status = inputs && results ? SDX_OK : sdx_fail(error, SDX_OUT_OF_MEMORY, "no memory for a step");
    for (size_t k = 0; !status && k < p->model->n_inputs; k++)
        status = find_input(t, p, k, in, n_in, error, &inputs[k]);
    for (int k = 0; !status && k < p->n_updates; k++) wanted[p->updates[k].output] = true;
    for (size_t j = 0; !status && j < n; j++)
        for (size_t k = 0; k < n_out; k++) wanted[j] |= strcmp(out[k].name, p->model->outputs[j].name) == 0;
    if (!status) status = sdx_session_execute(p->session, &plain, inputs, wanted, results, error);
    for (int k = 0; !status && k < p->n_updates; k++) {
        sdx_value **next = &t->next[p->updates[k].state];
        sdx_value_release(*next);
        *next = sdx_value_retain(results[p->updates[k].output]);
    }
    for (size_t j = 0; results && j < n; j++) {
        for (size_t k = 0; !status && k < n_out; k++)
            if (!out[k].value && strcmp(out[k].name, p->model->outputs[j].name) == 0)
                out[k].value = sdx_value_retain(results[j]);
        sdx_value_release(results[j]);
    }
    free(inputs);
    free(results);
    return status;
}

static void settle_state(sdx_training *t, bool take) {
    for (int k = 0; k < t->n_state; k++) {
        if (!t->next[k]) continue;
        sdx_value_release(take ? t->now[k] : t->next[k]);
        if (take) t->now[k] = t->next[k];
        t->next[k] = NULL;
    }
}

sdx_status sdx_training_start(sdx_training *training, sdx_error *error) {
    sdx_error own = {0};
    if (!error) error = &own;
    sdx_status status = SDX_OK;
    for (int k = 0; !status && k < training->n_infos; k++)
        if (training->starts[k].session) status = run_program(training, &training->starts[k], NULL, 0, NULL, 0, error);
    settle_state(training, status == SDX_OK);
    return status;
}

/* Every name must be one of some program. */
static sdx_status check_names(const sdx_training *t, const sdx_binding *list, size_t n, bool inputs, sdx_error *error) {
    for (size_t j = 0; j < n; j++) {
        bool found = false;
        for (int k = 0; k < t->n_infos && list[j].name; k++) {
            const sdx_model *model = t->steps[k].model;
            const sdx_value_info *infos = inputs ? model->inputs : model->outputs;
            for (size_t i = 0; i < (inputs ? model->n_inputs : model->n_outputs); i++)
                found |= strcmp(infos[i].name, list[j].name) == 0 && !(inputs && t->steps[k].state[i] >= 0);
        }
        char name[96];
        if (!found)
            return sdx_fail(error, SDX_ARGUMENT, "'%s' is no %s of the training step",
                            sdx_escape(name, sizeof name, text_of(list[j].name), strlen(text_of(list[j].name))),
                            inputs ? "input" : "output");
    }
    return SDX_OK;
}

sdx_status sdx_training_once(sdx_training *training, const sdx_binding *in, size_t n_in, sdx_binding *out, size_t n_out,
                             sdx_error *error) {
    sdx_error own = {0};
    if (!error) error = &own;
    SDX_TRY(check_names(training, in, n_in, true, error));
    SDX_TRY(check_names(training, out, n_out, false, error));
    sdx_status status = SDX_OK;
    for (size_t k = 0; k < n_out; k++) out[k].value = NULL;
    for (int k = 0; !status && k < training->n_infos; k++)
        status = run_program(training, &training->steps[k], in, n_in, out, n_out, error);
    settle_state(training, status == SDX_OK);
    for (size_t k = 0; status && k < n_out; k++) {
        sdx_value_release(out[k].value);
        out[k].value = NULL;
    }
    return status;
}

sdx_value *sdx_training_state(const sdx_training *training, const char *name) {
    const int k = find_state(training, name);
    return k < 0 ? NULL : training->now[k];
}

/* ---- writing -------------------------------------------------------------------------------------------------------
 */

static sdx_status put_values(const sdx_training *t, Onnx__GraphProto *graph, sdx_arena *arena, sdx_error *error) {
    for (size_t k = 0; graph && k < graph->n_initializer; k++) {
        const int at = find_state(t, text_of(graph->initializer[k]->name));
        if (at >= 0) SDX_TRY(sdx_proto_put_tensor(t->now[at], t->names[at], arena, error, &graph->initializer[k]));
    }
    return SDX_OK;
}

static sdx_status encode(const Onnx__ModelProto *model, const char *path, sdx_memory *memory, sdx_error *error) {
    sdx_sink *sink = NULL;
    SDX_TRY(sdx_sink_create(path, memory, error, &sink));
    sdx_status status = sdx_proto_encode(model, sink, memory, error);
    if (status == SDX_OK) return sdx_sink_commit(sink, error);
    sdx_sink_discard(sink);
    return status;
}

sdx_status sdx_training_write(const sdx_training *training, const char *path, sdx_error *error) {
    sdx_error own = {0};
    if (!error) error = &own;
    sdx_proto *proto = NULL;
    sdx_arena arena;
    SDX_TRY(read_file(training, error, &proto));
    sdx_arena_init(&arena, training->memory);
    Onnx__ModelProto *model = sdx_proto_model(proto);
    sdx_status status = put_values(training, model->graph, &arena, error);
    for (size_t k = 0; !status && k < model->n_training_info; k++)
        status = put_values(training, model->training_info[k]->algorithm, &arena, error);
    if (!status) status = encode(model, path, training->memory, error);
    sdx_proto_free(proto);
    sdx_arena_release(&arena);
    return status;
}
