/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_ENGINE_H
#define TC_ENGINE_H

/* Engines: ways to carry out a problem. tc_engines lists them, most special first; the first that
 * accepts a job gets it. An engine decides on the geometry of one image, on strides and on the
 * machine, never on the batch or the number of threads: those must not change a bit. */

#include "base/parallel.h"
#include "base/size.h"
#include "kernels/kernels.h"
#include "lattice.h"

/* Lines that lie a multiple of this apart meet in one set of the first cache. */
enum { TC_ALIAS_BYTES = 4096 };

/* How a job is cut into blocks: boxes of grid points, that is of outputs j of every phase at once
 * (n, d, h, w). All phases of a block read about the same inputs. */
enum { TC_GRID = 4 };

struct tc_blocking {
    ptrdiff_t size[TC_GRID], count[TC_GRID];
    ptrdiff_t shares; /* tasks that share the output channels of one group and block */
};

/* Outputs of a line that gather computes as one, as subpixel asks: `places` side by side, all of
 * whose channels are what the problem calls output channels. The first cell of a line begins
 * `before` outputs before y; the last ends behind its `outputs`, or with them. */
struct tc_cell {
    ptrdiff_t places, before, outputs;
};

/* All an engine knows of its work. What stands above the line is given; the engine's `accept`
 * books what stands below. Data pointers may be NULL until run; strides are always there. */
struct tc_job {
    const struct tc_problem *problem;
    struct tc_lattice lattice;
    const struct tc_kernels *kernels;
    const struct tc_cpu *cpu;
    struct tc_image x, y;
    struct tc_weight w;
    struct tc_bias b;
    struct tc_cell cell;
    struct tc_activation activation;
    double macs;            /* multiply-adds, those that padding crops included */
    int threads;            /* at most so many */
    bool forced;            /* the caller asked for this engine: refuse only what cannot be done */
    bool ahead;             /* the weights are packed ahead and cost this call nothing */
    bool any_image;         /* the image is not known: the smallest stands for all */
    const void *packed;     /* those weights, at run */
    struct tc_watch *watch; /* ends a run early; may be NULL */
    /* ---- */
    struct tc_blocking blocking;
    ptrdiff_t tasks;
    ptrdiff_t packed_bytes; /* of the weights in the engine's order; 0: read as they lie */
    ptrdiff_t shared_bytes; /* of scratch that the threads share */
    ptrdiff_t thread_bytes; /* of one thread's scratch */
};

struct tc_engine {
    const char *name;
    unsigned contractions; /* those that it can do, a bit each */
    /* Books the job and returns NULL, or returns why not. */
    const char *(*accept)(struct tc_job *job);
    /* Packs the weights into packed_bytes, if those are not 0: then they are read as they lie. */
    void (*pack)(const struct tc_job *job, void *packed);
    /* Carries out the job; scratch holds shared_bytes, then threads * thread_bytes, aligned to
     * TC_ALIGN. */
    void (*run)(const struct tc_job *job, void *scratch);
    /* The tile in words, for explain. */
    void (*describe)(const struct tc_job *job, struct tc_status *text);
};

enum { TC_ALIGN = 64 };

/* Bits for tc_engine.contractions. */
enum {
    TC_DOES_LARGE = 1 << TC_LARGE_FROM_SMALL,
    TC_DOES_SMALL = 1 << TC_SMALL_FROM_LARGE,
    TC_DOES_WEIGHT = 1 << TC_WEIGHT_FROM_BOTH,
};

extern const struct tc_engine tc_engine_taps, tc_engine_places, tc_engine_pixels, tc_engine_phases,
    tc_engine_channels, tc_engine_lines, tc_engine_weave, tc_engine_scatter, tc_engine_planes,
    tc_engine_patches, tc_engine_subpixel, tc_engine_direct, tc_engine_mirror, tc_engine_gather,
    tc_engine_wline, tc_engine_wcolumns, tc_engine_wgrad, tc_engine_reference;

/* Whether pixels of y follow each other along a line, each with all its channels. */
static inline bool tc_has_pixels(const struct tc_job *job)
{
    return job->y.c == 1 && job->y.axis[TC_W] == job->problem->co;
}

/* Whether the engine takes this job. */
bool tc_lines_takes(const struct tc_job *job);
bool tc_weave_takes(const struct tc_job *job);
bool tc_direct_takes(const struct tc_job *job);
bool tc_planes_takes(const struct tc_job *job);  /* or would, if strides were others */
bool tc_scatter_takes(const struct tc_job *job); /* or does when it is mirrored */
bool tc_mirror_takes(const struct tc_job *job);  /* or would, if planes did not */

/* Whether the kernel `weave` has loops of constant bounds for so many taps, away from borders (what
 * it calls known). */
bool tc_weave_unrolls(const struct tc_job *job);

/* What wgrad would take for each position of the small side, in multiply-adds of vectors. */
double tc_wgrad_cost(const struct tc_job *job);

/* Kernel lines that the engine `lines` takes at once, and `weave` for a phase of the height: it
 * sums the taps by their offsets, a column of so many lines before the next along the width. */
int tc_lines_reach(const struct tc_axis *height, const struct tc_phase *phase);

/* The lines that the next call of the kernels `lines` takes of `rows`, of which those before `from`
 * are done: 1, 4, TC_MAX_LINES or TC_TALL_LINES, but not more than `most` of these. A call for one
 * line takes about as long as one for four, and so the last ones may be computed twice. */
static inline struct tc_range tc_next_strip(struct tc_range rows, ptrdiff_t from, ptrdiff_t most)
{
    const ptrdiff_t left = rows.end - from, able = tc_min(rows.end - rows.begin, most);
    ptrdiff_t lines = 1;
    if (left > TC_TALL_LINES - 3 && able >= TC_TALL_LINES) {
        lines = TC_TALL_LINES;
    } else if (left > 4 && left != TC_MAX_LINES + 1 && able >= TC_MAX_LINES) {
        lines = TC_MAX_LINES;
    } else if (left > 1 && able >= 4) {
        lines = 4; /* of eight lines, and 4 */
    }
    const ptrdiff_t begin = from + lines <= rows.end ? from : rows.end - lines;
    return (struct tc_range){begin, begin + lines};
}

/* Gives a job what an engine booked for `other`, which is the same job in other words. */
static inline void tc_take_booking(struct tc_job *job, const struct tc_job *other)
{
    job->blocking = other->blocking;
    job->tasks = other->tasks;
    job->packed_bytes = other->packed_bytes;
    job->shared_bytes = other->shared_bytes;
    job->thread_bytes = other->thread_bytes;
}

/* Applies the job's activation to rows of outputs whose sums are complete, in y or on their way. */
static inline void tc_activate(const struct tc_job *job, void *data, ptrdiff_t rows,
                               ptrdiff_t columns, ptrdiff_t row_step)
{
    if (job->activation.kind != TC_NO_ACTIVATION) {
        const struct tc_rows outputs = {
            .rows = rows, .columns = columns, .dst = data, .dst_row = row_step};
        job->kernels->activate(&job->activation, &outputs);
    }
}

/* The same for the outputs of a call of the kernels `lines`. */
static inline void tc_activate_lines(const struct tc_job *job, const struct tc_lines *lines)
{
    for (ptrdiff_t c = 0; c < lines->channels; c++) {
        for (ptrdiff_t o = 0; o < lines->outputs; o++) {
            const ptrdiff_t at = c * lines->y_channel + o * lines->y_output;
            tc_activate(job, tc_at(lines->y, at, job->kernels->bytes), lines->lines, lines->columns,
                        lines->y_line);
        }
    }
}

/* The list, most special first, ended by NULL. */
extern const struct tc_engine *const tc_engines[];

#endif
