/* SPDX-License-Identifier: BSD-3-Clause */
/* What a call would do, as a dict of numbers and names; the package turns it into words. Arrays
 * are taken to be contiguous. */
#include "module.h"

#include "ndarray.h"

static const enum arg explain_args[] = {
    ARG_OP,     ARG_INPUT_SHAPE, ARG_WEIGHT_SHAPE, ARG_DTYPE,
    ARG_BIAS,   ARG_STRIDE,      ARG_PADDING,      ARG_OUTPUT_PADDING,
    ARG_GROUPS, ARG_DILATION,    ARG_OUTPUT_SIZE,  ARG_LAYOUT,
    ARG_ISA,    ARG_ENGINE,      ARG_THREADS,      ARG_PADDING_MODE,
    ARG_KEPT,
};
static const struct signature explain_signature = {"explain", explain_args, 17, 4, 3};

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

/* Bytes of input, weight, bias and output, each once. */
static double bytes_of(const struct tc_problem *problem)
{
    const double ci = (double)problem->ci, co = (double)problem->co;
    double x = (double)problem->n * ci, w = ci * (double)tc_group_co(problem);
    double y = (double)problem->n * co;
    for (int axis = 0; axis < TC_SPATIAL; axis++) {
        x *= (double)problem->i[axis];
        w *= (double)problem->k[axis];
        y *= (double)problem->o[axis];
    }
    return (x + w + y + (problem->bias ? co : 0)) * (double)tc_dtype_bytes(problem->dtype);
}

static int put_problem(PyObject *dict, const struct tc_problem *problem)
{
    const struct tc_problem forward = tc_problem_forward(problem);
    struct tc_status text;
    npy_intp dims[TC_MAX_VALUES];
    const int ndim = tc_problem_shape(problem, dims);
    tc_problem_string(problem, true, &text);
    return put(dict, "problem", PyUnicode_FromString(text.text)) ||
           put(dict, "operation", PyUnicode_FromString(problem->operation->name)) ||
           put(dict, "output_shape", PyArray_IntTupleFromIntp(ndim, dims)) ||
           put(dict, "input_lengths", axes_of(problem, forward.i)) ||
           put(dict, "output_lengths", axes_of(problem, forward.o)) ||
           put(dict, "kernel", axes_of(problem, problem->k)) ||
           put(dict, "stride", axes_of(problem, problem->s)) ||
           put(dict, "padding", axes_of(problem, problem->p)) ||
           put(dict, "padding_end", axes_of(problem, problem->pe)) ||
           put(dict, "output_padding", axes_of(problem, problem->op)) ||
           put(dict, "dilation", axes_of(problem, problem->d)) ||
           put(dict, "groups", PyLong_FromSsize_t(problem->g)) ||
           put(dict, "padding_mode", PyUnicode_FromString(tc_padding_modes[problem->mode])) ||
           put(dict, "dtype", PyUnicode_FromString(tc_dtype_rows[problem->dtype].name)) ||
           put(dict, "computed_in",
               PyUnicode_FromString(tc_dtype_rows[computed_problem(problem).dtype].name)) ||
           put(dict, "bytes", PyFloat_FromDouble(bytes_of(problem)));
}

static PyObject *refusals_of(const struct tc_plan *plan)
{
    PyObject *const dict = PyDict_New();
    for (int i = 0; dict && tc_engines[i]; i++) {
        const char *const reason = plan->refusals[i];
        if (reason && put(dict, tc_engines[i]->name, PyUnicode_FromString(reason))) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}

static int put_plan(PyObject *dict, const struct tc_plan *plan)
{
    const struct tc_job *const job = &plan->job;
    const struct tc_blocking *const blocking = &job->blocking;
    struct tc_status tile = {.text = ""};
    plan->engine->describe(job, &tile);
    const double macs = tc_lattice_macs(&job->lattice, job->problem);
    return put(dict, "engine", PyUnicode_FromString(plan->engine->name)) ||
           put(dict, "isa", PyUnicode_FromString(job->kernels->isa)) ||
           put(dict, "tile", PyUnicode_FromString(tile.text)) ||
           put(dict, "block", PyArray_IntTupleFromIntp(TC_GRID, blocking->size)) ||
           put(dict, "tasks", PyLong_FromSsize_t(job->tasks)) ||
           put(dict, "threads", PyLong_FromLong(job->threads)) ||
           put(dict, "flops", PyFloat_FromDouble(2 * macs)) ||
           put(dict, "nominal_flops", PyFloat_FromDouble(2 * job->macs)) ||
           put(dict, "packed_bytes", PyLong_FromSsize_t(job->packed_bytes)) ||
           put(dict, "scratch_bytes", PyLong_FromSsize_t(plan->scratch_bytes)) ||
           put(dict, "refusals", refusals_of(plan));
}

/* A problem from shapes; the weight's shape is kept for its strides. */
static int read_problem(const char *name, PyObject *const slots[ARG_COUNT],
                        struct tc_problem *problem, struct tc_values *weight)
{
    struct tc_request request = {.operation = read_operation(name, slots[ARG_OP])};
    struct tc_values input;
    struct tc_status status;
    const char *dtype;
    if (request.operation == NULL || read_options(name, slots, &request) ||
        read_shape(name, "input_shape", slots[ARG_INPUT_SHAPE], &input) ||
        read_shape(name, "weight_shape", slots[ARG_WEIGHT_SHAPE], weight) ||
        read_string(name, "dtype", slots[ARG_DTYPE], &dtype) ||
        dtype_from_name(name, dtype ? dtype : "float32", &request.dtype)) {
        return -1;
    }
    request.x = (struct tc_shape){true, (int)input.count, input.at};
    request.w = (struct tc_shape){true, (int)weight->count, weight->at};
    if (tc_problem_init(problem, &request, &status)) {
        return raise_status(NULL, &status);
    }
    const int bias = slots[ARG_BIAS] ? PyObject_IsTrue(slots[ARG_BIAS]) : 0;
    problem->bias = bias > 0;
    return bias < 0 ? -1 : 0;
}

/* The strides of a contiguous weight. */
static struct tc_weight contiguous_weight(const struct tc_problem *problem,
                                          const struct tc_values *shape)
{
    ptrdiff_t strides[TC_MAX_VALUES], step = 1;
    for (ptrdiff_t axis = shape->count - 1; axis >= 0; axis--) {
        strides[axis] = step;
        step *= shape->at[axis];
    }
    return tc_problem_weight(problem, NULL, strides);
}

PyObject *explain(PyObject *module, PyObject *const *args, Py_ssize_t given, PyObject *keywords)
{
    const struct module_state *const state = state_of(module);
    const char *const name = explain_signature.name, *isa, *engine, *kept;
    PyObject *slots[ARG_COUNT];
    struct tc_problem problem;
    struct tc_values weight;
    struct tc_status status;
    struct tc_plan plan;
    int threads;
    if (bind_args(&state->names, &explain_signature, args, given, keywords, slots) ||
        read_problem(name, slots, &problem, &weight) ||
        read_threads(name, slots[ARG_THREADS], &threads) ||
        read_string(name, "isa", slots[ARG_ISA], &isa) ||
        read_string(name, "engine", slots[ARG_ENGINE], &engine) ||
        read_string(name, "kept", slots[ARG_KEPT], &kept)) {
        return NULL;
    }
    struct tc_problem computed = computed_problem(&problem);
    struct tc_order order = {
        .problem = &computed,
        .cpu = &state->cpu,
        .x = tc_contiguous_image(problem.ci, problem.i, problem.x_last),
        .w = contiguous_weight(&problem, &weight),
        .b = {NULL, 1},
        .y = tc_contiguous_image(problem.co, problem.o, problem.y_last),
        .isa = isa ? isa : state->isa,
        .engine = engine,
        .kept = kept,
        .threads = threads ? threads : default_threads(),
        .ahead = kept != NULL,
    };
    if (tc_plan_make(&plan, &order, &status)) {
        raise_status(name, &status);
        return NULL;
    }
    PyObject *dict = PyDict_New();
    if (dict && (put_problem(dict, &problem) || put_plan(dict, &plan))) {
        Py_CLEAR(dict);
    }
    return dict;
}
