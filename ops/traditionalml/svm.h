/* SPDX-License-Identifier: Apache-2.0
 * Kernels of support vector machines, in f64, on the gemm tiles: all of them are a function of the products of rows and
 * support vectors. */
#ifndef SDX_OPS_SVM_H
#define SDX_OPS_SVM_H
#include "ops/math/product.h"
#include "ops/traditionalml/ml.h"

typedef enum sdx_svm_kernel { SDX_SVM_LINEAR, SDX_SVM_POLY, SDX_SVM_RBF, SDX_SVM_SIGMOID } sdx_svm_kernel;

typedef struct sdx_svm {
    sdx_svm_kernel kernel;
    double gamma, coef0, degree;
    int64_t vectors,
        columns; /* without support vectors, `vectors` counts rows of coefficients, which take their place */
    const double *vector, *square; /* square: the norm of each, squared */
    const void *packed;            /* the vectors, for the gemm tiles */
    size_t n_coefficients;
    const double *coefficients;
} sdx_svm;

/* `vectors` support vectors; 0: a linear model of `rows` rows of coefficients. */
void sdx_svm_bind(sdx_bind *bind, int64_t vectors, int64_t rows, sdx_svm *svm);
const double *sdx_svm_numbers(sdx_bind *bind, const char *name, size_t *n);
/* Exactly `want` entries. */
void sdx_svm_length(sdx_bind *bind, const char *name, size_t n, int64_t want);

/* The kernel matrix of the rows is computed for a block of rows at a time. */
int64_t sdx_svm_block(const sdx_svm *svm, int64_t rows);
size_t sdx_svm_scratch(const sdx_infer *infer, const sdx_svm *svm, int64_t block);
/* k[row][vector] for `rows` rows of x. `room`: as sdx_svm_scratch says. */
sdx_status sdx_svm_kernels(sdx_compute *compute, const sdx_svm *svm, const double *x, int64_t rows, double *k,
                           char *room);

enum { SDX_SVM_FEW = 8 }; /* rows for which coefficients are not worth packing for the gemm tiles */
void sdx_svm_sum(const double *k, const double *weight, int64_t n, double *sum);

#endif
