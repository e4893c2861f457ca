/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_SIZE_H
#define TC_SIZE_H

/* Sizes are ptrdiff_t. Whatever comes from a caller goes through the checked forms, which return
 * false where the result does not fit; sums of sizes that have been checked need no check. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool tc_add(ptrdiff_t a, ptrdiff_t b, ptrdiff_t *sum)
{
    if (b > 0 ? a > PTRDIFF_MAX - b : a < PTRDIFF_MIN - b) {
        return false;
    }
    *sum = a + b;
    return true;
}

/* For factors >= 0. */
static inline bool tc_mul(ptrdiff_t a, ptrdiff_t b, ptrdiff_t *product)
{
    if (b != 0 && a > PTRDIFF_MAX / b) {
        return false;
    }
    *product = a * b;
    return true;
}

static inline ptrdiff_t tc_min(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

static inline ptrdiff_t tc_max(ptrdiff_t a, ptrdiff_t b)
{
    return a > b ? a : b;
}

static inline ptrdiff_t tc_clamp(ptrdiff_t a, ptrdiff_t low, ptrdiff_t high)
{
    return a < low ? low : a > high ? high : a;
}

/* The quotients below round toward minus and plus infinity; b > 0. */
static inline ptrdiff_t tc_floor_div(ptrdiff_t a, ptrdiff_t b)
{
    return a / b - (a % b < 0);
}

static inline ptrdiff_t tc_ceil_div(ptrdiff_t a, ptrdiff_t b)
{
    return a / b + (a % b > 0);
}

/* What floor_div leaves, 0 or more. */
static inline ptrdiff_t tc_floor_mod(ptrdiff_t a, ptrdiff_t b)
{
    return a % b + (a % b < 0 ? b : 0);
}

static inline ptrdiff_t tc_round_up(ptrdiff_t a, ptrdiff_t b)
{
    return tc_ceil_div(a, b) * b;
}

#endif
