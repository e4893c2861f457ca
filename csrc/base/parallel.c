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
    if (threads > tasks) {
        threads = (int)tasks;
    }
    if (threads < 2 || atomic_load(&workers_lost) || omp_in_parallel()) {
        run_serially(tasks, run, context);
        return;
    }
    atomic_store(&workers_started, true);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (ptrdiff_t task = 0; task < tasks; task++) {
        run(context, task, omp_get_thread_num());
    }
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
