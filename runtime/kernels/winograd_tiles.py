"""The functions that a Winograd kernel calls for one tile: transforms of squares of pixels, as they come and as they go."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphc import dtypes
from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import F32, I64, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import load
from graphc.runtime.kernels.arithmetic import vector_of
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.kernels.winograd import LINE_BYTES, PointLayout
from graphc.runtime.kernels.winograd_regions import Stretch, are_within
from graphc.runtime.kernels.winograd_transforms import Matrix, Square, transform_square
from graphc.runtime.schedule.machine import Machine

DTYPE = dtypes.float32
SECOND_CACHE = 2  # a prefetch's locality


def each_vector(function: Function, channels: int, lanes: int, body: Callable[[Operand, int], None]) -> None:
    """body(first channel, valid lanes) for whole vectors, in a loop, and for what is left."""

    def vector(c: Operand, _: list[Value]) -> list[Value]:
        body(c, lanes)
        return []

    whole = channels - channels % lanes
    function.loop(0, whole, lanes, [], vector)
    if whole < channels:
        body(whole, channels - whole)


class SquareReader:
    """Brings the squares of pixels that tiles see into points: matrix * square * matrix^T for every channel.

    The square of tile (i, j) begins at row rows.start + i * stride and column columns.start + j * stride of an image;
    what lies outside counts as zero and is not read.
    """

    def __init__(
        self, module: Module, machine: Machine, name: str, matrix: Matrix, axes: tuple[Axis, Axis], stride: int, channels: int
    ):
        self.module, self.machine, self.name, self.matrix = module, machine, name, matrix
        self.axes, self.stride, self.channels = axes, stride, channels
        self.lanes, self.width = machine.lanes(DTYPE.bits), len(matrix[0])

    def call(
        self, function: Function, images: Value, tile: Sequence[Operand], channel: Operand, count: int, target: Value,
        layout: PointLayout,
    ) -> None:  # fmt: skip
        """Transforms `count` channels of a tile, from the given one on; `target` is the tile's row at the first point."""
        rows, columns = self.axes
        padding = (rows.start * columns.size + columns.start) * self.channels
        first = function.add(function.add(self._first_element(function, tile), channel), padding)
        inside = [tiles_inside(axis, self.stride, self.width) for axis in self.axes]

        def whole() -> None:
            name = self._function(False, count, layout)
            function.call(f"@{name}", "void", [images, function.coerce(first, I64), target])

        def partial() -> None:
            bounds: list[Operand] = []
            for axis, at in zip(self.axes, tile[1:]):
                start = function.add(function.mul(at, self.stride), axis.start)
                bounds += [function.sub(0, start), function.sub(axis.size, start)]
            name = self._function(True, count, layout)
            numbers = [function.coerce(number, I64) for number in (first, *bounds)]
            function.call(f"@{name}", "void", [images, numbers[0], target, *numbers[1:]])

        function.if_else(are_within(function, tile[1:], inside), whole, partial)

    def place(self, function: Function, images: Value, tile: Sequence[Operand]) -> Value:
        """Roughly where the square of a tile lies: what follows in memory is what following tiles read."""
        return function.offset(images, self._first_element(function, tile), F32)

    def _first_element(self, function: Function, tile: Sequence[Operand]) -> Operand:
        """Where the square of a tile would begin without padding."""
        n, i, j = tile
        rows, columns = self.axes
        line = function.add(function.mul(n, rows.size), function.mul(i, self.stride))
        pixel = function.add(function.mul(line, columns.size), function.mul(j, self.stride))
        return function.mul(pixel, self.channels)

    def _function(self, partial: bool, count: int, layout: PointLayout) -> str:
        """A function (images, first element of the square, target), for a square inside the image; a `partial` one also takes
        which rows, from one to another, and which columns are inside. Pixels outside are read from a vector of zeros."""
        name = f"{self.name}{'_partial' if partial else ''}_{count}"
        if name in self.module.functions:
            return name
        arguments = [("images", "ptr noalias"), ("first", I64), ("target", "ptr noalias")]
        arguments += [(bound, I64) for bound in ("top", "bottom", "left", "right")] if partial else []
        function = begin_helper(self.module, name, arguments, as_written=True)
        images, first, target, *bounds = function.arguments
        line = self.axes[1].size * self.channels
        is_inside = self._pixels_inside(function, bounds) if partial else {}
        zeros = self.module.define_table("zeros", F32, [0.0] * self.lanes) if partial else images

        def pixel(y: int, x: int, start: Operand, valid: int) -> Value | None:
            at = y * line + x * self.channels
            if partial:
                place = function.offset(images, function.add(start, at), F32)
                place = function.select(is_inside[y, x], place, zeros)
            else:
                place = function.offset(function.offset(images, start, F32), at, F32)
            return load(function, self.machine, place, DTYPE, self.lanes, lane_mask(valid, self.lanes))

        def vector(c: Operand, valid: int) -> None:
            start, place = function.add(first, c), function.offset(target, c, F32)
            square = [[pixel(y, x, start, valid) for x in range(self.width)] for y in range(self.width)]
            points = transform_square(function, self.matrix, square, self.machine.has_fma)
            store_points(function, points, place, layout.point, self.lanes)

        each_vector(function, count, self.lanes, vector)
        function.return_void()
        return name

    def _pixels_inside(self, function: Function, bounds: Sequence[Value]) -> dict[tuple[int, int], Value]:
        """Whether each pixel of a square lies between the bounds of rows and of columns."""
        sides = [
            [
                function.bit_and(function.icmp("sge", function.coerce(at, I64), low), function.icmp("sgt", high, at))
                for at in range(self.width)
            ]
            for low, high in (bounds[:2], bounds[2:])
        ]
        return {
            (y, x): function.bit_and(row, column) for y, row in enumerate(sides[0]) for x, column in enumerate(sides[1])
        }


def tiles_inside(axis: Axis, stride: int, width: int) -> Stretch:
    """The tiles along an axis whose windows of `width` lie inside."""
    tiles = math.ceil(axis.outputs / stride)
    first = min(tiles, max(0, math.ceil(-axis.start / stride)))
    end = min(tiles, (axis.size - axis.start - width) // stride + 1)
    return Stretch(first, max(first, end), tiles)


def store_points(function: Function, square: Square, place: Value, distance: int, lanes: int) -> None:
    """Every value of the square at its point."""
    zero = constant(0, vector_of(DTYPE, lanes))
    for point, value in enumerate(value for row in square for value in row):
        function.store(value or zero, function.offset(place, point * distance, F32))


def load_points(function: Function, width: int, place: Value, distance: int, lanes: int) -> Square:
    type_ = vector_of(DTYPE, lanes)
    return [
        [function.load(function.offset(place, (y * width + x) * distance, F32), type_) for x in range(width)]
        for y in range(width)
    ]


def fetch_ahead(function: Function, base: Value, number: Operand, size: int) -> None:
    """Brings the share of that number, `size` bytes, of what lies at `base` into the second cache.

    Products keep the processor busy but not the memory, so register tiles fetch what the next block reads.
    """
    soon = function.offset(base, function.mul(number, size), "i8")
    for at in range(0, size, LINE_BYTES):
        function.prefetch(function.offset(soon, at, "i8"), locality=SECOND_CACHE)


def fetched_share(size: int, shares: int) -> int:
    """Bytes, in whole lines, of one of so many shares."""
    return math.ceil(size / shares / LINE_BYTES) * LINE_BYTES
