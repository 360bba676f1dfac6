/* SPDX-License-Identifier: Apache-2.0
 * Two traps. The library chooses its kernels while it is loaded, from OPENBLAS_CORETYPE or from a list of CPUs that may
 * be older than this one (an unknown AVX-512 CPU gets kernels for AVX2, at half the speed), so the variable is set
 * around dlopen and then put back. And its results depend on its number of threads, so that is 1 for good; its first
 * call in a thread maps a buffer and spins for ever where it cannot, so it is not to be called near a memory limit of
 * the system. */
#include "ops/kernels/blas.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct variable {
    const char *name;
    bool was_set, replaced;
    char before[256];
} variable;

static bool set_variable(variable *v, const char *name, const char *value) {
    const char *now = getenv(name);
    *v = (variable){.name = name, .was_set = now != NULL};
    if (now && strlen(now) >= sizeof v->before) return false;
    if (now) memcpy(v->before, now, strlen(now) + 1);
    return v->replaced = setenv(name, value, 1) == 0;
}

static void restore_variable(const variable *v) {
    if (!v->replaced) return;
    if (v->was_set)
        setenv(v->name, v->before, 1);
    else
        unsetenv(v->name);
}

static void *load(void) {
    const sdx_isa isa = sdx_cpu_detect().isa;
    variable threads, core;
    if (isa == SDX_ISA_GENERIC) return dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    void *library = NULL;
    bool set = set_variable(&threads, "OPENBLAS_NUM_THREADS", "1");
    set = set_variable(&core, "OPENBLAS_CORETYPE", isa == SDX_ISA_AVX512 ? "SKYLAKEX" : "HASWELL") && set;
    if (set) library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    restore_variable(&core);
    restore_variable(&threads);
    return library;
}

static sdx_blas blas;
static bool blas_found;
static pthread_once_t blas_once = PTHREAD_ONCE_INIT;

/* dlsym gives an object pointer; POSIX says its bytes are the function's address. */
static bool find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static void look_up(void) {
    void (*set_threads)(int) = NULL;
    void *library = load();
    if (!library) return;
    blas_found = find(library, "cblas_sgemm", &blas.sgemm) && find(library, "cblas_dgemm", &blas.dgemm) &&
                 find(library, "openblas_set_num_threads", &set_threads);
    if (blas_found)
        set_threads(1);
    else
        dlclose(library);
}

const sdx_blas *sdx_blas_get(void) {
    pthread_once(&blas_once, look_up);
    return blas_found ? &blas : NULL;
}
