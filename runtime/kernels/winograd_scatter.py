"""The gradient of images by Winograd's tiles of the result's gradient: each gives to all pixels of the window it saw.

    gradient of a window = B [(A gradient of the result A^T) * (G taps G^T)] B^T

Windows overlap by two pixels. A row of tiles is walked from left to right with what it gives to the next tile in registers, and
leaves what it gives to the next row in a buffer.
"""

from __future__ import annotations

import math

from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import F32, Function, Module, Operand, Value, constant
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.finish import Block, Finish
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.winograd import (
    STEP_CYCLES,
    PointLayout,
    WinogradPlan,
    WinogradProblem,
    block_units,
    choose_run,
    far_cycles,
    find_runs,
    product_cycles,
    register_shapes,
    transform_cycles,
    with_grid,
)
from graphc.runtime.kernels.winograd_regions import TileRange
from graphc.runtime.kernels.winograd_tiles import DTYPE, load_points
from graphc.runtime.kernels.winograd_transforms import transform_square
from graphc.runtime.schedule.machine import Machine

FEWEST_IMAGES = 8  # chunks are whole images
PIXEL_CYCLES = 4.0  # to hand a vector of a pixel to the epilogue


def plan_scattered(problem: WinogradProblem, machine: Machine, threads: int) -> WinogradPlan | None:
    """The cheapest plan; None where windows reach into padding, or images are few or too large.

    The problem is the forward convolution with the filters as its channels and its channels as filters.
    """
    p, transforms = problem, problem.transforms
    if p.images < FEWEST_IMAGES or p.rows.padded or p.columns.padded:
        return None
    lanes, unit = machine.lanes(DTYPE.bits), p.tiles // p.images
    pixels = p.images * p.rows.size * p.columns.size * math.ceil(p.filters / lanes)
    around = transform_cycles(machine, transforms.results_turned, p.tiles, p.channels)
    around += transform_cycles(machine, transforms.inputs_turned, p.tiles, p.filters) + pixels * PIXEL_CYCLES
    around += transform_cycles(machine, transforms.taps, p.channels, p.filters) + 2 * STEP_CYCLES
    best: WinogradPlan | None = None
    for height, vectors in sorted(register_shapes(p, machine, unit)):
        if transforms.points * (p.channels + vectors * lanes) * unit * DTYPE.size > machine.l2_bytes // 2:
            continue
        block = min(p.images, block_units(p, machine, unit, vectors * lanes))
        blocks = math.ceil(p.images / block)
        tiles = math.ceil(block * unit / height)
        cycles = transforms.points * product_cycles(machine, (height, tiles * blocks), p.filters, vectors, p.channels)
        cycles += far_cycles(p, machine, blocks) + around
        if best is None or cycles < best.cycles:
            best = WinogradPlan(transforms, height, vectors, lanes, unit, block, (1, 1), cycles, True)
    return with_grid(best, p, machine, threads) if best is not None else None


class WindowWriter:
    """Adds up the windows of whole images in padded lines of a panel, and hands finished lines to the epilogue."""

    def __init__(
        self, module: Module, arithmetic: PlainArithmetic, problem: WinogradProblem, epilogue: Epilogue, panel: int,
        layout: PointLayout,
    ):  # fmt: skip
        self.module, self.arithmetic, self.problem = module, arithmetic, problem
        self.panel, self.layout, self.lanes = panel, layout, arithmetic.lanes
        self.finish = Finish(module, arithmetic, epilogue, panel)
        self.operand_count = epilogue.operand_count
        transforms = problem.transforms
        self.rows, self.columns = problem.tile_grid[1:]
        self.outputs, self.overlap = transforms.outputs, transforms.width - transforms.outputs
        self.line = (self.columns * self.outputs + self.overlap) * panel  # elements
        self.workspace = (self.outputs + self.overlap) * self.line * DTYPE.size

    def begin(self, function: Function, operands: Value, workspace: Value) -> None:
        self.operands, self.lines = operands, workspace
        self.left = function.offset(workspace, self.outputs * self.line, F32)

    def write(
        self, function: Function, sums: Value, tiles: TileRange, column: Operand, filters: int
    ) -> None:
        first, count = tiles.first, tiles.count
        vectors, each = math.ceil(filters / self.lanes), self.rows * self.columns
        height, last = self.problem.rows.size, filters - (vectors - 1) * self.lanes
        runs = find_runs([min(self.outputs, height - i * self.outputs) for i in range(self.rows)])

        def finish(base: Value, count: int, row: Operand) -> None:
            for r in range(count):
                pixels = function.mul(function.add(row, r), self.problem.columns.size)
                line = function.offset(base, r * self.line, F32)
                block = Block(line, pixels, column, self.problem.columns.size, vectors, last)
                self.finish.call(function, block, self.operands, ())

        def image(number: Operand, _: list[Value]) -> list[Value]:
            top = function.mul(function.add(function.udiv(first, each), number), height)

            def tile_row(i: Operand, _: list[Value]) -> list[Value]:
                at = function.add(function.mul(number, each), function.mul(i, self.columns))
                source = function.offset(sums, function.mul(at, self.layout.row), F32)

                def add(is_first: bool) -> None:
                    function.call(f"@{self._row(vectors, is_first)}", "void", [source, self.lines, self.left])

                choose_run(function, i, [(1, True), (self.rows, False)] if self.rows > 1 else [(1, True)], add)
                row = function.add(top, function.mul(i, self.outputs))
                choose_run(function, i, runs, lambda valid: finish(self.lines, valid, row))
                return []

            function.loop(0, self.rows, 1, [], tile_row)
            below = self.rows * self.outputs
            finish(self.left, max(0, min(self.overlap, height - below)), function.add(top, below))
            return []

        function.loop(0, function.udiv(count, each), 1, [], image)

    def _row(self, vectors: int, is_first: bool) -> str:
        """A function (sums of the first tile, finished lines, lines left to the next row) for a row of tiles."""
        name = f"row_{vectors}{'_first' if is_first else ''}"
        if name in self.module.functions:
            return name
        names = [(name, "ptr noalias") for name in ("sums", "lines", "left")]
        function = begin_helper(self.module, name, names)
        sums, lines, left = function.arguments
        transforms, has_fma = self.problem.transforms, self.arithmetic.machine.has_fma
        width, overlap, type_ = transforms.width, self.overlap, vector_of(DTYPE, self.lanes)

        def store_column(at: Operand, c: Operand, values: list[Value]) -> None:
            """One column of pixels of the window."""
            place = function.add(function.mul(at, self.panel), c)
            above = [function.offset(function.offset(left, place, F32), r * self.line, F32) for r in range(overlap)]
            if not is_first:
                values = [*map(function.fadd, values, (function.load(p, type_) for p in above)), *values[overlap:]]
            for r, value in enumerate(values[: self.outputs]):
                function.store(value, function.offset(function.offset(lines, place, F32), r * self.line, F32))
            for p, value in zip(above, values[self.outputs :]):
                function.store(value, p)

        def vector(c: Operand, _: list[Value]) -> list[Value]:
            def tile(j: Operand, carried: list[Value]) -> list[Value]:
                at = function.add(function.mul(j, self.layout.row), c)
                square = load_points(function, width, function.offset(sums, at, F32), self.layout.point, self.lanes)
                window = transform_square(function, transforms.inputs_turned, square, has_fma)
                columns = [[value for value in column if value is not None] for column in zip(*window)]
                for x in range(overlap):
                    before = carried[x * width : (x + 1) * width]
                    columns[x] = [function.fadd(value, other) for value, other in zip(columns[x], before)]
                for x, column in enumerate(columns[: self.outputs]):
                    store_column(function.add(function.mul(j, self.outputs), x), c, column)
                return [value for column in columns[self.outputs :] for value in column]

            nothing = [constant(0, type_)] * (overlap * width)
            carried = function.loop(0, self.columns, 1, nothing, tile)
            for x in range(overlap):
                store_column(self.columns * self.outputs + x, c, carried[x * width : (x + 1) * width])
            return []

        function.loop(0, vectors * self.lanes, self.lanes, [], vector)
        function.return_void()
        return name
