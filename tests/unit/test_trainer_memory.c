/* SPDX-License-Identifier: Apache-2.0
 * Every allocation of a trainer's life fails in its turn: the call says so, nothing has changed, and the same call
 * succeeds afterwards. */
#include "tests/ops/harness/harness.h"
#include "tests/unit/trainer_nets.h"
#include <unistd.h>

enum { MOST = 100000 };

static sdx_train_options options(void) {
    static const sdx_penalty_options penalty = {.kind = SDX_PENALTY_L1};
    sdx_train_options o = plain_options();
    o.penalties = &penalty;
    o.n_penalties = 1;
    o.clip_norm = 1;
    o.ema = .9;
    return o;
}

static void expect_out_of_memory(sdx_status status, const sdx_error *error, long n) {
    if (status != SDX_OUT_OF_MEMORY || error->status != SDX_OUT_OF_MEMORY)
        fail_msg("allocation %ld: %s: %s", n, sdx_status_text(status), error->message);
}

static void test_create(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, .2);
    sdx_train_options o = options();
    long n = 1;
    for (; n < MOST; n++) {
        sdx_error error = {0};
        sdx_trainer *trainer = NULL;
        faults_arm(n);
        sdx_status status = sdx_trainer_create(model, &o, &error, &trainer);
        bool struck = faults_struck();
        if (!struck) faults_arm(0);
        sdx_trainer_destroy(trainer);
        if (!struck) {
            OK(status);
            break;
        }
        assert_null(trainer);
        expect_out_of_memory(status, &error, n);
    }
    assert_true(n > 100);
    sdx_model_close(model);
}

typedef sdx_status (*action)(sdx_trainer *trainer, const net_batch *batch, sdx_error *error);

static sdx_status take_step(sdx_trainer *trainer, const net_batch *batch, sdx_error *error) {
    return sdx_trainer_step(trainer, batch->bindings, 2, NULL, error);
}

static sdx_status take_gradients(sdx_trainer *trainer, const net_batch *batch, sdx_error *error) {
    return sdx_trainer_gradients(trainer, batch->bindings, 2, NULL, error);
}

static sdx_status evaluate(sdx_trainer *trainer, const net_batch *batch, sdx_error *error) {
    return sdx_trainer_evaluate(trainer, batch->bindings, 2, NULL, NULL, 0, error);
}

static char path[] = "/tmp/sdx_trainer_memory_XXXXXX";

static sdx_status save_and_load(sdx_trainer *trainer, const net_batch *batch, sdx_error *error) {
    (void)batch;
    sdx_status status = sdx_trainer_save(trainer, path, error);
    return status ? status : sdx_trainer_load(trainer, path, error);
}

static sdx_status export(sdx_trainer *trainer, const net_batch *batch, sdx_error *error) {
    (void)batch;
    sdx_status status = sdx_trainer_export_model(trainer, path, NULL, error);
    return status ? status : sdx_trainer_export_step(trainer, path, error);
}

/* The action fails at every allocation; then it succeeds, and the trainer goes on like one that never failed. */
static void survives(action act) {
    sdx_model *model = new_mlp(SDX_F32, .2);
    sdx_train_options o = options();
    net_batch batch = new_batch(SDX_F32, 6, 1), next = new_batch(SDX_F32, 6, 2);
    sdx_trainer *spared = new_trainer(model, &o);
    OK(act(spared, &batch, &test_error));
    step(spared, &next);
    bool struck = true;
    for (long n = 1; struck && n < MOST; n++) {
        sdx_error error = {0};
        sdx_trainer *trainer = new_trainer(model, &o);
        faults_arm(n);
        sdx_status status = act(trainer, &batch, &error);
        struck = faults_struck();
        faults_arm(0);
        if (status != SDX_OK) { /* there are allocations that it can do without */
            assert_true(struck);
            if (status != SDX_OUT_OF_MEMORY) fail_msg("allocation %ld: %s", n, error.message);
            OK(act(trainer, &batch, &test_error));
        }
        step(trainer, &next);
        expect_same(spared, trainer, "after a failed allocation");
        sdx_trainer_destroy(trainer);
    }
    drop_batch(&batch);
    drop_batch(&next);
    sdx_trainer_destroy(spared);
    sdx_model_close(model);
}

static void test_step(void **state) {
    (void)state;
    survives(take_step);
}

static void test_gradients(void **state) {
    (void)state;
    survives(take_gradients);
}

static void test_evaluate(void **state) {
    (void)state;
    survives(evaluate);
}

static void test_files(void **state) {
    (void)state;
    close(mkstemp(path));
    survives(save_and_load);
    survives(export);
    unlink(path);
}

/* Limits too small for the trainer are told, never exceeded. */
static void test_limit(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0);
    net_batch batch = new_batch(SDX_F32, 200, 1);
    sdx_train_options o = options();
    int refused = 0, trained = 0;
    for (size_t limit = 20000; limit < 4000000; limit += limit / 4) {
        sdx_trainer *trainer = NULL;
        sdx_error error = {0};
        size_t used = 0, peak = 0;
        o.memory_limit = limit;
        sdx_status status = sdx_trainer_create(model, &o, &error, &trainer);
        if (!status) status = sdx_trainer_step(trainer, batch.bindings, 2, NULL, &error);
        if (status && status != SDX_LIMIT) fail_msg("limit %zu: %s", limit, error.message);
        sdx_trainer_memory(trainer, &used, &peak);
        if (used > limit) fail_msg("limit %zu: %zu bytes are held", limit, used);
        refused += status == SDX_LIMIT;
        trained += status == SDX_OK;
        sdx_trainer_destroy(trainer);
    }
    assert_true(refused > 0 && trained > 0);
    drop_batch(&batch);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),   cmocka_unit_test(test_step),  cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_evaluate), cmocka_unit_test(test_files), cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
