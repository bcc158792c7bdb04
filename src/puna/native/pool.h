// Threads that wait between two jobs: a short spin, because the next job of a forward comes at once, then sleep.
#pragma once
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define MOST_THREADS 64
#define SPIN 8000  // pauses (about 200 microseconds, longer than Python takes between two calls) before a thread gives its core away

typedef void (*Job)(void *argument, int thread, int threads);

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more, arrived;
    int size;   // threads that exist, the caller's included
    unsigned born[MOST_THREADS];  // the generation that each was made in
    Job job;
    void *argument;
    int threads;
    atomic_uint generation;
    atomic_int running;
    atomic_int waiting;  // in `meet`
    atomic_uint round;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .arrived = PTHREAD_COND_INITIALIZER};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;  // held by whoever runs a job
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

// A fork takes the memory along and leaves the threads behind. It waits for the running job, and the child begins with
// locks that nobody holds and conditions that nobody waits for: on the old ones a broadcast would wait for the dead.
static void before_fork(void) { pthread_mutex_lock(&one_at_a_time); }
static void after_fork(void) { pthread_mutex_unlock(&one_at_a_time); }
static void in_child(void) {
    pthread_mutex_init(&one_at_a_time, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.more, NULL);
    pthread_cond_init(&pool.arrived, NULL);
    pool.size = 1;
}
static void prepare(void) {
    pool.size = 1;
    pthread_atfork(before_fork, after_fork, in_child);
}

// Before a job and all that is set up for it.
static void begin(void) {
    pthread_once(&prepared, prepare);
    pthread_mutex_lock(&one_at_a_time);
}
static void end(void) { pthread_mutex_unlock(&one_at_a_time); }

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Wait until *value is no longer `old`; `wake` is signalled, under the lock, by whoever changes it.
static void await_change(atomic_uint *value, unsigned old, pthread_cond_t *wake) {
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(value, memory_order_acquire) != old) return;
        relax();
    }
    pthread_mutex_lock(&pool.lock);
    while (atomic_load_explicit(value, memory_order_acquire) == old) pthread_cond_wait(wake, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

static void change(atomic_uint *value, pthread_cond_t *wake) {
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add_explicit(value, 1, memory_order_release);
    pthread_cond_broadcast(wake);
    pthread_mutex_unlock(&pool.lock);
}

// Barrier of all threads of the running job.
static void meet(int threads) {
    if (threads == 1) return;
    unsigned round = atomic_load_explicit(&pool.round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&pool.waiting, 1, memory_order_acq_rel) == threads - 1) {
        atomic_store_explicit(&pool.waiting, 0, memory_order_relaxed);
        change(&pool.round, &pool.arrived);
    } else {
        await_change(&pool.round, round, &pool.arrived);
    }
}

static void *work(void *number) {
    int thread = (int)(intptr_t)number;
    for (unsigned seen = pool.born[thread];; seen++) {
        await_change(&pool.generation, seen, &pool.more);
        if (thread < pool.threads) pool.job(pool.argument, thread, pool.threads);
        atomic_fetch_sub_explicit(&pool.running, 1, memory_order_release);
    }
    return NULL;
}

// Run a job on `threads` threads, the caller's one of them, and wait for all; between `begin` and `end`.
static void run(Job job, void *argument, int threads) {
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    while (pool.size < threads) {
        pthread_t id;
        pool.born[pool.size] = atomic_load(&pool.generation);
        if (pthread_create(&id, NULL, work, (void *)(intptr_t)pool.size) != 0) break;
        pthread_detach(id);
        pool.size++;
    }
    if (threads > pool.size) threads = pool.size;
    if (threads <= 1) {
        job(argument, 0, 1);
        return;
    }
    pool.job = job;
    pool.argument = argument;
    pool.threads = threads;
    atomic_store(&pool.running, pool.size - 1);
    change(&pool.generation, &pool.more);
    job(argument, 0, threads);
    for (int i = 0; atomic_load_explicit(&pool.running, memory_order_acquire) > 0; i++) {
        if (i < SPIN) relax();
        else sched_yield();
    }
}
