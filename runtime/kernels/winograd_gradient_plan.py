"""How the gradient of a filter is taken by Winograd's tiles: what is summed in which order, by which chunks, and its cost."""

from __future__ import annotations

import math

from graphc import dtypes
from graphc.records import record
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.convolution_plan import TILE_ENDS, VECTOR_ENDS
from graphc.runtime.kernels.gemm_plan import (
    SECOND_HEIGHT,
    SERIAL_FLOPS,
    Pieces,
    cut_evenly,
    register_tiles,
    tile_cycles,
)
from graphc.runtime.kernels.winograd import (
    BLOCK_TILES,
    LINE_BYTES,
    STEP_CYCLES,
    WinogradProblem,
    transform_cycles,
)
from graphc.runtime.kernels.winograd_regions import Region, one_region, split_regions
from graphc.runtime.kernels.winograd_transforms import Transforms
from graphc.runtime.schedule.machine import Machine

GROUP_TILES = 256  # of a group that is summed by itself
GROUPS = 8
REGION_IMAGES = 4  # of a group, from which on tiles at borders are taken apart
STREAMED_LINE = 1.0  # cycles to read or write a line of sums that lies far away, one after the other


@record
class FilterTilesPlan:
    """Register tiles are `pieces` of the channels by `vectors` of filters, their depth `block` tiles of the images at a time;
    `groups` of tiles are summed apart and then together, a number that depends on the shapes alone."""

    transforms: Transforms
    pieces: Pieces
    vectors: int
    lanes: int
    block: int
    groups: int
    panel_parts: int
    cycles: float
    by_region: bool

    @property
    def panel(self) -> int:
        return self.vectors * self.lanes

    def regions(self, problem: WinogradProblem) -> tuple[Region, ...]:
        return split_regions(problem) if self.by_region else one_region(problem)

    def __str__(self) -> str:
        m = self.transforms.outputs
        rows = "+".join(f"{count}x{size}" for size, count in self.pieces.sizes)
        return (
            f"winograd tiles of {m}x{m} pixels, tile rows {rows} of channels by {self.vectors} vectors of {self.lanes}; "
            f"blocks of {self.block} tiles; {self.groups} groups by {self.panel_parts}; {self.cycles:.0f} cycles expected"
        )


def plan_filter_tiles(problem: WinogradProblem, machine: Machine, threads: int) -> FilterTilesPlan:
    """The cheapest plan by the model; `threads` decides alone into how many parts the panels are cut."""
    p, transforms = problem, problem.transforms
    lanes, size = machine.lanes(dtypes.float32.bits), dtypes.float32.size
    needed = math.ceil(p.filters / lanes)
    groups = max(1, min(GROUPS, p.tiles // GROUP_TILES))
    block = min(BLOCK_TILES, machine.l2_bytes // 2 // (transforms.points * (p.channels + p.filters) * size))
    block = max(1, min(block, math.ceil(p.tiles / groups)))
    blocks = math.ceil(p.tiles / block)
    image = p.channels * p.rows.size * p.columns.size + p.filters * p.rows.outputs * p.columns.outputs
    near = math.ceil(p.images / groups) * image * size <= machine.l2_bytes // 2  # what borders read again
    by_region = near and p.images >= REGION_IMAGES * groups
    regions = split_regions(p) if by_region else one_region(p)
    share = sum(region.tiles * math.prod(region.points) for region in regions) / (p.tiles * transforms.points)
    best: tuple[float, Pieces, int] | None = None
    for height, widest in register_tiles(machine):
        vectors = min(widest, needed)
        fewest = math.ceil(p.channels / height)
        even = next(n for n in range(fewest, p.channels + 1) if p.channels % n == 0)
        for count in {fewest, min(even, 2 * fewest)}:
            pieces = cut_evenly(p.channels, count)
            cycles = _product_cycles(problem, machine, pieces, vectors, blocks)
            if best is None or cycles < best[0] * 0.999:
                best = cycles, pieces, vectors
    assert best is not None
    products, pieces, vectors = best
    products *= share
    reading = transform_cycles(machine, transforms.inputs, p.tiles, p.channels)
    reading += transform_cycles(machine, transforms.results_turned, p.tiles, p.filters)
    ending = transform_cycles(machine, transforms.taps_turned, p.channels, p.filters) + STEP_CYCLES
    lines = transforms.points * p.channels * p.filters * size // LINE_BYTES
    ending += (groups - 1) * lines * STREAMED_LINE
    if lines * LINE_BYTES > machine.l2_bytes // 2:
        ending += 2 * blocks * lines * STREAMED_LINE
    shares = p.flops >= SERIAL_FLOPS
    parts = _panel_parts(math.ceil(needed / vectors), groups, reading / products, threads) if shares else 1
    return FilterTilesPlan(
        transforms, pieces, vectors, lanes, block, groups, parts, products + reading + ending, by_region
    )


def _product_cycles(problem: WinogradProblem, machine: Machine, pieces: Pieces, vectors: int, blocks: int) -> float:
    lanes, total = machine.lanes(dtypes.float32.bits), 0.0
    whole, rest = divmod(problem.filters, vectors * lanes)
    for width, panels in ((vectors, whole), (math.ceil(rest / lanes), 1 if rest else 0)):
        if not panels:
            continue
        for height, count in pieces.sizes:
            ends = TILE_ENDS + 2 * VECTOR_ENDS * height * width
            total += panels * count * (problem.tiles * tile_cycles(machine, height, width) + blocks * ends)
    return total * problem.transforms.points * SECOND_HEIGHT ** (len(pieces.sizes) - 1)


def _panel_parts(panels: int, groups: int, reading: float, threads: int) -> int:
    """Parts of the panels so that the busiest thread has least; every part reads the tiles anew, at a share of the products."""
    best, best_cost = 1, math.inf
    for parts in range(1, min(panels, MAXIMUM_CHUNKS // groups) + 1):
        cost = math.ceil(groups * parts / max(1, threads)) * (reading + math.ceil(panels / parts) / panels)
        if cost < best_cost - 1e-9:
            best, best_cost = parts, cost
    return best
