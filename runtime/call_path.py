"""The way from a Python call into native code and back: what a session makes for each compiled signature.

A `Call` says which arrays a program takes and gives and where they belong among its slots. `make_callable` turns one into a
builtin function of the feeds; `make_run` turns a chain of them into `run(fetches, feed_dict)`. Both check the feeds,
allocate the results, run and wrap without executing any Python code. What they do not take as it is they pass, unchanged,
to the Python function that they were given; that one converts what it got and goes on through `Call.run`.

GRAPHC_CALL_PATH=python leaves the native path out; so does an interpreter or a NumPy whose binary interface is not the
known one. Behaviour is the same, but slower.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.records import record
from graphc.runtime.calls import python_path
from graphc.runtime.calls.lock import RunLock
from graphc.runtime.calls.native_path import native_path
from graphc.runtime.calls.records import (
    CallRecord,
    ChainRecord,
    FeedRecord,
    Number,
    ResultRecord,
    Shape,
    has_own_scalar,
)
from graphc.runtime.calls.recycler_code import recycled_bytes
from graphc.runtime.core_routines import core_routines
from graphc.runtime.executor import Executable, Failure

__all__ = ["Call", "CallChain", "Feed", "Result", "RunLock", "Shape", "StaleCallError", "make_callable", "make_run"]

RECYCLED_FROM = 256 << 10  # bytes: below, the C library's own recycling does as well

_NUMBERS = {"bool": Number.BOOL, "int32": Number.I32, "int64": Number.I64, "float32": Number.F32, "float64": Number.F64}


class StaleCallError(RuntimeError):
    """The call was invalidated: its variables lie elsewhere by now, or its session is closed."""


@record
class Feed:
    """An array that a run is given, and the slot that its address goes to; None for one that nobody reads."""

    dtype: np.dtype
    shape: tuple[int, ...]
    slot: int | None


@record
class Result:
    """An array that a run makes, and the slot that its address goes to. A 0-d one is returned as a NumPy scalar."""

    dtype: np.dtype
    shape: tuple[int, ...]
    slot: int


class Call:
    """One compiled signature: a program with its memory, what it is fed and what it returns.

    `slots` holds an address for every slot of the executable; those of feeds and results are set anew in each run, those
    of variables, constants, arena and status stay until `set_slot`. All memory that they point into must be in `keep`.
    `items` lists what is returned, as numbers of results or None (the value of an operation); `shape` says whether as a
    single value, a list or a tuple. `fetches` (as many as items) and `keys` (as many as feeds) are the objects that
    `make_run` compares with those it is called with, by identity.

    One run at a time uses the memory of a call. Across calls `lock` keeps runs that write variables apart from all
    others: give every call of a session the same one, and `writes=True` to those that write, with the addresses of the
    int64 `versions` of what they write, which each run counts up. `run_counter` is the address of an int64 that each run
    counts up, `run_number` the address of the int64 that then gets its value; give both to programs that draw random
    numbers. `release=True` lets other Python threads run meanwhile: worth it from about ten microseconds on.

    `report(failure)` is called with the `Failure` of a run-time check and must raise the error for it.
    """

    def __init__(
        self,
        executable: Executable,
        slots: Sequence[int],
        feeds: Sequence[Feed],
        results: Sequence[Result],
        items: Sequence[int | None],
        report: Callable[[Failure], object],
        shape: Shape = Shape.LIST,
        lock: RunLock | None = None,
        writes: bool = False,
        versions: Sequence[int] = (),
        run_counter: int | None = None,
        run_number: int | None = None,
        release: bool = True,
        fetches: Sequence[object] = (),
        keys: Sequence[object] = (),
        keep: Sequence[object] = (),
    ):
        if len(slots) != executable.slot_count:
            raise ValueError(f"the program has {executable.slot_count} slots, not {len(slots)}")
        self.executable = executable
        self.feeds, self.results, self.items = tuple(feeds), tuple(results), tuple(items)
        self.shape = shape
        self.fetches, self.keys = tuple(fetches), tuple(keys)
        self.own_lock, self.lock, self.writes, self.versions = RunLock(), lock, writes, tuple(versions)
        self.run_counter, self.run_number = run_counter, run_number
        self.report = _numbers_to_failure(report)
        self._keep = tuple(keep)
        # A null ends the versions; the address behind it is that of what nobody reads.
        self.slots = (ctypes.c_void_p * (len(slots) + len(self.versions) + 2))(*slots, *self.versions)
        self.record = CallRecord()
        self.address = ctypes.addressof(self.record)
        self._fill(release)
        self._strict = _make_strict(self)

    # -- the life of a call

    @property
    def valid(self) -> bool:
        """Whether the call may be run; see `invalidate`."""
        return bool(self.record.valid)

    def invalidate(self) -> None:
        """From now on every use goes to the Python function behind it; `run` raises StaleCallError. It is final."""
        self.record.valid = 0

    def set_slot(self, slot: int, address: int, keep: object = None) -> None:
        """Moves a slot that is not a feed's or a result's elsewhere. The caller holds the lock of the session."""
        with self.own_lock.holding():
            self.slots[slot] = address
            self._moved[slot] = keep
            if slot == self.executable.status_slot:
                self.record.status = address

    def run(self, arrays: Sequence[object]) -> Any:
        """Runs with arguments that fit exactly (see `Feed.dtype`, shape; C-contiguous, aligned), in the order of the feeds.

        Raises TypeError where they do not fit, StaleCallError where the call was invalidated.
        """
        return self._strict(*arrays)

    def _fill(self, release: bool) -> None:
        record, executable = self.record, self.executable
        self._moved: dict[int, object] = {}
        self._feeds = (FeedRecord * max(1, len(self.feeds)))()
        self._results = (ResultRecord * max(1, len(self.results)))()
        shapes = [feed.shape for feed in self.feeds] + [result.shape for result in self.results]
        self._dimensions = [_integers(shape) for shape in shapes]
        for number, (entry, feed) in enumerate(zip(self._feeds, self.feeds)):
            entry.dtype, entry.type_number = id(feed.dtype), feed.dtype.num
            entry.number = _NUMBERS.get(feed.dtype.name, Number.NONE)
            entry.scalar_type = id(feed.dtype.type) if has_own_scalar(feed.dtype) else None
            entry.dimension_count = len(feed.shape)
            entry.slot = len(self.slots) - 1 if feed.slot is None else feed.slot
            entry.dimensions = ctypes.addressof(self._dimensions[number])
        for number, (entry, result) in enumerate(zip(self._results, self.results)):
            entry.dtype, entry.dimension_count, entry.slot = id(result.dtype), len(result.shape), result.slot
            entry.dimensions = ctypes.addressof(self._dimensions[len(self.feeds) + number])
            entry.recycled_bytes = _mapping_bytes(result)
        self._items = _integers([-1 if item is None else item for item in self.items])
        self._fetch_addresses, self._key_addresses = _addresses(self.fetches), _addresses(self.keys)
        record.walk = core_routines()["counting_walk" if self.versions else "walk"]
        record.program = executable.address
        record.slots = ctypes.addressof(self.slots)
        record.feeds, record.feed_count = ctypes.addressof(self._feeds), len(self.feeds)
        record.results, record.result_count = ctypes.addressof(self._results), len(self.results)
        record.items, record.item_count = ctypes.addressof(self._items), len(self.items)
        record.shape = self.shape
        record.fetches = ctypes.addressof(self._fetch_addresses)
        record.keys = ctypes.addressof(self._key_addresses)
        record.own_lock = self.own_lock.address
        record.shared_lock = self.lock.address if self.lock else None
        record.writes = self.writes
        record.run_counter, record.run_number = self.run_counter, self.run_number
        record.status = None if executable.status_slot is None else self.slots[executable.status_slot]
        record.releases_interpreter = release
        record.valid = 1
        record.report, record.owner = id(self.report), id(self)


class CallChain:
    """The calls that `make_run` looks through, in the order of `calls`."""

    def __init__(self) -> None:
        self.calls: tuple[Call, ...] = ()
        self.record = ChainRecord()
        self.address = ctypes.addressof(self.record)
        self._set(())

    def add(self, call: Call) -> None:
        """Puts a call in front."""
        self._set((call, *(other for other in self.calls if other is not call)))

    def remove(self, call: Call) -> None:
        self._set(tuple(other for other in self.calls if other is not call))

    def clear(self) -> None:
        self._set(())

    def _set(self, calls: tuple[Call, ...]) -> None:
        addresses = (ctypes.c_void_p * (len(calls) + 1))(*(call.address for call in calls), None)
        self.record.calls = ctypes.addressof(addresses)
        self.calls, self._table = calls, addresses


def make_callable(call: Call, slow: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the feeds, in their order. `slow` gets the same arguments where they do not fit as they are, and where
    the call has been invalidated."""
    native = native_path()
    return python_path.make_callable(call, slow) if native is None else native.make_callable(call, slow)


def make_run(chain: CallChain, slow: Callable[..., Any]) -> Callable[..., Any]:
    """A function run(fetches, feed_dict=None). `slow` gets the same arguments where no call of the chain fits: one fits if
    its fetches and keys are those given, by identity (in any order of the keys), and the feeds are as it expects."""
    native = native_path()
    return python_path.make_run(chain, slow) if native is None else native.make_run(chain, slow)


def _numbers_to_failure(report: Callable[[Failure], object]) -> Callable[[int, int, int, int], None]:
    """What native code calls with the four status cells. It knows nothing of the call, which owns it."""

    def raise_error(check: int, value: int, bound: int, step: int) -> None:
        failure = Failure(check - 1, value, bound, step)
        report(failure)
        raise RuntimeError(f"nobody raised an error for {failure}")

    return raise_error


def _make_strict(call: Call) -> Callable[..., Any]:
    """What `Call.run` uses; it knows nothing of the call, which owns it."""
    feeds = call.feeds

    def refuse(stale: int) -> None:
        if stale:
            raise StaleCallError("the call was invalidated")
        expected = ", ".join(f"{feed.dtype.name}{list(feed.shape)}" for feed in feeds)
        raise TypeError(f"the arguments do not fit; expected are contiguous arrays: {expected or 'none'}")

    native = native_path()
    return python_path.make_strict(call, refuse) if native is None else native.make_strict(call, refuse)


def _mapping_bytes(result: Result) -> int:
    if not sys.platform.startswith("linux"):
        return 0
    return recycled_bytes(math.prod(result.shape) * result.dtype.itemsize, mmap.PAGESIZE, RECYCLED_FROM)


def _integers(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * max(1, len(values)))(*values)


def _addresses(objects: Sequence[object]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * max(1, len(objects)))(*map(id, objects))
