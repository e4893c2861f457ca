/* SPDX-License-Identifier: BSD-3-Clause */
/* The only file that knows OpenMP.
 *
 * libgomp keeps its worker threads between parallel regions. They do not survive fork, and a
 * child that opens a region after its parent did waits for them for ever. An atfork handler
 * notes in the child that it must stay on one thread. */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* syscall */
#endif
#include "base/parallel.h"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(_OPENMP) && !defined(_WIN32)
#include <pthread.h>
#include <stdint.h>
#endif
#if defined(_OPENMP) && defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if !defined(_OPENMP)
static int omp_get_thread_num(void)
{
    return 0;
}
#endif

void tc_watch_init(struct tc_watch *watch, bool (*stop)(struct tc_watch *watch))
{
    watch->stop = stop;
    atomic_init(&watch->stopped, false);
}

bool tc_is_stopped(struct tc_watch *watch)
{
    if (watch == NULL) {
        return false;
    }
    if (omp_get_thread_num() == 0 && !atomic_load(&watch->stopped) && watch->stop(watch)) {
        atomic_store(&watch->stopped, true);
    }
    return atomic_load(&watch->stopped);
}

static void run_serially(ptrdiff_t tasks, tc_task run, const void *context, struct tc_watch *watch)
{
    for (ptrdiff_t task = 0; task < tasks && !tc_is_stopped(watch); task++) {
        run(context, task, 0);
    }
}

#if defined(_OPENMP)

static atomic_bool workers_started, workers_lost;

/* Each thread has a range of tasks of its own, the same at every call, so that what it wrote last
 * time is in its caches still; a thread that is done with its own helps the others. */
enum { MOST_THREADS = 256, LINE = 64 };

struct queue {
    _Alignas(LINE) atomic_ptrdiff_t next;
    ptrdiff_t end;
};

static void run_queues(struct queue *queues, int threads, int thread, tc_task run,
                       const void *context, struct tc_watch *watch)
{
    for (int i = 0; i < threads; i++) {
        struct queue *const queue = &queues[(thread + i) % threads];
        ptrdiff_t task;
        while (!tc_is_stopped(watch) && (task = atomic_fetch_add(&queue->next, 1)) < queue->end) {
            run(context, task, thread);
        }
    }
}

#if !defined(_WIN32)
static void note_fork(void)
{
    if (atomic_load(&workers_started)) {
        atomic_store(&workers_lost, true);
    }
}
#endif

/* ---- how many threads ---- */

/* The threads that OpenMP would take by itself, when it was first asked; it may be told to take
 * fewer later on, as threadpoolctl does. */
static atomic_int usual_threads;

static int within_limit(int threads)
{
    const int now = omp_get_max_threads();
    return now < atomic_load(&usual_threads) && now < threads ? now : threads;
}

#if !defined(_WIN32)

/* A thread that is started to see whether it can be. */
struct probe {
    pthread_t thread;
    pthread_mutex_t *gate;
    long id; /* the system's */
};

#if defined(__linux__)

static long own_id(void)
{
    return syscall(SYS_gettid);
}

/* A thread that was joined counts against the limit on processes until the system forgets it. */
static void wait_until_forgotten(long id)
{
    enum { MOST_TURNS = 10000 };
    for (int i = 0; i < MOST_TURNS && syscall(SYS_tgkill, getpid(), id, 0) == 0; i++) {
        sched_yield();
    }
}

#else

static long own_id(void)
{
    return 0;
}

static void wait_until_forgotten(long id)
{
    (void)id;
}

#endif

static void *pass_gate(void *context)
{
    struct probe *const probe = context;
    probe->id = own_id();
    pthread_mutex_lock(probe->gate);
    pthread_mutex_unlock(probe->gate);
    return NULL;
}

/* How many of so many threads the system lets start. */
static int count_startable(int wanted)
{
    struct probe probes[MOST_THREADS];
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int count = 0;
    pthread_mutex_lock(&gate);
    while (count < wanted) {
        struct probe *const probe = &probes[count];
        probe->gate = &gate;
        if (pthread_create(&probe->thread, NULL, pass_gate, probe) != 0) {
            break;
        }
        count++;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < count; i++) {
        pthread_join(probes[i].thread, NULL);
        wait_until_forgotten(probes[i].id);
    }
    return count;
}

/* libgomp ends the process when it cannot start a worker. It keeps those of the last region, for
 * each thread that opens regions; before it has to start more, see whether that works. How many it
 * keeps is noted by pthreads, which can say that there is no memory for it; a variable of the
 * thread would end the process then. */
static pthread_key_t kept_key;
static atomic_bool has_kept_key;

static int startable_threads(int threads)
{
    const bool known = atomic_load(&has_kept_key);
    const int kept = known ? (int)(intptr_t)pthread_getspecific(kept_key) : 0;
    if (threads - 1 > kept) {
        threads = 1 + kept + count_startable(threads - 1 - kept);
    }
    if (known) {
        pthread_setspecific(kept_key, (void *)(intptr_t)(threads - 1));
    }
    return threads;
}

#else

static int startable_threads(int threads)
{
    return threads;
}

#endif

static void init_once(void)
{
    atomic_store(&usual_threads, omp_get_max_threads());
#if !defined(_WIN32)
    atomic_store(&has_kept_key, pthread_key_create(&kept_key, NULL) == 0);
    pthread_atfork(NULL, NULL, note_fork);
#endif
}

void tc_parallel_init(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&done)) {
        init_once();
    }
}

void tc_parallel(ptrdiff_t tasks, int threads, tc_task run, const void *context,
                 struct tc_watch *watch)
{
    struct queue queues[MOST_THREADS];
    if (threads > tasks) {
        threads = (int)tasks;
    }
    if (threads > MOST_THREADS) {
        threads = MOST_THREADS;
    }
    if (threads < 2 || atomic_load(&workers_lost) || omp_in_parallel() ||
        (threads = startable_threads(within_limit(threads))) < 2) {
        run_serially(tasks, run, context, watch);
        return;
    }
    for (int thread = 0; thread < threads; thread++) {
        atomic_init(&queues[thread].next, tasks * thread / threads);
        queues[thread].end = tasks * (thread + 1) / threads;
    }
    atomic_store(&workers_started, true);
#pragma omp parallel num_threads(threads)
    run_queues(queues, threads, omp_get_thread_num(), run, context, watch);
}

bool tc_parallel_available(void)
{
    return true;
}

#else

void tc_parallel_init(void)
{
}

void tc_parallel(ptrdiff_t tasks, int threads, tc_task run, const void *context,
                 struct tc_watch *watch)
{
    (void)threads;
    run_serially(tasks, run, context, watch);
}

bool tc_parallel_available(void)
{
    return false;
}

#endif
