/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel `weave` in terms of vectors, included by kernels_tmpl.h.
 *
 * A vector of outputs of either phase is summed in a register, and both are zipped on their way to
 * y. For kernels of 2 to 6 with a stride of 2 loops have constant bounds: a channel's weights stay
 * in registers, and masks, where taps meet the padding, are made once for some lines. What these
 * lines' successors write is hinted at: memory does not foresee pieces of lines. */

enum {
    T(WOVEN) = 4,      /* kernel lines, */
    T(WOVEN_TAPS) = 3, /* and taps of a phase, of those; */
    T(WOVEN_ROWS) = 8  /* lines of outputs at a time */
};

/* Stores the outputs of a vector of points, of which `left` are there. */
static INLINE void T(store_woven)(REAL *y, VECTOR even, VECTOR odd, ptrdiff_t left)
{
    T(zip)(&even, &odd);
    if (left >= 2 * LANES) {
        T(store)(y, even);
        T(store)(y + LANES, odd);
    } else {
        T(store_part)(y, even, left < LANES ? left : LANES);
        if (left > LANES) {
            T(store_part)(y + LANES, odd, left - LANES);
        }
    }
}

/* A vector of points in some lines, by sheets of so many kernel lines. */
static INLINE void T(weave_points)(const struct tc_weave *args, const REAL *const first[T(WOVEN)],
                                   VECTOR weight[2][T(WOVEN)][T(WOVEN_TAPS)], VECTOR start, REAL *y,
                                   ptrdiff_t at, ptrdiff_t rows, const int sheets, const int lines,
                                   const int even, const int odd, const bool whole)
{
    const int taps[2] = {even, odd};
    const ptrdiff_t x_line = args->x_line, y_line = args->y_line;
    const REAL *line[T(WOVEN)];
    ptrdiff_t shift[2][T(WOVEN_TAPS)];
    MASK chosen[2][T(WOVEN_TAPS)];
#pragma GCC unroll 2
    for (int q = 0; q < 2; q++) {
#pragma GCC unroll 4
        for (int j = 0; j < taps[q]; j++) {
            const struct tc_weave_tap *const tap = &args->tap[q][j];
            shift[q][j] = tap->x;
            chosen[q][j] = T(between)(at, tap->begin, tap->end);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < sheets * lines; i++) {
        line[i] = first[i] + at;
    }
    y += 2 * at;
    for (ptrdiff_t r = 0; r < rows; r++, y += y_line) {
        VECTOR sum[2] = {start, start};
#pragma GCC unroll 2
        for (int q = 0; q < 2; q++) {
#pragma GCC unroll 4
            for (int m = 0; m < sheets; m++) {
#pragma GCC unroll 4
                for (int j = 0; j < taps[q]; j++) {
#pragma GCC unroll 4
                    for (int i = m * lines; i < (m + 1) * lines; i++) {
                        const REAL *const x = line[i] + shift[q][j];
                        sum[q] = whole
                                     ? T(fma)(T(load)(x), weight[q][i][j], sum[q])
                                     : T(fma_masked)(chosen[q][j], T(load_masked)(x, chosen[q][j]),
                                                     weight[q][i][j], sum[q]);
                    }
                }
            }
        }
        __builtin_prefetch(y + T(WOVEN_ROWS) * y_line, 0, 2);
        __builtin_prefetch(y + LANES + T(WOVEN_ROWS) * y_line, 0, 2);
        T(store_woven)(y, sum[0], sum[1], args->outputs - 2 * at);
#pragma GCC unroll 4
        for (int i = 0; i < sheets * lines; i++) {
            line[i] += x_line;
        }
    }
}

/* One channel; points [whole_begin, whole_end) meet all taps. */
static INLINE void T(weave_channel)(const struct tc_weave *args, ptrdiff_t c, ptrdiff_t whole_begin,
                                    ptrdiff_t whole_end, const int sheets, const int lines,
                                    const int even, const int odd)
{
    const REAL *const w = (const REAL *)args->w + c * args->w_channel;
    const REAL *const bias = args->bias;
    const VECTOR start = bias ? T(broadcast)(bias[c * args->bias_channel]) : T(zero)();
    const int taps[2] = {even, odd};
    const REAL *line[T(WOVEN)];
    VECTOR weight[2][T(WOVEN)][T(WOVEN_TAPS)];
#pragma GCC unroll 4
    for (int i = 0; i < sheets * lines; i++) {
        const struct tc_weave_sheet *const sheet = &args->sheet[i / lines];
        const ptrdiff_t at = sheet->w + i % lines * args->w_line;
        line[i] = (const REAL *)args->x + c * args->x_channel + sheet->x + i % lines * args->x_line;
#pragma GCC unroll 2
        for (int q = 0; q < 2; q++) {
#pragma GCC unroll 4
            for (int j = 0; j < taps[q]; j++) {
                weight[q][i][j] = T(broadcast)(w[at + args->tap[q][j].w]);
            }
        }
    }
    REAL *y = (REAL *)args->y + c * args->y_channel;
    for (ptrdiff_t r = 0; r < args->lines; r += T(WOVEN_ROWS)) {
        const ptrdiff_t left = args->lines - r, rows = left < T(WOVEN_ROWS) ? left : T(WOVEN_ROWS);
        for (ptrdiff_t at = 0; 2 * at < args->outputs; at += LANES) {
            if (at >= whole_begin && at + LANES <= whole_end) {
                T(weave_points)(args, line, weight, start, y, at, rows, sheets, lines, even, odd,
                                true);
            } else {
                T(weave_points)(args, line, weight, start, y, at, rows, sheets, lines, even, odd,
                                false);
            }
        }
        y += rows * args->y_line;
#pragma GCC unroll 4
        for (int i = 0; i < sheets * lines; i++) {
            line[i] += rows * args->x_line;
        }
    }
}

/* The sum of one phase for points `at` on, whatever the lines and taps. */
static INLINE VECTOR T(woven_any)(const struct tc_weave *args, const REAL *x, const REAL *w, int q,
                                  VECTOR sum, ptrdiff_t at)
{
    for (ptrdiff_t m = 0; m < args->sheets; m++) {
        const struct tc_weave_sheet *const sheet = &args->sheet[m];
        for (int j = 0; j < args->taps[q]; j++) {
            const struct tc_weave_tap *const tap = &args->tap[q][j];
            const MASK chosen = T(between)(at, tap->begin, tap->end);
            const REAL *from = x + sheet->x + tap->x + at, *weight = w + sheet->w + tap->w;
            for (int i = 0; i < sheet->lines; i++) {
                sum = T(fma)(T(load_masked)(from, chosen), T(only)(chosen, T(broadcast)(*weight)),
                             sum);
                from += args->x_line, weight += args->w_line;
            }
        }
    }
    return sum;
}

static void T(weave_any)(const struct tc_weave *args)
{
    const REAL *const bias = args->bias;
    for (ptrdiff_t c = 0; c < args->channels; c++) {
        const REAL *const w = (const REAL *)args->w + c * args->w_channel;
        const REAL *x = (const REAL *)args->x + c * args->x_channel;
        const VECTOR start = bias ? T(broadcast)(bias[c * args->bias_channel]) : T(zero)();
        REAL *y = (REAL *)args->y + c * args->y_channel;
        for (ptrdiff_t r = 0; r < args->lines; r++, x += args->x_line, y += args->y_line) {
            for (ptrdiff_t at = 0; 2 * at < args->outputs; at += LANES) {
                const VECTOR a = T(woven_any)(args, x, w, 0, start, at);
                const VECTOR b = T(woven_any)(args, x, w, 1, start, at);
                T(store_woven)(y + 2 * at, a, b, args->outputs - 2 * at);
            }
        }
    }
}

/* All channels, for kernels of up to `most` elements of each phase along the width. */
static INLINE void T(weave_taps)(const struct tc_weave *args, const int sheets, const int lines,
                                 const int most)
{
    const int even = args->taps[0], odd = args->taps[1];
    ptrdiff_t begin = 0, end = args->outputs / 2;
    for (int q = 0; q < 2; q++) {
        for (int j = 0; j < args->taps[q]; j++) {
            const struct tc_weave_tap *const tap = &args->tap[q][j];
            begin = tap->begin > begin ? tap->begin : begin;
            end = tap->end < end ? tap->end : end;
        }
    }
    for (ptrdiff_t c = 0; c < args->channels; c++) {
        if (even == 1 && odd == 1) {
            T(weave_channel)(args, c, begin, end, sheets, lines, 1, 1);
        } else if (even == 1) {
            T(weave_channel)(args, c, begin, end, sheets, lines, 1, 2);
        } else if (odd == 1) {
            T(weave_channel)(args, c, begin, end, sheets, lines, 2, 1);
        } else if (even == 2 && odd == 2) {
            T(weave_channel)(args, c, begin, end, sheets, lines, 2, 2);
        } else if (even == 2 && most == 3) {
            T(weave_channel)(args, c, begin, end, sheets, lines, 2, 3);
        } else if (odd == 2 && most == 3) {
            T(weave_channel)(args, c, begin, end, sheets, lines, 3, 2);
        } else if (most == 3) {
            T(weave_channel)(args, c, begin, end, sheets, lines, 3, 3);
        }
    }
}

/* By one, two or four sheets of one line, or one of three lines; functions of their own, as gcc
 * lets registers spill in the innermost of too many loops. */
static NOINLINE void T(weave_one)(const struct tc_weave *args)
{
    T(weave_taps)(args, 1, 1, 3);
}

static NOINLINE void T(weave_two)(const struct tc_weave *args)
{
    T(weave_taps)(args, 2, 1, 3);
}

static NOINLINE void T(weave_four)(const struct tc_weave *args)
{
    T(weave_taps)(args, 4, 1, 2);
}

static NOINLINE void T(weave_three)(const struct tc_weave *args)
{
    T(weave_taps)(args, 1, 3, 3);
}

static bool T(weave_is_known)(const struct tc_weave *args)
{
    const int even = args->taps[0], odd = args->taps[1], difference = even - odd;
    const int most = args->sheets == 4 ? 2 : T(WOVEN_TAPS);
    bool lone = true; /* lines */
    for (ptrdiff_t m = 0; m < args->sheets; m++) {
        lone = lone && args->sheet[m].lines == 1;
    }
    const bool known = lone ? args->sheets == 1 || args->sheets == 2 || args->sheets == 4
                            : args->sheets == 1 && args->sheet->lines == 3;
    return known && even > 0 && odd > 0 && even <= most && odd <= most && difference <= 1 &&
           difference >= -1;
}

static void T(weave)(const struct tc_weave *args)
{
    if (!T(weave_is_known)(args)) {
        T(weave_any)(args);
    } else if (args->sheets == 4) {
        T(weave_four)(args);
    } else if (args->sheets == 2) {
        T(weave_two)(args);
    } else if (args->sheet->lines == 3) {
        T(weave_three)(args);
    } else {
        T(weave_one)(args);
    }
}
