/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the caller's strides and panels. Whichever axes happen to be contiguous decide: rows are
 * copied whole, every other element is taken, a few rows are interleaved, or the matrix is
 * transposed in registers; otherwise element by element. */
#include "engine/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PHASES = 4 }; /* rows that are interleaved faster than transposed */

static inline void copy_elements(ptrdiff_t rows, ptrdiff_t columns, struct tc_matrix dst,
                                 struct tc_matrix src, const size_t bytes)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        char *to = tc_at(dst.data, r * dst.row, (ptrdiff_t)bytes);
        const char *from = tc_at(src.data, r * src.row, (ptrdiff_t)bytes);
        for (ptrdiff_t c = 0; c < columns; c++) {
            memcpy(to, from, bytes);
            to += dst.column * (ptrdiff_t)bytes;
            from += src.column * (ptrdiff_t)bytes;
        }
    }
}

static void copy_rows(const struct tc_kernels *kernels, ptrdiff_t rows, ptrdiff_t columns,
                      struct tc_matrix dst, struct tc_matrix src)
{
    const bool flat = dst.row == columns && src.row == columns;
    const struct tc_rows args = {
        .rows = flat ? 1 : rows,
        .columns = flat ? rows * columns : columns,
        .src = src.data,
        .src_row = src.row,
        .dst = dst.data,
        .dst_row = dst.row,
    };
    kernels->copy(&args);
}

static struct tc_matrix swap_axes(struct tc_matrix matrix)
{
    return (struct tc_matrix){matrix.data, matrix.column, matrix.row};
}

void tc_copy(const struct tc_kernels *kernels, ptrdiff_t rows, ptrdiff_t columns,
             struct tc_matrix dst, struct tc_matrix src)
{
    tc_copy_far(kernels, rows, columns, dst, src, (struct tc_far){false, false});
}

void tc_copy_far(const struct tc_kernels *kernels, ptrdiff_t rows, ptrdiff_t columns,
                 struct tc_matrix dst, struct tc_matrix src, struct tc_far far)
{
    /* shorter steps of the source go innermost, where they share lines of the cache */
    const bool swaps = src.column != 1 && llabs(src.row) < llabs(src.column);
    if (swaps && (src.column != 2 || src.row == 1)) {
        tc_copy_far(kernels, columns, rows, swap_axes(dst), swap_axes(src), far);
    } else if (src.column == 1 && dst.column == 1) {
        copy_rows(kernels, rows, columns, dst, src);
    } else if (src.column == 1 && dst.row == 1 && dst.column == rows && rows <= MOST_PHASES) {
        const struct tc_shuffle shuffle = {.rows = 1,
                                           .columns = columns,
                                           .phases = rows,
                                           .src = src.data,
                                           .src_phase = src.row,
                                           .dst = dst.data};
        kernels->shuffle(&shuffle);
    } else if (src.column == 1 && dst.row == 1) {
        const struct tc_transpose transpose = {.rows = rows,
                                               .columns = columns,
                                               .src = src.data,
                                               .src_row = src.row,
                                               .dst = dst.data,
                                               .dst_row = dst.column,
                                               .src_far = far.src,
                                               .dst_far = far.dst};
        kernels->transpose(&transpose);
    } else if (src.column == 2 && dst.column == 1) {
        const struct tc_unzip unzip = {.rows = rows,
                                       .columns = 2 * columns - 1,
                                       .step = 2,
                                       .src = src.data,
                                       .src_row = src.row,
                                       .dst = dst.data,
                                       .dst_row = dst.row};
        kernels->unzip(&unzip);
    } else if (kernels->bytes == 4) {
        copy_elements(rows, columns, dst, src, 4);
    } else {
        copy_elements(rows, columns, dst, src, 8);
    }
}

void tc_add_lanes(const struct tc_kernels *kernels, ptrdiff_t count, const void *vectors,
                  void *turned, void *totals)
{
    const ptrdiff_t lanes = kernels->lanes;
    const struct tc_rows rows = {
        .rows = lanes, .columns = count, .src = turned, .src_row = count, .dst = totals};
    const struct tc_matrix src = {(void *)vectors, lanes, 1};
    tc_copy(kernels, count, lanes, (struct tc_matrix){turned, 1, count}, src);
    kernels->sum_rows(&rows);
}

bool tc_sum_is_finite(const struct tc_kernels *kernels, const struct tc_rows *src)
{
    double sum64 = 0;
    float sum32 = 0;
    const bool is_double = kernels->bytes == 8;
    struct tc_rows args = *src;
    args.dst = is_double ? (void *)&sum64 : &sum32;
    kernels->sum_all(&args);
    return is_double ? isfinite(sum64) : isfinite(sum32);
}

/* The lines of one channel, whose elements are contiguous. */
static void split_channel(const struct tc_kernels *kernels, const struct tc_split *split,
                          ptrdiff_t channel)
{
    const void *const src = tc_at(split->src, channel * split->src_channel, kernels->bytes);
    void *const dst = tc_at(split->dst, channel * split->dst_channel, kernels->bytes);
    if (split->step == 1) {
        const bool more = channel + 1 < split->channels;
        const struct tc_rows rows = {.rows = split->lines,
                                     .columns = split->columns,
                                     .src = src,
                                     .src_row = split->src_line,
                                     .dst = dst,
                                     .dst_row = split->dst_line,
                                     .ahead = split->src_far && more ? split->src_channel : 0};
        kernels->copy(&rows);
        return;
    }
    const struct tc_unzip unzip = {.rows = split->lines,
                                   .columns = split->columns,
                                   .step = split->step,
                                   .src = src,
                                   .src_row = split->src_line,
                                   .dst = dst,
                                   .dst_row = split->dst_line,
                                   .dst_part = split->dst_part};
    kernels->unzip(&unzip);
}

/* One line of all channels. */
static void split_line(const struct tc_kernels *kernels, const struct tc_split *split,
                       ptrdiff_t line)
{
    const ptrdiff_t step = split->step, bytes = kernels->bytes;
    for (ptrdiff_t r = 0; r < step && r < split->columns; r++) {
        const ptrdiff_t from = line * split->src_line + r * split->src_column;
        const ptrdiff_t to = line * split->dst_line + r * split->dst_part;
        const struct tc_matrix src = {tc_at(split->src, from, bytes), split->src_channel,
                                      step * split->src_column};
        const struct tc_matrix dst = {tc_at(split->dst, to, bytes), split->dst_channel, 1};
        tc_copy(kernels, split->channels, (split->columns - r - 1) / step + 1, dst, src);
    }
}

void tc_split(const struct tc_kernels *kernels, const struct tc_split *split)
{
    const bool by_channel = split->src_column == 1;
    for (ptrdiff_t i = 0; i < (by_channel ? split->channels : split->lines); i++) {
        if (by_channel) {
            split_channel(kernels, split, i);
        } else {
            split_line(kernels, split, i);
        }
    }
}

void tc_interleave(const struct tc_kernels *kernels, struct tc_shuffle shuffle, ptrdiff_t outputs,
                   ptrdiff_t step)
{
    const ptrdiff_t phases = shuffle.phases, bytes = kernels->bytes;
    const ptrdiff_t whole = outputs / phases, rest = outputs % phases;
    shuffle.columns = whole;
    if (step == 1) {
        kernels->shuffle(&shuffle);
    }
    for (ptrdiff_t r = 0; r < shuffle.rows && (step != 1 || rest > 0); r++) {
        const struct tc_matrix src = {tc_at(shuffle.src, r * shuffle.src_row, bytes),
                                      shuffle.src_phase, 1};
        const struct tc_matrix dst = {tc_at(shuffle.dst, r * shuffle.dst_row, bytes), step,
                                      phases * step};
        const struct tc_matrix last = {tc_at(src.data, whole, bytes), shuffle.src_phase, 1};
        const struct tc_matrix end = {tc_at(dst.data, whole * phases * step, bytes), step, step};
        if (step != 1) {
            tc_copy(kernels, phases, whole, dst, src);
        }
        tc_copy(kernels, rest, 1, end, last);
    }
}

void tc_interleave_channels(const struct tc_kernels *kernels, struct tc_shuffle shuffle,
                            ptrdiff_t outputs, void *pixels)
{
    struct tc_shuffle channels = {.rows = 1,
                                  .phases = shuffle.rows,
                                  .columns = outputs,
                                  .src = shuffle.src,
                                  .src_phase = shuffle.src_row,
                                  .dst = pixels};
    if (shuffle.phases > 1) {
        tc_interleave(kernels, shuffle, outputs, 1);
        channels.src = shuffle.dst;
        channels.src_phase = shuffle.dst_row;
    }
    kernels->shuffle(&channels);
}
