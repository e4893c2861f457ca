/* SPDX-License-Identifier: BSD-3-Clause */
/* There are two protocols by which a tensor gives NumPy a view of its memory. NumPy follows
 * __array__ (and the buffer protocol) by itself; __dlpack__ it follows when it is asked to. Where
 * an object has both, __array__ is the one to trust: DLPack cannot say that memory holds the
 * negatives of the values or is not there at all, and torch exports such tensors without a word,
 * while its __array__ refuses them. It is the cheaper one, too. */
#include "foreign.h"

#include <string.h>

bool type_has(PyObject *object, const char *name)
{
    return PyObject_HasAttrString((PyObject *)Py_TYPE(object), name);
}

/* The exception that is set, which then is no longer set. */
static PyObject *take_exception(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return value;
}

/* Gives the exception that is set a cause; takes over the reference to it. */
static void set_cause(PyObject *cause)
{
    PyObject *const exception = take_exception();
    PyException_SetCause(exception, cause);
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
}

/* ---- questions about an object that could not be read; what goes wrong there is no news ---- */

/* The attribute, or what it returns if it is a method; NULL without an exception if it has none. */
static PyObject *ask(PyObject *object, const char *name)
{
    PyObject *answer = PyObject_GetAttrString(object, name);
    if (answer && PyCallable_Check(answer)) {
        Py_SETREF(answer, PyObject_CallNoArgs(answer));
    }
    PyErr_Clear();
    return answer;
}

static bool is_true(PyObject *object, const char *name)
{
    PyObject *const answer = ask(object, name);
    const bool truth = answer && PyObject_IsTrue(answer) > 0;
    Py_XDECREF(answer);
    PyErr_Clear();
    return truth;
}

/* Whether DLPack counts the object's device among those whose memory the CPU reads: its own, and
 * that which it shares with CUDA (pinned and managed) and ROCm. */
static bool is_elsewhere(PyObject *object)
{
    PyObject *const device = ask(object, "__dlpack_device__");
    PyObject *const type = device ? PySequence_GetItem(device, 0) : NULL;
    const long number = type ? PyLong_AsLong(type) : -1;
    Py_XDECREF(type);
    Py_XDECREF(device);
    PyErr_Clear();
    return number > 0 && number != 1 && number != 3 && number != 11 && number != 13;
}

/* Whether the text of a dtype ends as one of NumPy's own names of the supported ones, behind a dot:
 * "torch.float32". */
static bool names_supported(PyObject *dtype)
{
    PyObject *const text = PyObject_Str(dtype);
    const char *const name = text ? PyUnicode_AsUTF8(text) : NULL;
    const char *const dot = name ? strrchr(name, '.') : NULL;
    bool supported = false;
    for (int i = 0; name && i < TC_DTYPES; i++) {
        supported =
            supported || (i != TC_BF16 && !strcmp(dot ? dot + 1 : name, tc_dtype_rows[i].name));
    }
    Py_XDECREF(text);
    PyErr_Clear();
    return supported;
}

/* ---- refusals ---- */

void refuse_dtype(const char *function, const char *argument, PyObject *object, PyObject *dtype)
{
    const char *before = ", as in np.asarray(", *name = argument, *after = ", 'float32')";
    if (type_has(object, "astype")) {
        before = ", as in ", after = ".astype('float32')";
    } else if (type_has(object, "float")) {
        before = ", as in ", after = ".float()";
    } else if (type_has(object, "__dlpack__")) {
        before = " to float32", name = after = "";
    }
    PyErr_Format(PyExc_TypeError,
                 "%s: %s has dtype %S, which is not supported (it must be %s); "
                 "convert it%s%s%s",
                 function, argument, dtype, SUPPORTED_DTYPES, before, name, after);
}

static void refuse_device(const char *function, const char *argument, PyObject *object)
{
    PyObject *device = ask(object, "device");
    device = device ? device : ask(object, "__dlpack_device__");
    PyErr_Format(PyExc_TypeError,
                 "%s: %s is not on the CPU but on device %S; copy it there, as in %s.cpu()",
                 function, argument, device, argument);
    Py_XDECREF(device);
}

/* What a tensor may be besides its elements, and the way to get at them. */
static const struct {
    const char *question, *reason, *method;
} obstacles[] = {
    {"requires_grad", "requires grad, and autograd would not see this call", "detach"},
    {"is_conj", "has its conjugate bit set", "resolve_conj"},
    {"is_neg", "has its negative bit set", "resolve_neg"},
};

/* TypeError with the reason that is found first. */
static void refuse_tensor(const char *function, const char *argument, PyObject *object,
                          PyObject *exception)
{
    if (is_elsewhere(object)) {
        refuse_device(function, argument, object);
        return;
    }
    for (size_t i = 0; i < sizeof obstacles / sizeof obstacles[0]; i++) {
        if (is_true(object, obstacles[i].question)) {
            PyErr_Format(PyExc_TypeError, "%s: %s %s; pass %s.%s()", function, argument,
                         obstacles[i].reason, argument, obstacles[i].method);
            return;
        }
    }
    PyObject *const dtype = ask(object, "dtype");
    if (dtype && !names_supported(dtype)) {
        refuse_dtype(function, argument, object, dtype);
    } else {
        PyErr_Format(PyExc_TypeError, "%s: %s, of type %s, cannot be read as an array: %S",
                     function, argument, Py_TYPE(object)->tp_name, exception);
    }
    Py_XDECREF(dtype);
}

/* What the protocols raise where they do not work. Other exceptions are not for us to explain. */
static bool is_refusal(void)
{
    return PyErr_ExceptionMatches(PyExc_BufferError) || PyErr_ExceptionMatches(PyExc_TypeError) ||
           PyErr_ExceptionMatches(PyExc_RuntimeError) || PyErr_ExceptionMatches(PyExc_ValueError);
}

/* ---- reading ---- */

static PyArrayObject *from_dlpack(PyObject *object)
{
    PyObject *const numpy = PyImport_ImportModule("numpy");
    PyObject *const array = numpy ? PyObject_CallMethod(numpy, "from_dlpack", "O", object) : NULL;
    Py_XDECREF(numpy);
    return (PyArrayObject *)array;
}

PyArrayObject *read_foreign(const char *function, const char *argument, PyObject *object)
{
    const bool tensor = type_has(object, "__dlpack__");
    const bool known = PyObject_CheckBuffer(object) || type_has(object, "__array__");
    PyArrayObject *const array =
        tensor && !known ? from_dlpack(object)
                         : (PyArrayObject *)PyArray_FromAny(object, NULL, 0, 0, 0, NULL);
    if (array == NULL && tensor && is_refusal()) {
        PyObject *const exception = take_exception();
        refuse_tensor(function, argument, object, exception);
        set_cause(exception);
    }
    return array;
}
