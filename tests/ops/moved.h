/* SPDX-License-Identifier: Apache-2.0
 * References of operators that move elements: for each place of the output, which element of an input it holds. Works
 * on numbers and strings alike. */
#ifndef SDX_TESTS_OPS_MOVED_H
#define SDX_TESTS_OPS_MOVED_H
#include "tests/ops/case.h"

/* Element `from` of input `in` (< 0: nothing, zero stays) to element `to` of output k. */
static inline void put(sdx_case_run *run, int k, int64_t to, int in, int64_t from) {
    if (from < 0) return;
    if (run->in[in].dtype == SDX_STRING)
        run->out[k].s[to] = run->in[in].s[from];
    else
        run->out[k].v[to] = run->in[in].v[from];
}

/* Coordinates of element i. */
static inline void spread(int rank, const int64_t *dim, int64_t i, int64_t *at) {
    for (int d = rank - 1; d >= 0; d--) {
        at[d] = i % dim[d];
        i /= dim[d];
    }
}

static inline int64_t place(int rank, const int64_t *dim, const int64_t *at) {
    int64_t i = 0;
    for (int d = 0; d < rank; d++) i = i * dim[d] + at[d];
    return i;
}

/* Output 0 of this shape; source(run, at) says where in input 0 its element at these coordinates comes from. */
typedef int64_t (*source_fn)(const sdx_case_run *run, const int64_t *at);
static inline void moved(sdx_case_run *run, int rank, const int64_t *dim, source_fn source) {
    int64_t at[SDX_MAX_RANK];
    sdx_case_output(run, 0, rank, dim);
    for (int64_t i = 0; i < run->out[0].count; i++) {
        spread(rank, dim, i, at);
        put(run, 0, i, 0, source(run, at));
    }
}

/* axis of input 0 from the attribute */
static inline int axis_of(const sdx_case_run *run, int64_t otherwise) {
    int64_t axis = sdx_case_int(run, "axis", otherwise);
    return (int)(axis < 0 ? axis + run->in[0].rank : axis);
}

#endif
