/* SPDX-License-Identifier: Apache-2.0
 * Plans by graph and by the shapes of the arguments, most recently used first; idle frames with their plan; idle
 * working memory in one list, so that it serves whichever plan runs next. One lock, held for list work only. */
#include "runtime/exec/call.h"
#include "runtime/exec/frame.h"
#include "runtime/exec/profile.h"
#include <pthread.h>

enum { PLANS_PER_GRAPH = 16 };

struct sdx_plans {
    sdx_memory *memory;
    sdx_arena arena; /* sets */
    int threads;
    bool profile;
    pthread_mutex_t lock;
    sdx_plan_set *sets;
    sdx_working *idle;
};

sdx_status sdx_plans_create(sdx_memory *memory, int threads, bool profile, sdx_error *error, sdx_plans **out) {
    *out = NULL;
    sdx_plans *plans = sdx_memory_alloc_zero(memory, sizeof *plans, error);
    if (!plans) return error->status;
    plans->memory = memory;
    plans->threads = threads;
    plans->profile = profile;
    sdx_arena_init(&plans->arena, memory);
    if (pthread_mutex_init(&plans->lock, NULL)) {
        sdx_memory_free(memory, plans);
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "no lock can be made");
    }
    *out = plans;
    return SDX_OK;
}

int sdx_plans_threads(const sdx_plans *plans) { return plans->threads; }

static void free_workings(sdx_plans *plans, sdx_working *list) {
    while (list) {
        sdx_working *next = list->next;
        sdx_memory_free(plans->memory, list);
        list = next;
    }
}

void sdx_plans_destroy(sdx_plans *plans) {
    if (!plans) return;
    for (sdx_plan_set *set = plans->sets; set; set = set->next) {
        while (set->plans) {
            sdx_plan *next = set->plans->next;
            sdx_plan_release(set->plans);
            set->plans = next;
        }
    }
    free_workings(plans, plans->idle);
    sdx_arena_release(&plans->arena);
    pthread_mutex_destroy(&plans->lock);
    sdx_memory_free(plans->memory, plans);
}

static sdx_plan_set *find_set(const sdx_plans *plans, const sdx_graph *graph) {
    sdx_plan_set *set = plans->sets;
    while (set && set->graph != graph) set = set->next;
    return set;
}

sdx_status sdx_plans_set(sdx_plans *plans, const sdx_graph *graph, sdx_error *error, sdx_plan_set **out) {
    pthread_mutex_lock(&plans->lock);
    sdx_plan_set *set = find_set(plans, graph);
    sdx_status status = SDX_OK;
    if (!set) {
        set = SDX_NEW(&plans->arena, sdx_plan_set, error);
        if (set) set->graph = graph;
        status = set ? SDX_OK : error->status;
        if (set && plans->profile) status = sdx_profile_start(set, &plans->arena, error);
        if (!status) {
            set->next = plans->sets;
            plans->sets = set;
        }
    }
    pthread_mutex_unlock(&plans->lock);
    *out = status ? NULL : set;
    return status;
}

sdx_status sdx_plans_profile(sdx_plans *plans, const sdx_graph *graph, sdx_error *error, sdx_profile_row **rows,
                             size_t *n) {
    pthread_mutex_lock(&plans->lock);
    sdx_status status = sdx_profile_rows(plans->sets, graph, error, rows, n);
    pthread_mutex_unlock(&plans->lock);
    return status;
}

bool sdx_plans_trim(sdx_plans *plans) {
    sdx_plan *dead = NULL;
    pthread_mutex_lock(&plans->lock);
    sdx_working *workings = plans->idle;
    plans->idle = NULL;
    for (sdx_plan_set *set = plans->sets; set; set = set->next) {
        for (sdx_plan **link = &set->plans; *link;) {
            sdx_plan *plan = *link;
            if (atomic_load(&plan->references) > 1) {
                link = &plan->next;
                continue;
            }
            *link = plan->next;
            plan->next = dead;
            dead = plan;
            set->n_plans--;
        }
    }
    pthread_mutex_unlock(&plans->lock);
    bool freed = workings || dead;
    free_workings(plans, workings);
    while (dead) {
        sdx_plan *next = dead->next;
        sdx_plan_release(dead);
        dead = next;
    }
    return freed;
}

/* ---- Acquire and release: the functions with _locked in their name need the lock -------------------------------- */

static sdx_plan *find_plan_locked(sdx_plan_set *set, uint64_t hash, const sdx_argument *arguments, int n) {
    for (sdx_plan **link = &set->plans; *link; link = &(*link)->next) {
        sdx_plan *plan = *link;
        if (!sdx_plan_fits(plan, hash, arguments, n)) continue;
        *link = plan->next;
        plan->next = set->plans;
        set->plans = plan;
        atomic_fetch_add(&plan->references, 1);
        return plan;
    }
    return NULL;
}

/* Returns the plan that fell out of the cache for it, if any. */
static sdx_plan *insert_plan_locked(sdx_plan_set *set, sdx_plan *plan) {
    atomic_fetch_add(&plan->references, 1);
    plan->next = set->plans;
    set->plans = plan;
    if (++set->n_plans <= PLANS_PER_GRAPH) return NULL;
    sdx_plan **link = &set->plans;
    while ((*link)->next) link = &(*link)->next;
    sdx_plan *oldest = *link;
    *link = NULL;
    set->n_plans--;
    return oldest;
}

static sdx_frame *take_frame_locked(sdx_plan *plan) {
    sdx_frame *frame = plan->idle;
    if (frame) plan->idle = frame->next;
    return frame;
}

/* The smallest that suffices; else, in *small, one to free for a larger one. */
static sdx_working *take_working_locked(sdx_plans *plans, size_t size, sdx_working **small) {
    sdx_working **best = NULL;
    for (sdx_working **link = &plans->idle; *link; link = &(*link)->next)
        if ((*link)->size >= size && (!best || (*link)->size < (*best)->size)) best = link;
    sdx_working **taken = best ? best : &plans->idle, *working = *taken;
    if (working) *taken = working->next;
    *small = best ? NULL : working;
    return best ? working : NULL;
}

static sdx_status make_plan(sdx_plans *plans, sdx_plan_set *set, const sdx_argument *arguments, int n, uint64_t hash,
                            sdx_run *run, sdx_plan **out) {
    sdx_plan *made = NULL, *oldest = NULL;
    SDX_TRY(sdx_plan_build(plans, set, arguments, n, run, &made));
    pthread_mutex_lock(&plans->lock);
    *out = find_plan_locked(set, hash, arguments, n);
    if (!*out) {
        oldest = insert_plan_locked(set, made);
        *out = made;
        made = NULL;
    }
    pthread_mutex_unlock(&plans->lock);
    sdx_plan_release(oldest);
    sdx_plan_release(made);
    return SDX_OK;
}

static sdx_status make_working(sdx_plans *plans, const sdx_plan *plan, sdx_error *error, sdx_working **out) {
    size_t total = 0;
    *out = NULL;
    if (sdx_size_add(plan->working_size, SDX_ALIGNMENT, &total)) *out = sdx_memory_alloc(plans->memory, total, error);
    if (!*out) {
        sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", plan->working_size);
        sdx_error_context(error, "working memory");
        return plan->largest ? sdx_call_place(plan->graph, plan->largest, error) : error->status;
    }
    **out = (sdx_working){NULL, plan->working_size};
    return SDX_OK;
}

sdx_status sdx_plans_acquire(sdx_plans *plans, sdx_plan_set *set, const sdx_argument *arguments, int n, sdx_run *run,
                             sdx_frame **out) {
    uint64_t hash = sdx_plan_hash(arguments, n);
    sdx_frame *frame = NULL;
    sdx_working *working = NULL, *small = NULL;
    *out = NULL;
    pthread_mutex_lock(&plans->lock);
    sdx_plan *plan = find_plan_locked(set, hash, arguments, n);
    if (plan) {
        frame = take_frame_locked(plan);
        working = take_working_locked(plans, plan->working_size, &small);
    }
    pthread_mutex_unlock(&plans->lock);
    if (!plan) {
        SDX_TRY(make_plan(plans, set, arguments, n, hash, run, &plan));
        pthread_mutex_lock(&plans->lock);
        working = take_working_locked(plans, plan->working_size, &small);
        pthread_mutex_unlock(&plans->lock);
    }
    sdx_memory_free(plans->memory, small);
    sdx_status status = frame ? SDX_OK : sdx_frame_create(plan, run->error, &frame);
    if (!status && !working) status = make_working(plans, plan, run->error, &working);
    if (status) {
        sdx_frame_destroy(frame);
        free_workings(plans, working);
        sdx_plan_release(plan);
        return status;
    }
    sdx_frame_attach(frame, working);
    *out = frame;
    return SDX_OK;
}

void sdx_plans_release(sdx_plans *plans, sdx_frame *frame) {
    sdx_plan *plan = frame->plan;
    pthread_mutex_lock(&plans->lock);
    frame->next = plan->idle;
    plan->idle = frame;
    frame->working->next = plans->idle;
    plans->idle = frame->working;
    frame->working = NULL;
    pthread_mutex_unlock(&plans->lock);
    sdx_plan_release(plan);
}
