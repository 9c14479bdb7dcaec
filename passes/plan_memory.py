"""The memory plan: where every tensor of a program lies while it runs.

Feeds, variables, results and constants have memory from outside. Everything else shares one arena: a tensor takes the lowest
place that fits between the first and the last operation that need it, largest tensors first. An operation that only maps
elements may write over an operand that nobody needs after it; so a variable's new value is written over the old one, unless
something may still fail: then it is copied at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

import numpy as np

from graphc.operation import Literal, Operation, Tensor
from graphc.ops.fused import FUSED, find_prologues
from graphc.passes.place_results import build_copy, may_fail, view_source
from graphc.program import FEED, RUN, VARIABLE, Program
from graphc.records import record

ALIGNMENT = 64

ARENA, FEEDS, VARIABLES, RESULTS, CONSTANTS, RUN_KEY = "arena", "feed", "variable", "result", "constant", "run"


@record
class Place:
    """Memory: a space, which of its buffers (feeds, variables and results have many), and a byte offset in it."""

    space: str
    number: int = 0
    offset: int = 0

    def __str__(self) -> str:
        where = f"{self.space} {self.number}" if self.space in (FEEDS, VARIABLES, RESULTS) else self.space
        return f"{where} + {self.offset}" if self.offset else where


@record
class MemoryPlan:
    """The program as it will run (with copies where a variable cannot be updated in place) and the place of each tensor."""

    program: Program
    places: dict[Tensor, Place]
    variables: tuple[str, ...]  # keys, in the order of their numbers
    constants: tuple[Literal, ...]
    constant_offsets: tuple[int, ...]
    constant_bytes: int
    arena_bytes: int
    intermediate_bytes: int  # the sum of everything that lies in the arena
    in_place: tuple[str, ...]  # keys of variables whose updates are written in place
    lifetimes: dict[Tensor, tuple[int, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"arena {self.arena_bytes} bytes for {self.intermediate_bytes} bytes of intermediates; "
            f"{len(self.in_place)} of {len(self.program.updates)} updates in place"
        ]
        for index, operation in enumerate(self.program.operations):
            for tensor in operation.outputs:
                lines.append(f"{index:5}  {tensor.name}  {tensor.type}  {self.places[tensor]}".rstrip())
        return "\n".join(lines)


def plan_memory(program: Program) -> MemoryPlan:
    """Plans a program whose results all have memory of their own (see `place_results`)."""
    return _Planner(program).plan()


class _Planner:
    def __init__(self, program: Program):
        self.program = program
        self.places: dict[Tensor, Place] = {}
        self.variables: dict[str, int] = {}
        self.in_place: dict[str, None] = {}
        self.lifetimes: dict[Tensor, tuple[int, int]] = {}
        self.positions = {operation: i for i, operation in enumerate(program.operations)}

    def plan(self) -> MemoryPlan:
        self._place_parameters()
        constants, offsets, constant_bytes = self._place_constants()
        for number, tensor in enumerate(self.program.fetches):
            self.places[view_source(tensor)] = Place(RESULTS, number)
        self._place_updates()
        self._find_lifetimes()
        arena, total = self._place_in_arena()
        for operation in self.program.operations:
            if operation.definition.name == "reshape":
                self.places[operation.output] = self.places[view_source(operation.output)]
        return MemoryPlan(
            self.program, self.places, tuple(self.variables), constants, offsets, constant_bytes, arena, total,
            tuple(self.in_place), self.lifetimes,
        )  # fmt: skip

    def _place_parameters(self) -> None:
        feeds = 0
        for parameter in self.program.parameters:
            if parameter.kind == FEED:
                self.places[parameter.tensor] = Place(FEEDS, feeds)
                feeds += 1
            elif parameter.kind == VARIABLE:
                self.places[parameter.tensor] = Place(VARIABLES, self._variable_number(parameter.key))
            elif parameter.kind == RUN:
                self.places[parameter.tensor] = Place(RUN_KEY)

    def _variable_number(self, key: str) -> int:
        return self.variables.setdefault(key, len(self.variables))

    def _place_constants(self) -> tuple[tuple[Literal, ...], tuple[int, ...], int]:
        offsets: dict[Literal, int] = {}
        end = 0
        for operation in self.program.operations:
            if operation.definition.name != "constant":
                continue
            literal = operation.attributes["value"]
            if literal not in offsets:
                offsets[literal] = end
                end += _aligned(literal.array.nbytes)
            self.places[operation.output] = Place(CONSTANTS, 0, offsets[literal])
        return tuple(offsets), tuple(offsets.values()), end

    def _place_updates(self) -> None:
        """New values of variables: over the old ones where no one reads those later, else by a copy at the end."""
        copies: list[Operation] = []
        unsafe = self._find_unsafe_writers()
        parameters = {p.key: p.tensor for p in self.program.parameters if p.kind == VARIABLE}
        readers = self._find_last_readers(set(parameters.values()))
        for key, tensor in self.program.updates:
            source = view_source(tensor)
            place = Place(VARIABLES, self._variable_number(key))
            free = source not in self.places and source.operation not in unsafe
            if free and self._can_overwrite(parameters.get(key), source, readers):
                self.places[source] = place
                self.in_place[key] = None
                continue
            copy = build_copy(tensor)
            copies.append(copy)
            self.places[copy.output] = place
        if copies:
            updates = self._redirect_updates(copies)
            self.program = self.program.replace(operations=(*self.program.operations, *copies), updates=updates)

    def _find_unsafe_writers(self) -> set[Operation]:
        """The operations during or after which the run may fail."""
        operations = self.program.operations
        last = max((index for index, operation in enumerate(operations) if may_fail(operation)), default=-1)
        return set(operations[: last + 1])

    def _redirect_updates(self, copies: list[Operation]) -> tuple[tuple[str, Tensor], ...]:
        copied = {copy.inputs[0]: copy.output for copy in copies}
        return tuple((key, t if key in self.in_place else copied[t]) for key, t in self.program.updates)

    def _find_last_readers(self, variables: set[Tensor]) -> dict[Tensor, Operation]:
        """For each of these tensors the last operation that reads it, itself or by a view."""
        readers: dict[Tensor, Operation] = {}
        for operation in self.program.operations:
            for tensor in operation.inputs:
                source = view_source(tensor)
                if source in variables:
                    readers[source] = operation
        return readers

    def _can_overwrite(self, old: Tensor | None, new: Tensor, readers: Mapping[Tensor, Operation]) -> bool:
        """Whether everyone that reads the old value has run when the new one is written, and may be written over then."""
        if old is None:
            return True
        if old.type != new.type or new.operation not in self.positions:
            return False
        last = readers.get(old)
        if last is None or self.positions[last] < self.positions[new.operation]:
            return True
        return last is new.operation and may_overwrite(last, old)

    def _find_lifetimes(self) -> None:
        last = len(self.program.operations)
        for index, operation in enumerate(self.program.operations):
            if operation.definition.name == "reshape":
                continue
            for tensor in operation.outputs:
                self.lifetimes[tensor] = (index, index)
            for tensor in operation.inputs:
                source = view_source(tensor)
                if source in self.lifetimes:
                    self.lifetimes[source] = (self.lifetimes[source][0], index)
        for tensor in self.program.results:
            source = view_source(tensor)
            if source in self.lifetimes:
                self.lifetimes[source] = (self.lifetimes[source][0], last)

    def _place_in_arena(self) -> tuple[int, int]:
        waiting = [t for t in self.lifetimes if t not in self.places and t.type.nbytes]
        offsets, size = share_memory([(t.type.nbytes, *self.lifetimes[t]) for t in waiting])
        self.places.update((tensor, Place(ARENA, 0, offset)) for tensor, offset in zip(waiting, offsets))
        for tensor in self.lifetimes:
            self.places.setdefault(tensor, Place(ARENA, 0, 0))
        return size, sum(t.type.nbytes for t in waiting)


def share_memory(lives: Sequence[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Offsets for blocks of (bytes, first, last), the first and the last moment that need them, and the bytes in all.

    Greedy by size: each block at the lowest offset that is free during its life.
    """
    starts = np.empty(len(lives), np.int64)
    ends, low, high = starts.copy(), starts.copy(), starts.copy()
    offsets, size = [0] * len(lives), 0
    by_size = sorted(range(len(lives)), key=lambda i: (-lives[i][0], lives[i][1:]))
    for count, number in enumerate(by_size):
        nbytes, first, last = lives[number]
        overlapping = np.flatnonzero((starts[:count] <= last) & (ends[:count] >= first))
        blocks = sorted(zip(low[overlapping].tolist(), high[overlapping].tolist()))
        offset, need = 0, _aligned(nbytes)
        for begin, end in blocks:
            if begin - offset >= need:
                break
            offset = max(offset, end)
        starts[count], ends[count], low[count], high[count] = first, last, offset, offset + need
        offsets[number], size = offset, max(size, offset + need)
    return offsets, size


def _aligned(nbytes: int) -> int:
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


def may_overwrite(operation: Operation, operand: Tensor) -> bool:
    """Whether a result may be written over an operand of the same type: each element is read where it is written."""
    if operation.definition is not FUSED:
        return False
    body: Program = operation.attributes["body"]
    for parameter, actual in zip(body.parameters, operation.inputs):
        if actual is operand and not _is_read_in_place(body, parameter.tensor):
            return False
        if actual is not operand and view_source(actual) is operand:
            return False
    return True


def _is_read_in_place(body: Program, tensor: Tensor) -> bool:
    """Whether only elementwise operations of the same shape read a parameter, in a region that walks it once."""
    prologues = find_prologues(body)
    for operation in body.operations:
        reads = tensor in operation.inputs
        elementwise = operation.definition.scalar is not None and operation not in prologues
        if reads and not (elementwise and operation.output.type.sizes == tensor.type.sizes):
            return False
        if operation.definition.reduce is not None and operation.inputs[0].type.sizes == tensor.type.sizes:
            return False
    return tensor.type.sizes == max((t.type.sizes for t in body.fetches), key=np.prod) or _has_reduction(body)


def _has_reduction(body: Program) -> bool:
    return any(op.definition.reduce is not None for op in body.operations)


