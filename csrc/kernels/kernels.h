/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_KERNELS_H
#define TC_KERNELS_H

/* The contracts of the kernels. A kernel never touches a byte outside the rows, lanes and columns
 * that its arguments name. All strides count elements.
 *
 * To add a kernel: write it in kernels_<isa>.c, and put it into that file's table. Tests and
 * benchmarks find it there. */

#include "base/cpu.h"
#include "tensor.h"

#include <stdint.h>

/* The one microkernel. C (rows x lanes) is a sum over taps and k,
 *
 *   C[r][l] = start + sum over t0, t1, t2, k of  A[r][t, k] * B[t, k][l]
 *   A[r][t, k] = a[a_row[r] + t0*a_tap[0] + t1*a_tap[1] + t2*a_tap[2] + k*a_k]
 *   B[t, k][l] = b[           t0*b_tap[0] + t1*b_tap[1] + t2*b_tap[2] + k*b_k + l]
 *   C[r][l]    = c[c_row[r] + l]
 *
 * (or, if `a_by_lane`, A[r][t, k][l], a vector of elements from there on, in the place of one
 * element for all lanes) in that order, one accumulator an element. start is C itself if `add`,
 * else bias[l], or bias[r] if `bias_by_row`, else 0. The kernel of width v takes lanes in ((v-1)*L,
 * v*L], L lanes a vector, and reads B and a bias by lane in whole vectors: v*L elements; a, c and
 * everything else as far as rows and lanes go. taps and k may be 0.
 *
 * With a mask, tap t counts for the lanes only whose bit mask_at + l is set in the bits at
 * mask + t0*mask_tap[0] + t1*mask_tap[1] + t2*mask_tap[2] (bytes); mask_at is a multiple of L. The
 * accumulators of the others do not change (but -0 may become 0), whatever A and B hold there;
 * this is several times as fast where `a_finite` promises that no element of A is infinite or not
 * a number. There is no mask for A by lane.
 *
 * With a table b_at, b_at[k] stands for k*b_k; then there is no mask, no A by lane and no zip.
 *
 * If zip is 1, 2 or 4, the rows of A follow each other, a_row[r + 1] = a_row[r] + 1, and those of C
 * come in whole groups of so many, interleaved: C[r][l] = c[c_row[r] + l*zip], and c_row[r + 1] =
 * c_row[r] + 1 within a group. Then there is no mask, no A by lane and no `add`. If zip is 1, hints
 * bring the line at ahead + t2*ahead_tap + k*ahead_k closer. */
struct tc_tile {
    ptrdiff_t rows, lanes, k, taps[TC_SPATIAL];
    const void *a;
    const ptrdiff_t *a_row;
    ptrdiff_t a_k, a_tap[TC_SPATIAL];
    const void *b;
    ptrdiff_t b_k, b_tap[TC_SPATIAL];
    const ptrdiff_t *b_at;
    const void *bias;
    bool a_by_lane, a_finite, bias_by_row, add;
    const unsigned char *mask;
    ptrdiff_t mask_at, mask_tap[TC_SPATIAL];
    void *c;
    const ptrdiff_t *c_row;
    int zip;
    const void *ahead;
    ptrdiff_t ahead_k, ahead_tap;
};

/* dst[c*dst_row + r] = src[r*src_row + c] for r < rows, c < columns; with a table dst_rows,
 * dst[dst_rows[c] + r] = src[r*src_row + c]. Hints bring lines closer of what is far; with a table
 * that is src alone. */
struct tc_transpose {
    ptrdiff_t rows, columns;
    const void *src;
    ptrdiff_t src_row;
    void *dst;
    ptrdiff_t dst_row;
    const ptrdiff_t *dst_rows;
    bool src_far, dst_far;
};

/* dst[r*dst_row + c] = src[r*src_row + c] for r < rows, c < columns. If `ahead` is not 0, a copy
 * gives hints, which bring what lies so many elements behind its source closer. */
struct tc_rows {
    ptrdiff_t rows, columns;
    const void *src;
    ptrdiff_t src_row;
    void *dst;
    ptrdiff_t dst_row, ahead;
};

/* dst[r*dst_row + c*phases + p] = src[r*src_row + p*src_phase + c] for r < rows, c < columns,
 * p < phases: phases side by side become one row. If `stream`, past the caches where it can. */
struct tc_shuffle {
    ptrdiff_t rows, columns, phases;
    const void *src;
    ptrdiff_t src_row, src_phase;
    void *dst;
    ptrdiff_t dst_row;
    bool stream;
};

/* dst[r*dst_row + c%step*dst_part + c/step] = src[r*src_row + c] for r < rows, c < columns, step of
 * 2 or more: the elements of each row by their remainders; if dst_part is 0, remainder 0 alone. */
struct tc_unzip {
    ptrdiff_t rows, columns, step;
    const void *src;
    ptrdiff_t src_row;
    void *dst;
    ptrdiff_t dst_row, dst_part;
};

/* Lines of outputs of some channels, each from inputs of its own; lanes are outputs of a line:
 *
 *   y[c*y_channel + o*y_output + r*y_line + v] =
 *       start + sum over sheets m, its taps j, i < reach  of
 *       x[c*x_channel + m.x + (r*step + i)*x_line + tap[j].x + v] *
 *       w[c*w_channel + o*w_output + m.w + i*w_line + j*w_tap]
 *
 * for c < channels, o < outputs, r < lines, v < columns, which fit an int. They are summed in the
 * order m, j, i, one accumulator an output. Line number l = r*step + i of a sheet's inputs does not
 * count unless its bit is set in m.lines, nor does tap j but for begin <= v < end: what is not
 * there is not read. start is bias[c*bias_channel + o*bias_output] or 0.
 *
 * Meanwhile hints bring closer what later calls read and write: elements of the lines from
 * x_next + c*x_next_channel + m.next + j*x_next_tap + v*x_next_column + r*x_next_line for the first
 * m.hints taps j of a sheet and r < lines*step, and from y_next elements behind each output.
 *
 * `lines_by_lane` has a weight for each column, w[... + v], and a bias, bias[c*bias_channel + v].
 * Its taps count for all columns: their own begin and end are not looked at. It reads weights in
 * whole vectors. */
struct tc_line_tap {
    ptrdiff_t x;
    int begin, end;
};

struct tc_line_sheet {
    ptrdiff_t x, w;
    ptrdiff_t first_tap, last_tap; /* the taps from the first on, before the last */
    unsigned lines;
    int hints;
    ptrdiff_t next;
};

struct tc_lines {
    ptrdiff_t channels, outputs, columns, sheets, taps;
    int lines;       /* 1, 4, TC_MAX_LINES or, by `lines`, its tall_lines */
    int reach, step; /* 1, 3, 5 or TC_REACH with step 1; 3, 4 or 5 with step 2 */
    const void *x;
    ptrdiff_t x_channel, x_line;
    const struct tc_line_sheet *sheet;
    const struct tc_line_tap *tap;
    const void *w;
    ptrdiff_t w_channel, w_output, w_line, w_tap;
    const void *bias;
    ptrdiff_t bias_channel, bias_output;
    void *y;
    ptrdiff_t y_channel, y_output, y_line;
    const void *x_next;
    ptrdiff_t x_next_channel, x_next_tap, x_next_column, x_next_line;
    ptrdiff_t y_next; /* or 0 */
};

/* Lines of a call: at most; where there are registers for them, if they are tall; of the kernel. */
enum { TC_MAX_LINES = 7, TC_TALL_LINES = 14, TC_REACH = 7 };

/* Lines of outputs of some channels, by turns of two phases; lanes are points, each with an output
 * of either phase q:
 *
 *   y[c*y_channel + r*y_line + 2*v + q] = start + sum over sheets m, taps j of q, i < m.lines  of
 *       x[c*x_channel + m.x + (r + i)*x_line + tap[q][j].x + v] *
 *       w[c*w_channel + m.w + i*w_line + tap[q][j].w]
 *
 * for c < channels, r < lines, 2*v + q < outputs, which fit an int. They are summed in the order m,
 * j, i. Tap j does not count but for begin <= v < end: what is not there is not read. start is
 * bias[c*bias_channel] or 0. */
struct tc_weave_tap {
    ptrdiff_t x, w;
    int begin, end;
};

struct tc_weave_sheet {
    ptrdiff_t x, w;
    int lines;
};

struct tc_weave {
    ptrdiff_t channels, lines, outputs, sheets;
    const struct tc_weave_sheet *sheet;
    const struct tc_weave_tap *tap[2];
    int taps[2];
    const void *x;
    ptrdiff_t x_channel, x_line;
    const void *w;
    ptrdiff_t w_channel, w_line;
    const void *bias;
    ptrdiff_t bias_channel;
    void *y;
    ptrdiff_t y_channel, y_line;
};

/* Products of two images, a small and a large one, summed for some elements of a kernel; lanes are
 * channels or columns, up to a vector of them. For each of some sets
 *
 *   S[i][t][l] = start + sum over lines r, columns v of
 *       small[r*small_line + v*small_column + l] *
 *       large[(r + i*gap)*large_line + v*large_column + tap[t] + l]
 *
 * for i < reach, t < taps, r < lines, v < columns, line after line and in each column after column.
 * Line r does not count for i unless met_begin <= r + i*gap < met_end, nor lane l of column v for
 * tap t unless its bit is set in masks[v].tap[t], and so in masks[v].any: what does not count is
 * not read. All lanes of columns begin <= v < end count for all taps, and their masks are not
 * looked at. S[i][t] is at sums[i*sum_line + t*sum_tap], start what is there if `add`, else 0.
 * Meanwhile hints bring closer what follows in the images. */
enum { TC_DOT_TAPS = 15, TC_MASK_BYTES = 2 };

struct tc_dot_masks {
    unsigned char any[TC_MASK_BYTES], tap[TC_DOT_TAPS][TC_MASK_BYTES];
};

struct tc_dots {
    ptrdiff_t sets, lanes, lines, columns, met_begin, met_end, gap;
    int reach, taps;
    bool add;
    const void *small;
    ptrdiff_t small_set, small_line, small_column;
    const void *large;
    ptrdiff_t large_set, large_line, large_column;
    const ptrdiff_t *tap;
    const struct tc_dot_masks *masks;
    ptrdiff_t begin, end;
    void *sums;
    ptrdiff_t sum_set, sum_line, sum_tap;
};

/* What is done to each output after its sum. */
enum tc_activation_kind {
    TC_NO_ACTIVATION,
    TC_RELU,       /* max(x, 0) */
    TC_LEAKY_RELU, /* x, or slope*x below 0 */
    TC_TANH,
    TC_SIGMOID, /* 1/(1 + e**-x) */
};

struct tc_activation {
    enum tc_activation_kind kind;
    double slope;
};

enum { TC_WIDTHS = 4, TC_MAX_ROWS = 14 };

/* The kernels of one instruction set and dtype. tile[v-1] has width v and takes up to rows[v-1]
 * rows; widths are filled from 1 up to `widths`. */
struct tc_kernels {
    const char *isa;
    int bytes, lanes, widths; /* bytes of an element */
    int rows[TC_WIDTHS];
    void (*tile[TC_WIDTHS])(const struct tc_tile *tile);
    void (*transpose)(const struct tc_transpose *transpose);
    void (*copy)(const struct tc_rows *rows);
    void (*shuffle)(const struct tc_shuffle *shuffle);
    void (*unzip)(const struct tc_unzip *unzip);
    int tall_lines;     /* that `lines` takes at once with reach 3 and step 1, at most */
    int shared_outputs; /* that it sums together, at most, if it takes several lines */
    void (*lines)(const struct tc_lines *lines);
    void (*lines_by_lane)(const struct tc_lines *lines);
    void (*weave)(const struct tc_weave *weave);
    void (*dots)(const struct tc_dots *dots);
    int dot_taps; /* that `dots` sums at once, at most */
    void (*activate)(const struct tc_activation *activation, const struct tc_rows *rows); /* dst */
    void (*add)(const struct tc_rows *rows); /* dst += src, whose rows are apart */
    /* Between half precision, float16 [0] or bfloat16 [1], and float32; narrow rounds to nearest,
     * ties to even. NULL but for float32. */
    void (*widen[2])(float *dst, const uint16_t *src, ptrdiff_t count);
    void (*narrow[2])(uint16_t *dst, const float *src, ptrdiff_t count);
    /* Sums over r < rows of src[r*src_row + c], one in dst[c] for each c < columns (sum_rows), or
     * over all c in *dst (sum_all); there may be no rows. An element meets others in an order that
     * rows and columns decide, and no more than rows*columns/(TC_SUMS*lanes) + rows + lanes. */
    void (*sum_rows)(const struct tc_rows *rows);
    void (*sum_all)(const struct tc_rows *rows);
};

/* Vectors that sums are spread over. */
enum { TC_SUMS = 8 };

/* The tables at the end of each kernels_<isa>.c, by dtype; NULL where it was not compiled. */
extern const struct tc_kernels *const tc_kernels_portable[];
extern const struct tc_kernels *const tc_kernels_avx2[];
extern const struct tc_kernels *const tc_kernels_avx512[];
extern const struct tc_kernels *const tc_kernels_neon[];

/* The kernels of instruction set `isa`, or the best there are if NULL; NULL if this processor or
 * this build has none of that name. */
const struct tc_kernels *tc_kernels_find(const char *isa, enum tc_dtype dtype,
                                         const struct tc_cpu *cpu);

/* The names of the instruction sets that can run here, best first, ended by NULL. */
enum { TC_MAX_ISAS = 5 };
void tc_kernels_list(const struct tc_cpu *cpu, const char *names[TC_MAX_ISAS]);

#endif
