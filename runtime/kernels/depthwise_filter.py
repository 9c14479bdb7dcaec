"""The gradient of the filters of a depthwise convolution: sums over all pixels, in groups of lines that run in parallel.

Every line of the result is taken once for each vector of filters, with all taps at once where there are registers for their
sums, which stay in memory from line to line. The groups, whose number depends on the shapes alone, are summed at the end.
"""

from __future__ import annotations

import math

from graphc.runtime.emit.entry import begin_entry, begin_helper
from graphc.runtime.emit.function import PTR, Function, Module, Operand, Value
from graphc.runtime.emit.vectors import register_element
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.arithmetic import vector_of
from graphc.runtime.kernels.depthwise import DepthwiseConvolution, DepthwiseVectors
from graphc.runtime.kernels.finish import load_operands
from graphc.runtime.kernels.gemm_plan import SERIAL_FLOPS, cut_evenly
from graphc.runtime.kernels.indexing import part_of
from graphc.runtime.kernels.sequence import KernelSequence, SequenceStep
from graphc.runtime.kernels.tile import Epilogue, StoreEpilogue, Tile
from graphc.runtime.kernels.windows import at_vector
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

GROUPS = 8
FEWEST_SUMS = 8  # in registers, so that they do not wait for each other
SPARE_REGISTERS = 6  # for what is multiplied


def build_depthwise_filter_gradient(
    convolution: DepthwiseConvolution, machine: Machine, threads: int, epilogue: Epilogue | None = None
) -> KernelSequence:
    """[images, gradient of the result, gradient of the filter]; rows are taps, columns channels of the result."""
    ending = epilogue or StoreEpilogue(convolution.dtype, convolution.filters)
    gradient = _FilterGradient(convolution, machine, ending)
    count = 2 + ending.operand_count
    steps = (
        SequenceStep(gradient.products(threads), (0, 1, count)),
        SequenceStep(gradient.total(), (count, count, *range(2, count))),
    )
    return KernelSequence(count, steps, (gradient.groups * gradient.group_elements * gradient.arithmetic.total.size,))


class _FilterGradient(DepthwiseVectors):
    """The kernels [images, gradient of the result, sums] and [sums, (unused), those of the epilogue...].

    Sums are a vector for each group, tap and vector of filters.
    """

    def __init__(self, convolution: DepthwiseConvolution, machine: Machine, epilogue: Epilogue):
        super().__init__(convolution, machine, epilogue)
        c = convolution
        self.blocks = self.vectors()
        self.lines = c.images * c.result_height
        self.groups = max(1, min(GROUPS, self.lines)) if c.flops >= SERIAL_FLOPS else 1
        self.row_elements = self.blocks.count * self.lanes
        self.group_elements = c.kernel_height * c.kernel_width * self.row_elements
        self.sum_element, self.type = register_element(self.arithmetic.total), vector_of(self.arithmetic.total, self.lanes)
        fitting = max(1, (machine.vector_registers - SPARE_REGISTERS) // max(1, c.kernel_width))
        self.passes = cut_evenly(c.kernel_height, math.ceil(c.kernel_height / fitting))

    # -- the sums of each group

    def products(self, threads: int) -> Kernel:
        c, module = self.convolution, Module()
        function = begin_entry(module)
        table, chunk = function.arguments
        images, gradients, sums = (function.load(function.offset(table, i, PTR), PTR) for i in range(3))
        sums = function.offset(sums, function.mul(chunk, self.group_elements), self.sum_element)

        def clear(i: Operand, _: list[Value]) -> list[Value]:
            function.store(self.zero, function.offset(sums, i, self.sum_element))
            return []

        def line(number: Operand, _: list[Value]) -> list[Value]:
            n, y = function.udiv(number, c.result_height), function.urem(number, c.result_height)
            top = function.add(function.mul(y, c.rows.stride), c.rows.start)
            image = self.place(function, images, function.add(function.mul(n, c.height), top), 0, c.width, c.channels)
            share = self.place(function, gradients, number, 0, c.result_width, c.filters)

            def vector(v: Operand, _: list[Value]) -> list[Value]:
                at = function.offset(sums, function.mul(v, self.lanes), self.sum_element)

                def take(first: Operand, valid: int) -> None:
                    channel = function.udiv(first, c.multiplier)
                    places = (function.offset(image, channel, self.element), function.offset(share, first, self.element))
                    self._tap_rows(function, *places, at, top, valid)

                at_vector(function, self.blocks, v, take)
                return []

            function.loop(0, self.blocks.count, 1, [], vector)
            return []

        function.loop(0, self.group_elements, self.lanes, [], clear)
        function.loop(*part_of(function, chunk, self.lines, self.groups), 1, [], line)
        function.return_void()
        rows = "+".join(f"{count}x{size}" for size, count in self.passes.sizes)
        reason = explain_serial(self.groups, threads, c.flops, SERIAL_FLOPS, "FLOP")
        return make_kernel(
            "depthwise_filter_gradient",
            str(module),
            chunks=self.groups,
            schedule=join_notes(f"{self.lines} lines in {self.groups} groups, {rows} rows of taps at once", reason),
            flops=c.flops,
            bytes_moved=c.bytes_moved,
        )

    def _tap_rows(self, function: Function, image: Value, share: Value, sums: Value, top: Operand, valid: int) -> None:
        """Adds what one line gives to all rows of taps; those that fall outside the image come not at all."""
        c, rows = self.convolution, self.convolution.rows

        def call(first: Operand, count: int) -> None:
            seen = self.place(function, image, function.mul(first, rows.step), 0, c.width, c.channels)
            target = function.offset(sums, function.mul(first, c.kernel_width * self.row_elements), self.sum_element)
            function.call(f"@{self._line_function(function.module, count, valid)}", "void", [seen, share, target])

        def all_rows() -> None:
            first = 0
            for size, times in self.passes.sizes:
                for _ in range(times):
                    call(first, size)
                    first += size

        def some_rows() -> None:
            def row(i: Operand, _: list[Value]) -> list[Value]:
                y = function.add(top, function.mul(i, rows.step))
                inside = function.bit_and(function.icmp("sge", y, 0), function.icmp("slt", y, c.height))
                with function.when(inside):
                    call(i, 1)
                return []

            function.loop(0, rows.taps, 1, [], row)

        if not rows.padded:
            all_rows()
            return
        last = function.add(top, (rows.taps - 1) * rows.step)
        inside = function.bit_and(function.icmp("sge", top, 0), function.icmp("slt", last, c.height))
        function.if_else(inside, all_rows, some_rows)

    def _line_function(self, module: Module, tap_rows: int, valid: int) -> str:
        """A function (line of the image, line of the gradient, sums) for some rows of taps that lie inside."""
        name = f"line_{tap_rows}_{valid}"
        if name in module.functions:
            return name
        c, columns = self.convolution, self.convolution.columns
        arguments = [(name_, "ptr noalias") for name_ in ("image", "share", "sums")]
        function = begin_helper(module, name, arguments)
        image, share, sums = function.arguments
        taps = tap_rows * columns.taps
        sets = max(1, math.ceil(FEWEST_SUMS / max(1, taps)))  # of sums, for pixels in turn
        whole = [o for o in range(columns.outputs) if len(columns.valid_taps(o)) == columns.taps]
        low, high = (whole[0], whole[-1] + 1) if whole else (columns.outputs, columns.outputs)
        end = low + (high - low) // sets * sets
        every = range(columns.taps)

        def pixels(x: Operand, totals: list[Value], count: int, valid_taps: range) -> list[Value]:
            totals = list(totals)
            shares = function.offset(share, function.mul(x, c.filters), self.element)
            seen = function.offset(image, function.mul(x, columns.stride * c.channels), self.element)
            for number in range(count):
                factor = self.load(function, function.offset(shares, number * c.filters, self.element), valid)
                for i in range(tap_rows):
                    for j in valid_taps:
                        column = number * columns.stride + columns.start + j * columns.step
                        at = (i * c.rows.step * c.width + column) * c.channels
                        value = self.load_channels(function, function.offset(seen, at, self.element), valid)
                        slot = number * taps + i * columns.taps + j
                        totals[slot] = self.arithmetic.multiply_add(function, value, factor, totals[slot])
            return totals

        places = [function.offset(sums, tap * self.row_elements, self.sum_element) for tap in range(taps)]
        totals = [function.load(place, self.type) for place in places] + [self.zero] * ((sets - 1) * taps)
        for x in (*range(low), *range(high, columns.outputs)):
            totals = pixels(x, totals, 1, columns.valid_taps(x))
        totals = function.loop(low, end, sets, totals, lambda x, values: pixels(x, values, sets, every))
        if high > end:
            totals = pixels(end, totals, high - end, every)
        for tap, place in enumerate(places):
            total = totals[tap]
            for number in range(1, sets):
                total = function.fadd(total, totals[number * taps + tap])
            function.store(total, place)
        function.return_void()
        return name

    # -- the sum of the groups

    def total(self) -> Kernel:
        c, module = self.convolution, Module()
        function = begin_entry(module)
        table = function.arguments[0]
        sums = function.load(table, PTR)
        pointers = load_operands(function, table, self.epilogue.operand_count)

        def vector(v: Operand, _: list[Value]) -> list[Value]:
            def take(first: Operand, valid: int) -> None:
                def tap(row: Operand, _: list[Value]) -> list[Value]:
                    at = function.add(function.mul(row, self.row_elements), function.mul(v, self.lanes))
                    place = function.offset(sums, at, self.sum_element)
                    total = function.load(place, self.type)
                    for group in range(1, self.groups):
                        other = function.offset(place, group * self.group_elements, self.sum_element)
                        total = function.fadd(total, function.load(other, self.type))
                    dtype, machine = self.arithmetic.total, self.machine
                    self.epilogue.emit(function, Tile(function, machine, dtype, [[total]], row, first, valid, (), pointers))
                    return []

                function.loop(0, c.kernel_height * c.kernel_width, 1, [], tap)

            at_vector(function, self.blocks, v, take)
            return []

        function.loop(0, self.blocks.count, 1, [], vector)
        function.return_void()
        elements = c.kernel_height * c.kernel_width * c.filters
        return make_kernel(
            "sum_of_groups", str(module), schedule=f"sum of {self.groups} groups; serial: always",
            operations=(self.groups - 1) * elements, bytes_moved=(self.groups + 1) * elements * c.dtype.size,
        )  # fmt: skip
