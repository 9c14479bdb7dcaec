"""Winograd's convolution forwards: how it is planned, and the sums of a tile as pixels, each in one tile alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, Operand, Value
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.finish import INLINE_LINES, Block, Finish, emit_in_registers, epilogue_lines
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.transpose import HELPER
from graphc.runtime.kernels.winograd import (
    STEP_CYCLES,
    PointLayout,
    WinogradPlan,
    WinogradProblem,
    block_units,
    choose_run,
    clip_runs,
    far_cycles,
    product_cycles,
    register_shapes,
    result_spans,
    transform_cycles,
    with_grid,
)
from graphc.runtime.kernels.winograd_regions import Region, TileRange, one_region, split_regions
from graphc.runtime.kernels.winograd_tiles import DTYPE, each_vector, load_points
from graphc.runtime.kernels.winograd_transforms import transform_square
from graphc.runtime.schedule.machine import Machine


def plan_winograd(problem: WinogradProblem, machine: Machine, threads: int) -> WinogradPlan:
    """The cheapest plan by the model; `threads` decides the grid alone."""
    best = min(_candidates(problem, machine), key=lambda plan: plan.cycles)
    return with_grid(best, problem, machine, threads)


def _candidates(problem: WinogradProblem, machine: Machine) -> Iterator[WinogradPlan]:
    p, transforms = problem, problem.transforms
    around = transform_cycles(machine, transforms.inputs, p.tiles, p.channels)
    around += transform_cycles(machine, transforms.results, p.tiles, p.filters)
    around += transform_cycles(machine, transforms.taps, p.channels, p.filters) + STEP_CYCLES
    lanes = machine.lanes(DTYPE.bits)
    for regions in dict.fromkeys((one_region(problem), split_regions(problem))):
        for height, vectors in sorted(register_shapes(problem, machine, p.tiles)):
            block = min(math.ceil(p.tiles / height), block_units(p, machine, height, vectors * lanes))
            cycles, blocks = around, 0
            for region in regions:
                count = math.ceil(region.tiles / height) + (1 if len(regions) > 1 else 0)  # chunks may end anywhere
                points = math.prod(region.points)
                cycles += points * product_cycles(machine, (height, count), p.filters, vectors, p.channels)
                blocks += math.ceil(count / block)
            cycles += far_cycles(p, machine, blocks)
            by_region = len(regions) > 1
            yield WinogradPlan(transforms, height, vectors, lanes, height, block, (1, 1), cycles, by_region=by_region)


class TileWriter:
    """Turns the sums of a tile and panel into pixels, and hands these to the epilogue."""

    def __init__(
        self, module: Module, arithmetic: PlainArithmetic, problem: WinogradProblem, epilogue: Epilogue, panel: int,
        layout: PointLayout,
    ):  # fmt: skip
        self.module, self.arithmetic, self.problem, self.epilogue = module, arithmetic, problem, epilogue
        self.panel, self.layout, self.lanes = panel, layout, arithmetic.lanes
        self.finish = Finish(module, arithmetic, epilogue, panel)
        self.operand_count, self.workspace = epilogue.operand_count, 0
        m = problem.transforms.outputs
        self.spans = result_spans(problem.rows, m), result_spans(problem.columns, m)
        kinds = len(self.spans[0]) * len(self.spans[1]) * (2 if problem.filters % arithmetic.lanes else 1)
        self.in_registers = epilogue_lines(epilogue, arithmetic, 0) * m * m * kinds <= INLINE_LINES

    def begin(self, function: Function, operands: Value, workspace: Value) -> None:
        m = self.problem.transforms.outputs
        self.operands, self.pixels = operands, None
        if not self.in_registers:
            self.pixels = function.allocate(vector_of(DTYPE, self.lanes), m * m * self.panel // self.lanes)

    def write(
        self, function: Function, sums: Value, tiles: TileRange, column: Operand, filters: int
    ) -> None:
        def one(number: Operand, tile: tuple[Operand, ...]) -> None:
            place = function.offset(sums, function.mul(number, self.layout.row), F32)
            self._tile(function, place, tile, tiles.region, column, filters)

        tiles.over_tiles(function, one)

    def _tile(
        self, function: Function, sums: Value, tile: tuple[Operand, ...], region: Region, column: Operand, count: int
    ) -> None:
        n, i, j = tile
        m, rows, columns = self.problem.transforms.outputs, self.problem.rows, self.problem.columns
        y = function.add(function.mul(n, rows.outputs), function.mul(i, m))
        row = function.add(function.mul(y, columns.outputs), function.mul(j, m))

        def at(height: int, width: int) -> None:
            name = self._function(height, width, count)
            target = [self.operands] if self.pixels is None else [self.pixels]
            where = [function.coerce(index, I64) for index in (row, column)] if self.pixels is None else []
            function.call(f"@{name}", "void", [sums, *target, *where])
            if self.pixels is None:
                return
            vectors = math.ceil(count / self.lanes)
            last = count - (vectors - 1) * self.lanes
            pitch = (width, 1, columns.outputs)
            block = Block(self.pixels, row, column, height * width, vectors, last, pitch)
            self.finish.call(function, block, self.operands, ())

        heights, widths = map(clip_runs, self.spans, (region.rows, region.columns))
        choose_run(function, i, heights, lambda h: choose_run(function, j, widths, lambda w: at(h, w)))

    def _function(self, height: int, width: int, count: int) -> str:
        """A function (sums, operands, row, column), or (sums, pixels) where the epilogue follows."""
        name = f"write_{height}x{width}_{count}"
        if name in self.module.functions:
            return name
        names = [("sums", "ptr noalias")]
        names += [("operands", PTR), ("row", I64), ("column", I64)] if self.in_registers else [("pixels", "ptr noalias")]
        function = Function(self.module, name, names, **HELPER)
        sums, target = function.arguments[:2]
        transforms = self.problem.transforms

        def vector(c: Operand, valid: int) -> None:
            square = load_points(function, transforms.width, function.offset(sums, c, F32), self.layout.point, self.lanes)
            pixels = transform_square(function, transforms.results, square, self.arithmetic.machine.has_fma)
            values = [value for line in pixels[:height] for value in line[:width] if value is not None]
            if not self.in_registers:
                for r, value in enumerate(values):
                    function.store(value, function.offset(function.offset(target, c, F32), r * self.panel, F32))
                return
            row, column = function.arguments[2:]
            offsets = [y * self.problem.columns.outputs + x for y in range(height) for x in range(width)]
            emit_in_registers(
                function, self.arithmetic, self.epilogue, [[v] for v in values], row, function.add(column, c), valid, (),
                target, offsets,
            )  # fmt: skip

        each_vector(function, count, self.lanes, vector)
        function.return_void()
        return name
