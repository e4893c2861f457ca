/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include "base/size.h"
#include "engine/panels.h"

#include <string.h>

/* A thread is worth waking for so many multiply-adds. */
static const double THREAD_MACS = 100e3;

enum { REPACKED_CI = 128 }; /* input channels of an image that do not pay for packing again */

/* clang-format off */
const struct tc_engine *const tc_engines[TC_MAX_ENGINES] = {
    &tc_engine_taps,
    &tc_engine_places,
    &tc_engine_pixels,
    &tc_engine_phases,
    &tc_engine_channels,
    &tc_engine_lines,
    &tc_engine_weave,
    &tc_engine_scatter,
    &tc_engine_patches,
    &tc_engine_planes,
    &tc_engine_subpixel,
    &tc_engine_direct,
    &tc_engine_mirror,
    &tc_engine_gather,
    &tc_engine_wcolumns,
    &tc_engine_wline,
    &tc_engine_wgrad,
    &tc_engine_reference,
    NULL,
};
/* clang-format on */

static double nominal_macs(const struct tc_problem *problem)
{
    const bool small = problem->operation->contraction == TC_SMALL_FROM_LARGE;
    const ptrdiff_t *const length = small ? problem->o : problem->i; /* the small side's */
    double macs = (double)problem->n * (double)problem->co * (double)tc_group_ci(problem);
    for (int a = 0; a < TC_SPATIAL; a++) {
        macs *= (double)length[a] * (double)problem->k[a];
    }
    return macs;
}

static enum tc_code choose_kernels(struct tc_job *job, const char *isa, struct tc_status *status)
{
    const char *names[TC_MAX_ISAS];
    job->kernels = tc_kernels_find(isa, job->problem->dtype, job->cpu);
    if (job->kernels) {
        return TC_OK;
    }
    tc_fail(status, TC_VALUE, "isa must be one of");
    tc_kernels_list(job->cpu, names);
    for (int i = 0; names[i]; i++) {
        tc_say(status, "%s '%s'", i ? "," : "", names[i]);
    }
    tc_say(status, " on this machine, got '%s'", isa);
    return TC_VALUE;
}

/* Books the job, or says why not. */
static const char *offer(struct tc_job *job, const struct tc_engine *engine)
{
    if (!(engine->contractions & 1u << job->problem->operation->contraction)) {
        return "it is for other operations";
    }
    return engine->accept(job);
}

static enum tc_code choose_engine(struct tc_plan *plan, const char *name, struct tc_status *status)
{
    const char *refusal = NULL;
    plan->job.forced = name != NULL;
    for (int i = 0; tc_engines[i]; i++) {
        const bool wanted = name == NULL || strcmp(name, tc_engines[i]->name) == 0;
        plan->refusals[i] = wanted ? offer(&plan->job, tc_engines[i]) : NULL;
        if (wanted && plan->refusals[i] == NULL) {
            plan->engine = tc_engines[i];
            return TC_OK;
        }
        refusal = wanted ? plan->refusals[i] : refusal;
    }
    if (refusal) {
        return tc_fail(status, TC_VALUE, "engine '%s' cannot do this: %s", name, refusal);
    }
    tc_fail(status, TC_VALUE, "engine must be one of");
    for (int i = 0; tc_engines[i]; i++) {
        tc_say(status, "%s '%s'", i ? "," : "", tc_engines[i]->name);
    }
    tc_say(status, ", got '%s'", name);
    return TC_VALUE;
}

/* Packed weights first, then a part for each thread. */
static enum tc_code book_scratch(struct tc_plan *plan, struct tc_status *status)
{
    const struct tc_job *const job = &plan->job;
    ptrdiff_t *const bytes = &plan->scratch_bytes;
    ptrdiff_t packed = 0;
    if ((!job->ahead && !tc_add(job->packed_bytes, TC_ALIGN, &packed)) ||
        !tc_mul(job->thread_bytes, job->threads, bytes) || !tc_add(*bytes, packed, bytes) ||
        !tc_add(*bytes, job->shared_bytes, bytes)) {
        return tc_fail(status, TC_MEMORY, "the packed weights are too big to be addressed");
    }
    return TC_OK;
}

/* A plan for one engine, or the best. */
static enum tc_code make(struct tc_plan *plan, const struct tc_order *order, const char *engine,
                         bool ahead, struct tc_status *status)
{
    struct tc_job *const job = &plan->job;
    *plan = (struct tc_plan){
        .problem = *order->problem,
        .job = {.problem = &plan->problem,
                .cpu = order->cpu,
                .x = order->x,
                .y = order->y,
                .w = order->w,
                .b = order->b,
                .cell = {.places = 1},
                .activation = order->activation,
                .ahead = ahead,
                .any_image = order->ahead && order->kept == NULL,
                .watch = order->watch},
    };
    if (engine == NULL && !order->ahead) {
        tc_lattice_trim(&plan->problem, &job->w);
    }
    job->macs = nominal_macs(&plan->problem);
    const double worth = 1 + job->macs / THREAD_MACS;
    job->threads = worth < order->threads ? (int)worth : order->threads;
    tc_lattice_skip(&plan->problem, &job->x);
    tc_lattice_init(&job->lattice, &plan->problem);
    if (choose_kernels(job, order->isa, status)) {
        return status->code;
    }
    job->x.far = tc_input_volume(&plan->problem) > job->cpu->l2_bytes / job->kernels->bytes;
    job->y.far = tc_output_volume(&plan->problem) > job->cpu->l2_bytes / job->kernels->bytes;
    if (choose_engine(plan, engine, status)) {
        return status->code;
    }
    return book_scratch(plan, status);
}

/* The number of an engine among tc_engines, or of their end. */
static int number_of(const char *name)
{
    int i = 0;
    while (tc_engines[i] && strcmp(tc_engines[i]->name, name) != 0) {
        i++;
    }
    return i;
}

/* Whether the weights that the kept engine has packed are those that this plan needs: its own, or
 * panels, which several engines read. */
static bool fits_packed(const struct tc_plan *plan, const struct tc_order *order)
{
    const struct tc_engine *const kept = tc_engines[number_of(order->kept)];
    bool fits = plan->engine == kept ||
                (kept && kept->pack == tc_panels_pack && plan->engine->pack == tc_panels_pack);
    for (int a = 0; a < TC_SPATIAL; a++) { /* nothing of the kernel was left out */
        fits = fits && plan->problem.k[a] == order->problem->k[a];
    }
    return fits;
}

/* Whether the kept engine refused the image of this plan, as it did not when it was chosen, and
 * packing for another does not take longer than that one saves: points are packed in no time, other
 * kernels sooner than few input channels or many images are summed. */
static bool refuses_image(const struct tc_plan *plan, const struct tc_order *order)
{
    const struct tc_problem *const p = &plan->problem;
    return plan->refusals[number_of(order->kept)] != NULL &&
           (tc_kernel_volume(p) == 1 || tc_group_ci(p) < REPACKED_CI * p->n);
}

/* The same with an engine kept, whose weights may be packed. Another packs them anew where that is
 * next to nothing, or the kept one is not made for images like this. */
static enum tc_code make_again(struct tc_plan *plan, const struct tc_order *order,
                               struct tc_status *status)
{
    struct tc_order fresh = *order;
    fresh.ahead = false;
    if (order->engine == NULL && make(plan, &fresh, NULL, true, status) == TC_OK) {
        if (fits_packed(plan, order)) {
            return TC_OK;
        }
        if (plan->job.packed_bytes == 0) {
            plan->job.ahead = false;
            return TC_OK;
        }
        if (tc_is_depthwise(&plan->problem) || refuses_image(plan, order)) {
            return make(plan, &fresh, NULL, false, status);
        }
    }
    if (make(plan, order, order->kept, order->ahead, status) == TC_OK) {
        return TC_OK;
    }
    return make(plan, &fresh, NULL, false, status);
}

enum tc_code tc_plan_make(struct tc_plan *plan, const struct tc_order *order,
                          struct tc_status *status)
{
    return order->kept ? make_again(plan, order, status)
                       : make(plan, order, order->engine, order->ahead, status);
}

void tc_plan_pack(const struct tc_plan *plan, void *packed)
{
    plan->engine->pack(&plan->job, packed);
}

void tc_plan_run(const struct tc_plan *plan, void *scratch)
{
    struct tc_job job = plan->job;
    char *threads = scratch;
    if (!job.ahead && job.packed_bytes > 0) {
        threads += tc_round_up(job.packed_bytes, TC_ALIGN);
        plan->engine->pack(&job, scratch);
        job.packed = scratch;
    }
    plan->engine->run(&job, threads);
}
