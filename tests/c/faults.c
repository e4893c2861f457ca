/* SPDX-License-Identifier: BSD-3-Clause */
/* Put before the C library by LD_PRELOAD, this lets chosen allocations and starts of threads fail.
 *
 * Allocations are counted while faults_call runs, on its thread alone; blocks are counted always,
 * on all threads, so that what is leaked shows. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* The functions that allocate in truth: the C library's, or a sanitizer's. */
#if !defined(REAL)
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *block, size_t size);
void *REAL(memalign)(size_t alignment, size_t size);
void REAL(free)(void *block);
void *PyObject_CallNoArgs(void *callable);

static _Thread_local bool counting;
static _Thread_local long asked, first_failure, last_failure;
static atomic_long blocks, threads, most_threads = 1L << 30;

/* Calls a Python object, whose allocations number `first` to `last` fail. */
void *faults_call(void *callable, long first, long last)
{
    asked = 0;
    first_failure = first;
    last_failure = last;
    counting = true;
    void *const result = PyObject_CallNoArgs(callable);
    counting = false;
    return result;
}

/* How many allocations that call has asked for. */
long faults_asked(void)
{
    return asked;
}

/* How many blocks there are. */
long faults_blocks(void)
{
    return blocks;
}

/* From now on a thread starts only while fewer than so many others run. */
void faults_allow_threads(long count)
{
    most_threads = count;
}

static bool fails(void)
{
    if (counting && ++asked >= first_failure && asked <= last_failure) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

static void *counted(void *block)
{
    blocks += block != NULL;
    return block;
}

void *malloc(size_t size)
{
    return fails() ? NULL : counted(REAL(malloc)(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(REAL(calloc)(count, size));
}

void *realloc(void *block, size_t size)
{
    if (fails()) {
        return NULL;
    }
    void *const moved = REAL(realloc)(block, size);
    blocks += block == NULL && moved != NULL;
    return moved;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(REAL(memalign)(alignment, size));
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    *block = fails() ? NULL : counted(REAL(memalign)(alignment, size));
    return *block ? 0 : ENOMEM;
}

void free(void *block)
{
    blocks -= block != NULL;
    REAL(free)(block);
}

/* ---- threads ---- */

struct start {
    void *(*run)(void *);
    void *argument;
};

static void *run_counted(void *start)
{
    const struct start given = *(struct start *)start;
    free(start);
    void *const result = given.run(given.argument);
    threads--;
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    static int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    struct start *const start = malloc(sizeof *start);
    if (start == NULL) {
        return EAGAIN;
    }
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    *start = (struct start){run, argument};
    const int failed =
        threads++ < most_threads ? create(thread, attributes, run_counted, start) : EAGAIN;
    if (failed) {
        threads--;
        free(start);
    }
    return failed;
}
