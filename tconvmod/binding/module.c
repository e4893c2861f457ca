/* SPDX-License-Identifier: BSD-3-Clause */
/* The extension module tconv._core. */
#define TC_IMPORTS_NUMPY
#include "module.h"

#include "docs.h"
#include "ndarray.h"

#include "base/parallel.h"

#include <stdlib.h>

const struct tc_operation *read_operation(const char *function, PyObject *op)
{
    const char *name;
    if (read_string(function, "op", op, &name)) {
        return NULL;
    }
    const struct tc_operation *const operation = name ? tc_operation_find(name) : NULL;
    if (operation == NULL) {
        PyErr_Format(PyExc_ValueError,
                     "%s: op must name an operation, such as 'conv_transpose2d', got %R", function,
                     op);
    }
    return operation;
}

/* ---- config ---- */

/* A tuple of strings from names ended by NULL. */
static PyObject *tuple_of(const char *const names[])
{
    Py_ssize_t count = 0;
    while (names[count]) {
        count++;
    }
    PyObject *const tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple && i < count; i++) {
        PyObject *const name = PyUnicode_FromString(names[i]);
        if (name == NULL) {
            Py_DECREF(tuple);
            return NULL;
        }
        PyTuple_SET_ITEM(tuple, i, name);
    }
    return tuple;
}

static PyObject *config(PyObject *module, PyObject *unused)
{
    const struct module_state *const state = state_of(module);
    const struct tc_cpu *const cpu = &state->cpu;
    const char *isas[TC_MAX_ISAS], *engines[TC_MAX_ENGINES] = {NULL};
    (void)unused;
    tc_kernels_list(cpu, isas);
    for (int i = 0; tc_engines[i]; i++) {
        engines[i] = tc_engines[i]->name;
    }
    return Py_BuildValue(
        "{s:s,s:N,s:N,s:O,s:s,s:n,s:n,s:n}", "isa", tc_kernels_find(state->isa, TC_F32, cpu)->isa,
        "isas", tuple_of(isas), "engines", tuple_of(engines), "openmp",
        tc_parallel_available() ? Py_True : Py_False, "compiler", __VERSION__, "l1_bytes",
        cpu->l1_bytes, "l2_bytes", cpu->l2_bytes, "l3_bytes", cpu->l3_bytes);
}

/* ---- the module ---- */

/* TCONV_ISA caps the instruction set of the whole process. */
static int read_environment(struct module_state *state)
{
    const char *const isa = getenv("TCONV_ISA");
    if (isa == NULL || isa[0] == '\0') {
        return 0;
    }
    const struct tc_kernels *const kernels = tc_kernels_find(isa, TC_F32, &state->cpu);
    if (kernels == NULL) {
        const char *names[TC_MAX_ISAS];
        tc_kernels_list(&state->cpu, names);
        PyObject *const tuple = tuple_of(names);
        PyErr_Format(PyExc_ValueError, "TCONV_ISA must be one of %R on this machine, got '%s'",
                     tuple, isa);
        Py_XDECREF(tuple);
        return -1;
    }
    state->isa = kernels->isa;
    return 0;
}

static int find_main_thread(struct module_state *state)
{
    PyObject *const threading = PyImport_ImportModule("threading");
    PyObject *const thread = threading ? PyObject_CallMethod(threading, "main_thread", NULL) : NULL;
    PyObject *const ident = thread ? PyObject_GetAttrString(thread, "ident") : NULL;
    state->main_thread = ident ? PyLong_AsUnsignedLong(ident) : 0;
    Py_XDECREF(threading);
    Py_XDECREF(thread);
    Py_XDECREF(ident);
    return PyErr_Occurred() ? -1 : 0;
}

static int exec_module(PyObject *module)
{
    struct module_state *const state = state_of(module);
    import_array1(-1);
    state->cpu = tc_cpu_detect();
    tc_parallel_init();
    if (arg_names_init(&state->names) || find_main_thread(state) || read_environment(state) ||
        PyModule_AddFunctions(module, operation_methods)) {
        return -1;
    }
    state->plan_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &plan_type_spec, NULL);
    return state->plan_type ? PyModule_AddType(module, state->plan_type) : -1;
}

static int traverse_module(PyObject *module, visitproc visit, void *arg)
{
    Py_VISIT(state_of(module)->plan_type);
    return 0;
}

static int clear_module(PyObject *module)
{
    arg_names_clear(&state_of(module)->names);
    Py_CLEAR(state_of(module)->plan_type);
    PyMem_RawFree(atomic_exchange(&state_of(module)->kept, NULL));
    return 0;
}

static void free_module(void *module)
{
    clear_module(module);
}

static PyMethodDef methods[] = {
    {"bias", (PyCFunction)(void (*)(void))bias, METH_FASTCALL | METH_KEYWORDS, bias_doc},
    {"plan", (PyCFunction)(void (*)(void))make_plan, METH_FASTCALL | METH_KEYWORDS, make_plan_doc},
    {"explain", (PyCFunction)(void (*)(void))explain, METH_FASTCALL | METH_KEYWORDS, explain_doc},
    {"convert_half", convert_half, METH_VARARGS, convert_half_doc},
    {"config", config, METH_NOARGS, config_doc},
    {"set_num_threads", set_num_threads, METH_O, set_num_threads_doc},
    {"get_num_threads", get_num_threads, METH_NOARGS, get_num_threads_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
#if defined(Py_mod_multiple_interpreters)
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if defined(Py_mod_gil)
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tconv._core",
    .m_doc = "The compiled part of tconv.",
    .m_size = sizeof(struct module_state),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_def);
}
