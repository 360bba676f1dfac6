/* SPDX-License-Identifier: Apache-2.0
 * A model that brings its own training: linear regression whose algorithm holds the loss, Gradient and Momentum. Its
 * steps against the same arithmetic in C; saved and opened again; what is refused. */
#include "runtime/load/load.h"
#include "tests/unit/model_builder.h"
#include <math.h>
#include <sardonyx_train.h>
#include <unistd.h>

enum { ROWS = 4, COLUMNS = 2, STEPS = 60 };
static const float rate = 0.1F, momentum = 0.5F, decay = 0.01F;
static const float data[ROWS][COLUMNS] = {{1, 0}, {0, 1}, {1, 1}, {2, -1}}, target[ROWS] = {3, 1, 4.5F, 5};

static ProtobufCBinaryData bytes_of(builder *b, const char *words) {
    return (ProtobufCBinaryData){strlen(words), (uint8_t *)text(b, words)};
}

static void attr_string(builder *b, Onnx__NodeProto *node, const char *name, const char *value) {
    Onnx__AttributeProto *attribute = add_attribute(b, node, name, SDX_ATTR_STRING);
    attribute->has_s = 1;
    attribute->s = bytes_of(b, value);
}

static void bind(builder *b, Onnx__StringStringEntryProto ***list, size_t *n, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry = take(b, sizeof *entry);
    onnx__string_string_entry_proto__init(entry);
    entry->key = text(b, key);
    entry->value = text(b, value);
    push(b, list, n, entry);
}

static void add_scalar(builder *b, Onnx__GraphProto *graph, const char *name, int dtype, const void *value,
                       size_t size) {
    add_initializer(b, graph, raw_tensor(b, name, dtype, 0, NULL, value, size));
}

static Onnx__GraphProto *algorithm(builder *b) {
    Onnx__GraphProto *g = new_graph(b, "step");
    const int64_t zero = 0, one = 1;
    add_input(b, g, "label", SDX_F32, "4,1");
    add_scalar(b, g, "R", SDX_F32, &rate, sizeof rate);
    add_scalar(b, g, "T", SDX_I64, &zero, sizeof zero);
    add_scalar(b, g, "one", SDX_I64, &one, sizeof one);
    init_f32(b, g, "vw", COLUMNS, 0);
    g->initializer[g->n_initializer - 1]->n_dims = 2;
    g->initializer[g->n_initializer - 1]->dims = take(b, 2 * sizeof(int64_t));
    memcpy(g->initializer[g->n_initializer - 1]->dims, (int64_t[]){COLUMNS, 1}, 2 * sizeof(int64_t));
    init_f32(b, g, "vb", 1, 0);
    add_node(b, g, "Sub", "y label", "d");
    add_node(b, g, "Mul", "d d", "e");
    attr_int(b, add_node(b, g, "ReduceMean", "e", "loss"), "keepdims", 0);
    Onnx__NodeProto *gradient = add_node(b, g, "Gradient", "w b", "gw gb");
    gradient->domain = text(b, "ai.onnx.preview.training");
    attr_string(b, gradient, "y", "loss");
    Onnx__AttributeProto *xs = add_attribute(b, gradient, "xs", SDX_ATTR_STRINGS);
    xs->strings = take(b, 2 * sizeof *xs->strings);
    xs->strings[xs->n_strings++] = bytes_of(b, "w");
    xs->strings[xs->n_strings++] = bytes_of(b, "b");
    Onnx__NodeProto *update = add_node(b, g, "Momentum", "R T w b gw gb vw vb", "w2 b2 vw2 vb2");
    update->domain = text(b, "ai.onnx.preview.training");
    attr_float(b, update, "alpha", momentum);
    attr_float(b, update, "beta", 1);
    attr_float(b, update, "norm_coefficient", decay);
    attr_string(b, update, "mode", "standard");
    add_node(b, g, "Add", "T one", "T2");
    add_output(b, g, "loss", SDX_F32, "");
    return g;
}

/* w starts at 0.5, by the initialization graph; in the file it is 9. */
static Onnx__GraphProto *initialization(builder *b) {
    Onnx__GraphProto *g = new_graph(b, "start");
    const int64_t dims[] = {COLUMNS, 1};
    const float w[COLUMNS] = {0.5F, 0.5F};
    attr_tensor(b, add_node(b, g, "Constant", "", "w_first"), "value",
                raw_tensor(b, "", SDX_F32, 2, dims, w, sizeof w));
    add_output(b, g, "w_first", SDX_F32, "2,1");
    return g;
}

static Onnx__TrainingInfoProto *build(builder *b) {
    static const float w[COLUMNS] = {9, 9};
    static const int64_t dims[] = {COLUMNS, 1};
    static const char *const updates[][2] = {{"w", "w2"}, {"b", "b2"}, {"vw", "vw2"}, {"vb", "vb2"}, {"T", "T2"}};
    begin(b, 17);
    import_opset(b, "ai.onnx.preview.training", 1);
    add_input(b, b->graph, "x", SDX_F32, "4,2");
    add_initializer(b, b->graph, raw_tensor(b, "w", SDX_F32, 2, dims, w, sizeof w));
    init_f32(b, b->graph, "b", 1, 0);
    add_node(b, b->graph, "MatMul", "x w", "p");
    add_node(b, b->graph, "Add", "p b", "y");
    add_output(b, b->graph, "y", SDX_F32, "4,1");
    Onnx__TrainingInfoProto *info = take(b, sizeof *info);
    onnx__training_info_proto__init(info);
    info->initialization = initialization(b);
    info->algorithm = algorithm(b);
    bind(b, &info->initialization_binding, &info->n_initialization_binding, "w", "w_first");
    for (size_t k = 0; k < sizeof updates / sizeof updates[0]; k++)
        bind(b, &info->update_binding, &info->n_update_binding, updates[k][0], updates[k][1]);
    push(b, &b->model->training_info, &b->model->n_training_info, info);
    return info;
}

static void write_model(const builder *b, const char *path) {
    size_t size = 0;
    unsigned char *bytes = pack(b, &size);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    free(bytes);
}

/* The same step in C: its loss; w[COLUMNS] is the bias. */
static double reference(double w[COLUMNS + 1], double v[COLUMNS + 1]) {
    double loss = 0, g[COLUMNS + 1] = {0};
    for (int r = 0; r < ROWS; r++) {
        double d = w[COLUMNS] - (double)target[r];
        for (int c = 0; c < COLUMNS; c++) d += w[c] * (double)data[r][c];
        loss += d * d / ROWS;
        for (int c = 0; c <= COLUMNS; c++) g[c] += 2 * d / ROWS * (c < COLUMNS ? (double)data[r][c] : 1);
    }
    for (int c = 0; c <= COLUMNS; c++) {
        v[c] = (double)momentum * v[c] + g[c] + (double)decay * w[c];
        w[c] -= (double)rate * v[c];
    }
    return loss;
}

static sdx_error error;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != SDX_OK) fail_msg("%s: %s", #call, error.message);                                                \
    } while (0)

static void expect_state(const sdx_training *training, const char *name, const double *want, int n) {
    sdx_value *value = NULL;
    OK(sdx_training_get(training, name, &error, &value));
    assert_int_equal(sdx_value_count(value), n);
    for (int k = 0; k < n; k++) {
        double got = (double)((const float *)sdx_value_data(value))[k];
        if (fabs(got - want[k]) > 1e-5) fail_msg("%s[%d] is %.9g, not %.9g", name, k, got, want[k]);
    }
    sdx_value_release(value);
}

static double step(sdx_training *training) {
    const int64_t x_dims[] = {ROWS, COLUMNS}, t_dims[] = {ROWS, 1};
    sdx_binding in[] = {{"x", NULL}, {"label", NULL}}, out[] = {{"loss", NULL}};
    union {
        const void *given;
        void *borrowed;
    } x = {data}, t = {target};
    OK(sdx_value_borrow(SDX_F32, 2, x_dims, x.borrowed, &error, &in[0].value));
    OK(sdx_value_borrow(SDX_F32, 2, t_dims, t.borrowed, &error, &in[1].value));
    OK(sdx_training_step(training, in, 2, out, 1, &error));
    double loss = (double)*(const float *)sdx_value_data(out[0].value);
    for (int k = 0; k < 2; k++) sdx_value_release(in[k].value);
    sdx_value_release(out[0].value);
    return loss;
}

static void check_steps(sdx_training *training, double w[COLUMNS + 1], double v[COLUMNS + 1], int n) {
    for (int s = 0; s < n; s++) {
        double want = reference(w, v), got = step(training);
        if (fabs(got - want) > 1e-5 * (1 + want)) fail_msg("step %d: the loss is %.9g, not %.9g", s, got, want);
    }
    expect_state(training, "w", w, COLUMNS);
    expect_state(training, "b", w + COLUMNS, 1);
    expect_state(training, "vw", v, COLUMNS);
}

static void steps_equal_the_reference(void **state) {
    (void)state;
    static const char first[] = "training_info_first.onnx", second[] = "training_info_second.onnx";
    builder b;
    sdx_training *training = NULL;
    double w[COLUMNS + 1] = {9, 9, 0}, v[COLUMNS + 1] = {0};
    build(&b);
    write_model(&b, first);
    OK(sdx_training_open(first, NULL, &error, &training));
    expect_state(training, "w", w, COLUMNS);
    w[0] = w[1] = 0.5;
    OK(sdx_training_initialize(training, &error));
    expect_state(training, "w", w, COLUMNS);
    double before = reference((double[]){0.5, 0.5, 0}, (double[]){0, 0, 0});
    check_steps(training, w, v, STEPS);
    assert_true(step(training) < before / 100);
    reference(w, v);
    OK(sdx_training_save(training, second, &error));
    sdx_training_destroy(training);
    OK(sdx_training_open(second, NULL, &error, &training)); /* it goes on where it was */
    check_steps(training, w, v, 5);
    sdx_training_destroy(training);
    unlink(first);
    unlink(second);
    end(&b);
}

/* Reading and writing the model keeps the training information, message by message. */
static void saving_a_model_keeps_it(void **state) {
    (void)state;
    static const char first[] = "training_info_kept.onnx", second[] = "training_info_written.onnx";
    builder b;
    sdx_model *model = NULL;
    sdx_training *training = NULL;
    double w[COLUMNS + 1] = {0.5, 0.5, 0}, v[COLUMNS + 1] = {0};
    build(&b);
    write_model(&b, first);
    for (int level = SDX_OPTIMISE_PORTABLE; level <= SDX_OPTIMISE_NONE; level++) {
        sdx_model_options options = {.size = sizeof options, .optimise = (sdx_optimise)level};
        OK(sdx_model_open(first, &options, &error, &model));
        OK(sdx_model_save(model, second, NULL, &error));
        sdx_model_close(model);
    }
    OK(sdx_training_open(second, NULL, &error, &training));
    OK(sdx_training_initialize(training, &error));
    check_steps(training, w, v, 3);
    sdx_training_destroy(training);
    unlink(first);
    unlink(second);
    end(&b);
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    static const char path[] = "training_info_bad.onnx";
    builder b;
    sdx_training *training = NULL;
    sdx_binding in = {"nothing", NULL};
    Onnx__TrainingInfoProto *info = build(&b);
    write_model(&b, path);
    OK(sdx_training_open(path, NULL, &error, &training));
    assert_int_equal(sdx_training_step(training, &in, 1, NULL, 0, &error), SDX_ARGUMENT);
    assert_non_null(strstr(error.message, "'nothing' is no input of the training step"));
    error = (sdx_error){0};
    assert_int_equal(sdx_training_step(training, NULL, 0, NULL, 0, &error), SDX_ARGUMENT);
    assert_non_null(strstr(error.message, "input 'x' of the training step is not given"));
    expect_state(training, "w", (double[]){9, 9}, COLUMNS); /* nothing has moved */
    sdx_training_destroy(training);
    error = (sdx_error){0};
    info->update_binding[0]->key = text(&b, "nowhere");
    write_model(&b, path);
    assert_int_equal(sdx_training_open(path, NULL, &error, &training), SDX_MALFORMED);
    assert_non_null(strstr(error.message, "a binding names 'nowhere', which is no initializer of the model"));
    error = (sdx_error){0};
    b.model->n_training_info = 0;
    write_model(&b, path);
    assert_int_equal(sdx_training_open(path, NULL, &error, &training), SDX_ARGUMENT);
    assert_non_null(strstr(error.message, "the model has no training information"));
    error = (sdx_error){0};
    unlink(path);
    end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_equal_the_reference),
        cmocka_unit_test(saving_a_model_keeps_it),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
