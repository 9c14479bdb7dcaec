"""Regions of elementwise operations, movements and reductions as loops.

A region has a domain: kept dimensions and reduced ones. All its reductions reduce the same axes of the domain, so it runs as

    for kept dimensions:
        stage 0: for reduced dimensions: accumulate what depends on inputs only
        values of one kept element: means, maxima ...
        stage 1: for reduced dimensions: accumulate, or store, what depends on those
        ...

Values are pulled: the element of a result at an index asks for the elements of its operands at theirs, so movements cost
nothing but arithmetic on indices. A value that is cheap is computed again in a later stage, an expensive one is kept in a
buffer of one row.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.operation import Operation, Tensor
from graphc.program import Program
from graphc.runtime.loops.nodes import (
    INPUT,
    LOCAL,
    OUTPUT,
    Accumulate,
    Accumulator,
    Buffer,
    Index,
    Let,
    Local,
    Loop,
    LoopNest,
    Result,
    Start,
    Statement,
    Store,
    variable,
)  # fmt: skip
from graphc.runtime.lower.given import find_given
from graphc.runtime.lower.pieces import Piece, find_pieces
from graphc.runtime.lower.values import Scope, Values, flatten_index
from graphc.scalars import issue_cost
from graphc.shapes import count_elements

EXPENSIVE = 8.0  # vector instructions an element; dearer values are kept between stages

Indices = tuple[Index, ...]


def lower_region(body: Program, name: str = "region") -> LoopNest:
    """The loops of a region whose operands are the body's parameters and results the body's fetches, in this order.

    The numbers that it is given are those of `find_given`.
    """
    return _RegionLowering(body, name).lower()


class _RegionLowering:
    def __init__(self, body: Program, name: str):
        self.body, self.name = body, name
        self.reductions = [op for op in body.operations if op.definition.reduce is not None]
        self.domain, self.axes = self._find_domain()
        self.inputs = {p.tensor: Buffer(f"in{i}", p.tensor.dtype, p.tensor.type.elements, INPUT)
                       for i, p in enumerate(body.parameters)}  # fmt: skip
        self.outputs = {t: Buffer(f"out{i}", t.dtype, t.type.elements, OUTPUT) for i, t in enumerate(body.fetches)}
        self.kept: dict[Tensor, Buffer] = {}
        self.given = find_given(body, "loops")
        self.values = Values(self.inputs, body, self.given)
        self.stage = self._number_stages()
        self.results: dict[Tensor, Local] = {}

    def _find_domain(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.reductions:
            first = self.reductions[0]
            return first.inputs[0].type.sizes, tuple(first.attributes["axes"])
        largest = max(self.body.fetches, key=lambda t: t.type.elements)
        return largest.type.sizes, ()

    def _number_stages(self) -> dict[Tensor, int]:
        """For each tensor how many rounds of reductions come before it."""
        stage = {p.tensor: 0 for p in self.body.parameters}
        for operation in self.body.operations:
            before = max((stage[t] for t in operation.inputs), default=0)
            own = before + (operation.definition.reduce is not None)
            stage.update((t, own) for t in operation.outputs)
        return stage

    def lower(self) -> LoopNest:
        buffers = [*self.inputs.values(), *self.outputs.values()]
        cut, pieces = find_pieces(self.body, self.domain, self.axes)
        loops: list[Statement] = []
        for number, piece in enumerate(pieces):
            loops += self._lower_piece(cut, piece, f"_{number}" if number else "")
            buffers += self.kept.values()
        for d in reversed(range(cut)):
            if d not in self.axes:
                loops = [Loop(f"i{d}", self.domain[d], tuple(loops))]
        given = tuple(op.output.dtype for op in self.given)
        return LoopNest(self.name, tuple(dict.fromkeys(buffers)), tuple(loops), tuple(self.values.checks), given=given)

    def _lower_piece(self, cut: int, piece: Piece, mark: str) -> tuple[Statement, ...]:
        """The loops from dimension `cut` on, which takes the values of one piece."""
        names = [f"r{d}" if d in self.axes else f"i{d}" + (mark if d >= cut else "") for d in range(len(self.domain))]
        extents = [piece.size if d == cut else size for d, size in enumerate(self.domain)]
        index = [variable(n) if size > 1 else Index() for n, size in zip(names, extents)]
        if self.domain:
            index[cut] = index[cut] + piece.start
        self.values.ranges, self.values.stored = dict(zip(names, extents)), {}
        self._choose_kept()
        outer = Scope()
        last = max(self.stage.values(), default=0)
        for stage in range(last + 1):
            self._lower_stage(stage, tuple(index), outer)
        whole = [(t, b, self._kept_index(t, tuple(index))) for t, b in self.outputs.items() if not self._is_inner(t)]
        outer.statements += self._stores(whole, outer)
        statements = tuple(outer.statements)
        for d in reversed(range(cut, len(self.domain))):
            if d not in self.axes:
                statements = (Loop(names[d], extents[d], statements),)
        return statements

    def _is_inner(self, tensor: Tensor) -> bool:
        """Whether a result has one element for each element of the domain, not one for each kept element."""
        if not self.axes:
            return False
        return count_elements(tensor.type.sizes) == count_elements(self.domain) and not self._is_kept_shape(tensor)

    def _is_kept_shape(self, tensor: Tensor) -> bool:
        shape = tensor.type.sizes
        short = tuple(s for d, s in enumerate(self.domain) if d not in self.axes)
        long = tuple(1 if d in self.axes else s for d, s in enumerate(self.domain))
        return shape in (short, long) and self.stage[tensor] > 0

    def _kept_index(self, tensor: Tensor, index: Indices) -> Indices:
        """The index of a kept result: the kept dimensions, with 0 where it has the reduced ones as size 1."""
        shape = tensor.type.sizes
        if not self.axes:
            return self._outer_index(shape, index)
        if len(shape) == len(self.domain):
            return tuple(Index() if d in self.axes else i for d, i in enumerate(index))
        return tuple(i for d, i in enumerate(index) if d not in self.axes)

    def _outer_index(self, shape: Sequence[int], index: Indices) -> Indices:
        aligned = index[len(index) - len(shape) :]
        return tuple(Index() if size == 1 else i for size, i in zip(shape, aligned))

    def _lower_stage(self, stage: int, index: Indices, outer: Scope) -> None:
        """One loop over the reduced dimensions: the reductions and results whose operands are known by now."""
        reductions = [op for op in self.reductions if self.stage[op.inputs[0]] == stage]
        stores = [t for t in self.outputs if self._is_inner(t) and self.stage[t] == stage]
        keeps = [t for t in self.kept if self.stage[t] == stage]
        if not (reductions or stores or keeps):
            return
        accumulators = [self._start(op, outer) for op in reductions]
        names = {d: f"r{d}_{stage}" if stage else f"r{d}" for d in self.axes}
        index = tuple(variable(names[d]) if d in names and i.terms else i for d, i in enumerate(index))
        inner = Scope(outer, inside=frozenset(names.values()))
        for tensor in keeps:
            local = self.values.element(tensor, index, inner)
            inner.statements.append(Store(self.kept[tensor], self._row_offset(index), local))
        written = self._stores([(t, self.outputs[t], index) for t in stores], inner)
        for operation, accumulator in zip(reductions, accumulators):
            value = self.values.element(operation.inputs[0], index, inner)
            position = None
            if accumulator.monoid.startswith("arg"):
                position = index[self.axes[0]]
            inner.statements.append(Accumulate(accumulator, value, position))
        statements: tuple[Statement, ...] = (*inner.statements, *written)
        for d in reversed(self.axes):
            statements = (Loop(names[d], self.domain[d], statements),)
        outer.statements += statements
        for operation, accumulator in zip(reductions, accumulators):
            local = self.values.fresh(operation.output.dtype)
            outer.statements.append(Let(local, Result(accumulator)))
            self.values.bind(operation.output, local, tuple(self._kept_index(operation.output, index)), outer)
        for tensor in (*stores, *keeps):
            buffer = self.kept.get(tensor) or self.outputs[tensor]
            self.values.stored[tensor] = (buffer, tuple(self.axes) if tensor in self.kept else None)

    def _start(self, operation: Operation, outer: Scope) -> Accumulator:
        source = operation.inputs[0].dtype
        monoid = operation.definition.reduce
        assert monoid is not None
        accumulator = Accumulator(f"acc{len(self.values.names)}", source.compute, monoid)
        self.values.names.append(accumulator.name)
        outer.statements.append(Start(accumulator))
        return accumulator

    def _stores(self, results: Sequence[tuple[Tensor, Buffer, Indices]], scope: Scope) -> list[Store]:
        """The stores of results; all values come first, since a result may lie where an operand is read."""
        return [
            Store(buffer, flatten_index(tensor.type.sizes, index), self.values.element(tensor, index, scope))
            for tensor, buffer, index in results
        ]

    def _row_offset(self, index: Indices) -> Index:
        sizes = [self.domain[d] for d in self.axes]
        return flatten_index(sizes, [index[d] for d in self.axes])

    def _choose_kept(self) -> None:
        """Expensive values of the domain's shape that more than one stage asks for get a row buffer."""
        if len({self.stage[op.inputs[0]] for op in self.reductions}) < 2 and not self._has_late_stores():
            return
        wanted = self._stages_that_use()
        for operation in self.body.operations:
            tensor = operation.outputs[0]
            if tensor in self.outputs or operation.definition.scalar is None or tensor.type.sizes != self.domain:
                continue
            dtypes = [t.dtype for t in operation.inputs]
            cost = issue_cost(operation.definition.scalar, dtypes, operation.attributes)
            if len(wanted.get(tensor, ())) > 1 and cost >= EXPENSIVE:
                size = count_elements([self.domain[d] for d in self.axes])
                self.kept[tensor] = Buffer(f"row{len(self.kept)}", tensor.dtype.compute, size, LOCAL)

    def _has_late_stores(self) -> bool:
        return any(self._is_inner(t) and self.stage[t] > 0 for t in self.outputs)

    def _stages_that_use(self) -> dict[Tensor, set[int]]:
        """The stages whose loops compute a tensor, if nothing is kept."""
        wanted: dict[Tensor, set[int]] = {}
        roots = [(op.inputs[0], self.stage[op.inputs[0]]) for op in self.reductions]
        roots += [(t, self.stage[t]) for t in self.outputs if self._is_inner(t)]
        for tensor, stage in roots:
            wanted.setdefault(tensor, set()).add(stage)
        for operation in reversed(self.body.operations):
            if operation.definition.reduce is not None:
                continue
            stages = set().union(*(wanted.get(t, set()) for t in operation.outputs))
            for tensor in operation.inputs:
                wanted.setdefault(tensor, set()).update(stages)
        return wanted


