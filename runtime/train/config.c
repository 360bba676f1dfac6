/* SPDX-License-Identifier: Apache-2.0
 * A training configuration from JSON text. Every message begins with the path of the key. */
#include "runtime/train/config.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    sdx_arena *arena;
    sdx_error *error;
    char path[256];
} reader;

struct sdx_train_config {
    sdx_memory memory;
    sdx_arena arena;
    sdx_train_options options;
};

/* ---- messages ---- */

static size_t push(reader *r, const char *name) {
    const size_t length = strlen(r->path);
    char text[64];
    sdx_escape(text, sizeof text, name, strlen(name));
    snprintf(r->path + length, sizeof r->path - length, "%s%s", length ? "." : "", text);
    return length;
}

static size_t push_index(reader *r, size_t index) {
    const size_t length = strlen(r->path);
    snprintf(r->path + length, sizeof r->path - length, "[%zu]", index);
    return length;
}

static void pop(reader *r, size_t length) { r->path[length] = '\0'; }

static const char *shown(const cJSON *x, char *out, size_t capacity) {
    char text[64];
    if (cJSON_IsString(x))
        snprintf(out, capacity, "\"%s\"", sdx_escape(text, sizeof text, x->valuestring, strlen(x->valuestring)));
    else if (cJSON_IsNumber(x))
        snprintf(out, capacity, "%.17g", x->valuedouble);
    else
        snprintf(out, capacity, "%s",
                 cJSON_IsTrue(x)    ? "true"
                 : cJSON_IsFalse(x) ? "false"
                 : cJSON_IsNull(x)  ? "null"
                 : cJSON_IsArray(x) ? "a list"
                                    : "an object");
    return out;
}

static sdx_status wrong(const reader *r, const cJSON *found, const char *must) {
    char text[96];
    return sdx_fail(r->error, SDX_VALUE, "'%s' is %s; it must be %s", r->path, shown(found, text, sizeof text), must);
}

/* ---- single values ---- */

static sdx_status read_number(const reader *r, const key *k, const cJSON *x, double *out) {
    char must[96];
    if (!cJSON_IsNumber(x)) return wrong(r, x, "a number");
    const double v = x->valuedouble;
    const bool low = k->flags & LOW_OPEN ? v > k->low : v >= k->low;
    const bool high = k->flags & HIGH_OPEN ? v < k->high : v <= k->high;
    *out = v == 0 && k->flags & ZERO_SAID ? SDX_ZERO : v;
    if (low && high && isfinite(v)) return SDX_OK;
    snprintf(must, sizeof must, "in %c%.17g, %.17g%c", isinf(k->low) || k->flags & LOW_OPEN ? '(' : '[', k->low,
             k->high, isinf(k->high) || k->flags & HIGH_OPEN ? ')' : ']');
    return wrong(r, x, must);
}

static sdx_status read_whole(const reader *r, const key *k, const cJSON *x, int64_t *out) {
    double v = 0;
    SDX_TRY(read_number(r, k, x, &v));
    if (v != floor(v) || fabs(v) > SDX_CONFIG_WHOLE) return wrong(r, x, "a whole number");
    *out = (int64_t)v;
    return SDX_OK;
}

static sdx_status read_text(const reader *r, const cJSON *x, const char **out) {
    if (!cJSON_IsString(x) || !*x->valuestring) return wrong(r, x, "text");
    *out = sdx_arena_copy(r->arena, x->valuestring, strlen(x->valuestring), r->error);
    return *out ? SDX_OK : SDX_OUT_OF_MEMORY;
}

static sdx_status read_word(const reader *r, const key *k, const cJSON *x, int *out) {
    char must[256] = "";
    const char *text = cJSON_IsString(x) ? x->valuestring : NULL;
    if (text && k->flags & WARMUP && strncmp(text, "warmup_", 7) == 0) text += 7;
    for (const word *w = k->words; w->text; w++) {
        if (text && strcmp(w->text, text) == 0) {
            *out = w->value;
            return SDX_OK;
        }
        const size_t used = strlen(must);
        snprintf(must + used, sizeof must - used, "%s%s", used ? w[1].text ? ", " : " or " : "", w->text);
    }
    return wrong(r, x, must);
}

/* ---- lists ---- */

static size_t length_of(const cJSON *x) { return cJSON_IsArray(x) ? (size_t)cJSON_GetArraySize(x) : 1; }
static const cJSON *first_of(const cJSON *x) { return cJSON_IsArray(x) ? x->child : x; }

static sdx_status read_texts(reader *r, const cJSON *x, const char **texts) {
    size_t index = 0;
    for (const cJSON *at = first_of(x); at; at = cJSON_IsArray(x) ? at->next : NULL, index++) {
        const size_t length = cJSON_IsArray(x) ? push_index(r, index) : strlen(r->path);
        SDX_TRY(read_text(r, at, &texts[index]));
        pop(r, length);
    }
    return SDX_OK;
}

static sdx_status read_outputs(reader *r, const cJSON *x, const char **outputs) {
    if (!cJSON_IsString(x) && (!cJSON_IsArray(x) || length_of(x) < 1 || length_of(x) > 3))
        return wrong(r, x, "a name or a list of one to three names");
    return read_texts(r, x, outputs);
}

static sdx_status read_names(reader *r, const cJSON *x, const char *const **out, size_t *n) {
    if (!cJSON_IsArray(x) && !cJSON_IsString(x)) return wrong(r, x, "text or a list of texts");
    const char **texts = SDX_NEW_ARRAY(r->arena, const char *, length_of(x) + 1, r->error);
    if (!texts) return SDX_OUT_OF_MEMORY;
    *out = texts, *n = length_of(x);
    return read_texts(r, x, texts);
}

static sdx_status read_floats(reader *r, const key *k, const cJSON *x, const float **out, size_t *n) {
    if ((!cJSON_IsArray(x) && !cJSON_IsNumber(x)) || length_of(x) == 0) return wrong(r, x, "a list of numbers");
    float *values = SDX_NEW_ARRAY(r->arena, float, length_of(x), r->error);
    if (!values) return SDX_OUT_OF_MEMORY;
    *out = values, *n = length_of(x);
    size_t index = 0;
    for (const cJSON *at = first_of(x); at; at = cJSON_IsArray(x) ? at->next : NULL, index++) {
        double v = 0;
        const size_t length = push_index(r, index);
        SDX_TRY(read_number(r, k, at, &v));
        pop(r, length);
        values[index] = (float)v;
    }
    return SDX_OK;
}

static sdx_status read_counts(reader *r, const key *k, const cJSON *x, const int64_t **out, size_t *n) {
    if (!cJSON_IsArray(x)) return wrong(r, x, "a list of whole numbers");
    int64_t *values = SDX_NEW_ARRAY(r->arena, int64_t, length_of(x) + 1, r->error);
    if (!values) return SDX_OUT_OF_MEMORY;
    *out = values, *n = length_of(x);
    size_t index = 0;
    for (const cJSON *at = x->child; at; at = at->next, index++) {
        const size_t length = push_index(r, index);
        SDX_TRY(read_whole(r, k, at, &values[index]));
        if (index && values[index] <= values[index - 1]) return wrong(r, at, "above the number before it");
        pop(r, length);
    }
    return SDX_OK;
}

static sdx_status read_pair(reader *r, const key *k, const cJSON *x, double *out) {
    if (!cJSON_IsArray(x) || length_of(x) != 2) return wrong(r, x, "a list of two numbers");
    for (int i = 0; i < 2; i++) {
        const size_t length = push_index(r, (size_t)i);
        SDX_TRY(read_number(r, k, cJSON_GetArrayItem(x, i), &out[i]));
        pop(r, length);
    }
    return SDX_OK;
}

/* ---- objects ---- */

static const cJSON *member(const cJSON *object, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static sdx_status fail_at(reader *r, const char *name, const char *what) {
    push(r, name);
    return sdx_fail(r->error, SDX_VALUE, "'%s' %s", r->path, what);
}

static sdx_status finish_insert(reader *r, const cJSON *x, sdx_insert_options *insert) {
    const cJSON *dropout = member(x, "dropout"), *norm = member(x, "batch_norm");
    if (!dropout == !norm)
        return sdx_fail(r->error, SDX_VALUE, "'%s' must have either 'dropout' or 'batch_norm'", r->path);
    if (dropout && member(x, "epsilon")) return fail_at(r, "epsilon", "belongs to 'batch_norm'");
    if (dropout && member(x, "momentum")) return fail_at(r, "momentum", "belongs to 'batch_norm'");
    insert->kind = dropout ? SDX_INSERT_DROPOUT : SDX_INSERT_BATCH_NORM;
    return SDX_OK;
}

static sdx_status finish_penalty(reader *r, const cJSON *x, sdx_penalty_options *penalty) {
    if (strcmp(member(x, "kind")->valuestring, "L1L2") == 0)
        penalty->has_l1 = penalty->has_l2 = true; /* 0 unless given */
    if (penalty->has_l1 && (penalty->kind == SDX_PENALTY_L2 || penalty->kind == SDX_PENALTY_L2NORM))
        return fail_at(r, "l1", "does not belong to this kind");
    if (penalty->has_l2 && penalty->kind == SDX_PENALTY_L1) return fail_at(r, "l2", "does not belong to this kind");
    sdx_penalty_mode mode;
    sdx_error why = {0};
    if (sdx_penalty_resolve(penalty, &why, &mode) == SDX_OK) return SDX_OK;
    return sdx_fail(r->error, SDX_VALUE, "'%s': %s", r->path, why.message);
}

static sdx_status read_object(reader *r, const key *keys, const cJSON *x, char *base);

static sdx_status read_list(reader *r, const key *k, const cJSON *x, char *base) {
    if (!cJSON_IsArray(x)) return wrong(r, x, "a list of objects");
    const size_t n = length_of(x);
    char *items = sdx_arena_alloc_array(r->arena, n + 1, k->item_size, r->error);
    if (!items) return SDX_OUT_OF_MEMORY;
    size_t index = 0;
    for (const cJSON *at = x->child; at; at = at->next, index++) {
        const size_t length = push_index(r, index);
        void *item = items + index * k->item_size;
        SDX_TRY(read_object(r, k->keys, at, item));
        if (strcmp(k->name, "insert") == 0) SDX_TRY(finish_insert(r, at, item));
        if (strcmp(k->name, "penalties") == 0) SDX_TRY(finish_penalty(r, at, item));
        pop(r, length);
    }
    memcpy(base + k->offset, &items, sizeof items);
    memcpy(base + k->count, &n, sizeof n);
    return SDX_OK;
}

static sdx_status read_scalar(reader *r, const key *k, const cJSON *x, char *at) {
    int64_t whole = 0;
    int value = 0;
    if (k->type == KEY_BOOL || k->type == KEY_NOT || k->type == KEY_MARK) {
        if (!cJSON_IsBool(x)) return wrong(r, x, "true or false");
        if (k->type == KEY_MARK) return cJSON_IsTrue(x) ? SDX_OK : wrong(r, x, "true");
        *(bool *)at = cJSON_IsTrue(x) == (k->type == KEY_BOOL);
        return SDX_OK;
    }
    if (k->type == KEY_WORD || k->type == KEY_FLAG) {
        SDX_TRY(read_word(r, k, x, &value));
        if (k->type == KEY_FLAG)
            *(bool *)at = value != 0;
        else
            memcpy(at, &value, sizeof value);
        return SDX_OK;
    }
    SDX_TRY(read_whole(r, k, x, &whole));
    value = k->type == KEY_INT ? (int)whole : 0;
    const size_t size = k->type == KEY_SIZE ? (size_t)whole : 0;
    const uint64_t seed = (uint64_t)whole;
    if (k->type == KEY_INT) memcpy(at, &value, sizeof value);
    if (k->type == KEY_COUNT) memcpy(at, &whole, sizeof whole);
    if (k->type == KEY_SIZE) memcpy(at, &size, sizeof size);
    if (k->type == KEY_SEED) memcpy(at, &seed, sizeof seed);
    return SDX_OK;
}

static sdx_status read_value(reader *r, const key *k, const cJSON *x, char *base) {
    void *at = base + k->offset;
    size_t *n = (size_t *)(void *)(base + k->count);
    if (k->has) *(bool *)(base + k->has) = true;
    switch (k->type) {
    case KEY_NUMBER: return read_number(r, k, x, at);
    case KEY_PAIR: return read_pair(r, k, x, at);
    case KEY_TEXT: return read_text(r, x, at);
    case KEY_OUTPUTS: return read_outputs(r, x, at);
    case KEY_NAMES: return read_names(r, x, at, n);
    case KEY_FLOATS: return read_floats(r, k, x, at, n);
    case KEY_COUNTS: return read_counts(r, k, x, at, n);
    case KEY_LIST: return read_list(r, k, x, base);
    case KEY_OBJECT: return read_object(r, k->keys, x, base);
    case KEY_BOOL:
    case KEY_NOT:
    case KEY_INT:
    case KEY_COUNT:
    case KEY_SIZE:
    case KEY_SEED:
    case KEY_WORD:
    case KEY_FLAG:
    case KEY_MARK: break;
    }
    return read_scalar(r, k, x, at);
}

static sdx_status unknown_key(reader *r, const key *keys, const char *name) {
    char known[400] = "";
    for (const key *k = keys; k->name; k++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", k->name);
    }
    push(r, name);
    return sdx_fail(r->error, SDX_VALUE, "'%s' is no key; there are %s", r->path, known);
}

static sdx_status read_object(reader *r, const key *keys, const cJSON *x, char *base) {
    uint64_t seen = 0;
    if (!cJSON_IsObject(x)) return wrong(r, x, "an object");
    for (const cJSON *at = x->child; at; at = at->next) {
        size_t index = 0;
        while (keys[index].name && strcmp(keys[index].name, at->string) != 0) index++;
        if (!keys[index].name) return unknown_key(r, keys, at->string);
        if (seen >> index & 1) return fail_at(r, at->string, "stands twice");
        seen |= (uint64_t)1 << index;
        const size_t length = push(r, at->string);
        SDX_TRY(read_value(r, &keys[index], at, base));
        pop(r, length);
    }
    for (size_t k = 0; keys[k].name; k++)
        if (keys[k].flags & NEEDED && !(seen >> k & 1)) return fail_at(r, keys[k].name, "is missing");
    return SDX_OK;
}

/* ---- the whole ---- */

/* What holds between keys. */
static sdx_status finish(reader *r, const cJSON *json, sdx_train_options *o) {
    const cJSON *loss = member(json, "loss"), *schedule = member(json, "schedule");
    if (!o->loss.kind) o->loss.kind = SDX_LOSS_CROSS_ENTROPY;
    const bool bce = o->loss.kind == SDX_LOSS_BCE_WITH_LOGITS;
    const bool classes = o->loss.kind == SDX_LOSS_CROSS_ENTROPY || o->loss.kind == SDX_LOSS_NLL;
    double lr, decay;
    sdx_error why = {0};
    pop(r, 0);
    if (member(loss, "pos_weight") && !bce) return fail_at(r, "loss.pos_weight", "belongs to bce_with_logits");
    if (member(loss, "class_weights") && !classes)
        return fail_at(r, "loss.class_weights", "belongs to cross_entropy and nll");
    if (o->loss.label_smoothing > 0 && o->loss.kind != SDX_LOSS_CROSS_ENTROPY)
        return fail_at(r, "loss.label_smoothing", "belongs to cross_entropy");
    if (o->loss.has_ignore_index && !classes)
        return fail_at(r, "loss.ignore_index", "belongs to cross_entropy and nll");
    if (sdx_optimizer_base(&o->optimizer, &lr, &decay, &why)) return sdx_fail(r->error, SDX_VALUE, "%s", why.message);
    const cJSON *kind = schedule ? member(schedule, "kind") : NULL;
    if (kind && strncmp(kind->valuestring, "warmup_", 7) == 0 && !member(schedule, "warmup"))
        o->schedule.warmup = SDX_CONFIG_WARMUP;
    if (o->schedule.kind == SDX_SCHEDULE_MULTISTEP && !o->schedule.n_milestones)
        return fail_at(r, "schedule.milestones", "is missing; multistep needs it");
    if (member(json, "early_stop") && !o->early_stop) o->early_stop = "valid_loss";
    return SDX_OK;
}

static sdx_status parse(sdx_train_config *config, const char *text, size_t size, sdx_error *error) {
    reader r = {.arena = &config->arena, .error = error};
    const char *end = NULL;
    char place[64];
    config->options.size = sizeof config->options;
    SDX_TRY(sdx_config_scan(text, size, error));
    cJSON *json = cJSON_ParseWithLengthOpts(text, size, &end, false);
    if (!json) {
        const char *at = end && end >= text && end <= text + size ? end : text;
        return sdx_fail(error, SDX_MALFORMED, "%s: this is not JSON", sdx_config_place(text, at, place, sizeof place));
    }
    while (end < text + size && (*end == ' ' || *end == '\n' || *end == '\r' || *end == '\t')) end++;
    sdx_status status = SDX_OK;
    if (end < text + size)
        status = sdx_fail(error, SDX_MALFORMED, "%s: something follows the end of the configuration",
                          sdx_config_place(text, end, place, sizeof place));
    else if (!cJSON_IsObject(json))
        status = sdx_fail(error, SDX_VALUE, "a configuration must be an object");
    if (!status) status = read_object(&r, sdx_config_keys, json, (char *)&config->options);
    if (!status) status = finish(&r, json, &config->options);
    cJSON_Delete(json);
    return status;
}

sdx_status sdx_train_config_parse(const char *json, size_t size, sdx_error *error, sdx_train_config **out) {
    sdx_error own = {0};
    if (!error) error = &own;
    if (!out) return sdx_fail(error, SDX_ARGUMENT, "'out' must not be NULL");
    *out = NULL;
    if (!json) return sdx_fail(error, SDX_ARGUMENT, "'json' must not be NULL");
    sdx_train_config *config = calloc(1, sizeof *config);
    if (!config) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", sizeof *config);
    sdx_memory_init(&config->memory, 0);
    sdx_arena_init(&config->arena, &config->memory);
    const sdx_status status = parse(config, json, size, error);
    if (status) {
        sdx_train_config_free(config);
        return sdx_error_context(error, "configuration");
    }
    *out = config;
    return SDX_OK;
}

const sdx_train_options *sdx_train_config_options(const sdx_train_config *config) {
    return config ? &config->options : NULL;
}

void sdx_train_config_free(sdx_train_config *config) {
    if (!config) return;
    sdx_arena_release(&config->arena);
    free(config);
}
