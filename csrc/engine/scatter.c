/* SPDX-License-Identifier: BSD-3-Clause */
/* scatter: lanes are inputs, rows are kernel elements.
 *
 * Each input meets each kernel element once, whatever the stride, and so do the products
 *
 *     P[(co, k)][v] = sum over ci of  w[ci][co][k] * x[ci][v]:
 *
 * one product of matrices without a border, in which no row or lane goes to waste, however far the
 * taps of an output lie apart and however small the image is. Then each output is the sum
 *
 *     y[co][u] = bias + sum over k of  P[(co, k)][v],  u = s*v + d*k - p,
 *
 * of whole vectors, as the outputs of a block are held phase by phase along the width. With many
 * input channels and few outputs those additions are little against the product.
 *
 *     for block of outputs, of all phases, of some channels (a task)
 *       set its sums to the bias
 *       for chunk of the input channels
 *         copy the block's inputs, unless they can be read in place
 *         for some lines (kd, kh) of the kernel, or a piece of a long one
 *           their products with the inputs that they join with the block     tiles
 *           add them to the sums
 *       interleave the sums into y
 *
 * The kernel's elements are added in their order, so no sum depends on the blocks. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/cells.h"
#include "engine/pack.h"

#include <string.h>

enum {
    CHUNK_CI = 64,             /* input channels at once, about */
    COPY_BYTES = 256 << 10,    /* their inputs in a block; */
    SUMS_BYTES = 192 << 10,    /* its outputs; */
    PRODUCT_BYTES = 192 << 10, /* the products of some kernel lines */
    GROUP_ROWS = 24,           /* of the product at once, unless a line has more; */
    MOST_ROWS = 96,            /* then so many, about */
    MOST_CO = 6,               /* output channels, at most, */
    LEAST_CI = 24,             /* and input channels, at least: */
    RATIO = 10,                /* so many for each output channel */
    BARE_CO = 12,              /* the same where kernels are shorter than the stride, */
    DILATED_CO = 4,            /* and where a stride meets a dilation, one less for few inputs */
    SMALL_PIXELS = 2048,       /* of an image; */
    LARGE_CO = 2,              /* output channels of a larger one, if the stride is 1; */
    POINT_PIXELS = 1024,       /* of an image, if the kernel is a point */
};

static const double UNEVEN = 1.1;

/* What the blocks of a job share. */
struct layout {
    ptrdiff_t lines, lines_at_once; /* of the kernel, */
    ptrdiff_t piece;                /* and elements of a line at once */
    ptrdiff_t rows;                 /* of the product at once, at most */
    ptrdiff_t pitch;                /* of the rows of products, and of copied inputs */
    ptrdiff_t chunk;                /* input channels at once */
    ptrdiff_t copy_bytes, product_bytes, sums_bytes, table_bytes, line_bytes;
};

/* A block at work. */
struct state {
    const struct tc_job *job;
    const struct layout *layout;
    struct tc_block block;
    struct tc_range out[TC_SPATIAL]; /* outputs of the block */
    struct tc_range ci, co;          /* channels in the group: of a chunk, and of the block */
    struct tc_image sums;            /* axis[TC_W] is from a phase to the next */
    const void *inputs;              /* of the first channel, side by side [n][d][h][w], */
    ptrdiff_t pitch;                 /* and so far from the next channel's */
    void *copy, *product;
    ptrdiff_t *a_row, *c_row;
    void *line; /* of outputs of each channel */
};

/* ---- booking ---- */

static ptrdiff_t phases_of(const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    return axis[TC_D].phases * axis[TC_H].phases * axis[TC_W].phases;
}

/* Kernel lines whose inputs lie apart would have little of a product in common. */
static void set_lines(struct layout *layout, const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t co = tc_max(tc_group_co(p), 1), each = co * p->k[TC_W];
    const bool apart = p->d[TC_D] > 1 || p->d[TC_H] > 1;
    layout->lines = p->k[TC_D] * p->k[TC_H];
    layout->lines_at_once = apart ? 1 : tc_clamp(GROUP_ROWS / each, 1, layout->lines);
    layout->piece = tc_ceil_div(p->k[TC_W], tc_ceil_div(each, MOST_ROWS));
    layout->rows = layout->lines_at_once * layout->piece * co;
}

/* All input channels of a small image at once: each chunk adds its products up. */
static void set_chunk(struct layout *layout, const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_max(tc_group_ci(p), 1), *const in = p->i;
    const double image = (double)ci * (double)in[TC_D] * (double)in[TC_H] * (double)in[TC_W];
    const bool all = image * job->kernels->bytes <= COPY_BYTES;
    layout->chunk = all ? ci : tc_ceil_div(ci, tc_ceil_div(ci, CHUNK_CI));
}

/* What does not depend on the blocks; set_bytes adds the rest. */
static void init_layout(struct layout *layout, const struct tc_job *job)
{
    set_lines(layout, job);
    set_chunk(layout, job);
}

static void set_bytes(struct layout *layout, const struct tc_job *job)
{
    const ptrdiff_t bytes = job->kernels->bytes, *const size = job->blocking.size;
    const ptrdiff_t points = size[0] * size[1] * size[2] * size[3];
    const ptrdiff_t co = tc_group_co(job->problem), lanes = job->kernels->lanes;
    layout->pitch = tc_odd_lines(job->kernels, tc_block_inputs(job) + lanes);
    layout->copy_bytes = layout->chunk * layout->pitch * bytes;
    layout->product_bytes = layout->rows * layout->pitch * bytes;
    layout->sums_bytes = tc_round_up(points * phases_of(job) * co * bytes, TC_ALIGN);
    layout->line_bytes = tc_pixels_bytes(job, job->lattice.axis[TC_W].phases);
    layout->table_bytes = tc_round_up(2 * layout->rows * (ptrdiff_t)sizeof(ptrdiff_t), TC_ALIGN);
}

/* Whether the product takes so long that adding its elements up matters little, and direct would
 * waste rows or lanes: not where all places have about as many taps, if there are several places.
 * Where some have none, direct and gather have more to waste. Depthwise layers are left to engines
 * that sum as `channels` does. */
static bool pays(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p);
    bool bare = false, strided = false;
    double uneven = 1; /* taps of all places, if all had as many as some, by those that they have */
    for (int a = 0; a < TC_SPATIAL; a++) {
        bare = bare || p->k[a] < p->s[a];
        strided = strided || p->s[a] > 1;
        uneven *= (double)tc_ceil_div(p->k[a], p->s[a]) * (double)p->s[a] / (double)p->k[a];
    }
    if (tc_is_depthwise(p)) {
        return false;
    }
    if (bare) {
        return co <= BARE_CO;
    }
    if (!tc_cells_fit(p)) {
        return co <= (ci < LEAST_CI ? DILATED_CO - 1 : DILATED_CO);
    }
    return co <= MOST_CO && ci >= tc_max(LEAST_CI, RATIO * co) && (!strided || uneven >= UNEVEN);
}

/* Whether so much is copied around a block, of as many whole lines as the cache holds, that direct
 * is faster: not in small images, nor where taps lie in one line, nor where direct wastes most or
 * does not take the layer. Points have nothing to add up, and direct never copies their inputs. */
static bool is_large(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const double pixels = (double)p->i[TC_D] * (double)p->i[TC_H] * (double)p->i[TC_W];
    const bool in_line = p->k[TC_D] <= p->s[TC_D] && p->k[TC_H] <= p->s[TC_H];
    const bool few = tc_group_co(p) <= LARGE_CO && p->k[TC_D] == 1 && p->s[TC_H] == 1;
    if (tc_kernel_volume(p) == 1 && p->s[TC_D] * p->s[TC_H] * p->s[TC_W] == 1) {
        return pixels > POINT_PIXELS;
    }
    return pixels > SMALL_PIXELS && !in_line && !few && tc_cells_fit(p);
}

/* Why not; what was asked for is refused for reasons that hold for images of every size. */
static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const double co = (double)tc_group_co(p), bytes = job->kernels->bytes;
    double places = 1, inputs = 1;
    for (int a = 0; a < TC_SPATIAL; a++) {
        places *= (double)p->s[a];
        const double reach = 1 + (double)(p->k[a] - 1) * (double)p->d[a] / (double)p->s[a];
        inputs *= job->forced || reach < (double)p->i[a] ? reach : (double)p->i[a];
    }
    if (places * co * bytes > SUMS_BYTES) {
        return "the outputs of one input do not fit the cache";
    }
    if (4 * inputs * CHUNK_CI * bytes > COPY_BYTES) {
        return "the inputs of one output do not fit the cache";
    }
    if (!job->forced && !pays(job)) {
        return "adding up the products would cost too much for so many output channels";
    }
    if (!job->forced && is_large(job)) {
        return "the image is so large that copying a block's surroundings costs too much";
    }
    return NULL;
}

bool tc_scatter_takes(const struct tc_job *job)
{
    return refuse(job) == NULL;
}

static const char *accept(struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t bytes = job->kernels->bytes;
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    struct layout layout;
    init_layout(&layout, job);
    const ptrdiff_t outputs = tc_max(phases_of(job) * tc_group_co(p), 1);
    const ptrdiff_t inputs =
        tc_min(COPY_BYTES / bytes / layout.chunk, PRODUCT_BYTES / bytes / layout.rows);
    tc_blocking_set(job, tc_max(SUMS_BYTES / bytes / outputs, 1), inputs,
                    tc_max(tc_group_co(p), 1));
    set_bytes(&layout, job);
    job->thread_bytes = layout.copy_bytes + layout.product_bytes + layout.sums_bytes +
                        layout.table_bytes + layout.line_bytes;
    job->packed_bytes = 0;
    return NULL;
}

/* ---- inputs ---- */

/* Whether the block's inputs lie in x as they would in a copy, and so far from its end that whole
 * vectors of them can be read; but not where channels lie far apart, or meet in one set of the
 * cache. */
static bool lies_in_place(const struct state *s, ptrdiff_t from)
{
    const struct tc_image *const x = &s->job->x;
    const struct tc_range *const in = s->block.input;
    const ptrdiff_t width = tc_range_length(in[3]), plane = width * tc_range_length(in[2]);
    const ptrdiff_t bytes = s->job->kernels->bytes, depth = tc_range_length(in[1]);
    const ptrdiff_t read = plane * depth + s->job->kernels->lanes - 1;
    return x->c * bytes % TC_ALIAS_BYTES != 0 && x->c <= COPY_BYTES / bytes / s->layout->chunk &&
           tc_range_length(in[0]) == 1 && x->axis[TC_W] == 1 &&
           (x->axis[TC_H] == width || plane == width) && (x->axis[TC_D] == plane || depth == 1) &&
           tc_reaches(s->job, from + (tc_range_length(s->ci) - 1) * x->c + read);
}

static void take_inputs(struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const x = &job->x;
    const struct tc_range *const in = s->block.input;
    const ptrdiff_t channel = s->block.group * tc_group_ci(job->problem) + s->ci.begin;
    ptrdiff_t from = channel * x->c + in[0].begin * x->n;
    for (int a = 0; a < TC_SPATIAL; a++) {
        from += in[a + 1].begin * x->axis[a];
    }
    if (lies_in_place(s, from)) {
        s->inputs = tc_at(x->data, from, job->kernels->bytes);
        s->pitch = x->c;
        return;
    }
    const struct tc_steps steps = {.pixel = 1, .channel = s->layout->pitch};
    tc_block_copy(job, &s->block, s->ci, steps, s->copy);
    s->inputs = s->copy;
    s->pitch = s->layout->pitch;
}

/* The inputs of the block that a kernel element joins with outputs of it. */
static struct tc_range joined(const struct state *s, int a, ptrdiff_t k)
{
    return tc_lattice_joined_between(&s->job->lattice.axis[a], k, s->block.input[a + 1], s->out[a]);
}

/* ---- products ---- */

/* Elements of the kernel that are multiplied at once: all the same ones of some lines. */
struct elements {
    struct tc_range lines, kw;
};

/* Kernel line number `line`: its place along depth and height. */
struct line {
    ptrdiff_t k[2];
};

static struct line line_at(const struct tc_job *job, ptrdiff_t line)
{
    const ptrdiff_t height = job->problem->k[TC_H];
    return (struct line){{line / height, line % height}};
}

/* Where the rows of A and C lie, [co][line][kw]; returns their number. */
static ptrdiff_t list_rows(const struct state *s, const struct elements *elements)
{
    const struct tc_weight *const w = &s->job->w;
    ptrdiff_t count = 0;
    for (ptrdiff_t co = s->co.begin; co < s->co.end; co++) {
        for (ptrdiff_t i = elements->lines.begin; i < elements->lines.end; i++) {
            const struct line line = line_at(s->job, i);
            const ptrdiff_t from =
                co * w->co + line.k[TC_D] * w->axis[TC_D] + line.k[TC_H] * w->axis[TC_H];
            for (ptrdiff_t kw = elements->kw.begin; kw < elements->kw.end; kw++, count++) {
                s->a_row[count] = from + kw * w->axis[TC_W];
                s->c_row[count] = count * s->layout->pitch;
            }
        }
    }
    return count;
}

/* The width of tile that takes the fewest steps for so many rows and vectors. */
static ptrdiff_t choose_width(const struct tc_kernels *kernels, ptrdiff_t rows, ptrdiff_t vectors)
{
    ptrdiff_t best = 1, least = PTRDIFF_MAX;
    for (ptrdiff_t most = 1; most <= kernels->widths; most++) {
        const ptrdiff_t parts = tc_ceil_div(vectors, most), width = tc_ceil_div(vectors, parts);
        const ptrdiff_t tiles = tc_ceil_div(rows, kernels->rows[width - 1]);
        const ptrdiff_t steps = parts * tiles * tc_tile_steps(tc_ceil_div(rows, tiles), width);
        if (steps < least) {
            least = steps;
            best = width;
        }
    }
    return best;
}

/* The products of some rows with the inputs in `lanes`, of the channels from ci.begin on. */
static void multiply_piece(const struct state *s, ptrdiff_t rows, struct tc_range lanes,
                           struct tc_range ci)
{
    const struct tc_job *const job = s->job;
    const struct tc_kernels *const kernels = job->kernels;
    const ptrdiff_t vectors = tc_ceil_div(tc_range_length(lanes), kernels->lanes);
    const ptrdiff_t width = choose_width(kernels, rows, vectors), bytes = kernels->bytes;
    const ptrdiff_t parts = tc_ceil_div(vectors, width);
    const ptrdiff_t w_at = s->block.group * job->w.g + ci.begin * job->w.ci;
    const ptrdiff_t before = (ci.begin - s->ci.begin) * s->pitch;
    struct tc_tile tile = {.k = tc_range_length(ci),
                           .taps = {1, 1, 1},
                           .a = tc_at(job->w.data, w_at, bytes),
                           .a_k = job->w.ci,
                           .b_k = s->pitch,
                           .add = ci.begin > s->ci.begin};
    for (ptrdiff_t part = 0; part < parts; part++) {
        const struct tc_range mine = tc_share_of(vectors, part, parts);
        const ptrdiff_t at = lanes.begin + mine.begin * kernels->lanes;
        const ptrdiff_t most = kernels->rows[tc_range_length(mine) - 1];
        const ptrdiff_t tiles = tc_ceil_div(rows, most);
        tile.lanes = tc_min(lanes.begin + mine.end * kernels->lanes, lanes.end) - at;
        tile.b = tc_at(s->inputs, before + at, bytes);
        tile.c = tc_at(s->product, at, bytes);
        for (ptrdiff_t t = 0; t < tiles; t++) {
            const struct tc_range share = tc_share_of(rows, t, tiles);
            tile.rows = tc_range_length(share);
            tile.a_row = s->a_row + share.begin;
            tile.c_row = s->c_row + share.begin;
            kernels->tile[tc_range_length(mine) - 1](&tile);
        }
    }
}

/* A piece of the channels at a time, whose weights and inputs stay near. */
static void multiply(const struct state *s, ptrdiff_t rows, struct tc_range lanes)
{
    struct tc_range ci = {s->ci.begin, s->ci.begin};
    do {
        ci.begin = ci.end;
        ci.end = tc_min(ci.begin + CHUNK_CI, s->ci.end);
        multiply_piece(s, rows, lanes, ci);
    } while (ci.end < s->ci.end);
}

static struct tc_range hull(struct tc_range a, struct tc_range b)
{
    return (struct tc_range){tc_min(a.begin, b.begin), tc_max(a.end, b.end)};
}

/* The inputs of the block that some of these elements join with outputs of it; along the width only
 * if it is one line. */
static void find_met(const struct state *s, const struct elements *elements,
                     struct tc_range met[TC_SPATIAL])
{
    const struct tc_range *const in = s->block.input;
    for (int a = TC_D; a <= TC_H; a++) {
        met[a] = (struct tc_range){in[a + 1].end, in[a + 1].begin};
        for (ptrdiff_t i = elements->lines.begin; i < elements->lines.end; i++) {
            met[a] = hull(met[a], joined(s, a, line_at(s->job, i).k[a]));
        }
    }
    met[TC_W] = in[3];
    if (tc_range_length(in[0]) * tc_range_length(in[1]) * tc_range_length(in[2]) == 1) {
        met[TC_W] =
            hull(joined(s, TC_W, elements->kw.begin), joined(s, TC_W, elements->kw.end - 1));
    }
}

/* The products of some elements with all the inputs that one of them joins with outputs; with all
 * of the block, if it has few more. */
static void multiply_elements(const struct state *s, const struct elements *elements)
{
    const struct tc_range *const in = s->block.input;
    const ptrdiff_t rows = list_rows(s, elements), width = tc_range_length(in[3]);
    const ptrdiff_t plane = tc_range_length(in[2]) * width, images = tc_range_length(in[0]);
    const ptrdiff_t all = images * tc_range_length(in[1]) * plane, lanes = s->job->kernels->lanes;
    struct tc_range met[TC_SPATIAL];
    find_met(s, elements, met);
    const ptrdiff_t first = (met[TC_H].begin - in[2].begin) * width + met[TC_W].begin - in[3].begin;
    const ptrdiff_t count = tc_range_length(met[TC_H]) * tc_range_length(met[TC_W]);
    const ptrdiff_t planes = tc_range_length(met[TC_D]) * images;
    if (count * planes > 0 && 4 * planes * tc_round_up(count, lanes) >= 3 * all) {
        multiply(s, rows, (struct tc_range){0, all});
        return;
    }
    for (ptrdiff_t n = 0; n < images && count > 0; n++) {
        for (ptrdiff_t d = met[TC_D].begin; d < met[TC_D].end; d++) {
            const ptrdiff_t plane_at = n * tc_range_length(in[1]) + d - in[1].begin;
            const ptrdiff_t at = plane_at * plane + first;
            multiply(s, rows, (struct tc_range){at, at + count});
        }
    }
}

/* ---- sums ---- */

/* Adds the products of one kernel element, the rows of one channel, to its outputs. */
static void add_element(const struct state *s, const ptrdiff_t k[TC_SPATIAL], ptrdiff_t row,
                        ptrdiff_t channel)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    const struct tc_range *const in = s->block.input;
    const ptrdiff_t bytes = s->job->kernels->bytes, images = tc_range_length(in[0]);
    const ptrdiff_t width = tc_range_length(in[3]), plane = tc_range_length(in[2]) * width;
    struct tc_range met[TC_SPATIAL];
    ptrdiff_t from = row * s->layout->pitch, to = channel * s->sums.c, at[TC_SPATIAL];
    for (int a = 0; a < TC_SPATIAL; a++) {
        met[a] = joined(s, a, k[a]);
        at[a] = axis[a].out_step * met[a].begin + axis[a].dilation * k[a] - axis[a].padding -
                s->out[a].begin;
    }
    from += (met[TC_D].begin - in[1].begin) * plane + (met[TC_H].begin - in[2].begin) * width +
            met[TC_W].begin - in[3].begin;
    to += at[TC_D] * s->sums.axis[TC_D] + at[TC_H] * s->sums.axis[TC_H] +
          at[TC_W] % axis[TC_W].out_step * s->sums.axis[TC_W] + at[TC_W] / axis[TC_W].out_step;
    struct tc_rows rows = {.rows = tc_range_length(met[TC_H]),
                           .columns = tc_range_length(met[TC_W]),
                           .src_row = width,
                           .dst_row = axis[TC_H].out_step * s->sums.axis[TC_H]};
    for (ptrdiff_t n = 0; n < images && rows.rows > 0 && rows.columns > 0; n++) {
        for (ptrdiff_t d = 0; d < tc_range_length(met[TC_D]); d++) {
            const ptrdiff_t src = from + n * tc_range_length(in[1]) * plane + d * plane;
            const ptrdiff_t dst = to + n * s->sums.n + d * axis[TC_D].out_step * s->sums.axis[TC_D];
            rows.src = tc_at(s->product, src, bytes);
            rows.dst = tc_at(s->sums.data, dst, bytes);
            s->job->kernels->add(&rows);
        }
    }
}

static void add_elements(const struct state *s, const struct elements *elements)
{
    const struct tc_range kws = elements->kw;
    ptrdiff_t row = 0;
    for (ptrdiff_t co = 0; co < tc_range_length(s->co); co++) {
        for (ptrdiff_t i = elements->lines.begin; i < elements->lines.end; i++) {
            const struct line line = line_at(s->job, i);
            for (ptrdiff_t kw = kws.begin; kw < kws.end; kw++, row++) {
                add_element(s, (const ptrdiff_t[]){line.k[TC_D], line.k[TC_H], kw}, row, co);
            }
        }
    }
}

/* Sums begin with their channel's bias, or 0. */
static void begin_sums(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const size_t bytes = (size_t)job->kernels->bytes, all = (size_t)s->sums.c * bytes;
    for (ptrdiff_t c = 0; c < tc_range_length(s->co); c++) {
        char *const sums = tc_at(s->sums.data, c * s->sums.c, job->kernels->bytes);
        if (!job->problem->bias) {
            memset(sums, 0, all);
            continue;
        }
        const ptrdiff_t channel = s->block.group * tc_group_co(job->problem) + s->co.begin + c;
        memcpy(sums, tc_at(job->b.data, channel * job->b.c, job->kernels->bytes), bytes);
        for (size_t done = bytes; done < all; done *= 2) {
            memcpy(sums + done, sums, done < all - done ? done : all - done);
        }
    }
}

/* Writes the lines of one channel at `dst`, or of all from this one on. */
static void write_lines(const struct state *s, ptrdiff_t from, void *dst, bool all)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t bytes = job->kernels->bytes, phases = job->lattice.axis[TC_W].phases;
    const ptrdiff_t lines = tc_range_length(s->out[TC_H]);
    const ptrdiff_t outputs = tc_range_length(s->out[TC_W]);
    struct tc_shuffle shuffle = {.rows = lines,
                                 .phases = phases,
                                 .src = tc_at(s->sums.data, from, bytes),
                                 .src_row = s->sums.axis[TC_H],
                                 .src_phase = s->sums.axis[TC_W],
                                 .dst = dst,
                                 .dst_row = job->y.axis[TC_H]};
    if (!all) {
        tc_interleave(job->kernels, shuffle, outputs, job->y.axis[TC_W]);
        return;
    }
    shuffle.rows = job->problem->co;
    shuffle.src_row = s->sums.c;
    shuffle.dst = s->line;
    shuffle.dst_row = tc_pixels_line(job, phases);
    for (ptrdiff_t h = 0; h < lines; h++) {
        shuffle.src = tc_at(s->sums.data, from + h * s->sums.axis[TC_H], bytes);
        tc_interleave_channels(job->kernels, shuffle, outputs,
                               tc_at(dst, h * job->y.axis[TC_H], bytes));
    }
}

static void write_sums(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const y = &job->y, *const sums = &s->sums;
    const struct tc_range *const out = s->out;
    const ptrdiff_t channels = tc_range_length(s->co);
    const bool all = tc_stores_pixels(job) && channels == job->problem->co;
    tc_activate(job, sums->data, channels, sums->c, sums->c);
    for (ptrdiff_t c = 0; c < channels; c += all ? channels : 1) {
        const ptrdiff_t channel = s->block.group * tc_group_co(job->problem) + s->co.begin + c;
        for (ptrdiff_t n = 0; n < tc_range_length(s->block.grid[0]); n++) {
            for (ptrdiff_t d = 0; d < tc_range_length(out[TC_D]); d++) {
                const ptrdiff_t from = c * sums->c + n * sums->n + d * sums->axis[TC_D];
                const ptrdiff_t to = (s->block.grid[0].begin + n) * y->n + channel * y->c +
                                     (out[TC_D].begin + d) * y->axis[TC_D] +
                                     out[TC_H].begin * y->axis[TC_H] +
                                     out[TC_W].begin * y->axis[TC_W];
                write_lines(s, from, tc_at(y->data, to, job->kernels->bytes), all);
            }
        }
    }
}

/* ---- blocks ---- */

/* The block's outputs, and how its sums lie: [co][n][od][oh][phase][column]. */
static void set_outputs(struct state *s)
{
    const struct tc_axis *const axis = s->job->lattice.axis;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_range grid = s->block.grid[a + 1];
        s->out[a] = (struct tc_range){grid.begin * axis[a].out_step,
                                      tc_min(grid.end * axis[a].out_step, axis[a].out)};
    }
    s->sums.axis[TC_W] = tc_range_length(s->block.grid[TC_W + 1]);
    s->sums.axis[TC_H] = s->sums.axis[TC_W] * axis[TC_W].phases;
    s->sums.axis[TC_D] = s->sums.axis[TC_H] * tc_range_length(s->out[TC_H]);
    s->sums.n = s->sums.axis[TC_D] * tc_range_length(s->out[TC_D]);
    s->sums.c = s->sums.n * tc_range_length(s->block.grid[0]);
}

/* Adds what a chunk of the input channels gives. */
static void run_chunk(struct state *s)
{
    const struct layout *const layout = s->layout;
    const ptrdiff_t width = s->job->problem->k[TC_W];
    struct elements e;
    take_inputs(s);
    for (e.lines.begin = 0; e.lines.begin < layout->lines; e.lines.begin = e.lines.end) {
        e.lines.end = tc_min(e.lines.begin + layout->lines_at_once, layout->lines);
        for (e.kw.begin = 0; e.kw.begin < width; e.kw.begin = e.kw.end) {
            e.kw.end = tc_min(e.kw.begin + layout->piece, width);
            if (!tc_is_stopped(s->job->watch)) {
                multiply_elements(s, &e);
                add_elements(s, &e);
            }
        }
    }
}

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

static void run_block(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    const struct layout *const layout = &run->layout;
    struct state s = {.job = job, .layout = layout, .block = tc_block_at(job, task)};
    s.copy = run->scratch + thread * job->thread_bytes;
    s.product = (char *)s.copy + layout->copy_bytes;
    s.sums.data = (char *)s.product + layout->product_bytes;
    s.a_row = (ptrdiff_t *)((char *)s.sums.data + layout->sums_bytes);
    s.c_row = s.a_row + layout->rows;
    s.line = (char *)s.a_row + layout->table_bytes;
    s.co = tc_share_of(tc_group_co(job->problem), s.block.share, job->blocking.shares);
    set_outputs(&s);
    begin_sums(&s);
    for (; s.ci.begin < tc_group_ci(job->problem); s.ci.begin = s.ci.end) {
        s.ci.end = tc_min(s.ci.begin + layout->chunk, tc_group_ci(job->problem));
        run_chunk(&s);
    }
    write_sums(&s);
}

static void run(const struct tc_job *job, void *scratch)
{
    struct run context = {.job = job, .scratch = scratch};
    init_layout(&context.layout, job);
    set_bytes(&context.layout, job);
    tc_parallel(job->tasks, job->threads, run_block, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    struct layout layout;
    init_layout(&layout, job);
    tc_say(text, "%td kernel elements x %td inputs", layout.rows, tc_block_inputs(job));
}

const struct tc_engine tc_engine_scatter = {
    .name = "scatter",
    .contractions = TC_DOES_LARGE,
    .accept = accept,
    .run = run,
    .describe = describe,
};
