/* SPDX-License-Identifier: BSD-3-Clause */
/* phases: lanes are the phases along the width.
 *
 * Where the stride is long, the outputs s*j + r of one j lie side by side, and so do the weights
 * that lead to them. Seen so, the phases of one output channel are the channels of another
 * problem, whose width is that of the inputs: with stride 1 along the width,
 *
 *     y'[r][j] = bias + sum over t of  x[j + offset - t] * w'[r][t],   w'[r][t] = w[k(r) + s*t].
 *
 * Its strides are those of the same arrays, so gather solves it in place; its outputs' channels are
 * contiguous, and nothing is left to interleave. Phases differ in their offset where the padding is
 * no multiple of the stride, and in their number of outputs or taps where those do not divide: they
 * are taken in runs that agree. A run of one output channel is a job of gather. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"

enum {
    LEAST_STRIDE = 64, /* unless asked for */
    PIECES_PER_THREAD = 4,
};

/* Phases begin <= r < end along the width, which agree in everything but r. */
struct run_of_phases {
    ptrdiff_t begin, end;
    struct tc_phase phase; /* of the first */
};

static bool agree(const struct tc_phase *a, const struct tc_phase *b)
{
    return a->count == b->count && a->taps == b->taps && a->offset == b->offset;
}

/* The run that begins at phase `begin`. Its end is among few places: where k(r) wraps around, where
 * taps or outputs get fewer by one, or behind the last phase. */
static struct run_of_phases run_from(const struct tc_axis *axis, ptrdiff_t begin)
{
    const ptrdiff_t s = axis->out_step, wrap = tc_floor_mod(-axis->padding, s);
    const ptrdiff_t places[] = {axis->phases, wrap, (wrap + axis->kernel) % s, axis->out % s};
    struct run_of_phases run = {begin, axis->phases, tc_phase_at(axis, begin)};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] > begin && places[i] < run.end) {
            const struct tc_phase next = tc_phase_at(axis, places[i]);
            run.end = agree(&run.phase, &next) && next.k == run.phase.k + places[i] - begin
                          ? run.end
                          : places[i];
        }
    }
    return run;
}

/* A run of one output channel: a job of gather. */
struct piece {
    ptrdiff_t channel; /* of all groups */
    struct run_of_phases run;
};

static ptrdiff_t count_runs(const struct tc_job *job)
{
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    ptrdiff_t count = 0;
    for (ptrdiff_t begin = 0; begin < axis->phases; begin = run_from(axis, begin).end) {
        count++;
    }
    return count;
}

static struct piece piece_at(const struct tc_job *job, ptrdiff_t number)
{
    const struct tc_axis *const axis = &job->lattice.axis[TC_W];
    const ptrdiff_t runs = count_runs(job);
    struct piece piece = {number / runs, run_from(axis, 0)};
    for (ptrdiff_t i = number % runs; i > 0; i--) {
        piece.run = run_from(axis, piece.run.end);
    }
    return piece;
}

/* Threads take a piece each where there are many or as many, else all together one after the
 * other. */
static int threads_of_piece(const struct tc_job *job)
{
    const ptrdiff_t pieces = job->problem->co * count_runs(job);
    const bool even = pieces % job->threads == 0 || pieces / job->threads >= PIECES_PER_THREAD;
    return even ? 1 : job->threads;
}

/* The problem that a piece is: its phases are the output channels. */
static struct tc_problem problem_of(const struct tc_job *job, const struct piece *piece)
{
    struct tc_problem problem = *job->problem;
    const struct tc_phase *const phase = &piece->run.phase;
    problem.g = 1;
    problem.ci = tc_group_ci(job->problem);
    problem.co = piece->run.end - piece->run.begin;
    problem.k[TC_W] = phase->taps;
    problem.s[TC_W] = problem.d[TC_W] = 1;
    problem.p[TC_W] = phase->offset;
    problem.o[TC_W] = phase->count;
    return problem;
}

/* The piece as a job of gather, booked. */
static struct tc_job job_of(const struct tc_job *job, const struct piece *piece,
                            const struct tc_problem *problem)
{
    const ptrdiff_t bytes = job->kernels->bytes, co = tc_group_co(job->problem);
    const ptrdiff_t s = job->problem->s[TC_W], group = piece->channel / co;
    struct tc_job part = *job;
    part.problem = problem;
    part.threads = threads_of_piece(job);
    part.forced = true;
    part.ahead = false; /* runs depend on the outputs, which are not known ahead */
    tc_lattice_init(&part.lattice, problem);
    part.x.data = tc_at_any(job->x.data, group * problem->ci * job->x.c, bytes);
    part.w.data = tc_at_any(job->w.data,
                            group * job->w.g + piece->channel % co * job->w.co +
                                piece->run.phase.k * job->w.axis[TC_W],
                            bytes);
    part.w.co = job->w.axis[TC_W];
    part.w.axis[TC_W] = s * job->w.axis[TC_W];
    part.b.data = tc_at_any(job->b.data, piece->channel * job->b.c, bytes);
    part.b.c = 0;
    part.y.data = tc_at_any(
        job->y.data, piece->channel * job->y.c + piece->run.begin * job->y.axis[TC_W], bytes);
    part.y.c = job->y.axis[TC_W];
    part.y.axis[TC_W] = s * job->y.axis[TC_W];
    tc_engine_gather.accept(&part);
    return part;
}

/* ---- the engine ---- */

static const char *refuse(const struct tc_job *job)
{
    const struct tc_problem *const problem = job->problem;
    if (problem->d[TC_W] != 1 || problem->k[TC_W] < problem->s[TC_W]) {
        return "the weights of neighbouring phases are no neighbours, or there are none";
    }
    if (!job->forced && problem->s[TC_W] < LEAST_STRIDE) {
        return "the stride along the width is short";
    }
    if (!job->forced && tc_group_co(problem) >= job->kernels->lanes) {
        return "the output channels fill vectors";
    }
    return NULL;
}

/* Each piece packs its weights for itself. */
static const char *accept(struct tc_job *job)
{
    const char *const refusal = refuse(job);
    if (refusal) {
        return refusal;
    }
    const int at_once = job->threads / threads_of_piece(job);
    const ptrdiff_t runs = count_runs(job);
    ptrdiff_t packed = 0;
    job->tasks = 0;
    job->thread_bytes = 0;
    for (ptrdiff_t i = 0; i < runs; i++) {
        const struct piece piece = piece_at(job, i);
        const struct tc_problem problem = problem_of(job, &piece);
        const struct tc_job part = job_of(job, &piece, &problem);
        job->tasks += part.tasks * job->problem->co;
        job->thread_bytes = tc_max(job->thread_bytes, part.thread_bytes);
        packed = tc_max(packed, part.packed_bytes);
    }
    job->packed_bytes = 0;
    const bool fits = tc_add(packed, TC_ALIGN - 1, &packed) &&
                      tc_mul(packed / TC_ALIGN * TC_ALIGN, at_once, &job->shared_bytes);
    job->shared_bytes = fits ? job->shared_bytes : PTRDIFF_MAX;
    return NULL;
}

struct running {
    const struct tc_job *job;
    ptrdiff_t packed_bytes; /* of a piece */
    char *packed, *scratch;
};

static void run_piece(const void *context, ptrdiff_t number, int thread)
{
    const struct running *const running = context;
    const struct tc_job *const job = running->job;
    const struct piece piece = piece_at(job, number);
    const struct tc_problem problem = problem_of(job, &piece);
    struct tc_job part = job_of(job, &piece, &problem);
    if (part.packed_bytes > 0) {
        char *const packed = running->packed + thread * running->packed_bytes;
        tc_engine_gather.pack(&part, packed);
        part.packed = packed;
    }
    tc_engine_gather.run(&part, running->scratch + thread * job->thread_bytes);
}

static void run(const struct tc_job *job, void *scratch)
{
    const int at_once = job->threads / threads_of_piece(job);
    const struct running running = {
        .job = job,
        .packed_bytes = job->shared_bytes / at_once,
        .packed = scratch,
        .scratch = (char *)scratch + job->shared_bytes,
    };
    tc_parallel(job->problem->co * count_runs(job), at_once, run_piece, &running, job->watch);
}

static void describe(const struct tc_job *job, struct tc_status *text)
{
    const struct piece piece = piece_at(job, 0);
    const struct tc_part part = tc_part_at(job->kernels, piece.run.end - piece.run.begin, 0);
    tc_say(text, "%d pixels x %td phases", job->kernels->rows[part.width - 1],
           (ptrdiff_t)part.width * job->kernels->lanes);
}

const struct tc_engine tc_engine_phases = {
    .name = "phases",
    .contractions = TC_DOES_LARGE,
    .accept = accept,
    .run = run,
    .describe = describe,
};
