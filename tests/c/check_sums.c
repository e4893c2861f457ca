/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums over everything but the channels, exact on whole numbers: axes in every order of memory, on
 * one thread and on three, and what is refused. */
#include "check.h"

#include "sums.h"

#include <string.h>

/* ---- refusals ---- */

static void is_refused(int ndim, const ptrdiff_t *dims, const char *layout, const char *text)
{
    struct tc_sums sums;
    struct tc_status status = {.text = ""};
    const struct tc_shape shape = {true, ndim, dims};
    check(tc_sums_check(&sums, shape, layout, &status) == TC_VALUE, "is refused", text);
    check(strstr(status.text, text) != NULL, status.text, text);
}

static void check_refusals(void)
{
    static const ptrdiff_t dims[] = {2, 3, 4, 5}, empty[] = {2, 3, 0, 5};
    static const ptrdiff_t huge[] = {1 << 30, 3, 1 << 30, 1 << 30};
    is_refused(1, dims, NULL, "must have 2 to 5 dimensions, got 1 for shape (2,)");
    is_refused(4, dims, "NHC", "one of them C, got 'NHC' for shape (2, 3, 4, 5)");
    is_refused(4, dims, "NHHC", "one of them C, got 'NHHC'");
    is_refused(4, dims, "NHXC", "one of them C, got 'NHXC'");
    is_refused(4, dims, "NHDW", "one of them C, got 'NHDW'");
    is_refused(4, empty, NULL, "axis 2 of grad_output (H) must not be empty");
    is_refused(4, huge, NULL, "has too many elements");
}

/* ---- sums ---- */

/* Strides of axes that follow each other in memory in an order of their own, a turn of theirs;
 * returns how many elements they hold. */
static ptrdiff_t set_strides(int ndim, const ptrdiff_t dims[], int turn, ptrdiff_t gap,
                             ptrdiff_t strides[])
{
    ptrdiff_t step = gap;
    for (int i = ndim - 1; i >= 0; i--) {
        const int axis = (i + turn) % ndim;
        strides[axis] = step;
        step *= dims[axis];
    }
    return step;
}

static double expected_sum(const struct tc_shape shape, const ptrdiff_t strides[], ptrdiff_t bytes,
                           const void *data, int channel_axis, ptrdiff_t channel)
{
    ptrdiff_t count = 1;
    double sum = 0;
    for (int axis = 0; axis < shape.ndim; axis++) {
        count *= axis == channel_axis ? 1 : shape.dims[axis];
    }
    for (ptrdiff_t i = 0; i < count; i++) {
        ptrdiff_t rest = i, at = channel * strides[channel_axis];
        for (int axis = 0; axis < shape.ndim; axis++) {
            at += axis == channel_axis ? 0 : rest % shape.dims[axis] * strides[axis];
            rest /= axis == channel_axis ? 1 : shape.dims[axis];
        }
        sum += get(bytes, data, at);
    }
    return sum;
}

static void check_sum(const struct tc_kernels *kernels, const struct tc_shape shape, int turn,
                      ptrdiff_t gap, bool backwards, int threads)
{
    const ptrdiff_t bytes = kernels->bytes;
    ptrdiff_t strides[TC_MAX_VALUES];
    const ptrdiff_t elements = set_strides(shape.ndim, shape.dims, turn, gap, strides);
    void *const memory = new_numbers(bytes, elements);
    const void *data = memory;
    if (backwards) {
        data = tc_at(data, (shape.dims[0] - 1) * strides[0], bytes);
        strides[0] = -strides[0];
    }
    struct tc_sums sums;
    struct tc_status status = {.text = ""};
    check(tc_sums_check(&sums, shape, NULL, &status) == TC_OK, status.text, "sums");
    tc_sums_set(&sums, shape, data, strides, bytes);
    void *const y = new_canaries(bytes, 2 * sums.channels);
    void *const scratch = malloc((size_t)tc_sums_scratch(&sums, kernels, threads));
    tc_sums_run(&sums, kernels, threads, y, 2, scratch, NULL);
    for (ptrdiff_t c = 0; c < sums.channels; c++) {
        const double sum = expected_sum(shape, strides, bytes, data, sums.channel_axis, c);
        check(get(bytes, y, 2 * c) == sum, "sum", kernels->isa);
        check(get(bytes, y, 2 * c + 1) == CANARY, "wrote elsewhere", kernels->isa);
    }
    free(memory), free(y), free(scratch);
}

int main(void)
{
    static const ptrdiff_t shapes[][TC_MAX_VALUES] = {
        {0, 3, 2, 2},    {1, 1, 1, 1},  {3, 5, 4, 7},    {2, 70, 33, 9},
        {5, 2, 1, 3000}, {40, 9, 3, 1}, {2, 3, 150, 250}};
    const struct tc_cpu cpu = tc_cpu_detect();
    const char *isas[TC_MAX_ISAS];
    tc_kernels_list(&cpu, isas);
    check_refusals();
    for (int i = 0; isas[i]; i++) {
        for (size_t row = 0; row < sizeof shapes / sizeof shapes[0]; row++) {
            for (int how = 0; how < 32; how++) {
                const enum tc_dtype dtype = how & 1 ? TC_F64 : TC_F32;
                const struct tc_shape shape = {true, 4, shapes[row]};
                const bool backwards = (how & 16) && shapes[row][0] > 0;
                check_sum(tc_kernels_find(isas[i], dtype, &cpu), shape, how / 4 % 4,
                          1 + how / 2 % 2, backwards, 1 + 2 * (how & 1));
            }
        }
    }
    return report();
}
