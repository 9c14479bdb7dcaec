"""A compiled program ready to run: an executable with the memory that it owns and the shapes of what comes in and out."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphc.errors import InvalidArgumentError
from graphc.program import Program
from graphc.runtime.compiled_record import CompiledRecord
from graphc.runtime.executor import Executable, Failure
from graphc.runtime.memory import Buffer, allocate, guarded_side
from graphc.runtime.variable_store import VariableStore

if TYPE_CHECKING:
    from graphc.passes.plan_memory import MemoryPlan
    from graphc.runtime.compiler import Compilation


class NativeProgram:
    """Runs an executable. Concurrent runs have an arena each.

    `recompile` makes again what the program was compiled from, for those who want to see it: errors, dumps, profiles. So
    none of it is kept, and a program that was found on disk has it too. `seconds` are the times of the stages that it took
    to get here.
    """

    def __init__(
        self,
        record: CompiledRecord,
        executable: Executable,
        constants: Buffer,
        recompile: Callable[[], Compilation],
        seconds: dict[str, float] | None = None,
        compilation: Compilation | None = None,
    ):
        self.record, self.executable, self.constants = record, executable, constants
        self.seconds = seconds or {}
        self.arena_bytes = record.arena_bytes
        self.feeds = tuple(binding.type for binding in record.feeds)
        self.feed_keys = tuple(binding.key for binding in record.feeds)
        self.results = record.results
        self.updates = dict(record.updates)
        self.reads = record.reads
        self._recompile = recompile
        self._compilation = compilation
        self._arenas: list[Buffer] = []
        self._lock = threading.Lock()

    @property
    def compilation(self) -> Compilation:
        """What was made on the way: all passes, the memory plan, the kernels with their texts."""
        if self._compilation is None:
            self._compilation = self._recompile()
        return self._compilation

    def forget_compilation(self) -> None:
        """Frees what was made on the way, until somebody asks for it."""
        self._compilation = None

    @property
    def plan(self) -> MemoryPlan:
        return self.compilation.plan

    @property
    def program(self) -> Program:
        """The program as it runs, after all passes."""
        return self.compilation.plan.program

    def take_arena(self) -> Buffer:
        """Memory for one run; `return_arena` gives it back."""
        with self._lock:
            if self._arenas:
                return self._arenas.pop()
        return allocate(max(64, self.arena_bytes), "end" if guarded_side() else None)

    def return_arena(self, arena: Buffer) -> None:
        with self._lock:
            self._arenas.append(arena)

    def run(self, feeds: Sequence[np.ndarray], store: VariableStore, run_key: np.ndarray) -> list[np.ndarray]:
        """The fetches as new arrays; new values of variables go into the store.

        `feeds` are C-contiguous arrays of the program's types in its order. Raises InvalidArgumentError where a run-time
        check fails; results and new values are lost then.
        """
        arena = self.take_arena()
        results = [np.empty(t.sizes, t.dtype.numpy) for t in self.results]
        status = np.zeros(4, np.int64)
        try:
            slots = self._slots(feeds, store, results, arena, run_key, status)
            failure = self.executable.run(slots)
        finally:
            self.return_arena(arena)
        if failure is not None:
            raise self.explain(failure)
        store.mark_initialized(self.updates)
        return results

    def profile(self, feeds: Sequence[np.ndarray], store: VariableStore, run_key: np.ndarray) -> list[int]:
        """One run, as `run`; the nanoseconds of a monotonic clock before each step, and at the end."""
        arena = self.take_arena()
        results = [np.empty(t.sizes, t.dtype.numpy) for t in self.results]
        status = np.zeros(4, np.int64)
        try:
            moments, failure = self.executable.run_timed(self._slots(feeds, store, results, arena, run_key, status))
        finally:
            self.return_arena(arena)
        if failure is not None:
            raise self.explain(failure)
        store.mark_initialized(self.updates)
        return moments

    def _slots(
        self, feeds: Sequence[np.ndarray], store: VariableStore, results: Sequence[np.ndarray], arena: Buffer,
        run_key: np.ndarray, status: np.ndarray,
    ) -> list[int]:  # fmt: skip
        """Base pointers in the order of the slots; the old buffers of variables that change their shape stay alive."""
        slots = [array.ctypes.data for array in feeds]
        old = {key: store.value(key) for key in self.reads}
        for key in self.record.variables:
            wanted = self.updates.get(key)
            array = old[key] if wanted is None else store.buffer(key, wanted.sizes, wanted.dtype.numpy)
            slots.append(array.ctypes.data)
        slots += [array.ctypes.data for array in results]
        slots += [arena.address, self.constants.address, run_key.ctypes.data, status.ctypes.data]
        return slots + [ctypes.addressof(store.version(key)) for key in self.record.remembered]

    def explain(self, failure: Failure) -> InvalidArgumentError:
        """The error of a failed run-time check, with the operation and the user's line."""
        operation, step = self.compilation.steps[failure.step]
        if step.kernel.name != self.executable.steps[failure.step].kernel:
            raise RuntimeError("the options of the compiler changed since the program was compiled")
        text = step.kernel.checks[failure.check]
        message = text.replace("{value}", str(failure.value)).replace("{bound}", str(failure.bound))
        return InvalidArgumentError(operation, operation, message)
