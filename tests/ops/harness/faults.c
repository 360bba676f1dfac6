/* SPDX-License-Identifier: Apache-2.0
 * The linker sends the library's allocations here (--wrap), so that each can be made to fail in its turn. */
#include "tests/ops/harness/harness.h"
#include <stdlib.h>

static atomic_long countdown;
static atomic_bool struck;

void faults_arm(long n) {
    atomic_store(&struck, false);
    atomic_store(&countdown, n);
}

bool faults_struck(void) { return atomic_load(&struck); }

static bool fails(void) {
    if (atomic_load(&countdown) <= 0 || atomic_fetch_sub(&countdown, 1) != 1) return false;
    atomic_store(&struck, true);
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *pointer, size_t size) { return fails() ? NULL : __real_realloc(pointer, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}
int __wrap_posix_memalign(void **out, size_t alignment, size_t size) {
    return fails() ? 12 : __real_posix_memalign(out, alignment, size);
}
