/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel `lines` in terms of vectors, included by kernels_tmpl.h, and by itself for a shorter
 * vector, with the macros that stand there and the functions
 *
 *   zero, broadcast, load, store, store_part, fma, only   as there
 *   between                                    the lanes begin <= l < end
 *   load_masked                                the chosen lanes; the others are 0 and not read
 *
 * A line of inputs is loaded once for each tap and goes to all lines of outputs that it meets,
 * which takes (lines - 1)*step + reach loads for lines*reach multiply-adds. */

/* One vector of outputs in each line, the first of them `at`. */
static INLINE void T(lines_vector)(const struct tc_lines *args, const REAL *x, const REAL *w,
                                   const REAL *bias, REAL *y, ptrdiff_t at, const int lines,
                                   const int reach, const int step, const bool masked,
                                   const bool by_lane)
{
    const int inputs = (lines - 1) * step + reach;
    const ptrdiff_t *x_line = args->x_line;
    VECTOR acc[TC_MAX_LINES];
    VECTOR start = T(zero)();
    if (bias && by_lane && masked) {
        start = T(load_masked)(bias + at, T(between)(0, args->columns - at));
    } else if (bias) {
        start = by_lane ? T(load)(bias + at) : T(broadcast)(*bias);
    }
#pragma GCC unroll 16
    for (int r = 0; r < lines; r++) {
        acc[r] = start;
    }
    for (ptrdiff_t m = 0; m < args->sheets; m++, x_line += inputs) {
        const ptrdiff_t first = by_lane ? args->sheet_taps[m].begin : 0;
        const ptrdiff_t last = by_lane ? args->sheet_taps[m].end : args->taps;
        const REAL *w_tap = w + args->w_sheet[m] + first * args->w_tap;
        for (ptrdiff_t j = first; j < last; j++, w_tap += args->w_tap) {
            const struct tc_line_tap *const tap = &args->tap[j];
            const REAL *const from = x + tap->x + at;
            MASK chosen;
            VECTOR weight[TC_REACH];
            if (masked) {
                chosen = by_lane ? T(between)(0, args->columns - at)
                                 : T(between)(tap->begin - at, tap->end - at);
            }
#pragma GCC unroll 16
            for (int i = 0; i < reach; i++) {
                const REAL *const one = w_tap + i * args->w_line;
                const VECTOR any = by_lane ? T(load)(one + at) : T(broadcast)(*one);
                weight[i] = masked ? T(only)(chosen, any) : any;
            }
#pragma GCC unroll 32
            for (int i = 0; i < inputs; i++) {
                if (x_line[i] != TC_NO_LINE) {
                    const VECTOR v = masked ? T(load_masked)(from + x_line[i], chosen)
                                            : T(load)(from + x_line[i]);
#pragma GCC unroll 16
                    for (int r = 0; r < lines; r++) {
                        const int t = i - r * step;
                        if (t >= 0 && t < reach) {
                            acc[r] = T(fma)(v, weight[t], acc[r]);
                        }
                    }
                }
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < lines; r++) {
        if (masked) {
            T(store_part)(y + r * args->y_line + at, acc[r], args->columns - at);
        } else {
            T(store)(y + r * args->y_line + at, acc[r]);
        }
    }
}

/* Columns begin <= v < end; those of [whole_begin, whole_end) count for all taps. */
struct T(columns) {
    ptrdiff_t begin, end, whole_begin, whole_end;
};

static INLINE void T(lines_columns)(const struct tc_lines *args, struct T(columns) columns,
                                    const int lines, const int reach, const int step,
                                    const bool by_lane)
{
    const REAL *x = args->x, *w = args->w, *bias = args->bias;
    REAL *y = args->y;
    for (ptrdiff_t c = 0; c < args->channels; c++) {
        for (ptrdiff_t at = columns.begin; at < columns.end; at += LANES) {
            if (at >= columns.whole_begin && at + LANES <= columns.whole_end) {
                T(lines_vector)(args, x, w, bias, y, at, lines, reach, step, false, by_lane);
            } else {
                T(lines_vector)(args, x, w, bias, y, at, lines, reach, step, true, by_lane);
            }
        }
        x += args->x_channel;
        w += args->w_channel;
        y += args->y_channel;
        bias = bias ? bias + args->bias_channel : NULL;
    }
}

static INLINE void T(lines_switch)(const struct tc_lines *args, struct T(columns) columns,
                                   const int lines, const bool by_lane)
{
    const bool two = lines > 1 && args->step == 2; /* of one line it is the same */
    switch (args->reach) {
    case 1:
        T(lines_columns)(args, columns, lines, 1, 1, by_lane);
        break;
    case 3:
        if (two) {
            T(lines_columns)(args, columns, lines, 3, 2, by_lane);
        } else {
            T(lines_columns)(args, columns, lines, 3, 1, by_lane);
        }
        break;
    case 4:
        T(lines_columns)(args, columns, lines, 4, 2, by_lane);
        break;
    case 5:
        if (two) {
            T(lines_columns)(args, columns, lines, 5, 2, by_lane);
        } else {
            T(lines_columns)(args, columns, lines, 5, 1, by_lane);
        }
        break;
    case 7:
        T(lines_columns)(args, columns, lines, 7, 1, by_lane);
        break;
    default:
        break;
    }
}

static INLINE void T(lines_all)(const struct tc_lines *args, struct T(columns) columns,
                                const bool by_lane)
{
    switch (args->lines) {
    case 1:
        T(lines_switch)(args, columns, 1, by_lane);
        break;
    case 4:
        T(lines_switch)(args, columns, 4, by_lane);
        break;
    case TC_MAX_LINES:
        T(lines_switch)(args, columns, TC_MAX_LINES, by_lane);
        break;
    default:
        break;
    }
}

/* All lines, columns begin <= v < end. */
static void T(lines_between)(const struct tc_lines *args, ptrdiff_t begin, ptrdiff_t end)
{
    struct T(columns) columns = {begin, end, begin, end};
    for (ptrdiff_t j = 0; j < args->taps; j++) {
        const struct tc_line_tap *const tap = &args->tap[j];
        columns.whole_begin = tap->begin > columns.whole_begin ? tap->begin : columns.whole_begin;
        columns.whole_end = tap->end < columns.whole_end ? tap->end : columns.whole_end;
    }
    T(lines_all)(args, columns, false);
}

/* All lines and columns, a weight for each column. */
static INLINE void T(lines_of_channels)(const struct tc_lines *args)
{
    const struct T(columns) columns = {0, args->columns, 0, args->columns};
    T(lines_all)(args, columns, true);
}

#undef REAL
#undef VECTOR
#undef LANES
#undef MASK
#undef T
