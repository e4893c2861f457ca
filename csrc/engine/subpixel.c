/* SPDX-License-Identifier: BSD-3-Clause */
/* subpixel: lanes are output channels of all places of a cell.
 *
 * Where the kernel is a multiple of the stride s along the width, all places of a cell have as many
 * taps (see cells.h): a cell's outputs are those of a problem without a stride that has s times as
 * many output channels,
 *
 *     y[s*q + r - p][co] = y'[q][(r, co)],  w'[t][(r, co)] = w[t*s + r][co],
 *
 * the sub-pixel convolution (Shi et al., 2016, arXiv:1609.07009). Along the width s outputs side by
 * side with all their channels are one line of memory with channels last, and so is gather's buffer
 * otherwise: what few channels leave empty of a vector, the places fill. gather solves it, and is
 * told how many places a cell has, as the first cell and the last may reach beyond y. */
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/cells.h"

/* Lanes that must exist, of those computed: where tiles go to y as they are, and elsewhere. */
static const double FILLED_IN_PLACE = 0.6, FILLED = 0.75;

/* Axes along which an output may have several taps. */
static int shifted_axes(const struct tc_problem *problem)
{
    int shifted = 0;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const ptrdiff_t k = problem->k[a];
        shifted += k > problem->s[a] || (k > 1 && problem->d[a] > 1);
    }
    return shifted;
}

/* Whether no other engine is faster. All sum a single tap in the same order: strides may decide. */
static bool gains(const struct tc_job *job)
{
    const ptrdiff_t s = job->problem->s[TC_W], co = tc_group_co(job->problem);
    const ptrdiff_t lanes = job->kernels->lanes, vectors = tc_ceil_div(s * co, lanes);
    const double filled = (double)(s * co) / (double)(vectors * lanes);
    const int shifted = shifted_axes(job->problem);
    if (shifted == 0 && job->y.c == 1) {
        return filled >= FILLED_IN_PLACE;
    }
    if (shifted == 0 && s == 2 && tc_direct_takes(job)) {
        return false; /* its tiles interleave pairs */
    }
    const bool fewer = co <= lanes || vectors < s * tc_ceil_div(co, lanes);
    return filled >= FILLED && 2 * co >= lanes && fewer && (vectors > 1 || shifted > 1);
}

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    const ptrdiff_t s = problem->s[TC_W], co = tc_group_co(problem);
    if ((s == 1 && !job->forced) || (s > 1 && problem->d[TC_W] > 1) || problem->k[TC_W] % s != 0) {
        return "the kernel is no multiple of a stride along the width";
    }
    if (s > job->kernels->widths * job->kernels->lanes / co) {
        return "the outputs of a cell do not fit a tile";
    }
    if (!job->forced && !gains(job)) {
        return "the outputs of a cell do not fill vectors better than one does";
    }
    return NULL;
}

/* The same job counted in cells, whose problem is put into `problem`. */
static struct tc_job job_of(const struct tc_job *job, struct tc_problem *problem)
{
    const struct tc_cells cells = tc_cells_of(job->problem, TC_W);
    struct tc_job other = *job;
    *problem = *job->problem;
    problem->co *= cells.s;
    problem->k[TC_W] = cells.taps;
    problem->s[TC_W] = 1;
    problem->p[TC_W] = cells.first;
    problem->o[TC_W] = cells.end - cells.first;
    other.problem = problem;
    other.cell = (struct tc_cell){cells.s, cells.place, cells.out};
    other.y.axis[TC_W] *= cells.s;
    tc_lattice_init(&other.lattice, problem);
    return other;
}

static const char *accept(struct tc_job *job)
{
    struct tc_problem problem;
    const char *refusal = refuse(job);
    if (refusal == NULL) {
        struct tc_job other = job_of(job, &problem);
        refusal = tc_engine_gather.accept(&other);
        tc_take_booking(job, &other);
    }
    return refusal;
}

static void pack(const struct tc_job *job, void *packed)
{
    struct tc_problem problem;
    const struct tc_job other = job_of(job, &problem);
    tc_engine_gather.pack(&other, packed);
}

static void run(const struct tc_job *job, void *scratch)
{
    struct tc_problem problem;
    const struct tc_job other = job_of(job, &problem);
    tc_engine_gather.run(&other, scratch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const ptrdiff_t s = job->problem->s[TC_W], co = tc_group_co(job->problem);
    const struct tc_part part = tc_part_at(job->kernels, s * co, 0);
    tc_say(text, "%d cells of %td pixels x %td output channels", job->kernels->rows[part.width - 1],
           s, co);
}

const struct tc_engine tc_engine_subpixel = {
    .name = "subpixel",
    .contractions = TC_DOES_LARGE,
    .accept = accept,
    .pack = pack,
    .run = run,
    .describe = describe,
};
