/* SPDX-License-Identifier: Apache-2.0
 * SVMRegressor: Y = sum of coefficients k(X, vector) + rho; with one_class its sign, -1 for 0. */
#include "ops/traditionalml/svm.h"
#include <string.h>

typedef struct regressor_params {
    sdx_svm svm;
    bool linear, one_class;
    double rho;
    sdx_ml_post post;
} regressor_params;

static sdx_status regressor_bind(sdx_bind *bind, void *params) {
    regressor_params *p = params;
    const int64_t vectors = sdx_bind_int(bind, "n_supports");
    size_t n = 0;
    p->post = sdx_ml_bind_post(bind);
    p->one_class = sdx_bind_int(bind, "one_class") != 0;
    p->linear = vectors == 0;
    if (vectors < 0)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'n_supports' is %lld; it must be 0 or more", (long long)vectors);
    const double *rho = sdx_svm_numbers(bind, "rho", &n);
    sdx_svm_bind(bind, vectors, 1, &p->svm);
    sdx_svm_length(bind, "rho", n, 1);
    if (!p->linear) sdx_svm_length(bind, "coefficients", p->svm.n_coefficients, vectors);
    if (bind->status == SDX_OK) p->rho = rho[0];
    return bind->status;
}

static sdx_status regressor_infer(sdx_infer *infer, const void *params) {
    const regressor_params *p = params;
    int64_t rows = 0;
    SDX_TRY(sdx_ml_infer_rows(infer, p->svm.columns, &rows));
    infer->out[0] = sdx_type_make(SDX_F32, 2);
    infer->out[0].dim[0] = rows;
    infer->out[0].dim[1] = 1;
    return SDX_OK;
}

static size_t regressor_scratch(const sdx_infer *infer, const void *params) {
    const regressor_params *p = params;
    const sdx_type *x = infer->in[0];
    const int64_t rows = sdx_ml_rows(x->rank, x->dim), block = sdx_svm_block(&p->svm, rows);
    const size_t kernels = sdx_svm_scratch(infer, &p->svm, block);
    const size_t sums = sdx_product_scratch(SDX_F64, 1, block, 1, p->svm.vectors, false, false, infer->threads);
    size_t total = 0;
    if (kernels == SIZE_MAX || sums == SIZE_MAX) return SIZE_MAX;
    if (x->dtype != SDX_F64) sdx_ml_reserve(&total, rows, p->svm.columns, sizeof(double));
    sdx_ml_reserve(&total, block, p->svm.vectors, sizeof(double));
    sdx_ml_reserve(&total, block, 1, sizeof(double));
    sdx_ml_reserve(&total, (int64_t)(kernels > sums ? kernels : sums), 1, 1);
    return total;
}

static sdx_status regressor_compute(sdx_compute *compute, const void *params) {
    const regressor_params *p = params;
    const sdx_tensor *x = compute->in[0];
    const int64_t rows = sdx_ml_rows(x->rank, x->dim), block = sdx_svm_block(&p->svm, rows);
    char *room = compute->scratch;
    if (rows == 0) return SDX_OK;
    const double *data = sdx_ml_elements(compute, x, SDX_F64, &room);
    if (!data) return compute->error->status;
    double *k = sdx_ml_take(&room, block, p->svm.vectors, sizeof *k), *sum = sdx_ml_take(&room, block, 1, sizeof *sum);
    for (int64_t row = 0; row < rows; row += block) {
        const int64_t n = rows - row < block ? rows - row : block;
        SDX_TRY(sdx_svm_kernels(compute, &p->svm, data + row * p->svm.columns, n, k, room));
        if (p->linear) {
            memcpy(sum, k, (size_t)n * sizeof *sum);
        } else if (n < SDX_SVM_FEW) {
            for (int64_t r = 0; r < n; r++)
                sdx_svm_sum(k + r * p->svm.vectors, p->svm.coefficients, p->svm.vectors, sum + r);
        } else {
            sdx_product product = {
                .dtype = SDX_F64, .m = n, .n = 1, .k = p->svm.vectors, .alpha = 1, .beta = 1, .c = sum};
            product.a = (sdx_factor){.data = k, .line_step = p->svm.vectors, .k_step = 1};
            product.b = (sdx_factor){.data = p->svm.coefficients, .line_step = p->svm.vectors, .k_step = 1};
            SDX_TRY(sdx_product_run(compute, &product, room));
        }
        for (int64_t r = 0; r < n; r++) {
            double score = sum[r] + p->rho;
            if (p->one_class)
                score = score > 0 ? 1 : -1;
            else
                sdx_ml_transform(p->post, 1, &score);
            sdx_ml_put_row(compute->out[0], row + r, 1, &score);
        }
    }
    return SDX_OK;
}

const sdx_op sdx_op_SVMRegressor = {
    .domain = SDX_ML,
    .name = "SVMRegressor",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:f32", "T=" SDX_T_ML,
             "coefficients:floats kernel_params:floats kernel_type:string=LINEAR n_supports:int=0 one_class:int=0 "
             "post_transform:string=NONE rho:floats support_vectors:floats"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(regressor_params),
    .bind = regressor_bind,
    .infer = regressor_infer,
    .scratch = regressor_scratch,
    .compute = regressor_compute,
    .grad = sdx_no_gradient,
};
