"""Depthwise convolution and its gradients: every channel has filters of its own, and lanes run along channels.

    result[n, y, x, c * m + q] = sum over i, j of image[n, y*sy + i*dy - top, x*sx + j*dx - left, c] * filter[i, j, c, q]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc import dtypes
from graphc.dtypes import DType
from graphc.runtime.emit.function import I32, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import gather, load, memory_element
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.convolution import Axis, ImageWindows, forward_axis, gradient_axes
from graphc.runtime.kernels.finish import load_operands
from graphc.runtime.kernels.tile import Epilogue, StoreEpilogue, Tile
from graphc.runtime.kernels.windows import Line, LineKernel, loop_if_any, over_groups, valid_outputs, valid_taps
from graphc.runtime.schedule.machine import Machine

GROUP = 8  # results that are kept in registers together


@dataclass(frozen=True)
class DepthwiseConvolution(ImageWindows):
    """Images are NHWC, the filter is [height, width, channels, multiplier]; `padding` is top, bottom, left, right."""

    images: int
    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    multiplier: int = 1
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    dtype: DType = dtypes.float32

    @property
    def rows(self) -> Axis:
        return forward_axis(self.height, self.kernel_height, self.strides[0], self.dilations[0], self.padding[:2])

    @property
    def columns(self) -> Axis:
        return forward_axis(self.width, self.kernel_width, self.strides[1], self.dilations[1], self.padding[2:])

    @property
    def filters(self) -> int:
        """Channels of the result."""
        return self.channels * self.multiplier

    @property
    def flops(self) -> int:
        pixels = self.images * self.result_height * self.result_width
        return 2 * pixels * self.filters * self.kernel_height * self.kernel_width

    @property
    def bytes_moved(self) -> int:
        image = self.height * self.width * self.channels
        return self.images * (image + self.result_height * self.result_width * self.filters) * self.dtype.size


def build_depthwise(
    convolution: DepthwiseConvolution, machine: Machine, threads: int, epilogue: Epilogue | None = None
) -> Kernel:
    """[images, filter, result]; an epilogue sees pixels of the result as rows and its channels as columns."""
    return _Forward(convolution, machine, epilogue or StoreEpilogue(convolution.dtype, convolution.filters)).kernel(threads)


def build_depthwise_input_gradient(
    convolution: DepthwiseConvolution, machine: Machine, threads: int, epilogue: Epilogue | None = None
) -> Kernel:
    """[gradient of the result, filter, gradient of the images]; rows are pixels of the images."""
    ending = epilogue or StoreEpilogue(convolution.dtype, convolution.channels)
    return _InputGradient(convolution, machine, ending).kernel(threads)


def build_depthwise_filter_gradient(
    convolution: DepthwiseConvolution, machine: Machine, threads: int, epilogue: Epilogue | None = None
) -> Kernel:
    """[images, gradient of the result, gradient of the filter]; rows are taps, columns channels of the result."""
    ending = epilogue or StoreEpilogue(convolution.dtype, convolution.filters)
    return _FilterGradient(convolution, machine, ending).kernel(threads)


class _Depthwise:
    """What the three share: operands by channels, and a line for one vector of them."""

    family = "depthwise"

    def __init__(self, convolution: DepthwiseConvolution, machine: Machine, epilogue: Epilogue):
        self.convolution, self.machine, self.epilogue = convolution, machine, epilogue
        self.arithmetic = PlainArithmetic(machine, convolution.dtype, convolution.dtype)
        self.lanes, self.element = self.arithmetic.lanes, memory_element(convolution.dtype)
        self.zero = constant(0, vector_of(self.arithmetic.total, self.lanes))

    def shape(self) -> tuple[int, int, int]:
        """Images, lines and channels of the result."""
        raise NotImplementedError

    def image_sizes(self) -> tuple[int, int]:
        """Distance of the images of both operands, 0 where they have none."""
        raise NotImplementedError

    def emit_line(self, function: Function, line: Line) -> None:
        raise NotImplementedError

    def kernel(self, threads: int) -> Kernel:
        module, c = Module(), self.convolution
        operands = [(size, 0, self.element) for size in self.image_sizes()]
        lines = LineKernel(
            module, self.machine, self.lanes, self.shape(), operands, self.emit_line, threads, c.bytes_moved
        )
        lines.emit()
        return make_kernel(
            self.family, str(module), chunks=lines.chunks, schedule=lines.schedule, flops=c.flops, bytes_moved=c.bytes_moved
        )

    def load(self, function: Function, place: Value, line: Line, step: int, divide: int) -> Value:
        """Elements channel * step // divide of the lanes' channels, from where channel 0 lies."""
        dtype = self.convolution.dtype
        if step == divide == 1:
            place = function.offset(place, line.channel, self.element)
            return load(function, self.machine, place, dtype, self.lanes, line.mask)
        first = function.cast("trunc", line.channel, I32)
        lanes = function.binary("add", function.splat(first, self.lanes), function.iota(self.lanes, I32))
        index = function.udiv(function.mul(lanes, step), divide)
        assert isinstance(index, Value)
        return gather(function, self.machine, place, index, dtype, line.mask)

    def place(self, function: Function, base: Value, row: Operand, column: Operand, width: int, channels: int) -> Value:
        at = function.mul(function.add(function.mul(row, width), column), channels)
        return function.offset(base, at, self.element)

    def finish(
        self, function: Function, line: Line, values: Sequence[Value], row: Operand, offsets: Sequence[int]
    ) -> None:
        pointers = load_operands(function, line.table, self.epilogue.operand_count)
        rows = [[value] for value in values]
        total = self.arithmetic.total
        tile = Tile(function, self.machine, total, rows, row, line.channel, line.valid, (), pointers, offsets)
        self.epilogue.emit(function, tile)


class _Forward(_Depthwise):
    def shape(self) -> tuple[int, int, int]:
        c = self.convolution
        return c.images, c.result_height, c.filters

    def image_sizes(self) -> tuple[int, int]:
        c = self.convolution
        return c.height * c.width * c.channels, 0

    def emit_line(self, function: Function, line: Line) -> None:
        c, (image, filters) = self.convolution, line.pointers
        rows, columns = c.rows, c.columns
        first, count = valid_taps(function, rows, line.y)
        top = function.add(function.mul(line.y, rows.stride), rows.start)
        start = function.mul(function.add(function.mul(line.image, c.result_height), line.y), c.result_width)

        def windows(x: Operand, size: int, taps: range) -> None:
            def row(i: Operand, totals: list[Value]) -> list[Value]:
                tap = function.add(first, i)
                y = function.add(top, function.mul(tap, rows.step))
                for j in taps:
                    place = self.place(function, filters, tap, j, c.kernel_width, c.filters)
                    weight = self.load(function, place, line, 1, 1)
                    for n in range(size):
                        offset = n * columns.stride + j * columns.step + columns.start
                        at = function.add(function.mul(x, columns.stride), offset)
                        place = self.place(function, image, y, at, c.width, c.channels)
                        value = self.load(function, place, line, 1, c.multiplier)
                        totals[n] = self.arithmetic.multiply_add(function, value, weight, totals[n])
                return totals

            totals = loop_if_any(function, count, [self.zero] * size, row)
            self.finish(function, line, totals, function.add(start, x), range(size))

        over_groups(function, columns, GROUP, windows)


class _InputGradient(_Depthwise):
    """The lines of the image in turn; which taps reach a line or a column depends on its remainder by the stride."""

    family = "depthwise_input_gradient"

    def shape(self) -> tuple[int, int, int]:
        c = self.convolution
        return c.images, c.height, c.channels

    def image_sizes(self) -> tuple[int, int]:
        c = self.convolution
        return c.result_height * c.result_width * c.filters, 0

    def emit_line(self, function: Function, line: Line) -> None:
        self._by_remainder(function, line, gradient_axes(self.convolution.rows))

    def _by_remainder(self, function: Function, line: Line, axes: list[Axis]) -> None:
        if len(axes) == 1:
            self._line(function, line, axes[0])
            return
        here = function.icmp("eq", function.urem(line.y, axes[0].pitch), axes[0].first)
        function.if_else(
            here, lambda: self._line(function, line, axes[0]), lambda: self._by_remainder(function, line, axes[1:])
        )

    def _line(self, function: Function, line: Line, rows: Axis) -> None:
        for columns in gradient_axes(self.convolution.columns):
            self._columns(function, line, rows, columns)

    def _columns(self, function: Function, line: Line, rows: Axis, columns: Axis) -> None:
        c, (gradient, filters) = self.convolution, line.pointers
        output = function.udiv(line.y, rows.pitch)
        first, count = valid_taps(function, rows, output)
        top = function.add(function.mul(output, rows.stride), rows.start)
        start = function.mul(function.add(function.mul(line.image, c.height), line.y), c.width)

        def pixels(x: Operand, size: int, taps: range) -> None:
            def row(t: Operand, totals: list[Value]) -> list[Value]:
                tap = function.add(first, t)
                i = function.add(function.mul(tap, rows.tap_pitch), rows.first_tap)
                y = function.add(top, function.mul(tap, rows.step))
                for u in taps:
                    j = columns.first_tap + u * columns.tap_pitch
                    for q in range(c.multiplier):
                        place = self.place(function, filters, i, j, c.kernel_width, c.filters)
                        weight = self.load(function, function.offset(place, q, self.element), line, c.multiplier, 1)
                        for n in range(size):
                            at = function.add(x, n + u * columns.step + columns.start)
                            place = self.place(function, gradient, y, at, c.result_width, c.filters)
                            place = function.offset(place, q, self.element)
                            value = self.load(function, place, line, c.multiplier, 1)
                            totals[n] = self.arithmetic.multiply_add(function, value, weight, totals[n])
                return totals

            totals = loop_if_any(function, count, [self.zero] * size, row)
            at = function.add(start, function.add(function.mul(x, columns.pitch), columns.first))
            self.finish(function, line, totals, at, [n * columns.pitch for n in range(size)])

        over_groups(function, columns, GROUP, pixels)


class _FilterGradient(_Depthwise):
    """A line is a line of taps; all its taps are summed at once over all pixels of all images."""

    family = "depthwise_filter_gradient"

    def shape(self) -> tuple[int, int, int]:
        return 1, self.convolution.kernel_height, self.convolution.filters

    def image_sizes(self) -> tuple[int, int]:
        return 0, 0

    def emit_line(self, function: Function, line: Line) -> None:
        c, (images, gradients) = self.convolution, line.pointers
        rows, columns = c.rows, c.columns
        sets = max(1, GROUP // max(1, c.kernel_width))  # of sums, for pixels in turn, so that they do not wait for each other
        low, high = valid_outputs(function, rows, line.y)
        top = function.add(function.mul(line.y, rows.step), rows.start)
        whole = [o for o in range(columns.outputs) if len(columns.valid_taps(o)) == columns.taps]
        inner = (whole[0], whole[-1] + 1) if whole else (columns.outputs, columns.outputs)

        def image(n: Operand, totals: list[Value]) -> list[Value]:
            source = function.offset(images, function.mul(n, c.height * c.width * c.channels), self.element)
            gradient = function.offset(
                gradients, function.mul(n, c.result_height * c.result_width * c.filters), self.element
            )

            def result_line(at: Operand, totals: list[Value]) -> list[Value]:
                o = function.add(low, at)
                y = function.add(function.mul(o, rows.stride), top)

                def pixel(x: Operand, totals: list[Value], number: int, taps: range) -> list[Value]:
                    place = self.place(function, gradient, o, x, c.result_width, c.filters)
                    share = self.load(function, place, line, 1, 1)
                    totals = list(totals)
                    for j in taps:
                        column = function.add(function.mul(x, columns.stride), columns.start + j * columns.step)
                        seen = self.place(function, source, y, column, c.width, c.channels)
                        value = self.load(function, seen, line, 1, c.multiplier)
                        slot = number * columns.taps + j
                        totals[slot] = self.arithmetic.multiply_add(function, value, share, totals[slot])
                    return totals

                def several(x: Operand, totals: list[Value]) -> list[Value]:
                    for number in range(sets):
                        totals = pixel(function.add(x, number), totals, number, range(columns.taps))
                    return totals

                for x in (*range(inner[0]), *range(inner[1], columns.outputs)):
                    totals = pixel(x, totals, 0, columns.valid_taps(x))
                end = inner[0] + (inner[1] - inner[0]) // sets * sets
                totals = function.loop(inner[0], end, sets, totals, several)
                for x in range(end, inner[1]):
                    totals = pixel(x, totals, x - end, range(columns.taps))
                return totals

            return loop_if_any(function, function.sub(high, low), totals, result_line)

        fresh = [self.zero] * (sets * columns.taps)
        totals = function.loop(0, c.images, 1, fresh, image)
        sums = totals[: columns.taps]
        for number in range(1, sets):
            parts = totals[number * columns.taps : (number + 1) * columns.taps]
            sums = [function.fadd(a, b) for a, b in zip(sums, parts)]
        self.finish(function, line, sums, function.mul(line.y, c.kernel_width), range(columns.taps))
