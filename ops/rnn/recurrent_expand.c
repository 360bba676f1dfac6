/* SPDX-License-Identifier: Apache-2.0
 * LSTMGrad, GRUGrad and RNNGrad as standard operators, one direction after the other, in any number of steps. Sequences
 * are turned so that the step that was last comes first; ReverseSequence turns those of different lengths, so that what
 * is behind their ends always lies at the same side. */
#include "ops/loop.h"
#include "ops/rnn/nodes.h"
#include <string.h>

enum { X, W, R, B, LENS, H0, C0, P, Y, DY, DY_H, DY_C, INPUTS };
enum { DX, DW, DR, DB, DH0, DC0, DP, OUTPUTS };
enum { PEEPHOLES = 3 };

typedef struct expansion {
    sdx_patch *patch;
    const sdx_recurrent_params *p;
    sdx_dtype work;
    sdx_id in[INPUTS]; /* in the work dtype, X with the steps first; lengths in i64 */
    bool wanted[OUTPUTS];
    int direction;
    bool reverse; /* this direction */
    sdx_id x, w, r, y;
    sdx_cell_nodes cell;
    sdx_id dx[SDX_GATES]; /* of all steps */
    sdx_id out[OUTPUTS][SDX_DIRECTIONS];
} expansion;

/* ---- short forms ------------------------------------------------------------------------------------------------- */

static sdx_id transpose(sdx_patch *patch, sdx_id v, const int64_t *perm, size_t n) {
    sdx_node *node = sdx_patch_node(patch, "", "Transpose", 1, &v, 1);
    sdx_patch_ints(patch, node, "perm", perm, n);
    return node->out[0];
}

static sdx_id across(sdx_patch *patch, sdx_id matrix) { return transpose(patch, matrix, (int64_t[]){1, 0}, 2); }

static sdx_id steps_first(sdx_patch *patch, sdx_id v) { return transpose(patch, v, (int64_t[]){1, 0, 2}, 3); }

static sdx_id concat(sdx_patch *patch, int64_t axis, int n, const sdx_id *parts) {
    if (n == 1) return parts[0];
    sdx_node *node = sdx_patch_node(patch, "", "Concat", n, parts, 1);
    sdx_patch_int(patch, node, "axis", axis);
    return node->out[0];
}

static void split(sdx_patch *patch, sdx_id v, int64_t axis, int n, sdx_id *parts) {
    if (n == 1) {
        parts[0] = v;
        return;
    }
    sdx_node *node = sdx_patch_node(patch, "", "Split", 1, &v, n);
    sdx_patch_int(patch, node, "axis", axis);
    sdx_patch_int(patch, node, "num_outputs", n);
    memcpy(parts, node->out, (size_t)n * sizeof *parts);
}

static sdx_id unsqueeze(sdx_patch *patch, sdx_id v, int64_t axis) {
    return sdx_emit2(patch, "Unsqueeze", v, sdx_patch_i64s(patch, &axis, 1));
}

/* This direction of input k; SDX_NONE where there is none. */
static sdx_id own(const expansion *e, int k, int64_t axis) {
    if (e->in[k] == SDX_NONE) return SDX_NONE;
    return sdx_emit_int(e->patch, "Gather", e->in[k], sdx_patch_scalar(e->patch, SDX_I64, e->direction), "axis", axis);
}

static sdx_id own_states(const expansion *e, int k) { /* Y and its gradient: [steps, batch, hidden] */
    if (e->in[k] == SDX_NONE || !e->p->batch_first) return own(e, k, 1);
    return steps_first(e->patch, own(e, k, 2));
}

static sdx_id own_state(const expansion *e, int k) {
    if (e->in[k] != SDX_NONE) return own(e, k, e->p->batch_first);
    sdx_id shape = sdx_emit_int(e->patch, "Shape", e->y, SDX_NONE, "start", 1);
    return sdx_emit2(e->patch, "Expand", sdx_patch_scalar(e->patch, e->work, 0), shape);
}

/* ---- the order of steps ------------------------------------------------------------------------------------------ */

static sdx_id turn(const expansion *e, sdx_id v) {
    sdx_node *node = sdx_patch_node(e->patch, "", "ReverseSequence", 2, (sdx_id[]){v, e->in[LENS]}, 1);
    sdx_patch_int(e->patch, node, "time_axis", 0);
    sdx_patch_int(e->patch, node, "batch_axis", 1);
    return node->out[0];
}

static sdx_id last_first(const expansion *e, sdx_id v) {
    if (v == SDX_NONE || (e->reverse && e->in[LENS] == SDX_NONE)) return v;
    return sdx_steps_flip(e->patch, e->reverse ? turn(e, v) : v);
}

static sdx_id as_given(const expansion *e, sdx_id v) {
    if (e->reverse && e->in[LENS] == SDX_NONE) return v;
    v = sdx_steps_flip(e->patch, v);
    return e->reverse ? turn(e, v) : v;
}

/* [steps, batch, 1]: step < length, the last step first */
static sdx_id valid_steps(const expansion *e) {
    if (e->in[LENS] == SDX_NONE) return SDX_NONE;
    sdx_patch *patch = e->patch;
    const sdx_id one = sdx_patch_scalar(patch, SDX_I64, 1), minus = sdx_patch_scalar(patch, SDX_I64, -1);
    sdx_id steps = sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", e->x), sdx_patch_scalar(patch, SDX_I64, 0));
    sdx_id step = sdx_emit3(patch, "Range", sdx_emit2(patch, "Sub", steps, one), minus, minus);
    sdx_id valid = sdx_emit2(patch, "Less", unsqueeze(patch, step, 1), unsqueeze(patch, e->in[LENS], 0));
    return unsqueeze(patch, valid, 2);
}

/* ---- what the forward operator had ------------------------------------------------------------------------------- */

/* The state before each step: the states, moved by one. */
static sdx_id states_before(const expansion *e, sdx_id h0) {
    sdx_patch *patch = e->patch;
    const sdx_id all = concat(patch, 0, 2, (sdx_id[]){last_first(e, e->y), unsqueeze(patch, h0, 0)});
    const sdx_id in[4] = {all, sdx_patch_i64s(patch, (int64_t[]){1}, 1),
                          sdx_patch_i64s(patch, (int64_t[]){INT64_MAX}, 1), sdx_patch_i64s(patch, (int64_t[]){0}, 1)};
    return sdx_patch_node(patch, "", "Slice", 4, in, 1)->out[0];
}

/* Wb + Rb goes with X; but Rb with the state where a reset comes after the product. */
static void make_gates(expansion *e) {
    sdx_patch *patch = e->patch;
    sdx_cell_nodes *c = &e->cell;
    const int gates = e->p->cell->gates, last = gates - 1;
    sdx_id from_x = sdx_emit2(patch, "MatMul", e->x, across(patch, e->w)), b = own(e, B, 0), bias[2], h[SDX_GATES];
    sdx_id from_h = sdx_emit2(patch, "MatMul", c->h, across(patch, e->r));
    if (b != SDX_NONE) {
        split(patch, b, 0, 2, bias);
        from_x = sdx_emit2(patch, "Add", from_x, bias[0]);
        sdx_id *with = e->p->linear_before_reset ? &from_h : &from_x;
        *with = sdx_emit2(patch, "Add", *with, bias[1]);
    }
    if (!e->p->cell->has_extra) {
        split(patch, sdx_emit2(patch, "Add", from_x, from_h), 2, gates, c->x);
        return;
    }
    split(patch, from_x, 2, gates, c->x);
    split(patch, from_h, 2, gates, h);
    for (int g = 0; g < last; g++) c->x[g] = sdx_emit2(patch, "Add", c->x[g], h[g]);
    c->extra = h[last];
}

static sdx_type row_type(const expansion *e, const sdx_type *y) {
    sdx_type row = sdx_type_make(e->work, 2);
    if (y->rank == 4) row.dim[0] = y->dim[e->p->batch_first ? 0 : 2], row.dim[1] = y->dim[3];
    return row;
}

static void read_direction(expansion *e) {
    sdx_patch *patch = e->patch;
    const sdx_recurrent_params *p = e->p;
    sdx_cell_nodes *c = &e->cell;
    sdx_id r[SDX_GATES], peepholes = own(e, P, 0);
    const sdx_type row = c->row;
    *c = (sdx_cell_nodes){.patch = patch, .p = p, .dtype = e->work, .row = row};
    c->f = p->activation + e->direction * p->cell->functions;
    for (int k = 0; k < PEEPHOLES; k++) c->peephole[k] = SDX_NONE;
    if (peepholes != SDX_NONE) split(patch, peepholes, 0, PEEPHOLES, c->peephole);
    e->w = own(e, W, 0);
    e->r = own(e, R, 0);
    e->y = own_states(e, Y);
    e->x = last_first(e, e->in[X]);
    split(patch, e->r, 0, p->cell->gates, r);
    c->r_last = r[p->cell->gates - 1];
    c->valid = valid_steps(e);
    c->h = states_before(e, own_state(e, H0));
    if (p->cell->has_c) c->c0 = own_state(e, C0);
    make_gates(e);
}

/* ---- back in time ------------------------------------------------------------------------------------------------ */

static bool apart(const expansion *e) { return e->p->cell->phases && e->p->cell->phases(e->p) > 1; }

/* Where a sequence is over, dH goes on as it is; GRU says so by its update gate. */
static sdx_id over(const expansion *e) {
    if (e->cell.valid == SDX_NONE || e->p->cell->has_extra) return SDX_NONE;
    return sdx_emit_cast(e->patch, sdx_emit1(e->patch, "Not", e->cell.valid), SDX_BOOL, e->work);
}

static sdx_id sum(sdx_patch *patch, sdx_id a, sdx_id b) { return b == SDX_NONE ? a : sdx_emit2(patch, "Add", a, b); }

/* The rows of R that the first n gates meet. */
static sdx_id first_rows(const expansion *e, int n) {
    sdx_id r[SDX_GATES];
    if (n == e->p->cell->gates) return e->r;
    split(e->patch, e->r, 0, e->p->cell->gates, r);
    return concat(e->patch, 0, n, r);
}

/* dH before: what the gates send through R, what goes past them, and what a sequence that is over hands on. */
static sdx_id state_before(const expansion *e, sdx_cell_step *s, sdx_id reset, sdx_id r, sdx_id over_now) {
    sdx_patch *patch = s->patch;
    const int gates = e->p->cell->gates, n = apart(e) ? gates - 1 : gates;
    sdx_id d[SDX_GATES];
    memcpy(d, s->dx, sizeof d);
    if (e->p->linear_before_reset) d[gates - 1] = sdx_emit2(patch, "Mul", d[gates - 1], reset);
    sdx_id dh = sum(patch, sdx_emit2(patch, "MatMul", concat(patch, 1, n, d), r), s->past);
    return over_now == SDX_NONE ? dh : sum(patch, dh, sdx_emit2(patch, "Mul", s->dh, over_now));
}

static sdx_status go_back(expansion *e) {
    const sdx_cell *cell = e->p->cell;
    const sdx_type *row = &e->cell.row;
    sdx_type column = *row;
    sdx_cell_loop loop;
    sdx_node *node = NULL;
    sdx_cell_step s = {.cell = &e->cell, .dc = SDX_NONE, .past = SDX_NONE};
    sdx_id dy = last_first(e, own_states(e, DY)), ends = over(e), dh_end = own_state(e, DY_H), reset = SDX_NONE;
    const sdx_id dc_end = cell->has_c ? own_state(e, DY_C) : SDX_NONE;
    const sdx_id r = first_rows(e, apart(e) ? cell->gates - 1 : cell->gates);
    if (dy != SDX_NONE) dy = sdx_cell_masked(&e->cell, dy, 0);
    column.dim[1] = 1;
    SDX_TRY(sdx_cell_loop_begin(&loop, e->patch, "step_back"));
    s.dh = sdx_cell_loop_state(&loop, dh_end, row);
    if (cell->has_c) s.dc = sdx_cell_loop_state(&loop, dc_end, row);
    for (int k = 0; k < e->cell.n_factors; k++) s.factor[k] = sdx_cell_loop_scan(&loop, e->cell.factor[k], row);
    if (e->p->linear_before_reset) reset = sdx_cell_loop_scan(&loop, e->cell.reset, row);
    if (dy != SDX_NONE) dy = sdx_cell_loop_scan(&loop, dy, row);
    if (ends != SDX_NONE) ends = sdx_cell_loop_scan(&loop, ends, &column);
    for (int k = 0; k < PEEPHOLES; k++) s.peephole[k] = sdx_cell_loop_capture(&loop, e->cell.peephole[k]);
    if (apart(e)) s.r_last = sdx_cell_loop_capture(&loop, e->cell.r_last);
    s.patch = &loop.patch;
    s.dh = sum(s.patch, s.dh, dy);
    cell->step_nodes(&s);
    sdx_cell_loop_output(&loop, state_before(e, &s, reset, sdx_cell_loop_capture(&loop, r), ends));
    if (cell->has_c) sdx_cell_loop_output(&loop, s.dc);
    for (int g = 0; g < cell->gates; g++) sdx_cell_loop_output(&loop, s.dx[g]);
    SDX_TRY(sdx_cell_loop_end(&loop, &node));
    e->out[DH0][e->direction] = node->out[0];
    if (cell->has_c) e->out[DC0][e->direction] = node->out[1];
    memcpy(e->dx, node->out + (cell->has_c ? 2 : 1), (size_t)cell->gates * sizeof *e->dx);
    return SDX_OK;
}

/* ---- what the gradients of the gates give ------------------------------------------------------------------------ */

/* [lines of d, columns of with]: a sum over steps and batch */
static sdx_id weights(sdx_patch *patch, sdx_id d, sdx_id with) {
    sdx_id rows = sdx_emit_int(patch, "Flatten", d, SDX_NONE, "axis", 2);
    return sdx_emit2(patch, "MatMul", across(patch, rows), sdx_emit_int(patch, "Flatten", with, SDX_NONE, "axis", 2));
}

static sdx_id sum_rows(sdx_patch *patch, sdx_id v) {
    return sdx_emit_int(patch, "ReduceSum", v, sdx_patch_i64s(patch, (int64_t[]){0, 1}, 2), "keepdims", 0);
}

static sdx_id peephole_sums(const expansion *e) { /* in the order i, o, f, as the gates */
    const sdx_id state[PEEPHOLES] = {e->cell.c, e->cell.c_new, e->cell.c};
    sdx_id sums[PEEPHOLES];
    for (int k = 0; k < PEEPHOLES; k++) {
        const sdx_id met = sdx_cell_masked(&e->cell, state[k], 0);
        sums[k] = sum_rows(e->patch, sdx_emit2(e->patch, "Mul", e->dx[k], met));
    }
    return concat(e->patch, 0, PEEPHOLES, sums);
}

static sdx_id of_r(const expansion *e, const sdx_id *met) {
    const int gates = e->p->cell->gates;
    if (!apart(e)) return weights(e->patch, concat(e->patch, 2, gates, met), e->cell.h);
    const sdx_id parts[2] = {weights(e->patch, concat(e->patch, 2, gates - 1, met), e->cell.h),
                             weights(e->patch, met[gates - 1], e->cell.extra)};
    return concat(e->patch, 0, 2, parts);
}

static void give(expansion *e) {
    sdx_patch *patch = e->patch;
    const int d = e->direction, gates = e->p->cell->gates, last = gates - 1;
    const sdx_id all = concat(patch, 2, gates, e->dx);
    sdx_id met[SDX_GATES]; /* gradients of the products with R */
    memcpy(met, e->dx, sizeof met);
    if (e->p->linear_before_reset) met[last] = sdx_emit2(patch, "Mul", e->dx[last], e->cell.reset);
    if (e->wanted[DX]) e->out[DX][d] = as_given(e, sdx_emit2(patch, "MatMul", all, e->w));
    if (e->wanted[DW]) e->out[DW][d] = weights(patch, all, e->x);
    if (e->wanted[DR]) e->out[DR][d] = of_r(e, met);
    if (e->wanted[DB]) {
        const sdx_id sums[2] = {sum_rows(patch, all), sum_rows(patch, concat(patch, 2, gates, met))};
        e->out[DB][d] = concat(patch, 0, 2, sums);
    }
    if (e->wanted[DP]) e->out[DP][d] = peephole_sums(e);
}

static sdx_id joined(const expansion *e, int k) {
    const int64_t axis = e->p->batch_first && (k == DH0 || k == DC0);
    sdx_id parts[SDX_DIRECTIONS];
    if (k == DX) {
        const sdx_id dx = sum(e->patch, e->out[DX][0], e->p->directions > 1 ? e->out[DX][1] : SDX_NONE);
        return e->p->batch_first ? steps_first(e->patch, dx) : dx;
    }
    for (int d = 0; d < e->p->directions; d++) parts[d] = unsqueeze(e->patch, e->out[k][d], axis);
    return concat(e->patch, axis, e->p->directions, parts);
}

sdx_status sdx_recurrent_grad_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const sdx_dtype dtype = sdx_grad_type(patch, node->in[X])->dtype;
    expansion e = {.patch = patch, .p = params, .work = sdx_work_dtype(dtype)};
    e.cell.row = row_type(&e, sdx_grad_type(patch, node->in[Y]));
    for (int k = 0; k < INPUTS; k++) {
        e.in[k] = k < node->n_in ? node->in[k] : SDX_NONE;
        if (e.in[k] == SDX_NONE) continue;
        e.in[k] =
            k == LENS ? sdx_emit_cast(patch, e.in[k], SDX_I32, SDX_I64) : sdx_emit_cast(patch, e.in[k], dtype, e.work);
    }
    if (e.p->batch_first) e.in[X] = steps_first(patch, e.in[X]);
    for (int k = 0; k < node->n_out && k < OUTPUTS; k++)
        e.wanted[k] = node->out[k] != SDX_NONE && e.in[sdx_recurrent_gradient_of[k]] != SDX_NONE;
    for (e.direction = 0; e.direction < e.p->directions; e.direction++) {
        e.reverse = e.direction == 1 || e.p->reverse;
        read_direction(&e);
        SDX_TRY(e.p->cell->nodes(&e.cell));
        SDX_TRY(go_back(&e));
        give(&e);
    }
    for (int k = 0; k < OUTPUTS; k++)
        if (e.wanted[k]) sdx_patch_replace(patch, node->out[k], sdx_emit_cast(patch, joined(&e, k), e.work, dtype));
    return patch->status;
}
