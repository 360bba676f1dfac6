/* SPDX-License-Identifier: Apache-2.0
 * What GridSample and its gradient share. */
#ifndef SDX_OPS_TENSOR_GRID_SAMPLE_H
#define SDX_OPS_TENSOR_GRID_SAMPLE_H
#include "ops/op.h"
#include "ops/resample.h"

enum { SDX_GRID_NEAREST, SDX_GRID_LINEAR, SDX_GRID_CUBIC };
enum { SDX_GRID_ZEROS, SDX_GRID_BORDER, SDX_GRID_REFLECTION };
enum { SDX_GRID_MOST_POINTS = 256, SDX_GRID_MOST_ENTRIES = 16384 }; /* of a tile; places and weights of its table */

typedef struct sdx_grid_params {
    int mode, padding;
    bool corners, pixels; /* pixels: coordinates are places already (gradient of DeformConv) */
} sdx_grid_params;

typedef struct sdx_grid_job {
    const sdx_grid_params *p;
    const sdx_kernels *kernels;
    const sdx_tensor *x, *grid;
    sdx_tensor *y;
    int rank;                           /* spatial dimensions */
    int64_t plane, points, tile, tiles; /* elements of X; results; how they are cut */
    int64_t taps;
    sdx_dtype work;
    size_t place_bytes, weight_bytes, each;
    char *room;
} sdx_grid_job;

sdx_status sdx_grid_bind(sdx_bind *bind, void *params);
void sdx_grid_cut(sdx_grid_job *job, const sdx_grid_params *p, const sdx_type *x, const sdx_type *grid);
/* Coordinate k of the grid as a place among n. Nearest: in f32 as the grid is, so that ties are those that its numbers
 * mean. */
double sdx_grid_place(const sdx_grid_job *job, int64_t k, int64_t n);
double sdx_grid_reflect(double x, double low, double high);
/* A neighbour by its number; -1: nothing is there. */
int64_t sdx_grid_neighbour(const sdx_grid_params *p, double i, int64_t n);
void sdx_grid_neighbours(const sdx_grid_params *p, double x, int64_t n, sdx_tap_axis *out);
sdx_status sdx_grid_grad(sdx_grad *grad, const void *params);

#endif
