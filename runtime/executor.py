"""A compiled program as data: a table of steps that one native routine walks.

Kernels know nothing of the program that they are in. A step names a kernel, says where each operand lies (slot and byte
offset) and how many chunks there are; a slot is a base pointer that is given anew for each run (a feed, a variable, the
arena, a result). So nothing is compiled for a program but the kernels that no other program has, and measuring is a clock
read around each step.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from graphc.records import record
from graphc.runtime.core_routines import core_routines
from graphc.runtime.jit.engine import LoadedKernels
from graphc.runtime.jit.routines import load_own_routines
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.threads.pool import Pool, shared_pool
from graphc.runtime.walk_code import Manner, ProgramRecord, timed_walk_module

STATUS_CELLS = 4  # failed check + 1, offending value, bound, step


class Operand(NamedTuple):
    """Where an operand lies: `offset` bytes behind the base pointer in slot `slot`."""

    slot: int
    offset: int = 0


@record
class Step:
    """One kernel call. `parallel` lets its chunks run on the pool; `label` is for people.

    One that `remembers` prepares what stays from run to run. Its last two operands, which the kernel does not look at, are
    int64 cells: the version of what the bytes are made of, and the version that they were made of last. Where these are
    equal, there is nothing to do. Versions are never 0, so zeroed memory is out of date.
    """

    kernel: str
    operands: tuple[Operand, ...]
    chunks: int = 1
    parallel: bool = False
    label: str = ""
    remembers: bool = False


class Failure(NamedTuple):
    """A run-time check that failed: which one of the step's kernel (from 0), the offending value, its bound, the step."""

    check: int
    value: int
    bound: int
    step: int


class Executable:
    """A program ready to run.

    `kernels` gives the addresses of all kernels that the steps name and keeps their code loaded. `status_slot` is the
    slot of the four status cells, None where no kernel has checks. `pool` runs the parallel steps (default: the shared
    pool of the process). `address` is that of the program's record, for the call path and for kernels that run programs.

    Raises ValueError for an operand in a slot that does not exist or a step of more than 64 chunks, KeyError for a step
    whose kernel is not in `kernels`.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        kernels: LoadedKernels,
        slot_count: int,
        status_slot: int | None = None,
        pool: Pool | None = None,
    ):
        self.steps = tuple(steps)
        self.slot_count = slot_count
        self.status_slot = status_slot
        self.kernels = kernels
        self.pool = pool or shared_pool()
        self._check()
        self._operands = _table(operand for step in self.steps for operand in step.operands)
        self._steps = _table(self._step_fields())
        self._record = ProgramRecord(
            steps=ctypes.addressof(self._steps),
            step_count=len(self.steps),
            operands=ctypes.addressof(self._operands),
            most_operands=max((len(step.operands) for step in self.steps), default=0),
            slot_count=slot_count,
            status_slot=-1 if status_slot is None else status_slot,
            pool=self.pool.address,
            pool_run=self.pool.run_address,
        )
        self.address = ctypes.addressof(self._record)

    def run(self, slots: Sequence[int]) -> Failure | None:
        """Runs all steps over the base pointers in `slots`, with the interpreter lock released.

        Returns the failure of a run-time check, after which no further step was run, or None.
        """
        pointers = self._pointers(slots)
        walk_function()(self.address, pointers)
        return self._failure(pointers)

    def run_timed(self, slots: Sequence[int]) -> tuple[list[int], Failure | None]:
        """As `run`; also the times in nanoseconds of a monotonic clock: before each step, and at the end.

        A step that was not run has the time 0.
        """
        pointers = self._pointers(slots)
        times = (ctypes.c_int64 * (len(self.steps) + 1))()
        _timed_walk_function()(self.address, pointers, times)
        return list(times), self._failure(pointers)

    def _step_fields(self) -> Iterator[tuple[int, ...]]:
        """The fields of each `StepRecord`."""
        first = 0
        for step in self.steps:
            manner = Manner.PARALLEL if step.parallel and step.chunks > 1 and self.pool.threads > 1 else Manner.IN_ORDER
            manner |= Manner.REMEMBERS if step.remembers else Manner.IN_ORDER
            yield self.kernels[step.kernel], step.chunks, first, len(step.operands), int(manner)
            first += len(step.operands)

    def _pointers(self, slots: Sequence[int]) -> ctypes.Array[ctypes.c_void_p]:
        if len(slots) != self.slot_count:
            raise ValueError(f"the program has {self.slot_count} slots, not {len(slots)}")
        pointers = (ctypes.c_void_p * max(1, self.slot_count))(*slots)
        if self.status_slot is not None:
            ctypes.memset(slots[self.status_slot], 0, 8 * STATUS_CELLS)
        return pointers

    def _failure(self, pointers: ctypes.Array[ctypes.c_void_p]) -> Failure | None:
        if self.status_slot is None:
            return None
        check, value, bound, step = (ctypes.c_int64 * STATUS_CELLS).from_address(pointers[self.status_slot] or 0)
        return Failure(check - 1, value, bound, step) if check else None

    def _check(self) -> None:
        for step in self.steps:
            if not 1 <= step.chunks <= MAXIMUM_CHUNKS:
                raise ValueError(f"step {step.label or step.kernel} has {step.chunks} chunks, not 1 to {MAXIMUM_CHUNKS}")
            for slot, _ in step.operands:
                if not 0 <= slot < self.slot_count:
                    raise ValueError(f"step {step.label or step.kernel} names slot {slot} of {self.slot_count}")


def _table(rows: Iterable[tuple[int, ...]]) -> ctypes.Array[ctypes.c_int64]:
    """Records of 64-bit fields, laid out at once: a program may have tens of thousands."""
    fields = [field for row in rows for field in row]
    return (ctypes.c_int64 * max(1, len(fields)))(*fields)


@functools.cache
def walk_function() -> Callable[..., None]:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(core_routines()["walk"])


@functools.cache
def _timed_walk_function() -> Callable[..., None]:
    addresses = load_own_routines("timed walk", timed_walk_module)
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(addresses["timed_walk"])
