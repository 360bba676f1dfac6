/* SPDX-License-Identifier: Apache-2.0
 * The table of optimizers: defaults, and the state that each keeps under PyTorch's names. A step is one OptimizerUpdate
 * node (ops/training/optimizer_update.c). */
#include "runtime/train/train.h"
#include <math.h>

enum { SETTINGS = 10 };

typedef struct kind_row {
    const char *kind;
    double lr, betas[2], eps, weight_decay;
    bool decoupled;
} kind_row;

static const kind_row *row_of(sdx_optimizer_kind kind) {
    static const kind_row rows[] = {
        [SDX_OPTIMIZER_SGD] = {"sgd", 1e-3, {0}, 0, 0, false},
        [SDX_OPTIMIZER_ADAM] = {"adam", 1e-3, {.9, .999}, 1e-8, 0, false},
        [SDX_OPTIMIZER_ADAMW] = {"adam", 1e-3, {.9, .999}, 1e-8, .01, true},
        [SDX_OPTIMIZER_ADAGRAD] = {"adagrad", 1e-2, {0}, 1e-10, 0, false},
        [SDX_OPTIMIZER_RMSPROP] = {"rmsprop", 1e-2, {0, .99}, 1e-8, 0, false},
        [SDX_OPTIMIZER_LION] = {"lion", 1e-4, {.9, .99}, 0, 0, true},
        [SDX_OPTIMIZER_LAMB] = {"lamb", 1e-3, {.9, .999}, 1e-6, 0, true},
    };
    return &rows[kind ? kind : SDX_OPTIMIZER_ADAM];
}

static bool share(double x) { return x >= 0 && x < 1; }

sdx_status sdx_optimizer_base(const sdx_optimizer_options *o, double *lr, double *weight_decay, sdx_error *error) {
    if (o->kind < 0 || o->kind > SDX_OPTIMIZER_LAMB)
        return sdx_fail(error, SDX_VALUE, "optimizer: kind %d does not exist", (int)o->kind);
    const kind_row *row = row_of(o->kind);
    const double beta1 = sdx_given(o->betas[0], row->betas[0]), beta2 = sdx_given(o->betas[1], row->betas[1]);
    const double momentum = sdx_given(o->momentum, 0), alpha = sdx_given(o->alpha, .99),
                 eps = sdx_given(o->eps, row->eps);
    const double dampening = sdx_given(o->dampening, 0), start = sdx_given(o->initial_accumulator, 0);
    *lr = sdx_given(o->lr, row->lr);
    *weight_decay = o->has_weight_decay ? o->weight_decay : row->weight_decay;
    if (!(*lr >= 0) || !isfinite(*lr))
        return sdx_fail(error, SDX_VALUE, "optimizer: lr is %g; it must be at least 0", *lr);
    if (!(*weight_decay >= 0) || !isfinite(*weight_decay))
        return sdx_fail(error, SDX_VALUE, "optimizer: weight_decay is %g; it must be at least 0", *weight_decay);
    if (!share(beta1) || !share(beta2))
        return sdx_fail(error, SDX_VALUE, "optimizer: betas are %g and %g; they must be in [0, 1)", beta1, beta2);
    if (!share(momentum))
        return sdx_fail(error, SDX_VALUE, "optimizer: momentum is %g; it must be in [0, 1)", momentum);
    if (!share(dampening))
        return sdx_fail(error, SDX_VALUE, "optimizer: dampening is %g; it must be in [0, 1)", dampening);
    if (!share(alpha)) return sdx_fail(error, SDX_VALUE, "optimizer: alpha is %g; it must be in [0, 1)", alpha);
    if (!(eps >= 0)) return sdx_fail(error, SDX_VALUE, "optimizer: eps is %g; it must be at least 0", eps);
    if (!(sdx_given(o->lr_decay, 0) >= 0))
        return sdx_fail(error, SDX_VALUE, "optimizer: lr_decay is %g; it must be at least 0", o->lr_decay);
    if (!(start >= 0))
        return sdx_fail(error, SDX_VALUE, "optimizer: initial_accumulator is %g; it must be at least 0", start);
    if (o->nesterov && (momentum == 0 || dampening != 0))
        return sdx_fail(error, SDX_VALUE, "optimizer: nesterov needs a momentum, and no dampening");
    return SDX_OK;
}

int sdx_optimizer_slots(const sdx_optimizer_options *o, const char *names[SDX_MOST_SLOTS],
                        double fill[SDX_MOST_SLOTS]) {
    int n = 0;
    for (int k = 0; k < SDX_MOST_SLOTS; k++) names[k] = NULL, fill[k] = 0;
    switch (o->kind ? o->kind : SDX_OPTIMIZER_ADAM) {
    case SDX_OPTIMIZER_SGD:
        if (sdx_given(o->momentum, 0) != 0) names[n++] = "momentum_buffer";
        break;
    case SDX_OPTIMIZER_ADAM:
    case SDX_OPTIMIZER_ADAMW:
        names[n++] = "exp_avg";
        names[n++] = "exp_avg_sq";
        if (o->amsgrad) names[n++] = "max_exp_avg_sq";
        break;
    case SDX_OPTIMIZER_ADAGRAD:
        fill[n] = sdx_given(o->initial_accumulator, 0);
        names[n++] = "sum";
        break;
    case SDX_OPTIMIZER_RMSPROP:
        names[n++] = "square_avg";
        if (o->centered) names[n++] = "grad_avg";
        if (sdx_given(o->momentum, 0) != 0) names[n++] = "momentum_buffer";
        break;
    case SDX_OPTIMIZER_LION: names[n++] = "exp_avg"; break;
    case SDX_OPTIMIZER_LAMB:
        names[n++] = "exp_avg";
        names[n++] = "exp_avg_sq";
        break;
    }
    return n;
}

static void put_settings(sdx_patch *patch, sdx_node *node, const sdx_optimizer_options *o, const sdx_update *update) {
    const kind_row *row = row_of(o->kind);
    const bool rmsprop = o->kind == SDX_OPTIMIZER_RMSPROP;
    double settings[SETTINGS] = {sdx_given(o->betas[0], row->betas[0]),
                                 rmsprop ? sdx_given(o->alpha, row->betas[1]) : sdx_given(o->betas[1], row->betas[1]),
                                 sdx_given(o->momentum, 0),
                                 sdx_given(o->dampening, 0),
                                 sdx_given(o->eps, row->eps),
                                 sdx_given(o->lr_decay, 0),
                                 update->weight_decay,
                                 update->prox.l1,
                                 update->prox.l2,
                                 update->prox.l2norm};
    if (patch->status != SDX_OK) return;
    const sdx_tensor tensor = {.dtype = SDX_F64, .rank = 1, .dim = {SETTINGS}, .count = SETTINGS, .data = settings};
    sdx_value *value = sdx_value_copy_tensor(patch->graph->arena->memory, &tensor, patch->error);
    if (!value) {
        patch->status = SDX_OUT_OF_MEMORY;
        return;
    }
    sdx_patch_attr(patch, node, &(sdx_attr){.name = "settings", .type = SDX_ATTR_TENSOR, .n = 1, .value = value});
    sdx_value_release(value);
}

sdx_status sdx_optimizer_emit(sdx_patch *patch, const sdx_optimizer_options *o, sdx_update *update) {
    const kind_row *row = row_of(o->kind);
    const char *names[SDX_MOST_SLOTS];
    double fill[SDX_MOST_SLOTS];
    const int slots = sdx_optimizer_slots(o, names, fill);
    sdx_id in[4 + SDX_MOST_SLOTS] = {update->w, update->g, update->lr, update->step};
    for (int k = 0; k < slots; k++) in[4 + k] = update->slot[k];
    sdx_node *node = sdx_patch_node(patch, "sdx", "OptimizerUpdate", 4 + slots, in, 1 + slots);
    sdx_patch_string(patch, node, "kind", row->kind);
    if (row->decoupled) sdx_patch_int(patch, node, "decoupled", 1);
    if (o->nesterov && o->kind == SDX_OPTIMIZER_SGD) sdx_patch_int(patch, node, "nesterov", 1);
    if (o->centered && o->kind == SDX_OPTIMIZER_RMSPROP) sdx_patch_int(patch, node, "centered", 1);
    if (o->amsgrad && (o->kind == SDX_OPTIMIZER_ADAM || o->kind == SDX_OPTIMIZER_ADAMW || !o->kind))
        sdx_patch_int(patch, node, "amsgrad", 1);
    put_settings(patch, node, o, update);
    update->new_w = node->out[0];
    for (int k = 0; k < slots; k++) update->new_slot[k] = node->out[1 + k];
    return patch->status;
}
