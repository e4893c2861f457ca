/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel `lines` in terms of vectors, included by kernels_tmpl.h, and by itself for a shorter
 * vector, with the macros that stand there and the functions
 *
 *   zero, broadcast, load, store, store_part, fma, only, keep   as there
 *   between                                    the lanes l for which begin <= at + l < end
 *   load_masked                                the chosen lanes; the others are 0 and not read
 *
 * the macro HINTS, 1 if there is to be code that gives hints, else 0, and, of the instruction set,
 * the macros STREAMS, how many vectors of outputs are summed at a time in each line, and KEEP_WORD,
 * which keeps a word in a register and not its bits in one each.
 *
 * A line of inputs is loaded once for each tap and goes to all lines of outputs that it meets,
 * which takes (lines - 1)*step + reach loads for lines*reach multiply-adds. The seven sums of a
 * vector wait for each other; two vectors, of one channel or of two, wait half as long.
 *
 * A processor drops hints that come faster than it can follow, about one in seven cycles. So those
 * for a vector of the next strip are given a tap's share at a time while this one is summed. */

/* A vector of outputs in each line, the first of them `at`, of one channel. */
struct T(stream) {
    const REAL *x, *w, *bias;
    REAL *y;
    ptrdiff_t at;
};

/* Which of what it may read is not there: nothing, or lines and the columns of some taps. */
enum { T(WHOLE), T(PART) };

/* Adds the products of one tap of a sheet, whose line that the first output meets is at x[v]. */
static INLINE void T(lines_tap)(const REAL *x[STREAMS], ptrdiff_t x_line, const REAL *w[STREAMS],
                                ptrdiff_t w_line, const MASK chosen[STREAMS], unsigned present,
                                VECTOR acc[STREAMS][TC_MAX_LINES], const int lines, const int reach,
                                const int step, const int streams, const int missing,
                                const bool by_lane)
{
    VECTOR weight[STREAMS][TC_REACH];
#pragma GCC unroll 2
    for (int v = 0; v < streams; v++) {
#pragma GCC unroll 16
        for (int i = 0; i < reach; i++) {
            const REAL *const one = w[v] + i * w_line;
            const VECTOR any = by_lane ? T(load)(one) : T(broadcast)(*one);
            weight[v][i] = missing == T(PART) ? T(only)(chosen[v], any) : any;
        }
    }
#pragma GCC unroll 32
    for (int i = 0; i < (lines - 1) * step + reach; i++) {
        if (missing == T(WHOLE) || __builtin_expect((present & 1u << i) != 0, 1)) {
#pragma GCC unroll 2
            for (int v = 0; v < streams; v++) {
                const VECTOR in =
                    T(keep)(missing == T(PART) ? T(load_masked)(x[v], chosen[v]) : T(load)(x[v]));
#pragma GCC unroll 16
                for (int r = 0; r < lines; r++) {
                    const int t = i - r * step;
                    if (t >= 0 && t < reach) {
                        acc[v][r] = T(fma)(in, weight[v][t], acc[v][r]);
                    }
                }
            }
        }
#pragma GCC unroll 2
        for (int v = 0; v < streams; v++) {
            x[v] += x_line;
        }
    }
}

/* Hints that so many lines will be wanted. */
static INLINE void T(hint)(const REAL *from[STREAMS], ptrdiff_t line, int lines, const int streams)
{
    for (int r = 0; r < lines; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < streams; v++) {
            __builtin_prefetch(from[v] + r * line);
        }
    }
}

/* Some streams; what is constant where this is called makes straight code. */
static INLINE void T(lines_streams)(const struct tc_lines *args, const struct T(stream) * stream,
                                    const REAL *ahead[STREAMS], const int lines, const int reach,
                                    const int step, const int streams, const int missing,
                                    const bool by_lane, const bool hints)
{
    const ptrdiff_t x_line = args->x_line, w_line = args->w_line, w_tap = args->w_tap;
    const REAL *x[STREAMS], *w[STREAMS], *from[STREAMS], *weights[STREAMS], *next[STREAMS];
    MASK chosen[STREAMS];
    VECTOR acc[STREAMS][TC_MAX_LINES];
#pragma GCC unroll 2
    for (int v = 0; v < streams; v++) {
        const REAL *const bias = stream[v].bias;
        chosen[v] = T(between)(stream[v].at, 0, (int)args->columns);
        VECTOR start = T(zero)();
        if (bias) {
            start = by_lane ? T(load_masked)(bias + stream[v].at, chosen[v]) : T(broadcast)(*bias);
        }
#pragma GCC unroll 16
        for (int r = 0; r < lines; r++) {
            acc[v][r] = start;
        }
        x[v] = stream[v].x + stream[v].at;
        w[v] = stream[v].w + (by_lane ? stream[v].at : 0);
    }
    const struct tc_line_sheet *const end = args->sheet + args->sheets;
    for (const struct tc_line_sheet *sheet = args->sheet; sheet < end; sheet++) {
        const struct tc_line_tap *tap = args->tap + sheet->first_tap;
        const struct tc_line_tap *const last = args->tap + sheet->last_tap;
        unsigned present = sheet->lines;
        ptrdiff_t w_at = sheet->w + sheet->first_tap * w_tap, next_at = sheet->next;
        int left = sheet->hints;
        for (; tap < last; tap++, w_at += w_tap) {
            if (hints && left-- > 0) {
#pragma GCC unroll 2
                for (int v = 0; v < streams; v++) {
                    next[v] = ahead[v] + stream[v].at * args->x_next_column + next_at;
                }
                T(hint)(next, args->x_next_line, lines * step, streams);
                next_at += args->x_next_tap;
            }
#pragma GCC unroll 2
            for (int v = 0; v < streams; v++) {
                from[v] = x[v] + sheet->x + tap->x;
                weights[v] = w[v] + w_at;
                if (missing == T(PART) && !by_lane) {
                    chosen[v] = T(between)(stream[v].at, tap->begin, tap->end);
                }
            }
            KEEP_WORD(present);
            T(lines_tap)(from, x_line, weights, w_line, chosen, present, acc, lines, reach, step,
                         streams, missing, by_lane);
        }
    }
    if (hints) {
#pragma GCC unroll 2
        for (int v = 0; v < streams; v++) {
            next[v] = stream[v].y + stream[v].at + args->y_next;
        }
        T(hint)(next, args->y_line, lines, streams);
    }
#pragma GCC unroll 2
    for (int v = 0; v < streams; v++) {
        const ptrdiff_t rest = args->columns - stream[v].at;
        REAL *y = stream[v].y + stream[v].at;
#pragma GCC unroll 16
        for (int r = 0; r < lines; r++, y += args->y_line) {
            if (missing == T(PART)) {
                T(store_part)(y, acc[v][r], rest);
            } else {
                T(store)(y, acc[v][r]);
            }
        }
    }
}

/* Columns begin <= v < end; those of [whole_begin, whole_end) count for all taps of all lines. */
struct T(columns) {
    ptrdiff_t begin, end, whole_begin, whole_end;
};

/* Makes it the next vector: of its channel's columns, or the first of the next channel. */
static INLINE void T(next_stream)(const struct tc_lines *args, struct T(columns) columns,
                                  struct T(stream) * stream)
{
    stream->at += LANES;
    if (stream->at >= columns.end) {
        stream->at = columns.begin;
        stream->x += args->x_channel;
        stream->w += args->w_channel;
        stream->y += args->y_channel;
        stream->bias = stream->bias ? stream->bias + args->bias_channel : NULL;
    }
}

static INLINE void T(lines_columns)(const struct tc_lines *args, struct T(columns) columns,
                                    const int lines, const int reach, const int step,
                                    const bool by_lane, const bool hints)
{
    ptrdiff_t left = args->channels * ((columns.end - columns.begin + LANES - 1) / LANES);
    struct T(stream) next = {args->x, args->w, args->bias, args->y, columns.begin};
    struct T(stream) stream[STREAMS];
    const REAL *ahead[STREAMS], *next_ahead = args->x_next;
    while (left > 0) {
        const int streams = left >= STREAMS ? STREAMS : 1;
        bool whole = true;
        for (int v = 0; v < streams; v++, left--) {
            stream[v] = next;
            whole = whole && next.at >= columns.whole_begin && next.at + LANES <= columns.whole_end;
            T(next_stream)(args, columns, &next);
            if (hints) {
                ahead[v] = next_ahead;
                next_ahead += next.at == columns.begin ? args->x_next_channel : 0;
            }
        }
        if (STREAMS > 1 && streams == STREAMS) {
            if (whole && !hints) { /* who waits for memory has time for masks */
                T(lines_streams)(args, stream, ahead, lines, reach, step, STREAMS, T(WHOLE),
                                 by_lane, hints);
            } else {
                T(lines_streams)(args, stream, ahead, lines, reach, step, STREAMS, T(PART), by_lane,
                                 hints);
            }
        } else if (STREAMS == 1 && whole && !hints) {
            T(lines_streams)(args, stream, ahead, lines, reach, step, 1, T(WHOLE), by_lane, hints);
        } else { /* of two, one is left at the end of a line */
            T(lines_streams)(args, stream, ahead, lines, reach, step, 1, T(PART), by_lane, hints);
        }
    }
}

static INLINE void T(lines_switch)(const struct tc_lines *args, struct T(columns) columns,
                                   const int lines, const bool by_lane, const bool hints)
{
    const bool two = lines > 1 && args->step == 2; /* of one line it is the same */
    switch (args->reach) {
    case 1:
        T(lines_columns)(args, columns, lines, 1, 1, by_lane, hints);
        break;
    case 3:
        if (two) {
            T(lines_columns)(args, columns, lines, 3, 2, by_lane, hints);
        } else {
            T(lines_columns)(args, columns, lines, 3, 1, by_lane, hints);
        }
        break;
    case 4:
        T(lines_columns)(args, columns, lines, 4, 2, by_lane, hints);
        break;
    case 5:
        if (two) {
            T(lines_columns)(args, columns, lines, 5, 2, by_lane, hints);
        } else {
            T(lines_columns)(args, columns, lines, 5, 1, by_lane, hints);
        }
        break;
    case 7:
        T(lines_columns)(args, columns, lines, 7, 1, by_lane, hints);
        break;
    default:
        break;
    }
}

static INLINE void T(lines_all)(const struct tc_lines *args, struct T(columns) columns,
                                const bool by_lane, const bool hints)
{
    switch (args->lines) {
    case 1:
        T(lines_switch)(args, columns, 1, by_lane, hints);
        break;
    case 4:
        T(lines_switch)(args, columns, 4, by_lane, hints);
        break;
    case TC_MAX_LINES:
        T(lines_switch)(args, columns, TC_MAX_LINES, by_lane, hints);
        break;
    default:
        break;
    }
}

/* Whether all lines of all sheets are there. */
static INLINE bool T(lines_are_whole)(const struct tc_lines *args)
{
    const unsigned all = (1u << ((args->lines - 1) * args->step + args->reach)) - 1;
    bool whole = true;
    for (ptrdiff_t m = 0; m < args->sheets; m++) {
        whole = whole && args->sheet[m].lines == all;
    }
    return whole;
}

/* By themselves, for the registers' sake. */
static NOINLINE void T(lines_hinting)(const struct tc_lines *args, struct T(columns) columns)
{
    T(lines_all)(args, columns, false, true);
}

static NOINLINE void T(channels_hinting)(const struct tc_lines *args, struct T(columns) columns)
{
    T(lines_all)(args, columns, true, true);
}

/* All lines, columns begin <= v < end. */
static void T(lines_between)(const struct tc_lines *args, ptrdiff_t begin, ptrdiff_t end)
{
    struct T(columns) columns = {begin, end, begin, T(lines_are_whole)(args) ? end : begin};
    for (ptrdiff_t j = 0; j < args->taps; j++) {
        const struct tc_line_tap *const tap = &args->tap[j];
        columns.whole_begin = tap->begin > columns.whole_begin ? tap->begin : columns.whole_begin;
        columns.whole_end = tap->end < columns.whole_end ? tap->end : columns.whole_end;
    }
    if (HINTS && args->y_next) {
        T(lines_hinting)(args, columns);
    } else {
        T(lines_all)(args, columns, false, false);
    }
}

/* All lines and columns, a weight for each column. */
static INLINE void T(lines_of_channels)(const struct tc_lines *args)
{
    const struct T(columns)
        columns = {0, args->columns, 0, T(lines_are_whole)(args) ? args->columns : 0};
    if (HINTS && args->y_next) {
        T(channels_hinting)(args, columns);
    } else {
        T(lines_all)(args, columns, true, false);
    }
}

#undef REAL
#undef VECTOR
#undef LANES
#undef MASK
#undef HINTS
#undef T
