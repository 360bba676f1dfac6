/* SPDX-License-Identifier: Apache-2.0
 * What the parts of training hand to each other. prepare: a model becomes a model in training form plus its variables.
 * loss, penalty, optimizer, constraint: emit nodes. step: puts them together. trainer: runs steps. */
#ifndef SDX_TRAIN_TRAIN_H
#define SDX_TRAIN_TRAIN_H
#include "ops/op.h"
#include "runtime/graph/model.h"
#include <sardonyx_train.h>

/* An option whose 0 is unset; SDX_ZERO says 0. */
static inline double sdx_given(double value, double otherwise) {
    return value == 0 ? otherwise : value == SDX_ZERO ? 0 : value;
}

/* ---- prepare: options -> edited model, training form, variables ------------------------------------------------- */

/* A parameter or a running statistic. */
typedef struct sdx_variable {
    const char *name, *path, *node; /* see sdx_parameter_info */
    sdx_role role;
    bool trained;
    sdx_value *value; /* as it was in the file, or as initialised; retained by the prepared model. Other variables and
                         the model that was read may share it: copy it before writing */
    sdx_id exported;  /* initializer of the inference form */
    sdx_id id;        /* input of the training form */
    sdx_id next;      /* STATE: the value of the training form that it becomes after a step; else SDX_NONE */
} sdx_variable;

/* A BatchNormalization that was inserted; indices into variables[]. Until statistics are known they are mean 0,
 * variance 1, scale (1 + epsilon)^.5, bias 0, which changes nothing. */
typedef struct sdx_inserted_norm {
    sdx_id input; /* of the inference form: what it normalises, [N, C, d...] */
    int scale, bias, mean, var;
    double epsilon;
} sdx_inserted_norm;

typedef struct sdx_prepared {
    sdx_model *inference; /* the edited model, evaluation form: what is exported once values are put in */
    sdx_model *training;  /* its training form, bound and inferred, no passes run: dropout drops, normalisations are in
                             their mode, a final activation is bypassed; variables are inputs behind the model's own */
    int n_variables;
    sdx_variable *variables;
    sdx_id outputs[3];   /* of the training form: what the loss reads; SDX_NONE beyond */
    sdx_id evaluated[3]; /* of the inference form: the same tensors there */
    int n_inserted;
    sdx_inserted_norm *inserted; /* in the order of the graph */
    int n_notes;
    const char **notes; /* what was changed, a sentence each */
} sdx_prepared;

sdx_status sdx_prepare(const sdx_model *model, const sdx_train_options *options, sdx_error *error, sdx_prepared **out);
void sdx_prepared_free(sdx_prepared *prepared);

/* A node between an x and a y that no gradient comes through. */
typedef struct sdx_uncovered {
    const sdx_graph *graph; /* the one that was asked about, or a body */
    const sdx_node *node;
    bool never; /* its gradient is zero by nature and nothing leads around it; else none is written */
} sdx_uncovered;

typedef struct sdx_coverage {
    int n_nodes, n_freeze, n_unused;
    sdx_uncovered *nodes;
    int *freeze; /* indices of xs: the smallest set that must not be trained, so that none of the nodes is in the way */
    int *unused; /* indices of xs that no y depends on */
} sdx_coverage;
/* The arrays lie in `arena`. */
sdx_status sdx_coverage_find(const sdx_graph *graph, const sdx_id *ys, int n_ys, const sdx_id *xs, int n_xs,
                             sdx_arena *arena, sdx_error *error, sdx_coverage *out);

/* Removes the nodes of a main graph that neither an output nor one of keep[] needs. */
sdx_status sdx_drop_dead(sdx_graph *graph, const sdx_id *keep, int n_keep, sdx_error *error);
/* Puts every BatchNormalization that can go there into the weights before it: for export. *folded: how many. */
sdx_status sdx_fold_norms(sdx_model *model, sdx_error *error, int *folded);

/* A deep copy: graph, bodies, metadata, types; constants are shared. Values keep their ids and names, nodes their
 * order, so that ids of the original hold in the copy. Operators are resolved and bound again. */
sdx_status sdx_model_copy(const sdx_model *model, sdx_error *error, sdx_model **out);

/* Glob with * ? [set]; no slashes are special. */
bool sdx_pattern_matches(const char *pattern, const char *text);
/* Name, path or node of the variable. */
bool sdx_variable_matches(const sdx_variable *variable, const char *pattern);
/* Name of the node or of its first output, or its PyTorch module path. */
bool sdx_node_matches(const sdx_graph *graph, const sdx_node *node, const char *pattern);

/* ---- emission: each adds nodes to patch->graph ---------------------------------------------------------------------
 * Scalars are rank-0 tensors of the dtype of the loss. Options come as the caller gave them: where a member that is 0
 * asks for a default, it is filled in here. Nodes that were emitted before are bound and inferred; emission itself
 * leaves binding and inference to sdx_settle_graph or sdx_autodiff. */

/* loss = numerator / denominator, so that losses of several batches can be joined exactly: sums of each, divided. Of
 * SDX_REDUCTION_SUM the denominator is the constant 1, and numerators alone are added. The denominator does not depend
 * on parameters. outputs as in sdx_prepared; label SDX_NONE for the kinds without one; its type must be known: f32, f64
 * (16-bit outputs are widened), and i32 or i64 for class numbers. */
typedef struct sdx_loss_parts {
    sdx_id numerator, denominator, loss;
} sdx_loss_parts;
int sdx_loss_outputs(sdx_loss_kind kind); /* how many it reads */
bool sdx_loss_has_label(sdx_loss_kind kind);
sdx_status sdx_loss_emit(sdx_patch *patch, const sdx_loss_options *loss, const sdx_id outputs[3], sdx_id label,
                         sdx_loss_parts *parts);

/* How a penalty acts on its target: never SDX_MODE_DEFAULT; SDX_VALUE for a mode its kind or target cannot have. */
sdx_status sdx_penalty_resolve(const sdx_penalty_options *penalty, sdx_error *error, sdx_penalty_mode *mode);
/* Its value on one tensor; batch: scalar to divide by, or SDX_NONE. Differentiable. */
sdx_id sdx_penalty_emit(sdx_patch *patch, const sdx_penalty_options *penalty, sdx_id tensor, sdx_id batch);
/* What COUPLED adds to the gradient of w. */
sdx_id sdx_penalty_emit_gradient(sdx_patch *patch, const sdx_penalty_options *penalty, sdx_id w);

/* Strengths of l1 sum |w| + l2 sum w^2 + l2norm ||w||: of one penalty, or the proximal terms on one parameter, summed
 * over its penalties. */
typedef struct sdx_prox {
    double l1, l2, l2norm;
} sdx_prox;
sdx_prox sdx_penalty_terms(const sdx_penalty_options *penalty); /* defaults put in */

/* The base lr and weight_decay with their defaults; SDX_VALUE for settings out of range. */
sdx_status sdx_optimizer_base(const sdx_optimizer_options *optimizer, double *lr, double *weight_decay,
                              sdx_error *error);
enum { SDX_MOST_SLOTS = 4 };
/* Names of the state that the optimizer keeps for each parameter (each shaped like it, zero at first unless `fill`). */
int sdx_optimizer_slots(const sdx_optimizer_options *optimizer, const char *names[SDX_MOST_SLOTS],
                        double fill[SDX_MOST_SLOTS]);
typedef struct sdx_update {
    sdx_id w, g;                 /* parameter and its gradient, clipped */
    sdx_id slot[SDX_MOST_SLOTS]; /* in: state */
    sdx_id lr, step; /* rank 0: lr f32 or f64 (f64 is what PyTorch computes with), step f32, f64 or i64; step
                        counts from 1 */
    double weight_decay;
    sdx_prox prox;
    sdx_id new_w, new_slot[SDX_MOST_SLOTS]; /* out */
} sdx_update;
sdx_status sdx_optimizer_emit(sdx_patch *patch, const sdx_optimizer_options *optimizer, sdx_update *update);

/* g[] become the clipped gradients; *norm: of all before clipping, SDX_NONE without clip_norm. */
sdx_status sdx_clip_emit(sdx_patch *patch, const sdx_train_options *options, sdx_id *g, int n, sdx_id *norm);
/* training: the graph in which variable->id is read, which tells the layer that the weight belongs to. */
sdx_status sdx_constraint_emit(sdx_patch *patch, const sdx_constraint_options *constraint, const sdx_graph *training,
                               const sdx_variable *variable, sdx_id *w);

/* ---- schedule: plain arithmetic
 * -------------------------------------------------------------------------------------- */

typedef struct sdx_schedule_state {
    int64_t step, epoch; /* finished ones */
    double best, factor; /* PLATEAU */
    int64_t bad_epochs;
} sdx_schedule_state;
void sdx_schedule_start(sdx_schedule_state *state);
/* The factor on every group's lr for the next step. lr: the base one. total_steps, total_epochs: of the whole training;
 * 0 where nobody knows, then schedule->total counts. */
double sdx_schedule_factor(const sdx_schedule_options *schedule, const sdx_schedule_state *state, double lr,
                           int64_t total_steps, int64_t total_epochs);
void sdx_schedule_end_epoch(const sdx_schedule_options *schedule, sdx_schedule_state *state, double metric);

/* ---- metrics: from outputs and labels
 * -------------------------------------------------------------------------------- */

/* `loss` says what output and label are: output is what the loss reads (logits, where it takes logits). SDX_VALUE for
 * an unknown name, and for a metric that such outputs cannot have. */
typedef struct sdx_metric_sums sdx_metric_sums; /* accumulates over batches */
sdx_status sdx_metrics_create(const char *const *names, size_t n, const sdx_loss_options *loss, sdx_error *error,
                              sdx_metric_sums **out);
sdx_status sdx_metrics_add(sdx_metric_sums *sums, const sdx_tensor *output, const sdx_tensor *label, sdx_error *error);
void sdx_metrics_value(const sdx_metric_sums *sums, double *values);
void sdx_metrics_free(sdx_metric_sums *sums);

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* Options as the text that sdx_train_config_parse reads; what asks for its default is left out. Free it with sdx_free.
 */
sdx_status sdx_train_config_print(const sdx_train_options *options, sdx_error *error, char **text);

/* ---- checkpoint: named tensors and text in one safetensors file
 * ------------------------------------------------------- */

typedef struct sdx_named_value {
    const char *name;
    sdx_value *value;
} sdx_named_value;
/* Crash-safe. metadata: pairs of text. */
sdx_status sdx_safetensors_write(const char *path, const sdx_named_value *tensors, size_t n, const sdx_pair *metadata,
                                 size_t n_metadata, sdx_error *error);
typedef struct sdx_safetensors sdx_safetensors;
/* Everything about the file is checked before anything is believed. */
sdx_status sdx_safetensors_read(const char *path, sdx_memory *memory, sdx_error *error, sdx_safetensors **out);
const char *sdx_safetensors_text(const sdx_safetensors *file, const char *key);   /* NULL: absent */
sdx_value *sdx_safetensors_tensor(const sdx_safetensors *file, const char *name); /* borrowed; NULL: absent */
size_t sdx_safetensors_count(const sdx_safetensors *file);
void sdx_safetensors_free(sdx_safetensors *file);

#endif
