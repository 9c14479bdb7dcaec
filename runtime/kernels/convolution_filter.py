"""The filter of a convolution, turned for the gradient of the images: channels of the result become the summed ones.

For every phase of the gradient a panel holds, tap by tap in the order of the phase and for every channel of the result,
the vectors of the panel's input channels, padded with zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphc.runtime.emit.entry import begin_driver
from graphc.runtime.emit.function import I64, PTR, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernel import MAXIMUM_CHUNKS, Kernel, make_kernel
from graphc.runtime.kernels.arithmetic import vector_of
from graphc.runtime.kernels.convolution import Axis, Convolution
from graphc.runtime.kernels.convolution_tiles import FilterLayout
from graphc.runtime.kernels.indexing import part_of
from graphc.runtime.kernels.transpose import GroupTranspose
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

Phases = Sequence[tuple[Axis, Axis]]
Layouts = list[tuple[FilterLayout, int]]
SERIAL_ELEMENTS = 1 << 14


def turned_layouts(convolution: Convolution, phases: Phases, panel: int) -> tuple[Layouts, int]:
    """Layout and start of each phase's filter, and the elements of all."""
    layouts: Layouts = []
    start, panels = 0, math.ceil(convolution.channels / panel)
    for rows, columns in phases:
        tap = convolution.filters * panel
        whole = rows.taps * columns.taps * tap
        layouts.append((FilterLayout(columns.taps * tap, tap, panel, whole, True), start))
        start += panels * whole
    return layouts, start


class FilterTurning:
    """The kernel [filter, turned filter]; a chunk takes some of the (tap, panel) pairs.

    With `reached_only` taps are left out that fall into the padding wherever they are.
    """

    def __init__(
        self,
        convolution: Convolution,
        machine: Machine,
        phases: Phases,
        layouts: Layouts,
        panel: int,
        threads: int,
        reached_only: bool = False,
    ):
        self.convolution, self.machine, self.panel = convolution, machine, panel
        self.panels = math.ceil(convolution.channels / panel)
        self.targets = _tap_targets(convolution, phases, layouts, reached_only)
        units = len(self.targets) * self.panels
        elements = len(self.targets) * convolution.channels * convolution.filters
        self.chunks = min(units, MAXIMUM_CHUNKS, 2 * threads) if threads > 1 and elements > SERIAL_ELEMENTS else 1
        self.serial = explain_serial(self.chunks, threads, elements, SERIAL_ELEMENTS, "elements")

    def kernel(self) -> Kernel:
        module, dtype = Module(), self.convolution.dtype
        groups = GroupTranspose(module, self.machine, dtype, self.convolution.filters, self.panel, "turn_group")
        sources, starts, strides = zip(*self.targets)
        tables = [module.define_table(name, I64, values) for name, values in (("s", sources), ("d", starts), ("p", strides))]
        function = begin_driver(module)
        operands, chunk = function.arguments
        source, target = (function.load(function.offset(operands, i, PTR), PTR) for i in range(2))

        def unit(number: Operand, _: list[Value]) -> list[Value]:
            tap, panel = function.udiv(number, self.panels), function.urem(number, self.panels)
            found = [function.load(function.offset(table, tap, I64), I64) for table in tables]
            first = function.mul(function.mul(panel, self.panel), self.convolution.filters)
            at = function.offset(source, function.add(found[0], first), memory_element(dtype))
            to = function.add(found[1], function.mul(found[2], panel))
            self._panel(function, groups, at, function.offset(target, to, register_element(dtype.compute)), panel)
            return []

        function.loop(*part_of(function, chunk, len(self.targets) * self.panels, self.chunks), 1, [], unit)
        function.return_void()
        size = len(self.targets) * self.convolution.channels * self.convolution.filters * dtype.size
        schedule = join_notes(f"{len(self.targets)} taps by {self.panels} panels", self.serial)
        return make_kernel("filter_turning", str(module), chunks=self.chunks, schedule=schedule, bytes_moved=2 * size)

    def _panel(self, function: Function, groups: GroupTranspose, source: Value, target: Value, panel: Operand) -> None:
        """One tap of one panel; the last panel may have fewer channels."""
        rest = self.convolution.channels - (self.panels - 1) * self.panel
        if rest == self.panel:
            self._channels(function, groups, source, target, rest)
            return
        is_last = function.icmp("eq", panel, self.panels - 1) if isinstance(panel, Value) else panel == self.panels - 1
        function.if_else(
            is_last,
            lambda: self._channels(function, groups, source, target, rest),
            lambda: self._channels(function, groups, source, target, self.panel),
        )

    def _channels(self, function: Function, groups: GroupTranspose, source: Value, target: Value, channels: int) -> None:
        dtype, filters = self.convolution.dtype, self.convolution.filters
        element, result = memory_element(dtype), register_element(dtype.compute)

        def at_filters(f: Operand, valid: int) -> None:
            def at_channels(c: Operand, rows: int) -> None:
                at = function.add(function.mul(c, filters), f)
                to = function.add(function.mul(f, self.panel), c)
                groups.call(
                    function, function.offset(source, at, element), function.offset(target, to, result), rows, valid
                )

            whole = channels - channels % groups.rows
            _each(function, 0, whole, groups.rows, lambda c: at_channels(c, groups.rows))
            if channels > whole:
                at_channels(whole, channels - whole)

        if channels < self.panel:
            self._clear(function, target, channels)
        whole = filters - filters % groups.lanes
        _each(function, 0, whole, groups.lanes, lambda f: at_filters(f, groups.lanes))
        if filters > whole:
            at_filters(whole, filters - whole)

    def _clear(self, function: Function, target: Value, channels: int) -> None:
        """Zeros in the vectors that the channels do not fill."""
        total, lanes = self.convolution.dtype.compute, self.machine.lanes(self.convolution.dtype.compute.bits)
        zero, element = constant(0, vector_of(total, lanes)), register_element(total)

        def row(f: Operand) -> None:
            place = function.offset(target, function.mul(f, self.panel), element)
            for start in range(channels - channels % lanes, self.panel, lanes):
                function.store(zero, function.offset(place, start, element))

        _each(function, 0, self.convolution.filters, 1, row)


def _each(function: Function, start: int, stop: int, step: int, body: Callable[[Operand], None]) -> None:
    def once(index: Operand, _: list[Value]) -> list[Value]:
        body(index)
        return []

    function.loop(start, stop, step, [], once)


def _tap_targets(
    convolution: Convolution, phases: Phases, layouts: Layouts, reached_only: bool
) -> list[tuple[int, int, int]]:
    """For every tap in use: where it starts in the filter, where in the turned one, and the stride of panels there."""
    tap = convolution.channels * convolution.filters
    targets = []
    for (rows, columns), (layout, start) in zip(phases, layouts):
        for i in rows.reached_taps if reached_only else range(rows.taps):
            for j in columns.reached_taps if reached_only else range(columns.taps):
                y, x = rows.first_tap + i * rows.tap_pitch, columns.first_tap + j * columns.tap_pitch
                at = (y * convolution.kernel_width + x) * tap
                targets.append((at, start + i * layout.tap_row + j * layout.tap_column, layout.panel))
    return targets
