/* SPDX-License-Identifier: Apache-2.0
 * Operators of ai.onnx.ml whose values are tensors. Maps are in tests/unit/test_traditionalml.c. */
#include "tests/ops/case.h"
#include <math.h>
#include <stddef.h>

#define ML(title, operator, version, ...)                                                                              \
    { .name = title, .domain = "ai.onnx.ml", .op = operator, .opset = version, __VA_ARGS__ }
#define REFUSED(title, operator, version, attrs, in, status, words)                                                    \
    ML(title, operator, version, .attributes = attrs, .inputs = in, .fails = status, .says = words)

static int64_t columns(const sdx_ref *x) { return x->dim[x->rank - 1]; }

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void binarizer(sdx_case_run *run) {
    double *y = sdx_case_output_like(run, 0, 0), threshold = sdx_case_float(run, "threshold", 0);
    for (int64_t k = 0; k < run->in[0].count; k++) y[k] = run->in[0].v[k] > threshold;
}

static const double offsets[] = {1, -2, 0.5}, scales[] = {2, 0.25, -1};
#define SCALER "offset:floats=[1,-2,0.5] scale:floats=[2,0.25,-1]"

static void scaler(sdx_case_run *run) {
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < run->in[0].count; k++) y[k] = (run->in[0].v[k] - offsets[k % 3]) * scales[k % 3];
}

static void scaler_one(sdx_case_run *run) {
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < run->in[0].count; k++) y[k] = (run->in[0].v[k] - 3) * 0.5;
}

static void normalizer(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    const char *norm = sdx_case_string(run, "norm", "MAX");
    double *y = sdx_case_output_like(run, 0, 0);
    const int64_t n = columns(x);
    for (int64_t row = 0; row * n < x->count; row++) {
        double divisor = norm[0] == 'M' ? -INFINITY : 0;
        for (int64_t c = 0; c < n; c++) {
            const double v = x->v[row * n + c];
            divisor = norm[0] == 'M' ? fmax(divisor, v) : divisor + (norm[1] == '1' ? fabs(v) : v * v);
        }
        if (norm[1] == '2') divisor = sqrt(divisor);
        for (int64_t c = 0; c < n; c++) y[row * n + c] = x->v[row * n + c] / (divisor == 0 ? 1 : divisor);
    }
}

static void imputer(sdx_case_run *run) {
    static const double fresh[] = {7, 8, 9};
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < run->in[0].count; k++) y[k] = run->in[0].v[k] == 2 ? fresh[k % 3] : run->in[0].v[k];
}

static void extractor(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    const int64_t n = columns(x), rows = x->dim[0], dims[] = {rows, 3};
    double *z = sdx_case_output(run, 0, 2, dims);
    for (int64_t row = 0; row < rows; row++)
        for (int k = 0; k < 3; k++) z[row * 3 + k] = x->v[row * n + (int64_t)run->in[1].v[k]];
}

static void one_hot(sdx_case_run *run) {
    static const double categories[] = {-1, 0, 2, 5};
    const sdx_ref *x = &run->in[0];
    const int64_t dims[] = {x->dim[0], x->dim[1], 4};
    double *y = sdx_case_output(run, 0, 3, dims);
    for (int64_t k = 0; k < x->count; k++)
        for (int c = 0; c < 4; c++) y[k * 4 + c] = trunc(x->v[k]) == categories[c];
}

static void vectorizer(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 5};
    double *y = sdx_case_output(run, 0, 2, dims);
    for (int64_t row = 0; row < rows; row++) {
        for (int c = 0; c < 2; c++) y[row * 5 + c] = run->in[0].v[row * 3 + c];
        for (int c = 0; c < 2; c++) y[row * 5 + 2 + c] = run->in[1].v[row * 2 + c];
    }
}

/* ---- linear models and support vectors --------------------------------------------------------------------------- */

static const double weights[2][4] = {{1, -0.5, 0.25, 2}, {-1, 0.75, 0.5, -0.125}}, bias[2] = {0.1, -0.3};
#define WEIGHTS "coefficients:floats=[1,-0.5,0.25,2,-1,0.75,0.5,-0.125] intercepts:floats=[0.1,-0.3] "
#define ONE_ROW "coefficients:floats=[1,-0.5,0.25,2] intercepts:floats=[0.1] "

static double logistic(double x) { return 1 / (1 + exp(-x)); }

static double linear(const double *x, int row) {
    double sum = bias[row];
    for (int c = 0; c < 4; c++) sum += x[c] * weights[row][c];
    return sum;
}

static void regressor(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 2};
    double *y = sdx_case_output(run, 0, 2, dims);
    for (int64_t k = 0; k < 2 * rows; k++) y[k] = linear(run->in[0].v + k / 2 * 4, (int)(k % 2));
}

static void softmax_regressor(sdx_case_run *run) {
    regressor(run);
    for (int64_t k = 0; k < run->out[0].count; k += 2) {
        double *y = run->out[0].v + k, first = logistic(y[0] - y[1]);
        y[0] = first, y[1] = 1 - first;
    }
}

static void classifier(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 2};
    double *z = sdx_case_output(run, 1, 2, dims), *y = sdx_case_output(run, 0, 1, dims);
    for (int64_t r = 0; r < rows; r++) {
        const double a = linear(run->in[0].v + r * 4, 0), b = linear(run->in[0].v + r * 4, 1);
        z[2 * r] = logistic(a), z[2 * r + 1] = logistic(b);
        y[r] = b > a ? 9 : 4;
    }
}

static void one_score(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 2};
    double *z = sdx_case_output(run, 1, 2, dims), *y = sdx_case_output(run, 0, 1, dims);
    for (int64_t r = 0; r < rows; r++) {
        const double s = linear(run->in[0].v + r * 4, 0);
        z[2 * r] = 1 - s, z[2 * r + 1] = s;
        y[r] = s > 0 ? 9 : 4;
    }
}

static const double vectors[5][2] = {{1, 0}, {0, 1}, {-1, 0.5}, {2, -1}, {0.5, 0.5}};
static const double coefficients[10] = {1, -0.5, 0.25, -1, 0.5, 0.75, 0.3, -0.6, 0.2, -0.9};
#define VECTORS      "support_vectors:floats=[1,0,0,1,-1,0.5,2,-1,0.5,0.5] kernel_params:floats=[0.5,0.25,3] "
#define COEFFICIENTS "coefficients:floats=[1,-0.5,0.25,-1,0.5,0.75,0.3,-0.6,0.2,-0.9] "
#define SVC                                                                                                            \
    VECTORS COEFFICIENTS "vectors_per_class:ints=[2,1,2] rho:floats=[0.1,-0.2,0.3] classlabels_ints:ints=[4,9,5] "

static double kernel(const char *type, const double *x, const double *v) {
    const double dot = x[0] * v[0] + x[1] * v[1], a = x[0] - v[0], b = x[1] - v[1];
    switch (type[0]) {
    case 'L': return dot;
    case 'P': return pow(0.5 * dot + 0.25, 3);
    case 'R': return exp(-0.5 * (a * a + b * b));
    default: return tanh(0.5 * dot + 0.25);
    }
}

static void svm_regressor(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 1};
    const char *type = sdx_case_string(run, "kernel_type", "LINEAR");
    double *y = sdx_case_output(run, 0, 2, dims);
    for (int64_t r = 0; r < rows; r++) {
        y[r] = 0.1;
        for (int v = 0; v < 5; v++) y[r] += coefficients[v] * kernel(type, run->in[0].v + 2 * r, vectors[v]);
    }
}

static void svm_classifier(sdx_case_run *run) {
    static const int first[] = {0, 2, 3, 5}, labels[] = {4, 9, 5};
    static const double rho[] = {0.1, -0.2, 0.3};
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 3};
    const char *type = sdx_case_string(run, "kernel_type", "LINEAR");
    double *z = sdx_case_output(run, 1, 2, dims), *y = sdx_case_output(run, 0, 1, dims);
    for (int64_t r = 0; r < rows; r++) {
        int votes[3] = {0}, pair = 0, best = 0;
        for (int i = 0; i < 3; i++)
            for (int j = i + 1; j < 3; j++, pair++) {
                double s = rho[pair];
                for (int v = first[i]; v < first[i + 1]; v++)
                    s += coefficients[(j - 1) * 5 + v] * kernel(type, run->in[0].v + 2 * r, vectors[v]);
                for (int v = first[j]; v < first[j + 1]; v++)
                    s += coefficients[i * 5 + v] * kernel(type, run->in[0].v + 2 * r, vectors[v]);
                z[3 * r + pair] = s;
                votes[s > 0 ? i : j]++;
            }
        for (int i = 1; i < 3; i++)
            if (votes[i] > votes[best]) best = i;
        y[r] = labels[best];
    }
}

/* ---- trees ------------------------------------------------------------------------------------------------------- */

#define IDS     "nodes_treeids:ints=[0,0,0,0,0,1,1,1] nodes_nodeids:ints=[0,1,2,3,4,0,1,2] "
#define MODES   "nodes_modes:strings=[BRANCH_LEQ,BRANCH_LT,LEAF,LEAF,LEAF,BRANCH_GT,LEAF,LEAF] "
#define SPLITS  "nodes_featureids:ints=[0,1,0,0,0,2,0,0] nodes_values:floats=[0.5,-1,0,0,0,0,0,0] "
#define LINKS   "nodes_truenodeids:ints=[1,2,0,0,0,1,0,0] nodes_falsenodeids:ints=[4,3,0,0,0,2,0,0] "
#define NODES   IDS MODES SPLITS LINKS
#define TARGETS "target_treeids:ints=[0,0,0,1,1] target_nodeids:ints=[2,3,4,1,2] target_ids:ints=[0,0,0,0,0] "
#define VALUES  "target_weights:floats=[1,2,4,8,-16] "
/* The same with trees and nodes in another order and with other numbers; the first node of a tree is its root. */
#define SHUFFLED                                                                                                       \
    "nodes_treeids:ints=[7,7,7,-3,-3,-3,-3,-3] nodes_nodeids:ints=[5,9,2,10,14,12,13,11] "                             \
    "nodes_modes:strings=[BRANCH_GT,LEAF,LEAF,BRANCH_LEQ,LEAF,LEAF,LEAF,BRANCH_LT] "                                   \
    "nodes_featureids:ints=[2,0,0,0,0,0,0,1] nodes_values:floats=[0,0,0,0.5,0,0,0,-1] "                                \
    "nodes_truenodeids:ints=[9,0,0,11,0,0,0,12] nodes_falsenodeids:ints=[2,0,0,14,0,0,0,13] "                          \
    "target_treeids:ints=[-3,-3,-3,7,7] target_nodeids:ints=[12,13,14,9,2] target_ids:ints=[0,0,0,0,0] "

static double first_tree(const double *x) { return x[0] <= 0.5 ? (x[1] < -1 ? 1 : 2) : 4; }
static double second_tree(const double *x) { return x[2] > 0 ? 8 : -16; }

static void trees(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 1};
    const char *sum = sdx_case_string(run, "aggregate_function", "SUM");
    double *y = sdx_case_output(run, 0, 2, dims);
    for (int64_t r = 0; r < rows; r++) {
        const double a = first_tree(run->in[0].v + 3 * r), b = second_tree(run->in[0].v + 3 * r);
        y[r] = sum[1] == 'V' ? (a + b) / 2 : sum[1] == 'I' ? fmin(a, b) : sum[1] == 'A' ? fmax(a, b) : a + b;
    }
}

/* Leaves with weights for some of two targets. */
static void two_targets(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 2};
    double *y = sdx_case_output(run, 0, 2, dims);
    for (int64_t r = 0; r < rows; r++) {
        y[2 * r] = first_tree(run->in[0].v + 3 * r) + 0.5;
        y[2 * r + 1] = second_tree(run->in[0].v + 3 * r) - 0.5;
    }
}

/* Every mode, and membership; NaN takes the false branch but for NEQ and nodes that track it. */
#define FIVE                                                                                                           \
    "nodes_featureids:ints=[0,0,0,0,0,0,1] nodes_modes:tensor=u8[7]={0 1 2 3 4 5 6} "                                  \
    "nodes_splits:tensor=f32[7]={0 0 0 0 1 1 0} nodes_trueleafs:ints=[1,1,1,1,1,1,1] "                                 \
    "nodes_falseleafs:ints=[1,1,1,1,1,1,1] nodes_truenodeids:ints=[0,1,2,3,4,5,6] "                                    \
    "nodes_falsenodeids:ints=[7,7,7,7,7,7,7] tree_roots:ints=[0,1,2,3,4,5,6] n_targets:int=1 "                         \
    "leaf_targetids:ints=[0,0,0,0,0,0,0,0] leaf_weights:tensor=f32[8]={1 2 4 8 16 32 64 0} "                           \
    "membership_values:tensor=f32[5]={3 -1 2 1 nan} "

static void all_modes(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 1};
    double *y = sdx_case_output(run, 0, 2, dims);
    for (int64_t r = 0; r < rows; r++) {
        const double x = run->in[0].v[2 * r], m = run->in[0].v[2 * r + 1];
        y[r] = (x <= 0) + 2 * (x < 0) + 4 * (x >= 0) + 8 * (x > 0) + 16 * (x == 1) + 32 * (x != 1) +
               64 * (m == 3 || m == -1 || m == 2 || m == 1);
    }
}

static void all_modes_tracked(sdx_case_run *run) {
    all_modes(run);
    for (int64_t r = 0; r < run->out[0].count; r++) {
        if (isnan(run->in[0].v[2 * r])) run->out[0].v[r] += 31;
        if (isnan(run->in[0].v[2 * r + 1])) run->out[0].v[r] += 64;
    }
}
#define TRACKED FIVE "nodes_missing_value_tracks_true:ints=[1,1,1,1,1,1,1]"

#define CLASSES   "class_treeids:ints=[0,0,0,1,1] class_nodeids:ints=[2,3,4,1,2] "
#define ONE_CLASS NODES CLASSES "class_ids:ints=[0,0,0,0,0] "

static void signed_class(sdx_case_run *run) {
    const int64_t rows = run->in[0].dim[0], dims[] = {rows, 2};
    double *z = sdx_case_output(run, 1, 2, dims), *y = sdx_case_output(run, 0, 1, dims);
    for (int64_t r = 0; r < rows; r++) {
        const double s = (first_tree(run->in[0].v + 3 * r) + second_tree(run->in[0].v + 3 * r)) / 8 + 0.25;
        z[2 * r] = logistic(-s), z[2 * r + 1] = logistic(s);
        y[r] = s > 0 ? 9 : 4;
    }
}

const sdx_case sdx_cases[] = {
    ML("binarizer", "Binarizer", 1, .attributes = "threshold:float=0.5", .inputs = "T[N,3]=normal", .dims = "N=0..9",
       .reference = binarizer),
    ML("binarizer_special", "Binarizer", 1, .inputs = "T[40]=special", .types = "T=f32|f64", .reference = binarizer),
    ML("scaler", "Scaler", 1, .attributes = SCALER, .inputs = "T[N,3]=normal", .dims = "N=0..9", .reference = scaler),
    ML("scaler_long", "Scaler", 1, .attributes = SCALER, .inputs = "T[2,500,3]=normal", .reference = scaler),
    ML("scaler_one", "Scaler", 1, .attributes = "offset:floats=[3] scale:floats=[0.5]", .inputs = "T[N]=normal",
       .dims = "N=0..2000", .reference = scaler_one),
    REFUSED("scaler_columns", "Scaler", 1, SCALER, "f32[2,4]=normal", SDX_SHAPE, "4 columns"),
    REFUSED("scaler_lengths", "Scaler", 1, "offset:floats=[1,2] scale:floats=[1,2,3]", "f32[2,3]=normal", SDX_VALUE,
            "2 and 3 entries"),
    ML("normalizer_max", "Normalizer", 1, .inputs = "T[N,C]=uniform(1,9)", .dims = "N=0..9 C=1..40",
       .reference = normalizer),
    ML("normalizer_l1", "Normalizer", 1, .attributes = "norm:string=L1", .inputs = "T[N,C]=normal",
       .dims = "N=0..9 C=1..40", .reference = normalizer),
    ML("normalizer_l2", "Normalizer", 1, .attributes = "norm:string=L2", .inputs = "T[C]=normal", .dims = "C=1..40",
       .reference = normalizer),
    ML("normalizer_zero", "Normalizer", 1, .attributes = "norm:string=L2", .inputs = "T[2,2]={0 0 3 4}",
       .expect = "f32[2,2]={0 0 0.6 0.8}"),
    REFUSED("normalizer_norm", "Normalizer", 1, "norm:string=L3", "f32[2]={1 2}", SDX_VALUE, "'MAX', 'L1' or 'L2'"),
    ML("imputer_floats", "Imputer", 1, .attributes = "imputed_value_floats:floats=[7,8,9] replaced_value_float:float=2",
       .inputs = "T[N,3]=ints(0,4)", .dims = "N=0..9", .types = "T=f32|f64", .reference = imputer),
    ML("imputer_ints", "Imputer", 1, .attributes = "imputed_value_int64s:ints=[7,8,9] replaced_value_int64:int=2",
       .inputs = "T[N,2,3]=ints(0,4)", .dims = "N=0..9", .types = "T=i32|i64", .reference = imputer),
    REFUSED("imputer_none", "Imputer", 1, "imputed_value_int64s:ints=[1]", "f32[2]={1 2}", SDX_VALUE,
            "'imputed_value_floats' has no entries"),
    REFUSED("imputer_width", "Imputer", 1, "imputed_value_int64s:ints=[5000000000]", "i32[2]={1 2}", SDX_VALUE,
            "5000000000 at 0; it must fit i32"),
    REFUSED("imputer_length", "Imputer", 1, "imputed_value_floats:floats=[1,2]", "f32[2,3]=normal", SDX_SHAPE,
            "2 entries; it must have 1 or 3"),
    ML("extractor", "ArrayFeatureExtractor", 1, .inputs = "T[N,5]=normal i64[3]={4 0 4}", .dims = "N=0..9",
       .types = "T=f32|f64|i32|i64", .reference = extractor),
    ML("extractor_text", "ArrayFeatureExtractor", 1, .inputs = "string[2,2]={'a' 'b' 'c' 'd'} i64[1,1]={1}",
       .expect = "string[2,1]={'b' 'd'}"),
    ML("extractor_vector", "ArrayFeatureExtractor", 1, .inputs = "T[4]={1 2 3 4} i64[2]={3 0}",
       .types = "T=f32|f64|i32|i64", .expect = "T[1,2]={4 1}"),
    REFUSED("extractor_range", "ArrayFeatureExtractor", 1, NULL, "f32[2,3]=normal i64[2]={0 3}", SDX_VALUE,
            "3 at position 1; it must be in [0, 3)"),
    REFUSED("extractor_negative", "ArrayFeatureExtractor", 1, NULL, "f32[2,3]=normal i64[1]={-1}", SDX_VALUE,
            "-1 at position 0"),
    ML("one_hot", "OneHotEncoder", 1, .attributes = "cats_int64s:ints=[-1,0,2,5]", .inputs = "T[N,3]=ints(-2,6)",
       .dims = "N=0..9", .types = "T=f32|f64|i32|i64", .reference = one_hot),
    ML("one_hot_text", "OneHotEncoder", 1, .attributes = "cats_strings:strings=[a,bc]",
       .inputs = "string[3]={'bc' '' 'a'}", .expect = "f32[3,2]={0 1 0 0 1 0}"),
    ML("one_hot_nan", "OneHotEncoder", 1, .attributes = "cats_int64s:ints=[0,1]", .inputs = "T[3]={nan 1.9 -0.5}",
       .types = "T=f32|f64", .expect = "f32[3,2]={0 0 0 1 1 0}"),
    REFUSED("one_hot_unknown", "OneHotEncoder", 1, "cats_int64s:ints=[0,1] zeros:int=0", "i64[3]={1 0 7}", SDX_VALUE,
            "element 2 of input 'X' is 7"),
    REFUSED("one_hot_type", "OneHotEncoder", 1, "cats_int64s:ints=[0,1]", "string[1]={'a'}", SDX_TYPE, "'cats_int64s'"),
    REFUSED("one_hot_none", "OneHotEncoder", 1, NULL, "i64[1]={1}", SDX_VALUE, "one of them must have some"),
    ML("vectorizer", "FeatureVectorizer", 1, .attributes = "inputdimensions:ints=[2,3]",
       .inputs = "T1[N,3]=normal T1[N,2]=normal", .dims = "N=0..9", .reference = vectorizer),
    ML("vectorizer_rows", "FeatureVectorizer", 1, .inputs = "T1[2]={1 2} T1[1,1]={3}", .expect = "f32[1,3]={1 2 3}"),
    REFUSED("vectorizer_count", "FeatureVectorizer", 1, "inputdimensions:ints=[2]", "f32[1,2]={1 2} f32[1,1]={3}",
            SDX_VALUE, "1 entries; there are 2 inputs"),
    REFUSED("vectorizer_unequal", "FeatureVectorizer", 1, NULL, "f32[1,2]={1 2} f32[2,1]={3 4}", SDX_SHAPE,
            "numbers of rows"),

    ML("label_positions", "LabelEncoder", 1, .attributes = "classes_strings:strings=[x,y] default_int64:int=7",
       .inputs = "string[3]={'y' 'z' 'x'}", .expect = "i64[3]={1 7 0}"),
    ML("label_names", "LabelEncoder", 1, .attributes = "classes_strings:strings=[x,y]", .inputs = "i64[4]={1 0 2 -1}",
       .expect = "string[4]={'y' 'x' '_Unused' '_Unused'}"),
    ML("label_words", "LabelEncoder", 2,
       .attributes = "keys_strings:strings=[a,b,a] values_int64s:ints=[1,2,3] default_int64:int=-5",
       .inputs = "string[2,2]={'a' 'b' 'c' ''}", .expect = "i64[2,2]={3 2 -5 -5}"),
    ML("label_floats", "LabelEncoder", 4,
       .attributes = "keys_tensor:tensor=f32[3]={1.5 nan 0} values_strings:strings=[p,q,r] default_string:string=none",
       .inputs = "f32[4]={nan 1.5 -0 2}", .expect = "string[4]={'q' 'p' 'r' 'none'}"),
    ML("label_numbers", "LabelEncoder", 2, .attributes = "keys_int64s:ints=[3,-3] values_floats:floats=[0.5,2]",
       .inputs = "i64[3]={-3 3 0}", .expect = "f32[3]={2 0.5 -0}"),
    ML("label_tensors", "LabelEncoder", 4,
       .attributes = "keys_tensor:tensor=i16[2]={4 -4} values_tensor:tensor=f64[2]={0.5 1e300} "
                     "default_tensor:tensor=f64[1]={-2}",
       .inputs = "i16[3]={-4 5 4}", .expect = "f64[3]={1e300 -2 0.5}"),
    ML("label_default", "LabelEncoder", 4,
       .attributes = "keys_tensor:tensor=f64[1]={nan} values_tensor:tensor=i32[1]={9}", .inputs = "f64[2]={nan 1}",
       .expect = "i32[2]={9 -1}"),
    REFUSED("label_lengths", "LabelEncoder", 2, "keys_int64s:ints=[1,2] values_int64s:ints=[1]", "i64[1]={1}",
            SDX_VALUE, "2 keys and 1 values"),
    REFUSED("label_twice", "LabelEncoder", 2, "keys_int64s:ints=[1] keys_floats:floats=[1] values_int64s:ints=[1]",
            "i64[1]={1}", SDX_VALUE, "given once"),
    REFUSED("label_type", "LabelEncoder", 2, "keys_int64s:ints=[1] values_int64s:ints=[1]", "f32[1]={1}", SDX_TYPE,
            "the keys are of i64"),
    ML("mapper_words", "CategoryMapper", 1,
       .attributes = "cats_int64s:ints=[10,20] cats_strings:strings=[x,y] default_int64:int=0",
       .inputs = "string[3]={'y' 'x' 'w'}", .expect = "i64[3]={20 10 0}"),
    ML("mapper_numbers", "CategoryMapper", 1, .attributes = "cats_int64s:ints=[10,20] cats_strings:strings=[x,y]",
       .inputs = "i64[3]={20 1 10}", .expect = "string[3]={'y' '_Unused' 'x'}"),
    REFUSED("mapper_lengths", "CategoryMapper", 1, "cats_int64s:ints=[10,20] cats_strings:strings=[x]", "i64[1]={1}",
            SDX_VALUE, "2 and 1 entries"),

    ML("linear_regressor", "LinearRegressor", 1, .attributes = WEIGHTS "targets:int=2", .inputs = "T[N,4]=normal",
       .dims = "N=0..40", .reference = regressor),
    ML("linear_softmax", "LinearRegressor", 1, .attributes = WEIGHTS "targets:int=2 post_transform:string=SOFTMAX",
       .inputs = "T[N,4]=normal", .dims = "N=0..9", .reference = softmax_regressor),
    ML("linear_classifier", "LinearClassifier", 1,
       .attributes = WEIGHTS "classlabels_ints:ints=[4,9] post_transform:string=LOGISTIC", .inputs = "T1[N,4]=normal",
       .outputs = "Y Z", .dims = "N=0..40", .reference = classifier),
    ML("linear_one_score", "LinearClassifier", 1, .attributes = ONE_ROW "classlabels_ints:ints=[4,9]",
       .inputs = "T1[N,4]=normal", .outputs = "Y Z", .dims = "N=0..9", .reference = one_score),
    ML("linear_label_alone", "LinearClassifier", 1, .attributes = ONE_ROW "classlabels_strings:strings=[no,yes]",
       .inputs = "T1[2,4]={1 0 0 0 -1 0 0 0}", .expect = "string[2]={'yes' 'no'}"),
    ML("linear_softmax_zero", "LinearClassifier", 1,
       .attributes = "coefficients:floats=[1,0,-1] intercepts:floats=[0,0,0] classlabels_ints:ints=[1,2,3] "
                     "post_transform:string=SOFTMAX_ZERO",
       .inputs = "f32[2]={1 0}", .fails = SDX_SHAPE, .says = "input 'X' has 2 columns; it must have 1"),
    ML("linear_zero_stays", "LinearClassifier", 1,
       .attributes = "coefficients:floats=[1,0,-1] intercepts:floats=[0,0,0] classlabels_ints:ints=[1,2,3] "
                     "post_transform:string=SOFTMAX_ZERO",
       .inputs = "T1[1,1]={2}", .outputs = "Y Z", .expect = "i64[1]={1} f32[1,3]={0.98201379 0 0.01798621}"),
    ML("linear_probit", "LinearRegressor", 1, .attributes = "coefficients:floats=[0.1] post_transform:string=PROBIT",
       .inputs = "T[3,1]={2 5 9}", .expect = "f32[3,1]={-0.8418 0 1.2817}", .rtol = 2e-4),
    REFUSED("linear_labels", "LinearClassifier", 1, WEIGHTS "classlabels_ints:ints=[4,9,5]", "f32[1,4]=normal",
            SDX_VALUE, "3 class labels and 2 scores"),
    REFUSED("linear_length", "LinearRegressor", 1, "coefficients:floats=[1,2,3] targets:int=2", "f32[1,2]=normal",
            SDX_VALUE, "has 3 entries"),
    REFUSED("linear_rank", "LinearRegressor", 1, "coefficients:floats=[1,2,3]", "f32[1,1,3]=normal", SDX_SHAPE,
            "input 'X' has rank 3; it must be 1 or 2"),

    ML("svr_rbf", "SVMRegressor", 1,
       .attributes = VECTORS "coefficients:floats=[1,-0.5,0.25,-1,0.5] rho:floats=[0.1] n_supports:int=5 "
                             "kernel_type:string=RBF",
       .inputs = "T[N,2]=normal", .dims = "N=0..40", .reference = svm_regressor),
    ML("svr_poly", "SVMRegressor", 1,
       .attributes = VECTORS "coefficients:floats=[1,-0.5,0.25,-1,0.5] rho:floats=[0.1] n_supports:int=5 "
                             "kernel_type:string=POLY",
       .inputs = "T[N,2]=uniform(-2,2)", .dims = "N=0..9", .reference = svm_regressor),
    ML("svr_sigmoid", "SVMRegressor", 1,
       .attributes = VECTORS "coefficients:floats=[1,-0.5,0.25,-1,0.5] rho:floats=[0.1] n_supports:int=5 "
                             "kernel_type:string=SIGMOID",
       .inputs = "T[N,2]=normal", .dims = "N=0..9", .reference = svm_regressor),
    ML("svr_one_class", "SVMRegressor", 1, .attributes = "coefficients:floats=[1] rho:floats=[-0.5] one_class:int=1",
       .inputs = "T[3,1]={1 0 -1}", .expect = "f32[3,1]={1 -1 -1}"),
    ML("svc_rbf", "SVMClassifier", 1, .attributes = SVC "kernel_type:string=RBF", .inputs = "T1[N,2]=normal",
       .outputs = "Y Z", .dims = "N=0..40", .reference = svm_classifier),
    ML("svc_linear", "SVMClassifier", 1, .attributes = SVC, .inputs = "T1[N,2]=normal", .outputs = "Y Z",
       .dims = "N=0..9", .reference = svm_classifier),
    ML("svc_poly", "SVMClassifier", 1, .attributes = SVC "kernel_type:string=POLY", .inputs = "T1[N,2]=uniform(-2,2)",
       .outputs = "Y Z", .dims = "N=0..9", .reference = svm_classifier),
    ML("svc_two", "SVMClassifier", 1,
       .attributes = "support_vectors:floats=[1,0.5] coefficients:floats=[1,-1] vectors_per_class:ints=[1,1] "
                     "rho:floats=[0.1] classlabels_strings:strings=[p,q]",
       .inputs = "T1[2,1]={-2 2}", .outputs = "Y Z", .expect = "string[2]={'q' 'p'} f32[2,2]={0.9 -0.9 -1.1 1.1}"),
    ML("svc_probable", "SVMClassifier", 1,
       .attributes = "support_vectors:floats=[1,0.5] coefficients:floats=[1,-1] vectors_per_class:ints=[1,1] "
                     "rho:floats=[0.1] prob_a:floats=[-1.2] prob_b:floats=[0.1] classlabels_ints:ints=[3,7]",
       .inputs = "T1[2,1]={-2 2}", .outputs = "Y Z",
       .expect = "i64[2]={7 3} f32[2,2]={0.2350037 0.7649963 0.7720635 0.2279365}", .rtol = 1e-3),
    REFUSED("svc_rho", "SVMClassifier", 1,
            VECTORS COEFFICIENTS "vectors_per_class:ints=[2,1,2] rho:floats=[0.1] classlabels_ints:ints=[4,9,5]",
            "f32[1,2]=normal", SDX_VALUE, "'rho' has 1 entries; it must have 3"),
    REFUSED("svc_vectors", "SVMClassifier", 1,
            VECTORS COEFFICIENTS "vectors_per_class:ints=[2,1,3] rho:floats=[0.1,1,1] classlabels_ints:ints=[4,9,5]",
            "f32[1,2]=normal", SDX_VALUE, "'support_vectors' has 10 entries"),
    REFUSED("svr_params", "SVMRegressor", 1, "coefficients:floats=[1] rho:floats=[0] kernel_params:floats=[1,2]",
            "f32[1,1]=normal", SDX_VALUE, "gamma, coef0, degree"),

    ML("trees", "TreeEnsembleRegressor", 1, .attributes = NODES TARGETS VALUES, .inputs = "T[N,3]=normal",
       .dims = "N=0..60", .reference = trees),
    ML("trees_special", "TreeEnsembleRegressor", 3, .attributes = NODES TARGETS VALUES, .inputs = "T[40,3]=special",
       .types = "T=f32|f64", .reference = trees),
    ML("trees_many", "TreeEnsembleRegressor", 1, .attributes = NODES TARGETS VALUES, .inputs = "T[3000,3]=normal",
       .reference = trees, .flags = SDX_CASE_SLOW),
    ML("trees_average", "TreeEnsembleRegressor", 1,
       .attributes = NODES TARGETS VALUES "aggregate_function:string=AVERAGE", .inputs = "T[N,3]=normal",
       .dims = "N=1..9", .reference = trees),
    ML("trees_min", "TreeEnsembleRegressor", 1, .attributes = NODES TARGETS VALUES "aggregate_function:string=MIN",
       .inputs = "T[N,3]=normal", .dims = "N=1..40", .reference = trees),
    ML("trees_max", "TreeEnsembleRegressor", 1, .attributes = NODES TARGETS VALUES "aggregate_function:string=MAX",
       .inputs = "T[N,3]=normal", .dims = "N=1..9", .reference = trees),
    ML("trees_shuffled", "TreeEnsembleRegressor", 3, .attributes = SHUFFLED VALUES, .inputs = "T[N,3]=normal",
       .dims = "N=1..40", .reference = trees),
    ML("trees_wide", "TreeEnsembleRegressor", 3,
       .attributes = IDS MODES LINKS TARGETS
       "nodes_featureids:ints=[0,1,0,0,0,2,0,0] nodes_values_as_tensor:tensor=f64[8]={0.5 -1 0 0 0 0 0 0} "
       "target_weights_as_tensor:tensor=f64[5]={1 2 4 8 -16}",
       .inputs = "T[N,3]=normal", .dims = "N=1..40", .reference = trees),
    ML("trees_targets", "TreeEnsembleRegressor", 1,
       .attributes = NODES VALUES "target_treeids:ints=[0,0,0,1,1] target_nodeids:ints=[2,3,4,1,2] "
                                  "target_ids:ints=[0,0,0,1,1] n_targets:int=2 base_values:floats=[0.5,-0.5]",
       .inputs = "T[N,3]=normal", .dims = "N=1..40", .reference = two_targets),
    ML("trees_class", "TreeEnsembleClassifier", 1,
       .attributes = ONE_CLASS "class_weights:floats=[0.125,0.25,0.5,1,-2] classlabels_int64s:ints=[4,9] "
                               "base_values:floats=[0.25] post_transform:string=LOGISTIC",
       .inputs = "T1[N,3]=normal", .outputs = "Y Z", .dims = "N=0..40", .reference = signed_class),
    ML("trees_half", "TreeEnsembleClassifier", 3,
       .attributes = ONE_CLASS "class_weights:floats=[0.1,0.2,0.3,0.4,0] classlabels_strings:strings=[no,yes]",
       .inputs = "T1[2,3]={0 0 1 0 0 -1}", .outputs = "Y Z",
       .expect = "string[2]={'yes' 'no'} f32[2,2]={0.4 0.6 0.8 0.2}"),
    ML("trees_classes", "TreeEnsembleClassifier", 5,
       .attributes = NODES CLASSES "class_ids:ints=[0,1,2,1,2] class_weights:floats=[3,1,1,0.5,0.5] "
                                   "classlabels_int64s:ints=[4,9,5]",
       .inputs = "T1[3,3]={0 -2 1 0 0 -1 1 0 -1}", .outputs = "Y Z",
       .expect = "i64[3]={4 9 5} f32[3,3]={3 0.5 0 0 1 0.5 0 0 1.5}"),
    ML("ensemble", "TreeEnsemble", 5, .attributes = FIVE, .inputs = "T[N,2]=ints(-2,4)", .dims = "N=0..60",
       .reference = all_modes),
    ML("ensemble_nan", "TreeEnsemble", 5, .attributes = FIVE, .inputs = "T[4,2]={nan 1 1 nan nan nan inf -inf}",
       .reference = all_modes),
    ML("ensemble_tracked", "TreeEnsemble", 5, .attributes = TRACKED, .inputs = "T[4,2]={nan 1 1 nan nan nan 0 5}",
       .reference = all_modes_tracked),

    REFUSED("trees_columns", "TreeEnsembleRegressor", 1, NODES TARGETS VALUES, "f32[1,2]=normal", SDX_SHAPE,
            "2 columns; the trees look at column 2"),
    REFUSED("trees_lengths", "TreeEnsembleRegressor", 1,
            IDS MODES LINKS TARGETS VALUES "nodes_featureids:ints=[0,1] nodes_values:floats=[0.5,-1,0,0,0,0,0,0]",
            "f32[1,3]=normal", SDX_VALUE, "'nodes_featureids' has 2 entries"),
    REFUSED("trees_cycle", "TreeEnsembleRegressor", 1,
            IDS MODES SPLITS TARGETS VALUES
            "nodes_truenodeids:ints=[1,0,0,0,0,1,0,0] nodes_falsenodeids:ints=[4,3,0,0,0,2,0,0]",
            "f32[1,3]=normal", SDX_VALUE, "reached twice"),
    REFUSED("trees_link", "TreeEnsembleRegressor", 1,
            IDS MODES SPLITS TARGETS VALUES
            "nodes_truenodeids:ints=[1,9,0,0,0,1,0,0] nodes_falsenodeids:ints=[4,3,0,0,0,2,0,0]",
            "f32[1,3]=normal", SDX_VALUE, "'nodes_truenodeids' has 9 at 1; tree 0 has no such node"),
    REFUSED("trees_mode", "TreeEnsembleRegressor", 1,
            IDS SPLITS LINKS TARGETS VALUES
            "nodes_modes:strings=[BRANCH_LEQ,BRANCH_LE,LEAF,LEAF,LEAF,BRANCH_GT,LEAF,LEAF]",
            "f32[1,3]=normal", SDX_VALUE, "'BRANCH_LE' at 1"),
    REFUSED("trees_feature", "TreeEnsembleRegressor", 1,
            IDS MODES LINKS TARGETS VALUES
            "nodes_featureids:ints=[0,-1,0,0,0,2,0,0] nodes_values:floats=[0.5,-1,0,0,0,0,0,0]",
            "f32[1,3]=normal", SDX_VALUE, "'nodes_featureids' has -1 at 1"),
    REFUSED("trees_target", "TreeEnsembleRegressor", 1,
            NODES VALUES "target_treeids:ints=[0,0,0,1,1] target_nodeids:ints=[2,3,4,1,2] target_ids:ints=[0,0,1,0,0]",
            "f32[1,3]=normal", SDX_VALUE, "target or class 1; it must be in [0, 1)"),
    REFUSED("trees_weight_node", "TreeEnsembleRegressor", 1,
            NODES VALUES "target_treeids:ints=[0,0,0,1,5] target_nodeids:ints=[2,3,4,1,2] target_ids:ints=[0,0,0,0,0]",
            "f32[1,3]=normal", SDX_VALUE, "tree 5 has no such node"),
    REFUSED("trees_duplicate", "TreeEnsembleRegressor", 1,
            MODES SPLITS LINKS TARGETS VALUES
            "nodes_treeids:ints=[0,0,0,0,0,1,1,1] nodes_nodeids:ints=[0,1,2,3,3,0,1,2]",
            "f32[1,3]=normal", SDX_VALUE, "node 3 of tree 0 is there twice"),
    REFUSED("trees_base", "TreeEnsembleRegressor", 1, NODES TARGETS VALUES "base_values:floats=[1,2]",
            "f32[1,3]=normal", SDX_VALUE, "'base_values' has 2 entries"),
    REFUSED("ensemble_sets", "TreeEnsemble", 5,
            "nodes_featureids:ints=[0] nodes_modes:tensor=u8[1]={6} nodes_splits:tensor=f32[1]={0} "
            "nodes_trueleafs:ints=[1] nodes_falseleafs:ints=[1] nodes_truenodeids:ints=[0] nodes_falsenodeids:ints=[0] "
            "tree_roots:ints=[0] leaf_targetids:ints=[0] leaf_weights:tensor=f32[1]={1}",
            "f32[1,1]={1}", SDX_VALUE, "0 sets; 1 nodes"),
    REFUSED("ensemble_leaf", "TreeEnsemble", 5,
            "nodes_featureids:ints=[0] nodes_modes:tensor=u8[1]={0} nodes_splits:tensor=f32[1]={0} "
            "nodes_trueleafs:ints=[1] nodes_falseleafs:ints=[1] nodes_truenodeids:ints=[0] nodes_falsenodeids:ints=[2] "
            "tree_roots:ints=[0] leaf_targetids:ints=[0] leaf_weights:tensor=f32[1]={1}",
            "f32[1,1]={1}", SDX_VALUE, "'nodes_falsenodeids' has 2 at 0; it must be in [0, 1), the number of leaves"),
    REFUSED("ensemble_root", "TreeEnsemble", 5,
            "nodes_featureids:ints=[0] nodes_modes:tensor=u8[1]={0} nodes_splits:tensor=f32[1]={0} "
            "nodes_trueleafs:ints=[0] nodes_falseleafs:ints=[1] nodes_truenodeids:ints=[0] nodes_falsenodeids:ints=[0] "
            "tree_roots:ints=[0] leaf_targetids:ints=[0] leaf_weights:tensor=f32[1]={1}",
            "f32[1,1]={1}", SDX_VALUE, "reached twice"),
};
SDX_CASES_END
