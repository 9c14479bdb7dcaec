"""The lock that orders runs, as Python sees it."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphc.runtime.calls.records import LockRecord
from graphc.runtime.core_routines import core_routines

_PAUSE_SECONDS = 50e-6


class RunLock:
    """Orders what must not overlap. Native runs that only read take it together, a run that writes takes it alone.

    From Python it is always taken alone (`holding`), and a thread that holds it passes freely, natively too: a host
    operation may run its session again. `address` is that of the native record. A forked child finds it free.
    """

    def __init__(self) -> None:
        self._record = LockRecord()
        self.address = ctypes.addressof(self._record)
        self._depth = 0
        _LOCKS.add(self)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Holds the lock for the body of a `with` statement."""
        self._enter()
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._record.holder = 0
                _routines()["leave"](self.address, 1)

    def _enter(self) -> None:
        own = threading.get_ident()
        if self._record.holder == own:
            self._depth += 1
            return
        try_enter = _routines()["try_enter"]
        try:
            while not try_enter(self.address, 1):
                time.sleep(_PAUSE_SECONDS)
        except BaseException:
            _routines()["withdraw"](self.address)
            raise
        self._record.holder = own
        self._depth = 1

    def free(self) -> None:
        """Forgets who held it: in a forked child, where no other thread exists."""
        self._record.state, self._record.holder, self._depth = 0, 0, 0


_LOCKS: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _free_all() -> None:
    for lock in list(_LOCKS):
        lock.free()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)


@functools.cache
def _routines() -> dict[str, Any]:
    addresses = core_routines()
    pointer, flag = ctypes.c_void_p, ctypes.c_int32
    return {
        "try_enter": ctypes.PYFUNCTYPE(flag, pointer, flag)(addresses["try_enter"]),
        "leave": ctypes.PYFUNCTYPE(None, pointer, flag)(addresses["leave"]),
        "withdraw": ctypes.PYFUNCTYPE(None, pointer)(addresses["withdraw"]),
    }
