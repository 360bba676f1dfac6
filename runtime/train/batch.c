/* SPDX-License-Identifier: Apache-2.0
 * Files that fix the size of the batch. Inputs get a leading dimension that nothing else has, and inference shows where
 * it goes: shapes in the file that hold the old size follow it, and what still contradicts it has the size built in. */
#include "runtime/pass/pass.h"
#include "runtime/train/prepare.h"
#include <stdio.h>
#include <string.h>

enum { PROBE = 8191 }; /* a prime: what is divisible by it carries the batch */

typedef struct loosening {
    const sdx_graph *fixed; /* as in the file, all that is constant there computed; ids are the same */
    sdx_model *model;       /* the copy that is changed */
    sdx_error error;        /* of what is only tried */
    int64_t size;
    int shapes; /* that were changed */
    char place[200];
} loosening;

/* ---- the batch of the file ---- */

static bool is_batch_input(const sdx_graph_value *value) {
    return !value->constant && !(value->type.kind == SDX_TENSOR && value->type.rank == 0);
}

/* The leading dimension of every input; 0: it is open, or they have several. */
static int64_t fixed_size(const sdx_graph *graph) {
    int64_t size = 0;
    for (int k = 0; k < graph->n_inputs; k++) {
        const sdx_graph_value *value = &graph->values[graph->inputs[k]];
        if (!is_batch_input(value)) continue;
        if (value->type.kind != SDX_TENSOR || value->type.rank < 1 || value->type.dim[0] < 1) return 0;
        if (size && value->type.dim[0] != size) return 0;
        size = value->type.dim[0];
    }
    return size;
}

static void set_batch(sdx_graph *graph, int64_t dim) {
    for (int k = 0; k < graph->n_inputs; k++) {
        sdx_graph_value *value = &graph->values[graph->inputs[k]];
        if (is_batch_input(value)) value->type.dim[0] = dim;
    }
}

/* ---- shapes in the file ---- */

/* Row-major order stays: the batch lies where `before` elements precede it, within `span` of them. */
typedef struct batch_axis {
    int axis; /* of the input */
    int64_t before, span;
} batch_axis;

static bool find_batch(const loosening *l, sdx_id id, batch_axis *out) {
    const sdx_type *now = &l->model->graph->values[id].type, *was = &l->fixed->values[id].type;
    int found = 0;
    if (now->kind != SDX_TENSOR || now->rank < 1 || now->rank != was->rank) return false;
    *out = (batch_axis){.before = 1};
    for (int d = 0; d < now->rank; d++) {
        if (now->dim[d] < 1 || was->dim[d] < 1) return false;
        if (now->dim[d] != was->dim[d]) {
            if (now->dim[d] % PROBE != 0 || now->dim[d] / PROBE * l->size != was->dim[d]) return false;
            out->axis = d;
            out->span = was->dim[d];
            found++;
        }
        if (!found) out->before *= was->dim[d];
    }
    return found == 1;
}

/* How well axis j of the result can be the batch; it covers elements from..to. 0: not at all. A batch of 1 leaves
 * several; then one that is nothing but the batch comes first, then the one that is open, then the usual ones: rows of
 * a matrix, and heads beside the batch. */
static int fitness(const batch_axis *batch, int64_t size, int rank, int j, int64_t dim, int64_t given, int64_t from) {
    int64_t to = from * dim, end = batch->before * batch->span;
    bool apart = size > 1 ? from >= end || to <= batch->before : from > end || to < batch->before;
    if (apart || dim % size != 0) return 0;
    if (dim == size && from >= batch->before && to <= end) return j == batch->axis ? 5 : 4;
    if (given == -1) return 3;
    return (rank == 2 ? j == 0 : from == batch->before) ? 2 : 1;
}

static sdx_status put_shape(loosening *l, const sdx_node *node, const int64_t *dims, int n) {
    sdx_graph *graph = l->model->graph;
    sdx_value *value = sdx_value_new_tensor(l->model->memory, SDX_I64, 1, &(int64_t){n}, &l->error);
    if (!value) return l->error.status;
    memcpy(value->tensor.data, dims, (size_t)n * sizeof *dims);
    sdx_id id = sdx_graph_add_value(graph, NULL, NULL, &l->error);
    if (id != SDX_NONE) {
        sdx_graph_set_constant(graph, id, value);
        sdx_node_set_input(graph, node, 1, id);
        l->shapes++;
    }
    sdx_value_release(value);
    return id == SDX_NONE ? l->error.status : SDX_OK;
}

static bool has_open(const int64_t *dims, int64_t n) {
    for (int64_t k = 0; k < n; k++)
        if (dims[k] == -1) return true;
    return false;
}

/* The data is not known to carry the batch. Where nothing is known of it, a shape that is written out may be wrong. */
static sdx_status leave_reshape(loosening *l, const sdx_node *node, const sdx_tensor *shape) {
    const sdx_graph *graph = l->model->graph;
    if (sdx_type_concrete(&graph->values[node->in[0]].type) || !sdx_graph_tensor(graph, node->in[1])) return SDX_OK;
    if (has_open(shape->data, shape->count)) return SDX_OK;
    return sdx_fail(&l->error, SDX_SHAPE, "the shape is fixed; that of input 'data' is not known");
}

/* The axis that is the batch becomes the open one, or is copied where it is the input's own. */
static sdx_status follow_reshape(loosening *l, const sdx_node *node, const sdx_tensor *shape) {
    const sdx_type *result = &l->fixed->values[node->out[0]].type;
    const int64_t *given = shape->data;
    int64_t dims[SDX_MAX_RANK], from = 1;
    int best = -1, most = 0;
    batch_axis batch;
    if (!find_batch(l, node->in[0], &batch) || result->rank != shape->count) return leave_reshape(l, node, shape);
    for (int j = 0; j < result->rank; j++) {
        dims[j] = result->dim[j];
        if (dims[j] < 1) return SDX_OK;
        int fits = fitness(&batch, l->size, result->rank, j, dims[j], given[j], from);
        if (fits > most) most = fits, best = j;
        from *= dims[j];
    }
    bool written = sdx_graph_tensor(l->model->graph, node->in[1]) != NULL;
    if (best < 0 || (written && (given[best] == -1 || (given[best] == 0 && best == batch.axis)))) return SDX_OK;
    const sdx_attr *allowzero = sdx_node_attr(node, "allowzero");
    bool same = best == batch.axis && dims[best] == batch.span && !(allowzero && allowzero->i);
    dims[best] = same ? 0 : -1;
    return put_shape(l, node, dims, result->rank);
}

/* Expanding the batch to its own size is expanding it by 1. */
static sdx_status follow_expand(loosening *l, const sdx_node *node, const sdx_tensor *shape) {
    int64_t dims[SDX_MAX_RANK];
    batch_axis batch;
    if (!find_batch(l, node->in[0], &batch) || shape->count > SDX_MAX_RANK) return SDX_OK;
    int n = (int)shape->count, at = n - l->fixed->values[node->in[0]].type.rank + batch.axis;
    memcpy(dims, shape->data, (size_t)n * sizeof *dims);
    if (at < 0 || dims[at] != batch.span || dims[at] == 1) return SDX_OK;
    dims[at] = 1;
    return put_shape(l, node, dims, n);
}

static sdx_status follow(loosening *l, const sdx_node *node) {
    bool reshape = sdx_node_is(node, "Reshape");
    if ((!reshape && !sdx_node_is(node, "Expand")) || node->n_in < 2 || node->in[0] == SDX_NONE) return SDX_OK;
    const sdx_tensor *shape = sdx_graph_tensor(l->fixed, node->in[1]);
    if (!shape || shape->dtype != SDX_I64 || shape->rank != 1) return SDX_OK;
    return reshape ? follow_reshape(l, node, shape) : follow_expand(l, node, shape);
}

/* ---- inference again ---- */

static sdx_status infer_node(loosening *l, sdx_node *node, sdx_arena *scratch) {
    sdx_graph *graph = l->model->graph;
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && graph->values[node->out[k]].type.kind == SDX_TENSOR)
            graph->values[node->out[k]].type.rank = -1;
    return sdx_infer_again(graph, node, scratch, &l->error);
}

/* Types of all values where batches are of `dim` samples. */
static sdx_status infer_with(loosening *l, int64_t dim) {
    sdx_graph *graph = l->model->graph;
    sdx_status status = SDX_OK;
    sdx_arena scratch;
    sdx_arena_init(&scratch, l->model->memory);
    set_batch(graph, dim);
    for (int k = 0; k < graph->n_nodes && !status; k++) {
        if (dim == PROBE) status = follow(l, graph->nodes[k]);
        if (!status) status = infer_node(l, graph->nodes[k], &scratch);
        if (status) sdx_node_place(graph, graph->nodes[k], l->place, sizeof l->place);
        sdx_arena_reset(&scratch);
    }
    sdx_arena_release(&scratch);
    return status;
}

/* An output that had the batch for its first axis still has it. */
static bool outputs_follow(loosening *l) {
    for (int k = 0; k < l->fixed->n_outputs; k++) {
        const sdx_type *was = &l->fixed->values[l->fixed->outputs[k]].type;
        const sdx_graph_value *value = &l->model->graph->values[l->model->graph->outputs[k]];
        bool led = was->kind == SDX_TENSOR && was->rank > 0 && was->dim[0] == l->size;
        if (!led || value->type.rank < 1 || value->type.dim[0] < 0 || value->type.dim[0] % PROBE == 0) continue;
        char name[128];
        sdx_escape(name, sizeof name, value->name, strlen(value->name));
        snprintf(l->place, sizeof l->place, "output '%s'", name);
        return false;
    }
    return true;
}

static int64_t new_symbol(sdx_graph *graph, sdx_error *error) {
    char name[32] = "batch";
    for (int k = 0, number = 2; k < graph->n_symbols; k++)
        if (strcmp(graph->symbols[k], name) == 0) {
            snprintf(name, sizeof name, "batch_%d", number++);
            k = -1;
        }
    return sdx_graph_symbol(graph, name, error);
}

/* With shapes that the graph computes itself, too: folding infers again with them. */
static bool computed_follow(loosening *l) {
    sdx_model *trial = NULL;
    sdx_status status = sdx_model_copy(l->model, &l->error, &trial);
    if (!status) status = sdx_pass_fold(trial, &l->error);
    sdx_model_close(trial);
    const char *end = strstr(l->error.message, "): "); /* "node 'x' (Op, opset 13): what is wrong" */
    if (status)
        snprintf(l->place, sizeof l->place, "%.*s", end ? (int)(end - l->error.message) + 1 : 6,
                 end ? l->error.message : "a node");
    return status == SDX_OK;
}

static bool loosen(loosening *l) {
    if (infer_with(l, PROBE) || !outputs_follow(l) || !computed_follow(l)) return false;
    int64_t symbol = new_symbol(l->model->graph, &l->error);
    return symbol <= -2 && infer_with(l, symbol) == SDX_OK;
}

/* What the file says where its batch size holds: types of values, and shapes that are computed from constants. */
static sdx_status fold_fixed(const sdx_model *model, sdx_error *error, sdx_model **out) {
    SDX_TRY(sdx_model_copy(model, error, out));
    sdx_status status = sdx_pass_fold(*out, error);
    if (status == SDX_OK) return SDX_OK;
    sdx_model_close(*out);
    *out = NULL;
    return status;
}

sdx_status sdx_prepare_copy(const sdx_model *model, sdx_error *error, sdx_model **out, sdx_batch_size *batch) {
    loosening l = {.size = fixed_size(model->graph)};
    sdx_model *fixed = NULL;
    *batch = (sdx_batch_size){.fixed = l.size};
    if (!l.size) return sdx_model_copy(model, error, out);
    SDX_TRY(fold_fixed(model, error, &fixed));
    sdx_status status = sdx_model_copy(model, error, out);
    if (status == SDX_OK) {
        l.fixed = fixed->graph;
        l.model = *out;
        batch->open = loosen(&l);
        batch->shapes = l.shapes;
        memcpy(batch->place, l.place, sizeof batch->place);
    }
    sdx_model_close(fixed);
    if (status || batch->open) return status;
    sdx_model_close(*out);
    *out = NULL;
    if (l.error.status == SDX_OUT_OF_MEMORY) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%s", l.error.message);
    return sdx_model_copy(model, error, out);
}

sdx_status sdx_prepare_batch(sdx_preparation *p, const sdx_batch_size *batch) {
    if (!batch->fixed) return SDX_OK;
    if (!batch->open)
        return sdx_prepare_note(p, "batches are of %lld samples, as the file has it: %s depends on it",
                                (long long)batch->fixed, batch->place);
    SDX_TRY(sdx_prepare_describe(p, p->out->inference));
    if (!batch->shapes)
        return sdx_prepare_note(p, "batches may be of any size; the file says %lld", (long long)batch->fixed);
    return sdx_prepare_note(p, "batches may be of any size; the file says %lld, also in %d shape%s",
                            (long long)batch->fixed, batch->shapes, batch->shapes > 1 ? "s" : "");
}
