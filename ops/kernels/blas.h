/* SPDX-License-Identifier: Apache-2.0
 * OpenBLAS, if the machine has it: loaded when first asked for, called with one thread from tasks of our own pool. */
#ifndef SDX_KERNELS_BLAS_H
#define SDX_KERNELS_BLAS_H
#include "ops/kernels/kernels.h"

/* C = alpha A' B' + beta C, row-major. turn: take the transpose. */
typedef struct sdx_blas {
    void (*sgemm)(int order, int turn_a, int turn_b, int m, int n, int k, float alpha, const float *a, int lda,
                  const float *b, int ldb, float beta, float *c, int ldc);
    void (*dgemm)(int order, int turn_a, int turn_b, int m, int n, int k, double alpha, const double *a, int lda,
                  const double *b, int ldb, double beta, double *c, int ldc);
} sdx_blas;

enum { SDX_BLAS_ROW_MAJOR = 101, SDX_BLAS_KEEP = 111, SDX_BLAS_TURN = 112 };

const sdx_blas *sdx_blas_get(void); /* NULL: there is none */

#endif
