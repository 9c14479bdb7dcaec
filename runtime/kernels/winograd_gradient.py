"""The gradient of a filter by Winograd's tiles: for every point a product of channels by tiles with tiles by filters.

    gradient = G^T [sum over tiles of (B^T images B) * (A gradient of the result A^T)] G

The sums of a group of tiles are one kernel's, which the next one adds up, turns into taps and hands to the epilogue.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphc import dtypes
from graphc.runtime.emit.entry import begin_driver, begin_helper
from graphc.runtime.emit.function import F32, I1, I64, PTR, Function, Module, Operand, Value
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.finish import INLINE_LINES, Block, Finish, emit_in_registers, epilogue_lines
from graphc.runtime.kernels.indexing import part_of, split_index
from graphc.runtime.kernels.microkernel import DepthLoop, LeftOperand, RightOperand, contract
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.winograd import WinogradProblem, choose_run, point_layout, result_axes
from graphc.runtime.kernels.winograd_gradient_plan import FilterTilesPlan
from graphc.runtime.kernels.winograd_regions import RegionWalk, TileRange, each_region
from graphc.runtime.kernels.winograd_tiles import (
    SquareReader,
    each_vector,
    fetch_ahead,
    fetched_share,
    load_points,
)
from graphc.runtime.kernels.winograd_transforms import TAPS, Square, transform_square
from graphc.runtime.schedule.machine import Machine

PREFETCHED = 8  # steps of the result's gradient ahead
SERIAL_BYTES = 1 << 16


class FilterTiles:
    """What both kernels share: how the sums of a group lie, and the panels of filters."""

    def __init__(self, module: Module, machine: Machine, problem: WinogradProblem, plan: FilterTilesPlan):
        self.module, self.machine, self.problem, self.plan = module, machine, problem, plan
        self.arithmetic = PlainArithmetic(machine, dtypes.float32, dtypes.float32)
        self.points = problem.transforms.points
        self.panels = math.ceil(problem.filters / plan.panel)
        self.last_count = problem.filters - (self.panels - 1) * plan.panel
        self.sums = point_layout(problem.channels, self.panels * plan.panel, plan.lanes, dtypes.float32.size)
        self.group_bytes = self.points * self.sums.point * dtypes.float32.size

    def by_panel(self, function: Function, panel: Operand, body: Callable[[int], None]) -> None:
        """body(filters that the panel has)."""
        runs = [(self.panels - 1, self.plan.panel)] if self.panels > 1 else []
        if self.last_count == self.plan.panel:
            runs = []
        choose_run(function, panel, [*runs, (self.panels, self.last_count)], body)


class TileSums(FilterTiles):
    """Emits the entry of operands [images, gradient of the result, sums of all groups]."""

    def __init__(self, module: Module, machine: Machine, problem: WinogradProblem, plan: FilterTilesPlan):
        super().__init__(module, machine, problem, plan)
        m, size = problem.transforms.outputs, dtypes.float32.size
        p, matrices = problem, problem.transforms
        results = result_axes(p.rows, p.columns)
        self.left = point_layout(plan.block, p.channels, plan.lanes, size)
        self.right = point_layout(plan.block, self.panels * plan.panel, plan.lanes, size)
        self.images = SquareReader(module, machine, "images", matrices.inputs, (p.rows, p.columns), m, p.channels)
        self.results = SquareReader(module, machine, "results", matrices.results_turned, results, m, p.filters)
        calls = self.points * self.panels * plan.pieces.count
        self.image_share = fetched_share(plan.block * m * m * p.channels * size, calls)
        self.result_share = fetched_share(plan.block * m * m * p.filters * size, calls)
        self.left_bytes = self.points * self.left.point * size
        self.chunk_workspace = math.ceil((self.left_bytes + self.points * self.right.point * size) / 4096) * 4096 + 512
        self.chunks = plan.groups * plan.panel_parts
        self.workspace = self.chunk_workspace * self.chunks

    def emit(self) -> None:
        function = begin_driver(self.module)
        regions = self.plan.regions(self.problem)
        if len(regions) > 1:
            each_region(function, regions, self._region)
        else:
            group = self._begin(function, *function.arguments)
            self._blocks(regions[0].walk(), *part_of(function, group, self.problem.tiles, self.plan.groups), True)
        function.return_void()

    def _region(self, function: Function, operands: Value, chunk: Value, region: RegionWalk, begins: Value) -> None:
        group = self._begin(function, operands, chunk)
        bounds = part_of(function, group, self.problem.images, self.plan.groups)
        each = function.mul(*region.size)
        first, end = (function.mul(bound, each) for bound in bounds)
        self._blocks(region, first, end, begins)

    def _begin(self, function: Function, operands: Value, chunk: Value) -> Operand:
        """Finds the chunk's memory and panels; returns the number of its group."""
        self.function = function
        pointers = [function.load(function.offset(operands, i, PTR), PTR) for i in range(4)]
        self.image, self.gradient, sums, workspace = pointers
        self.lefts = function.offset(workspace, function.mul(chunk, self.chunk_workspace), "i8")
        self.rights = function.offset(self.lefts, self.left_bytes, "i8")
        group, part = split_index(function, chunk, (self.plan.groups, self.plan.panel_parts))
        self.group_sums = function.offset(sums, function.mul(group, self.group_bytes), "i8")
        self.panel_range = part_of(function, part, self.panels, self.plan.panel_parts)
        return group

    def _blocks(self, region: RegionWalk, first: Operand, end: Operand, begins: Value | bool) -> None:
        """The tiles of a region from one to another, block by block; the first region `begins` all sums."""
        function = self.function

        def block(start: Operand, _: list[Value]) -> list[Value]:
            tiles = TileRange(region, start, function.minimum(function.sub(end, start), self.plan.block))
            self._read(tiles)
            self._products(tiles, function.bit_and(function.icmp("eq", start, first), function.coerce(begins, I1)))
            return []

        function.loop(first, end, self.plan.block, [], block)

    def _read(self, tiles: TileRange) -> None:
        function, plan = self.function, self.plan

        def read(number: Operand, tile: Sequence[Operand]) -> None:
            left = function.offset(self.lefts, function.mul(number, self.left.row), F32)
            self.images.call(function, self.image, tile, 0, self.problem.channels, left, self.left)

            def panel(index: Operand, _: list[Value]) -> list[Value]:
                column = function.mul(index, plan.panel)
                at = function.add(function.mul(number, self.right.row), column)
                right = function.offset(self.rights, at, F32)
                self.by_panel(
                    function,
                    index,
                    lambda filters: self.results.call(function, self.gradient, tile, column, filters, right, self.right),
                )
                return []

            function.loop(*self.panel_range, 1, [], panel)

        tiles.over_tiles(function, read)

    def _products(self, tiles: TileRange, is_first: Value) -> None:
        function, plan = self.function, self.plan
        following = tiles.region.place(function, function.add(tiles.first, plan.block))
        image = self.images.place(function, self.image, following)
        gradient = self.results.place(function, self.gradient, following)
        runs = [(plan.pieces.taller, plan.pieces.low + 1)] if plan.pieces.taller else []
        runs.append((plan.pieces.count, plan.pieces.low))

        def at(point: Operand, panel: Operand, piece: Operand) -> None:
            channel = function.add(function.mul(piece, plan.pieces.low), function.minimum(piece, plan.pieces.taller))
            column = function.mul(panel, plan.panel)
            left = function.offset(self.lefts, function.add(function.mul(point, self.left.point), channel), F32)
            right = function.offset(self.rights, function.add(function.mul(point, self.right.point), column), F32)
            place = function.add(function.mul(channel, self.sums.row), column)
            sums = function.offset(self.group_sums, function.add(function.mul(point, self.sums.point), place), F32)
            number = function.add(function.mul(point, self.panels), panel)
            number = function.add(function.mul(number, plan.pieces.count), piece)
            numbers = [function.coerce(tiles.count, I64), is_first, function.coerce(number, I64)]

            def run(height: int, filters: int) -> None:
                name = self._tile_function(height, math.ceil(filters / plan.lanes))
                function.call(f"@{name}", "void", [left, right, sums, *numbers, image, gradient])

            self.by_panel(
                function, panel, lambda filters: choose_run(function, piece, runs, lambda height: run(height, filters))
            )

        def each_point(point: Operand) -> None:
            def panel_loop(panel: Operand, _: list[Value]) -> list[Value]:
                def piece_loop(piece: Operand, _: list[Value]) -> list[Value]:
                    at(point, panel, piece)
                    return []

                function.loop(0, plan.pieces.count, 1, [], piece_loop)
                return []

            function.loop(*self.panel_range, 1, [], panel_loop)

        tiles.region.over_points(function, self.problem.transforms.width, each_point)

    def _tile_function(self, height: int, vectors: int) -> str:
        """A function that adds a block's products to one register tile of sums, or begins them."""
        name = f"products_{height}x{vectors}"
        if name in self.module.functions:
            return name
        arguments = [(name, "ptr noalias") for name in ("left", "right", "sums")]
        arguments += [("tiles", I64), ("first", I1), ("number", I64), ("image", PTR), ("gradient", PTR)]
        function = begin_helper(self.module, name, arguments)
        left, right, sums, tiles, first, number, image, gradient = function.arguments
        fetch_ahead(function, image, number, self.image_share)
        fetch_ahead(function, gradient, number, self.result_share)
        lanes, type_ = self.plan.lanes, vector_of(dtypes.float32, self.plan.lanes)
        places = [
            [function.offset(sums, r * self.sums.row + j * lanes, F32) for j in range(vectors)] for r in range(height)
        ]
        before, load, start = function.block, function.fresh_label("load"), function.fresh_label("start")
        function.branch_if(first, start, load)
        function.place_label(load)
        loaded = [[function.load(place, type_) for place in row] for row in places]
        function.branch(start)
        function.place_label(start)
        totals = [[function.phi(type_, (0, before), (value, load)) for value in row] for row in loaded]
        lefts = LeftOperand(left, tuple(range(height)))
        rights = RightOperand(right, tuple(j * lanes for j in range(vectors)), prefetch=PREFETCHED)
        nest = [DepthLoop(tiles, self.left.row, self.right.row)]
        totals = contract(function, self.arithmetic, lefts, rights, nest, totals)
        for row, values in zip(places, totals):
            for place, value in zip(row, values):
                function.store(value, place)
        function.return_void()
        return name


class TapSums(FilterTiles):
    """Emits the entry of operands [sums of all groups, (unused), those of the epilogue...]."""

    def __init__(
        self, module: Module, machine: Machine, problem: WinogradProblem, plan: FilterTilesPlan, epilogue: Epilogue,
        threads: int,
    ):  # fmt: skip
        super().__init__(module, machine, problem, plan)
        self.epilogue = epilogue
        self.finish = Finish(module, self.arithmetic, epilogue, plan.panel)
        kinds = 2 if problem.filters % plan.lanes else 1
        self.in_registers = epilogue_lines(epilogue, self.arithmetic, 0) * TAPS**2 * kinds <= INLINE_LINES
        units = problem.channels * self.panels
        parallel = threads > 1 and plan.groups * self.group_bytes > SERIAL_BYTES
        self.chunks = min(units, 4 * threads, MAXIMUM_CHUNKS) if parallel else 1

    def emit(self) -> None:
        function = self.function = begin_driver(self.module)
        operands, chunk = function.arguments
        sums = function.load(operands, PTR)
        if not self.in_registers:
            self.taps = function.allocate(vector_of(dtypes.float32, self.plan.lanes), TAPS**2 * self.plan.vectors)

        def unit(number: Operand, _: list[Value]) -> list[Value]:
            channel, panel = function.udiv(number, self.panels), function.urem(number, self.panels)
            column = function.mul(panel, self.plan.panel)
            place = function.offset(sums, function.add(function.mul(channel, self.sums.row), column), F32)
            self.by_panel(function, panel, lambda filters: self._unit(place, channel, column, filters, operands))
            return []

        function.loop(*part_of(function, chunk, self.problem.channels * self.panels, self.chunks), 1, [], unit)
        function.return_void()

    def _unit(self, place: Value, channel: Operand, column: Operand, filters: int, operands: Value) -> None:
        function, lanes, channels = self.function, self.plan.lanes, self.problem.channels
        name = self._function(filters)
        row = function.coerce(channel, I64)
        if self.in_registers:
            function.call(f"@{name}", "void", [place, operands, row, function.coerce(column, I64)])
            return
        function.call(f"@{name}", "void", [place, self.taps])
        vectors = math.ceil(filters / lanes)
        pitch = (TAPS**2, channels, 0)
        block = Block(self.taps, row, column, TAPS**2, vectors, filters - (vectors - 1) * lanes, pitch)
        self.finish.call(function, block, operands, ())

    def _function(self, filters: int) -> str:
        """A function (sums of a channel and panel, operands, channel, column), or (sums, taps)."""
        name = f"taps_{filters}"
        if name in self.module.functions:
            return name
        names = [("sums", "ptr noalias")]
        names += [("operands", PTR), ("row", I64), ("column", I64)] if self.in_registers else [("taps", "ptr noalias")]
        function = begin_helper(self.module, name, names)
        sums, target = function.arguments[:2]
        transforms, lanes = self.problem.transforms, self.plan.lanes

        def vector(f: Operand, valid: int) -> None:
            start = function.offset(sums, f, F32)
            total = load_points(function, transforms.width, start, self.sums.point, lanes)
            for group in range(1, self.plan.groups):
                other = function.offset(start, group * self.group_bytes, "i8")
                total = _added(function, total, load_points(function, transforms.width, other, self.sums.point, lanes))
            taps = transform_square(function, transforms.taps_turned, total, self.machine.has_fma)
            values = [value for row in taps for value in row if value is not None]
            if not self.in_registers:
                for tap, value in enumerate(values):
                    function.store(value, function.offset(function.offset(target, f, F32), tap * self.plan.panel, F32))
                return
            row, column = function.arguments[2:]
            offsets = [tap * self.problem.channels for tap in range(TAPS**2)]
            emit_in_registers(
                function, self.arithmetic, self.epilogue, [[v] for v in values], row, function.add(column, f), valid, (),
                target, offsets,
            )  # fmt: skip

        each_vector(function, filters, lanes, vector)
        function.return_void()
        return name


def _added(function: Function, a: Square, b: Square) -> Square:
    return [[function.fadd(x, y) for x, y in zip(*rows) if x is not None and y is not None] for rows in zip(a, b)]
