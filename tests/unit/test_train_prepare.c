/* SPDX-License-Identifier: Apache-2.0
 * Preparation for training: copies, patterns, what is a parameter, and the training form. */
#include "runtime/train/train.h"
#include "tests/unit/support.h"

static void patterns_match_as_globs(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } rows[] = {
        {"*", "", true},
        {"*", "fc.weight", true},
        {"", "", true},
        {"", "a", false},
        {"fc.*", "fc.weight", true},
        {"fc.*", "fc2.weight", false},
        {"*bias", "layer.0.bias", true},
        {"*bias", "bias.x", false},
        {"layer?.w", "layer1.w", true},
        {"layer?.w", "layer12.w", false},
        {"*a*b*c", "xaxbxbxc", true},
        {"*a*b*c", "xaxcxb", false},
        {"l[12].*", "l2.w", true},
        {"l[12].*", "l3.w", false},
        {"l[!12].*", "l3.w", true},
        {"l[0-9]", "l7", true},
        {"l[]]", "l]", true},
        {"l[a", "l[a", true},
        {"***x", "aax", true},
        {"/conv/Conv", "/conv/Conv", true},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
        if (sdx_pattern_matches(rows[k].pattern, rows[k].text) != rows[k].match)
            fail_msg("'%s' and '%s': expected %d", rows[k].pattern, rows[k].text, rows[k].match);
    char text[4001], pattern[4001];
    memset(text, 'a', 4000), text[4000] = '\0';
    for (int k = 0; k < 2000; k++) memcpy(pattern + 2 * k, "*b", 2);
    pattern[4000] = '\0';
    assert_false(sdx_pattern_matches(pattern, text)); /* and ends soon */
}

/* x -> Gemm -> Relu -> Dropout -> Gemm -> Softmax */
static sdx_model *mlp(void) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 4));
    sdx_id w1 = add_constant(g, "fc1.weight", SDX_F32, DIMS(4, 5), (float[20]){1});
    sdx_id b1 = add_constant(g, "fc1.bias", SDX_F32, DIMS(5), (float[5]){0});
    sdx_id h = add_node(g, "Gemm", "fc1", IDS(x, w1, b1));
    sdx_id r = add_node(g, "Relu", "relu", 1, &h);
    sdx_id ratio = add_constant(g, "ratio", SDX_F32, SCALAR, (float[]){0.25f});
    sdx_id d = add_node(g, "Dropout", "drop", IDS(r, ratio));
    sdx_id w2 = add_constant(g, "fc2.weight", SDX_F32, DIMS(5, 3), (float[15]){1});
    sdx_id b2 = add_constant(g, "fc2.bias", SDX_F32, DIMS(3), (float[3]){0});
    sdx_id z = add_node(g, "Gemm", "fc2", IDS(d, w2, b2));
    add_output(g, add_node(g, "Softmax", "p", 1, &z));
    finish_model(model);
    return model;
}

static sdx_train_options cross_entropy(void) {
    return (sdx_train_options){.size = sizeof(sdx_train_options), .loss = {.kind = SDX_LOSS_CROSS_ENTROPY}};
}

static sdx_prepared *prepared(const sdx_model *model, const sdx_train_options *options) {
    sdx_prepared *out = NULL;
    OK(sdx_prepare(model, options, &test_error, &out));
    OK(sdx_graph_check(out->training->graph, &test_error));
    OK(sdx_graph_check(out->inference->graph, &test_error));
    return out;
}

static const sdx_variable *variable(const sdx_prepared *p, const char *name) {
    for (int k = 0; k < p->n_variables; k++)
        if (strcmp(p->variables[k].name, name) == 0) return &p->variables[k];
    fail_msg("there is no variable '%s'", name);
    return NULL;
}

static const sdx_node *node_of(const sdx_graph *graph, const char *op_type) {
    for (int k = 0; k < graph->n_nodes; k++)
        if (strcmp(graph->nodes[k]->op_type, op_type) == 0) return graph->nodes[k];
    return NULL;
}

static void a_copy_runs_as_the_original(void **state) {
    (void)state;
    sdx_model *model = mlp(), *copy = NULL;
    OK(sdx_model_copy(model, &test_error, &copy));
    OK(sdx_graph_check(copy->graph, &test_error));
    assert_int_equal(copy->graph->n_values, model->graph->n_values);
    float data[8] = {1, 2, 3, 4, -1, 0, 1, 5};
    sdx_binding in = {"x", new_tensor(SDX_F32, DIMS(2, 4), data)};
    sdx_session *first = new_session(model, 1);
    sdx_value *want = run_one(first, &in, 1, "p");
    sdx_session_destroy(first);
    sdx_model_close(model); /* the copy stands alone */
    sdx_session *second = new_session(copy, 1);
    sdx_value *have = run_one(second, &in, 1, "p");
    expect_tensor(have, SDX_F32, DIMS(2, 3), want->tensor.data);
    sdx_session_destroy(second);
    sdx_model_close(copy);
    sdx_value_release(have);
    sdx_value_release(want);
    sdx_value_release(in.value);
}

static void weights_become_inputs(void **state) {
    (void)state;
    sdx_model *model = mlp();
    sdx_train_options options = cross_entropy();
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(p->n_variables, 4);
    assert_int_equal(variable(p, "fc1.weight")->role, SDX_ROLE_KERNEL);
    assert_int_equal(variable(p, "fc2.bias")->role, SDX_ROLE_BIAS);
    assert_string_equal(variable(p, "fc2.bias")->node, "fc2");
    const sdx_graph *g = p->training->graph;
    assert_int_equal(g->n_inputs, 5);
    assert_int_equal(p->training->n_inputs, 5);
    for (int k = 0; k < 4; k++) {
        assert_int_equal(g->inputs[1 + k], p->variables[k].id);
        assert_true(p->variables[k].trained);
        assert_null(g->values[p->variables[k].id].constant);
        assert_non_null(p->inference->graph->values[p->variables[k].exported].constant);
    }
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void the_final_softmax_is_bypassed(void **state) {
    (void)state;
    sdx_model *model = mlp();
    sdx_train_options options = cross_entropy();
    sdx_prepared *p = prepared(model, &options);
    assert_string_equal(p->training->graph->values[p->outputs[0]].name, "fc2");
    assert_int_equal(p->outputs[1], SDX_NONE);
    assert_true(p->n_notes > 0);
    sdx_prepared_free(p);
    options.loss.kind = SDX_LOSS_MSE;
    p = prepared(model, &options);
    assert_string_equal(p->training->graph->values[p->outputs[0]].name, "p");
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void dropout_drops_in_training(void **state) {
    (void)state;
    sdx_model *model = mlp();
    sdx_train_options options = cross_entropy();
    sdx_prepared *p = prepared(model, &options);
    const sdx_graph *g = p->training->graph;
    const sdx_node *drop = node_of(g, "Dropout");
    assert_non_null(drop);
    assert_int_equal(drop->n_in, 3);
    assert_true(*(bool *)g->values[drop->in[2]].constant->tensor.data);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_globs),   cmocka_unit_test(a_copy_runs_as_the_original),
        cmocka_unit_test(weights_become_inputs),     cmocka_unit_test(the_final_softmax_is_bypassed),
        cmocka_unit_test(dropout_drops_in_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
