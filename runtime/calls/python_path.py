"""The call path in Python: for interpreters whose binary interface is not the known one, and for guarded memory.

It does what the native path does, in the same order: check the feeds, allocate, lock, run, report, wrap.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.runtime.calls.feeds_code import EXACT_INTEGERS
from graphc.runtime.calls.records import Shape, has_own_scalar
from graphc.runtime.memory import Buffer, allocate, guarded_side

if TYPE_CHECKING:
    from graphc.runtime.call_path import Call, Feed, Result

_INTEGER_RANGES = {"int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1)}
_FLOATS = ("float32", "float64")


def make_callable(call: Call, slow: Callable[..., Any]) -> Callable[..., Any]:
    def graphc_callable(*arguments: Any) -> Any:
        arrays = _accept(call, arguments)
        if arrays is None or not call.valid:
            return slow(*arguments)
        return _execute(call, arrays, lambda: slow(*arguments))

    return graphc_callable


def make_strict(call: Call, refuse: Callable[[int], Any]) -> Callable[..., Any]:
    reference = weakref.ref(call)  # the call owns what is made here: owning it in turn would be a cycle

    def strict(*arguments: Any) -> Any:
        known = reference()
        assert known is not None, "its owner is calling"
        arrays = _accept(known, arguments)
        if arrays is None or not known.valid:
            return refuse(0 if arrays is None else 1)
        return _execute(known, arrays, lambda: refuse(1))

    return strict


def make_run(chain: Any, slow: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        known = 1 <= len(arguments) + len(named) <= 2 and arguments and set(named) <= {"feed_dict"}
        feed_dict = (*arguments, *named.values())[1] if known and len(arguments) + len(named) == 2 else None
        if not known or not (feed_dict is None or type(feed_dict) is dict):
            return slow(*arguments, **named)
        for call in chain.calls:
            values = _match(call, arguments[0], feed_dict or {})
            arrays = None if values is None else _accept(call, values)
            if arrays is not None and call.valid:
                return _execute(call, arrays, lambda: slow(*arguments, **named))
        return slow(*arguments, **named)

    return run


def _match(call: Call, fetches: Any, feed_dict: Mapping[Any, Any]) -> list[Any] | None:
    """The values of a feed dictionary in the order of a call's feeds, None where the call is another one."""
    shape = Shape.LIST if type(fetches) is list else Shape.TUPLE if type(fetches) is tuple else Shape.SINGLE
    items = (fetches,) if shape == Shape.SINGLE else fetches
    if shape != call.shape or len(items) != len(call.fetches) or len(feed_dict) != len(call.keys):
        return None
    if any(given is not expected for given, expected in zip(items, call.fetches)):
        return None
    by_identity = {id(key): value for key, value in feed_dict.items()}
    if any(id(key) not in by_identity for key in call.keys):
        return None
    return [by_identity[id(key)] for key in call.keys]


def _accept(call: Call, arguments: Sequence[Any]) -> list[np.ndarray] | None:
    """The arguments as arrays whose memory can be used as it is, None where one does not fit."""
    if len(arguments) != len(call.feeds):
        return None
    arrays = [_accept_one(feed, argument) for feed, argument in zip(call.feeds, arguments)]
    return None if any(array is None for array in arrays) else arrays  # type: ignore[return-value]


def _accept_one(feed: Feed, argument: Any) -> np.ndarray | None:
    if type(argument) is np.ndarray:
        flags = argument.flags
        same = argument.dtype.num == feed.dtype.num and argument.dtype.isnative and argument.shape == feed.shape
        return argument if same and flags.c_contiguous and flags.aligned else None
    if feed.shape:
        return None
    scalar = type(argument) is feed.dtype.type and has_own_scalar(feed.dtype)
    if scalar or _is_number_for(feed.dtype, argument):
        with np.errstate(over="ignore"):
            return np.array(argument, feed.dtype)
    return None


def _is_number_for(dtype: np.dtype, argument: Any) -> bool:
    if type(argument) is float:
        return dtype.name in _FLOATS
    if type(argument) is bool:
        return dtype.name == "bool"
    if type(argument) is not int:
        return False
    if dtype.name in _FLOATS:
        return -EXACT_INTEGERS <= argument <= EXACT_INTEGERS
    low, high = _INTEGER_RANGES.get(dtype.name, (1, 0))
    return low <= argument <= high


def _execute(call: Call, arrays: Sequence[np.ndarray], when_stale: Callable[[], Any]) -> Any:
    side = guarded_side()
    feeds = [_Place(feed, side) for feed in call.feeds]
    results = [_Place(result, side) for result in call.results]
    for place, array in zip(feeds, arrays):
        place.take(array)
    with nullcontext() if call.lock is None else call.lock.holding(), call.own_lock.holding():
        status = _run(call, feeds, results)
    if status is None:
        return when_stale()
    if status[0]:
        call.report(*status)
    made = [place.give()[()] for place in results]  # which makes a scalar of a 0-d array
    values = [None if item is None else made[item] for item in call.items]
    if call.shape == Shape.SINGLE:
        return values[0]
    return tuple(values) if call.shape == Shape.TUPLE else values


def _run(call: Call, feeds: Sequence[_Place], results: Sequence[_Place]) -> tuple[int, int, int, int] | None:
    """The status cells after the run; None where the call has become stale meanwhile."""
    if not call.valid:
        return None
    slots: ctypes.Array[ctypes.c_void_p] = call.slots
    for feed, place in zip(call.feeds, feeds):
        if feed.slot is not None:
            slots[feed.slot] = place.address
    for result, place in zip(call.results, results):
        slots[result.slot] = place.address
    if call.run_counter is not None and call.run_number is not None:
        counter, number = _integer_at(call.run_counter), _integer_at(call.run_number)
        counter[0] += 1
        number[0] = counter[0]
    for version in call.versions:
        _integer_at(version)[0] += 1
    failure = call.executable.run([slot or 0 for slot in slots][: call.executable.slot_count])
    return (failure.check + 1, failure.value, failure.bound, failure.step) if failure else (0, 0, 0, 0)


class _Place:
    """Memory for one array: the array's own, or a copy between guard pages."""

    def __init__(self, array: Feed | Result, side: str | None):
        dtype, shape = array.dtype, array.shape
        nbytes = math.prod(shape) * dtype.itemsize
        self._buffer: Buffer | None = allocate(nbytes, side, alignment=dtype.itemsize) if side else None
        self._array = np.empty(shape, dtype) if self._buffer is None else self._buffer.view(dtype, shape)

    @property
    def address(self) -> int:
        return self._array.ctypes.data if self._buffer is None else self._buffer.address

    def take(self, array: np.ndarray) -> None:
        if self._buffer is None:
            self._array = array
        else:
            self._array[...] = array

    def give(self) -> np.ndarray:
        if self._buffer is None:
            return self._array
        if not self._buffer.intact():
            raise RuntimeError("a kernel wrote behind the end of a result")
        return self._array.copy()


def _integer_at(address: int) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * 1).from_address(address)
