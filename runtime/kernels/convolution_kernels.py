"""Kernels of convolutions and their gradients: which method each shape takes.

Every function takes the shapes of the forward convolution and gives a sequence of kernels over the operands [first,
second, those of the epilogue...]; without an epilogue the third operand is the result. An epilogue sees the pixels of its
result (or the taps and channels of the filter), counted in the order of memory, as rows, and channels as columns.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.runtime.emit.function import Module
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.contraction import Contraction
from graphc.runtime.kernels.convolution import Convolution, gradient_axes
from graphc.runtime.kernels.convolution_direct import DirectConvolution
from graphc.runtime.kernels.convolution_filter import FilterTurning, Layouts, turned_layouts
from graphc.runtime.kernels.convolution_gradient import FilterGradient
from graphc.runtime.kernels.convolution_gradient_plan import plan_filter_gradient
from graphc.runtime.kernels.convolution_mirrored import filter_from_mirror_image, mirror_image, mirrored_filter
from graphc.runtime.kernels.convolution_plan import DirectPlan, DirectProblem, plan_direct
from graphc.runtime.kernels.convolution_scatter import ScatteredGradient, ScatterPlan, plan_scatter, tap_products
from graphc.runtime.kernels.convolution_tiles import FilterLayout
from graphc.runtime.kernels.gemm import build_contraction
from graphc.runtime.kernels.gemm_plan import SERIAL_FLOPS
from graphc.runtime.kernels.sequence import KernelSequence, SequenceStep, single
from graphc.runtime.kernels.tile import Epilogue, StoreEpilogue
from graphc.runtime.kernels.winograd_kernels import (
    Tiled,
    choose_filter_tiles,
    choose_input_gradient,
    choose_winograd,
    filter_gradient_kernels,
    winograd_kernels,
)
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

WORTH_SCATTERING = 0.95  # of the cycles of any other plan


def build_convolution(
    convolution: Convolution, machine: Machine, threads: int, epilogue: Epilogue | None = None
) -> KernelSequence:
    """[images, filter, result]."""
    c = convolution
    ending = epilogue or StoreEpilogue(c.dtype, c.filters)
    count = 2 + ending.operand_count
    product = _as_product(c)
    if product is not None or c.depth == 0 or c.pixels * c.filters == 0:
        pixels, depth = product or (c.pixels, 0)
        contraction = Contraction(
            pixels, c.filters, depth, depth, 1, c.filters, 1, c.filters, dtype=c.dtype
        )
        return single(build_contraction(contraction, machine, threads, epilogue), count)
    problem = DirectProblem(
        c.images,
        c.height,
        c.width,
        c.channels,
        c.filters,
        c.result_height,
        c.result_width,
        ((c.rows, c.columns),),
        c.dtype,
    )
    plan = plan_direct(problem, machine, threads)
    tiled = choose_winograd(c.method, problem, plan, machine, threads)
    mirrored = mirror_image(c, machine)
    scatter = plan_scatter(mirrored, machine, threads) if mirrored is not None else None
    if mirrored is not None and scatter is not None and _is_worth_scattering(scatter, tiled, plan):
        turning, elements = mirrored_filter(c, machine, scatter.panel)
        return _scattered("convolution", mirrored, machine, threads, scatter, turning, elements, epilogue, count)
    panel = (tiled.plan if tiled else plan).panel
    layout = FilterLayout(c.kernel_width * c.channels * c.filters, c.channels * c.filters, c.filters, panel, False)
    if tiled is not None:
        points, kernel, size = winograd_kernels("convolution", tiled, machine, threads, layout, ending)
        steps = (SequenceStep(points, (1, count), prepares=True), SequenceStep(kernel, (0, count, *range(2, count))))
        return KernelSequence(count, steps, (size,))
    return single(_direct_kernel("convolution", c, machine, threads, problem, plan, [(layout, 0)], ending), count)


def build_convolution_input_gradient(
    convolution: Convolution, machine: Machine, threads: int, epilogue: Epilogue | None = None
) -> KernelSequence:
    """[gradient of the result, filter, gradient of the images]."""
    c = convolution
    ending = epilogue or StoreEpilogue(c.dtype, c.channels)
    count = 2 + ending.operand_count
    pixels = c.images * c.height * c.width
    if pixels * c.channels * c.filters == 0 or c.rows.total_taps * c.columns.total_taps == 0:
        contraction = Contraction(pixels, c.channels, 0, 1, 1, 1, 1, c.channels, dtype=c.dtype)
        return single(build_contraction(contraction, machine, threads, epilogue), count)
    if _is_pointwise(c):
        contraction = Contraction(
            pixels, c.channels, c.filters, c.filters, 1, 1, c.filters, c.channels, dtype=c.dtype
        )
        return single(build_contraction(contraction, machine, threads, epilogue), count)
    phases = tuple((rows, columns) for rows in gradient_axes(c.rows) for columns in gradient_axes(c.columns))
    problem = DirectProblem(
        c.images,
        c.result_height,
        c.result_width,
        c.filters,
        c.channels,
        c.height,
        c.width,
        phases,
        c.dtype,
    )
    plan = plan_direct(problem, machine, threads)
    tiled = choose_input_gradient(c, problem, plan, machine, threads)
    scatter = None if c.method.startswith("winograd") else plan_scatter(c, machine, threads)
    if scatter is not None and _is_worth_scattering(scatter, tiled, plan):
        products = tap_products(c)
        phases = ((gradient_axes(products.rows)[0], gradient_axes(products.columns)[0]),)
        layouts, elements = turned_layouts(products, phases, scatter.panel)
        turning = FilterTurning(products, machine, phases, layouts, scatter.panel, threads).kernel()
        name = "convolution_input_gradient"
        return _scattered(name, c, machine, threads, scatter, turning, elements, epilogue, count)
    panel = (tiled.plan if tiled else plan).panel
    if tiled is not None and tiled.plan.scattered:
        phases = ((c.rows, c.columns),)
    layouts, elements = turned_layouts(c, phases, panel)
    by_images = tiled is None and plan.by_images
    turning = FilterTurning(c, machine, phases, layouts, panel, threads, reached_only=by_images).kernel()
    if tiled is not None:
        name, layout = "convolution_input_gradient", layouts[0][0]
        points, kernel, size = winograd_kernels(name, tiled, machine, threads, layout, ending)
        placed = SequenceStep(kernel, (0, count + 1, *range(2, count)))
        prepared = (
            SequenceStep(turning, (1, count), prepares=True),
            SequenceStep(points, (count, count + 1), prepares=True),
        )
        return KernelSequence(count, (*prepared, placed), (elements * c.dtype.compute.size, size))
    kernel = _direct_kernel("convolution_input_gradient", c, machine, threads, problem, plan, layouts, ending)
    steps = (SequenceStep(turning, (1, count), prepares=True), SequenceStep(kernel, (0, count, *range(2, count))))
    return KernelSequence(count, steps, (elements * c.dtype.compute.size,))


def _is_worth_scattering(scatter: ScatterPlan, tiled: Tiled | None, direct: DirectPlan) -> bool:
    return scatter.cycles < WORTH_SCATTERING * (tiled.plan if tiled else direct).cycles


def _scattered(
    name: str,
    convolution: Convolution,
    machine: Machine,
    threads: int,
    plan: ScatterPlan,
    turning: Kernel,
    elements: int,
    epilogue: Epilogue | None,
    count: int,
) -> KernelSequence:
    """The gradient of the convolution's images from its filter, which `turning` brings into panels of so many elements."""
    c, module = convolution, Module()
    gradient = ScatteredGradient(module, c, machine, plan, epilogue)
    gradient.emit()
    flops = 2 * c.images * c.rows.total_taps * c.columns.total_taps * c.channels * c.filters
    kernel = make_kernel(
        name,
        str(module),
        chunks=plan.chunks,
        workspace=gradient.workspace,
        schedule=join_notes(plan, explain_serial(plan.chunks, threads, c.flops, SERIAL_FLOPS, "FLOP")),
        flops=flops,
        bytes_moved=c.bytes_moved,
    )
    steps = (SequenceStep(turning, (1, count), prepares=True), SequenceStep(kernel, (0, count, *range(2, count))))
    return KernelSequence(count, steps, (elements * c.dtype.compute.size,))


def build_convolution_filter_gradient(
    convolution: Convolution, machine: Machine, threads: int, epilogue: Epilogue | None = None
) -> KernelSequence:
    """[images, gradient of the result, gradient of the filter]; an epilogue's rows are (tap row, tap column, channel)."""
    c = convolution
    ending = epilogue or StoreEpilogue(c.dtype, c.filters)
    count = 2 + ending.operand_count
    product = _as_product(c)
    if product is not None or c.pixels * c.depth * c.filters == 0:
        pixels, rows = product or (0, c.depth)
        contraction = Contraction(rows, c.filters, pixels, 1, rows, c.filters, 1, c.filters, dtype=c.dtype)
        return single(build_contraction(contraction, machine, threads, epilogue), count)
    plan = plan_filter_gradient(c, machine, threads)
    flops = 2 * c.images * c.rows.total_taps * c.columns.total_taps * c.channels * c.filters
    tiled = choose_filter_tiles(c, plan, machine, threads)
    mirrored = mirror_image(c, machine) if c.dtype is c.dtype.compute else None
    if mirrored is not None and mirrored.filters > mirrored.channels:
        other = plan_filter_gradient(mirrored, machine, threads)
        if other.cycles < WORTH_SCATTERING * (tiled[1] if tiled else plan).cycles:
            return _mirrored_filter_gradient(c, replace(mirrored, method="direct"), machine, threads, ending, count)
    if tiled is not None:
        products, ends, size = filter_gradient_kernels(*tiled, machine, threads, ending, flops, c.bytes_moved)
        steps = (SequenceStep(products, (0, 1, count)), SequenceStep(ends, (count, count, *range(2, count))))
        return KernelSequence(count, steps, (size,))
    module = Module()
    gradient = FilterGradient(module, c, machine, plan, ending)
    gradient.emit_products()
    kernel = make_kernel(
        "convolution_filter_gradient",
        str(module),
        chunks=gradient.chunks,
        workspace=gradient.workspace,
        schedule=join_notes(plan, explain_serial(gradient.chunks, threads, c.flops, SERIAL_FLOPS, "FLOP")),
        flops=flops,
        bytes_moved=c.bytes_moved,
    )
    if plan.groups == 1:
        return single(kernel, count)
    module = Module()
    FilterGradient(module, c, machine, plan, ending).emit_sum_of_groups()
    total = make_kernel(
        "sum_of_groups", str(module), schedule=f"sum of {plan.groups} groups; serial: always",
        operations=plan.groups * c.depth * c.filters, bytes_moved=plan.groups * gradient.group_bytes,
    )  # fmt: skip
    steps = (SequenceStep(kernel, (0, 1, count)), SequenceStep(total, (count, count, *range(2, count))))
    return KernelSequence(count, steps, (plan.groups * gradient.group_bytes,))


def _mirrored_filter_gradient(
    convolution: Convolution, mirrored: Convolution, machine: Machine, threads: int, ending: Epilogue, count: int
) -> KernelSequence:
    """The gradient of the mirror image's filter, in a temporary, then turned back."""
    c = convolution
    inner = build_convolution_filter_gradient(mirrored, machine, threads)
    operands = (1, 0, *range(count, count + 1 + len(inner.temporaries)))
    steps = [replace(step, operands=tuple(operands[i] for i in step.operands)) for step in inner.steps]
    last = filter_from_mirror_image(c, machine, ending)
    size = c.depth * c.filters * c.dtype.size
    return KernelSequence(
        count, (*steps, SequenceStep(last, (count, count, *range(2, count)))), (size, *inner.temporaries)
    )


def _direct_kernel(
    name: str,
    convolution: Convolution,
    machine: Machine,
    threads: int,
    problem: DirectProblem,
    plan: DirectPlan,
    layouts: Layouts,
    ending: Epilogue,
) -> Kernel:
    """The kernel that walks the images directly, forwards or for the gradient of the images."""
    module = Module()
    direct = DirectConvolution(module, machine, problem, plan, layouts, ending)
    direct.emit()
    chunks = plan.grid[0] * plan.grid[1]
    return make_kernel(
        name,
        str(module),
        chunks=chunks,
        workspace=direct.workspace,
        schedule=join_notes(plan, explain_serial(chunks, threads, problem.flops, SERIAL_FLOPS, "FLOP")),
        flops=problem.flops,
        bytes_moved=convolution.bytes_moved,
    )


def _is_pointwise(c: Convolution) -> bool:
    """A filter of one pixel at every position: a matrix product over all pixels."""
    return c.kernel_height == c.kernel_width == 1 and c.strides == (1, 1) and not any(c.padding)


def _as_product(c: Convolution) -> tuple[int, int] | None:
    """Rows and depth of the matrix product that the convolution is, if it is one."""
    if _is_pointwise(c):
        return c.pixels, c.channels
    whole = c.kernel_height == c.height and c.kernel_width == c.width and c.dilations == (1, 1)
    if whole and not any(c.padding):
        return c.images, c.depth
    return None

