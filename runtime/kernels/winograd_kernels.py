"""Whether a convolution is worth Winograd's tiles, and the kernels that it is then made of."""

from __future__ import annotations

from graphc import dtypes
from graphc.runtime.emit.function import Module
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.convolution_plan import DirectPlan, DirectProblem
from graphc.runtime.kernels.convolution_tiles import FilterLayout
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.winograd import WinogradPlan, WinogradProblem, plan_winograd, winograd_problem
from graphc.runtime.kernels.winograd_forward import WinogradConvolution
from graphc.runtime.kernels.winograd_taps import TapTransform
from graphc.runtime.schedule.machine import Machine

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
    kernel = make_kernel(
        name,
        str(module),
        chunks=plan.grid[0] * plan.grid[1],
        workspace=convolution.workspace,
        schedule=str(plan),
        flops=flops,
        bytes_moved=(problem.images * (images + results) + points.elements) * size,
    )
    return points.kernel(), kernel, points.elements * size
