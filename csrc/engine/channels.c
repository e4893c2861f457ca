/* SPDX-License-Identifier: BSD-3-Clause */
/* channels: depthwise layers whose channels lie side by side, in x and in y: lanes are channels.
 *
 * A channel meets a weight of its own for each tap, so a vector of outputs is a sum of vectors of
 * inputs times vectors of weights, and no lane is ever shifted. The kernel `lines_by_lane` takes up
 * to seven lines of outputs at once, in which each vector of inputs is used for all taps of a
 * column that meet it.
 *
 *     for block (image, depth, some lines of the grid, some channels: a task)
 *       for phase, for strip of up to 7 lines, for run of the width
 *         the kernel, over the pixels of the run
 *
 * Along the width, the same taps reach all outputs of a run; along the height, lines of inputs that
 * lie in the padding are left out.
 *
 * The taps are summed in the order of the engine that solves the same layer where the width is
 * contiguous, so that the bits of a result do not depend on the layout: with `lines` and `weave` by
 * ascending offsets; else in the order of the lattice, but with `direct` first those taps that all
 * phases have, then those that only some have along the depth, the height, both, the width ... */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/cells.h"
#include "engine/pack.h"

#include <string.h>

enum {
    WEIGHT_BYTES = 256 << 10, /* of a task's channels, if a few vectors do not need more */
    TASK_BYTES = 128 << 10,   /* outputs of a task, about */
    ALIAS_LINES = 9           /* that meet in one set of the first cache: its room, about */
};

/* The taps of a phase along an axis, in the order of their sums: number i has offset
 * + i*step and kernel element k + i*k_step. */
struct taps {
    ptrdiff_t count, offset, step, k, k_step;
};

struct layout {
    bool backwards;               /* by ascending offsets, against the order of the lattice */
    ptrdiff_t common[TC_SPATIAL]; /* taps that come first */
    ptrdiff_t pitch;              /* of the weights, from a kernel element to the next */
    ptrdiff_t span, rows;         /* channels and lines of the grid of a task, at most */
    ptrdiff_t spans, bands, d;    /* tasks along these two, and along the depth */
    ptrdiff_t table_bytes;
};

struct state {
    const struct tc_job *job;
    const struct layout *layout;
    ptrdiff_t n;
    struct tc_range channels;
    struct tc_phase phase[TC_SPATIAL];
    struct taps taps[TC_SPATIAL];
    int reach;           /* kernel lines at once */
    struct tc_run depth; /* the taps of depth that count */
    ptrdiff_t d;         /* grid points along the depth and the height */
    struct tc_range lines;
    const void *weights;
    void *bias;
    struct tc_line_tap *tap;
    ptrdiff_t *w_sheet, *x_line;
    struct tc_sheet_taps *sheet_taps;
    bool *extra; /* of a sheet: whether it has the taps of the width that come last */
};

/* ---- booking ---- */

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    if (problem->g == 1 || tc_group_ci(problem) != 1 || tc_group_co(problem) != 1) {
        return "it is for depthwise layers";
    }
    if (job->x.c != 1 || job->y.c != 1) {
        return "channels do not lie side by side";
    }
    if (!job->forced && 4 * problem->g < job->kernels->lanes) {
        return "the channels are too few for lanes";
    }
    return NULL;
}

static ptrdiff_t volume(const struct tc_job *job)
{
    return job->problem->k[TC_D] * job->problem->k[TC_H] * job->problem->k[TC_W];
}

/* Sheets of a strip, at most: each column of kernel lines, with the taps of the width in two parts.
 */
static bool count_sheets(const struct tc_job *job, ptrdiff_t *count)
{
    return tc_mul(job->problem->k[TC_D], 2 * job->problem->k[TC_H], count);
}

/* Lines of inputs that a sheet meets, at most. */
enum { MOST_MET = 2 * (TC_MAX_LINES - 1) + TC_REACH };

static ptrdiff_t table_bytes(const struct tc_job *job)
{
    const ptrdiff_t sheet_bytes = (1 + MOST_MET) * (ptrdiff_t)sizeof(ptrdiff_t) +
                                  (ptrdiff_t)sizeof(struct tc_sheet_taps) + (ptrdiff_t)sizeof(bool);
    ptrdiff_t sheets = 0, taps = 0;
    const bool fits = count_sheets(job, &sheets) && tc_mul(sheets, sheet_bytes, &sheets) &&
                      tc_mul(job->problem->k[TC_W], (ptrdiff_t)sizeof(struct tc_line_tap), &taps) &&
                      tc_add(sheets, taps, &taps);
    return fits ? taps : PTRDIFF_MAX / 2;
}

static struct layout layout_of(const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t bytes = job->kernels->bytes, lanes = job->kernels->lanes;
    struct layout layout = {.backwards = tc_lines_takes(job) || tc_weave_takes(job)};
    const bool direct = !layout.backwards && tc_direct_takes(job);
    for (int a = 0; a < TC_SPATIAL; a++) {
        layout.common[a] = direct ? tc_cells_of(problem, a).common : problem->k[a];
    }
    layout.pitch = tc_odd_lines(job->kernels, problem->g);
    const ptrdiff_t fit = WEIGHT_BYTES / bytes / volume(job) / lanes * lanes;
    layout.span = tc_min(tc_max(fit, 4 * lanes), problem->g);
    layout.spans = tc_ceil_div(problem->g, layout.span);
    layout.span = tc_round_up(tc_ceil_div(problem->g, layout.spans), lanes);
    layout.spans = tc_ceil_div(problem->g, layout.span);
    const ptrdiff_t grid = tc_lattice_points(&axis[TC_H]);
    const ptrdiff_t line = tc_max(axis[TC_W].out * axis[TC_H].out_step * layout.span * bytes, 1);
    layout.rows = tc_round_up(tc_max(TASK_BYTES / line, 1), TC_MAX_LINES);
    layout.rows = tc_max(tc_min(layout.rows, grid), 1);
    layout.bands = tc_max(tc_ceil_div(grid, layout.rows), 1);
    layout.d = axis[TC_D].out;
    layout.table_bytes = table_bytes(job);
    return layout;
}

static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    const struct layout layout = layout_of(job);
    const ptrdiff_t bytes = job->kernels->bytes;
    const bool fits = tc_mul(layout.pitch * bytes, volume(job), &job->packed_bytes);
    job->packed_bytes = fits ? job->packed_bytes : PTRDIFF_MAX / 2;
    job->thread_bytes = tc_round_up(layout.span * bytes + layout.table_bytes, TC_ALIGN);
    job->shared_bytes = 0;
    job->tasks = job->problem->n * layout.spans * layout.d * layout.bands;
    return NULL;
}

/* [kd][kh][kw][channel]: a matrix, whatever the strides of the kernel's axes are. */
static void pack(const struct tc_job *job, void *packed)
{
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t *const k = job->problem->k;
    const ptrdiff_t bytes = job->kernels->bytes, groups = job->problem->g;
    const ptrdiff_t pitch = layout_of(job).pitch;
    memset(packed, 0, (size_t)(pitch * volume(job) * bytes));
    for (ptrdiff_t d = 0; d < k[TC_D]; d++) {
        for (ptrdiff_t h = 0; h < k[TC_H]; h++) {
            const ptrdiff_t from = d * w->axis[TC_D] + h * w->axis[TC_H];
            const ptrdiff_t to = (d * k[TC_H] + h) * k[TC_W] * pitch;
            const struct tc_matrix src = {tc_at(w->data, from, bytes), w->axis[TC_W], w->g};
            const struct tc_matrix dst = {tc_at(packed, to, bytes), pitch, 1};
            tc_copy(job->kernels, k[TC_W], groups, dst, src);
        }
    }
}

/* ---- taps ---- */

static struct taps taps_of(const struct state *s, int a)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[a];
    const struct tc_phase *const phase = &s->phase[a];
    const ptrdiff_t last = phase->taps - 1;
    if (s->layout->backwards) {
        return (struct taps){phase->taps, phase->offset + last * axis->offset_step,
                             -axis->offset_step, phase->k + last * axis->k_step, -axis->k_step};
    }
    return (struct taps){phase->taps, phase->offset, axis->offset_step, phase->k, axis->k_step};
}

static int reach_of(const struct layout *layout, const struct tc_axis *height,
                    const struct tc_phase *phase)
{
    return layout->backwards ? tc_lines_reach(height, phase) : 1;
}

/* The taps of a run, by their numbers here. */
static struct tc_range taps_in(const struct state *s, int a, const struct tc_run *run)
{
    const ptrdiff_t count = s->taps[a].count;
    return s->layout->backwards ? (struct tc_range){count - run->last, count - run->first}
                                : (struct tc_range){run->first, run->last};
}

/* Lines of inputs from the first that an output line meets to the next one's first, as the kernel
 * counts them. */
static int kernel_step(const struct state *s)
{
    return s->reach > 1 ? (int)s->job->lattice.axis[TC_H].in_step : 1;
}

/* The taps of the width that a run has, and which of them each sheet has. */
static void list_taps(const struct state *s, struct tc_range range, ptrdiff_t sheets)
{
    const struct taps *const taps = &s->taps[TC_W];
    const ptrdiff_t count = tc_range_length(range);
    const ptrdiff_t common = tc_clamp(s->layout->common[TC_W] - range.begin, 0, count);
    for (ptrdiff_t j = range.begin; j < range.end; j++) {
        s->tap[j - range.begin].x = (taps->offset + j * taps->step) * s->job->x.axis[TC_W];
    }
    for (ptrdiff_t m = 0; m < sheets; m++) {
        s->sheet_taps[m] =
            s->extra[m] ? (struct tc_sheet_taps){common, count} : (struct tc_sheet_taps){0, common};
    }
}

/* The lines of inputs that the kernel lines from kh on meet. */
static void list_lines(const struct state *s, ptrdiff_t kd, ptrdiff_t kh, ptrdiff_t count,
                       ptrdiff_t *x_line)
{
    const struct tc_image *const x = &s->job->x;
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct taps *const depth = &s->taps[TC_D], *const height = &s->taps[TC_H];
    const ptrdiff_t step = s->reach > 1 ? 1 : axis[TC_H].in_step;
    const ptrdiff_t d = axis[TC_D].in_step * s->d + depth->offset + kd * depth->step;
    const ptrdiff_t first =
        axis[TC_H].in_step * s->lines.begin + height->offset + kh * height->step;
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t h = first + i * step;
        const bool exists = h >= 0 && h < axis[TC_H].in;
        x_line[i] = exists ? d * x->axis[TC_D] + h * x->axis[TC_H] : TC_NO_LINE;
    }
}

/* The taps of axis a that box number `bits` has: those that come first, or the others if the axis's
 * bit is set. */
static struct tc_range taps_of_box(const struct state *s, int a, int bits)
{
    const ptrdiff_t count = s->taps[a].count, common = tc_min(s->layout->common[a], count);
    return bits & 1 << a ? (struct tc_range){common, count} : (struct tc_range){0, common};
}

/* All sheets of kernel lines, box by box; returns their number. */
static ptrdiff_t list_sheets(const struct state *s)
{
    const struct taps *const depth = &s->taps[TC_D], *const height = &s->taps[TC_H];
    const ptrdiff_t *const k = s->job->problem->k;
    const ptrdiff_t met = (tc_range_length(s->lines) - 1) * kernel_step(s) + s->reach;
    const struct tc_range reached = taps_in(s, TC_D, &s->depth);
    ptrdiff_t count = 0;
    for (int bits = 0; bits < 1 << TC_SPATIAL; bits++) {
        const struct tc_range d = taps_of_box(s, TC_D, bits), h = taps_of_box(s, TC_H, bits);
        const struct tc_range w = taps_of_box(s, TC_W, bits);
        const ptrdiff_t last = tc_min(d.end, reached.end);
        for (ptrdiff_t kd = tc_max(d.begin, reached.begin); kd < last && w.begin < w.end; kd++) {
            for (ptrdiff_t kh = h.begin; kh < h.end; kh += s->reach, count++) {
                s->w_sheet[count] =
                    ((depth->k + kd * depth->k_step) * k[TC_H] + height->k + kh * height->k_step) *
                    k[TC_W] * s->layout->pitch;
                s->extra[count] = bits >> TC_W & 1;
                list_lines(s, kd, kh, met, s->x_line + count * met);
            }
        }
    }
    return count;
}

/* ---- strips ---- */

/* How many lines the next strip takes of those left: fewer where the lines of inputs that they meet
 * would push each other out of the cache. */
static ptrdiff_t next_lines(const struct state *s, ptrdiff_t left)
{
    const ptrdiff_t pitch = s->job->x.axis[TC_H] * s->job->kernels->bytes;
    const ptrdiff_t lines = tc_next_lines(left);
    const ptrdiff_t met = (lines - 1) * kernel_step(s) + s->reach;
    return pitch % TC_ALIAS_BYTES == 0 && met > ALIAS_LINES ? tc_min(lines, 4) : lines;
}

/* Up to seven lines of one phase, run by run of the width. */
static void run_strip(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct layout *const layout = s->layout;
    const struct tc_image *const x = &job->x, *const y = &job->y;
    const struct tc_axis *const axis = job->lattice.axis;
    const struct taps *const height = &s->taps[TC_H], *const width = &s->taps[TC_W];
    const ptrdiff_t bytes = job->kernels->bytes, c = s->channels.begin;
    const ptrdiff_t from = s->n * x->n + c;
    ptrdiff_t to = s->n * y->n + c + s->phase[TC_W].start * y->axis[TC_W];
    to += (s->phase[TC_D].start + axis[TC_D].out_step * s->d) * y->axis[TC_D];
    to += (s->phase[TC_H].start + axis[TC_H].out_step * s->lines.begin) * y->axis[TC_H];
    struct tc_lines lines = {
        .columns = tc_range_length(s->channels),
        .sheets = list_sheets(s),
        .lines = (int)tc_range_length(s->lines),
        .reach = s->reach,
        .step = kernel_step(s),
        .x_channel = axis[TC_W].in_step * x->axis[TC_W],
        .x_line = s->x_line,
        .tap = s->tap,
        .sheet_taps = s->sheet_taps,
        .w_line = height->k_step * job->problem->k[TC_W] * layout->pitch,
        .w_tap = width->k_step * layout->pitch,
        .w_sheet = s->w_sheet,
        .bias = job->problem->bias ? s->bias : NULL,
        .y_channel = axis[TC_W].out_step * y->axis[TC_W],
        .y_line = axis[TC_H].out_step * y->axis[TC_H],
    };
    struct tc_run run;
    for (ptrdiff_t j = 0; j < s->phase[TC_W].count; j = run.end) {
        run = tc_run_at(&axis[TC_W], &s->phase[TC_W], j);
        const struct tc_range taps = taps_in(s, TC_W, &run);
        const ptrdiff_t w = (width->k + taps.begin * width->k_step) * layout->pitch + c;
        list_taps(s, taps, lines.sheets);
        lines.channels = run.end - j;
        lines.x = tc_at(x->data, from + j * lines.x_channel, bytes);
        lines.w = tc_at(s->weights, w, bytes);
        lines.y = tc_at(y->data, to + j * lines.y_channel, bytes);
        job->kernels->lines_by_lane(&lines);
        tc_activate_lines(job, &lines);
    }
}

/* The lines of one phase of height and width. */
static void run_phase(struct state *s, struct tc_range rows)
{
    rows.end = tc_min(rows.end, s->phase[TC_H].count);
    for (int a = 0; a < TC_SPATIAL; a++) {
        s->taps[a] = taps_of(s, a);
    }
    s->reach = reach_of(s->layout, &s->job->lattice.axis[TC_H], &s->phase[TC_H]);
    for (s->lines = rows; s->lines.begin < rows.end; s->lines.begin = s->lines.end) {
        s->lines.end = s->lines.begin + next_lines(s, rows.end - s->lines.begin);
        run_strip(s);
    }
}

/* ---- tasks ---- */

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

static void load_bias(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t bytes = job->kernels->bytes;
    const struct tc_matrix src = {tc_at(job->b.data, s->channels.begin * job->b.c, bytes), 0,
                                  job->b.c};
    tc_copy(job->kernels, 1, tc_range_length(s->channels), (struct tc_matrix){s->bias, 0, 1}, src);
}

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct layout *const layout = &run->layout;
    const struct tc_job *const job = run->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t grid = tc_lattice_points(&axis[TC_H]);
    const ptrdiff_t span = task % layout->spans, rest = task / layout->spans;
    const struct tc_range rows = tc_share_of(grid, rest % layout->bands, layout->bands);
    const ptrdiff_t od = rest / layout->bands % layout->d;
    struct state s = {.job = job, .layout = layout, .weights = job->packed};
    s.n = rest / layout->bands / layout->d;
    s.channels.begin = span * layout->span;
    s.channels.end = tc_min(s.channels.begin + layout->span, job->problem->g);
    s.bias = run->scratch + thread * job->thread_bytes;
    s.tap = (struct tc_line_tap *)tc_at(s.bias, layout->span, job->kernels->bytes);
    const ptrdiff_t sheets = 2 * job->problem->k[TC_D] * job->problem->k[TC_H];
    s.sheet_taps = (struct tc_sheet_taps *)(s.tap + job->problem->k[TC_W]);
    s.w_sheet = (ptrdiff_t *)(s.sheet_taps + sheets);
    s.x_line = s.w_sheet + sheets;
    s.extra = (bool *)(s.x_line + sheets * MOST_MET);
    if (job->problem->bias) {
        load_bias(&s);
    }
    s.phase[TC_D] = tc_phase_at(&axis[TC_D], od % axis[TC_D].out_step);
    s.d = od / axis[TC_D].out_step;
    s.depth = tc_run_at(&axis[TC_D], &s.phase[TC_D], s.d);
    for (ptrdiff_t h = 0; h < axis[TC_H].phases; h++) {
        s.phase[TC_H] = tc_phase_at(&axis[TC_H], h);
        for (ptrdiff_t w = 0; w < axis[TC_W].phases; w++) {
            s.phase[TC_W] = tc_phase_at(&axis[TC_W], w);
            run_phase(&s, rows);
        }
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, layout_of(job), scratch};
    tc_parallel(job->tasks, job->threads, run_task, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const struct layout layout = layout_of(job);
    const struct tc_axis *const height = &job->lattice.axis[TC_H];
    const struct tc_phase phase = tc_phase_at(height, 0);
    tc_say(text, "%d lines x %d channels, %d lines of the kernel at once", TC_MAX_LINES,
           job->kernels->lanes, reach_of(&layout, height, &phase));
}

const struct tc_engine tc_engine_channels = {
    .name = "channels",
    .contractions = TC_DOES_LARGE | TC_DOES_SMALL,
    .accept = accept,
    .pack = pack,
    .run = run,
    .describe = describe,
};
