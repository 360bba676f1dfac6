/* SPDX-License-Identifier: Apache-2.0
 * LinearClassifier: a row of coefficients per class, the label is that of the greatest score. A single row tells two
 * classes apart: the second one where its score is positive. multi_class says how the model was trained, no more. */
#include "ops/traditionalml/ml.h"

typedef struct classifier_params {
    sdx_ml_linear linear;
    sdx_ml_list labels;
    sdx_ml_post post;
} classifier_params;

static sdx_status classifier_bind(sdx_bind *bind, void *params) {
    classifier_params *p = params;
    size_t n_bias = 0, n = 0;
    p->post = sdx_ml_bind_post(bind);
    p->labels = sdx_ml_bind_list(bind, "classlabels_ints", "classlabels_strings");
    sdx_bind_floats(bind, "intercepts", &n_bias);
    sdx_bind_floats(bind, "coefficients", &n);
    /* One intercept per row of coefficients says how many there are. */
    const int64_t targets = n_bias ? (int64_t)n_bias : p->labels.n;
    sdx_ml_linear_bind(bind, targets, &p->linear);
    if (targets != p->labels.n && (targets != 1 || p->labels.n != 2))
        sdx_bind_fail(bind, SDX_VALUE, "there are %lld class labels and %lld scores; they must be as many, or 2 and 1",
                      (long long)p->labels.n, (long long)targets);
    return bind->status;
}

static sdx_status classifier_infer(sdx_infer *infer, const void *params) {
    const classifier_params *p = params;
    return sdx_ml_infer_classes(infer, &p->labels, p->linear.columns, p->labels.n);
}

static size_t classifier_scratch(const sdx_infer *infer, const void *params) {
    const classifier_params *p = params;
    return sdx_ml_linear_scratch(infer, &p->linear);
}

typedef struct job {
    const classifier_params *params;
    const sdx_tensor *y, *z;
} job;

static void classifier_row(const void *context, int64_t row, double *scores) {
    const job *j = context;
    const classifier_params *p = j->params;
    const bool one = p->linear.targets == 1;
    sdx_ml_put_label(j->y, row, &p->labels, one ? scores[0] > 0 : sdx_ml_greatest(p->labels.n, scores));
    if (one && p->labels.n == 2)
        sdx_ml_pair(p->post, false, scores[0], scores);
    else
        sdx_ml_transform(p->post, p->labels.n, scores);
    sdx_ml_put_row(j->z, row, p->labels.n, scores);
}

static sdx_status classifier_compute(sdx_compute *compute, const void *params) {
    job j = {.params = params};
    SDX_TRY(sdx_ml_class_outputs(compute, j.params->labels.n, &j.y, &j.z));
    return sdx_ml_linear_run(compute, &j.params->linear, classifier_row, &j);
}

const sdx_op sdx_op_LinearClassifier = {
    .domain = SDX_ML,
    .name = "LinearClassifier",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T1 -> Y:T2 Z:f32", "T1=" SDX_T_ML " T2=i64|string",
             "classlabels_ints:ints classlabels_strings:strings coefficients:floats! intercepts:floats "
             "multi_class:int=0 "
             "post_transform:string=NONE"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(classifier_params),
    .bind = classifier_bind,
    .infer = classifier_infer,
    .scratch = classifier_scratch,
    .compute = classifier_compute,
    .grad = sdx_no_gradient,
};
