"""What the native call path reads: records that Python fills and native code follows.

Every pointer in a record is kept alive by the Python object that owns the record, `call_path.Call`.
"""

from __future__ import annotations

import ctypes
import enum

import numpy as np

_POINTER, _INTEGER = ctypes.c_void_p, ctypes.c_int64
_FIRST_FOREIGN_DTYPE = 256  # the numbers that NumPy gives to dtypes of others begin here
OBJECT_HEAD = object.__basicsize__  # of PyObject_HEAD: the fields of an object begin here


class Number(enum.IntEnum):
    """How a Python number is stored where a 0-d feed is expected; NONE leaves it to the slow path."""

    NONE = 0
    BOOL = 1
    I32 = 2
    I64 = 3
    F32 = 4
    F64 = 5


class Shape(enum.IntEnum):
    """What a run returns: one value, or a list or tuple of them."""

    SINGLE = 0
    LIST = 1
    TUPLE = 2


def has_own_scalar(dtype: np.dtype) -> bool:
    """Whether the dtype is NumPy's own, so that NumPy knows how its scalars lie in memory; bfloat16 is not."""
    return dtype.num < _FIRST_FOREIGN_DTYPE


class FeedRecord(ctypes.Structure):
    """An argument: the dtype object, its number and scalar type (null where scalars are left to the slow path), the
    dimensions, the slot that its address goes to."""

    _fields_ = [
        ("dtype", _POINTER),
        ("type_number", ctypes.c_int32),
        ("number", ctypes.c_int32),
        ("scalar_type", _POINTER),
        ("dimension_count", _INTEGER),
        ("dimensions", _POINTER),
        ("slot", _INTEGER),
    ]


class ResultRecord(ctypes.Structure):
    """A result to allocate. `recycled_bytes` is the size of its mapping, 0 where NumPy allocates it."""

    _fields_ = [
        ("dtype", _POINTER),
        ("dimension_count", _INTEGER),
        ("dimensions", _POINTER),
        ("slot", _INTEGER),
        ("recycled_bytes", _INTEGER),
    ]


class CallRecord(ctypes.Structure):
    """One compiled signature.

    `items` has, for every value returned, the number of its result or -1 for None. `fetches` and `keys` are the objects
    that `Session.run` was called with, compared by identity. `own_lock` guards the record's memory, `shared_lock` (or null)
    the variables: a run that `writes` them has them for itself. `run_counter` (or null) counts the runs that draw random
    numbers; the number of this run goes to `run_number`, which the program reads.
    """

    _fields_ = [
        ("walk", _POINTER),
        ("program", _POINTER),
        ("slots", _POINTER),
        ("feeds", _POINTER),
        ("feed_count", _INTEGER),
        ("results", _POINTER),
        ("result_count", _INTEGER),
        ("items", _POINTER),
        ("item_count", _INTEGER),
        ("shape", _INTEGER),
        ("fetches", _POINTER),
        ("keys", _POINTER),
        ("own_lock", _POINTER),
        ("shared_lock", _POINTER),
        ("writes", _INTEGER),
        ("run_counter", _POINTER),
        ("run_number", _POINTER),
        ("status", _POINTER),
        ("releases_interpreter", _INTEGER),
        ("valid", _INTEGER),
        ("report", _POINTER),
        ("owner", _POINTER),
    ]


class LockRecord(ctypes.Structure):
    """`holder` is the thread that holds the lock from Python, 0 if none does."""

    _fields_ = [("state", ctypes.c_int32), ("holder", _INTEGER)]


class ChainRecord(ctypes.Structure):
    """The signatures that a session knows: a null-terminated array of addresses of `CallRecord`s."""

    _fields_ = [("calls", _POINTER)]


class RecyclerRecord(ctypes.Structure):
    """Mappings of dead results, kept for new ones: a list of blocks, the last used first."""

    _fields_ = [("first", _POINTER), ("blocks", _INTEGER), ("bytes", _INTEGER), ("limit", _INTEGER)]


class BlockRecord(ctypes.Structure):
    _fields_ = [("next", _POINTER), ("data", _POINTER), ("bytes", _INTEGER)]


class ArrayHead(ctypes.Structure):
    """The public fields of an ndarray, behind the head of every object."""

    _fields_ = [
        ("data", _POINTER),
        ("dimension_count", ctypes.c_int32),
        ("dimensions", _POINTER),
        ("strides", _POINTER),
        ("base", _POINTER),
        ("dtype", _POINTER),
        ("flags", ctypes.c_int32),
    ]


class DtypeHead(ctypes.Structure):
    """The public fields of a dtype object, behind the head of every object."""

    _fields_ = [
        ("scalar_type", _POINTER),
        ("kind", ctypes.c_char),
        ("letter", ctypes.c_char),
        ("byte_order", ctypes.c_char),
        ("flags", ctypes.c_char),
        ("type_number", ctypes.c_int32),
    ]
