/* SPDX-License-Identifier: BSD-3-Clause */
/* Sheets of inputs: for every cell of a box and every tap, the bit says whether the input exists,
 * and the shifted element is that input; all other elements that a shift can reach are zeros. */
#include "check.h"

#include "engine/cells.h"

#include <string.h>

enum { CHANNELS = 2 };

static ptrdiff_t between(ptrdiff_t low, ptrdiff_t high)
{
    return low + random_below((int)(high - low + 1));
}

/* A problem that can be counted in cells, with at least one output along every axis. */
static struct tc_problem random_problem(void)
{
    struct tc_problem problem = {.n = 1, .g = 1, .ci = CHANNELS, .co = 1};
    for (int a = 0; a < TC_SPATIAL; a++) {
        const ptrdiff_t i = between(1, a == TC_W ? 40 : 6), k = between(1, 5);
        const ptrdiff_t s = between(1, 4), d = s == 1 ? between(1, 3) : 1;
        const ptrdiff_t full = (i - 1) * s + d * (k - 1) + 1 + between(0, (s > d ? s : d) - 1);
        const ptrdiff_t p = between(0, (full - 1) / 2);
        problem.i[a] = i, problem.k[a] = k, problem.s[a] = s, problem.d[a] = d;
        problem.p[a] = p, problem.o[a] = full - 2 * p;
    }
    return problem;
}

static bool bit_at(const unsigned char *bits, ptrdiff_t at)
{
    return bits[at / 8] >> at % 8 & 1;
}

/* One tap of one cell: its mask, and its element on every channel's sheet. */
static void check_tap(const struct tc_sheet *sheet, const struct tc_cells cells[TC_SPATIAL],
                      const struct tc_problem *problem, const ptrdiff_t q[TC_SPATIAL],
                      const ptrdiff_t t[TC_SPATIAL], const unsigned char *mask, const float *data,
                      ptrdiff_t pitch, const float *x)
{
    ptrdiff_t lane = tc_sheet_row(sheet, q[0], q[1]) + q[2] - sheet->cell[TC_W].begin;
    ptrdiff_t at = sheet->first + lane, from = 0;
    bool inside = true;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const ptrdiff_t i = q[a] - t[a] * cells[a].d;
        at -= t[a] * cells[a].d * sheet->step[a];
        inside = inside && i >= 0 && i < problem->i[a];
        from = from * problem->i[a] + i;
    }
    check(bit_at(mask, lane) == inside, "mask", "cells");
    check(at >= 0 && at < sheet->length, "element outside the sheet", "cells");
    const ptrdiff_t volume = problem->i[0] * problem->i[1] * problem->i[2];
    for (int c = 0; c < CHANNELS; c++) {
        const float wanted = inside ? x[c * volume + from] : 0;
        check(data[c * pitch + at] == wanted, "element", "cells");
    }
}

/* A random box of the problem's cells. */
static void check_sheet(const struct tc_kernels *kernels, const struct tc_problem *problem)
{
    struct tc_cells cells[TC_SPATIAL];
    struct tc_range cell[TC_SPATIAL];
    ptrdiff_t size[TC_SPATIAL], length, lanes, q[TC_SPATIAL], t[TC_SPATIAL], taps = 1;
    struct tc_sheet sheet;
    for (int a = 0; a < TC_SPATIAL; a++) {
        cells[a] = tc_cells_of(problem, a);
        cell[a].begin = between(cells[a].first, cells[a].end - 1);
        cell[a].end = between(cell[a].begin + 1, cells[a].end);
        size[a] = cell[a].end - cell[a].begin;
        taps *= cells[a].taps;
    }
    tc_sheet_init(&sheet, cells, cell);
    tc_sheet_bound(cells, size, &length, &lanes);
    check(sheet.length <= length && sheet.lanes <= lanes, "bound", "cells");

    const ptrdiff_t pitch = length + 3, bytes = tc_mask_bytes(lanes);
    void *const x = new_numbers(4, CHANNELS * problem->i[0] * problem->i[1] * problem->i[2]);
    float *const data = new_canaries(4, CHANNELS * pitch);
    unsigned char *const masks = malloc((size_t)((1 + taps) * bytes));
    struct tc_image image = tc_contiguous_image(CHANNELS, problem->i, false);
    image.data = x;
    tc_sheet_clear(&sheet, CHANNELS, pitch, data, 4);
    tc_sheet_copy(&sheet, kernels, image, CHANNELS, pitch, data);
    tc_sheet_masks(&sheet, cells, masks, bytes);
    for (q[0] = cell[0].begin; q[0] < cell[0].end; q[0]++) {
        for (q[1] = cell[1].begin; q[1] < cell[1].end; q[1]++) {
            for (q[2] = cell[2].begin; q[2] < cell[2].end; q[2]++) {
                const unsigned char *mask = masks;
                for (t[0] = 0; t[0] < cells[0].taps; t[0]++) {
                    for (t[1] = 0; t[1] < cells[1].taps; t[1]++) {
                        for (t[2] = 0; t[2] < cells[2].taps; t[2]++) {
                            mask += bytes;
                            check_tap(&sheet, cells, problem, q, t, mask, data, pitch, x);
                        }
                    }
                }
            }
        }
    }
    free(x), free(data), free(masks);
}

int main(void)
{
    const struct tc_cpu cpu = tc_cpu_detect();
    const struct tc_kernels *const kernels = tc_kernels_find(NULL, TC_F32, &cpu);
    for (int round = 0; round < 3000; round++) {
        const struct tc_problem problem = random_problem();
        check_sheet(kernels, &problem);
    }
    return report();
}
