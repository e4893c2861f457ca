/* SPDX-License-Identifier: BSD-3-Clause */
/* A class of taps along an axis is a remainder of k modulo k_step: the kernel elements that meet in
 * one phase. Class c of an axis of length k has k/k_step elements, and one more if c < k%k_step, so
 * that a panel's place is worked out, not stored.
 *
 * Packing goes through a staging area [ci][kernel element][lanes], a few input channels at a time:
 * it is filled by transposing the weights' contiguous axis into lanes, and emptied in runs of rows,
 * which fall together in the panels. */
#include "engine/panels.h"

#include "base/parallel.h"
#include "base/size.h"
#include "engine/pack.h"

#include <string.h>

enum {
    CHUNK_BYTES = 256 << 10, /* of a chunk: a quarter of the smallest L2 around */
    STAGE_CI = 8,
    STAGE_TAPS = 64,
};

static ptrdiff_t kernel_volume(const struct tc_job *job)
{
    return job->problem->k[TC_D] * job->problem->k[TC_H] * job->problem->k[TC_W];
}

static ptrdiff_t padded_lanes(const struct tc_job *job)
{
    return tc_round_up(tc_group_co(job->problem), job->kernels->lanes);
}

static ptrdiff_t weight_elements(const struct tc_job *job)
{
    return job->problem->g * padded_lanes(job) * tc_group_ci(job->problem) * kernel_volume(job);
}

/* ---- the order ---- */

struct tap_class {
    ptrdiff_t taps, before; /* how many it has, and how many the classes before it */
};

static struct tap_class class_of(const struct tc_axis *axis, ptrdiff_t k)
{
    if (axis->k_step < 0) {
        return (struct tap_class){axis->kernel, 0};
    }
    const ptrdiff_t each = axis->kernel / axis->k_step, rest = axis->kernel % axis->k_step;
    return (struct tap_class){each + (k < rest), k * each + tc_min(k, rest)};
}

/* As few equal chunks as the cache allows, whole stages each. */
static ptrdiff_t chunk_length(const struct tc_job *job, ptrdiff_t taps, ptrdiff_t lanes)
{
    const ptrdiff_t ci = tc_group_ci(job->problem);
    const ptrdiff_t fit = CHUNK_BYTES / (taps * lanes * job->kernels->bytes);
    const ptrdiff_t chunks = tc_ceil_div(ci, tc_max(fit, STAGE_CI));
    return tc_round_up(tc_ceil_div(ci, chunks), STAGE_CI);
}

struct tc_panel tc_panel_at(const struct tc_job *job, ptrdiff_t group, struct tc_part part,
                            const ptrdiff_t k[TC_SPATIAL])
{
    const struct tc_axis *const axis = job->lattice.axis;
    const struct tap_class d = class_of(&axis[TC_D], k[TC_D]);
    const struct tap_class h = class_of(&axis[TC_H], k[TC_H]);
    const struct tap_class w = class_of(&axis[TC_W], k[TC_W]);
    const ptrdiff_t kh = axis[TC_H].kernel, kw = axis[TC_W].kernel;
    const ptrdiff_t before = d.before * kh * kw + d.taps * (h.before * kw + h.taps * w.before);
    const ptrdiff_t lanes = part.width * job->kernels->lanes, taps = d.taps * h.taps * w.taps;
    const ptrdiff_t lanes_before = group * padded_lanes(job) + part.first;
    const ptrdiff_t begin =
        tc_group_ci(job->problem) * (kernel_volume(job) * lanes_before + before * lanes);
    return (struct tc_panel){
        .data = tc_at(job->packed, begin, job->kernels->bytes),
        .lanes = lanes,
        .taps = taps,
        .chunk = chunk_length(job, tc_max(taps, 1), lanes),
    };
}

const void *tc_panel_row(const struct tc_job *job, const struct tc_panel *panel, ptrdiff_t tap,
                         ptrdiff_t ci)
{
    const ptrdiff_t first = ci - ci % panel->chunk;
    const ptrdiff_t length = tc_min(panel->chunk, tc_group_ci(job->problem) - first);
    const ptrdiff_t row = first * panel->taps + tap * length + ci - first;
    return tc_at(panel->data, row * panel->lanes, job->kernels->bytes);
}

const void *tc_panel_bias(const struct tc_job *job, ptrdiff_t group, struct tc_part part)
{
    const ptrdiff_t at = weight_elements(job) + group * padded_lanes(job) + part.first;
    return job->problem->bias ? tc_at(job->packed, at, job->kernels->bytes) : NULL;
}

ptrdiff_t tc_panels_bytes(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    ptrdiff_t bytes = job->kernels->bytes;
    const bool fits = tc_mul(bytes, p->g, &bytes) && tc_mul(bytes, padded_lanes(job), &bytes) &&
                      tc_mul(bytes, p->k[TC_D], &bytes) && tc_mul(bytes, p->k[TC_H], &bytes) &&
                      tc_mul(bytes, p->k[TC_W], &bytes) && tc_mul(bytes, tc_group_ci(p), &bytes);
    const ptrdiff_t bias = p->g * padded_lanes(job) * job->kernels->bytes;
    return fits && tc_add(bytes, bias, &bytes) ? bytes : PTRDIFF_MAX;
}

/* ---- packing ---- */

struct packing {
    struct tc_job job; /* with the panels as its packed weights */
    char *scratch;
    ptrdiff_t parts, stages;
    ptrdiff_t row; /* kernel elements that one stride steps through */
};

/* A group, a part of its channels and a few input channels. */
struct stage {
    ptrdiff_t group, ci, count;
    struct tc_part part;
    void *data;
};

/* The axes' indices of kernel element number `f`. */
static void unflatten(const struct tc_job *job, ptrdiff_t f, ptrdiff_t k[TC_SPATIAL])
{
    const ptrdiff_t *const length = job->problem->k;
    k[TC_W] = f % length[TC_W];
    k[TC_H] = f / length[TC_W] % length[TC_H];
    k[TC_D] = f / length[TC_W] / length[TC_H];
}

/* Kernel elements f to f + taps, which one stride steps through, into the staging area. */
static void fill_stage(const struct tc_job *job, const struct stage *stage, ptrdiff_t f,
                       ptrdiff_t taps)
{
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t lanes = stage->part.width * job->kernels->lanes, bytes = job->kernels->bytes;
    ptrdiff_t k[TC_SPATIAL];
    unflatten(job, f, k);
    for (ptrdiff_t c = 0; c < stage->count; c++) {
        const ptrdiff_t from = stage->group * w->g + (stage->ci + c) * w->ci +
                               stage->part.first * w->co + k[TC_D] * w->axis[TC_D] +
                               k[TC_H] * w->axis[TC_H] + k[TC_W] * w->axis[TC_W];
        const struct tc_matrix src = {tc_at(w->data, from, bytes), w->co, w->axis[TC_W]};
        const struct tc_matrix dst = {tc_at(stage->data, c * taps * lanes, bytes), 1, lanes};
        tc_copy(job->kernels, stage->part.lanes, taps, dst, src);
    }
}

/* The staged rows of kernel element f, the t-th of `taps`, to its panel. */
static void empty_stage(const struct tc_job *job, const struct stage *stage, ptrdiff_t f,
                        ptrdiff_t t, ptrdiff_t taps)
{
    ptrdiff_t k[TC_SPATIAL], number = 0;
    unflatten(job, f, k);
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_axis *const axis = &job->lattice.axis[a];
        const bool mirrored = axis->k_step < 0;
        const ptrdiff_t first = mirrored ? axis->kernel - 1 : k[a] % axis->k_step;
        const ptrdiff_t tap = mirrored ? axis->kernel - 1 - k[a] : k[a] / axis->k_step;
        number = number * class_of(axis, first).taps + tap;
        k[a] = first;
    }
    const struct tc_panel panel = tc_panel_at(job, stage->group, stage->part, k);
    const ptrdiff_t lanes = panel.lanes, bytes = job->kernels->bytes;
    void *const row = (void *)tc_panel_row(job, &panel, number, stage->ci);
    const struct tc_matrix dst = {row, lanes, 1};
    const struct tc_matrix src = {tc_at(stage->data, t * lanes, bytes), taps * lanes, 1};
    tc_copy(job->kernels, stage->count, lanes, dst, src);
}

static void pack_bias(const struct tc_job *job, const struct stage *stage)
{
    const ptrdiff_t channel = stage->group * tc_group_co(job->problem) + stage->part.first;
    const ptrdiff_t bytes = job->kernels->bytes;
    void *const bias = (void *)tc_panel_bias(job, stage->group, stage->part);
    const struct tc_matrix src = {tc_at(job->b.data, channel * job->b.c, bytes), 0, job->b.c};
    memset(bias, 0, (size_t)(stage->part.width * job->kernels->lanes * bytes));
    tc_copy(job->kernels, 1, stage->part.lanes, (struct tc_matrix){bias, 0, 1}, src);
}

static void pack_stage(const void *context, ptrdiff_t task, int thread)
{
    const struct packing *const packing = context;
    const struct tc_job *const job = &packing->job;
    const ptrdiff_t number = task / packing->stages, volume = kernel_volume(job);
    struct stage stage = {
        .group = number / packing->parts,
        .ci = task % packing->stages * STAGE_CI,
        .part = tc_part_at(job->kernels, tc_group_co(job->problem), number % packing->parts),
        .data = packing->scratch + thread * job->thread_bytes,
    };
    stage.count = tc_min(STAGE_CI, tc_group_ci(job->problem) - stage.ci);
    if (stage.part.lanes < stage.part.width * job->kernels->lanes) {
        memset(stage.data, 0, (size_t)tc_panels_thread_bytes(job)); /* the padding lanes */
    }
    if (stage.ci == 0 && job->problem->bias) {
        pack_bias(job, &stage);
    }
    for (ptrdiff_t f = 0, taps; f < volume; f += taps) {
        taps = tc_min(STAGE_TAPS, packing->row - f % packing->row);
        fill_stage(job, &stage, f, taps);
        for (ptrdiff_t t = 0; t < taps; t++) {
            empty_stage(job, &stage, f + t, t, taps);
        }
    }
}

ptrdiff_t tc_panels_thread_bytes(const struct tc_job *job)
{
    const ptrdiff_t taps = tc_min(STAGE_TAPS, kernel_volume(job));
    return STAGE_CI * taps * job->kernels->widths * job->kernels->lanes * job->kernels->bytes;
}

void tc_panels_pack(const struct tc_job *job, void *packed, void *scratch)
{
    const ptrdiff_t *const k = job->problem->k, *const step = job->w.axis;
    const bool flat = (k[TC_H] == 1 || step[TC_H] == k[TC_W] * step[TC_W]) &&
                      (k[TC_D] == 1 || step[TC_D] == k[TC_H] * k[TC_W] * step[TC_W]);
    struct packing packing = {
        .job = *job,
        .scratch = scratch,
        .parts = tc_part_count(job->kernels, tc_group_co(job->problem)),
        .stages = tc_ceil_div(tc_group_ci(job->problem), STAGE_CI),
        .row = flat ? kernel_volume(job) : k[TC_W],
    };
    packing.job.packed = packed;
    const ptrdiff_t tasks = job->problem->g * packing.parts * packing.stages;
    tc_parallel(tasks, job->threads, pack_stage, &packing);
}
