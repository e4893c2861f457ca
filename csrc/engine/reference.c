/* SPDX-License-Identifier: BSD-3-Clause */
/* reference: the definition, output by output (or weight by weight) over the lattice. It takes any
 * strides, and the other engines are tested against it. */
#include "base/parallel.h"
#include "engine/engine.h"

/* An output of channel `channel`: the taps that reach it, and offsets of it, of the input and of
 * the weight that tap 0 reads, for the group's first input channel. */
struct point {
    struct tc_run run[TC_SPATIAL];
    ptrdiff_t channel, x, w, y;
};

/* A weight: where it is, the small side's positions that meet it, and, for position 0 of those, the
 * elements of both sides. */
struct element {
    struct tc_range joined[TC_SPATIAL];
    ptrdiff_t w, x, y, x_step[TC_SPATIAL], y_step[TC_SPATIAL];
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
    for (ptrdiff_t ow = 0; ow < p->o[TC_W] && !tc_is_stopped(job->watch); ow++) {
        struct point at = row;
        add_axis(job, TC_D, od, &at);
        add_axis(job, TC_H, oh, &at);
        add_axis(job, TC_W, ow, &at);
        if (p->dtype == TC_F32) {
            store_f32(job, &at);
        } else {
            store_f64(job, &at);
        }
        tc_activate(job, tc_at(job->y.data, at.y, job->kernels->bytes), 1, 1, 0);
    }
}

/* Sets what element k of the axis adds to a weight. */
static void add_kernel_axis(const struct tc_job *job, int a, ptrdiff_t k, struct element *at)
{
    const struct tc_axis *const axis = &job->lattice.axis[a];
    at->joined[a] = tc_lattice_joined(axis, k);
    at->x_step[a] = job->x.axis[a];
    at->y_step[a] = axis->out_step * job->y.axis[a];
    at->y += (axis->dilation * k - axis->padding) * job->y.axis[a];
    at->w += k * job->w.axis[a];
}

/* A task is a row of weights: those of a pair of channels, along the width. */
static void run_kernel_row(const void *context, ptrdiff_t task, int thread)
{
    const struct tc_job *const job = context;
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t kh = task % p->k[TC_H], kd = task / p->k[TC_H] % p->k[TC_D];
    const ptrdiff_t pair = task / p->k[TC_H] / p->k[TC_D];
    const ptrdiff_t co = pair % tc_group_co(p), small = pair / tc_group_co(p);
    const ptrdiff_t group = small / tc_group_ci(p), ci = small % tc_group_ci(p);
    const struct element row = {
        .w = group * job->w.g + ci * job->w.ci + co * job->w.co,
        .x = small * job->x.c,
        .y = (group * tc_group_co(p) + co) * job->y.c,
    };
    (void)thread;
    for (ptrdiff_t kw = 0; kw < p->k[TC_W]; kw++) {
        struct element at = row;
        add_kernel_axis(job, TC_D, kd, &at);
        add_kernel_axis(job, TC_H, kh, &at);
        add_kernel_axis(job, TC_W, kw, &at);
        if (p->dtype == TC_F32) {
            store_weight_f32(job, &at);
        } else {
            store_weight_f64(job, &at);
        }
    }
}

static bool computes_weight(const struct tc_job *job)
{
    return job->problem->operation->contraction == TC_WEIGHT_FROM_BOTH;
}

static void run(const struct tc_job *job, void *scratch)
{
    (void)scratch;
    tc_parallel(job->tasks, job->threads, computes_weight(job) ? run_kernel_row : run_row, job,
                job->watch);
}

static const char *accept(struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    job->tasks = computes_weight(job) ? p->ci * tc_group_co(p) * p->k[TC_D] * p->k[TC_H]
                                      : p->n * p->co * p->o[TC_D] * p->o[TC_H];
    job->packed_bytes = 0;
    job->thread_bytes = 0;
    return NULL;
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    tc_say(text, computes_weight(job) ? "1 weight" : "1 output");
}

const struct tc_engine tc_engine_reference = {
    .name = "reference",
    .contractions = TC_DOES_LARGE | TC_DOES_SMALL | TC_DOES_WEIGHT,
    .accept = accept,
    .run = run,
    .describe = describe,
};
