/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_FOREIGN_H
#define TC_FOREIGN_H

/* Objects that are no NumPy arrays, tensors of other libraries among them, as arrays. */

#include "ndarray.h"

/* The object as an array of any dtype, a new reference: a view where the object can give one. A
 * tensor that cannot be read gives a TypeError that says why and what to do about it, its own
 * exception being the cause. */
PyArrayObject *read_foreign(const char *function, const char *argument, PyObject *object);

/* TypeError: the object has this dtype, which is not supported; and how to convert the object. */
void refuse_dtype(const char *function, const char *argument, PyObject *object, PyObject *dtype);

/* Whether the object's type has the attribute; what a single object claims does not count. */
bool type_has(PyObject *object, const char *name);

#endif
