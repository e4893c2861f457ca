/* SPDX-License-Identifier: BSD-3-Clause */
/* The way of a call, the same for all operations: read the arguments, scalars before arrays; let
 * the core check them; find the array to compute into; plan; compute. */
#include "module.h"

#include "ndarray.h"

#include <stdatomic.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

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
    (void)module;
    (void)unused;
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

/* ---- signals ---- */

/* Not so often that taking the GIL would show, and not so seldom that Ctrl-C would seem lost. */
enum { SIGNALS_EVERY_NS = 50000000 };

static bool find_signals(struct tc_watch *base)
{
    struct watch *const watch = (struct watch *)base;
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    const double ns = 1e9 * difftime(now.tv_sec, watch->last.tv_sec) +
                      (double)(now.tv_nsec - watch->last.tv_nsec);
    if (ns >= 0 && ns < SIGNALS_EVERY_NS) {
        return false;
    }
    watch->last = now;
    PyEval_RestoreThread(watch->thread);
    const bool raised = PyErr_CheckSignals() != 0;
    watch->thread = PyEval_SaveThread();
    return raised;
}

struct tc_watch *watch_begin(const struct module_state *state, struct watch *watch)
{
    tc_watch_init(&watch->base, find_signals);
    timespec_get(&watch->last, TIME_UTC);
    watch->thread = PyEval_SaveThread();
    return PyThread_get_thread_ident() == state->main_thread ? &watch->base : NULL;
}

int watch_end(struct watch *watch)
{
    PyEval_RestoreThread(watch->thread);
    return atomic_load(&watch->base.stopped) ? -1 : 0;
}

/* ---- memory ---- */

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

/* The processor finds its way about a few large pages faster than about thousands of small ones.
 * NumPy asks for them likewise, from the same size on. */
enum { LEAST_LARGE = 4 << 20, PAGE = 4096 };

static void ask_for_large_pages(struct memory *memory, ptrdiff_t bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t first = ((uintptr_t)memory + PAGE - 1) / PAGE * PAGE;
    if (bytes >= LEAST_LARGE) {
        madvise((char *)memory + (first - (uintptr_t)memory), (size_t)(bytes - PAGE),
                MADV_HUGEPAGE);
    }
#else
    (void)memory;
    (void)bytes;
#endif
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
    ask_for_large_pages(block->memory, bytes);
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
    plan.job.packed = plan.job.ahead ? packed : NULL;
    int failed = 0;
    if (plan.job.macs < GIL_MACS) {
        tc_plan_run(&plan, scratch.data);
    } else {
        struct watch watch;
        plan.job.watch = watch_begin(state, &watch);
        tc_plan_run(&plan, scratch.data);
        failed = watch_end(&watch);
    }
    scratch_give(state, &scratch);
    return failed;
}

PyObject *finish(const struct module_state *state, struct output *out,
                 const struct tc_activation *activation, PyArrayObject *y)
{
    if ((out->accumulate || out->late) && activation->kind != TC_NO_ACTIVATION) {
        if (out->accumulate && add_array(y, (PyArrayObject *)out->object)) {
            Py_DECREF(y);
            return NULL;
        }
        const struct tc_rows all = {.rows = 1, .columns = PyArray_SIZE(y), .dst = PyArray_DATA(y)};
        tc_kernels_find(state->isa, dtype_of(y), &state->cpu)->activate(activation, &all);
        out->accumulate = false;
    }
    return finish_output(out, y);
}

static const enum arg array_args[] = {ARG_INPUT, ARG_WEIGHT, ARG_GRAD_OUTPUT, ARG_BIAS};
static const char *const array_names[] = {"input", "weight", "grad_output", "bias"};

static int take_arrays(const char *name, PyObject *const slots[ARG_COUNT], struct arrays *arrays)
{
    int first = -1;
    for (int i = 0; i < ARRAYS; i++) {
        PyObject *const slot = slots[array_args[i]];
        if (slot && (i == BIAS ? read_optional(name, array_names[i], slot, &arrays->of[i])
                               : !(arrays->of[i] = read_array(name, array_names[i], slot)))) {
            return -1;
        }
    }
    for (int i = 0; i < ARRAYS; i++) {
        PyArrayObject **const array = &arrays->of[i];
        if (*array == NULL) {
            continue;
        }
        first = first < 0 ? i : first;
        if (make_usable(name, array_names[i], slots[array_args[i]], array) ||
            check_same_dtype(name, array_names[first], arrays->of[first], array_names[i], *array)) {
            return -1;
        }
    }
    return 0;
}

/* The shape of what the call computes, where the caller says it; left alone where not. */
static int read_size(const char *name, const char *argument, PyObject *size,
                     struct tc_values *values, struct tc_shape *shape)
{
    if (size == NULL || size == Py_None) {
        return 0;
    }
    if (read_shape(name, argument, size, values)) {
        return -1;
    }
    *shape = (struct tc_shape){true, (int)values->count, values->at};
    return 0;
}

static int read_sizes(PyObject *const slots[ARG_COUNT], struct tc_values *values,
                      struct tc_request *request)
{
    const struct tc_operation *const operation = request->operation;
    const bool must = operation->computes == TC_WEIGHT || !operation->transposed;
    const enum arg arg = operation->computes == TC_WEIGHT ? ARG_WEIGHT_SIZE : ARG_INPUT_SIZE;
    const char *const argument = arg == ARG_WEIGHT_SIZE ? "weight_size" : "input_size";
    if (must && slots[arg] == Py_None) {
        PyErr_Format(PyExc_TypeError, "%s: %s must be a tuple of ints, got None", operation->name,
                     argument);
        return -1;
    }
    return read_size(operation->name, argument, slots[arg], values,
                     arg == ARG_WEIGHT_SIZE ? &request->w : &request->x);
}

/* The request's shapes, and the problem that comes of them. */
static int set_request(struct tc_request *request, const struct arrays *arrays,
                       struct tc_problem *problem)
{
    struct tc_shape *const shapes[] = {&request->x, &request->w, &request->y};
    struct tc_status status;
    for (int i = 0; i <= TC_OUTPUT; i++) {
        if (arrays->of[i]) {
            *shapes[i] = shape_of(arrays->of[i]);
            request->dtype = dtype_of(arrays->of[i]);
        }
    }
    request->b = shape_of(arrays->of[BIAS]);
    return tc_problem_init(problem, request, &status) ? raise_status(NULL, &status) : 0;
}

/* The views in the roles that they play in the contraction. */
static void set_views(struct tc_order *order, const struct arrays *arrays, PyArrayObject *result)
{
    const struct tc_problem *const problem = order->problem;
    const struct tc_operation *const operation = problem->operation;
    PyArrayObject *const *const of = arrays->of;
    if (operation->computes == TC_WEIGHT) {
        order->x =
            image_of(of[operation->transposed ? TC_INPUT : TC_OUTPUT], problem, problem->x_last);
        order->y =
            image_of(of[operation->transposed ? TC_OUTPUT : TC_INPUT], problem, problem->y_last);
        order->w = weight_of(result, problem);
    } else {
        order->x = image_of(of[operation->computes == TC_INPUT ? TC_OUTPUT : TC_INPUT], problem,
                            problem->x_last);
        order->y = image_of(result, problem, problem->y_last);
        order->w = weight_of(of[TC_WEIGHT], problem);
    }
    order->b = bias_of(arrays->of[BIAS]);
}

PyObject *run_op(PyObject *module, const struct signature *signature, PyObject *const *args,
                 Py_ssize_t given, PyObject *keywords)
{
    struct module_state *const state = state_of(module);
    const char *const name = signature->name;
    struct tc_request request = {.operation = tc_operation_find(name)};
    struct tc_problem problem;
    struct tc_values size;
    struct arrays arrays = {.of = {NULL}};
    struct output out = {.object = NULL};
    struct tc_activation activation;
    PyObject *slots[ARG_COUNT], *result = NULL;
    PyArrayObject *y = NULL;
    PyArray_Descr *out_descr = NULL;
    int threads;

    if (bind_args(&state->names, signature, args, given, keywords, slots) ||
        read_options(name, slots, &request) || read_sizes(slots, &size, &request) ||
        read_threads(name, slots[ARG_THREADS], &threads) ||
        read_activation(name, slots[ARG_ACTIVATION], &activation) ||
        read_flag(slots[ARG_ACCUMULATE], &out.accumulate) ||
        read_dtype(name, slots[ARG_OUT_DTYPE], &out_descr) || take_arrays(name, slots, &arrays) ||
        set_request(&request, &arrays, &problem)) {
        goto done;
    }
    out.object = slots[ARG_OUT];
    struct result wanted = result_of(&problem);
    if (set_out_dtype(name, out_descr, problem.dtype, &wanted.dtype)) {
        goto done;
    }
    threads = threads ? threads : default_threads();
    if (goes_by_parts(&problem)) {
        const struct parts parts = {module, &problem, slots, &arrays, threads};
        result = run_by_parts(state, &parts, &out, &activation, &wanted);
        goto done;
    }
    if ((y = start_output(name, &out, &wanted, arrays.of, ARRAYS)) == NULL) {
        goto done;
    }
    struct tc_order order = {
        .problem = &problem,
        .cpu = &state->cpu,
        .activation = activation_in_store(&out, activation),
        .isa = state->isa,
        .threads = threads,
    };
    set_views(&order, &arrays, y);
    if (PyArray_SIZE(y) > 0 && compute(state, name, &order, NULL)) {
        goto done;
    }
    result = finish(state, &out, &activation, y);
    y = NULL;
done:
    for (int i = 0; i < ARRAYS; i++) {
        Py_XDECREF(arrays.of[i]);
    }
    Py_XDECREF(out_descr);
    Py_XDECREF(y);
    return result;
}
