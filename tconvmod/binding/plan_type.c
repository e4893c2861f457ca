/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans as objects: an operation with its options and a snapshot of its weights, packed once in
 * the order of the engine that was chosen for them. A plan does not change after it is made, so
 * threads may share it. */
#include "docs.h"
#include "module.h"
#include "ndarray.h"

#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD vectorcallfunc vectorcall;
    struct tc_request request; /* the options; its shapes point to the dims below */
    npy_intp weight_dims[TC_MAX_VALUES], bias_dims[1];
    struct tc_problem problem; /* of the smallest image */
    PyArrayObject *bias;       /* a copy */
    PyArrayObject *weight;     /* a copy */
    struct block packed; /* the weights in the engine's order, unless it reads them as they lie */
    bool asked;          /* for the engine */
    PyObject *options;   /* as they were given, a dict */
    const char *isa, *engine; /* the choices, for the smallest image */
    struct tc_activation activation;
    int threads; /* 0: the default of the moment */
    enum tc_dtype out_dtype;
} plan_object;

/* ---- calling ---- */

static const enum arg call_args[] = {ARG_INPUT, ARG_OUTPUT_SIZE, ARG_OUT, ARG_ACCUMULATE,
                                     ARG_THREADS};
static const struct signature call_signature = {"Plan", call_args, 5, 1, 1};

/* The engine that calls fall back on: it was asked for, or has packed the weights; else NULL. */
static const char *kept_engine(const plan_object *self)
{
    return self->asked || self->packed.data ? self->engine : NULL;
}

static struct tc_order order_of(const plan_object *self, const struct tc_problem *problem,
                                PyArrayObject *input, PyArrayObject *y)
{
    return (struct tc_order){
        .problem = problem,
        .x = image_of(input, problem, problem->x_last),
        .w = weight_of(self->weight, problem),
        .b = bias_of(self->bias),
        .y = image_of(y, problem, problem->y_last),
        .isa = self->isa,
        .engine = self->asked ? self->engine : NULL,
        .kept = kept_engine(self),
        .ahead = self->packed.data != NULL,
    };
}

/* What is made of other calls takes its weights as they are. */
static PyObject *call_by_parts(const plan_object *self, const struct module_state *state,
                               const struct tc_problem *problem, PyArrayObject *input,
                               struct output *out, const struct result *wanted, int threads)
{
    const struct arrays arrays = {
        .of = {[TC_INPUT] = input, [TC_WEIGHT] = self->weight, [BIAS] = self->bias}};
    PyObject *slots[ARG_COUNT] = {
        [ARG_LAYOUT] = PyDict_GetItemString(self->options, "layout"),
        [ARG_ACTIVATION] = PyDict_GetItemString(self->options, "activation"),
    };
    const struct parts parts = {PyType_GetModule(Py_TYPE((PyObject *)self)), problem, slots,
                                &arrays, threads};
    return run_by_parts(state, &parts, out, &self->activation, wanted);
}

static PyObject *call_plan(PyObject *object, PyObject *const *args, size_t flags,
                           PyObject *keywords)
{
    const plan_object *const self = (plan_object *)object;
    struct module_state *const state = PyType_GetModuleState(Py_TYPE(object));
    const char *const name = self->request.operation->name;
    struct tc_request request = self->request;
    struct tc_problem problem;
    struct tc_status status;
    PyObject *slots[ARG_COUNT], *result = NULL;
    PyArrayObject *input = NULL, *y = NULL;
    struct output out = {.object = NULL};
    int threads;

    if (bind_args(&state->names, &call_signature, args, PyVectorcall_NARGS(flags), keywords,
                  slots) ||
        read_output_size(name, slots, &request) ||
        read_threads(name, slots[ARG_THREADS], &threads) ||
        read_flag(slots[ARG_ACCUMULATE], &out.accumulate) ||
        !(input = read_array(name, "input", slots[ARG_INPUT])) ||
        make_usable(name, "input", slots[ARG_INPUT], &input) ||
        check_dtype(name, "input", input, request.dtype)) {
        goto done;
    }
    request.x = shape_of(input);
    if (tc_problem_init(&problem, &request, &status)) {
        raise_status(NULL, &status);
        goto done;
    }
    out.object = slots[ARG_OUT];
    struct result wanted = result_of(&problem);
    wanted.dtype = self->out_dtype;
    threads = threads ? threads : self->threads ? self->threads : default_threads();
    if (goes_by_parts(&problem)) {
        result = call_by_parts(self, state, &problem, input, &out, &wanted, threads);
        goto done;
    }
    y = start_output(name, &out, &wanted, &input, 1);
    if (y == NULL) {
        goto done;
    }
    struct tc_order order = order_of(self, &problem, input, y);
    order.cpu = &state->cpu;
    order.activation = activation_in_store(&out, self->activation);
    order.threads = threads;
    if (problem.n > 0 && compute(state, name, &order, self->packed.data)) {
        goto done;
    }
    result = finish(state, &out, &self->activation, y);
    y = NULL;
done:
    Py_XDECREF(input);
    Py_XDECREF(y);
    return result;
}

/* ---- making ---- */

static const enum arg plan_args[] = {
    ARG_OP,      ARG_WEIGHT,       ARG_BIAS,      ARG_STRIDE,     ARG_PADDING, ARG_OUTPUT_PADDING,
    ARG_GROUPS,  ARG_DILATION,     ARG_LAYOUT,    ARG_ACTIVATION, ARG_ISA,     ARG_ENGINE,
    ARG_THREADS, ARG_PADDING_MODE, ARG_OUT_DTYPE,
};
static const struct signature plan_signature = {"plan", plan_args, 15, 3, 2};

/* The strides of images longer than the smallest: in that of a single pixel channels would lie side
 * by side in any layout. */
static struct tc_image larger_image(ptrdiff_t channels, const ptrdiff_t smallest[TC_SPATIAL],
                                    int last)
{
    ptrdiff_t length[TC_SPATIAL];
    for (int a = 0; a < TC_SPATIAL; a++) {
        length[a] = smallest[a] + 1;
    }
    return tc_contiguous_image(channels, length, last);
}

/* Chooses the engine, keeps copies of the weights and packs them. */
static int prepare(plan_object *self, const struct module_state *state, PyArrayObject *weight,
                   PyArrayObject *bias)
{
    struct tc_status status;
    struct tc_plan plan;
    if (bias && !(self->bias = (PyArrayObject *)PyArray_NewCopy(bias, NPY_CORDER))) {
        return -1;
    }
    self->weight = (PyArrayObject *)PyArray_NewCopy(weight, NPY_CORDER);
    if (self->weight == NULL) {
        return -1;
    }
    const struct tc_problem problem = computed_problem(&self->problem);
    const struct tc_order order = {
        .problem = &problem,
        .cpu = &state->cpu,
        .x = larger_image(self->problem.ci, self->problem.i, self->problem.x_last),
        .w = weight_of(weight, &self->problem),
        .b = bias_of(bias),
        .y = larger_image(self->problem.co, self->problem.o, self->problem.y_last),
        .isa = self->isa ? self->isa : state->isa,
        .engine = self->engine,
        .threads = 1,
        .ahead = true,
    };
    if (tc_plan_make(&plan, &order, &status)) {
        return raise_status("plan", &status);
    }
    self->asked = self->engine != NULL;
    self->engine = plan.engine->name;
    self->isa = plan.job.kernels->isa;
    if (plan.job.packed_bytes == 0 || goes_by_parts(&self->problem)) {
        return 0;
    }
    if (block_init(&self->packed, plan.job.packed_bytes)) {
        return -1;
    }
    tc_plan_pack(&plan, self->packed.data);
    return 0;
}

/* Takes over the shapes, so that the request outlives the arrays. */
static void keep_shapes(plan_object *self, PyArrayObject *weight, PyArrayObject *bias)
{
    memcpy(self->weight_dims, PyArray_DIMS(weight),
           sizeof(npy_intp) * (size_t)PyArray_NDIM(weight));
    self->request.w = (struct tc_shape){true, PyArray_NDIM(weight), self->weight_dims};
    if (bias) {
        self->bias_dims[0] = PyArray_DIM(bias, 0);
        self->request.b = (struct tc_shape){true, 1, self->bias_dims};
    }
}

static int fill(plan_object *self, const struct module_state *state,
                PyObject *const slots[ARG_COUNT])
{
    struct tc_request *const request = &self->request;
    struct tc_status status;
    const char *name;
    PyArrayObject *weight = NULL, *bias = NULL;
    PyArray_Descr *out_descr = NULL;
    int failed = -1;

    request->operation = read_operation("plan", slots[ARG_OP]);
    if (request->operation == NULL) {
        return -1;
    }
    name = request->operation->name;
    if (request->operation->computes != TC_OUTPUT) {
        PyErr_Format(PyExc_ValueError, "plan: op must not be a gradient, got '%s'", name);
        return -1;
    }
    if (read_options(name, slots, request) ||
        read_threads("plan", slots[ARG_THREADS], &self->threads) ||
        read_activation(name, slots[ARG_ACTIVATION], &self->activation) ||
        read_string("plan", "isa", slots[ARG_ISA], &self->isa) ||
        read_string("plan", "engine", slots[ARG_ENGINE], &self->engine) ||
        read_dtype(name, slots[ARG_OUT_DTYPE], &out_descr) ||
        !(weight = read_array(name, "weight", slots[ARG_WEIGHT])) ||
        read_optional(name, "bias", slots[ARG_BIAS], &bias) ||
        make_usable(name, "weight", slots[ARG_WEIGHT], &weight) ||
        (bias && make_usable(name, "bias", slots[ARG_BIAS], &bias)) ||
        check_same_dtype(name, "weight", weight, "bias", bias)) {
        goto done;
    }
    request->dtype = dtype_of(weight);
    if (set_out_dtype(name, out_descr, request->dtype, &self->out_dtype)) {
        goto done;
    }
    request->w = shape_of(weight);
    request->b = shape_of(bias);
    if (tc_problem_init_weight(&self->problem, request, &status)) {
        raise_status(NULL, &status);
        goto done;
    }
    keep_shapes(self, weight, bias);
    failed = prepare(self, state, weight, bias);
done:
    Py_XDECREF(out_descr);
    Py_XDECREF(weight);
    Py_XDECREF(bias);
    return failed;
}

/* The value, or what it holds now if that can change. */
static PyObject *frozen(PyObject *value)
{
    const bool array = PyArray_Check(value) && PyArray_NDIM((PyArrayObject *)value) > 0;
    return array || PyList_Check(value) ? PySequence_Tuple(value) : Py_NewRef(value);
}

/* What a plan like this one is made from, besides its arrays. */
static int keep_options(plan_object *self, const struct module_state *state,
                        PyObject *const slots[ARG_COUNT])
{
    self->options = PyDict_New();
    for (int i = plan_signature.positional; i < plan_signature.count && self->options; i++) {
        const enum arg arg = plan_signature.args[i];
        PyObject *const value = slots[arg] ? frozen(slots[arg]) : NULL;
        const int failed =
            slots[arg] &&
            (value == NULL || PyDict_SetItem(self->options, state->names.name[arg], value));
        Py_XDECREF(value);
        if (failed) {
            return -1;
        }
    }
    return self->options ? 0 : -1;
}

PyObject *make_plan(PyObject *module, PyObject *const *args, Py_ssize_t given, PyObject *keywords)
{
    const struct module_state *const state = state_of(module);
    PyObject *slots[ARG_COUNT];
    if (bind_args(&state->names, &plan_signature, args, given, keywords, slots)) {
        return NULL;
    }
    plan_object *const self = PyObject_New(plan_object, state->plan_type);
    if (self == NULL) {
        return NULL;
    }
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    self->vectorcall = call_plan;
    if (fill(self, state, slots) || keep_options(self, state, slots)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* ---- the type ---- */

static void dealloc_plan(PyObject *object)
{
    plan_object *const self = (plan_object *)object;
    PyTypeObject *const type = Py_TYPE(object);
    Py_XDECREF(self->weight);
    Py_XDECREF(self->bias);
    Py_XDECREF(self->options);
    block_free(&self->packed);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *problem_of(PyObject *object, void *unused)
{
    struct tc_status text;
    (void)unused;
    tc_problem_string(&((plan_object *)object)->problem, false, &text);
    return PyUnicode_FromString(text.text);
}

static PyObject *engine_of(PyObject *object, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(((plan_object *)object)->engine);
}

static PyObject *isa_of(PyObject *object, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(((plan_object *)object)->isa);
}

static PyObject *repr_plan(PyObject *object)
{
    const plan_object *const self = (plan_object *)object;
    struct tc_status text;
    tc_problem_string(&self->problem, false, &text);
    return PyUnicode_FromFormat("<tconv.Plan %s: %s, %s>", text.text, self->engine, self->isa);
}

/* ---- other plans ---- */

/* A plan is pickled as the call that makes it: what is packed here may not suit another machine. */
static PyObject *reduce_plan(PyObject *object, PyObject *unused)
{
    const plan_object *const self = (plan_object *)object;
    PyObject *const functools = PyImport_ImportModule("functools");
    PyObject *const partial = functools ? PyObject_GetAttrString(functools, "partial") : NULL;
    PyObject *const plan =
        partial ? PyObject_GetAttrString(PyType_GetModule(Py_TYPE(object)), "plan") : NULL;
    PyObject *args = NULL, *call = NULL;
    (void)unused;
    if (plan) {
        args = Py_BuildValue("OsOO", plan, self->request.operation->name, self->weight,
                             self->bias ? (PyObject *)self->bias : Py_None);
    }
    if (args) {
        call = PyObject_Call(partial, args, self->options);
    }
    Py_XDECREF(functools);
    Py_XDECREF(partial);
    Py_XDECREF(plan);
    Py_XDECREF(args);
    return call ? Py_BuildValue("N()", call) : NULL;
}

/* The keywords of tconv.explain for this plan. */
static PyObject *explained_options(const plan_object *self, PyObject *more)
{
    PyObject *const options = PyDict_Copy(self->options);
    if (options == NULL) {
        return NULL;
    }
    PyObject *const own = Py_BuildValue("{s:z,s:s,s:O}", "kept", kept_engine(self), "isa",
                                        self->isa, "bias", self->bias ? Py_True : Py_False);
    const int failed = own == NULL || PyDict_Update(options, own) ||
                       (PyDict_GetItemString(options, "activation") &&
                        PyDict_DelItemString(options, "activation")) ||
                       (more && PyDict_Update(options, more));
    Py_XDECREF(own);
    if (failed) {
        Py_DECREF(options);
        return NULL;
    }
    return options;
}

static PyObject *explain_plan(PyObject *object, PyObject *args, PyObject *keywords)
{
    const plan_object *const self = (plan_object *)object;
    PyObject *shape, *result = NULL;
    if (!PyArg_ParseTuple(args, "O:explain", &shape)) {
        return NULL;
    }
    PyObject *const package = PyImport_ImportModule("tconv");
    PyObject *const function = package ? PyObject_GetAttrString(package, "explain") : NULL;
    PyObject *const weight =
        function ? PyObject_GetAttrString((PyObject *)self->weight, "shape") : NULL;
    PyObject *const options = weight ? explained_options(self, keywords) : NULL;
    PyObject *const given = options ? Py_BuildValue("sOOO", self->request.operation->name, shape,
                                                    weight, (PyObject *)PyArray_DESCR(self->weight))
                                    : NULL;
    if (given) {
        result = PyObject_Call(function, given, options);
    }
    Py_XDECREF(package);
    Py_XDECREF(function);
    Py_XDECREF(weight);
    Py_XDECREF(options);
    Py_XDECREF(given);
    return result;
}

static PyMethodDef plan_methods[] = {
    {"__reduce__", reduce_plan, METH_NOARGS, NULL},
    {"explain", (PyCFunction)(void (*)(void))explain_plan, METH_VARARGS | METH_KEYWORDS,
     plan_explain_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef plan_getset[] = {
    {"problem", problem_of, NULL, PyDoc_STR("The problem string, without the input's part."), NULL},
    {"engine", engine_of, NULL,
     PyDoc_STR(
         "The engine chosen for the weights. Unless it was asked for, a call may take another one "
         "that reads them as they lie; `explain` names that of a call."),
     NULL},
    {"isa", isa_of, NULL, PyDoc_STR("The instruction set that its kernels use."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef plan_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(plan_object, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot plan_slots[] = {
    {Py_tp_dealloc, dealloc_plan}, {Py_tp_call, PyVectorcall_Call},
    {Py_tp_repr, repr_plan},       {Py_tp_getset, plan_getset},
    {Py_tp_methods, plan_methods}, {Py_tp_members, plan_members},
    {Py_tp_doc, (void *)plan_doc}, {0, NULL},
};

PyType_Spec plan_type_spec = {
    .name = "tconv.Plan",
    .basicsize = sizeof(plan_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = plan_slots,
};
