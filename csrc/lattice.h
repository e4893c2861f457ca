/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_LATTICE_H
#define TC_LATTICE_H

/* The tap lattice: which inputs and which kernel elements reach which outputs, axis by axis.
 *
 *   y[start + out_step*j] += x[in_step*j + offset + t*offset_step] * w[k + t*k_step]
 *
 * for the taps t = 0 .. taps-1 of the phase that the output belongs to. A transposed convolution
 * has one phase for each remainder modulo the stride, a convolution has one phase. Phases and
 * taps are arithmetic progressions, so nothing is stored a phase: tc_phase_at works one out from
 * a few numbers, and a lattice costs nothing to build, whatever its stride. */

#include "problem.h"

struct tc_axis {
    ptrdiff_t in, out, kernel; /* lengths of x, y and w */
    ptrdiff_t in_step, out_step;
    ptrdiff_t phases;              /* phases with at least one output */
    ptrdiff_t k_step, offset_step; /* from a tap to the next of its phase; offset_step < 0 */
    /* Taps exist where (start + padding) is a multiple of `divisor`; `inverse` is dilation/divisor
     * inverted modulo k_step. */
    ptrdiff_t padding, dilation, divisor, inverse;
};

struct tc_lattice {
    struct tc_axis axis[TC_SPATIAL];
};

/* A phase: `count` outputs from `start`, and its taps (there may be none). */
struct tc_phase {
    ptrdiff_t start, count;
    ptrdiff_t taps, k, offset;
};

/* The taps of a phase in an order of their own: number i has offset + i*step and kernel element
 * k + i*k_step. */
struct tc_taps {
    ptrdiff_t count, offset, step, k, k_step;
};

/* A run: the outputs begin <= j < end of a phase, all of which the taps first <= t < last reach
 * and no other. */
struct tc_run {
    ptrdiff_t begin, end, first, last;
};

/* Positions begin <= at < end. */
struct tc_range {
    ptrdiff_t begin, end;
};

static inline ptrdiff_t tc_range_length(struct tc_range range)
{
    return range.end - range.begin;
}

void tc_lattice_init(struct tc_lattice *lattice, const struct tc_problem *problem);

/* Points j of the axis's grid: outputs of the phase that has most. */
ptrdiff_t tc_lattice_points(const struct tc_axis *axis);

/* Phase number `phase` < axis->phases. */
struct tc_phase tc_phase_at(const struct tc_axis *axis, ptrdiff_t phase);

/* The taps of a phase by ascending offsets, against the order of the lattice. */
struct tc_taps tc_taps_ascending(const struct tc_axis *axis, const struct tc_phase *phase);

/* Whether the outputs of several phases lie side by side along an axis, if there is room. */
bool tc_lattice_has_phases(const struct tc_lattice *lattice);

/* The longest run that begins at output j < phase->count. Runs cut the borders off: inside one,
 * no tap meets the padding. */
struct tc_run tc_run_at(const struct tc_axis *axis, const struct tc_phase *phase, ptrdiff_t j);

/* The offsets of all taps: output j of some phase reads input in_step*j + offset. */
struct tc_range tc_lattice_offsets(const struct tc_axis *axis);

/* A range that holds all inputs which the outputs j in `grid`, of any phase, read. */
struct tc_range tc_lattice_inputs(const struct tc_axis *axis, struct tc_range grid);

/* The most inputs that `size` points of the grid in a row read, those between them included. */
ptrdiff_t tc_lattice_met(const struct tc_axis *axis, ptrdiff_t size);

/* Large from small, and the weight from both: the positions v of the small side (x) that kernel
 * element k joins with a position s*v + d*k - p of the large side (y). */
struct tc_range tc_lattice_joined(const struct tc_axis *axis, ptrdiff_t k);

/* The positions of the large side that some of the small side in a row meet, those between them
 * included, and the most that `size` of them do. */
struct tc_range tc_lattice_large(const struct tc_axis *axis, struct tc_range small);
ptrdiff_t tc_lattice_large_length(const struct tc_axis *axis, ptrdiff_t size);

/* As tc_lattice_joined, of the positions `in` of the small side and `out` of the large one. */
struct tc_range tc_lattice_joined_between(const struct tc_axis *axis, ptrdiff_t k,
                                          struct tc_range in, struct tc_range out);

/* Cuts off the elements at both ends of the kernel that meet nothing but padding, from the problem
 * and the weight's view: an image of one pixel may need no more than the middle of its kernel. A
 * weight that is computed keeps them, as they become zero. */
void tc_lattice_trim(struct tc_problem *problem, struct tc_weight *w);

/* A convolution whose kernel is a point along an axis reads every s-th input alone: makes it a
 * problem of stride 1 on a view of x. */
void tc_lattice_skip(struct tc_problem *problem, struct tc_image *x);

/* How many (output, tap) pairs the axis has; those that meet the padding are not counted. */
double tc_lattice_pairs(const struct tc_axis *axis);

/* Multiply-adds of the whole problem, taps that the padding crops left out. */
double tc_lattice_macs(const struct tc_lattice *lattice, const struct tc_problem *problem);

#endif
