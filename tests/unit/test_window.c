/* SPDX-License-Identifier: Apache-2.0
 * Sizes and padding of sliding windows against a count of the windows that fit, and every refusal by its words. */
#include "ops/nn/window.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static sdx_status make(sdx_window_attrs attrs, int64_t in, int64_t kernel, bool pool, sdx_window *w, sdx_error *error) {
    *error = (sdx_error){0};
    return sdx_window_make(error, &attrs, 1, &in, &kernel, pool, w);
}

/* Windows one by one: the last may hang over under ceil_mode, but must start before the end padding. */
static int64_t count_windows(int64_t in, int64_t begin, int64_t end, int64_t extent, int64_t stride, bool ceil_mode) {
    int64_t n = 0;
    for (int64_t at = 0;; at += stride, n++) {
        bool fits = at + extent <= in + begin + end;
        if (!fits && (!ceil_mode || at >= in + begin || at + extent - stride >= in + begin + end)) return n;
    }
}

static void explicit_pads(void **unused) {
    (void)unused;
    sdx_window w;
    sdx_error error;
    for (int64_t in = 1; in < 12; in++)
        for (int64_t kernel = 1; kernel < 5; kernel++)
            for (int64_t stride = 1; stride < 4; stride++)
                for (int64_t dilation = 1; dilation < 3; dilation++)
                    for (int64_t pads = 0; pads < 9; pads++)
                        for (int ceil_mode = 0; ceil_mode < 2; ceil_mode++) {
                            int64_t both[2] = {pads % 3, pads / 3}, extent = (kernel - 1) * dilation + 1;
                            sdx_window_attrs attrs = {.ceil_mode = ceil_mode,
                                                      .strides = {&stride, 1},
                                                      .dilations = {&dilation, 1},
                                                      .pads = {both, 2}};
                            sdx_status status = make(attrs, in, kernel, false, &w, &error);
                            int64_t want = count_windows(in, both[0], both[1], extent, stride, ceil_mode);
                            assert_int_equal(status, want > 0 ? SDX_OK : SDX_SHAPE);
                            if (status) continue;
                            if (w.out[0] != want)
                                fail_msg("in %d kernel %d stride %d dilation %d pads %d %d ceil %d: %d, not %d",
                                         (int)in, (int)kernel, (int)stride, (int)dilation, (int)both[0], (int)both[1],
                                         ceil_mode, (int)w.out[0], (int)want);
                        }
}

static void same_and_valid(void **unused) {
    (void)unused;
    sdx_window w;
    sdx_error error;
    for (int64_t in = 1; in < 20; in++)
        for (int64_t kernel = 1; kernel < 6; kernel++)
            for (int64_t stride = 1; stride < 5; stride++)
                for (int mode = SDX_PAD_SAME_UPPER; mode <= SDX_PAD_VALID; mode++) {
                    sdx_window_attrs attrs = {.auto_pad = (sdx_auto_pad)mode, .strides = {&stride, 1}};
                    sdx_status status = make(attrs, in, kernel, true, &w, &error);
                    if (mode == SDX_PAD_VALID) {
                        assert_int_equal(status, in < kernel ? SDX_SHAPE : SDX_OK);
                        if (!status) assert_int_equal(w.out[0], (in - kernel) / stride + 1);
                        continue;
                    }
                    assert_int_equal(status, SDX_OK);
                    assert_int_equal(w.out[0], (in + stride - 1) / stride);
                    assert_in_range(mode == SDX_PAD_SAME_UPPER ? w.end[0] - w.begin[0] : w.begin[0] - w.end[0], 0, 1);
                    assert_true((w.out[0] - 1) * stride + kernel <= in + w.begin[0] + w.end[0]);
                }
}

static void ranges(void **unused) {
    (void)unused;
    sdx_window w;
    sdx_error error;
    int64_t stride = 2, pads[2] = {3, 1};
    sdx_window_attrs attrs = {.strides = {&stride, 1}, .pads = {pads, 2}};
    assert_int_equal(make(attrs, 7, 5, false, &w, &error), SDX_OK);
    for (int64_t k = 0; k < 5; k++) {
        int64_t first = 0, last = 0;
        sdx_window_inside(&w, 0, k, &first, &last);
        for (int64_t o = 0; o < w.out[0]; o++) {
            int64_t at = o * 2 - 3 + k;
            assert_int_equal(o >= first && o < last, at >= 0 && at < 7);
        }
    }
}

static void unknown_length(void **unused) {
    (void)unused;
    sdx_window w;
    sdx_error error;
    assert_int_equal(make((sdx_window_attrs){.auto_pad = SDX_PAD_NOTSET}, -1, 3, false, &w, &error), SDX_OK);
    assert_int_equal(w.out[0], -1);
}

static void refuses(sdx_window_attrs attrs, int64_t kernel, bool pool, sdx_status status, const char *words) {
    sdx_window w;
    sdx_error error;
    assert_int_equal(make(attrs, 5, kernel, pool, &w, &error), status);
    if (!strstr(error.message, words)) fail_msg("'%s' does not say '%s'", error.message, words);
}

static void refusals(void **unused) {
    (void)unused;
    const int64_t zero = 0, minus = -1, huge = INT64_MAX, two[2] = {1, 1}, deep[2] = {2, 0}, below[2] = {-1, 0};
    refuses((sdx_window_attrs){.strides = {&zero, 1}}, 2, false, SDX_VALUE, "attribute 'strides' holds 0");
    refuses((sdx_window_attrs){.strides = {&huge, 1}}, 2, false, SDX_VALUE, "attribute 'strides' holds 9223");
    refuses((sdx_window_attrs){.strides = {two, 2}}, 2, false, SDX_SHAPE, "attribute 'strides' has 2 entries");
    refuses((sdx_window_attrs){.dilations = {&minus, 1}}, 2, false, SDX_VALUE, "attribute 'dilations' holds -1");
    refuses((sdx_window_attrs){.pads = {&zero, 1}}, 2, false, SDX_SHAPE, "attribute 'pads' has 1 entries");
    refuses((sdx_window_attrs){.pads = {below, 2}}, 2, false, SDX_VALUE, "attribute 'pads' holds -1");
    refuses((sdx_window_attrs){.pads = {deep, 2}}, 2, true, SDX_VALUE, "it must be below the kernel's 2");
    refuses((sdx_window_attrs){.auto_pad = SDX_PAD_NOTSET}, 0, false, SDX_VALUE, "'kernel_shape' holds 0");
    refuses((sdx_window_attrs){.auto_pad = SDX_PAD_NOTSET}, 6, false, SDX_SHAPE, "the window needs 6");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(explicit_pads), cmocka_unit_test(same_and_valid),
                                       cmocka_unit_test(ranges), cmocka_unit_test(unknown_length),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
