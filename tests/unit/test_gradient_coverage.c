/* SPDX-License-Identifier: Apache-2.0
 * Every operator of a standard domain has a gradient or says that there never is one, but for those listed here with
 * the reason. Internal ones come from machine passes, which training graphs do not see, or are parts of gradients. */
#include "ops/registry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *name, *reason;
} without[] = {
    {"Gradient", "expanded before differentiation; its pieces are differentiated"},
};

static bool listed(const char *name) {
    for (size_t k = 0; k < sizeof without / sizeof without[0]; k++)
        if (strcmp(without[k].name, name) == 0) return true;
    return false;
}

static void test_every_operator(void **state) {
    (void)state;
    int missing = 0;
    for (size_t k = 0; k < sdx_ops_count; k++) {
        const sdx_op *op = sdx_ops[k];
        if (op->grad || (op->flags & SDX_OP_INTERNAL) || listed(op->name)) continue;
        print_error("%s.%s has no gradient and is not listed\n", op->domain, op->name);
        missing++;
    }
    assert_int_equal(missing, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_operator)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
