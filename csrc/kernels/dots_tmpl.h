/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel `dots` in terms of vectors, included by kernels_tmpl.h, with the macros and functions
 * that stand there.
 *
 * Of a line of the large image each tap's vector is loaded once and multiplied with those of all
 * lines of the small one that it meets: DOT_LINES + taps loads for DOT_LINES*taps multiply-adds,
 * whose accumulators fit the registers with them. A kernel is summed in pieces of that size or
 * less. */

enum { T(DOT_LINES) = 3, T(DOT_AHEAD) = 3072 / (int)sizeof(REAL) };

/* A piece of the kernel; its first element is element 0. */
struct T(dot_piece) {
    const REAL *small, *large;
    REAL *sums;
    ptrdiff_t first_tap;
    ptrdiff_t met_begin, met_end;   /* of the lines of the large image that are there */
    const struct tc_dot_masks *all; /* those of a column of which all lanes count */
};

/* What its lines have in common: the way back from a line of the small image to the one before that
 * a line of the large one meets as well, where the taps lie, and what hints are for. */
struct T(dot_steps) {
    ptrdiff_t back, at[DOT_TAPS], small_ahead, large_ahead;
};

/* The lines ahead, as many as memory takes. */
static INLINE ptrdiff_t T(dots_ahead)(ptrdiff_t line)
{
    const ptrdiff_t step = line < 0 ? -line : line;
    return step == 0 || step > T(DOT_AHEAD) ? T(DOT_AHEAD) : (T(DOT_AHEAD) / step + 1) * line;
}

/* The products of one column of a line of the large image, from `large` on, with the lines of the
 * small one, the first of them at `small`. */
static INLINE void T(dots_whole)(const REAL *small, const REAL *large,
                                 const struct T(dot_steps) * steps,
                                 VECTOR acc[T(DOT_LINES)][DOT_TAPS], const int reach,
                                 const int taps)
{
    VECTOR lines[T(DOT_LINES)];
    __builtin_prefetch(small + steps->small_ahead);
    __builtin_prefetch(large + steps->large_ahead);
#pragma GCC unroll 4
    for (int i = 0; i < reach; i++) {
        lines[i] = T(keep)(T(load)(small - i * steps->back));
    }
#pragma GCC unroll 8
    for (int t = 0; t < taps; t++) {
        const VECTOR one = T(keep)(T(load)(large + steps->at[t]));
#pragma GCC unroll 4
        for (int i = 0; i < reach; i++) {
            acc[i][t] = T(fma)(one, lines[i], acc[i][t]);
        }
    }
}

/* Those of the lanes that the masks say, and of lines begin <= i < end. */
static INLINE void T(dots_part)(const REAL *small, const REAL *large,
                                const struct T(dot_steps) * steps, const struct tc_dot_masks *masks,
                                ptrdiff_t first, const ptrdiff_t begin, const ptrdiff_t end,
                                VECTOR acc[T(DOT_LINES)][DOT_TAPS], const int reach, const int taps)
{
    const MASK all = T(mask_at)(masks->any, 0);
    VECTOR lines[T(DOT_LINES)];
#pragma GCC unroll 4
    for (int i = 0; i < reach; i++) {
        lines[i] = T(zero)();
        if (begin <= i && i < end) {
            lines[i] = T(keep)(T(load_masked)(small - i * steps->back, all));
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < taps; t++) {
        const MASK some = T(mask_at)(masks->tap[first + t], 0);
        const VECTOR one = T(keep)(T(load_masked)(large + steps->at[t], some));
#pragma GCC unroll 4
        for (int i = 0; i < reach; i++) {
            if (begin <= i && i < end) {
                acc[i][t] = T(fma_masked)(some, one, lines[i], acc[i][t]);
            }
        }
    }
}

/* Lines q of the large image, begin <= q < end, and those of the small one that they meet; if
 * `whole`, all of these are there. */
static INLINE void T(dots_lines)(const struct tc_dots *args, const struct T(dot_piece) * piece,
                                 ptrdiff_t begin, ptrdiff_t end, VECTOR acc[T(DOT_LINES)][DOT_TAPS],
                                 const int reach, const int taps, const bool whole)
{
    const ptrdiff_t gap = args->gap, x = args->small_column, y = args->large_column;
    struct T(dot_steps) steps = {.back = gap * args->small_line,
                                 .small_ahead = T(dots_ahead)(args->small_line),
                                 .large_ahead = T(dots_ahead)(args->large_line)};
#pragma GCC unroll 8
    for (int t = 0; t < taps; t++) {
        steps.at[t] = args->tap[piece->first_tap + t];
    }
    for (ptrdiff_t q = begin; q < end; q++) {
        const REAL *small = piece->small + q * args->small_line;
        const REAL *large = piece->large + q * args->large_line;
        ptrdiff_t from = 0, to = reach;
        while (!whole && from < reach && q - from * gap >= args->lines) {
            from++;
        }
        while (!whole && to > from && q - (to - 1) * gap < 0) {
            to--;
        }
        for (ptrdiff_t v = 0; v < args->columns; v++, small += x, large += y) {
            for (; whole && v >= args->begin && v < args->end; v++, small += x, large += y) {
                T(dots_whole)(small, large, &steps, acc, reach, taps);
            }
            if (v < args->columns) {
                const bool some = v < args->begin || v >= args->end;
                T(dots_part)(small, large, &steps, some ? &args->masks[v] : piece->all,
                             piece->first_tap, whole ? 0 : from, whole ? reach : to, acc, reach,
                             taps);
            }
        }
    }
}

/* All lines for one set; of those from `whole` to `rest` all lines of the small image are there. */
static INLINE void T(dots_set)(const struct tc_dots *args, const struct T(dot_piece) * piece,
                               const ptrdiff_t bounds[4], const int reach, const int taps)
{
    const MASK lanes = T(between)(0, 0, (int)args->lanes);
    VECTOR acc[T(DOT_LINES)][DOT_TAPS];
#pragma GCC unroll 4
    for (int i = 0; i < reach; i++) {
#pragma GCC unroll 8
        for (int t = 0; t < taps; t++) {
            const REAL *const sum = piece->sums + i * args->sum_line + t * args->sum_tap;
            acc[i][t] = args->add ? T(load_masked)(sum, lanes) : T(zero)();
        }
    }
    for (int side = 0; side < 2; side++) {
        T(dots_lines)(args, piece, bounds[2 * side], bounds[2 * side + 1], acc, reach, taps, false);
        if (side == 0) {
            T(dots_lines)(args, piece, bounds[1], bounds[2], acc, reach, taps, true);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < reach; i++) {
#pragma GCC unroll 8
        for (int t = 0; t < taps; t++) {
            REAL *const sum = piece->sums + i * args->sum_line + t * args->sum_tap;
            T(store_part)(sum, acc[i][t], args->lanes);
        }
    }
}

static INLINE void T(dots_piece)(const struct tc_dots *args, struct T(dot_piece) piece,
                                 const int reach, const int taps)
{
    const ptrdiff_t lines = args->lines, far = (reach - 1) * args->gap;
    const ptrdiff_t begin = piece.met_begin > 0 ? piece.met_begin : 0;
    const ptrdiff_t past = lines > 0 ? lines + far : 0;
    const ptrdiff_t end = past < piece.met_end ? past : piece.met_end;
    const ptrdiff_t last = lines < end ? lines : end, least = begin > far ? begin : far;
    const bool some = least < last;
    const ptrdiff_t bounds[] = {begin, some ? least : end, some ? last : end, end};
    for (ptrdiff_t set = 0; set < args->sets; set++) {
        T(dots_set)(args, &piece, bounds, reach, taps);
        piece.small += args->small_set;
        piece.large += args->large_set;
        piece.sums += args->sum_set;
    }
}

/* Some lines of the kernel, in pieces as large as they can be. */
static INLINE void T(dots_taps)(const struct tc_dots *args, struct T(dot_piece) piece,
                                const int reach)
{
    int taps;
    for (int left = args->taps; left > 0; left -= taps) {
        if (DOT_TAPS == 5 && (left == 5 || left > 7)) {
            taps = 5;
            T(dots_piece)(args, piece, reach, DOT_TAPS);
        } else if (DOT_TAPS == 5 && (left == 4 || left == 7)) {
            taps = 4;
            T(dots_piece)(args, piece, reach, DOT_TAPS - 1);
        } else if (left >= 3 && left != 4) {
            taps = 3;
            T(dots_piece)(args, piece, reach, 3);
        } else if (left >= 2) {
            taps = 2;
            T(dots_piece)(args, piece, reach, 2);
        } else {
            taps = 1;
            T(dots_piece)(args, piece, reach, 1);
        }
        piece.first_tap += taps;
        piece.sums += taps * args->sum_tap;
    }
}

static void T(dots)(const struct tc_dots *args)
{
    struct tc_dot_masks all;
    memset(&all, 0xff, sizeof all);
    struct T(dot_piece) piece = {
        .small = args->small,
        .large = args->large,
        .sums = args->sums,
        .met_begin = args->met_begin,
        .met_end = args->met_end,
        .all = &all,
    };
    int reach;
    for (int left = args->reach; left > 0; left -= reach) {
        if (left >= 3 && left != 4) {
            reach = 3;
            T(dots_taps)(args, piece, 3);
        } else if (left >= 2) {
            reach = 2;
            T(dots_taps)(args, piece, 2);
        } else {
            reach = 1;
            T(dots_taps)(args, piece, 1);
        }
        piece.large += reach * args->gap * args->large_line;
        piece.sums += reach * args->sum_line;
        piece.met_begin -= reach * args->gap;
        piece.met_end -= reach * args->gap;
    }
}
