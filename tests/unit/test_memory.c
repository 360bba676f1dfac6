/* SPDX-License-Identifier: Apache-2.0
 * Accounting, limits, injected failures, arenas. */
#include "runtime/base/memory.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void blocks_are_accounted(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    void *blocks[5];
    static const size_t sizes[] = {0, 1, 64, 65, 100000};
    size_t least = 0;
    for (int i = 0; i < 5; i++) {
        blocks[i] = sdx_memory_alloc_zero(&memory, sizes[i], NULL);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % SDX_ALIGNMENT, 0);
        for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(((char *)blocks[i])[k], 0);
        least += sizes[i];
        assert_true(sdx_memory_used(&memory) >= least);
    }
    size_t most = sdx_memory_used(&memory);
    for (int i = 0; i < 5; i++) sdx_memory_free(&memory, blocks[i]);
    sdx_memory_free(&memory, NULL);
    assert_int_equal(sdx_memory_used(&memory), 0);
    assert_int_equal(sdx_memory_peak(&memory), most);
}

static void limits_hold(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_memory_init(&memory, 4096);
    sdx_error error = {0};
    void *first = sdx_memory_alloc(&memory, 2000, &error);
    assert_non_null(first);
    assert_null(sdx_memory_alloc(&memory, 3000, &error));
    assert_int_equal(error.status, SDX_LIMIT);
    assert_non_null(strstr(error.message, "limit of 4096"));
    sdx_memory_free(&memory, first);
    void *second = sdx_memory_alloc(&memory, 3000, NULL);
    assert_non_null(second);
    sdx_memory_free(&memory, second);
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX - 128, (size_t)PTRDIFF_MAX};
    sdx_memory_init(&memory, 0);
    for (int i = 0; i < 4; i++) {
        error = (sdx_error){0};
        assert_null(sdx_memory_alloc(&memory, absurd[i], &error));
        assert_int_equal(error.status, SDX_OUT_OF_MEMORY);
        assert_int_equal(sdx_memory_used(&memory), 0);
    }
}

static void failures_are_injected(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    for (int n = 1; n <= 3; n++) {
        atomic_store(&memory.fail_after, n);
        for (int i = 1; i <= 4; i++) {
            sdx_error error = {0};
            void *block = sdx_memory_alloc(&memory, 10, &error);
            assert_int_equal(block == NULL, i == n);
            assert_int_equal(error.status, i == n ? SDX_OUT_OF_MEMORY : SDX_OK);
            sdx_memory_free(&memory, block);
        }
    }
}

static void records_outlive_their_owner(void **state) {
    (void)state;
    sdx_memory *memory = NULL;
    assert_int_equal(sdx_memory_create(4096, NULL, &memory), SDX_OK);
    void *block = sdx_memory_alloc(memory, 100, NULL);
    assert_non_null(block);
    assert_int_equal(sdx_memory_used(memory) % SDX_ALIGNMENT, 0);
    assert_null(sdx_memory_alloc(memory, 4096, NULL));
    sdx_memory_drop(memory);
    assert_true(sdx_memory_used(memory) >= 100);
    sdx_memory_free(memory, block);
    sdx_memory_drop(NULL);
    assert_int_equal(sdx_memory_create(0, NULL, &memory), SDX_OK);
    sdx_memory_drop(memory);
}

static void arenas_grow_and_end(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    sdx_arena arena;
    sdx_arena_init(&arena, &memory);
    char *kept[300];
    for (size_t i = 0; i < 300; i++) {
        size_t size = i * 37 % 9000;
        kept[i] = sdx_arena_alloc(&arena, size, NULL);
        assert_non_null(kept[i]);
        assert_int_equal((uintptr_t)kept[i] % 16, 0);
        for (size_t k = 0; k < size; k++) assert_int_equal(kept[i][k], 0);
        memset(kept[i], (int)i, size);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i * 37 % 9000; k++)
            if (kept[i][k] != (char)i) fail_msg("block %zu was overwritten at %zu", i, k);
    char *copy = sdx_arena_copy(&arena, "abcdef", 3, NULL);
    assert_string_equal(copy, "abc");
    assert_string_equal(sdx_arena_copy(&arena, NULL, 0, NULL), "");
    sdx_error error = {0};
    assert_null(sdx_arena_alloc_array(&arena, SIZE_MAX / 2, 3, &error));
    assert_int_equal(error.status, SDX_OUT_OF_MEMORY);
    assert_null(sdx_arena_alloc(&arena, SIZE_MAX, NULL));
    assert_null(sdx_arena_alloc(&arena, SIZE_MAX - 40, NULL));
    assert_null(sdx_arena_copy(&arena, "", SIZE_MAX, NULL));
    sdx_arena_reset(&arena);
    assert_non_null(sdx_arena_alloc(&arena, 100, NULL));
    sdx_arena_release(&arena);
    assert_int_equal(sdx_memory_used(&memory), 0);
    sdx_arena_reset(&arena);
    sdx_arena_release(&arena);
}

static void arena_sizes_around_a_block(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    for (size_t size = 4000; size < 4200; size++) {
        sdx_arena arena;
        sdx_arena_init(&arena, &memory);
        char *a = sdx_arena_alloc(&arena, size, NULL), *b = sdx_arena_alloc(&arena, size, NULL);
        memset(a, 1, size);
        memset(b, 2, size);
        assert_int_equal(a[size - 1], 1);
        sdx_arena_release(&arena);
    }
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static void *churn(void *argument) {
    for (size_t i = 0; i < 5000; i++) sdx_memory_free(argument, sdx_memory_alloc(argument, i % 777, NULL));
    return NULL;
}

static void threads_share_a_record(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, churn, &memory), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_int_equal(sdx_memory_used(&memory), 0);
    assert_true(sdx_memory_peak(&memory) <= 4 * 1024);
}

static void checked_sizes(void **state) {
    (void)state;
    size_t s = 0;
    int64_t d = 0;
    assert_true(sdx_size_mul(1u << 16, 1u << 16, &s) && s == UINT64_C(1) << 32);
    assert_false(sdx_size_mul(SIZE_MAX / 2, 3, &s));
    assert_true(sdx_size_add(SIZE_MAX - 1, 1, &s) && s == SIZE_MAX);
    assert_false(sdx_size_add(SIZE_MAX, 1, &s));
    assert_true(sdx_dim_mul(-3, 4, &d) && d == -12);
    assert_false(sdx_dim_mul(INT64_MAX, 2, &d));
}

/* A freed block serves the next allocation of about its size, makes room for what else is asked for, and goes with the
 * owner; `used` does not count it. */
static void blocks_are_kept(void **state) {
    (void)state;
    enum { LARGE = 1 << 20 };
    sdx_memory *memory = NULL;
    assert_int_equal(sdx_memory_create(5 * LARGE, NULL, &memory), SDX_OK);
    void *first = sdx_memory_alloc(memory, LARGE, NULL), *second = sdx_memory_alloc(memory, 2 * LARGE, NULL);
    sdx_memory_free(memory, first);
    assert_int_equal(atomic_load(&memory->kept), 0); /* not asked to */
    first = sdx_memory_alloc(memory, LARGE, NULL);
    sdx_memory_keep(memory);
    const size_t peak = sdx_memory_peak(memory);
    sdx_memory_free(memory, first);
    sdx_memory_free(memory, second);
    assert_int_equal(sdx_memory_used(memory), 0);
    assert_true(atomic_load(&memory->kept) >= 3 * LARGE);
    assert_ptr_equal(sdx_memory_alloc(memory, 2 * LARGE - 1000, NULL), second);
    assert_ptr_equal(sdx_memory_alloc(memory, LARGE, NULL), first);
    assert_int_equal(sdx_memory_peak(memory), peak);
    sdx_memory_free(memory, first);
    sdx_memory_free(memory, second);
    void *other = sdx_memory_alloc(memory, 4 * LARGE, NULL); /* within the limit only without what is kept */
    assert_non_null(other);
    assert_int_equal(atomic_load(&memory->kept), 0);
    sdx_memory_free(memory, other);
    second = sdx_memory_alloc(memory, LARGE, NULL);
    assert_non_null(second);
    sdx_memory_drop(memory);
    assert_int_equal(atomic_load(&memory->kept), 0);
    sdx_memory_free(memory, second);
}

static void kept_blocks_are_few(void **state) {
    (void)state;
    enum { MANY = SDX_MEMORY_KEPT + 9, LARGE = 128 << 10 };
    sdx_memory *memory = NULL;
    void *block[MANY];
    assert_int_equal(sdx_memory_create(0, NULL, &memory), SDX_OK);
    sdx_memory_keep(memory);
    for (int k = 0; k < MANY; k++) assert_non_null(block[k] = sdx_memory_alloc(memory, LARGE, NULL));
    for (int k = 0; k < MANY; k++) sdx_memory_free(memory, block[k]);
    assert_int_equal(memory->n_kept, SDX_MEMORY_KEPT);
    assert_int_equal(sdx_memory_used(memory), 0);
    sdx_memory_drop(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_accounted),   cmocka_unit_test(limits_hold),
        cmocka_unit_test(failures_are_injected),  cmocka_unit_test(records_outlive_their_owner),
        cmocka_unit_test(blocks_are_kept),        cmocka_unit_test(kept_blocks_are_few),
        cmocka_unit_test(arenas_grow_and_end),    cmocka_unit_test(arena_sizes_around_a_block),
        cmocka_unit_test(threads_share_a_record), cmocka_unit_test(checked_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
