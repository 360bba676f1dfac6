/* SPDX-License-Identifier: Apache-2.0
 * Windows as a product sees them: outputs are columns, and those side by side read inputs that are a stride apart. */
#include "ops/nn/window.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

bool sdx_window_is_pointwise(const sdx_window *w) {
    for (int d = 0; d < w->rank; d++)
        if (w->kernel[d] != 1 || w->stride[d] != 1 || w->begin[d] != 0 || w->end[d] != 0) return false;
    return true;
}

int sdx_runs_find(const sdx_window *w, int64_t n, int64_t columns, sdx_run *runs) {
    int count = 0;
    for (int64_t j = 0; j < columns;) {
        sdx_run *r = &runs[count++];
        int64_t rest = n + j;
        for (int d = w->rank - 1; d >= 0; d--) {
            int64_t o = rest % w->out[d];
            rest /= w->out[d];
            r->at[d] = o * w->stride[d] - w->begin[d];
            if (d == w->rank - 1) r->n = least(w->out[d] - o, columns - j);
        }
        r->column = j;
        j += r->n;
    }
    return count;
}

int64_t sdx_run_place(const sdx_window *w, const sdx_run *r, int64_t tap, int64_t *left, int64_t *inside) {
    int64_t offset = 0, step = 1;
    *left = r->n, *inside = 0;
    for (int d = w->rank - 1; d >= 0; step *= w->in[d], d--) {
        int64_t at = r->at[d] + tap % w->kernel[d] * w->dilation[d];
        tap /= w->kernel[d];
        if (d < w->rank - 1) {
            if (at < 0 || at >= w->in[d]) return *left = r->n, *inside = 0, 0;
            offset += at * step;
            continue;
        }
        const int64_t stride = w->stride[d];
        int64_t first = at < 0 ? ceil_div(-at, stride) : 0, last = at < w->in[d] ? (w->in[d] - 1 - at) / stride + 1 : 0;
        first = least(first, r->n), last = least(last, r->n);
        if (last <= first) return 0;
        *left = first, *inside = last - first;
        offset += at + first * stride;
    }
    return offset;
}
