/* SPDX-License-Identifier: Apache-2.0
 * Steps of the trainer: what they compute, and that nothing changes when they fail. */
#include "runtime/train/trainer.h"
#include "tests/unit/trainer_nets.h"

static void test_learns(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = plain_options();
    sdx_trainer *trainer = new_trainer(model, &options);
    net_batch batch = new_batch(SDX_F32, 32, 7);
    double first = step(trainer, &batch).loss, last = first;
    for (int k = 0; k < 100; k++) last = step(trainer, &batch).loss;
    if (!(last < first / 4)) fail_msg("the loss went from %g to %g in 100 steps", first, last);
    sdx_step_result result;
    sdx_binding out = {"logits", NULL};
    OK(sdx_trainer_evaluate(trainer, batch.bindings, 2, &result, &out, 1, &test_error));
    if (!(fabs(result.loss - last) < .1 * last + 1e-3)) fail_msg("evaluation gives %g after %g", result.loss, last);
    assert_int_equal(out.value->tensor.dim[0], 32);
    sdx_value_release(out.value);
    drop_batch(&batch);
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
}

/* ---- Gradients ------------------------------------------------------------------------------------------------- */

static double training_loss(sdx_trainer *trainer, const net_batch *batch) {
    sdx_step_result result;
    OK(sdx_trainer_gradients(trainer, batch->bindings, 2, &result, &test_error));
    double loss = result.loss;
    for (size_t k = 0; k < result.n_penalties; k++) loss += result.penalties[k];
    return loss;
}

static void check_gradient(sdx_trainer *trainer, const net_batch *batch, const char *name) {
    const double eps = 1e-6;
    sdx_value *value = NULL, *gradient = NULL;
    training_loss(trainer, batch);
    OK(sdx_trainer_get_parameter(trainer, name, false, &test_error, &value));
    OK(sdx_trainer_get_gradient(trainer, name, &test_error, &gradient));
    double *w = value->tensor.data;
    for (int64_t i = 0; i < value->tensor.count; i++) {
        double kept = w[i], analytic = ((double *)gradient->tensor.data)[i];
        w[i] = kept + eps;
        OK(sdx_trainer_set_parameter(trainer, name, value, &test_error));
        double above = training_loss(trainer, batch);
        w[i] = kept - eps;
        OK(sdx_trainer_set_parameter(trainer, name, value, &test_error));
        double below = training_loss(trainer, batch), numeric = (above - below) / (2 * eps);
        w[i] = kept;
        if (fabs(analytic - numeric) > 1e-7 + 1e-5 * fabs(numeric))
            fail_msg("d loss / d %s[%lld] is %.10g; differences say %.10g", name, (long long)i, analytic, numeric);
    }
    OK(sdx_trainer_set_parameter(trainer, name, value, &test_error));
    sdx_value_release(value);
    sdx_value_release(gradient);
}

/* With dropout: the mask stays the same as long as no step is made. Penalties that are part of the loss count. */
static void test_gradients(void **state) {
    (void)state;
    const sdx_penalty_options penalties[] = {
        {.kind = SDX_PENALTY_L2, .has_l2 = true, .l2 = .05, .mode = SDX_MODE_SUBGRADIENT},
        {.kind = SDX_PENALTY_L1,
         .has_l1 = true,
         .l1 = .03,
         .target = SDX_TARGET_ACTIVITY,
         .match = "act",
         .per_batch = true}};
    sdx_model *model = new_mlp(SDX_F64, .4);
    sdx_train_options options = plain_options();
    options.penalties = penalties;
    options.n_penalties = 2;
    net_batch batch = new_batch(SDX_F64, 9, 21);
    for (int accumulate = 1; accumulate <= 2; accumulate++) {
        options.accumulate = accumulate;
        sdx_trainer *trainer = new_trainer(model, &options);
        for (size_t k = 0; k < sdx_trainer_parameter_count(trainer); k++)
            check_gradient(trainer, &batch, sdx_trainer_parameter(trainer, k)->name);
        sdx_trainer_destroy(trainer);
    }
    drop_batch(&batch);
    sdx_model_close(model);
}

static void test_input_gradient(void **state) {
    (void)state;
    static const char *const names[] = {"x"};
    sdx_model *model = new_mlp(SDX_F64, 0);
    sdx_train_options options = plain_options();
    options.input_gradients = names;
    options.n_input_gradients = 1;
    net_batch batch = new_batch(SDX_F64, 4, 3);
    sdx_trainer *trainer = new_trainer(model, &options);
    sdx_value *gradient = NULL;
    assert_int_equal(sdx_trainer_get_gradient(trainer, "x", NULL, &gradient), SDX_ARGUMENT);
    training_loss(trainer, &batch);
    OK(sdx_trainer_get_gradient(trainer, "x", &test_error, &gradient));
    double *x = batch.bindings[0].value->tensor.data;
    for (int64_t i = 0; i < gradient->tensor.count; i++) {
        double kept = x[i];
        x[i] = kept + 1e-6;
        double above = training_loss(trainer, &batch);
        x[i] = kept - 1e-6;
        double numeric = (above - training_loss(trainer, &batch)) / 2e-6;
        x[i] = kept;
        double analytic = ((double *)gradient->tensor.data)[i];
        if (fabs(analytic - numeric) > 1e-7 + 1e-5 * fabs(numeric))
            fail_msg("d loss / d x[%lld] is %.10g; differences say %.10g", (long long)i, analytic, numeric);
    }
    sdx_value_release(gradient);
    drop_batch(&batch);
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
}

/* ---- Accumulation ---------------------------------------------------------------------------------------------- */

static net_batch part_of(const net_batch *whole, int64_t first, int64_t n) {
    double *x = (double *)whole->bindings[0].value->tensor.data + first * FEATURES;
    int64_t *y = (int64_t *)whole->bindings[1].value->tensor.data + first;
    net_batch part = {{{"x", NULL}, {"y", NULL}}};
    OK(sdx_value_borrow(SDX_F64, DIMS(n, FEATURES), x, &test_error, &part.bindings[0].value));
    OK(sdx_value_borrow(SDX_I64, DIMS(n), y, &test_error, &part.bindings[1].value));
    return part;
}

static void expect_close(sdx_trainer *a, sdx_trainer *b, double most) {
    for (size_t k = 0; k < sdx_trainer_parameter_count(a); k++) {
        const char *name = sdx_trainer_parameter(a, k)->name;
        sdx_value *x = NULL, *y = NULL;
        OK(sdx_trainer_get_parameter(a, name, false, &test_error, &x));
        OK(sdx_trainer_get_parameter(b, name, false, &test_error, &y));
        for (int64_t i = 0; i < x->tensor.count; i++) {
            double p = ((double *)x->tensor.data)[i], q = ((double *)y->tensor.data)[i];
            if (!(fabs(p - q) <= most)) fail_msg("%s[%lld] is %.17g and %.17g", name, (long long)i, p, q);
        }
        sdx_value_release(x);
        sdx_value_release(y);
    }
}

/* Batches of unequal size, class weights and ignored labels: means of means would be wrong. */
static void test_accumulate(void **state) {
    (void)state;
    const float class_weights[CLASSES] = {1, 3, .5f};
    const sdx_penalty_options penalties[] = {
        {.kind = SDX_PENALTY_L1_L2, .mode = SDX_MODE_SUBGRADIENT},
        {.kind = SDX_PENALTY_L2, .target = SDX_TARGET_ACTIVITY, .match = "act"},
        {.kind = SDX_PENALTY_L1, .target = SDX_TARGET_ACTIVITY, .match = "logits", .per_batch = true}};
    sdx_model *model = new_mlp(SDX_F64, 0);
    sdx_train_options options = plain_options();
    options.loss.class_weights = class_weights;
    options.loss.n_class_weights = CLASSES;
    options.loss.has_ignore_index = true;
    options.loss.ignore_index = -1;
    options.penalties = penalties;
    options.n_penalties = 3;
    options.clip_norm = .5;
    sdx_trainer *once = new_trainer(model, &options);
    options.accumulate = 3;
    sdx_trainer *thrice = new_trainer(model, &options);
    for (uint64_t round = 0; round < 4; round++) {
        const int64_t cut[] = {0, 3, 14, 20};
        net_batch whole = new_batch(SDX_F64, 20, 40 + round);
        ((int64_t *)whole.bindings[1].value->tensor.data)[2] = -1;
        sdx_step_result a = step(once, &whole), b = {.step = 0};
        for (int k = 0; k < 3; k++) {
            net_batch part = part_of(&whole, cut[k], cut[k + 1] - cut[k]);
            b = step(thrice, &part);
            assert_int_equal(b.updated, k == 2);
            drop_batch(&part);
        }
        if (!(fabs(a.loss - b.loss) < 1e-12)) fail_msg("the loss is %.17g and %.17g", a.loss, b.loss);
        if (!(fabs(a.gradient_norm - b.gradient_norm) < 1e-12))
            fail_msg("the norm is %.17g and %.17g", a.gradient_norm, b.gradient_norm);
        expect_close(once, thrice, 1e-9);
        drop_batch(&whole);
    }
    sdx_trainer_destroy(once);
    sdx_trainer_destroy(thrice);
    sdx_model_close(model);
}

/* ---- Threads, bad steps ------------------------------------------------------------------------------------------ */

static void test_threads(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, .3);
    sdx_train_options options = plain_options();
    options.clip_norm = 1;
    sdx_trainer *one = new_trainer(model, &options);
    options.threads = 2;
    sdx_trainer *two = new_trainer(model, &options);
    for (uint64_t k = 0; k < 10; k++) {
        net_batch batch = new_batch(SDX_F32, 65, 90 + k);
        sdx_step_result a = step(one, &batch), b = step(two, &batch);
        assert_memory_equal(&a.loss, &b.loss, sizeof a.loss);
        drop_batch(&batch);
    }
    expect_same(one, two, "one and two threads");
    sdx_trainer_destroy(one);
    sdx_trainer_destroy(two);
    sdx_model_close(model);
}

static void test_not_finite(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = plain_options();
    for (int policy = 0; policy < 2; policy++)
        for (int accumulate = 1; accumulate <= 2; accumulate++) {
            options.bad_step = policy ? SDX_BAD_STEP_SKIP : SDX_BAD_STEP_STOP;
            options.accumulate = accumulate;
            sdx_trainer *struck = new_trainer(model, &options), *spared = new_trainer(model, &options);
            for (uint64_t k = 0; k < 6; k++) {
                net_batch batch = new_batch(SDX_F32, 8, 5 + k), bad = new_batch(SDX_F32, 8, 5);
                ((float *)bad.bindings[0].value->tensor.data)[3] = k % 2 ? (float)NAN : (float)INFINITY;
                sdx_step_result result;
                sdx_error error = {0};
                sdx_status status = sdx_trainer_step(struck, bad.bindings, 2, &result, &error);
                assert_int_equal(status, policy ? SDX_OK : SDX_VALUE);
                if (policy)
                    assert_true(result.skipped && !result.updated);
                else
                    CONTAINS(error.message, "is not finite; nothing has changed");
                step(struck, &batch);
                step(spared, &batch);
                expect_same(struck, spared, "after a bad step");
                drop_batch(&batch);
                drop_batch(&bad);
            }
            sdx_trainer_destroy(struck);
            sdx_trainer_destroy(spared);
        }
    sdx_model_close(model);
}

static void test_cancelled(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, .2);
    sdx_train_options options = plain_options();
    sdx_trainer *struck = new_trainer(model, &options), *spared = new_trainer(model, &options);
    for (uint64_t k = 0; k < 4; k++) {
        net_batch batch = new_batch(SDX_F32, 8, k);
        const volatile int cancel = 1;
        sdx_step_result result;
        OK(sdx_batch_match(struck, batch.bindings, 2, true, &test_error));
        assert_int_equal(sdx_trainer_take_step(struck, &cancel, &result, NULL), SDX_CANCELLED);
        step(struck, &batch);
        step(spared, &batch);
        expect_same(struck, spared, "after a cancelled step");
        drop_batch(&batch);
    }
    sdx_trainer_destroy(struck);
    sdx_trainer_destroy(spared);
    sdx_model_close(model);
}

/* ---- What is refused ------------------------------------------------------------------------------------------- */

static void refuses(const sdx_model *model, const sdx_train_options *options, sdx_status status, const char *words) {
    sdx_error error = {0};
    sdx_trainer *trainer = NULL;
    assert_int_equal(sdx_trainer_create(model, options, &error, &trainer), status);
    assert_null(trainer);
    CONTAINS(error.message, words);
}

static void test_refused_options(void **state) {
    (void)state;
    const sdx_penalty_options nowhere = {.kind = SDX_PENALTY_L1, .match = "none.*"};
    const char *const all[] = {"*"};
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = plain_options();
    options.size = sizeof options + 8;
    refuses(model, &options, SDX_ARGUMENT, "size of sdx_train_options");
    options = plain_options();
    options.loss.kind = (sdx_loss_kind)99;
    refuses(model, &options, SDX_VALUE, "'loss.kind' is 99");
    options = plain_options();
    options.penalties = &nowhere;
    options.n_penalties = 1;
    refuses(model, &options, SDX_VALUE, "'none.*' matches nothing");
    options = plain_options();
    options.freeze = (sdx_patterns){all, 1};
    refuses(model, &options, SDX_VALUE, "");
    options = plain_options();
    options.ema = 1;
    refuses(model, &options, SDX_VALUE, "'ema' is 1");
    sdx_model_close(model);
}

static void test_refused_batches(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = plain_options();
    sdx_trainer *trainer = new_trainer(model, &options);
    net_batch batch = new_batch(SDX_F32, 4, 1);
    sdx_error error = {0};
    assert_int_equal(sdx_trainer_step(trainer, batch.bindings, 1, NULL, &error), SDX_ARGUMENT);
    CONTAINS(error.message, "label 'y' is not given");
    error = (sdx_error){0};
    assert_int_equal(sdx_trainer_step(trainer, batch.bindings + 1, 1, NULL, &error), SDX_ARGUMENT);
    CONTAINS(error.message, "'x' is not given");
    sdx_train_options endless = plain_options();
    endless.schedule.kind = SDX_SCHEDULE_ONE_CYCLE;
    sdx_trainer *unsure = new_trainer(model, &endless);
    error = (sdx_error){0};
    assert_int_equal(sdx_trainer_step(unsure, batch.bindings, 2, NULL, &error), SDX_VALUE);
    CONTAINS(error.message, "'schedule.total'");
    sdx_trainer_destroy(unsure);
    error = (sdx_error){0};
    ((int64_t *)batch.bindings[1].value->tensor.data)[1] = 17;
    assert_int_not_equal(sdx_trainer_step(trainer, batch.bindings, 2, NULL, &error), SDX_OK);
    CONTAINS(error.message, "17");
    drop_batch(&batch);
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
}

/* Two operators whose gradient is taken away: both are named, with exactly the parameters in front of them. */
static void test_without_gradient(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_id x = add_input(graph, "x", SDX_F32, DIMS(2, 3)), w[4];
    const char *const names[] = {"w0", "w1", "w2", "w3"};
    for (int k = 0; k < 4; k++) w[k] = add_input(graph, names[k], SDX_F32, DIMS(2, 3));
    sdx_id a = add_node_n(graph, "Mul", "a", 1, IDS(x, w[0]))->out[0];
    sdx_node *erf = add_node_n(graph, "Erf", "b", 1, IDS(a));
    sdx_id c = add_node_n(graph, "Add", "c", 1, IDS(erf->out[0], w[1]))->out[0];
    sdx_node *selu = add_node_n(graph, "Selu", "d", 1, IDS(w[2]));
    sdx_id e = add_node_n(graph, "Mul", "e", 1, IDS(c, selu->out[0]))->out[0];
    sdx_id y = add_node_n(graph, "Mul", "y", 1, IDS(e, w[3]))->out[0];
    add_output(graph, y);
    finish_model(model);
    OK(sdx_gradients_exist(graph, &y, 1, w, 4, &test_error));
    sdx_op no_erf = *erf->op, no_selu = *selu->op;
    no_erf.grad = no_selu.grad = NULL;
    erf->op = &no_erf;
    selu->op = &no_selu;
    sdx_error error = {0};
    assert_int_equal(sdx_gradients_exist(graph, &y, 1, w, 4, &error), SDX_UNSUPPORTED);
    CONTAINS(error.message, "node 'b' (Erf, opset 13), node 'd' (Selu, opset 6)");
    CONTAINS(error.message, "when these are frozen: 'w0', 'w2'");
    OK(sdx_gradients_exist(graph, &y, 1, (sdx_id[]){w[1], w[3]}, 2, &test_error));
    sdx_model_close(model);
}

/* Every node of both graphs that ran, once for each step. */
static void test_profile(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = plain_options();
    sdx_profile_row *rows = NULL;
    size_t n = 0;
    sdx_trainer *trainer = new_trainer(model, &options);
    assert_int_equal(sdx_trainer_profile(trainer, NULL, &rows, &n), SDX_ARGUMENT);
    sdx_trainer_destroy(trainer);
    options.profile = true;
    trainer = new_trainer(model, &options);
    OK(sdx_trainer_profile(trainer, &test_error, &rows, &n));
    assert_int_equal(n, 0);
    sdx_free(rows);
    net_batch batch = new_batch(SDX_F32, 8, 7);
    for (int k = 0; k < 3; k++) step(trainer, &batch);
    OK(sdx_trainer_profile(trainer, &test_error, &rows, &n));
    size_t updates = 0, losses = 0;
    for (size_t k = 0; k < n; k++) {
        if (rows[k].calls != 3) fail_msg("%s ran %d times in 3 steps", rows[k].node, (int)rows[k].calls);
        updates += strcmp(rows[k].op_type, "OptimizerUpdate") == 0;
        losses += strcmp(rows[k].op_type, "SoftmaxCrossEntropyLoss") == 0;
    }
    assert_int_equal(updates, sdx_trainer_parameter_count(trainer));
    assert_int_equal(losses, 1);
    sdx_free(rows);
    drop_batch(&batch);
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),          cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_input_gradient),  cmocka_unit_test(test_accumulate),
        cmocka_unit_test(test_threads),         cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_cancelled),       cmocka_unit_test(test_refused_options),
        cmocka_unit_test(test_refused_batches), cmocka_unit_test(test_without_gradient),
        cmocka_unit_test(test_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
