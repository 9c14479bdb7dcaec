"""The gradient of images with few channels: products by pixels of the result, whose sums are scattered over the images.

The columns of the products are all taps and channels together, so that vectors are full where the channels alone would
leave most of their lanes empty:

    part[y, x, (i, j, c)] = sum over f of gradient[n, y, x, f] * filter[i, j, c, f]
    image[n, y*sy + i*dy - top, x*sx + j*dx - left, c] += part[y, x, (i, j, c)]

One line of the result is computed at a time and added to a copy of the image with room for its padding. Every element of
the image gets its parts in the order of the lines of the result, however many threads share the lines of an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.records import record
from graphc.runtime.emit.entry import begin_driver, begin_helper
from graphc.runtime.emit.function import PTR, Function, Module, Operand, Value, constant, vector_constant
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.convolution import Convolution
from graphc.runtime.kernels.convolution_plan import DirectProblem, register_widths, tiles_cycles
from graphc.runtime.kernels.convolution_tiles import ConvolutionTiles, FilterLayout, PixelBlock, TapNest, TileRequest
from graphc.runtime.kernels.finish import FIRST_OPERAND, Block, Finish
from graphc.runtime.kernels.gemm_plan import SERIAL_FLOPS, Pieces, cut_evenly
from graphc.runtime.kernels.indexing import part_of
from graphc.runtime.kernels.tile import Epilogue, StoreEpilogue
from graphc.runtime.schedule.machine import Machine

MOST_RUNS = 64  # additions of vectors for one pixel, all written out
RUN_CYCLES = 2.5  # of one of them
LINE_CYCLES = 40.0  # to begin a line and to end it
UNEVEN = 1.1  # work of the busiest thread against the mean, from which on images are cut into bands


@record
class Run:
    """`length` neighbouring parts of a pixel that are added to neighbouring elements of one line of the image."""

    part: int
    line: int
    column: int
    length: int
    lanes: int


@record
class ScatterPlan:
    """`pieces` of a line of the result by panels of `vectors`; every image is cut into `bands` of lines."""

    vectors: int
    lanes: int
    pieces: Pieces
    columns: int
    bands: int
    chunks: int
    cycles: float

    @property
    def panel(self) -> int:
        return self.vectors * self.lanes

    @property
    def panels(self) -> int:
        return math.ceil(self.columns / self.panel)

    def __str__(self) -> str:
        rows = "+".join(f"{count}x{size}" for size, count in self.pieces.sizes)
        return (
            f"products of {rows} pixels by {self.columns} taps and channels in tiles of {self.vectors} vectors of "
            f"{self.lanes}, scattered; {self.bands} bands an image; {self.chunks} chunks; {self.cycles:.0f} cycles expected"
        )


def tap_products(convolution: Convolution) -> Convolution:
    """The convolution by one tap whose channels are all taps and channels, and whose gradient of images is the parts."""
    c = convolution
    return Convolution(c.images, c.result_height, c.result_width, c.depth, 1, 1, c.filters, dtype=c.dtype)


def plan_scatter(convolution: Convolution, machine: Machine, threads: int) -> ScatterPlan | None:
    """The cheapest plan by the model, or None where the taps of a pixel are too many to be written out."""
    c, parts = convolution, tap_products(convolution)
    lanes = machine.lanes(c.dtype.compute.bits)
    additions = sum(math.ceil(run.length / run.lanes) for run in tap_runs(c, lanes))
    if additions > MOST_RUNS:
        return None
    problem = DirectProblem(
        c.images, c.result_height, c.result_width, c.filters, c.depth, c.result_height, c.result_width,
        ((parts.rows, parts.columns),), c.dtype,
    )  # fmt: skip
    lines = c.images * c.result_height
    ends = lines * (LINE_CYCLES + RUN_CYCLES * additions * c.result_width)
    best: ScatterPlan | None = None
    bands = _bands(c, threads)
    chunks = min(c.images * bands, 2 * threads, MAXIMUM_CHUNKS) if threads > 1 and c.flops >= SERIAL_FLOPS else 1
    for height, vectors in register_widths(problem, machine):
        pieces = cut_evenly(c.result_width, math.ceil(c.result_width / height))
        cycles = ends + lines * tiles_cycles(problem, machine, vectors, pieces, 1, c.filters)
        if best is None or cycles < best.cycles * 0.999:
            best = ScatterPlan(vectors, lanes, pieces, c.depth, bands, chunks, cycles)
    return best


def _bands(c: Convolution, threads: int) -> int:
    """Bands of each image, as few as give all threads about the same work; lines between bands are computed twice."""
    if c.flops < SERIAL_FLOPS:
        return 1
    for bands in range(1, min(threads, c.height) + 1):
        units = c.images * bands
        if math.ceil(units / threads) * threads <= UNEVEN * units:
            return bands
    return max(1, min(threads, c.height))


def tap_runs(c: Convolution, lanes: int) -> list[Run]:
    """What every pixel of the result adds to the image: whole lines of taps, or taps one by one where they lie apart."""
    merged = c.dilations[1] == 1
    length = c.kernel_width * c.channels if merged else c.channels
    narrow = min(lanes, 1 << (length - 1).bit_length())
    runs = []
    for i in range(c.kernel_height):
        for j in range(1 if merged else c.kernel_width):
            part = (i * c.kernel_width + j) * c.channels
            runs.append(Run(part, i * c.dilations[0], j * c.dilations[1] * c.channels, length, narrow))
    return runs


class ScatteredGradient:
    """Emits the entry of operands [gradient of the result, turned filter, those of the epilogue...].

    The filter comes in panels of taps and channels, whose elements lie side by side for every filter.

    Without an epilogue the images are stored line by line, which fills vectors better than pixel by pixel.
    """

    def __init__(
        self,
        module: Module,
        convolution: Convolution,
        machine: Machine,
        plan: ScatterPlan,
        epilogue: Epilogue | None,
    ):
        c = self.convolution = convolution
        self.module, self.plan = module, plan
        self.layout = FilterLayout(0, c.filters * plan.panel, plan.panel, c.filters * plan.panel, True)
        arithmetic = PlainArithmetic(machine, c.dtype, c.dtype).packed(left=False, right=True)
        self.total, self.element = arithmetic.total, register_element(arithmetic.total)
        self.left_element = memory_element(c.dtype)
        self.part_stride = plan.panels * plan.panel
        self.tiles = ConvolutionTiles(module, arithmetic, None, self.part_stride)
        self.by_pixels = epilogue is not None
        ending = epilogue or StoreEpilogue(c.dtype, 1)  # without one, a row is one element
        self.operand_count = ending.operand_count
        self.finish = Finish(module, arithmetic, ending, c.channels if self.by_pixels else plan.lanes)
        self.runs = tap_runs(c, plan.lanes)
        self.margin = (c.kernel_height - 1) * c.dilations[0]
        width = (c.columns.before + c.width + c.columns.after) * c.channels
        self.line = math.ceil((width + plan.lanes) / plan.lanes) * plan.lanes
        self.lines = math.ceil(c.height / plan.bands) + 2 * self.margin
        self.image_elements = self.lines * self.line
        size = self.image_elements + c.result_width * self.part_stride + plan.lanes
        self.chunk_workspace = math.ceil(size * arithmetic.total.size / 4096) * 4096 + 512
        self.workspace = plan.chunks * self.chunk_workspace

    def emit(self) -> None:
        function = self.function = begin_driver(self.module)
        c, plan = self.convolution, self.plan
        self.operands, chunk = function.arguments
        number = FIRST_OPERAND + self.operand_count
        self.gradient, self.filter, base = (
            function.load(function.offset(self.operands, i, PTR), PTR) for i in (0, 1, number)
        )
        self.image = function.offset(base, function.mul(chunk, self.chunk_workspace), "i8")
        self.parts = function.offset(self.image, self.image_elements, self.element)

        def unit(at: Operand, _: list[Value]) -> list[Value]:
            self._band(function.udiv(at, plan.bands), function.urem(at, plan.bands))
            return []

        function.loop(*part_of(function, chunk, c.images * plan.bands, plan.chunks), 1, [], unit)
        function.return_void()

    def _band(self, n: Operand, band: Operand) -> None:
        """The lines of one image from `low` to `high`, from all lines of the result that reach them."""
        function, c = self.function, self.convolution
        low, high = part_of(function, band, c.height, self.plan.bands)
        top, stride = c.padding[0], c.strides[0]
        self._clear()
        reach = function.maximum(function.sub(function.add(low, top), self.margin), 0)
        first = function.udiv(function.add(reach, stride - 1), stride)
        last = function.udiv(function.add(function.sub(high, 1), top), stride)
        end = function.minimum(function.add(last, 1), c.result_height)

        def line(y: Operand, _: list[Value]) -> list[Value]:
            at = function.mul(function.add(function.mul(n, c.result_height), y), c.result_width * c.filters)
            self._products(function.offset(self.gradient, at, self.left_element))
            at = function.add(function.sub(function.mul(y, stride), low), self.margin - top)
            target = function.offset(self.image, function.mul(at, self.line), self.element)
            function.call(f"@{self._scatter_function()}", "void", [self.parts, target])
            return []

        some = first < end if isinstance(first, int) and isinstance(end, int) else function.icmp("slt", first, end)
        if some is not False:
            with function.when(some):
                function.loop(first, end, 1, [], line)
        self._finish_lines(n, low, high)

    def _clear(self) -> None:
        function, lanes = self.function, self.plan.lanes
        zero = constant(0, vector_of(self.total, lanes))

        def vector(i: Operand, _: list[Value]) -> list[Value]:
            function.store(zero, function.offset(self.image, i, self.element))
            return []

        function.loop(0, self.image_elements, lanes, [], vector)

    def _products(self, gradient: Value) -> None:
        """The parts of all pixels of one line."""
        function, plan, c = self.function, self.plan, self.convolution
        rest = plan.columns - (plan.panels - 1) * plan.panel
        last_vectors = math.ceil(rest / plan.lanes)
        nest = TapNest(1, 1, c.filters, 0, c.filters, self.layout)

        def panel(number: Operand, _: list[Value], vectors: int = plan.vectors) -> list[Value]:
            filter_ = function.offset(self.filter, function.mul(number, self.layout.panel), self.element)

            def piece(start: Operand, size: int) -> None:
                left = function.offset(gradient, function.mul(start, c.filters), self.left_element)
                at = function.add(function.mul(start, self.part_stride), function.mul(number, plan.panel))
                sums = function.offset(self.parts, at, self.element)
                request = TileRequest(PixelBlock(1, size, c.filters, 0, 1, 0), nest, vectors, plan.lanes)
                self.tiles.call(function, request, left, filter_, (1, 1), sums, self.operands, 0, 0)

            over_pieces(function, plan.pieces, piece)
            return []

        whole = plan.panels if last_vectors == plan.vectors else plan.panels - 1
        function.loop(0, whole, 1, [], panel)
        if whole < plan.panels:
            panel(whole, [], last_vectors)

    def _scatter_function(self) -> str:
        """A function (parts of a line of the result, first line of the image that they reach).

        Pixels whose runs overlap would wait for each other's stores, so they come in rounds of pixels far enough apart.
        """
        name, c = "scatter", self.convolution
        if name in self.module.functions:
            return name
        function = begin_helper(self.module, name, [("parts", "ptr noalias"), ("image", "ptr noalias")])
        parts, image = function.arguments
        reach = max(math.ceil(run.length / run.lanes) * run.lanes for run in self.runs)
        apart = min(c.result_width, math.ceil(reach / (c.strides[1] * c.channels)))
        whole, longer = divmod(c.result_width, apart)

        def rounds(start: int, end: int, count: int) -> None:
            def one(first: Operand, _: list[Value]) -> list[Value]:
                source = function.offset(parts, function.mul(first, self.part_stride), self.element)
                target = function.offset(image, function.mul(first, c.strides[1] * c.channels), self.element)

                def pixel(_: Operand, places: list[Value]) -> list[Value]:
                    for run in self.runs:
                        self._add_run(function, run, *places)
                    return [
                        function.offset(places[0], apart * self.part_stride, self.element),
                        function.offset(places[1], apart * c.strides[1] * c.channels, self.element),
                    ]

                function.loop(0, count, 1, [source, target], pixel)
                return []

            function.loop(start, end, 1, [], one)

        rounds(0, longer, whole + 1)
        rounds(longer, apart, whole)
        function.return_void()
        return name

    def _add_run(self, function: Function, run: Run, parts: Value, image: Value) -> None:
        """Whole vectors are stored; their lanes after the run add zero."""
        type_ = vector_of(self.total, run.lanes)
        for start in range(0, run.length, run.lanes):
            value = function.load(function.offset(parts, run.part + start, self.element), type_)
            valid = run.length - start
            if valid < run.lanes:
                mask = vector_constant([lane < valid for lane in range(run.lanes)], "i1")
                value = function.select(mask, value, constant(0, type_))
            place = function.offset(image, run.line * self.line + run.column + start, self.element)
            function.store(function.fadd(function.load(place, type_), value), place)

    def _finish_lines(self, n: Operand, low: Operand, high: Operand) -> None:
        function, c, lanes = self.function, self.convolution, self.plan.lanes
        length = c.width * c.channels
        whole, rest = divmod(length, lanes)

        def line(h: Operand, _: list[Value]) -> list[Value]:
            at = function.mul(function.add(function.sub(h, low), self.margin), self.line)
            sums = function.offset(self.image, function.add(at, c.columns.before * c.channels), self.element)
            number = function.add(function.mul(n, c.height), h)
            if self.by_pixels:
                vectors = math.ceil(c.channels / lanes)
                last = c.channels - (vectors - 1) * lanes
                self._finish_block(Block(sums, function.mul(number, c.width), 0, c.width, vectors, last))
                return []
            row = function.mul(number, length)
            if whole:
                self._finish_block(Block(sums, row, 0, whole, 1, lanes, (whole, lanes, 0)))
            if rest:
                end = function.offset(sums, whole * lanes, self.element)
                self._finish_block(Block(end, function.add(row, whole * lanes), 0, 1, 1, rest))
            return []

        function.loop(low, high, 1, [], line)

    def _finish_block(self, block: Block) -> None:
        self.finish.call(self.function, block, self.operands, ())


def over_pieces(function: Function, pieces: Pieces, body: Callable[[Operand, int], None]) -> None:
    """Calls body(first, size) for all pieces; the taller ones come first."""

    def loop(start: int, end: int, size: int) -> None:
        def piece(at: Operand, _: list[Value]) -> list[Value]:
            body(at, size)
            return []

        function.loop(start, end, size, [], piece)

    tall = pieces.taller * (pieces.low + 1)
    loop(0, tall, pieces.low + 1)
    loop(tall, tall + (pieces.count - pieces.taller) * pieces.low, pieces.low)
