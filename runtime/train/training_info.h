/* SPDX-License-Identifier: Apache-2.0
 * Models that bring their own training: TrainingInfoProto. */
#ifndef SDX_TRAIN_TRAINING_INFO_H
#define SDX_TRAIN_TRAINING_INFO_H
#include "runtime/base/io.h"
#include "runtime/exec/exec.h"
#include <sardonyx_train.h>

/* Reads the model at `path`; its folder is that of external data. Initializers that bindings name become state, with
 * the values they have in the file. */
sdx_status sdx_training_make(const char *path, const char *folder, const sdx_session_options *options, sdx_error *error,
                             sdx_training **out);
/* Runs the initialization graphs, in order, and puts their results into the state. */
sdx_status sdx_training_start(sdx_training *training, sdx_error *error);
/* Runs each algorithm once, in order. All updates are made, or, after an error, none. */
sdx_status sdx_training_once(sdx_training *training, const sdx_binding *in, size_t n_in, sdx_binding *out, size_t n_out,
                             sdx_error *error);
/* The state of that name, borrowed; NULL: there is none. */
sdx_value *sdx_training_state(const sdx_training *training, const char *name);
/* The file again, with the state as initializers. */
sdx_status sdx_training_write(const sdx_training *training, const char *path, sdx_error *error);

#endif
