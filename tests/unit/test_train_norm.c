/* SPDX-License-Identifier: Apache-2.0
 * Modes of BatchNormalization in the training form, and what becomes of running statistics. */
#include "runtime/train/fill.h"
#include "tests/unit/train_support.h"
#include <math.h>

static sdx_train_options options;

/* x [N, 3, L] -> BatchNormalization; with `training_mode` as the file may have it. */
static sdx_model *norm(int training_mode, bool tracked) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    options = training(SDX_LOSS_OUTPUT);
    sdx_id in[] = {add_input(g, "x", SDX_F32, DIMS(-1, 3, -1)), weight(g, "bn.weight", DIMS(3)),
                   weight(g, "bn.bias", DIMS(3)), weight(g, tracked ? "bn.mean" : "sdx_v900", DIMS(3)),
                   weight(g, tracked ? "bn.var" : "sdx_v901", DIMS(3))};
    sdx_node *bn = add_node_n(g, "BatchNormalization", "bn", training_mode ? 3 : 1, 5, in);
    set_int(g, bn, "training_mode", training_mode);
    sdx_id y = add_node(g, "Mul", "y", IDS(bn->out[0], weight(g, "w", DIMS(3, 1))));
    add_output(g, y);
    finish_model(model);
    return model;
}

static const sdx_attr *mode_attr(const sdx_graph *graph) {
    return sdx_node_attr(node_of(graph, "BatchNormalization"), "training_mode");
}

static bool in_batch_mode(const sdx_graph *graph) {
    const sdx_attr *attr = mode_attr(graph);
    return attr && attr->i;
}

/* The value that a running statistic becomes, for one batch. */
static sdx_value *next_value(const sdx_prepared *p, const char *name, const sdx_value *x, sdx_status expected) {
    sdx_model *model = NULL;
    OK(sdx_model_copy(p->training, &test_error, &model));
    OK(sdx_graph_add_output(model->graph, variable(p, name)->next, &test_error));
    OK(sdx_load_finish(model, &(sdx_model_options){.size = sizeof(sdx_model_options), .optimise = SDX_OPTIMISE_NONE},
                       &test_error));
    sdx_session *session = new_session(model, 1);
    sdx_binding in[8] = {{"x", (sdx_value *)(uintptr_t)x}};
    for (int k = 0; k < p->n_variables; k++) in[1 + k] = (sdx_binding){p->variables[k].name, p->variables[k].value};
    sdx_binding out = {model->outputs[model->n_outputs - 1].name, NULL};
    test_error = (sdx_error){0};
    sdx_status status = sdx_session_run(session, in, 1 + (size_t)p->n_variables, &out, 1, &test_error);
    if (status != expected) fail_msg("status %d, expected %d: %s", (int)status, (int)expected, test_error.message);
    sdx_session_destroy(session);
    sdx_model_close(model);
    return out.value;
}

/* Two samples of two: m = 4 per channel. */
static void running_statistics_follow(void **state) {
    (void)state;
    sdx_model *model = norm(0, true);
    const float data[12] = {1, 2, 5, 5, 0, 8, 3, 6, 5, 5, 4, 4};
    const double mean[3] = {3, 5, 4}, var[3] = {3.5, 0, 8};
    sdx_value *x = new_tensor(SDX_F32, DIMS(2, 3, 2), data);
    for (int unbiased = 0; unbiased < 2; unbiased++) {
        options.running_var = unbiased ? SDX_RUNNING_VAR_UNBIASED : SDX_RUNNING_VAR_POPULATION;
        sdx_prepared *p = prepared(model, &options);
        assert_true(in_batch_mode(p->training->graph));
        assert_false(in_batch_mode(p->inference->graph));
        sdx_value *new_mean = next_value(p, "bn.mean", x, SDX_OK), *new_var = next_value(p, "bn.var", x, SDX_OK);
        for (int c = 0; c < 3; c++) {
            double was = c == 2 ? 2 : 1, factor = unbiased ? 4.0 / 3 : 1;
            assert_float_equal(((float *)new_mean->tensor.data)[c], (float)(was * .9 + mean[c] * .1), 1e-6f);
            assert_float_equal(((float *)new_var->tensor.data)[c], (float)(was * .9 + var[c] * factor * .1), 1e-6f);
        }
        sdx_value_release(new_mean);
        sdx_value_release(new_var);
        sdx_prepared_free(p);
    }
    sdx_value_release(x);
    sdx_model_close(model);
}

static void a_channel_of_one_value_is_refused(void **state) {
    (void)state;
    sdx_model *model = norm(0, true);
    sdx_prepared *p = prepared(model, &options);
    sdx_value *x = new_tensor(SDX_F32, DIMS(1, 3, 1), NULL);
    assert_null(next_value(p, "bn.var", x, SDX_SHAPE));
    CONTAINS(test_error.message, "'bn'");
    CONTAINS(test_error.message, "more than one value per channel");
    sdx_value_release(x);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void known_shapes_are_refused_at_once(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    options = training(SDX_LOSS_OUTPUT);
    sdx_id in[] = {add_input(g, "x", SDX_F32, DIMS(1, 3, 1, 1)), weight(g, "s", DIMS(3)), weight(g, "b", DIMS(3)),
                   weight(g, "m", DIMS(3)), weight(g, "v", DIMS(3))};
    sdx_id y = add_node(g, "BatchNormalization", "alone", 5, in);
    sdx_id other = add_input(g, "other", SDX_F32, DIMS(2, 3, 1, 1)); /* two sizes of a batch: both stay as they are */
    add_output(g, add_node(g, "Add", "sum", IDS(y, other)));
    finish_model(model);
    CONTAINS(refused(model, &options, SDX_SHAPE), "'alone'");
    options.norm_mode = SDX_NORM_RUNNING;
    sdx_prepared_free(prepared(model, &options));
    sdx_model_close(model);
}

static void each_mode(void **state) {
    (void)state;
    static const struct {
        sdx_norm_mode mode;
        bool batch, follows, trained;
    } rows[] = {{SDX_NORM_AUTO, true, true, true},
                {SDX_NORM_BATCH_UPDATE, true, true, true},
                {SDX_NORM_BATCH, true, false, true},
                {SDX_NORM_RUNNING, false, false, true},
                {SDX_NORM_FROZEN, false, false, false}};
    for (int file_mode = 0; file_mode < 2; file_mode++) {
        sdx_model *model = norm(file_mode, true);
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
            options.norm_mode = rows[k].mode;
            sdx_prepared *p = prepared(model, &options);
            if (in_batch_mode(p->training->graph) != rows[k].batch) fail_msg("mode %d", (int)rows[k].mode);
            assert_false(in_batch_mode(p->inference->graph));
            assert_int_equal(variable(p, "bn.mean")->next != SDX_NONE, rows[k].follows);
            assert_int_equal(variable(p, "bn.weight")->trained, rows[k].trained);
            sdx_prepared_free(p);
        }
        sdx_model_close(model);
    }
}

/* A frozen backbone must not drift: both of scale and bias frozen means running statistics that stay. */
static void a_frozen_layer_keeps_its_statistics(void **state) {
    (void)state;
    static const char *const whole[] = {"bn.*"}, *const scale[] = {"bn.weight"};
    sdx_model *model = norm(0, true);
    options.freeze = (sdx_patterns){whole, 1};
    sdx_prepared *p = prepared(model, &options);
    assert_false(in_batch_mode(p->training->graph));
    assert_int_equal(variable(p, "bn.var")->next, SDX_NONE);
    sdx_prepared_free(p);
    options.freeze = (sdx_patterns){scale, 1};
    p = prepared(model, &options);
    assert_true(in_batch_mode(p->training->graph));
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void layers_have_modes_of_their_own(void **state) {
    (void)state;
    sdx_model *model = norm(0, true);
    const sdx_norm_options by_node[] = {{"bn", SDX_NORM_FROZEN}}, by_tensor[] = {{"bn.me*", SDX_NORM_RUNNING}};
    const sdx_norm_options nothing[] = {{"bm", SDX_NORM_BATCH}};
    options.norm_mode = SDX_NORM_BATCH;
    options.norms = by_node;
    options.n_norms = 1;
    sdx_prepared *p = prepared(model, &options);
    assert_false(in_batch_mode(p->training->graph));
    assert_false(variable(p, "bn.weight")->trained);
    sdx_prepared_free(p);
    options.norms = by_tensor;
    p = prepared(model, &options);
    assert_false(in_batch_mode(p->training->graph));
    assert_true(variable(p, "bn.weight")->trained);
    sdx_prepared_free(p);
    options.norms = nothing;
    CONTAINS(refused(model, &options, SDX_VALUE), "'bn'");
    sdx_model_close(model);
}

static void instances_of_one_place_are_refused(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    options = training(SDX_LOSS_OUTPUT);
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 3, 1, 1));
    add_output(g, add_node(g, "InstanceNormalization", "in", IDS(x, weight(g, "s", DIMS(3)), weight(g, "b", DIMS(3)))));
    finish_model(model);
    CONTAINS(refused(model, &options, SDX_SHAPE), "'in'");
    sdx_model_close(model);
}

/* track_running_stats=False: batch statistics in both forms, and no state. */
static void untracked_statistics_stay(void **state) {
    (void)state;
    sdx_model *model = norm(1, false);
    sdx_prepared *p = prepared(model, &options);
    assert_true(in_batch_mode(p->training->graph));
    assert_true(in_batch_mode(p->inference->graph));
    for (int k = 0; k < p->n_variables; k++) assert_int_not_equal(p->variables[k].role, SDX_ROLE_STATE);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void a_layer_called_twice_updates_twice(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    options = training(SDX_LOSS_OUTPUT);
    sdx_id in[] = {add_input(g, "x", SDX_F32, DIMS(-1, 3)), weight(g, "s", DIMS(3)), weight(g, "b", DIMS(3)),
                   weight(g, "m", DIMS(3)), weight(g, "v", DIMS(3))};
    in[0] = add_node(g, "BatchNormalization", "one", 5, in);
    add_output(g, add_node(g, "BatchNormalization", "two", 5, in));
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    const sdx_graph *t = p->training->graph;
    const sdx_node *last = t->nodes[t->values[variable(p, "m")->next].producer];
    const sdx_node *first = t->nodes[t->values[last->in[1]].producer];
    assert_string_equal(first->op_type, "RunningStatistic");
    assert_int_equal(first->in[1], variable(p, "m")->id);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static sdx_value *answer(const sdx_model *model, const sdx_value *x) {
    sdx_session *session = new_session(model, 1);
    sdx_binding in = {"x", (sdx_value *)(uintptr_t)x};
    sdx_value *y = run_one(session, &in, 1, model->outputs[0].name);
    sdx_session_destroy(session);
    return y;
}

static sdx_id normalised(sdx_graph *g, const char *name, sdx_id x, int64_t channels) {
    sdx_id in[5] = {x};
    static const char *const leaves[] = {"scale", "bias", "mean", "var"};
    for (int k = 1; k < 5; k++) {
        char text[64];
        snprintf(text, sizeof text, "%s.%s", name, leaves[k - 1]);
        float data[8];
        for (int c = 0; c < 8; c++) data[c] = (float)k * 0.3f + (float)c * 0.1f;
        in[k] = add_constant(g, text, SDX_F32, DIMS(channels), data);
    }
    return add_node(g, "BatchNormalization", name, 5, in);
}

/* Conv with groups, ConvTranspose, Gemm both ways, without bias and with; two norms in a row. One stays: its input is
 * read elsewhere. */
static void norms_fold_into_weights(void **state) {
    (void)state;
    sdx_model *model = new_model(), *folded = NULL;
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 4, 3, 3));
    sdx_id y = add_node(g, "Conv", "conv", IDS(x, weight(g, "cw", DIMS(4, 2, 3, 3)), weight(g, "cb", DIMS(4))));
    set_int(g, g->nodes[0], "group", 2);
    y = normalised(g, "bn1", normalised(g, "bn0", y, 4), 4);
    y = normalised(g, "bn2", add_node(g, "ConvTranspose", "up", IDS(y, weight(g, "uw", DIMS(4, 3, 2, 2)))), 3);
    y = add_node(g, "Flatten", "flat", 1, &y);
    y = normalised(g, "bn3",
                   add_node(g, "Gemm", "a", IDS(y, weight(g, "aw", DIMS(12, 5)), weight(g, "ab", DIMS(1, 5)))), 5);
    y = add_node(g, "Gemm", "b", IDS(y, weight(g, "bw", DIMS(6, 5)), weight(g, "bb", DIMS(1))));
    set_int(g, g->nodes[g->n_nodes - 1], "transB", 1);
    sdx_id z = normalised(g, "bn4", y, 6);
    sdx_id w = add_node(g, "Gemm", "c", IDS(z, weight(g, "w", DIMS(6, 2))));
    sdx_id last = normalised(g, "bn5", w, 2);
    add_output(g, add_node(g, "Add", "y", IDS(last, w)));
    finish_model(model);
    OK(sdx_model_copy(model, &test_error, &folded));
    int n = 0;
    OK(sdx_fold_norms(folded, &test_error, &n));
    OK(sdx_graph_check(folded->graph, &test_error));
    assert_int_equal(n, 5);
    float data[72];
    for (int k = 0; k < 72; k++) data[k] = (float)(k % 11) * 0.25f - 1;
    sdx_value *in = new_tensor(SDX_F32, DIMS(2, 4, 3, 3), data), *a = answer(model, in), *b = answer(folded, in);
    for (int k = 0; k < 4; k++) {
        double p = sdx_tensor_element(&a->tensor, k), q = sdx_tensor_element(&b->tensor, k);
        if (fabs(p - q) > 1e-5 * fabs(p)) fail_msg("element %d: %.9g, folded %.9g", k, p, q);
    }
    sdx_value_release(a);
    sdx_value_release(b);
    sdx_value_release(in);
    sdx_model_close(folded);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_statistics_follow),
        cmocka_unit_test(a_channel_of_one_value_is_refused),
        cmocka_unit_test(known_shapes_are_refused_at_once),
        cmocka_unit_test(each_mode),
        cmocka_unit_test(a_frozen_layer_keeps_its_statistics),
        cmocka_unit_test(untracked_statistics_stay),
        cmocka_unit_test(norms_fold_into_weights),
        cmocka_unit_test(layers_have_modes_of_their_own),
        cmocka_unit_test(instances_of_one_place_are_refused),
        cmocka_unit_test(a_layer_called_twice_updates_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
