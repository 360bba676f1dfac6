/* SPDX-License-Identifier: Apache-2.0
 * LINEAR x.v, POLY (gamma x.v + coef0)^degree, SIGMOID tanh(gamma x.v + coef0), RBF e^(-gamma |x - v|^2), where |x -
 * v|^2 = |x|^2 - 2 x.v + |v|^2 needs f64: what is left of it may be small. */
#include "ops/traditionalml/svm.h"
#include <math.h>
#include <string.h>

const double *sdx_svm_numbers(sdx_bind *bind, const char *name, size_t *n) {
    const float *given = sdx_bind_floats(bind, name, n);
    double *numbers = SDX_NEW_ARRAY(bind->arena, double, *n ? *n : 1, bind->error);
    if (!numbers && bind->status == SDX_OK) bind->status = bind->error->status;
    for (size_t k = 0; numbers && k < *n; k++) numbers[k] = (double)given[k];
    return numbers;
}

void sdx_svm_length(sdx_bind *bind, const char *name, size_t n, int64_t want) {
    if (want < 0 || n != (size_t)want)
        sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' has %zu entries; it must have %lld", name, n, (long long)want);
}

static void bind_kernel(sdx_bind *bind, sdx_svm *svm) {
    static const char *const names[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    size_t n = 0;
    const float *p = sdx_bind_floats(bind, "kernel_params", &n);
    svm->kernel = (sdx_svm_kernel)sdx_bind_choice(bind, "kernel_type", names, 4);
    if (n && n != 3)
        sdx_bind_fail(bind, SDX_VALUE,
                      "attribute 'kernel_params' has %zu entries; it must have 3: gamma, coef0, degree", n);
    if (n != 3) return;
    svm->gamma = (double)p[0], svm->coef0 = (double)p[1], svm->degree = (double)p[2];
}

void sdx_svm_bind(sdx_bind *bind, int64_t vectors, int64_t rows, sdx_svm *svm) {
    size_t n = 0;
    bind_kernel(bind, svm);
    svm->coefficients = sdx_svm_numbers(bind, "coefficients", &svm->n_coefficients);
    const double *given = sdx_svm_numbers(bind, "support_vectors", &n);
    if (bind->status != SDX_OK) return;
    const bool linear = vectors == 0;
    svm->vectors = linear ? rows : vectors;
    svm->vector = linear ? svm->coefficients : given;
    const size_t have = linear ? svm->n_coefficients : n;
    if (svm->vectors < 1 || have == 0 || have % (size_t)svm->vectors) {
        sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' has %zu entries; it must have some, for each of %lld vectors",
                      linear ? "coefficients" : "support_vectors", have, (long long)svm->vectors);
        return;
    }
    svm->columns = (int64_t)(have / (size_t)svm->vectors);
    if (linear) svm->kernel = SDX_SVM_LINEAR;
    double *square = SDX_NEW_ARRAY(bind->arena, double, svm->vectors, bind->error);
    if (!square) bind->status = bind->error->status;
    for (int64_t v = 0; v < svm->vectors && square; v++)
        for (int64_t c = 0; c < svm->columns; c++)
            square[v] += svm->vector[v * svm->columns + c] * svm->vector[v * svm->columns + c];
    svm->square = square;
    const struct sdx_kernels *kernels = sdx_kernels_get();
    const size_t bytes = sdx_product_packed_bytes(kernels, SDX_F64, true, 1, svm->vectors, svm->columns);
    void *packed = bind->status == SDX_OK ? sdx_arena_alloc(bind->arena, bytes, bind->error) : NULL;
    if (packed)
        sdx_product_pack(kernels, SDX_F64, true, 1, svm->vectors, svm->columns, svm->vector, svm->columns, 1, packed);
    else if (bind->status == SDX_OK)
        bind->status = bind->error->status;
    svm->packed = packed;
}

enum { BLOCK = 1 << 19, LEAST_ROWS = 64 }; /* kernel values at a time: 4 MiB; rows, so that vectors are packed seldom */

int64_t sdx_svm_block(const sdx_svm *svm, int64_t rows) {
    const int64_t fit = BLOCK / svm->vectors, block = fit > LEAST_ROWS ? fit : LEAST_ROWS;
    return block < rows ? block : rows;
}

size_t sdx_svm_scratch(const sdx_infer *infer, const sdx_svm *svm, int64_t block) {
    return sdx_product_scratch(SDX_F64, 1, block, svm->vectors, svm->columns, false, true, infer->threads);
}

typedef struct job {
    const struct sdx_kernels *kernels;
    const sdx_svm *svm;
    const double *x;
    double *k;
} job;

/* y = y^degree; whole degrees by repeated multiplication. */
static void raise(const job *j, double *y, int64_t n) {
    enum { TILE = 256 };
    const double degree = j->svm->degree, one = 1;
    double base[TILE];
    sdx_binary_fn multiply = j->kernels->binary(SDX_BINARY_Mul, SDX_F64);
    if (degree != floor(degree) || degree < 0 || degree > 64) {
        j->kernels->binary(SDX_BINARY_Pow, SDX_F64)(y, 1, &degree, 0, y, n);
        return;
    }
    for (int64_t at = 0; at < n; at += TILE) {
        const int64_t length = n - at < TILE ? n - at : TILE;
        const double *power = &one;
        memcpy(base, y + at, (size_t)length * sizeof *base);
        if (degree == 0) multiply(&one, 0, &one, 0, y + at, length);
        for (int left = (int)degree; left > 0; left >>= 1) {
            if (left & 1) {
                multiply(base, 1, power, power != &one, y + at, length);
                power = y + at;
            }
            if (left > 1) multiply(base, 1, base, 1, base, length);
        }
    }
}

/* In f32, where vectors do it: what the results are rounded to in the end. */
static void narrowly(const job *j, sdx_unary_id id, double *k, int64_t n) {
    enum { TILE = 256 };
    float tile[TILE];
    sdx_unary_fn fn = j->kernels->unary(id, SDX_F32);
    for (int64_t at = 0; at < n; at += TILE) {
        const int64_t length = n - at < TILE ? n - at : TILE;
        for (int64_t i = 0; i < length; i++) tile[i] = (float)k[at + i];
        fn(tile, tile, length, NULL);
        for (int64_t i = 0; i < length; i++) k[at + i] = (double)tile[i];
    }
}

static void apply(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const sdx_svm *svm = j->svm;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        double *k = j->k + r * svm->vectors;
        if (svm->kernel == SDX_SVM_RBF) {
            const double own = j->kernels->square_sum_f64(j->x + r * svm->columns, svm->columns, 0);
            for (int64_t v = 0; v < svm->vectors; v++) {
                const double distance = own - 2 * k[v] + svm->square[v];
                k[v] = -svm->gamma * (distance < 0 ? 0 : distance);
            }
            narrowly(j, SDX_UNARY_Exp, k, svm->vectors);
            continue;
        }
        for (int64_t v = 0; v < svm->vectors; v++) k[v] = svm->gamma * k[v] + svm->coef0;
        if (svm->kernel == SDX_SVM_SIGMOID)
            narrowly(j, SDX_UNARY_Tanh, k, svm->vectors);
        else
            raise(j, k, svm->vectors);
    }
}

sdx_status sdx_svm_kernels(sdx_compute *compute, const sdx_svm *svm, const double *x, int64_t rows, double *k,
                           char *room) {
    sdx_product product = {
        .dtype = SDX_F64, .m = rows, .n = svm->vectors, .k = svm->columns, .alpha = 1, .beta = 1, .c = k};
    product.a = (sdx_factor){.data = x, .line_step = svm->columns, .k_step = 1};
    product.b = (sdx_factor){.packed = svm->packed};
    SDX_TRY(sdx_product_run(compute, &product, room));
    if (svm->kernel == SDX_SVM_LINEAR) return SDX_OK;
    job j = {compute->kernels, svm, x, k};
    return sdx_for(compute, rows, sdx_grain(8 * svm->vectors), apply, &j);
}

void sdx_svm_sum(const double *k, const double *weight, int64_t n, double *sum) {
    double part[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int l = 0; l < 4; l++) part[l] += k[i + l] * weight[i + l];
    for (; i < n; i++) part[0] += k[i] * weight[i];
    *sum = part[0] + part[1] + (part[2] + part[3]);
}
