"""The gradient of a convolution's filter: for every tap a product of pixels by channels, summed over pixels.

Rows of a register tile are channels of one tap, or neighbouring taps where there are few channels; the nest runs over
images, lines and columns of the result. Lines and columns for which a tap falls outside the image are left out; where taps
share a tile, the images are copied with zeros around them. Sums stay in memory from block to block of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.runtime.emit.entry import begin_driver, begin_helper
from graphc.runtime.emit.function import I1, I64, PTR, Module, Operand, Value
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.convolution import Axis, Convolution
from graphc.runtime.kernels.convolution_direct import emit_line_copy
from graphc.runtime.kernels.convolution_gradient_plan import FilterGradientPlan, blocks_of_taps, tile_count
from graphc.runtime.kernels.finish import FIRST_OPERAND, Block, Finish
from graphc.runtime.kernels.indexing import part_of, split_index
from graphc.runtime.kernels.microkernel import DepthLoop, LeftOperand, RightOperand, contract, lane_mask, zeros
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.windows import valid_outputs
from graphc.runtime.schedule.machine import Machine


class FilterGradient:
    """Emits the entry of operands [images, gradient of the result, ...] or, in several groups, that of two kernels:

    [images, gradient of the result, sums] and [sums, (unused), those of the epilogue...].
    """

    def __init__(
        self, module: Module, convolution: Convolution, machine: Machine, plan: FilterGradientPlan, epilogue: Epilogue
    ):
        c = self.convolution = convolution
        self.module, self.plan = module, plan
        self.plain = PlainArithmetic(machine, c.dtype, c.dtype)
        self.copied = plan.runs and any(axis.padded for axis in (c.rows, c.columns))
        self.arithmetic = self.plain.packed(left=self.copied, right=False)
        self.panel = plan.vectors * plan.lanes
        self.panels = math.ceil(c.filters / self.panel)
        rest = c.filters - (self.panels - 1) * self.panel
        self.last_vectors = math.ceil(rest / plan.lanes)
        self.last_lanes = rest - (self.last_vectors - 1) * plan.lanes
        self.tiles = tile_count(c, plan.tap_lines, plan.pieces, plan.runs)
        self.finish = Finish(module, self.arithmetic, epilogue, self.panel)
        self.operand_count = epilogue.operand_count
        self.before = (c.rows.before, c.columns.before) if self.copied else (0, 0)
        width = c.width + c.columns.before + c.columns.after if self.copied else c.width
        self.height = c.height + c.rows.before + c.rows.after if self.copied else c.height
        self.line = width * c.channels
        copies = plan.image_block * self.height * self.line * self.arithmetic.total.size if self.copied else 0
        self.copy_bytes = math.ceil(copies / 4096) * 4096
        self.slot = plan.pieces.highest * plan.tap_lines * self.panel
        self.group_bytes = self.tiles * self.panels * self.slot * self.arithmetic.total.size
        self.chunks = plan.groups * plan.grid[0] * plan.grid[1]
        sums = self.group_bytes if plan.groups == 1 else 0
        self.workspace = sums + self.chunks * self.copy_bytes

    def emit_products(self) -> None:
        function = self.function = begin_driver(self.module)
        plan, c = self.plan, self.convolution
        self.operands, chunk = function.arguments
        self.image, self.gradient = (function.load(function.offset(self.operands, i, PTR), PTR) for i in range(2))
        group, tile_part, panel_part = split_index(function, chunk, (plan.groups, *plan.grid))
        self.tile_range = part_of(function, tile_part, self.tiles, plan.grid[0])
        self.panel_range = part_of(function, panel_part, self.panels, plan.grid[1])
        self._memory(chunk, group)
        images: tuple[Operand, Operand] = (0, c.images)
        lines: tuple[Operand, Operand] = (0, c.result_height)
        if c.images > 1:
            images = part_of(function, group, c.images, plan.groups)
        else:
            lines = part_of(function, group, c.result_height, plan.groups)
        self._pixel_blocks(images, lines)
        function.return_void()

    def emit_sum_of_groups(self) -> None:
        """The second kernel: the sums of all groups, in their order, then the epilogue."""
        function = self.function = begin_driver(self.module)
        self.operands = function.arguments[0]
        self.sums = function.load(self.operands, PTR)
        self.tile_range, self.panel_range = (0, self.tiles), (0, self.panels)
        lanes, element = self.plan.lanes, register_element(self.arithmetic.total)
        type_ = vector_of(self.arithmetic.total, lanes)

        def add(i: Operand, _: list[Value]) -> list[Value]:
            first = function.offset(self.sums, i, element)
            total = function.load(first, type_)
            for group in range(1, self.plan.groups):
                other = function.load(function.offset(first, group * self.tiles * self.panels * self.slot, element), type_)
                total = function.binary("fadd", total, other)
            function.store(total, first)
            return []

        function.loop(0, self.tiles * self.panels * self.slot, lanes, [], add)
        self._over_tiles(self._finish_tile)
        function.return_void()

    def _memory(self, chunk: Value, group: Operand) -> None:
        function, plan = self.function, self.plan
        workspace = None
        if self.workspace:
            own = self.operand_count if plan.groups == 1 else 1
            workspace = function.load(function.offset(self.operands, FIRST_OPERAND + own, PTR), PTR)
        if plan.groups > 1:
            base = function.load(function.offset(self.operands, FIRST_OPERAND, PTR), PTR)
            self.sums = function.offset(base, function.mul(group, self.group_bytes), "i8")
        else:
            assert workspace is not None
            self.sums = workspace
            workspace = function.offset(workspace, self.group_bytes, "i8")
        if self.copied:
            assert workspace is not None
            self.copies = function.offset(workspace, function.mul(chunk, self.copy_bytes), "i8")

    # -- blocks of pixels

    def _pixel_blocks(self, images: tuple[Operand, Operand], lines: tuple[Operand, Operand]) -> None:
        """Blocks of several whole images, or of some lines of one image."""
        function, plan = self.function, self.plan

        def image_block(n: Operand, _: list[Value]) -> list[Value]:
            count = function.minimum(function.sub(images[1], n), plan.image_block)
            left, size, element = self._images(n, count)

            def line_block(y: Operand, _: list[Value]) -> list[Value]:
                bounds = (y, function.minimum(function.add(y, plan.line_block), lines[1]))
                first = self._both(self._equal(n, images[0]), self._equal(y, lines[0]))
                last_image = self._at_end(n, plan.image_block, images[1])
                final = self._both(last_image, self._at_end(y, plan.line_block, lines[1]))
                self._over_tiles(lambda *where: self._add_tile(left, size, n, count, bounds, first, final, *where))
                return []

            function.loop(*lines, plan.line_block, [], line_block)
            return []

        function.loop(*images, plan.image_block, [], image_block)

    def _images(self, n: Operand, count: Operand) -> tuple[Value, int, str]:
        """Where image n lies, the distance to the next one, and the element type; copies `count` of them if need be."""
        function, c = self.function, self.convolution
        size, element = c.height * c.width * c.channels, memory_element(c.dtype)
        source = function.offset(self.image, function.mul(n, size), element)
        if not self.copied:
            return source, size, element
        total = register_element(self.arithmetic.total)
        for name, width in (("copy_line", c.width), ("clear_line", 0)):
            if name not in self.module.functions:
                emit_line_copy(self.module, name, self.plain, width, c.channels, self.before[1] if width else 0, self.line)

        def image(m: Operand, _: list[Value]) -> list[Value]:
            at = function.offset(source, function.mul(m, size), element)
            to = function.offset(self.copies, function.mul(m, self.height * self.line), total)

            def line(y: Operand, _: list[Value], name: str, before: int) -> list[Value]:
                origin = function.offset(at, function.mul(function.sub(y, before), c.width * c.channels), element)
                origin = origin if name == "copy_line" else at
                function.call(f"@{name}", "void", [origin, function.offset(to, function.mul(y, self.line), total)])
                return []

            top = self.before[0]
            function.loop(0, top, 1, [], lambda y, v: line(y, v, "clear_line", 0))
            function.loop(top, top + c.height, 1, [], lambda y, v: line(y, v, "copy_line", top))
            function.loop(top + c.height, self.height, 1, [], lambda y, v: line(y, v, "clear_line", 0))
            return []

        function.loop(0, count, 1, [], image)
        return self.copies, self.height * self.line, total

    # -- tiles

    def _over_tiles(self, body: Callable[[Operand, Operand, int, int, bool], None]) -> None:
        """Calls body(tile, panel, lines of taps, piece of a line, is it in the last panel) for all tiles of the chunk."""
        function, plan, c = self.function, self.plan, self.convolution
        pieces, rest = plan.pieces, c.kernel_height % plan.tap_lines if plan.runs else 0
        uneven = self.last_vectors != plan.vectors or self.last_lanes != plan.lanes

        def by_panel(tile: Operand, panel: Operand, lines: int, size: int) -> None:
            if not uneven:
                body(tile, panel, lines, size, False)
                return
            is_last = self._equal(panel, self.panels - 1)
            function.if_else(
                is_last,
                lambda: body(tile, panel, lines, size, True),
                lambda: body(tile, panel, lines, size, False),
            )

        def by_piece(tile: Operand, panel: Operand, lines: int) -> None:
            if not pieces.taller:
                by_panel(tile, panel, lines, pieces.low)
                return
            number = function.urem(tile, pieces.count)
            is_tall = number < pieces.taller if isinstance(number, int) else function.icmp("slt", number, pieces.taller)
            function.if_else(
                is_tall,
                lambda: by_panel(tile, panel, lines, pieces.low + 1),
                lambda: by_panel(tile, panel, lines, pieces.low),
            )

        def by_lines(tile: Operand, panel: Operand) -> None:
            if not rest or c.kernel_height < plan.tap_lines:
                by_piece(tile, panel, rest or plan.tap_lines)
                return
            is_last = self._equal(function.udiv(tile, pieces.count), math.ceil(c.kernel_height / plan.tap_lines) - 1)
            function.if_else(
                is_last, lambda: by_piece(tile, panel, rest), lambda: by_piece(tile, panel, plan.tap_lines)
            )

        def at_panel(panel: Operand, _: list[Value]) -> list[Value]:
            def at_tile(tile: Operand, _: list[Value]) -> list[Value]:
                by_lines(tile, panel)
                return []

            function.loop(*self.tile_range, 1, [], at_tile)
            return []

        function.loop(*self.panel_range, 1, [], at_panel)

    def _place(self, tile: Operand) -> tuple[Operand, Operand, Operand]:
        """The first row of taps of a tile, its column of taps, and its first channel (or element of a run)."""
        function, pieces, c = self.function, self.plan.pieces, self.convolution
        number, tap = function.urem(tile, pieces.count), function.udiv(tile, pieces.count)
        start = function.mul(number, pieces.low)
        start = function.add(start, function.minimum(number, pieces.taller)) if pieces.taller else start
        if self.plan.runs:
            return function.mul(tap, self.plan.tap_lines), 0, start
        return function.udiv(tap, c.kernel_width), function.urem(tap, c.kernel_width), start

    def _sums_slot(self, tile: Operand, panel: Operand) -> Value:
        function = self.function
        number = function.add(function.mul(tile, self.panels), panel)
        return function.offset(self.sums, function.mul(number, self.slot), register_element(self.arithmetic.total))

    def _add_tile(
        self,
        left: Value,
        image_size: int,
        n: Operand,
        images: Operand,
        bounds: tuple[Operand, Operand],
        first: Value | bool,
        final: Value | bool,
        tile: Operand,
        panel: Operand,
        tap_lines: int,
        size: int,
        last: bool,
    ) -> None:
        """Adds the products of a block of pixels to the sums of one tile."""
        function, c = self.function, self.convolution
        i, j, start = self._place(tile)
        low, high = self._valid_outputs(c.rows, i)
        low, high = function.maximum(low, bounds[0]), function.minimum(high, bounds[1])
        left_column, right_column = self._valid_outputs(c.columns, j)
        lines, columns = function.sub(high, low), function.sub(right_column, left_column)
        y = self._position(c.rows, low, i, self.before[0])
        x = self._position(c.columns, left_column, j, self.before[1])
        at = function.add(function.add(function.mul(y, self.line), function.mul(x, c.channels)), start)
        source = function.offset(left, at, self.arithmetic.left_element)
        at = function.add(function.mul(n, c.result_height), low)
        at = function.add(function.mul(at, c.result_width), left_column)
        at = function.add(function.mul(at, c.filters), function.mul(panel, self.panel))
        gradient = function.offset(self.gradient, at, self.arithmetic.right_element)
        sums = self._sums_slot(tile, panel)
        name = self._tile_function(image_size, tap_lines, size, last)
        counts = [function.coerce(count, I64) for count in (images, lines, columns)]
        arguments = [source, gradient, *counts, sums, function.coerce(first, I1)]
        function.call(f"@{name}", "void", arguments)
        if self.plan.groups == 1 and final is not False:
            with function.when(final):
                self._finish_tile(tile, panel, tap_lines, size, last)

    def _finish_tile(self, tile: Operand, panel: Operand, tap_lines: int, size: int, last: bool) -> None:
        function, c = self.function, self.convolution
        i, j, start = self._place(tile)
        vectors, lanes = (self.last_vectors, self.last_lanes) if last else (self.plan.vectors, self.plan.lanes)
        block = blocks_of_taps(c, self.line, self.plan, tap_lines, size)
        row = function.add(function.mul(function.add(function.mul(i, c.kernel_width), j), c.channels), start)
        pitch = (block.width, block.result_step, block.result_jump)
        column = function.mul(panel, self.panel)
        done = Block(self._sums_slot(tile, panel), row, column, block.rows, vectors, lanes, pitch)
        self.finish.call(function, done, self.operands, ())

    def _tile_function(self, image_size: int, tap_lines: int, size: int, last: bool) -> str:
        """A function (images, gradient, counts of images, lines and columns, sums, is it the first block)."""
        c, lanes = self.convolution, self.plan.lanes
        vectors = self.last_vectors if last else self.plan.vectors
        name = f"tile_{tap_lines}x{size}x{vectors}{'_last' if last else ''}"
        if name in self.module.functions:
            return name
        arguments = [("left", "ptr noalias"), ("right", "ptr noalias"), ("images", I64), ("lines", I64), ("columns", I64)]
        arguments += [("sums", "ptr noalias"), ("first", I1)]
        function = begin_helper(self.module, name, arguments)
        left, right, images, lines, columns, sums, first = function.arguments
        block = blocks_of_taps(c, self.line, self.plan, tap_lines, size)
        element, type_ = register_element(self.arithmetic.total), vector_of(self.arithmetic.total, lanes)
        places = [
            function.offset(sums, r * self.panel + j * lanes, element) for r in range(block.rows) for j in range(vectors)
        ]
        fresh = zeros(self.arithmetic, block.rows, vectors)
        before, load, start = function.block, function.fresh_label("load"), function.fresh_label("start")
        function.branch_if(first, start, load)
        function.place_label(load)
        loaded = [function.load(place, type_) for place in places]
        function.branch(start)
        function.place_label(start)
        flat = [function.phi(type_, (fresh[0][0], before), (value, load)) for value in loaded]

        def keep(values: list[Value]) -> None:
            for place, value in zip(places, values):
                function.store(value, place)

        def products() -> None:
            nest = [
                DepthLoop(images, image_size, c.result_height * c.result_width * c.filters),
                DepthLoop(lines, c.strides[0] * self.line, c.result_width * c.filters),
                DepthLoop(columns, c.strides[1] * c.channels, c.filters),
            ]
            mask = lane_mask(self.last_lanes if last else lanes, lanes)
            rights = RightOperand(right, tuple(j * lanes for j in range(vectors)), mask, None, 8)
            totals = [flat[i : i + vectors] for i in range(0, len(flat), vectors)]
            result = contract(
                function, self.arithmetic, LeftOperand(left, block.left_offsets), rights, nest, totals
            )
            keep([value for row in result for value in row])

        if c.rows.padded or c.columns.padded or self.plan.line_block < c.result_height:
            some = function.bit_and(function.icmp("sgt", lines, 0), function.icmp("sgt", columns, 0))
            function.if_else(some, products, lambda: keep(flat))
        else:
            products()
        function.return_void()
        return name

    # -- index arithmetic

    def _valid_outputs(self, axis: Axis, tap: Operand) -> tuple[Operand, Operand]:
        """From which output to which one a tap lies inside; all where padding is copied."""
        return (0, axis.outputs) if self.copied else valid_outputs(self.function, axis, tap)

    def _position(self, axis: Axis, output: Operand, tap: Operand, before: int) -> Operand:
        function = self.function
        at = function.add(function.mul(output, axis.stride), function.mul(tap, axis.step))
        return function.add(at, axis.start + before)

    def _equal(self, a: Operand, b: Operand) -> Value | bool:
        return a == b if isinstance(a, int) and isinstance(b, int) else self.function.icmp("eq", a, b)

    def _at_end(self, start: Operand, step: int, end: Operand) -> Value | bool:
        reached = self.function.add(start, step)
        if isinstance(reached, int) and isinstance(end, int):
            return reached >= end
        return self.function.icmp("sge", reached, end)

    def _both(self, a: Value | bool, b: Value | bool) -> Value | bool:
        if isinstance(a, bool):
            return b if a else False
        if isinstance(b, bool):
            return a if b else False
        return self.function.bit_and(a, b)
