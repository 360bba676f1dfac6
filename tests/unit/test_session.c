/* SPDX-License-Identifier: Apache-2.0
 * Sessions: plans for several shapes, many threads, stopping, limits, and every allocation failing once. */
#include "support.h"
#include <pthread.h>
#include <stdlib.h>

enum { WIDTH = 24 };

/* y = Softmax(Relu(x W1) W2 + bias) with x [?, WIDTH]; a default for bias that callers may override. */
static sdx_model *network(void) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    float w[WIDTH * WIDTH], bias[WIDTH];
    srand(3);
    for (int i = 0; i < WIDTH * WIDTH; i++) w[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (int i = 0; i < WIDTH; i++) bias[i] = (float)i / WIDTH;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, WIDTH));
    sdx_id b = add_constant(g, "bias", SDX_F32, DIMS(WIDTH), bias);
    OK(sdx_graph_add_input(g, b, &test_error));
    sdx_id w1 = add_constant(g, "w1", SDX_F32, DIMS(WIDTH, WIDTH), w);
    sdx_id h = add_node(g, "Relu", "h", IDS(add_node(g, "MatMul", "m1", IDS(x, w1))));
    sdx_id sum = add_node(g, "Add", "sum", IDS(add_node(g, "MatMul", "m2", IDS(h, w1)), b));
    add_output(g, add_node(g, "Softmax", "y", IDS(sum)));
    finish_model(model);
    return model;
}

static sdx_value *picture(int64_t rows, int seed) {
    sdx_value *value = new_tensor(SDX_F32, DIMS(rows, WIDTH), NULL);
    float *data = value->tensor.data;
    for (int64_t i = 0; i < rows * WIDTH; i++) data[i] = (float)((i * 7 + seed * 13) % 29) / 29.0f - 0.4f;
    return value;
}

static void shapes_get_their_plans(void **state) {
    (void)state;
    sdx_model *model = network();
    sdx_session *session = new_session(model, 2);
    size_t used[3] = {0};
    for (int turn = 0; turn < 3; turn++) {
        for (int64_t rows = 0; rows < 40; rows++) { /* more shapes than are cached */
            sdx_binding in = {"x", picture(rows, 1)};
            sdx_value *y = run_one(session, &in, 1, "y");
            assert_int_equal(y->tensor.dim[0], rows);
            for (int64_t r = 0; r < rows; r++) {
                float sum = 0;
                for (int64_t c = 0; c < WIDTH; c++) sum += ((float *)y->tensor.data)[r * WIDTH + c];
                assert_true(sum > 0.9999f && sum < 1.0001f);
            }
            sdx_value_release(y);
            sdx_value_release(in.value);
        }
        sdx_session_memory(session, &used[turn], NULL);
    }
    assert_int_equal(used[1], used[2]);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void defaults_may_be_overridden(void **state) {
    (void)state;
    sdx_model *model = network();
    sdx_session *session = new_session(model, 1);
    float flat[WIDTH] = {0};
    flat[5] = 100;
    sdx_binding in[] = {{"x", picture(2, 1)}, {"bias", new_tensor(SDX_F32, DIMS(WIDTH), flat)}};
    sdx_value *before = run_one(session, in, 1, "y"), *with = run_one(session, in, 2, "y"),
              *after = run_one(session, in, 1, "y");
    assert_true(((float *)with->tensor.data)[5] > 0.999f);
    assert_memory_not_equal(before->tensor.data, with->tensor.data, sizeof(float) * 2 * WIDTH);
    assert_memory_equal(before->tensor.data, after->tensor.data, sizeof(float) * 2 * WIDTH);
    sdx_value_release(before);
    sdx_value_release(with);
    sdx_value_release(after);
    sdx_value_release(in[0].value);
    sdx_value_release(in[1].value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void outputs_outlive_session_and_model(void **state) {
    (void)state;
    sdx_model *model = network();
    sdx_session *session = new_session(model, 1);
    sdx_binding in = {"x", picture(3, 2)};
    sdx_value *y = run_one(session, &in, 1, "y");
    float kept[3 * WIDTH];
    memcpy(kept, y->tensor.data, sizeof kept);
    sdx_model_close(model);
    sdx_session_destroy(session);
    sdx_value_release(in.value);
    assert_memory_equal(kept, y->tensor.data, sizeof kept);
    sdx_value_release(y);
}

/* A run allocates its outputs and nothing else once plan, frame and working memory stand. */
static void steady_runs_allocate_outputs_only(void **state) {
    (void)state;
    enum { FAR = 1000000 };
    sdx_model *model = network();
    sdx_memory *memory = NULL;
    sdx_session *session = NULL;
    sdx_session_options options = {.size = sizeof options, .threads = 2};
    OK(sdx_memory_create(0, &test_error, &memory));
    OK(sdx_session_make(model, &options, memory, &test_error, &session));
    sdx_binding in = {"x", picture(3, 1)};
    for (int turn = 0; turn < 4; turn++) {
        atomic_store(&memory->fail_after, FAR);
        sdx_value_release(run_one(session, &in, 1, "y"));
        if (turn) assert_int_equal(FAR - atomic_load(&memory->fail_after), 1);
    }
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* Seeds: of the session, by the number of the run; of one run, whatever ran before. Trips of a loop draw anew. */
static void seeds_repeat(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    enum { N = 64 };
    int64_t trips = 4;
    float ones[N], half = 0.5f;
    bool training = true;
    for (int i = 0; i < N; i++) ones[i] = 1;
    sdx_id m = add_input(g, "m", SDX_I64, SCALAR);
    add_input(body, "trip", SDX_I64, SCALAR);
    add_output(body, add_input(body, "go_on", SDX_BOOL, SCALAR));
    sdx_id x = add_constant(body, "x", SDX_F32, DIMS(N), ones);
    sdx_id ratio = add_constant(body, "ratio", SDX_F32, SCALAR, &half);
    sdx_id train = add_constant(body, "train", SDX_BOOL, SCALAR, &training);
    add_output(body, add_node(body, "Dropout", "drawn", IDS(x, ratio, train)));
    sdx_id y = add_node(g, "Loop", "y", IDS(m));
    set_body(g, g->nodes[0], "body", body);
    add_output(g, y);
    finish_model(model);
    sdx_binding in = {"m", new_tensor(SDX_I64, SCALAR, &trips)};
    sdx_run_options options = {.size = sizeof options, .seed = 99};
    float drawn[2][3][4 * N];
    for (int s = 0; s < 2; s++) {
        sdx_session *session = new_session(model, 1);
        for (int turn = 0; turn < 3; turn++) {
            sdx_binding out = {"y", NULL};
            OK(sdx_session_run_with(session, turn == 2 ? &options : NULL, &in, 1, &out, 1, &test_error));
            memcpy(drawn[s][turn], out.value->tensor.data, sizeof drawn[s][turn]);
            sdx_value_release(out.value);
            if (s && turn == 0) OK(sdx_session_run(session, &in, 1, NULL, 0, &test_error));
        }
        sdx_session_destroy(session);
    }
    assert_memory_equal(drawn[0][0], drawn[1][0], sizeof drawn[0][0]);
    assert_memory_not_equal(drawn[0][0], drawn[0][1], sizeof drawn[0][0]);
    assert_memory_not_equal(drawn[0][1], drawn[1][1], sizeof drawn[0][0]); /* one run later */
    assert_memory_equal(drawn[0][2], drawn[1][2], sizeof drawn[0][0]);
    for (int t = 1; t < 4; t++) assert_memory_not_equal(drawn[0][0], drawn[0][0] + N * t, N * sizeof(float));
    sdx_value_release(in.value);
    sdx_model_close(model);
}

/* ---- threads -------------------------------------------------------------------------------------------------- */

enum { THREADS = 16, RUNS = 200, INPUTS = 7 };

typedef struct job {
    sdx_session *session;
    sdx_value *const *inputs, *const *expected;
    int first;
    char wrong[512];
} job;

static void *run_many(void *argument) {
    job *j = argument;
    for (int i = 0; i < RUNS && !j->wrong[0]; i++) {
        int k = (j->first + i) % INPUTS;
        sdx_error error = {0};
        sdx_binding in = {"x", j->inputs[k]}, out = {"y", NULL};
        if (sdx_session_run(j->session, &in, 1, &out, 1, &error) != SDX_OK)
            snprintf(j->wrong, sizeof j->wrong, "run %d: %.400s", i, error.message);
        else if (memcmp(out.value->tensor.data, j->expected[k]->tensor.data, sdx_tensor_bytes(&out.value->tensor)) != 0)
            snprintf(j->wrong, sizeof j->wrong, "run %d: input %d gives other bits than alone", i, k);
        sdx_value_release(out.value);
    }
    return NULL;
}

static void many_threads_one_session(void **state) {
    (void)state;
    sdx_model *model = network();
    sdx_session *alone = new_session(model, 1), *shared = new_session(model, 3);
    sdx_value *inputs[INPUTS], *expected[INPUTS];
    for (int k = 0; k < INPUTS; k++) {
        inputs[k] = picture(1 + k * 5, k);
        sdx_binding in = {"x", inputs[k]};
        expected[k] = run_one(alone, &in, 1, "y");
    }
    pthread_t threads[THREADS];
    job jobs[THREADS];
    for (int t = 0; t < THREADS; t++) {
        jobs[t] = (job){shared, inputs, expected, t, ""};
        assert_int_equal(pthread_create(&threads[t], NULL, run_many, &jobs[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    for (int t = 0; t < THREADS; t++)
        if (jobs[t].wrong[0]) fail_msg("thread %d, %s", t, jobs[t].wrong);
    for (int k = 0; k < INPUTS; k++) {
        sdx_value_release(inputs[k]);
        sdx_value_release(expected[k]);
    }
    sdx_session_destroy(alone);
    sdx_session_destroy(shared);
    sdx_model_close(model);
}

/* ---- stopping ------------------------------------------------------------------------------------------------- */

/* while (true) i = i + 1 */
static sdx_model *endless(void) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    bool yes = true;
    int64_t one = 1;
    sdx_id start = add_input(g, "start", SDX_I64, SCALAR), cond = add_constant(g, "cond", SDX_BOOL, SCALAR, &yes);
    add_input(body, "trip", SDX_I64, SCALAR);
    sdx_id go_on = add_input(body, "go_on", SDX_BOOL, SCALAR), i = add_input(body, "i", SDX_I64, SCALAR);
    add_output(body, add_node(body, "Identity", "still", IDS(go_on)));
    add_output(body, add_node(body, "Add", "next", IDS(i, add_constant(body, "one", SDX_I64, SCALAR, &one))));
    sdx_id loop = add_node(g, "Loop", "end", IDS(SDX_NONE, cond, start));
    set_body(g, g->nodes[g->n_nodes - 1], "body", body);
    add_output(g, loop);
    finish_model(model);
    return model;
}

static void *set_flag(void *flag) {
    struct timespec pause = {0, 30000000};
    nanosleep(&pause, NULL);
    __atomic_store_n((int *)flag, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void cancel_and_deadline(void **state) {
    (void)state;
    sdx_model *model = endless();
    sdx_session *session = new_session(model, 1);
    volatile int flag = 0;
    pthread_t thread;
    int64_t zero = 0;
    sdx_binding in = {"start", new_tensor(SDX_I64, SCALAR, &zero)}, out = {"end", NULL};
    sdx_run_options cancel = {.size = sizeof cancel, .cancel = &flag};
    sdx_run_options deadline = {.size = sizeof deadline, .deadline = 0.03};
    assert_int_equal(pthread_create(&thread, NULL, set_flag, (void *)(uintptr_t)&flag), 0);
    int64_t begin = sdx_clock_ns();
    assert_int_equal(sdx_session_run_with(session, &cancel, &in, 1, &out, 1, &test_error), SDX_CANCELLED);
    pthread_join(thread, NULL);
    CONTAINS(test_error.message, "running 'test.onnx': node 'end' (Loop");
    test_error = (sdx_error){0};
    assert_int_equal(sdx_session_run_with(session, &deadline, &in, 1, &out, 1, &test_error), SDX_DEADLINE);
    test_error = (sdx_error){0};
    assert_null(out.value);
    assert_true(sdx_clock_ns() - begin < 2000000000);
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* ---- limits --------------------------------------------------------------------------------------------------- */

static void limit_names_node_bytes_and_limit(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1)), two = add_input(g, "by", SDX_I64, DIMS(1));
    sdx_id big = add_node(g, "Tile", "big", IDS(x, two));
    add_output(g, add_node(g, "Neg", "y", IDS(add_node(g, "Exp", "e", IDS(big)))));
    finish_model(model);
    sdx_session_options options = {.size = sizeof options, .threads = 1, .memory_limit = 1 << 20};
    sdx_session *session = NULL;
    OK(sdx_session_create(model, &options, &test_error, &session));
    int64_t small = 3, huge = 1 << 20;
    sdx_binding in[] = {{"x", new_tensor(SDX_F32, DIMS(4), NULL)}, {"by", new_tensor(SDX_I64, DIMS(1), &small)}};
    size_t used = 0, peak = 0;
    for (int turn = 0; turn < 3; turn++) {
        sdx_value_release(run_one(session, in, 2, "y"));
        *(int64_t *)in[1].value->tensor.data = huge;
        sdx_binding out = {"y", NULL};
        assert_int_equal(sdx_session_run(session, in, 2, &out, 1, &test_error), SDX_LIMIT);
        CONTAINS(test_error.message, "node 'big' (Tile");
        CONTAINS(test_error.message, "1677"); /* 16 MiB, and what a value adds */
        CONTAINS(test_error.message, "limit of 1048576");
        assert_null(out.value);
        test_error = (sdx_error){0};
        *(int64_t *)in[1].value->tensor.data = small;
    }
    sdx_session_memory(session, &used, &peak);
    assert_true(used <= peak && peak <= options.memory_limit);
    sdx_value_release(in[0].value);
    sdx_value_release(in[1].value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* Idle plans of other shapes make way for the one that is wanted now. */
static void idle_memory_makes_way(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1)), a = add_node(g, "Exp", "a", IDS(x));
    sdx_id sum = add_node(g, "Add", "sum", IDS(add_node(g, "Neg", "n", IDS(a)), add_node(g, "Abs", "b", IDS(a))));
    add_output(g, sum);
    finish_model(model);
    sdx_session_options options = {.size = sizeof options, .threads = 1, .memory_limit = 400000};
    sdx_session *session = NULL;
    OK(sdx_session_create(model, &options, &test_error, &session));
    for (int64_t n = 10000; n < 25000; n += 1000) {
        sdx_binding in = {"x", new_tensor(SDX_F32, DIMS(n), NULL)};
        sdx_value_release(run_one(session, &in, 1, "sum"));
        sdx_value_release(in.value);
    }
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* ---- every allocation fails once ------------------------------------------------------------------------------- */

static sdx_status create_and_run(sdx_model *model, int64_t n, const sdx_binding *in, size_t n_in, const char *name,
                                 sdx_error *error, bool *exhausted) {
    sdx_memory *memory = NULL;
    sdx_session *session = NULL;
    sdx_session_options options = {.size = sizeof options, .threads = 2};
    OK(sdx_memory_create(0, &test_error, &memory));
    atomic_store(&memory->fail_after, n);
    sdx_status status = sdx_session_make(model, &options, memory, error, &session);
    if (status != SDX_OK) return status;
    sdx_binding out = {name, NULL};
    for (int turn = 0; turn < 2 && status == SDX_OK; turn++) {
        status = sdx_session_run(session, in, n_in, &out, 1, error);
        if (status == SDX_OK)
            sdx_value_release(out.value);
        else
            assert_null(out.value);
        out.value = NULL;
    }
    *exhausted = atomic_load(&memory->fail_after) > 0;
    atomic_store(&memory->fail_after, 0);
    sdx_value_release(run_one(session, in, n_in, name)); /* the next run works */
    sdx_session_destroy(session);
    return status;
}

static void fail_everywhere(sdx_model *model, const sdx_binding *in, size_t n_in, const char *name) {
    bool exhausted = false;
    int64_t n = 1;
    for (; !exhausted; n++) {
        sdx_error error = {0};
        sdx_status status = create_and_run(model, n, in, n_in, name, &error, &exhausted);
        if (exhausted)
            OK(status);
        else if (status != SDX_OUT_OF_MEMORY || !error.message[0])
            fail_msg("allocation %lld: %s: '%s'", (long long)n, sdx_status_text(status), error.message);
    }
    assert_true(n > 10);
}

static void allocations_fail(void **state) {
    (void)state;
    sdx_model *model = network();
    sdx_binding in = {"x", picture(3, 1)};
    fail_everywhere(model, &in, 1, "y");
    sdx_value_release(in.value);
    sdx_model_close(model);
}

static void allocations_fail_at_run_time_shapes(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    int64_t trips = 3, by = 2;
    float one = 1;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2)), r = add_input(g, "by", SDX_I64, DIMS(1));
    sdx_id tiled = add_node(g, "Tile", "tiled", IDS(x, r));
    add_input(body, "trip", SDX_I64, SCALAR);
    sdx_id go_on = add_input(body, "go_on", SDX_BOOL, SCALAR), v = add_input(body, "v", SDX_F32, DIMS(-1));
    sdx_id next = add_node(body, "Add", "next", IDS(v, capture(body, tiled)));
    add_output(body, add_node(body, "Identity", "still", IDS(go_on)));
    add_output(body, next);
    add_output(body, add_node(body, "Mul", "scan", IDS(next, add_constant(body, "one", SDX_F32, SCALAR, &one))));
    sdx_id m = add_constant(g, "m", SDX_I64, SCALAR, &trips);
    sdx_node *loop = add_node_n(g, "Loop", "final", 2, IDS(m, SDX_NONE, tiled));
    set_body(g, loop, "body", body);
    add_output(g, add_node(g, "Neg", "y", IDS(loop->out[1])));
    finish_model(model);
    sdx_binding in[] = {{"x", new_tensor(SDX_F32, DIMS(2), NULL)}, {"by", new_tensor(SDX_I64, DIMS(1), &by)}};
    fail_everywhere(model, in, 2, "y");
    sdx_value_release(in[0].value);
    sdx_value_release(in[1].value);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_get_their_plans),
        cmocka_unit_test(defaults_may_be_overridden),
        cmocka_unit_test(outputs_outlive_session_and_model),
        cmocka_unit_test(steady_runs_allocate_outputs_only),
        cmocka_unit_test(seeds_repeat),
        cmocka_unit_test(many_threads_one_session),
        cmocka_unit_test(cancel_and_deadline),
        cmocka_unit_test(limit_names_node_bytes_and_limit),
        cmocka_unit_test(idle_memory_makes_way),
        cmocka_unit_test(allocations_fail),
        cmocka_unit_test(allocations_fail_at_run_time_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
