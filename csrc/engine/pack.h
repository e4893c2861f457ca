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

/* Shuffles `outputs` outputs of each row to where they lie `step` elements apart: as many columns
 * as are whole, and of the last one the phases that are left. */
void tc_interleave(const struct tc_kernels *kernels, struct tc_shuffle shuffle, ptrdiff_t outputs,
                   ptrdiff_t step);

#endif
