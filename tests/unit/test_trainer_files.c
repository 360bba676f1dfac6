/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints, exported models and steps, and the loop over whole arrays: what is continued is the same, bit for bit,
 * as what was never interrupted, and no old file is lost. */
#include "tests/unit/trainer_nets.h"
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/sdx_trainer_XXXXXX";

static const char *in_folder(const char *name) {
    static char path[4][256];
    static int turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state) {
    char command[300];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* ---- Checkpoints ----------------------------------------------------------------------------------------------- */

static sdx_train_options rich_options(sdx_optimizer_kind kind, int accumulate) {
    sdx_train_options options = plain_options();
    options.optimizer.kind = kind;
    options.optimizer.momentum = kind == SDX_OPTIMIZER_SGD ? .9 : 0;
    options.schedule = (sdx_schedule_options){.kind = SDX_SCHEDULE_COSINE, .per_step = true, .total = 120, .warmup = 7};
    options.accumulate = accumulate;
    options.ema = .9;
    options.seed = 11;
    return options;
}

static void steps(sdx_trainer *trainer, int first, int n) {
    for (int k = first; k < first + n; k++) {
        net_batch batch = new_batch(SDX_F32, 6 + k % 3, 1000 + (uint64_t)k);
        step(trainer, &batch);
        drop_batch(&batch);
    }
}

static void expect_same_average(const sdx_trainer *a, const sdx_trainer *b) {
    sdx_value *x = NULL, *y = NULL;
    OK(sdx_trainer_get_parameter(a, "fc1.weight", true, &test_error, &x));
    OK(sdx_trainer_get_parameter(b, "fc1.weight", true, &test_error, &y));
    assert_memory_equal(x->tensor.data, y->tensor.data, sdx_tensor_bytes(&x->tensor));
    sdx_value_release(x);
    sdx_value_release(y);
}

/* 50 steps, a file, another trainer, 50 steps: dropout, schedule, averages; in the middle of an accumulation too. */
static void test_resume(void **state) {
    (void)state;
    const sdx_optimizer_kind kinds[] = {SDX_OPTIMIZER_SGD, SDX_OPTIMIZER_ADAMW};
    sdx_model *model = new_mlp(SDX_F32, .3);
    for (int k = 0; k < 4; k++) {
        sdx_train_options options = rich_options(kinds[k % 2], k < 2 ? 1 : 3);
        sdx_trainer *whole = new_trainer(model, &options), *first = new_trainer(model, &options);
        steps(whole, 0, 100);
        steps(first, 0, 50);
        OK(sdx_trainer_save(first, in_folder("half.safetensors"), &test_error));
        sdx_trainer_destroy(first);
        options.seed = 0;
        sdx_trainer *second = new_trainer(model, &options);
        steps(second, 7, 2);
        OK(sdx_trainer_load(second, in_folder("half.safetensors"), &test_error));
        steps(second, 50, 50);
        expect_same(whole, second, "resumed");
        expect_same_average(whole, second);
        sdx_trainer_destroy(whole);
        sdx_trainer_destroy(second);
    }
    sdx_model_close(model);
}

static void refuses_checkpoint(const sdx_model *model, const sdx_train_options *options, const char *path,
                               const char *words) {
    sdx_trainer *trainer = new_trainer(model, options), *same = new_trainer(model, options);
    sdx_error error = {0};
    assert_int_not_equal(sdx_trainer_load(trainer, path, &error), SDX_OK);
    CONTAINS(error.message, words);
    steps(trainer, 0, 3);
    steps(same, 0, 3);
    expect_same(trainer, same, "after a refused checkpoint");
    sdx_trainer_destroy(trainer);
    sdx_trainer_destroy(same);
}

static void test_refused_checkpoints(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0), *other = new_mlp(SDX_F64, 0);
    sdx_train_options options = rich_options(SDX_OPTIMIZER_ADAM, 1);
    sdx_trainer *trainer = new_trainer(model, &options);
    steps(trainer, 0, 2);
    const char *path = in_folder("one.safetensors");
    OK(sdx_trainer_save(trainer, path, &test_error));
    sdx_trainer_destroy(trainer);
    sdx_error error = {0};
    trainer = new_trainer(other, &options);
    assert_int_equal(sdx_trainer_load(trainer, path, &error), SDX_VALUE);
    CONTAINS(error.message, "another model");
    sdx_trainer_destroy(trainer);
    options.optimizer.kind = SDX_OPTIMIZER_RMSPROP;
    refuses_checkpoint(model, &options, path, "the state of optimizer 'adam");
    options.optimizer.kind = SDX_OPTIMIZER_ADAM;
    options.ema = 0;
    refuses_checkpoint(model, &options, path, "tensors");
    refuses_checkpoint(model, &options, in_folder("missing"), "missing");
    sdx_model_close(model);
    sdx_model_close(other);
}

/* A process that saves without pause is killed at any moment: the file is always whole. */
static void test_killed_while_saving(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = plain_options();
    sdx_trainer *trainer = new_trainer(model, &options);
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("killed.safetensors"));
    OK(sdx_trainer_save(trainer, path, &test_error));
    for (int round = 0; round < 12; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            for (;;)
                if (sdx_trainer_save(trainer, path, NULL)) _exit(1);
        nanosleep(&(struct timespec){0, 1000000 + round * 700000}, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        OK(sdx_trainer_load(trainer, path, &test_error));
    }
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
}

/* ---- Exported -------------------------------------------------------------------------------------------------- */

static void test_export_model(void **state) {
    (void)state;
    for (int ema = 0; ema < 2; ema++) {
        sdx_model *model = new_mlp(SDX_F32, .3), *written = NULL;
        sdx_train_options options = plain_options();
        options.ema = ema ? .5 : 0;
        sdx_trainer *trainer = new_trainer(model, &options);
        const char *path = in_folder("trained.onnx");
        if (ema) OK(sdx_trainer_export_model(trainer, path, NULL, &test_error));
        steps(trainer, 0, 20);
        OK(sdx_trainer_export_model(trainer, path, NULL, &test_error));
        OK(sdx_model_open(path, NULL, &test_error, &written));
        net_batch batch = new_batch(SDX_F32, 5, 3);
        sdx_binding out = {"logits", NULL};
        OK(sdx_trainer_evaluate(trainer, batch.bindings, 1, NULL, &out, 1, &test_error));
        sdx_session *session = new_session(written, 1);
        sdx_value *again = run_one(session, batch.bindings, 1, "logits");
        double apart = 0;
        for (int64_t i = 0; i < again->tensor.count; i++) {
            double d = fabs((double)((float *)again->tensor.data)[i] - (double)((float *)out.value->tensor.data)[i]);
            if (d > apart) apart = d;
        }
        if (!ema && apart > 1e-5) fail_msg("the written model is %g away from the trainer", apart);
        if (ema && apart < 1e-5) fail_msg("the written model has the parameters, not their averages");
        sdx_value_release(again);
        sdx_value_release(out.value);
        sdx_session_destroy(session);
        sdx_model_close(written);
        drop_batch(&batch);
        sdx_trainer_destroy(trainer);
        sdx_model_close(model);
    }
}

/* The step as a model gives, from the trainer's own values, what the trainer does. */
static void test_export_step(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0), *written = NULL;
    sdx_train_options options = plain_options();
    options.clip_norm = .1;
    sdx_trainer *trainer = new_trainer(model, &options);
    const char *path = in_folder("step.onnx");
    OK(sdx_trainer_export_step(trainer, path, &test_error));
    OK(sdx_model_open(path, NULL, &test_error, &written));
    net_batch batch = new_batch(SDX_F32, 9, 3);
    sdx_binding in[32] = {batch.bindings[0], batch.bindings[1]}, out[3] = {{"loss", NULL}, {"fc1.weight.new", NULL}};
    size_t n = 2;
    for (size_t k = 0; k < sdx_model_input_count(written); k++) {
        const sdx_value_info *info = sdx_model_input(written, k);
        if (strcmp(info->name, "x") == 0 || strcmp(info->name, "y") == 0) continue;
        in[n].name = info->name;
        if (sdx_trainer_get_parameter(trainer, info->name, false, NULL, &in[n].value))
            in[n].value = new_tensor(info->dtype, info->rank, info->dims, NULL);
        if (strcmp(info->name, "lr") == 0) *(double *)in[n].value->tensor.data = .01;
        if (strcmp(info->name, "step") == 0) *(double *)in[n].value->tensor.data = 1;
        n++;
    }
    sdx_session *session = new_session(written, 1);
    OK(sdx_session_run(session, in, n, out, 2, &test_error));
    sdx_step_result result = step(trainer, &batch);
    float loss = *(float *)out[0].value->tensor.data;
    if (!(fabs((double)loss - result.loss) < 1e-6)) fail_msg("loss %g and %g", (double)loss, result.loss);
    sdx_value *w = NULL;
    OK(sdx_trainer_get_parameter(trainer, "fc1.weight", false, &test_error, &w));
    for (int64_t i = 0; i < w->tensor.count; i++) {
        double a = (double)((float *)w->tensor.data)[i], b = (double)((float *)out[1].value->tensor.data)[i];
        if (!(fabs(a - b) < 1e-6)) fail_msg("fc1.weight[%lld] is %.9g and %.9g", (long long)i, a, b);
    }
    for (size_t k = 2; k < n; k++) sdx_value_release(in[k].value);
    sdx_value_release(w);
    for (int k = 0; k < 2; k++) sdx_value_release(out[k].value);
    sdx_session_destroy(session);
    sdx_model_close(written);
    drop_batch(&batch);
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
}

/* ---- The loop -------------------------------------------------------------------------------------------------- */

typedef struct watcher {
    int calls, epochs, stop_at; /* after so many calls */
    volatile int cancel;
    double loss, valid_loss, accuracy;
} watcher;

static void watch(void *context, const sdx_progress *progress) {
    watcher *w = context;
    w->calls++;
    w->epochs += progress->epoch_ends;
    w->loss = progress->loss;
    if (progress->epoch_ends) {
        w->valid_loss = progress->valid_loss;
        w->accuracy = progress->metrics[0];
    }
    if (w->calls == w->stop_at) w->cancel = 1;
}

static sdx_train_options fit_options(void) {
    static const char *const metrics[] = {"accuracy"};
    sdx_train_options options = plain_options();
    options.epochs = 6;
    options.batch = 16;
    options.metrics = metrics;
    options.n_metrics = 1;
    options.schedule.kind = SDX_SCHEDULE_ONE_CYCLE;
    options.schedule.max_lr = .05;
    options.seed = 5;
    return options;
}

static void test_fit(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, .1);
    sdx_train_options options = fit_options();
    net_batch data = new_batch(SDX_F32, 150, 1), valid = new_batch(SDX_F32, 70, 2);
    sdx_trainer *trainer = new_trainer(model, &options);
    watcher w = {.calls = 0};
    sdx_fit_options fit = {.size = sizeof fit,
                           .data = data.bindings,
                           .n_data = 2,
                           .valid = valid.bindings,
                           .n_valid = 2,
                           .progress = watch,
                           .context = &w};
    OK(sdx_trainer_fit(trainer, &fit, &test_error));
    assert_int_equal(w.calls, 6 * 10);
    assert_int_equal(w.epochs, 6);
    if (!(w.accuracy > .85)) fail_msg("accuracy %g after 6 epochs", w.accuracy);
    double loss = 0, accuracy = 0;
    OK(sdx_trainer_score(trainer, valid.bindings, 2, &loss, &accuracy, &test_error));
    if (loss != w.valid_loss || accuracy != w.accuracy)
        fail_msg("scored %.17g %g; the loop said %.17g %g", loss, accuracy, w.valid_loss, w.accuracy);
    drop_batch(&data);
    drop_batch(&valid);
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
}

/* Cancelled in the middle of an epoch, or of saving, and resumed by another trainer: as if nothing had happened. */
static void test_fit_resumes(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, .3);
    sdx_train_options options = fit_options();
    net_batch data = new_batch(SDX_F32, 150, 1);
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("fit.safetensors"));
    sdx_trainer *whole = new_trainer(model, &options);
    watcher w = {.calls = 0}, cut = {.stop_at = 27};
    sdx_fit_options fit = {.size = sizeof fit,
                           .data = data.bindings,
                           .n_data = 2,
                           .progress = watch,
                           .context = &w,
                           .checkpoint = path,
                           .checkpoint_every = 1};
    OK(sdx_trainer_fit(whole, &fit, &test_error));
    assert_int_equal(unlink(path), 0);

    sdx_trainer *first = new_trainer(model, &options);
    fit.context = &cut;
    fit.cancel = &cut.cancel;
    fit.checkpoint_keep = 3;
    sdx_error error = {0};
    assert_int_equal(sdx_trainer_fit(first, &fit, &error), SDX_CANCELLED);
    sdx_trainer_destroy(first);
    struct stat found;
    assert_int_equal(stat(in_folder("fit.safetensors.26"), &found), 0);
    assert_int_equal(stat(in_folder("fit.safetensors.25"), &found), 0);
    assert_int_equal(stat(in_folder("fit.safetensors.24"), &found), -1);

    sdx_trainer *second = new_trainer(model, &options);
    watcher rest = {.calls = 0};
    fit.context = &rest;
    fit.cancel = NULL;
    fit.resume = true;
    OK(sdx_trainer_fit(second, &fit, &test_error));
    assert_int_equal(rest.calls, 60 - 27);
    expect_same(whole, second, "a resumed loop");
    if (rest.loss != w.loss) fail_msg("the last epoch's loss is %.17g and %.17g", w.loss, rest.loss);
    sdx_trainer_destroy(whole);
    sdx_trainer_destroy(second);
    drop_batch(&data);
    sdx_model_close(model);
}

static void test_early_stop(void **state) {
    (void)state;
    sdx_model *model = new_mlp(SDX_F32, 0);
    sdx_train_options options = fit_options();
    options.schedule = (sdx_schedule_options){.kind = SDX_SCHEDULE_PLATEAU, .patience = 2};
    options.optimizer.lr = 1e-9;
    options.epochs = 50;
    options.early_stop = "accuracy";
    options.early_stop_patience = 3;
    net_batch data = new_batch(SDX_F32, 40, 1);
    sdx_trainer *trainer = new_trainer(model, &options);
    watcher w = {.calls = 0};
    sdx_fit_options fit = {.size = sizeof fit, .data = data.bindings, .n_data = 2, .progress = watch, .context = &w};
    sdx_error error = {0};
    assert_int_equal(sdx_trainer_fit(trainer, &fit, &error), SDX_VALUE);
    CONTAINS(error.message, "early_stop watches 'accuracy'");
    fit.valid = data.bindings;
    fit.n_valid = 2;
    OK(sdx_trainer_fit(trainer, &fit, &test_error));
    assert_int_equal(w.epochs, 4);
    sdx_trainer_destroy(trainer);
    drop_batch(&data);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume),      cmocka_unit_test(test_refused_checkpoints),
        cmocka_unit_test(test_fit),         cmocka_unit_test(test_killed_while_saving),
        cmocka_unit_test(test_fit_resumes), cmocka_unit_test(test_export_model),
        cmocka_unit_test(test_early_stop),  cmocka_unit_test(test_export_step),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
