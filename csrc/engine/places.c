/* SPDX-License-Identifier: BSD-3-Clause */
/* places and pixels: depthwise transposed convolutions: lanes are all places of a cell.
 *
 * Where the kernel is a multiple of the stride s along the width, all places of a cell have as many
 * taps (see cells.h), which meet the same inputs: `subpixel` for channels that do not mix,
 *
 *     y[s*q + r - p][c] = sum over t of  x[q - t][c] * w[t*s + r][c].
 *
 * The lanes are the outputs of a cell that lie side by side in y: the places of one channel where
 * the width is contiguous (places), those of all channels where they come last (pixels). So y is
 * written in whole vectors, line by line, and not each s-th output by itself. What a vector of
 * outputs meets is a vector of inputs: the copy holds each of them once for every place, and
 * `lines_by_lane` sums cells as it does pixels.
 *
 *     for block (image, channels, depth, some lines of the grid, some cells: a task)
 *      for set of channels that lie side by side
 *       copy their inputs
 *       for phase of depth and height, for strip of up to 7 lines, for run of the width
 *         the kernel, over the cells of the run
 *
 * A line of y may begin and end inside a cell. The taps are summed in the order of the lattice. The
 * two are engines of their own since weights that one has packed are of no use to the other. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/cells.h"
#include "engine/pack.h"

#include <string.h>

enum {
    COPY_BYTES = 256 << 10,      /* of a task's inputs, if they can be so few; */
    MOST_COPY_BYTES = 512 << 10, /* those of one cell of one line, at most */
    POINTS = 16384,              /* outputs of a task, at least */
    FEW_BYTES = 192,             /* of a pixel: with channels last, up to so many, */
    SHORT_STRIDE = 3,            /* such a stride pays, unless a pixel is just a vector, */
    LONG_STRIDE = 8,             /* and such a one; of more, if another axis has a stride too; */
    PLACES = 16,                 /* of a cell that pay where the width is contiguous, */
    FEWEST_CELLS = 4             /* of a line there */
};

struct layout {
    struct tc_lattice lattice; /* its width counts cells */
    struct tc_cells cells;
    ptrdiff_t channels;             /* whose outputs lie side by side: all or one */
    ptrdiff_t lanes, pitch;         /* outputs of a cell; the same in whole vectors */
    ptrdiff_t span, rows, columns;  /* sets of channels, lines and cells of a task, at most */
    ptrdiff_t spans, bands, pieces; /* tasks along these */
    ptrdiff_t x_line, x_plane;      /* of the copy */
    ptrdiff_t copy_bytes;
};

/* ---- booking ---- */

static ptrdiff_t channels_of(const struct tc_job *job)
{
    return tc_has_pixels(job) ? job->problem->g : 1;
}

/* Whether no other engine is faster: `channels` does well with a vector of channels, and others
 * with short strides where the width is contiguous. */
static bool gains(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t s = p->s[TC_W], few = FEW_BYTES / job->kernels->bytes;
    const bool repeats = p->s[TC_D] > 1 || p->s[TC_H] > 1; /* one copy serves several phases */
    if (!tc_has_pixels(job)) {
        return repeats && s >= PLACES && (job->any_image || p->i[TC_W] >= FEWEST_CELLS);
    }
    if (p->g > few) {
        return repeats && s >= LONG_STRIDE;
    }
    return s >= LONG_STRIDE || (s >= SHORT_STRIDE && p->g != job->kernels->lanes);
}

/* `in_order`: whether y lies as the engine wants it. */
static const char *refuse(const struct tc_job *job, bool in_order)
{
    const struct tc_problem *const p = job->problem;
    if (!tc_is_depthwise(p)) {
        return "it is for depthwise layers";
    }
    if (!in_order) {
        return "the outputs of a cell lie in another order, or not side by side";
    }
    if (!tc_cells_fit(p) || p->s[TC_W] == 1) {
        return "there is no stride along the width, or one that meets a dilation";
    }
    if (p->k[TC_D] % p->s[TC_D] + p->k[TC_H] % p->s[TC_H] + p->k[TC_W] % p->s[TC_W] != 0) {
        return "the kernel is no multiple of the stride";
    }
    if (p->s[TC_W] > MOST_COPY_BYTES / job->kernels->bytes / channels_of(job)) {
        return "the outputs of a cell are too many";
    }
    if (!job->forced && !gains(job)) {
        return "other engines are faster for so few outputs of a cell";
    }
    return NULL;
}

static struct tc_lattice lattice_of(const struct tc_job *job, const struct tc_cells *cells)
{
    struct tc_problem problem = *job->problem;
    struct tc_lattice lattice;
    problem.k[TC_W] = cells->taps;
    problem.s[TC_W] = 1;
    problem.p[TC_W] = cells->first;
    problem.o[TC_W] = cells->end - cells->first;
    tc_lattice_init(&lattice, &problem);
    return lattice;
}

/* Lays out the copy of a task's inputs, whose bytes are PTRDIFF_MAX / 2 if they cannot be counted.
 */
static void set_copy(struct layout *layout, ptrdiff_t bytes)
{
    const struct tc_axis *const axis = layout->lattice.axis;
    const bool fits =
        tc_mul(tc_lattice_met(&axis[TC_W], layout->columns), layout->pitch, &layout->x_line) &&
        tc_mul(tc_lattice_met(&axis[TC_H], layout->rows), layout->x_line, &layout->x_plane) &&
        tc_mul(tc_lattice_met(&axis[TC_D], 1) * bytes, layout->x_plane, &layout->copy_bytes);
    layout->copy_bytes = fits ? layout->copy_bytes : PTRDIFF_MAX / 2;
}

/* Outputs of all lines and cells of a task, and of one set of channels. */
static ptrdiff_t outputs_of(const struct layout *layout)
{
    const struct tc_axis *const height = &layout->lattice.axis[TC_H];
    const ptrdiff_t lines = tc_min(layout->rows * height->out_step, tc_max(height->out, 1));
    return layout->columns * lines * layout->lanes;
}

/* Cuts the job into tasks: so few cells that their inputs fit, and that there are tasks for all
 * threads. */
static void cut(struct layout *layout, const struct tc_job *job)
{
    const struct tc_axis *const axis = layout->lattice.axis;
    const ptrdiff_t bytes = job->kernels->bytes, sets = job->problem->g / layout->channels;
    const ptrdiff_t grid = tc_max(tc_lattice_points(&axis[TC_H]), 1);
    const ptrdiff_t width = tc_max(axis[TC_W].out, 1);
    const ptrdiff_t fair = tc_output_volume(job->problem) / (job->threads * TC_TASKS_PER_THREAD);
    layout->rows = tc_min(grid, TC_MAX_LINES);
    layout->columns = width;
    set_copy(layout, bytes);
    while (layout->columns > 1 &&
           (layout->copy_bytes > COPY_BYTES || outputs_of(layout) > tc_max(fair, POINTS))) {
        layout->columns = tc_ceil_div(layout->columns, 2);
        set_copy(layout, bytes);
    }
    while (layout->rows > 1 && layout->copy_bytes > COPY_BYTES) {
        layout->rows = tc_ceil_div(layout->rows, 2);
        set_copy(layout, bytes);
    }
    layout->span = tc_clamp(POINTS / outputs_of(layout), 1, sets);
    layout->spans = tc_ceil_div(sets, layout->span);
    layout->bands = tc_ceil_div(grid, layout->rows);
    layout->pieces = tc_ceil_div(width, layout->columns);
}

static ptrdiff_t table_bytes(const struct tc_job *job, const struct layout *layout)
{
    const ptrdiff_t *const k = job->problem->k;
    ptrdiff_t sheets = (ptrdiff_t)sizeof(struct tc_line_sheet);
    ptrdiff_t taps = (ptrdiff_t)sizeof(struct tc_line_tap), bytes;
    const bool fits = tc_mul(sheets, k[TC_D], &sheets) && tc_mul(sheets, k[TC_H], &sheets) &&
                      tc_mul(taps, layout->cells.taps, &taps) && tc_add(sheets, taps, &bytes);
    return fits ? bytes : PTRDIFF_MAX / 2;
}

static struct layout layout_of(const struct tc_job *job)
{
    struct layout layout = {.cells = tc_cells_of(job->problem, TC_W)};
    layout.lattice = lattice_of(job, &layout.cells);
    layout.channels = channels_of(job);
    layout.lanes = layout.cells.s * layout.channels;
    layout.pitch = tc_round_up(layout.lanes, job->kernels->lanes);
    cut(&layout, job);
    return layout;
}

static const char *book(struct tc_job *job, bool in_order)
{
    const char *const refusal = refuse(job, in_order);
    if (refusal) {
        return refusal;
    }
    const struct layout layout = layout_of(job);
    if (layout.copy_bytes > MOST_COPY_BYTES) {
        return "the inputs that a cell meets are too many";
    }
    const ptrdiff_t *const k = job->problem->k;
    const ptrdiff_t bytes = job->kernels->bytes, sets = job->problem->g / layout.channels;
    ptrdiff_t *const packed = &job->packed_bytes;
    const bool fits = tc_mul(layout.pitch * bytes, sets, packed) &&
                      tc_mul(*packed, layout.cells.taps, packed) &&
                      tc_mul(*packed, k[TC_D], packed) && tc_mul(*packed, k[TC_H], packed) &&
                      tc_add(*packed, job->kernels->lanes * bytes, packed);
    *packed = fits ? *packed : PTRDIFF_MAX / 2; /* they are read a vector beyond a cropped cell */
    job->shared_bytes = 0;
    job->thread_bytes = layout.copy_bytes + layout.pitch * bytes + table_bytes(job, &layout);
    job->thread_bytes = tc_round_up(job->thread_bytes, TC_ALIGN);
    job->tasks = job->problem->n * layout.spans * tc_lattice_points(&layout.lattice.axis[TC_D]) *
                 layout.bands * layout.pieces;
    return NULL;
}

static const char *accept_places(struct tc_job *job)
{
    return book(job, job->y.axis[TC_W] == 1 && !tc_has_pixels(job));
}

static const char *accept_pixels(struct tc_job *job)
{
    return book(job, tc_has_pixels(job));
}

/* From a set of channels to the next. */
static ptrdiff_t set_weights(const struct tc_job *job, const struct layout *layout)
{
    return job->problem->k[TC_D] * job->problem->k[TC_H] * layout->cells.taps * layout->pitch;
}

/* [set][kd][kh][tap][place][channel] */
static void pack(const struct tc_job *job, void *packed)
{
    const struct layout layout = layout_of(job);
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t *const k = job->problem->k;
    const ptrdiff_t bytes = job->kernels->bytes, s = layout.cells.s;
    char *to = packed;
    memset(packed, 0, (size_t)job->packed_bytes);
    for (ptrdiff_t c = 0; c < job->problem->g; c += layout.channels) {
        for (ptrdiff_t line = 0; line < k[TC_D] * k[TC_H]; line++) {
            const ptrdiff_t from =
                c * w->g + line / k[TC_H] * w->axis[TC_D] + line % k[TC_H] * w->axis[TC_H];
            for (ptrdiff_t t = 0; t < layout.cells.taps; t++, to += layout.pitch * bytes) {
                const struct tc_matrix src = {tc_at(w->data, from + t * s * w->axis[TC_W], bytes),
                                              w->g, w->axis[TC_W]};
                tc_copy(job->kernels, layout.channels, s,
                        (struct tc_matrix){to, 1, layout.channels}, src);
            }
        }
    }
}

/* ---- a task ---- */

struct state {
    const struct tc_job *job;
    const struct layout *layout;
    ptrdiff_t n, set;
    struct tc_range grid[TC_SPATIAL], in[TC_SPATIAL]; /* points, and the inputs they meet */
    struct tc_phase phase[TC_SPATIAL];
    struct tc_range lines; /* of a strip */
    void *copy, *bias;
    struct tc_line_tap *tap;
    struct tc_line_sheet *sheet;
};

/* Copies `count` elements of a line, or biases, of the set's channels for every place. */
static void repeat(const struct layout *layout, const struct tc_kernels *kernels, ptrdiff_t count,
                   void *to, struct tc_matrix from)
{
    const ptrdiff_t s = layout->cells.s, channels = layout->channels;
    if (channels == 1) {
        const struct tc_matrix src = {from.data, 0, from.row};
        tc_copy(kernels, s, count, (struct tc_matrix){to, 1, layout->pitch}, src);
        return;
    }
    for (ptrdiff_t r = 0; r < s; r++) {
        const struct tc_matrix dst = {tc_at(to, r * channels, kernels->bytes), layout->pitch, 1};
        tc_copy(kernels, count, channels, dst, from);
    }
}

static void copy_inputs(const struct state *s)
{
    const struct tc_image *const x = &s->job->x;
    const struct layout *const layout = s->layout;
    const struct tc_range *const in = s->in;
    const ptrdiff_t bytes = s->job->kernels->bytes;
    const ptrdiff_t first =
        s->n * x->n + s->set * layout->channels * x->c + in[TC_W].begin * x->axis[TC_W];
    for (ptrdiff_t d = in[TC_D].begin; d < in[TC_D].end; d++) {
        for (ptrdiff_t h = in[TC_H].begin; h < in[TC_H].end; h++) {
            const ptrdiff_t from = first + d * x->axis[TC_D] + h * x->axis[TC_H];
            const ptrdiff_t to =
                (d - in[TC_D].begin) * layout->x_plane + (h - in[TC_H].begin) * layout->x_line;
            repeat(layout, s->job->kernels, tc_range_length(in[TC_W]), tc_at(s->copy, to, bytes),
                   (struct tc_matrix){tc_at(x->data, from, bytes), x->axis[TC_W], x->c});
        }
    }
}

/* The taps of the width that a run has. */
static void list_taps(const struct state *s, const struct tc_run *run)
{
    const struct tc_phase *const width = &s->phase[TC_W];
    for (ptrdiff_t t = run->first; t < run->last; t++) {
        s->tap[t - run->first].x =
            (width->offset + t * s->layout->lattice.axis[TC_W].offset_step) * s->layout->pitch;
    }
}

/* The kernel lines of a strip; returns their number. */
static ptrdiff_t list_sheets(const struct state *s)
{
    const struct layout *const layout = s->layout;
    const struct tc_axis *const depth = &layout->lattice.axis[TC_D];
    const struct tc_axis *const height = &layout->lattice.axis[TC_H];
    const struct tc_phase *const pd = &s->phase[TC_D], *const ph = &s->phase[TC_H];
    const struct tc_run run = tc_run_at(depth, pd, s->grid[TC_D].begin);
    ptrdiff_t count = 0;
    for (ptrdiff_t kd = run.first; kd < run.last; kd++) {
        const ptrdiff_t d = s->grid[TC_D].begin + pd->offset + kd * depth->offset_step;
        const ptrdiff_t origin =
            (d - s->in[TC_D].begin) * layout->x_plane - s->in[TC_H].begin * layout->x_line;
        for (ptrdiff_t kh = 0; kh < ph->taps; kh++) {
            const struct tc_met_lines met = {.height = height,
                                             .reach = 1,
                                             .first = s->lines.begin + ph->offset +
                                                      kh * height->offset_step,
                                             .lines = tc_range_length(s->lines),
                                             .origin = origin,
                                             .line = layout->x_line};
            const ptrdiff_t line = (pd->k + kd * depth->k_step) * s->job->problem->k[TC_H] + ph->k +
                                   kh * height->k_step;
            s->sheet[count] =
                (struct tc_line_sheet){.w = line * layout->cells.taps * layout->pitch};
            tc_set_lines(&s->sheet[count++], &met);
        }
    }
    return count;
}

/* The places of cell j that y has. */
static struct tc_range places_of(const struct layout *layout, ptrdiff_t j)
{
    const struct tc_cells *const cells = &layout->cells;
    const ptrdiff_t first = j * cells->s - cells->place; /* output of place 0 */
    return (struct tc_range){tc_max(-first, 0), tc_min(cells->out - first, cells->s)};
}

/* The cells from j on, before `end`, that have as many places. */
static ptrdiff_t last_alike(const struct layout *layout, ptrdiff_t j, ptrdiff_t end)
{
    const ptrdiff_t s = layout->cells.s, last = layout->lattice.axis[TC_W].out - 1;
    const bool whole = tc_range_length(places_of(layout, j)) == s;
    const bool cropped = tc_range_length(places_of(layout, last)) < s;
    return whole ? tc_min(end, last + !cropped) : j + 1;
}

/* Up to seven lines of one phase, run by run of the cells. */
static void run_strip(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct layout *const layout = s->layout;
    const struct tc_axis *const axis = layout->lattice.axis;
    const struct tc_image *const y = &job->y;
    const ptrdiff_t bytes = job->kernels->bytes, channels = layout->channels;
    const ptrdiff_t depth = s->phase[TC_D].start + axis[TC_D].out_step * s->grid[TC_D].begin;
    const ptrdiff_t height = s->phase[TC_H].start + axis[TC_H].out_step * s->lines.begin;
    const ptrdiff_t to =
        s->n * y->n + s->set * channels * y->c + depth * y->axis[TC_D] + height * y->axis[TC_H];
    struct tc_lines lines = {
        .outputs = 1,
        .sheets = list_sheets(s),
        .lines = (int)tc_range_length(s->lines),
        .reach = 1,
        .step = 1,
        .x_channel = layout->pitch,
        .x_line = tc_met_pitch(
            &(struct tc_met_lines){.height = &axis[TC_H], .reach = 1, .line = layout->x_line}),
        .sheet = s->sheet,
        .tap = s->tap,
        .w_tap = layout->pitch,
        .y_channel = layout->cells.s * y->axis[TC_W],
        .y_line = axis[TC_H].out_step * y->axis[TC_H],
    };
    struct tc_run run;
    for (ptrdiff_t j = s->grid[TC_W].begin; j < s->grid[TC_W].end; j = run.end) {
        run = tc_run_at(&axis[TC_W], &s->phase[TC_W], j);
        run.end = last_alike(layout, j, tc_min(run.end, s->grid[TC_W].end));
        const struct tc_range places = places_of(layout, j);
        const ptrdiff_t lane = places.begin * channels;
        const ptrdiff_t w = s->set * set_weights(job, layout) + run.first * layout->pitch + lane;
        const ptrdiff_t output = j * layout->cells.s + places.begin - layout->cells.place;
        list_taps(s, &run);
        for (ptrdiff_t m = 0; m < lines.sheets; m++) {
            s->sheet[m].last_tap = run.last - run.first;
        }
        lines.channels = run.end - j;
        lines.columns = tc_range_length(places) * channels;
        lines.x = tc_at(s->copy, (j - s->in[TC_W].begin) * layout->pitch + lane, bytes);
        lines.w = tc_at(job->packed, w, bytes);
        lines.bias = job->problem->bias ? tc_at(s->bias, lane, bytes) : NULL;
        lines.y = tc_at(y->data, to + output * y->axis[TC_W], bytes);
        job->kernels->lines_by_lane(&lines);
        tc_activate_lines(job, &lines);
    }
}

/* The lines of one phase of depth and height. */
static void run_phase(struct state *s)
{
    const struct tc_range rows = {s->grid[TC_H].begin,
                                  tc_min(s->grid[TC_H].end, s->phase[TC_H].count)};
    for (s->lines = rows; s->lines.begin < rows.end; s->lines.begin = s->lines.end) {
        s->lines = tc_next_strip(rows, s->lines.begin, TC_MAX_LINES);
        run_strip(s);
    }
}

/* The outputs of one set of channels. */
static void run_set(struct state *s)
{
    const struct tc_axis *const axis = s->layout->lattice.axis;
    const ptrdiff_t c = s->set * s->layout->channels, bytes = s->job->kernels->bytes;
    copy_inputs(s);
    if (s->job->problem->bias) {
        const struct tc_matrix bias = {tc_at(s->job->b.data, c * s->job->b.c, bytes), 0,
                                       s->job->b.c};
        repeat(s->layout, s->job->kernels, 1, s->bias, bias);
    }
    s->phase[TC_W] = tc_phase_at(&axis[TC_W], 0);
    for (ptrdiff_t d = 0; d < axis[TC_D].phases; d++) {
        s->phase[TC_D] = tc_phase_at(&axis[TC_D], d);
        const bool exists = s->grid[TC_D].begin < s->phase[TC_D].count;
        for (ptrdiff_t h = 0; exists && h < axis[TC_H].phases; h++) {
            s->phase[TC_H] = tc_phase_at(&axis[TC_H], h);
            run_phase(s);
        }
    }
}

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
    const struct tc_axis *const axis = layout->lattice.axis;
    const ptrdiff_t piece = task % layout->pieces, band = task / layout->pieces % layout->bands;
    const ptrdiff_t rest = task / layout->pieces / layout->bands;
    const ptrdiff_t depths = tc_lattice_points(&axis[TC_D]), d = rest % depths;
    const struct tc_range sets = tc_share_of(job->problem->g / layout->channels,
                                             rest / depths % layout->spans, layout->spans);
    struct state s = {
        .job = job,
        .layout = layout,
        .n = rest / depths / layout->spans,
        .grid = {{d, d + 1},
                 tc_share_of(tc_lattice_points(&axis[TC_H]), band, layout->bands),
                 tc_share_of(axis[TC_W].out, piece, layout->pieces)},
        .copy = run->scratch + thread * job->thread_bytes,
    };
    for (int a = 0; a < TC_SPATIAL; a++) {
        s.in[a] = tc_lattice_inputs(&axis[a], s.grid[a]);
    }
    s.bias = tc_at(s.copy, layout->copy_bytes, 1);
    s.sheet = tc_at(s.bias, layout->pitch, job->kernels->bytes);
    s.tap = (struct tc_line_tap *)(s.sheet + job->problem->k[TC_D] * job->problem->k[TC_H]);
    for (s.set = sets.begin; s.set < sets.end; s.set++) {
        run_set(&s);
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
    tc_say(text, "%d lines x %td pixels x %td channels", TC_MAX_LINES, layout.cells.s,
           layout.channels);
}

const struct tc_engine tc_engine_places = {
    .name = "places",
    .contractions = TC_DOES_LARGE,
    .accept = accept_places,
    .pack = pack,
    .run = run,
    .describe = describe,
};

const struct tc_engine tc_engine_pixels = {
    .name = "pixels",
    .contractions = TC_DOES_LARGE,
    .accept = accept_pixels,
    .pack = pack,
    .run = run,
    .describe = describe,
};
