/* SPDX-License-Identifier: BSD-3-Clause */
#include "ndarray.h"

#include "foreign.h"

#include <stdbool.h>
#include <string.h>

/* ---- dtypes ---- */

/* bfloat16 is none of NumPy's own: ml_dtypes brings it. */
static bool is_bfloat16(PyArray_Descr *descr)
{
    const char *const name = descr->typeobj->tp_name, *const dot = strrchr(name, '.');
    return PyDataType_ELSIZE(descr) == 2 && strcmp(dot ? dot + 1 : name, "bfloat16") == 0;
}

int find_dtype(PyArray_Descr *descr)
{
    for (int i = 0; i < TC_DTYPES; i++) {
        const struct tc_dtype_row *const row = &tc_dtype_rows[i];
        if (i == TC_BF16 ? is_bfloat16(descr)
                         : descr->kind == row->kind && PyDataType_ELSIZE(descr) == row->bytes) {
            return i;
        }
    }
    return -1;
}

enum tc_dtype dtype_of(PyArrayObject *array)
{
    return (enum tc_dtype)find_dtype(PyArray_DESCR(array));
}

/* A new reference. */
static PyArray_Descr *descr_of(enum tc_dtype dtype)
{
    PyArray_Descr *descr = NULL;
    if (dtype == TC_F32 || dtype == TC_F64) {
        return PyArray_DescrFromType(dtype == TC_F32 ? NPY_FLOAT32 : NPY_FLOAT64);
    }
    PyObject *const module = PyImport_ImportModule(dtype == TC_BF16 ? "ml_dtypes" : "numpy");
    PyObject *const type =
        module ? PyObject_GetAttrString(module, tc_dtype_rows[dtype].name) : NULL;
    if (type) {
        PyArray_DescrConverter(type, &descr);
    }
    Py_XDECREF(module);
    Py_XDECREF(type);
    return descr;
}

int dtype_from_name(const char *function, const char *name, enum tc_dtype *dtype)
{
    for (int i = 0; i < TC_DTYPES; i++) {
        if (strcmp(name, tc_dtype_rows[i].name) == 0) {
            *dtype = (enum tc_dtype)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError, "%s: dtype must be %s, got %s", function, SUPPORTED_DTYPES, name);
    return -1;
}

int check_same_dtype(const char *function, const char *argument, PyArrayObject *array,
                     const char *other_argument, PyArrayObject *other)
{
    if (other == NULL || dtype_of(array) == dtype_of(other)) {
        return 0;
    }
    const char *const wanted = tc_dtype_rows[dtype_of(array)].name;
    PyErr_Format(PyExc_TypeError,
                 "%s: %s is %s but %s is %s; convert one of them, as in %s.astype('%s')", function,
                 argument, wanted, other_argument, tc_dtype_rows[dtype_of(other)].name,
                 other_argument, wanted);
    return -1;
}

int check_dtype(const char *function, const char *argument, PyArrayObject *array,
                enum tc_dtype dtype)
{
    const char *const wanted = tc_dtype_rows[dtype].name;
    if (dtype_of(array) == dtype) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError,
                 "%s: %s is %s but the plan's weight is %s; convert it, as in "
                 "%s.astype('%s')",
                 function, argument, tc_dtype_rows[dtype_of(array)].name, wanted, argument, wanted);
    return -1;
}

/* ---- inputs ---- */

/* Computing with what a mask hides would be wrong without a word. */
static int refuse_masked(const char *function, const char *argument, PyObject *object)
{
    if (PyArray_CheckExact(object)) {
        return 0;
    }
    PyObject *const module = PyImport_ImportModule("numpy.ma");
    PyObject *const masked = module ? PyObject_CallMethod(module, "is_masked", "O", object) : NULL;
    const int answer = masked ? PyObject_IsTrue(masked) : -1;
    Py_XDECREF(masked);
    Py_XDECREF(module);
    if (answer > 0) {
        PyErr_Format(PyExc_TypeError,
                     "%s: %s is a masked array, and its mask would be lost; pass %s.filled(value)",
                     function, argument, argument);
    }
    return answer ? -1 : 0;
}

static bool has_whole_strides(PyArrayObject *array)
{
    for (int axis = 0; axis < PyArray_NDIM(array); axis++) {
        if (PyArray_STRIDE(array, axis) % PyArray_ITEMSIZE(array) != 0) {
            return false;
        }
    }
    return true;
}

PyArrayObject *read_array(const char *function, const char *argument, PyObject *object)
{
    if (object == NULL || object == Py_None) {
        PyErr_Format(PyExc_TypeError, "%s: %s must be an array, got None", function, argument);
        return NULL;
    }
    if (PyArray_Check(object)) {
        return refuse_masked(function, argument, object) ? NULL
                                                         : (PyArrayObject *)Py_NewRef(object);
    }
    return read_foreign(function, argument, object);
}

int read_optional(const char *function, const char *argument, PyObject *object,
                  PyArrayObject **array)
{
    *array = NULL;
    if (object == NULL || object == Py_None) {
        return 0;
    }
    *array = read_array(function, argument, object);
    return *array ? 0 : -1;
}

int make_usable(const char *function, const char *argument, PyObject *object, PyArrayObject **array)
{
    PyArrayObject *const given = *array;
    if (find_dtype(PyArray_DESCR(given)) < 0) {
        refuse_dtype(function, argument, object, (PyObject *)PyArray_DESCR(given));
        return -1;
    }
    if (PyArray_ISALIGNED(given) && PyArray_ISNOTSWAPPED(given) && has_whole_strides(given)) {
        return 0;
    }
    PyArray_Descr *const descr = descr_of(dtype_of(given));
    if (descr == NULL) {
        return -1;
    }
    *array = (PyArrayObject *)PyArray_FromArray(
        given, descr, NPY_ARRAY_CARRAY | NPY_ARRAY_ENSURECOPY | NPY_ARRAY_ENSUREARRAY);
    Py_DECREF(given);
    return *array ? 0 : -1;
}

/* ---- views ---- */

void element_strides(PyArrayObject *array, ptrdiff_t strides[])
{
    for (int axis = 0; axis < PyArray_NDIM(array); axis++) {
        strides[axis] = PyArray_STRIDE(array, axis) / PyArray_ITEMSIZE(array);
    }
}

struct tc_image image_of(PyArrayObject *array, const struct tc_problem *problem, bool last)
{
    ptrdiff_t strides[TC_MAX_VALUES];
    element_strides(array, strides);
    return tc_problem_image(problem, PyArray_DATA(array), strides, last);
}

struct tc_weight weight_of(PyArrayObject *array, const struct tc_problem *problem)
{
    ptrdiff_t strides[TC_MAX_VALUES];
    element_strides(array, strides);
    return tc_problem_weight(problem, PyArray_DATA(array), strides);
}

struct tc_bias bias_of(PyArrayObject *array)
{
    struct tc_bias bias = {NULL, 0};
    if (array) {
        bias.data = PyArray_DATA(array);
        element_strides(array, &bias.c);
    }
    return bias;
}

/* ---- output ---- */

/* The bytes that an array spans, from its lowest element to behind its highest. */
struct span {
    const char *begin, *end;
};

static struct span span_of(PyArrayObject *array)
{
    struct span span = {PyArray_BYTES(array), PyArray_BYTES(array)};
    for (int axis = 0; axis < PyArray_NDIM(array); axis++) {
        const npy_intp reach = (PyArray_DIM(array, axis) - 1) * PyArray_STRIDE(array, axis);
        if (PyArray_DIM(array, axis) == 0) {
            return (struct span){NULL, NULL};
        }
        *(reach < 0 ? &span.begin : &span.end) += reach;
    }
    span.end += PyArray_ITEMSIZE(array);
    return span;
}

static bool may_overlap(PyArrayObject *a, PyArrayObject *b)
{
    const struct span of_a = span_of(a), of_b = span_of(b);
    return of_a.begin < of_b.end && of_b.begin < of_a.end;
}

/* Marks every element's bytes: exact, for the rare strides that the sufficient test cannot tell. */
static int marks_collide(PyArrayObject *array)
{
    const struct span span = span_of(array);
    const size_t extent = (size_t)(span.end - span.begin);
    char *const marks = PyMem_RawCalloc(extent, 1);
    PyObject *const iterator = marks ? PyArray_IterNew((PyObject *)array) : NULL;
    int collide = 0;
    while (iterator && !collide && PyArray_ITER_NOTDONE(iterator)) {
        char *const mark = marks + ((const char *)PyArray_ITER_DATA(iterator) - span.begin);
        const size_t bytes = (size_t)PyArray_ITEMSIZE(array);
        collide = memchr(mark, 1, bytes) != NULL;
        memset(mark, 1, bytes);
        PyArray_ITER_NEXT(iterator);
    }
    collide = iterator ? collide : -1;
    Py_XDECREF(iterator);
    PyMem_RawFree(marks);
    return marks ? collide : (PyErr_NoMemory(), -1);
}

/* Whether two elements share memory. Surely not if every stride steps over all that the shorter
 * ones reach. */
static int overlaps_itself(PyArrayObject *array)
{
    bool used[TC_MAX_VALUES] = {false};
    npy_intp reach = PyArray_ITEMSIZE(array);
    if (PyArray_SIZE(array) == 0) {
        return 0;
    }
    for (int round = 0; round < PyArray_NDIM(array); round++) {
        npy_intp stride = NPY_MAX_INTP;
        int shortest = 0;
        for (int axis = 0; axis < PyArray_NDIM(array); axis++) {
            const npy_intp length = Py_ABS(PyArray_STRIDE(array, axis));
            if (!used[axis] && length < stride) {
                stride = length;
                shortest = axis;
            }
        }
        used[shortest] = true;
        if (PyArray_DIM(array, shortest) > 1) {
            if (stride < reach) {
                return stride == 0 ? 1 : marks_collide(array);
            }
            reach += (PyArray_DIM(array, shortest) - 1) * stride;
        }
    }
    return 0;
}

struct result result_of(const struct tc_problem *problem)
{
    struct result result = {.dtype = problem->dtype};
    result.ndim = tc_problem_shape(problem, result.dims);
    return result;
}

static int check_output(const char *function, PyObject *object, const struct result *wanted)
{
    PyArrayObject *const out = (PyArrayObject *)object;
    const int ndim = wanted->ndim;
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s: out must be a numpy.ndarray, got %s%s", function,
                     Py_TYPE(object)->tp_name,
                     type_has(object, "__dlpack__")
                         ? "; pass a view of its memory, as in np.from_dlpack(out)"
                         : "");
        return -1;
    }
    if (find_dtype(PyArray_DESCR(out)) != (int)wanted->dtype || !PyArray_ISNOTSWAPPED(out)) {
        PyErr_Format(PyExc_TypeError, "%s: out must have dtype %s, got %S", function,
                     tc_dtype_rows[wanted->dtype].name, PyArray_DESCR(out));
        return -1;
    }
    if (PyArray_NDIM(out) != ndim || !PyArray_CompareLists(PyArray_DIMS(out), wanted->dims, ndim)) {
        PyObject *const shape = PyArray_IntTupleFromIntp(ndim, wanted->dims);
        PyObject *const got = PyObject_GetAttrString(object, "shape");
        PyErr_Format(PyExc_ValueError, "%s: out must have shape %S, got %S", function, shape, got);
        Py_XDECREF(shape);
        Py_XDECREF(got);
        return -1;
    }
    if (!PyArray_ISWRITEABLE(out)) {
        PyErr_Format(PyExc_ValueError, "%s: output array is read-only", function);
        return -1;
    }
    const int overlaps = overlaps_itself(out);
    if (overlaps > 0) {
        PyErr_Format(PyExc_ValueError, "%s: elements of out share memory", function);
    }
    return overlaps ? -1 : 0;
}

PyArrayObject *start_output(const char *function, const struct output *out,
                            const struct result *wanted, PyArrayObject *const inputs[], int count)
{
    if (out->object != NULL && out->object != Py_None) {
        PyArrayObject *const array = (PyArrayObject *)out->object;
        if (check_output(function, out->object, wanted)) {
            return NULL;
        }
        bool usable =
            !out->accumulate && !out->late && PyArray_ISALIGNED(array) && has_whole_strides(array);
        for (int i = 0; i < count; i++) {
            usable = usable && (inputs[i] == NULL || !may_overlap(array, inputs[i]));
        }
        if (usable) {
            return (PyArrayObject *)Py_NewRef(out->object);
        }
    } else if (out->accumulate) {
        PyErr_Format(PyExc_ValueError, "%s: accumulate adds to out, but there is no out", function);
        return NULL;
    }
    PyArray_Descr *const descr = descr_of(wanted->dtype);
    return descr ? (PyArrayObject *)PyArray_SimpleNewFromDescr(wanted->ndim, wanted->dims, descr)
                 : NULL;
}

int add_array(PyArrayObject *array, PyArrayObject *addend)
{
    PyObject *const sum = PyArray_View(array, NULL, &PyArray_Type);
    PyObject *const plain = PyArray_View(addend, NULL, &PyArray_Type);
    PyObject *const done = sum && plain ? PyNumber_InPlaceAdd(sum, plain) : NULL;
    Py_XDECREF(sum);
    Py_XDECREF(plain);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

PyObject *finish_output(const struct output *out, PyArrayObject *y)
{
    PyObject *const object = out->object;
    if (object == NULL || object == Py_None || object == (PyObject *)y) {
        return (PyObject *)y;
    }
    PyArrayObject *const array = (PyArrayObject *)object;
    const int failed = out->accumulate ? add_array(array, y) : PyArray_CopyInto(array, y);
    Py_DECREF(y);
    return failed ? NULL : Py_NewRef(object);
}
