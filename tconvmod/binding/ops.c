/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations. All of them are run_op: read the arguments, scalars before arrays; let the core
 * check them; find the array to compute into; plan; compute. */
#include "module.h"

#include "ndarray.h"

#include <stdatomic.h>

/* Less work than this is done before another thread could take the GIL. */
static const double GIL_MACS = 20e3;

static atomic_int threads_by_default = 1;

/* ---- threads ---- */

int default_threads(void)
{
    return atomic_load(&threads_by_default);
}

PyObject *get_num_threads(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyLong_FromLong(default_threads());
}

PyObject *set_num_threads(PyObject *module, PyObject *threads)
{
    int count;
    (void)module;
    if (read_threads("set_num_threads", threads, &count)) {
        return NULL;
    }
    if (count == 0) {
        PyErr_SetString(PyExc_TypeError, "set_num_threads: threads must be an int, got None");
        return NULL;
    }
    return PyLong_FromLong(atomic_exchange(&threads_by_default, count));
}

/* ---- computing ---- */

int raise_status(const char *function, const struct tc_status *status)
{
    PyObject *const classes[] = {
        [TC_VALUE] = PyExc_ValueError,
        [TC_TYPE] = PyExc_TypeError,
        [TC_OVERFLOW] = PyExc_OverflowError,
        [TC_MEMORY] = PyExc_MemoryError,
    };
    PyErr_Format(classes[status->code], "%s%s%s", function ? function : "", function ? ": " : "",
                 status->text);
    return -1;
}

struct memory {
    ptrdiff_t bytes; /* behind the alignment */
};

/* Fresh memory costs more than most calls: the system clears each page when it is first touched. */
enum { MOST_KEPT = 32 << 20 };

static void *data_of(struct memory *memory)
{
    const uintptr_t first = (uintptr_t)(memory + 1);
    return (char *)memory + (first + TC_ALIGN - 1) / TC_ALIGN * TC_ALIGN - (uintptr_t)memory;
}

int block_init(struct block *block, ptrdiff_t bytes)
{
    const ptrdiff_t more = (ptrdiff_t)sizeof(struct memory) + TC_ALIGN;
    *block = (struct block){NULL, NULL};
    if (bytes < PY_SSIZE_T_MAX - more) {
        block->memory = PyMem_RawMalloc((size_t)(bytes + more));
    }
    if (block->memory == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    block->memory->bytes = bytes;
    block->data = data_of(block->memory);
    return 0;
}

void block_free(struct block *block)
{
    PyMem_RawFree(block->memory);
    *block = (struct block){NULL, NULL};
}

int scratch_take(struct module_state *state, struct block *block, ptrdiff_t bytes)
{
    struct memory *const kept = atomic_exchange(&state->kept, NULL);
    if (kept && kept->bytes >= bytes) {
        *block = (struct block){kept, data_of(kept)};
        return 0;
    }
    PyMem_RawFree(kept);
    return block_init(block, bytes);
}

void scratch_give(struct module_state *state, struct block *block)
{
    if (block->memory && block->memory->bytes <= MOST_KEPT) {
        block->memory = atomic_exchange(&state->kept, block->memory);
    }
    block_free(block);
}

int compute(struct module_state *state, const char *function, const struct tc_order *order,
            const void *packed)
{
    struct tc_status status;
    struct tc_plan plan;
    struct block scratch;
    if (tc_plan_make(&plan, order, &status)) {
        return raise_status(function, &status);
    }
    if (scratch_take(state, &scratch, plan.scratch_bytes)) {
        return -1;
    }
    plan.job.packed = packed;
    if (plan.job.macs < GIL_MACS) {
        tc_plan_run(&plan, scratch.data);
    } else {
        Py_BEGIN_ALLOW_THREADS;
        tc_plan_run(&plan, scratch.data);
        Py_END_ALLOW_THREADS;
    }
    scratch_give(state, &scratch);
    return 0;
}

static PyObject *run_op(PyObject *module, const struct signature *signature, PyObject *const *args,
                        Py_ssize_t given, PyObject *keywords)
{
    enum { INPUT, WEIGHT, BIAS, INPUTS };
    const char *const name = signature->name;
    struct tc_request request = {.operation = tc_operation_find(name)};
    struct tc_problem problem;
    struct tc_status status;
    PyObject *slots[ARG_COUNT], *result = NULL;
    PyArrayObject *in[INPUTS] = {NULL}, *y = NULL;
    int threads;

    if (bind_args(&state_of(module)->names, signature, args, given, keywords, slots) ||
        read_options(name, slots, &request) || read_threads(name, slots[ARG_THREADS], &threads) ||
        !(in[INPUT] = take_array(name, "input", slots[ARG_INPUT])) ||
        !(in[WEIGHT] = take_array(name, "weight", slots[ARG_WEIGHT])) ||
        take_optional(name, "bias", slots[ARG_BIAS], &in[BIAS]) ||
        check_same_dtype(name, "input", in[INPUT], "weight", in[WEIGHT]) ||
        check_same_dtype(name, "input", in[INPUT], "bias", in[BIAS])) {
        goto done;
    }
    request.dtype = dtype_of(in[INPUT]);
    request.x = shape_of(in[INPUT]);
    request.w = shape_of(in[WEIGHT]);
    request.b = shape_of(in[BIAS]);
    if (tc_problem_init(&problem, &request, &status)) {
        raise_status(NULL, &status);
        goto done;
    }
    y = start_output(name, slots[ARG_OUT], &problem, in, INPUTS);
    if (y == NULL) {
        goto done;
    }
    const struct tc_order order = {
        .problem = &problem,
        .cpu = &state_of(module)->cpu,
        .x = image_of(in[INPUT], &problem),
        .w = weight_of(in[WEIGHT], &problem),
        .b = bias_of(in[BIAS]),
        .y = image_of(y, &problem),
        .isa = state_of(module)->isa,
        .threads = threads ? threads : default_threads(),
    };
    if (problem.n > 0 && compute(state_of(module), name, &order, NULL)) {
        goto done;
    }
    result = finish_output(slots[ARG_OUT], y);
    y = NULL;
done:
    for (int i = 0; i < INPUTS; i++) {
        Py_XDECREF(in[i]);
    }
    Py_XDECREF(y);
    return result;
}

/* ---- functions ---- */

static const enum arg conv_transpose_args[] = {
    ARG_INPUT,  ARG_WEIGHT,   ARG_BIAS,        ARG_STRIDE, ARG_PADDING, ARG_OUTPUT_PADDING,
    ARG_GROUPS, ARG_DILATION, ARG_OUTPUT_SIZE, ARG_OUT,    ARG_THREADS,
};

static const struct signature conv_transposes[] = {
    {"conv_transpose1d", conv_transpose_args, 11, 8, 2},
    {"conv_transpose2d", conv_transpose_args, 11, 8, 2},
    {"conv_transpose3d", conv_transpose_args, 11, 8, 2},
};

PyObject *conv_transpose1d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                           PyObject *keywords)
{
    return run_op(module, &conv_transposes[0], args, given, keywords);
}

PyObject *conv_transpose2d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                           PyObject *keywords)
{
    return run_op(module, &conv_transposes[1], args, given, keywords);
}

PyObject *conv_transpose3d(PyObject *module, PyObject *const *args, Py_ssize_t given,
                           PyObject *keywords)
{
    return run_op(module, &conv_transposes[2], args, given, keywords);
}
