/* SPDX-License-Identifier: Apache-2.0
 * The trainer inside. What steps change lies in cells; a program is a graph with a session whose inputs and outputs are
 * tied to cells by ports. A step runs programs that write next values, then moves them all in at once. */
#ifndef SDX_TRAIN_TRAINER_H
#define SDX_TRAIN_TRAINER_H
#include "runtime/exec/exec.h"
#include "runtime/load/load.h"
#include "runtime/train/train.h"

/* `next` is what a run under way writes; between runs a buffer of the trainer's own, or NULL. */
typedef struct sdx_cell {
    sdx_value *now, *next;
} sdx_cell;

typedef enum sdx_port_kind {
    SDX_PORT_BATCH,    /* input `index` of a batch */
    SDX_PORT_LABEL,    /* of the batch */
    SDX_PORT_VARIABLE, /* in: its value; out: the next one */
    SDX_PORT_SLOT,     /* `part` of weight `index` */
    SDX_PORT_EMA,
    SDX_PORT_SUM,      /* of gradients over micro-batches: `part` (sdx_part) of weight `index` */
    SDX_PORT_GRADIENT, /* of weight `index` */
    SDX_PORT_INPUT_GRADIENT,
    SDX_PORT_DIAL,   /* a scalar input: sdx_dial `index` in the form `part` */
    SDX_PORT_FIGURE, /* a scalar output: sdx_figure `index` */
    SDX_PORT_OUTPUT  /* output `index` of the model; behind them what the loss reads */
} sdx_port_kind;

typedef struct sdx_port {
    sdx_port_kind kind;
    int index, part;
} sdx_port;

/* What is summed over micro-batches: gradients of the loss's numerator, of penalties, of penalties per batch. */
typedef enum sdx_part { SDX_PART_LOSS, SDX_PART_PLAIN, SDX_PART_PER_BATCH, SDX_PARTS } sdx_part;

/* lr of group g is dial SDX_DIAL_LR + g; group 0 is the optimizer's own. */
typedef enum sdx_dial { SDX_DIAL_STEP, SDX_DIAL_DENOMINATOR, SDX_DIAL_SAMPLES, SDX_DIAL_LR } sdx_dial;
enum { SDX_DIAL_FORMS = 4 }; /* f32 f64 f16 bf16 */

/* The value of penalty k is figure SDX_FIGURE_PENALTY + k. */
typedef enum sdx_figure {
    SDX_FIGURE_NUMERATOR,
    SDX_FIGURE_DENOMINATOR,
    SDX_FIGURE_LOSS,
    SDX_FIGURE_SAMPLES,
    SDX_FIGURE_NORM,
    SDX_FIGURE_PENALTY
} sdx_figure;

/* A batch matched with what programs read. */
typedef struct sdx_batch {
    sdx_value **inputs; /* per input of a batch, borrowed; NULL: its default */
    sdx_value *label;
} sdx_batch;

/* A parameter that steps move. */
typedef struct sdx_weight {
    int variable, group;
    double weight_decay;
    sdx_prox prox;
    sdx_cell slot[SDX_MOST_SLOTS], ema, sum[SDX_PARTS], gradient;
} sdx_weight;

typedef struct sdx_program {
    sdx_model *model;
    sdx_session *session;
    int n_in, n_out; /* arrays live with the model */
    sdx_port *in, *out;
    sdx_value **inputs, **given, **results;
    bool *wanted;
    bool labelled; /* it has a label, of this type */
    sdx_dtype label_dtype;
    int label_rank;
} sdx_program;

typedef enum sdx_form {
    SDX_FORM_TRAIN,    /* gradients as steps take them: summed over micro-batches where they accumulate */
    SDX_FORM_MEAN,     /* gradients of one batch */
    SDX_FORM_EVALUATE, /* inference form with loss and penalties */
    SDX_FORM_PREDICT,  /* inference form */
    SDX_FORM_UPDATE,
    SDX_FORMS
} sdx_form;

/* Where sdx_trainer_fit stands; saved with the trainer, so that it goes on there. */
typedef struct sdx_fit_state {
    int64_t epoch, position;       /* finished epochs; samples of the next one that are done */
    double numerator, denominator; /* of the loss in it so far */
    double best;                   /* watched metric, turned so that less is better */
    int64_t bad_epochs;
} sdx_fit_state;

struct sdx_trainer {
    sdx_memory *memory;
    sdx_arena arena;
    sdx_pool *pool;
    sdx_train_options options; /* a copy of its own */
    sdx_prepared *prepared;
    sdx_parameter_info *infos; /* per variable */
    sdx_cell *variables;
    int n_batch;                 /* inputs of a batch: those of the model that are no variables */
    sdx_value_info *batch_infos; /* strings and dims belong to the prepared model */
    sdx_batch batch;             /* of the call under way */
    int label_input;             /* the input that is the label; -1: the label stands beside the inputs */
    int n_weights;
    sdx_weight *weights; /* NULL until the first gradient graph is built */
    int n_slots;
    const char *slot_names[SDX_MOST_SLOTS];
    double slot_fill[SDX_MOST_SLOTS];
    sdx_penalty_mode *modes; /* per penalty */
    double base_lr, base_decay;
    sdx_cell *input_gradients;
    size_t n_dials, n_figures;
    sdx_value **dials; /* SDX_DIAL_FORMS of each */
    double *figures;
    double *penalties; /* of the last result */
    const char **notes;
    size_t n_notes, notes_capacity;
    sdx_program programs[SDX_FORMS];
    sdx_schedule_state schedule;
    int64_t steps_expected, epochs_expected; /* 0: nobody said */
    int64_t micro;                           /* batches since the last update */
    sdx_fit_state fit;
    double numerator, denominator, samples; /* summed over them */
    bool has_gradients;
    bool averaged; /* programs read the averages for the parameters */
    bool has_sample;
    sdx_value **sample; /* per input of a batch: a sample of the first one; to try exported models with */
};

/* ---- options.c ---- */

/* A deep copy in the arena, with what later parts do not check checked. */
sdx_status sdx_train_options_copy(const sdx_train_options *from, sdx_arena *arena, sdx_error *error,
                                  sdx_train_options *to);

/* ---- trainer.c ---- */

sdx_status sdx_trainer_make(const sdx_model *model, const sdx_train_options *options, sdx_error *error,
                            sdx_trainer **out);
sdx_cell *sdx_trainer_cell(sdx_trainer *trainer, sdx_port port); /* NULL: the port has none */
SDX_PRINTF(3, 4) sdx_status sdx_trainer_add_note(sdx_trainer *trainer, sdx_error *error, const char *format, ...);
/* The spare buffer becomes the value, and the old value the buffer where nobody else holds it. */
void sdx_cell_advance(sdx_cell *cell, const sdx_memory *memory);
void sdx_cell_clear(sdx_cell *cell);
sdx_status sdx_trainer_rows(const sdx_trainer *trainer, sdx_error *error, sdx_profile_row **rows, size_t *n);
void sdx_trainer_bytes(const sdx_trainer *trainer, size_t *used, size_t *peak);
/* What the models leave of options.memory_limit is the limit of the trainer's own memory. */
sdx_status sdx_trainer_fit_limit(sdx_trainer *trainer, sdx_error *error);
/* The one type of label that the loss expects by default; kind 0: the loss takes none. */
void sdx_trainer_label_type(const sdx_trainer *trainer, sdx_type *type);
const char *sdx_trainer_label_name(const sdx_trainer *trainer);

/* ---- build.c: graphs with ports ---- */

typedef struct sdx_builder {
    sdx_trainer *trainer;
    sdx_model *model;
    sdx_graph *graph;
    sdx_patch patch;
    sdx_error *error;
    int n_in, n_out;
    sdx_port *in, *out;
    bool named; /* outputs are to have the names given */
} sdx_builder;

/* `base` is copied, NULL: an empty graph. The inputs of the copy have no ports yet. */
sdx_status sdx_builder_begin(sdx_builder *builder, sdx_trainer *trainer, const sdx_model *base, const char *name,
                             sdx_error *error);
void sdx_builder_drop(sdx_builder *builder);
/* Applies what was emitted; what follows may ask for types. */
sdx_status sdx_builder_settle(sdx_builder *builder);
/* A new input; errors are sticky in the patch. */
sdx_id sdx_builder_input(sdx_builder *builder, sdx_port port, const sdx_type *type, const char *name);
/* Ties input k of the graph as it is. */
void sdx_builder_tie(sdx_builder *builder, int k, sdx_port port);
/* In a copy of the inference form: variables become inputs, and every input has its port. ids: per variable, or NULL.
 */
sdx_status sdx_builder_free_variables(sdx_builder *builder, sdx_id *ids);
/* Of the training form, where variables are inputs already: ties them and the batch. */
sdx_status sdx_builder_tie_training(sdx_builder *builder);
void sdx_builder_output(sdx_builder *builder, sdx_port port, sdx_id id, const char *name);
sdx_id sdx_builder_dial(sdx_builder *builder, int dial, sdx_dtype dtype);
/* Passes, session. Takes the model over. */
sdx_status sdx_builder_finish(sdx_builder *builder, sdx_program *out);
void sdx_program_clear(sdx_program *program);

/* ---- gradient_graph.c, update_graph.c, evaluate_graph.c ---- */

/* The ids of a step's graph that further emission needs. */
typedef struct sdx_step_ids {
    sdx_id *w, *g;    /* per weight */
    sdx_id *variable; /* per variable: its input */
} sdx_step_ids;

sdx_status sdx_gradient_emit(sdx_builder *builder, sdx_form form, const sdx_type *label, sdx_step_ids *ids);
/* Adds inputs for slots, lr and step; outputs for new parameters and slots. */
sdx_status sdx_update_emit(sdx_builder *builder, const sdx_step_ids *ids);
sdx_status sdx_gradient_build(sdx_trainer *trainer, sdx_form form, const sdx_type *label, sdx_error *error);
sdx_status sdx_update_build(sdx_trainer *trainer, sdx_error *error);
sdx_status sdx_evaluate_build(sdx_trainer *trainer, sdx_form form, const sdx_type *label, sdx_error *error);

/* ---- penalties.c ---- */

/* What is to be differentiated; SDX_NONE where there is nothing. samples: of the batch, where a penalty divides by it.
 */
typedef struct sdx_penalty_sums {
    sdx_id part[SDX_PARTS], samples;
} sdx_penalty_sums;

/* The value of every penalty as a scalar: variable[k] stands for variable k; activities are looked for among the first
 * n_nodes nodes. split: for sums over micro-batches, to which the terms of parameters are added later; else all is one
 * sum, SDX_PART_PLAIN. */
sdx_status sdx_penalties_emit(sdx_builder *builder, const sdx_id *variable, int n_nodes, sdx_dtype dtype, bool split,
                              sdx_id *values, sdx_penalty_sums *sums);
bool sdx_penalty_hits(const sdx_penalty_options *penalty, const sdx_variable *variable);
/* The proximal terms of all penalties on one variable. */
sdx_prox sdx_penalties_prox(const sdx_trainer *trainer, const sdx_variable *variable);
/* Every penalty has a mode it can have and finds something. */
sdx_status sdx_penalties_check(sdx_trainer *trainer, sdx_error *error);

/* ---- freeze.c ---- */

/* Fails with every node between xs and ys that has no gradient, and the parameters to freeze so that none is met. */
sdx_status sdx_gradients_exist(const sdx_graph *graph, const sdx_id *ys, int n_ys, const sdx_id *xs, int n_xs,
                               sdx_error *error);
/* reached[id]: y depends on the value through values that have gradients. n_values entries. */
void sdx_mark_reached(const sdx_graph *graph, const sdx_id *ys, int n_ys, bool *reached);

/* ---- step.c ---- */

/* The bindings of a batch into trainer->batch; need_label: one that the loss takes must be there. */
sdx_status sdx_batch_match(sdx_trainer *trainer, const sdx_binding *bindings, size_t n, bool need_label,
                           sdx_error *error);
/* The program of the form for such a label, made where there is none. */
sdx_status sdx_trainer_program(sdx_trainer *trainer, sdx_form form, const sdx_value *label, sdx_error *error,
                               sdx_program **out);
/* Fills inputs from cells and the batch, runs, leaves outputs in `next` of their cells, scalars in figures. Outputs of
 * the model go to outputs[] where wanted. */
sdx_status sdx_program_run(sdx_trainer *trainer, sdx_program *program, const sdx_batch *batch,
                           const volatile int *cancel, const bool *wanted, sdx_value **outputs, sdx_error *error);
/* On trainer->batch. `wanted` and `outputs` have an entry for each output of the model. */
sdx_status sdx_trainer_take_step(sdx_trainer *trainer, const volatile int *cancel, sdx_step_result *result,
                                 sdx_error *error);
sdx_status sdx_trainer_take_gradients(sdx_trainer *trainer, sdx_step_result *result, sdx_error *error);
sdx_status sdx_trainer_take_evaluation(sdx_trainer *trainer, const volatile int *cancel, sdx_step_result *result,
                                       const bool *wanted, sdx_value **outputs, sdx_error *error);

/* In inference form, without label and loss. */
sdx_status sdx_trainer_take_prediction(sdx_trainer *trainer, const bool *wanted, sdx_value **outputs, sdx_error *error);
uint64_t sdx_trainer_run_seed(const sdx_trainer *trainer);
void sdx_trainer_clear_sums(sdx_trainer *trainer);

/* ---- parameters.c ---- */

/* Index of the variable of this name or path; -1 with the error set. */
int sdx_trainer_find(const sdx_trainer *trainer, const char *name, sdx_error *error);
double sdx_trainer_element(const sdx_tensor *tensor, int64_t i);
int sdx_trainer_weight_of(const sdx_trainer *trainer, int variable); /* -1: none */
/* The public functions less the checks of arguments. */
sdx_status sdx_trainer_read(const sdx_trainer *trainer, const char *name, bool averaged, sdx_error *error,
                            sdx_value **out);
sdx_status sdx_trainer_write(sdx_trainer *trainer, const char *name, const sdx_value *value, sdx_error *error);
sdx_status sdx_trainer_read_gradient(const sdx_trainer *trainer, const char *name, sdx_error *error, sdx_value **out);
sdx_status sdx_trainer_count_zeros(const sdx_trainer *trainer, const char *name, double threshold, sdx_error *error,
                                   sdx_sparsity *out);

/* ---- resume.c ---- */

sdx_status sdx_trainer_write_checkpoint(const sdx_trainer *trainer, const char *path, sdx_error *error);
sdx_status sdx_trainer_read_checkpoint(sdx_trainer *trainer, const char *path, sdx_error *error);

/* ---- keep.c: checkpoints of a loop, older ones beside the newest ---- */

/* Saves to `path`; what stood there of step `before` (0: nothing) stays as PATH.STEP, up to keep - 1 of them. */
sdx_status sdx_checkpoint_rotate(const sdx_trainer *trainer, const char *path, int64_t before, int keep,
                                 sdx_error *error);

/* ---- export.c, export_step.c ---- */

sdx_status sdx_trainer_write_model(sdx_trainer *trainer, const char *path, const char *external_data, sdx_error *error);
sdx_status sdx_trainer_write_step(sdx_trainer *trainer, const char *path, sdx_error *error);

/* ---- data.c: whole arrays, taken in batches ---- */

typedef struct sdx_data {
    sdx_trainer *trainer;
    const sdx_binding *arrays;
    size_t n_arrays;
    int64_t n_samples, batch;
    int64_t n_used; /* whole batches, where the model takes batches of one size only */
    int64_t *order;
    sdx_value **buffers; /* per array: `batch` samples */
    sdx_binding *bindings;
} sdx_data;

/* Everything about the arrays is checked. */
sdx_status sdx_data_open(sdx_trainer *trainer, const char *what, const sdx_binding *arrays, size_t n, sdx_data *data,
                         sdx_error *error);
/* A model that fixes the batch's size can take all samples. */
sdx_status sdx_data_whole(const sdx_data *data, sdx_error *error);
void sdx_data_close(sdx_data *data);
/* The order of epoch `epoch`, from the trainer's seed alone. */
void sdx_data_shuffle(sdx_data *data, int64_t epoch);
/* Samples first .. first + n of the order become trainer->batch; they stay until the next call. */
sdx_status sdx_data_take(sdx_data *data, int64_t first, int64_t n, sdx_error *error);

/* ---- score.c, fit.c, calibrate.c ---- */

sdx_status sdx_trainer_score_data(sdx_trainer *trainer, sdx_data *data, const volatile int *cancel, double *loss,
                                  double *metrics, sdx_error *error);
sdx_status sdx_trainer_fit_data(sdx_trainer *trainer, const sdx_fit_options *options, sdx_error *error);
sdx_status sdx_trainer_take_calibration(sdx_trainer *trainer, sdx_error *error);

#endif
