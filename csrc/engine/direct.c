/* SPDX-License-Identifier: BSD-3-Clause */
/* direct: lanes are cells, rows are places.
 *
 * Counted in cells (see cells.h) a transposed convolution is one product of matrices for each tap,
 *
 *     C[(co, rd, rh, rw)][cell] += sum over ci of  w[ci][(co, r + t*s)] * x[ci][cell - t*d],
 *
 * summed over its taps in registers. The cells of a block lie in one line of lanes on a sheet of
 * inputs, where a tap is a shift. Where the kernel is no longer than the stride there is one tap
 * and no shift: this is the pixel shuffle.
 *
 *     for block of cells (a task), for image, for group
 *       copy the inputs, or a chunk of their channels, to a sheet [ci][lane]
 *       for some lines of places (co, rd, rh), all of rw in each
 *         for lanes of a tile, for rows of a tile         registers
 *         interleave the rows of each line into a row of y, or transpose those of all channels
 *
 * k = common*s + longer: the first `longer` places of an axis have a tap more than the others. The
 * taps are therefore cut into boxes, common or last along each axis, and each box is added to the
 * rows that have it.
 *
 * Along the width a block is counted in outputs j of each phase, not in cells: so the rows of a
 * line, shifted where the place lies before the padding, are the phases of whole columns of y.
 *
 * Where the kernel is as long as the stride and nothing is cropped, tiles can hold whole lines and
 * interleave them in registers. Then there is no buffer: each row of cells is stored to y. Where
 * the kernel is a point, all rows are one.
 *
 * Where all rows have one tap, inputs are read where they lie if rows of x follow each other as on
 * a sheet: a few rows use each input once or twice, and read it chunk by chunk of the channels.
 *
 * While a block is summed, hints bring the inputs of the next one closer: from within tiles, a line
 * for each channel, where there are tiles enough, else some lines after each tile. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/cells.h"
#include "engine/pack.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    BUFFER_BYTES = 96 << 10, /* outputs of some lines before they are interleaved */
    MOST_LANES = 2048,       /* of a block */
    LEAST_CELLS = 48,        /* of a block that is cut for the threads' sake */
    MOST_PLACES = 1024,      /* along the width */
    MOST_TAPS = 1024,        /* of one output */
    GROUP_ROWS = 12,         /* about so many rows at once, */
    GROUP_ROWS_LAST = 64,    /* more if channels lie side by side, */
    LEAST_CHANNELS = 4,      /* so many at least; */
    MOST_ROWS = 24,          /* all, if there are no more than this */
    TILE_STEPS = 40,         /* see choose_shape */
    MANY_ROWS = 256,         /* to each input: tasks may copy it more than once */
    MANY_CHANNELS = 320,     /* in: packing their weights costs more than gather's storing */
    TINY_IMAGE = 64,         /* pixels: too few for lanes, if output channels fill more than one
                              * vector, and a quarter of it else */
    STEP_CI = 64,            /* input channels packed in one task */
    CHUNK_CI = 32,           /* input channels on a sheet, if */
    CHUNK_ROWS = 48,         /* there are no more rows than this; */
    LONE_ROWS = 8,       /* so few, of one tap, read inputs in place even if channels meet there; */
    CHUNK_ALIKE = 8,     /* if channels are more, so many at a time where they meet in the cache */
    TASK_MACS = 2000000, /* a task is worth starting for so many multiply-adds */
    BOXES = 1 << TC_SPATIAL,
};

/* Rows and vectors of a tile. */
struct shape {
    ptrdiff_t rows, vectors;
};

/* A box of taps: of each axis the common ones (bit not set) or the last (bit set), and the rows
 * that have it, [line][rw] in that order. */
struct box {
    ptrdiff_t first[TC_SPATIAL], taps[TC_SPATIAL], count;
    ptrdiff_t width; /* places rw that have it */
    int bits;
    struct shape shape; /* of its tiles, where all lines have it */
    ptrdiff_t rows;     /* that have it then */
};

/* What the blocks of a job share. */
struct layout {
    struct tc_cells cells[TC_SPATIAL];
    ptrdiff_t lines, lines_at_once; /* of a group */
    ptrdiff_t parts;                /* of a group, of so many lines each */
    bool lone;                      /* each input is used once or twice */
    bool in_place;                  /* inputs are not copied, if they lie as on a sheet */
    ptrdiff_t chunk;                /* input channels on a sheet: all, or a piece of them */
    ptrdiff_t held;                 /* parts in the buffer: one, or all */
    ptrdiff_t shift;                /* most cells between a phase's place and its outputs */
    ptrdiff_t zip;                  /* rows of a line, if tiles can store whole lines; else 0 */
    ptrdiff_t sheet_pitch, lanes;   /* at most */
    ptrdiff_t mask_bytes;           /* of one tap; 0: every lane counts */
    int boxes;
    struct box box[BOXES];
};

/* Bytes of the parts of a thread's scratch. */
struct scratch {
    ptrdiff_t sheet, buffer, bias, rows, masks, line;
};

/* Some rows: the places of some lines. */
struct rows {
    ptrdiff_t line, lines;
    const void *packed;
};

/* What the tiles' counterparts in the next block read, of which tiles give hints. */
struct ahead {
    struct tc_sheet sheet;
    struct tc_image x; /* the image of that block */
    ptrdiff_t lines;   /* of the cache, in a tile's counterpart, of a channel; 0: no hints */
    ptrdiff_t gap;     /* in lanes from one to the next */
};

/* A block at work. */
struct state {
    struct ahead *ahead;
    const struct tc_job *job;
    const struct layout *layout;
    struct tc_sheet sheet;
    struct tc_range out; /* columns j of the block */
    ptrdiff_t n, group;
    struct tc_range ci; /* on the sheet */
    ptrdiff_t pitch;    /* of the buffer */
    bool stream;        /* y is too big for the caches */
    void *data, *buffer, *bias;
    void *line;         /* of each channel, */
    bool cleared;       /* the sheet, around the inputs */
    ptrdiff_t hint;     /* which line of their counterparts this part's tiles name; or -1 */
    const void *inputs; /* on the sheet, or in x, */
    ptrdiff_t pitch_ci; /* so far apart by channels */
    void *rows;         /* of the buffer: a part's */
    ptrdiff_t *a_row, *c_row;
    unsigned char *masks;
};

/* ---- booking ---- */

/* Whether outputs are transposed from the buffer to channels that lie side by side. Strides must
 * not tell: weights are packed in the order of parts before there is a y. */
static bool stores_channels(const struct tc_job *job)
{
    return job->problem->y_last && tc_group_co(job->problem) >= LEAST_CHANNELS;
}

static ptrdiff_t grid_length(const struct layout *layout, int axis)
{
    const struct tc_cells *const cells = &layout->cells[axis];
    return axis == TC_W ? cells->columns : cells->end - cells->first;
}

/* Cells along an axis for `size` of its grid. */
static ptrdiff_t cell_count(const struct layout *layout, int axis, ptrdiff_t size)
{
    return axis == TC_W ? size + layout->shift : size;
}

/* Inputs along an axis that one cell reads. */
static ptrdiff_t inputs_of_cell(const struct layout *layout, int axis)
{
    const struct tc_cells *const cells = &layout->cells[axis];
    return tc_min(tc_cells_reach(cells) + 1, cells->in);
}

/* Rows of a part, at most. */
static ptrdiff_t rows_at_once(const struct layout *layout)
{
    return layout->lines_at_once * layout->cells[TC_W].s;
}

/* Rows of the buffer. */
static ptrdiff_t rows_held(const struct layout *layout)
{
    return layout->held * rows_at_once(layout);
}

/* Sizes of a block: as many cells as the sheet and the buffer hold, the width first; the axes that
 * follow need room for one cell at least. Sheet, buffer and the weights of a tile share the L2
 * cache. */
static void set_block(struct tc_job *job, struct layout *layout)
{
    const ptrdiff_t bytes = job->kernels->bytes, ci = layout->chunk;
    const ptrdiff_t rows = rows_held(layout);
    const ptrdiff_t lanes = tc_clamp(BUFFER_BYTES / bytes / rows, 1, MOST_LANES);
    const ptrdiff_t weights = layout->box[0].shape.rows * layout->box[0].count * ci * bytes;
    const ptrdiff_t cache = job->cpu->l2_bytes, room = cache / 4 * 3 - BUFFER_BYTES - weights;
    const ptrdiff_t sheet = tc_max(room, cache / 4) / bytes / ci;
    struct tc_blocking *const blocking = &job->blocking;
    ptrdiff_t inner = 1, outer = 1;
    for (int a = 0; a < TC_SPATIAL; a++) {
        outer *= inputs_of_cell(layout, a);
    }
    for (int a = TC_SPATIAL - 1; a >= 0; a--) {
        const ptrdiff_t length = grid_length(layout, a), reach = tc_cells_reach(&layout->cells[a]);
        outer /= inputs_of_cell(layout, a);
        const ptrdiff_t fit = tc_min(lanes / inner, sheet / outer / inner - reach);
        const ptrdiff_t size = tc_clamp(fit - (a == TC_W ? layout->shift : 0), 1, length);
        tc_blocking_set_size(blocking, a + 1, length, size);
        inner *= cell_count(layout, a, blocking->size[a + 1]) + reach;
    }
}

/* Cuts the image into more blocks, along the outermost axis that allows it; false if they would be
 * too small. */
static bool cut_blocks(struct tc_job *job, const struct layout *layout)
{
    struct tc_blocking *const blocking = &job->blocking;
    const ptrdiff_t cells = blocking->size[1] * blocking->size[2] * blocking->size[3];
    for (int a = 0; a < TC_SPATIAL; a++) {
        const ptrdiff_t length = grid_length(layout, a), size = blocking->size[a + 1];
        const ptrdiff_t cut = tc_ceil_div(length, tc_ceil_div(length, size) + 1);
        if (size > 1 && cells / size * cut >= LEAST_CELLS) {
            tc_blocking_set_size(blocking, a + 1, length, tc_min(cut, size - 1));
            return true;
        }
    }
    return false;
}

/* Whether tasks would do better to share a block's rows than its cells, although each then copies
 * the inputs: where there are many rows to each input, or groups, which share no inputs. */
static bool prefers_shares(const struct tc_job *job, const struct layout *layout)
{
    const ptrdiff_t rows = layout->lines * layout->cells[TC_W].s;
    return job->problem->g > 1 || rows * layout->box[0].count >= MANY_ROWS;
}

static bool add_share(struct tc_job *job, const struct layout *layout)
{
    if (job->blocking.shares == job->problem->g * layout->parts) {
        return false;
    }
    job->blocking.shares++;
    return true;
}

/* Several tasks even out what disturbs the threads; but each begins with some work of its own. */
static ptrdiff_t tasks_per_thread(const struct tc_job *job)
{
    const double tasks = job->macs / TASK_MACS / job->threads;
    return tasks < 1 ? 1 : tasks > TC_TASKS_PER_THREAD ? TC_TASKS_PER_THREAD : (ptrdiff_t)tasks;
}

/* Tasks: blocks, each for some images and some of the lines of all groups. Few tasks must
 * share the threads evenly. */
static void set_tasks(struct tc_job *job, const struct layout *layout)
{
    struct tc_blocking *const blocking = &job->blocking;
    const ptrdiff_t threads = job->threads, n = tc_max(job->problem->n, 1);
    const ptrdiff_t plenty = threads > 1 ? threads * tasks_per_thread(job) : 1;
    const bool shares = prefers_shares(job, layout);
    bool more = true;
    blocking->shares = 1;
    while (more) {
        const ptrdiff_t blocks = blocking->count[1] * blocking->count[2] * blocking->count[3];
        blocking->size[0] = tc_ceil_div(n, tc_clamp(tc_ceil_div(plenty, blocks), 1, n));
        blocking->count[0] = tc_ceil_div(n, blocking->size[0]);
        job->tasks = blocks * blocking->count[0] * blocking->shares;
        more = job->tasks < plenty && job->tasks % threads != 0 &&
               (shares ? add_share(job, layout) || cut_blocks(job, layout)
                       : cut_blocks(job, layout) || add_share(job, layout));
    }
}

static struct box box_at(const struct layout *layout, int bits)
{
    struct box box = {.count = 1, .bits = bits};
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_cells *const axis = &layout->cells[a];
        const bool last = bits >> a & 1;
        box.first[a] = last ? axis->common : 0;
        box.taps[a] = last ? axis->longer > 0 : axis->common;
        box.count *= box.taps[a];
    }
    box.width = bits >> TC_W & 1 ? layout->cells[TC_W].longer : layout->cells[TC_W].s;
    return box;
}

/* The shape of tile that takes the fewest steps for so many rows, each a sum of `depth` products; a
 * tile costs some steps however small it is. Rows come in groups of `zip`. */
static struct shape choose_shape(const struct tc_kernels *kernels, ptrdiff_t rows, ptrdiff_t depth,
                                 ptrdiff_t zip)
{
    struct shape best = {0, 0};
    double least = HUGE_VAL;
    for (int width = 1; width <= kernels->widths; width++) {
        const ptrdiff_t most = kernels->rows[width - 1] / zip * zip;
        const ptrdiff_t tiles = tc_ceil_div(rows, most);
        const ptrdiff_t each = tc_round_up(tc_ceil_div(rows, tiles), zip);
        const ptrdiff_t steps = tc_tile_steps(each, width);
        const double all = (double)tiles * ((double)depth * (double)steps + TILE_STEPS) / width;
        if (all < least) {
            least = all;
            best = (struct shape){each, width};
        }
    }
    return best;
}

static struct shape shape_for(const struct tc_job *job, const struct layout *layout,
                              const struct box *box, ptrdiff_t rows)
{
    const ptrdiff_t depth = box->count * tc_group_ci(job->problem);
    return rows == box->rows ? box->shape
                             : choose_shape(job->kernels, rows, depth, tc_max(layout->zip, 1));
}

static bool has_one_tap(const struct tc_cells *axis)
{
    return axis->common == 1 && axis->taps == 1;
}

/* How many rows make a line, if each output has one tap, none is cropped, and tiles can interleave
 * so many; else 0. */
static ptrdiff_t zip_of(const struct tc_cells cells[TC_SPATIAL])
{
    const ptrdiff_t phases = cells[TC_W].s;
    bool plain = phases == 1 || phases == 2 || phases == 4;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_cells *const axis = &cells[a];
        plain = plain && has_one_tap(axis) && axis->p == 0 && axis->out == axis->in * axis->s;
    }
    return plain ? phases : 0;
}

/* All boxes with taps, and the first in any case: it sets what the others add to. */
static void set_boxes(const struct tc_job *job, struct layout *layout)
{
    int uneven = 0; /* axes whose first places have a tap more */
    for (int a = 0; a < TC_SPATIAL; a++) {
        uneven |= (layout->cells[a].longer > 0) << a;
    }
    for (int bits = 0; bits < BOXES; bits++) {
        if ((bits & ~uneven) == 0) {
            struct box box = box_at(layout, bits);
            if (bits == 0 || box.count > 0) {
                box.rows = layout->lines_at_once * box.width;
                box.shape =
                    choose_shape(job->kernels, box.rows, box.count * tc_group_ci(job->problem),
                                 tc_max(layout->zip, 1));
                layout->box[layout->boxes++] = box;
            }
        }
    }
}

/* With few rows, inputs of all channels would come from the L2 cache or from beyond it too often: a
 * chunk of the channels at a time stays near, and all rows are held while they are summed. Lone
 * rows read them in place, in as many streams as the cache has room for: sums go on from chunk to
 * chunk, so that strides may decide. */
static void set_chunk(const struct tc_job *job, struct layout *layout)
{
    const ptrdiff_t ci = tc_group_ci(job->problem), rows = layout->lines * layout->cells[TC_W].s;
    const bool chunks = rows <= CHUNK_ROWS && layout->zip == 0;
    const bool alike = layout->lone && job->x.c * job->kernels->bytes % TC_ALIAS_BYTES == 0;
    const ptrdiff_t most = alike ? CHUNK_ALIKE : CHUNK_CI;
    layout->chunk = chunks ? tc_ceil_div(ci, tc_ceil_div(ci, most)) : ci;
    layout->held = layout->chunk < ci ? layout->parts : 1;
}

static bool has_one_tap_each(const struct tc_cells cells[TC_SPATIAL])
{
    return has_one_tap(&cells[TC_D]) && has_one_tap(&cells[TC_H]) && has_one_tap(&cells[TC_W]);
}

/* Whether each input is used so few times that copying it first would cost more, however it lies.
 * Sums over few channels go to y from tiles, where that is possible: that saves more. */
static bool is_lone(const struct tc_job *job, const struct layout *layout)
{
    const ptrdiff_t rows = layout->lines * layout->cells[TC_W].s;
    return rows <= LONE_ROWS && tc_group_ci(job->problem) > CHUNK_ALIKE &&
           has_one_tap_each(layout->cells);
}

/* Lines of a group that are summed together: those of a tile, where one is a row of y, else about
 * as many as a tile has rows. */
static ptrdiff_t lines_of_part(const struct tc_job *job, const struct layout *layout)
{
    const ptrdiff_t lines = layout->lines, places = layout->cells[TC_W].s;
    if (layout->zip == 1 && !stores_channels(job)) {
        return choose_shape(job->kernels, lines, tc_group_ci(job->problem), 1).rows;
    }
    const bool together =
        stores_channels(job) || (job->problem->y_last && tc_has_few_channels(job));
    const ptrdiff_t group = together ? GROUP_ROWS_LAST : GROUP_ROWS;
    return lines * places <= MOST_ROWS ? lines : tc_clamp(group / places, 1, lines);
}

/* What does not depend on the blocks; set_bounds adds the rest. The boxes that do not exist are
 * left alone: small problems notice each kilobyte that is cleared. */
static void init_layout(struct layout *layout, const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    for (int a = 0; a < TC_SPATIAL; a++) {
        layout->cells[a] = tc_cells_of(problem, a);
    }
    layout->lines = tc_group_co(problem) * problem->s[TC_D] * problem->s[TC_H];
    layout->lone = is_lone(job, layout);
    layout->in_place = layout->lone || (has_one_tap_each(layout->cells) &&
                                        job->x.c * job->kernels->bytes % TC_ALIAS_BYTES != 0);
    layout->zip = layout->lone ? 0 : zip_of(layout->cells);
    layout->lines_at_once = lines_of_part(job, layout);
    layout->parts = tc_ceil_div(layout->lines, layout->lines_at_once);
    layout->shift = layout->cells[TC_W].place > 0;
    layout->boxes = 0;
    set_boxes(job, layout);
    set_chunk(job, layout);
}

static void set_bounds(const struct tc_job *job, struct layout *layout)
{
    ptrdiff_t size[TC_SPATIAL];
    bool borders = false; /* whether a tap of some cell meets the padding */
    for (int a = 0; a < TC_SPATIAL; a++) {
        size[a] = cell_count(layout, a, job->blocking.size[a + 1]);
        borders = borders || tc_cells_gap(&layout->cells[a]) > 0;
    }
    tc_sheet_bound(layout->cells, size, &layout->sheet_pitch, &layout->lanes);
    layout->sheet_pitch = tc_odd_lines(job->kernels, layout->sheet_pitch + job->kernels->lanes);
    layout->mask_bytes = borders ? tc_mask_bytes(layout->lanes) : 0;
}

static struct scratch scratch_of(const struct tc_job *job, const struct layout *layout)
{
    const ptrdiff_t bytes = job->kernels->bytes, rows = rows_at_once(layout);
    ptrdiff_t taps = 1;
    for (int a = 0; a < TC_SPATIAL; a++) {
        taps *= layout->cells[a].taps;
    }
    return (struct scratch){
        .sheet = layout->sheet_pitch * layout->chunk * bytes,
        .buffer =
            tc_odd_lines(job->kernels, layout->lanes + layout->shift) * rows_held(layout) * bytes,
        .bias = tc_round_up(rows * bytes, TC_ALIGN),
        .rows = tc_round_up(2 * rows * (ptrdiff_t)sizeof(ptrdiff_t), TC_ALIGN),
        .masks = tc_round_up((1 + taps) * layout->mask_bytes, TC_ALIGN),
        .line = tc_pixels_bytes(job, layout->cells[TC_W].s),
    };
}

/* What the engines compute for each output that is wanted, at least: this one the cells around a
 * block along each axis on which taps are shifted, and gather the lanes that no channel fills. A
 * single vector is slower for gather than two, as each input it reads serves half as many sums. */
static const double HALO[] = {1, 1, 1.45, 2.2};
static const double SINGLE = 1.25;

static double unfilled(const struct tc_job *job)
{
    const ptrdiff_t co = tc_group_co(job->problem), lanes = job->kernels->lanes;
    return (double)tc_round_up(co, lanes) / (double)co * (co <= lanes ? SINGLE : 1);
}

/* Whether the pixels of an image fill few vectors or few lanes of one. */
static bool is_tiny(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t most = tc_group_co(p) > job->kernels->lanes ? TINY_IMAGE : TINY_IMAGE / 4;
    return !job->any_image && p->i[TC_D] * p->i[TC_H] * p->i[TC_W] <= most;
}

/* Whether gather is faster, on kernels that shift so many axes. If some places are `bare` of taps,
 * on which this engine wastes its rows, vectors that are half full are enough. So they are where
 * one tap is all there is and y's channels are contiguous, since every row of this engine's outputs
 * would have to be transposed, or images are tiny: both sum in the same order there, so that
 * strides and the image may decide. Other such layers are this engine's if tiles store whole lines,
 * unless the inputs are many. */
static bool fills_vectors(const struct tc_job *job, int shifted, bool bare, bool zips)
{
    const ptrdiff_t co = tc_group_co(job->problem);
    if (bare || (shifted == 0 && (job->y.c == 1 || is_tiny(job)))) {
        return tc_round_up(co, job->kernels->lanes) <= 2 * co;
    }
    const bool stores_well = shifted == 0 && zips && tc_group_ci(job->problem) < MANY_CHANNELS;
    return unfilled(job) <= HALO[shifted] && !stores_well;
}

/* Why not: for reasons that hold for images of every size, since a plan meets them all, or because
 * this one is tiny. */
static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    struct tc_cells cells[TC_SPATIAL];
    double inputs = (double)tc_group_ci(problem), taps = 1;
    ptrdiff_t places = 1;
    int shifted = 0; /* axes */
    bool bare = false;
    for (int a = 0; a < TC_SPATIAL; a++) {
        cells[a] = tc_cells_of(problem, a);
        shifted += cells[a].taps > 1;
        bare = bare || cells[a].common == 0;
        inputs *= 1 + 2 * (double)tc_cells_reach(&cells[a]);
        taps *= (double)cells[a].taps;
        places = tc_max(places, cells[a].s);
    }
    if (!tc_cells_fit(problem)) {
        return "stride and dilation are both above 1";
    }
    if (places > MOST_PLACES || taps > MOST_TAPS ||
        inputs * job->kernels->bytes > (double)job->cpu->l2_bytes) {
        return "what one cell reads and gives does not fit the cache";
    }
    if (!job->forced && fills_vectors(job, shifted, bare, zip_of(cells) > 0)) {
        return "the output channels fill vectors";
    }
    return NULL;
}

bool tc_direct_takes(const struct tc_job *job)
{
    return refuse(job) == NULL;
}

static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    if (!job->forced && tc_planes_takes(job)) {
        return "few input channels are summed as gather does, whatever the strides";
    }
    struct layout layout;
    init_layout(&layout, job);
    set_block(job, &layout);
    set_tasks(job, &layout);
    set_bounds(job, &layout);
    const struct scratch scratch = scratch_of(job, &layout);
    job->packed_bytes = 0;
    if (!tc_mul(tc_kernel_volume(job->problem) * job->kernels->bytes, tc_group_co(job->problem),
                &job->packed_bytes) ||
        !tc_mul(job->packed_bytes, job->problem->ci, &job->packed_bytes) ||
        !tc_add(job->packed_bytes, TC_ALIGN, &job->packed_bytes)) {
        job->packed_bytes = PTRDIFF_MAX;
    }
    job->thread_bytes =
        scratch.sheet + scratch.buffer + scratch.bias + scratch.rows + scratch.masks + scratch.line;
    return NULL;
}

/* ---- rows ---- */

/* Line number `line` of a group: output channel and places. */
struct line {
    ptrdiff_t channel, r[2];
};

static struct line line_at(const struct layout *layout, ptrdiff_t line)
{
    const ptrdiff_t sd = layout->cells[TC_D].s, sh = layout->cells[TC_H].s;
    return (struct line){line / sh / sd, {line / sh % sd, line % sh}};
}

static struct line next_line(const struct layout *layout, struct line line)
{
    if (++line.r[1] == layout->cells[TC_H].s) {
        line.r[1] = 0;
        if (++line.r[0] == layout->cells[TC_D].s) {
            line.r[0] = 0;
            line.channel++;
        }
    }
    return line;
}

/* Kernel elements of an axis at places before r. */
static ptrdiff_t elements_before(const struct tc_cells *axis, ptrdiff_t r)
{
    return r * axis->common + tc_min(r, axis->longer);
}

/* Kernel elements of the lines before `line`. */
static ptrdiff_t elements_of_lines(const struct tc_job *job, const struct layout *layout,
                                   ptrdiff_t line)
{
    const struct line at = line_at(layout, line);
    const struct tc_cells *const d = &layout->cells[TC_D], *const h = &layout->cells[TC_H];
    const ptrdiff_t *const k = job->problem->k;
    const ptrdiff_t planes = elements_before(d, at.r[0]) * k[TC_H];
    const ptrdiff_t rows = tc_cells_taps(d, at.r[0]) * elements_before(h, at.r[1]);
    return at.channel * tc_kernel_volume(job->problem) + (planes + rows) * k[TC_W];
}

static struct rows rows_at(const struct tc_job *job, const struct layout *layout, ptrdiff_t group,
                           ptrdiff_t part, const void *packed)
{
    const ptrdiff_t ci = tc_group_ci(job->problem), line = part * layout->lines_at_once;
    const ptrdiff_t before = group * tc_group_co(job->problem) * tc_kernel_volume(job->problem) +
                             elements_of_lines(job, layout, line);
    return (struct rows){
        .line = line,
        .lines = tc_min(layout->lines_at_once, layout->lines - line),
        .packed = tc_at(packed, before * ci, job->kernels->bytes),
    };
}

/* Whether the rows of a line have the box. */
static bool has_box(const struct layout *layout, const struct line *line, const struct box *box)
{
    return (!(box->bits >> TC_D & 1) || line->r[0] < layout->cells[TC_D].longer) &&
           (!(box->bits >> TC_H & 1) || line->r[1] < layout->cells[TC_H].longer);
}

/* ---- weights ---- */

/* Copies the weights of some rows for one tap to [ci][row]: rows go together as long as there is
 * one step from each to the next. */
static void pack_tap(const struct tc_job *job, const ptrdiff_t *rows, ptrdiff_t count,
                     struct tc_range ci, const void *weights, void *to)
{
    const ptrdiff_t bytes = job->kernels->bytes;
    for (ptrdiff_t r = 0, end; r < count; r = end) {
        const ptrdiff_t step = r + 1 < count ? rows[r + 1] - rows[r] : 1;
        for (end = r + 1; end < count && rows[end] == rows[end - 1] + step; end++) {
        }
        const ptrdiff_t from = rows[r] + ci.begin * job->w.ci;
        const struct tc_matrix src = {tc_at(weights, from, bytes), job->w.ci, step};
        const struct tc_matrix dst = {tc_at(to, ci.begin * count + r, bytes), count, 1};
        tc_copy(job->kernels, ci.end - ci.begin, end - r, dst, src);
    }
}

/* Copies the weights of some rows of a box to [tap][ci][row]. */
static void pack_tile(const struct tc_job *job, const struct layout *layout, const struct box *box,
                      const ptrdiff_t *rows, ptrdiff_t count, struct tc_range ci,
                      const void *weights, void *to)
{
    const ptrdiff_t *const step = job->w.axis, bytes = job->kernels->bytes;
    const struct tc_cells *const cells = layout->cells;
    for (ptrdiff_t t = 0; t < box->count; t++) {
        const ptrdiff_t tw = t % box->taps[2], th = t / box->taps[2] % box->taps[1];
        const ptrdiff_t td = t / box->taps[2] / box->taps[1];
        const ptrdiff_t from = td * cells[TC_D].s * step[TC_D] + th * cells[TC_H].s * step[TC_H] +
                               tw * cells[TC_W].s * step[TC_W];
        pack_tap(job, rows, count, ci, tc_at(weights, from, bytes), to);
        to = tc_at(to, tc_group_ci(job->problem) * count, bytes);
    }
}

/* Lists the weights that the rows of a box read at its first tap; returns how many rows. */
static ptrdiff_t list_weights(const struct tc_job *job, const struct layout *layout,
                              const struct rows *rows, const struct box *box, ptrdiff_t *list)
{
    const struct tc_weight *const w = &job->w;
    ptrdiff_t count = 0;
    struct line line = line_at(layout, rows->line);
    for (ptrdiff_t i = 0; i < rows->lines; i++, line = next_line(layout, line)) {
        if (has_box(layout, &line, box)) {
            const ptrdiff_t kd = line.r[0] + box->first[0] * layout->cells[TC_D].s;
            const ptrdiff_t kh = line.r[1] + box->first[1] * layout->cells[TC_H].s;
            const ptrdiff_t kw = box->first[2] * layout->cells[TC_W].s;
            const ptrdiff_t from =
                line.channel * w->co + kd * w->axis[TC_D] + kh * w->axis[TC_H] + kw * w->axis[TC_W];
            for (ptrdiff_t rw = 0; rw < box->width; rw++) {
                list[count++] = from + rw * w->axis[TC_W];
            }
        }
    }
    return count;
}

struct packing {
    const struct tc_job *job;
    struct layout layout;
    void *packed;
    ptrdiff_t steps; /* of the input channels */
};

/* Packs [box][tile][tap][ci][row] for some rows and input channels. Tasks go by rows first: weights
 * lie by input channels, and so a piece of memory is read to its end. */
static void pack_step(const void *context, ptrdiff_t task, int thread)
{
    const struct packing *const packing = context;
    const struct tc_job *const job = packing->job;
    const struct layout *const layout = &packing->layout;
    const ptrdiff_t bytes = job->kernels->bytes, channels = tc_group_ci(job->problem);
    const ptrdiff_t part = task % layout->parts, step = task / layout->parts % packing->steps;
    const ptrdiff_t group = task / layout->parts / packing->steps;
    const struct tc_range ci = {step * STEP_CI, tc_min((step + 1) * STEP_CI, channels)};
    const struct rows rows = rows_at(job, layout, group, part, packing->packed);
    const void *const weights = tc_at(job->w.data, group * job->w.g, bytes);
    char *to = (char *)rows.packed;
    ptrdiff_t list[MOST_PLACES];
    (void)thread;
    for (int b = 0; b < layout->boxes; b++) {
        const struct box *const box = &layout->box[b];
        const ptrdiff_t count = list_weights(job, layout, &rows, box, list);
        const struct shape shape = shape_for(job, layout, box, tc_max(count, 1));
        for (ptrdiff_t at = 0; at < count; at += shape.rows) {
            const ptrdiff_t tile = tc_min(shape.rows, count - at);
            pack_tile(job, layout, box, list + at, tile, ci, weights, to);
            to += box->count * channels * tile * bytes;
        }
    }
}

/* Whether all weights are finite, for masked tiles: this stands behind the weights. */
static bool *finite_of(const struct tc_job *job, const void *packed)
{
    return tc_at(packed, job->packed_bytes - TC_ALIGN, 1);
}

static void pack(const struct tc_job *job, void *packed)
{
    struct packing packing;
    init_layout(&packing.layout, job);
    packing.job = job;
    packing.packed = packed;
    packing.steps = tc_ceil_div(tc_group_ci(job->problem), STEP_CI);
    tc_parallel(job->problem->g * packing.layout.parts * packing.steps, job->threads, pack_step,
                &packing, job->watch);
    const struct tc_rows all = {
        .rows = 1, .columns = (job->packed_bytes - TC_ALIGN) / job->kernels->bytes, .src = packed};
    *finite_of(job, packed) = tc_sum_is_finite(job->kernels, &all);
}

/* ---- the product ---- */

/* Lists where the rows of a box lie in the buffer, in the order of the packed weights; returns how
 * many. A line's rows stand there by phase of the output, their lanes shifted so that column j of
 * each phase is output j. */
static ptrdiff_t list_rows(const struct state *s, const struct rows *rows, const struct box *box)
{
    const ptrdiff_t phases = s->layout->cells[TC_W].s, first = s->layout->cells[TC_W].place;
    struct line line = line_at(s->layout, rows->line);
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < rows->lines; i++, line = next_line(s->layout, line)) {
        for (ptrdiff_t rw = 0; rw < box->width && has_box(s->layout, &line, box); rw++) {
            const bool before = rw < first; /* its output lies in the next column */
            s->a_row[count] = count;
            s->c_row[count++] = (i * phases + rw - first + (before ? phases : 0)) * s->pitch +
                                (s->layout->shift && !before);
        }
    }
    return count;
}

/* Whether `count` <= 64 bits are all set; `begin` is a multiple of 2. */
static bool all_set(const unsigned char *bits, ptrdiff_t begin, ptrdiff_t count)
{
    uint64_t word, next;
    memcpy(&word, bits + begin / 64 * 8, sizeof word);
    memcpy(&next, bits + begin / 64 * 8 + 8, sizeof next);
    const int skip = (int)(begin % 64);
    word = skip ? word >> skip | next << (64 - skip) : word;
    return (word | (count < 64 ? ~(uint64_t)0 << count : 0)) == ~(uint64_t)0;
}

/* What the tiles of a box share, for rows [first, first + tile.rows) of those that have it. */
static struct tc_tile tile_of(const struct state *s, const struct box *box, ptrdiff_t first,
                              ptrdiff_t rows, const void *packed)
{
    const ptrdiff_t ci = tc_group_ci(s->job->problem), bytes = s->job->kernels->bytes;
    const bool start = box->bits == 0 && s->ci.begin == 0;
    ptrdiff_t from = s->sheet.first, a_tap = ci * rows, mask_tap = s->layout->mask_bytes;
    struct tc_tile tile = {
        .rows = rows,
        .k = tc_range_length(s->ci),
        .a = tc_at(packed, first * box->count * ci + s->ci.begin * rows, bytes),
        .a_row = s->a_row,
        .a_k = rows,
        .b_k = s->pitch_ci,
        .bias_by_row = true,
        .add = !start,
        .a_finite = *finite_of(s->job, s->job->packed),
        .mask = s->masks + s->layout->mask_bytes,
        .c_row = s->c_row + first,
    };
    if (start && s->job->problem->bias) {
        tile.bias = tc_at(s->bias, first, bytes);
    }
    for (int a = TC_SPATIAL - 1; a >= 0; a--) {
        tile.taps[a] = box->taps[a];
        tile.a_tap[a] = a_tap;
        tile.b_tap[a] = -s->layout->cells[a].d * s->sheet.step[a];
        tile.mask_tap[a] = mask_tap;
        tile.mask += box->first[a] * mask_tap;
        from += box->first[a] * tile.b_tap[a];
        a_tap *= box->taps[a];
        mask_tap *= s->layout->cells[a].taps;
    }
    tile.b = tc_at(s->inputs, from, bytes);
    return tile;
}

/* One box of taps, for all lanes of the `count` rows that have it; `packed` are their weights. */
static void multiply_box(const struct state *s, const struct box *box, ptrdiff_t count,
                         const void *packed)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const ptrdiff_t lanes = s->sheet.lanes, vectors = tc_ceil_div(lanes, kernels->lanes);
    const struct shape shape = shape_for(s->job, s->layout, box, count);
    const ptrdiff_t step = tc_ceil_div(vectors, tc_ceil_div(vectors, shape.vectors));
    for (ptrdiff_t first = 0; first < count; first += shape.rows) {
        struct tc_tile tile = tile_of(s, box, first, tc_min(shape.rows, count - first), packed);
        const void *const b = tile.b;
        const unsigned char *const mask = tile.mask;
        for (ptrdiff_t begin = 0, end; begin < vectors; begin = end) {
            end = tc_min(begin + step, vectors);
            tile.mask_at = begin * kernels->lanes;
            tile.lanes = tc_min(end * kernels->lanes, lanes) - tile.mask_at;
            tile.b = tc_at(b, tile.mask_at, kernels->bytes);
            tile.c = tc_at(s->rows, tile.mask_at, kernels->bytes);
            const bool whole =
                s->layout->mask_bytes == 0 || all_set(s->masks, tile.mask_at, tile.lanes);
            tile.mask = whole ? NULL : mask;
            kernels->tile[end - begin - 1](&tile);
        }
    }
}

static void load_bias(const struct state *s, const struct rows *rows)
{
    const struct tc_job *const job = s->job;
    const struct tc_cells *const cells = s->layout->cells;
    const ptrdiff_t places = cells[TC_W].s, bytes = job->kernels->bytes;
    const ptrdiff_t first = s->group * tc_group_co(job->problem);
    struct line line = line_at(s->layout, rows->line);
    if (job->problem->bias && places * cells[TC_H].s * cells[TC_D].s == 1) {
        tc_copy_bias(job, first + line.channel, rows->lines, s->bias);
        return;
    }
    for (ptrdiff_t i = 0; i < rows->lines && job->problem->bias; i++) {
        const struct tc_matrix src = {tc_at(job->b.data, (first + line.channel) * job->b.c, bytes),
                                      0, 0};
        const struct tc_matrix dst = {tc_at(s->bias, i * places, bytes), 0, 1};
        tc_copy(job->kernels, 1, places, dst, src);
        line = next_line(s->layout, line);
    }
}

static void multiply(const struct state *s, const struct rows *rows)
{
    const ptrdiff_t ci = tc_group_ci(s->job->problem), bytes = s->job->kernels->bytes;
    const char *packed = rows->packed;
    load_bias(s, rows);
    for (int b = 0; b < s->layout->boxes; b++) {
        const struct box *const box = &s->layout->box[b];
        const ptrdiff_t count = list_rows(s, rows, box);
        if (count > 0) {
            multiply_box(s, box, count, packed);
            packed += box->count * ci * count * bytes;
        }
    }
}

/* ---- the product, stored to y ---- */

/* Whether the rows of cells of a plane are one row of y: not where they are spread over it, or cut.
 */
static bool rows_follow(const struct state *s)
{
    const struct tc_cells *const cells = s->layout->cells;
    const ptrdiff_t width = tc_range_length(s->out);
    return cells[TC_H].s == 1 && cells[TC_W].s == 1 && width == cells[TC_W].out &&
           s->job->y.axis[TC_H] == width;
}

/* Cells that are stored in one go. */
static ptrdiff_t cells_in_row(const struct state *s)
{
    const ptrdiff_t width = tc_range_length(s->out);
    return rows_follow(s) ? width * tc_range_length(s->sheet.cell[TC_H]) : width;
}

/* Whether rows of cells fill tiles so well that they need not be flattened first. */
static bool stores_from_tiles(const struct state *s)
{
    const ptrdiff_t lanes = s->job->kernels->lanes, width = cells_in_row(s);
    const ptrdiff_t vectors = tc_ceil_div(width, lanes);
    return s->layout->zip > 0 && s->job->y.axis[TC_W] == 1 &&
           vectors >= s->layout->box[0].shape.vectors && 8 * vectors * lanes <= 9 * width;
}

/* Lists where the outputs of the block's first cell lie in y, by rows. */
static void list_outputs(const struct state *s, const struct rows *rows)
{
    const struct tc_image *const y = &s->job->y;
    const struct tc_cells *const cells = s->layout->cells;
    struct line line = line_at(s->layout, rows->line);
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < rows->lines; i++, line = next_line(s->layout, line)) {
        const ptrdiff_t channel = s->group * tc_group_co(s->job->problem) + line.channel;
        const ptrdiff_t od = s->sheet.cell[TC_D].begin * cells[TC_D].s + line.r[0];
        const ptrdiff_t oh = s->sheet.cell[TC_H].begin * cells[TC_H].s + line.r[1];
        const ptrdiff_t ow = s->out.begin * cells[TC_W].s;
        const ptrdiff_t first =
            s->n * y->n + channel * y->c + od * y->axis[TC_D] + oh * y->axis[TC_H] + ow;
        for (ptrdiff_t rw = 0; rw < cells[TC_W].s; rw++) {
            s->a_row[count] = count;
            s->c_row[count++] = first + rw;
        }
    }
}

/* Points a tile's hints at its counterpart in the next block: this part's share of it. */
static void set_hints(const struct state *s, struct tc_tile *tile, ptrdiff_t lane)
{
    const struct ahead *const ahead = s->ahead;
    const struct tc_image *const x = &ahead->x;
    const ptrdiff_t *const step = ahead->sheet.step, at = lane + s->hint * ahead->gap;
    if (at < ahead->sheet.lanes) {
        const ptrdiff_t from = at / step[TC_D] * x->axis[TC_D] +
                               at % step[TC_D] / step[TC_H] * x->axis[TC_H] +
                               at % step[TC_H] * x->axis[TC_W];
        tile->ahead = tc_at(x->data, from, s->job->kernels->bytes);
        tile->ahead_k = x->c;
    }
}

/* A row of cells from this lane on, for the rows of a tile. */
static void multiply_cells(const struct state *s, struct tc_tile tile, ptrdiff_t lane,
                           ptrdiff_t vectors_at_once)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const ptrdiff_t width = cells_in_row(s), vectors = tc_ceil_div(width, kernels->lanes);
    const ptrdiff_t step = tc_ceil_div(vectors, tc_ceil_div(vectors, vectors_at_once));
    const void *const b = tile.b;
    void *const c = tile.c;
    for (ptrdiff_t begin = 0, end; begin < vectors; begin = end) {
        const ptrdiff_t first = begin * kernels->lanes;
        end = tc_min(begin + step, vectors);
        tile.lanes = tc_min(end * kernels->lanes, width) - first;
        tile.b = tc_at(b, first, kernels->bytes);
        tile.c = tc_at(c, first * tile.zip, kernels->bytes);
        if (s->hint >= 0) {
            set_hints(s, &tile, lane + first);
        }
        kernels->tile[end - begin - 1](&tile);
    }
}

/* The outputs of a row of cells: those of rows that interleave lie in one piece. */
static void activate_rows(const struct state *s, const struct tc_tile *tile)
{
    const ptrdiff_t outputs = cells_in_row(s) * tile->zip, bytes = s->job->kernels->bytes;
    for (ptrdiff_t r = 0; r < tile->rows; r += tile->zip) {
        tc_activate(s->job, tc_at(tile->c, tile->c_row[r], bytes), 1, outputs, 0);
    }
}

static void multiply_into_y(const struct state *s, const struct rows *rows)
{
    const struct tc_image *const y = &s->job->y;
    const struct tc_cells *const cells = s->layout->cells;
    const struct tc_range *const cell = s->sheet.cell;
    const struct box *const box = &s->layout->box[0];
    const ptrdiff_t count = rows->lines * s->layout->zip, bytes = s->job->kernels->bytes;
    const struct shape shape = shape_for(s->job, s->layout, box, count);
    const ptrdiff_t last = rows_follow(s) ? cell[TC_H].begin + 1 : cell[TC_H].end;
    load_bias(s, rows);
    list_outputs(s, rows);
    for (ptrdiff_t first = 0; first < count; first += shape.rows) {
        struct tc_tile tile =
            tile_of(s, box, first, tc_min(shape.rows, count - first), rows->packed);
        const void *const b = tile.b;
        tile.mask = NULL;
        tile.zip = (int)s->layout->zip;
        tile.ahead = s->inputs; /* for want of others */
        for (ptrdiff_t d = cell[TC_D].begin; d < cell[TC_D].end; d++) {
            for (ptrdiff_t h = cell[TC_H].begin; h < last; h++) {
                const ptrdiff_t at = (d - cell[TC_D].begin) * cells[TC_D].s * y->axis[TC_D] +
                                     (h - cell[TC_H].begin) * cells[TC_H].s * y->axis[TC_H];
                const ptrdiff_t lane = tc_sheet_row(&s->sheet, d, h);
                tile.b = tc_at(b, lane, bytes);
                tile.c = tc_at(y->data, at, bytes);
                multiply_cells(s, tile, lane, shape.vectors);
                activate_rows(s, &tile);
            }
        }
    }
}

/* ---- the store ---- */

/* Outputs of the block's columns. */
static ptrdiff_t outputs_of_line(const struct state *s)
{
    const struct tc_cells *const width = &s->layout->cells[TC_W];
    return tc_min(s->out.end * width->s, width->out) - s->out.begin * width->s;
}

/* Rows of a line, from its phases at `from`, to rows of outputs at `to`, whose steps are given. */
static void store_rows(const struct state *s, ptrdiff_t rows, const void *from, ptrdiff_t from_step,
                       void *to, ptrdiff_t to_step)
{
    const struct tc_shuffle shuffle = {
        .rows = rows,
        .phases = s->layout->cells[TC_W].s,
        .src = from,
        .src_row = from_step,
        .src_phase = s->pitch,
        .dst = to,
        .dst_row = to_step,
        .stream = s->stream,
    };
    tc_interleave(s->job->kernels, shuffle, outputs_of_line(s), s->job->y.axis[TC_W]);
}

/* The same of all channels of y, which lie side by side. */
static void store_pixels(const struct state *s, ptrdiff_t rows, const void *from,
                         ptrdiff_t from_step, void *to, ptrdiff_t to_step)
{
    const struct tc_cells *const cells = s->layout->cells;
    const ptrdiff_t places = cells[TC_W].s, bytes = s->job->kernels->bytes;
    struct tc_shuffle lines = {
        .rows = s->job->problem->co,
        .phases = places,
        .src_row = cells[TC_D].s * cells[TC_H].s * places * s->pitch,
        .src_phase = s->pitch,
        .dst = s->line,
        .dst_row = tc_pixels_line(s->job, places),
    };
    for (ptrdiff_t r = 0; r < rows; r++) {
        lines.src = tc_at(from, r * from_step, bytes);
        tc_interleave_channels(s->job->kernels, lines, outputs_of_line(s),
                               tc_at(to, r * to_step, bytes));
    }
}

/* The same of so many channels. */
static void store_channels(const struct state *s, ptrdiff_t channels, ptrdiff_t rows,
                           const void *from, ptrdiff_t from_step, void *to, ptrdiff_t to_step)
{
    const struct tc_cells *const cells = s->layout->cells;
    const ptrdiff_t places = cells[TC_W].s, outputs = outputs_of_line(s);
    const ptrdiff_t bytes = s->job->kernels->bytes, step = s->job->y.axis[TC_W];
    const ptrdiff_t channel_step = cells[TC_D].s * cells[TC_H].s * places * s->pitch;
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t place = 0; place < tc_min(places, outputs); place++) {
            const ptrdiff_t at = r * from_step + place * s->pitch;
            const struct tc_matrix src = {tc_at(from, at, bytes), channel_step, 1};
            const struct tc_matrix dst = {tc_at(to, r * to_step + place * step, bytes), s->job->y.c,
                                          places * step};
            tc_copy_far(s->job->kernels, channels, tc_ceil_div(outputs - place, places), dst, src,
                        (struct tc_far){.dst = s->job->y.far});
        }
    }
}

/* Cells of an axis whose output at place r exists. */
static struct tc_range cells_with(const struct tc_cells *axis, struct tc_range cell, ptrdiff_t r)
{
    struct tc_range with;
    with.begin = tc_max(cell.begin, tc_ceil_div(axis->p - r, axis->s));
    with.end = tc_max(with.begin,
                      tc_min(cell.end, tc_floor_div(axis->out - 1 + axis->p - r, axis->s) + 1));
    return with;
}

static void store(const struct state *s, const struct rows *rows)
{
    const struct tc_job *const job = s->job;
    const struct tc_image *const y = &job->y;
    const struct tc_cells *const d = &s->layout->cells[TC_D], *const h = &s->layout->cells[TC_H];
    const ptrdiff_t bytes = job->kernels->bytes, places = s->layout->cells[TC_W].s;
    const bool whole = tc_stores_pixels(job) && rows->lines == s->layout->lines;
    const bool together = whole || stores_channels(job);
    /* lines of one channel: those of the first stand for all that are stored together */
    const ptrdiff_t each = d->s * h->s, count = together ? tc_min(each, rows->lines) : rows->lines;
    struct line line = line_at(s->layout, rows->line);
    for (ptrdiff_t i = 0; i < count; i++, line = next_line(s->layout, line)) {
        const struct tc_range qd = cells_with(d, s->sheet.cell[TC_D], line.r[0]);
        const struct tc_range qh = cells_with(h, s->sheet.cell[TC_H], line.r[1]);
        const ptrdiff_t channel = s->group * tc_group_co(job->problem) + line.channel;
        const ptrdiff_t oh = qh.begin * h->s + line.r[1] - h->p;
        const ptrdiff_t to = s->n * y->n + channel * y->c + oh * y->axis[TC_H] +
                             s->out.begin * places * y->axis[TC_W];
        const ptrdiff_t from = i * places * s->pitch + s->layout->shift;
        for (ptrdiff_t q = qd.begin; q < qd.end; q++) {
            const ptrdiff_t od = q * d->s + line.r[0] - d->p;
            const ptrdiff_t lane = from + tc_sheet_row(&s->sheet, q, qh.begin);
            const void *const src = tc_at(s->rows, lane, bytes);
            void *const dst = tc_at(y->data, to + od * y->axis[TC_D], bytes);
            const ptrdiff_t row = s->sheet.step[TC_H], out_row = h->s * y->axis[TC_H];
            if (whole) {
                store_pixels(s, qh.end - qh.begin, src, row, dst, out_row);
            } else if (together) {
                const ptrdiff_t channels = tc_ceil_div(rows->lines - i, each);
                store_channels(s, channels, qh.end - qh.begin, src, row, dst, out_row);
            } else {
                store_rows(s, qh.end - qh.begin, src, row, dst, out_row);
            }
        }
    }
}

/* ---- blocks ---- */

/* A task: a block of some images, for some of the lines. */
struct task {
    ptrdiff_t block[TC_SPATIAL], image, share;
};

static struct task task_at(const struct tc_job *job, ptrdiff_t number)
{
    const struct tc_blocking *const blocking = &job->blocking;
    struct task task = {.share = number % blocking->shares};
    number /= blocking->shares;
    for (int a = TC_SPATIAL - 1; a >= 0; a--) {
        task.block[a] = number % blocking->count[a + 1];
        number /= blocking->count[a + 1];
    }
    task.image = number * blocking->size[0];
    return task;
}

static void set_sheet(const struct tc_job *job, const struct layout *layout,
                      const struct task *task, struct tc_sheet *sheet)
{
    struct tc_range cell[TC_SPATIAL];
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_cells *const axis = &layout->cells[a];
        const ptrdiff_t length = grid_length(layout, a), size = job->blocking.size[a + 1];
        const ptrdiff_t first = axis->first, begin = task->block[a] * size;
        const ptrdiff_t end = cell_count(layout, a, tc_min(begin + size, length));
        cell[a] = (struct tc_range){first + begin, first + end};
    }
    tc_sheet_init(sheet, layout->cells, cell);
}

static void set_block_cells(struct state *s, const struct task *task)
{
    const ptrdiff_t size = s->job->blocking.size[TC_W + 1], begin = task->block[TC_W] * size;
    s->out = (struct tc_range){begin, tc_min(begin + size, grid_length(s->layout, TC_W))};
    set_sheet(s->job, s->layout, task, &s->sheet);
    s->cleared = false;
    if (s->layout->mask_bytes) {
        tc_sheet_masks(&s->sheet, s->layout->cells, s->masks, s->layout->mask_bytes);
    }
}

/* Whether tiles can give hints: they read x in place, where the channels of a line do not push each
 * other out of the cache, and there are parts enough to name all lines between them. */
static bool tiles_give_hints(const struct state *s)
{
    const ptrdiff_t bytes = s->job->kernels->bytes, step = s->job->x.axis[TC_W] * bytes;
    const ptrdiff_t lanes = s->layout->box[0].shape.vectors * s->job->kernels->lanes;
    const bool dense = step > 0 && step < TC_ALIGN; /* columns share lines */
    if (!dense || s->layout->zip != 1 || !s->layout->in_place || !stores_from_tiles(s)) {
        return false;
    }
    s->ahead->gap = TC_ALIGN / step;
    s->ahead->lines = tc_ceil_div(lanes, s->ahead->gap);
    return s->layout->parts >= s->ahead->lines;
}

/* Looks ahead to the same block of the next image or, after the last, to the next task, if they
 * read other inputs and the caches do not hold those yet. */
static void look_ahead(struct state *s, ptrdiff_t number, bool last)
{
    const struct tc_job *const job = s->job;
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t bytes = job->kernels->bytes;
    struct ahead *const ahead = s->ahead;
    ptrdiff_t n = s->n + 1;
    if (p->g > 1 || job->blocking.shares > 1 || s->layout->lone || !job->x.far ||
        (last && number + 1 == job->tasks) || !tiles_give_hints(s)) {
        ahead->lines = 0;
        return;
    }
    ahead->sheet = s->sheet;
    if (last) {
        const struct task next = task_at(job, number + 1);
        set_sheet(job, s->layout, &next, &ahead->sheet);
        n = next.image;
    }
    ahead->x = job->x;
    ahead->x.data = tc_at(job->x.data, n * job->x.n + tc_sheet_from(&ahead->sheet, &job->x), bytes);
}

/* Whether a chunk's inputs lie in x as they would on the sheet, from here on, and so far from its
 * end that the last vector ends before it. */
static bool lies_in_place(const struct state *s, ptrdiff_t from)
{
    const struct tc_image *const x = &s->job->x;
    const ptrdiff_t lanes = s->sheet.lanes, row = stores_from_tiles(s) ? cells_in_row(s) : lanes;
    const ptrdiff_t read = lanes - row + tc_round_up(row, s->job->kernels->lanes);
    bool alike = x->axis[TC_W] == 1;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const ptrdiff_t inputs = tc_range_length(s->sheet.data[a]);
        alike = alike && inputs == tc_range_length(s->sheet.cell[a]) &&
                (inputs == 1 || x->axis[a] == s->sheet.step[a]);
    }
    return alike && tc_reaches(s->job, from + (tc_range_length(s->ci) - 1) * x->c + read);
}

/* The inputs of a group from this channel on: in x, or copied to the sheet. */
static void take_chunk(struct state *s, ptrdiff_t group, ptrdiff_t first)
{
    const struct tc_job *const job = s->job;
    const ptrdiff_t ci = tc_group_ci(job->problem), bytes = job->kernels->bytes;
    struct tc_image x = job->x;
    s->group = group;
    s->ci = (struct tc_range){first, tc_min(first + s->layout->chunk, ci)};
    const ptrdiff_t from = s->n * x.n + (group * ci + first) * x.c;
    const ptrdiff_t block = tc_sheet_from(&s->sheet, &x);
    if (s->layout->in_place && lies_in_place(s, from + block)) {
        s->inputs = tc_at(x.data, from + block, bytes);
        s->pitch_ci = x.c;
        return;
    }
    if (!s->cleared) {
        tc_sheet_clear(&s->sheet, s->layout->chunk, s->layout->sheet_pitch, s->data, bytes);
        s->cleared = true;
    }
    s->inputs = s->data;
    s->pitch_ci = s->layout->sheet_pitch;
    x.data = tc_at(x.data, from, bytes);
    tc_sheet_copy(&s->sheet, job->kernels, x, tc_range_length(s->ci), s->layout->sheet_pitch,
                  s->data);
}

/* Writes complete sums to y. */
static void finish(const struct state *s, const struct rows *rows)
{
    tc_activate(s->job, s->rows, rows->lines * s->layout->cells[TC_W].s,
                s->layout->lanes + s->layout->shift, s->pitch);
    store(s, rows);
}

/* The part with this number, and where it lies in a buffer that begins with the part `first`. */
static struct rows select_part(struct state *s, ptrdiff_t part, ptrdiff_t first)
{
    const ptrdiff_t parts = s->layout->parts, before = (part - first) * rows_at_once(s->layout);
    s->rows = tc_at(s->buffer, before * s->pitch, s->job->kernels->bytes);
    return rows_at(s->job, s->layout, part / parts, part % parts, s->job->packed);
}

/* Some parts of a group's lines, of one image, chunk by chunk of the input channels. */
static void run_chunks(struct state *s, struct tc_range part)
{
    const ptrdiff_t ci = tc_group_ci(s->job->problem);
    for (ptrdiff_t first = 0; first < ci && !tc_is_stopped(s->job->watch);
         first += s->layout->chunk) {
        take_chunk(s, part.begin / s->layout->parts, first);
        for (ptrdiff_t p = part.begin; p < part.end; p++) {
            const struct rows rows = select_part(s, p, part.begin);
            multiply(s, &rows);
        }
    }
    for (ptrdiff_t p = part.begin; p < part.end; p++) {
        const struct rows rows = select_part(s, p, part.begin);
        finish(s, &rows);
    }
}

/* The lines of a tile's counterpart are spread over the parts. */
static ptrdiff_t hint_of_part(const struct state *s, ptrdiff_t part)
{
    const ptrdiff_t lines = s->ahead->lines, parts = s->layout->parts;
    const ptrdiff_t hint = part * lines / parts;
    return part * lines % parts < lines ? hint : -1;
}

/* Some parts of all groups' lines, of one image. */
static void run_parts(struct state *s, struct tc_range mine)
{
    const ptrdiff_t parts = s->layout->parts;
    const bool chunks = s->layout->chunk < tc_group_ci(s->job->problem);
    struct tc_range part = mine;
    for (; part.begin < mine.end; part.begin = part.end) {
        part.end = tc_min((part.begin / parts + 1) * parts, mine.end); /* a group's */
        if (chunks) {
            run_chunks(s, part);
            continue;
        }
        take_chunk(s, part.begin / parts, 0);
        for (ptrdiff_t p = part.begin; p < part.end && !tc_is_stopped(s->job->watch); p++) {
            const struct rows rows = select_part(s, p, p);
            if (stores_from_tiles(s)) {
                s->hint = hint_of_part(s, p);
                multiply_into_y(s, &rows);
            } else {
                multiply(s, &rows);
                finish(s, &rows);
            }
        }
    }
}

struct run {
    const struct tc_job *job;
    struct layout layout;
    char *scratch;
};

static void run_block(const void *context, ptrdiff_t number, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    const struct tc_blocking *const blocking = &job->blocking;
    const struct scratch scratch = scratch_of(job, &run->layout);
    const ptrdiff_t parts = job->problem->g * run->layout.parts;
    struct ahead ahead = {.lines = 0};
    struct state s = {.job = job, .layout = &run->layout, .ahead = &ahead};
    s.data = run->scratch + thread * job->thread_bytes;
    s.buffer = (char *)s.data + scratch.sheet;
    s.bias = (char *)s.buffer + scratch.buffer;
    s.a_row = (ptrdiff_t *)((char *)s.bias + scratch.bias);
    s.c_row = s.a_row + rows_at_once(s.layout);
    s.masks = (unsigned char *)s.a_row + scratch.rows;
    s.line = s.masks + scratch.masks;
    s.stream = tc_output_volume(job->problem) * job->kernels->bytes > job->cpu->l3_bytes;
    s.pitch = tc_odd_lines(job->kernels, s.layout->lanes + s.layout->shift);
    const struct task task = task_at(job, number);
    const ptrdiff_t end = tc_min(task.image + blocking->size[0], job->problem->n);
    set_block_cells(&s, &task);
    for (s.n = task.image; s.n < end; s.n++) {
        look_ahead(&s, number, s.n + 1 == end);
        run_parts(&s, tc_share_of(parts, task.share, blocking->shares));
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    struct run context;
    init_layout(&context.layout, job);
    context.job = job;
    context.scratch = scratch;
    set_bounds(job, &context.layout);
    tc_parallel(job->tasks, job->threads, run_block, &context, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    struct layout layout;
    init_layout(&layout, job);
    const struct shape shape = layout.box[0].shape;
    tc_say(text, "%td output places x %td cells", shape.rows, shape.vectors * job->kernels->lanes);
}

const struct tc_engine tc_engine_direct = {
    .name = "direct",
    .contractions = TC_DOES_LARGE,
    .accept = accept,
    .pack = pack,
    .run = run,
    .describe = describe,
};
