/* SPDX-License-Identifier: BSD-3-Clause */
/* taps: convolutions with a long stride and few channels (gradients of up-sampling by fixed
 * filters, filter banks). Lanes are the elements of a kernel line, which an output meets in a piece
 * of a line of inputs,
 *
 *     y[co][oh][v] = sum over ci, kd, kh, kw of
 *         x[ci][..][s*oh + kh - p][s*v + kw - p] * w[co][ci][kd][kh][kw],
 *
 * so nothing is split by the stride. That is the gradient of a weight with stride and dilation
 * exchanged: the kernel is the small image and the outputs are the elements that are summed. So it
 * is `dots` that sums, and its masks leave out the lanes that meet the padding: no padding zero is
 * read. A vector of inputs is loaded once for all the lines of outputs that it meets.
 *
 *     for block (image, groups, depth, some lines and columns of outputs: a task)
 *       for kd
 *         copy the kernel, if its elements do not follow each other
 *         for some lines of inputs, which meet the same lines of outputs
 *           copy them, if theirs do not
 *           for channels of a group, for piece of these lines of outputs
 *             the kernel `dots`
 *       add the lanes of each sum, and write it
 *
 * Which lines of inputs are taken at once, and which columns of outputs, follows from the geometry,
 * so neither strides nor threads change a bit. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

#include <string.h>

enum {
    LONG_STRIDE = 8,  /* that pays, */
    MOST_OVERLAP = 8, /* if not so many outputs meet an input, */
    MOST_CI = 8,      /* of a group, */
    MOST_CO = 2,
    FEW_PRODUCTS = 512,    /* of an output that pay for adding up its lanes, */
    MANY_PRODUCTS = 2048,  /* and where channels that lie side by side would fill vectors */
    PIECES = 4,            /* of the outputs of a line in a task, for `dots` each, */
    LINE_ELEMENTS = 4096,  /* that meet so many inputs, about, */
    MET_ELEMENTS = 8192,   /* or so many of some lines at once, if one has no more */
    CACHE_SHARE = 4,       /* of the last cache, for x that lies there already */
    WEIGHTS = 65536,       /* of a group and kernel plane, at most */
    SUM_BYTES = 128 << 10, /* of a task's sums, if one line has no more */
    TASK_MACS = 1 << 19    /* of a task, about, if one group does not have more */
};

/* What the tasks share. */
struct layout {
    ptrdiff_t offset[TC_SPATIAL]; /* from in_step*j to the first input that output j meets */
    bool copies_x, copies_w;
    bool hints;                     /* x is too large to lie in the cache already */
    ptrdiff_t span, rows, columns;  /* groups, lines and columns of outputs of a task, at most */
    ptrdiff_t spans, bands, blocks; /* tasks along these */
    ptrdiff_t vectors;              /* of a kernel line */
    ptrdiff_t lines, pitch;         /* of inputs at once, at most; a copied line */
    ptrdiff_t sum_bytes, turned_bytes, mask_bytes, x_bytes, w_bytes;
};

/* A task at work. */
struct state {
    const struct tc_job *job;
    const struct layout *layout;
    ptrdiff_t n, d;
    struct tc_range groups, lines, columns; /* of outputs */
    struct tc_range inputs;                 /* of a line */
    ptrdiff_t pieces;
    struct tc_dots piece[PIECES]; /* what the calls for a piece of a line have in common */
    ptrdiff_t tap[TC_DOT_TAPS];
    char *sums, *turned, *x, *w;
    struct tc_dot_masks *masks;
};

/* Lines of inputs or of a kernel in memory: from one group to the next, and so on. */
struct lines {
    void *data;
    ptrdiff_t group, input, output, line; /* channels */
};

/* ---- booking ---- */

static ptrdiff_t channel_count(const struct tc_job *job, ptrdiff_t groups)
{
    return groups * tc_group_co(job->problem);
}

/* Weights of a group and kernel plane. */
static ptrdiff_t weight_count(const struct tc_problem *p)
{
    return p->k[TC_H] * p->k[TC_W] * tc_group_ci(p) * tc_group_co(p);
}

/* Columns of outputs in a task. */
static ptrdiff_t columns_of(const struct tc_problem *p)
{
    const ptrdiff_t met = (LINE_ELEMENTS - tc_min(p->k[TC_W], LINE_ELEMENTS)) / p->s[TC_W] + 1;
    const ptrdiff_t most = tc_min(met, PIECES * TC_DOT_TAPS), width = tc_max(p->o[TC_W], 1);
    return tc_ceil_div(width, tc_ceil_div(width, most));
}

/* Groups of a task, and its lines of outputs. */
static void cut(const struct tc_job *job, struct layout *layout)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t height = tc_max(p->o[TC_H], 1), lanes = job->kernels->lanes;
    const ptrdiff_t sums = channel_count(job, 1) * layout->columns; /* of a line */
    const ptrdiff_t line = sums * lanes * job->kernels->bytes;
    const double macs = (double)tc_kernel_volume(p) * (double)tc_group_ci(p) * (double)sums;
    ptrdiff_t lines = tc_max(SUM_BYTES / line, 1);
    /* channels that lie side by side are transposed by whole vectors */
    layout->span = layout->copies_x ? 2 * lanes / tc_group_ci(p) : 1;
    if (lines > height * layout->span) {
        const ptrdiff_t most = tc_max((ptrdiff_t)(TASK_MACS / macs) / height, layout->span);
        layout->span = tc_min(lines / height, most);
    }
    if (layout->copies_w) {
        layout->span = tc_min(layout->span, WEIGHTS / weight_count(p));
    }
    layout->span = tc_clamp(layout->span, 1, p->g);
    lines = tc_clamp(lines / layout->span, 1, height);
    layout->spans = tc_ceil_div(p->g, layout->span);
    layout->blocks = tc_ceil_div(tc_max(p->o[TC_W], 1), layout->columns);
    const ptrdiff_t others = tc_max(p->n * layout->spans * p->o[TC_D] * layout->blocks, 1);
    const ptrdiff_t wanted = tc_ceil_div(tc_tasks_wanted(job), others);
    layout->bands = tc_min(tc_max(tc_ceil_div(height, lines), wanted), height);
    layout->rows = tc_ceil_div(height, layout->bands);
}

static struct layout layout_of(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t lanes = job->kernels->lanes, bytes = job->kernels->bytes;
    struct layout layout = {.copies_x = job->x.axis[TC_W] != 1,
                            .copies_w = job->w.axis[TC_W] != 1,
                            .columns = columns_of(p),
                            .vectors = tc_ceil_div(p->k[TC_W], lanes)};
    for (int a = 0; a < TC_SPATIAL; a++) {
        layout.offset[a] = tc_lattice_offsets(&axis[a]).begin;
    }
    cut(job, &layout);
    layout.hints = tc_input_volume(p) > job->cpu->l3_bytes / CACHE_SHARE / bytes &&
                   !layout.copies_x && layout.span == 1;
    const ptrdiff_t width = tc_lattice_met(&axis[TC_W], layout.columns);
    const ptrdiff_t channels = channel_count(job, layout.span), ci = tc_group_ci(p);
    layout.pitch = tc_odd_lines(job->kernels, width);
    layout.lines = tc_max(MET_ELEMENTS / ci / tc_max(width, 1), 1);
    layout.sum_bytes = channels * layout.rows * layout.columns * lanes * bytes;
    layout.turned_bytes = layout.columns * (lanes + channels) * bytes;
    layout.turned_bytes = tc_round_up(layout.turned_bytes, TC_ALIGN);
    layout.mask_bytes = PIECES * layout.vectors * (ptrdiff_t)sizeof(struct tc_dot_masks);
    layout.mask_bytes = tc_round_up(layout.mask_bytes, TC_ALIGN);
    layout.x_bytes = layout.copies_x ? layout.span * ci * layout.lines * layout.pitch * bytes : 0;
    layout.w_bytes = layout.copies_w ? layout.span * weight_count(p) * bytes : 0;
    layout.w_bytes = tc_round_up(layout.w_bytes, TC_ALIGN);
    return layout;
}

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t lanes = job->kernels->lanes, k = p->k[TC_W];
    if ((p->d[TC_W] != 1 && k > 1) || (p->d[TC_H] != 1 && p->k[TC_H] > 1)) {
        return "the elements of a kernel are dilated";
    }
    if (k > LINE_ELEMENTS || p->k[TC_H] > WEIGHTS / k / tc_group_ci(p) / tc_group_co(p)) {
        return "the weights of a group are too many";
    }
    if (!job->forced && 4 * tc_round_up(k, lanes) > 5 * k) {
        return "kernel lines do not fill vectors";
    }
    if (!job->forced && (p->s[TC_W] < LONG_STRIDE || k / MOST_OVERLAP > p->s[TC_W])) {
        return "the stride along the width is short";
    }
    if (!job->forced && (tc_group_ci(p) > MOST_CI || tc_group_co(p) > MOST_CO)) {
        return "other engines are faster for so many channels a group";
    }
    const double products = (double)tc_kernel_volume(p) * (double)tc_group_ci(p);
    if (!job->forced && products < (p->g < lanes ? FEW_PRODUCTS : MANY_PRODUCTS)) {
        return "sums are too short to be worth adding lanes";
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
    job->thread_bytes = layout.sum_bytes + layout.turned_bytes + layout.mask_bytes +
                        layout.x_bytes + layout.w_bytes;
    job->packed_bytes = 0;
    job->shared_bytes = 0;
    job->tasks =
        job->problem->n * layout.spans * job->problem->o[TC_D] * layout.bands * layout.blocks;
    return NULL;
}

/* ---- pieces ---- */

/* The input along an axis that output v meets through the first element of the kernel. */
static ptrdiff_t first_met(const struct state *s, int a, ptrdiff_t v)
{
    return s->job->lattice.axis[a].in_step * v + s->layout->offset[a];
}

/* The elements of a kernel line that output v meets something through. */
static struct tc_range joined(const struct state *s, ptrdiff_t v)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const ptrdiff_t at = first_met(s, TC_W, v), begin = tc_clamp(-at, 0, axis->kernel);
    return (struct tc_range){begin, tc_clamp(axis->in - at, begin, axis->kernel)};
}

/* Some outputs of a line, as many as a call sums. */
static void set_piece(const struct state *s, struct tc_dots *dots, struct tc_dot_masks *masks,
                      struct tc_range outputs)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    const ptrdiff_t lanes = s->job->kernels->lanes, line = s->layout->columns * lanes;
    struct tc_range met[TC_DOT_TAPS];
    *dots = (struct tc_dots){.sets = tc_range_length(s->groups),
                             .lanes = lanes,
                             .lines = axis[TC_H].kernel,
                             .gap = axis[TC_H].in_step,
                             .taps = (int)tc_range_length(outputs),
                             .add = true,
                             .small_column = lanes,
                             .large_column = lanes,
                             .tap = s->tap,
                             .sum_set = channel_count(s->job, 1) * s->layout->rows * line,
                             .sum_line = line,
                             .sum_tap = lanes};
    for (ptrdiff_t v = outputs.begin; v < outputs.end; v++) {
        met[v - outputs.begin] = joined(s, v);
    }
    tc_set_columns(dots, masks, axis[TC_W].kernel, met);
}

static struct tc_range piece_at(const struct state *s, ptrdiff_t piece)
{
    const ptrdiff_t first = s->columns.begin;
    const struct tc_range share = tc_share_of(tc_range_length(s->columns), piece, s->pieces);
    return (struct tc_range){first + share.begin, first + share.end};
}

static void set_pieces(struct state *s)
{
    for (ptrdiff_t t = 0; t < TC_DOT_TAPS; t++) {
        s->tap[t] = t * s->job->lattice.axis[TC_W].in_step;
    }
    s->pieces = tc_ceil_div(tc_range_length(s->columns), TC_DOT_TAPS);
    for (ptrdiff_t i = 0; i < s->pieces; i++) {
        set_piece(s, &s->piece[i], s->masks + i * s->layout->vectors, piece_at(s, i));
    }
}

/* ---- sums ---- */

/* Line `line` of the sums of a channel of the task. */
static char *sums_at(const struct state *s, ptrdiff_t channel, ptrdiff_t line)
{
    const ptrdiff_t at = (channel * s->layout->rows + line) * s->layout->columns;
    return tc_at(s->sums, at * s->job->kernels->lanes, s->job->kernels->bytes);
}

/* A sum begins with the bias, in one of its lanes. */
static void begin_sums(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t bytes = job->kernels->bytes, vector = job->kernels->lanes * bytes;
    const ptrdiff_t first = channel_count(job, s->groups.begin);
    const ptrdiff_t channels = channel_count(job, tc_range_length(s->groups));
    const ptrdiff_t outputs = s->layout->rows * s->layout->columns;
    memset(s->sums, 0, (size_t)(channels * outputs * vector));
    for (ptrdiff_t c = 0; c < channels && job->problem->bias; c++) {
        const void *const bias = tc_at(job->b.data, (first + c) * job->b.c, bytes);
        for (ptrdiff_t v = 0; v < outputs; v++) {
            memcpy(s->sums + (c * outputs + v) * vector, bias, (size_t)bytes);
        }
    }
}

/* Adds up the lanes of the sums and writes the outputs. */
static void write_outputs(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const y = &job->y;
    const ptrdiff_t lanes = job->kernels->lanes, bytes = job->kernels->bytes;
    const ptrdiff_t channels = channel_count(job, tc_range_length(s->groups));
    const ptrdiff_t columns = tc_range_length(s->columns);
    char *const totals = tc_at(s->turned, columns * lanes, bytes);
    for (ptrdiff_t line = 0; line < tc_range_length(s->lines); line++) {
        for (ptrdiff_t c = 0; c < channels; c++) {
            tc_add_lanes(job->kernels, columns, sums_at(s, c, line), s->turned,
                         tc_at(totals, c * columns, bytes));
        }
        tc_activate(job, totals, channels, columns, columns);
        const ptrdiff_t to = s->n * y->n + channel_count(job, s->groups.begin) * y->c +
                             s->d * y->axis[TC_D] + (s->lines.begin + line) * y->axis[TC_H] +
                             s->columns.begin * y->axis[TC_W];
        const struct tc_matrix dst = {tc_at(y->data, to, bytes), y->c, y->axis[TC_W]};
        tc_copy(job->kernels, channels, columns, dst, (struct tc_matrix){totals, columns, 1});
    }
}

/* ---- products ---- */

/* Lines of inputs of all groups, from the first input that the task's columns meet. */
static struct lines read_x(const struct state *s, ptrdiff_t from, struct tc_range met)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const x = &job->x;
    const struct layout *const layout = s->layout;
    const ptrdiff_t bytes = job->kernels->bytes, ci = tc_group_ci(job->problem);
    from += met.begin * x->axis[TC_H] + s->inputs.begin * x->axis[TC_W];
    if (!layout->copies_x) {
        return (struct lines){tc_at(x->data, from, bytes), ci * x->c, x->c, 0, x->axis[TC_H]};
    }
    const struct tc_split split = {.channels = tc_range_length(s->groups) * ci,
                                   .lines = tc_range_length(met),
                                   .columns = tc_range_length(s->inputs),
                                   .step = 1,
                                   .src = tc_at(x->data, from, bytes),
                                   .src_channel = x->c,
                                   .src_line = x->axis[TC_H],
                                   .src_column = x->axis[TC_W],
                                   .dst = s->x,
                                   .dst_channel = layout->lines * layout->pitch,
                                   .dst_line = layout->pitch,
                                   .src_far = x->far};
    tc_split(job->kernels, &split);
    return (struct lines){s->x, ci * split.dst_channel, split.dst_channel, 0, split.dst_line};
}

/* The lines of the kernel of the groups' first output channels, the first at element `from` of w.
 */
static struct lines read_w(const struct state *s, ptrdiff_t from)
{
    const struct tc_job *const job = s->job;
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t bytes = job->kernels->bytes, *const k = job->problem->k;
    const ptrdiff_t ci = tc_group_ci(job->problem), co = tc_group_co(job->problem);
    const ptrdiff_t plane = k[TC_H] * k[TC_W];
    if (!s->layout->copies_w) {
        return (struct lines){tc_at(w->data, from, bytes), w->g, w->ci, w->co, w->axis[TC_H]};
    }
    for (ptrdiff_t c = 0; c < tc_range_length(s->groups) * co * ci; c++) {
        const ptrdiff_t at = c / ci / co * w->g + c / ci % co * w->co + c % ci * w->ci;
        const struct tc_matrix src = {tc_at(w->data, from + at, bytes), w->axis[TC_H],
                                      w->axis[TC_W]};
        const struct tc_matrix dst = {tc_at(s->w, c * plane, bytes), k[TC_W], 1};
        tc_copy(job->kernels, k[TC_H], k[TC_W], dst, src);
    }
    return (struct lines){s->w, co * ci * plane, plane, ci * plane, k[TC_W]};
}

/* The lines of outputs that input line q meets, whether they are there or not. */
static struct tc_range meeting(const struct state *s, ptrdiff_t q)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_H];
    const ptrdiff_t at = q - s->layout->offset[TC_H];
    return (struct tc_range){tc_ceil_div(at - axis->kernel + 1, axis->in_step),
                             tc_floor_div(at, axis->in_step) + 1};
}

/* The lines of inputs from q on, before `end`, that are taken at once: they meet the same lines of
 * outputs. */
static struct tc_range next_lines(const struct state *s, ptrdiff_t q, ptrdiff_t end)
{
    const struct tc_range met = meeting(s, q);
    ptrdiff_t last = tc_min(tc_round_up(q + 1, s->layout->lines), first_met(s, TC_H, met.end));
    if (met.begin < met.end) {
        last = tc_min(last, first_met(s, TC_H, met.begin) + s->job->lattice.axis[TC_H].kernel);
    }
    return (struct tc_range){q, tc_min(last, end)};
}

/* The products of lines `met` of inputs, which lie at `x`, with the kernel's at `w`, for lines of
 * outputs that all of them meet, which begin at `sums`. */
static void add_lines(const struct state *s, struct tc_range met, struct tc_range lines,
                      struct lines x, struct lines w, char *sums)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t bytes = job->kernels->bytes, lanes = job->kernels->lanes;
    const ptrdiff_t at = first_met(s, TC_H, lines.begin);
    for (ptrdiff_t i = 0; i < s->pieces; i++) {
        const ptrdiff_t first = piece_at(s, i).begin;
        const ptrdiff_t column = first_met(s, TC_W, first) - s->inputs.begin;
        struct tc_dots dots = s->piece[i];
        dots.reach = (int)tc_range_length(lines);
        dots.met_begin = met.begin - at;
        dots.met_end = met.end - at;
        dots.small = w.data;
        dots.small_set = w.group;
        dots.small_line = w.line;
        dots.large = tc_at(x.data, (at - met.begin) * x.line + column, bytes);
        dots.large_set = x.group;
        dots.large_line = x.line;
        dots.sums = tc_at(sums, (first - s->columns.begin) * lanes, bytes);
        job->kernels->dots(&dots);
    }
}

/* All products of one plane of inputs of all channels with one of the kernel. */
static void add_plane(const struct state *s, ptrdiff_t from_x, ptrdiff_t from_w)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t ci = tc_group_ci(job->problem), co = tc_group_co(job->problem);
    const ptrdiff_t bytes = job->kernels->bytes;
    const struct tc_range inputs = tc_lattice_inputs(&job->lattice.axis[TC_H], s->lines);
    const struct lines w = read_w(s, from_w);
    struct tc_range met = {inputs.begin, inputs.begin};
    for (; met.begin < inputs.end && !tc_is_stopped(job->watch); met.begin = met.end) {
        met = next_lines(s, met.begin, inputs.end);
        struct tc_range lines = meeting(s, met.begin);
        lines.begin = tc_max(lines.begin, s->lines.begin);
        lines.end = tc_min(lines.end, s->lines.end);
        if (lines.begin >= lines.end) {
            continue;
        }
        const struct lines x = read_x(s, from_x, met);
        const struct tc_range next = next_lines(s, met.end, inputs.end);
        for (ptrdiff_t c = 0; c < ci && s->layout->hints; c++) {
            const struct tc_image *const image = &job->x;
            const ptrdiff_t at = c * image->c + next.begin * image->axis[TC_H] + s->inputs.begin;
            tc_fetch(tc_at(image->data, from_x + at, bytes), tc_range_length(next),
                     image->axis[TC_H] * bytes, tc_range_length(s->inputs) * bytes);
        }
        for (ptrdiff_t c = 0; c < ci * co; c++) {
            struct lines image = x, kernel = w;
            image.data = tc_at(x.data, c / co * x.input, bytes);
            const ptrdiff_t at = c / co * w.input + c % co * w.output;
            kernel.data = tc_at(w.data, at, bytes);
            add_lines(s, met, lines, image, kernel,
                      sums_at(s, c % co, lines.begin - s->lines.begin));
        }
    }
}

/* ---- tasks ---- */

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

static struct state state_of(const struct run *run, ptrdiff_t task, char *scratch)
{
    const struct tc_job *const job = run->job;
    const struct layout *const layout = &run->layout;
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t block = task % layout->blocks, rest = task / layout->blocks;
    const ptrdiff_t band = rest % layout->bands, plane = rest / layout->bands;
    const ptrdiff_t span = plane / p->o[TC_D];
    struct state s = {.job = job, .layout = layout, .d = plane % p->o[TC_D]};
    s.n = span / layout->spans;
    s.groups.begin = span % layout->spans * layout->span;
    s.groups.end = tc_min(s.groups.begin + layout->span, p->g);
    s.lines = tc_share_of(p->o[TC_H], band, layout->bands);
    s.columns.begin = block * layout->columns;
    s.columns.end = tc_min(s.columns.begin + layout->columns, p->o[TC_W]);
    s.inputs = tc_lattice_inputs(&job->lattice.axis[TC_W], s.columns);
    s.sums = scratch;
    s.turned = s.sums + layout->sum_bytes;
    s.masks = (struct tc_dot_masks *)(s.turned + layout->turned_bytes);
    s.x = (char *)s.masks + layout->mask_bytes;
    s.w = s.x + layout->x_bytes;
    return s;
}

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    const struct tc_axis *const depth = &job->lattice.axis[TC_D];
    const ptrdiff_t ci = tc_group_ci(job->problem);
    struct state s = state_of(run, task, run->scratch + thread * job->thread_bytes);
    set_pieces(&s);
    begin_sums(&s);
    const ptrdiff_t from_x = s.n * job->x.n + s.groups.begin * ci * job->x.c;
    const ptrdiff_t from_w = s.groups.begin * job->w.g;
    for (ptrdiff_t kd = 0; kd < depth->kernel; kd++) {
        const ptrdiff_t d = first_met(&s, TC_D, s.d) + kd * depth->dilation;
        if (d >= 0 && d < depth->in) {
            add_plane(&s, from_x + d * job->x.axis[TC_D], from_w + kd * job->w.axis[TC_D]);
        }
    }
    write_outputs(&s);
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, layout_of(job), scratch};
    tc_parallel(job->tasks, job->threads, run_task, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    tc_say(text, "%d elements of a kernel line", job->kernels->lanes);
}

const struct tc_engine tc_engine_taps = {
    .name = "taps",
    .contractions = TC_DOES_SMALL,
    .accept = accept,
    .run = run,
    .describe = describe,
};
