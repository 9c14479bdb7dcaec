"""Direct convolution: register tiles over pixels, with the taps and channels as the nest of the summation.

No patches are copied out: the rows of a tile are pixels at constant offsets in the image. Tap rows that fall outside are
left out of the nest. For tap columns the lines of the image are copied with zeros at their ends, once a chunk and image;
tiles of one pixel in several images need no padding at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.runtime.emit.entry import begin_driver, begin_helper
from graphc.runtime.emit.function import PTR, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import load, memory_element, register_element
from graphc.runtime.kernels.arithmetic import PlainArithmetic, load_scalar, vector_of
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.convolution_plan import DirectPlan, DirectProblem
from graphc.runtime.kernels.convolution_tiles import ConvolutionTiles, FilterLayout, PixelBlock, TapNest, TileRequest
from graphc.runtime.kernels.finish import (
    FIRST_OPERAND,
    INLINE_LINES,
    INLINE_LINES_SHALLOW,
    SHALLOW,
    Block,
    Finish,
    epilogue_lines,
)
from graphc.runtime.kernels.gemm_plan import Pieces
from graphc.runtime.kernels.indexing import part_of
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.windows import valid_taps
from graphc.runtime.schedule.machine import Machine


class DirectConvolution:
    """Emits the entry of operands [image, filter, those of the epilogue...].

    `filters` has, for each phase, the layout of its filter and where it starts. `workspace` is in bytes of all chunks.
    """

    def __init__(
        self,
        module: Module,
        machine: Machine,
        problem: DirectProblem,
        plan: DirectPlan,
        filters: list[tuple[FilterLayout, int]],
        epilogue: Epilogue,
    ):
        self.module, self.problem, self.plan, self.filters = module, problem, plan, filters
        self.copied = problem.padded_columns and not plan.by_images
        packed = filters[0][0].packed
        self.plain = PlainArithmetic(machine, problem.dtype, problem.dtype)
        arithmetic = self.plain.packed(left=self.copied, right=packed)
        self.panel = plan.vectors * plan.lanes
        self.panels = math.ceil(problem.filters / self.panel)
        rest = problem.filters - (self.panels - 1) * self.panel
        self.last_vectors = math.ceil(rest / plan.lanes)
        self.last_lanes = rest - (self.last_vectors - 1) * plan.lanes
        self.in_registers = self._fits_in_registers(epilogue)
        self.tiles = ConvolutionTiles(module, arithmetic, epilogue if self.in_registers else None, self.panel)
        self.finish = Finish(module, arithmetic, epilogue, self.panel)
        self.operand_count = epilogue.operand_count
        self.left_element, self.right_element = arithmetic.left_element, arithmetic.right_element
        self.line = (problem.padded_width if self.copied else problem.width) * problem.channels
        line_bytes = self.line * arithmetic.total.size
        needed = problem.height * line_bytes if self.copied else 0
        self.chunk_workspace = math.ceil(needed / 4096) * 4096 + 512 if needed else 0
        self.workspace = self.chunk_workspace * plan.grid[0] * plan.grid[1]

    def _fits_in_registers(self, epilogue: Epilogue) -> bool:
        sizes = {size for pieces in self.plan.pieces for size, _ in pieces.sizes}
        functions = len(sizes) * (2 if self.last_vectors != self.plan.vectors or self.last_lanes != self.plan.lanes else 1)
        vectors = max(sizes) * self.plan.lines * self.plan.vectors
        lines = epilogue_lines(epilogue, self.plain, 0) * vectors * functions
        taps = max((rows.taps * columns.taps for rows, columns in self.problem.phases), default=0)
        return lines <= (INLINE_LINES_SHALLOW if taps * self.problem.channels <= SHALLOW else INLINE_LINES)

    def emit(self) -> None:
        function = self.function = begin_driver(self.module)
        plan = self.plan
        self.operands, chunk = function.arguments
        self.image, self.filter = (function.load(function.offset(self.operands, i, PTR), PTR) for i in range(2))
        self.sums = constant(0, PTR)
        if not self.in_registers:
            tallest = max(size for pieces in plan.pieces for size, _ in pieces.sizes) * plan.lines
            self.sums = function.allocate(vector_of(self.plain.total, plan.lanes), tallest * plan.vectors)
        part = function.udiv(chunk, plan.grid[1]) if plan.grid[0] > 1 else 0
        panel_part = function.urem(chunk, plan.grid[1]) if plan.grid[1] > 1 else 0
        self.panel_range = part_of(function, panel_part, self.panels, plan.grid[1])
        if plan.by_images:
            for phase in range(len(self.problem.phases)):
                self._pixels_of_phase(phase, part)
        else:
            self._lines(chunk, part)
        function.return_void()

    # -- tiles of several images

    def _pixels_of_phase(self, phase: int, part: Operand) -> None:
        function, plan = self.function, self.plan
        rows, columns = self.problem.phases[phase]
        total = rows.outputs * columns.outputs
        parts = min(plan.grid[0], total)
        first, end = part_of(function, part, total, plan.grid[0])

        def over_pixels(body: Callable[[Operand, Operand], None]) -> None:
            def pixel(number: Operand, _: list[Value]) -> list[Value]:
                body(function.udiv(number, columns.outputs), function.urem(number, columns.outputs))
                return []

            if parts < plan.grid[0]:  # some chunks have none
                with function.when(function.icmp("slt", first, end)):
                    function.loop(first, end, 1, [], pixel)
            else:
                function.loop(first, end, 1, [], pixel)

        def at(y: Operand, x: Operand) -> None:
            taps = (valid_taps(self.function, rows, y), valid_taps(self.function, columns, x))
            self._over_panels(lambda panel: self._image_tiles(phase, panel, y, x, taps))

        if plan.filter_outside:
            self._over_panels(lambda panel: over_pixels(lambda y, x: self._one_pixel(phase, panel, y, x)))
        else:
            over_pixels(at)

    def _one_pixel(self, phase: int, panel: Operand, y: Operand, x: Operand) -> None:
        rows, columns = self.problem.phases[phase]
        self._image_tiles(phase, panel, y, x, (valid_taps(self.function, rows, y), valid_taps(self.function, columns, x)))

    def _image_tiles(
        self, phase: int, panel: Operand, y: Operand, x: Operand, taps: tuple[tuple[Operand, Operand], ...]
    ) -> None:
        problem, pieces = self.problem, self.plan.pieces[0]
        size = problem.height * problem.width * problem.channels
        result = problem.result_height * problem.result_width

        def tile(first: Operand, width: int) -> None:
            block = PixelBlock(1, width, size, 0, 0 if width == 1 else result, 0)
            left = self.function.offset(self.image, self.function.mul(first, size), self.left_element)
            self._tile(phase, panel, block, left, first, y, x, taps)

        self._over_pieces(pieces, tile)

    # -- tiles of neighbouring pixels

    def _lines(self, chunk: Value, part: Operand) -> None:
        """Lines of all images one after the other, cut into parts; padding is copied for the lines that a part needs."""
        function, problem, plan = self.function, self.problem, self.plan
        units = math.ceil(max(rows.outputs for rows, _ in problem.phases) / plan.lines)
        first, end = part_of(function, part, problem.images * units, plan.grid[0])
        size = problem.height * problem.width * problem.channels
        image_element = memory_element(problem.dtype)
        if self.copied:
            slot = function.load(function.offset(self.operands, FIRST_OPERAND + self.operand_count, PTR), PTR)
            copies = function.offset(slot, function.mul(chunk, self.chunk_workspace), "i8")

        def image(n: Operand, _: list[Value]) -> list[Value]:
            start = function.mul(n, units)
            low = function.maximum(function.sub(first, start), 0)
            high = function.minimum(function.sub(end, start), units)
            left = function.offset(self.image, function.mul(n, size), image_element)
            if self.copied:
                self._copy_lines(left, copies, low, high)
                left = copies
            for phase in range(len(problem.phases)):
                self._image_lines(phase, n, left, low, high, units)
            return []

        last = function.add(function.udiv(function.sub(end, 1), units), 1)
        function.loop(function.udiv(first, units), last, 1, [], image)

    def _image_lines(self, phase: int, n: Operand, left: Value, low: Operand, high: Operand, units: int) -> None:
        function, plan = self.function, self.plan
        rows, columns = self.problem.phases[phase]
        here = math.ceil(rows.outputs / plan.lines)
        if here < units:
            high = function.minimum(high, here)

        def over_lines(body: Callable[[Operand], None]) -> None:
            def line(number: Operand, _: list[Value]) -> list[Value]:
                body(number)
                return []

            if here < units:
                with function.when(self._holds("slt", low, high)):
                    function.loop(low, high, 1, [], line)
            else:
                function.loop(low, high, 1, [], line)

        def at(panel: Operand, number: Operand) -> None:
            y = function.mul(number, plan.lines)
            taps = (valid_taps(self.function, rows, y), (0, columns.taps))
            rest = rows.outputs % plan.lines

            def tiles(lines: int) -> None:
                def tile(x: Operand, width: int) -> None:
                    block = PixelBlock(
                        lines,
                        width,
                        columns.stride * self.problem.channels,
                        rows.stride * self.line,
                        columns.pitch,
                        rows.pitch * self.problem.result_width,
                    )
                    self._tile(phase, panel, block, left, n, y, x, taps)

                self._over_pieces(plan.pieces[phase], tile)

            if rest and here > 1:
                function.if_else(self._holds("eq", number, here - 1), lambda: tiles(rest), lambda: tiles(plan.lines))
            else:
                tiles(rest or plan.lines)

        if plan.filter_outside:
            self._over_panels(lambda panel: over_lines(lambda number: at(panel, number)))
        else:
            over_lines(lambda number: self._over_panels(lambda panel: at(panel, number)))

    def _copy_lines(self, source: Value, target: Value, low: Operand, high: Operand) -> None:
        function, problem = self.function, self.problem
        name, element = "copy_line", memory_element(problem.dtype)
        if name not in self.module.functions:
            emit_line_copy(self.module, name, self.plain, problem.width, problem.channels, problem.before, self.line)
        bounds: list[tuple[Operand, Operand]] = []
        for rows, _ in problem.phases:
            reach = (rows.taps - 1) * rows.step
            last = function.sub(function.minimum(function.mul(high, self.plan.lines), rows.outputs), 1)
            top = function.add(function.mul(function.mul(low, self.plan.lines), rows.stride), rows.start)
            bounds.append((top, function.add(function.add(function.mul(last, rows.stride), rows.start), reach + 1)))
        top, bottom = bounds[0]
        for other_top, other_bottom in bounds[1:]:
            top, bottom = function.minimum(top, other_top), function.maximum(bottom, other_bottom)
        top = function.maximum(top, 0)
        bottom = function.minimum(bottom, problem.height)

        def line(y: Operand, _: list[Value]) -> list[Value]:
            at = function.offset(source, function.mul(y, problem.width * problem.channels), element)
            to = function.offset(target, function.mul(y, self.line), register_element(self.plain.total))
            function.call(f"@{name}", "void", [at, to])
            return []

        with function.when(self._holds("slt", top, bottom)):
            function.loop(top, bottom, 1, [], line)

    # -- one tile

    def _tile(
        self,
        phase: int,
        panel: Operand,
        block: PixelBlock,
        left: Value,
        n: Operand,
        y: Operand,
        x: Operand,
        taps: tuple[tuple[Operand, Operand], ...],
    ) -> None:
        function, problem, plan = self.function, self.problem, self.plan
        rows, columns = problem.phases[phase]
        layout, start = self.filters[phase]
        (first_row, tap_rows), (first_column, tap_columns) = taps
        top = self._position(rows, y, first_row, 0)
        side = self._position(columns, x, first_column, problem.before if self.copied else 0)
        at = function.add(function.mul(top, self.line), function.mul(side, problem.channels))
        left = function.offset(left, at, self.left_element)
        at = function.add(function.mul(first_row, layout.tap_row), function.mul(first_column, layout.tap_column))
        at = function.add(function.add(at, function.mul(panel, layout.panel)), start)
        right = function.offset(self.filter, at, self.right_element)
        line = function.add(function.mul(n, problem.result_height), _moved(function, y, rows))
        row = function.add(function.mul(line, problem.result_width), _moved(function, x, columns))
        nest = TapNest(
            tap_rows if isinstance(tap_rows, int) and len(problem.phases) == 1 else None,
            tap_columns if isinstance(tap_columns, int) and len(problem.phases) == 1 else None,
            problem.channels,
            rows.step * self.line,
            columns.step * problem.channels,
            layout,
        )

        def run(last: bool, empty: bool) -> None:
            vectors, lanes = (self.last_vectors, self.last_lanes) if last else (plan.vectors, plan.lanes)
            request = TileRequest(block, nest, vectors, lanes, empty)
            column = function.mul(panel, self.panel)
            counts = (tap_rows, tap_columns)
            self.tiles.call(function, request, left, right, counts, self.sums, self.operands, row, column)
            if not self.in_registers:
                pitch = (block.width, block.result_step, block.result_jump)
                done = Block(self.sums, row, column, block.rows, vectors, lanes, pitch)
                self.finish.call(function, done, self.operands, ())

        def by_panel(empty: bool) -> None:
            if self.last_vectors == plan.vectors and self.last_lanes == plan.lanes:
                run(False, empty)
                return
            is_last = self._holds("eq", panel, self.panels - 1)
            function.if_else(is_last, lambda: run(True, empty), lambda: run(False, empty))

        function.if_else(self._any_taps(rows, columns, tap_rows, tap_columns), lambda: by_panel(False), lambda: by_panel(True))

    def _any_taps(self, rows: Axis, columns: Axis, tap_rows: Operand, tap_columns: Operand) -> Value | bool:
        """Whether a tile has any valid tap; a constant where the shapes already say so."""
        if not rows.taps or not columns.taps:
            return False
        conditions = []
        for axis, count in ((rows, tap_rows), (columns, tap_columns)):
            if not isinstance(count, int) and axis.has_empty_outputs:
                conditions.append(self.function.icmp("sgt", count, 0))
        if not conditions:
            return True
        return conditions[0] if len(conditions) == 1 else self.function.bit_and(*conditions)

    def _position(self, axis: Axis, output: Operand, tap: Operand, before: int) -> Operand:
        function = self.function
        at = function.add(function.mul(output, axis.stride), axis.start + before)
        return function.add(at, function.mul(tap, axis.step))

    # -- loops

    def _holds(self, predicate: str, a: Operand, b: Operand) -> Value | bool:
        if isinstance(a, int) and isinstance(b, int):
            return a == b if predicate == "eq" else a < b
        return self.function.icmp(predicate, a, b)

    def _over_panels(self, body: Callable[[Operand], None]) -> None:
        def panel(number: Operand, _: list[Value]) -> list[Value]:
            body(number)
            return []

        self.function.loop(*self.panel_range, 1, [], panel)

    def _over_pieces(self, pieces: Pieces, body: Callable[[Operand, int], None]) -> None:
        function = self.function

        def piece(number: Operand, _: list[Value]) -> list[Value]:
            start = function.mul(number, pieces.low)
            if not pieces.taller:
                body(start, pieces.low)
                return []
            start = function.add(start, function.minimum(number, pieces.taller))
            is_tall = self._holds("slt", number, pieces.taller)
            function.if_else(is_tall, lambda: body(start, pieces.low + 1), lambda: body(start, pieces.low))
            return []

        function.loop(0, pieces.count, 1, [], piece)


def _moved(function: Function, output: Operand, axis: Axis) -> Operand:
    return function.add(function.mul(output, axis.pitch), axis.first)


def emit_line_copy(
    module: Module, name: str, arithmetic: PlainArithmetic, width: int, channels: int, before: int, line: int
) -> None:
    """A function (source line, target line) that copies width * channels elements between zeros, in the type of sums."""
    function = begin_helper(module, name, [("source", "ptr noalias"), ("target", "ptr noalias")])
    source, target = function.arguments
    machine, total, lanes = arithmetic.machine, arithmetic.total, arithmetic.lanes
    dtype, element = arithmetic.left, register_element(total)
    zero = constant(0, vector_of(total, lanes))

    def fill(start: int, end: int) -> None:
        whole = (end - start) // lanes * lanes
        function.loop(0, whole, lanes, [], lambda i, _: _store_at(function, zero, target, function.add(i, start), element))
        for at in range(start + whole, end):
            function.store(constant(0, element), function.offset(target, at, element))

    def vector(i: Operand, _: list[Value]) -> list[Value]:
        value = load(function, machine, function.offset(source, i, memory_element(dtype)), dtype, lanes)
        return _store_at(function, value, target, function.add(i, before * channels), element)

    def scalar(i: Operand, _: list[Value]) -> list[Value]:
        value = load_scalar(function, machine, function.offset(source, i, memory_element(dtype)), dtype)
        return _store_at(function, value, target, function.add(i, before * channels), element)

    count = width * channels
    fill(0, before * channels)
    function.loop(0, count - count % lanes, lanes, [], vector)
    function.loop(count - count % lanes, count, 1, [], scalar)
    fill(before * channels + count, line)
    function.return_void()


def _store_at(function: Function, value: Value, base: Value, at: Operand, element: str) -> list[Value]:
    function.store(value, function.offset(base, at, element))
    return []

