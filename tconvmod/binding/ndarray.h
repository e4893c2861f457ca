/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_NDARRAY_H
#define TC_NDARRAY_H

/* Between NumPy arrays and the core's views. Views borrow: the array must outlive them. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "problem.h"

/* NumPy's headers, for all files; module.c alone imports the API. */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL tc_numpy_api
#ifndef TC_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

/* A new reference to `object` as an array. An array is not copied, nor is the memory of a tensor on
 * the CPU. This may run the caller's code (__array__), which may do anything to the arrays that
 * have been read before: so it comes before any of them is looked at. */
PyArrayObject *read_array(const char *function, const char *argument, PyObject *object);

/* The same for an optional argument: None and NULL give *array = NULL. */
int read_optional(const char *function, const char *argument, PyObject *object,
                  PyArrayObject **array);

/* Copies an array, unless it is of native byte order already, aligned and with strides of whole
 * elements; TypeError unless its dtype is supported. `object` is what it was read from. */
int make_usable(const char *function, const char *argument, PyObject *object,
                PyArrayObject **array);

enum tc_dtype dtype_of(PyArrayObject *array);

#define SUPPORTED_DTYPES "floating, complex or integer"

/* The enum tc_dtype of a descriptor, or -1. */
int find_dtype(PyArray_Descr *descr);

/* The dtype called `name`, such as "float32". */
int dtype_from_name(const char *function, const char *name, enum tc_dtype *dtype);

/* TypeError unless the two arrays have one dtype; the second may be NULL. */
int check_same_dtype(const char *function, const char *argument, PyArrayObject *array,
                     const char *other_argument, PyArrayObject *other);

/* TypeError unless the array has the dtype of a plan's weight. */
int check_dtype(const char *function, const char *argument, PyArrayObject *array,
                enum tc_dtype dtype);

static inline struct tc_shape shape_of(PyArrayObject *array)
{
    return array ? (struct tc_shape){true, PyArray_NDIM(array), PyArray_DIMS(array)}
                 : (struct tc_shape){false, 0, NULL};
}

/* At most TC_MAX_VALUES strides, in elements. */
void element_strides(PyArrayObject *array, ptrdiff_t strides[]);

/* `last` is the problem's x_last or y_last. */
struct tc_image image_of(PyArrayObject *array, const struct tc_problem *problem, bool last);
struct tc_weight weight_of(PyArrayObject *array, const struct tc_problem *problem);
struct tc_bias bias_of(PyArrayObject *array);

/* Where the caller wants the result: `object` may be NULL or None, which stands for a new array. */
struct output {
    PyObject *object;
    bool accumulate; /* add to what is there */
    bool late;       /* what is computed is not yet the result: it needs an array of its own */
};

/* What a result has to be. */
struct result {
    enum tc_dtype dtype;
    int ndim;
    npy_intp dims[TC_MAX_VALUES];
};

struct result result_of(const struct tc_problem *problem);

/* The array to compute into, a new reference: a new one if there is no object; the object itself;
 * or, if it is to be added to, overlaps one of the inputs or is laid out in a way that the core
 * does not take, a new one from which finish_output copies or adds. Fails if the object has not the
 * wanted shape and dtype, is read-only, or overlaps itself. */
PyArrayObject *start_output(const char *function, const struct output *out,
                            const struct result *wanted, PyArrayObject *const inputs[], int count);

/* array += addend, elementwise, whatever operators of its own a subclass of ndarray has. */
int add_array(PyArrayObject *array, PyArrayObject *addend);

/* The result to return, a new reference: y, or the object after y was copied into it or added to
 * it if need be. Takes over the reference to y. */
PyObject *finish_output(const struct output *out, PyArrayObject *y);

#endif
