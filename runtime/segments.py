"""Programs that act on the host between native parts, cut into segments.

What compiled code cannot do runs in Python: host operations (py_func, print, one-argument where ...) and whatever works on
strings or complex numbers. Before each batch of host operations comes a native segment with no more than those need; all
else stands in the last native segment. So variables are written at the end, when every check on the host has passed.

Host operations without a result (print) wait until all is computed, where the program needs no cut for them.

A gradient has to see the operations that it goes back through: those that an earlier segment holds are computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from graphc.dtypes import NATIVE
from graphc.operation import Operation, Tensor
from graphc.program import FEED, Parameter, Program
from graphc.records import record

_NATIVE_NAMES = frozenset(dtype.name for dtype in NATIVE)
_CHECKS = frozenset(["assert"])  # without result, but what follows must not happen when they fail


@record
class NativeSegment:
    """Runs as compiled code; tensors that come from earlier segments are feeds, and the fetches are what leaves it."""

    program: Program


@record
class HostSegment:
    """Operations that run in Python, in this order."""

    operations: tuple[Operation, ...]


Segment = NativeSegment | HostSegment


def cut_program(program: Program, also: Collection[Operation] = ()) -> tuple[Segment, ...]:
    """The segments of a program in the order in which they run; one alone where nothing acts on the host.

    `also` are operations that run on the host besides those that must.
    A program of several segments leaves its results among the tensors that the segments yield. New values of variables
    of native types are updates of the last native segment; those of other types are among the tensors.
    """
    host = [operation for operation in program.operations if operation in also or runs_on_host(operation)]
    if not host and all(_is_native(t) for t in program.results):
        return (NativeSegment(program),)
    return _Cutter(program, host).cut()


def runs_on_host(operation: Operation) -> bool:
    """Whether an operation needs Python: by its meaning, by its element types, or by what its body does."""
    if operation.definition.kind == "host":
        return True
    if not all(map(_is_native, operation.outputs)) or not all(map(_is_native, operation.inputs)):
        return True
    bodies = [value for value in operation.attributes.values() if isinstance(value, Program)]
    return any(runs_on_host(inner) for body in bodies for inner in body.operations)


def _is_native(tensor: Tensor) -> bool:
    return tensor.dtype.name in _NATIVE_NAMES


def restrict_program(program: Program, fetches: Sequence[Tensor], name: str = "prefix") -> Program:
    """What of a program is needed for some of its tensors: no updates, no other results."""
    needed = _find_needed(program.operations, {t.operation for t in fetches})
    operations = tuple(operation for operation in program.operations if operation in needed)
    used = {t for operation in operations for t in operation.inputs} | set(fetches)
    parameters = tuple(p for p in program.parameters if p.tensor in used)
    return Program(name, parameters, operations, tuple(fetches), (), program.assumptions)


def _find_needed(operations: Iterable[Operation], roots: Iterable[Operation]) -> set[Operation]:
    """The roots and all among `operations` that they depend on."""
    known = set(operations)
    pending = [operation for operation in roots if operation in known]
    needed = set(pending)
    while pending:
        for tensor in pending.pop().inputs:
            producer = tensor.operation
            if producer in known and producer not in needed:
                needed.add(producer)
                pending.append(producer)
    return needed


class _Cutter:
    def __init__(self, program: Program, host: list[Operation]):
        self.program = program
        self.host = set(host)
        self.parameters = {p.tensor: p for p in program.parameters}
        self.order = {operation: index for index, operation in enumerate(program.operations)}
        consumed = {t for operation in program.operations for t in operation.inputs} | set(program.results)
        self.trailing = [op for op in host if not any(t in consumed for t in op.outputs) and op.definition.name not in _CHECKS]
        self.barriers = [op for op in host if op not in set(self.trailing)]

    def cut(self) -> tuple[Segment, ...]:
        groups = self._group_by_level()
        natives = self._share_out(groups)
        segments: list[Segment] = []
        for index, operations in enumerate(natives):
            last = index == len(natives) - 1
            native = self._make_native(index, operations, natives, groups, last)
            if native.operations or native.updates or native.fetches:
                segments.append(NativeSegment(native))
            if not last:
                segments.append(HostSegment(tuple(groups[index])))
        if self.trailing:
            segments.append(HostSegment(tuple(self.trailing)))
        return tuple(segments)

    def _group_by_level(self) -> list[list[Operation]]:
        """Host operations that may run together; they keep the order of their declaration."""
        below: dict[Operation, int] = {}  # the host levels that an operation depends on
        groups: list[list[Operation]] = []
        barriers = set(self.barriers)
        for operation in self.program.operations:
            level = max((below.get(t.operation, 0) for t in operation.inputs), default=0)
            if operation in barriers:
                level = max(level, len(groups) - 1, 0)
                if level == len(groups):
                    groups.append([])
                groups[level].append(operation)
                level += 1
            below[operation] = level
        return groups

    def _share_out(self, groups: list[list[Operation]]) -> list[list[Operation]]:
        """The native operations of each segment: before each group what it needs, in the last the rest."""
        placed: set[Operation] = set()
        shares: list[list[Operation]] = []
        for group in groups:
            needed = _find_needed(self.program.operations, group) - self.host
            shares.append(self._complete(needed - placed))
            placed |= needed
        rest = [op for op in self.program.operations if op not in placed and op not in self.host]
        shares.append(self._complete(set(rest)))
        return shares

    def _complete(self, operations: set[Operation]) -> list[Operation]:
        """In order, with what the gradients among them go back through."""
        complete = set(operations)
        pending = [operation for operation in operations if operation.definition.name == "gradient"]
        while pending:
            gradient = pending.pop()
            between = self._find_between(gradient) - complete
            pending += [operation for operation in between if operation.definition.name == "gradient"]
            complete |= between
        return sorted(complete, key=self.order.__getitem__)

    def _find_between(self, gradient: Operation) -> set[Operation]:
        """The native operations on paths from one operand of a gradient to another."""
        before = _find_needed(self.program.operations, [t.operation for t in gradient.inputs])
        reached = set(gradient.inputs)
        between: set[Operation] = set()
        for operation in sorted(before, key=self.order.__getitem__):
            if any(t in reached for t in operation.inputs):
                reached.update(operation.outputs)
                between.add(operation)
        return between - self.host

    def _make_native(
        self, index: int, operations: list[Operation], natives: list[list[Operation]], groups: list[list[Operation]],
        last: bool,
    ) -> Program:  # fmt: skip
        updates = tuple((key, t) for key, t in self.program.updates if _is_native(t)) if last else ()
        produced = {t: None for operation in operations for t in operation.outputs}
        earlier = {t for share in natives[:index] for operation in share for t in operation.outputs}
        wanted = self._find_wanted(index, natives, groups)
        fetches = tuple(t for t in produced if t in wanted and t not in earlier)
        used = dict.fromkeys(t for operation in operations for t in operation.inputs)
        used.update(dict.fromkeys(t for _, t in updates))
        parameters = tuple(self._make_parameter(t) for t in used if t not in produced)
        return Program(f"{self.program.name}.{index}", parameters, tuple(operations), fetches, updates)

    def _find_wanted(self, index: int, natives: list[list[Operation]], groups: list[list[Operation]]) -> set[Tensor]:
        """Tensors that are needed outside the native segment `index`, after it."""
        wanted = set(self.program.fetches)
        for group in [*groups[index:], self.trailing]:
            wanted.update(t for operation in group for t in operation.inputs)
        for share in natives[index + 1 :]:
            own = {t for operation in share for t in operation.outputs}
            wanted.update(t for operation in share for t in operation.inputs if t not in own)
        in_place = index == len(natives) - 1
        wanted.update(t for _, t in self.program.updates if not in_place or not _is_native(t))
        return wanted

    def _make_parameter(self, tensor: Tensor) -> Parameter:
        return self.parameters.get(tensor) or Parameter(tensor, FEED, tensor.name)
