/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel elements of an axis fall into classes, the remainders of k modulo k_step: those of a
 * class meet in one phase. Class c has k/k_step elements, and one more if c < k%k_step, so that an
 * element's place is worked out, not stored.
 *
 * Packing goes by input channels, so that weights as a transposed convolution has them are read in
 * the order of memory. Where the kernel axes are contiguous, the matrix (channel, kernel element)
 * is transposed, and each kernel element's lanes go to their own place. */
#include "engine/panels.h"

#include "base/parallel.h"
#include "base/size.h"
#include "engine/pack.h"

#include <string.h>

enum {
    PHASE_BYTES = 256 << 10,  /* the taps of one phase in a panel: a quarter of the smallest L2 */
    PANEL_BYTES = 1024 << 10, /* all taps */
    INPUT_BYTES = 1024 << 10, /* a chunk of a block twice as long as its taps reach */
    STEP_CI = 16,             /* input channels packed in one task */
    STEP_TAPS = 256,          /* kernel elements of a run */
};

static ptrdiff_t padded_lanes(const struct tc_job *job)
{
    return tc_round_up(tc_group_co(job->problem), job->kernels->lanes);
}

/* ---- the order ---- */

struct place {
    ptrdiff_t taps, before; /* of the element's class, and of all classes before it */
    ptrdiff_t within;       /* elements of the class before it */
};

static struct place place_of(const struct tc_axis *axis, ptrdiff_t k)
{
    if (axis->k_step < 0) {
        return (struct place){axis->kernel, 0, axis->kernel - 1 - k};
    }
    const ptrdiff_t each = axis->kernel / axis->k_step, rest = axis->kernel % axis->k_step;
    const ptrdiff_t c = k % axis->k_step;
    return (struct place){each + (c < rest), c * each + tc_min(c, rest), k / axis->k_step};
}

ptrdiff_t tc_panel_tap(const struct tc_job *job, const ptrdiff_t k[TC_SPATIAL])
{
    const struct tc_axis *const axis = job->lattice.axis;
    const struct place d = place_of(&axis[TC_D], k[TC_D]);
    const struct place h = place_of(&axis[TC_H], k[TC_H]);
    const struct place w = place_of(&axis[TC_W], k[TC_W]);
    const ptrdiff_t kh = axis[TC_H].kernel, kw = axis[TC_W].kernel;
    const ptrdiff_t before = d.before * kh * kw + d.taps * (h.before * kw + h.taps * w.before);
    return before + (d.within * h.taps + h.within) * w.taps + w.within;
}

static ptrdiff_t widest_lanes(const struct tc_job *job)
{
    const ptrdiff_t lanes = job->kernels->lanes, vectors = padded_lanes(job) / lanes;
    return tc_ceil_div(vectors, tc_part_count(job->kernels, tc_group_co(job->problem))) * lanes;
}

/* Inputs of a block that is twice as long along each axis as the taps reach. */
static double reached_inputs(const struct tc_job *job)
{
    double inputs = 1;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_axis *const axis = &job->lattice.axis[a];
        const double reach = (double)axis->dilation * (double)(axis->kernel - 1);
        inputs *= 1 + 3 * reach / (double)axis->out_step;
    }
    return inputs;
}

/* As few equal chunks as the caches allow. */
ptrdiff_t tc_panel_chunk(const struct tc_job *job)
{
    const ptrdiff_t ci = tc_group_ci(job->problem);
    const ptrdiff_t row = widest_lanes(job) * job->kernels->bytes;
    ptrdiff_t phase_taps = 1;
    for (int a = 0; a < TC_SPATIAL; a++) {
        phase_taps *= place_of(&job->lattice.axis[a], 0).taps;
    }
    const ptrdiff_t by_phase = PHASE_BYTES / row / phase_taps;
    const ptrdiff_t by_panel = PANEL_BYTES / row / tc_kernel_volume(job->problem);
    const double by_reach = INPUT_BYTES / (double)job->kernels->bytes / reached_inputs(job);
    const ptrdiff_t by_inputs = (ptrdiff_t)(by_reach < STEP_CI      ? STEP_CI
                                            : by_reach < (double)ci ? by_reach
                                                                    : (double)ci);
    const ptrdiff_t fit = tc_max(tc_min(tc_min(by_phase, by_panel), by_inputs), 1);
    const ptrdiff_t chunk = tc_ceil_div(ci, tc_ceil_div(ci, fit));
    return fit < STEP_CI ? chunk : tc_round_up(chunk, STEP_CI);
}

/* Between two taps lies a line that nobody uses: whole taps are often a power of two long, and the
 * lanes of a channel, which are packed for all taps at once, would meet in one set of the cache.
 * Taps of few channels follow each other instead. */
static ptrdiff_t spare_elements(const struct tc_job *job)
{
    return tc_panel_chunk(job) < STEP_CI ? 0 : TC_ALIGN / job->kernels->bytes;
}

struct tc_panel tc_panel_at(const struct tc_job *job, const void *packed, ptrdiff_t group,
                            struct tc_part part, ptrdiff_t ci)
{
    const ptrdiff_t all = tc_group_ci(job->problem), chunk = tc_panel_chunk(job);
    const ptrdiff_t chunks = tc_ceil_div(all, chunk), lanes = part.width * job->kernels->lanes;
    const ptrdiff_t parts = tc_part_count(job->kernels, tc_group_co(job->problem));
    const ptrdiff_t panels = (group * parts + part.number) * chunks + ci / chunk;
    const ptrdiff_t before =
        (group * padded_lanes(job) + part.first) * all + ci * lanes + panels * spare_elements(job);
    const ptrdiff_t end = tc_min(ci + chunk, all);
    return (struct tc_panel){
        .data = packed ? tc_at(packed, before * tc_kernel_volume(job->problem), job->kernels->bytes)
                       : NULL,
        .group = group,
        .part = part,
        .lanes = lanes,
        .plane = (end - ci) * lanes + spare_elements(job),
        .ci = {ci, end},
    };
}

ptrdiff_t tc_panel_bytes(const struct tc_job *job)
{
    ptrdiff_t bytes = tc_panel_chunk(job) * widest_lanes(job) + spare_elements(job);
    bytes *= job->kernels->bytes;
    return tc_mul(bytes, tc_kernel_volume(job->problem), &bytes) ? bytes : PTRDIFF_MAX;
}

ptrdiff_t tc_panels_bytes(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), parts = tc_part_count(job->kernels, tc_group_co(p));
    const ptrdiff_t spare = parts * tc_ceil_div(ci, tc_panel_chunk(job)) * spare_elements(job);
    ptrdiff_t bytes = padded_lanes(job) * job->kernels->bytes;
    const bool fits = tc_mul(bytes, ci, &bytes) &&
                      tc_add(bytes, spare * job->kernels->bytes, &bytes) &&
                      tc_mul(bytes, p->g, &bytes) && tc_mul(bytes, p->k[TC_D], &bytes) &&
                      tc_mul(bytes, p->k[TC_H], &bytes) && tc_mul(bytes, p->k[TC_W], &bytes);
    return fits ? bytes : PTRDIFF_MAX;
}

/* ---- packing ---- */

/* Kernel elements of a line of the weights: one for each tap and place. */
static ptrdiff_t line_elements(const struct tc_job *job)
{
    return job->problem->k[TC_W] * job->cell.places;
}

/* The axes' indices of kernel element number f, in the order of the weights. */
static void unflatten(const struct tc_job *job, ptrdiff_t f, ptrdiff_t k[TC_SPATIAL])
{
    const ptrdiff_t line = line_elements(job), height = job->problem->k[TC_H];
    k[TC_W] = f % line;
    k[TC_H] = f / line % height;
    k[TC_D] = f / line / height;
}

/* Output channels of a panel's part. */
static ptrdiff_t channels_of(const struct tc_job *job, const struct tc_panel *panel)
{
    return panel->part.lanes / job->cell.places;
}

/* The weights of a panel's first channels, at input channel ci and kernel element f. */
static void *weights_at(const struct tc_job *job, const struct tc_panel *panel, ptrdiff_t ci,
                        ptrdiff_t f)
{
    const struct tc_weight *const w = &job->w;
    ptrdiff_t k[TC_SPATIAL];
    unflatten(job, f, k);
    const ptrdiff_t at = panel->group * w->g + ci * w->ci + panel->part.first * w->co +
                         k[TC_D] * w->axis[TC_D] + k[TC_H] * w->axis[TC_H] +
                         k[TC_W] * w->axis[TC_W];
    return tc_at(w->data, at, job->kernels->bytes);
}

/* Where the rows of kernel element f begin in a panel, at input channel ci. */
static ptrdiff_t row_offset(const struct tc_job *job, const struct tc_panel *panel, ptrdiff_t ci,
                            ptrdiff_t f)
{
    ptrdiff_t k[TC_SPATIAL];
    unflatten(job, f, k);
    const ptrdiff_t place = k[TC_W] % job->cell.places;
    k[TC_W] /= job->cell.places;
    return tc_panel_tap(job, k) * panel->plane + (ci - panel->ci.begin) * panel->lanes +
           place * channels_of(job, panel);
}

/* The weights come in pieces too short for the processor to see where it goes on. Inlined by force:
 * gcc takes a function of hints alone for one without effect and leaves its calls out. */
static inline __attribute__((always_inline)) void prefetch_channel(const struct tc_job *job,
                                                                   const struct tc_panel *panel,
                                                                   ptrdiff_t ci, ptrdiff_t f,
                                                                   ptrdiff_t taps)
{
    const ptrdiff_t bytes = job->kernels->bytes, row = job->w.co * bytes;
    const char *const from = weights_at(job, panel, ci, f);
    for (ptrdiff_t r = 0; r < channels_of(job, panel); r++) {
        for (ptrdiff_t at = 0; at < taps * bytes; at += TC_ALIGN) {
            __builtin_prefetch(from + r * row + at);
        }
    }
}

/* Kernel elements f to f + taps, which follow each other in the weights: as many channels at once
 * as fit, if they go on from one to the next, as those of a convolution do. */
static void pack_contiguous(const struct tc_job *job, const struct tc_panel *panel,
                            struct tc_range ci, ptrdiff_t f, ptrdiff_t taps)
{
    const ptrdiff_t bytes = job->kernels->bytes;
    const ptrdiff_t fit = job->w.ci == taps ? STEP_TAPS / taps : 1;
    const ptrdiff_t channels = tc_min(fit, tc_range_length(ci));
    const bool hints = channels == 1 && 4 * taps * bytes > TC_ALIGN; /* few rows share a line */
    ptrdiff_t rows[STEP_TAPS];
    for (ptrdiff_t t = 0; t < taps; t++) {
        const ptrdiff_t row = row_offset(job, panel, ci.begin, f + t);
        for (ptrdiff_t c = 0; c < channels; c++) {
            rows[c * taps + t] = row + c * panel->lanes;
        }
    }
    for (ptrdiff_t c = ci.begin; c < ci.end; c += channels) {
        if (hints && c + 1 < ci.end) {
            prefetch_channel(job, panel, c + 1, f, taps);
        }
        const struct tc_transpose transpose = {
            .rows = channels_of(job, panel),
            .columns = tc_min(channels, ci.end - c) * taps,
            .src = weights_at(job, panel, c, f),
            .src_row = job->w.co,
            .dst = tc_at(panel->data, (c - ci.begin) * panel->lanes, bytes),
            .dst_rows = rows,
        };
        job->kernels->transpose(&transpose);
    }
}

/* Kernel element f, from any strides. */
static void pack_element(const struct tc_job *job, const struct tc_panel *panel, struct tc_range ci,
                         ptrdiff_t f)
{
    void *const rows = tc_at(panel->data, row_offset(job, panel, ci.begin, f), job->kernels->bytes);
    const struct tc_matrix src = {weights_at(job, panel, ci.begin, f), job->w.co, job->w.ci};
    const struct tc_matrix dst = {rows, 1, panel->lanes};
    tc_copy(job->kernels, channels_of(job, panel), tc_range_length(ci), dst, src);
}

/* Clears the rows of the tap number f. */
static void clear_rows(const struct tc_job *job, const struct tc_panel *panel, struct tc_range ci,
                       ptrdiff_t f)
{
    const ptrdiff_t bytes = job->kernels->bytes;
    const ptrdiff_t at = f * panel->plane + (ci.begin - panel->ci.begin) * panel->lanes;
    memset(tc_at(panel->data, at, bytes), 0, (size_t)(tc_range_length(ci) * panel->lanes * bytes));
}

/* How many kernel elements follow each other in the weights: all, or those of a line if elements
 * that meet only padding were left out. */
static ptrdiff_t contiguous_elements(const struct tc_job *job)
{
    const ptrdiff_t *const k = job->problem->k, *const step = job->w.axis;
    const ptrdiff_t elements = line_elements(job);
    const bool line = elements == 1 || step[TC_W] == 1;
    const bool all = line && (k[TC_H] == 1 || step[TC_H] == elements) &&
                     (k[TC_D] == 1 || step[TC_D] == k[TC_H] * elements);
    return all ? elements * k[TC_H] * k[TC_D] : line ? elements : 1;
}

void tc_panel_pack(const struct tc_job *job, const struct tc_panel *panel, struct tc_range ci)
{
    const ptrdiff_t taps_of_all = tc_kernel_volume(job->problem);
    const ptrdiff_t volume = taps_of_all * job->cell.places, follow = contiguous_elements(job);
    for (ptrdiff_t f = 0; f < taps_of_all && panel->part.lanes < panel->lanes; f++) {
        clear_rows(job, panel, ci, f);
    }
    for (ptrdiff_t f = 0, taps; f < volume; f += taps) {
        taps = tc_min(follow - f % follow, STEP_TAPS);
        if (taps == 1) {
            pack_element(job, panel, ci, f);
        } else {
            pack_contiguous(job, panel, ci, f, taps);
        }
    }
}

struct packing {
    const struct tc_job *job;
    void *packed;
    ptrdiff_t steps; /* tasks a group */
};

/* Some input channels of a group, for all its output channels: a contiguous piece of the weights
 * of a transposed convolution. */
static void pack_step(const void *context, ptrdiff_t task, int thread)
{
    const struct packing *const packing = context;
    const struct tc_job *const job = packing->job;
    const ptrdiff_t co = tc_group_co(job->problem), ci = tc_group_ci(job->problem);
    const ptrdiff_t group = task / packing->steps, first = task % packing->steps * STEP_CI;
    const ptrdiff_t last = tc_min(first + STEP_CI, ci);
    (void)thread;
    for (ptrdiff_t part = 0; part < tc_part_count(job->kernels, co); part++) {
        const struct tc_part lanes = tc_part_at(job->kernels, co, part);
        struct tc_range rows;
        for (rows.begin = first; rows.begin < last; rows.begin = rows.end) {
            const ptrdiff_t begin = rows.begin - rows.begin % tc_panel_chunk(job);
            const struct tc_panel panel = tc_panel_at(job, packing->packed, group, lanes, begin);
            rows.end = tc_min(last, panel.ci.end);
            tc_panel_pack(job, &panel, rows);
        }
    }
}

void tc_panels_pack(const struct tc_job *job, void *packed)
{
    const struct packing packing = {
        .job = job,
        .packed = packed,
        .steps = tc_ceil_div(tc_group_ci(job->problem), STEP_CI),
    };
    tc_parallel(job->problem->g * packing.steps, job->threads, pack_step, &packing, job->watch);
}
