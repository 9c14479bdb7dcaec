"""How a direct convolution is cut: what the rows of a register tile are, its shape, the order of loops, the chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator

from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.convolution import Axis
from graphc.runtime.kernels.gemm_plan import (
    SECOND_HEIGHT,
    SERIAL_FLOPS,
    Pieces,
    cut_evenly,
    register_tiles,
    tile_cycles,
)
from graphc.runtime.schedule.machine import Machine

TILE_ENDS = 12.0  # cycles to begin and end a tile, and for each of its vectors
VECTOR_ENDS = 1.5
COPY_CYCLES = 3.0  # of a vector that is copied for padding
CACHE_SETS = 64
CACHE_WAYS = 10  # that tile rows may take of one set
CONFLICT = 1.5
FEWEST_IMAGES = 4


@record
class DirectProblem:
    """A convolution (or one of those that make up a gradient) as loops over axes.

    Every phase is a pair of axes, of rows and of columns; together they give every pixel of the result once.
    """

    images: int
    height: int
    width: int
    channels: int
    filters: int
    result_height: int
    result_width: int
    phases: tuple[tuple[Axis, Axis], ...]
    dtype: DType

    @property
    def flops(self) -> int:
        taps = sum(rows.total_taps * columns.total_taps for rows, columns in self.phases)
        return 2 * self.images * taps * self.channels * self.filters

    @property
    def padded_columns(self) -> bool:
        return any(columns.padded for _, columns in self.phases)

    @property
    def before(self) -> int:
        return max(columns.before for _, columns in self.phases)

    @property
    def padded_width(self) -> int:
        return self.before + self.width + max(columns.after for _, columns in self.phases)


@record
class DirectPlan:
    """Tiles of neighbouring pixels, or of one pixel in several images (`by_images`), which needs no padding.

    `lines` of `pieces[phase]` columns make a tile; by images, `pieces[0]` cuts the images.
    """

    by_images: bool
    vectors: int
    lanes: int
    lines: int
    pieces: tuple[Pieces, ...]
    filter_outside: bool
    grid: tuple[int, int]
    cycles: float

    @property
    def panel(self) -> int:
        return self.vectors * self.lanes

    def __str__(self) -> str:
        shapes = sorted({size for pieces in self.pieces for size, _ in pieces.sizes}, reverse=True)
        what = "images of a pixel" if self.by_images else f"pixels in {self.lines} lines"
        order = "filter panels" if self.filter_outside else "pixels"
        return (
            f"tiles of {', '.join(map(str, shapes))} {what} by {self.vectors} vectors of {self.lanes}; {order} outside; "
            f"grid {self.grid[0]}x{self.grid[1]}; {self.cycles:.0f} cycles expected"
        )


def plan_direct(problem: DirectProblem, machine: Machine, threads: int) -> DirectPlan:
    """The cheapest plan by the model; `threads` only decides the grid, so no bit of the result depends on it."""
    best: DirectPlan | None = None
    for candidate in (*_by_pixels(problem, machine), *_by_images(problem, machine)):
        if best is None or candidate.cycles < best.cycles * 0.999:
            best = candidate
    assert best is not None
    return _with_grid(best, problem, threads)


def register_widths(problem: DirectProblem, machine: Machine) -> list[tuple[int, int]]:
    """(rows, vectors) of the register tiles that the filters can fill."""
    lanes = machine.lanes(problem.dtype.compute.bits)
    needed = math.ceil(problem.filters / lanes)
    return sorted({(height, min(vectors, needed)) for height, vectors in register_tiles(machine)}, reverse=True)


def _panel_widths(problem: DirectProblem, lanes: int, vectors: int) -> list[tuple[int, int]]:
    """(vectors, panels) for whole panels and the last one."""
    whole, rest = divmod(problem.filters, vectors * lanes)
    return [(vectors, whole)] * bool(whole) + [(math.ceil(rest / lanes), 1)] * bool(rest)


def tiles_cycles(problem: DirectProblem, machine: Machine, vectors: int, pieces: Pieces, lines: int, steps: float) -> float:
    """Cycles of all tiles of `pieces`, each with that many depth steps."""
    lanes, total = machine.lanes(problem.dtype.compute.bits), 0.0
    for width, panels in _panel_widths(problem, lanes, vectors):
        for size, count in pieces.sizes:
            rows = size * lines
            ends = TILE_ENDS + VECTOR_ENDS * rows * width
            total += panels * count * (steps * tile_cycles(machine, rows, width) + ends)
    return total * SECOND_HEIGHT ** (len(pieces.sizes) - 1)


def _by_pixels(problem: DirectProblem, machine: Machine) -> Iterator[DirectPlan]:
    lanes = machine.lanes(problem.dtype.compute.bits)
    padded_rows = any(rows.padded for rows, _ in problem.phases)
    copy = 0.0
    if problem.padded_columns:
        copy = COPY_CYCLES * problem.images * problem.height * problem.padded_width * problem.channels / lanes
    for height, vectors in register_widths(problem, machine):
        shapes: set[tuple[int, int]] = set()
        widest = max((columns.outputs for _, columns in problem.phases), default=1)
        for count in range(math.ceil(widest / height), widest + 1):
            width = math.ceil(widest / count)
            lines = 1 if padded_rows or count > 1 else max(1, height // width)
            shapes.add((width, lines))
            if 2 * width < min(height, widest):
                break
        for width, lines in shapes:
            cycles, cuts = copy, list[Pieces]()
            for rows, columns in problem.phases:
                pieces = cut_evenly(columns.outputs, math.ceil(columns.outputs / width))
                cuts.append(pieces)
                full, rest = divmod(rows.outputs, lines)
                average = rows.total_taps / rows.outputs * columns.taps * problem.channels
                for count, size in ((full, lines), (1, rest)):
                    if size:
                        cycles += problem.images * count * tiles_cycles(problem, machine, vectors, pieces, size, average)
                cycles *= SECOND_HEIGHT if rest else 1
            yield DirectPlan(False, vectors, lanes, lines, tuple(cuts), False, (1, 1), cycles)


def _by_images(problem: DirectProblem, machine: Machine) -> Iterator[DirectPlan]:
    if problem.images < FEWEST_IMAGES:
        return
    lanes = machine.lanes(problem.dtype.compute.bits)
    taps = sum(rows.total_taps * columns.total_taps for rows, columns in problem.phases)
    pixels = problem.result_height * problem.result_width
    image_bytes = problem.height * problem.width * problem.channels * problem.dtype.size
    for height, vectors in register_widths(problem, machine):
        fewest = math.ceil(problem.images / height)
        even = next(n for n in range(fewest, problem.images + 1) if problem.images % n == 0)
        for count in {fewest, min(even, 2 * fewest)}:
            pieces = cut_evenly(problem.images, count)
            steps = taps * problem.channels / pixels
            cycles = pixels * tiles_cycles(problem, machine, vectors, pieces, 1, steps)
            if _ways(pieces.highest, image_bytes) > CACHE_WAYS:
                cycles *= CONFLICT
            yield DirectPlan(True, vectors, lanes, 1, (pieces,), False, (1, 1), cycles)


def _ways(rows: int, distance: int) -> int:
    """Lines that rows at this distance need in the fullest set of the first cache."""
    sets = [(r * distance // 64) % CACHE_SETS for r in range(rows)]
    return max(sets.count(s) for s in sets)


def _with_grid(plan: DirectPlan, problem: DirectProblem, threads: int) -> DirectPlan:
    panels = math.ceil(problem.filters / (plan.vectors * plan.lanes))
    taps = max((rows.taps * columns.taps for rows, columns in problem.phases), default=0)
    filter_bytes = taps * problem.channels * problem.filters * problem.dtype.size
    units = problem.result_height * problem.result_width
    if not plan.by_images:
        units = problem.images * math.ceil(max(rows.outputs for rows, _ in problem.phases) / plan.lines)
    grid = choose_grid(units, panels, threads) if problem.flops >= SERIAL_FLOPS else (1, 1)
    outside = filter_bytes > FILTER_BYTES
    return DirectPlan(
        plan.by_images, plan.vectors, plan.lanes, plan.lines, plan.pieces, outside, grid, plan.cycles
    )


FILTER_BYTES = 192 << 10  # of a filter that is read again for every line of pixels


def choose_grid(units: int, panels: int, threads: int) -> tuple[int, int]:
    """Parts of two dimensions of work so that the busiest thread has least; the first dimension is cut by preference."""
    if threads <= 1:
        return 1, 1
    best, best_cost = (1, 1), math.inf
    for second in range(1, min(panels, 2 * threads) + 1):
        for rounds in (1, 2, 4):
            first = min(units, max(1, threads * rounds // second), MAXIMUM_CHUNKS // second)
            if first < 1:
                continue
            share = math.ceil(units / first) * math.ceil(panels / second) / (units * panels)
            cost = math.ceil(first * second / threads) * share + 1e-3 * (second - 1) + 1e-4 * first
            if cost < best_cost - 1e-9:
                best, best_cost = (first, second), cost
    return best
