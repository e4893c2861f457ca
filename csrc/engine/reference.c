/* SPDX-License-Identifier: BSD-3-Clause */
/* reference: the definition, output by output over the lattice. It takes any strides, and the
 * other engines are tested against it. */
#include "base/parallel.h"
#include "engine/engine.h"

/* An output of channel `channel`: the taps that reach it, and offsets of it, of the input and of
 * the weight that tap 0 reads, for the group's first input channel. */
struct point {
    struct tc_run run[TC_SPATIAL];
    ptrdiff_t channel, x, w, y;
};

#define REAL float
#define T(name) name##_f32
#include "engine/reference_tmpl.h"

#define REAL double
#define T(name) name##_f64
#include "engine/reference_tmpl.h"

/* Sets what output `u` of the axis adds to a point. */
static void add_axis(const struct tc_job *job, int a, ptrdiff_t u, struct point *at)
{
    const struct tc_axis *const axis = &job->lattice.axis[a];
    const struct tc_phase phase = tc_phase_at(axis, u % axis->out_step);
    const ptrdiff_t j = u / axis->out_step;
    at->run[a] = tc_run_at(axis, &phase, j);
    at->x += (axis->in_step * j + phase.offset) * job->x.axis[a];
    at->w += phase.k * job->w.axis[a];
    at->y += u * job->y.axis[a];
}

/* A task is a row along the width. */
static void run_row(const void *context, ptrdiff_t task, int thread)
{
    const struct tc_job *const job = context;
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t oh = task % p->o[TC_H], od = task / p->o[TC_H] % p->o[TC_D];
    const ptrdiff_t image = task / p->o[TC_H] / p->o[TC_D];
    const ptrdiff_t channel = image % p->co, n = image / p->co;
    const ptrdiff_t group = channel / tc_group_co(p), within = channel % tc_group_co(p);
    const struct point row = {
        .channel = channel,
        .x = n * job->x.n + group * tc_group_ci(p) * job->x.c,
        .w = group * job->w.g + within * job->w.co,
        .y = n * job->y.n + channel * job->y.c,
    };
    (void)thread;
    for (ptrdiff_t ow = 0; ow < p->o[TC_W]; ow++) {
        struct point at = row;
        add_axis(job, TC_D, od, &at);
        add_axis(job, TC_H, oh, &at);
        add_axis(job, TC_W, ow, &at);
        if (p->dtype == TC_F32) {
            store_f32(job, &at);
        } else {
            store_f64(job, &at);
        }
    }
}

static void run(const struct tc_job *job, void *scratch)
{
    (void)scratch;
    tc_parallel(job->tasks, job->threads, run_row, job);
}

static const char *accept(struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    job->tasks = p->n * p->co * p->o[TC_D] * p->o[TC_H];
    job->packed_bytes = 0;
    job->thread_bytes = 0;
    return NULL;
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    (void)job;
    tc_say(text, "1 output");
}

const struct tc_engine tc_engine_reference = {
    .name = "reference",
    .accept = accept,
    .run = run,
    .describe = describe,
};
