/* SPDX-License-Identifier: Apache-2.0
 * Arguments of the public functions: what is refused, and in which words. */
#include "support.h"

static sdx_model *two_inputs(void) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    float zero[4] = {0};
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 4)), b = add_constant(g, "b", SDX_F32, DIMS(4), zero);
    OK(sdx_graph_add_input(g, b, &test_error));
    add_output(g, add_node(g, "Add", "y", IDS(x, b)));
    add_output(g, add_node(g, "Neg", "z", IDS(x)));
    finish_model(model);
    return model;
}

static void refused(sdx_session *session, const sdx_binding *in, size_t n_in, sdx_binding *out, size_t n_out,
                    sdx_status status, const char *message) {
    sdx_error error = {0};
    sdx_value *before = n_out && out ? out[0].value : NULL;
    assert_int_equal(sdx_session_run(session, in, n_in, out, n_out, &error), status);
    assert_int_equal(error.status, status);
    assert_string_equal(error.message, message);
    if (n_out && out) assert_ptr_equal(out[0].value, before);
    assert_int_equal(sdx_session_run(session, in, n_in, out, n_out, NULL), status); /* the record may be NULL */
}

static void bindings(void **state) {
    (void)state;
    sdx_model *model = two_inputs();
    sdx_session *session = new_session(model, 1);
    sdx_value *good = new_tensor(SDX_F32, DIMS(2, 4), NULL), *narrow = new_tensor(SDX_F32, DIMS(1, 3), NULL);
    sdx_value *vector = new_tensor(SDX_F32, DIMS(4), NULL), *whole = new_tensor(SDX_I64, DIMS(2, 4), NULL),
              *list = NULL;
    OK(sdx_value_sequence(&good, 1, SDX_F32, &test_error, &list));
    sdx_binding x = {"x", good}, out[] = {{"y", good}, {"z", NULL}}, wrong = {"w", NULL}, twice[] = {x, x};
    const sdx_binding bad[] = {{"x", narrow}, {"x", vector}, {"x", whole}, {"x", list},
                               {"w", good},   {"x", NULL},   {NULL, good}};
    refused(session, &bad[0], 1, out, 1, SDX_SHAPE, "input 'x' is f32[1,3]; the model takes f32[?,4]");
    refused(session, &bad[1], 1, out, 1, SDX_SHAPE, "input 'x' is f32[4]; the model takes f32[?,4]");
    refused(session, &bad[2], 1, out, 1, SDX_TYPE, "input 'x' is i64[2,4]; the model takes f32[?,4]");
    refused(session, &bad[3], 1, out, 1, SDX_TYPE, "input 'x' is seq(f32); the model takes f32[?,4]");
    refused(session, &bad[4], 1, out, 1, SDX_ARGUMENT, "there is no input 'w'; the model has 'x', 'b'");
    refused(session, &bad[5], 1, out, 1, SDX_ARGUMENT, "the value of input 'x' is NULL");
    refused(session, &bad[6], 1, out, 1, SDX_ARGUMENT, "input binding 0 has no name");
    refused(session, twice, 2, out, 1, SDX_ARGUMENT, "input 'x' is given twice");
    refused(session, NULL, 0, out, 1, SDX_ARGUMENT, "input 'x' is not given; the model takes f32[?,4]");
    refused(session, NULL, 1, out, 1, SDX_ARGUMENT, "'in' is NULL");
    refused(session, &x, 1, &wrong, 1, SDX_ARGUMENT, "there is no output 'w'; the model has 'y', 'z'");
    refused(session, &x, 1, NULL, 2, SDX_ARGUMENT, "'out' is NULL");
    refused(NULL, &x, 1, out, 1, SDX_ARGUMENT, "'session' is NULL");
    sdx_binding same[] = {{"y", NULL}, {"y", NULL}};
    refused(session, &x, 1, same, 2, SDX_ARGUMENT, "output 'y' is asked for twice");
    OK(sdx_session_run(session, &x, 1, out, 2, &test_error)); /* and it still works */
    assert_ptr_not_equal(out[0].value, good);
    sdx_value_release(out[0].value);
    sdx_value_release(out[1].value);
    OK(sdx_session_run(session, &x, 1, NULL, 0, &test_error));
    sdx_value *all[] = {good, narrow, vector, whole, list};
    for (int k = 0; k < 5; k++) sdx_value_release(all[k]);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void options(void **state) {
    (void)state;
    sdx_model *model = two_inputs();
    sdx_session *session = NULL;
    sdx_error error = {0};
    sdx_session_options large = {.size = sizeof large + 8}, small = {.size = sizeof(size_t) - 1};
    sdx_session_options old = {.size = offsetof(sdx_session_options, seed), .threads = 1, .profile = true};
    sdx_session_options threads = {.size = sizeof threads, .threads = -1};
    const sdx_session_options *bad[] = {&large, &small, &threads};
    const char *words[] = {"size of sdx_session_options is", "size of sdx_session_options is 7",
                           "'threads' is -1; it must be >= 0"};
    for (int k = 0; k < 3; k++) {
        error = (sdx_error){0};
        session = (void *)model;
        assert_int_equal(sdx_session_create(model, bad[k], &error, &session), SDX_ARGUMENT);
        CONTAINS(error.message, words[k]);
        assert_null(session);
    }
    OK(sdx_session_create(model, &old, &test_error, &session)); /* what it does not hold is not read */
    sdx_profile_row *rows = (void *)model;
    size_t n = 1;
    assert_int_equal(sdx_session_profile(session, NULL, &rows, &n), SDX_ARGUMENT);
    assert_null(rows);
    sdx_binding in = {"x", new_tensor(SDX_F32, DIMS(1, 4), NULL)}, out = {"y", NULL};
    sdx_run_options late = {.size = sizeof late, .deadline = -1};
    error = (sdx_error){0};
    assert_int_equal(sdx_session_run_with(session, &late, &in, 1, &out, 1, &error), SDX_ARGUMENT);
    CONTAINS(error.message, "'deadline' is -1; it must be finite and >= 0");
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void null_is_harmless(void **state) {
    (void)state;
    sdx_error error = {0};
    size_t used = 1, peak = 1, n = 0;
    sdx_model *model = (void *)&error;
    sdx_session *session = (void *)&error;
    sdx_profile_row *rows = NULL;
    sdx_model_close(NULL);
    sdx_session_destroy(NULL);
    sdx_session_memory(NULL, &used, &peak);
    sdx_session_memory(NULL, NULL, NULL);
    assert_int_equal(used + peak, 0);
    assert_int_equal(sdx_model_input_count(NULL) + sdx_model_output_count(NULL), 0);
    assert_null(sdx_model_input(NULL, 0));
    assert_null(sdx_model_output(NULL, 0));
    assert_int_equal(sdx_model_open(NULL, NULL, &error, &model), SDX_ARGUMENT);
    assert_string_equal(error.message, "'path' is NULL");
    assert_null(model);
    assert_int_equal(sdx_model_open("x", NULL, NULL, NULL), SDX_ARGUMENT);
    assert_int_equal(sdx_model_from_memory(NULL, 0, NULL, NULL, &model), SDX_ARGUMENT);
    assert_int_equal(sdx_session_create(NULL, NULL, NULL, &session), SDX_ARGUMENT);
    assert_null(session);
    assert_int_equal(sdx_session_profile(NULL, NULL, &rows, &n), SDX_ARGUMENT);
    assert_int_equal(sdx_session_profile(NULL, NULL, NULL, NULL), SDX_ARGUMENT);
}

static void missing_files(void **state) {
    (void)state;
    sdx_error error = {0};
    sdx_model *model = NULL;
    assert_int_equal(sdx_model_open("/nowhere/model.onnx", NULL, &error, &model), SDX_IO);
    CONTAINS(error.message, "/nowhere/model.onnx");
    error = (sdx_error){0};
    sdx_model_options levels = {.size = sizeof levels, .optimise = (sdx_optimise)7};
    assert_int_equal(sdx_model_open("/nowhere/model.onnx", &levels, &error, &model), SDX_ARGUMENT);
    CONTAINS(error.message, "'optimise' is 7");
}

static void descriptions(void **state) {
    (void)state;
    sdx_model *model = two_inputs();
    assert_int_equal(sdx_model_input_count(model), 2);
    assert_int_equal(sdx_model_output_count(model), 2);
    const sdx_value_info *x = sdx_model_input(model, 0), *b = sdx_model_input(model, 1);
    assert_string_equal(x->name, "x");
    assert_int_equal(x->kind, SDX_TENSOR);
    assert_int_equal(x->dtype, SDX_F32);
    assert_int_equal(x->rank, 2);
    assert_int_equal(x->dims[0], -1);
    assert_int_equal(x->dims[1], 4);
    assert_false(x->has_default);
    assert_true(b->has_default);
    assert_null(sdx_model_input(model, 2));
    assert_string_equal(sdx_model_output(model, 1)->name, "z");
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bindings),      cmocka_unit_test(options),      cmocka_unit_test(null_is_harmless),
        cmocka_unit_test(missing_files), cmocka_unit_test(descriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
