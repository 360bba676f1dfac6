/* SPDX-License-Identifier: Apache-2.0
 * SVMClassifier. With support vectors each pair of classes votes (column pairs (0,1), (0,2) .. (1,2) ..); Z holds the
 * scores of the pairs, for two classes (-s, s), or with prob_a and prob_b the probabilities of the classes, coupled as
 * in "Probability estimates for multi-class classification by pairwise coupling" (Wu, Lin, Weng, 2004). Without support
 * vectors it is linear. */
#include "ops/traditionalml/svm.h"
#include <math.h>

typedef struct classifier_params {
    sdx_svm svm;
    sdx_ml_list labels;
    sdx_ml_post post;
    bool linear;
    int64_t pairs, columns; /* columns of Z */
    sdx_ints per_class;
    const double *rho, *prob_a, *prob_b;
    size_t n_prob;
} classifier_params;

static int64_t bind_vectors(sdx_bind *bind, classifier_params *p) {
    int64_t vectors = 0;
    p->per_class = sdx_bind_ints(bind, "vectors_per_class");
    for (size_t k = 0; k < p->per_class.n; k++)
        if (p->per_class.data[k] < 0 || __builtin_add_overflow(vectors, p->per_class.data[k], &vectors)) {
            sdx_bind_fail(bind, SDX_VALUE, "attribute 'vectors_per_class' has %lld at %zu; it must be 0 or more",
                          (long long)p->per_class.data[k], k);
            return 0;
        }
    if (vectors > 0) sdx_svm_length(bind, "vectors_per_class", p->per_class.n, p->labels.n);
    return vectors;
}

static sdx_status classifier_bind(sdx_bind *bind, void *params) {
    classifier_params *p = params;
    size_t n_rho = 0, n_b = 0;
    p->post = sdx_ml_bind_post(bind);
    p->labels = sdx_ml_bind_list(bind, "classlabels_ints", "classlabels_strings");
    p->rho = sdx_svm_numbers(bind, "rho", &n_rho);
    p->prob_a = sdx_svm_numbers(bind, "prob_a", &p->n_prob);
    p->prob_b = sdx_svm_numbers(bind, "prob_b", &n_b);
    const int64_t vectors = bind_vectors(bind, p), n = p->labels.n;
    if (bind->status == SDX_OK && n >= 65536)
        return sdx_bind_fail(bind, SDX_UNSUPPORTED, "%lld classes are too many; at most 65535 are supported",
                             (long long)n);
    sdx_svm_bind(bind, vectors, n, &p->svm);
    p->linear = vectors == 0;
    p->pairs = n * (n - 1) / 2;
    p->columns = p->linear || p->n_prob || n < 3 ? n : p->pairs;
    sdx_svm_length(bind, "prob_b", n_b, (int64_t)p->n_prob);
    if (p->linear && n_rho < 1) sdx_bind_fail(bind, SDX_VALUE, "attribute 'rho' has no entries; it must have 1");
    if (p->linear) return bind->status;
    if (n < 2) sdx_bind_fail(bind, SDX_VALUE, "there is 1 class label; with support vectors there must be 2 or more");
    sdx_svm_length(bind, "rho", n_rho, p->pairs);
    sdx_svm_length(bind, "coefficients", p->svm.n_coefficients, (n - 1) * vectors);
    if (p->n_prob) sdx_svm_length(bind, "prob_a", p->n_prob, p->pairs);
    return bind->status;
}

static sdx_status classifier_infer(sdx_infer *infer, const void *params) {
    const classifier_params *p = params;
    return sdx_ml_infer_classes(infer, &p->labels, p->svm.columns, p->columns);
}

/* Per worker: the scores of the pairs, room for the columns of Z, votes, and the coupling's matrices. */
static int64_t spare_size(const classifier_params *p) {
    const int64_t n = p->labels.n, scores = p->pairs > n ? p->pairs : n;
    return 2 * scores + 4 * n + (p->n_prob ? 2 * n * n : 0) + 2;
}

static int64_t decisions(const classifier_params *p) { return p->linear ? 1 : p->labels.n * (p->labels.n - 1); }

static size_t classifier_scratch(const sdx_infer *infer, const void *params) {
    const classifier_params *p = params;
    const sdx_type *x = infer->in[0];
    const int64_t rows = sdx_ml_rows(x->rank, x->dim), block = sdx_svm_block(&p->svm, rows);
    size_t most = sdx_svm_scratch(infer, &p->svm, block), total = 0;
    for (int64_t i = 0; i < p->labels.n && !p->linear; i++) {
        const size_t size =
            sdx_product_scratch(SDX_F64, 1, block, p->labels.n - 1, p->per_class.data[i], false, false, infer->threads);
        most = size > most ? size : most;
    }
    if (most == SIZE_MAX) return SIZE_MAX;
    if (x->dtype != SDX_F64) sdx_ml_reserve(&total, rows, p->svm.columns, sizeof(double));
    sdx_ml_reserve(&total, block, p->svm.vectors, sizeof(double));
    sdx_ml_reserve(&total, block, decisions(p), sizeof(double));
    sdx_ml_reserve(&total, infer->threads, spare_size(p), sizeof(double));
    sdx_ml_reserve(&total, (int64_t)most, 1, 1);
    return total;
}

typedef struct job {
    const classifier_params *params;
    const double *sums;  /* linear: [rows][classes]; else [class i][rows][classes - 1] */
    int64_t rows, first; /* of this block */
    double *spare;
    const sdx_tensor *y, *z;
} job;

/* The probabilities p of n classes from those of the pairs, r[i][j] = P(i | i or j). q and qp are room. */
static void couple(int64_t n, const double *r, double *q, double *qp, double *p) {
    const double close = 0.005 / (double)n;
    for (int64_t i = 0; i < n; i++) {
        p[i] = 1 / (double)n;
        q[i * n + i] = 0;
        for (int64_t j = 0; j < n; j++) {
            if (j == i) continue;
            q[i * n + i] += r[j * n + i] * r[j * n + i];
            q[i * n + j] = -r[j * n + i] * r[i * n + j];
        }
    }
    for (int64_t round = 0; round < (n > 100 ? n : 100); round++) {
        double whole = 0, worst = 0;
        for (int64_t i = 0; i < n; i++) {
            qp[i] = 0;
            for (int64_t j = 0; j < n; j++) qp[i] += q[i * n + j] * p[j];
            whole += p[i] * qp[i];
        }
        for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs(qp[i] - whole));
        if (worst < close) return;
        for (int64_t i = 0; i < n; i++) {
            const double step = (whole - qp[i]) / q[i * n + i];
            p[i] += step;
            whole = (whole + step * (step * q[i * n + i] + 2 * qp[i])) / (1 + step) / (1 + step);
            for (int64_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + step * q[i * n + j]) / (1 + step);
                p[j] /= 1 + step;
            }
        }
    }
}

/* scores of the pairs -> probabilities of the classes in p; room: 2 n^2 + n numbers. */
static void probabilities(const classifier_params *params, const double *scores, double *p, double *room) {
    const int64_t n = params->labels.n;
    double *r = room, *q = r + n * n;
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++, k++) {
            const double value = -(scores[k] * params->prob_a[k] + params->prob_b[k]);
            r[i * n + j] = fmin(fmax(sdx_ml_logistic(value), 1e-7), 1 - 1e-7);
            r[j * n + i] = 1 - r[i * n + j];
        }
    couple(n, r, q, q + n * n, p);
}

static void vote_row(const job *j, int64_t row, double *spare) {
    const classifier_params *p = j->params;
    const int64_t n = p->labels.n;
    double *scores = spare, *votes = scores + (p->pairs > n ? p->pairs : n) + 2, *room = votes + n;
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) votes[i] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t other = i + 1; other < n; other++, k++) {
            scores[k] = j->sums[(i * j->rows + row) * (n - 1) + other - 1] +
                        j->sums[(other * j->rows + row) * (n - 1) + i] + p->rho[k];
            votes[scores[k] > 0 ? i : other]++;
        }
    sdx_ml_put_label(j->y, j->first + row, &p->labels, sdx_ml_greatest(n, votes));
    if (!j->z) return;
    if (p->n_prob) {
        probabilities(p, scores, votes, room);
        sdx_ml_transform(p->post, n, votes);
        sdx_ml_put_row(j->z, j->first + row, n, votes);
        return;
    }
    if (n == 2)
        sdx_ml_pair(p->post, p->post == SDX_POST_NONE, scores[0], scores);
    else
        sdx_ml_transform(p->post, p->pairs, scores);
    sdx_ml_put_row(j->z, j->first + row, p->columns, scores);
}

static void finish(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const classifier_params *p = j->params;
    const int64_t n = p->labels.n;
    double *spare = j->spare + worker * spare_size(p);
    for (int64_t row = begin; row < end; row++) {
        if (!p->linear) {
            vote_row(j, row, spare);
            continue;
        }
        for (int64_t c = 0; c < n; c++) spare[c] = j->sums[row * n + c] + p->rho[0];
        sdx_ml_put_label(j->y, j->first + row, &p->labels, n == 1 ? 1 : sdx_ml_greatest(n, spare));
        sdx_ml_transform(p->post, n, spare);
        sdx_ml_put_row(j->z, j->first + row, n, spare);
    }
}

/* sums[i] = kernels of the vectors of class i times their coefficients against each other class. */
static sdx_status decide(sdx_compute *compute, const classifier_params *p, const double *k, int64_t rows, double *sums,
                         char *room) {
    const int64_t n = p->labels.n, vectors = p->svm.vectors;
    int64_t start = 0;
    for (int64_t i = 0; i < n; start += p->per_class.data[i++]) {
        double *to = sums + i * rows * (n - 1);
        for (int64_t at = 0; at < rows * (n - 1) && rows < SDX_SVM_FEW; at++)
            sdx_svm_sum(k + at / (n - 1) * vectors + start, p->svm.coefficients + at % (n - 1) * vectors + start,
                        p->per_class.data[i], to + at);
        if (rows < SDX_SVM_FEW) continue;
        sdx_product product = {
            .dtype = SDX_F64, .m = rows, .n = n - 1, .k = p->per_class.data[i], .alpha = 1, .beta = 1};
        product.a = (sdx_factor){.data = k + start, .line_step = vectors, .k_step = 1};
        product.b = (sdx_factor){.data = p->svm.coefficients + start, .line_step = vectors, .k_step = 1};
        product.c = to;
        SDX_TRY(sdx_product_run(compute, &product, room));
    }
    return SDX_OK;
}

static sdx_status classifier_compute(sdx_compute *compute, const void *params) {
    const classifier_params *p = params;
    const sdx_tensor *x = compute->in[0];
    const int64_t rows = sdx_ml_rows(x->rank, x->dim), block = sdx_svm_block(&p->svm, rows);
    char *room = compute->scratch;
    job j = {.params = p};
    SDX_TRY(sdx_ml_class_outputs(compute, p->columns, &j.y, &j.z));
    if (rows == 0) return SDX_OK;
    const double *data = sdx_ml_elements(compute, x, SDX_F64, &room);
    if (!data) return compute->error->status;
    double *k = sdx_ml_take(&room, block, p->svm.vectors, sizeof *k);
    double *sums = sdx_ml_take(&room, block, decisions(p), sizeof *sums);
    j.spare = sdx_ml_take(&room, sdx_pool_threads(compute->pool), spare_size(p), sizeof *j.spare);
    j.sums = p->linear ? k : sums;
    for (j.first = 0; j.first < rows; j.first += block) {
        j.rows = rows - j.first < block ? rows - j.first : block;
        SDX_TRY(sdx_svm_kernels(compute, &p->svm, data + j.first * p->svm.columns, j.rows, k, room));
        if (!p->linear) SDX_TRY(decide(compute, p, k, j.rows, sums, room));
        SDX_TRY(sdx_for(compute, j.rows, sdx_grain(32 * (p->pairs + p->labels.n)), finish, &j));
    }
    return SDX_OK;
}

const sdx_op sdx_op_SVMClassifier = {
    .domain = SDX_ML,
    .name = "SVMClassifier",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T1 -> Y:T2 Z:f32", "T1=" SDX_T_ML " T2=i64|string",
             "classlabels_ints:ints classlabels_strings:strings coefficients:floats kernel_params:floats "
             "kernel_type:string=LINEAR post_transform:string=NONE prob_a:floats prob_b:floats rho:floats "
             "support_vectors:floats vectors_per_class:ints"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(classifier_params),
    .bind = classifier_bind,
    .infer = classifier_infer,
    .scratch = classifier_scratch,
    .compute = classifier_compute,
    .grad = sdx_no_gradient,
};
