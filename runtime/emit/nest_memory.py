"""Memory as loop nests see it: addresses of affine indices, and loads and stores of the lanes of a vector loop."""

from __future__ import annotations

from typing import Any

from graphc.dtypes import int64
from graphc.records import record
from graphc.runtime.emit import vectors
from graphc.runtime.emit.function import I64, Function, Operand, Value, constant, vector_type
from graphc.runtime.emit.vectors import TypedValue, typed
from graphc.runtime.loops.nodes import Buffer, Constant, Given, Index, Load, Local, Prefetch, Store, Within
from graphc.runtime.schedule.machine import Machine


@record
class Lanes:
    """The vector loop that is being written: lane k of chain c stands for first + c * lanes + k."""

    variable: str
    count: int
    first: Value  # scalar i64, one for each chain
    mask: Value | None = None


class NestMemory:
    """What is known where code is being written: names, loop variables, pointers, and the vector loop around it."""

    def __init__(self, function: Function, machine: Machine):
        self.function, self.machine = function, machine
        self.values: dict[Local, TypedValue] = {}
        self.variables: dict[str, Operand] = {}
        self.pointers: dict[Buffer, Value] = {}
        self.given: dict[tuple[int, int], TypedValue] = {}  # by place and lanes
        self.bases: dict[Any, Value] = {}  # pointers moved by outer loops
        self.innermost = ""
        self.lanes: Lanes | None = None

    def _operand(self, operand: Local | Constant | Given, lanes: int = 1) -> TypedValue:
        if isinstance(operand, Constant):
            return vectors.typed_constant(operand.value, operand.dtype, lanes)
        if isinstance(operand, Given):
            return self.given[operand.place, lanes]
        return self.values[operand]

    def _base(self, buffer: Buffer, terms: tuple[tuple[Any, int], ...]) -> Value:
        """The address of a buffer moved by loop variables that are scalars here."""
        if not terms:
            return self.pointers[buffer]
        key = (buffer, terms)
        if key not in self.bases:
            offset = self._scalar_index(Index(0, terms))
            element = vectors.memory_element(buffer.dtype)
            self.bases[key] = self.function.offset(self.pointers[buffer], offset, element)
        return self.bases[key]

    def _scalar_index(self, index: Index) -> Operand:
        function = self.function
        total: Operand = index.constant
        for symbol, coefficient in index.terms:
            value = self.values[symbol] if isinstance(symbol, Local) else self.variables[symbol]
            total = function.add(total, function.mul(value, coefficient))
        return total

    def _address(self, buffer: Buffer, offset: Index) -> tuple[Value, int, Value | None]:
        """Base address, stride over the lanes, and element offsets a lane where they are not evenly spaced."""
        function, lanes = self.function, self.lanes
        element = vectors.memory_element(buffer.dtype)
        outer = tuple((s, c) for s, c in offset.terms if isinstance(s, str) and s != self.innermost and not self._is_lane(s))
        base = self._base(buffer, outer)
        scattered: Value | None = None
        rest: Operand = offset.constant
        stride = 0
        for symbol, coefficient in offset.terms:
            if (symbol, coefficient) in outer:
                continue
            if self._is_lane(symbol):
                assert lanes is not None
                stride = coefficient
                rest = function.add(rest, function.mul(lanes.first, coefficient))
                continue
            value = self.values[symbol] if isinstance(symbol, Local) else self.variables[symbol]
            if isinstance(value, Value) and value.lanes > 1:
                moved = function.mul(value, coefficient)
                assert isinstance(moved, Value)
                scattered = moved if scattered is None else function.binary("add", scattered, moved)
            else:
                rest = function.add(rest, function.mul(value, coefficient))
        return function.offset(base, rest, element), stride, scattered

    def _is_lane(self, symbol: Any) -> bool:
        return self.lanes is not None and symbol == self.lanes.variable

    def _lane_offsets(self, stride: int, scattered: Value | None) -> Value:
        """Element offsets of the lanes from their base."""
        assert self.lanes is not None
        count = self.lanes.count
        if stride == 0:
            assert scattered is not None
            return scattered
        steps = vectors.vector_constant([k * stride for k in range(count)], I64) if count > 1 else constant(0, I64)
        return steps if scattered is None else self.function.binary("add", scattered, steps)

    def _load(self, load: Load) -> TypedValue:
        function, machine, buffer = self.function, self.machine, load.buffer
        base, stride, scattered = self._address(buffer, load.offset)
        guard = self._within(load.guard) if load.guard is not None else None
        if self.lanes is None or (stride == 0 and scattered is None):
            return self._load_scalar(base, buffer, load, guard)
        count = self.lanes.count
        mask = self._mask_with(guard)
        if scattered is None and stride == 1:
            return vectors.load(function, machine, base, buffer.dtype, count, mask)
        if scattered is None and stride == -1 and mask is None and count > 1:
            low = function.offset(base, 1 - count, vectors.memory_element(buffer.dtype))
            value = vectors.load(function, machine, low, buffer.dtype, count)
            return typed(function.shuffle(value, value, range(count - 1, -1, -1)), buffer.dtype)
        return vectors.gather(function, machine, base, self._lane_offsets(stride, scattered), buffer.dtype, mask)

    def _prefetch(self, prefetch: Prefetch) -> None:
        """One hint a vector; none where lanes are masked, at the end of a loop."""
        if self.lanes is not None and self.lanes.mask is None:
            base, _, _ = self._address(prefetch.buffer, prefetch.offset)
            self.function.prefetch(base)

    def _load_scalar(self, base: Value, buffer: Buffer, load: Load, guard: Value | None) -> TypedValue:
        """One element; where a guard fails, the first element of the buffer is read instead."""
        if guard is None:
            return vectors.load(self.function, self.machine, base, buffer.dtype, 1)
        if guard.lanes == 1:
            safe = self.function.select(guard, base, self.pointers[buffer])
            return vectors.load(self.function, self.machine, safe, buffer.dtype, 1)
        lanes = guard.lanes
        zero = constant(0, vector_type(I64, lanes))
        return vectors.gather(self.function, self.machine, base, zero, buffer.dtype, self._mask_with(guard))

    def _mask_with(self, guard: Value | None) -> Value | None:
        """The lanes that are there and for which the guard holds."""
        assert self.lanes is not None
        mask = self.lanes.mask
        if guard is None:
            return mask
        guard = self.function.splat(guard, self.lanes.count) if guard.lanes == 1 else guard
        return guard if mask is None else self.function.bit_and(mask, guard)

    def _store(self, store: Store) -> None:
        function, machine, buffer = self.function, self.machine, store.buffer
        value = self._operand(store.value, self.lanes.count if self.lanes else 1)
        base, stride, scattered = self._address(buffer, store.offset)
        if self.lanes is None or (stride == 0 and scattered is None):
            if store.combine:
                old = vectors.load(function, machine, base, buffer.dtype, 1)
                value = vectors.combine(function, "sum", old, value, buffer.dtype)
            vectors.store(function, machine, value, base, buffer.dtype)
            return
        value = vectors.splat(function, value, self.lanes.count) if value.lanes == 1 else value
        mask = self.lanes.mask
        if stride == 1 and scattered is None:
            if store.combine:
                old = vectors.load(function, machine, base, buffer.dtype, self.lanes.count, mask)
                value = vectors.combine(function, "sum", old, value, buffer.dtype)
            vectors.store(function, machine, value, base, buffer.dtype, mask)
            return
        offsets = self._lane_offsets(stride, scattered)
        if store.combine:
            old = vectors.gather(function, machine, base, offsets, buffer.dtype, mask)
            value = vectors.combine(function, "sum", old, value, buffer.dtype)
        vectors.scatter(function, machine, value, base, offsets, buffer.dtype, mask)

    def _index_value(self, index: Index) -> TypedValue:
        """An index as i64: a vector where it moves with the lanes."""
        function, lanes = self.function, self.lanes
        coefficient = index.coefficient(lanes.variable) if lanes is not None else 0
        rest = Index(index.constant, tuple((s, c) for s, c in index.terms if not self._is_lane(s)))
        scalar = self._scalar_index(rest)
        if lanes is None or coefficient == 0:
            return typed(function.coerce(scalar, I64), int64)
        first = function.coerce(function.add(function.mul(lanes.first, coefficient), scalar), I64)
        steps = vectors.vector_constant([k * coefficient for k in range(lanes.count)], I64)
        return typed(function.binary("add", function.splat(first, lanes.count), steps), int64)

    def _within(self, guard: Within) -> Value:
        """Whether all bounds hold: one comparison each, since a negative index is a large unsigned one."""
        function = self.function
        holds: Value | None = None
        parts = [function.icmp("ult", self._index_value(index), limit) for index, limit in guard.bounds]
        lanes = max(part.lanes for part in parts)
        for part in parts:
            part = function.splat(part, lanes) if part.lanes < lanes else part
            holds = part if holds is None else function.bit_and(holds, part)
        assert holds is not None
        return holds
