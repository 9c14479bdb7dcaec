"""The lock that orders the runs of one session: many readers of variables, or one writer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ReadWriteLock:
    """Any number of readers or one writer.

    A thread that holds it already passes freely: a Python function that a graph calls may run the session again. A thread
    that reads must not begin to write (two such threads would wait for each other); that raises RuntimeError.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._readers = 0
        self._writing = False
        self._writers_waiting = 0
        self._held = threading.local()

    @contextmanager
    def reading(self) -> Iterator[None]:
        if getattr(self._held, "mode", None) is not None:
            yield
            return
        with self._condition:
            # a waiting writer goes first, else a stream of readers could keep it out for ever
            while self._writing or self._writers_waiting:
                self._condition.wait()
            self._readers += 1
        self._held.mode = "read"
        try:
            yield
        finally:
            self._held.mode = None
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        mode = getattr(self._held, "mode", None)
        if mode == "write":
            yield
            return
        if mode == "read":
            raise RuntimeError("a run that only reads variables cannot start one that writes them")
        with self._condition:
            self._writers_waiting += 1
            while self._writing or self._readers:
                self._condition.wait()
            self._writers_waiting -= 1
            self._writing = True
        self._held.mode = "write"
        try:
            yield
        finally:
            self._held.mode = None
            with self._condition:
                self._writing = False
                self._condition.notify_all()
