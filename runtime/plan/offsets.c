/* SPDX-License-Identifier: Apache-2.0
 * Where in the working memory each block lies: largest first, each into the smallest gap left by the blocks that live
 * at the same time (best fit). That compares all with all; very many are placed in the order of their birth instead,
 * so that each meets the living only. */
#include "runtime/plan/build.h"
#include <stdlib.h>
#include <string.h>

static int by_size(const void *a, const void *b) {
    const sdx_block *x = *(sdx_block *const *)a, *y = *(sdx_block *const *)b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int by_birth(const void *a, const void *b) {
    const sdx_block *x = *(sdx_block *const *)a, *y = *(sdx_block *const *)b;
    return x->first != y->first ? x->first - y->first : by_size(a, b);
}

static bool together(const sdx_block *a, const sdx_block *b) { return a->first <= b->last && b->first <= a->last; }

/* `placed` is sorted by offset. False on overflow. */
static bool choose(sdx_block *block, sdx_block *const *placed, int n) {
    size_t end = 0, best_gap = SIZE_MAX;
    for (int i = 0; i < n; i++) {
        if (!together(block, placed[i])) continue;
        size_t gap = placed[i]->offset > end ? placed[i]->offset - end : 0;
        if (gap >= block->size && gap < best_gap) {
            best_gap = gap;
            block->offset = end;
        }
        size_t after = placed[i]->offset + placed[i]->size;
        if (after > end) end = after;
    }
    if (best_gap == SIZE_MAX) block->offset = end;
    return block->offset <= PTRDIFF_MAX - block->size;
}

static void insert(sdx_block **placed, int n, sdx_block *block) {
    int low = 0, high = n;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (placed[middle]->offset <= block->offset)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(placed + low + 1, placed + low, (size_t)(n - low) * sizeof *placed);
    placed[low] = block;
}

static int bury(sdx_block **placed, int n, int now) {
    int living = 0;
    for (int i = 0; i < n; i++)
        if (placed[i]->last >= now) placed[living++] = placed[i];
    return living;
}

sdx_status sdx_build_offsets(sdx_block *blocks, int n, sdx_arena *temp, sdx_error *error, size_t *total) {
    sdx_block **order = SDX_NEW_ARRAY(temp, sdx_block *, n, error);
    sdx_block **placed = SDX_NEW_ARRAY(temp, sdx_block *, n, error);
    *total = 0;
    if (!order || !placed) return error->status;
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (blocks[i].place != SDX_AT_ARENA) continue;
        if (blocks[i].size > PTRDIFF_MAX - SDX_ALIGNMENT)
            return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", blocks[i].size);
        blocks[i].size = (blocks[i].size + SDX_ALIGNMENT - 1) / SDX_ALIGNMENT * SDX_ALIGNMENT;
        order[m++] = &blocks[i];
    }
    bool many = m > SDX_MANY_BLOCKS;
    if (m) qsort(order, (size_t)m, sizeof *order, many ? by_birth : by_size);
    for (int i = 0, living = 0; i < m; i++) {
        if (many) living = bury(placed, living, order[i]->first);
        if (!choose(order[i], placed, living))
            return sdx_fail(error, SDX_OUT_OF_MEMORY, "the working memory would exceed %td bytes", PTRDIFF_MAX);
        insert(placed, living++, order[i]);
        if (order[i]->offset + order[i]->size > *total) *total = order[i]->offset + order[i]->size;
    }
    return SDX_OK;
}
