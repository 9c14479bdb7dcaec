"""Convolutions of few filters, whose vectors would be mostly empty, as gradients of a convolution of few channels.

A convolution of stride 1 is the gradient of the images of its mirror image: the convolution that takes its results for
images, its filters for channels and its taps the other way round. So its result can be scattered, and the gradient of its
filter is that of the mirror image with both operands exchanged, turned back.
"""

from __future__ import annotations

import math
from dataclasses import replace

from graphc.runtime.emit.entry import begin_entry
from graphc.runtime.emit.function import I64, PTR, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.arithmetic import PlainArithmetic, load_scalar, vector_of
from graphc.runtime.kernels.convolution import Convolution
from graphc.runtime.kernels.finish import load_operands
from graphc.runtime.kernels.tile import Epilogue, Tile
from graphc.runtime.schedule.machine import Machine


def mirror_image(convolution: Convolution, machine: Machine) -> Convolution | None:
    """The mirror image of a convolution that does not fill one vector with filters, where it has one."""
    c = convolution
    if c.strides != (1, 1) or c.filters >= machine.lanes(c.dtype.compute.bits) or c.method.startswith("winograd"):
        return None
    reach = ((c.kernel_height - 1) * c.dilations[0], (c.kernel_width - 1) * c.dilations[1])
    top, bottom, left, right = c.padding
    padding = (reach[0] - top, reach[0] - bottom, reach[1] - left, reach[1] - right)
    if min(padding) < 0:
        return None
    return replace(
        c, height=c.result_height, width=c.result_width, channels=c.filters, filters=c.channels, padding=padding
    )


def mirrored_filter(convolution: Convolution, machine: Machine, panel: int) -> tuple[Kernel, int]:
    """The kernel [filter, panels of the mirror image's taps and channels], and the elements of the panels.

    A panel has, for every channel of the convolution, its elements of the mirrored (tap, filter) pairs, and zeros after them.
    """
    c, module, total = convolution, Module(), convolution.dtype.compute
    taps, columns = c.kernel_height * c.kernel_width, c.kernel_height * c.kernel_width * c.filters
    sources = [(taps - 1 - at // c.filters) * c.channels * c.filters + at % c.filters for at in range(columns)]
    targets = [at // panel * c.channels * panel + at % panel for at in range(columns)]
    elements = math.ceil(columns / panel) * c.channels * panel
    tables = [module.define_table(name, I64, values) for name, values in (("sources", sources), ("targets", targets))]
    function = begin_entry(module)
    source, target = (function.load(function.offset(function.arguments[0], i, PTR), PTR) for i in range(2))
    zero = constant(0, vector_of(total, machine.lanes(total.bits)))

    def clear(i: Operand, _: list[Value]) -> list[Value]:
        function.store(zero, function.offset(target, i, register_element(total)))
        return []

    def column(at: Operand, _: list[Value]) -> list[Value]:
        begin, end = (function.load(function.offset(table, at, I64), I64) for table in tables)

        def channel(number: Operand, _: list[Value]) -> list[Value]:
            place = function.offset(source, function.add(begin, function.mul(number, c.filters)), memory_element(c.dtype))
            value = load_scalar(function, machine, place, c.dtype)
            to = function.add(end, function.mul(number, panel))
            function.store(value, function.offset(target, to, register_element(total)))
            return []

        function.loop(0, c.channels, 1, [], channel)
        return []

    function.loop(0, elements, machine.lanes(total.bits), [], clear)
    function.loop(0, columns, 1, [], column)
    function.return_void()
    moved = columns * c.channels * c.dtype.size
    schedule = f"{taps} taps of {c.filters} filters; serial: always"
    return make_kernel("filter_mirroring", str(module), schedule=schedule, bytes_moved=2 * moved), elements


def filter_from_mirror_image(convolution: Convolution, machine: Machine, epilogue: Epilogue) -> Kernel:
    """The kernel [gradient of the mirror image's filter, (unused), those of the epilogue...]."""
    c, module = convolution, Module()
    arithmetic = PlainArithmetic(machine, c.dtype, c.dtype)
    taps, element = c.kernel_height * c.kernel_width, register_element(c.dtype)
    function = begin_entry(module)
    table = function.arguments[0]
    source = function.load(table, PTR)
    pointers = load_operands(function, table, epilogue.operand_count)

    def tap(number: Operand, _: list[Value]) -> list[Value]:
        start = function.offset(source, function.mul(function.sub(taps - 1, number), c.filters * c.channels), element)

        def channel(at: Operand, _: list[Value]) -> list[Value]:
            value = constant(0, vector_of(c.dtype, arithmetic.lanes))
            place = function.offset(start, at, element)
            for f in range(c.filters):
                value = function.insert(value, function.load(function.offset(place, f * c.channels, element), element), f)
            row = function.add(function.mul(number, c.channels), at)
            epilogue.emit(function, Tile(function, machine, c.dtype, [[value]], row, 0, c.filters, (), pointers))
            return []

        function.loop(0, c.channels, 1, [], channel)
        return []

    function.loop(0, taps, 1, [], tap)
    function.return_void()
    moved = 2 * c.depth * c.filters * c.dtype.size
    schedule = f"{c.depth} rows of {c.filters} filters turned back; serial: always"
    return make_kernel("filter_mirroring", str(module), schedule=schedule, bytes_moved=moved)
