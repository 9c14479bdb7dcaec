"""Winograd's convolution of 3 x 3 taps at distance 1 as data: the tiles it walks, how they are cut, what that should cost.

The result is cut into tiles of m x m pixels. The window of (m + 2) x (m + 2) inputs that a tile sees becomes as many points
for every channel, each of which is a matrix product of its own: tiles by channels with channels by filters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from graphc import dtypes
from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.function import Function, Operand, Value
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.convolution_plan import TILE_ENDS, VECTOR_ENDS
from graphc.runtime.kernels.gemm_plan import SERIAL_FLOPS, register_tiles, tile_cycles
from graphc.runtime.kernels.winograd_transforms import TAPS, Matrix, Transforms, count_operations
from graphc.runtime.schedule.machine import Machine

LINE_BYTES = 64  # of cache
WAY_BYTES = 4096  # of the first cache: addresses at this distance share a set
TILE_CYCLES = 20.0  # to find a tile and call what transforms it
STEP_CYCLES = 3000.0  # to begin and end one more step
FAR_LINE = 3.0  # cycles to read a line that the second cache does not hold

T = TypeVar("T")


@record
class WinogradProblem:
    """A convolution (or the gradient of one that is itself one) by 3 x 3 taps, which stride and dilation leave together."""

    images: int
    rows: Axis
    columns: Axis
    channels: int
    filters: int
    transforms: Transforms

    @property
    def tile_grid(self) -> tuple[int, int, int]:
        """Images, tiles down and tiles across."""
        m = self.transforms.outputs
        return self.images, math.ceil(self.rows.outputs / m), math.ceil(self.columns.outputs / m)

    @property
    def tiles(self) -> int:
        return math.prod(self.tile_grid)

    @property
    def flops(self) -> int:
        """Of the products between the transforms."""
        return 2 * self.transforms.points * self.tiles * self.channels * self.filters


def winograd_problem(
    images: int, phases: Sequence[tuple[Axis, Axis]], channels: int, filters: int, dtype: DType, transforms: Transforms
) -> WinogradProblem | None:
    """The work along these axes as tiles; None unless it is one convolution by 3 x 3 taps at distance 1 of float32."""
    if len(phases) != 1 or dtype != dtypes.float32:
        return None
    rows, columns = phases[0]
    if any((axis.taps, axis.stride, axis.step) != (TAPS, 1, 1) for axis in (rows, columns)):
        return None
    return WinogradProblem(images, rows, columns, channels, filters, transforms)


def result_axes(rows: Axis, columns: Axis) -> tuple[Axis, Axis]:
    """The results along axes, as what is read one by one."""
    return Axis(rows.outputs, rows.outputs, 0, 1, 1, 1), Axis(columns.outputs, columns.outputs, 0, 1, 1, 1)


# -- what tiles meet at the borders


def result_spans(axis: Axis, stride: int) -> list[tuple[int, int]]:
    """Runs of tiles as (end, results that exist)."""
    return find_runs([min(stride, axis.outputs - at) for at in range(0, axis.outputs, stride)])


def find_runs(values: Sequence[T]) -> list[tuple[int, T]]:
    """Equal neighbours as (end, value)."""
    return [(i + 1, value) for i, value in enumerate(values) if i + 1 == len(values) or values[i + 1] != value]


def choose_run(function: Function, index: Operand, runs: Sequence[tuple[int, T]], body: Callable[[T], None]) -> None:
    """Emits body(value) for every run, of which one happens by the index."""
    (end, value), *rest = runs
    if not rest:
        body(value)
        return
    condition: Value | bool = index < end if isinstance(index, int) else function.icmp("slt", index, end)
    function.if_else(condition, lambda: body(value), lambda: choose_run(function, index, rest, body))


# -- how values of a block of tiles lie


@record
class PointLayout:
    """For every point a matrix of `rows` by `columns`, `row` elements between rows and `point` elements between points."""

    rows: int
    columns: int
    row: int
    point: int


def point_layout(rows: int, columns: int, lanes: int, size: int) -> PointLayout:
    """Whole vectors; neither the rows nor the points of a column fall in few sets of the first cache."""
    line = LINE_BYTES // size
    row = math.ceil(columns / lanes) * lanes
    row += line if row * size % (WAY_BYTES // 2) == 0 else 0
    lines = math.ceil(rows * row / line)
    return PointLayout(rows, columns, row, (lines + 1 - lines % 2) * line)


# -- how the work is cut


@record
class WinogradPlan:
    """Register tiles of `height` tiles by `vectors`. Chunks are parts of units of `unit` tiles, and of panels; they take
    `block` units at a time, panel after panel. `scattered` where a tile gives to all pixels of its window.
    `by_region` where tiles at borders are taken apart; then chunks are parts of the images."""

    transforms: Transforms
    height: int
    vectors: int
    lanes: int
    unit: int
    block: int
    grid: tuple[int, int]
    cycles: float
    scattered: bool = False
    by_region: bool = False

    @property
    def panel(self) -> int:
        return self.vectors * self.lanes

    @property
    def block_rows(self) -> int:
        """Rows of the register tiles of a block."""
        return math.ceil(self.block * self.unit / self.height) * self.height

    @property
    def sums_layout(self) -> PointLayout:
        return point_layout(self.block_rows, self.panel, self.lanes, dtypes.float32.size)

    @property
    def kind(self) -> str:
        return ", scattered" if self.scattered else ", those at borders apart" if self.by_region else ""

    def __str__(self) -> str:
        m = self.transforms.outputs
        return (
            f"winograd tiles of {m}x{m} pixels{self.kind}, {self.height} by {self.vectors} "
            f"vectors of {self.lanes}; blocks of {self.unit * self.block} tiles; grid {self.grid[0]}x{self.grid[1]}; "
            f"{self.cycles:.0f} cycles expected"
        )


def with_grid(plan: WinogradPlan, problem: WinogradProblem, machine: Machine, threads: int) -> WinogradPlan:
    """The same with chunks for that many threads."""
    if threads <= 1 or problem.flops < SERIAL_FLOPS:
        return plan
    units = problem.images if plan.by_region else math.ceil(problem.tiles / plan.unit)
    panels = math.ceil(problem.filters / plan.panel)
    read = transform_cycles(machine, problem.transforms.inputs, problem.tiles // units, problem.channels)
    return replace(plan, grid=winograd_grid(units, panels, read, plan.cycles / (units * panels), threads))


def winograd_grid(units: int, panels: int, read: float, summed: float, threads: int) -> tuple[int, int]:
    """Parts of tiles and of panels so that the busiest thread has least; every part of the panels reads its tiles anew."""
    best, best_cost = (1, 1), math.inf
    for second in range(1, min(panels, 2 * threads) + 1):
        for rounds in (1, 2, 4):
            first = max(1, min(units, threads * rounds // second, MAXIMUM_CHUNKS // second))
            chunk = math.ceil(units / first) * (read + math.ceil(panels / second) * summed)
            cost = math.ceil(first * second / threads) * chunk * (1 + 1e-4 * first * second)
            if cost < best_cost:
                best, best_cost = (first, second), cost
    return best


def register_shapes(problem: WinogradProblem, machine: Machine, rows: int) -> set[tuple[int, int]]:
    """Heights and vectors of register tiles for blocks of so many rows, as they are and so that all are full."""
    needed = math.ceil(problem.filters / machine.lanes(dtypes.float32.bits))
    shapes = {(height, min(vectors, needed)) for height, vectors in register_tiles(machine)}
    return shapes | {(math.ceil(rows / math.ceil(rows / height)), vectors) for height, vectors in shapes}


def block_units(problem: WinogradProblem, machine: Machine, unit: int, panel: int) -> int:
    """Units of tiles whose points, as inputs and as sums of a panel, stay in half of the second cache."""
    tile = problem.transforms.points * (problem.channels + panel) * dtypes.float32.size
    return max(1, min(BLOCK_TILES // unit, machine.l2_bytes // 2 // (tile * unit)))


BLOCK_TILES = 64


def far_cycles(problem: WinogradProblem, machine: Machine, blocks: int) -> float:
    """To read the points of the filter for every block where the second cache does not hold them."""
    lines = problem.channels * problem.filters * problem.transforms.points * dtypes.float32.size // LINE_BYTES
    return blocks * lines * FAR_LINE if lines * LINE_BYTES > machine.l2_bytes // 2 else 0.0


def product_cycles(machine: Machine, rows: tuple[int, int], columns: int, vectors: int, depth: int) -> float:
    """Of the products of one point: `rows` is how high and how many register tiles are."""
    lanes = machine.lanes(dtypes.float32.bits)
    height, count = rows
    whole, rest = divmod(columns, vectors * lanes)
    total = 0.0
    for width, panels in ((vectors, whole), (math.ceil(rest / lanes), 1 if rest else 0)):
        if panels:
            ends = TILE_ENDS + VECTOR_ENDS * height * width
            total += panels * count * (depth * tile_cycles(machine, height, width) + ends)
    return total


def transform_cycles(machine: Machine, matrix: Matrix, squares: int, channels: int) -> float:
    """Of squares of vectors along channels: their sums, and every element read and written once."""
    vectors = math.ceil(channels / machine.lanes(dtypes.float32.bits))
    read, written = len(matrix[0]) ** 2, len(matrix) ** 2
    each = count_operations(matrix) / machine.fma_ports + read / machine.load_ports + written
    return squares * (TILE_CYCLES + vectors * each)
