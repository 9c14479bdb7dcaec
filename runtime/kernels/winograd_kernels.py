"""Whether a convolution is worth Winograd's tiles, and the kernels that it is then made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc import dtypes
from graphc.records import record
from graphc.runtime.emit.function import Module
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.arithmetic import PlainArithmetic
from graphc.runtime.kernels.convolution import Axis, Convolution
from graphc.runtime.kernels.convolution_gradient_plan import FilterGradientPlan
from graphc.runtime.kernels.convolution_plan import DirectPlan, DirectProblem
from graphc.runtime.kernels.convolution_tiles import FilterLayout
from graphc.runtime.kernels.gemm_plan import SERIAL_FLOPS
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.kernels.winograd import (
    WinogradPlan,
    WinogradProblem,
    result_axes,
    winograd_problem,
)
from graphc.runtime.kernels.winograd_forward import TileWriter, plan_winograd
from graphc.runtime.kernels.winograd_gradient import SERIAL_BYTES, TapSums, TileSums
from graphc.runtime.kernels.winograd_gradient_plan import FilterTilesPlan, plan_filter_tiles
from graphc.runtime.kernels.winograd_products import PixelWriter, TileProducts
from graphc.runtime.kernels.winograd_scatter import WindowWriter, plan_scattered
from graphc.runtime.kernels.winograd_taps import TapTransform
from graphc.runtime.kernels.winograd_tiles import SquareReader
from graphc.runtime.kernels.winograd_transforms import TRANSFORMS, Transforms
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

WORTH_IT = 0.9  # of the direct plan's cycles: below, the tiles are taken
LARGE_TILES_DEPTH = 16  # channels from which on tiles larger than 2 x 2 lose little against the direct sum


@record
class Tiled:
    """A convolution as tiles, and the products of the direct sum, which count as the kernel's work."""

    problem: WinogradProblem
    plan: WinogradPlan
    flops: int


def allowed_transforms(method: str, depth: int) -> Sequence[Transforms]:
    """The sizes of tiles that the method permits for sums over so many channels or pixels.

    Results of tiles of 2 x 2 depend on no other inputs than those of the direct sum, and are as exact. Those of larger tiles
    depend, up to rounding, on all that their tile sees: zeros around an image leave noise, an infinity spoils the whole tile.
    """
    if method == "fast":
        return tuple(TRANSFORMS.values()) if depth >= LARGE_TILES_DEPTH else (TRANSFORMS[2],)
    return {"direct": (), "winograd3": (TRANSFORMS[3],), "winograd4": (TRANSFORMS[4],)}.get(method, (TRANSFORMS[2],))


def is_better(method: str, cycles: float, direct: float) -> bool:
    """Tiles of so many cycles are to be taken in place of a direct sum of so many."""
    return method.startswith("winograd") or cycles < WORTH_IT * direct


def choose_winograd(
    method: str, problem: DirectProblem, direct: DirectPlan, machine: Machine, threads: int
) -> Tiled | None:
    """The work as tiles where that is possible and asked for, or cheaper than the direct plan."""
    return _cheapest(method, direct, _gathered(method, problem, machine, threads))


def choose_input_gradient(
    convolution: Convolution, problem: DirectProblem, direct: DirectPlan, machine: Machine, threads: int
) -> Tiled | None:
    """The same for the gradient of the images, which may also be scattered from tiles of the result's gradient."""
    c = convolution
    found = [*_gathered(c.method, problem, machine, threads)]
    for transforms in allowed_transforms(c.method, c.filters):
        forward = winograd_problem(c.images, ((c.rows, c.columns),), c.filters, c.channels, c.dtype, transforms)
        plan = plan_scattered(forward, machine, threads) if forward is not None else None
        if forward is not None and plan is not None:
            found.append(Tiled(forward, plan, problem.flops))
    return _cheapest(c.method, direct, found)


def _gathered(method: str, problem: DirectProblem, machine: Machine, threads: int) -> Iterable[Tiled]:
    p = problem
    for transforms in allowed_transforms(method, p.channels):
        tiled = winograd_problem(p.images, p.phases, p.channels, p.filters, p.dtype, transforms)
        if tiled is not None:
            yield Tiled(tiled, plan_winograd(tiled, machine, threads), p.flops)


def _cheapest(method: str, direct: DirectPlan, candidates: Iterable[Tiled]) -> Tiled | None:
    best = min(candidates, key=lambda tiled: tiled.plan.cycles, default=None)
    if best is not None and is_better(method, best.plan.cycles, direct.cycles):
        return best
    return None


def winograd_kernels(
    name: str, tiled: Tiled, machine: Machine, threads: int, layout: FilterLayout, ending: Epilogue
) -> tuple[Kernel, Kernel, int]:
    """The kernels [filter, its points] and [images, points, those of the epilogue...], and the bytes of the points."""
    problem, plan = tiled.problem, tiled.plan
    transforms, axes = problem.transforms, (problem.rows, problem.columns)
    module, size = Module(), dtypes.float32.size
    arithmetic = PlainArithmetic(machine, dtypes.float32, dtypes.float32)
    writer: PixelWriter
    if plan.scattered:
        writer = WindowWriter(module, arithmetic, problem, ending, plan.panel, plan.sums_layout)
        matrix, read, written = transforms.results_turned, result_axes(*axes), axes
    else:
        writer = TileWriter(module, arithmetic, problem, ending, plan.panel, plan.sums_layout)
        matrix, read, written = transforms.inputs, axes, result_axes(*axes)
    reader = SquareReader(module, machine, "read", matrix, read, transforms.outputs, problem.channels)
    products = TileProducts(module, machine, problem, plan, reader, writer)
    products.emit()
    points = TapTransform(machine, problem, plan, layout, threads)
    images = _pixels(read) * problem.channels + _pixels(written) * problem.filters
    chunks = plan.grid[0] * plan.grid[1]
    kernel = make_kernel(
        name,
        str(module),
        chunks=chunks,
        workspace=products.workspace,
        schedule=join_notes(plan, explain_serial(chunks, threads, problem.flops, SERIAL_FLOPS, "FLOP")),
        flops=tiled.flops,
        bytes_moved=(problem.images * images + points.elements) * size,
    )
    return points.kernel(), kernel, points.elements * size


def _pixels(axes: tuple[Axis, Axis]) -> int:
    return axes[0].size * axes[1].size


def choose_filter_tiles(
    convolution: Convolution, direct: FilterGradientPlan, machine: Machine, threads: int
) -> tuple[WinogradProblem, FilterTilesPlan] | None:
    """The gradient of the filter by tiles, where that is possible and asked for, or cheaper than the direct plan.

    Not where taps meet padding alone: their gradient is zero, but tiles would leave the rounding errors of other taps in it.
    """
    c = convolution
    if not all(axis.reaches_all_taps for axis in (c.rows, c.columns)):
        return None
    found: list[tuple[WinogradProblem, FilterTilesPlan]] = []
    for transforms in allowed_transforms(c.method, c.pixels):
        problem = winograd_problem(c.images, ((c.rows, c.columns),), c.channels, c.filters, c.dtype, transforms)
        if problem is not None:
            found.append((problem, plan_filter_tiles(problem, machine, threads)))
    best = min(found, key=lambda pair: pair[1].cycles, default=None)
    if best is not None and is_better(c.method, best[1].cycles, direct.cycles):
        return best
    return None


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
        schedule=join_notes(plan, explain_serial(sums.chunks, threads, problem.flops, SERIAL_FLOPS, "FLOP")),
        flops=flops,
        bytes_moved=moved + size,
    )
    module = Module()
    taps = TapSums(module, machine, problem, plan, ending, threads)
    taps.emit()
    schedule = join_notes(f"{plan.groups} groups", explain_serial(taps.chunks, threads, size, SERIAL_BYTES, "bytes"))
    total = make_kernel("winograd_tap_sums", str(module), chunks=taps.chunks, schedule=schedule, bytes_moved=size)
    return products, total, size
