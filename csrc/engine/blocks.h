/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_BLOCKS_H
#define TC_BLOCKS_H

/* Cutting a job into tasks and an axis of vectors into parts: what the blocked engines share. */

#include "base/size.h"
#include "engine/engine.h"

/* A part of an axis of lanes: whole vectors, of which `lanes` elements exist. */
struct tc_part {
    ptrdiff_t number, first, lanes;
    int width; /* vectors */
};

/* At least `elements`: whole cache lines, an odd number of them, so that rows so far apart spread
 * over all sets of a cache. */
ptrdiff_t tc_odd_lines(const struct tc_kernels *kernels, ptrdiff_t elements);

/* Parts of at most kernels->widths vectors, as equal as possible. */
ptrdiff_t tc_part_count(const struct tc_kernels *kernels, ptrdiff_t length);
struct tc_part tc_part_at(const struct tc_kernels *kernels, ptrdiff_t length, ptrdiff_t part);

/* Steps that a tile of so many rows and vectors takes for each k: a step is a multiply-add or half
 * a load, of which a shifted one counts twice, and a sum cannot be added to sooner than TC_LATENCY
 * steps later. */
enum { TC_LATENCY = 8 };

static inline ptrdiff_t tc_tile_steps(ptrdiff_t rows, ptrdiff_t width)
{
    return tc_max(tc_max(rows * width, 2 * width + rows), TC_LATENCY);
}

/* From the first element of an image of n times c planes of these lengths to behind the last: all
 * in between can be read. 0 if some stride is negative. */
ptrdiff_t tc_readable(const struct tc_image *image, ptrdiff_t n, ptrdiff_t c,
                      const ptrdiff_t length[TC_SPATIAL]);

/* Whether x can be read up to element `end`, those before the first of them aside. */
bool tc_reaches(const struct tc_job *job, ptrdiff_t end);

/* Lines of inputs that the kernels `lines` count from the first that an output meets to that of the
 * next output, if they take `reach` kernel lines at once, and that some lines of outputs meet. */
static inline int tc_kernel_step(const struct tc_axis *height, int reach)
{
    return reach > 1 ? (int)height->in_step : 1;
}

static inline ptrdiff_t tc_lines_met(const struct tc_axis *height, int reach, ptrdiff_t lines)
{
    return (lines - 1) * tc_kernel_step(height, reach) + reach;
}

/* The lines of inputs that `lines` lines of outputs meet, from line `first` of an image on, whose
 * line 0 lies at `origin`, and a line further on `line` elements further. */
struct tc_met_lines {
    const struct tc_axis *height;
    int reach;
    ptrdiff_t lines, first, origin, line;
};

/* Elements from one to the next; those further apart than the image is high are never two. */
ptrdiff_t tc_met_pitch(const struct tc_met_lines *met);

/* Gives the sheet those that exist. */
void tc_set_lines(struct tc_line_sheet *sheet, const struct tc_met_lines *met);

/* A block and the inputs that it reads; index 0 is the batch. */
struct tc_block {
    ptrdiff_t group, share;
    struct tc_range grid[TC_GRID];
    struct tc_range input[TC_GRID];
};

/* Tasks that each of several threads wants, so that what disturbs one evens out. */
enum { TC_TASKS_PER_THREAD = 4 };

static inline ptrdiff_t tc_tasks_wanted(const struct tc_job *job)
{
    return job->threads > 1 ? (ptrdiff_t)job->threads * TC_TASKS_PER_THREAD : 1;
}

/* Cuts the job into blocks of at most `points` grid points, whose inputs number at most `inputs`
 * as long as more than one point is left, and into at most `shares` shares, so that there are
 * tasks enough for the threads. */
void tc_blocking_set(struct tc_job *job, ptrdiff_t points, ptrdiff_t inputs, ptrdiff_t shares);

/* Cuts `length` points along axis g into blocks of about equal size, at most `size`. */
void tc_blocking_set_size(struct tc_blocking *blocking, int g, ptrdiff_t length, ptrdiff_t size);

struct tc_block tc_block_at(const struct tc_job *job, ptrdiff_t task);

/* The most inputs any block has. */
ptrdiff_t tc_block_inputs(const struct tc_job *job);

/* The inputs of a block of one image that is as long along each axis as the taps reach: those of a
 * shorter one are mostly read for its taps' reach. */
ptrdiff_t tc_reached_inputs(const struct tc_job *job);

/* The channels of the block's group in x, in place. */
struct tc_image tc_block_input(const struct tc_job *job, const struct tc_block *block);

/* Elements from one pixel to the next, and from one channel. */
struct tc_steps {
    ptrdiff_t pixel, channel;
};

/* Copies channels `ci` of the block's inputs, its pixels in the order [n][d][h][w]. */
struct tc_image tc_block_copy(const struct tc_job *job, const struct tc_block *block,
                              struct tc_range ci, struct tc_steps steps, void *copy);

/* Copies the biases of `count` channels from this one on, which there are, side by side. */
void tc_copy_bias(const struct tc_job *job, ptrdiff_t channel, ptrdiff_t count, void *to);

/* Whether y has so few channels that its lines, summed channel by channel, are interleaved to
 * pixels where these follow each other: of more channels, transpositions take no longer. */
enum { TC_PIXEL_CHANNELS = 4 };

static inline bool tc_has_few_channels(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    return p->g == 1 && p->co > 1 && p->co <= TC_PIXEL_CHANNELS;
}

static inline bool tc_stores_pixels(const struct tc_job *job)
{
    return tc_has_few_channels(job) && tc_has_pixels(job);
}

/* Elements of a line of a block, of one channel, and bytes of those of all, if they are few. */
static inline ptrdiff_t tc_pixels_line(const struct tc_job *job, ptrdiff_t phases)
{
    return tc_odd_lines(job->kernels, job->blocking.size[1 + TC_W] * phases);
}

static inline ptrdiff_t tc_pixels_bytes(const struct tc_job *job, ptrdiff_t phases)
{
    const ptrdiff_t channels = tc_has_few_channels(job) ? job->problem->co : 0;
    return channels * tc_pixels_line(job, phases) * job->kernels->bytes;
}

/* Sets the columns of a call of `dots`, for lines of `length` elements of which those in met[t]
 * count for tap t, and the masks of the columns of which not all lanes count for all taps. */
void tc_set_columns(struct tc_dots *dots, struct tc_dot_masks *masks, ptrdiff_t length,
                    const struct tc_range *met);

/* Brings `lines` lines of `bytes` bytes closer, into the second cache. Inlined by force: gcc takes
 * a function of hints alone for one without effect and leaves its calls out. */
static inline __attribute__((always_inline)) void tc_fetch(const char *line, ptrdiff_t lines,
                                                           ptrdiff_t step, ptrdiff_t bytes)
{
    for (; lines > 0; lines--, line += step) {
        for (ptrdiff_t at = 0; at < bytes; at += TC_ALIGN) {
            __builtin_prefetch(line + at, 0, 2);
        }
    }
}

/* What a thread has made for itself, a few megabytes at most: reading what another core has just
 * written takes longer. It lies at the end of the thread's scratch, of which it takes `bytes`, as
 * tc_own_bytes counts them, or 0 if there is none. */
struct tc_own {
    bool made;
    _Alignas(TC_ALIGN) char data[];
};

static inline ptrdiff_t tc_own_bytes(ptrdiff_t data)
{
    return tc_round_up((ptrdiff_t)sizeof(struct tc_own) + data, TC_ALIGN);
}

static inline struct tc_own *tc_own_of(const struct tc_job *job, void *scratch, int thread,
                                       ptrdiff_t bytes)
{
    return (struct tc_own *)((char *)scratch + (thread + 1) * job->thread_bytes - bytes);
}

/* Before a run, nothing is made. */
static inline void tc_own_forget(const struct tc_job *job, void *scratch, ptrdiff_t bytes)
{
    for (int thread = 0; thread < job->threads && bytes > 0; thread++) {
        tc_own_of(job, scratch, thread, bytes)->made = false;
    }
}

/* Items [begin, end) of `items` that share number `share` of `shares` owns. */
static inline struct tc_range tc_share_of(ptrdiff_t items, ptrdiff_t share, ptrdiff_t shares)
{
    return (struct tc_range){items * share / shares, items * (share + 1) / shares};
}

#endif
