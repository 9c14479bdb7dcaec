"""Calls for the tests of the call path."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sample_kernels import check_bound, copy_bytes, multiply_add

from graphc.runtime.call_path import Call, Feed, Result, Shape
from graphc.runtime.executor import Executable, Failure, Operand, Step
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import Kernel
from graphc.runtime.memory import allocate

F32 = np.dtype(np.float32)


class Key:
    """Stands for a tensor. To compare or hash it is an error: the call path knows its keys by identity."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a key was compared")

    __hash__ = object.__hash__


class CheckError(Exception):
    pass


def raise_failure(failure: Failure) -> None:
    raise CheckError(tuple(failure))


def make_executable(kernel: Kernel, operands: Sequence[Operand], slots: int, status: int | None = None) -> Executable:
    return Executable([Step(kernel.name, tuple(operands), kernel.chunks)], load_kernels([kernel]), slots, status)


def multiply_add_call(count: int = 8, items: Sequence[int | None] = (0,), **options: Any) -> Call:
    """x * y + 1 over `count` floats."""
    executable = make_executable(multiply_add(count), map(Operand, range(3)), 3)
    feeds = [Feed(F32, (count,), 0), Feed(F32, (count,), 1)]
    options = {"report": raise_failure, "shape": Shape.SINGLE, **options}
    return Call(executable, [0, 0, 0], feeds, [Result(F32, (count,), 2)], items, **options)


def copying_call(dtype: Any, shape: tuple[int, ...] = (), **options: Any) -> Call:
    """Returns what it is fed."""
    dtype = np.dtype(dtype)
    kernel = copy_bytes(int(np.prod(shape)) * dtype.itemsize)
    executable = make_executable(kernel, map(Operand, range(2)), 2)
    options = {"report": raise_failure, "shape": Shape.SINGLE, **options}
    return Call(executable, [0, 0], [Feed(dtype, shape, 0)], [Result(dtype, shape, 1)], [0], **options)


def checking_call(**options: Any) -> Call:
    """Returns the int64 that it is fed, which must be below 10."""
    status = allocate(32)
    executable = make_executable(check_bound(10), map(Operand, range(3)), 3, 2)
    i64 = np.dtype(np.int64)
    options = {"report": raise_failure, "shape": Shape.LIST, **options}
    return Call(
        executable, [0, 0, status.address], [Feed(i64, (), 0)], [Result(i64, (), 1)], [0], keep=(status,), **options
    )


def refuse(*arguments: Any, **named: Any) -> Any:
    """A function behind the call path that must not be reached."""
    raise AssertionError(f"the call was not taken: {arguments} {named}")


def show(*arguments: Any, **named: Any) -> Any:
    """A function behind the call path that shows what it got."""
    return "slow", arguments, named


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Runs work(0), work(1) ... at the same time."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
