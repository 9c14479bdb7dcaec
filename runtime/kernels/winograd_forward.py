"""Winograd's convolution: blocks of tiles become points, points are multiplied by the filter's, sums become pixels."""

from __future__ import annotations

import math

from graphc import dtypes
from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, Operand, Value
from graphc.runtime.kernel import ENTRY
from graphc.runtime.kernels.arithmetic import PlainArithmetic
from graphc.runtime.kernels.finish import FIRST_OPERAND
from graphc.runtime.kernels.indexing import part_of, split_index
from graphc.runtime.kernels.microkernel import DepthLoop, LeftOperand, RightOperand, contract, zeros
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.transpose import HELPER
from graphc.runtime.kernels.winograd import WinogradPlan, WinogradProblem, point_layout
from graphc.runtime.kernels.winograd_taps import filter_points
from graphc.runtime.kernels.winograd_tiles import SquareReader, TileWriter, fetch_ahead, fetched_share, over_tiles
from graphc.runtime.schedule.machine import Machine

UNROLLED = 16  # channels that are written out
PREFETCHED = 8  # steps of the filter ahead


class WinogradConvolution:
    """Emits the entry of operands [images, points of the filter, those of the epilogue...].

    The points of the filter lie as TapTransform leaves them. `workspace` is in bytes of all chunks.
    """

    def __init__(
        self, module: Module, machine: Machine, problem: WinogradProblem, plan: WinogradPlan, epilogue: Epilogue
    ):
        self.module, self.problem, self.plan = module, problem, plan
        self.arithmetic = PlainArithmetic(machine, dtypes.float32, dtypes.float32)
        size, tiles = dtypes.float32.size, plan.block * plan.height
        self.panel = plan.panel
        self.panels = math.ceil(problem.filters / self.panel)
        self.last_count = problem.filters - (self.panels - 1) * self.panel
        self.points = problem.transforms.points
        self.inputs = point_layout(tiles, problem.channels, plan.lanes, size)
        self.filter_points = filter_points(problem, plan)
        self.sums = point_layout(tiles, self.panel, plan.lanes, size)
        axes = (problem.rows, problem.columns)
        matrix, stride = problem.transforms.inputs, problem.transforms.outputs
        self.reader = SquareReader(module, machine, "read", matrix, axes, stride, problem.channels)
        self.writer = TileWriter(module, self.arithmetic, problem, epilogue, self.panel, self.sums)
        ahead = tiles * stride**2 * problem.channels * size
        self.ahead_bytes = fetched_share(ahead, self.points * self.panels * plan.block)
        self.operand_count = epilogue.operand_count
        self.input_bytes = self.points * self.inputs.point * size
        needed = self.input_bytes + self.points * self.sums.point * size
        self.chunk_workspace = math.ceil(needed / 4096) * 4096 + 512
        self.workspace = self.chunk_workspace * plan.grid[0] * plan.grid[1]

    def emit(self) -> None:
        function = self.function = Function(self.module, ENTRY, [("operands", PTR), ("chunk", I64)])
        plan = self.plan
        self.operands, chunk = function.arguments
        self.images, self.filter = (function.load(function.offset(self.operands, i, PTR), PTR) for i in range(2))
        self.writer.begin(function)
        slot = function.load(function.offset(self.operands, FIRST_OPERAND + self.operand_count, PTR), PTR)
        self.read = function.offset(slot, function.mul(chunk, self.chunk_workspace), "i8")
        self.summed = function.offset(self.read, self.input_bytes, "i8")
        tile_part, panel_part = split_index(function, chunk, plan.grid)
        self.panel_range = part_of(function, panel_part, self.panels, plan.grid[1])
        first, end = part_of(function, tile_part, math.ceil(self.problem.tiles / plan.height), plan.grid[0])

        def block(start: Operand, _: list[Value]) -> list[Value]:
            self._block(start, function.minimum(function.sub(end, start), plan.block))
            return []

        function.loop(first, end, plan.block, [], block)
        function.return_void()

    def _block(self, start: Operand, register_tiles: Operand) -> None:
        """Some register tiles; the last one of all may have fewer tiles of the image, then its other rows mean nothing."""
        function, height, problem = self.function, self.plan.height, self.problem
        first = function.mul(start, height)
        count = function.minimum(function.mul(register_tiles, height), function.sub(problem.tiles, first))

        def read(number: Operand, tile: tuple[Operand, ...]) -> None:
            target = function.offset(self.read, function.mul(number, self.inputs.row), F32)
            self.reader.call(function, self.images, tile, 0, problem.channels, target, self.inputs)

        over_tiles(function, problem, first, count, read)

        def panel(number: Operand, _: list[Value]) -> list[Value]:
            if self.last_count == self.panel:
                self._panel(number, first, count, register_tiles, self.panel)
                return []
            is_last = number == self.panels - 1 if isinstance(number, int) else function.icmp("eq", number, self.panels - 1)
            function.if_else(
                is_last,
                lambda: self._panel(number, first, count, register_tiles, self.last_count),
                lambda: self._panel(number, first, count, register_tiles, self.panel),
            )
            return []

        function.loop(*self.panel_range, 1, [], panel)

    def _panel(self, panel: Operand, first: Operand, count: Operand, register_tiles: Operand, filters: int) -> None:
        function = self.function
        vectors = math.ceil(filters / self.plan.lanes)
        following = split_index(function, function.add(first, self.plan.block * self.plan.height), self.problem.tile_grid)
        upcoming = self.reader.place(function, self.images, tuple(following))
        shares = function.mul(panel, self.points * self.plan.block)

        def point(number: Operand, _: list[Value]) -> list[Value]:
            left = function.offset(self.read, function.mul(number, self.inputs.point), F32)
            matrix = function.add(function.mul(panel, self.points), number)
            right = function.offset(self.filter, function.mul(matrix, self.filter_points.point), F32)
            sums = function.offset(self.summed, function.mul(number, self.sums.point), F32)
            tiles = function.coerce(register_tiles, I64)
            share = function.add(shares, function.mul(number, self.plan.block))
            ahead = function.offset(upcoming, function.mul(share, self.ahead_bytes), "i8")
            function.call(f"@{self._products(vectors)}", "void", [left, right, sums, tiles, ahead])
            return []

        function.loop(0, self.points, 1, [], point)

        def write(number: Operand, tile: tuple[Operand, ...]) -> None:
            sums = function.offset(self.summed, function.mul(number, self.sums.row), F32)
            self.writer.call(function, sums, tile, function.mul(panel, self.panel), filters, self.operands)

        over_tiles(function, self.problem, first, count, write)

    def _products(self, vectors: int) -> str:
        """A function (points of tiles, of a panel, sums, register tiles, what to fetch) of one point."""
        name = f"products_{vectors}"
        if name in self.module.functions:
            return name
        arguments = [(name, "ptr noalias") for name in ("left", "right", "sums")] + [("tiles", I64), ("ahead", PTR)]
        function = Function(self.module, name, arguments, **HELPER)
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
