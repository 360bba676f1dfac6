/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/train/config.h"
#include <math.h>

_Static_assert(sizeof(sdx_loss_kind) == sizeof(int), "words are stored as int");

#define WORDS(...)          ((const word[]){__VA_ARGS__, {NULL, 0}})
#define AT(member)          .offset = offsetof(OWNER, member)
#define HAS(member)         .has = offsetof(OWNER, member)
#define COUNTED(pointer, n) .offset = offsetof(OWNER, pointer), .count = offsetof(OWNER, n)
#define ANY                 .low = -INFINITY, .high = INFINITY
#define FROM_0              .low = 0, .high = INFINITY
#define ABOVE_0             .low = 0, .high = INFINITY, .flags = LOW_OPEN
#define SHARE               .low = 0, .high = 1, .flags = HIGH_OPEN
#define INSIDE              .low = 0, .high = 1, .flags = LOW_OPEN | HIGH_OPEN
#define FROM(least)         .low = least, .high = SDX_CONFIG_WHOLE
#define ZERO_FROM_0         .low = 0, .high = INFINITY, .flags = ZERO_SAID
#define ZERO_SHARE          .low = 0, .high = 1, .flags = ZERO_SAID | HIGH_OPEN
#define ZERO_UP_TO_1        .low = 0, .high = 1, .flags = ZERO_SAID
#define END                                                                                                            \
    { .name = NULL }

/* Members of nested objects lie in sdx_train_options itself. */
#define OWNER sdx_train_options
static const key loss[] = {
    {"kind", KEY_WORD, AT(loss.kind),
     .words = WORDS({"cross_entropy", SDX_LOSS_CROSS_ENTROPY}, {"nll", SDX_LOSS_NLL},
                    {"bce_with_logits", SDX_LOSS_BCE_WITH_LOGITS}, {"mse", SDX_LOSS_MSE}, {"l1", SDX_LOSS_L1},
                    {"smooth_l1", SDX_LOSS_SMOOTH_L1}, {"huber", SDX_LOSS_HUBER}, {"kl_div", SDX_LOSS_KL_DIV},
                    {"cosine_embedding", SDX_LOSS_COSINE_EMBEDDING}, {"triplet", SDX_LOSS_TRIPLET},
                    {"output", SDX_LOSS_OUTPUT})},
    {"output", KEY_OUTPUTS, AT(loss.output)},
    {"label", KEY_TEXT, AT(loss.label)},
    {"reduction", KEY_WORD, AT(loss.reduction),
     .words =
         WORDS({"mean", SDX_REDUCTION_MEAN}, {"sum", SDX_REDUCTION_SUM}, {"batch_mean", SDX_REDUCTION_BATCH_MEAN})},
    {"label_smoothing", KEY_NUMBER, AT(loss.label_smoothing), SHARE},
    {"class_weights", KEY_FLOATS, COUNTED(loss.class_weights, loss.n_class_weights), FROM_0},
    {"pos_weight", KEY_FLOATS, COUNTED(loss.class_weights, loss.n_class_weights), FROM_0},
    {"ignore_index", KEY_COUNT, AT(loss.ignore_index), HAS(loss.has_ignore_index), .low = -SDX_CONFIG_WHOLE,
     .high = SDX_CONFIG_WHOLE},
    {"beta", KEY_NUMBER, AT(loss.beta), ZERO_FROM_0},
    {"delta", KEY_NUMBER, AT(loss.delta), ABOVE_0},
    {"margin", KEY_NUMBER, AT(loss.margin), .low = -INFINITY, .high = INFINITY, .flags = ZERO_SAID},
    END};

static const word inits[] = {{"glorot_uniform", SDX_INIT_GLOROT_UNIFORM},
                             {"glorot_normal", SDX_INIT_GLOROT_NORMAL},
                             {"he_uniform", SDX_INIT_HE_UNIFORM},
                             {"he_normal", SDX_INIT_HE_NORMAL},
                             {"zeros", SDX_INIT_ZEROS},
                             {"ones", SDX_INIT_ONES},
                             {NULL, 0}};
static const key head[] = {
    {"classes", KEY_COUNT, AT(head.classes), FROM(0)}, {"init", KEY_WORD, AT(head.init), .words = inits}, END};

static const word norm_modes[] = {{"auto", SDX_NORM_AUTO},
                                  {"batch_update", SDX_NORM_BATCH_UPDATE},
                                  {"batch", SDX_NORM_BATCH},
                                  {"running", SDX_NORM_RUNNING},
                                  {"frozen", SDX_NORM_FROZEN},
                                  {"batch+update", SDX_NORM_BATCH_UPDATE},
                                  {NULL, 0}};

#undef OWNER
#define OWNER sdx_norm_options
static const key norm[] = {{"match", KEY_TEXT, AT(match), .flags = NEEDED},
                           {"mode", KEY_WORD, AT(mode), .flags = NEEDED, .words = norm_modes},
                           END};

#undef OWNER
#define OWNER sdx_train_options
static const key normalization[] = {
    {"mode", KEY_WORD, AT(norm_mode), .words = norm_modes},
    {"layers", KEY_LIST, COUNTED(norms, n_norms), .keys = norm, .item_size = sizeof(sdx_norm_options)},
    {"running_var", KEY_WORD, AT(running_var),
     .words = WORDS({"auto", SDX_RUNNING_VAR_AUTO}, {"unbiased", SDX_RUNNING_VAR_UNBIASED},
                    {"population", SDX_RUNNING_VAR_POPULATION})},
    {"fold", KEY_BOOL, AT(fold_norms)},
    END};

#undef OWNER
#define OWNER sdx_insert_options
static const key insert[] = {{"dropout", KEY_NUMBER, AT(ratio), INSIDE},
                             {"batch_norm", KEY_MARK, .offset = 0},
                             {"after", KEY_TEXT, AT(after), .flags = NEEDED},
                             {"epsilon", KEY_NUMBER, AT(epsilon), ABOVE_0},
                             {"momentum", KEY_NUMBER, AT(momentum), .low = 0, .high = 1, .flags = LOW_OPEN},
                             END};

#undef OWNER
#define OWNER sdx_penalty_options
static const key penalty[] = {
    {"kind", KEY_WORD, AT(kind), .flags = NEEDED,
     .words = WORDS({"l1", SDX_PENALTY_L1}, {"l2", SDX_PENALTY_L2}, {"l1_l2", SDX_PENALTY_L1_L2},
                    {"l2norm", SDX_PENALTY_L2NORM}, {"L1", SDX_PENALTY_L1}, {"L2", SDX_PENALTY_L2},
                    {"L1L2", SDX_PENALTY_L1_L2})},
    {"l1", KEY_NUMBER, AT(l1), HAS(has_l1), FROM_0},
    {"l2", KEY_NUMBER, AT(l2), HAS(has_l2), FROM_0},
    {"target", KEY_WORD, AT(target),
     .words = WORDS({"kernel", SDX_TARGET_KERNEL}, {"recurrent", SDX_TARGET_RECURRENT}, {"bias", SDX_TARGET_BIAS},
                    {"activity", SDX_TARGET_ACTIVITY}, {"all", SDX_TARGET_ALL})},
    {"match", KEY_TEXT, AT(match)},
    {"mode", KEY_WORD, AT(mode),
     .words = WORDS({"default", SDX_MODE_DEFAULT}, {"prox", SDX_MODE_PROX}, {"subgradient", SDX_MODE_SUBGRADIENT},
                    {"coupled", SDX_MODE_COUPLED})},
    {"scale", KEY_FLAG, AT(per_batch), .words = WORDS({"none", false}, {"per_batch", true})},
    END};

#undef OWNER
#define OWNER sdx_group_options
static const key group[] = {{"match", KEY_TEXT, AT(match), .flags = NEEDED},
                            {"lr", KEY_NUMBER, AT(lr), HAS(has_lr), FROM_0},
                            {"weight_decay", KEY_NUMBER, AT(weight_decay), HAS(has_weight_decay), FROM_0},
                            END};

#undef OWNER
#define OWNER sdx_constraint_options
static const key constraint[] = {
    {"kind", KEY_WORD, AT(kind), .flags = NEEDED,
     .words = WORDS({"max_norm", SDX_CONSTRAINT_MAX_NORM}, {"non_neg", SDX_CONSTRAINT_NON_NEG},
                    {"unit_norm", SDX_CONSTRAINT_UNIT_NORM}, {"min_max_norm", SDX_CONSTRAINT_MIN_MAX_NORM})},
    {"match", KEY_TEXT, AT(match)},
    {"min", KEY_NUMBER, AT(min), FROM_0},
    {"max", KEY_NUMBER, AT(max), ZERO_FROM_0},
    {"rate", KEY_NUMBER, AT(rate), ZERO_UP_TO_1},
    END};

#undef OWNER
#define OWNER sdx_train_options
static const key optimizer[] = {
    {"kind", KEY_WORD, AT(optimizer.kind),
     .words = WORDS({"sgd", SDX_OPTIMIZER_SGD}, {"adam", SDX_OPTIMIZER_ADAM}, {"adamw", SDX_OPTIMIZER_ADAMW},
                    {"adagrad", SDX_OPTIMIZER_ADAGRAD}, {"rmsprop", SDX_OPTIMIZER_RMSPROP},
                    {"lion", SDX_OPTIMIZER_LION}, {"lamb", SDX_OPTIMIZER_LAMB})},
    {"lr", KEY_NUMBER, AT(optimizer.lr), ZERO_FROM_0},
    {"momentum", KEY_NUMBER, AT(optimizer.momentum), SHARE},
    {"dampening", KEY_NUMBER, AT(optimizer.dampening), SHARE},
    {"nesterov", KEY_BOOL, AT(optimizer.nesterov)},
    {"betas", KEY_PAIR, AT(optimizer.betas), ZERO_SHARE},
    {"eps", KEY_NUMBER, AT(optimizer.eps), ZERO_FROM_0},
    {"alpha", KEY_NUMBER, AT(optimizer.alpha), ZERO_SHARE},
    {"lr_decay", KEY_NUMBER, AT(optimizer.lr_decay), FROM_0},
    {"initial_accumulator", KEY_NUMBER, AT(optimizer.initial_accumulator), FROM_0},
    {"centered", KEY_BOOL, AT(optimizer.centered)},
    {"amsgrad", KEY_BOOL, AT(optimizer.amsgrad)},
    {"weight_decay", KEY_NUMBER, AT(optimizer.weight_decay), HAS(optimizer.has_weight_decay), FROM_0},
    {"no_decay", KEY_NAMES, COUNTED(optimizer.no_decay.items, optimizer.no_decay.n)},
    {"groups", KEY_LIST, COUNTED(optimizer.groups, optimizer.n_groups), .keys = group,
     .item_size = sizeof(sdx_group_options)},
    END};

static const key schedule[] = {
    {"kind", KEY_WORD, AT(schedule.kind), .flags = WARMUP,
     .words = WORDS({"constant", SDX_SCHEDULE_CONSTANT}, {"step", SDX_SCHEDULE_STEP},
                    {"multistep", SDX_SCHEDULE_MULTISTEP}, {"exponential", SDX_SCHEDULE_EXPONENTIAL},
                    {"cosine", SDX_SCHEDULE_COSINE}, {"linear", SDX_SCHEDULE_LINEAR},
                    {"one_cycle", SDX_SCHEDULE_ONE_CYCLE}, {"plateau", SDX_SCHEDULE_PLATEAU})},
    {"per_step", KEY_BOOL, AT(schedule.per_step)},
    {"gamma", KEY_NUMBER, AT(schedule.gamma), ABOVE_0},
    {"every", KEY_COUNT, AT(schedule.every), FROM(1)},
    {"milestones", KEY_COUNTS, COUNTED(schedule.milestones, schedule.n_milestones), FROM(0)},
    {"total", KEY_COUNT, AT(schedule.total), FROM(1)},
    {"min_lr", KEY_NUMBER, AT(schedule.min_lr), FROM_0},
    {"start_factor", KEY_NUMBER, AT(schedule.start_factor), ZERO_FROM_0},
    {"end_factor", KEY_NUMBER, AT(schedule.end_factor), FROM_0},
    {"max_lr", KEY_NUMBER, AT(schedule.max_lr), ABOVE_0},
    {"pct_start", KEY_NUMBER, AT(schedule.pct_start), INSIDE},
    {"div_factor", KEY_NUMBER, AT(schedule.div_factor), ABOVE_0},
    {"final_div_factor", KEY_NUMBER, AT(schedule.final_div_factor), ABOVE_0},
    {"patience", KEY_COUNT, AT(schedule.patience), FROM(1)},
    {"threshold", KEY_NUMBER, AT(schedule.threshold), ZERO_FROM_0},
    {"warmup", KEY_COUNT, AT(schedule.warmup), FROM(0)},
    {"warmup_start", KEY_NUMBER, AT(schedule.warmup_start), .low = 0, .high = 1},
    END};

static const key clip[] = {
    {"norm", KEY_NUMBER, AT(clip_norm), ABOVE_0}, {"value", KEY_NUMBER, AT(clip_value), ABOVE_0}, END};
static const key early_stop[] = {
    {"metric", KEY_TEXT, AT(early_stop)}, {"patience", KEY_COUNT, AT(early_stop_patience), FROM(1)}, END};
static const key checkpoint[] = {{"every", KEY_COUNT, AT(checkpoint_every), FROM(0)},
                                 {"keep", KEY_INT, AT(checkpoint_keep), .low = 1, .high = 1e6},
                                 END};

const key sdx_config_keys[] = {
    {"seed", KEY_SEED, AT(seed), FROM(0)},
    {"epochs", KEY_COUNT, AT(epochs), FROM(1)},
    {"batch", KEY_COUNT, AT(batch), FROM(1)},
    {"shuffle", KEY_NOT, AT(no_shuffle)},
    {"loss", KEY_OBJECT, .keys = loss},
    {"trainable", KEY_NAMES, COUNTED(trainable.items, trainable.n)},
    {"freeze", KEY_NAMES, COUNTED(freeze.items, freeze.n)},
    {"head", KEY_OBJECT, HAS(head.replace), .keys = head},
    {"normalization", KEY_OBJECT, .keys = normalization},
    {"dropout_convention", KEY_FLAG, AT(classic_dropout), .words = WORDS({"inverted", false}, {"classic", true})},
    {"insert", KEY_LIST, COUNTED(inserts, n_inserts), .keys = insert, .item_size = sizeof(sdx_insert_options)},
    {"penalties", KEY_LIST, COUNTED(penalties, n_penalties), .keys = penalty, .item_size = sizeof(sdx_penalty_options)},
    {"optimizer", KEY_OBJECT, .keys = optimizer},
    {"schedule", KEY_OBJECT, .keys = schedule},
    {"clip", KEY_OBJECT, .keys = clip},
    {"accumulate", KEY_INT, AT(accumulate), .low = 1, .high = 1e9},
    {"ema", KEY_NUMBER, AT(ema), SHARE},
    {"constraints", KEY_LIST, COUNTED(constraints, n_constraints), .keys = constraint,
     .item_size = sizeof(sdx_constraint_options)},
    {"early_stop", KEY_OBJECT, .keys = early_stop},
    {"metrics", KEY_NAMES, COUNTED(metrics, n_metrics)},
    {"checkpoint", KEY_OBJECT, .keys = checkpoint},
    {"bad_step", KEY_WORD, AT(bad_step), .words = WORDS({"stop", SDX_BAD_STEP_STOP}, {"skip", SDX_BAD_STEP_SKIP})},
    {"input_gradients", KEY_NAMES, COUNTED(input_gradients, n_input_gradients)},
    {"threads", KEY_INT, AT(threads), .low = 0, .high = 4096},
    {"memory_limit", KEY_SIZE, AT(memory_limit), FROM(0)},
    END};
