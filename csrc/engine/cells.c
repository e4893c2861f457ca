/* SPDX-License-Identifier: BSD-3-Clause */
/* The layout of a sheet. Along an axis, the inputs that cells [begin, end) read are those from
 * begin - reach on, as far as they exist; what is missing before the first (lead) and behind the
 * last (trail) is zeros. Rows follow each other, so the zeros behind one row serve as those before
 * the next: max(lead, trail) between rows are enough. The same holds for planes of rows; only
 * before the very first row come zeros of their own.
 *
 * The zeros are there so that shifted loads stay inside the sheet. They meet no weight: masks say
 * which lanes a tap counts for. */
#include "engine/cells.h"

#include "base/size.h"
#include "engine/pack.h"

#include <stdint.h>
#include <string.h>

bool tc_cells_fit(const struct tc_problem *problem)
{
    bool fit = true;
    for (int a = 0; a < TC_SPATIAL; a++) {
        fit = fit && (problem->s[a] == 1 || problem->d[a] == 1);
    }
    return fit;
}

struct tc_cells tc_cells_of(const struct tc_problem *problem, int axis)
{
    const ptrdiff_t k = problem->k[axis], s = problem->s[axis], p = problem->p[axis];
    struct tc_cells cells = {
        .in = problem->i[axis],
        .out = problem->o[axis],
        .s = s,
        .p = p,
        .d = problem->d[axis],
        .common = k,
        .taps = k,
        .first = p,
        .end = p + problem->o[axis],
        .columns = problem->o[axis],
    };
    if (s > 1) { /* spares most axes of small problems the divisions */
        cells.common = k / s;
        cells.longer = k % s;
        cells.taps = cells.common + (cells.longer > 0);
        cells.first = tc_floor_div(p, s);
        cells.place = tc_floor_mod(p, s);
        cells.end = tc_floor_div(cells.out - 1 + p, s) + 1;
        cells.columns = tc_ceil_div(cells.out, s);
    }
    return cells;
}

/* ---- layout ---- */

void tc_sheet_init(struct tc_sheet *sheet, const struct tc_cells cells[TC_SPATIAL],
                   const struct tc_range cell[TC_SPATIAL])
{
    ptrdiff_t step = 1;
    *sheet = (struct tc_sheet){.lanes = 1};
    for (int a = TC_SPATIAL - 1; a >= 0; a--) {
        const ptrdiff_t reach = tc_cells_reach(&cells[a]), in = cells[a].in;
        struct tc_range *const data = &sheet->data[a];
        data->begin = tc_clamp(cell[a].begin - reach, 0, in);
        data->end = tc_clamp(cell[a].end, data->begin, in);
        const ptrdiff_t lead = tc_max(reach - cell[a].begin, 0);
        const ptrdiff_t trail = tc_max(cell[a].end - data->end, 0);
        sheet->cell[a] = cell[a];
        sheet->step[a] = step;
        sheet->front += lead * step;
        sheet->first += reach * step;
        sheet->lanes += (cell[a].end - cell[a].begin - 1) * step;
        step *= data->end - data->begin + tc_max(lead, trail);
    }
    sheet->length = sheet->front + step;
}

ptrdiff_t tc_cells_gap(const struct tc_cells *axis)
{
    const ptrdiff_t end = axis->first + axis->columns + (axis->place > 0);
    return tc_max(tc_max(tc_cells_reach(axis) - axis->first, end - axis->in), 0);
}

void tc_sheet_bound(const struct tc_cells cells[TC_SPATIAL], const ptrdiff_t size[TC_SPATIAL],
                    ptrdiff_t *length, ptrdiff_t *lanes)
{
    ptrdiff_t step = 1;
    *length = 0;
    *lanes = 1;
    for (int a = TC_SPATIAL - 1; a >= 0; a--) {
        const ptrdiff_t reach = tc_cells_reach(&cells[a]);
        *length += reach * step;
        *lanes += (size[a] - 1) * step;
        step *= tc_min(cells[a].in, size[a] + reach) + tc_cells_gap(&cells[a]);
    }
    *length += step;
}

/* ---- inputs ---- */

static ptrdiff_t data_length(const struct tc_sheet *sheet, int axis)
{
    return sheet->data[axis].end - sheet->data[axis].begin;
}

ptrdiff_t tc_sheet_from(const struct tc_sheet *sheet, const struct tc_image *x)
{
    ptrdiff_t from = 0;
    for (int a = 0; a < TC_SPATIAL; a++) {
        from += sheet->data[a].begin * x->axis[a];
    }
    return from;
}

static void clear(void *data, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t bytes)
{
    memset(tc_at(data, begin, bytes), 0, (size_t)((end - begin) * bytes));
}

static void clear_channel(const struct tc_sheet *sheet, ptrdiff_t pitch, void *data,
                          ptrdiff_t bytes)
{
    ptrdiff_t done = 0;
    for (ptrdiff_t d = 0; d < data_length(sheet, TC_D); d++) {
        for (ptrdiff_t h = 0; h < data_length(sheet, TC_H); h++) {
            const ptrdiff_t row = sheet->front + d * sheet->step[TC_D] + h * sheet->step[TC_H];
            clear(data, done, row, bytes);
            done = row + data_length(sheet, TC_W);
        }
    }
    clear(data, done, pitch, bytes);
}

void tc_sheet_clear(const struct tc_sheet *sheet, ptrdiff_t channels, ptrdiff_t pitch, void *data,
                    ptrdiff_t bytes)
{
    for (ptrdiff_t c = 0; c < channels; c++) {
        clear_channel(sheet, pitch, tc_at(data, c * pitch, bytes), bytes);
    }
}

/* One channel, whose rows are contiguous in x; `ahead` is as in struct tc_rows. */
static void copy_channel(const struct tc_sheet *sheet, const struct tc_kernels *kernels,
                         struct tc_image x, ptrdiff_t ahead, void *data)
{
    const ptrdiff_t height = data_length(sheet, TC_H), width = data_length(sheet, TC_W);
    const bool dense = sheet->step[TC_H] == width && x.axis[TC_H] == width;
    struct tc_rows rows = {
        .rows = dense ? 1 : height,
        .columns = dense ? height * width : width,
        .src_row = x.axis[TC_H],
        .dst_row = sheet->step[TC_H],
        .ahead = ahead,
    };
    for (ptrdiff_t d = 0; d < data_length(sheet, TC_D); d++) {
        rows.src = tc_at(x.data, d * x.axis[TC_D], kernels->bytes);
        rows.dst = tc_at(data, sheet->front + d * sheet->step[TC_D], kernels->bytes);
        kernels->copy(&rows);
    }
}

/* All channels row by row, from any strides. */
static void copy_rows(const struct tc_sheet *sheet, const struct tc_kernels *kernels,
                      struct tc_image x, ptrdiff_t channels, ptrdiff_t pitch, void *data)
{
    const ptrdiff_t bytes = kernels->bytes;
    for (ptrdiff_t d = 0; d < data_length(sheet, TC_D); d++) {
        for (ptrdiff_t h = 0; h < data_length(sheet, TC_H); h++) {
            const ptrdiff_t from = d * x.axis[TC_D] + h * x.axis[TC_H];
            const ptrdiff_t to = sheet->front + d * sheet->step[TC_D] + h * sheet->step[TC_H];
            const struct tc_matrix src = {tc_at(x.data, from, bytes), x.c, x.axis[TC_W]};
            const struct tc_matrix dst = {tc_at(data, to, bytes), pitch, 1};
            tc_copy_far(kernels, channels, data_length(sheet, TC_W), dst, src,
                        (struct tc_far){.src = x.far});
        }
    }
}

void tc_sheet_copy(const struct tc_sheet *sheet, const struct tc_kernels *kernels,
                   struct tc_image x, ptrdiff_t channels, ptrdiff_t pitch, void *data)
{
    const ptrdiff_t bytes = kernels->bytes;
    const bool by_channels = data_length(sheet, TC_D) == 1 && data_length(sheet, TC_H) == 1;
    x.data = tc_at(x.data, tc_sheet_from(sheet, &x), bytes);
    if (by_channels || (x.axis[TC_W] != 1 && data_length(sheet, TC_W) > 1)) {
        copy_rows(sheet, kernels, x, channels, pitch, data);
        return;
    }
    for (ptrdiff_t c = 0; c < channels; c++) {
        const ptrdiff_t ahead = x.far && c + 1 < channels ? x.c : 0;
        copy_channel(sheet, kernels, x, ahead, tc_at(data, c * pitch, bytes));
        x.data = tc_at(x.data, x.c, bytes);
    }
}

/* ---- masks ---- */

static void set_bits(unsigned char *bits, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t first = begin / 8, last = end / 8;
    const unsigned head = 0xffu << begin % 8 & 0xff, tail = (1u << end % 8) - 1;
    if (begin >= end) {
        return;
    }
    if (first == last) {
        bits[first] |= (unsigned char)(head & tail);
        return;
    }
    bits[first] |= (unsigned char)head;
    memset(bits + first + 1, 0xff, (size_t)(last - first - 1));
    if (tail != 0) {
        bits[last] |= (unsigned char)tail;
    }
}

/* Keeps the bits that are set in both; `bytes` is a multiple of 8. */
static void keep_bits(unsigned char *bits, const unsigned char *others, ptrdiff_t bytes)
{
    for (ptrdiff_t i = 0; i < bytes; i += 8) {
        uint64_t word, other;
        memcpy(&word, bits + i, 8);
        memcpy(&other, others + i, 8);
        word &= other;
        memcpy(bits + i, &word, 8);
    }
}

/* The cells of an axis for which tap t finds an input. */
static struct tc_range cells_inside(const struct tc_sheet *sheet, const struct tc_cells *axis,
                                    int a, ptrdiff_t t)
{
    struct tc_range inside;
    inside.begin = tc_max(sheet->cell[a].begin, t * axis->d);
    inside.end = tc_max(inside.begin, tc_min(sheet->cell[a].end, axis->in + t * axis->d));
    return inside;
}

static void set_tap(const struct tc_sheet *sheet, const struct tc_cells cells[TC_SPATIAL],
                    const ptrdiff_t tap[TC_SPATIAL], unsigned char *mask)
{
    struct tc_range inside[TC_SPATIAL];
    for (int a = 0; a < TC_SPATIAL; a++) {
        inside[a] = cells_inside(sheet, &cells[a], a, tap[a]);
    }
    const ptrdiff_t begin = inside[TC_W].begin - sheet->cell[TC_W].begin;
    const ptrdiff_t end = inside[TC_W].end - sheet->cell[TC_W].begin;
    for (ptrdiff_t d = inside[TC_D].begin; d < inside[TC_D].end; d++) {
        for (ptrdiff_t h = inside[TC_H].begin; h < inside[TC_H].end; h++) {
            const ptrdiff_t row = tc_sheet_row(sheet, d, h);
            set_bits(mask, row + begin, row + end);
        }
    }
}

/* The lanes that are no cell, after each row of cells. */
static void set_others(const struct tc_sheet *sheet, unsigned char *mask)
{
    const ptrdiff_t width = sheet->cell[TC_W].end - sheet->cell[TC_W].begin;
    ptrdiff_t at = 0;
    for (ptrdiff_t d = sheet->cell[TC_D].begin; d < sheet->cell[TC_D].end; d++) {
        for (ptrdiff_t h = sheet->cell[TC_H].begin; h < sheet->cell[TC_H].end; h++) {
            const ptrdiff_t row = tc_sheet_row(sheet, d, h);
            set_bits(mask, at, row);
            at = row + width;
        }
    }
    set_bits(mask, at, at + 64);
}

void tc_sheet_masks(const struct tc_sheet *sheet, const struct tc_cells cells[TC_SPATIAL],
                    unsigned char *masks, ptrdiff_t bytes)
{
    unsigned char *const all = masks;
    unsigned char *mask = masks + bytes;
    const ptrdiff_t taps = cells[TC_D].taps * cells[TC_H].taps * cells[TC_W].taps;
    ptrdiff_t tap[TC_SPATIAL];
    memset(masks, 0, (size_t)((1 + taps) * bytes));
    memset(all, 0xff, (size_t)bytes);
    for (tap[0] = 0; tap[0] < cells[0].taps; tap[0]++) {
        for (tap[1] = 0; tap[1] < cells[1].taps; tap[1]++) {
            for (tap[2] = 0; tap[2] < cells[2].taps; tap[2]++, mask += bytes) {
                set_tap(sheet, cells, tap, mask);
                keep_bits(all, mask, bytes);
            }
        }
    }
    set_others(sheet, all);
}
