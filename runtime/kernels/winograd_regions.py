"""The tiles of images by what they need: those at the lower and right border may lack results, and then need fewer products.

A tile that lacks its last line of results needs no products of the last line of points, which is in no other line's sum.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from graphc.records import record
from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import I1, I64, PTR, Function, Operand, Value
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.indexing import split_index
from graphc.runtime.kernels.winograd import WinogradProblem

FEWEST_IMAGES = 8  # whose tiles are taken region by region


@record
class Region:
    """`size` tiles (down, across) of every image from the tile `first` on.

    They need the products of the first `points` (rows, columns) of the points.
    """

    images: int
    first: tuple[int, int]
    size: tuple[int, int]
    points: tuple[int, int]

    @property
    def numbers(self) -> tuple[int, ...]:
        """What tells the regions of a problem apart."""
        return *self.first, *self.size, *self.points

    @property
    def tiles(self) -> int:
        return self.images * math.prod(self.size)

    def walk(self) -> RegionWalk:
        return RegionWalk(self.images, self.numbers)


class RegionWalk:
    """Emits what goes over tiles and points of a region, whose numbers may be values: so one function serves all regions."""

    def __init__(self, images: int, numbers: Sequence[Operand]):
        self.images, self.first, self.size, self.points = images, numbers[:2], numbers[2:4], numbers[4:]

    def place(self, function: Function, tile: Operand) -> tuple[Operand, Operand, Operand]:
        """The image of a tile, and where it lies down and across."""
        n, i, j = split_index(function, tile, [self.images, *self.size])
        return n, function.add(i, self.first[0]), function.add(j, self.first[1])

    def following(self, function: Function, place: Sequence[Value]) -> list[Value]:
        """The place of the next tile. To divide the number of each tile by sizes that are values would take longer."""
        image, *tile = place
        (top, left), (height, width) = self.first, self.size
        down, across = (function.binary("add", at, 1) for at in tile)
        ends_row = function.icmp("eq", across, function.add(left, width))
        row = function.select(ends_row, down, tile[0])
        ends_image = function.icmp("eq", row, function.add(top, height))
        image = function.select(ends_image, function.binary("add", image, 1), image)
        return [image, function.select(ends_image, top, row), function.select(ends_row, left, across)]

    def over_points(self, function: Function, width: int, body: Callable[[Operand], None]) -> None:
        """body(number) for every point that is needed; `width` is that of the square of points."""

        def row(i: Operand, _: list[Value]) -> list[Value]:
            def column(j: Operand, _: list[Value]) -> list[Value]:
                body(function.add(function.mul(i, width), j))
                return []

            function.loop(0, self.points[1], 1, [], column)
            return []

        function.loop(0, self.points[0], 1, [], row)


class Stretch(NamedTuple):
    """Tiles along an axis, from one to another, of so many."""

    first: int
    end: int
    tiles: int


def are_within(function: Function, tile: Sequence[Operand], stretches: Sequence[Stretch]) -> Value | bool:
    """Whether a tile is in the stretch of each axis; a Python bool where that is so for all tiles or for none."""
    if any(first == end for first, end, _ in stretches):
        return False
    tests = [
        function.icmp("ult", function.sub(at, first), function.coerce(end - first, I64))
        for at, (first, end, tiles) in zip(tile, stretches)
        if end - first < tiles
    ]
    return functools.reduce(function.bit_and, tests) if tests else True


def each_region(
    entry: Function, regions: Sequence[Region], body: Callable[[Function, Value, Value, RegionWalk, Value], None]
) -> None:
    """Has the entry of a kernel call one function for every region.

    `body(function, operands, chunk, region, is_first)` emits that function, which serves all of them.
    """
    numbers = [(f"number{i}", I64) for i, _ in enumerate(regions[0].numbers)]
    arguments = [("operands", PTR), ("chunk", I64), ("is_first", I1), *numbers]
    function = begin_helper(entry.module, "region", arguments, as_written=True)
    operands, chunk, is_first, *values = function.arguments
    body(function, operands, chunk, RegionWalk(regions[0].images, values), is_first)
    function.return_void()
    for region in regions:
        is_first = entry.coerce(region is regions[0], I1)
        entry.call("@region", "void", [*entry.arguments, is_first, *(entry.coerce(n, I64) for n in region.numbers)])


@record
class TileRange:
    """`count` tiles of a region from number `first` on."""

    region: RegionWalk
    first: Operand
    count: Operand

    def over_tiles(self, function: Function, body: Callable[[Operand, Sequence[Operand]], None]) -> None:
        """body(number in the range, (image, tile down, tile across))."""

        def tile(number: Operand, place: list[Value]) -> list[Value]:
            body(number, place)
            return self.region.following(function, place)

        place = [function.coerce(at, I64) for at in self.region.place(function, self.first)]
        function.loop(0, self.count, 1, place, tile)


def one_region(problem: WinogradProblem) -> tuple[Region, ...]:
    """All tiles, with all points."""
    images, rows, columns = problem.tile_grid
    width = problem.transforms.width
    return (Region(images, (0, 0), (rows, columns), (width, width)),)


def split_regions(problem: WinogradProblem) -> tuple[Region, ...]:
    """Tiles inside, of which there are some, and those at borders that need less; one region where images are few."""
    if problem.images < FEWEST_IMAGES:
        return one_region(problem)
    width = problem.transforms.width
    rows, columns = (_bands(axis, problem.transforms.outputs, width) for axis in (problem.rows, problem.columns))
    return tuple(
        Region(problem.images, (top, left), (height, length), (down, across))
        for (top, height, down), (left, length, across) in itertools.product(rows, columns)
    )


def _bands(axis: Axis, outputs: int, width: int) -> list[tuple[int, int, int]]:
    """Parts of the tiles along an axis: the first, how many, and the lines of points that they need."""
    tiles = math.ceil(axis.outputs / outputs)
    if axis.outputs % outputs == 0 or tiles == 1:
        return [(0, tiles, width)]
    return [(0, tiles - 1, width), (tiles - 1, 1, width - 1)]
