/* SPDX-License-Identifier: BSD-3-Clause */
/* lines: lanes are outputs along the width, for groups of few channels (depthwise).
 *
 * Where there is one phase, every output of a line meets the same taps, each at a shift,
 *
 *     y[co][oh][v] = sum over ci, kh, kw of
 *         x[ci][s*oh + d*kh - p][s*v + d*kw - p] * w[co][ci][kh][kw],
 *
 * so a vector of outputs is a sum of shifted vectors of inputs, each times one weight. The inputs
 * are read in place: a vector is loaded once for each kw and goes to all the lines of outputs that
 * it meets through some kh. Lines that lie in the padding are left out, and at the ends of a line
 * so are the lanes whose tap meets the padding: no padding zero is read.
 *
 *     for block (image, groups, depth, some lines of outputs, or a piece of long ones: a task)
 *      for strip of up to 7 lines, or 14
 *       copy the lines of inputs that it meets, if they cannot be read in place
 *       the kernel `lines`, over all groups of the block
 *       write the buffer to y, if its lines are not contiguous
 *
 * With a stride along the width, s*v + d*kw - p = s*(v + q) + r, where q and r are of the tap
 * alone. So the copy puts the inputs that leave a remainder r of s side by side: a tap is a shift
 * again. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

enum {
    POINTS = 8192,             /* outputs of a channel in a task, about, */
    MOST_POINTS = 32768,       /* if inputs are read in place and there are tasks enough */
    PRODUCTS = 72,             /* of a position in a group, if there are no more */
    LEAST_LINES = 14,          /* of a task: parts of strips take as long as whole ones */
    MOST_COLUMNS = 16384,      /* of a line, at once, */
    LEAST_COLUMNS = 64,        /* but if the copied inputs are too much: so many */
    SPAN_BYTES = 24 << 10,     /* of a strip's copied inputs, if one group does not need more, */
                               /* or of the x and y that it meets in place; */
    STRIP_BYTES = 256 << 10,   /* if one line does not need more */
    STEP_COLUMNS = 512,        /* of a line, or all if they are fewer, */
    MOST_STEP_BYTES = 2 << 20, /* whose inputs lie so far apart, at most */
    CACHE_SHARE = 4,           /* of the last cache, for x and y that lie there already */
    PAIRS = 24,               /* of input and output channel in a group of all channels, at most, */
    PAIRS_OF_TWO = 128,       /* with two output channels, */
    STRIDED_PAIRS = 64,       /* one or two, with a stride along the width and one of depth, */
    LONE_PAIRS = 4,           /* and if kernel lines go one at a time; */
    SHARED_PAIRS = 64,        /* if outputs share inputs, at stride 1, and a strip of these */
    SHARED_BYTES = 32 << 10,  /* is so small that planes gains nothing by reading them once, */
    THREES_SHEETS = 400,      /* or if three do: sheets of a kernel's lines for all outputs, */
    MOST_SHEETS = 128,        /* and for one; or one to three outputs, */
    LONG_VECTORS = 4,         /* if their lines are as long as that; */
    GROUP_PAIRS = 64,         /* else in one of several groups, */
    GROUP_STRIDED_PAIRS = 32, /* with a stride, */
    LONE_STRIDED_PAIRS = 16,  /* and with lone kernel lines; */
    LONE_SUMS_1D = 12,        /* products of an output, if these are lone and the stride is 1, */
    LONE_SUMS_2D = 36         /* and the kernel has more axes */
};

/* What the blocks of a job share. */
struct layout {
    struct tc_taps taps[TC_SPATIAL];
    int reach;                      /* kernel lines at once */
    ptrdiff_t lines;                /* of a strip, at most */
    ptrdiff_t span, rows;           /* groups and lines of outputs of a task */
    ptrdiff_t columns;              /* of a line at once */
    ptrdiff_t spans, bands, pieces; /* tasks along these */
    bool copies, buffers;           /* x, and y, has no contiguous lines */
    bool hints;                     /* they are too large to lie in the cache already */
    ptrdiff_t pitch, line, slice,
        channel;         /* of the copy: from a remainder to the next, and so on */
    ptrdiff_t out_pitch; /* of the buffer's lines */
    ptrdiff_t sheets;    /* (ci, kd, some kh), at most */
    ptrdiff_t copy_bytes, buffer_bytes, table_bytes;
};

/* A strip at work. */
struct state {
    const struct tc_job *job;
    const struct layout *layout;
    ptrdiff_t n, d;
    struct tc_range groups, lines; /* of outputs */
    struct tc_range input;         /* lines of inputs that it meets */
    struct tc_range columns;       /* of a line of outputs */
    struct tc_range inputs;        /* of a line of inputs; it begins at a multiple of the step */
    void *copy, *buffer;
    struct tc_line_tap *tap;
    struct tc_line_sheet *sheet;
    bool inner; /* all lines that the listed sheets meet are there, as in each inner strip */
};

/* ---- booking ---- */

/* The taps of an axis without phases: output j reads in_step*j + offset + i*step. */
static struct tc_taps all_taps(const struct tc_axis *axis)
{
    const struct tc_phase phase = tc_phase_at(axis, 0);
    return tc_taps_ascending(axis, &phase);
}

/* Lines of inputs that `lines` of outputs meet, at most. */
static ptrdiff_t met_lines(const struct tc_job *job, ptrdiff_t lines)
{
    const struct tc_axis *const axis = &job->lattice.axis[TC_H];
    return tc_lattice_met(axis, tc_max(tc_min(lines, axis->out), 1));
}

/* The most kernel lines that the kernel takes at once and that divide the kernel's height. */
static int reach_of(const struct tc_axis *axis, const struct tc_taps *taps)
{
    static const struct {
        int reach, step;
    } known[] = {{7, 1}, {5, 1}, {5, 2}, {4, 2}, {3, 1}, {3, 2}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (taps->step == 1 && axis->in_step == known[i].step &&
            taps->count % known[i].reach == 0) {
            return known[i].reach;
        }
    }
    return 1;
}

/* The inputs of a line that these outputs of it meet, from a multiple of the step on. */
static struct tc_range inputs_of(const struct tc_axis *axis, struct tc_range columns)
{
    struct tc_range inputs = tc_lattice_inputs(axis, columns);
    inputs.begin -= inputs.begin % axis->in_step;
    return inputs;
}

/* As many inputs as any piece of a line meets, or more. */
static ptrdiff_t most_inputs(const struct tc_job *job, const struct layout *layout)
{
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    const struct tc_taps *const taps = &layout->taps[TC_W];
    if (layout->columns >= axis->out) {
        return axis->in;
    }
    const ptrdiff_t reach = (taps->count - 1) * taps->step + axis->in_step;
    return tc_min(axis->in, axis->in_step * (layout->columns - 1) + reach);
}

/* Lays the copy out; returns its bytes for strips of `lines` lines, PTRDIFF_MAX if they cannot be
 * counted. */
static ptrdiff_t lay_copy(const struct tc_job *job, struct layout *layout, ptrdiff_t lines)
{
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    const ptrdiff_t ci = tc_group_ci(job->problem);
    ptrdiff_t bytes = job->kernels->bytes;
    const ptrdiff_t part = tc_ceil_div(most_inputs(job, layout), axis->in_step);
    const ptrdiff_t line = TC_ALIGN / job->kernels->bytes;
    /* parts of two lines of the cache are not yet so far apart that they meet there */
    layout->pitch = part <= 2 * line ? tc_round_up(part, line) : tc_odd_lines(job->kernels, part);
    const bool fits = tc_mul(layout->pitch, tc_min(axis->in_step, axis->in), &layout->line) &&
                      tc_mul(layout->line, met_lines(job, lines), &layout->slice) &&
                      tc_mul(layout->slice, layout->taps[TC_D].count, &layout->channel) &&
                      tc_mul(bytes, layout->channel, &bytes) && tc_mul(bytes, ci, &bytes) &&
                      tc_mul(bytes, layout->span, &bytes);
    return fits ? bytes : PTRDIFF_MAX / 2;
}

/* Bytes of x and y that a strip of one group meets. */
static ptrdiff_t met_bytes(const struct tc_job *job, const struct layout *layout)
{
    const struct tc_problem *const p = job->problem;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t depth = tc_min(layout->taps[TC_D].count, axis[TC_D].in);
    const ptrdiff_t inputs = tc_group_ci(p) * depth * met_lines(job, layout->lines) * axis[TC_W].in;
    const ptrdiff_t lines = tc_min(layout->lines, tc_max(p->o[TC_H], 1));
    return (inputs + tc_group_co(p) * lines * tc_max(p->o[TC_W], 1)) * job->kernels->bytes;
}

/* Outputs of a channel in a task, at least: fewer where each takes many products. */
static ptrdiff_t least_points(const struct tc_problem *p)
{
    const double products =
        (double)tc_group_ci(p) * (double)tc_group_co(p) * (double)tc_kernel_volume(p);
    return products > PRODUCTS ? (ptrdiff_t)(PRODUCTS / products * POINTS) : POINTS;
}

/* Groups of a task that reads x in place, and its outputs of a channel. One call of the kernel sums
 * a strip of all its groups, so these are many, but no more than let a strip find the lines that it
 * shares with the one before in the first cache. */
static ptrdiff_t span_in_place(const struct tc_job *job, const struct layout *layout,
                               ptrdiff_t *points)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t plane = tc_max(p->o[TC_W], 1) * tc_max(p->o[TC_H], 1);
    const ptrdiff_t tasks = tc_group_co(p) * job->threads * TC_TASKS_PER_THREAD;
    const ptrdiff_t least = *points, fair = tc_output_volume(p) / tasks;
    *points = tc_clamp(fair, least, MOST_POINTS);
    return tc_max(tc_min(*points / plane, SPAN_BYTES / met_bytes(job, layout)), least / plane);
}

/* Groups of a task that copies them: as many as leave room in the first cache for the inputs that
 * are copied and for the outputs, two if that is enough for two, or many small ones. */
static ptrdiff_t span_of_copies(const struct tc_job *job, struct layout *layout)
{
    const ptrdiff_t copied = lay_copy(job, layout, layout->lines), most = SPAN_BYTES / copied;
    const ptrdiff_t all = copied + met_bytes(job, layout), cache = job->cpu->l1_bytes;
    return all < cache / 8 ? most : tc_min(most, tc_max(cache / 4 * 3 / all, 2));
}

/* So many bands of lines, or a few more if there are few tasks, which do not come out even among
 * the threads. */
static ptrdiff_t even_bands(const struct tc_job *job, const struct layout *layout, ptrdiff_t bands)
{
    const ptrdiff_t *const out = job->problem->o;
    const ptrdiff_t tasks = job->problem->n * layout->spans * out[TC_D] * layout->pieces * bands;
    const ptrdiff_t more = tc_round_up(bands, job->threads);
    const bool few = tasks < job->threads * TC_TASKS_PER_THREAD;
    return few && bands > 1 && tasks % job->threads != 0 && out[TC_H] >= more * TC_MAX_LINES
               ? more
               : bands;
}

/* Makes a strip's copied inputs about half as many, by its columns, then its groups where channels
 * lie side by side and still fill vectors, then its lines; returns whether it could. */
static bool copy_less(const struct tc_job *job, struct layout *layout, bool by_channels)
{
    const ptrdiff_t channels = layout->span * tc_group_ci(job->problem);
    if (layout->columns > LEAST_COLUMNS) {
        layout->columns = tc_ceil_div(layout->columns, 2);
    } else if (by_channels && layout->span > 1 && channels > job->kernels->lanes) {
        layout->span /= 2;
    } else if (layout->lines > 1) {
        layout->lines = layout->lines > 4 ? 4 : 1;
    } else {
        return false;
    }
    return true;
}

/* Cuts the job into tasks of some groups and lines, and those into strips. */
static void cut(const struct tc_job *job, struct layout *layout)
{
    const ptrdiff_t *const out = job->problem->o;
    const ptrdiff_t width = tc_max(out[TC_W], 1), height = tc_max(out[TC_H], 1);
    const ptrdiff_t lanes = job->kernels->lanes, groups = job->problem->g;
    /* channels that lie side by side are transposed by whole vectors */
    const bool by_channels = job->x.axis[TC_W] != 1 || job->y.axis[TC_W] != 1;
    const ptrdiff_t least = tc_min(by_channels ? lanes : 1, groups);
    const bool tall = layout->reach == 3 && job->lattice.axis[TC_H].in_step == 1 &&
                      tc_group_co(job->problem) == 1;
    layout->lines = tall && !layout->copies ? job->kernels->tall_lines : TC_MAX_LINES;
    layout->columns = tc_min(width, MOST_COLUMNS);
    layout->span = 1;
    ptrdiff_t points = least_points(job->problem), span;
    if (layout->copies) {
        span = tc_min(POINTS / width / height, span_of_copies(job, layout));
    } else {
        span = span_in_place(job, layout, &points);
    }
    layout->span = tc_clamp(span, least, groups);
    if (by_channels && layout->span < groups) {
        layout->span = layout->span / lanes * lanes;
    }
    bool less = layout->copies;
    while (less && lay_copy(job, layout, layout->lines) > STRIP_BYTES) {
        less = copy_less(job, layout, by_channels);
    }
    layout->rows = tc_max(points / width / layout->span, LEAST_LINES);
    layout->rows = tc_round_up(layout->rows, layout->lines);
    layout->spans = tc_ceil_div(groups, layout->span);
    layout->pieces = tc_ceil_div(width, layout->columns);
    layout->columns = tc_min(tc_round_up(tc_ceil_div(width, layout->pieces), lanes), width);
    layout->pieces = tc_ceil_div(width, layout->columns);
    layout->bands = even_bands(job, layout, tc_max(height / layout->rows, 1));
}

static struct layout layout_of(const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t bytes = job->kernels->bytes;
    struct layout layout = {.copies = job->x.axis[TC_W] != 1 || axis[TC_W].in_step != 1,
                            .buffers = job->y.axis[TC_W] != 1};
    const ptrdiff_t volume = tc_input_volume(job->problem) + tc_output_volume(job->problem);
    const bool in_order =
        !layout.copies && (axis[TC_H].out == 1 || 2 * axis[TC_W].out < job->kernels->lanes);
    layout.hints = volume > job->cpu->l3_bytes / CACHE_SHARE / bytes && job->x.axis[TC_W] == 1 &&
                   !layout.buffers && !in_order;
    for (int a = 0; a < TC_SPATIAL; a++) {
        layout.taps[a] = all_taps(&axis[a]);
    }
    layout.reach = reach_of(&axis[TC_H], &layout.taps[TC_H]);
    cut(job, &layout);
    const ptrdiff_t chunks = layout.taps[TC_H].count / layout.reach;
    const ptrdiff_t tap_bytes = (ptrdiff_t)sizeof(struct tc_line_tap);
    const ptrdiff_t sheet_bytes = (ptrdiff_t)sizeof(struct tc_line_sheet);
    ptrdiff_t tables = 0, taps = layout.taps[TC_W].count;
    layout.sheets = tc_group_ci(job->problem);
    const bool fits = tc_mul(layout.sheets, layout.taps[TC_D].count, &layout.sheets) &&
                      tc_mul(layout.sheets, chunks, &layout.sheets) &&
                      tc_mul(layout.sheets, sheet_bytes, &tables) &&
                      tc_mul(taps, tap_bytes, &taps) && tc_add(tables, taps, &tables);
    layout.table_bytes = fits ? tables : PTRDIFF_MAX / 2;
    layout.copy_bytes = layout.copies ? lay_copy(job, &layout, layout.lines) : 0;
    layout.out_pitch = tc_odd_lines(job->kernels, layout.columns);
    ptrdiff_t *const buffer = &layout.buffer_bytes;
    if (layout.buffers && !(tc_mul(layout.out_pitch * bytes, layout.lines, buffer) &&
                            tc_mul(*buffer, tc_group_co(job->problem), buffer) &&
                            tc_mul(*buffer, layout.span, buffer))) {
        *buffer = PTRDIFF_MAX / 2;
    }
    return layout;
}

/* Whether the inputs that one output meets, lines of the width in one piece, are many. */
static bool reaches_far(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    ptrdiff_t span = job->kernels->bytes;
    return !tc_mul(span, p->k[TC_W], &span) || !tc_mul(span, p->d[TC_W], &span) ||
           !tc_mul(span, p->k[TC_D], &span) || !tc_mul(span, tc_group_ci(p), &span) ||
           span > STRIP_BYTES;
}

/* Whether the inputs from one output to the next are many, for the fewest outputs of a line that
 * are worth a strip. */
static bool steps_far(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    ptrdiff_t span = job->kernels->bytes * tc_clamp(p->o[TC_W], 1, STEP_COLUMNS);
    return p->s[TC_W] > 1 &&
           (!tc_mul(span, p->s[TC_W], &span) || !tc_mul(span, p->k[TC_D], &span) ||
            !tc_mul(span, tc_group_ci(p), &span) || span > MOST_STEP_BYTES);
}

/* Whether one of several groups has few enough channels: fewer than make direct faster, where the
 * stride is 1, or gather. */
static bool few_in_group(const struct tc_job *job, bool lone)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p);
    const bool strided = tc_has_stride(p);
    if (2 * co > job->kernels->lanes) {
        return false;
    }
    if (ci == 1 && co == 1) {
        return true;
    }
    if (lone && !strided) {
        const double outer = (double)p->k[TC_D] * (double)p->k[TC_H];
        const double sums = outer * (double)p->k[TC_W] * (double)ci * (double)co;
        return sums <= (outer > 1 ? LONE_SUMS_2D : LONE_SUMS_1D);
    }
    return ci <= (lone ? LONE_STRIDED_PAIRS : strided ? GROUP_STRIDED_PAIRS : GROUP_PAIRS) / co;
}

/* Whether a group has few enough channels: the kernel takes a vector of outputs for each weight,
 * gather's vectors are output channels, and direct reads an input once for all of them. */
static bool few_channels(const struct tc_job *job)
{
    const ptrdiff_t ci = tc_group_ci(job->problem), co = tc_group_co(job->problem);
    const struct tc_taps height = all_taps(&job->lattice.axis[TC_H]);
    const bool lone = reach_of(&job->lattice.axis[TC_H], &height) == 1;
    if (job->problem->g > 1) {
        return few_in_group(job, lone);
    }
    if (lone) {
        return ci <= LONE_PAIRS / co;
    }
    if (job->problem->s[TC_W] > 1 && co <= 2) {
        return ci <= STRIDED_PAIRS / co / job->problem->k[TC_D];
    }
    return co == 1 || ci <= (co == 2 ? PAIRS_OF_TWO : PAIRS) / co;
}

/* Whether lines fill vectors, or halves of them, by seven eighths. */
static bool fills_vectors(const struct tc_job *job)
{
    const ptrdiff_t out = job->problem->o[TC_W], lanes = job->kernels->lanes;
    const ptrdiff_t half = tc_ceil_div(lanes, 2);
    const ptrdiff_t empty = out < lanes ? lanes - out : (half - out % half) % half;
    return out / 7 >= empty;
}

/* Columns of inputs, if those that a strip of one group meets are to fit so many bytes. */
static ptrdiff_t columns_within(const struct tc_job *job, ptrdiff_t bytes)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t line = bytes / job->kernels->bytes / met_lines(job, TC_MAX_LINES);
    return line / tc_group_ci(p) / p->k[TC_D];
}

/* Whether the copied inputs of a strip need not make it shorter. */
static bool copies_little(const struct tc_job *job)
{
    const ptrdiff_t step = job->problem->s[TC_W], width = job->lattice.axis[TC_W].in;
    return tc_min(step * LEAST_COLUMNS, width) <= columns_within(job, STRIP_BYTES);
}

/* Whether lines have many vectors. */
static bool has_long_lines(const struct tc_job *job)
{
    return job->problem->o[TC_W] >= LONG_VECTORS * job->kernels->lanes;
}

/* Kernel lines at once, if several outputs of a group can share what is loaded of their inputs,
 * else 1. */
static int shared_reach(const struct tc_job *job)
{
    const struct tc_axis *const height = &job->lattice.axis[TC_H];
    const struct tc_taps taps = all_taps(height);
    return job->kernels->shared_outputs > 1 ? reach_of(height, &taps) : 1;
}

/* Whether outputs share inputs by three, which sums at the speed of the arithmetic, or one to three
 * have long lines, and inputs are few enough. */
static bool shares_by_three(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t co = tc_group_co(p), lanes = job->kernels->lanes;
    const int reach = shared_reach(job);
    const double sheets = (double)tc_group_ci(p) * (double)p->k[TC_D];
    const bool threes = reach == 3 && p->k[TC_H] == 3 && co % 3 == 0 && co < lanes &&
                        (double)co * sheets <= THREES_SHEETS && fills_vectors(job);
    const bool fits = reach > 1 && sheets <= MOST_SHEETS && copies_little(job);
    if (p->s[TC_W] > 1) {
        return fits && threes && p->s[TC_W] == 2 && 2 * co < lanes;
    }
    return fits && (threes || (co <= 3 && has_long_lines(job)));
}

/* Whether outputs share inputs, and there are fewer than make gather or direct faster, or planes,
 * which reads inputs once for more of them. */
static bool shares_inputs(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p), lanes = job->kernels->lanes;
    const int reach = shared_reach(job);
    const ptrdiff_t most = tc_planes_takes(job) ? SHARED_BYTES : STRIP_BYTES;
    return reach > 1 && reach == p->k[TC_H] && p->k[TC_D] == 1 && !tc_has_stride(p) && co > 1 &&
           co < lanes && ci <= tc_min(lanes, SHARED_PAIRS / co) &&
           job->lattice.axis[TC_W].in <= columns_within(job, most);
}

/* Whether inputs of many channels meet every kernel element anyway: then they are read once. */
static bool scatter_is_faster(const struct tc_job *job)
{
    return !tc_has_stride(job->problem) && tc_scatter_takes(job);
}

/* Whether many lines are split element by element, for more time than the taps that meet them make
 * up for: gather takes the inputs as they lie. */
static bool splits_much(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    return p->g > 1 && tc_group_ci(p) > 1 && tc_max(p->k[TC_D], p->k[TC_H]) > 1 && p->s[TC_W] > 2 &&
           p->k[TC_W] / 2 < p->s[TC_W];
}

/* Whether there are few enough channels, and no other engine is faster for so few. */
static bool pays(const struct tc_job *job)
{
    const bool by_three = shares_by_three(job);
    if (scatter_is_faster(job) && !(by_three && has_long_lines(job))) {
        return false;
    }
    return by_three || shares_inputs(job) || (few_channels(job) && !tc_planes_takes(job));
}

static const char *refuse(const struct tc_job *job)
{
    if (tc_lattice_has_phases(&job->lattice)) {
        return "the outputs of several phases lie side by side";
    }
    if (!job->forced && reaches_far(job)) {
        return "the kernel reaches too far along the width to copy what it covers";
    }
    if (!job->forced && steps_far(job)) {
        return "the stride along the width is too long to copy all inputs";
    }
    if (!job->forced && splits_much(job)) {
        return "the stride along the width is long and the kernel short";
    }
    if (!job->forced && !pays(job)) {
        return "other engines are faster for so many channels a group";
    }
    return NULL;
}

bool tc_lines_takes(const struct tc_job *job)
{
    return refuse(job) == NULL;
}

int tc_lines_reach(const struct tc_axis *height, const struct tc_phase *phase)
{
    const struct tc_taps taps = tc_taps_ascending(height, phase);
    return reach_of(height, &taps);
}

static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    const struct layout layout = layout_of(job);
    ptrdiff_t *const bytes = &job->thread_bytes;
    const bool fits = tc_add(layout.copy_bytes, layout.buffer_bytes, bytes) &&
                      tc_add(*bytes, layout.table_bytes, bytes) && tc_add(*bytes, TC_ALIGN, bytes);
    *bytes = fits ? *bytes / TC_ALIGN * TC_ALIGN : PTRDIFF_MAX;
    job->packed_bytes = 0;
    job->shared_bytes = 0;
    job->tasks =
        job->problem->n * layout.spans * job->problem->o[TC_D] * layout.bands * layout.pieces;
    return NULL;
}

/* ---- inputs ---- */

/* Where tap i of an axis reads for output j. */
static ptrdiff_t input_at(const struct state *s, int a, ptrdiff_t j, ptrdiff_t i)
{
    const struct tc_taps *const taps = &s->layout->taps[a];
    return s->job->lattice.axis[a].in_step * j + taps->offset + i * taps->step;
}

static bool exists(const struct state *s, int a, ptrdiff_t at)
{
    return at >= 0 && at < s->job->lattice.axis[a].in;
}

/* The inputs of the strip, [channel][kd][line][remainder][pitch]. */
static void copy_inputs(const struct state *s)
{
    const struct tc_image *const x = &s->job->x;
    const struct layout *const layout = s->layout;
    const ptrdiff_t ci = tc_group_ci(s->job->problem), bytes = s->job->kernels->bytes;
    const ptrdiff_t first = s->n * x->n + s->groups.begin * ci * x->c +
                            s->input.begin * x->axis[TC_H] + s->inputs.begin * x->axis[TC_W];
    struct tc_split split = {.channels = tc_range_length(s->groups) * ci,
                             .lines = tc_range_length(s->input),
                             .columns = tc_range_length(s->inputs),
                             .step = s->job->lattice.axis[TC_W].in_step,
                             .src_channel = x->c,
                             .src_line = x->axis[TC_H],
                             .src_column = x->axis[TC_W],
                             .dst_channel = layout->channel,
                             .dst_line = layout->line,
                             .dst_part = layout->pitch};
    for (ptrdiff_t kd = 0; kd < layout->taps[TC_D].count; kd++) {
        const ptrdiff_t d = input_at(s, TC_D, s->d, kd);
        if (exists(s, TC_D, d)) {
            split.src = tc_at(x->data, first + d * x->axis[TC_D], bytes);
            split.dst = tc_at(s->copy, kd * layout->slice, bytes);
            tc_split(s->job->kernels, &split);
        }
    }
}

/* ---- tables ---- */

/* The shift of each tap along the width, and the outputs that it counts for. */
static void list_taps(const struct state *s)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const struct tc_taps *const taps = &s->layout->taps[TC_W];
    const ptrdiff_t step = axis->in_step, first = s->columns.begin;
    const ptrdiff_t columns = tc_range_length(s->columns);
    for (ptrdiff_t j = 0; j < taps->count; j++) {
        const ptrdiff_t offset = taps->offset + j * taps->step;
        const ptrdiff_t quotient = tc_floor_div(offset, step), rest = offset - quotient * step;
        const ptrdiff_t shift = first + quotient - s->inputs.begin / step;
        struct tc_line_tap *const tap = &s->tap[j];
        tap->x = s->layout->copies ? rest * s->layout->pitch + shift : first + offset;
        tap->begin = (int)tc_clamp(tc_ceil_div(-offset, step) - first, 0, columns);
        tap->end = (int)tc_clamp(tc_ceil_div(axis->in - offset, step) - first, tap->begin, columns);
    }
}

/* The lines of inputs that the kernel lines from kh on meet, of the first channel and depth, from
 * the first on that the strip meets. */
static struct tc_met_lines met_lines_at(const struct state *s, ptrdiff_t kh)
{
    const struct layout *const layout = s->layout;
    const ptrdiff_t line = layout->copies ? layout->line : s->job->x.axis[TC_H];
    return (struct tc_met_lines){
        .height = &s->job->lattice.axis[TC_H],
        .reach = layout->reach,
        .first = input_at(s, TC_H, s->lines.begin, kh),
        .lines = tc_range_length(s->lines),
        .origin = -s->input.begin * line,
        .line = line,
    };
}

/* The sheet of input channel ci, kernel depth kd, kernel lines from kh on. */
static struct tc_line_sheet sheet_at(const struct state *s, ptrdiff_t ci, ptrdiff_t kd,
                                     ptrdiff_t kh)
{
    const struct tc_image *const x = &s->job->x;
    const struct layout *const layout = s->layout;
    const struct tc_taps *const depth = &layout->taps[TC_D], *const height = &layout->taps[TC_H];
    const struct tc_weight *const w = &s->job->w;
    struct tc_line_sheet sheet = {.w = ci * w->ci + kd * depth->k_step * w->axis[TC_D] +
                                       kh * height->k_step * w->axis[TC_H],
                                  .last_tap = layout->taps[TC_W].count};
    struct tc_met_lines met = met_lines_at(s, kh);
    if (layout->hints && kh == 0) {
        sheet.hints = (int)s->job->lattice.axis[TC_W].in_step;
        sheet.next = ci * x->c + input_at(s, TC_D, s->d, kd) * x->axis[TC_D];
    }
    met.origin += layout->copies ? ci * layout->channel + kd * layout->slice
                                 : ci * x->c + input_at(s, TC_D, s->d, kd) * x->axis[TC_D];
    tc_set_lines(&sheet, &met);
    return sheet;
}

/* All sheets that the strip meets; returns their number. */
static ptrdiff_t list_sheets(const struct state *s)
{
    const struct layout *const layout = s->layout;
    const ptrdiff_t depth = layout->taps[TC_D].count, height = layout->taps[TC_H].count;
    ptrdiff_t count = 0;
    for (ptrdiff_t ci = 0; ci < tc_group_ci(s->job->problem); ci++) {
        for (ptrdiff_t kd = 0; kd < depth; kd++) {
            const bool reached = exists(s, TC_D, input_at(s, TC_D, s->d, kd));
            for (ptrdiff_t kh = 0; kh < height && reached; kh += layout->reach) {
                s->sheet[count++] = sheet_at(s, ci, kd, kh);
            }
        }
    }
    return count;
}

/* ---- strips ---- */

/* Has the kernel bring closer what the next strip reads and writes: the next lines of these groups,
 * the next columns of a long line, or the first lines of the next groups. */
static void set_hints(const struct state *s, struct tc_lines *lines)
{
    const struct layout *const layout = s->layout;
    const struct tc_image *const x = &s->job->x, *const y = &s->job->y;
    const struct tc_problem *const p = s->job->problem;
    const ptrdiff_t step = s->job->lattice.axis[TC_W].in_step;
    ptrdiff_t group = s->groups.begin, line = s->input.end, column = s->inputs.begin;
    if (layout->pieces > 1) {
        line = s->input.begin;
        column += layout->columns * step;
        lines->y_next = layout->columns;
    } else if (s->lines.end < p->o[TC_H]) {
        lines->y_next = tc_range_length(s->lines) * y->axis[TC_H];
    } else {
        group = s->groups.end;
        line = 0;
        lines->y_next =
            tc_range_length(s->groups) * tc_group_co(p) * y->c - s->lines.begin * y->axis[TC_H];
    }
    const ptrdiff_t at =
        s->n * x->n + group * tc_group_ci(p) * x->c + line * x->axis[TC_H] + column;
    lines->x_next = tc_at(x->data, at, s->job->kernels->bytes);
}

/* The strip's outputs, from the buffer to y. */
static void write_buffer(const struct state *s, const struct tc_lines *lines, void *to)
{
    const struct tc_image *const y = &s->job->y;
    const ptrdiff_t bytes = s->job->kernels->bytes;
    for (int r = 0; r < lines->lines; r++) {
        const struct tc_matrix dst = {tc_at(to, r * y->axis[TC_H], bytes), y->c, y->axis[TC_W]};
        const struct tc_matrix src = {tc_at(s->buffer, r * lines->y_line, bytes), lines->y_output,
                                      1};
        tc_copy(s->job->kernels, lines->channels * lines->outputs, lines->columns, dst, src);
    }
}

/* What all strips of a task have in common. */
static struct tc_lines lines_of(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const x = &job->x, *const y = &job->y;
    const struct layout *const layout = s->layout;
    const struct tc_taps *const taps = layout->taps;
    const ptrdiff_t ci = tc_group_ci(job->problem), co = tc_group_co(job->problem);
    const ptrdiff_t bytes = job->kernels->bytes, g = s->groups.begin;
    const ptrdiff_t y_channel = layout->buffers ? layout->lines * layout->out_pitch : y->c;
    const struct tc_met_lines met = met_lines_at(s, 0);
    ptrdiff_t w_at = g * job->w.g;
    for (int a = 0; a < TC_SPATIAL; a++) {
        w_at += taps[a].k * job->w.axis[a];
    }
    return (struct tc_lines){
        .channels = tc_range_length(s->groups),
        .outputs = co,
        .columns = tc_range_length(s->columns),
        .taps = taps[TC_W].count,
        .reach = layout->reach,
        .step = tc_kernel_step(met.height, met.reach),
        .x = s->copy,
        .x_channel = ci * (layout->copies ? layout->channel : x->c),
        .x_line = tc_met_pitch(&met),
        .sheet = s->sheet,
        .tap = s->tap,
        .w = tc_at(job->w.data, w_at, bytes),
        .w_channel = job->w.g,
        .w_output = job->w.co,
        .w_line = taps[TC_H].k_step * job->w.axis[TC_H],
        .w_tap = taps[TC_W].k_step * job->w.axis[TC_W],
        .bias = job->problem->bias ? tc_at(job->b.data, g * co * job->b.c, bytes) : NULL,
        .bias_channel = co * job->b.c,
        .bias_output = job->b.c,
        .y = s->buffer,
        .y_channel = co * y_channel,
        .y_output = y_channel,
        .y_line = layout->buffers ? layout->out_pitch : y->axis[TC_H],
        .x_next_channel = ci * x->c,
        .x_next_tap = job->kernels->lanes,
        .x_next_column = job->lattice.axis[TC_W].in_step,
        .x_next_line = x->axis[TC_H],
    };
}

/* Lists the sheets, unless this strip and the one before are inner ones, which meet the same. */
static void list_anew(struct state *s, struct tc_lines *lines)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_H];
    const ptrdiff_t reach = tc_range_length(tc_lattice_offsets(axis));
    const int count = (int)tc_range_length(s->lines);
    const bool inner = tc_range_length(s->input) == axis->in_step * (count - 1) + reach;
    if (!inner || !s->inner || lines->lines != count) {
        lines->lines = count;
        lines->sheets = list_sheets(s);
        s->inner = inner;
    }
}

static void run_strip(struct state *s, struct tc_lines *lines)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const x = &job->x, *const y = &job->y;
    const struct layout *const layout = s->layout;
    const ptrdiff_t bytes = job->kernels->bytes, g = s->groups.begin;
    const ptrdiff_t ci = tc_group_ci(job->problem), co = tc_group_co(job->problem);
    const ptrdiff_t from = s->n * x->n + g * ci * x->c + s->input.begin * x->axis[TC_H];
    const ptrdiff_t at = s->n * y->n + g * co * y->c + s->d * y->axis[TC_D] +
                         s->lines.begin * y->axis[TC_H] + s->columns.begin * y->axis[TC_W];
    void *const to = tc_at(y->data, at, bytes);
    list_anew(s, lines);
    if (layout->copies) {
        copy_inputs(s);
    } else {
        lines->x = tc_at(x->data, from, bytes);
    }
    if (!layout->buffers) {
        lines->y = to;
    }
    if (layout->hints) {
        set_hints(s, lines);
    }
    job->kernels->lines(lines);
    tc_activate_lines(job, lines);
    if (layout->buffers) {
        write_buffer(s, lines, to);
    }
}

/* ---- tasks ---- */

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct layout *const layout = &run->layout;
    const struct tc_job *const job = run->job;
    const struct tc_axis *const axis = &job->lattice.axis[TC_H];
    const ptrdiff_t depth = job->problem->o[TC_D];
    const ptrdiff_t piece = task % layout->pieces, rest = task / layout->pieces;
    struct state s = {.job = job, .layout = layout, .d = rest / layout->bands % depth};
    const ptrdiff_t band = rest % layout->bands, span = rest / layout->bands / depth;
    const struct tc_range rows = tc_share_of(axis->out, band, layout->bands);
    s.n = span / layout->spans;
    s.groups = tc_share_of(job->problem->g, span % layout->spans, layout->spans);
    s.columns.begin = piece * layout->columns;
    s.columns.end = tc_min(s.columns.begin + layout->columns, job->problem->o[TC_W]);
    s.inputs = inputs_of(&job->lattice.axis[TC_W], s.columns);
    s.copy = run->scratch + thread * job->thread_bytes;
    s.buffer = (char *)s.copy + layout->copy_bytes;
    s.tap = (struct tc_line_tap *)((char *)s.buffer + layout->buffer_bytes);
    s.sheet = (struct tc_line_sheet *)(s.tap + layout->taps[TC_W].count);
    list_taps(&s);
    struct tc_lines lines = lines_of(&s);
    for (s.lines = rows; s.lines.begin < rows.end; s.lines.begin = s.lines.end) {
        s.lines = tc_next_strip(rows, s.lines.begin, layout->lines);
        s.input = tc_lattice_inputs(axis, s.lines);
        run_strip(&s, &lines);
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
    tc_say(text, "%td lines x %d outputs, %d lines of the kernel at once", layout.lines,
           job->kernels->lanes, layout.reach);
}

const struct tc_engine tc_engine_lines = {
    .name = "lines",
    .contractions = TC_DOES_LARGE | TC_DOES_SMALL,
    .accept = accept,
    .run = run,
    .describe = describe,
};
