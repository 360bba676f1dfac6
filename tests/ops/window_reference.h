/* SPDX-License-Identifier: Apache-2.0
 * Sliding windows in double precision, one output at a time, for the references of convolutions and pools. */
#ifndef SDX_TESTS_OPS_WINDOW_REFERENCE_H
#define SDX_TESTS_OPS_WINDOW_REFERENCE_H
#include "tests/ops/case.h"
#include <string.h>

typedef struct ref_window {
    int rank;
    int64_t in[6], out[6], kernel[6], stride[6], dilation[6], begin[6], end[6];
} ref_window;

/* From the case's attributes; x is [N, C, in...]. */
static inline ref_window ref_window_of(const sdx_case_run *run, const sdx_ref *x, const int64_t *kernel) {
    ref_window w = {.rank = x->rank - 2};
    int64_t pads[12] = {0};
    const char *mode = sdx_case_string(run, "auto_pad", "NOTSET");
    for (int d = 0; d < w.rank; d++) w.stride[d] = w.dilation[d] = 1, w.in[d] = x->dim[d + 2], w.kernel[d] = kernel[d];
    sdx_case_ints(run, "strides", w.stride, 6);
    sdx_case_ints(run, "dilations", w.dilation, 6);
    sdx_case_ints(run, "pads", pads, 12);
    for (int d = 0; d < w.rank; d++) {
        const int64_t extent = (w.kernel[d] - 1) * w.dilation[d] + 1;
        w.begin[d] = pads[d], w.end[d] = pads[w.rank + d];
        if (strncmp(mode, "SAME", 4) == 0) {
            w.out[d] = (w.in[d] + w.stride[d] - 1) / w.stride[d];
            int64_t total = (w.out[d] - 1) * w.stride[d] + extent - w.in[d];
            total = total < 0 ? 0 : total;
            w.begin[d] = strcmp(mode, "SAME_UPPER") == 0 ? total / 2 : (total + 1) / 2;
            w.end[d] = total - w.begin[d];
            continue;
        }
        const int64_t room = w.in[d] + w.begin[d] + w.end[d] - extent;
        w.out[d] = room / w.stride[d] + 1;
        if (room >= 0 && sdx_case_int(run, "ceil_mode", 0) && room % w.stride[d] &&
            w.out[d] * w.stride[d] < w.in[d] + w.begin[d])
            w.out[d]++;
    }
    return w;
}

static inline int64_t ref_count(const int64_t *dims, int rank) {
    int64_t n = 1;
    for (int d = 0; d < rank; d++) n *= dims[d];
    return n;
}

/* The input element of a plane under kernel place `tap` of output `o`; -1 in the padding, -2 past it. */
static inline int64_t ref_place(const ref_window *w, int64_t o, int64_t tap) {
    int64_t at[6], flat = 0;
    bool pad = false, past = false;
    for (int d = w->rank - 1; d >= 0; d--) {
        at[d] = o % w->out[d] * w->stride[d] - w->begin[d] + tap % w->kernel[d] * w->dilation[d];
        o /= w->out[d], tap /= w->kernel[d];
        pad = pad || at[d] < 0 || at[d] >= w->in[d];
        past = past || at[d] >= w->in[d] + w->end[d];
    }
    if (past) return -2;
    for (int d = 0; d < w->rank && !pad; d++) flat = flat * w->in[d] + at[d];
    return pad ? -1 : flat;
}

#endif
