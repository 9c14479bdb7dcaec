"""Objects of the interpreter and of NumPy that native code names, and the functions of NumPy's table.

The code is stored on disk, addresses are not: they are symbols, resolved when the code is loaded.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import sys

import numpy as np

from graphc.runtime.emit.function import PTR, Module, Value
from graphc.runtime.jit.routine import Routine

_OBJECTS: dict[str, object] = {
    "array_type": np.ndarray,
    "float_type": float,
    "int_type": int,
    "bool_type": bool,
    "dict_type": dict,
    "list_type": list,
    "tuple_type": tuple,
    "true_object": True,
    "none": None,
    "feed_dict": sys.intern("feed_dict"),
}
# Places in NumPy's table of C functions, part of its stable binary interface.
_NUMPY_FUNCTIONS = {
    "PyArray_Scalar": 60,
    "PyArray_ScalarAsCtype": 62,
    "PyArray_NewFromDescr": 94,
    "PyArray_SetBaseObject": 282,
}
_ARRAY_TYPE_PLACE = 2
_INTERPRETER_FUNCTIONS = (
    "PyCapsule_GetPointer",
    "PyCapsule_New",
    "PyDict_Next",
    "PyDict_Size",
    "PyErr_CheckSignals",
    "PyErr_NoMemory",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyFloat_AsDouble",
    "PyList_GetItem",
    "PyList_New",
    "PyList_SetItem",
    "PyList_Size",
    "PyLong_AsLongLongAndOverflow",
    "PyObject_CallFunction",
    "PyObject_Vectorcall",
    "PyTuple_GetItem",
    "PyTuple_New",
    "PyTuple_SetItem",
    "PyTuple_Size",
    "Py_DecRef",
    "Py_IncRef",
)


def declare_objects(module: Module) -> None:
    for name in _OBJECTS:
        module.define_global(name, "external global i8")


def named_object(name: str) -> Value:
    """The address of an object in `_OBJECTS`."""
    return Value(f"@{name}", PTR)


def internal(
    module: Module, name: str, arguments: list[tuple[str, str]], result: str = "void", inlined: bool = False
) -> Routine:
    """A routine that only its module calls. `inlined` is for what every call goes through."""
    return Routine(module, name, arguments, result, "nounwind alwaysinline" if inlined else "nounwind", "internal")


def find_symbols() -> dict[str, int]:
    """The addresses of all that the call path names.

    Raises LookupError or AttributeError where this interpreter or this NumPy is not what is known.
    """
    table = _numpy_table()
    if table[_ARRAY_TYPE_PLACE] != id(np.ndarray):
        raise LookupError("NumPy's table of C functions is not the known one")
    symbols = {name: id(thing) for name, thing in _OBJECTS.items()}
    symbols |= {name: table[place] or 0 for name, place in _NUMPY_FUNCTIONS.items()}
    for name in _INTERPRETER_FUNCTIONS:
        symbols[name] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    return symbols


@functools.cache
def _numpy_table() -> ctypes._Pointer[ctypes.c_void_p]:
    """The table that every C extension of NumPy's is given when it is imported."""
    folder = "_core" if hasattr(np, "_core") else "core"  # of NumPy 2, of NumPy 1
    core = importlib.import_module(f"numpy.{folder}._multiarray_umath")
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return ctypes.cast(get_pointer(core._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
