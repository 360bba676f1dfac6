/* SPDX-License-Identifier: Apache-2.0
 * A trainer as one safetensors file, and back. Tensors: variables by name, "optimizer.SLOT.NAME", "average.NAME", and
 * "sum.PART.NAME" in the middle of an accumulation. Numbers are text: integers in decimal, floating ones as the 16
 * hexadecimal digits of their bits, so that nothing is lost. */
#include "runtime/train/trainer.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER = 24, FORMAT = 1 };

typedef struct field {
    const char *key;
    size_t offset;
    enum { COUNT, REAL } kind; /* int64_t, double */
} field;

static const field fields[] = {
    {"step", offsetof(sdx_trainer, schedule.step), COUNT},
    {"epoch", offsetof(sdx_trainer, schedule.epoch), COUNT},
    {"schedule.best", offsetof(sdx_trainer, schedule.best), REAL},
    {"schedule.factor", offsetof(sdx_trainer, schedule.factor), REAL},
    {"schedule.bad_epochs", offsetof(sdx_trainer, schedule.bad_epochs), COUNT},
    {"micro", offsetof(sdx_trainer, micro), COUNT},
    {"sum.numerator", offsetof(sdx_trainer, numerator), REAL},
    {"sum.denominator", offsetof(sdx_trainer, denominator), REAL},
    {"sum.samples", offsetof(sdx_trainer, samples), REAL},
    {"fit.epoch", offsetof(sdx_trainer, fit.epoch), COUNT},
    {"fit.position", offsetof(sdx_trainer, fit.position), COUNT},
    {"fit.numerator", offsetof(sdx_trainer, fit.numerator), REAL},
    {"fit.denominator", offsetof(sdx_trainer, fit.denominator), REAL},
    {"fit.best", offsetof(sdx_trainer, fit.best), REAL},
    {"fit.bad_epochs", offsetof(sdx_trainer, fit.bad_epochs), COUNT},
};
enum { MICRO = 5, FIELDS = sizeof fields / sizeof fields[0], PAIRS = FIELDS + 6 };

/* ---- What is saved ------------------------------------------------------------------------------------------------
 */

static uint64_t hash_text(uint64_t hash, const char *text) {
    do hash = (hash ^ (unsigned char)*text) * 0x100000001b3u; /* FNV-1a, NUL included */
    while (*text++);
    return hash;
}

/* Of operators, names and the variables' types: what must agree for a checkpoint to make sense. */
static uint64_t digest_of(const sdx_trainer *t) {
    const sdx_graph *graph = t->prepared->inference->graph;
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < graph->n_nodes; i++) {
        const sdx_node *node = graph->nodes[i];
        hash = hash_text(hash_text(hash, node->domain), node->op_type);
        for (int k = 0; k < node->n_in; k++)
            hash = hash_text(hash, node->in[k] == SDX_NONE ? "" : graph->values[node->in[k]].name);
    }
    for (int v = 0; v < t->prepared->n_variables; v++) {
        char text[256];
        hash = hash_text(hash, t->infos[v].name);
        hash = hash_text(hash, sdx_tensor_text(&t->variables[v].now->tensor, text, sizeof text));
    }
    return hash;
}

/* "adamw exp_avg exp_avg_sq": the state that the optimizer keeps says which it is. */
static void describe_optimizer(const sdx_trainer *t, char *out, size_t capacity) {
    static const char *const names[] = {"adam", "sgd", "adam", "adamw", "adagrad", "rmsprop", "lion", "lamb"};
    size_t used = (size_t)snprintf(out, capacity, "%s", names[t->options.optimizer.kind]);
    for (int s = 0; s < t->n_slots; s++)
        used += (size_t)snprintf(out + used, capacity - used, " %.32s", t->slot_names[s]);
}

/* Calls `visit` for every cell that is saved, with its name. */
typedef sdx_status (*visitor)(void *context, sdx_trainer *t, sdx_cell *cell, const char *name);

static sdx_status visit_weight(sdx_trainer *t, int w, int64_t micro, visitor visit, void *context) {
    static const char *const parts[SDX_PARTS] = {"loss", "plain", "per_batch"};
    sdx_weight *weight = &t->weights[w];
    const char *own = t->infos[weight->variable].name;
    char name[512];
    for (int s = 0; s < t->n_slots; s++) {
        snprintf(name, sizeof name, "optimizer.%.32s.%.460s", t->slot_names[s], own);
        SDX_TRY(visit(context, t, &weight->slot[s], name));
    }
    snprintf(name, sizeof name, "average.%.480s", own);
    if (t->options.ema > 0) SDX_TRY(visit(context, t, &weight->ema, name));
    for (int p = 0; p < SDX_PARTS && micro > 0; p++) {
        snprintf(name, sizeof name, "sum.%s.%.480s", parts[p], own);
        if (weight->sum[p].now) SDX_TRY(visit(context, t, &weight->sum[p], name));
    }
    return SDX_OK;
}

static sdx_status visit_cells(sdx_trainer *t, int64_t micro, visitor visit, void *context) {
    for (int v = 0; v < t->prepared->n_variables; v++) SDX_TRY(visit(context, t, &t->variables[v], t->infos[v].name));
    for (int w = 0; w < t->n_weights; w++) SDX_TRY(visit_weight(t, w, micro, visit, context));
    return SDX_OK;
}

/* ---- Saving ---------------------------------------------------------------------------------------------------- */

typedef struct list {
    sdx_named_value *items;
    size_t n, capacity;
    sdx_arena *arena;
    sdx_error *error;
} list;

static sdx_status add_item(void *context, sdx_trainer *t, sdx_cell *cell, const char *name) {
    list *l = context;
    (void)t;
    const char *own = sdx_arena_copy(l->arena, name, strlen(name), l->error);
    if (!own) return l->error->status;
    l->items[l->n++] = (sdx_named_value){own, cell->now};
    return SDX_OK;
}

static sdx_status write_fields(const sdx_trainer *t, sdx_arena *arena, sdx_error *error, sdx_pair *pairs) {
    char(*text)[NUMBER] = sdx_arena_alloc_array(arena, FIELDS + 3, NUMBER, error);
    char *optimizer = sdx_arena_alloc(arena, 256, error);
    if (!text || !optimizer) return error->status;
    for (int k = 0; k < FIELDS; k++) {
        const unsigned char *at = (const unsigned char *)t + fields[k].offset;
        int64_t count;
        uint64_t bits;
        memcpy(&count, at, sizeof count);
        memcpy(&bits, at, sizeof bits);
        if (fields[k].kind == COUNT)
            snprintf(text[k], NUMBER, "%" PRId64, count);
        else
            snprintf(text[k], NUMBER, "%016" PRIx64, bits);
        pairs[k] = (sdx_pair){fields[k].key, text[k]};
    }
    describe_optimizer(t, optimizer, 256);
    snprintf(text[FIELDS], NUMBER, "%d", FORMAT);
    snprintf(text[FIELDS + 1], NUMBER, "%016" PRIx64, digest_of(t));
    snprintf(text[FIELDS + 2], NUMBER, "%" PRIu64, t->options.seed);
    pairs[FIELDS] = (sdx_pair){"sardonyx.checkpoint", text[FIELDS]};
    pairs[FIELDS + 1] = (sdx_pair){"model", text[FIELDS + 1]};
    pairs[FIELDS + 2] = (sdx_pair){"seed", text[FIELDS + 2]};
    pairs[FIELDS + 3] = (sdx_pair){"optimizer", optimizer};
    pairs[FIELDS + 4] = (sdx_pair){"model.name", t->prepared->inference->name};
    char *config = NULL; /* for readers; a trainer has its own */
    SDX_TRY(sdx_train_config_print(&t->options, error, &config));
    pairs[FIELDS + 5] = (sdx_pair){"config", sdx_arena_copy(arena, config, strlen(config), error)};
    sdx_free(config);
    return pairs[FIELDS + 5].value ? SDX_OK : error->status;
}

static sdx_status save(sdx_trainer *t, const char *path, sdx_arena *arena, sdx_error *error) {
    size_t most = (size_t)t->prepared->n_variables + (size_t)t->n_weights * (SDX_MOST_SLOTS + 1 + SDX_PARTS);
    list l = {.items = SDX_NEW_ARRAY(arena, sdx_named_value, most, error), .arena = arena, .error = error};
    sdx_pair pairs[PAIRS];
    if (!l.items) return error->status;
    SDX_TRY(visit_cells(t, t->micro, add_item, &l));
    SDX_TRY(write_fields(t, arena, error, pairs));
    return sdx_safetensors_write(path, l.items, l.n, pairs, PAIRS, error);
}

sdx_status sdx_trainer_write_checkpoint(const sdx_trainer *trainer, const char *path, sdx_error *error) {
    union {
        const sdx_trainer *given;
        sdx_trainer *same; /* cells are visited for writing when loading; here they are only read */
    } t = {trainer};
    sdx_error own = {0};
    sdx_memory memory;
    sdx_arena arena;
    if (!error) error = &own;
    sdx_memory_init(&memory, 0);
    sdx_arena_init(&arena, &memory);
    sdx_status status = save(t.same, path, &arena, error);
    sdx_arena_release(&arena);
    return status;
}

/* ---- Loading --------------------------------------------------------------------------------------------------- */

typedef struct state {
    int64_t count[FIELDS];
    double real[FIELDS];
    uint64_t seed;
} state;

static sdx_status read_text(const sdx_safetensors *file, const char *key, sdx_error *error, const char **text) {
    *text = sdx_safetensors_text(file, key);
    return *text ? SDX_OK : sdx_fail(error, SDX_VALUE, "the file is no checkpoint: it does not say '%s'", key);
}

static sdx_status read_number(const sdx_safetensors *file, const char *key, int base, sdx_error *error, uint64_t *out) {
    const char *text = NULL;
    char *end = NULL;
    SDX_TRY(read_text(file, key, error, &text));
    bool sign = base == 10 && *text == '-';
    bool digits = (text[sign] >= '0' && text[sign] <= '9') || (base == 16 && text[sign] >= 'a' && text[sign] <= 'f');
    if (digits) *out = sign ? (uint64_t)strtoll(text, &end, base) : strtoull(text, &end, base);
    if (digits && *end == '\0' && strlen(text) < NUMBER) return SDX_OK;
    char escaped[64];
    return sdx_fail(error, SDX_VALUE, "'%s' of the checkpoint is '%s', which is no number", key,
                    sdx_escape(escaped, sizeof escaped, text, strlen(text)));
}

static sdx_status check_origin(const sdx_trainer *t, const sdx_safetensors *file, sdx_error *error) {
    uint64_t format = 0, model = 0;
    const char *optimizer = NULL;
    char mine[256], text[128];
    SDX_TRY(read_number(file, "sardonyx.checkpoint", 10, error, &format));
    if (format != FORMAT)
        return sdx_fail(error, SDX_VALUE, "the checkpoint is of format %" PRIu64 "; this library reads format %d",
                        format, FORMAT);
    SDX_TRY(read_number(file, "model", 16, error, &model));
    if (model != digest_of(t))
        return sdx_fail(error, SDX_VALUE, "the checkpoint belongs to another model than '%s', or to another form of it",
                        t->prepared->inference->name);
    SDX_TRY(read_text(file, "optimizer", error, &optimizer));
    describe_optimizer(t, mine, sizeof mine);
    if (strcmp(optimizer, mine) == 0) return SDX_OK;
    return sdx_fail(error, SDX_VALUE, "the checkpoint has the state of optimizer '%s'; this trainer's is '%s'",
                    sdx_escape(text, sizeof text, optimizer, strlen(optimizer)), mine);
}

static sdx_status read_fields(const sdx_safetensors *file, sdx_error *error, state *s) {
    for (int k = 0; k < FIELDS; k++) {
        uint64_t bits = 0;
        SDX_TRY(read_number(file, fields[k].key, fields[k].kind == COUNT ? 10 : 16, error, &bits));
        memcpy(&s->count[k], &bits, sizeof bits);
        memcpy(&s->real[k], &bits, sizeof bits);
        if (fields[k].kind == COUNT && s->count[k] < 0)
            return sdx_fail(error, SDX_VALUE, "'%s' of the checkpoint is %" PRId64 "; it must be >= 0", fields[k].key,
                            s->count[k]);
    }
    return read_number(file, "seed", 10, error, &s->seed);
}

typedef struct loader {
    const sdx_safetensors *file;
    sdx_error *error;
    size_t n;
} loader;

static sdx_status take_item(void *context, sdx_trainer *t, sdx_cell *cell, const char *name) {
    loader *l = context;
    (void)t;
    sdx_value *value = sdx_safetensors_tensor(l->file, name);
    const sdx_tensor *wants = &cell->now->tensor;
    char escaped[128], is[256], want[256];
    sdx_escape(escaped, sizeof escaped, name, strlen(name));
    if (!value) return sdx_fail(l->error, SDX_VALUE, "the checkpoint has no tensor '%s'", escaped);
    bool fits = value->tensor.dtype == wants->dtype && value->tensor.rank == wants->rank;
    for (int d = 0; fits && d < wants->rank; d++) fits = value->tensor.dim[d] == wants->dim[d];
    if (!fits)
        return sdx_fail(l->error, SDX_VALUE, "tensor '%s' of the checkpoint is %s; it must be %s", escaped,
                        sdx_tensor_text(&value->tensor, is, sizeof is), sdx_tensor_text(wants, want, sizeof want));
    sdx_value_release(cell->next);
    cell->next = sdx_value_retain(value);
    l->n++;
    return SDX_OK;
}

static sdx_status drop_item(void *context, sdx_trainer *t, sdx_cell *cell, const char *name) {
    (void)context, (void)t, (void)name;
    sdx_value_release(cell->next);
    cell->next = NULL;
    return SDX_OK;
}

static sdx_status move_item(void *context, sdx_trainer *t, sdx_cell *cell, const char *name) {
    (void)context, (void)name;
    sdx_cell_advance(cell, t->memory);
    return SDX_OK;
}

static void adopt(sdx_trainer *t, const state *s) {
    for (int k = 0; k < FIELDS; k++) {
        unsigned char *at = (unsigned char *)t + fields[k].offset;
        memcpy(at, fields[k].kind == COUNT ? (const void *)&s->count[k] : (const void *)&s->real[k], sizeof(int64_t));
    }
    t->options.seed = s->seed;
    t->has_gradients = false;
}

static sdx_status load(sdx_trainer *t, const sdx_safetensors *file, sdx_error *error) {
    state s;
    loader l = {file, error, 0};
    SDX_TRY(check_origin(t, file, error));
    SDX_TRY(read_fields(file, error, &s));
    int64_t micro = s.count[MICRO];
    if (micro >= t->options.accumulate)
        return sdx_fail(error, SDX_VALUE, "the checkpoint has %" PRId64 " batches accumulated; 'accumulate' is %d",
                        micro, t->options.accumulate);
    sdx_status status = visit_cells(t, micro, take_item, &l);
    if (!status && l.n != sdx_safetensors_count(file))
        status = sdx_fail(error, SDX_VALUE, "the checkpoint has %zu tensors; this trainer has %zu",
                          sdx_safetensors_count(file), l.n);
    if (status) {
        visit_cells(t, 1, drop_item, NULL);
        return status;
    }
    sdx_trainer_clear_sums(t);
    visit_cells(t, micro, move_item, NULL);
    adopt(t, &s);
    return SDX_OK;
}

sdx_status sdx_trainer_read_checkpoint(sdx_trainer *t, const char *path, sdx_error *error) {
    sdx_error own = {0};
    sdx_safetensors *file = NULL;
    if (!error) error = &own;
    SDX_TRY(sdx_safetensors_read(path, t->memory, error, &file));
    sdx_status status = load(t, file, error);
    sdx_safetensors_free(file);
    return status;
}
