/* SPDX-License-Identifier: Apache-2.0
 * The keys of a training configuration, as tables that reading and printing share. */
#ifndef SDX_TRAIN_CONFIG_H
#define SDX_TRAIN_CONFIG_H
#include "runtime/train/train.h"

typedef enum key_type {
    KEY_BOOL,
    KEY_NOT,     /* a bool that says the opposite of the member */
    KEY_NUMBER,  /* double */
    KEY_PAIR,    /* double[2] */
    KEY_INT,     /* int */
    KEY_COUNT,   /* int64_t */
    KEY_SIZE,    /* size_t */
    KEY_SEED,    /* uint64_t */
    KEY_TEXT,    /* const char * */
    KEY_WORD,    /* an enum */
    KEY_FLAG,    /* bool, as one of two words */
    KEY_OUTPUTS, /* const char *[3]: a text or a list */
    KEY_NAMES,   /* const char *const *, and size_t: a text or a list */
    KEY_FLOATS,  /* const float *, and size_t: a number or a list */
    KEY_COUNTS,  /* const int64_t *, and size_t: ascending */
    KEY_OBJECT,  /* members in the same struct: `keys` */
    KEY_LIST,    /* pointer to `item_size` each, and size_t: objects of `keys` */
    KEY_MARK     /* a bool that says what an item is; true */
} key_type;

typedef struct word {
    const char *text;
    int value;
} word;

/* ZERO_SAID: 0 is stored as SDX_ZERO. WARMUP: "warmup_" may stand before the word. */
enum { LOW_OPEN = 1, HIGH_OPEN = 2, ZERO_SAID = 4, NEEDED = 8, WARMUP = 16 };
enum { SDX_CONFIG_WARMUP = 100 }; /* steps, where none are said */

typedef struct key {
    const char *name;
    key_type type;
    size_t offset, count, has; /* count: of the size_t of a list; has: of a bool that is set, 0: none */
    double low, high;
    unsigned flags;
    const word *words; /* ends with NULL; printing takes the first of a value */
    const struct key *keys;
    size_t item_size;
} key;

extern const key sdx_config_keys[]; /* of sdx_train_options; ends with NULL */

/* The largest whole number that JSON keeps exactly. */
#define SDX_CONFIG_WHOLE 9007199254740992.0

enum { SDX_CONFIG_SIZE = 1 << 20, SDX_CONFIG_DEPTH = 8 };
/* What a lenient reader would let pass: control characters, \u0000, numbers that are none, depth, size. */
sdx_status sdx_config_scan(const char *text, size_t size, sdx_error *error);
/* "line 2, column 5" */
const char *sdx_config_place(const char *text, const char *at, char *out, size_t capacity);

#endif
