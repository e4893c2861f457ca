/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels in terms of vectors, included once a dtype by each kernels_<isa>.c, which defines
 *
 *   REAL              float or double
 *   VECTOR, LANES     the vector type and its number of elements
 *   MASK              the type of a choice of lanes
 *   T(name)           name with the dtype's suffix
 *   ROWS_1 .. ROWS_4  the rows of a tile of so many vectors; 0 if there is none
 *   DOT_TAPS          5 if there are 32 registers, else 3
 *   MASKED            2 if fma_masked is as fast as fma, else 1: see tile_tap
 *
 * and the functions
 *
 *   zero, broadcast, load, store, fma          as their names say; fma(a, b, c) is a*b + c
 *   load_part, store_part                      of the first 1 <= n <= LANES elements; the
 *                                              others are read as 0 and not written
 *   mask_at                                    the choice that LANES bits from bit `at` on make
 *   only                                       a vector in the chosen lanes, 0 in the others
 *   fma_masked                                 fma in the chosen lanes, c or c + 0 in the others
 *   keep                                       the vector, in a register: gcc would rather load it
 *                                              again for each use
 *   stream, finish_stream                      store past the caches, p being aligned; to be
 *                                              called after the last
 *   zip, unzip                                 of a and b: a0 b0 a1 b1 ... in two vectors, and back
 *   unzip_3                                    of three vectors' elements, every third from the
 *                                              first, second and third on
 *   transpose_vectors                          of LANES vectors, in place
 *   between, load_masked                       see lines_tmpl.h
 *
 * Accumulators must stay in registers: every loop over them has constant bounds after inlining
 * and is unrolled, those that load and store included. */

/* ---- zip ---- */

enum { T(MOST_ZIPPED) = 8 };

/* The elements of `count` vectors, a power of two, 3 or 6, taken from each in turn. */
static INLINE void T(zip_all)(VECTOR v[T(MOST_ZIPPED)], const int count)
{
    if (count % 3 == 0) {
#pragma GCC unroll 3
        for (int i = 0; i < count - 3; i++) {
            T(zip)(&v[i], &v[i + 3]);
        }
        T(zip_3)(v);
        if (count > 3) {
            T(zip_3)(v + 3);
        }
        return;
    }
#pragma GCC unroll 4
    for (int half = count / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
        for (int first = 0; first < count; first += 2 * half) {
#pragma GCC unroll 4
            for (int i = first; i < first + half; i++) {
                T(zip)(&v[i], &v[i + half]);
            }
        }
    }
}

/* The elements of `count` vectors, 2 to 4, by their remainders of `count`. */
static INLINE void T(unzip_all)(VECTOR v[4], const int count)
{
    if (count == 3) {
        T(unzip_3)(v);
        return;
    }
    T(unzip)(&v[0], &v[1]);
    if (count == 4) {
        T(unzip)(&v[2], &v[3]);
        T(unzip)(&v[0], &v[2]);
        T(unzip)(&v[1], &v[3]);
    }
}

/* ---- tile ---- */

/* How a tile reads A and B: both in steps, A by lane, or B by a list. */
enum { T(IN_STEPS), T(BY_LANE), T(LISTED) };

/* Adds the products of one tap to the accumulators; rows, width and what follows are constants
 * where this is called. The mask clears so many factors of a product as `masked` says: none, that
 * of B, or both. If `in_line`, the rows of A follow each other. */
static INLINE void T(tile_tap)(const struct tc_tile *tile, const REAL *a, const REAL *b,
                               const REAL *ahead, const unsigned char *mask,
                               const ptrdiff_t a_row[TC_MAX_ROWS],
                               VECTOR acc[TC_MAX_ROWS][TC_WIDTHS], const int rows, const int width,
                               const int masked, const int reads, const int zip)
{
    const bool by_lane = reads == T(BY_LANE), listed = reads == T(LISTED);
    const bool in_line = zip > 0, hints = zip == 1;
    const ptrdiff_t a_k = tile->a_k, b_k = listed ? 0 : tile->b_k, *at = tile->b_at;
    const REAL *line = a + a_row[0];
    MASK chosen[TC_WIDTHS];
#pragma GCC unroll 16
    for (int v = 0; v < width && masked; v++) {
        chosen[v] = T(mask_at)(mask, tile->mask_at + v * LANES);
    }
    for (ptrdiff_t k = tile->k; k > 0; k--, a += a_k, line += a_k, b += b_k) {
        const REAL *const from = listed ? b + *at++ : b;
        if (hints) {
            __builtin_prefetch(ahead, 0, 2);
            ahead += tile->ahead_k;
        }
        VECTOR lanes[TC_WIDTHS];
#pragma GCC unroll 16
        for (int v = 0; v < width; v++) {
            const VECTOR all = T(load)(from + v * LANES);
            lanes[v] = masked == 1 ? T(only)(chosen[v], all) : all;
            lanes[v] = rows > 1 ? T(keep)(lanes[v]) : lanes[v];
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const VECTOR one = by_lane ? T(zero)() : T(broadcast)(in_line ? line[r] : a[a_row[r]]);
#pragma GCC unroll 16
            for (int v = 0; v < width; v++) {
                const VECTOR x = by_lane ? T(load)(a + a_row[r] + v * LANES) : one;
                acc[r][v] = masked == 2 ? T(fma_masked)(chosen[v], x, lanes[v], acc[r][v])
                                        : T(fma)(x, lanes[v], acc[r][v]);
            }
        }
    }
}

static INLINE void T(store_rows)(const struct tc_tile *tile, VECTOR acc[TC_MAX_ROWS][TC_WIDTHS],
                                 const int rows, const int width)
{
    const ptrdiff_t part = tile->lanes - (width - 1) * LANES;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        REAL *const c = (REAL *)tile->c + tile->c_row[r];
#pragma GCC unroll 16
        for (int v = 0; v < width - 1; v++) {
            T(store)(c + v * LANES, acc[r][v]);
        }
        T(store_part)(c + (width - 1) * LANES, acc[r][width - 1], part);
    }
}

static INLINE void T(store_zipped)(const struct tc_tile *tile, VECTOR acc[TC_MAX_ROWS][TC_WIDTHS],
                                   const int rows, const int width, const int zip)
{
#pragma GCC unroll 16
    for (int r = 0; r < rows; r += zip) {
        REAL *const c = (REAL *)tile->c + tile->c_row[r];
#pragma GCC unroll 16
        for (int v = 0; v < width; v++) {
            VECTOR group[T(MOST_ZIPPED)];
#pragma GCC unroll 4
            for (int i = 0; i < zip; i++) {
                group[i] = acc[r + i][v];
            }
            T(zip_all)(group, zip);
#pragma GCC unroll 4
            for (int i = 0; i < zip; i++) {
                const ptrdiff_t at = (v * zip + i) * LANES, left = tile->lanes * zip - at;
                if (v < width - 1 || left >= LANES) {
                    T(store)(c + at, group[i]);
                } else if (left > 0) {
                    T(store_part)(c + at, group[i], left);
                }
            }
        }
    }
}

/* C for exactly `rows` rows and `width` vectors. */
static INLINE void T(tile_of)(const struct tc_tile *tile, const int rows, const int width,
                              const int masked, const int reads, const int zip)
{
    const ptrdiff_t part = tile->lanes - (width - 1) * LANES;
    VECTOR acc[TC_MAX_ROWS][TC_WIDTHS];
    ptrdiff_t a_row[TC_MAX_ROWS];

#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        a_row[r] = tile->a_row[r];
    }
    if (tile->add) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const REAL *const c = (const REAL *)tile->c + tile->c_row[r];
#pragma GCC unroll 16
            for (int v = 0; v < width; v++) {
                acc[r][v] =
                    v < width - 1 ? T(load)(c + v * LANES) : T(load_part)(c + v * LANES, part);
            }
        }
    } else {
        const REAL *const bias = tile->bias;
        const bool by_row = bias && tile->bias_by_row;
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
#pragma GCC unroll 16
            for (int v = 0; v < width; v++) {
                acc[r][v] = by_row ? T(broadcast)(bias[r])
                            : bias ? T(load)(bias + v * LANES)
                                   : T(zero)();
            }
        }
    }
    for (ptrdiff_t t0 = 0; t0 < tile->taps[0]; t0++) {
        for (ptrdiff_t t1 = 0; t1 < tile->taps[1]; t1++) {
            for (ptrdiff_t t2 = 0; t2 < tile->taps[2]; t2++) {
                const REAL *const a = (const REAL *)tile->a + t0 * tile->a_tap[0] +
                                      t1 * tile->a_tap[1] + t2 * tile->a_tap[2];
                const REAL *const b = (const REAL *)tile->b + t0 * tile->b_tap[0] +
                                      t1 * tile->b_tap[1] + t2 * tile->b_tap[2];
                const unsigned char *const mask = masked ? tile->mask + t0 * tile->mask_tap[0] +
                                                               t1 * tile->mask_tap[1] +
                                                               t2 * tile->mask_tap[2]
                                                         : NULL;
                const REAL *const ahead =
                    zip == 1 ? (const REAL *)tile->ahead + t2 * tile->ahead_tap : NULL;
                T(tile_tap)(tile, a, b, ahead, mask, a_row, acc, rows, width, masked, reads, zip);
            }
        }
    }
    if (zip > 1) {
        T(store_zipped)(tile, acc, rows, width, zip);
    } else {
        T(store_rows)(tile, acc, rows, width);
    }
}

/* The same if a tile may have so many rows: nothing is compiled for more than `most`, or for a
 * group of rows that is not whole. */
static INLINE void T(tile_in)(const struct tc_tile *tile, const int rows, const int most,
                              const int width, const int masked, const int reads, const int zip)
{
    if (rows <= most && (zip == 0 || rows % zip == 0)) {
        T(tile_of)(tile, rows, width, masked, reads, zip);
    }
}

/* The same for tile->rows; all other arguments are constants. */
static INLINE void T(tile_switch)(const struct tc_tile *tile, const int most, const int width,
                                  const int masked, const int reads, const int zip)
{
    /* clang-format off */
    switch (tile->rows) {
    case 1: T(tile_in)(tile, 1, most, width, masked, reads, zip); break;
    case 2: T(tile_in)(tile, 2, most, width, masked, reads, zip); break;
    case 3: T(tile_in)(tile, 3, most, width, masked, reads, zip); break;
    case 4: T(tile_in)(tile, 4, most, width, masked, reads, zip); break;
    case 5: T(tile_in)(tile, 5, most, width, masked, reads, zip); break;
    case 6: T(tile_in)(tile, 6, most, width, masked, reads, zip); break;
    case 7: T(tile_in)(tile, 7, most, width, masked, reads, zip); break;
    case 8: T(tile_in)(tile, 8, most, width, masked, reads, zip); break;
    case 9: T(tile_in)(tile, 9, most, width, masked, reads, zip); break;
    case 10: T(tile_in)(tile, 10, most, width, masked, reads, zip); break;
    case 11: T(tile_in)(tile, 11, most, width, masked, reads, zip); break;
    case 12: T(tile_in)(tile, 12, most, width, masked, reads, zip); break;
    case 13: T(tile_in)(tile, 13, most, width, masked, reads, zip); break;
    case 14: T(tile_in)(tile, 14, most, width, masked, reads, zip); break;
    default: break;
    }
    /* clang-format on */
}

/* Masked tiles, those by lane, by a list and with hints are functions of their own: where a
 * function has more than a hundred loops, gcc lets registers spill in the innermost. */
static NOINLINE void T(masked_1)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_1, 1, MASKED, T(IN_STEPS), 0);
}

static NOINLINE void T(masked_2)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_2, 2, MASKED, T(IN_STEPS), 0);
}

static NOINLINE void T(masked_3)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_3, 3, MASKED, T(IN_STEPS), 0);
}

static NOINLINE void T(masked_4)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_4, 4, MASKED, T(IN_STEPS), 0);
}

/* A masked tile row by row. What is not finite in A must not meet a zero in lanes that do not
 * count. */
static NOINLINE void T(masked_by_row)(const struct tc_tile *tile, int width)
{
    for (ptrdiff_t r = 0; r < tile->rows; r++) {
        struct tc_tile row = *tile;
        row.rows = 1;
        row.a_row += r;
        row.c_row += r;
        if (row.bias && row.bias_by_row) {
            row.bias = (const REAL *)row.bias + r;
        }
        /* clang-format off */
        switch (width) {
        case 1: T(tile_in)(&row, 1, ROWS_1, 1, 2, T(IN_STEPS), 0); break;
        case 2: T(tile_in)(&row, 1, ROWS_2, 2, 2, T(IN_STEPS), 0); break;
        case 3: T(tile_in)(&row, 1, ROWS_3, 3, 2, T(IN_STEPS), 0); break;
        default: T(tile_in)(&row, 1, ROWS_4, 4, 2, T(IN_STEPS), 0); break;
        }
        /* clang-format on */
    }
}

static NOINLINE void T(by_lane_1)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_1, 1, 0, T(BY_LANE), 0);
}

static NOINLINE void T(by_lane_2)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_2, 2, 0, T(BY_LANE), 0);
}

static NOINLINE void T(by_lane_3)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_3, 3, 0, T(BY_LANE), 0);
}

static NOINLINE void T(by_lane_4)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_4, 4, 0, T(BY_LANE), 0);
}

static NOINLINE void T(listed_1)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_1, 1, 0, T(LISTED), 0);
}

static NOINLINE void T(listed_2)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_2, 2, 0, T(LISTED), 0);
}

static NOINLINE void T(listed_3)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_3, 3, 0, T(LISTED), 0);
}

static NOINLINE void T(listed_4)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_4, 4, 0, T(LISTED), 0);
}

static NOINLINE void T(with_hints_1)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_1, 1, 0, T(IN_STEPS), 1);
}

static NOINLINE void T(with_hints_2)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_2, 2, 0, T(IN_STEPS), 1);
}

static NOINLINE void T(with_hints_3)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_3, 3, 0, T(IN_STEPS), 1);
}

static NOINLINE void T(with_hints_4)(const struct tc_tile *tile)
{
    T(tile_switch)(tile, ROWS_4, 4, 0, T(IN_STEPS), 1);
}

static INLINE void T(tile_up_to)(const struct tc_tile *tile, const int most, const int width)
{
    static void (*const masked[])(const struct tc_tile *) = {T(masked_1), T(masked_2), T(masked_3),
                                                             T(masked_4)};
    static void (*const by_lane[])(const struct tc_tile *) = {T(by_lane_1), T(by_lane_2),
                                                              T(by_lane_3), T(by_lane_4)};
    static void (*const listed[])(const struct tc_tile *) = {T(listed_1), T(listed_2), T(listed_3),
                                                             T(listed_4)};
    static void (*const with_hints[])(const struct tc_tile *) = {T(with_hints_1), T(with_hints_2),
                                                                 T(with_hints_3), T(with_hints_4)};
    if (tile->mask && MASKED == 1 && !tile->a_finite) {
        T(masked_by_row)(tile, width);
    } else if (tile->mask) {
        masked[width - 1](tile);
    } else if (tile->a_by_lane) {
        by_lane[width - 1](tile);
    } else if (tile->b_at) {
        listed[width - 1](tile);
    } else if (tile->zip == 1) {
        with_hints[width - 1](tile);
    } else if (tile->zip == 2) {
        T(tile_switch)(tile, most, width, 0, T(IN_STEPS), 2);
    } else if (tile->zip == 4) {
        T(tile_switch)(tile, most, width, 0, T(IN_STEPS), 4);
    } else {
        T(tile_switch)(tile, most, width, 0, T(IN_STEPS), 0);
    }
}

/* ---- transpose ---- */

/* Where column c of the source goes. */
static INLINE REAL *T(row_of)(const struct tc_transpose *args, ptrdiff_t c)
{
    return (REAL *)args->dst + (args->dst_rows ? args->dst_rows[c] : c * args->dst_row);
}

/* At most LANES rows and columns. */
static INLINE void T(transpose_square)(const struct tc_transpose *args, const ptrdiff_t rows,
                                       const ptrdiff_t columns)
{
    const REAL *const src = args->src;
    VECTOR v[LANES];
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) {
        const REAL *const row = src + r * args->src_row;
        v[r] = r >= rows ? T(zero)() : columns == LANES ? T(load)(row) : T(load_part)(row, columns);
    }
    T(transpose_vectors)(v);
#pragma GCC unroll 16
    for (int c = 0; c < LANES; c++) {
        if (c < columns && rows == LANES) {
            T(store)(T(row_of)(args, c), v[c]);
        } else if (c < columns) {
            T(store_part)(T(row_of)(args, c), v[c], rows);
        }
    }
}

static INLINE void T(transpose_whole)(const struct tc_transpose *args)
{
    T(transpose_square)(args, LANES, LANES);
}

static void T(transpose_narrow)(const struct tc_transpose *args)
{
    T(transpose_square)(args, LANES, args->columns);
}

static void T(transpose_part)(const struct tc_transpose *args)
{
    T(transpose_square)(args, args->rows, args->columns);
}

/* LANES rows of 2 to 4 columns that follow each other. */
static INLINE void T(transpose_compact)(const struct tc_transpose *args, const int columns)
{
    VECTOR v[4];
#pragma GCC unroll 4
    for (int i = 0; i < columns; i++) {
        v[i] = T(load)((const REAL *)args->src + i * LANES);
    }
    T(unzip_all)(v, columns);
#pragma GCC unroll 4
    for (int c = 0; c < columns; c++) {
        T(store)(T(row_of)(args, c), v[c]);
    }
}

static void T(transpose_elements)(const struct tc_transpose *args)
{
    const REAL *const src = args->src;
    for (ptrdiff_t c = 0; c < args->columns; c++) {
        for (ptrdiff_t r = 0; r < args->rows; r++) {
            T(row_of)(args, c)[r] = src[r * args->src_row + c];
        }
    }
}

enum {
    T(LINE) = 64 / (int)sizeof(REAL),   /* elements of a line of the cache */
    T(AHEAD_IN) = 4 * T(LINE),          /* of a row from what is read to what hints name, */
    T(AHEAD_OUT) = 2 * T(LINE),         /* and from what is written */
    T(ALIKE) = 1024 / (int)sizeof(REAL) /* columns so far apart meet in few sets of the cache */
};

/* Hints for LANES rows, if the columns from `at` on begin a line. */
static INLINE void T(hint_rows)(const REAL *first, ptrdiff_t row, ptrdiff_t at, const int write)
{
    if (at % T(LINE) < LANES) {
#pragma GCC unroll 16
        for (int r = 0; r < LANES; r++) {
            if (write) {
                __builtin_prefetch(first + r * row, 1);
            } else {
                __builtin_prefetch(first + r * row, 0);
            }
        }
    }
}

enum { T(STAGED) = 8 * LANES }; /* rows of src that are transposed before they are stored */

/* STAGED rows and LANES columns. Stored at once, the columns' many short pieces would push each
 * other's lines out of the cache before they are full: columns often lie a power of two apart. */
static void T(transpose_staged)(const struct tc_transpose *args)
{
    REAL stage[LANES][T(STAGED) + LANES];
    for (int r = 0; r < T(STAGED); r += LANES) {
        const struct tc_transpose part = {
            .src = (const REAL *)args->src + r * args->src_row,
            .src_row = args->src_row,
            .dst = &stage[0][r],
            .dst_row = T(STAGED) + LANES,
        };
        if (args->src_far) {
            T(hint_rows)((const REAL *)part.src + T(LINE), args->src_row, 0, 0);
        }
        if (args->dst_far) {
            T(hint_rows)((const REAL *)args->dst + r, args->dst_row, r, 1);
        }
        T(transpose_whole)(&part);
    }
    for (int c = 0; c < LANES; c++) {
        REAL *const dst = T(row_of)(args, c);
#pragma GCC unroll 8
        for (int r = 0; r < T(STAGED); r += LANES) {
            T(store)(dst + r, T(load)(&stage[c][r]));
        }
    }
}

/* Some rows and columns of the whole, staged if there are rows enough and they may be. Returns how
 * many rows. */
static INLINE ptrdiff_t T(transpose_block)(const struct tc_transpose *args, ptrdiff_t r,
                                           ptrdiff_t c, ptrdiff_t columns, const bool staged)
{
    struct tc_transpose part = *args;
    const ptrdiff_t left = args->rows - r;
    part.rows = left < LANES ? left : LANES;
    part.columns = columns;
    part.src = (const REAL *)args->src + r * args->src_row + c;
    part.dst = (REAL *)args->dst + (args->dst_rows ? 0 : c * args->dst_row) + r;
    part.dst_rows = args->dst_rows ? args->dst_rows + c : NULL;
    if (staged && columns == LANES && left >= T(STAGED)) {
        T(transpose_staged)(&part);
        return T(STAGED);
    }
    const bool compact = args->src_row == columns && part.rows == LANES;
    if (compact && columns == 2) {
        T(transpose_compact)(&part, 2);
    } else if (compact && columns == 3) {
        T(transpose_compact)(&part, 3);
    } else if (compact && columns == 4) {
        T(transpose_compact)(&part, 4);
    } else if (columns < LANES / 4 || part.rows < LANES / 4) {
        T(transpose_elements)(&part);
    } else if (part.rows < LANES) {
        T(transpose_part)(&part);
    } else if (columns < LANES) {
        T(transpose_narrow)(&part);
    } else {
        T(transpose_whole)(&part);
    }
    return part.rows;
}

/* Columns before the first that begins a vector of memory; 0 if the rows differ in that. */
static INLINE ptrdiff_t T(columns_ahead)(const struct tc_transpose *args)
{
    const intptr_t bytes = LANES * (intptr_t)sizeof(REAL);
    const ptrdiff_t rest = (ptrdiff_t)(-(intptr_t)args->src & (bytes - 1));
    const bool joins = args->columns >= 4 * LANES && args->src_row % LANES == 0;
    return joins ? rest / (ptrdiff_t)sizeof(REAL) : 0;
}

/* The columns of LANES rows, which are the next. */
static void T(transpose_band)(const struct tc_transpose *args, ptrdiff_t r, ptrdiff_t ahead)
{
    const REAL *const src = (const REAL *)args->src + r * args->src_row;
    REAL *const dst = (REAL *)args->dst + r;
    if (ahead > 0) {
        T(transpose_block)(args, r, 0, ahead, false);
    }
    for (ptrdiff_t c = ahead; c < args->columns; c += LANES) {
        const ptrdiff_t left = args->columns - c;
        if (args->src_far) {
            T(hint_rows)(src + c + T(AHEAD_IN), args->src_row, c - ahead, 0);
        }
        if (args->dst_far) {
            T(hint_rows)(dst + c * args->dst_row + T(AHEAD_OUT), args->dst_row, r, 1);
        }
        T(transpose_block)(args, r, c, left < LANES ? left : LANES, false);
    }
}

/* Rows are read in bands, so that memory sees few streams and each of their lines is read once.
 * Many rows are staged where their columns would push each other out of the cache. */
static void T(transpose)(const struct tc_transpose *args)
{
    const bool alike = args->dst_rows == NULL && args->dst_row % T(ALIKE) == 0;
    if (args->rows < T(STAGED) || !alike) {
        const ptrdiff_t ahead = T(columns_ahead)(args);
        for (ptrdiff_t r = 0; r < args->rows; r += LANES) {
            T(transpose_band)(args, r, ahead);
        }
        return;
    }
    for (ptrdiff_t c = 0; c < args->columns; c += LANES) {
        const ptrdiff_t left = args->columns - c;
        for (ptrdiff_t r = 0; r < args->rows;) {
            r += T(transpose_block)(args, r, c, left < LANES ? left : LANES, true);
        }
    }
}

/* ---- copy ---- */

static void T(copy)(const struct tc_rows *args)
{
    const ptrdiff_t src_row = args->src_row, dst_row = args->dst_row, ahead = args->ahead;
    const ptrdiff_t whole = args->columns / LANES * LANES, part = args->columns - whole;
    const REAL *src = args->src;
    REAL *dst = args->dst;
    for (ptrdiff_t r = args->rows; r > 0; r--, src += src_row, dst += dst_row) {
        for (ptrdiff_t c = 0; c < whole; c += LANES) {
            if (ahead != 0) {
                __builtin_prefetch(src + ahead + c);
            }
            T(store)(dst + c, T(load)(src + c));
        }
        if (part > 0) {
            T(store_part)(dst + whole, T(load_part)(src + whole, part), part);
        }
    }
}

/* ---- add ---- */

/* The last columns of some rows, less than a vector. All are read before the first is written:
 * a masked store keeps the next load waiting if that is less than a vector further on. */
static INLINE void T(add_parts)(const REAL *more, ptrdiff_t more_row, REAL *sum, ptrdiff_t sum_row,
                                ptrdiff_t part, const int rows)
{
    const VECTOR one = T(broadcast)(1);
    VECTOR v[4];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        v[r] = T(fma)(T(load_part)(more + r * more_row, part), one,
                      T(load_part)(sum + r * sum_row, part));
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        T(store_part)(sum + r * sum_row, v[r], part);
    }
}

static void T(add)(const struct tc_rows *args)
{
    const VECTOR one = T(broadcast)(1);
    const ptrdiff_t src_row = args->src_row, dst_row = args->dst_row;
    const ptrdiff_t whole = args->columns / LANES * LANES, part = args->columns - whole;
    const REAL *more = args->src;
    REAL *sum = args->dst;
    for (ptrdiff_t r = whole > 0 ? args->rows : 0; r > 0; r--, more += src_row, sum += dst_row) {
        for (ptrdiff_t c = 0; c < whole; c += LANES) {
            T(store)(sum + c, T(fma)(T(load)(more + c), one, T(load)(sum + c)));
        }
    }
    more = (const REAL *)args->src + whole;
    sum = (REAL *)args->dst + whole;
    ptrdiff_t left = part > 0 ? args->rows : 0;
    for (; left >= 4; left -= 4, more += 4 * src_row, sum += 4 * dst_row) {
        T(add_parts)(more, src_row, sum, dst_row, part, 4);
    }
    for (; left > 0; left--, more += src_row, sum += dst_row) {
        T(add_parts)(more, src_row, sum, dst_row, part, 1);
    }
}

/* ---- sums ---- */

static INLINE VECTOR T(plus)(VECTOR a, VECTOR b)
{
    return T(fma)(a, T(broadcast)(1), b);
}

/* The sum of all accumulators, in the first. */
static INLINE void T(fold)(VECTOR acc[TC_SUMS])
{
#pragma GCC unroll 4
    for (int half = TC_SUMS / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
        for (int v = 0; v < half; v++) {
            acc[v] = T(plus)(acc[v], acc[v + half]);
        }
    }
}

/* For rows no longer than a vector: the accumulators take a row each. */
static INLINE void T(sum_short)(const struct tc_rows *args, VECTOR acc[TC_SUMS])
{
    const REAL *src = args->src;
    for (ptrdiff_t left = args->rows; left > 0; left -= TC_SUMS) {
#pragma GCC unroll 8
        for (int v = 0; v < TC_SUMS; v++) {
            if (v < left) {
                acc[v] = T(plus)(T(load_part)(src, args->columns), acc[v]);
                src += args->src_row;
            }
        }
    }
}

static INLINE void T(sum_long)(const struct tc_rows *args, VECTOR acc[TC_SUMS])
{
    for (ptrdiff_t r = 0; r < args->rows; r++) {
        const REAL *src = (const REAL *)args->src + r * args->src_row;
        ptrdiff_t left = args->columns;
        for (; left >= TC_SUMS * LANES; left -= TC_SUMS * LANES, src += TC_SUMS * LANES) {
#pragma GCC unroll 8
            for (int v = 0; v < TC_SUMS; v++) {
                acc[v] = T(plus)(T(load)(src + v * LANES), acc[v]);
            }
        }
#pragma GCC unroll 8
        for (int v = 0; v < TC_SUMS; v++) {
            if (v * LANES < left) {
                acc[v] = T(plus)(T(load_part)(src + v * LANES, left - v * LANES), acc[v]);
            }
        }
    }
}

static void T(sum_all)(const struct tc_rows *args)
{
    VECTOR acc[TC_SUMS];
    REAL lanes[LANES];
#pragma GCC unroll 8
    for (int v = 0; v < TC_SUMS; v++) {
        acc[v] = T(zero)();
    }
    if (args->columns <= LANES && args->columns > 0) {
        T(sum_short)(args, acc);
    } else {
        T(sum_long)(args, acc);
    }
    T(fold)(acc);
    T(store)(lanes, acc[0]);
#pragma GCC unroll 4
    for (int half = LANES / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < half; i++) {
            lanes[i] += lanes[i + half];
        }
    }
    *(REAL *)args->dst = lanes[0];
}

/* Some whole vectors of columns, or one that may be a part. */
static INLINE void T(sum_columns)(const struct tc_rows *args, ptrdiff_t c, const int width)
{
    const REAL *src = (const REAL *)args->src + c;
    REAL *const dst = (REAL *)args->dst + c;
    const ptrdiff_t part = args->columns - c;
    const int turns = TC_SUMS / width; /* rows take turns at the accumulators */
    VECTOR acc[TC_SUMS];
#pragma GCC unroll 8
    for (int i = 0; i < TC_SUMS; i++) {
        acc[i] = T(zero)();
    }
    for (ptrdiff_t left = args->rows; left > 0; left -= turns) {
#pragma GCC unroll 8
        for (int i = 0; i < TC_SUMS; i++) {
            const REAL *const at = src + i / width * args->src_row + i % width * LANES;
            if (i / width < left) {
                acc[i] = T(plus)(width > 1 ? T(load)(at) : T(load_part)(at, part), acc[i]);
            }
        }
        src += turns * args->src_row;
    }
#pragma GCC unroll 4
    for (int half = TC_SUMS / 2; half >= width; half /= 2) {
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) {
            acc[i] = T(plus)(acc[i], acc[i + half]);
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < width - 1; v++) {
        T(store)(dst + v * LANES, acc[v]);
    }
    T(store_part)(dst + (width - 1) * LANES, acc[width - 1], width > 1 ? LANES : part);
}

static void T(sum_rows)(const struct tc_rows *args)
{
    ptrdiff_t c = 0;
    for (; c + 4 * LANES <= args->columns; c += 4 * LANES) {
        T(sum_columns)(args, c, 4);
    }
    if (c + 2 * LANES <= args->columns) {
        T(sum_columns)(args, c, 2);
        c += 2 * LANES;
    }
    for (; c < args->columns; c += LANES) {
        T(sum_columns)(args, c, 1);
    }
}

/* ---- shuffle ---- */

/* At most LANES columns. */
static INLINE void T(shuffle_part)(const struct tc_shuffle *args, const REAL *src, REAL *dst,
                                   ptrdiff_t columns, const int phases)
{
    VECTOR v[T(MOST_ZIPPED)];
#pragma GCC unroll 8
    for (int p = 0; p < phases; p++) {
        v[p] = T(load_part)(src + p * args->src_phase, columns);
    }
    T(zip_all)(v, phases);
#pragma GCC unroll 8
    for (int p = 0; p < phases; p++) {
        const ptrdiff_t left = columns * phases - p * LANES;
        if (left > 0) {
            T(store_part)(dst + p * LANES, v[p], left);
        }
    }
}

static INLINE void T(shuffle_whole)(const struct tc_shuffle *args, const REAL *src, REAL *dst,
                                    const int phases, const bool stream)
{
    VECTOR v[T(MOST_ZIPPED)];
#pragma GCC unroll 8
    for (int p = 0; p < phases; p++) {
        v[p] = T(load)(src + p * args->src_phase);
    }
    T(zip_all)(v, phases);
#pragma GCC unroll 8
    for (int p = 0; p < phases; p++) {
        if (stream) {
            T(stream)(dst + p * LANES, v[p]);
        } else {
            T(store)(dst + p * LANES, v[p]);
        }
    }
}

/* Columns before the first whose outputs begin a vector of memory; -1 if there is none. */
static INLINE ptrdiff_t T(columns_to_align)(const REAL *dst, const int phases)
{
    const ptrdiff_t rest = (ptrdiff_t)(-(intptr_t)dst & (LANES * (intptr_t)sizeof(REAL) - 1));
    const ptrdiff_t elements = rest / (ptrdiff_t)sizeof(REAL);
    return elements % phases == 0 ? elements / phases : -1;
}

static INLINE void T(shuffle_rows)(const struct tc_shuffle *args, const int phases)
{
    const REAL *src = args->src;
    REAL *dst = args->dst;
    for (ptrdiff_t r = 0; r < args->rows; r++, src += args->src_row, dst += args->dst_row) {
        const ptrdiff_t head = args->stream ? T(columns_to_align)(dst, phases) : -1;
        ptrdiff_t c = 0;
        if (head >= 0 && head < args->columns) {
            if (head > 0) {
                T(shuffle_part)(args, src, dst, head, phases);
            }
            for (c = head; c + LANES <= args->columns; c += LANES) {
                T(shuffle_whole)(args, src + c, dst + c * phases, phases, true);
            }
        } else {
            for (; c + LANES <= args->columns; c += LANES) {
                T(shuffle_whole)(args, src + c, dst + c * phases, phases, false);
            }
        }
        if (c < args->columns) {
            T(shuffle_part)(args, src + c, dst + c * phases, args->columns - c, phases);
        }
    }
    if (args->stream) {
        T(finish_stream)();
    }
}

/* Too few phases for a transposition. */
static INLINE void T(shuffle_few)(const struct tc_shuffle *args, const int phases)
{
    const REAL *src = args->src;
    REAL *dst = args->dst;
    for (ptrdiff_t r = 0; r < args->rows; r++, src += args->src_row, dst += args->dst_row) {
        REAL *to = dst;
        for (ptrdiff_t c = 0; c < args->columns; c++, to += phases) {
#pragma GCC unroll 8
            for (int p = 0; p < phases; p++) {
                to[p] = src[p * args->src_phase + c];
            }
        }
    }
}

/* Any number of phases, as a transposition. */
static void T(shuffle_any)(const struct tc_shuffle *args)
{
    for (ptrdiff_t r = 0; r < args->rows; r++) {
        const struct tc_transpose transpose = {
            .rows = args->phases,
            .columns = args->columns,
            .src = (const REAL *)args->src + r * args->src_row,
            .src_row = args->src_phase,
            .dst = (REAL *)args->dst + r * args->dst_row,
            .dst_row = args->phases,
        };
        T(transpose)(&transpose);
    }
}

static void T(shuffle)(const struct tc_shuffle *args)
{
    switch (args->phases) {
    case 1:
        T(shuffle_rows)(args, 1);
        break;
    case 2:
        T(shuffle_rows)(args, 2);
        break;
    case 3:
        T(shuffle_rows)(args, 3);
        break;
    case 4:
        T(shuffle_rows)(args, 4);
        break;
    case 5:
        T(shuffle_few)(args, 5);
        break;
    case 6:
        T(shuffle_rows)(args, 6);
        break;
    case 7:
        T(shuffle_few)(args, 7);
        break;
    case 8:
        T(shuffle_rows)(args, 8);
        break;
    default:
        T(shuffle_any)(args);
    }
}

/* ---- unzip ---- */

/* At most `step` vectors of elements. */
static INLINE void T(unzip_piece)(const REAL *src, ptrdiff_t columns, REAL *dst, ptrdiff_t part,
                                  const int step, const bool whole)
{
    VECTOR v[4];
#pragma GCC unroll 4
    for (int i = 0; i < step; i++) {
        const ptrdiff_t rest = columns - i * LANES;
        v[i] = whole      ? T(load)(src + i * LANES)
               : rest > 0 ? T(load_part)(src + i * LANES, rest < LANES ? rest : LANES)
                          : T(zero)();
    }
    T(unzip_all)(v, step);
#pragma GCC unroll 4
    for (int q = 0; q < step; q++) {
        const ptrdiff_t rest = q == 0 || part != 0 ? (columns - q + step - 1) / step : 0;
        if (whole && rest > 0) {
            T(store)(dst + q * part, v[q]);
        } else if (rest > 0) {
            T(store_part)(dst + q * part, v[q], rest);
        }
    }
}

/* A piece of every row, from this column on. */
static INLINE void T(unzip_pieces)(const struct tc_unzip *args, ptrdiff_t column, ptrdiff_t columns,
                                   const int step, const bool whole)
{
    const ptrdiff_t src_row = args->src_row, dst_row = args->dst_row, part = args->dst_part;
    const REAL *src = (const REAL *)args->src + column;
    REAL *dst = (REAL *)args->dst + column / step;
    for (ptrdiff_t r = args->rows; r > 0; r--, src += src_row, dst += dst_row) {
        T(unzip_piece)(src, columns, dst, part, step, whole);
    }
}

/* By remainders of 2 to 4. */
static INLINE void T(unzip_by_few)(const struct tc_unzip *args, const int step)
{
    const ptrdiff_t columns = args->columns, part = args->dst_part, piece = step * LANES;
    const ptrdiff_t rest = columns % piece, whole = columns - rest;
    const REAL *src = args->src;
    REAL *dst = args->dst;
    for (ptrdiff_t r = args->rows; whole > 0 && r > 0;
         r--, src += args->src_row, dst += args->dst_row) {
        for (ptrdiff_t at = 0; at < whole; at += piece) {
            T(unzip_piece)(src + at, piece, dst + at / step, part, step, true);
        }
    }
    if (rest > 0 && whole > 0 && rest % step == 0) {
        /* A last piece of which some is written twice is faster than a part of one. */
        T(unzip_pieces)(args, columns - piece, piece, step, true);
    } else if (rest > 0) {
        T(unzip_pieces)(args, whole, rest, step, false);
    }
}

enum { T(MANY) = 8 }; /* remainders that are worth a transposition */

static INLINE void T(unzip_by_any)(const REAL *src, ptrdiff_t columns, REAL *dst, ptrdiff_t part,
                                   const ptrdiff_t step)
{
    for (ptrdiff_t q = 0; q < (part != 0 ? step : 1); q++) {
        REAL *to = dst + q * part;
        for (ptrdiff_t c = q; c < columns; c += step) {
            *to++ = src[c];
        }
    }
}

/* By many remainders: the row is a matrix of so many columns, and a rest. */
static void T(unzip_by_many)(const REAL *src, ptrdiff_t columns, REAL *dst, ptrdiff_t part,
                             ptrdiff_t step)
{
    const ptrdiff_t whole = columns / step;
    const struct tc_transpose transpose = {
        .rows = whole, .columns = step, .src = src, .src_row = step, .dst = dst, .dst_row = part};
    T(transpose)(&transpose);
    T(unzip_by_any)(src + whole * step, columns % step, dst + whole, part, step);
}

static void T(unzip_rows)(const struct tc_unzip *args)
{
    const REAL *src = args->src;
    REAL *dst = args->dst;
    if (args->step == 2) {
        T(unzip_by_few)(args, 2);
    } else if (args->step == 3) {
        T(unzip_by_few)(args, 3);
    } else if (args->step == 4) {
        T(unzip_by_few)(args, 4);
    } else {
        for (ptrdiff_t r = args->rows; r > 0; r--, src += args->src_row, dst += args->dst_row) {
            if (args->step >= T(MANY) && args->dst_part != 0) {
                T(unzip_by_many)(src, args->columns, dst, args->dst_part, args->step);
            } else {
                T(unzip_by_any)(src, args->columns, dst, args->dst_part, args->step);
            }
        }
    }
}

/* ---- activations ---- */

#include "kernels/activations.h"

static void T(activate_row)(const struct tc_activation *activation, REAL *x, ptrdiff_t count)
{
    const REAL slope = (REAL)activation->slope;
    switch (activation->kind) {
    case TC_NO_ACTIVATION:
        break;
    case TC_RELU:
        for (ptrdiff_t i = 0; i < count; i++) {
            x[i] = x[i] < 0 ? 0 : x[i];
        }
        break;
    case TC_LEAKY_RELU:
        for (ptrdiff_t i = 0; i < count; i++) {
            x[i] = x[i] < 0 ? slope * x[i] : x[i];
        }
        break;
    case TC_TANH:
        for (ptrdiff_t i = 0; i < count; i++) {
            x[i] = (REAL)tanh_of(x[i]);
        }
        break;
    case TC_SIGMOID:
        for (ptrdiff_t i = 0; i < count; i++) {
            x[i] = (REAL)sigmoid_of(x[i]);
        }
        break;
    }
}

static void T(activate_rows)(const struct tc_activation *activation, const struct tc_rows *rows)
{
    for (ptrdiff_t r = 0; r < rows->rows; r++) {
        T(activate_row)(activation, (REAL *)rows->dst + r * rows->dst_row, rows->columns);
    }
}

/* ---- dots, weave and lines ---- */

#include "kernels/dots_tmpl.h"
#include "kernels/weave_tmpl.h"

#include "kernels/lines_tmpl.h"
