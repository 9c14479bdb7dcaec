"""How the gradient of a filter is cut: rows of taps and channels, blocks of pixels that are summed over, chunks."""

from __future__ import annotations

import math

from graphc.records import record
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.convolution import Convolution
from graphc.runtime.kernels.convolution_plan import TILE_ENDS, VECTOR_ENDS, choose_grid
from graphc.runtime.kernels.convolution_tiles import PixelBlock
from graphc.runtime.kernels.gemm_plan import (
    SECOND_HEIGHT,
    SERIAL_FLOPS,
    Pieces,
    cut_evenly,
    register_tiles,
    tile_cycles,
)
from graphc.runtime.schedule.machine import Machine

FEW_CHANNELS = 8  # under so many, a tile takes its rows from several taps
PANEL_BYTES = 64 << 10  # of the result's gradient that all tiles read before the next block of pixels
FEW_TILES = 8  # under so many, the pixels are summed in groups that run in parallel
GROUPS = 8


@record
class FilterGradientPlan:
    """A tile's rows are `pieces` of the channels of one tap or, with `runs`, of the (tap column, channel) pairs of
    `tap_lines` rows of taps at once. Pixels come in blocks of `image_block` images by `line_block` lines; `groups` of
    images or lines are summed apart and then together, a number that depends on the shapes alone."""

    runs: bool
    tap_lines: int
    pieces: Pieces
    vectors: int
    lanes: int
    image_block: int
    line_block: int
    groups: int
    grid: tuple[int, int]
    cycles: float

    def __str__(self) -> str:
        rows = "+".join(f"{count}x{size}" for size, count in self.pieces.sizes)
        what = f"{self.tap_lines} lines of taps" if self.runs else "channels of a tap"
        return (
            f"tile rows {rows} of {what} by {self.vectors} vectors of {self.lanes}; blocks of {self.image_block} images by "
            f"{self.line_block} lines; {self.groups} groups; grid {self.grid[0]}x{self.grid[1]}; "
            f"{self.cycles:.0f} cycles expected"
        )


def plan_filter_gradient(convolution: Convolution, machine: Machine, threads: int) -> FilterGradientPlan:
    c = convolution
    lanes = machine.lanes(c.dtype.compute.bits)
    runs = c.channels < FEW_CHANNELS and c.dilations[1] == 1
    best: tuple[float, int, Pieces, int] | None = None
    for height, widest in register_tiles(machine):
        vectors = min(widest, math.ceil(c.filters / lanes))
        extent = c.kernel_width * c.channels if runs else c.channels
        lines = max(1, min(c.kernel_height, height // extent)) if runs else 1
        fewest = math.ceil(extent / height)
        even = next(n for n in range(fewest, extent + 1) if extent % n == 0)
        for count in {fewest, min(even, 2 * fewest)}:
            pieces = cut_evenly(extent, count)
            cycles = _cycles(c, machine, lines, pieces, vectors, runs)
            if best is None or cycles < best[0] * 0.999:
                best = cycles, lines, pieces, vectors
    assert best is not None
    cycles, lines, pieces, vectors = best
    panels = math.ceil(c.filters / (vectors * lanes))
    tiles = tile_count(c, lines, pieces, runs)
    image_block, line_block = _pixel_blocks(c, vectors * lanes * c.dtype.compute.size, machine)
    groups = _groups(c, tiles * panels)
    grid = choose_grid(tiles, panels, max(1, threads // groups)) if c.flops >= SERIAL_FLOPS else (1, 1)
    while groups * grid[0] * grid[1] > MAXIMUM_CHUNKS:
        grid = (max(1, grid[0] // 2), grid[1])
    return FilterGradientPlan(runs, lines, pieces, vectors, lanes, image_block, line_block, groups, grid, cycles)


def tile_count(convolution: Convolution, lines: int, pieces: Pieces, runs: bool) -> int:
    """Tiles down the rows of the filter's gradient."""
    c = convolution
    return pieces.count * (math.ceil(c.kernel_height / lines) if runs else c.kernel_height * c.kernel_width)


def blocks_of_taps(convolution: Convolution, line: int, plan: FilterGradientPlan, lines: int, size: int) -> PixelBlock:
    """The rows of a tile; `line` is the distance of lines of the image in elements."""
    c = convolution
    if not plan.runs:
        return PixelBlock(1, size, 1, 0, 1, 0)
    return PixelBlock(lines, size, 1, c.dilations[0] * line, 1, c.kernel_width * c.channels)


def _cycles(c: Convolution, machine: Machine, lines: int, pieces: Pieces, vectors: int, runs: bool) -> float:
    lanes = machine.lanes(c.dtype.compute.bits)
    whole, rest = divmod(c.filters, vectors * lanes)
    widths = [(vectors, whole)] * bool(whole) + [(math.ceil(rest / lanes), 1)] * bool(rest)
    heights = [(lines, c.kernel_height // lines)] + [(c.kernel_height % lines, 1)] * bool(c.kernel_height % lines)
    total = 0.0
    for line_count, times in heights if runs else [(1, c.kernel_height * c.kernel_width)]:
        for size, count in pieces.sizes:
            for width, panels in widths:
                rows = line_count * size
                ends = TILE_ENDS + 2 * VECTOR_ENDS * rows * width
                total += times * count * panels * (c.pixels * tile_cycles(machine, rows, width) + ends)
    return total * SECOND_HEIGHT ** (len(pieces.sizes) + len(heights if runs else [1]) - 2)


def _pixel_blocks(c: Convolution, panel_bytes: int, machine: Machine) -> tuple[int, int]:
    """Images and lines of a block: its part of a panel in the first levels of cache, its images in the second."""
    line = c.result_width * panel_bytes
    image_line = c.width * c.channels * c.dtype.compute.size * c.strides[0]
    lines = max(1, min(c.result_height, PANEL_BYTES // line, machine.l2_bytes // 2 // image_line))
    lines = math.ceil(c.result_height / math.ceil(c.result_height / lines))
    if lines < c.result_height:
        return 1, lines
    images = min(PANEL_BYTES // (line * lines), machine.l2_bytes // 2 // (image_line * lines))
    return max(1, min(c.images, images)), lines


def _groups(c: Convolution, tiles: int) -> int:
    """1, or a number that lets threads share what has too few tiles; it must not depend on how many threads there are."""
    if tiles >= FEW_TILES or c.flops < SERIAL_FLOPS:
        return 1
    return min(GROUPS, c.images if c.images > 1 else c.result_height)
