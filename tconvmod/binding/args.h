/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_ARGS_H
#define TC_ARGS_H

/* The one argument parser. A signature lists the arguments of a function; binding a call fills a
 * slot an argument; the readers below turn slots into numbers. Everything here may run the
 * caller's code (__index__), so it comes before any pointer into an array is taken. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "ndarray.h"
#include "plan.h"

enum arg {
    ARG_INPUT,
    ARG_INPUT_SIZE,
    ARG_WEIGHT,
    ARG_WEIGHT_SIZE,
    ARG_GRAD_OUTPUT,
    ARG_BIAS,
    ARG_STRIDE,
    ARG_PADDING,
    ARG_OUTPUT_PADDING,
    ARG_GROUPS,
    ARG_DILATION,
    ARG_OUTPUT_SIZE,
    ARG_OUT,
    ARG_ACCUMULATE,
    ARG_THREADS,
    ARG_OP,
    ARG_INPUT_SHAPE,
    ARG_WEIGHT_SHAPE,
    ARG_DTYPE,
    ARG_ISA,
    ARG_ENGINE,
    ARG_KEPT,
    ARG_LAYOUT,
    ARG_ACTIVATION,
    ARG_PADDING_MODE,
    ARG_OUT_DTYPE,
    ARG_COUNT,
};

struct signature {
    const char *name;
    const enum arg *args;
    int count, positional, required; /* how many there are, may be positional, must be given */
};

/* Interned names of the arguments, by enum arg. */
struct arg_names {
    PyObject *name[ARG_COUNT];
};

int arg_names_init(struct arg_names *names);
void arg_names_clear(struct arg_names *names);

/* Fills slots[arg] with a borrowed reference, or NULL where not given. -1 with TypeError set. */
int bind_args(const struct arg_names *names, const struct signature *signature,
              PyObject *const *args, Py_ssize_t given, PyObject *keywords,
              PyObject *slots[ARG_COUNT]);

/* The layout and the integer options of an operation into a request; absent ones get their
 * defaults. */
int read_options(const char *function, PyObject *const slots[ARG_COUNT],
                 struct tc_request *request);

/* A new reference to out_dtype, or NULL if absent or None. */
int read_dtype(const char *function, PyObject *object, PyArray_Descr **descr);

/* A dtype for the result of inputs of this one: the same, also if it is NULL; any integer for
 * integers; float32 for half precision. */
int set_out_dtype(const char *function, PyArray_Descr *descr, enum tc_dtype input,
                  enum tc_dtype *result);

/* output_size alone. */
int read_output_size(const char *function, PyObject *const slots[ARG_COUNT],
                     struct tc_request *request);

/* None, a name, or a pair of a name and its number. */
int read_activation(const char *function, PyObject *object, struct tc_activation *activation);

/* A truth value, or false if absent. */
int read_flag(PyObject *flag, bool *result);

/* A number of threads >= 1, or 0 if absent or None. */
int read_threads(const char *function, PyObject *threads, int *result);

/* A shape of at most TC_MAX_VALUES lengths. */
int read_shape(const char *function, const char *argument, PyObject *shape,
               struct tc_values *values);

/* A string, or NULL if absent or None. */
int read_string(const char *function, const char *argument, PyObject *string, const char **result);

#endif
