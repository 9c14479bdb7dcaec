"""Loops over the windows of images, for kernels that work on each channel by itself: pooling and depthwise convolution.

Lanes run along channels. A line of windows is taken in groups of neighbouring ones that see the same taps; which columns of
a window lie outside the image is known from the shape, which of its lines do is found at run time, line by line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphc.records import record
from graphc.runtime.emit.entry import begin_driver, begin_helper
from graphc.runtime.emit.function import I64, PTR, Function, Module, Operand, Value
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.indexing import part_of
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.schedule.reasons import explain_serial, join_notes

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


def valid_outputs(function: Function, axis: Axis, tap: Operand) -> tuple[Operand, Operand]:
    """From which output to which one a tap lies inside; the second may be below the first."""
    if not axis.padded:
        return 0, axis.outputs
    base = function.add(function.mul(tap, axis.step), axis.start)
    before = function.maximum(function.sub(0, base), 0)
    low = function.udiv(function.add(before, axis.stride - 1), axis.stride)
    inside = function.maximum(function.sub(axis.size, base), 0)
    high = function.udiv(function.add(inside, axis.stride - 1), axis.stride)
    return low, function.minimum(high, axis.outputs)


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


@record
class Line:
    """What a function that computes one line for one vector of channels is given.

    `pointers` are moved to the image and the channels, `table` is the array of all operands; `image`, `y` and `channel`
    are the numbers of the image, of the line and of the channel in the first lane, of which `valid` hold channels.
    """

    table: Value
    pointers: list[Value]
    image: Value
    y: Value
    channel: Value
    valid: int
    lanes: int

    @property
    def mask(self) -> Value | None:
        return lane_mask(self.valid, self.lanes)


@record
class ChannelVectors:
    """How channels lie in vectors of `lanes`: `groups` of `size` channels, each cut into vectors of `step` and a rest."""

    lanes: int
    step: int
    size: int
    groups: int = 1

    @property
    def channels(self) -> int:
        return self.size * self.groups

    @property
    def per_group(self) -> int:
        return math.ceil(self.size / self.step)

    @property
    def count(self) -> int:
        return self.per_group * self.groups

    @property
    def rest(self) -> int:
        """Channels in the last vector of a group."""
        return self.size - (self.per_group - 1) * self.step


def at_vector(
    function: Function, channels: ChannelVectors, number: Operand, body: Callable[[Operand, int], None]
) -> None:
    """Calls body(first channel, how many are valid) for one vector; the body is emitted twice where some have fewer."""
    group, piece = function.udiv(number, channels.per_group), function.urem(number, channels.per_group)
    if channels.groups == 1:
        group, piece = 0, number
    first = function.add(function.mul(group, channels.size), function.mul(piece, channels.step))
    if channels.rest == channels.step:
        body(first, channels.step)
        return
    at_end = channels.per_group - 1
    is_last = piece == at_end if isinstance(piece, int) else function.icmp("eq", piece, at_end)
    function.if_else(is_last, lambda: body(first, channels.rest), lambda: body(first, channels.step))


class LineKernel:
    """An entry whose chunks take lines of results, or images by blocks of channels, and call a function for each line.

    `emit_line(function, line)` emits that function for one vector of channels. With `whole_images` a chunk has all lines
    of an image, for kernels whose lines write to common places.
    """

    def __init__(
        self,
        module: Module,
        shape: tuple[int, int],
        channels: ChannelVectors,
        operands: Sequence[tuple[int, int, str]],
        emit_line: Callable[[Function, Line], None],
        threads: int,
        moved: int,
        whole_images: bool = False,
    ):
        """`shape` is images, lines; a pointer is given for each of the first operands, which are described by
        (distance of images, distance of channels, element type)."""
        self.module, self.channels, self.operands = module, channels, operands
        self.images, self.lines = shape
        self.emit_line, self.whole_images = emit_line, whole_images
        self.vectors, self.threads, self.moved = channels.count, threads, moved
        parallel = threads > 1 and moved > SERIAL_BYTES
        self.units = self.images * (self.vectors if whole_images else self.lines)
        self.chunks = min(self.units, 4 * threads, MAXIMUM_CHUNKS) if parallel else 1

    @property
    def schedule(self) -> str:
        """How the lines are taken, for people."""
        unit = "images by channels" if self.whole_images else "lines"
        serial = explain_serial(self.chunks, self.threads, self.moved, SERIAL_BYTES, "bytes")
        return join_notes(f"{self.units} {unit}, {self.channels.step} channels at once", serial)

    def emit(self) -> None:
        function = begin_driver(self.module)
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
                self._vector(function, pointers, image, inner, None)
            else:
                self._vectors(function, pointers, image, inner)
            return []

        function.loop(*part_of(function, chunk, self.units, self.chunks), 1, [], unit)
        function.return_void()

    def _vectors(self, function: Function, pointers: list[Value], image: Operand, y: Operand) -> None:
        def vector(v: Operand, _: list[Value]) -> list[Value]:
            self._vector(function, pointers, image, v, y)
            return []

        function.loop(0, self.vectors, 1, [], vector)

    def _vector(
        self, function: Function, pointers: list[Value], image: Operand, v: Operand, y: Operand | None
    ) -> None:
        """One line, or all, for a vector of channels; the last vector may be masked."""
        def take(first: Operand, valid: int) -> None:
            moved = [
                function.offset(pointer, function.mul(first, distance), element)
                for pointer, (_, distance, element) in zip(pointers, self.operands)
            ]

            def line(number: Operand, _: list[Value]) -> list[Value]:
                numbers = [function.coerce(n, I64) for n in (image, number, first)]
                arguments = [function.arguments[0], *moved, *numbers]
                function.call(f"@{self._line_function(valid)}", "void", arguments)
                return []

            if y is None:
                function.loop(0, self.lines, 1, [], line)
            else:
                line(y, [])

        at_vector(function, self.channels, v, take)

    def _line_function(self, valid: int) -> str:
        name = f"line_{valid}"
        if name not in self.module.functions:
            count = len(self.operands)
            names = [("table", PTR), *((f"p{i}", PTR) for i in range(count))]
            names += [("image", I64), ("y", I64), ("channel", I64)]
            function = begin_helper(self.module, name, names)
            table, *pointers = function.arguments[: count + 1]
            image, y, channel = function.arguments[count + 1 :]
            self.emit_line(function, Line(table, pointers, image, y, channel, valid, self.channels.lanes))
            function.return_void()
        return name
