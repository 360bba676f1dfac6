/* SPDX-License-Identifier: Apache-2.0
 * What the files of preparation share. The edited model comes first (aliases undone, head and inserts in place), then
 * its initializers are told apart, then the training form is made from a copy whose ids are the same. */
#ifndef SDX_TRAIN_PREPARE_H
#define SDX_TRAIN_PREPARE_H
#include "runtime/load/internal.h"
#include "runtime/train/train.h"

typedef struct sdx_preparation {
    const sdx_train_options *options;
    sdx_error *error;
    sdx_prepared *out;
    sdx_arena *arena; /* of the edited model: names, notes and variables live as long as it */
    sdx_graph *graph; /* the edited model's */
    bool torch;       /* PyTorch wrote the file */
    int notes_capacity;
} sdx_preparation;

SDX_PRINTF(2, 3) sdx_status sdx_prepare_note(sdx_preparation *p, const char *format, ...);
sdx_status sdx_prepare_failed(const sdx_preparation *p); /* what was recorded, or OUT_OF_MEMORY */

/* ---- constants.c: what constants are read as ---- */

/* A reader that is no mere view of a constant. */
typedef struct sdx_use {
    const sdx_graph *graph;
    const sdx_node *node;
    int input;
} sdx_use;

typedef struct sdx_readers sdx_readers;
/* An index of the main graph's reads, in `arena`; it holds until the graph changes. */
sdx_status sdx_readers_make(const sdx_graph *graph, sdx_arena *arena, sdx_error *error, sdx_readers **out);
/* The uses of constant `id` behind chains of nodes that read constants alone; only through reader number `only` of the
 * constant itself unless it is -1. The list holds until the next call. */
sdx_status sdx_readers_uses(sdx_readers *readers, sdx_id id, int only, const sdx_use **uses, int *n);
/* Direct readers of any value of the main graph: nodes' inputs, then bodies that capture it (input -1). */
int sdx_readers_of(const sdx_readers *readers, sdx_id id, const sdx_use **uses);
bool sdx_readers_derived(const sdx_readers *readers, sdx_id id); /* made of constants alone */

/* ---- roles.c ---- */

enum { SDX_USE_NONE = 0, SDX_USE_ELEMENTWISE = 16 }; /* beside sdx_role: no weight; weight or plain constant */
int sdx_use_role(const sdx_readers *readers, const sdx_use *use); /* readers may be NULL for a use in a body */
/* The same, less what only looks like a weight: dummies of normalisations, stand-ins for running statistics. */
int sdx_prepare_role(sdx_preparation *p, const sdx_readers *readers, sdx_id id, const sdx_use *use);

/* ---- paths.c ---- */
const char *sdx_value_kind_said(const sdx_graph_value *value); /* "PARAMETER", "BUFFER", ... by the exporter; or "" */
/* The weight that an exporter folded into this constant; NULL: none, or several. */
const char *sdx_prepare_folded_from(sdx_preparation *p, const sdx_graph_value *value);
/* "layer1.0.conv1"; false: not known, or longer than there is room. */
bool sdx_node_module(const sdx_node *node, char *out, size_t capacity);
const char *sdx_prepare_module(sdx_preparation *p, const sdx_node *node); /* NULL: not by PyTorch, or not known */
/* PyTorch's name of what `use` reads; `name` where the file does not tell. NULL: out of memory. */
const char *sdx_prepare_path(sdx_preparation *p, const char *name, const sdx_use *use, sdx_role role);
const char *sdx_prepare_free_name(sdx_preparation *p, const char *name); /* `name`, or with a number behind it */
const char *sdx_prepare_joined(sdx_preparation *p, const char *a, const char *between, const char *b);

/* ---- batch.c: files that fix the size of the batch ---- */

typedef struct sdx_batch_size {
    int64_t fixed;   /* by the file; 0: it is open, or inputs differ */
    bool open;       /* it could be left open, and is */
    int shapes;      /* in the file that held it */
    char place[200]; /* what depends on it */
} sdx_batch_size;
/* A copy to edit, whose batch is open where that is possible. */
sdx_status sdx_prepare_copy(const sdx_model *model, sdx_error *error, sdx_model **out, sdx_batch_size *batch);
sdx_status sdx_prepare_batch(sdx_preparation *p, const sdx_batch_size *batch); /* says so */

/* ---- hoist.c, alias.c ---- */
sdx_status sdx_prepare_hoist(sdx_preparation *p);
sdx_status sdx_prepare_aliases(sdx_preparation *p);

/* ---- head.c, insert.c: edits of the model ---- */
sdx_status sdx_prepare_head(sdx_preparation *p);
sdx_status sdx_prepare_inserts(sdx_preparation *p);
void sdx_prepare_inserted(sdx_preparation *p); /* once variables are known */

/* ---- variables.c ---- */
sdx_status sdx_prepare_variables(sdx_preparation *p);

/* ---- select.c: which variables are trained ---- */
sdx_status sdx_prepare_select(sdx_preparation *p);
/* The error for a pattern that matches none of `names`; `what` says whose it is. Close names are offered. */
sdx_status sdx_prepare_no_match(sdx_preparation *p, const char *what, const char *pattern, const char *const *names,
                                int n);

/* ---- forms.c: from the edited model to its two forms ---- */
sdx_status sdx_prepare_training(sdx_preparation *p);
sdx_status sdx_prepare_find_output(sdx_preparation *p, const sdx_graph *graph, int k, sdx_id *out);
sdx_status sdx_prepare_describe(sdx_preparation *p, sdx_model *model); /* inputs and outputs */
void sdx_prepare_follow(const sdx_patch *patch, sdx_id ids[3]);        /* what stands in their places after a commit */

/* ---- dropout.c, norm.c: nodes of the training form, and what is exported ---- */
sdx_status sdx_prepare_dropout(sdx_preparation *p);
sdx_status sdx_prepare_dropout_export(sdx_preparation *p);
sdx_status sdx_prepare_norm(sdx_preparation *p);
sdx_status sdx_prepare_norm_export(sdx_preparation *p);
sdx_status sdx_prepare_frozen_norms(sdx_preparation *p); /* FROZEN: scale and bias are not trained */

/* ---- small questions ---- */
bool sdx_prepare_candidate(const sdx_graph *graph, sdx_id id); /* a constant that could be trained */
bool sdx_name_made_up(const char *name); /* by an exporter or the importer: tells nothing of what the tensor is */
const char *sdx_prepare_node_name(const sdx_graph *graph, const sdx_node *node); /* or its first output's */

#endif
