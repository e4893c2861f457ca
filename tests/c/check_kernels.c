/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels alone, of every instruction set this machine has: all rows up to the most, all lanes,
 * against plain loops, exact on whole numbers, with canaries around what may be written. */
#include "check.h"

/* ---- tile ---- */

enum { PITCH = 100 }; /* elements between rows of C, more than any tile has lanes */

static double expected_element(const struct tc_tile *tile, ptrdiff_t bytes, double start,
                               ptrdiff_t r, ptrdiff_t lane)
{
    double sum = start;
    for (ptrdiff_t t0 = 0; t0 < tile->taps[0]; t0++) {
        for (ptrdiff_t t1 = 0; t1 < tile->taps[1]; t1++) {
            for (ptrdiff_t t2 = 0; t2 < tile->taps[2]; t2++) {
                for (ptrdiff_t k = 0; k < tile->k; k++) {
                    const ptrdiff_t a = tile->a_row[r] + t0 * tile->a_tap[0] + t1 * tile->a_tap[1] +
                                        t2 * tile->a_tap[2] + k * tile->a_k;
                    const ptrdiff_t b = t0 * tile->b_tap[0] + t1 * tile->b_tap[1] +
                                        t2 * tile->b_tap[2] + k * tile->b_k + lane;
                    sum += get(bytes, tile->a, a) * get(bytes, tile->b, b);
                }
            }
        }
    }
    return sum;
}

/* One tile: A is [tap][row][k], B [tap][k][lane], both without a gap; C has canaries around. */
static void check_tile(const struct tc_kernels *kernels, int width, int rows, int lanes, int k,
                       const int taps[TC_SPATIAL], int start)
{
    enum { ZERO, BIAS, ADD };
    const ptrdiff_t bytes = kernels->bytes, padded = width * kernels->lanes;
    const ptrdiff_t count = taps[0] * taps[1] * taps[2];
    ptrdiff_t a_row[TC_MAX_ROWS], c_row[TC_MAX_ROWS];
    void *const a = new_numbers(bytes, count * rows * k + 1);
    void *const b = new_numbers(bytes, count * k * padded + 1);
    void *const bias = new_numbers(bytes, padded);
    void *const c = new_canaries(bytes, (rows + 1) * PITCH);
    void *const before = malloc((size_t)((rows + 1) * PITCH * bytes));
    for (int r = 0; r < rows; r++) {
        a_row[r] = (rows - 1 - r) * k;
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
    const struct tc_tile tile = {
        .rows = rows,
        .lanes = lanes,
        .k = k,
        .taps = {taps[0], taps[1], taps[2]},
        .a = a,
        .a_row = a_row,
        .a_k = 1,
        .a_tap = {taps[1] * taps[2] * rows * k, taps[2] * rows * k, rows * k},
        .b = b,
        .b_k = padded,
        .b_tap = {taps[1] * taps[2] * k * padded, taps[2] * k * padded, k * padded},
        .bias = start == BIAS ? bias : NULL,
        .add = start == ADD,
        .c = c,
        .c_row = c_row,
    };
    kernels->tile[width - 1](&tile);
    for (int r = 0; r < rows; r++) {
        for (int lane = 0; lane < lanes; lane++) {
            const double from = start == ADD    ? get(bytes, before, c_row[r] + lane)
                                : start == BIAS ? get(bytes, bias, lane)
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

static void check_tiles(const struct tc_kernels *kernels)
{
    static const int taps[][TC_SPATIAL] = {{1, 1, 1}, {2, 1, 3}, {0, 2, 1}};
    for (int width = 1; width <= kernels->widths; width++) {
        for (int rows = 1; rows <= kernels->rows[width - 1]; rows++) {
            const int most = width * kernels->lanes;
            for (int lanes = most - kernels->lanes + 1; lanes <= most; lanes++) {
                const int odd = lanes + rows;
                check_tile(kernels, width, rows, lanes, 1 + odd % 5, taps[odd % 2], odd % 3);
            }
            check_tile(kernels, width, rows, most, 0, taps[0], 1);
            check_tile(kernels, width, rows, most, 3, taps[2], 1);
            check_tile(kernels, width, rows, most - 1 ? most - 1 : 1, 4, taps[1], 2);
        }
    }
}

/* ---- transpose ---- */

static void check_transpose(const struct tc_kernels *kernels, int rows, int columns, bool tight,
                            bool table)
{
    const ptrdiff_t bytes = kernels->bytes;
    const ptrdiff_t src_row = columns + (tight ? 0 : 3), dst_row = rows + (tight ? 0 : 2);
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

/* ---- overlap ---- */

/* Rows of a problem with `columns` columns in and one row of outputs; src is exactly the columns
 * that count, so that every step beyond is one outside the memory. */
static void check_overlap(const struct tc_kernels *kernels, int phases, int in, int outputs,
                          int taps, bool weighted)
{
    enum { OUTER = 2 };
    const ptrdiff_t bytes = kernels->bytes;
    const int fall = 1 + (in + taps) % 2, offset = taps / 2 * fall - in % 3;
    void *const src = new_numbers(bytes, OUTER * in);
    void *const weights = new_numbers(bytes, OUTER * TC_OVERLAP_PHASES * (taps + 1));
    void *const bias = new_numbers(bytes, 1);
    void *const dst = new_canaries(bytes, outputs);
    const ptrdiff_t src_at[OUTER] = {0, in}, weight_at[OUTER] = {0, TC_OVERLAP_PHASES * (taps + 1)};
    struct tc_overlap overlap = {
        .outputs = outputs,
        .phases = phases,
        .in = in,
        .fall = fall,
        .src_tap = -fall,
        .weight_tap = 1,
        .sums = OUTER,
        .src_at = src_at,
        .weight_at = weight_at,
        .src = src,
        .weights = weighted ? weights : NULL,
        .bias = outputs % 2 ? bias : NULL,
        .dst = dst,
    };
    for (int r = 0; r < phases; r++) {
        overlap.phase[r].offset = offset + r % 2;
        overlap.phase[r].taps = r == phases - 1 ? taps : taps + 1;
        overlap.phase[r].src = offset + r % 2;
        overlap.phase[r].weight = r * (taps + 1);
    }
    kernels->overlap(&overlap);
    for (int i = 0; i < outputs; i++) {
        const int r = i % phases, j = i / phases;
        double wanted = outputs % 2 ? get(bytes, bias, 0) : 0;
        for (int o = 0; o < OUTER; o++) {
            for (int t = 0; t < overlap.phase[r].taps; t++) {
                const ptrdiff_t column = j + overlap.phase[r].offset - t * fall;
                const ptrdiff_t at = (o * TC_OVERLAP_PHASES + r) * (taps + 1) + t;
                if (column >= 0 && column < in) {
                    const double weight = weighted ? get(bytes, weights, at) : 1;
                    wanted += weight * get(bytes, src, o * in + column);
                }
            }
        }
        check(get(bytes, dst, i) == wanted, "overlap", kernels->isa);
    }
    free(src), free(weights), free(bias), free(dst);
}

static void check_overlaps(const struct tc_kernels *kernels)
{
    static const int phases[] = {1, 2, 4};
    for (int p = 0; p < 3; p++) {
        for (int in = 1; in < 70; in += 1 + in / 20) {
            for (int taps = 0; taps < 6; taps++) {
                for (int more = -3; more < 4; more++) {
                    const int outputs = phases[p] * in + more * (1 + in / 9);
                    if (outputs > 0) {
                        check_overlap(kernels, phases[p], in, outputs, taps, more % 2);
                    }
                }
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
            for (int rows = 1; rows <= 40; rows++) {
                for (int columns = 1; columns <= 40; columns++) {
                    const bool tight = (rows + columns) % 3;
                    check_transpose(kernels, rows, columns, tight, columns % 2);
                    check_transpose(kernels, rows, columns, !tight, columns % 2 == 0);
                }
            }
            check_overlaps(kernels);
            printf("%s %s: ", isas[i], dtype == TC_F32 ? "float" : "double");
            report();
        }
    }
    return failures > 0;
}
