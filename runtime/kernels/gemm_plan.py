"""How a matrix product is cut: register tile, orientation, packing, cache blocks and the grid of chunks.

Everything is chosen by modelled cycles of issue, of packing and of transposing. No choice changes the order in which the
products of one element are summed, so results are the same bits for every plan.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from graphc.records import record
from graphc.runtime.kernels.contraction import Contraction, ContractionOptions, Side, sides
from graphc.runtime.kernels.gemm_grid import choose_grid
from graphc.runtime.schedule.machine import Machine

SERIAL_FLOPS = 400_000  # under this a fork costs more than it saves
USUAL_DEPTH_BLOCK = 2048
LONG_DEPTH = 512
FAR_STEP = 1024  # bytes between two steps of k of the left side from which on every step is a page or cache set of its own
FAR_DEPTH = 384  # steps that stay in the first cache even so
FAR_CYCLES = 3.0
CONFLICT_CYCLES = 1.0  # of an element whose line does not stay in the first cache until its neighbours are read
LINE = 64  # bytes
L1_SET_SPAN = 4096  # bytes after which addresses fall in the same set of the first cache
WAYS_FOR_RIGHT = 3  # of a set of the first cache, that the vectors of the right side pass through
MANY_ROWS = 384  # so many that packing a panel before its use costs nothing that can be measured
CLEARLY_LESS = 0.999  # of the cycles of the best tiles so far: what others must take to be better
SECOND_HEIGHT = 1.04  # what a second height of tiles must gain before its code is worth compiling
TURNED_ARRAY = 2.0  # cycles that a short row costs in each further array that an epilogue walks by turned tiles
NEAR_SHARE = 8  # of the second cache, that a right side which all threads read may fill
RIGHT_TRAFFIC = 0.15  # cycles that a vector of the right side costs beyond its load, where it comes from afar
_ALIGNMENT = 4096


@record
class Pieces:
    """A length cut into pieces of nearly equal size: the first `taller` have `low + 1`, the others `low`."""

    count: int
    low: int
    taller: int

    @property
    def highest(self) -> int:
        return self.low + (1 if self.taller else 0)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(size, how many)."""
        both = ((self.low + 1, self.taller), (self.low, self.count - self.taller))
        return tuple((size, count) for size, count in both if count)


def cut_evenly(total: int, count: int) -> Pieces:
    return Pieces(count, total // count, total % count)


@record
class Plan:
    """`left` is broadcast down the rows of a tile, `right` lies along its vectors.

    `turned` where finished tiles are transposed in registers, because the lanes of the result run along the left side.
    """

    turned: bool
    left: Side
    right: Side
    depth: int
    lanes: int
    vectors: int  # of a whole panel
    tiles: Pieces
    left_packing: str
    right_packing: str
    depth_block: int
    row_block: int
    panel_block: int
    grid: tuple[int, int, int]
    left_stride: int  # elements between rows ("rows") or depth steps ("interleaved") of packed tiles
    left_workspace: int  # bytes of a chunk
    right_workspace: int
    partial_workspace: int
    cycles: float
    terms: int = 1  # pairs of arrays, each with a block of k of its own

    @property
    def panel(self) -> int:
        return self.vectors * self.lanes

    @property
    def panel_slot(self) -> int:
        """Elements of a packed panel; k is rounded up to whole vectors."""
        return self.panel * math.ceil(self.depth_block / self.lanes) * self.lanes

    @property
    def sums_slot(self) -> int:
        """Elements that are kept for the sums of one tile, with room for turning it in whole groups of rows."""
        return _sums_slot(self.tiles, self.panel)

    @property
    def panels(self) -> int:
        return math.ceil(self.right.extent / self.panel)

    @property
    def last_vectors(self) -> int:
        return math.ceil((self.right.extent - (self.panels - 1) * self.panel) / self.lanes)

    @property
    def last_lanes(self) -> int:
        """Valid lanes of the last vector of the last panel."""
        return self.right.extent - (self.panels - 1) * self.panel - (self.last_vectors - 1) * self.lanes

    @property
    def uneven(self) -> bool:
        """The last panel differs from the others."""
        return self.last_vectors != self.vectors or self.last_lanes != self.lanes

    @property
    def term_depth(self) -> int:
        """Steps of k from which all blocks but the last are whole vectors."""
        return self.depth // self.terms

    @property
    def depth_blocks(self) -> int:
        return math.ceil(self.depth / self.depth_block)

    @property
    def workspace(self) -> int:
        """Bytes of one chunk, whole pages, and a little more so that chunks do not share cache sets."""
        needed = self.left_workspace + self.right_workspace + self.partial_workspace
        return (needed + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT + 512 if needed else 0

    def __str__(self) -> str:
        rows = "+".join(f"{count}x{size}" for size, count in self.tiles.sizes)
        return (
            f"tile rows {rows} by {self.vectors} vectors of {self.lanes}, {self.panels} panels"
            f"{', transposed in registers' if self.turned else ''}; left {self.left_packing}, right {self.right_packing}; "
            f"k in blocks of {self.depth_block}, {self.row_block} tiles by {self.panel_block} panels; "
            f"grid {'x'.join(map(str, self.grid))}; {self.cycles:.0f} cycles expected"
        )


def register_tiles(machine: Machine) -> tuple[tuple[int, int], ...]:
    """The machine's tiles, and low wide ones for few rows, where more vectors hide the latency of the sums."""
    wide = tuple(((machine.vector_registers - v - 1) // v, v) for v in (8, 6, 5))
    return machine.tiles + tuple(tile for tile in wide if tile[0] >= 1)


def plan_contraction(
    contraction: Contraction,
    machine: Machine,
    threads: int,
    options: ContractionOptions,
    lanes_along_rows: bool = False,
    arrays: int = 1,
) -> Plan:
    """The cheapest plan by the model; `threads` only decides the grid of chunks.

    `lanes_along_rows` where the epilogue wants vectors of one column of C instead of one row; `arrays` is how many it walks.
    """
    a, b = sides(contraction)
    orientations = (False, True) if options.swap is None else (options.swap,)
    if options.right_packing == "prepacked" and options.swap is None:
        orientations = (False,)
    best: _Candidate | None = None
    for swapped in orientations:
        left, right = (b, a) if swapped else (a, b)
        turned = swapped != lanes_along_rows
        for shape in _shapes(contraction, machine, threads, options, turned, left, right):
            if best is not None and shape.cycles >= best.cycles * CLEARLY_LESS:
                continue
            candidate = _with_packing(shape, contraction, machine, options, arrays)
            if best is None or candidate.cycles < best.cycles * CLEARLY_LESS:
                best = candidate
    assert best is not None
    return _complete(best, contraction, machine, threads, options)


@record
class _Candidate:
    turned: bool
    left: Side
    right: Side
    tiles: Pieces
    vectors: int
    share: float  # of the work of an even share that the busiest thread has, and what a second height costs
    cycles: float
    right_packing: str = ""


def _shapes(
    contraction: Contraction,
    machine: Machine,
    threads: int,
    options: ContractionOptions,
    turned: bool,
    left: Side,
    right: Side,
) -> Iterator[_Candidate]:
    """All tiles, with the cycles of their multiply-adds alone."""
    lanes = machine.lanes(contraction.dtype.compute.bits)
    for height, vectors in (options.tile,) if options.tile else register_tiles(machine):
        height = min(height, lanes) if turned else height  # one square of lanes is transposed at a time
        vectors = min(vectors, math.ceil(right.extent / lanes))
        fewest = math.ceil(left.extent / height)
        for count in _tile_counts(left.extent, fewest, threads):
            tiles = cut_evenly(left.extent, count)
            cycles = _issue_cycles(machine, tiles, vectors, lanes, right.extent, contraction.depth)
            panels = math.ceil(right.extent / (vectors * lanes))
            share = SECOND_HEIGHT ** (len(tiles.sizes) - 1) * _imbalance(contraction, count * panels, threads)
            yield _Candidate(turned, left, right, tiles, vectors, share, cycles * share)


def _with_packing(
    shape: _Candidate, contraction: Contraction, machine: Machine, options: ContractionOptions, arrays: int
) -> _Candidate:
    """The same tiles with what packing and transposing cost."""
    left, right, tiles, depth = shape.left, shape.right, shape.tiles, contraction.depth
    lanes = machine.lanes(contraction.dtype.compute.bits)
    packing = options.right_packing or _right_packing(machine, left, right, depth, tiles.count)
    cycles = _packing_cycles(packing, right, depth, lanes)
    panels = math.ceil(right.extent / (shape.vectors * lanes))
    left_packing = options.left_packing or _left_packing(machine, left, tiles, depth, panels, lanes)
    cycles += _left_packing_cycles(machine, left_packing, left, tiles, depth, panels, lanes)
    if shape.turned:
        squares = tiles.count * math.ceil(right.extent / lanes)
        cycles += squares * lanes * (1 + math.log2(lanes) / 1.5 + TURNED_ARRAY * (arrays - 1))
    return replace(shape, right_packing=packing, cycles=shape.cycles + cycles * shape.share)


def _tile_counts(extent: int, fewest: int, threads: int) -> list[int]:
    """The fewest tiles, as many as threads share evenly, and the next number that makes all tiles equal."""
    counts = {fewest, min(extent, math.ceil(fewest / threads) * threads)}
    counts.update(next(([n] for n in range(fewest, min(extent, 2 * fewest) + 1) if extent % n == 0), []))
    return sorted(counts)


def _is_shared(contraction: Contraction, threads: int) -> bool:
    """Whether threads share the work."""
    return threads > 1 and contraction.flops >= SERIAL_FLOPS


def _imbalance(contraction: Contraction, tiles: int, threads: int) -> float:
    """The busiest thread's share relative to an even one."""
    if not _is_shared(contraction, threads):
        return 1.0
    pieces = contraction.batches * tiles
    return math.ceil(pieces / threads) * threads / pieces


def tile_cycles(machine: Machine, rows: int, vectors: int) -> float:
    """Cycles of one depth step of a tile: multiply-adds, loads, and the latency of the sums where they are few."""
    latency = 4 if rows * vectors < 4 * machine.fma_ports else 0
    busiest = max(rows * vectors / machine.fma_ports, (rows + vectors) / machine.load_ports, latency)
    return busiest + RIGHT_TRAFFIC * vectors


def _issue_cycles(machine: Machine, tiles: Pieces, vectors: int, lanes: int, columns: int, depth: int) -> float:
    whole, rest = divmod(columns, vectors * lanes)
    kinds = [(vectors, whole)] + ([(math.ceil(rest / lanes), 1)] if rest else [])
    total = 0.0
    for width, panels in kinds:
        for height, count in tiles.sizes:
            ends = 12 + 1.5 * height * width
            total += count * panels * (depth * tile_cycles(machine, height, width) + ends)
    return total


def _right_packing(machine: Machine, left: Side, right: Side, depth: int, tiles: int) -> str:
    if right.stride != 1:
        return "packed"
    size = depth * right.extent * right.dtype.size
    near = right.depth_stride * right.dtype.size <= FAR_STEP and size <= machine.l2_bytes // 2
    small = near or size <= machine.l1_bytes
    few = 2 if right.prologue is None else 1  # tiles that each convert what they read
    if tiles <= few or (small and not right.is_converted):
        return "direct"
    return "packed" if left.extent >= MANY_ROWS else "fused"


def _packing_cycles(packing: str, right: Side, depth: int, lanes: int) -> float:
    if packing in ("direct", "prepacked"):
        return 0.0
    elements = depth * right.extent
    if right.stride == 1:
        return elements / lanes * (1.0 if packing == "fused" else 3.0)
    if right.depth_stride == 1:
        return elements * (2 + math.log2(lanes) / 1.5) / lanes
    return elements * 2.0


def _complete(
    chosen: _Candidate, contraction: Contraction, machine: Machine, threads: int, options: ContractionOptions
) -> Plan:
    left, right, tiles = chosen.left, chosen.right, chosen.tiles
    depth, size = contraction.depth, contraction.dtype.compute.size
    lanes = machine.lanes(8 * size)
    panel = chosen.vectors * lanes
    panels = math.ceil(right.extent / panel)
    columns = right.extent if chosen.right_packing == "direct" else panels * panel
    near = chosen.right_packing in ("direct", "prepacked") and columns * depth * size * NEAR_SHARE <= machine.l2_bytes
    left_packing = options.left_packing or _left_packing(machine, left, tiles, depth, panels, lanes)
    packed = _packed_shares(machine, chosen, left_packing, depth, panels, lanes)
    cuts = (contraction.batches, tiles.count, panels)
    shared = _is_shared(contraction, threads)
    grid = options.grid or (choose_grid(contraction, cuts, threads, near, packed) if shared else (1, 1, 1))
    grid = (
        max(1, min(grid[0], contraction.batches)),
        max(1, min(grid[1], tiles.count)),
        max(1, min(grid[2], panels)),
    )
    chunk_tiles, chunk_panels = math.ceil(tiles.count / grid[1]), math.ceil(panels / grid[2])
    left_bytes = chunk_tiles * tiles.highest * depth * size
    half = machine.l2_bytes // 2
    depth_block = options.depth_block or _depth_block(contraction, left_bytes, half, lanes)
    depth_block = depth if depth_block >= depth else math.ceil(depth_block / lanes) * lanes
    if contraction.terms > 1:
        depth_block = depth // contraction.terms
    blocked = depth_block < depth
    tile_bytes = tiles.highest * depth_block * size
    row_block = min(chunk_tiles, options.row_block or max(1, half // tile_bytes))
    several = blocked or row_block < chunk_tiles  # packed panels are visited again
    panel_bytes = math.ceil(depth_block / lanes) * lanes * panel * size
    room = machine.l3_bytes // (2 * max(1, threads))
    panel_block = min(chunk_panels, options.panel_block or (max(1, min(room, 4 << 20) // panel_bytes) if several else 1))
    if contraction.terms > 1:  # sums of a block of panels stay near while the terms come and go
        panel_block = min(panel_block, max(1, half // (chunk_tiles * _sums_slot(tiles, panel) * size)))
    if left.prologue is not None and left_packing == "direct":
        raise ValueError("elements that are broadcast where they lie have no prologue")
    packed_right = chosen.right_packing in ("fused", "packed")
    left_stride = _left_stride(left, left_packing, tiles, depth_block, size)
    left_workspace = 0
    if left_packing != "direct":
        left_workspace = row_block * packed_tile(left_packing, left_stride, tiles, depth_block) * size
    return Plan(
        turned=chosen.turned,
        left=left,
        right=right,
        depth=depth,
        lanes=lanes,
        vectors=chosen.vectors,
        tiles=tiles,
        left_packing=left_packing,
        right_packing=chosen.right_packing,
        depth_block=depth_block,
        row_block=row_block,
        panel_block=panel_block,
        grid=grid,
        left_stride=left_stride,
        left_workspace=_whole(left_workspace),
        right_workspace=_whole(panel_block * panel_bytes) if packed_right else 0,
        partial_workspace=_whole(chunk_tiles * panel_block * _sums_slot(tiles, panel) * size) if blocked else 0,
        cycles=chosen.cycles * contraction.batches,
        terms=contraction.terms,
    )


def _sums_slot(tiles: Pieces, panel: int) -> int:
    return (tiles.highest + 15) // 16 * 16 * panel


def _whole(size: int) -> int:
    return (size + 63) // 64 * 64


def _depth_block(contraction: Contraction, left_bytes: int, half: int, lanes: int) -> int:
    """All of k where the left side stays in the second-level cache anyhow, else blocks: so long that the beginnings and
    ends of tiles do not count, and where that is possible so short that both sides of a block stay in the cache."""
    depth, step = contraction.depth, (contraction.rows + contraction.columns) * contraction.dtype.compute.size
    usual = min(USUAL_DEPTH_BLOCK, half // step) if step * LONG_DEPTH <= half else USUAL_DEPTH_BLOCK
    if left_bytes <= half or depth <= usual * 3 // 2:
        return depth
    count = math.ceil(depth / usual)
    return math.ceil(depth / count / lanes) * lanes


def _left_packing(machine: Machine, left: Side, tiles: Pieces, depth: int, panels: int, lanes: int) -> str:
    """Direct unless the rows of a tile fall in one set of the first cache and do not fit there together, or every step
    touches another page, and the tile is read often; short floats are converted once, prologues done once."""
    if left.prologue is not None or left.is_converted and panels >= 2:
        return "interleaved" if left.stride == 1 else "rows"
    packing = "interleaved" if left.stride == 1 else "rows"
    here = _left_packing_cycles(machine, "direct", left, tiles, depth, panels, lanes)
    return packing if _left_packing_cycles(machine, packing, left, tiles, depth, panels, lanes) < here else "direct"


def _left_packing_cycles(
    machine: Machine, packing: str, left: Side, tiles: Pieces, depth: int, panels: int, lanes: int
) -> float:
    """What packing costs, or what it costs to read the left side where it lies, for all tiles."""
    if packing == "direct" and left.depth_stride == 1:
        return CONFLICT_CYCLES * left.extent * depth * panels if _rows_conflict(machine, left, tiles, depth) else 0.0
    if packing == "direct":
        far = left.depth_stride * left.dtype.size >= FAR_STEP and depth > FAR_DEPTH
        return tiles.count * depth * panels * FAR_CYCLES if far else 0.0
    if packing == "interleaved":
        return tiles.count * depth * 3.0 * math.ceil(tiles.highest / lanes)
    return left.extent * depth * (3.0 / lanes if left.depth_stride == 1 else 2.0)


def _rows_conflict(machine: Machine, left: Side, tiles: Pieces, depth: int) -> bool:
    """Whether the lines of a tile's rows fall in so few sets of the first cache that they drive one another out."""
    stride = left.stride * left.dtype.size
    rows_in_a_set = tiles.highest / (L1_SET_SPAN // math.gcd(stride, L1_SET_SPAN))
    return depth * left.dtype.size >= LINE and rows_in_a_set > machine.l1_bytes // L1_SET_SPAN - WAYS_FOR_RIGHT


def _left_stride(left: Side, packing: str, tiles: Pieces, depth_block: int, size: int) -> int:
    if packing == "rows":
        return math.ceil(depth_block / 16) * 16 + 64 // size  # rows of a tile fall in different cache sets
    return math.ceil(tiles.highest / 16) * 16 if tiles.highest > 8 else 8


def packed_tile(packing: str, stride: int, tiles: Pieces, depth_block: int) -> int:
    """Elements of one packed tile of the left side: rows fill whole matrix tiles; tiles that are packed side by side begin
    in different cache sets."""
    return stride * ((tiles.highest + 15) // 16 * 16) if packing == "rows" else stride * depth_block + 16


def _packed_shares(
    machine: Machine, chosen: _Candidate, left_packing: str, depth: int, panels: int, lanes: int
) -> tuple[float, float]:
    """What packing all of the left side and all of the right one takes, of the cycles of the product."""
    left = 0.0
    if left_packing != "direct":
        left = _left_packing_cycles(machine, left_packing, chosen.left, chosen.tiles, depth, panels, lanes)
    return left / chosen.cycles, _packing_cycles(chosen.right_packing, chosen.right, depth, lanes) / chosen.cycles
