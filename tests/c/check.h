/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_CHECK_H
#define TC_CHECK_H

/* What the C tests share: a counter of checks, a small generator, elements of either dtype. Memory
 * is allocated to the byte, so that AddressSanitizer sees every step outside. */

#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>

static long checks, failures;

static inline void check(bool good, const char *what, const char *name)
{
    checks++;
    if (!good) {
        failures++;
        if (failures < 20) {
            printf("FAILED %s: %s\n", name, what);
        }
    }
}

static inline int report(void)
{
    printf("%ld checks, %ld failures\n", checks, failures);
    return failures > 0;
}

static unsigned state = 1;

static inline int random_below(int limit)
{
    state = state * 1664525u + 1013904223u;
    return (int)(state >> 8) % limit;
}

static inline double get(ptrdiff_t bytes, const void *data, ptrdiff_t i)
{
    return bytes == 4 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static inline void put(ptrdiff_t bytes, void *data, ptrdiff_t i, double value)
{
    if (bytes == 4) {
        ((float *)data)[i] = (float)value;
    } else {
        ((double *)data)[i] = value;
    }
}

/* `count` whole numbers from -4 to 4. */
static inline void *new_numbers(ptrdiff_t bytes, ptrdiff_t count)
{
    void *const data = malloc((size_t)(count * bytes));
    for (ptrdiff_t i = 0; i < count; i++) {
        put(bytes, data, i, random_below(9) - 4);
    }
    return data;
}

/* `count` elements of a value that no result has. */
enum { CANARY = 12345 };

static inline void *new_canaries(ptrdiff_t bytes, ptrdiff_t count)
{
    void *const data = malloc((size_t)(count * bytes));
    for (ptrdiff_t i = 0; i < count; i++) {
        put(bytes, data, i, CANARY);
    }
    return data;
}

#endif
