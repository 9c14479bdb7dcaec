"""The functions that a Winograd kernel calls for one tile: transforms of squares of pixels, as they come and as they go."""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc import dtypes
from graphc.runtime.emit.function import F32, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import load
from graphc.runtime.kernels.arithmetic import vector_of
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.kernels.transpose import HELPER
from graphc.runtime.kernels.winograd import (
    LINE_BYTES,
    PointLayout,
    choose_run,
    clip_runs,
    window_spans,
)
from graphc.runtime.kernels.winograd_regions import Region
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
        self, function: Function, images: Value, tile: tuple[Operand, ...], region: Region, channel: Operand, count: int,
        target: Value, layout: PointLayout,
    ) -> None:  # fmt: skip
        """Transforms `count` channels of a tile of a region, from the given one on; `target` is the tile's row at the first
        point."""
        _, i, j = tile
        rows, columns = self.axes
        first = function.add(self._first_element(function, tile), channel)

        def at(span: tuple[int, int], across: tuple[int, int]) -> None:
            empty = span[0] == span[1] or across[0] == across[1]
            inside = ((rows.start + span[0]) * columns.size + columns.start + across[0]) * self.channels
            source = images if empty else function.offset(images, function.add(first, inside), F32)
            name = self._function((0, 0) if empty else span, (0, 0) if empty else across, count, layout)
            function.call(f"@{name}", "void", [source, target])

        spans = (window_spans(axis, self.stride, self.width) for axis in self.axes)
        down, along = map(clip_runs, spans, (region.rows, region.columns))
        choose_run(function, i, down, lambda span: choose_run(function, j, along, lambda across: at(span, across)))

    def place(self, function: Function, images: Value, tile: tuple[Operand, ...]) -> Value:
        """Roughly where the square of a tile lies: what follows in memory is what following tiles read."""
        return function.offset(images, self._first_element(function, tile), F32)

    def _first_element(self, function: Function, tile: tuple[Operand, ...]) -> Operand:
        """Where the square of a tile would begin without padding."""
        n, i, j = tile
        rows, columns = self.axes
        line = function.add(function.mul(n, rows.size), function.mul(i, self.stride))
        pixel = function.add(function.mul(line, columns.size), function.mul(j, self.stride))
        return function.mul(pixel, self.channels)

    def _function(self, rows: tuple[int, int], columns: tuple[int, int], count: int, layout: PointLayout) -> str:
        """A function (first pixel inside, target)."""
        name = f"{self.name}_{rows[0]}_{rows[1]}x{columns[0]}_{columns[1]}_{count}"
        if name in self.module.functions:
            return name
        function = Function(self.module, name, [("source", "ptr noalias"), ("target", "ptr noalias")], **HELPER)
        source, target = function.arguments
        line = self.axes[1].size * self.channels

        def pixel(y: int, x: int, start: Value, valid: int) -> Value | None:
            if not (rows[0] <= y < rows[1] and columns[0] <= x < columns[1]):
                return None
            place = function.offset(start, (y - rows[0]) * line + (x - columns[0]) * self.channels, F32)
            return load(function, self.machine, place, DTYPE, self.lanes, lane_mask(valid, self.lanes))

        def vector(c: Operand, valid: int) -> None:
            start, place = function.offset(source, c, F32), function.offset(target, c, F32)
            square = [[pixel(y, x, start, valid) for x in range(self.width)] for y in range(self.width)]
            points = transform_square(function, self.matrix, square, self.machine.has_fma)
            store_points(function, points, place, layout.point, self.lanes)

        each_vector(function, count, self.lanes, vector)
        function.return_void()
        return name


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
