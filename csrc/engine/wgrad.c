/* SPDX-License-Identifier: BSD-3-Clause */
/* wgrad: the gradient of the weights, sums over the positions that each kernel element joins,
 *
 *     gw[ci][co][k] = sum over n, v of  x[n][ci][v] * y[n][co][s*v + d*k - p].
 *
 * For one k, those positions v are a box, so borders are intervals and no padding zero is read.
 *
 * The channels of one side are lanes, those of the other side rows of tiles whose reduction runs
 * over a box of positions:
 *
 *     for chunk of positions
 *       copy the side of the lanes to a panel [position][lanes]
 *       for some channels of the other side, for kernel element k
 *         sums[channel][k][lanes] += tile over the chunk's positions that k joins
 *     write the sums to gw
 *
 * Where rows are few and lanes are channels of the small side, the elements of a kernel row are
 * rows as well: first over the positions that they all join, then each over its own rest.
 *
 * Where groups are many and small (depthwise), groups are lanes: both sides are copied to panels,
 * and a tile multiplies them lane by lane, or, where borders make many short tiles, the kernel
 * `dots` for several kernel lines at once.
 *
 * Where the kernel is a point along an axis, its stride is one of a view; where the small side is
 * one position, kernel elements are channels of the large side.
 *
 * A task owns some lanes and rows. Where that gives few tasks, the chunks are dealt out to slabs,
 * whose sums are added in order; how many there are follows from the geometry, never from the
 * number of threads, which must not change a bit. */
#include "base/parallel.h"
#include "base/size.h"
#include "engine/blocks.h"
#include "engine/pack.h"

#include <limits.h>
#include <string.h>

enum {
    LEAST_PANEL = 128 << 10, /* bytes; half of the second cache where that is more */
    MOST_PANEL = 512 << 10,
    LONG_PANEL = 1536 << 10, /* bytes, where the kernel reaches far */
    TEAM = 4,                /* parts of the lanes that share the rows in the cache, at most, */
    TEAM_BYTES = 256,        /* and so many bytes of a position, about; */
    MOST_SUMS = 1 << 20,     /* bytes of their sums */
    MUCH_USED = 4,           /* kernel elements that meet in an element are no reason for a team */
    FEW_POSITIONS = 4096,    /* with these, writing a team's sums out of order costs more */
    BLOCK_BYTES = 64 << 10,  /* of the rows that a team takes at once */
    HELD_ELEMENTS = 256,     /* of a lane, before they are written */
    TASKS = 16,              /* so many at least, if slabs can help it */
    SHARE_ROWS = 24,         /* so many rows are worth a panel of their own, */
    FEW_ROWS = 8,            /* or these, if they are as many with their kernel elements */
    MANY_TAPS = 5,           /* with fewer at once `dots` is no faster than tiles, */
    BORDER_SHARE = 32,       /* of the columns that not all of these join are worth that */
    COPY_COST = 8,           /* of a vector into a panel, in multiply-adds */
    TURN_COST = 4,           /* of a vector of sums that is transposed into gw */
};

static const double GAPS_COST = 1.1;

/* How the channels are spread over lanes and rows. */
struct roles {
    bool by_group;                     /* lanes are groups */
    bool small_lanes;                  /* lanes are of the small side, x */
    ptrdiff_t sets;                    /* problems that have nothing in common */
    ptrdiff_t lanes, rows;             /* of a set */
    ptrdiff_t inner;                   /* row r is row [r/inner][r%inner] */
    ptrdiff_t lane_step, row_steps[2]; /* in gw, of a lane and of the row's two numbers */
};

/* ---- booking ---- */

/* What a set costs for each position of the small side, in vectors: those that are multiplied, and
 * the copy of `copied` positions' lanes. */
static double cost_of(const struct tc_job *job, ptrdiff_t lanes, ptrdiff_t rows, double copied)
{
    const ptrdiff_t vectors = tc_ceil_div(lanes, job->kernels->lanes);
    return (double)vectors *
           ((double)rows * (double)tc_kernel_volume(job->problem) + COPY_COST * copied);
}

/* Positions of the large side for each of the small one's. */
static double spread_of(const struct tc_job *job)
{
    const ptrdiff_t *const s = job->problem->s;
    return (double)s[TC_D] * (double)s[TC_H] * (double)s[TC_W];
}

/* Positions of the small side in the whole batch. */
static double positions_of(const struct tc_job *job)
{
    double positions = (double)tc_max(job->problem->n, 1);
    for (int a = 0; a < TC_SPATIAL; a++) {
        positions *= (double)tc_max(job->problem->i[a], 1);
    }
    return positions;
}

static ptrdiff_t small_length(const struct tc_job *job, int g)
{
    return g == 0 ? job->problem->n : job->problem->i[g - 1];
}

/* Positions of the large side that `size` of the small side in a row meet, at most. */
static ptrdiff_t met_length(const struct tc_job *job, int g, ptrdiff_t size)
{
    return g == 0 ? size : tc_lattice_large_length(&job->lattice.axis[g - 1], size);
}

/* Positions of the small side that the kernel reaches over along an axis: in shorter pieces more
 * would be copied for its reach than for themselves. */
static ptrdiff_t reach_of(const struct tc_job *job, int g)
{
    const struct tc_axis *const axis = &job->lattice.axis[g > 0 ? g - 1 : 0];
    return g > 0 ? tc_ceil_div(axis->dilation * (axis->kernel - 1), axis->out_step) : 1;
}

/* Positions of the large side that are copied for each of the small one's. */
static double copied_of(const struct tc_job *job)
{
    double copied = 1;
    for (int g = 1; g < TC_GRID; g++) {
        const ptrdiff_t size = tc_max(small_length(job, g), 1);
        copied *= (double)met_length(job, g, size) / (double)size;
    }
    return copied;
}

/* Whether the positions of the large side that a chunk meets, as long as the kernel reaches, are
 * too many to be copied even for one vector. */
static bool reaches_far(const struct tc_job *job)
{
    double bytes = (double)(job->kernels->lanes * job->kernels->bytes);
    for (int g = 1; g < TC_GRID; g++) {
        const ptrdiff_t size = tc_max(small_length(job, g), 1);
        bytes *= (double)met_length(job, g, tc_clamp(reach_of(job, g), 1, size));
    }
    return bytes > LONG_PANEL;
}

/* What all sets cost with lanes of either side's channels, or of groups. */
struct costs {
    double by_ci, by_co, by_group;
};

static struct costs costs_of(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p);
    const double large = copied_of(job), copied = (double)ci + (double)co * large;
    /* where the kernel is a point, lanes of co lie in gw as they are summed */
    const double turned = tc_kernel_volume(job->problem) == 1 ? TURN_COST / positions_of(job) : 0;
    /* a stride leaves gaps in the panel: more of the cache for the same work */
    const double gaps = spread_of(job) > 1 ? GAPS_COST : 1;
    return (struct costs){
        .by_ci = (double)p->g * cost_of(job, ci, co, 1 + turned * (double)co / COPY_COST),
        .by_co = (double)p->g * cost_of(job, co, ci, large) * gaps,
        /* lane by lane, a multiply-add takes two loads instead of one or less */
        .by_group = cost_of(job, p->g, 2 * ci * co, copied),
    };
}

static struct roles roles_of(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const struct tc_weight *const w = &job->w;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p);
    const struct costs costs = costs_of(job);
    const bool far = reaches_far(job);
    if (!far && costs.by_group < (costs.by_ci < costs.by_co ? costs.by_ci : costs.by_co)) {
        return (struct roles){true, true, 1, p->g, ci * co, co, w->g, {w->ci, w->co}};
    }
    if (far || costs.by_ci <= costs.by_co) {
        return (struct roles){false, true, p->g, ci, co, co, w->ci, {0, w->co}};
    }
    return (struct roles){false, false, p->g, co, ci, ci, w->co, {0, w->ci}};
}

/* In the steps of its tiles, which are slow where rows are few. */
double tc_wgrad_cost(const struct tc_job *job)
{
    const struct tc_problem *const p = job->problem;
    const struct roles roles = roles_of(job);
    const ptrdiff_t vectors = tc_ceil_div(roles.lanes, job->kernels->lanes);
    const ptrdiff_t width = tc_ceil_div(vectors, tc_part_count(job->kernels, roles.lanes));
    const ptrdiff_t most = job->kernels->rows[width - 1];
    const ptrdiff_t taps = roles.small_lanes ? p->k[TC_W] : 1;
    const ptrdiff_t rows = tc_min((roles.by_group ? 1 : roles.rows) * taps, most);
    const double tiles = (double)roles.rows * (double)tc_kernel_volume(p) / (double)rows;
    const double steps = (double)tc_tile_steps(rows, width) * (roles.by_group ? 2 : 1);
    const double large = copied_of(job);
    const double copied = roles.by_group ? (double)tc_group_ci(p) + (double)tc_group_co(p) * large
                          : roles.small_lanes ? 1
                                              : large;
    return (double)roles.sets *
           (tiles * steps * (double)vectors / (double)width + COPY_COST * copied * (double)vectors);
}

/* Panels hold whole vectors of the widest part. */
static ptrdiff_t panel_lanes(const struct tc_job *job, const struct roles *roles)
{
    const ptrdiff_t vectors = tc_ceil_div(roles->lanes, job->kernels->lanes);
    return tc_ceil_div(vectors, tc_part_count(job->kernels, roles->lanes)) * job->kernels->lanes;
}

static ptrdiff_t part_count(const struct tc_job *job, const struct roles *roles)
{
    return tc_part_count(job->kernels, roles->lanes);
}

/* Bytes of the sums of some rows; PTRDIFF_MAX if they cannot be counted. */
static ptrdiff_t sums_bytes(const struct tc_job *job, const struct roles *roles, ptrdiff_t rows)
{
    ptrdiff_t bytes = panel_lanes(job, roles) * job->kernels->bytes;
    const bool fits =
        tc_mul(bytes, rows, &bytes) && tc_mul(bytes, tc_kernel_volume(job->problem), &bytes);
    return fits ? bytes : PTRDIFF_MAX;
}

/* Whether both sides together are too large to wait in the last cache. */
static bool is_far(const struct tc_job *job)
{
    const double elements =
        (double)tc_input_volume(job->problem) + (double)tc_output_volume(job->problem);
    return elements * job->kernels->bytes > (double)job->cpu->l3_bytes / 2;
}

/* Parts of the lanes that a task takes together: the more, the less often the rows are read, which
 * counts where few kernel elements meet in the same elements of them, and most where rows with gaps
 * between their elements come from memory. */
static ptrdiff_t team_size(const struct tc_job *job, const struct roles *roles)
{
    const double volume = (double)tc_kernel_volume(job->problem);
    const double used = roles->small_lanes ? volume / spread_of(job) : volume;
    const ptrdiff_t bytes = panel_lanes(job, roles) * job->kernels->bytes;
    const ptrdiff_t wanted = used < 1 && is_far(job) ? 2 * TEAM_BYTES : TEAM_BYTES;
    const ptrdiff_t size = tc_min(tc_ceil_div(wanted, bytes), part_count(job, roles));
    const bool fits = sums_bytes(job, roles, roles->rows) <= MOST_SUMS / TEAM;
    const bool few = volume > 1 && positions_of(job) < FEW_POSITIONS;
    return roles->by_group || used >= MUCH_USED || few || !fits ? 1 : tc_clamp(size, 1, TEAM);
}

static ptrdiff_t team_count(const struct tc_job *job, const struct roles *roles)
{
    return tc_ceil_div(part_count(job, roles), team_size(job, roles));
}

struct panels {
    ptrdiff_t small, large; /* elements for each position of the two sides, but for lanes */
};

static struct panels panels_of(const struct tc_job *job, const struct roles *roles)
{
    const struct tc_problem *const p = job->problem;
    if (roles->by_group) {
        return (struct panels){tc_group_ci(p), tc_group_co(p)};
    }
    return (struct panels){roles->small_lanes, !roles->small_lanes};
}

/* Cuts the positions into chunks whose panels fit the cache, if they need not be too short. */
static void set_chunks(struct tc_job *job, const struct roles *roles)
{
    const struct panels panels = panels_of(job, roles);
    const ptrdiff_t cache = tc_clamp(job->cpu->l2_bytes / 2, LEAST_PANEL, MOST_PANEL);
    const ptrdiff_t lanes = panel_lanes(job, roles) * team_size(job, roles);
    const ptrdiff_t fit = cache / (lanes * job->kernels->bytes);
    const ptrdiff_t most = LONG_PANEL / (lanes * job->kernels->bytes);
    ptrdiff_t small = panels.small, large = panels.large;
    for (int g = 1; g < TC_GRID; g++) {
        large *= met_length(job, g, 1);
    }
    for (int g = TC_GRID - 1; g >= 0; g--) {
        const ptrdiff_t reach = reach_of(job, g);
        ptrdiff_t size = tc_max(small_length(job, g), 1);
        large /= met_length(job, g, 1);
        while (size > 1 &&
               small * size + large * met_length(job, g, size) > (size > reach ? fit : most)) {
            size = tc_ceil_div(size, 2);
        }
        /* an empty batch is one chunk of nothing */
        tc_blocking_set_size(&job->blocking, g, tc_max(small_length(job, g), 1), size);
        small *= job->blocking.size[g];
        large *= met_length(job, g, job->blocking.size[g]);
    }
}

static ptrdiff_t chunk_count(const struct tc_job *job)
{
    const ptrdiff_t *const count = job->blocking.count;
    return count[0] * count[1] * count[2] * count[3];
}

/* Whether every element of the kernel joins the one position of the small side with a position of
 * the large side: a matrix product over the batch. */
static bool is_whole(const struct tc_problem *problem)
{
    for (int a = 0; a < TC_SPATIAL; a++) {
        const ptrdiff_t reach = problem->d[a] * (problem->k[a] - 1) + 1;
        if (problem->i[a] != 1 || problem->p[a] != 0 || problem->o[a] < reach) {
            return false;
        }
    }
    return true;
}

/* Where kernel elements may or may not become channels, as strides have it, there is but one slab:
 * then both sum in the same order. */
static ptrdiff_t slab_count(const struct tc_job *job, const struct roles *roles)
{
    const ptrdiff_t shares = tc_max(roles->rows / SHARE_ROWS, 1);
    const ptrdiff_t tasks = roles->sets * team_count(job, roles) * shares;
    return is_whole(job->problem) ? 1 : tc_clamp(tc_ceil_div(TASKS, tasks), 1, chunk_count(job));
}

/* Rows that are summed before they are written, in long pieces where they follow each other. */
static ptrdiff_t held_rows(const struct tc_job *job)
{
    return tc_max(HELD_ELEMENTS / tc_kernel_volume(job->problem), TC_MAX_ROWS);
}

static ptrdiff_t panel_bytes(const struct tc_job *job, const struct roles *roles)
{
    const struct panels panels = panels_of(job, roles);
    ptrdiff_t small = panels.small, large = panels.large;
    for (int g = 0; g < TC_GRID; g++) {
        small *= job->blocking.size[g];
        large *= met_length(job, g, job->blocking.size[g]);
    }
    return (small + large) * panel_lanes(job, roles) * job->kernels->bytes;
}

/* Bytes of the masks that `dots` wants for the columns of a chunk. */
static ptrdiff_t mask_bytes(const struct tc_job *job, const struct roles *roles)
{
    const ptrdiff_t bytes = job->blocking.size[TC_W + 1] * (ptrdiff_t)sizeof(struct tc_dot_masks);
    return roles->by_group ? tc_round_up(bytes, TC_ALIGN) : 0;
}

/* The step from one of `channels` channels to the next, if those of the spatial axes' `length`
 * elements follow each other as more channels; else 0. */
static ptrdiff_t joint_step(ptrdiff_t c, const ptrdiff_t step[TC_SPATIAL],
                            const ptrdiff_t length[TC_SPATIAL])
{
    ptrdiff_t joint = 0, inner = 1;
    for (int a = TC_W; a >= 0; a--) {
        if (length[a] == 1) {
            continue;
        }
        joint = inner == 1 ? step[a] : joint;
        if (step[a] != inner * joint) {
            return 0;
        }
        inner *= length[a];
    }
    return c == inner * joint ? joint : 0;
}

/* Makes channels of the large side from kernel elements, where that is possible. */
static void fold_kernel(struct tc_job *job, struct tc_problem *problem)
{
    ptrdiff_t step[TC_SPATIAL];
    for (int a = 0; a < TC_SPATIAL; a++) {
        step[a] = problem->d[a] * job->y.axis[a];
    }
    const ptrdiff_t y = joint_step(job->y.c, step, problem->k);
    const ptrdiff_t w = joint_step(job->w.co, job->w.axis, problem->k);
    if (!is_whole(problem) || y == 0 || w == 0 || roles_of(job).by_group) {
        return;
    }
    job->y.c = y;
    job->w.co = w;
    for (int a = 0; a < TC_SPATIAL; a++) {
        problem->co *= problem->k[a];
        problem->k[a] = problem->o[a] = problem->s[a] = problem->d[a] = 1;
        problem->pe[a] = problem->op[a] = 0;
    }
}

/* The same job with what `problem` is to become: along axes where the kernel is a point, positions
 * of the small side that meet none of the large side and those in between that the stride leaves
 * out are left out of the views; kernel elements become channels. */
static struct tc_job job_of(const struct tc_job *job, struct tc_problem *problem)
{
    struct tc_job other = *job;
    const ptrdiff_t bytes = job->kernels->bytes;
    *problem = *job->problem;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_range met = tc_lattice_joined(&job->lattice.axis[a], 0);
        const ptrdiff_t u = problem->s[a] * met.begin - problem->p[a];
        const bool every_other = a == TC_W && problem->s[a] == 2; /* whole lines transpose faster */
        if (problem->k[a] > 1 || tc_range_length(met) == 0 || every_other) {
            continue;
        }
        if (other.x.data) {
            other.x.data = tc_at(other.x.data, met.begin * job->x.axis[a], bytes);
            other.y.data = tc_at(other.y.data, u * job->y.axis[a], bytes);
        }
        other.y.axis[a] *= problem->s[a];
        problem->i[a] = problem->o[a] = tc_range_length(met);
        problem->s[a] = 1;
        problem->p[a] = problem->pe[a] = problem->op[a] = 0;
    }
    other.problem = problem;
    fold_kernel(&other, problem);
    tc_lattice_init(&other.lattice, problem);
    return other;
}

/* Shares of the rows of each of so many owners: a few for each thread, if each has many rows, else
 * one for each thread, which is worth its panels in fewer rows if kernel elements are many. */
static ptrdiff_t share_count(const struct tc_job *job, const struct roles *roles, ptrdiff_t owners)
{
    const ptrdiff_t wanted = tc_tasks_wanted(job);
    const ptrdiff_t shares = tc_min(tc_ceil_div(wanted, owners), roles->rows / SHARE_ROWS);
    const ptrdiff_t few = tc_ceil_div(SHARE_ROWS, tc_kernel_volume(job->problem));
    const ptrdiff_t least = roles->by_group ? SHARE_ROWS : tc_max(few, FEW_ROWS);
    const ptrdiff_t needed = tc_min(tc_ceil_div(job->threads, owners), roles->rows / least);
    return tc_max(tc_max(shares, needed), 1);
}

static void book(struct tc_job *job)
{
    const struct roles roles = roles_of(job);
    set_chunks(job, &roles);
    const ptrdiff_t slabs = slab_count(job, &roles);
    const ptrdiff_t team = team_size(job, &roles);
    const ptrdiff_t owners = roles.sets * team_count(job, &roles) * slabs;
    job->blocking.shares = share_count(job, &roles, owners);
    job->tasks = owners * job->blocking.shares;
    job->packed_bytes = 0;
    job->thread_bytes = mask_bytes(job, &roles) + team * panel_bytes(job, &roles);
    job->shared_bytes = 0;
    if (slabs > 1) {
        ptrdiff_t *const bytes = &job->shared_bytes;
        const bool fits = tc_mul(sums_bytes(job, &roles, roles.rows), slabs, bytes) &&
                          tc_mul(*bytes, roles.sets * part_count(job, &roles), bytes);
        *bytes = fits ? *bytes : PTRDIFF_MAX;
    } else {
        const ptrdiff_t share = tc_ceil_div(roles.rows, job->blocking.shares);
        const ptrdiff_t rows = chunk_count(job) > 1 ? share : tc_min(share, held_rows(job));
        ptrdiff_t sums = sums_bytes(job, &roles, rows);
        const bool fits =
            tc_mul(sums, team, &sums) && tc_add(job->thread_bytes, sums, &job->thread_bytes);
        job->thread_bytes = fits ? job->thread_bytes : PTRDIFF_MAX;
    }
}

static const char *accept(struct tc_job *job)
{
    struct tc_problem problem;
    struct tc_job other = job_of(job, &problem);
    book(&other);
    job->blocking = other.blocking;
    job->tasks = other.tasks;
    job->packed_bytes = other.packed_bytes;
    job->shared_bytes = other.shared_bytes;
    job->thread_bytes = other.thread_bytes;
    return NULL;
}

/* ---- chunks ---- */

/* A side of the problem, in place or copied: position (n, d, h, w) of channel c lies
 * (n - origin[0])*n + ... + c*c elements behind data. */
struct view {
    struct tc_image image;
    ptrdiff_t origin[TC_GRID];
};

struct state {
    const struct tc_job *job;
    struct roles roles;
    ptrdiff_t set;
    struct tc_part part;
    struct tc_range rows;           /* of the share */
    struct tc_range chunk[TC_GRID]; /* positions of the small side */
    bool first;                     /* the first chunk: nothing to add to */
    bool last;                      /* the last, and gw is to be written */
    struct view small, large;       /* the first channel of the set, or of the part's groups */
    char *panel;
    bool direct;                /* sums are in gw itself */
    ptrdiff_t base;             /* else the row that they begin with */
    void *sums;                 /* [row][k][lanes] of the share's rows, or of those at work */
    struct tc_dot_masks *masks; /* of the chunk's columns, for `dots` */
};

/* The positions of the large side that the chunk meets. */
static void meet(const struct state *s, struct tc_range met[TC_GRID])
{
    met[0] = s->chunk[0];
    for (int a = 0; a < TC_SPATIAL; a++) {
        met[a + 1] = tc_lattice_large(&s->job->lattice.axis[a], s->chunk[a + 1]);
    }
}

/* Loops over positions, the outermost first, and what a step of each is in two arrays. */
struct loops {
    ptrdiff_t length[TC_GRID], a[TC_GRID], b[TC_GRID];
};

/* As few loops as there can be, in the same order: those of length 1 go, and those whose steps in
 * both arrays are the whole of the next become one with it. They end with the last; the others
 * have length 1. */
static void join_loops(struct loops *loops)
{
    int to = TC_GRID - 1;
    for (int g = TC_GRID - 2; g >= 0; g--) {
        const ptrdiff_t length = loops->length[g], inner = loops->length[to];
        if (length == 1) {
            continue;
        }
        if (loops->a[g] == inner * loops->a[to] && loops->b[g] == inner * loops->b[to]) {
            loops->length[to] *= length;
            continue;
        }
        to -= inner != 1;
        loops->length[to] = length;
        loops->a[to] = loops->a[g];
        loops->b[to] = loops->b[g];
    }
    for (int g = 0; g < to; g++) {
        loops->length[g] = 1;
    }
}

/* Copies the lanes of one channel of an image, or one of each group, `step` elements apart, to
 * [n][d][h][w][lanes]. */
static struct tc_image fill_panel(const struct state *s, const struct tc_image *from,
                                  ptrdiff_t step, const struct tc_range box[TC_GRID], char *panel)
{
    const struct tc_kernels *const kernels = s->job->kernels;
    const ptrdiff_t lanes = s->part.width * kernels->lanes, bytes = kernels->bytes;
    const ptrdiff_t depth = tc_range_length(box[1]), height = tc_range_length(box[2]);
    const ptrdiff_t width = tc_range_length(box[3]);
    const ptrdiff_t all = tc_range_length(box[0]) * depth * height * width;
    struct loops loops = {
        .length = {tc_range_length(box[0]), depth, height, width},
        .a = {from->n, from->axis[TC_D], from->axis[TC_H], from->axis[TC_W]},
        .b = {depth * height * width, height * width, width, 1},
    };
    ptrdiff_t first = 0;
    for (int g = 0; g < TC_GRID; g++) {
        first += box[g].begin * loops.a[g];
    }
    if (s->part.lanes < lanes) {
        memset(panel, 0, (size_t)(all * lanes * bytes));
    }
    join_loops(&loops);
    char *to = panel;
    for (ptrdiff_t t0 = 0; t0 < loops.length[0]; t0++) {
        for (ptrdiff_t t1 = 0; t1 < loops.length[1]; t1++) {
            for (ptrdiff_t t2 = 0; t2 < loops.length[2]; t2++) {
                const ptrdiff_t at = first + t0 * loops.a[0] + t1 * loops.a[1] + t2 * loops.a[2];
                const struct tc_matrix src = {tc_at(from->data, at, bytes), step, loops.a[3]};
                tc_copy_far(kernels, s->part.lanes, loops.length[3],
                            (struct tc_matrix){to, 1, lanes}, src,
                            (struct tc_far){.src = from->far});
                to += loops.length[3] * lanes * bytes;
            }
        }
    }
    return (struct tc_image){
        .data = panel,
        .n = depth * height * width * lanes,
        .c = all * lanes,
        .axis = {height * width * lanes, width * lanes, lanes},
    };
}

/* Replaces a view by panels of `channels` channels, one behind the other; returns their end. */
static char *copy_view(const struct state *s, struct view *view, const struct tc_range box[TC_GRID],
                       ptrdiff_t channels, ptrdiff_t step, char *panel)
{
    const struct tc_image from = view->image;
    for (ptrdiff_t c = 0; c < channels; c++) {
        struct tc_image channel = from;
        channel.data = tc_at(from.data, c * from.c, s->job->kernels->bytes);
        const struct tc_image to = fill_panel(s, &channel, step, box, panel);
        view->image = c == 0 ? to : view->image;
        panel += to.c * s->job->kernels->bytes;
    }
    for (int g = 0; g < TC_GRID; g++) {
        view->origin[g] = box[g].begin;
    }
    return panel;
}

/* Sets both views for the chunk, the sides that are lanes as panels. */
static void set_views(struct state *s)
{
    const struct tc_job *const job = s->job;
    const struct tc_problem *const p = job->problem;
    const ptrdiff_t ci = tc_group_ci(p), co = tc_group_co(p), bytes = job->kernels->bytes;
    const struct panels panels = panels_of(job, &s->roles);
    struct tc_range met[TC_GRID];
    char *panel = s->panel;
    ptrdiff_t x = s->set * ci, y = s->set * co; /* first channels */
    if (s->roles.by_group) {
        x = s->part.first * ci;
        y = s->part.first * co;
    } else {
        *(s->roles.small_lanes ? &x : &y) += s->part.first;
    }
    s->small = (struct view){.image = job->x};
    s->large = (struct view){.image = job->y};
    s->small.image.data = tc_at(job->x.data, x * job->x.c, bytes);
    s->large.image.data = tc_at(job->y.data, y * job->y.c, bytes);
    meet(s, met);
    if (panels.small) {
        const ptrdiff_t step = s->roles.by_group ? ci * job->x.c : job->x.c;
        panel = copy_view(s, &s->small, s->chunk, panels.small, step, panel);
    }
    if (panels.large) {
        const ptrdiff_t step = s->roles.by_group ? co * job->y.c : job->y.c;
        copy_view(s, &s->large, met, panels.large, step, panel);
    }
}

/* ---- tiles ---- */

/* Offset of the element at the positions `at` of the small side, or of the large side's that kernel
 * element k joins with them. */
static ptrdiff_t offset_of(const struct state *s, const struct view *view,
                           const struct tc_range at[TC_GRID], const ptrdiff_t k[TC_SPATIAL])
{
    ptrdiff_t offset = (at[0].begin - view->origin[0]) * view->image.n;
    for (int a = 0; a < TC_SPATIAL; a++) {
        const struct tc_axis *const axis = &s->job->lattice.axis[a];
        const ptrdiff_t v = at[a + 1].begin;
        const ptrdiff_t u = axis->out_step * v + axis->dilation * k[a] - axis->padding;
        offset += ((view == &s->large ? u : v) - view->origin[a + 1]) * view->image.axis[a];
    }
    return offset;
}

/* From a position of the small side to the next, in a view. */
static ptrdiff_t step_of(const struct state *s, const struct view *view, int a)
{
    return view->image.axis[a] * (view == &s->large ? s->job->lattice.axis[a].out_step : 1);
}

/* Offset in gw of the part's first lane. */
static ptrdiff_t offset_in_gw(const struct state *s, ptrdiff_t row, const ptrdiff_t k[TC_SPATIAL])
{
    const struct roles *const roles = &s->roles;
    const struct tc_weight *const w = &s->job->w;
    return s->set * w->g + s->part.first * roles->lane_step +
           row / roles->inner * roles->row_steps[0] + row % roles->inner * roles->row_steps[1] +
           k[TC_D] * w->axis[TC_D] + k[TC_H] * w->axis[TC_H] + k[TC_W] * w->axis[TC_W];
}

/* Some rows, `count` of them at a time at most, and, from k on along the width, some kernel
 * elements of each, over one box. */
struct piece {
    struct tc_range rows;
    ptrdiff_t count, k[TC_SPATIAL], taps;
    struct tc_range box[TC_GRID];
    bool add;
};

/* Where a piece's sums are from a row on: rows, and kernel elements along the width. */
static struct tc_matrix sums_of(const struct state *s, const struct piece *piece, ptrdiff_t row)
{
    const ptrdiff_t *const k = s->job->problem->k, *const at = piece->k;
    const ptrdiff_t lanes = s->part.width * s->job->kernels->lanes, bytes = s->job->kernels->bytes;
    const ptrdiff_t volume = tc_kernel_volume(s->job->problem);
    if (s->direct) {
        return (struct tc_matrix){tc_at(s->job->w.data, offset_in_gw(s, row, at), bytes),
                                  s->roles.row_steps[1], s->job->w.axis[TC_W]};
    }
    const ptrdiff_t tap = (at[TC_D] * k[TC_H] + at[TC_H]) * k[TC_W] + at[TC_W];
    return (struct tc_matrix){tc_at(s->sums, ((row - s->base) * volume + tap) * lanes, bytes),
                              volume * lanes, lanes};
}

/* What the tiles of a piece have in common, with the loops over its box. */
static struct tc_tile tile_of(const struct state *s, const struct piece *piece,
                              const struct view *a, const struct view *b)
{
    struct loops loops = {{tc_range_length(piece->box[0])}, {a->image.n}, {b->image.n}};
    for (int g = 1; g < TC_GRID; g++) {
        loops.length[g] = tc_range_length(piece->box[g]);
        loops.a[g] = step_of(s, a, g - 1);
        loops.b[g] = step_of(s, b, g - 1);
    }
    join_loops(&loops);
    struct tc_tile tile = {
        .lanes = s->part.lanes,
        .k = loops.length[TC_SPATIAL],
        .a_k = loops.a[TC_SPATIAL],
        .b_k = loops.b[TC_SPATIAL],
        .a_by_lane = s->roles.by_group,
        .add = piece->add,
    };
    for (int g = 0; g < TC_SPATIAL; g++) {
        tile.taps[g] = loops.length[g];
        tile.a_tap[g] = loops.a[g];
        tile.b_tap[g] = loops.b[g];
    }
    return tile;
}

static void run_tiles(const struct state *s, const struct piece *piece)
{
    const struct tc_job *const job = s->job;
    const struct roles *const roles = &s->roles;
    const struct view *const a = roles->small_lanes ? &s->large : &s->small;
    const struct view *const b = roles->small_lanes ? &s->small : &s->large;
    const ptrdiff_t a_at = offset_of(s, a, piece->box, piece->k);
    const ptrdiff_t b_at = offset_of(s, b, piece->box, piece->k);
    const ptrdiff_t bytes = job->kernels->bytes, length = tc_range_length(piece->rows);
    const ptrdiff_t a_step = job->problem->d[TC_W] * a->image.axis[TC_W];
    const ptrdiff_t steps = tc_ceil_div(length, piece->count);
    const struct tc_matrix sums = sums_of(s, piece, piece->rows.begin);
    ptrdiff_t a_row[TC_MAX_ROWS], c_row[TC_MAX_ROWS];
    struct tc_tile tile = tile_of(s, piece, a, b);
    tile.a_row = a_row;
    tile.c_row = c_row;
    for (ptrdiff_t row = 0, i = 0; row < tc_min(piece->count, length); row++) {
        for (ptrdiff_t t = 0; t < piece->taps; t++, i++) {
            a_row[i] = row * a->image.c + t * a_step;
            c_row[i] = row * sums.row + t * sums.column;
        }
    }
    for (ptrdiff_t step = 0; step < steps; step++) {
        const struct tc_range share = tc_share_of(length, step, steps);
        const ptrdiff_t row = piece->rows.begin + share.begin;
        /* lanes that are groups take one row at a time, a pair of channels */
        const ptrdiff_t a_c = roles->by_group ? row % roles->inner : row;
        const ptrdiff_t b_c = roles->by_group ? row / roles->inner : 0;
        tile.rows = tc_range_length(share) * piece->taps;
        tile.a = tc_at(a->image.data, a_at + a_c * a->image.c, bytes);
        tile.b = tc_at(b->image.data, b_at + b_c * b->image.c, bytes);
        tile.c = step == 0 ? sums.data : sums_of(s, piece, row).data;
        job->kernels->tile[s->part.width - 1](&tile);
    }
}

static struct tc_range intersect(struct tc_range a, struct tc_range b)
{
    const ptrdiff_t begin = tc_max(a.begin, b.begin);
    return (struct tc_range){begin, tc_max(tc_min(a.end, b.end), begin)};
}

/* The chunk's positions that element k of a spatial axis joins. */
static struct tc_range joined(const struct state *s, int a, ptrdiff_t k)
{
    return intersect(tc_lattice_joined(&s->job->lattice.axis[a], k), s->chunk[a + 1]);
}

/* What `taps` elements along the width give: over the positions that they share, then the rest. */
static void run_taps(const struct state *s, struct piece piece)
{
    const struct tc_range first = joined(s, TC_W, piece.k[TC_W]);
    const struct tc_range last = joined(s, TC_W, piece.k[TC_W] + piece.taps - 1);
    const struct tc_range common = intersect(first, last);
    piece.box[3] = common;
    piece.add = !s->first;
    run_tiles(s, &piece);
    for (ptrdiff_t t = 0; t < piece.taps && piece.taps > 1; t++) {
        struct piece rest = piece;
        rest.k[TC_W] += t;
        const struct tc_range own = joined(s, TC_W, rest.k[TC_W]);
        const struct tc_range before = {own.begin, tc_min(own.end, common.begin)};
        const struct tc_range behind = {tc_max(own.begin, common.end), own.end};
        rest.taps = 1;
        rest.add = true;
        for (int side = 0; side < 2; side++) {
            rest.box[3] = side == 0 ? before : behind;
            if (tc_range_length(rest.box[3]) > 0) {
                run_tiles(s, &rest);
            }
        }
    }
}

/* ---- dots ---- */

/* The kernel's call for one row, over all images and planes of the chunk, for each vector of
 * groups. */
static void run_dots(const struct state *s, const struct piece *piece, ptrdiff_t row,
                     struct tc_dots dots)
{
    const struct view *const small = &s->small, *const large = &s->large;
    const ptrdiff_t bytes = s->job->kernels->bytes, vector = s->job->kernels->lanes;
    const ptrdiff_t ci = row / s->roles.inner * small->image.c;
    const ptrdiff_t co = row % s->roles.inner * large->image.c;
    const struct tc_range images = piece->box[0], depth = piece->box[1];
    struct tc_range at[TC_GRID];
    memcpy(at, piece->box, sizeof at);
    for (ptrdiff_t lane = 0; lane < s->part.lanes; lane += vector) {
        struct tc_dots call = dots;
        call.lanes = tc_min(s->part.lanes - lane, vector);
        call.sums = tc_at(dots.sums, lane, bytes);
        for (at[0].begin = images.begin; at[0].begin < images.end; at[0].begin++) {
            for (at[1].begin = depth.begin; at[1].begin < depth.end; at[1].begin++) {
                const ptrdiff_t x = offset_of(s, small, at, piece->k);
                const ptrdiff_t y = offset_of(s, large, at, piece->k);
                call.small = tc_at(small->image.data, x + ci + lane, bytes);
                call.large = tc_at(large->image.data, y + co + lane, bytes);
                s->job->kernels->dots(&call);
                call.add = true;
            }
        }
        if (!call.add) { /* nothing is joined */
            call.lines = 0;
            s->job->kernels->dots(&call);
        }
    }
}

/* Some taps of a kernel line, and for which of the chunk's columns they count. */
static void set_taps(const struct state *s, struct tc_range taps, struct tc_dots *dots,
                     ptrdiff_t tap[TC_DOT_TAPS])
{
    const ptrdiff_t step = s->job->problem->d[TC_W] * s->large.image.axis[TC_W];
    const struct tc_range columns = s->chunk[TC_W + 1];
    memset(s->masks, 0, (size_t)dots->columns * sizeof *s->masks);
    dots->taps = (int)tc_range_length(taps);
    dots->begin = 0;
    dots->end = dots->columns;
    for (int t = 0; t < dots->taps; t++) {
        const struct tc_range met = joined(s, TC_W, taps.begin + t);
        tap[t] = t * step;
        dots->begin = tc_clamp(met.begin - columns.begin, dots->begin, dots->columns);
        dots->end = tc_min(dots->end, met.end - columns.begin);
        for (ptrdiff_t v = met.begin - columns.begin; v < met.end - columns.begin; v++) {
            memset(s->masks[v].any, UCHAR_MAX, TC_MASK_BYTES);
            memset(s->masks[v].tap[t], UCHAR_MAX, TC_MASK_BYTES);
        }
    }
    dots->end = tc_max(dots->begin, dots->end);
}

/* All elements of kernel lines kh, kh + k_step, ..., which join the lines of the small side with
 * the same lines of the large one, `gap` lines apart. */
static void run_lines(const struct state *s, struct piece piece)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const h = &job->lattice.axis[TC_H];
    const struct tc_image *const x = &s->small.image;
    const ptrdiff_t lanes = s->part.width * job->kernels->lanes, *const k = job->problem->k;
    const ptrdiff_t first = h->dilation * piece.k[TC_H] - h->padding; /* met by line 0 */
    const struct tc_range lines = s->chunk[TC_H + 1], columns = s->chunk[TC_W + 1];
    const ptrdiff_t steps = tc_ceil_div(k[TC_W], TC_DOT_TAPS);
    ptrdiff_t tap[TC_DOT_TAPS];
    struct tc_dots dots = {
        .sets = 1,
        .lines = tc_range_length(lines),
        .columns = tc_range_length(columns),
        .met_begin = tc_ceil_div(-first, h->out_step) - lines.begin,
        .met_end = tc_ceil_div(h->out - first, h->out_step) - lines.begin,
        .gap = -h->offset_step,
        .reach = (int)tc_ceil_div(k[TC_H] - piece.k[TC_H], h->k_step),
        .add = !s->first,
        .small_line = x->axis[TC_H],
        .small_column = x->axis[TC_W],
        .large_line = step_of(s, &s->large, TC_H),
        .large_column = step_of(s, &s->large, TC_W),
        .tap = tap,
        .masks = s->masks,
        .sum_line = h->k_step * (s->direct ? job->w.axis[TC_H] : k[TC_W] * lanes),
    };
    piece.box[2] = lines;
    piece.box[3] = columns;
    for (ptrdiff_t step = 0; step < steps; step++) {
        const struct tc_range taps = tc_share_of(k[TC_W], step, steps);
        piece.k[TC_W] = taps.begin;
        set_taps(s, taps, &dots, tap);
        for (ptrdiff_t row = piece.rows.begin; row < piece.rows.end; row++) {
            const struct tc_matrix sums = sums_of(s, &piece, row);
            dots.sums = sums.data;
            dots.sum_tap = sums.column;
            run_dots(s, &piece, row, dots);
        }
    }
}

/* Whether that is done for kernel line kh: others join the same lines, and there are so many
 * columns that some elements do not join that tiles, one after the other for these, would take
 * longer. */
static bool sums_by_dots(const struct state *s, ptrdiff_t kh)
{
    const struct tc_job *const job = s->job;
    const struct tc_axis *const h = &job->lattice.axis[TC_H];
    const ptrdiff_t columns = tc_range_length(s->chunk[TC_W + 1]), last = job->problem->k[TC_W] - 1;
    if (!s->roles.by_group || job->kernels->dot_taps < MANY_TAPS || last < 2 ||
        kh % h->k_step + h->k_step >= h->kernel) {
        return false;
    }
    const struct tc_range common = intersect(joined(s, TC_W, 0), joined(s, TC_W, last));
    return BORDER_SHARE * (columns - tc_range_length(common)) > columns;
}

/* All kernel elements of some rows, `count` of those and `taps` along the width at once. */
static void run_kernel(const struct state *s, struct tc_range rows, ptrdiff_t count, ptrdiff_t taps)
{
    const ptrdiff_t *const k = s->job->problem->k;
    struct piece piece = {.rows = rows, .count = count, .box = {s->chunk[0]}};
    for (piece.k[TC_D] = 0; piece.k[TC_D] < k[TC_D]; piece.k[TC_D]++) {
        piece.box[1] = joined(s, TC_D, piece.k[TC_D]);
        for (piece.k[TC_H] = 0; piece.k[TC_H] < k[TC_H]; piece.k[TC_H]++) {
            if (sums_by_dots(s, piece.k[TC_H])) {
                if (piece.k[TC_H] < s->job->lattice.axis[TC_H].k_step) {
                    run_lines(s, piece);
                }
                continue;
            }
            piece.box[2] = joined(s, TC_H, piece.k[TC_H]);
            for (ptrdiff_t kw = 0; kw < k[TC_W]; kw += piece.taps) {
                piece.k[TC_W] = kw;
                piece.taps = tc_min(taps, k[TC_W] - kw);
                run_taps(s, piece);
            }
        }
    }
}

/* ---- results ---- */

/* Rows whose elements follow each other in gw, from `row` on: their pieces of a lane are one. */
static ptrdiff_t joint_rows(const struct state *s, ptrdiff_t row, ptrdiff_t end, ptrdiff_t step)
{
    const struct roles *const roles = &s->roles;
    const bool follow = roles->row_steps[1] == step;
    return follow ? tc_min(end, (row / roles->inner + 1) * roles->inner) - row : 1;
}

/* Writes the sums of rows to gw. */
static void write_rows(const struct state *s, struct tc_range rows)
{
    const struct tc_job *const job = s->job;
    const struct roles *const roles = &s->roles;
    const ptrdiff_t *const k = job->problem->k, *const step = job->w.axis;
    const ptrdiff_t bytes = job->kernels->bytes, lanes = s->part.width * job->kernels->lanes;
    const ptrdiff_t volume = tc_kernel_volume(job->problem);
    const bool flat = (k[TC_H] == 1 || step[TC_H] == k[TC_W] * step[TC_W]) &&
                      (k[TC_D] == 1 || step[TC_D] == k[TC_H] * k[TC_W] * step[TC_W]);
    const ptrdiff_t run = flat ? volume : k[TC_W];
    const ptrdiff_t first = s->set * job->w.g + s->part.first * roles->lane_step;
    const char *from = tc_at(s->sums, (rows.begin - s->base) * volume * lanes, bytes);
    ptrdiff_t joint;
    for (ptrdiff_t row = rows.begin; row < rows.end; row += joint) {
        const ptrdiff_t at = first + row / roles->inner * roles->row_steps[0] +
                             row % roles->inner * roles->row_steps[1];
        joint = flat ? joint_rows(s, row, rows.end, volume * step[TC_W]) : 1;
        for (ptrdiff_t f = 0; f < volume; f += run) {
            const ptrdiff_t to = at + (flat ? 0
                                            : f / k[TC_W] % k[TC_H] * step[TC_H] +
                                                  f / k[TC_W] / k[TC_H] * step[TC_D]);
            const struct tc_matrix dst = {tc_at(job->w.data, to, bytes), step[TC_W],
                                          roles->lane_step};
            const struct tc_matrix src = {(char *)from, lanes, 1};
            tc_copy(job->kernels, joint * run, s->part.lanes, dst, src);
            from += joint * run * lanes * bytes;
        }
    }
}

/* Rows that a team takes before the next: while its first part sums them they come into the cache
 * for the others. */
static ptrdiff_t block_rows(const struct state *s, ptrdiff_t count)
{
    ptrdiff_t bytes = s->job->kernels->bytes;
    for (int g = 0; g < TC_GRID; g++) {
        bytes *= tc_range_length(s->chunk[g]);
    }
    return count * tc_max(BLOCK_BYTES / tc_max(bytes * count, 1), 1);
}

/* All rows. Those that are ready are written, unless they are in gw already, while they are in the
 * cache; if there is but one chunk, they are all whose sums are held. */
static void run_chunk(struct state *team, ptrdiff_t size)
{
    ptrdiff_t most = TC_MAX_ROWS;
    for (const struct state *s = team; s < team + size; s++) {
        most = tc_min(most, s->job->kernels->rows[s->part.width - 1]);
    }
    const ptrdiff_t length = tc_range_length(team->rows);
    const ptrdiff_t count = team->roles.by_group ? 1 : tc_min(length, most);
    const ptrdiff_t taps = team->roles.small_lanes ? most / count : 1;
    const ptrdiff_t steps = tc_ceil_div(length, team->direct ? block_rows(team, count) : count);
    ptrdiff_t unwritten = team->rows.begin;
    for (ptrdiff_t step = 0; step < steps; step++) {
        const struct tc_range share = tc_share_of(length, step, steps);
        const struct tc_range rows = {team->rows.begin + share.begin, team->rows.begin + share.end};
        const bool full = rows.end - unwritten + count > held_rows(team->job) || step + 1 == steps;
        for (struct state *s = team; s < team + size; s++) {
            s->base = s->first && s->last ? unwritten : s->base;
            run_kernel(s, rows, count, taps);
            if (s->last && !s->direct && full) {
                write_rows(s, (struct tc_range){unwritten, rows.end});
            }
        }
        unwritten = full ? rows.end : unwritten;
    }
}

/* ---- tasks ---- */

struct run {
    const struct tc_job *job;
    struct roles roles;
    ptrdiff_t parts, slabs;
    char *shared, *scratch;
};

/* The sums of a set's part in one slab. */
static void *slab_at(const struct run *run, ptrdiff_t set, ptrdiff_t part, ptrdiff_t slab)
{
    const ptrdiff_t number = (set * run->parts + part) * run->slabs + slab;
    return run->shared + number * sums_bytes(run->job, &run->roles, run->roles.rows);
}

static struct tc_range chunk_axis(const struct tc_job *job, int g, ptrdiff_t number)
{
    const ptrdiff_t begin = number * job->blocking.size[g];
    return (struct tc_range){begin, tc_min(begin + job->blocking.size[g], small_length(job, g))};
}

static void run_chunks(struct state *team, ptrdiff_t size, struct tc_range chunks, bool writes)
{
    const ptrdiff_t *const count = team->job->blocking.count;
    for (ptrdiff_t chunk = chunks.begin; chunk < chunks.end && !tc_is_stopped(team->job->watch);
         chunk++) {
        for (struct state *s = team; s < team + size; s++) {
            ptrdiff_t number = chunk;
            for (int g = TC_GRID - 1; g >= 0; g--) {
                s->chunk[g] = chunk_axis(s->job, g, number % count[g]);
                number /= count[g];
            }
            s->first = chunk == chunks.begin;
            s->last = writes && chunk + 1 == chunks.end;
            set_views(s);
        }
        run_chunk(team, size);
    }
}

static void run_task(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    const struct roles *const roles = &run->roles;
    const ptrdiff_t slab = task % run->slabs, share = task / run->slabs % job->blocking.shares;
    const ptrdiff_t owner = task / run->slabs / job->blocking.shares;
    const ptrdiff_t teams = team_count(job, roles), most = team_size(job, roles);
    const struct tc_range parts = tc_share_of(run->parts, owner % teams, teams);
    const struct tc_range rows = tc_share_of(roles->rows, share, job->blocking.shares);
    const ptrdiff_t panel = panel_bytes(job, roles);
    const ptrdiff_t masks = mask_bytes(job, roles);
    char *const scratch = run->scratch + thread * job->thread_bytes, *const panels =
                                                                         scratch + masks;
    const ptrdiff_t sums = (job->thread_bytes - masks - most * panel) / most;
    struct state team[TEAM] = {0};
    for (ptrdiff_t i = 0; i < tc_range_length(parts); i++) {
        struct state *const s = &team[i];
        *s = (struct state){.job = job, .roles = *roles, .set = owner / teams, .rows = rows};
        s->part = tc_part_at(job->kernels, roles->lanes, parts.begin + i);
        s->masks = (void *)scratch;
        s->panel = panels + i * panel;
        s->sums = panels + most * panel + i * sums;
        if (run->slabs > 1) {
            const ptrdiff_t row =
                tc_kernel_volume(job->problem) * s->part.width * job->kernels->lanes;
            s->sums = tc_at(slab_at(run, s->set, parts.begin + i, slab), rows.begin * row,
                            job->kernels->bytes);
        }
        s->direct = run->slabs == 1 && roles->lane_step == 1;
        s->base = rows.begin;
    }
    run_chunks(team, tc_range_length(parts), tc_share_of(chunk_count(job), slab, run->slabs),
               run->slabs == 1);
}

/* Adds the slabs of a set's part in their order and writes the sum. */
static void add_slabs(const void *context, ptrdiff_t task, int thread)
{
    const struct run *const run = context;
    const struct tc_job *const job = run->job;
    struct state s = {.job = job, .roles = run->roles, .set = task / run->parts};
    s.part = tc_part_at(job->kernels, run->roles.lanes, task % run->parts);
    s.rows = (struct tc_range){0, run->roles.rows};
    const ptrdiff_t count =
        run->roles.rows * tc_kernel_volume(job->problem) * s.part.width * job->kernels->lanes;
    void *const sum = slab_at(run, s.set, s.part.number, 0);
    (void)thread;
    for (ptrdiff_t slab = 1; slab < run->slabs; slab++) {
        const struct tc_rows rows = {.rows = 1,
                                     .columns = count,
                                     .src = slab_at(run, s.set, s.part.number, slab),
                                     .dst = sum};
        job->kernels->add(&rows);
    }
    s.sums = sum;
    write_rows(&s, s.rows);
}

static void run(const struct tc_job *whole, void *scratch)
{
    struct tc_problem problem;
    const struct tc_job other = job_of(whole, &problem), *const job = &other;
    struct run context = {.job = job, .roles = roles_of(job), .shared = scratch};
    context.parts = part_count(job, &context.roles);
    context.slabs = slab_count(job, &context.roles);
    context.scratch = context.shared + job->shared_bytes;
    tc_parallel(job->tasks, job->threads, run_task, &context, job->watch);
    if (context.slabs > 1) {
        tc_parallel(context.roles.sets * context.parts, job->threads, add_slabs, &context,
                    job->watch);
    }
}

static void describe(const struct tc_job *whole, struct tc_status *text)
{
    struct tc_problem problem;
    const struct tc_job other = job_of(whole, &problem), *const job = &other;
    const struct roles roles = roles_of(job);
    const struct tc_part part = tc_part_at(job->kernels, roles.lanes, 0);
    tc_say(text, "%d rows x %td %s", job->kernels->rows[part.width - 1],
           (ptrdiff_t)part.width * job->kernels->lanes,
           roles.by_group      ? "groups"
           : roles.small_lanes ? "channels of the small side"
                               : "channels of the large side");
}

const struct tc_engine tc_engine_wgrad = {
    .name = "wgrad",
    .contractions = TC_DOES_WEIGHT,
    .accept = accept,
    .run = run,
    .describe = describe,
};
