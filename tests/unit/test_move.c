/* SPDX-License-Identifier: Apache-2.0
 * The movement engine against one element at a time: random boxes, strides and element sizes, one and many threads. */
#include "ops/kernels/kernels.h"
#include "ops/move.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROOM = 1 << 18, CASES = 3000 };

static uint32_t random_state = 12345;

static int64_t draw(int64_t n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (int64_t)(random_state >> 8) % n;
}

static void naive(const sdx_move *move, char *target) {
    int64_t count = sdx_dims_product(move->dim, 0, move->rank);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, from = 0, to = 0;
        for (int d = move->rank - 1; d >= 0; d--) {
            int64_t at = rest % move->dim[d];
            rest /= move->dim[d];
            from += at * move->from[d];
            to += at * move->to[d];
        }
        memcpy(target + (size_t)to * move->size, (const char *)move->source + from * (int64_t)move->size, move->size);
    }
}

/* A dense target; a source that is a permuted, repeated, reversed or stepped view of at most ROOM bytes. */
static void draw_case(sdx_move *move, const char *source) {
    static const size_t sizes[] = {1, 2, 4, 8, 16};
    int64_t stride = 1, offset = 0, count = 1;
    bool stepped = false;
    int order[8];
    *move = (sdx_move){.size = sizes[draw(5)], .rank = (int)draw(6)};
    for (int d = 0; d < move->rank; d++) {
        move->dim[d] = count > 500 ? 1 : count < 20 && draw(9) == 0 ? draw(90) : 1 + draw(7);
        count *= move->dim[d] ? move->dim[d] : 1;
        order[d] = d;
    }
    for (int d = move->rank - 1; d > 0; d--) {
        int other = (int)draw(d + 1), kept = order[d];
        order[d] = order[other];
        order[other] = kept;
    }
    for (int k = 0; k < move->rank; k++) {
        int d = order[k];
        int64_t kind = draw(8), step = kind == 0 && !stepped ? 2 : 1;
        stepped = stepped || kind == 0;
        if (kind == 1) continue;
        move->from[d] = stride * step;
        stride *= (move->dim[d] ? move->dim[d] : 1) * step;
        if (kind != 2 || move->dim[d] == 0) continue;
        offset += move->from[d] * (move->dim[d] - 1);
        move->from[d] = -move->from[d];
    }
    sdx_strides(move->rank, move->dim, move->to);
    move->source = source + (size_t)offset * move->size;
}

static void moves_like_one_at_a_time(void **state) {
    (void)state;
    sdx_error error = {0};
    sdx_memory memory;
    sdx_stop stop = {0};
    sdx_pool *pool = NULL;
    sdx_memory_init(&memory, 0);
    assert_int_equal(sdx_pool_create(3, &memory, &error, &pool), SDX_OK);
    char *source = malloc(ROOM), *expected = malloc(ROOM), *found = malloc(ROOM);
    if (!source || !expected || !found) fail_msg("no memory");
    for (int i = 0; i < ROOM; i++) source[i] = (char)draw(256);
    for (int i = 0; i < CASES; i++) {
        sdx_move move;
        uint32_t seed = random_state;
        draw_case(&move, source);
        memset(expected, 0, ROOM);
        memset(found, 0, ROOM);
        naive(&move, expected);
        move.target = found;
        sdx_compute compute = {
            .error = &error, .pool = i % 2 ? pool : NULL, .kernels = sdx_kernels_get(), .stop = &stop};
        assert_int_equal(sdx_move_run(&compute, &move), SDX_OK);
        if (memcmp(expected, found, ROOM) != 0)
            fail_msg("case %d (seed %u): size %zu, rank %d differs", i, seed, move.size, move.rank);
    }
    free(source);
    free(expected);
    free(found);
    sdx_pool_destroy(pool);
}

static void big_boxes(void **state) {
    (void)state;
    static const int64_t shapes[][3] = {{37, 211, 5}, {64, 64, 64}, {1, 400, 333}, {3, 7, 9000}};
    static const int orders[][3] = {{0, 2, 1}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}};
    sdx_error error = {0};
    sdx_stop stop = {0};
    sdx_compute compute = {.error = &error, .kernels = sdx_kernels_get(), .stop = &stop};
    char *source = malloc(16 * ROOM), *expected = malloc(16 * ROOM), *found = malloc(16 * ROOM);
    if (!source || !expected || !found) fail_msg("no memory");
    for (int i = 0; i < 16 * ROOM; i++) source[i] = (char)draw(256);
    for (size_t s = 0; s < 4; s++)
        for (size_t o = 0; o < 4; o++)
            for (size_t size = 1; size <= 8; size *= 2) {
                sdx_move move = {.size = size, .rank = 3, .source = source, .target = found};
                int64_t stride[3];
                sdx_strides(3, shapes[s], stride);
                for (int d = 0; d < 3; d++) {
                    move.dim[d] = shapes[s][orders[o][d]];
                    move.from[d] = stride[orders[o][d]];
                }
                sdx_strides(3, move.dim, move.to);
                naive(&move, expected);
                assert_int_equal(sdx_move_run(&compute, &move), SDX_OK);
                size_t bytes = (size_t)sdx_dims_product(move.dim, 0, 3) * size;
                if (memcmp(expected, found, bytes) != 0) fail_msg("shape %zu, order %zu, size %zu differs", s, o, size);
            }
    free(source);
    free(expected);
    free(found);
}

static void indices_and_axes(void **state) {
    (void)state;
    sdx_error error = {0};
    int64_t values[3] = {0, -4, 4}, axes[2] = {-1, 2};
    sdx_tensor tensor;
    assert_int_equal(sdx_tensor_make(&tensor, SDX_I64, 1, (int64_t[]){3}, values, &error), SDX_OK);
    assert_int_equal(sdx_check_indices(&error, "indices", &tensor, 4), SDX_VALUE);
    assert_string_equal(error.message, "entry 2 of input 'indices' is 4; it must be in [-4, 3]");
    error = (sdx_error){0};
    assert_int_equal(sdx_check_indices(&error, "indices", &tensor, 5), SDX_OK);
    assert_int_equal(sdx_check_axes(&error, "axes", axes, 2, 3), SDX_VALUE);
    assert_string_equal(error.message, "'axes' names axis 2 twice");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_like_one_at_a_time),
        cmocka_unit_test(big_boxes),
        cmocka_unit_test(indices_and_axes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
