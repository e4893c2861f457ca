/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_PARALLEL_H
#define TC_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>

/* Work on task 0 <= task < tasks; thread < threads names the caller's share of the scratch. */
typedef void (*tc_task)(const void *context, ptrdiff_t task, int thread);

/* Runs every task once, on at most `threads` threads, and returns when all are done. One thread
 * never enters OpenMP. In a process forked after its parent used threads everything runs on the
 * calling thread: the parent's worker threads do not exist there. */
void tc_parallel(ptrdiff_t tasks, int threads, tc_task run, const void *context);

/* Whether threads were compiled in. */
bool tc_parallel_available(void);

/* To be called once, before the first tc_parallel. */
void tc_parallel_init(void);

#endif
