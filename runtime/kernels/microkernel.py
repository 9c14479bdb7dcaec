"""The register tile of a contraction: the one inner loop of matrix products, convolutions and their gradients.

    total[r][j] += broadcast(left[rows[r] + d * left_step]) * right[vectors[j] + d * right_step]

summed over a nest of loops d, for a tile of some rows by some vectors that stays in registers. Every stride is a Python
number, so an address is one moving pointer and a constant displacement, whatever the layout (rows, columns, patches of
an image).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.records import record
from graphc.runtime.emit.function import Function, Operand, Value, constant, vector_constant
from graphc.runtime.emit.vectors import register_element
from graphc.runtime.kernels.arithmetic import Arithmetic, vector_of

Rows = list[list[Value]]


@record
class DepthLoop:
    """One loop of the summation: `count` steps (a Value: at least one) that move the two pointers by elements."""

    count: Operand
    left_step: int
    right_step: int


@record
class LeftOperand:
    """Elements that are broadcast: one for each row of the tile, at constant offsets from the pointer."""

    pointer: Value
    rows: tuple[int, ...]


@record
class RightOperand:
    """Vectors: one for each vector of the tile; the last one may be masked."""

    pointer: Value
    vectors: tuple[int, ...]
    mask: Value | None = None
    align: int | None = None
    prefetch: int = 0  # how many steps of the innermost loop ahead


@record
class Packing:
    """Where the vectors of the right operand are stored as they are read, `step` elements for each depth step."""

    pointer: Value
    step: int


def zeros(arithmetic: Arithmetic, rows: int, vectors: int) -> Rows:
    zero = constant(0, vector_of(arithmetic.total, arithmetic.lanes))
    return [[zero] * vectors for _ in range(rows)]


def contract(
    function: Function,
    arithmetic: Arithmetic,
    left: LeftOperand,
    right: RightOperand,
    nest: Sequence[DepthLoop],
    totals: Rows,
    unroll: int = 1,
    packing: Packing | None = None,
    begin: Callable[[Operand], None] | None = None,
) -> Rows:
    """Emits the nest (outer to inner) and returns the new totals; `begin` emits what comes before a step of the outermost of
    several loops."""
    emitter = _Contraction(function, arithmetic, left, right, tuple(nest), unroll, packing, begin)
    pointers = [left.pointer, right.pointer] + ([packing.pointer] if packing else [])
    return emitter.level(0, pointers, totals)


@record
class _Contraction:
    function: Function
    arithmetic: Arithmetic
    left: LeftOperand
    right: RightOperand
    nest: tuple[DepthLoop, ...]
    unroll: int
    packing: Packing | None
    begin: Callable[[Operand], None] | None

    def level(self, depth: int, pointers: Sequence[Value], totals: Rows) -> Rows:
        if depth == len(self.nest) - 1:
            return self.innermost(pointers, totals)
        loop, function, width, fixed = self.nest[depth], self.function, len(totals[0]), len(pointers)

        def body(number: Operand, values: list[Value]) -> list[Value]:
            if self.begin is not None and depth == 0:
                self.begin(number)
            rows = self.level(depth + 1, values[:fixed], _grid(values[fixed:], width))
            packed_steps: Operand = 1
            for inner in self.nest[depth + 1 :]:
                packed_steps = function.mul(packed_steps, inner.count)
            return [*self.advance(loop, values[:fixed], 1, packed_steps), *_flat(rows)]

        return _grid(function.loop(0, loop.count, 1, [*pointers, *_flat(totals)], body)[fixed:], width)

    def innermost(self, pointers: Sequence[Value], totals: Rows) -> Rows:
        loop, function, width, fixed = self.nest[-1], self.function, len(totals[0]), len(pointers)
        unroll = min(self.unroll, loop.count) if isinstance(loop.count, int) else 1

        def body(_: Operand, values: list[Value]) -> list[Value]:
            rows = _grid(values[fixed:], width)
            for at in range(unroll):
                rows = self.step(values[:fixed], at, rows)
            return [*self.advance(loop, values[:fixed], unroll, unroll), *_flat(rows)]

        rounds = loop.count // unroll if isinstance(loop.count, int) else loop.count
        values = function.loop(0, rounds, 1, [*pointers, *_flat(totals)], body)
        rows = _grid(values[fixed:], width)
        rest = loop.count % unroll if isinstance(loop.count, int) else 0
        for at in range(rest):
            rows = self.step(values[:fixed], at, rows)
        return rows

    def advance(self, loop: DepthLoop, pointers: Sequence[Value], steps: int, packed_steps: Operand) -> list[Value]:
        """The pointers after some steps of a loop; the packed side moves by steps of the innermost one."""
        function, arithmetic = self.function, self.arithmetic
        moved = [
            function.offset(pointers[0], steps * loop.left_step, arithmetic.left_element),
            function.offset(pointers[1], steps * loop.right_step, arithmetic.right_element),
        ]
        if self.packing is not None:
            far = function.mul(packed_steps, self.packing.step)
            moved.append(function.offset(pointers[2], far, register_element(arithmetic.total)))
        return moved

    def step(self, pointers: Sequence[Value], at: int, totals: Rows) -> Rows:
        function, arithmetic, loop = self.function, self.arithmetic, self.nest[-1]
        vectors = []
        for number, offset in enumerate(self.right.vectors):
            pointer = function.offset(pointers[1], at * loop.right_step + offset, arithmetic.right_element)
            mask = self.right.mask if number == len(self.right.vectors) - 1 else None
            vectors.append(arithmetic.load_right(function, pointer, mask, self.right.align))
        if self.right.prefetch:
            self.prefetch(pointers[1], at + self.right.prefetch)
        if self.packing is not None:
            self.pack(vectors, pointers[2], at)
        result = []
        for offset, row in zip(self.left.rows, totals):
            pointer = function.offset(pointers[0], at * loop.left_step + offset, arithmetic.left_element)
            scalar = arithmetic.load_left(function, pointer)
            result.append([arithmetic.multiply_add(function, scalar, v, total) for v, total in zip(vectors, row)])
        return result

    def prefetch(self, pointer: Value, steps: int) -> None:
        for offset in self.right.vectors:
            ahead = steps * self.nest[-1].right_step + offset
            self.function.prefetch(self.function.offset(pointer, ahead, self.arithmetic.right_element))

    def pack(self, vectors: Sequence[Value], pointer: Value, at: int) -> None:
        assert self.packing is not None
        lanes, total = self.arithmetic.lanes, self.arithmetic.total
        for number, vector in enumerate(vectors):
            place = self.function.offset(pointer, at * self.packing.step + number * lanes, register_element(total))
            self.function.store(vector, place, total.size * lanes)


def _flat(rows: Rows) -> list[Value]:
    return [value for row in rows for value in row]


def _grid(values: Sequence[Value], width: int) -> Rows:
    return [list(values[i : i + width]) for i in range(0, len(values), width)]


def lane_mask(valid: int, lanes: int) -> Value | None:
    """The constant mask of the first `valid` lanes, or None where all are valid."""
    if valid >= lanes:
        return None
    return vector_constant([lane < valid for lane in range(lanes)], "i1")
