/* SPDX-License-Identifier: Apache-2.0
 * bind, infer and the walk over time. In reverse, time runs from the end; a sequence that is shorter than the longest
 * keeps its initial state until its own end comes up, so both directions read one and the same position of X and Y. */
#include "ops/rnn/recurrent.h"
#include "ops/rnn/pieces.h"
#include "ops/rnn/steps.h"
#include <inttypes.h>
#include <string.h>

enum { X, W, R, B, LENS, H0, C0, P, INPUTS, GRAD_INPUTS = INPUTS + 4 };

sdx_status sdx_recurrent_bind(sdx_bind *bind, const sdx_cell *cell, sdx_recurrent_params *p) {
    static const char *const ways[] = {"forward", "reverse", "bidirectional", "foward"};
    const int way = sdx_bind_choice(bind, "direction", ways, bind->since == 1 ? 4 : 3);
    p->cell = cell;
    p->directions = way == 2 ? 2 : 1;
    p->reverse = way == 1;
    p->batch_first = bind->since >= 14 && sdx_bind_int(bind, "layout") != 0;
    p->clips = sdx_bind_has(bind, "clip");
    p->clip = sdx_bind_float(bind, "clip");
    if (p->clips && !(p->clip >= 0))
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'clip' is %g; it must be 0 or more", (double)p->clip);
    p->hidden_size = sdx_bind_int(bind, "hidden_size");
    if (sdx_bind_has(bind, "hidden_size") && p->hidden_size < 1)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'hidden_size' is %" PRId64 "; it must be 1 or more",
                             p->hidden_size);
    sdx_bind_activations(bind, cell->otherwise, cell->functions, p->directions, p->activation);
    return bind->status;
}

/* ---- infer ------------------------------------------------------------------------------------------------------ */

static const sdx_type *input_type(const sdx_infer *infer, int k) {
    const sdx_type *type = sdx_infer_in(infer, k);
    return type && type->rank >= 0 ? type : NULL;
}

/* Input k has these dims (-1: any). */
static sdx_status check_dims(sdx_infer *infer, int k, const char *name, int rank, const int64_t *dims) {
    const sdx_type *type = input_type(infer, k);
    SDX_TRY(sdx_infer_rank(infer, k, name, rank));
    for (int d = 0; type && d < rank; d++)
        if (type->dim[d] >= 0 && dims[d] >= 0 && type->dim[d] != dims[d])
            return sdx_fail(infer->error, SDX_SHAPE, "dimension %d of input '%s' is %" PRId64 "; it must be %" PRId64,
                            d, name, type->dim[d], dims[d]);
    return SDX_OK;
}

static int64_t dim_of(const sdx_infer *infer, int k, int d) {
    const sdx_type *type = input_type(infer, k);
    return type && d < type->rank ? type->dim[d] : -1;
}

int64_t sdx_recurrent_hidden(const sdx_infer *infer, const sdx_recurrent_params *p) {
    if (p->hidden_size > 0) return p->hidden_size;
    int64_t hidden = dim_of(infer, R, 2), rows = dim_of(infer, W, 1);
    return hidden >= 0 ? hidden : rows >= 0 ? rows / p->cell->gates : -1;
}

static int64_t times(int64_t factor, int64_t dim) { return dim < 0 ? -1 : factor * dim; }

static void state_dims(const sdx_recurrent_params *p, int64_t batch, int64_t hidden, int64_t *dims) {
    dims[0] = p->batch_first ? batch : p->directions;
    dims[1] = p->batch_first ? p->directions : batch;
    dims[2] = hidden;
}

sdx_status sdx_recurrent_infer(sdx_infer *infer, const void *params) {
    const sdx_recurrent_params *p = params;
    const int64_t hidden = sdx_recurrent_hidden(infer, p), any[3] = {-1, -1, -1};
    const int64_t steps = dim_of(infer, X, p->batch_first ? 1 : 0), batch = dim_of(infer, X, p->batch_first ? 0 : 1);
    const int64_t width = times(p->cell->gates, hidden), directions = p->directions;
    int64_t state[3];
    state_dims(p, batch, hidden, state);
    SDX_TRY(check_dims(infer, X, "X", 3, any));
    SDX_TRY(check_dims(infer, W, "W", 3, (int64_t[]){directions, width, dim_of(infer, X, 2)}));
    SDX_TRY(check_dims(infer, R, "R", 3, (int64_t[]){directions, width, hidden}));
    SDX_TRY(check_dims(infer, B, "B", 2, (int64_t[]){directions, times(2, width)}));
    SDX_TRY(check_dims(infer, LENS, "sequence_lens", 1, (int64_t[]){batch}));
    SDX_TRY(check_dims(infer, H0, "initial_h", 3, state));
    if (p->cell->has_c) {
        SDX_TRY(check_dims(infer, C0, "initial_c", 3, state));
        SDX_TRY(check_dims(infer, P, "P", 2, (int64_t[]){directions, times(3, hidden)}));
    }
    for (int k = 0; k < infer->n_out; k++) {
        sdx_type *out = &infer->out[k];
        out->rank = k == 0 ? 4 : 3;
        if (k > 0)
            memcpy(out->dim, state, sizeof state);
        else if (p->batch_first)
            memcpy(out->dim, (int64_t[]){batch, steps, directions, hidden}, 4 * sizeof batch);
        else
            memcpy(out->dim, (int64_t[]){steps, directions, batch, hidden}, 4 * sizeof batch);
    }
    return SDX_OK;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* Of whole chunks and of the last one, whichever takes more. */
static int64_t product_bytes(const sdx_recurrence *q, int threads) {
    const int64_t chunks[2] = {q->chunk, q->steps % q->chunk};
    size_t bytes = 0;
    for (int k = 0; k < 2; k++) {
        int64_t rows;
        if (!sdx_dim_mul(chunks[k], q->batch, &rows)) return INT64_MAX;
        size_t size = sdx_product_scratch(q->math.work, 1, rows, q->width, q->input, false, false, threads);
        if (size > bytes) bytes = size;
    }
    return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

static void place(sdx_recurrence *q, sdx_pieces *room, int threads, bool has_peepholes) {
    const int64_t directions = q->p->directions, hidden = q->hidden;
    const bool copies = q->stored != q->math.work;
    if (copies || q->p->batch_first) q->x_copy = SDX_TAKE(room, q->size, q->steps, q->batch, q->input);
    if (copies) q->w_copy = SDX_TAKE(room, q->size, directions, q->width, q->input);
    if (copies) q->r_copy = SDX_TAKE(room, q->size, directions, q->width, hidden);
    q->bias = SDX_TAKE(room, q->size, directions, q->width);
    q->r_bias = SDX_TAKE(room, q->size, directions, hidden);
    if (has_peepholes) q->peepholes = SDX_TAKE(room, q->size, directions, 3, hidden);
    for (int d = 0; d < directions; d++) q->gate[d] = SDX_TAKE(room, q->size, q->chunk, q->batch, q->width);
    for (int k = 0; k < 2; k++) q->h[k] = SDX_TAKE(room, q->size, directions, q->batch, hidden);
    if (q->p->cell->has_c) q->c = SDX_TAKE(room, q->size, directions, q->batch, hidden);
    if (q->p->cell->has_extra) q->extra = SDX_TAKE(room, q->size, directions, q->batch, hidden);
    if (!q->vectors) {
        const int64_t rows = sdx_steps_rows(q);
        q->panels = SDX_TAKE(room, q->size, directions, q->p->cell->gates, sdx_steps_lines(q), hidden);
        for (int k = 0; k < 2; k++) q->h_panels[k] = SDX_TAKE(room, q->size, directions, rows, hidden);
        if (q->phases > 1) q->extra_panels = SDX_TAKE(room, q->size, directions, rows, hidden);
    }
    q->rooms = SDX_TAKE(room, sdx_align((size_t)hidden * q->size), threads);
    q->product_room = SDX_TAKE(room, 1, product_bytes(q, threads));
}

sdx_cell_math sdx_cell_math_make(const struct sdx_kernels *kernels, const sdx_recurrent_params *params,
                                 sdx_dtype dtype) {
    const sdx_dtype work = sdx_work_dtype(dtype);
    return (sdx_cell_math){.kernels = kernels,
                           .params = params,
                           .work = work,
                           .add = kernels->binary(SDX_BINARY_Add, work),
                           .sub = kernels->binary(SDX_BINARY_Sub, work),
                           .mul = kernels->binary(SDX_BINARY_Mul, work),
                           .min = kernels->binary(SDX_BINARY_Min, work),
                           .max = kernels->binary(SDX_BINARY_Max, work)};
}

void sdx_cell_read(const sdx_cell_math *math, const sdx_tensor *from, int64_t at, void *to, int64_t n) {
    const char *bytes = (const char *)from->data + (size_t)at * sdx_dtype_size(from->dtype);
    sdx_convert(math->kernels, from->dtype, bytes, math->work, to, n);
}

/* Everything but pointers. */
static void describe(sdx_recurrence *q, const sdx_recurrent_params *p, const struct sdx_kernels *kernels,
                     sdx_dtype dtype, const int64_t *x, int64_t hidden) {
    *q = (sdx_recurrence){.p = p, .stored = dtype, .hidden = hidden, .input = x[2]};
    q->steps = x[p->batch_first ? 1 : 0];
    q->batch = x[p->batch_first ? 0 : 1];
    q->width = p->cell->gates * hidden;
    q->phases = p->cell->phases ? p->cell->phases(p) : 1;
    q->math = sdx_cell_math_make(kernels, p, dtype);
    q->size = sdx_dtype_size(q->math.work);
    sdx_steps_cut(q);
}

size_t sdx_recurrent_scratch(const sdx_infer *infer, const void *params) {
    const sdx_recurrent_params *p = params;
    sdx_recurrence q;
    sdx_pieces room = {0};
    describe(&q, p, sdx_kernels_get(), infer->in[X]->dtype, infer->in[X]->dim, sdx_recurrent_hidden(infer, p));
    place(&q, &room, infer->threads, infer->n_in > P && infer->in[P]);
    return room.too_large ? SIZE_MAX : room.used;
}

/* ---- inputs ----------------------------------------------------------------------------------------------------- */

/* Rows (step, sequence) of X, in this order and in the work dtype. */
static void load_rows(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const sdx_recurrence *q = argument;
    for (int64_t k = begin; k < end; k++) {
        int64_t from = q->p->batch_first ? k % q->batch * q->steps + k / q->batch : k;
        sdx_cell_read(&q->math, q->x_given, from * q->input, q->x_copy + (size_t)(k * q->input) * q->size, q->input);
    }
}

static const char *in_work(const sdx_recurrence *q, const sdx_tensor *from, char *copy) {
    if (from->dtype == q->math.work) return from->data;
    sdx_cell_read(&q->math, from, 0, copy, from->count);
    return copy;
}

/* Wb + Rb; of the hidden gate of a GRU whose reset comes after the product, Rb stays apart. */
static void load_bias(const sdx_recurrence *q, const sdx_tensor *given) {
    const int64_t rows = q->p->directions;
    memset(q->bias, 0, (size_t)(rows * q->width) * q->size);
    memset(q->r_bias, 0, (size_t)(rows * q->hidden) * q->size);
    for (int64_t d = 0; given && d < rows; d++) {
        char *bias = q->bias + (size_t)(d * q->width) * q->size;
        const int64_t joined = q->p->linear_before_reset ? q->width - q->hidden : q->width;
        sdx_cell_read(&q->math, given, d * 2 * q->width + q->width, bias, joined);
        for (int64_t j = 0, n; j < joined; j += n) { /* by way of the state, which is not in use yet */
            n = joined - j < q->hidden ? joined - j : q->hidden;
            char *part = q->h[0];
            sdx_cell_read(&q->math, given, d * 2 * q->width + j, part, n);
            q->math.add(part, 1, bias + (size_t)j * q->size, 1, bias + (size_t)j * q->size, n);
        }
        if (joined == q->width) continue;
        sdx_cell_read(&q->math, given, d * 2 * q->width + joined, bias + (size_t)joined * q->size, q->hidden);
        sdx_cell_read(&q->math, given, (d * 2 + 1) * q->width + joined, q->r_bias + (size_t)(d * q->hidden) * q->size,
                      q->hidden);
    }
}

/* Element of a state tensor where the row of direction d and sequence b begins. */
static int64_t state_at(const sdx_recurrence *q, int64_t d, int64_t b) {
    return (q->p->batch_first ? b * q->p->directions + d : d * q->batch + b) * q->hidden;
}

static void load_state(const sdx_recurrence *q, const sdx_tensor *given, char *to) {
    for (int64_t d = 0; d < q->p->directions; d++)
        for (int64_t b = 0; b < q->batch; b++) {
            char *row = to + (size_t)((d * q->batch + b) * q->hidden) * q->size;
            if (given)
                sdx_cell_read(&q->math, given, state_at(q, d, b), row, q->hidden);
            else
                memset(row, 0, (size_t)q->hidden * q->size);
        }
}

static void give_state(const sdx_recurrence *q, const char *from, const sdx_tensor *out) {
    for (int64_t d = 0; out && d < q->p->directions; d++)
        for (int64_t b = 0; b < q->batch; b++)
            sdx_convert(q->math.kernels, q->math.work, from + (size_t)((d * q->batch + b) * q->hidden) * q->size,
                        out->dtype, (char *)out->data + (size_t)state_at(q, d, b) * sdx_dtype_size(out->dtype),
                        q->hidden);
}

sdx_status sdx_recurrent_check_lengths(sdx_error *error, const sdx_tensor *lengths, int64_t steps) {
    for (int64_t b = 0; lengths && b < lengths->count; b++) {
        const int32_t length = ((const int32_t *)lengths->data)[b];
        if (length < 0 || length > steps)
            return sdx_fail(error, SDX_VALUE,
                            "entry %" PRId64 " of input 'sequence_lens' is %d; it must be in [0, %" PRId64 "]", b,
                            length, steps);
    }
    return SDX_OK;
}

/* ---- compute ---------------------------------------------------------------------------------------------------- */

/* The gates of steps [first, last) as far as X decides them. */
static sdx_status gates_from_x(sdx_compute *compute, sdx_recurrence *q, int64_t first, int64_t last) {
    q->first = first, q->last = last;
    for (int d = 0; d < q->p->directions; d++) {
        q->time[d] = sdx_steps_backward(q, d) ? q->steps - last : first;
        sdx_product product = {.dtype = q->math.work, .m = (last - first) * q->batch, .n = q->width, .k = q->input};
        product.alpha = 1, product.beta = 1;
        product.a = (sdx_factor){
            .data = q->x + (size_t)(q->time[d] * q->batch * q->input) * q->size, .line_step = q->input, .k_step = 1};
        product.b = (sdx_factor){
            .data = q->w + (size_t)(d * q->width * q->input) * q->size, .line_step = q->input, .k_step = 1};
        product.column_bias = q->bias + (size_t)(d * q->width) * q->size;
        product.c = q->gate[d];
        SDX_TRY(sdx_product_run(compute, &product, q->product_room));
    }
    return SDX_OK;
}

sdx_status sdx_recurrent_compute(sdx_compute *compute, const void *params) {
    const sdx_recurrent_params *p = params;
    const sdx_tensor *in[INPUTS] = {NULL};
    for (int k = 0; k < compute->n_in && k < INPUTS; k++) in[k] = compute->in[k];
    sdx_recurrence q;
    sdx_pieces room = {.base = compute->scratch};
    describe(&q, p, compute->kernels, in[X]->dtype, in[X]->dim, in[R]->dim[2]);
    SDX_TRY(sdx_recurrent_check_lengths(compute->error, in[LENS], q.steps));
    if (q.batch == 0 || q.hidden == 0) return SDX_OK;
    place(&q, &room, sdx_pool_threads(compute->pool), in[P]);
    q.lengths = in[LENS] ? in[LENS]->data : NULL;
    q.x_given = in[X];
    q.x = in[X]->data;
    q.y = compute->n_out > 0 ? compute->out[0] : NULL;
    if (q.x_copy) {
        SDX_TRY(sdx_for(compute, q.steps * q.batch, sdx_grain(q.input), load_rows, &q));
        q.x = q.x_copy;
    }
    q.w = in_work(&q, in[W], q.w_copy);
    q.r = in_work(&q, in[R], q.r_copy);
    load_bias(&q, in[B]);
    if (in[P]) sdx_cell_read(&q.math, in[P], 0, q.peepholes, in[P]->count);
    load_state(&q, in[H0], q.h[0]);
    if (p->cell->has_c) load_state(&q, in[C0], q.c);
    SDX_TRY(sdx_steps_pack(compute, &q));
    for (int64_t first = 0, last; first < q.steps; first = last) {
        last = q.steps - first < q.chunk ? q.steps : first + q.chunk;
        SDX_TRY(gates_from_x(compute, &q, first, last));
        SDX_TRY(sdx_steps_run(compute, &q));
    }
    if (compute->n_out > 1) give_state(&q, q.h[q.steps % 2], compute->out[1]);
    if (compute->n_out > 2) give_state(&q, q.c, compute->out[2]);
    return SDX_OK;
}

/* ---- the gradient of the forward operator ------------------------------------------------------------------------ */

const int sdx_recurrent_gradient_of[SDX_RECURRENT_GRADS] = {X, W, R, B, H0, C0, P};

sdx_status sdx_recurrent_grad_infer(sdx_infer *infer, const void *params) {
    (void)params;
    for (int k = 0; k < infer->n_out; k++)
        if (sdx_recurrent_gradient_of[k] < infer->n_in && infer->in[sdx_recurrent_gradient_of[k]])
            sdx_infer_same(infer, k, sdx_recurrent_gradient_of[k]);
        else /* nobody reads it */
            infer->out[k] = sdx_type_make(infer->in[X]->dtype, 0);
    return SDX_OK;
}

/* Y, which may have to be made. */
static sdx_id states_of(sdx_grad *grad, const sdx_recurrent_params *p) {
    const sdx_node *node = grad->node;
    const sdx_graph_value *values = grad->patch->graph->values;
    const sdx_type *x = &values[node->in[X]].type, *r = &values[node->in[R]].type;
    sdx_type type = sdx_type_make(x->dtype, 4);
    const int64_t steps = x->rank == 3 ? x->dim[p->batch_first ? 1 : 0] : -1;
    const int64_t batch = x->rank == 3 ? x->dim[p->batch_first ? 0 : 1] : -1;
    type.dim[0] = p->batch_first ? batch : steps;
    type.dim[1] = p->batch_first ? steps : p->directions;
    type.dim[2] = p->batch_first ? p->directions : batch;
    type.dim[3] = r->rank == 3 ? r->dim[2] : -1;
    return sdx_patch_output(grad->patch, node, 0, &type);
}

sdx_status sdx_recurrent_grad(sdx_grad *grad, const void *params) {
    const sdx_recurrent_params *p = params;
    const sdx_node *node = grad->node;
    static const char *const replaced[] = {"direction", "output_sequence"};
    sdx_id in[GRAD_INPUTS];
    int n_out = 0;
    for (int k = 0; k < GRAD_INPUTS; k++) in[k] = k < node->n_in ? node->in[k] : SDX_NONE;
    in[P + 1] = states_of(grad, p);
    for (int k = 0; k < node->n_out; k++) in[P + 2 + k] = grad->dY[k];
    for (int k = 0; k < SDX_RECURRENT_GRADS; k++)
        if (sdx_recurrent_gradient_of[k] < node->n_in && grad->needed[sdx_recurrent_gradient_of[k]]) n_out = k + 1;
    sdx_node *back = sdx_patch_node(grad->patch, "sdx", p->cell->grad, GRAD_INPUTS, in, n_out);
    sdx_patch_attrs_of(grad->patch, back, node, replaced, 2);
    sdx_patch_string(grad->patch, back, "direction",
                     p->directions == 2 ? "bidirectional"
                     : p->reverse       ? "reverse"
                                        : "forward");
    for (int k = 0; k < n_out; k++)
        if (sdx_recurrent_gradient_of[k] < node->n_in && grad->needed[sdx_recurrent_gradient_of[k]])
            grad->dX[sdx_recurrent_gradient_of[k]] = back->out[k];
    grad->exact = true;
    return grad->patch->status;
}
