"""The points of a filter: every channel and filter's 3 x 3 taps, transformed once a call before tiles are multiplied."""

from __future__ import annotations

import math

from graphc import dtypes
from graphc.runtime.emit.entry import begin_driver, begin_helper
from graphc.runtime.emit.function import F32, PTR, Module, Operand, Value
from graphc.runtime.emit.vectors import load
from graphc.runtime.kernel import MAXIMUM_CHUNKS, Kernel, make_kernel
from graphc.runtime.kernels.convolution_tiles import FilterLayout
from graphc.runtime.kernels.indexing import part_of
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.kernels.winograd import PointLayout, WinogradPlan, WinogradProblem, point_layout
from graphc.runtime.kernels.winograd_tiles import each_vector, store_points
from graphc.runtime.kernels.winograd_transforms import TAPS, Square, transform_square
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

SERIAL_ELEMENTS = 1 << 14
CHANNELS = 8  # of a unit of work


def filter_points(problem: WinogradProblem, plan: WinogradPlan) -> PointLayout:
    """How the points of one panel lie: for every channel the vectors of the panel, padded with zeros."""
    return point_layout(problem.channels, plan.panel, plan.lanes, dtypes.float32.size)


class TapTransform:
    """The kernel [filter, its points]: panel by panel, and in a panel as `filter_points` says.

    `layout` says how the filter lies; where `layout.packed`, in whole panels.
    """

    def __init__(
        self, machine: Machine, problem: WinogradProblem, plan: WinogradPlan, layout: FilterLayout, threads: int
    ):
        self.machine, self.problem, self.plan, self.layout = machine, problem, plan, layout
        self.panel = plan.panel
        self.panels = math.ceil(problem.filters / self.panel)
        self.points = filter_points(problem, plan)
        self.elements = self.panels * problem.transforms.points * self.points.point
        self.groups = math.ceil(problem.channels / CHANNELS)
        units = self.panels * self.groups
        taps = problem.channels * problem.filters * TAPS**2
        self.chunks = min(units, 2 * threads, MAXIMUM_CHUNKS) if threads > 1 and taps > SERIAL_ELEMENTS else 1
        self.serial = explain_serial(self.chunks, threads, taps, SERIAL_ELEMENTS, "elements")

    def kernel(self) -> Kernel:
        module, channels = Module(), self.problem.channels
        function = begin_driver(module)
        operands, chunk = function.arguments
        source, target = (function.load(function.offset(operands, i, PTR), PTR) for i in range(2))
        rest = self.problem.filters - (self.panels - 1) * self.panel
        row = self.problem.transforms.points * self.points.point

        def unit(number: Operand, _: list[Value]) -> list[Value]:
            panel, group = function.udiv(number, self.groups), function.urem(number, self.groups)
            first = function.mul(group, CHANNELS)
            end = function.minimum(function.add(first, CHANNELS), channels)

            def run(count: int) -> None:
                def channel(c: Operand, _: list[Value]) -> list[Value]:
                    at = function.add(function.mul(panel, self.layout.panel), function.mul(c, self.layout.channel))
                    to = function.add(function.mul(panel, row), function.mul(c, self.points.row))
                    places = [function.offset(source, at, F32), function.offset(target, to, F32)]
                    function.call(f"@{self._function(module, count)}", "void", places)
                    return []

                function.loop(first, end, 1, [], channel)

            if rest == self.panel:
                run(self.panel)
                return []
            is_last = panel == self.panels - 1 if isinstance(panel, int) else function.icmp("eq", panel, self.panels - 1)
            function.if_else(is_last, lambda: run(rest), lambda: run(self.panel))
            return []

        function.loop(*part_of(function, chunk, self.panels * self.groups, self.chunks), 1, [], unit)
        function.return_void()
        moved = (TAPS**2 * channels * self.problem.filters + self.elements) * dtypes.float32.size
        m = self.problem.transforms.outputs
        plan = f"winograd points of taps for tiles of {m}x{m} pixels, panels of {self.panel}"
        schedule = join_notes(plan, self.serial)
        return make_kernel("winograd_taps", str(module), chunks=self.chunks, schedule=schedule, bytes_moved=moved)

    def _function(self, module: Module, count: int) -> str:
        """A function (filter at a channel and panel, points) for `count` filters."""
        name = f"taps_{count}"
        if name in module.functions:
            return name
        function = begin_helper(module, name, [("source", "ptr noalias"), ("target", "ptr noalias")], as_written=True)
        source, target = function.arguments
        layout, lanes, transforms = self.layout, self.plan.lanes, self.problem.transforms

        def vector(f: Operand, valid: int) -> None:
            start = function.offset(source, f, F32)

            def tap(i: int, j: int) -> Value:
                at = function.offset(start, i * layout.tap_row + j * layout.tap_column, F32)
                mask = None if layout.packed else lane_mask(valid, lanes)
                return load(function, self.machine, at, dtypes.float32, lanes, mask)

            square: Square = [[tap(i, j) for j in range(TAPS)] for i in range(TAPS)]
            points = transform_square(function, transforms.taps, square, self.machine.has_fma)
            store_points(function, points, function.offset(target, f, F32), self.points.point, lanes)

        each_vector(function, count, lanes, vector)
        function.return_void()
        return name
