/* SPDX-License-Identifier: Apache-2.0
 * What a plan decides: who shares bytes, what is folded, what is computed at all; and that results stay right. */
#include "runtime/exec/frame.h"
#include "runtime/plan/build.h"
#include "support.h"
#include <stdlib.h>

typedef struct planned {
    sdx_memory *memory;
    sdx_plans *plans;
    sdx_frame *frame;
    sdx_run run;
} planned;

static const sdx_plan *plan_for(planned *p, const sdx_model *model, int n, sdx_value *const *inputs) {
    sdx_argument arguments[8];
    sdx_plan_set *set = NULL;
    for (int k = 0; k < n; k++)
        arguments[k] = (sdx_argument){inputs[k]->kind == SDX_TENSOR ? &inputs[k]->tensor : NULL, inputs[k], false};
    OK(sdx_memory_create(0, &test_error, &p->memory));
    OK(sdx_plans_create(p->memory, 1, false, &test_error, &p->plans));
    OK(sdx_plans_set(p->plans, model->graph, &test_error, &set));
    p->run = (sdx_run){.memory = p->memory, .error = &test_error, .plans = p->plans};
    OK(sdx_plans_acquire(p->plans, set, arguments, n, &p->run, &p->frame));
    return p->frame->plan;
}

static void unplan(planned *p) {
    sdx_plans_release(p->plans, p->frame);
    sdx_plans_destroy(p->plans);
    assert_int_equal(sdx_memory_used(p->memory), 0);
    sdx_memory_drop(p->memory);
}

static void chains_share_bytes(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 4));
    sdx_id a = add_node(g, "Neg", "a", IDS(x)), b = add_node(g, "Exp", "b", IDS(a)),
           c = add_node(g, "Abs", "c", IDS(b));
    sdx_id d = add_node(g, "Flatten", "d", IDS(c)), y = add_node(g, "Neg", "y", IDS(d));
    add_output(g, y);
    finish_model(model);
    planned p;
    sdx_value *input = new_tensor(SDX_F32, DIMS(3, 4), NULL);
    const sdx_plan *plan = plan_for(&p, model, 1, &input);
    assert_int_equal(plan->n_steps, 4); /* the view costs no step */
    assert_int_equal(plan->working_size, 0);
    assert_int_equal(plan->slots[a].place, SDX_AT_OUTPUT);
    assert_int_equal(plan->slots[d].place, SDX_AT_OUTPUT);
    assert_true(plan->outputs[0].direct);
    unplan(&p);
    sdx_value_release(input);
    sdx_model_close(model);
}

/* A value that is read again later, or is an input, a constant or an output, is never overwritten. */
static void living_values_are_kept(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    float one[] = {1, 1, 1, 1};
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(4)), w = add_constant(g, "w", SDX_F32, DIMS(4), one);
    sdx_id a = add_node(g, "Add", "a", IDS(x, w)), b = add_node(g, "Neg", "b", IDS(a));
    sdx_id c = add_node(g, "Mul", "c", IDS(a, b)), n = add_node(g, "Neg", "n", IDS(w));
    sdx_id d = add_node(g, "Add", "d", IDS(c, n)), e = add_node(g, "Neg", "e", IDS(d));
    add_output(g, d);
    add_output(g, e);
    add_output(g, a);
    finish_model(model);
    sdx_session *session = new_session(model, 1);
    float data[] = {1, 2, 3, 4}, want_d[] = {-5, -10, -17, -26}, want_e[] = {5, 10, 17, 26}, want_a[] = {2, 3, 4, 5};
    sdx_binding in = {"x", new_tensor(SDX_F32, DIMS(4), data)}, out[] = {{"d", NULL}, {"e", NULL}, {"a", NULL}};
    for (int i = 0; i < 3; i++) {
        OK(sdx_session_run(session, &in, 1, out, 3, &test_error));
        expect_tensor(out[0].value, SDX_F32, DIMS(4), want_d);
        expect_tensor(out[1].value, SDX_F32, DIMS(4), want_e);
        expect_tensor(out[2].value, SDX_F32, DIMS(4), want_a);
        for (int k = 0; k < 3; k++) sdx_value_release(out[k].value);
    }
    assert_memory_equal(in.value->tensor.data, data, sizeof data);
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* x [1,3] and a view of the same bytes as [3,1], broadcast against each other: nothing may be done in place. */
static void views_of_one_block_broadcast(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(3, 3)), a = add_node(g, "Neg", "a", IDS(x));
    int64_t flat_dims[] = {9, 1}, row_dims[] = {1, 9};
    sdx_id r = add_node(g, "Reshape", "r", IDS(a, add_constant(g, "s", SDX_I64, DIMS(2), flat_dims)));
    sdx_id q = add_node(g, "Reshape", "q", IDS(a, add_constant(g, "t", SDX_I64, DIMS(2), row_dims)));
    sdx_id y = add_node(g, "Sub", "y", IDS(r, q));
    add_output(g, y);
    finish_model(model);
    sdx_session *session = new_session(model, 1);
    float data[9], want[81];
    for (int i = 0; i < 9; i++) data[i] = (float)(i * i);
    for (int i = 0; i < 81; i++) want[i] = -data[i / 9] + data[i % 9];
    sdx_binding in = {"x", new_tensor(SDX_F32, DIMS(3, 3), data)};
    sdx_value *value = run_one(session, &in, 1, "y");
    expect_tensor(value, SDX_F32, DIMS(9, 9), want);
    sdx_value_release(value);
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void shape_chains_vanish(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    int64_t zero = 0, minus = -1;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 2, 3)), dead = add_node(g, "Exp", "dead", IDS(x));
    sdx_id shape = add_node(g, "Shape", "shape", IDS(dead));
    sdx_id first = add_node(g, "Gather", "first", IDS(shape, add_constant(g, "0", SDX_I64, DIMS(1), &zero)));
    sdx_id to = add_node(g, "Concat", "to", IDS(first, add_constant(g, "-1", SDX_I64, DIMS(1), &minus)));
    set_int(g, g->nodes[g->n_nodes - 1], "axis", 0);
    sdx_id y = add_node(g, "Reshape", "y", IDS(x, to)), z = add_node(g, "Neg", "z", IDS(y));
    add_output(g, z);
    finish_model(model);
    planned p;
    sdx_value *input = new_tensor(SDX_F32, DIMS(5, 2, 3), NULL);
    const sdx_plan *plan = plan_for(&p, model, 1, &input);
    assert_int_equal(plan->n_steps, 1); /* Neg; what only its shape was asked of is not computed either */
    assert_string_equal(plan->steps[0].node->op_type, "Neg");
    assert_int_equal(plan->slots[z].tensor.dim[0], 5);
    assert_int_equal(plan->slots[z].tensor.dim[1], 6);
    unplan(&p);
    sdx_value_release(input);
    sdx_model_close(model);
}

/* A shape that comes as an input is known at run time only; what follows still runs, and frees what it made. */
static void shapes_given_at_run_time(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(6)), s = add_input(g, "s", SDX_I64, DIMS(2));
    sdx_id r = add_node(g, "Reshape", "r", IDS(x, s)), t = add_node(g, "Transpose", "t", IDS(r));
    sdx_id y = add_node(g, "Neg", "y", IDS(t));
    add_output(g, y);
    finish_model(model);
    sdx_session *session = new_session(model, 1);
    float data[] = {0, 1, 2, 3, 4, 5}, want23[] = {-0.0f, -3, -1, -4, -2, -5}, want32[] = {-0.0f, -2, -4, -1, -3, -5};
    int64_t by23[] = {2, 3}, by32[] = {3, -1}, wrong[] = {4, 2};
    sdx_binding in[] = {{"x", new_tensor(SDX_F32, DIMS(6), data)}, {"s", new_tensor(SDX_I64, DIMS(2), by23)}};
    sdx_value *value = run_one(session, in, 2, "y");
    expect_tensor(value, SDX_F32, DIMS(3, 2), want23);
    sdx_value_release(value);
    size_t used = 0, after = 0;
    memcpy(in[1].value->tensor.data, by32, sizeof by32);
    value = run_one(session, in, 2, "y");
    expect_tensor(value, SDX_F32, DIMS(2, 3), want32);
    sdx_value_release(value);
    sdx_session_memory(session, &used, NULL);
    memcpy(in[1].value->tensor.data, wrong, sizeof wrong);
    sdx_binding out = {"y", NULL};
    assert_int_equal(sdx_session_run(session, in, 2, &out, 1, &test_error), SDX_SHAPE);
    assert_null(out.value);
    CONTAINS(test_error.message, "running 'test.onnx': node 'r' (Reshape");
    test_error = (sdx_error){0};
    sdx_session_memory(session, &after, NULL);
    assert_int_equal(used, after);
    sdx_value_release(in[0].value);
    sdx_value_release(in[1].value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* Outputs that are inputs, constants, views of them, or the same value twice are copies of their own. */
static void outputs_are_fresh(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    float w_data[] = {7, 8};
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2)), w = add_constant(g, "w", SDX_F32, DIMS(2), w_data);
    sdx_id v = add_node(g, "Flatten", "v", IDS(x)), i = add_node(g, "Identity", "i", IDS(x));
    sdx_id n = add_node(g, "Neg", "n", IDS(x)), m = add_node(g, "Flatten", "m", IDS(n));
    sdx_id all[] = {x, w, v, i, n, m};
    for (int k = 0; k < 6; k++) add_output(g, all[k]);
    finish_model(model);
    sdx_session *session = new_session(model, 1);
    float data[] = {1, 2}, negative[] = {-1, -2};
    const float *want[] = {data, w_data, data, data, negative, negative};
    sdx_binding in = {"x", new_tensor(SDX_F32, DIMS(2), data)};
    sdx_binding out[] = {{"x", NULL}, {"w", NULL}, {"v", NULL}, {"i", NULL}, {"n", NULL}, {"m", NULL}};
    for (int turn = 0; turn < 2; turn++) {
        OK(sdx_session_run(session, &in, 1, out, 6, &test_error));
        for (int k = 0; k < 6; k++) {
            assert_memory_equal(out[k].value->tensor.data, want[k], sizeof data);
            for (int other = 0; other < k; other++)
                assert_ptr_not_equal(out[k].value->tensor.data, out[other].value->tensor.data);
            assert_ptr_not_equal(out[k].value->tensor.data, in.value->tensor.data);
            assert_ptr_not_equal(out[k].value->tensor.data, g->values[w].constant->tensor.data);
        }
        for (int k = 0; k < 6; k++) memset(out[k].value->tensor.data, 0, sizeof data); /* theirs to spoil */
        for (int k = 0; k < 6; k++) sdx_value_release(out[k].value);
    }
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* A view of a constant shows its bytes; nothing is copied in a run. */
static void views_of_constants(void **state) {
    (void)state;
    enum { N = 100000 }; /* too large to fold */
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    static float data[N], want[N];
    for (int i = 0; i < N; i++) {
        data[i] = (float)i;
        want[i] = (float)i + 1;
    }
    int64_t to[] = {-1};
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(1)), w = add_constant(g, "w", SDX_F32, DIMS(N / 10, 10), data);
    sdx_id v = add_node(g, "Reshape", "v", IDS(w, add_constant(g, "to", SDX_I64, DIMS(1), to)));
    add_output(g, add_node(g, "Add", "y", IDS(v, x)));
    add_output(g, v);
    finish_model(model);
    planned p;
    float one = 1;
    sdx_value *input = new_tensor(SDX_F32, DIMS(1), &one);
    const sdx_plan *plan = plan_for(&p, model, 1, &input);
    assert_int_equal(plan->n_steps, 1);
    assert_ptr_equal(plan->slots[v].tensor.data, g->values[w].constant->tensor.data);
    unplan(&p);
    sdx_session *session = new_session(model, 1);
    sdx_binding in = {"x", input}, out[] = {{"y", NULL}, {"v", NULL}};
    OK(sdx_session_run(session, &in, 1, out, 2, &test_error));
    expect_tensor(out[0].value, SDX_F32, DIMS(N), want);
    expect_tensor(out[1].value, SDX_F32, DIMS(N), data);
    assert_ptr_not_equal(out[1].value->tensor.data, g->values[w].constant->tensor.data);
    sdx_value_release(out[0].value);
    sdx_value_release(out[1].value);
    sdx_value_release(input);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* A chain long enough for the simpler order of placing: two places suffice for it. */
static void long_chains(void **state) {
    (void)state;
    enum { N = 3 * SDX_MANY_BLOCKS };
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 64)), y = x;
    for (int i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        y = add_node(g, "Transpose", sdx_arena_copy(g->arena, name, strlen(name), &test_error), IDS(y));
    }
    add_output(g, add_node(g, "Neg", "y", IDS(y)));
    finish_model(model);
    planned p;
    sdx_value *input = new_tensor(SDX_F32, DIMS(2, 64), NULL);
    int64_t begin = sdx_clock_ns();
    const sdx_plan *plan = plan_for(&p, model, 1, &input);
    assert_int_equal(plan->n_steps, N + 1);
    assert_true(plan->working_size <= 3 * 2 * 64 * sizeof(float));
    assert_true(sdx_clock_ns() - begin < 5000000000);
    unplan(&p);
    sdx_value_release(input);
    sdx_model_close(model);
}

/* The same shapes find the same plan; other shapes, or another known constant, do not. */
static void plans_are_found_again(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    add_output(g, add_node(g, "Neg", "y", IDS(add_input(g, "x", SDX_F32, DIMS(-1)))));
    finish_model(model);
    planned p;
    sdx_value *three = new_tensor(SDX_F32, DIMS(3), NULL), *four = new_tensor(SDX_F32, DIMS(4), NULL);
    const sdx_plan *plan = plan_for(&p, model, 1, &three);
    sdx_argument same = {&three->tensor, three, false}, known = {&three->tensor, three, true};
    sdx_argument other = {&four->tensor, four, false};
    assert_true(sdx_plan_fits(plan, sdx_plan_hash(&same, 1), &same, 1));
    assert_false(sdx_plan_fits(plan, sdx_plan_hash(&other, 1), &other, 1));
    assert_false(sdx_plan_fits(plan, plan->hash, &other, 1));
    assert_false(sdx_plan_fits(plan, plan->hash, &known, 1));
    sdx_frame *again = NULL, *another = NULL;
    OK(sdx_plans_acquire(p.plans, plan->set, &same, 1, &p.run, &again));
    OK(sdx_plans_acquire(p.plans, plan->set, &other, 1, &p.run, &another));
    assert_ptr_equal(again->plan, plan);
    assert_ptr_not_equal(again, p.frame);
    assert_ptr_not_equal(another->plan, plan);
    assert_false(sdx_plans_trim(p.plans)); /* all is in use */
    sdx_plans_release(p.plans, again);
    sdx_plans_release(p.plans, another);
    assert_true(sdx_plans_trim(p.plans));
    unplan(&p);
    sdx_value_release(three);
    sdx_value_release(four);
    sdx_model_close(model);
}

/* Random lifetimes: none that live at once may overlap, and the total is at least what is alive at the worst moment. */
static void offsets_never_overlap(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    srand(7);
    for (int turn = 0; turn < 200; turn++) {
        enum { MOST = 60 };
        sdx_block blocks[MOST];
        int n = 1 + rand() % MOST;
        for (int i = 0; i < n; i++) {
            int first = rand() % 40;
            blocks[i] = (sdx_block){
                .place = SDX_AT_ARENA, .first = first, .last = first + rand() % 10, .size = (size_t)(rand() % 5000)};
        }
        sdx_arena arena;
        sdx_arena_init(&arena, &memory);
        size_t total = 0, worst = 0;
        OK(sdx_build_offsets(blocks, n, &arena, &test_error, &total));
        for (int step = 0; step < 50; step++) {
            size_t now = 0;
            for (int i = 0; i < n; i++)
                if (blocks[i].first <= step && step <= blocks[i].last) now += blocks[i].size;
            if (now > worst) worst = now;
        }
        assert_true(total >= worst);
        for (int i = 0; i < n; i++) {
            assert_int_equal(blocks[i].offset % SDX_ALIGNMENT, 0);
            assert_true(blocks[i].offset + blocks[i].size <= total);
            for (int j = 0; j < i; j++) {
                bool together = blocks[i].first <= blocks[j].last && blocks[j].first <= blocks[i].last;
                bool apart = blocks[i].offset + blocks[i].size <= blocks[j].offset ||
                             blocks[j].offset + blocks[j].size <= blocks[i].offset;
                if (together && !apart) fail_msg("blocks %d and %d of case %d overlap", i, j, turn);
            }
        }
        sdx_arena_release(&arena);
    }
    assert_int_equal(sdx_memory_used(&memory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_share_bytes),
        cmocka_unit_test(living_values_are_kept),
        cmocka_unit_test(views_of_one_block_broadcast),
        cmocka_unit_test(shape_chains_vanish),
        cmocka_unit_test(shapes_given_at_run_time),
        cmocka_unit_test(outputs_are_fresh),
        cmocka_unit_test(offsets_never_overlap),
        cmocka_unit_test(views_of_constants),
        cmocka_unit_test(long_chains),
        cmocka_unit_test(plans_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
