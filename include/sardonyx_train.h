/* SPDX-License-Identifier: Apache-2.0
 *
 * Sardonyx: train ONNX models from C. A model that was opened without passes becomes a trainer; each step takes a batch
 * and moves the parameters; the result is written as plain ONNX. In outline (errors not looked at):
 *
 *     sdx_model_options plain = {.size = sizeof plain, .optimise = SDX_OPTIMISE_NONE};
 *     sdx_train_options how = {.size = sizeof how, .loss = {.kind = SDX_LOSS_CROSS_ENTROPY, .label = "y"},
 *                              .optimizer = {.kind = SDX_OPTIMIZER_ADAM, .lr = 1e-3}};
 *     sdx_model_open("net.onnx", &plain, &err, &model);
 *     sdx_trainer_create(model, &how, &err, &trainer);
 *     for (...) sdx_trainer_step(trainer, batch, 2, &result, &err);
 *     sdx_trainer_export_model(trainer, "trained.onnx", NULL, &err);
 *     sdx_trainer_destroy(trainer), sdx_model_close(model);
 *
 * The conventions of sardonyx.h hold here too. In option structs a member that is 0 or NULL asks for its default, which
 * stands behind it; where 0 itself is meaningful, a `has_` member or SDX_ZERO says so. Patterns are globs (`*` any run,
 * `?` one character, `[abc]` a set) matched against names of initializers, names of nodes and the PyTorch module paths
 * that exporters keep (`pkg.torch.onnx.name_scopes`); a pattern that matches nothing is SDX_VALUE.
 */
#ifndef SARDONYX_TRAIN_H
#define SARDONYX_TRAIN_H
#include <sardonyx.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An exact zero where 0 would ask for the default, such as an optimizer's betas[0]. */
#define SDX_ZERO (-1e-300)

typedef struct sdx_patterns {
    const char *const *items;
    size_t n;
} sdx_patterns;

/* ---- Loss ---------------------------------------------------------------------------------------------------- */

/* x is the model's output, y the label of the batch; formulas are PyTorch's. */
typedef enum sdx_loss_kind {
    SDX_LOSS_CROSS_ENTROPY = 1, /* x [N, C, d...] logits; y [N, d...] class numbers, or [N, C, d...] probabilities */
    SDX_LOSS_NLL,               /* x log-probabilities, y class numbers */
    SDX_LOSS_BCE_WITH_LOGITS,   /* x logits, y in [0, 1], same shape */
    SDX_LOSS_MSE,               /* (x - y)^2 */
    SDX_LOSS_L1,                /* |x - y| */
    SDX_LOSS_SMOOTH_L1,         /* (x - y)^2 / 2 beta within beta, else |x - y| - beta / 2 */
    SDX_LOSS_HUBER,             /* delta times SMOOTH_L1 of beta = delta */
    SDX_LOSS_KL_DIV,            /* y (log y - x): x log-probabilities, y probabilities */
    SDX_LOSS_COSINE_EMBEDDING,  /* two outputs [N, D]; y [N] of 1 and -1 */
    SDX_LOSS_TRIPLET,           /* three outputs [N, D]: anchor, positive, negative; no label */
    SDX_LOSS_OUTPUT             /* the output is the loss itself; its mean is taken; no label */
} sdx_loss_kind;

typedef enum sdx_reduction {
    SDX_REDUCTION_MEAN = 0, /* over elements; class losses divide by the weights of what is not ignored */
    SDX_REDUCTION_SUM,
    SDX_REDUCTION_BATCH_MEAN /* sum over elements / N */
} sdx_reduction;

typedef struct sdx_loss_options {
    sdx_loss_kind kind;    /* CROSS_ENTROPY */
    const char *output[3]; /* names of outputs, or of any tensor of the model; NULL: the first outputs in order */
    const char *label;     /* the batch gives it under this name; "y" */
    sdx_reduction reduction;
    double label_smoothing;     /* CROSS_ENTROPY, in [0, 1); 0 */
    const float *class_weights; /* CROSS_ENTROPY, NLL: one for each class; BCE_WITH_LOGITS: pos_weight. NULL: ones */
    size_t n_class_weights;
    bool has_ignore_index;
    int64_t ignore_index; /* labels of this value count nowhere */
    double beta;          /* SMOOTH_L1; 1 */
    double delta;         /* HUBER; 1 */
    double margin;        /* COSINE_EMBEDDING; 0. TRIPLET; 1 */
} sdx_loss_options;

/* ---- Penalties ------------------------------------------------------------------------------------------------- */

typedef enum sdx_penalty_kind {
    SDX_PENALTY_L1 = 1, /* l1 sum |w|, as Keras and sum(abs(p)) */
    SDX_PENALTY_L2,     /* l2 sum w^2, as Keras: gradient 2 l2 w */
    SDX_PENALTY_L1_L2,  /* both */
    SDX_PENALTY_L2NORM  /* l2 sum over tensors of ||w||, not squared: gradient w / ||w||, 0 at 0 */
} sdx_penalty_kind;

typedef enum sdx_target {
    SDX_TARGET_KERNEL = 0,
    SDX_TARGET_RECURRENT,
    SDX_TARGET_BIAS,
    SDX_TARGET_ACTIVITY,
    SDX_TARGET_ALL
} sdx_target;

typedef enum sdx_penalty_mode {
    SDX_MODE_DEFAULT = 0, /* PROX where it exists (parameters), else SUBGRADIENT (activities) */
    SDX_MODE_PROX, /* after the optimizer's step, by soft thresholding: L1 gives exact zeros. Its length is that of
                      the step in the long run, lr / (1 - momentum), divided by what the optimizer divides the
                      gradient by, so that the penalty means the same under each. (LAMB's steps shrink with
                      ||w||: a whole tensor comes near 0, never there.) */
    SDX_MODE_SUBGRADIENT, /* part of the loss that is differentiated; sign(0) = 0 */
    SDX_MODE_COUPLED      /* its gradient is added to the parameter's gradient after clipping, as weight_decay is */
} sdx_penalty_mode;

typedef struct sdx_penalty_options {
    sdx_penalty_kind kind;
    bool has_l1, has_l2; /* set where l1 or l2 is given */
    double l1, l2;       /* 0.01 each where not given, as in Keras */
    sdx_target target;
    const char *match; /* pattern; "*" */
    sdx_penalty_mode mode;
    bool per_batch; /* ACTIVITY: divided by the batch size, as Keras does */
} sdx_penalty_options;

/* ---- Optimizer ------------------------------------------------------------------------------------------------- */

typedef enum sdx_optimizer_kind {
    SDX_OPTIMIZER_SGD = 1,
    SDX_OPTIMIZER_ADAM,
    SDX_OPTIMIZER_ADAMW,
    SDX_OPTIMIZER_ADAGRAD,
    SDX_OPTIMIZER_RMSPROP,
    SDX_OPTIMIZER_LION,
    SDX_OPTIMIZER_LAMB
} sdx_optimizer_kind;

/* Other settings for the parameters that `match` finds; the last group that matches a parameter counts. */
typedef struct sdx_group_options {
    const char *match;
    bool has_lr, has_weight_decay;
    double lr, weight_decay;
} sdx_group_options;

/* Formulas and defaults are PyTorch's (LION and LAMB: their papers'). weight_decay is coupled for SGD, ADAM, ADAGRAD,
 * RMSPROP and decoupled for ADAMW, LION, LAMB. */
typedef struct sdx_optimizer_options {
    sdx_optimizer_kind kind; /* ADAM */
    double lr;               /* SGD 1e-3, ADAM 1e-3, ADAMW 1e-3, ADAGRAD 1e-2, RMSPROP 1e-2, LION 1e-4, LAMB 1e-3 */
    double momentum, dampening;
    bool nesterov;
    double betas[2];            /* .9, .999; LION .9, .99 */
    double eps;                 /* 1e-8; ADAGRAD 1e-10; LAMB 1e-6 */
    double alpha;               /* RMSPROP .99 */
    double lr_decay;            /* ADAGRAD 0 */
    double initial_accumulator; /* ADAGRAD 0 */
    bool centered;              /* RMSPROP */
    bool amsgrad;               /* ADAM, ADAMW */
    bool has_weight_decay;
    double weight_decay;   /* 0; ADAMW .01 */
    sdx_patterns no_decay; /* parameters without weight_decay */
    const sdx_group_options *groups;
    size_t n_groups;
} sdx_optimizer_options;

typedef enum sdx_schedule_kind {
    SDX_SCHEDULE_CONSTANT = 0,
    SDX_SCHEDULE_STEP,        /* gamma every `every` */
    SDX_SCHEDULE_MULTISTEP,   /* gamma at each of `milestones` */
    SDX_SCHEDULE_EXPONENTIAL, /* gamma each */
    SDX_SCHEDULE_COSINE,      /* to min_lr over `total`; beyond it rises again, as PyTorch's does */
    SDX_SCHEDULE_LINEAR,      /* from start_factor to end_factor over `total` */
    SDX_SCHEDULE_ONE_CYCLE,   /* per step: cosine up to max_lr over pct_start of all, then down */
    SDX_SCHEDULE_PLATEAU      /* gamma when the watched metric has not improved for `patience` epochs */
} sdx_schedule_kind;

/* All but ONE_CYCLE count in epochs unless per_step is set. The factor applies to every group's lr. */
typedef struct sdx_schedule_options {
    sdx_schedule_kind kind;
    bool per_step;
    double gamma;              /* .1; EXPONENTIAL .95 */
    int64_t every;             /* STEP; 30 */
    const int64_t *milestones; /* MULTISTEP, ascending */
    size_t n_milestones;
    int64_t total;                                  /* COSINE, LINEAR, ONE_CYCLE; the training's whole length */
    double min_lr;                                  /* COSINE, PLATEAU; 0 */
    double start_factor;                            /* LINEAR; 1 */
    double end_factor;                              /* LINEAR; 0 as SDX_ZERO or unset */
    double max_lr;                                  /* ONE_CYCLE; 10 lr */
    double pct_start, div_factor, final_div_factor; /* .3, 25, 1e4 */
    int64_t patience;                               /* PLATEAU; 10 */
    double threshold;                               /* PLATEAU, relative; 1e-4 */
    int64_t warmup;      /* first steps in which lr rises linearly from warmup_start times itself; 0: none */
    double warmup_start; /* 0 */
} sdx_schedule_options;

typedef enum sdx_constraint_kind {
    SDX_CONSTRAINT_MAX_NORM = 1, /* norm over all axes but the output's at most `max` */
    SDX_CONSTRAINT_NON_NEG,
    SDX_CONSTRAINT_UNIT_NORM,
    SDX_CONSTRAINT_MIN_MAX_NORM /* norm moved into [min, max] by `rate` */
} sdx_constraint_kind;

/* Keras' formulas. A norm goes over all that feeds one output of the layer: a row of a Gather's table, a filter of a
 * Conv, the weights of one unit whichever way round a Gemm holds them; over the whole of a bias. */
typedef struct sdx_constraint_options {
    sdx_constraint_kind kind;
    const char *match;     /* pattern; "*" */
    double min, max, rate; /* 0; 2 (MIN_MAX_NORM 1); 1 */
} sdx_constraint_options;

/* ---- Changes to the model ---------------------------------------------------------------------------------------- */

typedef enum sdx_norm_mode {
    SDX_NORM_AUTO = 0,     /* BATCH_UPDATE where scale or bias is trained, FROZEN where both are frozen */
    SDX_NORM_BATCH_UPDATE, /* batch statistics; running ones follow */
    SDX_NORM_BATCH,        /* batch statistics; running ones stay */
    SDX_NORM_RUNNING,      /* running statistics, which stay; scale and bias are trained */
    SDX_NORM_FROZEN        /* running statistics, scale and bias stay */
} sdx_norm_mode;

/* Another mode for the nodes that `match` finds, by their own name or by that of a tensor they read; the last one that
 * matches a node counts. */
typedef struct sdx_norm_options {
    const char *match;
    sdx_norm_mode mode;
} sdx_norm_options;

typedef enum sdx_running_var {
    SDX_RUNNING_VAR_AUTO = 0, /* UNBIASED for models that PyTorch wrote, else POPULATION */
    SDX_RUNNING_VAR_UNBIASED, /* m / (m - 1), as PyTorch */
    SDX_RUNNING_VAR_POPULATION
} sdx_running_var;

typedef enum sdx_insert_kind { SDX_INSERT_DROPOUT = 1, SDX_INSERT_BATCH_NORM } sdx_insert_kind;

/* Behind every node that `after` matches. A BatchNormalization starts as what leaves the output of the model in
 * inference unchanged: statistics of calibration data (sdx_trainer_calibrate) with the scale and bias that undo them.
 */
typedef struct sdx_insert_options {
    sdx_insert_kind kind;
    const char *after;
    double ratio;    /* DROPOUT: probability of dropping; .5 */
    double epsilon;  /* BATCH_NORM; 1e-5 */
    double momentum; /* BATCH_NORM: of the old value; .9 */
} sdx_insert_options;

typedef enum sdx_init {
    SDX_INIT_GLOROT_UNIFORM = 0,
    SDX_INIT_GLOROT_NORMAL,
    SDX_INIT_HE_UNIFORM,
    SDX_INIT_HE_NORMAL,
    SDX_INIT_ZEROS,
    SDX_INIT_ONES
} sdx_init;

/* The last Gemm, MatMul (+ Add) or 1x1 Conv before the loss's output. classes 0: it keeps its size. */
typedef struct sdx_head_options {
    bool replace; /* a new head, or new values for the old one */
    int64_t classes;
    sdx_init init;
} sdx_head_options;

/* ---- Everything ----------------------------------------------------------------------------------------------------
 */

typedef enum sdx_bad_step {
    SDX_BAD_STEP_STOP = 0, /* a loss or gradient that is not finite: SDX_VALUE names the step; nothing has changed */
    SDX_BAD_STEP_SKIP      /* the step leaves all as it was and is reported as skipped */
} sdx_bad_step;

typedef struct sdx_train_options {
    size_t size; /* sizeof(sdx_train_options) */
    sdx_loss_options loss;
    sdx_patterns trainable; /* {"*"} */
    sdx_patterns freeze;    /* taken out of `trainable` */
    sdx_head_options head;
    sdx_norm_mode norm_mode; /* of every BatchNormalization, unless `norms` says otherwise */
    const sdx_norm_options *norms;
    size_t n_norms;
    sdx_running_var running_var;
    bool classic_dropout; /* the ratio in the file is the probability of keeping, as in the first papers */
    const sdx_insert_options *inserts;
    size_t n_inserts;
    const sdx_penalty_options *penalties;
    size_t n_penalties;
    sdx_optimizer_options optimizer;
    sdx_schedule_options schedule;
    double clip_norm, clip_value; /* of all gradients together; of each element. 0: none */
    int accumulate;               /* batches for one update; 1 */
    double ema;                   /* decay of the averaged parameters; 0: none */
    const sdx_constraint_options *constraints;
    size_t n_constraints;
    sdx_bad_step bad_step;
    const char *const *input_gradients; /* names of model inputs whose gradients sdx_trainer_get_gradient gives */
    size_t n_input_gradients;
    uint64_t seed;         /* of dropout, new heads, shuffling */
    int threads;           /* 0: the machine's */
    size_t memory_limit;   /* bytes of everything the trainer holds; 0: no limit */
    int64_t epochs, batch; /* of sdx_trainer_fit, and the schedule's whole length; 1, 32 */
    bool no_shuffle;
    /* accuracy top5 precision recall f1 auc where the loss is over classes (BCE_WITH_LOGITS: not top5), else mse mae
     * r2. precision, recall, f1: of class 1 of two, else the mean over classes (BCE_WITH_LOGITS: over columns); auc of
     * more classes: the mean of each against the rest; r2: the mean over columns. As scikit-learn's. */
    const char *const *metrics;
    size_t n_metrics;
    const char *early_stop;      /* metric to watch ("valid_loss"); NULL: none */
    int64_t early_stop_patience; /* 5 */
    int64_t checkpoint_every;    /* of sdx_trainer_fit, where its own options say nothing: steps; 0: each epoch */
    int checkpoint_keep;         /* 1 */
    bool fold_norms;    /* sdx_trainer_export_model puts BatchNormalization into the weights before it, where it can */
    bool profile;       /* record per-node times, see sdx_trainer_profile */
    bool evaluate_only; /* nothing is trained, so that nothing needs a gradient: sdx_trainer_step is SDX_ARGUMENT */
} sdx_train_options;

/* Options from the JSON text of a configuration file: its keys are these members (`batch`, `optimizer.lr`, `clip.norm`,
 * `schedule.kind` "warmup_cosine" ...; tools/TRAINING.md lists them), each with its default; the loss's is
 * cross_entropy. Unknown keys, keys that stand twice, wrong types and values out of range are SDX_VALUE and named with
 * their path ("optimizer.betas[1]"); text that is no JSON is SDX_MALFORMED, with its line. `options` inside lives as
 * long as the configuration. */
typedef struct sdx_train_config sdx_train_config;
SDX_API sdx_status sdx_train_config_parse(const char *json, size_t size, sdx_error *error, sdx_train_config **out);
SDX_API const sdx_train_options *sdx_train_config_options(const sdx_train_config *config);
SDX_API void sdx_train_config_free(sdx_train_config *config);

/* ---- The trainer ----------------------------------------------------------------------------------------------- */

/* The model, its gradient graph, parameters, optimizer state. One thread at a time may use a trainer. */
typedef struct sdx_trainer sdx_trainer;

/* `model` must have been opened with SDX_OPTIMISE_NONE (SDX_ARGUMENT otherwise); it is copied, not changed.
 * SDX_UNSUPPORTED names every node on the way from the loss to a trained parameter that has no gradient. */
SDX_API sdx_status sdx_trainer_create(const sdx_model *model, const sdx_train_options *options, sdx_error *error,
                                      sdx_trainer **out);
SDX_API void sdx_trainer_destroy(sdx_trainer *trainer);

typedef struct sdx_step_result {
    int64_t step; /* updates made so far, this one included */
    bool updated; /* false while gradients accumulate, and for a skipped step */
    bool skipped; /* not finite, under SDX_BAD_STEP_SKIP */
    double loss;  /* of the data alone */
    size_t n_penalties;
    const double *penalties; /* value of each penalty, in the order of the options; valid until the next call */
    double gradient_norm;    /* before clipping, of all trained parameters together; 0 where no clip_norm is set */
    double lr;               /* of the first group */
} sdx_step_result;

/* One batch: inputs of the model and the label, by name. After a failure nothing has changed. */
SDX_API sdx_status sdx_trainer_step(sdx_trainer *trainer, const sdx_binding *batch, size_t n, sdx_step_result *result,
                                    sdx_error *error);
/* Loss and penalties with parameters as they are, in inference form; outputs as in sdx_session_run (out may be NULL).
 */
SDX_API sdx_status sdx_trainer_evaluate(sdx_trainer *trainer, const sdx_binding *batch, size_t n,
                                        sdx_step_result *result, sdx_binding *out, size_t n_out, sdx_error *error);
/* Gradients of one batch without an update; read them with sdx_trainer_get_gradient. */
SDX_API sdx_status sdx_trainer_gradients(sdx_trainer *trainer, const sdx_binding *batch, size_t n,
                                         sdx_step_result *result, sdx_error *error);
/* Tells the schedule that an epoch has ended. `metric`: the watched value, for PLATEAU. */
SDX_API sdx_status sdx_trainer_end_epoch(sdx_trainer *trainer, double metric, sdx_error *error);
/* Statistics of inserted BatchNormalization, from a batch that represents the data; before the first step. Where none
 * was inserted: running statistics become those of the batch, at any time. */
SDX_API sdx_status sdx_trainer_calibrate(sdx_trainer *trainer, const sdx_binding *batch, size_t n, sdx_error *error);

typedef enum sdx_role {
    SDX_ROLE_KERNEL = 1, /* weights of Conv, Gemm, MatMul, W of recurrent layers */
    SDX_ROLE_RECURRENT,  /* R of recurrent layers */
    SDX_ROLE_BIAS,
    SDX_ROLE_SCALE,     /* of a normalisation */
    SDX_ROLE_SHIFT,     /* bias of a normalisation */
    SDX_ROLE_EMBEDDING, /* table of a Gather */
    SDX_ROLE_OTHER,     /* any other trainable tensor */
    SDX_ROLE_STATE      /* running statistics: updated, never trained */
} sdx_role;

typedef struct sdx_parameter_info {
    const char *name; /* the initializer's */
    const char *path; /* PyTorch's name ("layer1.0.conv1.weight") where the file tells it; else name */
    const char *node; /* the first node that reads it; its name, or its first output's */
    sdx_role role;
    bool trained;
    sdx_dtype dtype;
    int rank;
    const int64_t *dims;
} sdx_parameter_info;

SDX_API size_t sdx_trainer_parameter_count(const sdx_trainer *trainer);
SDX_API const sdx_parameter_info *sdx_trainer_parameter(const sdx_trainer *trainer, size_t index);
/* New values, to release. Names are those of sdx_parameter_info (name or path). With ema, `averaged` asks for the
 * average. */
SDX_API sdx_status sdx_trainer_get_parameter(const sdx_trainer *trainer, const char *name, bool averaged,
                                             sdx_error *error, sdx_value **out);
SDX_API sdx_status sdx_trainer_set_parameter(sdx_trainer *trainer, const char *name, const sdx_value *value,
                                             sdx_error *error);
/* Of the last step or sdx_trainer_gradients, before clipping; also of an input named in input_gradients. */
SDX_API sdx_status sdx_trainer_get_gradient(const sdx_trainer *trainer, const char *name, sdx_error *error,
                                            sdx_value **out);

/* Zeros of one parameter: exact ones, those at most `threshold` in magnitude (exact ones not counted), and the inputs
 * (columns of a kernel) all of whose weights are exactly 0. */
typedef struct sdx_sparsity {
    int64_t count, zeros, small;
    size_t n_zero_inputs;
    int64_t *zero_inputs; /* ascending; free with sdx_free */
} sdx_sparsity;
SDX_API sdx_status sdx_trainer_sparsity(const sdx_trainer *trainer, const char *name, double threshold,
                                        sdx_error *error, sdx_sparsity *out);

/* Writes parameters, state, optimizer, schedule, seed and step as one safetensors file, crash-safely. */
SDX_API sdx_status sdx_trainer_save(const sdx_trainer *trainer, const char *path, sdx_error *error);
/* The trainer goes on as the saved one would have, bit for bit. A checkpoint of another model or of another optimizer
 * is refused (SDX_VALUE) and nothing changes. */
SDX_API sdx_status sdx_trainer_load(sdx_trainer *trainer, const char *path, sdx_error *error);
/* The trained model in inference form, as sdx_model_save writes it. With ema: the averaged parameters. The file is
 * opened again and run on a sample of the first batch; SDX_VALUE when that gives other outputs than the trainer. */
SDX_API sdx_status sdx_trainer_export_model(sdx_trainer *trainer, const char *path, const char *external_data,
                                            sdx_error *error);
/* One whole step on one batch as portable ONNX, for any runtime. Inputs: the batch, variables by name, optimizer state
 * NAME.SLOT, `lr` (`lr.K` of group K, counted from 1) and `step` (from 1), both f64 scalars. Outputs: `loss`, `penalty`
 * (`penalty.2` ...), `gradient_norm` where norms are clipped, and NAME.new of every input that changes. */
SDX_API sdx_status sdx_trainer_export_step(sdx_trainer *trainer, const char *path, sdx_error *error);
/* Bytes now held, and the most ever held, by the trainer: what options.memory_limit limits. Either may be NULL. */
SDX_API void sdx_trainer_memory(const sdx_trainer *trainer, size_t *used, size_t *peak);
/* One row per node of the graph of gradients, then of the update, as sdx_session_profile gives them; names of nodes
 * live until the next step. Needs options.profile; none before the first step. The caller frees the array with
 * sdx_free. */
SDX_API sdx_status sdx_trainer_profile(const sdx_trainer *trainer, sdx_error *error, sdx_profile_row **rows, size_t *n);
/* A line for each change that was made to the model to train it ("final Softmax 'p' is bypassed: the loss takes
 * logits"); NULL from the last on. */
SDX_API const char *sdx_trainer_note(const sdx_trainer *trainer, size_t index);

/* ---- The loop ------------------------------------------------------------------------------------------------------
 */

typedef struct sdx_progress {
    int64_t epoch, epochs, step, steps; /* step within the epoch; all from 1 */
    sdx_step_result last;
    double loss; /* mean over the epoch so far */
    double samples_per_second, seconds_left;
    bool epoch_ends;   /* the members below are set then */
    double valid_loss; /* NaN without validation data */
    size_t n_metrics;
    const double *metrics; /* in the order of the options, of the validation data; NaN without it */
} sdx_progress;

typedef struct sdx_fit_options {
    size_t size;
    const sdx_binding *data; /* whole arrays: first axis is the sample; inputs and label by name */
    size_t n_data;
    const sdx_binding *valid;
    size_t n_valid;
    void (*progress)(void *context, const sdx_progress *progress); /* may be NULL */
    void *context;
    const volatile int *cancel; /* as in sdx_run_options; what was trained so far stays */
    const char *checkpoint;     /* file; NULL: none */
    int64_t checkpoint_every;   /* steps; 0: each epoch */
    int checkpoint_keep;        /* older ones stay as FILE.STEP; 1 */
    bool resume;                /* from `checkpoint`, in the middle of an epoch too */
} sdx_fit_options;

/* Samples are shuffled anew each epoch, by the seed and the epoch alone; the rest behind the last whole batch is used,
 * except by models whose batch size is fixed. The loop's place is saved with the trainer. */
SDX_API sdx_status sdx_trainer_fit(sdx_trainer *trainer, const sdx_fit_options *options, sdx_error *error);
/* Loss and metrics over whole arrays in batches; metrics has options.n_metrics entries. */
SDX_API sdx_status sdx_trainer_score(sdx_trainer *trainer, const sdx_binding *data, size_t n, double *loss,
                                     double *metrics, sdx_error *error);

/* ---- Models that bring their own training (TrainingInfoProto) ------------------------------------------------------
 * The model's graph and the algorithm's, one after the other, are a training step. Initializers that a binding names
 * are state: an initialization may set them, each step updates them. One thread at a time. */

typedef struct sdx_training sdx_training;

/* options: of the sessions that run the graphs; NULL: defaults. */
SDX_API sdx_status sdx_training_open(const char *path, const sdx_session_options *options, sdx_error *error,
                                     sdx_training **out);
SDX_API void sdx_training_destroy(sdx_training *training); /* NULL-safe */
/* Runs the initialization. Without it, training goes on from the values in the file. */
SDX_API sdx_status sdx_training_initialize(sdx_training *training, sdx_error *error);
/* Each algorithm once: `in` are inputs of the model and of the algorithms, `out` outputs of either, whose values are
 * made and belong to the caller. All updates are made, or, after an error, none. */
SDX_API sdx_status sdx_training_step(sdx_training *training, const sdx_binding *in, size_t n_in, sdx_binding *out,
                                     size_t n_out, sdx_error *error);
/* A copy of the state of that name. */
SDX_API sdx_status sdx_training_get(const sdx_training *training, const char *name, sdx_error *error, sdx_value **out);
/* The file again with the state of now, its training information too. */
SDX_API sdx_status sdx_training_save(const sdx_training *training, const char *path, sdx_error *error);

#ifdef __cplusplus
}
#endif
#endif
