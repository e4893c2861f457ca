/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_PACK_H
#define TC_PACK_H

#include "kernels/kernels.h"

/* A strided matrix: element (r, c) lies r*row + c*column elements behind data. */
struct tc_matrix {
    void *data;
    ptrdiff_t row, column;
};

/* Copies rows x columns elements from any strides to any strides. */
void tc_copy(const struct tc_kernels *kernels, ptrdiff_t rows, ptrdiff_t columns,
             struct tc_matrix dst, struct tc_matrix src);

/* The same of pieces of images: a transposition gives hints for those that are far. */
struct tc_far {
    bool src, dst;
};

void tc_copy_far(const struct tc_kernels *kernels, ptrdiff_t rows, ptrdiff_t columns,
                 struct tc_matrix dst, struct tc_matrix src, struct tc_far far);

/* The sum of all lanes of each of `count` vectors, in totals[count]. Room for as many vectors is at
 * `turned`. */
void tc_add_lanes(const struct tc_kernels *kernels, ptrdiff_t count, const void *vectors,
                  void *turned, void *totals);

/* Whether the sum of all elements of src is finite. That of elements which are not never is; that
 * of huge ones may not be, although they are. */
bool tc_sum_is_finite(const struct tc_kernels *kernels, const struct tc_rows *src);

/* Lines of some channels, [channel][line][column], strides in elements. */
struct tc_split {
    ptrdiff_t channels, lines, columns, step;
    const void *src;
    ptrdiff_t src_channel, src_line, src_column;
    void *dst;
    ptrdiff_t dst_channel, dst_line, dst_part;
    bool src_far;
};

/* Copies the columns of each line by their remainders of `step` >= 1: column c goes to element
 * c/step of part c%step. Of a source that is far, hints bring the next channel closer if step is
 * 1. */
void tc_split(const struct tc_kernels *kernels, const struct tc_split *split);

/* Shuffles `outputs` outputs of each row to where they lie `step` elements apart: as many columns
 * as are whole, and of the last one the phases that are left. */
void tc_interleave(const struct tc_kernels *kernels, struct tc_shuffle shuffle, ptrdiff_t outputs,
                   ptrdiff_t step);

/* The same of all channels of an image, a row each, to pixels at `pixels`: the phases of each, if
 * there are several, are shuffled to a row at shuffle.dst first. */
void tc_interleave_channels(const struct tc_kernels *kernels, struct tc_shuffle shuffle,
                            ptrdiff_t outputs, void *pixels);

#endif
