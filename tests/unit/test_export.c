/* SPDX-License-Identifier: Apache-2.0
 * Writing a model and reading it back: the same graph, under an opset that fits all its nodes. */
#include "tests/unit/model_builder.h"
#include <unistd.h>

static char folder[] = "/tmp/sardonyx_export_XXXXXX";

static int set_up(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static const char *in_folder(const char *name) {
    static char path[2][256];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int tear_down(void **state) {
    (void)state;
    unlink(in_folder("m.onnx"));
    unlink(in_folder("m.data"));
    return rmdir(folder);
}

static sdx_model *saved_and_read(const sdx_model *model, const char *data) {
    sdx_error error = {0};
    sdx_model *again = NULL;
    sdx_model_options options = {.size = sizeof options, .optimise = SDX_OPTIMISE_NONE};
    if (sdx_model_save(model, in_folder("m.onnx"), data, &error)) fail_msg("%s", error.message);
    if (sdx_model_open(in_folder("m.onnx"), &options, &error, &again)) fail_msg("%s", error.message);
    return again;
}

static char printed[2][1 << 16];
static int side;

static void keep_line(void *context, const char *line) {
    (void)context;
    size_t used = strlen(printed[side]);
    snprintf(printed[side] + used, sizeof printed[side] - used, "%s\n", line);
}

static void must_be_equal(const sdx_model *a, const sdx_model *b) {
    printed[0][0] = printed[1][0] = '\0';
    side = 0;
    sdx_graph_print(a->graph, keep_line, NULL);
    side = 1;
    sdx_graph_print(b->graph, keep_line, NULL);
    if (strcmp(printed[0], printed[1]) != 0) fail_msg("written:\n%s\nread:\n%s", printed[0], printed[1]);
}

static Onnx__GraphProto *branch(builder *b, const char *op, const char *x, const char *y) {
    Onnx__GraphProto *graph = new_graph(b, "branch");
    add_node(b, graph, op, x, y);
    add_output(b, graph, y, SDX_F32, NULL);
    return graph;
}

static void a_graph_with_bodies(builder *b, int64_t opset) {
    begin(b, opset);
    add_input(b, b->graph, "c", SDX_BOOL, "");
    add_input(b, b->graph, "x", SDX_F32, "N,4");
    init_f32(b, b->graph, "w", 600, 2);
    init_f32(b, b->graph, "v", 4, 3);
    add_node(b, b->graph, "Mul", "x v", "e")->name = text(b, "mul");
    Onnx__NodeProto *node = add_node(b, b->graph, "If", "c", "f");
    attr_graph(b, node, "then_branch", branch(b, "Relu", "e", "p"));
    attr_graph(b, node, "else_branch", branch(b, "Neg", "w", "q"));
    attr_int(b, add_node(b, b->graph, "Softmax", "e", "s"), "axis", 1);
    add_output(b, b->graph, "f", SDX_F32, NULL);
    add_output(b, b->graph, "s", SDX_F32, "N,4");
}

static void a_written_model_reads_the_same(void **state) {
    (void)state;
    for (int external = 0; external < 2; external++) {
        builder b;
        a_graph_with_bodies(&b, 17);
        sdx_model *model = must_load(&b, SDX_OPTIMISE_NONE);
        sdx_model *again = saved_and_read(model, external ? "m.data" : NULL);
        must_be_equal(model, again);
        assert_int_equal(again->opsets[0].version, 17);
        assert_int_equal(again->ir_version, 8);
        const sdx_value *w = find_value(again->graph, "w")->constant;
        assert_true(((const float *)w->tensor.data)[599] == 2.0f);
        assert_int_equal(access(in_folder("m.data"), F_OK), external ? 0 : -1);
        sdx_model_close(again);
        sdx_model_close(model);
        end(&b);
    }
}

/* Softmax-11 is upgraded to the form of opset 13: the file must say so, and no more than that. */
static void upgraded_graphs_import_what_they_need(void **state) {
    (void)state;
    builder b;
    a_graph_with_bodies(&b, 11);
    sdx_model *model = must_load(&b, SDX_OPTIMISE_NONE), *again = saved_and_read(model, NULL);
    if (again->opsets[0].version < 13) fail_msg("opset %lld", (long long)again->opsets[0].version);
    assert_int_equal(again->graph->n_nodes, model->graph->n_nodes);
    sdx_model_close(again);
    sdx_model_close(model);
    end(&b);
}

static void machine_models_are_refused(void **state) {
    (void)state;
    builder b;
    sdx_error error = {0};
    a_graph_with_bodies(&b, 17);
    sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
    assert_int_equal(sdx_model_save(model, in_folder("m.onnx"), NULL, &error), SDX_ARGUMENT);
    assert_non_null(strstr(error.message, "SDX_OPTIMISE_PORTABLE"));
    sdx_model_close(model);
    model = must_load(&b, SDX_OPTIMISE_PORTABLE);
    error = (sdx_error){0};
    assert_int_equal(sdx_model_save(model, in_folder("m.onnx"), "a/b", &error), SDX_ARGUMENT);
    sdx_model_close(model);
    end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_model_reads_the_same),
        cmocka_unit_test(upgraded_graphs_import_what_they_need),
        cmocka_unit_test(machine_models_are_refused),
    };
    return cmocka_run_group_tests_name("export", tests, set_up, tear_down);
}
