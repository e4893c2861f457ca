/* SPDX-License-Identifier: BSD-3-Clause */
/* patches: convolutions whose patches lie apart: lanes are outputs of all lines.
 *
 * Where the kernel is as long as the stride, as in the embeddings of vision transformers and the
 * down-convolutions of many encoders, each input belongs to one output, and a convolution is a
 * product of two matrices, for which x only has to be sorted:
 *
 *     y[co][j] = sum over (tap, ci) of  w[co][tap, ci] * sheet[tap, ci][j],
 *     sheet[t, ci][j] = x[ci][s*j + offset of t].
 *
 * Lines of x are split by their remainders modulo s, and a tile goes to y as it is; gather has to
 * transpose both. Lanes go on from a line to the next where y does. Meanwhile hints bring the next
 * block's inputs closer, a line of each channel beside each tap of a tile.
 *
 *     for block of outputs (a task)
 *       copy its inputs to the sheet
 *       for part of the output channels, for some of its rows
 *         for piece of outputs that lie side by side in y, for tile
 *
 * The weights are gather's panels, read row by row instead of lane by lane, and the sums' order is
 * gather's, so strides may choose between the two. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"
#include "engine/panels.h"

enum {
    SHEET_BYTES = 256 << 10, /* of a block, if a tile's outputs are not more */
    MOST_POINTS = 4096,      /* outputs of a block */
    WIDTH = 2,               /* vectors of a tile */
    SUM = 256,               /* products of an output, at most, */
    FEW_SUM = 512,           /* or of so few channels that gather leaves half its lanes empty, */
    LONG_STEP = 8,           /* or along lines that are transposed to be sorted: */
    LONG_STEP_SUM = 128,     /* so many */
};

struct layout {
    struct tc_phase phase[TC_SPATIAL];
    ptrdiff_t taps;
    ptrdiff_t pitch; /* of the sheet, from a product to the next */
    ptrdiff_t sheet_bytes, bias_bytes;
};

/* The inputs of the next block. */
struct ahead {
    const void *data;
    ptrdiff_t lines; /* of the cache, in a plane of a channel; 0: there is nothing to fetch */
    ptrdiff_t planes, depth; /* of all images and of one */
    ptrdiff_t done;          /* tiles that gave hints */
};

/* A block at work. */
struct state {
    const struct tc_job *job;
    const struct layout *layout;
    struct tc_block block;
    struct tc_panel panel;
    struct ahead ahead;
    void *sheet, *bias;
    ptrdiff_t a_row[TC_MAX_ROWS], c_row[TC_MAX_ROWS];
};

/* ---- booking ---- */

static int width_of(const struct tc_kernels *kernels)
{
    return (int)tc_min(kernels->widths, WIDTH);
}

/* Products of an output. */
static ptrdiff_t sum_of(const struct tc_problem *problem)
{
    return tc_group_ci(problem) * tc_kernel_volume(problem);
}

/* Whether each input of the axis is read for one output, and no tap meets the padding. */
static bool lies_apart(const struct tc_axis *axis)
{
    const struct tc_phase phase = tc_phase_at(axis, 0);
    if (phase.count == 0) {
        return true;
    }
    const struct tc_run run = tc_run_at(axis, &phase, 0);
    const bool dense = phase.taps == 1 || axis->offset_step == -1;
    return dense && phase.taps <= axis->in_step && run.last - run.first == phase.taps &&
           run.end == phase.count;
}

/* Whether sorting the inputs takes less time than transposing them and the outputs. */
static bool pays(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t lanes = job->kernels->lanes, width = p->o[TC_W];
    const ptrdiff_t outputs = p->o[TC_D] * p->o[TC_H] * width;
    ptrdiff_t most = p->s[TC_W] < LONG_STEP ? SUM : LONG_STEP_SUM;
    if (2 * tc_group_co(p) <= lanes) {
        most = FEW_SUM;
    }
    return sum_of(p) <= most && 2 * width >= lanes &&
           5 * outputs >= 4 * tc_round_up(outputs, lanes);
}

static const char *refuse(const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    if (tc_kernel_volume(job->problem) == 1) {
        return "others solve points";
    }
    for (int a = 0; a < TC_SPATIAL; a++) {
        if (!lies_apart(&axis[a])) {
            return "patches overlap, or meet the padding";
        }
    }
    if (axis[TC_W].in_step != job->problem->k[TC_W]) {
        return "along the width there are gaps between patches";
    }
    if (tc_panel_chunk(job) < tc_group_ci(job->problem)) {
        return "the sums are so long that they are cut";
    }
    if (!job->forced && !pays(job)) {
        return "it is faster for short sums and wide images only";
    }
    if (job->y.axis[TC_W] != 1) {
        return "the lines of the output are not contiguous";
    }
    if (!job->forced && job->x.axis[TC_W] != 1) {
        return "gather reads inputs in place if their channels are contiguous";
    }
    return NULL;
}

static struct layout layout_of(const struct tc_job *job)
{
    const ptrdiff_t *const size = job->blocking.size;
    const struct tc_kernels *const kernels = job->kernels;
    struct layout layout = {.taps = tc_kernel_volume(job->problem)};
    for (int a = 0; a < TC_SPATIAL; a++) {
        layout.phase[a] = tc_phase_at(&job->lattice.axis[a], 0);
    }
    /* a tile reads whole vectors */
    layout.pitch = tc_odd_lines(kernels, size[0] * size[1] * size[2] * size[3] + kernels->lanes);
    layout.sheet_bytes = sum_of(job->problem) * layout.pitch * kernels->bytes;
    layout.bias_bytes = tc_round_up(TC_MAX_ROWS * kernels->bytes, TC_ALIGN);
    return layout;
}

static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    const ptrdiff_t least = width_of(job->kernels) * job->kernels->lanes;
    const ptrdiff_t fit = SHEET_BYTES / job->kernels->bytes / sum_of(job->problem);
    tc_blocking_set(job, tc_clamp(fit, least, MOST_POINTS), PTRDIFF_MAX,
                    tc_part_count(job->kernels, tc_group_co(job->problem)));
    const struct layout layout = layout_of(job);
    job->packed_bytes = tc_panels_bytes(job);
    job->shared_bytes = 0;
    job->thread_bytes = layout.sheet_bytes + layout.bias_bytes;
    return NULL;
}

/* ---- the sheet ---- */

/* The inputs of the taps (d, h) for the outputs of a plane, whose inputs begin at `from` in x, from
 * this column of the sheet on. */
static void copy_lines(const struct state *s, ptrdiff_t from, ptrdiff_t d, ptrdiff_t h,
                       ptrdiff_t column)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tc_phase *const phase = s->layout->phase;
    const ptrdiff_t bytes = job->kernels->bytes, pitch = s->layout->pitch;
    const ptrdiff_t ci = tc_group_ci(job->problem), step = axis[TC_W].in_step;
    const ptrdiff_t columns = tc_range_length(s->block.grid[TC_W + 1]);
    const ptrdiff_t input = from +
                            (phase[TC_D].offset + d * axis[TC_D].offset_step) * job->x.axis[TC_D] +
                            (phase[TC_H].offset + h * axis[TC_H].offset_step) * job->x.axis[TC_H];
    const ptrdiff_t row = ((d * phase[TC_H].taps + h + 1) * step - 1) * ci; /* of the last tap */
    const struct tc_split split = {
        .channels = ci,
        .lines = tc_range_length(s->block.grid[TC_H + 1]),
        .columns = step * columns,
        .step = step,
        .src = tc_at(job->x.data, input, bytes),
        .src_channel = job->x.c,
        .src_line = axis[TC_H].in_step * job->x.axis[TC_H],
        .src_column = job->x.axis[TC_W],
        .dst = tc_at(s->sheet, row * pitch + column, bytes),
        .dst_channel = pitch,
        .dst_line = columns,
        .dst_part = -ci * pitch,
    };
    tc_split(job->kernels, &split);
}

static void copy_inputs(const struct state *s)
{
    const struct tc_image *const x = &s->job->x;
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct tc_phase *const phase = s->layout->phase;
    const struct tc_range *const grid = s->block.grid;
    const ptrdiff_t plane = tc_range_length(grid[2]) * tc_range_length(grid[3]);
    /* the lattice's last tap of a line meets the first input of a patch */
    const ptrdiff_t column_in = axis[TC_W].in_step * grid[3].begin + phase[TC_W].offset +
                                (phase[TC_W].taps - 1) * axis[TC_W].offset_step;
    const ptrdiff_t first = s->block.group * tc_group_ci(s->job->problem) * x->c +
                            axis[TC_H].in_step * grid[2].begin * x->axis[TC_H] +
                            column_in * x->axis[TC_W];
    ptrdiff_t column = 0;
    for (ptrdiff_t n = grid[0].begin; n < grid[0].end; n++) {
        for (ptrdiff_t j = grid[1].begin; j < grid[1].end; j++, column += plane) {
            const ptrdiff_t from = first + n * x->n + axis[TC_D].in_step * j * x->axis[TC_D];
            for (ptrdiff_t d = 0; d < phase[TC_D].taps; d++) {
                for (ptrdiff_t h = 0; h < phase[TC_H].taps; h++) {
                    copy_lines(s, from, d, h, column);
                }
            }
        }
    }
}

/* ---- hints ---- */

/* Looks ahead to the next task, if it reads other inputs and the caches do not hold them yet. */
static struct ahead look_ahead(const struct tc_job *job, ptrdiff_t task)
{
    const struct tc_image *const x = &job->x;
    const ptrdiff_t bytes = job->kernels->bytes, line = TC_ALIGN / bytes;
    struct ahead ahead = {.lines = 0};
    if (!x->far || x->axis[TC_W] != 1 || job->blocking.shares > 1 || task + 1 == job->tasks) {
        return ahead;
    }
    const struct tc_block next = tc_block_at(job, task + 1);
    const struct tc_range *const in = next.input;
    const ptrdiff_t height = tc_range_length(in[2]), width = tc_range_length(in[3]);
    const ptrdiff_t at = in[0].begin * x->n + in[1].begin * x->axis[TC_D] +
                         in[2].begin * x->axis[TC_H] + in[3].begin;
    if (height == 1 || (x->axis[TC_H] > 0 && x->axis[TC_H] <= width + line)) { /* one piece */
        ahead.data = tc_at(tc_block_input(job, &next).data, at, bytes);
        ahead.lines = ((height - 1) * x->axis[TC_H] + width) / line + 1;
        ahead.depth = tc_range_length(in[1]);
        ahead.planes = tc_range_length(in[0]) * ahead.depth;
    }
    return ahead;
}

/* Tells the tile what to bring closer: beside each tap a line of every channel or, if all taps are
 * one sum, as many lines of one channel. */
static void set_hints(struct state *s, struct tc_tile *tile)
{
    struct ahead *const ahead = &s->ahead;
    const struct tc_image *const x = &s->job->x;
    const ptrdiff_t bytes = s->job->kernels->bytes, line = TC_ALIGN / bytes;
    const ptrdiff_t ci = tc_group_ci(s->job->problem);
    const bool one_sum = tile->k != ci;
    const ptrdiff_t each = one_sum ? tile->k : tile->taps[TC_W];
    const ptrdiff_t tiles = tc_ceil_div(ahead->lines, each); /* for a plane */
    tile->ahead = s->sheet;                                  /* for want of others */
    tile->ahead_k = 0;
    tile->ahead_tap = 0;
    if (ahead->done < tiles * ahead->planes * (one_sum ? ci : 1)) {
        const ptrdiff_t plane = ahead->done / tiles % ahead->planes;
        const ptrdiff_t channel = ahead->done / tiles / ahead->planes;
        const ptrdiff_t at = channel * x->c + plane / ahead->depth * x->n +
                             plane % ahead->depth * x->axis[TC_D] +
                             ahead->done % tiles * each * line;
        tile->ahead = tc_at(ahead->data, at, bytes);
        tile->ahead_k = one_sum ? line : x->c;
        tile->ahead_tap = line;
        ahead->done++;
    }
}

/* ---- tiles ---- */

/* The outputs from this column of the sheet on that lie side by side in y, from `to` on. */
static void run_piece(struct state *s, struct tc_tile *tile, ptrdiff_t column, ptrdiff_t to,
                      ptrdiff_t outputs)
{
    const struct tc_job *const job = s->job;
    const struct tc_kernels *const kernels = job->kernels;
    const ptrdiff_t most = width_of(kernels) * kernels->lanes;
    for (ptrdiff_t at = 0; at < outputs; at += tile->lanes) {
        tile->lanes = tc_min(most, outputs - at);
        tile->b = tc_at(s->sheet, column + at, kernels->bytes);
        tile->c = tc_at(job->y.data, to + at, kernels->bytes);
        set_hints(s, tile);
        kernels->tile[tc_ceil_div(tile->lanes, kernels->lanes) - 1](tile);
        tc_activate(job, tile->c, tile->rows, tile->lanes, job->y.c);
    }
}

/* All outputs of the block in some channels, from this one on. */
static void run_channels(struct state *s, struct tc_tile *tile, ptrdiff_t channel)
{
    const struct tc_image *const y = &s->job->y;
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct tc_range *const grid = s->block.grid;
    const ptrdiff_t width = tc_range_length(grid[3]), height = tc_range_length(grid[2]);
    const bool lines = y->axis[TC_H] == width && width == axis[TC_W].out;
    const bool planes = lines && y->axis[TC_D] == height * width && height == axis[TC_H].out;
    const ptrdiff_t d_step = planes ? tc_range_length(grid[1]) : 1, h_step = lines ? height : 1;
    const ptrdiff_t first = channel * y->c + grid[3].begin, outputs = d_step * h_step * width;
    ptrdiff_t column = 0;
    for (ptrdiff_t n = grid[0].begin; n < grid[0].end; n++) {
        for (ptrdiff_t d = grid[1].begin; d < grid[1].end; d += d_step) {
            for (ptrdiff_t h = grid[2].begin; h < grid[2].end; h += h_step, column += outputs) {
                const ptrdiff_t to = n * y->n + d * y->axis[TC_D] + h * y->axis[TC_H];
                run_piece(s, tile, column, first + to, outputs);
            }
        }
    }
}

static void run_part(struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_kernels *const kernels = job->kernels;
    const struct tc_phase *const phase = s->layout->phase;
    const struct tc_panel *const panel = &s->panel;
    const ptrdiff_t k[TC_SPATIAL] = {phase[TC_D].k, phase[TC_H].k, phase[TC_W].k};
    const ptrdiff_t ci = tc_group_ci(job->problem), taps = s->layout->taps;
    const ptrdiff_t first = tc_panel_tap(job, k) * panel->plane;
    const ptrdiff_t tiles = tc_ceil_div(panel->part.lanes, kernels->rows[width_of(kernels) - 1]);
    const bool one_sum = panel->plane == ci * panel->lanes;
    for (ptrdiff_t t = 0; t < tiles; t++) {
        const struct tc_range rows = tc_share_of(panel->part.lanes, t, tiles);
        const ptrdiff_t channel =
            panel->group * tc_group_co(job->problem) + panel->part.first + rows.begin;
        struct tc_tile tile = {
            .rows = tc_range_length(rows),
            .k = one_sum ? taps * ci : ci,
            .taps = {1, 1, one_sum ? 1 : taps},
            .a = tc_at(panel->data, first + rows.begin, kernels->bytes),
            .a_row = s->a_row,
            .a_k = panel->lanes,
            .a_tap = {0, 0, panel->plane},
            .b_k = s->layout->pitch,
            .b_tap = {0, 0, ci * s->layout->pitch},
            .bias = job->problem->bias ? s->bias : NULL,
            .bias_by_row = true,
            .c_row = s->c_row,
            .zip = 1,
        };
        for (ptrdiff_t r = 0; r < tile.rows; r++) {
            s->a_row[r] = r;
            s->c_row[r] = r * job->y.c;
        }
        if (job->problem->bias) {
            tc_copy_bias(job, channel, tile.rows, s->bias);
        }
        run_channels(s, &tile, channel);
    }
}

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

static void run_block(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    const ptrdiff_t co = tc_group_co(job->problem), parts = tc_part_count(job->kernels, co);
    struct state s = {.job = job, .layout = &run->layout, .block = tc_block_at(job, task)};
    s.sheet = run->scratch + thread * job->thread_bytes;
    s.bias = (char *)s.sheet + run->layout.sheet_bytes;
    s.ahead = look_ahead(job, task);
    copy_inputs(&s);
    const struct tc_range mine = tc_share_of(parts, s.block.share, job->blocking.shares);
    for (ptrdiff_t part = mine.begin; part < mine.end && !tc_is_stopped(job->watch); part++) {
        s.panel =
            tc_panel_at(job, job->packed, s.block.group, tc_part_at(job->kernels, co, part), 0);
        run_part(&s);
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, layout_of(job), scratch};
    tc_parallel(job->tasks, job->threads, run_block, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const struct tc_kernels *const kernels = job->kernels;
    const int width = width_of(kernels);
    tc_say(text, "%d output channels x %d outputs", kernels->rows[width - 1],
           width * kernels->lanes);
}

const struct tc_engine tc_engine_patches = {
    .name = "patches",
    .contractions = TC_DOES_SMALL,
    .accept = accept,
    .pack = tc_panels_pack,
    .run = run,
    .describe = describe,
};
