/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations as Python functions: their signatures, and one function a row of the table of
 * operations, each of which is run_op. */
#include "module.h"

#include "docs.h"

static const enum arg conv_args[] = {ARG_INPUT,        ARG_WEIGHT,     ARG_BIAS,   ARG_STRIDE,
                                     ARG_PADDING,      ARG_DILATION,   ARG_GROUPS, ARG_LAYOUT,
                                     ARG_PADDING_MODE, ARG_ACTIVATION, ARG_OUT,    ARG_ACCUMULATE,
                                     ARG_OUT_DTYPE,    ARG_THREADS};
static const enum arg conv_input_args[] = {
    ARG_INPUT_SIZE, ARG_WEIGHT,    ARG_GRAD_OUTPUT, ARG_STRIDE,       ARG_PADDING,
    ARG_DILATION,   ARG_GROUPS,    ARG_LAYOUT,      ARG_PADDING_MODE, ARG_OUT,
    ARG_ACCUMULATE, ARG_OUT_DTYPE, ARG_THREADS};
static const enum arg conv_weight_args[] = {
    ARG_INPUT,      ARG_WEIGHT_SIZE, ARG_GRAD_OUTPUT, ARG_STRIDE,       ARG_PADDING,
    ARG_DILATION,   ARG_GROUPS,      ARG_LAYOUT,      ARG_PADDING_MODE, ARG_OUT,
    ARG_ACCUMULATE, ARG_OUT_DTYPE,   ARG_THREADS};
static const enum arg conv_transpose_args[] = {
    ARG_INPUT,  ARG_WEIGHT,     ARG_BIAS,        ARG_STRIDE, ARG_PADDING,      ARG_OUTPUT_PADDING,
    ARG_GROUPS, ARG_DILATION,   ARG_OUTPUT_SIZE, ARG_LAYOUT, ARG_PADDING_MODE, ARG_ACTIVATION,
    ARG_OUT,    ARG_ACCUMULATE, ARG_OUT_DTYPE,   ARG_THREADS};
static const enum arg conv_transpose_input_args[] = {
    ARG_INPUT_SIZE, ARG_WEIGHT,         ARG_GRAD_OUTPUT, ARG_STRIDE,
    ARG_PADDING,    ARG_OUTPUT_PADDING, ARG_GROUPS,      ARG_DILATION,
    ARG_LAYOUT,     ARG_PADDING_MODE,   ARG_OUT,         ARG_ACCUMULATE,
    ARG_OUT_DTYPE,  ARG_THREADS};
static const enum arg conv_transpose_weight_args[] = {
    ARG_INPUT,     ARG_WEIGHT_SIZE,    ARG_GRAD_OUTPUT, ARG_STRIDE,
    ARG_PADDING,   ARG_OUTPUT_PADDING, ARG_GROUPS,      ARG_DILATION,
    ARG_LAYOUT,    ARG_PADDING_MODE,   ARG_OUT,         ARG_ACCUMULATE,
    ARG_OUT_DTYPE, ARG_THREADS};

static PyObject *conv1d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                        PyObject *keywords)
{
    static const struct signature signature = {"conv1d", conv_args, 14, 7, 2};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv2d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                        PyObject *keywords)
{
    static const struct signature signature = {"conv2d", conv_args, 14, 7, 2};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv3d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                        PyObject *keywords)
{
    static const struct signature signature = {"conv3d", conv_args, 14, 7, 2};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv1d_input(PyObject *module, PyObject *const *args, Py_ssize_t given,
                              PyObject *keywords)
{
    static const struct signature signature = {"conv1d_input", conv_input_args, 13, 7, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv2d_input(PyObject *module, PyObject *const *args, Py_ssize_t given,
                              PyObject *keywords)
{
    static const struct signature signature = {"conv2d_input", conv_input_args, 13, 7, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv3d_input(PyObject *module, PyObject *const *args, Py_ssize_t given,
                              PyObject *keywords)
{
    static const struct signature signature = {"conv3d_input", conv_input_args, 13, 7, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv1d_weight(PyObject *module, PyObject *const *args, Py_ssize_t given,
                               PyObject *keywords)
{
    static const struct signature signature = {"conv1d_weight", conv_weight_args, 13, 7, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv2d_weight(PyObject *module, PyObject *const *args, Py_ssize_t given,
                               PyObject *keywords)
{
    static const struct signature signature = {"conv2d_weight", conv_weight_args, 13, 7, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv3d_weight(PyObject *module, PyObject *const *args, Py_ssize_t given,
                               PyObject *keywords)
{
    static const struct signature signature = {"conv3d_weight", conv_weight_args, 13, 7, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose1d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                  PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose1d", conv_transpose_args, 16, 8, 2};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose2d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                  PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose2d", conv_transpose_args, 16, 8, 2};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose3d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                  PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose3d", conv_transpose_args, 16, 8, 2};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose1d_input(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                        PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose1d_input", conv_transpose_input_args,
                                               14, 8, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose2d_input(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                        PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose2d_input", conv_transpose_input_args,
                                               14, 8, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose3d_input(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                        PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose3d_input", conv_transpose_input_args,
                                               14, 8, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose1d_weight(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                         PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose1d_weight",
                                               conv_transpose_weight_args, 14, 8, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose2d_weight(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                         PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose2d_weight",
                                               conv_transpose_weight_args, 14, 8, 3};
    return run_op(module, &signature, args, given, keywords);
}

static PyObject *conv_transpose3d_weight(PyObject *module, PyObject *const *args, Py_ssize_t given,
                                         PyObject *keywords)
{
    static const struct signature signature = {"conv_transpose3d_weight",
                                               conv_transpose_weight_args, 14, 8, 3};
    return run_op(module, &signature, args, given, keywords);
}

PyMethodDef operation_methods[] = {
    {"conv1d", (PyCFunction)(void (*)(void))conv1d, METH_FASTCALL | METH_KEYWORDS, conv1d_doc},
    {"conv2d", (PyCFunction)(void (*)(void))conv2d, METH_FASTCALL | METH_KEYWORDS, conv2d_doc},
    {"conv3d", (PyCFunction)(void (*)(void))conv3d, METH_FASTCALL | METH_KEYWORDS, conv3d_doc},
    {"conv1d_input", (PyCFunction)(void (*)(void))conv1d_input, METH_FASTCALL | METH_KEYWORDS,
     conv1d_input_doc},
    {"conv2d_input", (PyCFunction)(void (*)(void))conv2d_input, METH_FASTCALL | METH_KEYWORDS,
     conv2d_input_doc},
    {"conv3d_input", (PyCFunction)(void (*)(void))conv3d_input, METH_FASTCALL | METH_KEYWORDS,
     conv3d_input_doc},
    {"conv1d_weight", (PyCFunction)(void (*)(void))conv1d_weight, METH_FASTCALL | METH_KEYWORDS,
     conv1d_weight_doc},
    {"conv2d_weight", (PyCFunction)(void (*)(void))conv2d_weight, METH_FASTCALL | METH_KEYWORDS,
     conv2d_weight_doc},
    {"conv3d_weight", (PyCFunction)(void (*)(void))conv3d_weight, METH_FASTCALL | METH_KEYWORDS,
     conv3d_weight_doc},
    {"conv_transpose1d", (PyCFunction)(void (*)(void))conv_transpose1d,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose1d_doc},
    {"conv_transpose2d", (PyCFunction)(void (*)(void))conv_transpose2d,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose2d_doc},
    {"conv_transpose3d", (PyCFunction)(void (*)(void))conv_transpose3d,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose3d_doc},
    {"conv_transpose1d_input", (PyCFunction)(void (*)(void))conv_transpose1d_input,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose1d_input_doc},
    {"conv_transpose2d_input", (PyCFunction)(void (*)(void))conv_transpose2d_input,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose2d_input_doc},
    {"conv_transpose3d_input", (PyCFunction)(void (*)(void))conv_transpose3d_input,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose3d_input_doc},
    {"conv_transpose1d_weight", (PyCFunction)(void (*)(void))conv_transpose1d_weight,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose1d_weight_doc},
    {"conv_transpose2d_weight", (PyCFunction)(void (*)(void))conv_transpose2d_weight,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose2d_weight_doc},
    {"conv_transpose3d_weight", (PyCFunction)(void (*)(void))conv_transpose3d_weight,
     METH_FASTCALL | METH_KEYWORDS, conv_transpose3d_weight_doc},
    {NULL, NULL, 0, NULL},
};
