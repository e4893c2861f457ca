/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_MODULE_H
#define TC_MODULE_H

/* What the files of the binding share. */

#include "args.h"
#include "ndarray.h"
#include "plan.h"

#include <stdatomic.h>
#include <time.h>

/* Memory whose data is aligned to TC_ALIGN; zeroed, it is empty. */
struct block {
    struct memory *memory;
    void *data;
};

struct module_state {
    struct arg_names names;
    struct tc_cpu cpu;
    unsigned long main_thread; /* the one that Python runs handlers of signals in */
    const char *isa;           /* TCONV_ISA, or NULL: the best */
    PyTypeObject *plan_type;
    _Atomic(struct memory *) kept; /* scratch of the last call, for the next */
};

/* -1 with MemoryError set, or 0. */
int block_init(struct block *block, ptrdiff_t bytes);
void block_free(struct block *block);

/* The same for scratch: what one call gives back, if it is not too big, the next may get. */
int scratch_take(struct module_state *state, struct block *block, ptrdiff_t bytes);
void scratch_give(struct module_state *state, struct block *block);

/* Work without the GIL, which a signal may end. */
struct watch {
    struct tc_watch base;
    PyThreadState *thread;
    struct timespec last; /* when signals were last looked for */
};

/* Lets the GIL go; what to give to the core: on the main thread the watch, elsewhere NULL. */
struct tc_watch *watch_begin(const struct module_state *state, struct watch *watch);

/* Takes the GIL again; -1 if the handler of a signal raised an exception, which then is set. */
int watch_end(struct watch *watch);

static inline struct module_state *state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

/* Raises what the core said, behind the function's name if that is not NULL; returns -1. */
int raise_status(const char *function, const struct tc_status *status);

/* The operation called `op`; NULL with an exception set if there is none. */
const struct tc_operation *read_operation(const char *function, PyObject *op);

/* The threads of a call that does not say how many. */
int default_threads(void);

/* functions.c: the operations as functions. */
extern PyMethodDef operation_methods[];

/* ops.c: the way of a call. */
PyObject *run_op(PyObject *module, const struct signature *signature, PyObject *const *args,
                 Py_ssize_t given, PyObject *keywords);
PyObject *set_num_threads(PyObject *module, PyObject *threads);
PyObject *get_num_threads(PyObject *module, PyObject *unused);

/* Plans and computes order->y from the other views of the order, in one block of scratch and
 * without the GIL where that is worth it. `packed`, if not NULL, are the weights packed ahead.
 * Returns -1 with an exception set, or 0. */
int compute(struct module_state *state, const char *function, const struct tc_order *order,
            const void *packed);

/* What the core is to do: sums that are accumulated have their activation after that, by finish. */
static inline struct tc_activation activation_in_store(const struct output *out,
                                                       struct tc_activation activation)
{
    return out->accumulate ? (struct tc_activation){TC_NO_ACTIVATION, 0} : activation;
}

/* What finish_output does, and the activation of sums that are accumulated: it comes after them. */
PyObject *finish(const struct module_state *state, struct output *out,
                 const struct tc_activation *activation, PyArrayObject *y);

/* The arrays of the forward operation that a call gives; its output is given as a gradient. */
enum { BIAS = TC_OUTPUT + 1, ARRAYS };

struct arrays {
    PyArrayObject *of[ARRAYS]; /* by enum tc_array, and the bias */
};

/* parts.c: calls that are made of others, by Python: those of dtypes that have no kernels, and
 * those with something else than zeros in the padding. */
struct parts {
    PyObject *module;
    const struct tc_problem *problem;
    PyObject *const *slots; /* layout, padding_mode and activation as they were given */
    const struct arrays *arrays;
    int threads;
};

bool goes_by_parts(const struct tc_problem *problem);

/* The problem of the calls that it is made of, in the dtype that they have. */
struct tc_problem computed_problem(const struct tc_problem *problem);

/* What start_output, computing and finish are for other calls. */
PyObject *run_by_parts(const struct module_state *state, const struct parts *parts,
                       struct output *out, const struct tc_activation *activation,
                       const struct result *wanted);

/* parts.c: the sums of bias.c for the same dtypes. */
int sum_by_parts(PyArrayObject *grad, int channel_axis, PyArrayObject *y);

/* halves.c: convert_half(dst, src, threads), for tconv._dtypes. */
PyObject *convert_half(PyObject *module, PyObject *args);

/* bias.c: the gradient of a bias. */
PyObject *bias(PyObject *module, PyObject *const *args, Py_ssize_t given, PyObject *keywords);

/* plan_type.c: plans as objects. */
extern PyType_Spec plan_type_spec;
PyObject *make_plan(PyObject *module, PyObject *const *args, Py_ssize_t given, PyObject *keywords);

/* explain.c: what would be done, as a dict. */
PyObject *explain(PyObject *module, PyObject *const *args, Py_ssize_t given, PyObject *keywords);

#endif
