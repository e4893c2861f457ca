/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel `lines` in terms of vectors, included by kernels_tmpl.h, and by itself for vectors of
 * two channels, LANES of each, with the macros that stand there and the functions
 *
 *   zero, broadcast, load, store, store_part, fma, only, keep, fma_masked   as there
 *   between                                    the lanes l for which begin <= at + l < end
 *   load_masked                                the chosen lanes; the others are 0 and not read
 *   broadcast_of, load_of and so on            instead of those, of two channels: what belongs to
 *                                              the second lies `other` elements further
 *
 * the macros HINTS, 1 if there is to be code that gives hints, else 0, CHANNELS, of how many a
 * vector is, whose lines are no longer if there are two, and, of the instruction set, STREAMS, how
 * many vectors of outputs are summed at a time in each line, SHARED, the table's shared_outputs,
 * TALL, its tall_lines, and KEEP_WORD, which keeps a word or a place in one register, and not its
 * bits or the places that follow in one each.
 *
 * A line of inputs is loaded once for each tap and goes to all lines of outputs that it meets,
 * which takes (lines - 1)*step + reach loads for lines*reach multiply-adds. The seven sums of a
 * vector wait for each other; two vectors, of one channel or of two, wait half as long, and so do
 * those of twice as many lines, which load less: most loads span two lines of the cache and take as
 * long as a multiply-add or two. Outputs of a group share their loads, three of them if the kernel
 * has as many lines, or two, for the registers' sake. Lone lines, each a sum that waits for itself
 * alone, are summed four vectors at a time.
 *
 * A processor drops hints that come faster than it can follow, about one in seven cycles. So those
 * for a vector of the next strip are given a tap's share at a time while this one is summed. */

#if CHANNELS == 1
static INLINE VECTOR T(broadcast_of)(const REAL *p, ptrdiff_t other)
{
    (void)other;
    return T(broadcast)(*p);
}

static INLINE VECTOR T(load_of)(const REAL *p, ptrdiff_t other)
{
    (void)other;
    return T(load)(p);
}

static INLINE VECTOR T(load_masked_of)(const REAL *p, ptrdiff_t other, MASK chosen)
{
    (void)other;
    return T(load_masked)(p, chosen);
}

static INLINE void T(store_of)(REAL *p, ptrdiff_t other, VECTOR v)
{
    (void)other;
    T(store)(p, v);
}

static INLINE void T(store_part_of)(REAL *p, ptrdiff_t other, VECTOR v, ptrdiff_t n)
{
    (void)other;
    T(store_part)(p, v, n);
}
#endif

/* A vector of outputs in each line, the first of them `at`: where it and what it reads begin, and
 * where what it hints at does. */
struct T(stream) {
    const REAL *x, *w, *bias, *ahead;
    REAL *y;
    ptrdiff_t at;
};

/* How far they lie from those of another vector. */
struct T(apart) {
    ptrdiff_t x, w, bias, ahead, y, at;
};

static INLINE void T(move)(struct T(stream) * stream, const struct T(apart) * apart,
                           ptrdiff_t times)
{
    stream->x += times * apart->x;
    stream->w += times * apart->w;
    stream->bias = stream->bias ? stream->bias + times * apart->bias : NULL;
    stream->ahead = stream->ahead ? stream->ahead + times * apart->ahead : NULL;
    stream->y += times * apart->y;
    stream->at += times * apart->at;
}

/* Streams that are summed together: so many of lone lines, STREAMS of others. */
enum { T(MOST_STREAMS) = 4 };

/* Which of what it may read is not there: nothing, or lines and the columns of some taps. */
enum { T(WHOLE), T(PART) };

/* Adds the products of one tap of a sheet, whose line that the first output meets is at x. */
static INLINE void T(lines_tap)(const REAL *x, const REAL *w, const struct T(apart) * apart,
                                ptrdiff_t x_other, ptrdiff_t w_other, ptrdiff_t x_line,
                                ptrdiff_t w_line, const MASK chosen[T(MOST_STREAMS)],
                                unsigned present, VECTOR acc[T(MOST_STREAMS)][TC_TALL_LINES],
                                const int lines, const int reach, const int step, const int streams,
                                const int missing, const bool by_lane, const bool shared)
{
    const bool masked = missing == T(PART) && MASKED == 2; /* the sums, else the weights */
    VECTOR weight[T(MOST_STREAMS)][TC_REACH];
#pragma GCC unroll 16
    for (int i = 0; i < reach; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < streams; v++) {
            const REAL *const one = w + v * apart->w;
            const VECTOR any = by_lane ? T(load_of)(one, w_other) : T(broadcast_of)(one, w_other);
            weight[v][i] = missing == T(PART) && !masked ? T(only)(chosen[v], any) : any;
        }
        w += w_line;
    }
#pragma GCC unroll 32
    for (int i = 0; i < (lines - 1) * step + reach; i++) {
        if (missing == T(WHOLE) || __builtin_expect((present & 1u << i) != 0, 1)) {
            VECTOR in = T(zero)();
#pragma GCC unroll 4
            for (int v = 0; v < streams; v++) {
                const REAL *const from = x + v * apart->x;
                if (v == 0 || !shared) {
                    in = T(keep)(missing == T(PART) ? T(load_masked_of)(from, x_other, chosen[v])
                                                    : T(load_of)(from, x_other));
                }
#pragma GCC unroll 16
                for (int r = 0; r < lines; r++) {
                    const int t = i - r * step;
                    if (t >= 0 && t < reach) {
                        acc[v][r] = masked ? T(fma_masked)(chosen[v], in, weight[v][t], acc[v][r])
                                           : T(fma)(in, weight[v][t], acc[v][r]);
                    }
                }
            }
        }
        x += x_line;
        KEEP_WORD(x);
    }
}

/* Hints that so many lines will be wanted, in the second cache: what comes into the first by hints
 * pushes out what is summed, and waits in its few slots for misses. */
static INLINE void T(hint)(const REAL *from, ptrdiff_t apart, ptrdiff_t line, int lines,
                           const int streams)
{
    for (int r = 0; r < lines; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < streams; v++) {
            __builtin_prefetch(from + v * apart + r * line, 0, 2);
        }
    }
}

/* Some streams, the first and others so far apart; what is constant where this is called makes
 * straight code. */
static INLINE void T(lines_streams)(const struct tc_lines *args, struct T(stream) first,
                                    const struct T(apart) * apart, const int lines, const int reach,
                                    const int step, const int streams, const int missing,
                                    const bool by_lane, const bool shared, const bool hints)
{
    const ptrdiff_t x_line = args->x_line, w_line = args->w_line, w_tap = args->w_tap;
    const ptrdiff_t y_line = args->y_line;
    MASK chosen[T(MOST_STREAMS)];
    VECTOR acc[T(MOST_STREAMS)][TC_TALL_LINES];
#pragma GCC unroll 4
    for (int v = 0; v < streams; v++) {
        chosen[v] = T(between)(first.at + v * apart->at, 0, (int)args->columns);
        VECTOR start = T(zero)();
        if (first.bias) {
            const REAL *const bias = first.bias + v * apart->bias;
            start = by_lane ? T(load_masked_of)(bias, args->bias_channel, chosen[v])
                            : T(broadcast_of)(bias, args->bias_channel);
        }
#pragma GCC unroll 16
        for (int r = 0; r < lines; r++) {
            acc[v][r] = start;
        }
    }
    const struct tc_line_sheet *const end = args->sheet + args->sheets;
    for (const struct tc_line_sheet *sheet = args->sheet; sheet < end; sheet++) {
        const struct tc_line_tap *tap = args->tap + sheet->first_tap;
        const struct tc_line_tap *const last = args->tap + sheet->last_tap;
        unsigned present = sheet->lines;
        const REAL *const from = first.x + sheet->x;
        const REAL *w = first.w + sheet->w + sheet->first_tap * w_tap;
        ptrdiff_t next_at = sheet->next;
        int left = sheet->hints;
        for (; tap < last; tap++, w += w_tap) {
            if (hints && first.ahead && left-- > 0) {
                T(hint)(first.ahead + next_at, apart->ahead, args->x_next_line, lines * step,
                        shared ? 1 : streams);
                next_at += args->x_next_tap;
            }
            if (missing == T(PART) && !by_lane) {
#pragma GCC unroll 4
                for (int v = 0; v < streams; v++) {
                    chosen[v] = T(between)(first.at + v * apart->at, tap->begin, tap->end);
                }
            }
            KEEP_WORD(present);
            T(lines_tap)(from + tap->x, w, apart, args->x_channel, args->w_channel, x_line, w_line,
                         chosen, present, acc, lines, reach, step, streams, missing, by_lane,
                         shared);
        }
    }
    if (hints) {
        T(hint)(first.y + args->y_next, apart->y, args->y_line, lines, streams);
    }
#pragma GCC unroll 4
    for (int v = 0; v < streams; v++) {
        const ptrdiff_t rest = args->columns - first.at - v * apart->at;
        REAL *y = first.y + v * apart->y;
#pragma GCC unroll 16
        for (int r = 0; r < lines; r++, y += y_line) {
            if (missing == T(PART)) {
                T(store_part_of)(y, args->y_channel, acc[v][r], rest);
            } else {
                T(store_of)(y, args->y_channel, acc[v][r]);
            }
        }
    }
}

/* Columns begin <= v < end; those of [whole_begin, whole_end) count for all taps of all lines. */
struct T(columns) {
    ptrdiff_t begin, end, whole_begin, whole_end;
};

/* Some streams, of whose columns all may count or not. Who waits for memory has time for masks,
 * unless outputs share inputs, whose sums are many, and a line of one vector of outputs is seldom
 * whole. */
static INLINE void T(lines_at)(const struct tc_lines *args, struct T(columns) columns,
                               struct T(stream) first, const struct T(apart) * apart,
                               const int lines, const int reach, const int step, const int streams,
                               const bool by_lane, const bool shared, const bool hints)
{
    const ptrdiff_t last = first.at + (streams - 1) * apart->at;
    if ((!hints || shared) && (by_lane || shared || apart->at > 0) &&
        first.at >= columns.whole_begin && last + LANES <= columns.whole_end) {
        T(lines_streams)(args, first, apart, lines, reach, step, streams, T(WHOLE), by_lane, shared,
                         hints);
    } else {
        T(lines_streams)(args, first, apart, lines, reach, step, streams, T(PART), by_lane, shared,
                         hints);
    }
}

/* Sums as many of `count` streams as can be summed `together`, and leaves `first` behind them;
 * returns how many are left. */
static INLINE ptrdiff_t T(lines_together)(const struct tc_lines *args, struct T(columns) columns,
                                          struct T(stream) * first, const struct T(apart) * apart,
                                          ptrdiff_t count, const int together, const int lines,
                                          const int reach, const int step, const bool by_lane,
                                          const bool hints)
{
    for (; count >= together; count -= together, T(move)(first, apart, together)) {
        T(lines_at)(args, columns, *first, apart, lines, reach, step, together, by_lane, false,
                    hints);
    }
    return count;
}

/* How far what belongs to a channel, a column, a vector of columns and an output lies from the
 * next. */
struct T(steps) {
    struct T(apart) channel, column, vector, output;
};

/* One output of all channels. The streams that are summed together follow each other in a line,
 * where they lie a constant way apart, which saves registers, or, if that is one vector, are of
 * channels that follow each other. Where they are summed one by one, the channels of such lines are
 * gone through as vectors are. */
static INLINE void T(lines_output)(const struct tc_lines *args, struct T(columns) columns,
                                   struct T(stream) first, const struct T(steps) * steps,
                                   const int lines, const int reach, const int step,
                                   const bool by_lane, const bool hints)
{
    const ptrdiff_t vectors = (columns.end - columns.begin + LANES - 1) / LANES;
    const int together = lines > TC_MAX_LINES ? 1 : STREAMS;
    const ptrdiff_t channels = args->channels / CHANNELS;
    const bool one = CHANNELS > 1 || vectors == 1, one_by_one = one && together == 1;
    const struct T(apart) apart = one_by_one ? steps->channel : steps->vector;
    ptrdiff_t rows = one_by_one ? 1 : channels;
    if (one && together > 1) {
        rows = T(lines_together)(args, columns, &first, &steps->channel, rows, together, lines,
                                 reach, step, by_lane, hints);
    }
    for (; rows > 0; rows--, T(move)(&first, &steps->channel, 1)) {
        struct T(stream) stream = first;
        ptrdiff_t left = one_by_one ? channels : vectors;
        if (!one && lines == 1 && reach == 1) {
            left = T(lines_together)(args, columns, &stream, &steps->vector, left, T(MOST_STREAMS),
                                     lines, reach, step, by_lane, hints);
        }
        if (CHANNELS == 1 || together == 1) {
            left = T(lines_together)(args, columns, &stream, &apart, left, together, lines, reach,
                                     step, by_lane, hints);
        }
        if (left > 0 && together > 1) { /* of two, one is left at the end */
            T(lines_streams)(args, stream, &steps->vector, lines, reach, step, 1, T(PART), by_lane,
                             false, hints);
        }
    }
}

/* Outputs of all channels that load their inputs together. */
static INLINE void T(lines_outputs)(const struct tc_lines *args, struct T(columns) columns,
                                    struct T(stream) first, const struct T(steps) * steps,
                                    const int together, const int lines, const int reach,
                                    const int step, const bool hints)
{
    for (ptrdiff_t c = 0; c < args->channels / CHANNELS; c++, T(move)(&first, &steps->channel, 1)) {
        struct T(stream) stream = first;
        for (; stream.at < columns.end; T(move)(&stream, &steps->vector, 1)) {
            T(lines_at)(args, columns, stream, &steps->output, lines, reach, step, together, false,
                        true, hints);
        }
    }
}

/* As many times so many outputs as are asked for; leaves `first` behind them, without hints: one
 * output gives them for all. */
static INLINE void T(lines_sharing)(const struct tc_lines *args, struct T(columns) columns,
                                    struct T(stream) * first, const struct T(steps) * steps,
                                    ptrdiff_t times, const int together, const int lines,
                                    const int reach, const int step, const bool hints)
{
    for (; times > 0; times--, T(move)(first, &steps->output, together)) {
        T(lines_outputs)(args, columns, *first, steps, together, lines, reach, step, hints);
        first->ahead = NULL;
    }
}

static INLINE void T(lines_columns)(const struct tc_lines *args, struct T(columns) columns,
                                    const int lines, const int reach, const int step,
                                    const bool by_lane, const bool hints)
{
    const ptrdiff_t own = by_lane ? 1 : 0; /* elements of w and bias from a column to the next */
    const ptrdiff_t ahead = hints ? args->x_next_column : 0;
    const struct T(steps) steps = {
        .channel = {.x = CHANNELS * args->x_channel,
                    .w = CHANNELS * args->w_channel,
                    .bias = CHANNELS * args->bias_channel,
                    .ahead = hints ? args->x_next_channel : 0,
                    .y = CHANNELS * args->y_channel},
        .column = {1, own, own, ahead, 1, 1},
        .vector = {LANES, LANES * own, LANES * own, LANES * ahead, LANES, LANES},
        .output = {.w = args->w_output, .bias = args->bias_output, .y = args->y_output},
    };
    struct T(stream)
        first = {args->x, args->w, args->bias, hints ? args->x_next : NULL, args->y, 0};
    T(move)(&first, &steps.column, columns.begin);
    ptrdiff_t outputs = args->outputs;
    if (SHARED > 1 && !by_lane && lines > 1 && lines <= TC_MAX_LINES && reach > 1) {
        const ptrdiff_t rest = outputs % 3; /* with threes that leave none alone */
        const ptrdiff_t threes =
            SHARED > 2 && reach == 3 && outputs > 2 ? outputs / 3 - (rest == 1) : 0;
        T(lines_sharing)(args, columns, &first, &steps, threes, 3, lines, reach, step, hints);
        outputs -= 3 * threes;
        T(lines_sharing)(args, columns, &first, &steps, outputs / 2, 2, lines, reach, step, hints);
        outputs %= 2;
    }
    for (; outputs > 0; outputs--, T(move)(&first, &steps.output, 1)) {
        T(lines_output)(args, columns, first, &steps, lines, reach, step, by_lane, hints);
        first.ahead = NULL;
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
    case TC_TALL_LINES:
        if (TALL == TC_TALL_LINES && !by_lane) {
            T(lines_columns)(args, columns, TC_TALL_LINES, 3, 1, false, hints);
        }
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

/* All lines, columns begin <= v < end, of as many channels as fill vectors. */
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
#undef CHANNELS
#undef T
