/* SPDX-License-Identifier: Apache-2.0
 * Training configurations: every key arrives where it belongs, what is wrong is named by its path, and what is printed
 * reads as the same options. */
#include "runtime/train/train.h"
#include "tests/unit/support.h"
#include <stdlib.h>

static sdx_status parse(const char *json, sdx_train_config **out) {
    test_error = (sdx_error){0};
    return sdx_train_config_parse(json, strlen(json), &test_error, out);
}

static void refuses(const char *json, sdx_status status, const char *words) {
    sdx_train_config *config = NULL;
    const sdx_status got = parse(json, &config);
    if (got == SDX_OK) fail_msg("accepted: %s", json);
    if (got != status || !strstr(test_error.message, words))
        fail_msg("%s:\n%s, %s\nit must be %s with '%s'", json, sdx_status_text(got), test_error.message,
                 sdx_status_text(status), words);
    assert_null(config);
}

static const char all[] =
    "{\"seed\": 9007199254740992, \"epochs\": 60, \"batch\": 64, \"shuffle\": false,\n"
    " \"loss\": {\"kind\": \"cross_entropy\", \"output\": \"logits\", \"label\": \"target\", \"label_smoothing\": "
    "0.125,\n"
    "          \"reduction\": \"sum\", \"class_weights\": [1, 0.5, 2], \"ignore_index\": -100},\n"
    " \"trainable\": [\"*\", \"b?\"], \"freeze\": [\"conv1.*\"],\n"
    " \"head\": {\"classes\": 7, \"init\": \"he_normal\"},\n"
    " \"normalization\": {\"mode\": \"frozen\", \"running_var\": \"unbiased\"},\n"
    " \"dropout_convention\": \"classic\",\n"
    " \"insert\": [{\"dropout\": 0.1, \"after\": \"relu*\"}, {\"batch_norm\": true, \"after\": \"conv*\", \"epsilon\": "
    "0.001,\n"
    "             \"momentum\": 0.75}],\n"
    " \"penalties\": [{\"kind\": \"l1_l2\", \"l1\": 0.001, \"target\": \"kernel\", \"match\": \"fc1.*\", \"mode\": "
    "\"prox\"},\n"
    "               {\"kind\": \"l1\", \"target\": \"activity\", \"match\": \"relu1*\", \"scale\": \"per_batch\"},\n"
    "               {\"kind\": \"L1L2\", \"l2\": 0.5, \"target\": \"all\", \"mode\": \"coupled\"}, {\"kind\": "
    "\"l2norm\", \"l2\": 0}],\n"
    " \"optimizer\": {\"kind\": \"rmsprop\", \"lr\": 0, \"betas\": [0, 0.5], \"momentum\": 0.5, \"eps\": 1e-6, "
    "\"alpha\": 0.75,\n"
    "               \"centered\": true, \"weight_decay\": 0, \"no_decay\": \"*bias\",\n"
    "               \"groups\": [{\"match\": \"backbone.*\", \"lr\": 0.0002}, {\"match\": \"x\", \"weight_decay\": "
    "0}]},\n"
    " \"schedule\": {\"kind\": \"warmup_multistep\", \"milestones\": [3, 7], \"gamma\": 0.5, \"per_step\": true},\n"
    " \"clip\": {\"norm\": 1.5, \"value\": 3}, \"accumulate\": 4, \"ema\": 0.999,\n"
    " \"constraints\": [{\"kind\": \"max_norm\", \"max\": 3, \"match\": \"fc*\"}, {\"kind\": \"non_neg\"}],\n"
    " \"early_stop\": {\"patience\": 3}, \"metrics\": [\"accuracy\", \"f1\"], \"checkpoint\": {\"every\": 100, "
    "\"keep\": 3},\n"
    " \"bad_step\": \"skip\", \"input_gradients\": [\"x\"], \"threads\": 2, \"memory_limit\": 1048576}\n";

static void check_all(const sdx_train_options *o) {
    assert_int_equal(o->size, sizeof *o);
    assert_int_equal(o->seed, 9007199254740992u);
    assert_true(o->epochs == 60 && o->batch == 64 && o->no_shuffle);
    assert_int_equal(o->loss.kind, SDX_LOSS_CROSS_ENTROPY);
    assert_string_equal(o->loss.output[0], "logits");
    assert_null(o->loss.output[1]);
    assert_string_equal(o->loss.label, "target");
    assert_true(o->loss.label_smoothing == .125 && o->loss.reduction == SDX_REDUCTION_SUM);
    assert_true(o->loss.n_class_weights == 3 && o->loss.class_weights[1] == .5f);
    assert_true(o->loss.has_ignore_index && o->loss.ignore_index == -100);
    assert_true(o->trainable.n == 2 && o->freeze.n == 1);
    assert_string_equal(o->trainable.items[1], "b?");
    assert_true(o->head.replace && o->head.classes == 7 && o->head.init == SDX_INIT_HE_NORMAL);
    assert_true(o->norm_mode == SDX_NORM_FROZEN && o->running_var == SDX_RUNNING_VAR_UNBIASED && o->classic_dropout);
    assert_int_equal(o->n_inserts, 2);
    assert_true(o->inserts[0].kind == SDX_INSERT_DROPOUT && o->inserts[0].ratio == .1);
    assert_true(o->inserts[1].kind == SDX_INSERT_BATCH_NORM && o->inserts[1].epsilon == .001);
    assert_true(o->inserts[1].momentum == .75 && strcmp(o->inserts[1].after, "conv*") == 0);
    assert_int_equal(o->n_penalties, 4);
    assert_true(o->penalties[0].has_l1 && !o->penalties[0].has_l2 && o->penalties[0].mode == SDX_MODE_PROX);
    assert_true(sdx_penalty_terms(&o->penalties[0]).l2 == .01);
    assert_true(o->penalties[1].target == SDX_TARGET_ACTIVITY && o->penalties[1].per_batch);
    assert_true(sdx_penalty_terms(&o->penalties[1]).l1 == .01);
    assert_true(sdx_penalty_terms(&o->penalties[2]).l1 == 0 && o->penalties[2].target == SDX_TARGET_ALL);
    assert_true(o->penalties[3].has_l2 && sdx_penalty_terms(&o->penalties[3]).l2norm == 0);
    assert_true(o->optimizer.kind == SDX_OPTIMIZER_RMSPROP && o->optimizer.lr == SDX_ZERO);
    assert_true(o->optimizer.betas[0] == SDX_ZERO && o->optimizer.betas[1] == .5 && o->optimizer.centered);
    assert_true(o->optimizer.has_weight_decay && o->optimizer.no_decay.n == 1 && o->optimizer.n_groups == 2);
    assert_true(o->optimizer.groups[0].has_lr && !o->optimizer.groups[0].has_weight_decay);
    assert_true(!o->optimizer.groups[1].has_lr && o->optimizer.groups[1].has_weight_decay);
    assert_true(o->schedule.kind == SDX_SCHEDULE_MULTISTEP && o->schedule.warmup == 100 && o->schedule.per_step);
    assert_true(o->schedule.n_milestones == 2 && o->schedule.milestones[1] == 7);
    assert_true(o->clip_norm == 1.5 && o->clip_value == 3 && o->accumulate == 4 && o->ema == .999);
    assert_true(o->n_constraints == 2 && o->constraints[0].max == 3 && !o->constraints[1].match);
    assert_string_equal(o->early_stop, "valid_loss");
    assert_true(o->early_stop_patience == 3 && o->n_metrics == 2 && o->n_input_gradients == 1);
    assert_true(o->checkpoint_every == 100 && o->checkpoint_keep == 3 && o->bad_step == SDX_BAD_STEP_SKIP);
    assert_true(o->threads == 2 && o->memory_limit == 1048576);
}

static void test_keys(void **unused) {
    (void)unused;
    sdx_train_config *config = NULL, *again = NULL;
    char *text = NULL, *second = NULL;
    OK(parse(all, &config));
    check_all(sdx_train_config_options(config));
    OK(sdx_train_config_print(sdx_train_config_options(config), &test_error, &text));
    if (parse(text, &again)) fail_msg("%s: %s", text, test_error.message);
    check_all(sdx_train_config_options(again));
    OK(sdx_train_config_print(sdx_train_config_options(again), &test_error, &second));
    assert_string_equal(text, second);
    sdx_free(text), sdx_free(second);
    sdx_train_config_free(config), sdx_train_config_free(again);
}

static void test_defaults(void **unused) {
    (void)unused;
    sdx_train_config *config = NULL;
    char *text = NULL;
    OK(parse(
        " {\"loss\": {\"kind\": \"bce_with_logits\", \"pos_weight\": 3, \"output\": [\"a\", \"b\"]}, \"head\": {}}\n",
        &config));
    const sdx_train_options *o = sdx_train_config_options(config);
    assert_true(o->loss.n_class_weights == 1 && o->loss.class_weights[0] == 3 && o->head.replace);
    assert_string_equal(o->loss.output[1], "b");
    assert_true(!o->optimizer.kind && !o->epochs && !o->early_stop && !o->no_shuffle);
    OK(sdx_train_config_print(o, &test_error, &text));
    assert_string_equal(
        text, "{\"loss\":{\"kind\":\"bce_with_logits\",\"output\":[\"a\",\"b\"],\"pos_weight\":[3]},\"head\":{}}");
    sdx_free(text);
    sdx_train_config_free(config);
    OK(parse("{\"normalization\": {\"mode\": \"batch+update\"}}", &config));
    assert_int_equal(sdx_train_config_options(config)->loss.kind, SDX_LOSS_CROSS_ENTROPY);
    assert_int_equal(sdx_train_config_options(config)->norm_mode, SDX_NORM_BATCH_UPDATE);
    sdx_train_config_free(config);
    assert_null(sdx_train_config_options(NULL));
}

#define LOSS "\"loss\": {\"kind\": \"mse\"}"

static void test_refused(void **unused) {
    (void)unused;
    refuses("", SDX_MALFORMED, "not JSON");
    refuses("{", SDX_MALFORMED, "not JSON");
    refuses("{" LOSS "} x", SDX_MALFORMED, "something follows the end");
    refuses("{" LOSS "}{}", SDX_MALFORMED, "something follows the end");
    refuses("[]", SDX_VALUE, "must be an object");
    refuses("{\n \"lo\tss\": 1}", SDX_MALFORMED, "line 2, column 5: control");
    refuses("{\"loss\\u0000\": 1}", SDX_MALFORMED, "\\u0000");
    refuses("{\"epochs\": 01}", SDX_MALFORMED, "no number");
    refuses("{\"epochs\": 1.}", SDX_MALFORMED, "no number");
    refuses("{\"epochs\": 1.2.3}", SDX_MALFORMED, "no number");
    refuses("{\"epochs\": +1}", SDX_MALFORMED, "no number");
    refuses("{\"epochs\": NaN}", SDX_MALFORMED, "not JSON");
    refuses("{\"a\": [[[[[[[[[]]]]]]]]]}", SDX_MALFORMED, "nested too deeply");
    refuses("{\"loss\": \"mse\"}", SDX_VALUE, "'loss' is \"mse\"; it must be an object");
    refuses("{\"loss\": {\"kind\": \"rmse\"}}", SDX_VALUE, "'loss.kind' is \"rmse\"; it must be cross_entropy, nll");
    refuses("{" LOSS ", \"epoch\": 3}", SDX_VALUE, "'epoch' is no key; there are seed, epochs");
    refuses("{" LOSS ", \"Epochs\": 3}", SDX_VALUE, "'Epochs' is no key");
    refuses("{" LOSS ", \"epochs\": 3, \"epochs\": 3}", SDX_VALUE, "'epochs' stands twice");
    refuses("{" LOSS ", \"optimizer\": {\"lr\": 1, \"lr\": 1}}", SDX_VALUE, "'optimizer.lr' stands twice");
    refuses("{" LOSS ", \"epochs\": 0}", SDX_VALUE, "'epochs' is 0; it must be in [1, ");
    refuses("{" LOSS ", \"epochs\": 1.5}", SDX_VALUE, "'epochs' is 1.5; it must be a whole number");
    refuses("{" LOSS ", \"epochs\": \"3\"}", SDX_VALUE, "'epochs' is \"3\"; it must be a number");
    refuses("{" LOSS ", \"shuffle\": 1}", SDX_VALUE, "'shuffle' is 1; it must be true or false");
    refuses("{" LOSS ", \"seed\": -1}", SDX_VALUE, "'seed' is -1; it must be in [0, ");
    refuses("{" LOSS ", \"seed\": 1e300}", SDX_VALUE, "'seed' is 1.0000000000000001e+300");
    refuses("{" LOSS ", \"optimizer\": {\"lr\": -1}}", SDX_VALUE, "'optimizer.lr' is -1; it must be in [0, inf)");
    refuses("{" LOSS ", \"optimizer\": {\"lr\": 1e999}}", SDX_VALUE, "'optimizer.lr' is inf");
    refuses("{" LOSS ", \"optimizer\": {\"betas\": [0.9, 1]}}", SDX_VALUE,
            "'optimizer.betas[1]' is 1; it must be in [0, 1)");
    refuses("{" LOSS ", \"optimizer\": {\"betas\": [0.9]}}", SDX_VALUE,
            "'optimizer.betas' is a list; it must be a list of two");
    refuses("{" LOSS ", \"optimizer\": {\"groups\": [{\"lr\": 1}]}}", SDX_VALUE,
            "'optimizer.groups[0].match' is missing");
    refuses("{" LOSS ", \"optimizer\": {\"nesterov\": true}}", SDX_VALUE, "nesterov needs a momentum");
    refuses("{" LOSS ", \"schedule\": {\"kind\": \"warmup_\"}}", SDX_VALUE, "'schedule.kind' is \"warmup_\"");
    refuses("{" LOSS ", \"schedule\": {\"kind\": \"multistep\"}}", SDX_VALUE, "'schedule.milestones' is missing");
    refuses("{" LOSS ", \"schedule\": {\"milestones\": [3, 3]}}", SDX_VALUE,
            "'schedule.milestones[1]' is 3; it must be above");
    refuses("{" LOSS ", \"penalties\": {}}", SDX_VALUE, "'penalties' is an object; it must be a list");
    refuses("{" LOSS ", \"penalties\": [{\"kind\": \"l1\"}, {\"kind\": \"l1\", \"l2\": 1}]}", SDX_VALUE,
            "'penalties[1].l2' does not belong");
    refuses("{" LOSS ", \"penalties\": [{\"kind\": \"l1\", \"target\": \"activity\", \"mode\": \"prox\"}]}", SDX_VALUE,
            "'penalties[0]': penalty: mode 'prox'");
    refuses("{" LOSS ", \"penalties\": [{\"kind\": \"l1\", \"scale\": \"per_batch\"}]}", SDX_VALUE,
            "'penalties[0]': penalty: scale");
    refuses("{" LOSS ", \"insert\": [{\"after\": \"x\"}]}", SDX_VALUE, "'insert[0]' must have either");
    refuses("{" LOSS ", \"insert\": [{\"after\": \"x\", \"batch_norm\": false}]}", SDX_VALUE,
            "'insert[0].batch_norm' is false; it must be true");
    refuses("{" LOSS ", \"insert\": [{\"after\": \"x\", \"dropout\": 1}]}", SDX_VALUE,
            "'insert[0].dropout' is 1; it must be in (0, 1)");
    refuses("{" LOSS ", \"metrics\": [\"accuracy\", 1]}", SDX_VALUE, "'metrics[1]' is 1; it must be text");
    refuses("{\"loss\": {\"kind\": \"mse\", \"pos_weight\": 2}}", SDX_VALUE,
            "'loss.pos_weight' belongs to bce_with_logits");
    refuses("{\"loss\": {\"kind\": \"mse\", \"output\": []}}", SDX_VALUE, "'loss.output' is a list; it must be a name");
    refuses("{" LOSS ", \"clip\": null}", SDX_VALUE, "'clip' is null; it must be an object");
    sdx_train_config *config = NULL;
    test_error = (sdx_error){0};
    assert_int_equal(sdx_train_config_parse("{\0}", 3, &test_error, &config), SDX_MALFORMED);
    assert_int_equal(sdx_train_config_parse(NULL, 0, NULL, &config), SDX_ARGUMENT);
}

/* Any bytes: accepted or refused, nothing else. */
static void test_mutations(void **unused) {
    (void)unused;
    char text[sizeof all];
    srand(3);
    for (int trial = 0; trial < 20000; trial++) {
        sdx_train_config *config = NULL;
        memcpy(text, all, sizeof all);
        for (int k = rand() % 3; k >= 0; k--) text[(size_t)rand() % (sizeof all - 1)] = (char)rand();
        sdx_train_config_parse(text, (size_t)rand() % sizeof all, NULL, &config);
        sdx_train_config_free(config);
        sdx_train_config_parse(text, sizeof all - 1, NULL, &config);
        sdx_train_config_free(config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_defaults),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_mutations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
