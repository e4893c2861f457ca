/* SPDX-License-Identifier: BSD-3-Clause */
/* The gradient of a bias: no contraction and no plan, but a sum over all axes but one. */
#include "module.h"

#include "ndarray.h"
#include "sums.h"

/* Another thread is worth waking, and the GIL worth letting go, for so many elements. */
enum { THREAD_ELEMENTS = 1 << 16, GIL_ELEMENTS = 20000 };

static int compute_sums(struct module_state *state, struct tc_sums *sums, PyArrayObject *grad,
                        PyArrayObject *y, int threads)
{
    const enum tc_dtype dtype = dtype_of(grad);
    const struct tc_kernels *const kernels = tc_kernels_find(state->isa, dtype, &state->cpu);
    const double elements = (double)sums->volume * (double)sums->channels;
    const double worth = 1 + elements / THREAD_ELEMENTS;
    const struct tc_bias to = bias_of(y);
    ptrdiff_t strides[TC_MAX_VALUES];
    struct block scratch;
    element_strides(grad, strides);
    tc_sums_set(sums, shape_of(grad), PyArray_DATA(grad), strides, kernels->bytes);
    threads = worth < threads ? (int)worth : threads;
    if (scratch_take(state, &scratch, tc_sums_scratch(sums, kernels, threads))) {
        return -1;
    }
    int failed = 0;
    if (elements < GIL_ELEMENTS) {
        tc_sums_run(sums, kernels, threads, PyArray_DATA(y), to.c, scratch.data, NULL);
    } else {
        struct watch watch;
        struct tc_watch *const base = watch_begin(state, &watch);
        tc_sums_run(sums, kernels, threads, PyArray_DATA(y), to.c, scratch.data, base);
        failed = watch_end(&watch);
    }
    scratch_give(state, &scratch);
    return failed;
}

PyObject *bias(PyObject *module, PyObject *const *args, Py_ssize_t given, PyObject *keywords)
{
    static const enum arg list[] = {ARG_GRAD_OUTPUT, ARG_LAYOUT, ARG_OUT, ARG_ACCUMULATE,
                                    ARG_THREADS};
    static const struct signature signature = {"bias", list, 5, 1, 1};
    struct module_state *const state = state_of(module);
    const char *const name = signature.name, *layout;
    struct tc_sums sums;
    struct tc_status status;
    struct output out = {.object = NULL};
    PyObject *slots[ARG_COUNT], *result = NULL;
    PyArrayObject *grad = NULL, *y = NULL;
    int threads;

    if (bind_args(&state->names, &signature, args, given, keywords, slots) ||
        read_string(name, "layout", slots[ARG_LAYOUT], &layout) ||
        read_threads(name, slots[ARG_THREADS], &threads) ||
        read_flag(slots[ARG_ACCUMULATE], &out.accumulate) ||
        !(grad = read_array(name, "grad_output", slots[ARG_GRAD_OUTPUT])) ||
        make_usable(name, "grad_output", slots[ARG_GRAD_OUTPUT], &grad)) {
        goto done;
    }
    if (tc_sums_check(&sums, shape_of(grad), layout, &status)) {
        raise_status(name, &status);
        goto done;
    }
    out.object = slots[ARG_OUT];
    const struct result wanted = {dtype_of(grad), 1, {sums.channels}};
    y = start_output(name, &out, &wanted, &grad, 1);
    if (y == NULL ||
        (tc_dtype_has_kernels(wanted.dtype)
             ? compute_sums(state, &sums, grad, y, threads ? threads : default_threads())
             : sum_by_parts(grad, sums.channel_axis, y))) {
        goto done;
    }
    result = finish_output(&out, y);
    y = NULL;
done:
    Py_XDECREF(grad);
    Py_XDECREF(y);
    return result;
}
