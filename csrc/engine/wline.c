/* SPDX-License-Identifier: BSD-3-Clause */
/* wline: the gradient of the weights where kernels are long and channels few (up-sampling by fixed
 * filters, overlap-add). Lanes are the elements of a kernel line, which meet a position of the
 * small side in a piece of a line of the large side,
 *
 *     gw[ci][co][kd][kh][kw] = sum over n, v of  x[n][ci][v] * y[n][co][..][s*vw + kw - p],
 *
 * so that tiles sum over the positions of a line and nothing is transposed. Where the piece reaches
 * into the padding, its lanes are masked: no padding zero is read. The kernel lines of a phase meet
 * the same lines of y, so each of those is read once.
 *
 *     for group, channel of y, kd, phase along the height and part of the kernel lines (a task)
 *       for image, for line of y
 *         copy it
 *         for kernel line of the phase
 *           sums[kh][ci][kw] += tile over the line of x that it joins with it
 *       write the sums */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

#include <string.h>

/* Bytes of the parts of a thread's scratch. */
struct scratch {
    ptrdiff_t line, sums, masks;
};

/* A task at work. */
struct state {
    const struct tc_job *job;
    struct tc_part part;      /* of the kernel lines */
    ptrdiff_t group, channel; /* of y, within the group */
    ptrdiff_t k[TC_SPATIAL];  /* where the part of the phase's first kernel line begins */
    ptrdiff_t lines;          /* kernel lines of the phase */
    bool masked;              /* whether some piece reaches into the padding */
    char *line, *sums;
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

static struct scratch scratch_of(const struct tc_job *job)
{
    const ptrdiff_t bytes = job->kernels->bytes;
    struct scratch scratch = {0, 0, 0};
    const bool fits = tc_mul(line_length(job), bytes, &scratch.line) &&
                      tc_mul(most_lines(job), sums_length(job) * bytes, &scratch.sums) &&
                      tc_mul(job->lattice.axis[TC_W].in, mask_bytes(job), &scratch.masks) &&
                      tc_add(scratch.line, TC_ALIGN, &scratch.line);
    scratch.line = fits ? scratch.line / TC_ALIGN * TC_ALIGN : PTRDIFF_MAX;
    return scratch;
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
    const bool fits = tc_add(scratch.line, scratch.sums, bytes) &&
                      tc_add(*bytes, scratch.masks, bytes) && tc_add(*bytes, TC_ALIGN, bytes);
    *bytes = fits ? *bytes / TC_ALIGN * TC_ALIGN : PTRDIFF_MAX;
    job->packed_bytes = 0;
    job->shared_bytes = 0;
    job->tasks = p->co * p->k[TC_D] * line_phases(job) * tc_part_count(job->kernels, p->k[TC_W]);
    return NULL;
}

/* ---- lines ---- */

/* Element of y's line that the first position of x meets through the part's first element. */
static ptrdiff_t first_met(const struct state *s)
{
    return s->k[TC_W] - s->job->lattice.axis[TC_W].padding;
}

/* For each position of a line of x the lanes whose element of y exists. */
static void set_masks(struct state *s)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    s->masked = false;
    memset(s->masks, 0, (size_t)(axis->in * mask_bytes(s->job)));
    for (ptrdiff_t v = 0; v < axis->in; v++) {
        const ptrdiff_t at = first_met(s) + v * axis->out_step;
        const ptrdiff_t begin = tc_clamp(-at, 0, s->part.lanes);
        const ptrdiff_t end = tc_clamp(axis->out - at, begin, s->part.lanes);
        unsigned char *const mask = s->masks + v * mask_bytes(s->job);
        s->masked = s->masked || end - begin < s->part.lanes;
        if (end - begin == s->part.lanes) {
            memset(mask, 0xff, (size_t)mask_bytes(s->job));
        }
        for (ptrdiff_t lane = begin; lane < end && end - begin < s->part.lanes; lane++) {
            mask[lane / 8] |= (unsigned char)(1 << lane % 8);
        }
    }
}

/* Copies what exists of a line of y to where the tiles look for it. */
static void copy_line(const struct state *s, const void *from)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const ptrdiff_t bytes = s->job->kernels->bytes, step = s->job->y.axis[TC_W];
    const ptrdiff_t begin = tc_clamp(first_met(s), 0, axis->out);
    const ptrdiff_t end =
        tc_clamp(first_met(s) + (axis->in - 1) * axis->out_step + s->part.lanes, begin, axis->out);
    const struct tc_matrix src = {tc_at(from, begin * step, bytes), 0, step};
    const struct tc_matrix dst = {tc_at(s->line, begin - first_met(s), bytes), 0, 1};
    tc_copy(s->job->kernels, 1, end - begin, dst, src);
}

/* The lines of a phase lie so far apart that the processor does not see where it goes on. */
static void fetch_line(const struct state *s, const char *line)
{
    const ptrdiff_t bytes = s->job->kernels->bytes;
    for (ptrdiff_t at = 0; at < s->job->lattice.axis[TC_W].out * bytes; at += TC_ALIGN) {
        __builtin_prefetch(line + at);
    }
}

/* Adds the products of one line of x, whose first channel begins at `x`, to the sums of a kernel
 * line. */
static void add_line(const struct state *s, const void *x, void *sums)
{
    const struct tc_job *const job = s->job;
    const struct tc_kernels *const kernels = job->kernels;
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    const ptrdiff_t lanes = s->part.width * kernels->lanes, ci = tc_group_ci(job->problem);
    const ptrdiff_t most = kernels->rows[s->part.width - 1];
    ptrdiff_t a_row[TC_MAX_ROWS], c_row[TC_MAX_ROWS];
    struct tc_tile tile = {
        .lanes = s->part.lanes,
        .k = 1,
        .taps = {1, 1, axis->in},
        .a = x,
        .a_row = a_row,
        .a_tap = {0, 0, job->x.axis[TC_W]},
        .b = s->line,
        .b_tap = {0, 0, axis->out_step},
        .add = true,
        .mask = s->masked ? s->masks : NULL,
        .mask_tap = {0, 0, mask_bytes(job)},
        .c = sums,
        .c_row = c_row,
    };
    for (ptrdiff_t first = 0; first < ci; first += tile.rows) {
        tile.rows = tc_min(ci - first, most);
        for (ptrdiff_t r = 0; r < tile.rows; r++) {
            a_row[r] = (first + r) * job->x.c;
            c_row[r] = (first + r) * lanes;
        }
        kernels->tile[s->part.width - 1](&tile);
    }
}

/* A plane of x, whose first channel begins at `x`, and the plane of y that it meets. Line q of the
 * phase's lines of y meets line q of x through the first kernel line, q - step through the next. */
static void add_plane(const struct state *s, const void *x, const void *y)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const h = &job->lattice.axis[TC_H];
    const ptrdiff_t step = -h->offset_step, bytes = job->kernels->bytes;
    const ptrdiff_t first = h->dilation * s->k[TC_H] - h->padding; /* the line of y for q = 0 */
    const ptrdiff_t begin = tc_max(tc_ceil_div(-first, h->out_step), 0);
    const ptrdiff_t end =
        tc_min(tc_ceil_div(h->out - first, h->out_step), h->in + (s->lines - 1) * step);
    for (ptrdiff_t q = begin; q < end; q++) {
        const ptrdiff_t at = (first + q * h->out_step) * job->y.axis[TC_H];
        copy_line(s, tc_at(y, at, bytes));
        if (job->y.axis[TC_W] == 1 && q + 1 < end) {
            fetch_line(s, tc_at(y, at + h->out_step * job->y.axis[TC_H], bytes));
        }
        for (ptrdiff_t line = 0; line < s->lines; line++) {
            const ptrdiff_t v = q - line * step;
            if (v >= 0 && v < h->in) {
                add_line(s, tc_at(x, v * job->x.axis[TC_H], bytes),
                         tc_at(s->sums, line * sums_length(job), bytes));
            }
        }
    }
}

static void add_image(const struct state *s, ptrdiff_t n)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const x = &job->x, *const y = &job->y;
    const struct tc_axis *const d = &job->lattice.axis[TC_D];
    const ptrdiff_t ci = tc_group_ci(job->problem), co = tc_group_co(job->problem);
    const ptrdiff_t from = n * x->n + s->group * ci * x->c, bytes = job->kernels->bytes;
    const ptrdiff_t to = n * y->n + (s->group * co + s->channel) * y->c;
    const struct tc_range depth = tc_lattice_joined(d, s->k[TC_D]);
    for (ptrdiff_t v = depth.begin; v < depth.end; v++) {
        const ptrdiff_t u = d->out_step * v + d->dilation * s->k[TC_D] - d->padding;
        add_plane(s, tc_at(x->data, from + v * x->axis[TC_D], bytes),
                  tc_at(y->data, to + u * y->axis[TC_D], bytes));
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
    const ptrdiff_t parts = tc_part_count(job->kernels, p->k[TC_W]), phases = line_phases(job);
    const ptrdiff_t co = tc_group_co(p), phase = task / parts % phases;
    const ptrdiff_t rest = task / parts / phases; /* group, channel, kd */
    const struct scratch size = scratch_of(job);
    struct state s = {.job = job, .part = tc_part_at(job->kernels, p->k[TC_W], task % parts)};
    s.k[TC_W] = s.part.first;
    s.k[TC_H] = phase;
    s.k[TC_D] = rest % p->k[TC_D];
    s.lines = tc_ceil_div(p->k[TC_H] - phase, job->lattice.axis[TC_H].k_step);
    s.channel = rest / p->k[TC_D] % co;
    s.group = rest / p->k[TC_D] / co;
    s.line = scratch;
    s.sums = s.line + size.line;
    s.masks = (unsigned char *)s.sums + size.sums;
    memset(s.line, 0, (size_t)(size.line + size.sums));
    return s;
}

static void write_sums(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t bytes = job->kernels->bytes;
    for (ptrdiff_t line = 0; line < s->lines; line++) {
        const ptrdiff_t kh = s->k[TC_H] + line * job->lattice.axis[TC_H].k_step;
        const ptrdiff_t to = s->group * w->g + s->channel * w->co + s->k[TC_D] * w->axis[TC_D] +
                             kh * w->axis[TC_H] + s->k[TC_W] * w->axis[TC_W];
        const struct tc_matrix dst = {tc_at(w->data, to, bytes), w->ci, w->axis[TC_W]};
        const struct tc_matrix src = {tc_at(s->sums, line * sums_length(job), bytes),
                                      s->part.width * job->kernels->lanes, 1};
        tc_copy(job->kernels, tc_group_ci(job->problem), s->part.lanes, dst, src);
    }
}

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    struct state s = state_of(job, task, run->scratch + thread * job->thread_bytes);
    set_masks(&s);
    for (ptrdiff_t n = 0; n < job->problem->n; n++) {
        add_image(&s, n);
    }
    write_sums(&s);
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, scratch};
    tc_parallel(job->tasks, job->threads, run_task, &context);
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
