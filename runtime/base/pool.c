/* SPDX-License-Identifier: Apache-2.0
 * One job at a time. `state` holds a generation, whether the job is open, and how many workers are inside it. A worker
 * enters an open job it has not seen; the caller works too, closes the job when no chunk is left, and waits only for
 * workers that are inside: one that sleeps through a job delays nobody. */
#include "runtime/base/pool.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 1024, SPIN_NS = 30000, SPINS_PER_CLOCK = 32 };
#define INSIDE     UINT64_C(0xffff)
#define OPEN       UINT64_C(0x10000)
#define GENERATION UINT64_C(0x20000)

typedef struct job {
    sdx_range_fn fn;
    void *argument;
    int64_t count, grain, chunks;
    const sdx_stop *stop;
} job;

typedef struct worker {
    struct sdx_pool *pool;
    pthread_t thread;
    int index;
} worker;

struct sdx_pool {
    sdx_memory *memory;
    int threads, started;
    int64_t spin_ns;
    worker *workers;
    job job;
    atomic_flag busy;
    atomic_bool quit;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    _Alignas(SDX_ALIGNMENT) _Atomic uint64_t state;
    atomic_int sleepers;
    atomic_bool caller_sleeps;
    _Alignas(SDX_ALIGNMENT) _Atomic int64_t next;
    atomic_int stopped; /* an sdx_status */
};

/* Which pool's work this thread is doing: a nested run keeps its worker index, so per-thread scratch stays its own. */
static _Thread_local struct {
    const sdx_pool *pool;
    int worker;
} here;

int64_t sdx_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int sdx_machine_threads(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > MOST_THREADS ? MOST_THREADS : (int)online;
}

static sdx_status stop_reason(const sdx_stop *stop) {
    if (!stop) return SDX_OK;
    if (stop->cancel && __atomic_load_n(stop->cancel, __ATOMIC_RELAXED)) return SDX_CANCELLED;
    return stop->deadline && sdx_clock_ns() >= stop->deadline ? SDX_DEADLINE : SDX_OK;
}

static sdx_status report(sdx_status status, sdx_error *error) {
    if (status == SDX_OK) return SDX_OK;
    return sdx_fail(error, status,
                    status == SDX_CANCELLED ? "the caller cancelled the run"
                                            : "the run did not end before its deadline");
}

sdx_status sdx_stop_check(const sdx_stop *stop, sdx_error *error) { return report(stop_reason(stop), error); }

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void do_chunk(const job *work, int64_t chunk, int index) {
    int64_t begin = chunk * work->grain, left = work->count - begin;
    work->fn(work->argument, begin, begin + (left < work->grain ? left : work->grain), index);
}

static sdx_status run_alone(const job *work, int index) {
    for (int64_t chunk = 0; chunk < work->chunks; chunk++) {
        sdx_status status = stop_reason(work->stop);
        if (status) return status;
        do_chunk(work, chunk, index);
    }
    return SDX_OK;
}

static void take_chunks(sdx_pool *pool, int index) {
    const job *work = &pool->job;
    for (;;) {
        int64_t chunk = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (chunk >= work->chunks) return;
        sdx_status status = stop_reason(work->stop);
        if (status) {
            atomic_store(&pool->stopped, (int)status);
            atomic_store(&pool->next, work->chunks);
            return;
        }
        do_chunk(work, chunk, index);
    }
}

static bool has_news(sdx_pool *pool, uint64_t seen, uint64_t *state) {
    *state = atomic_load(&pool->state);
    return ((*state & OPEN) && *state / GENERATION != seen) || atomic_load(&pool->quit);
}

/* Returns when there is a job that has not been seen, or the pool ends. */
static uint64_t wait_for_news(sdx_pool *pool, uint64_t seen) {
    uint64_t state = 0;
    int64_t until = pool->spin_ns ? sdx_clock_ns() + pool->spin_ns : 0;
    while (until) {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (has_news(pool, seen, &state)) return state;
            pause_briefly();
        }
        if (sdx_clock_ns() >= until) break;
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!has_news(pool, seen, &state)) pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return state;
}

static void leave_job(sdx_pool *pool) {
    uint64_t before = atomic_fetch_sub(&pool->state, 1);
    if ((before & INSIDE) != 1 || (before & OPEN) || !atomic_load(&pool->caller_sleeps)) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->mutex);
}

static void *work_until_quit(void *argument) {
    worker *self = argument;
    sdx_pool *pool = self->pool;
    uint64_t seen = 0;
    here.pool = pool;
    here.worker = self->index;
    for (;;) {
        uint64_t state = wait_for_news(pool, seen);
        if (atomic_load(&pool->quit)) return NULL;
        if (!atomic_compare_exchange_weak(&pool->state, &state, state + 1)) continue;
        seen = state / GENERATION;
        take_chunks(pool, self->index);
        leave_job(pool);
    }
}

static void wake_workers(sdx_pool *pool, int64_t helpers) {
    int sleeping = atomic_load(&pool->sleepers);
    if (sleeping == 0) return;
    pthread_mutex_lock(&pool->mutex);
    if (helpers >= sleeping)
        pthread_cond_broadcast(&pool->wake);
    else
        for (int64_t i = 0; i < helpers; i++) pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

/* Closes the job and waits for the workers inside it. */
static void join_workers(sdx_pool *pool) {
    uint64_t state = atomic_fetch_and(&pool->state, ~OPEN);
    if ((state & INSIDE) == 0) return;
    int64_t until = pool->spin_ns ? sdx_clock_ns() + pool->spin_ns : 0;
    while (until) {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if ((atomic_load(&pool->state) & INSIDE) == 0) return;
            pause_briefly();
        }
        if (sdx_clock_ns() >= until) break;
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while ((atomic_load(&pool->state) & INSIDE) != 0) pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

static sdx_status run_together(sdx_pool *pool, const job *work) {
    pool->job = *work;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->stopped, SDX_OK, memory_order_relaxed);
    uint64_t generation = atomic_load_explicit(&pool->state, memory_order_relaxed) / GENERATION + 1;
    atomic_store(&pool->state, generation * GENERATION | OPEN);
    wake_workers(pool, work->chunks - 1);
    const sdx_pool *outer = here.pool;
    int outer_worker = here.worker;
    here.pool = pool;
    here.worker = 0;
    take_chunks(pool, 0);
    here.pool = outer;
    here.worker = outer_worker;
    join_workers(pool);
    return (sdx_status)atomic_load(&pool->stopped);
}

sdx_status sdx_pool_run(sdx_pool *pool, int64_t count, int64_t grain, sdx_range_fn fn, void *argument,
                        const sdx_stop *stop, sdx_error *error) {
    if (count <= 0) return SDX_OK;
    if (grain < 1) grain = 1;
    job work = {fn, argument, count, grain, (count - 1) / grain + 1, stop};
    bool inside = pool && here.pool == pool;
    if (!pool || inside || pool->threads == 1 || work.chunks == 1 || atomic_flag_test_and_set(&pool->busy))
        return report(run_alone(&work, inside ? here.worker : 0), error);
    sdx_status status = run_together(pool, &work);
    atomic_flag_clear(&pool->busy);
    return report(status, error);
}

/* Workers take no signals: those are the business of the program's own threads. */
static int start_workers(sdx_pool *pool) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = 0;
    while (code == 0 && pool->started < pool->threads - 1) {
        worker *self = &pool->workers[pool->started];
        *self = (worker){.pool = pool, .index = pool->started + 1};
        code = pthread_create(&self->thread, NULL, work_until_quit, self);
        if (code == 0) pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

sdx_status sdx_pool_create(int threads, sdx_memory *memory, sdx_error *error, sdx_pool **out) {
    *out = NULL;
    if (threads < 1 || threads > MOST_THREADS)
        return sdx_fail(error, SDX_ARGUMENT, "%d threads asked for; 1 to %d are allowed", threads, MOST_THREADS);
    sdx_pool *pool = sdx_memory_alloc_zero(memory, sizeof *pool, error);
    worker *workers = pool ? sdx_memory_alloc(memory, (size_t)threads * sizeof *workers, error) : NULL;
    if (!workers) {
        sdx_memory_free(memory, pool);
        return error && error->status ? error->status : SDX_OUT_OF_MEMORY;
    }
    pool->memory = memory;
    pool->threads = threads;
    pool->workers = workers;
    pool->spin_ns = threads <= sdx_machine_threads() ? SPIN_NS : 0;
    atomic_flag_clear(&pool->busy);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    if (start_workers(pool) != 0) {
        sdx_fail(error, SDX_OUT_OF_MEMORY, "the system lets %d of %d threads start", pool->started + 1, threads);
        sdx_pool_destroy(pool);
        return SDX_OUT_OF_MEMORY;
    }
    *out = pool;
    return SDX_OK;
}

void sdx_pool_destroy(sdx_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->quit, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    sdx_memory_free(pool->memory, pool->workers);
    sdx_memory_free(pool->memory, pool);
}

int sdx_pool_threads(const sdx_pool *pool) { return pool ? pool->threads : 1; }
