/* SPDX-License-Identifier: BSD-3-Clause */
/* channels: depthwise layers: lanes are channels.
 *
 * A channel meets a weight of its own for each tap, so a vector of outputs is a sum of vectors of
 * inputs times vectors of weights, and no lane is ever shifted. The kernel `lines_by_lane` takes up
 * to seven lines of outputs at once, in which each vector of inputs is used for all taps of a
 * column that meet it.
 *
 *     for block (image, depth, some lines of the grid, some channels: a task)
 *       transpose its inputs, unless their channels lie side by side, or copy them if pixels
 *         would meet in one set of the cache
 *       for phase, for strip of up to 7 lines, for run of the width
 *         the kernel, over the pixels of the run
 *       transpose its outputs, unless theirs do
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
    WEIGHT_BYTES = 256 << 10,    /* of a task's channels, if a few vectors do not need more */
    TASK_BYTES = 128 << 10,      /* outputs of a task, about; */
    COPY_BYTES = 128 << 10,      /* or inputs, if they are transposed, */
    MOST_COPY_BYTES = 512 << 10, /* and one line of the grid needs no more */
    SHORT_OUTPUTS = 13,          /* of lines worth a transposition, at strides 2 and 4, */
    LONG_KERNEL = 4,             /* or with lone lines of so many taps; */
    SHORT_LINE = 15,             /* inputs of such lines of transposed ones, if all phases have */
    LONG_LINE = 128,             /* as many taps, and if the line is all there is */
    WOVEN_SHORT = 6,             /* inputs of lines that `weave` does better, for kernels of 2, */
    WOVEN = 8,                   /* of 3 and 4, */
    WOVEN_LONG = 24,             /* and for longer ones, or if the line is all there is; */
    PIXELS_AHEAD = 4,            /* that hints are for, */
    ALIAS_LINES = 9              /* that meet in one set of the first cache: its room, about */
};

struct layout {
    bool backwards;               /* by ascending offsets, against the order of the lattice */
    ptrdiff_t common[TC_SPATIAL]; /* taps that come first */
    ptrdiff_t pitch;              /* of the weights, from a kernel element to the next */
    ptrdiff_t span, rows;         /* channels and lines of the grid of a task, at most */
    ptrdiff_t spans, bands, d;    /* tasks along these two, and along the depth: each or all */
    bool copies, buffers;         /* inputs are not read in place, and outputs not written */
    bool hints;                   /* x and y are large, and read and written in place */
    ptrdiff_t planes;             /* of inputs that are copied at once, */
    ptrdiff_t x_line, x_plane;    /* of the copy, */
    ptrdiff_t y_line;             /* and of the buffer */
    ptrdiff_t copy_bytes, buffer_bytes, table_bytes;
};

struct state {
    const struct tc_job *job;
    const struct layout *layout;
    struct tc_image x, y;     /* the job's, or the copy and the buffer; */
    ptrdiff_t x_from, y_from; /* from their beginning to the task's first channel at position 0 */
    ptrdiff_t n;
    struct tc_range channels;
    struct tc_phase phase[TC_SPATIAL];
    struct tc_taps taps[TC_SPATIAL];
    int reach;           /* kernel lines at once */
    struct tc_run depth; /* the taps of depth that count */
    ptrdiff_t d;         /* grid points along the depth and the height */
    struct tc_range lines;
    const void *weights;
    void *bias;
    struct tc_line_tap *tap;
    struct tc_line_sheet *sheet;
    bool *extra; /* of a sheet: whether it has the taps of the width that come last */
};

/* ---- booking ---- */

/* Planes of inputs that a depth of outputs meets, at most, those between them included. */
static ptrdiff_t planes_met(const struct tc_axis *depth)
{
    return tc_max(tc_lattice_met(depth, 1), 1);
}

/* Whether the inputs and outputs of one line of the grid are few enough to be transposed. */
static bool fits(const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const double vector = (double)job->kernels->lanes * job->kernels->bytes;
    const double inputs = (double)axis[TC_W].in * (double)tc_lattice_met(&axis[TC_H], 1) *
                          (double)planes_met(&axis[TC_D]);
    const double outputs = (double)axis[TC_W].out * (double)axis[TC_H].out_step;
    return vector * inputs <= MOST_COPY_BYTES && vector * outputs <= MOST_COPY_BYTES;
}

/* Whether the inputs that a strip's pixel meets have room in the first cache, but pixels lie a
 * power of two apart and push each other out: a copy whose lines have another length pays then,
 * unless taps step over most of it. */
static bool aliases(const struct tc_job *job)
{
    const struct tc_axis *const height = &job->lattice.axis[TC_H];
    const struct tc_axis *const width = &job->lattice.axis[TC_W];
    const ptrdiff_t pitch = job->x.axis[TC_W] * job->kernels->bytes;
    const ptrdiff_t step = tc_clamp(pitch & -pitch, TC_ALIGN, TC_ALIAS_BYTES);
    const ptrdiff_t met =
        tc_lattice_met(height, TC_MAX_LINES) * tc_phase_at(width, 0).taps; /* lines of the cache */
    const ptrdiff_t room = ALIAS_LINES * (TC_ALIAS_BYTES / step);
    const ptrdiff_t all = ALIAS_LINES * (TC_ALIAS_BYTES / TC_ALIGN);
    return height->in_step == 1 && width->in_step == 1 && met <= all && 5 * met > 8 * room &&
           fits(job);
}

/* Whether a convolution's inputs and outputs are transposed in less time than lines needs more: it
 * splits inputs by the stride, element by element unless that is 2 or 4, leaves most lanes of a
 * short line empty, and takes some kernels one line at a time. */
static bool small_pays(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const struct tc_axis *const height = &job->lattice.axis[TC_H];
    const struct tc_phase phase = tc_phase_at(height, 0);
    const ptrdiff_t step = p->s[TC_W], kernel = p->k[TC_W], out = p->o[TC_W];
    const bool lone = p->k[TC_H] > 1 && tc_lines_reach(height, &phase) == 1;
    if (kernel == 1) {
        return false;
    }
    if (step == 1) {
        return 4 * out < job->kernels->lanes ||
               (lone && kernel >= LONG_KERNEL && out < SHORT_OUTPUTS);
    }
    return (step != 2 && step != 4) || out < SHORT_OUTPUTS;
}

/* Inputs of the shortest line that `weave` does better, whose time goes to vectors that are not
 * full: unless channels of y meet in one set of the first cache, these are more for more taps. */
static ptrdiff_t woven_line(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t kernel = tc_max(p->k[TC_H], p->k[TC_W]);
    const bool meet = p->o[TC_H] * p->o[TC_W] * job->kernels->bytes % TC_ALIAS_BYTES == 0;
    if (p->i[TC_D] * p->i[TC_H] == 1) {
        return WOVEN_LONG;
    }
    return kernel <= 2 ? WOVEN_SHORT : kernel <= 4 || meet ? WOVEN : WOVEN_LONG;
}

/* The same of transposed convolutions: direct, and weave where it does not sum both phases of lines
 * in registers, write each phase by itself, but direct does well where all phases have as many
 * taps.
 */
static bool large_pays(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const bool woven = tc_weave_takes(job) && tc_weave_unrolls(job);
    if (woven && job->x.axis[TC_W] == 1 && job->y.axis[TC_W] == 1 &&
        p->i[TC_W] >= woven_line(job)) {
        return false;
    }
    if (p->i[TC_D] * p->i[TC_H] == 1) {
        return p->i[TC_W] < LONG_LINE;
    }
    return woven || p->k[TC_W] % p->s[TC_W] != 0 ||
           p->i[TC_W] < (p->i[TC_D] == 1 ? SHORT_LINE : SHORT_LINE / 2);
}

/* Whether a transposition pays. It always does where a stride meets a dilation: direct takes none
 * of that, weave little, and gather's lanes are the channels of one group. */
static bool pays(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t lanes = job->kernels->lanes;
    const bool strided = tc_has_stride(p);
    if (strided && p->operation->contraction == TC_LARGE_FROM_SMALL) {
        return !tc_cells_fit(p) || (p->g >= lanes && large_pays(job));
    }
    return 5 * p->g >= 4 * tc_round_up(p->g, lanes) && small_pays(job);
}

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    if (!tc_is_depthwise(problem)) {
        return "it is for depthwise layers";
    }
    if (!job->forced && 4 * problem->g < job->kernels->lanes) {
        return "the channels are too few for lanes";
    }
    if (!job->forced && (job->x.c != 1 || job->y.c != 1) && !(pays(job) && fits(job))) {
        return "transposing what does not lie channel by channel would take longer";
    }
    return NULL;
}

/* Sheets of a strip, at most: each column of kernel lines, with the taps of the width in two parts.
 */
static bool count_sheets(const struct tc_job *job, ptrdiff_t *count)
{
    return tc_mul(job->problem->k[TC_D], 2 * job->problem->k[TC_H], count);
}

static ptrdiff_t table_bytes(const struct tc_job *job)
{
    const ptrdiff_t sheet_bytes = (ptrdiff_t)sizeof(struct tc_line_sheet) + (ptrdiff_t)sizeof(bool);
    ptrdiff_t sheets = 0, taps = 0;
    const bool fits = count_sheets(job, &sheets) && tc_mul(sheets, sheet_bytes, &sheets) &&
                      tc_mul(job->problem->k[TC_W], (ptrdiff_t)sizeof(struct tc_line_tap), &taps) &&
                      tc_add(sheets, taps, &taps);
    return fits ? taps : PTRDIFF_MAX / 2;
}

/* Lays out the copy and the buffer of a task, which takes fewer lines if they are too long. */
static void set_copies(struct layout *layout, const struct tc_job *job)
{
    const struct tc_axis *const height = &job->lattice.axis[TC_H];
    const struct tc_axis *const width = &job->lattice.axis[TC_W];
    const ptrdiff_t bytes = job->kernels->bytes;
    layout->x_line = tc_odd_lines(job->kernels, width->in * layout->span);
    layout->y_line = tc_odd_lines(job->kernels, width->out * layout->span);
    while (true) {
        const ptrdiff_t lines = layout->rows * height->out_step;
        layout->x_plane = layout->x_line * tc_lattice_met(height, layout->rows);
        layout->copy_bytes = layout->copies ? layout->x_plane * layout->planes * bytes : 0;
        layout->buffer_bytes = layout->buffers ? layout->y_line * lines * bytes : 0;
        if (layout->rows == 1 ||
            (layout->copy_bytes <= COPY_BYTES && layout->buffer_bytes <= MOST_COPY_BYTES)) {
            return;
        }
        layout->rows = tc_ceil_div(layout->rows, 2);
    }
}

/* Channels of a task whose inputs or outputs are transposed: so many that both fit, if one
 * vector does not need more, and that there are tasks for all threads. Takes all depths at once, if
 * their inputs fit. */
static void set_span(struct layout *layout, const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t plane = tc_max(axis[TC_H].in * axis[TC_W].in, 1), lanes = job->kernels->lanes;
    const ptrdiff_t most = COPY_BYTES / job->kernels->bytes;
    const bool all = axis[TC_D].in <= most / lanes / plane;
    const ptrdiff_t tasks = tc_max(2 * job->threads / tc_max(job->problem->n, 1), 1);
    layout->d = all ? 1 : axis[TC_D].out;
    layout->planes = all ? tc_max(axis[TC_D].in, 1) : planes_met(&axis[TC_D]);
    const ptrdiff_t line = tc_max(axis[TC_W].out * axis[TC_H].out_step, 1);
    const ptrdiff_t fit =
        tc_min(most / plane / layout->planes, MOST_COPY_BYTES / job->kernels->bytes / line);
    layout->span = tc_min(layout->span, tc_min(fit, tc_ceil_div(job->problem->g, tasks)));
    layout->span = tc_max(layout->span / lanes * lanes, lanes);
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
    layout.d = axis[TC_D].out;
    layout.copies = job->x.c != 1 || aliases(job);
    layout.buffers = job->y.c != 1;
    const ptrdiff_t volume = tc_input_volume(problem) + tc_output_volume(problem);
    const ptrdiff_t cache = job->cpu->l3_bytes / bytes;
    layout.hints = !layout.copies && !layout.buffers && volume > cache / 5 * 4 &&
                   axis[TC_H].out > 1 && tc_lattice_points(&axis[TC_W]) >= 6 * PIXELS_AHEAD;
    const ptrdiff_t fit = WEIGHT_BYTES / bytes / tc_kernel_volume(job->problem) / lanes * lanes;
    layout.span = tc_min(tc_max(fit, 4 * lanes), problem->g);
    if (layout.copies || layout.buffers) {
        set_span(&layout, job);
    }
    layout.spans = tc_ceil_div(problem->g, layout.span);
    layout.span = tc_round_up(tc_ceil_div(problem->g, layout.spans), lanes);
    layout.spans = tc_ceil_div(problem->g, layout.span);
    const ptrdiff_t grid = tc_lattice_points(&axis[TC_H]);
    const ptrdiff_t line = tc_max(axis[TC_W].out * axis[TC_H].out_step * layout.span * bytes, 1);
    layout.rows = tc_round_up(tc_max(TASK_BYTES / line, 1), TC_MAX_LINES);
    layout.rows = tc_max(tc_min(layout.rows, grid), 1);
    set_copies(&layout, job);
    layout.bands = tc_max(tc_ceil_div(grid, layout.rows), 1);
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
    const bool fits =
        tc_mul(layout.pitch * bytes, tc_kernel_volume(job->problem), &job->packed_bytes);
    job->packed_bytes = fits ? job->packed_bytes : PTRDIFF_MAX / 2;
    job->thread_bytes = layout.copy_bytes + layout.buffer_bytes +
                        tc_round_up(layout.span * bytes + layout.table_bytes, TC_ALIGN);
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
    memset(packed, 0, (size_t)(pitch * tc_kernel_volume(job->problem) * bytes));
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

/* In the order of their sums. */
static struct tc_taps taps_of(const struct state *s, int a)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[a];
    const struct tc_phase *const phase = &s->phase[a];
    return s->layout->backwards ? tc_taps_ascending(axis, phase)
                                : (struct tc_taps){phase->taps, phase->offset, axis->offset_step,
                                                   phase->k, axis->k_step};
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

/* The taps of the width that a run has, and which of them each sheet has. */
static void list_taps(const struct state *s, struct tc_range range, ptrdiff_t sheets)
{
    const struct tc_taps *const taps = &s->taps[TC_W];
    const ptrdiff_t count = tc_range_length(range);
    const ptrdiff_t common = tc_clamp(s->layout->common[TC_W] - range.begin, 0, count);
    for (ptrdiff_t j = range.begin; j < range.end; j++) {
        s->tap[j - range.begin].x = (taps->offset + j * taps->step) * s->x.axis[TC_W];
    }
    for (ptrdiff_t m = 0; m < sheets; m++) {
        s->sheet[m].first_tap = s->extra[m] ? common : 0;
        s->sheet[m].last_tap = s->extra[m] ? count : common;
    }
}

/* The sheet of kernel depth kd and kernel lines from kh on, but for its taps of the width. */
static struct tc_line_sheet sheet_at(const struct state *s, ptrdiff_t kd, ptrdiff_t kh)
{
    const struct tc_image *const x = &s->x;
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct tc_taps *const depth = &s->taps[TC_D], *const height = &s->taps[TC_H];
    const ptrdiff_t *const k = s->job->problem->k;
    const ptrdiff_t d = axis[TC_D].in_step * s->d + depth->offset + kd * depth->step;
    const struct tc_met_lines met = {.height = &axis[TC_H],
                                     .reach = s->reach,
                                     .first = axis[TC_H].in_step * s->lines.begin + height->offset +
                                              kh * height->step,
                                     .lines = tc_range_length(s->lines),
                                     .origin = d * x->axis[TC_D],
                                     .line = x->axis[TC_H]};
    const ptrdiff_t lines = (depth->k + kd * depth->k_step) * k[TC_H] + height->k;
    struct tc_line_sheet sheet = {.w = (lines + kh * height->k_step) * k[TC_W] * s->layout->pitch};
    tc_set_lines(&sheet, &met);
    return sheet;
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
    const struct tc_range reached = taps_in(s, TC_D, &s->depth);
    ptrdiff_t count = 0;
    for (int bits = 0; bits < 1 << TC_SPATIAL; bits++) {
        const struct tc_range d = taps_of_box(s, TC_D, bits), h = taps_of_box(s, TC_H, bits);
        const struct tc_range w = taps_of_box(s, TC_W, bits);
        const ptrdiff_t last = tc_min(d.end, reached.end);
        for (ptrdiff_t kd = tc_max(d.begin, reached.begin); kd < last && w.begin < w.end; kd++) {
            for (ptrdiff_t kh = h.begin; kh < h.end; kh += s->reach, count++) {
                s->sheet[count] = sheet_at(s, kd, kh);
                s->extra[count] = bits >> TC_W & 1;
            }
        }
    }
    return count;
}

/* ---- strips ---- */

/* Has the kernel bring closer what pixels a little further on read and write. Phases read the same
 * inputs, so the first of them asks for those. */
static void set_hints(const struct state *s, struct tc_lines *lines)
{
    const ptrdiff_t step = s->job->lattice.axis[TC_W].in_step;
    const bool first = s->phase[TC_H].start == 0 && s->phase[TC_W].start == 0;
    for (ptrdiff_t m = 0; m < lines->sheets && first; m++) {
        s->sheet[m].hints = (int)step;
    }
    lines->x_next_channel = lines->x_channel;
    lines->x_next_tap = s->x.axis[TC_W];
    lines->x_next_column = 1;
    lines->x_next_line = s->x.axis[TC_H];
    lines->y_next = PIXELS_AHEAD * lines->y_channel;
}

/* Where the new lines of the inputs that the strip meets begin, so many pixels on. */
static const void *next_inputs(const struct state *s, ptrdiff_t pixel)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct tc_range met = tc_lattice_inputs(&axis[TC_H], s->lines);
    const ptrdiff_t line = met.end - tc_range_length(s->lines) * axis[TC_H].in_step;
    const ptrdiff_t at = line * s->x.axis[TC_H] + pixel * axis[TC_W].in_step * s->x.axis[TC_W];
    return tc_at(s->x.data, s->x_from + at, s->job->kernels->bytes);
}

/* How many lines a strip takes at most: fewer where the lines of inputs that they meet would push
 * each other out of the cache. */
static ptrdiff_t most_lines(const struct state *s)
{
    const ptrdiff_t pitch = s->x.axis[TC_H] * s->job->kernels->bytes;
    const struct tc_axis *const height = &s->job->lattice.axis[TC_H];
    const ptrdiff_t met = tc_lines_met(height, s->reach, TC_MAX_LINES);
    return pitch % TC_ALIAS_BYTES == 0 && met > ALIAS_LINES ? 4 : TC_MAX_LINES;
}

/* Up to seven lines of one phase, run by run of the width. */
static void run_strip(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct layout *const layout = s->layout;
    const struct tc_image *const x = &s->x, *const y = &s->y;
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tc_taps *const height = &s->taps[TC_H], *const width = &s->taps[TC_W];
    const ptrdiff_t bytes = job->kernels->bytes, c = s->channels.begin;
    ptrdiff_t to = s->y_from + s->phase[TC_W].start * y->axis[TC_W];
    to += (s->phase[TC_D].start + axis[TC_D].out_step * s->d) * y->axis[TC_D];
    to += (s->phase[TC_H].start + axis[TC_H].out_step * s->lines.begin) * y->axis[TC_H];
    struct tc_lines lines = {
        .outputs = 1,
        .columns = tc_range_length(s->channels),
        .sheets = list_sheets(s),
        .lines = (int)tc_range_length(s->lines),
        .reach = s->reach,
        .step = tc_kernel_step(&axis[TC_H], s->reach),
        .x_channel = axis[TC_W].in_step * x->axis[TC_W],
        .x_line = tc_met_pitch(&(struct tc_met_lines){
            .height = &axis[TC_H], .reach = s->reach, .line = x->axis[TC_H]}),
        .sheet = s->sheet,
        .tap = s->tap,
        .w_line = height->k_step * job->problem->k[TC_W] * layout->pitch,
        .w_tap = width->k_step * layout->pitch,
        .bias = job->problem->bias ? s->bias : NULL,
        .y_channel = axis[TC_W].out_step * y->axis[TC_W],
        .y_line = axis[TC_H].out_step * y->axis[TC_H],
    };
    if (layout->hints) {
        set_hints(s, &lines);
    }
    struct tc_run run;
    for (ptrdiff_t j = 0; j < s->phase[TC_W].count; j = run.end) {
        run = tc_run_at(&axis[TC_W], &s->phase[TC_W], j);
        const struct tc_range taps = taps_in(s, TC_W, &run);
        const ptrdiff_t w = (width->k + taps.begin * width->k_step) * layout->pitch + c;
        list_taps(s, taps, lines.sheets);
        lines.channels = run.end - j;
        lines.x = tc_at(x->data, s->x_from + j * lines.x_channel, bytes);
        lines.x_next = layout->hints ? next_inputs(s, j + PIXELS_AHEAD) : NULL;
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
        s->lines = tc_next_strip(rows, s->lines.begin, most_lines(s));
        run_strip(s);
    }
}

/* ---- tasks ---- */

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

/* A plane of the task's channels between [channel][h][w] and [h][w][channel], line by line or at
 * once. */
static void transpose_plane(const struct state *s, ptrdiff_t lines, ptrdiff_t width,
                            const struct tc_image *to, void *dst, const struct tc_image *from,
                            const void *src)
{
    const ptrdiff_t bytes = s->job->kernels->bytes;
    const bool flat =
        to->axis[TC_H] == width * to->axis[TC_W] && from->axis[TC_H] == width * from->axis[TC_W];
    const ptrdiff_t pixels = flat ? lines * width : width;
    for (ptrdiff_t h = 0; h < (flat ? 1 : lines); h++) {
        const struct tc_matrix a = {tc_at(dst, h * to->axis[TC_H], bytes), to->c, to->axis[TC_W]};
        const struct tc_matrix b = {tc_at(src, h * from->axis[TC_H], bytes), from->c,
                                    from->axis[TC_W]};
        tc_copy_far(s->job->kernels, tc_range_length(s->channels), pixels, a, b,
                    (struct tc_far){from->far, to->far});
    }
}

/* Takes the inputs of these depths of outputs and lines of the grid, in place or as a copy. */
static void take_inputs(struct state *s, struct tc_range od, struct tc_range rows, void *copy)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct layout *const layout = s->layout;
    const struct tc_image *const x = &s->job->x;
    const ptrdiff_t first = s->n * x->n + s->channels.begin * x->c;
    s->x = *x;
    s->x_from = first;
    if (layout->copies) {
        const ptrdiff_t step = axis[TC_D].out_step;
        const struct tc_range depths = {od.begin / step, tc_ceil_div(od.end, step)};
        const struct tc_range d = tc_lattice_inputs(&axis[TC_D], depths);
        const struct tc_range h = tc_lattice_inputs(&axis[TC_H], rows);
        s->x = (struct tc_image){
            .data = copy, .c = 1, .axis = {layout->x_plane, layout->x_line, layout->span}};
        s->x_from = -d.begin * layout->x_plane - h.begin * layout->x_line;
        for (ptrdiff_t i = d.begin; i < d.end; i++) {
            const ptrdiff_t from = first + i * x->axis[TC_D] + h.begin * x->axis[TC_H];
            const ptrdiff_t to = (i - d.begin) * layout->x_plane, bytes = s->job->kernels->bytes;
            transpose_plane(s, tc_range_length(h), axis[TC_W].in, &s->x, tc_at(copy, to, bytes), x,
                            tc_at(x->data, from, bytes));
        }
    }
}

/* Takes room for the lines oh of outputs, in place or in a buffer. */
static void take_outputs(struct state *s, struct tc_range oh, void *buffer)
{
    const struct tc_image *const y = &s->job->y;
    s->y = *y;
    s->y_from = s->n * y->n + s->channels.begin * y->c;
    if (s->layout->buffers) {
        s->y = (struct tc_image){
            .data = buffer, .c = 1, .axis = {0, s->layout->y_line, s->layout->span}};
        s->y_from = -oh.begin * s->layout->y_line;
    }
}

/* Writes them to y, if they are not there yet. */
static void write_outputs(const struct state *s, ptrdiff_t od, struct tc_range oh)
{
    const struct tc_image *const y = &s->job->y;
    const ptrdiff_t to =
        s->n * y->n + s->channels.begin * y->c + od * y->axis[TC_D] + oh.begin * y->axis[TC_H];
    if (s->layout->buffers) {
        transpose_plane(s, tc_range_length(oh), s->job->lattice.axis[TC_W].out, y,
                        tc_at(y->data, to, s->job->kernels->bytes), &s->y, s->y.data);
    }
}

/* The lines of the grid `rows` at one depth of outputs. */
static void run_depth(struct state *s, ptrdiff_t od, struct tc_range rows, void *buffer)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct tc_range oh = {rows.begin * axis[TC_H].out_step,
                                tc_min(rows.end * axis[TC_H].out_step, axis[TC_H].out)};
    s->phase[TC_D] = tc_phase_at(&axis[TC_D], od % axis[TC_D].out_step);
    s->d = od / axis[TC_D].out_step;
    s->depth = tc_run_at(&axis[TC_D], &s->phase[TC_D], s->d);
    take_outputs(s, oh, buffer);
    for (ptrdiff_t h = 0; h < axis[TC_H].phases; h++) {
        s->phase[TC_H] = tc_phase_at(&axis[TC_H], h);
        for (ptrdiff_t w = 0; w < axis[TC_W].phases; w++) {
            s->phase[TC_W] = tc_phase_at(&axis[TC_W], w);
            run_phase(s, rows);
        }
    }
    write_outputs(s, od, oh);
}

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct layout *const layout = &run->layout;
    const struct tc_job *const job = run->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t span = task % layout->spans, rest = task / layout->spans;
    const struct tc_range rows =
        tc_share_of(tc_lattice_points(&axis[TC_H]), rest % layout->bands, layout->bands);
    const struct tc_range od =
        tc_share_of(axis[TC_D].out, rest / layout->bands % layout->d, layout->d);
    struct state s = {.job = job, .layout = layout, .weights = job->packed};
    s.n = rest / layout->bands / layout->d;
    s.channels.begin = span * layout->span;
    s.channels.end = tc_min(s.channels.begin + layout->span, job->problem->g);
    char *const copy = run->scratch + thread * job->thread_bytes;
    char *const buffer = copy + layout->copy_bytes;
    s.bias = buffer + layout->buffer_bytes;
    s.tap = (struct tc_line_tap *)tc_at(s.bias, layout->span, job->kernels->bytes);
    const ptrdiff_t sheets = 2 * job->problem->k[TC_D] * job->problem->k[TC_H];
    s.sheet = (struct tc_line_sheet *)(s.tap + job->problem->k[TC_W]);
    s.extra = (bool *)(s.sheet + sheets);
    if (job->problem->bias) {
        tc_copy_bias(job, s.channels.begin, tc_range_length(s.channels), s.bias);
    }
    take_inputs(&s, od, rows, copy);
    for (ptrdiff_t d = od.begin; d < od.end; d++) {
        run_depth(&s, d, rows, buffer);
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
