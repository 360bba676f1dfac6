/* SPDX-License-Identifier: Apache-2.0
 * Declarative operator cases: one entry says what an operator must do, the harness runs it in many modes through the
 * real pipeline. README.md has the grammar of the texts and the list of modes. */
#ifndef SDX_TESTS_OPS_CASE_H
#define SDX_TESTS_OPS_CASE_H
#include "runtime/base/tensor.h"

/* What a reference sees: a dense tensor, every element as a double. Strings: `s` instead of `v`. */
typedef struct sdx_ref {
    bool present;
    sdx_dtype dtype;
    int rank;
    int64_t dim[SDX_MAX_RANK];
    int64_t count;
    double *v;
    sdx_string *s;
} sdx_ref;

typedef struct sdx_case_run sdx_case_run;
struct sdx_case_run {
    int n_in, n_out;
    const sdx_ref *in;
    sdx_ref *out;        /* present: asked for. The reference gives shape and values by sdx_case_output */
    const void *context; /* the harness's */
};

typedef void (*sdx_reference)(sdx_case_run *run);

enum {
    SDX_CASE_SHAPE_ONLY = 1 << 0, /* values are random or implementation-defined: only shapes are compared */
    SDX_CASE_SLOW = 1 << 1,       /* skip the modes that run many times */
    SDX_CASE_KINKS = 1 << 2,      /* values lie where the derivative jumps: no central differences */
    SDX_CASE_GRADIENT = 1 << 3    /* nothing but central differences; needs no reference */
};

typedef struct sdx_case {
    const char *name, *domain, *op; /* domain NULL: ai.onnx */
    int opset;
    const char *attributes;  /* "axis:int=1 perm:ints=[0,2,1] mode:string=linear value:tensor=f32[1]={2}" */
    const char *inputs;      /* "T[2,3]=normal - i64[1]={1}" ; '-' absent; leading '!': an initializer in every mode */
    const char *outputs;     /* "Y - mask" : '-' not asked for; NULL: the first alone */
    const char *dims;        /* "N=1..4 C=2..9": letters used in shapes take random values, many times */
    const char *types;       /* "T=f32|f64": fewer than the row allows; NULL: all of the row */
    sdx_reference reference; /* one of reference, expect, fails */
    const char *expect;      /* "f32[2]={1,2} bool[]={1}", one for each output asked for */
    sdx_status fails;        /* loading or running must fail with this status ... */
    const char *says;        /* ... and these words in its message */
    double rtol, atol;       /* for f32; 0 means 1e-5 and 1e-6. The rounding of narrower types is added */
    unsigned flags;
} sdx_case;

/* Each program defines these. */
extern const sdx_case sdx_cases[];
extern const size_t sdx_cases_count;
#define SDX_CASES_END const size_t sdx_cases_count = sizeof sdx_cases / sizeof sdx_cases[0];

/* ---- for references ---------------------------------------------------------------------------------------------- */

/* Gives output k its shape; returns its values, zeroed (also for outputs nobody asked for: scratch, then). */
double *sdx_case_output(sdx_case_run *run, int k, int rank, const int64_t *dims);
double *sdx_case_output_like(sdx_case_run *run, int k, int in);
/* The case's attribute, else `otherwise`. */
int64_t sdx_case_int(const sdx_case_run *run, const char *name, int64_t otherwise);
double sdx_case_float(const sdx_case_run *run, const char *name, double otherwise);
const char *sdx_case_string(const sdx_case_run *run, const char *name, const char *otherwise);
/* Copies at most `most` entries; returns how many there are, -1 when the attribute is not given. */
int sdx_case_ints(const sdx_case_run *run, const char *name, int64_t *values, int most);
/* Entry k of a list; NULL, or `otherwise`, beyond its end and when the attribute is not given. */
const char *sdx_case_strings(const sdx_case_run *run, const char *name, int k);
double sdx_case_floats(const sdx_case_run *run, const char *name, int k, double otherwise);
/* Position in `in`, which is broadcast to `out`, of out's element `index`. */
int64_t sdx_ref_broadcast(const sdx_ref *in, const sdx_ref *out, int64_t index);
/* Product of dims [from, to). */
int64_t sdx_ref_extent(const sdx_ref *ref, int from, int to);

#endif
