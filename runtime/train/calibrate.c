/* SPDX-License-Identifier: Apache-2.0
 * An inserted BatchNormalization starts as the statistics of its input, with the scale and bias that undo them: mean m,
 * variance v, scale (v + epsilon)^.5, bias m. Each leaves the output as it is, so one pass finds them all. Where none
 * was inserted, running statistics become those of the batch: the training form once, with momentum 0. */
#include "runtime/train/trainer.h"
#include <math.h>
#include <stdlib.h>

static sdx_id mean_of(sdx_patch *patch, sdx_id x, const int64_t *axes, size_t n, int64_t keepdims) {
    sdx_id in[2] = {x, sdx_patch_i64s(patch, axes, n)};
    sdx_node *node = sdx_patch_node(patch, "", "ReduceMean", 2, in, 1);
    sdx_patch_int(patch, node, "keepdims", keepdims);
    return node->out[0];
}

static sdx_status emit_statistics(sdx_builder *b) {
    const sdx_prepared *prepared = b->trainer->prepared;
    for (int k = 0; k < prepared->n_inserted; k++) {
        sdx_id x = prepared->inserted[k].input;
        const sdx_type *type = &b->graph->values[x].type;
        int64_t axes[SDX_MAX_RANK];
        size_t n = 0;
        if (type->rank < 2)
            return sdx_fail(b->error, SDX_UNSUPPORTED, "the rank of '%s' must be known, and at least 2, to calibrate",
                            b->graph->values[x].name);
        for (int d = 0; d < type->rank; d++)
            if (d != 1) axes[n++] = d;
        sdx_id centred = sdx_emit2(&b->patch, "Sub", x, mean_of(&b->patch, x, axes, n, 1));
        sdx_id squared = sdx_emit2(&b->patch, "Mul", centred, centred);
        sdx_builder_output(b, (sdx_port){SDX_PORT_OUTPUT, 2 * k, 0}, mean_of(&b->patch, x, axes, n, 0), NULL);
        sdx_builder_output(b, (sdx_port){SDX_PORT_OUTPUT, 2 * k + 1, 0}, mean_of(&b->patch, squared, axes, n, 0), NULL);
    }
    return b->patch.status;
}

static sdx_status emit_running(sdx_builder *b) {
    const sdx_prepared *prepared = b->trainer->prepared;
    SDX_TRY(sdx_builder_tie_training(b));
    for (int v = 0, n = 0; v < prepared->n_variables; v++) {
        sdx_id next = prepared->variables[v].next;
        if (next == SDX_NONE) continue;
        const sdx_node *old = b->graph->nodes[b->graph->values[next].producer];
        static const char *const momentum[] = {"momentum"};
        sdx_node *fresh = sdx_patch_node(&b->patch, old->domain, old->op_type, old->n_in, old->in, 1);
        sdx_patch_attrs_of(&b->patch, fresh, old, momentum, 1);
        sdx_patch_float(&b->patch, fresh, "momentum", 0);
        sdx_builder_output(b, (sdx_port){SDX_PORT_OUTPUT, n++, 0}, fresh->out[0], NULL);
    }
    return b->patch.status;
}

static void put(const sdx_tensor *tensor, int64_t i, double x) {
    if (tensor->dtype == SDX_F64)
        ((double *)tensor->data)[i] = x;
    else
        ((float *)tensor->data)[i] = (float)x;
}

/* New values of a variable: in `next`, until all are there. */
static sdx_status set_next(sdx_trainer *t, int variable, const sdx_tensor *from, double add, bool root,
                           sdx_error *error) {
    sdx_cell *cell = &t->variables[variable];
    const sdx_tensor *like = &cell->now->tensor;
    if (like->count != from->count || (like->dtype != SDX_F32 && like->dtype != SDX_F64) ||
        (from->dtype != SDX_F32 && from->dtype != SDX_F64))
        return sdx_fail(error, SDX_UNSUPPORTED, "'%s' cannot be calibrated: it must be f32 or f64",
                        t->infos[variable].name);
    sdx_value_release(cell->next);
    cell->next = sdx_value_new_tensor(t->memory, like->dtype, like->rank, like->dim, error);
    if (!cell->next) return error->status;
    for (int64_t i = 0; i < like->count; i++) {
        double x = sdx_trainer_element(from, i) + add;
        put(&cell->next->tensor, i, root ? sqrt(x) : x);
    }
    return SDX_OK;
}

static sdx_status take_running(sdx_trainer *t, sdx_value *const *statistics, sdx_error *error) {
    const sdx_prepared *prepared = t->prepared;
    for (int v = 0, n = 0; v < prepared->n_variables; v++)
        if (prepared->variables[v].next != SDX_NONE) SDX_TRY(set_next(t, v, &statistics[n++]->tensor, 0, false, error));
    for (int v = 0; v < prepared->n_variables; v++)
        if (prepared->variables[v].next != SDX_NONE) sdx_cell_advance(&t->variables[v], t->memory);
    return SDX_OK;
}

static sdx_status take_statistics(sdx_trainer *t, sdx_value *const *statistics, sdx_error *error) {
    const sdx_prepared *prepared = t->prepared;
    for (int k = 0; k < prepared->n_inserted; k++) {
        const sdx_inserted_norm *norm = &prepared->inserted[k];
        const sdx_tensor *mean = &statistics[2 * k]->tensor, *var = &statistics[2 * k + 1]->tensor;
        SDX_TRY(set_next(t, norm->mean, mean, 0, false, error));
        SDX_TRY(set_next(t, norm->bias, mean, 0, false, error));
        SDX_TRY(set_next(t, norm->var, var, 0, false, error));
        SDX_TRY(set_next(t, norm->scale, var, norm->epsilon, true, error));
    }
    for (int k = 0; k < prepared->n_inserted; k++) {
        const sdx_inserted_norm *norm = &prepared->inserted[k];
        const int moved[] = {norm->mean, norm->bias, norm->var, norm->scale};
        for (int m = 0; m < 4; m++) sdx_cell_advance(&t->variables[moved[m]], t->memory);
    }
    return SDX_OK;
}

static sdx_status build(sdx_trainer *t, sdx_program *program, sdx_error *error) {
    sdx_builder b;
    bool inserted = t->prepared->n_inserted > 0;
    sdx_status status =
        sdx_builder_begin(&b, t, inserted ? t->prepared->inference : t->prepared->training, NULL, error);
    if (!status && inserted) status = sdx_builder_free_variables(&b, NULL);
    if (!status) status = inserted ? emit_statistics(&b) : emit_running(&b);
    if (!status) status = sdx_builder_finish(&b, program);
    sdx_builder_drop(&b);
    return status;
}

sdx_status sdx_trainer_take_calibration(sdx_trainer *t, sdx_error *error) {
    sdx_error own = {0};
    sdx_program program = {.model = NULL};
    bool inserted = t->prepared->n_inserted > 0;
    size_t n = 2 * (size_t)t->prepared->n_inserted;
    if (!error) error = &own;
    for (int v = 0; !inserted && v < t->prepared->n_variables; v++) n += t->prepared->variables[v].next != SDX_NONE;
    if (n == 0)
        return sdx_fail(error, SDX_ARGUMENT,
                        "there is nothing to calibrate: no BatchNormalization was inserted or follows its batches");
    if (inserted && (t->schedule.step > 0 || t->micro > 0))
        return sdx_fail(error, SDX_ARGUMENT, "calibration of what was inserted comes before the first step");
    sdx_value **statistics = calloc(n, sizeof *statistics + sizeof(bool));
    if (!statistics) return sdx_fail(error, SDX_OUT_OF_MEMORY, "room for %zu tensors asked for", n);
    bool *wanted = (bool *)(statistics + n);
    for (size_t k = 0; k < n; k++) wanted[k] = true;
    sdx_status status = build(t, &program, error);
    if (!status) status = sdx_program_run(t, &program, &t->batch, NULL, wanted, statistics, error);
    if (!status) status = inserted ? take_statistics(t, statistics, error) : take_running(t, statistics, error);
    for (size_t k = 0; k < n; k++) sdx_value_release(statistics[k]);
    free(statistics);
    sdx_program_clear(&program);
    return status;
}
