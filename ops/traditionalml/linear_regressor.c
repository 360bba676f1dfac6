/* SPDX-License-Identifier: Apache-2.0
 * LinearRegressor: Y = post_transform(X coefficients' + intercepts). */
#include "ops/traditionalml/ml.h"

typedef struct regressor_params {
    sdx_ml_linear linear;
    sdx_ml_post post;
} regressor_params;

static sdx_status regressor_bind(sdx_bind *bind, void *params) {
    regressor_params *p = params;
    p->post = sdx_ml_bind_post(bind);
    sdx_ml_linear_bind(bind, sdx_bind_int(bind, "targets"), &p->linear);
    return bind->status;
}

static sdx_status regressor_infer(sdx_infer *infer, const void *params) {
    const regressor_params *p = params;
    int64_t rows = 0;
    SDX_TRY(sdx_ml_infer_rows(infer, p->linear.columns, &rows));
    infer->out[0] = sdx_type_make(SDX_F32, 2);
    infer->out[0].dim[0] = rows;
    infer->out[0].dim[1] = p->linear.targets;
    return SDX_OK;
}

static size_t regressor_scratch(const sdx_infer *infer, const void *params) {
    const regressor_params *p = params;
    return sdx_ml_linear_scratch(infer, &p->linear);
}

typedef struct job {
    const regressor_params *params;
    const sdx_tensor *y;
} job;

static void regressor_row(const void *context, int64_t row, double *scores) {
    const job *j = context;
    sdx_ml_transform(j->params->post, j->params->linear.targets, scores);
    sdx_ml_put_row(j->y, row, j->params->linear.targets, scores);
}

static sdx_status regressor_compute(sdx_compute *compute, const void *params) {
    job j = {params, compute->out[0]};
    return sdx_ml_linear_run(compute, &j.params->linear, regressor_row, &j);
}

const sdx_op sdx_op_LinearRegressor = {
    .domain = SDX_ML,
    .name = "LinearRegressor",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:f32", "T=" SDX_T_ML,
             "coefficients:floats intercepts:floats post_transform:string=NONE targets:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(regressor_params),
    .bind = regressor_bind,
    .infer = regressor_infer,
    .scratch = regressor_scratch,
    .compute = regressor_compute,
    .grad = sdx_no_gradient,
};
