/* SPDX-License-Identifier: BSD-3-Clause */
/* The lattice against its definition u = s*v + d*k - p, for all small lengths, strides, dilations
 * and paddings, in both directions. */
#include "check.h"

#include "lattice.h"

/* A one-axis problem whose other axes are 1. */
static struct tc_problem problem_of(const struct tc_operation *operation, ptrdiff_t in,
                                    ptrdiff_t out, ptrdiff_t k, ptrdiff_t s, ptrdiff_t p,
                                    ptrdiff_t d)
{
    return (struct tc_problem){
        .operation = operation,
        .n = 1,
        .g = 1,
        .ci = 1,
        .co = 1,
        .i = {1, 1, in},
        .o = {1, 1, out},
        .k = {1, 1, k},
        .s = {1, 1, s},
        .p = {0, 0, p},
        .d = {1, 1, d},
    };
}

/* Counts the pairs of an output and a tap, and checks that each is one of the definition. */
static long check_pairs(const struct tc_axis *axis, bool transposed, ptrdiff_t s, ptrdiff_t p,
                        ptrdiff_t d)
{
    const struct tc_range whole = {0, axis->out};
    const struct tc_range inputs = tc_lattice_inputs(axis, whole);
    ptrdiff_t outputs = 0;
    long pairs = 0;
    for (ptrdiff_t number = 0; number < axis->phases; number++) {
        const struct tc_phase phase = tc_phase_at(axis, number);
        outputs += phase.count;
        for (ptrdiff_t j = 0; j < phase.count; j++) {
            const struct tc_run run = tc_run_at(axis, &phase, j);
            check(run.begin == j && run.end > j && run.end <= phase.count, "run's ends", "lattice");
            if (run.end < phase.count) {
                const struct tc_run next = tc_run_at(axis, &phase, run.end);
                check(next.first != run.first || next.last != run.last, "run is long", "lattice");
            }
            for (ptrdiff_t t = run.first; t < run.last; t++, pairs++) {
                const ptrdiff_t y = phase.start + axis->out_step * j;
                const ptrdiff_t x = axis->in_step * j + phase.offset + t * axis->offset_step;
                const ptrdiff_t k = phase.k + t * axis->k_step;
                const ptrdiff_t u = transposed ? y : x, v = transposed ? x : y;
                check(u == s * v + d * k - p, "relation", "lattice");
                check(x >= 0 && x < axis->in && k >= 0 && k < axis->kernel, "range", "lattice");
                check(x >= inputs.begin && x < inputs.end, "inputs", "lattice");
            }
        }
    }
    check(outputs == axis->out, "every output has one phase", "lattice");
    return pairs;
}

static long count_pairs(ptrdiff_t large, ptrdiff_t small, ptrdiff_t k, ptrdiff_t s, ptrdiff_t p,
                        ptrdiff_t d)
{
    long pairs = 0;
    for (ptrdiff_t v = 0; v < small; v++) {
        for (ptrdiff_t i = 0; i < k; i++) {
            const ptrdiff_t u = s * v + d * i - p;
            pairs += u >= 0 && u < large;
        }
    }
    return pairs;
}

/* Trimming keeps all pairs, and no element at the ends of the kernel that has none. */
static void check_trim(struct tc_problem problem, long pairs)
{
    enum { LONGEST = 8 };
    float weights[LONGEST];
    struct tc_weight w = {.data = weights, .axis = {0, 0, 1}};
    struct tc_lattice lattice;
    const ptrdiff_t k = problem.k[TC_W], p = problem.p[TC_W], d = problem.d[TC_W];
    const bool transposed = problem.operation->contraction == TC_LARGE_FROM_SMALL;
    const ptrdiff_t large = (transposed ? problem.o : problem.i)[TC_W];
    const ptrdiff_t small = (transposed ? problem.i : problem.o)[TC_W];
    tc_lattice_trim(&problem, &w);
    tc_lattice_init(&lattice, &problem);
    const ptrdiff_t first = (float *)w.data - weights, kept = problem.k[TC_W];
    check(kept >= 1 && first >= 0 && first + kept <= k, "within the kernel", "trim");
    check(problem.p[TC_W] == p - first * d, "padding", "trim");
    check(problem.pe[TC_W] == (first + kept - k) * d, "padding at the end", "trim");
    check((long)tc_lattice_pairs(&lattice.axis[TC_W]) == pairs, "keeps all pairs", "trim");
    if (pairs > 0 && problem.s[TC_W] <= large) {
        const ptrdiff_t last = first + kept - 1;
        check(count_pairs(large, small, 1, problem.s[TC_W], p - first * d, d) > 0, "first", "trim");
        check(count_pairs(large, small, 1, problem.s[TC_W], p - last * d, d) > 0, "last", "trim");
    }
}

static void check_axis(ptrdiff_t large, ptrdiff_t small, ptrdiff_t k, ptrdiff_t s, ptrdiff_t p,
                       ptrdiff_t d)
{
    struct tc_operation operation = *tc_operation_find("conv_transpose1d");
    const long pairs = count_pairs(large, small, k, s, p, d);
    for (int transposed = 0; transposed < 2; transposed++) {
        struct tc_lattice lattice;
        operation.contraction = transposed ? TC_LARGE_FROM_SMALL : TC_SMALL_FROM_LARGE;
        const struct tc_problem problem = problem_of(&operation, transposed ? small : large,
                                                     transposed ? large : small, k, s, p, d);
        tc_lattice_init(&lattice, &problem);
        const struct tc_axis *const axis = &lattice.axis[TC_W];
        check(check_pairs(axis, transposed, s, p, d) == pairs, "number of pairs", "lattice");
        check((long)tc_lattice_pairs(axis) == pairs, "tc_lattice_pairs", "lattice");
        check_trim(problem, pairs);
    }
}

/* Strides and dilations past 32 bits: the arithmetic must not overflow. */
static void check_huge(void)
{
    struct tc_operation operation = *tc_operation_find("conv_transpose1d");
    struct tc_lattice lattice;
    const ptrdiff_t s = ((ptrdiff_t)1 << 61) - 1, d = ((ptrdiff_t)1 << 60) + 7;
    const struct tc_problem problem = problem_of(&operation, 2, s + 2 * d + 1, 3, s, 0, d);
    tc_lattice_init(&lattice, &problem);
    const ptrdiff_t outputs[] = {0, d, 2 * d};
    for (int k = 0; k < 3; k++) {
        const struct tc_phase phase = tc_phase_at(&lattice.axis[TC_W], outputs[k] % s);
        check(phase.taps == 1 && phase.k == k, "huge stride", "lattice");
    }
}

int main(void)
{
    for (ptrdiff_t s = 1; s <= 6; s++) {
        for (ptrdiff_t d = 1; d <= 6; d++) {
            for (ptrdiff_t k = 1; k <= 7; k++) {
                for (ptrdiff_t small = 1; small <= 6; small++) {
                    for (ptrdiff_t p = 0; p <= 5; p++) {
                        const ptrdiff_t large = (small - 1) * s + d * (k - 1) + 1 - 2 * p;
                        for (ptrdiff_t extra = 0; extra < (s > d ? s : d); extra++) {
                            if (large + extra > 0) {
                                check_axis(large + extra, small, k, s, p, d);
                            }
                        }
                    }
                }
            }
        }
    }
    check_huge();
    return report();
}
