"""The loops of a matrix product around its tile functions: blocks of panels, of k and of rows, panels, tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.runtime.emit.entry import begin_driver
from graphc.runtime.emit.function import I1, I64, PTR, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernels.amx import MatrixTiles
from graphc.runtime.kernels.arithmetic import vector_of
from graphc.runtime.kernels.contraction import Contraction, Side
from graphc.runtime.kernels.finish import FIRST_OPERAND, Block, Finish
from graphc.runtime.kernels.gemm_packing import PanelPacking, TilePacking
from graphc.runtime.kernels.gemm_plan import Plan, packed_tile
from graphc.runtime.kernels.gemm_prepacking import packed_elements
from graphc.runtime.kernels.gemm_tile import TileCall, TileFunctions, TileShape
from graphc.runtime.kernels.indexing import part_of, split_index
from graphc.runtime.kernels.tile import Epilogue


class GemmEntry:
    """The loops of one chunk around the tile functions."""

    def __init__(
        self, module: Module, contraction: Contraction, plan: Plan, tiles: TileFunctions | MatrixTiles, epilogue: Epilogue
    ):
        """The functions that packing calls must be in the module already."""
        self.contraction, self.plan, self.tiles, self.module = contraction, plan, tiles, module
        self.function = begin_driver(module)
        self.total = register_element(tiles.arithmetic.total)
        self.operand_count = epilogue.operand_count
        self.k: Operand = 0
        self.steps: Operand = plan.depth
        self.block_tile: Operand = 0
        self.finish = Finish(module, tiles.arithmetic, epilogue, plan.panel, plan.turned)
        self.prepacked = plan.right_packing == "prepacked"

    def emit(self) -> None:
        function, plan, tiles = self.function, self.plan, self.tiles
        operands, chunk = function.arguments
        pointers = [function.load(function.offset(operands, i, PTR), PTR) for i in range(2)]
        bases = [pointers[plan.left.operand], pointers[plan.right.operand]]
        self.operands = operands
        self._workspaces(chunk)
        if tiles.keeps_sums and plan.depth_blocks == 1:
            count = plan.sums_slot // plan.lanes
            self.partial = function.allocate(vector_of(tiles.arithmetic.total, plan.lanes), count)
        batch_part, tile_part, panel_part = split_index(function, chunk, plan.grid)
        self.tile_range = part_of(function, tile_part, plan.tiles.count, plan.grid[1])
        self.panel_range = part_of(function, panel_part, plan.panels, plan.grid[2])
        first, end = part_of(function, batch_part, self.contraction.batches, plan.grid[0])

        def one_batch(number: Operand, _: list[Value]) -> list[Value]:
            self.batch = split_index(function, number, self.contraction.batch)
            self._find_operands(bases)
            self.following = self._following(bases, number, end)
            self._panel_blocks()
            return []

        tiles.begin(function)
        function.loop(first, end, 1, [], one_batch)
        tiles.end(function)
        function.return_void()

    def _find_operands(self, bases: list[Value]) -> None:
        self.left = self._moved(bases[0], self.plan.left)
        self.right = self._panels_of_batch(bases[1]) if self.prepacked else self._moved(bases[1], self.plan.right)

    def _enter_term(self, number: Operand) -> None:
        """The operands of a term: the first ones lead, the others follow what the epilogue asks for."""
        function, plan = self.function, self.plan
        number = function.coerce(number, I64)
        behind = function.add(function.mul(number, 2), FIRST_OPERAND + self.operand_count - 2)
        is_first = function.icmp("eq", number, 0)
        places = [function.select(is_first, constant(i, I64), function.add(behind, i)) for i in (0, 1)]
        pointers = [function.load(function.offset(self.operands, place, PTR), PTR) for place in places]
        self._find_operands([pointers[plan.left.operand], pointers[plan.right.operand]])

    def _workspaces(self, chunk: Value) -> None:
        function, plan = self.function, self.plan
        self.packed_right = self.packed_left = self.partial = constant(0, PTR)
        if not plan.workspace:
            return
        slot = FIRST_OPERAND + self.operand_count + 2 * (self.contraction.terms - 1)
        workspace = function.load(function.offset(self.operands, slot, PTR), PTR)
        workspace = function.offset(workspace, function.mul(chunk, plan.workspace), "i8")
        self.packed_right = workspace
        self.packed_left = function.offset(workspace, plan.right_workspace, "i8")
        self.partial = function.offset(workspace, plan.right_workspace + plan.left_workspace, "i8")

    def _following(self, bases: list[Value], number: Operand, end: Operand) -> list[Value]:
        """Where the operands of the next batch lie that are fetched meanwhile."""
        parts, function = self.tiles.fetches.batch_parts, self.function
        if not parts:
            return []
        number = function.minimum(function.add(number, 1), function.sub(end, 1))
        batch = split_index(function, number, self.contraction.batch)
        return [self._moved(bases[part.side is self.plan.right], part.side, batch) for part in parts]

    def _moved(self, base: Value, side: Side, batch: list[Operand] | None = None) -> Value:
        function = self.function
        at: Operand = 0
        for index, stride in zip(batch or self.batch, side.batch):
            at = function.add(at, function.mul(index, stride))
        return function.offset(base, at, memory_element(side.dtype))

    def _panels_of_batch(self, base: Value) -> Value:
        """The operand that was packed beforehand, matrix after matrix, where it moves along a batch dimension."""
        function = self.function
        number: Operand = 0
        for index, size, stride in zip(self.batch, self.contraction.batch, self.plan.right.batch):
            number = function.add(function.mul(number, size), index) if stride and size > 1 else number
        return function.offset(base, function.mul(number, packed_elements(self.plan)), self.total)

    def _blocks(self, first: Operand, end: Operand, step: int, body: Callable[[Operand, Operand], None]) -> None:
        """Calls body(from, to) for every block; a block that holds everything is no loop."""
        function = self.function

        def block(start: Operand, _: list[Value]) -> list[Value]:
            body(start, function.minimum(function.add(start, step), end))
            return []

        function.loop(first, end, step, [], block)

    def _panel_blocks(self) -> None:
        plan = self.plan
        self.left_once = plan.depth_blocks == 1 and plan.row_block >= -(-plan.tiles.count // plan.grid[1])
        if self.left_once and plan.left_packing != "direct":
            self.block_tile = self.tile_range[0]
            self._pack_tiles(*self.tile_range)
        largest = -(-plan.panels // plan.grid[2])
        if plan.panel_block >= largest:
            self._depth_blocks(*self.panel_range)
        else:
            self._blocks(*self.panel_range, plan.panel_block, self._depth_blocks)

    def _depth_blocks(self, first_panel: Operand, end_panel: Operand) -> None:
        function, plan = self.function, self.plan
        self.panel_block = (first_panel, end_panel)

        def block(number: Operand, _: list[Value]) -> list[Value]:
            self.k = function.mul(number, plan.depth_block)
            self.steps = function.minimum(function.sub(plan.depth, self.k), plan.depth_block)
            if self.contraction.terms > 1:
                self.k, self.steps = 0, plan.depth_block
                self._enter_term(number)
            self.first_block = self._equal(number, 0)
            self.final_block = self._equal(number, plan.depth_blocks - 1)
            self._row_blocks()
            return []

        function.loop(0, plan.depth_blocks, 1, [], block)

    def _row_blocks(self) -> None:
        function, plan = self.function, self.plan
        if plan.right_packing == "packed":
            function.loop(*self.panel_block, 1, [], self._pack_panel)
        if plan.row_block >= -(-plan.tiles.count // plan.grid[1]):
            self._sweep(*self.tile_range)
        else:
            self._blocks(*self.tile_range, plan.row_block, self._sweep)

    def _sweep(self, first_tile: Operand, end_tile: Operand) -> None:
        """All tiles of a block of rows, panel after panel."""
        function = self.function
        self.block_tile, self.sweep_range = first_tile, (first_tile, end_tile)
        if self.plan.left_packing != "direct" and not self.left_once:
            self._pack_tiles(first_tile, end_tile)

        def panel(j: Operand, _: list[Value]) -> list[Value]:
            def tile(t: Operand, _: list[Value]) -> list[Value]:
                self._choose_packing(t, j)
                return []

            function.loop(first_tile, end_tile, 1, [], tile)
            return []

        function.loop(*self.panel_block, 1, [], panel)

    # -- addresses

    def _row(self, tile: Operand) -> Operand:
        function, tiles = self.function, self.plan.tiles
        start = function.mul(tile, tiles.low)
        return function.add(start, function.minimum(tile, tiles.taller)) if tiles.taller else start

    def _left_source(self, tile: Operand) -> Value:
        function, side = self.function, self.plan.left
        at = function.add(function.mul(self._row(tile), side.stride), function.mul(self.k, side.depth_stride))
        return function.offset(self.left, at, memory_element(side.dtype))

    def _right_source(self, panel: Operand) -> Value:
        function, side = self.function, self.plan.right
        column = function.mul(panel, self.plan.panel)
        at = function.add(function.mul(column, side.stride), function.mul(self.k, side.depth_stride))
        return function.offset(self.right, at, memory_element(side.dtype))

    def _panel_slot(self, panel: Operand) -> Value:
        function, plan = self.function, self.plan
        if self.prepacked:
            whole = replace(plan, depth_block=plan.depth).panel_slot
            at = function.add(function.mul(panel, whole), function.mul(self.k, plan.panel))
            return function.offset(self.right, at, self.total)
        at = function.mul(function.sub(panel, self.panel_block[0]), plan.panel_slot)
        return function.offset(self.packed_right, at, self.total)

    def _next(self, tile: Operand, panel: Operand) -> tuple[Operand, Operand]:
        """The tile and panel that come next in a sweep."""
        function, (first, end) = self.function, self.sweep_range
        following = function.add(tile, 1)
        if isinstance(following, int) and isinstance(end, int):
            return (following, panel) if following < end else (first, function.add(panel, 1))
        is_last = function.icmp("eq", following, end)
        step = function.select(is_last, constant(1, I64), constant(0, I64))
        return function.select(is_last, function.coerce(first, I64), function.coerce(following, I64)), function.add(panel, step)

    def _following_share(self, number: int, tile: Operand, panel: Operand, next_tile: Operand) -> Value:
        """Where begins what a tile fetches: of the next batch's operand, or of its own, for the next tile."""
        function, part = self.function, self.tiles.fetches.following[number]
        if part is self.tiles.fetches.tile_part:
            return self._left_source(next_tile)
        at = function.mul(function.add(function.mul(panel, self.plan.tiles.count), tile), part.step)
        return function.offset(self.following[number], at, memory_element(part.side.dtype))

    def _tile_slot(self, tile: Operand) -> Value:
        function, plan = self.function, self.plan
        size = packed_tile(plan.left_packing, plan.left_stride, plan.tiles, plan.depth_block)
        at = function.mul(function.sub(tile, self.block_tile), size)
        return function.offset(self.packed_left, at, self.total)

    def _sums_slot(self, tile: Operand, panel: Operand) -> Value:
        function, plan = self.function, self.plan
        if plan.depth_blocks == 1:
            return self.partial
        at = function.mul(function.sub(tile, self.tile_range[0]), plan.panel_block)
        at = function.add(at, function.sub(panel, self.panel_block[0]))
        return function.offset(self.partial, function.mul(at, plan.sums_slot), self.total)

    # -- calls

    def _pack_panel(self, panel: Operand, _: list[Value]) -> list[Value]:
        function = self.function
        last = function.coerce(self._equal(panel, self.plan.panels - 1), I1)
        steps = function.coerce(self.steps, I64)
        arguments = [self._right_source(panel), self._panel_slot(panel), steps, last]
        function.call(f"@{PanelPacking.name}", "void", arguments)
        return []

    def _pack_tiles(self, first: Operand, end: Operand) -> None:
        """Packs the left side of some tiles, the tall ones of them first."""
        function, tiles = self.function, self.plan.tiles
        count = function.sub(end, first)
        tall: Operand = 0
        if tiles.taller:
            tall = function.minimum(function.maximum(function.sub(tiles.taller, first), 0), count)
        numbers = [function.coerce(n, I64) for n in (self.steps, tall, function.sub(count, tall))]
        arguments = [self._left_source(first), self._tile_slot(first), *numbers]
        function.call(f"@{TilePacking.name}", "void", arguments)

    def _choose_packing(self, tile: Operand, panel: Operand) -> None:
        if self.plan.right_packing != "fused":
            self._choose_height(tile, panel, False)
            return
        first = self.tile_range[0]
        self.function.if_else(
            self._equal(tile, first),
            lambda: self._choose_height(first if isinstance(first, int) else tile, panel, True),
            lambda: self._choose_height(tile, panel, False),
        )

    def _choose_height(self, tile: Operand, panel: Operand, packing: bool) -> None:
        tiles = self.plan.tiles
        if not tiles.taller:
            self._choose_panel(tile, panel, TileShape(tiles.low, False, packing))
            return
        is_tall = tile < tiles.taller if isinstance(tile, int) else self.function.icmp("slt", tile, tiles.taller)
        self.function.if_else(
            is_tall,
            lambda: self._choose_panel(tile, panel, TileShape(tiles.low + 1, False, packing)),
            lambda: self._choose_panel(tile, panel, TileShape(tiles.low, False, packing)),
        )

    def _choose_panel(self, tile: Operand, panel: Operand, shape: TileShape) -> None:
        if not self.plan.uneven:
            self._call(tile, panel, shape)
            return
        self.function.if_else(
            self._equal(panel, self.plan.panels - 1),
            lambda: self._call(tile, panel, replace(shape, last=True)),
            lambda: self._call(tile, panel, shape),
        )

    def _equal(self, a: Operand, b: Operand) -> Value | bool:
        return a == b if isinstance(a, int) and isinstance(b, int) else self.function.icmp("eq", a, b)

    def _call(self, tile: Operand, panel: Operand, shape: TileShape) -> None:
        function, plan = self.function, self.plan
        packed_left = plan.left_packing != "direct"
        in_place = plan.right_packing == "direct" or shape.packing
        next_tile, next_panel = self._next(tile, panel)
        call = TileCall(
            left=self._tile_slot(tile) if packed_left else self._left_source(tile),
            right=self._right_source(panel) if in_place else self._panel_slot(panel),
            row=self._row(tile),
            column=function.mul(panel, plan.panel),
            packed=self._panel_slot(panel) if shape.packing else None,
            sums=self._sums_slot(tile, panel) if self.tiles.keeps_sums else None,
            depth=self.steps,
            first=self.first_block,
            final=self.final_block,
            next_row=self._row(next_tile),
            next_column=function.mul(next_panel, plan.panel),
            following=[self._following_share(i, tile, panel, next_tile) for i in range(len(self.tiles.fetches.following))],
        )
        self.tiles.call(function, shape, self.operands, self.batch, call)
        if self.tiles.epilogue is not None or call.sums is None or call.final is False:
            return
        vectors, lanes = (plan.last_vectors, plan.last_lanes) if shape.last else (plan.vectors, plan.lanes)
        block = Block(call.sums, call.row, call.column, shape.height, vectors, lanes)
        with function.when(call.final):
            self.finish.call(function, block, self.operands, self.batch)
