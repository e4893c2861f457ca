/* SPDX-License-Identifier: BSD-3-Clause */
/* gather: lanes are output channels.
 *
 * Every output sums over the taps of its phase and over the input channels in registers: a tile of
 * some pixels times 16 to 64 channels broadcasts the pixels' inputs and reads the weights from a
 * panel. The pixels of a tile lie in one run of the lattice along every axis, so the same taps
 * reach all of them; taps that the padding crops are never computed and borders need no zeros.
 *
 *     for block of pixels (a task)
 *       copy its inputs, unless their channels are contiguous
 *       for part of the output channels, for chunk of the input channels
 *         copy the chunk's inputs instead, if taps lie far apart
 *         pack the weights' panel, unless it was packed ahead
 *         for phase, for box of runs, for tile
 *       write the buffer to y
 *
 * Where y's channels are contiguous, tiles are stored to y itself and the interleave of the phases
 * is nothing but y's stride. Elsewhere they go to a buffer of whole output rows [pixel][lanes],
 * which is transposed into y from the cache.
 *
 * What is called a pixel and its output channels may be a cell of several pixels and those of all
 * of them (see subpixel.c): in a row of the buffer they lie like pixels again.
 *
 * Weights are packed by each task for itself, right before their use, if no other task needs them;
 * else by each thread for itself, if they are few; else once for all tasks. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"
#include "engine/panels.h"

#include <string.h>

enum {
    INPUT_BYTES = 1024 << 10, /* the copy of a block's inputs */
    BUFFER_BYTES = 512 << 10, /* output rows of a block */
    MAX_POINTS = 1024,        /* grid points of a block */
    FEW_OUTPUTS = 4,          /* of an image */
    OWN_BYTES = 3 << 20,      /* weights that every thread packs for itself, at most */
};

/* Offsets of grid points: point j lies from + sum of step*j elements behind the data. */
struct walk {
    ptrdiff_t from, step[TC_GRID];
};

/* A block at work. */
struct state {
    const struct tc_job *job;
    struct tc_block block;
    struct tc_image x;                /* the job's, or the copy */
    ptrdiff_t origin[TC_GRID];        /* the position of its first element */
    struct tc_range copied;           /* its channels */
    struct tc_part part;              /* output channels within the group */
    struct tc_range held[TC_SPATIAL]; /* phases that are computed, and buffered, at once */
    struct tc_phase phase[TC_SPATIAL];
    struct walk a, c; /* where a phase's points read and write */
    ptrdiff_t *a_row, *c_row;
    struct tc_range box[TC_GRID]; /* whose points are listed, */
    ptrdiff_t listed;             /* so many */
    void *copy, *buffer, *panel, *bias;
    const void *packed;
    bool last_chunk; /* of the input channels: the sums become complete */
};

/* ---- booking ---- */

/* Output channels of a group, those of one pixel. */
static ptrdiff_t pixel_channels(const struct tc_job *job)
{
    return tc_group_co(job->problem) / job->cell.places;
}

/* Elements of y from a column to the next. */
static ptrdiff_t column_step(const struct tc_job *job)
{
    return job->y.axis[TC_W] / job->cell.places;
}

static bool stores_directly(const struct tc_job *job)
{
    const struct tc_cell *const cell = &job->cell;
    const bool whole = cell->before == 0 && cell->outputs % cell->places == 0 &&
                       column_step(job) == pixel_channels(job);
    return job->y.c == 1 && (cell->places == 1 || whole);
}

static ptrdiff_t widest_bytes(const struct tc_job *job)
{
    return job->kernels->widths * job->kernels->lanes * job->kernels->bytes;
}

/* Whether a block's inputs are copied for each part and chunk anew: where taps lie so far apart
 * that those of all channels would not fit, but for blocks much smaller than their reach; or where
 * images have so few outputs that a block had better be all of them: then each weight, of which
 * there are more than inputs, comes into the cache once. */
static bool copies_chunks(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t most = INPUT_BYTES / (tc_group_ci(p) * job->kernels->bytes);
    const ptrdiff_t reached = tc_reached_inputs(job);
    const bool few = p->o[TC_D] * p->o[TC_H] * p->o[TC_W] <= FEW_OUTPUTS;
    return job->x.c != 1 && (reached > most || (few && p->n > 1 && reached > most / p->n));
}

/* Channels of a copy. */
static ptrdiff_t copied_channels(const struct tc_job *job)
{
    return copies_chunks(job) ? tc_panel_chunk(job) : tc_group_ci(job->problem);
}

/* The copy of a block's inputs. A tile goes along the channels of a few pixels: they lie side by
 * side, unless they fill no line of the cache and would not be worth a transposition. Pixels that
 * lie a power of two apart would meet in one set of the cache. */
static struct tc_steps copy_steps(const struct tc_job *job)
{
    const ptrdiff_t ci = copied_channels(job), line = TC_ALIGN / job->kernels->bytes;
    if (ci > 1 && ci < line) {
        return (struct tc_steps){.pixel = 1,
                                 .channel = tc_odd_lines(job->kernels, tc_block_inputs(job))};
    }
    return (struct tc_steps){.pixel = ci % (2 * line) == 0 ? ci + line : ci, .channel = 1};
}

static ptrdiff_t copy_bytes(const struct tc_job *job)
{
    const struct tc_steps steps = copy_steps(job);
    const ptrdiff_t elements = steps.channel > 1 ? copied_channels(job) * steps.channel
                                                 : tc_block_inputs(job) * steps.pixel;
    const bool in_place = job->x.c == 1;
    return in_place ? 0 : tc_round_up(elements * job->kernels->bytes, TC_ALIGN);
}

/* How many phases are held at once along each axis: all; or, if that is too much for one point of
 * the grid, one of depth and height and as many of width as fit. */
static void count_held(const struct tc_job *job, ptrdiff_t held[TC_SPATIAL])
{
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t fit = tc_max(BUFFER_BYTES / widest_bytes(job), 1);
    const bool all =
        stores_directly(job) || axis[TC_W].phases <= fit / axis[TC_D].phases / axis[TC_H].phases;
    held[TC_D] = all ? axis[TC_D].phases : 1;
    held[TC_H] = all ? axis[TC_H].phases : 1;
    held[TC_W] = all ? axis[TC_W].phases : tc_min(axis[TC_W].phases, fit);
}

static ptrdiff_t held_at_once(const struct tc_job *job)
{
    ptrdiff_t held[TC_SPATIAL];
    count_held(job, held);
    return held[TC_D] * held[TC_H] * held[TC_W];
}

static ptrdiff_t buffer_bytes(const struct tc_job *job)
{
    const ptrdiff_t *const size = job->blocking.size;
    const ptrdiff_t points = size[0] * size[1] * size[2] * size[3];
    return stores_directly(job) ? 0 : points * held_at_once(job) * widest_bytes(job);
}

/* Whether each panel has just one task that needs it. */
static bool packs_in_tasks(const struct tc_job *job)
{
    const ptrdiff_t *const count = job->blocking.count;
    return !job->ahead && count[0] * count[1] * count[2] * count[3] == 1;
}

/* Whether each thread packs all panels for itself, if they are a few megabytes. */
static bool packs_for_threads(const struct tc_job *job)
{
    return !job->ahead && job->threads > 1 && !packs_in_tasks(job) &&
           tc_panels_bytes(job) <= OWN_BYTES;
}

static ptrdiff_t own_bytes(const struct tc_job *job)
{
    return packs_for_threads(job) ? tc_own_bytes(tc_panels_bytes(job)) : 0;
}

static const char *accept(struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    const ptrdiff_t pixel_bytes = copied_channels(job) * job->kernels->bytes;
    const ptrdiff_t fit = BUFFER_BYTES / (widest_bytes(job) * held_at_once(job));
    const ptrdiff_t points = stores_directly(job) ? MAX_POINTS : tc_clamp(fit, 1, MAX_POINTS);
    const ptrdiff_t inputs = job->x.c == 1 ? PTRDIFF_MAX : tc_max(INPUT_BYTES / pixel_bytes, 1);
    tc_blocking_set(job, points, inputs, tc_part_count(job->kernels, tc_group_co(problem)));
    const bool ahead_of_run = !packs_in_tasks(job) && !packs_for_threads(job);
    job->packed_bytes = ahead_of_run ? tc_panels_bytes(job) : 0;
    job->thread_bytes = copy_bytes(job) + buffer_bytes(job) + widest_bytes(job) +
                        2 * MAX_POINTS * (ptrdiff_t)sizeof(ptrdiff_t);
    job->thread_bytes = tc_round_up(job->thread_bytes, TC_ALIGN);
    job->thread_bytes += own_bytes(job);
    if (packs_in_tasks(job)) {
        /* half of what can be addressed is as much too big, and rounds up */
        const ptrdiff_t panel = tc_min(tc_panel_bytes(job), PTRDIFF_MAX / 2);
        job->thread_bytes += tc_round_up(panel, TC_ALIGN);
    }
    return NULL;
}

/* ---- tiles ---- */

/* Lists where the points of a box read and write, from where the walks begin, unless that was done
 * just now for another phase or chunk. */
static void list_points(struct state *s, const struct tc_range box[TC_GRID])
{
    const ptrdiff_t *const a = s->a.step, *const c = s->c.step;
    const ptrdiff_t a_next = a[TC_GRID - 1], c_next = c[TC_GRID - 1];
    ptrdiff_t *a_row = s->a_row, *c_row = s->c_row;
    if (s->listed > 0 && memcmp(s->box, box, sizeof s->box) == 0) {
        return;
    }
    for (ptrdiff_t n = box[0].begin; n < box[0].end; n++) {
        for (ptrdiff_t d = box[1].begin; d < box[1].end; d++) {
            for (ptrdiff_t h = box[2].begin; h < box[2].end; h++) {
                ptrdiff_t a_at = n * a[0] + d * a[1] + h * a[2] + box[3].begin * a[3];
                ptrdiff_t c_at = n * c[0] + d * c[1] + h * c[2] + box[3].begin * c[3];
                for (ptrdiff_t w = box[3].begin; w < box[3].end; w++) {
                    *a_row++ = a_at;
                    *c_row++ = c_at;
                    a_at += a_next;
                    c_at += c_next;
                }
            }
        }
    }
    s->listed = a_row - s->a_row;
    memcpy(s->box, box, sizeof s->box);
}

/* The taps of a line are one sum if there is one channel: a loop for each would be too short. */
static void join_taps(struct tc_tile *tile)
{
    const int w = TC_SPATIAL - 1;
    if (tile->k == 1) {
        tile->k = tile->taps[w];
        tile->a_k = tile->a_tap[w];
        tile->b_k = tile->b_tap[w];
        tile->taps[w] = 1;
    }
}

/* All tiles of a box of grid points that the taps of `run` reach. `tile` holds what the boxes of
 * a phase share. */
static void run_box(struct state *s, const struct tc_range box[TC_GRID],
                    const struct tc_run run[TC_SPATIAL], struct tc_tile tile)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const ptrdiff_t most = kernels->rows[s->part.width - 1];
    ptrdiff_t a_from = s->a.from, b_from = 0;
    list_points(s, box);
    const ptrdiff_t count = s->listed;
    for (int a = 0; a < TC_SPATIAL; a++) {
        tile.taps[a] = run[a].last - run[a].first;
        a_from += run[a].first * tile.a_tap[a];
        b_from += run[a].first * tile.b_tap[a];
    }
    tile.a = tc_at(tile.a, a_from, kernels->bytes);
    tile.b = tc_at(tile.b, b_from, kernels->bytes);
    tile.c = tc_at(tile.c, s->c.from, kernels->bytes);
    join_taps(&tile);
    for (ptrdiff_t at = 0; at < count; at += tile.rows) {
        const ptrdiff_t left = count - at;
        /* the last two tiles share evenly: a tile of one row is slow */
        tile.rows = left <= most ? left : left < 2 * most ? tc_ceil_div(left, 2) : most;
        tile.a_row = s->a_row + at;
        tile.c_row = s->c_row + at;
        kernels->tile[s->part.width - 1](&tile);
    }
    const bool activates = s->last_chunk && s->job->activation.kind != TC_NO_ACTIVATION;
    for (ptrdiff_t i = 0; i < count && activates; i++) {
        tc_activate(s->job, tc_at(tile.c, s->c_row[i], kernels->bytes), 1, tile.lanes, 0);
    }
}

/* The part of a phase that lies in the block, box of runs by box of runs. */
static void run_boxes(struct state *s, const struct tc_tile *tile)
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

/* Elements of the buffer from a point to the next: whole vectors, but between the places of a cell
 * there is nothing. */
static ptrdiff_t point_step(const struct state *s)
{
    const ptrdiff_t lanes = s->part.width * s->job->kernels->lanes;
    return s->job->cell.places > 1 ? s->part.lanes : lanes;
}

/* Where the points of a phase read x and write y or the buffer. The buffer is [n][od][oh][ow] of
 * what is held, with the phases of a grid point side by side. */
static void set_walks(struct state *s)
{
    const struct tc_job *const job = s->job;
    const bool direct = stores_directly(job);
    ptrdiff_t step = point_step(s);
    s->a = (struct walk){.from = -s->origin[0] * s->x.n, .step = {s->x.n}};
    s->c = (struct walk){.from = 0, .step = {job->y.n}};
    for (int a = TC_SPATIAL - 1; a >= 0; a--) {
        const struct tc_axis *const axis = &job->lattice.axis[a];
        const struct tc_range grid = s->block.grid[a + 1], held = s->held[a];
        const ptrdiff_t start = s->phase[a].start;
        s->a.from += (s->phase[a].offset - s->origin[a + 1]) * s->x.axis[a];
        s->a.step[a + 1] = axis->in_step * s->x.axis[a];
        if (direct) {
            s->c.from += start * job->y.axis[a];
            s->c.step[a + 1] = axis->out_step * job->y.axis[a];
        } else {
            s->c.step[a + 1] = tc_range_length(held) * step;
            s->c.from += (start - held.begin) * step - grid.begin * s->c.step[a + 1];
            step *= tc_range_length(held) * tc_range_length(grid);
        }
    }
    if (!direct) {
        s->c.step[0] = step;
        s->c.from -= s->block.grid[0].begin * step;
    }
}

/* Adds what the channels and weights of a panel give to the outputs of a phase. */
static void run_phase(struct state *s, const struct tc_panel *panel)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t k[TC_SPATIAL] = {s->phase[0].k, s->phase[1].k, s->phase[2].k};
    const ptrdiff_t taps = s->phase[0].taps * s->phase[1].taps * s->phase[2].taps;
    const ptrdiff_t rows = tc_range_length(panel->ci), bytes = job->kernels->bytes;
    const ptrdiff_t first = taps > 0 ? tc_panel_tap(job, k) * panel->plane : 0;
    const ptrdiff_t channel = panel->group * tc_group_co(job->problem) + s->part.first;
    struct tc_tile tile = {
        .lanes = s->part.lanes,
        .k = rows,
        .a = tc_at(s->x.data, (panel->ci.begin - s->copied.begin) * s->x.c, bytes),
        .a_k = s->x.c,
        .b = tc_at(panel->data, first, bytes),
        .b_k = panel->lanes,
        .bias = job->problem->bias ? s->bias : NULL,
        .add = panel->ci.begin > 0,
        .c = stores_directly(job) ? tc_at(job->y.data, channel, bytes) : s->buffer,
    };
    ptrdiff_t step = panel->plane;
    for (int a = TC_SPATIAL - 1; a >= 0; a--) {
        tile.a_tap[a] = axis[a].offset_step * s->x.axis[a];
        tile.b_tap[a] = step;
        step *= s->phase[a].taps;
    }
    set_walks(s);
    run_boxes(s, &tile);
}

/* Writes rows of the buffer, the outputs (n, od, oh) of the held columns, to y. */
static void flush_rows(const struct state *s, const void *row, ptrdiff_t n, ptrdiff_t od,
                       struct tc_range oh)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const y = &job->y;
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    const struct tc_range grid = s->block.grid[TC_W + 1], held = s->held[TC_W];
    const ptrdiff_t bytes = job->kernels->bytes, places = job->cell.places;
    const ptrdiff_t lanes = point_step(s) / places, step = column_step(job);
    const ptrdiff_t begin = (axis->out_step * grid.begin + held.begin) * places - job->cell.before;
    const ptrdiff_t width = tc_range_length(grid) * tc_range_length(held) * places;
    const ptrdiff_t all = places > 1 ? job->cell.outputs : axis->out;
    const ptrdiff_t channel = s->block.group * pixel_channels(job) + s->part.first;
    const bool one = begin == 0 && width == all && y->axis[TC_H] == width * step;
    const struct tc_range ow = {tc_max(begin, 0), tc_min(begin + width, all)};
    const ptrdiff_t at = n * y->n + channel * y->c + od * y->axis[TC_D] + ow.begin * step;
    row = tc_at(row, (ow.begin - begin) * lanes, bytes);
    for (ptrdiff_t h = oh.begin; h < oh.end; h += one ? tc_range_length(oh) : 1) {
        const ptrdiff_t from = (h - oh.begin) * width * lanes, to = at + h * y->axis[TC_H];
        const ptrdiff_t outputs = one ? tc_range_length(oh) * width : tc_range_length(ow);
        const struct tc_matrix dst = {tc_at(y->data, to, bytes), step, y->c};
        const struct tc_matrix src = {tc_at(row, from, bytes), lanes, 1};
        tc_copy_far(job->kernels, outputs, s->part.lanes / places, dst, src,
                    (struct tc_far){.dst = y->far});
    }
}

static void flush_buffer(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tc_range *const grid = s->block.grid, *const held = s->held;
    const ptrdiff_t width = tc_range_length(grid[3]) * tc_range_length(held[TC_W]);
    const ptrdiff_t row_bytes = width * point_step(s) * job->kernels->bytes;
    const ptrdiff_t phases = tc_range_length(held[TC_H]);
    const char *row = s->buffer;
    for (ptrdiff_t n = grid[0].begin; n < grid[0].end; n++) {
        for (ptrdiff_t jd = grid[1].begin; jd < grid[1].end; jd++) {
            for (ptrdiff_t rd = held[TC_D].begin; rd < held[TC_D].end; rd++) {
                const ptrdiff_t od = axis[TC_D].out_step * jd + rd;
                ptrdiff_t jh = grid[2].begin;
                while (jh < grid[2].end && od < axis[TC_D].out) {
                    /* with all phases held, all rows follow each other */
                    const ptrdiff_t next = phases == axis[TC_H].out_step ? grid[2].end : jh + 1;
                    const ptrdiff_t first = axis[TC_H].out_step * jh + held[TC_H].begin;
                    const struct tc_range oh = {
                        first, tc_min(first + (next - jh) * phases, axis[TC_H].out)};
                    flush_rows(s, row + (jh - grid[2].begin) * phases * row_bytes, n, od, oh);
                    jh = next;
                }
                row += tc_range_length(grid[2]) * phases * row_bytes;
            }
        }
    }
}

static void copy_inputs(struct state *s, struct tc_range ci)
{
    s->x = tc_block_copy(s->job, &s->block, ci, copy_steps(s->job), s->copy);
    s->copied = ci;
    for (int g = 0; g < TC_GRID; g++) {
        s->origin[g] = s->block.input[g].begin;
    }
}

/* All chunks of the input channels into the outputs of the held phases. */
static void run_held(struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const bool packs = packs_in_tasks(job);
    struct tc_panel panel;
    s->listed = 0;
    for (ptrdiff_t ci = 0; ci < tc_group_ci(job->problem); ci = panel.ci.end) {
        panel = tc_panel_at(job, s->packed, s->block.group, s->part, ci);
        s->last_chunk = panel.ci.end == tc_group_ci(job->problem);
        if (packs) {
            panel.data = s->panel;
            tc_panel_pack(job, &panel, panel.ci);
        }
        if (copies_chunks(job)) {
            copy_inputs(s, panel.ci);
        }
        for (ptrdiff_t d = s->held[TC_D].begin; d < s->held[TC_D].end; d++) {
            s->phase[TC_D] = tc_phase_at(&axis[TC_D], d);
            for (ptrdiff_t h = s->held[TC_H].begin; h < s->held[TC_H].end; h++) {
                s->phase[TC_H] = tc_phase_at(&axis[TC_H], h);
                for (ptrdiff_t w = s->held[TC_W].begin; w < s->held[TC_W].end; w++) {
                    s->phase[TC_W] = tc_phase_at(&axis[TC_W], w);
                    run_phase(s, &panel);
                }
            }
        }
    }
    if (!stores_directly(job)) {
        flush_buffer(s);
    }
}

static void run_part(struct state *s)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    struct tc_range *const held = s->held;
    ptrdiff_t step[TC_SPATIAL];
    count_held(s->job, step);
    for (ptrdiff_t d = 0; d < axis[TC_D].phases; d += step[TC_D]) {
        held[TC_D] = (struct tc_range){d, tc_min(d + step[TC_D], axis[TC_D].phases)};
        for (ptrdiff_t h = 0; h < axis[TC_H].phases; h += step[TC_H]) {
            held[TC_H] = (struct tc_range){h, tc_min(h + step[TC_H], axis[TC_H].phases)};
            for (ptrdiff_t w = 0; w < axis[TC_W].phases; w += step[TC_W]) {
                held[TC_W] = (struct tc_range){w, tc_min(w + step[TC_W], axis[TC_W].phases)};
                run_held(s);
            }
        }
    }
}

/* ---- blocks ---- */

static void load_bias(struct state *s)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t places = job->cell.places, channels = s->part.lanes / places;
    const ptrdiff_t channel = s->block.group * pixel_channels(job) + s->part.first;
    memset(s->bias, 0, (size_t)widest_bytes(job));
    for (ptrdiff_t place = 0; place < places; place++) {
        void *const to = tc_at(s->bias, place * channels, job->kernels->bytes);
        tc_copy_bias(job, channel, channels, to);
    }
}

struct run {
    const struct tc_job *job;
    char *scratch;
};

static const void *packed_for(const struct tc_job *job, void *scratch, int thread)
{
    if (!packs_for_threads(job)) {
        return job->packed;
    }
    struct tc_own *const own = tc_own_of(job, scratch, thread, own_bytes(job));
    if (!own->made) {
        tc_panels_pack(job, own->data);
        own->made = true;
    }
    return own->data;
}

static void run_block(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    const struct tc_problem *const problem = job->problem;
    struct state s = {.job = job, .block = tc_block_at(job, task)};
    s.copy = run->scratch + thread * job->thread_bytes;
    s.buffer = (char *)s.copy + copy_bytes(job);
    s.bias = (char *)s.buffer + buffer_bytes(job);
    s.a_row = (ptrdiff_t *)((char *)s.bias + widest_bytes(job));
    s.c_row = s.a_row + MAX_POINTS;
    s.panel = s.c_row + MAX_POINTS;
    s.packed = packed_for(job, run->scratch, thread);
    s.x = tc_block_input(job, &s.block);
    if (job->x.c != 1 && !copies_chunks(job)) {
        copy_inputs(&s, (struct tc_range){0, tc_group_ci(problem)});
    }
    const ptrdiff_t parts = tc_part_count(job->kernels, tc_group_co(problem));
    const struct tc_range mine = tc_share_of(parts, s.block.share, job->blocking.shares);
    for (ptrdiff_t part = mine.begin; part < mine.end && !tc_is_stopped(job->watch); part++) {
        s.part = tc_part_at(job->kernels, tc_group_co(problem), part);
        if (problem->bias) {
            load_bias(&s);
        }
        run_part(&s);
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, scratch};
    tc_own_forget(job, scratch, own_bytes(job));
    tc_parallel(job->tasks, job->threads, run_block, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const struct tc_part part = tc_part_at(job->kernels, tc_group_co(job->problem), 0);
    tc_say(text, "%d pixels x %td output channels", job->kernels->rows[part.width - 1],
           (ptrdiff_t)part.width * job->kernels->lanes);
}

const struct tc_engine tc_engine_gather = {
    .name = "gather",
    .contractions = TC_DOES_LARGE | TC_DOES_SMALL,
    .accept = accept,
    .pack = tc_panels_pack,
    .run = run,
    .describe = describe,
};
