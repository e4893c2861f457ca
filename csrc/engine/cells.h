/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_CELLS_H
#define TC_CELLS_H

/* A transposed convolution counted in cells. Along an axis whose stride or dilation is 1, output u
 * is place r = (u + p) mod s of cell q = floor((u + p)/s), and
 *
 *   y[s*q + r - p] = bias + sum over t of  x[q - t*d] * w[r + t*s],   r + t*s < k.
 *
 * Which inputs a cell reads does not depend on r: all its places are sums over the same inputs. */

#include "engine/engine.h"

struct tc_cells {
    ptrdiff_t in, out, s, p, d;
    ptrdiff_t common, taps; /* taps that all places have; that the first `longer` have */
    ptrdiff_t longer;
    ptrdiff_t first, end; /* cells that have an output */
    ptrdiff_t place;      /* of output 0, in the first cell */
    ptrdiff_t columns;    /* outputs of a phase, at most */
};

/* Whether all axes can be counted in cells: no stride meets a dilation. */
bool tc_cells_fit(const struct tc_problem *problem);

struct tc_cells tc_cells_of(const struct tc_problem *problem, int axis);

/* How far before a cell its first input lies. */
static inline ptrdiff_t tc_cells_reach(const struct tc_cells *axis)
{
    return (axis->taps - 1) * axis->d;
}

/* The most cells on one side for which some tap finds no input. */
ptrdiff_t tc_cells_gap(const struct tc_cells *axis);

/* Taps of place r. */
static inline ptrdiff_t tc_cells_taps(const struct tc_cells *axis, ptrdiff_t r)
{
    return axis->common + (r < axis->longer);
}

/* A sheet: the inputs of a box of cells, in one line of elements, with as many zeros around and
 * between their rows that every tap of every cell finds an element. So the cells are lanes of one
 * line, and a tap is a shift of it. The lanes between the rows' cells belong to no cell. */
struct tc_sheet {
    struct tc_range cell[TC_SPATIAL];
    struct tc_range data[TC_SPATIAL]; /* inputs on the sheet */
    ptrdiff_t step[TC_SPATIAL];       /* from a cell or input to the next */
    ptrdiff_t front;                  /* zeros before the first input */
    ptrdiff_t length;                 /* elements, zeros included */
    ptrdiff_t first, lanes;           /* the first cell's element; lanes up to the last cell */
};

void tc_sheet_init(struct tc_sheet *sheet, const struct tc_cells cells[TC_SPATIAL],
                   const struct tc_range cell[TC_SPATIAL]);

/* At least the length and the lanes of any sheet of so many cells. */
void tc_sheet_bound(const struct tc_cells cells[TC_SPATIAL], const ptrdiff_t size[TC_SPATIAL],
                    ptrdiff_t *length, ptrdiff_t *lanes);

/* The lane of the row (d, h)'s first cell. */
static inline ptrdiff_t tc_sheet_row(const struct tc_sheet *sheet, ptrdiff_t d, ptrdiff_t h)
{
    return (d - sheet->cell[TC_D].begin) * sheet->step[TC_D] +
           (h - sheet->cell[TC_H].begin) * sheet->step[TC_H];
}

/* From the beginning of x to the first input of the sheet. */
ptrdiff_t tc_sheet_from(const struct tc_sheet *sheet, const struct tc_image *x);

/* Sets everything on the sheets of `channels` channels but the inputs to 0. */
void tc_sheet_clear(const struct tc_sheet *sheet, ptrdiff_t channels, ptrdiff_t pitch, void *data,
                    ptrdiff_t bytes);

/* Copies the inputs of `channels` channels to their sheets, `pitch` elements apart, and leaves the
 * zeros around them alone; x is the first channel's image. */
void tc_sheet_copy(const struct tc_sheet *sheet, const struct tc_kernels *kernels,
                   struct tc_image x, ptrdiff_t channels, ptrdiff_t pitch, void *data);

/* For each tap [d][h][w], `bytes` apart, the bits of the lanes whose input it finds inside x; and
 * before them, in the first `bytes`, of the lanes for which every tap does, or that are no cell. */
void tc_sheet_masks(const struct tc_sheet *sheet, const struct tc_cells cells[TC_SPATIAL],
                    unsigned char *masks, ptrdiff_t bytes);

static inline ptrdiff_t tc_mask_bytes(ptrdiff_t lanes)
{
    return (lanes + 127) / 64 * 8;
}

#endif
