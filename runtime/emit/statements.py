"""Loop nests as LLVM IR: one function that walks a nest and writes vector code.

A serial loop is a loop; the body of a vector loop is written for `lanes` consecutive values of its variable at once, in
`chains` interleaved copies, and once more with a mask for what is left over. Values that do not depend on the variable stay
scalars and are spread over the lanes where they meet vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

from graphc.dtypes import bool_, int64
from graphc.runtime.emit import accumulators, vectors
from graphc.runtime.emit.entry import begin_entry
from graphc.runtime.emit.expressions import VectorScalars
from graphc.runtime.emit.function import CHAIN, I64, PTR, Function, Module, Operand, Value, constant
from graphc.runtime.emit.nest_memory import Lanes, NestMemory
from graphc.runtime.emit.vectors import TypedValue, typed
from graphc.runtime.loops.nodes import (
    LOCAL,
    VECTOR,
    Accumulate,
    Accumulator,
    Buffer,
    Checked,
    Compute,
    Constant,
    Index,
    IndexValue,
    Let,
    Load,
    Local,
    Loop,
    LoopNest,
    Prefetch,
    Result,
    Start,
    Statement,
    Store,
    Within,
    walk,
)  # fmt: skip
from graphc.runtime.schedule.machine import Machine
from graphc.scalars import CostScalars, Typed

STACK_LIMIT = 32 << 10  # bytes of local buffers on the stack; larger ones lie in the workspace


def workspace_of(nest: LoopNest) -> int:
    """Bytes that the local buffers of one chunk take outside the stack."""
    size = sum(-(-b.size * b.dtype.size // 64) * 64 for b in nest.buffers if b.role == LOCAL)
    return size if size > STACK_LIMIT else 0


def emit_nest(nest: LoopNest, machine: Machine) -> str:
    """The text of a module whose entry runs one chunk of the nest.

    Operands are the buffers that are inputs and outputs in their order, then the given numbers, the workspace and the status
    cells where the nest needs them.
    """
    module = Module()
    emitter = NestEmitter(begin_entry(module), nest, machine)
    emitter.emit()
    return str(module)


class NestEmitter(NestMemory):
    """Writes the statements of a nest."""

    def __init__(self, function: Function, nest: LoopNest, machine: Machine):
        super().__init__(function, machine)
        self.nest = nest
        self.scalars = VectorScalars(function, machine, self.report_unless, contract=True)
        self.totals: dict[Accumulator, accumulators.Total] = {}
        self.code: int | None = None
        self.guard: Within | None = None
        self.status: Value | None = None

    # -- the whole

    def emit(self) -> None:
        function, (operands, _) = self.function, self.function.arguments
        shared = [b for b in self.nest.buffers if b.role != LOCAL]
        for position, buffer in enumerate(shared):
            self.pointers[buffer] = function.load(function.offset(operands, position, PTR), PTR)
        count = len(shared)
        if self.nest.given:
            self._read_given(function.load(function.offset(operands, count, PTR), PTR))
            count += 1
        workspace = workspace_of(self.nest)
        if workspace:
            self._place_in_workspace(function.load(function.offset(operands, count, PTR), PTR), workspace)
            count += 1
        else:
            for buffer in self.nest.buffers:
                if buffer.role == LOCAL:
                    element = vectors.memory_element(buffer.dtype)
                    self.pointers[buffer] = function.allocate(element, buffer.size)
        if self.nest.checks:
            self.status = function.load(function.offset(operands, count, PTR), PTR)
        self.emit_statements(self.nest.body, outermost=True)
        function.return_void()

    def _read_given(self, numbers: Value) -> None:
        """Reads what the kernel is given before all loops, and spreads it over the lanes of each."""
        widths = {s.lanes for s in walk(self.nest.body) if isinstance(s, Loop)} | {1}
        for place, dtype in enumerate(self.nest.given):
            number = vectors.load(self.function, self.machine, self.function.offset(numbers, place, I64), dtype, 1)
            for lanes in sorted(widths):
                self.given[place, lanes] = number if lanes == 1 else vectors.splat(self.function, number, lanes)

    def _place_in_workspace(self, base: Value, size: int) -> None:
        function = self.function
        start = function.offset(base, function.mul(function.arguments[1], size), "i8")
        at = 0
        for buffer in self.nest.buffers:
            if buffer.role == LOCAL:
                self.pointers[buffer] = function.offset(start, at, "i8")
                at += -(-buffer.size * buffer.dtype.size // 64) * 64

    def emit_statements(self, statements: Sequence[Statement], outermost: bool = False) -> None:
        for statement in statements:
            if isinstance(statement, Let):
                self.values[statement.local] = self._expression(statement)
            elif isinstance(statement, Store):
                self._store(statement)
            elif isinstance(statement, Prefetch):
                self._prefetch(statement)
            elif isinstance(statement, Start):
                lanes = self.lanes.count if self.lanes else 1
                self.totals[statement.accumulator] = accumulators.start(self.function, statement.accumulator, lanes)
            elif isinstance(statement, Accumulate):
                self._accumulate(statement)
            else:
                self._loop(statement, outermost)

    # -- loops

    def _loop(self, loop: Loop, outermost: bool) -> None:
        with self._entering(loop):
            start, stop, step = self._range(loop, outermost)
            if loop.kind == VECTOR:
                self._vector_loop(loop, start, stop)
            else:
                self._serial_loop(loop, start, stop, step)

    def _range(self, loop: Loop, outermost: bool) -> tuple[Operand, Operand, int]:
        """The values of a loop variable in this chunk. Chunks of a vector loop begin at whole steps."""
        step = loop.lanes * loop.chains if loop.kind == VECTOR else 1
        if not outermost or self.nest.chunks == 1:
            return 0, loop.extent, step
        function, chunk = self.function, self.function.arguments[1]
        blocks = -(-loop.extent // step)
        first = function.udiv(function.mul(chunk, blocks), self.nest.chunks)
        after = function.udiv(function.mul(function.add(chunk, 1), blocks), self.nest.chunks)
        start, stop = function.mul(first, step), function.mul(after, step)
        return start, stop if loop.extent % step == 0 else function.minimum(stop, loop.extent), step

    def _serial_loop(self, loop: Loop, start: Operand, stop: Operand, step: int) -> None:
        carried = self._carried(loop)
        flat = [value for a in carried for value in self.totals[a].values]

        def body(index: Operand, values: list[Value]) -> list[Value]:
            self.variables[loop.variable] = index
            accumulators.restore(self.totals, carried, values)
            self.emit_statements(loop.body)
            return [value for a in carried for value in self.totals[a].values]

        final = self.function.loop(start, stop, step, self._spread_over_chains(flat), body)
        accumulators.restore(self.totals, carried, final)

    def _spread_over_chains(self, values: Sequence[Value]) -> list[Value]:
        """Values that a loop inside interleaved chains carries have one copy a chain from the beginning."""
        function = self.function
        if function.chains == 1:
            return list(values)
        return [v if CHAIN in v.ref else function.join_chains([v] * function.chains) for v in values]

    def _vector_loop(self, loop: Loop, start: Operand, stop: Operand) -> None:
        """The main part in whole steps, then the rest; what is accumulated runs through both and is then combined."""
        function, width = self.function, loop.lanes
        step = width * loop.chains
        carried = self._carried(loop)
        before = {a: self.totals[a] for a in carried}
        for accumulator in carried:
            self.totals[accumulator] = accumulators.start(function, accumulator, width)
        rest_start: Operand
        if isinstance(start, int) and isinstance(stop, int):
            rest_start = stop - (stop - start) % step
        else:
            length = function.sub(stop, start)
            rest_start = function.sub(stop, function.urem(length, step)) if loop.extent % step else stop
        if loop.extent >= step:
            self._vector_part(loop, start, rest_start, loop.chains, carried, masked=False)
        rest = loop.extent % step
        if rest:
            self._vector_part(loop, rest_start, stop, 1, carried, masked=bool(rest % width))
        for accumulator in carried:
            together = accumulators.combine_lanes(function, accumulator, self.totals[accumulator])
            self.totals[accumulator] = accumulators.combine_totals(function, accumulator, before[accumulator], together)
        self.lanes = None

    def _vector_part(
        self, loop: Loop, start: Operand, stop: Operand, chains: int, carried: list[Accumulator], masked: bool
    ) -> None:
        function, width = self.function, loop.lanes

        def body(index: Operand, values: list[Value]) -> list[Value]:
            accumulators.restore(self.totals, carried, values)
            starts = [function.coerce(function.add(index, c * width), I64) for c in range(chains)]
            mask = vectors.tail_mask(function, function.sub(stop, index), width) if masked else None
            self.lanes = Lanes(loop.variable, width, function.join_chains(starts), mask)
            self.emit_statements(loop.body)
            return [value for a in carried for value in self.totals[a].values]

        with function.interleaved(chains):
            flat = self._spread_over_chains([value for a in carried for value in self.totals[a].values])
            final = self._counted(start, stop, width * chains, flat, body)
            accumulators.restore(self.totals, carried, final)
            for accumulator in carried:
                self.totals[accumulator] = accumulators.combine_chains(function, accumulator, self.totals[accumulator])

    def _counted(self, start: Operand, stop: Operand, step: int, carried: list[Value], body: Any) -> list[Value]:
        """A loop that may have no iteration where its bounds are not constants."""
        function = self.function
        if isinstance(start, int) and isinstance(stop, int):
            return function.loop(start, stop, step, carried, body)
        head, inside, done = (function.fresh_label(stem) for stem in ("head", "body", "done"))
        before = function.block
        function.branch(head)
        function.place_label(head)
        index = function.open_phi(I64)
        phis = [function.open_phi(v.type, CHAIN in v.ref) for v in carried]
        function.branch_if(function.icmp("slt", index[0], stop), inside, done)
        function.place_label(inside)
        values = body(function.hide_steps(index[0]), [function.hide_steps(phi[0]) for phi in phis])
        following = function.add(index[0], step)
        function.close_phi(index, (start, before), (following, function.block))
        for phi, first, again in zip(phis, carried, values):
            function.close_phi(phi, (first, before), (again, function.block))
        function.branch(head)
        function.place_label(done)
        return [phi[0] for phi in phis]

    def _carried(self, loop: Loop) -> list[Accumulator]:
        """Accumulators that are started before a loop and added to in it."""
        inside = list(walk(loop.body))
        started = {s.accumulator for s in inside if isinstance(s, Start)}
        added = dict.fromkeys(s.accumulator for s in inside if isinstance(s, Accumulate))
        return [a for a in added if a not in started]

    @contextmanager
    def _entering(self, loop: Loop) -> Any:
        """Addresses that do not move with the loop are computed before it."""
        outside, innermost = self.bases, self.innermost
        self.bases = dict(outside)
        bound = {loop.variable} | {s.variable for s in walk(loop.body) if isinstance(s, Loop)}
        if self.lanes is not None:
            bound.add(self.lanes.variable)
        for statement in walk(loop.body):
            access = _access_of(statement)
            if access is not None:
                terms = tuple((s, c) for s, c in access[1].terms if isinstance(s, str) and s not in bound)
                self._base(access[0], terms)
        self.innermost = loop.variable
        yield
        self.bases, self.innermost = outside, innermost

    # -- values

    def _expression(self, let: Let) -> TypedValue:
        expression = let.expression
        if isinstance(expression, Load):
            return self._load(expression)
        if isinstance(expression, Compute):
            return self._compute(expression)
        if isinstance(expression, Result):
            total = self.totals[expression.accumulator]
            return accumulators.result(self.function, expression.accumulator, total, let.local.dtype)
        if isinstance(expression, Within):
            return typed(self._within(expression), bool_)
        if isinstance(expression, Checked):
            return self._checked(expression)
        if isinstance(expression, IndexValue):
            return self.scalars.cast(self._index_value(expression.index), let.local.dtype)
        return vectors.typed_constant(expression.value, expression.dtype, 1)

    def _compute(self, compute: Compute) -> TypedValue:
        """The scalar meaning on the operands; vectors where one of them is a vector."""
        locals_ = [o for o in compute.operands if isinstance(o, Local)]
        lanes = max((self.values[o].lanes for o in locals_), default=1)
        types = {o.dtype for o in locals_} if _takes_numbers(compute) else set()
        operands: list[Any] = []
        for operand in compute.operands:
            if isinstance(operand, Constant) and operand.dtype in types:
                operands.append(operand.value)  # emission may know a shorter way with a number
            elif not isinstance(operand, Local):
                operands.append(self._operand(operand, lanes))
            else:
                value = self.values[operand]
                operands.append(vectors.splat(self.function, value, lanes) if value.lanes < lanes else value)
        self.code, self.guard = compute.code, compute.guard
        assert compute.definition.scalar is not None
        return compute.definition.scalar(self.scalars, *operands, **compute.attributes)

    def _accumulate(self, statement: Accumulate) -> None:
        accumulator = statement.accumulator
        lanes = self.totals[accumulator].values[0].lanes
        value = self._operand(statement.value, lanes)
        value = vectors.splat(self.function, value, lanes) if value.lanes < lanes else value
        position: Value | None = None
        if statement.position is not None:
            position = self._index_value(statement.position)
            position = self.function.splat(position, lanes) if position.lanes < lanes else position
        mask = self.lanes.mask if self.lanes is not None else None
        total = self.totals[accumulator]
        self.totals[accumulator] = accumulators.add(self.function, accumulator, total, value, position, mask)

    # -- run-time checks

    def _checked(self, checked: Checked) -> TypedValue:
        function = self.function
        value = self.scalars.cast(self._operand(checked.operand), int64)
        bad = function.icmp("uge", value, checked.limit)
        self._report(bad, value, checked.code, checked.limit, checked.guard)
        return typed(function.select(bad, constant(0, value.type), value), int64)

    def report_unless(self, holds: Value, value: TypedValue) -> None:
        """Reports the check of the value being computed where `holds` fails in a lane that is there.

        Only operations that users divide with are checked; others divide by what they know.
        """
        if self.code is None:
            return
        bad = self.function.bit_xor(holds, constant(True, holds.type))
        self._report(bad, self.scalars.cast(value, int64), self.code, 0, self.guard)

    def _report(self, bad: Value, value: TypedValue, code: int, limit: int, guard: Within | None) -> None:
        """Writes the status cells where the condition holds in any lane, off the common path."""
        function = self.function
        assert self.status is not None
        if guard is not None:
            holds = self._within(guard)
            lanes = max(holds.lanes, bad.lanes)
            holds, bad = (function.splat(v, lanes) if v.lanes < lanes else v for v in (holds, bad))
            value = vectors.splat(function, value, lanes) if value.lanes < lanes else value
            bad = function.bit_and(bad, holds)
        if self.lanes is not None and bad.lanes == self.lanes.count and self.lanes.mask is not None:
            bad = function.bit_and(bad, self.lanes.mask)
        lowest = constant(int64.min, value.type)
        worst = typed(function.select(bad, value, lowest), int64)
        then, after = function.fresh_label("report"), function.fresh_label("checked")
        function.branch_if(vectors.any_lane(function, bad), then, after)
        function.place_label(then)
        shown = vectors.reduce_lanes(function, "max", vectors.reduce_chains(function, "max", worst))
        function.store(constant(code + 1, I64), self.status)
        function.store(shown, function.offset(self.status, 1, I64))
        function.store(constant(limit, I64), function.offset(self.status, 2, I64))
        function.branch(after)
        function.place_label(after)


def _access_of(statement: Statement) -> tuple[Buffer, Index] | None:
    if isinstance(statement, (Store, Prefetch)):
        return statement.buffer, statement.offset
    if isinstance(statement, Let) and isinstance(statement.expression, Load):
        return statement.expression.buffer, statement.expression.offset
    return None


def _takes_numbers(compute: Compute) -> bool:
    """Whether constants may come as plain numbers: not where the scalar meaning computes with numbers alone."""
    operands = [o.value if isinstance(o, Constant) else Typed(o.dtype) for o in compute.operands]
    assert compute.definition.scalar is not None
    try:
        compute.definition.scalar(CostScalars(), *operands, **compute.attributes)
    except (TypeError, AttributeError):  # no operand says the type, or a number is asked for its own
        return False
    return True
