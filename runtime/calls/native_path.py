"""The native call path, loaded and checked: builtin functions made of records."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.runtime.calls.feeds_code import BEHAVED, TYPE_AT
from graphc.runtime.calls.objects import find_symbols
from graphc.runtime.calls.records import OBJECT_HEAD, ArrayHead, DtypeHead, RecyclerRecord
from graphc.runtime.jit.routines import are_at_hand, are_awaited, load_own_routines, start_own_routines
from graphc.runtime.memory import guarded_side, keep_for_ever

if TYPE_CHECKING:
    from graphc.runtime.call_path import Call, CallChain

_FAST_CALL, _KEYWORDS = 0x80, 0x02  # METH_FASTCALL, METH_KEYWORDS
_RETAINED_LIMIT = 1 << 30
_NAME = "call path"
_RETAINED_SHARE = 8  # of the machine's memory, at most one part in so many


class _MethodDefinition(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    ]


class NativePath:
    """Makes builtin functions. It lives as long as the process, as do its code and definitions: results refer to them."""

    def __init__(self, symbols: dict[str, int]):
        self.recycler = RecyclerRecord(limit=_retained_limit())
        keep_for_ever(self.recycler)
        symbols = {**symbols, "recycler": ctypes.addressof(self.recycler)}
        addresses = load_own_routines(_NAME, _call_path_module, symbols)
        self._call = _definition("graphc_callable", addresses["call_entry"], _FAST_CALL, "($self, /, *feeds)")
        self._strict = _definition("graphc_call", addresses["strict_entry"], _FAST_CALL, "($self, /, *feeds)")
        self._run = _definition("run", addresses["run_entry"], _FAST_CALL | _KEYWORDS, "($self, fetches, feed_dict=None)")
        interface = ctypes.pythonapi
        pointer, thing = ctypes.c_void_p, ctypes.py_object
        self._new_capsule = ctypes.PYFUNCTYPE(thing, pointer, ctypes.c_char_p, pointer)(("PyCapsule_New", interface))
        self._new_function = ctypes.PYFUNCTYPE(thing, pointer, thing, pointer)(("PyCFunction_NewEx", interface))

    def make_callable(self, call: Call, slow: Callable[..., Any]) -> Callable[..., Any]:
        return self._builtin(self._call, call.address, slow, call)

    def make_strict(self, call: Call, refuse: Callable[[int], Any]) -> Callable[..., Any]:
        return self._builtin(self._strict, call.address, refuse, None)

    def make_run(self, chain: CallChain, slow: Callable[..., Any]) -> Callable[..., Any]:
        return self._builtin(self._run, chain.address, slow, chain)

    def _builtin(self, definition: _MethodDefinition, record: int, slow: Callable[..., Any], owner: object) -> Any:
        capsule = self._new_capsule(record, None, None)
        return self._new_function(ctypes.addressof(definition), (capsule, slow, owner), None)


def _call_path_module() -> str:
    from graphc.runtime.calls.entries_code import call_path_module  # late: as a rule its code lies on disk

    return call_path_module()


def native_path() -> NativePath | None:
    """The native call path, or None where it must not or cannot be used."""
    return _checked_path() if _is_wanted() else None


def path_is_at_hand() -> bool:
    """Whether `native_path` answers at once, because its code is loaded, on disk or compiled by now."""
    return _checked_path.cache_info().currsize > 0 or are_at_hand(_sources())


def start_path() -> bool:
    """Begins to compile the native path in the background, where it is not at hand. Whether it is under way."""
    start_own_routines(_sources())
    return are_awaited(_sources())


def _sources() -> dict[str, Callable[[], str]]:
    return {_NAME: _call_path_module} if _is_wanted() and _interpreter_is_known() else {}


def _is_wanted() -> bool:
    return guarded_side() is None and os.environ.get("GRAPHC_CALL_PATH", "native") != "python"


@functools.cache
def _checked_path() -> NativePath | None:
    if not _interpreter_is_known() or not _layout_is_known():
        return None
    try:
        symbols = find_symbols()
    except (AttributeError, ImportError, LookupError):
        return None
    return NativePath(symbols)


def _interpreter_is_known() -> bool:
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    return sys.implementation.name == "cpython" and ctypes.sizeof(ctypes.c_void_p) == 8 and locked


def _layout_is_known() -> bool:
    """Whether objects lie in memory as the records say, found by comparing what NumPy reports of an array."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    head = ArrayHead.from_address(id(array) + OBJECT_HEAD)
    dtype = DtypeHead.from_address(id(array.dtype) + OBJECT_HEAD)
    crooked = np.asfortranarray(array)
    facts = [
        ctypes.c_void_p.from_address(id(array) + TYPE_AT).value == id(np.ndarray),
        head.data == array.ctypes.data,
        head.dimension_count == 2,
        head.dtype == id(array.dtype),
        head.flags & BEHAVED == BEHAVED,
        not ArrayHead.from_address(id(crooked) + OBJECT_HEAD).flags & 1,
        dtype.scalar_type == id(np.float32),
        dtype.type_number == array.dtype.num,
        dtype.byte_order == b"=",
    ]
    return all(facts) and list((ctypes.c_int64 * 2).from_address(head.dimensions)) == [2, 3]


def _definition(name: str, function: int, flags: int, signature: str) -> _MethodDefinition:
    documentation = f"{name}{signature}\n--\n\nA compiled graph."
    definition = _MethodDefinition(name.encode(), function, flags, documentation.encode())
    keep_for_ever(definition)
    return definition


def _retained_limit() -> int:
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _RETAINED_LIMIT
    return min(_RETAINED_LIMIT, memory // _RETAINED_SHARE)
