/* SPDX-License-Identifier: Apache-2.0
 * Preparation for training: copies, patterns, what is a parameter, and the training form. */
#include "tests/unit/train_support.h"

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
    sdx_train_options options = training(SDX_LOSS_CROSS_ENTROPY);
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
    sdx_train_options options = training(SDX_LOSS_CROSS_ENTROPY);
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

static void softmax_of_old_opsets_is_bypassed(void **state) {
    (void)state;
    sdx_model *model = new_model();
    static sdx_opset old = {"", 11};
    model->opsets = &old;
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 4));
    sdx_id z = add_node(g, "MatMul", "z", IDS(x, weight(g, "w", DIMS(4, 3))));
    add_output(g, add_node(g, "Softmax", "p", 1, &z));
    finish_model(model);
    sdx_train_options options = training(SDX_LOSS_CROSS_ENTROPY);
    sdx_prepared *p = prepared(model, &options);
    assert_string_equal(p->training->graph->values[p->outputs[0]].name, "z");
    assert_string_equal(p->inference->graph->values[p->evaluated[0]].name, "z");
    sdx_prepared_free(p);
    sdx_model_close(model);
}

/* A softmax over another axis than the classes is part of the model. */
static void other_softmaxes_stay(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 5, 4));
    sdx_id z = add_node(g, "MatMul", "z", IDS(x, weight(g, "w", DIMS(4, 3))));
    add_output(g, add_node(g, "Softmax", "p", 1, &z));
    finish_model(model);
    sdx_train_options options = training(SDX_LOSS_CROSS_ENTROPY);
    sdx_prepared *p = prepared(model, &options);
    assert_string_equal(p->training->graph->values[p->outputs[0]].name, "p");
    sdx_prepared_free(p);
    sdx_model_close(model);
}

/* sigmoid(z).squeeze(-1): the loss reads z.squeeze(-1). */
static void an_activation_behind_views_is_bypassed(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 4));
    sdx_id z = add_node(g, "MatMul", "z", IDS(x, weight(g, "w", DIMS(4, 1))));
    sdx_id s = add_node(g, "Sigmoid", "s", 1, &z), axes = add_constant(g, "axes", SDX_I64, DIMS(1), (int64_t[]){-1});
    add_output(g, add_node(g, "Squeeze", "p", IDS(s, axes)));
    finish_model(model);
    sdx_train_options options = training(SDX_LOSS_BCE_WITH_LOGITS);
    sdx_prepared *p = prepared(model, &options);
    const sdx_graph *forms[] = {p->training->graph, p->inference->graph};
    const sdx_id reads[] = {p->outputs[0], p->evaluated[0]};
    for (int k = 0; k < 2; k++) {
        const sdx_node *squeeze = forms[k]->nodes[forms[k]->values[reads[k]].producer];
        assert_string_equal(squeeze->op_type, "Squeeze");
        assert_string_equal(forms[k]->values[squeeze->in[0]].name, "z");
        assert_int_equal(forms[k]->values[reads[k]].type.rank, 1);
    }
    OK(sdx_drop_dead(p->inference->graph, NULL, 0, &test_error));
    assert_int_equal(p->inference->graph->n_nodes, 3);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void dropout_drops_in_training_alone(void **state) {
    (void)state;
    sdx_model *model = mlp();
    sdx_train_options options = training(SDX_LOSS_CROSS_ENTROPY);
    for (int classic = 0; classic < 2; classic++) {
        options.classic_dropout = classic;
        sdx_prepared *p = prepared(model, &options);
        const sdx_graph *g = p->training->graph;
        const sdx_node *drop = node_of(g, "Dropout");
        assert_non_null(drop);
        assert_int_equal(drop->n_in, 3);
        assert_true(*(bool *)g->values[drop->in[2]].constant->tensor.data);
        assert_float_equal(*(float *)g->values[drop->in[1]].constant->tensor.data, classic ? 0.75f : 0.25f, 0);
        assert_null(node_of(p->inference->graph, "Dropout"));
        sdx_prepared_free(p);
    }
    sdx_model_close(model);
}

/* Dropout of whole channels: a mask that is drawn on ones and multiplied in. */
static void dropout_of_ones_drops_channels(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(1, 4, 2, 2));
    sdx_id y = add_node(g, "Conv", "conv", IDS(x, weight(g, "w", DIMS(4, 4, 1, 1))));
    sdx_id ones = add_constant(g, "ones", SDX_F32, DIMS(1, 4, 1, 1), (float[]){1, 1, 1, 1});
    sdx_id ratio = add_constant(g, "ratio", SDX_F32, SCALAR, (float[]){0.5f});
    sdx_id yes = add_constant(g, "yes", SDX_BOOL, SCALAR, (bool[]){true});
    sdx_id mask = add_node(g, "Dropout", "mask", IDS(ones, ratio, yes));
    add_output(g, add_node(g, "Mul", "dropped", IDS(y, mask)));
    finish_model(model);
    sdx_train_options options = training(SDX_LOSS_OUTPUT);
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(p->n_variables, 1);
    assert_non_null(node_of(p->training->graph, "Dropout"));
    assert_null(node_of(p->inference->graph, "Dropout"));
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void dropout_with_a_mask_of_floats_drops(void **state) {
    (void)state;
    sdx_model *model = new_model();
    static sdx_opset old = {"", 7};
    model->opsets = &old;
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 4));
    sdx_id z = add_node(g, "MatMul", "z", IDS(x, weight(g, "w", DIMS(4, 4))));
    sdx_node *drop = add_node_n(g, "Dropout", "drop", 2, 1, &z);
    add_output(g, drop->out[0]);
    add_output(g, drop->out[1]);
    finish_model(model);
    sdx_train_options options = training(SDX_LOSS_OUTPUT);
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(node_of(p->training->graph, "Dropout")->n_in, 3);
    assert_int_equal(node_of(p->inference->graph, "Dropout")->n_in, 1); /* its mask is an output */
    assert_int_equal(p->inference->graph->values[p->inference->graph->outputs[1]].type.dtype, SDX_F32);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void patterns_choose_what_is_trained(void **state) {
    (void)state;
    sdx_model *model = mlp();
    static const char *const fc2[] = {"fc2.*"}, *const biases[] = {"*.bias"}, *const slip[] = {"fc2.wieght", "nothing"},
                             *const all[] = {"*"}, *const by_node[] = {"fc1"};
    sdx_train_options options = training(SDX_LOSS_CROSS_ENTROPY);
    options.trainable = (sdx_patterns){fc2, 1};
    options.freeze = (sdx_patterns){biases, 1};
    sdx_prepared *p = prepared(model, &options);
    assert_true(variable(p, "fc2.weight")->trained);
    assert_false(variable(p, "fc2.bias")->trained);
    assert_false(variable(p, "fc1.weight")->trained);
    sdx_prepared_free(p);
    options.trainable = (sdx_patterns){NULL, 0};
    options.freeze = (sdx_patterns){by_node, 1};
    p = prepared(model, &options);
    assert_false(variable(p, "fc1.weight")->trained);
    assert_true(variable(p, "fc2.weight")->trained);
    sdx_prepared_free(p);
    options.freeze = (sdx_patterns){slip, 2};
    const char *message = refused(model, &options, SDX_VALUE);
    CONTAINS(message, "'fc2.wieght' of 'freeze' matches nothing");
    CONTAINS(message, "'fc2.weight'");
    CONTAINS(message, "'nothing' of 'freeze'"); /* all of them at once */
    options.freeze = (sdx_patterns){all, 1};
    CONTAINS(refused(model, &options, SDX_VALUE), "all are frozen");
    sdx_model_close(model);
}

static void the_output_of_the_loss_must_exist(void **state) {
    (void)state;
    sdx_model *model = mlp();
    sdx_train_options options = training(SDX_LOSS_MSE);
    options.loss.output[0] = "relu";
    sdx_prepared *p = prepared(model, &options);
    assert_string_equal(p->training->graph->values[p->outputs[0]].name, "relu");
    sdx_prepared_free(p);
    options.loss.output[0] = "rleu";
    CONTAINS(refused(model, &options, SDX_VALUE), "'relu'");
    options = training(SDX_LOSS_TRIPLET);
    CONTAINS(refused(model, &options, SDX_VALUE), "the model has 1");
    sdx_model_close(model);
}

/* x -> MatMul(w1) -> ArgMax -> MatMul(w2): nothing comes through a choice. */
static void what_has_no_gradient_is_listed(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 4));
    sdx_id h = add_node(g, "MatMul", "h", IDS(x, weight(g, "w1", DIMS(4, 4))));
    sdx_id chosen = add_node(g, "ArgMax", "chosen", 1, &h);
    sdx_node *cast = add_node_n(g, "Cast", "cast", 1, 1, &chosen);
    set_int(g, cast, "to", SDX_F32);
    sdx_id r = cast->out[0];
    add_output(g, add_node(g, "Mul", "y", IDS(r, add_node(g, "MatMul", "v", IDS(x, weight(g, "w2", DIMS(4, 4)))))));
    add_output(g, add_node(g, "MatMul", "aside", IDS(x, weight(g, "w3", DIMS(4, 4)))));
    finish_model(model);
    sdx_train_options options = training(SDX_LOSS_OUTPUT);
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(p->n_variables, 3);
    sdx_id xs[3] = {p->variables[0].id, p->variables[1].id, p->variables[2].id};
    sdx_coverage found;
    sdx_arena arena;
    sdx_arena_init(&arena, p->training->memory);
    OK(sdx_coverage_find(p->training->graph, p->outputs, 1, xs, 3, &arena, &test_error, &found));
    assert_int_equal(found.n_nodes, 1);
    assert_string_equal(found.nodes[0].node->op_type, "ArgMax");
    assert_true(found.nodes[0].never);
    assert_int_equal(found.n_freeze, 1);
    assert_string_equal(p->variables[found.freeze[0]].name, "w1");
    assert_int_equal(found.n_unused, 1);
    assert_string_equal(p->variables[found.unused[0]].name, "w3");
    sdx_arena_release(&arena);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

/* x [2, 2, 3] -> Reshape [2, 6] -> MatMul -> Reshape: the batch before the classes, or, with `built_in`, rows added. */
static sdx_model *fixed_batch(bool built_in) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 2, 3));
    sdx_id flat = add_constant(g, "shape1", SDX_I64, DIMS(2), (int64_t[]){2, 6});
    sdx_id f = add_node(g, "Reshape", "flatten", IDS(x, flat));
    sdx_id w = weight(g, "w", DIMS(6, 4));
    sdx_id y = add_node(g, "MatMul", "fc", IDS(f, w));
    sdx_id rows = weight(g, "rows", DIMS(2, 4));
    if (built_in) y = add_node(g, "Add", "table", IDS(y, rows));
    sdx_id apart = add_constant(g, "shape2", SDX_I64, DIMS(3), (int64_t[]){1, 2, 4});
    sdx_id z = add_node(g, "Reshape", "apart", IDS(y, apart));
    sdx_id back = add_constant(g, "shape3", SDX_I64, DIMS(2), (int64_t[]){2, 4});
    add_output(g, add_node(g, "Reshape", "back", IDS(z, back)));
    finish_model(model);
    return model;
}

static void a_fixed_batch_is_left_open(void **state) {
    (void)state;
    sdx_train_options options = training(SDX_LOSS_CROSS_ENTROPY);
    sdx_model *model = fixed_batch(false);
    sdx_prepared *p = prepared(model, &options);
    assert_true(noted(p, "batches may be of any size; the file says 2, also in 3 shapes"));
    assert_int_equal(p->inference->inputs[0].dims[0], -1);
    assert_string_equal(p->inference->inputs[0].dim_names[0], "batch");
    assert_int_equal(model->inputs[0].dims[0], 2);
    float data[5 * 6] = {1};
    sdx_binding in = {"x", new_tensor(SDX_F32, DIMS(5, 2, 3), data)};
    sdx_session *session = new_session(p->inference, 1);
    sdx_value *out = run_one(session, &in, 1, p->inference->outputs[0].name);
    assert_int_equal(out->tensor.dim[0], 5);
    sdx_session_destroy(session);
    sdx_value_release(in.value);
    sdx_value_release(out);
    sdx_prepared_free(p);
    sdx_model_close(model);
    model = fixed_batch(true);
    p = prepared(model, &options);
    assert_true(noted(p, "batches are of 2 samples, as the file has it: node 'table' (Add"));
    assert_int_equal(p->inference->inputs[0].dims[0], 2);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

/* Every limit on memory from nothing to enough: refused cleanly, or done. */
static void memory_may_end_anywhere(void **state) {
    (void)state;
    sdx_model *model = mlp();
    const sdx_insert_options inserts[] = {{.kind = SDX_INSERT_BATCH_NORM, .after = "fc1"}};
    sdx_train_options options = training(SDX_LOSS_CROSS_ENTROPY);
    options.inserts = inserts;
    options.n_inserts = 1;
    options.head = (sdx_head_options){.replace = true, .classes = 4};
    sdx_prepared *p = NULL;
    size_t limit = 1;
    for (; !p && limit < 4000000; limit += 1 + limit / 16) {
        model->memory->limit = limit;
        test_error = (sdx_error){0};
        sdx_status status = sdx_prepare(model, &options, &test_error, &p);
        if (status != SDX_OK && status != SDX_LIMIT) fail_msg("limit %zu: %s", limit, test_error.message);
    }
    assert_non_null(p);
    sdx_prepared_free(p);
    model->memory->limit = 0;
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_batch_is_left_open),
        cmocka_unit_test(patterns_match_as_globs),
        cmocka_unit_test(a_copy_runs_as_the_original),
        cmocka_unit_test(weights_become_inputs),
        cmocka_unit_test(the_final_softmax_is_bypassed),
        cmocka_unit_test(softmax_of_old_opsets_is_bypassed),
        cmocka_unit_test(other_softmaxes_stay),
        cmocka_unit_test(an_activation_behind_views_is_bypassed),
        cmocka_unit_test(dropout_drops_in_training_alone),
        cmocka_unit_test(dropout_of_ones_drops_channels),
        cmocka_unit_test(dropout_with_a_mask_of_floats_drops),
        cmocka_unit_test(patterns_choose_what_is_trained),
        cmocka_unit_test(the_output_of_the_loss_must_exist),
        cmocka_unit_test(what_has_no_gradient_is_listed),
        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
