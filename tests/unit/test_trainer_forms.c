/* SPDX-License-Identifier: Apache-2.0
 * Models that are not the plain case: 16-bit weights, fixed batches, labels among the inputs, losses without label,
 * inserted normalisations, frozen parts, labels of several types. */
#include "runtime/base/half.h"
#include "tests/unit/trainer_nets.h"
#include <unistd.h>

/* ---- Element types --------------------------------------------------------------------------------------------- */

static sdx_id cast(sdx_graph *graph, sdx_id x, const char *name, int64_t to) {
    sdx_node *node = add_node_n(graph, "Cast", name, 1, IDS(x));
    set_int(graph, node, "to", to);
    return node->out[0];
}

/* Weights and products in f16, logits in f32. */
static void test_half(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    uint16_t w[FEATURES * CLASSES];
    uint64_t noise_state = 5;
    for (int k = 0; k < FEATURES * CLASSES; k++) w[k] = sdx_f16_from_f64(.4 * noise(&noise_state));
    sdx_id x = add_input(graph, "x", SDX_F32, DIMS(-1, FEATURES));
    sdx_id weight = add_constant(graph, "weight", SDX_F16, DIMS(FEATURES, CLASSES), w);
    sdx_id half = cast(graph, x, "narrow", SDX_F16);
    sdx_id y = add_node_n(graph, "MatMul", "product", 1, IDS(half, weight))->out[0];
    add_output(graph, cast(graph, y, "logits", SDX_F32));
    finish_model(model);
    const sdx_penalty_options penalties[] = {{.kind = SDX_PENALTY_L2, .mode = SDX_MODE_SUBGRADIENT},
                                             {.kind = SDX_PENALTY_L1, .has_l1 = true, .l1 = 1e-4}};
    for (int accumulate = 1; accumulate < 3; accumulate++) {
        sdx_train_options options = plain_options();
        options.penalties = penalties;
        options.n_penalties = 2;
        options.accumulate = accumulate;
        options.ema = .5;
        options.clip_norm = 1;
        sdx_trainer *trainer = new_trainer(model, &options);
        net_batch batch = new_batch(SDX_F32, 24, 3);
        double first = step(trainer, &batch).loss, last = first;
        for (int k = 0; k < 200; k++) last = step(trainer, &batch).loss;
        if (!(last < .7 * first)) fail_msg("the loss went from %g to %g", first, last);
        drop_batch(&batch);
        sdx_trainer_destroy(trainer);
    }
    sdx_model_close(model);
}

/* ---- Shapes ---------------------------------------------------------------------------------------------------- */

static void test_fixed_batch(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_id x = add_input(graph, "x", SDX_F32, DIMS(8, FEATURES));
    sdx_id w = noise_constant(graph, "w", SDX_F32, DIMS(FEATURES, CLASSES), .5, 1);
    sdx_id rows = noise_constant(graph, "rows", SDX_F32, DIMS(8, FEATURES), .5, 2);
    sdx_id sum = add_node_n(graph, "Add", "sum", 1, IDS(x, rows))->out[0];
    add_output(graph, add_node_n(graph, "MatMul", "logits", 1, IDS(sum, w))->out[0]);
    finish_model(model);
    sdx_train_options options = plain_options();
    options.epochs = 2;
    sdx_trainer *trainer = new_trainer(model, &options);
    net_batch data = new_batch(SDX_F32, 21, 3);
    sdx_fit_options fit = {.size = sizeof fit, .data = data.bindings, .n_data = 2};
    OK(sdx_trainer_fit(trainer, &fit, &test_error));
    sdx_step_result result;
    net_batch eight = new_batch(SDX_F32, 8, 3);
    OK(sdx_trainer_step(trainer, eight.bindings, 2, &result, &test_error));
    assert_int_equal(result.step, 2 * 2 + 1);
    sdx_error rest = {0};
    fit.valid = data.bindings;
    fit.n_valid = 2;
    assert_int_equal(sdx_trainer_fit(trainer, &fit, &rest), SDX_VALUE);
    CONTAINS(rest.message, "21 samples to score");
    sdx_trainer_destroy(trainer);
    options.batch = 16;
    trainer = new_trainer(model, &options);
    fit.n_valid = 0;
    OK(sdx_trainer_fit(trainer, &fit, &test_error));
    const char *said = "";
    for (size_t k = 0; sdx_trainer_note(trainer, k); k++)
        if (strstr(sdx_trainer_note(trainer, k), "at a time")) said = sdx_trainer_note(trainer, k);
    CONTAINS(said, "5 of 21 samples");
    sdx_error error = {0};
    assert_int_equal(sdx_trainer_step(trainer, data.bindings, 2, &result, &error), SDX_SHAPE);
    CONTAINS(error.message, "8");
    sdx_trainer_destroy(trainer);
    drop_batch(&eight);
    drop_batch(&data);
    sdx_model_close(model);
}

/* Class numbers in i64 and i32, and probabilities, one after the other. */
static void test_label_types(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = plain_options();
    sdx_trainer *one = new_trainer(model, &options), *other = new_trainer(model, &options);
    net_batch batch = new_batch(SDX_F32, 12, 3), same = {{{"x", batch.bindings[0].value}, {"y", NULL}}};
    for (int k = 0; k < 4; k++) {
        const int64_t *y = batch.bindings[1].value->tensor.data;
        same.bindings[1].value =
            k % 2 ? new_tensor(SDX_I32, DIMS(12), NULL) : new_tensor(SDX_F32, DIMS(12, CLASSES), NULL);
        for (int i = 0; i < 12; i++)
            if (k % 2)
                ((int32_t *)same.bindings[1].value->tensor.data)[i] = (int32_t)y[i];
            else
                ((float *)same.bindings[1].value->tensor.data)[i * CLASSES + y[i]] = 1;
        double a = step(one, &batch).loss, b = step(other, &same).loss;
        if (!(fabs(a - b) < 1e-5)) fail_msg("step %d: the loss is %.9g and %.9g", k, a, b);
        sdx_value_release(same.bindings[1].value);
    }
    drop_batch(&batch);
    sdx_trainer_destroy(one);
    sdx_trainer_destroy(other);
    sdx_model_close(model);
}

/* ---- Losses ---------------------------------------------------------------------------------------------------- */

/* The model computes its loss from an input of its own, and the same through a loss of ours. */
static void test_loss_inside(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_id x = add_input(graph, "x", SDX_F64, DIMS(-1, 2)), y = add_input(graph, "y", SDX_F64, DIMS(-1, 2));
    sdx_id w = noise_constant(graph, "w", SDX_F64, DIMS(2, 2), .5, 1);
    sdx_id out = add_node_n(graph, "MatMul", "out", 1, IDS(x, w))->out[0];
    sdx_id error = add_node_n(graph, "Sub", "error", 1, IDS(out, y))->out[0];
    add_output(graph, out);
    add_output(graph, add_node_n(graph, "Mul", "squares", 1, IDS(error, error))->out[0]);
    finish_model(model);
    sdx_train_options inside = plain_options(), outside = plain_options();
    inside.loss = (sdx_loss_options){.kind = SDX_LOSS_OUTPUT, .output = {"squares"}};
    outside.loss = (sdx_loss_options){.kind = SDX_LOSS_MSE, .output = {"out"}};
    sdx_trainer *a = new_trainer(model, &inside), *b = new_trainer(model, &outside);
    double xs[6] = {1, 2, 3, 4, 5, 6}, ys[6] = {2, 1, 0, 1, 2, 3};
    net_batch batch = {{{"x", NULL}, {"y", NULL}}};
    OK(sdx_value_borrow(SDX_F64, DIMS(3, 2), xs, &test_error, &batch.bindings[0].value));
    OK(sdx_value_borrow(SDX_F64, DIMS(3, 2), ys, &test_error, &batch.bindings[1].value));
    for (int k = 0; k < 5; k++) {
        double p = step(a, &batch).loss, q = step(b, &batch).loss;
        if (!(fabs(p - q) < 1e-12)) fail_msg("step %d: the loss is %.17g and %.17g", k, p, q);
    }
    expect_same(a, b, "two ways to one loss");
    drop_batch(&batch);
    sdx_trainer_destroy(a);
    sdx_trainer_destroy(b);
    sdx_model_close(model);
}

/* ---- Inserted -------------------------------------------------------------------------------------------------- */

static double apart(sdx_trainer *a, sdx_trainer *b, const net_batch *batch) {
    sdx_binding x = {"logits", NULL}, y = {"logits", NULL};
    double most = 0;
    OK(sdx_trainer_evaluate(a, batch->bindings, 1, NULL, &x, 1, &test_error));
    OK(sdx_trainer_evaluate(b, batch->bindings, 1, NULL, &y, 1, &test_error));
    for (int64_t i = 0; i < x.value->tensor.count; i++) {
        double d = fabs(((double *)x.value->tensor.data)[i] - ((double *)y.value->tensor.data)[i]);
        if (d > most) most = d;
    }
    sdx_value_release(x.value);
    sdx_value_release(y.value);
    return most;
}

/* The written model, which the trainer has tried, has no BatchNormalization. */
static void expect_folded(sdx_trainer *trainer) {
    char path[] = "/tmp/sdx_trainer_forms_XXXXXX";
    sdx_model_options plain = {.size = sizeof plain, .optimise = SDX_OPTIMISE_NONE};
    sdx_model *written = NULL;
    close(mkstemp(path));
    OK(sdx_trainer_export_model(trainer, path, NULL, &test_error));
    OK(sdx_model_open(path, &plain, &test_error, &written));
    unlink(path);
    for (int k = 0; k < written->graph->n_nodes; k++)
        assert_string_not_equal(written->graph->nodes[k]->op_type, "BatchNormalization");
    sdx_model_close(written);
}

/* Calibrated, a new BatchNormalization leaves the output as it was; then it learns. */
static void test_calibrate(void **state) {
    (void)state;
    const sdx_insert_options insert = {.kind = SDX_INSERT_BATCH_NORM, .after = "fc1"};
    sdx_model *model = new_mlp(SDX_F64, 0);
    sdx_train_options options = plain_options();
    sdx_trainer *plain = new_trainer(model, &options);
    sdx_error error = {0};
    net_batch batch = new_batch(SDX_F64, 50, 3);
    assert_int_equal(sdx_trainer_calibrate(plain, batch.bindings, 1, &error), SDX_ARGUMENT);
    options.inserts = &insert;
    options.n_inserts = 1;
    options.fold_norms = true;
    sdx_trainer *inserted = new_trainer(model, &options);
    if (!(apart(plain, inserted, &batch) < 1e-12)) fail_msg("inserting changed the output");
    OK(sdx_trainer_calibrate(inserted, batch.bindings, 1, &test_error));
    if (!(apart(plain, inserted, &batch) < 1e-12)) fail_msg("calibrating changed the output");
    double first = step(inserted, &batch).loss, last = first;
    for (int k = 0; k < 50; k++) last = step(inserted, &batch).loss;
    if (!(last < .7 * first)) fail_msg("the loss went from %g to %g", first, last);
    expect_folded(inserted);
    error = (sdx_error){0};
    assert_int_equal(sdx_trainer_calibrate(inserted, batch.bindings, 1, &error), SDX_ARGUMENT);
    CONTAINS(error.message, "before the first step");
    drop_batch(&batch);
    sdx_trainer_destroy(plain);
    sdx_trainer_destroy(inserted);
    sdx_model_close(model);
}

/* ---- Frozen, sparse -------------------------------------------------------------------------------------------- */

static void test_frozen_and_sparse(void **state) {
    (void)state;
    const char *const first[] = {"fc1.*"};
    const sdx_penalty_options penalty = {.kind = SDX_PENALTY_L1, .has_l1 = true, .l1 = .5, .match = "fc2.*"};
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = plain_options();
    options.freeze = (sdx_patterns){first, 1};
    options.penalties = &penalty;
    options.n_penalties = 1;
    sdx_trainer *trainer = new_trainer(model, &options);
    net_batch batch = new_batch(SDX_F32, 20, 3);
    sdx_value *before = NULL, *after = NULL;
    OK(sdx_trainer_get_parameter(trainer, "fc1.weight", false, &test_error, &before));
    for (int k = 0; k < 300; k++) step(trainer, &batch);
    OK(sdx_trainer_get_parameter(trainer, "fc1.weight", false, &test_error, &after));
    assert_memory_equal(before->tensor.data, after->tensor.data, sdx_tensor_bytes(&before->tensor));
    sdx_sparsity found;
    OK(sdx_trainer_sparsity(trainer, "fc2.weight", 0, &test_error, &found));
    assert_int_equal(found.count, HIDDEN * CLASSES);
    assert_int_equal(found.zeros, HIDDEN * CLASSES); /* a penalty that strong leaves nothing */
    assert_int_equal(found.n_zero_inputs, HIDDEN);
    assert_int_equal(found.zero_inputs[HIDDEN - 1], HIDDEN - 1);
    sdx_free(found.zero_inputs);
    sdx_error error = {0};
    sdx_value *gradient = NULL;
    assert_int_equal(sdx_trainer_get_gradient(trainer, "fc1.weight", &error, &gradient), SDX_ARGUMENT);
    CONTAINS(error.message, "is not trained");
    sdx_value_release(before);
    sdx_value_release(after);
    drop_batch(&batch);
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half),        cmocka_unit_test(test_fixed_batch),
        cmocka_unit_test(test_label_types), cmocka_unit_test(test_loss_inside),
        cmocka_unit_test(test_calibrate),   cmocka_unit_test(test_frozen_and_sparse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
