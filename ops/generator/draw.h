/* SPDX-License-Identifier: Apache-2.0
 * What the operators that draw random numbers share. */
#ifndef SDX_OPS_GENERATOR_DRAW_H
#define SDX_OPS_GENERATOR_DRAW_H
#include "ops/op.h"

/* Attribute `seed`. The stream is the seed's where there is one, else it differs by node and run. */
typedef struct sdx_seed {
    bool given;
    float value;
} sdx_seed;
sdx_seed sdx_bind_seed(sdx_bind *bind);
uint64_t sdx_seed_key(const sdx_compute *compute, sdx_seed seed);

/* Attribute `dtype` (or `output_datatype`); UNDEFINED where it is not given and has no default. */
sdx_dtype sdx_bind_dtype(sdx_bind *bind, const char *name);
/* The same of operators that make numbers: no string, bool or narrower type. */
sdx_dtype sdx_bind_number_dtype(sdx_bind *bind, const char *name);

#endif
