/* SPDX-License-Identifier: Apache-2.0
 * Inside the harness: values.c turns texts into tensors and compares, model.c builds and runs, modes.c decides what
 * to run, faults.c makes allocations fail. */
#ifndef SDX_TESTS_OPS_HARNESS_H
#define SDX_TESTS_OPS_HARNESS_H
#include "ops/registry.h"
#include "tests/ops/case.h"

enum { MAX_ARGS = 16, MAX_DIMS = 16, TEXT = 256 };

/* One dtype for each type variable of the row, one size for each letter of the case's dims. */
typedef struct setting {
    const sdx_row *row;
    sdx_dtype dtype[8]; /* per row->variables */
    int n_letters;
    struct {
        char name[16];
        int64_t low, high, value;
    } letter[MAX_DIMS];
    uint64_t seed;
} setting;

typedef struct arg {
    bool present, constant;
    sdx_ref ref;      /* what the reference works on: the rounded values */
    sdx_value *value; /* what the model gets */
} arg;

/* All memory of one run of the harness; freed at once. */
typedef struct stage {
    const sdx_case *a_case;
    setting set;
    sdx_memory memory;
    sdx_arena arena;
    int n_in, n_out;
    arg in[MAX_ARGS];
    sdx_ref want[MAX_ARGS];
    int n_attrs;
    sdx_attr attrs[MAX_ARGS];
    char label[TEXT]; /* "softmax_axis0 T=f16 N=3 seed=7" for messages */
} stage;

/* values.c */
bool stage_open(stage *s, const sdx_case *c, const setting *set);
void stage_close(stage *s);
double decode(sdx_dtype dtype, const void *data, int64_t index);
void encode(sdx_dtype dtype, void *data, int64_t index, double value);
bool parse_tensor(stage *s, const char **text, arg *out);
void ref_shape(stage *s, sdx_ref *ref, int rank, const int64_t *dims);
/* Prints the first difference and returns false. */
bool compare(const stage *s, const char *mode, int k, const sdx_ref *want, const sdx_value *got);
bool same_bits(const stage *s, const char *mode, int k, const sdx_value *want, const sdx_value *got);

/* attributes.c */
bool parse_attributes(stage *s);

/* model.c */
typedef struct how {
    int threads;
    bool unknown_shapes; /* inputs are declared without a shape */
    bool unknown_dims;   /* inputs are declared by their rank alone */
    bool constants;      /* every input is an initializer */
    int chain;           /* >= 0: a second node reads the first one's output as this input */
    bool again;          /* the results are those of a second run of the session */
    sdx_optimise optimise;
    bool portable;      /* internal operators are written out as standard ones; UNSUPPORTED where one cannot be */
    sdx_value *weights; /* not NULL: out[k] is d(sum of weights * output 0) / d(input k), where differentiable() */
} how;
/* Builds, loads, runs once. out[] get one reference each (NULL where not asked for). */
sdx_status run_model(const stage *s, const how *h, sdx_value *const *override, sdx_value **out, sdx_error *error);

/* gradient.c: what the operator's gradient emits against central differences, in f64 */
bool differentiable(const arg *in);
int loss_output(const stage *s); /* the first that is asked for */
bool gradient_applies(const sdx_case *c, const sdx_op *op, const sdx_op_version *version);
bool check_gradient(const stage *s, sdx_value *const *first);

/* faults.c: the n-th allocation from now fails (1 = the next); 0 = none. Returns whether it has struck. */
void faults_arm(long n);
bool faults_struck(void);

/* random numbers of the harness: its own, so that a failure can be repeated from the printed seed */
uint64_t next_random(uint64_t *state);
double next_uniform(uint64_t *state);

SDX_PRINTF(1, 2) void say(const char *format, ...);

#endif
