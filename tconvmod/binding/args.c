/* SPDX-License-Identifier: BSD-3-Clause */
#include "args.h"
#include "module.h"
#include "ndarray.h"

#include <string.h>

static const char *const names_of_args[ARG_COUNT] = {
    [ARG_INPUT] = "input",
    [ARG_INPUT_SIZE] = "input_size",
    [ARG_WEIGHT] = "weight",
    [ARG_WEIGHT_SIZE] = "weight_size",
    [ARG_GRAD_OUTPUT] = "grad_output",
    [ARG_BIAS] = "bias",
    [ARG_STRIDE] = "stride",
    [ARG_PADDING] = "padding",
    [ARG_OUTPUT_PADDING] = "output_padding",
    [ARG_GROUPS] = "groups",
    [ARG_DILATION] = "dilation",
    [ARG_OUTPUT_SIZE] = "output_size",
    [ARG_OUT] = "out",
    [ARG_ACCUMULATE] = "accumulate",
    [ARG_THREADS] = "threads",
    [ARG_OP] = "op",
    [ARG_INPUT_SHAPE] = "input_shape",
    [ARG_WEIGHT_SHAPE] = "weight_shape",
    [ARG_DTYPE] = "dtype",
    [ARG_ISA] = "isa",
    [ARG_ENGINE] = "engine",
    [ARG_KEPT] = "kept",
    [ARG_LAYOUT] = "layout",
    [ARG_ACTIVATION] = "activation",
    [ARG_PADDING_MODE] = "padding_mode",
    [ARG_OUT_DTYPE] = "out_dtype",
};

enum { MAX_THREADS = 1024 };

int arg_names_init(struct arg_names *names)
{
    for (int arg = 0; arg < ARG_COUNT; arg++) {
        names->name[arg] = PyUnicode_InternFromString(names_of_args[arg]);
        if (names->name[arg] == NULL) {
            return -1;
        }
    }
    return 0;
}

void arg_names_clear(struct arg_names *names)
{
    for (int arg = 0; arg < ARG_COUNT; arg++) {
        Py_CLEAR(names->name[arg]);
    }
}

/* ---- binding ---- */

/* The argument called `keyword`, or -1: interned names meet by identity, others by comparison. */
static int find_arg(const struct arg_names *names, const struct signature *signature,
                    PyObject *keyword)
{
    for (int i = 0; i < signature->count; i++) {
        if (names->name[signature->args[i]] == keyword) {
            return (int)signature->args[i];
        }
    }
    for (int i = 0; i < signature->count; i++) {
        if (PyUnicode_Compare(names->name[signature->args[i]], keyword) == 0) {
            return (int)signature->args[i];
        }
    }
    return -1;
}

static int bind_keywords(const struct arg_names *names, const struct signature *signature,
                         PyObject *const *values, PyObject *keywords, PyObject *slots[ARG_COUNT])
{
    const Py_ssize_t count = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *const keyword = PyTuple_GET_ITEM(keywords, i);
        const int arg = find_arg(names, signature, keyword);
        if (arg < 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
                         signature->name, keyword);
            return -1;
        }
        if (slots[arg]) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'",
                         signature->name, keyword);
            return -1;
        }
        slots[arg] = values[i];
    }
    return 0;
}

int bind_args(const struct arg_names *names, const struct signature *signature,
              PyObject *const *args, Py_ssize_t given, PyObject *keywords,
              PyObject *slots[ARG_COUNT])
{
    memset(slots, 0, sizeof(PyObject *) * ARG_COUNT);
    if (given > signature->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional arguments (%zd given)",
                     signature->name, signature->positional, given);
        return -1;
    }
    for (Py_ssize_t i = 0; i < given; i++) {
        slots[signature->args[i]] = args[i];
    }
    if (bind_keywords(names, signature, args + given, keywords, slots)) {
        return -1;
    }
    for (int i = 0; i < signature->required; i++) {
        if (slots[signature->args[i]] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s' (pos %d)",
                         signature->name, names_of_args[signature->args[i]], i + 1);
            return -1;
        }
    }
    return 0;
}

/* ---- reading ---- */

/* NumPy lets every array have __index__, and refuses at last those that are no integer. */
static bool is_no_integer(PyObject *object)
{
    PyArrayObject *const array = (PyArrayObject *)object;
    return PyArray_Check(object) && !(PyArray_NDIM(array) == 0 && PyArray_ISINTEGER(array));
}

/* Anything with __index__ but bool. */
static int read_index(const char *function, const char *argument, PyObject *object,
                      ptrdiff_t *value)
{
    if (!PyIndex_Check(object) || PyBool_Check(object) || is_no_integer(object)) {
        PyErr_Format(PyExc_TypeError, "%s: %s must be an int or a sequence of ints, got %s%s",
                     function, argument, PyUnicode_Check(object) ? "the string " : "",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *value = PyNumber_AsSsize_t(object, PyExc_OverflowError);
    if (*value == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Format(PyExc_OverflowError, "%s: %s does not fit 64 bits", function, argument);
        }
        return -1;
    }
    return 0;
}

static int read_items(const char *function, const char *argument, PyObject *sequence,
                      struct tc_values *values)
{
    for (ptrdiff_t i = 0; i < values->count && i < TC_MAX_VALUES; i++) {
        PyObject *const item = PySequence_GetItem(sequence, i);
        const int failed = item == NULL || read_index(function, argument, item, &values->at[i]);
        Py_XDECREF(item);
        if (failed) {
            return -1;
        }
    }
    return 0;
}

/* An int or a sequence of ints; a 0-d array is an int although it looks like a sequence. */
static int read_values(const char *function, const char *argument, PyObject *object,
                       struct tc_values *values)
{
    const bool text = PyUnicode_Check(object) || PyBytes_Check(object);
    if (!PyLong_Check(object) && !text && PySequence_Check(object)) {
        values->count = PySequence_Size(object);
        if (values->count >= 0) {
            return read_items(function, argument, object, values);
        }
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
            return -1;
        }
        PyErr_Clear();
    }
    values->count = 1;
    return read_index(function, argument, object, &values->at[0]);
}

/* Two numbers an axis, before and after; -1 with an exception set. */
static int read_sides(const char *function, PyObject *sequence, struct tc_request *request)
{
    const Py_ssize_t count = PySequence_Size(sequence);
    request->padding.count = request->padding_end.count = count;
    request->padding_sides = true;
    for (Py_ssize_t i = 0; i < count && i < TC_MAX_VALUES; i++) {
        struct tc_values sides;
        PyObject *const pair = PySequence_GetItem(sequence, i);
        const int failed = pair == NULL || read_values(function, "padding", pair, &sides);
        Py_XDECREF(pair);
        if (failed) {
            return -1;
        }
        if (sides.count != 2) {
            PyErr_Format(PyExc_ValueError,
                         "%s: padding must be one pair (before, after) an axis, got %zd values in "
                         "the place of one",
                         function, sides.count);
            return -1;
        }
        request->padding.at[i] = sides.at[0];
        request->padding_end.at[i] = sides.at[1];
    }
    return count < 0 ? -1 : 0;
}

static int read_padding_rule(const char *function, PyObject *name, struct tc_request *request)
{
    static const struct {
        const char *name;
        enum tc_padding_rule rule;
    } rules[] = {{"valid", TC_PAD_GIVEN}, {"same", TC_PAD_SAME}, {"same_lower", TC_PAD_SAME_LOWER}};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (PyUnicode_CompareWithASCIIString(name, rules[i].name) == 0) {
            request->padding_rule = rules[i].rule;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "%s: padding must be numbers, 'valid', 'same' or 'same_lower', got %R", function,
                 name);
    return -1;
}

/* Whether it is a sequence of sequences. */
static bool has_pairs(PyObject *object)
{
    if (PyTuple_Check(object) || PyList_Check(object)) {
        PyObject *const first = PySequence_GetItem(object, 0);
        const bool pairs = first && (PyTuple_Check(first) || PyList_Check(first));
        if (first == NULL) { /* empty: read_values says so */
            PyErr_Clear();
        }
        Py_XDECREF(first);
        return pairs;
    }
    return PyArray_Check(object) && PyArray_NDIM((PyArrayObject *)object) == 2;
}

/* A rule, a pair for each axis, or numbers that stand for both sides. */
static int read_padding(const char *function, PyObject *object, struct tc_request *request)
{
    request->padding = request->padding_end = (struct tc_values){.count = 1, .at = {0}};
    request->padding_rule = TC_PAD_GIVEN;
    request->padding_sides = false;
    if (object == NULL) {
        return 0;
    }
    if (PyUnicode_Check(object)) {
        return read_padding_rule(function, object, request);
    }
    if (has_pairs(object)) {
        return read_sides(function, object, request);
    }
    if (read_values(function, "padding", object, &request->padding)) {
        return -1;
    }
    request->padding_end = request->padding;
    return 0;
}

static int read_padding_mode(const char *function, PyObject *object, struct tc_request *request)
{
    const char *mode;
    if (read_string(function, "padding_mode", object, &mode)) {
        return -1;
    }
    request->padding_mode = TC_PAD_ZEROS;
    for (int i = 0; mode && tc_padding_modes[i]; i++) {
        if (strcmp(mode, tc_padding_modes[i]) == 0) {
            request->padding_mode = (enum tc_padding_mode)i;
            return 0;
        }
    }
    if (mode) {
        PyErr_Format(PyExc_ValueError,
                     "%s: padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', got "
                     "'%s'",
                     function, mode);
    }
    return mode ? -1 : 0;
}

static int read_layout(const char *function, PyObject *const slots[ARG_COUNT],
                       struct tc_request *request)
{
    struct tc_status status;
    const char *layout;
    if (read_string(function, "layout", slots[ARG_LAYOUT], &layout)) {
        return -1;
    }
    return tc_layout_parse(&request->layout, request->operation->rank, layout, &status)
               ? raise_status(function, &status)
               : 0;
}

int read_options(const char *function, PyObject *const slots[ARG_COUNT], struct tc_request *request)
{
    const struct {
        enum arg arg;
        struct tc_values *values;
        ptrdiff_t otherwise;
    } rows[] = {
        {ARG_STRIDE, &request->stride, 1},
        {ARG_OUTPUT_PADDING, &request->output_padding, 0},
        {ARG_DILATION, &request->dilation, 1},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        PyObject *const given = slots[rows[row].arg];
        *rows[row].values = (struct tc_values){.count = 1, .at = {rows[row].otherwise}};
        if (given && read_values(function, names_of_args[rows[row].arg], given, rows[row].values)) {
            return -1;
        }
    }
    if (read_padding(function, slots[ARG_PADDING], request) ||
        read_padding_mode(function, slots[ARG_PADDING_MODE], request)) {
        return -1;
    }
    request->groups = 1;
    if (slots[ARG_GROUPS] && read_index(function, "groups", slots[ARG_GROUPS], &request->groups)) {
        return -1;
    }
    return read_layout(function, slots, request) || read_output_size(function, slots, request) ? -1
                                                                                               : 0;
}

int read_dtype(const char *function, PyObject *object, PyArray_Descr **descr)
{
    *descr = NULL;
    if (object == NULL || object == Py_None || PyArray_DescrConverter(object, descr)) {
        return 0;
    }
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Format(PyExc_TypeError, "%s: out_dtype must be a dtype, got %R", function, object);
    }
    return -1;
}

int set_out_dtype(const char *function, PyArray_Descr *descr, enum tc_dtype input,
                  enum tc_dtype *result)
{
    *result = input;
    if (descr == NULL) {
        return 0;
    }
    const int found = find_dtype(descr);
    const bool fits =
        found == (int)input ||
        (found >= 0 && tc_dtype_is_integer(input) && tc_dtype_is_integer((enum tc_dtype)found)) ||
        (found == TC_F32 && tc_dtype_is_half(input));
    if (fits) {
        *result = (enum tc_dtype)found;
    } else {
        PyErr_Format(PyExc_TypeError,
                     "%s: out_dtype must be %s for %s, got %S; convert the inputs before or the "
                     "result after",
                     function,
                     tc_dtype_is_integer(input) ? "an integer dtype"
                     : tc_dtype_is_half(input)  ? "the same or float32"
                                                : "the same",
                     tc_dtype_rows[input].name, descr);
    }
    return fits ? 0 : -1;
}

int read_output_size(const char *function, PyObject *const slots[ARG_COUNT],
                     struct tc_request *request)
{
    const int rank = request->operation->rank;
    PyObject *const size = slots[ARG_OUTPUT_SIZE];
    request->has_output_size = size != NULL && size != Py_None;
    if (!request->has_output_size) {
        return 0;
    }
    if (PyArray_Check(size) && PyArray_NDIM((PyArrayObject *)size) > rank) {
        const struct tc_shape shape = shape_of((PyArrayObject *)size); /* an image to be like */
        request->output_size.count = rank;
        memcpy(request->output_size.at,
               shape.dims + shape.ndim - rank - request->layout.output_last,
               sizeof(ptrdiff_t) * (size_t)rank);
        return 0;
    }
    return read_values(function, "output_size", size, &request->output_size);
}

/* "leaky_relu" by itself has torch's slope. */
int read_activation(const char *function, PyObject *object, struct tc_activation *activation)
{
    static const char *const names[] = {
        [TC_RELU] = "relu",
        [TC_LEAKY_RELU] = "leaky_relu",
        [TC_TANH] = "tanh",
        [TC_SIGMOID] = "sigmoid",
    };
    PyObject *name = object, *slope = NULL;
    *activation = (struct tc_activation){TC_NO_ACTIVATION, 0.01};
    if (object == NULL || object == Py_None) {
        return 0;
    }
    if (PyTuple_Check(object) && PyTuple_GET_SIZE(object) == 2) {
        name = PyTuple_GET_ITEM(object, 0);
        slope = PyTuple_GET_ITEM(object, 1);
    }
    for (int kind = TC_RELU; kind <= TC_SIGMOID && PyUnicode_Check(name); kind++) {
        if (PyUnicode_CompareWithASCIIString(name, names[kind]) == 0 &&
            (slope == NULL || kind == TC_LEAKY_RELU)) {
            activation->kind = (enum tc_activation_kind)kind;
        }
    }
    if (activation->kind == TC_NO_ACTIVATION) {
        PyErr_Format(PyUnicode_Check(name) ? PyExc_ValueError : PyExc_TypeError,
                     "%s: activation must be None, 'relu', 'tanh', 'sigmoid' or "
                     "('leaky_relu', slope), got %R",
                     function, object);
        return -1;
    }
    if (slope && !PyNumber_Check(slope)) {
        PyErr_Format(PyExc_TypeError, "%s: the slope of activation must be a real number, got %s",
                     function, Py_TYPE(slope)->tp_name);
        return -1;
    }
    activation->slope = slope ? PyFloat_AsDouble(slope) : activation->slope;
    return activation->slope == -1 && PyErr_Occurred() ? -1 : 0;
}

int read_flag(PyObject *flag, bool *result)
{
    const int truth = flag ? PyObject_IsTrue(flag) : 0;
    *result = truth > 0;
    return truth < 0 ? -1 : 0;
}

int read_threads(const char *function, PyObject *threads, int *result)
{
    ptrdiff_t value = 0;
    if (threads != NULL && threads != Py_None) {
        if (read_index(function, "threads", threads, &value)) {
            return -1;
        }
        if (value < 1) {
            PyErr_Format(PyExc_ValueError, "%s: threads must be >= 1, got %zd", function, value);
            return -1;
        }
    }
    *result = value < MAX_THREADS ? (int)value : MAX_THREADS;
    return 0;
}

int read_shape(const char *function, const char *argument, PyObject *shape,
               struct tc_values *values)
{
    if (!PyTuple_Check(shape) && !PyList_Check(shape)) {
        PyErr_Format(PyExc_TypeError, "%s: %s must be a tuple of ints, got %s", function, argument,
                     Py_TYPE(shape)->tp_name);
        return -1;
    }
    if (read_values(function, argument, shape, values)) {
        return -1;
    }
    if (values->count > TC_MAX_VALUES) {
        PyErr_Format(PyExc_ValueError, "%s: %s must have at most %d dimensions, got %zd", function,
                     argument, TC_MAX_VALUES, values->count);
        return -1;
    }
    for (ptrdiff_t i = 0; i < values->count; i++) {
        if (values->at[i] < 0) {
            PyErr_Format(PyExc_ValueError, "%s: %s must not be negative, got %zd", function,
                         argument, values->at[i]);
            return -1;
        }
    }
    return 0;
}

int read_string(const char *function, const char *argument, PyObject *string, const char **result)
{
    *result = NULL;
    if (string == NULL || string == Py_None) {
        return 0;
    }
    if (!PyUnicode_Check(string)) {
        PyErr_Format(PyExc_TypeError, "%s: %s must be a string, got %s", function, argument,
                     Py_TYPE(string)->tp_name);
        return -1;
    }
    *result = PyUnicode_AsUTF8(string);
    return *result ? 0 : -1;
}
