/* SPDX-License-Identifier: Apache-2.0
 * Upsample, the forerunner of Resize: asymmetric, nearest rounds down. Version 1 scales the last two of four
 * dimensions. */
#include "ops/tensor/resize.h"

typedef struct upsample_params {
    sdx_resize_params resize; /* first: the shared functions see this */
    float scales[4];
} upsample_params;

static sdx_status upsample_bind(sdx_bind *bind, void *params) {
    static const char *const modes[] = {"nearest", "linear"}, *const first[] = {"nearest", "bilinear"};
    upsample_params *u = params;
    sdx_resize_params *p = &u->resize;
    const int mode = sdx_bind_choice(bind, "mode", bind->since == 1 ? first : modes, 2);
    p->mode = mode < 0 ? SDX_RESIZE_NEAREST : (sdx_resize_mode)mode;
    p->coordinates = SDX_RESIZE_ASYMMETRIC, p->nearest = SDX_NEAREST_FLOOR;
    p->least = 1;
    p->roi = p->sizes = -1, p->scales = bind->since >= 9 ? 1 : -1;
    if (bind->since == 7) p->fixed = sdx_bind_floats(bind, "scales", &p->n_fixed);
    if (bind->since == 1) {
        u->scales[0] = u->scales[1] = 1;
        u->scales[2] = sdx_bind_float(bind, "height_scale");
        u->scales[3] = sdx_bind_float(bind, "width_scale");
        p->fixed = u->scales, p->n_fixed = 4;
    }
    if (p->n_fixed > SDX_MAX_RANK)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'scales' has %zu entries; at most %d are supported", p->n_fixed,
                      SDX_MAX_RANK);
    return bind->status;
}

static sdx_status upsample_infer(sdx_infer *infer, const void *params) {
    if (infer->since == 1) SDX_TRY(sdx_infer_rank(infer, 0, "X", 4));
    return sdx_resize_infer(infer, params);
}

const sdx_op sdx_op_Upsample = {
    .domain = "",
    .name = "Upsample",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:T", "T=bool|f16|f32|f64|i32|i64",
             "height_scale:float! mode:string=nearest width_scale:float!"},
            {7, "X:T -> Y:T", "T=" SDX_T_ALL, "mode:string=nearest scales:floats!"},
            {9, "X:T scales:f32 -> Y:T", "T=" SDX_T_ALL, "mode:string=nearest"},
            {10, "X:T scales:f32 -> Y:T", "T=" SDX_T_ALL, "mode:string=nearest"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(upsample_params),
    .bind = upsample_bind,
    .infer = upsample_infer,
    .compute = sdx_resize_compute,
    .grad = sdx_resize_grad,
};
