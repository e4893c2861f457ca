/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels in terms of vectors, included once a dtype by each kernels_<isa>.c, which defines
 *
 *   REAL              float or double
 *   VECTOR, LANES     the vector type and its number of elements
 *   T(name)           name with the dtype's suffix
 *
 * and the functions
 *
 *   zero, broadcast, load, store, add, fma     as their names say; fma(a, b, c) is a*b + c
 *   load_part, store_part                      of the first 1 <= n <= LANES elements; the
 *                                              others are read as 0 and not written
 *   load_range, blend_range                    of the elements low <= i < high, the bounds being
 *                                              any; the others are read as 0, or kept from a
 *   zip                                        of a and b: a0 b0 a1 b1 ... in two vectors
 *   transpose_vectors                          of LANES vectors, in place
 *
 * Accumulators must stay in registers: every loop over them has constant bounds after inlining
 * and is unrolled, those that load and store included. */

/* ---- tile ---- */

/* C for exactly `rows` rows and `width` vectors, both constants where this is called. */
static INLINE void T(tile_of)(const struct tc_tile *tile, const int rows, const int width)
{
    const ptrdiff_t part = tile->lanes - (width - 1) * LANES, a_k = tile->a_k, b_k = tile->b_k;
    VECTOR acc[TC_MAX_ROWS][TC_WIDTHS];
    ptrdiff_t a_row[TC_MAX_ROWS];

#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        const REAL *const c = (const REAL *)tile->c + tile->c_row[r];
        const REAL *const bias = tile->bias;
        a_row[r] = tile->a_row[r];
#pragma GCC unroll 16
        for (int v = 0; v < width; v++) {
            if (tile->add) {
                acc[r][v] =
                    v < width - 1 ? T(load)(c + v * LANES) : T(load_part)(c + v * LANES, part);
            } else if (bias && tile->bias_by_row) {
                acc[r][v] = T(broadcast)(bias[r]);
            } else {
                acc[r][v] = bias ? T(load)(bias + v * LANES) : T(zero)();
            }
        }
    }
    for (ptrdiff_t t0 = 0; t0 < tile->taps[0]; t0++) {
        for (ptrdiff_t t1 = 0; t1 < tile->taps[1]; t1++) {
            for (ptrdiff_t t2 = 0; t2 < tile->taps[2]; t2++) {
                const REAL *a = (const REAL *)tile->a + t0 * tile->a_tap[0] + t1 * tile->a_tap[1] +
                                t2 * tile->a_tap[2];
                const REAL *b = (const REAL *)tile->b + t0 * tile->b_tap[0] + t1 * tile->b_tap[1] +
                                t2 * tile->b_tap[2];
                for (ptrdiff_t k = tile->k; k > 0; k--, a += a_k, b += b_k) {
                    VECTOR lanes[TC_WIDTHS];
#pragma GCC unroll 16
                    for (int v = 0; v < width; v++) {
                        lanes[v] = T(load)(b + v * LANES);
                    }
#pragma GCC unroll 16
                    for (int r = 0; r < rows; r++) {
                        const VECTOR x = T(broadcast)(a[a_row[r]]);
#pragma GCC unroll 16
                        for (int v = 0; v < width; v++) {
                            acc[r][v] = T(fma)(x, lanes[v], acc[r][v]);
                        }
                    }
                }
            }
        }
    }
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

/* The same for any tile->rows <= most; most and width are constants, so that nothing is compiled
 * for more rows. */
static INLINE void T(tile_up_to)(const struct tc_tile *tile, const int most, const int width)
{
    /* clang-format off */
    switch (tile->rows) {
    case 1: if (most >= 1) { T(tile_of)(tile, 1, width); } break;
    case 2: if (most >= 2) { T(tile_of)(tile, 2, width); } break;
    case 3: if (most >= 3) { T(tile_of)(tile, 3, width); } break;
    case 4: if (most >= 4) { T(tile_of)(tile, 4, width); } break;
    case 5: if (most >= 5) { T(tile_of)(tile, 5, width); } break;
    case 6: if (most >= 6) { T(tile_of)(tile, 6, width); } break;
    case 7: if (most >= 7) { T(tile_of)(tile, 7, width); } break;
    case 8: if (most >= 8) { T(tile_of)(tile, 8, width); } break;
    case 9: if (most >= 9) { T(tile_of)(tile, 9, width); } break;
    case 10: if (most >= 10) { T(tile_of)(tile, 10, width); } break;
    case 11: if (most >= 11) { T(tile_of)(tile, 11, width); } break;
    case 12: if (most >= 12) { T(tile_of)(tile, 12, width); } break;
    case 13: if (most >= 13) { T(tile_of)(tile, 13, width); } break;
    case 14: if (most >= 14) { T(tile_of)(tile, 14, width); } break;
    default: break;
    }
    /* clang-format on */
}

/* ---- transpose ---- */

/* Two rows interleaved. */
static void T(interleave_2)(const struct tc_transpose *args)
{
    const REAL *const src = args->src;
    REAL *const dst = args->dst;
    for (ptrdiff_t c = 0; c < args->columns; c += LANES) {
        const ptrdiff_t part = args->columns - c;
        const bool whole = part >= LANES;
        const REAL *const a = src + c, *const b = src + args->src_row + c;
        VECTOR v[2] = {whole ? T(load)(a) : T(load_part)(a, part),
                       whole ? T(load)(b) : T(load_part)(b, part)};
        T(zip)(&v[0], &v[1]);
        if (2 * part >= LANES) {
            T(store)(dst + 2 * c, v[0]);
        } else {
            T(store_part)(dst + 2 * c, v[0], 2 * part);
        }
        if (whole) {
            T(store)(dst + 2 * c + LANES, v[1]);
        } else if (2 * part > LANES) {
            T(store_part)(dst + 2 * c + LANES, v[1], 2 * part - LANES);
        }
    }
}

/* Four rows interleaved, whole vectors of columns; returns the columns done. */
static ptrdiff_t T(interleave_4)(const struct tc_transpose *args)
{
    const REAL *const src = args->src;
    REAL *const dst = args->dst;
    ptrdiff_t c = 0;
    for (; c + LANES <= args->columns; c += LANES) {
        VECTOR v[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) {
            v[r] = T(load)(src + r * args->src_row + c);
        }
        T(zip)(&v[0], &v[2]);
        T(zip)(&v[1], &v[3]);
        T(zip)(&v[0], &v[1]);
        T(zip)(&v[2], &v[3]);
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) {
            T(store)(dst + 4 * c + r * LANES, v[r]);
        }
    }
    return c;
}

/* Columns done by interleaving: `rows` columns of the result side by side in memory. */
static ptrdiff_t T(interleave)(const struct tc_transpose *args)
{
    if (args->dst_rows || args->dst_row != args->rows) {
        return 0;
    }
    if (args->rows == 2) {
        T(interleave_2)(args);
        return args->columns;
    }
    return args->rows == 4 ? T(interleave_4)(args) : 0;
}

/* Where column c of the source goes. */
static INLINE REAL *T(row_of)(const struct tc_transpose *args, ptrdiff_t c)
{
    return (REAL *)args->dst + (args->dst_rows ? args->dst_rows[c] : c * args->dst_row);
}

/* At most LANES rows and columns. */
static void T(transpose_part)(const struct tc_transpose *args)
{
    const REAL *const src = args->src;
    VECTOR v[LANES];
    if (args->rows < LANES / 4 || args->columns < LANES / 4) {
        for (ptrdiff_t c = 0; c < args->columns; c++) {
            for (ptrdiff_t r = 0; r < args->rows; r++) {
                T(row_of)(args, c)[r] = src[r * args->src_row + c];
            }
        }
        return;
    }
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) {
        v[r] = r < args->rows ? T(load_part)(src + r * args->src_row, args->columns) : T(zero)();
    }
    T(transpose_vectors)(v);
#pragma GCC unroll 16
    for (int c = 0; c < LANES; c++) {
        if (c < args->columns) {
            T(store_part)(T(row_of)(args, c), v[c], args->rows);
        }
    }
}

static INLINE void T(transpose_whole)(const struct tc_transpose *args)
{
    const REAL *const src = args->src;
    VECTOR v[LANES];
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) {
        v[r] = T(load)(src + r * args->src_row);
    }
    T(transpose_vectors)(v);
#pragma GCC unroll 16
    for (int c = 0; c < LANES; c++) {
        T(store)(T(row_of)(args, c), v[c]);
    }
}

static void T(transpose)(const struct tc_transpose *args)
{
    for (ptrdiff_t c = T(interleave)(args); c < args->columns; c += LANES) {
        for (ptrdiff_t r = 0; r < args->rows; r += LANES) {
            struct tc_transpose part = *args;
            part.rows = args->rows - r < LANES ? args->rows - r : LANES;
            part.columns = args->columns - c < LANES ? args->columns - c : LANES;
            part.src = (const REAL *)args->src + r * args->src_row + c;
            part.dst = (REAL *)args->dst + (args->dst_rows ? 0 : c * args->dst_row) + r;
            part.dst_rows = args->dst_rows ? args->dst_rows + c : NULL;
            if (part.rows == LANES && part.columns == LANES) {
                T(transpose_whole)(&part);
            } else {
                T(transpose_part)(&part);
            }
        }
    }
}

/* ---- overlap ---- */

/* Adds a tap for columns j to j + LANES, of which those low <= i < low + in count. */
static INLINE VECTOR T(overlap_tap)(VECTOR acc, const REAL *src, VECTOR weight, ptrdiff_t low,
                                    ptrdiff_t in, const bool whole, const bool weighted)
{
    if (whole || (low <= 0 && low + in >= LANES)) {
        const VECTOR x = T(load)(src);
        return weighted ? T(fma)(weight, x, acc) : T(add)(acc, x);
    }
    const VECTOR x = T(load_range)(src, low, low + in);
    const VECTOR next = weighted ? T(fma)(weight, x, acc) : T(add)(acc, x);
    return T(blend_range)(acc, next, low, low + in);
}

/* Phase r at columns j to j + LANES; if `whole`, every tap counts for all of them. */
static INLINE VECTOR T(overlap_phase)(const struct tc_overlap *args, int r, ptrdiff_t j,
                                      const bool whole, const bool weighted)
{
    VECTOR acc = args->bias ? T(broadcast)(*(const REAL *)args->bias) : T(zero)();
    for (ptrdiff_t o = 0; o < args->sums; o++) {
        const REAL *src = (const REAL *)args->src + args->phase[r].src + args->src_at[o] + j;
        const REAL *weight =
            weighted ? (const REAL *)args->weights + args->phase[r].weight + args->weight_at[o]
                     : NULL;
        ptrdiff_t low = -args->phase[r].offset - j;
        for (ptrdiff_t t = args->phase[r].taps; t > 0; t--) {
            const VECTOR by = weighted ? T(broadcast)(*weight) : T(zero)();
            acc = T(overlap_tap)(acc, src, by, low, args->in, whole, weighted);
            src += args->src_tap;
            weight += weighted ? args->weight_tap : 0;
            low += args->fall;
        }
    }
    return acc;
}

/* All phases at columns j to j + LANES. */
static INLINE void T(overlap_columns)(const struct tc_overlap *args, ptrdiff_t j, const int phases,
                                      const bool whole, const bool weighted)
{
    REAL *const dst = (REAL *)args->dst + phases * j;
    const ptrdiff_t left = args->outputs - phases * j;
    VECTOR v[TC_OVERLAP_PHASES];
#pragma GCC unroll 4
    for (int r = 0; r < phases; r++) {
        v[r] = T(overlap_phase)(args, r, j, whole, weighted);
    }
    if (phases == 2) {
        T(zip)(&v[0], &v[1]);
    } else if (phases == 4) {
        T(zip)(&v[0], &v[2]);
        T(zip)(&v[1], &v[3]);
        T(zip)(&v[0], &v[1]);
        T(zip)(&v[2], &v[3]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < phases; r++) {
        if (left >= (r + 1) * LANES) {
            T(store)(dst + r * LANES, v[r]);
        } else if (left > r * LANES) {
            T(store_part)(dst + r * LANES, v[r], left - r * LANES);
        }
    }
}

static INLINE void T(overlap_of)(const struct tc_overlap *args, const int phases,
                                 const bool weighted)
{
    ptrdiff_t begin = 0, end = PTRDIFF_MAX; /* columns for which every tap counts */
    for (int r = 0; r < phases; r++) {
        const ptrdiff_t taps = args->phase[r].taps, offset = args->phase[r].offset;
        if (taps > 0) {
            begin =
                begin > (taps - 1) * args->fall - offset ? begin : (taps - 1) * args->fall - offset;
            end = end < args->in - offset ? end : args->in - offset;
        }
    }
    for (ptrdiff_t j = 0; phases * j < args->outputs; j += LANES) {
        if (j >= begin && j + LANES <= end) {
            T(overlap_columns)(args, j, phases, true, weighted);
        } else {
            T(overlap_columns)(args, j, phases, false, weighted);
        }
    }
}

static void T(overlap)(const struct tc_overlap *args)
{
    const bool weighted = args->weights != NULL;
    if (args->phases == 1) {
        weighted ? T(overlap_of)(args, 1, true) : T(overlap_of)(args, 1, false);
    } else if (args->phases == 2) {
        weighted ? T(overlap_of)(args, 2, true) : T(overlap_of)(args, 2, false);
    } else {
        weighted ? T(overlap_of)(args, 4, true) : T(overlap_of)(args, 4, false);
    }
}

#undef REAL
#undef VECTOR
#undef LANES
#undef T
