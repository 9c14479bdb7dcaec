"""The products of Winograd's tiles: blocks of tiles become points, which are multiplied by the filter's; the sums of a block
and panel go to a writer that makes pixels of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from graphc import dtypes
from graphc.runtime.emit.entry import begin_driver, begin_helper
from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, Operand, Value
from graphc.runtime.kernels.arithmetic import PlainArithmetic
from graphc.runtime.kernels.finish import FIRST_OPERAND
from graphc.runtime.kernels.indexing import part_of, split_index
from graphc.runtime.kernels.microkernel import DepthLoop, LeftOperand, RightOperand, contract, zeros
from graphc.runtime.kernels.winograd import WinogradPlan, WinogradProblem, point_layout
from graphc.runtime.kernels.winograd_regions import RegionWalk, TileRange, each_region, one_region, split_regions
from graphc.runtime.kernels.winograd_taps import filter_points
from graphc.runtime.kernels.winograd_tiles import SquareReader, fetch_ahead, fetched_share
from graphc.runtime.schedule.machine import Machine

UNROLLED = 16  # channels that are written out
PREFETCHED = 8  # steps of the filter ahead


class PixelWriter(Protocol):
    """Makes pixels of the sums of a block of tiles and hands them to the epilogue. `workspace` is in bytes of one chunk."""

    operand_count: int
    workspace: int

    def begin(self, function: Function, operands: Value, workspace: Value) -> None:
        """Called once, in the entry block."""

    def write(
        self, function: Function, sums: Value, tiles: TileRange, column: Operand, filters: int
    ) -> None:
        """`sums` are those of the first of these tiles at the first point; `filters` of the panel at `column` are valid."""


class TileProducts:
    """Emits the entry of operands [images, points of the filter, those of the epilogue...].

    `reader` brings tiles of the images into points. The points of the filter lie as TapTransform leaves them. `workspace` is in
    bytes of all chunks.
    """

    def __init__(
        self, module: Module, machine: Machine, problem: WinogradProblem, plan: WinogradPlan, reader: SquareReader,
        writer: PixelWriter,
    ):  # fmt: skip
        self.module, self.problem, self.plan, self.reader, self.writer = module, problem, plan, reader, writer
        self.arithmetic = PlainArithmetic(machine, dtypes.float32, dtypes.float32)
        size = dtypes.float32.size
        self.panel = plan.panel
        self.panels = math.ceil(problem.filters / self.panel)
        self.last_count = problem.filters - (self.panels - 1) * self.panel
        self.points = problem.transforms.points
        self.inputs = point_layout(plan.block_rows, problem.channels, plan.lanes, size)
        self.filter_points = filter_points(problem, plan)
        self.sums = plan.sums_layout
        ahead = plan.block * plan.unit * reader.stride**2 * problem.channels * size
        self.calls = plan.block_rows // plan.height
        self.ahead_bytes = fetched_share(ahead, self.points * self.panels * self.calls)
        self.input_bytes = self.points * self.inputs.point * size
        self.sum_bytes = self.points * self.sums.point * size
        needed = self.input_bytes + self.sum_bytes + writer.workspace
        self.chunk_workspace = math.ceil(needed / 4096) * 4096 + 512
        self.workspace = self.chunk_workspace * plan.grid[0] * plan.grid[1]

    def emit(self) -> None:
        function = begin_driver(self.module)
        if self.plan.by_region:
            each_region(function, split_regions(self.problem), self._region)
        else:
            tile_part = self._begin(function, *function.arguments)
            units = math.ceil(self.problem.tiles / self.plan.unit)
            bounds = part_of(function, tile_part, units, self.plan.grid[0])
            first, end = (function.mul(bound, self.plan.unit) for bound in bounds)
            self._blocks(one_region(self.problem)[0].walk(), first, function.minimum(end, self.problem.tiles))
        function.return_void()

    def _region(self, function: Function, operands: Value, chunk: Value, region: RegionWalk, _: Value) -> None:
        tile_part = self._begin(function, operands, chunk)
        bounds = part_of(function, tile_part, self.problem.images, self.plan.grid[0])
        each = function.mul(*region.size)
        self._blocks(region, *(function.mul(bound, each) for bound in bounds))

    def _begin(self, function: Function, operands: Value, chunk: Value) -> Operand:
        """Finds the chunk's memory and panels; returns the number of its part of the tiles."""
        plan = self.plan
        self.function, self.operands = function, operands
        self.images, self.filter = (function.load(function.offset(self.operands, i, PTR), PTR) for i in range(2))
        slot = function.load(function.offset(self.operands, FIRST_OPERAND + self.writer.operand_count, PTR), PTR)
        self.read = function.offset(slot, function.mul(chunk, self.chunk_workspace), "i8")
        self.summed = function.offset(self.read, self.input_bytes, "i8")
        self.writer.begin(function, self.operands, function.offset(self.summed, self.sum_bytes, "i8"))
        tile_part, panel_part = split_index(function, chunk, plan.grid)
        self.panel_range = part_of(function, panel_part, self.panels, plan.grid[1])
        return tile_part

    def _blocks(self, region: RegionWalk, first: Operand, end: Operand) -> None:
        """The tiles of a region from one to another, block by block."""
        function, step = self.function, self.plan.block * self.plan.unit

        def block(start: Operand, _: list[Value]) -> list[Value]:
            self._block(TileRange(region, start, function.minimum(function.sub(end, start), step)))
            return []

        function.loop(first, end, step, [], block)

    def _block(self, tiles: TileRange) -> None:
        """The last register tile may have fewer tiles, then its other rows mean nothing."""
        function, problem = self.function, self.problem
        height = self.plan.height
        register_tiles = function.udiv(function.add(tiles.count, height - 1), height)

        def read(number: Operand, tile: Sequence[Operand]) -> None:
            target = function.offset(self.read, function.mul(number, self.inputs.row), F32)
            self.reader.call(function, self.images, tile, 0, problem.channels, target, self.inputs)

        tiles.over_tiles(function, read)

        def panel(number: Operand, _: list[Value]) -> list[Value]:
            if self.last_count == self.panel:
                self._panel(number, tiles, register_tiles, self.panel)
                return []
            is_last = number == self.panels - 1 if isinstance(number, int) else function.icmp("eq", number, self.panels - 1)
            function.if_else(
                is_last,
                lambda: self._panel(number, tiles, register_tiles, self.last_count),
                lambda: self._panel(number, tiles, register_tiles, self.panel),
            )
            return []

        function.loop(*self.panel_range, 1, [], panel)

    def _panel(self, panel: Operand, tiles: TileRange, register_tiles: Operand, filters: int) -> None:
        function = self.function
        vectors = math.ceil(filters / self.plan.lanes)
        following = tiles.region.place(function, function.add(tiles.first, self.plan.block * self.plan.unit))
        upcoming = self.reader.place(function, self.images, following)
        shares = function.mul(panel, self.points * self.calls)

        def point(number: Operand) -> None:
            left = function.offset(self.read, function.mul(number, self.inputs.point), F32)
            matrix = function.add(function.mul(panel, self.points), number)
            right = function.offset(self.filter, function.mul(matrix, self.filter_points.point), F32)
            sums = function.offset(self.summed, function.mul(number, self.sums.point), F32)
            count = function.coerce(register_tiles, I64)
            share = function.add(shares, function.mul(number, self.calls))
            ahead = function.offset(upcoming, function.mul(share, self.ahead_bytes), "i8")
            function.call(f"@{self._products(vectors)}", "void", [left, right, sums, count, ahead])

        tiles.region.over_points(function, self.problem.transforms.width, point)
        self.writer.write(function, self.summed, tiles, function.mul(panel, self.panel), filters)

    def _products(self, vectors: int) -> str:
        """A function (points of tiles, of a panel, sums, register tiles, what to fetch) of one point."""
        name = f"products_{vectors}"
        if name in self.module.functions:
            return name
        arguments = [(name, "ptr noalias") for name in ("left", "right", "sums")] + [("tiles", I64), ("ahead", PTR)]
        function = begin_helper(self.module, name, arguments)
        left, right, sums, tiles, ahead = function.arguments
        height, lanes, channels = self.plan.height, self.plan.lanes, self.problem.channels

        def tile(number: Operand, _: list[Value]) -> list[Value]:
            first = function.mul(number, height)
            fetch_ahead(function, ahead, number, self.ahead_bytes)
            source = function.offset(left, function.mul(first, self.inputs.row), F32)
            lefts = LeftOperand(source, tuple(r * self.inputs.row for r in range(height)))
            offsets, align = tuple(j * lanes for j in range(vectors)), lanes * dtypes.float32.size
            rights = RightOperand(right, offsets, None, align, 0 if channels <= UNROLLED else PREFETCHED)
            nest = [DepthLoop(channels, 1, self.filter_points.row)]
            totals = zeros(self.arithmetic, height, vectors)
            unroll = channels if channels <= UNROLLED else 1
            totals = contract(function, self.arithmetic, lefts, rights, nest, totals, unroll)
            target = function.offset(sums, function.mul(first, self.sums.row), F32)
            for r, row in enumerate(totals):
                for j, value in enumerate(row):
                    function.store(value, function.offset(target, r * self.sums.row + j * lanes, F32))
            return []

        function.loop(0, tiles, 1, [], tile)
        function.return_void()
        return name
