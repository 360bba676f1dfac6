/* SPDX-License-Identifier: Apache-2.0
 * Schedules against the numbers of torch.optim.lr_scheduler (PyTorch 2.13), as factors on an lr of 0.5. */
#include "runtime/train/train.h"
#include "tests/unit/support.h"
#include <math.h>

enum { LENGTH = 24 };

typedef struct schedule_case {
    const char *name;
    sdx_schedule_options options;
    double want[LENGTH];
} schedule_case;

static const int64_t milestones[3] = {3, 8, 15};

static const schedule_case cases[] = {
    {.name = "step",
     .options = {.kind = SDX_SCHEDULE_STEP, .every = 5, .gamma = .5},
     .want = {1,    1,    1,    1,     1,     0.5,   0.5,   0.5,   0.5,    0.5,    0.25,   0.25,
              0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125, 0.125, 0.0625, 0.0625, 0.0625, 0.0625}},
    {.name = "multistep",
     .options = {.kind = SDX_SCHEDULE_MULTISTEP, .milestones = milestones, .n_milestones = 3, .gamma = .3},
     .want = {1,
              1,
              1,
              0.29999999999999999,
              0.29999999999999999,
              0.29999999999999999,
              0.29999999999999999,
              0.29999999999999999,
              0.089999999999999997,
              0.089999999999999997,
              0.089999999999999997,
              0.089999999999999997,
              0.089999999999999997,
              0.089999999999999997,
              0.089999999999999997,
              0.027,
              0.027,
              0.027,
              0.027,
              0.027,
              0.027,
              0.027,
              0.027,
              0.027}},
    {.name = "exponential",
     .options = {.kind = SDX_SCHEDULE_EXPONENTIAL, .gamma = .9},
     .want = {1,
              0.90000000000000002,
              0.81000000000000005,
              0.72900000000000009,
              0.65610000000000013,
              0.59049000000000018,
              0.53144100000000016,
              0.47829690000000014,
              0.43046721000000016,
              0.38742048900000015,
              0.34867844010000015,
              0.31381059609000017,
              0.28242953648100017,
              0.25418658283290013,
              0.22876792454961012,
              0.2058911320946491,
              0.18530201888518419,
              0.16677181699666577,
              0.15009463529699921,
              0.13508517176729928,
              0.12157665459056936,
              0.10941898913151243,
              0.098477090218361193,
              0.088629381196525081}},
    {.name = "cosine",
     .options = {.kind = SDX_SCHEDULE_COSINE, .total = 20, .min_lr = .05},
     .want = {1,
              0.994459753267812,
              0.97797543233281914,
              0.95095293588476548,
              0.91405764746872631,
              0.86819805153394636,
              0.8145033635316129,
              0.75429572488279606,
              0.68905764746872644,
              0.62039550926810405,
              0.55000000000000016,
              0.47960449073189637,
              0.41094235253127387,
              0.34570427511720414,
              0.2854966364683873,
              0.23180194846605376,
              0.18594235253127378,
              0.14904706411523455,
              0.12202456766718094,
              0.10554024673218806,
              0.10000000000000001,
              0.10554024673218801,
              0.12202456766718081,
              0.14904706411523444}},
    {.name = "linear",
     .options = {.kind = SDX_SCHEDULE_LINEAR, .total = 9, .start_factor = .25, .end_factor = .75},
     .want = {0.25,
              0.30555555555555558,
              0.36111111111111116,
              0.41666666666666669,
              0.47222222222222221,
              0.52777777777777779,
              0.58333333333333326,
              0.63888888888888884,
              0.69444444444444431,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989,
              0.74999999999999989}},
    {.name = "one_cycle",
     .options = {.kind = SDX_SCHEDULE_ONE_CYCLE, .total = 24, .max_lr = 2},
     .want = {0.16000000000000014, 0.40125449700240257, 1.0643891001722325,   1.982753595829672,     2.9255567709906583,
              3.6558658071179706,  3.9901491009124386,  3.9776617418036468,   3.8877671095500927,    3.7320518793656468,
              3.515945382517121,   3.2469826157990518,  2.934541518397098,    2.5895159907804133,    2.2239360564908068,
              1.8505484106679002,  1.4823719803473192,  1.1322439928347969,   0.81237237941448104,   0.5339101207553224,
              0.30656637533702558, 0.13826794970158088, 0.034882914065209318, 1.5999999999999999e-05}},
    {.name = "one_cycle, settings",
     .options = {.kind = SDX_SCHEDULE_ONE_CYCLE,
                 .total = 24,
                 .max_lr = 1,
                 .pct_start = .45,
                 .div_factor = 5,
                 .final_div_factor = 50},
     .want = {0.39999999999999991, 0.44075540239146505, 0.55886910250563449,  0.74230667190226418,  0.97237793069517386,
              1.2256412620573243,  1.4762920435370459,  1.6987918414869865,   1.8704704839134723,   1.9738358904312234,
              1.998871869826276,   1.9596550017200396,  1.8665613021693011,   1.7248391019526501,   1.5424782541857753,
              1.3297596914641521,  1.098675819130966,   0.8622544210798081,   0.63382419416231395,  0.42626331806708678,
              0.25127342394315888, 0.11871989313969633, 0.036075677949752513, 0.0080000000000000002}},
    {.name = "warmup, cosine",
     .options = {.kind = SDX_SCHEDULE_COSINE, .total = 16, .per_step = true, .warmup = 8, .warmup_start = .1},
     .want = {0.10000000000000001,
              0.21250000000000002,
              0.32500000000000001,
              0.43750000000000006,
              0.55000000000000004,
              0.66250000000000009,
              0.77500000000000013,
              0.88750000000000018,
              1,
              0.99039264020161522,
              0.96193976625564337,
              0.91573480615127267,
              0.85355339059327373,
              0.77778511650980109,
              0.69134171618254492,
              0.59754516100806421,
              0.5,
              0.4024548389919359,
              0.30865828381745514,
              0.22221488349019902,
              0.14644660940672627,
              0.084265193848727327,
              0.038060233744356631,
              0.0096073597983847847}},
    {.name = "plateau",
     .options = {.kind = SDX_SCHEDULE_PLATEAU, .patience = 2, .gamma = .5, .min_lr = .05},
     .want = {1,
              1,
              1,
              1,
              1,
              1,
              1,
              1,
              0.5,
              0.5,
              0.5,
              0.25,
              0.25,
              0.25,
              0.125,
              0.125,
              0.125,
              0.10000000000000001,
              0.10000000000000001,
              0.10000000000000001,
              0.10000000000000001,
              0.10000000000000001,
              0.10000000000000001,
              0.10000000000000001}},
};

static void check_case(const schedule_case *c, bool per_step) {
    sdx_schedule_options options = c->options;
    sdx_schedule_state state;
    options.per_step |= per_step;
    const bool steps = options.per_step || options.kind == SDX_SCHEDULE_ONE_CYCLE;
    sdx_schedule_start(&state);
    for (int t = 0; t < LENGTH; t++) {
        const double got = sdx_schedule_factor(&options, &state, .5, LENGTH, LENGTH), want = c->want[t];
        if (!(fabs(got - want) <= 4e-15 * fmax(1, want)))
            fail_msg("%s: the factor of step %d is %.17g; PyTorch has %.17g", c->name, t, got, want);
        if (steps)
            state.step++;
        else
            sdx_schedule_end_epoch(&options, &state, 1.0 / (1 + (t < 4 ? t : 4)));
    }
}

static void test_schedules(void **unused) {
    (void)unused;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        check_case(&cases[k], false);
        if (cases[k].options.kind != SDX_SCHEDULE_PLATEAU) check_case(&cases[k], true);
    }
}

static double at(const sdx_schedule_options *options, int64_t step, int64_t epoch) {
    sdx_schedule_state state;
    sdx_schedule_start(&state);
    state.step = step, state.epoch = epoch;
    return sdx_schedule_factor(options, &state, .5, 100, 10);
}

/* What PyTorch has no schedule for: defaults, and warming up beside a schedule by epochs. */
static void test_rest(void **unused) {
    (void)unused;
    const sdx_schedule_options none = {0}, cosine = {.kind = SDX_SCHEDULE_COSINE}, warm = {.warmup = 4};
    const sdx_schedule_options both = {.kind = SDX_SCHEDULE_EXPONENTIAL, .warmup = 4, .warmup_start = .5};
    const sdx_schedule_options linear = {.kind = SDX_SCHEDULE_LINEAR, .per_step = true, .warmup = 20};
    assert_true(at(&none, 50, 5) == 1);
    assert_true(fabs(at(&cosine, 0, 5) - .5) < 1e-15 && at(&cosine, 0, 10) < 1e-15);
    assert_true(at(&warm, 0, 0) == 0 && at(&warm, 1, 0) == .25 && at(&warm, 4, 0) == 1 && at(&warm, 40, 0) == 1);
    assert_true(fabs(at(&both, 2, 1) - .95 * .75) < 1e-15);
    assert_true(at(&linear, 10, 0) == .5 && at(&linear, 60, 0) == .5 && at(&linear, 100, 0) == 0);
    /* a metric to grow is handed over with its sign turned */
    const sdx_schedule_options plateau = {.kind = SDX_SCHEDULE_PLATEAU, .patience = 1, .threshold = .1};
    sdx_schedule_state state;
    sdx_schedule_start(&state);
    static const double metrics[] = {-.5, -.54, -.6, -.6, -.61};
    for (size_t k = 0; k < 5; k++) sdx_schedule_end_epoch(&plateau, &state, metrics[k]);
    assert_true(fabs(state.factor - .1) < 1e-15 && state.best == -.6);
    sdx_schedule_start(&state);
    for (size_t k = 0; k < 3; k++) sdx_schedule_end_epoch(&plateau, &state, NAN);
    assert_true(state.factor < 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedules), cmocka_unit_test(test_rest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
