/* SPDX-License-Identifier: BSD-3-Clause */
/* planes: lanes are outputs along the width, rows are output channels.
 *
 * A convolution of few input channels into many has little to sum for each output and many outputs
 * to store. Where its lanes are outputs of one line,
 *
 *     y[co][oh][v] = sum over kh, kw, ci of
 *         w[co][ci][kh][kw] * x[ci][s*oh + d*kh - p][s*v + d*kw - p],
 *
 * a tile goes to y as it is: nothing is transposed on the way, as in gather. A weight is read for
 * all lanes at once; each thread copies all of them once, in the order of the taps. With s*v + d*kw
 * - p = s*(v + q) + r, where q and r are of the tap alone, the inputs that leave a remainder r of s
 * lie side by side on a sheet, so that a tap is a shift of a line. They are few, and are copied
 * once for all output channels of a task.
 *
 *     for block of outputs, of some channels (a task)
 *       copy all weights, if the thread has not yet
 *       copy its inputs to the sheet [n][ci][d][h][remainder][column]
 *       for some output channels, for line of outputs, for tile
 *
 * Transposed convolutions of stride 1 have the same lattice, with the taps the other way round.
 *
 * A line of the sheet has as many zeros around its inputs that every tap finds an element. Where a
 * weight is not finite they must not meet, and the tiles are masked. Along the other axes, taps
 * that meet the padding are left out. The sums' order is gather's, so strides may choose between
 * the two. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"
#include "engine/panels.h"

#include <math.h>
#include <string.h>

enum {
    LEAST_SHEET = 128 << 10, /* bytes of a block's inputs, half of the second cache, */
    MOST_SHEET = 1024 << 10, /* and at most */
    LINE_BYTES = 512 << 10,  /* the inputs of a line of outputs */
    MOST_POINTS = 8192,      /* outputs of a block, in each channel */
    TILE_INPUTS = 512,       /* inputs of a block for each tile's channels, or it is not cut */
    LEAST_COLUMNS = 64,      /* of a line, that a sheet has room for */
    MOST_SUM = 4096,         /* products of an output, */
    MOST_WEIGHTS = 1 << 20,  /* and bytes of all weights */
    TILE_STEPS = 30,         /* a tile costs so many, however small it is */
    MOST_CI = 6,             /* input channels, at most, at stride 1: */
    SHORT_SUM = 64,          /* so many products of an output, no more than outputs of a line, */
    TINY_CI = 3,             /* or on any line if output channels fill less than two vectors, */
    SMALL_CI = 16,           /* or on lines that fill vectors; */
    MIDDLE_SUM = 300,        /* products of an output that lines as long as this, */
    LONG_LINE = 80,          /* and vectors that are nearly full, make up for; */
    MOST_STRIDED_CI = 4,     /* input channels with a stride along the width: */
    PAYING_SUM = 160,        /* so many products of an output, no more than outputs of a line, */
    WIDE_SUM = 260,          /* or of two long lines at stride 2, */
    LEAST_STRIDED_CO = 8,    /* for so many output channels, */
    SPLIT_CO = 8,            /* or for each input that a long stride has to sort out; */
    FEW_CI = 64,             /* of so many input channels, */
    FEW_PAIRS = 192, /* and pairs of channels, if output channels fill half a vector or less; */
    MOST_SORTED = 4, /* or, up to this stride, */
    LANE_PAIRS = 12, /* so many pairs for each lane, if lines fill vectors better */
};

static const double NEARLY_FULL = 0.97, MUCH_FULLER = 1.1;

/* What the blocks of a job share. */
struct layout {
    struct tc_phase phase[TC_SPATIAL];
    struct tc_range shift; /* q of all taps along the width */
    bool borders;          /* whether a tap of some output meets the padding along the width */
    ptrdiff_t rows;        /* output channels of a tile, */
    int width;             /* and its vectors, at most */
    ptrdiff_t line;        /* products that one line of inputs gives to an output, */
    ptrdiff_t plane, sum;  /* one plane of them, and all */
    ptrdiff_t pitch;       /* of the sheet, from a remainder to the next */
    ptrdiff_t mask_bytes;  /* of one tap */
    ptrdiff_t sheet_bytes, bias_bytes, masks_bytes, table_bytes;
};

/* A block at work. */
struct state {
    const struct tc_job *job;
    const struct layout *layout;
    struct tc_block block;
    struct tc_image sheet;
    ptrdiff_t column;    /* the sheet's first along the width, in steps of x */
    struct tc_range co;  /* of a tile, in the group */
    bool finite;         /* its weights are */
    const void *weights; /* of its channels */
    void *bias;
    unsigned char *masks;
    ptrdiff_t *b_at, *a_row, *c_row;
};

/* ---- booking ---- */

static ptrdiff_t step_of(const struct tc_job *job)
{
    return job->lattice.axis[TC_W].in_step;
}

/* Rows and vectors of the tiles that take the fewest steps for all channels of a whole line. */
static void choose_tile(struct layout *layout, const struct tc_job *job)
{
    const struct tc_kernels *const kernels = job->kernels;
    const ptrdiff_t co = tc_max(tc_group_co(job->problem), 1);
    const ptrdiff_t vectors = tc_max(tc_ceil_div(job->problem->o[TC_W], kernels->lanes), 1);
    double least = HUGE_VAL;
    for (int width = 1; width <= kernels->widths; width++) {
        const ptrdiff_t tiles = tc_ceil_div(co, kernels->rows[width - 1]);
        const ptrdiff_t rows = tc_ceil_div(co, tiles), parts = tc_ceil_div(vectors, width);
        const ptrdiff_t last = vectors - (parts - 1) * width;
        const double each = (double)(parts - 1) * (double)tc_tile_steps(rows, width) +
                            (double)tc_tile_steps(rows, last);
        const double all =
            (double)tiles * ((double)layout->sum * each + (double)parts * TILE_STEPS);
        if (all < least) {
            least = all;
            layout->rows = rows;
            layout->width = width;
        }
    }
}

/* What does not depend on the blocks; set_bytes adds the rest. */
static void init_layout(struct layout *layout, const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    for (int a = 0; a < TC_SPATIAL; a++) {
        layout->phase[a] = tc_phase_at(&axis[a], 0);
    }
    layout->line = tc_group_ci(job->problem) * layout->phase[TC_W].taps;
    layout->plane = layout->line * layout->phase[TC_H].taps;
    layout->sum = layout->plane * layout->phase[TC_D].taps;
    const struct tc_phase *const phase = &layout->phase[TC_W];
    const struct tc_axis *const width = &axis[TC_W];
    const ptrdiff_t first = phase->offset + (phase->taps - 1) * width->offset_step;
    layout->shift = (struct tc_range){tc_floor_div(first, width->in_step),
                                      tc_floor_div(phase->offset, width->in_step) + 1};
    layout->borders = first < 0 || width->in_step * (width->out - 1) + phase->offset >= width->in;
    choose_tile(layout, job);
}

static void set_bytes(struct layout *layout, const struct tc_job *job)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const ptrdiff_t *const size = job->blocking.size, bytes = job->kernels->bytes;
    const ptrdiff_t columns = tc_round_up(size[TC_W + 1], job->kernels->lanes);
    const ptrdiff_t words = (ptrdiff_t)sizeof(ptrdiff_t);
    ptrdiff_t lines = size[0] * tc_group_ci(job->problem) * step_of(job);
    for (int a = TC_D; a <= TC_H; a++) {
        lines *= tc_lattice_met(&axis[a], size[a + 1]);
    }
    layout->pitch = tc_odd_lines(job->kernels, columns + tc_range_length(layout->shift) - 1);
    layout->sheet_bytes = lines * layout->pitch * bytes;
    layout->bias_bytes = tc_round_up(layout->rows * bytes, TC_ALIGN);
    layout->mask_bytes = layout->borders ? tc_ceil_div(columns, 64) * 8 : 0;
    layout->masks_bytes = tc_round_up(layout->phase[TC_W].taps * layout->mask_bytes, TC_ALIGN);
    layout->table_bytes = tc_round_up((layout->plane + 2 * TC_MAX_ROWS) * words, TC_ALIGN);
}

static bool fills_lines(const struct tc_job *job)
{
    const ptrdiff_t outputs = job->problem->o[TC_W];
    return 5 * outputs >= 4 * tc_round_up(outputs, job->kernels->lanes);
}

/* How much of its vectors a line fills. */
static double full(const struct tc_job *job, ptrdiff_t length)
{
    return (double)length / (double)tc_round_up(length, job->kernels->lanes);
}

/* Whether gather is what would take this otherwise, at stride 1, and has emptier vectors or sums so
 * short that long lines are reason enough not to transpose its outputs. */
static bool beats_gather(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t outputs = p->o[TC_W];
    const double line = full(job, outputs), channels = full(job, tc_group_co(p));
    const bool fuller = outputs > job->kernels->lanes && line >= MUCH_FULLER * channels;
    const bool shorter = tc_group_ci(p) * tc_kernel_volume(p) <= MIDDLE_SUM &&
                         outputs >= LONG_LINE && line >= NEARLY_FULL;
    const bool conv = p->operation->contraction == TC_SMALL_FROM_LARGE;
    return (fuller || shorter) &&
           !(conv ? tc_mirror_takes(job) : tc_direct_takes(job) || tc_scatter_takes(job));
}

/* Whether this is faster where the stride along the width is 1: storing takes longer than summing;
 * or output channels fill less than two vectors of gather, which reads as many inputs as it
 * multiplies then, but half of one, since gather stands in for this in other layouts; or lines fill
 * vectors well. Points are left to engines that see one line in all of them. */
static bool pays_in_line(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p), sum = ci * tc_kernel_volume(p);
    const ptrdiff_t lanes = job->kernels->lanes;
    if (sum == ci || 2 * co < lanes) {
        return false;
    }
    if (co < 2 * lanes && (ci <= TINY_CI || (ci <= SMALL_CI && fills_lines(job)))) {
        return true;
    }
    if (fills_lines(job) && ci <= MOST_CI && sum <= tc_min(p->o[TC_W], SHORT_SUM)) {
        return true;
    }
    return beats_gather(job);
}

/* The same for any stride: with one, storing has to take longer than summing. */
static bool pays(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p), step = p->s[TC_W];
    if (step == 1) {
        return pays_in_line(job);
    }
    const bool wide = step == 2 && p->o[TC_W] >= LEAST_COLUMNS && p->o[TC_H] > 1;
    const ptrdiff_t most = wide ? tc_min(2 * p->o[TC_W], WIDE_SUM) : tc_min(p->o[TC_W], PAYING_SUM);
    return fills_lines(job) && ci * tc_kernel_volume(p) <= most && ci <= MOST_STRIDED_CI &&
           co >= LEAST_STRIDED_CO && (step == 2 || co >= SPLIT_CO * ci * step);
}

/* The same for output channels that leave lanes of gather empty. */
static bool pays_for_few(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p), step = p->s[TC_W];
    const ptrdiff_t lanes = job->kernels->lanes;
    const bool fuller = full(job, p->o[TC_W]) >= MUCH_FULLER * full(job, co);
    /* nearly all inputs that are sorted out are used */
    const bool sorted = step > 1 && step <= MOST_SORTED && p->k[TC_W] >= step;
    return fills_lines(job) &&
           ((step == 2 && 2 * co <= lanes && ci <= FEW_CI && ci * co <= FEW_PAIRS) ||
            (step == 4 && 4 * co <= lanes && ci <= FEW_CI / 4) ||
            (sorted && fuller && ci * co <= LANE_PAIRS * lanes));
}

/* Why not; what was asked for is refused for reasons that hold for images of every size. If `few`,
 * it may have few output channels; other engines do not step back for those. */
static const char *refuse(const struct tc_job *job, bool few)
{
    const struct tc_problem *const p = job->problem;
    double inputs = (double)tc_group_ci(p) * LEAST_COLUMNS * (double)p->s[TC_W];
    double sum = (double)tc_group_ci(p);
    for (int a = 0; a < TC_SPATIAL; a++) {
        const double reach = 1 + (double)(p->k[a] - 1) * (double)p->d[a];
        const bool whole = !job->forced && reach > (double)p->i[a];
        inputs = a == TC_W ? inputs + reach : inputs * (whole ? (double)p->i[a] : reach);
        sum *= (double)p->k[a];
    }
    if (tc_lattice_has_phases(&job->lattice)) {
        return "the outputs of several phases lie side by side";
    }
    if (sum > MOST_SUM || sum * (double)p->co * job->kernels->bytes > MOST_WEIGHTS) {
        return "the weights leave no room in the cache";
    }
    if (inputs * job->kernels->bytes > LINE_BYTES) {
        return "the inputs of one line do not fit the cache";
    }
    if (!job->forced && tc_panel_chunk(job) < tc_group_ci(p)) {
        return "gather would sum in another order";
    }
    if (!job->forced && !pays(job) && !(few && pays_for_few(job))) {
        return "it is faster for few input channels, many output channels and wide images only";
    }
    return NULL;
}

bool tc_planes_takes(const struct tc_job *job)
{
    return refuse(job, false) == NULL;
}

/* Outputs of a block, at most. Tasks that share the output channels of one each copy all its
 * inputs; smaller blocks are better, until their many tiles take longer to begin than that. */
static ptrdiff_t most_points(const struct tc_job *job, ptrdiff_t tiles)
{
    const struct tc_problem *const p = job->problem;
    double outputs = (double)p->n * (double)p->g; /* in a channel of each group */
    double inputs = (double)tc_group_ci(p);       /* for an output */
    for (int a = 0; a < TC_SPATIAL; a++) {
        outputs *= (double)p->o[a];
        inputs *= (double)job->lattice.axis[a].in_step;
    }
    const double fair = outputs / (double)(job->threads * TC_TASKS_PER_THREAD);
    const double least = (double)tiles * TILE_INPUTS / inputs;
    const double points = fair > least ? fair : least;
    return job->threads == 1 || points > MOST_POINTS ? MOST_POINTS : tc_max((ptrdiff_t)points, 1);
}

/* All weights, in the order of the taps. */
static ptrdiff_t own_bytes(const struct tc_job *job, const struct layout *layout)
{
    return tc_own_bytes(layout->sum * job->problem->co * job->kernels->bytes);
}

static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job, true);
    if (refusal) {
        return refusal;
    }
    if (job->y.axis[TC_W] != 1) {
        return "the lines of the output are not contiguous";
    }
    struct layout layout;
    init_layout(&layout, job);
    const ptrdiff_t tiles = tc_ceil_div(tc_group_co(job->problem), layout.rows);
    const ptrdiff_t sheet = tc_clamp(job->cpu->l2_bytes / 2, LEAST_SHEET, MOST_SHEET);
    const ptrdiff_t inputs = sheet / job->kernels->bytes / tc_group_ci(job->problem);
    tc_blocking_set(job, most_points(job, tiles), inputs, tc_max(tiles, 1));
    set_bytes(&layout, job);
    job->thread_bytes =
        layout.sheet_bytes + layout.bias_bytes + layout.table_bytes + layout.masks_bytes;
    job->thread_bytes = tc_round_up(job->thread_bytes, TC_ALIGN) + own_bytes(job, &layout);
    job->packed_bytes = 0;
    job->shared_bytes = 0;
    return NULL;
}

/* ---- inputs ---- */

/* Copies the block's inputs to the sheet [n][ci][d][h][remainder][column]. */
static void copy_inputs(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const x = &job->x, *const sheet = &s->sheet;
    const struct tc_range *const in = s->block.input;
    const ptrdiff_t ci = tc_group_ci(job->problem), step = step_of(job);
    const ptrdiff_t bytes = job->kernels->bytes, begin = tc_max(s->column, 0);
    const ptrdiff_t first =
        s->block.group * ci * x->c + in[2].begin * x->axis[TC_H] + begin * step * x->axis[TC_W];
    struct tc_split split = {.channels = ci,
                             .lines = tc_range_length(in[2]),
                             .columns = tc_max(in[3].end - begin * step, 0),
                             .step = step,
                             .src_channel = x->c,
                             .src_line = x->axis[TC_H],
                             .src_column = x->axis[TC_W],
                             .dst_channel = sheet->c,
                             .dst_line = sheet->axis[TC_H],
                             .dst_part = s->layout->pitch,
                             .src_far = x->far};
    memset(sheet->data, 0, (size_t)s->layout->sheet_bytes);
    for (ptrdiff_t n = in[0].begin; n < in[0].end; n++) {
        for (ptrdiff_t d = in[1].begin; d < in[1].end; d++) {
            const ptrdiff_t to = (n - in[0].begin) * sheet->n +
                                 (d - in[1].begin) * sheet->axis[TC_D] + begin - s->column;
            split.src = tc_at(x->data, first + n * x->n + d * x->axis[TC_D], bytes);
            split.dst = tc_at(sheet->data, to, bytes);
            tc_split(job->kernels, &split);
        }
    }
}

/* Where the taps of a plane find their inputs, [kh][kw][ci]. */
static void list_taps(const struct state *s)
{
    const struct tc_axis *const height = &s->job->lattice.axis[TC_H];
    const struct tc_axis *const width = &s->job->lattice.axis[TC_W];
    const struct tc_phase *const phase = s->layout->phase;
    const ptrdiff_t ci = tc_group_ci(s->job->problem);
    ptrdiff_t *at = s->b_at;
    for (ptrdiff_t h = 0; h < phase[TC_H].taps; h++) {
        const ptrdiff_t line = h * height->offset_step * s->sheet.axis[TC_H];
        for (ptrdiff_t w = 0; w < phase[TC_W].taps; w++) {
            const ptrdiff_t offset = phase[TC_W].offset + w * width->offset_step;
            const ptrdiff_t q = tc_floor_div(offset, width->in_step);
            const ptrdiff_t r = offset - q * width->in_step;
            for (ptrdiff_t c = 0; c < ci; c++) {
                *at++ = line + r * s->layout->pitch + q - s->layout->shift.begin + c * s->sheet.c;
            }
        }
    }
}

/* For each tap along the width, the bits of the columns for which it finds an input. */
static void list_masks(const struct state *s)
{
    const struct tc_axis *const axis = &s->job->lattice.axis[TC_W];
    const struct tc_phase *const phase = &s->layout->phase[TC_W];
    const struct tc_range grid = s->block.grid[3];
    memset(s->masks, 0, (size_t)s->layout->masks_bytes);
    for (ptrdiff_t t = 0; t < phase->taps; t++) {
        unsigned char *const mask = s->masks + t * s->layout->mask_bytes;
        for (ptrdiff_t j = grid.begin; j < grid.end; j++) {
            const ptrdiff_t at = axis->in_step * j + phase->offset + t * axis->offset_step;
            const ptrdiff_t lane = j - grid.begin;
            mask[lane / 8] |= (unsigned char)((at >= 0 && at < axis->in) << lane % 8);
        }
    }
}

/* ---- weights ---- */

/* Copies the weights of one output channel in the order of the taps, [kd][kh][kw][ci]. */
static void copy_weights(const struct tc_job *job, const struct layout *layout,
                         const struct tc_weight *from, void *to)
{
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tc_phase *const phase = layout->phase;
    const ptrdiff_t ci = tc_group_ci(job->problem), bytes = job->kernels->bytes;
    const bool flat = from->axis[TC_H] == phase[TC_W].taps * from->axis[TC_W];
    const ptrdiff_t lines = flat ? 1 : phase[TC_H].taps;
    const ptrdiff_t taps = phase[TC_W].taps * (flat ? phase[TC_H].taps : 1);
    for (ptrdiff_t d = 0; d < phase[TC_D].taps; d++) {
        for (ptrdiff_t h = 0; h < lines; h++) {
            const ptrdiff_t at = (phase[TC_D].k + d * axis[TC_D].k_step) * from->axis[TC_D] +
                                 (phase[TC_H].k + h * axis[TC_H].k_step) * from->axis[TC_H] +
                                 phase[TC_W].k * from->axis[TC_W];
            const struct tc_matrix src = {tc_at(from->data, at, bytes), from->ci,
                                          axis[TC_W].k_step * from->axis[TC_W]};
            const struct tc_matrix dst = {tc_at(to, d * layout->plane + h * layout->line, bytes), 1,
                                          ci};
            tc_copy(job->kernels, ci, taps, dst, src);
        }
    }
}

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

/* All weights, which each thread copies for itself. */
static const void *weights_for(const struct run *run, int thread)
{
    const struct tc_job *const job = run->job;
    const struct layout *const layout = &run->layout;
    const ptrdiff_t bytes = job->kernels->bytes, co = tc_group_co(job->problem);
    struct tc_own *const own = tc_own_of(job, run->scratch, thread, own_bytes(job, layout));
    for (ptrdiff_t channel = 0; channel < job->problem->co && !own->made; channel++) {
        struct tc_weight from = job->w;
        from.data = tc_at(from.data, channel / co * from.g + channel % co * from.co, bytes);
        copy_weights(job, layout, &from, tc_at(own->data, channel * layout->sum, bytes));
    }
    own->made = true;
    return own->data;
}

/* The weights and the bias of a tile's channels; `all` begins with those of the first channel. */
static void take_weights(struct state *s, const void *all)
{
    const struct tc_job *const job = s->job;
    const struct tc_kernels *const kernels = job->kernels;
    const ptrdiff_t count = tc_range_length(s->co), sum = s->layout->sum;
    const ptrdiff_t channel = s->block.group * tc_group_co(job->problem) + s->co.begin;
    s->weights = tc_at(all, channel * sum, kernels->bytes);
    const struct tc_rows rows = {.rows = 1, .columns = count * sum, .src = s->weights};
    s->finite = !s->layout->borders || tc_sum_is_finite(kernels, &rows);
    for (ptrdiff_t r = 0; r < count; r++) {
        s->a_row[r] = r * sum;
        s->c_row[r] = r * job->y.c;
    }
    if (job->problem->bias) {
        tc_copy_bias(job, channel, count, s->bias);
    }
}

/* ---- tiles ---- */

/* What the tiles of the channels co share. */
static struct tc_tile tile_of(const struct state *s)
{
    return (struct tc_tile){
        .rows = tc_range_length(s->co),
        .taps = {0, 1, 1},
        .a_row = s->a_row,
        .a_k = 1,
        .a_tap = {s->layout->plane, 0, 0},
        .b_tap = {s->job->lattice.axis[TC_D].offset_step * s->sheet.axis[TC_D], 0, 0},
        .bias = s->job->problem->bias ? s->bias : NULL,
        .bias_by_row = true,
        .c_row = s->c_row};
}

/* A tile tap by tap, masked: what is not finite must not meet the sheet's zeros. */
static void run_masked(const struct state *s, const struct tc_tile *tile, int width)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const ptrdiff_t ci = tc_group_ci(s->job->problem), bytes = kernels->bytes;
    struct tc_tile tap = *tile;
    tap.b_at = NULL;
    tap.b_k = s->sheet.c;
    tap.k = 0;
    kernels->tile[width - 1](&tap); /* the bias */
    tap.k = ci;
    tap.taps[TC_D] = 1;
    tap.add = true;
    for (ptrdiff_t d = 0; d < tile->taps[TC_D]; d++) {
        for (ptrdiff_t k = 0; k < tile->k; k += ci) {
            const ptrdiff_t w = (tile->b_at - s->b_at + k) % s->layout->line / ci;
            tap.mask = s->masks + w * s->layout->mask_bytes;
            tap.a = tc_at(tile->a, d * tile->a_tap[TC_D] + k, bytes);
            tap.b = tc_at(tile->b, d * tile->b_tap[TC_D] + tile->b_at[k], bytes);
            kernels->tile[width - 1](&tap);
        }
    }
}

/* All tiles of a line of outputs: what it reads begins at `from` on the sheet. */
static void run_line(const struct state *s, struct tc_tile *tile, ptrdiff_t from, ptrdiff_t to)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t columns = tc_range_length(s->block.grid[3]), bytes = job->kernels->bytes;
    const ptrdiff_t vectors = tc_ceil_div(columns, job->kernels->lanes);
    const ptrdiff_t parts = tc_ceil_div(vectors, s->layout->width);
    for (ptrdiff_t part = 0; part < parts; part++) {
        const struct tc_range share = tc_share_of(vectors, part, parts);
        const int width = (int)tc_range_length(share);
        tile->mask_at = share.begin * job->kernels->lanes;
        tile->lanes = tc_min(share.end * job->kernels->lanes, columns) - tile->mask_at;
        tile->b = tc_at(s->sheet.data, from + tile->mask_at, bytes);
        tile->c = tc_at(job->y.data, to + tile->mask_at, bytes);
        if (s->finite) {
            job->kernels->tile[width - 1](tile);
        } else {
            run_masked(s, tile, width);
        }
        tc_activate(job, tile->c, tile->rows, tile->lanes, job->y.c);
    }
}

/* The lines of a plane of outputs, run by run: those of a run meet the same taps. */
static void run_plane(const struct state *s, struct tc_tile *tile, ptrdiff_t from, ptrdiff_t to,
                      const void *weights)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = &job->lattice.axis[TC_H];
    const struct tc_phase *const phase = &s->layout->phase[TC_H];
    const struct tc_range lines = s->block.grid[TC_H + 1];
    struct tc_run run;
    from += (phase->offset - s->block.input[TC_H + 1].begin) * s->sheet.axis[TC_H];
    for (ptrdiff_t h = lines.begin; h < lines.end; h = run.end) {
        run = tc_run_at(axis, phase, h);
        run.end = tc_min(run.end, lines.end);
        const ptrdiff_t skipped = run.first * s->layout->line;
        tile->k = (run.last - run.first) * s->layout->line;
        tile->b_at = s->b_at + skipped;
        tile->a = tc_at(weights, skipped, job->kernels->bytes);
        for (ptrdiff_t j = h; j < run.end; j++) {
            run_line(s, tile, from + axis->in_step * j * s->sheet.axis[TC_H],
                     to + j * job->y.axis[TC_H]);
        }
    }
}

/* All planes of the block, for the channels co. */
static void run_channels(const struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const axis = &job->lattice.axis[TC_D];
    const struct tc_phase *const phase = &s->layout->phase[TC_D];
    const struct tc_range *const grid = s->block.grid;
    const ptrdiff_t channel = s->block.group * tc_group_co(job->problem) + s->co.begin;
    struct tc_tile tile = tile_of(s);
    for (ptrdiff_t d = grid[1].begin; d < grid[1].end; d++) {
        const struct tc_run run = tc_run_at(axis, phase, d);
        const ptrdiff_t depth = axis->in_step * d + phase->offset - s->block.input[1].begin;
        const ptrdiff_t from = depth * s->sheet.axis[TC_D] + run.first * tile.b_tap[TC_D];
        const ptrdiff_t to = channel * job->y.c + d * job->y.axis[TC_D] + grid[3].begin;
        const void *const weights =
            tc_at(s->weights, run.first * s->layout->plane, job->kernels->bytes);
        tile.taps[TC_D] = run.last - run.first;
        for (ptrdiff_t n = grid[0].begin; n < grid[0].end; n++) {
            run_plane(s, &tile, from + (n - grid[0].begin) * s->sheet.n, to + n * job->y.n,
                      weights);
        }
    }
}

/* ---- blocks ---- */

static void run_block(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    const struct layout *const layout = &run->layout;
    const ptrdiff_t co = tc_group_co(job->problem), tiles = tc_ceil_div(co, layout->rows);
    struct state s = {.job = job, .layout = layout, .block = tc_block_at(job, task)};
    char *const sheet = run->scratch + thread * job->thread_bytes;
    s.bias = sheet + layout->sheet_bytes;
    s.masks = (unsigned char *)s.bias + layout->bias_bytes;
    s.b_at = (ptrdiff_t *)(s.masks + layout->masks_bytes);
    s.a_row = s.b_at + layout->plane;
    s.c_row = s.a_row + TC_MAX_ROWS;
    s.column = s.block.grid[3].begin + layout->shift.begin;
    s.sheet = (struct tc_image){.data = sheet, .axis = {0, step_of(job) * layout->pitch, 1}};
    s.sheet.axis[TC_D] = s.sheet.axis[TC_H] * tc_range_length(s.block.input[2]);
    s.sheet.c = s.sheet.axis[TC_D] * tc_range_length(s.block.input[1]);
    s.sheet.n = s.sheet.c * tc_group_ci(job->problem);
    const void *const weights = weights_for(run, thread);
    copy_inputs(&s);
    list_taps(&s);
    const struct tc_range mine = tc_share_of(tiles, s.block.share, job->blocking.shares);
    for (ptrdiff_t t = mine.begin; t < mine.end && !tc_is_stopped(job->watch); t++) {
        s.co = tc_share_of(co, t, tiles);
        take_weights(&s, weights);
        if (!s.finite) {
            list_masks(&s);
        }
        run_channels(&s);
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    struct run context = {.job = job, .scratch = scratch};
    init_layout(&context.layout, job);
    set_bytes(&context.layout, job);
    tc_own_forget(job, scratch, own_bytes(job, &context.layout));
    tc_parallel(job->tasks, job->threads, run_block, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    struct layout layout;
    init_layout(&layout, job);
    tc_say(text, "%td output channels x %d outputs", layout.rows,
           layout.width * job->kernels->lanes);
}

const struct tc_engine tc_engine_planes = {
    .name = "planes",
    .contractions = TC_DOES_LARGE | TC_DOES_SMALL,
    .accept = accept,
    .run = run,
    .describe = describe,
};
