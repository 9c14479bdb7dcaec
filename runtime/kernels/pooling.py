"""Pooling of images and its gradients, channel by channel: the largest element or the mean of each window."""

from __future__ import annotations

from graphc import dtypes
from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.function import Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import TypedValue, combine, identity, load, memory_element, register_type, store, typed
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.convolution import Axis, ImageWindows, forward_axis
from graphc.runtime.kernels.windows import ChannelVectors, Line, LineKernel, loop_if_any, over_groups, valid_taps
from graphc.runtime.schedule.machine import Machine

MOST_VECTORS = 4  # of one window that are taken together, or of neighbouring windows where channels are fewer


@record
class Pooling(ImageWindows):
    """Windows of `kernel` rows and columns over NHWC images; `padding` is top, bottom, left, right and never counts.

    Every window must hold at least one element of the image.
    """

    images: int
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dtype: DType = dtypes.float32

    @property
    def rows(self) -> Axis:
        return forward_axis(self.height, self.kernel[0], self.strides[0], 1, self.padding[:2])

    @property
    def columns(self) -> Axis:
        return forward_axis(self.width, self.kernel[1], self.strides[1], 1, self.padding[2:])

    @property
    def image_size(self) -> int:
        return self.height * self.width * self.channels

    @property
    def result_size(self) -> int:
        return self.result_height * self.result_width * self.channels

    @property
    def elements_in_windows(self) -> int:
        """Of all windows together, without those in the padding."""
        return self.images * self.channels * self.rows.total_taps * self.columns.total_taps

    @property
    def bytes_moved(self) -> int:
        return self.images * (self.image_size + self.result_size) * self.dtype.size


def build_max_pool(pooling: Pooling, machine: Machine, threads: int) -> Kernel:
    """[images, result]; a window with a NaN gives NaN."""
    return _Pool(pooling, machine, threads, "max").kernel()


def build_average_pool(pooling: Pooling, machine: Machine, threads: int) -> Kernel:
    """[images, result], of floating-point numbers."""
    return _Pool(pooling, machine, threads, "average").kernel()


def build_max_pool_gradient(pooling: Pooling, machine: Machine, threads: int) -> Kernel:
    """[images, result, gradient of the result, gradient of the images]: to the first maximum of each window, row by row."""
    return _PoolGradient(pooling, machine, threads, "max").kernel()


def build_average_pool_gradient(pooling: Pooling, machine: Machine, threads: int) -> Kernel:
    """[gradient of the result, gradient of the images]."""
    return _PoolGradient(pooling, machine, threads, "average").kernel()


class _Pool:
    """One line of windows for one vector of channels."""

    operand_names: tuple[str, ...] = ("image", "result")

    def __init__(self, pooling: Pooling, machine: Machine, threads: int, kind: str):
        self.pooling, self.machine, self.threads, self.kind = pooling, machine, threads, kind
        self.dtype, self.compute = pooling.dtype, pooling.dtype.compute
        self.vectors = self.neighbours(machine.lanes(self.compute.bits))
        self.lanes = machine.lanes(self.compute.bits) * self.vectors
        self.type = register_type(self.compute, self.lanes)
        self.element = memory_element(self.dtype)

    def neighbours(self, lanes: int) -> int:
        """Neighbouring vectors of channels that are taken together, so that memory is read in longer pieces.

        As many as leave no rest, and where the threads share the channels, enough for each of them.
        """
        p, count = self.pooling, MOST_VECTORS
        while count > 1:
            blocks, rest = divmod(p.channels, count * lanes)
            if not rest and (not self.shares_lines() or p.images * blocks >= 2 * self.threads):
                break
            count //= 2
        return count

    def kernel(self) -> Kernel:
        p, module = self.pooling, Module()
        sizes = [p.image_size if name == "image" else p.result_size for name in self.operand_names]
        operands = [(size, 1, self.element) for size in sizes]
        moved = p.bytes_moved * len(sizes) // 2
        lines = LineKernel(
            module,
            (p.images, p.result_height),
            ChannelVectors(self.lanes, self.lanes, p.channels),
            operands,
            self.emit_line,
            self.threads,
            moved,
            self.shares_lines(),
        )
        lines.emit()
        family = f"{self.kind}_pool{'_gradient' if isinstance(self, _PoolGradient) else ''}"
        return make_kernel(
            family, str(module), chunks=lines.chunks, schedule=lines.schedule, operations=self.operations, bytes_moved=moved
        )

    @property
    def operations(self) -> int:
        """A comparison or a sum for each element of each window, and for means a division."""
        p = self.pooling
        if not self.dtype.is_floating:
            return 0
        return p.elements_in_windows + (p.images * p.result_size if self.kind == "average" else 0)

    def shares_lines(self) -> bool:
        """Different lines of windows write to the same places."""
        return False

    def emit_line(self, function: Function, line: Line) -> None:
        p, (image, result), y, mask = self.pooling, line.pointers, line.y, line.mask
        first, count = valid_taps(function, p.rows, y)
        top = self._line_of(function, image, y, first)
        target = function.offset(result, function.mul(y, p.result_width * p.channels), self.element)
        start = identity("max" if self.kind == "max" else "sum", self.compute)

        def windows(x: Operand, size: int, taps: range) -> None:
            def row(i: Operand, totals: list[Value]) -> list[Value]:
                for j in taps:
                    totals = [
                        self._combine(function, total, self._load(function, self._tap(function, top, i, x, n, j), mask))
                        for n, total in enumerate(totals)
                    ]
                return totals

            fresh = [constant(start, self.type)] * size
            for n, total in enumerate(loop_if_any(function, count, fresh, row)):
                if self.kind == "average":
                    total = self._divide(function, total, count, len(taps))
                place = function.offset(target, function.mul(function.add(x, n), p.channels), self.element)
                self._store(function, total, place, mask)

        over_groups(function, p.columns, MOST_VECTORS // self.vectors, windows)

    # -- steps

    def _line_of(self, function: Function, image: Value, y: Operand, tap: Operand) -> Value:
        """The line of the image that a line of windows sees with one of its taps."""
        p = self.pooling
        line = function.add(function.add(function.mul(y, p.rows.stride), p.rows.start), tap)
        return function.offset(image, function.mul(line, p.width * p.channels), self.element)

    def _tap(self, function: Function, top: Value, i: Operand, x: Operand, n: int, j: int) -> Value:
        p = self.pooling
        row = function.offset(top, function.mul(i, p.width * p.channels), self.element)
        if isinstance(x, int):
            return function.offset(row, ((x + n) * p.strides[1] + j + p.columns.start) * p.channels, self.element)
        row = function.offset(row, function.mul(x, p.strides[1] * p.channels), self.element)
        return function.offset(row, (n * p.strides[1] + j + p.columns.start) * p.channels, self.element)

    def _load(self, function: Function, place: Value, mask: Value | None) -> TypedValue:
        return load(function, self.machine, place, self.dtype, self.lanes, mask)

    def _store(self, function: Function, value: Value, place: Value, mask: Value | None) -> None:
        store(function, self.machine, typed(value, self.dtype), place, self.dtype, mask)

    def _combine(self, function: Function, total: Value, value: Value) -> Value:
        return combine(function, "max" if self.kind == "max" else "sum", total, value, self.compute)

    def _divide(self, function: Function, total: Value, rows: Operand, columns: int) -> Value:
        """By the number of elements; where that is a power of two, a product is the same."""
        if isinstance(rows, int):
            count = rows * columns
            if count & (count - 1) == 0:
                return function.fmul(total, 1.0 / count)
            return function.fdiv(total, float(count))
        counted = function.cast("sitofp", function.coerce(function.mul(rows, columns), "i64"), _scalar(self.type))
        return function.fdiv(total, function.splat(counted, self.lanes))


class _PoolGradient(_Pool):
    """Adds to every element of the image what its windows give it; one line of windows at a time."""

    def __init__(self, pooling: Pooling, machine: Machine, threads: int, kind: str):
        super().__init__(pooling, machine, threads, kind)
        gradients = ("gradient", "image")
        self.operand_names = ("image", "result", *gradients) if kind == "max" else gradients
        (height, width), (down, right) = pooling.kernel, pooling.strides
        self.alone = height <= down and width <= right  # every element belongs to one window at most

    def shares_lines(self) -> bool:
        return self.pooling.kernel[0] > self.pooling.strides[0]

    def emit_line(self, function: Function, line: Line) -> None:
        p, rows = self.pooling, self.pooling.rows
        pointers, y, mask = line.pointers, line.y, line.mask
        self._clear(function, pointers[-1], y, mask)
        first, count = valid_taps(function, rows, y)
        target = self._line_of(function, pointers[-1], y, first)
        source = self._line_of(function, pointers[0], y, first)
        at_line = function.mul(y, p.result_width * p.channels)

        def window(x: Operand, size: int, taps: range) -> None:
            at = function.add(at_line, function.mul(x, p.channels))
            gradient: Value = self._load(function, function.offset(pointers[-2], at, self.element), mask)
            if self.kind == "max":
                largest = self._load(function, function.offset(pointers[1], at, self.element), mask)
            else:
                gradient = self._divide(function, gradient, count, len(taps))

            def row(i: Operand, carried: list[Value]) -> list[Value]:
                rest = carried[0]
                for j in taps:
                    place, share = self._tap(function, target, i, x, 0, j), rest
                    if self.kind == "max":
                        here = self._load(function, self._tap(function, source, i, x, 0, j), mask)
                        share, rest = self._first_maximum(function, here, largest, rest)
                    if not self.alone:
                        share = combine(function, "sum", self._load(function, place, mask), share, self.compute)
                    self._store(function, share, place, mask)
                return [rest]

            loop_if_any(function, count, [gradient], row)

        over_groups(function, p.columns, 1, window)

    def _first_maximum(self, function: Function, here: Value, largest: Value, rest: Value) -> tuple[Value, Value]:
        """What an element gets of a window's gradient, and what is left for those after it."""
        floating = self.compute.is_floating
        equal = function.fcmp("oeq", here, largest) if floating else function.icmp("eq", here, largest)
        zero = constant(0, rest.type)
        return function.select(equal, rest, zero), function.select(equal, zero, rest)

    def _clear(self, function: Function, image: Value, y: Value, mask: Value | None) -> None:
        """Zeros in the lines of the image that this line of windows is the first to reach, and those up to the next one's.

        The first line of windows clears those above it too, the last one all that are left.
        """
        p, rows = self.pooling, self.pooling.rows
        if self.alone and self._covered():
            return
        zero = constant(0, self.type)

        def line(h: Operand, _: list[Value]) -> list[Value]:
            place = function.offset(image, function.mul(h, p.width * p.channels), self.element)

            def pixel(w: Operand, _: list[Value]) -> list[Value]:
                self._store(function, zero, function.offset(place, function.mul(w, p.channels), self.element), mask)
                return []

            function.loop(0, p.width, 1, [], pixel)
            return []

        is_first, is_last = function.icmp("eq", y, 0), function.icmp("eq", y, rows.outputs - 1)
        shared = max(0, rows.taps - rows.stride)
        begin = function.coerce(function.add(function.mul(y, rows.stride), rows.start + shared), "i64")
        end = function.add(begin, rows.stride)
        low = function.select(is_first, 0, function.maximum(begin, 0))
        high = function.select(is_last, p.height, function.minimum(end, p.height))
        with function.when(function.icmp("slt", low, high)):
            function.loop(low, high, 1, [], line)

    def _covered(self) -> bool:
        """Every element of the image belongs to a window."""
        p = self.pooling
        same = p.kernel == p.strides
        return same and all(axis.taps * axis.outputs + axis.start >= axis.size for axis in (p.rows, p.columns))


def _scalar(vector: str) -> str:
    return vector.split(" x ")[1][:-1] if vector[0] == "<" else vector
