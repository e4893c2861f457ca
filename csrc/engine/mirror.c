/* SPDX-License-Identifier: BSD-3-Clause */
/* mirror: a convolution of stride 1 is a transposed one with its kernel mirrored. With k' for
 * K - 1 - k and p' for d*(K - 1) - p,
 *
 *     y[v] = sum over k of  x[v + d*k - p] * w[k] = sum over k' of  x[v - d*k' + p'] * w[K - 1 -
 * k'],
 *
 * which a view of the weights with negative strides says, so scatter or direct solves it in place.
 */
#include "base/size.h"
#include "engine/engine.h"

static const struct tc_operation mirrored = {.contraction = TC_LARGE_FROM_SMALL};

static const char *refuse(const struct tc_problem *problem)
{
    for (int a = 0; a < TC_SPATIAL; a++) {
        if (problem->s[a] != 1) {
            return "the stride is above 1";
        }
        if (tc_max(problem->p[a], problem->pe[a]) > problem->d[a] * (problem->k[a] - 1)) {
            return "there is more padding than the kernel reaches over";
        }
    }
    return NULL;
}

/* The same job as a transposed convolution, whose problem is put into `problem`. */
static struct tc_job job_of(const struct tc_job *job, struct tc_problem *problem)
{
    struct tc_job other = *job;
    ptrdiff_t last = 0;
    *problem = *job->problem;
    problem->operation = &mirrored;
    for (int a = 0; a < TC_SPATIAL; a++) {
        problem->p[a] = problem->d[a] * (problem->k[a] - 1) - problem->p[a];
        last += (problem->k[a] - 1) * job->w.axis[a];
        other.w.axis[a] = -job->w.axis[a];
    }
    other.problem = problem;
    other.w.data = tc_at_any(job->w.data, last, job->kernels->bytes);
    tc_lattice_init(&other.lattice, problem);
    return other;
}

/* The engine that solves it: scatter, but what was asked for only where direct takes images of
 * every size. */
static const struct tc_engine *engine_of(const struct tc_job *other)
{
    struct tc_job unforced = *other;
    unforced.forced = false;
    const bool of_any_size = !other->forced || tc_direct_takes(other);
    return of_any_size && tc_scatter_takes(&unforced) ? &tc_engine_scatter : &tc_engine_direct;
}

bool tc_mirror_takes(const struct tc_job *job)
{
    struct tc_problem problem;
    if (refuse(job->problem)) {
        return false;
    }
    const struct tc_job other = job_of(job, &problem);
    return tc_scatter_takes(&other) || tc_direct_takes(&other);
}

static const char *accept(struct tc_job *job)
{
    struct tc_problem problem;
    const char *refusal = refuse(job->problem);
    if (refusal == NULL) {
        struct tc_job other = job_of(job, &problem);
        refusal = engine_of(&other)->accept(&other);
        tc_take_booking(job, &other);
    }
    return refusal;
}

static void pack(const struct tc_job *job, void *packed)
{
    struct tc_problem problem;
    const struct tc_job other = job_of(job, &problem);
    engine_of(&other)->pack(&other, packed);
}

static void run(const struct tc_job *job, void *scratch)
{
    struct tc_problem problem;
    const struct tc_job other = job_of(job, &problem);
    engine_of(&other)->run(&other, scratch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    struct tc_problem problem;
    const struct tc_job other = job_of(job, &problem);
    engine_of(&other)->describe(&other, text);
}

const struct tc_engine tc_engine_mirror = {
    .name = "mirror",
    .contractions = TC_DOES_SMALL,
    .accept = accept,
    .pack = pack,
    .run = run,
    .describe = describe,
};
