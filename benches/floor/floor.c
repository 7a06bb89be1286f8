/* The floor: what CPython itself takes for a call that does nothing.
 *
 * The methods have the calling convention of the methods they are measured against (method descriptors,
 * METH_FASTCALL | METH_KEYWORDS) and the same type flags, so the difference is the work alone. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *noop_inc(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_RETURN_NONE;
}

static PyObject *noop_observe(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_RETURN_NONE;
}

/* `labels` must give back something to call `inc` on; itself is the cheapest child there can be. */
static PyObject *noop_labels(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return Py_NewRef(self);
}

static PyMethodDef noop_methods[] = {
    {"inc", (PyCFunction)(void (*)(void))noop_inc, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"observe", (PyCFunction)(void (*)(void))noop_observe, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"labels", (PyCFunction)(void (*)(void))noop_labels, METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot noop_slots[] = {
    {Py_tp_methods, noop_methods},
    {Py_tp_new, PyType_GenericNew},
    {0, NULL},
};

static PyType_Spec noop_spec = {
    .name = "ferrometer_floor.NoOp",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = noop_slots,
};

static int floor_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&noop_spec);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddObjectRef(module, "NoOp", type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot floor_slots[] = {
    {Py_mod_exec, floor_exec},
    {0, NULL},
};

static struct PyModuleDef floor_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "ferrometer_floor",
    .m_size = 0,
    .m_slots = floor_slots,
};

PyMODINIT_FUNC PyInit_ferrometer_floor(void)
{
    return PyModuleDef_Init(&floor_module);
}
