/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/rnn/nodes.h"

/* ---- functions --------------------------------------------------------------------------------------------------- */

sdx_id sdx_one_minus(sdx_patch *patch, sdx_dtype dtype, sdx_id v) {
    return sdx_emit2(patch, "Sub", sdx_patch_scalar(patch, dtype, 1), v);
}

static sdx_id clipped(const sdx_cell_nodes *cell, sdx_patch *patch, sdx_id x) {
    if (!cell->p->clips) return x;
    const double clip = (double)cell->p->clip;
    return sdx_emit3(patch, "Clip", x, sdx_patch_scalar(patch, cell->dtype, -clip),
                     sdx_patch_scalar(patch, cell->dtype, clip));
}

sdx_id sdx_cell_active(const sdx_cell_nodes *cell, sdx_patch *patch, int function, sdx_id x) {
    return sdx_activate_nodes(patch, &cell->f[function], cell->dtype, clipped(cell, patch, x));
}

sdx_id sdx_cell_slope(const sdx_cell_nodes *cell, int function, sdx_id x, sdx_id y) {
    sdx_patch *patch = cell->patch;
    const sdx_id slope = sdx_slope_nodes(patch, &cell->f[function], cell->dtype, clipped(cell, patch, x), y);
    if (!cell->p->clips) return slope;
    const sdx_id inside = sdx_emit2(patch, "LessOrEqual", sdx_emit1(patch, "Abs", x),
                                    sdx_patch_scalar(patch, cell->dtype, (double)cell->p->clip));
    return sdx_emit3(patch, "Where", inside, slope, sdx_patch_scalar(patch, cell->dtype, 0));
}

sdx_id sdx_cell_masked(const sdx_cell_nodes *cell, sdx_id v, double otherwise) {
    if (cell->valid == SDX_NONE) return v;
    return sdx_emit3(cell->patch, "Where", cell->valid, v, sdx_patch_scalar(cell->patch, cell->dtype, otherwise));
}

sdx_id sdx_steps_flip(sdx_patch *patch, sdx_id v) {
    const sdx_id minus = sdx_patch_i64s(patch, (int64_t[]){-1}, 1);
    const sdx_id in[5] = {v, minus, sdx_patch_i64s(patch, (int64_t[]){-INT64_MAX}, 1),
                          sdx_patch_i64s(patch, (int64_t[]){0}, 1), minus};
    return sdx_patch_node(patch, "", "Slice", 5, in, 1)->out[0];
}

/* ---- Scan -------------------------------------------------------------------------------------------------------- */

static sdx_id checked(sdx_cell_loop *loop, sdx_id id) {
    if (id == SDX_NONE && loop->patch.status == SDX_OK) loop->patch.status = SDX_OUT_OF_MEMORY;
    return id;
}

sdx_status sdx_cell_loop_begin(sdx_cell_loop *loop, sdx_patch *outer, const char *name) {
    SDX_TRY(outer->status);
    *loop = (sdx_cell_loop){.outer = outer};
    loop->body = sdx_graph_create(outer->graph->arena, name, outer->graph, outer->error);
    if (!loop->body) return outer->status = SDX_OUT_OF_MEMORY;
    sdx_patch_begin(&loop->patch, loop->body, outer->error);
    loop->patch.origin = outer->origin;
    return SDX_OK;
}

sdx_id sdx_cell_loop_scan(sdx_cell_loop *loop, sdx_id outer, const sdx_type *type) {
    if (loop->patch.status != SDX_OK) return SDX_NONE;
    const sdx_id id = checked(loop, sdx_graph_add_value(loop->body, NULL, type, loop->patch.error));
    if (id != SDX_NONE && sdx_graph_add_input(loop->body, id, loop->patch.error) != SDX_OK) checked(loop, SDX_NONE);
    loop->in[loop->n_in++] = outer;
    return id;
}

sdx_id sdx_cell_loop_state(sdx_cell_loop *loop, sdx_id initial, const sdx_type *type) {
    loop->n_states++;
    return sdx_cell_loop_scan(loop, initial, type);
}

sdx_id sdx_cell_loop_capture(sdx_cell_loop *loop, sdx_id outer) {
    if (loop->patch.status != SDX_OK || outer == SDX_NONE) return SDX_NONE;
    return checked(loop, sdx_graph_capture(loop->body, outer, loop->patch.error));
}

/* An output is a value of its own: not an input, not listed before. */
void sdx_cell_loop_output(sdx_cell_loop *loop, sdx_id inner) {
    const sdx_id own = sdx_emit1(&loop->patch, "Identity", inner);
    if (loop->patch.status == SDX_OK) loop->patch.status = sdx_graph_add_output(loop->body, own, loop->patch.error);
    loop->n_out++;
}

sdx_status sdx_cell_loop_end(sdx_cell_loop *loop, sdx_node **node) {
    const sdx_attr attr = {.name = "body", .type = SDX_ATTR_GRAPH, .n = 1, .graph = loop->body};
    sdx_patch *outer = loop->outer;
    if (sdx_patch_commit(&loop->patch) != SDX_OK) return outer->status = loop->patch.status;
    *node = sdx_patch_node(outer, "", "Scan", loop->n_in, loop->in, loop->n_out);
    sdx_patch_int(outer, *node, "num_scan_inputs", loop->n_in - loop->n_states);
    sdx_patch_attr(outer, *node, &attr);
    return outer->status;
}
