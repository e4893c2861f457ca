/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel `dots` in terms of vectors, included by kernels_tmpl.h, with the macros and functions
 * that stand there, if DOTS is not 0.
 *
 * Of a line of the large image each tap's vector is loaded once and multiplied with those of all
 * lines of the small one that it meets: DOT_LINES + taps loads for DOT_LINES*taps multiply-adds,
 * whose accumulators fit 32 registers with them. A kernel is summed in pieces of that size, or of 2
 * lines and 3 taps at least. */

enum { T(DOT_LINES) = 3, T(DOT_TAPS) = 5 };

/* A piece of the kernel; its first element is element 0. */
struct T(dot_piece) {
    const REAL *small, *large;
    const struct tc_dot_tap *tap;
    REAL *sums;
    ptrdiff_t met_begin, met_end; /* of the lines of the large image that are there */
    ptrdiff_t begin, end;         /* of the columns that count for all taps */
};

/* The products of one column of a line of the large image, from the first tap at `large` on, with
 * the lines of the small one, the first of them at `small`; of those numbers begin <= i < end are
 * there. If not `whole`, some of them or of the taps may be missing. */
static INLINE void T(dots_column)(const struct tc_dots *args, const struct tc_dot_tap *tap,
                                  const REAL *small, const REAL *large, ptrdiff_t v,
                                  const ptrdiff_t begin, const ptrdiff_t end,
                                  VECTOR acc[T(DOT_LINES)][T(DOT_TAPS)], const int reach,
                                  const int taps, const bool whole)
{
    const ptrdiff_t back = args->gap * args->small_line, step = args->large_tap;
    VECTOR lines[T(DOT_LINES)];
#pragma GCC unroll 4
    for (int i = 0; i < reach; i++) {
        lines[i] = T(zero)();
        if (whole || (i >= begin && i < end)) {
            lines[i] = T(keep)(T(load)(small - i * back));
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < taps; t++) {
        if (whole || (tap[t].begin <= v && v < tap[t].end)) {
            const VECTOR one = T(keep)(T(load)(large + t * step));
#pragma GCC unroll 4
            for (int i = 0; i < reach; i++) {
                if (whole || (i >= begin && i < end)) {
                    acc[i][t] = T(fma)(one, lines[i], acc[i][t]);
                }
            }
        }
    }
}

/* Finds the columns that count for all taps. */
static INLINE void T(dots_common)(struct T(dot_piece) * piece, ptrdiff_t columns, const int taps)
{
    ptrdiff_t begin = 0, end = columns;
#pragma GCC unroll 8
    for (int t = 0; t < taps; t++) {
        begin = piece->tap[t].begin > begin ? piece->tap[t].begin : begin;
        end = piece->tap[t].end < end ? piece->tap[t].end : end;
    }
    piece->begin = begin;
    piece->end = end;
}

/* Line q of the large image and the lines of the small one that it meets. */
static INLINE void T(dots_line)(const struct tc_dots *args, const struct T(dot_piece) * piece,
                                ptrdiff_t q, VECTOR acc[T(DOT_LINES)][T(DOT_TAPS)], const int reach,
                                const int taps)
{
    const ptrdiff_t gap = args->gap, x = args->small_column, y = args->large_column;
    const REAL *small = piece->small + q * args->small_line;
    const REAL *large = piece->large + q * args->large_line;
    ptrdiff_t begin = 0, end = reach;
    while (begin < reach && q - begin * gap >= args->lines) {
        begin++;
    }
    while (end > begin && q - (end - 1) * gap < 0) {
        end--;
    }
    const ptrdiff_t common = piece->begin, rest = end - begin == reach ? piece->end : common;
    for (ptrdiff_t v = 0; v < args->columns; v++, small += x, large += y) {
        if (v >= common && v < rest) {
            T(dots_column)(args, piece->tap, small, large, v, 0, reach, acc, reach, taps, true);
        } else {
            T(dots_column)(args, piece->tap, small, large, v, begin, end, acc, reach, taps, false);
        }
    }
}

static INLINE void T(dots_piece)(const struct tc_dots *args, struct T(dot_piece) piece,
                                 const int reach, const int taps)
{
    const ptrdiff_t begin = piece.met_begin > 0 ? piece.met_begin : 0;
    const ptrdiff_t past = args->lines > 0 ? args->lines + (reach - 1) * args->gap : 0;
    const ptrdiff_t end = past < piece.met_end ? past : piece.met_end;
    VECTOR acc[T(DOT_LINES)][T(DOT_TAPS)];
    T(dots_common)(&piece, args->columns, taps);
#pragma GCC unroll 4
    for (int i = 0; i < reach; i++) {
#pragma GCC unroll 8
        for (int t = 0; t < taps; t++) {
            const REAL *const sum = piece.sums + i * args->sum_line + t * args->sum_tap;
            acc[i][t] = args->add ? T(load_part)(sum, args->lanes) : T(zero)();
        }
    }
    for (ptrdiff_t q = begin; q < end; q++) {
        T(dots_line)(args, &piece, q, acc, reach, taps);
    }
#pragma GCC unroll 4
    for (int i = 0; i < reach; i++) {
#pragma GCC unroll 8
        for (int t = 0; t < taps; t++) {
            REAL *const sum = piece.sums + i * args->sum_line + t * args->sum_tap;
            T(store_part)(sum, acc[i][t], args->lanes);
        }
    }
}

/* Some lines of the kernel, in pieces as large as they can be. */
static INLINE void T(dots_taps)(const struct tc_dots *args, struct T(dot_piece) piece,
                                const int reach)
{
    int taps;
    for (int left = args->taps; left > 0; left -= taps) {
        if (left == 5 || left > 7) {
            taps = 5;
            T(dots_piece)(args, piece, reach, 5);
        } else if (left == 4 || left == 7) {
            taps = 4;
            T(dots_piece)(args, piece, reach, 4);
        } else {
            taps = 3;
            T(dots_piece)(args, piece, reach, 3);
        }
        piece.large += taps * args->large_tap;
        piece.tap += taps;
        piece.sums += taps * args->sum_tap;
    }
}

static void T(dots)(const struct tc_dots *args)
{
    struct T(dot_piece) piece = {
        .small = args->small,
        .large = args->large,
        .tap = args->tap,
        .sums = args->sums,
        .met_begin = args->met_begin,
        .met_end = args->met_end,
    };
    int reach;
    for (int left = args->reach; left > 0; left -= reach) {
        if (left >= 3 && left != 4) {
            reach = 3;
            T(dots_taps)(args, piece, 3);
        } else {
            reach = 2;
            T(dots_taps)(args, piece, 2);
        }
        piece.large += reach * args->gap * args->large_line;
        piece.sums += reach * args->sum_line;
        piece.met_begin -= reach * args->gap;
        piece.met_end -= reach * args->gap;
    }
}
