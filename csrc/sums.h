/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_SUMS_H
#define TC_SUMS_H

/* Sums over everything but the channels: the gradient of a bias. */

#include "base/parallel.h"
#include "kernels/kernels.h"
#include "problem.h"

enum { TC_SUMMED = TC_MAX_VALUES - 1 };

/* What there is to sum. The axes that are summed over come in the order of memory, the longest
 * stride first, those that lie in one piece as one; what is missing has length 1. */
struct tc_sums {
    int channel_axis; /* of the caller's array */
    ptrdiff_t channels, channel_step;
    const void *data; /* the first element in this order: negative strides are turned round */
    ptrdiff_t length[TC_SUMMED], step[TC_SUMMED];
    ptrdiff_t volume; /* elements that make one sum */
};

/* Checks the shape of `grad_output` and the names of its axes, a letter each, of which C are the
 * channels; NULL: they come first in an array of two dimensions, else second. */
enum tc_code tc_sums_check(struct tc_sums *sums, struct tc_shape shape, const char *layout,
                           struct tc_status *status);

/* The elements; strides are in the order of the array's axes. */
void tc_sums_set(struct tc_sums *sums, struct tc_shape shape, const void *data,
                 const ptrdiff_t strides[], ptrdiff_t bytes);

/* Bytes of scratch for tc_sums_run on at most so many threads. */
ptrdiff_t tc_sums_scratch(const struct tc_sums *sums, const struct tc_kernels *kernels,
                          int threads);

/* Writes the channels' sums to y, `step` elements apart, unless the watch, which may be NULL, was
 * stopped: then y is anything. */
void tc_sums_run(const struct tc_sums *sums, const struct tc_kernels *kernels, int threads, void *y,
                 ptrdiff_t step, void *scratch, struct tc_watch *watch);

#endif
