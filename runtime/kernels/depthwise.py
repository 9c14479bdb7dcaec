"""Depthwise convolution and the gradient of its images: every channel has filters of its own, and lanes run along filters.

    result[n, y, x, c * m + q] = sum over i, j of image[n, y*sy + i*dy - top, x*sx + j*dx - left, c] * filter[i, j, c, q]

With several filters a channel (m > 1) a vector holds those of whole channels, each of which is repeated in its lanes, or
some of those of one channel; the gradient of the images sums neighbouring lanes when all taps are done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from graphc import dtypes
from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.function import Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import load, memory_element
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.convolution import Axis, ImageWindows, forward_axis, gradient_axes
from graphc.runtime.kernels.finish import load_operands
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.kernels.tile import Epilogue, StoreEpilogue, Tile
from graphc.runtime.kernels.windows import (
    ChannelVectors,
    Line,
    LineKernel,
    loop_if_any,
    over_groups,
    valid_taps,
)
from graphc.runtime.schedule.machine import Machine

GROUP = 8  # results that are kept in registers together
MOST_VECTORS = 16  # of the filters of the channels whose gradients are summed together


@record
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


class DepthwiseVectors:
    """How vectors of filters, and of the channels that belong to them, are loaded."""

    def __init__(self, convolution: DepthwiseConvolution, machine: Machine, epilogue: Epilogue):
        self.convolution, self.machine, self.epilogue = convolution, machine, epilogue
        self.arithmetic = PlainArithmetic(machine, convolution.dtype, convolution.dtype)
        self.lanes, self.element = self.arithmetic.lanes, memory_element(convolution.dtype)
        self.zero = constant(0, vector_of(self.arithmetic.total, self.lanes))

    def vectors(self) -> ChannelVectors:
        """Of the filters, as many whole channels as fill a vector, or pieces of one channel."""
        c = self.convolution
        if c.multiplier > self.lanes:
            return ChannelVectors(self.lanes, self.lanes, c.multiplier, c.channels)
        return ChannelVectors(self.lanes, self.lanes // c.multiplier * c.multiplier, c.filters)

    def load(self, function: Function, place: Value, valid: int) -> Value:
        """The filters' elements at the place of the first one."""
        return load(function, self.machine, place, self.convolution.dtype, self.lanes, lane_mask(valid, self.lanes))

    def load_channels(self, function: Function, place: Value, valid: int) -> Value:
        """Elements of the filters' channels, each in the lanes of all its filters; `place` is that of the first one."""
        dtype, multiplier = self.convolution.dtype, self.convolution.multiplier
        if multiplier == 1:
            return self.load(function, place, valid)
        count = max(1, valid // multiplier)
        values = load(function, self.machine, place, dtype, count)
        if count == 1:
            return function.splat(values, self.lanes)
        return function.shuffle(values, values, [min(lane // multiplier, count - 1) for lane in range(self.lanes)])

    def place(self, function: Function, base: Value, row: Operand, column: Operand, width: int, channels: int) -> Value:
        at = function.add(function.mul(row, width * channels), function.mul(column, channels))
        return function.offset(base, at, self.element)


class _Lines(DepthwiseVectors):
    """What the two have in common that compute line by line of their result."""

    family = "depthwise"

    def shape(self) -> tuple[int, int]:
        """Images and lines of the result."""
        raise NotImplementedError

    def image_sizes(self) -> tuple[int, int]:
        """Distance of the images of both operands, 0 where they have none."""
        raise NotImplementedError

    def emit_line(self, function: Function, line: Line) -> None:
        raise NotImplementedError

    def kernel(self, threads: int) -> Kernel:
        module, c = Module(), self.convolution
        operands = [(size, 0, self.element) for size in self.image_sizes()]
        lines = LineKernel(module, self.shape(), self.vectors(), operands, self.emit_line, threads, c.bytes_moved)
        lines.emit()
        return make_kernel(
            self.family, str(module), chunks=lines.chunks, schedule=lines.schedule, flops=c.flops, bytes_moved=c.bytes_moved
        )

    def finish(
        self, function: Function, line: Line, values: Sequence[Value], row: Operand, offsets: Sequence[int]
    ) -> None:
        pointers = load_operands(function, line.table, self.epilogue.operand_count)
        rows = [[value] for value in values]
        total = self.arithmetic.total
        tile = Tile(function, self.machine, total, rows, row, line.channel, line.valid, (), pointers, offsets)
        self.epilogue.emit(function, tile)


class _Forward(_Lines):
    def shape(self) -> tuple[int, int]:
        return self.convolution.images, self.convolution.result_height

    def image_sizes(self) -> tuple[int, int]:
        c = self.convolution
        return c.height * c.width * c.channels, 0

    def emit_line(self, function: Function, line: Line) -> None:
        c = self.convolution
        image = function.offset(line.pointers[0], function.udiv(line.channel, c.multiplier), self.element)
        filters = function.offset(line.pointers[1], line.channel, self.element)
        rows, columns = c.rows, c.columns
        first, count = valid_taps(function, rows, line.y)
        top = function.add(function.mul(line.y, rows.stride), rows.start)
        start = function.mul(function.add(function.mul(line.image, c.result_height), line.y), c.result_width)

        def windows(x: Operand, size: int, taps: range) -> None:
            def row(i: Operand, totals: list[Value]) -> list[Value]:
                tap = function.add(first, i)
                y = function.add(top, function.mul(tap, rows.step))
                weights = self.place(function, filters, tap, 0, c.kernel_width, c.filters)
                seen = self.place(function, image, y, function.mul(x, columns.stride), c.width, c.channels)
                for j in taps:
                    weight = self.load(function, function.offset(weights, j * c.filters, self.element), line.valid)
                    for n in range(size):
                        offset = n * columns.stride + j * columns.step + columns.start
                        place = function.offset(seen, offset * c.channels, self.element)
                        value = self.load_channels(function, place, line.valid)
                        totals[n] = self.arithmetic.multiply_add(function, value, weight, totals[n])
                return totals

            totals = loop_if_any(function, count, [self.zero] * size, row)
            self.finish(function, line, totals, function.add(start, x), range(size))

        over_groups(function, columns, GROUP, windows)


class _InputGradient(_Lines):
    """The lines of the image in turn; which taps reach a line or a column depends on its remainder by the stride.

    A line is one for a vector of channels, which have several vectors of filters.
    """

    family = "depthwise_input_gradient"

    def shape(self) -> tuple[int, int]:
        return self.convolution.images, self.convolution.height

    def image_sizes(self) -> tuple[int, int]:
        c = self.convolution
        return c.result_height * c.result_width * c.filters, 0

    def vectors(self) -> ChannelVectors:
        c = self.convolution
        step = max(1, min(self.lanes, MOST_VECTORS * self.lanes // c.multiplier))
        return ChannelVectors(self.lanes, step, c.channels)

    def emit_line(self, function: Function, line: Line) -> None:
        moved = function.mul(line.channel, self.convolution.multiplier)
        pointers = [function.offset(pointer, moved, self.element) for pointer in line.pointers]
        self._by_remainder(function, replace(line, pointers=pointers), gradient_axes(self.convolution.rows))

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
        vectors = math.ceil(line.valid * c.multiplier / self.lanes)

        def pixels(x: Operand, size: int, taps: range) -> None:
            def row(t: Operand, totals: list[Value]) -> list[Value]:
                tap = function.add(first, t)
                i = function.add(function.mul(tap, rows.tap_pitch), rows.first_tap)
                y = function.add(top, function.mul(tap, rows.step))
                weights = self.place(function, filters, i, 0, c.kernel_width, c.filters)
                shares = self.place(function, gradient, y, x, c.result_width, c.filters)
                for u in taps:
                    j = columns.first_tap + u * columns.tap_pitch
                    for k in range(vectors):
                        weight = self._load_filters(function, weights, j, k, line)
                        for n in range(size):
                            value = self._load_filters(function, shares, n + u * columns.step + columns.start, k, line)
                            at = n * vectors + k
                            totals[at] = self.arithmetic.multiply_add(function, value, weight, totals[at])
                return totals

            totals = loop_if_any(function, count, [self.zero] * (size * vectors), row)
            sums = [self._sum_filters(function, totals[n * vectors : (n + 1) * vectors]) for n in range(size)]
            at = function.add(start, function.add(function.mul(x, columns.pitch), columns.first))
            self.finish(function, line, sums, at, [n * columns.pitch for n in range(size)])

        over_groups(function, columns, max(1, GROUP // vectors), pixels)

    def _load_filters(self, function: Function, base: Value, number: int, k: int, line: Line) -> Value:
        """Vector k of the filters of the line's channels, of a pixel or a tap."""
        c = self.convolution
        place = function.offset(base, number * c.filters + k * self.lanes, self.element)
        mask = lane_mask(line.valid * c.multiplier - k * self.lanes, self.lanes)
        return load(function, self.machine, place, c.dtype, self.lanes, mask)

    def _sum_filters(self, function: Function, vectors: list[Value]) -> Value:
        """Lane c of the result is the sum of lanes c * multiplier ... of the vectors, one after the other."""
        lanes, count = self.lanes, self.convolution.multiplier
        even, odd = range(0, 2 * lanes, 2), range(1, 2 * lanes, 2)
        while count % 2 == 0:
            vectors = vectors + [self.zero] * (len(vectors) % 2)
            pairs = list(zip(vectors[::2], vectors[1::2]))
            vectors = [function.fadd(function.shuffle(a, b, even), function.shuffle(a, b, odd)) for a, b in pairs]
            count //= 2
        total = _every(function, vectors, 0, count)
        for q in range(1, count):
            total = function.fadd(total, _every(function, vectors, q, count))
        return total


def _every(function: Function, vectors: Sequence[Value], start: int, step: int) -> Value:
    """Lanes start, start + step ... of the vectors, one after the other; those after their end mean nothing."""
    if step == 1:
        return vectors[0]
    lanes = vectors[0].lanes
    result = function.shuffle(vectors[0], vectors[0], [(start + c * step) % lanes for c in range(lanes)])
    for number in range(1, len(vectors)):
        places = [start + c * step - number * lanes for c in range(lanes)]
        picked = [lanes + place if 0 <= place < lanes else c for c, place in enumerate(places)]
        result = function.shuffle(result, vectors[number], picked)
    return result
