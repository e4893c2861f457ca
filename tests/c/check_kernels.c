/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels alone, of every instruction set this machine has: all rows up to the most, all lanes,
 * against plain loops, exact on whole numbers, with canaries around what may be written. */
#include "check.h"

#include <math.h>
#include <string.h>

/* ---- tile ---- */

enum { PITCH = 100 }; /* elements between rows of C, more than any tile has lanes */

static bool counts(const struct tc_tile *tile, ptrdiff_t t0, ptrdiff_t t1, ptrdiff_t t2,
                   ptrdiff_t lane)
{
    const ptrdiff_t at = tile->mask_at + lane;
    return tile->mask == NULL || tile->mask[t0 * tile->mask_tap[0] + t1 * tile->mask_tap[1] +
                                            t2 * tile->mask_tap[2] + at / 8] >>
                                         at % 8 &
                                     1;
}

static double expected_element(const struct tc_tile *tile, ptrdiff_t bytes, double start,
                               ptrdiff_t r, ptrdiff_t lane)
{
    double sum = start;
    for (ptrdiff_t t0 = 0; t0 < tile->taps[0]; t0++) {
        for (ptrdiff_t t1 = 0; t1 < tile->taps[1]; t1++) {
            for (ptrdiff_t t2 = 0; t2 < tile->taps[2]; t2++) {
                for (ptrdiff_t k = 0; k < tile->k && counts(tile, t0, t1, t2, lane); k++) {
                    const ptrdiff_t a = tile->a_row[r] + t0 * tile->a_tap[0] + t1 * tile->a_tap[1] +
                                        t2 * tile->a_tap[2] + k * tile->a_k +
                                        (tile->a_by_lane ? lane : 0);
                    const ptrdiff_t b = t0 * tile->b_tap[0] + t1 * tile->b_tap[1] +
                                        t2 * tile->b_tap[2] + lane +
                                        (tile->b_at ? tile->b_at[k] : k * tile->b_k);
                    sum += get(bytes, tile->a, a) * get(bytes, tile->b, b);
                }
            }
        }
    }
    return sum;
}

enum { MOST_K = 5 };

enum kind { PLAIN, MASKED, MASKED_FINITE, BY_LANE, LISTED };

/* One tile: A is [tap][row][k], or [tap][row][k][lane] by lane, B [tap][k][lane], both without a
 * gap, or with its k in some other order if listed; C has canaries around. */
static void check_tile(const struct tc_kernels *kernels, int width, int rows, int lanes, int k,
                       const int taps[TC_SPATIAL], int start, enum kind kind)
{
    enum { ZERO, BIAS, ADD, BIAS_BY_ROW };
    enum { MASK_BYTES = 24 };
    unsigned char mask[6 * MASK_BYTES];
    const ptrdiff_t bytes = kernels->bytes, padded = width * kernels->lanes;
    const ptrdiff_t count = taps[0] * taps[1] * taps[2];
    const ptrdiff_t wide = kind == BY_LANE ? padded : 1; /* from an element of A to the next */
    ptrdiff_t a_row[TC_MAX_ROWS], c_row[TC_MAX_ROWS], b_at[MOST_K];
    void *const a = new_numbers(bytes, count * rows * k * wide + 1);
    void *const b = new_numbers(bytes, count * k * padded + 1);
    void *const bias = new_numbers(bytes, start == BIAS_BY_ROW ? rows : padded);
    void *const c = new_canaries(bytes, (rows + 1) * PITCH);
    void *const before = malloc((size_t)((rows + 1) * PITCH * bytes));
    for (int r = 0; r < rows; r++) {
        a_row[r] = (rows - 1 - r) * k * wide;
        c_row[r] = (r * 5 % rows) * PITCH + 7;
    }
    if (rows % 5 == 0) {
        for (int r = 0; r < rows; r++) {
            c_row[r] = r * PITCH + 7;
        }
    }
    for (int r = 0; start == ADD && r < rows; r++) {
        for (int lane = 0; lane < lanes; lane++) {
            put(bytes, c, c_row[r] + lane, random_below(9));
        }
    }
    for (ptrdiff_t i = 0; i < (rows + 1) * PITCH; i++) {
        put(bytes, before, i, get(bytes, c, i));
    }
    for (int i = 0; i < k; i++) {
        b_at[i] = (i * 3 + 1) % k * padded;
    }
    for (size_t i = 0; i < sizeof mask; i++) {
        mask[i] = (unsigned char)random_below(256);
    }
    const struct tc_tile tile = {
        .rows = rows,
        .lanes = lanes,
        .k = k,
        .taps = {taps[0], taps[1], taps[2]},
        .a = a,
        .a_row = a_row,
        .a_k = wide,
        .a_by_lane = kind == BY_LANE,
        .a_tap = {taps[1] * taps[2] * rows * k * wide, taps[2] * rows * k * wide, rows * k * wide},
        .b = b,
        .b_k = padded,
        .b_tap = {taps[1] * taps[2] * k * padded, taps[2] * k * padded, k * padded},
        .b_at = kind == LISTED ? b_at : NULL,
        .bias = start == BIAS || start == BIAS_BY_ROW ? bias : NULL,
        .bias_by_row = start == BIAS_BY_ROW,
        .add = start == ADD,
        .a_finite = kind == MASKED_FINITE,
        .mask = kind == MASKED || kind == MASKED_FINITE ? mask : NULL,
        .mask_at = 3 * kernels->lanes,
        .mask_tap = {taps[1] * taps[2] * MASK_BYTES, taps[2] * MASK_BYTES, MASK_BYTES},
        .c = c,
        .c_row = c_row,
    };
    kernels->tile[width - 1](&tile);
    for (int r = 0; r < rows; r++) {
        for (int lane = 0; lane < lanes; lane++) {
            const double from = start == ADD           ? get(bytes, before, c_row[r] + lane)
                                : start == BIAS        ? get(bytes, bias, lane)
                                : start == BIAS_BY_ROW ? get(bytes, bias, r)
                                                       : 0;
            const double sum = expected_element(&tile, bytes, from, r, lane);
            check(get(bytes, c, c_row[r] + lane) == sum, "tile", kernels->isa);
            put(bytes, c, c_row[r] + lane, get(bytes, before, c_row[r] + lane));
        }
    }
    for (ptrdiff_t i = 0; i < (rows + 1) * PITCH; i++) {
        check(get(bytes, c, i) == get(bytes, before, i), "tile wrote outside", kernels->isa);
    }
    free(a), free(b), free(bias), free(c), free(before);
}

/* One tile whose rows are interleaved: A is [k][row], each group of `zip` rows one row of C. */
static void check_zipped_tile(const struct tc_kernels *kernels, int width, int rows, int lanes,
                              int k, int zip)
{
    enum { LONG_PITCH = 4 * PITCH };
    const ptrdiff_t bytes = kernels->bytes, padded = width * kernels->lanes;
    const ptrdiff_t size = (rows / zip + 1) * LONG_PITCH;
    ptrdiff_t a_row[TC_MAX_ROWS], c_row[TC_MAX_ROWS];
    void *const a = new_numbers(bytes, k * rows + 1), *const b = new_numbers(bytes, k * padded + 1);
    void *const bias = new_numbers(bytes, rows), *const c = new_canaries(bytes, size);
    void *const before = malloc((size_t)(size * bytes));
    memcpy(before, c, (size_t)(size * bytes));
    for (int r = 0; r < rows; r++) {
        a_row[r] = 1 + r;
        c_row[r] = (rows - 1 - r) / zip * LONG_PITCH + 5 + r % zip;
    }
    const struct tc_tile tile = {
        .rows = rows,
        .lanes = lanes,
        .k = k,
        .taps = {1, 1, 1},
        .a = tc_at(a, -1, bytes),
        .a_row = a_row,
        .a_k = rows,
        .b = b,
        .b_k = padded,
        .bias = bias,
        .bias_by_row = true,
        .c = c,
        .c_row = c_row,
        .zip = zip,
        .ahead = b,
        .ahead_k = padded,
    };
    kernels->tile[width - 1](&tile);
    for (int r = 0; r < rows; r++) {
        for (int lane = 0; lane < lanes; lane++) {
            const double sum = expected_element(&tile, bytes, get(bytes, bias, r), r, lane);
            check(get(bytes, c, c_row[r] + lane * zip) == sum, "zipped tile", kernels->isa);
            put(bytes, c, c_row[r] + lane * zip, get(bytes, before, c_row[r] + lane * zip));
        }
    }
    for (ptrdiff_t i = 0; i < size; i++) {
        check(get(bytes, c, i) == get(bytes, before, i), "tile wrote outside", kernels->isa);
    }
    free(a), free(b), free(bias), free(c), free(before);
}

static void check_tiles(const struct tc_kernels *kernels)
{
    static const int taps[][TC_SPATIAL] = {{1, 1, 1}, {2, 1, 3}, {0, 2, 1}};
    for (int width = 1; width <= kernels->widths; width++) {
        for (int rows = 1; rows <= kernels->rows[width - 1]; rows++) {
            const int most = width * kernels->lanes;
            for (int lanes = most - kernels->lanes + 1; lanes <= most; lanes++) {
                const int odd = lanes + rows;
                check_tile(kernels, width, rows, lanes, 1 + odd % 5, taps[odd % 2], odd % 4, PLAIN);
                check_tile(kernels, width, rows, lanes, 1 + odd % 3, taps[odd % 2], odd % 4,
                           MASKED);
                check_tile(kernels, width, rows, lanes, 1 + odd % 3, taps[odd % 2], odd % 4,
                           MASKED_FINITE);
                check_tile(kernels, width, rows, lanes, 1 + odd % 4, taps[odd % 2], odd % 4,
                           BY_LANE);
                check_tile(kernels, width, rows, lanes, 1 + odd % MOST_K, taps[odd % 2], odd % 4,
                           LISTED);
                for (int zip = 1; zip <= 4 && rows % zip == 0; zip *= 2) {
                    check_zipped_tile(kernels, width, rows, lanes, odd % 4, zip);
                }
            }
            check_tile(kernels, width, rows, most, 0, taps[0], 1, PLAIN);
            check_tile(kernels, width, rows, most, 3, taps[2], 1, MASKED);
            check_tile(kernels, width, rows, most, 3, taps[2], 1, MASKED_FINITE);
            check_tile(kernels, width, rows, most - 1 ? most - 1 : 1, 4, taps[1], 2, PLAIN);
        }
    }
}

/* ---- transpose ---- */

static void check_transpose(const struct tc_kernels *kernels, int rows, int columns,
                            ptrdiff_t src_row, ptrdiff_t dst_row, bool table)
{
    const ptrdiff_t bytes = kernels->bytes;
    ptrdiff_t dst_rows[80];
    void *const src = new_numbers(bytes, (rows - 1) * src_row + columns);
    void *const dst = new_canaries(bytes, columns * dst_row);
    for (int c = 0; c < columns; c++) {
        dst_rows[c] = (columns - 1 - c) * dst_row;
    }
    const struct tc_transpose transpose = {
        .rows = rows,
        .columns = columns,
        .src = src,
        .src_row = src_row,
        .dst = dst,
        .dst_row = dst_row,
        .dst_rows = table ? dst_rows : NULL,
        .src_far = rows % 2,
        .dst_far = !table && rows % 3 != 0,
    };
    kernels->transpose(&transpose);
    for (int c = 0; c < columns; c++) {
        for (ptrdiff_t r = 0; r < dst_row; r++) {
            const ptrdiff_t at = (table ? dst_rows[c] : c * dst_row) + r;
            const double wanted = r < rows ? get(bytes, src, r * src_row + c) : CANARY;
            check(get(bytes, dst, at) == wanted, "transpose", kernels->isa);
        }
    }
    free(src), free(dst);
}

/* Few rows and columns, tight or with gaps; many rows, and columns a power of two apart. */
static void check_transposes(const struct tc_kernels *kernels)
{
    for (int rows = 1; rows <= 40; rows++) {
        for (int columns = 1; columns <= 40; columns++) {
            const int gap = (rows + columns) % 3 ? 0 : 3, other = 3 - gap;
            check_transpose(kernels, rows, columns, columns + gap, rows + gap, columns % 2);
            check_transpose(kernels, rows, columns, columns + other, rows + other,
                            columns % 2 == 0);
        }
    }
    for (int rows = 120; rows <= 300; rows += 19) {
        for (int columns = 1; columns <= 80; columns += 13) {
            check_transpose(kernels, rows, columns, columns + rows % 2, 512, false);
            check_transpose(kernels, rows, columns, 80, rows + 1, false);
        }
    }
}

/* ---- copy ---- */

static void check_copy(const struct tc_kernels *kernels, int rows, int columns)
{
    const ptrdiff_t bytes = kernels->bytes, src_row = columns + rows % 3, dst_row = columns + 2;
    void *const src = new_numbers(bytes, (rows - 1) * src_row + columns);
    void *const dst = new_canaries(bytes, rows * dst_row);
    const struct tc_rows args = {rows, columns, src, src_row, dst, dst_row, rows % 2 * src_row};
    kernels->copy(&args);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < dst_row; c++) {
            const double wanted = c < columns ? get(bytes, src, r * src_row + c) : CANARY;
            check(get(bytes, dst, r * dst_row + c) == wanted, "copy", kernels->isa);
        }
    }
    free(src), free(dst);
}

/* ---- shuffle ---- */

/* dst begins `skip` elements into its memory, so that streaming meets every alignment. */
static void check_shuffle(const struct tc_kernels *kernels, int phases, int columns, int skip,
                          bool stream)
{
    enum { ROWS = 3 };
    const ptrdiff_t bytes = kernels->bytes, src_phase = columns + 1, src_row = phases * src_phase;
    const ptrdiff_t dst_row = columns * phases + 5;
    void *const src = new_numbers(bytes, ROWS * src_row);
    void *const dst = new_canaries(bytes, skip + ROWS * dst_row);
    const struct tc_shuffle args = {
        .rows = ROWS,
        .columns = columns,
        .phases = phases,
        .src = src,
        .src_row = src_row,
        .src_phase = src_phase,
        .dst = tc_at(dst, skip, bytes),
        .dst_row = dst_row,
        .stream = stream,
    };
    kernels->shuffle(&args);
    for (int i = 0; i < skip; i++) {
        check(get(bytes, dst, i) == CANARY, "shuffle wrote before", kernels->isa);
    }
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < dst_row; i++) {
            const int c = i / phases, p = i % phases;
            const double wanted =
                c < columns ? get(bytes, src, r * src_row + p * src_phase + c) : CANARY;
            check(get(bytes, dst, skip + r * dst_row + i) == wanted, "shuffle", kernels->isa);
        }
    }
    free(src), free(dst);
}

/* ---- sums ---- */

static void check_sums(const struct tc_kernels *kernels, int rows, int columns)
{
    const ptrdiff_t bytes = kernels->bytes, src_row = columns + rows % 3;
    void *const src = new_numbers(bytes, rows * src_row);
    void *const dst = new_canaries(bytes, columns + 1), *const all = new_canaries(bytes, 2);
    struct tc_rows args = {rows, columns, src, src_row, dst, 0, 0};
    double total = 0;
    kernels->sum_rows(&args);
    args.dst = all;
    kernels->sum_all(&args);
    for (int c = 0; c < columns; c++) {
        double sum = 0;
        for (int r = 0; r < rows; r++) {
            sum += get(bytes, src, r * src_row + c);
        }
        check(get(bytes, dst, c) == sum, "sum_rows", kernels->isa);
        total += sum;
    }
    check(get(bytes, all, 0) == total, "sum_all", kernels->isa);
    check(get(bytes, dst, columns) == CANARY, "sum_rows wrote behind", kernels->isa);
    check(get(bytes, all, 1) == CANARY, "sum_all wrote behind", kernels->isa);
    free(src), free(dst), free(all);
}

static void check_rows(const struct tc_kernels *kernels)
{
    for (int columns = 1; columns < 70; columns++) {
        check_copy(kernels, 1 + columns % 4, columns);
        check_sums(kernels, columns % 20, columns);
        check_sums(kernels, columns % 3, 5 * columns);
        for (int phases = 1; phases <= 9; phases++) {
            check_shuffle(kernels, phases, columns, columns % 16, columns % 2);
        }
        check_shuffle(kernels, 2, columns, 2 * columns % 16, true);
        check_shuffle(kernels, 4, columns, 4 * columns % 16, true);
    }
    check_shuffle(kernels, 17, 40, 0, false);
}

/* ---- dots ---- */

enum { DOT_SETS = 2, DOT_LINES = 5, DOT_COLUMNS = 7 };

/* Whether line r of the small image counts for kernel line i. */
static bool meets(const struct tc_dots *dots, ptrdiff_t r, ptrdiff_t i)
{
    const ptrdiff_t at = r + i * dots->gap;
    return at >= dots->met_begin && at < dots->met_end;
}

static bool has_lane(const unsigned char mask[TC_MASK_BYTES], ptrdiff_t lane)
{
    return mask[lane / 8] >> lane % 8 & 1;
}

static double expected_dot(const struct tc_dots *dots, ptrdiff_t bytes, ptrdiff_t set, int i, int t,
                           ptrdiff_t lane)
{
    double sum = 0;
    for (ptrdiff_t r = 0; r < dots->lines; r++) {
        for (ptrdiff_t v = 0; v < dots->columns && meets(dots, r, i); v++) {
            const ptrdiff_t x =
                set * dots->small_set + r * dots->small_line + v * dots->small_column + lane;
            const ptrdiff_t y = set * dots->large_set + (r + i * dots->gap) * dots->large_line +
                                v * dots->large_column + dots->tap[t] + lane;
            const bool whole = v >= dots->begin && v < dots->end;
            if (whole || has_lane(dots->masks[v].tap[t], lane)) {
                sum += get(bytes, dots->small, x) * get(bytes, dots->large, y);
            }
        }
    }
    return sum;
}

/* Some lanes of most columns; of columns begin <= v < end masks are not looked at. */
static void set_masks(struct tc_dots *dots, struct tc_dot_masks masks[DOT_COLUMNS], int seed)
{
    memset(masks, 0, DOT_COLUMNS * sizeof *masks);
    dots->begin = seed % 3;
    dots->end = dots->begin + seed % 5;
    for (int v = 0; v < DOT_COLUMNS; v++) {
        for (int t = 0; t < dots->taps && (v < dots->begin || v >= dots->end); t++) {
            for (int b = 0; b < TC_MASK_BYTES; b++) {
                const int bits = (seed * (v + 3) * (t + 5) * (b + 7)) >> 2;
                masks[v].tap[t][b] = (unsigned char)bits;
                masks[v].any[b] |= (unsigned char)bits;
            }
        }
    }
}

/* What does not count, lines of the large image that are not there and lanes of the small one, is
 * no number. */
static void check_dot(const struct tc_kernels *kernels, int reach, int taps, int lines, int gap,
                      int seed)
{
    const ptrdiff_t bytes = kernels->bytes, vector = kernels->lanes, step = 1 + seed % 2;
    const ptrdiff_t all = lines + (reach - 1) * gap, line = (step * DOT_COLUMNS + taps) * vector;
    const ptrdiff_t sums = DOT_SETS * reach * taps * (vector + 1);
    const ptrdiff_t small_line = DOT_COLUMNS * vector;
    void *const small = new_numbers(bytes, DOT_SETS * (lines + 1) * small_line);
    void *const large = new_numbers(bytes, DOT_SETS * (all + 1) * line);
    void *const sum = new_canaries(bytes, sums);
    struct tc_dot_masks masks[DOT_COLUMNS];
    ptrdiff_t tap[TC_DOT_TAPS];
    struct tc_dots dots = {
        .sets = DOT_SETS,
        .lanes = 1 + seed % vector,
        .lines = lines,
        .columns = DOT_COLUMNS,
        .met_begin = seed % 3 - 1,
        .met_end = all + 1 - seed / 3 % 3,
        .gap = gap,
        .reach = reach,
        .taps = taps,
        .add = seed % 4 == 0,
        .small = small,
        .small_set = (lines + 1) * small_line,
        .small_line = small_line,
        .small_column = vector,
        .large = large,
        .large_set = (all + 1) * line,
        .large_line = line,
        .large_column = step * vector,
        .tap = tap,
        .masks = masks,
        .sums = sum,
        .sum_set = reach * taps * (vector + 1),
        .sum_line = taps * (vector + 1),
        .sum_tap = vector + 1,
    };
    set_masks(&dots, masks, seed);
    for (int t = 0; t < taps; t++) {
        tap[t] = t % 2 ? t * vector : t * vector / 2;
    }
    for (ptrdiff_t at = 0; at < DOT_SETS * (lines + 1) * small_line; at++) {
        const ptrdiff_t v = at % small_line / vector;
        const bool whole = v >= dots.begin && v < dots.end;
        if (!whole && !has_lane(masks[v].any, at % vector)) {
            put(bytes, small, at, NAN);
        }
    }
    for (ptrdiff_t at = 0; at < DOT_SETS * (all + 1) * line; at++) {
        const ptrdiff_t number = at / line % (all + 1);
        if (number < dots.met_begin || number >= dots.met_end) {
            put(bytes, large, at, NAN);
        }
    }
    kernels->dots(&dots);
    for (ptrdiff_t at = 0; at < sums; at++) {
        const ptrdiff_t number = at / (vector + 1), lane = at % (vector + 1);
        const int i = (int)(number / taps % reach), t = (int)(number % taps);
        const bool written = lane < dots.lanes;
        const double start = written && !dots.add ? 0 : CANARY;
        const double added =
            written ? expected_dot(&dots, bytes, number / taps / reach, i, t, lane) : 0;
        check(get(bytes, sum, at) == start + added, "dots", kernels->isa);
    }
    free(small), free(large), free(sum);
}

static void check_dots(const struct tc_kernels *kernels)
{
    int seed = 0;
    for (int reach = 1; reach <= 8; reach++) {
        for (int taps = 1; taps <= TC_DOT_TAPS; taps++) {
            for (int lines = 0; lines <= DOT_LINES; lines++) {
                check_dot(kernels, reach, taps, lines, 1 + seed % 5 / 4, seed);
                seed++;
            }
        }
    }
}

int main(void)
{
    const struct tc_cpu cpu = tc_cpu_detect();
    const char *isas[TC_MAX_ISAS];
    tc_kernels_list(&cpu, isas);
    for (int i = 0; isas[i]; i++) {
        for (int dtype = TC_F32; dtype <= TC_F64; dtype++) {
            const struct tc_kernels *const kernels = tc_kernels_find(isas[i], dtype, &cpu);
            check_tiles(kernels);
            check_transposes(kernels);
            check_rows(kernels);
            check_dots(kernels);
            printf("%s %s: ", isas[i], dtype == TC_F32 ? "float" : "double");
            report();
        }
    }
    return failures > 0;
}
