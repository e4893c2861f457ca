/* SPDX-License-Identifier: BSD-3-Clause */
/* The only file that knows OpenMP.
 *
 * libgomp keeps its worker threads between parallel regions. They do not survive fork, and a
 * child that opens a region after its parent did waits for them for ever. An atfork handler
 * notes in the child that it must stay on one thread. */
#include "base/parallel.h"

#include <stdatomic.h>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(_OPENMP) && !defined(_WIN32)
#include <pthread.h>
#endif

static void run_serially(ptrdiff_t tasks, tc_task run, const void *context)
{
    for (ptrdiff_t task = 0; task < tasks; task++) {
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
                       const void *context)
{
    for (int i = 0; i < threads; i++) {
        struct queue *const queue = &queues[(thread + i) % threads];
        ptrdiff_t task;
        while ((task = atomic_fetch_add(&queue->next, 1)) < queue->end) {
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

void tc_parallel_init(void)
{
#if !defined(_WIN32)
    pthread_atfork(NULL, NULL, note_fork);
#endif
}

void tc_parallel(ptrdiff_t tasks, int threads, tc_task run, const void *context)
{
    struct queue queues[MOST_THREADS];
    if (threads > tasks) {
        threads = (int)tasks;
    }
    if (threads > MOST_THREADS) {
        threads = MOST_THREADS;
    }
    if (threads < 2 || atomic_load(&workers_lost) || omp_in_parallel()) {
        run_serially(tasks, run, context);
        return;
    }
    for (int thread = 0; thread < threads; thread++) {
        atomic_init(&queues[thread].next, tasks * thread / threads);
        queues[thread].end = tasks * (thread + 1) / threads;
    }
    atomic_store(&workers_started, true);
#pragma omp parallel num_threads(threads)
    run_queues(queues, threads, omp_get_thread_num(), run, context);
}

bool tc_parallel_available(void)
{
    return true;
}

#else

void tc_parallel_init(void)
{
}

void tc_parallel(ptrdiff_t tasks, int threads, tc_task run, const void *context)
{
    (void)threads;
    run_serially(tasks, run, context);
}

bool tc_parallel_available(void)
{
    return false;
}

#endif
