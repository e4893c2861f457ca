/* SPDX-License-Identifier: BSD-3-Clause */
/* Every task once, each thread with a number of its own; one thread within a task and after fork.
 */
#include "check.h"

#include "base/parallel.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS = 1000, THREADS = 4 };

struct work {
    int threads, tasks;
    atomic_int *runs;    /* of each task */
    atomic_int *at_work; /* in each thread's share of the scratch */
    atomic_int clashes, strangers;
};

static void run(const void *context, ptrdiff_t task, int thread)
{
    struct work *const work = (struct work *)context;
    if (thread < 0 || thread >= work->threads) {
        atomic_fetch_add(&work->strangers, 1);
        return;
    }
    if (atomic_fetch_add(&work->at_work[thread], 1) != 0) {
        atomic_fetch_add(&work->clashes, 1);
    }
    atomic_fetch_add(&work->runs[task], 1);
    atomic_fetch_sub(&work->at_work[thread], 1);
}

static void run_all(int tasks, int threads)
{
    static atomic_int runs[TASKS], at_work[TASKS];
    struct work work = {.threads = threads, .tasks = tasks, .runs = runs, .at_work = at_work};
    tc_parallel(tasks, threads, run, &work, NULL);
    for (int task = 0; task < TASKS; task++) {
        check(atomic_exchange(&runs[task], 0) == (task < tasks), "runs once", "parallel");
    }
    check(atomic_load(&work.clashes) == 0, "a thread's share is its own", "parallel");
    check(atomic_load(&work.strangers) == 0, "threads are below their number", "parallel");
}

/* Tasks that have tasks: those of one all run in the thread that runs it. */
static void run_nested(const void *context, ptrdiff_t task, int thread)
{
    static atomic_int runs[THREADS][TASKS], at_work[THREADS][1];
    struct work work = {.threads = 1, .tasks = 10, .runs = runs[task], .at_work = at_work[task]};
    (void)thread;
    tc_parallel(work.tasks, THREADS, run, &work, NULL);
    for (int i = 0; i < work.tasks; i++) {
        atomic_fetch_add((atomic_int *)context, atomic_load(&runs[task][i]));
    }
    atomic_fetch_add((atomic_int *)context, 1000 * atomic_load(&work.strangers));
}

/* A watch that says stop when it is asked for the fourth time. */
static bool stop_soon(struct tc_watch *watch)
{
    (void)watch;
    static int asked;
    return ++asked % 4 == 0;
}

static void count_runs(const void *context, ptrdiff_t task, int thread)
{
    (void)task;
    (void)thread;
    atomic_fetch_add((atomic_int *)context, 1);
}

/* Work that is stopped leaves most tasks undone, and all tasks of later work. */
static void check_watch(int threads)
{
    struct tc_watch watch;
    atomic_int runs = 0;
    tc_watch_init(&watch, stop_soon);
    check(!tc_is_stopped(&watch), "not asked often enough", "watch");
    tc_parallel(4 * TASKS, threads, count_runs, &runs, &watch);
    /* The others may take the tasks of a thread that has not been asked so often. */
    check(threads > 1 || atomic_load(&runs) == 2, "stops between two tasks", "watch");
    if (tc_is_stopped(&watch)) {
        const int before = atomic_load(&runs);
        tc_parallel(TASKS, threads, count_runs, &runs, &watch);
        check(atomic_load(&runs) == before, "stays stopped", "watch");
    }
}

static void check_fork(void)
{
    int state_of_child = 1;
    const pid_t child = fork();
    if (child == 0) {
        run_all(TASKS, tc_parallel_available() ? 1 : THREADS);
        run_all(TASKS, THREADS);
        _exit(failures > 0);
    }
    check(waitpid(child, &state_of_child, 0) == child, "ends", "fork");
    check(state_of_child == 0, "works", "fork");
}

int main(void)
{
    atomic_int nested = 0;
    tc_parallel_init();
    for (int threads = 1; threads <= THREADS; threads++) {
        for (int tasks = 0; tasks <= 2 * THREADS; tasks++) {
            run_all(tasks, threads);
        }
        run_all(TASKS, threads);
    }
    run_all(TASKS, TASKS); /* more threads than there may be */
    tc_parallel(THREADS, THREADS, run_nested, &nested, NULL);
    check(atomic_load(&nested) == 10 * THREADS, "on one thread", "nested tasks");
    check_watch(1);
    check_watch(THREADS);
    check_fork();
    return report();
}
