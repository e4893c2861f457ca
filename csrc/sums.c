/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums over everything but the channels.
 *
 * A box of elements is halved, across its longest stride first, until what is left is a leaf, which
 * a kernel adds up in registers; the halves' sums are added. So an element meets as many others as
 * a leaf's accumulator, some tens, and then one for each halving: the error grows with the
 * logarithm of the number of elements, as that of NumPy's pairwise sum does.
 *
 * Where the last axis is contiguous, a leaf is the sum of one channel; where the channels are,
 * they are lanes and a leaf has the sums of many; elsewhere a leaf is copied first.
 *
 * Threads get channels, and where those are few the first halves of the halving, whose sums are
 * then added as they would have been without threads: what is a task follows from the geometry. */
#include "sums.h"

#include "base/parallel.h"
#include "base/size.h"
#include "engine/pack.h"

#include <string.h>

enum {
    LEAF_ROWS = 32,        /* of a leaf, at most, or as many turns of the accumulators */
    GROUP_VECTORS = 32,    /* channels of a task, at most, in vectors */
    TASK_VOLUME = 1 << 15, /* elements that are worth a task */
    TASKS = 16,            /* so many at least, if halving can help it */
    MOST_HALVINGS = 64 + TC_SUMMED,
};

/* ---- checking ---- */

static enum tc_code refuse(struct tc_status *status, struct tc_shape shape)
{
    tc_say(status, " for shape (");
    for (int axis = 0; axis < shape.ndim; axis++) {
        tc_say(status, axis ? ", %td" : "%td", shape.dims[axis]);
    }
    tc_say(status, shape.ndim == 1 ? ",)" : ")");
    return status->code;
}

/* Each of the letters that name axes at most once, as many as there are axes, C among them. */
static bool names_axes(const char *layout, int ndim)
{
    for (const char *name = layout; *name; name++) {
        if (!strchr("NCDHWL", *name) || strchr(name + 1, *name)) {
            return false;
        }
    }
    return strlen(layout) == (size_t)ndim && strchr(layout, 'C');
}

enum tc_code tc_sums_check(struct tc_sums *sums, struct tc_shape shape, const char *layout,
                           struct tc_status *status)
{
    static const char *const layouts[] = {[2] = "CL", "NCL", "NCHW", "NCDHW"};
    const bool known = shape.ndim >= 2 && shape.ndim <= TC_MAX_VALUES;
    if (!known) {
        tc_fail(status, TC_VALUE, "grad_output must have 2 to %d dimensions, got %d", TC_MAX_VALUES,
                shape.ndim);
        return refuse(status, shape);
    }
    const char *const names = layout ? layout : layouts[shape.ndim];
    if (!names_axes(names, shape.ndim)) {
        tc_fail(status, TC_VALUE,
                "layout must name the axes of grad_output, one of them C, got '%s'", layout);
        return refuse(status, shape);
    }
    sums->volume = 1;
    for (int axis = 0; axis < shape.ndim; axis++) {
        if (shape.dims[axis] == 0 && names[axis] != 'N') {
            tc_fail(status, TC_VALUE, "axis %d of grad_output (%c) must not be empty", axis,
                    names[axis]);
            return refuse(status, shape);
        }
        if (names[axis] == 'C') {
            sums->channel_axis = axis;
            sums->channels = shape.dims[axis];
        } else if (!tc_mul(sums->volume, shape.dims[axis], &sums->volume)) {
            tc_fail(status, TC_VALUE, "grad_output has too many elements");
            return refuse(status, shape);
        }
    }
    return TC_OK;
}

/* Puts an axis where its stride belongs among the `count` last ones. */
static void insert_axis(struct tc_sums *sums, int count, ptrdiff_t length, ptrdiff_t step)
{
    int at = TC_SUMMED - 1 - count;
    for (; at + 1 < TC_SUMMED && sums->step[at + 1] > step; at++) {
        sums->length[at] = sums->length[at + 1];
        sums->step[at] = sums->step[at + 1];
    }
    sums->length[at] = length;
    sums->step[at] = step;
}

/* Makes one axis of those that lie in one piece. */
static void merge_axes(struct tc_sums *sums)
{
    int last = TC_SUMMED - 1;
    for (int axis = last - 1; axis >= 0; axis--) {
        const ptrdiff_t length = sums->length[axis], step = sums->step[axis];
        sums->length[axis] = 1;
        if (length != 1 && step == sums->length[last] * sums->step[last]) {
            sums->length[last] *= length;
        } else if (length != 1) {
            last--;
            sums->length[last] = length;
            sums->step[last] = step;
        }
    }
}

void tc_sums_set(struct tc_sums *sums, struct tc_shape shape, const void *data,
                 const ptrdiff_t strides[], ptrdiff_t bytes)
{
    int count = 0;
    sums->data = data;
    for (int i = 0; i < TC_SUMMED; i++) {
        sums->length[i] = 1;
        sums->step[i] = 0;
    }
    for (int axis = 0; axis < shape.ndim; axis++) {
        const ptrdiff_t length = shape.dims[axis], step = strides[axis];
        if (axis == sums->channel_axis) {
            sums->channel_step = step;
        } else if (length != 1) {
            const ptrdiff_t back = step < 0 && length > 0 ? step * (length - 1) : 0;
            sums->data = tc_at(sums->data, back, bytes);
            insert_axis(sums, count++, length, step < 0 ? -step : step);
        }
    }
    if (sums->volume > 0) {
        merge_axes(sums);
    }
}

/* ---- boxes ---- */

struct box {
    const void *data;
    ptrdiff_t length[TC_SUMMED];
};

struct run {
    const struct tc_sums *sums;
    const struct tc_kernels *kernels;
    bool by_lanes;   /* channels are lanes */
    ptrdiff_t group; /* channels of a task */
    int halvings;    /* that make tasks */
    ptrdiff_t thread_bytes;
    struct tc_watch *watch;
    char *partial; /* [part][channel] */
    char *scratch;
};

static bool is_leaf(const struct run *run, const struct box *box)
{
    const ptrdiff_t rows = box->length[TC_SUMMED - 2], columns = box->length[TC_SUMMED - 1];
    const ptrdiff_t turn = (ptrdiff_t)TC_SUMS * run->kernels->lanes;
    for (int axis = 0; axis < TC_SUMMED - 2; axis++) {
        if (box->length[axis] > 1) {
            return false;
        }
    }
    if (run->by_lanes) {
        return rows == 1 && columns <= LEAF_ROWS;
    }
    /* long rows alone: the next channel's may be what follows in memory */
    return rows == 1 ? columns <= LEAF_ROWS * turn : rows <= LEAF_ROWS && columns <= turn;
}

/* The two halves of a box that is no leaf. Contiguous elements are cut at whole turns of the
 * kernel's accumulators. */
static void halve(const struct run *run, const struct box *box, struct box half[2])
{
    const ptrdiff_t whole = run->by_lanes ? 1 : (ptrdiff_t)TC_SUMS * run->kernels->lanes;
    int axis = 0;
    while (axis < TC_SUMMED - 1 && box->length[axis] == 1) {
        axis++;
    }
    const ptrdiff_t length = box->length[axis];
    ptrdiff_t first = tc_ceil_div(length, 2);
    if (axis == TC_SUMMED - 1) {
        first = tc_min(tc_round_up(first, whole), length);
    }
    half[0] = half[1] = *box;
    half[0].length[axis] = first;
    half[1].length[axis] = length - first;
    half[1].data = tc_at(box->data, first * run->sums->step[axis], run->kernels->bytes);
}

static void sum_channel(const struct run *run, const struct box *box, char *sum, char *copy)
{
    const ptrdiff_t *const step = run->sums->step;
    struct tc_rows rows = {
        .rows = box->length[TC_SUMMED - 2],
        .columns = box->length[TC_SUMMED - 1],
        .src = box->data,
        .src_row = step[TC_SUMMED - 2],
        .dst = sum,
    };
    if (step[TC_SUMMED - 1] != 1) {
        const struct tc_matrix from = {(void *)box->data, rows.src_row, step[TC_SUMMED - 1]};
        const struct tc_matrix to = {copy, rows.columns, 1};
        tc_copy(run->kernels, rows.rows, rows.columns, to, from);
        rows.src = copy;
        rows.src_row = rows.columns;
    }
    run->kernels->sum_all(&rows);
}

static void sum_leaf(const struct run *run, const struct box *box, ptrdiff_t channels, char *sums,
                     char *copy)
{
    const ptrdiff_t bytes = run->kernels->bytes;
    struct box channel = *box;
    if (run->by_lanes) {
        const struct tc_rows rows = {
            .rows = box->length[TC_SUMMED - 1],
            .columns = channels,
            .src = box->data,
            .src_row = run->sums->step[TC_SUMMED - 1],
            .dst = sums,
        };
        run->kernels->sum_rows(&rows);
        return;
    }
    for (ptrdiff_t c = 0; c < channels; c++) {
        channel.data = tc_at(box->data, c * run->sums->channel_step, bytes);
        sum_channel(run, &channel, sums + c * bytes, copy);
    }
}

/* The channels' sums over a box, at `sums`; behind them is room for its parts'. */
static void sum_box(const struct run *run, const struct box *box, ptrdiff_t channels, char *sums,
                    char *copy)
{
    if (tc_is_stopped(run->watch)) {
        return;
    }
    if (is_leaf(run, box)) {
        sum_leaf(run, box, channels, sums, copy);
        return;
    }
    char *const other = sums + run->group * run->kernels->bytes;
    struct box half[2];
    halve(run, box, half);
    sum_box(run, &half[0], channels, sums, copy);
    sum_box(run, &half[1], channels, other, copy);
    run->kernels->add(&(struct tc_rows){.rows = 1, .columns = channels, .src = other, .dst = sums});
}

/* ---- tasks ---- */

/* Room for a leaf of one channel. */
static ptrdiff_t copy_elements(const struct run *run)
{
    return (ptrdiff_t)LEAF_ROWS * TC_SUMS * run->kernels->lanes;
}

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_sums *const sums = run->sums;
    const ptrdiff_t bytes = run->kernels->bytes, part = task & ((1 << run->halvings) - 1);
    const ptrdiff_t first = (task >> run->halvings) * run->group;
    const ptrdiff_t channels = tc_min(run->group, sums->channels - first);
    char *const copy = run->scratch + thread * run->thread_bytes;
    char *const levels = copy + copy_elements(run) * bytes;
    struct box box = {.data = tc_at(sums->data, first * sums->channel_step, bytes)};
    memcpy(box.length, sums->length, sizeof box.length);
    for (int bit = run->halvings - 1; bit >= 0; bit--) {
        struct box half[2];
        halve(run, &box, half);
        box = half[part >> bit & 1];
    }
    sum_box(run, &box, channels, levels, copy);
    memcpy(run->partial + (part * sums->channels + first) * bytes, levels,
           (size_t)(channels * bytes));
}

static struct run book(const struct tc_sums *sums, const struct tc_kernels *kernels)
{
    struct run run = {.sums = sums, .kernels = kernels};
    const ptrdiff_t columns = tc_max(sums->length[TC_SUMMED - 1], 1);
    run.by_lanes = sums->step[TC_SUMMED - 1] != 1 && sums->channel_step == 1;
    const ptrdiff_t most = tc_min(GROUP_VECTORS * kernels->lanes, sums->channels);
    run.group = run.by_lanes ? most : tc_clamp(TASK_VOLUME / columns, 1, most);
    const ptrdiff_t groups = tc_ceil_div(sums->channels, run.group);
    while (groups << run.halvings < TASKS &&
           sums->volume >> run.halvings >= 2 * TASK_VOLUME / run.group) {
        run.halvings++;
    }
    const ptrdiff_t elements = copy_elements(&run) + MOST_HALVINGS * run.group;
    run.thread_bytes = elements * kernels->bytes;
    return run;
}

static ptrdiff_t partial_bytes(const struct run *run)
{
    return (run->sums->channels << run->halvings) * run->kernels->bytes;
}

ptrdiff_t tc_sums_scratch(const struct tc_sums *sums, const struct tc_kernels *kernels, int threads)
{
    const struct run run = book(sums, kernels);
    return partial_bytes(&run) + threads * run.thread_bytes;
}

void tc_sums_run(const struct tc_sums *sums, const struct tc_kernels *kernels, int threads, void *y,
                 ptrdiff_t step, void *scratch, struct tc_watch *watch)
{
    struct run run = book(sums, kernels);
    const ptrdiff_t channels = sums->channels, groups = tc_ceil_div(channels, run.group);
    run.watch = watch;
    run.partial = scratch;
    run.scratch = run.partial + partial_bytes(&run);
    if (sums->volume > 0) {
        tc_parallel(groups << run.halvings, threads, run_task, &run, watch);
    } else {
        memset(run.partial, 0, (size_t)(channels * kernels->bytes));
    }
    const ptrdiff_t parts = (ptrdiff_t)1 << run.halvings, row = channels * kernels->bytes;
    for (ptrdiff_t apart = 1; apart < parts; apart *= 2) {
        for (ptrdiff_t part = 0; part < parts; part += 2 * apart) {
            char *const sum = run.partial + part * row;
            kernels->add(&(struct tc_rows){
                .rows = 1, .columns = channels, .src = sum + apart * row, .dst = sum});
        }
    }
    const struct tc_matrix from = {run.partial, channels, 1}, to = {y, 0, step};
    tc_copy(kernels, 1, channels, to, from);
}
