/* SPDX-License-Identifier: BSD-3-Clause */
/* Between arrays of half precision and of float32, faster than NumPy's conversion. */
#include "module.h"

#include "base/parallel.h"
#include "base/size.h"
#include "ndarray.h"

enum { PIECE = 1 << 15 }; /* elements of a task */

struct pieces {
    const struct tc_kernels *kernels;
    bool widens;
    int kind; /* of half precision, as the kernels count */
    void *dst;
    const void *src;
    ptrdiff_t count;
};

static void convert_piece(const void *context, ptrdiff_t task, int thread)
{
    const struct pieces *const pieces = context;
    const ptrdiff_t at = task * PIECE, count = tc_min(PIECE, pieces->count - at);
    (void)thread;
    if (pieces->widens) {
        pieces->kernels->widen[pieces->kind]((float *)pieces->dst + at,
                                             (const uint16_t *)pieces->src + at, count);
    } else {
        pieces->kernels->narrow[pieces->kind]((uint16_t *)pieces->dst + at,
                                              (const float *)pieces->src + at, count);
    }
}

static bool is_contiguous(PyArrayObject *array)
{
    return PyArray_IS_C_CONTIGUOUS(array) && PyArray_ISBEHAVED_RO(array);
}

PyObject *convert_half(PyObject *module, PyObject *args)
{
    const struct module_state *const state = state_of(module);
    PyArrayObject *dst, *src;
    int threads;
    if (!PyArg_ParseTuple(args, "O!O!i:convert_half", &PyArray_Type, &dst, &PyArray_Type, &src,
                          &threads)) {
        return NULL;
    }
    const bool widens = dtype_of(dst) == TC_F32;
    const enum tc_dtype half = dtype_of(widens ? src : dst), single = dtype_of(widens ? dst : src);
    if (single != TC_F32 || !(half == TC_F16 || half == TC_BF16) || !is_contiguous(dst) ||
        !is_contiguous(src) || !PyArray_ISWRITEABLE(dst) ||
        PyArray_SIZE(dst) != PyArray_SIZE(src)) {
        PyErr_SetString(PyExc_TypeError,
                        "convert_half: an array of half precision and one of float32, contiguous "
                        "and of the same size");
        return NULL;
    }
    const struct pieces pieces = {tc_kernels_find(state->isa, TC_F32, &state->cpu),
                                  widens,
                                  half == TC_BF16,
                                  PyArray_DATA(dst),
                                  PyArray_DATA(src),
                                  PyArray_SIZE(src)};
    Py_BEGIN_ALLOW_THREADS;
    tc_parallel(tc_ceil_div(pieces.count, PIECE), threads, convert_piece, &pieces, NULL);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}
