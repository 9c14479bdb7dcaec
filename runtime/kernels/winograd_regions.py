"""The tiles of images by what they need: those at the lower and right border may lack results, and then need fewer products.

A tile that lacks its last line of results needs no products of the last line of points, which is in no other line's sum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from graphc.records import record
from graphc.runtime.emit.function import Function, Operand, Value
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.indexing import split_index
from graphc.runtime.kernels.winograd import WinogradProblem

FEWEST_IMAGES = 8  # whose tiles are taken region by region


@record
class Region:
    """The tiles of every image from rows[0] to rows[1] down and from columns[0] to columns[1] across.

    They need the products of the first `points` (rows, columns) of the points.
    """

    images: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    points: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.images, self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def tiles_of_image(self) -> int:
        return self.grid[1] * self.grid[2]

    @property
    def tiles(self) -> int:
        return math.prod(self.grid)

    def place(self, function: Function, tile: Operand) -> tuple[Operand, ...]:
        """The image of a tile, and where it lies down and across."""
        n, i, j = split_index(function, tile, self.grid)
        return n, function.add(i, self.rows[0]), function.add(j, self.columns[0])

    def over_points(self, function: Function, width: int, body: Callable[[Operand], None]) -> None:
        """body(number) for every point that is needed; `width` is that of the square of points."""

        def row(i: Operand, _: list[Value]) -> list[Value]:
            def column(j: Operand, _: list[Value]) -> list[Value]:
                body(function.add(function.mul(i, width), j))
                return []

            function.loop(0, self.points[1], 1, [], column)
            return []

        function.loop(0, self.points[0], 1, [], row)


@record
class TileRange:
    """`count` tiles of a region from number `first` on."""

    region: Region
    first: Operand
    count: Operand

    def over_tiles(self, function: Function, body: Callable[[Operand, tuple[Operand, ...]], None]) -> None:
        """body(place in the range, (image, tile down, tile across))."""

        def tile(number: Operand, _: list[Value]) -> list[Value]:
            body(number, self.region.place(function, function.add(self.first, number)))
            return []

        function.loop(0, self.count, 1, [], tile)


def one_region(problem: WinogradProblem) -> tuple[Region, ...]:
    """All tiles, with all points."""
    images, rows, columns = problem.tile_grid
    width = problem.transforms.width
    return (Region(images, (0, rows), (0, columns), (width, width)),)


def split_regions(problem: WinogradProblem) -> tuple[Region, ...]:
    """Tiles inside, of which there are some, and those at borders that need less; one region where images are few."""
    if problem.images < FEWEST_IMAGES:
        return one_region(problem)
    width = problem.transforms.width
    bands = [_bands(axis, problem.transforms.outputs, width) for axis in (problem.rows, problem.columns)]
    return tuple(
        Region(problem.images, rows, columns, (down, across)) for (rows, down), (columns, across) in itertools.product(*bands)
    )


def _bands(axis: Axis, outputs: int, width: int) -> list[tuple[tuple[int, int], int]]:
    """Ranges of tiles along an axis with the lines of points that they need."""
    tiles = math.ceil(axis.outputs / outputs)
    if axis.outputs % outputs == 0 or tiles == 1:
        return [((0, tiles), width)]
    return [((0, tiles - 1), width), ((tiles - 1, tiles), width - 1)]
