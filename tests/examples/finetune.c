/* SPDX-License-Identifier: Apache-2.0
 * Fine-tunes a classifier: finetune MODEL OUT.onnx. The model is mnist-8 of tests/models, which reads handwritten
 * digits; here it learns another hand, whose zero is a ring and whose six is a ring with a gap. */
#include <math.h>
#include <sardonyx_train.h>
#include <stdio.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, SAMPLES = 256 };

/* A ring, or the same with a gap, of any place and size. */
static void draw(float *pixels, int64_t *label, unsigned number) {
    unsigned r = number * 2654435761u;
    double x = 11 + r % 7, y = 11 + r / 7 % 7, radius = 4 + r / 49 % 4, from = (r >> 12) % 6283 / 1e3;
    *label = number % 2 ? 6 : 0;
    for (double a = 0; a < (*label ? 4.2 : 6.2832); a += .02) {
        int column = (int)(x + radius * cos(from + a)), row = (int)(y + 1.3 * radius * sin(from + a));
        pixels[row * SIDE + column] = pixels[row * SIDE + column + 1] = 255;
    }
}

static void tell(void *context, const sdx_progress *p) {
    if (p->epoch_ends)
        printf("epoch %d of %d: loss %.4f, accuracy %.3f\n", (int)p->epoch, (int)p->epochs, p->loss, p->metrics[0]);
    if (p->epoch_ends) *(double *)context = p->metrics[0];
}

int main(int argc, char **argv) {
    static float pixels[2][SAMPLES * PIXELS];
    static int64_t labels[2][SAMPLES];
    if (argc != 3) return fprintf(stderr, "usage: finetune MODEL OUT.onnx\n"), 2;
    for (unsigned k = 0; k < 2 * SAMPLES; k++)
        draw(&pixels[k / SAMPLES][k % SAMPLES * PIXELS], &labels[k / SAMPLES][k % SAMPLES], k);
    const char *const metrics[] = {"accuracy"};
    double accuracy = 0;
    sdx_error error = {0};
    sdx_model *model = NULL;
    sdx_trainer *trainer = NULL;
    sdx_binding data[2][2] = {{{"Input3", NULL}, {"y", NULL}}, {{"Input3", NULL}, {"y", NULL}}};
    sdx_model_options plain = {.size = sizeof plain, .optimise = SDX_OPTIMISE_NONE};
    sdx_train_options how = {.size = sizeof how,
                             .loss = {.kind = SDX_LOSS_CROSS_ENTROPY},
                             .optimizer = {.kind = SDX_OPTIMIZER_ADAMW, .lr = 1e-3},
                             .epochs = 6,
                             .batch = 1,
                             .metrics = metrics,
                             .n_metrics = 1,
                             .seed = 1};
    sdx_fit_options fit = {.size = sizeof fit, .data = data[0], .n_data = 2, .valid = data[1], .n_valid = 2};
    fit.progress = tell, fit.context = &accuracy;
    sdx_status status = sdx_model_open(argv[1], &plain, &error, &model);
    for (int k = 0; k < 2 && !status; k++) {
        status =
            sdx_value_borrow(SDX_F32, 4, (int64_t[]){SAMPLES, 1, SIDE, SIDE}, pixels[k], &error, &data[k][0].value);
        if (!status) status = sdx_value_borrow(SDX_I64, 1, (int64_t[]){SAMPLES}, labels[k], &error, &data[k][1].value);
    }
    if (!status) status = sdx_trainer_create(model, &how, &error, &trainer);
    for (size_t k = 0; sdx_trainer_note(trainer, k); k++) printf("%s\n", sdx_trainer_note(trainer, k));
    if (!status) status = sdx_trainer_fit(trainer, &fit, &error);
    if (!status) status = sdx_trainer_export_model(trainer, argv[2], NULL, &error);
    if (status) fprintf(stderr, "finetune: %s\n", error.message);
    for (int k = 0; k < 4; k++) sdx_value_release(data[k / 2][k % 2].value);
    sdx_trainer_destroy(trainer);
    sdx_model_close(model);
    return status ? 3 : accuracy < .9;
}
