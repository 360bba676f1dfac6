/* SPDX-License-Identifier: Apache-2.0
 * Resize: interpolation along axes. Version 10 scales all axes, asymmetric; its nearest place is
 * the next where a scale is below 1, as its cases had it, else the one before. Shapes: resize_shape.c;
 * coordinates and weights: resize_weights.c. Integers are rounded to nearest; strings can only be moved (nearest). */
#include "ops/tensor/resize_shape.h"

static void bind_newer(sdx_bind *bind, sdx_resize_params *p) {
    p->coordinates = (sdx_resize_coordinates)sdx_resize_word(bind, "coordinate_transformation_mode",
                                                             sdx_resize_coordinate_modes, bind->since >= 19 ? 7 : 6);
    p->nearest = (sdx_resize_nearest)sdx_resize_word(bind, "nearest_mode", sdx_resize_nearest_modes, 4);
    p->cubic_a = (double)sdx_bind_float(bind, "cubic_coeff_a");
    p->exclude_outside = sdx_bind_int(bind, "exclude_outside") != 0;
    p->fill = sdx_bind_float(bind, "extrapolation_value");
    p->roi = 1, p->scales = 2, p->sizes = 3;
    if (bind->since < 18) return;
    p->antialias = sdx_bind_int(bind, "antialias") != 0;
    p->policy = (sdx_resize_policy)sdx_resize_word(bind, "keep_aspect_ratio_policy", sdx_resize_policies, 3);
    p->axes = sdx_bind_ints(bind, "axes");
    if (p->antialias && p->mode == SDX_RESIZE_NEAREST && bind->status == SDX_OK)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'antialias' is 1; attribute 'mode' must then be linear or cubic");
}

static sdx_status resize_bind(sdx_bind *bind, void *params) {
    sdx_resize_params *p = params;
    p->mode = (sdx_resize_mode)sdx_resize_word(bind, "mode", sdx_resize_modes, bind->since >= 11 ? 3 : 2);
    p->roi = p->sizes = -1, p->scales = 1;
    p->coordinates = SDX_RESIZE_ASYMMETRIC, p->nearest = SDX_NEAREST_TEN;
    if (bind->since >= 11) bind_newer(bind, p);
    return bind->status;
}

#define RESIZE_11                                                                                                      \
    "coordinate_transformation_mode:string=half_pixel cubic_coeff_a:float=-0.75 exclude_outside:int=0 "                \
    "extrapolation_value:float=0 mode:string=nearest nearest_mode:string=round_prefer_floor"
#define RESIZE_18 "antialias:int=0 axes:ints keep_aspect_ratio_policy:string=stretch " RESIZE_11
#define RESIZE_13 "X:T1 roi:T2? scales:f32? sizes:i64? -> Y:T1"
#define T2_FLOAT  " T2=" SDX_T_FLOAT

const sdx_op sdx_op_Resize = {
    .domain = "",
    .name = "Resize",
    .versions =
        (const sdx_op_version[]){
            {10, "X:T scales:f32 -> Y:T", "T=" SDX_T_ALL, "mode:string=nearest"},
            {11, "X:T1 roi:T2 scales:f32 sizes:i64? -> Y:T1", "T1=" SDX_T_ALL T2_FLOAT, RESIZE_11},
            {13, RESIZE_13, "T1=" SDX_T_ALL_BF T2_FLOAT, RESIZE_11},
            {18, RESIZE_13, "T1=" SDX_T_ALL_BF T2_FLOAT, RESIZE_18},
            {19, RESIZE_13, "T1=" SDX_T_ALL_BF T2_FLOAT, RESIZE_18},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_resize_params),
    .bind = resize_bind,
    .infer = sdx_resize_infer,
    .compute = sdx_resize_compute,
    .grad = sdx_resize_grad,
};
