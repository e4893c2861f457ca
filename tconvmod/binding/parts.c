/* SPDX-License-Identifier: BSD-3-Clause */
/* The engines know float32, float64 and padding with zeros. Every operation is linear in each of
 * its arrays, so the rest is sums of such calls, which Python writes down: tconv._dtypes splits
 * elements (halves, complex numbers, integers), tconv._borders splits images (padding modes). Here
 * they get what has been checked: the arrays, the options as numbers, the array to fill. */
#include "module.h"

/* Whether something is added at the borders that zeros would not. */
static bool has_borders(const struct tc_problem *problem)
{
    bool padded = false;
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        padded = padded || problem->p[axis] > 0 || problem->pe[axis] > 0;
    }
    return padded && problem->mode != TC_PAD_ZEROS;
}

bool goes_by_parts(const struct tc_problem *problem)
{
    return !tc_dtype_has_kernels(problem->dtype) || has_borders(problem);
}

struct tc_problem computed_problem(const struct tc_problem *problem)
{
    struct tc_problem computed = *problem;
    const bool single = tc_dtype_is_half(problem->dtype) || problem->dtype == TC_C64;
    if (!tc_dtype_has_kernels(problem->dtype)) {
        computed.dtype = single ? TC_F32 : TC_F64;
    }
    return computed;
}

/* Adds to the dict; takes over the reference. */
static int put(PyObject *dict, const char *key, PyObject *value)
{
    const int failed = value == NULL || PyDict_SetItemString(dict, key, value);
    Py_XDECREF(value);
    return failed ? -1 : 0;
}

static PyObject *axes_of(const struct tc_problem *problem, const ptrdiff_t axes[TC_SPATIAL])
{
    const int rank = problem->operation->rank;
    return PyArray_IntTupleFromIntp(rank, axes + TC_SPATIAL - rank);
}

/* A pair for each axis. */
static PyObject *sides_of(const struct tc_problem *problem)
{
    const int rank = problem->operation->rank;
    PyObject *const sides = PyTuple_New(rank);
    for (int axis = 0; sides && axis < rank; axis++) {
        const int at = TC_SPATIAL - rank + axis;
        PyObject *const pair = Py_BuildValue("(nn)", problem->p[at], problem->pe[at]);
        if (pair == NULL) {
            Py_DECREF(sides);
            return NULL;
        }
        PyTuple_SET_ITEM(sides, axis, pair);
    }
    return sides;
}

/* The options that every call of the parts has. */
static PyObject *options_of(const struct parts *parts)
{
    const struct tc_problem *const problem = parts->problem;
    PyObject *const layout = parts->slots[ARG_LAYOUT], *const dict = PyDict_New();
    if (dict && (put(dict, "stride", axes_of(problem, problem->s)) ||
                 put(dict, "padding", sides_of(problem)) ||
                 put(dict, "dilation", axes_of(problem, problem->d)) ||
                 put(dict, "groups", PyLong_FromSsize_t(problem->g)) ||
                 (problem->operation->transposed &&
                  put(dict, "output_padding", axes_of(problem, problem->op))) ||
                 put(dict, "layout", Py_NewRef(layout ? layout : Py_None)) ||
                 put(dict, "padding_mode", PyUnicode_FromString(tc_padding_modes[problem->mode])) ||
                 put(dict, "threads", PyLong_FromLong(parts->threads)))) {
        Py_DECREF(dict);
        return NULL;
    }
    return dict;
}

/* What `function` of the package's module `where` is to fill, and what it reads. */
static int fill(const char *where, const struct parts *parts, PyArrayObject *y, PyObject *more)
{
    PyArrayObject *const *const of = parts->arrays->of;
    PyObject *const array[] = {
        of[TC_INPUT] ? (PyObject *)of[TC_INPUT] : Py_None,
        of[TC_WEIGHT] ? (PyObject *)of[TC_WEIGHT] : Py_None,
        of[TC_OUTPUT] ? (PyObject *)of[TC_OUTPUT] : Py_None,
        of[BIAS] ? (PyObject *)of[BIAS] : Py_None,
    };
    PyObject *const module = PyImport_ImportModule(where);
    PyObject *const function =
        module ? PyObject_GetAttrString(parts->module, parts->problem->operation->name) : NULL;
    PyObject *const options = function ? options_of(parts) : NULL;
    PyObject *const done =
        options ? PyObject_CallMethod(module, "fill", "OO(OOOO)OO", function, (PyObject *)y,
                                      array[0], array[1], array[2], array[3], options, more)
                : NULL;
    Py_XDECREF(module);
    Py_XDECREF(function);
    Py_XDECREF(options);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int check_activation(const char *name, enum tc_dtype dtype,
                            const struct tc_activation *activation)
{
    if (activation->kind == TC_NO_ACTIVATION || tc_dtype_rows[dtype].kind == 'f') {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s: activation needs a floating dtype, got %s", name,
                 tc_dtype_rows[dtype].name);
    return -1;
}

/* Elements of half precision are rounded once, after all that is done to them: so what is done
 * last, by others, is done by the call in float32 that computes them. */
static PyObject *last_steps(const struct parts *parts, struct output *out)
{
    PyObject *const activation = parts->slots[ARG_ACTIVATION];
    PyObject *const addend = out->accumulate ? out->object : Py_None;
    out->accumulate = false;
    return Py_BuildValue("{s:O,s:O}", "activation", activation ? activation : Py_None, "addend",
                         addend);
}

PyObject *run_by_parts(const struct module_state *state, const struct parts *parts,
                       struct output *out, const struct tc_activation *activation,
                       const struct result *wanted)
{
    const enum tc_dtype dtype = parts->problem->dtype;
    const char *const name = parts->problem->operation->name;
    const bool half = tc_dtype_is_half(dtype);
    static const struct tc_activation none = {TC_NO_ACTIVATION, 0};
    if (check_activation(name, dtype, activation)) {
        return NULL;
    }
    out->late = !half && activation->kind != TC_NO_ACTIVATION;
    PyArrayObject *const y = start_output(name, out, wanted, parts->arrays->of, ARRAYS);
    if (y && PyArray_SIZE(y) == 0) {
        return finish_output(out, y);
    }
    PyObject *const more = y && half ? last_steps(parts, out) : PyDict_New();
    if (y == NULL || more == NULL ||
        fill(tc_dtype_has_kernels(dtype) ? "tconv._borders" : "tconv._dtypes", parts, y, more)) {
        Py_XDECREF(y);
        Py_XDECREF(more);
        return NULL;
    }
    Py_DECREF(more);
    return finish(state, out, half ? &none : activation, y);
}

int sum_by_parts(PyArrayObject *grad, int channel_axis, PyArrayObject *y)
{
    PyObject *const module = PyImport_ImportModule("tconv._dtypes");
    PyObject *const done = module ? PyObject_CallMethod(module, "fill_sums", "OOi", (PyObject *)y,
                                                        (PyObject *)grad, channel_axis)
                                  : NULL;
    Py_XDECREF(module);
    Py_XDECREF(done);
    return done ? 0 : -1;
}
