"""Native code for tests: programs compiled and run without a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.passes.base import Context
from graphc.passes.specialise import specialise
from graphc.program import FEED, VARIABLE, Program
from graphc.runtime.compiler import compile_program
from graphc.runtime.native_program import NativeProgram
from graphc.runtime.schedule.machine import host_machine
from graphc.runtime.variable_store import VariableStore

RUN_KEY = np.array([11, 3], np.int64)


def compile_native(program: Program, threads: int = 2, context: Context | None = None) -> NativeProgram:
    """A program whose shapes are known, compiled for the host (or the machine that GRAPHC_MACHINE names)."""
    return compile_program(specialise(program, {}), host_machine(), threads, context)


def run_native(
    program: Program, bindings: Mapping[str, np.ndarray], threads: int = 2, misaligned: bool = False
) -> list[np.ndarray]:
    """Fetches, then new values of variables in the order of the program's updates.

    `misaligned` feeds lie one element off a cache line.
    """
    native = compile_native(program, threads)
    store = VariableStore()
    for parameter in program.parameters:
        if parameter.kind == VARIABLE:
            store.assign(parameter.key, bindings[parameter.key])
    place: Any = misalign if misaligned else np.ascontiguousarray
    feeds = [place(bindings[p.key]).reshape(bindings[p.key].shape) for p in native.program.parameters if p.kind == FEED]
    fetched = native.run(feeds, store, RUN_KEY)
    return fetched + [store.value(key) for key, _ in program.updates]


def misalign(array: np.ndarray) -> np.ndarray:
    """A copy whose data begin one element behind a multiple of 64 bytes."""
    room = np.zeros(array.nbytes + 192, np.uint8)
    start = -room.ctypes.data % 64 + array.dtype.itemsize
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
