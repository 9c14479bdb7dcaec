"""Loops over the windows of images, for kernels that work on each channel by itself: pooling and depthwise convolution.

Lanes run along channels. A line of windows is taken in groups of neighbouring ones that see the same taps; which columns of
a window lie outside the image is known from the shape, which of its lines do is found at run time, line by line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphc.runtime.emit.function import I64, PTR, Function, Module, Operand, Value
from graphc.runtime.kernel import ENTRY, MAXIMUM_CHUNKS
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.indexing import part_of
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.kernels.transpose import HELPER
from graphc.runtime.schedule.machine import Machine

SERIAL_BYTES = 1 << 17


def valid_taps(function: Function, axis: Axis, output: Operand) -> tuple[Operand, Operand]:
    """The first tap that lies inside and how many do, for an output that is a number or found at run time."""
    if not axis.padded:
        return 0, axis.taps
    base = function.add(function.mul(output, axis.stride), axis.start)
    before = function.maximum(function.sub(0, base), 0)
    first = function.udiv(function.add(before, axis.step - 1), axis.step)
    inside = function.maximum(function.sub(axis.size, base), 0)
    end = function.minimum(function.udiv(function.add(inside, axis.step - 1), axis.step), axis.taps)
    return first, function.maximum(function.sub(end, first), 0)


def over_groups(
    function: Function, columns: Axis, group: int, body: Callable[[Operand, int, range], None]
) -> None:
    """Calls body(first output, outputs, taps) for all outputs of a line; those at the borders come one by one."""
    whole = [o for o in range(columns.outputs) if len(columns.valid_taps(o)) == columns.taps]
    low, high = (whole[0], whole[-1] + 1) if whole else (columns.outputs, columns.outputs)
    every = range(columns.taps)

    def several(o: Operand, _: list[Value]) -> list[Value]:
        body(o, group, every)
        return []

    for o in range(low):
        body(o, 1, columns.valid_taps(o))
    end = low + (high - low) // group * group
    function.loop(low, end, group, [], several)
    if high > end:
        body(end, high - end, every)
    for o in range(high, columns.outputs):
        body(o, 1, columns.valid_taps(o))


def loop_if_any(
    function: Function, count: Operand, carried: Sequence[Value], body: Callable[[Operand, list[Value]], Sequence[Value]]
) -> list[Value]:
    """A loop that may have no iteration, which is only found at run time."""
    if isinstance(count, int):
        return function.loop(0, count, 1, carried, body)
    before, some, done = function.block, function.fresh_label("some"), function.fresh_label("none")
    function.branch_if(function.icmp("sgt", count, 0), some, done)
    function.place_label(some)
    values = function.loop(0, count, 1, carried, body)
    after = function.block
    function.branch(done)
    function.place_label(done)
    return [function.phi(v.type, (old, before), (v, after)) for old, v in zip(carried, values)]


class LineKernel:
    """An entry whose chunks take lines of results, or images by blocks of channels, and call a function for each line.

    `emit_line(function, arguments, mask)` emits that function for one vector of channels; its arguments are pointers, each
    moved to its image and channels, and the number of the line. `images` are the distances of the images of each operand
    in elements. With `whole_images` a chunk has all lines of an image, for kernels whose lines write to common places.
    """

    def __init__(
        self,
        module: Module,
        machine: Machine,
        lanes: int,
        shape: tuple[int, int, int],
        operands: Sequence[tuple[int, int, str]],
        emit_line: Callable[[Function, list[Value], Value, Value | None], None],
        threads: int,
        moved: int,
        whole_images: bool = False,
    ):
        """`shape` is images, lines, channels; an operand is (image distance, channel distance, element type)."""
        self.module, self.machine, self.lanes, self.operands = module, machine, lanes, operands
        self.images, self.lines, self.channels = shape
        self.emit_line, self.whole_images = emit_line, whole_images
        self.vectors = math.ceil(self.channels / lanes)
        parallel = threads > 1 and moved > SERIAL_BYTES
        self.units = self.images * (self.vectors if whole_images else self.lines)
        self.chunks = min(self.units, 4 * threads, MAXIMUM_CHUNKS) if parallel else 1

    def emit(self) -> None:
        function = Function(self.module, ENTRY, [("operands", PTR), ("chunk", I64)])
        table, chunk = function.arguments
        bases = [function.load(function.offset(table, i, PTR), PTR) for i in range(len(self.operands))]

        def unit(number: Operand, _: list[Value]) -> list[Value]:
            parts = self.vectors if self.whole_images else self.lines
            image, inner = function.udiv(number, parts), function.urem(number, parts)
            pointers = [
                function.offset(base, function.mul(image, distance), element)
                for base, (distance, _, element) in zip(bases, self.operands)
            ]
            if self.whole_images:
                self._vector(function, pointers, inner, lambda moved, last: self._lines(function, moved, last))
            else:
                self._vectors(function, pointers, inner)
            return []

        function.loop(*part_of(function, chunk, self.units, self.chunks), 1, [], unit)
        function.return_void()

    def _lines(self, function: Function, pointers: list[Value], last: bool) -> None:
        def line(y: Operand, _: list[Value]) -> list[Value]:
            self._call(function, pointers, y, last)
            return []

        function.loop(0, self.lines, 1, [], line)

    def _vectors(self, function: Function, pointers: list[Value], y: Operand) -> None:
        def vector(v: Operand, _: list[Value]) -> list[Value]:
            self._vector(function, pointers, v, lambda moved, last: self._call(function, moved, y, last))
            return []

        function.loop(0, self.vectors, 1, [], vector)

    def _vector(
        self, function: Function, pointers: list[Value], v: Operand, body: Callable[[list[Value], bool], None]
    ) -> None:
        """Moves the pointers to a vector of channels; the last one may be masked."""
        moved = [
            function.offset(pointer, function.mul(v, self.lanes * distance), element)
            for pointer, (_, distance, element) in zip(pointers, self.operands)
        ]
        if self.channels % self.lanes == 0:
            body(moved, False)
            return
        last = self.vectors - 1
        is_last = v == last if isinstance(v, int) else function.icmp("eq", v, last)
        function.if_else(is_last, lambda: body(moved, True), lambda: body(moved, False))

    def _call(self, function: Function, pointers: list[Value], y: Operand, last: bool) -> None:
        name = "line_last" if last else "line"
        if name not in self.module.functions:
            names = [(f"p{i}", PTR) for i in range(len(pointers))] + [("y", I64)]
            line = Function(self.module, name, names, **HELPER)
            valid = self.channels - (self.vectors - 1) * self.lanes if last else self.lanes
            self.emit_line(line, line.arguments[:-1], line.arguments[-1], lane_mask(valid, self.lanes))
            line.return_void()
        function.call(f"@{name}", "void", [*pointers, function.coerce(y, I64)])
