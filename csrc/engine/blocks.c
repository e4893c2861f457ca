/* SPDX-License-Identifier: BSD-3-Clause */
/* A block grows along the width first, because its rows are what memory holds in one piece, then
 * along height, depth and batch, until it has the points or the inputs that its engine asked for;
 * with taps along the depth, height and depth share what there is. If that gives too few tasks for
 * the threads, the output channels are shared out, and then the blocks are halved; if they are few
 * but do not come out even among the threads, one axis is cut a little finer. None of it changes
 * the order of any sum. */
#include "engine/blocks.h"

#include "base/size.h"
#include "engine/pack.h"

#include <limits.h>
#include <math.h>

enum { MANY_TURNS = 16 };              /* of each thread, which need not be even */
static const double LEAST_GAIN = 0.96; /* of the longest, for more blocks */

ptrdiff_t tc_odd_lines(const struct tc_kernels *kernels, ptrdiff_t elements)
{
    const ptrdiff_t line = TC_ALIGN / kernels->bytes;
    return (tc_ceil_div(elements, line) | 1) * line;
}

ptrdiff_t tc_part_count(const struct tc_kernels *kernels, ptrdiff_t length)
{
    return tc_ceil_div(tc_ceil_div(length, kernels->lanes), kernels->widths);
}

struct tc_part tc_part_at(const struct tc_kernels *kernels, ptrdiff_t length, ptrdiff_t part)
{
    const ptrdiff_t vectors = tc_ceil_div(length, kernels->lanes);
    const struct tc_range share = tc_share_of(vectors, part, tc_part_count(kernels, length));
    const ptrdiff_t first = share.begin * kernels->lanes;
    return (struct tc_part){
        .number = part,
        .first = first,
        .lanes = tc_min(length, share.end * kernels->lanes) - first,
        .width = (int)tc_range_length(share),
    };
}

ptrdiff_t tc_readable(const struct tc_image *image, ptrdiff_t n, ptrdiff_t c,
                      const ptrdiff_t length[TC_SPATIAL])
{
    ptrdiff_t last = (n - 1) * image->n + (c - 1) * image->c;
    bool ahead = image->n >= 0 && image->c >= 0;
    for (int a = 0; a < TC_SPATIAL; a++) {
        last += (length[a] - 1) * image->axis[a];
        ahead = ahead && image->axis[a] >= 0;
    }
    return ahead ? last + 1 : 0;
}

bool tc_reaches(const struct tc_job *job, ptrdiff_t end)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t readable = tc_readable(&job->x, p->n, p->ci, p->i);
    return readable > 0 && end <= readable;
}

/* The mask of lanes begin <= l < end. */
static void set_mask(unsigned char mask[TC_MASK_BYTES], ptrdiff_t begin, ptrdiff_t end)
{
    const unsigned lanes = (1u << end) - (1u << begin);
    mask[0] = (unsigned char)lanes;
    mask[1] = (unsigned char)(lanes >> CHAR_BIT);
}

static void set_masks(const struct tc_dots *dots, struct tc_dot_masks *masks, ptrdiff_t length,
                      const struct tc_range *met, struct tc_range columns)
{
    const ptrdiff_t lanes = dots->lanes;
    for (ptrdiff_t v = columns.begin; v < columns.end; v++) {
        set_mask(masks[v].any, 0, tc_min(length - v * lanes, lanes));
        for (ptrdiff_t t = 0; t < dots->taps; t++) {
            const ptrdiff_t begin = tc_clamp(met[t].begin - v * lanes, 0, lanes);
            set_mask(masks[v].tap[t], begin, tc_clamp(met[t].end - v * lanes, begin, lanes));
        }
    }
}

void tc_set_columns(struct tc_dots *dots, struct tc_dot_masks *masks, ptrdiff_t length,
                    const struct tc_range *met)
{
    dots->masks = masks;
    dots->columns = tc_ceil_div(length, dots->lanes);
    dots->begin = 0;
    dots->end = length / dots->lanes;
    for (ptrdiff_t t = 0; t < dots->taps; t++) {
        dots->begin = tc_max(dots->begin, tc_ceil_div(met[t].begin, dots->lanes));
        dots->end = tc_min(dots->end, met[t].end / dots->lanes);
    }
    dots->end = tc_max(dots->end, dots->begin);
    /* all lanes of those in between count */
    set_masks(dots, masks, length, met, (struct tc_range){0, dots->begin});
    set_masks(dots, masks, length, met, (struct tc_range){dots->end, dots->columns});
}

/* Index 0 of a grid is the batch, the others are the spatial axes. */
static ptrdiff_t grid_length(const struct tc_job *job, int g)
{
    if (g == 0) {
        return job->problem->n;
    }
    return tc_lattice_points(&job->lattice.axis[g - 1]);
}

/* The most inputs that `size` grid points in a row read. */
static ptrdiff_t input_length(const struct tc_job *job, int g, ptrdiff_t size)
{
    return g == 0 ? size : tc_lattice_met(&job->lattice.axis[g - 1], size);
}

void tc_blocking_set_size(struct tc_blocking *blocking, int g, ptrdiff_t length, ptrdiff_t size)
{
    const ptrdiff_t count = tc_max(tc_ceil_div(length, size), 1);
    blocking->size[g] = tc_max(tc_ceil_div(length, count), 1);
    blocking->count[g] = tc_ceil_div(length, blocking->size[g]);
}

static ptrdiff_t block_count(const struct tc_blocking *blocking)
{
    ptrdiff_t count = 1;
    for (int g = 0; g < TC_GRID; g++) {
        count *= blocking->count[g];
    }
    return count;
}

static bool halve_a_side(struct tc_job *job)
{
    for (int g = 0; g < TC_GRID; g++) {
        if (job->blocking.size[g] > 1) {
            tc_blocking_set_size(&job->blocking, g, grid_length(job, g),
                                 tc_ceil_div(job->blocking.size[g], 2));
            return true;
        }
    }
    return false;
}

/* Points that the slowest thread sums, as if all blocks were whole. */
static double longest_turn(const struct tc_job *job, const struct tc_blocking *blocking)
{
    const ptrdiff_t tasks = block_count(blocking) * job->problem->g * blocking->shares;
    double points = (double)tc_ceil_div(tasks, job->threads) / (double)blocking->shares;
    for (int g = 0; g < TC_GRID; g++) {
        points *= (double)blocking->size[g];
    }
    return points;
}

/* Cuts one axis into a few more blocks, where the threads share them more evenly then. */
static void even_out(struct tc_job *job)
{
    const struct tc_blocking was = job->blocking;
    double least = LEAST_GAIN * longest_turn(job, &was);
    for (int g = 0; g < TC_GRID; g++) {
        const ptrdiff_t length = grid_length(job, g), few = was.count[g];
        const ptrdiff_t most = tc_min(tc_min(few + job->threads - 1, 2 * few), length);
        for (ptrdiff_t count = few + 1; count <= most; count++) {
            struct tc_blocking other = was;
            tc_blocking_set_size(&other, g, length, tc_ceil_div(length, count));
            const double turn = longest_turn(job, &other);
            if (turn < least) {
                least = turn;
                job->blocking = other;
            }
        }
    }
    job->tasks = block_count(&job->blocking) * job->problem->g * job->blocking.shares;
}

/* The most points along an axis, one of which has `others` inputs along all others. */
static ptrdiff_t fit_size(const struct tc_job *job, int g, ptrdiff_t points, ptrdiff_t inputs,
                          ptrdiff_t others)
{
    ptrdiff_t size = tc_clamp(points, 1, tc_max(grid_length(job, g), 1));
    while (size > 1 && input_length(job, g, size) * others > inputs) {
        size = tc_ceil_div(size, 2);
    }
    return size;
}

/* The same along the height, where a part of the room may be better left to the depth: so that the
 * block has the fewest inputs for each of its points. `others` are those along width and batch. */
static ptrdiff_t fit_height(const struct tc_job *job, ptrdiff_t points, ptrdiff_t inputs,
                            ptrdiff_t others)
{
    const ptrdiff_t depth = tc_min(points, grid_length(job, TC_D + 1));
    ptrdiff_t best = 0;
    double least = HUGE_VAL;
    for (ptrdiff_t d = 1; d <= depth || best == 0; d *= 2) {
        const ptrdiff_t in = input_length(job, TC_D + 1, d);
        const ptrdiff_t h = fit_size(job, TC_H + 1, points / d, inputs, in * others);
        const double each = (double)in * (double)input_length(job, TC_H + 1, h) / (double)(d * h);
        if (each < least) {
            least = each;
            best = h;
        }
    }
    return best;
}

void tc_blocking_set(struct tc_job *job, ptrdiff_t points, ptrdiff_t inputs, ptrdiff_t shares)
{
    struct tc_blocking *const blocking = &job->blocking;
    const ptrdiff_t plane = input_length(job, TC_D + 1, 1);
    ptrdiff_t others = 1; /* inputs along the axes that follow */
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        others *= input_length(job, axis + 1, 1);
    }
    for (int g = TC_GRID - 1; g >= 0; g--) {
        others /= input_length(job, g, 1);
        const ptrdiff_t size = g == TC_H + 1 ? fit_height(job, points, inputs, others / plane)
                                             : fit_size(job, g, points, inputs, others);
        tc_blocking_set_size(blocking, g, grid_length(job, g), size);
        points /= blocking->size[g];
        others *= input_length(job, g, blocking->size[g]);
    }
    const ptrdiff_t wanted = tc_tasks_wanted(job);
    const ptrdiff_t blocks = tc_max(block_count(blocking) * job->problem->g, 1);
    blocking->shares = tc_clamp(tc_ceil_div(wanted, blocks), 1, shares);
    do {
        job->tasks = block_count(blocking) * job->problem->g * blocking->shares;
    } while (job->tasks < wanted / 2 && halve_a_side(job));
    if (job->tasks < MANY_TURNS * job->threads) {
        even_out(job);
    }
}

struct tc_block tc_block_at(const struct tc_job *job, ptrdiff_t task)
{
    const struct tc_blocking *const blocking = &job->blocking;
    struct tc_block block = {.share = task % blocking->shares};
    task /= blocking->shares;
    for (int g = TC_GRID - 1; g >= 0; g--) {
        const ptrdiff_t begin = task % blocking->count[g] * blocking->size[g];
        const struct tc_range grid = {begin,
                                      tc_min(begin + blocking->size[g], grid_length(job, g))};
        block.grid[g] = grid;
        block.input[g] = g ? tc_lattice_inputs(&job->lattice.axis[g - 1], grid) : grid;
        task /= blocking->count[g];
    }
    block.group = task;
    return block;
}

ptrdiff_t tc_block_inputs(const struct tc_job *job)
{
    ptrdiff_t inputs = 1;
    for (int g = 0; g < TC_GRID; g++) {
        inputs *= input_length(job, g, job->blocking.size[g]);
    }
    return inputs;
}

ptrdiff_t tc_reached_inputs(const struct tc_job *job)
{
    ptrdiff_t inputs = 1;
    for (int g = 1; g < TC_GRID; g++) {
        const struct tc_axis *const axis = &job->lattice.axis[g - 1];
        const ptrdiff_t reach = tc_range_length(tc_lattice_offsets(axis));
        const ptrdiff_t size = tc_ceil_div(reach, axis->in_step);
        inputs *= input_length(job, g, tc_clamp(size, 1, tc_max(grid_length(job, g), 1)));
    }
    return inputs;
}

struct tc_image tc_block_input(const struct tc_job *job, const struct tc_block *block)
{
    struct tc_image x = job->x;
    x.data = tc_at(x.data, block->group * tc_group_ci(job->problem) * x.c, job->kernels->bytes);
    return x;
}

static ptrdiff_t met_step(const struct tc_met_lines *met)
{
    return met->reach > 1 ? 1 : met->height->in_step;
}

ptrdiff_t tc_met_pitch(const struct tc_met_lines *met)
{
    const ptrdiff_t step = met_step(met);
    return step < met->height->in ? step * met->line : 0;
}

void tc_set_lines(struct tc_line_sheet *sheet, const struct tc_met_lines *met)
{
    const ptrdiff_t step = met_step(met), pitch = tc_met_pitch(met);
    sheet->lines = 0;
    for (ptrdiff_t i = tc_lines_met(met->height, met->reach, met->lines) - 1; i >= 0; i--) {
        const ptrdiff_t at = met->first + i * step;
        if (at >= 0 && at < met->height->in) {
            sheet->lines |= 1u << i;
            sheet->x = met->origin + at * met->line - i * pitch;
        }
    }
}

void tc_copy_bias(const struct tc_job *job, ptrdiff_t channel, ptrdiff_t count, void *to)
{
    const ptrdiff_t from = channel * job->b.c;
    const struct tc_matrix src = {tc_at(job->b.data, from, job->kernels->bytes), 0, job->b.c};
    tc_copy(job->kernels, 1, count, (struct tc_matrix){to, 0, 1}, src);
}

struct tc_image tc_block_copy(const struct tc_job *job, const struct tc_block *block,
                              struct tc_range ci, struct tc_steps steps, void *copy)
{
    const struct tc_range *const in = block->input;
    const ptrdiff_t height = tc_range_length(in[2]), width = tc_range_length(in[3]);
    const ptrdiff_t bytes = job->kernels->bytes;
    const struct tc_image from = tc_block_input(job, block);
    const bool flat = from.axis[TC_H] == width * from.axis[TC_W];
    const ptrdiff_t lines = flat ? 1 : height, pixels = flat ? height * width : width;
    char *to = copy;
    for (ptrdiff_t n = in[0].begin; n < in[0].end; n++) {
        for (ptrdiff_t d = in[1].begin; d < in[1].end; d++) {
            for (ptrdiff_t h = 0; h < lines; h++, to += pixels * steps.pixel * bytes) {
                const ptrdiff_t at = n * from.n + ci.begin * from.c + d * from.axis[TC_D] +
                                     (in[2].begin + h) * from.axis[TC_H] +
                                     in[3].begin * from.axis[TC_W];
                const struct tc_matrix src = {tc_at(from.data, at, bytes), from.c, from.axis[TC_W]};
                tc_copy_far(job->kernels, tc_range_length(ci), pixels,
                            (struct tc_matrix){to, steps.channel, steps.pixel}, src,
                            (struct tc_far){.src = from.far});
            }
        }
    }
    const ptrdiff_t row = width * steps.pixel, plane = height * row;
    return (struct tc_image){.data = copy,
                             .n = tc_range_length(in[1]) * plane,
                             .c = steps.channel,
                             .axis = {plane, row, steps.pixel}};
}
