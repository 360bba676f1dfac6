/* SPDX-License-Identifier: Apache-2.0
 * Options as the JSON text of a configuration: what differs from 0 and NULL, in the order of the tables. Reading it
 * gives the same options. */
#include "runtime/train/config.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest text that reads as exactly this number (cJSON's own may be one unit off), with a point in any locale. */
static cJSON *number(double value) {
    char text[40];
    if (value == SDX_ZERO) value = 0;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    for (char *at = text; *at; at++)
        if (*at == ',') *at = '.';
    return cJSON_CreateRaw(text);
}

static cJSON *texts(const char *const *items, size_t n) {
    cJSON *list = cJSON_CreateArray();
    for (size_t k = 0; list && k < n; k++) cJSON_AddItemToArray(list, cJSON_CreateString(items[k]));
    return list;
}

static cJSON *word_of(const key *k, int value, bool always) {
    if (value == 0 && !always) return NULL;
    for (const word *w = k->words; w->text; w++)
        if (w->value == value) return cJSON_CreateString(w->text);
    return NULL;
}

static cJSON *whole(const key *k, const char *at) {
    double value = 0;
    if (k->type == KEY_INT) value = *(const int *)(const void *)at;
    if (k->type == KEY_COUNT) value = (double)*(const int64_t *)(const void *)at;
    if (k->type == KEY_SIZE) value = (double)*(const size_t *)(const void *)at;
    if (k->type == KEY_SEED) value = (double)*(const uint64_t *)(const void *)at;
    return value == 0 && !k->has ? NULL : number(value);
}

static cJSON *print_object(const key *keys, const char *base, bool always);

static cJSON *print_list(const key *k, const char *base) {
    const char *items = NULL;
    size_t n = 0;
    memcpy(&items, base + k->offset, sizeof items);
    memcpy(&n, base + k->count, sizeof n);
    cJSON *list = n ? cJSON_CreateArray() : NULL;
    for (size_t i = 0; list && i < n; i++) {
        cJSON *item = print_object(k->keys, items + i * k->item_size, true);
        const sdx_insert_options *insert = (const void *)(items + i * k->item_size);
        if (strcmp(k->name, "insert") == 0 && insert->kind == SDX_INSERT_BATCH_NORM)
            cJSON_AddItemToObject(item, "batch_norm", cJSON_CreateTrue());
        if (strcmp(k->name, "insert") == 0 && insert->kind == SDX_INSERT_DROPOUT && insert->ratio == 0)
            cJSON_AddItemToObject(item, "dropout", number(.5));
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static cJSON *numbers(const key *k, const char *base) {
    size_t n = 0;
    memcpy(&n, base + k->count, sizeof n);
    cJSON *list = n ? cJSON_CreateArray() : NULL;
    for (size_t i = 0; list && i < n; i++) {
        const void *const *data = (const void *const *)(const void *)(base + k->offset);
        const double value =
            k->type == KEY_FLOATS ? (double)((const float *)*data)[i] : (double)((const int64_t *)*data)[i];
        cJSON_AddItemToArray(list, number(value));
    }
    return list;
}

static cJSON *pair(const double *values) {
    if (values[0] == 0 || values[1] == 0) return NULL; /* one of the two cannot be left out */
    cJSON *list = cJSON_CreateArray();
    for (int k = 0; list && k < 2; k++) cJSON_AddItemToArray(list, number(values[k]));
    return list;
}

/* NULL where the member asks for its default. */
static cJSON *print_value(const key *k, const char *base) {
    const char *at = base + k->offset;
    const char *const *text = (const char *const *)(const void *)at;
    const double *real = (const void *)at;
    size_t n = 0;
    if (k->has && !*(const bool *)(base + k->has)) return NULL;
    switch (k->type) {
    case KEY_BOOL: return *(const bool *)at ? cJSON_CreateTrue() : NULL;
    case KEY_NOT: return *(const bool *)at ? cJSON_CreateFalse() : NULL;
    case KEY_NUMBER: return *real == 0 && !k->has ? NULL : number(*real);
    case KEY_PAIR: return pair(real);
    case KEY_TEXT: return *text ? cJSON_CreateString(*text) : NULL;
    case KEY_WORD: return word_of(k, *(const int *)(const void *)at, false);
    case KEY_FLAG: return word_of(k, *(const bool *)at, false);
    case KEY_OUTPUTS:
        while (n < 3 && text[n]) n++;
        return n ? texts(text, n) : NULL;
    case KEY_NAMES:
        memcpy(&n, base + k->count, sizeof n);
        return n ? texts(*(const char *const *const *)(const void *)at, n) : NULL;
    case KEY_FLOATS:
    case KEY_COUNTS: return numbers(k, base);
    case KEY_OBJECT: return print_object(k->keys, base, k->has != 0);
    case KEY_LIST: return print_list(k, base);
    case KEY_INT:
    case KEY_COUNT:
    case KEY_SIZE:
    case KEY_SEED: return whole(k, at);
    case KEY_MARK: break;
    }
    return NULL;
}

/* always: also when nothing is in it */
static cJSON *print_object(const key *keys, const char *base, bool always) {
    cJSON *object = cJSON_CreateObject();
    for (const key *k = keys; object && k->name; k++) {
        const bool twin = k->type == KEY_FLOATS; /* two names for one member; the kind of loss says which */
        const sdx_train_options *o = (const void *)base;
        if (twin && (strcmp(k->name, "pos_weight") == 0) != (o->loss.kind == SDX_LOSS_BCE_WITH_LOGITS)) continue;
        cJSON *value = print_value(k, base);
        if (value) cJSON_AddItemToObject(object, k->name, value);
    }
    if (object && !always && !object->child) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

sdx_status sdx_train_config_print(const sdx_train_options *options, sdx_error *error, char **text) {
    cJSON *object = print_object(sdx_config_keys, (const char *)options, true);
    *text = object ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    return *text ? SDX_OK : sdx_fail(error, SDX_OUT_OF_MEMORY, "no memory for the configuration's text");
}
