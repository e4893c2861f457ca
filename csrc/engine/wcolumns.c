/* SPDX-License-Identifier: BSD-3-Clause */
/* wcolumns: the gradient of the weights where channels are so few that they fill no vector, nor
 * groups do. Lanes are positions along the width of the small side,
 *
 *     gw[ci][co][k] = sum over n, v of  x[n][ci][v] * y[n][co][s*v + d*k - p],
 *
 * and a lane sums the columns that lie a multiple of a vector apart. So lines are read as they lie,
 * in the order of memory. Lanes that a kernel element joins with nothing are masked: no padding
 * zero is read.
 *
 *     for span of groups and slab of the small side's lines (a task)
 *       for plane (image, depth), kd, for sets of the span's groups
 *         for some lines, or a piece of a long one
 *           copy what is not contiguous, and the large side by remainders of the stride
 *           for channels of a group, kernel lines kh, kh + step, ...
 *             the kernel `dots`, over all columns of these lines
 *     add the slabs, then the lanes of each sum
 *
 * A lane adds line after line, and spans and slabs follow from the geometry, so neither strides nor
 * threads change a bit. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

#include <string.h>

enum {
    COPY_BYTES = 64 << 10,  /* of the lines that are copied at once, if one needs no more, */
    LINE_BYTES = 256 << 10, /* of a line, what it meets included, of a span, */
    TASKS = 16,             /* so many at least, if slabs can help it, */
    SLAB_LINES = 8,         /* of so many lines at least, */
    SLAB_COLUMNS = 4096,    /* if they have no more columns, */
    MOST_SUMS = 512 << 10,  /* and so many bytes of sums at most */
    MOST_STEP = 2,          /* of a stride, if the kernel is not as long as two, */
    EDGES = 2,              /* vectors of a line that masks make slower */
};

static const double EDGE_COST = 0.75;
static const double SUM_COST = 2.4;  /* of a vector that is multiplied, in those of wgrad, */
static const double COPY_COST = 2;   /* that is copied, as all are with channels last, */
static const double SPLIT_COST = 3;  /* and that is split by a stride in any case */
static const double GAIN = 2;        /* what is less may be a loss with channels last, */
static const double COPIED_GAIN = 3; /* the more so where copying takes most of the time */

/* A side of the problem; if it is copied, how: from a remainder to the next, and so on. */
struct side {
    struct tc_image image;
    ptrdiff_t channels; /* of a group */
    ptrdiff_t columns, step;
    bool copied;
    ptrdiff_t part, line, channel;
};

/* Bytes of the parts of a thread's scratch. */
struct scratch {
    ptrdiff_t sums, turned, masks, small, large;
};

/* What the tasks share. */
struct layout {
    const struct tc_job *job;
    struct side small, large;
    ptrdiff_t span, spans;     /* groups of a task */
    ptrdiff_t sets, lines;     /* of those and of a plane, at once */
    ptrdiff_t columns, pieces; /* of a line of the small side at once */
    ptrdiff_t slabs;
    struct scratch bytes;
    char *shared, *scratch;
};

/* A task at work. */
struct state {
    const struct layout *layout;
    ptrdiff_t tap[TC_DOT_TAPS];
    struct tc_dots dots;            /* what all calls have in common */
    struct tc_range groups;         /* of a call */
    struct tc_range lines, columns; /* of the small side */
    ptrdiff_t first;                /* group of the span */
    ptrdiff_t kd;
    char *small, *large, *sums;
};

/* ---- booking ---- */

static ptrdiff_t pair_count(const struct tc_job *job)
{
    return tc_group_ci(job->problem) * tc_group_co(job->problem);
}

/* Lays a copy out for so many lines and groups; its bytes, or too many. */
static ptrdiff_t lay_side(const struct layout *layout, struct side *side, ptrdiff_t lines,
                          ptrdiff_t sets)
{
    const struct tc_kernels *const kernels = layout->job->kernels;
    ptrdiff_t bytes = sets * side->channels * kernels->bytes;
    side->part = tc_odd_lines(kernels, tc_ceil_div(side->columns, side->step));
    const bool fits = tc_mul(side->part, tc_min(side->step, side->columns), &side->line) &&
                      tc_mul(side->line, lines, &side->channel) &&
                      tc_mul(bytes, side->channel, &bytes);
    return !side->copied ? 0 : fits ? bytes : PTRDIFF_MAX / 8;
}

/* The same of both sides. */
static ptrdiff_t lay_copies(struct layout *layout, ptrdiff_t lines, ptrdiff_t sets)
{
    layout->lines = lines;
    layout->sets = sets;
    layout->bytes.small = lay_side(layout, &layout->small, lines, sets);
    const ptrdiff_t met = tc_lattice_large_length(&layout->job->lattice.axis[TC_H], lines);
    layout->bytes.large = lay_side(layout, &layout->large, met, sets);
    return layout->bytes.small + layout->bytes.large;
}

/* Groups and lines at once: all, if they are read in place. Channels that lie side by side are
 * transposed by whole vectors. */
static void cut(struct layout *layout)
{
    const bool by_channels =
        layout->small.image.axis[TC_W] != 1 || layout->large.image.axis[TC_W] != 1;
    ptrdiff_t lines = layout->pieces > 1 ? 1 : tc_max(layout->job->problem->i[TC_H], 1);
    ptrdiff_t sets = layout->span;
    while (lay_copies(layout, lines, sets) > COPY_BYTES && sets > 1 && !by_channels) {
        sets = tc_ceil_div(sets, 2);
    }
    while (lay_copies(layout, lines, sets) > COPY_BYTES && lines > 1) {
        lines = tc_ceil_div(lines, 2);
    }
}

/* Pieces of lines of the small side in all planes. */
static ptrdiff_t piece_count(const struct layout *layout)
{
    const struct tc_problem *const p = layout->job->problem;
    return p->n * p->i[TC_D] * p->i[TC_H] * layout->pieces;
}

/* Bytes of a span's elements of both sides that one column of a line meets, and of those that the
 * kernel reaches beyond a piece. */
static double column_bytes(const struct tc_job *job, ptrdiff_t span)
{
    const struct tc_problem *const p = job->problem;
    const double met =
        (double)tc_lattice_large_length(&job->lattice.axis[TC_H], 1) * (double)p->s[TC_W];
    const double elements = (double)tc_group_ci(p) + (double)tc_group_co(p) * met;
    return (double)(span * job->kernels->bytes) * elements;
}

static double reach_bytes(const struct tc_job *job, ptrdiff_t span)
{
    const struct tc_problem *const p = job->problem;
    const double met = (double)tc_lattice_large_length(&job->lattice.axis[TC_H], 1);
    const double reach = (double)p->d[TC_W] * (double)(p->k[TC_W] - 1);
    return (double)(span * job->kernels->bytes) * (double)tc_group_co(p) * met * reach;
}

/* Cuts lines into pieces, whole vectors but for the last. */
static void cut_lines(struct layout *layout)
{
    const struct tc_job *const job = layout->job;
    const ptrdiff_t width = tc_max(job->problem->i[TC_W], 1), lanes = job->kernels->lanes;
    const double most = LINE_BYTES / column_bytes(job, layout->span);
    layout->columns = most < (double)width ? tc_max((ptrdiff_t)most / lanes, 1) * lanes : width;
    layout->pieces = tc_ceil_div(width, layout->columns);
    layout->columns = tc_min(layout->columns, width);
}

/* The sums are [pair][group][k][lanes]. */
static ptrdiff_t sums_bytes(const struct tc_job *job, ptrdiff_t span)
{
    ptrdiff_t bytes = span * job->kernels->lanes * job->kernels->bytes;
    const bool fits = tc_mul(bytes, tc_kernel_volume(job->problem), &bytes) &&
                      tc_mul(bytes, pair_count(job), &bytes);
    return fits ? bytes : PTRDIFF_MAX / 8;
}

static struct layout layout_of(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    struct layout layout = {.job = job, .span = tc_min(job->kernels->lanes, p->g)};
    cut_lines(&layout);
    /* split lines begin at a whole step */
    const ptrdiff_t met = tc_lattice_large_length(&job->lattice.axis[TC_W], layout.columns);
    const ptrdiff_t columns = tc_min(met + p->s[TC_W] - 1, p->o[TC_W]);
    layout.small = (struct side){.image = job->x,
                                 .channels = tc_group_ci(p),
                                 .columns = layout.columns,
                                 .step = 1,
                                 .copied = job->x.axis[TC_W] != 1};
    layout.large = (struct side){.image = job->y,
                                 .channels = tc_group_co(p),
                                 .columns = columns,
                                 .step = p->s[TC_W],
                                 .copied = job->y.axis[TC_W] != 1 || p->s[TC_W] > 1};
    layout.spans = tc_ceil_div(p->g, layout.span);
    const ptrdiff_t least = tc_clamp(SLAB_COLUMNS / layout.columns, 1, SLAB_LINES);
    const ptrdiff_t most = tc_max(piece_count(&layout) / least, 1);
    layout.slabs = tc_clamp(tc_ceil_div(TASKS, layout.spans), 1, most);
    cut(&layout);
    const ptrdiff_t vectors = tc_ceil_div(layout.columns, job->kernels->lanes);
    layout.bytes.sums = sums_bytes(job, layout.span);
    layout.bytes.turned = 2 * layout.bytes.sums / pair_count(job); /* and their totals */
    layout.bytes.masks = tc_round_up(vectors * (ptrdiff_t)sizeof(struct tc_dot_masks), TC_ALIGN);
    return layout;
}

/* Multiply-adds of vectors for each position of the small side, in those of wgrad. */
static double cost_of(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t vectors = tc_ceil_div(p->i[TC_W], job->kernels->lanes);
    const double slower = EDGE_COST * (double)tc_min(vectors, EDGES);
    const double lines = ((double)vectors + slower) / (double)tc_max(p->i[TC_W], 1);
    const double pairs = (double)p->g * (double)pair_count(job);
    const double spread = (double)p->s[TC_D] * (double)p->s[TC_H] * (double)p->s[TC_W];
    const double small = (double)p->ci / job->kernels->lanes;
    const double large = (double)p->co * spread / job->kernels->lanes;
    const double copies = COPY_COST * (small + large) + (p->s[TC_W] > 1 ? SPLIT_COST * large : 0);
    return SUM_COST * pairs * (double)tc_kernel_volume(p) * lines + copies * (double)p->k[TC_D];
}

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    if (p->k[TC_W] > TC_DOT_TAPS) {
        return "kernel lines are too long";
    }
    const ptrdiff_t step = p->s[TC_W];
    const double gain = step > 1 || tc_kernel_volume(p) == 1 ? COPIED_GAIN : GAIN;
    if (!job->forced && step > tc_min(p->k[TC_W], MOST_STEP) && 2 * step > p->k[TC_W]) {
        return "the stride along the width is too long to copy all of a line";
    }
    if (!job->forced && reach_bytes(job, tc_min(job->kernels->lanes, p->g)) > LINE_BYTES) {
        return "the kernel reaches too far along the width";
    }
    if (!job->forced && gain * cost_of(job) > tc_wgrad_cost(job)) {
        return "channels or groups fill vectors better";
    }
    return NULL;
}

static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    const struct layout layout = layout_of(job);
    const struct scratch bytes = layout.bytes;
    ptrdiff_t *const shared = &job->shared_bytes;
    const bool fits =
        tc_mul(bytes.sums, layout.spans, shared) && tc_mul(*shared, layout.slabs, shared);
    if (!job->forced && (!fits || *shared > MOST_SUMS)) {
        return "there are too many sums";
    }
    *shared = layout.slabs == 1 ? 0 : fits ? *shared : PTRDIFF_MAX;
    job->packed_bytes = 0;
    job->thread_bytes = bytes.sums + bytes.turned + bytes.masks + bytes.small + bytes.large;
    job->tasks = layout.spans * layout.slabs;
    return NULL;
}

/* ---- lines ---- */

/* A side's channels of the groups from line 0, column 0 of the plane at `at` on: in place, or a
 * copy of some lines and columns, where column 0 of each remainder would lie as far before them as
 * the columns are numbered in steps. */
static struct tc_image read_side(const struct state *s, const struct side *side, ptrdiff_t at,
                                 struct tc_range lines, struct tc_range columns, char *copy)
{
    const struct tc_kernels *const kernels = s->layout->job->kernels;
    struct tc_image image = side->image;
    image.data = tc_at(image.data, at + s->groups.begin * side->channels * image.c, kernels->bytes);
    if (!side->copied) {
        return image;
    }
    const ptrdiff_t first = columns.begin / side->step; /* whole steps before the columns */
    const ptrdiff_t from = lines.begin * image.axis[TC_H] + first * side->step * image.axis[TC_W];
    const struct tc_split split = {
        .channels = tc_range_length(s->groups) * side->channels,
        .lines = tc_range_length(lines),
        .columns = columns.end - first * side->step,
        .step = side->step,
        .src = tc_at(image.data, from, kernels->bytes),
        .src_channel = image.c,
        .src_line = image.axis[TC_H],
        .src_column = image.axis[TC_W],
        .dst = copy,
        .dst_channel = side->channel,
        .dst_line = side->line,
        .dst_part = side->part,
    };
    tc_split(kernels, &split);
    return (struct tc_image){.data = tc_at(copy, -lines.begin * side->line - first, kernels->bytes),
                             .c = side->channel,
                             .axis = {0, side->line, 1}};
}

/* Products with kernel lines kh, kh + k_step, ... of one pair of channels of each group. */
static void run_kernel_lines(const struct state *s, const struct tc_image *x,
                             const struct tc_image *y, ptrdiff_t pair, ptrdiff_t kh)
{
    const struct layout *const layout = s->layout;
    const struct tc_problem *const p = layout->job->problem;
    const struct tc_axis *const h = &layout->job->lattice.axis[TC_H];
    const ptrdiff_t lanes = layout->job->kernels->lanes, bytes = layout->job->kernels->bytes;
    const ptrdiff_t volume = tc_kernel_volume(p), ci = layout->small.channels;
    const ptrdiff_t co = layout->large.channels, line = s->lines.begin, v = s->columns.begin;
    const ptrdiff_t met = h->dilation * kh - h->padding; /* by line 0 */
    const ptrdiff_t set = pair * layout->span + s->groups.begin - s->first;
    const ptrdiff_t small = pair / co * x->c + line * x->axis[TC_H] + v;
    const ptrdiff_t large = pair % co * y->c + (h->out_step * line + met) * y->axis[TC_H] + v;
    struct tc_dots dots = s->dots;
    dots.sets = tc_range_length(s->groups);
    dots.lines = tc_range_length(s->lines);
    dots.met_begin = tc_ceil_div(-met, h->out_step) - line;
    dots.met_end = tc_ceil_div(h->out - met, h->out_step) - line;
    dots.reach = (int)tc_ceil_div(h->kernel - kh, h->k_step);
    dots.small = tc_at(x->data, small, bytes);
    dots.small_set = ci * x->c;
    dots.small_line = x->axis[TC_H];
    dots.large = tc_at(y->data, large, bytes);
    dots.large_set = co * y->c;
    dots.large_line = h->out_step * y->axis[TC_H];
    dots.sums =
        tc_at(s->sums, (set * volume + (s->kd * h->kernel + kh) * p->k[TC_W]) * lanes, bytes);
    layout->job->kernels->dots(&dots);
}

/* All products of some lines of a plane, `x` and `y` elements behind the images. */
static void run_lines(const struct state *s, ptrdiff_t x, ptrdiff_t y)
{
    const struct layout *const layout = s->layout;
    const struct tc_axis *const h = &layout->job->lattice.axis[TC_H];
    const struct tc_range lines = tc_lattice_large(h, s->lines);
    const struct tc_range columns = tc_lattice_large(&layout->job->lattice.axis[TC_W], s->columns);
    const struct tc_image small = read_side(s, &layout->small, x, s->lines, s->columns, s->small);
    const struct tc_image large = read_side(s, &layout->large, y, lines, columns, s->large);
    for (ptrdiff_t pair = 0; pair < pair_count(layout->job); pair++) {
        for (ptrdiff_t kh = 0; kh < tc_min(h->k_step, h->kernel); kh++) {
            run_kernel_lines(s, &small, &large, pair, kh);
        }
    }
}

/* The same of more lines and of all groups of the span. */
static void run_plane(struct state *s, struct tc_range span, struct tc_range lines, ptrdiff_t x,
                      ptrdiff_t y)
{
    const struct layout *const layout = s->layout;
    for (ptrdiff_t g = span.begin; g < span.end; g += layout->sets) {
        s->groups = (struct tc_range){g, tc_min(g + layout->sets, span.end)};
        for (ptrdiff_t line = lines.begin; line < lines.end; line += layout->lines) {
            s->lines = (struct tc_range){line, tc_min(line + layout->lines, lines.end)};
            run_lines(s, x, y);
        }
    }
}

/* ---- tasks ---- */

/* The columns of the piece, from its first on, that a tap joins with some of the large side's. */
static struct tc_range joined(const struct state *s, ptrdiff_t tap)
{
    const struct tc_range met = tc_lattice_joined(&s->layout->job->lattice.axis[TC_W], tap);
    const ptrdiff_t first = s->columns.begin, width = tc_range_length(s->columns);
    const ptrdiff_t begin = tc_clamp(met.begin - first, 0, width);
    return (struct tc_range){begin, tc_clamp(met.end - first, begin, width)};
}

/* Where the taps lie in a line of the large side, for which lanes of the piece's columns they
 * count, and where their sums are. */
static void set_taps(struct state *s, struct tc_dot_masks *masks)
{
    const struct tc_job *const job = s->layout->job;
    const struct tc_axis *const w = &job->lattice.axis[TC_W], *const h = &job->lattice.axis[TC_H];
    const ptrdiff_t lanes = job->kernels->lanes, step = w->out_step;
    struct tc_range met[TC_DOT_TAPS];
    struct tc_dots *const dots = &s->dots;
    *dots = (struct tc_dots){.lanes = lanes,
                             .gap = -h->offset_step,
                             .taps = (int)w->kernel,
                             .add = true,
                             .small_column = lanes,
                             .large_column = lanes,
                             .tap = s->tap,
                             .sum_set = tc_kernel_volume(job->problem) * lanes,
                             .sum_line = h->k_step * w->kernel * lanes,
                             .sum_tap = lanes};
    for (ptrdiff_t t = 0; t < w->kernel; t++) {
        const ptrdiff_t at = w->dilation * t - w->padding, cell = tc_floor_div(at, step);
        s->tap[t] = (at - cell * step) * s->layout->large.part + cell;
        met[t] = joined(s, t);
    }
    tc_set_columns(dots, masks, tc_range_length(s->columns), met);
}

static struct tc_range span_at(const struct layout *layout, ptrdiff_t span)
{
    const ptrdiff_t begin = span * layout->span;
    return (struct tc_range){begin, tc_min(begin + layout->span, layout->job->problem->g)};
}

/* Adds up the lanes of a span's sums and writes them to gw. */
static void write_sums(const struct layout *layout, ptrdiff_t span, const char *sums, char *turned)
{
    const struct tc_job *const job = layout->job;
    const struct tc_problem *const p = job->problem;
    const struct tc_weight *const w = &job->w;
    const struct tc_range groups = span_at(layout, span);
    const ptrdiff_t lanes = job->kernels->lanes, bytes = job->kernels->bytes;
    const ptrdiff_t volume = tc_kernel_volume(p), count = tc_range_length(groups) * volume;
    char *const totals = tc_at(turned, lanes * count, bytes);
    for (ptrdiff_t pair = 0; pair < pair_count(job); pair++) {
        const ptrdiff_t to =
            groups.begin * w->g + pair / tc_group_co(p) * w->ci + pair % tc_group_co(p) * w->co;
        const void *const from = tc_at(sums, pair * layout->span * volume * lanes, bytes);
        tc_add_lanes(job->kernels, count, from, turned, totals);
        for (ptrdiff_t line = 0; line < p->k[TC_D] * p->k[TC_H]; line++) {
            const ptrdiff_t at =
                to + line / p->k[TC_H] * w->axis[TC_D] + line % p->k[TC_H] * w->axis[TC_H];
            const struct tc_matrix src = {tc_at(totals, line * p->k[TC_W], bytes), volume, 1};
            const struct tc_matrix dst = {tc_at(w->data, at, bytes), w->g, w->axis[TC_W]};
            tc_copy(job->kernels, tc_range_length(groups), p->k[TC_W], dst, src);
        }
    }
}

static char *slab_at(const struct layout *layout, ptrdiff_t span, ptrdiff_t slab)
{
    return layout->shared + (span * layout->slabs + slab) * layout->bytes.sums;
}

/* Some lines of a plane, with the planes of the large side that it meets. */
static void run_planes(struct state *s, struct tc_range span, ptrdiff_t plane,
                       struct tc_range lines)
{
    const struct tc_job *const job = s->layout->job;
    const struct tc_axis *const d = &job->lattice.axis[TC_D];
    const ptrdiff_t n = plane / d->in, vd = plane % d->in;
    for (s->kd = 0; s->kd < d->kernel; s->kd++) {
        const struct tc_range joined = tc_lattice_joined(d, s->kd);
        const ptrdiff_t ud = d->out_step * vd + d->dilation * s->kd - d->padding;
        if (joined.begin <= vd && vd < joined.end) {
            run_plane(s, span, lines, n * job->x.n + vd * job->x.axis[TC_D],
                      n * job->y.n + ud * job->y.axis[TC_D]);
        }
    }
}

/* The pieces of lines from number `at` on, before `end`, of one plane, or one of a long line;
 * returns where the next begin. */
static ptrdiff_t run_pieces(struct state *s, struct tc_range span, ptrdiff_t at, ptrdiff_t end,
                            struct tc_dot_masks *masks)
{
    const struct layout *const layout = s->layout;
    const struct tc_problem *const p = layout->job->problem;
    const ptrdiff_t line = at / layout->pieces, piece = at % layout->pieces;
    const ptrdiff_t plane = line / p->i[TC_H], first = plane * p->i[TC_H];
    const ptrdiff_t last = layout->pieces > 1 ? line + 1 : tc_min(first + p->i[TC_H], end);
    const ptrdiff_t column = piece * layout->columns;
    const struct tc_range columns = {column, tc_min(column + layout->columns, p->i[TC_W])};
    if (s->dots.taps == 0 || s->columns.begin != column) {
        s->columns = columns;
        set_taps(s, masks);
    }
    run_planes(s, span, plane, (struct tc_range){line - first, last - first});
    return layout->pieces > 1 ? at + 1 : last;
}

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct layout *const layout = context;
    const struct scratch *const bytes = &layout->bytes;
    const struct tc_job *const job = layout->job;
    const ptrdiff_t slab = task % layout->slabs, span = task / layout->slabs;
    const struct tc_range share = tc_share_of(piece_count(layout), slab, layout->slabs);
    char *const scratch = layout->scratch + thread * job->thread_bytes;
    char *const turned = scratch + bytes->sums, *const masks = turned + bytes->turned;
    struct state s = {.layout = layout, .first = span * layout->span};
    s.sums = layout->slabs > 1 ? slab_at(layout, span, slab) : scratch;
    s.small = masks + bytes->masks;
    s.large = s.small + bytes->small;
    memset(s.sums, 0, (size_t)bytes->sums);
    ptrdiff_t end;
    for (ptrdiff_t at = share.begin; at < share.end && !tc_is_stopped(job->watch); at = end) {
        end = run_pieces(&s, span_at(layout, span), at, share.end, (void *)masks);
    }
    if (layout->slabs == 1) {
        write_sums(layout, span, s.sums, turned);
    }
}

/* Adds the slabs of a span in their order and writes the sum. */
static void add_slabs(const void *context, ptrdiff_t span, int thread)
{
    const struct layout *const layout = context;
    const struct tc_job *const job = layout->job;
    char *const sum = slab_at(layout, span, 0);
    for (ptrdiff_t slab = 1; slab < layout->slabs; slab++) {
        const struct tc_rows rows = {.rows = 1,
                                     .columns = layout->bytes.sums / job->kernels->bytes,
                                     .src = slab_at(layout, span, slab),
                                     .dst = sum};
        job->kernels->add(&rows);
    }
    write_sums(layout, span, sum, layout->scratch + thread * job->thread_bytes);
}

static void run(const struct tc_job *job, void *scratch)
{
    struct layout layout = layout_of(job);
    layout.shared = scratch;
    layout.scratch = layout.shared + job->shared_bytes;
    tc_parallel(job->tasks, job->threads, run_task, &layout, job->watch);
    if (layout.slabs > 1) {
        tc_parallel(layout.spans, job->threads, add_slabs, &layout, job->watch);
    }
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    tc_say(text, "%d columns of the small side", job->kernels->lanes);
}

const struct tc_engine tc_engine_wcolumns = {
    .name = "wcolumns",
    .contractions = TC_DOES_WEIGHT,
    .accept = accept,
    .run = run,
    .describe = describe,
};
