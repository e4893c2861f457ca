/* SPDX-License-Identifier: BSD-3-Clause */
/* spread: lanes are input pixels.
 *
 * Read the other way, the lattice says where each input goes: to the outputs of its taps. For all
 * inputs at once that is one product of matrices,
 *
 *     T[(co, kd, kh, kw)][pixel] = sum over ci of  w[ci][(co, kd, kh, kw)] * x[ci][pixel],
 *
 * for which the weights of a transposed convolution are read as they lie: row ci of the array is a
 * contiguous row of (co, kd, kh, kw). T is made in pieces that stay in the cache, some output
 * channels at a time, and added up into the outputs there:
 *
 *     for block of outputs (a task)
 *       copy its inputs to panels [ci][lanes of pixels]
 *       for some output channels
 *         for tile of rows               weights to [ci][rows], where they are used again
 *           for panel                    registers
 *         for output row                 sum T over the taps of each phase, interleave, store
 *
 * Outputs belong to one block; inputs near a block's edge are in two blocks, and are multiplied
 * twice. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

enum {
    INPUT_BYTES = 256 << 10, /* the panels of inputs */
    T_BYTES = 256 << 10,
    WEIGHT_BYTES = 128 << 10, /* the weights of some output channels */
    MAX_POINTS = 4096,        /* grid points of a block */
    MAX_STRIDE = 4096,        /* along the width */
};

/* A block at work. */
struct state {
    const struct tc_job *job;
    struct tc_block block;
    struct tc_image x;        /* the copy of the inputs, [ci][pixel] */
    ptrdiff_t pixels, pitch;  /* of the block's inputs; elements between rows of T */
    ptrdiff_t *a_row, *t_row; /* offsets of T's rows, in the weights and in T */
    void *copy, *weights, *t, *row;
};

static ptrdiff_t kernel_volume(const struct tc_job *job)
{
    return job->problem->k[TC_D] * job->problem->k[TC_H] * job->problem->k[TC_W];
}

/* Whole vectors, in an odd number of lines. */
static ptrdiff_t padded_pixels(const struct tc_job *job, ptrdiff_t pixels)
{
    const ptrdiff_t line = TC_ALIGN / job->kernels->bytes;
    return (tc_ceil_div(pixels, line) | 1) * line;
}

/* Output channels that T holds at once. */
static ptrdiff_t channels_at_once(const struct tc_job *job)
{
    const ptrdiff_t bytes = kernel_volume(job) * job->kernels->bytes;
    const ptrdiff_t pixels = padded_pixels(job, tc_block_inputs(job));
    const ptrdiff_t by_t = T_BYTES / (bytes * pixels);
    const ptrdiff_t by_w = WEIGHT_BYTES / (bytes * tc_group_ci(job->problem));
    return tc_clamp(tc_min(by_t, by_w), 1, tc_group_co(job->problem));
}

static ptrdiff_t copy_bytes(const struct tc_job *job)
{
    const ptrdiff_t pitch = padded_pixels(job, tc_block_inputs(job));
    return pitch * tc_group_ci(job->problem) * job->kernels->bytes;
}

static ptrdiff_t rows_at_once(const struct tc_job *job)
{
    return channels_at_once(job) * kernel_volume(job);
}

static ptrdiff_t weight_bytes(const struct tc_job *job)
{
    return padded_pixels(job, rows_at_once(job)) * tc_group_ci(job->problem) * job->kernels->bytes;
}

static ptrdiff_t t_bytes(const struct tc_job *job)
{
    return rows_at_once(job) * padded_pixels(job, tc_block_inputs(job)) * job->kernels->bytes;
}

/* An output row along the width, phase by phase. */
static ptrdiff_t row_bytes(const struct tc_job *job)
{
    const ptrdiff_t outputs = job->blocking.size[3] * job->lattice.axis[TC_W].phases;
    return padded_pixels(job, outputs) * job->kernels->bytes;
}

/* ---- the product ---- */

/* Lists where the rows of T for `channels` output channels begin: in the weights, as they lie or
 * copied, and in T. */
static void list_rows(const struct state *s, ptrdiff_t channels, bool copied)
{
    const struct tc_weight *const w = &s->job->w;
    const ptrdiff_t *const k = s->job->problem->k;
    ptrdiff_t row = 0;
    for (ptrdiff_t c = 0; c < channels; c++) {
        for (ptrdiff_t kd = 0; kd < k[TC_D]; kd++) {
            for (ptrdiff_t kh = 0; kh < k[TC_H]; kh++) {
                const ptrdiff_t from = c * w->co + kd * w->axis[TC_D] + kh * w->axis[TC_H];
                for (ptrdiff_t kw = 0; kw < k[TC_W]; kw++, row++) {
                    s->a_row[row] = copied ? row : from + kw * w->axis[TC_W];
                    s->t_row[row] = row * s->pitch;
                }
            }
        }
    }
}

/* Copies the weights of `channels` output channels to [ci][rows]. */
static void copy_weights(const struct state *s, const void *weights, ptrdiff_t channels,
                         ptrdiff_t pitch)
{
    const struct tc_job *const job = s->job;
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t *const k = job->problem->k;
    const ptrdiff_t ci = tc_group_ci(job->problem), bytes = job->kernels->bytes;
    const bool flat = w->axis[TC_W] == 1 && w->axis[TC_H] == k[TC_W] &&
                      w->axis[TC_D] == k[TC_H] * k[TC_W] && w->co == kernel_volume(job);
    const ptrdiff_t row = flat ? channels * kernel_volume(job) : k[TC_W];
    for (ptrdiff_t r = 0; r < channels * kernel_volume(job); r += row) {
        const ptrdiff_t kh = r / k[TC_W] % k[TC_H], kd = r / k[TC_W] / k[TC_H] % k[TC_D];
        const ptrdiff_t from =
            r / kernel_volume(job) * w->co + kd * w->axis[TC_D] + kh * w->axis[TC_H];
        const struct tc_matrix src = {tc_at(weights, from, bytes), w->ci, w->axis[TC_W]};
        const struct tc_matrix dst = {tc_at(s->weights, r, bytes), pitch, 1};
        tc_copy(job->kernels, ci, row, dst, src);
    }
}

/* T for `channels` output channels from `first` on. */
static void multiply(const struct state *s, ptrdiff_t first, ptrdiff_t channels)
{
    const struct tc_job *const job = s->job;
    const struct tc_kernels *const kernels = job->kernels;
    const ptrdiff_t rows = channels * kernel_volume(job), bytes = kernels->bytes;
    const ptrdiff_t parts = tc_part_count(kernels, s->pixels), pitch = padded_pixels(job, rows);
    const bool copied = parts > 1;
    const ptrdiff_t from = s->block.group * job->w.g + first * job->w.co;
    const void *const weights = tc_at(job->w.data, from, bytes);
    list_rows(s, channels, copied);
    if (copied) {
        copy_weights(s, weights, channels, pitch);
    }
    for (ptrdiff_t p = 0; p < parts; p++) {
        const struct tc_part part = tc_part_at(kernels, s->pixels, p);
        struct tc_tile tile = {
            .lanes = part.width * kernels->lanes,
            .k = tc_group_ci(job->problem),
            .taps = {1, 1, 1},
            .a = copied ? s->weights : weights,
            .a_k = copied ? pitch : job->w.ci,
            .b = tc_at(s->x.data, part.first, bytes),
            .b_k = s->x.c,
            .c = tc_at(s->t, part.first, bytes),
        };
        for (ptrdiff_t row = 0; row < rows; row += tile.rows) {
            tile.rows = tc_min(kernels->rows[part.width - 1], rows - row);
            tile.a_row = s->a_row + row;
            tile.c_row = s->t_row + row;
            kernels->tile[part.width - 1](&tile);
        }
    }
}

/* ---- the sums ---- */

/* Outputs of block `grid` along the axis. */
static struct tc_range outputs_of(const struct tc_axis *axis, struct tc_range grid)
{
    return (struct tc_range){axis->out_step * grid.begin,
                             tc_min(axis->out_step * grid.end, axis->out)};
}

/* Adds to a sum what axis `a` says: the taps of a run, and where the first of them lies in T for
 * the run's first output. */
static void add_axis(const struct state *s, int a, const struct tc_phase *phase,
                     const struct tc_run *run, struct tc_sum *sum)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[a];
    ptrdiff_t row = s->pitch; /* of T, from one kernel element to the next */
    for (int b = TC_SPATIAL - 1; b > a; b--) {
        row *= s->job->problem->k[b];
    }
    const ptrdiff_t k = phase->k + run->first * axis->k_step;
    const ptrdiff_t x = run->begin + phase->offset + run->first * axis->offset_step;
    const ptrdiff_t from = k * row + (x - s->block.input[a + 1].begin) * s->x.axis[a];
    sum->taps[a] = run->last - run->first;
    sum->tap[a] = axis->k_step * row + axis->offset_step * s->x.axis[a];
    sum->src = tc_at(sum->src, from, s->job->kernels->bytes);
}

static void add_output(const struct state *s, int a, ptrdiff_t u, struct tc_sum *sum)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[a];
    const struct tc_phase phase = tc_phase_at(axis, u % axis->out_step);
    const struct tc_run run = tc_run_at(axis, &phase, u / axis->out_step);
    add_axis(s, a, &phase, &run, sum);
}

/* Sums an output row, phase by phase, each `pitch` elements behind the one before. */
static void sum_row(const struct state *s, struct tc_sum row, void *dst, ptrdiff_t pitch)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const struct tc_range grid = s->block.grid[TC_W + 1];
    for (ptrdiff_t number = 0; number < axis->phases; number++) {
        const struct tc_phase phase = tc_phase_at(axis, number);
        const ptrdiff_t end = tc_min(grid.end, phase.count);
        struct tc_run run;
        for (ptrdiff_t j = grid.begin; j < end; j = run.end) {
            struct tc_sum sum = row;
            run = tc_run_at(axis, &phase, j);
            run.end = tc_min(run.end, end);
            add_axis(s, TC_W, &phase, &run, &sum);
            sum.n = run.end - j;
            sum.dst = tc_at(dst, number * pitch + j - grid.begin, kernels->bytes);
            kernels->sum(&sum);
        }
    }
}

/* Interleaves the phases of a row into y, which begins at `y` there. */
static void store_row(const struct state *s, void *y, ptrdiff_t pitch)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const struct tc_range outputs = outputs_of(axis, s->block.grid[TC_W + 1]);
    const ptrdiff_t whole = tc_range_length(outputs) / axis->out_step;
    const ptrdiff_t rest = tc_range_length(outputs) % axis->out_step;
    const ptrdiff_t step = s->job->y.axis[TC_W], next = axis->out_step * step;
    const struct tc_matrix dst = {y, step, next}, src = {s->row, pitch, 1};
    const struct tc_matrix dst_rest = {tc_at(y, whole * next, kernels->bytes), step, next};
    const struct tc_matrix src_rest = {tc_at(s->row, whole, kernels->bytes), pitch, 1};
    if (whole > 0) {
        tc_copy(kernels, axis->out_step, whole, dst, src);
    }
    if (rest > 0) {
        tc_copy(kernels, rest, 1, dst_rest, src_rest);
    }
}

/* Rows (od, oh) of some output channels and of all images of the block. */
static void add_up_rows(const struct state *s, ptrdiff_t first, ptrdiff_t channels, ptrdiff_t od,
                        ptrdiff_t oh)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const y = &job->y;
    const struct tc_range images = s->block.grid[0];
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    const ptrdiff_t ow = outputs_of(axis, s->block.grid[TC_W + 1]).begin;
    const ptrdiff_t bytes = job->kernels->bytes, pitch = job->blocking.size[TC_W + 1];
    const bool direct = axis->out_step == 1 && y->axis[TC_W] == 1;
    struct tc_sum rows = {.src = s->t};
    add_output(s, TC_D, od, &rows);
    add_output(s, TC_H, oh, &rows);
    for (ptrdiff_t c = 0; c < channels; c++) {
        const ptrdiff_t channel = s->block.group * tc_group_co(job->problem) + first + c;
        const ptrdiff_t plane = c * kernel_volume(job) * s->pitch;
        rows.bias = job->b.data ? tc_at(job->b.data, channel * job->b.c, bytes) : NULL;
        for (ptrdiff_t n = images.begin; n < images.end; n++) {
            struct tc_sum row = rows;
            row.src = tc_at(rows.src, plane + (n - images.begin) * s->x.n, bytes);
            const ptrdiff_t at = n * y->n + channel * y->c + od * y->axis[TC_D] +
                                 oh * y->axis[TC_H] + ow * y->axis[TC_W];
            void *const to = tc_at(y->data, at, bytes);
            sum_row(s, row, direct ? to : s->row, pitch);
            if (!direct) {
                store_row(s, to, pitch);
            }
        }
    }
}

static void add_up(const struct state *s, ptrdiff_t first, ptrdiff_t channels)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct tc_range depth = outputs_of(&axis[TC_D], s->block.grid[TC_D + 1]);
    const struct tc_range height = outputs_of(&axis[TC_H], s->block.grid[TC_H + 1]);
    for (ptrdiff_t od = depth.begin; od < depth.end; od++) {
        for (ptrdiff_t oh = height.begin; oh < height.end; oh++) {
            add_up_rows(s, first, channels, od, oh);
        }
    }
}

/* ---- blocks ---- */

struct run {
    const struct tc_job *job;
    char *scratch;
};

static void run_block(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    struct state s = {.job = job, .block = tc_block_at(job, task), .pixels = 1};
    s.copy = run->scratch + thread * job->thread_bytes;
    s.weights = (char *)s.copy + copy_bytes(job);
    s.t = (char *)s.weights + weight_bytes(job);
    s.row = (char *)s.t + t_bytes(job);
    s.a_row = (ptrdiff_t *)((char *)s.row + row_bytes(job));
    s.t_row = s.a_row + rows_at_once(job);
    for (int g = 0; g < TC_GRID; g++) {
        s.pixels *= tc_range_length(s.block.input[g]);
    }
    s.pitch = padded_pixels(job, s.pixels);
    s.x = tc_block_copy(job, &s.block, s.pitch, s.copy);
    const struct tc_range mine =
        tc_share_of(tc_group_co(job->problem), s.block.share, job->blocking.shares);
    for (ptrdiff_t c = mine.begin, channels; c < mine.end; c += channels) {
        channels = tc_min(channels_at_once(job), mine.end - c);
        multiply(&s, c, channels);
        add_up(&s, c, channels);
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, scratch};
    tc_parallel(job->tasks, job->threads, run_block, &context);
}

/* ---- booking ---- */

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    if (problem->operation->contraction != TC_LARGE_FROM_SMALL) {
        return "it spreads inputs over larger outputs only";
    }
    if (kernel_volume(job) * job->kernels->bytes > T_BYTES / 4) {
        return "the products of one input and one output channel do not fit the cache";
    }
    if (problem->s[TC_W] > MAX_STRIDE) {
        return "an output row of one input does not fit the cache";
    }
    return NULL;
}

static const char *accept(struct tc_job *job)
{
    const ptrdiff_t bytes = job->kernels->bytes;
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    if (!job->forced && tc_group_co(job->problem) >= job->kernels->lanes) {
        return "the output channels fill vectors";
    }
    const ptrdiff_t by_x = INPUT_BYTES / (tc_group_ci(job->problem) * bytes);
    const ptrdiff_t by_t = T_BYTES / (kernel_volume(job) * bytes);
    tc_blocking_set(job, MAX_POINTS, tc_max(tc_min(by_x, by_t), 1), tc_group_co(job->problem));
    job->packed_bytes = 0;
    job->thread_bytes = copy_bytes(job) + weight_bytes(job) + t_bytes(job) + row_bytes(job) +
                        2 * rows_at_once(job) * (ptrdiff_t)sizeof(ptrdiff_t);
    job->thread_bytes = tc_round_up(job->thread_bytes, TC_ALIGN);
    return NULL;
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const struct tc_part part = tc_part_at(job->kernels, tc_block_inputs(job), 0);
    tc_say(text, "%d (channel, tap) rows x %td pixels", job->kernels->rows[part.width - 1],
           (ptrdiff_t)part.width * job->kernels->lanes);
}

const struct tc_engine tc_engine_spread = {
    .name = "spread",
    .accept = accept,
    .run = run,
    .describe = describe,
};
