/* SPDX-License-Identifier: BSD-3-Clause */
/* weave: depthwise transposed convolutions with a stride (learned and fixed up-sampling,
 * gradients).
 *
 * The outputs s*j + r of one phase along every axis meet the taps of that phase alone: by
 * themselves they are a transposed convolution of stride 1,
 *
 *     y[s*j + r] = bias + sum over t of  x[j + offset - t*step] * w[k + t*k_step],
 *
 * lanes along the width. Where lines are contiguous and have two phases, the kernel `weave` sums
 * both and stores them by turns. Otherwise the engine `lines` solves each, its outputs go to a
 * buffer in the cache, and from there the phases of the width are woven into lines of y.
 *
 *     for block (image, channels, depth, some lines of the grid, or a piece of long ones: a task)
 *       for phase along the height
 *         for run of lines that meet the same lines of the kernel
 *           the kernel `weave`
 *       or
 *         for phase along the width
 *           lines, to the buffer
 *         weave the buffer's lines into y */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

enum {
    BUFFER_BYTES = 96 << 10, /* a phase of the height, */
    WOVEN_BYTES = 192 << 10, /* if there is no buffer and there are tasks enough */
    MOST_COLUMNS = 2048,     /* of the grid, at once */
    MOST_PHASES = 3,         /* along an axis; */
    PHASES_ASKED_FOR = 64,   /* if the caller asked for this engine */
};

struct layout {
    ptrdiff_t span, rows, columns;  /* channels, and lines and columns of the grid, of a task */
    ptrdiff_t spans, bands, pieces; /* tasks along these */
    ptrdiff_t pitch;                /* of the buffer, from a line to the next, */
    ptrdiff_t channel, phase;       /* a channel, and a phase of the width */
    ptrdiff_t buffer_bytes;
};

/* ---- blocks ---- */

/* Whether the kernel `weave` can sum both phases of a line and store them by turns. */
static bool is_woven(const struct tc_job *job)
{
    return job->lattice.axis[TC_W].out_step == 2 && job->x.axis[TC_W] == 1 &&
           job->y.axis[TC_W] == 1;
}

/* Lines of the grid of a task, all channels' together. One call of the kernel takes all channels of
 * a phase, so it had better have many. */
static ptrdiff_t most_lines(const struct tc_job *job, const struct layout *layout, ptrdiff_t height)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t line = job->kernels->bytes * layout->pitch * axis[TC_W].out_step;
    const ptrdiff_t lines = job->problem->n * job->problem->g * axis[TC_D].out * height;
    const ptrdiff_t fair = lines / (job->threads * TC_TASKS_PER_THREAD);
    const ptrdiff_t most = (is_woven(job) ? WOVEN_BYTES : BUFFER_BYTES) / line;
    return tc_max(tc_clamp(fair, BUFFER_BYTES / line, most), 1);
}

static struct layout layout_of(const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t width = tc_max(tc_lattice_points(&axis[TC_W]), 1);
    const ptrdiff_t height = tc_max(tc_lattice_points(&axis[TC_H]), 1);
    const ptrdiff_t bytes = job->kernels->bytes, groups = job->problem->g;
    struct layout layout = {.pieces = tc_ceil_div(width, MOST_COLUMNS)};
    layout.columns = tc_ceil_div(width, layout.pieces);
    layout.pitch = tc_odd_lines(job->kernels, layout.columns);
    const ptrdiff_t most = most_lines(job, &layout, height);
    layout.bands = tc_ceil_div(height, most);
    layout.rows = tc_ceil_div(height, layout.bands);
    layout.spans = tc_ceil_div(groups, tc_max(most / layout.rows, 1));
    layout.span = tc_ceil_div(groups, layout.spans);
    layout.channel = layout.rows * layout.pitch;
    layout.phase = layout.span * layout.channel;
    layout.buffer_bytes = axis[TC_W].out_step * layout.phase * bytes;
    return layout;
}

/* A block, and the phase of each axis that is at work. */
struct state {
    const struct tc_job *job;
    const struct layout *layout;
    ptrdiff_t n;
    struct tc_range groups;
    struct tc_range grid[TC_SPATIAL]; /* the block's points */
    ptrdiff_t phase[TC_SPATIAL];
    void *buffer, *scratch;
    struct tc_weave_tap *tap;
    struct tc_weave_sheet *sheet;
};

/* The points of the grid where the phase has outputs. */
static struct tc_range outputs_of(const struct state *s, int a)
{
    const struct tc_phase phase = tc_phase_at(&s->job->lattice.axis[a], s->phase[a]);
    return (struct tc_range){s->grid[a].begin, tc_min(s->grid[a].end, phase.count)};
}

/* ---- phases ---- */

/* The outputs of one phase in the block, as a problem. */
static struct tc_problem problem_of(const struct state *s)
{
    struct tc_problem problem = *s->job->problem;
    problem.n = 1;
    problem.g = problem.ci = problem.co = tc_range_length(s->groups);
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_axis *const axis = &s->job->lattice.axis[a];
        const struct tc_phase phase = tc_phase_at(axis, s->phase[a]);
        problem.k[a] = phase.taps;
        problem.s[a] = 1;
        problem.d[a] = -axis->offset_step;
        problem.p[a] = phase.offset + s->grid[a].begin;
        problem.o[a] = tc_range_length(outputs_of(s, a));
    }
    return problem;
}

/* The same as a job of `lines`, booked. */
static struct tc_job job_of(const struct state *s, const struct tc_problem *problem)
{
    const struct tc_job *const job = s->job;
    const struct layout *const layout = s->layout;
    const ptrdiff_t bytes = job->kernels->bytes, g = s->groups.begin;
    ptrdiff_t w_at = g * job->w.g;
    struct tc_job part = *job;
    part.problem = problem;
    part.threads = 1;
    part.forced = true;
    tc_lattice_init(&part.lattice, problem);
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_axis *const axis = &job->lattice.axis[a];
        w_at += tc_phase_at(axis, s->phase[a]).k * job->w.axis[a];
        part.w.axis[a] = axis->k_step * job->w.axis[a];
    }
    part.x.data = tc_at_any(job->x.data, s->n * job->x.n + g * job->x.c, bytes);
    part.w.data = tc_at_any(job->w.data, w_at, bytes);
    part.b.data = tc_at_any(job->b.data, g * job->b.c, bytes);
    part.y = (struct tc_image){.data = tc_at_any(s->buffer, s->phase[TC_W] * layout->phase, bytes),
                               .c = layout->channel,
                               .axis = {0, layout->pitch, 1}};
    tc_engine_lines.accept(&part);
    return part;
}

static void run_phase(const struct state *s)
{
    const struct tc_problem problem = problem_of(s);
    if (problem.o[TC_H] > 0 && problem.o[TC_W] > 0) {
        const struct tc_job part = job_of(s, &problem);
        tc_engine_lines.run(&part, s->scratch);
    }
}

/* ---- two phases at once ---- */

static struct tc_taps taps_of(const struct state *s, int a)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[a];
    const struct tc_phase phase = tc_phase_at(axis, s->phase[a]);
    return tc_taps_ascending(axis, &phase);
}

/* The run of an axis that begins at point j, its taps by their numbers there. */
static struct tc_run run_at(const struct state *s, int a, ptrdiff_t j)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[a];
    const struct tc_phase phase = tc_phase_at(axis, s->phase[a]);
    struct tc_run run = tc_run_at(axis, &phase, j);
    const ptrdiff_t first = run.first;
    run.first = phase.taps - run.last;
    run.last = phase.taps - first;
    return run;
}

/* The taps of both phases of the width. */
static void list_taps(struct state *s, struct tc_weave *weave)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    struct tc_weave_tap *tap = s->tap;
    const ptrdiff_t points = tc_range_length(s->grid[TC_W]);
    for (int q = 0; q < 2; q++) {
        s->phase[TC_W] = q;
        const struct tc_taps taps = taps_of(s, TC_W);
        weave->tap[q] = tap;
        weave->taps[q] = (int)taps.count;
        for (ptrdiff_t j = 0; j < taps.count; j++, tap++) {
            tap->x = s->grid[TC_W].begin + taps.offset + j * taps.step;
            tap->w = (taps.k + j * taps.k_step) * s->job->w.axis[TC_W];
            tap->begin = (int)tc_clamp(-tap->x, 0, points);
            tap->end = (int)tc_clamp(axis->in - tap->x, tap->begin, points);
        }
    }
    s->phase[TC_W] = 0;
}

/* The kernel lines that a run of lines meets; returns their sheets' number. */
static ptrdiff_t list_sheets(const struct state *s, const struct tc_run *rows)
{
    const struct tc_axis *const height = &s->job->lattice.axis[TC_H];
    const struct tc_phase phase = tc_phase_at(height, s->phase[TC_H]);
    const struct tc_taps d = taps_of(s, TC_D), h = taps_of(s, TC_H);
    const struct tc_run depth = run_at(s, TC_D, s->grid[TC_D].begin);
    const struct tc_image *const x = &s->job->x;
    const struct tc_weight *const w = &s->job->w;
    const ptrdiff_t reach = tc_lines_reach(height, &phase);
    ptrdiff_t count = 0;
    for (ptrdiff_t kd = depth.first; kd < depth.last; kd++) {
        for (ptrdiff_t kh = rows->first; kh < rows->last;) {
            const ptrdiff_t end = tc_min(tc_round_up(kh + 1, reach), rows->last);
            s->sheet[count++] = (struct tc_weave_sheet){
                (s->grid[TC_D].begin + d.offset + kd * d.step) * x->axis[TC_D] +
                    (rows->begin + h.offset + kh * h.step) * x->axis[TC_H],
                (d.k + kd * d.k_step) * w->axis[TC_D] + (h.k + kh * h.k_step) * w->axis[TC_H],
                (int)(end - kh)};
            kh = end;
        }
    }
    return count;
}

/* The lines of one phase of the height. */
static void weave_lines(struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tc_image *const x = &job->x, *const y = &job->y;
    const ptrdiff_t bytes = job->kernels->bytes, g = s->groups.begin;
    const struct tc_range points = s->grid[TC_W], lines = outputs_of(s, TC_H);
    struct tc_weave weave = {
        .channels = tc_range_length(s->groups),
        .outputs = tc_min(2 * points.end, axis[TC_W].out) - 2 * points.begin,
        .x = tc_at(x->data, s->n * x->n + g * x->c, bytes),
        .x_channel = x->c,
        .x_line = x->axis[TC_H],
        .w = tc_at(job->w.data, g * job->w.g, bytes),
        .w_channel = job->w.g,
        .w_line = taps_of(s, TC_H).k_step * job->w.axis[TC_H],
        .bias = job->problem->bias ? tc_at(job->b.data, g * job->b.c, bytes) : NULL,
        .bias_channel = job->b.c,
        .y_channel = y->c,
        .y_line = axis[TC_H].out_step * y->axis[TC_H],
        .sheet = s->sheet,
    };
    list_taps(s, &weave);
    struct tc_run run;
    for (ptrdiff_t j = lines.begin; j < lines.end; j = run.end) {
        run = run_at(s, TC_H, j);
        run.end = tc_min(run.end, lines.end);
        run.begin = j;
        const ptrdiff_t at =
            s->n * y->n + g * y->c + 2 * points.begin +
            (s->phase[TC_H] + axis[TC_H].out_step * j) * y->axis[TC_H] +
            (s->phase[TC_D] + axis[TC_D].out_step * s->grid[TC_D].begin) * y->axis[TC_D];
        weave.y = tc_at(y->data, at, bytes);
        weave.lines = run.end - j;
        weave.sheets = list_sheets(s, &run);
        job->kernels->weave(&weave);
        for (ptrdiff_t c = 0; c < weave.channels; c++) {
            tc_activate(job, tc_at(weave.y, c * y->c, bytes), weave.lines, weave.outputs,
                        weave.y_line);
        }
    }
}

/* ---- weaving ---- */

static void write_buffer(const struct state *s)
{
    const struct tc_image *const y = &s->job->y;
    const struct tc_axis *const axis = s->job->lattice.axis;
    const ptrdiff_t bytes = s->job->kernels->bytes, phases = axis[TC_W].out_step;
    const struct tc_range grid = s->grid[TC_W];
    const ptrdiff_t outputs = tc_min(grid.end * phases, axis[TC_W].out) - grid.begin * phases;
    struct tc_shuffle shuffle = {
        .rows = tc_range_length(outputs_of(s, TC_H)),
        .phases = phases,
        .src_row = s->layout->pitch,
        .src_phase = s->layout->phase,
        .dst_row = axis[TC_H].out_step * y->axis[TC_H],
    };
    ptrdiff_t at = s->n * y->n;
    for (int a = 0; a < TC_SPATIAL; a++) {
        at += (s->phase[a] + axis[a].out_step * s->grid[a].begin) * y->axis[a];
    }
    for (ptrdiff_t g = s->groups.begin; g < s->groups.end; g++) {
        shuffle.src = tc_at(s->buffer, (g - s->groups.begin) * s->layout->channel, bytes);
        shuffle.dst = tc_at(y->data, at + g * y->c, bytes);
        tc_interleave(s->job->kernels, shuffle, outputs, y->axis[TC_W]);
    }
}

static void run_block(struct state *s)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    if (is_woven(s->job)) {
        for (s->phase[TC_H] = 0; s->phase[TC_H] < axis[TC_H].phases; s->phase[TC_H]++) {
            weave_lines(s);
        }
        return;
    }
    for (s->phase[TC_H] = 0; s->phase[TC_H] < axis[TC_H].phases; s->phase[TC_H]++) {
        for (s->phase[TC_W] = 0; s->phase[TC_W] < axis[TC_W].phases; s->phase[TC_W]++) {
            run_phase(s);
        }
        s->phase[TC_W] = 0;
        write_buffer(s);
    }
}

/* ---- the engine ---- */

/* Whether some phase of an axis has no tap. */
static bool has_bare_phases(const struct tc_axis *axis)
{
    return axis->divisor > 1 || axis->kernel < axis->k_step;
}

/* Taps of an axis's first phase, which has most. */
static ptrdiff_t most_taps(const struct tc_axis *axis)
{
    return tc_ceil_div(axis->kernel, axis->k_step);
}

bool tc_weave_unrolls(const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tc_phase phase = tc_phase_at(&axis[TC_H], 0);
    const ptrdiff_t taps = most_taps(&axis[TC_W]), lines = most_taps(&axis[TC_H]);
    const bool together = lines == tc_lines_reach(&axis[TC_H], &phase);
    const ptrdiff_t sheets = most_taps(&axis[TC_D]) * (together ? 1 : lines);
    if (axis[TC_W].out_step != 2 || taps > 3 || (together && lines > 1 && lines != 3)) {
        return false;
    }
    return sheets == 1 || (lines < 3 && (sheets == 2 || (sheets == 4 && taps <= 2)));
}

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    ptrdiff_t longest = 1;
    bool even = true;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_axis *const axis = &job->lattice.axis[a];
        if (has_bare_phases(axis)) {
            return "some outputs meet no tap";
        }
        longest = tc_max(longest, axis->out_step);
        even = even && axis->kernel % axis->k_step == 0;
    }
    if (!tc_is_depthwise(p)) {
        return "it is for depthwise layers";
    }
    if (longest == 1) {
        return "the stride is 1";
    }
    if (longest > (job->forced ? PHASES_ASKED_FOR : MOST_PHASES)) {
        return "the stride is long";
    }
    if (!job->forced && even && !tc_weave_unrolls(job)) {
        return "all phases have as many taps, which is for `direct`";
    }
    return NULL;
}

bool tc_weave_takes(const struct tc_job *job)
{
    return refuse(job) == NULL;
}

/* What `lines` wants for a block: the phases of an axis have at most two numbers of taps. */
static ptrdiff_t lines_bytes(const struct tc_job *job, const struct layout *layout)
{
    struct state s = {.job = job, .layout = layout, .groups = {0, layout->span}};
    ptrdiff_t bytes = 0;
    for (int kinds = 0; kinds < 1 << TC_SPATIAL; kinds++) {
        const ptrdiff_t size[TC_SPATIAL] = {1, layout->rows, layout->columns};
        for (int a = 0; a < TC_SPATIAL; a++) {
            const struct tc_axis *const axis = &job->lattice.axis[a];
            s.grid[a] = (struct tc_range){0, size[a]};
            s.phase[a] = 0;
            while (kinds >> a & 1 && s.phase[a] + 1 < axis->phases &&
                   tc_phase_at(axis, s.phase[a]).taps == tc_phase_at(axis, 0).taps) {
                s.phase[a]++;
            }
        }
        const struct tc_problem problem = problem_of(&s);
        bytes = tc_max(bytes, job_of(&s, &problem).thread_bytes);
    }
    return bytes;
}

/* The taps along the width and the sheets of both phases of a line; PTRDIFF_MAX if they cannot be
 * counted. */
static ptrdiff_t table_bytes(const struct tc_job *job)
{
    const ptrdiff_t *const k = job->problem->k;
    ptrdiff_t taps = (ptrdiff_t)sizeof(struct tc_weave_tap);
    ptrdiff_t sheets = (ptrdiff_t)sizeof(struct tc_weave_sheet), bytes;
    const bool fits = tc_mul(taps, k[TC_W], &taps) && tc_mul(sheets, k[TC_D], &sheets) &&
                      tc_mul(sheets, k[TC_H], &sheets) && tc_add(taps, sheets, &bytes);
    return fits ? bytes : PTRDIFF_MAX;
}

static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    const struct layout layout = layout_of(job);
    ptrdiff_t *const bytes = &job->thread_bytes;
    const bool fits =
        (is_woven(job) ? tc_add(table_bytes(job), 0, bytes)
                       : tc_add(lines_bytes(job, &layout), layout.buffer_bytes, bytes)) &&
        tc_add(*bytes, TC_ALIGN, bytes);
    *bytes = fits ? *bytes / TC_ALIGN * TC_ALIGN : PTRDIFF_MAX;
    job->packed_bytes = 0;
    job->shared_bytes = 0;
    job->tasks =
        job->problem->n * layout.spans * job->problem->o[TC_D] * layout.bands * layout.pieces;
    return NULL;
}

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    const struct layout *const layout = &run->layout;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t piece = task % layout->pieces, band = task / layout->pieces % layout->bands;
    const ptrdiff_t rest = task / layout->pieces / layout->bands;
    const ptrdiff_t od = rest % axis[TC_D].out, jd = od / axis[TC_D].out_step;
    const ptrdiff_t span = rest / axis[TC_D].out % layout->spans;
    struct state s = {
        .job = job,
        .layout = layout,
        .n = rest / axis[TC_D].out / layout->spans,
        .groups = tc_share_of(job->problem->g, span, layout->spans),
        .grid = {{jd, jd + 1},
                 tc_share_of(tc_lattice_points(&axis[TC_H]), band, layout->bands),
                 tc_share_of(tc_lattice_points(&axis[TC_W]), piece, layout->pieces)},
        .phase = {od % axis[TC_D].out_step, 0, 0},
        .buffer = run->scratch + thread * job->thread_bytes,
    };
    s.scratch = (char *)s.buffer + layout->buffer_bytes;
    s.tap = s.buffer;
    s.sheet = (struct tc_weave_sheet *)(s.tap + job->problem->k[TC_W]);
    run_block(&s);
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, layout_of(job), scratch};
    tc_parallel(job->tasks, job->threads, run_task, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    if (is_woven(job)) {
        tc_say(text, "%d outputs of either phase of a line", job->kernels->lanes);
    } else {
        tc_say(text, "%d lines x %d outputs of a phase", TC_MAX_LINES, job->kernels->lanes);
    }
}

const struct tc_engine tc_engine_weave = {
    .name = "weave",
    .contractions = TC_DOES_LARGE,
    .accept = accept,
    .run = run,
    .describe = describe,
};
