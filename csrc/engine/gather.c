/* SPDX-License-Identifier: BSD-3-Clause */
/* gather: lanes are output channels.
 *
 * Every output sums over the taps of its phase and over the input channels, all in registers: a
 * tile of some pixels times 16 to 64 channels broadcasts the pixels' inputs and reads the weights
 * from a panel. The pixels of a tile lie in one run of the lattice along every axis, so the same
 * taps reach all of them; taps that the padding crops are never computed and borders need no zeros.
 *
 *     for block of pixels (a task)
 *       copy its inputs to [ci][pixel], unless their channels are contiguous
 *       for part of the channels, for phase
 *         for chunk of ci                a panel of weights in L2
 *           for box of runs, for tile    registers
 *         write the buffer to y
 *
 * Where y's channels are contiguous, tiles are stored to y itself and the interleave of the phases
 * is nothing but y's stride. Elsewhere they go to a buffer of whole output rows [pixel][lanes],
 * which is transposed into y from the cache. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"
#include "engine/panels.h"

enum {
    INPUT_BYTES = 256 << 10,  /* the copy of a block's inputs */
    BUFFER_BYTES = 128 << 10, /* output rows of a block */
    MAX_POINTS = 512,         /* grid points of a block */
};

/* Offsets of grid points: point j lies from + sum of step*j elements behind the data. */
struct walk {
    ptrdiff_t from, step[TC_GRID];
};

/* A block at work. */
struct state {
    const struct tc_job *job;
    struct tc_block block;
    struct tc_image x;         /* the job's, or the copy */
    ptrdiff_t origin[TC_GRID]; /* the position of its first element */
    struct tc_part part;       /* output channels within the group */
    struct tc_phase phase[TC_SPATIAL];
    struct tc_range columns; /* phases along the width that the buffer holds at once */
    struct walk a, c;        /* where a phase's points read and write */
    ptrdiff_t *a_row, *c_row;
    void *copy, *buffer;
};

static bool stores_directly(const struct tc_job *job)
{
    return job->y.c == 1;
}

/* Elements between two channels of the copy: whole lines, an odd number of them, so that channels
 * spread over all sets of the cache. */
static ptrdiff_t copy_pitch(const struct tc_job *job)
{
    const ptrdiff_t line = TC_ALIGN / job->kernels->bytes;
    return (tc_ceil_div(tc_block_inputs(job), line) | 1) * line;
}

static ptrdiff_t copy_bytes(const struct tc_job *job)
{
    const bool in_place = job->x.c == 1;
    return in_place ? 0 : copy_pitch(job) * tc_group_ci(job->problem) * job->kernels->bytes;
}

static ptrdiff_t lane_bytes(const struct tc_job *job)
{
    return job->kernels->widths * job->kernels->lanes * job->kernels->bytes;
}

/* Phases along the width that the buffer holds at once: all of them unless the stride is huge. */
static ptrdiff_t buffer_phases(const struct tc_job *job)
{
    const ptrdiff_t fit = BUFFER_BYTES / lane_bytes(job);
    return tc_clamp(fit, 1, job->lattice.axis[TC_W].phases);
}

static ptrdiff_t buffer_bytes(const struct tc_job *job)
{
    const ptrdiff_t *const size = job->blocking.size;
    const ptrdiff_t rows = size[0] * size[1] * size[2] * size[3] * buffer_phases(job);
    return stores_directly(job) ? 0 : rows * lane_bytes(job);
}

/* ---- tiles ---- */

static ptrdiff_t list_points(const struct walk *walk, const struct tc_range box[TC_GRID],
                             ptrdiff_t *offsets)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t n = box[0].begin; n < box[0].end; n++) {
        for (ptrdiff_t d = box[1].begin; d < box[1].end; d++) {
            for (ptrdiff_t h = box[2].begin; h < box[2].end; h++) {
                const ptrdiff_t from =
                    walk->from + n * walk->step[0] + d * walk->step[1] + h * walk->step[2];
                for (ptrdiff_t w = box[3].begin; w < box[3].end; w++) {
                    offsets[count++] = from + w * walk->step[3];
                }
            }
        }
    }
    return count;
}

/* All tiles of a box of grid points that the taps of `run` reach. `tile` holds what the boxes of
 * a chunk share. */
static void run_box(const struct state *s, const struct tc_range box[TC_GRID],
                    const struct tc_run run[TC_SPATIAL], struct tc_tile tile)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const ptrdiff_t most = kernels->rows[s->part.width - 1];
    const ptrdiff_t count = list_points(&s->a, box, s->a_row);
    ptrdiff_t a_from = 0, b_from = 0;
    list_points(&s->c, box, s->c_row);
    for (int a = 0; a < TC_SPATIAL; a++) {
        tile.taps[a] = run[a].last - run[a].first;
        a_from += run[a].first * tile.a_tap[a];
        b_from += run[a].first * tile.b_tap[a];
    }
    tile.a = tc_at(tile.a, a_from, kernels->bytes);
    tile.b = tc_at(tile.b, b_from, kernels->bytes);
    for (ptrdiff_t at = 0; at < count; at += tile.rows) {
        const ptrdiff_t left = count - at;
        /* the last two tiles share evenly: a tile of one row is slow */
        tile.rows = left <= most ? left : left < 2 * most ? tc_ceil_div(left, 2) : most;
        tile.a_row = s->a_row + at;
        tile.c_row = s->c_row + at;
        kernels->tile[s->part.width - 1](&tile);
    }
}

/* The part of a phase that lies in the block, box of runs by box of runs. */
static void run_boxes(const struct state *s, const struct tc_tile *tile)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    struct tc_range box[TC_GRID] = {s->block.grid[0]}, end[TC_SPATIAL];
    struct tc_run run[TC_SPATIAL];
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_range grid = s->block.grid[a + 1];
        end[a] = (struct tc_range){grid.begin, tc_min(grid.end, s->phase[a].count)};
    }
    for (ptrdiff_t d = end[0].begin; d < end[0].end; d = box[1].end) {
        run[0] = tc_run_at(&axis[0], &s->phase[0], d);
        box[1] = (struct tc_range){d, tc_min(run[0].end, end[0].end)};
        for (ptrdiff_t h = end[1].begin; h < end[1].end; h = box[2].end) {
            run[1] = tc_run_at(&axis[1], &s->phase[1], h);
            box[2] = (struct tc_range){h, tc_min(run[1].end, end[1].end)};
            for (ptrdiff_t w = end[2].begin; w < end[2].end; w = box[3].end) {
                run[2] = tc_run_at(&axis[2], &s->phase[2], w);
                box[3] = (struct tc_range){w, tc_min(run[2].end, end[2].end)};
                run_box(s, box, run, *tile);
            }
        }
    }
}

/* ---- phases ---- */

static void set_walks(struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_range *const grid = s->block.grid;
    const ptrdiff_t lanes = s->part.width * job->kernels->lanes;
    s->a = (struct walk){.from = -s->origin[0] * s->x.n, .step = {s->x.n}};
    s->c = (struct walk){.from = 0, .step = {job->y.n}};
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_axis *const axis = &job->lattice.axis[a];
        s->a.from += (s->phase[a].offset - s->origin[a + 1]) * s->x.axis[a];
        s->a.step[a + 1] = axis->in_step * s->x.axis[a];
        s->c.from += s->phase[a].start * job->y.axis[a];
        s->c.step[a + 1] = axis->out_step * job->y.axis[a];
    }
    if (!stores_directly(job)) { /* rows of the buffer, counted from the block's first point */
        ptrdiff_t step = tc_range_length(s->columns) * lanes;
        s->c.from = (s->phase[TC_W].start - s->columns.begin) * lanes;
        for (int g = TC_GRID - 1; g >= 0; g--) {
            s->c.step[g] = step;
            s->c.from -= grid[g].begin * step;
            step *= tc_range_length(grid[g]);
        }
    }
}

static void run_phase(struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t ci = tc_group_ci(job->problem), bytes = job->kernels->bytes;
    const ptrdiff_t k[TC_SPATIAL] = {s->phase[0].k, s->phase[1].k, s->phase[2].k};
    const ptrdiff_t taps = s->phase[0].taps * s->phase[1].taps * s->phase[2].taps;
    const ptrdiff_t lanes = s->part.width * job->kernels->lanes;
    struct tc_panel panel = {.lanes = lanes, .chunk = ci}; /* of a phase without taps */
    if (taps > 0) {
        panel = tc_panel_at(job, s->block.group, s->part, k);
    }
    set_walks(s);
    for (ptrdiff_t c = 0; c < ci; c += panel.chunk) {
        struct tc_tile tile = {
            .lanes = s->part.lanes,
            .k = tc_min(panel.chunk, ci - c),
            .a = tc_at(s->x.data, c * s->x.c, bytes),
            .a_k = s->x.c,
            .b = taps ? tc_panel_row(job, &panel, 0, c) : NULL,
            .b_k = lanes,
            .bias = tc_panel_bias(job, s->block.group, s->part),
            .add = c > 0,
            .c = s->buffer,
        };
        if (stores_directly(job)) {
            const ptrdiff_t channel = s->block.group * tc_group_co(job->problem) + s->part.first;
            tile.c = tc_at(job->y.data, channel, bytes);
        }
        ptrdiff_t step = tile.k * lanes;
        for (int a = TC_SPATIAL - 1; a >= 0; a--) {
            tile.a_tap[a] = axis[a].offset_step * s->x.axis[a];
            tile.b_tap[a] = step;
            step *= s->phase[a].taps;
        }
        run_boxes(s, &tile);
    }
}

/* Writes the buffer to y: outputs in rows along the width. */
static void flush_buffer(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tc_range *const grid = s->block.grid;
    const ptrdiff_t lanes = s->part.width * job->kernels->lanes, bytes = job->kernels->bytes;
    const ptrdiff_t channel = s->block.group * tc_group_co(job->problem) + s->part.first;
    const ptrdiff_t w = axis[TC_W].out_step * grid[3].begin + s->columns.begin;
    const ptrdiff_t held = tc_range_length(grid[3]) * tc_range_length(s->columns);
    const ptrdiff_t width = tc_min(held, axis[TC_W].out - w);
    const struct tc_matrix to = {NULL, job->y.axis[TC_W], job->y.c};
    struct tc_matrix row = {s->buffer, lanes, 1};
    for (ptrdiff_t n = grid[0].begin; n < grid[0].end; n++) {
        for (ptrdiff_t jd = grid[1].begin; jd < grid[1].end; jd++) {
            for (ptrdiff_t jh = grid[2].begin; jh < grid[2].end; jh++) {
                const ptrdiff_t d = s->phase[TC_D].start + axis[TC_D].out_step * jd;
                const ptrdiff_t h = s->phase[TC_H].start + axis[TC_H].out_step * jh;
                const ptrdiff_t at = n * job->y.n + channel * job->y.c + d * job->y.axis[TC_D] +
                                     h * job->y.axis[TC_H] + w * job->y.axis[TC_W];
                struct tc_matrix dst = to;
                dst.data = tc_at(job->y.data, at, bytes);
                if (d < axis[TC_D].out && h < axis[TC_H].out) {
                    tc_copy(job->kernels, width, s->part.lanes, dst, row);
                }
                row.data = tc_at(row.data, held * lanes, bytes);
            }
        }
    }
}

static void run_part(struct state *s)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    const bool direct = stores_directly(s->job);
    const ptrdiff_t columns = direct ? axis[TC_W].phases : buffer_phases(s->job);
    for (ptrdiff_t d = 0; d < axis[TC_D].phases; d++) {
        s->phase[TC_D] = tc_phase_at(&axis[TC_D], d);
        for (ptrdiff_t h = 0; h < axis[TC_H].phases; h++) {
            s->phase[TC_H] = tc_phase_at(&axis[TC_H], h);
            for (ptrdiff_t w = 0; w < axis[TC_W].phases; w += columns) {
                s->columns = (struct tc_range){w, tc_min(w + columns, axis[TC_W].phases)};
                for (ptrdiff_t c = w; c < s->columns.end; c++) {
                    s->phase[TC_W] = tc_phase_at(&axis[TC_W], c);
                    run_phase(s);
                }
                if (!direct) {
                    flush_buffer(s);
                }
            }
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
    const struct tc_problem *const problem = job->problem;
    char *const scratch = run->scratch + thread * job->thread_bytes;
    struct state s = {
        .job = job,
        .block = tc_block_at(job, task),
        .copy = scratch,
        .buffer = scratch + copy_bytes(job),
    };
    s.a_row = (ptrdiff_t *)((char *)s.buffer + buffer_bytes(job));
    s.c_row = s.a_row + MAX_POINTS;
    s.x = tc_block_input(job, &s.block);
    if (copy_bytes(job) > 0) {
        s.x = tc_block_copy(job, &s.block, copy_pitch(job), s.copy);
        for (int g = 0; g < TC_GRID; g++) {
            s.origin[g] = s.block.input[g].begin;
        }
    }
    const ptrdiff_t parts = tc_part_count(job->kernels, tc_group_co(problem));
    const struct tc_range mine = tc_share_of(parts, s.block.share, job->blocking.shares);
    for (ptrdiff_t part = mine.begin; part < mine.end; part++) {
        s.part = tc_part_at(job->kernels, tc_group_co(problem), part);
        run_part(&s);
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, scratch};
    tc_parallel(job->tasks, job->threads, run_block, &context);
}

/* ---- booking ---- */

static const char *accept(struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    const ptrdiff_t channel_bytes = tc_group_ci(problem) * job->kernels->bytes;
    const ptrdiff_t rows = BUFFER_BYTES / (lane_bytes(job) * job->lattice.axis[TC_W].phases);
    const ptrdiff_t points = stores_directly(job) ? MAX_POINTS : tc_clamp(rows, 1, MAX_POINTS);
    const ptrdiff_t inputs = job->x.c == 1 ? PTRDIFF_MAX : tc_max(INPUT_BYTES / channel_bytes, 1);
    tc_blocking_set(job, points, inputs, tc_part_count(job->kernels, tc_group_co(problem)));
    job->packed_bytes = tc_panels_bytes(job);
    job->thread_bytes =
        tc_max(tc_panels_thread_bytes(job),
               copy_bytes(job) + buffer_bytes(job) + 2 * MAX_POINTS * (ptrdiff_t)sizeof(ptrdiff_t));
    job->thread_bytes = tc_round_up(job->thread_bytes, TC_ALIGN);
    return NULL;
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const struct tc_part part = tc_part_at(job->kernels, tc_group_co(job->problem), 0);
    tc_say(text, "%d pixels x %td output channels", job->kernels->rows[part.width - 1],
           (ptrdiff_t)part.width * job->kernels->lanes);
}

const struct tc_engine tc_engine_gather = {
    .name = "gather",
    .accept = accept,
    .pack = tc_panels_pack,
    .run = run,
    .describe = describe,
};
