/* SPDX-License-Identifier: BSD-3-Clause */
/* wline: the gradient of the weights where kernels are long and channels few (up-sampling by fixed
 * filters, overlap-add). Lanes are the elements of a kernel line, which meet a position of the
 * small side in a piece of a line of the large side,
 *
 *     gw[ci][co][kd][kh][kw] = sum over n, v of  x[n][ci][v] * y[n][co][..][s*vw + kw - p],
 *
 * so that tiles sum over the positions of many lines and nothing is transposed. Their rows are the
 * kernel lines of a phase, which meet the same lines of y, and channels of x. The columns at the
 * ends of x, where the piece reaches into the padding, are taken by themselves and masked: no
 * padding zero is read.
 *
 *     for channels of y, kd, part of the kernel lines and phases along the height (a task)
 *       for phase, for image, for columns: those of one end, the inner ones, those of the other
 *         for lines of y that meet as many kernel lines
 *           copy them one by one, if they cannot be read in place
 *           sums[kh][ci][kw] += tile over all of these lines and columns
 *         write the sums
 *
 * A sum takes its lines in their order, those of an end after those of another, so neither strides
 * nor threads change a bit. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

#include <string.h>

/* Copied lines stay in the cache, and scratch does not grow with the input. */
enum { MOST_BYTES = 1 << 20 };

/* A thread's scratch: channels of y in a task, elements from the copied line of one to that of the
 * next, and the bytes of its parts. */
struct scratch {
    ptrdiff_t span, pitch;
    ptrdiff_t lines, sums, masks;
};

/* A task at work. */
struct state {
    const struct tc_job *job;
    struct tc_part part;      /* of the kernel lines */
    struct tc_range phases;   /* of these, along the height, */
    struct tc_range channels; /* of y, of all groups */
    ptrdiff_t k[TC_SPATIAL];  /* and where the part of the first kernel line of one begins */
    ptrdiff_t lines;          /* kernel lines of the phase */
    struct tc_range columns;  /* of x, */
    bool masked;              /* whether some of their pieces reach into the padding */
    struct scratch scratch;
    char *copy, *sums;
    unsigned char *masks;
};

/* ---- booking ---- */

static ptrdiff_t mask_bytes(const struct tc_job *job)
{
    return tc_round_up(job->kernels->widths * job->kernels->lanes, 64) / 8;
}

/* Kernel lines of a phase, at most. */
static ptrdiff_t most_lines(const struct tc_job *job)
{
    const struct tc_axis *const axis = &job->lattice.axis[TC_H];
    return tc_ceil_div(axis->kernel, axis->k_step);
}

/* Phases with kernel lines. */
static ptrdiff_t line_phases(const struct tc_job *job)
{
    const struct tc_axis *const axis = &job->lattice.axis[TC_H];
    return tc_min(axis->kernel, axis->k_step);
}

static ptrdiff_t sums_length(const struct tc_job *job)
{
    return tc_group_ci(job->problem) * job->kernels->widths * job->kernels->lanes;
}

/* Elements of a line, from where the first position of x meets it through the first element of the
 * kernel to the last vector of the last one; PTRDIFF_MAX if they cannot be counted. */
static ptrdiff_t line_length(const struct tc_job *job)
{
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    const ptrdiff_t widest = job->kernels->widths * job->kernels->lanes;
    ptrdiff_t length = 0;
    const bool fits = tc_mul(tc_max(axis->in - 1, 0), axis->out_step, &length) &&
                      tc_add(length, axis->kernel, &length) && tc_add(length, widest, &length);
    return fits ? length : PTRDIFF_MAX;
}

/* Channels whose lines are copied anyway are copied together: where they lie side by side, whole
 * vectors of them are transposed. */
static struct scratch scratch_of(const struct tc_job *job)
{
    const ptrdiff_t bytes = job->kernels->bytes;
    const ptrdiff_t most =
        job->y.axis[TC_W] == 1 ? 1 : tc_min(job->kernels->lanes, job->problem->co);
    struct scratch scratch = {.span = 1};
    bool fits = line_length(job) < PTRDIFF_MAX / TC_ALIGN;
    if (fits) {
        scratch.pitch = tc_odd_lines(job->kernels, line_length(job));
        scratch.span = tc_clamp(MOST_BYTES / bytes / scratch.pitch, 1, most);
    }
    fits = fits && tc_mul(scratch.pitch * bytes, scratch.span, &scratch.lines) &&
           tc_mul(most_lines(job), sums_length(job) * bytes, &scratch.sums) &&
           tc_mul(scratch.sums, scratch.span, &scratch.sums) &&
           tc_mul(job->lattice.axis[TC_W].in, mask_bytes(job), &scratch.masks);
    scratch.lines = fits ? scratch.lines : PTRDIFF_MAX;
    return scratch;
}

/* Tasks along the channels, and those that share the phases of some: enough for all threads. */
static ptrdiff_t span_count(const struct tc_job *job, const struct scratch *scratch)
{
    return tc_ceil_div(job->problem->co, scratch->span);
}

static ptrdiff_t band_count(const struct tc_job *job, const struct scratch *scratch)
{
    const ptrdiff_t others = span_count(job, scratch) * job->problem->k[TC_D] *
                             tc_part_count(job->kernels, job->problem->k[TC_W]);
    return tc_clamp(tc_ceil_div(tc_tasks_wanted(job), others), 1, line_phases(job));
}

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t lanes = job->kernels->lanes, k = p->k[TC_W];
    if (p->d[TC_W] != 1 && k > 1) {
        return "the elements of a kernel line are dilated";
    }
    if (!job->forced && 4 * tc_round_up(k, lanes) > 5 * k) {
        return "kernel lines do not fill vectors";
    }
    if (!job->forced && 2 * tc_max(tc_group_ci(p), tc_group_co(p)) > lanes) {
        return "the channels of a side fill vectors better";
    }
    const ptrdiff_t most = MOST_BYTES / job->kernels->bytes;
    if (!job->forced && (line_length(job) > most || job->lattice.axis[TC_W].in > most)) {
        return "the lines are too long to be copied whole";
    }
    return NULL;
}

static const char *accept(struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    const struct scratch scratch = scratch_of(job);
    ptrdiff_t *const bytes = &job->thread_bytes;
    const bool fits = tc_add(scratch.lines, scratch.sums, bytes) &&
                      tc_add(*bytes, scratch.masks, bytes) && tc_add(*bytes, TC_ALIGN, bytes);
    *bytes = fits ? *bytes / TC_ALIGN * TC_ALIGN : PTRDIFF_MAX;
    job->packed_bytes = 0;
    job->shared_bytes = 0;
    job->tasks = span_count(job, &scratch) * p->k[TC_D] * tc_part_count(job->kernels, p->k[TC_W]) *
                 band_count(job, &scratch);
    return NULL;
}

/* ---- lines ---- */

/* The sums of a channel of the task and of a kernel line of the phase. */
static char *sums_at(const struct state *s, ptrdiff_t channel, ptrdiff_t line)
{
    const ptrdiff_t at = (channel * most_lines(s->job) + line) * sums_length(s->job);
    return tc_at(s->sums, at, s->job->kernels->bytes);
}

/* Element of y's line that the first position of x meets through the part's first element. */
static ptrdiff_t first_met(const struct state *s)
{
    return s->k[TC_W] - s->job->lattice.axis[TC_W].padding;
}

/* The positions of a line of x whose elements of y all exist, for all lanes. */
static struct tc_range inner_columns(const struct state *s)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const ptrdiff_t at = first_met(s), last = axis->out - s->part.lanes - at;
    const ptrdiff_t begin = tc_clamp(tc_ceil_div(-at, axis->out_step), 0, axis->in);
    return (struct tc_range){begin,
                             tc_clamp(tc_floor_div(last, axis->out_step) + 1, begin, axis->in)};
}

/* For each position of a line of x that is not an inner one the lanes whose element of y exists. */
static void set_masks(struct state *s)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const struct tc_range inner = inner_columns(s);
    memset(s->masks, 0, (size_t)(axis->in * mask_bytes(s->job)));
    for (ptrdiff_t v = 0; v < axis->in; v++) {
        const ptrdiff_t at = first_met(s) + v * axis->out_step;
        const ptrdiff_t begin = tc_clamp(-at, 0, s->part.lanes);
        const ptrdiff_t end = tc_clamp(axis->out - at, begin, s->part.lanes);
        unsigned char *const mask = s->masks + v * mask_bytes(s->job);
        for (ptrdiff_t lane = begin; lane < end && (v < inner.begin || v >= inner.end); lane++) {
            mask[lane / 8] |= (unsigned char)(1 << lane % 8);
        }
    }
}

/* The elements of a line of y that the columns meet, in whole vectors, whether they exist or not.
 */
static struct tc_range read_elements(const struct state *s)
{
    const ptrdiff_t step = s->job->lattice.axis[TC_W].out_step, at = first_met(s);
    const ptrdiff_t lanes = s->part.width * s->job->kernels->lanes;
    return (struct tc_range){at + s->columns.begin * step,
                             at + (s->columns.end - 1) * step + lanes};
}

/* The lines q of y that the tiles can read as they lie, where line 0 begins at element `from` of y
 * and the next ones `line` elements further each: in whole vectors, of which lanes or masks leave
 * out what belongs to other lines. */
static struct tc_range lines_in_place(const struct state *s, ptrdiff_t from, ptrdiff_t line)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t length[] = {axis[TC_D].out, axis[TC_H].out, axis[TC_W].out};
    const ptrdiff_t readable = tc_readable(&job->y, job->problem->n, job->problem->co, length);
    const struct tc_range met = read_elements(s);
    const ptrdiff_t before = from + met.begin, behind = readable - (from + met.end);
    if (job->y.axis[TC_W] != 1 || readable == 0 || (line == 0 && tc_min(before, behind) < 0)) {
        return (struct tc_range){0, 0};
    }
    if (line == 0) {
        return (struct tc_range){PTRDIFF_MIN, PTRDIFF_MAX};
    }
    return (struct tc_range){tc_ceil_div(-before, line), tc_floor_div(behind, line) + 1};
}

/* Copies what exists of a line of all channels to where the tiles look for it. */
static void copy_lines(const struct state *s, ptrdiff_t from)
{
    const ptrdiff_t out = s->job->lattice.axis[TC_W].out, step = s->job->y.axis[TC_W];
    const ptrdiff_t bytes = s->job->kernels->bytes;
    const struct tc_range met = read_elements(s);
    const ptrdiff_t begin = tc_clamp(met.begin, 0, out), end = tc_clamp(met.end, begin, out);
    const struct tc_matrix src = {tc_at(s->job->y.data, from + begin * step, bytes), s->job->y.c,
                                  step};
    const struct tc_matrix dst = {tc_at(s->copy, begin - met.begin, bytes), s->scratch.pitch, 1};
    tc_copy(s->job->kernels, tc_range_length(s->channels), end - begin, dst, src);
}

/* The kernel lines of the phase through which line q of its lines of y meets a line of x. */
static struct tc_range joined_lines(const struct state *s, ptrdiff_t q)
{
    const struct tc_axis *const h = &s->job->lattice.axis[TC_H];
    const ptrdiff_t step = -h->offset_step;
    const ptrdiff_t begin = tc_clamp(tc_ceil_div(q - h->in + 1, step), 0, s->lines);
    return (struct tc_range){begin, tc_clamp(tc_floor_div(q, step) + 1, begin, s->lines)};
}

/* The line from which on others than these do. */
static ptrdiff_t same_lines_end(const struct state *s, struct tc_range lines)
{
    const struct tc_axis *const h = &s->job->lattice.axis[TC_H];
    const ptrdiff_t leaves = h->in - lines.begin * h->offset_step;
    return lines.end < s->lines ? tc_min(leaves, -lines.end * h->offset_step) : leaves;
}

/* Lines of y that the tiles take at once: where the first one lies, and its line of x. */
struct run_of_lines {
    ptrdiff_t count;
    const void *x, *y;
};

/* Adds the products of lines of y, all of which these kernel lines join with x, to their sums. */
static void add_lines(const struct state *s, const struct run_of_lines *run,
                      struct tc_range kernel_lines, void *sums)
{
    const struct tc_job *const job = s->job;
    const struct tc_kernels *const kernels = job->kernels;
    const struct tc_axis *const w = &job->lattice.axis[TC_W], *const h = &job->lattice.axis[TC_H];
    const ptrdiff_t lanes = s->part.width * kernels->lanes, ci = tc_group_ci(job->problem);
    const ptrdiff_t most = kernels->rows[s->part.width - 1];
    ptrdiff_t a_row[TC_MAX_ROWS], c_row[TC_MAX_ROWS];
    struct tc_tile tile = {
        .lanes = s->part.lanes,
        .k = 1,
        .taps = {1, run->count, tc_range_length(s->columns)},
        .a = run->x,
        .a_row = a_row,
        .a_tap = {0, job->x.axis[TC_H], job->x.axis[TC_W]},
        .b = run->y,
        .b_tap = {0, h->out_step * job->y.axis[TC_H], w->out_step},
        .add = true,
        .mask = s->masked ? s->masks + s->columns.begin * mask_bytes(job) : NULL,
        .mask_tap = {0, 0, mask_bytes(job)},
        .c = sums,
        .c_row = c_row,
    };
    for (ptrdiff_t at = kernel_lines.begin * ci; at < kernel_lines.end * ci; at += tile.rows) {
        tile.rows = tc_min(kernel_lines.end * ci - at, most);
        for (ptrdiff_t r = 0; r < tile.rows; r++) {
            const ptrdiff_t line = (at + r) / ci, c = (at + r) % ci;
            a_row[r] = c * job->x.c + line * h->offset_step * job->x.axis[TC_H];
            c_row[r] = line * sums_length(job) + c * lanes;
        }
        kernels->tile[s->part.width - 1](&tile);
    }
}

/* The same of all channels, where x and y begin at these elements for the first one's group and for
 * the first one. If they are copied, y is what a line of it is copied from. */
static void add_channels(const struct state *s, ptrdiff_t x, ptrdiff_t y, ptrdiff_t count,
                         bool copied, struct tc_range kernel_lines)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t ci = tc_group_ci(job->problem), co = tc_group_co(job->problem);
    const ptrdiff_t bytes = job->kernels->bytes, first = s->channels.begin;
    if (copied) {
        copy_lines(s, y);
    }
    for (ptrdiff_t c = 0; c < tc_range_length(s->channels); c++) {
        const ptrdiff_t group = (first + c) / co - first / co;
        const ptrdiff_t at = y + c * job->y.c + read_elements(s).begin;
        const struct run_of_lines run = {
            .count = count,
            .x = tc_at(job->x.data, x + group * ci * job->x.c, bytes),
            .y = copied ? tc_at(s->copy, c * s->scratch.pitch, bytes)
                        : tc_at(job->y.data, at, bytes),
        };
        add_lines(s, &run, kernel_lines, sums_at(s, c, 0));
    }
}

/* The columns of a plane of x and the plane of y that they meet, which begin at elements x and y.
 * Line q of the phase's lines of y meets line q of x through the first kernel line, q - step
 * through the next. */
static void add_columns(const struct state *s, ptrdiff_t x, ptrdiff_t y)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const h = &job->lattice.axis[TC_H];
    const ptrdiff_t bytes = job->kernels->bytes, line = h->out_step * job->y.axis[TC_H];
    const ptrdiff_t first = h->dilation * s->k[TC_H] - h->padding; /* the line of y for q = 0 */
    const ptrdiff_t begin = tc_max(tc_ceil_div(-first, h->out_step), 0);
    const ptrdiff_t end =
        tc_min(tc_ceil_div(h->out - first, h->out_step), h->in - (s->lines - 1) * h->offset_step);
    x += s->columns.begin * job->x.axis[TC_W];
    y += first * job->y.axis[TC_H];
    /* the lines of a phase lie so far apart that the processor does not foresee the next ones */
    const bool hints = job->y.far && job->y.axis[TC_W] == 1 && s->k[TC_H] + 1 < s->phases.end;
    const ptrdiff_t next = h->dilation * job->y.axis[TC_H], width = job->lattice.axis[TC_W].out;
    const struct tc_range in_place = lines_in_place(s, y, line);
    ptrdiff_t count;
    for (ptrdiff_t q = begin; q < end; q += count) {
        const struct tc_range lines = joined_lines(s, q);
        const bool copied = q < in_place.begin || q >= in_place.end;
        count = copied ? 1 : tc_min(same_lines_end(s, lines), tc_min(in_place.end, end)) - q;
        if (hints) {
            tc_fetch(tc_at(job->y.data, y + q * line + next, bytes), count, line * bytes,
                     width * bytes);
        }
        add_channels(s, x + q * job->x.axis[TC_H], y + q * line, count, copied, lines);
    }
}

/* A plane of x and the plane of y that it meets: the columns at its ends, for which masks are, are
 * taken by themselves. */
static void add_plane(struct state *s, ptrdiff_t x, ptrdiff_t y)
{
    const struct tc_range inner = inner_columns(s);
    const ptrdiff_t bounds[] = {0, inner.begin, inner.end, s->job->lattice.axis[TC_W].in};
    for (int i = 0; i < 3; i++) {
        s->columns = (struct tc_range){bounds[i], bounds[i + 1]};
        s->masked = i != 1;
        if (bounds[i] < bounds[i + 1]) {
            add_columns(s, x, y);
        }
    }
}

static void add_image(struct state *s, ptrdiff_t n)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const x = &job->x, *const y = &job->y;
    const struct tc_axis *const d = &job->lattice.axis[TC_D];
    const ptrdiff_t ci = tc_group_ci(job->problem), co = tc_group_co(job->problem);
    const ptrdiff_t from = n * x->n + s->channels.begin / co * ci * x->c;
    const ptrdiff_t to = n * y->n + s->channels.begin * y->c;
    const struct tc_range depth = tc_lattice_joined(d, s->k[TC_D]);
    for (ptrdiff_t v = depth.begin; v < depth.end && !tc_is_stopped(job->watch); v++) {
        const ptrdiff_t u = d->out_step * v + d->dilation * s->k[TC_D] - d->padding;
        add_plane(s, from + v * x->axis[TC_D], to + u * y->axis[TC_D]);
    }
}

/* ---- tasks ---- */

struct run {
    const struct tc_job *job;
    char *scratch;
};

static struct state state_of(const struct tc_job *job, ptrdiff_t task, char *scratch)
{
    const struct tc_problem *const p = job->problem;
    const struct scratch size = scratch_of(job);
    const ptrdiff_t parts = tc_part_count(job->kernels, p->k[TC_W]), bands = band_count(job, &size);
    const ptrdiff_t band = task / parts % bands, rest = task / parts / bands; /* span, kd */
    struct state s = {.job = job, .scratch = size};
    s.part = tc_part_at(job->kernels, p->k[TC_W], task % parts);
    s.phases = tc_share_of(line_phases(job), band, bands);
    s.k[TC_W] = s.part.first;
    s.k[TC_D] = rest % p->k[TC_D];
    s.channels.begin = rest / p->k[TC_D] * size.span;
    s.channels.end = tc_min(s.channels.begin + size.span, p->co);
    s.copy = scratch;
    s.sums = s.copy + size.lines;
    s.masks = (unsigned char *)s.sums + size.sums;
    memset(s.copy, 0, (size_t)size.lines);
    return s;
}

static void write_sums(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t bytes = job->kernels->bytes, co = tc_group_co(job->problem);
    for (ptrdiff_t c = 0; c < tc_range_length(s->channels); c++) {
        const ptrdiff_t channel = s->channels.begin + c;
        const ptrdiff_t to = channel / co * w->g + channel % co * w->co +
                             s->k[TC_D] * w->axis[TC_D] + s->k[TC_W] * w->axis[TC_W];
        for (ptrdiff_t line = 0; line < s->lines; line++) {
            const ptrdiff_t kh = s->k[TC_H] + line * job->lattice.axis[TC_H].k_step;
            const struct tc_matrix dst = {tc_at(w->data, to + kh * w->axis[TC_H], bytes), w->ci,
                                          w->axis[TC_W]};
            const struct tc_matrix src = {sums_at(s, c, line), s->part.width * job->kernels->lanes,
                                          1};
            tc_copy(job->kernels, tc_group_ci(job->problem), s->part.lanes, dst, src);
        }
    }
}

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    struct state s = state_of(job, task, run->scratch + thread * job->thread_bytes);
    set_masks(&s);
    for (ptrdiff_t phase = s.phases.begin; phase < s.phases.end; phase++) {
        s.k[TC_H] = phase;
        s.lines = tc_ceil_div(job->problem->k[TC_H] - phase, job->lattice.axis[TC_H].k_step);
        memset(s.sums, 0, (size_t)s.scratch.sums);
        for (ptrdiff_t n = 0; n < job->problem->n; n++) {
            add_image(&s, n);
        }
        write_sums(&s);
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, scratch};
    tc_parallel(job->tasks, job->threads, run_task, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const struct tc_part part = tc_part_at(job->kernels, job->problem->k[TC_W], 0);
    tc_say(text, "%td channels x %td elements of a kernel line",
           tc_min(tc_group_ci(job->problem), job->kernels->rows[part.width - 1]),
           (ptrdiff_t)part.width * job->kernels->lanes);
}

const struct tc_engine tc_engine_wline = {
    .name = "wline",
    .contractions = TC_DOES_WEIGHT,
    .accept = accept,
    .run = run,
    .describe = describe,
};
