"""The threads that compile in the background: started at first use, not there where everything is on disk.

LLVM runs without the interpreter lock, so they work beside the Python code that goes on meanwhile.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graphc.runtime.schedule.topology import available_cores

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

SWITCH_SECONDS = 2e-5


class _Workers:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.executors: dict[str, ThreadPoolExecutor] = {}
        self.unfinished: set[Future[Any]] = set()
        self.eager, self.patient_interval = 0, 0.0


_WORKERS = _Workers()


def submit(task: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Has a task done by one of as many threads as there are cores. A process that ends or forks waits for all tasks."""
    return _submit("many", task, arguments)


def submit_in_order(task: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Has tasks done one after another by a thread beside those of `submit`."""
    return _submit("one", task, arguments)


def _submit(crew: str, task: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
    with _WORKERS.lock:
        if crew not in _WORKERS.executors:
            from concurrent.futures import ThreadPoolExecutor

            threads = available_cores() if crew == "many" else 1
            _WORKERS.executors[crew] = ThreadPoolExecutor(threads, thread_name_prefix="graphc-compile")
        future = _WORKERS.executors[crew].submit(task, *arguments)
        _WORKERS.unfinished.add(future)
    future.add_done_callback(_WORKERS.unfinished.discard)
    return future


def is_ending() -> bool:
    """Whether the interpreter shuts down, so that nobody will need what is not needed yet."""
    return not threading.main_thread().is_alive()


@contextmanager
def sharing_the_interpreter() -> Iterator[None]:
    """Lets the compiling threads have the interpreter lock soon, while the body computes in Python.

    Between their calls of LLVM they need it for some microseconds; with the usual interval each time costs them five
    milliseconds of waiting.
    """
    with _WORKERS.lock:
        _WORKERS.eager += 1
        if _WORKERS.eager == 1:
            _WORKERS.patient_interval = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_SECONDS, _WORKERS.patient_interval))
    try:
        yield
    finally:
        with _WORKERS.lock:
            _WORKERS.eager -= 1
            if _WORKERS.eager == 0:
                sys.setswitchinterval(_WORKERS.patient_interval)


def wait_for_all() -> None:
    """Waits until nothing is being compiled."""
    unfinished = tuple(_WORKERS.unfinished)
    if unfinished:
        from concurrent.futures import wait

        wait(unfinished)


def _forget() -> None:
    global _WORKERS
    _WORKERS = _Workers()


if hasattr(os, "register_at_fork"):
    # A child has none of the threads, and would keep for ever the locks that one of them held within LLVM.
    os.register_at_fork(before=wait_for_all, after_in_child=_forget)
