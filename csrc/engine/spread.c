/* SPDX-License-Identifier: BSD-3-Clause */
/* spread: lanes are input pixels.
 *
 * Read the other way, the lattice says where each input goes: to the outputs of its taps. For all
 * inputs at once that is one product of matrices,
 *
 *     T[(co, kd, kh, kw)][pixel] = sum over ci of  w[ci][(co, kd, kh, kw)] * x[ci][pixel],
 *
 * for which the weights of a transposed convolution are read as they lie: row ci of the array is a
 * contiguous row of (co, kd, kh, kw). T exists only in pieces that stay in the cache: some output
 * channels of a chunk of inputs, and of the chunks before it that the same outputs need, in a ring.
 *
 *     for block of outputs (a task), for some output channels
 *       for chunk of inputs, along one axis
 *         copy them to [ci][pixel]
 *         for pixels of a tile, for rows of a tile       registers
 *         for output row that is now complete            sum T over its taps, store
 *
 * The ring runs along the outermost axis whose steps are small enough: images, planes, rows; if
 * even a row is too long, each block is one chunk, and the inputs near its edges are multiplied in
 * two blocks. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

enum {
    CHUNK_PIXELS = 256,     /* about so many inputs at once */
    STEP_BYTES = 512 << 10, /* T for one output channel and one step of the ring, at most */
    T_BYTES = 128 << 10,    /* T for some output channels, if one needs less */
    MAX_STRIDE = 4096,      /* along the width */
};

/* How T is held. Axes are numbered as in a grid: 0 is the batch. */
struct layout {
    int along;          /* the axis of the ring; TC_W + 1: none, a block is a chunk */
    ptrdiff_t line;     /* pixels of a step along it */
    ptrdiff_t steps;    /* steps of a chunk */
    ptrdiff_t chunks;   /* that the ring holds */
    ptrdiff_t pitch;    /* elements of a row of T */
    ptrdiff_t channels; /* output channels at once */
};

/* A block at work. */
struct state {
    const struct tc_job *job;
    struct layout layout;
    struct tc_block block;
    ptrdiff_t image;              /* the first image of the ring */
    ptrdiff_t channel, channels;  /* output channels in T, within the group */
    struct tc_image step;         /* pixels from a position to the next, within T */
    struct tc_overlap row_of_all; /* what all rows of outputs share */
    ptrdiff_t *a_row, *t_row;     /* offsets of T's rows, in the weights and in T */
    ptrdiff_t *taps;              /* offsets of the taps of depth and height, in T */
    void *copy, *weights, *t, *row;
};

/* ---- booking ---- */

static ptrdiff_t kernel_volume(const struct tc_job *job)
{
    return job->problem->k[TC_D] * job->problem->k[TC_H] * job->problem->k[TC_W];
}

/* Whole vectors, in an odd number of lines. */
static ptrdiff_t padded(const struct tc_job *job, ptrdiff_t elements)
{
    const ptrdiff_t line = TC_ALIGN / job->kernels->bytes;
    return (tc_ceil_div(elements, line) | 1) * line;
}

/* The axis along which a step has few enough pixels. */
static int choose_axis(const struct tc_job *job)
{
    const ptrdiff_t *const i = job->problem->i;
    const ptrdiff_t most = STEP_BYTES / (kernel_volume(job) * job->kernels->bytes);
    const ptrdiff_t plane = i[TC_H] * i[TC_W];
    if (i[TC_D] * plane <= tc_min(most, CHUNK_PIXELS)) {
        return 0;
    }
    if (i[TC_D] > 1) {
        return plane <= most ? TC_D + 1 : TC_W + 1;
    }
    return i[TC_W] <= most ? TC_H + 1 : TC_W + 1;
}

static struct layout layout_of(const struct tc_job *job)
{
    struct layout layout = {.along = choose_axis(job), .line = 1, .chunks = 1};
    const ptrdiff_t *const size = job->blocking.size;
    for (int g = TC_GRID - 1; g > layout.along; g--) {
        layout.line *= tc_block_input_length(job, g, size[g]);
    }
    if (layout.along == TC_W + 1) {
        layout.line = tc_block_inputs(job);
        layout.steps = 1;
    } else {
        const ptrdiff_t length = tc_block_input_length(job, layout.along, size[layout.along]);
        layout.steps = tc_clamp(CHUNK_PIXELS / layout.line, 1, tc_max(length, 1));
        if (layout.along > 0) {
            const struct tc_axis *const axis = &job->lattice.axis[layout.along - 1];
            const ptrdiff_t reach = tc_range_length(tc_lattice_offsets(axis));
            layout.chunks = 1 + tc_ceil_div(reach - 1, layout.steps);
        }
    }
    layout.pitch = padded(job, layout.chunks * layout.steps * layout.line);
    const ptrdiff_t bytes = kernel_volume(job) * layout.pitch * job->kernels->bytes;
    layout.channels = tc_clamp(T_BYTES / bytes, 1, tc_group_co(job->problem));
    return layout;
}

/* Bytes of the parts of a thread's scratch. */
struct scratch {
    ptrdiff_t copy, weights, t, row, lists;
};

static struct scratch scratch_of(const struct tc_job *job, const struct layout *layout)
{
    const ptrdiff_t bytes = job->kernels->bytes, ci = tc_group_ci(job->problem);
    const ptrdiff_t rows = layout->channels * kernel_volume(job);
    const ptrdiff_t outputs = job->blocking.size[TC_W + 1] * job->lattice.axis[TC_W].out_step;
    const ptrdiff_t taps = job->problem->k[TC_D] * job->problem->k[TC_H];
    return (struct scratch){
        .copy = padded(job, layout->steps * layout->line) * ci * bytes,
        .weights = padded(job, rows) * ci * bytes,
        .t = rows * layout->pitch * bytes,
        .row = padded(job, outputs) * bytes,
        .lists = tc_round_up((2 * rows + taps) * (ptrdiff_t)sizeof(ptrdiff_t), TC_ALIGN),
    };
}

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    if (problem->operation->contraction != TC_LARGE_FROM_SMALL) {
        return "it spreads inputs over larger outputs only";
    }
    if (kernel_volume(job) * job->kernels->bytes > STEP_BYTES / 16) {
        return "the products of a few inputs and one output channel do not fit the cache";
    }
    if (problem->s[TC_W] > MAX_STRIDE) {
        return "an output row of one input does not fit the cache";
    }
    if (!job->forced && tc_group_co(problem) >= job->kernels->lanes) {
        return "the output channels fill vectors";
    }
    return NULL;
}

static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    const bool ring = choose_axis(job) <= TC_W;
    const ptrdiff_t most = STEP_BYTES / (kernel_volume(job) * job->kernels->bytes);
    const ptrdiff_t inputs = ring ? PTRDIFF_MAX : tc_min(most, CHUNK_PIXELS);
    tc_blocking_set(job, inputs, inputs, tc_group_co(job->problem));
    const struct layout layout = layout_of(job);
    const struct scratch scratch = scratch_of(job, &layout);
    job->packed_bytes = 0;
    job->thread_bytes = scratch.copy + scratch.weights + scratch.t + scratch.row + scratch.lists;
    return NULL;
}

/* ---- the product ---- */

/* Lists where the rows of T begin: in the copied weights, and in T. */
static void list_rows(const struct state *s)
{
    for (ptrdiff_t row = 0; row < s->channels * kernel_volume(s->job); row++) {
        s->a_row[row] = row;
        s->t_row[row] = row * s->layout.pitch;
    }
}

/* Copies the weights of T's channels to [ci][rows]. */
static void copy_weights(const struct state *s, const void *weights)
{
    const struct tc_job *const job = s->job;
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t *const k = job->problem->k;
    const ptrdiff_t ci = tc_group_ci(job->problem), bytes = job->kernels->bytes;
    const ptrdiff_t volume = kernel_volume(job), pitch = padded(job, s->channels * volume);
    const bool flat = w->axis[TC_W] == 1 && w->axis[TC_H] == k[TC_W] &&
                      w->axis[TC_D] == k[TC_H] * k[TC_W] && w->co == volume;
    const ptrdiff_t row = flat ? s->channels * volume : k[TC_W];
    for (ptrdiff_t r = 0; r < s->channels * volume; r += row) {
        const ptrdiff_t kh = r / k[TC_W] % k[TC_H], kd = r / k[TC_W] / k[TC_H] % k[TC_D];
        const ptrdiff_t from = r / volume * w->co + kd * w->axis[TC_D] + kh * w->axis[TC_H];
        const struct tc_matrix src = {tc_at(weights, from, bytes), w->ci, w->axis[TC_W]};
        const struct tc_matrix dst = {tc_at(s->weights, r, bytes), pitch, 1};
        tc_copy(job->kernels, ci, row, dst, src);
    }
}

/* The width of tile that keeps most accumulators busy for so many rows. */
static int choose_width(const struct tc_kernels *kernels, ptrdiff_t rows)
{
    int best = 1;
    ptrdiff_t most = 0;
    for (int width = 1; width <= kernels->widths; width++) {
        const ptrdiff_t tiles = tc_ceil_div(rows, kernels->rows[width - 1]);
        const ptrdiff_t busy = 64 * rows * width / tiles;
        if (busy >= most) {
            most = busy;
            best = width;
        }
    }
    return best;
}

/* T's columns [at, at + pixels), from the copied inputs. */
static void multiply(const struct state *s, ptrdiff_t at, ptrdiff_t pixels, ptrdiff_t pitch)
{
    const struct tc_job *const job = s->job;
    const struct tc_kernels *const kernels = job->kernels;
    const ptrdiff_t rows = s->channels * kernel_volume(job), bytes = kernels->bytes;
    const ptrdiff_t vectors = tc_ceil_div(pixels, kernels->lanes);
    const ptrdiff_t parts = tc_ceil_div(vectors, choose_width(kernels, rows));
    for (ptrdiff_t p = 0; p < parts; p++) {
        const struct tc_range share = tc_share_of(vectors, p, parts);
        const int width = (int)tc_range_length(share);
        const ptrdiff_t first = share.begin * kernels->lanes;
        const ptrdiff_t tiles = tc_ceil_div(rows, kernels->rows[width - 1]);
        struct tc_tile tile = {
            .lanes = tc_min(width * kernels->lanes, pixels - first),
            .k = tc_group_ci(job->problem),
            .taps = {1, 1, 1},
            .a = s->weights,
            .a_k = padded(job, rows),
            .b = tc_at(s->copy, first, bytes),
            .b_k = pitch,
            .c = tc_at(s->t, at + first, bytes),
        };
        for (ptrdiff_t t = 0; t < tiles; t++) {
            const struct tc_range mine = tc_share_of(rows, t, tiles);
            tile.rows = tc_range_length(mine);
            tile.a_row = s->a_row + mine.begin;
            tile.c_row = s->t_row + mine.begin;
            kernels->tile[width - 1](&tile);
        }
    }
}

/* ---- the sums ---- */

/* The pixel of T that holds input `at` of axis g, counted along that axis alone. */
static ptrdiff_t pixel_of(const struct state *s, int g, ptrdiff_t at)
{
    const struct layout *const layout = &s->layout;
    const ptrdiff_t relative = at - (g == 0 ? s->image : s->block.input[g].begin);
    if (g != layout->along) {
        const ptrdiff_t steps[TC_GRID] = {s->step.n, s->step.axis[0], s->step.axis[1], 1};
        return relative * steps[g];
    }
    const ptrdiff_t chunk = relative / layout->steps % layout->chunks;
    return (chunk * layout->steps + relative % layout->steps) * layout->line;
}

/* Elements of T from a kernel element to the next along an axis. */
static ptrdiff_t kernel_step(const struct state *s, int a)
{
    ptrdiff_t step = s->layout.pitch;
    for (int b = TC_SPATIAL - 1; b > a; b--) {
        step *= s->job->problem->k[b];
    }
    return step;
}

/* Lists where the taps of depth and height lie in T for outputs (od, oh); returns how many. */
static ptrdiff_t list_taps(const struct state *s, ptrdiff_t od, ptrdiff_t oh)
{
    const ptrdiff_t u[] = {od, oh};
    struct tc_phase phase[2];
    struct tc_run run[2];
    ptrdiff_t count = 0;
    for (int a = TC_D; a <= TC_H; a++) {
        const struct tc_axis *const axis = &s->job->lattice.axis[a];
        phase[a] = tc_phase_at(axis, u[a] % axis->out_step);
        run[a] = tc_run_at(axis, &phase[a], u[a] / axis->out_step);
    }
    const struct tc_axis *const d = &s->job->lattice.axis[TC_D], *const h = d + 1;
    for (ptrdiff_t td = run[TC_D].first; td < run[TC_D].last; td++) {
        const ptrdiff_t id = run[TC_D].begin + phase[TC_D].offset + td * d->offset_step;
        const ptrdiff_t from =
            (phase[TC_D].k + td * d->k_step) * kernel_step(s, TC_D) + pixel_of(s, TC_D + 1, id);
        for (ptrdiff_t th = run[TC_H].first; th < run[TC_H].last; th++) {
            const ptrdiff_t ih = run[TC_H].begin + phase[TC_H].offset + th * h->offset_step;
            s->taps[count++] = from + (phase[TC_H].k + th * h->k_step) * kernel_step(s, TC_H) +
                               pixel_of(s, TC_H + 1, ih);
        }
    }
    return count;
}

/* Phase `number` of the width as the row's phase r. */
static void set_phase(const struct state *s, ptrdiff_t number, int r, struct tc_overlap *row)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const struct tc_phase phase = tc_phase_at(axis, number);
    row->phase[r].taps = phase.taps;
    row->phase[r].offset =
        s->block.grid[TC_W + 1].begin + phase.offset - s->block.input[TC_W + 1].begin;
    row->phase[r].src = phase.k * s->layout.pitch + row->phase[r].offset;
}

/* Whether the kernel takes all phases of a row together. */
static bool takes_all_phases(const struct tc_axis *axis)
{
    const ptrdiff_t s = axis->out_step;
    return (s == 1 || s == 2 || s == 4) && axis->phases == s;
}

/* A row of outputs to y, which begins at `y` there. */
static void sum_row(const struct state *s, struct tc_overlap *row, void *y)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const struct tc_range grid = s->block.grid[TC_W + 1];
    const ptrdiff_t s_w = axis->out_step, step = s->job->y.axis[TC_W];
    const ptrdiff_t outputs = tc_min(s_w * grid.end, axis->out) - s_w * grid.begin;
    if (takes_all_phases(axis)) {
        row->outputs = outputs;
        row->dst = step == 1 ? y : s->row;
        kernels->overlap(row);
        if (step != 1) {
            const struct tc_matrix dst = {y, 0, step}, src = {s->row, 0, 1};
            tc_copy(kernels, 1, outputs, dst, src);
        }
        return;
    }
    const ptrdiff_t whole = outputs / s_w, rest = outputs % s_w, pitch = tc_range_length(grid);
    for (ptrdiff_t number = 0; number < axis->phases; number++) {
        row->outputs = whole + (number < rest);
        row->dst = tc_at(s->row, number * pitch, kernels->bytes);
        set_phase(s, number, 0, row);
        kernels->overlap(row);
    }
    const struct tc_matrix dst = {y, step, s_w * step}, src = {s->row, pitch, 1};
    tc_copy(kernels, axis->phases, whole, dst, src);
    const struct tc_matrix end = {tc_at(y, whole * s_w * step, kernels->bytes), step, step};
    const struct tc_matrix last = {tc_at(s->row, whole, kernels->bytes), pitch, 1};
    tc_copy(kernels, rest, 1, end, last);
}

/* What all rows of the block's outputs share. */
static void set_row(struct state *s)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    s->row_of_all = (struct tc_overlap){
        .phases = takes_all_phases(axis) ? (int)axis->out_step : 1,
        .in = tc_range_length(s->block.input[TC_W + 1]),
        .fall = -axis->offset_step,
        .src_tap = axis->k_step * s->layout.pitch + axis->offset_step,
        .src_at = s->taps,
    };
    for (int r = 0; r < s->row_of_all.phases; r++) {
        set_phase(s, r, r, &s->row_of_all);
    }
}

/* Rows (od, oh) of all channels in T, of some images. */
static void sum_rows(const struct state *s, struct tc_range images, ptrdiff_t od, ptrdiff_t oh)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const y = &job->y;
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    const ptrdiff_t ow = axis->out_step * s->block.grid[TC_W + 1].begin;
    const ptrdiff_t bytes = job->kernels->bytes;
    struct tc_overlap row = s->row_of_all;
    row.sums = list_taps(s, od, oh);
    for (ptrdiff_t c = 0; c < s->channels; c++) {
        const ptrdiff_t channel = s->block.group * tc_group_co(job->problem) + s->channel + c;
        row.bias = job->b.data ? tc_at(job->b.data, channel * job->b.c, bytes) : NULL;
        for (ptrdiff_t n = images.begin; n < images.end; n++) {
            const ptrdiff_t t = c * kernel_volume(job) * s->layout.pitch + pixel_of(s, 0, n);
            const ptrdiff_t at = n * y->n + channel * y->c + od * y->axis[TC_D] +
                                 oh * y->axis[TC_H] + ow * y->axis[TC_W];
            row.src = tc_at(s->t, t, bytes);
            sum_row(s, &row, tc_at(y->data, at, bytes));
        }
    }
}

/* ---- the ring ---- */

/* Outputs of the block along spatial axis a. */
static struct tc_range outputs_of(const struct state *s, int a)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[a];
    const struct tc_range grid = s->block.grid[a + 1];
    return (struct tc_range){axis->out_step * grid.begin,
                             tc_min(axis->out_step * grid.end, axis->out)};
}

/* Whether output u of axis a needs no input from `end` on. */
static bool is_complete(const struct tc_axis *axis, ptrdiff_t u, ptrdiff_t end)
{
    const struct tc_phase phase = tc_phase_at(axis, u % axis->out_step);
    const struct tc_run run = tc_run_at(axis, &phase, u / axis->out_step);
    return run.first == run.last || run.begin + phase.offset + run.first * axis->offset_step < end;
}

/* Sums the outputs that have become complete now that inputs before `end` are in the ring; those
 * before *done are already. */
static void sum_complete(const struct state *s, struct tc_range images, ptrdiff_t end,
                         ptrdiff_t *done)
{
    struct tc_range depth = outputs_of(s, TC_D), height = outputs_of(s, TC_H);
    const int a = s->layout.along - 1;
    if (a == TC_D || a == TC_H) {
        struct tc_range *const along = a == TC_D ? &depth : &height;
        const ptrdiff_t all = along->end;
        along->begin = *done;
        while (*done < all && (end == s->block.input[a + 1].end ||
                               is_complete(&s->job->lattice.axis[a], *done, end))) {
            ++*done;
        }
        along->end = *done;
    }
    for (ptrdiff_t od = depth.begin; od < depth.end; od++) {
        for (ptrdiff_t oh = height.begin; oh < height.end; oh++) {
            sum_rows(s, images, od, oh);
        }
    }
}

/* Copies a chunk of inputs, multiplies it into T, and sums what it completes. */
static void run_chunk(const struct state *s, const struct tc_block *chunk, struct tc_range along,
                      ptrdiff_t *done)
{
    const bool ring = s->layout.along <= TC_W;
    ptrdiff_t pixels = 1;
    for (int g = 0; g < TC_GRID; g++) {
        pixels *= tc_range_length(chunk->input[g]);
    }
    const ptrdiff_t pitch = padded(s->job, pixels);
    tc_block_copy(s->job, chunk, pitch, s->copy);
    multiply(s, ring ? pixel_of(s, s->layout.along, along.begin) : 0, pixels, pitch);
    sum_complete(s, chunk->input[0], ring ? along.end : 0, done);
}

/* One ring: some images, all outputs of the block. */
static void run_ring(struct state *s, struct tc_range images)
{
    const int along = s->layout.along;
    const bool spatial = along == TC_D + 1 || along == TC_H + 1;
    struct tc_block chunk = s->block;
    ptrdiff_t done = spatial ? outputs_of(s, along - 1).begin : 0;
    s->image = images.begin;
    chunk.input[0] = images;
    if (along > TC_W) {
        run_chunk(s, &chunk, (struct tc_range){0, 1}, &done);
        return;
    }
    const struct tc_range all = chunk.input[along];
    struct tc_range step = {all.begin, all.begin};
    do { /* at least once: there may be outputs that no input reaches */
        step = (struct tc_range){step.end, tc_min(step.end + s->layout.steps, all.end)};
        chunk.input[along] = step;
        run_chunk(s, &chunk, step, &done);
    } while (step.end < all.end);
}

struct run {
    const struct tc_job *job;
    char *scratch;
};

static void run_block(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    struct state s = {.job = job, .layout = layout_of(job), .block = tc_block_at(job, task)};
    const struct scratch scratch = scratch_of(job, &s.layout);
    const struct tc_range *const in = s.block.input;
    s.copy = run->scratch + thread * job->thread_bytes;
    s.weights = (char *)s.copy + scratch.copy;
    s.t = (char *)s.weights + scratch.weights;
    s.row = (char *)s.t + scratch.t;
    s.a_row = (ptrdiff_t *)((char *)s.row + scratch.row);
    s.t_row = s.a_row + s.layout.channels * kernel_volume(job);
    s.taps = s.t_row + s.layout.channels * kernel_volume(job);
    s.step.axis[1] = tc_range_length(in[3]);
    s.step.axis[0] = s.step.axis[1] * tc_range_length(in[2]);
    s.step.n = s.step.axis[0] * tc_range_length(in[1]);
    s.layout.line = 1;
    for (int g = TC_GRID - 1; g > s.layout.along; g--) {
        s.layout.line *= tc_range_length(in[g]);
    }
    set_row(&s);
    const struct tc_range mine =
        tc_share_of(tc_group_co(job->problem), s.block.share, job->blocking.shares);
    for (s.channel = mine.begin; s.channel < mine.end; s.channel += s.channels) {
        s.channels = tc_min(s.layout.channels, mine.end - s.channel);
        const ptrdiff_t from = s.block.group * job->w.g + s.channel * job->w.co;
        list_rows(&s);
        copy_weights(&s, tc_at(job->w.data, from, job->kernels->bytes));
        if (s.layout.along == 0) {
            run_ring(&s, s.block.grid[0]);
        } else {
            for (ptrdiff_t n = s.block.grid[0].begin; n < s.block.grid[0].end; n++) {
                run_ring(&s, (struct tc_range){n, n + 1});
            }
        }
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    const struct run context = {job, scratch};
    tc_parallel(job->tasks, job->threads, run_block, &context);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const struct layout layout = layout_of(job);
    const int width = choose_width(job->kernels, layout.channels * kernel_volume(job));
    tc_say(text, "%d (channel, tap) rows x %td pixels", job->kernels->rows[width - 1],
           (ptrdiff_t)width * job->kernels->lanes);
}

const struct tc_engine tc_engine_spread = {
    .name = "spread",
    .accept = accept,
    .run = run,
    .describe = describe,
};
