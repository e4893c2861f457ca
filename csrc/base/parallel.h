/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_PARALLEL_H
#define TC_PARALLEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* By which a caller ends its work early. The thread that called asks `stop` now and then
 * while it works; once that has said true, all threads leave undone what is left of the work, in
 * this tc_parallel and in later ones with the same watch. */
struct tc_watch {
    bool (*stop)(struct tc_watch *watch);
    atomic_bool stopped;
};

void tc_watch_init(struct tc_watch *watch, bool (*stop)(struct tc_watch *watch));

/* To be asked between two parts of the work, some microseconds to milliseconds each; tc_parallel
 * does so between two tasks. Never true without a watch. */
bool tc_is_stopped(struct tc_watch *watch);

/* Work on task 0 <= task < tasks; thread < threads names the caller's share of the scratch. */
typedef void (*tc_task)(const void *context, ptrdiff_t task, int thread);

/* Runs every task once, on at most `threads` threads, and returns when all are done, or when the
 * watch, which may be NULL, is stopped. One thread never enters OpenMP. In a process forked after
 * its parent used threads everything runs on the calling thread: the parent's worker threads do
 * not exist there. Nor are there more threads than the system grants, or than omp_set_num_threads
 * has allowed since tc_parallel_init if that is fewer than it was. */
void tc_parallel(ptrdiff_t tasks, int threads, tc_task run, const void *context,
                 struct tc_watch *watch);

/* Whether threads were compiled in. */
bool tc_parallel_available(void);

/* To be called once, before the first tc_parallel. */
void tc_parallel_init(void);

#endif
