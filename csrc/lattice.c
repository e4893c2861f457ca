/* SPDX-License-Identifier: BSD-3-Clause */
/* A position u on the large side and a position v on the small side meet at kernel element k if
 *
 *     u = s*v + d*k - p.
 *
 * Small from large (convolution): v = j, every k is a tap, and it reads u = s*j + (d*k - p). The
 * taps are counted from the last k down, so that offsets fall in both directions.
 *
 * Large from small (transposed convolution): output u = r + s*j belongs to phase r. It reads
 * v = j + (r + p - d*k)/s for the k that leave no remainder. With c = gcd(s, d), s' = s/c and
 * d' = d/c there is no such k unless c divides r + p; then they are k0, k0 + s', k0 + 2s', ... with
 *
 *     k0 = (r + p)/c * d'^-1  mod s',
 *
 * and their offsets fall by d' from one to the next. A phase is empty where k0 is not below the
 * kernel length (k < s) or where c does not divide. */
#include "lattice.h"

#include "base/size.h"

static ptrdiff_t greatest_common_divisor(ptrdiff_t a, ptrdiff_t b)
{
    while (b != 0) {
        const ptrdiff_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* a*b modulo m for 0 <= a, b < m, also where the product would overflow. */
static ptrdiff_t multiply_modulo(ptrdiff_t a, ptrdiff_t b, ptrdiff_t m)
{
    if (m <= INT32_MAX) {
        return a * b % m;
    }
    ptrdiff_t product = 0;
    for (; b > 0; b /= 2) {
        if (b % 2) {
            product = product >= m - a ? product - (m - a) : product + a;
        }
        a = a >= m - a ? a - (m - a) : a + a;
    }
    return product;
}

/* The inverse of a modulo m, which have no common divisor (extended Euclid). */
static ptrdiff_t invert_modulo(ptrdiff_t a, ptrdiff_t m)
{
    ptrdiff_t rest = m, next_rest = a % m, factor = 0, next_factor = 1;
    while (next_rest != 0) {
        const ptrdiff_t quotient = rest / next_rest;
        const ptrdiff_t r = rest - quotient * next_rest, f = factor - quotient * next_factor;
        rest = next_rest, next_rest = r;
        factor = next_factor, next_factor = f;
    }
    return m == 1 ? 0 : factor < 0 ? factor + m : factor;
}

void tc_lattice_init(struct tc_lattice *lattice, const struct tc_problem *problem)
{
    const bool transposed = problem->operation->contraction != TC_SMALL_FROM_LARGE;
    for (int a = 0; a < TC_SPATIAL; a++) {
        struct tc_axis *const axis = &lattice->axis[a];
        const ptrdiff_t s = problem->s[a], d = problem->d[a];
        const ptrdiff_t divisor = transposed ? greatest_common_divisor(s, d) : 1;
        *axis = (struct tc_axis){
            .in = problem->i[a],
            .out = problem->o[a],
            .kernel = problem->k[a],
            .in_step = transposed ? 1 : s,
            .out_step = transposed ? s : 1,
            .phases = transposed ? tc_min(s, problem->o[a]) : 1,
            .k_step = transposed ? s / divisor : -1,
            .offset_step = -(d / divisor),
            .padding = problem->p[a],
            .dilation = d,
            .divisor = divisor,
        };
        axis->inverse = transposed ? invert_modulo(d / divisor, axis->k_step) : 0;
    }
}

ptrdiff_t tc_lattice_points(const struct tc_axis *axis)
{
    return tc_ceil_div(axis->out, axis->out_step);
}

struct tc_phase tc_phase_at(const struct tc_axis *axis, ptrdiff_t phase)
{
    struct tc_phase result = {
        .start = phase,
        .count = (axis->out - phase - 1) / axis->out_step + 1,
    };
    const ptrdiff_t s = axis->out_step, d = axis->dilation, p = axis->padding;
    if (axis->k_step < 0) { /* small from large */
        result.taps = axis->kernel;
        result.k = axis->kernel - 1;
        result.offset = d * result.k - p;
    } else if ((phase + p) % axis->divisor == 0) {
        const ptrdiff_t start = tc_floor_mod((phase + p) / axis->divisor, axis->k_step);
        result.k = multiply_modulo(start, axis->inverse, axis->k_step);
        if (result.k < axis->kernel) {
            result.taps = (axis->kernel - 1 - result.k) / axis->k_step + 1;
            result.offset = (phase + p - d * result.k) / s;
        }
    }
    return result;
}

/* Tap t reaches j where 0 <= in_step*j + offset + t*offset_step < in. As j grows, taps enter at
 * the top of the list (t = last) and leave at its bottom (t = first). */
static ptrdiff_t tap_enters(const struct tc_axis *axis, const struct tc_phase *phase, ptrdiff_t t)
{
    return tc_ceil_div(-(phase->offset + t * axis->offset_step), axis->in_step);
}

static ptrdiff_t tap_leaves(const struct tc_axis *axis, const struct tc_phase *phase, ptrdiff_t t)
{
    return tc_ceil_div(axis->in - (phase->offset + t * axis->offset_step), axis->in_step);
}

struct tc_taps tc_taps_ascending(const struct tc_axis *axis, const struct tc_phase *phase)
{
    const ptrdiff_t last = phase->taps - 1;
    return (struct tc_taps){phase->taps, phase->offset + last * axis->offset_step,
                            -axis->offset_step, phase->k + last * axis->k_step, -axis->k_step};
}

bool tc_lattice_has_phases(const struct tc_lattice *lattice)
{
    const struct tc_axis *const axis = lattice->axis;
    return axis[TC_D].out_step > 1 || axis[TC_H].out_step > 1 || axis[TC_W].out_step > 1;
}

struct tc_run tc_run_at(const struct tc_axis *axis, const struct tc_phase *phase, ptrdiff_t j)
{
    const ptrdiff_t at = axis->in_step * j + phase->offset, fall = -axis->offset_step;
    struct tc_run run = {.begin = j, .end = phase->count};
    run.last = tc_clamp(tc_floor_div(at, fall) + 1, 0, phase->taps);
    run.first = tc_clamp(tc_floor_div(at - axis->in, fall) + 1, 0, run.last);
    if (run.last < phase->taps) {
        run.end = tc_min(run.end, tap_enters(axis, phase, run.last));
    }
    if (run.first < run.last) {
        run.end = tc_min(run.end, tap_leaves(axis, phase, run.first));
    }
    return run;
}

struct tc_range tc_lattice_offsets(const struct tc_axis *axis)
{
    const ptrdiff_t span = axis->dilation * (axis->kernel - 1), p = axis->padding;
    if (axis->k_step < 0) { /* small from large */
        return (struct tc_range){-p, span - p + 1};
    }
    return (struct tc_range){tc_ceil_div(p - span, axis->out_step),
                             tc_ceil_div(p, axis->out_step) + 1};
}

struct tc_range tc_lattice_inputs(const struct tc_axis *axis, struct tc_range grid)
{
    const struct tc_range offsets = tc_lattice_offsets(axis);
    struct tc_range inputs;
    inputs.begin = tc_clamp(axis->in_step * grid.begin + offsets.begin, 0, axis->in);
    inputs.end = axis->in_step * (grid.end - 1) + offsets.end;
    inputs.end = tc_clamp(inputs.end, inputs.begin, axis->in);
    return inputs;
}

ptrdiff_t tc_lattice_met(const struct tc_axis *axis, ptrdiff_t size)
{
    const ptrdiff_t reach = tc_range_length(tc_lattice_offsets(axis));
    return tc_min(axis->in, axis->in_step * (size - 1) + reach);
}

struct tc_range tc_lattice_joined_between(const struct tc_axis *axis, ptrdiff_t k,
                                          struct tc_range in, struct tc_range out)
{
    const ptrdiff_t offset = axis->dilation * k - axis->padding;
    struct tc_range joined;
    joined.begin = tc_clamp(tc_ceil_div(out.begin - offset, axis->out_step), in.begin, in.end);
    joined.end = tc_ceil_div(out.end - offset, axis->out_step);
    joined.end = tc_clamp(joined.end, joined.begin, in.end);
    return joined;
}

struct tc_range tc_lattice_large(const struct tc_axis *axis, struct tc_range small)
{
    const ptrdiff_t reach = axis->dilation * (axis->kernel - 1) + 1;
    const ptrdiff_t first = axis->out_step * small.begin - axis->padding;
    const ptrdiff_t last = axis->out_step * (small.end - 1) - axis->padding;
    const ptrdiff_t begin = tc_clamp(first, 0, axis->out);
    return (struct tc_range){begin, tc_clamp(last + reach, begin, axis->out)};
}

ptrdiff_t tc_lattice_large_length(const struct tc_axis *axis, ptrdiff_t size)
{
    const ptrdiff_t reach = axis->dilation * (axis->kernel - 1) + 1;
    return tc_min(axis->out, axis->out_step * (size - 1) + reach);
}

struct tc_range tc_lattice_joined(const struct tc_axis *axis, ptrdiff_t k)
{
    const struct tc_range in = {0, axis->in}, out = {0, axis->out};
    return tc_lattice_joined_between(axis, k, in, out);
}

/* The first element of an axis' kernel and the one behind the last that join any two positions. Of
 * v = 0 and the last v, these reach the highest u and the lowest: k is too high where u = d*k - p
 * lies behind the large side, and too low where even u = s*(V - 1) + d*k - p lies before it. */
static struct tc_range kernel_joins(const struct tc_problem *problem, int a)
{
    const bool transposed = problem->operation->contraction == TC_LARGE_FROM_SMALL;
    const ptrdiff_t small = transposed ? problem->i[a] : problem->o[a];
    const ptrdiff_t large = transposed ? problem->o[a] : problem->i[a];
    const ptrdiff_t k = problem->k[a], d = problem->d[a], p = problem->p[a];
    struct tc_range joins;
    joins.begin = tc_clamp(tc_ceil_div(p - problem->s[a] * (small - 1), d), 0, k);
    joins.end = tc_clamp(tc_ceil_div(large + p, d), joins.begin, k);
    return joins;
}

void tc_lattice_trim(struct tc_problem *problem, struct tc_weight *w)
{
    const bool computed = problem->operation->contraction == TC_WEIGHT_FROM_BOTH;
    for (int a = 0; a < TC_SPATIAL && !computed; a++) {
        const struct tc_range joins = kernel_joins(problem, a);
        if (joins.begin == joins.end) {
            continue; /* nothing joins; a kernel has one element at least */
        }
        problem->p[a] -= joins.begin * problem->d[a];
        problem->pe[a] -= (problem->k[a] - joins.end) * problem->d[a];
        problem->k[a] = tc_range_length(joins);
        if (w->data) {
            w->data = tc_at(w->data, joins.begin * w->axis[a], tc_dtype_bytes(problem->dtype));
        }
    }
}

void tc_lattice_skip(struct tc_problem *problem, struct tc_image *x)
{
    const bool reads_large = problem->operation->contraction == TC_SMALL_FROM_LARGE;
    for (int a = 0; a < TC_SPATIAL && reads_large; a++) {
        if (problem->k[a] == 1 && problem->p[a] == 0 && problem->pe[a] <= 0) {
            x->axis[a] *= problem->s[a];
            problem->i[a] = problem->o[a];
            problem->pe[a] = 0;
            problem->s[a] = 1;
        }
    }
}

double tc_lattice_pairs(const struct tc_axis *axis)
{
    double pairs = 0;
    for (ptrdiff_t number = 0; number < axis->phases; number++) {
        const struct tc_phase phase = tc_phase_at(axis, number);
        struct tc_run run;
        for (ptrdiff_t j = 0; j < phase.count; j = run.end) {
            run = tc_run_at(axis, &phase, j);
            pairs += (double)(run.end - run.begin) * (double)(run.last - run.first);
        }
    }
    return pairs;
}

double tc_lattice_macs(const struct tc_lattice *lattice, const struct tc_problem *problem)
{
    double macs = (double)problem->n * (double)problem->co * (double)tc_group_ci(problem);
    for (int a = 0; a < TC_SPATIAL; a++) {
        macs *= tc_lattice_pairs(&lattice->axis[a]);
    }
    return macs;
}
