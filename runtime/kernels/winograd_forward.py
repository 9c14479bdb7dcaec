"""Winograd's convolution forwards: how it is planned, and the sums of a tile as pixels, each in one tile alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, Operand, Value
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.finish import INLINE_LINES, Block, Finish, emit_in_registers, epilogue_lines
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.winograd import (
    STEP_CYCLES,
    PointLayout,
    WinogradPlan,
    WinogradProblem,
    block_units,
    choose_run,
    far_cycles,
    product_cycles,
    register_shapes,
    result_axes,
    result_spans,
    transform_cycles,
    with_grid,
)
from graphc.runtime.kernels.winograd_regions import TileRange, are_within, one_region, split_regions
from graphc.runtime.kernels.winograd_tiles import DTYPE, each_vector, load_points, tiles_inside
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
        self.full = [tiles_inside(axis, m, m) for axis in result_axes(problem.rows, problem.columns)]
        kinds = 2 if any(end < tiles for _, end, tiles in self.full) else 1
        kinds *= 2 if problem.filters % arithmetic.lanes else 1
        self.in_registers = epilogue_lines(epilogue, arithmetic, 0) * m * m * kinds <= INLINE_LINES

    def begin(self, function: Function, operands: Value, workspace: Value) -> None:
        m = self.problem.transforms.outputs
        self.operands, self.pixels = operands, None
        if not self.in_registers:
            self.pixels = function.allocate(vector_of(DTYPE, self.lanes), m * m * self.panel // self.lanes)

    def write(
        self, function: Function, sums: Value, tiles: TileRange, column: Operand, filters: int
    ) -> None:
        def one(number: Operand, tile: Sequence[Operand]) -> None:
            place = function.offset(sums, function.mul(number, self.layout.row), F32)
            n, i, j = tile
            rows, columns, m = self.problem.rows, self.problem.columns, self.problem.transforms.outputs
            y = function.add(function.mul(n, rows.outputs), function.mul(i, m))
            row = function.add(function.mul(y, columns.outputs), function.mul(j, m))
            if self.pixels is None:
                self._finish_in_registers(function, place, tile[1:], row, column, filters)
            else:
                self._finish_from_memory(function, place, tile[1:], row, column, filters)

        tiles.over_tiles(function, one)

    def _finish_in_registers(
        self, function: Function, sums: Value, tile: Sequence[Operand], row: Operand, column: Operand, count: int
    ) -> None:
        m, axes = self.problem.transforms.outputs, (self.problem.rows, self.problem.columns)
        where = [sums, self.operands, *(function.coerce(index, I64) for index in (row, column))]

        def whole() -> None:
            function.call(f"@{self._function(False, count)}", "void", where)

        def partial() -> None:
            left = [function.sub(axis.outputs, function.mul(at, m)) for axis, at in zip(axes, tile)]
            ends = [function.coerce(end, I64) for end in left]
            function.call(f"@{self._function(True, count)}", "void", [*where, *ends])

        function.if_else(are_within(function, tile, self.full), whole, partial)

    def _finish_from_memory(
        self, function: Function, sums: Value, tile: Sequence[Operand], row: Operand, column: Operand, count: int
    ) -> None:
        """Line by line of the results that exist."""
        m, pixels = self.problem.transforms.outputs, self.pixels
        vectors = math.ceil(count / self.lanes)
        last = count - (vectors - 1) * self.lanes
        assert pixels is not None
        function.call(f"@{self._function(False, count)}", "void", [sums, pixels])

        def finish(height: int, width: int) -> None:
            for y in range(height):
                line = function.offset(pixels, y * m * self.panel, F32)
                start = function.add(row, y * self.problem.columns.outputs)
                self.finish.call(function, Block(line, start, column, width, vectors, last), self.operands, ())

        down, across = (result_spans(axis, m) for axis in (self.problem.rows, self.problem.columns))
        i, j = tile
        choose_run(function, i, down, lambda height: choose_run(function, j, across, lambda width: finish(height, width)))

    def _function(self, partial: bool, count: int) -> str:
        """A function (sums, operands, row, column), or (sums, pixels) where the epilogue follows.

        A `partial` one also takes how many rows and columns of the tile's results exist.
        """
        name = f"write{'_partial' if partial else ''}_{count}"
        if name in self.module.functions:
            return name
        names = [("sums", "ptr noalias")]
        names += [("operands", PTR), ("row", I64), ("column", I64)] if self.in_registers else [("pixels", "ptr noalias")]
        names += [("down", I64), ("across", I64)] if partial else []
        function = begin_helper(self.module, name, names)
        sums, target = function.arguments[:2]
        transforms = self.problem.transforms

        def vector(c: Operand, valid: int) -> None:
            square = load_points(function, transforms.width, function.offset(sums, c, F32), self.layout.point, self.lanes)
            results = transform_square(function, transforms.results, square, self.arithmetic.machine.has_fma)
            pixels = {(y, x): value for y, line in enumerate(results) for x, value in enumerate(line) if value is not None}
            if not self.in_registers:
                for (y, x), value in pixels.items():
                    at = (y * transforms.outputs + x) * self.panel
                    function.store(value, function.offset(function.offset(target, c, F32), at, F32))
            elif partial:
                for place, value in pixels.items():
                    tests = [function.icmp("sgt", end, at) for end, at in zip(function.arguments[4:], place)]
                    with function.when(function.bit_and(*tests)):
                        self._emit_epilogue(function, {place: value}, c, valid)
            else:
                self._emit_epilogue(function, pixels, c, valid)

        each_vector(function, count, self.lanes, vector)
        function.return_void()
        return name

    def _emit_epilogue(
        self, function: Function, pixels: dict[tuple[int, int], Value], c: Operand, valid: int
    ) -> None:
        operands, row, column = function.arguments[1:4]
        offsets = [y * self.problem.columns.outputs + x for y, x in pixels]
        values = [[value] for value in pixels.values()]
        at = function.add(column, c)
        emit_in_registers(function, self.arithmetic, self.epilogue, values, row, at, valid, (), operands, offsets)
