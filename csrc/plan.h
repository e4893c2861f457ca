/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_PLAN_H
#define TC_PLAN_H

/* From a problem to a way of carrying it out. A plan names the engine, the kernels and the tasks,
 * and books all memory in one number; making it touches no data and allocates nothing. */

#include "engine/engine.h"

enum { TC_MAX_ENGINES = 19 };

/* What a plan is made from. Data pointers of the views are not looked at. */
struct tc_order {
    const struct tc_problem *problem;
    const struct tc_cpu *cpu;
    struct tc_image x, y;
    struct tc_weight w;
    struct tc_bias b;
    struct tc_activation activation; /* of the outputs of a forward operation */
    const char *isa, *engine;        /* NULL: the best */
    const char *kept;       /* the engine of an earlier plan for the same weights, or NULL */
    int threads;            /* at most so many */
    bool ahead;             /* the weights will come packed by tc_plan_pack */
    struct tc_watch *watch; /* ends tc_plan_run early; may be NULL */
};

struct tc_plan {
    struct tc_job job;
    struct tc_problem problem; /* the job's, which may be smaller than the one ordered */
    const struct tc_engine *engine;
    const char *refusals[TC_MAX_ENGINES]; /* why the engines before it in tc_engines did not */
    ptrdiff_t scratch_bytes;              /* for tc_plan_run, TC_ALIGN-aligned */
};

/* Unless an engine was asked for or the weights are packed ahead, the kernel elements that meet
 * nothing but padding are left out. With an engine kept, and none asked for, the choice is the same
 * where it packs nothing, or weights as few as those of a depthwise layer, or those of points where
 * the one that was kept refuses this image; else it is that one; and if that refuses these strides,
 * the best. What was not kept packs the weights anew. plan->job.ahead says whether the weights that
 * were packed ahead are the ones to be used.
 *
 * The plan refers to itself: it stays where it is. */
enum tc_code tc_plan_make(struct tc_plan *plan, const struct tc_order *order,
                          struct tc_status *status);

/* Packs the weights into plan->job.packed_bytes bytes; if those are 0, there is nothing to
 * pack and the weights are read as they lie at every run. */
void tc_plan_pack(const struct tc_plan *plan, void *packed);

/* Computes y, or some of it if the watch was stopped. The views of plan->job hold the data by now;
 * so does job.packed if `ahead`. */
void tc_plan_run(const struct tc_plan *plan, void *scratch);

#endif
