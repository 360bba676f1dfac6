/* SPDX-License-Identifier: Apache-2.0
 * DFT, STFT, the windows and MelWeightMatrix. */
#include "tests/ops/case.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

static const double tau = 6.283185307179586476925;

/* By definition: out[k] = sum of in[n] e^(-+ tau i k n / N). */
static void transform(const double *re, const double *im, int64_t n, bool inverse, int64_t outputs, double *out_re,
                      double *out_im) {
    for (int64_t k = 0; k < outputs; k++) {
        double sum_re = 0, sum_im = 0;
        for (int64_t j = 0; j < n; j++) {
            const double angle = (inverse ? tau : -tau) * (double)(k * j % n) / (double)n, c = cos(angle),
                         s = sin(angle);
            sum_re += re[j] * c - im[j] * s, sum_im += re[j] * s + im[j] * c;
        }
        out_re[k] = sum_re / (inverse ? (double)n : 1);
        out_im[k] = sum_im / (inverse ? (double)n : 1);
    }
}

enum { LONGEST = 4096 };

static void dft(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    const bool inverse = sdx_case_int(run, "inverse", 0), onesided = sdx_case_int(run, "onesided", 0);
    const bool has_length = run->n_in > 1 && run->in[1].present, has_axis = run->n_in > 2 && run->in[2].present;
    int64_t axis = has_axis ? (int64_t)run->in[2].v[0] : sdx_case_int(run, "axis", x->rank == 2 ? 0 : -2);
    if (axis < 0) axis += x->rank;
    const int64_t given = x->dim[axis], parts = x->dim[x->rank - 1], other = onesided && inverse ? 1 : 2;
    const int64_t n = has_length ? (int64_t)run->in[1].v[0] : onesided && inverse ? 2 * (given - 1) : given;
    const int64_t out_n = onesided && !inverse ? n / 2 + 1 : n, read = onesided && inverse ? n / 2 + 1 : n;
    int64_t dims[8];
    memcpy(dims, x->dim, sizeof dims);
    dims[axis] = out_n, dims[x->rank - 1] = other;
    double *y = sdx_case_output(run, 0, x->rank, dims);
    const int64_t outer = sdx_ref_extent(x, 0, (int)axis), inner = sdx_ref_extent(x, (int)axis + 1, x->rank - 1);
    static double re[LONGEST], im[LONGEST], out_re[LONGEST], out_im[LONGEST];
    for (int64_t t = 0; t < outer * inner; t++) {
        const int64_t o = t / inner, i = t % inner;
        for (int64_t k = 0; k < n; k++) {
            const int64_t at = ((o * given + k) * inner + i) * parts;
            re[k] = k < given && k < read ? x->v[at] : 0;
            im[k] = k < given && k < read && parts == 2 ? x->v[at + 1] : 0;
        }
        for (int64_t k = 1; onesided && inverse && 2 * k < n; k++) re[n - k] = re[k], im[n - k] = -im[k];
        if (onesided && inverse) im[0] = 0;
        if (onesided && inverse && n % 2 == 0) im[n / 2] = 0;
        transform(re, im, n, inverse, out_n, out_re, out_im);
        for (int64_t k = 0; k < out_n; k++) {
            const int64_t at = ((o * out_n + k) * inner + i) * other;
            y[at] = out_re[k];
            if (other == 2) y[at + 1] = out_im[k];
        }
    }
}

static void stft(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *window = run->n_in > 2 && run->in[2].present ? &run->in[2] : NULL;
    const int64_t parts = x->dim[2], signal = x->dim[1], step = (int64_t)run->in[1].v[0];
    const int64_t n = run->n_in > 3 && run->in[3].present ? (int64_t)run->in[3].v[0] : window ? window->count : signal;
    const int64_t frames = (signal - n) / step + 1, bins = sdx_case_int(run, "onesided", 1) ? n / 2 + 1 : n;
    double *y = sdx_case_output(run, 0, 4, (const int64_t[]){x->dim[0], frames, bins, 2});
    static double re[LONGEST], im[LONGEST], out_re[LONGEST], out_im[LONGEST];
    for (int64_t t = 0; t < x->dim[0] * frames; t++) {
        for (int64_t k = 0; k < n; k++) {
            const double *at = x->v + (t / frames * signal + t % frames * step + k) * parts,
                         w = window ? window->v[k] : 1;
            re[k] = at[0] * w, im[k] = parts == 2 ? at[1] * w : 0;
        }
        transform(re, im, n, false, bins, out_re, out_im);
        for (int64_t k = 0; k < bins; k++) y[(t * bins + k) * 2] = out_re[k], y[(t * bins + k) * 2 + 1] = out_im[k];
    }
}

static void window_of(sdx_case_run *run, double a, double b, double c) {
    const int64_t n = (int64_t)run->in[0].v[0];
    const double period = (double)(sdx_case_int(run, "periodic", 1) ? n : n - 1);
    double *y = sdx_case_output(run, 0, 1, &n);
    for (int64_t k = 0; k < n; k++) {
        y[k] = a - b * cos(tau * (double)k / period) + c * cos(2 * tau * (double)k / period);
        if (period == 0) y[k] = 1;
        /* whole numbers are cut; values that are 1 but for rounding are not meant to be 0 */
    }
}
static void hann(sdx_case_run *run) { window_of(run, 0.5, 0.5, 0); }
static void hamming(sdx_case_run *run) { window_of(run, 25.0 / 46, 21.0 / 46, 0); }
static void blackman(sdx_case_run *run) { window_of(run, 0.42, 0.5, 0.08); }

#define DFT(suffix, version, ...)                                                                                      \
    { .name = "dft_" suffix, .op = "DFT", .opset = version, .reference = dft, .atol = 1e-4, __VA_ARGS__ }
#define STFT(suffix, ...)                                                                                              \
    { .name = "stft_" suffix, .op = "STFT", .opset = 17, .reference = stft, .atol = 1e-5, __VA_ARGS__ }

const sdx_case sdx_cases[] = {
    DFT("17_real", 17, .inputs = "T1[N,L,1]=normal", .dims = "N=1..3 L=1..130"),
    DFT("17_complex", 17, .inputs = "T1[N,L,2]=normal", .dims = "N=1..3 L=1..130"),
    DFT("17_axis", 17, .attributes = "axis:int=2", .inputs = "T1[2,3,L,4,2]=normal", .dims = "L=1..40"),
    DFT("17_axis_0", 17, .attributes = "axis:int=0 inverse:int=1", .inputs = "T1[L,3,2]=normal T2[]={24}",
        .dims = "L=1..40"),
    DFT("20_default", 20, .inputs = "T1[2,L,2]=normal", .dims = "L=1..260"),
    DFT("20_axis", 20, .inputs = "T1[2,L,5,2]=normal - i64[]={1}", .dims = "L=1..70"),
    DFT("20_longer", 20, .inputs = "T1[2,L,2]=normal T2[]={60}", .dims = "L=1..100"),
    DFT("20_onesided", 20, .attributes = "onesided:int=1", .inputs = "T1[2,L,1]=normal", .dims = "L=1..200"),
    DFT("20_inverse", 20, .attributes = "inverse:int=1", .inputs = "T1[2,L,2]=normal", .dims = "L=1..200"),
    DFT("20_inverse_real", 20, .attributes = "inverse:int=1", .inputs = "T1[2,L,1]=normal", .dims = "L=1..60"),
    DFT("20_irfft", 20, .attributes = "inverse:int=1 onesided:int=1", .inputs = "T1[2,L,2]=normal", .dims = "L=2..100"),
    DFT("20_irfft_odd", 20, .attributes = "inverse:int=1 onesided:int=1",
        .inputs = "T1[2,L,2]=normal T2[]={21} i64[]={-2}", .dims = "L=2..30"),
    DFT("20_prime", 20, .inputs = "T1[1,1009,2]=normal", .flags = SDX_CASE_SLOW),
    DFT("20_square_of_37", 20, .inputs = "T1[1,1369,1]=normal", .flags = SDX_CASE_SLOW),
    DFT("20_4096", 20, .inputs = "T1[1,4096,1]=normal", .flags = SDX_CASE_SLOW),
    DFT("20_2310", 20, .inputs = "T1[1,2310,2]=normal", .flags = SDX_CASE_SLOW),
    DFT("20_empty", 20, .inputs = "T1[0,5,2]=normal"),
    {.name = "dft_last_axis",
     .op = "DFT",
     .opset = 20,
     .inputs = "f32[2,3,2]=normal - i64[]={-1}",
     .fails = SDX_SHAPE,
     .says = "'axis' is -1"},
    {.name = "dft_parts",
     .op = "DFT",
     .opset = 20,
     .inputs = "f32[2,3,3]=normal",
     .fails = SDX_SHAPE,
     .says = "must be 1 or 2"},
    {.name = "dft_onesided_complex",
     .op = "DFT",
     .opset = 20,
     .attributes = "onesided:int=1",
     .inputs = "f32[2,3,2]=normal",
     .fails = SDX_SHAPE,
     .says = "with attribute 'onesided' it must be 1"},
    {.name = "dft_length_0",
     .op = "DFT",
     .opset = 20,
     .inputs = "f32[2,3,2]=normal i64[]={0}",
     .fails = SDX_VALUE,
     .says = "length 0"},
    {.name = "dft_length_vector",
     .op = "DFT",
     .opset = 20,
     .inputs = "f32[2,3,2]=normal i64[2]={3 3}",
     .fails = SDX_SHAPE,
     .says = "input 'dft_length' has 2 elements"},
    STFT("window", .inputs = "T1[2,L,1]=normal T2[]={5} T1[16]=uniform(0.5,1)", .dims = "L=16..100"),
    STFT("complex", .attributes = "onesided:int=0",
         .inputs = "T1[2,L,2]=normal T2[]={7} T1[15]=uniform(0.5,1) T2[]={15}", .dims = "L=16..100"),
    STFT("length", .inputs = "T1[1,L,1]=normal T2[]={7} - T2[]={20}", .dims = "L=20..100"),
    STFT("whole", .inputs = "T1[1,L,1]=normal T2[]={7}", .dims = "L=1..70"),
    {.name = "stft_step_0",
     .op = "STFT",
     .opset = 17,
     .inputs = "f32[1,9,1]=normal i64[]={0} - i64[]={4}",
     .fails = SDX_VALUE,
     .says = "input 'frame_step' is 0"},
    {.name = "stft_too_long",
     .op = "STFT",
     .opset = 17,
     .inputs = "f32[1,9,1]=normal i64[]={1} - i64[]={10}",
     .fails = SDX_VALUE,
     .says = "length 10; it must be in [1, 9]"},
    {.name = "stft_window_length",
     .op = "STFT",
     .opset = 17,
     .inputs = "f32[1,9,1]=normal i64[]={1} f32[5]=const(1) i64[]={4}",
     .fails = SDX_SHAPE,
     .says = "input 'window' has 5 elements"},
    {.name = "stft_onesided_complex",
     .op = "STFT",
     .opset = 17,
     .inputs = "f32[1,9,2]=normal i64[]={1}",
     .fails = SDX_SHAPE,
     .says = "attribute 'onesided' must then be 0"},
    {.name = "hann", .op = "HannWindow", .opset = 17, .inputs = "T1[]={10}", .reference = hann},
    {.name = "hann_symmetric",
     .op = "HannWindow",
     .opset = 17,
     .attributes = "periodic:int=0 output_datatype:int=11",
     .inputs = "T1[]={700}",
     .reference = hann},
    {.name = "hann_one",
     .op = "HannWindow",
     .opset = 17,
     .attributes = "periodic:int=0",
     .inputs = "T1[]={1}",
     .expect = "f32[1]={1}"},
    {.name = "hann_none", .op = "HannWindow", .opset = 17, .inputs = "T1[]={0}", .expect = "f32[0]={}"},
    {.name = "hann_i8",
     .op = "HannWindow",
     .opset = 17,
     .attributes = "output_datatype:int=3",
     .inputs = "T1[]={4}",
     .expect = "i8[4]={0 0 1 0}"},
    {.name = "hann_negative",
     .op = "HannWindow",
     .opset = 17,
     .inputs = "i64[]={-3}",
     .fails = SDX_VALUE,
     .says = "input 'size' is -3"},
    {.name = "hann_string",
     .op = "HannWindow",
     .opset = 17,
     .attributes = "output_datatype:int=8",
     .inputs = "i64[]={3}",
     .fails = SDX_TYPE,
     .says = "string"},
    {.name = "hamming",
     .op = "HammingWindow",
     .opset = 17,
     .attributes = "output_datatype:int=10",
     .inputs = "T1[]={31}",
     .reference = hamming,
     .rtol = 1e-3},
    {.name = "hamming_symmetric",
     .op = "HammingWindow",
     .opset = 17,
     .attributes = "periodic:int=0",
     .inputs = "T1[]={31}",
     .reference = hamming},
    {.name = "blackman_i8",
     .op = "BlackmanWindow",
     .opset = 17,
     .attributes = "output_datatype:int=3",
     .inputs = "T1[]={12}",
     .expect = "i8[12]={0 0 0 0 0 0 1 0 0 0 0 0}"},
    {.name = "blackman", .op = "BlackmanWindow", .opset = 17, .inputs = "T1[]={31}", .reference = blackman},
    {.name = "blackman_symmetric",
     .op = "BlackmanWindow",
     .opset = 17,
     .attributes = "periodic:int=0",
     .inputs = "T1[]={32}",
     .reference = blackman},
    /* numbers of the specification's reference implementation */
    {.name = "mel",
     .op = "MelWeightMatrix",
     .opset = 17,
     .inputs = "T1[]={3} T1[]={16} T1[]={8192} T2[]={100} T2[]={3000}",
     .expect = "f32[9,3]={1 0 0 0 1 0 0 0 1 0 0 0.5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0}"},
    {.name = "mel_f16",
     .op = "MelWeightMatrix",
     .opset = 17,
     .attributes = "output_datatype:int=10",
     .inputs = "T1[1]={3} T1[]={16} T1[]={8192} T2[]={100} T2[]={3000}",
     .expect = "f16[9,3]={1 0 0 0 1 0 0 0 1 0 0 0.5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0}"},
    {.name = "mel_upper",
     .op = "MelWeightMatrix",
     .opset = 17,
     .inputs = "i64[]={3} i64[]={16} i64[]={8192} f32[]={100} f32[]={5000}",
     .fails = SDX_VALUE,
     .says = "input 'upper_edge_hertz' is 5000"},
    {.name = "mel_bins",
     .op = "MelWeightMatrix",
     .opset = 17,
     .inputs = "i64[]={0} i64[]={16} i64[]={8192} f32[]={100} f32[]={3000}",
     .fails = SDX_VALUE,
     .says = "input 'num_mel_bins' is 0"},
};
SDX_CASES_END
