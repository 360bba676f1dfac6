/* SPDX-License-Identifier: Apache-2.0
 * Interpolation that operators on images share. Along axes: bands, one list of neighbouring places with their weights
 * for each result (Resize, Upsample, RoiAlign). At scattered places: taps (GridSample, DeformConv). */
#ifndef SDX_OPS_RESAMPLE_H
#define SDX_OPS_RESAMPLE_H
#include "ops/kernels/kernels.h"
#include "ops/loop.h"

/* What interpolation is done in: f32 for floats up to it and c64, else f64. */
sdx_dtype sdx_resample_work(sdx_dtype dtype);

/* ---- along axes ---------------------------------------------------------------------------------------------------
 */

typedef struct sdx_bands {
    int64_t out, most; /* results; weights of one at most */
    sdx_dtype work;
    int64_t *first, *count; /* result i: the places first[i] ... + count[i]; first < 0: the fill value */
    void *weight;           /* [out][most] */
    int32_t *place;         /* the same by tap, [taps][out], for lines of single elements; NULL: not wanted */
    void *lane;
    int64_t taps;
    bool fills; /* some result is the fill value */
} sdx_bands;

/* Bytes of the arrays; SIZE_MAX: too large. */
size_t sdx_bands_size(int64_t out, int64_t most, sdx_dtype work, bool lanes);
/* Takes them from *room, which moves on. */
void sdx_bands_init(sdx_bands *bands, int64_t out, int64_t most, sdx_dtype work, bool lanes, char **room);
/* Weights of zero at the ends are left out, so that what lies there is not read. count <= most. */
void sdx_bands_set(sdx_bands *bands, int64_t i, int64_t first, int64_t count, const double *weight);
void sdx_bands_fill(sdx_bands *bands, int64_t i);
void sdx_bands_finish(sdx_bands *bands); /* after the last set: the arrays by tap */

/* x is [outer][in of v][mid][columns][inner], y the same with the results of v and h in place of what they read. */
typedef struct sdx_resample {
    sdx_dtype from, to, work; /* of x, of y; complex numbers are two elements of their part */
    bool rounds;              /* to the nearest integer, before conversion */
    const sdx_bands *v, *h;   /* NULL: that axis stays as it is */
    int64_t outer, v_in, mid, columns, inner;
    int64_t pitch; /* elements from one row of columns to the next */
    const void *x;
    void *y;
    double fill;
    bool pairs; /* complex: the fill value is real */
} sdx_resample;

/* Bytes of workspace for one worker. */
size_t sdx_resample_room(const sdx_resample *r);
/* How many pieces of work there are, and what one costs in cheap elements. */
int64_t sdx_resample_pieces(const sdx_resample *r);
int64_t sdx_resample_cost(const sdx_resample *r);
void sdx_resample_some(const sdx_kernels *kernels, const sdx_resample *r, int64_t begin, int64_t end, char *room);
/* All pieces, on all threads; room for each. */
sdx_status sdx_resample_run(sdx_compute *compute, const sdx_resample *r, char *room);

/* ---- at scattered places ------------------------------------------------------------------------------------------
 */

/* y[i] = sum over k of weight[k * pitch + i] x[place[k * pitch + i]] for x of any dtype but strings; weight and y are
 * of its sdx_resample_work. A negative place counts nothing. Complex: y holds pairs. */
void sdx_sample(const sdx_kernels *kernels, sdx_dtype dtype, const void *x, const int32_t *place, const void *weight,
                int64_t taps, int64_t pitch, int64_t n, void *y);
/* y[i] = x[place[i]] for elements of `size` bytes; zero bytes where a place is negative. */
void sdx_fetch(size_t size, const void *x, const int32_t *place, int64_t n, void *y);

enum { SDX_TAPS_ALONG = 4 };
/* Neighbours along one axis. at < 0: nothing is there. */
typedef struct sdx_tap_axis {
    int64_t at[SDX_TAPS_ALONG];
    double weight[SDX_TAPS_ALONG];
} sdx_tap_axis;

/* The two neighbours of a coordinate, nothing beyond [0, n): weights of zero, NaN and infinity give none either. */
void sdx_taps_linear(double x, int64_t n, sdx_tap_axis *out);
/* All products of `n` neighbours along each of `rank` axes of a box: n^rank places and weights, `pitch` apart. */
void sdx_taps_cross(int rank, const int64_t *dims, int n, const sdx_tap_axis *axes, int64_t pitch, sdx_dtype work,
                    int32_t *place, void *weight);

#endif
