/* SPDX-License-Identifier: Apache-2.0
 * Every chunk exactly once, whatever the threads; workers' indices exclusive; early ends; nesting; a shared pool. */
#include "runtime/base/pool.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MOST = 5000, MOST_WORKERS = 8 };

typedef struct record {
    atomic_int times[MOST];
    atomic_int in_use[MOST_WORKERS];
    atomic_int bad;
    int64_t count, grain;
    sdx_pool *pool;
    atomic_int *cancel;
} record;

static void mark(void *argument, int64_t begin, int64_t end, int worker) {
    record *r = argument;
    if (worker < 0 || worker >= MOST_WORKERS || atomic_fetch_add(&r->in_use[worker], 1) != 0) atomic_store(&r->bad, 1);
    if (begin % r->grain || end - begin > r->grain || (end - begin < r->grain && end != r->count))
        atomic_store(&r->bad, 2);
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&r->times[i], 1);
    atomic_fetch_sub(&r->in_use[worker], 1);
}

static void run_once(sdx_pool *pool, int64_t count, int64_t grain) {
    record r = {.count = count, .grain = grain};
    assert_int_equal(sdx_pool_run(pool, count, grain, mark, &r, NULL, NULL), SDX_OK);
    for (int64_t i = 0; i < MOST; i++)
        if (atomic_load(&r.times[i]) != (i < count))
            fail_msg("count %d, grain %d: index %d was computed %d times", (int)count, (int)grain, (int)i,
                     atomic_load(&r.times[i]));
    assert_int_equal(atomic_load(&r.bad), 0);
}

static sdx_memory memory;

static sdx_pool *make(int threads) {
    sdx_pool *pool = NULL;
    sdx_memory_init(&memory, 0);
    assert_int_equal(sdx_pool_create(threads, &memory, NULL, &pool), SDX_OK);
    assert_int_equal(sdx_pool_threads(pool), threads);
    return pool;
}

static void unmake(sdx_pool *pool) {
    sdx_pool_destroy(pool);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static void every_chunk_once(void **state) {
    (void)state;
    static const int64_t shapes[][2] = {{0, 1},   {1, 1},     {1, 100},  {7, 3},
                                        {100, 1}, {4096, 64}, {5000, 7}, {5000, 5000}};
    for (int threads = 1; threads <= 5; threads++) {
        sdx_pool *pool = make(threads);
        for (int round = 0; round < 20; round++)
            for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) run_once(pool, shapes[i][0], shapes[i][1]);
        unmake(pool);
    }
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) run_once(NULL, shapes[i][0], shapes[i][1]);
    assert_int_equal(sdx_pool_threads(NULL), 1);
    sdx_pool_destroy(NULL);
}

static void sleeping_workers_wake(void **state) {
    (void)state;
    sdx_pool *pool = make(4);
    for (int i = 0; i < 30; i++) {
        nanosleep(&(struct timespec){0, i % 3 ? 20000 : 1000000}, NULL);
        run_once(pool, 500, 5);
    }
    unmake(pool);
}

static void bad_counts(void **state) {
    (void)state;
    sdx_pool *pool = NULL;
    sdx_error error = {0};
    sdx_memory_init(&memory, 0);
    assert_int_equal(sdx_pool_create(0, &memory, &error, &pool), SDX_ARGUMENT);
    assert_int_equal(sdx_pool_create(-3, &memory, NULL, &pool), SDX_ARGUMENT);
    assert_int_equal(sdx_pool_create(1000000, &memory, NULL, &pool), SDX_ARGUMENT);
    for (int n = 1; n <= 2; n++) {
        atomic_store(&memory.fail_after, n);
        assert_int_equal(sdx_pool_create(2, &memory, NULL, &pool), SDX_OUT_OF_MEMORY);
        assert_int_equal(sdx_memory_used(&memory), 0);
    }
    assert_null(pool);
    record r = {.grain = 1};
    assert_int_equal(sdx_pool_run(NULL, -5, 1, mark, &r, NULL, NULL), SDX_OK);
}

static void nested(void *argument, int64_t begin, int64_t end, int worker) {
    record *r = argument;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        record inner = {.count = 40, .grain = 3};
        if (sdx_pool_run(r->pool, inner.count, inner.grain, mark, &inner, NULL, NULL) || atomic_load(&inner.bad))
            atomic_store(&r->bad, 3);
        for (int k = 0; k < 40; k++) atomic_fetch_add(&r->times[i], atomic_load(&inner.times[k]));
    }
}

static void nested_runs(void **state) {
    (void)state;
    sdx_pool *pool = make(3);
    record r = {.pool = pool};
    assert_int_equal(sdx_pool_run(pool, 60, 2, nested, &r, NULL, NULL), SDX_OK);
    for (int i = 0; i < 60; i++) assert_int_equal(atomic_load(&r.times[i]), 40);
    assert_int_equal(atomic_load(&r.bad), 0);
    unmake(pool);
}

/* The inner run reports the worker of the chunk it is nested in: scratch of the outer chunk stays exclusive. */
static void inner_index(void *argument, int64_t begin, int64_t end, int worker) {
    (void)begin, (void)end;
    *(int *)argument = worker;
}

static void outer_index(void *argument, int64_t begin, int64_t end, int worker) {
    record *r = argument;
    (void)begin, (void)end;
    int inner = -1;
    sdx_pool_run(r->pool, 2, 1, inner_index, &inner, NULL, NULL);
    if (inner != worker) atomic_store(&r->bad, 1);
}

static void nested_runs_keep_the_worker(void **state) {
    (void)state;
    sdx_pool *pool = make(4);
    record r = {.pool = pool};
    for (int i = 0; i < 100; i++) sdx_pool_run(pool, 64, 1, outer_index, &r, NULL, NULL);
    assert_int_equal(atomic_load(&r.bad), 0);
    unmake(pool);
}

static void *many_runs(void *pool) {
    for (int i = 0; i < 200; i++) {
        record r = {.count = 300, .grain = 10};
        if (sdx_pool_run(pool, r.count, r.grain, mark, &r, NULL, NULL) || atomic_load(&r.bad)) return pool;
        for (int k = 0; k < 300; k++)
            if (atomic_load(&r.times[k]) != 1) return pool;
    }
    return NULL;
}

static void many_callers(void **state) {
    (void)state;
    sdx_pool *pool = make(3);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, many_runs, pool), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    unmake(pool);
}

static void cancel_at_ten(void *argument, int64_t begin, int64_t end, int worker) {
    record *r = argument;
    (void)end, (void)worker;
    atomic_fetch_add(&r->times[0], 1);
    if (begin == 10) __atomic_store_n((int *)r->cancel, 1, __ATOMIC_RELAXED);
}

static void cancelled(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        sdx_pool *pool = make(threads);
        int cancel = 0;
        record r = {.cancel = (atomic_int *)&cancel};
        sdx_stop stop = {.cancel = &cancel};
        sdx_error error = {0};
        assert_int_equal(sdx_pool_run(pool, 100000, 1, cancel_at_ten, &r, &stop, &error), SDX_CANCELLED);
        assert_int_equal(error.status, SDX_CANCELLED);
        assert_true(atomic_load(&r.times[0]) >= (threads == 1 ? 11 : 1));
        if (threads == 1) assert_int_equal(atomic_load(&r.times[0]), 11);
        assert_true(atomic_load(&r.times[0]) < 100000);
        assert_int_equal(sdx_stop_check(&stop, NULL), SDX_CANCELLED);
        cancel = 0;
        assert_int_equal(sdx_stop_check(&stop, NULL), SDX_OK);
        run_once(pool, 500, 3); /* and the pool still works */
        unmake(pool);
    }
}

static void wait_a_little(void *argument, int64_t begin, int64_t end, int worker) {
    (void)argument, (void)begin, (void)end, (void)worker;
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void deadlines(void **state) {
    (void)state;
    sdx_pool *pool = make(2);
    int64_t start = sdx_clock_ns();
    sdx_stop stop = {.deadline = start + 20000000};
    sdx_error error = {0};
    assert_int_equal(sdx_stop_check(&stop, NULL), SDX_OK);
    assert_int_equal(sdx_pool_run(pool, 100000, 1, wait_a_little, NULL, &stop, &error), SDX_DEADLINE);
    assert_true(sdx_clock_ns() - start < 10000000000);
    assert_int_equal(sdx_stop_check(&stop, NULL), SDX_DEADLINE);
    assert_int_equal(sdx_stop_check(NULL, NULL), SDX_OK);
    unmake(pool);
}

static void nothing(void *argument, int64_t begin, int64_t end, int worker) {
    (void)argument, (void)begin, (void)end, (void)worker;
}

/* Printed, not asserted: the cost of a fork and join with workers awake depends on the machine's load. */
static void cost(void **state) {
    (void)state;
    int threads = sdx_machine_threads() < 4 ? sdx_machine_threads() : 4;
    sdx_pool *pool = make(threads);
    int64_t best = INT64_MAX;
    for (int round = 0; round < 50; round++) {
        int64_t start = sdx_clock_ns();
        for (int i = 0; i < 200; i++) sdx_pool_run(pool, threads, 1, nothing, NULL, NULL, NULL);
        int64_t took = (sdx_clock_ns() - start) / 200;
        best = took < best ? took : best;
    }
    print_message("fork and join on %d threads: %d ns\n", threads, (int)best);
    unmake(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_once),
        cmocka_unit_test(sleeping_workers_wake),
        cmocka_unit_test(bad_counts),
        cmocka_unit_test(nested_runs),
        cmocka_unit_test(nested_runs_keep_the_worker),
        cmocka_unit_test(many_callers),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
