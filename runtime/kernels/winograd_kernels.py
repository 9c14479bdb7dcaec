"""Whether a convolution is worth Winograd's tiles, and the kernels that it is then made of."""

from __future__ import annotations

from graphc import dtypes
from graphc.runtime.emit.function import Module
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.convolution import Convolution
from graphc.runtime.kernels.convolution_gradient_plan import FilterGradientPlan
from graphc.runtime.kernels.convolution_plan import DirectPlan, DirectProblem
from graphc.runtime.kernels.convolution_tiles import FilterLayout
from graphc.runtime.kernels.gemm_plan import SERIAL_FLOPS
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.winograd import (
    WinogradPlan,
    WinogradProblem,
    plan_winograd,
    winograd_axes,
    winograd_problem,
)
from graphc.runtime.kernels.winograd_forward import WinogradConvolution
from graphc.runtime.kernels.winograd_gradient import TapSums, TileSums
from graphc.runtime.kernels.winograd_gradient_plan import FilterTilesPlan, plan_filter_tiles
from graphc.runtime.kernels.winograd_taps import TapTransform
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

WORTH_IT = 0.9  # of the direct plan's cycles: below, the tiles are taken

Tiled = tuple[WinogradProblem, WinogradPlan, int]
"""The work as tiles, its plan, and the products of the direct sum, which count as the kernel's work."""


def choose_winograd(
    method: str, problem: DirectProblem, direct: DirectPlan, machine: Machine, threads: int
) -> Tiled | None:
    """The work as tiles where that is possible and asked for, or cheaper than the direct plan."""
    tiled = winograd_problem(problem) if method != "direct" else None
    if tiled is None:
        return None
    plan = plan_winograd(tiled, machine, threads)
    if method == "winograd" or plan.cycles < WORTH_IT * direct.cycles:
        return tiled, plan, problem.flops
    return None


def winograd_kernels(
    name: str, tiled: Tiled, machine: Machine, threads: int, layout: FilterLayout, ending: Epilogue
) -> tuple[Kernel, Kernel, int]:
    """The kernels [filter, its points] and [images, points, those of the epilogue...], and the bytes of the points."""
    problem, plan, flops = tiled
    points = TapTransform(machine, problem, plan, layout, threads)
    module, size = Module(), dtypes.float32.size
    convolution = WinogradConvolution(module, machine, problem, plan, ending)
    convolution.emit()
    images = problem.rows.size * problem.columns.size * problem.channels
    results = problem.rows.outputs * problem.columns.outputs * problem.filters
    chunks = plan.grid[0] * plan.grid[1]
    kernel = make_kernel(
        name,
        str(module),
        chunks=chunks,
        workspace=convolution.workspace,
        schedule=join_notes(plan, explain_serial(chunks, threads, problem.flops, SERIAL_FLOPS, "FLOP")),
        flops=flops,
        bytes_moved=(problem.images * (images + results) + points.elements) * size,
    )
    return points.kernel(), kernel, points.elements * size


def choose_filter_tiles(
    convolution: Convolution, direct: FilterGradientPlan, machine: Machine, threads: int
) -> tuple[WinogradProblem, FilterTilesPlan] | None:
    """The gradient of the filter by tiles, where that is possible and asked for, or cheaper than the direct plan."""
    c = convolution
    if c.method == "direct":
        return None
    problem = winograd_axes(c.images, c.rows, c.columns, c.channels, c.filters, c.dtype)
    if problem is None:
        return None
    plan = plan_filter_tiles(problem, machine, threads)
    return (problem, plan) if c.method == "winograd" or plan.cycles < WORTH_IT * direct.cycles else None


def filter_gradient_kernels(
    problem: WinogradProblem, plan: FilterTilesPlan, machine: Machine, threads: int, ending: Epilogue, flops: int, moved: int
) -> tuple[Kernel, Kernel, int]:
    """The kernels [images, gradient of the result, sums] and [sums, (unused), those of the epilogue...], and the bytes of the
    sums."""
    module = Module()
    sums = TileSums(module, machine, problem, plan)
    sums.emit()
    size = plan.groups * sums.group_bytes
    products = make_kernel(
        "convolution_filter_gradient",
        str(module),
        chunks=sums.chunks,
        workspace=sums.workspace,
        schedule=str(plan),
        flops=flops,
        bytes_moved=moved + size,
    )
    module = Module()
    taps = TapSums(module, machine, problem, plan, ending, threads)
    taps.emit()
    total = make_kernel("winograd_tap_sums", str(module), chunks=taps.chunks, bytes_moved=size)
    return products, total, size
